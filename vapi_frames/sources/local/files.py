"""Call records in files of Parquet and JSON; JSON is converted to Parquet once, and again where a file changed."""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vapi_frames.errors import RecordsError
from vapi_frames.sources.local.duplicates import ROW_IN_FILES
from vapi_frames.sources.local.json_reader import is_json
from vapi_frames.sources.local.relation import RecordsSnapshot, Relation, describe_columns
from vapi_frames.sources.local.spool import ParquetSpool
from vapi_frames.sources.records.columns import (
    NUMBER_COLUMNS,
    OPTIONAL_COLUMNS,
    TIME_COLUMNS,
    VARIABLES_MAP,
    ColumnExpr,
)
from vapi_frames.sources.records.duckdb import DUCKDB
from vapi_frames.sources.records.flatten import SkippedRecords, flatten_calls
from vapi_frames.sources.sql.select import quote_name, quote_text

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from duckdb import DuckDBPyConnection

    from vapi_frames.query.query import Query

__all__ = ["FileRecords"]

CALLS_PER_CHUNK = 50_000  # a chunk of JSON files is full with this many calls; a changed file converts its chunk anew
_COLUMNS = {"id", *TIME_COLUMNS, *NUMBER_COLUMNS, *OPTIONAL_COLUMNS}
_OTHER_ENDINGS = (".csv", ".csv.gz", ".tsv", ".xls", ".xlsx")

FileState = tuple[str, int, int]


class ConvertedFiles:
    """A chunk of JSON files, converted; its Parquet files are removed with the object."""

    def __init__(
        self, states: Sequence[FileState], starts: Container[FileState], new_path: Callable[[], str], *, skips: bool
    ) -> None:
        self.skipped = SkippedRecords(skips)
        self.spool = ParquetSpool(new_path)
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


class FileRecords:
    """Call records in files, which are found anew at each query.

    Args:
        patterns: Absolute paths, folders and globs. A folder means the Parquet and JSON files in it.
        skips: Whether records of JSON that cannot be read are skipped.

    Raises:
        RecordsError: No file matches, or a file is neither Parquet nor JSON.
    """

    def __init__(self, patterns: Sequence[str], *, skips: bool) -> None:
        self._patterns = tuple(patterns)
        self._skips = skips
        self._lock = threading.Lock()
        self._chunks: list[ConvertedFiles] = []
        self._folder = ""
        self._numbers = itertools.count()
        self._find()

    def _find(self) -> list[str]:
        """Return the paths of the files, in the order in which their calls count; each file once."""
        found: dict[str, str] = {}
        for pattern in self._patterns:
            for path in _expand(pattern):
                found.setdefault(os.path.realpath(path), path)
        for path in found.values():
            if path.lower().endswith(_OTHER_ENDINGS):
                raise RecordsError(f"{path!r} is neither Parquet nor JSON; pass a DataFrame of it", file=path)
            if not is_json(path) and _begins_like_json(path):
                raise RecordsError(
                    f"{path!r} holds JSON; a file of JSON is read if its name ends in .json or .jsonl: rename it",
                    file=path,
                )
        return list(found.values())

    def read(self) -> RecordsSnapshot:
        """Return the files as they are now, all as Parquet.

        Raises:
            RecordsError: A file is gone, or a JSON file cannot be read.
        """
        with self._lock:
            return self._read()

    def _read(self) -> RecordsSnapshot:
        states = [_read_state(path) for path in self._find()]
        known = {chunk.states[0]: chunk for chunk in self._chunks}
        paths: list[str] = []
        chunks: list[ConvertedFiles] = []
        at = 0
        while at < len(states):
            if not is_json(states[at][0]):
                paths.append(states[at][0])
                at += 1
                continue
            run = list(itertools.takewhile(lambda state: is_json(state[0]), states[at:]))
            chunk = known.get(run[0])
            if chunk is None or not chunk.matches(run, known) or not chunk.exists():
                chunk = ConvertedFiles(run, known, self._new_path, skips=self._skips)
                self._chunks.append(chunk)  # where a later chunk fails or is canceled, this one is there already
            chunks.append(chunk)
            paths += chunk.spool.paths
            at += len(chunk.states)
        self._chunks = chunks
        skipped = [chunk.skipped for chunk in chunks]
        first = next((one.first for one in skipped if one.first), "")
        return RecordsSnapshot(
            tuple(states),
            paths=paths,
            variables=list(dict.fromkeys(key for chunk in chunks for key in chunk.spool.variables)),
            skipped=SkippedRecords(self._skips, sum(one.count for one in skipped), first),
            warns_of_duplicates=bool(chunks) or len(states) > 1,
            is_empty=not paths,
            owners=tuple(chunks),
        )

    def register(
        self, connection: DuckDBPyConnection, query: Query[Any], snapshot: RecordsSnapshot, *, with_rows: bool
    ) -> Relation:
        """Return the files as a relation, and how it names their columns; DuckDB reads only those that it needs."""
        del query, with_rows
        if snapshot.is_empty:
            connection.register("calls", flatten_calls([], SkippedRecords()))
            return Relation("calls", describe_columns(connection.table("calls")), ROW_IN_FILES, [])
        # DuckDB expands patterns in paths, and these are the paths that patterns were expanded to.
        paths = ", ".join(quote_text(glob.escape(path)) for path in snapshot.paths)
        relation = f"read_parquet([{paths}], union_by_name = true, hive_partitioning = false)"
        columns = describe_columns(connection.sql(f"SELECT * FROM {relation} LIMIT 0"))
        variables = columns.pop(VARIABLES_MAP, None)
        if (
            variables is not None and variables.type is not None
        ):  # a column for each key, because any key at all could be in a map
            type_ = variables.type.children[1][1]
            for key in snapshot.variables:
                columns[f"{VARIABLES_MAP}.{key}"] = ColumnExpr(DUCKDB.element(quote_name(VARIABLES_MAP), key), type_)
        return Relation(relation, columns, ROW_IN_FILES, [])

    def delete_converted(self) -> None:
        """Delete the converted files, except those that a query still reads."""
        with self._lock:
            self._chunks = []

    def _new_path(self) -> str:
        if not self._folder or not Path(self._folder).is_dir():
            self._folder = tempfile.mkdtemp(prefix="vapi-frames-")
            weakref.finalize(self, _remove_folder, os.getpid(), self._folder)
        return str(Path(self._folder, f"{next(self._numbers)}.parquet"))

    def __repr__(self) -> str:
        return f"calls in {', '.join(self._patterns)}"


