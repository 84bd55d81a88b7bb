"""The calls that a query counts, by one ordered SELECT."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from vapi_frames.query.schema import build_schema
from vapi_frames.result.drilled import DrilledCalls
from vapi_frames.sources.sql.run import label_dates
from vapi_frames.sources.sql.select import write_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from vapi_frames.query.drill import Drill
    from vapi_frames.sources.sql.run import Run
    from vapi_frames.sources.sql.select import QueryColumns

__all__ = ["DrilledColumn", "RecordKind", "drill_records", "empty_calls"]

RecordKind: TypeAlias = Literal["time", "number", "boolean", "text", "json"]
"""What a column of a call holds: whole microseconds since 1970, a double, ``true`` or ``false``, text, or JSON text."""
_TYPES: Mapping[str, pa.DataType] = {
    "time": pa.timestamp("us", "UTC"), "number": pa.float64(), "boolean": pa.bool_(), "text": pa.string(),
    "json": pa.string(),
}  # fmt: skip


class DrilledColumn(NamedTuple):
    """A column of a call.

    Attributes:
        sql: Its expression over the relation of call records.
        kind: What it holds.
    """

    sql: str
    kind: RecordKind


def drill_records(
    drill: Drill,
    columns: QueryColumns,
    shown: Mapping[str, DrilledColumn],
    relation: str,
    span: tuple[datetime, datetime],
    *,
    order: Sequence[str],
    run: Run,
    records_range: tuple[datetime, datetime] | None = None,
) -> DrilledCalls:
    """Return the calls of *relation* that the query of *drill* counts over the range *span*.

    Args:
        drill: The query, and how many calls at most.
        columns: The relation's expressions of what the query uses.
        shown: Column → what is shown of a call.
        relation: The table, as SQL.
        span: Start and end of the range, in UTC.
        order: Expressions that order the calls within a row of the query's index; each may be missing.
        run: What runs SQL.
        records_range: A range in which every record was created.
    """
    query = drill.query
    values = {f"v{i}": column.sql for i, column in enumerate(shown.values())}
    keys = {f"o{i}": expression for i, expression in enumerate(order)}
    steps, source, levels = write_rows(query, columns, relation, span, {**values, **keys}, records_range=records_range)
    # Engines do not agree where a missing value sorts.
    sorted_by = [term for key in (*levels, *keys) for term in (f"CASE WHEN {key} IS NULL THEN 1 ELSE 0 END", key)]
    limit = "" if drill.limit is None else f"\nLIMIT {drill.limit + 1}"
    text = (
        f"WITH {', '.join(steps)}\nSELECT {', '.join([*levels, *values, 'o0'])}\nFROM {source}\n"
        f"ORDER BY {', '.join(sorted_by)}{limit}"
    )
    schema = [build_schema(query).field(i) for i in range(len(levels))]
    kinds: list[RecordKind] = [column.kind for column in shown.values()]
    types = [pa.int64() if field.name == "date" and query.time_step else field.type for field in schema]
    found = run(text, [*types, *map(_wire_type, kinds), pa.int64()])
    arrays = [one.combine_chunks() if isinstance(one, pa.ChunkedArray) else one for one in found]
    if query.time_step:
        arrays[0] = label_dates(arrays[0], query)
    read = [_read(array, kind) for array, kind in zip(arrays[len(levels) : -1], kinds, strict=True)]
    level_table = pa.table(arrays[: len(levels)], schema=pa.schema(schema))
    column_table = pa.table(read, names=list(shown))
    is_cut = drill.limit is not None and len(arrays[-1]) > drill.limit
    return DrilledCalls(level_table[: drill.limit], column_table[: drill.limit], is_cut)


def empty_calls(drill: Drill, kinds: Mapping[str, RecordKind], notes: Sequence[str] = ()) -> DrilledCalls:
    """Return no calls, with the columns of *drill*."""
    levels = build_schema(drill.query).empty_table().select(list(range(len(drill.query.levels))))
    columns = pa.table({name: pa.array([], _TYPES[kinds[name]]) for name in drill.columns})
    return DrilledCalls(levels, columns, notes=tuple(notes))


def _wire_type(kind: RecordKind) -> pa.DataType:
    """Return the type in which an engine hands out a column of *kind*."""
    return {"time": pa.int64(), "number": pa.float64()}.get(kind, pa.string())


def _read(array: pa.Array, kind: RecordKind) -> pa.Array:
    """Return a column as it is shown."""
    if kind == "boolean":
        return pc.call_function("equal", [array, pa.scalar("true")])
    if kind == "json":
        return _read_json(array.to_pylist())
    return array.cast(_TYPES[kind])


def _read_json(texts: Sequence[str | None]) -> pa.Array:
    """Return JSON values as numbers or Booleans, where all of them are such, else as text."""
    values = [text if text is None or text.startswith(("{", "[")) else json.loads(text) for text in texts]
    types = {type(value) for value in values if value is not None}
    if types and types <= {int, float}:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if types == {bool}:
        return pa.array(values, pa.bool_())
    return pa.array(
        [value if value is None or isinstance(value, str) else json.dumps(value) for value in values], pa.string()
    )
