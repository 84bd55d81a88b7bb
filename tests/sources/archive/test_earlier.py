"""An archive that an earlier version wrote: it is read as the calls were, and a run adds to it."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vapi_frames as vf
from tests.support.call_list import DATA, EARLIER, Calls, at, call, ids, store

CALLS = [json.loads(line) for line in (DATA / "archive-2026-10.jsonl").read_text("utf-8").splitlines()]
"""The calls that the API listed when the archive was made."""


@pytest.fixture
def earlier(tmp_path):
    """Return a copy of the archive."""
    folder = tmp_path / "calls"
    shutil.copytree(EARLIER, folder)
    return folder


@pytest.mark.extra("local")
def test_counts_sums_and_variables_of_an_earlier_archive():
    """Each number is that of a plain loop over the calls."""
    query = vf.local(EARLIER, now=at(6)).call().count().sum("cost", "costBreakdown.transcriber").by_variable("plan")
    frame = query.between("2026-10-01", "2026-10-05").fetch()
    plans = [one["artifact"]["variableValues"].get("plan") for one in CALLS]
    found = {None if pd.isna(plan) else plan: row for plan, row in frame.iterrows()}
    assert {plan: row["countId"] for plan, row in found.items()} == Counter(plans)
    for plan, row in found.items():
        mine = [one for one, its in zip(CALLS, plans, strict=True) if its == plan]
        assert row["sumCost"] == pytest.approx(sum(one["cost"] for one in mine))
        parts = [one["costBreakdown"]["stt"] for one in mine if one["costBreakdown"]]
        assert row["sumCostBreakdownTranscriber"] == pytest.approx(sum(parts))


@pytest.mark.extra("local")
def test_an_earlier_archive_has_the_results_of_its_calls():
    """By day, type and variables with odd names, the two sources give equal frames."""
    frames = []
    for source in (EARLIER, CALLS):
        query = vf.local(source, now=at(6)).call().count().sum("duration").avg("cost").max("costBreakdown.llm")
        query = query.by("type", "endedReason").by_variable("Région", "vip", "attempt").step("day")
        frames.append(query.between("2026-10-01", "2026-10-05").fetch())
    pd.testing.assert_frame_equal(*frames)


@pytest.mark.extra("local")
def test_a_run_adds_to_an_earlier_archive(earlier):
    """Its days are fetched again while the API lists them, for more columns, and keep what only the archive has."""
    calls = Calls(call("new", at(5)), call("more", at(3, 7)))
    done = store(calls, earlier, since="2026-10-01", until="2026-10-06", now=at(17))
    assert (done.days, done.calls, done.updated) == (3, 2, 0)
    done = store(calls, earlier, since="2026-10-01", until="2026-10-06", now=at(17))
    assert (done.days, done.calls, done.updated) == (0, 0, 0)
    found = {id_ for day in ids(earlier).values() for id_ in day}
    assert found == {*(one["id"] for one in CALLS), "new", "more"}
    frame = vf.local(earlier, now=at(6)).call().count().by_variable("plan").between("2026-10-01", "2026-10-06").fetch()
    expected = Counter(one["artifact"]["variableValues"].get("plan") for one in CALLS) + Counter({"pro": 2})
    assert {None if pd.isna(plan) else plan: count for plan, count in frame["countId"].items()} == expected
    rows = pq.read_table(earlier / "2026-10-03.parquet").to_pylist()
    assert [row["transcript"] for row in rows if row["id"] == "call-02"] == ["AI: made-up 2"]


@pytest.mark.extra("local")
@pytest.mark.parametrize("in_one_file", [True, False])
@pytest.mark.parametrize("has_run", [True, False])
def test_variables_that_differ_by_case_only_are_two(in_one_file, has_run, earlier):
    """An earlier version kept each in a column of its own, in one file or two; a run makes a map of both."""
    path = earlier / "2026-10-02.parquet"
    table = pq.read_table(path)
    changed = table.rename_columns([name.replace("plan", "Plan") for name in table.column_names])
    if in_one_file:
        changed = table.append_column("variableValues.Plan", pa.array(["x", *[None] * (len(table) - 1)]))
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)
    if has_run:
        store(Calls(), earlier, since="2026-10-02", until="2026-10-03", now=at(7))
        assert "variableValues" in pq.read_schema(path).names
    plans = {
        day: [one["artifact"]["variableValues"].get("plan") for one in CALLS if _day(one) == day] for day in (1, 2, 3)
    }
    expected = {
        "plan": Counter(plan for day in (1, 2, 3) for plan in plans[day] if in_one_file or day != 2),
        "Plan": Counter(["x"] if in_one_file else plans[2]),
    }
    for key, counts in expected.items():
        query = vf.local(earlier, now=at(25)).call().count().by_variable(key).during("2026-10")
        frame = query.fetch()
        assert frame.vapi.coverage["missingDays"] == 25 - 4
        found = frame["countId"]
        assert {plan: count for plan, count in found.items() if not pd.isna(plan)} == {
            plan: count for plan, count in counts.items() if plan
        }


def _day(record):
    return int(record["createdAt"][8:10])
