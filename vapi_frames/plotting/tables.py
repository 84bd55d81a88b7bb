"""What a chart shows of a frame: which measures, in which unit, one column a line, not more than can be read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from vapi_frames.analysis import partial, units, wide
from vapi_frames.errors import QueryError
from vapi_frames.frames.meta import Meta, read_meta
from vapi_frames.frames.provenance import check_levels, find_column

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Picture", "picture"]

MOST = 8  # lines, or colors, that can be told apart
MOST_BARS = 20
_WIDE = 44  # characters up to which a group's value is shown whole
_ID = 8  # characters of an id that are shown
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Picture(NamedTuple):
    """What is drawn.

    Attributes:
        table: The rows along the axis, one column a line or color.
        kind: ``time`` with a date on the index, ``groups`` without, ``cards`` for one row of figures.
        names: The measures.
        label: What the numbers are, with their unit.
        title: What it is all about.
        legend: What the columns are, ``None`` where there is nothing to tell apart.
        flags: For each row, whether its bucket is partial.
        before: In a comparison, the other period: the same columns on the same rows.
        meta: What the frame knows of itself.
    """

    table: pd.DataFrame
    kind: str
    names: list[str]
    label: str
    title: str
    legend: str | None
    flags: Any
    before: pd.DataFrame | None
    meta: Meta


def picture(frame: pd.DataFrame, column: str | Sequence[str] | None) -> Picture:
    """Return what a chart of *frame* shows.

    Args:
        frame: A result frame.
        column: The measures, by their own names or the API's columns.

    Raises:
        QueryError: There are no rows, or the measures do not fit on one axis.
    """
    meta = read_meta(frame)
    if frame.empty:
        raise QueryError(f"there are no rows to draw: nothing answered {meta.result_query!r}")
    known = units(frame)  # which refuses where values were changed: the axis would say a wrong unit
    if meta.before and "date" in frame.index.names:  # what the other period alone has stands on no date
        frame = frame.loc[frame.index.get_level_values("date").notna()]
    check_levels(frame, meta)
    named = [
        origin for level, origin in meta.derived_levels.items() if level != origin and level in frame.index.names
    ]  # an id has its name beside it
    groups = [str(level) for level in frame.index.names if level not in (None, "date", *named)]
    dated = "date" in frame.index.names
    names = _names(frame, column, known, meta, split=bool(groups))
    if not groups and not dated and len(frame) == 1 and not meta.before and len({*map(known.get, names)}) > 1:
        return Picture(frame[names], "cards", names, "", "", None, None, None, meta)
    unit = known.get(names[0], "")
    label = f"{names[0]} ({unit})" if unit else names[0]
    legend: str | None = ", ".join(groups if dated else groups[1:]) or None  # bars stand along the first group
    if len(names) > 1:
        label, legend = unit or "value", "measure" if dated else None
        title = _title(_common(names), groups, meta)
        tables = [frame[names]]
    else:
        title = _title(names[0], groups, meta)
        tables = [wide(frame[[names[0]]], names[0])]
        other = f"{names[0]}Before"
        if meta.before and other in known:
            tables.append(wide(frame[[other]], other).set_axis(tables[0].columns, axis=1))
            title += ", and before"
    if dated:
        tables = [table.sort_index() for table in tables]
        flags = partial(tables[0]).fillna(value=False).to_numpy(dtype=bool)
    else:
        flags = np.zeros(len(tables[0]), bool)
        tables = [_bars(table, names, groups, meta) for table in tables]
    if len(names) == 1 and (dated or len(groups) > 1):
        if groups:
            tables = [table.set_axis(_labels(table.columns), axis=1) for table in tables]
        count = tables[0].shape[1]
        tables = _few(tables, MOST, additive=_adds_up(names[0], meta))
        if tables[0].shape[1] < count and not _adds_up(names[0], meta):
            title += f", {tables[0].shape[1]} of {count}"
    before = tables[1] if len(tables) > 1 else None
    return Picture(
        tables[0], "time" if dated else "groups", names, label, title, legend, flags, before, meta
    )  # fmt: skip


def _names(
    frame: pd.DataFrame, column: str | Sequence[str] | None, known: dict[str, str], meta: Meta, *, split: bool
) -> list[str]:
    """Return the measures to draw: those asked for, else the first and what shares its unit where groups leave room."""
    if isinstance(column, str):
        return [find_column(frame, column)]
    if column is not None:
        names = [find_column(frame, one) for one in column]
        odd = [name for name in names if known.get(name) != known.get(names[0])]
        if odd:
            raise QueryError(
                f"{names[0]!r} is in {known.get(names[0]) or 'no unit'}, {odd[0]!r} in {known.get(odd[0]) or 'none'}: "
                "one axis has one unit, so draw them one by one"
            )
        if split and len(names) > 1:
            raise QueryError("with groups one measure is drawn at a time; roll up the groups, or name one measure")
        return names
    if not known:
        return [find_column(frame, None)]  # which says what is missing
    if len(frame) == 1 and frame.index.names == [None] and not meta.before:
        return list(known)  # figures, with or without one unit
    first = next(iter(known))
    asked = [name for name in known if name in meta.units and known[name] == known[first]]
    return asked if not split and not meta.before and first in asked else [first]


def _title(what: str, groups: list[str], meta: Meta) -> str:
    by = f" by {', '.join(groups)}" if groups else ""
    return f"{what}{by}{f' per {meta.step}' if meta.step else ''}"


def _common(names: list[str]) -> str:
    """Return what the names begin with, up to a word's end: ``sumCostBreakdown``."""
    head = names[0]
    for name in names[1:]:
        while not name.startswith(head):
            head = head[:-1]
    words = re.match(r"([a-z]+(?:[A-Z][a-z]+)*)(?=[A-Z]|$)", head + "X")
    return words[1] if words and len(words[1]) > 3 else ", ".join(names)  # noqa: PLR2004


