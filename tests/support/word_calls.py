"""Call records with the words beyond the contract, and a plain-Python oracle of queries that use them.

It shares no code with the package: the words, the record's spellings and the arithmetic are written down once more.
"""

from __future__ import annotations

import json
import math
import random
import statistics
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import strategies as st

from tests.support.reference import trunc
from tests.support.strategies import ZONES
from vapi_frames.query.query import Query

if TYPE_CHECKING:
    from collections.abc import Sequence

START = datetime(2026, 10, 5, tzinfo=UTC)
DAYS, WEEKS = 72, 45 * 24  # hours; in the weeks the clocks of some zones change
RANGES = [("2026-10-05", "2026-10-09"), ("2026-10-24", "2026-11-02"), ("2026-10-06", "2026-11-20")]
TEXTS = ["a", "b", "it's", "é ü", ""]
GROUPS = {
    "phoneNumberId": ("phoneNumberId",), "squadId": ("squadId",), "workflowId": ("workflowId",),
    "campaignId": ("campaignId",), "customerId": ("customerId",), "customer.number": ("customer", "number"),
    "phoneCallProvider": ("phoneCallProvider",), "phoneCallTransport": ("phoneCallTransport",), "name": ("name",),
}  # fmt: skip
ANALYSIS = ("structuredData", "successEvaluation", "structuredOutput")
PARTS = {
    "costBreakdown.chat": (["chat", "chatCost"], "chat"),
    "costBreakdown.knowledgeBase": (["knowledgeBase", "knowledgeBaseCost"], "knowledge-base"),
    "costBreakdown.voicemailDetection": (["voicemailDetection", "voicemailDetectionCost"], "voicemail-detection"),
}
METRICS = {
    **{f"{name}Latency": f"{name}LatencyAverage" for name in
       ("model", "voice", "transcriber", "endpointing", "turn", "fromTransport", "toTransport")},
    "userInterruptions": "numUserInterrupted", "assistantInterruptions": "numAssistantInterrupted",
}  # fmt: skip
COLUMNS = (*PARTS, *(f"costBreakdown.analysisBreakdown.{part}" for part in ANALYSIS), *METRICS)
OUTPUTS = ["Call Outcome", "CSAT", "Survey", "Survey.score"]
WORDS = [*OUTPUTS, "Survey.ok", "Call Outcome.outcome", "none"]
RESULTS = [None, "resolved", "7", "7.0", "a b", 4, 4.5, 7.0, True, False, -1]
EVERY = {
    "id": "every", "createdAt": "2026-10-06T12:00:00Z", **{path[0]: "a" for path in GROUPS.values()},
    "customer": {"number": "a"}, "artifact": {
        "structuredOutputs": {"id-every": {"name": "CSAT", "result": 4}},
        "skippedStructuredOutputs": {"id-none": {"name": "Call Outcome"}},
    }, "costBreakdown": {}, "costs": [],
}  # fmt: skip
"""A call that has every column that a flat table needs."""


def make_calls(rng: random.Random, most: int, hours: int = DAYS) -> list[dict[str, Any]]:
    """Return call records of some *hours*, of which each has some of the words, in one of the record's spellings."""
    return [_make_call(rng, number, hours) for number in range(rng.randint(1, most))]


