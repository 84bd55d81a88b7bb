"""What one chart draws: a table with a column a line or color, and the words around it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vapi_frames.frames.meta import Meta

__all__ = ["MAX_LINES", "ChartData", "keep_largest", "make_labels"]

MAX_LINES = 8  # as many as there are colors
_MAX_CHARS = 44  # of a group's value; a longer one is cut
_ID_CHARS = 8  # characters that are left of an id
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class ChartData(NamedTuple):
    """The data of one chart.

    Attributes:
        table: The rows along the axis, one column a line or color.
        kind: ``time`` with a date on the index, ``groups`` without, ``cards`` for one row of figures; ``week`` for the
            slots of a typical week, ``heat`` for cells.
        names: The measures.
        label: What the numbers are, with their unit.
        title: The title of the chart.
        legend: The title of the legend, ``None`` where there is only one column.
        flags: For each row, whether its bucket is partial; of cells, for each column.
        before: In a comparison, the other period: the same columns on the same rows.
        meta: What is known of the frame.
        unit: The unit of the numbers; ``share`` where 1 is the whole.
        is_stack: Whether the columns are parts of one whole, so that they stack.
        neutral: The column of what went well, beside those of what failed; it is gray, and first where columns stack.
    """

    table: pd.DataFrame
    kind: str
    names: list[str]
    label: str
    title: str
    legend: str | None
    flags: Any
    before: pd.DataFrame | None
    meta: Meta
    unit: str = ""
    is_stack: bool = False
    neutral: str | None = None


def keep_largest(tables: list[pd.DataFrame], limit: int, *, additive: bool) -> list[pd.DataFrame]:
    """Return the *limit* largest columns of *tables*; the rest is one column where it adds up."""
    table = tables[0]
    if table.shape[1] <= limit:
        return tables
    size = (table.sum() if additive else table.mean()).fillna(-np.inf)
    places = np.sort(np.argsort(-size.to_numpy(), kind="stable")[: limit - additive])
    rest = np.setdiff1d(np.arange(table.shape[1]), places)
    found = [one.iloc[:, places] for one in tables]
    if additive:
        other = f"other ({len(rest)})"
        found = [
            largest.assign(**{other: one.iloc[:, rest].sum(axis=1, min_count=1)})
            for largest, one in zip(found, tables, strict=True)
        ]
    return found


def make_labels(values: pd.Index) -> list[str]:
    """Return the values of groups as labels, several of them joined."""
    if isinstance(values, pd.MultiIndex):
        parts = [_shorten(list(values.get_level_values(i))) for i in range(values.nlevels)]
        return [" · ".join(row) for row in zip(*parts, strict=True)]
    return _shorten(list(values))


def _shorten(values: Sequence[Any]) -> list[str]:
    """Return group values as labels: ids cut where they still differ, missing as ``(none)``, empty as ``""``."""
    texts = ["(none)" if pd.isna(v) else str(v) or '""' for v in values]
    cut = [f"{t[:_ID_CHARS]}…" if _UUID.fullmatch(t) else t for t in texts]
    cut = [t if len(t) <= _MAX_CHARS else f"{t[: _MAX_CHARS // 2]}…{t[-_MAX_CHARS // 2 + 1 :]}" for t in cut]
    return cut if len(set(cut)) == len(set(texts)) else texts
