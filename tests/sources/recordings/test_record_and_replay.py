"""Recordings: what was fetched is replayed without a network, from files that people can read."""

from __future__ import annotations

import json
import re
import socket
import threading
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.endpoint import KEY, running
from tests.support.examples import examples
from tests.support.recorded import MOMENT, equal, names, recording, several, texts
from tests.support.servers import Server, answering, failing, reply
from tests.support.shapes import as_frame, same
from tests.support.strategies import NOW, answerable_queries, call_lists
from tests.support.wires import Calls, Wire, over
from vapi_frames.errors import (
    NonAdditiveError,
    RecordsError,
    RecordsWarning,
    ResponseError,
    ResponseWarning,
    StatusError,
)
from vapi_frames.frames.meta import read_meta
from vapi_frames.sources.recordings.file import split_reply
from vapi_frames.sources.recordings.replay import RecordingWire

pytestmark = pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")


OCTOBER = ("2026-10-01", "2026-11-01")


@pytest.fixture
def no_network(monkeypatch):
    """Return what makes every attempt at a connection fail."""

    def refuse(*_, **__):
        raise AssertionError("a connection was tried")

    def cut():
        for name in ("socket", "create_connection", "getaddrinfo"):
            monkeypatch.setattr(socket, name, refuse)

    return cut


# --- the same frames -------------------------------------------------------------------------------------------------


@pytest.mark.extra("local")
def test_what_an_endpoint_answered_is_answered_again_without_it(tmp_path, no_network):
    """Frames from recordings are those that were recorded: index, values, types, units, range, notes."""
    with running(vf.demo().source) as served:
        vq = vf.record(tmp_path, vf.connect(KEY, base_url=served.url, units={"duration": "s"}), now=vf.demo().now())
        frames = vq.fetch(*several(vq))
        arrow = several(vq)[0].to_arrow()
        compared = vq.call().sum("cost").step("day").last("7d").compare().fetch()
        dashboard = vq.dashboard("7d")
    no_network()
    player = vf.replay(tmp_path)
    played = player.fetch(*several(player))
    assert list(played) == list(frames)
    for name, frame in frames.items():
        equal(played[name], frame)
        assert read_meta(frame).source == "api"
    assert several(player)[0].to_arrow().equals(arrow)
    assert player.call().sum("cost").step("day").last("7d").compare().fetch().equals(compared)
    again = player.dashboard("7d")
    assert all(again[name].equals(frame) for name, frame in dashboard.items())
    assert played["spend"].vapi.query.aggregations == frames["spend"].vapi.query.aggregations
    assert list(played.values())[1].vapi.units["avgDuration"] == "s"


@pytest.mark.extra("local")
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.ResponseWarning")  # an hour's date leaves two readings
@examples(12)
@given(st.data())
def test_any_query_of_any_records_is_replayed_as_it_was_answered(tmp_path_factory, data):
    """Whatever the query of call records, the recording gives the records' own result."""
    around, calls = data.draw(call_lists())
    query = data.draw(answerable_queries(around))
    folder = tmp_path_factory.mktemp("tape")
    local = vf.local(as_frame(calls), now=NOW)
    recorder = vf.record(folder, local)
    try:
        [recorded] = recorder.fetch(query).values()
    except NonAdditiveError:
        assume(False)  # it is sent as to the API, which has no filters
    [played] = vf.replay(folder).fetch(query.named("by another name")).values()
    pd.testing.assert_frame_equal(played, recorded, check_exact=True)
    [direct] = local.fetch(query).values()
    same(recorded, direct)
    assert read_meta(recorded).source == read_meta(direct).source == "calls"


def test_the_clock_of_a_recording_stands_still(tmp_path):
    """All that one recorder asks is as of one moment, and a relative range is the recorded one on any later day."""
    with Server(answering()) as server:
        vq = vf.record(tmp_path, vf.connect("sk-test-0001", base_url=server.url))
        first = vq.call().count().last("30d").fetch()
        second = vq.call().count().sum("cost").last("30d").fetch()
    assert vq.now() == vq.now() == read_meta(first).now == read_meta(second).now
    assert server.requests[0].json()["queries"][0]["timeRange"] == server.requests[1].json()["queries"][0]["timeRange"]
    player = vf.replay(tmp_path)
    assert player.now() == vq.now()
    assert abs(datetime.now(UTC) - player.now()) < timedelta(minutes=1)
    equal(player.call().count().last("30d").fetch(), first)


def test_a_clock_that_was_set_makes_the_same_files(tmp_path):
    """Recorded as of the same moment, the same queries replace their own files, and a folder has one clock."""
    with Server(answering()) as server:
        for moment in ("2026-11-01T00:00Z", "2026-11-01T00:00Z", "2026-11-02T00:00Z"):
            vq = vf.record(tmp_path, vf.connect("sk-test-0001", base_url=server.url), now=moment)
            vq.call().count().last("30d").fetch()
    assert len(names(tmp_path)) == 2
    assert vf.replay(tmp_path).now() == datetime(2026, 11, 2, tzinfo=UTC)


