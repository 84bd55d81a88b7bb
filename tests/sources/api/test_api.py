"""Asking the API over a real connection: what goes out, what comes back, and what the environment changes."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import ssl
import threading
from datetime import UTC, datetime

import pytest
import trustme

import vapi_frames as vf
from tests.support import servers
from tests.support.api_client import KEY, SOON, Waits, ask, fail
from tests.support.servers import Server, answering, failing, reply
from vapi_frames.errors import (
    ConnectionFailedError,
    ResponseError,
    StatusError,
    VapiFramesError,
)

pytestmark = pytest.mark.usefixtures("clean_environment")


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


def test_a_result_with_the_wrong_name_is_refused():
    """A result in the place of one query, with the name of another, belongs to neither."""
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


def test_tls_with_an_untrusted_certificate(certificate):
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
