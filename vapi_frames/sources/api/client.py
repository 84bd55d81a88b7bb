"""Answers from the API: several questions in one body, each reply read into the rows of its question."""

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
    """The API, one request at a time; `vapi_frames.sources.api.source` makes few requests of many questions.

    Args:
        wire: How a body gets there: a connection, or a recording.
        kind: What the frame's meta says of where it came from.
        now: Its clock; the wall clock by default.
    """

    def __init__(self, wire: Wire, *, kind: str = "api", now: datetime | None = None) -> None:
        self.wire = wire
        self.kind = kind
        self._now = now

    def now(self) -> datetime:
        """Return the wall clock, or the one that it was given."""
        return self._now or datetime.now(UTC)

    @property
    def connection(self) -> Connection | None:
        """By which the API is asked for more than analytics; a recording has none."""
        from vapi_frames.sources.http.connection import Connection

        return self.wire if isinstance(self.wire, Connection) else None

    def ask(
        self, queries: Sequence[Query[Any]], now: datetime, *, attempts: int | None = None, divisible: bool = False
    ) -> list[Rows]:
        """Ask *queries*, which have no filters, by one POST.

        Args:
            queries: The questions; their names differ.
            now: As of when.
            attempts: How often it is tried, if not as often as may be.
            divisible: Whether less can be asked at once: what may come of too much is then not tried again.

        Raises:
            SourceError: Nobody answered.
            ResponseError: The reply breaks the contract.
        """
        wanted = [query.body(now)["queries"][0] for query in queries]
        body = json.dumps({"queries": wanted}).encode()
        replies = parse_replies(self.wire.post("/analytics", body, attempts=attempts, divisible=divisible))
        places = match_replies([one.name for one in replies], [one["name"] for one in wanted])
        if len(replies) > len(wanted):
            others = ", ".join(repr(one.name) for place, one in enumerate(replies) if place not in places)
            warn(f"the reply has answers that nobody asked for, left out: {others}", ResponseWarning)
        return [
            read_rows(replies[place], query, now, place=place) for place, query in zip(places, queries, strict=True)
        ]

    def __repr__(self) -> str:
        return repr(self.wire)