@pytest.mark.extra("local")
def test_names_and_the_order_of_keys_do_not_matter(tmp_path):
    """A query is found by its settings; the reply has the name of the request."""
    vq = vf.record(tmp_path, vf.demo())
    frame = vq.call().count().during("2026-10").named("one").fetch()
    [path] = tmp_path.iterdir()
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({word: kept[word] for word in reversed(kept)}, sort_keys=True))
    player = vf.replay(tmp_path)
    frames = player.fetch(player.call().count().during("2026-10"), player.call().count().during("2026-10").named("two"))
    assert list(frames) == ["countId-a58d341a", "two"]
    assert all(one.equals(frame) for one in frames.values())


def test_a_recording_is_recorded_and_replayed_like_anything_else(tmp_path):
    """A part of a folder can be taken into another, also where its results lie in pieces; two recorders may share."""
    wide = recording(Wire(Calls()), tmp_path / "a", buckets=10)
    frame = wide.call().count().step("hour").between(*OCTOBER).fetch()
    copy = vf.record(tmp_path / "c", vf.record(tmp_path / "b", vf.replay(tmp_path / "a")))
    again = copy.call().count().step("hour").between(*OCTOBER).fetch()
    assert len(names(tmp_path / "a")) == 75
    assert texts(tmp_path / "a") == texts(tmp_path / "b") == texts(tmp_path / "c")
    equal(again, frame)


@pytest.mark.extra("local")
def test_a_cache_does_not_keep_answers_from_the_recording(tmp_path):
    """What a cache holds is fetched again, so that the recording is complete."""
    with running(vf.demo().source) as served:
        vq = vf.connect(KEY, base_url=served.url, cache=tmp_path / "cache")
        frame = vq.call().count().step("day").between(*OCTOBER).fetch()
        vf.record(tmp_path / "tape", vq).call().count().step("day").between(*OCTOBER).fetch()
    assert vf.replay(tmp_path / "tape").call().count().step("day").between(*OCTOBER).fetch().equals(frame)


@pytest.mark.extra("local")
def test_a_long_range_of_who_answers_in_this_process_is_one_file(tmp_path):
    """No server limits the size of a reply here, and one file is easier to read."""
    vq = vf.record(tmp_path, vf.demo())
    frame = vq.call().count().step("hour").between("2026-10-01", "2026-11-15").fetch()
    assert len(names(tmp_path)) == 1
    equal(vf.replay(tmp_path).call().count().step("hour").between("2026-10-01", "2026-11-15").fetch(), frame)


@pytest.mark.extra("local")
def test_who_answers_may_be_in_this_process_and_fail(tmp_path):
    """Errors of the source are its own, and leave no recording; so are its warnings."""
    calls = pd.DataFrame({"id": ["1"], "createdAt": ["2026-10-01T00:00Z"]})
    vq = vf.record(tmp_path, vf.local(calls, now="2026-10-02T00:00Z"))
    with pytest.raises(RecordsError, match="cost"):
        vq.call().sum("cost").fetch()
    assert names(tmp_path) == []
    with pytest.warns(RecordsWarning, match="no call was created") as caught:
        assert vq.call().count().during("2026-08").fetch()["countId"].item() == 0
    assert {one.filename for one in caught} == {__file__}


# --- the files -------------------------------------------------------------------------------------------------------


def test_a_recording_is_read_and_compared_by_people(tmp_path):
    """One file a query, named by what it asks; a line for each row, numbers and texts as they came."""
    rows = (
        '{"type": "webCall", "sumCost": 1.50, "countCost": "3"},'
        '{"sumCost":12345678901234567890.000000000000001,"type":"\\u00dcn\\u00ef \\u260e","countCost":"42"},'
        '{"type": null, "sumCost": 1E2, "countCost": 9007199254740993}'
    )
    content = f'[{{"name":"n","timeRange":{{"timezone":"UTC"}},"result":[{rows}],"new":true}}]'
    with Server(reply(201, content)) as server:
        vq = vf.record(tmp_path, vf.connect("sk-test-0001", base_url=server.url), now="2026-11-16T00:00Z")
        query = vq.call().sum("cost").count("cost").by("type").during("2026-10").named("n")
        with pytest.warns(ResponseWarning, match="does not name: new"):
            frame = query.fetch()
    with pytest.warns(ResponseWarning, match="does not name: new"):
        equal(vf.replay(tmp_path).fetch(query)["n"], frame)
    assert texts(tmp_path) == {
        "sumCost-countCost-type-2026-10-01-c966da3261.json": """\
{
  "format": 1,
  "now": "2026-11-16T00:00:00Z",
  "query": {
    "table": "call",
    "name": "n",
    "groupBy": ["type"],
    "timeRange": {"start": "2026-10-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"},
    "operations": [
      {"operation": "sum", "column": "cost", "alias": "sumCost"},
      {"operation": "count", "column": "cost", "alias": "countCost"}
    ]
  },
  "reply": {
    "name": "n",
    "timeRange": {"timezone": "UTC"},
    "result": [
      {"type": "webCall", "sumCost": 1.50, "countCost": "3"},
      {"sumCost": 12345678901234567890.000000000000001, "type": "Ünï ☎", "countCost": "42"},
      {"type": null, "sumCost": 1E2, "countCost": 9007199254740993}
    ],
    "new": true
  }
}
"""
    }


