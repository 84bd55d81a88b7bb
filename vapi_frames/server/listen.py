"""The endpoint as a process: the key, the address it listens at, its limits of connections, and its shutdown."""

from __future__ import annotations

import os
import signal
import socket
import stat
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vapi_frames.errors import MissingExtraError, QueryError, format_value
from vapi_frames.redact import Secret
from vapi_frames.server.app import create_app
from vapi_frames.sources.http.loopback import is_loopback

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

    from vapi_frames.sources import Source

__all__ = ["KEY_VARIABLE", "make_server", "read_key", "serve"]

KEY_VARIABLE = "VAPI_FRAMES_KEY"
MAX_PORT = 65_535
TIMEOUT_MARGIN = 5.0  # seconds beyond the time-out, after which the server closes the connection of a request
CONNECTIONS = 512
BACKLOG = 1_024  # connections that wait in the system until they are accepted


def read_key(file: str | None) -> str:
    """Return the key in *file*, or in the environment where *file* is ``None``.

    Raises:
        QueryError: There is no key, it is not ASCII, or the file cannot be read, or other users can read it.
    """
    if file is None:
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if not key:
            raise QueryError(
                f"there is no key: set {KEY_VARIABLE} or pass --key-file; --no-auth serves this machine without a key"
            )
        return Secret(key)
    try:
        with Path(file).open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            content = opened.read().strip()
    except OSError as error:
        raise QueryError(f"the key file {file!r} cannot be read: {error.strerror}") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise QueryError(
            f"other users can read the key file {file!r} (its mode is {mode:04o}): chmod 600 it, or, "
            f"if it is mounted so, set {KEY_VARIABLE} to its content"
        )
    if not content or not content.isascii():
        raise QueryError(f"{file!r} has no key: a key is ASCII text without spaces and line breaks")
    return Secret(content.decode())


def serve(
    source: Source,
    *,
    host: str,
    port: int,
    key: str | None,
    timeout: float,
    workers: int,
    uds: str | None = None,
    connections: int = CONNECTIONS,
    peer_connections: int | None = None,
    row_limit: int = 1_000_000,
    reply_limit: int = 67_108_864,
) -> None:
    """Answer from *source* until SIGINT, SIGTERM or SIGHUP; requests that have begun are finished first.

    Args:
        source: The source of the results.
        host: The name or address to listen at; without a *key*, one of this machine only.
        port: The port; 0 takes a free one.
        key: The key that clients send as bearer.
        timeout: Seconds that a request may take.
        workers: How many requests are answered in parallel.
        uds: The path of a UNIX socket to listen at, in place of *host* and *port*.
        connections: How many connections may be open; fewer, if the process may not open that many files.
        peer_connections: How many of them may be from one address; ``None`` for half.
        row_limit: The maximum number of rows of a reply.
        reply_limit: The maximum size of a reply, in bytes.

    Raises:
        QueryError: There is no key, and *host* is not this machine; *key* is not a valid key; a number is out of range.
        MissingExtraError: Starlette or uvicorn is not installed.
        OSError: The address cannot be used.
    """
    if not 0 <= port <= MAX_PORT:
        raise QueryError(f"port must be 0 to {MAX_PORT}, not {port}")
    app = create_app(
        source, key=key, timeout=timeout, workers=workers, row_limit=row_limit, reply_limit=reply_limit
    )  # fmt: skip
    server = make_server(app, timeout, connections, peer_connections)
    with ExitStack() as stack:
        listener, name = _listen_at_path(uds, stack) if uds is not None else _listen_at(host, port, key, stack)
        for number in {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:
            # uvicorn raises the signal again after its shutdown, and that must not kill the process.
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        print(f"vapi-frames answers POST {name} from {source!r}", flush=True)  # noqa: T201 - this is a command
        server.run(sockets=[listener])


def _listen_at(host: str, port: int, key: str | None, stack: ExitStack) -> tuple[socket.socket, str]:
    """Return a socket at *host*, and the address of the endpoint there."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    if key is None and not is_loopback(str(address[0])):
        raise QueryError(
            f"a server without a key is for this machine only: listen at 127.0.0.1, ::1 or localhost, not {host!r}"
        )
    listener = stack.enter_context(socket.create_server(address[:2], family=family))
    ip, bound_port = listener.getsockname()[:2]
    return listener, f"http://{f'[{ip}]' if family == socket.AF_INET6 else ip}:{bound_port}/analytics"


def _listen_at_path(path: str, stack: ExitStack) -> tuple[socket.socket, str]:
    """Return a UNIX socket at *path*, which the umask decides the mode of; it is deleted at the end."""
    if not hasattr(socket, "AF_UNIX"):
        raise QueryError("this system has no UNIX sockets: pass --host and --port")
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    with suppress(OSError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            with socket.socket(socket.AF_UNIX) as other, suppress(ConnectionRefusedError):
                other.connect(path)
                raise QueryError(f"a server already listens at {path!r}")
            Path(path).unlink()  # a process that was killed has left it
    listener.bind(path)
    listener.listen()  # before the line that says so
    stack.callback(Path(path).unlink, missing_ok=True)
    return listener, f"/analytics at the UNIX socket {path}"


def make_server(
    app: Starlette, timeout: float, connections: int = CONNECTIONS, peer_connections: int | None = None
) -> uvicorn.Server:
    """Return a server for *app*; its requests take at most *timeout* seconds.

    Raises:
        QueryError: A number is out of range.
        MissingExtraError: uvicorn is not installed.
    """
    try:
        import uvicorn

        from vapi_frames.server.protocol import find_connection_limit, make_protocol
    except ImportError:
        raise MissingExtraError("server", "uvicorn", "the endpoint") from None

    for name, number in (("connections", connections), ("peer_connections", peer_connections)):
        if number is not None and number < 1:
            raise QueryError(f"{name} must be at least 1, not {format_value(number)}")
    limit = timeout + TIMEOUT_MARGIN
    total, backlog = find_connection_limit(connections)
    protocol = make_protocol(limit, total, peer_connections or max(1, total // 2))
    config = uvicorn.Config(
        app, http=protocol, ws="none", log_config=None, log_level="warning", access_log=False, proxy_headers=False,
        server_header=False, timeout_keep_alive=60, timeout_graceful_shutdown=int(limit), backlog=backlog,
    )  # fmt: skip

    class _Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            for one in sockets or ():
                one.listen(BACKLOG)  # asyncio accepts as many at a time as may wait, and these need no descriptors

    return _Server(config)
