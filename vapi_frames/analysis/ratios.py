"""Ratios and shares: of sums, never a mean of ratios, with the denominator in the name and the unit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vapi_frames.analysis.arguments import read_names
from vapi_frames.analysis.periods import BEFORE, compare_columns, split_side
from vapi_frames.contract.record_words import RECORD_COST_PARTS
from vapi_frames.contract.vocabulary import GROUP_SYNONYMS, STEPS, minutes_per, select_cost_parts
from vapi_frames.errors import NonAdditiveError, ProvenanceError, QueryError, UnknownWordError, require
from vapi_frames.frames.columns import to_backend, to_numpy
from vapi_frames.frames.derived import DerivedColumn
from vapi_frames.frames.layout import keep_layout
from vapi_frames.frames.origin import attach_meta
from vapi_frames.frames.provenance import CheckedFrame, check_frame, find_column
from vapi_frames.query.aggregation import Reaggregation, check_separate, check_text
from vapi_frames.result.aggregate import aggregate, divide
from vapi_frames.result.ordering import combine_codes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Columns = dict[str, tuple[npt.NDArray[Any], DerivedColumn]]  # name → values, and what is known of them

__all__ = ["add_columns", "add_ratio", "per_call", "per_minute", "ratio", "reconcile", "share"]

_CONTRACT_SOURCES = ("api", "replay", "reply")  # they have the columns of the contract only

_FEW_COLUMNS = 60
_SINGULAR = {"calls": "call", "tokens": "token", "characters": "character"}


def add_columns(checked: CheckedFrame, columns: Mapping[str, tuple[npt.NDArray[Any], DerivedColumn]]) -> pd.DataFrame:
    """Return a copy of the frame with new last *columns*: name → values and what is known of them.

    Raises:
        QueryError: A name is taken: a verb never replaces a column that it did not make in this call. The same verb
            called twice makes the same columns, and leaves them as they are.
    """
    frame = checked.frame
    columns = {name: made for name, made in columns.items() if not _is_there(checked, name, *made)}
    parts = {
        part for name in checked.measures if name in checked.meta.derived for part in checked.meta.derived[name].parts
    }
    for name in columns:
        _check_free(frame, name)
        if name in {*checked.meta.units, *parts, *checked.meta.levels, *frame.index.names}:
            raise QueryError(
                f"{name!r} is already the name of a measure or level of the query: give the new column another name"
            )
    # As Series, which pandas need not copy.
    series = {
        name: pd.Series(to_backend(values, checked.backend), index=frame.index, copy=False)
        for name, (values, _) in columns.items()
    }
    result = _append_columns(frame, series)
    result.attrs = dict(frame.attrs)
    derived = checked.meta.derived | {name: column for name, (_, column) in columns.items()}
    return attach_meta(result, replace(checked.meta, derived=derived), checked.rows, changed=columns)


def _append_columns(frame: pd.DataFrame, series: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Return *frame* with *series* as its last columns."""
    if len(frame.columns) + len(series) <= _FEW_COLUMNS:
        return frame.assign(**series)
    # Of a hundred columns that were added one by one, pandas warns that the frame is fragmented: a copy is not.
    result = pd.concat([frame, pd.DataFrame(series, index=frame.index)], axis="columns").copy()
    result.index, result.columns.name = frame.index, frame.columns.name
    return result


def _check_free(frame: pd.DataFrame, name: str) -> None:
    if name in frame.columns:
        raise QueryError(
            f"the frame already has a column {name!r}, and no verb replaces a column: give one of the two another "
            f"name, or drop the old one, df.drop(columns={name!r})"
        )


def _is_there(checked: CheckedFrame, name: str, values: npt.NDArray[Any], column: DerivedColumn) -> bool:
    """Return whether the frame has this very column: the same values, of the same meaning."""
    if name not in checked.frame.columns or checked.meta.derived.get(name) != column:
        return False
    made = pd.Series(to_backend(values, checked.backend), index=checked.frame.index)
    return bool(made.equals(checked.frame[name]))


def _check_additive(checked: CheckedFrame, name: str, what: str) -> None:
    """Raise `NonAdditiveError` unless *name* is a sum or a count: *what*, such as a ratio, is made of these alone."""
    if name in checked.own_columns:
        raise ProvenanceError(f"{name!r} is a column of your own, so its operation is unknown: divide it with pandas")
    side = split_side(checked.meta, name)
    if side and side[1] != BEFORE:
        raise NonAdditiveError(f"{what} needs a sum or a count, and {name!r} is a difference of two periods")
    if side and side[0] in checked.meta.units:
        name = side[0]  # the same sum, of the earlier period
    if name in checked.meta.derived:
        if checked.meta.derived[name].rule != "sum":
            raise NonAdditiveError(f"{what} needs a sum or a count, and {name!r} is neither")
        return
    one = next(one for one in checked.meta.aggregations if one.name == name)
    if one.measure.over_groups != "sum":
        if one.operation == "nunique":
            raise NonAdditiveError(f"{what} needs a sum or a count, and {name!r} is a number of different values")
        column = "minutesUsed" if one.column == "concurrency" else one.column
        raise NonAdditiveError(
            f"{what} needs a sum or a count, and {name!r} is the {one.operation} of {one.column!r}: add "
            f'.sum("{column}") to the query'
        )


