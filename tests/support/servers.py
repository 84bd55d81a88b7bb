"""Real servers on 127.0.0.1 that behave, well or badly, as a test tells them, and keep the requests."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

SAFETY = 10.0  # seconds after which a server gives up on a client; no test comes near


@dataclass(frozen=True, repr=False)  # the repr of a test's locals must not be what shows the key
class Request:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def json(self):
        """Return the body as JSON."""
        return json.loads(self.body)


# What a server does about a request: writes to the connection, and says whether it stays open.
Behavior = Callable[[Request, socket.socket], bool]


class Server:
    """A server that follows a script: one behavior a request, the last one for all that come after.

    Args:
        script: The behaviors.
        tls: A context, to speak TLS.

    Attributes:
        url: Its address, as a base_url.
        requests: The requests that it got, in order.
        connections: How many TCP connections it accepted.
    """

    def __init__(self, *script: Behavior, tls=None):
        self.requests: list[Request] = []
        self.connections = 0
        self._script = script
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._is_closing = False
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self._is_closing = True
        socket.create_connection(self._listener.getsockname(), SAFETY).close()  # wakes it from accept()
        self._threads[0].join(SAFETY)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SAFETY)
        for connection in self._open:
            connection.close()

    def wait_until_closed(self):
        """Wait until the server has closed every connection that it accepted."""
        for thread in self._threads[1:]:
            thread.join(SAFETY)

    def _accept(self):
        while True:
            connection, _ = self._listener.accept()
            if self._is_closing:
                connection.close()
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        connection.settimeout(SAFETY)
        with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as stack:
            if self._tls:
                connection = stack.enter_context(self._tls.wrap_socket(connection, server_side=True))
                self._open.append(connection)
            reader = stack.enter_context(connection.makefile("rb"))
            while request := _read(reader):
                self.requests.append(request)
                behave = self._script[min(len(self.requests), len(self._script)) - 1]
                if not behave(request, connection):
                    break
        connection.close()


def _read(reader) -> Request | None:
    start = reader.readline().decode("latin-1").split()
    if len(start) != 3:
        return None
    headers = {}
    while line := reader.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(start[0], start[1], headers, reader.read(int(headers.get("content-length", 0))))


def head(status, headers):
    """Return the head of a reply as bytes."""
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def reply(status=201, body=b"", **headers):
    """Reply with *status* and *body*; bytes and text as they are, anything else as JSON. ``_`` in names means ``-``."""
    content = body.encode() if isinstance(body, str) else body
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}

    def behave(request, connection):
        length = {"Content-Length": len(content)} if "Transfer-Encoding" not in sent else {}
        connection.sendall(head(status, {**length, **sent}) + content)
        return True

    return behave


def failing(status, message="no", **headers):
    """Reply as the API does when it refuses."""
    return reply(status, {"message": message, "error": "Whatever", "statusCode": status}, **headers)


def results_of(request):
    """Return a right result for each query of a request: one row, with the values 1, 2, ... for the operations."""
    return [
        {
            "name": query["name"],
            "timeRange": {"timezone": "UTC", **query.get("timeRange", {})},
            "result": [{one["alias"]: place for place, one in enumerate(query["operations"], start=1)}],
        }
        for query in request.json()["queries"]
    ]


def answering(status=201, *, change=lambda found: found, gzipped=False, **headers):
    """Reply to the queries with the results that *change* makes of right ones."""

    def behave(request, connection):
        content = json.dumps(change(results_of(request))).encode()
        if gzipped:
            return reply(status, gzip.compress(content), Content_Encoding="gzip")(request, connection)
        return reply(status, content, **headers)(request, connection)

    return behave


def echoing(status):
    """Reply with the request's own headers and body, as a debugging service does."""

    def behave(request, connection):
        found = {"headers": request.headers, "message": f"seen {request.headers['authorization']}"}
        return reply(status, found, X_Request_Id=request.headers["authorization"])(request, connection)

    return behave


def silent(request, connection):
    """Say nothing until the client hangs up."""
    connection.recv(1)
    return False


def stalling(request, connection):
    """Begin a body, and say nothing more until the client hangs up."""
    connection.sendall(head(201, {"Content-Length": 1_000}) + b'[{"name"')
    return silent(request, connection)


def cut_short(request, connection):
    """Promise more bytes than come, and hang up."""
    connection.sendall(head(201, {"Content-Length": 1_000}) + b'[{"name"')
    return False


def ending_early(request, connection):
    """Hang up inside a body that never said how long it is."""
    connection.sendall(head(201, {"Connection": "close"}) + b'[{"name"')
    return False


def chunk_cut_short(request, connection):
    """Hang up inside a chunk."""
    connection.sendall(head(201, {"Transfer-Encoding": "chunked"}) + b'20\r\n[{"name"')
    return False


def hang_up(request, connection):
    """Hang up without a word."""
    return False


def reset(request, connection):
    """Reset the connection in the middle of a body."""
    connection.sendall(head(201, {"Content-Length": 1_000}) + b'[{"name"')
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    return False


def babbling(request, connection):
    """Speak something other than HTTP."""
    connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    return False


@contextlib.contextmanager
def closed_port():
    """Give the address of a port that refuses connections."""
    with socket.socket() as bound:  # bound but not listening: no other process can take the port meanwhile
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@contextlib.contextmanager
def deaf():
    """Yield a port that never accepts: connections open, and nothing comes back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
