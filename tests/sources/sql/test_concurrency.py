"""Concurrency and minutes used, from call records: which calls count, when they are active, and the warnings."""

from __future__ import annotations

import math
import warnings
from datetime import UTC, datetime, timedelta

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.reference import compute
from tests.support.shapes import check
from vapi_frames.errors import QueryError, QueryWarning, RecordsError, RecordsWarning
from vapi_frames.sources.sql import concurrency_numpy

pytestmark = pytest.mark.extra("local")

NOW = "2026-10-02T00:00Z"


def records(*calls, now=NOW):
    """Return a Vq over calls of (startedAt, endedAt, status) on 2026-10-01, each created when it started."""
    return vf.local(
        [
            {"id": str(i), "createdAt": at(started), "startedAt": at(started), "endedAt": at(ended), "status": status}
            for i, (started, ended, status) in enumerate(calls)
        ],
        now=now,
    )


def at(clock):
    """Return a time of 2026-10-01 as the API writes it; a longer text is returned unchanged."""
    return clock if clock is None or len(clock) > 5 else f"2026-10-01T{clock}:00.000Z"


def hours(query, first=0, last=4):
    """Fetch *query* for hours of that morning."""
    start, end = (datetime(2026, 10, 1, hour, tzinfo=UTC) for hour in (first, last))
    return query.step("hour").between(start, end).fetch()


def test_every_bucket_has_a_row_and_extremes_hold_over_time():
    """A call that fills an hour from its first to its last instant makes its minimum 1; quiet hours have a row of 0."""
    vq = records(("01:00", "02:00", "ended"), ("01:15", "01:30", "ended"))
    frame = hours(vq.subscription().max("concurrency").min("concurrency").avg("concurrency"))
    assert frame["maxConcurrency"].tolist() == [0, 2, 0, 0]
    assert frame["minConcurrency"].tolist() == [0, 1, 0, 0]
    assert frame["avgConcurrency"].tolist() == [0, 1.25, 0, 0]
    assert set(map(str, frame.dtypes)) == {"float64"}
    assert frame.vapi.units == dict.fromkeys(frame, "calls at once")


def test_a_call_that_ends_where_another_starts_is_not_concurrent_with_it():
    """Intervals are half-open."""
    vq = records(("01:00", "01:30", "ended"), ("01:30", "02:00", "ended"))
    assert hours(vq.subscription().max("concurrency"))["maxConcurrency"].tolist() == [0, 1, 0, 0]


def test_a_call_counts_wherever_it_was_created():
    """A call that started before the range is active in it; minutes count in the bucket of creation only."""
    vq = records(("2026-09-30T20:00:00Z", "02:30", "ended"))
    frame = hours(vq.subscription().max("concurrency").sum("minutesUsed").count("minutesUsed"), 1, 4)
    assert frame["maxConcurrency"].tolist() == [1, 1, 0]
    assert frame["sumMinutesUsed"].isna().all()
    assert frame["countMinutesUsed"].tolist() == [0, 0, 0]
    used = vq.subscription().sum("minutesUsed").during("2026-09").fetch()
    assert used["sumMinutesUsed"].tolist() == [390.0]


def test_a_call_in_progress_is_active_until_now():
    """What is after now is missing, not 0."""
    vq = records(("00:30", None, "in-progress"), now="2026-10-01T02:30Z")
    with pytest.warns(QueryWarning, match="VF207"):
        frame = hours(vq.subscription().max("concurrency").avg("concurrency"))
    assert frame["maxConcurrency"].tolist()[:3] == [1, 1, 1]
    assert frame["avgConcurrency"].tolist()[:3] == [0.5, 1, 1]
    assert frame.iloc[3].isna().all()


@pytest.mark.parametrize("over", [{"status": "ended"}, {"status": None, "endedReason": "silence-timed-out"}])
def test_a_call_that_is_over_without_an_end_is_left_out_with_a_warning(over):
    """Its end is unknown, so it does not count until now, and a note says that it was left out."""
    lost = {"id": "1", "createdAt": at("00:10"), "startedAt": at("00:10"), **over}
    backward = {"id": "2", "createdAt": at("00:20"), "startedAt": at("00:20"), "endedAt": at("00:10")}
    vq = vf.local([lost, backward], now=NOW)
    with pytest.warns(RecordsWarning) as shown:
        frame = hours(vq.subscription().max("concurrency"))
    assert frame["maxConcurrency"].tolist() == [0, 0, 0, 0]
    notes = [
        "concurrency: 1 calls are over but have no endedAt; they are left out",
        "concurrency: 1 calls ended before they started; they are left out",
    ]
    assert list(frame.vapi.meta.notes) == notes
    assert [str(one.message) for one in shown][:2] == notes


