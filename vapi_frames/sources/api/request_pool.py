"""Concurrent requests: one that is too large is halved, one that fails is recorded, the others continue.

A single request runs in the calling thread. Several run in daemon threads: after Ctrl-C the interpreter need not wait
for a reply, which may take as long as the time-out.
"""

from __future__ import annotations

import threading
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING

from vapi_frames.cancellation import Stop, raise_if_cancelled
from vapi_frames.errors import ConnectionFailedError, StatusError, VapiFramesError, redirect_warnings
from vapi_frames.sources import progress
from vapi_frames.sources.api.pieces import split_in_half
from vapi_frames.sources.http.connection import is_oversized

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vapi_frames.sources.api.pieces import Piece

__all__ = ["RequestPool"]

_FAILURES_IN_A_ROW = 3  # after which no more requests are sent
_TICK = 0.1  # seconds between two updates of the progress
_SERVER_ERROR = 500  # the first status of an error of the server
_BAD_BODY = (400, 422)  # the statuses of a body that the server rejects


class RequestPool:
    """The requests of one fetch.

    Args:
        send: Sends a batch of pieces as one request and stores what arrives. It takes the batch, the number of
            attempts (``None`` for the usual one), and whether the batch can be divided.
        workers: How many requests run concurrently.

    Attributes:
        errors: Why pieces are missing, the first reason first.
        warnings: The warnings of the requests; their threads have no line of the caller's code to show them at.
    """

    def __init__(self, send: Callable[[list[Piece], int | None, bool], None], workers: int) -> None:
        self._send = send
        self._workers = workers
        self._pending: deque[tuple[list[Piece], int | None]] = deque()
        self._active = 0
        self._failures_in_a_row = 0
        self._change = threading.Condition()
        self._stop = Stop()
        self.errors: list[BaseException] = []
        self.warnings: list[str] = []

    def run(self, batches: Iterable[list[Piece]]) -> None:
        """Send *batches*; return when each has arrived or failed, or when the others would fail, too."""
        self._pending.extend((batch, None) for batch in batches)
        try:
            while self._pending:
                if len(self._pending) == 1:
                    self._send_next()
                else:
                    self._run_threads()
        except BaseException as error:  # noqa: BLE001 - above all Ctrl-C: what has arrived is returned
            self._end(error)

    def _run_threads(self) -> None:
        threads = [
            threading.Thread(target=copy_context().run, args=(self._work,), daemon=True)
            for _ in range(min(self._workers, len(self._pending)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                if self._stop.is_set:
                    return  # the replies to what was sent already would change nothing
                thread.join(_TICK)
                progress.tick()
                raise_if_cancelled()

    def _work(self) -> None:
        with self._stop.scope():
            while True:
                with self._change:
                    while not self._pending and self._active:  # an active batch may yet be halved
                        self._change.wait()
                    if not self._pending:
                        return
                    self._active += 1
                try:
                    self._send_next()
                except BaseException as error:  # noqa: BLE001 - the calling thread raises it
                    self._end(error)
                finally:
                    with self._change:
                        self._active -= 1
                        self._change.notify_all()

    def _send_next(self) -> None:
        with self._change:
            if not self._pending:
                return
            batch, attempts = self._pending.popleft()
        middle = len(batch) // 2
        parts = [batch[:middle], batch[middle:]] if middle else [[piece] for piece in split_in_half(batch[0])]
        try:
            with redirect_warnings(self._add_warning):
                self._send(batch, attempts, bool(parts))
        except VapiFramesError as error:
            error.__traceback__ = None  # it is of a thread that has ended when the error is raised
            self._handle_error(error, batch, parts)
        else:
            with self._change:
                self._failures_in_a_row = 0
            progress.arrived(len(batch))

    def _handle_error(self, error: VapiFramesError, batch: list[Piece], parts: list[list[Piece]]) -> None:
        if self._stop.is_set:
            return  # the reason for the end is recorded, and this error may come of it
        if parts and is_oversized(error):
            self._retry(parts, None)
            progress.expect(sum(map(len, parts)) - len(batch))
        elif len(batch) > 1 and _is_about_body(error):
            self._retry(parts, 1)  # one query may be the reason, or the number of queries
        else:
            with self._change:
                self._failures_in_a_row += 1
                is_over = self._failures_in_a_row >= _FAILURES_IN_A_ROW
            if is_over or is_permanent(error):
                self._end(error)
            else:
                self.errors.append(error)

    def _retry(self, parts: list[list[Piece]], attempts: int | None) -> None:
        with self._change:
            if not self._stop.is_set:
                self._pending.extendleft((part, attempts) for part in reversed(parts))
                self._change.notify_all()

    def _end(self, error: BaseException) -> None:
        """Send nothing more: neither pending batches nor the retries of those that wait."""
        self._stop.set()
        with self._change:
            self.errors.append(error)
            self._pending.clear()
            self._change.notify_all()

    def _add_warning(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)


def _is_about_body(error: VapiFramesError) -> bool:
    return isinstance(error, StatusError) and (error.status >= _SERVER_ERROR or error.status in _BAD_BODY)


def is_permanent(error: VapiFramesError) -> bool:
    """Return whether the other requests would fail in the same way."""
    if is_oversized(error):
        return False
    return isinstance(error, ConnectionFailedError) or (isinstance(error, StatusError) and error.status < _SERVER_ERROR)
