"""The cache of one key: results of closed buckets, found again and kept below a limit."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from vapi_frames.errors import ResponseWarning, warn
from vapi_frames.files import expand_path
from vapi_frames.sources.cache import parts
from vapi_frames.sources.cache.database import Database, shrink

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from os import PathLike
    from pathlib import Path

    from vapi_frames.query.query import Query
    from vapi_frames.sources.api.pieces import Segment
    from vapi_frames.sources.cache.parts import Head

__all__ = ["USED_FOLDERS", "Store"]

USED_FOLDERS: dict[Path, None] = {}
"""The folders of this process's stores, in order."""

_SMALL = 1_000  # rows; to write so many again costs nothing beside a request
_USE_SECONDS = 3_600  # how exactly it is known when a part was last used; a fetch need not write each time
_LARGE = 2**20  # rows; a part of more would be slow to read
_FAILURES = {
    "read": "the cache in {} cannot be read, and its results are fetched again",
    "write": "results cannot be written to the cache in {}, and will be fetched again",
    "delete": "results in the cache in {} cannot be deleted",
}


class Store:
    """Keeps results in a folder, and finds them again.

    What the disk refuses is no error: what cannot be read is not found, and what cannot be written is not stored. One
    warning says so.

    Args:
        folder: The folder; it is created when something is written.
        host: The address that gave the results.
        secret: Derived from the key: what was written with another is not found. Its repr hides it.
        settle: How long after its end a bucket counts as closed; the caller decides by it what to store.
        limit: How many bytes the file may have; what was not used for longest is deleted first.
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        *,
        host: str,
        secret: str,
        settle: timedelta = timedelta(hours=1),
        limit: int = 2**30,
    ) -> None:
        self.folder = expand_path(folder)
        self.host = host
        self.settle = settle
        self.limit = limit
        self._secret: Callable[[], str] = lambda: secret
        self._database = Database(self.folder)
        self._warned: set[str] = set()
        USED_FOLDERS[self.folder] = None

    def find(self, query: Query[Any], start: int, end: int) -> list[Segment]:
        """Return what is stored of [start, end): segments that do not overlap, ascending.

        Args:
            query: Its own range does not matter.
            start: Seconds since 1970; with a step, an edge between two buckets.
            end: The same, exclusive.

        Returns:
            With a step, whole buckets within the range. Without, the result of exactly this range, or nothing.

        Raises:
            ValueError: With a step, *start* or *end* is within a bucket.
        """
        if start >= end:
            return []
        parts.check_edges(query, start, end)
        found = self._parts_of(query)
        try:
            segments = self._database.read(lambda connection: found.find(connection, start, end)) or []
        except OSError as error:
            self._warn_once("read", error)
            return []
        if found.stale or found.unusable:
            self._write("delete" if found.unusable else "", found.finish)
        found.warn_of_altered(self.folder)
        return segments

    def put(self, query: Query[Any], segment: Segment) -> None:
        """Store *segment*, a part of the result of *query*.

        Raises:
            ValueError: It has another schema, or rows of other buckets, or is not of whole buckets.
        """
        parts.check(segment, query)
        found = self._parts_of(query)
        self._write("write", lambda connection: found.put(connection, segment), create=True)
        found.warn_of_altered(self.folder)

    def delete(self, query: Query[Any]) -> None:
        """Delete what is stored of *query*."""
        key = self._parts_of(query).key
        self._write("delete", lambda connection: connection.execute("DELETE FROM parts WHERE query = ?", (key,)))

    def _parts_of(self, query: Query[Any]) -> _QueryParts:
        return _QueryParts(query, parts.format_query(query, self.host), self._secret(), self.limit)

    def _write(self, action: str, work: Callable[[sqlite3.Connection], object], *, create: bool = False) -> None:
        try:
            self._database.write(work, create=create)
        except OSError as error:
            if action:
                self._warn_once(action, error)

    def _warn_once(self, action: str, error: OSError) -> None:
        """Warn of what the disk refuses: once, as it would refuse it again and again."""
        if action not in self._warned:
            self._warned.add(action)
            warn(f"{_FAILURES[action].format(self.folder)}: {error}", ResponseWarning)

    def __repr__(self) -> str:
        return f"<cache in {self.folder}>"


class _QueryParts:
    """The parts of one query, as one operation reads and writes them.

    Attributes:
        key: Identifies them in the file.
        stale: Those with a last use, as the file has it, that is too long ago.
        unusable: Those to delete: altered, or of buckets or dates that are known to be wrong by now.
        altered: How many were altered.
    """

    def __init__(self, query: Query[Any], text: str, secret: str, limit: int) -> None:
        self.key = parts.query_key(secret, text)
        self.stale: list[int] = []
        self.unusable: list[int] = []
        self.altered = 0
        self._query, self._text, self._limit = query, text, limit
        self._secret: Callable[[], str] = lambda: secret
        self._now = time.time()

    def find(self, connection: sqlite3.Connection, start: int, end: int) -> list[Segment]:
        """Return what is stored of [start, end)."""
        heads = self._heads(connection, start, end)
        if self._query.time_step is not None:
            heads = self._consistent(heads)
        found = []
        at = start
        # Two processes may have stored ranges that overlap: each bucket is read once.
        for number, head in sorted(heads.items(), key=lambda item: (item[1].start, -item[1].end)):
            first, last = max(at, head.start), min(end, head.end)
            if first < last and (segment := self._read(connection, number, head)):
                found.append(parts.cut(segment, self._query, first, last))
                at = last
        return found

    def put(self, connection: sqlite3.Connection, segment: Segment) -> None:
        """Store *segment* in place of all that lies within it."""
        heads = self._heads(connection, segment.start, segment.end)
        if self._query.time_step is not None:
            segment = self._with_neighbors(connection, heads, segment)
        head, mac, payload = parts.encode(segment, self._query, self._text, self._secret())
        if len(payload) < self._limit:  # a larger one would drive out all others, and then itself
            self.unusable += [number for number, head_ in heads.items() if _replaces(segment, head_)]
            row = (self.key, segment.start, segment.end, self._now, head, mac, payload)
            columns = "query, begins, ends, used, head, mac, payload"
            connection.execute(f"INSERT INTO parts ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self.finish(connection)

    def finish(self, connection: sqlite3.Connection) -> None:
        """Note what was used, delete what is unusable, and keep to the limit."""
        connection.executemany("UPDATE parts SET used = ? WHERE rowid = ?", [(self._now, key) for key in self.stale])
        connection.executemany("DELETE FROM parts WHERE rowid = ?", [(key,) for key in self.unusable])
        shrink(connection, self._limit)

    def warn_of_altered(self, folder: Path) -> None:
        """Warn if parts were altered."""
        if self.altered:
            warn(
                f"{self.altered} of the results in the cache in {folder} were changed after they were written: they "
                "are ignored, and are fetched again",
                ResponseWarning,
            )

    def _heads(self, connection: sqlite3.Connection, start: int, end: int) -> dict[int, Head]:
        """Return the authentic heads by their rows' numbers; without a step, those of exactly this range."""
        where = "query = ?" if self._query.time_step is not None else "query = ? AND begins = ? AND ends = ?"
        values = (self.key, start, end)[: where.count("?")]
        self.stale, self.unusable, self.altered = [], [], 0  # after damage it is a second time
        found = {}
        for number, line, mac, used in connection.execute(
            f"SELECT rowid, head, mac, used FROM parts WHERE {where}", values
        ):
            head = parts.read_head(line, mac, self._text, self._secret())
            if head is None or (self._query.time_step is None and (head.start, head.end) != (start, end)):
                self._reject(number)
            elif head.offsets != parts.list_offsets(self._query, head.start, head.end):
                self.unusable.append(number)
            else:
                found[number] = head
                if not isinstance(used, float) or not self._now - _USE_SECONDS < used <= self._now:
                    self.stale.append(number)
        return found

    def _consistent(self, heads: dict[int, Head]) -> dict[int, Head]:
        """Return the *heads* with dates that were read by one convention: a server has only one."""
        decisive = {head.convention for head in heads.values() if head.convention is not None and not head.is_assumed}
        if len(decisive) > 1:  # the server changed it, and either may be wrong
            wrong = list(heads)
        else:
            wrong = [number for number, head in heads.items() if head.is_assumed and "wall" in decisive]
        self.unusable += wrong
        return {number: head for number, head in heads.items() if number not in wrong}

    def _with_neighbors(self, connection: sqlite3.Connection, heads: dict[int, Head], segment: Segment) -> Segment:
        """Return *segment* with what is stored right before it, so that a job of every hour leaves few parts.

        A neighbor of at most twice the rows joins. So each part that stays has more than twice the rows of the next,
        which makes their number logarithmic; and a part with rows that are written again grows by half or more, so each
        row is written again a logarithmic number of times. Small neighbors always join: hours without calls have no
        rows.
        """
        rows = segment.table.num_rows
        for number, head in heads.items():
            is_small = head.rows <= max(_SMALL, 2 * rows) and head.rows + rows <= _LARGE
            if is_small and head.end == segment.start and head.agrees_with(segment):
                before = self._read(connection, number, head)
                if before is not None:
                    return self._with_neighbors(connection, heads, parts.join(before, segment))
        return segment

    def _read(self, connection: sqlite3.Connection, number: int, head: Head) -> Segment | None:
        row = connection.execute("SELECT payload FROM parts WHERE rowid = ?", (number,)).fetchone()
        segment = parts.decode(head, row and row[0], self._query)  # a damaged index may have more rows than the table
        if segment is None:
            self._reject(number)
        return segment

    def _reject(self, number: int) -> None:
        self.altered += 1
        self.unusable.append(number)


def _replaces(segment: Segment, head: Head) -> bool:
    """Return whether the part has nothing beyond *segment*, and no other evidence of what dates mean."""
    is_within = segment.start <= head.start and head.end <= segment.end
    return is_within and ((head.start, head.end) == (segment.start, segment.end) or head.agrees_with(segment))
