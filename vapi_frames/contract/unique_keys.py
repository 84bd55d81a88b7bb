"""JSON objects that have a key twice: a parser takes the last value and does not say so."""

from __future__ import annotations

import json
import re
from typing import Any

from vapi_frames.errors import ResponseError, format_value

__all__ = ["check_unique_keys"]


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
    if isinstance(text, str):
        braces = text.count("{")
        written = text.count('":') + len(re.findall('"[ \\t\\r\\n]+:', text))
    else:
        braces = text.count(b"{")
        written = text.count(b'":') + len(re.findall(b'"[ \\t\\r\\n]+:', text))
    # More may be written without a repeated key, inside a text.
    if written > _count_keys(parsed, braces):
        _check(json.loads(text, object_pairs_hook=_Pairs), "$")


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
