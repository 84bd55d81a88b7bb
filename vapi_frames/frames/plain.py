"""A frame as plain Python values, for files of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["plain_columns"]


def plain_columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Return the columns of *frame*, those of its index first, as plain values: dates are text, missing is ``None``.

    Examples:
        >>> import vapi_frames as vf
        >>> query = vf.demo().call().count().step("month").during("2026-10")
        >>> plain_columns(query.fetch())
        {'date': ['2026-10-01T00:00:00+00:00'], 'countId': [13495]}
    """
    levels = [name for name in frame.index.names if name is not None]
    table = frame.reset_index() if levels else frame
    columns: dict[str, list[Any]] = {}
    for name in table.columns:
        column = table[name]
        values = column.astype(object).tolist()
        if hasattr(column.dtype, "tz") or column.dtype.kind == "M":
            values = [value.isoformat() for value in values]
        columns[str(name)] = [
            None if is_missing else value for value, is_missing in zip(values, column.isna(), strict=True)
        ]
    return columns
