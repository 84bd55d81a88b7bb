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
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from vapi_frames.answer import match_replies, read_reply
from vapi_frames.contract import parse_replies
from vapi_frames.errors import (
    AuthenticationError,
    ConnectionFailedError,
    QueryError,
    RateLimitError,
    ResponseError,
    StatusError,
)
from vapi_frames.vocabulary import BASE_URL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vapi_frames.answer import Answer
    from vapi_frames.query import Query

__all__ = ["ApiSource"]

KEY_VARIABLES = ("VAPI_API_KEY", "VAPI_TOKEN")
_RETRIED = frozenset({408, 409, 429})
_LONGEST_WAIT = 60.0  # seconds; a server that asks for more gets an error with what it asked
_SHOWN = 2_000  # characters of an error's body that are kept


class _Key(AuthBase):
    """The key as something that can be passed around and printed without being shown."""

    def __init__(self, token: str | None) -> None:
        # A closure, because a debugger or a traceback with locals prints the attributes of what it meets.
        self._read: Callable[[], str | None] = lambda: token or _key_from_environment()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        key = _Hidden(f"Bearer {self._read()}")
        request.headers["Authorization"] = key
        return request

    @property
    def is_known(self) -> bool:
        return bool(self._read())

    def scrub(self, text: str) -> str:
        """Return *text* without the key, should a server have echoed it."""
        key = self._read()
        return text.replace(key, "***") if key else text

    def __repr__(self) -> str:
        return "<key>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled; connect again where it is needed")


class _Hidden(str):
    """Text whose repr does not show it, for the frames of other libraries that a traceback may print."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def _key_from_environment() -> str | None:
    return next((os.environ[name].strip() for name in KEY_VARIABLES if os.environ.get(name, "").strip()), None)


class ApiSource:
    """The API as a source.

    Args:
        token: The organisation's private key; by default ``VAPI_API_KEY``, else ``VAPI_TOKEN``, read at each request.
        base_url: Where ``POST /analytics`` is served.
        timeout: Seconds to wait for a connection, and between two pieces of the reply; or one number for both.
        attempts: How often one request is tried at most.
        sleep: How waiting is done; for tests.

    Raises:
        QueryError: An argument cannot be it, or *base_url* would send the key in the clear.
    """

    kind = "api"

    def __init__(
        self,
        token: str | None = None,
        *,
        base_url: str = BASE_URL,
        timeout: float | tuple[float, float] = (5.0, 60.0),
        attempts: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if token is not None and (not isinstance(token, str) or not token.strip() or not token.isprintable()):
            raise QueryError("token must be the key as text, without line breaks")
        self._key = _Key(token and token.strip())
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
        """Answer *queries* by one POST."""
        wanted = [query.body(now)["queries"][0] for query in queries]
        replies = parse_replies(self._post(json.dumps({"queries": wanted}).encode()))
        places = match_replies(replies, [one["name"] for one in wanted])
        return [
            read_reply(replies[place], query, now, place=place) for place, query in zip(places, queries, strict=True)
        ]

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            # One pooled connection a thread; retries are ours, because urllib3 leaves a POST alone.
            adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            session.headers["Accept"] = "application/json"
            session.headers["User-Agent"] = "vapi-frames"
        return session

    def _post(self, body: bytes) -> bytes:
        if not self._key.is_known:
            raise AuthenticationError(
                f"there is no key: set {KEY_VARIABLES[0]} to the organisation's private key, or pass "
                "vf.connect(token); vf.demo() needs none",
                status=401,
            )
        for attempt in range(1, self._attempts + 1):
            is_last = attempt == self._attempts
            failure: requests.RequestException
            try:
                reply = self._session().post(
                    self._url, data=body, auth=self._key, timeout=self._timeout, allow_redirects=False,
                    headers={"Content-Type": "application/json"},
                )  # fmt: skip
            except (requests.ConnectionError, requests.Timeout) as error:
                failure = error
            except requests.RequestException as error:
                failure, is_last = error, True
            else:
                if 200 <= reply.status_code < 300:  # noqa: PLR2004
                    return self._checked(reply)
                wait = retry_after(reply.headers, datetime.now(UTC))
                is_retried = reply.status_code in _RETRIED or reply.status_code >= 500  # noqa: PLR2004
                if is_last or not is_retried or (wait or 0) > _LONGEST_WAIT:
                    raise self._status_error(reply, wait, attempt)
                self._sleep(_backoff(attempt) if wait is None else wait)
                continue
            if is_last:
                raise ConnectionFailedError(
                    f"no reply from {self._url} in {_times(attempt)}: {_reason(failure)}", attempts=attempt
                ) from _without_frames(failure)
            self._sleep(_backoff(attempt))
        raise AssertionError("the last attempt returns or raises")

    def _checked(self, reply: requests.Response) -> bytes:
        text = reply.content.lstrip()[:200]
        if text[:1] == b"<":
            raise ResponseError(
                f"{self._url} replied {reply.status_code} with HTML ({_title(reply.text)}), not JSON: is base_url "
                "right, and is a proxy or a sign-in page in between?"
            )
        return reply.content

    def _status_error(self, reply: requests.Response, wait: float | None, attempt: int) -> StatusError:
        status = reply.status_code
        body = self._key.scrub(reply.text[:_SHOWN])
        said = _said(body)
        request_id = next((reply.headers[n] for n in ("x-request-id", "cf-ray") if n in reply.headers), None)
        message = f"the API replied {status}: {said}"
        if request_id:
            message += f" (request {request_id})"
        if attempt > 1:
            message += f", in the last of {_times(attempt)}"
        advice = _advice(status, reply.headers.get("location", ""))
        message += f". {advice}" if advice else ""
        if status in (401, 403):
            return AuthenticationError(message, status=status, request_id=request_id, body=body)
        if status == 429:  # noqa: PLR2004
            asked = f" It asked to wait {wait:g} s." if wait else ""
            return RateLimitError(message + asked, status=status, request_id=request_id, body=body, retry_after=wait)
        return StatusError(message, status=status, request_id=request_id, body=body)

    def __repr__(self) -> str:
        return f"the API at {self._url.removesuffix('/analytics')}"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a connection holds a key and is not pickled; connect again where it is needed")


def _check_url(base_url: object) -> str:
    """Return *base_url* without a slash at its end; the key goes only over TLS, or to this machine."""
    parts = urlsplit(base_url) if isinstance(base_url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise QueryError(f"base_url {base_url!r} is not an http(s) address such as {BASE_URL!r}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise QueryError("base_url must not carry a user, a password, a query or a fragment")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise QueryError(f"base_url {base_url!r} would send the key in the clear; use https://")
    return parts.geturl().rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_timeout(timeout: object) -> tuple[float, float]:
    pair = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    if len(pair) == 2 and all(isinstance(t, int | float) and not isinstance(t, bool) and t > 0 for t in pair):  # noqa: PLR2004
        return float(pair[0]), float(pair[1])
    raise QueryError(f"timeout must be seconds, or (seconds to connect, seconds to read), not {timeout!r}")


def _backoff(attempt: int) -> float:
    """Return how long to wait before the next attempt: doubling from half a second, with jitter."""
    return min(8.0, 0.5 * 2.0 ** (attempt - 1)) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, no secret


def retry_after(headers: Any, now: datetime) -> float | None:
    """Return the seconds that a reply asks to wait, by the first of three headers that says so.

    Examples:
        >>> retry_after({"retry-after-ms": "1500"}, datetime(2026, 1, 1, tzinfo=UTC))
        1.5
        >>> retry_after({"retry-after": "Thu, 01 Jan 2026 00:00:07 GMT"}, datetime(2026, 1, 1, tzinfo=UTC))
        7.0
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0), ("x-ratelimit-reset", 1.0)):
        text = (headers.get(name) or "").strip()
        if not text:
            continue
        try:
            number = float(text) * scale
        except ValueError:
            try:
                at = parsedate_to_datetime(text)
            except ValueError:
                continue
            number = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
        else:
            if name == "x-ratelimit-reset" and number > 1e9:  # noqa: PLR2004 - an instant, not a span
                number -= now.timestamp()
        if number == number and abs(number) != float("inf"):  # noqa: PLR0124
            return max(0.0, number)
    return None


