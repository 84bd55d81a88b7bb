"""Call records in memory: a DataFrame, an Arrow table, or a list of call JSON or of its texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vapi_frames.errors import RecordsError
from vapi_frames.sources.local.alike_names import mark_column
from vapi_frames.sources.local.duplicates import RowLocation, add_row_numbers
from vapi_frames.sources.local.engine import first_line
from vapi_frames.sources.local.json_reader import decode_texts
from vapi_frames.sources.local.long_cells import check_cells, divide_table
from vapi_frames.sources.local.overview import describe_epochs
from vapi_frames.sources.local.relation import (
    RecordsSnapshot,
    Relation,
    add_outputs,
    add_places,
    describe_columns,
    list_variables,
)
from vapi_frames.sources.records.columns import ColumnExpr, columns_used
from vapi_frames.sources.records.flatten import SkippedRecords, describe_variables, flatten_calls
from vapi_frames.sources.records.missing import missing_column
from vapi_frames.sources.records.paths import CONTAINERS, FLAT_COLUMNS, TIME_COLUMNS, VARIABLES_MAP, column_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt
    import pandas as pd
    from duckdb import DuckDBPyConnection

    from vapi_frames.query.query import Query
    from vapi_frames.sources.records.places import NamePath

__all__ = ["JsonRecords", "KeptRecords", "TableRecords"]


class TableRecords:
    """The rows of a DataFrame or an Arrow table.

    Args:
        data: The table. A DataFrame is read at each query, so that a change shows in the next result.
        places: Column of the API → where the caller says it is.
    """

    _is_kept = False

    def __init__(self, data: Any, places: Mapping[str, NamePath] | None = None) -> None:
        self._data = data
        self._places = places or {}

    def read(self) -> RecordsSnapshot:
        """Return the records as they are now."""
        # An Arrow table never changes, and nothing tells whether a DataFrame has.
        return RecordsSnapshot(len(self._data) if isinstance(self._data, pa.Table) else None)

    def register(
        self,
        connection: DuckDBPyConnection,
        query: Query[Any],
        snapshot: RecordsSnapshot,
        *,
        with_rows: bool,
        lacking: Sequence[str] = (),
        also: Sequence[str] = (),
    ) -> Relation:
        """Register the columns that *query* may use, by number: DuckDB cannot tell names apart by case."""
        data, places = self._data, self._places
        names = [name for name in self._list_names() if isinstance(name, str)]
        if len(set(names)) < len(names):
            duplicate = next(name for name in names if names.count(name) > 1)
            raise RecordsError(f"the records have two columns named {duplicate!r}", column=duplicate)
        keys: Sequence[str] = snapshot.variables
        used = columns_used(query, names, also=[*also, *(["id"] if with_rows else [])], places=places)
        if not used:
            raise missing_column("createdAt", names)
        is_nested = snapshot.is_nested or _is_nested(data, names)
        if places or with_rows or self._is_kept:
            lacking = ()  # what is kept is of all rows
        if lacking and (lacks := _find_lacking(data, names, lacking)) is not None:
            data = data.filter(pa.array(lacks)) if isinstance(data, pa.Table) else data[lacks]
        if isinstance(data, pa.Table):
            table = data.select(used)
        elif (found := self._read_columns(data, used)) is not None:
            table = found
        else:  # cells are Python objects, so that they are read as call JSON is
            skipped = SkippedRecords()
            table, keys = _decode_frame(data, used, places, skipped, also)
            snapshot.notes += describe_variables(skipped.variables)[: bool(skipped.variables)]
            if skipped.epochs:
                snapshot.notes.append(describe_epochs(skipped.epochs))
            used, places = table.column_names, {}
        table = pa.table({name: mark_column(name, _prepare(name, table.column(name))) for name in used})
        if with_rows:
            table = add_row_numbers(table)
        check_cells(table.select([name for name in used if name in CONTAINERS]))
        table = divide_table(table)
        connection.register("calls", table.rename_columns([f"c{i}" for i in range(table.num_columns)]))
        registered = describe_columns(connection.table("calls")).values()
        columns = dict.fromkeys(names, ColumnExpr("", None)) | dict(zip(used, registered, strict=False))
        if keys:
            columns |= list_variables(columns.pop(VARIABLES_MAP), keys, query)
        columns, overrides = add_places(add_outputs(columns), places)
        location = RowLocation("0", f"c{table.num_columns - 1}")
        return Relation("calls", columns, location, table.column_names, overrides, is_nested)

    def _list_names(self) -> Sequence[Any]:
        return list(self._data.column_names if isinstance(self._data, pa.Table) else self._data.columns)

    def _read_columns(self, data: pd.DataFrame, used: list[str]) -> pa.Table | None:
        return _read_frame(data, used)

    def keep(self, paths: Sequence[str]) -> TableRecords:
        """Return itself: a table has whatever its columns hold."""
        del paths
        return self

    def __repr__(self) -> str:
        return f"{len(self._data):,} calls in memory"


class KeptRecords(TableRecords):
    """The rows of a DataFrame that nothing changes any more; a column is converted once.

    Args:
        data: The table.
        later: Column that the table lacks → what makes it, and maybe others, once a query uses it.
    """

    _is_kept = True

    def __init__(
        self, data: pd.DataFrame, later: Mapping[str, Callable[[], Mapping[str, pd.Series[Any]]]] | None = None
    ) -> None:
        super().__init__(data)
        self._later = later or {}
        self._columns: dict[str, pa.ChunkedArray] = {}

    def read(self) -> RecordsSnapshot:
        """Return the records, which do not change."""
        return RecordsSnapshot(len(self._data))

    def _list_names(self) -> Sequence[Any]:
        return [*self._data.columns, *self._later]

    def _read_columns(self, data: pd.DataFrame, used: list[str]) -> pa.Table | None:
        new = [name for name in used if name not in self._columns]
        if new:
            made = {name: self._later[name]()[name] for name in new if name in self._later}
            table = _read_frame(data.assign(**made) if made else data, new)
            if table is None:
                return None
            self._columns |= dict(zip(new, table.columns, strict=True))
        return pa.table({name: self._columns[name] for name in used})


class JsonRecords(TableRecords):
    """A list of call JSON, or of its texts, which is read once; it stays referred to, for `keep`.

    Raises:
        RecordsError: A call cannot be read, and is not skipped.
    """

    def __init__(
        self,
        calls: Sequence[Any],
        *,
        skips: bool,
        places: Mapping[str, NamePath] | None = None,
        paths: Sequence[str] = (),
    ) -> None:
        self._calls, self._skips, self._said = calls, skips, places
        self._skipped = SkippedRecords(skips)
        calls = list(decode_texts(calls, self._skipped)) if any(isinstance(one, str) for one in calls) else calls
        table, self._variables = flatten_calls(calls, self._skipped, tuple((places or {}).items()), paths=paths)
        super().__init__(table)

    def read(self) -> RecordsSnapshot:
        """Return the records, which do not change."""
        rows = len(self._data)
        return RecordsSnapshot(
            rows, variables=self._variables, skipped=self._skipped, warns_of_duplicates=True, is_empty=not rows,
            is_nested=True,
        )  # fmt: skip

    def keep(self, paths: Sequence[str]) -> TableRecords:
        """Return the same records with what they have at *paths*."""
        return JsonRecords(self._calls, skips=self._skips, places=self._said, paths=paths) if paths else self


def _is_nested(data: Any, names: Sequence[str]) -> bool:
    """Return whether a column that is an object in the API's records is one here."""
    for name in CONTAINERS.intersection(names):
        if isinstance(data, pa.Table):
            type_ = data.schema.field(name).type
        else:
            column = data[name]
            if column.dtype == object:
                first = column.first_valid_index()
                if first is not None and isinstance(column.loc[[first]].iloc[0], dict):
                    return True
            type_ = getattr(column.dtype, "pyarrow_dtype", None)
        if type_ is not None and (pa.types.is_struct(type_) or pa.types.is_map(type_)):
            return True
    return False


