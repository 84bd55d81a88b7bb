"""The oracle: the same question answered by plain loops over call dicts; no pandas, no SQL, nothing of the package's.

Only the question is read from a Query; buckets are PostgreSQL's ``date_trunc`` written once more with datetimes.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

YEARS = {"year": 1, "decade": 10, "century": 100, "millennium": 1000}


def trunc(at, step, tz):
    """Return PostgreSQL's ``date_trunc(step, at, tz)``."""
    wall = at.astimezone(tz).replace(tzinfo=None)
    if step in ("second", "minute", "hour"):
        parts = {"second": 0, "minute": wall.second, "hour": wall.second + 60 * wall.minute}
        return at - timedelta(seconds=parts[step], microseconds=wall.microsecond)
    day = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    if step == "week":
        day -= timedelta(days=day.weekday())
    elif step in ("month", "quarter"):
        day = day.replace(day=1, month=day.month if step == "month" else (day.month - 1) // 3 * 3 + 1)
    elif step != "day":
        base = 1 if step in ("century", "millennium") else 0
        day = day.replace(year=(day.year - base) // YEARS[step] * YEARS[step] + base, month=1, day=1)
    offsets = [day.replace(tzinfo=tz, fold=fold).utcoffset() for fold in (0, 1)]
    return (day - min(offsets)).replace(tzinfo=at.tzinfo)


def value(call, column):
    """Return what a call holds under an analytics column."""
    if column == "duration":
        start, end = call.get("startedAt"), call.get("endedAt")
        return (end - start) / timedelta(minutes=1) if start and end else None
    if column == "costBreakdown.transcriber" and call.get(column) is None:
        return call.get("costBreakdown.stt")
    return call.get(column)


def fold(operation, values):
    """Aggregate the values that are there."""
    if operation == "count":
        return len(values)
    if not values:
        return None
    if operation == "avg":
        return math.fsum(values) / len(values)
    return {"sum": math.fsum, "min": min, "max": max}[operation](values)


def answer(calls, query, now):
    """Return {key: {measure: value}}, keys as the frame's index has them: (date, groups..., variables...)."""
    start, end = query.instants(now)
    start, end = start or now - timedelta(days=7), end or now
    rows = {} if query.levels else {(): []}
    for call in calls:
        at: datetime = call["createdAt"]
        if not start <= at < end:
            continue
        key = [trunc(at, query.time_step, query.zone)] if query.time_step else []
        key += [call.get(name) for name in query.groups]
        key += [call.get(f"variableValues.{name}") for name in query.variables]
        rows.setdefault(tuple(key), []).append(call)
    return {
        key: {
            one.name: fold(one.operation, [v for v in (value(c, one.column) for c in found) if v is not None])
            for one in query.measures
        }
        for key, found in rows.items()
    }
