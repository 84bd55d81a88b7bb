"""The first query to a large JSON file of call records, in a fresh process, and a later one."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.data import calls
from tests.benchmarks.timing import Row, format_seconds, paired, peak

HAND = "DuckDB's read_json, with the three columns named by hand"
_WORDS = [
    "hello",
    "yes",
    "no",
    "please",
    "okay",
    "thanks",
    "account",
    "number",
    "appointment",
    "tomorrow",
    "call",
    "back",
    "number",
    "could",
    "should",
]
_MESSAGES = 60  # of a call; with its transcript, a call takes some 10 kB

_OURS = """
import sys, time
began = time.perf_counter()  # imports count for both: this package imports what a query needs with the first
import vapi_frames as vf
def run(query):
    return query.fetch()["sumCost"].sum()
query = vf.local(sys.argv[1]).call().sum("cost").by("assistantId").between("2025-03-01", "2026-11-01")
"""
_BY_HAND = """
import sys, time
began = time.perf_counter()
import duckdb, pandas
duckdb.sql("SET enable_progress_bar = false")
def run(query):
    return duckdb.sql(query).df()["c"].sum()
query = (
    f"SELECT assistantId, sum(cost) AS c FROM read_json('{sys.argv[1]}', format = '{sys.argv[2]}', records = true, "
    "columns = {createdAt: 'TIMESTAMPTZ', assistantId: 'VARCHAR', cost: 'DOUBLE'}) "
    "WHERE createdAt >= '2025-03-01T00:00Z' AND createdAt < '2026-11-01T00:00Z' GROUP BY ALL"
)
"""
_MEASURED = """
found = run(query)
first = time.perf_counter() - began
began = time.perf_counter()
run(query)
print(first, time.perf_counter() - began, found)
"""


def heavy(count, seed):
    """Yield the JSON of call records with their messages and transcripts, as the API lists them."""
    rng = random.Random(seed)
    for record in calls(count, seed).to_dict("records"):
        said = [" ".join(rng.choices(_WORDS, k=12)) for _ in range(_MESSAGES)]
        parts = {name.partition(".")[2]: record[name] for name in record if name.startswith("costBreakdown.ll")}
        yield json.dumps({
            **{name: record[name] for name in ("id", "type", "status", "endedReason", "cost")},
            **{name: record[name].isoformat() for name in ("createdAt", "startedAt", "endedAt") if record[name] == record[name]},
            "assistantId": record["assistantId"] if record["assistantId"] == record["assistantId"] else None,
            "costBreakdown": parts,
            "messages": [{"role": "bot", "message": one, "secondsFromStart": 1.5 * at} for at, one in enumerate(said)],
            "artifact": {"variableValues": {"plan": "pro"}, "transcript": "\n".join(said)},
        })  # fmt: skip


def write(folder, count, seed):
    """Write the calls in three forms; return the path of each, and what DuckDB calls it."""
    lines = list(heavy(count, seed))
    names = {"lines": "calls.jsonl", "array": "calls.json", "gz": "calls.jsonl.gz"}
    paths = {form: Path(folder, f"{count}-{seed}-{name}") for form, name in names.items()}
    paths["lines"].write_text("\n".join(lines), encoding="utf-8")
    paths["array"].write_text(f"[{', '.join(lines)}]", encoding="utf-8")
    paths["gz"].write_bytes(gzip.compress("\n".join(lines).encode(), 6))
    return {form: (str(path), "array" if form == "array" else "newline_delimited") for form, path in paths.items()}


def ask(code, path, form):
    """Return the seconds of the first and of a later query in a fresh process, and the sum that it finds."""
    run = [sys.executable, "-W", "ignore", "-c", code + _MEASURED, path, form]
    return tuple(map(float, subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()))


def rows(seed, count, folder, rounds):
    """Yield the rows of the table."""
    for name, (path, form) in write(folder, count, seed).items():
        pairs = [(ask(_OURS, path, form), ask(_BY_HAND, path, form)) for _ in range(rounds)]
        assert all(abs(ours[2] - hand[2]) < 1e-6 for ours, hand in pairs)
        size = Path(path).stat().st_size / 1e6
        said = f"{count:,} heavy calls in JSON, {name} of {size:.0f} MB"
        by_hand = [hand[0] for _, hand in pairs]
        for what, at, mark in (("first query", 0, 2.5 if name == "lines" else 2.0), ("later query", 1, 0.1)):
            ours = [one[at] for one, _ in pairs]
            seconds = f"{format_seconds(ours)} / {format_seconds(by_hand)}"
            yield Row(f"{said}, {what}", f"{HAND}, first query", paired(ours, by_hand), mark, seconds)
        warm = 'vf.sample_calls(10).vapi.call().count().last("1y").fetch()\n'
        prepare = _OURS.replace("sys.argv[1]", repr(path)) + warm
        above = peak(prepare, "run(query)")
        yield Row(f"{said}, peak memory", "the idle process", above, 300, "on the threads of this machine", "MB")
