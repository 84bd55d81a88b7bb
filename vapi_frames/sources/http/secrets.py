"""The API key: read when a request is sent, and written to one header.

Reprs, messages, tracebacks with local variables and pickles do not contain it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import threading
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

from requests.auth import AuthBase

from vapi_frames.errors import AuthenticationError
from vapi_frames.redact import KEY_VARIABLES, SHORTEST_KEY, Redactor, Secret, environment_keys, replace_spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

__all__ = ["Key", "can_be_key", "key_from_environment", "redacted_logs"]


class Key(AuthBase):
    """The key, which no repr shows."""

    def __init__(self, key: str) -> None:
        # A closure: a debugger or a traceback with local variables prints the attributes of objects.
        self._read: Callable[[], str] = lambda: key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:  # noqa: D102
        request.headers["Authorization"] = Secret(f"Bearer {self._read()}")
        return request

    def is_in(self, content: bytes) -> bool:
        """Return whether *content* repeats the key; a placeholder could be in any reply, and is not looked for."""
        return len(self._read()) >= SHORTEST_KEY and self._read().encode() in content

    def replace_in(self, content: bytes) -> bytes:
        """Return *content* with ``***`` where it has the key in another spelling, such as JSON's escapes."""
        return replace_spelled(content, self._read())

    def organization(self) -> str:
        """Return an id of the organization, from which the key cannot be computed."""
        return hmac.digest(self._read().encode(), b"vapi-frames: organization", "sha256").hex()[:16]

    def redactor(self) -> Redactor:
        """Return a redactor of this key, and of those in the environment."""
        return Redactor([self._read(), *environment_keys(os.environ)])

    def derive(self, purpose: str) -> Secret:
        """Return a secret for *purpose* that depends on the key, and from which the key cannot be computed."""
        return _derive(Secret(self._read()), purpose)

    def __repr__(self) -> str:
        return "<key>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key cannot be pickled: connect again in the other process")


_current = threading.local()


class _LogFilter(logging.Filter):
    """Redacts what urllib3 logs of this thread's request: a malformed header is logged as it is."""

    def filter(self, record: logging.LogRecord) -> bool:
        redact: Redactor | None = getattr(_current, "redact", None)
        if redact is not None:
            text = record.getMessage()
            redact(f"{text} {record.exc_info and record.exc_info[1]}")
            if redact.found:
                record.msg, record.args, record.exc_info = redact(text), (), None
        return True


_FILTER = _LogFilter()
for _name in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).addFilter(_FILTER)


@contextmanager
def redacted_logs(redact: Redactor) -> Iterator[None]:
    """Redact what the HTTP libraries log of the requests of this thread."""
    _current.redact = redact
    try:
        yield
    finally:
        _current.redact = None


@lru_cache(maxsize=16)
def _derive(key: Secret, purpose: str) -> Secret:
    # 20 ms for each guess: what the secret signs lets guesses of the key be checked.
    derived = hashlib.pbkdf2_hmac("sha256", key.encode(), f"vapi-frames: {purpose}".encode(), 100_000)
    return Secret(derived.hex())


def can_be_key(text: object) -> bool:
    """Return whether *text* can be a key."""
    # http.client would raise an error with the key in it for text that a header cannot contain.
    return isinstance(text, str) and bool(text) and text.isascii() and text.isprintable() and " " not in text


def key_from_environment() -> Key:
    """Return the key of the environment.

    Raises:
        AuthenticationError: There is none.
    """
    for name in KEY_VARIABLES:
        text = Secret(os.environ.get(name, "").strip())
        if can_be_key(text):
            return Key(text)
        if text:
            message = f"{name} is not a key: a key is ASCII text without spaces and line breaks; copy it again"
            raise AuthenticationError(message, status=401)
    raise AuthenticationError(
        f"there is no key: set {KEY_VARIABLES[0]} to the organization's private key, or pass vf.connect(token); "
        "vf.demo() needs none",
        status=401,
    )
