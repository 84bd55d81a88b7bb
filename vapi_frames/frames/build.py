"""From a result to a typed DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from vapi_frames.calendar.ranges import RelativeRange
from vapi_frames.errors import QueryError, format_value
from vapi_frames.frames.layout import to_flat
from vapi_frames.frames.levels import IS_PANDAS_3, IndexLevel, build_index, dates_in_zone
from vapi_frames.frames.meta import Meta
from vapi_frames.frames.origin import attach_meta
from vapi_frames.query.begin import find_late_begin
from vapi_frames.query.compile import compile_query
from vapi_frames.result.ordering import sort_keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

    import numpy as np

    from vapi_frames.query.aggregation import Aggregation
    from vapi_frames.query.query import Query
    from vapi_frames.query.spec import DtypeBackend
    from vapi_frames.result.result import Result

__all__ = ["build", "check_options"]


def check_options(dtype_backend: object = None, categorical: object = False, as_index: object = True) -> None:
    """Raise `QueryError` unless these are options that a frame can be made with."""
    for name, value in (("categorical", categorical), ("as_index", as_index)):
        if not isinstance(value, bool):
            raise QueryError(f"{name} must be True or False, not {format_value(value)}")
    if dtype_backend not in (None, "numpy_nullable", "pyarrow"):
        raise QueryError(
            f"dtype_backend must be 'numpy_nullable', 'pyarrow' or None, not {format_value(dtype_backend)}"
        )


def build(
    result: Result,
    query: Query[Any],
    *,
    source: str,
    now: datetime | None,
    dtype_backend: DtypeBackend | None = None,
    categorical: bool = False,
    as_index: bool = True,
    units: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return *result* as a frame; *units* has the columns that come in another unit than that of the contract.

    Returns:
        Index: ``date`` (``datetime64[us, zone]``), groups, variables, as the query has them; sorted, missing last.
        Columns: the measures in the order of the query, counts int64 and all else float64. Without *as_index* the
        levels are the first columns.

    Raises:
        ResponseError: A row stands twice.
    """
    names = [one.name for one in query.measures]
    levels = [name for name in result.table.column_names if name not in names]
    keys, order = sort_keys(result.table, levels)
    measures = result.table.select(names)
    if order is not None:
        measures = measures.take(order)
    if dtype_backend is None:
        frame = pd.DataFrame({name: measures.column(name).to_numpy() for name in names})
    else:
        mapper = pd.ArrowDtype if dtype_backend == "pyarrow" else _NULLABLE.get
        frame = measures.to_pandas(types_mapper=mapper)
    if levels:
        frame.index = _index(levels, keys, query.zone.key, dtype_backend, categorical)
    relative = query.time_range if isinstance(query.time_range, RelativeRange) else None
    meta = Meta(
        source=source,
        body=compile_query(query, now),
        start=result.start,
        end=result.end,
        now=now,
        units={one.name: _unit(one, units or {}) for one in query.measures},
        levels=tuple(levels),
        filters=query.filters,
        title=query.title,
        relative_range=(str(relative), relative.complete) if relative else None,
        notes=result.notes,
        coverage=dict(result.coverage),
        records_begin=result.records_begin if _is_late(result, query) else None,
    )
    attach_meta(frame, meta)
    return frame if as_index else to_flat(frame)


def _is_late(result: Result, query: Query[Any]) -> bool:
    """Return whether the records begin after the first day of the range."""
    start, end, begin = result.start, result.end, result.records_begin
    return start is not None and end is not None and find_late_begin(start, end, query.zone, begin=begin) is not None


def _unit(one: Aggregation, units: Mapping[str, str]) -> str:
    return one.measure.unit if one.operation in ("count", "nunique") else units.get(one.column, one.measure.unit)


_NULLABLE: dict[Any, Any] = {}


def _nullable_types() -> None:
    import pyarrow as pa

    _NULLABLE.update({pa.int64(): pd.Int64Dtype(), pa.float64(): pd.Float64Dtype(), pa.string(): pd.StringDtype()})


_nullable_types()


def _index(
    levels: list[str],
    keys: list[tuple[Any, np.ndarray]],
    zone: str,
    dtype_backend: DtypeBackend | None,
    categorical: bool,
) -> pd.Index:
    values: list[Any] = [_level(name, key[0], zone, dtype_backend) for name, key in zip(levels, keys, strict=True)]
    if categorical:
        values = [v if isinstance(v, pd.DatetimeIndex) else pd.CategoricalIndex(v, name=v.name) for v in values]
    return build_index([IndexLevel(name, value, key[1]) for name, value, key in zip(levels, values, keys, strict=True)])


def _level(name: str, values: Any, zone: str, dtype_backend: DtypeBackend | None) -> Any:
    if name == "date":
        return dates_in_zone(zone, values.to_numpy(zero_copy_only=False))
    if dtype_backend == "pyarrow":
        return pd.Index(pd.arrays.ArrowExtensionArray(values), name=name)
    if dtype_backend == "numpy_nullable":
        return pd.Index(pd.array(values.to_pylist(), dtype="string"), name=name)
    return pd.Index(values.to_pylist(), dtype="str" if IS_PANDAS_3 else object, name=name)
