"""Files of call records, as Parquet: JSON is converted once, and again where a file changed."""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import shutil
import tempfile
import threading
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vapi_frames.errors import RecordsError
from vapi_frames.sources.local.json_reader import Kept, is_json
from vapi_frames.sources.records.flatten import LeftOut

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

__all__ = ["CallFiles", "Reading"]

_ENOUGH = 50_000  # calls that make a piece full; a change converts the piece that it touches once more
_OTHERS = (".csv", ".csv.gz", ".tsv", ".xls", ".xlsx")

FileState = tuple[str, int, int]


@dataclass
class Reading:
    """Call records as they stand at one moment.

    Attributes:
        state: What is equal as long as nothing changed; ``None`` where that cannot be known.
        paths: Parquet files, in the order in which their calls count.
        keys: The variables of calls that were JSON.
        left_out: The records that could not be read.
        is_checked: Whether it is looked at whether calls repeat, without being asked: there are several files, or JSON.
        is_nothing: Whether they were JSON, and there is not one.
        pieces: Keeps the converted files from being removed.
        notes: What a reader of an answer from them should know.
    """

    state: object
    paths: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)
    is_checked: bool = False
    is_nothing: bool = False
    pieces: tuple[object, ...] = ()
    notes: list[str] = field(default_factory=list)


class _Piece:
    """Some JSON files in a row, converted; the Parquet files are removed with the object."""

    def __init__(
        self, states: Sequence[FileState], others: Container[FileState], new_path: Callable[[], str], *, skips: bool
    ) -> None:
        self.left_out = LeftOut(skips)
        self.kept = Kept(new_path)
        weakref.finalize(self, _remove, os.getpid(), self.kept.paths)
        count = 0
        while not count or not self._ends(states, count, others):
            self.kept.read(states[count][0], self.left_out)
            count += 1
        self.kept.close()
        self.states = tuple(states[:count])

    def _ends(self, states: Sequence[FileState], count: int, others: Container[FileState]) -> bool:
        return count == len(states) or self.kept.calls >= _ENOUGH or states[count] in others

    def fits(self, states: Sequence[FileState], others: Container[FileState]) -> bool:
        """Say whether it is what *states* begin with, and no more of it belongs to it: not what begins *others*."""
        count = len(self.states)
        return tuple(states[:count]) == self.states and self._ends(states, count, others)


class CallFiles:
    """Files of call records, found anew at each question.

    Args:
        patterns: Paths, folders and globs. A folder stands for the Parquet and JSON files in it.
        skips: Whether records of JSON that cannot be read are left out.

    Raises:
        RecordsError: Nothing matches, or a file is neither Parquet nor JSON.
    """

    def __init__(self, patterns: Sequence[str], *, skips: bool) -> None:
        self.patterns = tuple(patterns)
        self._skips = skips
        self._lock = threading.Lock()
        self._pieces: list[_Piece] = []
        self._folder = ""
        self._numbers = itertools.count()
        self.found()

    def found(self) -> list[str]:
        """Return the files that there are, in the order in which their calls count."""
        found: list[str] = []
        for pattern in self.patterns:
            if Path(pattern).is_dir():
                inside = [path for path in sorted(Path(pattern).iterdir()) if _is_taken(path)]
                if not inside:
                    raise RecordsError(f"no Parquet or JSON file is in the folder {pattern!r}", file=pattern)
                found += map(str, inside)
                continue
            matched = [pattern] if Path(pattern).is_file() else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
            matched = [path for path in matched if Path(path).is_file()]
            if not matched:
                raise RecordsError(f"no file matches {pattern!r} in {Path.cwd()}", file=pattern)
            found += matched
        for path in found:
            if path.lower().endswith(_OTHERS):
                raise RecordsError(f"{path!r} is neither Parquet nor JSON; pass a DataFrame of it", file=path)
        return found

    def read(self) -> Reading:
        """Return the files as they stand now, all as Parquet.

        Raises:
            RecordsError: A file is gone, or a JSON file cannot be read.
        """
        with self._lock:
            return self._read()

    def _read(self) -> Reading:
        states = [_state(path) for path in self.found()]
        before = {piece.states[0]: piece for piece in self._pieces}
        paths: list[str] = []
        pieces: list[_Piece] = []
        at = 0
        while at < len(states):
            if not is_json(states[at][0]):
                paths.append(states[at][0])
                at += 1
                continue
            row = list(itertools.takewhile(lambda state: is_json(state[0]), states[at:]))
            piece = before.get(row[0])
            if piece is None or not piece.fits(row, before):
                piece = _Piece(row, before, self._new_path, skips=self._skips)
                self._pieces.append(piece)  # should a later one fail, or be called off, this one is there already
            pieces.append(piece)
            paths += piece.kept.paths
            at += len(piece.states)
        self._pieces = pieces
        counts = [piece.left_out for piece in pieces]
        return Reading(
            tuple(states),
            paths=paths,
            keys=list(dict.fromkeys(key for piece in pieces for key in piece.kept.keys)),
            left_out=LeftOut(self._skips, sum(o.count for o in counts), next((o.first for o in counts if o.first), "")),
            is_checked=bool(pieces) or len(states) > 1,
            is_nothing=not paths,
            pieces=tuple(pieces),
        )

    def _new_path(self) -> str:
        if not self._folder:
            self._folder = tempfile.mkdtemp(prefix="vapi-frames-")
            weakref.finalize(self, _remove_folder, os.getpid(), self._folder)
        return str(Path(self._folder, f"{next(self._numbers)}.parquet"))


def _is_taken(path: Path) -> bool:
    return (
        path.is_file() and not path.name.startswith(".") and (path.suffix.lower() == ".parquet" or is_json(path.name))
    )


def _state(path: str) -> FileState:
    try:
        seen = os.stat(path)  # noqa: PTH116
    except OSError as error:
        raise RecordsError(f"{path!r} cannot be read: {error}", file=path) from error
    return path, seen.st_mtime_ns, seen.st_size


def _remove(process: int, paths: list[str]) -> None:
    if process == os.getpid():  # a forked child ends with a copy of what is still in use here
        for path in paths:
            with contextlib.suppress(OSError):
                Path(path).unlink()


def _remove_folder(process: int, folder: str) -> None:
    if process == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)
