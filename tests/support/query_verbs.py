"""One use of each verb that builds a query, for tests that hold for every verb."""

from __future__ import annotations

VERBS = {
    "sum": lambda q: q.sum("costBreakdown.llm"),
    "avg": lambda q: q.avg("duration"),
    "mean": lambda q: q.mean("cost"),
    "count": lambda q: q.count(),
    "min": lambda q: q.min("cost"),
    "max": lambda q: q.max("cost"),
    "history": lambda q: q.history("cost"),
    "median": lambda q: q.median("duration"),
    "quantile": lambda q: q.quantile("duration", 0.95),
    "nunique": lambda q: q.nunique("assistantId", "variable.plan"),
    "agg": lambda q: q.agg(spend=("cost", "sum")),
    "by": lambda q: q.by("type"),
    "by_variable": lambda q: q.by_variable("plan"),
    "by_output": lambda q: q.by_output("Call Outcome"),
    "where": lambda q: q.where({"variable.plan": ["pro", None]}, type="webCall"),
    "step": lambda q: q.step("day"),
    "between": lambda q: q.between("2026-10-01", "2026-11-01"),
    "during": lambda q: q.during("2026Q3"),
    "since": lambda q: q.since("2026-10-01"),
    "last": lambda q: q.last("30d"),
    "tz": lambda q: q.tz("Asia/Tokyo"),
    "named": lambda q: q.named("spend"),
    "with_counts": lambda q: q.avg("cost").with_counts(),
}
