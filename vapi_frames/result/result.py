"""What a source gives back: an Arrow table in the contract's types, and the range it covers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from vapi_frames.query.schema import build_schema, get_column_type

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, TypeAlias

    from vapi_frames.query.query import Query

__all__ = ["Reading", "Result", "empty_result"]


Reading: TypeAlias = Literal["instant", "wall"]
"""What the dates of a reply are: the instant of the bucket's start, or the wall clock of the zone."""


@dataclass(frozen=True, slots=True)
class Result:
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


def empty_result(query: Query[Any], start: datetime | None, end: datetime | None) -> Result:
    """Return the answer of a source that has nothing: no row, or the one row of a query without step and group."""
    table = build_schema(query).empty_table()
    if not query.levels:
        nothing = [pa.array([0 if one.operation == "count" else None], get_column_type(one)) for one in query.measures]
        table = pa.table(nothing, schema=build_schema(query))
    return Result(table, start, end)
