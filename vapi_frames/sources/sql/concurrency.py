"""Calls at once: how many intervals hold an instant, per bucket or as the step function itself.

A call counts from ``startedAt`` until ``endedAt``, wherever it was created; one still in progress until now. The
engine sums up the changes (+1 at a start, -1 at an end) to the level after each, and returns per stretch of a bucket
its extremes and two sums; from these the level at every instant follows by integer arithmetic, in buckets without any
change too. A stretch is what of a bucket lies between two changes of the zone's offset: where the clock runs back over
midnight, a bucket comes in two. All instants are whole microseconds since 1970.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from vapi_frames.calendar import buckets
from vapi_frames.calendar.buckets import (
    DAY,
    FIXED_STEPS,
    find_next_local,
    find_offset_changes,
    floor_local,
    split_by_offset,
)
from vapi_frames.cancellation import raise_if_cancelled
from vapi_frames.errors import QueryError
from vapi_frames.sources.sql.select import bucket, bucket_label, local, stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vapi_frames.query.query import Query
    from vapi_frames.sources.sql.select import Columns

__all__ = [
    "Span",
    "Stretch",
    "changes",
    "check_size",
    "history",
    "intervals",
    "left_out",
    "levels",
    "span_of",
    "stretches_of",
]

MOST_BUCKETS = 10_000_000
_MICRO = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Span(NamedTuple):
    """A range; what lies after *known* has not happened yet."""

    start: int
    end: int
    known: int

    @property
    def first(self) -> int:
        """From when on changes are looked at: no record is older than 1970-01-02."""
        return max(self.start, DAY * _MICRO)


def span_of(start: datetime, end: datetime, now: datetime) -> Span:
    """Return the range [start, end) as of *now*."""
    first, last, at = ((side - _EPOCH) // timedelta(microseconds=1) for side in (start, end, now))
    return Span(first, last, max(first, min(last, at)))


def check_size(query: Query[Any], start: datetime, end: datetime) -> None:
    """Raise `QueryError` where the buckets of the range, each of which gets a row, are too many."""
    count = buckets.count_buckets(start, end, query.time_step, query.zone) if query.time_step else 1
    if count > MOST_BUCKETS:
        raise QueryError(
            f"concurrency has a row for each bucket of the range, and this one holds about {count:,} of a "
            f"{query.time_step}; at most {MOST_BUCKETS:,} are answered: take a coarser step or a shorter range"
        )


def _calls(columns: Columns, relation: str) -> str:
    assert columns.interval is not None  # noqa: S101 - whoever asks for concurrency gets it
    started, ended, is_over = columns.interval
    read = f"SELECT {started} AS s, {ended} AS f, CASE WHEN {is_over} THEN 1 ELSE 0 END AS is_over"
    return stage("intervals", read, f"FROM {relation}")


def left_out(columns: Columns, relation: str, span: Span) -> str:
    """Return the SELECT of how many calls have no usable interval: over without an end, ended before they started."""
    counted = ("f IS NULL AND is_over = 1", "f < s")
    sums = ", ".join(f"sum(CASE WHEN {one} THEN 1 ELSE 0 END) AS m{i}" for i, one in enumerate(counted))
    return f"WITH {_calls(columns, relation)}\nSELECT {sums}\nFROM intervals\nWHERE s < {span.known}"


def _active(columns: Columns, relation: str, span: Span) -> list[str]:
    """Return the stages until ``active``: when calls began (as ``b``) and ended (as ``f``), as far as it matters."""
    return [
        _calls(columns, relation),
        stage(
            "active",
            # Not called s again: some engines would then read this one below.
            f"SELECT CASE WHEN s < {span.first} THEN {span.first} ELSE s END AS b, f",
            "FROM intervals",
            f"WHERE s < {span.known} AND ((f > s AND f > {span.first}) OR (f IS NULL AND is_over = 0))",
        ),
    ]


def intervals(columns: Columns, relation: str, span: Span) -> str:
    """Return the SELECT of when calls began, and when they ended or until when they are known to go on."""
    ended = f"CASE WHEN f < {span.known} THEN f ELSE {span.known} END"
    return f"WITH {', '.join(_active(columns, relation, span))}\nSELECT b, {ended} AS f\nFROM active"


def changes(query: Query[Any], columns: Columns, relation: str, span: Span) -> str:
    """Return the SELECT of what changes within the range.

    For a history without a step its columns are an instant and the level from then on. Else they are, per stretch: the
    bucket as `sources.sql.select` has it (in microseconds), the stretch's number, the highest and lowest level after a
    change, the first change, the sum of changes, that of each change times its time since the range's start, and the
    sum of changes at the very start of the stretch.
    """
    first, known = span.first, span.known
    steps = [
        *_active(columns, relation, span),
        stage(
            "changed",
            "SELECT b AS t, 1 AS d FROM active",
            "UNION ALL",
            f"SELECT f AS t, -1 AS d FROM active WHERE f < {known}",
        ),
        # Calls that start or end at one instant are peers of the window's frame: all get the level after all of them.
        stage("leveled", "SELECT t, d, sum(d) OVER (ORDER BY t) AS n", "FROM changed"),
    ]
    if _is_plain_history(query):
        return f"WITH {', '.join(steps)}\nSELECT t, max(n) AS level\nFROM leveled\nGROUP BY t"
    bucketed, number, begins = "0", "0", [first] if first == span.start else []
    if query.time_step:
        seconds = first // _MICRO, max(known, first) // _MICRO + 1
        bucketed = bucket("t", query.time_step, seconds, query.zone, _MICRO)
        until = [change * _MICRO for change, _ in find_offset_changes(*seconds, query.zone)]
        if until:
            arms = " ".join(f"WHEN t < {change} THEN {i}" for i, change in enumerate(until))
            number = f"CASE {arms} ELSE {len(until)} END"
        begins += until
        clock = f"SELECT t, d, n, {local('t', seconds, query.zone, _MICRO)} AS l"
        steps.append(stage("on_clock", clock, "FROM leveled"))
    source = "on_clock" if query.time_step else "leveled"
    named_by = "l" if query.time_step and query.time_step not in FIXED_STEPS else "t"
    starts = " OR ".join([f"{named_by} = g0", *(f"t = {begin}" for begin in begins)])
    wall = ", l" if query.time_step else ""
    steps.append(stage("in_buckets", f"SELECT {bucketed} AS g0, {number} AS g1, t, d, n{wall}", f"FROM {source}"))
    return (
        f"WITH {', '.join(steps)}\n"
        "SELECT g0, g1, max(n) AS highest, min(n) AS lowest, min(t) AS earliest, sum(d) AS net,\n"
        f"  sum(CAST(d * (t - {first}) AS DECIMAL(38, 0))) AS moment,\n"
        f"  sum(CASE WHEN {starts} THEN d ELSE 0 END) AS early\n"
        "FROM in_buckets\nGROUP BY g0, g1"
    )


def _is_plain_history(query: Query[Any]) -> bool:
    return query.time_step is None and any(one.operation == "history" for one in query.measures)


def history(rows: Iterable[tuple[int, int]], span: Span) -> list[tuple[int, int]]:
    """Return the step function of (instant, level from then on): the range's start, and each change after it."""
    if span.known <= span.start:
        return []
    found = [(span.start, 0)]
    for instant, level in sorted(rows):
        if instant <= span.first:
            found = [(span.start, level)]
        elif level != found[-1][1]:
            found.append((instant, level))
    return found


