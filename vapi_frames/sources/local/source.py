"""Answers from call records on this machine, by one SELECT in an embedded DuckDB."""

from __future__ import annotations

import glob
import os
import re
import threading
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from vapi_frames.calendar.ranges import fill_defaults, format_iso
from vapi_frames.cancellation import on_cancel
from vapi_frames.errors import MissingExtraError, RecordsError, RecordsWarning, require, warn
from vapi_frames.query.query import Query
from vapi_frames.result.result import Result, empty_result
from vapi_frames.sources.local.duplicates import (
    PLACE_IN_FILES,
    Place,
    Repeats,
    check_place,
    find_repeats,
    with_rows,
    without,
)
from vapi_frames.sources.local.files import CallFiles, Reading
from vapi_frames.sources.records.columns import KEPT_VARIABLES, TIMES, check_case, columns_for, id_of, missing, roots
from vapi_frames.sources.records.flatten import LeftOut, flatten, read_times
from vapi_frames.sources.sql.run import run_query
from vapi_frames.sources.sql.select import check_answerable, literal, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

    from vapi_frames.sources.records.columns import Held, SqlType
    from vapi_frames.sources.sql.select import Columns

__all__ = ["CallsSource"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OPENING = threading.Lock()
_YEAR = timedelta(days=366)
_FIRST = 86_400_000_000  # microseconds: one day on, so that no wall clock reads before 1970
_LAST = 221_845_392_000_000_000  # the year 9000


class _Span(NamedTuple):
    """What a look at all records' creation times tells."""

    calls: int
    first: datetime | None
    last: datetime | None
    names: frozenset[str] = frozenset()  # of the files' columns, as they are spelled there
    undated: int = 0  # calls without a creation time


class CallsSource:
    """Call records as a source.

    Args:
        calls: A DataFrame or Arrow table of call records, a list of call JSON, or Parquet and JSON files: a path, a
            folder, a glob, or several. A DataFrame and files are read at every question, so a change shows in the
            next answer; JSON is converted once, and again where a file changed.
        duplicates: What becomes of records with the id of an earlier one: ``keep``, ``first`` or ``raise``.
        on_error: What becomes of call JSON that cannot be read: ``raise`` or ``skip``.
        now: Its clock; the wall clock by default.

    Raises:
        RecordsError: *calls* is none of these, or no file matches.
        UnknownWordError: *duplicates* or *on_error* is none of the words.
        MissingExtraError: DuckDB is not installed.
    """

    kind = "calls"

    def __init__(
        self, calls: Any, *, duplicates: str = "keep", on_error: str = "raise", now: datetime | None = None
    ) -> None:
        require(duplicates, ("keep", "first", "raise"), "duplicates")
        require(on_error, ("raise", "skip"), "on_error")
        try:
            import duckdb
        except ImportError:
            raise MissingExtraError("local", "duckdb", "answering from call records") from None
        self._duckdb = duckdb
        self._now = now
        self._frame: Any = None
        self._table: pa.Table | None = None
        self._files: CallFiles | None = None
        self._is_json = False
        self._left_out = LeftOut(on_error == "skip")
        self._duplicates = duplicates
        self._repeats: tuple[object, Repeats] | None = None
        self._span: tuple[object, _Span] | None = None
        self._said: set[str] = set()
        if isinstance(calls, pa.Table):
            self._table = calls
        elif hasattr(calls, "to_parquet") and hasattr(calls, "columns"):
            self._frame = calls
        elif isinstance(calls, str | os.PathLike):
            self._files = CallFiles([os.fspath(calls)], skips=on_error == "skip")
        elif isinstance(calls, Sequence) and calls and all(isinstance(one, str | os.PathLike) for one in calls):
            self._files = CallFiles([os.fspath(one) for one in calls], skips=on_error == "skip")
        elif isinstance(calls, Sequence) and not isinstance(calls, bytes):
            self._table = flatten(calls, self._left_out)
            self._is_json = True
        else:
            raise RecordsError(
                f"cannot read call records from {type(calls).__name__}; give a DataFrame, an Arrow table, a list of "
                "call JSON, or the path of Parquet or JSON files"
            )
        with _OPENING:
            _database()  # should it fail, then here

    def now(self) -> datetime:
        """Return its clock."""
        return self._now or datetime.now(UTC)

    def prepare(self) -> None:
        """Convert JSON files, and look for ids that must not stand twice, now and not when the first question comes."""
        reading = self._read()
        if self._duplicates != "keep" and not reading.is_nothing:
            with self._relation(Query(table="call").count(), reading):
                pass  # whatever is wrong with the records has been found

    def answer(self, queries: Sequence[Query[Any]], now: datetime) -> list[Result]:
        """Answer *queries*, in order, as of *now*."""
        for query in queries:
            check_answerable(query)
        return [self._answer(query, now) for query in queries]

    def _answer(self, query: Query[Any], now: datetime) -> Result:
        start, end = fill_defaults(query.instants(now), now)
        reading = self._read()
        if reading.is_nothing and query.table == "call":  # which cannot say which variables there are
            _warn_empty(query, _Span(0, None, None), start, end)
            return replace(empty_result(query, start, end), notes=tuple(reading.notes))
        with self._relation(query, reading) as (connection, relation, held):
            columns = columns_for(query, held)
            if "duration" in held and "duration" in columns.values:
                self._say("the records' own 'duration' is not used: minutes are endedAt - startedAt")
            span = self._look(connection, relation, columns, reading)
            for name in roots(query, held, also=["id"] if self._duplicates != "keep" else []):
                check_case(name, span.names)
            counted = f"(SELECT * FROM {relation} WHERE {_dated(columns)})" if span.undated else relation
            # With a year to spare, for files that grow between the look and the question.
            within = (span.first - _YEAR, span.last + _YEAR) if span.first and span.last else None

            def run(text: str, types: Sequence[pa.DataType]) -> list[Any]:
                columns = connection.sql(text).to_arrow_table().columns
                return [column.cast(type_) for column, type_ in zip(columns, types, strict=True)]

            answer, is_met = run_query(
                query, columns, counted, (start, end), now=now, run=run, within=within, is_here=True
            )
        if not is_met:
            _warn_empty(query, span, start, end)
        return replace(answer, notes=(*reading.notes, *answer.notes))

    def _read(self) -> Reading:
        """Return the records as they are now, and say what was left out of them."""
        if self._files is not None:
            reading = self._files.read()
        else:
            rows = None if self._table is None else len(self._table)  # a frame may change without a sign
            reading = Reading(
                rows, left_out=self._left_out, is_checked=self._is_json, is_nothing=self._is_json and not rows
            )
        if left_out := reading.left_out.count:
            self._note(
                reading, f"records that could not be read and were left out: {left_out:,}", reading.left_out.first
            )
        return reading

    @contextmanager
    def _relation(
        self, query: Query[Any], reading: Reading
    ) -> Iterator[tuple[DuckDBPyConnection, str, dict[str, Held]]]:
        """Yield a cursor, the text of the relation, and how it holds its columns."""
        with _OPENING:
            connection = _database().cursor()
        spelled: list[str] = []
        held: dict[str, Held]
        work = ExitStack()
        try:
            work.enter_context(on_cancel(connection.interrupt))
            if self._files is not None:
                relation, held = _in_files(connection, reading)
                place = PLACE_IN_FILES
            else:
                names, table = self._columns(query, reading)
                relation, spelled = "calls", table.column_names
                place = Place("0", f"c{table.num_columns - 1}")
                # By place, because DuckDB takes names that differ only by case for one.
                connection.register(relation, table.rename_columns([f"c{i}" for i in range(table.num_columns)]))
                found = _typed_columns(connection.sql(f"SELECT * FROM {relation} LIMIT 0"))
                places = dict(zip(table.column_names, found, strict=True))
                held = {name: places.get(name, ("", None)) for name in names}
            relation = self._distinct(connection, relation, held, place, reading)
            yield connection, relation, held
        except (self._duckdb.InternalException, self._duckdb.FatalException) as error:
            _DATABASES.pop(os.getpid(), None)  # such an error invalidates the engine's database for good
            raise RecordsError(f"the call records cannot be read: {_first_line(error)}") from error
        except self._duckdb.ConversionException as error:
            said = re.sub(r"\bcolumn c(\d+)\b", lambda at: f"column {spelled[int(at[1])]!r}", _first_line(error))
            raise RecordsError(f"a value of the call records cannot be read: {said}") from error
        except self._duckdb.Error as error:
            raise RecordsError(f"the call records cannot be read: {_first_line(error)}") from error
        finally:
            work.close()
            connection.close()

    def _distinct(
        self, connection: DuckDBPyConnection, relation: str, held: dict[str, Held], place: Place, reading: Reading
    ) -> str:
        """Return *relation* without the records that are not to be counted; looked for again only after a change."""
        if reading.is_nothing or not self._is_checked(reading):
            return relation
        try:
            id_, place = id_of(held), check_place(place, held)
        except RecordsError as error:
            if self._duplicates == "keep":
                return relation
            raise RecordsError(f"duplicates={self._duplicates!r} cannot be: {error}", column=error.column) from None
        counted = _dated(columns_for(Query(table="call"), held)) if self._left_out.skips else "true"
        known = self._repeats
        if known is None or reading.state is None or known[0] != reading.state:
            known = self._repeats = (reading.state, find_repeats(connection, relation, id_, place, counted))
        repeats = known[1]
        if not repeats.total:
            return relation
        if self._duplicates == "raise":
            raise RecordsError(f"{repeats}; duplicates='first' counts an id once", column="id")
        if self._duplicates == "keep":
            self._note(reading, f"{repeats}; each is counted", "duplicates='first' counts an id once")
            return relation
        self._note(reading, f"{repeats}; they were left out", "the first record of an id is counted")
        return without(connection, relation, place, repeats)

    def _is_checked(self, reading: Reading) -> bool:
        return self._duplicates != "keep" or reading.is_checked

    def _note(self, reading: Reading, said: str, more: str) -> None:
        reading.notes.append(said)
        self._say(f"{said} ({more})")

    def _say(self, message: str) -> None:
        """Warn, once."""
        if message not in self._said:
            self._said.add(message)
            warn(message, RecordsWarning)

    def _columns(self, query: Query[Any], reading: Reading) -> tuple[list[str], pa.Table]:
        """Return the names of all columns, and those that *query* may use as an Arrow table."""
        held = self._frame if self._table is None else self._table
        names = [name for name in (held.columns if self._table is None else held.column_names) if isinstance(name, str)]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise RecordsError(f"the records have two columns named {twice!r}", column=twice)
        is_checked = self._is_checked(reading)
        used = roots(query, names, also=["id"] if is_checked else [])
        if "createdAt" not in used:
            raise missing("createdAt", names)
        table = _arrow(self._frame, used) if self._table is None else self._table.select(used)
        table = pa.table({name: _readable(name, table.column(name)) for name in used})
        return names, with_rows(table) if is_checked else table

    def _look(self, connection: DuckDBPyConnection, relation: str, columns: Columns, reading: Reading) -> _Span:
        """Look at all creation times: each must be there, and after 1970. Again only where the records changed."""
        if self._span is None or reading.state is None or self._span[0] != reading.state:
            self._span = (reading.state, _look(connection, relation, columns, reading.paths))
        span = self._span[1]
        if span.undated:
            if not self._left_out.skips:
                raise RecordsError(f"{span.undated} of {span.calls} calls have no createdAt", column="createdAt")
            self._note(reading, f"calls without createdAt that were left out: {span.undated:,}", f"of {span.calls:,}")
        return span

    def __repr__(self) -> str:
        if self._files is not None:
            return f"calls in {', '.join(self._files.patterns)}"
        return f"{len(self._frame if self._table is None else self._table):,} calls in memory"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a source of call records holds a connection and cannot be pickled; pickle the records")


# By process. The child of a fork has its parent's, too, and must not let go of it: whose threads would it wait for?
_DATABASES: dict[int, DuckDBPyConnection] = {}


def _database() -> DuckDBPyConnection:
    """Return the engine's database: one for all sources of a process, because to make one takes as long as a question.

    It holds nothing. What a question reads is known to its own cursor only.
    """
    if known := _DATABASES.get(os.getpid()):
        return known
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"},
    )
    # A timestamp without a zone is UTC on the API, so it must not take this machine's; and cursors take what is global.
    connection.execute("SET GLOBAL TimeZone = 'UTC'; SET GLOBAL python_enable_replacements = false")
    _DATABASES[os.getpid()] = connection
    return connection


