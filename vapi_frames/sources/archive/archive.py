"""An archive of call records: what the API lists for some days, stored for good as one Parquet file per day.

A day is complete when it was fetched at least an hour after its end and none of its calls was open; a complete day is
not fetched again. Fetching a day again only adds to its file: newer values replace older ones, and a call that the API
no longer lists stays.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from vapi_frames.calendar.ranges import parse_time_point
from vapi_frames.errors import QueryError, RecordsError, RecordsWarning, ResponseError, warn
from vapi_frames.sources import progress
from vapi_frames.sources.api.listing import LIMIT, Listing
from vapi_frames.sources.archive.day_files import DayFiles, Row, State
from vapi_frames.sources.records.columns import ENDED_STATUSES
from vapi_frames.sources.records.days import API_RETENTION
from vapi_frames.sources.records.digests import describe_damage
from vapi_frames.sources.records.flatten import flatten_call
from vapi_frames.sources.records.paths import VARIABLE_ROOTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from os import PathLike
    from pathlib import Path

    from vapi_frames.sources.api.listing import Window
    from vapi_frames.sources.http.connection import Connection

__all__ = ["API_RETENTION", "ArchiveSummary", "archive"]

_FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_SETTLE = timedelta(hours=1)  # after the end of a day: by then its last calls are analyzed
_MARGIN = timedelta(milliseconds=1)  # the JSON shows an instant less exactly than the API compares it
_TRANSCRIPTS = {
    "transcript": ("transcript", "artifact.transcript"),
    "analysis.summary": ("analysis.summary", "summary"),
}
_RECORDINGS = {
    "recordingUrl": ("recordingUrl", "artifact.recordingUrl", "artifact.recording.mono.combinedUrl"),
    "stereoRecordingUrl": ("stereoRecordingUrl", "artifact.stereoRecordingUrl", "artifact.recording.stereoUrl"),
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ArchiveSummary:
    """What a run did.

    Attributes:
        folder: The folder of the archive.
        days: How many days were fetched; complete ones are not among them.
        calls: How many calls are new in the archive.
        updated: How many calls of the archive changed.
        open: How many calls of these days are not over; their days are fetched again by the next run.
        requests: How many requests were sent.
    """

    folder: Path
    days: int
    calls: int
    updated: int
    open: int
    requests: int

    def __str__(self) -> str:
        return (
            f"{self.folder}: {_format_count(self.days, 'day')} fetched by {_format_count(self.requests, 'request')}, "
            f"{_format_count(self.calls, 'new call')}, {self.updated:,} updated, {self.open:,} still open"
        )

    def __repr__(self) -> str:
        return f"<archived in {self}>"


def archive(
    connection: Connection,
    folder: str | PathLike[str],
    *,
    since: object = None,
    until: object = None,
    now: datetime,
    transcripts: bool = False,
    recordings: bool = False,
    limit: int = LIMIT,
) -> ArchiveSummary:
    """Store the calls of the days of [since, until) in *folder*, except days that are complete there.

    Days are UTC days, always whole, fetched oldest first: the API drops the oldest first. A run that is interrupted
    keeps the days that it finished.

    Args:
        connection: The connection to the API.
        folder: The folder of the archive; it is created if there is none.
        since: A time in the first day, as in `Query.since`; by default the first incomplete day of the archive, and in
            a new archive the day 14 days ago.
        until: The time before which the last day begins; by default, and at most, *now*.
        now: The clock.
        transcripts: Whether transcripts and summaries are stored, too.
        recordings: Whether the addresses of recordings are stored, too.
        limit: How many calls a page has at most.

    Raises:
        QueryError: The range is empty, *folder* is a file, or it has the calls of another organization.
        SourceError: A request failed.
        ResponseError: A reply is no list of calls; or a call could not be read, and all others were stored.
        RecordsError: Another run uses the folder, a file with the name of a day is not of an archive, or a day that the
            API may no longer list is damaged; all other days were stored.
        OSError: A file cannot be written.
    """
    first, last = _choose_days(since, until, now)
    extras = {**(_TRANSCRIPTS if transcripts else {}), **(_RECORDINGS if recordings else {})}
    files = DayFiles(folder)
    with files.lock():
        states = files.read_states()
        for day in [one for one in files.damaged if _is_listed(one, now)]:
            files.set_aside(day)
        columns = frozenset(extras)
        days = [
            day
            for day in _list_days(first or _find_first_day(states, now, columns), last)
            if day not in files.damaged and (day not in states or not _is_complete(day, states[day], now, columns))
        ]
        _warn_of_expired([day for day in days if day not in states], now)
        run = _Run(files, extras, now, {one.organization for one in states.values() if one.organization})
        listing = Listing(connection, "/call", limit=limit)
        progress.expect(len(days))
        for consecutive in _split_consecutive(days):
            start, end = _midnight(consecutive[0]) - _MARGIN, _midnight(consecutive[-1]) + _DAY + _MARGIN
            run.store(consecutive, listing.between(start, end))
        damage = _describe_damage(files)
        if run.failure is not None:
            if damage:
                warn(damage, RecordsWarning)
            path, message = run.failure
            more = f", and {run.failures - 1:,} more like it" if run.failures > 1 else ""
            raise ResponseError(
                f"{message}{more}; all other calls were stored, and the next run fetches their days again", path=path
            )
        if damage:
            raise RecordsError(damage, file=str(files.folder))
        return ArchiveSummary(
            folder=files.folder, days=len(days), calls=run.new, updated=run.updated, open=run.open,
            requests=listing.requests,
        )  # fmt: skip


class _Run:
    """Collects what the API lists, and writes each day once its last window has arrived."""

    def __init__(
        self, files: DayFiles, extras: dict[str, tuple[str, ...]], now: datetime, organizations: set[str]
    ) -> None:
        self._files = files
        self._extras = extras
        self._now = now
        self._organizations = organizations
        self.failure: tuple[str, str] | None = None  # the first: where in the reply, and the message
        self.failures = 0
        self.new = self.updated = self.open = 0

    def store(self, days: Sequence[date], windows: Iterable[Window]) -> None:
        """Write the calls of *days*, which are consecutive."""
        pending = list(days)
        calls: dict[date, dict[str, Row]] = {day: {} for day in days}
        failed: set[date] = set()
        for window in windows:
            failures = self.failures
            for row in self._rows(window):
                # A call of midnight may be listed with either day; its own createdAt decides.
                if (day := row["createdAt"].date()) in calls:
                    calls[day][row["id"]] = row
            if self.failures > failures:
                failed |= {day for day in pending if _midnight(day) < window.end}
            progress.say(f"{pending[0]}: {len(calls[pending[0]]):,} calls")
            while pending and _midnight(pending[0]) + _DAY + _MARGIN <= window.end:
                day = pending.pop(0)
                self._write_day(day, calls.pop(day), has_failed=day in failed)
                progress.arrived()

    def _rows(self, window: Window) -> Iterator[Row]:
        if not window.is_whole:
            self._add_failure(
                "$",
                f"{len(window.records):,} or more calls were created in one millisecond, and a page has no more; "
                f"{window.request}",
            )
        for place, record in enumerate(window.records):
            try:
                yield self._row(record)
            except RecordsError as error:
                column = f".{error.column}" if error.column else ""
                self._add_failure(f"$[{place}]{column}", f"{error}; {window.request}")

    def _add_failure(self, path: str, message: str) -> None:
        self.failure = self.failure or (path, message)
        self.failures += 1

    def _row(self, record: Any) -> Row:
        values, variables = flatten_call(record)
        if not isinstance(record.get("id"), str) or not record["id"]:
            raise RecordsError("the call has no id", column="id")
        organization = record.get("orgId")
        if isinstance(organization, str):
            self._organizations.add(organization)
        if len(self._organizations) > 1:
            raise QueryError(
                f"the key belongs to the organization {organization!r}, and {str(self._files.folder)!r} has the calls "
                "of another: use one folder for each organization"
            )
        row = {name: value for name, value in values.items() if value is not None}
        row |= {name: text for name, places in self._extras.items() if (text := _find_text(record, places)) is not None}
        # No query groups by a nested value, and the API itself nests the numbers of phones there.
        plain = {key: text for key, text in variables.items() if text is not None and not _is_nested(text)}
        row |= {f"{VARIABLE_ROOTS[0]}.{key}": text for key, text in plain.items()}
        return row

    def _write_day(self, day: date, calls: dict[str, Row], *, has_failed: bool) -> None:
        """Write the file of *day*: what it has, updated by *calls*."""
        stored = self._files.read_rows(day)
        if day in self._files.damaged:
            if not _is_listed(day, self._now):
                return
            self._files.set_aside(day)
        merged = {id_: {**stored.get(id_, {}), **row} for id_, row in (stored | calls).items()}
        oldest = self._now - API_RETENTION
        open_ = sum(not _is_over(row) and (id_ in calls or row["createdAt"] >= oldest) for id_, row in merged.items())
        organization = next(iter(self._organizations), None)
        state = State(
            self._now, open=open_, has_failed=has_failed, extras=frozenset(self._extras), organization=organization
        )
        self._files.write(day, merged.values(), state)
        self.new += len(merged) - len(stored)
        self.updated += sum(merged[id_] != row for id_, row in stored.items())
        self.open += open_


def _is_listed(day: date, now: datetime) -> bool:
    """Return whether the API still lists all calls of *day*, so that its file can be made anew."""
    return _midnight(day) >= now - API_RETENTION


def _describe_damage(files: DayFiles) -> str:
    """Return the message about the days that a run left as they are; an empty text if there are none."""
    if not files.damaged:
        return ""
    damaged = {files.folder / f"{day.isoformat()}.parquet": problem for day, problem in files.damaged.items()}
    return (
        f"{describe_damage(damaged)}. The API may no longer list them, so they were left as they are, and all other "
        "days were stored. Copy the files back from a backup"
    )


def _is_complete(day: date, state: State, now: datetime, columns: frozenset[str]) -> bool:
    """Return whether fetching *day* again would bring nothing new."""
    end = _midnight(day) + _DAY
    is_settled = state.fetched >= end + _SETTLE and not state.open and not state.has_failed
    return is_settled and (columns <= state.extras or now >= end + API_RETENTION)


def _find_first_day(states: dict[date, State], now: datetime, columns: frozenset[str]) -> date:
    """Return the first incomplete day of the archive; of a new one, the first that the API still lists."""
    if not states:
        return (now - API_RETENTION).date()
    day = min(states)
    while day in states and _is_complete(day, states[day], now, columns):
        day += _DAY
    return day


def _choose_days(since: object, until: object, now: datetime) -> tuple[date | None, date]:
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


def _warn_of_expired(days: Sequence[date], now: datetime) -> None:
    old = [day for day in days if _midnight(day) + _DAY <= now - API_RETENTION]
    if old:
        warn(
            f"the archive has nothing of {_format_count(len(old), 'day')} from {old[0]} to {old[-1]}, and the API "
            f"lists calls for {API_RETENTION.days} days, unless your plan says otherwise: calls that it no longer "
            "lists are missing",
            RecordsWarning,
        )


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _list_days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += _DAY


def _split_consecutive(days: Sequence[date]) -> Iterator[list[date]]:
    """Yield *days*, which are ascending, in lists of consecutive ones."""
    found: list[date] = []
    for day in days:
        if found and day - found[-1] > _DAY:
            yield found
            found = []
        found.append(day)
    if found:
        yield found


def _is_over(row: Row) -> bool:
    return row.get("status") in ENDED_STATUSES or bool(row.get("endedReason"))


def _find_text(record: dict[str, Any], places: Iterable[str]) -> str | None:
    """Return the text at the first of *places* that has one."""
    for place in places:
        value: Any = record
        for part in place.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, str):
            return value.encode(errors="replace").decode()  # a transcript may be cut within a character
    return None


def _is_nested(text: str) -> bool:
    """Return whether *text* is the JSON of an object or array."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        return isinstance(json.loads(text), dict | list)
    except RecursionError:
        return True
    except ValueError:
        return False


def _format_count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
