"""`rollup`: to coarser buckets and fewer groups, exactly or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vapi_frames.analysis.arguments import read_names
from vapi_frames.analysis.periods import has_periods
from vapi_frames.analysis.regroup import find_query, regroup
from vapi_frames.calendar import buckets
from vapi_frames.contract.record_words import RECORD_GROUPS
from vapi_frames.contract.vocabulary import GROUP_COLUMNS, GROUP_SYNONYMS, STEP_SYNONYMS, STEPS
from vapi_frames.errors import NonAdditiveError, ProvenanceError, QueryError, require
from vapi_frames.frames.layout import keep_layout
from vapi_frames.frames.levels import IndexLevel, dates_in_zone, drop_unused
from vapi_frames.frames.partial import bucket_seconds, floor_to_step
from vapi_frames.frames.provenance import check_frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal
    from zoneinfo import ZoneInfo

    import numpy.typing as npt
    import pandas as pd

    from vapi_frames.contract.vocabulary import Step
    from vapi_frames.frames.provenance import CheckedFrame

__all__ = ["rollup"]


ALL = "all"
_SYNONYMS = STEP_SYNONYMS | dict.fromkeys(("total", "range", "none", "whole", "everything"), ALL)

# Step → the coarser ones with buckets that consist of whole buckets of it.
_CLOCK = ("second", "minute", "hour", "day")
_CALENDAR = ("week", "month", "quarter", "year", "decade", "century", "millennium")
NESTS: dict[str, tuple[str, ...]] = {
    **{step: (*_CLOCK[i + 1 :], *_CALENDAR) for i, step in enumerate(_CLOCK)},
    "week": (),
    "month": _CALENDAR[2:],
    "quarter": _CALENDAR[3:],
    "year": _CALENDAR[4:],
    "decade": (),  # a century starts in a year that ends in 1
    "century": ("millennium",),
    "millennium": (),
}


@keep_layout
def rollup(
    frame: pd.DataFrame, step: Step | Literal["all"] | None = None, by: str | Sequence[str] | None = None
) -> pd.DataFrame:
    """Return *frame* at a coarser step, with fewer groups, or both; each number is exact.

    Sums and counts add up; the smallest minimum and the largest maximum stay; an average is computed again from its
    count and its sum or itself, a ratio from its parts. Of a selection of rows, only these are rolled up.

    Args:
        frame: A result frame.
        step: The coarser step, or ``"all"`` for the whole range as one; by default, the frame's.
        by: The groups of the result, by the names of their levels; by default, the frame's, none for ``[]``.

    Returns:
        The same measures and types. Index: ``date`` where the result has a step, then the groups in the order of *by*;
        without both, one row.

    Raises:
        NonAdditiveError: A measure cannot be re-aggregated exactly; the error names the query to fetch instead.
        QueryError: The step is not coarser, or the buckets do not nest.
        UnknownWordError: There is no such step or group.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").by("type").step("day").during("2026-10").fetch()
        >>> df.vapi.rollup(step="month", by=[]).round(2)
                                   sumCost
        date
        2026-10-01 00:00:00+00:00  2142.22
    """
    checked = check_frame(frame)
    coarser = _check_step(checked, step)
    groups = _check_groups(checked, by)
    dates = [level for level in checked.levels if level.name == "date"]
    over_time = bool(dates) and (step == ALL or coarser != checked.meta.step)
    over_groups = len(groups) < len(checked.levels) - len(dates)
    new_step = coarser if dates else checked.meta.step
    instead = find_query(checked, groups, new_step)
    if over_time and coarser and has_periods(checked):
        raise NonAdditiveError(
            f"the buckets of a comparison face each other one by one, and those of step {coarser!r} may begin on other "
            f"days in the earlier period: roll up to 'all', or fetch the comparison with that step, "
            f"{instead}.compare(...)"
        )
    if over_time:
        try:
            dates = [_coarser_dates(dates[0], checked, coarser)] if coarser else []
        except NonAdditiveError as error:
            raise NonAdditiveError(f"{error}; fetch {instead}") from None
    return regroup(checked, [*dates, *groups], instead, step=new_step, over_time=over_time, over_groups=over_groups)


def _check_step(checked: CheckedFrame, step: str | None) -> str | None:
    """Return the step of the result, ``None`` for the whole range."""
    finer = checked.meta.step
    if step is None:
        return finer
    require(step, (*STEPS, ALL), "step", synonyms=_SYNONYMS)
    if step == ALL:
        return None
    if finer is None:
        raise QueryError(
            f"the frame has no step, so it cannot be rolled up to step {step!r}: add .step({step!r}) to the query"
        )
    if "date" not in [level.name for level in checked.levels]:
        raise ProvenanceError("the index has lost its level 'date': roll up before you select a date")
    if step == finer:
        return step
    if STEPS.index(step) < STEPS.index(finer):
        raise QueryError(
            f"step {step!r} is finer than the step of the frame, {finer!r}: add .step({step!r}) to the query"
        )
    if step not in NESTS[finer]:
        others = " or ".join(map(repr, (*NESTS[finer], ALL)))
        raise NonAdditiveError(
            f"a bucket of step {step!r} does not consist of whole buckets of step {finer!r}: they roll up to {others}. "
            f"For step {step!r} fetch {find_query(checked, checked.levels, step)}"
        )
    return step


def _check_groups(checked: CheckedFrame, by: str | Sequence[str] | None) -> list[IndexLevel]:
    """Return the levels of the result's groups, in the order of *by*."""
    levels = {level.name: level for level in checked.levels if level.name != "date"}
    if by is None:
        return list(levels.values())
    names = read_names(by, "by", '["type"]')
    for position, name in enumerate(names):
        if name == "date":
            raise QueryError("'date' is not a group: rollup keeps it, and step='all' drops it")
        hint = f"Add it to the query: .by({name!r})." if name in (*GROUP_COLUMNS, *RECORD_GROUPS) else ""
        require(name, levels, "group of the frame", synonyms=GROUP_SYNONYMS, hint=hint)
        if name in names[:position]:
            raise QueryError(f"{name!r} is twice in by")
    return [levels[name] for name in names]


