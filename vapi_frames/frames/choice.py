"""What a choice of rows is about: the range and the groups that it covers, so that a query can give it again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vapi_frames.calendar.buckets import find_bounds, find_edge_before, find_zone, floor_to_bucket, from_seconds
from vapi_frames.frames.meta import Choice
from vapi_frames.frames.origin import to_micros
from vapi_frames.query.filters import merge_filters

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    import numpy.typing as npt

    from vapi_frames.frames.levels import IndexLevel
    from vapi_frames.frames.locate import Located
    from vapi_frames.frames.meta import Meta
    from vapi_frames.frames.origin import Origin
    from vapi_frames.result.ordering import Codes

    Mask = npt.NDArray[np.bool_]

__all__ = ["describe_choice"]

_ROUND = ("year", "quarter", "month", "week", "day", "hour", "minute")  # steps with edges that a reader would name


def describe_choice(meta: Meta, origin: Origin, located: Located) -> Meta:
    """Return *meta* for the rows that are at *located* in *origin*.

    A level that was dropped becomes a filter, or a range. Rows that are all those of a run of buckets and of values of
    groups are what a query with that range and these filters gives.
    """
    if located.positions is None:
        return meta
    levels = {level.name: level for level in origin.levels}
    dropped = {name: code for name, code in located.dropped.items() if name in meta.levels}
    meta = replace(meta, levels=tuple(name for name in meta.levels if name not in dropped))
    inside: Mask | None = None  # the rows that have the values of the dropped levels, None for all
    for name, code in dropped.items():
        if code is not None:
            has_value = levels[name].codes == code
            inside = has_value if inside is None else inside & has_value
        is_filtered = meta.derived_levels.get(name, name) in dropped.keys() - {name}  # by the id, of a name
        if not is_filtered and not _is_named_by_another(meta, name):
            meta = _without(meta, levels[name], code)
    if len(located.positions) == (len(origin.index) if inside is None else int(inside.sum())):
        return meta
    there = [level for name, level in levels.items() if name in meta.levels]
    return replace(meta, choice=_choice(meta, there, inside, located.positions))


def _without(meta: Meta, level: IndexLevel, code: int | None) -> Meta:
    """Return *meta* without a level that was dropped, of which the rows have the value at *code*."""
    if code is not None and level.name == "date" and meta.step and code >= 0:
        bucket = find_bounds(_seconds(level, code), meta.step, find_zone(meta.zone))
        start, end = meta.covered
        low, high = from_seconds(bucket.start), from_seconds(bucket.end)
        ranged = meta.with_range(low if start is None else max(start, low), high if end is None else min(end, high))
        choice = meta.choice and replace(meta.choice, start=None, end=None)
        return replace(ranged, choice=choice)
    if code is not None and (word := _word(meta, level.name)):
        choice = meta.choice and replace(
            meta.choice, filters=tuple(one for one in meta.choice.filters if one[0] != word)
        )
        filters = merge_filters(meta.filters, ((word, _texts(level, [code])),))
        return replace(meta, filters=filters, choice=choice, title=None)
    return replace(meta, lost=(*meta.lost, level.name))


def _is_named_by_another(meta: Meta, name: str) -> bool:
    """Say whether a level is the id of a name that is a level too, or the other way round."""
    groups = meta.query_groups()
    return name in groups and any(other != name and groups.get(other) == groups[name] for other in meta.levels)


def _word(meta: Meta, level: str) -> str | None:
    """Return what a filter calls *level*, ``None`` where its values are none of the calls' own."""
    if level in meta.derived_levels or level not in meta.query_groups():
        return None
    kind, name = meta.query_groups()[level]
    return name if kind == "group" else f"{kind}.{name}"


def _texts(level: IndexLevel, codes: list[int]) -> tuple[str | None, ...]:
    return tuple(None if code < 0 else str(level.uniques[code]) for code in codes)


