"""Any source in this process as a wire: it replies to requests as the endpoint does."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from vapi_frames.contract.models import parse_request
from vapi_frames.errors import redirect_warnings
from vapi_frames.query.query import Query
from vapi_frames.redact import Redactor, environment_keys
from vapi_frames.result.write import write_replies

if TYPE_CHECKING:
    from datetime import datetime

    from vapi_frames.sources import Source

__all__ = ["InProcessWire"]


class InProcessWire:
    """A wire to a source in this process.

    Args:
        source: The source.
        now: Its clock.
    """

    def __init__(self, source: Source, now: datetime) -> None:
        self._source = source
        self._now = now
        self._turn = threading.Lock()  # a database connection may not run two queries at the same time

    def post(self, path: str, body: bytes, *, attempts: int | None = None, divisible: bool = False) -> bytes:  # noqa: ARG002
        """Return the body of the reply; errors are those of the source."""
        requested = parse_request(body).queries
        queries = [Query.from_body(one) for one in requested]
        # Warnings of the source are shown at the line that fetches, not collected as those of a reply.
        with redirect_warnings(None), self._turn:
            results = self._source.answer(queries, self._now)
        return write_replies(results, requested, queries, self._now)

    def scope(self) -> str:
        """Return the repr of the source."""
        return repr(self._source)

    def redactor(self) -> Redactor:
        """Return a redactor of the keys in the environment."""
        return Redactor(environment_keys(os.environ))

    def __repr__(self) -> str:
        return repr(self._source)
