"""The key goes into one header of one request and nowhere else: not into any text, frame, error, log or pickle."""

from __future__ import annotations

import base64
import contextlib
import copy
import gc
import html
import json
import pickle
import re
import signal
import sys
import threading
import time
import traceback
import types
import urllib.parse
import warnings

import pytest

import vapi_frames as vf
from tests.support import servers
from tests.support.secret_checks import (
    KEY,
    assert_clean,
    assert_error_clean,
    caught,
    texts,
    traces,
)
from tests.support.servers import Server, answering, echoing, failing, reply
from vapi_frames.errors import AuthenticationError, QueryError, ResponseError, StatusError
from vapi_frames.interface.connect import Vq
from vapi_frames.redact import replace_spelled
from vapi_frames.sources.api.client import ApiClient
from vapi_frames.sources.api.source import ApiSource
from vapi_frames.sources.http.connection import Connection

pytestmark = pytest.mark.usefixtures("clean_environment", "nothing_printed")
ECHOED = f"you sent Bearer {KEY}, twice: {KEY}"


def ask(server, *, key=KEY, **options):
    """Return a vq that asks *server*, a `Server` or an address, and waits for nothing."""
    options = {"sleep": lambda _: None, "attempts": 2, "timeout": 5, **options}
    connection = Connection(key, base_url=server if isinstance(server, str) else server.url, **options)
    source = ApiSource(ApiClient(connection))
    return Vq(lambda: source)


# --- looking everywhere ----------------------------------------------------------------------------------------------


def reachable(vq):
    """Return the objects that a user can reach from *vq* by name, and those that they reach."""
    found = [vq]
    for one in found:
        if len(found) < 2_000:
            inner = list(getattr(one, "__dict__", {}).values())
            inner += list(one.values()) if isinstance(one, dict) else []
            inner += list(one) if isinstance(one, list | tuple | set) else []
            found += [
                part for part in inner if not isinstance(part, str | bytes | int) and not any(part is f for f in found)
            ]
    return found


# --- success ---------------------------------------------------------------------------------------------------------


def test_the_planted_key_is_really_sent():
    """The key that all other tests look for did go out: they do not pass for want of a key."""
    with Server(answering()) as server:
        ask(server).call().count().fetch()
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_no_object_shows_the_key():
    """Nothing that is reachable from a vq that has sent a query shows the key: not its source, session or queries."""
    with Server(answering()) as server:
        vq = ask(server)
        query = vq.call().sum("cost").by("type").last("7d").named("q")
        vq.call().count().fetch()
        objects = reachable(vq)
        assert any(type(one).__name__ == "PoolManager" for one in objects), "the walk reaches the HTTP library"
        assert_clean(*(f"{one!r} {one}" for one in objects))
        assert_clean(repr(vq), str(vq), f"{vq.source!r} {vars(vq.source)}", repr(query), str(query), repr(query.vq))


def test_no_text_of_a_query_shows_the_key(monkeypatch):
    """The shell command names the variable and not its value; body, plan and findings know nothing of it."""
    monkeypatch.setenv("VAPI_API_KEY", KEY)
    for vq in (vf.vq, vf.connect(KEY)):
        query = vq.call().sum("cost").last("7d").tz("Asia/Tokyo")
        assert "$VAPI_API_KEY" in query.curl()
        assert_clean(
            query.curl(), str(query.explain()), repr(query.lint()), json.dumps(query.body()), repr(query.dto())
        )


def test_no_frame_carries_the_key():
    """A frame, its attrs, its JSON and its pickle are free of the key."""
    with Server(answering()) as server:
        query = ask(server).call().sum("cost").count()
        frame = query.fetch()
        table = query.to_arrow()
    assert_clean(repr(frame.attrs), frame.to_json(), frame.to_json(orient="table"), repr(vf.frame(frame).meta))
    assert KEY.encode() not in pickle.dumps(frame)
    assert KEY.encode() not in pickle.dumps(table)
    assert_clean(repr(table.schema.metadata), repr(vf.frame(frame).query), repr(vars(frame)))


