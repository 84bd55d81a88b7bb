"""What a call record has in lists and objects of unknown keys: structured outputs, and costs.

`vapi_frames.sources.records.duckdb_lists` says the same in SQL.
"""

from __future__ import annotations

import json
from typing import Any

from vapi_frames.contract.record_words import COST_TYPES
from vapi_frames.sources.records.values import is_missing, read_text

__all__ = ["find_word", "parse_object", "read_outputs", "read_skipped_outputs", "sum_costs"]

_COST_WORDS = {types: word for word, types in COST_TYPES.items()}


def find_word(value: Any, keys: tuple[str, ...]) -> Any:
    """Return what is at *keys* in *value*; what only call records have is missing in what is no object.

    Examples:
        >>> find_word({"number": "+15550100"}, ("number",)), find_word("+15550100", ("number",))
        ('+15550100', None)
    """
    for key in keys:
        inside = parse_object(value)
        value = inside.get(key) if isinstance(inside, dict) else None
    return value


def parse_object(value: Any) -> Any:
    """Return *value*, which may be JSON text, a map of Arrow, or an array of numpy."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return None
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list) and value and all(isinstance(one, tuple) for one in value):
        return dict(value)
    return value


def read_outputs(value: Any) -> str | None:
    """Return what queries use of structured outputs, as JSON text: id → name and result; ``None`` for none.

    Examples:
        >>> read_outputs({"o1": {"name": "CSAT", "result": 4, "compliancePlan": {}}, "o2": {"name": "Skipped"}})
        '{"o1":{"name":"CSAT","result":4}}'
    """
    found = parse_object(value)
    outputs = {
        str(key): {"name": one.get("name"), "result": one["result"]}
        for key, one in (found if isinstance(found, dict) else {}).items()
        if isinstance(one, dict) and not is_missing(one.get("result"))
    }
    return read_text("artifact.structuredOutputs", outputs, allows_objects=True) if outputs else None


def read_skipped_outputs(value: Any) -> str | None:
    """Return the outputs that were skipped as JSON text: id → name; ``None`` for none.

    Examples:
        >>> read_skipped_outputs({"o1": {"name": "CSAT", "condition": "…"}})
        '{"o1":{"name":"CSAT"}}'
    """
    found = parse_object(value)
    entries = found.items() if isinstance(found, dict) else ()
    names = {str(key): {"name": one["name"]} for key, one in entries if isinstance(one, dict) and "name" in one}
    return read_text("artifact.skippedStructuredOutputs", names, allows_objects=True) if names else None


def sum_costs(value: Any) -> dict[str, float]:
    """Return part of the cost → the sum of its entries in a list of costs, for the parts beyond the contract.

    Examples:
        >>> sum_costs([{"type": "chat", "cost": 0.5}, {"type": "chat", "cost": 0.25}, {"type": "model", "cost": 1}])
        {'costBreakdown.chat': 0.75}
    """
    costs = parse_object(value)
    found: dict[str, float] = {}
    for one in costs if isinstance(costs, list | tuple) else ():
        cost = one.get("cost") if isinstance(one, dict) else None
        if isinstance(cost, int | float) and not isinstance(cost, bool) and not is_missing(cost):
            analysis = one.get("analysisType") if one.get("type") == "analysis" else ""
            if (word := _COST_WORDS.get((str(one.get("type")), str(analysis)))) is not None:
                found[word] = found.get(word, 0.0) + float(cost)
    return found
