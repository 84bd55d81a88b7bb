"""`typical_week`: what happens at which weekday and hour, over all those that the range has, with calls or without."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from vapi_frames.analysis.arguments import check_flag, check_level_is_free, read_names
from vapi_frames.analysis.gaps import find_fill_rules, locate_buckets, note_late_begin
from vapi_frames.analysis.periods import check_one_period
from vapi_frames.analysis.regroup import check_own_columns, find_query, plan_reaggregation
from vapi_frames.analysis.rollup import rollup
from vapi_frames.calendar.buckets import find_bounds, find_zone, split_by_offset
from vapi_frames.contract.vocabulary import STEPS
from vapi_frames.errors import FrameWarning, NonAdditiveError, QueryError, UnknownWordError, format_value, require, warn
from vapi_frames.frames.columns import to_backend
from vapi_frames.frames.derived import DerivedColumn
from vapi_frames.frames.layout import keep_layout
from vapi_frames.frames.levels import IndexLevel, build_index, distinct_rows
from vapi_frames.frames.origin import add_note, attach_meta
from vapi_frames.frames.partial import drop_partial, floor_to_step
from vapi_frames.frames.provenance import check_frame
from vapi_frames.result.aggregate import aggregate, divide

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    import numpy.typing as npt

    from vapi_frames.contract.vocabulary import Step
    from vapi_frames.frames.provenance import CheckedFrame

    Seconds = npt.NDArray[np.int64]

__all__ = ["WeekLevel", "typical_week"]

WeekLevel: TypeAlias = Literal["weekday", "hour", "open"]
LEVELS: tuple[str, ...] = get_args(WeekLevel)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SLOTS = "slots"
_PER_SLOT = "PerSlot"

_WORKDAYS = WEEKDAYS[:5]
_SHORT = 3  # letters of a weekday that tell it
_SYNONYMS = {"day": "weekday", "dayofweek": "weekday", "dow": "weekday", "hours": "hour", "hourofday": "hour",
             "business hours": "open", "opening hours": "open", "closed": "open"}  # fmt: skip
_TIME = re.compile(r"(\d{1,2}):00")
_DAY = 24
_OFFICE_HOURS = ("09:00", "17:00")


@keep_layout
def typical_week(
    frame: pd.DataFrame,
    by: WeekLevel | Sequence[WeekLevel] = ("weekday", "hour"),
    *,
    hours: tuple[str, str] | None = None,
    days: str | Sequence[str] | None = None,
    whole: bool = False,
) -> pd.DataFrame:
    """Return *frame* by the slots of a week: the mean over all slots of the range, their total and their number.

    A slot without calls has no row in the frame, and counts all the same: the mean of the rows alone is too high. The
    slots are those of the calendar in the frame's zone, so a day of 23 or 25 hours counts correctly. Slots that the
    range, or the time of the fetch, cuts are left out, with a warning.

    Args:
        frame: A result frame by hour, or finer; for ``by="weekday"`` alone, by day or finer.
        by: One or several of ``"weekday"``, ``"hour"`` (0 to 23, on the wall clock) and ``"open"`` (``open`` or
            ``closed``).
        hours: With ``"open"``: from when until when it is open, on whole hours, e.g. ``("09:00", "17:00")``, which is
            the default; ``("22:00", "06:00")`` is until the next morning.
        days: With ``"open"``: the weekdays on which it opens, e.g. ``["Mon", "Tue"]``; Monday to Friday by default.
        whole: Declare that the rows that are not in the frame, if any, had no calls.

    Returns:
        A row for each slot that the range has and each group. Index: the levels in the order of *by*, then the groups;
        weekdays are ordered categories, hours integers. Columns: the measures over all calls of the slot; ``slots``,
        how many hours (by weekday alone, days) of the range it is (int64); and for each sum and count the mean,
        ``countIdPerSlot`` in calls/hour.

    Raises:
        ProvenanceError: Rows were left out before, so an absent one may have calls; or the range is unknown.
        NonAdditiveError: A measure cannot be re-aggregated exactly.
        QueryError: There is no step, or a coarser one; or *by*, *hours* or *days* are not as described.

    Warns:
        FrameWarning: Rows of partial hours or days are left out.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().step("hour").during("2026-10").fetch()
        >>> df.pipe(vf.analysis.typical_week).loc[("Monday", 9)].to_dict()
        {'countId': 6.0, 'slots': 4.0, 'countIdPerSlot': 1.5}
    """
    check_flag(whole, "whole")
    names = _read_levels(by)
    is_open = _read_opening(names, hours, days)
    unit: Step = "day" if names == ["weekday"] else "hour"
    checked = check_frame(frame)
    _check_step(checked, unit)
    checked.check_whole("typical_week", whole=whole)
    check_one_period(checked, "typical_week", NonAdditiveError)
    check_own_columns(checked)
    for name in names:
        check_level_is_free(checked, name)
    if not checked.is_whole:  # the caller says that it is
        checked = check_frame(attach_meta(frame.copy(deep=False), checked.meta.as_whole(), checked.rows))
    if checked.meta.step != unit:
        checked = check_frame(rollup(checked.frame, unit))
    rows = len(checked.frame)
    checked = check_frame(drop_partial(checked.frame))
    left_out = rows - len(checked.frame)
    buckets, place = locate_buckets(checked)
    slots, slot = distinct_rows(
        _slot_levels(names, _wall_seconds(buckets, unit, find_zone(checked.meta.zone)), is_open)
    )
    result = _make_rows(checked, slots, slot, place, unit)
    meta = checked.meta.with_step(None)
    known, measures = dict(meta.derived), checked.measures
    known[SLOTS] = DerivedColumn(f"{unit}s", "none", made=("slots", unit, *names))
    units = meta.all_units()
    for name in measures:
        if (mean := f"{name}{_PER_SLOT}") in result:
            known[mean] = DerivedColumn(f"{units[name]}/{unit}", "none", (name, SLOTS), made=("mean", unit))
    origins = dict.fromkeys(names, "date")
    meta = replace(meta, derived=known, derived_levels={**meta.derived_levels, **origins})
    attach_meta(result, meta)
    if left_out:
        note = f"{left_out:,} row{'s' * (left_out != 1)} of partial {unit}s left out"
        add_note(result, note)
        warn(f"{note}: the range, or the time of the fetch, cuts these {unit}s", FrameWarning)
    return note_late_begin(checked.meta, result)


# --- the arguments --------------------------------------------------------------------------------------------------


def _read_levels(by: object) -> list[str]:
    """Return the levels of the slots."""
    names = read_names(by, "by", '["weekday", "hour"]')
    if not names:
        raise QueryError(f"by is empty: pass one or several of {', '.join(map(repr, LEVELS))}")
    for position, name in enumerate(names):
        require(name, LEVELS, "level of a week", synonyms=_SYNONYMS)
        if name in names[:position]:
            raise QueryError(f"{name!r} is twice in by")
    return names


def _read_opening(names: list[str], hours: object, days: object) -> npt.NDArray[np.bool_]:
    """Return for each weekday, from Monday, and each hour whether it is open."""
    if "open" not in names and (hours is not None or days is not None):
        word = "days" if hours is None else "hours"
        raise QueryError(f'{word}= says when it is open, and by does not ask: pass by=["open"], or leave {word} out')
    begin, end = _read_hours(_OFFICE_HOURS if hours is None else hours)
    opens = np.zeros(len(WEEKDAYS), bool)
    opens[[WEEKDAYS.index(day) for day in _read_days(_WORKDAYS if days is None else days)]] = True
    hour = np.arange(_DAY)
    if begin < end:
        return opens[:, None] & ((hour >= begin) & (hour < end))
    return (opens[:, None] & (hour >= begin)) | (np.roll(opens, 1)[:, None] & (hour < end))


def _read_hours(hours: object) -> tuple[int, int]:
    example = 'pass whole hours, e.g. hours=("09:00", "17:00")'
    if not isinstance(hours, tuple | list) or len(hours) != len(_OFFICE_HOURS):
        raise QueryError(f"hours must be two times of the day, not {format_value(hours)}: {example}")
    found = [_TIME.fullmatch(one) if isinstance(one, str) else None for one in hours]
    times = [int(one[1]) if one else -1 for one in found]
    for time, written in zip(times, hours, strict=True):
        if not 0 <= time <= _DAY:
            raise QueryError(f"{format_value(written)} in hours is no whole hour from 00:00 to 24:00: {example}")
    begin, end = times
    if begin in (end, _DAY):
        raise QueryError(f'hours {format_value(hours)} are no part of a day; all day is hours=("00:00", "24:00")')
    return begin, end


def _read_days(days: object) -> list[str]:
    """Return the full names of weekdays."""
    names = read_names(days, "days", '["Mon", "Tue"]')
    if not names:
        raise QueryError('days is empty: pass the weekdays on which it opens, e.g. days=["Mon", "Tue"]')
    words = {word.casefold(): day for day in WEEKDAYS for word in (day, day[:_SHORT])}
    for name in names:
        if name.strip().casefold() not in words:
            raise UnknownWordError(name, "weekday", WEEKDAYS)
    return [words[name.strip().casefold()] for name in names]


def _check_step(checked: CheckedFrame, unit: str) -> None:
    """Raise `QueryError` unless the frame's buckets are those of *unit* or finer."""
    step = checked.meta.step
    if step is None:
        raise QueryError(f"the frame has no step, so it has no {unit}s: add .step({unit!r}) to the query")
    if STEPS.index(step) > STEPS.index(unit):
        other = ', or pass by="weekday"' if step == "day" else ""
        raise QueryError(f"the frame is by {step}, and the slots are {unit}s: add .step({unit!r}) to the query{other}")


