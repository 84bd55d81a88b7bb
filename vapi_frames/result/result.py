"""What a source gives back: an Arrow table in the contract's types, and the range it covers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import pyarrow as pa

from vapi_frames.query.schema import build_schema, get_column_type

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

    from vapi_frames.query.query import Query

__all__ = ["COVERAGE", "DateConvention", "Result", "empty_result"]

COVERAGE = ("calls", "withoutEnd", "open", "withoutCost", "withoutId", "skipped", "missingDays", "expiredDays",
            "skippedOutputs", "withoutOutputs")  # fmt: skip
"""What is counted of the records behind a result, in this order."""


DateConvention: TypeAlias = Literal["instant", "wall"]
"""What a server's dates mean: the instant of the bucket's start, or the wall clock of the zone."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one query.

    Attributes:
        table: The index levels, then the measures, in the order of the frame; rows in any order.
        start: Begin of the range it covers, in UTC; ``None`` where unknown.
        end: Its end, exclusive.
        notes: What a reader should know, e.g. how the dates were read.
        convention: How the dates were read; ``None`` where both conventions give the same.
        is_assumed: Whether the other convention fits, too.
        coverage: How complete the records are: some of `COVERAGE` → how many; empty where the source has no records.
        records_begin: Since when the source has records, whatever the query asks; ``None`` where it does not know that.
    """

    table: pa.Table
    start: datetime | None
    end: datetime | None
    notes: tuple[str, ...] = field(default=())
    convention: DateConvention | None = None
    is_assumed: bool = False
    coverage: Mapping[str, int] = field(default_factory=dict)
    records_begin: datetime | None = None


def empty_result(query: Query[Any], start: datetime | None, end: datetime | None) -> Result:
    """Return the result over no calls: no row, or the one row of a query without step and group."""
    table = build_schema(query).empty_table()
    if not query.levels:
        cells = [pa.array([0 if one.operation == "count" else None], get_column_type(one)) for one in query.measures]
        table = pa.table(cells, schema=build_schema(query))
    return Result(table, start, end)
