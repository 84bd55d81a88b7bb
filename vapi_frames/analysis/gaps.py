"""The buckets and groups that nobody called in, as rows: over the asked range, on the calendar of its zone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

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
from vapi_frames.frames.levels import IndexLevel, build_index, dates_in_zone, distinct_rows, drop_unused
from vapi_frames.frames.meta import DerivedColumn
from vapi_frames.frames.origin import attach_meta
from vapi_frames.frames.partial import bucket_seconds
from vapi_frames.frames.provenance import CheckedFrame, check_frame

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt

__all__ = ["fill_gaps", "fill_rules", "placed"]

MARK = "filled"
MOST_ROWS = 10_000_000


def fill_gaps(
    frame: pd.DataFrame, *, mark: bool = False, concurrency: Literal["carry"] | None = None, whole: bool = False
) -> pd.DataFrame:
    """Return *frame* with a row for every bucket of the asked range, for each group that it has.

    A bucket without calls has a sum and a count of 0; its average, least and greatest are missing. Buckets that had not
    begun when the question was asked are left out.

    Args:
        frame: A result frame with a step.
        mark: Add the boolean column ``filled``, which says of each row whether it was added.
        concurrency: ``"carry"`` fills calls at once with the last value before; they are missing without it.
        whole: The rows that were left out, if any, had no calls.

    Returns:
        The same columns and types, sorted. A column of your own is missing in the rows that were added.

    Raises:
        ProvenanceError: Rows were chosen, so that one that is absent says nothing; or a row lies off the grid.
        QueryError: There is no step, or there would be more than ten million rows.

    Examples:
        >>> import vapi_frames as vf
        >>> calls = [{"id": "1", "createdAt": "2026-10-01T12:00Z", "cost": 0.5}]
        >>> question = vf.local(calls).call().sum("cost").step("day").between("2026-10-01", "2026-10-03")
        >>> question.fetch().vapi.fill_gaps()
                                   sumCost
        date
        2026-10-01 00:00:00+00:00      0.5
        2026-10-02 00:00:00+00:00      0.0
    """
    if concurrency is not None:
        require(concurrency, ("carry",), "fill for concurrency")
    held = check_frame(frame)
    held.check_whole("fill_gaps", whole=whole)
    if mark and MARK in held.own_columns:
        raise QueryError(
            f"the frame has a column {MARK!r} already: rename it, and the rows that are added can be marked"
        )
    buckets, place = placed(held)
    groups = [level for level in held.levels if level.name != "date"]
    rules = fill_rules(held, held.measures)
    if groups:
        seen, group = distinct_rows(groups)
        many = len(seen[0].codes)
    else:
        seen, group, many = [], np.zeros(len(frame), np.int64), 1
    total = len(buckets) * many
    if total > MOST_ROWS:
        raise QueryError(_too_many(total, len(buckets), seen))
    at = place * many + group
    is_filled = np.ones(total, bool)
    is_filled[at] = False
    uniques = dates_in_zone(held.meta.zone, buckets * 1_000_000)
    levels = {"date": IndexLevel("date", uniques, np.repeat(np.arange(len(buckets)), many))}
    levels |= {level.name: IndexLevel(level.name, level.uniques, np.tile(level.codes, len(buckets))) for level in seen}
    index = build_index([levels[level.name] for level in held.levels])
    result = pd.DataFrame(index=index)
    for name in frame.columns:
        if name == MARK and MARK in held.flag_columns:
            continue
        if name in rules:
            values = _spread(to_numpy(frame[name]), at, total, rules[name])
            if rules[name] == "carry" and concurrency == "carry":
                values = _carried(values, is_filled, many)
            result[name] = to_backend(values, held.backend)
        else:  # the user's own
            result[name] = frame[name].reindex(index)
    result.attrs = dict(frame.attrs)
    derived = {name: one for name, one in held.meta.derived.items() if one.rule != "flag"}
    if mark:
        before = frame[MARK].to_numpy(dtype=bool) if MARK in held.flag_columns else False
        is_filled[at] = before
        result[MARK] = is_filled
        derived[MARK] = DerivedColumn("", "flag")
    return attach_meta(result, replace(held.meta.as_whole(), derived=derived, is_filled=True))


def fill_rules(held: CheckedFrame, names: Collection[str]) -> dict[str, str]:
    """Return for each of the measures *names* what an absent row means: ``zero``, ``missing`` or ``carry``.

    Raises:
        ProvenanceError: A column holds only for the rows that there are.
    """
    rules: dict[str, str] = {one.name: one.measure.fill for one in held.meta.aggregations}
    for name, one in held.meta.derived.items():
        rules[name] = "zero" if one.rule == "sum" else "missing"
        if one.rule == "none" and name in names:
            raise ProvenanceError(f"{name!r} was computed from the rows that there are: fill the gaps first")
    return {name: rules[name] for name in names}


def placed(held: CheckedFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the buckets of the asked range that had begun, in seconds, and for each row the place of its own.

    Where the source knows of later ones, the buckets until then are among them.

    Raises:
        QueryError: There is no step.
        ProvenanceError: A row lies off the grid or out of the range, or the range is unknown.
    """
    meta = held.meta
    if meta.step is None:
        raise QueryError("the frame has no step, so there are no buckets between its rows")
    if "date" not in [level.name for level in held.levels]:
        raise ProvenanceError("the index has no level 'date' any more, so no row belongs to a bucket")
    if meta.start is None or meta.end is None:
        raise ProvenanceError("the range that was answered is unknown, so nothing says which buckets there are")
    tz = find_zone(meta.zone)
    date = drop_unused(next(level for level in held.levels if level.name == "date"))
    there = bucket_seconds(date.uniques, meta.step, tz)
    if (date.codes < 0).any():
        raise ProvenanceError("a row has no date, so it belongs to no bucket")
    end = meta.end if meta.now is None else min(meta.end, max(meta.now, meta.start))
    if len(there):
        last = from_seconds(find_bounds(int(there[-1]), meta.step, tz).end)
        end = max(end, min(meta.end, last))
    about = (meta.end - meta.start).total_seconds() / FIXED_STEPS.get(meta.step, DAY)
    if about > 2 * MOST_ROWS:
        raise QueryError(
            f"the range holds about {int(about):,} buckets of a {meta.step}; at most {MOST_ROWS:,} are made"
        )
    until = to_seconds(end) + (end.microsecond > 0)
    buckets = np.array(list_buckets(to_seconds(meta.start), until, meta.step, tz), np.int64)
    place = np.searchsorted(buckets, there)
    lost = np.flatnonzero(np.append(buckets, -1)[place] != there)
    if len(lost):
        raise ProvenanceError(f"{date.uniques[lost[0]]} lies out of the range that was asked for")
    return buckets, place[date.codes]


