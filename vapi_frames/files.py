"""The files that the package writes: whole or not at all, and private where they hold what callers said."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from vapi_frames.errors import QueryError, format_value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

try:
    import fcntl
except ImportError:  # Windows, where temporary folders of dead processes stay
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "atomic_write",
    "expand_home",
    "expand_path",
    "is_temporary",
    "make_private_file",
    "make_private_folder",
    "make_temporary_folder",
    "remove_temporary_folder",
]

_FOLDER = "vapi-frames-calls-"  # how the name of a temporary folder begins; the standard library adds eight characters
_NEW_SECONDS = 60.0  # in which a new folder is certainly locked
_locks: dict[str, int] = {}  # folder → its descriptor, which holds the lock
_NAME_CHARS = 48  # of the target in the temporary's name: with four bytes each they fit into the 255 of a file system
_TEMPORARY = re.compile(r"\.(?P<target>.{1,48})\.[0-9a-f]{16}\.part", re.DOTALL)


@contextmanager
def atomic_write(path: str | PathLike[str], *, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """Open a binary file for writing that takes the place of *path* when the block ends without an error.

    Until then, and after an error, *path* is as it was. Several threads and processes may write one path: each
    reader finds one of their contents, complete. An existing file's permissions stay, and so does a symbolic link: the
    file that it points to is replaced.

    Args:
        path: The target; its folder exists.
        mode: The permissions of a new file, less the umask.

    Yields:
        A temporary file beside the target.

    Raises:
        OSError: It cannot be written, or *path* is something else than a file.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(f"{folder}/spend.csv") as file:
        ...         _ = file.write(b"cost,1.5")
        ...     Path(f"{folder}/spend.csv").read_text()
        'cost,1.5'
    """
    target = Path(os.path.realpath(path))
    kept = _permissions(target)
    part = target.with_name(f".{target.name[:_NAME_CHARS]}.{secrets.token_hex(8)}.part")
    # O_EXCL refuses a name that exists, also a link: nothing that was put there beforehand is written to.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    # Before the permissions are copied, no other user may open it: the target may be private.
    descriptor = os.open(part, flags, mode if kept is None else 0o600)
    try:
        # By descriptor, not by name: pandas opens the name of a named file a second time.
        with os.fdopen(descriptor, "wb") as file:
            if kept is not None and hasattr(os, "fchmod"):
                with suppress(OSError):  # some file systems have no permissions
                    os.fchmod(descriptor, kept)
            yield file
            file.flush()
            # After a power failure the new name could otherwise be on the disk before the content.
            os.fsync(descriptor)
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink()


def make_private_folder(path: Path) -> None:
    """Make the folder *path* and the missing ones above it, each for their owner only, whatever the umask.

    Raises:
        OSError: A folder cannot be made. One that exists keeps its permissions.
    """
    missing = [path, *path.parents]
    for folder in reversed([one for one in missing if not one.exists()]):
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:  # another process was faster
            continue
        folder.chmod(0o700)
    if not path.is_dir():
        path.mkdir(exist_ok=True)  # raises what is wrong with it


def make_temporary_folder() -> str:
    """Make a folder for temporary files of this process, for its owner only, and delete those of dead processes.

    A process holds a lock on its folder for as long as it lives, also one that is killed.
    """
    _sweep()
    folder = tempfile.mkdtemp(prefix=_FOLDER)
    if fcntl is not None:
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _locks[folder] = descriptor
    return folder


def remove_temporary_folder(process: int, folder: str) -> None:
    """Delete a folder of `make_temporary_folder` with all files, if this is the *process* that made it."""
    if process != os.getpid():  # the child of a fork ends with copies of objects that its parent still uses
        return
    shutil.rmtree(folder, ignore_errors=True)
    descriptor = _locks.pop(folder, None)
    if descriptor is not None:
        os.close(descriptor)


def make_private_file(path: str) -> None:
    """Make an empty file that only its owner can read, for a library that then writes to its name.

    Raises:
        OSError: It exists, or cannot be made.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _sweep() -> None:
    """Delete the temporary folders of processes that ended without doing so."""
    if fcntl is None:
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}{'[a-z0-9_]' * 8}"):
        with suppress(OSError):
            found = folder.lstat()
            is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
            # A new folder may not be locked yet.
            if not is_ours or str(folder) in _locks or time.time() - found.st_mtime < _NEW_SECONDS:
                continue
            descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


def _is_encodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _permissions(target: Path) -> int | None:
    """Return the permissions of the file *target*, ``None`` if there is no such file."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise OSError(f"{str(target)!r} is not a file that can be replaced")
    return stat.S_IMODE(mode)


def is_temporary(name: str, target: re.Pattern[str]) -> bool:
    """Return whether *name* is that of a temporary of `atomic_write` for a file with a name that *target* matches.

    One that is left over comes of a process that was killed.

    Examples:
        >>> is_temporary(".2026-10-01.parquet.0123456789abcdef.part", re.compile(r"[0-9-]+.parquet"))
        True
        >>> is_temporary(".notes.part", re.compile(r"[0-9-]+.parquet"))
        False
    """
    found = _TEMPORARY.fullmatch(name)
    return found is not None and target.fullmatch(found["target"]) is not None


def expand_path(path: str | PathLike[str]) -> Path:
    """Return *path* with a leading ``~`` expanded to the home folder, and absolute.

    A later ``os.chdir`` does not change where it points. Symbolic links stay, so that a link to the newest file is
    followed at each use.

    Raises:
        QueryError: *path* is not a path, or an empty one.

    Examples:
        >>> expand_path("~/calls.json") == Path.home() / "calls.json"
        True
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    if not isinstance(text, str):
        raise QueryError(f"expected a path as text or pathlib.Path, not {type(text).__name__}")
    if not text or "\0" in text or not _is_encodable(text):
        raise QueryError(f"expected a path, not {format_value(text)}")
    return Path(os.path.abspath(expand_home(text)))  # noqa: PTH100


def expand_home(path: str) -> str:
    """Return *path* with a leading ``~`` expanded to the home folder; the ``~`` of an unknown user stays.

    Examples:
        >>> expand_home("calls.json"), expand_home("~") == str(Path.home())
        ('calls.json', True)
    """
    return os.path.expanduser(path)  # noqa: PTH111 - Path.expanduser raises for an unknown user
