"""Two periods of one query side by side: which rows face each other, and which may be compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import pandas as pd

from vapi_frames.calendar.buckets import (
    FIXED_STEPS,
    find_zone,
    floor_local,
    from_seconds,
    list_buckets,
    to_seconds,
    to_wall_seconds,
)
from vapi_frames.errors import FrameWarning, warn
from vapi_frames.frames.columns import to_backend, to_numpy
from vapi_frames.frames.derived import DerivedColumn
from vapi_frames.frames.levels import IndexLevel, build_index, dates_in_zone, distinct_rows, rank_distinct
from vapi_frames.frames.origin import attach_meta
from vapi_frames.frames.partial import bucket_seconds, elapsed_shares
from vapi_frames.frames.provenance import CheckedFrame, check_frame
from vapi_frames.query.comparison import COMPARISON_SUFFIXES
from vapi_frames.result.aggregate import percent_change

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    import numpy.typing as npt

    from vapi_frames.query.comparison import Comparison, Periods

    Codes = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

__all__ = ["compare_frames"]


class _Side(NamedTuple):
    """One period: its rows and its buckets; without a step the range is its one bucket.

    Attributes:
        checked: The rows.
        buckets: Every bucket of the range, in seconds since 1970.
        shares: Which share of each had passed and lies in the range.
        has_begun: Whether it had begun when the query was fetched.
        place: For each row, the place of its bucket.
    """

    checked: CheckedFrame
    buckets: Codes
    shares: Floats
    has_begun: npt.NDArray[np.bool_]
    place: Codes


def compare_frames(
    present: pd.DataFrame, before: pd.DataFrame, comparison: Comparison, periods: Periods
) -> pd.DataFrame:
    """Return both results on the index of the present one; see `vapi_frames.query.comparison.Comparison.fetch`."""
    query = comparison.query
    now, then = _side(check_frame(present), periods.start, periods.end), _side(check_frame(before), *periods[2:4])
    facing = _facing(now, then, comparison, periods)
    # A row of the result is a slot and a group. First come the buckets of the query, then those of the other period
    # that face none.
    alone = np.setdiff1d(np.arange(len(then.buckets)), facing)
    slot_now = np.append(np.arange(len(now.buckets)), np.full(len(alone), -1))
    slot_then = np.append(facing, alone)
    slot_of = np.empty(len(then.buckets), np.int64)
    slot_of[facing[facing >= 0]] = np.flatnonzero(facing >= 0)
    slot_of[alone] = len(now.buckets) + np.arange(len(alone))
    groups, group_now, group_then = _groups(now.checked, then.checked)
    many = len(groups[0].codes) if groups else 1
    key_now, key_then = now.place * many + group_now, slot_of[then.place] * many + group_then
    keys, rows = rank_distinct(np.concatenate([key_now, key_then]), (len(now.buckets) + len(alone)) * many)
    row_now, row_then = rows[: len(key_now)], rows[len(key_now) :]
    slot, group = keys // max(many, 1), keys % max(many, 1)
    # What is known of a slot, then of its rows: there are many more rows than slots.
    is_known, was_there = np.append(now.has_begun, False)[slot_now], slot_then >= 0
    is_both = is_known & was_there
    is_alike = is_both
    if query.time_step:
        share_now, share_then = np.append(now.shares, np.nan)[slot_now], np.append(then.shares, np.nan)[slot_then]
        is_alike = is_both & np.isclose(share_now, share_then, rtol=0, atol=1e-9)
    unlike_rows = int((is_both & ~is_alike)[slot].sum())
    not_alike = None if is_alike.all() else ~is_alike[slot]
    columns: dict[str, Any] = {}
    known: dict[str, DerivedColumn] = {}
    for one in query.measures:
        nothing = 0.0 if one.measure.fill == "zero" else np.nan
        value = _spread(now.checked, one.name, row_now, np.where(is_known, nothing, np.nan)[slot])
        other = _spread(then.checked, one.name, row_then, np.where(was_there, nothing, np.nan)[slot])
        delta = value - other
        if not_alike is not None:
            delta[not_alike] = np.nan
        unit = now.checked.meta.units[one.name]
        columns[one.name] = value
        for word, values, in_ in zip(
            COMPARISON_SUFFIXES, (other, delta, percent_change(delta, other)), (unit, unit, "%"), strict=True
        ):
            columns[f"{one.name}{word}"] = values
            known[f"{one.name}{word}"] = DerivedColumn(in_, "none", made=(word.lower(),))
    levels = [IndexLevel(one.name, one.uniques, one.codes[group]) for one in groups]
    frame = pd.DataFrame(
        {name: to_backend(values, now.checked.backend) for name, values in columns.items()}, copy=False
    )
    if query.time_step:
        levels = [IndexLevel("date", dates_in_zone(query.zone.key, now.buckets * 1_000_000), slot_now[slot]), *levels]
        frame["dateBefore"] = dates_in_zone(query.zone.key, then.buckets * 1_000_000).take(
            slot_then[slot], fill_value=cast("Any", pd.NaT)
        )
        known["dateBefore"] = DerivedColumn("", "flag", made=("beside",))
    if levels:
        frame.index = build_index(levels)
    frame.attrs = dict(present.attrs)
    notes = _warn_unlike(unlike_rows, query.time_step)
    meta = replace(now.checked.meta, derived=known, before=periods[2:4], notes=(*now.checked.meta.notes, *notes))
    return attach_meta(frame, meta)


def _warn_unlike(count: int, step: str | None) -> tuple[str, ...]:
    if not count:
        return ()
    rows = f"{count} row{'' if count == 1 else 's'}"
    note = f"{rows} of a partial {step} cannot be compared: another share of the matching {step} has elapsed"
    warn(note, FrameWarning)
    return (note,)


def _side(checked: CheckedFrame, start: datetime, end: datetime) -> _Side:
    meta = checked.meta
    if meta.step is None:
        return _Side(
            checked, np.zeros(1, np.int64), np.ones(1), np.ones(1, bool), np.zeros(len(checked.frame), np.int64)
        )
    tz = find_zone(meta.zone)
    until = to_seconds(end) + (end.microsecond > 0)
    buckets = np.array(list_buckets(to_seconds(start), until, meta.step, tz), np.int64)
    ranged = replace(meta, start=start, end=end)
    now = end if meta.now is None else meta.now
    [date] = [level for level in checked.levels if level.name == "date"]
    place = np.searchsorted(buckets, bucket_seconds(date.uniques, meta.step, tz))[date.codes]
    return _Side(
        checked, buckets, elapsed_shares(buckets, ranged, tz), buckets < now.timestamp(), place.astype(np.int64)
    )


def _groups(now: CheckedFrame, then: CheckedFrame) -> tuple[list[IndexLevel], Codes, Codes]:
    """Return the groups that either period has, ascending, and each row's place among them."""
    levels = []
    for one in now.levels:
        if one.name == "date":
            continue
        [other] = [level for level in then.levels if level.name == one.name]
        uniques = one.uniques.union(other.uniques)
        if isinstance(one.uniques, pd.CategoricalIndex):
            texts = pd.CategoricalIndex(one.uniques).categories.union(pd.CategoricalIndex(other.uniques).categories)
            uniques = pd.CategoricalIndex(texts, categories=texts)
        codes = [np.append(uniques.get_indexer(level.uniques), -1)[level.codes] for level in (one, other)]
        levels.append(IndexLevel(one.name, uniques.rename(one.name), np.concatenate(codes).astype(np.int64)))
    split = len(now.frame)
    if not levels:
        return [], np.zeros(split, np.int64), np.zeros(len(then.frame), np.int64)
    seen, group = distinct_rows(levels)
    return seen, group[:split], group[split:]


