"""What an archive stores, of which days, for the vq and the shell."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pyarrow.parquet as pq
import pytest

import vapi_frames as vf
from tests.support.call_list import KEY, Calls, at, call, ids, store, texts, vq_of
from tests.support.servers import SAFETY, Server, failing, silent
from vapi_frames.cli.main import main
from vapi_frames.errors import (
    QueryError,
    RecordsWarning,
)
from vapi_frames.sources import progress

# --- what is stored ----------------------------------------------------------------------------------------------------

SECRETS = {
    "transcript": "AI: planted-transcript", "summary": "planted-summary", "recordingUrl": "https://planted-recording",
    "messages": [{"role": "user", "message": "planted-message"}],
    "customer": {"number": "+1555planted-number", "name": "planted-name"},
    "assistant": {"model": {"messages": [{"content": "planted-prompt"}]}},
    "analysis": {"successEvaluation": "true", "summary": "planted-summary", "structuredData": {"a": "planted-data"}},
    "artifact": {
        "transcript": "AI: planted-transcript", "stereoRecordingUrl": "https://planted-stereo",
        "messages": [{"message": "planted-message"}],
        "variableValues": {
            "plan": "pro", "customer": {"number": "+1555planted-number"}, "list": ["kept", "whole"],
            "call": json.dumps({"a": "planted-text"}), "odd": "{planted, but no JSON",
        },
    },
}  # fmt: skip


@pytest.mark.extra("local")
def test_only_what_queries_use_gets_to_the_disk(tmp_path):
    """No transcript, no message, no number: a look into the files finds none of the planted texts."""
    calls = Calls(call("a", at(14), **SECRETS), call("b", at(15), **SECRETS))
    store(calls, tmp_path)
    store(calls, tmp_path)
    found = texts(tmp_path)
    assert "planted-" not in found
    assert KEY not in found
    frame = vf.local(tmp_path).call().count().by("analysis.successEvaluation").by_variable("odd", "list")
    assert frame.during("2026-10").fetch().index.tolist() == [("true", "{planted, but no JSON", '["kept","whole"]')]


@pytest.mark.extra("local")
def test_transcripts_and_recordings_are_stored_on_request(tmp_path):
    """As columns of text; the results of queries are the same."""
    calls = Calls(call("a", at(14), **SECRETS), call("b", at(14), transcript="cut \ud83d"), call("c", at(13)))
    store(calls, tmp_path, since="2026-10-13", transcripts=True, recordings=True)
    rows = {row["id"]: row for row in pq.read_table(tmp_path / "2026-10-14.parquet").to_pylist()}
    names = ("transcript", "analysis.summary", "messages", "recordingUrl", "stereoRecordingUrl")
    assert [rows["a"][name] for name in names] == [
        "AI: planted-transcript", "planted-summary", '[{"role":"user","message":"planted-message"}]',
        "https://planted-recording", "https://planted-stereo",
    ]  # fmt: skip
    assert [rows["b"][name] for name in names] == ["cut ?", None, None, None, None]
    for absent in ("planted-number", "planted-name", "planted-prompt", "planted-data"):
        assert absent not in texts(tmp_path)
    query = vf.local(tmp_path).call().count().sum("cost").by("analysis.successEvaluation").during("2026-10")
    assert query.fetch()["countId"].tolist() == [1, 2]


def test_the_newer_place_of_a_recording_is_known(tmp_path):
    """The API has moved it more than once."""
    places = {"recording": {"stereoUrl": "https://s", "mono": {"combinedUrl": "https://m"}}}
    store(Calls(call("a", at(15), artifact=places)), tmp_path, recordings=True)
    [row] = pq.read_table(tmp_path / "2026-10-15.parquet").to_pylist()
    assert (row["recordingUrl"], row["stereoRecordingUrl"]) == ("https://m", "https://s")


def test_transcripts_are_fetched_later_and_not_lost_again(tmp_path):
    """Complete days are fetched again for what they lack while the API has it; a run without does not delete them."""
    calls = Calls(call("a", at(14), transcript="hello"), call("b", at(1, 3), transcript="old"))
    store(calls, tmp_path)
    calls.days()
    store(calls, tmp_path, transcripts=True)
    assert calls.days() == [(1, 15)]
    store(calls, tmp_path, transcripts=True)
    assert calls.days() == [(15, 15)]
    calls.records = [call("a", at(14)), call("c", at(15))]
    store(calls, tmp_path, recordings=True)
    rows = pq.read_table(tmp_path / "2026-10-14.parquet").to_pylist()
    assert rows[0]["transcript"] == "hello"
    calls.days()
    with pytest.warns(RecordsWarning, match="16 to 2026-10-17"):
        store(calls, tmp_path, transcripts=True, now=at(15) + timedelta(days=17))
    assert calls.days()[0][0] == 15, "what the API no longer lists is not requested"


# --- which days, and of which vq ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        ("2026-10-14", None, 2),
        ("2026-10-14T23:59:59Z", None, 2),
        (date(2026, 10, 13), "2026-10-15", 2),
        (pd.Timestamp("2026-10-14T22:00-04:00"), None, 1),
        ("2026-10-13", "2026-10-14T00:00:00.000001", 2),
        ("2026-10-15", "2027-01-01", 1),
    ],
)
def test_days_are_whole_and_of_utc(since, until, days, tmp_path):
    """A time means its day; the last day is the one before until, and at most today."""
    assert store(Calls(), tmp_path, since=since, until=until).days == days


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"since": "yesterday"}, "since 'yesterday' is not an ISO 8601 date"),
        ({"since": "2026-10-05", "until": "2026-10-05"}, "the range is empty"),
        ({"since": "2026-10-16", "until": "2026-10-20"}, "is in the future"),
        ({"since": "0202-10-01"}, "is before 2020-01-01"),
    ],
)
def test_wrong_ranges_are_refused_before_any_request(arguments, message, tmp_path):
    """And nothing is created."""
    calls = Calls()
    with pytest.raises(QueryError, match=message):
        store(calls, tmp_path / "new", **arguments)
    assert not calls.requests
    assert not (tmp_path / "new").exists()


def test_an_archive_is_a_folder(tmp_path):
    """A file is refused; a folder in a folder is created."""
    (tmp_path / "calls").write_text("")
    with pytest.raises(QueryError, match="is a file; an archive is a folder"):
        store(Calls(), tmp_path / "calls")
    assert store(Calls(), tmp_path / "a" / "b").folder == tmp_path / "a" / "b"


def test_a_vq_of_the_api_archives(tmp_path):
    """By its own clock; a progress function is called with days."""
    shown = []
    today = datetime.now(UTC)
    with Server(Calls(call("a", today - timedelta(seconds=1)))) as server:
        done = vq_of(server).archive(tmp_path, since=today.date(), progress=shown.append)
    assert done.calls == 1
    assert (shown[-1].done, shown[-1].total) == (done.days, done.days)
    assert any(re.fullmatch(r"\d{4}-\d\d-\d\d: 1 calls", one.message) for one in shown)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_what_a_progress_raises_ends_the_run(tmp_path):
    """As Ctrl-C does: between two pages, and the finished days are stored."""
    records = [call(f"{day}-{n}", at(day, n)) for day in range(4, 8) for n in range(10)]

    def stop(state):
        if state.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), progress.showing(stop):
        store(Calls(*records), tmp_path, since="2026-10-04", until="2026-10-08", limit=8)
    assert {len(some) for some in ids(tmp_path).values()} == {10}


@pytest.mark.extra("local")
@pytest.mark.parametrize(
    "make", [lambda _: vf.demo(), lambda _: vf.local([]), lambda folder: vf.record(folder, vf.demo())]
)
def test_only_the_api_has_calls_to_archive(make, tmp_path):
    """Other sources, and recordings, say what to use instead."""
    with pytest.raises(
        QueryError,
        match=r"only the API has calls to archive, and this vq fetches from .* query its call records directly",
    ):
        make(tmp_path).archive(tmp_path)


@pytest.mark.extra("local")
@pytest.mark.parametrize("make", [lambda _: vf.local([]), lambda folder: vf.record(folder, vf.demo())])
def test_sources_without_names_say_so(make, tmp_path):
    """Only the API and the sample have names of assistants."""
    with pytest.raises(QueryError, match=r"only the API has names of assistants.*\.label\(\.\.\.\) names of your own"):
        make(tmp_path).assistants()


# --- from the shell --------------------------------------------------------------------------------------------------


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command in the test's own process; return exit code, stdout and the lines of stderr."""
    monkeypatch.setenv("VAPI_API_KEY", KEY)

    def run(*arguments):
        try:
            code = main(["archive", *map(str, arguments)])
        except SystemExit as ending:
            code = ending.code
        said = capsys.readouterr()
        assert KEY not in said.out + said.err
        return code, said.out, said.err.splitlines()

    return run


