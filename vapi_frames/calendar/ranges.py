"""The range of a query: absolute or relative, and the instants it resolves to.

Aware datetimes become UTC when they are read. Naive ones stay local text, because a later verb may set their zone.
Relative ranges stay relative until there is a clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from vapi_frames.calendar.buckets import (
    LAST_YEAR,
    find_bounds,
    floor_to_bucket,
    from_seconds,
    resolve_wall,
    to_local,
    to_seconds,
)
from vapi_frames.errors import QueryError, format_value

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

__all__ = [
    "AbsoluteRange",
    "Instants",
    "RelativeRange",
    "Span",
    "TimePoint",
    "TimeRange",
    "describe_missing_end",
    "fill_defaults",
    "format_iso",
    "parse_duration",
    "parse_last",
    "parse_now",
    "parse_period",
    "parse_range",
    "parse_span",
    "parse_time_point",
    "resolve_time_point",
]

TimePoint: TypeAlias = datetime | str
"""A UTC datetime, or the ISO text of a wall-clock time in the zone of the query.

The text of the second of two equal wall-clock times ends in ``[fold=1]``.
"""

Unit: TypeAlias = Literal["s", "min", "h", "d", "w", "mo", "y"]
_STEP_OF = {"s": "second", "min": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_CLOCK = {"s": timedelta(seconds=1), "min": timedelta(minutes=1), "h": timedelta(hours=1)}
_TIMES = {**_CLOCK, "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DEFAULT_SPAN = timedelta(days=7)  # the contract: start defaults to 7 days ago, end to now
_FOLD = "[fold=1]"  # in the form of a suffix of RFC 9557
_MORE_THAN_MICROSECONDS = re.compile(r"(\.\d{6})(\d+)")


@dataclass(frozen=True, slots=True)
class AbsoluteRange:
    """A half-open range [start, end); a side that is ``None`` has the contract's default."""

    start: TimePoint | None
    end: TimePoint | None

    def local_sides(self, start: datetime, end: datetime, tz: ZoneInfo) -> tuple[datetime, datetime]:
        """Return the naive local times of both sides: as written, else of the resolved *start* and *end*.

        They differ where a written date does not exist: Apia had no 30 December 2011.
        """
        written = (_read_local(side) if isinstance(side, str) else None for side in (self.start, self.end))
        low, high = (
            side if side is not None and resolve_wall(side, tz) == instant else to_local(instant, tz)
            for side, instant in zip(written, (start, end), strict=True)
        )
        return low, high

    def resolve(self, tz: ZoneInfo) -> Instants:
        """Return both sides in UTC."""
        start, end = (None if side is None else resolve_time_point(side, tz) for side in (self.start, self.end))
        if start is not None and end is not None and start >= end:
            raise QueryError(
                f"the range is empty: start {format_iso(start)} is not before end {format_iso(end)}; "
                "a range is half-open, [start, end)"
            )
        return start, end


@dataclass(frozen=True, slots=True)
class Span:
    """A number of units of time; days and longer are units of the calendar."""

    count: int
    unit: Unit

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"

    def subtract_from(self, local: datetime) -> datetime:
        """Return the naive *local* time this long before another; the 31st becomes the last day of a shorter month."""
        try:
            if self.unit in _TIMES:
                return local - self.count * _TIMES[self.unit]
            return _subtract_months(local, self.count * (12 if self.unit == "y" else 1))
        except (OverflowError, ValueError) as error:
            raise QueryError(f"the last {self} start before the year 1") from error

    def shift_back(self, instant: datetime, tz: ZoneInfo, local: datetime | None = None) -> datetime:
        """Return the instant this long before another; days and longer are counted on the calendar of the zone.

        Args:
            instant: The later instant.
            tz: The zone.
            local: Its naive local time, where that is known; an instant cannot say that it was a skipped date.
        """
        if self.unit in _CLOCK:
            return self.subtract_from(instant)
        try:
            return resolve_wall(self.subtract_from(local or to_local(instant, tz)), tz)
        except OverflowError as error:
            raise QueryError(f"the last {self} start before the year 1") from error


