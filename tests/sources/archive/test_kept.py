"""What an archive keeps of a call: ids, numbers and short texts, maps of variables and outputs, and what was asked for."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from datetime import timedelta

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.call_list import EARLIER, NOW, Calls, at, call, ids, store, texts
from tests.support.examples import examples
from tests.support.servers import failing
from vapi_frames.errors import RecordsError, RecordsWarning, ResponseError, StatusError
from vapi_frames.sources.archive.fields import read_fields

RICH = {
    "squadId": "squad-1", "phoneNumberId": "phone-1", "campaignId": "campaign-1", "workflowId": "workflow-1",
    "customerId": "customer-1", "subscriptionId": "s" * 65, "name": "Spring", "phoneCallProvider": "twilio",
    "phoneCallTransport": "pstn", "updatedAt": "2026-10-14T12:03:00.250Z", "isTest": True, "score": 3,
    "customer": {"number": "+15550100", "name": "Ada", "email": "ada@example.org"},
    "costBreakdown": {
        "llm": 0.05, "stt": 0.02, "chat": 0.5, "total": 1.25, "voicemailDetectionCost": 0.125, "isEstimate": False,
        "analysisCostBreakdown": {"summary": 0.01, "structuredOutput": 0.75, "structuredOutputPromptTokens": 900},
    },
    "costs": [
        {"type": "model", "cost": 0.05, "promptTokens": 70,
         "model": {"provider": "openai", "model": "gpt-4.1", "messages": [{"content": "planted-prompt"}]}},
        {"type": "knowledge-base", "cost": 0.25, "note": "planted-" + "x" * 64},
    ],
    "artifact": {
        "variableValues": {"plan": "pro", "list": [1, {"a": None}], "now": "2026-10-14", "customer": {"name": "Ada"}},
        "performanceMetrics": {
            "modelLatencyAverage": 812.5, "numUserInterrupted": 2, "turnLatencies": [{"modelLatency": 700}],
        },
        "structuredOutputs": {
            "o1": {"name": "Call Outcome", "result": {"outcome": "booked", "sure": True}},
            "o2": {"name": "Score", "result": 7.0}, "o3": {"name": "Skipped", "result": None},
        },
        "scorecards": {"c1": {"score": 4, "total": 5}},
    },
}  # fmt: skip


def row_of(folder, day="2026-10-14"):
    """Return the one row of a day, without missing values, with maps as dicts."""
    [row] = pq.read_table(folder / f"{day}.parquet").to_pylist()
    return {name: dict(value) if isinstance(value, list) else value for name, value in row.items() if value is not None}


def test_what_cannot_be_had_again_is_kept(tmp_path):
    """Ids, numbers, Booleans and short texts under the record's own paths; variables and outputs whole; nothing else."""
    store(Calls(call("a", at(14), **RICH)), tmp_path, since="2026-10-14", until="2026-10-15")
    row = row_of(tmp_path)
    for name in ("squadId", "phoneNumberId", "campaignId", "workflowId", "customerId", "name", "phoneCallProvider"):
        assert row[name] == RICH[name]
    assert row["updatedAt"] == at(14, 12, minute=3, microsecond=250_000)
    assert (row["isTest"], row["score"]) == (True, 3.0)
    assert "subscriptionId" not in row, "it has more than 64 characters"
    parts = {name: value for name, value in row.items() if name.startswith("costBreakdown.")}
    assert parts == {
        "costBreakdown.llm": 0.05, "costBreakdown.stt": 0.02, "costBreakdown.transcriber": 0.02,
        "costBreakdown.analysisBreakdown.summary": 0.01, "costBreakdown.chat": 0.5, "costBreakdown.total": 1.25,
        "costBreakdown.voicemailDetectionCost": 0.125, "costBreakdown.isEstimate": False,
        "costBreakdown.analysisCostBreakdown.structuredOutput": 0.75,
        "costBreakdown.analysisCostBreakdown.structuredOutputPromptTokens": 900.0,
    }  # fmt: skip
    assert json.loads(row["costs"]) == [
        {"type": "model", "cost": 0.05, "promptTokens": 70, "model": {"provider": "openai", "model": "gpt-4.1"}},
        {"type": "knowledge-base", "cost": 0.25},
    ]
    assert row["artifact.performanceMetrics.modelLatencyAverage"] == 812.5
    assert row["artifact.performanceMetrics.numUserInterrupted"] == 2.0
    assert row["variableValues"] == {"plan": "pro", "list": '[1,{"a":null}]', "now": "2026-10-14"}
    assert row["artifact.structuredOutputs"] == {
        "o1": {"name": "Call Outcome", "result": '{"outcome":"booked","sure":true}'},
        "o2": {"name": "Score", "result": "7"}, "o3": {"name": "Skipped", "result": None},
    }  # fmt: skip
    assert row["artifact.scorecards"] == {"c1": '{"score":4,"total":5}'}
    for absent in ("planted-", "Ada", "+15550100", "ada@"):
        assert absent not in texts(tmp_path)