def _adds_up(name: str, meta: Meta) -> bool:
    asked = {one.name: one.measure.over_groups for one in meta.aggregations}
    return asked[name] == "sum" if name in asked else name in meta.derived and meta.derived[name].rule == "sum"


def _few(tables: list[pd.DataFrame], most: int, *, additive: bool) -> list[pd.DataFrame]:
    """Return the largest columns of *tables*, the rest as one where it adds up: more lines cannot be told apart."""
    table = tables[0]
    if table.shape[1] <= most:
        return tables
    size = (table.sum() if additive else table.mean()).fillna(-np.inf)
    places = np.sort(np.argsort(-size.to_numpy(), kind="stable")[: most - additive])
    rest = np.setdiff1d(np.arange(table.shape[1]), places)
    found = [one.iloc[:, places] for one in tables]
    if additive:
        other = f"other ({len(rest)})"
        found = [
            kept.assign(**{other: one.iloc[:, rest].sum(axis=1, min_count=1)})
            for kept, one in zip(found, tables, strict=True)
        ]
    return found


def _bars(table: pd.DataFrame, names: list[str], groups: list[str], meta: Meta) -> pd.DataFrame:
    """Return the rows of a bar chart, labeled: the smallest first where there is one bar a group."""
    if not groups:
        if len(names) == 1:
            return table.set_axis(names, axis=0)
        return table.T.set_axis(["value"], axis=1).sort_values("value", na_position="first")
    table = table.set_axis(_labels(table.index), axis=0).rename_axis(groups[0])
    if len(table) > MOST_BARS:
        [flipped] = _few([table.T], MOST_BARS, additive=_adds_up(names[0], meta))
        table = flipped.T.rename_axis(groups[0])
    return table.sort_values(names[0], na_position="first") if len(groups) == 1 and len(names) == 1 else table


def _labels(values: pd.Index) -> list[str]:
    if isinstance(values, pd.MultiIndex):
        parts = [_short(list(values.get_level_values(i))) for i in range(values.nlevels)]
        return [" · ".join(row) for row in zip(*parts, strict=True)]
    return _short(list(values))


def _short(values: Sequence[Any]) -> list[str]:
    """Return group values as legend texts: ids cut where they stay apart, missing and empty ones said."""
    texts = ["(none)" if pd.isna(v) else str(v) or '""' for v in values]
    cut = [f"{t[:_ID]}…" if _UUID.fullmatch(t) else t for t in texts]
    cut = [t if len(t) <= _WIDE else f"{t[: _WIDE // 2]}…{t[-_WIDE // 2 + 1 :]}" for t in cut]
    return cut if len(set(cut)) == len(set(texts)) else texts
