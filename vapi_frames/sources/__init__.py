"""Whoever answers: the one-verb protocol that every source speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from vapi_frames.answer import Answer
    from vapi_frames.query import Query

__all__ = ["Source"]


class Source(Protocol):
    """Answers queries."""

    kind: str
    """What the frame's meta says of where it came from: ``api``, ``calls``."""

    def now(self) -> datetime:
        """Return the clock by which relative ranges resolve, in UTC."""
        ...

    def answer(self, queries: Sequence[Query[Any]], now: datetime) -> list[Answer]:
        """Answer *queries*, in order, as of *now*."""
        ...