# --- the slots ------------------------------------------------------------------------------------------------------


def _wall_seconds(buckets: Seconds, step: str, tz: ZoneInfo) -> Seconds:
    """Return where on the wall clock each bucket starts, in seconds since the local 1970."""
    starts = buckets.copy()
    if not len(starts):
        return starts
    # Where the clock changes, the label of a bucket may lie outside of it.
    for place in np.flatnonzero(floor_to_step(buckets, step, tz) != buckets).tolist():
        starts[place] = find_bounds(int(buckets[place]), step, tz).start
    segments = list(split_by_offset(int(starts.min()), int(starts.max()) + 1, tz))
    begins = np.array([begin for begin, *_ in segments], np.int64)
    offsets = np.array([offset for *_, offset in segments], np.int64)
    wall: Seconds = starts + offsets[np.searchsorted(begins, starts, "right") - 1]
    return wall


def _slot_levels(names: list[str], wall: Seconds, is_open: npt.NDArray[np.bool_]) -> list[IndexLevel]:
    """Return the levels of the slots, for each bucket that starts at *wall*."""
    weekday, hour = (wall // 86_400 + 3) % 7, wall // 3_600 % _DAY  # 1970 began on a Thursday
    levels = {
        "weekday": IndexLevel("weekday", pd.CategoricalIndex(WEEKDAYS, categories=WEEKDAYS, ordered=True), weekday),
        "hour": IndexLevel("hour", pd.Index(np.arange(_DAY)), hour),
        "open": IndexLevel("open", pd.Index(["closed", "open"]), is_open[weekday, hour].astype(np.int64)),
    }
    return [levels[name] for name in names]


def _make_rows(
    checked: CheckedFrame, slots: list[IndexLevel], slot: Seconds, place: Seconds, unit: Step
) -> pd.DataFrame:
    """Return a row for each slot and each group.

    Args:
        checked: The frame by hour or day.
        slots: The distinct slots.
        slot: For each bucket of the range, the place of its slot.
        place: For each row, the place of its bucket.
        unit: The step.
    """
    measures = checked.measures
    groups = [level for level in checked.levels if level.name != "date"]
    instead = find_query(checked, groups, unit).with_counts()
    plan = plan_reaggregation(checked, measures, instead, over_time=True, over_groups=False)
    rules = find_fill_rules(checked, measures)
    distinct, group = distinct_rows(groups) if groups else ([], np.zeros(len(place), np.int64))
    many = len(distinct[0].codes) if groups else 1
    count = len(slots[0].codes)
    codes = slot[place] * many + group
    columns: dict[str, Any] = aggregate(plan, checked.arrays(measures), codes, count * many)
    is_empty = np.bincount(codes, minlength=count * many) == 0
    for name, values in columns.items():
        if rules[name] == "zero":
            values[is_empty] = 0
    for name in measures:
        if name not in columns:
            ratio = checked.meta.derived[name]
            columns[name] = divide(columns[ratio.parts[0]], columns[ratio.parts[1]], ratio.scale)
    means = [name for name in measures if rules[name] == "zero"]
    for name in (SLOTS, *(f"{one}{_PER_SLOT}" for one in means)):
        if name in {*checked.frame.columns, *checked.meta.units, *checked.meta.levels}:
            raise QueryError(f"the frame already has a column or level {name!r}: give it another name")
    columns = {name: columns[name] for name in measures}
    columns[SLOTS] = np.repeat(np.bincount(slot, minlength=count), many)
    columns |= {f"{name}{_PER_SLOT}": divide(columns[name], columns[SLOTS]) for name in means}
    levels = [IndexLevel(one.name, one.uniques, np.repeat(one.codes, many)) for one in slots]
    levels += [IndexLevel(one.name, one.uniques, np.tile(one.codes, count)) for one in distinct]
    made = {name: to_backend(values, checked.backend) for name, values in columns.items()}
    result = pd.DataFrame(made, index=build_index(levels))
    result.attrs = dict(checked.frame.attrs)
    return result