@pytest.mark.extra("local")
def test_the_command_prints_what_it_did_and_nothing_else(run, tmp_path):
    """One line on stdout, none on stderr: cron sends no mail for it."""
    today = datetime.now(UTC)
    records = [call("a", today - timedelta(seconds=2)), call("b", today - timedelta(seconds=1))]
    with Server(Calls(*records)) as server:
        options = ("--since", today.date(), "--base-url", server.url, "--timeout", 5, "--transcripts", "--recordings")
        code, out, err = run(tmp_path, *options)
    assert (code, err) == (0, [])
    assert re.fullmatch(rf"{tmp_path}: \d days? fetched by 1 request, 2 new calls, 0 updated, 0 still open\n", out)
    assert KEY not in texts(tmp_path)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert vf.local(tmp_path).call().count().last("2d").fetch()["countId"].tolist() == [2]


@pytest.mark.extra("local")
def test_the_command_has_the_options_of_what_is_kept(run, tmp_path):
    """Of each option that Python has, the shell has one."""
    records = [call("a", datetime.now(UTC) - timedelta(seconds=2), **SECRETS)]
    with Server(Calls(*records)) as server:
        options = ("--no-variables", "--no-outputs", "--customers", "--base-url", server.url)
        assert run(tmp_path, *options)[0] == 0
    assert "+1555planted-number" in texts(tmp_path)
    assert "planted, but no JSON" not in texts(tmp_path)


