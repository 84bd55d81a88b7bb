"""An archive of call records: what the API lists for some days, stored for good as one Parquet file per day.

A day is complete when it was fetched at least an hour after its end and none of its calls was open; a complete day is
not fetched again, but what changed in it since is. Fetching a day again only adds to its file: newer values replace
older ones, and a call that the API no longer lists stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from vapi_frames.errors import (
    QueryError,
    RecordsError,
    RecordsWarning,
    ResponseError,
    SourceError,
    VapiFramesError,
    format_value,
    warn,
)
from vapi_frames.sources import progress
from vapi_frames.sources.api.listing import LIMIT, Listing
from vapi_frames.sources.archive.day_files import RECORDS, DayFiles, State
from vapi_frames.sources.archive.fields import MOST_BYTES, MOST_KEYS, merge_rows, read_fields
from vapi_frames.sources.archive.schedule import (
    DAY,
    choose_days,
    find_days_to_sweep,
    find_first_day,
    format_count,
    is_complete,
    is_listed,
    iter_days,
    midnight,
    split_consecutive,
    warn_of_expired,
)
from vapi_frames.sources.records.columns import ENDED_STATUSES
from vapi_frames.sources.records.days import API_RETENTION
from vapi_frames.sources.records.digests import describe_damage
from vapi_frames.sources.records.values import read_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime
    from os import PathLike
    from pathlib import Path

    from vapi_frames.sources.api.listing import Window
    from vapi_frames.sources.archive.fields import Row
    from vapi_frames.sources.http.connection import Connection

__all__ = ["API_RETENTION", "ArchiveSummary", "archive"]

_MARGIN = timedelta(milliseconds=1)  # the JSON shows an instant less exactly than the API compares it
_SWEEP_MARGIN = timedelta(hours=1)  # by which the clocks of this computer and of the API may differ


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
            f"{self.folder}: {format_count(self.days, 'day')} fetched by {format_count(self.requests, 'request')}, "
            f"{format_count(self.calls, 'new call')}, {self.updated:,} updated, {self.open:,} still open"
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
    customers: bool = False,
    variables: bool = True,
    outputs: bool = True,
    limit: int = LIMIT,
) -> ArchiveSummary:
    """Store the calls of the days of [since, until) in *folder*, except days that are complete there.

    Days are UTC days, always whole, fetched oldest first: the API drops the oldest first. A run that is interrupted
    keeps the days that it finished. Of days that are complete, and that the API still lists, each run stores the calls
    that changed since the last one.

    Args:
        connection: The connection to the API.
        folder: The folder of the archive; it is created if there is none.
        since: A time in the first day, as in `Query.since`; by default the first incomplete day of the archive, and in
            a new archive the day 14 days ago.
        until: The time before which the last day begins; by default, and at most, *now*.
        now: The clock.
        transcripts: Whether transcripts, messages and summaries are stored, too.
        recordings: Whether the addresses of recordings are stored, too.
        customers: Whether numbers and names of customers are stored, too.
        variables: Whether variables are stored.
        outputs: Whether structured outputs and scorecards are stored.
        limit: How many calls a page has at most.

    Raises:
        QueryError: The range is empty, *folder* is a file, or it has the calls of another organization.
        SourceError: A request failed.
        ResponseError: A reply is no list of calls; or a call could not be read, and all others were stored.
        RecordsError: Another run uses the folder, a file with the name of a day is not of an archive, or a day that the
            API may no longer list is damaged; all other days were stored.
        OSError: A file cannot be written.
    """
    first, last = choose_days(since, until, now)
    wanted = {
        "transcripts": transcripts, "recordings": recordings, "customers": customers, "variables": variables,
        "outputs": outputs,
    }  # fmt: skip
    for name, value in wanted.items():
        if not isinstance(value, bool):
            raise QueryError(f"{name} must be True or False, not {format_value(value)}")
    kept = frozenset((RECORDS, *(name for name, is_wanted in wanted.items() if is_wanted)))
    files = DayFiles(folder)
    with files.lock():
        states = files.read_states()
        for day in [one for one in files.damaged if is_listed(one, now)]:
            files.set_aside(day)
        days = [
            day
            for day in iter_days(first or find_first_day(states, now, kept), last)
            if day not in files.damaged and (day not in states or not is_complete(day, states[day], now, kept))
        ]
        warn_of_expired([day for day in days if day not in states], now)
        run = _Run(files, kept, now, {one.organization for one in states.values() if one.organization})
        listing = Listing(connection, "/call", limit=limit)
        progress.expect(len(days))
        if stored := find_days_to_sweep(states, days, now):
            swept = max(one.swept or one.fetched for one in states.values())
            start, end = midnight(stored[0]) - _MARGIN, midnight(stored[-1]) + DAY + _MARGIN
            windows = listing.between(start, end, swept - _SWEEP_MARGIN)
            run.store_changed({day: states[day] for day in stored}, windows, swept)
        for consecutive in split_consecutive(days):
            start, end = midnight(consecutive[0]) - _MARGIN, midnight(consecutive[-1]) + DAY + _MARGIN
            run.store(consecutive, listing.between(start, end))
        run.report()
        return ArchiveSummary(
            folder=files.folder, days=len(days), calls=run.new, updated=run.updated, open=run.open,
            requests=listing.requests,
        )  # fmt: skip


class _Run:
    """Collects what the API lists, and writes each day once its last window has arrived."""

    def __init__(self, files: DayFiles, kept: frozenset[str], now: datetime, organizations: set[str]) -> None:
        self._files = files
        self._kept = kept
        self._now = now
        self._organizations = organizations
        self._failure: tuple[str, str] | None = None  # the first: where in the reply, and the message
        self._failures = self._over = 0
        self._swept = now
        self._sweep_error: VapiFramesError | None = None
        self.new = self.updated = self.open = 0

    def report(self) -> None:
        """Warn of what was left out, and raise what could not be stored.

        Raises:
            SourceError: A request for what changed failed.
            ResponseError: A call could not be read.
            RecordsError: A day is damaged.
        """
        if self._over:
            warn(
                f"{format_count(self._over, 'call')} had more than {MOST_KEYS} variables or structured outputs, or "
                f"more than {MOST_BYTES // 1024} kB of them; the rest was left out",
                RecordsWarning,
            )
        damage = _describe_damage(self._files)
        if self._sweep_error is not None:
            for message in filter(None, (damage, self._failure and self._failure[1])):
                warn(message, RecordsWarning)
            raise self._sweep_error
        if self._failure is not None:
            if damage:
                warn(damage, RecordsWarning)
            path, message = self._failure
            more = f", and {self._failures - 1:,} more like it" if self._failures > 1 else ""
            raise ResponseError(
                f"{message}{more}; all other calls were stored, and the next run fetches their days again", path=path
            )
        if damage:
            raise RecordsError(damage, file=str(self._files.folder))

    def store_changed(self, states: dict[date, State], windows: Iterable[Window], swept: datetime) -> None:
        """Add calls that changed since *swept* to the days that are stored with *states*.

        If a request fails, the days that are new come first, and the next run looks for the same changes.
        """
        calls: dict[date, dict[str, Row]] = {day: {} for day in states}
        failed: set[date] = set()
        try:
            for window in windows:
                failed |= self._add_rows(window, calls)
        except (SourceError, ResponseError) as error:
            self._swept, self._sweep_error = swept, error
        for day, state in states.items():
            if calls[day] or day in failed:
                state = replace(state, has_failed=day in failed or state.has_failed)  # noqa: PLW2901
                self._write_day(day, calls[day], state, is_whole=False)

    def store(self, days: Sequence[date], windows: Iterable[Window]) -> None:
        """Write the calls of *days*, which are consecutive."""
        pending = list(days)
        calls: dict[date, dict[str, Row]] = {day: {} for day in days}
        failed: set[date] = set()
        for window in windows:
            failed |= self._add_rows(window, calls)
            progress.say(f"{pending[0]}: {len(calls[pending[0]]):,} calls")
            while pending and midnight(pending[0]) + DAY + _MARGIN <= window.end:
                day = pending.pop(0)
                state = State(self._now, has_failed=day in failed, kept=self._kept, swept=self._swept)
                self._write_day(day, calls.pop(day), state, is_whole=True)
                progress.arrived()

    def _add_rows(self, window: Window, calls: dict[date, dict[str, Row]]) -> set[date]:
        """Add the rows of *window* to those of their days; return the days of which some could not be read."""
        touched = {day for day in calls if midnight(day) < window.end and window.start < midnight(day) + DAY}
        failed: set[date] = set()
        if not window.is_whole:
            failed |= touched
            self._add_failure(
                "$",
                f"{len(window.records):,} or more calls were created in one millisecond, and a page has no more; "
                f"{window.request}",
            )
        for place, record in enumerate(window.records):
            try:
                row = self._row(record)
            except RecordsError as error:
                failed |= _find_day(record) or touched
                column = f".{error.column}" if error.column else ""
                self._add_failure(f"$[{place}]{column}", f"{error}; {window.request}")
                continue
            # A call of midnight may be listed with either day; its own createdAt decides.
            if (day := row["createdAt"].date()) in calls:
                calls[day][row["id"]] = row
        return failed & {*calls}

    def _add_failure(self, path: str, message: str) -> None:
        self._failure = self._failure or (path, message)
        self._failures += 1

    def _row(self, record: Any) -> Row:
        row, over = read_fields(record, self._kept - {RECORDS})
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
        self._over += bool(over)
        return row

    def _write_day(self, day: date, calls: dict[str, Row], state: State, *, is_whole: bool) -> None:
        """Write the file of *day*: what it has, updated by *calls*, which are all of the day if it *is_whole*."""
        stored = self._files.read_rows(day)
        if day in self._files.damaged:
            if not is_whole or not is_listed(day, self._now):
                return
            self._files.set_aside(day)
        merged = stored | {id_: merge_rows(stored.get(id_, {}), row) for id_, row in calls.items()}
        if not is_whole and merged == stored and not state.has_failed:
            return
        oldest = self._now - API_RETENTION
        open_ = sum(not _is_over(row) and (id_ in calls or row["createdAt"] >= oldest) for id_, row in merged.items())
        organization = next(iter(self._organizations), None)
        self._files.write(day, merged.values(), replace(state, open=open_, organization=organization))
        self.new += len(merged) - len(stored)
        self.updated += sum(merged[id_] != row for id_, row in stored.items())
        self.open += open_


def _describe_damage(files: DayFiles) -> str:
    """Return the message about the days that a run left as they are; an empty text if there are none."""
    if not files.damaged:
        return ""
    damaged = {files.folder / f"{day.isoformat()}.parquet": problem for day, problem in files.damaged.items()}
    return (
        f"{describe_damage(damaged)}. The API may no longer list them, so they were left as they are, and all other "
        "days were stored. Copy the files back from a backup"
    )


def _find_day(record: Any) -> set[date]:
    """Return the day of a call that cannot be read; none where its time of creation cannot be, either."""
    try:
        created = read_value("createdAt", record.get("createdAt") if isinstance(record, dict) else None)
    except RecordsError:
        return set()
    return {created.date()} if created is not None else set()


def _is_over(row: Row) -> bool:
    return row.get("status") in ENDED_STATUSES or bool(row.get("endedReason"))
