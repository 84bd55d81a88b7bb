"""Where the levels of a frame stand: in its index, or as columns. A verb returns the layout that it was given.

Verbs are written for an index. `keep_layout` gives them the levels of a flat frame as one, and returns a flat frame.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pandas as pd

from vapi_frames.frames.levels import build_index
from vapi_frames.frames.meta import ATTRIBUTE, read_meta
from vapi_frames.frames.origin import read_keys

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["keep_layout", "list_level_columns", "to_flat", "to_indexed"]

Verb = TypeVar("Verb", bound="Callable[..., Any]")


def list_level_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns of *frame* that are levels; none where its index has levels, or it knows nothing of itself."""
    if list(frame.index.names) != [None] or frame.columns.nlevels > 1 or not frame.columns.is_unique:
        return []
    if not isinstance(frame.attrs.get(ATTRIBUTE), str):
        return []
    return [name for name in read_meta(frame).levels if name in frame.columns]


def to_indexed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return *frame* with the levels that are columns as its index, in the order of its rows; another one as it is.

    Raises:
        ProvenanceError: A column holds what no level holds.
    """
    names = list_level_columns(frame)
    if not names:
        return frame
    index = build_index(read_keys(frame, names))
    indexed = frame.drop(columns=names)
    indexed.index = index
    indexed.attrs = dict(frame.attrs)
    return indexed


def to_flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Return *frame* with the levels of its index as its first columns; one without levels as it is."""
    if list(frame.index.names) == [None]:
        return frame
    flat = frame
    if isinstance(frame.columns, pd.CategoricalIndex):  # which has no place for the names of levels
        flat = frame.set_axis(frame.columns.astype(frame.columns.categories.dtype), axis="columns")
    flat = flat.reset_index()
    if flat.columns.nlevels == 1:
        flat.columns.name = None  # that of a level, which wide() spread
    flat.attrs = dict(frame.attrs)
    return flat


def keep_layout(verb: Verb) -> Verb:
    """Return *verb* such that it also takes a flat frame, and returns a flat frame then.

    A result with one row for each row of the frame has the frame's own index, as columns added by pandas would.
    """

    @wraps(verb)
    def verb_of_either(frame: Any, *args: Any, **options: Any) -> Any:
        if not isinstance(frame, pd.DataFrame) or not list_level_columns(frame):
            return verb(frame, *args, **options)
        indexed = to_indexed(frame)
        result = verb(indexed, *args, **options)
        if not isinstance(result, pd.DataFrame | pd.Series):
            return result
        is_same = result.index.is_(indexed.index)
        if isinstance(result, pd.DataFrame):
            result = to_flat(result)
        if is_same:
            result.index = frame.index
        return result

    return cast("Verb", verb_of_either)