def _typed_columns(relation: Any) -> list[tuple[str, SqlType]]:
    return list(zip(relation.columns, relation.types, strict=True))


def _dated(columns: Columns) -> str:
    """Return the condition that a call has a creation time."""
    return f"isfinite({columns.created})"


def _in_files(connection: DuckDBPyConnection, reading: Reading) -> tuple[str, dict[str, Held]]:
    """Return the relation of the files, and how it holds its columns."""
    if reading.is_nothing:
        connection.register("calls", flatten([], LeftOut()))
        return "calls", {name: (quote(name), type_) for name, type_ in _typed_columns(connection.table("calls"))}
    # The engine takes what is in brackets, and stars, for a pattern once more.
    paths = ", ".join(literal(glob.escape(path)) for path in reading.paths)
    relation = f"read_parquet([{paths}], union_by_name = true, hive_partitioning = false)"
    held: dict[str, Held] = {}
    for name, type_ in _typed_columns(connection.sql(f"SELECT * FROM {relation} LIMIT 0")):
        if name == KEPT_VARIABLES:  # key by key, or any key at all would be there
            for key in reading.keys:
                held[f"{name}.{key}"] = (f"{quote(name)}[{literal(key)}]", type_.children[1][1])
        else:
            held[name] = (quote(name), type_)
    return relation, held


