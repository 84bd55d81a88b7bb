"""What the file of an archived day says of itself: that it is one, which UTC day it is, and when it was fetched."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

__all__ = ["API_RETENTION", "DAY_STATE", "is_archived_day", "read_archived_day"]

API_RETENTION = timedelta(days=14)
"""How long the API lists a call on the pay-as-you-go plan."""
DAY_STATE = b"vapi-frames: archive"
"""The key of a day's state in the metadata of its file."""


def read_archived_day(path: str) -> tuple[datetime, datetime] | None:
    """Return the begin of the day of a Parquet file, and when it was fetched; ``None`` for a file of another kind."""
    from pyarrow.parquet import read_schema

    try:
        day = datetime.strptime(Path(path).stem, "%Y-%m-%d").replace(tzinfo=UTC)
        state = json.loads((read_schema(path).metadata or {})[DAY_STATE])
        return day, datetime.fromisoformat(state["fetched"]).astimezone(UTC)
    except (ValueError, KeyError, TypeError):
        return None


def is_archived_day(path: str) -> bool:
    """Return whether a Parquet file says that an archive wrote it; also where it is too damaged to say anything."""
    from pyarrow import ArrowException
    from pyarrow.parquet import read_schema

    try:
        return DAY_STATE in (read_schema(path).metadata or {})
    except (ArrowException, OSError):
        return True
