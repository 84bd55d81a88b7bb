"""Concurrency: how many calls are active at an instant, per bucket or as the step function itself.

A call is active from ``startedAt`` until ``endedAt``, whenever it was created; a call in progress until now. The engine
sums the changes (+1 at a start, -1 at an end) to the number of active calls after each, and returns for each segment of
a bucket the extremes and two sums. From these the number at every instant follows by integer arithmetic, in buckets
without a change too. A segment is the part of a bucket between two changes of the zone's offset: where the clock is set
back over midnight, a bucket has two. All instants are whole microseconds since 1970.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from vapi_frames.calendar import buckets
from vapi_frames.calendar.buckets import (
    DAY,
    EPOCH,
    FIXED_STEPS,
    find_next_local,
    find_offset_changes,
    floor_local,
    split_by_offset,
)
from vapi_frames.cancellation import raise_if_cancelled
from vapi_frames.errors import QueryError
from vapi_frames.sources.sql.select import read_bucket, write_bucket, write_cte, write_wall_clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vapi_frames.query.query import Query
    from vapi_frames.sources.sql.select import QueryColumns

__all__ = [
    "KnownRange",
    "Segment",
    "check_size",
    "compute_buckets",
    "compute_history",
    "iter_segments",
    "known_range",
    "write_changes",
    "write_intervals",
    "write_skipped",
]

MOST_BUCKETS = 10_000_000
_MICRO = 1_000_000


class KnownRange(NamedTuple):
    """A range; what is after *known* has not happened yet."""

    start: int
    end: int
    known: int

    @property
    def first(self) -> int:
        """The first instant at which the engine looks for changes: no record is older than 1970-01-02."""
        return max(self.start, DAY * _MICRO)


def known_range(start: datetime, end: datetime, now: datetime) -> KnownRange:
    """Return the range [start, end) as of *now*."""
    first, last, at = ((side - EPOCH) // timedelta(microseconds=1) for side in (start, end, now))
    return KnownRange(first, last, max(first, min(last, at)))


def check_size(query: Query[Any], start: datetime, end: datetime) -> None:
    """Raise `QueryError` where the range has too many buckets, because each gets a row."""
    count = buckets.count_buckets(start, end, query.time_step, query.zone) if query.time_step else 1
    if count > MOST_BUCKETS:
        raise QueryError(
            f"concurrency has a row for each bucket of the range, and this range has about {count:,} buckets of a "
            f"{query.time_step}, where at most {MOST_BUCKETS:,} are possible: use a longer step or a shorter range"
        )


def _write_calls(columns: QueryColumns, relation: str) -> str:
    assert columns.interval is not None  # noqa: S101 - a query of concurrency has it
    started, ended, is_over = columns.interval
    read = f"SELECT {started} AS s, {ended} AS f, CASE WHEN {is_over} THEN 1 ELSE 0 END AS is_over"
    return write_cte("intervals", read, f"FROM {relation}")


def write_skipped(columns: QueryColumns, relation: str, span: KnownRange) -> str:
    """Return the SELECT that counts the calls without a usable interval: over without an end, or end before start."""
    conditions = ("f IS NULL AND is_over = 1", "f < s")
    sums = ", ".join(f"sum(CASE WHEN {one} THEN 1 ELSE 0 END) AS m{i}" for i, one in enumerate(conditions))
    return f"WITH {_write_calls(columns, relation)}\nSELECT {sums}\nFROM intervals\nWHERE s < {span.known}"


def _write_active(columns: QueryColumns, relation: str, span: KnownRange) -> list[str]:
    """Return the tables up to ``active``: start (``b``) and end (``f``) of each call that is active in the range."""
    return [
        _write_calls(columns, relation),
        write_cte(
            "active",
            # The alias differs from s, because some engines would read it in the WHERE clause.
            f"SELECT CASE WHEN s < {span.first} THEN {span.first} ELSE s END AS b, f",
            "FROM intervals",
            f"WHERE s < {span.known} AND ((f > s AND f > {span.first}) OR (f IS NULL AND is_over = 0))",
        ),
    ]


def write_intervals(columns: QueryColumns, relation: str, span: KnownRange) -> str:
    """Return the SELECT of each call's start and end, where no end is after what is known."""
    ended = f"CASE WHEN f < {span.known} THEN f ELSE {span.known} END"
    return f"WITH {', '.join(_write_active(columns, relation, span))}\nSELECT b, {ended} AS f\nFROM active"


