"""Which rows of its origin a frame holds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from vapi_frames.errors import ProvenanceError
from vapi_frames.frames.origin import read_keys, to_micros
from vapi_frames.result.ordering import combine_codes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import numpy.typing as npt

    from vapi_frames.frames.levels import IndexLevel
    from vapi_frames.frames.origin import Origin
    from vapi_frames.result.ordering import Codes

__all__ = ["Located", "equal_values", "locate", "locate_keys", "show_row"]

_FEW = 8  # values of dropped levels that are each compared with all rows
_MOST_PROBES = 64  # rows by which more values are reduced to few


class Located(NamedTuple):
    """Where the rows of a frame are in its origin.

    Attributes:
        positions: The position of each row, ``None`` where all rows are there in their order.
        dropped: Levels that the frame no longer has → the code of the one value that its rows have there, ``None``
            where they have several.
    """

    positions: Codes | None
    dropped: dict[str, int | None]


class _Keys(NamedTuple):
    """A number for each row of the origin and of the frame, by which equal rows have the same one.

    Attributes:
        mine: Those of the origin's rows, from 0 to below *size*.
        theirs: Those of the frame's rows; -1 for a value that the origin does not have.
        size: One more than the greatest that there could be.
    """

    mine: Codes
    theirs: Codes
    size: int


def locate(frame: pd.DataFrame, origin: Origin, columns: Mapping[str, npt.NDArray[Any]]) -> Located:
    """Return which rows of *origin* the rows of *frame* are.

    Args:
        frame: The frame.
        origin: The rows that it was made from.
        columns: The values of its measures, which tell the value of a level that was dropped.

    Raises:
        ProvenanceError: A row is none of them, or occurs twice.
    """
    names = list(frame.index.names)
    is_same = frame.index.is_(origin.index) and names == list(origin.index.names)
    # The index of a flat frame says nothing of its levels. Of dateBefore the values are compared like a measure's.
    if is_same and {level.name for level in origin.levels} <= {*names, "dateBefore"}:
        return Located(None, {})
    theirs = _read(frame, origin)
    if origin.levels and not theirs and len(frame) > 1:
        wanted = ", ".join(level.name for level in origin.levels)
        found = ", ".join(str(name) for name in frame.index.names if name is not None) or "no named level"
        raise ProvenanceError(f"the index should have the levels {wanted}, and has {found}: restore it with set_index")
    keys = _number_rows(origin, theirs, len(frame))
    if not _is_unique(keys.theirs, keys.size):
        raise ProvenanceError("the index has a row twice: a level was dropped, or frames were concatenated")
    dropped = [level for level in origin.levels if level.name not in theirs]
    if not len(frame):
        return Located(np.zeros(0, np.int64), {level.name: None for level in dropped})
    if dropped:
        _check_known(keys.theirs, frame)
        return _locate_without(origin, columns, dropped, keys)
    positions = _look_up(keys.mine, keys.theirs, keys.size)
    _check_known(positions, frame)
    return Located(positions, {})


def locate_keys(frame: pd.DataFrame, origin: Origin) -> Located:
    """Return the rows of *origin* that have the levels that *frame*, which has no measure, still has.

    Raises:
        ProvenanceError: A row has other values there.
    """
    theirs = _read(frame, origin)
    if not theirs:
        return Located(None, {})
    keys = _number_rows(origin, theirs, len(frame))
    _check_known(_look_up(keys.mine, keys.theirs, keys.size), frame)
    return Located(np.flatnonzero(_look_up(keys.theirs, keys.mine, keys.size) >= 0), {})


def equal_values(mine: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return where the numbers are equal, or both missing."""
    is_equal: npt.NDArray[np.bool_] = mine == theirs
    if mine.dtype.kind == "f" and not is_equal.all():
        is_equal |= np.isnan(mine) & np.isnan(theirs)
    return is_equal


