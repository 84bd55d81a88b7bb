"""Answers that are kept on disk, so that a range which grows or rolls asks only for what is new.

Each question has a folder, each stretch of its whole buckets a file. Several processes may share it: a file is whole
or not there, none is ever changed, and whatever is not as it was written counts as not held.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vapi_frames.calendar.buckets import from_seconds
from vapi_frames.errors import ResponseWarning, warn
from vapi_frames.sources.cache import segments
from vapi_frames.sources.cache.segments import BrokenError
from vapi_frames.sources.cache.shelf import Shelf, files, folders, question_of

if TYPE_CHECKING:
    from os import PathLike

    import pandas as pd

    from vapi_frames.query.query import Query
    from vapi_frames.sources.api.pieces import Segment

__all__ = ["Store", "clear", "info"]

_LEFT_OVER = timedelta(hours=1)
_SAID = {
    "find": "answers kept in {} cannot be read, and are asked for again",
    "read": "an answer kept in {} cannot be read, and is asked for again",
    "keep": "answers cannot be kept in {}, and will be asked for again",
    "delete": "an answer kept in {} cannot be deleted",
    "trim": "the answers kept in {} cannot be brought back under the limit",
}
_OPENED: dict[Path, None] = {}  # the folders of this process's stores, in order
_INSTANT = pa.timestamp("us", tz="UTC")
_COLUMNS = {
    "question": pa.string(), "host": pa.string(), "start": _INSTANT, "end": _INSTANT, "rows": pa.int64(),
    "files": pa.int64(), "bytes": pa.int64(), "asked": _INSTANT, "folder": pa.string(),
}  # fmt: skip


class Store:
    """Keeps answers in a folder, and finds them again.

    Nothing here raises for what a disk does: what cannot be read is not held, and what cannot be written is not kept.
    One warning says so.

    Attributes:
        folder: Where; made when it is first needed.
        scope: Who answers. Answers kept under another scope are not found.
        settle: How long after its end a bucket counts as closed: whoever asks decides by it what to keep.
        limit: How many bytes all answers in the folder may have; those not used for the longest time go first.
        left_over: After which time a file that is not whole has no writer any more, where that cannot be looked up.

    Args:
        folder: Where.
        scope: Who answers: the host, a space, and a keyed hash of the organization's key.
        settle: How long after its end a bucket counts as closed.
        limit: In bytes.
    """

    def __init__(
        self, folder: str | PathLike[str], *, scope: str, settle: timedelta = timedelta(hours=1), limit: int = 2**30
    ) -> None:
        self.folder = _place(folder)
        self.scope = scope
        self.settle = settle
        self.limit = limit
        self.left_over = _LEFT_OVER
        self._until_trim = 0  # bytes
        self._said: set[str] = set()
        _OPENED[self.folder] = None

    def find(self, question: Query[Any], start: int, end: int) -> list[Segment]:
        """Return what is held of [start, end): parts that do not overlap, ascending.

        Args:
            question: Its own range does not matter.
            start: Seconds since 1970; with a step, where a bucket begins and none is under way.
            end: The same, exclusive.

        Returns:
            With a step, whole buckets within the range. Without, what is held of exactly this range, or nothing.

        Raises:
            ValueError: With a step, a bucket is under way at *start* or *end*.
        """
        if start >= end:
            return []
        segments.check_edges(question, start, end)
        try:
            return self._shelf(question).find(start, end)
        except OSError as error:
            self._complain("find", error)
            return []

    def keep(self, question: Query[Any], segment: Segment) -> None:
        """Keep *segment*, an answer to *question*.

        Raises:
            ValueError: It is not in the answer's schema, not of whole buckets, or has rows of other buckets.
        """
        segments.check(segment, question)
        try:
            shelf = self._shelf(question)
            self._until_trim -= shelf.keep(segment)
            _sweep(shelf.folder, self.left_over)
        except OSError as error:
            self._complain("keep", error)
        # To look through the folder takes time: first, as a process that asks every hour keeps little, then seldom.
        if self._until_trim < 0:
            self._until_trim = self.limit // 10
            self.trim()

    def forget(self, question: Query[Any]) -> None:
        """Delete what is held of *question*."""
        try:
            self._shelf(question).forget()
        except OSError as error:
            self._complain("delete", error)

    def trim(self) -> None:
        """Delete answers until all are under the limit, and what writers left behind that died."""
        try:
            held = []
            for folder in folders(self.folder):
                _sweep(folder, self.left_over)
                for path in files(folder):
                    if segments.range_of(path.name):
                        with suppress(FileNotFoundError):  # another process deleted it
                            held.append((path.stat().st_mtime_ns, path.stat().st_size, path))
            total = sum(size for _, size, _ in held)
            for _, size, path in sorted(held):
                if total <= self.limit:
                    break
                path.unlink(missing_ok=True)
                total -= size
            _remove_empty(self.folder)
        except OSError as error:
            self._complain("trim", error)

    def _shelf(self, question: Query[Any]) -> Shelf:
        return Shelf(self.folder, question, self.scope, self._complain)

    def _complain(self, doing: str, error: OSError) -> None:
        """Warn of what the disk refuses: once, as it will refuse it again and again."""
        if doing not in self._said:
            self._said.add(doing)
            warn(f"{_SAID[doing].format(self.folder)}: {error}", ResponseWarning)

    def __repr__(self) -> str:
        return f"<answers kept in {self.folder}>"


def info(folder: str | PathLike[str] | None = None) -> pd.DataFrame:
    """Return what is kept, one row for each question.

    Args:
        folder: Where; by default, each folder that this process has opened.

    Returns:
        ``question`` as the code that builds it, without its range and names; the ``host`` that answered; ``start``
        and ``end`` of what is held, between which some may be missing; how many ``rows``, ``files`` and ``bytes``;
        when the oldest of it was ``asked``; the ``folder``.

    Raises:
        OSError: A folder cannot be read.

    Examples:
        >>> from vapi_frames.sources.cache import cache
        >>> list(cache.info("no/such/folder"))
        ['question', 'host', 'start', 'end', 'rows', 'files', 'bytes', 'asked', 'folder']
    """
    places = list(_OPENED) if folder is None else [_place(folder)]
    lines = [line for place in places for one in folders(place) if (line := _line(place, one))]
    frame: pd.DataFrame = pa.Table.from_pylist(lines, schema=pa.schema(_COLUMNS)).to_pandas()
    return frame


def clear(folder: str | PathLike[str] | None = None) -> int:
    """Delete what is kept, and nothing else, and return how many files that were.

    Args:
        folder: Where; by default, each folder that this process has opened.

    Raises:
        OSError: A file cannot be deleted.

    Examples:
        >>> from vapi_frames.sources.cache import cache
        >>> cache.clear("no/such/folder")
        0
    """
    count = 0
    for place in list(_OPENED) if folder is None else [_place(folder)]:
        for one in folders(place):
            count += _sweep(one, _LEFT_OVER)
            for path in files(one):
                if not segments.is_part(path.name):  # its writer is about to finish it
                    with suppress(FileNotFoundError):
                        path.unlink()
                        count += 1
        _remove_empty(place)
    return count


def _place(folder: str | PathLike[str]) -> Path:
    return Path(folder).expanduser().absolute()


def _line(place: Path, folder: Path) -> dict[str, Any] | None:
    heads, size = [], 0
    for path in files(folder):
        if segments.range_of(path.name):
            with suppress(OSError, BrokenError):
                heads.append(segments.peek(path))
                size += path.stat().st_size
    if not heads:
        return None
    try:
        question, scope = question_of(heads[0].question)
    except ValueError:
        return None
    return {
        "question": repr(question),
        "host": scope.split(" ")[0],
        "start": from_seconds(min(head.start for head in heads)),
        "end": from_seconds(max(head.end for head in heads)),
        "rows": sum(head.rows for head in heads),
        "files": len(heads),
        "bytes": size,
        "asked": min(head.asked for head in heads),
        "folder": str(place),
    }


def _sweep(folder: Path, left_over: timedelta) -> int:
    """Delete what nobody needs in the *folder* of a question, and return how many files that were."""
    count = 0
    for path in files(folder):
        with suppress(FileNotFoundError):  # another process does the same
            if segments.is_rubbish(path, left_over.total_seconds()):
                path.unlink()
                count += 1
    return count


def _remove_empty(place: Path) -> None:
    for folder in folders(place):
        with suppress(OSError):  # something is in it
            folder.rmdir()
