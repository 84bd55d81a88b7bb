"""The rate of success, of the calls that were evaluated or of all."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Literal

import numpy as np

from vapi_frames.analysis.periods import BEFORE, split_side
from vapi_frames.analysis.ratios import add_columns, add_ratio
from vapi_frames.analysis.regroup import find_query, regroup
from vapi_frames.errors import FrameWarning, QueryError, UnknownWordError, format_value, require, suggest, warn
from vapi_frames.frames.columns import to_numpy
from vapi_frames.frames.derived import DerivedColumn
from vapi_frames.frames.layout import keep_layout
from vapi_frames.frames.meta import read_meta
from vapi_frames.frames.provenance import check_frame, find_column
from vapi_frames.query.comparison import COMPARISON_SUFFIXES
from vapi_frames.query.filters import with_filters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from vapi_frames.query.filters import FilterValues

__all__ = ["SUCCESS", "count_chosen", "success_rate"]

SUCCESS = "analysis.successEvaluation"
_TRUE = ("true", "pass")
_FALSE = ("false", "fail")
_LISTED = 8  # unknown values that a message lists


@keep_layout
def success_rate(
    frame: pd.DataFrame,
    *,
    of: Literal["evaluated", "calls"] = "evaluated",
    success: FilterValues | Iterable[str] = None,
) -> pd.DataFrame:
    """Return how many calls were evaluated as a success, and their rate, per remaining group and bucket.

    Args:
        frame: A result frame by ``analysis.successEvaluation`` with a count of calls.
        of: The denominator: ``"evaluated"`` calls, or all ``"calls"``.
        success: The values that count as a success, for a rubric other than true and false, or pass and fail; read as
            `Query.where` reads them, so ``True`` is ``"true"``.

    Returns:
        ``countId``, ``countIdSuccess``, ``countIdEvaluated`` (calls), and ``successPerEvaluated`` or
        ``successPerCall``, from 0 to 1; missing where the denominator is 0. A rollup makes the rate again. Of a
            comparison also the counts and the rate of the earlier period, ``…Before``, and the rate's ``…Delta`` and
            ``…Percent``.

    Raises:
        UnknownWordError: The group or the count is missing; the error says what to add to the query.
        QueryError: A value is of another rubric, and *success* does not say what it means; or *success* has a value
            that no evaluation can be.

    Warns:
        FrameWarning: No call has a value of *success*.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().by("analysis.successEvaluation", "type").during("2026-10").fetch()
        >>> df.pipe(vf.analysis.success_rate)["successPerEvaluated"].round(3).tolist()
        [0.62, 0.477, 0.579]
    """
    require(of, ("evaluated", "calls"), "denominator")
    checked = check_frame(frame)
    levels = {level.name: level for level in checked.levels}
    if SUCCESS not in levels:
        hint = f'Add it to the query: .by("{SUCCESS}").'
        raise UnknownWordError(SUCCESS, "group of the frame", levels, hint=hint, needed_by="success_rate()")
    count = find_column(frame, "id", operation="count", needed_by="success_rate()")
    level = levels[SUCCESS]
    texts = [str(value) for value in level.uniques]
    is_success = _find_successes(texts, success)
    is_evaluated = [text.strip() != "" for text in texts]
    chosen = {f"{count}Success": is_success, f"{count}Evaluated": is_evaluated}
    shown = [text for text, is_one in zip(texts, is_success, strict=True) if is_one][:_LISTED]
    rules = {
        f"{count}Success": f"{SUCCESS} is {' or '.join(map(format_value, shown)) or 'a success, which none is'}",
        f"{count}Evaluated": f"{SUCCESS} is neither missing nor empty",
    }
    coarser = check_frame(count_chosen(frame, count, SUCCESS, chosen, rules))
    below, name = (f"{count}Evaluated", "successPerEvaluated") if of == "evaluated" else (count, "successPerCall")
    return add_ratio(coarser, f"{count}Success", below, name, unit="")


def count_chosen(
    frame: pd.DataFrame, count: str, group: str, chosen: Mapping[str, Sequence[bool]], rules: Mapping[str, str]
) -> pd.DataFrame:
    """Return the counts of calls without a *group*: of all, and of those with chosen values of it.

    Args:
        frame: A result frame by *group*.
        count: The count of calls.
        group: The level that goes.
        chosen: New column → for each of the level's distinct values, whether its calls count. A missing value does not.
        rules: New column → which these are, in words.
    """
    sides = f"{count}{BEFORE}" in frame.columns and split_side(read_meta(frame), f"{count}{BEFORE}")
    names = [*(f"{count}{suffix}" for suffix in ("", *COMPARISON_SUFFIXES)), "dateBefore"] if sides else [count]
    checked = check_frame(frame[[name for name in frame.columns if name in names]])
    codes = next(level.codes for level in checked.levels if level.name == group)
    counts = {
        # A missing value has the code -1, so it takes the last place.
        f"{name}{suffix}": (
            to_numpy(frame[f"{count}{suffix}"]) * np.array([*is_chosen, False])[codes],
            DerivedColumn("calls", "sum", (f"{count}{suffix}",), made=("where", rules[name])),
        )
        for name, is_chosen in chosen.items()
        for suffix in (("", BEFORE) if sides else ("",))
    }
    finer = check_frame(add_columns(checked, counts))
    groups = [level for level in finer.levels if level.name != group]
    step = finer.meta.step
    return regroup(finer, groups, find_query(finer, groups, step), step=step)


def _find_successes(texts: list[str], success: object) -> list[bool]:
    """Return for each value whether it is a success."""
    folded = [_fold(text) for text in texts]
    if success is not None:
        chosen = _read_chosen(success, texts)
        return [text in chosen for text in texts]
    other = [text for text, plain in zip(texts, folded, strict=True) if plain not in (*_TRUE, *_FALSE, "")]
    if other:
        raise QueryError(
            f"the evaluations {', '.join(map(repr, other[:_LISTED]))} are neither true and false nor pass and fail: "
            f"pass those that count as a success, e.g. success=[{other[0]!r}]"
        )
    return [plain in _TRUE for plain in folded]


def _read_chosen(success: object, texts: list[str]) -> set[str]:
    """Return those of *texts* that *success* names: as written, or else but for case and spaces around them."""
    values: object = success
    if isinstance(success, Iterable) and not isinstance(success, str | AbstractSet):
        values = list(success)
    [(_, wanted)] = with_filters((), {SUCCESS: values}, {})
    evaluated = [text for text in texts if _fold(text)]
    chosen: set[str] = set()
    absent = []
    for value in wanted:
        if value is None or not _fold(value):
            raise QueryError(
                f"a call without an evaluation cannot count as a success: leave {format_value(value)} out of success="
            )
        found = {value} & set(evaluated) or {text for text in evaluated if _fold(text) == _fold(value)}
        chosen |= found
        if not found:
            absent.append(value)
    if absent and evaluated:
        listed = ", ".join(map(format_value, absent[:_LISTED]))
        there = ", ".join(map(format_value, evaluated[:_LISTED]))
        near = suggest(absent[0], evaluated)
        warn(
            f"no call has the evaluation {listed}, so it has no effect; "
            + (f"did you mean {format_value(near[0])}?" if near else f"the evaluations are {there}"),
            FrameWarning,
        )
    return chosen


def _fold(text: str) -> str:
    return text.strip().casefold()
