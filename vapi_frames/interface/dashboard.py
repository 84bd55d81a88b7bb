"""The vendor's own dashboard as one request: its eleven queries, and the figures on top."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vapi_frames.analysis import per_call
from vapi_frames.contract.record_words import RECORD_COST_PARTS
from vapi_frames.contract.vocabulary import COST_PARTS
from vapi_frames.frames.meta import read_meta
from vapi_frames.frames.origin import attach_meta

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from vapi_frames.contract.vocabulary import CallColumn, Step
    from vapi_frames.query.query import Query

__all__ = ["build_kpis", "build_queries"]


def build_queries(ranged: Query[CallColumn], step: Step, *, has_records: bool = False) -> dict[str, Query[Any]]:
    """Return name → query, eleven of them.

    Args:
        ranged: A query about calls with the range and the zone of all of them, and no measure.
        step: The step of those over time.
        has_records: Whether call records are asked, which have parts of the cost that the contract has no words for.
    """
    cost_parts = (*COST_PARTS, *RECORD_COST_PARTS) if has_records else COST_PARTS
    over_time = ranged.step(step)
    queries: dict[str, Query[Any]] = {
        "costParts": over_time.sum(*cost_parts),
        "duration": over_time.sum("duration"),
        "averageCost": over_time.avg("cost").with_counts(),
        "types": over_time.count().by("type"),
        "endedReasons": ranged.count().by("endedReason"),
        "assistants": ranged.count().sum("cost", "duration").by("assistantId"),
        "averageDuration": ranged.avg("duration").with_counts().by("assistantId"),
        "minutes": ranged.sum("duration"),
        "spend": ranged.count().sum("cost"),
        "success": ranged.count().by("analysis.successEvaluation", "assistantId"),
        "costProviders": ranged.sum(*cost_parts),
    }
    return {name: query.named(name) for name, query in queries.items()}


def build_kpis(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the figures on top as one row: minutes, calls, spend and cost per call.

    Args:
        frames: The results of `build_queries`, by name; the figures are their totals.

    Returns:
        ``sumDuration`` (min), ``countId`` (calls), ``sumCost`` (USD), ``sumCostPerCall`` (USD/call).
    """
    minutes, spend = (read_meta(frames[name]) for name in ("minutes", "spend"))
    row = frames["minutes"].join(frames["spend"])
    row.attrs = dict(frames["spend"].attrs)
    body = {**spend.body, "operations": [*minutes.body["operations"], *spend.body["operations"]]}
    attach_meta(row, replace(spend, body=body, units=minutes.units | spend.units, title=None))
    return per_call(row, "cost")
