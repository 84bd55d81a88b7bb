"""`fill_gaps`: the buckets and groups without calls as rows, over the query's range, on the calendar of its zone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from vapi_frames.analysis.arguments import check_flag
from vapi_frames.analysis.coverage import describe_late_begin
from vapi_frames.analysis.periods import check_one_period
from vapi_frames.calendar.buckets import (
    DAY,
    FIXED_STEPS,
    find_bounds,
    find_zone,
    from_seconds,
    list_buckets,
    to_seconds,
)
from vapi_frames.errors import ProvenanceError, QueryError, require
from vapi_frames.frames.columns import to_backend, to_numpy
from vapi_frames.frames.derived import DerivedColumn
from vapi_frames.frames.layout import keep_layout
from vapi_frames.frames.levels import IndexLevel, build_index, dates_in_zone, distinct_rows, drop_unused
from vapi_frames.frames.origin import add_note, attach_meta
from vapi_frames.frames.partial import bucket_seconds
from vapi_frames.frames.provenance import CheckedFrame, check_frame

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt

    from vapi_frames.frames.meta import Meta

__all__ = ["fill_gaps", "find_fill_rules", "locate_buckets", "note_late_begin"]

FLAG = "filled"
MAX_ROWS = 10_000_000


@keep_layout
def fill_gaps(
    frame: pd.DataFrame, *, mark: bool = False, concurrency: Literal["carry"] | None = None, whole: bool = False
) -> pd.DataFrame:
    """Return *frame* with a row for every bucket of the query's range, for each group that it has.

    A bucket without calls has a sum and a count of 0; its average, minimum and maximum are missing. Buckets that had
    not begun when the query was sent are left out.

    Args:
        frame: A result frame with a step.
        mark: Add the boolean column ``filled``: whether a row was added.
        concurrency: ``"carry"`` fills concurrency with the last value before; without it, it is missing.
        whole: Declare that the rows that are not in the frame, if any, had no calls.

    Returns:
        The same columns and types, sorted. A column of your own is missing in the rows that were added.

    Raises:
        ProvenanceError: Rows were left out before, so an absent one may have calls; or a row lies off the grid.
        QueryError: There is no step, there would be more than ten million rows, or *mark* finds another ``filled``.

    Examples:
        >>> import vapi_frames as vf
        >>> calls = [{"id": "1", "createdAt": "2026-10-01T12:00Z", "cost": 0.5}]
        >>> query = vf.local(calls).call().sum("cost").step("day").between("2026-10-01", "2026-10-03")
        >>> query.fetch().vapi.fill_gaps()
                                   sumCost
        date
        2026-10-01 00:00:00+00:00      0.5
        2026-10-02 00:00:00+00:00      0.0
    """
    if concurrency is not None:
        require(concurrency, ("carry",), "fill for concurrency")
    check_flag(mark, "mark")
    check_flag(whole, "whole")
    checked = check_frame(frame)
    checked.check_whole("fill_gaps", whole=whole)
    check_one_period(checked, "fill_gaps", ProvenanceError)
    if mark and FLAG in {*frame.columns, *checked.meta.units, *frame.index.names} - {*checked.flag_columns}:
        raise QueryError(f"the frame already has a column or level {FLAG!r}: give it another name, or leave mark out")
    buckets, place = locate_buckets(checked)
    rules = find_fill_rules(checked, checked.measures)
    groups = [level for level in checked.levels if level.name != "date"]
    distinct, group = distinct_rows(groups) if groups else ([], np.zeros(len(frame), np.int64))
    many = len(distinct[0].codes) if groups else 1
    total = len(buckets) * many
    if total > MAX_ROWS:
        raise QueryError(_too_many_rows(total, len(buckets), distinct))
    at = place * many + group
    is_added = np.ones(total, bool)
    is_added[at] = False
    dates = dates_in_zone(checked.meta.zone, buckets * 1_000_000)
    levels = {"date": IndexLevel("date", dates, np.repeat(np.arange(len(buckets)), many))}
    levels |= {
        level.name: IndexLevel(level.name, level.uniques, np.tile(level.codes, len(buckets))) for level in distinct
    }
    result = pd.DataFrame(index=build_index([levels[level.name] for level in checked.levels]))
    for name in frame.columns:
        if name in checked.flag_columns and name == FLAG:
            continue
        if name in rules:
            values = _spread(to_numpy(frame[name]), at, total, rules[name])
            if rules[name] == "carry" and concurrency == "carry":
                values = _carry(values, is_added, many)
            result[name] = to_backend(values, checked.backend)
        else:  # the user's own
            result[name] = frame[name].reindex(result.index)
    result.attrs = dict(frame.attrs)
    derived = {name: column for name, column in checked.meta.derived.items() if column.rule != "flag"}
    if mark:
        is_added[at] = frame[FLAG].to_numpy(dtype=bool) if FLAG in checked.flag_columns else False
        result[FLAG] = is_added
        derived[FLAG] = DerivedColumn("", "flag", made=("filled",))
    attach_meta(result, replace(checked.meta.as_whole(), derived=derived, is_filled=True))
    return note_late_begin(checked.meta, result)


def note_late_begin(meta: Meta, result: pd.DataFrame) -> pd.DataFrame:
    """Note on *result* that buckets before the records begin count as without calls."""
    note = "days before the records begin count as without calls"
    return add_note(result, note) if describe_late_begin(meta) else result


def find_fill_rules(checked: CheckedFrame, names: Collection[str]) -> dict[str, str]:
    """Return for each of the measures *names* what it is in a bucket without calls: ``zero``, ``missing``, ``carry``.

    Raises:
        ProvenanceError: A column holds only for the rows of the frame.
    """
    rules: dict[str, str] = {one.name: one.measure.fill for one in checked.meta.aggregations}
    for name, column in checked.meta.derived.items():
        rules[name] = "zero" if column.rule == "sum" else "missing"
        if column.rule == "none" and name in names:
            raise ProvenanceError(
                f"{name!r} was computed from the rows of the frame: fill the gaps before you compute it"
            )
    return {name: rules[name] for name in names}


def locate_buckets(checked: CheckedFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the buckets of the query's range that had begun, in seconds, and for each row the place of its own.

    Where a row lies in a later bucket, the buckets until then are among them.

    Raises:
        QueryError: There is no step.
        ProvenanceError: A row lies off the grid or out of the range, or the range is unknown.
    """
    meta = checked.meta
    if meta.step is None:
        raise QueryError('the frame has no step, so it has no buckets: add one to the query, e.g. .step("day")')
    if "date" not in [level.name for level in checked.levels]:
        raise ProvenanceError("the index has lost its level 'date', so no row belongs to a bucket")
    if meta.start is None or meta.end is None:
        raise ProvenanceError("the range of the result is unknown, so its buckets are unknown, too")
    tz = find_zone(meta.zone)
    date = drop_unused(next(level for level in checked.levels if level.name == "date"))
    present = bucket_seconds(date.uniques, meta.step, tz)
    if (date.codes < 0).any():
        raise ProvenanceError("a row has no date, so it belongs to no bucket")
    end = meta.end if meta.now is None else min(meta.end, max(meta.now, meta.start))
    if len(present):
        last = from_seconds(find_bounds(int(present[-1]), meta.step, tz).end)
        end = max(end, min(meta.end, last))
    about = (meta.end - meta.start).total_seconds() / FIXED_STEPS.get(meta.step, DAY)
    if about > 2 * MAX_ROWS:
        raise QueryError(
            f"the range has about {int(about):,} buckets of a {meta.step}, and the limit is {MAX_ROWS:,} rows: "
            "take a coarser step or a shorter range"
        )
    until = to_seconds(end) + (end.microsecond > 0)
    buckets = np.array(list_buckets(to_seconds(meta.start), until, meta.step, tz), np.int64)
    place = np.searchsorted(buckets, present)
    lost = np.flatnonzero(np.append(buckets, -1)[place] != present)
    if len(lost):
        raise ProvenanceError(f"{date.uniques[lost[0]]} is outside the range of the query")
    return buckets, place[date.codes]