def _look(connection: DuckDBPyConnection, relation: str, columns: Columns, paths: list[str]) -> _Span:
    at = columns.created
    [row] = connection.sql(
        f"SELECT count(*), count(*) FILTER (isfinite({at})), epoch_us(min({at}) FILTER (isfinite({at}))), "
        f"epoch_us(max({at}) FILTER (isfinite({at}))) FROM {relation}"
    ).fetchall()
    calls, dated, first, last = row
    for micros in (first, last) if dated else ():
        if not _FIRST <= micros < _LAST:
            year = 1970 + micros // 31_556_952_000_000
            said = "before 1970-01-02" if micros < _FIRST else "after the year 9000"
            raise RecordsError(f"a call was created {said} (in about {year})", column="createdAt")
    begin, end = (None if micros is None else _EPOCH + micros * datetime.resolution for micros in (first, last))
    return _Span(calls, begin, end, _spelled(paths), calls - dated)


def _arrow(frame: Any, used: list[str]) -> pa.Table:
    """Return columns of a DataFrame as an Arrow table."""
    try:
        return pa.Table.from_pandas(frame[used], preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        odd = [name for name in TIMES if name in used and frame[name].dtype == object]
        if not odd:
            raise RecordsError(f"a column of the frame cannot be read: {_first_line(error)}") from error
    times = {name: pa.array(read_times(name, frame[name]), pa.timestamp("us", "UTC")) for name in odd}
    rest = _arrow(frame, [name for name in used if name not in odd])
    return pa.table({**dict(zip(rest.column_names, rest.columns, strict=True)), **times})


def _warn_empty(query: Query[Any], span: _Span, start: datetime, end: datetime) -> None:
    held = (
        f"they hold {span.calls} calls from {format_iso(span.first)} to {format_iso(span.last)}"
        if span.first and span.last
        else "there are none at all"
    )
    met = "active" if any(one.column == "concurrency" for one in query.measures) else "created"
    which = "that the filters let pass " if query.filters else ""
    warn(f"no call {which}was {met} in [{format_iso(start)}, {format_iso(end)}): {held}", RecordsWarning)


def _readable(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return *column* in a form that the engine reads as it is meant."""
    type_ = column.type
    if isinstance(type_, pa.BaseExtensionType):
        raise RecordsError(f"column {name!r} of the call records is {type_}, which has no plain values", column=name)
    if pa.types.is_timestamp(type_) and type_.unit == "ns":  # the engine would round up into the next bucket
        return column.cast(pa.timestamp("us", type_.tz), safe=False)
    if pa.types.is_null(type_):  # a column without any value, which some engines take for an integer
        return column.cast(pa.timestamp("us", "UTC") if name in TIMES else pa.float64())
    return column


def _spelled(files: list[str]) -> frozenset[str]:
    """Return the names of the columns of Parquet *files*; the engine itself cannot tell ``cost`` from ``COST``."""
    from pyarrow.parquet import read_schema

    return frozenset(name for path in files for name in read_schema(path).names)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