def test_a_query_is_pickled_without_whom_it_asks():
    """A query that asks the API can be pickled and copied; the key stays behind."""
    query = vf.connect(KEY).call().sum("cost").last("7d")
    dumped = pickle.dumps(query)
    assert KEY.encode() not in dumped
    assert pickle.loads(dumped) == query == copy.deepcopy(query)
    assert pickle.loads(dumped).vq is None


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_what_holds_a_key_is_not_pickled(copied):
    """Pickling or copying a vq or its source is an error that says what to do instead."""
    vq = vf.connect(KEY)
    for one in (vq, vq.source.client.wire, vf.vq, vq.source.client.wire._key):
        error = caught(lambda one=one: copied(one), TypeError)
        assert "cannot be pickled" in str(error)
        assert_clean(*texts(error))


# --- failure ---------------------------------------------------------------------------------------------------------

STATUSES = [400, 401, 403, 404, 405, 408, 409, 422, 429, 500, 502, 503, 504]
CUT = len("you sent Bearer sk-planted-4f1")  # so much of it is left where a text is cut too early
ECHOES = {
    "message": {"message": ECHOED},
    "list": {"message": [ECHOED, "and more"]},
    "other JSON": {"request": {"headers": {"authorization": f"Bearer {KEY}"}}},
    "text": ECHOED,
    "HTML": f"<html><title>{ECHOED}</title><pre>{ECHOED}</pre></html>",
    "at the cut": "x" * (2_000 - CUT) + ECHOED,
    "at the other cut": "x" * (500 - CUT) + ECHOED,
    "in bytes": b"\xff" + ECHOED.encode() + b"\xff",
}


@pytest.mark.parametrize("status", STATUSES)
def test_a_refusal_is_free_of_the_key(status):
    """No status error holds the key, whatever was tried before it."""
    with Server(failing(status)) as server:
        error = caught(ask(server).call().count().fetch, StatusError)
    assert error.status == status
    assert_error_clean(error)


@pytest.mark.parametrize("status", [400, 401, 429, 500])
@pytest.mark.parametrize("body", ECHOES.values(), ids=ECHOES)
def test_a_refusal_that_repeats_the_key_is_scrubbed(status, body):
    """A server that repeats the key in its body does not get it into the error, whole or cut."""
    with Server(reply(status, body)) as server:
        error = caught(ask(server).call().count().fetch, StatusError)
    assert_error_clean(error)
    assert "planted" not in str(error) + error.body


@pytest.mark.parametrize("status", [302, 400, 401, 429, 503])
def test_a_header_that_repeats_the_key_is_scrubbed(status):
    """A server that repeats the key in a header does not get it into the error."""
    headers = {"X_Request_Id": f"id-{KEY}", "Location": f"https://example.com/?key={KEY}", "Retry_After": KEY}
    with Server(reply(status, "no", **headers)) as server:
        error = caught(ask(server).call().count().fetch, StatusError)
    assert error.request_id == "id-***"
    assert_error_clean(error)


@pytest.mark.parametrize("status", [200, 201, 401, 500])
def test_a_service_that_echoes_requests_gets_the_key_nowhere(status):
    """A debugging service in the place of the API is named, or scrubbed; what it repeats is shown nowhere."""
    with Server(echoing(status)) as server:
        error = caught(ask(server).call().count().fetch)
    assert isinstance(error, ResponseError if status < 300 else StatusError)
    assert_error_clean(error)


@pytest.mark.parametrize("body", ECHOES.values(), ids=ECHOES)
def test_a_success_that_repeats_the_key_is_refused(body):
    """No result holds the key: a 2xx that does is refused, and not shown."""
    with Server(reply(200, body)) as server:
        error = caught(ask(server).call().count().fetch, ResponseError)
    assert "echoes" in str(error)
    assert_error_clean(error)


