"""The key, which is read late, goes into one header of one request, and cannot be shown.

It is kept out of everything that can be printed: reprs, messages, tracebacks with locals, pickles.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

from requests.auth import AuthBase

from vapi_frames.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

__all__ = ["Hidden", "Key", "can_be_key", "key_from_environment", "scrubber"]

KEY_VARIABLES = ("VAPI_API_KEY", "VAPI_TOKEN")
_STAND_IN = 8  # a key shorter than this is no real one, and its letters may be in any reply


class Hidden(str):
    """Text whose repr does not show it, for the frames that a traceback with locals prints."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class Key(AuthBase):
    """The key as something that can be passed around and printed without being shown."""

    def __init__(self, key: str) -> None:
        # A closure, because a debugger or a traceback with locals prints the attributes of what it meets.
        self._read: Callable[[], str] = lambda: key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:  # noqa: D102
        request.headers["Authorization"] = Hidden(f"Bearer {self._read()}")
        return request

    def is_stand_in(self) -> bool:
        """Whether it is too short for a real key."""
        return len(self._read()) < _STAND_IN

    def is_in(self, content: bytes) -> bool:
        """Whether *content* repeats the key."""
        return not self.is_stand_in() and self._read().encode() in content

    def organization(self) -> str:
        """Return what tells organizations apart, and says nothing of the key."""
        return hmac.digest(self._read().encode(), b"vapi-frames: organization", "sha256").hex()[:16]

    def scrub(self, text: str) -> str:
        """Return *text* without the key, should a server have repeated it."""
        return text.replace(self._read(), "***")

    def derive(self, purpose: str) -> Hidden:
        """Return a secret for *purpose* that depends on the key, and from which the key cannot be computed."""
        return _derive(Hidden(self._read()), purpose)

    def __repr__(self) -> str:
        return "<key>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled; connect again where it is needed")


@lru_cache(maxsize=16)
def _derive(key: Hidden, purpose: str) -> Hidden:
    # 20 ms for each guess: what the secret signs lets guesses of the key be checked.
    derived = hashlib.pbkdf2_hmac("sha256", key.encode(), f"vapi-frames: {purpose}".encode(), 100_000)
    return Hidden(derived.hex())


def can_be_key(text: object) -> bool:
    """Say whether *text* can be a key."""
    # What a header cannot carry is found here: http.client would say so with the key in its error.
    return isinstance(text, str) and bool(text) and text.isascii() and text.isprintable() and " " not in text


def scrubber(*keys: Key) -> Callable[[str], str]:
    """Return what takes *keys* and those of the environment out of a text, and leaves ``***`` where one was."""
    known = [*keys, *(Key(os.environ.get(name, "").strip()) for name in KEY_VARIABLES)]
    known = [key for key in known if not key.is_stand_in()]

    def scrub(text: str) -> str:
        for key in known:
            text = key.scrub(text)
        return text

    return scrub


def key_from_environment() -> Key:
    """Return the key of the environment.

    Raises:
        AuthenticationError: There is none.
    """
    for name in KEY_VARIABLES:
        text = Hidden(os.environ.get(name, "").strip())
        if can_be_key(text):
            return Key(text)
        if text:
            said = f"{name} is no key: a key is ASCII text without spaces and line breaks; copy it again"
            raise AuthenticationError(said, status=401)
    raise AuthenticationError(
        f"there is no key: set {KEY_VARIABLES[0]} to the organization's private key, or pass vf.connect(token); "
        "vf.demo() needs none",
        status=401,
    )
