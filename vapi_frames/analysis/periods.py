"""Verbs on comparisons: both periods are re-aggregated, each by its own columns, and compared again.

So a coarser comparison has the numbers that a fetch of it has: a difference of sums is the sum of the differences, a
percentage and the difference of two ratios are made of the coarser parts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from vapi_frames.errors import NonAdditiveError, ProvenanceError
from vapi_frames.frames.columns import to_backend
from vapi_frames.frames.derived import DerivedColumn
from vapi_frames.frames.levels import IndexLevel, build_index, distinct_rows
from vapi_frames.frames.origin import attach_meta, read_keys
from vapi_frames.query.aggregation import Reaggregation, find_reaggregation
from vapi_frames.query.comparison import COMPARISON_SUFFIXES
from vapi_frames.result.aggregate import aggregate, divide, percent_change

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    from vapi_frames.errors import VapiFramesError
    from vapi_frames.frames.meta import Meta
    from vapi_frames.frames.provenance import CheckedFrame
    from vapi_frames.query.query import Query

    Codes = npt.NDArray[np.int64]
    Columns = dict[str, npt.NDArray[Any]]

__all__ = [
    "BEFORE",
    "aggregate_periods",
    "compare_columns",
    "has_periods",
    "regroup_periods",
    "split_side",
    "with_earlier_dates",
]

BEFORE, _DELTA, _PERCENT = COMPARISON_SUFFIXES


def split_side(meta: Meta, name: str) -> tuple[str, str] | None:
    """Return the column that the *name* of a comparison is about, and its suffix; ``None`` where it is about none."""
    known = meta.derived.get(name)
    made = known.made if known else ()
    if known and made[:1] == ("where",):  # calls of the earlier period, counted where a group has chosen values
        sides = [split_side(meta, part) for part in known.parts]
        return (name.removesuffix(BEFORE), BEFORE) if all(side and side[1] == BEFORE for side in sides) else None
    suffix = next((suffix for suffix in COMPARISON_SUFFIXES if made == (suffix.lower(),)), None)
    return None if suffix is None else (name.removesuffix(suffix), suffix)


def has_periods(checked: CheckedFrame) -> bool:
    """Return whether the frame is a comparison that still has a column of the earlier period, or of the difference."""
    return bool(checked.meta.before) and any(split_side(checked.meta, name) for name in checked.measures)


def check_one_period(checked: CheckedFrame, verb: str, error: type[VapiFramesError]) -> None:
    """Raise *error* where the frame is a comparison, which has rows of two periods.

    Raises:
        VapiFramesError: It is one.
    """
    if has_periods(checked):
        query = checked.meta.result_query
        raise error(f"{verb}() takes one period, and the frame compares two: call it on {query}.fetch().vapi.{verb}()")


def compare_columns(
    name: str, values: npt.NDArray[Any], before: npt.NDArray[Any], unit: str, known: DerivedColumn
) -> dict[str, tuple[npt.NDArray[Any], DerivedColumn]]:
    """Return the columns of the earlier period, the difference and the percentage of the new column *name*."""
    delta = values - before
    return {
        f"{name}{BEFORE}": (before, known),
        f"{name}{_DELTA}": (delta, DerivedColumn(unit, "none", made=(_DELTA.lower(),))),
        f"{name}{_PERCENT}": (percent_change(delta, before), DerivedColumn("%", "none", made=(_PERCENT.lower(),))),
    }


def regroup_periods(
    checked: CheckedFrame,
    levels: list[IndexLevel],
    instead: Query[Any],
    *,
    step: str | None,
    over_time: bool,
    over_groups: bool,
    derived_levels: Mapping[str, str],
) -> pd.DataFrame:
    """Return the rows of a comparison put together under coarser *levels*; see `vapi_frames.analysis.regroup.regroup`.

    Raises:
        NonAdditiveError: A column cannot be re-aggregated exactly.
        ProvenanceError: Rows without a date have lost the date of the earlier period.
    """
    levels = with_earlier_dates(checked, levels)
    if levels:
        levels, codes = distinct_rows(levels)
        size = len(levels[0].codes)
    else:
        codes, size = np.zeros(len(checked.frame), np.int64), 1
    columns: dict[str, Any] = {
        name: to_backend(values, checked.backend)
        for name, values in aggregate_periods(
            checked, checked.measures, codes, size, instead, over_time=over_time, over_groups=over_groups
        ).items()
    }
    kept = [level for level in levels if level.name != "dateBefore"]
    for level in levels:
        if level.name == "dateBefore":
            columns["dateBefore"] = level.uniques.take(level.codes, fill_value=cast("Any", pd.NaT))
    index = build_index(kept) if kept else pd.RangeIndex(size)
    names = [name for name in checked.frame.columns if name in columns]
    result = pd.DataFrame({name: columns[name] for name in names}).set_axis(index, axis="index")
    result.attrs = dict(checked.frame.attrs)
    meta = replace(checked.meta, derived_levels={**checked.meta.derived_levels, **derived_levels})
    return attach_meta(result, meta.with_step(step))


def with_earlier_dates(checked: CheckedFrame, levels: list[IndexLevel]) -> list[IndexLevel]:
    """Return *levels* of a comparison, with the bucket of the earlier period after their ``date``.

    Raises:
        ProvenanceError: Rows without a date have lost the date of the earlier period.
    """
    dates = [level for level in levels if level.name == "date"]
    if not dates:
        return levels
    pairs = read_keys(checked.frame, ["dateBefore"])
    if not pairs and (dates[0].codes < 0).any():
        raise ProvenanceError(
            "rows of the earlier period alone have no date, and the frame has lost its column 'dateBefore': keep it"
        )
    place = levels.index(dates[0]) + 1
    return [*levels[:place], *pairs, *levels[place:]]


def aggregate_periods(
    checked: CheckedFrame,
    names: Iterable[str],
    codes: Codes,
    size: int,
    instead: Query[Any],
    *,
    over_time: bool,
    over_groups: bool,
) -> Columns:
    """Return the columns *names* of a comparison for coarser rows.

    Args:
        checked: The finer rows.
        names: The columns.
        codes: For each finer row, the number of its coarser row.
        size: How many coarser rows there are.
        instead: The query to fetch where a measure cannot be re-aggregated.
        over_time: Whether rows of different buckets are put together.
        over_groups: Whether rows of different groups are put together.

    Raises:
        NonAdditiveError: One cannot be re-aggregated exactly, or its parts are gone.
    """
    coarser = _Coarser(checked, codes, size, instead, over_time=over_time, over_groups=over_groups)
    return {name: coarser.compute(name) for name in names}


class _Coarser:
    """The columns of coarser rows, each made of those that it needs."""

    def __init__(
        self, checked: CheckedFrame, codes: Codes, size: int, instead: Query[Any], *, over_time: bool, over_groups: bool
    ) -> None:
        self._meta = checked.meta
        self._finer: Columns = checked.arrays(checked.measures)
        choice = checked.meta.choice
        self._is_whole = over_time and (choice is None or (choice.is_query and not (choice.start or choice.end)))
        self._codes, self._size, self._instead = codes, size, instead
        self._over_time, self._over_groups = over_time, over_groups
        self._measures = {one.name: one for one in checked.meta.aggregations}
        self._has_calls = {suffix: self._find_calls(checked, suffix) for suffix in ("", BEFORE)}
        if self._is_whole:
            self._fill(checked)
        self._unlike = self._find_unlike()
        self._found: Columns = {}

    def _find_calls(self, checked: CheckedFrame, suffix: str) -> npt.NDArray[np.bool_]:
        """Return which finer rows have calls in a period; the others have sums and counts of 0, and nothing else."""
        is_empty = np.ones(len(checked.frame), bool)
        for name, one in self._measures.items():
            if (values := self._finer.get(f"{name}{suffix}")) is not None:
                is_empty &= values == 0 if one.measure.fill == "zero" else np.isnan(values)
        for is_absent in self._find_absent(checked, suffix):
            is_empty |= is_absent
        return ~is_empty

    def _find_absent(self, checked: CheckedFrame, suffix: str) -> list[npt.NDArray[np.bool_]]:
        """Return, where the query has a step, which finer rows are of a bucket that a period does not have."""
        now = self._meta.now or pd.NaT
        dates = read_keys(checked.frame, ["dateBefore" if suffix else "date"])
        return [np.append(np.asarray(date.uniques >= now), True)[date.codes] for date in dates]

    def _fill(self, checked: CheckedFrame) -> None:
        """Fill the sums of rows that one period does not have: in the whole of it, they are 0."""
        counted = [name for name, one in self._meta.derived.items() if one.made[:1] == ("where",)]
        filled = [*(name for name, one in self._measures.items() if one.measure.fill == "zero"), *counted]
        for suffix in ("", BEFORE):
            for is_absent in self._find_absent(checked, suffix):
                for name in filled:
                    if f"{name}{suffix}" in self._finer:
                        values = self._finer[f"{name}{suffix}"]
                        self._finer[f"{name}{suffix}"] = np.where(is_absent & np.isnan(values), 0.0, values)

    def compute(self, name: str) -> npt.NDArray[Any]:
        """Return the column *name* of the coarser rows."""
        if name not in self._found:
            self._found[name] = self._compute(name)
        return self._found[name]

    def _compute(self, name: str) -> npt.NDArray[Any]:
        if not (self._over_time or self._over_groups):
            return self._aggregate(Reaggregation(name, "sum"))  # of one row each
        base, suffix = split_side(self._meta, name) or (name, "")
        if base in self._measures and suffix in ("", BEFORE):
            found = self._aggregate(self._find_rule(base, suffix))
            if self._measures[base].measure.fill != "zero":
                return found
            return _keep_missing(found, self._finer[name], self._has_calls[suffix], self._codes)
        known = self._meta.derived[name]
        if suffix in (_DELTA, _PERCENT):
            return self._compare(name, base, suffix)
        if known.rule == "ratio":
            above, below = self._find_parts(name, *known.parts)
            return divide(above, below, known.scale)
        if known.rule == "sum":
            return self._aggregate(Reaggregation(name, "sum"))
        raise NonAdditiveError(
            f"{name!r} cannot be re-aggregated: it holds for these rows only. Drop it first, "
            f"df.drop(columns={name!r}), and compute it on the result"
        )

    def _aggregate(self, rule: Reaggregation) -> npt.NDArray[Any]:
        return aggregate([rule], self._finer, self._codes, self._size)[rule.name]

    def _find_rule(self, base: str, suffix: str) -> Reaggregation:
        """Return how the measure *base* is made in one of the periods, of the columns of that period."""
        others = [one for one in self._measures.values() if f"{one.name}{suffix}" in self._finer]
        try:
            _, rule, *parts = find_reaggregation(
                self._measures[base], others, over_time=self._over_time, over_groups=self._over_groups
            )
        except NonAdditiveError as error:
            raise NonAdditiveError(f"{error}; fetch {self._instead!r}, and compare that") from None
        total, counts = (part and f"{part}{suffix}" for part in parts)
        return Reaggregation(f"{base}{suffix}", rule, total, counts)

    def _compare(self, name: str, base: str, suffix: str) -> npt.NDArray[Any]:
        value, before = self._find_parts(name, base, f"{base}{BEFORE}")
        delta = value - before
        if base in self._measures:  # two ratios compare also where another share of each bucket has passed
            delta[self._unlike] = np.nan
        return delta if suffix == _DELTA else percent_change(delta, before)

    def _find_parts(self, name: str, *parts: str) -> list[npt.NDArray[Any]]:
        if lost := [part for part in parts if part not in self._finer]:
            raise NonAdditiveError(
                f"{name!r} cannot be re-aggregated: the frame has lost its parts {', '.join(lost)}. Drop it first, "
                f"df.drop(columns={name!r})"
            )
        return [self.compute(part) for part in parts]

    def _find_unlike(self) -> npt.NDArray[np.bool_]:
        """Return which coarser rows hold buckets that may not be compared, since another share of each has elapsed.

        Over the whole range the two periods are compared as a query without a step compares them.
        """
        unlike = np.zeros(self._size, bool)
        if self._is_whole:
            return unlike
        for name, one in self._measures.items():
            value, before, delta = (
                np.isnan(self._finer[part]) if (part := f"{name}{suffix}") in self._finer else None
                for suffix in ("", BEFORE, _DELTA)
            )
            if value is None or before is None or delta is None:
                continue
            is_unlike = delta & ~value & ~before
            if self._over_time and one.measure.fill == "zero":  # of one period only
                is_unlike |= value != before
            unlike[self._codes[is_unlike]] = True
        return unlike


def _keep_missing(
    coarser: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    has_calls: npt.NDArray[np.bool_],
    codes: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Return *coarser* sums, missing where rows have calls and no value: such a sum is missing, and not 0.

    Args:
        coarser: The sums.
        values: The finer column.
        has_calls: Which finer rows have calls.
        codes: For each finer row, the number of its coarser row.
    """
    some, known = np.zeros(len(coarser), bool), np.zeros(len(coarser), bool)
    some[codes[has_calls]] = True
    known[codes[has_calls & ~np.isnan(values)]] = True
    is_missing = some & ~known
    return np.where(is_missing, np.nan, coarser) if is_missing.any() else coarser  # counts stay whole