def test_rows_that_repeat_the_key_are_refused():
    """Not even well-formed rows carry the key into a frame."""

    def planted(found):
        return [{**found[0], "result": [{"type": ECHOED, "countId": 1}]}]

    with Server(answering(change=planted)) as server:
        error = caught(ask(server).call().count().by("type").fetch, ResponseError)
    assert_error_clean(error)


def test_a_short_stand_in_for_a_key_does_not_get_in_the_way():
    """A test's own key such as "x" is in many a reply by chance; a result is not refused for it."""
    with Server(answering()) as server:
        assert ask(server, key="e").call().count().fetch()["countId"].item() == 1


NO_ANSWERS = {
    "empty": b"",
    "HTML": "<html><title>Sign in</title></html>",
    "an error": {"message": "no"},
    "other JSON": [1],
    "a wrong row": [{"name": "q", "timeRange": {}, "result": [{"countId": "x"}]}],
    "cut JSON": '[{"name": "q"',
    "NaN": '[{"name": "q", "timeRange": {}, "result": [{"countId": NaN}]}]',
}


@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_a_broken_answer_is_free_of_the_key(body):
    """An error about a reply holds nothing of the request."""
    with Server(reply(201, body)) as server:
        assert_error_clean(caught(ask(server).call().count().named("q").fetch, ResponseError))


BREAKS = [
    servers.silent, servers.stalling, servers.hang_up, servers.reset, servers.cut_short, servers.chunk_cut_short,
    servers.ending_early, servers.babbling, reply(201, b"no gzip", Content_Encoding="gzip"),
    reply(201, b"XYZ\r\n", Transfer_Encoding="chunked"), reply(201, "[]", Set_Cookie="a=\x01; expires=never"),
]  # fmt: skip


@pytest.mark.parametrize("behavior", BREAKS)
def test_a_broken_connection_is_free_of_the_key(behavior):
    """The HTTP libraries' exceptions are kept as the cause, without the frames and requests that held the key."""
    timeout = 0.15 if behavior in (servers.silent, servers.stalling) else 5
    with Server(behavior) as server:
        assert_error_clean(caught(ask(server, timeout=timeout).call().count().fetch))


