"""The rows of a frame as they were when it was made, and how a frame refers to them.

The text in ``df.attrs["vapi"]`` is a `Stamp`: text that also refers to its `Origin`. pandas copies it by reference;
pickle and Parquet keep the text alone, which holds a hash of each measure. So the rows are known exactly in the process
that made them, are found again there by their text, and elsewhere are recognized as a whole.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from vapi_frames.errors import ProvenanceError
from vapi_frames.frames.columns import comparable
from vapi_frames.frames.levels import read_levels
from vapi_frames.frames.meta import ATTRIBUTE, read_meta
from vapi_frames.result.ordering import combine_codes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    import numpy.typing as npt

    from vapi_frames.frames.levels import IndexLevel
    from vapi_frames.frames.meta import Meta
    from vapi_frames.result.ordering import Codes

    Hashes = npt.NDArray[np.uint64]

__all__ = ["Origin", "Stamp", "add_note", "attach_meta", "find_origin", "read_keys", "set_stamp", "to_micros"]

_BLOCK = 1 << 15  # rows that are hashed together: their numbers stay in the processor's cache
_MULTIPLIERS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # of splitmix64
_ODD = np.uint64(0x9E3779B97F4A7C15)


class Stamp(str):
    """The text of what a frame knows of itself, which also refers to the frame's rows as they were made."""

    __slots__ = ("origin",)
    origin: Origin

    def __copy__(self) -> Stamp:
        return self

    def __deepcopy__(self, memo: object) -> Stamp:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str.__str__(self),)  # a pickle opens without this package, and holds no rows


class Origin:
    """The rows of a frame as they were made.

    Attributes:
        index: The index.
        levels: What identifies a row: the index levels, in a comparison also ``dateBefore``.
        row_hashes: A number for each row, of its values in *levels*.
        columns: Name → values of each measure and of each column that verbs made, as `comparable` numbers.
        hashes: Name → a hash of the column's rows that does not depend on their order.
    """

    __slots__ = ("__weakref__", "_keys", "columns", "hashes", "index", "levels", "row_hashes")

    def __init__(
        self, frame: pd.DataFrame, keys: Sequence[str], names: Iterable[str], base: Origin | None = None,
        changed: Collection[str] = (),
    ) -> None:  # fmt: skip
        """Remember the rows of *frame*.

        Args:
            frame: The frame; arrays that pandas could write to are copied.
            keys: What identifies a row.
            names: The measures and the columns that verbs made.
            base: The same rows: its columns are the same, but for those *changed*.
            changed: Names of columns.
        """
        # A view, because a user may rename the levels of the frame's own index in place.
        self.index = frame.index.view()
        self._keys: Codes | None = None
        self.levels: list[IndexLevel] = read_keys(frame, keys) if base is None else base.levels
        self.row_hashes: Hashes = _row_hashes(self.levels, len(frame)) if base is None else base.row_hashes
        self.columns: dict[str, npt.NDArray[Any]] = {}
        self.hashes: dict[str, str] = {}
        for name in names:
            is_same = base is not None and name not in changed
            known = base.columns.get(name) if base is not None and is_same else None
            values = np.array(comparable(frame[name]), copy=True) if known is None else known
            found = base.hashes.get(name) if base is not None and is_same else None
            self.columns[name] = values
            self.hashes[name] = _set_hash(self.row_hashes, values) if found is None else found

    def take(self, positions: npt.NDArray[np.int64], keys: Sequence[str]) -> Origin:
        """Return the rows at *positions*, which the levels *keys* identify."""
        part = object.__new__(Origin)
        part.index, part._keys = self.index[:0], None
        part.levels = [level._replace(codes=level.codes[positions]) for level in self.levels if level.name in keys]
        is_same = len(part.levels) == len(self.levels)
        part.row_hashes = self.row_hashes[positions] if is_same else _row_hashes(part.levels, len(positions))
        part.columns = {name: values[positions] for name, values in self.columns.items()}
        part.hashes = {}
        return part

    def keys(self) -> Codes:
        """Return a number for each row, which its values in all levels make; they have to have fewer than 2**62."""
        if self._keys is None:
            self._keys = combine_codes([one.codes for one in self.levels], [len(one.uniques) for one in self.levels])
        return self._keys


_origins: WeakKeyDictionary[Origin, str] = WeakKeyDictionary()  # not by text: two fetches may have the same one


def find_origin(frame: pd.DataFrame) -> Origin | None:
    """Return the rows that *frame* was made from, `None` where this process did not make them."""
    text = frame.attrs[ATTRIBUTE]
    if isinstance(text, Stamp):
        return text.origin
    return next((origin for origin, known in list(_origins.items()) if known == text), None)


