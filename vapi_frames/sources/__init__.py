"""Where results come from: the protocol of every source, and that of the wires to an API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from vapi_frames.calendar.ranges import format_iso
from vapi_frames.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Any

    from vapi_frames.query.drill import Drill
    from vapi_frames.query.query import Query
    from vapi_frames.redact import Redactor
    from vapi_frames.result.drilled import DrilledCalls
    from vapi_frames.result.result import Result

__all__ = ["CallSource", "IncompleteError", "Source", "Wire", "format_ranges"]


_LISTED = 3  # ranges that a message or a note lists


def format_ranges(ranges: Sequence[tuple[datetime, datetime]]) -> str:
    """Return *ranges* as text for a message, which lists the first three."""
    some = ", ".join(f"{format_iso(start)} until {format_iso(end)}" for start, end in ranges[:_LISTED])
    return some + (f" and {len(ranges) - _LISTED} more" if len(ranges) > _LISTED else "")


class IncompleteError(SourceError):
    """Some of the results did not arrive; users get it as `PartialResultError`, with frames.

    Attributes:
        results: What arrived, in the order of the queries; ``None`` where nothing did.
        missing: For each query the ranges that did not arrive, as (start, end) pairs in UTC.
    """

    def __init__(
        self,
        message: str,
        *,
        results: Sequence[Result | None],
        missing: Sequence[Sequence[tuple[datetime, datetime]]],
    ) -> None:
        super().__init__(message)
        self.results = list(results)
        self.missing = [list(ranges) for ranges in missing]


class Source(Protocol):
    """Returns results of queries."""

    kind: str
    """The name of its kind in the metadata of frames: ``api``, ``calls``."""

    def now(self) -> datetime:
        """Return the clock by which relative ranges resolve, in UTC."""
        ...

    def close(self) -> None:
        """Release what the source has opened itself; a connection of the user's stays open."""
        ...

    def answer(self, queries: Sequence[Query[Any]], now: datetime) -> list[Result]:
        """Return the result of each query, as of *now*; long work runs inside `on_cancel`."""
        ...


class CallSource(Source, Protocol):
    """Also returns the calls behind a result: a method that a source may have."""

    def drill(self, drill: Drill, now: datetime) -> DrilledCalls:
        """Return the calls that the query of *drill* counts, as of *now*."""
        ...


class Wire(Protocol):
    """Takes requests to an API, or to what replaces one."""

    def post(self, path: str, body: bytes, *, attempts: int | None = None, divisible: bool = False) -> bytes:
        """Return the body of the reply."""
        ...

    def scope(self) -> str:
        """Return what distinguishes the server and the key from others; it holds no secret."""
        ...

    def redactor(self) -> Redactor:
        """Return what takes the wire's secrets out of text."""
        ...