@pytest.mark.parametrize("behavior", [servers.hang_up, servers.reset, servers.chunk_cut_short, None])
def test_nothing_that_a_cause_holds_on_to_holds_the_key(behavior):
    """Not only what is shown: no text that can be reached at all from the kept cause is or contains the key."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(behavior) if behavior else servers.closed_port())
        cause = caught(ask(server).call().count().fetch).__cause__
    found, seen = [cause], {id(cause)}
    for one in found:
        for part in gc.get_referents(one):
            if id(part) not in seen and not isinstance(part, type | types.ModuleType | types.FunctionType):
                seen.add(id(part))
                found.append(part)
    assert len(found) > 5
    assert_clean(*(one if isinstance(one, str) else repr(bytes(one)) for one in found if isinstance(one, str | bytes)))


SPELLINGS = [
    KEY,
    "".join(f"\\u{ord(one):04x}" for one in KEY),
    "".join(f"\\u{ord(one):04X}" if i % 2 else one for i, one in enumerate(KEY)),
    "".join(f"%{ord(one):02x}" for one in KEY),
    "".join(f"&#{ord(one)};" for one in KEY),
    "".join(f"&#x{ord(one):x};" for one in KEY),
    base64.b64encode(f"key {KEY}".encode()).decode(),
]


def raw(text):
    """Send *text* as the whole reply."""

    def behave(request, connection):
        connection.sendall(text.encode())

    return behave


REPEATING = {
    "the error's message": lambda key: failing(400, f"bad {key}"),
    "an error's JSON": lambda key: reply(400, f'{{"message": ["no key {key}", "x"]}}'),
    "an error's page": lambda key: reply(403, f"<html><title>{key}</title></html>"),
    "a redirect": lambda key: reply(302, "", Location=f"https://elsewhere.example/{key}"),
    "the id of the request": lambda key: reply(500, "no", x_request_id=key),
    "a result": lambda key: answering(change=lambda found: [{**found[0], "name": "@"}, key]),
    "text that is no JSON": lambda key: reply(201, f"hello {key}"),
    "the status line": lambda key: raw(f"HTTP/1.1 500 {key}\r\nContent-Length: 2\r\n\r\nno"),
    "the status": lambda key: raw(f"HTTP/1.1 {key} no\r\nContent-Length: 2\r\n\r\nno"),
    "no status line": lambda key: raw(f"{key}\r\n\r\n"),
    "the size of a chunk": lambda key: raw(f"HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n{key}\r\n[]"),
    "a header that is none": lambda key: raw(f"HTTP/1.1 500 no\r\nContent-Length: 2\r\n{key}\r\nB: c\r\n\r\nno"),
    "the length": lambda key: raw(f"HTTP/1.1 201 OK\r\nContent-Length: {key}\r\n\r\n[]"),
    "the encoding": lambda key: reply(201, "[]", Content_Encoding=key),
}


@pytest.mark.parametrize("spelling", SPELLINGS, ids=["as it is", "JSON", "some JSON", "URL", "HTML", "hex", "base64"])
@pytest.mark.parametrize("place", REPEATING)
def test_a_server_that_repeats_the_key_in_any_spelling(place, spelling, caplog):
    """Neither the error, nor its causes, nor a log or stderr has it, as it is or spelled."""
    with Server(REPEATING[place](spelling)) as server:
        error = caught(ask(server, attempts=1).call().count().fetch)
    assert_error_clean(error)
    shown = "".join([*traceback.format_exception(error), caplog.text, getattr(error, "body", None) or ""])
    decoded = html.unescape(urllib.parse.unquote(re.sub(r"\\+u(00..)", lambda one: chr(int(one[1], 16)), shown)))
    assert KEY not in decoded
    assert replace_spelled(shown.encode(), KEY) == shown.encode()


def test_an_address_with_the_key_in_it_is_not_shown():
    """A key that was pasted in the wrong place shows in no repr, no source of a frame and no error."""
    vq = vf.connect(KEY, base_url=f"https://{KEY}.example.invalid")
    assert KEY not in repr(vq)
    assert_error_clean(caught(ask(f"https://{KEY.upper()}.invalid/{KEY}", timeout=0.5).call().count().fetch))


def test_an_impossible_host_is_free_of_the_key():
    """Failing before any connection leaves the key nowhere."""
    assert_error_clean(caught(ask("https://a..b").call().count().fetch))


def test_nobody_there_is_free_of_the_key():
    """A refused connection leaves the key nowhere, in the clear or over TLS."""
    with servers.closed_port() as url:
        assert_error_clean(caught(ask(url).call().count().fetch))
        assert_error_clean(caught(ask(url.replace("http:", "https:")).call().count().fetch))
    with servers.deaf() as port:
        assert_error_clean(caught(ask(f"https://127.0.0.1:{port}", timeout=0.15).call().count().fetch))


def test_a_failing_proxy_is_free_of_the_key(monkeypatch):
    """A proxy that refuses, or is none, leaves the key nowhere and does not get to see it."""
    with Server(reply(407, "no")) as proxy:
        for address in (proxy.url, "http://127.0.0.1:port", "nonsense://a"):
            monkeypatch.setenv("HTTPS_PROXY", address)
            assert_error_clean(caught(ask("https://api.example.invalid").call().count().fetch))
        assert_clean(*(f"{request.headers} {request.body}" for request in proxy.requests))


def test_missing_certificates_are_free_of_the_key(monkeypatch, tmp_path):
    """An error of the TLS set-up leaves the key nowhere."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    assert_error_clean(caught(ask("https://api.example.invalid").call().count().fetch))


