"""A query in its other forms: the contract's body and back, code that can be pasted, a shell command."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from vapi_frames.errors import QueryError, require, shown, suggest
from vapi_frames.timerange import Absolute, iso
from vapi_frames.vocabulary import (
    BASE_URL,
    COLUMNS,
    GROUP_COLUMNS,
    KEY_LIMIT,
    NAME_LIMIT,
    OPERATIONS,
    SPOKEN_COLUMNS,
    SPOKEN_GROUPS,
    SPOKEN_OPERATIONS,
    Column,
    Measure,
    Operation,
    default_name,
    measure,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from vapi_frames.contract import AnalyticsQuery
    from vapi_frames.filters import Filter
    from vapi_frames.query import Query
    from vapi_frames.timerange import Moment

__all__ = [
    "SPOKEN_VERBS",
    "Aggregation",
    "added",
    "check_groups",
    "check_keys",
    "check_new",
    "check_text",
    "code",
    "compile_query",
    "curl",
    "hint",
    "read_pair",
    "read_query",
    "with_counts",
]


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One measure as it was asked for.

    Attributes:
        operation: The contract's operation.
        column: The contract's column.
        alias: The name it was given, ``None`` for the API's own.
    """

    operation: Operation
    column: Column
    alias: str | None = None

    @property
    def name(self) -> str:
        """The name of its column on the frame."""
        return self.alias or default_name(self.operation, self.column)

    @property
    def wire(self) -> str:
        """The alias on the wire: the name, shortened where it is longer than the contract allows."""
        name = self.name
        if len(name) <= NAME_LIMIT:
            return name
        return f"{name[:31]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"

    @property
    def measure(self) -> Measure:
        """What is known of it."""
        return measure(self.operation, self.column)


_OF_FRAMES = {
    "plot",
    "head",
    "tail",
    "loc",
    "iloc",
    "index",
    "columns",
    "shape",
    "vapi",
    "describe",
    "sort_values",
    "to_csv",
}
SPOKEN_VERBS = {
    "groupby": "by", "group_by": "by", "group": "by", "average": "avg", "total": "sum", "size": "count",
    "variable": "by_variable", "variables": "by_variable", "groupbyvariable": "by_variable", "range": "between",
    "freq": "step", "resample": "step", "execute": "fetch", "run": "fetch", "collect": "fetch", "name": "named",
    "filter": "where", "filters": "where", "filter_by": "where", "query": "where", "isin": "where",
}  # fmt: skip


def hint(name: str, kind: type) -> str:
    """Return what someone who looks for the attribute *name* of a query may have meant."""
    if name.startswith("_"):
        return ""
    if name in _OF_FRAMES:
        return f"; .fetch() it first: the frame has .{name}"
    if name in ("median", "quantile", "std", "var", "nunique"):
        return "; the contract has sum, avg, count, min, max and history"
    verbs = [word for word in dir(kind) if not word.startswith("_") and callable(getattr(kind, word))]
    near = suggest(name, verbs, also=SPOKEN_VERBS)
    return f"; did you mean .{near[0]}()?" if near else ""


def check_text(value: object, what: str, limit: int | None) -> None:
    """Raise `QueryError` unless *value* is text that the contract has room for."""
    if not isinstance(value, str) or not value:
        raise QueryError(f"{what} must be text of at least one character, not {shown(value)}")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise QueryError(f"{what} {shown(value)} holds half of a surrogate pair, which no JSON text can carry")
    if limit is not None and len(value) > limit:
        raise QueryError(f"{what} {shown(value)} has {len(value)} characters; the contract allows {limit}")


def check_new(one: Aggregation, asked: tuple[Aggregation, ...]) -> None:
    """Raise `QueryError` where *one* repeats a measure, or takes a name that is taken."""
    if one in asked:
        raise QueryError(f'{one.operation}("{one.column}") is already asked for; name each measure once')
    if any(one.name == other.name for other in asked):
        raise QueryError(f"two measures are named {one.name!r}; give one of them another alias")
    if one.name in ("date", *GROUP_COLUMNS):
        raise QueryError(f"alias {one.name!r} is the name of an index level; choose another")


def read_pair(alias: str, pair: Any) -> tuple[Any, Operation]:
    """Return the column and the operation of a *pair* that is to be called *alias*; ``mean`` is the average."""
    if not isinstance(pair, tuple) or len(pair) != 2:  # noqa: PLR2004
        raise QueryError(f'{alias}={pair!r} is not a pair (column, operation); e.g. {alias}=("cost", "sum")')
    column, word = pair
    operation = "avg" if word == "mean" else word
    require(operation, OPERATIONS, "operation", also=SPOKEN_OPERATIONS)
    return column, cast("Operation", operation)


def added(
    asked: tuple[Aggregation, ...], operation: Operation, columns: Sequence[str], alias: str | None
) -> tuple[Aggregation, ...]:
    """Return *asked* with *operation* of each of *columns*; an *alias* names one."""
    if not columns:
        raise QueryError(f'{operation}() needs a column, e.g. {operation}("cost"); columns: {", ".join(COLUMNS)}')
    if alias is not None:
        if len(columns) > 1:
            raise QueryError(f"alias {alias!r} cannot name {len(columns)} measures; give each its own verb")
        check_text(alias, "alias", None)
    for column in columns:
        require(column, COLUMNS, "column", also=SPOKEN_COLUMNS)
        one = Aggregation(operation, cast("Column", column), alias)
        check_new(one, asked)
        asked = (*asked, one)
    return asked


