"""How measures add up: what a coarser row says, made from finer rows, exactly or not at all.

Sums and counts add, the least and the greatest nest, an average comes back from its sum and its count. What a measure
may do over time and over groups stands in `vapi_frames.vocabulary`; here it is done, on plain arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from vapi_frames.errors import NonAdditiveError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    from vapi_frames.wire import Aggregation

    Numbers = npt.NDArray[Any]

__all__ = ["Recipe", "aggregate", "recipe"]


class Recipe(NamedTuple):
    """How one column of coarser rows is made.

    Attributes:
        name: The column.
        rule: ``weighted`` is an average, from its sum or its values, and the count.
        total: For an average, the column of its sum, where there is one.
        counts: For an average, the column of its count.
    """

    name: str
    rule: Literal["sum", "min", "max", "weighted"]
    total: str | None = None
    counts: str | None = None


def recipe(one: Aggregation, beside: Iterable[Aggregation], *, over_time: bool, over_groups: bool) -> Recipe:
    """Return how *one* is made from finer rows that also hold the measures *beside* it.

    Raises:
        NonAdditiveError: It cannot be made exactly; the message says why, and not yet what to ask instead.

    Examples:
        >>> from vapi_frames.wire import Aggregation
        >>> avg, count = Aggregation("avg", "duration"), Aggregation("count", "duration")
        >>> recipe(avg, [avg, count], over_time=True, over_groups=False)
        Recipe(name='avgDuration', rule='weighted', total=None, counts='countDuration')
    """
    rules = {one.measure.over_time} if over_time else set()
    rules |= {one.measure.over_groups} if over_groups else set()
    what = f"{one.name!r}, the {one.operation} of {one.column!r},"
    if "none" in rules:
        if one.column == "concurrency" and one.operation in ("min", "max"):
            raise NonAdditiveError(f"{what} does not add up over groups: their peaks need not coincide")
        raise NonAdditiveError(f"{what} cannot be made again from finer rows")
    if rules <= {"weighted"}:
        there = {other.operation: other.name for other in beside if other.column == one.column}
        if "count" not in there:
            raise NonAdditiveError(
                f"{what} is made again only from the counts of the same column, which are not here (.with_counts() "
                "adds them): a mean of means is another number"
            )
        return Recipe(one.name, "weighted", there.get("sum"), there["count"])
    (rule,) = rules
    assert rule in ("sum", "min", "max")  # noqa: S101 - what else the table says has been dealt with
    return Recipe(one.name, rule)


def aggregate(
    recipes: Iterable[Recipe], columns: Mapping[str, Numbers], codes: npt.NDArray[np.int64], size: int
) -> dict[str, Numbers]:
    """Return the coarser columns.

    Args:
        recipes: What is made.
        columns: The finer columns: int64, or float64 with NaN for missing.
        codes: For each finer row, the coarser one that it belongs to.
        size: How many coarser rows there are.

    Returns:
        Name → *size* values: int64 where the finer ones were. A value is missing where all its parts are.
    """
    made: dict[str, Numbers] = {}
    for name, rule, total, counts in recipes:
        if rule == "weighted":
            weights = columns[counts or ""].astype(np.float64)
            parts = columns[total].astype(np.float64) if total is not None else columns[name] * weights
            made[name] = _average(parts, weights, codes, size)
        elif rule == "sum":
            made[name] = _sum(columns[name], codes, size)
        else:
            values = columns[name]
            if values.dtype == np.int64:
                values = values.astype(np.float64)
            found = np.full(size, np.nan)
            (np.fmin if rule == "min" else np.fmax).at(found, codes, values)
            made[name] = found
    return made


def _sum(values: Numbers, codes: npt.NDArray[np.int64], size: int) -> Numbers:
    found = _added(codes, values, size)
    if values.dtype == np.int64:
        return found
    if found.all() and not np.isnan(found).any():
        return found  # no value is missing, and no coarser row is without a finer one, whose sum would be 0
    is_missing = np.isnan(values)
    codes, values = codes[~is_missing], values[~is_missing]
    found = _added(codes, values, size)
    found[np.bincount(codes, minlength=size) == 0] = np.nan
    return found


def _added(codes: npt.NDArray[np.int64], values: Numbers, size: int) -> Numbers:
    if len(codes) and (codes[1:] >= codes[:-1]).all():  # in order, as by time: in a third of the time
        begins = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
        found = np.zeros(size, values.dtype)
        found[codes[begins]] = np.add.reduceat(values, begins)
        return found
    if values.dtype == np.int64:
        found = np.zeros(size, np.int64)
        np.add.at(found, codes, values)
        return found
    # Of nothing, bincount makes whole numbers, which hold no NaN.
    return np.bincount(codes, weights=values, minlength=size).astype(np.float64, copy=False)


def _average(parts: Numbers, weights: Numbers, codes: npt.NDArray[np.int64], size: int) -> Numbers:
    # A row of no value at all has no average; 0 times nothing is to be nothing.
    summed = _added(codes, np.where(weights > 0, parts, 0.0), size)
    counted = _added(codes, np.nan_to_num(weights), size)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(counted > 0, summed / counted, np.nan)