def _seconds(level: IndexLevel, code: int) -> int:
    return int(to_micros(level.uniques[code : code + 1])[0] // 1_000_000)


def _choice(meta: Meta, levels: list[IndexLevel], inside: Mask | None, positions: Codes) -> Choice:
    """Return the run of buckets and the values of groups that give exactly the rows at *positions*."""
    before = meta.choice or Choice(is_query=True)
    if not len(positions) or not before.is_query or meta.lost or meta.is_incomplete or meta.before:
        return Choice()
    run = next((_find_run(level, positions) for level in levels if level.name == "date" and meta.step), None)
    window = slice(None) if run is None else run.window
    masks: dict[str, Mask] = {}  # level → the rows of the window that have one of the values that the choice has there
    used: dict[str, Mask] = {}
    for name, uniques, codes in levels:
        if name != "date" and not (name in meta.derived_levels and _is_named_by_another(meta, name)):
            used[name] = np.zeros(len(uniques) + 1, bool)  # the last one is the missing value
            used[name][codes[positions]] = True
            if not used[name][codes[window]].all():
                masks[name] = used[name][codes[window]]
    scope = _all_of(len(levels[0].codes), window, inside, run)
    if int(np.logical_and.reduce([scope, *masks.values()]).sum()) != len(positions):
        return Choice()
    for name in used:  # a filter that leaves nothing out is none
        others = [mask for other, mask in masks.items() if other != name]
        if name in masks and int(np.logical_and.reduce([scope, *others]).sum()) == len(positions):
            del masks[name]
    words = {name: _word(meta, name) for name in masks}
    filters = [
        (word, _texts(level, [*np.flatnonzero(used[level.name][:-1]).tolist(), *[-1] * int(used[level.name][-1])]))
        for level in levels
        if (word := words.get(level.name))
    ]
    sides: tuple[datetime | None, datetime | None] | None = (None, None)
    if run:
        matching = [used[level.name][level.codes] for level in levels if level.name in masks]
        sides = _range(meta, run, *run.neighbors([*matching, *([] if inside is None else [inside])]))
    if sides is None or None in words.values():
        return Choice()
    return Choice(
        is_query=True, start=sides[0] or before.start, end=sides[1] or before.end,
        filters=merge_filters(before.filters, tuple(filters)),
    )  # fmt: skip


class _Run(NamedTuple):
    """A run of buckets.

    Attributes:
        dates: The buckets.
        low: The first one of the run.
        high: The last one.
        window: A slice that holds all rows of the run.
    """

    dates: IndexLevel
    low: int
    high: int
    window: slice

    def neighbors(self, masks: list[Mask]) -> tuple[int | None, int | None]:
        """Return the nearest buckets before and after the run that have a row with all of *masks*."""
        codes = self.dates.codes
        if masks:
            codes = codes[np.logical_and.reduce(masks)]
        earlier, later = codes[codes < self.low], codes[codes > self.high]
        return int(earlier.max()) if len(earlier) else None, int(later.min()) if len(later) else None


def _find_run(dates: IndexLevel, positions: Codes) -> _Run:
    codes = dates.codes
    chosen = codes[positions]
    low, high = int(chosen.min()), int(chosen.max())
    window = slice(None)
    if (codes[1:] >= codes[:-1]).all():  # as frames are made
        at = codes.dtype.type  # of the same type, else all of them would be converted
        window = slice(int(np.searchsorted(codes, at(low))), int(np.searchsorted(codes, at(high), "right")))
    return _Run(dates, low, high, window)


def _all_of(count: int, window: slice, inside: Mask | None, run: _Run | None) -> Mask:
    """Return the rows of the window that lie in the run and *inside*."""
    scope = np.ones(count, bool)[window] if inside is None else inside[window]
    if run is None or window != slice(None):
        return scope
    return scope & (run.dates.codes >= run.low) & (run.dates.codes <= run.high)


def _range(
    meta: Meta, run: _Run, earlier: int | None, later: int | None
) -> tuple[datetime | None, datetime | None] | None:
    """Return from when until when a run reaches; a side that is that of the result is ``None``.

    Between two buckets that have rows the edge may lie anywhere, because there were no calls. It lies where a reader
    would put it, e.g. at midnight. Where the clock was turned such that two buckets interleave, there is no edge, and
    no range.

    Args:
        meta: What is known of the frame.
        run: The run.
        earlier: The nearest bucket before it that has rows of the chosen groups.
        later: The nearest one after it.
    """
    step, tz = meta.step or "", find_zone(meta.zone)
    start, end = meta.covered
    first, last = (find_bounds(_seconds(run.dates, code), step, tz) for code in (run.low, run.high))
    low = high = None
    if earlier is not None:
        before = find_bounds(_seconds(run.dates, earlier), step, tz)
        if before.end > first.start:
            return None
        low = _edge(before.end, first.start, step, tz, default=first.start)
    elif later is not None and start is None:
        low = first.start
    if later is not None:
        after = find_bounds(_seconds(run.dates, later), step, tz)
        if last.end > after.start:
            return None
        high = _edge(last.end, after.start, step, tz, default=last.end)
    elif earlier is not None and end is None:
        high = last.end
    begin, until = (None if side is None else from_seconds(side) for side in (low, high))
    return (
        max(begin, start) if begin and start else begin,
        min(until, end) if until and end else until,
    )


def _edge(low: int, high: int, step: str, tz: ZoneInfo, *, default: int) -> int:
    """Return the edge of a bucket between *low* and *high* that is also one of the coarsest step."""
    for coarser in _ROUND:
        at = find_bounds(floor_to_bucket(high, coarser, tz), coarser, tz).start
        if low <= at <= high and find_edge_before(at, step, tz) == at:
            return at
    return default
