"""The data of a heat map: the typical week, or two levels of any frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vapi_frames.analysis import partial, wide
from vapi_frames.analysis.weeks import WEEKDAYS
from vapi_frames.calendar.buckets import FIXED_STEPS
from vapi_frames.errors import QueryError
from vapi_frames.plotting.chart import MAX_LINES, ChartData, keep_largest, make_labels
from vapi_frames.plotting.measures import find_unit, is_additive
from vapi_frames.plotting.words import describe_axis, describe_group, describe_measure, make_title

if TYPE_CHECKING:
    from vapi_frames.frames.meta import Meta

__all__ = ["format_dates", "prepare_matrix"]

_MAX_ROWS = 30


def prepare_matrix(
    frame: pd.DataFrame, names: list[str], known: dict[str, str], groups: list[str], meta: Meta
) -> ChartData:
    """Return the heat map of a measure: dates across and groups down, or the last group across and the others down.

    Raises:
        QueryError: The frame has one level.
    """
    [name] = names
    what, unit = describe_measure(name, meta), find_unit(name, known)
    label, title = describe_axis(what, unit), make_title(what, groups, meta)
    whole = ChartData(frame[names], "heat", names, label, title, None, None, None, meta, unit)
    week = {group for group in groups if meta.derived_levels.get(group) == "date"}
    if {"weekday", "hour"} <= week:
        return _arrange_week(frame[name], groups, whole)
    dated = "date" in frame.index.names
    if len(groups) + dated < 2:  # noqa: PLR2004 - down and across
        one = "a date" if dated else f"one group, {groups[0]!r}" if groups else "no group"
        raise QueryError(
            f"kind='heatmap' needs two levels, and this frame has {one}: add .by(...) to the query, draw "
            ".vapi.typical_week().vapi.plot(), or leave kind out"
        )
    if dated:
        dates = wide(frame[names], name).sort_index()
        table, flags = dates.T, partial(dates).fillna(value=False).to_numpy(dtype=bool)
        down, labels, header = groups, format_dates(dates.index, meta), f"date ({meta.zone})"
    else:
        kept = frame[name].droplevel([level for level in frame.index.names if level not in groups])
        table = kept.unstack(groups[-1])  # noqa: PD010 - pivot drops missing groups
        down, labels, header = groups[:-1], make_labels(table.columns), describe_group(groups[-1], meta)
        flags = np.zeros(table.shape[1], bool)
    count = len(table)
    additive = is_additive(names, meta)
    table = table.set_axis(make_labels(table.index), axis=0)
    [table] = [one.T for one in keep_largest([table.T], _MAX_ROWS, additive=additive)]
    if len(table) < count and not additive:
        title += f", {len(table)} of {count}"
    legend = ", ".join(describe_group(group, meta) for group in down)
    table = table.set_axis(labels, axis=1).rename_axis(header, axis=1)
    return whole._replace(table=table, title=title, legend=legend, flags=flags)


def format_dates(dates: Any, meta: Meta) -> list[str]:
    """Return dates as labels, as precise as the step."""
    form = "%m-%d %H:%M" if meta.step in FIXED_STEPS else "%Y-%m" if meta.step == "month" else "%Y-%m-%d"
    if meta.step == "second":
        form = "%m-%d %H:%M:%S"
    return list(pd.DatetimeIndex(dates).strftime(form))


def _arrange_week(values: pd.Series[Any], groups: list[str], whole: ChartData) -> ChartData:
    """Return the heat map of a typical week, of the groups with the largest mean."""
    title = whole.title
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
    table = _spread_week(values)
    flags = np.zeros(table.shape[1], bool)
    hours = [f"{hour:02}:00" for hour in table.columns]
    table = (
        table.set_axis(make_labels(table.index), axis=0)
        .set_axis(hours, axis=1)
        .rename_axis(f"hour ({whole.meta.zone})", axis=1)
    )
    return whole._replace(table=table, title=title, legend=", ".join([*others, "weekday"]), flags=flags)


def _spread_week(values: pd.Series) -> pd.DataFrame:
    """Return *values* with hours as columns, and under each value of the other groups all weekdays as rows."""
    table: Any = values.unstack("hour").reindex(columns=range(24))  # noqa: PD010 - pivot drops missing groups
    if table.index.nlevels == 1:
        week: pd.DataFrame = table.reindex(WEEKDAYS).rename_axis("weekday")
        return week
    others = [name for name in table.index.names if name != "weekday"]
    across = table.unstack("weekday")  # noqa: PD010 - as above
    weeks: pd.DataFrame = across.stack("weekday", future_stack=True).reorder_levels([*others, "weekday"])  # noqa: PD013 - melt drops the index
    return weeks
