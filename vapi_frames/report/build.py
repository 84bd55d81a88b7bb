"""Fetch the queries of a report, and put its content together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from vapi_frames.analysis import outcome, partial, per_call, per_minute, reconcile, rollup
from vapi_frames.analysis.coverage import describe_coverage, describe_late_begin
from vapi_frames.calendar.buckets import find_zone
from vapi_frames.calendar.ranges import fill_defaults
from vapi_frames.errors import QueryError, format_value
from vapi_frames.frames.meta import read_meta
from vapi_frames.query.begin import find_late_begin
from vapi_frames.report import sections
from vapi_frames.report.content import NO_EARLIER, Figure, Section, make_figure
from vapi_frames.report.queries import build_earlier_queries, build_queries, name_earlier
from vapi_frames.report.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable
    from datetime import datetime

    from vapi_frames.contract.vocabulary import CallColumn, Step, SubscriptionColumn
    from vapi_frames.query.query import Query

    Frames = Mapping[str, pd.DataFrame]

__all__ = ["build_report"]

_ID_CHARS = 8  # of an assistant without a name
_CENT = 0.005


def build_report(
    calls: Query[CallColumn],
    subscription: Query[SubscriptionColumn],
    fetch: Callable[[list[Query[Any]]], dict[str, pd.DataFrame]],
    now: datetime,
    *,
    last: str,
    tz: str | None,
    step: Step,
    complete: bool,
    compare: str | None,
    names: Mapping[str, str] | pd.Series | None,
    success: Any,
    title: str | None,
    has_records: bool = False,
) -> Report:
    """Return the report of a range.

    Args:
        calls: A query about calls, just started.
        subscription: The same about the subscription.
        fetch: Returns name → frame for queries.
        now: The time that a relative range ends at.
        last: How much before now.
        tz: The zone of the calendar.
        step: The step of the charts over time.
        complete: Whether the range is cut to whole buckets.
        compare: The earlier period, as ``Query.compare`` takes it; ``None`` for no comparison.
        names: The id of an assistant → its name.
        success: The values of an evaluation that are a success, as ``df.vapi.success_rate`` takes them.
        title: The title of the page.
        has_records: Whether call records are asked, which have more parts of the cost than the contract.

    Raises:
        QueryError: An argument is not as described.
    """
    heading = _read_title(title)
    known = _read_names(names)
    if tz is not None:
        calls, subscription = calls.tz(tz), subscription.tz(tz)
    asked = calls.count().last(last, complete=complete)
    if complete:
        asked = asked.step(step)
    start, end = fill_defaults(asked.instants(now), now)
    # Absolute ranges: who reads the page later finds the same numbers by its queries.
    queries = build_queries(calls.between(start, end), subscription.between(start, end), step, has_records=has_records)
    earlier, before = {}, None
    if compare is not None:
        periods = asked.compare(compare).periods(now)
        before = periods.before_start, periods.before_end
        earlier = build_earlier_queries(queries, *before)
    frames = fetch([*queries.values(), *earlier.values()])

    ids = {str(one) for name in ("assistants", "success") for one in _list_assistants(frames[name]) if not pd.isna(one)}
    labels = _name_assistants(ids, known)

    def name_of(key: Any) -> str:
        return "(no assistant)" if pd.isna(key) else labels[str(key)]

    parts: tuple[Section, ...] = (
        sections.describe_costs(frames["costs"], frames["parts"]),
        sections.describe_types(frames["types"]),
        sections.describe_reasons(frames["endedReasons"]),
        sections.describe_assistants(frames["assistants"], frames.get(name_earlier("assistants")), name_of),
        sections.describe_success(frames["success"], success, name_of),
        sections.describe_concurrency(frames["concurrency"]),
        sections.describe_week(frames["week"]),
    )
    parts = tuple(replace(part, query=repr(queries[part.name])) for part in parts)
    meta = read_meta(frames["totals"])
    return Report(
        title=heading, source=meta.source, zone=meta.zone, step=step, start=start, end=end, before=before, now=now,
        figures=_list_figures(frames, queries, parts[4], success), sections=parts,
        gaps=_list_gaps(frames, queries, before, step),
    )  # fmt: skip


def _list_figures(
    frames: Frames, queries: Mapping[str, Query[Any]], rates: Section, success: Any
) -> tuple[Figure, ...]:
    """Return the numbers on top."""
    figures: list[Figure] = []

    def add(query: str, frame: pd.DataFrame, before: pd.DataFrame | None, **labels: str) -> None:
        code = repr(queries[query])
        figures.extend(make_figure(frame, before, name, label, code) for name, label in labels.items())

    totals, earlier = (
        None if one is None else per_minute(per_call(one, "cost"), "cost")
        for one in (frames["totals"], frames.get(name_earlier("totals")))
    )
    assert totals is not None  # noqa: S101 - it is among the queries
    add(
        "totals", totals, earlier, countId="Calls", sumCost="Cost", sumDuration="Minutes",
        sumCostPerCall="Cost per call", sumCostPerMinute="Cost per minute",
    )  # fmt: skip
    if "successPerEvaluated" in rates.frame:
        before = frames.get(name_earlier("success"))
        found = None if before is None else sections.find_success(before, success)
        earlier_rate = rollup(found, by=[]) if isinstance(found, pd.DataFrame) else None
        add("success", rollup(rates.frame, by=[]), earlier_rate, successPerEvaluated="Success")
    add("peak", frames["peak"], frames.get(name_earlier("peak")), maxConcurrency="Most calls at once")
    return tuple(figures)


def _list_gaps(
    frames: Frames, own: Container[str], before: tuple[datetime, datetime] | None, step: str
) -> tuple[str, ...]:
    """Return in sentences what is partial or missing; frames that are not among its *own* are of the earlier period."""
    totals = read_meta(frames["totals"])
    found = [describe_late_begin(totals), describe_coverage(totals)]
    flags = partial(frames["costs"]).fillna(value=False).to_numpy(dtype=bool)
    if flags.any():
        dates = frames["costs"].index.get_level_values("date")[flags].unique()
        listed = " and ".join(f"{date:%Y-%m-%d %H:%M}" if step == "hour" else f"{date:%Y-%m-%d}" for date in dates)
        found.append(
            f"The {step}s of {listed} are partial: the range cuts them, or they were not over."
            if len(dates) > 1
            else f"The {step} of {listed} is partial: the range cuts it, or it was not over."
        )
    assistants = frames["assistants"]
    if without := int(assistants.loc[assistants.index.isna(), "countId"].sum()):
        found.append(f"{without:,} call{'s have' if without > 1 else ' has'} no assistant.")
    residual = reconcile(frames["parts"])["sumCostResidual"].dropna()
    if len(residual) and abs(residual.iloc[0]) >= _CENT:
        found.append(f"${residual.iloc[0]:,.2f} of the cost is in none of the parts that are shown.")
    success = frames["success"]
    evaluations = success.index.get_level_values("analysis.successEvaluation")
    if without := int(success.loc[evaluations.isna() | (evaluations == ""), "countId"].sum()):
        found.append(f"{without:,} calls have no evaluation; the rate of success leaves them out.")
    if before is not None:
        found.append(_describe_quiet(frames[name_earlier("days")], before))
    families = {"outcomes": outcome(frames["endedReasons"])}  # notes which reasons are not known
    for name, frame in {**frames, **families}.items():
        when = "Note" if name in own or name in families else "Note on the earlier period"
        found.extend(f"{when}: {note}." for note in read_meta(frame).notes)
    return tuple(dict.fromkeys(filter(None, found)))


def _describe_quiet(days: pd.DataFrame, before: tuple[datetime, datetime]) -> str:
    """Return that the earlier period begins without calls, as where records begin later; else nothing."""
    if days.empty:
        return f"{NO_EARLIER}, so there is nothing to compare with."
    meta = read_meta(days)
    first = days.index.get_level_values("date").min()
    day = find_late_begin(*before, find_zone(meta.zone), begin=meta.records_begin, first=first)
    return f"{NO_EARLIER} before {day}: a change compares with what there is." if day else ""


def _list_assistants(frame: pd.DataFrame) -> pd.Index:
    return frame.index.get_level_values("assistantId").unique()


def _name_assistants(ids: Iterable[str], names: Mapping[str, str]) -> dict[str, str]:
    """Return id → what the page calls it: its name, else the begin of its id; the whole id where two would be alike.

    Examples:
        >>> _name_assistants(["a1", "b2", "c3"], {"a1": "Reception", "b2": "Reception"})
        {'a1': 'Reception (a1)', 'b2': 'Reception (b2)', 'c3': 'c3'}
    """
    short = {one: f"{one[:_ID_CHARS]}…" if len(one) > 2 * _ID_CHARS else one for one in ids}
    counts = Counter(short.values())
    short = {one: text if counts[text] == 1 else one for one, text in short.items()}
    labels = {one: names.get(one, text) for one, text in short.items()}
    counts = Counter(labels.values())
    return {one: text if counts[text] == 1 else f"{text} ({short[one]})" for one, text in labels.items()}


def _read_title(title: object) -> str:
    if title is None:
        return "Voice calls"
    if not isinstance(title, str) or not title.strip():
        raise QueryError(f'title must be text, e.g. title="Voice calls in October", not {format_value(title)}')
    return title


def _read_names(names: object) -> dict[str, str]:
    """Return id → name."""
    if names is None:
        return {}
    if not isinstance(names, Mapping | pd.Series):
        raise QueryError(
            f"names takes id → name, as a dict or a series like vq.assistants(), not {type(names).__name__}"
        )
    return {str(key): str(name) for key, name in names.items() if not pd.isna(name) and str(name)}
