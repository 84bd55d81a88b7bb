"""uvicorn's HTTP/1.1 with what a hostile network needs: time-outs in both directions, and limits of connections."""

from __future__ import annotations

import logging
import socket
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vapi_frames.server.app import error_body

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["BATCH", "find_connection_limit", "make_protocol"]

BATCH = 16  # connections that are accepted at a time, before any of them can be refused
HEAD_SECONDS = 10.0  # in which the head of a request must arrive
HALF_CLOSED_SECONDS = 5.0  # in which a client that has closed its half gets its reply, if it is still there
LINGER_SECONDS = 2.0  # for which a client that was refused may send on, so that it gets to read the refusal
LINGER_BYTES = 262_144
LOG_SECONDS = 10.0  # between two lines about connections that were closed
_LOG = logging.getLogger("vapi_frames.server")


def find_connection_limit(wanted: int) -> tuple[int, int]:
    """Return how many connections to allow, at most *wanted*, and how many to accept at a time.

    Half of the file descriptors that are left are for connections; the others are for the files of the source.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted, BATCH
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted, BATCH
    folder = Path("/dev/fd")
    left = max(0, soft - (len(list(folder.iterdir())) if folder.is_dir() else BATCH))
    # Few beside all: a head is read in the third round after its connection, which newer ones must not have replaced.
    batch = max(1, min(BATCH, left // 16))
    return max(1, min(wanted, (left - batch) // 2)), batch


class _Connections:
    """The open connections of a server: how many, of which peers, and which may be closed for another."""

    def __init__(self, limit: int, peer_limit: int) -> None:
        self.limit = limit
        self.peer_limit = peer_limit
        self.all: dict[Any, None] = {}  # the oldest first
        self.of_peer: Counter[str] = Counter()
        self._closed = 0
        self._logged = -LOG_SECONDS

    def add(self, connection: Any) -> bool:
        """Return whether *connection* may stay. If there are too many, the oldest idle one is closed for it."""
        peer = connection.peer
        is_over_peer = peer is not None and self.of_peer[peer] >= self.peer_limit
        if is_over_peer or len(self.all) >= self.limit:
            rivals = [one for one in self.all if one.is_idle and (one.peer == peer or not is_over_peer)]
            self._log(f"of the peer {peer}" if is_over_peer else "in total")
            if not rivals:
                return False
            # Before one that has had a reply, and is kept alive, one that has not sent a request.
            oldest = next((one for one in rivals if one.cycle is None), rivals[0])
            self.remove(oldest)
            oldest.transport.abort()
        self.all[connection] = None
        if peer is not None:
            self.of_peer[peer] += 1
        return True

    def remove(self, connection: Any) -> None:
        """Forget a connection that is closed."""
        if connection in self.all:
            del self.all[connection]
            if connection.peer is not None:
                self.of_peer[connection.peer] -= 1
                if not self.of_peer[connection.peer]:
                    del self.of_peer[connection.peer]

    def _log(self, which: str) -> None:
        self._closed += 1
        if time.monotonic() - self._logged >= LOG_SECONDS:
            _LOG.warning(
                "too many connections %s: %d were closed or refused since the last such line", which, self._closed
            )
            self._closed, self._logged = 0, time.monotonic()


def make_protocol(seconds: float, limit: int, peer_limit: int) -> type[H11Protocol]:
    """Return the protocol of one server.

    Args:
        seconds: The time in which a body must arrive, and a reply be read.
        limit: How many connections may be open.
        peer_limit: How many of them may be from one address; those of a UNIX socket have none.
    """
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    connections = _Connections(limit, peer_limit)

    class _Protocol(H11Protocol):
        """Closes connections that are too many or too slow, and answers a client that has closed its half."""

        peer: str | None = None
        is_lingering = False
        is_half_closed = False
        read_timer: asyncio.TimerHandle | None = None
        write_timer: asyncio.TimerHandle | None = None

        @property
        def is_idle(self) -> bool:
            """Whether no request is being answered."""
            return self.cycle is None or self.cycle.response_complete

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            connection = transport.get_extra_info("socket")
            if connection.family != getattr(socket, "AF_UNIX", None):
                # Head and body are two packets: without this, the second waits until the first is acknowledged.
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.peer = transport.get_extra_info("peername")[0]
            if connections.add(self):
                self._set_read_timer()
            else:
                self._send_error(503, "there are too many connections: retry", "Service Unavailable")

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            if self.is_lingering:
                self.lingered += len(data)
                if self.lingered > LINGER_BYTES:
                    self.transport.abort()
                return
            super().data_received(data)
            self._set_read_timer()

        def eof_received(self) -> bool:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
            """Keep the connection for its reply. A client that is gone looks the same, so it is not kept for long."""
            if self.is_idle or self.conn.their_state is h11.SEND_BODY:
                return False
            self.is_half_closed = True
            self.loop.call_later(HALF_CLOSED_SECONDS, self.transport.close)
            return True

        def connection_lost(self, exc: Exception | None) -> None:
            connections.remove(self)
            self._cancel_read_timer()
            self._cancel_write_timer()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
                self._linger()
                return
            super().on_response_complete()
            if self.is_half_closed and self.cycle.response_complete:
                self.transport.close()
            if not self.flow.write_paused:
                self._cancel_write_timer()

        def pause_writing(self) -> None:
            super().pause_writing()
            if self.write_timer is None:
                self.write_timer = self.loop.call_later(seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self.is_idle:
                self._cancel_write_timer()

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)  # the end of a reply may never be read

        def _linger(self) -> None:
            """End a connection with an incomplete request: what is sent on is dropped, and not for long.

            If the socket were closed at once, the client would get a reset in place of the reply.
            """
            self.is_lingering = True
            self.lingered = 0
            self._cancel_read_timer()
            self.flow.resume_reading()
            self.transport.write_eof()
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)

        def _set_read_timer(self) -> None:
            state = self.conn.their_state
            is_in_head = state is h11.IDLE and (self.cycle is None or bool(self.conn.trailing_data[0]))
            if self.is_lingering or (state is not h11.SEND_BODY and not is_in_head):
                self._cancel_read_timer()
            elif self.read_timer is None:
                in_time = min(HEAD_SECONDS, seconds) if is_in_head else seconds
                self.read_timer = self.loop.call_later(in_time, self.transport.close)

        def _cancel_read_timer(self) -> None:
            if self.read_timer is not None:
                self.read_timer.cancel()
                self.read_timer = None

        def _cancel_write_timer(self) -> None:
            if self.write_timer is not None:
                self.write_timer.cancel()
                self.write_timer = None

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - h11's words, where all errors are JSON
            self._send_error(400, "the request is not valid HTTP/1.1", "Bad Request")

        def _send_error(self, status: int, message: str, reason: str) -> None:
            body = error_body(status, message)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                for event in (
                    h11.Response(status_code=status, headers=list(headers.items()), reason=reason),
                    h11.Data(data=body),
                    h11.EndOfMessage(),
                ):
                    self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

    return _Protocol
