"""Arguments of verbs, read so that a wrong one is refused by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from vapi_frames.errors import QueryError, format_value

if TYPE_CHECKING:
    from vapi_frames.frames.provenance import CheckedFrame

__all__ = ["check_count", "check_flag", "check_level_is_free", "read_names"]

_MAX_COUNT = 2**53  # a whole number that every type here holds


def check_count(value: object, name: str) -> int:
    """Return *value*, the argument *name*, as a whole number of at least 1.

    Raises:
        QueryError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise QueryError(f"{name} must be a whole number of at least 1, not {format_value(value)}")
    return min(int(value), _MAX_COUNT)


def check_flag(value: object, name: str) -> None:
    """Raise `QueryError` unless *value*, the argument *name*, is true or false."""
    if not isinstance(value, bool | np.bool_):
        raise QueryError(f"{name} must be True or False, not {format_value(value)}")


def read_names(value: object, name: str, example: str) -> list[str]:
    """Return the names that *value*, the argument *name*, lists: one as text, or several.

    Raises:
        QueryError: It holds anything but text.
    """
    if isinstance(value, str):
        return [value]
    names = list(value) if isinstance(value, Iterable) and not isinstance(value, Mapping | bytes) else None
    wrong = value if names is None else next((one for one in names if not isinstance(one, str)), None)
    if names is None or wrong is not None or None in names:
        raise QueryError(f"{name} must be a name or a list of names, e.g. {name}={example}, not {format_value(wrong)}")
    return names


def check_level_is_free(checked: CheckedFrame, name: str) -> None:
    """Raise `QueryError` where the frame has a column or level *name*, so that a verb cannot make a level of it."""
    if name in checked.frame.columns:
        raise QueryError(f"the frame already has a column {name!r}: drop it first, df.drop(columns={name!r})")
    levels = [one.name for one in checked.levels]
    if name in levels:
        others = [one for one in levels if one not in (name, "date")]
        raise QueryError(
            f"the frame already has a level {name!r}, and two of one name cannot be told apart: roll it up first, "
            f"df.vapi.rollup(by={others})"
        )
