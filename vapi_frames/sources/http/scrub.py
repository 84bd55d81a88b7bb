"""Texts without secrets, for what is kept where others read it: the key, bearer tokens, JSON Web Tokens.

Nothing else is changed. The key of the API has the form of any other id, so a key is known by what it is, not by its
form.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Redactor"]

# A bearer token has a digit, or "bearer certificates" would be one.
_TOKENS = re.compile(
    r"(?P<scheme>\b(?i:bearer)\s+)(?=[\w.~+/-]*\d)[\w.~+/-]{16,}=*|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*", re.ASCII
)


class Redactor:
    """Replaces secrets in all texts of one recording.

    Args:
        known: Replaces the keys that are known.

    Attributes:
        found: Whether there was one.
    """

    def __init__(self, known: Callable[[str], str]) -> None:
        self._known = known
        self._clean: dict[str, str] = {}  # groups have the same few values over and over
        self._stand_ins: dict[str, str] = {}
        self.found = False

    def __call__(self, value: Any) -> Any:
        """Return a JSON value without secrets; what holds none is returned as it is."""
        if isinstance(value, dict):
            return {self(key): self(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self(one) for one in value]
        return self._text(value) if type(value) is str else value

    def _text(self, text: str) -> str:
        if text not in self._clean:
            self._clean[text] = _TOKENS.sub(self._stand_in, self._known(text))
            self.found = self.found or self._clean[text] != text
        return self._clean[text]

    def _stand_in(self, found: re.Match[str]) -> str:
        """Return what stands for a token: two that differ still do, or two groups would become one."""
        count = len(self._stand_ins)
        return (found["scheme"] or "") + self._stand_ins.setdefault(found[0], "***" if not count else f"***{count + 1}")
