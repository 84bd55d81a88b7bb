"""The endpoint as an ASGI app: its routes, its limits, the time-out, and the body of each error."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from vapi_frames.cancellation import Stop, raise_if_cancelled
from vapi_frames.contract.models import parse_request, read_json
from vapi_frames.errors import MissingExtraError, QueryError, RecordsError, format_value, redirect_warnings
from vapi_frames.query.query import Query
from vapi_frames.result.write import write_reply
from vapi_frames.server.access import Access, check_content_type
from vapi_frames.server.checks import (
    PART_LIMIT,
    RefusedError,
    check_buckets,
    check_lengths,
    is_about_query,
    read_queries,
)
from vapi_frames.server.log import RequestLog
from vapi_frames.server.openapi import PHRASES, make_document

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from vapi_frames.contract.models import AnalyticsQuery
    from vapi_frames.sources import Source

__all__ = ["create_app"]

MAX_TIMEOUT = 86_400.0  # seconds
CLIENT_LEFT = 499  # in the log only, as nginx has it: no client is there to get a reply
MESSAGE_LIMIT = 1_000  # characters
CANCEL_INTERVAL = 0.05  # seconds between two attempts to cancel a query
PIECE = 65_536  # bytes of a reply that are handed to the connection at a time, when it has room for them
READY_SECONDS = 5.0  # until the source is tried again
SHUTDOWN_GRACE = 5.0  # seconds in which cancelled queries may end before the process does
_LOG = logging.getLogger("vapi_frames.server")


def create_app(
    source: Source,
    *,
    key: str | None,
    timeout: float = 30.0,
    body_limit: int = 1_048_576,
    query_limit: int = 100,
    workers: int = 8,
    row_limit: int = 1_000_000,
    reply_limit: int = 67_108_864,
) -> Starlette:
    """Return an ASGI app that answers ``POST /analytics`` from *source*, as the real one does on the wire.

    Args:
        source: The ``source`` of a `Vq`, or any other object with the methods of the ``Source`` protocol.
        key: The key that clients send as bearer, of at least 16 characters. With ``None`` no key is needed, and the app
            answers only this machine: peers with its addresses, a ``Host`` that is one of its names, so that a web page
            cannot send queries through its visitor's browser, and no request that a proxy has forwarded.
        timeout: Seconds that a request may take; after them its queries are cancelled.
        body_limit: The maximum size of a request's body, in bytes.
        query_limit: The maximum number of queries in a request.
        workers: How many requests are answered in parallel; others wait for their turn.
        row_limit: The maximum number of rows that the results of a request may have together.
        reply_limit: The maximum size of a reply's body, in bytes. Replies that clients have not read yet have at most
            this size for each worker.

    Raises:
        QueryError: *key* is not a valid key, or a number is out of range.
        MissingExtraError: Starlette is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.middleware import Middleware
        from starlette.responses import Response
        from starlette.routing import Route
    except ImportError:
        raise MissingExtraError("server", "starlette", "the endpoint") from None
    if not 0 < timeout <= MAX_TIMEOUT:
        raise QueryError(f"timeout must be in seconds, more than 0 and at most a day, not {format_value(timeout)}")
    limits = {
        "body_limit": body_limit, "query_limit": query_limit, "workers": workers, "row_limit": row_limit,
        "reply_limit": reply_limit,
    }  # fmt: skip
    for name, number in limits.items():
        if number < 1:
            raise QueryError(f"{name} must be at least 1, not {format_value(number)}")
    endpoint = _Endpoint(source, key, timeout=timeout, **limits)
    document = json.dumps(make_document(with_key=key is not None, query_limit=query_limit, part_limit=PART_LIMIT))

    async def describe(_: Request) -> Response:
        return Response(document, media_type="application/json")

    async def refuse(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - the class it is registered for
        message = _ROUTING_MESSAGES.get(error.status_code, error.detail)
        return Response(error_body(error.status_code, message), error.status_code, error.headers, "application/json")

    async def fail(_: Request, __: Exception) -> Response:  # the server logs it
        return Response(error_body(500, _FAILED), 500, media_type="application/json")

    routes = [
        Route("/analytics", endpoint.post, methods=["POST"]),
        Route("/openapi.json", describe, methods=["GET"]),
        Route("/health", endpoint.report_health, methods=["GET"]),
        Route("/ready", endpoint.report_ready, methods=["GET"]),
    ]
    handlers: Any = {HTTPException: refuse, Exception: fail}
    app = Starlette(
        routes=routes, exception_handlers=handlers, lifespan=endpoint.lifespan, middleware=[Middleware(RequestLog)]
    )
    app.router.redirect_slashes = False
    return app


_FAILED = "the result could not be computed; the reason is in the server's log"
_ROUTING_MESSAGES = {
    404: "there is nothing at this path: POST queries to /analytics, which /openapi.json describes",
    405: "this path does not accept this method: POST queries to /analytics",
}


def error_body(status: int, message: str | list[str]) -> bytes:
    """Return the body of an error, in the form that the service has."""
    message = message[:MESSAGE_LIMIT] if isinstance(message, str) else [one[:MESSAGE_LIMIT] for one in message]
    return json.dumps({"message": message, "error": PHRASES[status], "statusCode": status}).encode()


class _Endpoint:
    """Answers each request in a worker thread, and cancels its queries after the time-out or a disconnect."""

    def __init__(
        self,
        source: Source,
        key: str | None,
        *,
        timeout: float,
        body_limit: int,
        query_limit: int,
        workers: int,
        row_limit: int,
        reply_limit: int,
    ) -> None:
        self._access = Access(key)
        self._source = source
        self._timeout = timeout
        self._body_limit = body_limit
        self._query_limit = query_limit
        self._worker_limit = workers
        self._row_limit = row_limit
        self._reply_limit = reply_limit
        self._unread = 0  # bytes of replies that clients have not read
        self._lifespans = 0
        self._cancelling: set[asyncio.Task[None]] = set()
        self._ready_until = 0.0
        self._start_workers()

    def _start_workers(self) -> None:
        self._workers = ThreadPoolExecutor(self._worker_limit, thread_name_prefix="vapi-frames")
        self._cancellers = ThreadPoolExecutor(self._worker_limit, thread_name_prefix="vapi-frames-cancel")

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """At shutdown, wait for cancelled queries to end, and start no new ones; the app may be served again."""
        if not self._lifespans:
            self._start_workers()
        self._lifespans += 1
        try:
            yield
        finally:
            self._lifespans -= 1
            if not self._lifespans:
                if self._cancelling:
                    await asyncio.wait(self._cancelling, timeout=SHUTDOWN_GRACE)
                self._workers.shutdown(wait=False, cancel_futures=True)
                self._cancellers.shutdown(wait=False, cancel_futures=True)

    async def report_health(self, _: Request) -> Response:
        """Answer ``GET /health``: the process is alive."""
        from starlette.responses import JSONResponse

        return JSONResponse({"status": "alive"})

    async def report_ready(self, _: Request) -> Response:
        """Answer ``GET /ready``: the source answers a query that reads next to nothing."""
        from starlette.exceptions import HTTPException
        from starlette.responses import JSONResponse

        if time.monotonic() >= self._ready_until:
            try:
                async with asyncio.timeout(self._timeout):
                    await asyncio.get_running_loop().run_in_executor(self._workers, self._try_source)
            except Exception as error:  # noqa: BLE001 - whatever it is, the source is not ready
                _LOG.warning("the source does not answer: %s", type(error).__name__)
                raise HTTPException(503, "the source does not answer; the reason is in the server's log") from None
            self._ready_until = time.monotonic() + READY_SECONDS
        return JSONResponse({"status": "ready"})

    def _try_source(self) -> None:
        now = self._source.now()
        query: Query[Any] = Query(table="call").count().between(now - timedelta(seconds=1), now)
        with redirect_warnings(_LOG.debug):
            self._source.answer([query], now)

    async def post(self, request: Request) -> Response:
        """Answer ``POST /analytics``."""
        from starlette.exceptions import HTTPException
        from starlette.requests import ClientDisconnect
        from starlette.responses import Response

        start = time.monotonic()
        self._access.check(request)
        check_content_type(request)
        try:
            async with asyncio.timeout(self._timeout):
                body = await self._read(request)
        except TimeoutError:
            raise HTTPException(408, "the body did not arrive in time", {"Connection": "close"}) from None
        except ClientDisconnect:
            return Response(status_code=CLIENT_LEFT)  # never sent, since the connection is closed
        status, content = await self._answer_in_time(request, body, start + self._timeout)
        if len(content) <= PIECE:
            return Response(content, status, media_type="application/json")
        return self._send_in_pieces(content, status)

    def _send_in_pieces(self, content: bytes, status: int) -> Response:
        """Return a reply that is copied to the connection as the client reads it."""
        from starlette.exceptions import HTTPException
        from starlette.responses import StreamingResponse

        if self._unread + len(content) > self._reply_limit * self._worker_limit:
            raise HTTPException(503, "other clients have not read their replies yet: retry", {"Retry-After": "1"})
        endpoint = self

        class _Reply(StreamingResponse):
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                endpoint._unread += len(content)
                try:
                    await super().__call__(scope, receive, send)
                finally:
                    endpoint._unread -= len(content)

        async def pieces() -> AsyncIterator[memoryview]:
            for place in range(0, len(content), PIECE):
                yield memoryview(content)[place : place + PIECE]

        headers = {"Content-Length": str(len(content))}
        return _Reply(pieces(), status, headers, "application/json")

    async def _read(self, request: Request) -> bytes:
        from starlette.exceptions import HTTPException

        too_large = HTTPException(413, f"the body has more than {self._body_limit} bytes: send several requests")
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._body_limit:
            raise too_large
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._body_limit:
                raise too_large
        return bytes(body).removeprefix(b"\xef\xbb\xbf")

    async def _answer_in_time(self, request: Request, body: bytes, deadline: float) -> tuple[int, bytes]:
        stop = Stop()
        context = copy_context()  # with the request that a line in the log is about
        work = asyncio.get_running_loop().run_in_executor(
            self._workers, lambda: context.run(self._answer_or_refuse, body, stop)
        )
        disconnect = asyncio.ensure_future(_wait_for_disconnect(request))
        events: set[asyncio.Future[Any]] = {work, disconnect}
        try:
            left = max(0.0, deadline - time.monotonic())
            await asyncio.wait(events, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            if disconnect.done():
                return CLIENT_LEFT, b""
            message = f"the request took more than {self._timeout:g} s: send a shorter range, or a longer step"
            return 504, error_body(504, message)
        finally:
            disconnect.cancel()
            if not work.done():
                stop.is_set = True  # at once, for work that has not begun
                task = asyncio.ensure_future(_cancel(work, stop, self._cancellers))
                self._cancelling.add(task)
                task.add_done_callback(self._cancelling.discard)

    def _answer_or_refuse(self, body: bytes, stop: Stop) -> tuple[int, bytes]:
        """Return status and content; it catches every error, since one that a worker raises would end the server."""
        queries: list[Query[Any]] = []
        try:
            with redirect_warnings(_LOG.info), stop.scope():
                return 201, self._answer(body, queries)
        except RefusedError as error:
            return error.status, error_body(error.status, error.message)
        except BaseException as error:  # noqa: BLE001 - one that a worker raises would end the server
            if isinstance(error, RecordsError) and is_about_query(error, queries):
                return 400, error_body(400, [str(error)])
            if not stop.is_set:
                _LOG.error("a request could not be answered", exc_info=error)
            return 500, error_body(500, _FAILED)

    def _answer(self, body: bytes, queries: list[Query[Any]]) -> bytes:
        raise_if_cancelled()  # it may have waited for a worker beyond the time-out
        try:
            content = read_json(body)
        except QueryError as error:
            raise RefusedError(str(error)) from None
        try:
            check_lengths(content, self._query_limit)
            models = parse_request(content).queries
            queries += read_queries(models)
            now = self._source.now()
            check_buckets(queries, now)
            return self._write(models, queries, now)
        except QueryError as error:
            raise RefusedError([str(error)]) from None

    def _write(self, models: list[AnalyticsQuery], queries: list[Query[Any]], now: datetime) -> bytes:
        """Return the reply. Nothing is sent before it is whole, so that a limit can still have a status of its own."""
        size = 1 if self._source.kind in {"calls", "warehouse"} else len(queries)  # the API takes many at once
        reply, rows = bytearray(b"["), 0
        for first in range(0, len(queries), size or 1):
            places = range(first, min(first + size, len(queries)))
            results = self._source.answer([queries[place] for place in places], now)
            for place, result in zip(places, results, strict=True):
                rows += len(result.table)
                if rows > self._row_limit:
                    raise _too_much(place, f"{self._row_limit:,} rows", f"with its result it has {rows:,}")
                reply += b"," if place else b""
                for part in write_reply(result, models[place], queries[place], now):
                    reply += part
                    if len(reply) > self._reply_limit:
                        raise _too_much(place, f"{self._reply_limit:,} bytes", "its result does not fit")
        return bytes(reply + b"]")


def _too_much(place: int, limit: str, found: str) -> RefusedError:
    message = f"$.queries[{place}]: a reply has at most {limit}, and {found}: send a coarser step, fewer groups"
    return RefusedError([f"{message}, a shorter range, or fewer queries in a request"], 413)


async def _wait_for_disconnect(request: Request) -> None:
    """Return when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _cancel(work: asyncio.Future[Any], stop: Stop, threads: ThreadPoolExecutor) -> None:
    """Cancel *work* until it ends: an engine ignores an interrupt that arrives between two steps.

    In a thread, since a driver may need seconds for it, and with an error in the log, since others need the server.
    """
    has_failed = False
    while not work.done():
        try:
            await asyncio.get_running_loop().run_in_executor(threads, stop.set)
        except Exception as error:  # noqa: BLE001 - a driver's own
            if not has_failed:
                _LOG.warning("a query could not be cancelled: %s", type(error).__name__)
            has_failed = True
        await asyncio.sleep(CANCEL_INTERVAL)
