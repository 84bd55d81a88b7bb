"""Rollup: a coarser result made of a finer one is the coarser result itself."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.shapes import COARSER, QUIET, fetch, ranges, same, source, sources_and_queries
from tests.support.strategies import ZONES, call_lists
from vapi_frames.contract.vocabulary import STEPS
from vapi_frames.errors import NonAdditiveError, ProvenanceError, QueryError, UnknownWordError
from vapi_frames.query.query import Query

pytestmark = [pytest.mark.extra("local"), *QUIET]


def named_query(error, vq):
    """Return the query that an error names."""
    code = re.search(r"fetch (vq\..*)$", str(error))[1]
    return eval(code, {"vq": vq})


def is_of_the_clock(error, query):
    """Return the error, which is of the only hour in the only zone that lies in two days."""
    assert "the clock changes within it" in str(error)
    assert (query.time_step, query.timezone) == ("hour", "America/St_Johns")
    return error


def coarse_query(query, step, by):
    """Return the query for the coarser rows."""
    groups = tuple(name for name in query.groups if name in by)
    variables = tuple(name for name in query.variables if (f"variable.{name}" if name == "type" else name) in by)
    return replace(query, time_step=None if step == "all" else step, groups=groups, variables=variables)


@st.composite
def steps_and_groups(draw, query):
    """Draw a coarser step and groups that are kept."""
    here = query.time_step
    step = draw(st.sampled_from([here, "all", *COARSER[here]])) if here else draw(st.sampled_from([None, "all"]))
    by = [name for name in query.levels if name != "date" and draw(st.booleans())]
    return step, by


@examples(12)
@given(st.data())
def test_a_rollup_is_the_sources_own_coarser_answer(data):
    """Whatever the measures, groups, steps, zone and range, or else the error names the query for it."""
    vq, query = data.draw(sources_and_queries())
    frame = fetch(vq, query)
    step, by = data.draw(steps_and_groups(query))
    wanted = fetch(vq, coarse_query(query, step, by))
    try:
        rolled = frame.vapi.rollup(step=step, by=by)
    except NonAdditiveError as error:
        rolled = named_query(is_of_the_clock(error, query), vq).fetch()
    same(rolled, wanted)
    assert rolled.vapi.query.body(vq.now()) == wanted.vapi.query.body(vq.now())
    same(fetch(vq, rolled.vapi.query), wanted)


@examples(6)
@given(st.data())
def test_a_rollup_in_two_goes_is_one_in_one_go(data):
    """First to days and then to months, first one group and then the other: all ways lead to the same frame."""
    vq, query = data.draw(sources_and_queries())
    frame = fetch(vq, query)
    step, by = data.draw(steps_and_groups(query))
    try:
        first = frame.vapi.rollup(step=step, by=by)
        there = replace(query, time_step=None if step == "all" else step, groups=(), variables=())
        later, fewer = data.draw(steps_and_groups(there))
        fewer = [name for name in by if data.draw(st.booleans())]
        same(first.vapi.rollup(step=later, by=fewer), frame.vapi.rollup(step=later or step, by=fewer))
    except NonAdditiveError as error:
        is_of_the_clock(error, query)


@examples(6)
@given(st.data())
def test_concurrency_takes_its_peaks_over_time(data):
    """The greatest of the greatest is the greatest, the least likewise; the mean and the history refuse."""
    around, calls = data.draw(call_lists())
    query: Query = (
        Query(table="subscription").max("concurrency").min("concurrency").sum("minutesUsed").count("minutesUsed")
    )
    step = data.draw(st.sampled_from(STEPS[1:]))
    query = data.draw(ranges(around, query.step(step).tz(data.draw(st.sampled_from(ZONES)))))
    vq = source(calls)
    frame = fetch(vq, query)
    coarser = data.draw(st.sampled_from(["all", *COARSER[step]]))
    try:
        rolled = frame.vapi.rollup(step=coarser)
    except NonAdditiveError as error:
        rolled = named_query(error, vq).fetch()
    same(rolled, fetch(vq, coarse_query(query, coarser, ())))


@cache
def one_call():
    """Return a source of one call."""
    return vf.local([{"id": "1", "createdAt": "2009-12-31T12:00Z", "cost": 1.0}], now="2026-11-20T00:00Z")


@pytest.mark.parametrize(("fine", "coarse"), [(f, c) for f in STEPS for c in STEPS if STEPS.index(c) > STEPS.index(f)])
def test_steps_nest_as_the_calendar_does(fine, coarse):
    """A bucket either lies in one coarser bucket wherever it lies, or the step refuses, and names what to ask."""
    vq = one_call()
    frame = vq.call().sum("cost").step(fine).between("2009-12-31", "2010-01-01").fetch()
    if coarse in COARSER[fine]:
        same(
            frame.vapi.rollup(step=coarse),
            vq.call().sum("cost").step(coarse).between("2009-12-31", "2010-01-01").fetch(),
        )
    else:
        with pytest.raises(NonAdditiveError, match=f"step '{coarse}' does not consist of whole") as raised:
            frame.vapi.rollup(step=coarse)
        assert named_query(raised.value, vq).time_step == coarse
        assert named_query(raised.value, vq).fetch()["sumCost"].tolist() == [1.0]
    with pytest.raises(QueryError, match=f"'{fine}' is finer than the step of the frame, '{coarse}'"):
        vq.call().count().step(coarse).between("2009-12-31", "2010-01-01").fetch().vapi.rollup(step=fine)


def test_an_hour_in_two_days_refuses_and_names_the_query():
    """St John's turned its clock at one minute past midnight: that hour's calls cannot be told apart any more."""
    vq = vf.local(
        [
            {"id": str(i), "createdAt": at, "cost": 1.0}
            for i, at in enumerate(["2009-11-01T02:30:30Z", "2009-11-01T02:31:30Z", "2009-11-01T05:00Z"])
        ]
    )
    query = vq.call().sum("cost").count().step("hour").tz("America/St_Johns").between("2009-10-30", "2009-11-03")
    frame = query.fetch()
    for step in STEPS[3:5]:
        with pytest.raises(NonAdditiveError, match="lies in two .*the clock changes within it") as raised:
            frame.vapi.rollup(step=step) if step == "day" else frame.vapi.rollup(step="month")
        assert named_query(raised.value, vq).fetch()["countId"].sum() == 3
    assert frame.vapi.rollup(step="year")["countId"].tolist() == [3]
    # The other hours are of one day each.
    assert frame.iloc[1:].vapi.rollup(step="day")["countId"].tolist() == [1]


def test_a_shift_by_minutes_at_midnight_leaves_each_hour_in_its_day():
    """Kathmandu's 1986 began at 0:15: that hour is named by an instant of the old year."""
    vq = vf.local([{"id": "1", "createdAt": "1985-12-31T18:35Z"}, {"id": "2", "createdAt": "1985-12-31T17:35Z"}])
    query = vq.call().count().tz("Asia/Kathmandu").between("1985-12-30", "1986-01-03")
    for step in ("day", "month", "year", "decade"):
        same(query.step("hour").fetch().vapi.rollup(step=step), query.step(step).fetch())


