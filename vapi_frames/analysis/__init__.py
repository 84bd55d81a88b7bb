"""The verbs on frames, as plain functions for ``.pipe``; each returns a new object and leaves its frame unchanged."""

from __future__ import annotations

from vapi_frames.analysis.arithmetic import explain
from vapi_frames.analysis.change import change
from vapi_frames.analysis.coverage import coverage
from vapi_frames.analysis.describe import describe, with_units
from vapi_frames.analysis.gaps import fill_gaps
from vapi_frames.analysis.groups import label, outcome, top, wide
from vapi_frames.analysis.outcome_rates import outcome_rate
from vapi_frames.analysis.ratios import per_call, per_minute, ratio, reconcile, share
from vapi_frames.analysis.rollup import rollup
from vapi_frames.analysis.sheets import for_excel
from vapi_frames.analysis.success import success_rate
from vapi_frames.analysis.tables import style
from vapi_frames.analysis.weeks import typical_week
from vapi_frames.frames.parquet import load, save
from vapi_frames.frames.partial import drop_partial, elapsed, partial
from vapi_frames.frames.provenance import query, units

__all__ = [
    "change",
    "coverage",
    "describe",
    "drop_partial",
    "elapsed",
    "explain",
    "fill_gaps",
    "for_excel",
    "label",
    "load",
    "outcome",
    "outcome_rate",
    "partial",
    "per_call",
    "per_minute",
    "query",
    "ratio",
    "reconcile",
    "rollup",
    "save",
    "share",
    "style",
    "success_rate",
    "top",
    "typical_week",
    "units",
    "wide",
    "with_units",
]