@dataclass(frozen=True, slots=True)
class RelativeRange:
    """The last *span* before now; with *complete*, only whole buckets."""

    span: Span
    complete: bool = False

    def __str__(self) -> str:
        return str(self.span)

    def resolve(self, now: datetime, tz: ZoneInfo, step: str | None) -> Instants:
        """Return both sides in UTC; days and longer are counted on the calendar of the zone."""
        if not self.complete:
            return self.span.shift_back(now, tz), now
        step = step or _STEP_OF[self.span.unit]
        end = from_seconds(find_bounds(floor_to_bucket(to_seconds(now), step, tz), step, tz).start)
        start = self.span.shift_back(end, tz)
        first = find_bounds(floor_to_bucket(to_seconds(start), step, tz), step, tz)
        if from_seconds(first.start) < start:
            start = from_seconds(first.end)
        if start >= end:
            raise QueryError(f"the last {self} before {format_iso(now)} contain no whole {step}; use a longer span")
        return start, end


TimeRange: TypeAlias = AbsoluteRange | RelativeRange
Instants: TypeAlias = tuple[datetime | None, datetime | None]


def _subtract_months(wall: datetime, months: int) -> datetime:
    year, month = divmod(wall.year * 12 + wall.month - 1 - months, 12)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)  # noqa: PLR2004
    length = (following - date(year, month + 1, 1)).days
    return wall.replace(year=year, month=month + 1, day=min(wall.day, length))


def resolve_time_point(point: TimePoint, tz: ZoneInfo) -> datetime:
    """Return the instant of *point*; text is wall-clock time in the zone."""
    return resolve_wall(_read_local(point), tz) if isinstance(point, str) else point


def _read_local(text: str) -> datetime:
    """Return the naive datetime of the text of a `TimePoint`."""
    return datetime.fromisoformat(text.removesuffix(_FOLD)).replace(fold=int(text.endswith(_FOLD)))


def fill_defaults(instants: Instants, now: datetime) -> tuple[datetime, datetime]:
    """Fill open sides with the contract's defaults: start is 7 days ago, end is now."""
    start, end = instants
    return start if start is not None else now - _DEFAULT_SPAN, end if end is not None else now


def format_iso(instant: datetime) -> str:
    """Return *instant* as the API writes it: ISO 8601 in UTC with ``Z``.

    Examples:
        >>> format_iso(datetime(2026, 10, 1, 4, tzinfo=UTC))
        '2026-10-01T04:00:00Z'
    """
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def parse_time_point(value: object, what: str) -> TimePoint:
    """Read one side of a range.

    Args:
        value: ISO text, ``datetime``, ``date``, ``pandas.Timestamp`` or ``numpy.datetime64``.
        what: Its name in error messages.

    Raises:
        QueryError: It is none of these, finer than a microsecond, or outside the years 1 to 9000.

    Examples:
        >>> parse_time_point("2026-10-01", "start")
        '2026-10-01'
        >>> parse_time_point("2026-10-01T00:00-04:00", "start")
        datetime.datetime(2026, 10, 1, 4, 0, tzinfo=datetime.timezone.utc)
    """
    written = value
    try:
        is_missing = value is None or bool(value != value)  # noqa: PLR0124 - NaT is not equal to itself
    except TypeError:  # the truth of pandas.NA is undefined
        is_missing = True
    except ValueError:  # that of a DataFrame or an array is ambiguous
        is_missing = False
    if is_missing:
        raise QueryError(f"{what} is {format_value(written)}; pass a date such as '2026-10-01'")
    if getattr(value, "nanosecond", 0):
        raise QueryError(
            f"{what} {format_value(written)} is finer than a microsecond; round it first: {what}.floor('us')"
        )
    convert = getattr(value, "to_pydatetime", None)
    if convert is not None:
        value = convert()
    elif type(value).__module__ == "numpy" and hasattr(value, "dtype"):
        value = str(value)
    if isinstance(value, str):
        value = _from_text(value, what)
    if isinstance(value, datetime):
        if not 1 < value.year <= LAST_YEAR:
            raise QueryError(f"{what} {format_value(written)} is outside the years 2 to {LAST_YEAR}")
        if value.tzinfo is None:
            return value.isoformat() + (_FOLD if value.fold else "")
        return value.astimezone(UTC)
    if isinstance(value, date):
        return str(parse_time_point(datetime(value.year, value.month, value.day), what))[:10]
    raise QueryError(
        f"{what} must be a date, a datetime or ISO 8601 text, not {format_value(written)}; e.g. '2026-10-01'"
    )


