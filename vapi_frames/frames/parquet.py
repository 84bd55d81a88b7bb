"""A result frame on disk, with what it knows of itself."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any

import pandas as pd

from vapi_frames.errors import ProvenanceError, QueryError
from vapi_frames.files import atomic_write, expand_path
from vapi_frames.frames.columns import find_backend
from vapi_frames.frames.layout import list_level_columns
from vapi_frames.frames.levels import IndexLevel, build_index, read_levels
from vapi_frames.frames.meta import read_meta
from vapi_frames.frames.provenance import attach_choice, units

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["load", "save", "write_parquet"]


_SUFFIXES = ("", ".parquet", ".pq")


def save(frame: pd.DataFrame, path: str | PathLike[str]) -> None:
    """Write *frame* as Parquet, with its index, its types and what it knows of itself; `vapi_frames.load` reads it.

    Args:
        frame: A result frame.
        path: The file, ``.parquet`` or without a suffix. One that exists is replaced once the new one is whole.

    Raises:
        ProvenanceError: The rows are not as fetched.
        QueryError: The name is that of another format, or a column holds what Parquet cannot.
        OSError: It cannot be written there.

    Examples:
        >>> import vapi_frames as vf
        >>> import tempfile
        >>> df = vf.demo().call().sum("cost").during("2026-10").fetch()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     vf.analysis.save(df, f"{folder}/spend.parquet")
        ...     vf.load(f"{folder}/spend.parquet").equals(df)
        True
    """
    target = expand_path(path)
    if target.suffix.lower() not in _SUFFIXES:
        cures = {".csv": "df.to_csv(path)", ".xlsx": "df.vapi.to_excel(path)"}
        cure = cures.get(target.suffix.lower(), "df.to_csv(path) or df.vapi.to_excel(path)")
        raise QueryError(
            f"save() writes Parquet, which vf.load() reads, and {target.name!r} is the name of another format: use "
            f"{cure}, or a name that ends in .parquet"
        )
    with atomic_write(target) as file:
        write_parquet(frame, file)


def write_parquet(frame: pd.DataFrame, file: IO[bytes]) -> None:
    """Write *frame* to an open file; rows that were chosen are written as rows that are known.

    Raises:
        ProvenanceError: The rows are not as fetched.
        QueryError: A column holds what Parquet cannot.
        OSError: It cannot be written there.
    """
    import pyarrow as pa

    known = attach_choice(frame.copy(deep=False))
    try:
        known.to_parquet(file, engine="pyarrow")
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise QueryError(f"the frame cannot be written as Parquet: {error}") from error


def load(path: str | PathLike[str]) -> pd.DataFrame:
    """Read a frame that ``df.vapi.save`` wrote: the same index, types and knowledge.

    Args:
        path: The Parquet file.

    Raises:
        ProvenanceError: It is not Parquet, `save` did not write it, or its rows are not as saved.
        OSError: The file cannot be read.

    Examples:
        >>> import tempfile, vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").by("type").during("2026-10").fetch()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     df.vapi.save(f"{folder}/spend.parquet")
        ...     vf.load(f"{folder}/spend.parquet").vapi.units
        {'sumCost': 'USD'}
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = expand_path(path)
    with path.open("rb"):
        pass  # an error of the operating system comes from here, unchanged
    try:
        frame = pd.read_parquet(path, engine="pyarrow")
        described = (pq.read_schema(path).pandas_metadata or {}).get("columns", [])
    except (pa.ArrowException, ValueError) as error:
        raise ProvenanceError(f"{os.fspath(path)} is not a frame that df.vapi.save wrote: {error}") from error
    try:
        meta = read_meta(frame)
    except ProvenanceError as error:
        hint = "for call records use vf.local(...)" if "createdAt" in frame.columns else str(error)
        raise ProvenanceError(f"{os.fspath(path)} was not written by df.vapi.save: {hint}") from None
    text = {"pyarrow": pd.ArrowDtype(pa.string()), "numpy_nullable": pd.StringDtype()}
    kind: Any = text.get(find_backend(frame, [name for name in meta.all_units() if name in frame.columns]))
    categorical = {one["name"] for one in described if one["pandas_type"] == "categorical"}
    if meta.levels and None not in frame.index.names:
        week = [level for level, origin in meta.derived_levels.items() if origin == "date"]  # of types of their own
        levels = read_levels(frame.index)
        frame.index = build_index(
            [one if one.name in week else _retyped(one, kind, is_categorical=one.name in categorical) for one in levels]
        )
    for name in list_level_columns(frame):
        if meta.derived_levels.get(name) != "date":
            frame[name] = _retype(pd.Index(frame[name]), kind, is_categorical=name in categorical).array
    try:
        units(frame)  # which recognizes the rows, so that a choice of them is known, too
    except ProvenanceError as error:
        raise ProvenanceError(f"{os.fspath(path)} was changed after df.vapi.save wrote it: {error}") from None
    return frame


def _retyped(level: IndexLevel, kind: Any, *, is_categorical: bool) -> IndexLevel:
    return level._replace(uniques=_retype(level.uniques, kind, is_categorical=is_categorical))


def _retype(values: pd.Index, kind: Any, *, is_categorical: bool) -> pd.Index:
    """Return *values* of a level with the type of text *kind*, which Parquet may not keep; ``None`` leaves it.

    Parquet also loses that a level was categorical where it has no category: each value of it is missing.
    """
    if is_categorical and not isinstance(values, pd.CategoricalIndex):
        none = pd.Index(["text"]).astype(kind)[:0] if kind is not None else pd.Index(["text"])[:0]
        return pd.CategoricalIndex(pd.Categorical.from_codes([-1] * len(values), categories=none), name=values.name)
    if kind is None or isinstance(values, pd.DatetimeIndex):
        return values
    if isinstance(values, pd.CategoricalIndex):
        categories = pd.Categorical.from_codes(values.codes, values.categories.astype(kind))
        return pd.CategoricalIndex(categories, name=values.name)
    retyped: pd.Index = values.astype(kind)
    return retyped
