"""Calls at once, added up in this process: what `vapi_frames.sources.sql.concurrency.changes` has an engine do.

An engine on this machine would sort the changes as rows of a window, in more than twice the time and memory. Of twenty
million calls every array here takes hundreds of megabytes, so that only what happened is held whole, and the rest of it
looked at part by part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from vapi_frames.sources.sql.concurrency import Stretch

    Whole = npt.NDArray[np.int64]

__all__ = ["history", "stretched", "swept"]

_LIMB = 32
_PART = 1_000_000  # of what happened, looked at together


def swept(begins: Whole, ends: Whole, known: int) -> Whole:
    """Return what happens before *known*, in order of time: twice the instant, and one more where a call begins.

    Args:
        begins: When each call begins, in microseconds since 1970, in any order.
        ends: When each ends, likewise; may lie after *known*.
        known: Until when anything is known.
    """
    events = np.empty(len(begins) + len(ends), np.int64)
    np.multiply(begins, 2, out=events[: len(begins)])
    events[: len(begins)] += 1
    np.multiply(ends, 2, out=events[len(begins) :])
    events.sort()
    return events[: np.searchsorted(events, 2 * known)]


def history(events: Whole) -> list[tuple[int, int]]:
    """Return every instant at which something happened, and how many calls are active from then on."""
    instants, _, levels, is_last = _read(events, 0)
    return list(zip(instants[is_last].tolist(), levels[is_last].tolist(), strict=True))


def _read(
    events: Whole, level: int
) -> tuple[Whole, npt.NDArray[np.int8], npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Return of each event its instant, the change, how many are active after it, and whether it is the last there.

    Only after the last at its instant is the level one that was held.
    """
    change = (events & 1).astype(np.int8) * np.int8(2) - np.int8(1)
    instants = events >> 1
    is_last = np.ones(len(events), bool)
    np.not_equal(instants[1:], instants[:-1], out=is_last[:-1])
    return instants, change, np.cumsum(change, dtype=np.int32) + np.int32(level), is_last


def stretched(events: Whole, stretches: Sequence[Stretch], first: int, *, moments: bool) -> list[tuple[int, ...]]:
    """Return, for each stretch in which something changed, the row that an engine has for it.

    Args:
        events: What happened, within the stretches.
        stretches: Without a gap, in order of time.
        first: From when on changes were looked at.
        moments: Whether the sum of each change times its time is asked for, which is 0 otherwise.
    """
    begin, end = (np.array(side, np.int64) for side in zip(*((s.begin, s.end) for s in stretches), strict=True))
    low, high = np.searchsorted(events, 2 * begin), np.searchsorted(events, 2 * end)
    changed = np.flatnonzero(low < high)
    rows: list[tuple[int, ...]] = []
    level = 0
    for part in _parts(low[changed], high[changed]):
        places = changed[part]
        since = low[places[0]]
        instants, change, levels, is_last = _read(events[since : high[places[-1]]], level)
        level = int(levels[-1])
        at, until = low[places] - since, high[places] - since
        entered = levels[at] - change[at]
        after = levels[np.searchsorted(instants, begin[places], "right") - 1]
        highest = np.maximum.reduceat(np.where(is_last, levels, np.int32(-1)), at)
        lowest = np.minimum.reduceat(np.where(is_last, levels, np.iinfo(np.int32).max), at)
        moment = _moments(instants, change, at, first) if moments else [0] * len(at)
        early = np.where(instants[at] == begin[places], after - entered, 0)
        columns = (highest, lowest, instants[at], levels[until - 1] - entered)
        rows += [
            (stretches[place].bucket * 1_000_000, stretches[place].number, *row)
            for place, *row in zip(places.tolist(), *(c.tolist() for c in columns), moment, early.tolist(), strict=True)
        ]
    return rows


def _parts(low: npt.NDArray[np.intp], high: npt.NDArray[np.intp]) -> Iterator[slice]:
    """Yield stretches in a row of which about as many events are looked at together as are meant to be."""
    begin = 0
    while begin < len(low):
        end = max(begin + 1, int(np.searchsorted(high, low[begin] + _PART, "right")))
        yield slice(begin, end)
        begin = end


def _moments(instants: Whole, change: npt.NDArray[np.int8], at: npt.NDArray[np.intp], first: int) -> list[int]:
    # Each change times its time is beyond 64 bits in sum, though not its halves.
    since = instants - first
    upper = np.add.reduceat(change * (since >> _LIMB), at)
    lower = np.add.reduceat(change * (since & ((1 << _LIMB) - 1)), at)
    return [(above << _LIMB) + below for above, below in zip(upper.tolist(), lower.tolist(), strict=True)]
