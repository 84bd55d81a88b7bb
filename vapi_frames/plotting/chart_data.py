"""The data of a chart: which measures of a frame, in which unit, one column a line, no more lines than colors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from vapi_frames.analysis import partial, units, wide
from vapi_frames.analysis.weeks import SLOTS, WEEKDAYS
from vapi_frames.errors import QueryError
from vapi_frames.frames.meta import Meta, read_meta
from vapi_frames.frames.provenance import check_levels, find_column
from vapi_frames.query.code import format_code

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ChartData", "prepare_chart"]

MAX_LINES = 8  # as many as there are colors
MAX_BARS = 20
_MAX_CHARS = 44  # of a group's value; a longer one is cut
_ID_CHARS = 8  # characters that are left of an id
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class ChartData(NamedTuple):
    """The data of one chart.

    Attributes:
        table: The rows along the axis, one column a line or color.
        kind: ``time`` with a date on the index, ``groups`` without, ``cards`` for one row of figures; of a typical
            week ``heat`` with weekdays and hours, else ``week``.
        names: The measures.
        label: What the numbers are, with their unit.
        title: The title of the chart.
        legend: The title of the legend, ``None`` where there is only one column.
        flags: For each row, whether its bucket is partial.
        before: In a comparison, the other period: the same columns on the same rows.
        meta: What is known of the frame.
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


def prepare_chart(frame: pd.DataFrame, column: str | Sequence[str] | None) -> ChartData:
    """Return the data of the chart of *frame*.

    Args:
        frame: A result frame.
        column: The measures, by their own names or the API's columns.

    Raises:
        QueryError: There are no rows, or the measures do not fit on one axis.
    """
    meta = read_meta(frame)
    if frame.empty:
        raise QueryError(f"there are no rows to draw: the frame of {format_code(meta.result_query)} is empty")
    known = units(frame)  # raises where values were changed: the unit of the axis could be wrong
    if meta.before and "date" in frame.index.names:  # a row of the other period alone has no date
        frame = frame.loc[frame.index.get_level_values("date").notna()]
    check_levels(frame, meta)
    derived = meta.derived_levels.items()
    named_ids = [origin for level, origin in derived if level != origin and level in frame.index.names]
    groups = [str(level) for level in frame.index.names if level not in (None, "date", *named_ids)]
    dated = "date" in frame.index.names
    week = [name for name in groups if meta.derived_levels.get(name) == "date"]
    names = _choose_measures(frame, column, known, meta, split=bool(groups))
    if not groups and not dated and len(frame) == 1 and not meta.before and len({*map(known.get, names)}) > 1:
        return ChartData(frame[names], "cards", names, "", "", None, None, None, meta)
    unit = known.get(names[0], "")
    label = f"{names[0]} ({unit})" if unit else names[0]
    legend: str | None = ", ".join(groups if dated else groups[1:]) or None  # the first group is the axis of the bars
    if {"weekday", "hour"} <= {*week} and len(names) == 1:
        return _arrange_heat(frame[names[0]], names, label, groups, meta)
    if len(names) > 1:
        label, legend = unit or "value", "measure" if dated else None
        title = _make_title(_common_prefix(names), groups, meta)
        tables = [frame[names]]
    else:
        title = _make_title(names[0], groups, meta)
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
        tables = [_arrange_bars(table, names, groups, meta, is_sorted=not week) for table in tables]
    if len(names) == 1 and (dated or len(groups) > 1):
        if groups:
            tables = [table.set_axis(_make_labels(table.columns), axis=1) for table in tables]
        count = tables[0].shape[1]
        tables = _keep_largest(tables, MAX_LINES, additive=_is_additive(names[0], meta))
        if tables[0].shape[1] < count and not _is_additive(names[0], meta):
            title += f", {tables[0].shape[1]} of {count}"
    before = tables[1] if len(tables) > 1 else None
    return ChartData(
        tables[0], "time" if dated else "week" if week else "groups", names, label, title, legend, flags, before, meta
    )  # fmt: skip


def _choose_measures(
    frame: pd.DataFrame, column: str | Sequence[str] | None, known: dict[str, str], meta: Meta, *, split: bool
) -> list[str]:
    """Return the measures to draw: *column*, else the first, and without groups all others of its unit."""
    if isinstance(column, str):
        return [find_column(frame, column)]
    if column is not None:
        names = [find_column(frame, one) for one in column]
        odd = [name for name in names if known.get(name) != known.get(names[0])]
        if odd:
            raise QueryError(
                f"{names[0]!r} is in {known.get(names[0]) or 'no unit'}, {odd[0]!r} in {known.get(odd[0]) or 'none'}: "
                "an axis has one unit, so draw them one by one"
            )
        if split and len(names) > 1:
            raise QueryError(
                "a frame with groups is drawn one measure at a time: name one, or call .vapi.rollup(by=[]) first"
            )
        return names
    if not known:
        return [find_column(frame, None)]  # raises, and names what is missing
    if len(frame) == 1 and frame.index.names == [None] and not meta.before:
        return list(known)  # figures on cards, of any unit
    # Of a typical week the mean, not the total: the range may have five Mondays and four Tuesdays.
    means = (name for name, one in meta.derived.items() if one.parts[1:] == (SLOTS,) and name in known)
    first = next(means, next(iter(known)))
    same_unit = [name for name in known if name in meta.units and known[name] == known[first]]
    return same_unit if not split and not meta.before and first in same_unit else [first]


