"""Outputs that were skipped are counted apart from those that are absent."""

from __future__ import annotations

import json
import re
from datetime import datetime

import pandas as pd
import pytest

import vapi_frames as vf
from tests.support.call_list import Calls, store
from vapi_frames.errors import RecordsWarning

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


SURVEY = {"structuredOutputs": {"s": {"name": "Survey", "result": {"score": 3}}}}


@pytest.mark.parametrize(
    "form", ["flat frame", *(pytest.param(one, marks=pytest.mark.long) for one in ("list", "file", "archive"))]
)
def test_an_output_that_no_call_has_names_the_nearest(tmp_path, form, choose):
    """As a group, a measure, a filter and a count of values; one that calls have or skipped is no error."""
    calls = [*CALLS, {**CALLS[0], "id": "survey", "artifact": SURVEY}]
    source = make_source(form, calls, tmp_path)
    vq = vf.local(source, now=NOW)
    query = vq.call().count().during("2026-10")
    pairs = (("CSTA", "CSAT"), ("Outcoem", "Outcome"), ("Survey.scor", "Survey.score"), ("csat", "CSAT"))
    for at, (wrong, right) in enumerate(pairs):
        uses = (
            query.by_output(wrong), query.avg(f"output.{wrong}"), query.nunique(f"output.{wrong}"),
            query.where({f"output.{wrong}": "4"}), query.where({f"output.{wrong}": None}),
        )  # fmt: skip
        for one in uses[choose(slice(at % 2, None, 2), slice(None))]:
            match = rf"^no call of the range has the output '{wrong}', .*; did you mean '{right}'"
            with pytest.warns(RecordsWarning) as caught:
                frame = vf.local(source, now=NOW).fetch(one)
            [frame] = frame.values()
            assert [bool(re.search(match, str(each.message))) for each in caught].count(True) == 1
            assert any(re.search(match, note) for note in frame.vapi.meta.notes)
    query.by_output("CSAT", "Outcome", "Survey.score").avg("output.CSAT").fetch()
    with pytest.warns(
        RecordsWarning, match="has the output 'Tone', which the query uses; the calls have: CSAT, Outcome, "
    ):
        query.by_output("Tone").fetch()


def make_source(form, calls, folder):
    """Return the calls in another form."""
    if form == "flat frame":
        return pd.json_normalize(calls)
    if form == "archive":
        pairs = [(one, datetime.fromisoformat(one["createdAt"])) for one in calls]
        store(Calls(*pairs), folder, since="2026-10-05", until="2026-10-06")
        return folder
    return calls if form == "list" else write(calls, folder, 1)
