"""An archive of call records: what the API keeps for some days, kept for good, a Parquet file a day.

A day is done when the API was asked for it at least an hour after its end and none of its calls was open; what is done
is not asked again. Whatever else is asked again is added to what is kept: a record of today goes before the one of
yesterday, and nothing is forgotten because the API has forgotten it.
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
from vapi_frames.sources.records.columns import ENDED_STATUSES, VARIABLE_ROOTS
from vapi_frames.sources.records.flatten import flatten_call

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from os import PathLike
    from pathlib import Path

    from vapi_frames.sources.api.listing import Window
    from vapi_frames.sources.http.connection import Connection

__all__ = ["KEPT", "Archived", "archive"]

KEPT = timedelta(days=14)
"""For how long the API keeps calls of who pays as they go."""

_BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_SETTLED = timedelta(hours=1)  # after the end of a day, when its last calls have been analysed
_MARGIN = timedelta(milliseconds=1)  # by which the API's own instant and the one of its JSON may differ
_TRANSCRIPTS = {
    "transcript": ("transcript", "artifact.transcript"),
    "analysis.summary": ("analysis.summary", "summary"),
}
_RECORDINGS = {
    "recordingUrl": ("recordingUrl", "artifact.recordingUrl", "artifact.recording.mono.combinedUrl"),
    "stereoRecordingUrl": ("stereoRecordingUrl", "artifact.stereoRecordingUrl", "artifact.recording.stereoUrl"),
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Archived:
    """What a run did.

    Attributes:
        folder: Where the archive is.
        days: How many days were asked; those that were done before are not among them.
        calls: How many calls are new in the archive.
        updated: How many calls changed that were there before.
        open: How many calls of these days are not over yet; their days are asked again next time.
        requests: How many pages were asked for.
    """

    folder: Path
    days: int
    calls: int
    updated: int
    open: int
    requests: int

    def __str__(self) -> str:
        return (
            f"{self.folder}: {_counted(self.days, 'day')} asked by {_counted(self.requests, 'request')}, "
            f"{_counted(self.calls, 'new call')}, {self.updated:,} updated, {self.open:,} still open"
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
) -> Archived:
    """Keep the calls of the days of [since, until) in *folder*, as far as they are not done.

    Days are those of UTC, always whole, and asked oldest first: what the API will forget next comes first. A run that
    is broken off keeps the days that it finished.

    Args:
        connection: Who is asked.
        folder: Where the files are; it is made where there is none.
        since: A moment of the first day, as in `Query.since`; by default the first day that is not done, counted from
            the first that is kept; in a new archive the day 14 days ago.
        until: The moment before which the last day begins; by default, and at most, *now*.
        now: The clock.
        transcripts: Whether transcripts and summaries are kept, too.
        recordings: Whether the addresses of recordings are kept, too.
        limit: How many calls a page has at most.

    Raises:
        QueryError: The range is empty, *folder* is no folder, or holds the calls of another organization.
        SourceError: Nobody answered.
        ResponseError: A reply is no list of calls; or a call could not be read, after all others were kept.
        RecordsError: Another run is at it, or a file with the name of a day is not of an archive.
        OSError: It cannot be written.
    """
    first, last = _asked_days(since, until, now)
    extras = {**(_TRANSCRIPTS if transcripts else {}), **(_RECORDINGS if recordings else {})}
    files = DayFiles(folder)
    with files.alone():
        states = files.states()
        wanted = frozenset(extras)
        undone = [
            day
            for day in _days(first or _first_undone(states, now, wanted), last)
            if day not in states or not _is_done(day, states[day], now, wanted)
        ]
        _warn_of_forgotten([day for day in undone if day not in states], now)
        run = _Run(files, extras, now, {one.organization for one in states.values() if one.organization})
        listing = Listing(connection, "/call", limit=limit)
        progress.expect(len(undone))
        for days in _rows_of(undone):
            run.take(days, listing.between(_midnight(days[0]) - _MARGIN, _midnight(days[-1]) + _DAY + _MARGIN))
        if run.wrong is not None:
            path, said = run.wrong
            more = f", and {run.failures - 1:,} more like it" if run.failures > 1 else ""
            raise ResponseError(f"{said}{more}; all others were kept, and their days will be asked again", path=path)
        return Archived(
            folder=files.folder, days=len(undone), calls=run.new, updated=run.updated, open=run.open,
            requests=listing.requests,
        )  # fmt: skip


class _Run:
    """Takes what the API lists, and writes a day when its last window has come."""

    def __init__(self, files: DayFiles, extras: dict[str, tuple[str, ...]], now: datetime, whose: set[str]) -> None:
        self._files = files
        self._extras = extras
        self._now = now
        self._whose = whose
        self.wrong: tuple[str, str] | None = None
        self.failures = 0
        self.new = self.updated = self.open = 0

    def take(self, days: Sequence[date], windows: Iterable[Window]) -> None:
        """Take the calls of *days*, which follow each other."""
        waiting = list(days)
        came: dict[date, dict[str, Row]] = {day: {} for day in days}
        wrong: set[date] = set()
        for window in windows:
            failures = self.failures
            for row in self._calls(window):
                # A call that was created at midnight may come with either of two days; only what it says itself counts.
                if (day := row["createdAt"].date()) in came:
                    came[day][row["id"]] = row
            if self.failures > failures:
                wrong |= {day for day in waiting if _midnight(day) < window.end}
            progress.say(f"{waiting[0]}: {len(came[waiting[0]]):,} calls")
            while waiting and _midnight(waiting[0]) + _DAY + _MARGIN <= window.end:
                day = waiting.pop(0)
                self._keep(day, came.pop(day), wrong=day in wrong)
                progress.arrived()

    def _calls(self, window: Window) -> Iterator[Row]:
        if not window.is_whole:
            self._add_wrong(
                "$",
                f"{len(window.records):,} or more calls were created in one millisecond, and a page has "
                f"no more; {window.asked}",
            )
        for place, record in enumerate(window.records):
            try:
                yield self._row(record)
            except RecordsError as error:
                column = f".{error.column}" if error.column else ""
                self._add_wrong(f"$[{place}]{column}", f"{error}; {window.asked}")

    def _add_wrong(self, path: str, said: str) -> None:
        self.wrong = self.wrong or (path, said)
        self.failures += 1

    def _row(self, record: Any) -> Row:
        values, variables = flatten_call(record)
        if not isinstance(record.get("id"), str) or not record["id"]:
            raise RecordsError("it has no id, by which a call is known", column="id")
        whose = record.get("orgId")
        if isinstance(whose, str):
            self._whose.add(whose)
        if len(self._whose) > 1:
            raise QueryError(
                f"the key is of the organization {whose!r}, and {str(self._files.folder)!r} has the calls of another; "
                "each needs a folder of its own"
            )
        row = {name: value for name, value in values.items() if value is not None}
        row |= {name: text for name, places in self._extras.items() if (text := _text(record, places)) is not None}
        # What is nested is no value to group by, and it is where the API itself puts the numbers of phones.
        plain = {key: text for key, text in variables.items() if text is not None and not _is_nested(text)}
        row |= {f"{VARIABLE_ROOTS[0]}.{key}": text for key, text in plain.items()}
        return row

    def _keep(self, day: date, came: dict[str, Row], *, wrong: bool) -> None:
        kept = self._files.rows(day)
        merged = {id_: {**kept.get(id_, {}), **row} for id_, row in (kept | came).items()}
        oldest = self._now - KEPT
        open_ = sum(not _is_over(row) and (id_ in came or row["createdAt"] >= oldest) for id_, row in merged.items())
        whose = next(iter(self._whose), None)
        state = State(self._now, open=open_, wrong=wrong, kept=frozenset(self._extras), organization=whose)
        self._files.write(day, merged.values(), state)
        self.new += len(merged) - len(kept)
        self.updated += sum(merged[id_] != row for id_, row in kept.items())
        self.open += open_


def _is_done(day: date, state: State, now: datetime, wanted: frozenset[str]) -> bool:
    """Say whether asking for *day* again would bring nothing new."""
    end = _midnight(day) + _DAY
    is_settled = state.asked >= end + _SETTLED and not state.open and not state.wrong
    return is_settled and (wanted <= state.kept or now >= end + KEPT)


def _first_undone(states: dict[date, State], now: datetime, wanted: frozenset[str]) -> date:
    if not states:
        return (now - KEPT).date()
    day = min(states)
    while day in states and _is_done(day, states[day], now, wanted):
        day += _DAY
    return day


def _asked_days(since: object, until: object, now: datetime) -> tuple[date | None, date]:
    """Return the first day, if one was asked for, and the last."""
    start = None if since is None else _instant(since, "since")
    end = now if until is None else _instant(until, "until")
    if start is not None and start >= end:
        raise QueryError(f"the range is empty: since {since!r} is not before until {until!r}")
    if start is not None and start > now:
        raise QueryError(f"since {since!r} is after now, and no call was created then")
    if start is not None and start < _BEGIN:
        raise QueryError(f"since {since!r} is before {_BEGIN.date()}, and there was no API then")
    last = min(end - timedelta.resolution, now).date()
    return None if start is None else start.date(), last


def _instant(value: object, what: str) -> datetime:
    found = parse_time_point(value, what)
    return datetime.fromisoformat(found).replace(tzinfo=UTC) if isinstance(found, str) else found


def _warn_of_forgotten(days: Sequence[date], now: datetime) -> None:
    old = [day for day in days if _midnight(day) + _DAY <= now - KEPT]
    if old:
        warn(
            f"of {_counted(len(old), 'day')} from {old[0]} to {old[-1]} nothing is archived, and the API keeps calls "
            f"for {KEPT.days} days, unless your plan says otherwise: what it does not list any more is missing",
            RecordsWarning,
        )


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += _DAY


def _rows_of(days: Sequence[date]) -> Iterator[list[date]]:
    """Yield the days that follow each other, ascending."""
    row: list[date] = []
    for day in days:
        if row and day - row[-1] > _DAY:
            yield row
            row = []
        row.append(day)
    if row:
        yield row


def _is_over(row: Row) -> bool:
    return row.get("status") in ENDED_STATUSES or bool(row.get("endedReason"))


def _text(record: dict[str, Any], places: Iterable[str]) -> str | None:
    """Return the text at the first of *places* that has one."""
    for place in places:
        value: Any = record
        for part in place.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, str):
            return value.encode(errors="replace").decode()  # half a character can be cut off a transcript
    return None


def _is_nested(text: str) -> bool:
    """Say whether *text* is the JSON of an object or array."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        return isinstance(json.loads(text), dict | list)
    except RecursionError:
        return True
    except ValueError:
        return False


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