def _make_title(what: str, groups: list[str], meta: Meta) -> str:
    by = f" by {', '.join(groups)}" if groups else ""
    return f"{what}{by}{f' per {meta.step}' if meta.step else ''}"


def _common_prefix(names: list[str]) -> str:
    """Return the words that all *names* begin with, e.g. ``sumCostBreakdown``, else all names."""
    head = names[0]
    for name in names[1:]:
        while not name.startswith(head):
            head = head[:-1]
    words = re.match(r"([a-z]+(?:[A-Z][a-z]+)*)(?=[A-Z]|$)", head + "X")
    return words[1] if words and len(words[1]) > 3 else ", ".join(names)  # noqa: PLR2004


def _is_additive(name: str, meta: Meta) -> bool:
    rules = {one.name: one.measure.over_groups for one in meta.aggregations}
    return rules[name] == "sum" if name in rules else name in meta.derived and meta.derived[name].rule == "sum"


def _keep_largest(tables: list[pd.DataFrame], limit: int, *, additive: bool) -> list[pd.DataFrame]:
    """Return the *limit* largest columns of *tables*; the rest is one column where it adds up."""
    table = tables[0]
    if table.shape[1] <= limit:
        return tables
    size = (table.sum() if additive else table.mean()).fillna(-np.inf)
    places = np.sort(np.argsort(-size.to_numpy(), kind="stable")[: limit - additive])
    rest = np.setdiff1d(np.arange(table.shape[1]), places)
    found = [one.iloc[:, places] for one in tables]
    if additive:
        other = f"other ({len(rest)})"
        found = [
            largest.assign(**{other: one.iloc[:, rest].sum(axis=1, min_count=1)})
            for largest, one in zip(found, tables, strict=True)
        ]
    return found


def _arrange_heat(values: pd.Series[Any], names: list[str], label: str, groups: list[str], meta: Meta) -> ChartData:
    """Return the heat map of a typical week, of the groups with the largest mean."""
    title = _make_title(names[0], groups, meta)
    values = values.droplevel([place for place, name in enumerate(values.index.names) if name not in groups])
    others = [name for name in groups if name not in ("weekday", "hour")]
    if others:
        size = values.groupby(level=others, dropna=False, observed=True, sort=False).mean()
        if len(size) > MAX_LINES:
            kept = size.fillna(-np.inf).nlargest(MAX_LINES).index
            slot: Any = ["weekday", "hour"]  # the stubs know no list of names
            groups_of: Any = values.index.droplevel(slot)
            values = values.loc[groups_of.isin(kept)]
            title += f", {MAX_LINES} of {len(size)}"
    table = _arrange_week(values)
    flags = np.zeros(len(table), bool)
    table = table.set_axis(_make_labels(table.index), axis=0).rename_axis(f"hour ({meta.zone})", axis=1)
    return ChartData(table, "heat", names, label, title, ", ".join([*others, "weekday"]), flags, None, meta)


def _arrange_week(values: pd.Series) -> pd.DataFrame:
    """Return *values* with hours as columns, and under each value of the other groups all weekdays as rows."""
    table: Any = values.unstack("hour").reindex(columns=range(24))  # noqa: PD010 - pivot drops missing groups
    if table.index.nlevels == 1:
        week: pd.DataFrame = table.reindex(WEEKDAYS).rename_axis("weekday")
        return week
    others = [name for name in table.index.names if name != "weekday"]
    wide = table.unstack("weekday")  # noqa: PD010 - as above
    weeks: pd.DataFrame = wide.stack("weekday", future_stack=True).reorder_levels([*others, "weekday"])  # noqa: PD013 - melt drops the index
    return weeks


def _arrange_bars(
    table: pd.DataFrame, names: list[str], groups: list[str], meta: Meta, *, is_sorted: bool
) -> pd.DataFrame:
    """Return the labeled rows of a bar chart, the smallest first where there is one bar a group, if *is_sorted*."""
    if not groups:
        if len(names) == 1:
            return table.set_axis(names, axis=0)
        return table.T.set_axis(["value"], axis=1).sort_values("value", na_position="first")
    table = table.set_axis(_make_labels(table.index), axis=0).rename_axis(groups[0])
    if not is_sorted:
        return table
    if len(table) > MAX_BARS:
        [flipped] = _keep_largest([table.T], MAX_BARS, additive=_is_additive(names[0], meta))
        table = flipped.T.rename_axis(groups[0])
    return table.sort_values(names[0], na_position="first") if len(groups) == 1 and len(names) == 1 else table


def _make_labels(values: pd.Index) -> list[str]:
    if isinstance(values, pd.MultiIndex):
        parts = [_shorten(list(values.get_level_values(i))) for i in range(values.nlevels)]
        return [" · ".join(row) for row in zip(*parts, strict=True)]
    return _shorten(list(values))


def _shorten(values: Sequence[Any]) -> list[str]:
    """Return group values as labels: ids cut where they still differ, missing as ``(none)``, empty as ``""``."""
    texts = ["(none)" if pd.isna(v) else str(v) or '""' for v in values]
    cut = [f"{t[:_ID_CHARS]}…" if _UUID.fullmatch(t) else t for t in texts]
    cut = [t if len(t) <= _MAX_CHARS else f"{t[: _MAX_CHARS // 2]}…{t[-_MAX_CHARS // 2 + 1 :]}" for t in cut]
    return cut if len(set(cut)) == len(set(texts)) else texts