def test_variables_and_outputs_may_be_left_out(tmp_path):
    """And customers kept, on request."""
    options = {"variables": False, "outputs": False, "customers": True}
    store(Calls(call("a", at(14), **RICH)), tmp_path, since="2026-10-14", until="2026-10-15", **options)
    row = row_of(tmp_path)
    assert not {"variableValues", "artifact.structuredOutputs", "artifact.scorecards"} & {*row}
    customer = {name: value for name, value in row.items() if name.startswith("customer.")}
    assert customer == {"customer.number": "+15550100", "customer.name": "Ada", "customer.email": "ada@example.org"}
    assert row["squadId"] == "squad-1"
    assert "booked" not in texts(tmp_path)


def test_what_is_added_to_the_options_is_fetched_while_the_api_has_it(tmp_path):
    """As variables that were left out; a run that leaves them out again deletes none."""
    calls = Calls(call("a", at(14), **RICH))
    store(calls, tmp_path, variables=False)
    assert store(calls, tmp_path).days == 15
    assert row_of(tmp_path)["variableValues"]["plan"] == "pro"
    calls.records = [call("a", at(14), cost=3.0, artifact={})]
    store(calls, tmp_path, variables=False, customers=True)
    assert (row_of(tmp_path)["variableValues"]["plan"], row_of(tmp_path)["cost"]) == ("pro", 3.0)


@pytest.mark.extra("local")
def test_names_that_differ_by_case_only_stay_two(tmp_path):
    """Of variables in one call, in two calls, and in two days."""
    calls = Calls(
        call("a", at(13), artifact={"variableValues": {"plan": "pro", "Plan": "free"}}),
        call("b", at(14), artifact={"variableValues": {"PLAN": "team"}}),
        call("c", at(14), artifact={"variableValues": {"plan": "pro"}}),
    )
    store(calls, tmp_path)
    query = vf.local(tmp_path, now=NOW).call().count().during("2026-10")
    assert query.by_variable("plan").fetch().to_csv() == "plan,countId\npro,2\n,1\n"
    frame = query.by_variable("plan", "Plan", "PLAN").fetch()
    assert sorted(map(str, frame.index)) == [
        "('pro', 'free', nan)", "('pro', nan, nan)", "(nan, nan, 'team')",
    ]  # fmt: skip


KEYS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=4).filter(bool)
GROUPS = ("name", "campaignId")
WORDS = st.none() | st.sampled_from(["", "a", "b", " "])
VALUES = st.one_of(st.text(st.characters(blacklist_categories=["Cs"]), max_size=5), st.integers(-5, 5), st.booleans(),
                   st.none(), st.lists(st.integers(0, 3), max_size=2), st.dictionaries(st.text("ab"), st.none()))  # fmt: skip


@pytest.mark.extra("local")
@examples(9)
@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=4), min_size=1, max_size=4), st.data())
def test_an_archive_has_the_variables_of_its_calls(tmp_path_factory, values, data):
    """Whatever the names and values are: by any of them the archive has the results of the calls."""
    folder = tmp_path_factory.mktemp("calls")
    records = [
        call(f"{n}", at(13 + n % 2), artifact={"variableValues": one}) for n, one in enumerate([*values, {"a": "x"}])
    ]
    store(Calls(*records), folder, since="2026-10-13", until="2026-10-15")
    keys = sorted({key for one in values for key, value in one.items() if value is not None})
    key = data.draw(st.sampled_from([*keys, "a"]))
    frames = [
        vf.local(source, now=NOW).call().count().by_variable(key).during("2026-10").fetch()
        for source in (folder, [record for record, _ in records])
    ]
    pd.testing.assert_frame_equal(*frames)


