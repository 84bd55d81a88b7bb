"""Random call records and random queries, for tests that hold for all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from vapi_frames import vq
from vapi_frames.contract.vocabulary import CALL_COLUMNS, COLUMNS, GROUP_COLUMNS, OPERATIONS, STEPS
from vapi_frames.query.query import Query

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
ZONES = ("UTC", "America/New_York", "America/Sao_Paulo", "America/Havana", "America/St_Johns", "Australia/Lord_Howe",
         "Asia/Kathmandu", "Africa/Cairo", "Pacific/Apia", "Europe/London")  # fmt: skip
# Around changes of the clock in these zones, so that buckets of 23, 25 and 24.5 hours are met.
CLOCK_CHANGES = [
    datetime(2011, 12, 30, 10, tzinfo=UTC), datetime(2018, 11, 4, 3, tzinfo=UTC), datetime(2009, 11, 1, 2, 31, tzinfo=UTC),
    datetime(2024, 4, 25, 22, tzinfo=UTC), datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(1985, 12, 31, 18, 30, tzinfo=UTC), NOW,
]  # fmt: skip
TEXTS = st.sampled_from(["a", "b", "", "00000000-0000-0000-0000-000000000000", 'x"y', "Ünï ☎", None])
MONEY = st.none() | st.integers(0, 10**6).map(lambda n: n / 10_000)
KEYS = ("plan", "my key", "cost", "type")


@st.composite
def call_lists(draw):
    """Draw calls near one moment, as the flat records that `local` documents."""
    around = draw(st.sampled_from(CLOCK_CHANGES))
    micros = st.integers(-4 * 86_400 * 10**6, 4 * 86_400 * 10**6).map(lambda us: timedelta(microseconds=us))
    seconds = micros | st.integers(-192, 192).map(lambda n: timedelta(minutes=30 * n))  # where buckets begin
    calls = []
    for number in range(draw(st.integers(0, 25))):
        created = around + draw(seconds)
        started = draw(st.sampled_from([None, created, created + timedelta(seconds=2)]))
        ended = started and started + timedelta(microseconds=draw(st.integers(0, 10**10) | st.just(3600 * 10**6)))
        calls.append(
            {
                "id": f"call-{number}",
                "createdAt": created,
                "startedAt": started,
                "endedAt": draw(st.sampled_from([ended, ended, ended, None])),
                **{name: draw(TEXTS) for name in GROUP_COLUMNS},
                "status": draw(st.sampled_from(["ended", "in-progress", "forwarding", "not-found", None])),
                **{name: draw(MONEY) for name in CALL_COLUMNS if name not in ("id", "duration")},
                **{f"variableValues.{key}": draw(TEXTS) for key in KEYS},
            }
        )
    return around, calls


@st.composite
def filters(draw):
    """Draw what calls are chosen by: a word or two, and one value or several."""
    words = [*GROUP_COLUMNS, *(f"variable.{key}" for key in KEYS)]
    values = TEXTS | st.lists(TEXTS, min_size=1, max_size=3) | st.just("never met")
    return draw(st.dictionaries(st.sampled_from(words), values, min_size=1, max_size=2))


@st.composite
def call_queries(draw, around):
    """Draw a query about all calls of a range."""
    query: Query = Query(table="call")
    numbers = [name for name in CALL_COLUMNS if name != "id"]
    pairs = st.tuples(st.sampled_from(["sum", "avg", "min", "max", "count"]), st.sampled_from(numbers))
    for operation, column in draw(st.lists(pairs, max_size=3, unique=True)):
        query = getattr(query, operation)(column)
    if draw(st.booleans()) or not query.aggregations:
        query = query.count()
    query = query.by(*draw(st.lists(st.sampled_from(GROUP_COLUMNS), max_size=2, unique=True)))
    query = query.by_variable(*draw(st.lists(st.sampled_from(KEYS), max_size=2, unique=True)))
    if step := draw(st.none() | st.sampled_from(STEPS)):
        query = query.step(step)
    if zone := draw(st.none() | st.sampled_from(ZONES)):
        query = query.tz(zone)
    if draw(st.booleans()):
        query = query.with_counts()
    start = around + timedelta(minutes=draw(st.integers(-6000, 3000)))
    day = (around - timedelta(days=draw(st.integers(0, 5)))).date()
    return draw(
        st.sampled_from(
            [
                query.between(start, start + timedelta(days=3)),
                query.between(day, day + timedelta(days=4)),
                query.between(datetime(day.year, day.month, day.day, 2, 30), None),
                query.last("4d"),
                query,
            ]
        )
    )


@st.composite
def subscription_queries(draw, around):
    """Draw a query of table subscription that call records can answer."""
    pairs = [("max", "concurrency"), ("min", "concurrency"), ("avg", "concurrency"),
             *((word, "minutesUsed") for word in ("sum", "avg", "min", "max", "count"))]  # fmt: skip
    pairs_used = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=4, unique=True))
    query: Query = Query(table="subscription")
    for operation, column in draw(st.just(pairs_used) | st.just([("history", "concurrency")])):
        query = getattr(query, operation)(column)
    step = draw(st.none() | st.sampled_from(STEPS))
    if step:
        query = query.step(step)
    if zone := draw(st.none() | st.sampled_from(ZONES)):
        query = query.tz(zone)
    start = around + timedelta(minutes=draw(st.integers(-6000, 3000)), microseconds=draw(st.sampled_from([0, 7])))
    if step == "second":
        return query.between(start, start + timedelta(minutes=10))
    day = (around - timedelta(days=draw(st.integers(0, 5)))).date()
    ranged = [query.between(start, start + timedelta(days=3)), query.between(day, day + timedelta(days=4))]
    return draw(st.sampled_from([*ranged, query.last("4d")]))


@st.composite
def answerable_queries(draw, around):
    """Draw a query that call records can answer."""
    if draw(st.integers(0, 2)) == 0:
        return draw(subscription_queries(around))
    query = draw(call_queries(around))
    return query.where(draw(filters())) if draw(st.integers(0, 2)) == 0 else query


@st.composite
def queries(draw, *, absolute=False):
    """Draw any query that the builder can build."""
    query = getattr(vq, draw(st.sampled_from(["call", "subscription"])))()
    pairs = st.tuples(st.sampled_from(OPERATIONS), st.sampled_from(COLUMNS))
    for number, (operation, column) in enumerate(draw(st.lists(pairs, min_size=1, max_size=4, unique=True))):
        alias = draw(st.none() | st.text(min_size=1, max_size=20).map(lambda t, n=number: f"{t}{n}"))
        query = getattr(query, operation)(column, alias=alias)
    query = query.by(*draw(st.lists(st.sampled_from(GROUP_COLUMNS), max_size=3, unique=True)))
    query = query.by_variable(*draw(st.lists(st.text(min_size=1, max_size=100), max_size=2, unique=True)))
    if step := draw(st.none() | st.sampled_from(STEPS)):
        query = query.step(step)
    if zone := draw(st.none() | st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe"])):
        query = query.tz(zone)
    if draw(st.booleans()):
        query = query.with_counts()
    if name := draw(st.none() | st.text(min_size=1, max_size=40)):
        query = query.named(name)
    start = draw(st.datetimes(datetime(2020, 1, 1), datetime(2026, 11, 1)))
    ranges = [
        query,
        query.between(
            start.replace(tzinfo=UTC), (start + timedelta(days=40)).replace(tzinfo=timezone(timedelta(hours=5)))
        ),
        query.since(start.replace(tzinfo=UTC)),
        query.between(None, start.replace(tzinfo=UTC)),
    ]
    if not absolute:
        ranges += [
            query.between(start, start + timedelta(days=40)),
            query.between(start.date(), start.date() + timedelta(days=40)),
            query.last("30d"),
            query.last("12h"),
            query.during("2026-10"),
        ]
    return draw(st.sampled_from(ranges))
