"""Ratios and shares: of sums, never a mean of ratios, with the denominator in the name and the unit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from vapi_frames.analysis.rollup import instead, plan, regroup
from vapi_frames.contract.vocabulary import GROUP_SYNONYMS, STEPS, minutes_per, select_cost_parts
from vapi_frames.errors import NonAdditiveError, ProvenanceError, QueryError, UnknownWordError, require
from vapi_frames.frames.columns import to_backend, to_numpy
from vapi_frames.frames.meta import DerivedColumn
from vapi_frames.frames.origin import attach_meta
from vapi_frames.frames.provenance import CheckedFrame, check_frame, find_column
from vapi_frames.query.aggregation import Reaggregation
from vapi_frames.result.aggregate import aggregate, divide
from vapi_frames.result.ordering import combine_codes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

__all__ = ["per_call", "per_minute", "ratio", "reconcile", "share", "success_rate"]

_ONE = {"calls": "call", "tokens": "token", "characters": "character"}
SUCCESS = "analysis.successEvaluation"
_TRUE = ("true", "pass")
_FALSE = ("false", "fail")


def added(held: CheckedFrame, columns: dict[str, npt.NDArray[Any]], known: dict[str, DerivedColumn]) -> pd.DataFrame:
    """Return a copy of the frame with new last *columns*, of which *known* says what they are."""
    taken = {*held.meta.units, *held.own_columns, *held.flag_columns, *held.frame.index.names}
    for name in columns:
        if name in taken:
            raise QueryError(f"the frame has a column or level {name!r} already: give the new one another name")
    old = [name for name in columns if name in held.frame.columns]
    result = held.frame.drop(columns=old) if old else held.frame
    # As a Series, which pandas need not copy.
    new = {
        name: pd.Series(to_backend(values, held.backend), index=result.index, copy=False)
        for name, values in columns.items()
    }
    result = result.assign(**new)
    result.attrs = dict(held.frame.attrs)
    meta = replace(held.meta, derived=held.meta.derived | known)
    return attach_meta(result, meta, held.rows, changed=columns)


def check_additive(held: CheckedFrame, name: str, what: str) -> None:
    """Raise `NonAdditiveError` unless *name* is a sum or a count, which alone may be added up."""
    asked = {one.name: one for one in held.meta.aggregations}
    if name in held.own_columns:
        raise ProvenanceError(f"nothing says what {name!r} is: it is a column of your own; divide it with pandas")
    one = asked.get(name)
    if one is None:
        if held.meta.derived[name].rule == "sum":
            return
        raise NonAdditiveError(f"{what} needs a sum or a count, and {name!r} is neither")
    if one.measure.over_groups == "sum":
        return
    verb = f'.sum("{one.column}")' if one.measure.over_groups != "none" else '.sum("minutesUsed")'
    raise NonAdditiveError(
        f"{what} needs a sum or a count, and {name!r} is the {one.operation} of {one.column!r}: ask {verb}"
    )


def ratio(frame: pd.DataFrame, num: str, den: str, *, name: str | None = None) -> pd.DataFrame:
    """Return *frame* with the ratio of two sums or counts as a new last column.

    A rollup of the result makes the ratio again from its parts.

    Args:
        frame: A result frame.
        num: The measure above the line, by its own name or the API's column.
        den: The measure below it.
        name: The new column, ``<num>Per<Den>`` by default.

    Returns:
        The frame with one more float column, whose unit is e.g. ``USD/min``; missing where the denominator is 0.

    Raises:
        NonAdditiveError: One of them is an average, a least or a greatest value.
        QueryError: *name* is one of the two.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost", "costBreakdown.llm").by("type").during("2026-10").fetch()
        >>> df.pipe(vf.analysis.ratio, "costBreakdown.llm", "cost", name="llm")["llm"].round(3).tolist()
        [0.198, 0.265, 0.221]
    """
    held = check_frame(frame)
    above, below = find_column(frame, num, operation=_wanted(num)), find_column(frame, den, operation=_wanted(den))
    return _ratio(held, above, below, name or f"{above}Per{below[0].upper()}{below[1:]}")


def _wanted(column: str) -> str | None:
    return "count" if column == "id" else "sum"


def _ratio(
    held: CheckedFrame, above: str, below: str, name: str, *, unit: str | None = None, scale: float = 1.0
) -> pd.DataFrame:
    for part in (above, below):
        check_additive(held, part, "a ratio")
    if name in (above, below):
        raise QueryError(f"{name!r} is a part of the ratio: give it another name")
    over = held.meta.all_units()[below]
    under = held.meta.all_units()[above]
    if unit is None:
        unit = "" if over == under else f"{under}/{_ONE.get(over, over)}"
    columns = held.arrays([above, below])
    values = divide(columns[above], columns[below], scale)
    return added(held, {name: values}, {name: DerivedColumn(unit, "ratio", (above, below), scale)})


def per_minute(frame: pd.DataFrame, column: str | None = None) -> pd.DataFrame:
    """Return *frame* with *column* per minute of call as a new last column, e.g. ``sumCostPerMinute`` in USD/min.

    Args:
        frame: A result frame that also has the sum of ``duration``, or of ``minutesUsed``.
        column: A sum or count, by its own name or the API's column; ``cost`` by default.

    Returns:
        The frame with one more float column; missing where there were no minutes.

    Raises:
        NonAdditiveError: It is an average, a least or a greatest value.
        UnknownWordError: A measure is missing; the error says what to ask for.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost", "duration").by("type").during("2026-10").fetch()
        >>> df.pipe(vf.analysis.per_minute)["sumCostPerMinute"].round(4).tolist()
        [0.1208, 0.1398, 0.1133]
    """
    held = check_frame(frame)
    above = find_column(frame, column or "cost", operation=_wanted(column or "cost"))
    is_used = any(one.column == "minutesUsed" for one in held.meta.aggregations)
    below = find_column(frame, "minutesUsed" if is_used else "duration", operation="sum")
    unit = held.meta.all_units()[below]
    under = held.meta.all_units()[above]
    return _ratio(held, above, below, f"{above}PerMinute", unit=f"{under}/min", scale=1 / minutes_per(unit))


def per_call(frame: pd.DataFrame, column: str | None = None) -> pd.DataFrame:
    """Return *frame* with *column* per call as a new last column, e.g. ``sumCostPerCall`` in USD/call.

    Args:
        frame: A result frame that also has the count of calls.
        column: A sum or count, by its own name or the API's column; ``cost`` by default.

    Returns:
        The frame with one more float column; missing where there were no calls.

    Raises:
        NonAdditiveError: It is an average, a least or a greatest value.
        UnknownWordError: A measure is missing; the error says what to ask for.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").count().by("type").during("2026-10").fetch()
        >>> df.pipe(vf.analysis.per_call)["sumCostPerCall"].round(4).tolist()
        [0.1763, 0.1352, 0.1535]
    """
    held = check_frame(frame)
    above = find_column(frame, column or "cost", operation=_wanted(column or "cost"))
    below = find_column(frame, "id", operation="count")
    return _ratio(held, above, below, f"{above}PerCall")


def share(frame: pd.DataFrame, column: str | None = None, *, within: str | Sequence[str] | None = None) -> pd.DataFrame:
    """Return *frame* with each row's share of a total as a new last column, e.g. ``sumCostShare``.

    Args:
        frame: A result frame.
        column: A sum or count, by its own name or the API's column; may be left out where there is only one measure.
        within: The levels whose slices each add up to 1, e.g. ``"date"``; the whole frame by default.

    Returns:
        The frame with one more float column, from 0 to 1; missing where the total is 0.

    Raises:
        NonAdditiveError: It is an average, a least or a greatest value.
        UnknownWordError: There is no such level.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").by("type").during("2026-10").fetch()
        >>> df.pipe(vf.analysis.share)["sumCostShare"].round(3).tolist()
        [0.538, 0.269, 0.193]
    """
    held = check_frame(frame)
    name = find_column(frame, column, operation=_wanted(column or ""))
    check_additive(held, name, "a share")
    codes, size = _slices(held, within)
    values = to_numpy(frame[name]).astype(np.float64, copy=False)
    total = aggregate([Reaggregation(name, "sum")], {name: values}, codes, size)[name][codes]
    return added(held, {f"{name}Share": divide(values, total)}, {f"{name}Share": DerivedColumn("share", "none")})


def _slices(held: CheckedFrame, within: str | Sequence[str] | None) -> tuple[npt.NDArray[np.int64], int]:
    """Return, for each row, the number of its slice; and how many numbers there are."""
    there = {level.name: level for level in held.levels}
    names = [] if within is None else [within] if isinstance(within, str) else list(within)
    for name in names:
        require(name, there, "level of the frame", synonyms=GROUP_SYNONYMS | dict.fromkeys(("time", *STEPS), "date"))
    if not names:
        return np.zeros(len(held.frame), np.int64), 1
    combined = combine_codes([there[name].codes for name in names], [len(there[name].uniques) for name in names])
    size = int(combined.max(initial=-1)) + 1
    if size <= 2 * len(combined):
        return combined, size
    codes, found = pd.factorize(combined)  # there are few slices, though there could be very many
    return codes.astype(np.int64), len(found)


def success_rate(
    frame: pd.DataFrame, *, of: Literal["evaluated", "calls"] = "evaluated", success: Iterable[str] | None = None
) -> pd.DataFrame:
    """Return how many calls were evaluated as a success, and their rate, per remaining group and bucket.

    Args:
        frame: A result frame by ``analysis.successEvaluation`` with a count of calls.
        of: The denominator: ``"evaluated"`` calls, or all ``"calls"``.
        success: The values that count as a success, for a rubric other than true and false, or pass and fail.

    Returns:
        ``countId``, ``countIdSuccess``, ``countIdEvaluated`` (calls), and ``successPerEvaluated`` or
        ``successPerCall``, from 0 to 1; missing where the denominator is 0. A rollup makes the rate again.

    Raises:
        UnknownWordError: The group or the count is missing; the error says what to ask for.
        QueryError: A value is of another rubric, and *success* does not say what it means.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().by("analysis.successEvaluation", "type").during("2026-10").fetch()
        >>> df.pipe(vf.analysis.success_rate)["successPerEvaluated"].round(3).tolist()
        [0.62, 0.477, 0.579]
    """
    require(of, ("evaluated", "calls"), "denominator")
    held = check_frame(frame)
    there = {level.name: level for level in held.levels}
    if SUCCESS not in there:
        raise UnknownWordError(SUCCESS, "group of the frame", there, hint=f'Ask for it: .by("{SUCCESS}").')
    counted = find_column(frame, "id", operation="count")
    level = there[SUCCESS]
    words = [str(value) for value in level.uniques]
    wins = _wins(words, success)
    is_said = np.array([*(word.strip() != "" for word in words), False])
    is_won = np.array([*wins, False])
    values = to_numpy(frame[counted])
    names = (counted, f"{counted}Success", f"{counted}Evaluated")
    parts = dict(zip(names, (values, values * is_won[level.codes], values * is_said[level.codes]), strict=True))
    only = frame[[counted]]
    known = {name: DerivedColumn("calls", "sum") for name in names[1:]}
    split = check_frame(added(check_frame(only), {name: parts[name] for name in names[1:]}, known))
    kept = [one for one in split.levels if one.name != SUCCESS]
    better = instead(split, kept, split.meta.step)
    recipes = plan(split, split.measures, over_time=False, over_groups=True, better=better)
    rolled = check_frame(regroup(split, kept, recipes, step=split.meta.step))
    below, name = (names[2], "successPerEvaluated") if of == "evaluated" else (counted, "successPerCall")
    return _ratio(rolled, names[1], below, name, unit="")


def _wins(words: list[str], success: Iterable[str] | None) -> list[bool]:
    """Return for each value whether it is a success."""
    if success is not None:
        chosen = {success} if isinstance(success, str) else set(success)
        return [word in chosen for word in words]
    folded = [word.strip().casefold() for word in words]
    odd = [word for word, plain in zip(words, folded, strict=True) if plain not in (*_TRUE, *_FALSE, "")]
    if odd:
        listed = ", ".join(map(repr, odd[:8]))
        raise QueryError(
            f"the evaluations {listed} are neither true and false nor pass and fail: say which of them are a success, "
            f"e.g. success=[{odd[0]!r}]"
        )
    return [plain in _TRUE for plain in folded]


def reconcile(frame: pd.DataFrame) -> pd.DataFrame:
    """Return *frame* with the cost that its parts do not explain as a new last column ``sumCostResidual``, in USD.

    Args:
        frame: A result frame with the sums of ``cost`` and of all its parts: ``costBreakdown.llm``, ``.tts``,
            ``.vapi``, ``.transport``, ``.analysisBreakdown.summary``, and one of ``.stt`` and ``.transcriber``, which
            are two names of one part.

    Returns:
        The frame with one more float column: cost minus its parts, a missing part counted as 0; missing where the cost
        is. It adds up like a sum.

    Raises:
        UnknownWordError: A sum is missing; the error says what to ask for.

    Examples:
        >>> import vapi_frames as vf
        >>> parts = ["llm", "stt", "tts", "vapi", "transport", "analysisBreakdown.summary"]
        >>> question = vf.demo().call().sum("cost", *[f"costBreakdown.{part}" for part in parts])
        >>> question.during("2026-10").fetch().pipe(vf.analysis.reconcile)["sumCostResidual"].tolist()
        [0.0]
    """
    held = check_frame(frame)
    cost = find_column(frame, "cost", operation="sum")
    there: dict[str, str] = {
        one.column: one.name for one in held.meta.aggregations if one.operation == "sum" and one.name in frame.columns
    }
    wanted = select_cost_parts(there)
    missing = [part for part in wanted if part not in there]
    if missing:
        listed = ", ".join(f'"{one}"' for one in missing)
        raise UnknownWordError(
            missing[0], "column", list(there), hint=f"Ask for all parts of the cost: .sum({listed})."
        )
    parts = held.arrays(there[part] for part in wanted)
    explained = np.sum([np.nan_to_num(values) for values in parts.values()], axis=0)
    values = to_numpy(frame[cost]).astype(np.float64) - explained
    # What is left of adding four decimals in binary is not a residual.
    values[np.abs(values) < 5e-9 * np.maximum(1.0, np.abs(explained))] = 0.0
    name = f"{cost}Residual"
    return added(held, {name: values}, {name: DerivedColumn(held.meta.all_units()[cost], "sum")})
