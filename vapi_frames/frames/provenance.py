"""What a verb may trust about a frame: that its rows are still those that were fetched.

A verb works on whole rows as fetched: all of them or a choice, each once, each under its own index row, each value
equal as a number. Order, types that keep the values, columns left out and columns of the user's own do not matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vapi_frames.contract.record_words import RECORD_COLUMNS
from vapi_frames.contract.vocabulary import COLUMN_SYNONYMS, COLUMNS
from vapi_frames.errors import ProvenanceError, UnknownWordError, suggest
from vapi_frames.frames.changes import describe_change
from vapi_frames.frames.choice import describe_choice
from vapi_frames.frames.columns import comparable, find_backend, to_numpy
from vapi_frames.frames.levels import read_levels
from vapi_frames.frames.locate import Located, equal_values, locate, locate_keys, show_row
from vapi_frames.frames.meta import ATTRIBUTE, read_meta
from vapi_frames.frames.origin import Origin, attach_meta, find_origin, read_keys, set_stamp
from vapi_frames.result.ordering import combine_codes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    from vapi_frames.frames.columns import Backend
    from vapi_frames.frames.levels import IndexLevel
    from vapi_frames.frames.meta import Meta
    from vapi_frames.query.query import Query

__all__ = [
    "CheckedFrame", "attach_choice", "check_frame", "check_levels", "find_column", "query", "read_choice", "units",
]  # fmt: skip

_MOST_LISTED = 8  # measures that a message lists


def units(frame: pd.DataFrame) -> dict[str, str]:
    """Return column → unit, for the measures that the frame still has and for the columns that verbs made of them.

    Raises:
        ProvenanceError: The rows are not as fetched, so that a unit may be another.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").avg("duration").during("2026-10").fetch()
        >>> vf.analysis.units(df)
        {'sumCost': 'USD', 'avgDuration': 'min'}
    """
    meta = _verify(frame).meta
    return {name: unit for name, unit in meta.all_units().items() if name in frame.columns}


def query(frame: pd.DataFrame) -> Query[Any]:
    """Return the query that has the frame as its result, ready to be fetched again.

    Rows that were chosen are the result of a query with a shorter range or more filters, if one gives exactly them. It
    has the measures that are left.

    Raises:
        ProvenanceError: The rows are not as fetched, or no query gives them.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().by("type").last("7d").fetch()
        >>> vf.analysis.query(df)
        vq.call().count().by("type").last("7d")
        >>> vf.analysis.query(df.loc[["webCall"]])
        vq.call().count().by("type").where(type="webCall").last("7d")
    """
    return read_choice(frame).query


def read_choice(frame: pd.DataFrame) -> Meta:
    """Return what *frame* knows of itself, for the rows and the measures that it holds now.

    Raises:
        ProvenanceError: The rows are not as fetched.
    """
    rows = _verify(frame)
    meta = rows.meta
    if rows.origin is not None and rows.located is not None:
        meta = describe_choice(meta, rows.origin, rows.located)
    is_made = any(name in meta.derived and meta.derived[name].rule != "flag" for name in rows.names)
    if not rows.names or is_made or meta.units.keys() <= set(rows.names):
        return meta  # a column that a verb made needs the measures that it was made of
    return replace(meta.select(rows.names, meta.levels), title=None)


@dataclass(frozen=True, slots=True)
class CheckedFrame:
    """A frame with its rows as fetched.

    Attributes:
        frame: The frame.
        meta: What is known of the rows that it holds.
        levels: Its index.
        origin: The rows that it was made from.
        positions: Which of them it holds, ``None`` where it holds all in their order.
    """

    frame: pd.DataFrame
    meta: Meta
    levels: list[IndexLevel]
    origin: Origin = field(repr=False)
    positions: npt.NDArray[np.int64] | None = field(default=None, repr=False)

    @property
    def is_whole(self) -> bool:
        """Whether all rows of the result are there, so that an absent row means that there were no calls."""
        return not self.meta.has_missing_rows

    @property
    def measures(self) -> list[str]:
        """The columns that are measures, or were made of them."""
        known = self.meta.all_units()
        return [name for name in self.frame.columns if name in known]

    @property
    def own_columns(self) -> list[Any]:
        """The columns that neither the query nor a verb made: the user's own."""
        known = {*self.meta.units, *self.meta.derived}
        return [name for name in self.frame.columns if name not in known]

    @property
    def flag_columns(self) -> list[str]:
        """The columns that describe their row and are no measures."""
        return [name for name, one in self.meta.derived.items() if one.rule == "flag" and name in self.frame.columns]

    @property
    def backend(self) -> Backend:
        """Which kind of types its measures have."""
        return find_backend(self.frame, self.measures)

    @property
    def rows(self) -> Origin:
        """The rows that the frame holds, as the base of a frame with the same rows and more columns."""
        return self.origin if self.positions is None else self.origin.take(self.positions, self.meta.keys)

    def check_whole(self, verb: str, *, whole: bool) -> None:
        """Raise `ProvenanceError` where rows were chosen, so that *verb* cannot tell absent from left out."""
        if self.is_whole or whole:
            return
        count, all_rows = len(self.frame), self.meta.rows
        some = (
            f"the frame has {count:,} of its {all_rows:,} rows"
            if count != all_rows
            else "rows of the frame were chosen"
        )
        raise ProvenanceError(
            f"{some}, and {verb} reads an absent row as a bucket or group without calls: call it before choosing rows, "
            f"or pass whole=True, {verb}(whole=True), if the rows that were left out had no calls"
        )

    def arrays(self, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
        """Return the columns *names* as plain arrays."""
        return {name: to_numpy(self.frame[name]) for name in names}


def check_frame(frame: pd.DataFrame) -> CheckedFrame:
    """Return *frame* with what is known of the rows that it holds, after a check that they are as fetched.

    Raises:
        ProvenanceError: It knows nothing, its rows are not as fetched, or its index is another.
    """
    rows = _verify(frame)
    levels = check_levels(frame, rows.meta, is_unique=not rows.meta.before)
    if not rows.names or rows.origin is None or rows.located is None:
        raise ProvenanceError(_without_measures(rows.meta))
    meta = describe_choice(rows.meta, rows.origin, rows.located)
    return CheckedFrame(frame, meta, levels, rows.origin, rows.located.positions)


def attach_choice(frame: pd.DataFrame) -> pd.DataFrame:
    """Let *frame*, which has just been made by a choice of rows, carry what is known of these rows.

    Raises:
        ProvenanceError: The rows are not as fetched.
    """
    rows = _verify(frame)
    if not rows.names or rows.origin is None or rows.located is None or rows.located.positions is None:
        return frame
    meta = describe_choice(rows.meta, rows.origin, rows.located)
    return attach_meta(frame, meta, rows.origin.take(rows.located.positions, meta.keys))


def check_levels(frame: pd.DataFrame, meta: Meta, *, is_unique: bool = False) -> list[IndexLevel]:
    """Return the levels of the index.

    Args:
        frame: The frame.
        meta: What is known of it.
        is_unique: Whether it is known that no row occurs twice.

    Raises:
        ProvenanceError: They are not those of the query, or a row occurs twice.
    """
    names = [name for name in frame.index.names if name is not None]
    if set(names) - set(meta.levels) or (meta.levels and not names):
        wanted, found = ", ".join(meta.levels), ", ".join(map(str, names)) or "no named level"
        raise ProvenanceError(f"the index should have the levels {wanted}, and has {found}: restore it with set_index")
    levels = read_levels(frame.index)
    if not is_unique:
        if levels:
            combined = combine_codes([one.codes for one in levels], [len(one.uniques) for one in levels])
            is_unique = bool((combined[1:] > combined[:-1]).all() or pd.Index(combined).is_unique)
        else:
            is_unique = frame.index.is_unique
        if not is_unique:
            raise ProvenanceError("the index has a row twice: a level was dropped, or frames were concatenated")
    return levels


# --- the check ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a frame, which are as fetched.

    Attributes:
        meta: What the frame was made with.
        names: The measures and the columns made of them that it has. Without one only its index was checked.
        origin: The rows that it was made from.
        located: Which of them it holds.
    """

    meta: Meta
    names: list[str]
    origin: Origin | None = None
    located: Located | None = None


def _verify(frame: pd.DataFrame) -> _Rows:
    """Return what *frame* was made with, and where its rows stand there.

    Raises:
        ProvenanceError: A row is not as fetched.
    """
    meta = read_meta(frame)
    if not frame.columns.is_unique:
        raise ProvenanceError("two columns have the same name, so it is unclear which of them is a measure")
    names = []
    if frame.columns.nlevels == 1:  # else the groups are columns
        names = [name for name in (*meta.units, *meta.derived) if name in frame.columns]
    origin = find_origin(frame)
    if not names:
        return _Rows(meta, [], origin, None if origin is None else locate_keys(frame, origin))
    columns = {name: _numbers(frame, name) for name in names}
    if origin is None:
        origin = _recognize(frame, meta, columns)
    for name in columns:
        if name not in origin.columns:
            raise ProvenanceError(f"{name!r} is new since the rows were recognized: load the whole frame again")
    located = locate(frame, origin, columns)
    for name, values in columns.items():
        before = origin.columns[name]
        if located.positions is not None:
            before = before[located.positions]
        is_equal = equal_values(before, values)
        if not is_equal.all():
            row = show_row(frame, int(np.argmin(is_equal)))
            raise ProvenanceError(describe_change(name, before, values, is_equal, row))
    return _Rows(meta, names, origin, located)


def _numbers(frame: pd.DataFrame, name: str) -> npt.NDArray[Any]:
    try:
        return comparable(frame[name])
    except (TypeError, ValueError) as error:
        raise ProvenanceError(f"{name!r} no longer holds numbers: {error}") from error


def _recognize(frame: pd.DataFrame, meta: Meta, columns: Mapping[str, npt.NDArray[Any]]) -> Origin:
    """Return the rows of a whole frame that another process made, after a check against its hashes."""
    levels = read_keys(frame, meta.keys)
    why = f"it has {len(frame):,} of {meta.rows:,} rows" if len(frame) != meta.rows else ""
    if not why and len(levels) < len(meta.keys):
        why = f"its index should hold {', '.join(meta.keys)}"
    if not why:
        try:
            origin = Origin(frame, meta.keys, columns)
        except (TypeError, ValueError) as error:
            raise ProvenanceError(f"the index is not as fetched: {error}") from None
        changed = [name for name in columns if origin.hashes[name] != meta.hashes.get(name)]
        if not changed:
            set_stamp(frame, frame.attrs[ATTRIBUTE], origin, is_whole=columns.keys() >= meta.hashes.keys())
            return origin
        why = f"values of {', '.join(map(repr, changed))}, or their rows, were changed"
    raise ProvenanceError(
        f"the frame was fetched by another process, so it is known only as a whole, and {why}. Choose rows after the "
        "whole frame is loaded and a verb has seen it, or write the choice with df.vapi.save and read it with vf.load"
    )


def _without_measures(meta: Meta) -> str:
    return (
        f"none of the measures ({', '.join(meta.units)}) is a column any more: they were renamed, or spread by unstack "
        "or pivot; use .vapi.wide() to spread one"
    )


def find_column(frame: pd.DataFrame, column: str | None, *, operation: str | None = None, needed_by: str = "") -> str:
    """Return the column of *frame* that *column* means: its own name, or the API's column it aggregates.

    Args:
        frame: A result frame.
        column: The name; ``None`` means the only measure.
        operation: Where it matters, the operation that the measure of an API's column has to be.
        needed_by: The verb that needs *column*, where its caller did not name it.

    Raises:
        UnknownWordError: There is none, or more than one; the error names the measures.
    """
    meta = read_meta(frame)
    names = [name for name in frame.columns if isinstance(name, str)]
    measures = [name for name in meta.all_units() if name in names]
    if not measures:
        raise ProvenanceError(_without_measures(meta))
    if column is None:
        if len(measures) == 1 or (measures and len(names) == 1):
            return measures[0]
        more = len(measures) - _MOST_LISTED
        some = ", ".join(measures[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
        raise UnknownWordError(None, "column", measures, hint=f"Say which measure: {some}.", is_left_out=True)
    if not isinstance(column, str):
        raise UnknownWordError(column, "column", measures, hint="Pass the name of one measure.")
    if column in names:
        return column
    found = [
        one.name
        for one in meta.aggregations
        if one.column == column and operation in (None, one.operation) and one.name in names
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownWordError(column, "column", found, hint="It has several measures here: name one.")
    meant = COLUMN_SYNONYMS.get(re.sub("[_ -]", "", column.casefold()), column)
    there = {
        one.column: one.name for one in meta.aggregations if one.name in names and operation in (None, one.operation)
    }
    synonyms = {column: there[meant]} if meant in there and meant != column else {}
    is_known = meant in (*COLUMNS, *RECORD_COLUMNS) or not suggest(column, names)
    hint = f'Ask for it, e.g. .{operation or "sum"}("{meant}").' if is_known and not synonyms else ""
    raise UnknownWordError(column, "column", names, synonyms=synonyms, hint=hint, needed_by=needed_by)
