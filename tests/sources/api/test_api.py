"""Asking the API over a real connection: what goes out, what comes back, and every way in which it fails."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import ssl
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import HTTPError

import vapi_frames as vf
from tests.support import servers
from tests.support.examples import examples
from tests.support.servers import Server, answering, failing, reply
from vapi_frames.errors import (
    AuthenticationError,
    ConnectionFailedError,
    QueryError,
    RateLimitError,
    ResponseError,
    StatusError,
    VapiFramesError,
)
from vapi_frames.interface.connect import Vq
from vapi_frames.sources.api.client import ApiClient
from vapi_frames.sources.api.source import ApiSource
from vapi_frames.sources.http.connection import Connection
from vapi_frames.sources.http.retry import retry_after

pytestmark = pytest.mark.usefixtures("clean_environment")
KEY = "sk-test-0001"
SOON = 5.0  # seconds; far more than any test needs, far less than a forgotten timeout takes


class Waits(list):
    """A clock to sleep by that only notes for how long."""

    def __call__(self, seconds):
        self.append(seconds)


def ask(server, *, key=KEY, **options):
    """Return a vq that asks *server*, a `Server` or an address, and waits for nothing."""
    options.setdefault("sleep", Waits())
    connection = Connection(key, base_url=server if isinstance(server, str) else server.url, **options)
    source = ApiSource(ApiClient(connection))
    return Vq(lambda: source)


def fail(server, kind, **options):
    """Ask *server*, and return the error, which must be exactly of *kind*."""
    with pytest.raises(VapiFramesError) as caught:
        ask(server, **options).call().count().fetch()
    assert type(caught.value) is kind, repr(caught.value)
    return caught.value


# --- what goes out, and what comes back ------------------------------------------------------------------------------


def test_one_post_with_the_key_and_the_body_of_the_query():
    """A fetch is exactly one POST to /analytics, with the key as bearer and the query's own body."""
    with Server(answering()) as server:
        query = ask(server).call().sum("cost").count().tz("Europe/Paris").between("2025-10-01", "2025-10-03")
        frame = query.fetch()
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/analytics")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.json() == query.body()
    assert frame.to_dict("records") == [{"sumCost": 1.0, "countId": 2}]


def test_a_relative_range_goes_out_as_of_the_moment_that_the_frame_names():
    """What went on the wire is ``q.body(now)`` for the ``now`` that the frame knows."""
    with Server(answering()) as server:
        query = ask(server).call().count().last("30d")
        before = datetime.now(UTC)
        frame = query.fetch()
    now = vf.frame(frame).meta.now
    assert before <= now <= datetime.now(UTC)
    assert server.requests[0].json() == query.body(now)


@pytest.mark.parametrize("status", [200, 201])
def test_every_success_is_one(status):
    """The API says 201 where its reference says 200; both are a result."""
    with Server(answering(status)) as server:
        assert ask(server).call().count().fetch()["countId"].item() == 1


@pytest.mark.parametrize(
    ("status", "headers"),
    [(206, {}), (206, {"Content-Range": "bytes 0-9/99"}), (200, {"Content-Range": "bytes 0-9/99"})],
)
def test_a_part_of_a_reply_is_not_taken_for_the_whole(status, headers):
    """No part was requested, so the rest of the rows is missing."""
    with (
        Server(answering(status, **headers)) as server,
        pytest.raises(ResponseError, match="replied 20[06] with a part of the"),
    ):
        ask(server).call().count().fetch()
    assert len(server.requests) == 1


def test_a_path_in_the_base_url_is_kept():
    """A gateway may serve the API under a path, with or without a slash at its end."""
    with Server(answering()) as server:
        for end in ("/vapi", "/vapi/"):
            ask(server.url + end).call().count().fetch()
    assert [request.target for request in server.requests] == ["/vapi/analytics"] * 2


