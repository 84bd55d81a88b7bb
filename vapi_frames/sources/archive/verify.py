"""Whether each day of an archive is as it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vapi_frames.errors import QueryError, RecordsError
from vapi_frames.files import expand_path
from vapi_frames.sources.archive.day_files import list_days
from vapi_frames.sources.records.digests import describe_damage, find_damaged, read_digests

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

__all__ = ["verify_archive"]


def verify_archive(folder: str | PathLike[str]) -> str:
    """Read all files of the archive in *folder*, and return a line about them.

    A file is compared with its digest. Without digests, files are read as Parquet, which finds most damage.

    Raises:
        QueryError: No archive is in *folder*.
        RecordsError: Some days are damaged, or their files are gone.
        OSError: A file cannot be read.
    """
    path = expand_path(folder)
    paths = list_days(path) if path.is_dir() else {}
    digests = read_digests(path) if path.is_dir() else None
    if not paths and not digests:
        raise QueryError(f"no archive is in {str(path)!r}: there is no file such as 2026-10-01.parquet")
    if digests is None:
        damaged = {one: problem for one in paths.values() if (problem := _find_problem(one))}
    else:
        damaged = find_damaged(paths.values())
        damaged |= {path / name: f"{name} is gone" for name in digests if not (path / name).exists()}
    if damaged:
        raise RecordsError(describe_damage(damaged, len(damaged)), file=str(min(damaged)))
    days = f"{len(paths):,} day{'s' * (len(paths) != 1)}"
    if digests is None:
        return f"{path}: {days} can be read; the next run of archive adds digests, which show any change"
    return f"{path}: {days}, all as they were written"


def _find_problem(path: Path) -> str:
    """Return why the Parquet file at *path* cannot be read; an empty text if it can."""
    import pyarrow as pa
    from pyarrow.parquet import read_table

    try:
        with path.open("rb") as file:
            read_table(file, page_checksum_verification=True)
    except pa.ArrowException as error:
        return str(error)
    except OSError as error:
        if error.errno is not None:
            raise
        return str(error)
    return ""
