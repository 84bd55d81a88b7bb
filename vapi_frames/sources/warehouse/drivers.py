"""How an engine is reached: a Spark session, DuckDB's own connection, or any other connection of PEP 249.

Nothing of the session is changed: no setting, no temporary object, and no transaction that the caller began is ended.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from vapi_frames.cancellation import on_cancel
from vapi_frames.errors import QueryError
from vapi_frames.sources.warehouse.render import quoted
from vapi_frames.sources.warehouse.table import described_type, duckdb_type, postgres_type, read_type, spark_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from vapi_frames.sources.warehouse.dialects import Dialect
    from vapi_frames.sources.warehouse.table import Type

__all__ = ["Driver", "driver_of", "is_spark"]


class Driver(Protocol):
    """Runs SQL in the engine's own words."""

    def run(self, text: str) -> pa.Table | list[tuple[Any, ...]]:
        """Run a SELECT and return what came: a table, or rows."""
        ...

    def columns(self, table: Sequence[str]) -> list[tuple[str, Type]]:
        """Return name and type of each column of a table, given the parts of its name."""
        ...


def is_spark(connection: object) -> bool:
    """Say whether *connection* is a Spark session; pyspark itself need not be imported for that."""
    return hasattr(connection, "sql") and hasattr(connection, "createDataFrame")


def driver_of(connection: Any, dialect: Dialect) -> Driver:
    """Return what runs SQL on *connection*.

    Raises:
        QueryError: It is no connection.
    """
    if is_spark(connection):
        return _Spark(connection, dialect)
    if not callable(getattr(connection, "cursor", None)):
        raise QueryError(
            f"connection must be a Spark session or a connection with a cursor (PEP 249), not "
            f"{type(connection).__name__}; of SQLAlchemy, pass engine.raw_connection()"
        )
    if inspect.iscoroutinefunction(getattr(connection, "commit", None)):
        raise QueryError(f"{type(connection).__name__} is asynchronous; pass a connection that waits for its answers")
    return _Duckdb(connection, dialect) if dialect.name == "duckdb" else _Connection(connection, dialect)


class _Spark:
    def __init__(self, session: Any, dialect: Dialect) -> None:
        self._session = session
        self._dialect = dialect

    def run(self, text: str) -> pa.Table | list[tuple[Any, ...]]:
        with self._stoppable():
            found = self._session.sql(text)
            if hasattr(found, "toArrow"):
                return found.toArrow()
            return [tuple(row) for row in found.collect()]  # before Spark 4

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Tag what is run in the block, so that it and nothing else of the session can be called off."""
        session = self._session
        context: Any = getattr(session, "sparkContext", None)  # there is none behind Spark Connect
        if hasattr(context, "addJobTag"):
            add, cancel, remove = context.addJobTag, context.cancelJobsWithTag, context.removeJobTag
        elif hasattr(session, "addTag"):
            add, cancel, remove = session.addTag, session.interruptTag, session.removeTag
        else:  # before Spark 3.5
            yield
            return
        tag = f"vapi_frames-{uuid4()}"
        add(tag)
        try:
            with on_cancel(lambda: cancel(tag)):
                yield
        finally:
            remove(tag)

    def columns(self, table: Sequence[str]) -> list[tuple[str, Type]]:
        schema = self._session.sql(_nothing_of(table, self._dialect)).schema
        return [(one.name, spark_type(one.dataType)) for one in schema.fields]


class _Duckdb:
    """DuckDB by its own verbs: a cursor of its would see neither temporary tables nor registered frames."""

    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect

    def run(self, text: str) -> pa.Table:
        with on_cancel(self._connection.interrupt):
            return self._connection.sql(text).to_arrow_table()

    def columns(self, table: Sequence[str]) -> list[tuple[str, Type]]:
        found = self._connection.sql(_nothing_of(table, self._dialect))
        return [(name, duckdb_type(one)) for name, one in zip(found.columns, found.types, strict=True)]


class _Connection:
    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect
        # psycopg prepares what it sees often, and a prepared SELECT * fails once the table has another column.
        self._options = {"prepare": False} if hasattr(connection, "prepare_threshold") else {}

    def run(self, text: str) -> list[tuple[Any, ...]]:
        return self._fetched(text)[0]

    def columns(self, table: Sequence[str]) -> list[tuple[str, Type]]:
        if self._dialect.name == "clickhouse":
            rows, _ = self._fetched(f"DESCRIBE TABLE {quoted(table, self._dialect)}")
            return [(row[0], read_type(row[1], self._dialect)) for row in rows]
        _, described = self._fetched(_nothing_of(table, self._dialect))
        codes = [one[1] for one in described]
        if self._dialect.name == "postgres" and all(isinstance(code, int) for code in codes):
            kinds = f"SELECT oid, typname, typcategory FROM pg_catalog.pg_type WHERE oid IN ({str(codes)[1:-1]})"
            types = {int(row[0]): postgres_type(row[1], row[2]) for row in self._fetched(kinds)[0]}
            return [(one[0], types[one[1]]) for one in described]
        return [(one[0], described_type(one[1], self._dialect)) for one in described]

    def _fetched(self, text: str) -> tuple[list[tuple[Any, ...]], Sequence[Sequence[Any]]]:
        """Run *text* and return its rows and their description. No parameters are passed: %, ? and : are text."""
        cancel = getattr(self._connection, "cancel", None) or (lambda: None)  # most drivers have no such verb
        with self._transaction(), closing(self._connection.cursor()) as cursor:
            with on_cancel(cancel):
                cursor.execute(text, **self._options)
                found = cursor.fetchall()
            rows = [tuple(row.values() if isinstance(row, Mapping) else row) for row in found]
            return rows, cursor.description or ()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Keep a statement that fails from spoiling a transaction that the caller has begun, as PostgreSQL has it."""
        connection = self._connection
        if self._dialect.name != "postgres" or getattr(connection, "autocommit", None) is True:
            yield
        elif hasattr(connection, "transaction"):  # psycopg: a savepoint, or a transaction where there was none
            with connection.transaction():
                yield
        else:
            self._say("SAVEPOINT vapi_frames")
            try:
                yield
            except BaseException:
                self._say("ROLLBACK TO SAVEPOINT vapi_frames")
                raise
            finally:
                self._say("RELEASE SAVEPOINT vapi_frames")

    def _say(self, text: str) -> None:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(text)


def _nothing_of(table: Sequence[str], dialect: Dialect) -> str:
    return f"SELECT * FROM {quoted(table, dialect)} WHERE 1 = 0"
