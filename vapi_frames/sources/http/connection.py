"""HTTPS requests with a key: bounded retries, and errors with advice. All requests to the API are sent here."""

from __future__ import annotations

import json
import os
import re
import ssl
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import (  # requests does not wrap all of them
    DecodeError,
    HTTPError,
    ProtocolError,
    ReadTimeoutError,
)

from vapi_frames.cancellation import raise_if_cancelled
from vapi_frames.contract.json_size import MOST_PARTS, has_too_many_parts
from vapi_frames.contract.vocabulary import BASE_URL
from vapi_frames.errors import (
    AuthenticationError,
    ConnectionFailedError,
    QueryError,
    RateLimitError,
    ResponseError,
    SourceError,
    StatusError,
    VapiFramesError,
    format_value,
)
from vapi_frames.redact import Redactor, Secret, environment_keys
from vapi_frames.sources import progress
from vapi_frames.sources.http.failures import innermost, texts, without_frames
from vapi_frames.sources.http.loopback import is_loopback
from vapi_frames.sources.http.retry import backoff, limiter, pause, retry_after
from vapi_frames.sources.http.secrets import Key, can_be_key, key_from_environment, redacted_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Connection", "is_oversized"]

_RETRIED = frozenset({408, 409, 429})
_OVERSIZED = frozenset({408, 413, 504, 524})  # the statuses of a query that is too large, or takes too long
TRANSIENT_ERRORS = (  # that a retry may cure: no connection, no reply in time, an incomplete reply
    requests.ConnectionError,
    requests.Timeout,
    DecodeError,
    ProtocolError,
    ReadTimeoutError,
)
_MAX_WAIT = 60.0  # seconds; if the server requests more, the error reports it
_MAX_TIMEOUT = 86_400.0  # seconds; sockets refuse very large numbers
_TIMEOUTS_PER_REPLY = 10  # read time-outs within which the complete reply must arrive
_BLOCK = 65_536  # bytes of one read
MAX_BYTES = 2**26  # bytes of a reply, decompressed
_FEWER = "fetch fewer buckets or groups at a time"
_ERROR_BYTES = 65_536  # of an error's body are read for its message
_BODY_CHARS = 2_000  # of a reply's body in the attribute of an error
_MESSAGE_CHARS = 500  # of a reply's body in the message of an error


