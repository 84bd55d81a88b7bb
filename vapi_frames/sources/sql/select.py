"""A query as one SELECT, in DuckDB's dialect; pure text, no engine.

No engine's zone-aware truncation equals PostgreSQL's ``date_trunc`` on every step and zone, so none is used. With
``e`` the whole seconds since 1970, the SELECT lists the few changes of the zone's offset inside the range, and the
rest is ``+ - %`` on integers, which every engine computes alike. A bucket of an hour or less comes back as its instant,
a longer one as the seconds of its wall clock; `read_bucket` turns either into the instant that names it.

The text uses only what every engine has: no ``GROUP BY`` of an alias of the same SELECT, no function but aggregates.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from vapi_frames.calendar import buckets
from vapi_frames.contract.record_words import OUTPUT
from vapi_frames.contract.vocabulary import RECORD_OPERATIONS
from vapi_frames.errors import QueryError
from vapi_frames.query.filters import get_variable_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from vapi_frames.query.aggregation import Aggregation
    from vapi_frames.query.query import Query

MINUTE_COLUMNS = ("duration", "minutesUsed")
"""The columns that are computed from a call's start and end."""

__all__ = [
    "MINUTE_COLUMNS",
    "CallInterval",
    "QueryColumns",
    "check_answerable",
    "counts_missing_ids",
    "list_clocks",
    "quote_name",
    "quote_text",
    "read_bucket",
    "write_bucket",
    "write_condition",
    "write_cte",
    "write_rows",
    "write_select",
    "write_wall_clock",
]


def quote_name(name: str) -> str:
    """Return *name* as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Return *text* as a string literal."""
    return "'" + text.replace("'", "''") + "'"


def _write_instant(at: datetime) -> str:
    """Return the aware *at* as a literal."""
    return f"TIMESTAMPTZ '{at.replace(tzinfo=None).isoformat(sep=' ')}+00'"


class CallInterval(NamedTuple):
    """When a call was active, as SQL expressions.

    Attributes:
        started: Its start, in a type that compares with what *instant* writes.
        ended: Its end, likewise.
        is_over: The condition under which the record says that the call is over.
        instant: Writes whole microseconds since 1970 as a literal.
        micros: Writes the whole microseconds since 1970 of an expression.
        is_read_once: Whether the engine makes a call's start and end of one row faster than it reads the table twice.
            PostgreSQL does not: it would do so in one process.
    """

    started: str
    ended: str
    is_over: str
    instant: Callable[[int], str] = str
    micros: Callable[[str], str] = str
    is_read_once: bool = False


@dataclass(frozen=True, slots=True)
class QueryColumns:
    """What a query uses, as SQL expressions over the relation of call records.

    Attributes:
        created: The call's creation, in a type that compares with what *instant* writes.
        epoch: Its whole seconds since 1970, whatever the session's zone.
        groups: Group column or ``output.<name>`` → text expression, also of those that are only filtered by.
        variables: Variable key → text expression, likewise.
        values: Measured column → numeric expression (``id``: of any type).
        interval: When the call was active; only for a query of concurrency.
        instant: Writes an aware UTC datetime as a literal.
        quantile: Writes the quantile *q* of an expression, exact and linear between two values.
        has_every_id: Whether no call is known to lack its id, so that the SELECT need not look for those.
        ends: Start and end of a call in a type that compares them, where its minutes are the time between them.
        clock: The creation, where the engine cuts it to a step faster than it divides integers.
        cut: Writes what *clock* is cut to by a step.
    """

    created: str
    epoch: str
    groups: Mapping[str, str]
    variables: Mapping[str, str]
    values: Mapping[str, str]
    interval: CallInterval | None = None
    instant: Callable[[datetime], str] = _write_instant
    quantile: Callable[[str, float], str] = lambda value, q: f"quantile_cont({value}, {q!r})"
    has_every_id: bool = False
    ends: tuple[str, str] | None = None
    clock: str | None = None
    cut: Callable[[str, str], str] = lambda step, at: f"cut_to('{step}', {at})"


def check_answerable(query: Query[Any]) -> None:
    """Raise `QueryError` for what the contract accepts but call records give no meaning."""
    for one in query.measures:
        if query.table not in one.measure.tables:
            cure = "; use vq.subscription()" if "subscription" in one.measure.tables else ""
            if one.operation in RECORD_OPERATIONS:
                raise QueryError(f"{one.code} has no meaning on table {query.table}{cure or '; use vq.call()'}")
            raise QueryError(
                f"{one.code} has no known meaning on table {query.table}, so call records cannot answer it; "
                f"the API may{cure}"
            )
    words = (*query.groups, *query.variables, *query.outputs, *(word for word, _ in query.filters))
    if query.table == "subscription" and words:
        names = ", ".join(dict.fromkeys(words))
        cure = '; for minutes by group use vq.call().sum("duration")'
        raise QueryError(
            f"the subscription is one for all calls, so call records cannot split it by {names}; the API may{cure}"
        )
    if len(query.measures) > 1 and any(one.operation == "history" for one in query.measures):
        raise QueryError(
            'history("concurrency") has a row for each change, so call records answer it only as the one measure of a '
            "query: fetch the other measures with a second query"
        )


