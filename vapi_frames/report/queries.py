"""The queries of a report, by name; each number on the page is one of theirs, or a verb's on their frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vapi_frames.contract.record_words import RECORD_COST_PARTS
from vapi_frames.contract.vocabulary import COST_PARTS

if TYPE_CHECKING:
    from datetime import datetime

    from vapi_frames.contract.vocabulary import CallColumn, Step, SubscriptionColumn
    from vapi_frames.query.query import Query

__all__ = ["COMPARED", "build_earlier_queries", "build_queries", "name_earlier"]

COMPARED = ("totals", "assistants", "success", "peak")
"""The queries that the earlier period is asked, too."""


def build_queries(
    calls: Query[CallColumn], subscription: Query[SubscriptionColumn], step: Step, *, has_records: bool = False
) -> dict[str, Query[Any]]:
    """Return name → query.

    Args:
        calls: A query about calls with the range and the zone of all of them, and no measure.
        subscription: The same about the subscription.
        step: The step of those over time.
        has_records: Whether call records are asked, which have parts of the cost that the contract has no words for.
    """
    cost_parts = (*COST_PARTS, *RECORD_COST_PARTS) if has_records else COST_PARTS
    queries: dict[str, Query[Any]] = {
        "totals": calls.count().sum("cost", "duration"),
        "parts": calls.sum("cost", *cost_parts),
        "costs": calls.step(step).sum(*cost_parts),
        "types": calls.step(step).count().by("type"),
        "endedReasons": calls.count().by("endedReason"),
        "assistants": calls.count().sum("cost", "duration").by("assistantId"),
        "success": calls.count().by("analysis.successEvaluation", "assistantId"),
        "concurrency": subscription.step(step).max("concurrency"),
        "peak": subscription.max("concurrency"),
        "week": calls.step("hour").count(),
    }
    return {name: query.named(name) for name, query in queries.items()}


def build_earlier_queries(queries: dict[str, Query[Any]], start: datetime, end: datetime) -> dict[str, Query[Any]]:
    """Return name → query for those of *queries* that are compared, and the calls of each day."""
    earlier = {name_earlier(name): queries[name].between(start, end) for name in COMPARED}
    earlier[name_earlier("days")] = queries["week"].step("day").between(start, end)
    return {name: query.named(name) for name, query in earlier.items()}


def name_earlier(name: str) -> str:
    """Return the name of the query *name* about the earlier period.

    Examples:
        >>> name_earlier("totals")
        'totalsBefore'
    """
    return f"{name}Before"
