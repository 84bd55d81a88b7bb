"""The reference: queries computed by plain loops over call dicts; no pandas, no SQL, nothing of the package.

It reads the query only from a Query; buckets are PostgreSQL's ``date_trunc`` written once more with datetimes.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

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
    if column in ("duration", "minutesUsed"):
        start, end = call.get("startedAt"), call.get("endedAt")
        return (end - start) / timedelta(minutes=1) if start and end else None
    if column.startswith("variable."):
        column = place(column)
    if column == "costBreakdown.transcriber" and call.get(column) is None:
        return call.get("costBreakdown.stt")
    return call.get(column)


def quantile(values, q):
    """Return the value below which a share *q* of the sorted values lies, linear between two; exact until the end."""
    ordered = sorted(map(Fraction, values))
    place, rest = divmod(Fraction(str(q)) * (len(ordered) - 1), 1)
    above = ordered[min(int(place) + 1, len(ordered) - 1)]
    return float(ordered[int(place)] + (above - ordered[int(place)]) * rest)


def fold(operation, values, q=None):
    """Aggregate the values that are there."""
    if operation == "count":
        return len(values)
    if operation == "nunique":
        return len(set(values))
    if not values:
        return None
    if operation == "avg":
        return math.fsum(values) / len(values)
    if operation in ("median", "quantile"):
        return quantile(values, 0.5 if q is None else q)
    return {"sum": math.fsum, "min": min, "max": max}[operation](values)


ENDED_STATUSES = ("ended", "not-found", "deletion-failed")


def intervals(calls, now):
    """Return from when until when each call was active; one in progress until now."""
    found = []
    for call in calls:
        started, ended = call.get("startedAt"), call.get("endedAt")
        if started and not ended and not call.get("endedReason") and call.get("status") not in ENDED_STATUSES:
            ended = now
        if started and ended and started < ended:
            found.append((started, ended))
    return found


def stretches_of(calls, query, start, end, now):
    """Yield (begin, end, bucket, active calls) for stretches in which neither changes; after now it is None."""
    active = [(begin, after) for begin, after in intervals(calls, now) if begin < end and start < after]
    cuts = {start, end, *(at for pair in active for at in pair), now}
    grid = {"second": timedelta(seconds=1), "minute": timedelta(minutes=1)}.get(query.time_step, timedelta(minutes=15))
    at = start.replace(hour=0, minute=0, second=0, microsecond=0)
    at += (start - at) // grid * grid
    while query.time_step and at < end:  # since 1973, zones are quarters of an hour apart
        cuts.add(at)
        at += grid
    cuts = sorted(cut for cut in cuts if start <= cut <= end)
    for begin, after in pairwise(cuts):
        bucket = trunc(begin, query.time_step, query.zone) if query.time_step else None
        yield begin, after, bucket, sum(s <= begin < e for s, e in active) if begin < now else None


def concurrency(calls, query, start, end, now):
    """Return {key: {measure: value}} of concurrency: every bucket of the range, or each change of the history."""
    found = {}
    last = None
    is_history = any(one.operation == "history" for one in query.measures)
    for begin, after, bucket, level in stretches_of(calls, query, start, end, now):
        if is_history and not query.time_step:
            if level is not None and level != last:
                found[(begin,)] = {query.measures[0].name: level}
            last = level
            continue
        found.setdefault((bucket,) if query.time_step else (), []).append((begin, after, level))
    if is_history and not query.time_step:
        return found
    return {key: {one.name: summary(one, stretches) for one in query.measures} for key, stretches in found.items()}


def summary(one, stretches):
    """Return one aggregate of the level over the *stretches* of a bucket."""
    known = [(after - begin, level) for begin, after, level in stretches if level is not None]
    if one.operation == "history":
        return stretches[0][2]
    if not known:
        return None
    if one.operation == "avg":
        micros = [(span // timedelta(microseconds=1), level) for span, level in known]
        return float(Fraction(sum(span * level for span, level in micros), sum(span for span, _ in micros)))
    return {"min": min, "max": max}[one.operation](level for _, level in known)


def compute(calls, query, now):
    """Return {key: {measure: value}}, keys as the frame's index has them: (date, groups..., variables...)."""
    start, end = query.instants(now)
    start, end = start or now - timedelta(days=7), end or now
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    if any(one.column == "concurrency" for one in query.measures):
        of_concurrency = [one for one in query.measures if one.column == "concurrency"]
        others = [one for one in query.measures if one.column != "concurrency"]
        found = concurrency(calls, Measures(query, of_concurrency), start, end, now)
        if not others:
            return found
        there = counted(calls, Measures(query, others), start, end)
        nothing = {one.name: fold(one.operation, []) for one in others}
        return {key: {**row, **there.get(key, nothing)} for key, row in found.items()}
    return counted(calls, query, start, end)


class Measures:
    """A query with other measures."""

    def __init__(self, query, measures):
        self.measures = measures
        self.time_step, self.zone, self.levels = query.time_step, query.zone, query.levels
        self.groups, self.variables, self.filters = query.groups, query.variables, query.filters


def place(word):
    """Return the column of a call that a filter's *word* means."""
    return f"variableValues.{word.removeprefix('variable.')}" if word.startswith("variable.") else word


def counted(calls, query, start, end):
    """Return {key: {measure: value}} for the calls created in [start, end)."""
    rows = {} if query.levels else {(): []}
    for call in calls:
        at: datetime = call["createdAt"]
        if not start <= at < end:
            continue
        if not all(call.get(place(word)) in values for word, values in query.filters):
            continue
        key = [trunc(at, query.time_step, query.zone)] if query.time_step else []
        key += [call.get(name) for name in query.groups]
        key += [call.get(f"variableValues.{name}") for name in query.variables]
        rows.setdefault(tuple(key), []).append(call)
    return {
        key: {
            one.name: fold(one.operation, [v for v in (value(c, one.column) for c in found) if v is not None], one.q)
            for one in query.measures
        }
        for key, found in rows.items()
    }
