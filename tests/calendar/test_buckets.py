"""The calendar against the results of PostgreSQL, and its difficult days by name."""

from __future__ import annotations

import csv
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from vapi_frames.calendar import buckets
from vapi_frames.contract.vocabulary import STEPS
from vapi_frames.errors import UnknownWordError

DATA = Path(__file__).parents[1] / "data" / "date_trunc.csv"
LINES = DATA.read_text().splitlines()
# PostgreSQL takes these words for abbreviations, with one fixed offset, before it looks for a zone.
ABBREVIATIONS = next(line for line in LINES if line.startswith("# read as")).split(":")[1].split()
ROWS = [row for row in csv.DictReader(line for line in LINES if line[0] != "#") if row["zone"] not in ABBREVIATIONS]
MADE_WITH = next(line for line in LINES if line.startswith("# zone data")).split("version ")[1].split(",")[0]


def local_zone_data():
    """Return the version of the zone data that `zoneinfo` reads here, if it says so."""
    for folder in TZPATH:
        for name, start in (("tzdata.zi", "# version "), ("+VERSION", "")):
            path = Path(folder, name)
            if path.is_file():
                return path.read_text().splitlines()[0].removeprefix(start)
    import tzdata

    return tzdata.IANA_VERSION


def at(text, zone="UTC"):
    """Return wall clock text in a zone as seconds since 1970; ``text`` may end in 'second' for the later of two."""
    local = datetime.fromisoformat(text.removesuffix(" second"))
    return buckets.to_seconds(local.replace(tzinfo=ZoneInfo(zone), fold=text.endswith("second")).astimezone(UTC))


def wall(instant, zone):
    """Return an instant as the clock in *zone* shows it."""
    return buckets.from_seconds(instant).astimezone(ZoneInfo(zone)).isoformat()


def test_the_data_are_plenty():
    """The comparison is about thousands of instants, all steps and hundreds of zones."""
    assert len(ROWS) >= 5000
    assert {row["step"] for row in ROWS} == set(STEPS)
    assert len({row["zone"] for row in ROWS}) > 500


def test_every_bucket_is_the_one_postgresql_names():
    """A bucket is PostgreSQL's date_trunc(step, instant, zone), in every zone and at every step."""
    wrong = []
    for row in ROWS:
        instant = int(row["instant"]) // 1_000_000
        bucket = buckets.floor_to_bucket(instant, row["step"], buckets.find_zone(row["zone"])) * 1_000_000
        if bucket != int(row["bucket"]):
            wrong.append(row)
    # Zone data of another year know other laws; then only a handful may differ, and none before the newest.
    allowed = 0 if local_zone_data() == MADE_WITH else len(ROWS) // 100
    assert len(wrong) <= allowed, wrong[:5]


def test_every_bucket_is_on_the_grid_and_spans_its_instants():
    """The bucket of an instant is recognized as one, and its bounds contain the instant."""
    for row in ROWS[::3]:
        tz, instant = buckets.find_zone(row["zone"]), int(row["instant"]) // 1_000_000
        bucket = buckets.floor_to_bucket(instant, row["step"], tz)
        assert buckets.is_bucket_label(bucket, row["step"], tz), row
        span = buckets.find_bounds(bucket, row["step"], tz)
        assert span.start <= instant < span.end, row


@pytest.mark.parametrize(
    ("zone", "start", "end", "hours"),
    [
        ("America/New_York", "2026-03-07", "2026-03-10", [24, 23, 24]),
        ("America/New_York", "2026-10-31", "2026-11-03", [24, 25, 24]),
        ("America/Sao_Paulo", "2018-11-03", "2018-11-06", [24, 23, 24]),
        ("Africa/Cairo", "2024-04-25", "2024-04-28", [24, 23, 24]),
        ("America/Havana", "2023-11-04", "2023-11-07", [24, 25, 24]),
        ("Australia/Lord_Howe", "2023-04-01", "2023-04-04", [24, 24.5, 24]),
        ("Asia/Kathmandu", "1985-12-31", "1986-01-03", [24, 23.75, 24]),
        ("Pacific/Apia", "2011-12-29", "2012-01-02", [24, 24, 24]),
    ],
)
def test_days_have_the_length_that_the_clock_gives_them(zone, start, end, hours):
    """Days of 23, 25 and 24.5 hours, midnights that are skipped or come twice, and a skipped day."""
    tz = buckets.find_zone(zone)
    days = buckets.list_buckets(at(start, zone), at(end, zone), "day", tz)
    spans = [buckets.find_bounds(day, "day", tz) for day in days]
    assert [(span.end - span.start) / 3600 for span in spans] == hours
    assert all(one.end == other.start for one, other in itertools.pairwise(spans))


