"""The key: where it comes from, and where it goes."""

from __future__ import annotations

import pytest

import vapi_frames as vf
from tests.support.api_client import KEY, SOON, ask, fail
from tests.support.servers import Server, answering, reply
from vapi_frames.errors import (
    AuthenticationError,
    QueryError,
    StatusError,
)
from vapi_frames.sources.http.connection import Connection

pytestmark = pytest.mark.usefixtures("clean_environment")


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