def parse_now(now: object) -> datetime:
    """Read *now*: a datetime or text with a zone."""
    found = parse_time_point(now, "now")
    if isinstance(found, str):
        raise QueryError(
            f"now={format_value(now)} has no zone; pass an aware datetime, or text with "
            "an offset, e.g. '2026-10-01T09:00:00Z'"
        )
    return found


def _from_text(text: str, what: str) -> date:
    finer = _MORE_THAN_MICROSECONDS.search(text)
    if finer and finer[2].strip("0"):
        raise QueryError(f"{what} {format_value(text)} is finer than a microsecond")
    trimmed = _MORE_THAN_MICROSECONDS.sub(r"\1", text.strip())
    if trimmed.endswith(_FOLD) and "T" in trimmed:
        read = _from_text(trimmed.removesuffix(_FOLD), what)
        return read.replace(fold=1) if isinstance(read, datetime) else read
    try:
        if len(trimmed) <= len("2026-10-01"):
            return date.fromisoformat(trimmed)
        return datetime.fromisoformat(trimmed)
    except ValueError:
        hint = " For a whole month, quarter or year use .during(...)." if re.match(r"\d{4}(-?\w\d?)?$", trimmed) else ""
        if re.match(r"\d+\s*[a-z]+$", trimmed):
            hint = f" For a span before now use .last({trimmed!r})."
        raise QueryError(
            f"{what} {format_value(text)} is not an ISO 8601 date; e.g. '2026-10-01' or '2026-10-01T09:30'.{hint}"
        ) from None


def describe_missing_end(start: object) -> str:
    """Return what to type where a range has only its *start*."""
    if start is None:
        return 'between() takes a start and an end, and has neither: .last("7d") is the last seven days'
    line = f'"{start.isoformat()}"' if isinstance(start, date) else format_value(start)
    line = f'"{start}"' if isinstance(start, str) and line == repr(start) else line
    try:
        parse_period(start)
        period = f", .during({line}) for that period"
    except QueryError:
        period = ""
    return f"write .since({line}) for all until now{period}"


def parse_range(start: object, end: object = ...) -> AbsoluteRange:
    """Read a half-open range; one side may be ``None``.

    Examples:
        >>> parse_range("2026-10-01", None)
        AbsoluteRange(start='2026-10-01', end=None)
    """
    if end is ...:  # as between() has it where the argument is left out
        raise QueryError(f"between() takes a start and an end, and the end is missing: {describe_missing_end(start)}")
    low = None if start is None else parse_time_point(start, "start")
    high = None if end is None else parse_time_point(end, "end")
    if low is None and high is None:
        raise QueryError("between(None, None) sets no range; for the last seven days leave it out")
    if low is not None and high is not None and type(low) is type(high):
        first, last = (_read_local(side) if isinstance(side, str) else side for side in (low, high))
        if first >= last and not last.fold:  # the second of two equal times may be an hour after the first
            raise QueryError(f"the range is empty: start {start!r} is not before end {end!r}; a range is half-open")
    return AbsoluteRange(low, high)


