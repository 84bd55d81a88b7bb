"""The command ``vapi-frames serve``: how it starts, its key, and how it ends."""

from __future__ import annotations

import contextlib
import json
import signal
import socket

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vapi_frames as vf
from tests.support.endpoint import KEY, SAFETY, command, link_files
from vapi_frames.cli.main import main

pytestmark = pytest.mark.extra("local")

BODY = {"queries": [{"table": "call", "name": "n", "operations": [{"operation": "count", "column": "id"}]}]}


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """Write two files of calls; return their folder."""
    folder = tmp_path_factory.mktemp("calls")
    sample = vf.sample_calls(200)
    sample[:120].to_parquet(folder / "1.parquet")
    sample[120:].to_parquet(folder / "2.parquet")
    return folder


def whole(calls):
    """Return a body that counts all calls of the sample."""
    span = {"start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"}
    return {"queries": [{**BODY["queries"][0], "timeRange": span}]}


def finish(process):
    """Wait for the end; return exit code, and what was printed to stdout after the first line."""
    out, _ = process.communicate(timeout=SAFETY)
    return process.returncode, out


ENDINGS = [
    (paths, number)
    for paths in (["*.parquet"], ["1.parquet", "2.parquet"], ["."])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
]


@pytest.mark.parametrize(
    ("paths", "number"),
    [*ENDINGS[::9], *(pytest.param(*one, marks=pytest.mark.long) for one in ENDINGS if one not in ENDINGS[::9])],
)
def test_it_answers_from_files_until_a_signal_ends_it(calls, paths, number):
    """Files, globs and folders; one line where it listens; a signal ends it with 0, and without a traceback."""
    with command(*(calls / path for path in paths)) as (endpoint, process, log):
        assert endpoint.send(whole(calls))[2][0]["result"] == [{"countId": "200"}]
        assert endpoint.send(BODY, key="wrong")[0] == 401
        process.send_signal(number)
        assert finish(process) == (0, "")
        err = log()
    assert [line.split(" INFO ")[1].split(",")[0] for line in err.splitlines()] == [
        "POST /analytics 201",
        "refused with 401",
    ]
    assert KEY not in err


def test_the_demo_is_served_without_a_key(monkeypatch):
    """`serve --demo --no-auth` needs nothing: no files, no key."""
    with command("--demo", "--no-auth", key=None) as (endpoint, _, _):
        frame = vf.connect("any-key", base_url=endpoint.url).call().count().by("type").during("2026-10").fetch()
    assert frame.equals(vf.demo().call().count().by("type").during("2026-10").fetch())


def test_a_key_file_takes_precedence_over_the_environment(calls, tmp_path):
    """Only the key in the file is accepted, with or without a line break at its end."""
    file = tmp_path / "key"
    file.write_text("  the-file's-own-key\n", encoding="utf-8")
    file.chmod(0o600)
    with command(calls, "--key-file", file) as (endpoint, _, _):
        assert endpoint.send(BODY)[0] == 401
        assert endpoint.send(BODY, key="the-file's-own-key")[0] == 201


@contextlib.contextmanager
def begun(endpoint, content):
    """Open a connection and begin a request: the server has read its head, and waits for *content*."""
    head = f"POST /analytics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(content)}\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", endpoint.port), SAFETY) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 100 ")
        yield connection


def rest(connection):
    """Return the status and the JSON of what comes until the server closes."""
    came = b""
    while piece := connection.recv(65_536):
        came += piece
    head, _, body = came.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_a_signal_finishes_what_is_in_flight(calls):
    """After SIGTERM no new connection is accepted; a request that had begun is answered, and then the process ends with 0."""
    content = json.dumps(whole(calls)).encode()
    with command(calls) as (endpoint, process, _):
        with begun(endpoint, content) as connection:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(OSError):  # refused once it has stopped listening
                while True:
                    socket.create_connection(("127.0.0.1", endpoint.port), SAFETY).close()
            connection.sendall(content)
            status, reply = rest(connection)
        assert (status, reply[0]["result"]) == (201, [{"countId": "200"}])
        assert finish(process)[0] == 0


@pytest.mark.long
def test_a_signal_waits_for_slow_work_no_longer_than_the_time_out(tmp_path):
    """A query that would take minutes is cut off with 504 during the shutdown, and the process still ends with 0."""
    at = np.datetime64("2026-10-01T00:00:00") + np.arange(500_000).astype("timedelta64[s]")
    pq.write_table(pa.table({"id": np.arange(500_000), "createdAt": np.datetime_as_string(at)}), tmp_path / "1.parquet")
    content = json.dumps(BODY).encode()
    with (
        command("--timeout", 1, *link_files(tmp_path / "1.parquet", 400)) as (endpoint, process, log),
        begun(endpoint, content) as connection,
        socket.create_connection(("127.0.0.1", endpoint.port), SAFETY) as idle,
    ):
        idle.sendall(b"POST /ana")  # half a head, which nothing is to wait for
        connection.sendall(content)
        process.send_signal(signal.SIGTERM)
        assert rest(connection)[0] == 504
        assert finish(process)[0] == 0, log()


