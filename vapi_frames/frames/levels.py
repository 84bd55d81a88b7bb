"""An index as sorted values and whole numbers, on which verbs count, compare and put together quickly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from vapi_frames.calendar import buckets
from vapi_frames.result.ordering import combine_codes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy.typing as npt

    from vapi_frames.result.ordering import AnyCodes, Codes

__all__ = [
    "IS_PANDAS_3",
    "IndexLevel",
    "build_index",
    "dates_in_zone",
    "distinct_rows",
    "drop_unused",
    "rank_distinct",
    "read_levels",
]


_PYTZ_BEGINS = np.datetime64("1902-01-01", "us")
IS_PANDAS_3 = int(pd.__version__.split(".")[0]) > 2  # noqa: PLR2004 - the oldest major that is supported


class IndexLevel(NamedTuple):
    """One level of an index.

    Attributes:
        name: Its name.
        uniques: Its distinct values, ascending, without the missing one; more than the rows have, perhaps.
        codes: For each row the place of its value, -1 for missing; whole numbers as short as the index has them, with
            which nothing but looking up is safe.
    """

    name: str
    uniques: pd.Index
    codes: AnyCodes


def dates_in_zone(zone: str, micros: npt.NDArray[Any], name: str = "date") -> pd.DatetimeIndex:
    """Return *micros*, in microseconds since 1970, as the values of a level in *zone*."""
    instants = micros.astype("datetime64[us]")
    # pandas 2.2 makes pytz's zone of a name, which knows nothing before 1678 and takes the interpreter with it.
    tz = zone if IS_PANDAS_3 or (instants > _PYTZ_BEGINS).all() else buckets.find_zone(zone)
    return pd.DatetimeIndex(instants, tz="UTC", name=name).tz_convert(tz)


def read_levels(index: pd.Index) -> list[IndexLevel]:
    """Return the named levels of *index*."""
    if isinstance(index, pd.MultiIndex):
        return [
            _sorted(str(name), index.levels[i], np.asarray(index.codes[i]))
            for i, name in enumerate(index.names)
            if name is not None
        ]
    if index.name is None:
        return []
    codes, found = index.factorize()
    return [_sorted(str(index.name), pd.Index(found), codes.astype(np.int64))]


def _sorted(name: str, values: pd.Index, codes: AnyCodes) -> IndexLevel:
    is_missing = np.asarray(values.isna())
    if values.is_monotonic_increasing and not is_missing.any():
        return IndexLevel(name, values, codes)
    present = np.flatnonzero(~is_missing)  # with pandas 2, a missing value among texts is a float, which has no order
    order = present[np.asarray(values.take(present).argsort())]
    position = np.full(len(values) + 1, -1, np.int64)
    position[order] = np.arange(len(order))
    return IndexLevel(name, values.take(order), position[codes])


def build_index(levels: Sequence[IndexLevel]) -> pd.Index:
    """Return the index that *levels* make: a plain one of one level, a MultiIndex of several."""
    if len(levels) == 1:
        name, values, codes = levels[0]
        if (codes < 0).any():
            missing: Any = np.nan if values.dtype == object else pd.NA  # None would mean: do not fill
            return values.take(codes, fill_value=missing).rename(name)
        return values.take(codes).rename(name)
    parts: Any = [level.uniques.rename(level.name) for level in levels]
    places: Any = [level.codes for level in levels]
    names = [level.name for level in levels]
    return pd.MultiIndex(levels=parts, codes=places, names=names, verify_integrity=False)


def distinct_rows(levels: Sequence[IndexLevel]) -> tuple[list[IndexLevel], Codes]:
    """Return the distinct rows that *levels* make, ascending with missing last, and for each row which of them it is.

    Args:
        levels: At least one.
    """
    sizes = [len(level.uniques) for level in levels]
    combined = combine_codes([level.codes for level in levels], sizes)
    found, places = rank_distinct(combined, math.prod(size + 1 for size in sizes))
    first = np.empty(len(found), np.int64)  # a row of each
    first[places] = np.arange(len(places))
    return [drop_unused(IndexLevel(level.name, level.uniques, level.codes[first])) for level in levels], places


def rank_distinct(values: Codes, size: int) -> tuple[Codes, Codes]:
    """Return the distinct *values*, which are from 0 to below *size*, ascending, and each one's place among them."""
    if size <= 4 * len(values):  # a mark for each that there could be is less than a table of those that there are
        is_there = np.zeros(size, bool)
        is_there[values] = True
        return np.flatnonzero(is_there), (np.cumsum(is_there) - 1)[values]
    codes, found = pd.factorize(values)
    order = np.argsort(found)
    position = np.empty(len(found), np.int64)
    position[order] = np.arange(len(found))
    return found[order], position[codes]


def drop_unused(level: IndexLevel) -> IndexLevel:
    """Return *level* without the values that no row has."""
    name, uniques, codes = level
    is_used = np.zeros(len(uniques) + 1, bool)
    is_used[codes] = True  # of a missing one, the place after the last
    is_used = is_used[:-1]
    if is_used.all():
        return level
    position = np.append(np.cumsum(is_used) - 1, -1)
    return IndexLevel(name, uniques[is_used], position[codes])