@keep_layout
def ratio(frame: pd.DataFrame, num: str, den: str, *, name: str | None = None) -> pd.DataFrame:
    """Return *frame* with the ratio of two sums or counts as a new last column.

    A rollup of the result makes the ratio again from its parts.

    Args:
        frame: A result frame.
        num: The measure above the line, by its own name or the API's column.
        den: The measure below it.
        name: The new column, ``<num>Per<Den>`` by default.

    Returns:
        The frame with one more float column, with a unit such as ``USD/min``; missing where the denominator is 0.

    Raises:
        NonAdditiveError: One of them is an average, a minimum or a maximum.
        QueryError: *name* is that of another column or level, or no text.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost", "costBreakdown.llm").by("type").during("2026-10").fetch()
        >>> df.pipe(vf.analysis.ratio, "costBreakdown.llm", "cost", name="llm")["llm"].round(3).tolist()
        [0.137, 0.233, 0.155]
    """
    checked = check_frame(frame)
    above, below = _find_additive(frame, num), _find_additive(frame, den)
    if name is not None:
        check_text(name, "name", None)
        if name not in (above, below):
            _check_free(checked.frame, name)
    return add_ratio(checked, above, below, name or f"{above}Per{below[0].upper()}{below[1:]}")


def _find_additive(frame: pd.DataFrame, column: str | None, needed_by: str = "") -> str:
    """Return the column of *frame* that *column* means; of a column of the API, its sum, of ``id`` the count."""
    operation = "count" if isinstance(column, str) and column == "id" else "sum"
    return find_column(frame, column, operation=operation, needed_by=needed_by)


def _find_parts(frame: pd.DataFrame, columns: Sequence[str | None], verb: str) -> list[str]:
    """Return the columns of *frame* that the arguments *columns* of *verb* mean: without any, that of ``cost``."""
    if len(columns) == 1 and columns[0] is None:
        return [_find_additive(frame, "cost", verb)]
    for column in columns:
        check_separate(column, "column", verb.removesuffix("()"))
    return [_find_additive(frame, column) for column in columns]


def add_ratio(
    checked: CheckedFrame, above: str, below: str, name: str, *, unit: str | None = None, scale: float = 1.0
) -> pd.DataFrame:
    """Return the frame with *above* divided by *below*, times *scale*, as a new last column *name*.

    Args:
        checked: A result frame.
        above: The column above the line.
        below: The column below it.
        name: The new column.
        unit: Its unit; by default, that of the two parts.
        scale: What the ratio is multiplied by.

    Raises:
        NonAdditiveError: One of the two is neither a sum nor a count.
        QueryError: The frame already has a column *name*.
    """
    return add_columns(checked, _make_ratio(checked, above, below, name, unit=unit, scale=scale))


def _make_ratio(
    checked: CheckedFrame, above: str, below: str, name: str, *, unit: str | None = None, scale: float = 1.0
) -> Columns:
    """Return the columns of a ratio; see `add_ratio`."""
    for part in (above, below):
        _check_additive(checked, part, "a ratio")
    if name in (above, below):
        raise QueryError(f"{name!r} is a part of the ratio: give the ratio another name")
    if unit is None:
        over, under = (checked.meta.all_units()[part] for part in (above, below))
        unit = "" if over == under else f"{over}/{_SINGULAR.get(under, under)}"
    columns = checked.arrays(checked.measures)
    values = divide(columns[above], columns[below], scale)
    made = {name: (values, DerivedColumn(unit, "ratio", (above, below), scale))}
    parts = f"{above}{BEFORE}", f"{below}{BEFORE}"
    if all(split_side(checked.meta, part) and part in columns for part in parts):
        before = divide(columns[parts[0]], columns[parts[1]], scale)
        made |= compare_columns(name, values, before, unit, DerivedColumn(unit, "ratio", parts, scale))
    return made


