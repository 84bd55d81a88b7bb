"""The Arrow schema of a query's result."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pyarrow as pa

from vapi_frames.errors import MissingExtraError

if TYPE_CHECKING:
    from typing import Any

    import polars as pl

    from vapi_frames.query.aggregation import Aggregation
    from vapi_frames.query.spec import QuerySpec

__all__ = ["as_polars", "build_schema", "get_column_type"]


def build_schema(query: QuerySpec[Any], *, dated: bool | None = None) -> pa.Schema:
    """Return the Arrow schema of the result of *query*, which depends on the query alone.

    Args:
        query: The query.
        dated: Whether the result has a ``date``; by default, whether the query says so.
    """
    dated = query.is_dated if dated is None else dated
    names = [name for name in query.levels if not (name == "date" and query.is_dated)]
    levels = [pa.field(name, pa.string()) for name in names]
    date = [pa.field("date", pa.timestamp("us", tz=query.zone.key))] if dated else []
    return pa.schema(date + levels + [pa.field(one.name, get_column_type(one)) for one in query.measures])


def get_column_type(one: Aggregation) -> pa.DataType:
    """Return the type of a measure: int64 for counts and numbers of values, float64 for all else."""
    return pa.int64() if one.operation in ("count", "nunique") else pa.float64()


def as_polars(table: pa.Table) -> pl.DataFrame:
    """Return an Arrow table as a polars frame.

    Raises:
        MissingExtraError: polars is not installed.
    """
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError("polars", "polars", "to_polars()") from None
    return cast("pl.DataFrame", pl.from_arrow(table))
