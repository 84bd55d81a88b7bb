"""JSON objects that have a key twice: a parser takes the last value and does not say so."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from vapi_frames.errors import ResponseError, format_value

__all__ = ["check_unique_keys"]

_BLOCK = 1 << 16  # letters that are compared while they are in the processor's cache
_QUOTE, _COLON, _BRACE, _SPACE = b'":{ '


def check_unique_keys(text: str | bytes | bytearray, parsed: object) -> None:
    """Raise `ResponseError` where an object of a JSON text has a key twice.

    Args:
        text: The text.
        parsed: Its values, which tell whether the text has more keys than they do.

    Examples:
        >>> check_unique_keys('{"countId": 1, "countId": 2}', {"countId": 2})
        Traceback (most recent call last):
        ...
        vapi_frames.errors.ResponseError: $: the object has the key 'countId' twice
    """
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    braces, written = _count_written(content)
    # More may be written without a repeated key, inside a text.
    if written > _count_keys(parsed, braces):
        _check(json.loads(text, object_pairs_hook=_Pairs), "$")


def _count_written(content: bytes | bytearray) -> tuple[int, int]:
    """Return how many objects and how many keys begin in a JSON text, with those that are written inside a text."""
    # numpy counts in a tenth of the time that bytes.count takes, and a reply can have millions of keys.
    letters = np.frombuffer(content, np.uint8)
    keys, has_spaces = 0, False
    for begin in range(0, len(letters), _BLOCK):
        block = letters[begin : begin + _BLOCK + 1]
        before = block[:-1][block[1:] == _COLON]
        keys += int(np.count_nonzero(before == _QUOTE))
        has_spaces = has_spaces or bool((before <= _SPACE).any())
    if has_spaces:
        keys += len(re.findall(b'"[ \\t\\r\\n]+:', content))
    return int(np.count_nonzero(letters == _BRACE)), keys


class _Pairs(list[tuple[str, Any]]):
    """The pairs of an object."""


def _count_keys(parsed: object, braces: int) -> int:
    """Return how many keys all objects have together; *braces* tells whether a reply has any within its rows."""
    results = parsed if isinstance(parsed, list) else []
    parts = [results]
    for one in results:
        rows, span = (one.get(key) for key in ("result", "timeRange")) if type(one) is dict else (None, None)
        parts += [[span], rows] if type(rows) is list else [[None]]
    if sum(map(len, parts)) == braces and all(set(map(type, part)) <= {dict} for part in parts):
        return sum(sum(map(len, part)) for part in parts)
    count, stack = 0, [parsed]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            count += len(value)
            stack.extend(one for one in value.values() if type(one) is dict or type(one) is list)
        elif isinstance(value, list):
            stack.extend(one for one in value if type(one) is dict or type(one) is list)
    return count


def _check(value: object, path: str) -> None:
    if isinstance(value, _Pairs):
        keys = [key for key, _ in value]
        if len(set(keys)) < len(keys):
            repeated = next(key for key in keys if keys.count(key) > 1)
            raise ResponseError(f"the object has the key {format_value(repeated)} twice", path=path)
        for key, one in value:
            _check(one, f"{path}.{key}" if key.isidentifier() else f"{path}[{key!r}]")
    elif isinstance(value, list):
        for place, one in enumerate(value):
            _check(one, f"{path}[{place}]")
