"""The verbs on frames, as plain functions for ``.pipe``; each returns a new object and leaves its frame alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vapi_frames import timegrid
from vapi_frames.errors import ProvenanceError, UnknownWordError, suggest
from vapi_frames.meta import ATTRIBUTE, Meta, read_meta, sums

if TYPE_CHECKING:
    from vapi_frames.query import Query

__all__ = ["check_levels", "column_of", "elapsed", "partial", "query", "units", "wide"]

_SAME = 1e-6  # relative: a sum in another order, or in float32, differs in its last bits


def units(frame: pd.DataFrame) -> dict[str, str]:
    """Return column → unit, for the measures that the frame still has.

    Raises:
        ProvenanceError: The values of a measure were changed, so that its unit may be another.
    """
    meta = read_meta(frame)
    _check_values(frame, meta)
    return {name: unit for name, unit in meta.units.items() if name in frame.columns}


def query(frame: pd.DataFrame) -> Query[Any]:
    """Return the question that the frame answers, ready to be asked again."""
    return read_meta(frame).query


def _check_values(frame: pd.DataFrame, meta: Meta) -> None:
    if len(frame) != meta.rows:
        return  # rows were chosen, as pandas users do; the values that are left are as they came
    names = [name for name in meta.units if name in frame.columns]
    if not frame.columns.is_unique:
        raise ProvenanceError("the frame has columns of one name, so no name says which measure is meant")
    before = dict(zip(meta.units, meta.sums, strict=True))
    try:
        now = sums(frame, names)
        size = [float(frame[name].abs().sum()) for name in names]  # where values cancel, their sum alone says little
    except (TypeError, ValueError) as error:
        raise ProvenanceError(f"a measure no longer holds numbers: {error}") from error
    for name, after, whole in zip(names, now, size, strict=True):
        is_same = np.isclose(after, before[name], rtol=_SAME, atol=1e-12 * whole, equal_nan=True)
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


def _buckets(frame: pd.DataFrame) -> pd.DatetimeIndex:
    """Return the bucket of each row."""
    if "date" in frame.index.names:
        dates = frame.index.get_level_values("date")
    elif "date" in frame.columns:
        dates = pd.Index(frame["date"])
    else:
        raise ProvenanceError("the frame has no level or column 'date', so no row belongs to a bucket")
    if not isinstance(dates, pd.DatetimeIndex) or dates.tz is None:
        raise ProvenanceError("'date' no longer holds instants with a zone")
    return dates


def elapsed(frame: pd.DataFrame, *, now: datetime | None = None) -> pd.Series:
    """Return, for each row, the share of its bucket that has passed and lies in the answered range.

    Args:
        frame: A result frame; without a step the whole range is its one bucket.
        now: As of when; when it was asked, by default.

    Returns:
        float64 from 0 to 1, on the frame's index; missing where the range is unknown.
    """
    meta = read_meta(frame)
    now = now or meta.now
    known = [side.timestamp() for side in (meta.end, now) if side is not None]
    start = None if meta.start is None else meta.start.timestamp()
    end = min(known) if known else None
    if meta.step is None and "date" not in (*frame.index.names, *frame.columns):
        share: Any = np.nan
        if start is not None and end is not None and meta.end is not None:
            share = max(0.0, end - start) / (meta.end.timestamp() - start)
        return pd.Series(share, index=frame.index, name="elapsed", dtype="float64")
    dates = _buckets(frame)
    if meta.step is None or (start is None and meta.end is None):
        return pd.Series(np.nan, index=frame.index, name="elapsed", dtype="float64")
    codes, instants = pd.factorize(dates)
    tz = timegrid.zone(meta.zone)
    seconds = [timegrid.seconds(at.to_pydatetime().astimezone(UTC)) for at in instants]
    odd = next((at for at in seconds if not timegrid.is_bucket(at, meta.step, tz)), None)
    if odd is not None:
        at = timegrid.from_seconds(odd).astimezone(tz).isoformat()
        raise ProvenanceError(f"{at} is not the start of a {meta.step}: the dates are no longer the asked buckets")
    # The last one is what a missing date's code, -1, points to.
    shares = np.array([*(timegrid.elapsed_share(at, meta.step, tz, start, end) for at in seconds), np.nan])
    return pd.Series(shares[codes], index=frame.index, name="elapsed", dtype="float64")


def partial(frame: pd.DataFrame, *, now: datetime | None = None) -> pd.Series:
    """Return, for each row, whether its bucket is partial: the range cuts it, or it had not passed yet.

    Args:
        frame: A result frame; without a step the whole range is its one bucket.
        now: As of when; when it was asked, by default.

    Returns:
        bool, on the frame's index; pandas' ``boolean`` with missing values where the range is unknown.
    """
    share = elapsed(frame, now=now)
    flags = (share < 1).rename("partial")
    return flags.astype("boolean").mask(share.isna()) if share.isna().any() else flags


def check_levels(frame: pd.DataFrame, meta: Meta) -> None:
    """Raise `ProvenanceError` unless the index still is made of the question's levels, each row once."""
    names = [name for name in frame.index.names if name is not None]
    if set(names) - set(meta.levels) or (meta.levels and not names):
        wanted, found = ", ".join(meta.levels), ", ".join(map(str, names)) or "no named level"
        raise ProvenanceError(f"the index should hold {wanted}, and holds {found}: set_index them again")
    if not frame.index.is_unique:
        raise ProvenanceError("a row stands twice in the index: a level was dropped, or frames were put together")


def column_of(frame: pd.DataFrame, column: str | None) -> str:
    """Return the column of *frame* that *column* means: its own name, or the API's column it aggregates.

    Raises:
        UnknownWordError: There is none, or more than one; the error names the measures.
    """
    meta = read_meta(frame)
    names = [name for name in frame.columns if isinstance(name, str)]
    measures = [name for name in meta.units if name in names]
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
    asked: list[str] = [one["alias"] for one in meta.body["operations"] if one["column"] == column]
    found = [name for name in asked if name in names]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownWordError(column, "column", found, hint="It has several measures here: name one.")
    hint = "" if suggest(column, names) else f'Ask for it, e.g. .sum("{column}").'
    raise UnknownWordError(column, "column", names, hint=hint)


def wide(frame: pd.DataFrame, column: str | None = None) -> pd.DataFrame:
    """Return one measure with the buckets as rows and the groups as columns.

    Args:
        frame: A result frame with a step and groups; without a step the first group makes the rows.
        column: The measure; may be left out where there is only one.

    Returns:
        A frame indexed by ``date``; its columns are the group's values, or tuples of them as a MultiIndex. A group
        without a row in a bucket is missing there, never 0.
    """
    meta = read_meta(frame)
    name = column_of(frame, column)
    check_levels(frame, meta)
    values = frame[name]
    groups = [level for level in frame.index.names if level not in (None, "date")]
    if "date" not in frame.index.names:
        groups = groups[1:]
    if not groups or len(groups) == frame.index.nlevels:
        result = values.to_frame()
    else:
        result = values.unstack(groups)  # noqa: PD010 - pivot loses missing groups
        # unstack puts a missing group first; in the frame it stands last
        if result.columns.nlevels == 1:
            result = result.iloc[:, np.argsort(result.columns.isna(), kind="stable")]
        if result.index.nlevels == 1:
            result = result.iloc[np.argsort(result.index.isna(), kind="stable")]
    result.attrs[ATTRIBUTE] = frame.attrs[ATTRIBUTE]
    return result