class _Session(requests.Session):
    """A session that leaves redirects alone: requests would parse where they point to even if told not to follow."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        return None


class _TooLargeError(ResponseError):
    """A reply is larger than the limit."""


def is_oversized(error: BaseException) -> bool:
    """Return whether *error* may be due to the size of the query, so that a smaller one may succeed."""
    if isinstance(error, ConnectionFailedError):
        return error.timed_out
    return isinstance(error, _TooLargeError) or (isinstance(error, StatusError) and error.status in _OVERSIZED)


class Connection:
    """The connections to one server, with one key.

    Args:
        token: The organization's private key; by default ``VAPI_API_KEY``, else ``VAPI_TOKEN``, read at each request.
        base_url: Where the API is served: https://, or http:// on this machine, which no proxy sees.
        timeout: Seconds to wait for a connection, and between two pieces of the reply; or one number for both. As a
            whole, a reply may take ten times as long.
        attempts: How often one request is sent at most.
        sleep: The function that waits; for tests.
        largest: The bytes that a reply may have, decompressed.

    Raises:
        QueryError: An argument is wrong, or *base_url* would send the key in the clear.
    """

    _url = ""  # for the repr in a traceback, if __init__ fails
    _key: Key | None = None

    def __init__(
        self,
        token: str | None = None,
        *,
        base_url: str = BASE_URL,
        timeout: float | tuple[float, float] = (5.0, 60.0),
        attempts: int = 4,
        sleep: Callable[[float], None] = pause,
        largest: int = MAX_BYTES,
    ) -> None:
        token = Secret(token.strip()) if isinstance(token, str) else token
        if token is not None and not can_be_key(token):
            raise QueryError("token must be the key as text, in ASCII and without spaces and line breaks")
        self._key = None if token is None else Key(token)
        self._url = _check_url(base_url)
        self._timeout = _check_timeout(timeout)
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise QueryError(f"attempts must be a whole number of at least 1, not {format_value(attempts)}")
        self._attempts = attempts
        self._sleep = sleep
        self._largest = largest
        self._idle: list[tuple[int, requests.Session]] = []
        self._lock = threading.Lock()
        self._is_closed = False

    def close(self) -> None:
        """Close the sockets that are open for later requests; further requests raise `SourceError`."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for process, session in idle:
            if process == os.getpid():
                session.close()

    @property
    def host(self) -> str:
        """The address of the server."""
        return self._url

    def scope(self) -> str:
        """Return what identifies the server and the account: the address, and a keyed hash instead of the key.

        Raises:
            AuthenticationError: There is no key.
        """
        return f"{self._url} {(self._key or key_from_environment()).organization()}"

    def derive_secret(self, purpose: str) -> Secret:
        """Return a secret for *purpose* that depends on the key; its repr hides it.

        Raises:
            AuthenticationError: There is no key.
        """
        return (self._key or key_from_environment()).derive(purpose)

    def redactor(self) -> Redactor:
        """Return a redactor of the connection's key, and of those in the environment."""
        return self._key.redactor() if self._key else Redactor(environment_keys(os.environ))

    def post(self, path: str, body: bytes, *, attempts: int | None = None, divisible: bool = False) -> bytes:
        """Post JSON, and return the reply's.

        Args:
            path: The path below the address.
            body: The JSON.
            attempts: How often it is sent at most; by default the connection's attempts.
            divisible: Whether the caller can send less: an `is_oversized` request is then not retried.

        Raises:
            SourceError: There was no reply, or one with an error's status.
            ResponseError: The reply is not JSON.
        """
        return self._send(f"{self._url}{path}", body, {}, attempts or self._attempts, divisible=divisible)

    def get(self, path: str, parameters: Mapping[str, str], *, divisible: bool = False) -> bytes:
        """Get JSON; the arguments and errors are those of `post`."""
        return self._send(f"{self._url}{path}", None, parameters, self._attempts, divisible=divisible)

    def _send(
        self, url: str, body: bytes | None, parameters: Mapping[str, str], attempts: int, *, divisible: bool
    ) -> bytes:
        key = self._key or key_from_environment()
        shared = limiter(f"{self._url} {key.organization()}")
        waited = 0.0
        for attempt in range(1, attempts + 1):
            raise_if_cancelled()
            if left := shared.remaining(waited):  # the server limited another request
                progress.say(f"waiting {left:.0f} s, rate limit")
                self._sleep(left)
            # Errors are returned, and raised here: no frame of their traceback holds a reply, which may repeat the key.
            outcome, wait = self._try(url, body, parameters, key, attempt)
            if isinstance(outcome, bytes):
                return outcome
            if wait is None or attempt == attempts or (divisible and is_oversized(outcome)):
                raise outcome
            limited = isinstance(outcome, RateLimitError)
            if limited:
                waited = shared.hold(wait)
            progress.say(f"waiting {wait:.0f} s, {'rate limit' if limited else _short(outcome)}")
            self._sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _try(
        self, url: str, body: bytes | None, parameters: Mapping[str, str], key: Key, attempt: int
    ) -> tuple[bytes | VapiFramesError, float | None]:
        """Return the reply, or the error and how long to wait before the next attempt, ``None`` if none would help."""
        session = self._borrow()
        progress.requested()
        try:
            with redacted_logs(key.redactor()), session.request(
                "GET" if body is None else "POST", url, params=parameters, data=body, auth=key, timeout=self._timeout,
                allow_redirects=False, stream=True, headers={} if body is None else _JSON,
            ) as reply:  # fmt: skip
                content = self._content(reply)
        except _TooLargeError as error:
            return error.with_traceback(None), None
        except (HTTPError, OSError, ValueError) as error:  # requests' own are among them
            reason = innermost(without_frames(error))
            detail = re.sub(r"^.*?(object at 0x\w+>|port=\d+\)):\s*", "", str(reason)) or type(reason).__name__
            redact = key.redactor()
            redact(texts(error))  # a status line or the size of a chunk may repeat the key
            message = redact(f"no reply from {url} in {_times(attempt)}: {detail}")
            failed = ConnectionFailedError(
                message, attempts=attempt, timed_out=isinstance(reason, ReadTimeoutError | requests.ReadTimeout)
            )
            failed.__cause__ = None if redact.found else error
            is_transient = isinstance(error, TRANSIENT_ERRORS) and not isinstance(reason, ssl.SSLCertVerificationError)
            return failed, backoff(attempt) if is_transient else None
        self._give_back(session)
        if 200 <= reply.status_code < 300:  # noqa: PLR2004
            return _checked(reply, content, url, key), None
        status = reply.status_code
        requested = retry_after(reply.headers, datetime.now(UTC), limited=status == 429)  # noqa: PLR2004
        is_transient = (status in _RETRIED or status >= 500) and (requested or 0) <= _MAX_WAIT  # noqa: PLR2004
        refused = _status_error(reply, content, key, requested, attempt)
        return refused, (requested or backoff(attempt)) if is_transient else None

    def _give_back(self, session: requests.Session) -> None:
        """Keep *session* for the next request; its last reply was read to the end."""
        with self._lock:
            if not self._is_closed:
                self._idle.append((os.getpid(), session))
                return
        session.close()

    def _borrow(self) -> requests.Session:
        """Return a session that no other thread uses."""
        with self._lock:
            if self._is_closed:
                raise SourceError(f"the connection to {self._url} is closed: make another with vf.connect(...)")
            # A forked process must not share its parent's connection: each could read the other's reply.
            self._idle = [one for one in self._idle if one[0] == os.getpid()]
            if self._idle:
                return self._idle.pop()[1]
        session = _Session()
        # One pooled connection for each session. Retries are not left to urllib3: they wait together with other
        # threads, show as progress, end when the query is cancelled, and halve what is too large.
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        session.headers["Accept"] = "application/json"
        session.headers["Accept-Encoding"] = "gzip"
        session.headers["User-Agent"] = "vapi-frames"
        # Without TLS the key stays on this machine, so the proxies of the environment do not apply.
        session.trust_env = self._url.startswith("https:")
        return session

    def _content(self, reply: requests.Response) -> bytes:
        """Return the whole body; one that trickles in or has no end is an error."""
        until = time.monotonic() + _TIMEOUTS_PER_REPLY * self._timeout[1]
        # read1 returns what has arrived; read would wait for a full block, which may never come.
        read = getattr(reply.raw, "read1", reply.raw.read)
        content = bytearray()
        while piece := read(_BLOCK, decode_content=True):
            content += piece
            if len(content) > self._largest:
                raise _TooLargeError(f"the reply has more than {self._largest:,} bytes: {_FEWER}")
            if time.monotonic() > until:
                raise requests.ReadTimeout(
                    f"Read timed out: the reply is incomplete after {_TIMEOUTS_PER_REPLY} time-outs"
                )
        if has_too_many_parts(content):
            raise _TooLargeError(f"the reply holds more than {MOST_PARTS:,} keys and values: {_FEWER}")
        return bytes(content)

    def __repr__(self) -> str:
        return f"the API at {self.redactor()(self._url)}"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a connection holds a key and cannot be pickled: connect again in the other process")


