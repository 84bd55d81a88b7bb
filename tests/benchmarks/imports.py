"""The time that a fresh process takes for the import, and for the first query of the demo."""

from __future__ import annotations

import tempfile
from pathlib import Path

import vapi_frames as vf
from tests.benchmarks.timing import Row, format_seconds, paired, peak, process

DEMO = 'from vapi_frames import demo; demo().call().sum("cost").by("assistantId").step("day").tz("America/New_York").fetch()'
HAND = """
import pandas, duckdb
duckdb.sql('''
    SELECT date_trunc('day', "createdAt" AT TIME ZONE 'America/New_York') AS d, "assistantId", sum(cost)
    FROM read_parquet('{path}') WHERE "createdAt" >= TIMESTAMPTZ '2026-11-08 17:00+00' GROUP BY ALL ORDER BY ALL
''').df()
"""


def rows(rounds):
    """Yield the rows of the table."""
    pairs = [(process("import vapi_frames"), process("import pandas")) for _ in range(1 + rounds)][1:]
    ours, theirs = zip(*pairs, strict=True)
    said = f"{format_seconds(ours)} / {format_seconds(theirs)}, best of {rounds}"
    yield Row("import vapi_frames", "import pandas", min(ours) / min(theirs), 1.05, said)
    memory, held = (min(peak("", f"import {name}") for _ in range(5)) for name in ("vapi_frames", "pandas"))
    yield Row("the same, memory", "import pandas", memory / held, 1.05, f"{memory:.1f} MB / {held:.1f} MB")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "calls.parquet")
        vf.sample_calls().to_parquet(path)
        pairs = [(process(DEMO), process(HAND.format(path=path))) for _ in range(1 + rounds // 2)][1:]
    first, hand = zip(*pairs, strict=True)
    said = f"{format_seconds(first)} / {format_seconds(hand)}"
    yield Row(
        "first demo() query, cold process", "its SQL by hand, with pandas imported", paired(first, hand), 1.5, said
    )
