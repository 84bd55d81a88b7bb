"""Answers from the Vapi API over HTTPS: one POST for all queries, bounded retries, errors that say what to do.

The key is read when it is first needed, goes into one header of one request, and is kept out of everything that can be
printed: reprs, messages, tracebacks with locals, pickles.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
import re
import ssl
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite, nan
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError  # what requests itself is built on, and lets through here and there

from vapi_frames.answer import match_replies, read_reply
from vapi_frames.contract import parse_replies
from vapi_frames.errors import (
    AuthenticationError,
    ConnectionFailedError,
    QueryError,
    RateLimitError,
    ResponseError,
    StatusError,
    VapiFramesError,
)
from vapi_frames.narrowing import narrowed
from vapi_frames.vocabulary import BASE_URL
from vapi_frames.widening import widened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vapi_frames.answer import Answer
    from vapi_frames.contract import AnalyticsQueryResult
    from vapi_frames.query import Query

__all__ = ["ApiSource"]

KEY_VARIABLES = ("VAPI_API_KEY", "VAPI_TOKEN")
_RETRIED = frozenset({408, 409, 429})
_PASSING = (  # what may go well when tried again: no connection, no reply in time, a reply that broke off
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
_LONGEST_WAIT = 60.0  # seconds; a server that asks for more gets an error with what it asked
_LONGEST_TIMEOUT = 86_400.0  # seconds; sockets refuse very large numbers
_SHOWN = 2_000  # characters of an error's body that are kept
_SAID = 500  # characters of an error's body that a message repeats
_STAND_IN = 8  # a key shorter than this is no real one, and its letters may be in any reply


class Hidden(str):
    """Text whose repr does not show it, for the frames that a traceback with locals prints."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class _Key(AuthBase):
    """The key as something that can be passed around and printed without being shown."""

    def __init__(self, key: str) -> None:
        # A closure, because a debugger or a traceback with locals prints the attributes of what it meets.
        self._read: Callable[[], str] = lambda: key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = Hidden(f"Bearer {self._read()}")
        return request

    def is_in(self, content: bytes) -> bool:
        """Whether *content* repeats the key."""
        key = self._read().encode()
        return len(key) >= _STAND_IN and key in content

    def scrub(self, text: str) -> str:
        """Return *text* without the key, should a server have repeated it."""
        return text.replace(self._read(), "***")

    def __repr__(self) -> str:
        return "<key>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled; connect again where it is needed")


def _can_be_key(text: object) -> bool:
    # What a header cannot carry is found here: http.client would say so with the key in its error.
    return isinstance(text, str) and bool(text) and text.isascii() and text.isprintable() and " " not in text


def _key_from_environment() -> _Key:
    for name in KEY_VARIABLES:
        text = Hidden(os.environ.get(name, "").strip())
        if _can_be_key(text):
            return _Key(text)
        if text:
            said = f"{name} is no key: a key is ASCII text without spaces and line breaks; copy it again"
            raise AuthenticationError(said, status=401)
    raise AuthenticationError(
        f"there is no key: set {KEY_VARIABLES[0]} to the organisation's private key, or pass vf.connect(token); "
        "vf.demo() needs none",
        status=401,
    )


