"""Random queries of random calls: the reference, every form of records, and the endpoint agree."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.endpoint import absolute, serving
from tests.support.examples import examples
from tests.support.reference import compute
from tests.support.shapes import as_frame, as_json_files, check
from tests.support.strategies import NOW, answerable_queries, call_lists

pytestmark = pytest.mark.extra("local")


@pytest.fixture(scope="module")
def endpoint():
    """Serve whatever `Switch.inner` is, and return it with a Vq over HTTP."""
    with serving(NOW) as served:
        yield served


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning")
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.ResponseWarning")  # an hour's date leaves two readings
@examples(7)
@given(st.data())
def test_every_form_of_the_records_gives_the_oracles_answer(tmp_path_factory, endpoint, data):
    """A number does not depend on the form of the call records, and is the one that plain loops give."""
    around, calls = data.draw(call_lists())
    query = data.draw(answerable_queries(around))
    expected = compute(calls, query, NOW)
    frame = as_frame(calls)
    folder = tmp_path_factory.mktemp("calls")
    half = len(frame) // 2
    frame.iloc[:half].to_parquet(folder / "1.parquet")
    frame.iloc[half:].to_parquet(folder / "2.parquet")
    forms = {
        "frame": frame,
        "arrow": pa.Table.from_pandas(frame, preserve_index=False),
        "files": str(folder / "*.parquet"),
        "json": calls,
    }
    if data.draw(st.booleans()):
        forms["underscores"] = frame.rename(columns=lambda name: name.replace(".", "_"))
    else:
        forms["json files"] = as_json_files(calls, tmp_path_factory.mktemp("json"))
    first = None
    for name, form in forms.items():
        frame_of_form = vf.local(form, now=NOW).fetch(query)[query.body(NOW)["queries"][0]["name"]]
        check(frame_of_form, query, expected)
        if first is None:
            first = frame_of_form
        pd.testing.assert_frame_equal(frame_of_form, first, rtol=1e-9, obj=name)
    switch, over_http = endpoint
    switch.inner = vf.local(frame, now=NOW).source
    frames = over_http.fetch(absolute(query, NOW))
    pd.testing.assert_frame_equal(next(iter(frames.values())), first, rtol=1e-9, obj="endpoint")


def test_nested_call_json_is_read_like_flat_records():
    """What GET /call returns needs no preparation: parts of the cost and variables are found where the API puts them."""
    nested = [
        {
            "id": "1", "type": "webCall", "createdAt": "2026-11-01T05:30:00.000Z", "startedAt": "2026-11-01T05:30:00Z",
            "endedAt": "2026-11-01T01:31:30-04:00", "cost": 1, "analysis": {"successEvaluation": "true"},
            "costBreakdown": {"stt": 0.25, "analysisCostBreakdown": {"summary": 0.5}},
            "artifact": {"variableValues": {"plan": "pro", "seats": 3}},
        },
        {"id": "2", "createdAt": "2026-11-01T06:30:00Z", "cost": 2.5, "costBreakdown": {"stt": 0.5},
         "assistantOverrides": {"variableValues": {"plan": "free"}}},
    ]  # fmt: skip
    vq = vf.local(json.loads(json.dumps(nested)), now="2026-12-02T00:00Z")
    frame = (
        vq.call().sum("cost", "costBreakdown.transcriber", "costBreakdown.analysisBreakdown.summary").avg("duration")
        .by("type").by_variable("plan", "seats").step("hour").tz("America/New_York").during("2026-11").fetch()
    )  # fmt: skip
    assert [str(date) for date in frame.index.get_level_values("date")] == [
        "2026-11-01 01:00:00-04:00",
        "2026-11-01 01:00:00-05:00",
    ]
    assert frame["sumCost"].tolist() == [1.0, 2.5]
    assert frame["sumCostBreakdownTranscriber"].tolist() == [0.25, 0.5]
    assert frame["avgDuration"].iloc[0] == 1.5
    assert np.isnan(frame["avgDuration"].iloc[1])
    assert frame.index.get_level_values("plan").tolist() == ["pro", "free"]
    assert frame.index.get_level_values("seats")[0] == "3"
    assert pd.isna(frame.index.get_level_values("type")[1])


def test_structs_and_maps_in_parquet_are_read_like_flat_columns(tmp_path):
    """Parquet written by other tools keeps parts of the cost in structs and variables in maps."""
    created = pa.array([datetime(2026, 11, 1, tzinfo=UTC)] * 2, pa.timestamp("ns", "UTC"))
    cost = pa.array(
        [{"llm": 0.5, "analysisCostBreakdown": {"summary": 1.0}}, {"llm": None, "analysisCostBreakdown": None}]
    )
    variables = pa.array([[("plan", "pro")], []], pa.map_(pa.string(), pa.string()))
    artifact = pa.StructArray.from_arrays([variables], ["variableValues"])
    table = pa.table({"id": ["1", "2"], "createdAt": created, "costBreakdown": cost, "artifact": artifact})
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, tmp_path / "calls.parquet")
    for form in (table, tmp_path / "calls.parquet", tmp_path):
        query = (
            vf.local(form, now="2026-12-02T00:00Z")
            .call()
            .sum("costBreakdown.llm", "costBreakdown.analysisBreakdown.summary")
            .by_variable("plan")
        )
        frame = query.during("2026-11").fetch()
        assert frame["sumCostBreakdownLlm"].tolist()[0] == 0.5
        assert np.isnan(frame["sumCostBreakdownLlm"].tolist()[1])
        assert frame["sumCostBreakdownAnalysisBreakdownSummary"].tolist()[0] == 1.0
        assert frame.index[0] == "pro"
        assert pd.isna(frame.index[1])
