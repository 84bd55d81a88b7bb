"""Answers from call records on this machine, by one SELECT in an embedded DuckDB."""

from __future__ import annotations

import glob
import os
import re
import threading
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from vapi_frames.answer import Answer, empty_answer
from vapi_frames.errors import MissingExtraError, RecordsError, RecordsWarning, warn
from vapi_frames.sources import engine, stopped_by
from vapi_frames.sources.records import TIMES, check_case, columns_for, flatten, missing, roots
from vapi_frames.sources.sql import check_answerable, literal, quote
from vapi_frames.timerange import effective, iso

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

    from vapi_frames.query import Query
    from vapi_frames.sources.records import Held, SqlType
    from vapi_frames.sources.sql import Columns

__all__ = ["CallsSource"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR = timedelta(days=366)
_FIRST = 86_400_000_000  # microseconds: one day on, so that no wall clock reads before 1970
_LAST = 221_845_392_000_000_000  # the year 9000


class _Span(NamedTuple):
    """What a look at all records' creation times tells."""

    calls: int
    first: datetime | None
    last: datetime | None
    names: frozenset[str] = frozenset()  # of the files' columns, as they are spelled there


class CallsSource:
    """Call records as a source.

    Args:
        calls: A DataFrame or Arrow table of call records, a list of call JSON, or Parquet: a path, a glob, or
            several. A DataFrame and files are read at every question, so a change shows in the next answer.
        now: Its clock; the wall clock by default.

    Raises:
        RecordsError: *calls* is none of these, or no file matches.
        MissingExtraError: DuckDB is not installed.
    """

    kind = "calls"

    def __init__(self, calls: Any, *, now: datetime | None = None) -> None:
        try:
            import duckdb
        except ImportError:
            raise MissingExtraError("local", "duckdb", "answering from call records") from None
        self._duckdb = duckdb
        self._now = now
        self._lock = threading.Lock()
        self._frame: Any = None
        self._table: pa.Table | None = None
        self._patterns: list[str] = []
        self._span: tuple[object, _Span] | None = None
        self._said_duration = False
        self._is_nothing = False  # an empty list of call JSON, which cannot say which variables there are
        if isinstance(calls, pa.Table):
            self._table = calls
        elif hasattr(calls, "to_parquet") and hasattr(calls, "columns"):
            self._frame = calls
        elif isinstance(calls, str | os.PathLike):
            self._patterns = [os.fspath(calls)]
        elif isinstance(calls, Sequence) and calls and all(isinstance(one, str | os.PathLike) for one in calls):
            self._patterns = [os.fspath(one) for one in calls]
        elif isinstance(calls, Sequence) and not isinstance(calls, bytes):
            self._table = flatten(calls)
            self._is_nothing = not calls
        else:
            raise RecordsError(
                f"cannot read call records from {type(calls).__name__}; give a DataFrame, an Arrow table, a list of "
                "call JSON, or the path of Parquet files"
            )
        self._files()
        self._connection = self._connect()

    def now(self) -> datetime:
        """Return its clock."""
        return self._now or datetime.now(UTC)

    def answer(self, queries: Sequence[Query[Any]], now: datetime) -> list[Answer]:
        """Answer *queries*, in order, as of *now*."""
        for query in queries:
            check_answerable(query)
        return [self._answer(query, now) for query in queries]

    def _answer(self, query: Query[Any], now: datetime) -> Answer:
        start, end = effective(query.instants(now), now)
        if self._is_nothing and query.table == "call":
            _warn_empty(query, _Span(0, None, None), start, end)
            return empty_answer(query, start, end)
        with self._relation(query) as (connection, relation, held):
            columns = columns_for(query, held)
            if "duration" in held and "duration" in columns.values and not self._said_duration:
                self._said_duration = True
                warn("the records' own 'duration' is not used: minutes are endedAt - startedAt", RecordsWarning)
            span = self._look(connection, relation, columns)
            for name in roots(query, held):
                check_case(name, span.names)
            # With a year to spare, for files that grow between the look and the question.
            within = (span.first - _YEAR, span.last + _YEAR) if span.first and span.last else None

            def run(text: str, types: Sequence[pa.DataType]) -> list[Any]:
                columns = connection.sql(text).to_arrow_table().columns
                return [column.cast(type_) for column, type_ in zip(columns, types, strict=True)]

            answer, is_met = engine.answer(query, columns, relation, (start, end), now=now, run=run, within=within)
        if not is_met:
            _warn_empty(query, span, start, end)
        return answer

    @contextmanager
    def _relation(self, query: Query[Any]) -> Iterator[tuple[DuckDBPyConnection, str, dict[str, Held]]]:
        """Yield a cursor, the text of the relation, and how it holds its columns."""
        with self._lock:
            connection = self._connection.cursor()
        spelled: list[str] = []
        work = ExitStack()
        try:
            work.enter_context(stopped_by(connection.interrupt))
            if self._patterns:
                # The engine takes what is in brackets, and stars, for a pattern once more.
                paths = ", ".join(literal(glob.escape(path)) for path in self._files())
                relation = f"read_parquet([{paths}], union_by_name = true, hive_partitioning = false)"
                described = connection.sql(f"SELECT * FROM {relation} LIMIT 0")
                held: dict[str, Held] = {name: (quote(name), type_) for name, type_ in _typed_columns(described)}
            else:
                names, table = self._columns(query)
                relation, spelled = "calls", table.column_names
                # By place, because DuckDB takes names that differ only by case for one.
                connection.register(relation, table.rename_columns([f"c{i}" for i in range(table.num_columns)]))
                found = _typed_columns(connection.sql(f"SELECT * FROM {relation} LIMIT 0"))
                places = dict(zip(table.column_names, found, strict=True))
                held = {name: places.get(name, ("", None)) for name in names}
            yield connection, relation, held
        except (self._duckdb.InternalException, self._duckdb.FatalException) as error:
            with self._lock:
                self._connection = self._connect()  # such an error invalidates the engine's database for good
            raise RecordsError(f"the call records cannot be read: {_first_line(error)}") from error
        except self._duckdb.ConversionException as error:
            said = re.sub(r"\bcolumn c(\d+)\b", lambda at: f"column {spelled[int(at[1])]!r}", _first_line(error))
            raise RecordsError(f"a value of the call records cannot be read: {said}") from error
        except self._duckdb.Error as error:
            raise RecordsError(f"the call records cannot be read: {_first_line(error)}") from error
        finally:
            work.close()
            connection.close()

    def _columns(self, query: Query[Any]) -> tuple[list[str], pa.Table]:
        """Return the names of all columns, and those that *query* may use as an Arrow table."""
        held = self._frame if self._table is None else self._table
        names = [name for name in (held.columns if self._table is None else held.column_names) if isinstance(name, str)]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise RecordsError(f"the records have two columns named {twice!r}", column=twice)
        used = roots(query, names)
        if "createdAt" not in used:
            raise missing("createdAt", names)
        if self._table is not None:
            table = self._table.select(used)
        else:
            try:
                table = pa.Table.from_pandas(self._frame[used], preserve_index=False)
            except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
                raise RecordsError(f"a column of the frame cannot be read: {_first_line(error)}") from error
        return names, pa.table({name: _readable(name, table.column(name)) for name in used})

    def _files(self) -> list[str]:
        found: list[str] = []
        for pattern in self._patterns:
            if Path(pattern).is_dir():
                pattern = str(Path(pattern, "*.parquet"))  # noqa: PLW2901 - a folder stands for its files
            matched = [pattern] if Path(pattern).is_file() else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
            matched = [path for path in matched if Path(path).is_file()]
            if not matched:
                raise RecordsError(f"no file matches {pattern!r} in {Path.cwd()}", file=pattern)
            found += matched
        for path in found:
            if path.endswith((".json", ".jsonl", ".csv")):
                raise RecordsError(
                    f"{path!r} is not Parquet; pass what json.load makes of it, or a DataFrame", file=path
                )
        return found

    def _look(self, connection: DuckDBPyConnection, relation: str, columns: Columns) -> _Span:
        """Look at all creation times: each must be there, and after 1970. Again only where the records changed."""
        state: object = None
        if self._table is not None:
            state = "table"
        elif self._patterns:
            state = [(path, os.stat(path).st_mtime_ns, os.stat(path).st_size) for path in self._files()]  # noqa: PTH116
        if self._span is not None and state is not None and self._span[0] == state:
            return self._span[1]
        at = columns.created
        [row] = connection.sql(
            f"SELECT count(*), count(*) FILTER (isfinite({at})), epoch_us(min({at})), epoch_us(max({at})) "
            f"FROM {relation}"
        ).fetchall()
        calls, dated, first, last = row
        if dated < calls:
            raise RecordsError(f"{calls - dated} of {calls} calls have no createdAt", column="createdAt")
        for micros in (first, last) if calls else ():
            if not _FIRST <= micros < _LAST:
                year = 1970 + micros // 31_556_952_000_000
                said = "before 1970-01-02" if micros < _FIRST else "after the year 9000"
                raise RecordsError(f"a call was created {said} (in about {year})", column="createdAt")
        begin, end = (None if micros is None else _EPOCH + micros * datetime.resolution for micros in (first, last))
        span = _Span(calls, begin, end, _spelled(self._files()))
        self._span = (state, span)
        return span

    def _connect(self) -> DuckDBPyConnection:
        connection = self._duckdb.connect(
            ":memory:",
            config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"},
        )
        # A timestamp without a zone is UTC on the API, so it must not take this machine's.
        connection.execute("SET TimeZone = 'UTC'; SET python_enable_replacements = false")
        return connection

    def __repr__(self) -> str:
        if self._patterns:
            return f"calls in {', '.join(self._patterns)}"
        return f"{len(self._frame if self._table is None else self._table):,} calls in memory"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a source of call records holds a connection and cannot be pickled; pickle the records")


def _typed_columns(relation: Any) -> list[tuple[str, SqlType]]:
    return list(zip(relation.columns, relation.types, strict=True))


def _warn_empty(query: Query[Any], span: _Span, start: datetime, end: datetime) -> None:
    held = (
        f"they hold {span.calls} calls from {iso(span.first)} to {iso(span.last)}"
        if span.first and span.last
        else "there are none at all"
    )
    met = "active" if any(one.column == "concurrency" for one in query.measures) else "created"
    warn(f"no call was {met} in [{iso(start)}, {iso(end)}): {held}", RecordsWarning)


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
