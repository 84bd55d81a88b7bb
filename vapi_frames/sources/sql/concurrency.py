"""Concurrency: how many calls are active at an instant, per bucket or as the step function itself.

A call is active from ``startedAt`` until ``endedAt``, whenever it was created; a call in progress until now. The engine
adds up the changes (+1 at a start, -1 at an end) within each part of a bucket, and returns the extremes and two sums,
as if no call were active before the part. What is active before it is added here: an engine on many machines then
shares the parts among them, where a sum over all time would be the work of one. From these the number at every instant
follows by integer arithmetic, in buckets without a change too. A segment is the part of a bucket between two changes of
the zone's offset: where the clock is set back over midnight, a bucket has two. A long segment is divided into days of
UTC. All instants are whole microseconds since 1970.
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
    floor_local,
)
from vapi_frames.cancellation import raise_if_cancelled
from vapi_frames.errors import QueryError
from vapi_frames.sources.sql.select import list_clocks, read_bucket, write_bucket, write_cte, write_wall_clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vapi_frames.query.query import Query
    from vapi_frames.sources.sql.select import CallInterval

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


def _write_calls(interval: CallInterval, relation: str, name: str = "intervals") -> str:
    is_over = f"CASE WHEN {interval.is_over} THEN 1 ELSE 0 END AS is_over"
    return write_cte(name, f"SELECT {interval.started} AS s, {interval.ended} AS f, {is_over}", f"FROM {relation}")


def write_skipped(interval: CallInterval, relation: str, span: KnownRange) -> str:
    """Return the SELECT that counts the calls without a usable interval: over without an end, or end before start."""
    conditions = ("f IS NULL AND is_over = 1", "f < s")
    sums = ", ".join(f"sum(CASE WHEN {one} THEN 1 ELSE 0 END) AS m{i}" for i, one in enumerate(conditions))
    known = interval.instant(span.known)
    # The last condition spares most calls the look at their status.
    condition = f"s < {known} AND (f IS NULL OR f < s)"
    return f"WITH {_write_calls(interval, relation)}\nSELECT {sums}\nFROM intervals\nWHERE {condition}"


def _write_active(interval: CallInterval, relation: str, span: KnownRange) -> list[str]:
    """Return the tables up to ``active``: start (``b``) and end (``f``) of each call that is active in the range."""
    first, known = interval.instant(span.first), interval.instant(span.known)
    return [
        _write_calls(interval, relation),
        write_cte(
            "active",
            # The alias differs from s, because some engines would read it in the WHERE clause.
            f"SELECT CASE WHEN s < {first} THEN {first} ELSE s END AS b, f",
            "FROM intervals",
            f"WHERE s < {known} AND ((f > s AND f > {first}) OR (f IS NULL AND is_over = 0))",
        ),
    ]


def write_intervals(interval: CallInterval, relation: str, span: KnownRange) -> str:
    """Return the SELECT of each call's start and end, where no end is after what is known."""
    known = interval.instant(span.known)
    ended = interval.micros(f"CASE WHEN f < {known} THEN f ELSE {known} END")
    steps = _write_active(interval, relation, span)
    return f"WITH {', '.join(steps)}\nSELECT {interval.micros('b')} AS b, {ended} AS f\nFROM active"


def _write_changed(interval: CallInterval, relation: str, span: KnownRange) -> list[str]:
    """Return the tables up to ``changed``: the instant (``t``) of each change in the range, and +1 or -1 (``d``)."""
    first, known = interval.instant(span.first), interval.instant(span.known)
    if interval.is_read_once:
        at = interval.micros("CASE WHEN d = 1 THEN b ELSE f END")
        return [
            *_write_active(interval, relation, span),
            write_cte("sides", "SELECT b, f, unnest([1, -1]) AS d", "FROM active"),
            write_cte("changed", f"SELECT {at} AS t, d", "FROM sides", f"WHERE d = 1 OR f < {known}"),
        ]
    return [
        *_write_active(interval, relation, span),
        _write_calls(interval, relation, "intervals_again"),
        write_cte("ended", "SELECT f", "FROM intervals_again", f"WHERE f > s AND f > {first} AND f < {known}"),
        write_cte(
            "changed",
            f"SELECT {interval.micros('b')} AS t, 1 AS d FROM active",
            f"UNION ALL SELECT {interval.micros('f')} AS t, -1 AS d FROM ended",
        ),
    ]


