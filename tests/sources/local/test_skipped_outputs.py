"""Outputs that were skipped are counted apart from those that are absent."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import vapi_frames as vf

pytestmark = pytest.mark.extra("local")
NOW = "2026-11-01T00:00Z"
HAS = {"structuredOutputs": {"a": {"name": "CSAT", "result": 4}}}
SKIPS = {"skippedStructuredOutputs": {"a": {"name": "CSAT"}}}
OTHER = {"skippedStructuredOutputs": {"b": {"name": "Outcome"}}}
ARTIFACTS = [HAS, HAS, SKIPS, SKIPS, SKIPS, OTHER, {}]
CALLS = [
    {"id": str(number), "createdAt": "2026-10-05T09:00:00Z", "status": "ended", "artifact": artifact}
    for number, artifact in enumerate(ARTIFACTS)
]


def write(calls, folder, length):
    """Write the calls as a JSON file, each with a transcript of a *length*."""
    path = folder / "calls.json"
    path.write_text(json.dumps([{**one, "artifact": {**one["artifact"], "transcript": "x" * length}} for one in calls]))
    return path


@pytest.mark.parametrize("form", ["list", "frame", "file", "large file"])
@pytest.mark.parametrize("word", ["CSAT", "CSAT.score"])
def test_skipped_outputs_are_counted_apart(tmp_path, form, word):
    """By every road; a field of a skipped output is skipped with it."""
    source = {
        "list": lambda: CALLS,
        "frame": lambda: pd.DataFrame(CALLS),
        "file": lambda: write(CALLS, tmp_path, 1),
        "large file": lambda: write(CALLS, tmp_path, 400_000),
    }[form]()
    frame = vf.local(source, now=NOW).call().count().by_output(word).during("2026-10").fetch()
    has = 2 if word == "CSAT" else 0
    assert frame.vapi.coverage[["calls", "skippedOutputs", "withoutOutputs"]].tolist() == [7, 3, 4 - has]
    assert "3 with an output that was skipped" in frame.vapi.describe().replace("\n", " ")


def test_other_queries_count_none():
    """A query without outputs has the counts that it had."""
    frame = vf.local(CALLS, now=NOW).call().count().during("2026-10").fetch()
    assert "skippedOutputs" not in frame.vapi.coverage.index