@pytest.mark.parametrize(
    "start",
    [
        (["--demo"], None, "there is no key: set VAPI_FRAMES_KEY"),
        (["--demo"], " \n", "there is no key"),
        (["--demo"], "two words", "the key must be text in ASCII"),
        (["--demo", "--key-file", "no-such-file"], KEY, "No such file"),
        (["--demo", "--key-file", "empty"], KEY, "'empty' has no key"),
        (["--demo", "--key-file", "binary"], KEY, "'binary' has no key"),
        (["--demo", "--key-file", "lines"], KEY, "the key must be text in ASCII"),
        (["--demo", "--key-file", "short"], KEY, "the key has 15 characters, and needs at least 16"),
        (["--demo"], "a" * 15, "the key has 15 characters, and needs at least 16"),
        (["--demo", "--key-file", "open"], KEY, "chmod 600 it, or, if it is mounted so, set VAPI_FRAMES_KEY"),
        (["--demo", "--max-connections", "0"], KEY, "connections must be at least 1"),
        (["--demo", "--max-peer-connections", "0"], KEY, "peer_connections must be at least 1"),
        (["--demo", "--max-rows", "0"], KEY, "row_limit must be at least 1"),
        (["--demo", "--no-auth", "--host", "0.0.0.0"], KEY, "a server without a key is for this machine only"),
        (["--demo", "--no-auth", "--host", "::"], KEY, "a server without a key is for this machine only"),
        (["--demo", "--no-auth", "--host", "192.0.2.1"], KEY, "a server without a key is for this machine only"),
        (["--demo", "--no-auth", "--port", "70000"], KEY, "port must be 0 to 65535"),
        (["--demo", "--no-auth", "--timeout", "0"], KEY, "timeout must be in seconds"),
        (["--demo", "--no-auth", "--workers", "0"], KEY, "workers must be at least 1"),
        (["--no-auth"], KEY, "pass the call records to serve"),
        (["--demo", "calls.parquet", "--no-auth"], KEY, "pass the call records to serve"),
        (["no/such/*.parquet", "--no-auth"], KEY, "no file matches"),
    ],
)
def test_what_cannot_be_served_is_one_line(tmp_path, monkeypatch, capsys, start):
    """A wrong start ends with 2 and a reason, which never repeats a key."""
    arguments, environment, message = start
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_bytes(b" \n")
    (tmp_path / "binary").write_bytes(b"secret\xff\xfe")
    (tmp_path / "lines").write_bytes(b"secret\nsecret\n")
    (tmp_path / "short").write_bytes(b"secret-of-sixte\n")
    (tmp_path / "open").write_bytes(b"secret-of-sixteen\n")
    for file in tmp_path.iterdir():
        file.chmod(0o644 if file.name == "open" else 0o600)
    if environment:
        monkeypatch.setenv("VAPI_FRAMES_KEY", environment)
    assert main(["serve", "--port", "0", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("vapi-frames: ")
    assert len(err.splitlines()) == 1
    assert message in err
    assert "secret" not in err
    assert KEY not in err


def test_a_port_that_is_taken_is_one_line(capsys):
    """Someone else listens there: the reason, and 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", "--demo", "--no-auth", "--port", str(taken.getsockname()[1])]) == 1
    assert capsys.readouterr().err.startswith("vapi-frames: ")


def test_no_auth_and_a_key_file_exclude_each_other(capsys):
    """Both at once is a contradiction."""
    with pytest.raises(SystemExit):
        main(["serve", "--demo", "--no-auth", "--key-file", "x"])
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--demo", "--no"], ["serve", "--demo", "--key", "secret-of-sixteen"], ["serve", "--demo", "--key=secret-of-sixteen"], ["serve", "--dem", "--no-auth"],
        ["query", "count", "--base", "http://x"], ["archive", "--verif"], ["demo", "--hel"], ["--vers"],
    ],
)  # fmt: skip
def test_no_option_is_abbreviated(capsys, arguments):
    """``--no`` does not switch authentication off, and ``--key SECRET`` is not the name of a file."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "secret" not in capsys.readouterr().err


def test_unreadable_calls_are_reported_before_the_first_request(tmp_path, capsys):
    """JSON is converted first: a broken file is one line and 1, not the first client's error."""
    (tmp_path / "calls.json").write_text('[{"id": "1"}]', encoding="utf-8")
    assert main(["serve", str(tmp_path), "--no-auth", "--port", "0"]) == 1
    assert "calls.json', line 1 (call 1): it has no createdAt" in capsys.readouterr().err


def test_repeated_and_unreadable_calls_follow_the_options(tmp_path, capsys):
    """``--duplicates`` and ``--on-error`` mean what they mean for local."""
    good = {"id": "1", "createdAt": "2026-10-01T12:00:00Z"}
    lines = [json.dumps(good), json.dumps({**good, "createdAt": 5}), json.dumps(good)]
    (tmp_path / "calls.jsonl").write_text("\n".join(lines))
    for start in ([], ["--on-error", "skip", "--duplicates", "raise"]):
        assert main(["serve", str(tmp_path / "calls.jsonl"), "--no-auth", "--port", "0", *start]) == 1
    printed = capsys.readouterr().err
    assert "createdAt" in printed
    assert "duplicates='first'" in printed
    with command(tmp_path / "calls.jsonl", "--on-error", "skip", "--duplicates", "first") as (endpoint, process, _):
        assert endpoint.send(whole(tmp_path))[2][0]["result"] == [{"countId": "1"}]
        process.send_signal(signal.SIGTERM)
        assert finish(process) == (0, "")
