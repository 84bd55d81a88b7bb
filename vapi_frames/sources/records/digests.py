"""The digests of an archive's files, so that a day that is damaged on the disk is named and never counted.

An archive has a file ``_SHA256SUMS`` in the format of ``sha256sum``, which checks it with ``sha256sum -c _SHA256SUMS``.
While a day is replaced it has two lines: one of the old file, one of the new. A digest is computed once for each state
of a file; a day of 100 MB takes about 0.1 s.
"""

from __future__ import annotations

import hashlib
import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from vapi_frames.cancellation import raise_if_cancelled
from vapi_frames.errors import RecordsError
from vapi_frames.sources.records.days import is_archived_day

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "DIGESTS_FILE",
    "check_digests",
    "compute_digest",
    "describe_change",
    "describe_damage",
    "find_damaged",
    "format_digests",
    "list_written",
    "read_digests",
]

DIGESTS_FILE = "_SHA256SUMS"
"""Its name begins with an underscore, because Spark, pandas and pyarrow read all other files of a folder as Parquet."""

_LINE = re.compile(r"([0-9a-f]{64}) [ *](\d{4}-\d\d-\d\d\.parquet)")
_DAY = re.compile(r"\d{4}-\d\d-\d\d\.parquet")
_CHANGING_NS = 1_000_000_000  # a file may change again within one tick of the clock of its file system


class _FileState(NamedTuple):
    """What changes when a file does."""

    size: int
    modified: int
    changed: int
    inode: int


def read_digests(folder: Path) -> dict[str, tuple[str, ...]] | None:
    """Return name of a file → the digests that it may have; ``None`` for a folder without digests.

    A line that is damaged is left out, so that the file that it was about has no digest.
    """
    try:
        content = (folder / DIGESTS_FILE).read_bytes()
    except FileNotFoundError:
        return None
    found: dict[str, tuple[str, ...]] = {}
    for line in content.decode("ascii", errors="replace").split("\n"):
        if (match := _LINE.fullmatch(line)) is not None:
            found[match[2]] = (*found.get(match[2], ()), match[1])
    return found


def format_digests(digests: Mapping[str, Sequence[str]]) -> bytes:
    """Return the content of the file that `read_digests` reads."""
    return "".join(f"{digest}  {name}\n" for name in sorted(digests) for digest in digests[name]).encode("ascii")


def find_damaged(paths: Iterable[Path]) -> dict[Path, str]:
    """Return path → what is wrong with it, for those of *paths* that are not as an archive wrote them.

    Files of other folders and names, and archives without digests, are not looked at.
    """
    found: dict[Path, str] = {}
    folders: dict[Path, dict[str, tuple[str, ...]] | None] = {}
    for path in paths:
        if _DAY.fullmatch(path.name) is None:
            continue
        if path.parent not in folders:
            folders[path.parent] = read_digests(path.parent)
        digests = folders[path.parent]
        if digests is not None and (problem := _find_problem(path, digests)):
            found[path] = problem
    return found


def check_digests(paths: Iterable[Path]) -> None:
    """Check that no file is damaged.

    Raises:
        RecordsError: Some are, and their days are named; or a file cannot be read.
    """
    try:
        damaged = find_damaged(paths)
    except OSError as error:
        raise _make_error(error) from error
    if damaged:
        raise RecordsError(
            f"{describe_damage(damaged)}. Copy the files back from a backup; or move them to another folder and run "
            "vapi-frames archive again, which fetches the days that the API still lists",
            file=str(next(iter(damaged))),
        )


def list_written(folder: Path) -> Container[str]:
    """Return the names of the files of a folder that an archive wrote; of one without digests, none are known.

    Raises:
        RecordsError: The digests cannot be read.
    """
    try:
        return read_digests(folder) or ()
    except OSError as error:
        raise _make_error(error) from error


def _make_error(error: OSError) -> RecordsError:
    return RecordsError(f"{error.filename!r} cannot be read: {error.strerror}", file=error.filename)


def describe_change(path: Path) -> str:
    """Return what is wrong with a file that has another digest."""
    return f"the content of {path.name} is not what was written, by its digest in {DIGESTS_FILE}"


def describe_damage(damaged: Mapping[Path, str], most: int = 20) -> str:
    """Return the begin of a message that names the first *most* days."""
    paths = sorted(damaged)
    named = ", ".join(path.stem for path in paths[:most])
    more = f" and {len(paths) - most:,} more" if len(paths) > most else ""
    days = "a damaged day" if len(paths) == 1 else f"{len(paths):,} damaged days"
    return f"the archive {str(paths[0].parent)!r} has {days}, {named}{more}: {damaged[paths[0]]}"


def compute_digest(path: Path) -> str:
    """Return the digest of a file; of one that has not changed, the digest that was computed before.

    Raises:
        OSError: It cannot be read.
    """
    raise_if_cancelled()
    state = _read_state(path)
    if abs(time.time_ns() - max(state.modified, state.changed)) < _CHANGING_NS:
        return _compute(path)
    return _compute_once(path, state)


def _find_problem(path: Path, digests: Mapping[str, tuple[str, ...]]) -> str:
    """Return what is wrong with the file at *path*, or an empty text."""
    problem = ""
    for _ in range(3):  # a run of the archive may replace the file, and then its digest, while they are read
        expected = digests.get(path.name)
        if expected is None:
            problem = f"{path.name} has no line in {DIGESTS_FILE}" if is_archived_day(str(path)) else ""
        elif compute_digest(path) in expected:
            return ""
        else:
            problem = describe_change(path)
        digests, before = read_digests(path.parent) or {}, digests
        if digests == before:
            break
    return problem


def _read_state(path: Path) -> _FileState:
    found = path.stat()
    return _FileState(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


@lru_cache(100_000)
def _compute_once(path: Path, state: _FileState) -> str:
    del state
    return _compute(path)


def _compute(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
