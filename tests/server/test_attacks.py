"""Hostile clients of the endpoint: what each does, and that others are answered all the same."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import pyarrow as pa
import pytest

from tests.support import attack
from tests.support.endpoint import KEY, SAFETY, command, running
from vapi_frames.cancellation import on_cancel
from vapi_frames.result.result import Result
from vapi_frames.server import create_app
from vapi_frames.server.listen import make_server

pytestmark = pytest.mark.extra("server")

QUERY = {"table": "call", "name": "q", "operations": [{"operation": "count", "column": "id"}]}
BODY = {"queries": [QUERY]}
STEPS = {**QUERY, "timeRange": {"step": "second"}}
HEAD = f"POST /analytics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"


class Source:
    """Gives back the result of *act*."""

    kind = "calls"

    def __init__(self, act):
        self.act = act

    def now(self):
        return datetime(2026, 3, 10, 12, tzinfo=UTC)

    def answer(self, queries, now):
        return [self.act() for _ in queries]


def counted(count=1):
    """Return a result of *count* rows."""
    if count == 1:
        return Result(pa.table({"countId": pa.array([7])}), None, None)
    dates = pa.array(range(count)).cast(pa.timestamp("s")).cast(pa.timestamp("us", "UTC"))
    return Result(pa.table({"date": dates, "countId": pa.array(range(count))}), None, None)


def whole(body):
    """Return a request as bytes."""
    content = json.dumps(body).encode()
    return f"{HEAD}Content-Length: {len(content)}\r\n\r\n".encode() + content


def read(connection):
    """Return what comes until the server closes."""
    came = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            came += piece
    return came


def is_open(connection):
    """Return whether the server has kept *connection*."""
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


# --- connections -----------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("begun", [b"", b"POST /ana", HEAD.replace(KEY, "wrong").encode() + b"Content-Length: 9\r\n"])
def test_idle_connections_lock_no_one_out(begun):
    """With 64 file descriptors and 100 idle connections a client with the key is answered, and the log is short."""
    with command("--demo", ulimit="-n 64") as (endpoint, _, log), contextlib.ExitStack() as stack:
        assert endpoint.send(BODY)[0] == 201
        idle = []
        for _ in range(100):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", endpoint.port), SAFETY))
            with contextlib.suppress(OSError):
                connection.sendall(begun)
            idle.append(connection)
        for _ in range(5):
            assert endpoint.send(BODY)[0] == 201
        assert 0 < sum(map(is_open, idle)) < 40
        assert "Traceback" not in log()
        assert log().count("too many connections") == 1


def test_a_connection_that_is_at_work_is_not_closed_for_another():
    """Where all are at work, one more gets a 503 that says so; an idle one of another peer is not closed for it."""
    gate = threading.Event()

    def wait():
        gate.wait(SAFETY)
        return counted()

    app = create_app(Source(wait), key=KEY)
    server = make_server(app, SAFETY, 3, 2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with contextlib.ExitStack() as stack:

                def connect(source):
                    made = socket.create_connection(("127.0.0.1", port), SAFETY, source_address=(source, 0))
                    return stack.enter_context(made)

                other = connect("127.0.0.2")
                busy = [connect("127.0.0.1") for _ in range(2)]
                for connection in busy:
                    connection.sendall(whole(BODY))
                time.sleep(0.3)
                late = read(connect("127.0.0.1"))
                assert late.startswith(b"HTTP/1.1 503 ")
                assert json.loads(late.partition(b"\r\n\r\n")[2])["statusCode"] == 503
                assert is_open(other)
                gate.set()
                assert all(connection.recv(12) == b"HTTP/1.1 201" for connection in busy)
        finally:
            gate.set()
            server.should_exit = True
            thread.join(SAFETY)


def test_a_body_without_a_key_is_not_read():
    """The refusal comes after the head, and of 200 MB the server takes a small part."""
    with running(Source(counted)) as endpoint:
        with socket.create_connection(("127.0.0.1", endpoint.port), SAFETY) as connection:
            connection.sendall((HEAD.replace(KEY, "wrong") + "Content-Length: 200000000\r\n\r\n").encode())
            came, sent = connection.recv(65_536), 0
            assert came.startswith(b"HTTP/1.1 401 ")
            with contextlib.suppress(OSError):
                while sent < 200_000_000:
                    sent += connection.send(b" " * 65_536)
        assert sent < 20_000_000
        assert endpoint.send(BODY)[0] == 201


def test_a_refusal_can_be_read_by_a_client_that_sends_on():
    """A client that sends its body before it reads gets the 401, not a reset."""
    with running(Source(counted)) as endpoint:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", endpoint.port), SAFETY) as connection:
                connection.sendall((HEAD.replace(KEY, "wrong") + "Content-Length: 100000\r\n\r\n").encode())
                time.sleep(0.01)
                connection.sendall(b" " * 100_000)
                assert read(connection).startswith(b"HTTP/1.1 401 ")


def test_a_client_that_closes_its_half_gets_its_reply():
    """``nc -N`` sends a request and closes its half; requests that came before are answered, too."""
    with running(Source(lambda: time.sleep(0.2) or counted())) as endpoint:
        for count in (1, 3):
            with socket.create_connection(("127.0.0.1", endpoint.port), SAFETY) as connection:
                connection.sendall(whole(BODY) * count)
                connection.shutdown(socket.SHUT_WR)
                assert read(connection).count(b'[{"countId":"7"}]') == count


def test_a_client_that_does_not_read_loses_its_connection(monkeypatch):
    """A reply has to be read within the time-out; another client does not wait for it."""
    monkeypatch.setattr("vapi_frames.server.listen.TIMEOUT_MARGIN", 0.1)
    with running(Source(lambda: counted(300_000)), timeout=5.0) as endpoint:
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", endpoint.port))
            connection.sendall(whole({"queries": [STEPS]}))
            assert endpoint.send(None, method="GET", path="/health")[0] == 200
            begin = time.monotonic()
            time.sleep(6.5)
            came = read(connection)
        assert time.monotonic() - begin < 20
        assert came.startswith(b"HTTP/1.1 201 ")
        assert int(re.search(rb"(?i)content-length: (\d+)", came)[1]) > len(came)


# --- replies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queries", "limits", "status"),
    [
        (1, {"row_limit": 100}, 201), (1, {"row_limit": 99}, 413), (2, {"row_limit": 199}, 413),
        (2, {"row_limit": 200}, 201), (1, {"reply_limit": 1_000}, 413), (2, {"reply_limit": 8_000}, 413),
        (1, {"reply_limit": 8_000}, 201),
    ],
)  # fmt: skip
def test_a_reply_has_limits(queries, limits, status):
    """Of rows and of bytes, for all results of a request together: 413 with what would be smaller."""
    asked = []

    def act():
        asked.append(1)
        return counted(100)

    with running(Source(act), **limits) as endpoint:
        reply = endpoint.send({"queries": [STEPS] * queries + [STEPS] * (10 if status == 413 else 0)})
    assert reply[0] == status
    if status == 413:
        assert reply[2]["error"] == "Payload Too Large"
        assert "send a coarser step, fewer groups" in reply[2]["message"][0]
        assert len(asked) <= queries  # queries that are not sent are not computed


@pytest.mark.long
@pytest.mark.extra("local")
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the address space")
def test_a_process_with_a_limit_of_memory_ends_when_asked():
    """Large requests in parallel under ``ulimit -v``: each has a status, and SIGTERM ends the process with 0."""
    query = {**STEPS, "timeRange": {"start": "2026-01-01T00:00:00Z", "end": "2026-03-01T00:00:00Z", "step": "second"}}
    body = {"queries": [{**query, "name": str(number), "groupBy": ["type", "assistantId"]} for number in range(10)]}
    with command("--demo", ulimit="-v 3000000") as (endpoint, process, log):
        with ThreadPoolExecutor(8) as threads:
            replies = list(threads.map(lambda _: endpoint.send(body), range(8)))
        process.send_signal(signal.SIGTERM)
        assert process.wait(SAFETY) == 0, log()
    assert {reply[0] for reply in replies} <= {201, 413, 500, 503}


def test_replies_that_are_not_read_are_bounded(monkeypatch):
    """Clients that do not read hold at most a reply for each worker; one more gets a 503."""
    with running(Source(lambda: counted(100_000)), workers=1, reply_limit=8_000_000) as endpoint:
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", endpoint.port))
            connection.sendall(whole({"queries": [STEPS]}))
            assert connection.recv(12) == b"HTTP/1.1 201"
            assert endpoint.send({"queries": [STEPS]})[0] == 503
            assert endpoint.send(BODY | {"queries": []})[0] == 201
        deadline = time.monotonic() + SAFETY
        while endpoint.send({"queries": [STEPS]})[0] != 201:
            assert time.monotonic() < deadline


# --- cancelling ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_broken", [False, True])
def test_a_cancel_that_blocks_or_fails_stops_no_one(is_broken):
    """A driver that needs seconds to cancel keeps no other client waiting, and one that fails leaves the 504 a 504."""
    has_ended = threading.Event()

    def cancel():
        if is_broken:
            raise RuntimeError
        time.sleep(2)

    def act():
        with on_cancel(cancel):
            has_ended.wait(SAFETY)
        return counted()

    with running(Source(act), timeout=0.5, workers=2) as endpoint:
        statuses = []
        client = threading.Thread(target=lambda: statuses.append(endpoint.send(BODY)[0]))
        client.start()
        client.join(SAFETY)
        begin = time.monotonic()
        for _ in range(5):
            assert endpoint.send(None, method="GET", path="/health")[0] == 200
        assert time.monotonic() - begin < 1.5
        has_ended.set()
    assert statuses == [504]


def test_a_client_that_left_is_logged_as_such(caplog):
    """It is no time-out."""
    began = threading.Event()

    def act():
        began.set()
        with on_cancel(lambda: None):
            time.sleep(1)
        return counted()

    caplog.set_level(logging.INFO, "vapi_frames.server")
    with (
        running(Source(act)) as endpoint,
        socket.create_connection(("127.0.0.1", endpoint.port), SAFETY) as connection,
    ):
        connection.sendall(whole(BODY))
        assert began.wait(SAFETY)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset at once
        connection.close()
    deadline = time.monotonic() + SAFETY
    while not caplog.records and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [one.getMessage().split(",")[0] for one in caplog.records] == ["POST /analytics 499"]


def test_an_app_has_several_lives():
    """The lifespan of an app can begin again after it has ended."""
    app = create_app(Source(counted), key=KEY)

    async def ask():
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                return await client.post("/analytics", json=BODY, headers={"Authorization": f"Bearer {KEY}"})

    assert [asyncio.run(ask()).status_code for _ in range(3)] == [201] * 3


# --- without a key ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "192.0.2.1"}, {"x-forwarded-host": "a"}, {"X-Forwarded-Proto": "https"}, {"Via": "1.1 x"},
        {"Forwarded": "for=192.0.2.1"}, {"X-Real-IP": "127.0.0.1"}, {"Host": "evil.example@127.0.0.1"},
        {"Host": "localhost/x"}, {"Host": "localhost?"}, {"Host": "localhost#a"}, {"Host": "localhost:x"},
        {"Host": "a@localhost"}, {"Host": "localhost, evil.example"},
    ],
)  # fmt: skip
def test_without_a_key_nothing_that_was_forwarded_is_answered(headers):
    """A proxy would open the server to its own clients; the host is compared whole."""
    with running(Source(counted), key=None) as endpoint:
        assert endpoint.send(BODY, headers=headers)[0] == 401
        assert endpoint.send(BODY)[0] == 201


@pytest.mark.parametrize(
    ("client", "status"),
    [(("127.0.0.1", 1), 201), (("::1", 1), 201), (None, 201), (("192.0.2.1", 1), 401), (("fe80::1", 1), 401)],
)
def test_without_a_key_other_machines_are_refused(client, status):
    """Also where the app is served by another server, at another address."""
    app = create_app(Source(counted), key=None)

    async def ask():
        transport = httpx.ASGITransport(app=app, client=client)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            return await http.post("/analytics", json=BODY)

    assert asyncio.run(ask()).status_code == status


def test_without_a_key_http_1_0_is_refused():
    """It is what nginx sends, with the server's own Host and no header of its own, unless it is told otherwise."""
    content = json.dumps(BODY).encode()
    head = "POST /analytics HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with running(Source(counted), key=None) as endpoint:
        came = endpoint.raw(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    assert came.startswith(b"HTTP/1.1 401 ")


# --- for operators ---------------------------------------------------------------------------------------------------


def test_health_and_ready_need_no_key_and_show_no_data():
    """``/health`` is about the process, ``/ready`` about the source."""
    broken = []

    def act():
        if broken:
            raise RuntimeError("secret")
        return counted()

    with running(Source(act)) as endpoint:
        assert endpoint.send(None, method="GET", path="/health", key=None)[::2] == (200, {"status": "alive"})
        assert endpoint.send(None, method="GET", path="/ready", key=None)[::2] == (200, {"status": "ready"})
    broken.append(1)
    with running(Source(act)) as endpoint:
        assert endpoint.send(None, method="GET", path="/health", key=None)[0] == 200
        status, _, body = endpoint.send(None, method="GET", path="/ready", key=None)
        assert (status, body["error"], "secret" in str(body)) == (503, "Service Unavailable", False)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_each_line_of_the_log_has_peer_and_request(log_format):
    """The id is the client's own, if it has one, and comes back; a path or an id that is no id is not repeated."""
    with command("--demo", "--log-format", log_format) as (endpoint, _, log):
        _, headers, _ = endpoint.send(BODY, headers={"X-Request-Id": "abc-123"})
        assert headers["X-Request-Id"] == "abc-123"
        _, headers, _ = endpoint.send(BODY, path="/patient-smith", headers={"X-Request-Id": "two words"})
        given = headers["X-Request-Id"]
        deadline, lines = time.monotonic() + SAFETY, []
        while sum("POST" in line for line in lines) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)  # a line is written after the reply
            lines = log().rpartition("\n")[0].splitlines()  # without one that is being written
    assert given != "two words"
    ended = [line for line in lines if "POST" in line]
    assert len(ended) == 2
    assert not any("smith" in line for line in lines)
    if log_format == "json":
        first, second = map(json.loads, ended)
        assert (first["request_id"], first["status"], first["method"]) == ("abc-123", 201, "POST")
        assert (second["request_id"], second["status"]) == (given, 404)
        assert re.fullmatch(r"127\.0\.0\.1:\d+", first["peer"])
    else:
        assert re.search(r"POST /analytics 201, \d+ ms, from 127\.0\.0\.1:\d+, request abc-123$", ended[0])
        assert ended[1].endswith(f"request {given}")


@pytest.mark.long
def test_a_unix_socket_is_this_machine(tmp_path):
    """A server listens at a path; the next one replaces a socket that a killed server has left."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    for _ in range(2):
        with uds_command(path) as process:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(path)
                client = http.client.HTTPConnection("localhost")
                client.sock = connection
                client.request("POST", "/analytics", json.dumps(BODY), {"Content-Type": "application/json"})
                assert client.getresponse().status == 201
            process.terminate()
            assert process.wait(SAFETY) == 0
        assert not (tmp_path / "s").exists()


@contextlib.contextmanager
def uds_command(path):
    """Run the server at the UNIX socket *path*, without a key."""
    arguments = [sys.executable, "-m", "vapi_frames.cli", "serve", "--demo", "--no-auth", "--uds", path]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert path in process.stdout.readline()
            yield process
        finally:
            process.kill()


@pytest.mark.long
def test_half_of_the_clients_misbehave():
    """In short what ``python -m tests.support.attack`` does for a minute."""
    found = attack.run(clients=12, seconds=2)
    assert found.wrong == []
    assert found.replies > 12
    assert found.end < found.warm + 100
    assert found.descriptors < found.limit
