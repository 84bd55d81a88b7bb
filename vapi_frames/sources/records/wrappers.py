"""The calls in a JSON value: arrays, pages of calls, and the data of workflows are unwrapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["iter_calls"]

_WRAPPERS = ("results", "calls", "data", "list")
"""The keys under which APIs, exports and scripts put a list of calls."""
_DEPTH = 4  # of wrappers in each other


def iter_calls(value: Any, depth: int = _DEPTH) -> Iterator[Any]:
    """Yield the calls in a JSON value: the value itself, or what is in an array, a page of calls or a workflow's data.

    Examples:
        >>> list(iter_calls({"data": [{"output": {"id": "a"}}, {"id": "b"}]}))
        [{'id': 'a'}, {'id': 'b'}]
    """
    inside = _unwrap(value) if depth else None
    if inside is None:
        yield value
    else:
        for one in inside:
            yield from iter_calls(one, depth - 1)


def _unwrap(value: Any) -> Sequence[Any] | None:
    """Return what is in *value* if it is a list, or an object that wraps calls."""
    if isinstance(value, list | tuple):
        return value
    if not isinstance(value, dict) or "createdAt" in value or "created_at" in value:
        return None
    for key in _WRAPPERS:
        if isinstance(value.get(key), list):
            found: list[Any] = value[key]
            return found
    if isinstance(value.get("pinData"), dict):  # of a workflow: its nodes, each with items
        return [item for items in value["pinData"].values() if isinstance(items, list) for item in items]
    for key in ("output", "json", "body"):
        if isinstance(value.get(key), dict):
            return [value[key]]
    return None
