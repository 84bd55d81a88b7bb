"""A query against another period: both are fetched at once, paired on the calendar, and compared only where both have values."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support import reference, servers
from tests.support.examples import examples
from tests.support.shapes import as_frame
from tests.support.strategies import ZONES, call_lists
from vapi_frames import vq
from vapi_frames.errors import FrameWarning, QueryError, UnknownWordError
from vapi_frames.frames.side_by_side import compare_frames
from vapi_frames.query.query import Query

NOW = datetime(2026, 11, 16, tzinfo=UTC)
pytestmark = [
    pytest.mark.extra("local"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning"),
]


def call(at, cost=1.0, **more):
    """Return a call record."""
    return {"id": at, "createdAt": at, "cost": cost, **more}


def days(first, count, cost):
    """Return a call a day at noon, UTC."""
    start = datetime.fromisoformat(f"{first}T12:00+00:00")
    return [call((start + timedelta(days=i)).isoformat(), cost + i) for i in range(count)]


def spans(query, now=NOW, **options):
    """Return the two ranges that a comparison asks for, as text."""
    found = query.compare(**options).periods(now)
    return tuple(side.astimezone(query.zone).strftime("%m-%d %H:%M") for side in found[:4])


class TestThePeriodBefore:
    """Which range the query is set against."""

    @pytest.mark.parametrize(
        ("query", "to", "before"),
        [
            (vq.call().during("2026-10"), "previous", ("09-01 00:00", "10-01 00:00")),
            (vq.call().during("2026-03"), "previous", ("02-01 00:00", "03-01 00:00")),
            (vq.call().during("2026Q3"), "previous", ("04-01 00:00", "07-01 00:00")),
            (vq.call().during("2026-W45"), "previous", ("10-26 00:00", "11-02 00:00")),
            (vq.call().during("2026-10"), "1y", ("10-01 00:00", "11-01 00:00")),
            (vq.call().between("2026-11-01", "2026-11-11"), "previous", ("10-22 00:00", "11-01 00:00")),
            (vq.call().between("2026-11-01T06:00", "2026-11-01T09:30"), "previous", ("11-01 02:30", "11-01 06:00")),
            (vq.call().last("30d"), "previous", ("09-17 00:00", "10-17 00:00")),
            (vq.call().last("1mo"), "previous", ("09-16 00:00", "10-16 00:00")),
            (vq.call().last("7d"), "7d", ("11-02 00:00", "11-09 00:00")),
            (vq.call(), "previous", ("11-02 00:00", "11-09 00:00")),
            (vq.call().step("week").last("4w", complete=True), "previous", ("09-21 00:00", "10-19 00:00")),
        ],
    )
    def test_it_is_as_long_on_the_calendar(self, query, to, before):
        """Whole months are set against months, days against days, all else against as much time."""
        assert spans(query.count(), to=to)[2:] == before

    def test_what_has_not_happened_yet_is_cut_off_first(self):
        """A month until today is set against the same part of the month before, to the minute."""
        noon = datetime(2026, 11, 16, 17, 30, tzinfo=UTC)
        query = vq.call().count().tz("America/New_York")
        assert spans(query.during("2026-11"), noon)[2:] == ("10-01 00:00", "10-16 12:30")
        assert spans(query.since("2026-11-01"), noon)[2:] == ("10-16 00:00", "10-31 12:30")
        assert spans(query.last("3d"), noon)[2:] == ("11-10 12:30", "11-13 12:30")

    def test_the_end_of_a_longer_month_faces_the_end_of_a_shorter(self):
        """On March 31 at noon all of February is over."""
        at = datetime(2026, 3, 31, 12, tzinfo=UTC)
        assert spans(vq.call().count().during("2026-03"), at)[2:] == ("02-01 00:00", "03-01 00:00")

    def test_both_go_out_in_one_body(self):
        """The body holds the query and the other period, under names of their own."""
        comparison = vq.call().sum("cost").step("day").during("2026-10").named("spend").compare()
        present, before = comparison.body(NOW)["queries"]
        assert (present["name"], before["name"]) == ("spend", "spend-before")
        assert before["timeRange"]["start"] == "2026-09-01T00:00:00Z"
        assert str(comparison).endswith('.named("spend").compare("previous")')

    @pytest.mark.parametrize(
        ("build", "match"),
        [
            (lambda q: q.compare("yesterday"), "or 'previous'"),
            (lambda q: q.compare(align="weekdays"), "did you mean 'weekday'"),
            (lambda q: q.step("month").compare(align="weekday"), "a month has no weekday"),
            (lambda q: q.step("week").compare("1y", align="calendar"), "compare with '4w' or '52w'"),
            (lambda q: q.sum("cost", alias="countIdDelta").compare(), "a column that the comparison adds"),
            (lambda q: q.step("week").during("2026-W45").compare("1y").periods(NOW), "in the middle of one.*'52w'"),
            (lambda q: q.step("month").during("2026-10").compare("7d").periods(NOW), "use a span of whole months"),
            (lambda q: q.during("2027").compare().periods(NOW), "in the future"),
            (lambda q: q.step("day").last("3d").compare("3d", align="weekday").periods(NOW), "less than half a week"),
        ],
    )
    def test_what_cannot_be_compared_is_refused_before_anyone_is_asked(self, build, match):
        """The error says what would be right."""
        with pytest.raises((QueryError, UnknownWordError), match=match):
            build(vq.call().count())
        with pytest.raises(QueryError, match="history"):
            vq.subscription().history("concurrency").compare()


class TestSideBySide:
    """What comes back."""

    def vq(self):
        """Return a Vq over two Octobers' worth of days."""
        return vf.local([*days("2026-09-01", 30, 1.0), *days("2026-10-01", 31, 101.0)], now=NOW)

    def test_the_frame_is_as_settled(self):
        """Four float columns a measure, then the date that each bucket is set against."""
        df = self.vq().call().sum("cost").count().step("day").during("2026-10").compare().fetch()
        assert list(df.columns) == [
            "sumCost", "sumCostBefore", "sumCostDelta", "sumCostPercent",
            "countId", "countIdBefore", "countIdDelta", "countIdPercent", "dateBefore",
        ]  # fmt: skip
        assert {str(dtype) for dtype in df.dtypes[:-1]} == {"float64"}
        assert str(df["dateBefore"].dtype) == "datetime64[us, UTC]"
        assert df.index.name == "date"
        assert df.iloc[0].tolist()[:4] == [101.0, 1.0, 100.0, 10_000.0]
        assert df.vapi.units["sumCostDelta"] == "USD"
        assert df.vapi.units["sumCostPercent"] == "%"

    def test_unequal_lengths_keep_every_row(self):
        """The 31st has no partner in September; in September's own frame, October 31 is kept without a date."""
        df = self.vq().call().sum("cost").step("day").during("2026-10").compare().fetch()
        assert len(df) == 31
        assert math.isnan(df["sumCostBefore"].iloc[-1])
        assert pd.isna(df["dateBefore"].iloc[-1])
        calls = [*days("2026-10-01", 31, 1.0), *days("2026-11-01", 15, 1.0)]
        november = (
            vf.local(calls, now="2026-12-02T00:00Z").call().sum("cost").step("day").during("2026-11").compare().fetch()
        )
        assert len(november) == 31
        assert pd.isna(november.index[-1])
        assert november["dateBefore"].iloc[-1] == pd.Timestamp("2026-10-31", tz="UTC")
        assert math.isnan(november["sumCostDelta"].iloc[-1])

    def test_absent_rows_take_the_rule_of_the_measure(self):
        """There are no calls: the sum was 0, the average is missing; a percentage of 0 is missing."""
        calls = [*days("2026-11-02", 2, 5.0), call("2026-11-04T12:00Z", 7.0), call("2026-11-10T12:00Z", 9.0)]
        query = vf.local(calls, now=NOW).call().sum("cost").avg("cost").step("day").between("2026-11-09", "2026-11-12")
        df = query.compare("7d").fetch()
        assert df["sumCost"].tolist() == [0.0, 9.0, 0.0]
        assert df["sumCostBefore"].tolist() == [5.0, 6.0, 7.0]
        assert df["sumCostDelta"].tolist() == [-5.0, 3.0, -7.0]
        assert df["avgCost"].isna().tolist() == [True, False, True]
        later = (
            vf.local(calls, now=NOW)
            .call()
            .sum("cost")
            .step("day")
            .between("2026-11-02", "2026-11-03")
            .compare("7d")
            .fetch()
        )
        assert later["sumCostDelta"].tolist() == [5.0]
        assert later["sumCostPercent"].isna().tolist() == [True]

    def test_groups_of_either_period_are_there(self):
        """A group that is new was 0 before, one that is gone is 0 now; the missing one stands last."""
        calls = [
            call("2026-11-02T12:00Z", type="a"),
            call("2026-11-03T12:00Z"),
            call("2026-11-10T12:00Z", 4.0, type="b"),
        ]
        df = (
            vf.local(calls, now=NOW)
            .call()
            .sum("cost")
            .by("type")
            .between("2026-11-09", "2026-11-12")
            .compare("7d")
            .fetch()
        )
        assert df.index.tolist()[:2] == ["a", "b"]
        assert pd.isna(df.index[2])
        assert df["sumCostDelta"].tolist() == [-1.0, 4.0, -1.0]
        assert "dateBefore" not in df.columns

    def test_neither_step_nor_group_is_one_row(self):
        """Also where there are no calls in either period."""
        df = (
            vf.local(days("2026-10-01", 3, 1.0), now=NOW).call().sum("cost").count().during("2026-01").compare().fetch()
        )
        assert df.shape == (1, 8)
        assert df["countIdDelta"].tolist() == [0.0]

    def test_partial_buckets_are_compared_with_their_like_only(self):
        """Half of today against half of the same day a week ago; a day of 25 hours has no like, and that is said."""
        calls = [call(f"2026-11-{day:02}T{hour:02}:30Z") for day in range(1, 17) for hour in range(24)]
        vq = vf.local(calls, now="2026-11-16T12:00Z")
        df = vq.call().count().step("day").since("2026-11-09").compare("7d").fetch()
        assert df["countId"].iloc[-1] == df["countIdBefore"].iloc[-1] == 12
        assert df["countIdDelta"].tolist() == [0.0] * 8
        assert df.vapi.partial.tolist() == [False] * 7 + [True]
        clock = vf.local(calls, now="2026-11-08T17:00Z").call().count().step("day").tz("America/New_York")
        with pytest.warns(FrameWarning, match="1 row of a partial day cannot be compared"):
            changed = clock.between("2026-11-08", "2026-11-09").compare("7d").fetch()
        assert changed["countIdBefore"].notna().all()
        assert changed["countIdDelta"].isna().all()
        assert "cannot be compared" in changed.vapi.describe()

    def test_buckets_that_have_not_begun_are_not_zero(self):
        """Tomorrow has no data, so the day that it would be compared with is not queried."""
        df = (
            vf.local(days("2026-11-01", 15, 1.0), now=NOW)
            .call()
            .sum("cost")
            .step("day")
            .between("2026-11-14", "2026-11-20")
        )
        found = df.compare("7d").fetch()
        assert len(found) == 2

    def test_weekdays_face_weekdays(self):
        """Thursday, October 1 is set against Thursday, September 3."""
        df = self.vq().call().sum("cost").step("day").during("2026-10").compare(align="weekday").fetch()
        both = df[df["dateBefore"].notna() & df.index.notna()]
        assert len(both) == 28
        assert (both.index.day_of_week == both["dateBefore"].dt.day_of_week).all()

    def test_dates_face_dates(self):
        """February 29 faces no day of 2027."""
        vq = vf.local([*days("2028-02-01", 29, 1.0), *days("2027-02-01", 28, 1.0)], now="2028-03-02T00:00Z")
        df = vq.call().sum("cost").step("day").during("2028-02").compare("1y", align="calendar").fetch()
        assert df["dateBefore"].iloc[27] == pd.Timestamp("2027-02-28", tz="UTC")
        assert pd.isna(df["dateBefore"].iloc[28])

    def test_hours_face_hours_where_the_clock_was_turned(self):
        """The hour that comes twice faces one hour of a day that has it once; no hour is used twice."""
        calls = [call(f"2026-{day}T{hour:02}:15Z") for day in ("10-31", "11-01", "11-02") for hour in range(24)]
        vq = vf.local(calls, now=NOW)
        query = vq.call().count().step("hour").tz("America/New_York").during("2026-11-01")
        df = query.compare("1d", align="calendar").fetch()
        assert len(df) == 25
        assert df["dateBefore"].nunique() == 24
        assert int(df["dateBefore"].isna().sum()) == 1

    @pytest.mark.parametrize("backend", [None, "numpy_nullable", "pyarrow"])
    def test_types_follow_the_backend(self, backend):
        """A missing value is that of the backend; categories of both periods are there."""
        calls = [call("2026-11-02T12:00Z", type="a"), call("2026-11-10T12:00Z", 4.0, type="b")]
        query = vf.local(calls, now=NOW).call().sum("cost").by("type").between("2026-11-09", "2026-11-12").compare("7d")
        df = query.fetch(dtype_backend=backend, categorical=True)
        kind = {None: "float64", "numpy_nullable": "Float64", "pyarrow": "double[pyarrow]"}[backend]
        assert {str(dtype) for dtype in df.dtypes} == {kind}
        assert list(df.index.categories) == ["a", "b"]

    def test_a_comparison_is_not_rolled_up_to_other_buckets(self):
        """The verbs say why, and what can be done."""
        df = self.vq().call().sum("cost").step("day").during("2026-10").compare().fetch()
        with pytest.raises(ValueError, match="the buckets of a comparison face each other one by one"):
            df[df.index.notna()].vapi.rollup("month")
        assert df.vapi.plot().get_title() == "Cost per day, and before"