def write_changes(query: Query[Any], interval: CallInterval, relation: str, span: KnownRange) -> str:
    """Return the SELECT of the changes within the range.

    For a history without a step its columns are an instant and the sum of its changes. Otherwise they are, for each
    part of a segment: the bucket as `sources.sql.select` writes it (in microseconds), the segment's number, the highest
    and lowest number after a change, where 0 is the number before the part, the first change, the sum of changes, the
    sum of each change times its time since the range's start (for an average, else 0), and the sum of changes at the
    very start of the segment (for a history, else 0).
    """
    first, known = span.first, span.known
    steps = _write_changed(interval, relation, span)
    wanted = {one.operation for one in query.measures}
    if query.time_step is None and "history" in wanted:
        return f"WITH {', '.join(steps)}\nSELECT t, sum(d) AS net\nFROM changed\nGROUP BY t"
    # Changes at one instant are peers in the window's frame: each gets the number after all of them.
    placed: dict[str, str] = {}
    early, starts, wall = "0", [], ""
    if step := query.time_step:
        seconds = first // _MICRO, max(known, first) // _MICRO + 1
        clocks = list_clocks(seconds, step, query.zone)
        clock = write_wall_clock("t", clocks, _MICRO)
        steps.append(write_cte("on_clock", f"SELECT t, d, {clock} AS l", "FROM changed"))
        placed["g0"] = write_bucket("t", step, seconds, query.zone, _MICRO)
        if starts := [until * _MICRO for until, _ in clocks[:-1]]:
            arms = " ".join(f"WHEN t < {start} THEN {i}" for i, start in enumerate(starts))
            placed["g1"] = f"CASE {arms} ELSE {len(starts)} END"
    if step not in {*FIXED_STEPS, "day"}:
        placed["g2"] = f"t - t % {DAY * _MICRO}"
    if "history" in wanted:
        starts += [first] if first == span.start else []
        wall = "" if step in FIXED_STEPS else ", l"
        conditions = ["t = g0" if step in FIXED_STEPS else "l = g0", *(f"t = {start}" for start in starts)]
        early = f"sum(CASE WHEN {' OR '.join(conditions)} THEN d ELSE 0 END)"
    # The difference of two instants times their number is more than 64 bits hold.
    moment = f"sum(CAST(d * (t - {first}) AS DECIMAL(38, 0)))" if "avg" in wanted else "0"
    keys = ", ".join(placed)  # a key that is the same for all would be sorted by, too
    bucket, number = (name if name in placed else f"0 AS {name}" for name in ("g0", "g1"))
    named = ", ".join(f"{expression} AS {name}" for name, expression in placed.items())
    level = f"sum(d) OVER (PARTITION BY {keys} ORDER BY t) AS n"
    steps += [
        write_cte("in_buckets", f"SELECT {named}, t, d{wall}", f"FROM {'on_clock' if step else 'changed'}"),
        write_cte("leveled", f"SELECT {keys}, t, d{wall}, {level}", "FROM in_buckets"),
    ]
    return (
        f"WITH {', '.join(steps)}\n"
        f"SELECT {bucket}, {number}, max(n) AS highest, min(n) AS lowest, min(t) AS earliest, sum(d) AS net,\n"
        f"  {moment} AS moment, {early} AS early\n"
        f"FROM leveled\nGROUP BY {keys}"
    )


def compute_history(rows: Iterable[tuple[int, int]], span: KnownRange) -> list[tuple[int, int]]:
    """Return the step function as (instant, active calls from then on): the range's start, and each later change."""
    if span.known <= span.start:
        return []
    found = [(span.start, 0)]
    active = 0
    for instant, net in sorted(rows):
        active += net
        if instant <= span.first:
            found = [(span.start, active)]
        elif net:
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
    clocks = list_clocks((begin, end), step, tz)
    # The engine numbers segments from the first instant at which it looks for changes; those before have no changes.
    number = -sum(until <= span.first // _MICRO for until, _ in clocks[:-1])
    at = begin
    for until, moved in clocks:
        while at < until:
            floor = floor_local(at + moved, step)
            after = min(find_next_local(floor, step) - moved, until)
            bucket = floor - moved if step in FIXED_STEPS else floor
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
    changes: dict[tuple[int, int], list[Sequence[int]]] = {}
    for row in sorted(rows, key=lambda row: row[4]):  # parts of a segment in order of time
        changes.setdefault((row[0] // _MICRO, row[1]), []).append(row[2:])
    found: dict[int, _BucketState] = {}
    active = 0
    for bucket, number, begin, until in iter_segments(query, span):
        raise_if_cancelled()
        end = min(until, span.known)
        parts = changes.get((bucket, number), ())
        is_known = begin < end
        if (state := found.get(bucket)) is None:
            at_start = active + sum(part[5] for part in parts) if is_known else None
            state = found[bucket] = _BucketState(at_start)
        if not is_known:
            continue
        if not parts or parts[0][2] > begin:
            state.include(active)
        # The number before the segment lasts throughout it; each change adds to it from its instant on.
        state.integral += active * (end - begin)
        state.length += end - begin
        for highest, lowest, _, net, moment, _ in parts:
            state.include(active + highest)
            state.include(active + lowest)
            state.integral += net * (end - span.first) - int(moment)
            active += net
    values: dict[str, list[float | None]] = {
        "max": [state.high for state in found.values()],
        "min": [state.low for state in found.values()],
        "avg": [state.integral / state.length if state.length else None for state in found.values()],
        "history": [state.at_start for state in found.values()],
    }
    step, tz = query.time_step, query.zone
    return [read_bucket(bucket, step, tz) if step else 0 for bucket in found], values