@pytest.mark.extra("local")
@examples(9)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=6))
def test_an_archive_has_the_groups_of_its_calls(tmp_path_factory, values):
    """A record's own ids and names group an archive as they group the calls: an empty text is a group of its own."""
    folder = tmp_path_factory.mktemp("calls")
    records = [
        call(f"{n}", at(13 + n % 2), **{key: text for key, text in zip(GROUPS, one, strict=True) if text is not None})
        for n, one in enumerate(values)
    ]
    store(Calls(*records), folder, since="2026-10-13", until="2026-10-15")
    counted = Counter(values)
    query = vf.local(folder, now=NOW).call().count().by(*GROUPS).during("2026-10")
    found = query.fetch().reset_index().astype(object)
    found = found.where(found.notna(), None)
    assert {(one[0], one[1]): one[2] for one in found.to_numpy().tolist()} == counted


@pytest.mark.extra("local")
def test_too_many_and_too_large_variables_are_left_out_and_counted(tmp_path):
    """Callers choose them: a bounded number of keys and bytes is kept, the first; a warning counts the calls."""
    many = {f"k{n}": n for n in range(300)}
    large = {"a": "x" * 70_000, "b": "small", "c": "y" * 65_000, "d": "z" * 600}
    outputs = {f"o{n}": {"name": f"n{n}", "result": n} for n in range(257)}
    calls = Calls(
        call("many", at(14, 1), artifact={"variableValues": many}),
        call("large", at(14, 2), artifact={"variableValues": large}),
        call("outputs", at(14, 3), artifact={"structuredOutputs": outputs}),
        call("plain", at(14, 4)),
    )
    with pytest.warns(RecordsWarning, match=r"^3 calls had more than 256 variables or .* 64 kB of them; the rest was"):
        store(calls, tmp_path, since="2026-10-14", until="2026-10-15")
    rows = {row["id"]: row for row in pq.read_table(tmp_path / "2026-10-14.parquet").to_pylist()}
    assert dict(rows["many"]["variableValues"]) == {f"k{n}": f"{n}" for n in range(256)}
    assert [key for key, _ in rows["large"]["variableValues"]] == ["b", "c"]
    assert len(rows["outputs"]["artifact.structuredOutputs"]) == 256
    frame = vf.local(tmp_path, now=NOW).call().count().by_variable("k7").during("2026-10").fetch()
    assert frame["countId"].tolist() == [1, 3]


def test_odd_records_are_kept_as_far_as_they_go(tmp_path):
    """Numbers that no double holds, half a character, names of any kind: no call is lost for what no query uses."""
    odd = {
        "updatedAt": "soon", "squadId": "s\ud83d", "score": 10**400, "ratio": float("nan"), "odd.name": 3, "SQUADID": 4,
        "endedReason": "cut \ud83d", "costs": ["x", {"cost": 1, "type": None, "voice": {"provider": 7}}],
        "artifact": {"variableValues": {"cut \ud83d": "\ud83d"}, "structuredOutputs": {"o": "text", "p": {"name": 3, "result": "\ud83d"}, "q": None, "r": {"name": "R", "result": 10**400}},
                     "performanceMetrics": [1], "scorecards": "none"},
    }  # fmt: skip
    done = store(Calls(call("a", at(14), **odd)), tmp_path, since="2026-10-14", until="2026-10-15")
    assert done.calls == 1
    row = row_of(tmp_path)
    assert not {"score", "ratio", "odd.name", "SQUADID", "updatedAt"} & {*row}
    assert (row["squadId"], row["endedReason"], row["variableValues"]) == ("s?", "cut ?", {"cut ?": "?"})
    assert json.loads(row["costs"]) == [{"cost": 1}]
    assert row["artifact.structuredOutputs"] == {
        "o": {"name": None, "result": '"text"'}, "p": {"name": None, "result": "?"}, "r": {"name": "R", "result": f"{10**400}"},
    }  # fmt: skip
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecordsError, match="nested too deeply"):
        read_fields(call("b", at(14), artifact={"structuredOutputs": {"o": deep}})[0], ["outputs"])


