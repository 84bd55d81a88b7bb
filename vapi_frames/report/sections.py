"""The sections of a report: each from the frames of its queries, by the verbs of `vapi_frames.analysis`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from vapi_frames.analysis import fill_gaps, outcome, per_minute, rollup, share, success_rate, typical_week
from vapi_frames.contract.ended_reasons import classify_at_level
from vapi_frames.contract.record_words import RECORD_COST_PARTS
from vapi_frames.contract.vocabulary import COST_PARTS, default_name
from vapi_frames.errors import QueryError
from vapi_frames.plotting.words import describe_part
from vapi_frames.report.content import Cell, Chart, Section, Table, format_cell, format_change

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "describe_assistants",
    "describe_concurrency",
    "describe_costs",
    "describe_reasons",
    "describe_success",
    "describe_types",
    "describe_week",
    "find_success",
]

_ROWS = 15  # of a table; the JSON has all
_FAILED = ("failed_to_start", "failed_mid_call")
_BARS = 62  # over time; of more buckets, areas are drawn
_THIN = 0.005  # of the whole: a layer that is too thin to be seen
_WORDS = {default_name("sum", part): describe_part(part) or part for part in (*COST_PARTS, *RECORD_COST_PARTS)}
_PARTS = {name: text[:1].upper() + text[1:] for name, text in _WORDS.items()}
_RECORD_PARTS = tuple(default_name("sum", part) for part in RECORD_COST_PARTS)
_TYPES = {"inboundPhoneCall": "Inbound phone", "outboundPhoneCall": "Outbound phone", "webCall": "Web"}
_FAULTS = {
    "none": "No failure",
    "customer": "Customer not heard",
    "assistant": "Assistant or your server",
    "account": "Account: billing, limits",
    "vapi": "Vapi",
    "provider": "Provider of a model or voice",
    "provider_or_yours": "Provider, or your key for it",
    "telephony": "Telephony",
    "unknown": "Unknown",
}


def describe_costs(costs: pd.DataFrame, parts: pd.DataFrame) -> Section:
    """Return what the calls cost per bucket, by part."""
    totals = {name: _number(parts, name) for name in costs.columns}
    # Few organizations pay for each of the parts that the contract has no words for.
    totals = {name: value for name, value in totals.items() if value or name not in _RECORD_PARTS}
    names = {name: _PARTS.get(name, name) for name in totals}
    whole, largest = sum(totals.values()), max(totals.values(), default=0.0)
    rows = tuple(
        (
            Cell(names[name]),
            format_cell(parts, name, value, share=_divide(value, largest)),
            _percent(_divide(value, whole)),
        )
        for name, value in sorted(totals.items(), key=lambda one: -one[1])
    )
    text = f"{rows[0][0].text} is the largest part, {rows[0][2].text} of all parts." if whole else ""
    table = Table("Cost by part", ("part", "cost", "share"), rows if whole else ())
    drawn = [name for name in names if totals[name] >= _THIN * whole]
    legend = {_WORDS.get(name, name): text for name, text in names.items()}
    chart = _stack(costs, drawn, "USD", legend) if whole else None
    return Section("costs", "Cost by part", text, costs, (table,), chart)


def describe_types(types: pd.DataFrame) -> Section:
    """Return how many calls of each type there were per bucket."""
    if types.empty:
        return Section("types", "Calls by type", "", types)
    totals = share(rollup(types, "all"), "countId")
    rows = _share_rows(totals, lambda kind: _TYPES.get(kind, kind))
    return Section(
        "types", "Calls by type", "", types,
        (Table("Calls by type", ("type", "calls", "share"), rows),), _stack(types, "countId", "calls", _TYPES),
    )  # fmt: skip


def describe_reasons(reasons: pd.DataFrame) -> Section:
    """Return why calls ended: by the side of the failure, and the reasons of failed calls."""
    faults = share(outcome(reasons, "fault"), "countId")
    failed = faults[[_text(fault) not in ("none", None) for fault in faults.index]]
    table = Table(
        "Calls by the side of the failure", ("fault", "calls", "share"),
        _share_rows(faults, lambda fault: _FAULTS.get(fault, fault), none="No reason yet", has_bars=False),
    )  # fmt: skip
    counts = reasons["countId"].to_dict()
    worst = sorted(
        (reason for reason in counts if classify_at_level(_text(reason), "fault") not in ("none", None)),
        key=lambda reason: (-counts[reason], str(reason)),
    )
    total, top = sum(counts.values()), max((counts[reason] for reason in worst), default=0)
    rows = tuple(
        (
            Cell(str(reason)),
            Cell(_FAULTS.get(fault := str(classify_at_level(_text(reason), "fault")), fault)),
            format_cell(reasons, "countId", counts[reason], share=_divide(counts[reason], top)),
        )
        for reason in worst[:_ROWS]
    )
    tables = [table]
    if rows:
        caption = f"Reasons of failed calls{_of(len(rows), len(worst))}"
        tables.append(Table(caption, ("ended reason", "fault", "calls"), rows))
    outcomes = outcome(reasons, "outcome")["countId"]
    count = int(outcomes[outcomes.index.isin(_FAILED)].sum())
    text = f"{count:,} of {total:,} calls failed, {_divide(count, total) or 0:.1%}." if total else ""
    chart = Chart(failed, "countId", {}, "calls", _FAULTS) if len(failed) else None
    return Section("endedReasons", "Why calls ended, by fault", text, reasons, tuple(tables), chart)


def describe_assistants(
    assistants: pd.DataFrame, before: pd.DataFrame | None, name_of: Callable[[Any], str]
) -> Section:
    """Return what each assistant cost, per minute too, and what grew."""
    frame = per_minute(assistants, "cost")
    now = {_text(key): row for key, row in frame.to_dict("index").items()}
    then: dict[str | None, Any] = {}
    if before is not None:
        then = {_text(key): row for key, row in per_minute(before, "cost").to_dict("index").items()}
    keys = sorted(now, key=lambda key: (-_or_zero(now[key]["sumCost"]), str(key)))
    largest = max((_or_zero(row["sumCost"]) for row in now.values()), default=0.0)
    rows = []
    for key in keys[:_ROWS]:
        row, earlier = now[key], then.get(key, {})
        cells = [
            Cell(name_of(key)),
            format_cell(frame, "countId", row["countId"]),
            format_cell(frame, "sumDuration", row["sumDuration"]),
            format_cell(frame, "sumCost", row["sumCost"], share=_divide(_or_zero(row["sumCost"]), largest)),
            format_cell(frame, "sumCostPerMinute", row["sumCostPerMinute"]),
        ]
        if before is not None:
            cells[4:4] = [format_change(_change(row, earlier, "sumCost"))]
            cells.append(format_change(_change(row, earlier, "sumCostPerMinute")))
        rows.append(tuple(cells))
    compared = before is not None
    headings = (
        ("assistant", "calls", "minutes", "cost", "change", "cost per minute", "change")
        if compared
        else ("assistant", "calls", "minutes", "cost", "cost per minute")
    )
    caption = f"Assistants by cost{_of(len(rows), len(keys))}"
    text = _describe_growth(now, then, name_of) if compared else ""
    return Section("assistants", "Assistants", text, frame, (Table(caption, headings, tuple(rows)),) if rows else ())


def describe_success(success: pd.DataFrame, values: Any, name_of: Callable[[Any], str]) -> Section:
    """Return how many calls of each assistant were a success, of those that were evaluated."""
    frame = find_success(success, values)
    if isinstance(frame, str):
        return Section("success", "Success", f"There is no rate of success: {frame}.", success)
    rows = []
    for key, row in sorted(frame.to_dict("index").items(), key=lambda one: -one[1]["countIdEvaluated"])[:_ROWS]:
        rate = row["successPerEvaluated"]
        cells = [format_cell(frame, name, row[name]) for name in ("countIdEvaluated", "countIdSuccess")]
        bar = None if pd.isna(rate) else rate
        rows.append((Cell(name_of(key)), *cells, format_cell(frame, "successPerEvaluated", rate, share=bar)))
    table = Table(
        f"Success by assistant{_of(len(rows), len(frame))}", ("assistant", "evaluated", "success", "rate"), tuple(rows)
    )
    return Section("success", "Success", "", frame, (table,) if rows else ())


def find_success(frame: pd.DataFrame, values: Any) -> pd.DataFrame | str:
    """Return the rate of success, or why there is none: evaluations by a rubric that *values* does not tell about."""
    try:
        return success_rate(frame, success=values)
    except QueryError as error:
        return str(error)


def describe_concurrency(concurrency: pd.DataFrame) -> Section:
    """Return the most calls at once per bucket."""
    text, chart = "", None
    if not concurrency.empty:
        peak = concurrency["maxConcurrency"].max()
        text = f"{peak:,.0f} calls at once is the most." if peak > 0 else "No call was active."
        if peak > 0:
            chart = Chart(concurrency, "maxConcurrency", {"legend": False}, "calls at once")
    return Section("concurrency", "Calls at once", text, concurrency, (), chart)


def describe_week(hours: pd.DataFrame) -> Section:
    """Return the calls of a typical week, by weekday and hour."""
    if hours.empty:
        return Section("week", "The typical week", "", hours)
    week = typical_week(hours)
    chart, text = None, "The range has no whole hour."
    means = week["countIdPerSlot"].dropna()
    if len(means):
        busiest: Any = means.idxmax()
        weekday, hour = busiest
        text = f"{weekday} from {hour:02}:00 is the busiest hour, with {means.max():,.1f} calls on average."
        chart = Chart(week, "countIdPerSlot", {"colorbar": False}, "calls per hour")
    return Section("week", "The typical week", text, week, (), chart)


def _stack(frame: pd.DataFrame, column: str | list[str], label: str, names: Mapping[str, str]) -> Chart:
    """Return the chart of *frame* over time, one group on another, with every bucket of the range."""
    filled = fill_gaps(frame)
    is_short = filled.index.get_level_values("date").nunique() <= _BARS
    options = {"kind": "bar", "width": 0.85} if is_short else {"kind": "area", "linewidth": 0}
    return Chart(filled, column, {**options, "stacked": True}, label, names)


def _describe_growth(
    now: Mapping[str | None, Any], then: Mapping[str | None, Any], name_of: Callable[[Any], str]
) -> str:
    """Return which assistant's cost grew most, and which one's cost per minute."""
    sentences = []
    deltas = {key: _or_zero(row["sumCost"]) - _or_zero(then.get(key, {}).get("sumCost")) for key, row in now.items()}
    if deltas and deltas[key := max(deltas, key=lambda one: deltas[one])] > 0:
        sentences.append(f"The cost of {name_of(key)} grew most, by ${deltas[key]:,.2f}.")
    changes = {key: _change(row, then.get(key, {}), "sumCostPerMinute") for key, row in now.items()}
    known = {key: change for key, change in changes.items() if change is not None}
    if known and known[key := max(known, key=lambda one: known[one])] > 0:
        sentences.append(f"Per minute, {name_of(key)} grew most, by {known[key]:,.1f}%.")
    elif known:
        sentences.append("No assistant became more expensive per minute.")
    return " ".join(sentences)


def _share_rows(
    frame: pd.DataFrame, label: Callable[[str], str], *, none: str = "(none)", has_bars: bool = True
) -> tuple[tuple[Cell, ...], ...]:
    """Return a row for each group of a frame with ``countId`` and its share, the largest first."""
    ranked = frame.sort_values("countId", ascending=False, kind="stable")
    largest = float(ranked["countId"].max()) if len(ranked) else 0.0
    return tuple(
        (
            Cell(none if _text(group) is None else label(str(group)) or '""'),
            format_cell(frame, "countId", row["countId"], share=_divide(row["countId"], largest) if has_bars else None),
            format_cell(frame, "countIdShare", row["countIdShare"]),
        )
        for group, row in list(ranked.to_dict("index").items())[:_ROWS]
    )


def _change(row: Mapping[Any, Any], before: Mapping[Any, Any], name: str) -> float | None:
    """Return the change of *name* in percent; ``None`` where there is no number, or the earlier one is 0."""
    value, earlier = row.get(name), before.get(name)
    if value is None or earlier is None or pd.isna(value) or pd.isna(earlier) or earlier == 0:
        return None
    return float((value - earlier) / earlier * 100)


def _percent(value: float | None) -> Cell:
    return Cell("\N{EN DASH}") if value is None else Cell(f"{value:.1%}", value)


def _number(frame: pd.DataFrame, name: str) -> float:
    values = frame[name].dropna().tolist()
    return float(values[0]) if values else 0.0


def _divide(value: float, by: float) -> float | None:
    return value / by if by else None


def _or_zero(value: Any) -> float:
    return 0.0 if value is None or pd.isna(value) else float(value)


def _text(value: Any) -> str | None:
    """Return the value of a group, ``None`` where it is missing."""
    return None if pd.isna(value) else str(value)


def _of(shown: int, known: int) -> str:
    return f", {shown} of {known:,}" if shown < known else ""
