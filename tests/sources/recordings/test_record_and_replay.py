"""Recordings: what was answered is answered again without a network, and what was not is named with what is nearest."""

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
from tests.support import secret_checks
from tests.support.endpoint import KEY, running
from tests.support.examples import examples
from tests.support.servers import Server, answering, echoing, failing, reply
from tests.support.shapes import as_frame, same
from tests.support.strategies import NOW, answerable_queries, call_lists
from tests.support.wires import Calls, Wire, over
from vapi_frames.errors import (
    NonAdditiveError,
    QueryError,
    RecordsError,
    RecordsWarning,
    ReplayMissError,
    ResponseError,
    ResponseWarning,
    SourceError,
    StatusError,
)
from vapi_frames.frames.meta import read_meta
from vapi_frames.redact import Redactor
from vapi_frames.sources.api.client import ApiClient
from vapi_frames.sources.api.source import ApiSource
from vapi_frames.sources.recordings.file import hash_query, make_file_name, read_recordings, split_reply
from vapi_frames.sources.recordings.replay import RecordingWire, ReplayWire

pytestmark = pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")
MOMENT = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)
OCTOBER = ("2026-10-01", "2026-11-01")
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
UUID = "8f14e45f-ceea-467f-a0e6-2c5d7a3b9f10"  # ids of assistants have this form, and so has the key of the API


def equal(played, recorded):
    """Check that two frames are the same, also in their metadata, except for the source."""
    pd.testing.assert_frame_equal(played, recorded, check_exact=True, check_flags=False)
    known = [json.loads(frame.attrs["vapi"]) for frame in (played, recorded)]
    assert known[0].pop("source") == "replay"
    assert known[1].pop("source") != "replay"
    assert known[0].pop("sum") != known[1].pop("sum")  # the checksum of all of it
    assert known[0] == known[1]


def recording(wire, folder, *, now=MOMENT, **options):
    """Return a vq that asks *wire* and records it in pieces as *options* say."""
    folder.mkdir(exist_ok=True)
    return over(RecordingWire(wire, folder, now), now=now, **options)


def names(folder):
    """Return what lies in *folder*."""
    return sorted(path.name for path in folder.iterdir())


def texts(folder):
    """Return the content of every file."""
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def missed(query):
    """Return the error of a replay that has no recording for *query*."""
    with pytest.raises(ReplayMissError) as caught:
        query.fetch()
    assert type(caught.value) is ReplayMissError
    return caught.value


def several(vq):
    """Return queries of every kind."""
    call = vq.call()
    return [
        call.sum("cost")
        .count()
        .by("type")
        .step("day")
        .last("14d", complete=True)
        .tz("America/New_York")
        .named("spend"),
        call.avg("duration").with_counts().by("assistantId", "endedReason").during("2026-10"),
        call.count().by_variable("plan"),
        call.min("cost").max("cost", alias="dearest").since("2026-10-15").step("week"),
        call.sum("cost").count().by("type").where(endedReason=["voicemail", "customer-ended-call"]).during("2026-10"),
        vq.subscription().max("concurrency").step("hour").last("2d").tz("Asia/Kathmandu"),
        vq.subscription().history("concurrency").last("6h"),
    ]


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
@examples(20)
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


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_no_secret_is_in_any_byte(tmp_path, monkeypatch):
    """Keys of the connection and of the environment and tokens are replaced, wherever they stand, and it is said."""
    planted, other = "sk-planted-4f1d9c", "a-second-key-of-the-environment"
    monkeypatch.setenv("VAPI_TOKEN", other)
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in planted)
    values = [
        other,
        f"x{other}y",
        f"Bearer {UUID}",
        f"bearer {UUID[::-1]}",
        JWT,
        JWT + "x",
        UUID,
        "bearer certificates",
    ]
    rows = [{"plan": value, "maxCost": place, other: 1} for place, value in enumerate(values)]
    content = json.dumps([{"name": "n", "timeRange": {}, "result": rows, "said": [JWT]}])
    content = content.replace("certificates", f"certificates {escaped}")
    with Server(reply(201, content, X_Request_Id=JWT)) as server:
        vq = vf.record(tmp_path, vf.connect(planted, base_url=server.url))
        query = vq.call().max("cost").by_variable("plan").named(f"n {planted}")
        with pytest.warns(ResponseWarning) as caught:
            frame = query.fetch()
    assert sum("has *** in place of the key" in str(one.message) for one in caught) == 1
    found = "".join([*names(tmp_path), *texts(tmp_path).values()])
    for secret in (planted, other, JWT, JWT[-20:], f"earer {UUID}", UUID[::-1], "uthorization"):
        assert secret not in found
    [kept] = read_recordings(tmp_path)
    assert kept.query["name"] == "n ***"
    assert kept.reply["said"] == ["***3"]
    shown = [row["plan"] for row in kept.reply["result"]]
    assert shown == ["***", "x***y", "Bearer ***", "bearer ***2", "***3", "***4", UUID, "bearer certificates ***"]
    with pytest.warns(ResponseWarning, match="nobody|not in the query|does not name"):
        played = vf.replay(tmp_path).call().max("cost").by_variable("plan").fetch()
    assert played["maxCost"].sort_values().tolist() == frame["maxCost"].sort_values().tolist()


