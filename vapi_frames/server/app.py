"""The endpoint as an ASGI app: the key, the limits, the time-out, and the body of each error."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vapi_frames.calendar.buckets import count_buckets
from vapi_frames.calendar.ranges import fill_defaults
from vapi_frames.cancellation import Stop, raise_if_cancelled
from vapi_frames.contract.models import parse_request, read_json
from vapi_frames.errors import MissingExtraError, QueryError, RecordsError, redirect_warnings
from vapi_frames.query.query import Query
from vapi_frames.result.write import write_replies
from vapi_frames.server.openapi import PHRASES, make_document
from vapi_frames.sources.http.loopback import is_loopback
from vapi_frames.sources.records.columns import record_columns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from vapi_frames.contract.models import AnalyticsQuery
    from vapi_frames.sources import Source

__all__ = ["create_app"]

PART_LIMIT = 100  # operations, and variables, of a query: the time to read them grows with the square of their number
BUCKET_LIMIT = 1_000_000  # buckets of a request for concurrency, which has a row for each
MAX_TIMEOUT = 86_400.0  # seconds
MESSAGE_LIMIT = 1_000  # characters
CANCEL_INTERVAL = 0.05  # seconds between two attempts to cancel a query
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
) -> Starlette:
    """Return an ASGI app that answers ``POST /analytics`` from *source*, as the real one does on the wire.

    Args:
        source: The ``source`` of a `Vq`, or any other object with the methods of the ``Source`` protocol.
        key: The key that clients send as bearer. With ``None`` no key is needed, and the app answers only requests
            with a ``Host`` that is this machine, so that a web page cannot send queries through its visitor's browser.
        timeout: Seconds that a request may take; after them its queries are cancelled.
        body_limit: The maximum size of a request's body, in bytes.
        query_limit: The maximum number of queries in a request.
        workers: How many requests are answered in parallel; others wait for their turn.

    Raises:
        QueryError: *key* is not a valid key, or a number is out of range.
        MissingExtraError: Starlette is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.responses import Response
        from starlette.routing import Route
    except ImportError:
        raise MissingExtraError("server", "starlette", "the endpoint") from None
    if not 0 < timeout <= MAX_TIMEOUT:
        raise QueryError(f"timeout must be in seconds, more than 0 and at most a day, not {timeout!r}")
    for name, number in (("body_limit", body_limit), ("query_limit", query_limit), ("workers", workers)):
        if number < 1:
            raise QueryError(f"{name} must be at least 1, not {number!r}")
    endpoint = _Endpoint(source, key, timeout=timeout, body_limit=body_limit, query_limit=query_limit, workers=workers)
    document = json.dumps(make_document(with_key=key is not None, query_limit=query_limit, part_limit=PART_LIMIT))

    async def describe(_: Request) -> Response:
        return Response(document, media_type="application/json")

    async def refuse(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - the class it is registered for
        _LOG.info("refused with %d", error.status_code)
        message = _ROUTING_MESSAGES.get(error.status_code, error.detail)
        return Response(error_body(error.status_code, message), error.status_code, error.headers, "application/json")

    async def fail(_: Request, __: Exception) -> Response:  # the server logs it
        return Response(error_body(500, _FAILED), 500, media_type="application/json")

    routes = [
        Route("/analytics", endpoint.post, methods=["POST"]),
        Route("/openapi.json", describe, methods=["GET"]),
    ]
    handlers: Any = {HTTPException: refuse, Exception: fail}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=endpoint.lifespan)
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
        self, source: Source, key: str | None, *, timeout: float, body_limit: int, query_limit: int, workers: int
    ) -> None:
        if key is not None and not (
            isinstance(key, str) and key.isascii() and key.isprintable() and key.split() == [key]
        ):
            raise QueryError("the key must be text in ASCII, without spaces and line breaks, and not empty")
        # Only the digest is stored, so that printing the attributes of an object cannot show the key.
        self._digest = None if key is None else hashlib.sha256(key.encode()).digest()
        self._source = source
        self._timeout = timeout
        self._body_limit = body_limit
        self._query_limit = query_limit
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="vapi-frames")
        self._cancelling: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """At shutdown, wait for cancelled queries to end, and start no new ones."""
        yield
        if self._cancelling:
            await asyncio.wait(self._cancelling, timeout=SHUTDOWN_GRACE)
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def post(self, request: Request) -> Response:
        """Answer ``POST /analytics``."""
        from starlette.exceptions import HTTPException
        from starlette.requests import ClientDisconnect
        from starlette.responses import Response

        start = time.monotonic()
        self._check_key(request)
        _check_content_type(request)
        try:
            async with asyncio.timeout(self._timeout):
                body = await self._read(request)
        except TimeoutError:
            raise HTTPException(408, "the body did not arrive in time", {"Connection": "close"}) from None
        except ClientDisconnect:
            return Response(status_code=400)  # never sent, since the connection is closed
        status, content = await self._answer_in_time(request, body, start + self._timeout)
        _LOG.info("POST /analytics %d, %.0f ms", status, 1000 * (time.monotonic() - start))
        return Response(content, status, media_type="application/json")

    def _check_key(self, request: Request) -> None:
        from starlette.exceptions import HTTPException

        if self._digest is None:
            host = request.headers.get("host")
            if host is None or is_loopback(_hostname(host)):
                return
            message = "a server without a key answers only requests to this machine, such as http://127.0.0.1"
            raise HTTPException(401, message)
        values = [value for name, value in request.scope["headers"] if name == b"authorization"]
        scheme, _, key = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        # Digests have one length, so that the time of the comparison does not depend on the key's.
        is_right = hmac.compare_digest(hashlib.sha256(key.strip()).digest(), self._digest)
        if scheme.lower() != b"bearer" or not is_right:
            raise HTTPException(401, "send the key as Authorization: Bearer <key>", {"WWW-Authenticate": "Bearer"})

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
        work = asyncio.get_running_loop().run_in_executor(self._workers, self._answer_or_refuse, body, stop)
        disconnect = asyncio.ensure_future(_wait_for_disconnect(request))
        events: set[asyncio.Future[Any]] = {work, disconnect}
        try:
            left = max(0.0, deadline - time.monotonic())
            await asyncio.wait(events, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            message = f"the request took more than {self._timeout:g} s: send a shorter range, or a longer step"
            return 504, error_body(504, message)
        finally:
            disconnect.cancel()
            if not work.done():
                stop.set()
                task = asyncio.ensure_future(_cancel(work, stop))
                self._cancelling.add(task)
                task.add_done_callback(self._cancelling.discard)

    def _answer_or_refuse(self, body: bytes, stop: Stop) -> tuple[int, bytes]:
        """Return status and content; it catches every error, since one that a worker raises would end the server."""
        queries: list[Query[Any]] = []
        try:
            with redirect_warnings(_LOG.info), stop.scope():
                return 201, self._answer(body, queries)
        except _RefusedError as error:
            return 400, error_body(400, error.message)
        except BaseException as error:  # noqa: BLE001
            if isinstance(error, RecordsError) and _is_about_query(error, queries):
                return 400, error_body(400, [str(error)])
            if not stop.is_set:
                _LOG.error("a request could not be answered", exc_info=error)
            return 500, error_body(500, _FAILED)

    def _answer(self, body: bytes, queries: list[Query[Any]]) -> bytes:
        raise_if_cancelled()  # it may have waited for a worker beyond the time-out
        try:
            content = read_json(body)
        except QueryError as error:
            raise _RefusedError(str(error)) from None
        try:
            self._check_lengths(content)
            models = parse_request(content).queries
            queries += _read_queries(models)
            now = self._source.now()
            _check_buckets(queries, now)
            return write_replies(self._source.answer(queries, now), models, queries, now)
        except QueryError as error:
            raise _RefusedError([str(error)]) from None

    def _check_lengths(self, content: Any) -> None:
        # Before the validation, which takes long for long lists.
        queries = content.get("queries") if isinstance(content, dict) else None
        lists = {"$.queries": (queries, self._query_limit)}
        for position, query in enumerate(queries[: self._query_limit] if isinstance(queries, list) else ()):
            for field in ("groupBy", "groupByVariableValue", "operations") if isinstance(query, dict) else ():
                lists[f"$.queries[{position}].{field}"] = (query.get(field), PART_LIMIT)
        for path, (elements, limit) in lists.items():
            if isinstance(elements, list) and len(elements) > limit:
                raise QueryError(f"{path} has {len(elements)} elements, at most {limit} are allowed")


class _RefusedError(Exception):
    """The request gets a 400 with a message."""

    def __init__(self, message: str | list[str]) -> None:
        super().__init__(message)
        self.message = message


def _read_queries(models: list[AnalyticsQuery]) -> list[Query[Any]]:
    """Return the queries of *models*; refuse with a message for each wrong one."""
    queries, messages = [], []
    for position, model in enumerate(models):
        try:
            queries.append(Query.from_body(model))
        except QueryError as error:
            messages.append(f"$.queries[{position}]: {error}")
    if messages:
        raise _RefusedError(messages)
    return queries


def _check_buckets(queries: list[Query[Any]], now: datetime) -> None:
    """Refuse too many buckets of concurrency, which has a row for each bucket of the range, with calls or without."""
    dense = [q for q in queries if q.time_step and any(one.column == "concurrency" for one in q.measures)]
    count = sum(
        count_buckets(*fill_defaults(query.instants(now), now), query.time_step or "day", query.zone) for query in dense
    )
    if count > BUCKET_LIMIT:
        raise QueryError(
            f"concurrency has a row for each bucket of its range, here about {count:,}, and a request at most "
            f"{BUCKET_LIMIT:,}: send a longer step or a shorter range"
        )


def _is_about_query(error: RecordsError, queries: list[Query[Any]]) -> bool:
    """Return whether the records lack a column of a query: the client can change that, and may read the message."""
    used = {name for query in queries for name in (*record_columns(query)[1:], *query.variables)}
    # An error of a value comes from the engine; its message has the value.
    is_of_value = error.file is not None or error.line is not None or error.__cause__ is not None
    return error.column in used and not is_of_value


def _check_content_type(request: Request) -> None:
    """Refuse a body that is not uncompressed JSON in UTF-8."""
    from starlette.exceptions import HTTPException

    kind, *parameters = request.headers.get("content-type", "").replace(" ", "").replace('"', "").lower().split(";")
    is_json = kind == "application/json" and set(parameters) <= {"", "charset=utf-8", "charset=us-ascii"}
    if not is_json or request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HTTPException(415, "send the body with Content-Type: application/json, in UTF-8 and not compressed")


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


async def _wait_for_disconnect(request: Request) -> None:
    """Return when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _cancel(work: asyncio.Future[Any], stop: Stop) -> None:
    """Cancel *work* until it ends: an engine ignores an interrupt that arrives between two steps."""
    while not work.done():
        stop.set()
        await asyncio.sleep(CANCEL_INTERVAL)
