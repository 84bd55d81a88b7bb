"""What can go wrong between a query and its result, each from a real server on loopback, and what comes of it."""

from __future__ import annotations

import gzip
import json
import ssl
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trustme

from tests.support import servers
from tests.support.servers import Server, answering, failing, reply

if TYPE_CHECKING:
    from collections.abc import Callable

RESULT = "the result"
PATIENCE = 0.5  # seconds between two pieces of a reply, in most cases
PORTAL = "<!DOCTYPE html><html><head><title>Hotel Wi-Fi</title></head><body>Sign in</body></html>"


@dataclass(frozen=True)
class Case:
    """A bad day.

    Attributes:
        what: What happens, in words.
        becomes: The result, or the name of the error.
        says: What the error's message holds.
        where: Yields the address and the servers that count requests, for as long as the case runs.
        requests: How many requests arrive, ``None`` where that is no matter.
        environment: Variables that are set meanwhile; ``{}`` stands for the address of a proxy.
        most: Seconds that it may take.
        patience: Seconds to wait for the next piece of a reply.
        columns: The measures that are requested.
        values: What they are.
    """

    what: str
    becomes: str
    says: str = ""
    where: Callable[[], Any] = field(default=lambda: served(answering()))
    requests: int | None = 1
    environment: dict[str, str] = field(default_factory=dict)
    most: float = 4.0
    patience: float = PATIENCE
    columns: tuple[str, ...] = ("cost",)
    values: tuple[float, ...] = (1.0,)


@contextmanager
def served(*script, tls=None, scheme="http"):
    """Serve a script; give the address and the server."""
    with Server(*script, tls=tls) as server:
        yield server.url.replace("http:", f"{scheme}:") if scheme != "http" else server.url, server


def serving(*script, **options):
    """Return what serves a script when it is called."""
    return lambda: served(*script, **options)


@contextmanager
def refused():
    """Give an address where no server listens."""
    with servers.closed_port() as url:
        yield url, None


@contextmanager
def at(url):
    """Give an address that is none of ours."""
    yield url, None


@contextmanager
def deaf():
    """Give a port that opens, and does not speak TLS."""
    with servers.deaf() as port:
        yield f"https://127.0.0.1:{port}", None