def show_row(frame: pd.DataFrame, place: int) -> str:
    """Return the levels of one row as text, empty where it has none."""
    row = frame.index[place]
    values = row if isinstance(row, tuple) else (row,)
    return ", ".join(
        f"{name} {value.isoformat() if isinstance(value, pd.Timestamp) else repr(value)}"
        for name, value in zip(frame.index.names, values, strict=True)
        if name is not None
    )


def _read(frame: pd.DataFrame, origin: Origin) -> dict[str, IndexLevel]:
    names = [level.name for level in origin.levels]
    index_names = list(frame.index.names)
    if twice := next((name for name in names if index_names.count(name) > 1), None):
        raise ProvenanceError(f"the index has two levels named {twice!r}: restore it with set_index")
    return {level.name: level for level in read_keys(frame, names)}


def _check_known(positions: Codes, frame: pd.DataFrame) -> None:
    """Raise `ProvenanceError` where a row has no position, -1."""
    unknown = np.flatnonzero(positions < 0)
    if len(unknown):
        some = f"{len(unknown):,} of {len(frame):,} rows are" if len(frame) > 1 else "the row is"
        row = show_row(frame, int(unknown[0])) or str(frame.index[unknown[0]])
        raise ProvenanceError(
            f"{some} not among those that were fetched, e.g. {row}: resample, groupby, reindex and changes of the "
            "index make other rows. Use .vapi.rollup(...) for coarser buckets and fewer groups, .vapi.fill_gaps() for "
            "buckets without calls"
        )


# --- rows as numbers ------------------------------------------------------------------------------------------------


def _number_rows(origin: Origin, theirs: Mapping[str, IndexLevel], count: int) -> _Keys:
    """Return the keys of the rows by the levels that both have."""
    mine = [level for level in origin.levels if level.name in theirs]
    if not mine:
        return _Keys(np.zeros(len(origin.index), np.int64), np.zeros(count, np.int64), 1)
    sizes = [len(level.uniques) for level in mine]
    their_codes: list[Any] = []
    is_unknown = np.zeros(count, bool)
    for level in mine:
        other = theirs[level.name]
        if level.uniques.equals(other.uniques):
            their_codes.append(other.codes)
            continue
        places = np.append(_find_places(level, other), -1)  # the last one is the missing value; its code is -1
        their_codes.append(places[other.codes])
        if (places[:-1] < 0).any():
            is_unknown |= (places[other.codes] < 0) & (other.codes >= 0)
    size = math.prod(number + 1 for number in sizes)
    if size < 2**62:
        numbers = (
            origin.keys() if len(mine) == len(origin.levels) else combine_codes([one.codes for one in mine], sizes)
        )
        keys = _Keys(numbers, combine_codes(their_codes, sizes), size)
    else:  # `combine_codes` ranks them anew, so both are combined together
        pairs = zip([one.codes for one in mine], their_codes, strict=True)
        both = combine_codes([np.concatenate(pair).astype(np.int64) for pair in pairs], sizes)
        split = len(origin.index)
        keys = _Keys(both[:split], both[split:], int(both.max(initial=0)) + 1)
    keys.theirs[is_unknown] = -1
    return keys


def _find_places(mine: IndexLevel, theirs: IndexLevel) -> npt.NDArray[np.intp]:
    """Return the place in *mine* of each value of *theirs*, -1 for none."""
    if mine.name not in ("date", "dateBefore"):
        texts, values = (pd.Index(np.asarray(level.uniques, dtype=object), dtype=object) for level in (mine, theirs))
    else:
        known, dates = pd.DatetimeIndex(mine.uniques), theirs.uniques
        if isinstance(dates, pd.DatetimeIndex) and dates.tz is None:  # the wall clock of the frame's zone
            known, dates = (pd.DatetimeIndex(one).tz_localize(None).tz_localize("UTC") for one in (known, dates))
        try:
            texts, values = (pd.Index(to_micros(one)) for one in (known, dates))
        except (TypeError, ValueError) as error:
            raise ProvenanceError(f"{mine.name!r} no longer holds instants with a zone: {error}") from None
        if not texts.is_unique:
            raise ProvenanceError(f"{mine.name!r} has no zone any more, and one of its hours occurs twice")
    places: npt.NDArray[np.intp] = texts.get_indexer(values)
    return places


