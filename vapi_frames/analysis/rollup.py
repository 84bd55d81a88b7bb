"""To coarser buckets and fewer groups: exactly, or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vapi_frames.calendar import buckets
from vapi_frames.contract.vocabulary import GROUP_COLUMNS, GROUP_SYNONYMS, STEP_SYNONYMS, STEPS
from vapi_frames.errors import NonAdditiveError, ProvenanceError, QueryError, require
from vapi_frames.frames.columns import to_backend
from vapi_frames.frames.levels import IndexLevel, build_index, dates_in_zone, distinct_rows, drop_unused
from vapi_frames.frames.origin import attach_meta
from vapi_frames.frames.partial import bucket_seconds, floor_to_step
from vapi_frames.frames.provenance import check_frame
from vapi_frames.query.aggregation import Reaggregation, find_reaggregation
from vapi_frames.result.aggregate import aggregate, divide

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, Literal
    from zoneinfo import ZoneInfo

    import numpy.typing as npt

    from vapi_frames.contract.vocabulary import Step
    from vapi_frames.frames.provenance import CheckedFrame
    from vapi_frames.query.query import Query

__all__ = ["instead", "plan", "regroup", "rollup"]


ALL = "all"
_SPOKEN = STEP_SYNONYMS | {"total": ALL, "range": ALL, "none": ALL, "whole": ALL, "everything": ALL}

# From each step to the coarser ones whose buckets are made of whole ones of it.
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


def rollup(
    frame: pd.DataFrame, step: Step | Literal["all"] | None = None, by: str | Sequence[str] | None = None
) -> pd.DataFrame:
    """Return *frame* at a coarser step, with fewer groups, or both; each number is exact.

    Sums and counts add, the least and greatest nest, an average comes from its count and its sum or itself, a ratio
    from its parts. The rows that are there are rolled up.

    Args:
        frame: A result frame.
        step: The coarser step, or ``"all"`` for the whole range as one; as it is, by default.
        by: The groups to keep, by the names of their levels; all of them by default, none for ``[]``.

    Returns:
        The same measures and types. Index: ``date`` if there still is a step, then the groups in the order of *by*;
        without both, one row.

    Raises:
        NonAdditiveError: A measure cannot be made again exactly; the error names the question to ask instead.
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
    held = check_frame(frame)
    is_all = step == ALL
    coarser = _checked_step(held, step)
    groups = _checked_groups(held, by)
    dates = [level for level in held.levels if level.name == "date"]
    over_time = bool(dates) and (is_all or coarser != held.meta.step)
    over_groups = len(groups) < len(held.levels) - len(dates)
    wanted = coarser if dates else held.meta.step
    better = instead(held, groups, wanted)
    recipes = plan(held, held.measures, over_time=over_time, over_groups=over_groups, better=better)
    if over_time and coarser is not None:
        try:
            dates = [_coarser(dates[0], held, coarser)]
        except NonAdditiveError as error:
            raise NonAdditiveError(f"{error}; ask {better!r}") from None
    levels = [*([] if over_time and coarser is None else dates), *groups]
    return regroup(held, levels, recipes, step=wanted)


def _checked_step(held: CheckedFrame, step: str | None) -> str | None:
    """Return the step of the result, ``None`` for the whole range."""
    here = held.meta.step
    if step is None:
        return here
    require(step, (*STEPS, ALL), "step", synonyms=_SPOKEN)
    if step == ALL:
        return None
    if here is None:
        raise QueryError(f"the frame has no step to roll up from: ask for one finer than a {step}, or by {step} itself")
    if "date" not in [level.name for level in held.levels]:
        raise ProvenanceError("the index has no level 'date' any more: roll up before choosing a date")
    if step == here:
        return step
    if STEPS.index(step) < STEPS.index(here):
        raise QueryError(f"a {step} is finer than the frame's {here}; ask .step({step!r}) for it")
    if step not in NESTS[here]:
        other = ", ".join(NESTS[here]) or "no other step, only 'all'"
        raise NonAdditiveError(
            f"a {step} is not made of whole {_plural(here)}, which nest in {other}; "
            f"ask {instead(held, held.levels, step)!r}"
        )
    return step


def _plural(step: str) -> str:
    return {"century": "centuries", "millennium": "millennia"}.get(step, f"{step}s")


def _checked_groups(held: CheckedFrame, by: str | Sequence[str] | None) -> list[IndexLevel]:
    """Return the levels that are kept, in the order asked."""
    there = {level.name: level for level in held.levels if level.name != "date"}
    if by is None:
        return list(there.values())
    wanted = [by] if isinstance(by, str) else list(by)
    for position, name in enumerate(wanted):
        if name == "date":
            raise QueryError("the date is no group: it stays, and step='all' drops it")
        hint = f"Ask for it: .by({name!r})." if name in GROUP_COLUMNS else ""
        require(name, there, "group of the frame", synonyms=GROUP_SYNONYMS, hint=hint)
        if name in wanted[:position]:
            raise QueryError(f"{name!r} stands twice in by")
    return [there[name] for name in wanted]