@keep_layout
def per_minute(frame: pd.DataFrame, column: str | None = None, *more: str) -> pd.DataFrame:
    """Return *frame* with each column per minute of call as new last columns, e.g. ``sumCostPerMinute`` in USD/min.

    Args:
        frame: A result frame that also has the sum of ``duration``, or of ``minutesUsed``.
        column: A sum or count, by its own name or the API's column; ``cost`` by default.
        more: Further ones.

    Returns:
        The frame with one more float column for each; missing where there were no minutes. Of a comparison also those
        of the earlier period, the difference and the percentage: ``…Before``, ``…Delta``, ``…Percent``.

    Raises:
        NonAdditiveError: It is an average, a minimum or a maximum.
        UnknownWordError: A measure is missing; the error says what to add to the query.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost", "duration").by("type").during("2026-10").fetch()
        >>> df.pipe(vf.analysis.per_minute)["sumCostPerMinute"].round(4).tolist()
        [0.1208, 0.1398, 0.1133]
    """
    checked = check_frame(frame)
    parts = _find_parts(frame, (column, *more), "per_minute()")
    is_subscription = any(one.column == "minutesUsed" for one in checked.meta.aggregations)
    column = "minutesUsed" if is_subscription else "duration"
    minutes = find_column(frame, column, operation="sum", needed_by="per_minute()")
    units = checked.meta.all_units()
    scale = 1 / minutes_per(units[minutes])
    made: Columns = {}
    for part in parts:
        unit = f"{units.get(part)}/min"
        made |= _make_ratio(checked, part, minutes, f"{part}PerMinute", unit=unit, scale=scale)
    return add_columns(checked, made)


@keep_layout
def per_call(frame: pd.DataFrame, column: str | None = None, *more: str) -> pd.DataFrame:
    """Return *frame* with each column per call as new last columns, e.g. ``sumCostPerCall`` in USD/call.

    Args:
        frame: A result frame that also has the count of calls.
        column: A sum or count, by its own name or the API's column; ``cost`` by default.
        more: Further ones.

    Returns:
        The frame with one more float column for each; missing where there were no calls.

    Raises:
        NonAdditiveError: It is an average, a minimum or a maximum.
        UnknownWordError: A measure is missing; the error says what to add to the query.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").count().by("type").during("2026-10").fetch()
        >>> df.pipe(vf.analysis.per_call)["sumCostPerCall"].round(4).tolist()
        [0.1763, 0.1352, 0.1535]
    """
    checked = check_frame(frame)
    parts = _find_parts(frame, (column, *more), "per_call()")
    calls = _find_additive(frame, "id", "per_call()")
    made: Columns = {}
    for part in parts:
        made |= _make_ratio(checked, part, calls, f"{part}PerCall")
    return add_columns(checked, made)


@keep_layout
def share(
    frame: pd.DataFrame, column: str | None = None, *more: str, within: str | Sequence[str] | None = None
) -> pd.DataFrame:
    """Return *frame* with each row's share of the total of each column as new last columns, e.g. ``sumCostShare``.

    Args:
        frame: A result frame.
        column: A sum or count, by its own name or the API's column; needed where there are several measures.
        more: Further ones.
        within: The levels; each slice of them adds up to 1, e.g. ``"date"``; the whole frame by default.

    Returns:
        The frame with one more float column for each, from 0 to 1; missing where the total is 0.

    Raises:
        NonAdditiveError: It is an average, a minimum or a maximum.
        UnknownWordError: There is no such level.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").by("type").during("2026-10").fetch()
        >>> df.pipe(vf.analysis.share)["sumCostShare"].round(3).tolist()
        [0.538, 0.269, 0.193]
    """
    checked = check_frame(frame)
    names = [_find_additive(frame, None)] if column is None else _find_parts(frame, (column, *more), "share()")
    for name in names:
        _check_additive(checked, name, "a share")
    codes, size = _slices(checked, within)
    known = DerivedColumn("share", "none", made=("share", *_names_within(within)))
    made: Columns = {}
    for name in names:
        values = to_numpy(frame[name]).astype(np.float64, copy=False)
        total = aggregate([Reaggregation(name, "sum")], {name: values}, codes, size)[name][codes]
        made[f"{name}Share"] = divide(values, total), known
    return add_columns(checked, made)


def _names_within(within: str | Sequence[str] | None) -> list[str]:
    return [] if within is None else read_names(within, "within", '"date"')


def _slices(checked: CheckedFrame, within: str | Sequence[str] | None) -> tuple[npt.NDArray[np.int64], int]:
    """Return, for each row, the number of its slice; and how many numbers there are."""
    levels = {level.name: level for level in checked.levels}
    names = _names_within(within)
    synonyms = GROUP_SYNONYMS | dict.fromkeys(("time", *STEPS), "date")
    for name in names:
        require(name, levels, "level of the frame", synonyms=synonyms)
    if not names:
        return np.zeros(len(checked.frame), np.int64), 1
    combined = combine_codes([levels[name].codes for name in names], [len(levels[name].uniques) for name in names])
    size = int(combined.max(initial=-1)) + 1
    if size <= 2 * len(combined):
        return combined, size
    codes, distinct = pd.factorize(combined)  # few of the possible slices exist
    return codes.astype(np.int64), len(distinct)