def _look_up(keys: Codes, wanted: Codes, size: int) -> Codes:
    """Return a position of each of *wanted* among *keys*, which are below *size*; -1 for none."""
    if not len(keys):
        return np.full(len(wanted), -1, np.int64)
    if size <= 4 * len(keys) and len(keys) <= 4 * len(wanted):
        table = np.full(size + 1, -1, np.int64)  # the last one is what -1 points to
        table[keys] = np.arange(len(keys))
        return table[wanted]
    order = None if (keys[1:] > keys[:-1]).all() else np.argsort(keys)
    place = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
    found = place if order is None else order[place]
    return np.where(keys[found] == wanted, found, -1)


def _is_unique(keys: Codes, size: int) -> bool:
    """Say whether each row that is known stands once."""
    if (keys[1:] > keys[:-1]).all():
        return True
    known = keys[keys >= 0]
    if size <= 4 * len(known):
        return bool((np.bincount(known) <= 1).all())
    return pd.Index(known).is_unique


# --- levels that were dropped ---------------------------------------------------------------------------------------


def _locate_without(
    origin: Origin, columns: Mapping[str, npt.NDArray[Any]], dropped: list[IndexLevel], keys: _Keys
) -> Located:
    """Return the rows of a frame without the levels *dropped*: those of one value of these, else the only ones.

    Raises:
        ProvenanceError: There are none, or several.
    """
    groups = combine_codes([level.codes for level in dropped], [len(level.uniques) for level in dropped])
    found = []
    for group in _fitting_groups(origin, columns, keys, groups):
        rows = np.flatnonzero(groups == group)
        place = _look_up(keys.mine[rows], keys.theirs, keys.size)
        if (place >= 0).all() and _has_values(origin, columns, rows[place]):
            found.append(rows[place])
    listed = ", ".join(repr(level.name) for level in dropped)
    if len(found) > 1:
        raise ProvenanceError(
            f"the index has no level {listed} any more, and several of its values have such rows: keep the level"
        )
    if found:
        return Located(found[0], {level.name: int(level.codes[found[0][0]]) for level in dropped})
    rows = np.flatnonzero(_look_up(keys.theirs, keys.mine, keys.size) >= 0)
    place = _look_up(keys.mine[rows], keys.theirs, keys.size)
    if len(rows) != len(keys.theirs) or (place < 0).any():
        raise ProvenanceError(
            f"the index has no level {listed} any more, and no value of it has these rows: they are sums or other "
            "aggregates over it, for which .vapi.rollup(by=...) is right, or their values were changed, e.g. rounded"
        )
    return Located(rows[place], {level.name: None for level in dropped})


def _fitting_groups(
    origin: Origin, columns: Mapping[str, npt.NDArray[Any]], keys: _Keys, groups: Codes
) -> npt.NDArray[np.int64]:
    """Return those of *groups*, of the origin's rows, which the first rows of the frame may be of."""
    fitting = groups
    for place in range(min(len(keys.theirs), _MOST_PROBES)):
        rows = np.flatnonzero(keys.mine == keys.theirs[place])
        for name, values in columns.items():
            rows = rows[equal_values(origin.columns[name][rows], values[place : place + 1])]
        fitting = groups[rows] if place == 0 else np.intersect1d(fitting, groups[rows])
        if len(fitting) <= _FEW:
            break
    return np.unique(fitting)


def _has_values(origin: Origin, columns: Mapping[str, npt.NDArray[Any]], positions: Codes) -> bool:
    return all(equal_values(origin.columns[name][positions], values).all() for name, values in columns.items())
