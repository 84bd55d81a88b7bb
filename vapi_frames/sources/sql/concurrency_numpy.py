"""Concurrency summed in this process: the rows that `vapi_frames.sources.sql.concurrency.write_changes` selects.

An engine in this process would sort the changes as rows of a window, in more than twice the time and memory. For
twenty million calls each array takes hundreds of megabytes, so only the events are whole in memory, and the rest is
computed a batch of segments at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from vapi_frames.sources.sql.concurrency import Segment

    Int64Array = npt.NDArray[np.int64]

__all__ = ["list_changes", "sort_events", "summarize_segments"]

_LIMB = 32
_BATCH = 1_000_000  # about how many events are summarized together


def sort_events(begins: Int64Array, ends: Int64Array, known: int) -> Int64Array:
    """Return the starts and ends before *known*, sorted; an event is twice its instant, plus 1 where a call starts.

    Args:
        begins: When each call starts, in microseconds since 1970, in any order.
        ends: When each ends, likewise; may be after *known*.
        known: What is after this instant has not happened yet.
    """
    events = np.empty(len(begins) + len(ends), np.int64)
    np.multiply(begins, 2, out=events[: len(begins)])
    events[: len(begins)] += 1
    np.multiply(ends, 2, out=events[len(begins) :])
    events.sort()
    return events[: np.searchsorted(events, 2 * known)]


def list_changes(events: Int64Array) -> list[tuple[int, int]]:
    """Return each instant with an event, and the sum of its changes."""
    instants, _, active, is_last = _decode(events, 0)
    net = np.diff(active[is_last], prepend=np.int32(0))
    return list(zip(instants[is_last].tolist(), net.tolist(), strict=True))


def _decode(
    events: Int64Array, before: int
) -> tuple[Int64Array, npt.NDArray[np.int8], npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Return for each event its instant, the change, the active calls after it, and whether it is its instant's last.

    Only the number after the last event of an instant lasts for any time.
    """
    change = (events & 1).astype(np.int8) * np.int8(2) - np.int8(1)
    instants = events >> 1
    is_last = np.ones(len(events), bool)
    np.not_equal(instants[1:], instants[:-1], out=is_last[:-1])
    return instants, change, np.cumsum(change, dtype=np.int32) + np.int32(before), is_last


def summarize_segments(
    events: Int64Array, segments: Sequence[Segment], first: int, *, with_moments: bool
) -> list[tuple[int, ...]]:
    """Return, for each segment with an event, the row that an engine returns for it.

    Args:
        events: The events, all within the segments.
        segments: In order of time, without a gap.
        first: The first instant at which changes count.
        with_moments: Whether to compute the sum of each change times its time, which is 0 otherwise.
    """
    begin, end = (np.array(side, np.int64) for side in zip(*((s.begin, s.end) for s in segments), strict=True))
    low, high = np.searchsorted(events, 2 * begin), np.searchsorted(events, 2 * end)
    changed = np.flatnonzero(low < high)
    rows: list[tuple[int, ...]] = []
    active = 0
    for batch in _batches(low[changed], high[changed]):
        places = changed[batch]
        since = low[places[0]]
        instants, change, levels, is_last = _decode(events[since : high[places[-1]]], active)
        active = int(levels[-1])
        at, until = low[places] - since, high[places] - since
        before = levels[at] - change[at]
        after = levels[np.searchsorted(instants, begin[places], "right") - 1]
        highest = np.maximum.reduceat(np.where(is_last, levels, np.int32(-1)), at)
        lowest = np.minimum.reduceat(np.where(is_last, levels, np.iinfo(np.int32).max), at)
        moments = _sum_moments(instants, change, at, first) if with_moments else [0] * len(at)
        early = np.where(instants[at] == begin[places], after - before, 0)
        columns = (highest - before, lowest - before, instants[at], levels[until - 1] - before)
        rows += [
            (segments[place].bucket * 1_000_000, segments[place].number, *row)
            for place, *row in zip(
                places.tolist(), *(c.tolist() for c in columns), moments, early.tolist(), strict=True
            )
        ]
    return rows


def _batches(low: npt.NDArray[np.intp], high: npt.NDArray[np.intp]) -> Iterator[slice]:
    """Yield runs of segments that have about `_BATCH` events together."""
    begin = 0
    while begin < len(low):
        end = max(begin + 1, int(np.searchsorted(high, low[begin] + _BATCH, "right")))
        yield slice(begin, end)
        begin = end


def _sum_moments(instants: Int64Array, change: npt.NDArray[np.int8], at: npt.NDArray[np.intp], first: int) -> list[int]:
    # The sum of each change times its time needs more than 64 bits, so its upper and lower halves are summed apart.
    since = instants - first
    upper = np.add.reduceat(change * (since >> _LIMB), at)
    lower = np.add.reduceat(change * (since & ((1 << _LIMB) - 1)), at)
    return [(above << _LIMB) + below for above, below in zip(upper.tolist(), lower.tolist(), strict=True)]