@pytest.mark.parametrize("status", [201, 400])
def test_a_server_that_repeats_the_key_leaves_no_recording(tmp_path, status):
    """The error is as clean as without a recorder, and so is all that can be reached from it."""
    with Server(echoing(status)) as server:
        vq = vf.record(tmp_path, vf.connect(secret_checks.KEY, base_url=server.url))
        with pytest.raises((ResponseError, StatusError)) as caught:
            vq.call().count().fetch()
    secret_checks.assert_error_clean(caught.value)
    secret_checks.assert_clean(repr(vq), repr(vars(vq.source.client.wire)))
    assert names(tmp_path) == []


def test_what_only_looks_like_a_secret_stays():
    """Ids, hashes, addresses, numbers and words are data; a key too short to be one is in too many words."""
    for text in (
        UUID,
        UUID.replace("-", ""),
        "+15551234567",
        "a@example.org",
        "bearer of 1234567890123456",
        "eyJ",
        "sk-1",
    ):
        redact = Redactor()
        assert redact({text: [text, {"a": text}]}) == {text: [text, {"a": text}]}
        assert not redact.found


@pytest.mark.extra("local")
def test_a_short_stand_in_for_a_key_changes_nothing(tmp_path, monkeypatch):
    """A key of a few letters, as tests have it, is not looked for."""
    monkeypatch.setenv("VAPI_API_KEY", "call")
    vf.record(tmp_path, vf.demo()).call().count().during("2026-10").fetch()
    assert "***" not in "".join(texts(tmp_path).values())


# --- pieces ----------------------------------------------------------------------------------------------------------


def hourly(vq, days=31):
    """Return a query by the hour from the first of October on, New York's calendar."""
    start = datetime(2026, 10, 1, 4, tzinfo=UTC)
    return vq.call().sum("cost").count().by("assistantId").step("hour").tz("America/New_York").between(
        start, start + timedelta(days=days)
    )  # fmt: skip


@pytest.mark.parametrize("dates", ["instant", "wall"])
def test_what_was_recorded_in_pieces_is_replayed_whole(tmp_path, dates):
    """Pieces, also of different recorders, make up the result, and their dates are read as they were."""
    wire = Wire(Calls(dates=dates, between=(9, 17)))
    frame = hourly(recording(wire, tmp_path, buckets=100)).fetch()
    assert len(names(tmp_path)) == 8
    equal(hourly(vf.replay(tmp_path)).fetch(), frame)
    hourly(recording(wire, tmp_path / "parts", buckets=77), 13).fetch()
    start = datetime(2026, 10, 14, 4, tzinfo=UTC)
    hourly(recording(wire, tmp_path / "parts", buckets=61)).between(start, start + timedelta(days=18)).fetch()
    assert len(names(tmp_path / "parts")) == 5 + 8
    equal(hourly(vf.replay(tmp_path / "parts")).fetch(), frame)


def test_a_range_without_an_end_is_made_up_of_pieces_too(tmp_path):
    """A long range that ends now was divided with ends that are said."""
    query = recording(Wire(Calls(), now=MOMENT), tmp_path, buckets=100).call().count().step("hour").since("2026-10-01")
    frame = query.fetch()
    assert len(names(tmp_path)) > 8
    equal(vf.replay(tmp_path).call().count().step("hour").since("2026-10-01").fetch(), frame)