_JSON = {"Content-Type": "application/json"}


def _checked(reply: requests.Response, content: bytes, url: str, key: Key) -> bytes | ResponseError:
    """Return the body of a reply with status 2xx, or the error that it is."""
    came = f"{key.redactor()(url)} replied {reply.status_code} with"
    content = content.removeprefix(b"\xef\xbb\xbf").strip()
    if key.is_in(content):  # no frame and no error may show it
        return ResponseError(f"{came} the key itself: base_url echoes requests, and is not the API")
    if reply.status_code == 206 or "content-range" in reply.headers:  # noqa: PLR2004
        return ResponseError(f"{came} a part of the body, which no request asks for: is a proxy in between?")
    if not content:
        return ResponseError(f"{came} an empty body")
    if content.startswith(b"<"):
        title = _title(content.decode("utf-8", "replace"))
        return ResponseError(f"{came} HTML ({title}), not JSON: is base_url right, is a sign-in page in between?")
    return key.replace_in(content)


def _status_error(reply: requests.Response, content: bytes, key: Key, wait: float | None, attempt: int) -> StatusError:
    status = reply.status_code
    redact = key.redactor()
    # Redacted before it is cut, or half of the key could be left.
    body = redact(content[:_ERROR_BYTES].decode("utf-8", "replace"))
    body = body[:-_BODY_CHARS] if len(content) > _ERROR_BYTES else body  # it may end in half of the key
    message = f"the API replied {status}: {redact(_error_text(body))}"
    found = next((reply.headers[name] for name in ("x-request-id", "cf-ray") if name in reply.headers), None)
    request_id = found and redact(found)
    if request_id:
        message += f" (request {request_id})"
    if attempt > 1:
        message += f", in the last of {_times(attempt)}"
    if wait:
        message += f". The server requests a wait of {wait:g} s"
    advice = _advice(status, redact(reply.headers.get("location", "")))
    message += f". {advice}" if advice else ""
    body = body[:_BODY_CHARS]
    if status in (401, 403):
        return AuthenticationError(message, status=status, request_id=request_id, body=body)
    if status == 429:  # noqa: PLR2004
        return RateLimitError(message, status=status, request_id=request_id, body=body, retry_after=wait)
    return StatusError(message, status=status, request_id=request_id, body=body)


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
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise QueryError(f"base_url {base_url!r} would send the key in the clear; use https://")
    return parts.geturl().rstrip("/")


