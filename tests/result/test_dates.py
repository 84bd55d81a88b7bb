"""What a server's date means: each possible form, and the forms that leave it open."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vapi_frames.calendar import buckets
from vapi_frames.errors import BucketAlignmentError, ResponseError
from vapi_frames.result.dates import read_dates

NEW_YORK = buckets.find_zone("America/New_York")


def epoch(text, zone="America/New_York"):
    """Return wall clock text as seconds since 1970."""
    return buckets.to_seconds(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC))


RANGE = (epoch("2026-03-07"), epoch("2026-03-10"))
DAYS = [epoch("2026-03-07"), epoch("2026-03-08"), epoch("2026-03-09")]


@pytest.mark.parametrize(
    ("texts", "convention"),
    [
        (["2026-03-07T05:00:00.000Z", "2026-03-08T05:00:00.000Z", "2026-03-09T04:00:00.000Z"], "instant"),
        (["2026-03-07T00:00:00.000Z", "2026-03-08T00:00:00.000Z", "2026-03-09T00:00:00.000Z"], "wall"),
        (["2026-03-07T00:00:00-05:00", "2026-03-08T00:00:00-05:00", "2026-03-09T00:00:00-04:00"], "instant"),
        (["2026-03-07", "2026-03-08", "2026-03-09"], "wall"),
        (["2026-03-07 00:00:00", "2026-03-08 00:00:00", "2026-03-09 00:00:00"], "wall"),
    ],
)
def test_each_form_of_a_local_day_is_recognized(texts, convention):
    """Instant, wall clock stamped Z, explicit offset, bare date: each names the same three days."""
    reading = read_dates(texts, "day", NEW_YORK, *RANGE)
    assert reading.buckets.tolist() == DAYS
    assert reading.convention == convention
    assert not reading.is_assumed


def test_in_utc_there_is_nothing_to_assume():
    """Both readings of a UTC date are the same instant."""
    reading = read_dates(["2026-03-07T00:00:00.000Z", "2026-03-08"], "day", buckets.find_zone("UTC"), None, None)
    assert [buckets.from_seconds(v).day for v in reading.buckets.tolist()] == [7, 8]
    assert not reading.is_assumed


def test_the_range_decides_the_convention_of_hours():
    """An hour's text fits both readings on the grid; the range of the query rules one out."""
    start = epoch("2026-03-08T00:00")
    reading = read_dates(["2026-03-08T05:00:00Z", "2026-03-08T06:00:00Z"], "hour", NEW_YORK, start, start + 2 * 3600)
    assert reading.convention == "instant"
    reading = read_dates(["2026-03-08T00:00:00Z", "2026-03-08T01:00:00Z"], "hour", NEW_YORK, start, start + 2 * 3600)
    assert reading.buckets.tolist() == [start, start + 3600]
    assert reading.convention == "wall"


def test_hours_of_an_open_convention_are_assumed_to_be_instants():
    """Where both readings fit, the instant is taken and the reading says that this was assumed."""
    start = epoch("2026-03-07")
    reading = read_dates(["2026-03-07T12:00:00Z"], "hour", NEW_YORK, start, start + 86_400)
    assert reading.convention == "instant"
    assert reading.is_assumed


def test_a_duplicate_row_rules_a_reading_out():
    """As wall clock, an hour that does not exist would double the next one; so these are instants."""
    texts = ["2026-03-08T06:00:00Z", "2026-03-08T07:00:00Z"]
    reading = read_dates(
        texts, "hour", NEW_YORK, *RANGE, unique=lambda buckets: buckets[0] == epoch("2026-03-08T01:00")
    )
    assert not reading.is_assumed


@pytest.mark.parametrize("text", ["2026-03-08T03:00:00.000Z", "2026-03-08T05:00:01Z", "2026-03-01T05:00:00Z"])
def test_a_date_off_the_grid_or_out_of_range_is_an_error(text):
    """A date that is no bucket of the query's step, zone and range is never shifted to one."""
    with pytest.raises(BucketAlignmentError, match="not the start of a day") as caught:
        read_dates(["2026-03-07T05:00:00.000Z", text], "day", NEW_YORK, *RANGE, path=lambda t: f"$[0].result[{t}].date")
    assert caught.value.path == f"$[0].result[{text}].date"


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", ""])
def test_text_that_is_no_date_is_named(text):
    """A date that cannot be read raises with its place."""
    with pytest.raises(ResponseError, match="not an ISO 8601 date"):
        read_dates([text], "day", NEW_YORK, *RANGE)


