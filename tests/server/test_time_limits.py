"""How the endpoint cancels what takes too long, and what no client waits for."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vapi_frames as vf
from tests.support.endpoint import KEY, SAFETY, link_files, running
from tests.support.served_calls import CALLS, SPEND, one, refusal
from vapi_frames.cancellation import Stop, on_cancel

pytestmark = pytest.mark.extra("server")


class Both:
    """Two sources: queries named ``slow`` are for one of them; it remembers how they ended."""

    kind = "calls"

    def __init__(self, slow, fast):
        self.slow, self.fast, self.began, self.ended = slow, fast, threading.Semaphore(0), threading.Semaphore(0)
        self.errors = []

    def now(self):
        return datetime(2026, 10, 8, tzinfo=UTC)

    def answer(self, queries, now):
        if queries[0].title != "slow":
            return self.fast.answer(queries, now)
        self.began.release()
        try:
            return self.slow.answer(queries, now)
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            self.ended.release()


@pytest.fixture(scope="module")
def minutes_of_work(tmp_path_factory):
    """Make records that DuckDB needs far longer for than any test waits: times as text, in many files."""
    path = tmp_path_factory.mktemp("slow") / "calls.parquet"
    at = np.datetime64("2026-10-01T00:00:00") + np.arange(500_000).astype("timedelta64[s]")
    numbers = np.arange(500_000.0)
    pq.write_table(pa.table({"id": numbers.astype(str), "createdAt": np.datetime_as_string(at), "cost": numbers}), path)
    return list(map(str, link_files(path, 400)))


@pytest.fixture
def both(minutes_of_work):
    """Serve a query that takes minutes, and queries that take no time."""
    return Both(vf.local(minutes_of_work).source, vf.local(CALLS).source)


SLOW = one(name="slow", operations=[SPEND], timeRange={"step": "minute"})


LONG_AGO = {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"}


QUICK = one(name="quick", timeRange=LONG_AGO)


def test_a_slow_query_is_a_504_and_its_work_ends(both):
    """After the time-out the engine itself is interrupted: the only worker is free again for the next request."""
    with running(both, timeout=0.5, workers=1) as endpoint:
        assert endpoint.send(QUICK)[0] == 201  # the engine has started
        assert "more than 0.5 s" in refusal(endpoint.send(SLOW), 504)
        assert both.ended.acquire(timeout=SAFETY)
        assert type(both.errors[0].__cause__).__name__ == "InterruptException"
        assert endpoint.send(QUICK)[0] == 201


@contextlib.contextmanager
def waiting(endpoint, both):
    """Open a connection with a request that takes minutes, and wait until it has reached the source."""
    body = json.dumps(SLOW).encode()
    head = f"POST /analytics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", endpoint.port), SAFETY) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert both.began.acquire(timeout=SAFETY)
        yield connection


@pytest.fixture
def _leaves_soon(monkeypatch):
    """A client that has gone is given little time to be one that has closed its half only."""
    monkeypatch.setattr("vapi_frames.server.protocol.HALF_CLOSED_SECONDS", 0.3)


@pytest.mark.long
@pytest.mark.usefixtures("_leaves_soon")
def test_a_slow_query_blocks_no_other_and_ends_when_its_client_disconnects(both):
    """While it runs, others are answered; after a disconnect the engine is interrupted."""
    with running(both, timeout=1_000, workers=2) as endpoint:
        with waiting(endpoint, both):
            for _ in range(20):
                assert endpoint.send(QUICK)[2][0]["result"] == [{"countId": "4"}]
            assert not both.ended.acquire(blocking=False)
        assert both.ended.acquire(timeout=SAFETY)
    assert len(both.errors) == 1


@pytest.mark.long
@pytest.mark.usefixtures("_leaves_soon")
def test_one_request_is_cut_off_alone(both):
    """Of two slow requests, the end of one does not touch the other."""
    with running(both, timeout=1_000, workers=2) as endpoint:
        with waiting(endpoint, both):
            with waiting(endpoint, both):
                pass
            assert both.ended.acquire(timeout=SAFETY)
            assert endpoint.send(QUICK)[0] == 201
            assert not both.ended.acquire(timeout=0.2)
        assert both.ended.acquire(timeout=SAFETY)


def test_a_body_that_does_not_come_is_a_408(source):
    """The time-out also applies to a body that does not arrive."""
    head = f"POST /analytics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
    with running(source, timeout=0.3) as endpoint:
        came = endpoint.raw(f'{head}Content-Length: 100\r\n\r\n{{"queries"'.encode())
    assert came.startswith(b"HTTP/1.1 408 ")
    assert json.loads(came.partition(b"\r\n\r\n")[2])["statusCode"] == 408


@pytest.mark.parametrize(
    "begun", [b"", b"POST /ana", b"POST /analytics HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"]
)
def test_an_incomplete_request_is_closed(source, monkeypatch, begun):
    """A connection without a whole request is closed after a while, also where it already had a reply."""
    monkeypatch.setattr("vapi_frames.server.listen.TIMEOUT_MARGIN", 0.3)
    with running(source, timeout=2.0) as endpoint:  # in which the result at the end fits, on a busy machine, too
        with socket.create_connection(("127.0.0.1", endpoint.port), SAFETY) as connection:
            connection.sendall(begun)
            came = b""
            while piece := connection.recv(65_536):
                came += piece
        assert came == b"" or came.startswith(b"HTTP/1.1 401 ")
        assert endpoint.send(one())[0] == 201


def test_a_stop_reaches_only_its_own_work():
    """Only work inside the scope is cancelled, and not before; other threads and later work continue."""
    stop, called = Stop(), []
    with on_cancel(lambda: called.append("another's")), stop.scope():
        with on_cancel(lambda: called.append("before")):
            pass
        with on_cancel(lambda: called.append("outer")), on_cancel(lambda: called.append("inner")):
            stop.set()
            stop.set()
        with pytest.raises(vf.errors.SourceError, match="was cancelled"), on_cancel(lambda: called.append("after")):
            raise AssertionError("not reached")
    assert called == ["outer", "inner"] * 2
    with on_cancel(lambda: called.append("later")):
        assert len(called) == 4
