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

__all__ = ["combine_codes", "factorize", "sort_keys", "sort_table"]


def sort_table(result: Result, query: Query[Any]) -> pa.Table:
    """Return the table of *result* in the order of the frame.

    Raises:
        ResponseError: Two rows have the same keys.
    """
    measures = {one.name for one in query.measures}
    _, order = sort_keys(result.table, [name for name in result.table.column_names if name not in measures])
    return result.table if order is None else result.table.take(order)


def sort_keys(table: pa.Table, levels: Sequence[str]) -> tuple[list[tuple[Any, Codes]], Codes | None]:
    """Return the keys of the sorted rows, and the order that sorts them.

    Returns:
        Per level, its distinct values, ascending, and for each sorted row the place of its value, -1 for missing; then
        the row numbers in order, ``None`` where the rows are sorted already.

    Raises:
        ResponseError: Two rows have the same keys.
    """
    if not levels:
        return [], None
    keys = [factorize(table.column(name)) for name in levels]
    combined = combine_codes([codes for _, codes in keys], [len(values) for values, _ in keys])
    order = None
    if (combined[1:] <= combined[:-1]).any():
        order = np.argsort(combined, kind="stable")
        combined = combined[order]
        keys = [(values, codes[order]) for values, codes in keys]
        repeated = np.flatnonzero(combined[1:] == combined[:-1])
        if len(repeated):
            row = [f"{name} {table.column(name)[int(order[repeated[0]])].as_py()!s}" for name in levels]
            raise ResponseError(f"two rows have the same keys: {', '.join(row)}")
    return keys, order


def combine_codes(codes: Sequence[AnyCodes], sizes: Sequence[int]) -> Codes:
    """Return one number a row, in the order of all *codes* together; missing sorts last.

    Args:
        codes: Per level, for each row the place of its value, -1 for missing.
        sizes: Per level, how many values there are.
    """
    combined, size = _missing_last(codes[0], sizes[0]).astype(np.int64), sizes[0] + 1
    for more, many in zip(codes[1:], sizes[1:], strict=True):
        if size * (many + 1) >= 2**62:  # rank what is combined so far, before it overflows
            uniques, combined = np.unique(combined, return_inverse=True)
            size = len(uniques)
        combined *= many + 1
        combined += _missing_last(more, many)
        size *= many + 1
    return combined


def _missing_last(codes: AnyCodes, size: int) -> AnyCodes:
    """Return *codes* with missing after the *size* values."""
    return np.where(codes < 0, np.int64(size), codes) if codes.min(initial=0) < 0 else codes


def factorize(column: pa.ChunkedArray) -> tuple[Any, Codes]:
    """Return the distinct values of *column*, ascending, and for each row the place of its value."""
    encoded = column.combine_chunks().dictionary_encode()
    values = encoded.dictionary
    indices = encoded.indices.fill_null(-1) if encoded.null_count else encoded.indices
    ascending = pc.call_function("array_sort_indices", [values]).to_numpy()
    position = np.empty(len(values) + 1, np.int64)
    position[ascending] = np.arange(len(values))
    position[-1] = -1  # a missing value's code
    return values.take(ascending), position[indices.to_numpy()]