def test_a_call_that_never_started_is_never_active():
    """An unanswered call has no interval, and needs no note."""
    vq = vf.local([{"id": "1", "createdAt": at("00:10"), "status": "ended"}], now=NOW)
    with pytest.warns(RecordsWarning, match="no call was active"):
        frame = hours(vq.subscription().max("concurrency"))
    assert frame["maxConcurrency"].tolist() == [0, 0, 0, 0]
    assert frame.vapi.meta.notes == ()


def test_the_history_is_the_step_function_itself():
    """A row at the range's start and at each change, to the microsecond, with the number of active calls from then on."""
    vq = records(
        ("2026-09-30T23:00:00Z", "00:30", "ended"),
        ("01:00", "2026-10-01T01:10:00.123456Z", "ended"),
        ("01:00", "02:00", "ended"),
        ("02:00", "02:20", "ended"),
    )
    query = vq.subscription().history("concurrency").tz("America/New_York")
    frame = query.between("2026-10-01T00:00Z", "2026-10-01T04:00Z").fetch()
    assert isinstance(frame.index, pd.DatetimeIndex)
    assert str(frame.index.dtype) == "datetime64[us, America/New_York]"
    clock = [date.astimezone(UTC).time().isoformat() for date in frame.index]
    assert clock == ["00:00:00", "00:30:00", "01:00:00", "01:10:00.123456", "02:20:00"]
    assert frame["historyConcurrency"].tolist() == [1, 0, 2, 1, 0]


def test_the_history_with_a_step_is_read_where_buckets_begin():
    """Each value is the one at its date, where a change at that very instant counts."""
    vq = records(("00:30", "01:00", "ended"), ("01:00", "02:30", "ended"), ("01:00", "01:01", "ended"))
    assert hours(vq.subscription().history("concurrency"))["historyConcurrency"].tolist() == [0, 2, 1, 0]


def test_a_bucket_in_two_segments_is_one_row():
    """In St John's the clock was set back from 00:01 to 23:01: the day before went on after the next had begun."""
    calls = [
        {"id": "1", "createdAt": "2009-11-01T02:40Z", "startedAt": "2009-11-01T02:40Z", "endedAt": "2009-11-01T03:00Z",
         "status": "ended"},
    ]  # fmt: skip
    query = vf.local(calls, now=NOW).subscription().max("concurrency").avg("concurrency").tz("America/St_Johns")
    frame = query.step("day").between("2009-10-31T02:30Z", "2009-11-02T03:30Z").fetch()
    assert [date.day for date in frame.index] == [31, 1]
    assert frame["maxConcurrency"].tolist() == [1, 0]
    assert frame["avgConcurrency"].tolist() == pytest.approx([20 / (24 * 60 + 59), 0])


def test_records_without_status_and_reason_are_refused():
    """Without both, a call without an end could be in progress or over."""
    frame = pd.DataFrame({"createdAt": pd.to_datetime(["2026-10-01"], utc=True).as_unit("us")})
    frame["startedAt"] = frame["endedAt"] = frame["createdAt"]
    with pytest.raises(RecordsError, match="no column 'status'"):
        vf.local(frame, now=NOW).subscription().max("concurrency").during("2026-10").fetch()
    query = vf.local(frame.assign(endedReason="x"), now=NOW).subscription().max("concurrency")
    with pytest.warns(RecordsWarning, match="no call was active"):
        empty = query.between("2026-10-01", "2026-10-02").fetch()
    assert empty["maxConcurrency"].tolist() == [0]


def test_too_many_rows_are_refused():
    """Each bucket has a row, so a step of a second over years is an error before anything is read."""
    query = records(("01:00", "02:00", "ended")).subscription().max("concurrency").step("second")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(QueryError, match="at most 10,000,000"):
            query.between("2020-01-01", "2026-01-01").fetch()


def test_a_range_may_begin_before_any_record():
    """Decades before the first record are rows of 0."""
    vq = records(("01:00", "02:00", "ended"))
    with pytest.warns(QueryWarning):
        frame = vq.subscription().max("concurrency").step("decade").between("1931-01-01", "2026-10-02").fetch()
    assert frame["maxConcurrency"].tolist() == [0] * 9 + [1]


