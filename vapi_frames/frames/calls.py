"""From drilled calls to a typed DataFrame, and which of them are behind the rows of a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from vapi_frames.frames.levels import IS_PANDAS_3, IndexLevel, build_index, dates_in_zone, read_levels
from vapi_frames.result.ordering import combine_codes, factorize

if TYPE_CHECKING:
    import numpy.typing as npt

    from vapi_frames.result.drilled import DrilledCalls

__all__ = ["build_calls", "find_calls_of"]


def build_calls(drilled: DrilledCalls, zone: str) -> pd.DataFrame:
    """Return drilled calls as a frame.

    Returns:
        A row for each call, sorted by the index, missing last. Index: that of the query, in which a row may stand many
        times; none of a query without levels. Columns: times ``datetime64[us, zone]``, numbers float64, Booleans
        ``boolean``, all else text.
    """
    names = drilled.levels.column_names
    keys = [factorize(drilled.levels.column(name)) for name in names]
    data = {name: _column(drilled.columns.column(name), zone) for name in drilled.columns.column_names}
    if not names:
        return pd.DataFrame(data)
    levels = [
        IndexLevel(name, _level(name, values, zone), codes) for name, (values, codes) in zip(names, keys, strict=True)
    ]
    frame = pd.DataFrame(data, index=pd.RangeIndex(drilled.levels.num_rows))
    frame.index = build_index(levels)
    combined = combine_codes([codes for _, codes in keys], [len(values) for values, _ in keys])
    if (combined[1:] < combined[:-1]).any():  # an engine may sort a text in another way
        frame = frame.iloc[np.argsort(combined, kind="stable")]
    return frame


def find_calls_of(calls: pd.DataFrame, index: pd.Index) -> npt.NDArray[np.bool_]:
    """Return which of the *calls* stand under a row of *index*, which has the same levels in any order."""
    wanted = {level.name: level for level in read_levels(index)}
    is_known = np.ones(len(calls), bool)
    codes, wanted_codes, sizes = [], [], []
    for name, uniques, places in read_levels(calls.index):
        values = wanted[name].uniques
        at = np.append(_comparable(values).get_indexer(_comparable(uniques)), -1)
        found = at[places]
        is_known &= (found >= 0) | (places < 0)
        codes.append(found)
        wanted_codes.append(wanted[name].codes)
        sizes.append(len(values))
    if not codes:
        return is_known if len(index) else ~is_known
    return is_known & np.isin(combine_codes(codes, sizes), combine_codes(wanted_codes, sizes))


def _comparable(values: pd.Index) -> pd.Index:
    """Return the values of a level without their zone or type."""
    if isinstance(values, pd.DatetimeIndex):
        return values.tz_convert("UTC")
    return pd.Index([str(value) for value in values], dtype=object)


def _level(name: str, values: Any, zone: str) -> pd.Index:
    if name == "date" and pa.types.is_timestamp(values.type):
        return dates_in_zone(zone, values.to_numpy(zero_copy_only=False))
    texts: pd.Index = pd.Index(values.to_pylist(), dtype="str" if IS_PANDAS_3 else object, name=name)
    return texts


def _column(values: pa.ChunkedArray, zone: str) -> Any:
    if pa.types.is_timestamp(values.type):
        return dates_in_zone(zone, values.to_numpy()).rename(None)
    if pa.types.is_floating(values.type):
        return values.to_numpy()
    if pa.types.is_boolean(values.type):
        return pd.array(values.to_pylist(), dtype="boolean")
    return pd.array(values.to_pylist(), dtype="str") if IS_PANDAS_3 else np.array(values.to_pylist(), dtype=object)