def check_groups(columns: Sequence[str], groups: Sequence[str]) -> None:
    """Raise `QueryError` unless all *columns* are group columns, and none of them among *groups* or named twice."""
    for position, column in enumerate(columns):
        require(
            column, GROUP_COLUMNS, "group column", also=SPOKEN_GROUPS,
            hint="Give several one by one; for a variable of the calls use .by_variable(key).",
        )  # fmt: skip
        if column in groups or column in columns[:position]:
            raise QueryError(f"{column!r} is already grouped by; name each group once")


def check_keys(keys: Sequence[str], variables: Sequence[str]) -> None:
    """Raise `QueryError` unless all *keys* can be a variable's, and none is among *variables* or named twice."""
    for position, key in enumerate(keys):
        check_text(key, "variable key", KEY_LIMIT)
        if key in variables or key in keys[:position]:
            raise QueryError(f"variable {key!r} is already grouped by; name each once")


def with_counts(asked: tuple[Aggregation, ...]) -> tuple[Aggregation, ...]:
    """Return *asked* with, beside each average, the count of the same column, where it is not asked for."""
    counts = {one.column for one in asked if one.operation == "count"}
    found: list[Aggregation] = []
    for one in asked:
        found.append(one)
        if one.operation == "avg" and one.column not in counts:
            counts.add(one.column)
            found.append(Aggregation("count", one.column))
    return tuple(found)


def compile_query(query: Query[Any], now: datetime | None) -> dict[str, Any]:
    """Return *query* as one element of the body's ``queries``; of its filters, for which there is no room, the name."""
    if not query.asked:
        raise QueryError('nothing is asked for: add a measure, e.g. .count() or .sum("cost")')
    _check_names(query)
    start, end = query.instants(now)
    parts: dict[str, Any] = {"table": query.table, "name": query.title}
    if query.groups:
        parts["groupBy"] = list(query.groups)
    if query.variables:
        parts["groupByVariableValue"] = [{"key": key} for key in query.variables]
    span = {
        "step": query.time_step,
        "start": start and iso(start),
        "end": end and iso(end),
        "timezone": query.timezone,
    }
    if any(span.values()):
        parts["timeRange"] = {word: value for word, value in span.items() if value}
    parts["operations"] = [
        {"operation": one.operation, "column": one.column, "alias": one.wire} for one in query.measures
    ]
    if query.title is None:
        parts["name"] = _automatic_name(parts, query.filters)
    return parts


def _check_names(query: Query[Any]) -> None:
    """Raise `QueryError` where two columns or levels of the frame, or two keys on the wire, would have one name."""
    for names in ((*query.levels, *(one.name for one in query.measures)), [one.wire for one in query.measures]):
        if len(set(names)) < len(names):
            twice = next(name for name in names if list(names).count(name) > 1)
            raise QueryError(f"two of the answer's columns would be named {twice!r}; give one another alias")


def _automatic_name(parts: dict[str, Any], filters: tuple[Filter, ...]) -> str:
    """Name a query by what it asks and a hash of it, so that equal questions, and no others, have equal names."""
    hashable = {**parts, "name": "", **({"filters": filters} if filters else {})}
    hashed = hashlib.sha256(json.dumps(hashable, separators=(",", ":")).encode()).hexdigest()[:8]
    words = [one["alias"] for one in parts["operations"][:2]] + parts.get("groupBy", [])
    head = "-".join([*words, parts.get("timeRange", {}).get("step", "")]).strip("-")
    return f"{head[: NAME_LIMIT - 9]}-{hashed}"


def read_query(body: object, name: str | None) -> AnalyticsQuery:
    """Return the one query of *body*, or the one called *name*."""
    from vapi_frames.contract import parse_request

    if isinstance(body, str | bytes):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise QueryError(f"the body is not JSON: {error}") from None
    if isinstance(body, dict) and "queries" not in body and "table" in body:
        body = {"queries": [body]}
    queries = [one for one in parse_request(body).queries if name in (None, one.name)]
    if len(queries) != 1:
        called = "" if name is None else f" named {name!r}"
        raise QueryError(f"the body holds {len(queries)} queries{called}; pick exactly one of them with name=")
    return queries[0]


def curl(body: dict[str, Any]) -> str:
    """Return a shell command that posts *body* to the API, with the key left in the environment."""
    return (
        f'curl -sS {BASE_URL}/analytics \\\n  -H "Authorization: Bearer $VAPI_API_KEY" \\\n'
        f"  -H 'Content-Type: application/json' \\\n  --data {shlex.quote(json.dumps(body))}"
    )


def code(query: Query[Any]) -> str:
    """Return the code that builds *query* from ``vq``."""
    return f"vq.{query.table}()" + "".join(_verbs(query))


def _verbs(query: Query[Any]) -> Iterator[str]:
    plain: list[str] = []
    for position, one in enumerate(query.asked):
        if one.alias is not None:
            yield f".{one.operation}({_text(one.column)}, alias={_text(one.alias)})"
            continue
        plain.append(_text(one.column))
        after = query.asked[position + 1 : position + 2]
        if not after or after[0].alias is not None or after[0].operation != one.operation:
            is_all = one.operation == "count" and plain == ['"id"']
            yield f".{one.operation}({'' if is_all else ', '.join(plain)})"
            plain = []
    if query.counted:
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
    if isinstance(span, Absolute):
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


def _moment(value: Moment | None) -> str:
    return "None" if value is None else _text(value if isinstance(value, str) else iso(value))


def _text(value: str) -> str:
    """Write *value* as a Python literal in double quotes."""
    value = str.__str__(value)  # of an enumeration's or numpy's text, the text
    return json.dumps(value, ensure_ascii=False) if value.isprintable() else repr(value)
