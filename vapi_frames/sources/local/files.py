"""Call records in files; JSON, CSV and TSV are converted to Parquet once, and again where a file changed."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vapi_frames.errors import RecordsError
from vapi_frames.files import make_private_file, make_temporary_folder, remove_temporary_folder
from vapi_frames.sources.local.alike_names import write_marked
from vapi_frames.sources.local.archived import ArchivedFiles, choose_days
from vapi_frames.sources.local.duplicates import ROW_IN_FILES
from vapi_frames.sources.local.footers import read_footer
from vapi_frames.sources.local.groups import open_parquet
from vapi_frames.sources.local.json_reader import begins_like_json, is_json
from vapi_frames.sources.local.object_mirror import ObjectMirror, is_address
from vapi_frames.sources.local.patterns import check_spreadsheets, find_files, is_parquet
from vapi_frames.sources.local.relation import RecordsSnapshot, Relation, describe_columns
from vapi_frames.sources.local.spool import ParquetSpool
from vapi_frames.sources.local.tables import convert_table, is_table
from vapi_frames.sources.records.digests import check_digests
from vapi_frames.sources.records.flatten import SkippedRecords, flatten_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence
    from datetime import datetime

    from duckdb import DuckDBPyConnection

    from vapi_frames.query.query import Query
    from vapi_frames.sources.local.footers import Footer
    from vapi_frames.sources.records.flatten import Places
    from vapi_frames.sources.records.places import NamePath

__all__ = ["FileRecords", "restored_names"]

CALLS_PER_CHUNK = 50_000  # a chunk of JSON files is full with this many calls; a changed file converts its chunk anew

FileState = tuple[str, int, int]


class ConvertedFiles:
    """A chunk of JSON files, converted; its Parquet files are removed with the object."""

    def __init__(
        self,
        states: Sequence[FileState],
        starts: Container[FileState],
        new_path: Callable[[], str],
        *,
        skips: bool,
        places: Places,
        paths: Sequence[str] = (),
    ) -> None:
        self.skipped = SkippedRecords(skips)
        self.spool = ParquetSpool(new_path, places, paths)
        weakref.finalize(self, _remove_files, os.getpid(), self.spool.paths)
        count = 0
        while not count or not self._is_end(states, count, starts):
            self.spool.add_file(states[count][0], self.skipped)
            count += 1
        self.spool.close()
        self.states = tuple(states[:count])

    def _is_end(self, states: Sequence[FileState], count: int, starts: Container[FileState]) -> bool:
        return count == len(states) or self.spool.calls >= CALLS_PER_CHUNK or states[count] in starts

    def matches(self, states: Sequence[FileState], starts: Container[FileState]) -> bool:
        """Return whether it is the first chunk of *states*, where a file of *starts* begins another chunk."""
        count = len(self.states)
        return tuple(states[:count]) == self.states and self._is_end(states, count, starts)

    def exists(self) -> bool:
        """Return whether its Parquet files are still there: a cleaner of temporary files may have removed them."""
        return all(Path(path).exists() for path in self.spool.paths)


class ConvertedTable:
    """A file of a table, converted; its Parquet file is removed with the object."""

    def __init__(self, state: FileState, new_path: Callable[[], str], *, is_text: bool) -> None:
        self.states = (state,)
        self.is_text = is_text
        self.path = new_path()
        weakref.finalize(self, _remove_files, os.getpid(), [self.path])
        if not is_text:
            write_marked(state[0], self.path)
            return
        scratch = new_path()
        try:
            convert_table(state[0], self.path, scratch)
        finally:
            _remove_files(os.getpid(), [scratch])


class FileRecords:
    """Call records in files, which are found anew at each query.

    Args:
        patterns: Absolute paths, folders and globs. A folder means the files of Parquet, JSON, CSV and TSV in it.
        skips: Whether records of JSON that cannot be read are skipped.
        places: Column of the API → where the caller says it is.
        paths: What of JSON is kept although no query uses it.

    Raises:
        RecordsError: No file matches, or a file is none that can be read.
        MissingExtraError: A pattern is the address of objects, and no file system for it is installed.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        *,
        skips: bool,
        places: Mapping[str, NamePath] | None = None,
        paths: Sequence[str] = (),
        mirror: ObjectMirror | None = None,
    ) -> None:
        self._patterns = tuple(patterns)
        self._paths = tuple(paths)
        self._places = places or {}
        self._tables: dict[FileState, ConvertedTable] = {}
        self._kinds: dict[FileState, str] = {}
        self._footers: tuple[object, dict[str, Footer]] | None = None
        self._footer_of: dict[str, tuple[FileState, Footer]] = {}
        self._archived: tuple[object, ArchivedFiles] | None = None
        self._skips = skips
        self._lock = threading.Lock()
        self._chunks: list[ConvertedFiles] = []
        self._folder = ""
        self._process = 0  # that made the folder: the child of a fork makes its own
        self._numbers = itertools.count()
        addresses = [pattern for pattern in patterns if is_address(pattern)]
        check_spreadsheets(addresses)
        self._mirror = mirror
        if addresses and mirror is None:
            self._mirror = ObjectMirror(addresses)
        find_files(pattern for pattern in patterns if not is_address(pattern))

    def _find(self) -> list[str]:
        """Return the paths of the files, in the order in which their calls count; each file once."""
        if (mirror := self._mirror) is None:
            return find_files(self._patterns)
        mirror.refresh()
        return find_files(mirror.locate(one) if is_address(one) else one for one in self._patterns)

    def restore_names(self, text: str) -> str:
        """Return *text* with the addresses of objects in place of the paths of their copies."""
        return text if self._mirror is None else self._mirror.restore_names(text)

    def read(self, span: tuple[datetime, datetime] | None = None) -> RecordsSnapshot:
        """Return the files as they are now, all as Parquet.

        Args:
            span: Start and end of a range: of an archive, only the days that it touches are read.

        Raises:
            RecordsError: A file is gone, a JSON file cannot be read, or a day of an archive is damaged.
        """
        with self._lock:
            return self._read(span)

    def _read(self, span: tuple[datetime, datetime] | None) -> RecordsSnapshot:
        found, days = self._find(), None
        if span is not None:
            found, days = choose_days(found, span)
        states = [_read_state(path) for path in found]
        self._kinds = {state: self._kinds.get(state) or _find_kind(state[0]) for state in states}
        check_digests(Path(os.path.realpath(state[0])) for state in states if self._kinds[state] == "parquet")
        known = {chunk.states[0]: chunk for chunk in self._chunks}
        paths: list[str] = []
        chunks: list[ConvertedFiles] = []
        tables: dict[FileState, ConvertedTable] = {}
        at = 0
        while at < len(states):
            state = states[at]
            if self._kinds[state] != "json":
                is_text = self._kinds[state] == "table"
                if is_text or self._read_footer(state).has_alike_names:
                    table = self._tables.get(state)
                    if table is None or not Path(table.path).exists():
                        table = ConvertedTable(state, self._new_path, is_text=is_text)
                    tables[state] = table
                paths.append(tables[state].path if state in tables else state[0])
                at += 1
                continue
            run = list(itertools.takewhile(lambda state: self._kinds[state] == "json", states[at:]))
            chunk = known.get(run[0])
            if chunk is None or not chunk.matches(run, known) or not chunk.exists():
                places = tuple(self._places.items())
                chunk = ConvertedFiles(run, known, self._new_path, skips=self._skips, places=places, paths=self._paths)
                self._chunks.append(chunk)  # where a later chunk fails or is canceled, this one is there already
            chunks.append(chunk)
            paths += chunk.spool.paths
            at += len(chunk.states)
        self._chunks, self._tables = chunks, tables
        skipped = [chunk.skipped for chunk in chunks]
        return RecordsSnapshot(
            tuple(states),
            paths=paths,
            files=[path for path, *_ in states],
            variables=list(dict.fromkeys(key for chunk in chunks for key in chunk.spool.variables)),
            skipped=SkippedRecords(
                self._skips,
                sum(one.count for one in skipped),
                next((one.first for one in skipped if one.first), ""),
                sum(one.messages for one in skipped),
                sum(one.epochs for one in skipped),
                sum(one.variables for one in skipped),
            ),
            warns_of_duplicates=bool(chunks) or len(states) > 1,
            is_empty=not paths,
            is_nested=bool(chunks),
            cells=frozenset(table.path for table in tables.values() if table.is_text),
            converted=frozenset(path for chunk in chunks for path in chunk.spool.paths),
            owners=(*chunks, *tables.values()),
            days=days,
        )

    def register(
        self,
        connection: DuckDBPyConnection,
        query: Query[Any],
        snapshot: RecordsSnapshot,
        *,
        with_rows: bool,
        lacking: Sequence[str] = (),
        also: Sequence[str] = (),
    ) -> Relation:
        """Return the files as a relation, and how it names their columns."""
        del with_rows, lacking
        if snapshot.is_empty:
            connection.register("calls", flatten_calls([], SkippedRecords())[0])
            return Relation("calls", describe_columns(connection.table("calls")), ROW_IN_FILES, [])
        return open_parquet(connection, query, snapshot, self._read_footers(snapshot), self._places, also=also)

    def keep(self, paths: Sequence[str]) -> FileRecords:
        """Return the same files with what their JSON has at *paths*; other files have whatever their columns hold."""
        if not paths or not any(_find_kind(path) == "json" for path in self._find()):
            return self
        return FileRecords(self._patterns, skips=self._skips, places=self._places, paths=paths, mirror=self._mirror)

    def find_gaps(self, query: Query[Any], snapshot: RecordsSnapshot, span: tuple[datetime, datetime]) -> list[str]:
        """Return what days of an archive lack that *query* uses of [start, end).

        Raises:
            RecordsError: No day of the archive has it.
        """
        footers = self._read_footers(snapshot)
        if self._archived is None or self._archived[0] is not footers:
            self._archived = footers, ArchivedFiles(list(footers.values()))
        return self._archived[1].find_gaps(query, self._places, span)

    def _read_footers(self, snapshot: RecordsSnapshot) -> dict[str, Footer]:
        """Return path → what the footer of the Parquet file says, read only after a change."""
        state = snapshot.state, tuple(snapshot.paths)
        if self._footers is None or self._footers[0] != state:
            known = {path: footer for path, (_, footer) in self._footer_of.items()}
            self._footers = state, {path: known.get(path) or read_footer(path) for path in snapshot.paths}
        return self._footers[1]

    def _read_footer(self, state: FileState) -> Footer:
        """Return what the footer of a Parquet file says, read only after a change."""
        known = self._footer_of.get(state[0])
        if known is None or known[0] != state:
            known = self._footer_of[state[0]] = state, read_footer(state[0])
        return known[1]

    def delete_converted(self) -> None:
        """Delete the converted files, except those that a query still reads."""
        with self._lock:
            self._chunks, self._tables, self._footers, self._footer_of = [], {}, None, {}
            if self._mirror is not None:
                self._mirror.clear()

    def _new_path(self) -> str:
        try:
            if self._process != os.getpid() or not Path(self._folder).is_dir():
                self._folder, self._process = make_temporary_folder(), os.getpid()
                weakref.finalize(self, remove_temporary_folder, os.getpid(), self._folder)
            path = str(Path(self._folder, f"{next(self._numbers)}.parquet"))
            make_private_file(path)
        except OSError as error:
            raise RecordsError(f"the calls cannot be written to {error.filename!r}: {error.strerror}") from error
        return path

    def __repr__(self) -> str:
        return f"calls in {', '.join(self._patterns)}"


@contextmanager
def restored_names(restore: Callable[[str], str]) -> Iterator[None]:
    """Name objects in errors by their addresses, and not by the paths of their copies."""
    try:
        yield
    except RecordsError as error:
        error.args = (restore(str(error)),)
        error.file = error.file and restore(error.file)
        raise


def _find_kind(path: str) -> str:
    """Return ``json``, ``table`` or ``parquet``: what the name of a file says, else its first bytes."""
    if is_json(path):
        return "json"
    if is_table(path):
        return "table"
    return "json" if not is_parquet(path) and begins_like_json(path) else "parquet"


def _read_state(path: str) -> FileState:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError as error:
        raise RecordsError(f"{path!r} cannot be read: {error}", file=path) from error
    return path, found.st_mtime_ns, found.st_size


def _remove_files(process: int, paths: list[str]) -> None:
    if process == os.getpid():  # the child of a fork ends with copies of objects that its parent still uses
        for path in paths:
            with contextlib.suppress(OSError):
                Path(path).unlink()
