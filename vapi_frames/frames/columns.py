"""The columns of a frame as plain arrays, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

__all__ = ["Backend", "comparable", "find_backend", "to_backend", "to_numpy"]

Backend = Literal["numpy", "numpy_nullable", "pyarrow"]
_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal", "boolean", "empty"}


def find_backend(frame: pd.DataFrame, names: Iterable[str]) -> Backend:
    """Return which kind of types the columns *names* have."""
    of_column = dict(frame.dtypes.items())  # without a Series of each column, which takes most of the time
    types = [of_column[name] for name in names]
    if any(isinstance(one, pd.ArrowDtype) for one in types):
        return "pyarrow"
    return "numpy_nullable" if any(pd.api.types.is_extension_array_dtype(one) for one in types) else "numpy"


def to_numpy(values: pd.Series) -> npt.NDArray[Any]:
    """Return *values* as int64 where they are integers and none is missing, else as float64 with NaN for missing."""
    if pd.api.types.is_integer_dtype(values.dtype) and not values.hasnans:
        return values.to_numpy(dtype=np.int64)
    if values.dtype == np.float64:
        return values.to_numpy()
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def to_backend(values: npt.NDArray[Any], backend: Backend) -> Any:
    """Return *values* as a column of *backend*; NaN is missing."""
    if backend == "numpy":
        return values
    is_missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    if backend == "pyarrow":
        import pyarrow as pa

        return pd.arrays.ArrowExtensionArray(pa.array(values, mask=is_missing))
    kind = {"f": pd.arrays.FloatingArray, "i": pd.arrays.IntegerArray, "b": pd.arrays.BooleanArray}[values.dtype.kind]
    return kind(values, is_missing)


def comparable(values: pd.Series) -> npt.NDArray[Any]:
    """Return *values* as numbers that are equal where the values are: an instant as microseconds since 1970.

    Raises:
        TypeError: They are neither numbers, nor truth values, nor instants.
    """
    dtype: Any = values.dtype
    if pd.api.types.is_datetime64_any_dtype(dtype):
        instants = pd.DatetimeIndex(values)
        instants = instants if instants.tz is None else instants.tz_convert(None)
        micros = instants.to_numpy(dtype="datetime64[us]")
        return np.where(np.isnat(micros), np.nan, micros.astype(np.int64).astype(np.float64))
    is_number = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype)
    if not is_number and not (
        pd.api.types.is_object_dtype(dtype) and pd.api.types.infer_dtype(values, skipna=True) in _NUMBERS
    ):
        raise TypeError(f"its type is {dtype}")
    return to_numpy(values)
