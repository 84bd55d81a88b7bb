"""Groups: the top ones, families of ended reasons, names for ids, groups as columns."""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vapi_frames.analysis.rollup import instead, plan, regroup
from vapi_frames.contract import ended_reasons
from vapi_frames.contract.vocabulary import GROUP_SYNONYMS
from vapi_frames.errors import FrameWarning, QueryError, UnknownWordError, require, warn
from vapi_frames.frames.levels import IndexLevel, build_index, distinct_rows, drop_unused
from vapi_frames.frames.meta import ATTRIBUTE
from vapi_frames.frames.origin import add_note, attach_meta
from vapi_frames.frames.provenance import CheckedFrame, attach_choice, check_frame, find_column
from vapi_frames.result.aggregate import aggregate

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["label", "outcome", "top", "wide"]

_SHOWN = 8  # unknown values that a message lists
_ID = 8  # characters of an id that keep equal names apart


def _level(held: CheckedFrame, name: str | None, verb: str) -> IndexLevel:
    """Return the group called *name*; the only one by default."""
    there = {level.name: level for level in held.levels if level.name != "date"}
    if name is None:
        if len(there) != 1:
            listed = ", ".join(map(repr, there)) or "none"
            raise QueryError(f"{verb} is of one group; the frame has {listed}: say of=")
        return next(iter(there.values()))
    require(name, there, "group of the frame", synonyms=GROUP_SYNONYMS)
    return there[name]


def top(
    frame: pd.DataFrame, n: int = 10, *, by: str | None = None, of: str | None = None, other: bool = True
) -> pd.DataFrame:
    """Return *frame* with the *n* largest values of a group, and all others as one.

    Args:
        frame: A result frame.
        n: How many to keep.
        by: The measure that ranks, over the whole frame; by its own name or the API's column. May be left out where
            there is only one.
        of: The group; may be left out where there is only one.
        other: Whether the rest becomes the value ``other``, each measure by its own rule; else it is left out.

    Returns:
        The same measures, types and levels. The missing value of a group counts as one of its values.

    Raises:
        QueryError: *n* is less than 1, or it is not said of which group.
        UnknownWordError: There is no such group, or nothing to rank by.
        NonAdditiveError: A measure cannot be put together for the others; leave them out, or leave it out.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().by("endedReason").during("2026-10").fetch()
        >>> df.pipe(vf.analysis.top, 2)["countId"].to_dict()
        {'assistant-ended-call': 2366, 'customer-ended-call': 6707, 'other': 4422}
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise QueryError(f"n must be a whole number of at least 1, not {n!r}")
    held = check_frame(frame)
    level = _level(held, of, "top")
    ranked = _ranked(held, level, find_column(frame, by))
    if len(ranked) <= n:
        return attach_meta(frame.copy(), held.meta, held.rows)
    kept = ranked[:n]
    is_kept = np.zeros(len(level.uniques) + 1, bool)  # the last one is the missing value, whose code is -1
    is_kept[kept] = True
    if not other:
        return attach_choice(frame.loc[is_kept[level.codes]].copy())
    # A name and its id are put together as one.
    roots = held.meta.query_groups()
    same = [one.name for one in held.levels if roots.get(one.name, one.name) == roots.get(level.name, level.name)]
    levels = [_with_other(one, is_kept[level.codes]) if one.name in same else one for one in held.levels]
    better = instead(held, held.levels, held.meta.step).with_counts()
    recipes = plan(held, held.measures, over_time=False, over_groups=True, better=better)
    origin = held.meta.derived_levels.get(level.name, level.name)
    return regroup(held, levels, recipes, step=held.meta.step, derived_levels=dict.fromkeys(same, origin))


def _ranked(held: CheckedFrame, level: IndexLevel, name: str) -> npt.NDArray[np.int64]:
    """Return the places of the level's values, largest first; -1 is the missing one. Equal ones are in their order."""
    over_time = any(one.name == "date" for one in held.levels)
    better = instead(held, [level], None).with_counts()
    recipes = plan(held, [name], over_time=over_time, over_groups=True, better=better) if name in held.measures else []
    if not recipes:
        raise UnknownWordError(
            name, "measure to rank by", [one for one in held.measures if one != name], hint="Rank by a sum or a count."
        )
    codes = np.where(level.codes < 0, np.int64(len(level.uniques)), level.codes)
    totals = aggregate(recipes, held.arrays(held.measures), codes, len(level.uniques) + 1)[name].astype(np.float64)
    seen = np.flatnonzero(np.bincount(codes, minlength=len(totals)))
    order = seen[np.argsort(-np.nan_to_num(totals[seen], nan=-np.inf), kind="stable")]
    return np.where(order == len(level.uniques), -1, order)


