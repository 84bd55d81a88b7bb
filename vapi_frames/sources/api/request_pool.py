"""Requests side by side: what fails is halved where that may help, what fails for good is remembered, the rest goes on.

A single request runs in the thread that asks. Several run in threads that an interpreter does not wait for when it
ends, because a request that nobody waits for any more may take as long as its timeout.
"""

from __future__ import annotations

import threading
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING

from vapi_frames.cancellation import Stop, raise_if_cancelled
from vapi_frames.errors import ConnectionFailedError, StatusError, VapiFramesError, warning_handler
from vapi_frames.sources import progress
from vapi_frames.sources.api.pieces import halves
from vapi_frames.sources.http.connection import is_too_much

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vapi_frames.sources.api.pieces import Piece

__all__ = ["Work"]

_IN_A_ROW = 3  # requests that fail for good, one after the other, until no more are sent
_TICK = 0.1  # seconds between two looks at what the workers do
_SERVER = 500  # the first status that is the server's own fault
_WRONG = (400, 422)  # the statuses of a body that the server dislikes


class Work:
    """The requests of one answer.

    Args:
        ask: Asks for a lot of pieces by one request, of how many attempts, and whether less can be asked; it keeps what
            arrives.
        workers: How many requests are under way at once.

    Attributes:
        failed: Why pieces are missing, the first reason first.
        heard: The warnings of the requests, which have no line of the caller's to show them at.
    """

    def __init__(self, ask: Callable[[list[Piece], int | None, bool], None], workers: int) -> None:
        self._ask = ask
        self._workers = workers
        self._pending: deque[tuple[list[Piece], int | None]] = deque()
        self._under_way = 0
        self._in_a_row = 0
        self._change = threading.Condition()
        self._stop = Stop()
        self.failed: list[BaseException] = []
        self.heard: list[str] = []

    def run(self, lots: Iterable[list[Piece]]) -> None:
        """Ask for all *lots*; returns when each has arrived or failed, or when no more can be had."""
        self._pending.extend((lot, None) for lot in lots)
        try:
            while self._pending:
                if len(self._pending) == 1:
                    copy_context().run(self._one)
                else:
                    self._side_by_side()
        except BaseException as error:  # noqa: BLE001 - Ctrl-C, above all: what has arrived is worth keeping
            self._end(error)
            self._stop.set()

    def _side_by_side(self) -> None:
        threads = [
            threading.Thread(target=copy_context().run, args=(self._work,), daemon=True)
            for _ in range(min(self._workers, len(self._pending)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(_TICK)
                progress.tick()
                raise_if_cancelled()

    def _work(self) -> None:
        with self._stop.scope():
            while True:
                with self._change:
                    while not self._pending and self._under_way:  # what is under way may yet be halved
                        self._change.wait()
                    if not self._pending:
                        return
                    self._under_way += 1
                try:
                    self._one()
                except BaseException as error:  # noqa: BLE001 - it is raised by the thread that asks
                    self._end(error)
                finally:
                    with self._change:
                        self._under_way -= 1
                        self._change.notify_all()

    def _one(self) -> None:
        """Ask for the next lot."""
        warning_handler.set(self._hear)
        with self._change:
            if not self._pending:
                return
            lot, attempts = self._pending.popleft()
        parts = [[piece] for piece in halves(lot[0])] if len(lot) == 1 else [lot[: len(lot) // 2], lot[len(lot) // 2 :]]
        try:
            self._ask(lot, attempts, bool(parts))
        except VapiFramesError as error:
            error.__traceback__ = None  # of a thread that is over
            self._failed(error, lot, parts)
        else:
            with self._change:
                self._in_a_row = 0
            progress.arrived(len(lot))

    def _failed(self, error: VapiFramesError, lot: list[Piece], parts: list[list[Piece]]) -> None:
        if parts and is_too_much(error):
            self._again(parts, None)
            progress.expect(sum(map(len, parts)) - len(lot))
        elif len(lot) > 1 and isinstance(error, StatusError) and (error.status >= _SERVER or error.status in _WRONG):
            self._again(parts, 1)  # one question may be what the server fails at, or their number
        else:
            with self._change:
                self._in_a_row += 1
                is_over = self._in_a_row >= _IN_A_ROW
            if is_over or _is_lasting(error):
                self._end(error)
            else:
                self.failed.append(error)

    def _again(self, parts: list[list[Piece]], attempts: int | None) -> None:
        with self._change:
            self._pending.extendleft((part, attempts) for part in reversed(parts))
            self._change.notify_all()

    def _end(self, error: BaseException) -> None:
        """Send nothing more."""
        with self._change:
            self.failed.append(error)
            self._pending.clear()
            self._change.notify_all()

    def _hear(self, message: str) -> None:
        if message not in self.heard:
            self.heard.append(message)


def _is_lasting(error: VapiFramesError) -> bool:
    """Say whether other requests would end as this one has."""
    if is_too_much(error):
        return False
    return isinstance(error, ConnectionFailedError) or (isinstance(error, StatusError) and error.status < _SERVER)
