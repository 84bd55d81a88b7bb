"""Which days of an archive a run fetches."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from vapi_frames.calendar.ranges import parse_time_point
from vapi_frames.errors import QueryError, RecordsWarning, warn
from vapi_frames.sources.records.days import API_RETENTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vapi_frames.sources.archive.day_files import State

__all__ = [
    "DAY",
    "choose_days",
    "find_days_to_sweep",
    "find_first_day",
    "format_count",
    "is_complete",
    "is_listed",
    "iter_days",
    "midnight",
    "split_consecutive",
    "warn_of_expired",
]

DAY = timedelta(days=1)

_FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)
_SETTLE = timedelta(hours=1)  # after the end of a day: by then its last calls are analyzed


def is_listed(day: date, now: datetime) -> bool:
    """Return whether the API still lists all calls of *day*, so that its file can be made anew."""
    return midnight(day) >= now - API_RETENTION


def is_complete(day: date, state: State, now: datetime, options: frozenset[str]) -> bool:
    """Return whether fetching *day* again would bring nothing new."""
    end = midnight(day) + DAY
    is_settled = state.fetched >= end + _SETTLE and not state.open and not state.has_failed
    return is_settled and (options <= state.kept or now >= end + API_RETENTION)


def find_first_day(states: dict[date, State], now: datetime, options: frozenset[str]) -> date:
    """Return the first incomplete day of the archive; of a new one, the first that the API still lists."""
    if not states:
        return (now - API_RETENTION).date()
    day = min(states)
    while day in states and is_complete(day, states[day], now, options):
        day += DAY
    return day


def find_days_to_sweep(states: dict[date, State], days: Sequence[date], now: datetime) -> list[date]:
    """Return the days that are stored, of which the API lists calls, and that are not among the *days* to fetch."""
    return [day for day in sorted({*states} - {*days}) if midnight(day) + DAY > now - API_RETENTION]


def choose_days(since: object, until: object, now: datetime) -> tuple[date | None, date]:
    """Return the first day, ``None`` without *since*, and the last."""
    start = None if since is None else _parse_instant(since, "since")
    end = now if until is None else _parse_instant(until, "until")
    if start is not None and start >= end:
        raise QueryError(f"the range is empty: since {since!r} is not before until {until!r}")
    if start is not None and start > now:
        raise QueryError(f"since {since!r} is in the future: there are no calls yet")
    if start is not None and start < _FIRST_DAY:
        raise QueryError(f"since {since!r} is before {_FIRST_DAY.date()}: the API has no calls of that time")
    last = min(end - timedelta.resolution, now).date()
    return None if start is None else start.date(), last


def _parse_instant(value: object, argument: str) -> datetime:
    found = parse_time_point(value, argument)
    return datetime.fromisoformat(found).replace(tzinfo=UTC) if isinstance(found, str) else found


def warn_of_expired(days: Sequence[date], now: datetime) -> None:
    """Warn of those of *days* that the API lists no more."""
    old = [day for day in days if midnight(day) + DAY <= now - API_RETENTION]
    if old:
        warn(
            f"the archive has nothing of {format_count(len(old), 'day')} from {old[0]} to {old[-1]}, and the API "
            f"lists calls for {API_RETENTION.days} days, unless your plan says otherwise: calls that it no longer "
            "lists are missing",
            RecordsWarning,
        )


def midnight(day: date) -> datetime:
    """Return the instant at which a UTC day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def iter_days(first: date, last: date) -> Iterator[date]:
    """Yield the days from *first* to *last*."""
    while first <= last:
        yield first
        first += DAY


def split_consecutive(days: Sequence[date]) -> Iterator[list[date]]:
    """Yield *days*, which are ascending, in lists of consecutive ones."""
    found: list[date] = []
    for day in days:
        if found and day - found[-1] > DAY:
            yield found
            found = []
        found.append(day)
    if found:
        yield found


def format_count(number: int, what: str) -> str:
    """Return a number with its noun, such as ``1 day``."""
    return f"{number:,} {what}{'s' * (number != 1)}"
