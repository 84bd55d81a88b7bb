"""Rows in the order of their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from vapi_frames.errors import ResponseError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy.typing as npt
    import pyarrow as pa

    from vapi_frames.query.query import Query
    from vapi_frames.result.result import Result

    Codes = npt.NDArray[np.int64]
    AnyCodes = npt.NDArray[np.signedinteger[Any]]

__all__ = ["combine", "ordered", "sorted_table"]


def sorted_table(answer: Result, query: Query[Any]) -> pa.Table:
    """Return the answer's table in the order of the frame.

    Raises:
        ResponseError: A row stands twice.
    """
    names = {one.name for one in query.measures}
    _, order = ordered(answer.table, [name for name in answer.table.column_names if name not in names])
    return answer.table if order is None else answer.table.take(order)


def combine(codes: Sequence[AnyCodes], sizes: Sequence[int]) -> Codes:
    """Return one number a row, in the order of all *codes* together; missing sorts last.

    Args:
        codes: Per level, for each row its place, -1 for missing.
        sizes: Per level, how many places there are.
    """
    combined, size = _last(codes[0], sizes[0]).astype(np.int64), sizes[0] + 1
    for more, many in zip(codes[1:], sizes[1:], strict=True):
        if size * (many + 1) >= 2**62:  # re-rank what has been combined so far, before it overflows
            uniques, combined = np.unique(combined, return_inverse=True)
            size = len(uniques)
        combined *= many + 1
        combined += _last(more, many)
        size *= many + 1
    return combined


def _last(codes: AnyCodes, place: int) -> AnyCodes:
    """Return *codes* with missing at *place*, after all others."""
    return np.where(codes < 0, np.int64(place), codes) if codes.min(initial=0) < 0 else codes


def ordered(table: pa.Table, levels: Sequence[str]) -> tuple[list[tuple[Any, Codes]], Codes | None]:
    """Return per level its sorted values and codes (-1 is missing), in row order, and that order if it is another.

    Raises:
        ResponseError: Two rows have the same keys.
    """
    if not levels:
        return [], None
    keys = [_factorize(table.column(name)) for name in levels]
    combined = combine([codes for _, codes in keys], [len(values) for values, _ in keys])
    order = None
    if (combined[1:] <= combined[:-1]).any():
        order = np.argsort(combined, kind="stable")
        combined = combined[order]
        keys = [(values, codes[order]) for values, codes in keys]
        twice = np.flatnonzero(combined[1:] == combined[:-1])
        if len(twice):
            row = [f"{name} {table.column(name)[int(order[twice[0]])].as_py()!s}" for name in levels]
            raise ResponseError(f"two rows stand for the same group: {', '.join(row)}")
    return keys, order


def _factorize(column: pa.ChunkedArray) -> tuple[Any, Codes]:
    """Return the sorted distinct values of *column*, as an Arrow array, and each row's position among them."""
    encoded = column.combine_chunks().dictionary_encode()
    values = encoded.dictionary
    indices = encoded.indices.fill_null(-1) if encoded.null_count else encoded.indices
    codes = indices.to_numpy().astype(np.int64)
    ascending = pc.call_function("array_sort_indices", [values]).to_numpy()
    position = np.empty(len(values) + 1, np.int64)
    position[ascending] = np.arange(len(values))
    position[-1] = -1  # where a missing value's code points
    return values.take(ascending), position[codes]
