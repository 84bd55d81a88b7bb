"""Columns of the sample from random numbers, by arithmetic that is exact on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]
    Whole: TypeAlias = npt.NDArray[np.int64]
    Flags: TypeAlias = npt.NDArray[np.bool_]

__all__ = ["make_text", "make_timestamps", "make_uuids", "pick"]


def pick(chance: Floats, shares: npt.ArrayLike, row: Whole) -> Whole:
    """Return a position in ``shares[row]``, per mille, for each random number, -1 where it lies beyond them all.

    Examples:
        >>> pick(np.array([0.1, 0.5, 0.9]), [(400, 300)], np.zeros(3, dtype=np.int64)).tolist()
        [0, 1, -1]
    """
    edges = np.cumsum(np.asarray(shares, dtype=np.int64), axis=1) / 1_000
    picked = np.zeros(len(chance), dtype=np.int64)
    for edge in edges.T:
        picked += chance >= edge[row]
    picked[picked == edges.shape[1]] = -1
    return picked


def make_uuids(rng: np.random.Generator, count: int) -> pa.LargeStringArray:
    """Return random UUIDs (version 4) as text."""
    words = rng.integers(0, 2**64, size=(count, 2), dtype=np.uint64)
    words &= np.array([0xFFFF_FFFF_FFFF_0FFF, 0x3FFF_FFFF_FFFF_FFFF], dtype=np.uint64)
    words |= np.array([0x4000, 0x8000_0000_0000_0000], dtype=np.uint64)
    digits = np.frombuffer(words.astype(">u8").tobytes().hex().encode(), dtype=np.uint8)
    text = np.full((count, 36), ord("-"), dtype=np.uint8)
    text[:, [place for place in range(36) if place not in {8, 13, 18, 23}]] = digits.reshape(count, 32)
    ends = np.arange(0, 36 * (count + 1), 36, dtype=np.int64)
    return pa.LargeStringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(text))


def make_text(values: Any, codes: Whole | None = None) -> pd.Series[Any]:
    """Return *values*, or those at the positions *codes*, as the default kind of strings of this pandas."""
    own = pd.Series([""]).dtype
    if isinstance(values, pa.Array):
        return pd.Series(values.to_pandas(), dtype=own)
    text = pd.Series(values if codes is None else [*values, None], dtype=own)
    return text if codes is None else pd.Series(text.array.take(codes))


def make_timestamps(milliseconds: Whole, known: Flags) -> pd.Series[Any]:
    """Return UTC timestamps of microseconds, missing where not *known*."""
    stamps = np.where(known, (milliseconds * 1_000).astype("datetime64[us]"), np.datetime64("NaT", "us"))
    return pd.Series(pd.DatetimeIndex(stamps).tz_localize("UTC"))
