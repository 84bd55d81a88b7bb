"""How work is cancelled from another thread."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from vapi_frames.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Stop", "on_cancel", "raise_if_cancelled"]


class Stop:
    """Calls off an answer that nobody waits for any more, from another thread.

    Whoever asks puts the asking inside `scope`; a source puts its work inside `on_cancel`. Neither needs the
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
    def scope(self) -> Iterator[None]:
        """Let this end the work that is done in the block, by this thread."""
        token = _STOP.set(self)
        try:
            yield
        finally:
            _STOP.reset(token)

    @contextmanager
    def _calling(self, way: Callable[[], object]) -> Iterator[None]:
        with self._lock:
            raise_if_cancelled()
            self._ways.append(way)
        try:
            yield
        finally:
            with self._lock:  # *way* is not called once the block is left
                self._ways.remove(way)


def raise_if_cancelled() -> None:
    """Raise `SourceError` where nobody waits any more for what is done here."""
    stop = _STOP.get()
    if stop is not None and stop.is_set:
        raise SourceError("nobody waits for the answer any more")


@contextmanager
def on_cancel(way: Callable[[], object]) -> Iterator[None]:
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


_STOP: ContextVar[Stop | None] = ContextVar("_STOP", default=None)