def test_a_piece_that_was_halved_is_replayed(tmp_path):
    """A query that the server answers only in two parts is recorded in two parts."""

    def fails(queries):
        span = queries[0]["timeRange"]
        return (
            StatusError("too long", status=504) if span["start"] < "2026-10-05" and span["end"] > "2026-10-10" else None
        )

    wire = Wire(Calls(), fails=fails)
    frame = hourly(recording(wire, tmp_path)).fetch()
    assert len(names(tmp_path)) > 1
    equal(hourly(vf.replay(tmp_path)).fetch(), frame)


def test_pieces_that_cut_a_bucket_do_not_make_up_an_answer(tmp_path):
    """Two halves of a day are two rows of one bucket: nothing is joined where a bucket is cut, has a gap or overlaps."""
    vq = recording(Wire(Calls()), tmp_path)
    call = vq.call().count().step("day")
    for start, end in (("01", "05T12:00"), ("05T12:00", "10"), ("10", "12"), ("11", "14"), ("15", "16")):
        call.between(f"2026-10-{start}", f"2026-10-{end}").fetch()
    player = vf.replay(tmp_path)
    for start, end in (("01", "10"), ("10", "14"), ("11", "16"), ("12", "14"), ("01", "12")):
        assert missed(player.call().count().step("day").between(f"2026-10-{start}", f"2026-10-{end}")).nearest
    assert len(player.call().count().step("day").between("2026-10-10", "2026-10-12").fetch()) == 2


@pytest.mark.extra("local")
def test_calls_at_once_are_not_made_up_of_pieces(tmp_path):
    """How many calls there were at once depends on calls from before the range."""
    vq = vf.record(tmp_path, vf.demo())
    for day in ("2026-10-01", "2026-10-02"):
        vq.subscription().max("concurrency").step("hour").during(day).fetch()
    missed(vf.replay(tmp_path).subscription().max("concurrency").step("hour").between("2026-10-01", "2026-10-03"))


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.ResponseWarning")  # a hundred rows look like a limit
@given(st.data())
@examples(20)
def test_any_pieces_that_follow_each_other_are_the_whole(tmp_path_factory, data):
    """However a range was divided on the edges of buckets, the recordings are the result to all of it."""
    folder = tmp_path_factory.mktemp("tape")
    step = data.draw(st.sampled_from(["hour", "day", "week"]))
    zone = data.draw(st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]))
    start = datetime(2026, 9, 28, tzinfo=UTC) + timedelta(minutes=data.draw(st.integers(0, 10_000)))
    end = start + timedelta(minutes=data.draw(st.integers(1, 50_000)))
    wire = Wire(Calls())

    def query(vq):
        return vq.call().sum("cost").count().by("assistantId").step(step).tz(zone).between(start, end)

    for _ in range(data.draw(st.integers(1, 2))):  # the second division lies over the first
        recorded = query(recording(wire, folder, buckets=data.draw(st.integers(1, 40)))).fetch()
    equal(query(vf.replay(folder)).fetch(), recorded)


# --- what was not recorded -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def taped(tmp_path_factory):
    """Return a folder with three recordings."""
    folder = tmp_path_factory.mktemp("recordings")
    vq = vf.record(folder, vf.demo())
    vq.call().sum("cost").count().by("type").during("2026-10").fetch()
    vq.call().sum("cost").step("day").during("2026-10").fetch()
    vq.subscription().max("concurrency").step("hour").last("1d").fetch()
    return folder


@pytest.mark.extra("local")
def test_a_miss_names_the_nearest_recording_and_what_differs(taped):
    """The error has both queries as code, the file, each word that differs, and what to do."""
    error = missed(vf.replay(taped).call().sum("cost").count().by("assistantId").between("2026-09-01", "2026-11-01"))
    [near] = [name for name in names(taped) if name.startswith("sumCost-countId")]
    assert error.nearest == str(taped / near)
    assert error.differences == {
        "groupBy": (["assistantId"], ["type"]),
        "timeRange.start": ("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z"),
    }
    assert str(error) == (
        f'no recording in {taped} answers vq.call().sum("cost").count().by("assistantId").between("2026-09-01T00:00:00Z", '
        f'"2026-11-01T00:00:00Z"); the nearest, {near}, answers vq.call().sum("cost").count().by("type").between('
        "\"2026-10-01T00:00:00Z\", \"2026-11-01T00:00:00Z\"). groupBy: requested ['assistantId'], recorded ['type']; "
        "timeRange.start: requested '2026-09-01T00:00:00Z', recorded '2026-10-01T00:00:00Z'. "
        f"Fetch it with vf.record({str(taped)!r}) first"
    )