@pytest.mark.parametrize(
    "shuffle", [lambda found: found, lambda found: found[::-1], lambda found: found[1:] + found[:1]]
)
def test_several_queries_are_one_post_matched_by_name(shuffle):
    """Several queries go out at once, and each gets its own result in whatever order they come back."""
    with Server(answering(change=shuffle)) as server:
        vq = ask(server)
        named = [
            vq.call().count().named("n"),
            vq.call().count().sum("cost").named("c"),
            vq.call().max("duration").named("d"),
        ]
        frames = vq.fetch(*named)
    [request] = server.requests
    assert request.json() == {"queries": [query.body()["queries"][0] for query in named]}
    assert {name: list(frame.columns) for name, frame in frames.items()} == {
        "n": ["countId"], "c": ["countId", "sumCost"], "d": ["maxDuration"],
    }  # fmt: skip
    assert frames["c"].iloc[0].tolist() == [1, 2.0]


def test_an_answer_with_the_wrong_name_is_nobodys():
    """Where a result stands in a query's place but has another's name, it is taken for neither."""
    with Server(answering(change=lambda found: [found[0], {**found[1], "name": "n"}])) as server:
        vq = ask(server)
        with pytest.raises(ResponseError, match="0 results named 'c'"):
            vq.fetch(vq.call().count().named("n"), vq.call().sum("cost").named("c"))


def test_a_missing_answer_is_an_error():
    """Fewer results than queries is an error that names the missing one, never a shorter result."""
    with Server(answering(change=lambda found: found[:1])) as server:
        vq = ask(server)
        with pytest.raises(ResponseError, match=r"'c'.*its results are 'n'"):
            vq.fetch(vq.call().count().named("n"), vq.call().sum("cost").named("c"))


def test_equal_queries_without_a_name_go_out_once():
    """The same automatic query twice is one query on the wire."""
    with Server(answering()) as server:
        vq = ask(server)
        assert len(vq.fetch(vq.call().count(), vq.call().count())) == 1
    assert len(server.requests[0].json()["queries"]) == 1


def test_one_connection_serves_all_fetches():
    """Fetches of one thread reuse one pooled connection, also after an error reply."""
    with Server(answering(), failing(400), answering(), answering()) as server:
        vq = ask(server)
        vq.call().count().fetch()
        with pytest.raises(StatusError):
            vq.call().count().fetch()
        vq.call().count().fetch()
        vq.call().count().to_arrow()
        assert (len(server.requests), server.connections) == (4, 1)


def test_threads_do_not_share_a_connection():
    """Threads that fetch with one vq at once have a connection each, and get their own results."""
    columns = ("cost", "duration", "costBreakdown.llm")
    together = threading.Barrier(len(columns), timeout=SOON)

    def behave(request, connection):
        together.wait()
        return answering()(request, connection)

    with Server(behave) as server:
        vq, found = ask(server), {}

        def run(column):
            found[column] = list(vq.call().sum(column).fetch().columns)

        threads = [threading.Thread(target=run, args=(column,)) for column in columns]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON)
        assert server.connections == 3
    assert found == {"cost": ["sumCost"], "duration": ["sumDuration"], "costBreakdown.llm": ["sumCostBreakdownLlm"]}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_opens_its_own_connection():
    """A child of fork() does not read from its parent's connection."""
    with Server(answering()) as server:
        vq = ask(server)
        vq.call().count().fetch()
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                status = int(vq.call().count().fetch()["countId"].item() != 1)
            os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        vq.call().count().fetch()
        assert (len(server.requests), server.connections) == (3, 2)


def test_a_connection_that_the_server_closed_is_opened_again():
    """A pooled connection that died between two fetches costs neither an error nor a wait."""

    def close_after(request, connection):
        answering()(request, connection)
        return False

    waits = Waits()
    with Server(close_after) as server:
        vq = ask(server, sleep=waits)
        for _ in range(3):
            vq.call().count().fetch()
            server.wait_until_closed()
        assert (server.connections, waits) == (3, [])


# --- the key ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "sent"),
    [
        ({"VAPI_API_KEY": "one-key"}, "one-key"),
        ({"VAPI_TOKEN": "other-key"}, "other-key"),
        ({"VAPI_API_KEY": "one-key", "VAPI_TOKEN": "other-key"}, "one-key"),
        ({"VAPI_API_KEY": " ", "VAPI_TOKEN": "other-key"}, "other-key"),
        ({"VAPI_API_KEY": "one-key\n"}, "one-key"),
    ],
)
def test_the_key_comes_from_the_environment_when_it_is_fetched(monkeypatch, environment, sent):
    """VAPI_API_KEY, else VAPI_TOKEN, as they stand when a query is fetched, not when it was made."""
    with Server(answering()) as server:
        query = ask(server, key=None).call().count()
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        query.fetch()
        monkeypatch.setenv("VAPI_API_KEY", "next-key")
        query.fetch()
    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {sent}", "Bearer next-key"]


