"""`change`: the difference to an earlier bucket of the calendar, never to the row before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vapi_frames.analysis.arguments import check_count, check_flag, read_names
from vapi_frames.analysis.gaps import find_fill_rules, locate_buckets
from vapi_frames.analysis.periods import check_one_period
from vapi_frames.analysis.ratios import add_columns
from vapi_frames.calendar.buckets import find_zone
from vapi_frames.errors import FrameWarning, QueryError, UnknownWordError, warn
from vapi_frames.frames.derived import DerivedColumn
from vapi_frames.frames.layout import keep_layout
from vapi_frames.frames.levels import distinct_rows
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


@keep_layout
def change(
    frame: pd.DataFrame, periods: int = 1, *, columns: str | Sequence[str] | None = None, whole: bool = False
) -> pd.DataFrame:
    """Return *frame* with each row's change since the bucket *periods* steps earlier on the calendar.

    An earlier bucket without a row has the measure's fill rule: a sum and a count were 0. A row is not compared where
    its bucket, or the earlier one, is partial; a warning counts such rows.

    Args:
        frame: A result frame with a step.
        periods: How many steps of the calendar.
        columns: The measures; all by default.
        whole: Declare that the rows that are not in the frame, if any, had no calls.

    Returns:
        The frame with two more float columns a measure: ``sumCostDelta`` in its unit, and ``sumCostPercent`` of the
        earlier value. Missing where there is no earlier bucket in the range; the percentage also where that was 0.

    Raises:
        ProvenanceError: Rows were left out before, so an absent one may have calls.
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
    periods = check_count(periods, "periods")
    check_flag(whole, "whole")
    checked = check_frame(frame)
    checked.check_whole("change", whole=whole)
    names = _find_measures(checked, columns)
    check_one_period(checked, "change", QueryError)
    rules = find_fill_rules(checked, names)
    buckets, place = locate_buckets(checked)
    earlier, has_bucket = _find_earlier(checked, place, periods)
    # The earlier bucket may be partial even where it has no row.
    is_partial = elapsed_shares(buckets, checked.meta.as_whole(), find_zone(checked.meta.zone)) < 1
    is_skipped = is_partial[place] | (has_bucket & is_partial[np.maximum(place - periods, 0)])
    units = checked.meta.all_units()
    added: dict[str, tuple[npt.NDArray[Any], DerivedColumn]] = {}
    for name, values in checked.arrays(names).items():
        now = values.astype(np.float64)
        absent = 0.0 if rules[name] == "zero" else np.nan
        before = np.where(earlier >= 0, np.append(now, np.nan)[earlier], np.where(has_bucket, absent, np.nan))
        before[is_skipped] = np.nan
        delta = now - before
        added[f"{name}Delta"] = delta, DerivedColumn(units[name], "none", made=("delta", periods))
        as_percent = DerivedColumn("%", "none", made=("percent", periods))
        added[f"{name}Percent"] = percent_change(delta, before), as_percent
    if count := int(is_skipped.sum()):
        rows, buckets_of = ("1 row is", "its bucket") if count == 1 else (f"{count:,} rows are", "their bucket")
        warn(f"{rows} not compared: {buckets_of}, or the earlier one, is partial", FrameWarning)
    return add_columns(checked, added)


def _find_measures(checked: CheckedFrame, columns: str | Sequence[str] | None) -> list[str]:
    """Return the measures that are compared."""
    if columns is None:
        derived = checked.meta.derived
        return [name for name in checked.measures if name not in derived or derived[name].rule != "none"]
    names = [find_column(checked.frame, one) for one in read_names(columns, "columns", '["sumCost"]')]
    for name in names:
        if name not in checked.measures:
            raise UnknownWordError(name, "measure of the frame", checked.measures)
    return names


def _find_earlier(
    checked: CheckedFrame, place: npt.NDArray[np.int64], periods: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the number of each row's earlier row, -1 for none, and whether the range has the earlier bucket."""
    groups = [level for level in checked.levels if level.name != "date"]
    group, many = np.zeros(len(place), np.int64), 1
    if groups:
        distinct, group = distinct_rows(groups)
        many = len(distinct[0].codes)
    key = place * many + group
    order = np.argsort(key)
    wanted = key - periods * many
    at = np.minimum(np.searchsorted(key, wanted, sorter=order), max(len(key) - 1, 0))
    found = order[at] if len(key) else order
    has_bucket = place >= periods
    return np.where(has_bucket & (key[found] == wanted), found, -1), has_bucket
