"""The endpoint as a server of its own: where it listens, whose key it asks for, how it ends."""

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
_LAST_PORT = 65_535
_GRACE = 5.0  # seconds beyond the time-out: until a request that does not arrive is cut off, or one that does not end


def read_key(file: str | None) -> str:
    """Return the key of the key *file*, else of the environment.

    Raises:
        QueryError: There is none.
        OSError: The file cannot be read.
    """
    if file is None:
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if not key:
            raise QueryError(
                f"there is no key: set {KEY_VARIABLE}, or give --key-file; --no-auth serves this machine only, without"
            )
        return Secret(key)
    content = Path(file).read_bytes().strip()
    if not content or not content.isascii():
        raise QueryError(f"{file!r} holds no key: a key is ASCII text without spaces and line breaks")
    return Secret(content.decode())


def serve(source: Source, *, host: str, port: int, key: str | None, timeout: float, workers: int) -> None:
    """Answer from *source* until a signal says to end; what is in flight is finished first.

    Args:
        source: Whoever answers.
        host: The name or address to listen at; without a *key*, one of this machine only.
        port: The port; 0 takes a free one.
        key: What clients send as bearer.
        timeout: Seconds until a request is cut off.
        workers: How many requests are answered at once.

    Raises:
        QueryError: Without a key, others could ask; or *key* cannot be one.
        MissingExtraError: Starlette or uvicorn is not installed.
        OSError: It cannot listen there.
    """
    if not 0 <= port <= _LAST_PORT:
        raise QueryError(f"port must be 0 to {_LAST_PORT}, not {port}")
    server = make_server(create_app(source, key=key, timeout=timeout, workers=workers), timeout)
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    if key is None and not is_loopback(str(address[0])):
        raise QueryError(
            f"without a key only this machine may ask: listen at 127.0.0.1, ::1 or localhost, not {host!r}"
        )
    for number in (signal.SIGINT, signal.SIGTERM):
        # The server raises the signal again when it is done, which must not end the process by it.
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    with socket.create_server(address[:2], family=family) as listener:
        at = listener.getsockname()
        name = f"[{at[0]}]" if family == socket.AF_INET6 else at[0]
        print(f"vapi-frames answers POST http://{name}:{at[1]}/analytics from {source!r}", flush=True)  # noqa: T201
        server.run(sockets=[listener])


def make_server(app: Starlette, timeout: float) -> uvicorn.Server:
    """Return the server that is to run *app*, whose requests take at most *timeout* seconds.

    Raises:
        MissingExtraError: uvicorn is not installed.
    """
    try:
        import uvicorn
    except ImportError:
        raise MissingExtraError("server", "uvicorn", "the endpoint") from None

    config = uvicorn.Config(
        app, http=_protocol(timeout + _GRACE), ws="none", log_config=None, log_level="warning", access_log=False,
        server_header=False, timeout_keep_alive=60, timeout_graceful_shutdown=int(timeout + _GRACE),
    )  # fmt: skip
    return uvicorn.Server(config)


def _protocol(patience: float) -> type[H11Protocol]:
    """Return HTTP/1.1 with two more manners: requests that never become whole, and what is no HTTP."""
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class _Patient(H11Protocol):
        """Closes a connection whose request does not arrive within *patience* seconds."""

        arrival: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            # Head and body are two packets, and the second must not wait until the first is acknowledged.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._rest()

        def _watch(self) -> None:
            state = self.conn.their_state
            is_begun = self.cycle is None or bool(self.conn.trailing_data[0])
            if state is not h11.SEND_BODY and not (state is h11.IDLE and is_begun):
                self._rest()
            elif self.arrival is None:
                self.arrival = self.loop.call_later(patience, self.transport.close)

        def _rest(self) -> None:
            if self.arrival is not None:
                self.arrival.cancel()
                self.arrival = None

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - ours is JSON, as all errors are
            body = error_body(400, "what came is not HTTP/1.1")
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                for event in (
                    h11.Response(status_code=400, headers=list(headers.items()), reason="Bad Request"),
                    h11.Data(data=body),
                    h11.EndOfMessage(),
                ):
                    self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

    return _Patient
