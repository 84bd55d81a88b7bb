"""Verbs on groups: the largest ones, families of ended reasons, names for ids, groups as columns."""

from __future__ import annotations

import bisect
import itertools
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vapi_frames.analysis.arguments import check_count, check_flag, check_level_is_free
from vapi_frames.analysis.periods import aggregate_periods, has_periods, with_earlier_dates
from vapi_frames.analysis.regroup import find_query, plan_reaggregation, regroup
from vapi_frames.contract import ended_reasons
from vapi_frames.contract.vocabulary import GROUP_SYNONYMS, RECORD_OPERATIONS, is_public_group
from vapi_frames.errors import (
    ID_CUTOFF,
    FrameWarning,
    QueryError,
    UnknownWordError,
    format_value,
    require,
    suggest,
    warn,
)
from vapi_frames.frames.columns import to_backend, to_numpy
from vapi_frames.frames.layout import keep_layout
from vapi_frames.frames.levels import IndexLevel, build_index, distinct_rows, drop_unused
from vapi_frames.frames.meta import ATTRIBUTE
from vapi_frames.frames.origin import add_note, attach_meta
from vapi_frames.frames.provenance import CheckedFrame, attach_choice, check_frame, find_column
from vapi_frames.query.comparison import COMPARISON_SUFFIXES
from vapi_frames.result.aggregate import aggregate

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["label", "outcome", "top", "wide"]

_ASSISTANTS = "assistantId"
_LOOKED_AT = 50  # names among which the nearest to an id is looked for
_LISTED = 8  # unknown values that a message lists
_ID_CHARS = 8  # characters of an id that keep equal names apart


def _find_group(checked: CheckedFrame, name: str | None, verb: str) -> IndexLevel:
    """Return the group called *name*; by default, the only one."""
    made = {level for level, origin in checked.meta.derived_levels.items() if origin == "date"}  # by typical_week
    groups = {level.name: level for level in checked.levels if level.name not in {"date", *made}}
    if name is None:
        if not groups:
            raise QueryError(f"{verb} one group, and this frame has none: add .by(...) to the query")
        if len(groups) > 1:
            raise QueryError(
                f"{verb} one group, and this frame has {len(groups)} ({', '.join(groups)}): pass "
                f"of={next(iter(groups))!r}"
            )
        return next(iter(groups.values()))
    require(name, groups, "group of the frame", synonyms=GROUP_SYNONYMS)
    return groups[name]


@keep_layout
def top(
    frame: pd.DataFrame, n: int = 10, *, by: str | None = None, of: str | None = None, other: bool = True
) -> pd.DataFrame:
    """Return *frame* with the *n* largest values of a group, and all others as one.

    Args:
        frame: A result frame.
        n: How many values stay.
        by: The measure that ranks them, over the whole frame; by its own name or the API's column. Needed where there
            are several.
        of: The group; needed where there are several.
        other: Whether the rest becomes the value ``other``, each measure by its own rule; else it is left out. Its
            medians, quantiles and numbers of values are missing, because those of several rows are unknown.

    Returns:
        The same measures, types and levels. The missing value of a group counts as one of its values.

    Raises:
        QueryError: *n* is less than 1, or the frame has several groups and *of* is missing.
        UnknownWordError: There is no such group, or no measure to rank by.
        NonAdditiveError: A measure of the others cannot be re-aggregated: pass ``other=False``, or drop it.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().by("endedReason").during("2026-10").fetch()
        >>> df.pipe(vf.analysis.top, 2)["countId"].to_dict()
        {'assistant-ended-call': 2366, 'customer-ended-call': 6707, 'other': 4422}
    """
    n = check_count(n, "n")
    check_flag(other, "other")
    checked = check_frame(frame)
    level = _find_group(checked, of, "top() ranks")
    ranked = _rank(checked, level, find_column(frame, by))
    if len(ranked) <= n:
        return attach_meta(frame.copy(), checked.meta, checked.rows)
    is_top = np.zeros(len(level.uniques) + 1, bool)  # the last one is the missing value, with the code -1
    is_top[ranked[:n]] = True
    is_top_row = is_top[level.codes]
    if not other:
        return attach_choice(frame.loc[is_top_row].copy())
    # A name and the id beside it become "other" together.
    roots = checked.meta.query_groups()
    same = [one.name for one in checked.levels if roots.get(one.name, one.name) == roots.get(level.name, level.name)]
    levels = [_with_other(one, is_top_row) if one.name in same else one for one in checked.levels]
    step = checked.meta.step
    instead = find_query(checked, checked.levels, step).with_counts()
    origin = checked.meta.derived_levels.get(level.name, level.name)
    made = dict.fromkeys(same, origin)
    alone = [one.name for one in checked.meta.aggregations if one.operation in RECORD_OPERATIONS]
    is_comparison = has_periods(checked)
    endings = ("", *COMPARISON_SUFFIXES) if is_comparison else ("",)
    alone = [f"{name}{ending}" for name in alone for ending in endings if f"{name}{ending}" in frame.columns]
    if not alone:
        return regroup(checked, levels, instead, step=step, derived_levels=made)
    rest = replace(checked, frame=frame.drop(columns=alone))
    result = regroup(rest, levels, instead, step=step, derived_levels=made)
    _, codes = distinct_rows(with_earlier_dates(checked, levels) if is_comparison else levels)
    for name in alone:  # a median of the others is unknown, and those of the values that stay are as they were
        values = np.full(len(result), np.nan)
        values[codes[is_top_row]] = to_numpy(frame[name])[is_top_row]
        result[name] = to_backend(values, checked.backend)
    meta = replace(checked.meta, derived_levels={**checked.meta.derived_levels, **made})
    return attach_meta(result[[name for name in frame.columns if name in result]], meta)


