"""The post-filter: the result of a filtered query, made from the result of its rewrite, which the API can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vapi_frames.query.aggregation import find_reaggregation
from vapi_frames.query.schema import build_schema
from vapi_frames.result.aggregate import aggregate
from vapi_frames.result.ordering import combine_codes, sort_keys
from vapi_frames.result.result import Result, empty_result

if TYPE_CHECKING:
    from vapi_frames.query.query import Query

__all__ = ["apply_filters"]


def apply_filters(result: Result, query: Query[Any], rewritten: Query[Any]) -> Result:
    """Return the result of *query*: the matching rows of *result*, rolled up over the groups that the rewrite added.

    Args:
        result: The result of *rewritten*.
        query: The query as written; without filters, *result* is its own.
        rewritten: The same without filters, as `vapi_frames.query.rewrite` makes it.

    Raises:
        ResponseError: Two matching rows have the same keys.
    """
    if not query.filters:
        return result
    names = _filter_names(rewritten)
    level_of = dict(zip(names, result.table.column_names[: len(names)], strict=True))
    table = result.table
    for name, values in query.filters:
        # A missing value matches one that is missing, and nothing else.
        options = pc.SetLookupOptions(pa.array(values, pa.string()))
        table = table.filter(pc.call_function("is_in", [table.column(level_of[name])], options))
    levels = [level_of[name] for name in _filter_names(query)]
    if len(levels) == len(level_of):
        table = table.select([*levels, *(one.name for one in query.measures)]).cast(build_schema(query))
    elif table.num_rows:
        table = _roll_up(table, list(level_of.values()), levels, query, rewritten)
    else:
        table = empty_result(query, result.start, result.end).table
    return Result(table, result.start, result.end, result.notes)


def _filter_names(query: Query[Any]) -> list[str]:
    """Return the levels of *query*, in order, under the names that its filters have for them."""
    return [*(["date"] if query.is_dated else []), *query.groups, *(f"variable.{key}" for key in query.variables)]


def _roll_up(
    table: pa.Table, finer: list[str], levels: list[str], query: Query[Any], rewritten: Query[Any]
) -> pa.Table:
    """Return the table of *query*: one row for each group of *levels* among the rows of *table*, which has *finer*."""
    keys, order = sort_keys(table, finer)
    if order is not None:
        table = table.take(order)
    codes, first = np.zeros(table.num_rows, np.int64), np.zeros(1, np.int64)
    if levels:
        coarser = [key for name, key in zip(finer, keys, strict=True) if name in levels]
        combined = combine_codes([codes for _, codes in coarser], [len(values) for values, _ in coarser])
        _, first, codes = np.unique(combined, return_index=True, return_inverse=True)
    recipes = [find_reaggregation(one, rewritten.measures, over_time=False, over_groups=True) for one in query.measures]
    columns = {one.name: table.column(one.name).to_numpy() for one in rewritten.measures}
    values = aggregate(recipes, columns, codes, len(first))
    rows: list[Any] = [table.column(name).take(pa.array(first)) for name in levels]
    rows += [pa.array(values[one.name], from_pandas=True) for one in query.measures]
    return pa.table(rows, schema=build_schema(query))
