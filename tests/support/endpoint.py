"""The endpoint on a loopback port: in a thread of the test's own process, or as the command in another one."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, replace

from vapi_frames.calendar.ranges import AbsoluteRange
from vapi_frames.interface.vq import Vq
from vapi_frames.server import create_app
from vapi_frames.server.listen import make_server
from vapi_frames.sources.api.client import ApiClient
from vapi_frames.sources.api.source import ApiSource
from vapi_frames.sources.http.connection import Connection

KEY = "endpoint-test-key-0001"
SAFETY = 60.0  # seconds after which a test gives up; none comes near


@dataclass(frozen=True)
class Endpoint:
    """Where it listens."""

    port: int
    key: str | None

    @property
    def url(self):
        """Its address, as a base_url."""
        return f"http://127.0.0.1:{self.port}"

    def send(self, body, *, method="POST", path="/analytics", headers=None, key=...):
        """Send one request; return status, headers and the body, read as JSON."""
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        key = self.key if key is ... else key
        sent = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        sent = {name: value for name, value in {**sent, **(headers or {})}.items() if value is not None}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=SAFETY)) as connection:
            connection.request(method, path, content, sent)
            reply = connection.getresponse()
            body = reply.read()
            return reply.status, reply.headers, json.loads(body) if body else None

    def raw(self, content, *, end=False):
        """Send bytes as they are; return all that comes back until the server closes, or a reply is whole."""
        with socket.create_connection(("127.0.0.1", self.port), SAFETY) as connection:
            connection.sendall(content)
            if end:
                connection.shutdown(socket.SHUT_WR)
            came = b""
            while piece := connection.recv(65_536):
                came += piece
                head, _, body = came.partition(b"\r\n\r\n")
                length = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line]
                if length and len(body) >= length[0]:
                    break
            return came


@contextlib.contextmanager
def running(source, *, key=KEY, timeout=SAFETY, around=lambda app: app, **limits):
    """Serve *source* in a thread; *around* makes another app of the endpoint's."""
    server = make_server(around(create_app(source, key=key, timeout=timeout, **limits)), timeout)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Endpoint(port, key)
        finally:
            server.should_exit = True
            thread.join(SAFETY)
            assert not thread.is_alive()


@contextlib.contextmanager
def command(*arguments, key=KEY, ulimit=None):
    """Run ``vapi-frames serve`` with *arguments*; give the endpoint, the process, and a function to read its log.

    The process has the limit *ulimit*, such as ``-n 64`` for its file descriptors.
    """
    environment = {**os.environ, **({"VAPI_FRAMES_KEY": key} if key else {})}
    limited = ["sh", "-c", f'ulimit {ulimit} && exec "$@"', "sh"] if ulimit else []
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:  # a full pipe would block the server
        process = subprocess.Popen(
            [*limited, sys.executable, "-m", "vapi_frames.cli", "serve", "--port", "0", *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
        )  # fmt: skip

        def read_log():
            log.seek(0)
            return log.read()

        try:
            line = process.stdout.readline()
            if not line:
                raise AssertionError(read_log())
            yield Endpoint(int(line.split("/analytics")[0].rsplit(":", 1)[1]), key), process, read_log
        finally:
            process.kill()
            process.communicate(timeout=SAFETY)


def link_files(path, count):
    """Return *count* hard links to *path*, each of which is a file of its own to a source that reads a file once."""
    links = [path.with_name(f"{number}-{path.name}") for number in range(count)]
    for link in links:
        link.hardlink_to(path)
    return links


class Switch:
    """A source that hands queries to `inner`, so that one server can serve the records of each example."""

    kind = "calls"
    inner = None

    def __init__(self, now):
        self._now = now

    def now(self):
        """Return the clock that the tests share."""
        return self._now

    def answer(self, queries, now):
        """Return what the inner source gives back."""
        return self.inner.answer(queries, now)


@contextlib.contextmanager
def serving(now):
    """Serve a `Switch` over HTTP; yield it and a Vq that queries it, both with the clock *now*."""
    switch = Switch(now)
    with running(switch) as served:
        source = ApiSource(ApiClient(Connection(KEY, base_url=served.url), now=now), buckets=10**9)
        yield switch, Vq(lambda: source)


def absolute(query, now):
    """Return *query* with the instants that its range has at *now*, for a server with another clock."""
    span = query.instants(now)
    return replace(query, time_range=None if span == (None, None) else AbsoluteRange(*span))
