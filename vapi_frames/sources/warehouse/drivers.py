"""How to run SQL on an engine: by a Spark session, by DuckDB's connection, or by any other connection of PEP 249.

A driver changes nothing in the session: no setting, no temporary object. It ends no transaction that the caller began.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from vapi_frames.cancellation import on_cancel
from vapi_frames.errors import QueryError, SourceError
from vapi_frames.sources.sql.select import quote_text
from vapi_frames.sources.warehouse.render import write_name
from vapi_frames.sources.warehouse.types import (
    describe_type,
    parse_type,
    read_duckdb_type,
    read_postgres_type,
    read_spark_type,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from vapi_frames.sources.warehouse.dialects import Dialect
    from vapi_frames.sources.warehouse.types import ColumnType

__all__ = ["Driver", "is_spark", "make_driver"]

_FILE_FORMATS = frozenset({"parquet", "orc", "json", "csv", "text", "avro", "delta", "iceberg", "binaryfile", "xml"})


class Driver(Protocol):
    """Runs SQL in the engine's dialect."""

    def run(self, text: str) -> pa.Table | list[tuple[Any, ...]]:
        """Run a SELECT and return its rows, as a table or as tuples."""
        ...

    def columns(self, table: Sequence[str]) -> list[tuple[str, ColumnType]]:
        """Return name and type of each column of the table with these parts of a name."""
        ...


def is_spark(connection: object) -> bool:
    """Return whether *connection* is a Spark session, without importing pyspark."""
    return hasattr(connection, "sql") and hasattr(connection, "createDataFrame")


def make_driver(connection: Any, dialect: Dialect) -> Driver:
    """Return the driver that runs SQL on *connection*.

    Raises:
        QueryError: *connection* cannot run SQL, or does not wait for its results.
    """
    if is_spark(connection):
        return _SparkDriver(connection, dialect)
    if not callable(getattr(connection, "cursor", None)):
        raise QueryError(
            f"connection must be a Spark session or a connection with a cursor (PEP 249), not "
            f"{type(connection).__name__}; with SQLAlchemy, pass engine.raw_connection()"
        )
    if inspect.iscoroutinefunction(getattr(connection, "commit", None)):
        raise QueryError(f"{type(connection).__name__} is asynchronous; pass a synchronous connection")
    if dialect.name == "duckdb":
        return _DuckdbDriver(connection, dialect)
    return _ConnectionDriver(connection, dialect)


class _SparkDriver:
    def __init__(self, session: Any, dialect: Dialect) -> None:
        self._session = session
        self._dialect = dialect

    def run(self, text: str) -> pa.Table | list[tuple[Any, ...]]:
        with self._cancellable():
            found = self._session.sql(text)
            if hasattr(found, "toArrow"):
                return found.toArrow()
            return [tuple(row) for row in found.collect()]  # before Spark 4

    @contextmanager
    def _cancellable(self) -> Iterator[None]:
        """Tag what runs in the block, so that it can be canceled and nothing else of the session is."""
        session = self._session
        context: Any = getattr(session, "sparkContext", None)  # Spark Connect has none
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

    def columns(self, table: Sequence[str]) -> list[tuple[str, ColumnType]]:
        # Spark reads the files of `parquet`.`/data`, which is no table of its catalog.
        is_path = len(table) > 1 and table[-2].lower() in _FILE_FORMATS
        if is_path and not self._session.catalog.tableExists(write_name(table, self._dialect)):
            raise SourceError(f"spark has no table or view {'.'.join(table)!r} in its catalog")
        schema = self._session.sql(_select_nothing(table, self._dialect)).schema
        return [(one.name, read_spark_type(one.dataType)) for one in schema.fields]