def _begins_like_json(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            return file.read(64).lstrip()[:1] in (b"{", b"[")
    except OSError:
        return False


def _expand(pattern: str) -> list[str]:
    """Return the files that a path, a folder or a glob means, sorted.

    A folder in another one, or one that a glob matches, is read if Spark writes such: a table, ``10.parquet``, or a
    partition, ``day=2026-10-01``.

    Raises:
        RecordsError: There are none, or one is a link to nothing.
    """
    if Path(pattern).is_dir():
        inside = _data_files(Path(pattern))
        if not inside:
            raise RecordsError(f"no Parquet or JSON file is in the folder {pattern!r}", file=pattern)
        return inside
    matched = [pattern] if Path(pattern).is_file() else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    files = [file for path in matched for file in _files_at(Path(path))]
    if not files:
        raise RecordsError(f"no file matches {pattern!r} in {Path.cwd()}", file=pattern)
    return files


def _data_files(folder: Path) -> list[str]:
    paths = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    named = [path for path in paths if _is_parquet(path) or is_json(path.name) or _is_partition(path)]
    return [file for path in named for file in _files_at(path)]


def _files_at(path: Path) -> list[str]:
    """Return the path of a file, or the paths of the files of a folder that is a table in Parquet or a part of one."""
    if path.is_dir():
        if _is_partition(path):
            return _partition_files(path)
        return _data_files(path) if _is_parquet(path) else []
    if path.is_symlink() and not path.exists():
        raise RecordsError(f"{str(path)!r} is a link to nothing: remove it, or restore the file", file=str(path))
    return [str(path)] if path.is_file() else []


def _partition_files(folder: Path) -> list[str]:
    """Return the files of a partition, in which no column of the records stands in the name of the folder alone.

    Raises:
        RecordsError: One does.
    """
    import pyarrow.parquet as pq

    files = _data_files(folder)
    key = folder.name.partition("=")[0]
    if key not in _COLUMNS:
        return files
    for path in files:
        try:
            has_column = not is_json(path) and key in pq.read_schema(path).names
        except (OSError, ValueError) as error:
            raise RecordsError(f"{path!r} cannot be read: {error}", file=path) from error
        if not has_column:
            raise RecordsError(
                f"the table is partitioned by {key!r}, so its values are in names of folders, such as "
                f"{folder.name!r}, and not in {path!r}: partition it by a column of your own",
                file=path,
            )
    return files


def _is_partition(path: Path) -> bool:
    return "=" in path.name and path.is_dir()


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


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


def _remove_folder(process: int, folder: str) -> None:
    if process == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)
