"""The endpoint as a process: the key, the address it listens at, its time-outs, and its shutdown."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from vapi_frames.errors import MissingExtraError, QueryError
from vapi_frames.redact import Secret
from vapi_frames.server.app import create_app, error_body
from vapi_frames.sources.http.loopback import is_loopback

if TYPE_CHECKING:
    import asyncio

    import uvicorn
    from starlette.applications import Starlette
    from uvicorn.protocols.http.h11_impl import H11Protocol

    from vapi_frames.sources import Source

__all__ = ["KEY_VARIABLE", "make_server", "read_key", "serve"]

KEY_VARIABLE = "VAPI_FRAMES_KEY"
MAX_PORT = 65_535
TIMEOUT_MARGIN = 5.0  # seconds beyond the time-out, after which the server closes the connection of a request


def read_key(file: str | None) -> str:
    """Return the key in *file*, or in the environment where *file* is ``None``.

    Raises:
        QueryError: There is no key, or it is not ASCII.
        OSError: The file cannot be read.
    """
    if file is None:
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if not key:
            raise QueryError(
                f"there is no key: set {KEY_VARIABLE} or pass --key-file; --no-auth serves this machine without a key"
            )
        return Secret(key)
    content = Path(file).read_bytes().strip()
    if not content or not content.isascii():
        raise QueryError(f"{file!r} has no key: a key is ASCII text without spaces and line breaks")
    return Secret(content.decode())


def serve(source: Source, *, host: str, port: int, key: str | None, timeout: float, workers: int) -> None:
    """Answer from *source* until SIGINT or SIGTERM; requests that have begun are finished first.

    Args:
        source: The source of the results.
        host: The name or address to listen at; without a *key*, one of this machine only.
        port: The port; 0 takes a free one.
        key: The key that clients send as bearer.
        timeout: Seconds that a request may take.
        workers: How many requests are answered in parallel.

    Raises:
        QueryError: There is no key, and *host* is not this machine; or *key* is not a valid key.
        MissingExtraError: Starlette or uvicorn is not installed.
        OSError: The address cannot be used.
    """
    if not 0 <= port <= MAX_PORT:
        raise QueryError(f"port must be 0 to {MAX_PORT}, not {port}")
    server = make_server(create_app(source, key=key, timeout=timeout, workers=workers), timeout)
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    if key is None and not is_loopback(str(address[0])):
        raise QueryError(
            f"a server without a key is for this machine only: listen at 127.0.0.1, ::1 or localhost, not {host!r}"
        )
    with socket.create_server(address[:2], family=family) as listener:
        for number in (signal.SIGINT, signal.SIGTERM):
            # uvicorn raises the signal again after its shutdown, and that must not kill the process.
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        ip, bound_port = listener.getsockname()[:2]
        name = f"[{ip}]" if family == socket.AF_INET6 else ip
        print(f"vapi-frames answers POST http://{name}:{bound_port}/analytics from {source!r}", flush=True)  # noqa: T201
        server.run(sockets=[listener])


def make_server(app: Starlette, timeout: float) -> uvicorn.Server:
    """Return a server for *app*; its requests take at most *timeout* seconds.

    Raises:
        MissingExtraError: uvicorn is not installed.
    """
    try:
        import uvicorn
    except ImportError:
        raise MissingExtraError("server", "uvicorn", "the endpoint") from None

    limit = timeout + TIMEOUT_MARGIN
    config = uvicorn.Config(
        app, http=_make_protocol(limit), ws="none", log_config=None, log_level="warning", access_log=False,
        server_header=False, timeout_keep_alive=60, timeout_graceful_shutdown=int(limit),
    )  # fmt: skip
    return uvicorn.Server(config)


def _make_protocol(read_timeout: float) -> type[H11Protocol]:
    """Return uvicorn's HTTP/1.1 with a time-out for incomplete requests, and JSON in the reply to invalid HTTP."""
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class _ReadTimeoutProtocol(H11Protocol):
        """Closes a connection if its request does not arrive within *read_timeout* seconds."""

        read_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            # Head and body are two packets: without this, the second waits until the first is acknowledged.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._set_timer()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._set_timer()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._cancel_timer()

        def _set_timer(self) -> None:
            state = self.conn.their_state
            has_begun = self.cycle is None or bool(self.conn.trailing_data[0])
            if state is not h11.SEND_BODY and not (state is h11.IDLE and has_begun):
                self._cancel_timer()
            elif self.read_timer is None:
                self.read_timer = self.loop.call_later(read_timeout, self.transport.close)

        def _cancel_timer(self) -> None:
            if self.read_timer is not None:
                self.read_timer.cancel()
                self.read_timer = None

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - h11's words, where all errors are JSON
            body = error_body(400, "the request is not valid HTTP/1.1")
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                for event in (
                    h11.Response(status_code=400, headers=list(headers.items()), reason="Bad Request"),
                    h11.Data(data=body),
                    h11.EndOfMessage(),
                ):
                    self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

    return _ReadTimeoutProtocol
