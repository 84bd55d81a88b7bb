"""What breaks: a run that is interrupted or killed, replies and files that are damaged, a disk that is full."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

import vapi_frames as vf
from tests.support.call_list import NOW, Calls, at, call, connect, ids, store
from tests.support.servers import SAFETY, Server, failing, reply, silent
from vapi_frames.errors import (
    ConnectionFailedError,
    QueryError,
    RecordsError,
    RecordsWarning,
    ResponseError,
    StatusError,
)
from vapi_frames.sources.archive.archive import archive
from vapi_frames.sources.archive.day_files import DayFiles


def test_a_run_that_fails_keeps_the_days_it_finished(tmp_path):
    """Days are fetched oldest first; the next run continues where the page failed."""
    records = [call(f"{day}-{n}", at(day, n)) for day in range(4, 8) for n in range(10)]
    calls = Calls(*records)
    calls.broken = {12: failing(400, "no more")}
    with pytest.raises(StatusError, match="no more"):
        store(calls, tmp_path, since="2026-10-04", until="2026-10-08", limit=8)
    finished = ids(tmp_path)
    assert 0 < len(finished) < 4
    assert min(finished) == "2026-10-04"
    calls.broken = {}
    calls.days()
    store(calls, tmp_path, until="2026-10-08", limit=8)
    assert min(low for low, _ in calls.days()) == int(max(finished)[-2:]) + 1
    assert ids(tmp_path) == {f"2026-10-0{day}": sorted(f"{day}-{n}" for n in range(10)) for day in range(4, 8)}


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ({"message": "no such thing", "statusCode": 400}, r"\$", "it is an error: 'no such thing'"),
        ({"results": []}, r"\$", "it is an object with 'results'"),
        ("null", r"\$", "it is NoneType"),
        ("[{]", r"\$", "not an array of records"),
        (b"[" * 100_000, r"\$", "RecursionError"),
        (b'["\xff"]', r"\$", "UnicodeDecodeError"),
        (
            [{**call("a", at(14))[0], "createdAt": "2026-09-30T00:00:00Z"}],
            r"\$\[0\].createdAt",
            "a server that ignores createdAtGe",
        ),
    ],
)
def test_a_reply_that_is_no_list_of_calls_is_an_error(body, path, message, tmp_path):
    """The error has the JSON path and the request, and nothing of that reply is stored."""
    with pytest.raises(ResponseError, match=f"^{path}: .*GET /call from 2026-10-13T23:59:59.999Z.*") as caught:
        store(reply(200, body), tmp_path, since="2026-10-14")
    assert message in str(caught.value)
    assert ids(tmp_path) == {}


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"id": None}, "$[1].id", "the call has no id"),
        ({"id": ""}, "$[1].id", "the call has no id"),
        ({"id": 7}, "$[1].id", "the call has no id"),
        ({"createdAt": None}, "$[1].createdAt", "it has no createdAt"),
        ({"createdAt": 1_760}, "$[1].createdAt", "not an ISO 8601 date-time"),
        ({"cost": "free"}, "$[1].cost", "cost is 'free', not a number"),
    ],
)
def test_a_call_that_cannot_be_read_costs_no_other(change, path, message, tmp_path):
    """All others are stored before the error; its day is fetched again, and is complete when it can be read."""
    calls = Calls(call("a", at(13)), call("b", at(14, 9), **change), call("c", at(14)), order="oldest")
    with pytest.raises(ResponseError, match=re.escape(message)) as caught:
        store(calls, tmp_path, since="2026-10-13", until="2026-10-15")
    assert caught.value.path == path
    assert str(caught.value).endswith("; all other calls were stored, and the next run fetches their days again")
    assert ids(tmp_path) == {"2026-10-13": ["a"], "2026-10-14": ["c"]}
    calls.records[1] = call("b", at(14, 9))
    assert store(calls, tmp_path, until="2026-10-15").calls == 1
    assert store(calls, tmp_path, until="2026-10-15").days == 0


def test_an_element_that_is_no_object_is_named(tmp_path):
    """Whatever a list holds."""
    with pytest.raises(ResponseError, match=r"^\$\[0\]: it is int, not an object; GET /call .*, and 1 more like it"):
        store(reply(200, [7, "x"]), tmp_path, since="2026-10-14")


def test_calls_of_two_organizations_are_not_mixed(tmp_path):
    """Another key in the environment is noticed at its first call."""
    store(Calls(call("a", at(14))), tmp_path)
    with pytest.raises(QueryError, match="belongs to the organization 'org-2', and .* has the calls of another"):
        store(Calls(call("b", at(15), orgId="org-2")), tmp_path)
    assert ids(tmp_path)["2026-10-15"] == []


def test_a_damaged_file_is_set_aside_and_its_day_fetched_again(tmp_path):
    """A warning names it; nothing is deleted, also if there is a damaged one already."""
    calls = Calls(call("a", at(14)))
    path = tmp_path / "2026-10-14.parquet"
    for number, torn in enumerate([b"", b"PAR1 and no end"]):
        store(calls, tmp_path, since="2026-10-13", until="2026-10-15")
        path.write_bytes(torn)
        with pytest.warns(RecordsWarning, match=r"2026-10-14.parquet' is damaged, was set aside as"):
            store(calls, tmp_path, until="2026-10-15")
        assert (tmp_path / f"2026-10-14.parquet.broken{number or ''}").read_bytes() == torn
        assert ids(tmp_path)["2026-10-14"] == ["a"]


def test_a_file_with_a_whole_end_and_damaged_rows_is_set_aside(tmp_path):
    """Damage that shows only when the rows are read."""
    calls = Calls(*(call(f"{n}", at(15, n)) for n in range(12)))
    store(calls, tmp_path, since="2026-10-15")
    path = tmp_path / "2026-10-15.parquet"
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(content)
    with pytest.warns(RecordsWarning, match="is damaged"):
        store(calls, tmp_path)
    assert len(ids(tmp_path)["2026-10-15"]) == 12


def test_another_file_is_not_touched(tmp_path):
    """A Parquet file with the name of a day may be anything; others do not matter."""
    path = tmp_path / "2026-10-14.parquet"
    vf.sample_calls(3).to_parquet(path)
    before = path.read_bytes()
    with pytest.raises(RecordsError, match=r"2026-10-14.parquet' was not written by an archive") as caught:
        store(Calls(), tmp_path, since="2026-10-14")
    assert caught.value.file == str(path)
    assert path.read_bytes() == before
    path.rename(tmp_path / "2026-99-14.parquet")
    store(Calls(), tmp_path, since="2026-10-14")


def test_two_runs_do_not_share_a_folder(tmp_path):
    """The second one is an error; when the first is over, it runs."""
    with DayFiles(tmp_path).lock(), pytest.raises(RecordsError, match="another run is archiving"):
        store(Calls(), tmp_path, since="2026-10-14")
    store(Calls(), tmp_path, since="2026-10-14")


_KILLED = """
import os, signal, sys
from datetime import datetime
import pyarrow.parquet
from pathlib import Path
from vapi_frames.sources.archive.archive import archive
from vapi_frames.sources.http.connection import Connection
url, folder, moment = sys.argv[1:]
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
write, replace = pyarrow.parquet.write_table, Path.replace
def torn(table, file, **more):
    if len(table) and table.column("id")[0].as_py().startswith("3"):
        file.write(b"PAR1 half"); file.flush(); die()
    write(table, file, **more)
