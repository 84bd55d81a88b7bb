"""What an unknown attribute of a query, or of a comparison, was meant to be."""

from __future__ import annotations

from vapi_frames.errors import suggest

__all__ = ["FRAME_VERBS", "VERB_SYNONYMS", "call_frame_verb", "hint_in_text", "is_frame_value", "suggest_attribute"]

_FRAME_ATTRIBUTES = {
    "columns", "describe", "head", "iloc", "index", "loc", "plot", "shape", "sort_values", "tail", "to_csv", "vapi",
}  # fmt: skip
_OPERATIONS = "; the contract has sum, avg, count, min, max and history, and call records median, quantile and nunique"
_HINTS = {
    **{name: f"; it starts another query: vq.{name}()" for name in ("call", "subscription")},
    **dict.fromkeys(("std", "var"), _OPERATIONS),
}
FRAME_VERBS = {
    "change", "drop_partial", "elapsed", "fill_gaps", "for_excel", "label", "meta", "outcome", "outcome_rate",
    "partial", "per_call", "per_minute", "ratio", "reconcile", "refresh", "rollup", "save", "share", "style",
    "success_rate", "to_excel", "top", "typical_week", "units", "wide", "with_units",
}  # fmt: skip
"""What only ``df.vapi`` has."""
_OTHER_VERBS = {"check_units", "coverage", "describe", "plot"}  # of frames from call records, or pandas' as well
_FRAME_VALUES = {"coverage", "elapsed", "meta", "partial", "units"}
_ROWLESS = {
    *_FRAME_VALUES, "check_units", "describe", "for_excel", "plot", "refresh", "save", "style", "to_excel",
}  # fmt: skip
VERB_SYNONYMS = {
    "aggregate": "agg", "rename": "named",
    "groupby": "by", "group_by": "by", "group": "by", "average": "avg", "total": "sum", "size": "count",
    "variable": "by_variable", "variables": "by_variable", "groupbyvariable": "by_variable", "range": "between",
    "freq": "step", "resample": "step", "execute": "fetch", "run": "fetch", "collect": "fetch", "name": "named",
    "filter": "where", "filters": "where", "filter_by": "where", "query": "where", "isin": "where",
    "calls": "drill", "records": "drill", "drilldown": "drill", "drill_down": "drill", "drill_through": "drill",
}  # fmt: skip


def call_frame_verb(name: str) -> str:
    """Return how to write what ``df.vapi`` has under *name*; nothing where a query has it, too, or neither has.

    Examples:
        >>> call_frame_verb("rollup"), call_frame_verb("meta"), call_frame_verb("by")
        ('df.vapi.rollup()', 'df.vapi.meta', '')
    """
    if name not in FRAME_VERBS | _OTHER_VERBS:
        return ""
    return f"df.vapi.{name}{'' if name in _FRAME_VALUES else '()'}"


def is_frame_value(name: str) -> bool:
    """Return whether *name* is a property of ``df.vapi``, and not called."""
    return name in _FRAME_VALUES


def hint_in_text(name: str) -> str:
    """Return what to write instead of *name* where a query is read from text, as in a shell; nothing if unknown.

    Examples:
        >>> hint_in_text("rollup")
        'it is a verb of the frame, and comes after the query: .vapi.rollup(...)'
        >>> hint_in_text("meta")
        'it makes no rows, and text asks for rows: in Python, df.vapi.meta'
    """
    if call := call_frame_verb(name):
        if name in _ROWLESS:
            return f"it makes no rows, and text asks for rows: in Python, {call}"
        return f"it is a verb of the frame, and comes after the query: .vapi.{name}(...)"
    if name not in VERB_SYNONYMS and not name.startswith("_") and _is_of_pandas(name):
        return f"it is of the frame that a query gives: in Python, .fetch().{name}"
    return ""


def suggest_attribute(name: str, kind: type) -> str:
    """Return a hint about the unknown attribute *name* of a query, or of a comparison."""
    if name.startswith("_"):
        return ""
    is_of_frames = name in _FRAME_ATTRIBUTES
    if not is_of_frames and (call := call_frame_verb(name)):
        return f"; call .fetch() first, then {call}"
    if name in _HINTS:
        return _HINTS[name]
    if is_of_frames or (name not in VERB_SYNONYMS and _is_of_pandas(name)):
        return f"; call .fetch() first: the frame has .{name}"
    verbs = [word for word in dir(kind) if not word.startswith("_") and callable(getattr(kind, word))]
    near = suggest(name, verbs, synonyms=VERB_SYNONYMS)
    return f"; did you mean .{near[0]}()?" if near else ""


def _is_of_pandas(name: str) -> bool:
    import pandas as pd

    return hasattr(pd.DataFrame, name)
