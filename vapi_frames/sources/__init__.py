"""Whoever answers: the one-verb protocol that every source speaks, and how an answer is called off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from vapi_frames.calendar.ranges import format_iso
from vapi_frames.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Any

    from vapi_frames.query.query import Query
    from vapi_frames.redact import Redactor
    from vapi_frames.result.result import Result

__all__ = ["IncompleteError", "Source", "Wire", "said"]


_SAID = 3  # ranges that a message or a note lists one by one


def said(ranges: Sequence[tuple[datetime, datetime]]) -> str:
    """Return *ranges* in words, not too many."""
    some = ", ".join(f"{format_iso(start)} until {format_iso(end)}" for start, end in ranges[:_SAID])
    return some + (f" and {len(ranges) - _SAID} more" if len(ranges) > _SAID else "")


class IncompleteError(SourceError):
    """Some of what was asked did not arrive; whoever makes frames says it as `PartialResultError`.

    Attributes:
        answers: What did arrive, in the order of the questions; ``None`` where nothing did.
        missing: For each question the ranges that did not, as (start, end) pairs in UTC.
    """

    def __init__(
        self,
        message: str,
        *,
        answers: Sequence[Result | None],
        missing: Sequence[Sequence[tuple[datetime, datetime]]],
    ) -> None:
        super().__init__(message)
        self.answers = list(answers)
        self.missing = [list(ranges) for ranges in missing]


class Source(Protocol):
    """Answers queries."""

    kind: str
    """What the frame's meta says of where it came from: ``api``, ``calls``."""

    def now(self) -> datetime:
        """Return the clock by which relative ranges resolve, in UTC."""
        ...

    def answer(self, queries: Sequence[Query[Any]], now: datetime) -> list[Result]:
        """Answer *queries*, in order, as of *now*; work that takes long stands inside `on_cancel`."""
        ...


class Wire(Protocol):
    """What takes the body of a request to someone who answers it."""

    def post(self, path: str, body: bytes, *, attempts: int | None = None, divisible: bool = False) -> bytes:
        """Return the body of the reply."""
        ...

    def scope(self) -> str:
        """Return what tells apart whom is asked on whose behalf, and holds no secret."""
        ...

    def redactor(self) -> Redactor:
        """Return what takes the secrets that the wire knows out of text."""
        ...
