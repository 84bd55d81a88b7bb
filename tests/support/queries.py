"""The fixed queries with the same result on every engine: each step in a hard zone, each measure, each group."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.support.engines import HOSTILE, PARTS
from vapi_frames.contract.vocabulary import GROUP_COLUMNS
from vapi_frames.query.query import Query

CALL, SUBSCRIPTION = Query(table="call"), Query(table="subscription")
ALL = (datetime(1985, 12, 1, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC))
CHANGES = {
    "America/New_York": ("2026-03-06", "2026-03-11"), "Europe/London": ("2026-10-30", "2026-11-05"),
    "Australia/Lord_Howe": ("2026-10-01", "2026-10-06"), "America/Sao_Paulo": ("2018-11-01", "2018-11-07"),
    "Pacific/Apia": ("2011-12-27", "2012-01-02"), "America/Havana": ("2009-10-30", "2009-11-04"),
    "Asia/Kathmandu": ("1985-12-30", "1986-01-03"), "America/St_Johns": ("2026-10-30", "2026-11-04"),
}  # fmt: skip


def _queries():
    money = CALL.sum("cost").count()
    for zone, (start, end) in CHANGES.items():  # hours and days around a change of the clock
        for step in ("hour", "day"):
            yield f"{step} in {zone}", money.avg("duration").step(step).tz(zone).between(start, end)
        levels = SUBSCRIPTION.max("concurrency").min("concurrency").avg("concurrency")
        yield f"concurrency in {zone}", levels.step("hour").tz(zone).between(start, end)
    for step in ("minute", "second"):
        yield step, money.step(step).tz("Australia/Lord_Howe").between("2026-10-04T01:00", "2026-10-04T09:00")
    for step in ("week", "month", "quarter", "year", "decade", "century", "millennium"):
        yield step, money.step(step).tz("Asia/Kathmandu").between(*ALL)
    for operation in ("sum", "avg", "min", "max", "count"):
        query = getattr(CALL, operation)("cost", "duration", *PARTS)
        yield f"{operation} of every column", query.by("type").between(*ALL)
        yield f"{operation} of the whole", query.between("2026-11-01", "2026-11-30")
    for name in GROUP_COLUMNS:
        yield f"by {name}", CALL.count().sum("cost").by(name).step("month").tz("America/New_York").between(*ALL)
    yield "by two", CALL.count().by("type", "status").between(*ALL)
    yield "by all", CALL.count().by(*GROUP_COLUMNS).by_variable("plan", "Plan").between(*ALL)
    filtered = money.avg("duration").where(type=["a", "", None]).where({"variable.plan": ["Ünï ☎", None]})
    yield "filtered by groups that it does not group by", filtered.between(*ALL)
    yield (
        "filtered by some of its groups",
        filtered.by("type", "status").step("year").tz("Asia/Kathmandu").between(*ALL),
    )
    yield "filtered by what is missing", CALL.count().sum("cost").where(status=None).between(*ALL)
    yield "no match of a filter", CALL.count().sum("cost").where(type="none of them").between(*ALL)
    yield "no calls in the range", CALL.count().sum("cost").avg("duration").between("2020-01-01", "2020-02-01")
    yield "no groups in the range", CALL.count().by("type").step("day").between("2020-01-01", "2020-02-01")
    yield "microseconds", CALL.count().between("2026-11-20T12:00:00.000001Z", "2026-11-20T12:29:59.999999Z")
    yield "the last week", CALL.count("cost").sum("cost").by("type")
    yield "the last days", CALL.count().step("day").last("3d").tz("America/St_Johns")
    yield "until now", CALL.count().step("hour").since("2026-11-19").tz("Asia/Kathmandu")
    yield "with counts", CALL.avg("cost", "duration").with_counts().by("status").between(*ALL)
    yield "alias", CALL.sum("cost", alias=HOSTILE[6]).count(alias="☎ '\"").by("type").between(*ALL).named("'; --")
    yield (
        "minutes",
        SUBSCRIPTION.sum("minutesUsed").step("day").tz("America/Havana").between(*CHANGES["America/Havana"]),
    )
    yield "minutes of all", SUBSCRIPTION.sum("minutesUsed").avg("minutesUsed").count("minutesUsed").between(*ALL)
    both = SUBSCRIPTION.max("concurrency").sum("minutesUsed").count("minutesUsed")
    yield "both", both.step("day").tz("America/New_York").between("2026-11-15", "2026-11-25")
    yield "both of all", both.avg("concurrency").between("2026-11-15", "2026-11-25")
    yield "history", SUBSCRIPTION.history("concurrency").between("2026-10-30", "2026-11-25")
    yield "history by hour", SUBSCRIPTION.history("concurrency").step("hour").tz("Australia/Lord_Howe").last("4d")
    yield (
        "concurrency by week",
        SUBSCRIPTION.max("concurrency").step("week").tz("Pacific/Apia").between("2011-12-01", "2012-02-01"),
    )


def _record_queries():
    """Yield queries that the API's contract has no words for."""
    columns = ("cost", "duration", *PARTS)
    slow = CALL.median(*columns).quantile("duration", 0.95).quantile("cost", 0.999).quantile("cost", 0.05)
    yield "quantiles of the whole", slow.quantile("cost", 0).quantile("cost", 1.0).quantile("cost").between(*ALL)
    yield "quantiles by group", slow.by("type").by_variable("plan").between(*ALL)
    yield "quantiles by month", slow.step("month").tz("America/New_York").where(type=["a", "", None]).between(*ALL)
    values = CALL.count().nunique(*GROUP_COLUMNS, "variable.plan").nunique("variable.Plan", alias="other plans")
    yield "values of the whole", values.between(*ALL)
    yield "values by group", values.by("type").step("day").tz("Australia/Lord_Howe").between(*ALL)
    yield "values of a filter", values.nunique(f"variable.{HOSTILE[3]}", alias="odd").where(status=None).between(*ALL)
    yield "quantiles of nothing", slow.nunique("type").between("2020-01-01", "2020-02-01")
    yield (
        "median of minutes",
        SUBSCRIPTION.median("minutesUsed").quantile("minutesUsed", 0.9).step("week").between(*ALL),
    )


QUERIES = dict(_queries())
RECORD_QUERIES = dict(_record_queries())
VARIABLES = [HOSTILE[at : at + 6] for at in range(0, len(HOSTILE), 6)]  # all of them, a few in each query
FILTERS = [  # every hostile text as the value of a group, and as the key and the value of a variable
    ("type", list(HOSTILE)),
    *((f"variable.{key}", [HOSTILE[-at], "a", ""]) for at, key in enumerate(HOSTILE)),
]
