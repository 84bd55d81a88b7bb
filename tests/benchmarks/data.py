"""Call records of any number, the same for the same seed: files of a million calls, each with its own part of twenty months."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import vapi_frames as vf

BEGIN, END = datetime(2025, 3, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
ZONE = "America/New_York"
_FILE = 1_000_000
ROW_GROUP = 122_880
"""The rows of a row group, as DuckDB writes them."""


def calls(rows, seed, start=BEGIN, end=END):
    """Return call records that lie in the range."""
    return vf.sample_calls(rows, seed, start=start.isoformat(), end=end.isoformat())


def files(folder, rows, seed):
    """Write call records as Parquet; return the glob of the files."""
    folder = Path(folder, f"calls-{rows}-{seed}")
    folder.mkdir(parents=True, exist_ok=True)
    count = max(1, rows // _FILE)
    for at in range(count):
        start, end = (BEGIN + (END - BEGIN) * part / count for part in (at, at + 1))
        frame = calls(rows // count, seed + at, start, end)
        if at + 1 < count:  # a call in progress at the end of its part would never end
            frame = frame[frame["endedAt"].notna()]
        frame.to_parquet(folder / f"{at:02}.parquet", index=False, row_group_size=ROW_GROUP)
    return str(folder / "*.parquet")
