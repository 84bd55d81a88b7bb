"""Which files a path, a folder or a glob means."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING

from vapi_frames.errors import RecordsError
from vapi_frames.sources.local.json_reader import is_json
from vapi_frames.sources.local.tables import is_table
from vapi_frames.sources.records.flatten import FLAT_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["check_spreadsheets", "find_files", "is_parquet", "is_read", "is_read_folder"]

_COLUMNS = frozenset(FLAT_COLUMNS)
_SPREADSHEETS = (".xls", ".xlsx", ".ods")


def find_files(patterns: Iterable[str]) -> list[str]:
    """Return the paths of the files that *patterns* mean, each file once."""
    found: dict[str, str] = {}
    folders: dict[str, str] = {}
    for pattern in patterns:
        for path in _expand(pattern):
            found.setdefault(_resolve(path, folders), path)
    check_spreadsheets(found.values())
    return list(found.values())


def _resolve(path: str, folders: dict[str, str]) -> str:
    """Return what `os.path.realpath` does; *folders* has the folders that were resolved before."""
    folder, _, name = path.rpartition(os.sep)
    if not folder or os.path.islink(path):  # noqa: PTH114 - thousands of paths, which need not become objects
        return os.path.realpath(path)
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    return f"{folders[folder]}{os.sep}{name}"


def check_spreadsheets(paths: Iterable[str]) -> None:
    """Raise a `RecordsError` where one of *paths* is a spreadsheet."""
    for path in paths:
        if path.lower().endswith(_SPREADSHEETS):
            raise RecordsError(
                f"{path!r} is a spreadsheet: save it as CSV, or pass the DataFrame pandas.read_excel({path!r})",
                file=path,
            )


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
            raise RecordsError(f"no Parquet, JSON, CSV or TSV file is in the folder {pattern!r}", file=pattern)
        return inside
    matched = [pattern] if Path(pattern).is_file() else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    files = [file for path in matched for file in _files_at(Path(path))]
    if not files:
        raise RecordsError(f"no file matches {pattern!r} in {Path.cwd()}", file=pattern)
    return files


def _data_files(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:  # which knows what a file is, without asking for each
        found = sorted((one for one in entries if not one.name.startswith(".")), key=lambda one: one.name)
    named = [one for one in found if is_read(one.name) or _is_partition(one)]
    return [
        file
        for one in named
        for file in ([one.path] if one.is_file(follow_symlinks=False) else _files_at(Path(one.path)))
    ]


def _files_at(path: Path) -> list[str]:
    """Return the path of a file, or the paths of the files of a folder that is a table in Parquet or a part of one."""
    if path.is_dir():
        if _is_partition(path):
            return _partition_files(path)
        return _data_files(path) if is_parquet(path.name) else []
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
            has_column = is_parquet(path) and key in pq.read_schema(path).names
        except (OSError, ValueError) as error:
            raise RecordsError(f"{path!r} cannot be read: {error}", file=path) from error
        if not has_column:
            raise RecordsError(
                f"the table is partitioned by {key!r}, so its values are in names of folders, such as "
                f"{folder.name!r}, and not in {path!r}: partition it by a column of your own",
                file=path,
            )
    return files


def _is_partition(path: Path | os.DirEntry[str]) -> bool:
    return "=" in path.name and path.is_dir()


def is_read(name: str) -> bool:
    """Return whether a file of this *name* in a folder is read."""
    return is_parquet(name) or is_json(name) or is_table(name)


def is_read_folder(name: str) -> bool:
    """Return whether a folder of this *name* in a folder is read: a partition, or a table in Parquet."""
    return "=" in name or is_parquet(name)


def is_parquet(name: str) -> bool:
    """Return whether a file of this *name* is one of Parquet."""
    return name.lower().endswith(".parquet")
