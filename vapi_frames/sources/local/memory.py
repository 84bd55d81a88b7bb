"""Call records in memory: a DataFrame, an Arrow table, or a list of call JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vapi_frames.errors import RecordsError
from vapi_frames.sources.local.duplicates import RowLocation, add_row_numbers
from vapi_frames.sources.local.engine import first_line
from vapi_frames.sources.local.relation import RecordsSnapshot, Relation, describe_columns
from vapi_frames.sources.records.columns import TIME_COLUMNS, ColumnExpr, columns_used, missing_column
from vapi_frames.sources.records.flatten import SkippedRecords, flatten_calls, read_times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection

    from vapi_frames.query.query import Query

__all__ = ["JsonRecords", "TableRecords"]


class TableRecords:
    """The rows of a DataFrame or an Arrow table.

    Args:
        data: The table. A DataFrame is read at each query, so that a change shows in the next result.
    """

    def __init__(self, data: Any) -> None:
        self._data = data

    def read(self) -> RecordsSnapshot:
        """Return the records as they are now."""
        # An Arrow table never changes, and nothing tells whether a DataFrame has.
        return RecordsSnapshot(len(self._data) if isinstance(self._data, pa.Table) else None)

    def register(
        self, connection: DuckDBPyConnection, query: Query[Any], snapshot: RecordsSnapshot, *, with_rows: bool
    ) -> Relation:
        """Register the columns that *query* may use, by number: DuckDB cannot tell names apart by case."""
        del snapshot
        data = self._data
        all_names = data.column_names if isinstance(data, pa.Table) else data.columns
        names = [name for name in all_names if isinstance(name, str)]
        if len(set(names)) < len(names):
            duplicate = next(name for name in names if names.count(name) > 1)
            raise RecordsError(f"the records have two columns named {duplicate!r}", column=duplicate)
        used = columns_used(query, names, also=["id"] if with_rows else [])
        if "createdAt" not in used:
            raise missing_column("createdAt", names)
        table = data.select(used) if isinstance(data, pa.Table) else _read_frame(data, used)
        table = pa.table({name: _prepare(name, table.column(name)) for name in used})
        if with_rows:
            table = add_row_numbers(table)
        connection.register("calls", table.rename_columns([f"c{i}" for i in range(table.num_columns)]))
        registered = describe_columns(connection.table("calls")).values()
        columns = dict.fromkeys(names, ColumnExpr("", None)) | dict(zip(used, registered, strict=False))
        return Relation("calls", columns, RowLocation("0", f"c{table.num_columns - 1}"), table.column_names)

    def __repr__(self) -> str:
        return f"{len(self._data):,} calls in memory"


class JsonRecords(TableRecords):
    """A list of call JSON, which is read once.

    Raises:
        RecordsError: A call cannot be read, and is not skipped.
    """

    def __init__(self, calls: Sequence[Any], *, skips: bool) -> None:
        self._skipped = SkippedRecords(skips)
        super().__init__(flatten_calls(calls, self._skipped))

    def read(self) -> RecordsSnapshot:
        """Return the records, which do not change."""
        rows = len(self._data)
        return RecordsSnapshot(rows, skipped=self._skipped, warns_of_duplicates=True, is_empty=not rows)


def _read_frame(frame: Any, used: list[str]) -> pa.Table:
    """Return columns of a DataFrame as an Arrow table."""
    try:
        return _convert(frame[used])
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        mixed = [name for name in TIME_COLUMNS if name in used and frame[name].dtype == object]
        if not mixed:
            raise RecordsError(f"a column of the frame cannot be read: {first_line(error)}") from error
    times = {name: pa.array(read_times(name, frame[name]), pa.timestamp("us", "UTC")) for name in mixed}
    rest = _read_frame(frame, [name for name in used if name not in mixed])
    return pa.table({**dict(zip(rest.column_names, rest.columns, strict=True)), **times})


def _convert(frame: Any) -> pa.Table:
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except RuntimeError:  # Python starts no threads once it shuts down
        return pa.Table.from_pandas(frame, preserve_index=False, nthreads=1)


def _prepare(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return *column* in a type that DuckDB reads without changing values."""
    type_ = column.type
    if isinstance(type_, pa.BaseExtensionType):
        raise RecordsError(f"column {name!r} of the call records is {type_}, which has no plain values", column=name)
    if pa.types.is_timestamp(type_) and type_.unit == "ns":  # DuckDB would round up into the next bucket
        return column.cast(pa.timestamp("us", type_.tz), safe=False)
    if pa.types.is_null(type_):  # DuckDB reads a column without a single value as integers
        return column.cast(pa.timestamp("us", "UTC") if name in TIME_COLUMNS else pa.float64())
    return column