def test_a_reply_that_breaks_the_contract_is_replayed_as_it_is(tmp_path):
    """What cannot be read can be looked at, and fails again in the same way."""
    broken = answering(change=lambda found: [{**found[0], "result": [{"countId": "many"}]}])
    with Server(broken) as server:
        vq = vf.record(tmp_path, vf.connect("sk-test-0001", base_url=server.url))
        with pytest.raises(ResponseError) as first:
            vq.call().count().during("2026-10").fetch()
    with pytest.raises(ResponseError, match=re.escape(str(first.value))):
        vf.replay(tmp_path).call().count().during("2026-10").fetch()


@pytest.mark.parametrize(
    "behavior",
    [
        failing(400), reply(201, "not JSON"), reply(201, '{"message": "no"}'), reply(201, "[]"), reply(201, "[" * 100_000),
        reply(201, '[{"name": "n", "timeRange": {}, "result": [{"countId": NaN}]}]'),
        reply(201, '[{"name": "n", "timeRange": {}, "result": [{"countId": "\\ud800"}]}]'),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_not_kept(tmp_path, behavior):
    """A refusal or a reply that is none raises what it does without a recorder, and leaves nothing."""
    with Server(behavior) as server:
        vq = vf.record(tmp_path, vf.connect("sk-test-0001", base_url=server.url))
        with pytest.raises((StatusError, ResponseError)):
            vq.call().count().named("n").fetch()
    assert names(tmp_path) == []


def test_replies_are_found_by_name_and_others_are_left_out():
    """Each query gets its own result in whatever order they came; one that lacks leaves none of them."""
    found = json.dumps([{"name": name, "timeRange": {}, "result": []} for name in "abc"]).encode()
    assert [one["name"] for one in split_reply(found, ["c", "a"]) or ()] == ["c", "a"]
    assert split_reply(found, ["d", "a"]) is None


@pytest.mark.extra("local")
def test_the_same_reply_gives_the_same_bytes(tmp_path):
    """A recording depends on query, moment and reply alone, and the query's name changes no file's name."""
    for folder in ("a", "b"):
        vq = vf.record(tmp_path / folder, vf.demo())
        vq.fetch(*several(vq))
    assert texts(tmp_path / "a") == texts(tmp_path / "b")
    vq.call().count().by_variable("plan").named("another").fetch()
    assert names(tmp_path / "a") == names(tmp_path / "b")


@pytest.mark.extra("local")
@pytest.mark.parametrize("alias", ["../../etc/passwd", "a/b\\c:d", ".hidden", "Ünï ☎", "*?", "x" * 40, " "])
def test_a_name_of_a_file_is_one_on_every_system(tmp_path, alias):
    """Whatever a measure is called, the file lies in the folder, and can be read."""
    call = {"createdAt": "2026-10-01T00:00Z", "cost": 0.25, "variableValues": {f"{alias}!": "x"}}
    query = vf.vq.call().sum("cost", alias=alias).by_variable(f"{alias}!").during("2026-10").named("q")
    frame = vf.record(tmp_path, vf.local([call])).fetch(query)["q"]
    [name] = names(tmp_path)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,90}-[0-9a-f]{10}\.json", name)
    equal(vf.replay(tmp_path).fetch(query)["q"], frame)


def test_threads_record_into_one_folder(tmp_path):
    """Recorders that run at once, also of the same queries, leave whole files and nothing else."""
    days = [f"2026-10-{day:02}" for day in range(1, 9)]
    ended = []

    def record(days):
        vq = over(RecordingWire(Wire(Calls()), tmp_path, MOMENT), now=MOMENT, workers=4, max_queries=1)
        ended.append(vq.fetch(*(vq.call().count().by("assistantId").step("minute").during(day) for day in days)))

    threads = [threading.Thread(target=record, args=(days[place:] + days[:place],)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ended) == 4
    assert all(name.endswith(".json") for name in names(tmp_path))
    player = vf.replay(tmp_path)
    for name, frame in player.fetch(
        *(player.call().count().by("assistantId").step("minute").during(day) for day in days)
    ).items():
        assert all(one[name].equals(frame) for one in ended)
