"""Calls at once, added up in this process: what `vapi_frames.sources.concurrency.changes` has an engine do.

An engine on this machine would sort the changes as rows of a window, in more than twice the time and memory. Of twenty
million calls every array here takes hundreds of megabytes, so that none is made which can do without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from vapi_frames.sources.concurrency import Stretch

    Instants = npt.NDArray[np.int64]

__all__ = ["Swept", "stretched", "swept"]

_LIMB = 32


class Swept(NamedTuple):
    """What happened, in order of time, one element for each begin and end of a call.

    Attributes:
        instants: When, in microseconds since 1970.
        change: 1 where a call began, -1 where one ended.
        levels: How many are active after it.
        is_last: Whether it is the last at its instant: only then the level is one that was held.
    """

    instants: Instants
    change: npt.NDArray[np.int8]
    levels: npt.NDArray[np.int32]
    is_last: npt.NDArray[np.bool_]

    def history(self) -> list[tuple[int, int]]:
        """Return every instant at which something happened, and the level from then on."""
        return list(zip(self.instants[self.is_last].tolist(), self.levels[self.is_last].tolist(), strict=True))


def swept(begins: Instants, ends: Instants, known: int) -> Swept:
    """Return what happens when calls begin and end, in any order, before *known*; an end may lie after it."""
    events = np.empty(len(begins) + len(ends), np.int64)
    np.multiply(begins, 2, out=events[: len(begins)])
    events[: len(begins)] += 1  # the last bit says that a call begins
    np.multiply(ends, 2, out=events[len(begins) :])
    events.sort()
    events = events[: np.searchsorted(events, 2 * known)]
    change = np.empty(len(events), np.int8)
    np.bitwise_and(events, 1, out=change, casting="unsafe")
    change *= 2
    change -= 1
    events >>= 1
    is_last = np.ones(len(events), bool)
    np.not_equal(events[1:], events[:-1], out=is_last[:-1])
    return Swept(events, change, np.cumsum(change, dtype=np.int32), is_last)


def stretched(found: Swept, stretches: Sequence[Stretch], first: int, *, moments: bool) -> list[tuple[int, ...]]:
    """Return, for each stretch in which something changed, the row that an engine has for it.

    Args:
        found: What happened.
        stretches: Without a gap, in order of time.
        first: From when on changes were looked at.
        moments: Whether the sum of each change times its time is asked for, which is 0 otherwise.
    """
    instants, change, levels, is_last = found
    begin, end = (np.array(side, np.int64) for side in zip(*((s.begin, s.end) for s in stretches), strict=True))
    low, high = np.searchsorted(instants, begin), np.searchsorted(instants, end)
    changed = np.flatnonzero(low < high)
    if not len(changed):
        return []
    low, high, begin = low[changed], high[changed], begin[changed]
    entered = levels[low] - change[low]
    after = levels[np.searchsorted(instants, begin, "right") - 1]
    held = np.where(is_last, levels, np.int32(-1))
    highest = np.maximum.reduceat(held, low)
    np.copyto(held, np.iinfo(np.int32).max, where=~is_last)
    lowest = np.minimum.reduceat(held, low)
    del held
    moment = _moments(instants, change, low, first) if moments else [0] * len(low)
    columns = (highest, lowest, instants[low], levels[high - 1] - entered)
    early = np.where(instants[low] == begin, after - entered, 0)
    return [
        (stretches[at].bucket * 1_000_000, stretches[at].number, *row)
        for at, *row in zip(changed.tolist(), *(c.tolist() for c in columns), moment, early.tolist(), strict=True)
    ]


def _moments(instants: Instants, change: npt.NDArray[np.int8], low: npt.NDArray[np.intp], first: int) -> list[int]:
    # Each change times its time is beyond 64 bits in sum, though not its halves.
    since = instants - first
    upper = np.add.reduceat(change * (since >> _LIMB), low)
    since &= (1 << _LIMB) - 1
    since *= change
    lower = np.add.reduceat(since, low)
    return [(above << _LIMB) + below for above, below in zip(upper.tolist(), lower.tolist(), strict=True)]
