"""The SQLite file of a cache folder, shared by threads, processes and forks, and private to its user."""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vapi_frames.errors import ResponseWarning, warn
from vapi_frames.files import make_private_folder

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

__all__ = ["FILE_NAME", "Database", "shrink"]

T = TypeVar("T")

FILE_NAME = "vapi-frames-cache.sqlite"
_APPLICATION_ID = 0x76_66_63_01  # in the file's header: "vfc" and the number of the table's layout
_MAGIC = b"SQLite format 3\0"
_BUSY_SECONDS = 5.0
_WAL_BYTES = 2**22
_NO_SHARED_MEMORY = (10, 14, 15)  # SQLITE_IOERR, CANTOPEN, PROTOCOL
# SQLITE_ERROR, CORRUPT, CONSTRAINT, MISMATCH, NOTADB: the statements are right, so the table is not the cache's.
_DAMAGE = (1, 11, 19, 20, 26)
_SCHEMA = (
    """CREATE TABLE parts (
        query BLOB NOT NULL, begins INTEGER NOT NULL, ends INTEGER NOT NULL,
        used REAL NOT NULL, head BLOB NOT NULL, mac BLOB NOT NULL, payload BLOB NOT NULL
    )""",
    "CREATE INDEX parts_of_a_query ON parts (query, begins, ends)",
    "CREATE INDEX parts_by_use ON parts (used)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
)

# SQLite's locks belong to the process, so a connection must not be open in another thread when the process forks.
_LOCK = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


class _ForeignFileError(Exception):
    """The file is not one of this package."""


class Database:
    """The SQLite file in *folder*. A connection is open for one transaction only.

    Args:
        folder: An absolute path. It is created, for its user alone, when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = Path(os.path.realpath(folder)) / FILE_NAME
        self.broken_path = self.path.with_name(f"{FILE_NAME}.broken")

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Return the result of *work* in a read transaction, ``None`` if there is no file.

        Raises:
            OSError: The file cannot be used.
        """
        try:
            return self._run("BEGIN", work)
        except OSError:
            return self._read_only(work)

    def write(self, work: Callable[[sqlite3.Connection], T], *, create: bool = False) -> T | None:
        """Return the result of *work* in a write transaction, ``None`` if there is no file and *create* is false.

        Raises:
            OSError: The file cannot be used.
        """
        return self._run("BEGIN IMMEDIATE", work, create=create)

    def _run(self, begin: str, work: Callable[[sqlite3.Connection], T], *, create: bool = False) -> T | None:
        import sqlite3

        with _LOCK:
            for is_last in (False, True):
                file = _identity(self.path)
                if file is None and not create:
                    return None
                try:
                    with closing(self._open()) as connection, connection:  # commits or rolls back, then closes
                        connection.execute(begin)
                        return work(connection)
                except (sqlite3.Error, _ForeignFileError, UnicodeError) as error:
                    if is_last or not _is_damage(error):
                        raise OSError(f"{self.path}: {error}") from error
                    self._set_aside(file, error)
        raise AssertionError("the last attempt returns or raises")

    def _read_only(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Read without a lock, for a disk that is read-only or full: SQLite cannot create its lock files there."""
        import sqlite3

        _check_files(self.path)
        try:
            with _LOCK, closing(_connect(self.path, "mode=ro&immutable=1")) as connection:
                return work(connection)
        except (sqlite3.Error, UnicodeError) as error:
            raise OSError(f"{self.path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        make_private_folder(self.path.parent)
        with _lock_folder(self.path.parent):
            _check_files(self.path)
            _make_private(self.path)
            try:
                return _prepare(self.path)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _NO_SHARED_MEMORY:
                    raise
            with suppress(sqlite3.Error), closing(_connect(self.path)) as connection:
                # The only mode in which SQLite reads a file with a write-ahead log without shared memory.
                connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
                connection.execute("PRAGMA journal_mode = DELETE").fetchall()
            return _prepare(self.path, journal="DELETE")

    def _set_aside(self, file: tuple[int, int] | None, error: Exception) -> None:
        """Rename the damaged *file*, unless another process has already done so."""
        with _lock_folder(self.path.parent):
            if file is None or file != _identity(self.path):
                return
            for journal in _journals(self.path):
                journal.unlink(missing_ok=True)
            self.path.replace(self.broken_path)
        warn(
            f"the cache file {self.path} is damaged ({error}): it is set aside as {self.broken_path.name}, and what it "
            "held is fetched again",
            ResponseWarning,
        )


def shrink(connection: sqlite3.Connection, limit: int) -> None:
    """Delete the parts that were not used for longest until the file has at most *limit* bytes, or no parts."""

    def count(pragma: str) -> int:
        return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])

    def is_too_large() -> bool:
        return (count("page_count") - count("freelist_count")) * count("page_size") > limit

    oldest = "DELETE FROM parts WHERE rowid = (SELECT rowid FROM parts ORDER BY used LIMIT 1)"
    while is_too_large() and connection.execute(oldest).rowcount:
        pass
    if count("freelist_count"):
        connection.execute("PRAGMA incremental_vacuum").fetchall()


def _is_damage(error: Exception) -> bool:
    """Return whether the content of the file is the reason; SQLite may quote text of it that is not UTF-8."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    return isinstance(error, _ForeignFileError | UnicodeError) or code & 0xFF in _DAMAGE


def _connect(path: Path, options: str = "mode=rw") -> sqlite3.Connection:
    import sqlite3

    uri = f"{path.as_uri()}?{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    connection.text_factory = bytes  # damaged text cannot be decoded
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _prepare(path: Path, *, journal: str = "WAL") -> sqlite3.Connection:
    """Return a connection to the cache file; create the table in a new one, and change nothing in another program's."""
    connection = _connect(path)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}").fetchall()
        if _is_new(connection):
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only possible before the first table
            connection.execute(f"PRAGMA journal_mode = {journal}").fetchall()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                if _is_new(connection):  # where the folder cannot be locked, another process may be faster
                    for statement in _SCHEMA:
                        connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_new(connection: sqlite3.Connection) -> bool:
    if connection.execute("PRAGMA application_id").fetchone()[0] == _APPLICATION_ID:
        return False
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise _ForeignFileError("it is a database of another program")
    return True


def _check_files(path: Path) -> None:
    """Raise `OSError` if the file or a journal of it is a link, which SQLite would follow, or another kind of entry."""
    for one in (path, *_journals(path)):
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(one.lstat().st_mode):
                raise OSError(errno.ELOOP, "not a regular file; delete it, or name another folder", str(one))


def _journals(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")]


def _make_private(path: Path) -> None:
    """Create the file if there is none, and let only its user read and write it; SQLite's journals follow it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        # SQLite would take a file that is shorter than any of its own for a new one, and overwrite it.
        if os.read(descriptor, len(_MAGIC)) not in (b"", _MAGIC):
            raise _ForeignFileError("it is not an SQLite file")
        if os.fstat(descriptor).st_mode & 0o077:
            with suppress(OSError):  # another user's file, or a disk without permissions
                path.chmod(0o600)
    finally:
        os.close(descriptor)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what distinguishes a file from another under its name."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _lock_folder(folder: Path) -> Iterator[None]:
    """Let no other process open or replace the file meanwhile, where the system can lock a folder."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