@pytest.mark.extra("local")
def test_a_day_may_have_any_number_of_variables(tmp_path):
    """Of a few the file has a list, so that a typing error is found; of many it has none, and stays small."""
    for name, length, count in (("many", 3, 200), ("long", 90, 100)):
        folder = tmp_path / name
        records = [
            call(
                f"{n}",
                at(14, minute=n),
                artifact={"variableValues": {f"{n}-{k}".rjust(length): "x" for k in range(count)}},
            )
            for n in range(6)
        ]
        store(Calls(*records), folder, since="2026-10-14", until="2026-10-15")
        assert len(str(pq.read_schema(folder / "2026-10-14.parquet").metadata)) < 2_000
        query = vf.local(folder, now=NOW).call().count().during("2026-10")
        assert query.by_variable("2-7".rjust(length)).fetch()["countId"].tolist() == [1, 5]
        assert query.by_variable("none").fetch()["countId"].tolist() == [6]


# --- what changed later ----------------------------------------------------------------------------------------------


def test_a_call_that_changed_after_its_day_was_written_is_found(tmp_path):
    """By one request for all complete days, for what was updated since the last run; not for days that are fetched."""
    calls = Calls(*(call(f"{day}", at(day)) for day in range(3, 15)))
    store(calls, tmp_path)
    calls.requests = []
    late = call("5", at(5), cost=7.0, updatedAt=f"{NOW + timedelta(minutes=20):%Y-%m-%dT%H:%M:%S}.000Z")
    calls.records[2] = late
    done = store(calls, tmp_path, now=NOW + timedelta(hours=1))
    assert (done.days, done.calls, done.updated) == (1, 0, 1)
    assert [one.get("updatedAtGt") for one in calls.requests] == ["2026-10-15T11:00:00.000Z", None]
    row = row_of(tmp_path, "2026-10-05")
    assert (row["cost"], row["updatedAt"]) == (7.0, NOW + timedelta(minutes=20))
    before = (tmp_path / "2026-10-05.parquet").stat().st_mtime_ns
    assert store(calls, tmp_path, now=NOW + timedelta(hours=1, minutes=5)).updated == 0
    assert (tmp_path / "2026-10-05.parquet").stat().st_mtime_ns == before, "it is listed again, and nothing changed"


def test_a_changed_call_that_cannot_be_read_makes_its_day_incomplete(tmp_path):
    """The next run fetches the day again, until the call can be read."""
    calls = Calls(call("a", at(14)), call("b", at(13)))
    store(calls, tmp_path)
    calls.records[0] = call("a", at(14), cost="free", updatedAt="2026-10-15T12:30:00Z")
    with pytest.raises(ResponseError, match="cost is 'free'"):
        store(calls, tmp_path, now=NOW + timedelta(hours=1))
    calls.records[0] = call("a", at(14), cost=4.0, updatedAt="2026-10-15T12:30:00Z")
    calls.days()
    assert store(calls, tmp_path, now=NOW + timedelta(days=1)).updated == 1
    assert calls.days() == [(14, 16)]
    assert row_of(tmp_path)["cost"] == 4.0


def test_a_run_that_cannot_look_for_changes_stores_what_is_new(tmp_path):
    """The error comes after it; the next run looks for the same changes, and finds them."""
    calls = Calls(call("a", at(14)), call("b", at(13)))
    store(calls, tmp_path)
    calls.records = [
        call("a", at(14), cost=4.0, updatedAt="2026-10-15T12:30:00Z"),
        call("b", at(13)),
        call("c", at(15, 12)),
    ]
    for hours in (1, 2):
        calls.broken = {len(calls.requests) + 1: failing(400, "no more")}
        with pytest.raises(StatusError, match="no more"):
            store(calls, tmp_path, now=NOW + timedelta(hours=hours))
        assert ids(tmp_path)["2026-10-15"] == ["c"]
        assert row_of(tmp_path)["cost"] == 0.25
    calls.broken = {}
    assert store(calls, tmp_path, now=NOW + timedelta(hours=5)).updated == 1
    assert row_of(tmp_path)["cost"] == 4.0


def test_a_run_that_cannot_look_for_changes_says_what_else_is_wrong(tmp_path):
    """A call that cannot be read is a warning then."""
    calls = Calls(call("a", at(14)))
    store(calls, tmp_path)
    calls.records.append(call("bad", at(15, 12), cost="free"))
    calls.broken = {len(calls.requests) + 1: failing(400, "no more")}
    with pytest.warns(RecordsWarning, match="cost is 'free'"), pytest.raises(StatusError, match="no more"):
        store(calls, tmp_path, now=NOW + timedelta(hours=1))