def test_a_midnight_that_does_not_exist_is_the_first_moment_after():
    """In São Paulo on 2018-11-04 and in Cairo on 2024-04-26 the day begins at one o'clock."""
    for zone, noon, first in (
        ("America/Sao_Paulo", "2018-11-04T12:00", "2018-11-04T01:00:00-02:00"),
        ("Africa/Cairo", "2024-04-26T12:00", "2024-04-26T01:00:00+03:00"),
    ):
        assert wall(buckets.floor_to_bucket(at(noon, zone), "day", buckets.find_zone(zone)), zone) == first


def test_a_midnight_that_comes_twice_names_by_the_second_and_begins_at_the_first():
    """In Havana the day of 2023-11-05 is labeled by its second midnight, as in PostgreSQL, and contains both hours."""
    tz = buckets.find_zone("America/Havana")
    first, second = at("2023-11-05", "America/Havana"), at("2023-11-05 second", "America/Havana")
    assert buckets.floor_to_bucket(first + 60, "day", tz) == second
    assert buckets.find_bounds(second, "day", tz).start == first


def test_a_clock_that_runs_back_over_midnight_and_month_keeps_local_days_apart():
    """In St John's on 2009-11-01 00:01 the clock went back to October: 23:30 came twice, both times on the 31st."""
    zone = "America/St_Johns"
    tz = buckets.find_zone(zone)
    again = at("2009-10-31T23:30 second", zone)
    assert again > at("2009-11-01T00:00", zone)
    assert wall(buckets.floor_to_bucket(again, "month", tz), zone).startswith("2009-10-01")
    assert wall(buckets.floor_to_bucket(at("2009-11-01T00:00:30", zone), "month", tz), zone).startswith("2009-11-01")
    days = buckets.list_buckets(at("2009-10-31", zone), at("2009-11-02", zone), "day", tz)
    assert [wall(day, zone)[:10] for day in days] == ["2009-10-31", "2009-11-01"]


def test_an_hour_is_kept_apart_from_its_twin():
    """When clocks fall back, the two hours of one o'clock are two buckets; a half-hour shift makes a short one."""
    tz = buckets.find_zone("America/New_York")
    hours = buckets.list_buckets(at("2026-11-01", "America/New_York"), at("2026-11-02", "America/New_York"), "hour", tz)
    assert len(hours) == len(set(hours)) == 25
    tz = buckets.find_zone("Australia/Lord_Howe")
    hours = buckets.list_buckets(
        at("2023-04-02", "Australia/Lord_Howe"), at("2023-04-02T05:00", "Australia/Lord_Howe"), "hour", tz
    )
    lengths = [(span.end - span.start) / 60 for span in (buckets.find_bounds(hour, "hour", tz) for hour in hours)]
    assert lengths == [60, 60, 30, 60, 60, 60]


@given(
    st.sampled_from(
        ["America/Havana", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "UTC"]
    ),
    st.sampled_from(["minute", "hour", "day", "week", "month", "quarter", "year", "decade"]),
    st.integers(0, 2_000_000_000),
    st.integers(1, 5 * 86_400),
)
def test_the_buckets_of_a_range_are_those_of_its_instants(zone, step, start, length):
    """list_buckets lists exactly the buckets that instants of the range fall into."""
    tz = buckets.find_zone(zone)
    length = min(length, 3600 * 3) if step == "minute" else length
    every = 60 if step == "minute" else 900
    instants = [*range(start, start + length, every), start + length - 1]
    changes = [c for c, _ in buckets.find_offset_changes(start, start + length, tz)]
    met = {buckets.floor_to_bucket(i, step, tz) for i in [*instants, *changes, *(c - 1 for c in changes)]}
    listed = buckets.list_buckets(start, start + length, step, tz)
    assert listed == sorted(set(listed))
    assert met <= set(listed)
    for bucket in set(listed) - met:
        span = buckets.find_bounds(bucket, step, tz)  # a sample every quarter of an hour can miss a sliver only
        assert min(span.end, start + length) - max(span.start, start) < every