def _said(body: str) -> str:
    """Return what an error body says: the server's own message, or that it is HTML."""
    if body.lstrip().startswith("<"):
        return f"an HTML page ({_title(body)})"
    try:
        parts = json.loads(body)
    except ValueError:
        return body.strip()[:200] or "no text"
    if not isinstance(parts, dict):
        return body.strip()[:200]
    message = parts.get("message") or parts.get("error") or body.strip()[:200]
    return "; ".join(map(str, message)) if isinstance(message, list) else str(message)


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


def _reason(failure: BaseException) -> str:
    """Return the innermost reason: requests wraps urllib3, which wraps the socket's own words."""
    inner: BaseException = failure
    while isinstance(inner.args[0] if inner.args else None, BaseException) or getattr(inner, "reason", None):
        reason = getattr(inner, "reason", None)
        following = reason if isinstance(reason, BaseException) else inner.args[0]
        if not isinstance(following, BaseException):
            break
        inner = following
    return re.sub(r"^.*?object at 0x\w+>:\s*", "", str(inner)) or type(inner).__name__


def _without_frames(failure: BaseException) -> BaseException:
    """Return *failure* without what may hold the key: the request, and the frames of the HTTP libraries."""
    seen: BaseException | None = failure
    while seen is not None:
        seen.__traceback__ = None
        for name in ("request", "response", "pool"):
            if hasattr(seen, name):
                setattr(seen, name, None)
        inner = [arg for arg in seen.args if isinstance(arg, BaseException)]
        for one in inner:
            _without_frames(one)
        reason = getattr(seen, "reason", None)
        if isinstance(reason, BaseException) and reason is not seen:
            _without_frames(reason)
        seen = seen.__cause__ or seen.__context__
    return failure
