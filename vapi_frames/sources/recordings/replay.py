"""Two wires in place of a connection: `RecordingWire` writes each reply to a file, `ReplayWire` replies from the files.

The code that reads replies, divides queries and makes frames is the same with and without them, so a frame from
recordings is the frame that was recorded.
"""

from __future__ import annotations

import json
import os
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vapi_frames.calendar.buckets import find_edge_before, from_seconds, to_seconds
from vapi_frames.calendar.ranges import fill_defaults, format_iso
from vapi_frames.errors import ReplayMissError, ResponseWarning, SourceError, warn
from vapi_frames.query.compile import compile_query
from vapi_frames.redact import Redactor, environment_keys
from vapi_frames.sources.api.pieces import is_divisible
from vapi_frames.sources.recordings.file import (
    Recording,
    dump_json_line,
    hash_query,
    read_recordings,
    remove_range,
    split_reply,
    write_recording,
)
from vapi_frames.sources.recordings.misses import replay_miss_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from vapi_frames.sources import Wire
    from vapi_frames.sources.api.pieces import Piece

__all__ = ["RecordingWire", "ReplayWire"]


class RecordingWire:
    """Passes queries on, and writes each with its reply to a file; errors are not recorded.

    Args:
        wire: The wire to record.
        folder: The folder of the files, which exists.
        now: The clock that relative ranges are resolved by.
        units: The units that ``connect(units=)`` set.
    """

    def __init__(self, wire: Wire, folder: Path, now: datetime, *, units: Mapping[str, str] | None = None) -> None:
        self.wire = wire
        self.folder = folder
        self._now = now
        self._units = dict(units or {})

    def post(self, path: str, body: bytes, *, attempts: int | None = None, divisible: bool = False) -> bytes:
        """Return the body of the reply, unchanged.

        Raises:
            SourceError: There was no reply, or it cannot be written.
        """
        content = self.wire.post(path, body, attempts=attempts, divisible=divisible)
        queries = json.loads(body)["queries"]
        replies = split_reply(content, [one["name"] for one in queries])
        if replies is not None:
            for query, reply in zip(queries, replies, strict=True):
                self._write(query, reply)
        return content

    def _write(self, query: dict[str, Any], reply: dict[str, Any]) -> None:
        redact = self.redactor()
        recording = Recording(redact(query), redact(reply), self._now, self._units)
        try:
            target = write_recording(self.folder, recording)
        except OSError as error:
            raise SourceError(f"the reply arrived, and cannot be written to {self.folder}: {error.strerror}") from error
        except UnicodeEncodeError:
            return  # half of a surrogate pair: the error is raised where the reply is read
        if redact.found:
            redacted = "the key, or what looks like a bearer token or a JSON Web Token"
            warn(f"{target.name} has *** in place of {redacted}, and so will the replayed result", ResponseWarning)

    def scope(self) -> str:
        """Return what identifies the server and the account."""
        return self.wire.scope()

    def redactor(self) -> Redactor:
        """Return the wire's redactor."""
        return self.wire.redactor()

    def __repr__(self) -> str:
        return f"{self.wire!r}, recorded in {self.folder}"


class ReplayWire:
    """Replies from the files that a `RecordingWire` wrote; the folder is read once, at the beginning.

    Args:
        folder: The folder of the files.

    Attributes:
        now: Its clock: that of the newest recording.
        units: The units of the recordings.

    Raises:
        ReplayMissError: There is no recording, one cannot be read, or their units differ.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        found = sorted(
            read_recordings(folder), key=lambda one: (one.now, one.path.name)
        )  # of one query, the newest counts
        other = next((one for one in found if one.units != found[-1].units), None)
        if other is not None:
            raise ReplayMissError(
                f"{other.path} was recorded with {dict(other.units) or 'the usual units'}, and {found[-1].path.name} "
                f"with {dict(found[-1].units) or 'the usual ones'}: record them again with the same units="
            )
        self.now = found[-1].now
        self.units = found[-1].units
        self._found = {hash_query(one.query): one for one in found}
        self._parts: dict[str, list[tuple[datetime, datetime]]] = {}
        for one in self._found.values():
            if part := _range(one.query, one.now):
                self._parts.setdefault(hash_query(remove_range(one.query)), []).append(part)

    def divide(self, piece: Piece) -> Iterable[Piece]:
        """Return *piece* in the parts that it was recorded in, or undivided if none make it up."""
        query = _redact(compile_query(piece.query, self.now))
        if hash_query(query) in self._found or not is_divisible(piece.query):
            return [piece]
        parts = self._parts.get(hash_query(remove_range(query)), [])
        return [piece.between(*part) for part in _find_tiling(parts, piece)] or [piece]

    def post(self, path: str, body: bytes, *, attempts: int | None = None, divisible: bool = False) -> bytes:  # noqa: ARG002
        """Return the recorded replies under the names of these queries.

        Raises:
            ReplayMissError: A query was not recorded.
        """
        queries = json.loads(body)["queries"]
        found = [self._found.get(hash_query(_redact(query))) for query in queries]
        missing = [query for query, one in zip(queries, found, strict=True) if one is None]
        if missing:
            raise replay_miss_error(self.folder, missing, self._found.values(), self.now)
        replies = [
            dump_json_line({**one.reply, "name": query["name"]})
            for query, one in zip(queries, found, strict=True)
            if one
        ]
        return f"[{', '.join(replies)}]".encode()

    def redactor(self) -> Redactor:
        """Return a redactor of the keys in the environment."""
        return Redactor(environment_keys(os.environ))

    def scope(self) -> str:
        """Return what distinguishes these recordings from others."""
        return f"replay {self.folder.resolve()}"

    def __repr__(self) -> str:
        return f"the recordings in {self.folder}"


def _redact(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return *query* as its recording has it."""
    clean: dict[str, Any] = Redactor(environment_keys(os.environ))(dict(query))
    return clean


def _range(query: Mapping[str, Any], now: datetime) -> tuple[datetime, datetime] | None:
    """Return the range of a query with a step; an open side is that of the contract."""
    span = query.get("timeRange", {})
    if "step" not in span:
        return None
    start, end = (datetime.fromisoformat(span[side]) if side in span else None for side in ("start", "end"))
    if [one and format_iso(one) for one in (start, end)] != [span.get("start"), span.get("end")]:
        return None
    return fill_defaults((start, end), now)


def _find_tiling(parts: Iterable[tuple[datetime, datetime]], piece: Piece) -> list[tuple[datetime, datetime]]:
    """Return the fewest of *parts* that together make up *piece* and cut no bucket."""
    ends: dict[datetime, list[datetime]] = {}
    for start, end in parts:
        ends.setdefault(start, []).append(end)
    came_from: dict[datetime, datetime] = {}
    reached = deque([piece.start])
    while reached and piece.end not in came_from:
        start = reached.popleft()
        for end in ends.get(start, ()):
            if end not in came_from and (end == piece.end or (end < piece.end and _is_edge(end, piece))):
                came_from[end] = start
                reached.append(end)
    found: list[tuple[datetime, datetime]] = []
    at = piece.end
    while at in came_from:
        found.append((came_from[at], at))
        at = came_from[at]
    return found[::-1]


def _is_edge(instant: datetime, piece: Piece) -> bool:
    edge = find_edge_before(to_seconds(instant), piece.query.time_step or "", piece.query.zone)
    return from_seconds(edge) == instant
