"""What a caller passes as a connection: which dialect it speaks, and how each statement gets a connection to run on.

A connection, an engine and a session of the caller's stay as they are. An engine that is made from a URL is closed with
the source. SQLAlchemy and ADBC are recognized by their objects, so that neither is imported for another connection.
"""

from __future__ import annotations

import re
import sys
from contextlib import closing, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, quote_plus

from vapi_frames.errors import MissingExtraError, QueryError
from vapi_frames.redact import Secret
from vapi_frames.sources.warehouse.drivers import (
    check_connection,
    commits_itself,
    is_outside_transaction,
    is_spark,
    make_driver,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from vapi_frames.sources.warehouse.dialects import Dialect
    from vapi_frames.sources.warehouse.types import ColumnType

__all__ = ["Access", "BorrowingDriver", "open_access"]

_EXAMPLE = "'postgresql+psycopg://user@host/database'"
_SECRET_OPTION = re.compile(r"pass|pwd|secret|token|key|credential", re.IGNORECASE)
# Packages of drivers, names in SQLAlchemy and vendors in ADBC → dialect, where they have another name than it.
_MODULES = {
    "psycopg": "postgres", "psycopg2": "postgres", "pg8000": "postgres", "duckdb": "duckdb", "_duckdb": "duckdb",
    "chdb": "clickhouse", "clickhouse_driver": "clickhouse", "clickhouse_connect": "clickhouse",
    "google.cloud.bigquery": "bigquery", "snowflake.connector": "snowflake", "trino": "trino",
    "databricks.sql": "databricks",
}  # fmt: skip
_NAMES = {"postgresql": "postgres", "clickhousedb": "clickhouse"}


class Access(NamedTuple):
    """How a source gets at its connection.

    Attributes:
        lend: Returns a context manager of a Spark session, or of a connection of PEP 249, for one statement.
        find_dialect: Returns the name of the dialect; ``None`` where it is not plain.
        is_shared: Whether threads may use it at the same time.
        secrets: What no message may show.
        close: Closes what was opened here; does nothing to what the caller opened.
    """

    lend: Callable[[], AbstractContextManager[Any]]
    find_dialect: Callable[[], str | None]
    is_shared: bool = False
    secrets: tuple[Secret, ...] = ()
    close: Callable[[], object] = lambda: None

    def redact(self, text: str) -> str:
        """Return *text* without the secrets, however they are spelled in a URL."""
        for secret in self.secrets:
            for spelled in {str(secret), quote(secret, safe=""), quote_plus(secret), repr(str(secret))[1:-1]}:
                text = text.replace(spelled, "***")
        return text

    def shows_secret(self, error: BaseException | None) -> bool:
        """Return whether the text of *error*, or of one that led to it, has a secret."""
        while error is not None:
            if self.redact(str(error)) != str(error):
                return True
            error = error.__cause__ or error.__context__
        return False


class BorrowingDriver:
    """A driver that borrows a connection for each statement."""

    def __init__(self, lend: Callable[[], AbstractContextManager[Any]], dialect: Dialect) -> None:
        self._lend = lend
        self._dialect = dialect

    def run(self, text: str) -> pa.Table | list[tuple[Any, ...]]:
        """Run a SELECT and return its rows, as a table or as tuples."""
        with self._lend() as connection:
            return make_driver(connection, self._dialect).run(text)

    def columns(self, table: Sequence[str]) -> list[tuple[str, ColumnType]]:
        """Return name and type of each column of the table with these parts of a name."""
        with self._lend() as connection:
            return make_driver(connection, self._dialect).columns(table)


def open_access(connection: Any) -> Access:
    """Return the access to what *connection* is; nothing connects before the first query.

    Raises:
        QueryError: *connection* cannot run SQL, or does not wait for its results.
        MissingExtraError: It is a URL, and SQLAlchemy is not installed.
    """
    sqlalchemy = sys.modules.get("sqlalchemy")
    if isinstance(connection, str) or (sqlalchemy and isinstance(connection, sqlalchemy.URL)):
        return _open_url(connection)
    if sqlalchemy and isinstance(connection, sqlalchemy.Engine):
        return _open_engine(connection)
    if sqlalchemy and isinstance(connection, sqlalchemy.Connection):
        name = connection.dialect.name
        secrets = _find_secrets(connection.engine.url)
        return Access(lambda: nullcontext(_unwrap(connection.connection)), lambda: _rename(name), secrets=secrets)
    if is_spark(connection):
        return Access(lambda: nullcontext(connection), lambda: "spark", is_shared=True)
    if callable(getattr(connection, "get_bind", None)) and callable(getattr(connection, "connection", None)):
        raise QueryError("connection is a session of SQLAlchemy's ORM; pass session.connection()")
    connection = _unwrap(connection)
    check_connection(connection)
    return Access(lambda: nullcontext(connection), lambda: _find_dialect(connection))


def _open_url(text: Any) -> Access:
    """Return the access through an engine of its own to what a URL names."""
    try:
        import sqlalchemy
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
    except ImportError:
        raise MissingExtraError("sqlalchemy", "sqlalchemy", "connecting to a URL") from None
    # The errors of SQLAlchemy are no causes here: some show the URL, which may have a password.
    try:
        url = sqlalchemy.make_url(text)
    except (ArgumentError, ValueError):
        raise QueryError(
            f"connection is text, but no URL of a database: write one as SQLAlchemy reads it, such as {_EXAMPLE}"
        ) from None
    try:
        engine = sqlalchemy.create_engine(url, pool_pre_ping=True)
    except NoSuchModuleError:
        is_old = url.drivername.partition("+")[0] == "postgres"
        cure = "write 'postgresql'" if is_old else "install the package that adds it"
        raise QueryError(f"SQLAlchemy has no {url.drivername!r}, with which the URL begins: {cure}") from None
    except ImportError as error:
        raise QueryError(
            f"the URL needs the driver {error.name}, which is not installed: run  pip install {error.name}  or name "
            f"another driver, as in {_EXAMPLE}"
        ) from None
    except Exception as error:  # noqa: BLE001 - an option in the URL may be wrong in any way
        raise QueryError(
            f"SQLAlchemy cannot use the URL, which begins with {url.drivername!r}: {type(error).__name__}"
        ) from None
    return _open_engine(engine)._replace(close=engine.dispose)


def _open_engine(engine: Any) -> Access:
    if engine.dialect.is_async:
        raise QueryError(
            f"the engine's driver {engine.dialect.driver} is asynchronous; name a synchronous one, as in {_EXAMPLE}"
        )

    @contextmanager
    def lend() -> Iterator[Any]:
        with closing(engine.raw_connection()) as pooled:
            yield _unwrap(pooled)

    return Access(lend, lambda: _rename(engine.dialect.name), is_shared=True, secrets=_find_secrets(engine.url))


def _unwrap(connection: Any) -> Any:
    """Return the driver's own connection, of which a pool of SQLAlchemy hands out a proxy."""
    return getattr(connection, "driver_connection", None) or connection


def _find_secrets(url: Any) -> tuple[Secret, ...]:
    options: Mapping[str, Any] = url.query
    found = [url.password, *(value for name, value in options.items() if _SECRET_OPTION.search(name))]
    return tuple(Secret(value) for value in found if isinstance(value, str) and value)


def _rename(name: str) -> str:
    return _NAMES.get(name.lower(), name.lower())


def _find_dialect(connection: Any) -> str | None:
    """Return the dialect of a connection of PEP 249: its driver's, or what it says of itself through ADBC."""
    for one in type(connection).__mro__:
        for package, dialect in _MODULES.items():
            if f"{one.__module__}.".startswith(f"{package}."):
                return dialect
    return _ask_vendor(connection) if callable(getattr(connection, "adbc_get_info", None)) else None


def _ask_vendor(connection: Any) -> str | None:
    """Return the dialect of a connection of ADBC."""
    is_idle = is_outside_transaction(connection) and not commits_itself(connection)
    try:
        vendor = connection.adbc_get_info().get("vendor_name")
        if is_idle:  # to ask began a transaction
            connection.rollback()
    except Exception as error:
        raise QueryError(
            "the connection does not say what it connects to: name the SQL, e.g. dialect='postgres'"
        ) from error
    return _rename(vendor) if isinstance(vendor, str) else None
