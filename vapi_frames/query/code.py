"""A query as code that can be pasted."""

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

__all__ = ["format_code"]


def format_code(query: QuerySpec[Any]) -> str:
    """Return the code that builds *query* from ``vq``."""
    return f"vq.{query.table}()" + "".join(_verbs(query))


def _verbs(query: QuerySpec[Any]) -> Iterator[str]:
    plain: list[str] = []
    for position, one in enumerate(query.aggregations):
        if one.alias is not None:
            yield f".{one.operation}({_text(one.column)}, alias={_text(one.alias)})"
            continue
        plain.append(_text(one.column))
        after = query.aggregations[position + 1 : position + 2]
        if not after or after[0].alias is not None or after[0].operation != one.operation:
            is_all = one.operation == "count" and plain == ['"id"']
            yield f".{one.operation}({'' if is_all else ', '.join(plain)})"
            plain = []
    if query.has_counts:
        yield ".with_counts()"
    if query.groups:
        yield f".by({', '.join(map(_text, query.groups))})"
    if query.variables:
        yield f".by_variable({', '.join(map(_text, query.variables))})"
    if query.filters:
        yield f".where({_filters(query.filters)})"
    if query.time_step:
        yield f".step({_text(query.time_step)})"
    span = query.time_range
    if isinstance(span, AbsoluteRange):
        sides = f"{_moment(span.start)}, {_moment(span.end)}"
        yield f".since({_moment(span.start)})" if span.end is None else f".between({sides})"
    elif span is not None:
        yield f".last({_text(str(span))}{', complete=True' if span.complete else ''})"
    if query.timezone:
        yield f".tz({_text(query.timezone)})"
    if query.title is not None:
        yield f".named({_text(query.title)})"


def _filters(filters: tuple[Filter, ...]) -> str:
    """Write *filters* as arguments: those whose word is no name of Python's in a dict."""
    named, others = [], []
    for word, values in filters:
        texts = ["None" if value is None else _text(value) for value in values]
        text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        if word.isidentifier():
            named.append(f"{word}={text}")
        else:
            others.append(f"{_text(word)}: {text}")
    return ", ".join([*([f"{{{', '.join(others)}}}"] if others else []), *named])


def _moment(value: TimePoint | None) -> str:
    return "None" if value is None else _text(value if isinstance(value, str) else format_iso(value))


def _text(value: str) -> str:
    """Write *value* as a Python literal in double quotes."""
    value = str.__str__(value)  # of an enumeration's or numpy's text, the text
    return json.dumps(value, ensure_ascii=False) if value.isprintable() else repr(value)
