"""From a result to a typed DataFrame."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pandas as pd

from vapi_frames.calendar.ranges import RelativeRange
from vapi_frames.contract.vocabulary import GROUP_COLUMNS, MEASURES, STEPS, SUBSCRIPTION_COLUMNS
from vapi_frames.errors import QueryError, ResponseError
from vapi_frames.frames.levels import IndexLevel, build_index, dates_in_zone
from vapi_frames.frames.meta import Meta
from vapi_frames.frames.origin import attach_meta
from vapi_frames.query.aggregation import Aggregation
from vapi_frames.query.compile import compile_query
from vapi_frames.query.query import Query
from vapi_frames.query.rewrite import rewrite_filters
from vapi_frames.result.ordering import sort_keys
from vapi_frames.result.post_filter import apply_filters

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

    import numpy as np

    from vapi_frames.contract.models import AnalyticsQueryResult
    from vapi_frames.contract.vocabulary import Step, Table
    from vapi_frames.query.spec import DtypeBackend
    from vapi_frames.result.result import Result

__all__ = ["build", "check_options", "to_frame"]


_IS_PANDAS_3 = int(pd.__version__.split(".")[0]) >= 3  # noqa: PLR2004


def check_options(dtype_backend: object = None, categorical: object = False) -> None:
    """Raise `QueryError` unless these are options that a frame can be made with."""
    if not isinstance(categorical, bool):
        raise QueryError(f"categorical must be True or False, not {categorical!r}")
    if dtype_backend not in (None, "numpy_nullable", "pyarrow"):
        raise QueryError(f"dtype_backend must be 'numpy_nullable', 'pyarrow' or None, not {dtype_backend!r}")


def build(
    result: Result,
    query: Query[Any],
    *,
    source: str,
    now: datetime | None,
    dtype_backend: DtypeBackend | None = None,
    categorical: bool = False,
    units: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return *result* as a frame; *units* has the columns that come in another unit than that of the contract.

    Returns:
        Index: ``date`` (``datetime64[us, zone]``), groups, variables, as the query has them; sorted, missing last.
        Columns: the measures in the order of the query, counts int64 and all else float64.

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
    )
    return attach_meta(frame, meta)


def _unit(one: Aggregation, units: Mapping[str, str]) -> str:
    return one.measure.unit if one.operation == "count" else units.get(one.column, one.measure.unit)


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
    return pd.Index(values.to_pylist(), dtype="str" if _IS_PANDAS_3 else object, name=name)


def to_frame(reply: Any, query: Query[Any] | None = None) -> pd.DataFrame:
    """Return a reply of ``POST /analytics``, however it was got, as the settled frame.

    Args:
        reply: Bytes or text, what ``json.loads`` makes of it, or the official SDK's result objects.
        query: The query. With it and a single result, names need not match. Of a query with filters, the reply
            is that to its body. Without it, ``date``, the five group columns and the API's default measure names are
            recognized.

    Raises:
        QueryError: *query* is not a query.
        ResponseError: The reply breaks the contract, or holds something that only the query explains.

    Examples:
        >>> to_frame('[{"name": "q", "timeRange": {"step": "day"}, "result":'
        ...          ' [{"date": "2026-10-01T00:00:00.000Z", "countId": "42"}]}]')
                                   countId
        date
        2026-10-01 00:00:00+00:00       42
    """
    from vapi_frames.contract.models import parse_replies
    from vapi_frames.result.merge import read_reply
    from vapi_frames.result.reply import match_replies, unwrap_sdk_objects

    if query is not None and not isinstance(query, Query):
        raise QueryError(f"query must be a Query, not {type(query).__name__}")
    replies = parse_replies(unwrap_sdk_objects(reply))
    if query is None:
        if len(replies) != 1:
            named = ", ".join(repr(one.name) for one in replies) or "none"
            raise ResponseError(f"the reply holds {len(replies)} answers ({named}); pass query= to pick one")
        query = _infer(replies[0])
        dated = any("date" in row for row in replies[0].result)
        result = read_reply(replies[0], query, None, dated=dated or query.time_step is not None)
        return build(result, query, source="reply", now=None)
    now = query.vq.now() if isinstance(query.time_range, RelativeRange) and query.vq else None
    place = 0
    if len(replies) != 1:
        [place] = match_replies([one.name for one in replies], [query.body(now)["queries"][0]["name"]])
    wide = rewrite_filters(query)
    result = apply_filters(read_reply(replies[place], wide, now, place=place), query, wide)
    return build(result, query, source="reply", now=now)


def _infer(reply: AnalyticsQueryResult) -> Query[Any]:
    """Return the query that the keys of a reply's rows imply."""
    known = {one.name: one for one in MEASURES}
    keys = list(dict.fromkeys(key for row in reply.result if isinstance(row, dict) for key in row))
    query: Query[Any] = Query(table="call")
    for key in keys:
        if key in known:
            one = known[key]
            table: Table = "subscription" if one.column in SUBSCRIPTION_COLUMNS else "call"
            query = replace(
                query, table=table, aggregations=(*query.aggregations, Aggregation(one.operation, one.column))
            )
        elif key in GROUP_COLUMNS:
            query = query.by(key)
        elif key != "date":
            raise ResponseError(f"only the question says what {key!r} is: pass query=", path="$[0].result[0]")
    if not query.aggregations:
        raise ResponseError("no row says which measures were asked for: pass query=", path="$[0].result")
    span = reply.time_range
    if span.step in STEPS:
        query = query.step(cast("Step", span.step))
    if span.timezone:
        query = query.tz(span.timezone)
    return query
