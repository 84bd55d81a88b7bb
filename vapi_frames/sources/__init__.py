"""Whoever answers: the one-verb protocol that every source speaks, and how an answer is called off."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from vapi_frames.errors import SourceError
from vapi_frames.timerange import iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from vapi_frames.answer import Answer
    from vapi_frames.query import Query

__all__ = ["IncompleteError", "Source", "Stop", "Wire", "check_wanted", "said", "stopped_by"]

_SAID = 3  # ranges that a message or a note lists one by one


def said(ranges: Sequence[tuple[datetime, datetime]]) -> str:
    """Return *ranges* in words, not too many."""
    some = ", ".join(f"{iso(start)} until {iso(end)}" for start, end in ranges[:_SAID])
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
        answers: Sequence[Answer | None],
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

    def answer(self, queries: Sequence[Query[Any]], now: datetime) -> list[Answer]:
        """Answer *queries*, in order, as of *now*; work that takes long stands inside `stopped_by`."""
        ...


class Wire(Protocol):
    """What takes the body of a request to someone who answers it."""

    def post(self, path: str, body: bytes, *, attempts: int | None = None, divisible: bool = False) -> bytes:
        """Return the body of the reply."""
        ...

    def scope(self) -> str:
        """Return what tells apart whom is asked on whose behalf, and holds no secret."""
        ...


class Stop:
    """Calls off an answer that nobody waits for any more, from another thread.

    Whoever asks puts the asking inside `reaching`; a source puts its work inside `stopped_by`. Neither needs the
    other: without a `Stop`, work runs to its end, and a source that knows nothing of it does, too.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._lock = threading.Lock()
        self._ways: list[Callable[[], object]] = []

    def set(self) -> None:
        """Ask what is under way to end.

        An engine that is asked between two steps may not hear it: ask again until the work is over.
        """
        with self._lock:
            self.is_set = True
            for way in self._ways:
                way()

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Let this end the work that is done in the block, by this thread."""
        token = _STOP.set(self)
        try:
            yield
        finally:
            _STOP.reset(token)

    @contextmanager
    def _calling(self, way: Callable[[], object]) -> Iterator[None]:
        with self._lock:
            check_wanted()
            self._ways.append(way)
        try:
            yield
        finally:
            with self._lock:  # *way* is not called once the block is left
                self._ways.remove(way)


_STOP: ContextVar[Stop | None] = ContextVar("_STOP", default=None)


def check_wanted() -> None:
    """Raise `SourceError` where nobody waits any more for what is done here."""
    stop = _STOP.get()
    if stop is not None and stop.is_set:
        raise SourceError("nobody waits for the answer any more")


@contextmanager
def stopped_by(way: Callable[[], object]) -> Iterator[None]:
    """Have *way* called from another thread, should nobody wait any more for what is done in the block.

    Raises:
        SourceError: That is so already.
    """
    stop = _STOP.get()
    if stop is None:
        yield
    else:
        with stop._calling(way):  # noqa: SLF001 - the two are one thing
            yield
