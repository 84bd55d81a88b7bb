"""What an archive keeps, and what the file of a day says of itself: its UTC day, when it was fetched, what it keeps."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "API_RETENTION",
    "ARCHIVE_OPTIONS",
    "DAY_STATE",
    "ArchivedDay",
    "find_archive_option",
    "find_day",
    "is_archived_day",
    "read_archived_day",
    "read_day_state",
]

API_RETENTION = timedelta(days=14)
"""How long the API lists a call on the pay-as-you-go plan."""
DAY_STATE = b"vapi-frames: archive"
"""The key of a day's state in the metadata of its file."""
ARCHIVE_OPTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "variables": {"variableValues": ()},
    "outputs": {
        "artifact.structuredOutputs": (),
        "artifact.skippedStructuredOutputs": (),
        "artifact.scorecards": (),
    },
    "transcripts": {
        "transcript": ("transcript", "artifact.transcript"),
        "analysis.summary": ("analysis.summary", "summary"),
        "messages": ("messages", "artifact.messages"),
    },
    "recordings": {
        "recordingUrl": ("recordingUrl", "artifact.recordingUrl", "artifact.recording.mono.combinedUrl"),
        "stereoRecordingUrl": ("stereoRecordingUrl", "artifact.stereoRecordingUrl", "artifact.recording.stereoUrl"),
    },
    "customers": {
        f"customer.{name}": (f"customer.{name}",) for name in ("number", "name", "email", "externalId", "sipUri")
    },
}
"""Option → the columns that it keeps, and for texts the paths where a record may have them."""


class ArchivedDay(NamedTuple):
    """What the file of a day says of itself.

    Attributes:
        begin: When the day begins.
        fetched: When it was fetched.
        keeps_variables: Whether it was fetched with variables.
        variables: The keys of the variables of its calls; ``None`` where there are too many, and of an earlier version,
            which has a column for each.
    """

    begin: datetime
    fetched: datetime
    keeps_variables: bool
    variables: frozenset[str] | None


def find_archive_option(column: str) -> str | None:
    """Return the option that makes an archive keep *column*; ``None`` for a column that it keeps without one.

    Examples:
        >>> find_archive_option("customer.number")
        'customers'
    """
    found = next((option for option, columns in ARCHIVE_OPTIONS.items() if column in columns), None)
    return None if found in ("variables", "outputs") else found


def find_day(name: str) -> datetime | None:
    """Return when the day begins that a file called *name* is, by its name.

    Examples:
        >>> str(find_day("2026-10-01.parquet"))
        '2026-10-01 00:00:00+00:00'
        >>> find_day("calls.parquet")
    """
    day, _, ending = name.partition(".")
    if ending != "parquet" or len(day) != len("2026-10-01"):
        return None
    try:
        return datetime.fromisoformat(day).replace(tzinfo=UTC)
    except ValueError:
        return None


def read_archived_day(path: str) -> ArchivedDay | None:
    """Return what a Parquet file says of the day that it is; ``None`` for a file of another kind."""
    from pyarrow.parquet import read_schema

    try:
        return read_day_state(path, read_schema(path).metadata)
    except ValueError:
        return None


def read_day_state(path: str, metadata: Mapping[bytes, bytes] | None) -> ArchivedDay | None:
    """Return what the *metadata* of the file at *path* say of the day that it is, if it is one."""
    try:
        begin = datetime.strptime(Path(path).stem, "%Y-%m-%d").replace(tzinfo=UTC)
        state = json.loads((metadata or {})[DAY_STATE])
        fetched = datetime.fromisoformat(state["fetched"]).astimezone(UTC)
        kept, keys = state.get("kept"), state.get("variables")
        return ArchivedDay(
            begin, fetched, kept is None or "variables" in kept, None if keys is None else frozenset(keys)
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def is_archived_day(path: str) -> bool:
    """Return whether a Parquet file says that an archive wrote it; also where it is too damaged to say anything."""
    from pyarrow import ArrowException
    from pyarrow.parquet import read_schema

    try:
        return DAY_STATE in (read_schema(path).metadata or {})
    except (ArrowException, OSError):
        return True