@pytest.mark.extra("local")
@pytest.mark.parametrize(
    ("change", "differences"),
    [
        (lambda q: q.count(), {"operations": (["sum(cost)", "count(id)"], ["sum(cost)"])}),
        (lambda q: q.by("status"), {"groupBy": (["status"], None)}),
        (lambda q: q.by_variable("plan"), {"groupByVariableValue": (["plan"], None)}),
        (lambda q: q.step("hour"), {"timeRange.step": ("hour", "day")}),
        (lambda q: q.where(type="webCall"), {"groupBy": (["type"], None)}),
        (
            lambda q: q.tz("Europe/Paris"),
            {
                "timeRange.start": ("2026-09-30T22:00:00Z", "2026-10-01T00:00:00Z"),
                "timeRange.end": ("2026-10-31T23:00:00Z", "2026-11-01T00:00:00Z"),
                "timeRange.timezone": ("Europe/Paris", None),
            },
        ),
        (
            lambda q: q.between("2026-10-01", None),
            {"timeRange.end": (None, "2026-11-01T00:00:00Z")},
        ),
    ],
)
def test_every_word_of_a_query_that_differs_is_named(taped, change, differences):
    """What was requested and what was recorded, setting by setting."""
    assert missed(change(vf.replay(taped).call().sum("cost").step("day").during("2026-10"))).differences == differences


@pytest.mark.extra("local")
def test_an_alias_is_a_difference(taped):
    """A reply is read by the aliases of the request."""
    error = missed(vf.replay(taped).call().sum("cost", alias="spend").step("day").during("2026-10"))
    assert error.differences == {"operations": (["sum(cost) as spend"], ["sum(cost)"])}


@pytest.mark.extra("local")
def test_a_miss_among_recorded_queries_names_itself(taped):
    """What is recorded does not hide what is not, in however many requests it takes."""
    vq = vf.replay(taped)
    here = vq.call().sum("cost").step("day").during("2026-10")
    gone = [vq.call().sum("cost").step("day").during(f"2026-{month:02}") for month in (8, 9)]
    with pytest.raises(ReplayMissError, match=r"2026-08-01T00:00:00Z.*\(and 1 more of the same fetch\); the near"):
        vq.fetch(here, *gone)
    many = [here.named(f"q{place}") for place in range(120)]
    with pytest.raises(ReplayMissError, match="2026-09-01T00:00:00Z"):
        vq.fetch(*many, gone[1])
    assert len(vq.fetch(*many)) == 120


def test_recordings_of_two_days_say_whose_moment_counts(tmp_path):
    """A relative range of an older recording is another range by the newest one's clock, and the error says so."""
    wire = Wire(Calls())
    for day, query in enumerate((vf.vq.call().sum("cost"), vf.vq.call().count())):
        recording(wire, tmp_path, now=MOMENT + timedelta(days=day)).fetch(query.last("7d"))
    player = vf.replay(tmp_path)
    assert len(player.fetch(vf.vq.call().count().last("7d"))) == 1
    said = (
        "recorded as of 2026-11-16T10:30:00Z, and relative ranges resolve as of the newest recording, 2026-11-17T10:30"
    )
    assert said in str(missed(player.call().sum("cost").last("7d")))
    assert "as of" not in str(missed(player.call().count().last("9d")))


def test_of_two_recordings_of_a_query_the_newest_answers(tmp_path):
    """A copy of an old file, whatever it is called, does not come before the new one."""
    folder = tmp_path / "tape"
    old = recording(Wire(Calls()), folder, now=MOMENT - timedelta(days=1))
    old.call().count().during("2026-10").fetch()
    [path] = folder.iterdir()
    path.rename(folder / "zz-old.json")
    frame = recording(Wire(Calls(every=500)), folder).call().count().during("2026-10").fetch()
    assert len(names(folder)) == 2
    equal(vf.replay(folder).call().count().during("2026-10").fetch(), frame)


def test_a_range_that_was_written_otherwise_is_no_piece(tmp_path):
    """A body written by hand is sent unchanged, or not at all; the error is that of the whole query."""
    vq = recording(Wire(Calls()), tmp_path)
    for start, end in (("2026-10-01", "2026-10-05"), ("2026-10-05", "2026-10-10")):
        vq.call().count().step("day").between(start, end).fetch()
    for path in tmp_path.iterdir():
        path.write_text(path.read_text().replace("-05T00:00:00Z", "-05T02:00:00+02:00"))
    error = missed(vf.replay(tmp_path).call().count().step("day").between("2026-10-01", "2026-10-10"))
    assert 'between("2026-10-01T00:00:00Z", "2026-10-10T00:00:00Z"); the nearest' in str(error)