def test_a_token_passed_goes_before_the_environment(monkeypatch):
    """A token given to connect is the one that is sent, whatever the environment holds."""
    monkeypatch.setenv("VAPI_API_KEY", "environment-key")
    with Server(answering()) as server:
        vf.connect(f" {KEY}\n", base_url=server.url, timeout=SOON).call().count().fetch()
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_without_a_key_nothing_is_sent():
    """No key is an AuthenticationError that says where to put one, before any connection."""
    with Server(answering()) as server:
        error = fail(server, AuthenticationError, key=None)
        assert "VAPI_API_KEY" in str(error)
        assert "vf.demo()" in str(error)
        assert server.connections == 0


@pytest.mark.parametrize("value", ["two words", "line\nbreak", "sk-…", "tab\there"])
def test_what_no_header_can_carry_is_no_key(monkeypatch, value):
    """A variable that cannot be a key is named, before any connection, and its value is not repeated."""
    monkeypatch.setenv("VAPI_API_KEY", value)
    with Server(answering()) as server:
        error = fail(server, AuthenticationError, key=None)
        assert "VAPI_API_KEY" in str(error)
        assert value not in str(error)
        assert server.connections == 0


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


def test_nobody_there_is_a_failed_connection():
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
@examples(100)
def test_no_header_can_break_the_wait(value):
    """Whatever the headers hold, the wait is nothing, or a finite number of seconds that is not negative."""
    for name in ("retry-after-ms", "retry-after", "x-ratelimit-reset"):
        wait = retry_after({name: value}, datetime(2026, 1, 1, tzinfo=UTC))
        assert wait is None or 0 <= wait < float("inf")


