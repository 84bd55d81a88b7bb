"""Results from a table of call records in a warehouse: the same SELECT, in the dialect of the engine that runs it.

Only aggregated rows are fetched. The source reads the table's columns once, and checks once that every call has a time
of creation that a range can hold: a table may be too large to check that at each query.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from vapi_frames.calendar.buckets import EPOCH, FIXED_STEPS
from vapi_frames.calendar.ranges import fill_defaults
from vapi_frames.errors import QueryError, RecordsError, RecordsWarning, SourceError, VapiFramesError, warn
from vapi_frames.query.begin import find_late_begin
from vapi_frames.sources.records.columns import (
    DURATION_WARNING,
    columns_used,
    find_columns,
    open_reader,
)
from vapi_frames.sources.records.drill import find_drilled, find_order, list_sources, widen_query
from vapi_frames.sources.records.duckdb import read_error
from vapi_frames.sources.records.missing import check_case
from vapi_frames.sources.records.places import check_columns
from vapi_frames.sources.sql.drill import drill_records
from vapi_frames.sources.sql.run import find_near_values, run_query, warn_of_no_match
from vapi_frames.sources.sql.select import check_answerable, counts_missing_ids
from vapi_frames.sources.warehouse.connections import BorrowingDriver, open_access
from vapi_frames.sources.warehouse.dialects import find_dialect, fit_postgres, to_micros
from vapi_frames.sources.warehouse.in_duckdb import find_functions
from vapi_frames.sources.warehouse.render import render
from vapi_frames.sources.warehouse.table import check_table, find_bare, find_ends, read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn, TypeVar

    from vapi_frames.query.drill import Drill
    from vapi_frames.query.query import Query
    from vapi_frames.result.drilled import DrilledCalls
    from vapi_frames.result.result import Result
    from vapi_frames.sources.sql.select import CallInterval, QueryColumns
    from vapi_frames.sources.warehouse.connections import Access
    from vapi_frames.sources.warehouse.table import BareEnds, TableColumns
    from vapi_frames.sources.warehouse.types import ColumnType

    T = TypeVar("T")

__all__ = ["WarehouseSource"]

_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)  # one day on, so that no wall clock reads before 1970
_POSTGRES_JSON = ("invalid input syntax for type json", "cannot cast jsonb")  # it has no cast that tries
_LONG = timedelta(days=366 * 20)  # a longer range is cut to that of the calls, which has fewer bucket edges


class WarehouseSource:
    """A table of call records as a source.

    Args:
        connection: A Spark session, a connection of PEP 249, or an engine, a connection or a URL of SQLAlchemy.
        table: The table's name, with dots between its parts, or the parts as a tuple.
        dialect: The SQL of the connection; by default what the connection shows.
        columns: Column of the API → column of the table, or a tuple of a column and the keys into what is nested in it.
        now: Its clock; the wall clock by default.

    Raises:
        QueryError: An argument has a wrong type or value.
        UnknownWordError: There is no such dialect, or the API has no such column.
        MissingExtraError: sqlglot is not installed, or SQLAlchemy, which a URL needs.
    """

    kind = "warehouse"

    def __init__(
        self,
        connection: Any,
        table: str | Sequence[str],
        *,
        dialect: str | None = None,
        columns: Mapping[str, str | Sequence[str]] | None = None,
        now: datetime | None = None,
    ) -> None:
        self._access = open_access(connection)
        if dialect is None and (dialect := self._access.find_dialect()) is None:
            raise QueryError(f"the SQL of {type(connection).__name__} is not known: name it, e.g. dialect='postgres'")
        self._dialect = find_dialect(dialect)
        self._driver = BorrowingDriver(self._access.lend, self._dialect)
        self._parts = check_table(table)
        self._places = check_columns(columns)
        render("SELECT 1", self._dialect)  # raises here, and not at the first query, where sqlglot is missing
        self._now = now
        self._lock = nullcontext() if self._access.is_shared else threading.Lock()
        # A source that is forgotten leaves no connection open, either.
        self._close = weakref.finalize(self, _close, os.getpid(), self._access)
        self._table: TableColumns | None = None
        self._is_checked = False
        self._begin: datetime | None = None  # when the first call was created
        self._has_every_id: bool | None = None
        self._has_warned_of_duration = False

    def now(self) -> datetime:
        """Return its clock."""
        return self._now or datetime.now(UTC)

    def close(self) -> None:
        """Close the connections to a URL; a connection, an engine and a session are the user's, and stay open."""
        self._close()

    def answer(self, queries: Sequence[Query[Any]], now: datetime) -> list[Result]:
        """Answer *queries*, in order, as of *now*."""
        for query in queries:
            check_answerable(query)
        with self._lock:
            begin = self._find_begin(queries, now) if queries else None
            return [replace(self._answer(query, now), records_begin=begin) for query in queries]

    def _answer(self, query: Query[Any], now: datetime) -> Result:
        start, end = fill_defaults(query.instants(now), now)
        table = self._find_table()
        columns = self._columns(query, table)
        self._check_times(table, columns)
        if self._dialect.reads_whole_columns and counts_missing_ids(query, columns):
            columns = replace(columns, has_every_id=self._look_for_ids(table, columns))
        records_range = self._records_range(table, columns) if end - start > _LONG else None
        result, has_matched = run_query(
            query, columns, table.relation, (start, end), now=now, run=self._run, records_range=records_range
        )
        if not has_matched:
            near = find_near_values(query, columns, table.relation, self._run)
            warn_of_no_match(query, (start, end), records_range or self._records_range(table, columns), near=near)
        return result

    def _find_begin(self, queries: Sequence[Query[Any]], now: datetime) -> datetime | None:
        """Return when the first call was created; where a range begins on a day before that, looks for earlier ones."""
        table = self._find_table()
        columns = self._columns(queries[0], table)
        self._check_times(table, columns)
        sides = [(*fill_defaults(query.instants(now), now), query.zone) for query in queries]
        if any(find_late_begin(*side, begin=self._begin) for side in sides):
            first = self._write_first(table, columns)
            found = self._run(f"WITH first AS ({first})\nSELECT min(e) AS e FROM first", [pa.int64()])
            self._begin = _read_begin(found) or self._begin
        return self._begin

    def _write_first(self, table: TableColumns, columns: QueryColumns) -> str:
        """Return the SELECT of the second of the first call, or of one before the first that is known.

        It has the order and the range of the bare column: an engine with an index or statistics reads next to nothing.
        """
        at, latest = columns.created, self._begin or self._dialect.max_timestamp
        within = f"{at} >= {columns.instant(_EARLIEST)} AND {at} < {columns.instant(latest)}"
        return f"SELECT {columns.epoch} AS e FROM {table.relation} WHERE {within} ORDER BY {at} LIMIT 1"

    def drill(self, drill: Drill, now: datetime) -> DrilledCalls:
        """Return the calls that the query of *drill* counts, by one SELECT."""
        check_answerable(drill.query)
        with self._lock:
            return self._drill(drill, now)

    def _drill(self, drill: Drill, now: datetime) -> DrilledCalls:
        query = widen_query(drill)
        start, end = fill_defaults(query.instants(now), now)
        table = self._find_table()
        columns = self._columns(query, table, also=list_sources(drill))
        self._check_times(table, columns)
        reader = open_reader(table.columns, find_functions(self._dialect), table.overrides)
        return drill_records(
            drill,
            columns,
            find_drilled(drill, reader, columns),
            table.relation,
            (start, end),
            order=find_order(reader),
            run=self._run,
            records_range=self._records_range(table, columns) if end - start > _LONG else None,
        )

    def _find_table(self) -> TableColumns:
        """Return the columns of the table, read once."""
        if self._table is None:
            columns = self._read_columns()
            if self._dialect.name == "postgres":
                [(version,)] = self._call(lambda: self._driver.run("SELECT version()"))
                self._dialect = fit_postgres(self._dialect, version)
            self._table = read_table(self._parts, columns, self._dialect, self._places)
        return self._table

    def _read_columns(self) -> list[tuple[str, ColumnType]]:
        try:
            return self._call(lambda: self._driver.columns(self._parts))
        except SourceError as error:
            if "/" in "".join(self._parts):
                raise SourceError(f"{error}; for files, use vf.local(path)") from error.__cause__
            raise

    def _columns(self, query: Query[Any], table: TableColumns, also: Sequence[str] = ()) -> QueryColumns:
        columns = find_columns(query, table.columns, find_functions(self._dialect), table.overrides)
        if "duration" in table.names and "duration" in columns.values and not self._has_warned_of_duration:
            self._has_warned_of_duration = True
            warn(DURATION_WARNING, RecordsWarning)
        if self._dialect.case_insensitive:
            for name in columns_used(query, table.columns, also=also):
                check_case(name, table.names)
        # Where the bare column is compared with a literal of its type, an engine can use an index or skip parts.
        expression, function = find_bare(table, "createdAt")

        def write_instant(at: datetime) -> str:
            # No call is beyond these, which _check_times has verified.
            micros = to_micros(min(max(at, EPOCH), self._dialect.max_timestamp))
            return f"{function}({micros})" if function else str(micros)

        clock, cut = self._find_clock(query, expression, function)
        ends = find_ends(table)
        return replace(
            columns, created=expression if function else columns.created, instant=write_instant,
            clock=clock, cut=cut, quantile=lambda value, q: f"quantile_of({value}, {q!r})",
            interval=columns.interval and self._fit_interval(columns.interval, ends),
            ends=(ends.started, ends.ended) if ends and ends.minutes in columns.values.values() else None,
        )  # fmt: skip

    def _find_clock(
        self, query: Query[Any], created: str, function: str
    ) -> tuple[str | None, Callable[[str, str], str]]:
        """Return what is cut to a step, and what cuts it, where the engine does that itself."""
        functions = self._dialect.functions
        if function and "bin_to" in functions and query.time_step in (*FIXED_STEPS, "day", "week"):
            return created, lambda step, at: f"bin_to('1 {step}', {at})"
        clock = {"instant": f"utc_of({created})", "wall": created}.get(function)
        return clock if "cut_to" in functions else None, lambda step, at: f"cut_to('{step}', {at})"

    def _fit_interval(self, interval: CallInterval, ends: BareEnds | None) -> CallInterval:
        """Return *interval* as suits the engine: with the bare columns, and microseconds where they are needed."""
        interval = interval._replace(is_read_once=not self._dialect.reads_twice)
        if ends is None:
            return interval
        latest = to_micros(self._dialect.max_timestamp)
        return interval._replace(
            started=ends.started, ended=ends.ended,
            instant=lambda at: f"{ends.function}({min(at, latest)})",
            micros=ends.write_known_micros,
        )  # fmt: skip

    def _check_times(self, table: TableColumns, columns: QueryColumns) -> None:
        """Check once that there is no call that no range can hold, and find the first one."""
        if self._is_checked:
            return
        latest = self._dialect.max_timestamp
        at = columns.created
        problems = {
            f"{at} IS NULL": "have no createdAt",
            f"{at} < {columns.instant(_EARLIEST)}": f"were created before {_EARLIEST.date()}",
            f"{at} >= {columns.instant(latest)}": f"were created after {latest.date()}",
        }
        one = f"SELECT 1 AS odd FROM {table.relation} WHERE {' OR '.join(problems)} LIMIT 1"
        both = "SELECT (SELECT count(*) FROM found) AS n, (SELECT min(e) FROM first) AS e"
        text = f"WITH found AS ({one}), first AS ({self._write_first(table, columns)})\n{both}"
        count, begin = self._run(text, [pa.int64()] * 2)
        if count[0].as_py():
            for condition, problem in problems.items():
                if odd := self._count(f"SELECT count(*) AS n FROM {table.relation} WHERE {condition}"):
                    raise RecordsError(f"{odd} calls of the table {problem}", column="createdAt")
        self._is_checked, self._begin = True, _read_begin([begin])

    def _look_for_ids(self, table: TableColumns, columns: QueryColumns) -> bool:
        """Return whether every call had an id when the source first looked; else each query counts those without."""
        if self._has_every_id is None:
            one = f"SELECT 1 AS odd FROM {table.relation} WHERE {columns.values['id']} IS NULL LIMIT 1"
            self._has_every_id = not self._count(f"WITH found AS ({one})\nSELECT count(*) AS n FROM found")
        return self._has_every_id

    def _records_range(self, table: TableColumns, columns: QueryColumns) -> tuple[datetime, datetime] | None:
        """Return when the first and the last call were created, to the second; ``None`` where there is none."""
        seconds = f"WITH seconds AS (SELECT {columns.epoch} AS e FROM {table.relation})"
        found = self._run(f"{seconds}\nSELECT min(e) AS low, max(e) AS high FROM seconds", [pa.int64()] * 2)
        low, high = (column[0].as_py() for column in found)
        return None if low is None else (EPOCH + timedelta(seconds=low), EPOCH + timedelta(seconds=high + 1))

    def _count(self, text: str) -> int:
        found: int = self._run(text, [pa.int64()])[0][0].as_py()
        return found

    def _run(self, text: str, types: Sequence[pa.DataType]) -> list[Any]:
        """Run the common *text*, and return its columns as Arrow arrays of *types*."""
        try:
            return self._run_plainly(text, types)
        except RecordsError as error:
            if self._dialect.odd_functions is None:
                raise
            self._dialect = self._dialect.read_odd()
            try:
                return self._run_plainly(text, types)
            except SourceError as second:
                if "transaction is aborted" in str(second):  # by the first error
                    raise error from None
                raise

    def _run_plainly(self, text: str, types: Sequence[pa.DataType]) -> list[Any]:
        rendered = render(text, self._dialect)
        found: Any = self._call(lambda: self._driver.run(rendered))
        if isinstance(found, pa.Table):
            arrays = [column.cast(type_) for column, type_ in zip(found.columns, types, strict=True)]
        else:
            columns = list(zip(*found, strict=True)) or [()] * len(types)
            arrays = [_make_array(column, type_) for column, type_ in zip(columns, types, strict=True)]
        for array, type_ in zip(arrays, types, strict=True):
            if type_ == pa.float64() and not _is_finite(array):
                raise RecordsError("a number of the table is infinite, or a sum is too large for a double")
        return arrays

    def _call(self, function: Callable[[], T]) -> T:
        try:
            return function()
        except VapiFramesError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the libraries beneath raise
            cause = None if self._access.shows_secret(error) else error
            if found := read_error(str(error)):
                raise found from cause
            line = self._access.redact(_main_line(error))
            if line.startswith(_POSTGRES_JSON):
                whole = self._access.redact(" ".join(str(error).split()))
                raise RecordsError(f"JSON of the call records cannot be read: {whole}") from cause
            raise SourceError(f"{self._dialect.name} could not run the query: {line}") from cause

    def __repr__(self) -> str:
        return f"the table {'.'.join(self._parts)} in {self._dialect.name}"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a warehouse source holds a connection and cannot be pickled; connect in each process")


