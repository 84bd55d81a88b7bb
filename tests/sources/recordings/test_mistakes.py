"""What was not recorded is refused, with what is nearest; and damaged or foreign files."""

from __future__ import annotations

import json
from datetime import timedelta

import pandas as pd
import pytest

import vapi_frames as vf
from tests.support.endpoint import KEY, running
from tests.support.recorded import MOMENT, equal, missed, names, recording, several
from tests.support.wires import Calls, Wire
from vapi_frames.errors import (
    QueryError,
    ReplayMissError,
    SourceError,
)
from vapi_frames.frames.meta import read_meta
from vapi_frames.sources.api.client import ApiClient
from vapi_frames.sources.api.source import ApiSource
from vapi_frames.sources.recordings.file import hash_query, make_file_name, read_recordings
from vapi_frames.sources.recordings.replay import RecordingWire, ReplayWire

pytestmark = pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")


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


def test_recordings_of_two_days_say_which_moment_counts(tmp_path):
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
def test_a_frame_of_a_recording_is_refreshed_by_the_vq_it_is_given(taped):
    """It does not query the API unless told to."""
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