class _DuckdbDriver:
    """Uses the connection itself, because a cursor of it sees neither temporary tables nor registered frames."""

    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect

    def run(self, text: str) -> pa.Table:
        with on_cancel(self._connection.interrupt):
            return self._connection.sql(text).to_arrow_table()

    def columns(self, table: Sequence[str]) -> list[tuple[str, ColumnType]]:
        self._connection.sql(_look_up(table, self._dialect))
        found = self._connection.sql(_select_nothing(table, self._dialect))
        return [(name, read_duckdb_type(one)) for name, one in zip(found.columns, found.types, strict=True)]


class _ConnectionDriver:
    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect
        # psycopg prepares statements that it runs often, and a prepared SELECT * fails once the table gets a column.
        self._options = {"prepare": False} if hasattr(connection, "prepare_threshold") else {}

    def run(self, text: str) -> list[tuple[Any, ...]]:
        return self._fetch(text)[0]

    def columns(self, table: Sequence[str]) -> list[tuple[str, ColumnType]]:
        dialect = self._dialect.name
        if dialect == "clickhouse":
            rows, _ = self._fetch(f"DESCRIBE TABLE {write_name(table, self._dialect)}")
            return [(row[0], parse_type(row[1], dialect)) for row in rows]
        if dialect == "duckdb":
            self._fetch(_look_up(table, self._dialect))
        _, described = self._fetch(_select_nothing(table, self._dialect))
        codes = [one[1] for one in described]
        if dialect == "postgres" and all(isinstance(code, int) for code in codes):
            text = f"SELECT oid, typname, typcategory FROM pg_catalog.pg_type WHERE oid IN ({str(codes)[1:-1]})"
            types = {int(row[0]): read_postgres_type(row[1], row[2]) for row in self._fetch(text)[0]}
            return [(one[0], types[one[1]]) for one in described]
        return [(one[0], describe_type(one[1], dialect)) for one in described]

    def _fetch(self, text: str) -> tuple[list[tuple[Any, ...]], Sequence[Sequence[Any]]]:
        """Run *text* and return its rows and their description. It passes no parameters: %, ? and : are text."""
        cancel = getattr(self._connection, "cancel", None) or (lambda: None)  # most drivers cannot cancel
        with self._transaction(), closing(self._connection.cursor()) as cursor:
            with on_cancel(cancel):
                cursor.execute(text, **self._options)
                found = cursor.fetchall()
            rows = [tuple(row.values() if isinstance(row, Mapping) else row) for row in found]
            return rows, cursor.description or ()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Leave no transaction open that was not, and the caller's usable after a statement that fails."""
        connection = self._connection
        if self._dialect.name != "postgres" or getattr(connection, "autocommit", None) is True:
            yield
        elif hasattr(connection, "transaction"):  # psycopg: a savepoint, or a transaction where there is none
            with connection.transaction():
                yield
        elif _is_idle(connection):  # the driver begins a transaction, and its locks would block ALTER TABLE
            try:
                yield
            finally:
                connection.rollback()
        else:
            self._execute("SAVEPOINT vapi_frames")
            try:
                yield
            except BaseException:
                self._execute("ROLLBACK TO SAVEPOINT vapi_frames")
                raise
            finally:
                self._execute("RELEASE SAVEPOINT vapi_frames")

    def _execute(self, text: str) -> None:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(text)


def _is_idle(connection: Any) -> bool:
    """Return whether *connection* is known to be outside a transaction."""
    if callable(status := getattr(connection, "get_transaction_status", None)):
        return bool(status() == 0)  # psycopg2.extensions.TRANSACTION_STATUS_IDLE
    return getattr(connection, "_in_transaction", None) is False  # pg8000


def _look_up(table: Sequence[str], dialect: Dialect) -> str:
    """Return a statement of DuckDB that fails where its catalog has no such *table*.

    A SELECT would take the name for a file, an address or a variable of Python, read it, and may install what that
    needs.
    """
    return f"PRAGMA table_info({quote_text(write_name(table, dialect))})"


def _select_nothing(table: Sequence[str], dialect: Dialect) -> str:
    return f"SELECT * FROM {write_name(table, dialect)} WHERE 1 = 0"
