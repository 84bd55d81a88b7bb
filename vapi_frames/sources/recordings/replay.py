"""Replies kept as files, and questions answered from them: a `Recorder` and a `Player` stand where a connection would.

Both are wires. What reads replies, divides questions and makes frames is the same with and without them, so a frame
from recordings is the frame that was recorded.
"""

from __future__ import annotations

import json
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vapi_frames.calendar.buckets import find_edge_before, from_seconds, to_seconds
from vapi_frames.calendar.ranges import fill_defaults, format_iso
from vapi_frames.errors import ReplayMissError, ResponseWarning, SourceError, warn
from vapi_frames.query.compile import compile_query
from vapi_frames.sources.api.pieces import is_divisible
from vapi_frames.sources.http.scrub import Redactor
from vapi_frames.sources.http.secrets import scrubber
from vapi_frames.sources.recordings.file import Recording, flat, identity, read_all, replies_to, unranged, write
from vapi_frames.sources.recordings.misses import miss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from vapi_frames.sources import Wire
    from vapi_frames.sources.api.pieces import Piece

__all__ = ["Player", "Recorder"]


class Recorder:
    """Passes questions on, and keeps each with its reply as a file. What is refused is not kept.

    Args:
        wire: Who answers.
        folder: Where the files go; it is there.
        now: The moment as of which all of it is asked.
        units: In which unit a column comes, where that was said.
    """

    def __init__(self, wire: Wire, folder: Path, now: datetime, *, units: Mapping[str, str] | None = None) -> None:
        self.wire = wire
        self.folder = folder
        self._now = now
        self._units = dict(units or {})

    def post(self, path: str, body: bytes, *, attempts: int | None = None, divisible: bool = False) -> bytes:
        """Return the body of the reply, as it came.

        Raises:
            SourceError: There was no reply, or it cannot be kept.
        """
        content = self.wire.post(path, body, attempts=attempts, divisible=divisible)
        asked = json.loads(body)["queries"]
        replies = replies_to(content, [one["name"] for one in asked])
        if replies is not None:
            for question, reply in zip(asked, replies, strict=True):
                self._keep(question, reply)
        return content

    def _keep(self, question: dict[str, Any], reply: dict[str, Any]) -> None:
        scrub = Redactor(self.scrubber())
        recording = Recording(scrub(question), scrub(reply), self._now, self._units)
        try:
            target = write(self.folder, recording)
        except OSError as error:
            raise SourceError(f"the reply came, and cannot be kept in {self.folder}: {error.strerror}") from error
        except UnicodeEncodeError:
            return  # half of a surrogate pair is no JSON: whoever reads the reply will say so
        if scrub.found:
            said = "the key, or what looks like a bearer token or a JSON Web Token"
            warn(f"{target.name} has *** in place of {said}: what is replayed differs by that", ResponseWarning)

    def scope(self) -> str:
        """Return whom the wire asks on whose behalf."""
        return self.wire.scope()

    def scrubber(self) -> Callable[[str], str]:
        """Return what takes the keys that the wire knows out of a text."""
        make: Callable[[], Callable[[str], str]] = getattr(self.wire, "scrubber", scrubber)
        return make()

    def __repr__(self) -> str:
        return f"{self.wire!r}, recorded in {self.folder}"


class Player:
    """Answers from the files that recorders wrote; the folder is read once, when it is made.

    Args:
        folder: Where the files are.

    Attributes:
        now: As of when the newest was asked, which is its clock.
        units: In which unit a column comes, where that was said.

    Raises:
        ReplayMissError: There is no recording, or one that cannot be read, or some have other units.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        found = sorted(read_all(folder), key=lambda one: (one.asked, one.path.name))  # of one question, the newest
        other = next((one for one in found if one.units != found[-1].units), None)
        if other is not None:
            raise ReplayMissError(
                f"{other.path} was recorded with {dict(other.units) or 'the usual units'}, and {found[-1].path.name} "
                f"with {dict(found[-1].units) or 'the usual ones'}: record them again with the same units="
            )
        self.now = found[-1].asked
        self.units = found[-1].units
        self._found = {identity(one.question): one for one in found}
        self._parts: dict[str, list[tuple[datetime, datetime]]] = {}
        for one in self._found.values():
            if part := _range(one.question, one.asked):
                self._parts.setdefault(identity(unranged(one.question)), []).append(part)

    def divide(self, piece: Piece) -> Iterable[Piece]:
        """Return *piece* in the parts that it was recorded in; as it is, where none make it up."""
        question = _clean(compile_query(piece.query, self.now))
        if identity(question) in self._found or not is_divisible(piece.query):
            return [piece]
        parts = self._parts.get(identity(unranged(question)), [])
        return [piece.between(*part) for part in _tiles(parts, piece)] or [piece]

    def post(self, path: str, body: bytes, *, attempts: int | None = None, divisible: bool = False) -> bytes:  # noqa: ARG002
        """Return the replies that were recorded, under the names that are asked now.

        Raises:
            ReplayMissError: A question was not recorded.
        """
        asked = json.loads(body)["queries"]
        found = [self._found.get(identity(_clean(question))) for question in asked]
        missing = [question for question, one in zip(asked, found, strict=True) if one is None]
        if missing:
            raise miss(self.folder, missing, self._found.values(), self.now)
        replies = [
            flat({**one.reply, "name": question["name"]}) for question, one in zip(asked, found, strict=True) if one
        ]
        return f"[{', '.join(replies)}]".encode()

    def scope(self) -> str:
        """Return which recordings answer."""
        return f"replay {self.folder.resolve()}"

    def __repr__(self) -> str:
        return f"the recordings in {self.folder}"


def _clean(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return *question* as its recording has it."""
    clean: dict[str, Any] = Redactor(scrubber())(dict(question))
    return clean


def _range(question: Mapping[str, Any], asked: datetime) -> tuple[datetime, datetime] | None:
    """Return the range of a question by steps; a side that it leaves open is what the contract says."""
    span = question.get("timeRange", {})
    if "step" not in span:
        return None
    start, end = (datetime.fromisoformat(span[side]) if side in span else None for side in ("start", "end"))
    if [one and format_iso(one) for one in (start, end)] != [span.get("start"), span.get("end")]:
        return None
    return fill_defaults((start, end), asked)


def _tiles(parts: Iterable[tuple[datetime, datetime]], piece: Piece) -> list[tuple[datetime, datetime]]:
    """Return those of *parts* that follow one another from begin to end of *piece* and cut no bucket: the fewest."""
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