def test_a_wrong_option_is_refused_before_any_request(tmp_path):
    """Text such as 'no' is not taken for true."""
    with Server(Calls()) as server, pytest.raises(QueryError, match="variables must be True or False, not 'no'"):
        vq_of(server).archive(tmp_path / "calls", variables="no")
    assert not (tmp_path / "calls").exists()


def test_the_exit_code_distinguishes_the_api_from_the_arguments(run, tmp_path):
    """1, the API; 2, the arguments; in one line of stderr."""
    with Server(failing(401, f"bad key {KEY}")) as server:
        code, out, err = run(tmp_path, "--base-url", server.url)
    assert (code, out, len(err)) == (1, "", 1)
    assert err[0].startswith("vapi-frames: the API replied 401")
    for arguments in (["--since", "soon"], ["--until", "2020-01-01"], ["--base-url", "http://example.org"], ["--tokn"]):
        code, out, err = run(tmp_path, *arguments, *(["--since", "2021-01-01"] if "--until" in arguments else []))
        assert (code, out, len(err)) == (2, "", 1)
    code, _, err = run(tmp_path, "--token", KEY)
    assert code == 2
    assert "set VAPI_API_KEY" in err[0]


def test_a_warning_is_a_line_of_stderr(run, tmp_path):
    """Such as that the API may no longer list the first days."""
    with Server(Calls()) as server:
        first = datetime.now(UTC) - timedelta(days=17)
        code, out, err = run(tmp_path, "--base-url", server.url, "--since", first.date())
    assert (code, len(err)) == (0, 1)
    assert err[0].startswith("vapi-frames: warning: the archive has nothing of 3 days from ")
    assert " fetched by 1 request, 0 new calls" in out


@pytest.mark.long
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_it_with_130(tmp_path):
    """While it waits for the API, without a traceback."""
    with Server(silent) as server:
        command = [sys.executable, "-m", "vapi_frames.cli", "archive", str(tmp_path), "--base-url", server.url]
        environment = {**os.environ, "VAPI_API_KEY": KEY}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        until = time.monotonic() + SAFETY
        while not server.requests and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SAFETY)
    assert (process.returncode, out, err) == (130, b"", b"")
