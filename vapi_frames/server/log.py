"""One line in the log for each request, with the address of the peer and an id; as text or as JSON."""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["LOG_FORMATS", "RequestLog", "configure_log"]

LOG_FORMATS = ("text", "json")
_LOG = logging.getLogger("vapi_frames.server")
_REQUEST: ContextVar[dict[str, Any] | None] = ContextVar("_REQUEST", default=None)
_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
_PATHS = {"/analytics", "/openapi.json", "/health", "/ready"}
_PROBES = {"/health", "/ready"}
_REFUSED = {401, 404, 405, 408, 413, 415, 503}


class RequestLog:
    """ASGI middleware: gives each request an id, sends it back as ``X-Request-Id``, and logs how the request ended.

    The id is that of the request's own ``X-Request-Id``, which a proxy sets, if it is one. A path that does not exist
    is not logged, nor is the query of a URL, because they may hold anything.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.monotonic()
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given.decode() if _ID.fullmatch(given) else secrets.token_hex(8)
        client = scope.get("client")
        peer = f"{client[0]}:{client[1]}" if client else "a UNIX socket"
        token = _REQUEST.set({"peer": peer, "request_id": request_id})
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            path = scope["path"] if scope["path"] in _PATHS else "another path"
            method = scope["method"] if scope["method"] in {"GET", "HEAD", "POST"} else "another method"
            milliseconds = round(1000 * (time.monotonic() - start))
            text = f"refused with {status}, {method} {path}" if status in _REFUSED else f"{method} {path} {status}"
            fields = {"method": method, "path": path, "status": status, "milliseconds": milliseconds}
            level = logging.DEBUG if path in _PROBES and status == 200 else logging.INFO  # noqa: PLR2004
            _LOG.log(level, "%s, %d ms", text, milliseconds, extra={"fields": fields})
            _REQUEST.reset(token)


class _TextFormatter(logging.Formatter):
    """Appends the peer and the id of the request that a line is about."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        line = super().formatMessage(record)
        request = _REQUEST.get()
        return line if request is None else f"{line}, from {request['peer']}, request {request['request_id']}"


class _JsonFormatter(logging.Formatter):
    """Writes one JSON object a line: time, level, message, and what is known of the request."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__()
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({**line, **(_REQUEST.get() or {}), **getattr(record, "fields", {})}, ensure_ascii=False)


def configure_log(log_format: str) -> None:
    """Write the log to stderr, as *log_format*: ``text`` or ``json``."""
    handler = logging.StreamHandler()
    text = "%(asctime)s %(levelname)s %(message)s"
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter(text))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