def test_a_day_without_midnight_is_recognized_in_both_forms():
    """São Paulo 2018-11-04 begins at 01:00: a server may send that instant or the midnight that did not exist."""
    tz = buckets.find_zone("America/Sao_Paulo")
    day = epoch("2018-11-04T01:00", "America/Sao_Paulo")
    for text in ("2018-11-04T03:00:00.000Z", "2018-11-04T00:00:00.000Z", "2018-11-04"):
        reading = read_dates([text], "day", tz, day, day + 86_400)
        assert reading.buckets.tolist() == [day]


@pytest.mark.parametrize(
    ("zone", "step", "text", "instant"),
    [
        ("America/Havana", "day", "2026-03-08T01:00:00.000Z", "2026-03-08T05:00:00+00:00"),
        ("Australia/Lord_Howe", "hour", "2023-04-02T01:30:00Z", "2023-04-01T14:30:00+00:00"),
    ],
)
def test_a_skipped_edge_may_be_sent_as_the_clock_shows_it(zone, step, text, instant):
    """Where the calendar's edge was skipped, a server's wall clock shows another time; it names the same bucket."""
    at = buckets.to_seconds(datetime.fromisoformat(instant))
    reading = read_dates([text], step, buckets.find_zone(zone), at - 7200, at + 7200)
    assert reading.buckets.tolist() == [at]


def test_the_range_decides_the_convention_of_a_history():
    """Without a step any instant is a date, so only the range can say which reading is right."""
    start = epoch("2026-10-01")
    texts = ["2026-10-01T04:00:00.000Z", "2026-10-02T01:00:00.250Z"]
    reading = read_dates(texts, None, NEW_YORK, start, start + 86_400)
    assert (reading.convention, reading.is_assumed) == ("instant", False)
    assert reading.buckets.tolist() == [start, start + 75_600]
    wall = ["2026-10-01T00:00:00.000Z", "2026-10-01T21:00:00.250Z"]
    reading = read_dates(wall, None, NEW_YORK, start, start + 86_400)
    assert (reading.convention, reading.is_assumed) == ("wall", False)
    assert reading.buckets.tolist() == [start, start + 75_600]


ZONES = ["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia"]


@given(st.data())
def test_many_dates_mean_what_each_of_them_does(data):
    """Dates in the published form are read all at once; with a space for their T, one by one."""
    tz = buckets.find_zone(data.draw(st.sampled_from(ZONES)))
    step = data.draw(st.sampled_from(["second", "minute", "hour", None]))
    near = [at for at, _ in buckets.find_offset_changes(300_000_000, 1_800_000_000, tz)] or [1_000_000_000]
    begin = data.draw(st.sampled_from(near)) + data.draw(st.integers(-100_000, 100_000))
    begin -= begin % data.draw(st.sampled_from([1, 60, 900, 1800, 3600]))
    gaps = data.draw(st.lists(st.sampled_from([1, 60, 1800, 3600, 86_400, 8_000_000]), max_size=80))
    part = data.draw(st.sampled_from([".000Z", ".000Z", "Z", ".250Z"]))
    at = [begin + sum(gaps[:n]) for n in range(len(gaps) + 1)]
    texts = [buckets.from_seconds(one).strftime("%Y-%m-%dT%H:%M:%S") + part for one in at]
    span = data.draw(st.sampled_from([(None, None), (at[0], at[-1] + 3600), (at[0] + 3600, None)]))

    def read(texts):
        try:
            reading = read_dates(texts, step, tz, *span)
        except BucketAlignmentError as error:
            return str(error).replace("T", " ")
        return reading.buckets.tolist(), reading.convention, reading.is_assumed

    one_by_one = read([text.replace("T", " ") for text in texts])
    assert read(texts) == one_by_one


@pytest.mark.parametrize("text", ["2026-02-30T00:00:00.000Z", "2026-02-03T25:00:00.000Z", "9999-02-03T00:00:00.000Z"])
def test_a_date_in_the_published_form_that_is_none_is_named(text):
    """What looks like a date and is none is named, as any other text is."""
    with pytest.raises(ResponseError, match=text):
        read_dates(
            [*(f"2026-03-{day:02}T05:00:00.000Z" for day in range(1, 32)), "2026-04-01T05:00:00.000Z", text],
            "hour",
            NEW_YORK,
            None,
            None,
        )