def _with_other(level: IndexLevel, is_kept: npt.NDArray[np.bool_]) -> IndexLevel:
    """Return *level* with one value in place of those of the rows that are not kept."""
    kept = np.where(is_kept, level.codes, np.int64(-1))
    name, values, codes = drop_unused(IndexLevel(level.name, level.uniques, kept))
    texts = [str(value) for value in values]
    word = next(word for i in itertools.count(1) if (word := "other" if i == 1 else f"other ({i})") not in texts)
    place = bisect.bisect(texts, word)
    codes = np.where(is_kept, codes + (codes >= place), place)
    return IndexLevel(name, _like(level.uniques, [*texts[:place], word, *texts[place:]], name), codes)


def _like(values: pd.Index, texts: list[str], name: str) -> pd.Index:
    """Return the ascending *texts* as a level of the type of *values*."""
    if isinstance(values, pd.CategoricalIndex):
        return pd.CategoricalIndex(pd.Index(texts, dtype=values.categories.dtype), name=name)
    return pd.Index(texts, dtype=values.dtype, name=name)


def outcome(frame: pd.DataFrame, level: ended_reasons.ReasonLevel = "outcome") -> pd.DataFrame:
    """Return *frame* with the ended reasons rolled up to families; the group ``endedReason`` becomes *level*.

    A reason that is not known yet maps by its prefix, or to ``unknown``, and is said. A call without a reason, which
    may still be going on, stays missing.

    Args:
        frame: A result frame by ``endedReason``.
        level: ``"outcome"``, ``"fault"``, ``"component"`` or ``"provider"``.

    Returns:
        The same measures and types; the level stands where ``endedReason`` stood.

    Raises:
        UnknownWordError: There is no such level, or the frame is not by ended reason.
        NonAdditiveError: A measure cannot be made again exactly.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().by("endedReason").during("2026-10").fetch()
        >>> df.vapi.outcome("fault")["countId"].to_dict()["none"]
        12641
    """
    require(level, ended_reasons.REASON_LEVELS, "level", synonyms=ended_reasons.LEVEL_SYNONYMS)
    held = check_frame(frame)
    there = {one.name: one for one in held.levels}
    if "endedReason" not in there:
        raise UnknownWordError("endedReason", "group of the frame", there, hint='Ask for it: .by("endedReason").')
    reasons = there["endedReason"]
    reasons = drop_unused(reasons)
    words = [str(value) for value in reasons.uniques]
    families = [str(ended_reasons.classify_at_level(word, level)) for word in words]
    values = sorted(set(families))
    uniques = _like(reasons.uniques, values, level)
    position = np.array([*(values.index(one) for one in families), -1], np.int64)
    made = IndexLevel(level, uniques, position[reasons.codes])
    better = instead(held, held.levels, held.meta.step).with_counts()
    recipes = plan(held, held.measures, over_time=False, over_groups=True, better=better)
    levels = [made if one.name == "endedReason" else one for one in held.levels]
    result = regroup(held, levels, recipes, step=held.meta.step, derived_levels={level: "endedReason"})
    unknown = [word for word in words if not ended_reasons.is_known_reason(word)]
    if unknown:
        _say_unknown(result, unknown)
    return result


def _say_unknown(result: pd.DataFrame, unknown: list[str]) -> None:
    listed = ", ".join(map(repr, unknown[:_SHOWN])) + (", ..." if len(unknown) > _SHOWN else "")
    some = (
        "an ended reason is not known and counts"
        if len(unknown) == 1
        else f"{len(unknown)} ended reasons are not known and count"
    )
    said = f"{some} as 'unknown': {listed}"
    add_note(result, said)
    warn(said, FrameWarning)


