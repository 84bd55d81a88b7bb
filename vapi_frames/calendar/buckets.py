"""The calendar: the edges of buckets in any zone, and how much of a bucket has elapsed.

A bucket is what PostgreSQL's ``date_trunc(step, instant, zone)`` returns. One rule of integer arithmetic equals it for
every step and zone. With ``offset`` the zone's UTC offset at the instant, ``local = instant + offset`` is truncated.
A bucket of an hour or less keeps the offset. A longer one is labeled ``local - min(offset before, offset after)``,
which holds for a midnight that is skipped and for one that comes twice. Instants are whole seconds since 1970: no step
is shorter, and no offset finer.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from vapi_frames.errors import UnknownWordError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "APPROXIMATE_SECONDS",
    "EPOCH",
    "Bounds",
    "count_buckets",
    "find_bounds",
    "find_edge_after",
    "find_edge_before",
    "find_next_local",
    "find_offset_changes",
    "find_wall_offsets",
    "find_zone",
    "floor_local",
    "floor_to_bucket",
    "from_seconds",
    "get_elapsed_share",
    "get_overlap",
    "is_bucket_label",
    "is_day_start",
    "label_bucket",
    "list_buckets",
    "list_local_edges",
    "resolve_wall",
    "split_by_offset",
    "to_local",
    "to_seconds",
    "to_wall_seconds",
]


FIXED_STEPS = {"second": 1, "minute": 60, "hour": 3600}
DAY = 86_400
APPROXIMATE_SECONDS = {
    "second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800, "month": 2_629_746,
    "quarter": 7_889_238, "year": 31_556_952, "decade": 315_569_520, "century": 3_155_695_200,
    "millennium": 31_556_952_000,
}  # fmt: skip
"""The seconds of an average bucket."""
LAST_YEAR = 9000  # a bucket may reach a millennium further, and datetime ends with the year 9999
FEW_BUCKETS = 10_000  # up to here buckets are counted one by one
_LAST_LISTED_YEAR = 2100  # zones list their changes until 2037, and give a rule for all later years
_MONTHS = {"month": 1, "quarter": 3}
_YEARS = {"year": 1, "decade": 10, "century": 100, "millennium": 1000}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCAL_EPOCH = datetime(1970, 1, 1)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_ZONE_SYNONYMS = {
    "et": "America/New_York", "edt": "America/New_York", "eastern": "America/New_York",
    "ct": "America/Chicago", "cdt": "America/Chicago", "central": "America/Chicago", "cst": "America/Chicago",
    "mt": "America/Denver", "mdt": "America/Denver",
    "pt": "America/Los_Angeles", "pst": "America/Los_Angeles", "pdt": "America/Los_Angeles",
    "bst": "Europe/London", "ist": "Asia/Kolkata", "z": "UTC", "new york": "America/New_York",
}  # fmt: skip
_NOT_ZONES = re.compile(r"posix/|right/|localtime$|posixrules$|Factory$")


@cache
def _load_zone(name: str) -> ZoneInfo:
    # An unknown name raises, and @cache keeps no exceptions: wrong names cannot fill it.
    return ZoneInfo(str.__str__(name))  # str.__str__ also turns an enumeration's or numpy's text into plain text


def find_zone(name: object) -> ZoneInfo:
    """Return the IANA zone called *name*.

    Raises:
        UnknownWordError: There is no such zone; the error suggests the nearest names.

    Examples:
        >>> find_zone("America/New_York").key
        'America/New_York'
    """
    if isinstance(name, str) and name and not _NOT_ZONES.match(name):
        # ZoneInfo("America") opens a directory.
        with suppress(ZoneInfoNotFoundError, ValueError, OSError):
            return _load_zone(name)
    hint = "Give an IANA name such as 'America/New_York' or 'UTC'."
    zones = [zone for zone in available_timezones() if not _NOT_ZONES.match(zone)]
    raise UnknownWordError(name, "time zone", zones, synonyms=_ZONE_SYNONYMS, hint=hint)


def to_seconds(instant: datetime) -> int:
    """Return the whole seconds since 1970 of an aware *instant*, rounded down."""
    return (instant - EPOCH) // timedelta(seconds=1)


def from_seconds(instant: int) -> datetime:
    """Return the aware UTC datetime of *instant*."""
    return EPOCH + timedelta(seconds=instant)


def _offset(instant: int, tz: ZoneInfo) -> int:
    delta = from_seconds(instant).astimezone(tz).utcoffset()
    assert delta is not None  # noqa: S101 - a ZoneInfo always has an offset at an instant
    return delta.days * DAY + delta.seconds


def find_wall_offsets(local: int, tz: ZoneInfo) -> tuple[int, int]:
    """Return the offsets of the first and of the second occurrence of the wall-clock time *local*."""
    wall = (_LOCAL_EPOCH + timedelta(seconds=local)).replace(tzinfo=tz)
    first, second = wall.utcoffset(), wall.replace(fold=1).utcoffset()
    assert first is not None  # noqa: S101
    assert second is not None  # noqa: S101
    return first.days * DAY + first.seconds, second.days * DAY + second.seconds


def to_wall_seconds(wall: datetime) -> int:
    """Return a naive *wall*-clock time as whole seconds since the local 1970, rounded down."""
    return (wall - _LOCAL_EPOCH) // timedelta(seconds=1)


def resolve_wall(wall: datetime, tz: ZoneInfo) -> datetime:
    """Return the instant of a naive *wall*-clock time: the first of two, or the second if its fold is 1 (PEP 495).

    A skipped time moves on by the gap, so a skipped midnight is the first instant of its day.
    """
    offset = find_wall_offsets(to_wall_seconds(wall), tz)[wall.fold]
    return (wall - timedelta(seconds=offset)).replace(tzinfo=UTC, fold=0)


def to_local(instant: datetime, tz: ZoneInfo) -> datetime:
    """Return the naive local time of an aware *instant*; the first instant of a day is its midnight.

    The wall clock shows another time at that instant if it skips midnight. So arithmetic on days uses this.

    Examples:
        >>> to_local(datetime(2026, 9, 6, 4, tzinfo=UTC), find_zone("America/Santiago"))
        datetime.datetime(2026, 9, 6, 0, 0)
    """
    wall = instant.astimezone(tz).replace(tzinfo=None, fold=0)
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if resolve_wall(midnight, tz) == instant else wall


def is_day_start(instant: datetime, tz: ZoneInfo) -> bool:
    """Return whether *instant* is the first of its local day."""
    local = to_local(instant, tz)
    return local.time() == time() and resolve_wall(local, tz) == instant


# --- buckets on the wall clock -----------------------------------------------------------------------------


def _month_start(year: int, month: int) -> int:
    return (date(year, month, 1).toordinal() - _EPOCH_DAY) * DAY


def floor_local(local: int, step: str) -> int:
    """Return the wall-clock start of the bucket that contains *local*, in seconds since the local 1970."""
    if step in FIXED_STEPS:
        return local - local % FIXED_STEPS[step]
    days = local // DAY
    if step == "day":
        return days * DAY
    if step == "week":
        return (days - (days + 3) % 7) * DAY  # 1970-01-01 was a Thursday; weeks start on Monday
    day = date.fromordinal(days + _EPOCH_DAY)
    if step in _MONTHS:
        return _month_start(day.year, day.month - (day.month - 1) % _MONTHS[step])
    length = _YEARS[step]
    # Decades start in years that end in 0; centuries and millennia count from the year 1.
    first = 1 if length >= 100 else 0  # noqa: PLR2004
    return _month_start(max(1, day.year - (day.year - first) % length), 1)


def find_next_local(local: int, step: str) -> int:
    """Return the wall-clock start of the bucket after the one that starts at *local*."""
    if step in FIXED_STEPS:
        return local + FIXED_STEPS[step]
    if step in ("day", "week"):
        return local + (DAY if step == "day" else 7 * DAY)
    day = date.fromordinal(local // DAY + _EPOCH_DAY)
    if step in _MONTHS:
        month = day.month - 1 + _MONTHS[step]
        return _month_start(day.year + month // 12, month % 12 + 1)
    year = day.year + _YEARS[step]
    if step == "decade" and day.year == 1:  # the decade of the years 1-9 has no year 0
        year = 10
    return _month_start(year, 1)


def label_bucket(local: int, tz: ZoneInfo) -> int:
    """Return the label of the bucket of a day or longer that starts at *local* on the wall clock."""
    return local - min(find_wall_offsets(local, tz))


def floor_to_bucket(instant: int, step: str, tz: ZoneInfo) -> int:
    """Return the label of the bucket that contains *instant*: PostgreSQL's ``date_trunc(step, instant, zone)``.

    Examples:
        >>> at = to_seconds(datetime(2026, 3, 8, 12, tzinfo=UTC))
        >>> from_seconds(floor_to_bucket(at, "day", find_zone("America/New_York"))).isoformat()
        '2026-03-08T05:00:00+00:00'
    """
    local = instant + _offset(instant, tz)
    if step in FIXED_STEPS:
        return instant - local % FIXED_STEPS[step]
    return label_bucket(floor_local(local, step), tz)


# --- a zone's offset changes ------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _changes_of_year(year: int, tz: ZoneInfo) -> tuple[tuple[int, int], ...]:
    """Return (instant, new offset) of each change in the UTC *year*; no zone ever changed twice within a day."""
    begin, end = _month_start(year, 1), _month_start(year + 1, 1)
    found = []
    before = _offset(begin, tz)
    for probe in range(begin, end, DAY):
        low, high = probe, min(probe + DAY, end)
        after = _offset(high, tz)
        if after == before:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if _offset(middle, tz) == before:
                low = middle
            else:
                high = middle
        found.append((high, after))
        before = after
    return tuple(found)


def find_offset_changes(start: int, end: int, tz: ZoneInfo) -> list[tuple[int, int]]:
    """Return the offset changes after *start* and before *end*, as (instant, offset from then on)."""
    years = range(from_seconds(start).year - 1, from_seconds(end).year + 2)
    if tz.key == "UTC":
        return []
    return [c for year in years if 1 < year < 9999 for c in _changes(year, tz) if start < c[0] < end]  # noqa: PLR2004


def _changes(year: int, tz: ZoneInfo) -> tuple[tuple[int, int], ...]:
    """Return the changes of any UTC *year*; after the last listed year, the rules repeat every 400 years."""
    cycles = max(0, (year - _LAST_LISTED_YEAR) // 400)
    shift = cycles * 146_097 * DAY
    return tuple((at + shift, offset) for at, offset in _changes_of_year(year - 400 * cycles, tz))


def split_by_offset(start: int, end: int, tz: ZoneInfo) -> Iterator[tuple[int, int, int]]:
    """Yield (start, end, offset) of each part of [start, end) that has one offset."""
    at, offset = start, _offset(start, tz)
    for change, new in find_offset_changes(start, end, tz):
        yield at, change, offset
        at, offset = change, new
    yield at, end, offset


def list_local_edges(start: int, end: int, step: str, tz: ZoneInfo) -> list[int]:
    """Return the wall-clock starts of the buckets of [start, end), for a *step* of a day or longer.

    The clock may run back over an edge, so the list covers the lowest to the highest local time of the range.
    """
    walls = [at + offset for begin, until, offset in split_by_offset(start, end, tz) for at in (begin, until - 1)]
    edge, last = floor_local(min(walls), step), max(walls)
    edges = []
    while edge <= last:
        edges.append(edge)
        edge = find_next_local(edge, step)
    return edges


def list_buckets(start: int, end: int, step: str, tz: ZoneInfo) -> list[int]:
    """Return the labels of all buckets that contain an instant of [start, end), ascending.

    Examples:
        >>> tz = find_zone("Pacific/Apia")  # 2011-12-30 did not exist there
        >>> days = list_buckets(to_seconds(datetime(2011, 12, 29, 12, tzinfo=UTC)),
        ...                      to_seconds(datetime(2011, 12, 31, 12, tzinfo=UTC)), "day", tz)
        >>> [from_seconds(d).astimezone(tz).day for d in days]
        [29, 31, 1]
    """
    if start >= end:
        return []
    if step in FIXED_STEPS:
        width = FIXED_STEPS[step]
        starts: dict[int, None] = {}
        for begin, until, offset in split_by_offset(start, end, tz):
            starts.update(dict.fromkeys(range(begin - (begin + offset) % width, until, width)))
        return sorted(starts)
    found = {label_bucket(edge, tz) for edge in list_local_edges(start, end, step, tz)}
    return sorted(at for at in found if get_overlap(find_bounds(at, step, tz), start, end) > 0)


class Bounds(NamedTuple):
    """The first instant of a bucket, and the first instant after it."""

    start: int
    end: int


def find_bounds(bucket: int, step: str, tz: ZoneInfo) -> Bounds:
    """Return the bounds of the bucket labeled *bucket*.

    Where midnight comes twice, the bucket starts at the first and is labeled by the second. Where the clock runs back
    over midnight, two buckets interleave, and the bounds of each cover all of it.
    """
    if step in FIXED_STEPS:
        width = FIXED_STEPS[step]
        changes = find_offset_changes(bucket, bucket + 2 * width, tz)
        first = bucket
        if floor_to_bucket(bucket, step, tz) != bucket and changes:
            first = changes[0][0]
        for change, _ in changes:
            if first < change < bucket + width and floor_to_bucket(change, step, tz) != bucket:
                return Bounds(first, change)
        return Bounds(first, bucket + width)
    local = floor_local(bucket + _offset(bucket, tz), step)
    after = find_next_local(local, step)
    last = label_bucket(after, tz)
    if last - 1 + _offset(last - 1, tz) >= after:  # the clock did not run back over this edge
        last = after - find_wall_offsets(after, tz)[0]
    return Bounds(local - find_wall_offsets(local, tz)[0], last)


def find_edge_before(instant: int, step: str, tz: ZoneInfo) -> int:
    """Return the last instant, up to *instant*, that splits no bucket.

    Where the clock runs back over midnight two buckets interleave, so the start of the later one splits the other.

    Examples:
        >>> at = to_seconds(datetime(2026, 3, 8, 12, tzinfo=UTC))
        >>> from_seconds(find_edge_before(at, "day", find_zone("America/New_York"))).isoformat()
        '2026-03-08T05:00:00+00:00'
    """
    edge = find_bounds(floor_to_bucket(instant, step, tz), step, tz).start
    while not _is_edge(edge, step, tz):
        edge = find_bounds(floor_to_bucket(edge - 1, step, tz), step, tz).start
    return edge


def find_edge_after(instant: int, step: str, tz: ZoneInfo) -> int:
    """Return the first instant, from *instant* on, that splits no bucket."""
    edge = instant
    while not _is_edge(edge, step, tz):
        edge = find_bounds(floor_to_bucket(edge, step, tz), step, tz).end
    return edge


def _is_edge(instant: int, step: str, tz: ZoneInfo) -> bool:
    before, after = (find_bounds(floor_to_bucket(at, step, tz), step, tz) for at in (instant - 1, instant))
    return before.end <= instant <= after.start


def get_overlap(bucket: Bounds, start: float | None, end: float | None) -> float:
    """Return the seconds of *bucket* that lie in [start, end); ``None`` leaves that side open."""
    low = bucket.start if start is None else max(bucket.start, start)
    high = bucket.end if end is None else min(bucket.end, end)
    return max(0, high - low)


def get_elapsed_share(bucket: int, step: str, tz: ZoneInfo, start: float | None, end: float | None) -> float:
    """Return the share of *bucket*, 0 to 1, that lies in [start, end); below 1 the bucket is partial."""
    whole = find_bounds(bucket, step, tz)
    return get_overlap(whole, start, end) / (whole.end - whole.start)


def is_bucket_label(instant: int, step: str, tz: ZoneInfo) -> bool:
    """Return whether *instant* is the label of a bucket of *step*."""
    if floor_to_bucket(instant, step, tz) == instant:
        return True
    # Where the offset shifts by half an hour, an hour may start at the shift and be labeled by an earlier instant.
    changes = find_offset_changes(instant, instant + FIXED_STEPS.get(step, 0), tz)
    return any(floor_to_bucket(change, step, tz) == instant for change, _ in changes)


def count_buckets(start: datetime, end: datetime, step: str, tz: ZoneInfo) -> int:
    """Return the number of buckets that [start, end) touches; above ten thousand it is approximate."""
    about = int((end - start).total_seconds() / APPROXIMATE_SECONDS[step])
    if about > FEW_BUCKETS:
        return about
    until = to_seconds(end - timedelta(microseconds=1)) + 1
    return len(list_buckets(to_seconds(start), until, step, tz))