class Stretch(NamedTuple):
    """What of a bucket lies between two changes of the zone's offset: the bucket, the stretch's number, its ends."""

    bucket: int
    number: int
    begin: int
    end: int


def stretches_of(query: Query[Any], span: Span) -> Iterator[Stretch]:
    """Yield every stretch of every bucket of the range, in order of time."""
    step, tz = query.time_step, query.zone
    if step is None:
        yield Stretch(0, 0, span.start, span.end)
        return
    begin, end = span.start // _MICRO, -(-span.end // _MICRO)
    # Numbers count as the engine counts them, which sees no change before the first instant that it looks at.
    number = -sum(change <= span.first // _MICRO for change, _ in find_offset_changes(begin, end, tz))
    for since, until, offset in split_by_offset(begin, end, tz):
        at = since
        while at < until:
            floor = floor_local(at + offset, step)
            after = min(find_next_local(floor, step) - offset, until)
            name = floor - offset if step in FIXED_STEPS else floor
            yield Stretch(name, max(number, 0), max(at * _MICRO, span.start), min(after * _MICRO, span.end))
            at = after
        number += 1


class _Bucket:
    """What is known of one bucket: its extremes, the integral of the level and the time that it is taken over."""

    __slots__ = ("early", "high", "integral", "length", "low")

    def __init__(self, early: int | None) -> None:
        self.early = early
        self.high: int | None = None
        self.low: int | None = None
        self.integral = 0
        self.length = 0

    def hold(self, level: int) -> None:
        self.high = level if self.high is None else max(self.high, level)
        self.low = level if self.low is None else min(self.low, level)


def levels(
    query: Query[Any], rows: Iterable[Sequence[int]], span: Span
) -> tuple[list[int], dict[str, list[float | None]]]:
    """Return every bucket of the range, as the instant that names it in seconds, and operation → value in each.

    Args:
        query: The question; without a step the range is its one bucket.
        rows: What the engine returned for `changes`.
        span: The range. Nothing is known of a bucket after now.
    """
    changed = {(row[0] // _MICRO, row[1]): row[2:] for row in rows}
    found: dict[int, _Bucket] = {}
    level = 0
    for name, number, begin, until in stretches_of(query, span):
        raise_if_cancelled()
        end = min(until, span.known)
        highest, lowest, earliest, net, moment, early = changed.get((name, number), (level, level, end, 0, 0, 0))
        is_known = begin < end
        one = found.setdefault(name, _Bucket(level + early if is_known else None))
        if not is_known:
            continue
        if earliest > begin:
            one.hold(level)
        one.hold(highest)
        one.hold(lowest)
        # The level of before holds for the whole stretch; each change adds to it from its instant on.
        one.integral += level * (end - begin) + net * (end - span.first) - int(moment)
        one.length += end - begin
        level += net
    values: dict[str, list[float | None]] = {
        "max": [one.high for one in found.values()],
        "min": [one.low for one in found.values()],
        "avg": [one.integral / one.length if one.length else None for one in found.values()],
        "history": [one.early for one in found.values()],
    }
    step = query.time_step
    return [bucket_label(name, step, query.zone) if step else 0 for name in found], values
