"""The calls that a query counts: from every form of records they are those that plain loops find."""

from __future__ import annotations

import json
import math

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.drilled import check_calls, check_cells, keys_of, plain
from tests.support.examples import examples
from tests.support.reference import compute, fold
from tests.support.shapes import as_frame, as_json_files
from tests.support.strategies import NOW, call_lists, call_queries, filters
from tests.support.word_calls import compute as compute_words
from tests.support.word_calls import word_queries, word_records
from vapi_frames.errors import QueryError, RecordsError, RecordsWarning, SourceError, UnknownWordError

pytestmark = [
    pytest.mark.extra("local"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning"),
]


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")
@examples(15)
@given(st.data())
def test_the_calls_of_each_cell_add_up_to_it(tmp_path_factory, data):
    """Over a random frame, sum, count, minimum, maximum and median of the drilled calls are the cell."""
    around, calls = data.draw(call_lists())
    query = data.draw(call_queries(around))
    if data.draw(st.booleans()):
        query = query.where(data.draw(filters()))
    if data.draw(st.booleans()):
        query = query.median("duration").median("costBreakdown.llm")
    expected = compute(calls, query, NOW)
    frame = as_frame(calls)
    folder = tmp_path_factory.mktemp("calls")
    frame.iloc[: len(frame) // 2].to_parquet(folder / "1.parquet")
    frame.iloc[len(frame) // 2 :].to_parquet(folder / "2.parquet")
    forms = [frame, pa.Table.from_pandas(frame, preserve_index=False), str(folder / "*.parquet"), calls]
    forms.append(as_json_files(calls, tmp_path_factory.mktemp("json")))
    form = data.draw(st.sampled_from(forms))
    drilled = vf.local(form, now=NOW).drill(query, limit=None)
    check_calls(drilled, query, calls, NOW)
    check_cells(drilled, query, expected)


CALL = {
    "id": "b", "createdAt": "2026-10-05T09:00:00.000Z", "startedAt": "2026-10-05T09:00:01Z",
    "endedAt": "2026-10-05T09:01:31Z", "updatedAt": "2026-10-05T09:02:00Z", "type": "webCall", "status": "ended",
    "endedReason": "customer-ended-call", "assistantId": "sales", "cost": 0.25,
    "customer": {"number": "+15550100", "name": "Ada"},
    "artifact": {
        "transcript": "AI: Hello.", "variableValues": {"plan": "pro", "seats": 3},
        "performanceMetrics": {"turnLatencyAverage": 812.5, "numUserInterrupted": 2},
        "messages": [{"role": "bot", "message": "Hello."}],
    },
    "monitored": True,
}  # fmt: skip
OTHER = {"id": "a", "createdAt": "2026-10-05T08:00:00Z", "type": "webCall", "status": "ended", "cost": 0.0}
UNANSWERED = {"id": "c", "createdAt": "2026-10-06T08:00:00Z", "assistantId": "sales", "status": "ended", "cost": 0.0}
RECORDS = [CALL, OTHER, UNANSWERED]
PATHS = ["id", "updatedAt", "artifact.transcript", "artifact.performanceMetrics.numUserInterrupted", "artifact.messages",
         "monitored", "customer.number", "variableValues.plan", "variable.seats"]  # fmt: skip
NOVEMBER = "2026-11-01T00:00Z"


def forms(tmp_path):
    """Return RECORDS in each form that keeps all of a record."""
    table = pa.Table.from_pylist(RECORDS)
    pq.write_table(table, tmp_path / "calls.parquet")
    (tmp_path / "calls.json").write_text(json.dumps(RECORDS))
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, RECORDS)))
    text = {"artifact": json.dumps, "customer": json.dumps}
    cells = [{name: text.get(name, lambda one: one)(one) for name, one in call.items()} for call in RECORDS]
    return {
        "json": RECORDS,
        "texts": list(map(json.dumps, RECORDS)),
        "frame of objects": pd.DataFrame(RECORDS),
        "frame of texts": pd.DataFrame(cells),
        "arrow": table,
        "parquet": tmp_path / "calls.parquet",
        "json file": tmp_path / "calls.json",
        "lines": tmp_path / "lines.jsonl",
    }


FORMS = ["json", "texts", "frame of objects", "frame of texts", "arrow", "parquet", "json file", "lines"]