def write_select(
    query: Query[Any],
    columns: QueryColumns,
    relation: str,
    start: datetime,
    end: datetime,
    *,
    records_range: tuple[datetime, datetime] | None = None,
) -> str:
    """Return the SELECT that answers *query* from *relation* over [start, end).

    Every record was created within *records_range*, where it is known: a query over centuries then lists the bucket
    edges of the records' own years only.

    The columns are ``g0…`` (the index levels, ``date`` first as an integer), ``m0…`` (the measures); with minutes
    ``w``, how many calls ended before they started, and ``u``, how many have no minutes; ``x``, how many have no id,
    where `counts_missing_ids`; and without levels ``n``, how many calls there were.
    """
    has_ids = counts_missing_ids(query, columns)
    counted = [one for one in query.measures if one.column != "id" or one.operation == "nunique"]
    used = list(dict.fromkeys(one.column for one in counted))
    values = {f"v{i}": columns.values[column] for i, column in enumerate(used)}
    minutes = [f"v{used.index(column)}" for column in MINUTE_COLUMNS if column in used]
    if has_ids:  # an engine that stores columns need not read the ids for this
        values["without_id"] = f"{columns.values['id']} IS NULL"
    if minutes and columns.ends:
        values |= dict(zip(("started", "ended"), columns.ends, strict=True))
    span = start, end
    steps, source, levels = write_rows(
        query, columns, relation, span, values, records_range=records_range, truncates=columns.clock is not None
    )
    named = levels
    if query.time_step and columns.clock is not None:
        named = ["seconds_of_clock(g0) AS g0", *levels[1:]]
    outer = [
        *named,
        *(
            f"{_write_measure(one, f'v{used.index(one.column)}' if one in counted else '', columns)} AS m{i}"
            for i, one in enumerate(query.measures)
        ),
    ]
    if minutes and columns.ends:  # an engine may compute minutes anew at each place that names them
        outer.append("sum(CASE WHEN ended < started THEN 1 ELSE 0 END) AS w")
        outer.append("sum(CASE WHEN started IS NULL OR ended IS NULL THEN 1 ELSE 0 END) AS u")
    elif minutes:
        outer.append(f"sum(CASE WHEN {minutes[0]} < 0 THEN 1 ELSE 0 END) AS w")
        outer.append(f"count(*) - count({minutes[0]}) AS u")
    if has_ids:
        outer.append("sum(CASE WHEN without_id THEN 1 ELSE 0 END) AS x")
    if not levels:
        outer.append("count(*) AS n")  # a SELECT without groups has one row, also where there are no calls
    grouped = f"\nGROUP BY {', '.join(levels)}" if levels else ""
    return f"WITH {', '.join(steps)}\nSELECT {', '.join(outer)}\nFROM {source}{grouped}"


def counts_missing_ids(query: Query[Any], columns: QueryColumns) -> bool:
    """Return whether the SELECT of *query* counts the calls without an id."""
    return not columns.has_every_id and any(one.column == "id" for one in query.measures)


def write_rows(
    query: Query[Any],
    columns: QueryColumns,
    relation: str,
    span: tuple[datetime, datetime],
    values: Mapping[str, str],
    *,
    records_range: tuple[datetime, datetime] | None = None,
    truncates: bool = False,
) -> tuple[list[str], str, list[str]]:
    """Return the common table expressions that select a row for each call that *query* counts.

    Args:
        query: The query.
        columns: The relation's expressions of what the query uses.
        relation: The table, as SQL.
        span: Start and end of the range, in UTC.
        values: Name → expression of what each row has beside its levels; no name is ``e``, ``l`` or ``g0``, ``g1`` …
        records_range: As in `write_select`.
        truncates: Whether ``g0`` is a wall clock that the engine cut off, and not an integer.

    Returns:
        The expressions, the name of the last one, and the names of the levels in it: ``g0…``.
    """
    start, end = span
    expressions = [columns.groups[name] for name in query.groups] + [columns.variables[key] for key in query.variables]
    expressions += [columns.groups[f"{OUTPUT}{name}"] for name in query.outputs]
    first = 1 if query.time_step else 0
    groups = {f"g{first + i}": expression for i, expression in enumerate(expressions)}
    # The range is never wider than the edges below; a record newer than records_range shows in the next query.
    low, high = (start, end) if records_range is None else (max(start, records_range[0]), min(end, records_range[1]))
    condition = write_condition(query, columns, low, high)
    edges = max(buckets.to_seconds(low), 0), max(buckets.to_seconds(high), buckets.to_seconds(low), 0) + 1
    truncates = truncates and query.time_step is not None
    dates = {"e": columns.epoch} if query.time_step else {}
    if query.time_step and truncates:
        dates = {"g0": _write_truncated(columns, query.time_step, edges, query.zone)}
    inner = {**dates, **groups, **values} or {"one": "1"}  # a count of calls needs no column
    named = ", ".join(f"{expression} AS {name}" for name, expression in inner.items())
    steps = [write_cte("in_range", f"SELECT {named}", f"FROM {relation}", f"WHERE {condition}")]
    if not query.time_step or truncates:
        return steps, "in_range", [*(["g0"] if truncates else []), *groups]
    others = "".join(f", {name}" for name in (*groups, *values))
    bucket = write_bucket("e", query.time_step, edges, query.zone)
    clocks = list_clocks(edges, query.time_step, query.zone)
    steps += [
        write_cte("on_clock", f"SELECT e, {write_wall_clock('e', clocks)} AS l{others}", "FROM in_range"),
        write_cte("in_buckets", f"SELECT {bucket} AS g0{others}", "FROM on_clock"),
    ]
    return steps, "in_buckets", ["g0", *groups]