class TestWhatDoesNotAddUp:
    """The error names a query, and that query gives the result."""

    @pytest.mark.parametrize("step", ["month", None])
    def test_a_mean_of_means(self, step):
        """Averages without their counts refuse; the query that is named gives the coarser rows directly."""
        vq = vf.demo()
        query = vq.call().avg("duration").by("type", "status").step("day").during("2026-10")
        with pytest.raises(NonAdditiveError, match="a mean of means is another number") as raised:
            query.fetch().vapi.rollup(step=step, by="type")
        wanted = vq.call().avg("duration").by("type").step(step or "day").during("2026-10").fetch()
        same(named_query(raised.value, vq).fetch(), wanted)
        same(query.with_counts().fetch().vapi.rollup(step=step, by="type")[["avgDuration"]], wanted)

    def test_the_counts_of_another_column_are_no_counts(self):
        """The number of calls is not the number of calls with a duration."""
        frame = vf.demo().call().avg("duration").count().sum("duration").step("day").during("2026-10").fetch()
        with pytest.raises(NonAdditiveError, match="counts of the same column"):
            frame.vapi.rollup(step="month")

    def test_a_history_and_a_mean_of_concurrency(self):
        """Neither is made again from finer rows, with a step or without."""
        start = vf.demo().subscription()
        for query in (
            start.history("concurrency"),
            start.history("concurrency").step("hour"),
            start.avg("concurrency").step("hour"),
        ):
            with pytest.raises(NonAdditiveError, match="cannot be re-aggregated") as raised:
                query.last("2d").fetch().vapi.rollup(step="all")
            assert named_query(raised.value, vf.demo()).last("2d").table == "subscription"

    def test_the_query_named_has_the_frames_range(self):
        """Whole days before now are not whole weeks before now."""
        vq = vf.demo()
        frame = vq.call().avg("cost").by("type").step("day").last("10d", complete=True).fetch()
        with pytest.raises(NonAdditiveError) as raised:
            frame.vapi.rollup(step="all")
        fetched = vq.call().avg("cost").by("type").between(frame.vapi.meta.start, frame.vapi.meta.end).fetch()
        same(named_query(raised.value, vq).fetch(), fetched)

    def test_a_column_of_ones_own(self):
        """Nothing says how it adds up, and the line that leaves it out is named."""
        frame = vf.demo().call().sum("cost").by("type").step("day").during("2026-10").fetch()
        with pytest.raises(NonAdditiveError, match=re.escape("df.drop(columns=['mine'])")):
            frame.assign(mine=1.0).vapi.rollup(step="month")
        with pytest.raises(NonAdditiveError, match="it holds for these rows only"):
            frame.vapi.share("cost").vapi.rollup(step="month")


