"""How complete call records are: how many of a query's calls lack an end, a cost or an id, and which days are missing.

A value counts as there where it is not missing, whether or not it can be read: a query that does not use the cost has a
result also where a cost is no number.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from vapi_frames.calendar.buckets import EPOCH
from vapi_frames.query.query import Query
from vapi_frames.sources.records.columns import ENDED_STATUSES, columns_used, find_columns, write_columns
from vapi_frames.sources.records.days import API_RETENTION, read_archived_day
from vapi_frames.sources.records.duckdb import DUCKDB, IS_NUMBER, NULL_TYPES, json_pointer
from vapi_frames.sources.records.paths import column_paths
from vapi_frames.sources.sql.select import quote_text, write_condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from duckdb import DuckDBPyConnection

    from vapi_frames.sources.local.relation import Relation
    from vapi_frames.sources.sql.select import QueryColumns

    Span = tuple[datetime, datetime]

__all__ = [
    "LACKING",
    "PROBES",
    "StoredDays",
    "can_count",
    "count_calls",
    "count_missing",
    "probe_query",
]

_CALLS: Query[Any] = Query(table="call")
_SUBSCRIPTION: Query[Any] = Query(table="subscription")
LACKING = ("endedAt", "cost", "id")
"""The columns of which the missing values are counted."""
PROBES = (_CALLS.sum("cost"), _CALLS.count(), _SUBSCRIPTION.max("concurrency"))
"""Queries that use the columns that are looked at: the cost, the id, and what says that a call is over."""

_DAY = timedelta(days=1)
_STATUSES = ", ".join(map(quote_text, ENDED_STATUSES))


def probe_query(query: Query[Any], probes: Iterable[Query[Any]]) -> Query[Any]:
    """Return the query of the calls of *query* that uses what *probes* do."""
    measures = tuple(one for probe in probes for one in probe.measures)
    return replace(_CALLS, filters=query.filters, aggregations=measures)


def can_count(relation: Relation, query: Query[Any]) -> bool:
    """Return whether the relation has read all that `count_missing` of *query* looks at."""
    return all(relation.columns[name].type is not None for name in columns_used(query, relation.columns))


def count_calls(
    connection: DuckDBPyConnection,
    relation: str,
    columns: QueryColumns,
    query: Query[Any],
    span: Span,
) -> int:
    """Return how many calls of the *relation* are in [start, end) and match the filters of *query*."""
    text = f"SELECT count(*) FROM {relation} WHERE {write_condition(query, columns, *span)}"
    [[count]] = connection.execute(text).fetchall()
    return int(count)


def count_missing(connection: DuckDBPyConnection, relation: Relation, query: Query[Any], span: Span) -> dict[str, int]:
    """Return how many calls of [start, end) match the filters of *query*, and how many of them lack what.

    Args:
        connection: The cursor.
        relation: The records.
        query: What `probe_query` returns.
        span: Start and end of the range, in UTC.
    """
    dated = find_columns(
        replace(query, aggregations=()), relation.columns, DUCKDB, relation.overrides, is_nested=relation.is_nested
    )
    found = write_columns(replace(query, filters=()), relation.columns, _PRESENCE, relation.overrides)
    used = {one.column for one in query.measures}
    ended, cost, id_ = (
        "false" if _is_complete(relation, name) else f"{found.get(name, 'NULL')} IS NULL" for name in LACKING
    )
    status, reason = (found.get(name, "NULL") for name in ("status", "endedReason"))
    is_over = f"coalesce({status} IN ({_STATUSES}), false) OR coalesce({reason} <> '', false)"
    conditions = {"calls": "true"}
    if "concurrency" in used:
        conditions |= {"withoutEnd": ended, "open": f"{ended} AND NOT ({is_over})"}
    if "cost" in used:
        conditions["withoutCost"] = cost
    if "id" in used:
        conditions["withoutId"] = id_
    counts = ", ".join(f"count(*) FILTER ({condition})" for condition in conditions.values())
    text = f"SELECT {counts} FROM {relation.sql} WHERE {write_condition(query, dated, *span)}"
    [row] = connection.execute(text).fetchall()
    return dict(zip(conditions, row, strict=True))


def _is_complete(relation: Relation, column: str) -> bool:
    """Return whether no record lacks a *column* of the API, as is known without reading it."""
    places = (name for name, keys in column_paths(column) if not keys)
    return column not in relation.overrides and any(name in relation.complete for name in places)


class StoredDays:
    """For which time the records are all there.

    Args:
        paths: The files of the records. Those of an archive say when each of their days was fetched.
        kept: The range of a download, of which all calls are there; ``None`` where nothing is known of the records.
    """

    def __init__(self, paths: Sequence[str], kept: tuple[datetime, datetime] | None) -> None:
        self._kept = kept
        self._fetched: dict[datetime, datetime] = {}
        for path in () if kept else paths:
            if (found := read_archived_day(path)) is not None:
                self._fetched[found.begin] = found.fetched

    def count(self, span: Span, now: datetime) -> dict[str, int]:
        """Return how many UTC days of [start, end) are not all there, and how many of them the API lists no more."""
        start, end = span[0], min(span[1], now)
        expired = min(end, now - API_RETENTION)
        return {"missingDays": self._count(start, end), "expiredDays": self._count(start, expired)}

    def _count(self, start: datetime, end: datetime) -> int:
        """Return how many days of [start, end) are not all there."""
        if self._kept:
            return _count_days(start, min(end, self._kept[0])) + _count_days(max(start, self._kept[1]), end)
        if not self._fetched:
            return 0
        whole = sum(
            day < end and day + _DAY > start and fetched >= min(day + _DAY, end)
            for day, fetched in self._fetched.items()
        )
        return _count_days(start, end) - whole if start < end else 0


def _count_days(start: datetime, end: datetime) -> int:
    """Return how many UTC days [start, end) touches."""
    return (end - EPOCH - datetime.resolution) // _DAY - (start - EPOCH) // _DAY + 1 if start < end else 0


def _is_there(column: str, expression: str, type_: str) -> str:
    """Return text where there is a value, whatever it is."""
    del column
    if type_ in NULL_TYPES:
        return "CAST(NULL AS VARCHAR)"
    condition = f"{expression} IS NOT NULL"
    if type_ in ("double", "float"):
        condition = IS_NUMBER.format(expression)
    elif type_ == "json":
        condition = f"json_type({expression}) <> 'NULL'"
    return f"CASE WHEN {condition} THEN 'there' END"


def _read_text(column: str, expression: str, type_: str) -> str:
    if type_ == "json":
        return f"json_extract_string({expression}, '$')"
    return expression if type_ in ("varchar", "cell") else _is_there(column, expression, type_)


def _read_json(expression: str, kind: str, keys: Sequence[str], column: str) -> str:
    del column
    checked = expression if kind == "json" else f"CASE WHEN json_valid({expression}) THEN {expression} END"
    return f"json_extract({checked}, {quote_text(json_pointer(*keys))})"


_PRESENCE = DUCKDB._replace(time=_is_there, number=_is_there, text=_read_text, json=_read_json)
