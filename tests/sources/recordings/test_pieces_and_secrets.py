"""Recordings have no secret in them, and a range may be replayed in other pieces than it was recorded in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support import secret_checks
from tests.support.examples import examples
from tests.support.recorded import MOMENT, equal, missed, names, recording, texts
from tests.support.servers import Server, echoing, reply
from tests.support.wires import Calls, Wire
from vapi_frames.errors import (
    ResponseError,
    ResponseWarning,
    StatusError,
)
from vapi_frames.redact import Redactor
from vapi_frames.sources.recordings.file import read_recordings

pytestmark = pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"


UUID = "8f14e45f-ceea-467f-a0e6-2c5d7a3b9f10"  # ids of assistants have this form, and so has the key of the API


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
@examples(12)
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
