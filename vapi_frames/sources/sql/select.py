"""A query as one SELECT, in DuckDB's dialect; pure text, no engine.

No engine's own zone-aware truncation equals PostgreSQL's ``date_trunc`` on every step and zone, so none is used. With
``e`` the whole seconds since 1970, the zone's few offset changes inside the range are spelled out, and the rest is
``+ - %`` on integers, which every engine computes alike. A bucket of an hour or less comes back as its instant, a
longer one as the seconds of its wall clock; `bucket_label` turns either into the instant that names it.

Only what every engine has is written: no ``GROUP BY`` of an alias of the same level, no function but the aggregates.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from vapi_frames.calendar import buckets
from vapi_frames.errors import QueryError
from vapi_frames.query.filters import get_variable_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from vapi_frames.query.query import Query

MINUTES = ("duration", "minutesUsed")
"""The columns that are made of a call's begin and end."""

__all__ = [
    "MINUTES",
    "Columns",
    "Interval",
    "bucket",
    "bucket_label",
    "check_answerable",
    "literal",
    "local",
    "quote",
    "select",
    "stage",
]


def quote(name: str) -> str:
    """Return *name* as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return *text* as a string literal."""
    return "'" + text.replace("'", "''") + "'"


def instant(at: datetime) -> str:
    """Return the aware *at* as a literal."""
    return f"TIMESTAMPTZ '{at.replace(tzinfo=None).isoformat(sep=' ')}+00'"


class Interval(NamedTuple):
    """From when until when a call was active, as SQL expressions.

    Attributes:
        started: Its begin in whole microseconds since 1970.
        ended: Its end, likewise.
        is_over: The condition under which the record says that it is over.
    """

    started: str
    ended: str
    is_over: str


@dataclass(frozen=True, slots=True)
class Columns:
    """How the records hold what a query uses, as SQL expressions over the relation.

    Attributes:
        created: The call's creation, in a type that compares with *instant*.
        epoch: The whole seconds since 1970 of it, whatever the session's zone.
        groups: Group column → text expression, also of those that are only filtered by.
        variables: Variable key → text expression, likewise.
        values: Measured column → numeric expression (``id``: any).
        interval: From when until when it was active; only where that is asked for.
        instant: Writes an aware UTC datetime as a literal.
    """

    created: str
    epoch: str
    groups: Mapping[str, str]
    variables: Mapping[str, str]
    values: Mapping[str, str]
    interval: Interval | None = None
    instant: Callable[[datetime], str] = instant


def check_answerable(query: Query[Any]) -> None:
    """Raise `QueryError` for what the contract accepts but call records give no meaning."""
    for one in query.measures:
        if query.table not in one.measure.tables:
            cure = "; ask vq.subscription()" if "subscription" in one.measure.tables else ""
            raise QueryError(
                f'{one.operation}("{one.column}") has no known meaning on table {query.table}, so call records cannot '
                f"answer it; the API may{cure}"
            )
    words = (*query.groups, *query.variables, *(word for word, _ in query.filters))
    if query.table == "subscription" and words:
        names = ", ".join(dict.fromkeys(words))
        cure = '; for minutes by group ask vq.call().sum("duration")'
        raise QueryError(
            f"the subscription is one for all calls, so call records cannot split it by {names}; the API may{cure}"
        )
    if len(query.measures) > 1 and any(one.operation == "history" for one in query.measures):
        raise QueryError('history("concurrency") has rows of its own, so call records answer it alone; ask it alone')