@keep_layout
def reconcile(frame: pd.DataFrame) -> pd.DataFrame:
    """Return *frame* with the cost that its parts do not explain as a new last column ``sumCostResidual``, in USD.

    The API's columns do not explain all of the cost: structured outputs, the evaluation of success and the detection of
    voicemail cost, too, and no column of the contract has them. Call records have them: add their sums to the query,
    and only the rounding of the parts, 0.0003 USD for each call, remains.

    Args:
        frame: A result frame with the sums of ``cost`` and of the parts that the contract has: ``costBreakdown.llm``,
            ``.tts``, ``.vapi``, ``.transport``, ``.analysisBreakdown.summary``, and one of ``.stt`` and
            ``.transcriber``, which are two names of one part. The sums of the parts that only call records have count
            where the frame has them: ``costBreakdown.chat``, ``.knowledgeBase``, ``.voicemailDetection``,
            ``.analysisBreakdown.structuredData``, ``.successEvaluation`` and ``.structuredOutput``.

    Returns:
        The frame with one more float column: cost minus its parts, a missing part counted as 0; missing where the cost
        is. It adds up like a sum. Where cost remains, a note in ``df.vapi.meta.notes`` names the parts that the frame
        lacks.

    Raises:
        UnknownWordError: A sum is missing; the error says what to add to the query.

    Examples:
        >>> import vapi_frames as vf
        >>> parts = ["llm", "stt", "tts", "vapi", "transport", "analysisBreakdown.summary"]
        >>> query = vf.demo().call().sum("cost", *[f"costBreakdown.{part}" for part in parts])
        >>> query.during("2026-10").fetch().pipe(vf.analysis.reconcile)["sumCostResidual"].round(2).tolist()
        [116.38]
        >>> more = ["structuredData", "successEvaluation", "structuredOutput"]
        >>> query = query.sum(*[f"costBreakdown.analysisBreakdown.{part}" for part in more])
        >>> query = query.sum(*[f"costBreakdown.{part}" for part in ("chat", "knowledgeBase", "voicemailDetection")])
        >>> query.during("2026-10").fetch().pipe(vf.analysis.reconcile)["sumCostResidual"].tolist()
        [0.0]
    """
    checked = check_frame(frame)
    cost = find_column(frame, "cost", operation="sum", needed_by="reconcile()")
    sums: dict[str, str] = {
        one.column: one.name
        for one in checked.meta.aggregations
        if one.operation == "sum" and one.name in frame.columns
    }
    parts: tuple[str, ...] = select_cost_parts(sums)
    lacking = [part for part in RECORD_COST_PARTS if part not in sums]
    if missing := [part for part in parts if part not in sums]:
        wanted = missing if checked.meta.source in _CONTRACT_SOURCES else [*missing, *lacking]
        listed = ", ".join(f'"{part}"' for part in wanted)
        place = ", before .compare()" if checked.meta.before else ""
        hint = f"Add all parts of the cost to the query{place}: .sum({listed})."
        raise UnknownWordError(missing[0], "column", list(sums), hint=hint, needed_by="reconcile()")
    parts = (*parts, *(part for part in RECORD_COST_PARTS if part in sums))
    explained = np.sum([np.nan_to_num(to_numpy(frame[sums[part]])) for part in parts], axis=0)
    values = to_numpy(frame[cost]).astype(np.float64) - explained
    # What remains of adding four decimals in binary is no residual.
    values[np.abs(values) < 5e-9 * np.maximum(1.0, np.abs(explained))] = 0.0
    names = [sums[part] for part in parts]
    known = DerivedColumn(checked.meta.all_units()[cost], "sum", (cost, *names), made=("residual",))
    if lacking and np.nansum(np.abs(values)) > 0:
        note = _describe_lacking(lacking, checked.meta.source)
        if note not in checked.meta.notes:
            checked = replace(checked, meta=replace(checked.meta, notes=(*checked.meta.notes, note)))
    return add_columns(checked, {f"{cost}Residual": (values, known)})


def _describe_lacking(lacking: Sequence[str], source: str) -> str:
    """Return which parts of the cost were not asked for, and what can return them."""
    if source in _CONTRACT_SOURCES:
        return f"the residual holds the parts of the cost that the API has no column for: {', '.join(lacking)}"
    listed = ", ".join(f'"{part}"' for part in lacking)
    return f"the residual holds parts of the cost that the query did not ask for: .sum({listed})"