def test_a_range_after_now_has_missing_values():
    """Its buckets have rows without values; its history has no row."""
    vq = records(("01:00", None, "in-progress"), now="2026-10-01T02:00Z")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = hours(vq.subscription().max("concurrency"), 2)
        history = vq.subscription().history("concurrency").between("2026-10-01T02:00Z", "2026-10-01T03:00Z").fetch()
    assert frame["maxConcurrency"].map(math.isnan).all()
    assert history.empty
    assert list(history.columns) == ["historyConcurrency"]


def test_an_empty_reason_is_no_reason():
    """A call in progress with the endedReason "" is in progress."""
    call = {"id": "1", "createdAt": at("00:10"), "startedAt": at("00:10"), "status": "in-progress", "endedReason": ""}
    vq = vf.local([call], now="2026-10-01T02:00Z")
    assert hours(vq.subscription().max("concurrency"), 0, 2)["maxConcurrency"].tolist() == [1, 1]


@pytest.mark.parametrize("years", [("0002-06-01", "0003-06-01"), ("2026-01-01", "8999-01-01")])
def test_ranges_may_reach_the_ends_of_the_calendar(years):
    """Far ranges in a zone with summer time are no error and take no minutes: rules repeat every 400 years."""
    query = records(("01:00", "02:00", "ended")).subscription().max("concurrency").step("century").tz("America/Havana")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = query.between(*years).fetch()
    assert frame["maxConcurrency"].iloc[0] == (0 if years[0] < "2" and years[0].startswith("0") else 1)


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("step", [None, "minute", "hour", "day"])
def test_the_size_of_a_batch_changes_no_value(monkeypatch, zone, step):
    """However few events a batch has, and where the clock changes among them, the result is the same."""
    query = vf.demo().subscription().max("concurrency").min("concurrency").avg("concurrency").tz(zone)
    query = query.between("2026-10-31T12:00", "2026-11-02T12:00") if step else query.during("2026-11-01")
    query = query.step(step) if step else query
    whole = query.fetch()
    for part in (1, 7, 100):
        monkeypatch.setattr(concurrency_numpy, "_BATCH", part)
        pd.testing.assert_frame_equal(query.fetch(), whole, check_exact=True)


_MOMENTS = st.datetimes(datetime(2026, 9, 1), datetime(2026, 12, 1)).map(lambda at: at.replace(tzinfo=UTC))
_LENGTHS = st.sampled_from([0, 1, 59_999_999, 60_000_000, 3_600_000_000, 86_400_000_000, 40 * 86_400_000_000])


@pytest.mark.long
@pytest.mark.extra("warehouse")
@given(
    st.lists(st.tuples(_MOMENTS | st.just(datetime(2026, 11, 1, 4, tzinfo=UTC)), _LENGTHS), max_size=12),
    st.sampled_from(["minute", "hour", "day", "week", "month", "year", None]),
    st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu"]),
    _MOMENTS,
    st.integers(1, 60),
)
@examples(12)
def test_parts_of_buckets_add_up_in_an_engine_and_here(calls, step, zone, begin, length):
    """An engine counts within parts of a bucket; the sums are those of plain loops, whatever the step and the zone."""
    begin = begin.replace(minute=begin.minute // 15 * 15, second=0, microsecond=0)
    end = begin + (timedelta(minutes=20 * length) if step == "minute" else timedelta(hours=20 * length))
    found = [
        {"createdAt": start, "startedAt": start, "endedAt": start + timedelta(microseconds=length), "status": "ended"}
        for start, length in calls
    ]
    now = datetime(2026, 12, 20, tzinfo=UTC)
    query = vf.vq.subscription().tz(zone).between(begin, end)
    query = query.step(step) if step else query
    level = query.max("concurrency").min("concurrency").avg("concurrency")
    table = pa.table(
        {
            name: pa.array(
                [call[name] for call in found], pa.timestamp("us", "UTC") if name != "status" else pa.string()
            )
            for name in ("createdAt", "startedAt", "endedAt", "status")
        }
    )
    with duckdb.connect() as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        connection.register("calls", table)
        for source in (
            vf.warehouse(connection, "calls", dialect="duckdb", now=now),
            vf.local(table.to_pandas(), now=now),
        ):
            for one in (level, query.history("concurrency")):
                [frame] = source.fetch(one).values()
                check(frame, one, compute(found, one, now))