def replaced(part, path):
    is_third = path.name == "2026-10-03.parquet"
    if is_third and moment == "before": die()
    replace(part, path)
    if is_third and moment == "after": die()
if moment == "within": pyarrow.parquet.write_table = torn
Path.replace = replaced
connection = Connection("archive-test-key-4c1b77", base_url=url)
archive(connection, folder, now=datetime.fromisoformat("2026-10-15T12:00Z"), since="2026-10-01", until="2026-10-06")
"""


@pytest.mark.long
@pytest.mark.extra("local")
@pytest.mark.parametrize("moment", ["within", "before", "after"])
def test_a_run_that_is_killed_leaves_the_old_file_or_the_new_one(moment, tmp_path):
    """Within a file, before it gets its name, after: each file is whole, and the next run does the rest."""
    calls = Calls(*(call(f"{day}", at(day)) for day in range(1, 6)))
    old = Calls(call("3old", at(3), status="in-progress", endedReason=None))
    store(old, tmp_path, since="2026-10-03", until="2026-10-04")
    with Server(calls) as server:
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, server.url, str(tmp_path), moment], check=False, capture_output=True
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    third = ["3", "3old"] if moment == "after" else ["3old"]
    assert ids(tmp_path) == {"2026-10-01": ["1"], "2026-10-02": ["2"], "2026-10-03": third}
    assert len(list(tmp_path.glob(".*.part"))) == (moment != "after")
    assert vf.local(tmp_path).call().count().during("2026-10").fetch()["countId"].tolist() == [2 + len(third)]
    store(calls, tmp_path, until="2026-10-06")
    assert not list(tmp_path.glob(".*.part"))
    assert ids(tmp_path) == {f"2026-10-0{n}": ["3", "3old"] if n == 3 else [f"{n}"] for n in range(1, 6)}


@pytest.mark.long
def test_a_run_may_be_killed_at_any_moment(tmp_path):
    """Killed again and again after no time at all, and longer: every file is whole each time, and all comes in the end."""
    calls = Calls(*(call(f"{day}-{n}", at(day, n)) for day in range(1, 15) for n in range(20)))
    rng = random.Random(5)
    with Server(calls) as server:
        for _ in range(4):
            script = [sys.executable, "-c", _KILLED, server.url, str(tmp_path), "never"]
            run = subprocess.Popen(script, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.2, 1.5))
            run.kill()
            run.wait(SAFETY)
            assert all(len(some) == 20 for some in ids(tmp_path).values())
    store(calls, tmp_path, since="2026-10-01", until="2026-10-15")
    assert {day: len(some) for day, some in ids(tmp_path).items()} == {f"2026-10-{n:02}": 20 for n in range(1, 15)}
    assert not list(tmp_path.glob(".*.part"))


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path, monkeypatch):
    """The error is the operating system's own; neither a part nor a torn file stays."""
    calls = Calls(call("a", at(15, 9)))
    store(calls, tmp_path, since="2026-10-15")
    before = (tmp_path / "2026-10-15.parquet").read_bytes()

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store(calls, tmp_path)
    assert (tmp_path / "2026-10-15.parquet").read_bytes() == before
    assert not list(tmp_path.glob(".*.part"))


def test_no_reply_is_an_error_of_the_source(tmp_path):
    """After the attempts; nothing was stored."""
    with Server(silent) as server, pytest.raises(ConnectionFailedError):
        archive(connect(server, timeout=0.05), tmp_path, now=NOW)
    assert ids(tmp_path) == {}


def test_a_disk_that_fails_is_no_damaged_file(tmp_path, monkeypatch):
    """What the system refuses to read stays where it is: calls that the API no longer lists are in no other place."""

    files = DayFiles(tmp_path)
    path = tmp_path / "2026-10-01.parquet"
    path.write_bytes(b"PAR1")
    opened = Path.open

    def failing(self, *arguments, **options):
        if self == path:
            raise OSError(5, "Input/output error")
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", failing)
    for read in (files.read_states, lambda: files.read_rows(date(2026, 10, 1))):
        with pytest.raises(OSError, match="Input/output"):
            read()
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
