"""The names of the organization's assistants, which analytics does not return."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vapi_frames.errors import AuthenticationError, ResponseError, ResponseWarning, format_value, warn
from vapi_frames.sources.api.listing import LIMIT, Listing

if TYPE_CHECKING:
    from datetime import datetime

    from vapi_frames.sources.http.connection import Connection

__all__ = ["assistants"]


def assistants(connection: Connection, *, now: datetime, limit: int = LIMIT) -> dict[str, str] | None:
    """Return id → name of the assistants that have a name; ``None``, with a warning, for a key that may not list them.

    Args:
        connection: The API.
        now: The clock.
        limit: How many assistants a page has at most.

    Raises:
        SourceError: There was no reply, or there is no key.
        ResponseError: The reply is no list of assistants.
    """
    connection.scope()  # raises if there is no key; only a key that is refused is a warning
    try:
        records = Listing(connection, "/assistant", limit=limit).all(now)
    except AuthenticationError as error:
        warn(f"this key may not list assistants, so they are shown by id: {error}", ResponseWarning)
        return None
    found = {}
    for place, record in enumerate(records):
        if not isinstance(record, dict) or not isinstance(record.get("id"), str):
            raise ResponseError(f"expected an assistant with an id, not {format_value(record)}", path=f"$[{place}]")
        name = record.get("name")
        if isinstance(name, str) and name:
            found[record["id"]] = name
    return found