class _Session(requests.Session):
    """A session that leaves redirects alone: requests would parse where they point to even if told not to follow."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        return None


class ApiSource:
    """The API as a source.

    Args:
        token: The organisation's private key; by default ``VAPI_API_KEY``, else ``VAPI_TOKEN``, read at each request.
        base_url: Where ``POST /analytics`` is served: https://, or http:// on this machine, which no proxy sees.
        timeout: Seconds to wait for a connection, and between two pieces of the reply; or one number for both.
        attempts: How often one request is tried at most.
        sleep: How waiting is done; for tests.

    Raises:
        QueryError: An argument cannot be it, or *base_url* would send the key in the clear.
    """

    kind = "api"
    _url = ""  # a traceback with locals may ask for the repr of one that is still being made

    def __init__(
        self,
        token: str | None = None,
        *,
        base_url: str = BASE_URL,
        timeout: float | tuple[float, float] = (5.0, 60.0),
        attempts: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        token = Hidden(token.strip()) if isinstance(token, str) else token
        if token is not None and not _can_be_key(token):
            raise QueryError("token must be the key as text, in ASCII and without spaces and line breaks")
        self._key = None if token is None else _Key(token)
        self._url = f"{_check_url(base_url)}/analytics"
        self._timeout = _check_timeout(timeout)
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise QueryError(f"attempts must be a whole number of at least 1, not {attempts!r}")
        self._attempts = attempts
        self._sleep = sleep
        self._local = threading.local()

    def now(self) -> datetime:
        """Return the wall clock."""
        return datetime.now(UTC)

    def answer(self, queries: Sequence[Query[Any]], now: datetime) -> list[Answer]:
        """Answer *queries* by one POST; of one with filters, the wider question is asked, and its rows are chosen.

        Raises:
            NonAdditiveError: A question with filters cannot be answered that way; nothing is sent.
        """
        wanted = [query.body(now)["queries"][0] for query in queries]
        replies = parse_replies(self._post(json.dumps({"queries": wanted}).encode()))
        places = match_replies(replies, [one["name"] for one in wanted])
        return [_read(replies[place], query, now, place) for place, query in zip(places, queries, strict=True)]

    def _session(self) -> requests.Session:
        # A forked process must not share its parent's connection: each could read the other's reply.
        owner, session = getattr(self._local, "session", (None, None))
        if session is None or owner != os.getpid():
            session = _Session()
            # One pooled connection a thread; retries are ours, because urllib3 leaves a POST alone.
            adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            session.headers["Accept"] = "application/json"
            session.headers["User-Agent"] = "vapi-frames"
            # Without TLS the key stays on this machine, so the proxies of the environment do not apply.
            session.trust_env = self._url.startswith("https:")
            self._local.session = (os.getpid(), session)
        return session

    def _post(self, body: bytes) -> bytes:
        key = self._key or _key_from_environment()
        for attempt in range(1, self._attempts + 1):
            # Errors are returned up to here: no frame of their traceback holds a reply, which may repeat the key.
            outcome, wait = self._try(body, key, attempt)
            if isinstance(outcome, bytes):
                return outcome
            if wait is None or attempt == self._attempts:
                raise outcome
            self._sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _try(self, body: bytes, key: _Key, attempt: int) -> tuple[bytes | VapiFramesError, float | None]:
        """Return the reply, or the error and how long to wait before the next attempt, ``None`` if none would help."""
        try:
            reply = self._session().post(
                self._url, data=body, auth=key, timeout=self._timeout, allow_redirects=False,
                headers={"Content-Type": "application/json"},
            )  # fmt: skip
        except (HTTPError, OSError, ValueError) as error:  # requests' own are among them
            reason = _innermost(_without_frames(error))
            words = re.sub(r"^.*?(object at 0x\w+>|port=\d+\)):\s*", "", str(reason)) or type(reason).__name__
            said = f"no reply from {self._url} in {_times(attempt)}: {words}"
            failed = ConnectionFailedError(said, attempts=attempt)
            failed.__cause__ = error
            is_passing = isinstance(error, _PASSING) and not isinstance(reason, ssl.SSLCertVerificationError)
            return failed, _backoff(attempt) if is_passing else None
        status = reply.status_code
        if 200 <= status < 300:  # noqa: PLR2004
            return self._checked(reply, key), None
        asked = retry_after(reply.headers, datetime.now(UTC), limited=status == 429)  # noqa: PLR2004
        is_passing = (status in _RETRIED or status >= 500) and (asked or 0) <= _LONGEST_WAIT  # noqa: PLR2004
        return self._status_error(reply, key, asked, attempt), (asked or _backoff(attempt)) if is_passing else None

    def _checked(self, reply: requests.Response, key: _Key) -> bytes | ResponseError:
        """Return the body of a success, or what makes it none."""
        came = f"{self._url} replied {reply.status_code} with"
        content = reply.content.removeprefix(b"\xef\xbb\xbf").strip()
        if key.is_in(content):  # no answer is; neither a frame nor an error shall show it
            return ResponseError(f"{came} the key itself: base_url echoes requests instead of answering them")
        if not content:
            return ResponseError(f"{came} an empty body")
        if content.startswith(b"<"):
            title = _title(content.decode("utf-8", "replace"))
            return ResponseError(f"{came} HTML ({title}), not JSON: is base_url right, is a sign-in page in between?")
        return content

    def _status_error(self, reply: requests.Response, key: _Key, wait: float | None, attempt: int) -> StatusError:
        status = reply.status_code
        body = key.scrub(reply.content.decode("utf-8", "replace"))  # before it is cut, or half of the key could be left
        message = f"the API replied {status}: {_said(body)}"
        found = next((reply.headers[name] for name in ("x-request-id", "cf-ray") if name in reply.headers), None)
        request_id = found and key.scrub(found)
        if request_id:
            message += f" (request {request_id})"
        if attempt > 1:
            message += f", in the last of {_times(attempt)}"
        if wait:
            message += f". It asked to wait {wait:g} s"
        advice = _advice(status, key.scrub(reply.headers.get("location", "")))
        message += f". {advice}" if advice else ""
        body = body[:_SHOWN]
        if status in (401, 403):
            return AuthenticationError(message, status=status, request_id=request_id, body=body)
        if status == 429:  # noqa: PLR2004
            return RateLimitError(message, status=status, request_id=request_id, body=body, retry_after=wait)
        return StatusError(message, status=status, request_id=request_id, body=body)

    def __repr__(self) -> str:
        return f"the API at {self._url.removesuffix('/analytics')}"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a connection holds a key and is not pickled; connect again where it is needed")


def _check_url(base_url: object) -> str:
    """Return *base_url* without a slash at its end; the key goes only over TLS, or to this machine."""
    parts = urlsplit("")
    try:
        parts = urlsplit(base_url if isinstance(base_url, str) and not re.search(r"[\s\\]", base_url) else "")
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an unclosed bracket, a port that is no number
        is_address = False
    if not is_address:  # not repeated: it may be the key, in the wrong place
        raise QueryError(f"base_url is not an http(s) address such as {BASE_URL!r}")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise QueryError("base_url must not carry a user, a password, a query or a fragment")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise QueryError(f"base_url {base_url!r} would send the key in the clear; use https://")
    return parts.geturl().rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_timeout(timeout: object) -> tuple[float, float]:
    pair = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    numbers = [t for t in pair if isinstance(t, int | float) and not isinstance(t, bool)]
    if len(pair) == len(numbers) == 2 and all(0 < t <= _LONGEST_TIMEOUT for t in numbers):  # noqa: PLR2004
        return float(numbers[0]), float(numbers[1])
    raise QueryError(
        "timeout must be seconds, or (seconds to connect, seconds to read), more than 0 and at most a day, "
        f"not {timeout!r}"
    )


def _backoff(attempt: int) -> float:
    """Return how long to wait before the next attempt: doubling from half a second, with jitter."""
    return min(8.0, 0.5 * 2.0 ** (attempt - 1)) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, no secret


def retry_after(headers: Mapping[str, str], now: datetime, *, limited: bool = True) -> float | None:
    """Return the seconds that a reply asks to wait, by the first of three headers that says so.

    ``x-ratelimit-reset`` may stand on any reply, and asks for nothing unless the rate is what was *limited*.

    Examples:
        >>> retry_after({"retry-after-ms": "1500"}, datetime(2026, 1, 1, tzinfo=UTC))
        1.5
        >>> retry_after({"retry-after": "Thu, 01 Jan 2026 00:00:07 GMT"}, datetime(2026, 1, 1, tzinfo=UTC))
        7.0
    """
    for name in ("retry-after-ms", "retry-after", *(("x-ratelimit-reset",) if limited else ())):
        text = (headers.get(name) or "").strip()
        try:
            number = float(text)
        except ValueError:
            number = _until(text, now)
        if name == "retry-after-ms":
            number /= 1000
        elif name == "x-ratelimit-reset" and number > 1e9:  # noqa: PLR2004 - an instant, not a span
            number = (number / 1000 if number > 1e11 else number) - now.timestamp()  # noqa: PLR2004 - milliseconds
        if isfinite(number):
            return max(0.0, number)
    return None


def _until(date: str, now: datetime) -> float:
    """Return the seconds until an HTTP date, NaN if it is none."""
    try:
        at = parsedate_to_datetime(date)
    except (ValueError, OverflowError, IndexError, TypeError):
        return nan
    return (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()


def _read(reply: AnalyticsQueryResult, query: Query[Any], now: datetime, place: int) -> Answer:
    wide = widened(query)
    return narrowed(read_reply(reply, wide, now, place=place), query, wide)


def _said(body: str) -> str:
    """Return what an error body says: the server's own message, or that it is HTML."""
    text = body.strip()
    if text.startswith("<"):
        return f"an HTML page ({_title(text)})"
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError):
        parts = None
    message = (parts.get("message") or parts.get("error") or text) if isinstance(parts, dict) else text
    said = "; ".join(map(str, message)) if isinstance(message, list) else str(message)
    return said if len(said) <= _SAID else said[: _SAID - 3] + "..."


