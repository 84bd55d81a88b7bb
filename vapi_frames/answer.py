"""What a source gives back: an Arrow table in the contract's types, and the range it covers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pyarrow as pa

if TYPE_CHECKING:
    from datetime import datetime

    from vapi_frames.query import Query
    from vapi_frames.wire import Aggregation

__all__ = ["Answer", "Reading", "column_type", "empty_answer", "schema"]

Reading: TypeAlias = Literal["instant", "wall"]
"""What the dates of a reply are: the instant of the bucket's start, or the wall clock of the zone."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to one query.

    Attributes:
        table: The index levels, then the measures, in the order of the frame; rows in any order.
        start: Begin of the range it covers, in UTC; ``None`` where unknown.
        end: Its end, exclusive.
        notes: What a reader should know, e.g. how the dates were read.
        reading: How the dates were read, ``None`` where either reading gives the same.
        assumed: Whether the other reading fits, too.
    """

    table: pa.Table
    start: datetime | None
    end: datetime | None
    notes: tuple[str, ...] = field(default=())
    reading: Reading | None = None
    assumed: bool = False


def schema(query: Query[Any], *, dated: bool | None = None) -> pa.Schema:
    """Return the Arrow schema of the answer to *query*: decided by the query alone."""
    dated = query.is_dated if dated is None else dated
    names = [name for name in query.levels if not (name == "date" and query.is_dated)]
    levels = [pa.field(name, pa.string()) for name in names]
    date = [pa.field("date", pa.timestamp("us", tz=query.zone.key))] if dated else []
    return pa.schema(date + levels + [pa.field(one.name, column_type(one)) for one in query.measures])


def column_type(one: Aggregation) -> pa.DataType:
    """Return the type of a measure: counts are whole numbers."""
    return pa.int64() if one.operation == "count" else pa.float64()


def empty_answer(query: Query[Any], start: datetime | None, end: datetime | None) -> Answer:
    """Return the answer of a source that has nothing: no row, or the one row of a query without step and group."""
    table = schema(query).empty_table()
    if not query.levels:
        nothing = [pa.array([0 if one.operation == "count" else None], column_type(one)) for one in query.measures]
        table = pa.table(nothing, schema=schema(query))
    return Answer(table, start, end)