def test_both_periods_are_one_request():
    """The API gets one request."""
    nothing = servers.answering(change=lambda found: [one | {"result": []} for one in found])
    with servers.Server(nothing) as server:
        df = vf.connect("key", base_url=server.url).call().count().during("2025-10").compare().fetch()
    [request] = server.requests
    assert len(request.json()["queries"]) == 2
    assert df["countIdDelta"].tolist() == [0.0]


@examples(12)
@given(st.data())
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning")
def test_random_comparisons_are_what_two_oracles_say(data):
    """Each row holds the oracle's numbers of its bucket and of the bucket that it names, and their difference."""
    around, calls = data.draw(call_lists())
    now = around + timedelta(days=data.draw(st.integers(0, 3)), minutes=data.draw(st.sampled_from([0, 750])))
    query: Query = Query(table="call").sum("cost").avg("cost").count()
    query = query.by(*data.draw(st.sampled_from([(), ("type",), ("type", "status")])))
    step, span = data.draw(st.sampled_from(["hour", "day"])), data.draw(st.sampled_from(["1d", "3d", "50h"]))
    query = query.tz(data.draw(st.sampled_from(ZONES))).step(step).last(span)
    comparison = query.compare(
        data.draw(st.sampled_from(["previous", "1d", "7d"])), align=data.draw(st.sampled_from(["ordinal", "calendar"]))
    )
    try:
        present, before = comparison.queries(now)
    except QueryError:  # 50 hours before a midnight is no midnight
        assert (step, span) == ("day", "50h")
        return
    df = vf.local(as_frame(calls), now=now).compare(comparison)
    there, then = reference.compute(calls, present, now), reference.compute(calls, before, now)
    met = set(), set()
    for key, row in zip(df.index, df.to_dict("records"), strict=True):
        date, *groups = key if isinstance(key, tuple) else (key,)
        groups = tuple(None if pd.isna(one) else one for one in groups)
        for side, at, rows, seen in (("", date, there, met[0]), ("Before", row["dateBefore"], then, met[1])):
            wanted = (
                {}
                if pd.isna(at)
                else rows.get(
                    (at.to_pydatetime().astimezone(UTC), *groups), {"sumCost": 0.0, "countId": 0, "avgCost": None}
                )
            )
            if not pd.isna(at):
                seen.add((at.to_pydatetime().astimezone(UTC), *groups))
            for name in ("sumCost", "avgCost", "countId"):
                value = row[f"{name}{side}"]
                assert math.isnan(value) if wanted.get(name) is None else value == pytest.approx(wanted[name], rel=1e-9)
        for name in ("sumCost", "avgCost", "countId"):
            delta = row[f"{name}Delta"]
            assert math.isnan(delta) or delta == pytest.approx(row[name] - row[f"{name}Before"], abs=1e-9)
    for rows, seen in zip((there, then), met, strict=True):
        assert {(key[0].astimezone(UTC), *key[1:]) for key in rows} <= seen


def test_compared_with_itself_nothing_changes():
    """The same result on both sides has no difference."""
    query = vf.demo().call().sum("cost").avg("duration").by("type").step("day").during("2026-10")
    df = query.fetch()
    comparison = query.compare("previous")
    found = comparison.periods()
    same = found._replace(before_start=found.start, before_end=found.end)
    both = compare_frames(df, df, comparison, same)
    assert (both["sumCostDelta"] == 0).all()
    assert (both["avgDurationDelta"].dropna() == 0).all()
    assert (both.index == df.index).all()
