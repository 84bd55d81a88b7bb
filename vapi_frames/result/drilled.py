"""The calls that a query counts, as a source gives them back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DrilledCalls"]


@dataclass(frozen=True, slots=True)
class DrilledCalls:
    """The calls behind the result of a query.

    Attributes:
        levels: The levels of the query's index, a row for each call.
        columns: What is shown of each call: times ``timestamp[us, UTC]``, numbers ``double``, Booleans ``bool``, all
            else ``string``.
        is_cut: Whether there are more calls than the limit.
        notes: What a reader should know.

    Both tables are sorted by the levels, then by when the calls were created, then by id.
    """

    levels: pa.Table
    columns: pa.Table
    is_cut: bool = False
    notes: tuple[str, ...] = field(default=())
