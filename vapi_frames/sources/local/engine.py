"""The embedded DuckDB: one database for all sources of a process, and its errors as errors of this package."""

from __future__ import annotations

import ctypes
import os
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vapi_frames.cancellation import on_cancel
from vapi_frames.errors import MissingExtraError, RecordsError
from vapi_frames.sources.records.duckdb import read_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from duckdb import DuckDBPyConnection

__all__ = ["first_line", "open_cursor", "start_database"]

_CONFIG = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
# A timestamp without a zone is UTC on the API, and must not get the zone of this machine. Cursors inherit what is set
# globally.
_SETTINGS = "SET GLOBAL TimeZone = 'UTC'; SET GLOBAL python_enable_replacements = false"

_LOCK = threading.Lock()
# By process id: after a fork the child must not close the parent's database: its threads exist only in the parent.
_DATABASES: dict[int, DuckDBPyConnection] = {}


def _start_child() -> None:
    """Keep inherited databases from being closed when the child of a fork ends, which would crash or block it."""
    global _LOCK  # noqa: PLW0603 - another thread of the parent may have held it
    _LOCK = threading.Lock()
    for connection in _DATABASES.values():
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_child)


def start_database() -> None:
    """Start the database of this process, unless it runs already.

    Raises:
        MissingExtraError: DuckDB is not installed.
    """
    with _LOCK:
        _find_database()


def _find_database(**config: str) -> DuckDBPyConnection:
    """Return the database of this process, or with a *config* a new one; to start one takes as long as a query.

    It holds no data: what a query reads is registered with the cursor of that query only.
    """
    import concurrent.futures.thread  # noqa: F401 - which cannot be imported any more once Python shuts down

    try:
        import duckdb
    except ImportError:
        raise MissingExtraError("local", "duckdb", "answering from call records") from None

    if not config and (known := _DATABASES.get(os.getpid())):
        return known
    connection = duckdb.connect(":memory:", config={**_CONFIG, **_find_memory_limit(), **config})
    connection.execute(_SETTINGS)
    if not config:
        _DATABASES[os.getpid()] = connection
    return connection


def _find_memory_limit() -> dict[str, str]:
    """Return DuckDB's limit where the process has one, as by ``ulimit -v``: DuckDB goes by the memory of the machine.

    It is a part, because threads and other libraries take memory, too; one that gets none ends the whole process.
    """
    try:
        import resource
    except ImportError:  # Windows
        return {}
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return {} if limit == resource.RLIM_INFINITY else {"memory_limit": f"{limit // 4}B"}


@contextmanager
def open_cursor(names: Sequence[str], *, memory_limit: str = "", most_threads: int = 0) -> Iterator[DuckDBPyConnection]:
    """Yield a cursor of the database; its statements end when the query is canceled.

    Args:
        names: The names of columns that are registered as ``c0``, ``c1``, ..., for messages; may be filled later.
        memory_limit: How much memory its statements may take, e.g. ``"1GB"``; the cursor then has a database of its
            own, because a limit is one of a whole database. It spills nothing to the disk.
        most_threads: How many threads that database may have.

    Raises:
        RecordsError: DuckDB could not read the records.
        SourceError: The query is canceled.
    """
    with _LOCK:
        limits = {"memory_limit": memory_limit, "temp_directory": ""} if memory_limit else {}
        database = _find_database(**limits)
        connection = database.cursor()  # which shows no progress bar of DuckDB's on stdout, as a database may
    if most_threads:
        connection.execute(f"SET threads = least(current_setting('threads'), {most_threads})")
    import duckdb

    try:
        with on_cancel(connection.interrupt):
            yield connection
    except (duckdb.InternalException, duckdb.FatalException) as error:
        _DATABASES.pop(os.getpid(), None)  # the database cannot be used after such an error
        raise RecordsError(f"the call records cannot be read: {first_line(error)}") from error
    except duckdb.ConversionException as error:
        message = re.sub(r"\bcolumn c(\d+)\b", lambda at: f"column {names[int(at[1])]!r}", first_line(error))
        raise RecordsError(f"a value of the call records cannot be read: {message}") from error
    except duckdb.Error as error:
        if found := read_error(str(error)):
            raise found from error
        raise RecordsError(f"the call records cannot be read: {first_line(error)}") from error
    finally:
        connection.close()
        if limits:
            database.close()


def first_line(error: Exception) -> str:
    """Return the first line of an error's text."""
    return str(error).splitlines()[0]
