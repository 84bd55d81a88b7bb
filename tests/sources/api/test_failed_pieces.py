"""A piece that fails is halved, named in the result, or ends the fetch."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import vapi_frames as vf
from tests.support import servers
from tests.support.servers import Server, failing
from tests.support.shapes import same
from tests.support.wires import Calls, Wire, build_query, connected, counting, over, spans, status
from vapi_frames.errors import (
    AuthenticationError,
    ConnectionFailedError,
    PartialResultError,
    ProvenanceError,
    StatusError,
)
from vapi_frames.sources.http.retry import pause

NOW = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)
pytestmark = pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")


def fail_one_day(queries):
    """Fail where the third of October is requested, and where any days are requested together."""
    return status(500) if len(queries) > 1 or "10-03" in spans(queries)[0][0] else None


def too_many(limit, error):
    """Fail where more than *limit* hours are requested at once."""

    def fails(queries):
        hours = [
            (datetime.fromisoformat(b) - datetime.fromisoformat(a)) / timedelta(hours=1) for a, b in spans(queries)
        ]
        return error() if sum(hours) > limit else None

    return fails


@pytest.mark.parametrize(
    "error",
    [
        lambda: status(413),
        lambda: status(504),
        lambda: status(524),
        lambda: status(408),
        lambda: ConnectionFailedError("no reply", attempts=1, timed_out=True),
    ],
)
def test_what_is_too_large_is_halved_until_it_is_answered(error):
    """A server that fails at more than seven hours at once gets the query in such pieces; nothing is missing."""
    wire = Wire(Calls(), fails=too_many(7, error))
    frame = build_query(over(wire), 4).fetch()
    same(frame, build_query(over(Wire(Calls())), 4).fetch())
    assert len({*spans(wire.answered)}) == len(wire.answered), "a range that succeeded is requested once"


def test_a_server_that_takes_fewer_queries_gets_fewer():
    """Where a body of more than eleven is refused as wrong, smaller ones are sent, and nothing is missing."""
    wire = Wire(Calls(), fails=lambda queries: status(400) if len(queries) > 11 else None)
    frame = build_query(over(wire, buckets=24), 30).fetch()
    same(frame, build_query(over(Wire(Calls())), 30).fetch())


def test_one_bad_range_costs_no_other():
    """The pieces around one that always fails arrive; the error has them, the range that is missing, and its query."""

    def fails(queries):
        return status(500) if any(a < "2026-10-12T08" and b > "2026-10-12T08" for a, b in spans(queries)) else None

    wire = Wire(Calls(), fails=fails)
    vq = over(wire, buckets=24)
    query = build_query(vq, 30).named("spend")
    with pytest.raises(
        PartialResultError, match="only a part.*2026-10-12T04:00:00Z until 2026-10-13T04:00:00Z.*500"
    ) as caught:
        query.fetch()
    error = caught.value
    assert error.missing == ((datetime(2026, 10, 12, 4, tzinfo=UTC), datetime(2026, 10, 13, 4, tzinfo=UTC)),)
    assert isinstance(error.__cause__, StatusError)
    assert list(error.frames) == ["spend"]
    assert error.frame is error.frames["spend"]
    assert "did not arrive: 2026-10-12" in vf.frame(error.frame).meta.notes[0]
    wire.fails = lambda _: None
    [rest] = vq.fetch(*error.rest).values()
    same(pd.concat([error.frame, rest]).sort_index(), query.fetch())
    assert "filters" not in repr(error.rest)


def test_a_part_is_not_filled_as_if_it_were_whole():
    """A bucket that did not arrive is not a bucket without calls: verbs that read absence refuse."""
    vq = over(Wire(Calls(), fails=fail_one_day), buckets=24)
    with pytest.raises(PartialResultError) as caught:
        build_query(vq, 4).fetch()
    with pytest.raises(ProvenanceError):
        caught.value.frame.vapi.fill_gaps()


def test_where_nothing_arrives_the_reason_itself_is_raised():
    """No part, no PartialResultError."""
    for error in (status(500), status(401), status(429), ConnectionFailedError("no reply", attempts=4)):
        with pytest.raises(type(error)) as caught:
            build_query(over(Wire(Calls(), fails=lambda _, error=error: error), buckets=24), 30).fetch()
        assert caught.value is error


@pytest.mark.parametrize("number", [401, 429, 400])
def test_what_every_request_would_end_with_ends_it(number):
    """A key that is refused, a limit that lasts, a query that is wrong: no further request goes out."""
    wire = Wire(Calls())
    wire.fails = lambda _: status(number) if len(wire.bodies) > 3 else None
    with pytest.raises(PartialResultError) as caught:
        build_query(over(wire, buckets=24, max_queries=1, workers=1), 30).fetch()
    assert len(wire.bodies) == 4
    assert len(caught.value.missing) == 1
    assert caught.value.missing[0][1] == datetime(2026, 10, 31, 4, tzinfo=UTC)


def test_a_refused_key_ends_the_retries_of_other_requests():
    """Requests that wait for a retry neither delay the error nor are sent again; pending ones are not sent."""
    number, lock, all_wait = itertools.count(1), threading.Lock(), threading.Event()

    def faults(request):
        with lock:
            place = next(number)
        if place < 4:
            if place == 3:
                all_wait.set()
            return failing(503, Retry_After="50")
        return refuse

    def refuse(request, connection):
        assert all_wait.wait(servers.SAFETY)
        return failing(401)(request, connection)

    with Server(counting(Calls(), NOW, faults=faults)) as server:
        vq = connected(server, buckets=24, max_queries=1, workers=4, sleep=pause, timeout=30)
        with pytest.raises(AuthenticationError):
            build_query(vq, 30).fetch()
        assert len(server.requests) == 4


@pytest.mark.parametrize("late", [False, True])
def test_a_refused_key_does_not_wait_for_other_replies(late):
    """What was sent already is left alone: neither its silence delays the error, nor its reply adds to the part."""
    number, lock, refused = itertools.count(), threading.Lock(), threading.Event()

    def faults(request):
        with lock:
            place = next(number)
        if place == 0:
            return None
        if place == 1:
            return refuse
        return slow if late else servers.silent

    def refuse(request, connection):
        time.sleep(0.2)  # until the others were sent
        failing(401)(request, connection)
        refused.set()

    def slow(request, connection):
        assert refused.wait(servers.SAFETY)
        time.sleep(0.3)
        return counting(Calls(), NOW)(request, connection)

    with Server(counting(Calls(), NOW, faults=faults)) as server:
        began = time.monotonic()
        with pytest.raises(PartialResultError) as caught:
            build_query(connected(server, buckets=24, max_queries=1, workers=4, timeout=30), 30).fetch()
        assert time.monotonic() - began < 5
        assert isinstance(caught.value.__cause__, AuthenticationError)
        rows = len(caught.value.frame)
        time.sleep(0.6 if late else 0)
        assert len(caught.value.frame) == rows
        assert len(caught.value.frame.index.get_level_values("date").normalize().unique()) == 1


def test_a_server_that_is_down_is_left_alone():
    """Three failures in a row end it: ten thousand pieces are not ten thousand failures."""
    wire = Wire(Calls(), fails=lambda _: status(503))
    with pytest.raises(StatusError):
        build_query(over(wire, buckets=1, max_queries=1, workers=1), 90).fetch()
    assert len(wire.bodies) == 3


def test_of_several_queries_those_that_are_whole_are_kept():
    """One of three fails for good: the other two are in the error's frames, and the third is its rest."""
    vq = over(
        Wire(Calls(), fails=lambda queries: status(500) if any(one["name"] == "bad" for one in queries) else None)
    )
    names = ("good", "bad", "fine")
    with pytest.raises(PartialResultError) as caught:
        vq.fetch(*(build_query(vq, 2).named(name) for name in names))
    assert list(caught.value.frames) == ["good", "fine"]
    assert caught.value.frame is None
    assert len(caught.value.rest) == 1


