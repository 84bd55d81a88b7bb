"""Ranges of days where the clock skips midnight or shows it twice, against plain loops over instants."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import is_long
from vapi_frames.errors import QueryError
from vapi_frames.query.parse import parse_query

DAY = timedelta(days=1)
WHOLE_ZONES = sorted(zone for zone in available_timezones() if not zone.startswith(("posix", "right", "local", "Fac")))
# Skipped midnights, an odd offset, a skipped day, midnights that come twice, and a clock that goes back over midnight.
SAMPLE = [
    "America/Santiago", "Africa/Cairo", "America/Asuncion", "America/Havana", "Asia/Kathmandu", "Africa/Monrovia",
    "Pacific/Apia", "Asia/Beirut", "America/Goose_Bay", "Europe/Lisbon", "UTC",
]  # fmt: skip


NOONS = [datetime.combine(date.fromordinal(day), time(12)) for day in range(719_164, date(2037, 1, 1).toordinal())]


def odd_midnights(zone):
    """Return the days since 1970 on which the clock skips midnight or shows it twice; PEP 495 gives both two offsets."""
    tz = ZoneInfo(zone)
    offsets = [tz.utcoffset(noon) for noon in NOONS]
    changed = [
        noon.date() for noon, before, after in zip(NOONS[1:], offsets, offsets[1:], strict=False) if before != after
    ]
    midnights = (datetime.combine(day, time(), tz) for day in sorted({*changed, *(day - DAY for day in changed)}))
    return [midnight.date() for midnight in midnights if midnight.utcoffset() != midnight.replace(fold=1).utcoffset()]


def cases():
    """Yield zone and day: the first and the last two of each zone of the sample, in the long form of each history."""
    histories = {tuple(odd_midnights(zone)): zone for zone in WHOLE_ZONES} if is_long() else {}
    for zone in dict.fromkeys([*SAMPLE, *histories.values()]):
        days = odd_midnights(zone)
        yield from ((zone, day) for day in sorted({*days[:1], *days[-2:]}) or [date(2026, 9, 6)])


more_zones = pytest.mark.usefixtures("choose")  # the long form


@cache
def start_of(zone, day):
    """Return the first instant at which the local date is *day*, or a later one if there is no such day."""
    tz = ZoneInfo(zone)
    instant = datetime.combine(day, time(), UTC) - timedelta(hours=16)
    step = timedelta(seconds=30 if zone == "Africa/Monrovia" else 60)
    while instant.astimezone(tz).date() < day:
        instant += step
    return instant


def months_before(day, count):
    """Return the first of the month *count* months before that of *day*."""
    months = day.year * 12 + day.month - 1 - count
    return date(months // 12, months % 12 + 1, 1)


def resolved(query, now):
    """Return the range of *query*, ``None`` where it is empty."""
    try:
        return query.instants(now)
    except QueryError:
        return None


@pytest.fixture(scope="module", params=cases(), ids=lambda case: f"{case[0]}-{case[1]}")
def case(request):
    return request.param


@more_zones
def test_the_last_days_are_dates(case):
    """`last(complete=True)` ends with the start of today, and starts as many dates, weeks or months before."""
    zone, odd = case
    calls = vf.vq.call().count().tz(zone)
    for ahead in (0, 1, 5):
        for hours in (0, 9, 23):
            now = start_of(zone, odd + ahead * DAY) + timedelta(hours=hours)
            today = now.astimezone(ZoneInfo(zone)).date()
            monday, first = today - today.weekday() * DAY, today.replace(day=1)
            expected = {
                "1d": (today - DAY, today), "7d": (today - 7 * DAY, today), "2w": (monday - 14 * DAY, monday),
                "2mo": (months_before(first, 2), first),
            }  # fmt: skip
            for span, days in expected.items():
                start, end = (start_of(zone, day) for day in days)
                for query in (calls, calls.step({"d": "day", "w": "week", "mo": "month"}[span.lstrip("0123456789")])):
                    assert resolved(query.last(span, complete=True), now) == ((start, end) if start < end else None)
    at_start = start_of(zone, odd + 3 * DAY)
    assert calls.last("7d").instants(at_start) == (start_of(zone, odd - 4 * DAY), at_start)


@more_zones
def test_a_period_is_its_dates(case):
    """`during` and `between` of dates start and end with the first instants of these dates."""
    zone, odd = case
    calls = vf.vq.call().count().tz(zone)
    first, following = odd.replace(day=1), months_before(odd, -1)
    assert calls.during(f"{odd:%Y-%m}").instants() == (start_of(zone, first), start_of(zone, following))
    assert calls.between(odd - DAY, odd + 2 * DAY).instants() == (
        start_of(zone, odd - DAY), start_of(zone, odd + 2 * DAY),
    )  # fmt: skip


@more_zones
def test_the_earlier_period_is_as_many_dates(case):
    """`compare` moves dates, with a step and without, also where one of them has no midnight."""
    zone, odd = case
    later = datetime(2038, 1, 1, tzinfo=UTC)
    for low in (odd - 7 * DAY, odd, odd + DAY):
        high = low + 7 * DAY
        if start_of(zone, low) == start_of(zone, low + DAY) or start_of(zone, high) == start_of(zone, high + DAY):
            continue  # no day starts there
        for to in ("7d", "previous"):
            before = start_of(zone, low - 7 * DAY), start_of(zone, low)
            if low.day == high.day == 1 or before[0] == start_of(zone, low - 6 * DAY) or before[0] == before[1]:
                continue
            query = vf.vq.call().count().tz(zone).between(low, high)
            for one in (query, query.step("day")):
                for align in ("ordinal", "weekday", "calendar") if one.time_step else ("ordinal",):
                    assert one.compare(to, align=align).periods(later)[2:4] == before
    first, following = odd.replace(day=1), months_before(odd, -1)
    for low in (first, following):
        query = vf.vq.call().count().tz(zone).during(f"{low:%Y-%m}")
        for to in ("previous", "1mo"):
            earlier = start_of(zone, months_before(low, 1)), start_of(zone, low)
            assert query.compare(to).periods(later)[2:4] == earlier
            assert query.step("day").compare(to).periods(later)[2:4] == earlier
    complete = vf.vq.call().count().tz(zone).step("day").last("7d", complete=True).compare("previous", align="weekday")
    today = odd + 3 * DAY
    assert complete.periods(start_of(zone, today) + timedelta(hours=5))[:4] == (
        start_of(zone, today - 7 * DAY), start_of(zone, today),
        start_of(zone, today - 14 * DAY), start_of(zone, today - 7 * DAY),
    )  # fmt: skip


@cache
def count_half_hours(zone, start, end):
    """Return a source of a call every half hour, as of *end*, and how many calls each date of the *zone* has."""
    times = [start + timedelta(minutes=30 * i) for i in range(int((end - start) / timedelta(minutes=30)))]
    calls = pa.table(
        {"id": [str(i) for i in range(len(times))], "createdAt": pa.array(times, pa.timestamp("us", "UTC"))}
    )
    counted = pd.Series([at.astimezone(ZoneInfo(zone)).date() for at in times]).value_counts()
    return vf.local(calls, now=end), counted


@pytest.mark.extra("local")
@pytest.mark.parametrize("align", ["ordinal", "weekday", "calendar"])
@pytest.mark.parametrize("zone", [zone for zone in SAMPLE if zone != "America/Goose_Bay"])
def test_each_day_is_compared_with_that_of_the_week_before(zone, align):
    """The rows of a comparison, of a call every half hour, are what a loop over the calls counts."""
    odd = (odd_midnights(zone) or [date(2026, 9, 6)])[-1]
    low = odd - 3 * DAY
    vq, counted = count_half_hours(zone, start_of(zone, odd - 12 * DAY), start_of(zone, odd + 12 * DAY))
    query = vq.call().count().tz(zone).step("day").between(low, low + 7 * DAY)
    frame = query.compare("7d", align=align).fetch()
    days = [low + i * DAY for i in range(7) if low + i * DAY in counted.index]
    assert [at.date() for at in frame.index[: len(days)]] == days
    assert frame["countId"].iloc[: len(days)].tolist() == [counted[day] for day in days]
    if len(days) == 7:
        assert [at.date() for at in frame["dateBefore"]] == [day - 7 * DAY for day in days]
        assert frame["countIdBefore"].tolist() == [counted[day - 7 * DAY] for day in days]


@pytest.mark.extra("local")
@pytest.mark.parametrize("low", [date(2011, 12, 25) + i * DAY for i in range(14)])
@pytest.mark.parametrize(("to", "days"), [("7d", 7), ("previous", 7), ("1d", 1)])
def test_a_date_that_was_skipped_has_no_calls(low, to, days):
    """Apia had no 30 December 2011: ranges around it, and the earlier ones, are sums over the dates that there were."""
    start = datetime(2011, 12, 10, tzinfo=UTC)
    vq, counted = count_half_hours("Pacific/Apia", start, start + 40 * DAY)
    query = vq.call().count().tz("Pacific/Apia")
    frame = query.between(low, low + 7 * DAY).compare(to).fetch()
    expected = [sum(counted.get(first + i * DAY, 0) for i in range(7)) for first in (low, low - days * DAY)]
    assert frame.iloc[0].tolist()[:2] == expected


@given(
    st.sampled_from(WHOLE_ZONES),
    st.datetimes(datetime(1970, 1, 3), datetime(2037, 1, 1))
    | st.datetimes(datetime(2026, 3, 1), datetime(2026, 11, 9)),
    st.sampled_from([0, 1]),
)
def test_a_naive_datetime_is_what_python_says(zone, wall, fold):
    """The fold of a naive datetime counts, as PEP 495 has it, and the code of the query keeps it."""
    wall = wall.replace(fold=fold)
    query = vf.vq.call().count().tz(zone).since(wall)
    assert query.instants()[0] == wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    assert parse_query(repr(query)) == query


def test_the_second_of_two_equal_times():
    """01:30 comes twice in New York on that day, and the range between the two is an hour."""
    first = datetime(2026, 11, 1, 1, 30)
    query = vf.vq.call().count().between(first, first.replace(fold=1)).tz("America/New_York")
    assert query.instants() == (datetime(2026, 11, 1, 5, 30, tzinfo=UTC), datetime(2026, 11, 1, 6, 30, tzinfo=UTC))
    assert str(query) == (
        'vq.call().count().between("2026-11-01T01:30:00", "2026-11-01T01:30:00[fold=1]").tz("America/New_York")'
    )
    with pytest.raises(QueryError, match="the range is empty"):
        query.tz("UTC").instants()
    for wrong in ("2026-11-01[fold=1]", "2026-11-01T01:30:00[fold=2]", "[fold=1]"):
        with pytest.raises(QueryError, match="not an ISO 8601 date"):
            vf.vq.call().since(wrong)


@pytest.mark.parametrize("to", ["1d", "4d", "1mo"])
def test_minutes_that_the_clock_turns_around_have_no_earlier_period(to):
    """At 00:01 the clock in St. John's went back to 23:01, so that on it the range ends before it starts."""
    query = vf.vq.call().count().tz("America/St_Johns").between("2009-11-01T02:30:00Z", "2009-11-01T02:31:00Z")
    with pytest.raises(QueryError, match="empty range on the clock of America/St_Johns"):
        query.compare(to).periods(datetime(2010, 1, 1, tzinfo=UTC))
