"""The total of the rows of a frame, of the measures that add up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from vapi_frames.frames.meta import Meta

__all__ = ["add_up", "describe_total", "to_total_row"]


def add_up(frame: pd.DataFrame, meta: Meta) -> dict[str, Any]:
    """Return column → the sum of its rows, for each measure of *frame* that adds up over its levels."""
    found = {}
    for place, name in enumerate(frame.columns):
        if is_additive(str(name), frame, meta):
            values = frame.iloc[:, place]
            found[str(name)] = values.sum(min_count=1)
    return found


def is_additive(name: str, frame: pd.DataFrame, meta: Meta) -> bool:
    """Return whether the sum of the rows is the measure of all their calls.

    Of a comparison, the other period and the difference add up where the measure does.
    """
    derived = meta.derived.get(name)
    if derived is not None and derived.made in (("before",), ("delta",)):
        return is_additive(name.removesuffix(str(derived.made[0]).capitalize()), frame, meta)
    if derived is not None:
        return derived.rule == "sum"
    one = next((one for one in meta.aggregations if one.name == name), None)
    if one is None:
        return False
    rules = {one.measure.over_time} if "date" in frame.index.names else set()
    if any(level != "date" for level in frame.index.names):
        rules.add(one.measure.over_groups)
    return rules == {"sum"}


def describe_total(frame: pd.DataFrame, sums: dict[str, Any]) -> str:
    """Return a sentence about the columns without a total, empty where each has one."""
    numeric = [str(name) for name, dtype in zip(frame.columns, frame.dtypes, strict=True) if _is_number(dtype)]
    others = [name for name in numeric if name not in sums]
    if not others:
        return ""
    listed = " and ".join(filter(None, [", ".join(others[:-1]), others[-1]]))
    return f"No total of {listed}: {'it does' if len(others) == 1 else 'they do'} not add up over the rows."


def to_total_row(frame: pd.DataFrame, sums: dict[str, Any]) -> pd.DataFrame:
    """Return a frame of one row, called ``total``, with *sums*; the other columns are missing."""
    names = frame.index.names
    label = ("total", *[""] * (len(names) - 1))
    index = pd.MultiIndex.from_tuples([label], names=names) if len(names) > 1 else pd.Index(["total"], name=names[0])
    values = {place: [sums.get(str(name), np.nan)] for place, name in enumerate(frame.columns)}
    return pd.DataFrame(values, index=index, dtype=object).set_axis(frame.columns, axis=1)


def _is_number(dtype: Any) -> bool:
    return pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