def label(frame: pd.DataFrame, names: Mapping[str, str] | pd.Series, *, of: str = "assistantId") -> pd.DataFrame:
    """Return *frame* with names beside ids, as a level of their own before that of the ids.

    The ids stay: ``droplevel`` of the names gives the frame back. Two ids of one name get names that differ.

    Args:
        frame: A result frame.
        names: id → name; an id that it does not have is its own name.
        of: The group of the ids.

    Returns:
        The same rows, measures and types, with one more level: ``assistantName`` for ``assistantId``.

    Raises:
        QueryError: *names* is no mapping, or the frame has such a level already.
        UnknownWordError: The frame has no such group.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().by("assistantId").during("2026-10").fetch()
        >>> names = {"3f0c6a52-8d1e-4b7a-9a64-1f5be07c2d10": "Reception"}
        >>> list(df.pipe(vf.analysis.label, names).index.names)
        ['assistantName', 'assistantId']
    """
    if not isinstance(names, Mapping | pd.Series):
        raise QueryError(f"names must be a mapping id → name, not {type(names).__name__}")
    held = check_frame(frame)
    ids = _level(held, of, "label")
    name = f"{of.removesuffix('Id')}Name"
    if name in (*held.frame.columns, *(one.name for one in held.levels)):
        raise QueryError(f"the frame has {name!r} already")
    given = {str(key): str(value) for key, value in names.items() if not pd.isna(value)}
    texts = [str(one) for one in ids.uniques]
    found = [given.get(text, text) for text in texts]
    twice = {word for word, count in Counter(found).items() if count > 1}
    found = [f"{word} ({text[:_ID]})" if word in twice else word for text, word in zip(texts, found, strict=True)]
    if len(set(found)) < len(found):  # ids that begin alike, too
        found = [f"{word} ({text})" for text, word in zip(texts, (given.get(t, t) for t in texts), strict=True)]
    order = np.argsort(np.array(found, dtype=object), kind="stable")
    position = np.full(len(found) + 1, -1, np.int64)
    position[order] = np.arange(len(found))
    uniques = _like(ids.uniques, [found[i] for i in order], name)
    levels = []
    for one in held.levels:
        levels += [IndexLevel(name, uniques, position[ids.codes]), one] if one.name == of else [one]
    levels, places = distinct_rows(levels)
    result = frame.iloc[np.argsort(places)]
    result.index = build_index(levels)
    meta = replace(held.meta, derived_levels={**held.meta.derived_levels, name: of})
    return attach_meta(result, meta)


def wide(frame: pd.DataFrame, column: str | None = None) -> pd.DataFrame:
    """Return one measure with the buckets as rows and the groups as columns.

    Args:
        frame: A result frame with a step and groups; without a step the first group makes the rows.
        column: The measure; may be left out where there is only one.

    Returns:
        A frame indexed by ``date``; its columns are the group's values, or tuples of them as a MultiIndex. A group
        without a row in a bucket is missing there, never 0. Where ids have names beside them, the names are taken.

    Raises:
        UnknownWordError: There is no such measure, or more than one.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().by("type").step("week").between("2026-10-05", "2026-10-19").fetch()
        >>> df.pipe(vf.analysis.wide)["webCall"].tolist()
        [608, 564]
    """
    name = find_column(frame, column)
    held = check_frame(frame)
    values = frame[name]
    there = [level.name for level in held.levels]
    spare: list[Any] = [
        origin for level, origin in held.meta.derived_levels.items() if level != origin and {level, origin} <= {*there}
    ]
    if spare:
        values = values.droplevel(spare)  # an id beside its name
    groups = [level for level in values.index.names if level not in (None, "date")]
    if "date" not in values.index.names:
        groups = groups[1:]
    if not groups or len(groups) == values.index.nlevels:
        result = values.to_frame()
    else:
        result = values.unstack(groups)  # noqa: PD010 - pivot loses missing groups
        # unstack puts a missing group first; in the frame it stands last
        if result.columns.nlevels == 1:
            result = result.iloc[:, np.argsort(result.columns.isna(), kind="stable")]
        if result.index.nlevels == 1:
            result = result.iloc[np.argsort(result.index.isna(), kind="stable")]
    if held.positions is not None:
        frame = attach_meta(frame.copy(), held.meta, held.rows)
    result.attrs[ATTRIBUTE] = frame.attrs[ATTRIBUTE]
    return result
