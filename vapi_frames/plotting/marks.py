"""What a reader should see first: a line to compare with, a date or a span of dates that is marked, values as text."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vapi_frames.calendar.buckets import find_zone
from vapi_frames.errors import QueryError, format_value
from vapi_frames.plotting.theme import find_brightness, format_figure

if TYPE_CHECKING:
    from vapi_frames.plotting.chart import ChartData

__all__ = ["Mark", "draw_cell_values", "draw_marks", "draw_references", "draw_values", "read_marks", "read_references"]

Mark = tuple[str, pd.Timestamp, pd.Timestamp | None]
"""A label, and a date, or the begin and the end of a span."""
_COLOR = "#D55E00"
_BRIGHT = 0.5  # the brightness above which black can be read better than white


def read_references(reference: Any) -> list[tuple[str, float]]:
    """Return the lines of *reference*, a number or label → number.

    Raises:
        QueryError: One is no number.
    """
    if reference is None:
        return []
    pairs = reference.items() if isinstance(reference, dict) else [("", reference)]
    found = []
    for label, value in pairs:
        is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not is_number or not np.isfinite(value):
            raise QueryError(
                f"reference must be a number, or label → number, not {format_value(value)}: "
                'e.g. reference={"limit": 10}'
            )
        found.append((str(label), float(value)))
    return found


def read_marks(mark: Any, chart: ChartData) -> list[Mark]:
    """Return the marks of *mark*: a date, a pair of dates, or label → either; dates without a zone are in the chart's.

    Raises:
        QueryError: One is no date, or the chart has no dates.
    """
    if mark is None:
        return []
    if chart.kind != "time":
        raise QueryError("mark is a date, and this chart has no dates: add .step(...) to the query, or leave mark out")
    pairs = mark.items() if isinstance(mark, dict) else [("", mark)]
    found: list[Mark] = []
    for label, value in pairs:
        if isinstance(value, tuple) and len(value) == 2:  # noqa: PLR2004 - begin and end
            start, end = (_read_date(one, chart) for one in value)
            if end <= start:
                raise QueryError(f"mark ends before it begins: {format_value(value)}")
            found.append((str(label), start, end))
        else:
            found.append((str(label), _read_date(value, chart), None))
    return found


def _read_date(value: Any, chart: ChartData) -> pd.Timestamp:
    problem = QueryError(
        f"mark must be a date, a pair of dates, or label → either, not {format_value(value)}: "
        'e.g. mark={"outage": ("2026-10-21T14:00", "2026-10-21T17:00")}'
    )
    if not isinstance(value, str | date | datetime | np.datetime64):
        raise problem
    try:
        found: Any = pd.Timestamp(value)  # the stubs say that it is never NaT
        at: pd.Timestamp = found.tz_localize(find_zone(chart.meta.zone)) if found.tz is None else found
    except (ValueError, TypeError, OverflowError) as error:
        raise problem from error
    if pd.isna(at):
        raise problem
    return at


def draw_references(axes: Any, references: list[tuple[str, float]], *, across: bool) -> None:
    """Draw each of *references* as a dashed line, with its label; *across* where the values are on the x axis."""
    for label, value in references:
        if across:
            axes.axvline(value, color=_COLOR, linestyle="--", linewidth=1)
            place, at = axes.get_xaxis_transform(), (value, 1.0)
        else:
            axes.axhline(value, color=_COLOR, linestyle="--", linewidth=1)
            place, at = axes.get_yaxis_transform(), (1.0, value)
        axes.annotate(
            label, at, xycoords=place, xytext=(-4, -4 if across else 3), textcoords="offset points", color=_COLOR,
            ha="right", va="top" if across else "bottom",
        )  # fmt: skip


def draw_marks(axes: Any, marks: list[Mark], chart: ChartData, *, is_bar: bool, across: bool) -> None:
    """Draw each of *marks*: a span shaded, a date as a dotted line, and on a chart of one line with a ring."""
    if not marks:
        return
    from matplotlib.dates import date2num

    dates = pd.DatetimeIndex(chart.table.index)

    def place(at: pd.Timestamp) -> float:
        if not is_bar:
            return float(date2num(at))
        return float(dates.searchsorted(at, side="right") - 1)  # bars stand at 0, 1, 2, ...

    span, line = (axes.axhspan, axes.axhline) if across else (axes.axvspan, axes.axvline)
    for label, start, end in marks:
        low = place(start)
        if end is not None:
            high = place(end) if not is_bar else float(dates.searchsorted(end, side="left") - 1) + 0.5
            span(low - 0.5 * is_bar, high, color=_COLOR, alpha=0.15, linewidth=0, zorder=0)
        else:
            line(low, color=_COLOR, linestyle=":", linewidth=1.2, zorder=3 if is_bar else 1)
            hit = dates == start
            if not is_bar and chart.table.shape[1] == 1 and hit.any():
                value = chart.table.iloc[:, 0][hit].iloc[0]
                if pd.notna(value):
                    axes.plot([low], [value], marker="o", markersize=9, fillstyle="none", color=_COLOR)
        if label:
            is_late = len(dates) > 1 and start > dates[0] + (dates[-1] - dates[0]) * 0.75
            xy, system = (
                ((1.0, low), axes.get_yaxis_transform()) if across else ((low, 1.0), axes.get_xaxis_transform())
            )
            axes.annotate(
                label, xy, xycoords=system, xytext=(-4 if is_late or across else 4, -3), textcoords="offset points",
                color=_COLOR, ha="right" if is_late or across else "left", va="top",
            )  # fmt: skip


def draw_values(axes: Any, chart: ChartData, *, across: bool, is_stacked: bool) -> None:
    """Write the value of each bar at its end, of a stack the total; *across* where the bars lie."""
    bars = list(axes.containers)
    if is_stacked:
        totals = np.nansum([one.datavalues for one in bars], axis=0)
        ends = np.nansum([np.maximum(one.datavalues, 0) for one in bars], axis=0)
        at = [bar.get_y() + bar.get_height() / 2 if across else bar.get_x() + bar.get_width() / 2 for bar in bars[0]]
        for place, end, total in zip(at, ends, totals, strict=True):
            axes.annotate(
                format_figure(total, chart.unit), (end, place) if across else (place, end), textcoords="offset points",
                xytext=(4, 0) if across else (0, 3), fontsize=9, ha="left" if across else "center",
                va="center" if across else "bottom",
            )  # fmt: skip
    else:
        for one in bars:
            texts = ["" if pd.isna(value) else format_figure(value, chart.unit) for value in one.datavalues]
            axes.bar_label(one, texts, padding=3, fontsize=9)
    axes.margins(**{"x" if across else "y": 0.1})


def draw_cell_values(axes: Any, image: Any, values: Any, unit: str) -> None:
    """Write the value of each cell into it, in an ink that can be read on the cell's color."""
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            red, green, blue, _ = image.cmap(image.norm(value))
            ink = "black" if find_brightness(red, green, blue) > _BRIGHT else "white"
            text = format_figure(value, unit)
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=ink)