def set_stamp(frame: pd.DataFrame, text: str, origin: Origin, *, is_whole: bool = True) -> None:
    """Let *frame* carry *text*, and refer to *origin*.

    Args:
        frame: The frame.
        text: What is known of it.
        origin: Its rows.
        is_whole: Whether *origin* has all columns that *text* has a hash of, and so can stand for any frame with it.
    """
    stamp = Stamp(text)
    stamp.origin = origin
    if is_whole:
        _origins[origin] = text
    frame.attrs[ATTRIBUTE] = stamp


def attach_meta(
    frame: pd.DataFrame, meta: Meta, base: Origin | None = None, *, changed: Collection[str] = ()
) -> pd.DataFrame:
    """Let *frame*, which has just been made, carry *meta*, for the columns, levels and rows that it has.

    Args:
        frame: The frame.
        meta: What is known of it.
        base: The same rows: the columns that both have are the same, but for those *changed*.
        changed: The columns that *base* does not have, or has with other values.
    """
    levels = [str(name) for name in frame.index.names if name is not None]
    levels += [name for name in meta.levels if name not in levels and name in frame.columns]  # of a flat frame
    meta = meta.select(frame.columns, levels)
    names = [name for name in (*meta.units, *meta.derived) if name in frame.columns]
    origin = Origin(frame, meta.keys, names, base, changed)
    frame.attrs = dict(frame.attrs)
    set_stamp(frame, replace(meta, rows=len(frame), hashes=origin.hashes).to_json(), origin)
    return frame


def add_note(frame: pd.DataFrame, note: str, *, is_incomplete: bool = False) -> pd.DataFrame:
    """Add a note to what *frame*, which has just been made, carries.

    Args:
        frame: The frame.
        note: The note.
        is_incomplete: Whether some of its rows never arrived.
    """
    meta, origin = read_meta(frame), frame.attrs[ATTRIBUTE].origin
    meta = replace(meta, notes=(*meta.notes, note), is_incomplete=meta.is_incomplete or is_incomplete)
    set_stamp(frame, meta.to_json(), origin)
    return frame


def read_keys(frame: pd.DataFrame, names: Sequence[str]) -> list[IndexLevel]:
    """Return what *frame* has of the levels *names*, in their order: of its index, or as columns.

    Raises:
        ProvenanceError: A column holds what no level holds.
    """
    found = {level.name: level for level in read_levels(frame.index) if level.name in names}
    if frame.columns.nlevels == 1:
        for name in names:
            if name not in found and name in frame.columns:
                try:
                    [found[name]] = read_levels(pd.Index(frame[name], name=name))
                except (TypeError, ValueError) as error:
                    raise ProvenanceError(f"{name!r} no longer holds the values of a level: {error}") from error
    return [found[name] for name in names if name in found]


# --- hashes ---------------------------------------------------------------------------------------------------------


def to_micros(dates: pd.Index) -> npt.NDArray[np.int64]:
    """Return the microseconds since 1970 of *dates*, none of which is missing.

    Raises:
        TypeError: They are no instants with a zone.
        ValueError: One is finer than a microsecond.
    """
    if not len(dates):
        return np.zeros(0, np.int64)
    instants = pd.DatetimeIndex(dates)
    if instants.tz is None:
        raise TypeError("they have no zone")
    plain = instants.tz_convert(None).to_numpy()
    micros = plain.astype("datetime64[us]")
    if (micros != plain).any():
        raise ValueError("one is finer than a microsecond")
    return micros.astype(np.int64)


def _row_hashes(levels: Sequence[IndexLevel], count: int) -> Hashes:
    """Return a number for each row, which depends on its values in *levels* and not on their order."""
    total = np.zeros(count, np.uint64)
    for name, uniques, codes in levels:
        seed = np.frombuffer(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), np.uint64)
        if name in ("date", "dateBefore"):
            values = to_micros(uniques).view(np.uint64)
        else:
            values = pd.util.hash_array(np.asarray(uniques, dtype=object), categorize=False)
        table = np.append(values, np.uint64(0)) * _ODD + seed
        table[-1] = ~seed[0]  # the missing value, with code -1
        _mix(table)
        total += table[codes]
    return total


def _set_hash(rows: Hashes, values: npt.NDArray[Any]) -> str:
    """Return a hash of the pairs of *rows* and *values*, in any order, as eleven characters."""
    total = 0
    for begin in range(0, len(rows), _BLOCK):
        block = values[begin : begin + _BLOCK].astype(np.float64) + 0.0  # -0.0 becomes 0.0
        block[np.isnan(block)] = np.nan  # of which there are many
        bits = block.view(np.uint64)
        bits *= _ODD
        bits += rows[begin : begin + _BLOCK]
        _mix(bits)
        total += int(bits.sum(dtype=np.uint64))
    digest = (total & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big")
    return base64.urlsafe_b64encode(digest)[:-1].decode()


def _mix(values: Hashes) -> None:
    """Change *values*, in place, such that each bit depends on all bits of the number."""
    values ^= values >> np.uint64(30)
    values *= _MULTIPLIERS[0]
    values ^= values >> np.uint64(27)
    values *= _MULTIPLIERS[1]
    values ^= values >> np.uint64(31)
