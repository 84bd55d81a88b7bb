"""The one place that takes secrets out of text: the API key, bearer tokens, JSON Web Tokens.

Nothing else is changed. A key of the API looks like any other id, so it is found by its value, not by its form: as it
is, or as JSON, URLs, HTML and base64 spell it.
"""

from __future__ import annotations

import html
import re
import urllib.parse
from base64 import b64encode
from functools import lru_cache
from html.entities import html5
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["KEY_VARIABLES", "SHORTEST_KEY", "Redactor", "Secret", "environment_keys", "replace_spelled"]

KEY_VARIABLES = ("VAPI_API_KEY", "VAPI_TOKEN")
_SECRET_VARIABLES = (*KEY_VARIABLES, "VAPI_FRAMES_KEY")  # the last one is that of the endpoint
SHORTEST_KEY = 8  # characters; a shorter one is a placeholder, and could occur in any text
_MOST_DECODINGS = 8  # more codes within codes than any server makes by accident
_BLOCK = 1 << 20  # characters that are decoded together
_OVERLAP = 1 << 16  # characters that a key may take, however it is spelled
_JSON_ESCAPE = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|([\"/\\]))")
# A bearer token has a digit, or "bearer certificates" would be one.
_TOKENS = re.compile(
    r"(?P<scheme>\b(?i:bearer)\s+)(?=[\w.~+/-]*\d)[\w.~+/-]{16,}=*|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*", re.ASCII
)


class Secret(str):
    """Text with the repr ``'***'``, so that a traceback with local variables does not show it.

    Examples:
        >>> Secret("b0c1-key")
        '***'
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def environment_keys(environ: Mapping[str, str]) -> list[Secret]:
    """Return the keys that *environ* holds, normally `os.environ`: those of the API, and that of the endpoint.

    Examples:
        >>> environment_keys({"VAPI_API_KEY": "b0c1-key", "HOME": "/root"})
        ['***']
    """
    return [Secret(environ[name].strip()) for name in _SECRET_VARIABLES if environ.get(name, "").strip()]


_ESCAPES = re.compile(rb"\\u00|\\/|%[0-9a-fA-F]{2}|&[#a-zA-Z]")


def replace_spelled(content: bytes, key: str) -> bytes:
    r"""Return *content* with ``***`` where it spells *key*; a key of less than eight characters is not looked for.

    Examples:
        >>> replace_spelled(rb'{"id": "\u0062\u0030c1-key/"}', "b0c1-key/")
        b'{"id": "***"}'
    """
    if len(key) < SHORTEST_KEY:
        return content
    # A reply may have 64 MB, and decoding is slow: most replies have none of these.
    has_escapes = any(sign in content for sign in (b"\\", b"%", b"&")) and _ESCAPES.search(content)
    if not has_escapes and not any(text.encode() in content for text in (key, *_in_base64(key))):
        return content
    clean = _spellings(Secret(key)).sub("***", content.decode("latin-1"))
    return b"***" if _is_spelled(clean, Secret(key)) else clean.encode("latin-1")


def _is_spelled(text: str, key: Secret) -> bool:
    """Return whether *text* has *key* as it is, in base64, or after any number of decodings."""
    forms = _plain_forms(key)
    # In blocks, because what is decoded takes many times the memory of the text; a key may lie across two.
    blocks = (text[start : start + _BLOCK + _OVERLAP] for start in range(0, len(text), _BLOCK))
    return any(form in level.lower() for block in blocks for level in _decode(block) for form in forms)


def _decode(text: str) -> Iterator[str]:
    """Yield *text*, and what it becomes by decoding the escapes of JSON, URLs and HTML until there are none."""
    yield text
    for _ in range(_MOST_DECODINGS):
        # Each of the three leaves text without its sign as it is.
        decoded = _JSON_ESCAPE.sub(lambda code: chr(int(code[1], 16)) if code[1] else code[2], text)
        decoded = html.unescape(urllib.parse.unquote(decoded, "latin-1"))
        if decoded == text:
            return
        text = decoded
        yield text


@lru_cache(maxsize=16)
def _plain_forms(key: Secret) -> tuple[Secret, ...]:
    """Return *key* as it is, fully decoded, and in base64, all in lower case: an address has the key in lower case."""
    levels = list(_decode(key))
    return tuple(Secret(form.lower()) for form in dict.fromkeys((key, levels[-1], *_in_base64(key))))


def _in_base64(key: str) -> list[str]:
    """Return what base64 of any text with *key* contains, by the place of the key in a group of three bytes."""
    found = []
    for before in range(3):
        text = b64encode(bytes(before) + key.encode()).decode().rstrip("=")
        # Without the characters that also depend on the bytes before and after.
        whole = text[(before * 8 + 5) // 6 : (before + len(key)) * 8 // 6]
        found += [whole, whole.replace("+", "-").replace("/", "_")]
    return found


@lru_cache(maxsize=16)
def _spellings(key: Secret) -> re.Pattern[str]:
    """Return the pattern of *key* as it is, or with any of its characters escaped as JSON, URLs or HTML escape them."""
    names: dict[str, list[str]] = {}
    for name, value in html5.items():
        names.setdefault(value, []).append(name)
    characters = []
    for one in key:
        code = f"{ord(one):02x}"
        ways = [
            rf"\\*{re.escape(one)}",  # JSON may put a backslash before a slash, and JSON within JSON more of them
            rf"\\+u00(?i:{code})",
            rf"%(?:25)*(?i:{code})",
            rf"&(?:amp;)*#0*{ord(one)}(?:;|(?![0-9]))",
            rf"&(?:amp;)*#[xX]0*(?i:{code})(?:;|(?![0-9a-fA-F]))",
            *(f"&(?:amp;)*{name}" for name in sorted(names.get(one, ()), key=len, reverse=True)),
        ]
        characters.append(f"(?:{'|'.join(ways)})")
    return re.compile("|".join(["".join(characters), *map(re.escape, _in_base64(key))]), re.IGNORECASE)


def _redact_cut(text: str, key: Secret) -> str:
    """Return *text* without the beginning of *key* where a message was cut within it."""
    if "..." in text:
        for length in range(len(key) - 1, SHORTEST_KEY - 1, -1):
            text = text.replace(f"{key[:length]}...", "***...")
    return text


class Redactor:
    """Replaces secrets in text and in JSON values.

    Args:
        keys: API keys, each replaced by ``***``. Those of less than eight characters are left out: they are
            placeholders, and could occur in any text.

    Attributes:
        found: Whether a secret was replaced so far.

    Examples:
        >>> redact = Redactor(["b0c1d2e3-key"])
        >>> redact({"header": "Authorization: Bearer b0c1d2e3-key", "rows": 3})
        {'header': 'Authorization: Bearer ***', 'rows': 3}
        >>> redact.found
        True
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        # A closure, because a debugger or a traceback with local variables prints the attributes of an object. The
        # longest key first: one may be a part of another.
        real = sorted({Secret(key) for key in keys if len(key) >= SHORTEST_KEY}, key=len, reverse=True)
        self._keys: Callable[[], list[Secret]] = lambda: real
        self._clean: dict[str, str] = {}  # groups have the same few values over and over
        self._replacements: dict[str, str] = {}
        self.found = False

    def __call__(self, value: Any) -> Any:
        """Return text, or a JSON value, without secrets; one that has none is returned as it is."""
        if isinstance(value, dict):
            return {self(key): self(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self(one) for one in value]
        return self._redact(value) if type(value) is str else value

    def _redact(self, text: str) -> str:
        if text not in self._clean:
            clean = text
            for key in self._keys():
                if _is_spelled(clean, key):
                    clean = _spellings(key).sub("***", clean)
                    # Codes within codes have no end, so what the pattern does not know is left out as a whole.
                    clean = "***" if _is_spelled(clean, key) else clean
                clean = _redact_cut(clean, key)
            self._clean[text] = _TOKENS.sub(self._replace, clean)
            self.found = self.found or self._clean[text] != text
        return self._clean[text]

    def _replace(self, token: re.Match[str]) -> str:
        """Return what replaces a token. Two that differ stay different, or two groups would become one."""
        count = len(self._replacements) + 1
        replacement = self._replacements.setdefault(token[0], "***" if count == 1 else f"***{count}")
        return (token["scheme"] or "") + replacement
