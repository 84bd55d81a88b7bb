"""The answer to a filtered question, made of the answer to the wider one that the API was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vapi_frames.query.aggregation import find_reaggregation
from vapi_frames.query.schema import build_schema
from vapi_frames.result.aggregate import aggregate
from vapi_frames.result.ordering import combine, ordered
from vapi_frames.result.result import Result, empty_result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vapi_frames.query.query import Query

__all__ = ["narrowed"]


def narrowed(answer: Result, asked: Query[Any], wide: Query[Any]) -> Result:
    """Return the answer to *asked*: the matching rows of *answer*, rolled up over the words that were added.

    Args:
        answer: The answer to *wide*.
        asked: A question with filters, or without: then the answer is its own.
        wide: What `vapi_frames.query.rewrite.rewrite_filters` makes of it.

    Raises:
        ResponseError: Two matching rows stand for the same group.
    """
    if not asked.filters:
        return answer
    places = _places(answer.table.column_names, wide)
    table = answer.table
    for word, values in asked.filters:
        # A missing value matches one that is missing, and nothing else.
        table = table.filter(pc.call_function("is_in", [table.column(places[word])], _among(values)))
    wanted, levels = build_schema(asked), [places[word] for word in _words(asked)]
    measures = [one.name for one in asked.measures]
    if len(levels) == len(places):
        return Result(table.select([*levels, *measures]).cast(wanted), answer.start, answer.end, answer.notes)
    if not table.num_rows:
        nothing = empty_result(asked, answer.start, answer.end)
        return Result(nothing.table, answer.start, answer.end, answer.notes)
    arrays = _rolled_up(table, list(places.values()), levels, asked, wide)
    rolled = pa.table(arrays, schema=wanted)
    return Result(rolled, answer.start, answer.end, answer.notes)


def _words(query: Query[Any]) -> list[str]:
    """Return what the levels of *query* stand for, in their order, under the names that filters have for them."""
    return [*(["date"] if query.is_dated else []), *query.groups, *(f"variable.{key}" for key in query.variables)]


def _places(columns: list[str], wide: Query[Any]) -> Mapping[str, str]:
    """Return word → the column of the answer to *wide* that holds it; the name of a variable's depends on others."""
    words = _words(wide)
    return dict(zip(words, columns[: len(words)], strict=True))


def _among(values: tuple[str | None, ...]) -> Any:
    return pc.SetLookupOptions(pa.array(values, pa.string()))


def _rolled_up(
    table: pa.Table, finer: list[str], levels: list[str], asked: Query[Any], wide: Query[Any]
) -> list[pa.ChunkedArray | pa.Array]:
    """Return the columns of the answer to *asked*: one row for each group of *levels* that *table* has."""
    keys, order = ordered(table, finer)
    if order is not None:
        table = table.take(order)
    codes, first = np.zeros(table.num_rows, np.int64), np.zeros(1, np.int64)
    if levels:
        kept = [key for name, key in zip(finer, keys, strict=True) if name in levels]
        together = combine([codes for _, codes in kept], [len(values) for values, _ in kept])
        _, first, codes = np.unique(together, return_index=True, return_inverse=True)
    recipes = [find_reaggregation(one, wide.measures, over_time=False, over_groups=True) for one in asked.measures]
    columns = {one.name: table.column(one.name).to_numpy() for one in wide.measures}
    made = aggregate(recipes, columns, codes, len(first))
    arrays: list[pa.ChunkedArray | pa.Array] = [table.column(name).take(pa.array(first)) for name in levels]
    return [*arrays, *(pa.array(made[one.name], from_pandas=True) for one in asked.measures)]
