"""How to run SQL on an engine: by a Spark session, by DuckDB's connection, or by any other connection of PEP 249.

A driver changes nothing in the session: no setting, no temporary object. It ends no transaction that the caller began.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import pyarrow as pa

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

    from vapi_frames.sources.warehouse.dialects import Dialect
    from vapi_frames.sources.warehouse.types import ColumnType

__all__ = ["Driver", "check_connection", "commits_itself", "is_outside_transaction", "is_spark", "make_driver"]

_COLUMNS_OF = """
SELECT attname, coalesce(base.typname, own.typname), coalesce(base.typcategory, own.typcategory)
FROM pg_catalog.pg_attribute
JOIN pg_catalog.pg_type AS own ON own.oid = atttypid
LEFT JOIN pg_catalog.pg_type AS base ON base.oid = own.typbasetype
WHERE attrelid = CAST({} AS pg_catalog.regclass) AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
"""
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


def check_connection(connection: Any) -> None:
    """Check that *connection* is one of PEP 249.

    Raises:
        QueryError: It has no cursor, or does not wait for its results.
    """
    kind = type(connection).__name__
    commit = getattr(connection, "commit", None) or getattr(connection, "raw_connection", None)
    if inspect.iscoroutinefunction(commit):
        raise QueryError(f"{kind} is asynchronous; pass a synchronous connection or engine")
    if not callable(getattr(connection, "cursor", None)):
        raise QueryError(
            "connection must be a Spark session, an engine, a connection or a URL of SQLAlchemy, or a connection with "
            f"a cursor (PEP 249), not {kind}"
        )


def make_driver(connection: Any, dialect: Dialect) -> Driver:
    """Return the driver that runs SQL on *connection*, a Spark session or a connection of PEP 249."""
    if is_spark(connection):
        return _SparkDriver(connection, dialect)
    # ADBC and SQLAlchemy's package for DuckDB have connections of their own.
    packages = {one.__module__.partition(".")[0] for one in type(connection).__mro__}
    if dialect.name == "duckdb" and packages & {"duckdb", "_duckdb"}:
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
        dialect, name = self._dialect.name, write_name(table, self._dialect)
        if dialect == "clickhouse":
            rows, _ = self._fetch(f"DESCRIBE TABLE {name}")
            return [(row[0], parse_type(row[1], dialect)) for row in rows]
        if dialect == "duckdb":
            self._fetch(_look_up(table, self._dialect))
            rows, _ = self._fetch(f"DESCRIBE {_select_nothing(table, self._dialect)}")
            return [(row[0], parse_type(row[1], dialect)) for row in rows]
        _, described = self._fetch(_select_nothing(table, self._dialect))
        codes = [one[1] for one in described]
        if dialect == "postgres" and all(isinstance(code, int) for code in codes):
            text = f"SELECT oid, typname, typcategory FROM pg_catalog.pg_type WHERE oid IN ({str(codes)[1:-1]})"
            types = {int(row[0]): read_postgres_type(row[1], row[2]) for row in self._fetch(text)[0]}
            return [(one[0], types[one[1]]) for one in described]
        if dialect == "postgres" and all(isinstance(code, pa.DataType) for code in codes):  # ADBC: JSON is text there
            rows, _ = self._fetch(_COLUMNS_OF.format(quote_text(name)))
            return [(row[0], read_postgres_type(row[1], row[2])) for row in rows]
        return [(one[0], describe_type(one[1], dialect)) for one in described]

    def _fetch(self, text: str) -> tuple[list[tuple[Any, ...]], Sequence[Sequence[Any]]]:
        """Run *text* and return its rows and their description. It passes no parameters: %, ? and : are text."""
        cancels = (getattr(self._connection, name, None) for name in ("cancel", "adbc_cancel"))
        cancel = next(filter(None, cancels), lambda: None)  # most drivers cannot cancel
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
        if self._dialect.name != "postgres":
            yield
            return
        is_automatic, is_idle = commits_itself(connection), is_outside_transaction(connection)
        if is_automatic and is_idle is not False:
            yield
        elif hasattr(connection, "transaction"):  # psycopg: a savepoint, or a transaction where there is none
            with connection.transaction():
                yield
        elif is_idle:  # the driver begins a transaction, and its locks would block ALTER TABLE
            try:
                yield
            finally:
                connection.rollback()
        elif hasattr(connection, "adbc_connection") and not is_automatic:  # it refuses to return to a savepoint
            yield
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


def commits_itself(connection: Any) -> bool:
    """Return whether each statement is a transaction, unless the caller begins one."""
    if hasattr(connection, "adbc_connection"):
        return bool(connection.adbc_connection.get_option("adbc.connection.autocommit") == "true")
    return getattr(connection, "autocommit", None) is True


def is_outside_transaction(connection: Any) -> bool | None:
    """Return whether *connection* is outside a transaction; ``None`` where the driver does not show it."""
    if hasattr(connection, "adbc_connection"):
        from adbc_driver_manager import Error

        try:
            return bool(connection.adbc_connection.get_option("adbc.postgresql.transaction_status") == "idle")
        except Error:  # the driver of another engine has no such option
            return None
    if callable(status := getattr(connection, "get_transaction_status", None)):
        return bool(status() == 0)  # psycopg2.extensions.TRANSACTION_STATUS_IDLE
    if hasattr(connection, "pgconn"):
        return bool(connection.info.transaction_status == 0)  # psycopg.pq.TransactionStatus.IDLE
    is_open = getattr(connection, "_in_transaction", None)  # pg8000
    return None if is_open is None else not is_open


def _look_up(table: Sequence[str], dialect: Dialect) -> str:
    """Return a statement of DuckDB that fails where its catalog has no such *table*.

    A SELECT would take the name for a file, an address or a variable of Python, read it, and may install what that
    needs.
    """
    return f"PRAGMA table_info({quote_text(write_name(table, dialect))})"


def _select_nothing(table: Sequence[str], dialect: Dialect) -> str:
    return f"SELECT * FROM {write_name(table, dialect)} WHERE 1 = 0"
