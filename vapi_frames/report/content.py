"""What a report holds, as plain values: figures, sections with a table and a chart each, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from vapi_frames.analysis import explain, units
from vapi_frames.analysis.tables import number_formatter
from vapi_frames.frames.meta import read_meta

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

__all__ = [
    "MISSING",
    "NO_EARLIER",
    "Cell",
    "Chart",
    "Content",
    "Figure",
    "Section",
    "Table",
    "format_cell",
    "format_change",
    "make_figure",
]

NO_EARLIER = "The earlier period has no calls"
"""How a gap begins that the head of the page says, too, because its changes mislead."""
MISSING = "\N{EN DASH}"
_LARGE = 10_000


@dataclass(frozen=True)
class Cell:
    """A value as a reader sees it, and as it is.

    Attributes:
        text: The text on the page.
        value: The number behind it, ``None`` for text or where it is missing.
        share: How long its bar is, 0 to 1; ``None`` for no bar.
    """

    text: str
    value: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class Table:
    """A table to be read: a heading per column, and rows of cells; the first cell names its row."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Chart:
    """What `vapi_frames.plotting.plot` draws.

    Attributes:
        frame: The rows.
        column: The measure or measures.
        options: Options of the plot.
        label: What the numbers are, beside the axis.
        names: Name of a series → what the legend says.
    """

    frame: pd.DataFrame
    column: str | list[str]
    options: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """One number on top.

    Attributes:
        name: The column of its frame.
        label: Its name in people's words.
        unit: Its unit, ``""`` for a rate.
        value: The number; ``None`` where there is none.
        before: The number of the earlier period; ``None`` where there is none.
        change: The change in percent of the earlier one, of a rate in percentage points; ``None`` where there is none.
        formula: How it comes about, the text of ``df.vapi.explain``.
        query: The query of its frame, as code.
        text: The number as a reader sees it.
        text_before: The same of the earlier period.
    """

    name: str
    label: str
    unit: str
    value: float | None
    before: float | None
    change: float | None
    formula: str
    query: str
    text: str
    text_before: str

    @property
    def is_rate(self) -> bool:
        """Whether it is a rate from 0 to 1."""
        return self.unit == ""


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        name: Its name, the key in JSON.
        title: Its heading.
        text: What stands out, in sentences.
        frame: Its numbers, all rows.
        tables: What is shown of them.
        chart: What is drawn of them, ``None`` where there is nothing to draw.
        query: The query of its frame, as code.
    """

    name: str
    title: str
    text: str
    frame: pd.DataFrame
    tables: tuple[Table, ...] = ()
    chart: Chart | None = None
    query: str = ""

    @property
    def units(self) -> dict[str, str]:
        """Column → unit."""
        return units(self.frame)

    def formulas(self) -> dict[str, str]:
        """Return column → how it comes about, the text of ``df.vapi.explain``."""
        return {str(name): explain(self.frame, str(name)) for name in self.frame.columns}


@dataclass(frozen=True)
class Content:
    """All of a report.

    Attributes:
        title: The heading of the page.
        source: What it was fetched from, as in ``df.vapi.meta``.
        zone: The zone of the calendar.
        step: The step of the charts over time.
        start: Begin of the range.
        end: Its end, exclusive.
        before: The range of the earlier period, ``None`` without a comparison.
        now: When it was fetched.
        figures: The numbers on top.
        sections: The parts of the page, each with its frame.
        gaps: What is partial or missing, in sentences.
    """

    title: str
    source: str
    zone: str
    step: str
    start: datetime
    end: datetime
    before: tuple[datetime, datetime] | None
    now: datetime
    figures: tuple[Figure, ...]
    sections: tuple[Section, ...]
    gaps: tuple[str, ...]


def make_figure(frame: pd.DataFrame, before: pd.DataFrame | None, name: str, label: str, query: str) -> Figure:
    """Return the number *name* of a frame of one row, compared with the frame of the earlier period."""
    value, earlier = _read_number(frame, name), None if before is None else _read_number(before, name)
    unit, change = read_meta(frame).all_units()[name], None
    if value is not None and earlier is not None:
        if unit == "":
            change = (value - earlier) * 100
        elif earlier:
            change = (value - earlier) / earlier * 100
    return Figure(
        name, label, unit, value, earlier, change, explain(frame, name), query,
        _format_figure(frame, name, value), MISSING if before is None else _format_figure(before, name, earlier),
    )  # fmt: skip


def _format_figure(frame: pd.DataFrame, name: str, value: float | None) -> str:
    """Return a number for the top of the page, a large one without its decimals."""
    if value is None or abs(value) < _LARGE:
        return format_cell(frame, name, value).text
    unit = read_meta(frame).all_units()[name]
    return f"{'$' if unit.startswith('USD') else ''}{value:,.0f}"


def _read_number(frame: pd.DataFrame, name: str) -> float | None:
    values: Sequence[float] = frame[name].dropna().tolist()
    return values[0] if values else None


def format_cell(frame: pd.DataFrame, name: str, value: Any, *, share: float | None = None) -> Cell:
    """Return *value* of the column *name* as a cell, with as many digits as its unit and the column's largest need."""
    if value is None or pd.isna(value):
        return Cell(MISSING)
    formatter = number_formatter(frame[name], read_meta(frame).all_units().get(name, ""), read_meta(frame))
    return Cell(str(value) if formatter is None else formatter(value), value, share)


def format_change(change: float | None, *, is_rate: bool = False) -> Cell:
    """Return a change in percent, or in percentage points, as a cell.

    Examples:
        >>> format_change(9.355).text, format_change(1.2, is_rate=True).text
        ('+9.4%', '+1.2 points')
    """
    if change is None or pd.isna(change):
        return Cell(MISSING)
    sign = "" if round(change, 1) == 0 else "+" if change > 0 else "\N{MINUS SIGN}"
    return Cell(f"{sign}{abs(change):,.1f}{' points' if is_rate else '%'}", change)