def test_warnings_are_free_of_the_key():
    """What a reply warns about holds nothing of the request."""

    def extended(found):
        return [{**found[0], "new": 1, "result": [{**found[0]["result"][0], "newer": 2}]}]

    with Server(answering(change=extended)) as server, warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        ask(server).call().count().fetch()
    assert len(shown) == 2
    assert_clean(*(f"{one.message} {one.filename} {one.line}" for one in shown))


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system cannot interrupt one thread")
@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_fetch_is_free_of_the_key():
    """Ctrl-C while a reply is awaited, or between attempts, shows the key in no frame of the traceback."""
    main = threading.main_thread()

    def interrupting(request, connection):
        time.sleep(0.1)  # until the client waits: http.client forgets a socket that it was about to read
        signal.pthread_kill(main.ident, signal.SIGINT)
        return servers.silent(request, connection)

    with Server(interrupting) as server:
        error = caught(ask(server, timeout=5).call().count().fetch, KeyboardInterrupt)
    assert any("urllib3" in frame.f_code.co_filename for frame in traces(error)), "it came while waiting for the reply"
    assert_clean(*texts(error))

    def interrupted(_):
        raise KeyboardInterrupt

    with Server(servers.hang_up) as server:
        assert_clean(*texts(caught(ask(server, sleep=interrupted).call().count().fetch, KeyboardInterrupt)))


# --- the wrong thing in the wrong place ------------------------------------------------------------------------------


def connect(**options):
    """Connect with the planted key, which stands in no local of this frame."""
    return vf.connect(KEY, **options)


def test_a_wrong_token_is_refused_without_being_shown():
    """``vf.connect("sk-...")`` with a token that the API refuses ends in an error that says so and shows nothing."""
    with Server(failing(401, f"Invalid Key {KEY}")) as server:
        error = caught(connect(base_url=server.url).call().count().fetch, AuthenticationError)
    assert "Invalid Key ***" in str(error)
    assert "private key" in str(error)
    assert_error_clean(error)


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "ftp://api.vapi.ai"}, {"base_url": "http://api.vapi.ai"}, {"base_url": "https://me:you@api.vapi.ai"},
        {"base_url": "https://a:port"}, {"base_url": None}, {"timeout": 0}, {"timeout": "5"},
    ],
)  # fmt: skip
def test_another_wrong_argument_does_not_show_the_token(options):
    """The traceback of a wrong argument, with locals, does not show the token beside it."""
    assert_error_clean(caught(lambda: connect(**options), QueryError))


@pytest.mark.parametrize("broken", ["{} {}", "{}\n{}", "{}…{}", "{}\0{}"])
def test_a_malformed_key_is_not_shown(monkeypatch, broken):
    """A key with a space, a line break or an odd character in it is refused before any HTTP library sees it."""
    monkeypatch.setattr(sys.modules[__name__], "MALFORMED", broken.format(KEY, KEY), raising=False)
    assert_error_clean(caught(lambda: vf.connect(sys.modules[__name__].MALFORMED), QueryError))
    with contextlib.suppress(ValueError):  # no environment can hold a zero byte
        monkeypatch.setenv("VAPI_API_KEY", broken.format(KEY, KEY))
        with servers.closed_port() as url:
            assert_error_clean(caught(ask(url, key=None).call().count().fetch, AuthenticationError))


def test_a_key_in_the_place_of_the_address_is_not_repeated():
    """A key passed as base_url is refused with a message that does not repeat it."""
    assert_clean(str(caught(lambda: vf.connect(base_url=KEY), QueryError)))


def test_a_key_of_the_environment_is_as_hidden_as_one_passed(monkeypatch):
    """Read from the environment, the key is scrubbed, hidden and left out in the same way."""
    monkeypatch.setenv("VAPI_API_KEY", KEY)
    for behavior in (failing(401, ECHOED), servers.hang_up, servers.stalling, reply(200, ECHOED)):
        with Server(behavior) as server:
            vq = ask(server, key=None, timeout=0.5)
            error = caught(vq.call().count().fetch)
            assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert_clean(*(f"{one!r} {one}" for one in reachable(vq)))
        assert_error_clean(error)


def test_the_logs_say_something(nothing_printed):
    """The HTTP library does log at DEBUG, so that the check for the key in the logs is a check."""
    with Server(answering()) as server:
        ask(server).call().count().fetch()
    assert "POST /analytics" in nothing_printed.getvalue()