@pytest.mark.extra("local")
def test_a_frame_of_a_recording_is_refreshed_by_whom_it_is_told(taped):
    """It does not ask the API behind one's back."""
    frame = vf.replay(taped).call().sum("cost").step("day").during("2026-10").fetch()
    assert read_meta(frame).source == "replay"
    with pytest.raises(
        QueryError, match=r"from 'replay': pass what to fetch from, e.g. df.vapi.refresh\(vf.replay\(folder\)\)"
    ):
        frame.vapi.refresh()
    assert frame.vapi.refresh(vf.replay(taped)).equals(frame)


@pytest.mark.extra("local")
def test_both_say_who_they_are(tmp_path, taped):
    """The repr names the wire and the folder; the scope distinguishes folders."""
    assert repr(vf.replay(taped)) == f"<vq of the recordings in {taped}>"
    assert repr(vf.record(tmp_path, vf.connect("sk-test-0001"))) == (
        f"<vq of the API at https://api.vapi.ai, recorded in {tmp_path}>"
    )
    assert ReplayWire(taped).scope() == f"replay {taped.resolve()}"
    wire = Wire(Calls())
    assert RecordingWire(wire, tmp_path, MOMENT).scope() == wire.scope()
    assert (
        "calls in memory" in RecordingWire(vf.record(tmp_path, vf.demo()).source.client.wire, tmp_path, MOMENT).scope()
    )


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.extra("local")
def test_a_folder_without_recordings_says_how_to_make_some(tmp_path):
    """Replay before record, the wrong folder, or a file instead of one."""
    (tmp_path / "notes.txt").write_text("not JSON")
    (tmp_path / ".x.json.1.2.part").write_text("{")
    with pytest.raises(ReplayMissError, match=r"there is no recording in .*; vf.record\('.*'\) makes them"):
        vf.replay(tmp_path)
    with pytest.raises(ReplayMissError, match=r"nowhere does not exist; vf.record\('.*nowhere'\)"):
        vf.replay(tmp_path / "nowhere")
    with pytest.raises(ReplayMissError, match=r"notes.txt is a file, not a folder"):
        vf.replay(tmp_path / "notes.txt")
    vf.record(tmp_path, vf.demo()).call().count().fetch()
    assert len(vf.replay(tmp_path).call().count().fetch()) == 1


def changed(**parts):
    """Return what replaces the content of a recording."""

    def change(text):
        kept = json.loads(text)
        return json.dumps({word: value for word, value in {**kept, **parts}.items() if value is not ...})

    return change


@pytest.mark.extra("local")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[: len(text) // 2], r"is not complete JSON \(.*\): record its query again, or delete it"),
        (lambda _: "", "is not complete JSON"),
        (lambda text: "<<<<<<< HEAD\n" + text, "is not complete JSON"),
        (lambda text: text.replace('"13495"', "NaN"), "is not complete JSON.*NaN is not a JSON number"),
        (lambda _: "[" * 100_000, "is not complete JSON"),
        (lambda _: '{"name": "my-package"}', "is not a recording: use a folder of its own for recordings"),
        (lambda _: "[]", "is not a recording"),
        (changed(reply=...), "is not a recording"),
        (changed(format=2), "has the format 2, and this version of vapi-frames reads 1"),
        (changed(query={"table": "call"}), "was edited .*name is missing"),
        (changed(query=[]), "was edited"),
        (changed(reply={"name": "q", "result": []}), "was edited .*lacks name, timeRange or result"),
        (changed(now="2026-10-01"), "was edited .*has no zone"),
        (changed(now=None), "was edited"),
        (changed(units={"cost": "s"}), "was edited .*unknown column"),
        (changed(units=["s"]), "was edited"),
    ],
)
def test_a_file_that_is_no_recording_is_named(tmp_path, change, said):
    """Torn, foreign, from another version, or edited: the error has the file and the cure."""
    vf.record(tmp_path, vf.demo()).call().count().during("2026-10").fetch()
    [path] = tmp_path.iterdir()
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ReplayMissError, match=f"{path.name} {said}"):
        vf.replay(tmp_path)
    vf.record(tmp_path, vf.demo()).call().count().during("2026-10").fetch()
    assert len(vf.replay(tmp_path).call().count().during("2026-10").fetch()) == 1


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """What the operating system has to say is passed on."""
    (tmp_path / "a.json").mkdir()
    with pytest.raises(ReplayMissError, match=r"a.json cannot be read: .*directory"):
        vf.replay(tmp_path)