@pytest.mark.parametrize("form", FORMS)
def test_any_column_of_a_record_is_shown_by_its_path(tmp_path, form):
    """Each form of records gives what a record has at a path, in the type that it has there."""
    vq = vf.local(forms(tmp_path)[form], now=NOVEMBER)
    calls = vq.call().count().by("type").during("2026-10").drill(PATHS)
    assert list(calls.columns) == PATHS
    assert calls["id"].tolist() == ["a", "b", "c"]
    assert calls.index[:2].tolist() == ["webCall", "webCall"]
    assert pd.isna(calls.index[2])
    call = calls.set_index("id").loc["b"]
    assert call["updatedAt"] == pd.Timestamp("2026-10-05T09:02:00Z")
    assert call["artifact.transcript"] == "AI: Hello."
    assert call["artifact.performanceMetrics.numUserInterrupted"] == 2
    assert calls["artifact.performanceMetrics.numUserInterrupted"].dtype == "float64"
    assert call["artifact.messages"].replace(" ", "") in (
        '[{"role":"bot","message":"Hello."}]',
        '[{"message":"Hello.","role":"bot"}]',
    )
    assert bool(call["monitored"])
    assert [call["customer.number"], call["variableValues.plan"]] == ["+15550100", "pro"]
    assert float(call["variable.seats"]) == 3
    assert calls.drop(columns="id").iloc[0].isna().all()


def test_only_what_is_not_personal_is_shown_unasked():
    """Without columns= no number, name or text of a caller is shown, whatever the records and the query have."""
    query = vf.local(RECORDS, now=NOVEMBER).call().count().nunique("customer.number").during("2026-10")
    text = query.drill().to_csv()
    for personal in ("+15550100", "Ada", "Hello", "pro"):
        assert personal not in text
    assert list(query.drill().columns) == [
        "id", "createdAt", "startedAt", "endedAt", "duration", "cost", "endedReason", "status", "type", "assistantId",
    ]  # fmt: skip


def test_the_shape_depends_on_the_query_alone():
    """No calls, and records that lack a column, give the same columns and types."""
    vq = vf.local(RECORDS, now=NOVEMBER)
    query = vq.call().sum("cost", "costBreakdown.llm").by("type").step("day").tz("Europe/Berlin")
    full, none = query.during("2026-10").drill(), query.during("2026-09").drill()
    for other in (none, vf.local([]).drill(query.during("2026-10"))):
        assert len(other) == 0
        assert list(other.columns) == list(full.columns)
        assert other.dtypes.astype(str).tolist() == full.dtypes.astype(str).tolist()
        assert other.index.names == ["date", "type"]
    assert full["duration"].tolist()[1] == 1.5
    assert str(full["createdAt"].dtype) == "datetime64[us, Europe/Berlin]"
    bare = vf.local(pd.DataFrame({"createdAt": ["2026-10-05T08:00:00Z"]}), now=NOVEMBER).call()
    assert bare.during("2026-10").drill().isna().iloc[0].tolist() == [True, False, *[True] * 8]


def test_a_cut_is_warned_about():
    """A limit says that there are more calls; all of them, or exactly as many, say nothing."""
    query = vf.local(RECORDS, now=NOVEMBER).call().count().during("2026-10")
    with pytest.warns(RecordsWarning, match="drill returns the first 2 calls, and there are more: pass limit=None"):
        assert query.drill(limit=2)["id"].tolist() == ["a", "b"]
    assert len(query.drill(limit=3)) == len(query.drill(limit=None)) == 3


def test_bad_input_says_what_would_be_right():
    """Each error has the value, what would be right, and the line to type."""
    vq = vf.local(RECORDS, now=NOVEMBER)
    query = vq.call().count().during("2026-10")
    cases = [
        (lambda: query.drill("cost"), QueryError, r"columns must be a list of names, not text: columns=\['cost'\]"),
        (lambda: query.drill([]), QueryError, r"columns must be a list of columns of a call record, not \[\]"),
        (lambda: query.drill([7]), QueryError, r'a column is a path in a call record, such as "artifact.transcript", not 7'),
        (lambda: query.drill(["cost", "cost"]), QueryError, "columns has 'cost' twice"),
        (lambda: query.drill(["artifact.transcipt"]), RecordsError, "did you mean 'artifact.transcript'"),
        (lambda: query.drill(["costs."]), QueryError, "not 'costs.'"),
        (lambda: query.drill(["concurrency"]), UnknownWordError, "No single call has a concurrency"),
        *((lambda limit=limit: query.drill(limit=limit), QueryError, "limit must be a whole number from 1, or None")
          for limit in (0, -1, True, 2.5, "9")),
        (lambda: vq.subscription().sum("minutesUsed").drill(), QueryError, "a query of the subscription counts none"),
        (lambda: vq.subscription().max("concurrency").drill(), QueryError, "a query of the subscription counts none"),
        (lambda: vq.drill("cost"), QueryError, "drill takes a query, not str"),
        (lambda: vf.Query(table="call").count().drill(), QueryError, "the query has no source"),
    ]  # fmt: skip
    for act, kind, message in cases:
        with pytest.raises(kind, match=message):
            act()