def _spread(values: npt.NDArray[Any], at: npt.NDArray[np.int64], total: int, rule: str) -> npt.NDArray[Any]:
    """Return *total* values with *values* in their place, and 0 or missing elsewhere."""
    if rule == "zero" and values.dtype == np.int64:
        spread: npt.NDArray[Any] = np.zeros(total, np.int64)
    else:
        spread = np.full(total, 0.0 if rule == "zero" else np.nan)
    spread[at] = values
    return spread


def _carry(values: npt.NDArray[Any], is_added: npt.NDArray[np.bool_], many: int) -> npt.NDArray[Any]:
    """Return *values* where each added row has the last value of its group before it."""
    table, added = values.reshape(-1, many), is_added.reshape(-1, many)
    rows = np.where(added, 0, np.arange(len(table))[:, None])
    carried = np.take_along_axis(table, np.maximum.accumulate(rows, axis=0), axis=0)
    carried[np.logical_and.accumulate(added, axis=0)] = np.nan  # there is none before
    return carried.ravel()


def _too_many_rows(total: int, buckets: int, groups: list[IndexLevel]) -> str:
    message = f"filling the gaps would make {total:,} rows, and the limit is {MAX_ROWS:,}: {buckets:,} buckets"
    if not groups:
        return f"{message}; take a coarser step or a shorter range"
    widest = max(groups, key=lambda level: len(level.uniques))
    return (
        f"{message} of {len(groups[0].codes):,} groups; {widest.name!r} alone has {len(widest.uniques):,} values. Roll "
        f"it up first, or keep the largest: .vapi.top(10, of={widest.name!r})"
    )
