"""What an assistant is told beside a query's rows: how they can be misread, and which coarser query fits."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any, cast

from vapi_frames.contract.vocabulary import STEPS
from vapi_frames.errors import VapiFramesError, redirect_warnings
from vapi_frames.frames.plain import plain_columns
from vapi_frames.query.code import format_code
from vapi_frames.query.compile import check_in_contract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    import pandas as pd

    from vapi_frames.contract.vocabulary import Step
    from vapi_frames.query.parse import FrameVerb
    from vapi_frames.query.query import Query

__all__ = ["apply", "count_rows", "find_advice", "longest_row", "name_coarser", "rehearse", "write_rows"]

_FILLING = ("fill_gaps", "typical_week")
_TOP = 10
_GROWTH = 16  # characters by which a number of a coarser query may be longer


def rehearse(query: Query[Any], verbs: Sequence[FrameVerb], source: str, now: datetime) -> pd.DataFrame:
    """Return the frame of *query* and *verbs* over no calls: it fails where they fail, and fetches nothing.

    Raises:
        NotInContractError: The source is the API, which has no words for the query.
        QueryError: The query is wrong, or a verb cannot follow.
    """
    from vapi_frames.frames.build import build
    from vapi_frames.result.result import empty_result

    plan = query.explain(now)
    if source == "api":
        check_in_contract(query)
    with redirect_warnings(lambda _: None):
        frame = build(empty_result(query, plan.start, plan.end), query, source=source, now=now)
        return apply(frame, verbs)


def apply(frame: pd.DataFrame, verbs: Sequence[FrameVerb]) -> pd.DataFrame:
    """Return what *verbs* make of *frame*, one after the other."""
    return reduce(lambda frame, verb: verb.apply(frame), verbs, frame)


def find_advice(query: Query[Any], verbs: Sequence[FrameVerb], frame: pd.DataFrame, now: datetime) -> Iterator[str]:
    """Return what is easily misread in the rows of *query*; *frame* has the columns, with rows or without."""
    names = [verb.name for verb in verbs]
    if query.time_range is None:
        yield 'no range is named, so it is that of the contract, the last 7 days: name one, e.g. .during("2026-10")'
    if query.timezone is None:
        yield 'no zone is named, so days and ranges are those of UTC: name one, e.g. .tz("America/New_York")'
    if minutes := [name for name, unit in frame.vapi.units.items() if unit == "min"]:
        yield f"{', '.join(minutes)}: minutes, not seconds"
    if rates := [f"{name} in {unit}" for name, unit in frame.vapi.units.items() if unit.endswith("/min")]:
        yield f"{', '.join(rates)}: per minute, not per second or hour"
    if levels := [str(name) for name in frame.index.names if name is not None]:
        yield (
            f"one row for each {' and '.join(levels)}: none is the whole, and the mean of the rows is another number; "
            "for the whole, ask without .step() and .by()"
        )
    if "date" in frame.index.names and not set(names) & set(_FILLING):
        yield "a bucket without calls has no row, so the rows do not say how many buckets there are: .vapi.fill_gaps()"
    if query.filters:
        words = ", ".join(word for word, _ in query.filters)
        yield (
            f"every number, also a share or a rate, is of the calls that match the filter of {words}; its values match "
            "whole and exactly, and one that no call has gives no calls: .by() shows the values"
        )
    if query.time_step and "change" in names:
        yield "a change compares a bucket with an earlier one of this range; the first has none"
    for verb in verbs:
        if verb.name == "ratio" and len(set(verb.arguments)) == 1 < len(verb.arguments):
            yield f"{verb} compares a column with itself, so it is 1 wherever there is a value"
    if (end := query.explain(now).end) is not None and end > now:
        yield f"the range ends after now, {now.isoformat()}: it is not over"


def count_rows(query: Query[Any], now: datetime, groups: int | None = None) -> int | None:
    """Return the most rows that *query* can have, with this number of groups; ``None`` if it cannot be known."""
    if len(query.levels) > query.is_dated and groups is None:
        return None
    rows = groups or 1
    if query.time_step is None:
        return None if query.is_dated else rows
    plan = query.explain(now)
    return None if plan.buckets is None else rows * plan.buckets


def name_coarser(
    query: Query[Any], verbs: Sequence[FrameVerb], frame: pd.DataFrame, fits: Callable[[int], bool], *,
    source: str, now: datetime,
) -> str:  # fmt: skip
    """Return the line to type for fewer rows than those of *frame*, as fetched; its number of rows *fits*."""
    tail = "".join(map(str, verbs))
    for coarser, groups in _coarsen(query, frame):
        rows = count_rows(coarser, now, groups)
        if rows is not None and fits(rows) and _works(coarser, verbs, source, now):
            return f"ask for fewer, e.g. {format_code(coarser)}{tail}"
    if query.time_step is None and _works(query, verbs, source, now) and fits(_TOP + 1):
        return f"ask for fewer, e.g. {format_code(query)}{tail}.vapi.top({_TOP})"
    return "ask for fewer: a shorter range, fewer groups or fewer columns"


def _coarsen(query: Query[Any], frame: pd.DataFrame) -> Iterator[tuple[Query[Any], int]]:
    """Return coarser queries, each with its number of groups: longer steps first, then fewer groups."""
    levels = [name for name in frame.index.names if name not in (None, "date")]
    steps: list[Step | None] = []
    if query.time_step:
        steps = [*cast("tuple[Step, ...]", STEPS[STEPS.index(query.time_step) + 1 :]), None]
    groups = len(frame.index.to_frame(index=False)[levels].drop_duplicates()) if levels else 1
    for step in steps:
        yield replace(query, time_step=step), groups
    while levels:
        levels.pop()
        query = _drop_group(query)
        groups = len(frame.index.to_frame(index=False)[levels].drop_duplicates()) if levels else 1
        if levels or query.time_step:
            for step in (query.time_step, *steps) if query.time_step else (None,):
                yield replace(query, time_step=step), groups


def _drop_group(query: Query[Any]) -> Query[Any]:
    """Return *query* without the last of its groups."""
    for field in ("outputs", "variables", "groups"):
        if values := getattr(query, field):
            return replace(query, **{field: values[:-1]})
    return query


def _works(query: Query[Any], verbs: Sequence[FrameVerb], source: str, now: datetime) -> bool:
    try:
        rehearse(query, verbs, source, now)
    except VapiFramesError:  # a verb that needs the step or the group
        return False
    return True


def write_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of *frame* as plain values, those of its index first."""
    columns = plain_columns(frame)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def longest_row(rows: Sequence[dict[str, Any]]) -> int:
    """Return the most characters that a row like *rows* may take, those of a coarser query included."""
    return max((len(json.dumps(row, ensure_ascii=False)) + 2 + _GROWTH * len(row) for row in rows), default=0)