def _check_timeout(timeout: object) -> tuple[float, float]:
    pair = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    numbers = [t for t in pair if isinstance(t, int | float) and not isinstance(t, bool)]
    if len(pair) == len(numbers) == 2 and all(0 < t <= _MAX_TIMEOUT for t in numbers):  # noqa: PLR2004
        return float(numbers[0]), float(numbers[1])
    raise QueryError(
        "timeout must be seconds, or (seconds to connect, seconds to read), more than 0 and at most a day, "
        f"not {format_value(timeout)}"
    )


def _short(error: VapiFramesError) -> str:
    """Return the reason for a retry, for the progress."""
    return f"status {error.status}" if isinstance(error, StatusError) else "no reply"


def _error_text(body: str) -> str:
    """Return the message of an error's body, shortened."""
    text = body.strip()
    if text.startswith("<"):
        return f"an HTML page ({_title(text)})"
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError):
        parts = None
    message = (parts.get("message") or parts.get("error") or text) if isinstance(parts, dict) else text
    shown = "; ".join(map(str, message)) if isinstance(message, list) else str(message)
    return shown if len(shown) <= _MESSAGE_CHARS else shown[: _MESSAGE_CHARS - 3] + "..."


def _title(page: str) -> str:
    found = re.search(r"<title[^>]*>([^<]*)", page, re.IGNORECASE)
    return found[1].strip()[:80] if found and found[1].strip() else "without a title"


def _advice(status: int, location: str) -> str:
    if status in (401, 403):
        return "Use the organization's private key (dashboard, API Keys); the public key is for web clients only"
    if status in (404, 405):
        return "Is base_url right? The contract is POST /analytics"
    if 300 <= status < 400:  # noqa: PLR2004
        return f"It points to {location or 'nowhere'}; redirects are not followed, to protect the key: set base_url"
    return ""


def _times(attempt: int) -> str:
    return "1 attempt" if attempt == 1 else f"{attempt} attempts"