# --- success that is none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "an empty body"),
        (b" \n", "an empty body"),
        ("<html><title>Sign in to Café Wi-Fi</title></html>", r"HTML \(Sign in to Café Wi-Fi\).*sign-in page"),
        (b"\xef\xbb\xbf<!DOCTYPE html><p>hello</p>", r"HTML \(without a title\)"),
        ({"message": "Unauthorized", "statusCode": 401}, "an error, not a result: 'Unauthorized'"),
        ({"rows": []}, "list"),
        ("null", "list"),
        ([1], "must be an object, not 1"),
        ([{"name": "q", "result": []}], r"timeRange.*missing"),
        ([{"name": "q", "timeRange": {}, "result": [3]}], r"result\[0\]"),
        ([{"name": "q", "timeRange": {}, "result": [{}]}], "no 'countId'"),
        ([{"name": "q", "timeRange": {}, "result": [{"countId": "x"}]}], r"result\[0\]\.countId.*whole number"),
        ('[{"name": "q", "timeRange": {}, "result": [{"countId": NaN}]}]', "not JSON"),
        ('[{"name": "q", "timeRange": {}, "result": [{"countId": 1e400}]}]', "countId"),
        ('[{"name": "q", "timeRange": {}, "result": [{"countId": 1', "not JSON.*begins"),
        (b'[{"name": "\xff"}]', "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_answer_is_named(body, said):
    """A 2xx reply that is empty, a page, an error, or not the reply to the request is a ResponseError that says which."""
    with Server(reply(201, body)) as server, pytest.raises(ResponseError, match=said):
        ask(server).call().count().named("q").fetch()
    assert len(server.requests) == 1


def test_money_is_finite():
    """A sum that no float can hold is an error with its place, never infinity in a frame."""
    body = '[{"name": "q", "timeRange": {}, "result": [{"sumCost": 1e400}]}]'
    with Server(reply(201, body)) as server, pytest.raises(ResponseError, match="sumCost"):
        ask(server).call().sum("cost").named("q").fetch()


def test_a_byte_order_mark_is_no_harm():
    """A reply that begins with a byte order mark is read like any other."""
    with Server(reply(201, '\ufeff[{"name": "q", "timeRange": {}, "result": [{"countId": "3"}]}]')) as server:
        assert ask(server).call().count().named("q").fetch()["countId"].item() == 3


def test_gzip_is_read():
    """A compressed reply is read like any other."""
    with Server(answering(gzipped=True)) as server:
        assert ask(server).call().count().fetch()["countId"].item() == 1
    assert "gzip" in server.requests[0].headers["accept-encoding"]


def test_gzip_that_ends_early_is_an_error():
    """A compressed reply that lacks its end is a named error, never half a result."""
    rows = [{"countId": str(n), "type": f"t{n}"} for n in range(500)]
    content = gzip.compress(json.dumps([{"name": "q", "timeRange": {}, "result": rows}]).encode())
    with (
        Server(reply(201, content[:-200], Content_Encoding="gzip")) as server,
        pytest.raises(VapiFramesError) as caught,
    ):
        ask(server).call().count().by("type").named("q").fetch()
    assert isinstance(caught.value, ResponseError | ConnectionFailedError)


def test_a_body_of_unknown_length_that_ends_early_is_an_error():
    """Where nothing on the wire says that the body is not whole, its JSON does."""
    with Server(servers.ending_early) as server:
        assert "not JSON" in str(fail(server, ResponseError))


# --- where the key goes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status):
    """A redirect is an error that says where it points; it is not followed, so the key does not leak."""
    with Server(answering()) as other, Server(reply(status, Location=f"{other.url}/analytics")) as server:
        error = fail(server, StatusError)
        assert (len(server.requests), other.connections) == (1, 0)
    assert error.status == status
    assert f"points to {other.url}/analytics" in str(error)
    assert "set base_url" in str(error)


@pytest.mark.parametrize("location", ["", "http://[bad", "https://host:port", "//", "\x01", "mailto:me"])
def test_a_redirect_to_nowhere_is_the_same_error(location):
    """An unreadable Location is not followed either, and breaks nothing."""
    with Server(reply(307, Location=location)) as server:
        assert fail(server, StatusError).status == 307


@pytest.mark.parametrize(
    "url",
    [
        "http://api.vapi.ai", "http://192.168.0.7:8080", "http://localhost.example.com", "http://127.0.0.1.example.com",
        "http://0.0.0.0:80", "http://2130706433", "HTTP://API.VAPI.AI",
    ],
)  # fmt: skip
def test_a_key_does_not_go_in_the_clear(url):
    """http:// is for this machine only; elsewhere it would show the key to everyone on the way."""
    with pytest.raises(QueryError, match="in the clear; use https://"):
        vf.connect(KEY, base_url=url)


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://127.0.0.1:1", "http://127.8.8.8", "http://[::1]:1", "HTTP://LocalHost"]
)
def test_this_machine_may_be_asked_in_the_clear(url):
    """A server on the loopback interface needs no TLS."""
    vf.connect(KEY, base_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "", "api.vapi.ai", "/analytics", "ftp://api.vapi.ai", "https://", "https:///analytics", "https://[bad", "https://a:port",
        "https://a:99999", "https://a b", "https://a\n.b", "http://127.0.0.1\\@example.com", "https://api.vapi.ai?x=1",
        "https://api.vapi.ai#x", "https://me@api.vapi.ai", "https://me:secret@api.vapi.ai", "https://@api.vapi.ai",
        "http://localhost@example.com", None, 5, b"https://api.vapi.ai",
    ],
)  # fmt: skip
def test_what_is_no_base_url_is_refused(url):
    """Whatever is not plainly an http(s) address is refused when connecting, and no secret in it is repeated."""
    with pytest.raises(QueryError, match="base_url") as caught:
        vf.connect(KEY, base_url=url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "timeout",
    [
        0,
        -1,
        0.0,
        float("nan"),
        float("inf"),
        1e12,
        10**400,
        True,
        None,
        "5",
        (),
        (1,),
        (1, 2, 3),
        (1, 0),
        (1, None),
        [1, 2],
    ],
)
def test_what_is_no_timeout_is_refused(timeout):
    """A timeout is a positive number of seconds that a socket can take, or two."""
    with pytest.raises(QueryError, match="timeout must be seconds"):
        vf.connect(KEY, timeout=timeout)