def _read_begin(columns: Sequence[Any]) -> datetime | None:
    """Return the second of the one row, as an instant."""
    seconds = columns[0][0].as_py()
    return None if seconds is None else EPOCH + timedelta(seconds=seconds)


def _close(process: int, access: Access) -> None:
    if process == os.getpid():  # the child of a fork ends with copies of connections that its parent still uses
        access.close()


def _is_finite(array: Any) -> bool:
    """Return whether no value is infinite or NaN."""
    return pc.call_function("all", [pc.call_function("is_finite", [array])]).as_py() is not False


def _make_array(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    """Return a driver's values as an Arrow array: an integer may have come as a decimal, or a decimal as text."""
    convert: Callable[[Any], Any] = str
    if pa.types.is_integer(type_):
        convert = int
    elif pa.types.is_floating(type_):
        convert = float
    elif pa.types.is_decimal(type_):
        convert = Decimal
    return pa.array([None if value is None else convert(value) for value in values], type_)


def _main_line(error: Exception) -> str:
    """Return the line of the error's text that says most: the first, or the last cause of an error of Java's."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if lines[0].startswith("An error occurred while calling"):
        lines = [line for line in lines if line.startswith("Caused by: ")][-1:] or lines[1:] or lines
    return lines[0].removeprefix("Caused by: ").strip(": ")
