"""Rows of a frame put together into coarser rows, with each measure re-aggregated exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vapi_frames.analysis.periods import has_periods, regroup_periods
from vapi_frames.errors import NonAdditiveError, ProvenanceError
from vapi_frames.frames.columns import to_backend
from vapi_frames.frames.levels import build_index, distinct_rows
from vapi_frames.frames.origin import attach_meta
from vapi_frames.query.aggregation import Reaggregation, find_reaggregation
from vapi_frames.result.aggregate import aggregate, divide

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from vapi_frames.frames.levels import IndexLevel
    from vapi_frames.frames.provenance import CheckedFrame
    from vapi_frames.query.query import Query

__all__ = ["check_own_columns", "find_query", "plan_reaggregation", "regroup"]


def find_query(checked: CheckedFrame, levels: Iterable[IndexLevel], step: str | None) -> Query[Any]:
    """Return the query that has as its result the frame by *levels* and *step*."""
    names = [*(["date"] if step else []), *(level.name for level in levels if level.name != "date")]
    meta = checked.meta.select(checked.measures, names).with_step(step)
    try:
        return meta.query
    except ProvenanceError:  # no query has exactly these rows as its result
        return meta.result_query


def plan_reaggregation(
    checked: CheckedFrame, names: Iterable[str], instead: Query[Any], *, over_time: bool, over_groups: bool
) -> list[Reaggregation]:
    """Return how the measures *names* are re-aggregated; a ratio, which is made again from its parts, is left out.

    Raises:
        NonAdditiveError: A measure cannot be re-aggregated exactly; the message names the query *instead*.
    """
    present = {one.name: one for one in checked.meta.aggregations if one.name in checked.measures}
    found = []
    for name in names:
        if not (over_time or over_groups):
            found.append(Reaggregation(name, "sum"))  # of one row each
        elif name in present:
            try:
                found.append(
                    find_reaggregation(present[name], present.values(), over_time=over_time, over_groups=over_groups)
                )
            except NonAdditiveError as error:
                raise NonAdditiveError(f"{error}; fetch {instead}") from None
        else:
            column = checked.meta.derived[name]
            lost = [part for part in column.parts if part not in checked.measures] if column.rule == "ratio" else []
            if column.rule == "none" or lost:
                why = f"the frame has lost its parts {', '.join(lost)}" if lost else "it holds for these rows only"
                raise NonAdditiveError(
                    f"{name!r} cannot be re-aggregated: {why}. Drop it first, df.drop(columns={name!r}), and compute "
                    "it on the result"
                )
            if column.rule == "sum":
                found.append(Reaggregation(name, "sum"))
    return found


def check_own_columns(checked: CheckedFrame) -> None:
    """Raise `NonAdditiveError` where the frame has a column that neither the query nor a verb made."""
    if checked.own_columns:
        raise NonAdditiveError(
            f"{checked.own_columns[0]!r} is a column of your own, and it is unknown how it adds up: drop it first, "
            f"df.drop(columns={checked.own_columns!r}), and compute it on the result"
        )


def regroup(
    checked: CheckedFrame,
    levels: list[IndexLevel],
    instead: Query[Any],
    *,
    step: str | None,
    over_time: bool = False,
    over_groups: bool = True,
    derived_levels: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return the rows of *checked* put together under coarser *levels*.

    Args:
        checked: The finer rows.
        levels: The index of the result: for each finer row, the values of its coarser row. None makes one row.
        instead: The query to fetch where a measure cannot be re-aggregated.
        step: The step of the result.
        over_time: Whether rows of different buckets are put together.
        over_groups: Whether rows of different groups are put together.
        derived_levels: Level → the group that it was made from, for new ones.

    Raises:
        NonAdditiveError: A column cannot be re-aggregated exactly.
    """
    if has_periods(checked):
        check_own_columns(checked)
        return regroup_periods(
            checked, levels, instead, step=step, over_time=over_time, over_groups=over_groups,
            derived_levels=derived_levels or {},
        )  # fmt: skip
    plan = plan_reaggregation(checked, checked.measures, instead, over_time=over_time, over_groups=over_groups)
    check_own_columns(checked)
    if levels:
        levels, codes = distinct_rows(levels)
        size, index = len(levels[0].codes), build_index(levels)
    else:
        codes, size, index = np.zeros(len(checked.frame), np.int64), 1, pd.RangeIndex(1)
    columns = aggregate(plan, checked.arrays(checked.measures), codes, size)
    for name in checked.measures:
        if name not in columns:
            ratio = checked.meta.derived[name]
            columns[name] = divide(columns[ratio.parts[0]], columns[ratio.parts[1]], ratio.scale)
    result = pd.DataFrame({name: to_backend(columns[name], checked.backend) for name in checked.measures}, index=index)
    result.attrs = dict(checked.frame.attrs)
    meta = replace(checked.meta, derived_levels={**checked.meta.derived_levels, **(derived_levels or {})})
    if meta.is_incomplete or (meta.choice and not meta.choice.is_query):
        # Which part of the coarser buckets and groups the rows cover is unknown from here on.
        is_mixed = meta.has_mixed_rows or over_time or over_groups
        meta = replace(meta, has_flags=meta.has_flags and step == meta.step, has_mixed_rows=is_mixed)
    return attach_meta(result, meta.with_step(step))
