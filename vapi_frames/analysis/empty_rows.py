"""Rows that one period of a comparison lacks: their sums of 0 leave a coarser sum missing that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    from vapi_frames.query.aggregation import Aggregation

__all__ = ["find_empty_rows", "keep_missing"]


def find_empty_rows(
    columns: Mapping[str, npt.NDArray[np.float64]], measures: Iterable[Aggregation], rows: int, suffix: str = ""
) -> npt.NDArray[np.bool_]:
    """Return which of *rows* rows look like added ones: each of their sums and counts is 0, and all else missing."""
    is_empty = np.ones(rows, bool)
    for one in measures:
        if (values := columns.get(f"{one.name}{suffix}")) is not None:
            is_empty &= values == 0 if one.measure.fill == "zero" else np.isnan(values)
    return is_empty


def keep_missing(
    coarser: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    has_calls: npt.NDArray[np.bool_],
    codes: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Return *coarser* sums, missing where rows have calls and no value: such a sum is missing, and not 0.

    Args:
        coarser: The sums.
        values: The finer column.
        has_calls: Which finer rows have calls.
        codes: For each finer row, the number of its coarser row.
    """
    some, known = np.zeros(len(coarser), bool), np.zeros(len(coarser), bool)
    some[codes[has_calls]] = True
    known[codes[has_calls & ~np.isnan(values)]] = True
    is_missing = some & ~known
    return np.where(is_missing, np.nan, coarser) if is_missing.any() else coarser  # counts stay whole
