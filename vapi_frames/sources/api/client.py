"""The API as rows: several queries in one request, each reply read into the rows of its query."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vapi_frames.contract.models import parse_replies
from vapi_frames.errors import ResponseWarning, warn
from vapi_frames.result.reply import match_replies, read_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vapi_frames.query.query import Query
    from vapi_frames.result.reply import Rows
    from vapi_frames.sources import Wire
    from vapi_frames.sources.http.connection import Connection

__all__ = ["ApiClient"]


class ApiClient:
    """The API, one request at a time; `vapi_frames.sources.api.source.ApiSource` combines and divides queries.

    Args:
        wire: Takes the requests: a connection, or recordings.
        kind: The source's name in the metadata of frames.
        now: The clock; the system's by default.
    """

    def __init__(self, wire: Wire, *, kind: str = "api", now: datetime | None = None) -> None:
        self.wire = wire
        self.kind = kind
        self._now = now

    def now(self) -> datetime:
        """Return the clock by which relative ranges resolve, in UTC."""
        return self._now or datetime.now(UTC)

    @property
    def connection(self) -> Connection | None:
        """The connection for requests beyond analytics; ``None`` for recordings."""
        from vapi_frames.sources.http.connection import Connection

        return self.wire if isinstance(self.wire, Connection) else None

    def fetch_rows(
        self, queries: Sequence[Query[Any]], now: datetime, *, attempts: int | None = None, divisible: bool = False
    ) -> list[Rows]:
        """Return the rows of *queries*, which have no filters, by one POST.

        Args:
            queries: The queries, with different names.
            now: The instant that relative ranges end at.
            attempts: How often the request is sent at most; by default as often as the wire allows.
            divisible: Whether the caller can send less: an oversized request is then not retried as it is.

        Raises:
            SourceError: There was no reply.
            ResponseError: The reply breaks the contract.
        """
        requested = [query.body(now)["queries"][0] for query in queries]
        body = json.dumps({"queries": requested}).encode()
        replies = parse_replies(self.wire.post("/analytics", body, attempts=attempts, divisible=divisible))
        places = match_replies([one.name for one in replies], [one["name"] for one in requested])
        if len(replies) > len(requested):
            others = ", ".join(repr(one.name) for place, one in enumerate(replies) if place not in places)
            warn(f"the reply has results that were not requested, and are left out: {others}", ResponseWarning)
        return [
            read_rows(replies[place], query, now, place=place) for place, query in zip(places, queries, strict=True)
        ]

    def __repr__(self) -> str:
        return repr(self.wire)
