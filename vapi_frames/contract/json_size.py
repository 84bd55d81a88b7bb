"""How much a JSON text holds, counted before it is decoded: kilobytes of gzip can become gigabytes of objects."""

from __future__ import annotations

import re

__all__ = ["MOST_PARTS", "count_parts", "has_too_many_parts"]

MOST_PARTS = 4_000_000
"""How many keys and values a text may hold that is decoded as a whole; they take up to some 600 MB."""
# Each key and each value has one of "[{,:" before it; a colon after a key stands behind its quotation mark, or a blank.
# Other colons are within texts: times have two each, and would send a reply of times to the slow count.
_MARKS = ("[", "{", ",", '":', " :", "\t:", "\n:", "\r:")
# Possessive, because a text may have millions of escapes, and each step back that is remembered takes memory.
_MARK_OR_TEXT = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|([\[{])|([\]}])|([,:])'
_OPENING, _CLOSING = 1, 2  # groups, as is the third
_COUNTED = (1, 3)
_TEXT_TOKENS = re.compile(_MARK_OR_TEXT, re.DOTALL).finditer
_BYTE_TOKENS = re.compile(_MARK_OR_TEXT.encode(), re.DOTALL).finditer


def has_too_many_parts(text: str | bytes | bytearray, start: int = 0) -> bool:
    """Return whether the JSON value at *start* holds more keys and values than are decoded as a whole."""
    return count_parts(text, start, most=MOST_PARTS) > MOST_PARTS


def count_parts(text: str | bytes | bytearray, start: int = 0, *, most: int) -> int:
    """Return how many keys and values the JSON value at *start* holds, or a number above *most* if it is more.

    Where there can be no more than *most*, the number may be too high: what is within texts counts, too.

    Examples:
        >>> count_parts('[{"a": 1}, []]', most=4)
        5
    """
    length = len(text) - start
    if length <= most:
        return length
    marks: int = (
        sum(text.count(mark, start) for mark in _MARKS)
        if isinstance(text, str)
        else sum(text.count(mark.encode(), start) for mark in _MARKS)
    )
    if marks <= most:
        return marks
    found = depth = 0
    tokens = _TEXT_TOKENS(text, start) if isinstance(text, str) else _BYTE_TOKENS(text, start)
    for token in tokens:
        kind = token.lastindex
        if kind == _OPENING:
            depth += 1
        elif kind == _CLOSING:
            depth -= 1
        if depth <= 0:  # the value ended here, or it is a plain one
            break
        if kind in _COUNTED and (found := found + 1) > most:
            break
    return found
