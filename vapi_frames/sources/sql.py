"""A query as one SELECT, in DuckDB's dialect; pure text, no engine.

No engine's own zone-aware truncation equals PostgreSQL's ``date_trunc`` on every step and zone, so none is used. With
``e`` the whole seconds since 1970, the zone's few offset changes inside the range are spelled out, and the rest is
``+ - %`` on integers, which every engine computes alike. A bucket of an hour or less comes back as its instant, a
longer one as the seconds of its wall clock; `bucket_label` turns either into the instant that names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from vapi_frames import timegrid
from vapi_frames.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from vapi_frames.query import Query

__all__ = ["Columns", "bucket_label", "check_answerable", "literal", "quote", "select"]


@dataclass(frozen=True, slots=True)
class Columns:
    """How the records hold what a query uses, as SQL expressions over the relation.

    Attributes:
        created: The call's creation as a timestamp with time zone.
        epoch: The whole seconds since 1970 of it, whatever the session's zone.
        groups: Group column → text expression.
        variables: Variable key → text expression.
        values: Measured column → numeric expression (``id``: any).
    """

    created: str
    epoch: str
    groups: Mapping[str, str]
    variables: Mapping[str, str]
    values: Mapping[str, str]


def quote(name: str) -> str:
    """Return *name* as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return *text* as a string literal."""
    return "'" + text.replace("'", "''") + "'"


def check_answerable(query: Query[Any]) -> None:
    """Raise `QueryError` for what the contract accepts but call records give no meaning."""
    if query.table != "call":
        raise QueryError(
            "call records answer vq.call(); the subscription (concurrency, minutesUsed) is answered by the API"
        )
    for one in query.measures:
        if query.table not in one.measure.tables:
            raise QueryError(
                f'{one.operation}("{one.column}") has no known meaning on table {query.table}, so call records cannot '
                "answer it; the API may"
            )


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

    The result's columns are ``g0…`` (the index levels, ``date`` first as an integer) ``m0…`` (the measures),
    and without levels ``n``, how many calls there were.
    """
    inner = [f"{columns.epoch} AS e"] if query.time_step else []
    groups = [columns.groups[name] for name in query.groups] + [columns.variables[key] for key in query.variables]
    first = 1 if query.time_step else 0
    inner += [f"{expression} AS g{first + i}" for i, expression in enumerate(groups)]
    used = list(dict.fromkeys(one.column for one in query.measures))
    inner += [f"{columns.values[column]} AS v{i}" for i, column in enumerate(used)]
    source = (
        f"SELECT {', '.join(inner)}\n  FROM {relation}\n"
        f"  WHERE {columns.created} >= {_instant(start)} AND {columns.created} < {_instant(end)}"
    )
    levels = [f"g{i}" for i in range(first + len(groups))]
    outer = levels[first:]
    if query.time_step:
        low, high = (start, end) if within is None else (max(start, within[0]), min(end, within[1]))
        span = max(timegrid.seconds(low), 0), max(timegrid.seconds(high), timegrid.seconds(low), 0) + 1
        source = f"SELECT *, {_local(span, query.zone)} AS l\n  FROM ({source})"
        outer = [f"{_bucket(query.time_step, span, query.zone)} AS g0", *outer]
    outer += [f"{one.operation}(v{used.index(one.column)}) AS m{i}" for i, one in enumerate(query.measures)]
    if not levels:
        outer.append("count(*) AS n")  # the one row says nothing else of whether there were any calls
    grouped = f"\nGROUP BY {', '.join(levels)}" if levels else ""
    return f"SELECT {', '.join(outer)}\nFROM ({source}){grouped}"


def _instant(at: datetime) -> str:
    return f"TIMESTAMPTZ '{at.replace(tzinfo=None).isoformat(sep=' ')}+00'"


def _local(span: tuple[int, int], tz: ZoneInfo) -> str:
    """Return the expression for the wall clock's seconds at ``e``."""
    segments = list(timegrid.offset_segments(*span, tz))
    if len(segments) == 1:
        return f"e + {segments[0][2]}"
    arms = " ".join(f"WHEN e < {until} THEN {offset}" for _, until, offset in segments[:-1])
    return f"e + CASE {arms} ELSE {segments[-1][2]} END"


def _bucket(step: str, span: tuple[int, int], tz: ZoneInfo) -> str:
    """Return the expression for the bucket, from ``e`` and the wall clock ``l``."""
    if step in timegrid.FIXED_STEPS:
        return "e" if step == "second" else f"e - l % {timegrid.FIXED_STEPS[step]}"
    if step == "day":
        return "l - l % 86400"
    if step == "week":
        return "l - (l + 259200) % 604800"  # the Monday before 1970-01-01 was three days earlier
    edges = timegrid.local_edges(*span, step, tz)
    if len(edges) == 1:
        return f"l - l + {edges[0]}"  # GROUP BY takes a bare number for a column's position
    arms = " ".join(f"WHEN l < {after} THEN {edge}" for edge, after in pairwise(edges))
    return f"CASE {arms} ELSE {edges[-1]} END"


def bucket_label(value: int, step: str, tz: ZoneInfo) -> int:
    """Return the instant that names the bucket that came back as *value*."""
    return value if step in timegrid.FIXED_STEPS else timegrid.label(value, tz)
