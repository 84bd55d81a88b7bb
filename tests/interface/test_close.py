"""A vq that is closed, and paths that are resolved when a source is made."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pandas as pd
import pytest

import vapi_frames as vf
from tests.support.servers import SAFETY, Server, answering, reply
from vapi_frames.errors import QueryError, SourceError

KEY = "close-test-key-91a0"
CALLS = [{"id": "1", "createdAt": "2026-10-01T12:00:00Z", "cost": 0.25}]
QUERY = vf.vq.call().count().during("2026-10")

pytestmark = pytest.mark.extra("local")


def connect(server):
    """Return a vq of *server*."""
    return vf.connect(KEY, base_url=server.url)


def test_close_closes_the_sockets_of_a_connection():
    """The server sees the end of the connection while the vq still exists."""
    with Server(answering()) as server:
        vq = connect(server)
        vq.fetch(QUERY)
        vq.close()
        server.wait_until_closed()
        with pytest.raises(SourceError, match=r"this vq is closed: make another one"):
            vq.fetch(QUERY)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "use",
    [
        lambda vq: vq.fetch(QUERY),
        lambda vq: vq.call().count().during("2026-10").fetch(),
        lambda vq: vq.to_arrow(QUERY),
        lambda vq: vq.dashboard("7d"),
        lambda vq: vq.assistants(),
        lambda vq: vq.archive("nowhere"),
        lambda vq: vq.download("7d"),
        lambda vq: vq.now(),
        lambda vq: vq.__enter__(),
    ],
)
def test_a_closed_vq_says_so(use):
    """Whatever needs the source raises the same error; to start a query, to show it and to close again do not."""
    vq = vf.local(CALLS)
    vq.close()
    vq.close()
    with pytest.raises(SourceError, match="this vq is closed"):
        use(vq)
    assert repr(vq) == "<vq, closed>"
    assert repr(vq.call().count()) == "vq.call().count()"


def test_with_closes_at_the_end_of_the_block_and_after_an_error():
    """For a connection and for call records alike."""
    with Server(answering()) as server, connect(server) as vq:
        assert vq.fetch(QUERY)
    with pytest.raises(SourceError):
        vq.fetch(QUERY)
    with pytest.raises(ZeroDivisionError), vf.local(CALLS) as vq:
        raise ZeroDivisionError
    with pytest.raises(SourceError):
        vq.fetch(QUERY)


def test_a_connection_of_the_user_stays_open():
    """A warehouse's connection was passed in, and is used after the block."""
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    connection.execute("CREATE TABLE calls AS SELECT '1' AS id, TIMESTAMP '2026-10-01 12:00:00' AS \"createdAt\"")
    with vf.warehouse(connection, "calls", dialect="duckdb") as vq:
        vq.call().count().during("2026-10").fetch()
    assert connection.execute("SELECT count(*) FROM calls").fetchone() == (1,)


def test_a_recording_closes_only_the_connection_that_it_made(tmp_path, monkeypatch):
    """That of a vq which was passed in stays open."""
    with Server(answering()) as server:
        vq = connect(server)
        with vf.record(tmp_path, vq) as recorded:
            recorded.fetch(QUERY)
        assert vq.fetch(QUERY)
        made = [connect(server)]
        monkeypatch.setattr("vapi_frames.interface.connect.connect", lambda: made[0])
        vf.record(tmp_path / "own").close()
        with pytest.raises(SourceError):
            made[0].fetch(QUERY)


def test_temporary_files_of_call_records_are_deleted(tmp_path, monkeypatch):
    """JSON is converted to Parquet in a temporary folder, which is gone after close."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "calls.json").write_text(json.dumps(CALLS))
    vq = vf.local(tmp_path / "calls.json")
    vq.fetch(QUERY)
    assert list((tmp_path / "temporary").rglob("*.parquet"))
    vq.close()
    assert not list((tmp_path / "temporary").rglob("*.parquet"))


def test_a_fetch_that_is_under_way_while_it_is_closed_ends():
    """Its request may end, and its socket is closed then; nothing is sent afterwards."""
    arrived, may_reply = threading.Event(), threading.Event()

    def slow(request, connection):
        arrived.set()
        assert may_reply.wait(SAFETY)
        return reply(201, [{"name": "one", "timeRange": {}, "result": [{"countId": "1"}]}])(request, connection)

    with Server(slow) as server:
        vq, found = connect(server), []
        thread = threading.Thread(target=lambda: found.append(vq.fetch(QUERY.named("one"))))
        thread.start()
        assert arrived.wait(SAFETY)
        vq.close()
        may_reply.set()
        thread.join(SAFETY)
        server.wait_until_closed()
    assert found[0]["one"]["countId"].tolist() == [1]


# --- paths -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return a home folder that is not the current one."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def test_a_tilde_is_the_home_folder_in_every_path(home):
    """For files of calls, recordings, the cache, and saved frames."""
    (home / "calls.json").write_text(json.dumps(CALLS))
    vq = vf.local("~/calls.json")
    frame = vq.fetch(QUERY.named("one"))["one"]
    assert frame["countId"].tolist() == [1]
    assert vf.local(Path("~/calls.json")).fetch(QUERY)
    assert vf.local(["~/*.json"]).fetch(QUERY)
    frame.vapi.save("~/spend.parquet")
    assert vf.load("~/spend.parquet").equals(frame)
    vf.record("~/recordings", vq).fetch(QUERY)
    assert vf.replay("~/recordings").fetch(QUERY)
    with Server(answering()) as server:
        vf.connect(KEY, base_url=server.url, cache="~/cache").fetch(QUERY)
    assert len(vf.cache.info("~/cache")) == 1
    assert sorted(one.name for one in home.iterdir()) == ["cache", "calls.json", "recordings", "spend.parquet"]
    assert not list(Path.cwd().iterdir())


def test_a_later_chdir_does_not_move_a_source(home, tmp_path):
    """Paths are resolved when the source is made."""
    pd.DataFrame(CALLS).assign(createdAt=pd.Timestamp("2026-10-01T12:00Z")).to_parquet("calls.parquet")
    vq, recorded = vf.local("calls.parquet"), vf.record("recordings", vf.local(CALLS))
    with Server(answering()) as server:
        cached = vf.connect(KEY, base_url=server.url, cache="cache")
        os.chdir(home)
        assert vq.fetch(QUERY.named("one"))["one"]["countId"].tolist() == [1]
        recorded.fetch(QUERY)
        cached.fetch(QUERY)
    assert not list(home.iterdir())
    assert sorted(one.name for one in (tmp_path / "work").iterdir()) == ["cache", "calls.parquet", "recordings"]


@pytest.mark.parametrize("path", ["", "a\0b", b"a", 7, None])
def test_what_is_not_a_path_is_an_error_of_the_package(path):
    """Not one of the standard library."""
    frame = vf.local(CALLS).fetch(QUERY.named("one"))["one"]
    for use in (vf.load, frame.vapi.save, vf.record, vf.replay):
        with pytest.raises(QueryError):
            use(path)