def parse_last(text: object, complete: object) -> RelativeRange:
    """Read a range before now, such as the last ``"30d"``."""
    if not isinstance(complete, bool):
        raise QueryError(f"complete must be True or False, not {format_value(complete)}")
    return RelativeRange(parse_span(text), complete)


def parse_span(text: object) -> Span:
    """Read a span such as ``"30d"``.

    Examples:
        >>> parse_span("12h")
        Span(count=12, unit='h')
    """
    found = re.fullmatch(r"(\d{1,9})\s*(s|min|h|d|w|mo|y)", text.strip()) if isinstance(text, str) else None
    if found and int(found[1]):
        return Span(int(found[1]), cast("Unit", found[2]))
    units = "90s 15min 12h 30d 4w 3mo 1y"
    if isinstance(text, str) and (minutes := re.fullmatch(r"(\d+)\s*[mM]", text.strip())):
        count = minutes[1]
        raise QueryError(
            f"{format_value(text)} could mean minutes or months: write '{count}min' or '{count}mo'; units are {units}"
        )
    raise QueryError(f"cannot read the span {format_value(text)}; write a positive number and a unit, as in {units}")


_LONGEST = timedelta(days=36_525)  # that leaves room for a subtraction from now


def parse_duration(text: object, what: str) -> timedelta:
    """Read a span such as ``"1h"`` as a timedelta; a day is 24 hours.

    Args:
        text: The span; months and years have no fixed length, and are refused.
        what: Its name in error messages.

    Examples:
        >>> parse_duration("90min", "settle")
        datetime.timedelta(seconds=5400)
    """
    try:
        span = parse_span(text)
    except QueryError:
        span = None
    if span is None or span.unit not in _TIMES:
        raise QueryError(f"{what} must be a span such as '1h', '90min' or '3d', not {format_value(text)}")
    if span.count > _LONGEST / _TIMES[span.unit]:
        raise QueryError(f"{what} must be at most {_LONGEST.days:,} days, not {format_value(text)}")
    return span.count * _TIMES[span.unit]


_PERIOD = re.compile(
    r"(?P<year>\d{4})(?:-?(?:[Qq](?P<quarter>[1-4])|[Ww](?P<week>\d\d))|-(?P<month>\d\d)(?:-(?P<day>\d\d))?)?"
)


def parse_period(period: object) -> AbsoluteRange:
    """Read a calendar period: a year, quarter, month, ISO week or day.

    Examples:
        >>> parse_period("2026-10")
        AbsoluteRange(start='2026-10-01', end='2026-11-01')
        >>> parse_period("2026Q4").end
        '2027-01-01'
    """
    found = _PERIOD.fullmatch(str(period).strip())
    try:
        if found is None:
            raise ValueError  # noqa: TRY301
        year, month, day = int(found["year"]), found["month"], found["day"]
        if found["week"]:
            start = date.fromisocalendar(year, int(found["week"]), 1)
            return _absolute(start, start + timedelta(days=7))
        if day:
            start = date(year, int(month), int(day))
            return _absolute(start, start + timedelta(days=1))
        if not month and not found["quarter"]:
            return _absolute(date(year, 1, 1), date(year + 1, 1, 1))
        first = int(month) if month else 3 * int(found["quarter"]) - 2
        after = first + (1 if month else 3)
        return _absolute(date(year, first, 1), date(year + (after > 12), (after - 1) % 12 + 1, 1))  # noqa: PLR2004
    except (ValueError, OverflowError):
        raise QueryError(
            f"cannot read the period {period!r}; write '2026', '2026Q4', '2026-10', '2026-W41' or '2026-10-05'"
        ) from None


def _absolute(start: date, end: date) -> AbsoluteRange:
    return AbsoluteRange(parse_time_point(start, "start"), parse_time_point(end, "end"))
