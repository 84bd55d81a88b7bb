"""Change from bucket to bucket: against the calendar, never against the row before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vapi_frames.analysis.gaps import fill_rules, placed
from vapi_frames.analysis.ratios import added
from vapi_frames.calendar.buckets import find_zone
from vapi_frames.errors import FrameWarning, QueryError, UnknownWordError, warn
from vapi_frames.frames.levels import distinct_rows
from vapi_frames.frames.meta import DerivedColumn
from vapi_frames.frames.partial import elapsed_shares
from vapi_frames.frames.provenance import check_frame, find_column
from vapi_frames.result.aggregate import percent_change

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy.typing as npt
    import pandas as pd

    from vapi_frames.frames.provenance import CheckedFrame

__all__ = ["change"]


def change(
    frame: pd.DataFrame, periods: int = 1, *, columns: str | Sequence[str] | None = None, whole: bool = False
) -> pd.DataFrame:
    """Return *frame* with each row's change since the bucket *periods* steps earlier on the calendar.

    An earlier bucket without a row takes the measure's fill rule: a sum and a count were 0. A partial bucket is neither
    compared nor compared with, and that is said.

    Args:
        frame: A result frame with a step.
        periods: How many steps of the calendar.
        columns: The measures; all by default.
        whole: The rows that were left out, if any, had no calls.

    Returns:
        The frame with two more float columns a measure: ``sumCostDelta`` in its unit, and ``sumCostPercent`` of the
        earlier value. Missing where there is no earlier bucket in the range; the percentage also where that was 0.

    Raises:
        ProvenanceError: Rows were chosen, so that one that is absent says nothing.
        QueryError: There is no step.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").step("week").between("2026-10-05", "2026-10-19").fetch()
        >>> df.pipe(vf.analysis.change).round(2)
                                   sumCost  sumCostDelta  sumCostPercent
        date
        2026-10-05 00:00:00+00:00   474.34           NaN             NaN
        2026-10-12 00:00:00+00:00   505.23         30.89            6.51
    """
    if isinstance(periods, bool) or not isinstance(periods, int | np.integer) or periods < 1:
        raise QueryError(f"periods must be a whole number of at least 1, not {periods!r}")
    held = check_frame(frame)
    held.check_whole("change", whole=whole)
    names = _named(held, columns)
    rules = fill_rules(held, names)
    buckets, place = placed(held)
    earlier, has_bucket = _earlier(held, place, periods)
    # Whether the earlier bucket was partial does not hang on its having a row.
    is_whole = elapsed_shares(buckets, held.meta.as_whole(), find_zone(held.meta.zone)) >= 1
    out = ~is_whole[place] | (has_bucket & ~is_whole[np.maximum(place - periods, 0)])
    new: dict[str, npt.NDArray[Any]] = {}
    known: dict[str, DerivedColumn] = {}
    for name, values in held.arrays(names).items():
        now = values.astype(np.float64)
        nothing = 0.0 if rules[name] == "zero" else np.nan
        before = np.where(earlier >= 0, np.append(now, np.nan)[earlier], np.where(has_bucket, nothing, np.nan))
        before[out] = np.nan
        delta = now - before
        new |= {f"{name}Delta": delta, f"{name}Percent": percent_change(delta, before)}
        known |= {
            f"{name}Delta": DerivedColumn(held.meta.all_units()[name], "none"),
            f"{name}Percent": DerivedColumn("%", "none"),
        }
    if out.any():
        some = (
            "one row of or after a partial bucket has"
            if out.sum() == 1
            else f"{out.sum():,} rows of or after a partial bucket have"
        )
        warn(f"{some} no change", FrameWarning)
    return added(held, new, known)


def _named(held: CheckedFrame, columns: str | Sequence[str] | None) -> list[str]:
    """Return the measures that are compared."""
    if columns is None:
        return [
            name for name in held.measures if name not in held.meta.derived or held.meta.derived[name].rule != "none"
        ]
    names = [find_column(held.frame, one) for one in ([columns] if isinstance(columns, str) else columns)]
    for name in names:
        if name not in held.measures:
            raise UnknownWordError(name, "measure of the frame", held.measures)
    return names


def _earlier(
    held: CheckedFrame, place: npt.NDArray[np.int64], periods: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return each row's earlier row, -1 for none, and whether the range has the earlier bucket."""
    groups = [level for level in held.levels if level.name != "date"]
    group, many = np.zeros(len(place), np.int64), 1
    if groups:
        seen, group = distinct_rows(groups)
        many = len(seen[0].codes)
    key = place * many + group
    order = np.argsort(key)
    wanted = key - periods * many
    at = np.minimum(np.searchsorted(key, wanted, sorter=order), max(len(key) - 1, 0))
    found = order[at] if len(key) else order
    has_bucket = place >= periods
    return np.where(has_bucket & (key[found] == wanted), found, -1), has_bucket