class TestWords:
    """Wrong words name the nearest."""

    def frame(self):
        """Return cost by type and day."""
        return vf.demo().call().sum("cost").by("type").step("day").during("2026-10").fetch()

    @pytest.mark.parametrize(
        ("step", "by", "match"),
        [
            ("monthly", None, "did you mean 'month'"),
            ("total", None, "did you mean 'all'"),
            (None, "Type", "did you mean 'type'"),
            (None, ["calltype"], "did you mean 'type'"),
            (None, ["assistantId"], "unknown group of the frame 'assistantId'"),
            (3, None, "unknown step 3"),
        ],
    )
    def test_unknown_words(self, step, by, match):
        """Steps and groups are spoken like everywhere else."""
        with pytest.raises(UnknownWordError, match=match):
            self.frame().vapi.rollup(step=step, by=by)

    def test_what_is_no_group(self):
        """The date is dropped by a step, and a group is kept once."""
        with pytest.raises(QueryError, match="step='all' drops it"):
            self.frame().vapi.rollup(by=["date"])
        with pytest.raises(QueryError, match="is twice in by"):
            self.frame().vapi.rollup(by=["type", "type"])
        with pytest.raises(QueryError, match="no step, so it cannot be rolled up"):
            vf.demo().call().count().during("2026-10").fetch().vapi.rollup(step="month")
        with pytest.raises(ProvenanceError, match="before you select a date"):
            self.frame().xs("2026-10-03", level="date").vapi.rollup(step="month")

    def test_groups_come_in_the_order_asked(self):
        """The index is date, then the groups in the order of by; the query of the frame has the same order."""
        frame = vf.demo().call().sum("cost").by("type", "status").step("day").during("2026-10").fetch()
        turned = frame.vapi.rollup(by=["status", "type"])
        assert turned.index.names == ["date", "status", "type"]
        assert turned.index.is_monotonic_increasing
        same(turned, vf.demo().call().sum("cost").by("status", "type").step("day").during("2026-10").fetch())
        assert turned.vapi.query.groups == ("status", "type")


def test_a_bucket_of_long_ago_is_in_its_zone():
    """A millennium begins in 1001 or 2001, before the lists of time zones do."""
    query = vf.local([{"id": "1", "createdAt": "1985-12-31T12:00Z"}], now="2026-11-20T00:00Z").call().count()
    query = query.tz("America/New_York").between("1985-01-01", "1986-01-01")
    for step in ("century", "millennium"):
        rolled = query.step("year").fetch().vapi.rollup(step=step)
        same(rolled, query.step(step).fetch())
        same(rolled.vapi.fill_gaps(), rolled)


def test_a_missing_group_is_a_group():
    """Nothing is dropped: the calls without an assistant count, before and after."""
    frame = vf.demo().call().count().by("assistantId", "type").during("2026-10").fetch()
    rolled = frame.vapi.rollup(by="assistantId")
    assert rolled.index.isna().sum() == 1
    assert rolled["countId"].sum() == frame["countId"].sum()


def test_rows_that_were_chosen_are_rolled_up_alone():
    """As in pandas: the rows that are there."""
    frame = vf.demo().call().sum("cost").count().by("type").step("day").during("2026-10").fetch()
    web = frame[frame.index.get_level_values("type") == "webCall"]
    assert web.vapi.rollup(step="month", by=[])["countId"].tolist() == [web["countId"].sum()]
    week = frame.loc["2026-10-05":"2026-10-11"]
    assert np.isclose(week.vapi.rollup(step="all", by=[])["sumCost"].iloc[0], week["sumCost"].sum())
    assert week.index.get_level_values("date").max() - week.index.get_level_values("date").min() == timedelta(days=6)


def test_a_total_is_one_row():
    """Without a date and without groups there is one row, of an empty frame, too: counts are 0, the rest is missing."""
    empty = (
        vf.local([], now="2026-11-20T00:00Z")
        .call()
        .sum("cost")
        .count()
        .max("cost")
        .by("type")
        .step("day")
        .during("2026-10")
    )
    total = empty.fetch().vapi.rollup(step="all", by=[])
    same(total, pd.DataFrame({"sumCost": [np.nan], "countId": [0], "maxCost": [np.nan]}))