@pytest.mark.parametrize("token", ["", "  ", "two words", "line\nbreak", "sk-…", "nul\0", 5, b"bytes", ["list"]])
def test_what_is_no_token_is_refused(token):
    """A token that no header can carry is refused when connecting, and not repeated."""
    with pytest.raises(QueryError, match="token must be the key as text") as caught:
        vf.connect(token)
    assert str(token).strip() == "" or str(token) not in str(caught.value)


@pytest.mark.parametrize("attempts", [0, -1, 1.0, True, None, "3"])
def test_what_is_no_number_of_attempts_is_refused(attempts):
    """Attempts are a whole number of at least one."""
    with pytest.raises(QueryError, match="attempts"):
        Connection(KEY, attempts=attempts)


# --- what the environment may and may not change ---------------------------------------------------------------------


def test_a_proxy_of_the_environment_does_not_stand_before_this_machine(monkeypatch):
    """http:// to this machine goes there directly: through a proxy the key would leave it in the clear."""
    with Server(reply(502)) as proxy, Server(answering()) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        ask(server).call().count().fetch()
        assert (proxy.connections, len(server.requests)) == (0, 1)


def test_a_proxy_of_the_environment_stands_before_the_api(monkeypatch):
    """https:// goes through HTTPS_PROXY as usual; the proxy sees the host's name and never the key."""
    with Server(reply(502)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = fail("https://api.example.invalid", ConnectionFailedError, attempts=2)
        assert [(one.method, one.target) for one in proxy.requests] == [("CONNECT", "api.example.invalid:443")] * 2
    assert error.attempts == 2
    assert not any("authorization" in request.headers for request in proxy.requests)


def test_no_proxy_is_honored(monkeypatch):
    """A host named in NO_PROXY gets requests directly."""
    with Server(reply(502)) as proxy, servers.closed_port() as url:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        error = fail(url.replace("http:", "https:"), ConnectionFailedError, attempts=1)
        assert proxy.connections == 0
    assert "refused" in str(error)


@pytest.mark.parametrize("proxy", ["http://[bad", "nonsense://127.0.0.1:1", "http://", "http://127.0.0.1:port"])
def test_a_proxy_that_is_none_is_an_error_of_this_package(monkeypatch, proxy):
    """A malformed HTTPS_PROXY is a ConnectionFailedError, whatever the HTTP library makes of it."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    fail("https://api.example.invalid", ConnectionFailedError, attempts=1)


def test_certificates_that_are_not_there_are_an_error_of_this_package(monkeypatch, tmp_path):
    """A REQUESTS_CA_BUNDLE that does not exist is named in a ConnectionFailedError, at the first attempt."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with servers.deaf() as port:
        error = fail(f"https://127.0.0.1:{port}", ConnectionFailedError)
    assert "missing.pem" in str(error)
    assert error.attempts == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Make a certificate for 127.0.0.1 that is not trusted by default; give its file and its server's context."""
    authority = trustme.CA()
    file = tmp_path_factory.mktemp("certificate") / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return file, context


def test_tls_with_a_trusted_certificate(monkeypatch, certificate):
    """Over TLS it works as without; REQUESTS_CA_BUNDLE adds a company's own certificates."""
    file, context = certificate
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    with Server(answering(), tls=context) as server:
        vq = ask(server)
        for _ in range(2):
            assert vq.call().count().fetch()["countId"].item() == 1
        assert server.connections == 1


def test_tls_with_a_certificate_that_nobody_trusts(certificate):
    """A wrong certificate ends at the first attempt, is named, and no request goes out."""
    with Server(answering(), tls=certificate[1]) as server:
        error = fail(server, ConnectionFailedError)
        assert server.requests == []
    assert error.attempts == 1
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)


def test_netrc_does_not_replace_the_key(monkeypatch, tmp_path, certificate):
    """A ~/.netrc entry for the host is not sent in the key's place."""
    file, context = certificate
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    with Server(answering()) as plain, Server(answering(), tls=context) as server:
        ask(plain).call().count().fetch()
        ask(server).call().count().fetch()
        for request in plain.requests + server.requests:
            assert request.headers["authorization"] == f"Bearer {KEY}"
