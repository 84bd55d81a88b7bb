"""Every way in which the API fails, what is retried, and how long a retry waits."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import HTTPError

from tests.support import servers
from tests.support.api_client import SOON, Waits, ask, fail
from tests.support.examples import examples
from tests.support.servers import Server, answering, failing, reply
from vapi_frames.errors import (
    AuthenticationError,
    ConnectionFailedError,
    RateLimitError,
    StatusError,
)
from vapi_frames.sources.http.retry import retry_after

pytestmark = pytest.mark.usefixtures("clean_environment")


# --- no reply --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def takes(least, most):
    """Check that the block takes between *least* and *most* seconds."""
    start = time.monotonic()
    yield
    elapsed = time.monotonic() - start
    assert least <= elapsed <= most, elapsed


@pytest.mark.parametrize("behavior", [servers.silent, servers.stalling])
@pytest.mark.parametrize("timeout", [0.1, (SOON, 0.1)])
def test_a_slow_reply_ends_in_time(behavior, timeout):
    """A server that is silent before or inside its reply is given up after the timeout times the attempts."""
    with Server(behavior) as server, takes(0.18, SOON):
        error = fail(server, ConnectionFailedError, timeout=timeout, attempts=2)
    assert error.attempts == 2
    assert server.url in str(error)
    assert "2 attempts: Read timed out" in str(error)
    assert len(server.requests) == 2


def test_a_timeout_is_between_two_pieces_of_the_reply():
    """A long reply that keeps coming is not cut off, though as a whole it takes longer than the timeout."""

    def trickle(request, connection):
        content = json.dumps(servers.results_of(request)).encode()
        connection.sendall(servers.head(201, {"Content-Length": len(content)}))
        for start in range(0, len(content), len(content) // 6):
            time.sleep(0.12)
            connection.sendall(content[start : start + len(content) // 6])
        return True

    with Server(trickle) as server, takes(0.6, SOON):
        ask(server, timeout=0.6, attempts=1).call().count().fetch()


def test_a_slow_handshake_ends_in_the_time_for_connecting():
    """The first timeout covers TLS too: a port that opens and then says nothing is left in that time."""
    with servers.deaf() as port, takes(0.18, SOON):
        error = fail(f"https://127.0.0.1:{port}", ConnectionFailedError, timeout=(0.1, 60.0), attempts=2)
    assert error.attempts == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems refuse where Linux waits")
def test_a_connection_that_never_opens_ends_in_time():
    """A host that never replies is given up after the first timeout."""
    import socket

    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # no room for another connection: from here on, none gets a reply
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        with takes(0.18, SOON):
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            error = fail(url, ConnectionFailedError, timeout=(0.1, 60.0), attempts=2)
    assert error.attempts == 2
    assert "timed out" in str(error)


BREAKS = [servers.hang_up, servers.reset, servers.cut_short, servers.chunk_cut_short, servers.babbling]


BAD_GZIP = reply(201, b"this is not gzip at all", Content_Encoding="gzip")


BAD_CHUNK = reply(201, b"XYZ\r\nno\r\n", Transfer_Encoding="chunked")


@pytest.mark.parametrize("behavior", [*BREAKS, BAD_GZIP, BAD_CHUNK])
def test_a_reply_that_breaks_off_is_asked_for_again(behavior):
    """A connection that dies before, in or instead of the reply is tried again, and the result then counts."""
    waits = Waits()
    with Server(behavior, answering()) as server:
        frame = ask(server, sleep=waits).call().count().fetch()
        assert len(server.requests) == 2
    assert frame["countId"].item() == 1
    assert len(waits) == 1


@pytest.mark.parametrize("behavior", [*BREAKS, BAD_GZIP, BAD_CHUNK])
def test_a_reply_that_always_breaks_off_is_a_failed_connection(behavior):
    """After the last attempt it is a ConnectionFailedError that says why and how often it was tried."""
    with Server(behavior) as server:
        error = fail(server, ConnectionFailedError, attempts=3)
        assert len(server.requests) == 3
    assert error.attempts == 3
    assert "in 3 attempts: " in str(error)
    assert not str(error).endswith(": ")
    assert isinstance(error.__cause__, OSError | HTTPError), "the cause is kept"


def test_a_closed_port_is_a_failed_connection():
    """A refused connection is tried as often as promised, and named."""
    waits = Waits()
    with servers.closed_port() as url:
        error = fail(url, ConnectionFailedError, sleep=waits)
    assert error.attempts == 4
    assert "refused" in str(error)
    assert len(waits) == 3


def test_a_host_without_an_address_is_a_failed_connection():
    """A name that does not resolve is a ConnectionFailedError with the host's name in it."""
    error = fail("https://host.invalid", ConnectionFailedError, attempts=1)
    assert "host.invalid" in str(error)


def test_one_attempt_is_one_attempt():
    """attempts=1 tries once and never sleeps, and its message counts so."""
    waits = Waits()
    with Server(servers.hang_up) as server:
        error = fail(server, ConnectionFailedError, attempts=1, sleep=waits)
        assert (len(server.requests), waits) == (1, [])
    assert "in 1 attempt: " in str(error)