def _make_call(rng: random.Random, number: int, hours: int) -> dict[str, Any]:
    def some(names: Any) -> list[Any]:
        return [name for name in names if rng.random() < 0.5]

    def money() -> float:
        return rng.randint(0, 500) / 64

    created = START + timedelta(minutes=30 * rng.randint(0, 2 * hours))
    call: dict[str, Any] = {"id": f"call-{number}", "createdAt": created.isoformat().replace("+00:00", "Z")}
    for path in some(GROUPS.values()):
        inside = call.setdefault(path[0], {}) if len(path) > 1 else call
        inside[path[-1]] = rng.choice(TEXTS)
    call["artifact"] = {}
    call["costBreakdown"] = {rng.choice(spellings): money() for spellings, _ in some(PARTS.values())}
    if analysis := {part: money() for part in some(ANALYSIS)}:
        call["costBreakdown"][rng.choice(["analysisBreakdown", "analysisCostBreakdown"])] = analysis
    types = [{"type": type_} for _, type_ in PARTS.values()]
    types += [{"type": "analysis", "analysisType": part} for part in ANALYSIS] + [{"type": "model"}]
    if rng.random() < 0.5:
        call["costs"] = [{**rng.choice(types), "cost": money()} for _ in range(rng.randint(0, 4))]
    if metrics := {name: money() for name in some(METRICS.values())}:
        call["artifact"]["performanceMetrics"] = metrics
    outputs = {f"id-{rng.randint(0, 9)}-{at}": _make_output(rng) for at in range(rng.randint(0, 3))}
    if outputs:
        call["artifact"]["structuredOutputs"] = outputs
    if skipped := {f"skipped-{at}": {"name": name, "condition": "…"} for at, name in enumerate(some(OUTPUTS))}:
        call["artifact"]["skippedStructuredOutputs"] = skipped
    return call


def _make_output(rng: random.Random) -> dict[str, Any]:
    name = rng.choice(OUTPUTS)
    if name == "Survey" and rng.random() < 0.8:
        return {"name": name, "result": {key: rng.choice(RESULTS) for key in ("score", "ok") if rng.random() < 0.7}}
    return {"name": name, "result": rng.choice(RESULTS)}


def word_records(most: int = 12, hours: Sequence[int] = (DAYS, WEEKS)) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Draw call records that have some of the words, over so many *hours*."""
    return st.tuples(st.integers(0, 1 << 32), st.sampled_from(hours)).map(
        lambda drawn: make_calls(random.Random(drawn[0]), most, drawn[1])
    )


def keep_one_kind(calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the calls where all results of an output, or of a field of it, are of one kind, as a column of a file is."""
    copied: list[dict[str, Any]] = json.loads(json.dumps(calls))
    kinds: dict[Any, type] = {}

    def keep(values: dict[str, Any], key: str, place: tuple[str, ...]) -> None:
        kind = float if type(values[key]) is int else type(values[key])
        if values[key] == {} or (values[key] is not None and kinds.setdefault(place, kind) is not kind):
            values[key] = None

    for call in copied:
        for id_, one in call["artifact"].get("structuredOutputs", {}).items():
            keep(one, "result", (id_,))
            for field in one["result"] if isinstance(one["result"], dict) else ():
                keep(one["result"], field, (id_, field))
    return copied


@st.composite
def word_queries(draw, words: Sequence[str] = tuple(WORDS), ranges: Sequence[tuple[str, str]] = RANGES) -> Query[Any]:
    """Draw a query that uses some of the words, and some of these outputs, over one of the *ranges* in any zone."""
    query: Query[Any] = Query(table="call").count()
    operations = ["avg", "count", "min", "max", "median", "quantile"]
    for number in range(draw(st.integers(0, 3))):
        column = draw(st.sampled_from([*COLUMNS, "output.CSAT", "output.Survey.score"]))
        names = [*operations, *(["sum"] if column in COLUMNS and not column.endswith("Latency") else [])]
        query = getattr(query, draw(st.sampled_from(names)))(column, alias=f"m{number}")
    if draw(st.booleans()):
        word = draw(st.sampled_from([*GROUPS, "output.CSAT"]))
        query = query.nunique(word, alias="values")
    query = query.by(*draw(st.lists(st.sampled_from(list(GROUPS)), max_size=2, unique=True)))
    query = query.by_output(*draw(st.lists(st.sampled_from(words), max_size=2, unique=True)))
    for word in draw(st.lists(st.sampled_from([*GROUPS, "output.Survey.ok", "output.CSAT"]), max_size=1)):
        query = query.where(
            {word: draw(st.lists(st.sampled_from([*TEXTS, None, "true", "4"]), min_size=1, max_size=3))}
        )
    if draw(st.booleans()):
        query = query.step(draw(st.sampled_from(["hour", "day", "week", "month", "quarter"])))
    if zone := draw(st.none() | st.sampled_from(ZONES)):
        query = query.tz(zone)
    return query.between(*draw(st.sampled_from(ranges)))