def _coarser_dates(date: IndexLevel, checked: CheckedFrame, step: str) -> IndexLevel:
    """Return the level of the coarser buckets.

    Raises:
        NonAdditiveError: A finer bucket lies in two coarser ones, because the clock changes within it.
    """
    finer, tz = checked.meta.step or "", buckets.find_zone(checked.meta.zone)
    date = drop_unused(date)
    instants = bucket_seconds(date.uniques, finer, tz)
    coarse = floor_to_step(instants, step, tz)
    if finer in buckets.FIXED_STEPS and len(instants):
        for place, label in _buckets_at_changes(instants, finer, step, tz):
            coarse[place] = label
    labels, places = np.unique(coarse, return_inverse=True)
    dates = dates_in_zone(checked.meta.zone, labels * 1_000_000)
    return IndexLevel("date", dates, np.append(places, -1)[date.codes].astype(np.int64))


def _buckets_at_changes(
    instants: npt.NDArray[np.int64], finer: str, step: str, tz: ZoneInfo
) -> Iterator[tuple[int, int]]:
    """Yield the place and the coarser bucket of each bucket at which the zone's clock changes.

    Such a bucket may have a label that lies outside of it. All others lie in the same coarser bucket as their label.
    """
    places = {at: place for place, at in enumerate(instants.tolist())}
    for change, _ in buckets.find_offset_changes(int(instants.min()) - 1, int(instants.max()) + 2 * 3600, tz):
        around = {buckets.floor_to_bucket(at, finer, tz) for at in (change - 1, change)}
        for bucket in around & places.keys():
            span = buckets.find_bounds(bucket, finer, tz)
            inside = [at for at in (span.start, change - 1, change, span.end - 1) if span.start <= at < span.end]
            label, *others = {buckets.floor_to_bucket(at, step, tz) for at in inside}
            if others:
                at = buckets.from_seconds(bucket).astimezone(tz).isoformat()
                raise NonAdditiveError(
                    f"the {finer} {at} in {tz.key} lies in two buckets of step {step!r}: the clock changes within it"
                )
            yield places[bucket], label