@pytest.mark.parametrize("url", ["https://a..b", f"https://{'a' * 70}.b"])
def test_an_impossible_host_is_tried_once(url):
    """A host that no DNS can know is an error of this package, and waiting would not cure it."""
    waits = Waits()
    error = fail(url, ConnectionFailedError, sleep=waits, timeout=0.5)
    assert (error.attempts, waits) == (1, [])


# --- other statuses --------------------------------------------------------------------------------------------------


RETRIED = [408, 409, 429, 500, 502, 503, 504]


FINAL = [400, 401, 403, 404, 405, 422]


def kind_of(status):
    """Return the class of the error for *status*."""
    return {401: AuthenticationError, 403: AuthenticationError, 429: RateLimitError}.get(status, StatusError)


@pytest.mark.parametrize("status", RETRIED)
def test_a_passing_failure_is_tried_again(status):
    """A status that may pass is retried, and the result that follows counts."""
    with Server(failing(status), failing(status), answering()) as server:
        assert ask(server).call().count().fetch()["countId"].item() == 1
        assert (len(server.requests), server.connections) == (3, 1)
    assert len({request.body for request in server.requests}) == 1, "the retry asks the same, as of the same moment"


@pytest.mark.parametrize("status", RETRIED)
def test_a_lasting_failure_is_its_own_error(status):
    """Retries are bounded; then the status is raised as it is."""
    with Server(failing(status, "later")) as server:
        error = fail(server, kind_of(status), attempts=3)
        assert len(server.requests) == 3
    assert error.status == status
    assert f"replied {status}: later" in str(error)
    assert "in the last of 3 attempts" in str(error)


@pytest.mark.parametrize("status", FINAL)
def test_a_refusal_is_never_tried_again(status):
    """A status that the same request will get again is raised at once."""
    waits = Waits()
    with Server(failing(status), answering()) as server:
        error = fail(server, kind_of(status), sleep=waits)
        assert (len(server.requests), waits) == (1, [])
    assert error.status == status
    assert "attempt" not in str(error)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_says_which_key_is_right(status):
    """The usual cause of a refused key is the public one; the message says so."""
    with Server(failing(status)) as server:
        error = fail(server, AuthenticationError)
    assert "private key" in str(error)
    assert "public key" in str(error)


@pytest.mark.parametrize("status", [404, 405])
def test_a_wrong_place_says_what_to_check(status):
    """No endpoint there: the message names the address."""
    with Server(failing(status)) as server:
        assert "Is base_url right? The contract is POST /analytics" in str(fail(server, StatusError))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"message": "Invalid Key"}, "Invalid Key"),
        ({"message": ["a must be b", "c must be d"]}, "a must be b; c must be d"),
        ({"error": "Bad Request"}, "Bad Request"),
        ({"message": "", "error": "Bad Request"}, "Bad Request"),
        ({"message": "long", "trace": "x" * 10_000}, "long"),
        ({"detail": 1}, '{"detail": 1}'),
        (["just", "a", "list"], '["just", "a", "list"]'),
        ("plain words", "plain words"),
        ("\n", ""),
        ("x" * 10_000, "x" * 400),
        ("[" * 10_000, "["),
        (b"\xff\xfe\x00", "\ufffd"),
        ("<html><head><title>Bad gateway</title></head></html>", "an HTML page (Bad gateway)"),
        (" <!DOCTYPE html><p>Blocked</p>", "an HTML page (without a title)"),
    ],
)
def test_an_error_repeats_what_the_server_said(body, said):
    """The server's own message is in the error: text, a list, other JSON, HTML by its title, and never endless."""
    with Server(reply(400, body, X_Request_Id="req-7")) as server:
        error = fail(server, StatusError)
    assert said in str(error)
    assert len(str(error)) < 700
    assert (error.status, error.request_id) == (400, "req-7")
    assert "(request req-7)" in str(error)
    assert isinstance(error.body, str)
    assert len(error.body) <= 2_000


def test_an_error_keeps_the_beginning_of_the_body():
    """The body as text is on the error, for what its message leaves out; so is the id that the proxy gave."""
    with Server(failing(400, "no", CF_Ray="ray-1")) as server:
        error = fail(server, StatusError)
    assert json.loads(error.body) == {"message": "no", "error": "Whatever", "statusCode": 400}
    assert error.request_id == "ray-1"


def test_an_error_without_an_id_has_none():
    """Where the server gave no id, the attribute is None and the message does not mention one."""
    with Server(failing(400)) as server:
        error = fail(server, StatusError)
    assert error.request_id is None
    assert "request" not in str(error)


# --- waiting ---------------------------------------------------------------------------------------------------------


