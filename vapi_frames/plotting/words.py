"""Measures and groups in people's words: ``sumCostBreakdownStt`` is the cost of speech to text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vapi_frames.frames.derived import DerivedColumn
    from vapi_frames.frames.meta import Meta
    from vapi_frames.query.aggregation import Aggregation

__all__ = ["describe_axis", "describe_group", "describe_measure", "describe_measures", "describe_part", "make_title"]

_PARTS = {
    "llm": "LLM",
    "stt": "speech to text",
    "tts": "text to speech",
    "vapi": "Vapi",
    "transport": "transport",
    "transcriber": "transcriber",
    "chat": "chat",
    "knowledgeBase": "knowledge base",
    "voicemailDetection": "voicemail detection",
    "analysisBreakdown.summary": "call summaries",
    "analysisBreakdown.structuredData": "structured data",
    "analysisBreakdown.successEvaluation": "success evaluation",
    "analysisBreakdown.structuredOutput": "structured outputs",
}
_COLUMNS = {
    "id": "calls",
    "concurrency": "calls at once",
    "costBreakdown.ttsCharacters": "characters spoken",
    "costBreakdown.llmPromptTokens": "prompt tokens",
    "costBreakdown.llmCompletionTokens": "completion tokens",
    "minutesUsed": "minutes used",
}
_OPERATIONS = {"sum": "{}", "history": "{}", "avg": "mean {}", "min": "minimum {}", "max": "maximum {}"}
_DERIVED = {"before": "{}, before", "delta": "change in {}", "percent": "change in {}", "share": "share of {}"}
_PER = {"countId": "call", "sumDuration": "minute"}
_SUCCESSES = {"countIdSuccess": "successful calls", "countIdEvaluated": "evaluated calls"}
_BREAKDOWN = "costBreakdown."


def describe_part(column: str) -> str | None:
    """Return what a part of the cost pays for, ``None`` for another column.

    Examples:
        >>> describe_part("costBreakdown.stt"), describe_part("cost")
        ('speech to text', None)
    """
    return _PARTS.get(column.removeprefix(_BREAKDOWN)) if column.startswith(_BREAKDOWN) else None


def describe_group(name: str, meta: Meta) -> str:
    """Return a level of the index in words; the key of a variable and the name of an output stay as they are."""
    if name in meta.variables or name in meta.outputs:
        return name
    if name.startswith(("variable.", "output.")):
        return name.partition(".")[2]
    words = _split(name.removeprefix("analysis."))
    return re.sub(r"(?<=\w) (id|name)$", "", words)


def describe_measure(name: str, meta: Meta) -> str:
    """Return a measure in words; a name that its author chose stays as it is."""
    found = next((one for one in meta.aggregations if one.name == name), None)
    if found is not None:
        return _describe_aggregation(found, meta)
    derived = meta.derived.get(name)
    return name if derived is None else _describe_derived(name, derived, meta)


def describe_measures(names: list[str], meta: Meta) -> tuple[list[str], str]:
    """Return the words for *names* in a legend, and what they are together, for the title."""
    words = [describe_measure(name, meta) for name in names]
    if len(names) == 1:
        return words, words[0]
    columns = {one.name: one.column for one in meta.aggregations if one.operation == "sum" and one.alias is None}
    parts = [describe_part(columns.get(name, "")) for name in names]
    is_cost = all(parts)
    words = [part for part in parts if part] if is_cost else words
    if len({*words}) < len(words):
        words = list(names)
    return words, "cost by part" if is_cost else f"{', '.join(words[:-1])} and {words[-1]}"


def describe_axis(words: str, unit: str) -> str:
    """Return *words* with the unit, where they do not say it themselves.

    Examples:
        >>> describe_axis("cost", "USD"), describe_axis("calls", "calls"), describe_axis("cost per call", "USD/call")
        ('cost (USD)', 'calls', 'cost per call (USD)')
    """
    if " per " in words:
        unit = unit.partition("/")[0]
    return words if unit in ("", "share") or re.search(rf"\b{re.escape(unit)}\b", words) else f"{words} ({unit})"


def make_title(what: str, groups: list[str], meta: Meta) -> str:
    """Return the title of a chart of *what*, by *groups*, per step."""
    words = [describe_group(name, meta) for name in groups]
    listed = " and ".join(filter(None, [", ".join(words[:-1]), words[-1] if words else ""]))
    joined = " and " if " by " in what else " by "
    text = f"{what}{joined + listed if listed else ''}{f' per {meta.step}' if meta.step else ''}"
    return text[:1].upper() + text[1:]


def _describe_aggregation(one: Aggregation, meta: Meta) -> str:
    if one.alias is not None:
        return one.alias
    if one.operation == "count":
        return "calls" if one.column == "id" else f"calls with {_describe_column(one.column)}"
    if one.operation == "nunique":
        return f"different {describe_group(one.column, meta)}s"
    if one.q is not None:
        return f"p{f'{one.q * 100:g}'.replace('.', '')} {_describe_column(one.column)}"
    return _OPERATIONS.get(one.operation, f"{one.operation} {{}}").format(_describe_column(one.column))


def _describe_column(column: str) -> str:
    part = describe_part(column)
    if part is not None:
        return f"{part} cost"
    return _COLUMNS.get(column) or _split(column)


def _describe_derived(name: str, derived: DerivedColumn, meta: Meta) -> str:
    if name.startswith("successPer"):
        return "success rate"
    if name in _SUCCESSES:
        return _SUCCESSES[name]
    made = str(derived.made[0]) if derived.made else ""
    if made in _DERIVED:
        base = name.removesuffix(made.capitalize())
        return _DERIVED[made].format(describe_measure(base, meta)) if base != name else name
    first, *others = derived.parts or ("",)
    if name.startswith(f"{first}Per") and others:
        per = str(derived.made[1]) if made == "mean" else _PER.get(others[0])
        if per:
            return f"{describe_measure(first, meta)} per {per}"
    return name


def _split(name: str) -> str:
    """Return the words of a name, ``phoneCall.endedReason`` as ``phone call ended reason``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.replace(".", " ")).lower()