@pytest.mark.parametrize(
    "name", ["America/NewYork", "america/new_york", "", None, "EST5", 5, "../UTC", "America", "right/UTC"]
)
def test_a_zone_that_does_not_exist_names_its_neighbors(name):
    """A wrong zone is refused with the nearest valid name; no zoneinfo exception gets out."""
    with pytest.raises(UnknownWordError) as caught:
        buckets.find_zone(name)
    assert repr(name) in str(caught.value)
    if name in ("America/NewYork", "america/new_york"):
        assert caught.value.suggestions[0] == "America/New_York"


@pytest.mark.parametrize("name", ["localtime", "LocalTime", "Factory", "posixrules", "posix/UTC"])
def test_a_file_of_the_zone_data_that_is_no_zone_is_not_suggested(name):
    """The system's zone data also has files such as localtime, which are refused and so must not be suggested."""
    with pytest.raises(UnknownWordError) as caught:
        buckets.find_zone(name)
    assert not {"localtime", "Factory", "posixrules", name} & set(caught.value.suggestions)


def test_elapsed_share_is_cut_at_both_ends():
    """Of a bucket, only what lies in the range counts."""
    tz = buckets.find_zone("UTC")
    day = at("2026-10-01")
    assert buckets.get_elapsed_share(day, "day", tz, None, None) == 1
    assert buckets.get_elapsed_share(day, "day", tz, day + 6 * 3600, None) == 0.75
    assert buckets.get_elapsed_share(day, "day", tz, day, day + 6 * 3600) == 0.25
    assert buckets.get_elapsed_share(day, "day", tz, day + 86_400, None) == 0


def test_edges_reach_over_the_whole_calendar():
    """Decades, centuries and millennia start where PostgreSQL's do."""
    tz = buckets.find_zone("UTC")
    now = at("2026-10-01")
    starts = {
        step: buckets.from_seconds(buckets.floor_to_bucket(now, step, tz)).year
        for step in ("decade", "century", "millennium")
    }
    assert starts == {"decade": 2020, "century": 2001, "millennium": 2001}
    assert buckets.from_seconds(buckets.floor_to_bucket(now, "week", tz)) == datetime(2026, 9, 28, tzinfo=UTC)
    assert timedelta(seconds=buckets.find_bounds(at("2024-01-01"), "year", tz).end - at("2024-01-01")).days == 366


@given(
    st.sampled_from(
        ["America/New_York", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe", "UTC", "Asia/Tehran"]
    ),
    st.sampled_from(["minute", "hour", "day", "week", "month"]),
    st.integers(0, 2_000_000_000),
    st.integers(-100_000, 100_000),
)
@examples(60)
def test_edges_cut_no_bucket(name, step, around, off):
    """At an edge the buckets before and after have nothing in common, also where the clock runs back over midnight."""
    tz = buckets.find_zone(name)
    changes = buckets.find_offset_changes(around - 20_000_000, around + 20_000_000, tz) or [(around, 0)]
    at = changes[0][0] + off
    before, after = buckets.find_edge_before(at, step, tz), buckets.find_edge_after(at, step, tz)
    assert before <= at <= after
    far = 3 * buckets.APPROXIMATE_SECONDS[step]
    for edge in (before, after):
        left = buckets.list_buckets(edge - far, edge, step, tz)
        right = buckets.list_buckets(edge, edge + far, step, tz)
        assert max(left) < min(right)
    inside = buckets.list_buckets(before, after, step, tz)
    assert len(inside) <= 2, "an edge is the nearest"