def _spread(values: npt.NDArray[Any], at: npt.NDArray[np.int64], total: int, rule: str) -> npt.NDArray[Any]:
    if rule == "zero" and values.dtype == np.int64:
        found: npt.NDArray[Any] = np.zeros(total, np.int64)
    else:
        found = np.full(total, 0.0 if rule == "zero" else np.nan)
    found[at] = values
    return found


def _carried(values: npt.NDArray[Any], is_filled: npt.NDArray[np.bool_], many: int) -> npt.NDArray[Any]:
    """Return *values* with the rows that were added holding the last value of their group before them."""
    table, added = values.reshape(-1, many), is_filled.reshape(-1, many)
    rows = np.where(added, 0, np.arange(len(table))[:, None])
    last = np.maximum.accumulate(rows, axis=0)
    carried = np.take_along_axis(table, last, axis=0)
    carried[np.logical_and.accumulate(added, axis=0)] = np.nan  # nothing came before
    return carried.ravel()


def _too_many(total: int, buckets: int, seen: list[IndexLevel]) -> str:
    said = f"there would be {total:,} rows, and at most {MOST_ROWS:,} are made: {buckets:,} buckets"
    if not seen:
        return f"{said}; take a coarser step or a shorter range"
    widest = max(seen, key=lambda level: len(level.uniques))
    return (
        f"{said} of {len(seen[0].codes):,} groups, most of them from {widest.name!r}, which has "
        f"{len(widest.uniques):,} values; roll it up first, or keep the top ones: "
        f".vapi.top(10, of={widest.name!r})"
    )
