"""Whom a query asks: the protocol that lets a question be bound to someone who stands on a higher floor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast

from vapi_frames.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from vapi_frames.comparison import Comparison
    from vapi_frames.query import Query

__all__ = ["Asker", "DtypeBackend", "ProgressOption", "as_polars"]

DtypeBackend: TypeAlias = Literal["numpy_nullable", "pyarrow"]
ProgressOption: TypeAlias = "bool | Callable[[Any], object] | None"
"""How a long fetch is shown; a function is called with a `vapi_frames.Progress`."""


def as_polars(table: pa.Table) -> pl.DataFrame:
    """Return an Arrow table as a polars frame.

    Raises:
        MissingExtraError: polars is not installed.
    """
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError("polars", "polars", "to_polars()") from None
    return cast("pl.DataFrame", pl.from_arrow(table))


class Asker(Protocol):
    """Whom a query asks; what `vapi_frames.connect` and its siblings return."""

    def now(self) -> datetime:
        """Return the clock by which relative ranges resolve."""
        ...

    def fetch(
        self,
        *queries: Query[Any],
        dtype_backend: DtypeBackend | None = None,
        categorical: bool = False,
        progress: ProgressOption = None,
    ) -> dict[str, pd.DataFrame]:
        """Answer the queries as frames, by name."""
        ...

    def compare(
        self,
        comparison: Comparison,
        *,
        dtype_backend: DtypeBackend | None = None,
        categorical: bool = False,
        progress: ProgressOption = None,
    ) -> pd.DataFrame:
        """Answer both periods of a comparison as one frame."""
        ...

    def to_arrow(self, query: Query[Any]) -> pa.Table:
        """Answer one query as an Arrow table."""