def _find_lacking(data: Any, names: Sequence[str], wanted: Sequence[str]) -> npt.NDArray[np.bool_] | None:
    """Return for each row whether it lacks a *wanted* column of the API; ``None`` where only its cells would tell."""
    lacks = np.zeros(len(data), np.bool_)
    for column in wanted:
        missing = [_find_missing(data, name) for name, keys in column_paths(column) if not keys and name in names]
        known = [one for one in missing if one is not None]
        if not known or len(known) < len(missing):
            return None
        lacks |= np.logical_and.reduce(known)
    return lacks


def _find_missing(data: Any, name: str) -> npt.NDArray[np.bool_] | None:
    """Return which values of a column are missing; ``None`` where a value may be an object, in which one is."""
    if isinstance(data, pa.Table):
        column = data.column(name)
        if pa.types.is_nested(column.type) or isinstance(column.type, pa.BaseExtensionType):
            return None
        return np.asarray(pc.call_function("is_null", [column], pc.NullOptions(nan_is_null=True)), np.bool_)
    type_ = getattr(data[name].dtype, "pyarrow_dtype", None)
    if data[name].dtype == object or (type_ is not None and pa.types.is_nested(type_)):
        return None
    return np.asarray(data[name].isna(), np.bool_)


def _read_frame(frame: Any, used: list[str]) -> pa.Table | None:
    """Return columns of a DataFrame as an Arrow table; ``None`` where their cells are of several or of odd kinds."""
    from pandas.api.types import infer_dtype

    for name in used:
        if frame[name].dtype == object and infer_dtype(frame[name], skipna=True) not in ("string", "empty"):
            return None
    try:
        return _convert(frame[used])
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise RecordsError(f"a column of the frame cannot be read: {first_line(error)}") from error


def _decode_frame(
    frame: Any, used: list[str], places: Mapping[str, NamePath], skipped: SkippedRecords, also: Sequence[str]
) -> tuple[pa.Table, list[str]]:
    columns = [frame[name].tolist() for name in used]
    rows = [dict(zip(used, cells, strict=True)) for cells in zip(*columns, strict=True)]
    others = [name for name in also if name not in FLAT_COLUMNS]
    plain = [name for name in others if name in used and frame[name].dtype != object]  # of one kind, which stays
    paths = [name for name in others if name not in plain]
    table, keys = flatten_calls(rows, skipped, tuple(places.items()), is_nested=False, paths=paths)
    for name, column in zip(plain, _convert(frame[plain]).columns, strict=True):
        table = table.append_column(name, column)
    return table, keys


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