def test_a_source_of_totals_refuses_by_name(tmp_path):
    """Recordings have no calls, and say so."""
    demo = vf.demo()
    query = demo.call().count().last("7d")
    vf.record(tmp_path, demo).fetch(query)
    with pytest.raises(SourceError, match=r"the recordings in .* has totals, and no calls to drill into"):
        vf.replay(tmp_path).drill(query)


def test_duplicates_are_drilled_as_they_are_counted():
    """What a query counts twice is shown twice, and what it leaves out is not shown."""
    calls = [CALL, CALL, OTHER]
    for duplicates, ids in (("keep", ["a", "b", "b"]), ("first", ["a", "b"])):
        vq = vf.local(calls, now=NOVEMBER, duplicates=duplicates)
        with pytest.warns(RecordsWarning, match="id"):
            drilled = vq.call().count().during("2026-10").drill(["id", "artifact.transcript"])
        assert drilled["id"].tolist() == ids


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")
@examples(24)
@given(word_records(), word_queries(), st.booleans())
def test_calls_under_words_beyond_the_contract_add_up_to_their_cells(tmp_path_factory, calls, query, is_file):
    """Groups, outputs and latencies that only records have are drilled by the same filters and groups."""
    form = calls
    if is_file:
        form = tmp_path_factory.mktemp("words") / "calls.jsonl"
        form.write_text("\n".join(map(json.dumps, calls)))
    vq = vf.local(form, now="2026-11-01T00:00Z")
    expected = compute_words(calls, query)
    drilled = vq.drill(query, limit=None)
    cells: dict = {key: [] for key in ([()] if not query.levels else [])}
    for at, key in enumerate(keys_of(drilled, query)):
        cells.setdefault(key, []).append(at)
    assert {key: len(places) for key, places in cells.items()} == {key: row[0] for key, row in expected.items()}
    for key, places in cells.items():
        for one, wanted in zip(query.measures, expected[key], strict=True):
            if one.column not in drilled or one.column == "id" or one.operation == "nunique":
                continue
            values = [value for value in map(plain, drilled[one.column].iloc[places]) if value is not None]
            got = fold(one.operation, values, one.q)
            assert got == wanted or math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-12), (key, one)


def test_words_beyond_the_contract_are_columns_too():
    """A word is shown where it is named, also where the query does not use it; an output by its name."""
    record = {**CALL, "phoneNumberId": "line", "squadId": "squad"}
    record["artifact"] = {**CALL["artifact"], "structuredOutputs": {"1": {"name": "CSAT", "result": 4}}}
    query = vf.local([record, OTHER], now=NOVEMBER).call().count().by("squadId").during("2026-10")
    calls = query.drill(["phoneNumberId", "turnLatency", "output.CSAT", "customer.number", "squadId"])
    assert list(calls.columns) == ["phoneNumberId", "turnLatency", "output.CSAT", "customer.number"]
    assert calls.loc["squad"].tolist() == ["line", 812.5, "4", "+15550100"]
    assert calls.iloc[1].isna().all()


def test_a_column_has_the_type_that_the_frame_has():
    """Times, numbers and Booleans of one's own stay what they are, also beside a column of lists."""
    calls = pd.DataFrame(
        {
            "createdAt": pd.to_datetime(["2026-10-05T00:00Z", "2026-10-06T00:00Z"]),
            "seen": pd.to_datetime(["2026-10-05T12:00Z", None]),
            "ok": [True, False],
            "tries": [1, 2],
            "tags": [["a", "b"], None],
        }
    )
    names = ["seen", "ok", "tries", "tags"]
    for columns in (names, names[:3]):
        shown = vf.local(calls).call().during("2026-10").drill(columns)
        assert shown.dtypes.astype(str).tolist()[:3] == ["datetime64[us, UTC]", "boolean", "float64"]
        assert shown["seen"].tolist()[0] == pd.Timestamp("2026-10-05T12:00Z")
    assert vf.local(calls).call().during("2026-10").drill(names)["tags"].tolist()[0] == '["a","b"]'
    with pytest.raises(
        RecordsError, match=r"no call record has 'startedAt', which drill should show; did you mean 'createdAt'"
    ):
        vf.local(calls).call().during("2026-10").drill(["startedAt"])
    with pytest.raises(RecordsError, match="did you mean 'tries'"):
        vf.local(calls).call().during("2026-10").drill(["trie"])