def _spread(checked: CheckedFrame, name: str, rows: Codes, found: Floats) -> Floats:
    """Return *found* with the column in its place at *rows*."""
    found[rows] = to_numpy(checked.frame[name])
    return found


def _facing(now: _Side, then: _Side, comparison: Comparison, periods: Periods) -> Codes:
    """Return for each bucket the place of the one before that faces it, -1 for none."""
    step, tz = comparison.query.time_step, comparison.query.zone
    if step is None or comparison.align == "ordinal":
        place = np.arange(len(now.buckets))
        return np.where(place < len(then.buckets), place, -1)
    there = {wall: i for i, wall in enumerate(_walls(then.buckets, step, tz))}
    found = []
    for wall, occurrence in _walls(now.buckets, step, tz):
        other = comparison.partner(wall, periods)
        found.append(-1 if other is None else there.get((other, occurrence), -1))
    return np.array(found, np.int64)


def _walls(buckets: Codes, step: str, tz: ZoneInfo) -> list[tuple[datetime, int]]:
    """Return where on the wall clock each bucket starts, and how many before it started there, too."""
    seen: dict[datetime, int] = {}
    found = []
    for at in buckets.tolist():
        wall = from_seconds(at).astimezone(tz).replace(tzinfo=None)
        if step not in FIXED_STEPS:  # of a midnight that does not exist, the clock shows another time
            floor = floor_local(to_wall_seconds(wall), step)
            wall = from_seconds(floor).astimezone(UTC).replace(tzinfo=None)
        seen[wall] = seen.get(wall, -1) + 1
        found.append((wall, seen[wall]))
    return found