def _write_measure(one: Aggregation, value: str, columns: QueryColumns) -> str:
    """Return the expression of one measure of *value*."""
    if one.operation in ("median", "quantile"):
        return columns.quantile(value, 0.5 if one.q is None else one.q)
    if one.operation == "nunique":
        return f"count(DISTINCT {value})"
    return "count(*)" if one.column == "id" else f"{one.operation}({value})"  # a call without an id is a call


def write_condition(query: Query[Any], columns: QueryColumns, start: datetime, end: datetime) -> str:
    """Return the condition that a call was created in [start, end) and matches the filters of *query*."""
    in_range = f"{columns.created} >= {columns.instant(start)} AND {columns.created} < {columns.instant(end)}"
    return " AND ".join([in_range, *_write_filters(query, columns)])


def _write_filters(query: Query[Any], columns: QueryColumns) -> Iterator[str]:
    """Yield a condition for each filter of the query."""
    for word, values in query.filters:
        key = get_variable_key(word)
        expression = columns.groups[word] if key is None else columns.variables[key]
        texts = [quote_text(value) for value in values if value is not None]
        conditions = [f"{expression} IN ({', '.join(texts)})"] if texts else []
        if None in values:
            conditions.append(f"{expression} IS NULL")
        yield conditions[0] if len(conditions) == 1 else f"({' OR '.join(conditions)})"


def write_cte(name: str, *lines: str) -> str:
    """Return a common table expression: one part of a WITH clause."""
    return f"{name} AS (\n  " + "\n  ".join(lines) + "\n)"


def list_clocks(span: tuple[int, int], step: str, tz: ZoneInfo) -> list[tuple[int, int]]:
    """Return until when, and how far, an instant is moved to be cut to *step* as on the wall clock; in seconds.

    A bucket of an hour or less keeps its instant, so that an offset of whole buckets moves nothing.
    """
    length = buckets.FIXED_STEPS.get(step)
    clocks: list[tuple[int, int]] = []
    for _, until, offset in buckets.split_by_offset(*span, tz):
        moved = offset % length if length else offset
        if clocks and clocks[-1][1] == moved:
            clocks.pop()
        clocks.append((until, moved))
    return clocks


def write_wall_clock(at: str, clocks: Sequence[tuple[int, int]], unit: int = 1) -> str:
    """Return the expression of *at*, an instant in units of 1/*unit* second, moved as `list_clocks` says."""
    *early, (_, last) = clocks
    if not early:
        return f"{at} + {last * unit}" if last else at
    arms = " ".join(f"WHEN {at} < {until * unit} THEN {moved * unit}" for until, moved in early)
    return f"{at} + CASE {arms} ELSE {last * unit} END"


def write_bucket(at: str, step: str, span: tuple[int, int], tz: ZoneInfo, unit: int = 1) -> str:
    """Return the expression of the bucket of *at*, with its wall clock in ``l``; all in units of 1/*unit* second."""
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


def _write_truncated(columns: QueryColumns, step: str, span: tuple[int, int], tz: ZoneInfo) -> str:
    """Return the expression of a call's bucket as a wall clock: that of UTC for an hour or less, else that of *tz*."""
    length = buckets.FIXED_STEPS.get(step)

    def write_arm(moved: int) -> str:
        if not moved:
            return columns.cut(step, f"{columns.clock}")
        found = columns.cut(step, f"moved_by({columns.clock}, {moved})")
        return f"moved_by({found}, {-moved})" if length else found

    *early, last = list_clocks(span, step, tz)
    if not early:
        return write_arm(last[1])
    until_each = (
        f"WHEN {columns.created} < {columns.instant(buckets.from_seconds(until))} THEN {write_arm(moved)}"
        for until, moved in early
    )
    return f"CASE {' '.join(until_each)} ELSE {write_arm(last[1])} END"


def read_bucket(value: int, step: str, tz: ZoneInfo) -> int:
    """Return the instant that names the bucket that came back as *value*."""
    return value if step in buckets.FIXED_STEPS else buckets.label_bucket(value, tz)
