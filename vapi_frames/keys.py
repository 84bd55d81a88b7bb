"""An index as sorted values and whole numbers, on which verbs count, compare and put together quickly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from vapi_frames import timegrid
from vapi_frames.errors import ResponseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pyarrow as pa

    Codes = npt.NDArray[np.int64]
    AnyCodes = npt.NDArray[np.signedinteger[Any]]

__all__ = ["Level", "combine", "distinct", "index_of", "instants_in", "levels_of", "ordered", "ranked", "trimmed"]


_PYTZ_BEGINS = np.datetime64("1902-01-01", "us")
_IS_PANDAS_3 = int(pd.__version__.split(".")[0]) >= 3  # noqa: PLR2004


class Level(NamedTuple):
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


def instants_in(zone: str, micros: npt.NDArray[Any], name: str = "date") -> pd.DatetimeIndex:
    """Return *micros*, in microseconds since 1970, as the values of a level in *zone*."""
    instants = micros.astype("datetime64[us]")
    # pandas 2.2 makes pytz's zone of a name, which knows nothing before 1678 and takes the interpreter with it.
    tz = zone if _IS_PANDAS_3 or (instants > _PYTZ_BEGINS).all() else timegrid.zone(zone)
    return pd.DatetimeIndex(instants, tz="UTC", name=name).tz_convert(tz)


def levels_of(index: pd.Index) -> list[Level]:
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


def _sorted(name: str, values: pd.Index, codes: AnyCodes) -> Level:
    is_missing = np.asarray(values.isna())
    if values.is_monotonic_increasing and not is_missing.any():
        return Level(name, values, codes)
    order = np.asarray(values.argsort())
    order = order[~is_missing[order]]
    position = np.full(len(values) + 1, -1, np.int64)
    position[order] = np.arange(len(order))
    return Level(name, values.take(order), position[codes])


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


def index_of(levels: Sequence[Level]) -> pd.Index:
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


def distinct(levels: Sequence[Level]) -> tuple[list[Level], Codes]:
    """Return the distinct rows that *levels* make, ascending with missing last, and for each row which of them it is.

    Args:
        levels: At least one.
    """
    sizes = [len(level.uniques) for level in levels]
    combined = combine([level.codes for level in levels], sizes)
    found, places = ranked(combined, math.prod(size + 1 for size in sizes))
    first = np.empty(len(found), np.int64)  # a row of each
    first[places] = np.arange(len(places))
    return [trimmed(Level(level.name, level.uniques, level.codes[first])) for level in levels], places


def ranked(values: Codes, size: int) -> tuple[Codes, Codes]:
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


def trimmed(level: Level) -> Level:
    """Return *level* without the values that no row has."""
    name, uniques, codes = level
    is_used = np.zeros(len(uniques) + 1, bool)
    is_used[codes] = True  # of a missing one, the place after the last
    is_used = is_used[:-1]
    if is_used.all():
        return level
    position = np.append(np.cumsum(is_used) - 1, -1)
    return Level(name, uniques[is_used], position[codes])


def ordered(table: pa.Table, levels: Sequence[str]) -> tuple[list[tuple[Any, Codes]], Codes | None]:
    """Return per level its sorted values and codes (-1 is missing), in row order, and that order if it is another.

    Raises:
        ResponseError: Two rows have the same keys.
    """
    if not levels:
        return [], None
    keys = [_factorise(table.column(name)) for name in levels]
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


def _factorise(column: pa.ChunkedArray) -> tuple[Any, Codes]:
    """Return the sorted distinct values of *column*, as an Arrow array, and each row's position among them."""
    import pyarrow.compute as pc

    encoded = column.combine_chunks().dictionary_encode()
    values = encoded.dictionary
    indices = encoded.indices.fill_null(-1) if encoded.null_count else encoded.indices
    codes = indices.to_numpy().astype(np.int64)
    ascending = pc.call_function("array_sort_indices", [values]).to_numpy()
    position = np.empty(len(values) + 1, np.int64)
    position[ascending] = np.arange(len(values))
    position[-1] = -1  # where a missing value's code points
    return values.take(ascending), position[codes]
