"""A result frame on disk, with what it knows of itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vapi_frames.errors import ProvenanceError, QueryError
from vapi_frames.frames.levels import IndexLevel, build_index, read_levels
from vapi_frames.frames.meta import read_meta
from vapi_frames.frames.provenance import CheckedFrame

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["load", "save"]


def save(frame: pd.DataFrame, path: str | PathLike[str]) -> None:
    """Write *frame* as Parquet, with its index, its types and what it knows of itself; `vapi_frames.load` reads it.

    Args:
        frame: A result frame.
        path: Where to; a file that is there is replaced once the new one is whole.

    Raises:
        ProvenanceError: The frame knows nothing of itself.
        QueryError: A column holds what Parquet cannot.
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
    import pyarrow as pa

    read_meta(frame)
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        frame.to_parquet(part, engine="pyarrow")
        part.replace(target)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise QueryError(f"the frame cannot be written as Parquet: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def load(path: str | PathLike[str]) -> pd.DataFrame:
    """Read a frame that ``df.vapi.save`` wrote: the same index, types and knowledge.

    Args:
        path: The Parquet file.

    Raises:
        ProvenanceError: It is none, or was written by something else.
        OSError: It cannot be read.

    Examples:
        >>> import tempfile, vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").by("type").during("2026-10").fetch()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     df.vapi.save(f"{folder}/spend.parquet")
        ...     vf.load(f"{folder}/spend.parquet").vapi.units
        {'sumCost': 'USD'}
    """
    import pyarrow as pa

    with Path(path).open("rb"):
        pass  # whatever the operating system has to say of it, it says now
    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except (pa.ArrowException, ValueError) as error:
        raise ProvenanceError(f"{os.fspath(path)} is not a frame that df.vapi.save wrote: {error}") from error
    try:
        meta = read_meta(frame)
    except ProvenanceError as error:
        hint = "for call records use vf.local(...)" if "createdAt" in frame.columns else str(error)
        raise ProvenanceError(f"{os.fspath(path)} was not written by df.vapi.save: {hint}") from None
    text = {"pyarrow": pd.ArrowDtype(pa.string()), "numpy_nullable": pd.StringDtype()}
    kind: Any = text.get(CheckedFrame(frame, meta, []).backend)
    if meta.levels and None not in frame.index.names:
        frame.index = build_index([_retyped(level, kind) for level in read_levels(frame.index)])
    return frame


def _retyped(level: IndexLevel, kind: Any) -> IndexLevel:
    """Return *level* with the type of text *kind*, which Parquet keeps for columns only; ``None`` leaves it."""
    name, values, codes = level
    if kind is None:
        return level
    if isinstance(values, pd.CategoricalIndex):
        values = pd.CategoricalIndex(pd.Categorical.from_codes(values.codes, values.categories.astype(kind)), name=name)
    elif not isinstance(values, pd.DatetimeIndex):
        values = values.astype(kind)
    return IndexLevel(name, values, codes)
