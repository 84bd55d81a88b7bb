"""The frozen value of a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

__all__ = ["DtypeBackend", "ProgressOption"]


DtypeBackend: TypeAlias = Literal["numpy_nullable", "pyarrow"]
ProgressOption: TypeAlias = "bool | Callable[[Any], object] | None"
"""How a long fetch is shown; a function is called with a `vapi_frames.Progress`."""