def in_seconds(seconds):
    """Return the moment in *seconds* from now."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"retry-after-ms": "1500"}, 1.5, 1.5),
        ({"retry-after": "7"}, 7, 7),
        ({"retry-after": "0.25"}, 0.25, 0.25),
        ({"retry-after": lambda: format_datetime(in_seconds(30), usegmt=True)}, 25, 30),
        ({"x-ratelimit-reset": "12"}, 12, 12),
        ({"x-ratelimit-reset": lambda: str(in_seconds(30).timestamp())}, 25, 30),
        ({"x-ratelimit-reset": lambda: str(int(in_seconds(30).timestamp() * 1000))}, 25, 30),
        ({"retry-after-ms": "100", "retry-after": "9", "x-ratelimit-reset": "50"}, 0.1, 0.1),
        ({"retry-after": "9", "x-ratelimit-reset": "50"}, 9, 9),
        ({"retry-after": "soon", "x-ratelimit-reset": "3"}, 3, 3),
    ],
)
def test_a_wait_that_the_server_asks_for_is_kept(headers, least, most):
    """retry-after-ms, retry-after (seconds, a date), x-ratelimit-reset (a span, an instant): the first that says."""
    sent = {name: value() if callable(value) else value for name, value in headers.items()}
    waits = Waits()
    with Server(failing(429, **sent), answering()) as server:
        ask(server, sleep=waits).call().count().fetch()
    [wait] = waits
    assert least <= wait <= most


@pytest.mark.parametrize(
    "value",
    ["", "0", "-5", "nan", "inf", "1e999", "soon", "Thu, 01 Jan 2015 00:00:00 GMT", "9 May", "1_0", "1e1", "+10"],
)
def test_a_wait_that_says_nothing_is_the_usual_one(value):
    """A wait of nothing, in the past or unreadable does not make it hammer the server."""
    waits = Waits()
    with Server(failing(429, **{"retry-after": value}), answering()) as server:
        ask(server, sleep=waits).call().count().fetch()
    assert 0.3 < waits[0] < 0.7


@pytest.mark.parametrize("name", ["retry-after-ms", "retry-after", "x-ratelimit-reset"])
@pytest.mark.parametrize(
    "text", ["1_0", "1e1", "+10", "0x10", "\u0661\u0660", "\uff11\uff10", "1 0", "10s", "10_000.5"]
)
def test_only_ascii_digits_are_a_wait(name, text):
    """What else Python reads as a number was not meant as one."""
    assert retry_after({name: text}, datetime(2026, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize("text", ["Thu, 01 Jan 2026 00:00:\u0660\u0667 GMT", "Thu, 0_1 Jan 2026 00:00:07 GMT"])
def test_only_ascii_digits_are_a_date(text):
    """The standard library reads both."""
    assert retry_after({"retry-after": text}, datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_the_reset_of_a_limit_says_nothing_about_another_failure():
    """x-ratelimit-reset stands on any reply of some servers; a 503 is tried again without it."""
    waits = Waits()
    with Server(failing(503, **{"x-ratelimit-reset": "3600"}), answering()) as server:
        ask(server, sleep=waits).call().count().fetch()
    assert 0.3 < waits[0] < 0.7


def test_a_wait_beyond_the_cap_is_an_error_at_once():
    """A server that asks for more than a minute gets no sleeping client; the error says how long."""
    waits = Waits()
    with Server(failing(429, **{"retry-after": "3600"}), answering()) as server:
        error = fail(server, RateLimitError, sleep=waits)
        assert (len(server.requests), waits) == (1, [])
    assert error.retry_after == 3600
    assert "requests a wait of 3600 s" in str(error)


def test_a_limit_that_lasts_carries_the_wait():
    """After the last attempt the error has the wait that the server requested, or None."""
    waits = Waits()
    with Server(failing(429, **{"retry-after": "2"})) as server:
        assert fail(server, RateLimitError, sleep=waits).retry_after == 2
    assert waits == [2, 2, 2]
    with Server(failing(429)) as server:
        assert fail(server, RateLimitError).retry_after is None


def test_the_wait_grows_with_jitter():
    """Without a word from the server the waits double from half a second to eight, each off by up to a quarter."""
    waits = Waits()
    with Server(servers.hang_up) as server:
        for _ in range(8):
            fail(server, ConnectionFailedError, attempts=8, sleep=waits)
    by_attempt = [waits[start::7] for start in range(7)]
    for found, middle in zip(by_attempt, [0.5, 1, 2, 4, 8, 8, 8], strict=True):
        assert all(0.75 * middle <= wait <= 1.25 * middle for wait in found)
        assert len(set(found)) > 1


PIECES = st.sampled_from(["Thu", "Jan", "9999", "9" * 20, "07", "-1", "+2359", "GMT", ""])


DATES = st.tuples(*[PIECES] * 8).map(lambda parts: "{}, {} {} {} {}:{}:{} {}".format(*parts))


@given(st.one_of(st.text(max_size=40), st.floats().map(str), DATES))
@examples(60)
def test_no_header_can_break_the_wait(value):
    """Whatever the headers hold, the wait is nothing, or a finite number of seconds that is not negative."""
    for name in ("retry-after-ms", "retry-after", "x-ratelimit-reset"):
        wait = retry_after({name: value}, datetime(2026, 1, 1, tzinfo=UTC))
        assert wait is None or 0 <= wait < float("inf")
