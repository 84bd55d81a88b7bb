"""The data of a chart: which measures of a frame, in which unit, one column a line, no more lines than colors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vapi_frames.analysis import partial, units, wide
from vapi_frames.errors import QueryError
from vapi_frames.frames.meta import Meta, read_meta
from vapi_frames.frames.provenance import check_levels
from vapi_frames.plotting.cells import prepare_matrix
from vapi_frames.plotting.chart import MAX_LINES, ChartData, keep_largest, make_labels
from vapi_frames.plotting.measures import choose_measures, find_unit, is_additive, is_whole, split_by_axis
from vapi_frames.plotting.words import describe_axis, describe_group, describe_measures, make_title
from vapi_frames.query.code import format_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["prepare_charts"]

MAX_BARS = 20
MAX_PANELS = 8
_FAILURE_LEVELS = ("fault", "component", "provider")
_NO_FAILURE = "none"


def prepare_charts(
    frame: pd.DataFrame, column: str | Sequence[str] | None, kind: str | None = None, *, subplots: bool | None = None
) -> list[ChartData]:
    """Return the data of the charts of *frame*: one, or one for each measure that needs an axis of its own.

    Args:
        frame: A result frame.
        column: The measures, by their own names or the API's columns.
        kind: ``heatmap`` for cells.
        subplots: Whether each measure, or of one measure each line, has its own chart; ``False`` refuses more than one.

    Raises:
        QueryError: There are no rows, or the measures do not fit the chart.
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
    names = choose_measures(frame, column, known, meta)
    if not groups and not dated and len(frame) == 1 and not meta.before and len({*map(known.get, names)}) > 1:
        return [ChartData(frame[names], "cards", names, "", "", None, None, None, meta)]
    is_single = bool(subplots) or kind == "heatmap" or bool(meta.before) or (bool(groups) and dated) or len(groups) > 1
    panels = split_by_axis(names, known, is_single=is_single)
    if subplots is False and len(panels) > 1:
        raise QueryError(
            f"subplots=False wants one chart, and {', '.join(names)} need {len(panels)}: name one, "
            f"e.g. .vapi.plot({names[0]!r})"
        )
    if len(panels) > MAX_PANELS:
        raise QueryError(
            f"{', '.join(names)} need {len(panels)} charts, and more than {MAX_PANELS} cannot be read: name some, "
            f"e.g. .vapi.plot({names[:2]!r})"
        )
    prepare = prepare_matrix if kind == "heatmap" else _prepare_panel
    charts = [prepare(frame, panel, known, groups, meta) for panel in panels]
    if subplots and len(charts) == 1 and kind != "heatmap":
        return _split_columns(charts[0])
    return charts


def _prepare_panel(
    frame: pd.DataFrame, names: list[str], known: dict[str, str], groups: list[str], meta: Meta
) -> ChartData:
    """Return the chart of *names*, which share an axis."""
    dated = "date" in frame.index.names
    week = [name for name in groups if meta.derived_levels.get(name) == "date"]
    unit = find_unit(names[0], known)
    words, what = describe_measures(names, meta)
    label = describe_axis(what, unit)
    legend_groups = groups if dated else groups[1:]  # the first group is the axis of the bars
    legend: str | None = ", ".join(describe_group(name, meta) for name in legend_groups) or None
    title = make_title(what, groups, meta)
    if {"weekday", "hour"} <= {*week} and len(names) == 1:
        return prepare_matrix(frame, names, known, groups, meta)
    if len(names) > 1:
        label, legend = unit or "value", "part" if is_whole(names, meta) else "measure"
        hidden = [level for level in frame.index.names if level not in (None, "date", *groups)]
        tables = [frame[names].droplevel(hidden)]
    else:
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
        count = len(tables[0])
        tables = [_arrange_bars(table, names, words, groups, meta, is_sorted=not week) for table in tables]
        if groups and len(tables[0]) < count and not is_additive(names, meta):
            title += f", {len(tables[0])} of {count}"
    if len(names) == 1 and (dated or len(groups) > 1):
        if groups:
            tables = [table.set_axis(make_labels(table.columns), axis=1) for table in tables]
        count = tables[0].shape[1]
        tables = keep_largest(tables, MAX_LINES, additive=is_additive(names, meta))
        if tables[0].shape[1] < count and not is_additive(names, meta):
            title += f", {tables[0].shape[1]} of {count}"
    if len(names) > 1 and (dated or groups):
        tables = [table.set_axis(words, axis=1) for table in tables]
        tables = keep_largest(tables, MAX_LINES if is_whole(names, meta) else len(names), additive=True)
    if dated and len(names) == 1 and not groups:
        tables = [table.set_axis(words, axis=1) for table in tables]
    tables, neutral = _put_neutral_first(tables, groups[not dated :], meta)
    before = tables[1] if len(tables) > 1 else None
    chart_kind = "time" if dated else "week" if week else "groups"
    is_stack = bool(groups) and is_whole(names, meta)
    return ChartData(tables[0], chart_kind, names, label, title, legend, flags, before, meta, unit, is_stack, neutral)


def _put_neutral_first(
    tables: list[pd.DataFrame], groups: list[str], meta: Meta
) -> tuple[list[pd.DataFrame], str | None]:
    """Return *tables* with the calls that did not fail first, and that column, if the legend says what failed."""
    [level] = groups if len(groups) == 1 else [""]
    is_failure = level in _FAILURE_LEVELS and meta.derived_levels.get(level) == "endedReason"
    if not is_failure or _NO_FAILURE not in tables[0].columns:
        return tables, None
    return [one[[_NO_FAILURE, *one.columns.drop(_NO_FAILURE)]] for one in tables], _NO_FAILURE


def _split_columns(chart: ChartData) -> list[ChartData]:
    """Return a chart for each line or color of *chart*, titled by it."""
    if chart.kind not in ("time", "groups", "week") or chart.table.shape[1] == 1:
        return [chart]
    places = range(chart.table.shape[1])
    return [
        chart._replace(
            table=chart.table.iloc[:, [place]],
            before=None if chart.before is None else chart.before.iloc[:, [place]],
            title=str(chart.table.columns[place]), legend=None, neutral=None,
        )
        for place in places
    ]  # fmt: skip


def _arrange_bars(
    table: pd.DataFrame, names: list[str], words: list[str], groups: list[str], meta: Meta, *, is_sorted: bool
) -> pd.DataFrame:
    """Return the labeled rows of a bar chart, the smallest first where there is one bar a group, if *is_sorted*."""
    if not groups:
        if len(names) == 1:
            return table.set_axis(words, axis=0)
        return table.T.set_axis(["value"], axis=1).set_axis(words, axis=0).sort_values("value", na_position="first")
    table = table.set_axis(make_labels(table.index), axis=0).rename_axis(describe_group(groups[0], meta))
    if not is_sorted:
        return table
    if len(table) > MAX_BARS:
        [flipped] = keep_largest([table.T], MAX_BARS, additive=is_additive(names, meta))
        table = flipped.T.rename_axis(describe_group(groups[0], meta))
    if len(groups) > 1:
        return table
    if len(names) == 1:
        return table.sort_values(names[0], na_position="first")
    size = table.sum(axis=1) if is_whole(names, meta) else table[names[0]]
    return table.iloc[np.argsort(-size.to_numpy(dtype=float, na_value=np.nan), kind="stable")]
