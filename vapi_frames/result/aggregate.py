"""Re-aggregation: the values of coarser rows, made from finer rows, exactly or not at all.

Sums and counts add up, minimum and maximum nest, an average is made again from its sum and its count. What a measure
allows over time and over groups is in `vapi_frames.contract.vocabulary`; this module computes it on plain arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    import numpy.typing as npt

    from vapi_frames.query.aggregation import Reaggregation

    Codes = npt.NDArray[np.int64]
    Numbers = npt.NDArray[Any]

__all__ = ["aggregate", "divide", "percent_change"]


def aggregate(
    recipes: Iterable[Reaggregation], columns: Mapping[str, Numbers], codes: Codes, size: int
) -> dict[str, Numbers]:
    """Return the columns of the coarser rows.

    Args:
        recipes: How each column is made.
        columns: The finer columns: int64, or float64 with NaN for missing.
        codes: For each finer row, the number of its coarser row.
        size: How many coarser rows there are.

    Returns:
        Name → *size* values: int64 where the finer ones were. A value is missing where all its parts are.
    """
    result: dict[str, Numbers] = {}
    for name, rule, total, counts in recipes:
        if rule == "weighted":
            weights = columns[counts or ""].astype(np.float64)
            parts = columns[name] * weights if total is None else columns[total].astype(np.float64)
            result[name] = _average(parts, weights, codes, size)
        elif rule == "sum":
            result[name] = _sum(columns[name], codes, size)
        else:
            extremes = np.full(size, np.nan)
            (np.fmin if rule == "min" else np.fmax).at(extremes, codes, columns[name].astype(np.float64, copy=False))
            result[name] = extremes
    return result


def _sum(values: Numbers, codes: Codes, size: int) -> Numbers:
    """Return the sum of each group; missing where the group has no value."""
    sums = _group_sums(codes, values, size)
    if values.dtype == np.int64:
        return sums
    if sums.all() and not np.isnan(sums).any():
        return sums  # no value is missing, and no group is empty: an empty one would sum to 0
    is_missing = np.isnan(values)
    codes, values = codes[~is_missing], values[~is_missing]
    sums = _group_sums(codes, values, size)
    sums[np.bincount(codes, minlength=size) == 0] = np.nan
    return sums


def _group_sums(codes: Codes, values: Numbers, size: int) -> Numbers:
    """Return the sum of each group, 0 for an empty one."""
    if len(codes) and (codes[1:] >= codes[:-1]).all():  # rows sorted by group: three times as fast
        begins = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
        sums = np.zeros(size, values.dtype)
        sums[codes[begins]] = np.add.reduceat(values, begins)
        return sums
    if values.dtype == np.int64:
        sums = np.zeros(size, np.int64)
        np.add.at(sums, codes, values)
        return sums
    # Over no rows, bincount returns integers, which hold no NaN.
    return np.bincount(codes, weights=values, minlength=size).astype(np.float64, copy=False)


def _average(parts: Numbers, weights: Numbers, codes: Codes, size: int) -> Numbers:
    """Return the weighted mean of each group; *parts* are values times weights."""
    # A finer row without a value has weight 0 and no average: 0 times NaN must count as 0.
    sums = _group_sums(codes, np.where(weights > 0, parts, 0.0), size)
    return divide(sums, _group_sums(codes, np.nan_to_num(weights), size))


def divide(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any], scale: float = 1.0) -> npt.NDArray[np.float64]:
    """Return the ratio of two columns times *scale*; missing where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: npt.NDArray[np.float64] = np.divide(numerator, denominator, dtype=np.float64)
    if not denominator.all():
        ratio[denominator == 0] = np.nan
    return ratio if scale == 1 else ratio * scale


def percent_change(delta: npt.NDArray[np.float64], before: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return *delta* in percent of the value *before*; missing where that was 0."""
    return divide(delta, before, 100.0)
