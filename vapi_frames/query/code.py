"""A query as code: its repr, which can be pasted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from vapi_frames.calendar.ranges import AbsoluteRange, format_iso

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vapi_frames.calendar.ranges import TimePoint
    from vapi_frames.query.filters import Filter
    from vapi_frames.query.spec import QuerySpec

__all__ = ["format_code", "list_verbs"]


def format_code(query: QuerySpec[Any]) -> str:
    """Return the code that builds *query* from ``vq``."""
    return "".join(list_verbs(query))


def list_verbs(query: QuerySpec[Any]) -> list[str]:
    """Return the calls of that code, one by one."""
    return [f"vq.{query.table}()", *_format_verbs(query)]


def _format_verbs(query: QuerySpec[Any]) -> Iterator[str]:
    plain: list[str] = []
    for position, one in enumerate(query.aggregations):
        q = "" if one.q is None else f", {one.q!r}"
        if one.alias is not None or q:
            alias = "" if one.alias is None else f", alias={_quote(one.alias)}"
            yield f".{one.operation}({_quote(one.column)}{q}{alias})"
            continue
        plain.append(_quote(one.column))
        after = query.aggregations[position + 1 : position + 2]
        if not after or after[0].alias is not None or after[0].operation != one.operation:
            is_all = one.operation == "count" and plain == ['"id"']
            yield f".{one.operation}({'' if is_all else ', '.join(plain)})"
            plain = []
    if query.has_counts:
        yield ".with_counts()"
    for verb, words in (("by", query.groups), ("by_variable", query.variables), ("by_output", query.outputs)):
        if words:
            yield f".{verb}({', '.join(map(_quote, words))})"
    if query.filters:
        yield f".where({_format_filters(query.filters)})"
    if query.time_step:
        yield f".step({_quote(query.time_step)})"
    span = query.time_range
    if isinstance(span, AbsoluteRange):
        sides = f"{_format_time_point(span.start)}, {_format_time_point(span.end)}"
        yield f".since({_format_time_point(span.start)})" if span.end is None else f".between({sides})"
    elif span is not None:
        yield f".last({_quote(str(span))}{', complete=True' if span.complete else ''})"
    if query.timezone:
        yield f".tz({_quote(query.timezone)})"
    if query.title is not None:
        yield f".named({_quote(query.title)})"


def _format_filters(filters: tuple[Filter, ...]) -> str:
    """Write *filters* as arguments; names that are no Python identifiers go into a dict."""
    named, others = [], []
    for name, values in filters:
        texts = ["None" if value is None else _quote(value) for value in values]
        text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        if name.isidentifier():
            named.append(f"{name}={text}")
        else:
            others.append(f"{_quote(name)}: {text}")
    return ", ".join([*([f"{{{', '.join(others)}}}"] if others else []), *named])


def _format_time_point(value: TimePoint | None) -> str:
    return "None" if value is None else _quote(value if isinstance(value, str) else format_iso(value))


def _quote(value: str) -> str:
    """Write *value* as a Python literal in double quotes."""
    value = str.__str__(value)  # turns an enumeration's or numpy's text into plain text
    return json.dumps(value, ensure_ascii=False) if value.isprintable() else repr(value)
