"""The endpoint as an ASGI app: who may ask, how much, for how long, and what is said when something is wrong."""

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
from vapi_frames.errors import MissingExtraError, QueryError, RecordsError, warning_handler
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

PART_LIMIT = 100  # operations of one query, and variables: reading them takes time that grows with the square
BUCKET_LIMIT = 1_000_000  # rows of a request for calls at once, which are made one by one
_LONGEST = 86_400.0  # seconds
_SAID = 1_000  # characters of a sentence of an error's message
_AGAIN = 0.05  # seconds between two calls to stop
_MOMENT = 5.0  # seconds
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
        source: Whoever answers: the ``source`` of a `Vq`, or anything that speaks the protocol.
        key: What clients send as bearer. ``None`` asks for none, and answers only requests whose ``Host`` is this
            machine, so that no web page can ask through its visitor's browser.
        timeout: Seconds until a request is answered, or else cut off and its work ended.
        body_limit: Bytes of a request's body, at most.
        query_limit: Queries of a request, at most.
        workers: How many requests are answered at once; more wait for their turn.

    Raises:
        QueryError: *key* cannot be one, or a number makes no sense.
        MissingExtraError: Starlette is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.responses import Response
        from starlette.routing import Route
    except ImportError:
        raise MissingExtraError("server", "starlette", "the endpoint") from None
    if not 0 < timeout <= _LONGEST:
        raise QueryError(f"timeout must be seconds, more than 0 and at most a day, not {timeout!r}")
    for name, number in (("body_limit", body_limit), ("query_limit", query_limit), ("workers", workers)):
        if number < 1:
            raise QueryError(f"{name} must be at least 1, not {number!r}")
    endpoint = _Endpoint(source, key, timeout=timeout, body_limit=body_limit, query_limit=query_limit, workers=workers)
    described = json.dumps(make_document(with_key=key is not None, query_limit=query_limit, part_limit=PART_LIMIT))

    async def describe(_: Request) -> Response:
        return Response(described, media_type="application/json")

    async def refuse(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        _LOG.info("refused with %d", error.status_code)
        said = _ELSEWHERE.get(error.status_code, error.detail)
        return Response(error_body(error.status_code, said), error.status_code, error.headers, "application/json")

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


_FAILED = "the answer could not be computed; the server's log says why"
_ELSEWHERE = {
    404: "nothing is served at this path; questions are posted to /analytics, which /openapi.json describes",
    405: "this path is not asked that way; questions are posted to /analytics",
}


def error_body(status: int, message: str | list[str]) -> bytes:
    """Return the body of an error as the service writes it."""
    message = message[:_SAID] if isinstance(message, str) else [one[:_SAID] for one in message]
    return json.dumps({"message": message, "error": PHRASES[status], "statusCode": status}).encode()


class _Endpoint:
    """Answers one request at a time by a worker's thread, and stays able to call the work off."""

    def __init__(
        self, source: Source, key: str | None, *, timeout: float, body_limit: int, query_limit: int, workers: int
    ) -> None:
        if key is not None and not (
            isinstance(key, str) and key.isascii() and key.isprintable() and key.split() == [key]
        ):
            raise QueryError("the key must be text in ASCII, without spaces and line breaks, and not empty")
        # Only the digest is kept, which nothing that prints an object's attributes can turn back into the key.
        self._digest = None if key is None else hashlib.sha256(key.encode()).digest()
        self._source = source
        self._timeout = timeout
        self._body_limit = body_limit
        self._query_limit = query_limit
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="vapi-frames")
        self._ending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Before the end, wait a moment for work that was called off, and let no new one begin."""
        yield
        if self._ending:
            await asyncio.wait(self._ending, timeout=_MOMENT)
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def post(self, request: Request) -> Response:
        """Answer ``POST /analytics``."""
        from starlette.exceptions import HTTPException
        from starlette.requests import ClientDisconnect
        from starlette.responses import Response

        began = time.monotonic()
        self._check_key(request)
        _check_type(request)
        try:
            async with asyncio.timeout(self._timeout):
                body = await self._read(request)
        except TimeoutError:
            raise HTTPException(408, "the body did not arrive in time", {"Connection": "close"}) from None
        except ClientDisconnect:
            return Response(status_code=400)  # which nobody reads
        status, content = await self._answer_in_time(request, body, began + self._timeout)
        _LOG.info("POST /analytics %d, %.0f ms", status, 1000 * (time.monotonic() - began))
        return Response(content, status, media_type="application/json")

    def _check_key(self, request: Request) -> None:
        from starlette.exceptions import HTTPException

        if self._digest is None:
            host = request.headers.get("host")
            if host is None or is_loopback(_host_of(host)):
                return
            said = "without a key, only requests to this machine's own name are answered, such as http://127.0.0.1"
            raise HTTPException(401, said)
        given = [value for name, value in request.scope["headers"] if name == b"authorization"]
        scheme, _, key = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        # Digests are of one length, so that the time it takes does not tell the key's.
        is_right = hmac.compare_digest(hashlib.sha256(key.strip()).digest(), self._digest)
        if scheme.lower() != b"bearer" or not is_right:
            raise HTTPException(401, "send the key as Authorization: Bearer <key>", {"WWW-Authenticate": "Bearer"})

    async def _read(self, request: Request) -> bytes:
        from starlette.exceptions import HTTPException

        too_large = HTTPException(413, f"the body has more than {self._body_limit} bytes; ask in several requests")
        told = request.headers.get("content-length", "")
        if told.isdecimal() and int(told) > self._body_limit:
            raise too_large
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self._body_limit:
                raise too_large
        return bytes(body).removeprefix(b"\xef\xbb\xbf")

    async def _answer_in_time(self, request: Request, body: bytes, deadline: float) -> tuple[int, bytes]:
        stop = Stop()
        work = asyncio.get_running_loop().run_in_executor(self._workers, self._work, body, stop)
        gone = asyncio.ensure_future(_disconnected(request))
        either: set[asyncio.Future[Any]] = {work, gone}
        try:
            left = max(0.0, deadline - time.monotonic())
            await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            said = f"the answer took more than {self._timeout:g} s; ask for a shorter range, or a longer step"
            return 504, error_body(504, said)
        finally:
            gone.cancel()
            if not work.done():
                stop.set()
                ending = asyncio.ensure_future(_end(work, stop))
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)

    def _work(self, body: bytes, stop: Stop) -> tuple[int, bytes]:
        """Return status and content; whatever happens, for what a worker raises would end the server."""
        queries: list[Query[Any]] = []
        try:
            warning_handler.set(_LOG.info)
            with stop.scope():
                return 201, self._answer(body, queries)
        except _RefusedError as error:
            return 400, error_body(400, error.message)
        except BaseException as error:  # noqa: BLE001
            if isinstance(error, RecordsError) and _is_about(error, queries):
                return 400, error_body(400, [str(error)])
            if not stop.is_set:
                _LOG.error("a request could not be answered", exc_info=error)
            return 500, error_body(500, _FAILED)

    def _answer(self, body: bytes, queries: list[Query[Any]]) -> bytes:
        raise_if_cancelled()  # its turn may have come too late
        try:
            loaded = read_json(body)
        except QueryError as error:
            raise _RefusedError(str(error)) from None
        try:
            self._check_lengths(loaded)
            asked = parse_request(loaded).queries
            queries += _read_queries(asked)
            now = self._source.now()
            _check_buckets(queries, now)
            answers = self._source.answer(queries, now)
            return write_replies(answers, asked, queries, now)
        except QueryError as error:
            raise _RefusedError([str(error)]) from None

    def _check_lengths(self, loaded: Any) -> None:
        # Before anything else, because finding all that is wrong with long lists takes long.
        queries = loaded.get("queries") if isinstance(loaded, dict) else None
        lists = {"$.queries": (queries, self._query_limit)}
        for place, query in enumerate(queries[: self._query_limit] if isinstance(queries, list) else ()):
            for word in ("groupBy", "groupByVariableValue", "operations") if isinstance(query, dict) else ():
                lists[f"$.queries[{place}].{word}"] = (query.get(word), PART_LIMIT)
        for path, (found, most) in lists.items():
            if isinstance(found, list) and len(found) > most:
                raise QueryError(f"{path} has {len(found)} elements, at most {most} are allowed")


class _RefusedError(Exception):
    """The request is answered by 400 and a message."""

    def __init__(self, message: str | list[str]) -> None:
        super().__init__(message)
        self.message = message


def _read_queries(asked: list[AnalyticsQuery]) -> list[Query[Any]]:
    """Return the questions, or refuse with a sentence for each that is wrong."""
    queries, wrong = [], []
    for place, one in enumerate(asked):
        try:
            queries.append(Query.from_body(one))
        except QueryError as error:
            wrong.append(f"$.queries[{place}]: {error}")
    if wrong:
        raise _RefusedError(wrong)
    return queries


def _check_buckets(queries: list[Query[Any]], now: datetime) -> None:
    """Refuse rows without end: where calls at once are asked for, each bucket of the range has one, calls or not."""
    dense = [q for q in queries if q.time_step and any(one.column == "concurrency" for one in q.measures)]
    count = sum(
        count_buckets(*fill_defaults(query.instants(now), now), query.time_step or "day", query.zone) for query in dense
    )
    if count > BUCKET_LIMIT:
        raise QueryError(
            f"concurrency has a row for each bucket of its range, here about {count:,}, and a request at most "
            f"{BUCKET_LIMIT:,}; take a longer step or a shorter range"
        )


def _is_about(error: RecordsError, queries: list[Query[Any]]) -> bool:
    """Say whether the records lack what a question uses: its asker may know, and can ask otherwise."""
    used = {name for query in queries for name in (*record_columns(query)[1:], *query.variables)}
    return error.column in used and error.file is None and error.line is None


def _check_type(request: Request) -> None:
    """Refuse a body that is not JSON in UTF-8, as it is."""
    from starlette.exceptions import HTTPException

    kind, *parameters = request.headers.get("content-type", "").replace(" ", "").replace('"', "").lower().split(";")
    is_json = kind == "application/json" and set(parameters) <= {"", "charset=utf-8", "charset=us-ascii"}
    if not is_json or request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HTTPException(415, "send the body as Content-Type: application/json, in UTF-8 and not compressed")


def _host_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


async def _disconnected(request: Request) -> None:
    """Return when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _end(work: asyncio.Future[Any], stop: Stop) -> None:
    """End *work*: an engine hears the call only in the middle of a step, so it is repeated."""
    while not work.done():
        stop.set()
        await asyncio.sleep(_AGAIN)