def _coarser(date: IndexLevel, held: CheckedFrame, step: str) -> IndexLevel:
    """Return the level of the coarser buckets.

    Raises:
        NonAdditiveError: A finer bucket lies in two coarser ones, because the clock was turned within it.
    """
    fine, tz = held.meta.step or "", buckets.find_zone(held.meta.zone)
    date = drop_unused(date)
    instants = bucket_seconds(date.uniques, fine, tz)
    coarse = floor_to_step(instants, step, tz)
    if fine in buckets.FIXED_STEPS and len(instants):
        for place, label in _turned(instants, fine, step, tz):
            coarse[place] = label
    labels, places = np.unique(coarse, return_inverse=True)
    made = dates_in_zone(held.meta.zone, labels * 1_000_000)
    return IndexLevel("date", made, np.append(places, -1)[date.codes].astype(np.int64))


def _turned(instants: npt.NDArray[np.int64], fine: str, step: str, tz: ZoneInfo) -> Iterator[tuple[int, int]]:
    """Yield the place and the coarser bucket of each bucket that the clock was turned in or before.

    It may bear a name that lies outside of it. All others lie in the coarser bucket that their name lies in.
    """
    there = {at: place for place, at in enumerate(instants.tolist())}
    for change, _ in buckets.find_offset_changes(int(instants.min()) - 1, int(instants.max()) + 2 * 3600, tz):
        for bucket in {
            buckets.floor_to_bucket(change - 1, fine, tz),
            buckets.floor_to_bucket(change, fine, tz),
        } & there.keys():
            span = buckets.find_bounds(bucket, fine, tz)
            inside = [at for at in (span.start, change - 1, change, span.end - 1) if span.start <= at < span.end]
            label, *others = {buckets.floor_to_bucket(at, step, tz) for at in inside}
            if others:
                at = buckets.from_seconds(bucket).astimezone(tz).isoformat()
                raise NonAdditiveError(
                    f"the {fine} {at} in {tz.key} lies in two {_plural(step)}: the clock was turned within it"
                )
            yield there[bucket], label


def instead(held: CheckedFrame, levels: Iterable[IndexLevel], step: str | None) -> Query[Any]:
    """Return the question that gives the coarser rows directly."""
    names = [*(["date"] if step else []), *(level.name for level in levels if level.name != "date")]
    meta = held.meta.select(held.measures, names).with_step(step)
    try:
        return meta.query
    except ProvenanceError:  # of rows that no query gives, that of all rows
        return meta.result_query


def plan(
    held: CheckedFrame, names: Iterable[str], *, over_time: bool, over_groups: bool, better: Query[Any]
) -> list[Reaggregation]:
    """Return how the measures *names* are made again; what has no recipe is a ratio, which comes from its parts.

    Raises:
        NonAdditiveError: One cannot be made exactly; *better* is the question to ask instead.
    """
    beside = [one for one in held.meta.aggregations if one.name in held.measures]
    asked = {one.name: one for one in beside}
    found = []
    for name in names:
        if not (over_time or over_groups):
            found.append(Reaggregation(name, "sum"))  # of one row each
        elif name in asked:
            try:
                found.append(find_reaggregation(asked[name], beside, over_time=over_time, over_groups=over_groups))
            except NonAdditiveError as error:
                raise NonAdditiveError(f"{error}; ask {better!r}") from None
        else:
            one = held.meta.derived[name]
            lost = [part for part in one.parts if part not in held.measures]
            if one.rule == "none" or lost:
                why = f"its parts {', '.join(lost)} are no columns any more" if lost else "it holds for these rows only"
                raise NonAdditiveError(
                    f"{name!r} does not add up, {why}: leave it out, df.drop(columns={name!r}), and compute it after"
                )
            if one.rule == "sum":
                found.append(Reaggregation(name, "sum"))
    return found


def regroup(
    held: CheckedFrame,
    levels: list[IndexLevel],
    recipes: list[Reaggregation],
    *,
    step: str | None,
    derived_levels: dict[str, str] | None = None,
) -> pd.DataFrame:
    """Return the rows of *held* put together under new *levels*.

    Args:
        held: The finer rows.
        levels: For each of them, the coarser row that it belongs to.
        recipes: How their columns are made again.
        step: The step of the result.
        derived_levels: Level → the group that it was made from, for new ones.
    """
    if levels:
        levels, codes = distinct_rows(levels)
        size, index = len(levels[0].codes), build_index(levels)
    else:
        codes, size, index = np.zeros(len(held.frame), np.int64), 1, pd.RangeIndex(1)
    if held.own_columns:
        raise NonAdditiveError(
            f"nothing says how {held.own_columns[0]!r} adds up: leave it out, "
            f"df.drop(columns={held.own_columns!r}), and compute it after"
        )
    columns = aggregate(recipes, held.arrays(held.measures), codes, size)
    arrays: dict[str, Any] = {}
    for name in held.measures:
        if name not in columns:
            ratio = held.meta.derived[name]
            columns[name] = divide(columns[ratio.parts[0]], columns[ratio.parts[1]], ratio.scale)
        arrays[name] = to_backend(columns[name], held.backend)
    result = pd.DataFrame(arrays, index=index)
    result.attrs = dict(held.frame.attrs)
    meta = replace(held.meta, derived_levels={**held.meta.derived_levels, **(derived_levels or {})})
    if step != meta.step and (meta.is_incomplete or (meta.choice and not meta.choice.is_query)):
        meta = replace(meta, has_flags=False)  # nothing tells which part of the coarser buckets the rows cover
    return attach_meta(result, meta.with_step(step))
