"""Which requests are answered: those with the key, or those of this machine; and only with a body of plain JSON."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from vapi_frames.errors import QueryError
from vapi_frames.sources.http.loopback import is_loopback

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["KEY_LENGTH", "Access", "check_content_type"]

KEY_LENGTH = 16  # characters; whatever can be guessed is not a key
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:\d{1,5})?", re.ASCII | re.IGNORECASE)
_FORWARDED = {b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"true-client-ip", b"cf-connecting-ip"}


class Access:
    """Lets requests with the key pass, or those of this machine if there is no key."""

    def __init__(self, key: str | None) -> None:
        if key is not None:
            if not (isinstance(key, str) and key.isascii() and key.isprintable() and key.split() == [key]):
                raise QueryError("the key must be text in ASCII, without spaces and line breaks, and not empty")
            if len(key) < KEY_LENGTH:
                raise QueryError(
                    f"the key has {len(key)} characters, and needs at least {KEY_LENGTH}: "
                    "openssl rand -hex 24 makes a random one"
                )
        # Only the digest is stored, so that printing the attributes of an object cannot show the key.
        self._digest = None if key is None else hashlib.sha256(key.encode()).digest()

    def check(self, request: Request) -> None:
        """Raise an error 401 if *request* is not to be answered."""
        if self._digest is None:
            _check_is_local(request)
        else:
            self._check_key(request, self._digest)

    def _check_key(self, request: Request, digest: bytes) -> None:
        from starlette.exceptions import HTTPException

        values = [value for name, value in request.scope["headers"] if name == b"authorization"]
        scheme, _, key = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        # Digests have one length, so that the time of the comparison does not depend on the key's.
        is_right = hmac.compare_digest(hashlib.sha256(key.strip()).digest(), digest)
        if scheme.lower() != b"bearer" or not is_right:
            raise HTTPException(401, "send the key as Authorization: Bearer <key>", {"WWW-Authenticate": "Bearer"})


def _check_is_local(request: Request) -> None:
    """Refuse what came over a network: from another machine, through a proxy, or from a web page by its name."""
    from starlette.exceptions import HTTPException

    client = request.scope.get("client")  # a UNIX socket has none
    names = {name for name, _ in request.scope["headers"]}
    if client is not None and not is_loopback(client[0]):
        raise HTTPException(401, "a server without a key answers only requests from this machine")
    # The proxies of old speak HTTP/1.0 and add no header, as nginx does unless it is told otherwise.
    is_forwarded = any(name in _FORWARDED or name.startswith(b"x-forwarded") for name in names)
    if is_forwarded or request.scope["http_version"] == "1.0":
        raise HTTPException(401, "a server without a key answers no request that came through a proxy: set a key")
    match = _HOST.fullmatch(request.headers.get("host", ""))
    if match is None or not is_loopback(match[1].strip("[]")):
        message = "a server without a key answers only requests to this machine, such as http://127.0.0.1"
        raise HTTPException(401, message)


def check_content_type(request: Request) -> None:
    """Refuse a body that is not uncompressed JSON in UTF-8."""
    from starlette.exceptions import HTTPException

    kind, *parameters = request.headers.get("content-type", "").replace(" ", "").replace('"', "").lower().split(";")
    is_json = kind == "application/json" and set(parameters) <= {"", "charset=utf-8", "charset=us-ascii"}
    if not is_json or request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HTTPException(415, "send the body with Content-Type: application/json, in UTF-8 and not compressed")
