"""Results from call records on this machine, by one SELECT in an embedded DuckDB."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from vapi_frames.calendar.buckets import EPOCH
from vapi_frames.calendar.ranges import fill_defaults
from vapi_frames.errors import RecordsError, RecordsWarning, require, warn
from vapi_frames.query.query import Query
from vapi_frames.result.result import COVERAGE, Result, empty_result
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
from vapi_frames.sources.local.files import FileRecords
from vapi_frames.sources.local.open import open_records
from vapi_frames.sources.records.columns import (
    DURATION_WARNING,
    check_case,
    columns_used,
    find_columns,
    find_id,
    variable_keys,
)
from vapi_frames.sources.records.duckdb import DUCKDB, NUMBER_TYPES
from vapi_frames.sources.records.flatten import describe_variables
from vapi_frames.sources.records.paths import TIME_COLUMNS, variable_paths
from vapi_frames.sources.records.places import check_columns
from vapi_frames.sources.records.unlike import original_name
from vapi_frames.sources.sql.run import run_query, warn_of_no_match
from vapi_frames.sources.sql.select import check_answerable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from vapi_frames.sources.local.duplicates import DuplicateIds
    from vapi_frames.sources.local.relation import RecordsSnapshot, Relation
    from vapi_frames.sources.records.columns import ColumnExpr
    from vapi_frames.sources.sql.select import QueryColumns

__all__ = ["LocalSource"]

_EPOCH_NOTE = "it counts seconds or milliseconds since 1970, as its size says"
_ATTEMPTS = 3  # where a file is replaced while it is read, as by a run of an archive
_MOST_COUNTED = 100  # remembered counts, one for each range and its filters
_YEAR = timedelta(days=366)
_EARLIEST = 86_400_000_000  # microseconds: one day on, so that no wall clock reads before 1970
_LATEST = 221_845_392_000_000_000  # the year 9000


class _Overview(NamedTuple):
    """What one look at all records shows.

    Attributes:
        calls: How many there are.
        undated: How many of them have no time of creation.
        numbers: How many cells of CSV have a number as such.
        range: When the first and the last were created; ``None`` where there are none.
        names: The names of the columns of files, in their spelling.
    """

    calls: int
    undated: int
    numbers: int
    range: tuple[datetime, datetime] | None
    names: frozenset[str]

    @property
    def dated(self) -> int:
        """How many have a time of creation."""
        return self.calls - self.undated

    def is_within(self, start: datetime, end: datetime) -> bool:
        """Return whether all that have a time of creation are of [start, end)."""
        return self.range is None or (start <= self.range[0] and self.range[1] < end)


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
        self._days: tuple[object, StoredDays] | None = None
        self._counted: dict[object, dict[str, int]] = {}
        self._skips = on_error == "skip"
        self._records = open_records(calls, skips=self._skips, places=check_columns(columns))
        self._duplicates = duplicates
        self._found_duplicates: tuple[object, DuplicateIds] | None = None
        self._overview: tuple[object, _Overview] | None = None
        self._warnings: set[str] = set()

    def now(self) -> datetime:
        """Return its clock."""
        return self._now or datetime.now(UTC)

    def prepare(self) -> None:
        """Convert JSON files, and look for forbidden duplicates, now and not at the first query."""
        snapshot = self._read()
        if self._duplicates != "keep" and not snapshot.is_empty:
            with self._open(Query(table="call").count(), snapshot):
                pass  # opening finds what is wrong with the records

    def close(self) -> None:
        """Delete the temporary files of converted JSON; DuckDB is shared by the sources of a process."""
        if isinstance(self._records, FileRecords):
            self._records.delete_converted()

    def answer(self, queries: Sequence[Query[Any]], now: datetime) -> list[Result]:
        """Answer *queries*, in order, as of *now*."""
        for query in queries:
            check_answerable(query)
        return [self._answer(query, now) for query in queries]

    def _answer(self, query: Query[Any], now: datetime) -> Result:
        for _ in range(_ATTEMPTS - 1):
            snapshot = self._read()
            try:
                return self._answer_from(snapshot, query, now)
            except RecordsError:
                if snapshot.state is None or self._records.read().state == snapshot.state:
                    raise
        return self._answer_from(self._read(), query, now)

    def _answer_from(self, snapshot: RecordsSnapshot, query: Query[Any], now: datetime) -> Result:
        start, end = fill_defaults(query.instants(now), now)
        if snapshot.is_empty and query.table == "call":  # no call shows which variables there are
            warn_of_no_match(query, (start, end), None)
            coverage = {**dict.fromkeys(COVERAGE, 0), **self._count_outside(snapshot, (start, end), now)}
            return replace(empty_result(query, start, end), notes=tuple(snapshot.notes), coverage=coverage)
        if isinstance(self._records, FileRecords):
            for gap in self._records.find_gaps(query, snapshot, (start, end)):
                snapshot.notes.append(gap)
                self._warn(gap)
        with self._open(query, snapshot) as (connection, relation):
            columns = find_columns(query, relation.columns, DUCKDB, relation.overrides, is_nested=relation.is_nested)
            if "duration" in relation.columns and "duration" in columns.values:
                self._warn(DURATION_WARNING)
            overview = self._look(connection, relation, columns, snapshot)
            snapshot.notes += _note_numbers(relation, overview)
            variables = {name for key in variable_keys(query) for name, inside in variable_paths(key) if not inside}
            for name in columns_used(query, relation.columns, also=["id"] if self._duplicates != "keep" else []):
                if name not in variables:  # callers choose their names, and two of them are two
                    check_case(name, overview.names)
            counted = relation.sql
            if overview.undated:
                counted = f"(SELECT * FROM {counted} WHERE {_write_is_dated(columns)})"
            # With a year to spare, for files that grow between the look and the query.
            first_and_last = overview.range and (overview.range[0] - _YEAR, overview.range[1] + _YEAR)

            def run(text: str, types: Sequence[pa.DataType]) -> list[Any]:
                columns = connection.sql(text).to_arrow_table().columns
                return [column.cast(type_) for column, type_ in zip(columns, types, strict=True)]

            result, has_matched = run_query(
                query,
                columns,
                counted,
                (start, end),
                now=now,
                run=run,
                records_range=first_and_last,
                is_in_process=True,
            )
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
            warn_of_no_match(query, (start, end), overview.range, calls=overview.calls)
        counts = counts or self._count_missing(query, snapshot, (start, end)) | {"calls": calls}
        if len(self._counted) >= _MOST_COUNTED:
            self._counted = {}
        self._counted[key] = counts
        counts = counts | self._count_outside(snapshot, (start, end), now, undated=overview.undated)
        coverage = {name: counts[name] for name in COVERAGE if name in counts}
        return replace(result, notes=(*snapshot.notes, *result.notes), coverage=coverage)

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
        if self._days is None or snapshot.state is None or self._days[0] != snapshot.state:
            self._days = snapshot.state, StoredDays(snapshot.files, self._kept)
        return {"skipped": snapshot.skipped.count + undated, **self._days[1].count(span, now)}

    def _read(self) -> RecordsSnapshot:
        """Return the records as they are now, and warn of those that were skipped."""
        snapshot = self._records.read()
        if skipped := snapshot.skipped.count:
            note = f"records that could not be read and were left out: {skipped:,}"
            self._note(snapshot, note, snapshot.skipped.first)
        if messages := snapshot.skipped.messages:
            snapshot.notes.append(f"messages that are no end-of-call reports, and so no calls: {messages:,}")
        if variables := snapshot.skipped.variables:
            self._note(snapshot, *describe_variables(variables))
        if epochs := snapshot.skipped.epochs:
            snapshot.notes.append(f"calls with a number as createdAt: {epochs:,}; {_EPOCH_NOTE}")
        return snapshot

    @contextmanager
    def _open(
        self, query: Query[Any], snapshot: RecordsSnapshot, lacking: Sequence[str] = ()
    ) -> Iterator[tuple[DuckDBPyConnection, Relation]]:
        """Yield a cursor, and the relation that *query* reads, without the duplicates that do not count.

        It may leave out records that have all the columns *lacking*.
        """
        names: list[str] = []
        finds_duplicates = not snapshot.is_empty and (self._duplicates != "keep" or snapshot.warns_of_duplicates)
        with open_cursor(names) as connection:
            relation = self._records.register(connection, query, snapshot, with_rows=finds_duplicates, lacking=lacking)
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
        found = self._found_duplicates
        if found is None or snapshot.state is None or found[0] != snapshot.state:
            dated = "true"
            if self._skips:
                dated = _write_is_dated(find_columns(Query(table="call"), relation.columns, DUCKDB, relation.overrides))
            found = snapshot.state, find_duplicates(connection, relation.sql, id_, location, dated)
            self._found_duplicates = found
        duplicates = found[1]
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
        snapshot.notes.append(note)
        self._warn(f"{note} ({detail})")

    def _warn(self, message: str) -> None:
        """Warn, once."""
        if message not in self._warnings:
            self._warnings.add(message)
            warn(message, RecordsWarning)

    def _look(
        self, connection: DuckDBPyConnection, relation: Relation, columns: QueryColumns, snapshot: RecordsSnapshot
    ) -> _Overview:
        """Check all times of creation: each must be there, and after 1970. Looks again only after a change."""
        if self._overview is None or snapshot.state is None or self._overview[0] != snapshot.state:
            cells = "NULL"
            if (created := relation.columns.get("createdAt")) and created.type and created.type.id == "cell":
                cells = created.sql
            self._overview = (
                snapshot.state,
                _make_overview(connection, relation.sql, columns, snapshot.paths, cells),
            )
        overview = self._overview[1]
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


def _note_numbers(relation: Relation, overview: _Overview) -> Iterator[str]:
    """Yield what a reader should know of times that are numbers."""
    if any(_is_number(relation.columns.get(name)) for name in TIME_COLUMNS):
        yield f"times of the calls are numbers; {_EPOCH_NOTE}"
    if overview.numbers:
        yield f"calls with a number as createdAt: {overview.numbers:,}; {_EPOCH_NOTE}"


def _is_number(column: ColumnExpr | None) -> bool:
    return column is not None and column.type is not None and column.type.id in NUMBER_TYPES


def _write_is_dated(columns: QueryColumns) -> str:
    """Return the condition that a call has a time of creation."""
    return f"isfinite({columns.created})"


def _make_overview(
    connection: DuckDBPyConnection, relation: str, columns: QueryColumns, paths: list[str], cells: str
) -> _Overview:
    """Return the overview of a relation; *cells* are the texts of CSV that say when calls were created."""
    is_dated = _write_is_dated(columns)
    first, last = (DUCKDB.micros(f"{one}({columns.created}) FILTER ({is_dated})") for one in ("min", "max"))
    counts = f"count(*), count(*) FILTER ({is_dated}), count(TRY_CAST({cells} AS DOUBLE))"
    [(calls, dated, numbers, *ends)] = connection.sql(f"SELECT {counts}, {first}, {last} FROM {relation}").fetchall()
    for micros in ends if dated else ():
        if not _EARLIEST <= micros < _LATEST:
            year = 1970 + micros // 31_556_952_000_000
            when = "before 1970-01-02" if micros < _EARLIEST else "after the year 9000"
            raise RecordsError(f"a call was created {when} (in about {year})", column="createdAt")
    begin, end = (EPOCH + micros * datetime.resolution for micros in ends) if dated else (None, None)
    return _Overview(calls, calls - dated, numbers, (begin, end) if begin and end else None, _read_names(paths))


def _read_names(paths: list[str]) -> frozenset[str]:
    """Return the names of the columns of Parquet files; DuckDB itself cannot tell ``cost`` from ``COST``."""
    from pyarrow.parquet import read_schema

    return frozenset(original_name(name) for path in paths for name in read_schema(path).names)