def _title(page: str) -> str:
    found = re.search(r"<title[^>]*>([^<]*)", page, re.IGNORECASE)
    return found[1].strip()[:80] if found and found[1].strip() else "without a title"


def _advice(status: int, location: str) -> str:
    if status in (401, 403):
        return "Use the organisation's private key (dashboard, API Keys); the public key is for web clients only"
    if status in (404, 405):
        return "Is base_url right? The contract is POST /analytics"
    if 300 <= status < 400:  # noqa: PLR2004
        return f"It points to {location or 'nowhere'}; redirects are not followed, for the key's sake: set base_url"
    return ""


def _times(attempt: int) -> str:
    return "1 attempt" if attempt == 1 else f"{attempt} attempts"


def _inner(failure: BaseException) -> list[BaseException]:
    """Return what *failure* was made of: requests wraps urllib3's exceptions, which wrap the socket's."""
    return [part for part in (*failure.args, getattr(failure, "reason", None)) if isinstance(part, BaseException)]


def _innermost(failure: BaseException) -> BaseException:
    while inner := _inner(failure):
        failure = inner[0]
    return failure


def _without_frames(failure: BaseException) -> BaseException:
    """Return *failure* without what may hold the key: the request, and the frames of the HTTP libraries."""
    found: list[BaseException] = [failure]
    for one in found:
        one.__traceback__ = None
        for name in {"request", "response", "pool", "conn"} & vars(one).keys():
            vars(one)[name] = None
        around = (one.__cause__, one.__context__, *_inner(one))
        found += [other for other in around if other is not None and other not in found]
    return failure
