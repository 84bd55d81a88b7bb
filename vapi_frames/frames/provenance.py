"""What a verb may trust about a frame: that its columns and rows still mean what they meant when it was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from vapi_frames.contract.vocabulary import COLUMNS
from vapi_frames.errors import ProvenanceError, UnknownWordError, suggest
from vapi_frames.frames.levels import IndexLevel, read_levels
from vapi_frames.frames.meta import Meta, read_meta, sums
from vapi_frames.result.ordering import combine_codes

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from vapi_frames.query.query import Query

__all__ = ["CheckedFrame", "check_frame", "check_levels", "find_column", "query", "to_backend", "to_numpy", "units"]

_SAME = 1e-6  # relative: a sum in another order, or in float32, differs in its last bits
Backend = Literal["numpy", "numpy_nullable", "pyarrow"]


def units(frame: pd.DataFrame) -> dict[str, str]:
    """Return column → unit, for the measures that the frame still has, and for what verbs made of them.

    Raises:
        ProvenanceError: The values of a measure were changed, so that its unit may be another.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").avg("duration").during("2026-10").fetch()
        >>> vf.analysis.units(df)
        {'sumCost': 'USD', 'avgDuration': 'min'}
    """
    meta = read_meta(frame)
    check_values(frame, meta)
    return {name: unit for name, unit in meta.all_units().items() if name in frame.columns}


def query(frame: pd.DataFrame) -> Query[Any]:
    """Return the question that the frame answers, ready to be asked again.

    Raises:
        ProvenanceError: It knows nothing of itself.

    Examples:
        >>> import vapi_frames as vf
        >>> vf.analysis.query(vf.demo().call().count().by("type").last("7d").fetch())
        vq.call().count().by("type").last("7d")
    """
    return read_meta(frame).query


@dataclass(frozen=True, slots=True)
class CheckedFrame:
    """A frame whose knowledge has been checked.

    Attributes:
        frame: The frame.
        meta: What it knows of itself.
        levels: Its index.
    """

    frame: pd.DataFrame
    meta: Meta
    levels: list[IndexLevel]

    @property
    def is_whole(self) -> bool:
        """Whether all rows that were answered are there, so that one that is absent says something."""
        return len(self.frame) == self.meta.rows and not self.meta.has_missing_rows

    @property
    def measures(self) -> list[str]:
        """The columns that are measures, or were made of them."""
        known = self.meta.all_units()
        return [name for name in self.frame.columns if name in known]

    @property
    def own_columns(self) -> list[Any]:
        """The columns that are not known here: the user's own."""
        known = {*self.meta.units, *self.meta.derived}
        return [name for name in self.frame.columns if name not in known]

    @property
    def flag_columns(self) -> list[str]:
        """The columns that say something of their row."""
        return [name for name, one in self.meta.derived.items() if one.rule == "flag" and name in self.frame.columns]

    @property
    def backend(self) -> Backend:
        """Which kind of types its measures have."""
        types = [self.frame[name].dtype for name in self.measures]
        if any(isinstance(one, pd.ArrowDtype) for one in types):
            return "pyarrow"
        return "numpy_nullable" if any(pd.api.types.is_extension_array_dtype(one) for one in types) else "numpy"

    def check_whole(self, verb: str, *, whole: bool) -> None:
        """Raise `ProvenanceError` where rows were chosen, so that *verb* could not tell absent from left out."""
        if self.is_whole or whole:
            return
        found, made = len(self.frame), self.meta.rows
        seen = f"the frame has {found:,} of its {made:,} rows" if found != made else "rows of the frame were chosen"
        raise ProvenanceError(
            f"{seen}, and {verb} reads a row that is absent as a bucket or group without calls: call it before "
            f"choosing rows, or say {verb}(whole=True) if those left out had no calls"
        )

    def arrays(self, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
        """Return the columns *names* as plain arrays."""
        return {name: to_numpy(self.frame[name]) for name in names}


def check_frame(frame: pd.DataFrame) -> CheckedFrame:
    """Return *frame* with what it knows of itself, checked against what it holds now.

    Raises:
        ProvenanceError: It knows nothing, its values were changed, or its index is another.
    """
    meta = read_meta(frame)
    check_values(frame, meta)
    return CheckedFrame(frame, meta, check_levels(frame, meta))


def to_numpy(values: pd.Series) -> npt.NDArray[Any]:
    """Return *values* as int64 where they are whole and all there, else as float64 with NaN for missing."""
    if pd.api.types.is_integer_dtype(values.dtype) and not values.hasnans:
        return values.to_numpy(dtype=np.int64)
    if values.dtype == np.float64:
        return values.to_numpy()
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def to_backend(values: npt.NDArray[Any], backend: Backend) -> Any:
    """Return *values* as a column of *backend*; NaN is missing."""
    if backend == "numpy":
        return values
    is_missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    if backend == "pyarrow":
        import pyarrow as pa

        return pd.arrays.ArrowExtensionArray(pa.array(values, mask=is_missing))
    kind = {"f": pd.arrays.FloatingArray, "i": pd.arrays.IntegerArray, "b": pd.arrays.BooleanArray}[values.dtype.kind]
    return kind(values, is_missing)


def check_values(frame: pd.DataFrame, meta: Meta) -> None:
    """Raise `ProvenanceError` where the values of a measure are not those that came."""
    if not frame.columns.is_unique:
        raise ProvenanceError("the frame has columns of one name, so no name says which measure is meant")
    if len(frame) != meta.rows:
        return  # rows were chosen, as pandas users do; the values that are left are as they came
    before = dict(zip(meta.units, meta.sums, strict=True))
    before |= {name: one.sum for name, one in meta.derived.items() if one.rule != "flag"}
    names = [name for name in before if name in frame.columns]
    try:
        now = dict(zip(names, sums(frame, names), strict=True))
        other = {name: at for name, at in now.items() if not np.isclose(at, before[name], _SAME, 0, equal_nan=True)}
        size = {name: float(frame[name].abs().sum()) for name in other}  # where values cancel, their sum says little
    except (TypeError, ValueError) as error:
        raise ProvenanceError(f"a measure no longer holds numbers: {error}") from error
    for name, after in other.items():
        is_same = abs(after - before[name]) <= 1e-12 * size[name]
        if not is_same and not _is_rounded(frame[name], after - before[name]):
            raise ProvenanceError(
                f"the values of {name!r} are not those that came (their sum was {before[name]:.9g}, is {after:.9g}): "
                "arithmetic, fillna or pct_change keeps df.attrs but not what they mean; put results into a new column"
            )


def _is_rounded(values: pd.Series, difference: float) -> bool:
    """Say whether *values* were merely rounded for display, to one decimal or more, which keeps what they mean."""
    for decimals in range(1, 9):
        if abs(difference) > 0.5 * 10.0**-decimals * len(values):
            return False
        if values.round(decimals).equals(values):
            return True
    return False


def check_levels(frame: pd.DataFrame, meta: Meta) -> list[IndexLevel]:
    """Return the levels of the index.

    Raises:
        ProvenanceError: They are not the question's, or a row stands twice.
    """
    names = [name for name in frame.index.names if name is not None]
    if set(names) - set(meta.levels) or (meta.levels and not names):
        wanted, found = ", ".join(meta.levels), ", ".join(map(str, names)) or "no named level"
        raise ProvenanceError(f"the index should hold {wanted}, and holds {found}: set_index them again")
    levels = read_levels(frame.index)
    if levels:
        combined = combine_codes([one.codes for one in levels], [len(one.uniques) for one in levels])
        is_unique = (combined[1:] > combined[:-1]).all() or pd.Index(combined).is_unique
    else:
        is_unique = frame.index.is_unique
    if not is_unique:
        raise ProvenanceError("a row stands twice in the index: a level was dropped, or frames were put together")
    return levels


def find_column(frame: pd.DataFrame, column: str | None, *, operation: str | None = None) -> str:
    """Return the column of *frame* that *column* means: its own name, or the API's column it aggregates.

    Args:
        frame: A result frame.
        column: The name; ``None`` means the only measure.
        operation: Where it matters, the operation that the measure of an API's column has to be.

    Raises:
        UnknownWordError: There is none, or more than one; the error names the measures.
    """
    meta = read_meta(frame)
    names = [name for name in frame.columns if isinstance(name, str)]
    measures = [name for name in meta.all_units() if name in names]
    if not measures:
        raise ProvenanceError(
            f"none of the measures ({', '.join(meta.units)}) is a column any more: they were renamed, or spread by "
            "unstack or pivot; use .vapi.wide() to spread one"
        )
    if column is None:
        if len(measures) == 1 or (measures and len(names) == 1):
            return measures[0]
        raise UnknownWordError(None, "column", measures, hint="Say which measure.")
    if column in names:
        return column
    asked = [one.name for one in meta.aggregations if one.column == column and operation in (None, one.operation)]
    found = [name for name in asked if name in names]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownWordError(column, "column", found, hint="It has several measures here: name one.")
    is_asked = column in COLUMNS or not suggest(column, names)
    hint = f'Ask for it, e.g. .{operation or "sum"}("{column}").' if is_asked else ""
    raise UnknownWordError(column, "column", names, hint=hint)