def compute(calls: Sequence[dict[str, Any]], query: Query[Any]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Return the rows of *query*: its keys → its measures."""
    zone = ZoneInfo(query.timezone or "UTC")
    start, end = (datetime.fromisoformat(str(getattr(query.time_range, side))) for side in ("start", "end"))
    rows = defaultdict(list)
    for call in calls:
        created = datetime.fromisoformat(call["createdAt"])
        if not start.replace(tzinfo=zone) <= created < end.replace(tzinfo=zone):
            continue
        if any(_read_text(call, word) not in values for word, values in query.filters):
            continue
        key: tuple[Any, ...] = (trunc(created, query.time_step, zone),) if query.time_step else ()
        key += tuple(_read_text(call, word) for word in (*query.groups, *(f"output.{name}" for name in query.outputs)))
        rows[key].append(call)
    if not query.levels and not rows:
        rows[()] = []
    return {key: tuple(_measure(one, found) for one in query.measures) for key, found in rows.items()}


def _measure(one: Any, calls: list[dict[str, Any]]) -> float | None:
    if one.operation == "nunique":
        return len({_read_text(call, one.column) for call in calls} - {None})
    if one.column == "id":
        return len(calls)
    values = [value for call in calls if (value := _read_number(call, one.column)) is not None]
    if one.operation == "count" or not values:
        return len(values) if one.operation == "count" else None
    if one.operation in ("median", "quantile"):
        return float(np.quantile(values, 0.5 if one.q is None else one.q))
    if one.operation == "avg":
        return statistics.fmean(values)
    return {"sum": math.fsum, "min": min, "max": max}[one.operation](values)


def _read_text(call: dict[str, Any], word: str) -> str | None:
    if word.startswith("output."):
        return _write(_read_output(call, word.removeprefix("output.")))
    found: Any = call
    for key in GROUPS[word]:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _write(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"))
    return str(int(value)) if value == int(value) else repr(value)


def _read_output(call: dict[str, Any], name: str) -> Any:
    outputs = call["artifact"].get("structuredOutputs", {})
    for before, field in ((name, None), *((name[:at], name[at + 1 :]) for at in range(len(name)) if name[at] == ".")):
        for _, one in sorted(outputs.items()):
            value = one["result"] if one["name"] == before else None
            if field is not None:
                value = value.get(field) if isinstance(value, dict) else None
            if value is not None:
                return value
    return None


def _read_number(call: dict[str, Any], column: str) -> float | None:
    if column.startswith("output."):
        value = _read_output(call, column.removeprefix("output."))
        if isinstance(value, str):
            return float(value) if value.lstrip("-").replace(".", "", 1).isdigit() else None
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    if column in METRICS:
        return call["artifact"].get("performanceMetrics", {}).get(METRICS[column])
    breakdown, costs = call["costBreakdown"], call.get("costs", [])
    if column in PARTS:
        spellings, type_ = PARTS[column]
        found = next((breakdown[name] for name in spellings if name in breakdown), None)
        listed = [one["cost"] for one in costs if one["type"] == type_]
    else:
        part = column.rpartition(".")[2]
        found = {**breakdown.get("analysisBreakdown", {}), **breakdown.get("analysisCostBreakdown", {})}.get(part)
        listed = [one["cost"] for one in costs if one.get("analysisType") == part]
    return found if found is not None else sum(listed) if listed else None


def read_rows(frame: Any, query: Query[Any]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Return the rows of a fetched frame in the form of `compute`."""
    flat = frame.reset_index() if query.levels else frame
    found = {}
    for row in flat.itertuples(index=False, name=None):
        cells = [None if value != value or value is None else value for value in row]
        cells = [cell.tz_convert("UTC").to_pydatetime() if hasattr(cell, "tz_convert") else cell for cell in cells]
        found[tuple(cells[: len(query.levels)])] = tuple(cells[len(query.levels) :])
    return found


def is_same(found: dict[Any, Any], expected: dict[Any, Any]) -> bool:
    """Return whether the rows are the same, up to the rounding of sums."""
    return found.keys() == expected.keys() and all(
        (one is None) == (other is None) and (one is None or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9))
        for key in found
        for one, other in zip(found[key], expected[key], strict=True)
    )
