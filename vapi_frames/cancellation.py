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
    """Cancels work that another thread does.

    The caller runs the work inside `scope`; a source runs its long steps inside `on_cancel`. Each works without the
    other: without a `Stop` the work runs to its end, and so does a source that does not use `on_cancel`.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []

    def set(self) -> None:
        """Cancel the work.

        An engine may ignore a cancellation that comes between two of its steps: call this again until the work ends.
        """
        with self._lock:
            self.is_set = True
            for callback in self._callbacks:
                callback()

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Cancel what this thread does in the block when this stop is set."""
        token = _STOP.set(self)
        try:
            yield
        finally:
            _STOP.reset(token)

    @contextmanager
    def _registered(self, callback: Callable[[], object]) -> Iterator[None]:
        with self._lock:
            raise_if_cancelled()
            self._callbacks.append(callback)
        try:
            yield
        finally:
            with self._lock:  # *callback* is not called after the block
                self._callbacks.remove(callback)


def raise_if_cancelled() -> None:
    """Raise `SourceError` if the work of this thread was cancelled."""
    stop = _STOP.get()
    if stop is not None and stop.is_set:
        raise SourceError("the query was cancelled")


@contextmanager
def on_cancel(callback: Callable[[], object]) -> Iterator[None]:
    """Call *callback*, from another thread, if the work of the block is cancelled.

    Raises:
        SourceError: The work was cancelled before.
    """
    stop = _STOP.get()
    if stop is None:
        yield
    else:
        with stop._registered(callback):  # noqa: SLF001 - the function is the public form of the method
            yield


_STOP: ContextVar[Stop | None] = ContextVar("_STOP", default=None)
