"""A source that is no wire, asked by requests all the same: it answers as the endpoint does, without one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from vapi_frames.contract.models import parse_request
from vapi_frames.errors import warning_handler
from vapi_frames.query.query import Query
from vapi_frames.result.write import write_replies

if TYPE_CHECKING:
    from datetime import datetime

    from vapi_frames.sources import Source

__all__ = ["InProcessWire"]


class InProcessWire:
    """A wire to whoever answers in this process.

    Args:
        source: Who answers.
        now: Its clock.
    """

    def __init__(self, source: Source, now: datetime) -> None:
        self._source = source
        self._now = now
        self._turn = threading.Lock()  # a connection to a database may not take two questions at once

    def post(self, path: str, body: bytes, *, attempts: int | None = None, divisible: bool = False) -> bytes:  # noqa: ARG002
        """Return the body of the reply; the errors are those of the source."""
        asked = parse_request(body).queries
        queries = [Query.from_body(one) for one in asked]
        # What a source warns of is not said of a reply: it is shown as ever, at the line that asks.
        token = warning_handler.set(None)
        try:
            with self._turn:
                answers = self._source.answer(queries, self._now)
        finally:
            warning_handler.reset(token)
        return write_replies(answers, asked, queries, self._now)

    def scope(self) -> str:
        """Return who answers."""
        return repr(self._source)

    def __repr__(self) -> str:
        return repr(self._source)