@contextmanager
def untrusted():
    """Serve over TLS with a certificate that is not trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with served(answering(), tls=context) as found:
        yield found


@contextmanager
def redirected(status):
    """Redirect to another host, which must get no request."""
    with Server(answering()) as other:
        with Server(reply(status, Location=f"{other.url.replace('127.0.0.1', 'localhost')}/analytics")) as server:
            yield server.url, server
        assert other.connections == 0


@contextmanager
def proxied():
    """Stand between as a proxy that refuses."""
    with Server(reply(502, "no")) as proxy:
        yield "https://api.example.invalid", proxy
        assert not any("authorization" in one.headers for one in proxy.requests)


def one(row, **more):
    """Return a reply that holds *row* as it stands."""
    return reply(201, f'[{{"name": "q", "timeRange": {{}}, "result": [{row}]}}]', **more)


def dripping(request, connection):
    """Send a body a byte at a time, each before the read times out, without an end."""
    connection.sendall(servers.head(201, {"Content-Length": 10_000}))
    while True:
        connection.sendall(b" ")
        time.sleep(0.02)


def bulky(request, connection, megabytes=200):
    """Send a result of that many megabytes, most of them blanks."""
    content = json.dumps(servers.results_of(request)).encode()
    block = b" " * 2**20
    connection.sendall(servers.head(201, {"Content-Length": len(content) + megabytes * len(block)}) + content[:1])
    for _ in range(megabytes):
        connection.sendall(block)
    connection.sendall(content[1:])
    return True


def endless(request, connection):
    """Send a body without end."""
    connection.sendall(servers.head(201, {"Connection": "close"}) + b"[")
    block = b" " * 2**20
    while True:
        connection.sendall(block)


def cut_gzip(request, connection):
    """Send a compressed reply that lacks its end."""
    rows = [{"name": "q", "timeRange": {}, "result": [{"sumCost": 1 / n} for n in range(1, 900)]}]
    content = gzip.compress(json.dumps(rows).encode())
    return reply(201, content[: len(content) // 2], Content_Encoding="gzip")(request, connection)


STATUS, FAILED, RESPONSE = "StatusError", "ConnectionFailedError", "ResponseError"
CASES = (
    # There is no reply.
    Case("the connection is refused", FAILED, "refused", refused),
    Case("the host has no address", FAILED, "host.invalid", lambda: at("https://host.invalid")),
    Case("the host's name cannot be one", FAILED, "a..b", lambda: at("https://a..b")),
    Case("a certificate that is not trusted", FAILED, "CERTIFICATE_VERIFY_FAILED", untrusted, 0),
    Case("a handshake that never ends", FAILED, "timed out", deaf),
    Case("TLS is asked for where none is spoken", FAILED, "no reply", serving(answering(), scheme="https"), None),
    Case("headers that never come", FAILED, "Read timed out", serving(servers.silent), 2),
    Case("headers that come at the second attempt", RESULT, "", serving(servers.silent, answering()), 2),
    Case("a body that stops", FAILED, "Read timed out", serving(servers.stalling), 2),
    Case("a body that drips for ever", FAILED, "is incomplete after", serving(dripping), 2, most=8.0, patience=0.1),
    Case("the server hangs up", FAILED, "", serving(servers.hang_up), 2),
    Case("the server hangs up once", RESULT, "", serving(servers.hang_up, answering()), 2),
    Case("a reset in the middle of the body", FAILED, "", serving(servers.reset), 2),
    Case("a reset in the middle of the first body", RESULT, "", serving(servers.reset, answering()), 2),
    Case("fewer bytes than promised", FAILED, "IncompleteRead", serving(servers.cut_short), 2),
    Case("a chunk that is cut off", FAILED, "", serving(servers.chunk_cut_short), 2),
    Case("something other than HTTP", FAILED, "", serving(servers.babbling), 2),
    Case("no gzip under that name", FAILED, "decompressing", serving(reply(201, b"no", Content_Encoding="gzip")), 2),
    Case("a proxy of the environment that refuses", FAILED, "502", proxied, None, {"HTTPS_PROXY": "{}"}),
    Case("a proxy of the environment that is none", FAILED, "", proxied, 0, {"HTTPS_PROXY": "http://[bad"}),
    Case("a proxy of the environment, for this machine", RESULT, environment={"HTTP_PROXY": "http://127.0.0.1:9"}),
    # A limit.
    Case("429 with retry-after-ms", RESULT, "", serving(failing(429, retry_after_ms="20"), answering()), 2),
    Case("429 with retry-after", RESULT, "", serving(failing(429, retry_after="0.02"), answering()), 2),
    Case("429 with x-ratelimit-reset", RESULT, "", serving(failing(429, x_ratelimit_reset="0.02"), answering()), 2),
    Case("429 without a word", RESULT, "", serving(failing(429), answering()), 2),
    Case("429 that lasts", "RateLimitError", "2 attempts", serving(failing(429, retry_after="0.02")), 2),
    Case("429 for an hour", "RateLimitError", "3600 s", serving(failing(429, retry_after="3600"))),
    # The server refuses or fails.
    Case("400", STATUS, "400", serving(failing(400))),
    Case("401", "AuthenticationError", "private key", serving(failing(401))),
    Case("403", "AuthenticationError", "private key", serving(failing(403))),
    Case("404", STATUS, "base_url", serving(failing(404))),
    Case("413, the query is too large", STATUS, "413", serving(failing(413))),
    *(Case(f"{n} that lasts", STATUS, str(n), serving(failing(n)), 2) for n in (500, 501, 502, 503, 504)),
    *(Case(f"{n} once", RESULT, "", serving(failing(n), answering()), 2) for n in (500, 501, 502, 503, 504)),
    Case("502 with a page", STATUS, "an HTML page (Bad gateway)", serving(reply(502, "<title>Bad gateway</title>")), 2),
    Case("a redirect to another host, 302", STATUS, "redirects are not followed", lambda: redirected(302)),
    Case("a redirect to another host, 307", STATUS, "redirects are not followed", lambda: redirected(307)),
    Case("a server that repeats the key", "AuthenticationError", "***", serving(servers.echoing(401))),
    # A success that is none.
    Case("a captive portal's page with 200", RESPONSE, "sign-in page", serving(reply(200, PORTAL))),
    Case("an empty body with 200", RESPONSE, "an empty body", serving(reply(200, ""))),
    Case("200 with []", RESPONSE, "0 results named", serving(reply(200, "[]"))),
    Case("200 with null", RESPONSE, "list", serving(reply(200, "null"))),
    Case("an error's JSON with 200", RESPONSE, "'Unauthorized'", serving(reply(200, {"message": "Unauthorized"}))),
    Case("JSON of something else", RESPONSE, "list", serving(reply(200, {"rows": []}))),
    Case("JSON that is cut off", RESPONSE, "not JSON", serving(reply(200, '[{"name": "q"'))),
    Case("JSON a hundred thousand deep", RESPONSE, "not JSON", serving(reply(200, "[" * 100_000))),
    Case("a body of no known length that is cut off", RESPONSE, "not JSON", serving(servers.ending_early)),
    Case("gzip that ends early", RESPONSE, "not JSON", serving(cut_gzip)),
    Case("a reply that repeats the key, with 200", RESPONSE, "the key itself", serving(servers.echoing(200))),
    # Numbers.
    Case("NaN", RESPONSE, "not JSON", serving(one('{"sumCost": NaN}'))),
    Case("1e400", RESPONSE, "sumCost", serving(one('{"sumCost": 1e400}'))),
    Case("1e400 as text", RESPONSE, "sumCost", serving(one('{"sumCost": "1e400"}'))),
    Case("a sum of thirty digits", RESULT, "", serving(one(f'{{"sumCost": {"123456789" * 3}012.5}}')),
         values=(float("123456789" * 3 + "012.5"),)),
    Case("a count of thirty digits", RESPONSE, "whole number", serving(one(f'{{"countId": {"9" * 30}}}')), columns=("id",)),
    Case("numbers as text", RESULT, "", serving(one('{"sumCost": "1.00"}'))),
    Case("a sum that is true", RESPONSE, "not a number", serving(one('{"sumCost": true}'))),
    # Size.
    Case("a body of two hundred megabytes", RESULT, "", serving(bulky), most=20.0),
    Case("a body without end", RESPONSE, "more than", serving(endless), most=20.0),
)  # fmt: skip


def table():
    """Return the cases as a table of Markdown."""
    rows = [f"| {case.what} | {case.becomes if case.becomes == RESULT else f'`{case.becomes}`'} |" for case in CASES]
    return "\n".join([f"| what happens ({len(CASES)}) | what you get |", "| --- | --- |", *rows])