def _rank(checked: CheckedFrame, level: IndexLevel, name: str) -> npt.NDArray[np.int64]:
    """Return the places of the level's values, largest first, -1 for the missing one; equal ones in their order."""
    over_time = any(one.name == "date" for one in checked.levels)
    over_groups = any(one.name not in ("date", level.name) for one in checked.levels)
    instead = find_query(checked, [level], None).with_counts()
    missing = len(level.uniques)
    codes = np.where(level.codes < 0, np.int64(missing), level.codes)
    names = [name] if name in checked.measures else []
    if names and has_periods(checked):
        totals = aggregate_periods(
            checked, names, codes, missing + 1, instead, over_time=over_time, over_groups=over_groups
        )[name]
        return _order(totals.astype(np.float64), codes)
    plan = plan_reaggregation(checked, names, instead, over_time=over_time, over_groups=over_groups)
    if not plan:
        others = [one for one in checked.measures if one != name]
        raise UnknownWordError(name, "measure to rank by", others, hint="Rank by a sum or a count.")
    totals = aggregate(plan, checked.arrays(checked.measures), codes, missing + 1)[name]
    return _order(totals.astype(np.float64), codes)


def _order(totals: npt.NDArray[np.float64], codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the places of *totals* that *codes* uses, the largest total first; of the last place, -1."""
    used = np.flatnonzero(np.bincount(codes, minlength=len(totals)))
    order = used[np.argsort(-np.nan_to_num(totals[used], nan=-np.inf), kind="stable")]
    return np.where(order == len(totals) - 1, -1, order)


def _with_other(level: IndexLevel, is_top_row: npt.NDArray[np.bool_]) -> IndexLevel:
    """Return *level* with the value ``other`` in all other rows; ``other (2)`` where the level has ``other`` itself."""
    name, values, codes = drop_unused(
        IndexLevel(level.name, level.uniques, np.where(is_top_row, level.codes, np.int64(-1)))
    )
    texts = [str(value) for value in values]
    names = (f"other ({number})" if number > 1 else "other" for number in itertools.count(1))
    other = next(text for text in names if text not in texts)
    place = bisect.bisect(texts, other)
    codes = np.where(is_top_row, codes + (codes >= place), place)
    return IndexLevel(name, _like(level.uniques, [*texts[:place], other, *texts[place:]], name), codes)


def _like(values: pd.Index, texts: list[str], name: str) -> pd.Index:
    """Return the ascending *texts* as a level of the type of *values*."""
    if isinstance(values, pd.CategoricalIndex):
        return pd.CategoricalIndex(pd.Index(texts, dtype=values.categories.dtype), name=name)
    return pd.Index(texts, dtype=values.dtype, name=name)


@keep_layout
def outcome(frame: pd.DataFrame, level: ended_reasons.ReasonLevel = "outcome") -> pd.DataFrame:
    """Return *frame* with the ended reasons rolled up to families; the group ``endedReason`` becomes *level*.

    A reason that is not in the contract maps by its prefix, or to ``unknown`` with a warning. A call without a reason,
    which may be in progress, stays missing.

    Args:
        frame: A result frame by ``endedReason``.
        level: ``"outcome"``, ``"fault"``, ``"component"`` or ``"provider"``.

    Returns:
        The same measures and types; the level takes the place of ``endedReason``.

    Raises:
        UnknownWordError: There is no such level, or the frame is not by ended reason.
        QueryError: The frame has a column or level of that name already.
        NonAdditiveError: A measure cannot be re-aggregated exactly.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().by("endedReason").during("2026-10").fetch()
        >>> df.vapi.outcome("fault")["countId"].to_dict()["none"]
        12641
    """
    require(level, ended_reasons.REASON_LEVELS, "level", synonyms=ended_reasons.LEVEL_SYNONYMS)
    checked = check_frame(frame)
    levels = {one.name: one for one in checked.levels}
    if "endedReason" not in levels:
        hint = 'Add it to the query: .by("endedReason").'
        raise UnknownWordError("endedReason", "group of the frame", levels, hint=hint, needed_by="outcome()")
    check_level_is_free(checked, level)
    reasons = drop_unused(levels["endedReason"])
    texts = [str(value) for value in reasons.uniques]
    families = [str(ended_reasons.classify_at_level(text, level)) for text in texts]
    values = sorted(set(families))
    position = np.array([*(values.index(one) for one in families), -1], np.int64)
    levels["endedReason"] = IndexLevel(level, _like(reasons.uniques, values, level), position[reasons.codes])
    step = checked.meta.step
    instead = find_query(checked, checked.levels, step).with_counts()
    result = regroup(checked, [*levels.values()], instead, step=step, derived_levels={level: "endedReason"})
    if unknown := [text for text in texts if not ended_reasons.is_known_reason(text)]:
        _note_unknown(result, unknown)
    return result


def _note_unknown(result: pd.DataFrame, unknown: list[str]) -> None:
    """Warn of the *unknown* ended reasons, and add a note to *result*."""
    listed = ", ".join(map(repr, unknown[:_LISTED])) + (", ..." if len(unknown) > _LISTED else "")
    reasons = "1 ended reason matches" if len(unknown) == 1 else f"{len(unknown)} ended reasons match"
    verb = "counts" if len(unknown) == 1 else "count"
    message = f"{reasons} no rule and {verb} as 'unknown': {listed}"
    add_note(result, message)
    warn(message, FrameWarning)


@keep_layout
def label(frame: pd.DataFrame, names: Mapping[str, str] | pd.Series, *, of: str | None = None) -> pd.DataFrame:
    """Return *frame* with names beside ids, as a level of their own before that of the ids.

    The ids stay: ``droplevel`` of the names returns the frame. Two ids of one name get different names.

    Args:
        frame: A result frame.
        names: id → name; an id that it does not have is its own name.
        of: The group of the ids; ``"assistantId"`` by default.

    Returns:
        The same rows, measures and types, with one more level: ``assistantName`` for ``assistantId``.

    Raises:
        QueryError: *names* is no mapping of text, the frame has such a level already, or it has no assistants and *of*
            is left out.
        UnknownWordError: The frame has no group *of*.

    Warns:
        FrameWarning: *names* has none of the ids.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().by("assistantId").during("2026-10").fetch()
        >>> names = {"3f0c6a52-8d1e-4b7a-9a64-1f5be07c2d10": "Reception"}
        >>> list(df.pipe(vf.analysis.label, names).index.names)
        ['assistantName', 'assistantId']
    """
    if not isinstance(names, Mapping | pd.Series):
        raise QueryError(f"names must be a mapping id → name, not {type(names).__name__}")
    checked = check_frame(frame)
    ids = _find_ids(checked, of)
    name = f"{ids.name.removesuffix('Id')}Name"
    check_level_is_free(checked, name)
    texts = _distinct_names([str(one) for one in ids.uniques], names)
    _warn_unmatched(ids, names)
    order = np.argsort(np.array(texts, dtype=object), kind="stable")
    position = np.full(len(texts) + 1, -1, np.int64)
    position[order] = np.arange(len(texts))
    named = IndexLevel(name, _like(ids.uniques, [texts[place] for place in order], name), position[ids.codes])
    levels = [level for one in checked.levels for level in ((named, one) if one.name == ids.name else (one,))]
    levels, places = distinct_rows(levels)
    result = frame.iloc[np.argsort(places)]
    result.index = build_index(levels)
    meta = replace(checked.meta, derived_levels={**checked.meta.derived_levels, name: ids.name})
    return attach_meta(result, meta)


def _find_ids(checked: CheckedFrame, of: str | None) -> IndexLevel:
    """Return the group called *of*; by default, that of the assistants."""
    made = {level for level, origin in checked.meta.derived_levels.items() if origin != level}  # top() keeps the name
    groups = [level.name for level in checked.levels if level.name not in {"date", *made}]
    if of is None and _ASSISTANTS not in groups:
        another = f", or pass of={groups[0]!r} if the ids are of that group" if groups else ""
        raise QueryError(
            f"label(names) names assistants, and this frame has no level {_ASSISTANTS!r}: add .by({_ASSISTANTS!r}) to "
            f"the query{another}"
        )
    return _find_group(checked, _ASSISTANTS if of is None else of, "label() names")


def _warn_unmatched(ids: IndexLevel, names: Mapping[str, str] | pd.Series) -> None:
    """Warn where *names* has none of the ids, so that each id stays its own name."""
    known = [str(key) for key, _ in names.items()]
    found = [str(one) for one in ids.uniques]
    if not known or not found or {*known} & {*found}:
        return
    message = f"names has none of the {len(found):,} ids of {ids.name!r}, so each stays as it is"
    if is_public_group(ids.name):
        pairs = ((key, near) for key in known[:_LOOKED_AT] for near in suggest(key, found, cutoff=ID_CUTOFF)[:1])
        which = "the nearest"
        if (pair := next(pairs, None)) is None:
            pair, which = (known[0], found[0]), "the first"
        key, near = map(format_value, pair)
        message += f": its keys should be ids such as {near}, and {which} is {key}"
    warn(message, FrameWarning)


def _distinct_names(ids: list[str], names: Mapping[str, str] | pd.Series) -> list[str]:
    """Return a name for each of *ids*, with the id in brackets where two have the same."""
    by_id = {}
    for key, name in names.items():
        if isinstance(name, str):
            by_id[str(key)] = name
        elif not (pd.api.types.is_scalar(name) and pd.isna(name)):
            raise QueryError(f"the name of {format_value(key)} must be text, not {format_value(name)}")
    found = [by_id.get(one, one) for one in ids]
    count = Counter(found)
    short = [f"{name} ({one[:_ID_CHARS]})" if count[name] > 1 else name for one, name in zip(ids, found, strict=True)]
    if len(set(short)) == len(short):
        return short
    return [f"{name} ({one})" for one, name in zip(ids, found, strict=True)]  # ids that begin alike, too


@keep_layout
def wide(frame: pd.DataFrame, column: str | None = None) -> pd.DataFrame:
    """Return one measure with the buckets as rows and the groups as columns.

    Args:
        frame: A result frame with a step and groups; without a step, the first group makes the rows.
        column: The measure; needed where there are several.

    Returns:
        A frame indexed by ``date``; its columns are the group's values, or tuples of them as a MultiIndex. A group
        without a row in a bucket is missing there, never 0. Where ids have names beside them, the names are used.

    Raises:
        UnknownWordError: There is no such measure, or more than one.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().by("type").step("week").between("2026-10-05", "2026-10-19").fetch()
        >>> df.pipe(vf.analysis.wide)["webCall"].tolist()
        [608, 564]
    """
    name = find_column(frame, column)
    checked = check_frame(frame)
    values = frame[name]
    present = [level.name for level in checked.levels]
    named_ids: list[Any] = [
        origin
        for level, origin in checked.meta.derived_levels.items()
        if level != origin and {level, origin} <= {*present}
    ]
    if named_ids:
        values = values.droplevel(named_ids)
    groups = [level for level in values.index.names if level not in (None, "date")]
    if "date" not in values.index.names:
        groups = groups[1:]
    if not groups or len(groups) == values.index.nlevels:
        result = values.to_frame()
    else:
        with warnings.catch_warnings():
            # pandas 2 warns of itself where a group has no value but the missing one.
            warnings.filterwarnings("ignore", "The behavior of Index.insert", FutureWarning)
            result = values.unstack(groups)  # noqa: PD010 - pivot drops missing groups
        # unstack puts a missing group first; in the frame it is last
        if result.columns.nlevels == 1:
            result = result.iloc[:, np.argsort(result.columns.isna(), kind="stable")]
        if result.index.nlevels == 1:
            result = result.iloc[np.argsort(result.index.isna(), kind="stable")]
    if checked.positions is not None or checked.meta.hashes.keys() != {name}:
        frame = attach_meta(frame[[name]].copy(), checked.meta, checked.rows)
    result.attrs[ATTRIBUTE] = frame.attrs[ATTRIBUTE]
    return result
