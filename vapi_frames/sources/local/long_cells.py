"""Tables in pieces of a bounded size: DuckDB parses JSON cells a piece at a time, and several times each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from vapi_frames.contract.json_size import count_parts
from vapi_frames.errors import RecordsError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LEAST_ROWS", "PIECE_BYTES", "check_cells", "divide_table", "split_batch"]

PIECE_BYTES = 1 << 23
LEAST_ROWS = 64
"""The rows that a piece has at least; DuckDB joins smaller ones into large pieces."""
_VECTOR_ROWS = 2_048  # that DuckDB reads at once
_MOST_PARTS = 100_000  # keys and values of a JSON cell


def check_cells(batch: pa.RecordBatch | pa.Table) -> None:
    """Raise `RecordsError` where a cell is JSON that holds more than is parsed together with that of other rows."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if not is_text or column.nbytes <= _MOST_PARTS:
            continue
        lengths = pc.call_function("binary_length", [column])
        large = column.filter(pc.call_function("greater", [lengths, pa.scalar(_MOST_PARTS)]))
        begins = pc.MatchSubstringOptions(r"^\s*[\[{]")
        found = large.filter(pc.call_function("match_substring_regex", [large], begins))
        if any(count_parts(cell.as_py(), most=_MOST_PARTS) > _MOST_PARTS for cell in found):
            raise RecordsError(f"a cell of {name!r} holds more than {_MOST_PARTS:,} keys and values", column=name)


def split_batch(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield the rows of *batch* in pieces."""
    if batch.nbytes <= PIECE_BYTES or len(batch) <= LEAST_ROWS:
        yield batch
        return
    half = len(batch) // 2
    yield from split_batch(batch.slice(0, half))
    yield from split_batch(batch.slice(half))


def divide_table(table: pa.Table) -> pa.Table:
    """Return *table* in pieces."""
    rows = PIECE_BYTES * len(table) // max(table.nbytes, 1)
    if rows >= _VECTOR_ROWS:
        return table
    return pa.Table.from_batches(table.to_batches(max_chunksize=max(rows, LEAST_ROWS)), table.schema)