# --- what a query needs and the archive lacks --------------------------------------------------------------------------


@pytest.mark.extra("local")
def test_a_variable_that_was_not_kept_names_the_option(tmp_path):
    """A variable that no call has is an error with the nearest one, as in other records."""
    calls = Calls(call("a", at(14)), call("b", at(13)))
    store(calls, tmp_path, variables=False)
    query = vf.local(tmp_path, now=NOW).call().count().during("2026-10")
    with pytest.raises(RecordsError, match=r"no variable 'plan', .* Leave out --no-variables, or variables=False, "):
        query.by_variable("plan").fetch()
    store(calls, tmp_path)
    with pytest.raises(RecordsError, match=r"no variable 'plam', .*; did you mean 'plan'\?"):
        query.by_variable("plam").fetch()
    with pytest.raises(RecordsError, match="'squadId' is a column of the call records and no variable"):
        query.by_variable("squadId").fetch()
    assert query.by_variable("plan").fetch()["countId"].to_dict() == {"pro": 2}


@pytest.mark.extra("local")
def test_a_warning_says_from_which_day_variables_are_there(tmp_path):
    """Once, and only for a query that uses them on such days."""
    calls = Calls(*(call(f"{day}", at(day)) for day in range(1, 15)))
    store(calls, tmp_path, since="2026-10-01", until="2026-10-10", variables=False)
    store(calls, tmp_path, since="2026-10-10", until="2026-10-15")
    vq = vf.local(tmp_path, now=NOW)
    vq.call().count().during("2026-10").fetch()
    vq.call().count().by_variable("plan").between("2026-10-10", "2026-10-15").fetch()
    message = r"^the archive has variables from 2026-10-10 on; earlier days have none$"
    query = vq.call().count().by_variable("plan").during("2026-10")
    with pytest.warns(RecordsWarning, match=message):
        frame = query.fetch()
    assert frame["countId"].tolist() == [5, 9]
    assert any(one.startswith("the archive has variables from") for one in frame.vapi.meta.notes)
    query.fetch()
    store(calls, tmp_path, since="2026-10-05", until="2026-10-06")
    with pytest.warns(RecordsWarning, match="^the archive has variables of 6 of 14 days; the others have none$"):
        vf.local(tmp_path, now=NOW).call().count().by_variable("plan").during("2026-10").fetch()


@pytest.mark.extra("local")
def test_a_warning_says_from_which_day_a_column_is_there(tmp_path):
    """An earlier version did not keep the squad; a day that was fetched since has it."""
    folder = tmp_path / "calls"
    shutil.copytree(EARLIER, folder)
    store(Calls(call("new", at(5), squadId="squad-2")), folder, since="2026-10-05", until="2026-10-06", now=at(7))
    vq = vf.local(folder, now=NOW, columns={"assistantId": "squadId"})
    with pytest.warns(RecordsWarning, match=r"^the archive has 'squadId' from 2026-10-05 on; earlier days have none"):
        frame = vq.call().count().by("assistantId").during("2026-10").fetch()
    assert frame["countId"].tolist() == [1, 24]


@pytest.mark.extra("local")
@pytest.mark.parametrize(("column", "option"), [("customer.number", "customers"), ("transcript", "transcripts"),
                                                ("recordingUrl", "recordings")])  # fmt: skip
def test_a_column_that_was_not_kept_names_the_option(column, option, tmp_path):
    """With the option it is there."""
    record = {"customer": {"number": "+15550100"}, "transcript": "Hi", "recordingUrl": "https://example.org/r"}
    calls = Calls(call("a", at(14), **record))
    store(calls, tmp_path)
    query = vf.local(tmp_path, now=NOW, columns={"assistantId": column}).call().count().by("assistantId")
    with pytest.raises(RecordsError, match=rf"no '{column}', .*: vapi-frames archive --{option}, or {option}=True"):
        query.during("2026-10").fetch()
    store(calls, tmp_path, **{option: True})
    assert query.during("2026-10").fetch()["countId"].tolist() == [1]