def select(
    query: Query[Any],
    columns: Columns,
    relation: str,
    start: datetime,
    end: datetime,
    *,
    within: tuple[datetime, datetime] | None = None,
) -> str:
    """Return the SELECT that answers *query* from *relation* over [start, end).

    *within* is known to hold every record: a range of centuries then needs no more edges than the records' own years.

    The columns are ``g0…`` (the index levels, ``date`` first as an integer), ``m0…`` (the measures), with minutes
    ``w``, how many calls ended before they started, and without levels ``n``, how many calls there were.
    """
    expressions = [columns.groups[name] for name in query.groups] + [columns.variables[key] for key in query.variables]
    first = 1 if query.time_step else 0
    groups = {f"g{first + i}": expression for i, expression in enumerate(expressions)}
    used = list(dict.fromkeys(one.column for one in query.measures))
    values = {f"v{i}": columns.values[column] for i, column in enumerate(used)}
    inner = {**({"e": columns.epoch} if query.time_step else {}), **groups, **values}
    named = ", ".join(f"{expression} AS {name}" for name, expression in inner.items())
    low, high = (start, end) if within is None else (max(start, within[0]), min(end, within[1]))
    # Never wider than the edges below: what came since the look is left to the next one.
    ranged = f"{columns.created} >= {columns.instant(low)} AND {columns.created} < {columns.instant(high)}"
    conditions = " AND ".join([ranged, *_chosen(query, columns)])
    steps = [stage("in_range", f"SELECT {named}", f"FROM {relation}", f"WHERE {conditions}")]
    levels = [*(["g0"] if query.time_step else []), *groups]
    if query.time_step:
        span = max(buckets.to_seconds(low), 0), max(buckets.to_seconds(high), buckets.to_seconds(low), 0) + 1
        others = "".join(f", {name}" for name in (*groups, *values))
        steps += [
            stage("on_clock", f"SELECT e, {local('e', span, query.zone)} AS l{others}", "FROM in_range"),
            stage(
                "in_buckets",
                f"SELECT {bucket('e', query.time_step, span, query.zone)} AS g0{others}",
                "FROM on_clock",
            ),
        ]
    outer = [*levels, *(f"{one.operation}(v{used.index(one.column)}) AS m{i}" for i, one in enumerate(query.measures))]
    if timed := [f"v{used.index(column)}" for column in MINUTES if column in used]:
        outer.append(f"sum(CASE WHEN {timed[0]} < 0 THEN 1 ELSE 0 END) AS w")
    if not levels:
        outer.append("count(*) AS n")  # the one row says nothing else of whether there were any calls
    grouped = f"\nGROUP BY {', '.join(levels)}" if levels else ""
    source = "in_buckets" if query.time_step else "in_range"
    return f"WITH {', '.join(steps)}\nSELECT {', '.join(outer)}\nFROM {source}{grouped}"


def _chosen(query: Query[Any], columns: Columns) -> Iterator[str]:
    """Yield the conditions that the query's filters are."""
    for word, values in query.filters:
        key = get_variable_key(word)
        expression = columns.groups[word] if key is None else columns.variables[key]
        texts = [literal(value) for value in values if value is not None]
        ways = [f"{expression} IN ({', '.join(texts)})"] if texts else []
        if None in values:
            ways.append(f"{expression} IS NULL")
        yield ways[0] if len(ways) == 1 else f"({' OR '.join(ways)})"


def stage(name: str, *lines: str) -> str:
    """Return a step of the WITH clause."""
    return f"{name} AS (\n  " + "\n  ".join(lines) + "\n)"


def local(at: str, span: tuple[int, int], tz: ZoneInfo, unit: int = 1) -> str:
    """Return the expression for what the wall clock shows at *at*, an instant in *unit* parts of a second."""
    segments = list(buckets.split_by_offset(*span, tz))
    if len(segments) == 1:
        return f"{at} + {segments[0][2] * unit}"
    arms = " ".join(f"WHEN {at} < {until * unit} THEN {offset * unit}" for _, until, offset in segments[:-1])
    return f"{at} + CASE {arms} ELSE {segments[-1][2] * unit} END"


def bucket(at: str, step: str, span: tuple[int, int], tz: ZoneInfo, unit: int = 1) -> str:
    """Return the expression for the bucket of *at*, whose wall clock is ``l``; all in *unit* parts of a second."""
    if step in buckets.FIXED_STEPS:
        length = buckets.FIXED_STEPS[step] * unit
        return at if length == 1 else f"{at} - l % {length}"
    if step == "day":
        return f"l - l % {buckets.DAY * unit}"
    if step == "week":  # the Monday before 1970-01-01 was three days earlier
        return f"l - (l + {3 * buckets.DAY * unit}) % {7 * buckets.DAY * unit}"
    edges = [edge * unit for edge in buckets.list_local_edges(*span, step, tz)]
    if len(edges) == 1:
        return f"{edges[0]}"
    arms = " ".join(f"WHEN l < {after} THEN {edge}" for edge, after in pairwise(edges))
    return f"CASE {arms} ELSE {edges[-1]} END"


def bucket_label(value: int, step: str, tz: ZoneInfo) -> int:
    """Return the instant that names the bucket that came back as *value*."""
    return value if step in buckets.FIXED_STEPS else buckets.label_bucket(value, tz)