def test_an_error_in_the_code_is_no_failed_piece():
    """What is no error of this package is raised as it is, from a thread as well."""
    for queries in (1, 50):
        with pytest.raises(ZeroDivisionError):
            build_query(over(Wire(Calls(), fails=lambda _: 1 / 0), buckets=24, max_queries=queries), 30).fetch()


def test_arrow_says_a_part_as_well():
    """to_arrow raises the same error, with a frame."""
    vq = over(Wire(Calls(), fails=fail_one_day), buckets=24)
    with pytest.raises(PartialResultError) as caught:
        build_query(vq, 4).to_arrow()
    assert len(caught.value.frame)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system cannot interrupt one thread")
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("workers", [1, 3])
def test_ctrl_c_keeps_what_has_arrived(workers):
    """Ctrl-C in the middle ends it at once, and what arrived is in the error."""
    main, count = threading.main_thread().ident, []

    def faults(request):
        count.append(1)
        if len(count) == 6:
            signal.pthread_kill(main, signal.SIGINT)
            return servers.silent
        return None

    with Server(counting(Calls(), NOW, faults=faults)) as server:
        began = time.monotonic()
        with pytest.raises(PartialResultError, match="interrupted") as caught:
            build_query(connected(server, buckets=24, max_queries=1, workers=workers, timeout=30), 30).fetch()
        assert time.monotonic() - began < 5
    assert isinstance(caught.value.__cause__, KeyboardInterrupt)
    assert 2 <= caught.value.frame.index.get_level_values("date").normalize().nunique() <= 8
