"""What the caches of ``connect(cache=)`` hold: `info` lists it, `clear` deletes it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vapi_frames.calendar.buckets import from_seconds
from vapi_frames.files import expand_path
from vapi_frames.sources.cache import parts
from vapi_frames.sources.cache.database import Database, shrink
from vapi_frames.sources.cache.store import USED_FOLDERS

if TYPE_CHECKING:
    import sqlite3
    from os import PathLike
    from pathlib import Path

    import pandas as pd

__all__ = ["clear", "info"]

_INSTANT = pa.timestamp("us", tz="UTC")
_COLUMNS = {
    "query": pa.string(), "host": pa.string(), "start": _INSTANT, "end": _INSTANT, "rows": pa.int64(),
    "parts": pa.int64(), "bytes": pa.int64(), "fetched": _INSTANT, "folder": pa.string(),
}  # fmt: skip


def info(folder: str | PathLike[str] | None = None) -> pd.DataFrame:
    """Return what is in the cache, one row for each query.

    A query has several parts where it was fetched range by range. Whether they are authentic is only known with the
    key, when they are used.

    Args:
        folder: The cache; by default, each that this process has used.

    Returns:
        ``query`` as the code that builds it, without its range and names; the ``host`` that gave the results;
        ``start`` and ``end`` of what is stored, between which some may be missing; how many ``rows``, ``parts`` and
        ``bytes``; when the oldest of it was ``fetched``; the ``folder``.

    Raises:
        OSError: A file cannot be read.

    Examples:
        >>> from vapi_frames.sources.cache import cache
        >>> list(cache.info("no/such/folder"))
        ['query', 'host', 'start', 'end', 'rows', 'parts', 'bytes', 'fetched', 'folder']
    """
    lines = []
    for place in _folders(folder):
        for heads in Database(place).read(_heads_by_query) or []:
            try:
                lines.append({**_describe(heads), "folder": str(place)})
            except (ValueError, TypeError, KeyError, OverflowError):  # another version wrote it, or it is damaged
                continue
    frame: pd.DataFrame = pa.Table.from_pylist(lines, schema=pa.schema(_COLUMNS)).to_pandas()
    return frame


def clear(folder: str | PathLike[str] | None = None) -> int:
    """Delete what is in the cache, and nothing else in its folder; return the number of parts.

    Args:
        folder: The cache; by default, each that this process has used.

    Raises:
        OSError: A file cannot be written.

    Examples:
        >>> from vapi_frames.sources.cache import cache
        >>> cache.clear("no/such/folder")
        0
    """
    count = 0
    for place in _folders(folder):
        database = Database(place)
        count += database.write(_delete_all, create=False) or 0
        database.broken_path.unlink(missing_ok=True)
    return count


def _folders(folder: str | PathLike[str] | None) -> list[Path]:
    return list(USED_FOLDERS) if folder is None else [expand_path(folder)]


def _heads_by_query(connection: sqlite3.Connection) -> list[list[tuple[bytes, int]]]:
    """Return the heads of each query's parts, with the size of each."""
    found: dict[Any, list[tuple[bytes, int]]] = {}
    rows = connection.execute("SELECT query, head, length(head) + length(payload) FROM parts ORDER BY rowid")
    for query, head, size in rows:
        found.setdefault(query, []).append((head, size))
    return list(found.values())


def _describe(lines: list[tuple[bytes, int]]) -> dict[str, Any]:
    heads = [parts.Head(**json.loads(line)) for line, _ in lines]
    query = json.loads(heads[0].query)
    if query["version"] != parts.VERSION:
        raise ValueError(f"the version is {query['version']}")
    return {
        "query": heads[0].code,
        "host": query["host"],
        "start": from_seconds(min(head.start for head in heads)),
        "end": from_seconds(max(head.end for head in heads)),
        "rows": sum(head.rows for head in heads),
        "parts": len(heads),
        "bytes": sum(size for _, size in lines),
        "fetched": min(datetime.fromisoformat(head.fetched) for head in heads),
    }


def _delete_all(connection: sqlite3.Connection) -> int:
    count = connection.execute("DELETE FROM parts").rowcount
    shrink(connection, 0)
    return count
