"""The type of a frame that knows itself, for type checkers: at run time it is a plain DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

__all__ = ["as_result"]

Accessor = TypeVar("Accessor")

if TYPE_CHECKING:
    from typing import Generic

    import pandas as pd

    class ResultFrame(pd.DataFrame, Generic[Accessor]):
        """A DataFrame with a typed ``.vapi``."""

        vapi: Accessor


def as_result(accessor: Accessor, frame: pd.DataFrame) -> ResultFrame[Accessor]:  # noqa: ARG001 - its type counts
    """Return *frame* as it is; its ``.vapi`` is of the type of *accessor*."""
    return cast("ResultFrame[Accessor]", frame)
