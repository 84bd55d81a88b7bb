"""Answers from a table of call records in a warehouse: the same SELECT, in the words of the engine that runs it.

Only aggregated rows travel. What the table looks like is asked once, and once whether every call has a time at which
it was created that a range can hold: a table may be too large to be read for that at each question.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vapi_frames.calendar.ranges import fill_defaults, format_iso
from vapi_frames.errors import QueryError, RecordsError, RecordsWarning, SourceError, VapiFramesError, warn
from vapi_frames.sources.records.columns import check_case, columns_for, roots
from vapi_frames.sources.sql.run import run_query
from vapi_frames.sources.sql.select import check_answerable
from vapi_frames.sources.warehouse.dialects import AWARE, NAIVE, WORDS, dialect_of, micros
from vapi_frames.sources.warehouse.drivers import driver_of, is_spark
from vapi_frames.sources.warehouse.render import render
from vapi_frames.sources.warehouse.table import check_columns, check_table, read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn, TypeVar

    from vapi_frames.query.query import Query
    from vapi_frames.result.result import Result
    from vapi_frames.sources.sql.select import Columns
    from vapi_frames.sources.warehouse.table import Table

    T = TypeVar("T")

__all__ = ["WarehouseSource"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = datetime(1970, 1, 2, tzinfo=UTC)  # one day on, so that no wall clock reads before 1970
_LONG = timedelta(days=366 * 20)  # a longer range is narrowed to that of the calls, which has fewer edges to name


class WarehouseSource:
    """A table of call records as a source.

    Args:
        connection: A Spark session, or a connection of PEP 249.
        table: The table's name, with dots between its parts, or the parts as a tuple.
        dialect: Whose SQL it speaks; a Spark session says so itself.
        columns: Column of the API → column of the table, or a tuple of it and the way into what is nested there.
        now: Its clock; the wall clock by default.

    Raises:
        QueryError: An argument cannot be it.
        UnknownWordError: There is no such dialect, or the API has no such column.
        MissingExtraError: sqlglot is not installed.
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
        if dialect is None and not is_spark(connection):
            raise QueryError("dialect= must say whose SQL the connection speaks, e.g. dialect='postgres'")
        self._dialect = dialect_of("spark" if dialect is None else dialect)
        self._driver = driver_of(connection, self._dialect)
        self._parts = check_table(table)
        self._places = check_columns(columns)
        render("SELECT 1", self._dialect)  # says now, and not at the first question, that sqlglot is missing
        self._now = now
        # Threads may share a Spark session, and hardly any other connection.
        self._lock = nullcontext() if is_spark(connection) else threading.Lock()
        self._table: Table | None = None
        self._is_looked_at = False
        self._said_duration = False

    def now(self) -> datetime:
        """Return its clock."""
        return self._now or datetime.now(UTC)

    def answer(self, queries: Sequence[Query[Any]], now: datetime) -> list[Result]:
        """Answer *queries*, in order, as of *now*."""
        for query in queries:
            check_answerable(query)
        with self._lock:
            return [self._answer(query, now) for query in queries]

    def _answer(self, query: Query[Any], now: datetime) -> Result:
        start, end = fill_defaults(query.instants(now), now)
        if self._table is None:
            found = self._ask(lambda: self._driver.columns(self._parts))
            self._table = read_table(self._parts, found, self._dialect, self._places)
        table = self._table
        columns = self._columns(query, table)
        self._look(table, columns)
        within = self._spanned(table, columns) if end - start > _LONG else None
        answer, is_met = run_query(query, columns, table.relation, (start, end), now=now, run=self._run, within=within)
        if not is_met:
            held = within or self._spanned(table, columns)
            said = f"they are from {format_iso(held[0])} to {format_iso(held[1])}" if held else "there are none at all"
            met = "active" if any(one.column == "concurrency" for one in query.measures) else "created"
            which = "that the filters let pass " if query.filters else ""
            warn(f"no call {which}was {met} in [{format_iso(start)}, {format_iso(end)}): {said}", RecordsWarning)
        return answer

    def _columns(self, query: Query[Any], table: Table) -> Columns:
        columns = columns_for(query, table.held, WORDS, table.given)
        if "duration" in table.names and "duration" in columns.values and not self._said_duration:
            self._said_duration = True
            warn("the records' own 'duration' is not used: minutes are endedAt - startedAt", RecordsWarning)
        if self._dialect.folds:
            for name in roots(query, table.held):
                check_case(name, table.names)
        # The bare column beside a literal of its own type is what an engine can look up in an index, or skip parts by.
        expression, type_ = table.given.get("createdAt") or table.held["createdAt"]
        word = {AWARE: "instant", NAIVE: "wall"}.get(type_.id if type_ else "")

        def instant(at: datetime) -> str:
            known = micros(min(max(at, _EPOCH), self._dialect.last))  # beyond these no call lies: a look has shown it
            return f"{word}({known})" if word else str(known)

        return replace(columns, created=expression if word else columns.created, instant=instant)

    def _look(self, table: Table, columns: Columns) -> None:
        """Look once for calls that no range can hold; an engine may know from its statistics that there are none."""
        if self._is_looked_at:
            return
        at, first, last = columns.created, columns.instant(_FIRST), columns.instant(self._dialect.last)
        odd = (f"{at} IS NULL", f"{at} < {first}", f"{at} >= {last}")
        one = f"SELECT 1 AS odd FROM {table.relation} WHERE {' OR '.join(odd)} LIMIT 1"
        if self._number(f"WITH found AS ({one})\nSELECT count(*) AS n FROM found"):
            days = _FIRST.date(), self._dialect.last.date()
            said = ("have no createdAt", f"were created before {days[0]}", f"were created after {days[1]}")
            for condition, what in zip(odd, said, strict=True):
                if count := self._number(f"SELECT count(*) AS n FROM {table.relation} WHERE {condition}"):
                    raise RecordsError(f"{count} calls of the table {what}", column="createdAt")
        self._is_looked_at = True

    def _spanned(self, table: Table, columns: Columns) -> tuple[datetime, datetime] | None:
        """Return when the first and the last call were created, to the second; ``None`` where there is none."""
        seconds = f"WITH seconds AS (SELECT {columns.epoch} AS e FROM {table.relation})"
        found = self._run(f"{seconds}\nSELECT min(e) AS low, max(e) AS high FROM seconds", [pa.int64()] * 2)
        low, high = (column[0].as_py() for column in found)
        return None if low is None else (_EPOCH + timedelta(seconds=low), _EPOCH + timedelta(seconds=high + 1))

    def _number(self, text: str) -> int:
        found: int = self._run(text, [pa.int64()])[0][0].as_py()
        return found

    def _run(self, text: str, types: Sequence[pa.DataType]) -> list[Any]:
        """Run the common *text*, and return its columns as Arrow arrays of *types*."""
        own = render(text, self._dialect)
        found: Any = self._ask(lambda: self._driver.run(own))
        if isinstance(found, pa.Table):
            return [column.cast(type_) for column, type_ in zip(found.columns, types, strict=True)]
        columns = list(zip(*found, strict=True)) or [()] * len(types)
        return [_array(column, type_) for column, type_ in zip(columns, types, strict=True)]

    def _ask(self, verb: Callable[[], T]) -> T:
        try:
            return verb()
        except VapiFramesError:
            raise
        except Exception as error:
            raise SourceError(f"{self._dialect.name} could not answer: {_first_line(error)}") from error

    def __repr__(self) -> str:
        return f"the table {'.'.join(self._parts)} in {self._dialect.name}"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a warehouse holds a connection and is not pickled; connect again where it is needed")


def _array(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    """Return what a driver gave as an Arrow array: a whole number may have come as a decimal, or a decimal as text."""
    read: Callable[[Any], Any] = str
    if pa.types.is_integer(type_):
        read = int
    elif pa.types.is_floating(type_):
        read = float
    elif pa.types.is_decimal(type_):
        read = Decimal
    return pa.array([None if value is None else read(value) for value in values], type_)


def _first_line(error: Exception) -> str:
    """Return the line of what *error* says that tells most: the first, but of Java's the first of the last cause."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if lines[0].startswith("An error occurred while calling"):
        lines = [line for line in lines if line.startswith("Caused by: ")][-1:] or lines[1:] or lines
    return lines[0].removeprefix("Caused by: ").strip(": ")