def write_changes(query: Query[Any], columns: QueryColumns, relation: str, span: KnownRange) -> str:
    """Return the SELECT of the changes within the range.

    For a history without a step its columns are an instant and the number of active calls from then on. Otherwise they
    are, for each segment: the bucket as `sources.sql.select` writes it (in microseconds), the segment's number, the
    highest and lowest number after a change, the first change, the sum of changes, the sum of each change times its
    time since the range's start, and the sum of changes at the very start of the segment.
    """
    first, known = span.first, span.known
    steps = [
        *_write_active(columns, relation, span),
        write_cte(
            "changed",
            "SELECT b AS t, 1 AS d FROM active",
            "UNION ALL",
            f"SELECT f AS t, -1 AS d FROM active WHERE f < {known}",
        ),
        # Changes at one instant are peers in the window's frame: each gets the number after all of them.
        write_cte("leveled", "SELECT t, d, sum(d) OVER (ORDER BY t) AS n", "FROM changed"),
    ]
    if query.time_step is None and any(one.operation == "history" for one in query.measures):
        return f"WITH {', '.join(steps)}\nSELECT t, max(n) AS level\nFROM leveled\nGROUP BY t"
    bucket, number, starts = "0", "0", [first] if first == span.start else []
    if query.time_step:
        seconds = first // _MICRO, max(known, first) // _MICRO + 1
        bucket = write_bucket("t", query.time_step, seconds, query.zone, _MICRO)
        until = [change * _MICRO for change, _ in find_offset_changes(*seconds, query.zone)]
        if until:
            arms = " ".join(f"WHEN t < {change} THEN {i}" for i, change in enumerate(until))
            number = f"CASE {arms} ELSE {len(until)} END"
        starts += until
        clock = f"SELECT t, d, n, {write_wall_clock('t', seconds, query.zone, _MICRO)} AS l"
        steps.append(write_cte("on_clock", clock, "FROM leveled"))
    source = "on_clock" if query.time_step else "leveled"
    named_by = "l" if query.time_step and query.time_step not in FIXED_STEPS else "t"
    is_start = " OR ".join([f"{named_by} = g0", *(f"t = {start}" for start in starts)])
    wall = ", l" if query.time_step else ""
    steps.append(write_cte("in_buckets", f"SELECT {bucket} AS g0, {number} AS g1, t, d, n{wall}", f"FROM {source}"))
    return (
        f"WITH {', '.join(steps)}\n"
        "SELECT g0, g1, max(n) AS highest, min(n) AS lowest, min(t) AS earliest, sum(d) AS net,\n"
        f"  sum(CAST(d * (t - {first}) AS DECIMAL(38, 0))) AS moment,\n"
        f"  sum(CASE WHEN {is_start} THEN d ELSE 0 END) AS early\n"
        "FROM in_buckets\nGROUP BY g0, g1"
    )


def compute_history(rows: Iterable[tuple[int, int]], span: KnownRange) -> list[tuple[int, int]]:
    """Return the step function as (instant, active calls from then on): the range's start, and each later change."""
    if span.known <= span.start:
        return []
    found = [(span.start, 0)]
    for instant, active in sorted(rows):
        if instant <= span.first:
            found = [(span.start, active)]
        elif active != found[-1][1]:
            found.append((instant, active))
    return found


class Segment(NamedTuple):
    """The part of a bucket between two changes of the zone's offset."""

    bucket: int
    number: int
    begin: int
    end: int


def iter_segments(query: Query[Any], span: KnownRange) -> Iterator[Segment]:
    """Yield every segment of every bucket of the range, in order of time."""
    step, tz = query.time_step, query.zone
    if step is None:
        yield Segment(0, 0, span.start, span.end)
        return
    begin, end = span.start // _MICRO, -(-span.end // _MICRO)
    # The engine numbers segments from the first instant at which it looks for changes; those before have no changes.
    number = -sum(change <= span.first // _MICRO for change, _ in find_offset_changes(begin, end, tz))
    for since, until, offset in split_by_offset(begin, end, tz):
        at = since
        while at < until:
            floor = floor_local(at + offset, step)
            after = min(find_next_local(floor, step) - offset, until)
            bucket = floor - offset if step in FIXED_STEPS else floor
            yield Segment(bucket, max(number, 0), max(at * _MICRO, span.start), min(after * _MICRO, span.end))
            at = after
        number += 1


class _BucketState:
    """The extremes of one bucket, the integral of its active calls, and the time over which it is taken."""

    __slots__ = ("at_start", "high", "integral", "length", "low")

    def __init__(self, at_start: int | None) -> None:
        self.at_start = at_start
        self.high: int | None = None
        self.low: int | None = None
        self.integral = 0
        self.length = 0

    def include(self, active: int) -> None:
        self.high = active if self.high is None else max(self.high, active)
        self.low = active if self.low is None else min(self.low, active)


def compute_buckets(
    query: Query[Any], rows: Iterable[Sequence[int]], span: KnownRange
) -> tuple[list[int], dict[str, list[float | None]]]:
    """Return every bucket of the range, as the instant that names it in seconds, and operation → value in each.

    Args:
        query: The query; without a step the range is its one bucket.
        rows: The rows of the SELECT of `write_changes`.
        span: The range. A bucket after now has no values.
    """
    changes = {(row[0] // _MICRO, row[1]): row[2:] for row in rows}
    found: dict[int, _BucketState] = {}
    active = 0
    for bucket, number, begin, until in iter_segments(query, span):
        raise_if_cancelled()
        end = min(until, span.known)
        highest, lowest, earliest, net, moment, early = changes.get((bucket, number), (active, active, end, 0, 0, 0))
        is_known = begin < end
        state = found.setdefault(bucket, _BucketState(active + early if is_known else None))
        if not is_known:
            continue
        if earliest > begin:
            state.include(active)
        state.include(highest)
        state.include(lowest)
        # The number before the segment lasts throughout it; each change adds to it from its instant on.
        state.integral += active * (end - begin) + net * (end - span.first) - int(moment)
        state.length += end - begin
        active += net
    values: dict[str, list[float | None]] = {
        "max": [state.high for state in found.values()],
        "min": [state.low for state in found.values()],
        "avg": [state.integral / state.length if state.length else None for state in found.values()],
        "history": [state.at_start for state in found.values()],
    }
    step = query.time_step
    return [read_bucket(bucket, step, query.zone) if step else 0 for bucket in found], values
