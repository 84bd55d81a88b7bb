"""One question's folder: which of its files answer a range, and which of them are better one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections import deque
from contextlib import suppress
from dataclasses import replace
from heapq import heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vapi_frames.errors import ResponseWarning, warn
from vapi_frames.query.aggregation import Aggregation
from vapi_frames.query.query import Query
from vapi_frames.sources.cache import segments
from vapi_frames.sources.cache.segments import BrokenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vapi_frames.sources.api.pieces import Segment
    from vapi_frames.sources.cache.segments import Head

__all__ = ["Shelf", "canonical", "files", "folders", "key", "question_of"]

T = TypeVar("T")

_FORMAT = 1  # of the files: raise it when they are written differently
_ANSWERS = 1  # of what is in them: raise it when replies are read differently, or into another schema
_TINY = 1_000  # rows; to write so many again costs nothing beside a request
_LARGE = 2**20  # rows; a part of a larger file would be slow to read
_TRIES = 10  # each needs another process in the same moment
_KEY = re.compile(r"[0-9a-f]{32}")


class Shelf:
    """What is held of one question.

    Args:
        place: The folder of all questions.
        question: The question; its range does not matter.
        scope: Who answers.
        complain: Told what the disk refuses, and while doing what.
    """

    def __init__(self, place: Path, question: Query[Any], scope: str, complain: Callable[[str, OSError], None]) -> None:
        self._question = question
        self._text = canonical(question, scope)
        self._complain = complain
        self._missed = False  # a file was gone when it was to be read
        self.folder = place / key(self._text)

    def find(self, start: int, end: int) -> list[Segment]:
        """Return the parts of [start, end) that are held, ascending.

        Raises:
            OSError: The folder cannot be read.
        """
        found = self._found(start, end)
        for _ in range(_TRIES):
            if not self._missed:
                break
            # Another process put files together, or trimmed: what they held may be in one that was not listed.
            self._missed = False
            found = self._found(start, end)
        return found

    def keep(self, segment: Segment) -> int:
        """Write *segment*, put together with its neighbors where that pays, and return how many bytes that took.

        Raises:
            OSError: It cannot be written.
        """
        within: list[Path] = []
        if self._question.time_step is not None:
            segment = self._with_neighbors(segment)
            within = self._within(segment)
        size = self._written(segment)
        for path in within:
            path.unlink(missing_ok=True)
        return size

    def forget(self) -> None:
        """Delete all that is held.

        Raises:
            OSError: Something cannot be deleted.
        """
        for path in self._paths():
            path.unlink(missing_ok=True)

    # --- finding --------------------------------------------------------------------------------------------------

    def _found(self, start: int, end: int) -> list[Segment]:
        if self._question.time_step is None:
            # Nothing is put together from several answers, so none can contradict another.
            paths = [path for path in self._paths() if path.name == segments.name_of(start, end)]
            return [segment for path in paths if (segment := self._read(path))]
        heads = self._agreeing(self._heads())
        waiting = deque(sorted(heads.items(), key=lambda one: one[1].start))
        reached: list[tuple[int, float, Path]] = []
        found: list[Segment] = []
        at = start
        while at < end:
            while waiting and waiting[0][1].start <= at:
                path, head = waiting.popleft()
                heappush(reached, (-head.end, -head.asked.timestamp(), path))
            if not reached:  # nothing holds this instant
                at = waiting[0][1].start if waiting else end
                continue
            # Two processes may have kept stretches that overlap. Of those that hold an instant the one that reaches
            # furthest is read, so that few are.
            _, _, path = heappop(reached)
            head = heads[path]
            segment = self._read(path) if head.end > at else None
            if segment is not None and head.fits(segment):
                found.append(segments.cut(segment, self._question, at, min(end, head.end)))
                at = head.end
        return found

    def _heads(self) -> dict[Path, Head]:
        found = {}
        for path in self._paths():
            head = self._peek(path)
            if head is None:
                continue
            if self._is_of_this_calendar(head):
                found[path] = head
            else:
                self._delete(path)
        return found

    def _agreeing(self, heads: dict[Path, Head]) -> dict[Path, Head]:
        """Return those of *heads* whose dates were read in one way; the server has only one way to write them."""
        decisive = {head.reading for head in heads.values() if head.reading is not None and not head.assumed}
        if len(decisive) > 1:  # it changed its way, and nobody knows which rows are right
            for path in heads:
                self._delete(path)
            return {}
        if "wall" not in decisive:
            return heads
        for path, head in heads.items():
            if head.assumed:  # taken for instants: wrongly, as is known now
                self._delete(path)
        return {path: head for path, head in heads.items() if not head.assumed}

    def _is_of_this_calendar(self, head: Head) -> bool:
        return head.offsets == segments.offsets(self._question, head.start, head.end)

    # --- keeping --------------------------------------------------------------------------------------------------

    def _with_neighbors(self, segment: Segment) -> Segment:
        """Return *segment* with what is held right before it, so that a job which runs each hour leaves few files.

        A neighbor joins where it has at most twice the rows. So of the files that stay, each has more than twice the
        rows of the next, and their number is logarithmic. And whenever a row of a neighbor is written again, the file
        it is in has grown by half or more, so that this, too, happens a logarithmic number of times. The smallest
        join always: hours in which nobody called have no rows at all.
        """
        paths = self._paths()
        while True:
            joined = next((whole for path in paths if (whole := self._neighbor(path, segment))), None)
            if joined is None:
                return segment
            segment = segments.joined(joined, segment)

    def _written(self, segment: Segment) -> int:
        for _ in range(_TRIES):
            self.folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # another process found the folder empty, and removed it
                return segments.write(self.folder, segment, self._question, self._text)
        raise FileNotFoundError(errno.ENOENT, "the folder is removed again and again", str(self.folder))

    def _neighbor(self, path: Path, segment: Segment) -> Segment | None:
        """Return the segment in *path* where *segment* continues it, and the two are better one."""
        start, end = segments.range_of(path.name) or (0, 0)
        if not start < end == segment.start:
            return None
        head, rows = self._peek(path), segment.table.num_rows
        if head is None or not head.fits(segment) or not self._is_of_this_calendar(head):
            return None
        if head.rows > max(_TINY, 2 * rows) or head.rows + rows > _LARGE:
            return None
        whole = self._read(path)
        return whole if whole is not None and head.fits(whole) else None

    def _within(self, segment: Segment) -> list[Path]:
        """Return the files that hold nothing beyond *segment*: what it was made of, and what another process kept."""
        found = []
        for path in self._paths():
            start, end = segments.range_of(path.name) or (0, 0)
            if segment.start <= start and end <= segment.end and (start, end) != (segment.start, segment.end):
                head = self._peek(path)
                if head is not None and head.fits(segment):
                    found.append(path)
        return found

    # --- files ----------------------------------------------------------------------------------------------------

    def _paths(self) -> list[Path]:
        return [path for path in files(self.folder) if segments.range_of(path.name)]

    def _peek(self, path: Path) -> Head | None:
        return self._tried(path, lambda: segments.peek(path, self._text))

    def _read(self, path: Path) -> Segment | None:
        segment = self._tried(path, lambda: segments.read(path, self._question, self._text))
        if segment is not None:
            with suppress(OSError):
                os.utime(path)  # what was not used for the longest time is trimmed first
        return segment

    def _tried(self, path: Path, opened: Callable[[], T]) -> T | None:
        """Return what *opened* makes of the file, ``None`` where it is not held after all."""
        try:
            return opened()
        except FileNotFoundError:
            self._missed = True
        except OSError as error:
            self._complain("read", error)
        except BrokenError as error:
            with suppress(OSError):
                path.replace(path.with_name(path.name + segments.BROKEN))
            warn(
                f"{path} is not an answer as it was kept: {error}. It is set aside as {path.name}{segments.BROKEN}, "
                "and asked for again.",
                ResponseWarning,
            )
        return None

    def _delete(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._complain("delete", error)


# --- questions ----------------------------------------------------------------------------------------------------


def canonical(question: Query[Any], scope: str) -> str:
    """Return all that an answer to *question* depends on but the range, as JSON text.

    The names that it gives itself and its measures are left out, and the order of a filter's values.
    """
    chosen = [(word, sorted(values, key=lambda one: (one is None, one or ""))) for word, values in question.filters]
    parts = {
        "format": _FORMAT,
        "answers": _ANSWERS,
        "scope": scope,
        "table": question.table,
        "measures": [(one.operation, one.column) for one in question.measures],
        "groups": question.groups,
        "variables": question.variables,
        "filters": chosen,
        "step": question.time_step,
        "zone": question.zone.key,
        "dated": question.is_dated,
    }
    return json.dumps(parts, sort_keys=True, separators=(",", ":"))


def key(text: str) -> str:
    """Return the name of the folder of the question that is canonically *text*."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def question_of(text: str) -> tuple[Query[Any], str]:
    """Return the question that is canonically *text*, and its scope.

    Raises:
        ValueError: It was kept by another version.
    """
    parts = json.loads(text)
    if (parts["format"], parts["answers"]) != (_FORMAT, _ANSWERS):
        raise ValueError("it was kept by another version")
    asked: list[Aggregation] = []
    for operation, column in parts["measures"]:
        one = Aggregation(operation, column)
        # The same measure may have been asked for under several names.
        asked.append(one if one not in asked else replace(one, alias=f"{one.name}{len(asked) + 1}"))
    question: Query[Any] = Query(
        table=parts["table"],
        aggregations=tuple(asked),
        groups=tuple(parts["groups"]),
        variables=tuple(parts["variables"]),
        filters=tuple((word, tuple(values)) for word, values in parts["filters"]),
        time_step=parts["step"],
        timezone=None if parts["zone"] == "UTC" else parts["zone"],
    )
    return question, parts["scope"]


# --- folders ------------------------------------------------------------------------------------------------------


def folders(place: Path) -> list[Path]:
    """Return the folders of questions in *place*."""
    found = [entry for entry in _entries(place) if _KEY.fullmatch(entry.name)]
    return [Path(entry.path) for entry in found if entry.is_dir(follow_symlinks=False)]


def files(folder: Path) -> list[Path]:
    """Return the files of this package in the *folder* of a question."""
    found = [entry for entry in _entries(folder) if segments.is_own(entry.name)]
    return [Path(entry.path) for entry in found if entry.is_file(follow_symlinks=False)]


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what is in *folder*, by name; nothing where there is no such folder."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        yield from sorted(entries, key=lambda entry: entry.name)
