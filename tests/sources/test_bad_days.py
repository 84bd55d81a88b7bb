"""Bad days: each ends in the right result or the right named error, within the promised time, and shows no key."""

from __future__ import annotations

import time
import traceback
from datetime import UTC, datetime
from functools import partial

import pytest

import vapi_frames as vf
from tests.support import servers
from tests.support.bad_days import CASES, PATIENCE, RESULT, bulky, endless
from tests.support.servers import Server, answering
from tests.support.shapes import same
from tests.support.wires import KEY, Calls, build_query, connected, counting
from vapi_frames import errors

pytestmark = pytest.mark.usefixtures("clean_environment")
ATTEMPTS = 2
TWO_HUNDRED = "a body of two hundred megabytes"  # twenty show the same, below
NOW = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.what, marks=[pytest.mark.long] if case.what == TWO_HUNDRED else []) for case in CASES],
)
def test_a_bad_day(case, monkeypatch):
    """The result is right, or the error is exactly the named one and says why; in time, in so many requests."""
    with case.where() as (url, server):
        for name, value in case.environment.items():
            monkeypatch.setenv(name, value.replace("{}", server.url) if server else value)
        waits = []  # before the next attempt, which no test needs to wait for
        vq = connected(url, attempts=ATTEMPTS, timeout=(1.0, case.patience), sleep=waits.append)
        query = vq.call().named("q")
        query = query.count() if case.columns == ("id",) else query.sum(*case.columns)
        began = time.monotonic()
        if case.becomes == RESULT:
            assert tuple(query.fetch().iloc[0]) == case.values
        else:
            with pytest.raises(vf.VapiFramesError) as caught:
                query.fetch()
            assert type(caught.value).__mro__[1 if type(caught.value).__name__.startswith("_") else 0] is getattr(
                errors, case.becomes
            ), repr(caught.value)
            assert case.says in str(caught.value)
            assert KEY not in "".join(traceback.format_exception(caught.value))
        assert time.monotonic() - began + sum(waits) < case.most
        if server is not None and case.requests is not None:
            assert len(server.requests) == case.requests


def test_the_cases_are_what_was_promised():
    """No case is missing or repeated."""
    assert len({case.what for case in CASES}) == len(CASES) == 66


def test_a_reply_that_is_too_large_is_asked_for_in_halves():
    """Where one reply is more than may be, shorter ranges are requested, and nothing is missing."""
    calls = Calls()
    with Server(counting(calls, NOW)) as server:
        frame = build_query(connected(server, largest=20_000), 10).fetch()
        assert len(server.requests) > 3
        same(frame, build_query(connected(server), 10).fetch())


def test_a_body_of_many_megabytes_has_its_result():
    """What stands between the numbers changes nothing, however much it is."""
    with Server(partial(bulky, megabytes=20)) as server:
        assert connected(server).call().named("q").sum("cost").fetch()["sumCost"].item() == 1.0


@pytest.mark.parametrize("behavior", [bulky, endless])
def test_more_than_may_be_is_not_read_to_its_end(behavior):
    """A body beyond the limit is left where it is; memory does not follow it."""
    with Server(behavior) as server:
        began = time.monotonic()
        with pytest.raises(errors.ResponseError, match="more than 1,000,000 bytes"):
            connected(server, largest=1_000_000).call().count().fetch()
        assert time.monotonic() - began < 2
        assert len(server.requests) == 1


def test_a_connection_that_was_left_is_not_used_again():
    """After a reply that was not read to its end, the next query gets its own result."""
    with Server(bulky, answering(), servers.stalling, answering()) as server:
        vq = connected(server, largest=1_000_000, timeout=(1.0, PATIENCE), attempts=1)
        for kind in (errors.ResponseError, errors.ConnectionFailedError):
            with pytest.raises(kind):
                vq.call().count().fetch()
            assert vq.call().count().fetch()["countId"].item() == 1