@pytest.mark.extra("local")
def test_a_byte_order_mark_and_other_ends_of_lines_are_no_harm(tmp_path):
    """What an editor or a checkout makes of a text file is still the recording."""
    frame = vf.record(tmp_path, vf.demo()).call().count().by("type").during("2026-10").fetch()
    [path] = tmp_path.iterdir()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    equal(vf.replay(tmp_path).call().count().by("type").during("2026-10").fetch(), frame)


@pytest.mark.extra("local")
def test_recordings_of_different_units_do_not_mix(tmp_path):
    """A number must not change its unit by what else lies in the folder."""
    vf.record(tmp_path, vf.demo()).call().sum("duration").during("2026-10").fetch()
    with running(vf.demo().source) as served:
        vq = vf.record(tmp_path, vf.connect(KEY, base_url=served.url, units={"duration": "s"}), now="2026-11-17T00:00Z")
        vq.call().sum("duration").during("2026-11").fetch()
    with pytest.raises(ReplayMissError, match="10-01.* the usual units, and .*11-01.* with {'duration': 's'}: record"):
        vf.replay(tmp_path)


@pytest.mark.extra("local")
def test_what_is_no_folder_is_refused(tmp_path):
    """Arguments in the wrong order or of the wrong kind are said, and not repeated where they may be the key."""
    with pytest.raises(QueryError, match=r'record takes a folder, e.g. vf.record\("recordings"\), not Vq'):
        vf.record(vf.demo(), tmp_path)
    for wrong, kind in ((None, "NoneType"), ("", "an empty text"), (3, "int"), (b"a", "bytes")):
        with pytest.raises(QueryError, match=f"replay takes a folder.*not {kind}"):
            vf.replay(wrong)
    with pytest.raises(QueryError, match=r"vf.record\(folder, vf.connect\(...\)\), not str") as caught:
        vf.record(tmp_path / "never", "sk-planted-4f1d9c")
    assert "planted" not in str(caught.value)
    assert not (tmp_path / "never").exists()
    with pytest.raises(QueryError, match="has no zone"):
        vf.record(tmp_path, vf.demo(), now="2026-10-01")
    (tmp_path / "file").write_text("")
    with pytest.raises(QueryError, match="file is a file; record takes the folder"):
        vf.record(tmp_path / "file", vf.demo())


@pytest.mark.extra("local")
def test_a_folder_that_is_gone_is_said(tmp_path):
    """The reply came and cannot be kept: the error is one of this package."""
    vq = vf.record(tmp_path / "gone", vf.demo())
    (tmp_path / "gone").rmdir()
    with pytest.raises(
        SourceError, match=r"the reply arrived, and cannot be written to .*gone: No such file"
    ) as caught:
        vq.call().count().during("2026-10").fetch()
    assert isinstance(caught.value.__cause__, OSError)


def test_without_a_source_the_api_is_recorded(tmp_path, monkeypatch):
    """The default is the API with the key of the environment, read when it fetches."""
    vq = vf.record(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    with pytest.raises(vf.errors.AuthenticationError, match="there is no key"):
        vq.call().count().fetch()
    assert isinstance(vq.source, ApiSource)
    assert isinstance(vq.source.client, ApiClient)
    assert names(tmp_path / "a" / "b") == []


@pytest.mark.extra("local")
def test_files_have_the_name_of_their_query(tmp_path):
    """The hash is that of the query without its name."""
    vq = vf.record(tmp_path, vf.demo())
    vq.fetch(*several(vq))
    for one in read_recordings(tmp_path):
        assert one.path.name == make_file_name(one.query)
        assert hash_query(one.query) == hash_query({**one.query, "name": "another"})
        assert one.path.stem.endswith(hash_query(one.query)[:10])


@pytest.mark.extra("local")
def test_a_folder_in_the_home_folder(monkeypatch, tmp_path):
    """The tilde means what it means in a shell, for both."""
    monkeypatch.setenv("HOME", str(tmp_path))
    query = vf.vq.call().count().during("2026-10")
    [recorded] = vf.record("~/tape", vf.demo()).fetch(query).values()
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "tape"]
    [replayed] = vf.replay("~/tape").fetch(query).values()
    pd.testing.assert_frame_equal(replayed, recorded)
