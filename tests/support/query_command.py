"""The command ``vapi-frames query``, run in a process of its own, and its queries."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

from tests.support.servers import SAFETY
from vapi_frames.query.parse import parse_query

KEY = "query-command-test-key-0001"
SPEND = (
    'vq.call().sum("cost").count().by("type").step("day").between("2026-10-01", "2026-10-04").tz("America/New_York")'
)
COUNT = 'vq.call().count().between("2026-10-01", "2026-10-04")'
MISSING = [(datetime(2026, 10, 2, tzinfo=UTC), datetime(2026, 10, 3, tzinfo=UTC))]
LINES = [
    "vapi-frames: 1 of 2 pieces arrived",
    "vapi-frames: missing: [2026-10-02T00:00:00Z, 2026-10-03T00:00:00Z)",
    f"vapi-frames: still to fetch: {parse_query(COUNT)}",
]


def body(*names, **more):
    """Return the JSON of a body with a query of each name."""
    count = {"operation": "count", "column": "id"}
    return json.dumps({"queries": [{"table": "call", "name": name, "operations": [count], **more} for name in names]})


def run(*arguments, **more):
    """Run the command in a process of its own; return exit code, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "vapi_frames.cli", "query", *map(str, arguments)],
        capture_output=True, check=False, timeout=SAFETY * 6, **more,
    )  # fmt: skip
    return done.returncode, done.stdout.decode(), done.stderr.decode()
