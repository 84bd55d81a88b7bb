"""Results from call records on this machine, by one SELECT in an embedded DuckDB."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from vapi_frames.calendar.ranges import fill_defaults
from vapi_frames.errors import RecordsError, RecordsWarning, require, warn
from vapi_frames.query.query import Query
from vapi_frames.result.result import COVERAGE, Result, empty_result
from vapi_frames.sources.local.archived import find_span
from vapi_frames.sources.local.by_state import ByState
from vapi_frames.sources.local.coverage import (
    LACKING,
    PROBES,
    StoredDays,
    can_count,
    count_calls,
    count_missing,
    probe_query,
)
from vapi_frames.sources.local.duplicates import check_row_location, exclude_duplicates, find_duplicates
from vapi_frames.sources.local.engine import open_cursor, start_database
from vapi_frames.sources.local.files import FileRecords, restored_names
from vapi_frames.sources.local.open import open_records
from vapi_frames.sources.local.outputs import look_for_outputs
from vapi_frames.sources.local.overview import (
    Overview,
    describe_epochs,
    make_overview,
    note_numbers,
    write_is_dated,
    write_numbers,
)
from vapi_frames.sources.records.columns import (
    DURATION_WARNING,
    columns_used,
    find_columns,
    find_id,
    open_reader,
    variable_keys,
)
from vapi_frames.sources.records.drill import (
    find_drilled,
    find_kind,
    find_order,
    list_other_paths,
    list_sources,
    widen_query,
)
from vapi_frames.sources.records.duckdb import DUCKDB
from vapi_frames.sources.records.flatten import describe_variables
from vapi_frames.sources.records.missing import check_case
from vapi_frames.sources.records.paths import SKIPPED_OUTPUTS, variable_paths
from vapi_frames.sources.records.places import check_columns
from vapi_frames.sources.sql.drill import drill_records, empty_calls
from vapi_frames.sources.sql.run import find_near_values, run_query, warn_of_no_match
from vapi_frames.sources.sql.select import check_answerable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from vapi_frames.query.drill import Drill
    from vapi_frames.result.drilled import DrilledCalls
    from vapi_frames.sources.local.duplicates import DuplicateIds
    from vapi_frames.sources.local.relation import RecordsSnapshot, Relation
    from vapi_frames.sources.sql.select import QueryColumns

__all__ = ["LocalSource"]

T = TypeVar("T")

_ATTEMPTS = 3  # where a file is replaced while it is read, as by a run of an archive
_MOST_COUNTED = 100  # remembered counts, one for each range and its filters


class LocalSource:
    """Call records on this machine as a source.

    Args:
        calls: A DataFrame or Arrow table of call records, a list of call JSON, or Parquet and JSON files: a path, a
            folder, a glob, or several. A DataFrame and files are read at every query, so that a change shows in the
            next result; JSON is converted once, and again where a file changed.
        duplicates: What to do with records with the id of an earlier one: ``keep``, ``first`` or ``raise``.
        on_error: What to do with call JSON that cannot be read: ``raise`` or ``skip``.
        columns: Column of the API → the column, or a tuple of it and the keys into it, that the records have instead.
        now: Its clock; the wall clock by default.
        kept: The range of which all calls are among them, where that is known.

    Raises:
        RecordsError: *calls* is none of these, or no file matches.
        UnknownWordError: *duplicates* or *on_error* has no such value.
        MissingExtraError: DuckDB is not installed.
    """

    kind = "calls"

    def __init__(
        self,
        calls: Any,
        *,
        duplicates: str = "keep",
        on_error: str = "raise",
        columns: Mapping[str, str | Sequence[str]] | None = None,
        now: datetime | None = None,
        kept: tuple[datetime, datetime] | None = None,
    ) -> None:
        require(duplicates, ("keep", "first", "raise"), "duplicates")
        require(on_error, ("raise", "skip"), "on_error")
        start_database()  # raises here, and not at the first query, where DuckDB is missing
        self._now = now
        self._kept = kept
        self._days: ByState[StoredDays] = ByState()
        self._counted: dict[object, dict[str, int]] = {}
        self._skips = on_error == "skip"
        self._places = check_columns(columns)
        self._records = open_records(calls, skips=self._skips, places=self._places)
        self._duplicates = duplicates
        self._found_duplicates: ByState[DuplicateIds] = ByState()
        self._overviews: ByState[Overview] = ByState()
        self._wider: tuple[tuple[str, ...], LocalSource] | None = None
        self._warnings: set[str] = set()

    def now(self) -> datetime:
        """Return its clock."""
        return self._now or datetime.now(UTC)

    def prepare(self) -> None:
        """Convert JSON files, and look for forbidden duplicates, now and not at the first query."""
        with restored_names(self._restore_names):
            snapshot = self._read()
            if self._duplicates != "keep" and not snapshot.is_empty:
                with self._open(Query(table="call").count(), snapshot):
                    pass  # opening finds what is wrong with the records

    def close(self) -> None:
        """Delete the temporary files of converted JSON; DuckDB is shared by the sources of a process."""
        wider, self._wider = self._wider, None
        if isinstance(self._records, FileRecords):
            self._records.delete_converted()
        if wider is not None:
            wider[1].close()

    def answer(self, queries: Sequence[Query[Any]], now: datetime) -> list[Result]:
        """Answer *queries*, in order, as of *now*."""
        for query in queries:
            check_answerable(query)
        return [self._retry(partial(self._answer, query, now), find_span(query, now)) for query in queries]

    def drill(self, drill: Drill, now: datetime) -> DrilledCalls:
        """Return the calls that the query of *drill* counts, as of *now*."""
        check_answerable(drill.query)
        source = self._keeping(list_other_paths(drill))
        span = find_span(widen_query(drill), now)
        return source._retry(partial(source._drill, drill, now), span)  # noqa: SLF001 - of this class

    def _keeping(self, paths: tuple[str, ...]) -> LocalSource:
        """Return the source of the same records with what they have at *paths*."""
        if self._wider is not None and self._wider[0] == paths:
            return self._wider[1]
        records = self._records.keep(paths)
        if records is self._records:
            return self
        other = LocalSource.__new__(LocalSource)
        other.__dict__.update(self.__dict__)
        other._records, other._wider = records, None  # noqa: SLF001 - of this class
        # What is known of the records holds for their rows as they were converted.
        other._found_duplicates, other._overviews = ByState(), ByState()  # noqa: SLF001 - of this class
        self._wider = paths, other
        return other

    def _drill(self, drill: Drill, now: datetime, snapshot: RecordsSnapshot) -> DrilledCalls:
        query, also = widen_query(drill), list_sources(drill)
        span = fill_defaults(query.instants(now), now)
        if snapshot.is_empty:
            return empty_calls(drill, {name: find_kind(name, drill) for name in drill.columns}, snapshot.notes)
        if isinstance(self._records, FileRecords):
            snapshot.notes += self._records.find_gaps(query, snapshot, span)
        with self._prepare(query, snapshot, also) as (connection, relation, columns, counted, overview):
            reader = open_reader(relation.columns, DUCKDB, relation.overrides, is_nested=relation.is_nested)
            found = drill_records(
                drill,
                columns,
                find_drilled(drill, reader, columns, reads_json=True),
                counted,
                span,
                order=find_order(reader),
                run=partial(_run, connection),
                records_range=overview.wide_range,
            )
        return replace(found, notes=(*snapshot.notes, *found.notes))

    def _retry(self, read: Callable[[RecordsSnapshot], T], span: tuple[datetime, datetime] | None) -> T:
        """Return what *read* makes of the records of *span*, again where a file was replaced meanwhile."""
        with restored_names(self._restore_names):
            for _ in range(_ATTEMPTS - 1):
                snapshot = self._read(span)
                try:
                    return read(snapshot)
                except RecordsError as error:
                    if snapshot.days and error.column:  # which other days of the archive may have
                        span = None
                        continue
                    if snapshot.state is None or self._records.read().state == snapshot.state:
                        raise
            return read(self._read())

    def _restore_names(self, text: str) -> str:
        return self._records.restore_names(text) if isinstance(self._records, FileRecords) else text

    def _answer(self, query: Query[Any], now: datetime, snapshot: RecordsSnapshot) -> Result:
        start, end = fill_defaults(query.instants(now), now)
        if snapshot.is_empty and query.table == "call":  # no call shows which variables there are
            warn_of_no_match(query, (start, end), None)
            coverage = {**dict.fromkeys(COVERAGE, 0), **self._count_outside(snapshot, (start, end), now)}
            known = self._kept or snapshot.days
            empty = replace(empty_result(query, start, end), records_begin=known[0] if known else None)
            return replace(empty, notes=tuple(snapshot.notes), coverage=coverage)
        if isinstance(self._records, FileRecords):
            for gap in self._records.find_gaps(query, snapshot, (start, end)):
                snapshot.notes.append(gap)
                self._warn(gap)
        with self._prepare(query, snapshot) as (connection, relation, columns, counted, overview):
            known = self._kept or snapshot.days or overview.range
            result, has_matched = run_query(
                query,
                columns,
                counted,
                (start, end),
                now=now,
                run=partial(_run, connection),
                records_range=overview.wide_range,
                is_in_process=True,
            )
            near = [] if has_matched else find_near_values(query, columns, counted, partial(_run, connection))
            wanted = probe_query(query, PROBES)
            # Queries of one notebook have few ranges and filters, and counting takes as long as a query.
            key = snapshot.state, start, end, query.filters
            counts = self._counted.get(key) if snapshot.state is not None else None
            calls = 0
            if counts is None and can_count(relation, wanted):
                counts = count_missing(connection, relation, wanted, (start, end))
            elif counts is None:
                is_all = not query.filters and overview.is_within(start, end)
                calls = overview.dated if is_all else count_calls(connection, counted, columns, query, (start, end))
        if not has_matched:
            calls_there = None if snapshot.days else overview.calls
            warn_of_no_match(query, (start, end), snapshot.days or overview.range, calls=calls_there, near=near)
        counts = counts or self._count_missing(query, snapshot, (start, end)) | {"calls": calls}
        if len(self._counted) >= _MOST_COUNTED:
            self._counted = {}
        self._counted[key] = counts
        counts = counts | self._count_outside(snapshot, (start, end), now, undated=overview.undated)
        opened = partial(self._open, query, replace(snapshot, notes=[]), also=[SKIPPED_OUTPUTS])
        of_outputs, notes = look_for_outputs(query, (start, end), opened, has_matched=has_matched)
        for note in notes:
            snapshot.notes.append(note)
            self._warn(note)
        counts |= of_outputs
        coverage = {name: counts[name] for name in COVERAGE if name in counts}
        begin = known[0] if known else None
        return replace(result, notes=(*snapshot.notes, *result.notes), coverage=coverage, records_begin=begin)

    @contextmanager
    def _prepare(
        self, query: Query[Any], snapshot: RecordsSnapshot, also: Sequence[str] = ()
    ) -> Iterator[tuple[DuckDBPyConnection, Relation, QueryColumns, str, Overview]]:
        """Yield a cursor, the relation, its expressions of what *query* uses, the SQL of all that counts, the overview.

        Also warn of what is odd in the records, and check the names and the times of creation.
        """
        with self._open(query, snapshot, also=also) as (connection, relation):
            columns = find_columns(query, relation.columns, DUCKDB, relation.overrides, is_nested=relation.is_nested)
            is_placed = ("duration",) in self._places.values()  # a column that the caller placed is used
            if "duration" in relation.columns and "duration" in columns.values and not is_placed:
                self._warn(DURATION_WARNING)
            overview = self._look(connection, relation, columns, snapshot)
            snapshot.notes += note_numbers(relation, overview)
            variables = {name for key in variable_keys(query) for name, inside in variable_paths(key) if not inside}
            ids = ["id"] if self._duplicates != "keep" else []
            for name in columns_used(query, relation.columns, also=[*ids, *also]):
                if name not in variables:  # callers choose their names, and two of them are two
                    check_case(name, overview.names)
            counted = relation.sql
            if overview.undated:
                counted = f"(SELECT * FROM {counted} WHERE {write_is_dated(columns)})"
            yield connection, relation, columns, counted, overview

    def _count_missing(
        self, query: Query[Any], snapshot: RecordsSnapshot, span: tuple[datetime, datetime]
    ) -> dict[str, int]:
        """Return what `count_missing` does, without the counts of columns that cannot be read."""
        counts: dict[str, int] = {}
        for probes in (PROBES, *((probe,) for probe in PROBES)):
            wanted = probe_query(query, probes)
            try:
                with self._open(wanted, replace(snapshot, notes=[]), LACKING) as (connection, relation):
                    counts |= count_missing(connection, relation, wanted, span)
            except RecordsError:  # the query itself does not use that column
                continue
            if probes == PROBES:
                break
        return counts

    def _count_outside(
        self, snapshot: RecordsSnapshot, span: tuple[datetime, datetime], now: datetime, *, undated: int = 0
    ) -> dict[str, int]:
        """Return how many records no query counts, and how many days of the range are not all there."""
        days = self._days.find(snapshot.state, lambda: StoredDays(snapshot.files, self._kept))
        return {"skipped": snapshot.skipped.count + undated, **days.count(span, now)}

    def _read(self, span: tuple[datetime, datetime] | None = None) -> RecordsSnapshot:
        """Return the records as they are now, of an archive those of *span*, and warn of those that were skipped."""
        records = self._records
        snapshot = records.read(span) if isinstance(records, FileRecords) else records.read()
        if skipped := snapshot.skipped.count:
            note = f"records that could not be read and were left out: {skipped:,}"
            self._note(snapshot, note, snapshot.skipped.first)
        if messages := snapshot.skipped.messages:
            snapshot.notes.append(f"messages that are no end-of-call reports, and so no calls: {messages:,}")
        if variables := snapshot.skipped.variables:
            self._note(snapshot, *describe_variables(variables))
        if epochs := snapshot.skipped.epochs:
            snapshot.notes.append(describe_epochs(epochs))
        return snapshot

    @contextmanager
    def _open(
        self,
        query: Query[Any],
        snapshot: RecordsSnapshot,
        lacking: Sequence[str] = (),
        also: Sequence[str] = (),
    ) -> Iterator[tuple[DuckDBPyConnection, Relation]]:
        """Yield a cursor, and the relation that *query* reads, without the duplicates that do not count.

        It may leave out records that have all the columns *lacking*.
        """
        names: list[str] = []
        finds_duplicates = not snapshot.is_empty and (self._duplicates != "keep" or snapshot.warns_of_duplicates)
        with open_cursor(names) as connection:
            relation = self._records.register(
                connection, query, snapshot, with_rows=finds_duplicates, lacking=lacking, also=also
            )
            names += relation.names
            if finds_duplicates:
                relation = relation._replace(sql=self._without_duplicates(connection, relation, snapshot))
            yield connection, relation

    def _without_duplicates(self, connection: DuckDBPyConnection, relation: Relation, snapshot: RecordsSnapshot) -> str:
        """Return the relation's SQL without the duplicates that do not count; finds them only after a change."""
        try:
            id_ = find_id(relation.columns, DUCKDB, relation.overrides)
            location = check_row_location(relation.location, relation.columns)
        except RecordsError as error:
            if self._duplicates == "keep":
                return relation.sql
            message = f"duplicates={self._duplicates!r} needs to tell records apart: {error}"
            raise RecordsError(message, column=error.column) from None
        dated = "true"
        if self._skips:
            dated = write_is_dated(find_columns(Query(table="call"), relation.columns, DUCKDB, relation.overrides))
        duplicates = self._found_duplicates.find(
            snapshot.state, lambda: find_duplicates(connection, relation.sql, id_, location, dated)
        )
        if not duplicates.total:
            return relation.sql
        if self._duplicates == "raise":
            raise RecordsError(f"{duplicates}; duplicates='first' counts an id once", column="id")
        if self._duplicates == "keep":
            self._note(snapshot, f"{duplicates}; each is counted", "duplicates='first' counts an id once")
            return relation.sql
        self._note(snapshot, f"{duplicates}; they were left out", "the first record of an id is counted")
        return exclude_duplicates(connection, relation.sql, location, duplicates)

    def _note(self, snapshot: RecordsSnapshot, note: str, detail: str) -> None:
        snapshot.notes.append(self._restore_names(note))
        self._warn(self._restore_names(f"{note} ({detail})"))

    def _warn(self, message: str) -> None:
        """Warn, once."""
        if message not in self._warnings:
            self._warnings.add(message)
            warn(message, RecordsWarning)

    def _look(
        self, connection: DuckDBPyConnection, relation: Relation, columns: QueryColumns, snapshot: RecordsSnapshot
    ) -> Overview:
        """Check all times of creation: each must be there, and after 1970. Looks again only after a change."""
        numbers = write_numbers(relation)
        overview = self._overviews.find(
            snapshot.state, lambda: make_overview(connection, relation.sql, columns, snapshot.paths, numbers)
        )
        if overview.undated:
            if not self._skips:
                raise RecordsError(
                    f"{overview.undated} of {overview.calls} calls have no createdAt", column="createdAt"
                )
            note = f"calls without createdAt that were left out: {overview.undated:,}"
            self._note(snapshot, note, f"of {overview.calls:,}")
        return overview

    def __repr__(self) -> str:
        return repr(self._records)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a source of call records holds a connection and cannot be pickled; pickle the records")


def _run(connection: DuckDBPyConnection, text: str, types: Sequence[pa.DataType]) -> list[Any]:
    columns = connection.sql(text).to_arrow_table().columns
    return [column.cast(type_) for column, type_ in zip(columns, types, strict=True)]
