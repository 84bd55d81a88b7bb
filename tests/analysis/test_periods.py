"""Verbs on comparisons: the numbers of the coarser comparison, and ratios of both periods."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support import reference
from tests.support.examples import examples
from tests.support.shapes import QUIET, as_frame
from tests.support.strategies import ZONES, call_lists
from vapi_frames.errors import NonAdditiveError, ProvenanceError, QueryError
from vapi_frames.query.query import Query

pytestmark = [
    pytest.mark.extra("local"),
    *QUIET,
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning"),
]
SIDES = ("", "Before", "Delta", "Percent")


@st.composite
def comparisons(draw):
    """Draw (calls, now, comparison) of sums and counts, by day or hour, by up to two groups."""
    around, calls = draw(call_lists())
    now = around + timedelta(days=draw(st.integers(0, 3)), minutes=draw(st.sampled_from([0, 750])))
    query: Query = Query(table="call").sum("cost", "duration").count()
    query = query.by(*draw(st.sampled_from([("type",), ("type", "status")])))
    query = query.tz(draw(st.sampled_from(ZONES))).step(draw(st.sampled_from(["hour", "day"])))
    query = query.last(draw(st.sampled_from(["1d", "3d"])))
    assume(query.instants(now)[0] < now)  # a day ago is now where a zone has left out that day
    return calls, now, query.compare(draw(st.sampled_from(["previous", "7d"])))


def sums(calls, query, now, groups, *, missing=0.0):
    """Return group → cost, minutes and calls of the whole range, by a loop; *missing* is a sum of calls that have none."""
    wanted, known = {}, set()
    for key, row in reference.compute(calls, replace(query, time_step=None), now).items():
        place = tuple(key[query.groups.index(name)] for name in groups)
        found = wanted.setdefault(place, [0.0, 0.0, 0])
        for i, name in enumerate(("sumCost", "sumDuration", "countId")):
            found[i] += row[name] or 0
            known |= {(place, i)} if row[name] is not None else set()
    return {
        place: [one if (place, i) in known else missing for i, one in enumerate(found)]
        for place, found in wanted.items()
    }


@examples(7)
@given(comparisons(), st.data())
def test_a_coarser_comparison_is_that_of_two_loops(drawn, data):
    """Sums of both periods, their difference and percentage, and ratios of the sums, by any of the groups."""
    calls, now, comparison = drawn
    df = vf.local(as_frame(calls), now=now).compare(comparison)
    groups = [name for name in comparison.query.groups if data.draw(st.booleans())]
    is_first = data.draw(st.booleans())
    verbs = [lambda one: one.vapi.per_minute().vapi.per_call("duration"), lambda one: one.vapi.rollup("all", by=groups)]
    coarse = df
    for verb in verbs if is_first else reversed(verbs):
        coarse = verb(coarse)
    there, then = (sums(calls, one, now, groups) for one in comparison.queries(now))
    keys = [() for _ in coarse.index] if not groups else [k if isinstance(k, tuple) else (k,) for k in coarse.index]
    keys = [tuple(None if pd.isna(one) else one for one in key) for key in keys]
    if groups:
        assert sorted(map(str, keys)) == sorted(map(str, there.keys() | then.keys()))
    nothing = [0.0, 0.0, 0]
    for key, row in zip(keys, coarse.to_dict("records"), strict=True):
        left, right = there.get(key, nothing), then.get(key, nothing)
        pairs = dict(zip(("sumCost", "sumDuration", "countId"), zip(left, right, strict=True), strict=True))
        for name, (i, j) in {"sumCostPerMinute": (0, 1), "sumDurationPerCall": (1, 2)}.items():
            above = [
                row[f"{name[: name.index('Per')]}{suffix}"] for suffix in SIDES[:2]
            ]  # missing, where no call has one
            pairs[name] = tuple(
                side[i] / side[j] if side[j] and not math.isnan(one) else math.nan
                for side, one in zip((left, right), above, strict=True)
            )
        for name, (value, before) in pairs.items():
            delta = value - before
            wanted = [value, before, delta, 100 * delta / before if before else math.nan]
            found = [row[f"{name}{suffix}"] for suffix in SIDES]
            if name in pairs.keys() - {
                "sumCostPerMinute",
                "sumDurationPerCall",
            }:  # of calls without a cost the sum is missing, too
                missing = [math.isnan(one) for one in found[:2]]
                wanted = [0 if gone else one for gone, one in zip(missing, wanted, strict=False)] + [
                    math.nan if any(missing) else one for one in wanted[2:]
                ]
                assert all(one == 0 for gone, one in zip(missing, (value, before), strict=True) if gone)
                found[:2] = np.nan_to_num(found[:2])
            np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-7)


@examples(5)
@given(comparisons(), st.data())
def test_fewer_groups_are_the_comparison_with_fewer_groups(drawn, data):
    """Dates, those of the earlier period and what may not be compared are as a fetch has them."""
    calls, now, comparison = drawn
    vq = vf.local(as_frame(calls), now=now)
    groups = [name for name in comparison.query.groups if data.draw(st.booleans())]
    coarser = vq.compare(replace(comparison, query=replace(comparison.query, groups=tuple(groups))))
    found = vq.compare(comparison).vapi.rollup(by=groups)
    assert list(found.columns) == list(coarser.columns)
    if not len(found):
        return
    pd.testing.assert_frame_equal(
        found.reset_index(), coarser.reset_index(), rtol=1e-7, atol=1e-7, check_index_type=False
    )


@examples(5)
@given(comparisons(), st.integers(1, 3), st.sampled_from(SIDES))
def test_the_top_is_ranked_by_sums_of_the_whole_range(drawn, n, suffix):
    """What grew most, and what became dearer, is decided by the totals of both periods."""
    calls, now, comparison = drawn
    df = vf.local(as_frame(calls), now=now).compare(comparison).vapi.per_minute()
    # Calls without a cost rank their group last; a group without calls has a cost of 0.
    there, then = (sums(calls, one, now, ["type"], missing=math.nan) for one in comparison.queries(now))
    for name in ("sumCost", "sumCostPerMinute"):
        ranks = {}
        for key in {*there, *then}:
            sides = [one.get(key, [0.0, 0.0, 0]) for one in (there, then)]
            value, before = (s[0] if name == "sumCost" else s[0] / s[1] if s[1] else math.nan for s in sides)
            delta = value - before
            ranks[key[0]] = dict(
                zip(SIDES, (value, before, delta, 100 * delta / before if before else math.nan), strict=True)
            )[suffix]
        top = df.vapi.top(n, by=f"{name}{suffix}", of="type", other=False)
        chosen = {None if pd.isna(one) else one for one in top.index.get_level_values("type")}
        if not len(df):
            continue
        assert len(chosen) == min(n, len(ranks))
        value = {key: -math.inf if math.isnan(rank) else rank for key, rank in ranks.items()}
        least = min(value[key] for key in chosen)
        assert all(value[key] <= least + 1e-9 for key in value.keys() - chosen)


def month(*groups, step=None, **options):
    """Return a month of the sample beside the month before."""
    query = vf.demo().call().sum("cost", "duration").avg("duration").min("cost").count().with_counts().by(*groups)
    query = query.between("2026-10-17", "2026-11-16")
    return (query.step(step) if step else query).compare("previous").fetch(**options)


class TestRatios:
    """A ratio of a comparison is of both periods."""

    @pytest.mark.parametrize("backend", [None, "numpy_nullable", "pyarrow"])
    @pytest.mark.parametrize("as_index", [True, False])
    def test_which_assistant_became_dearer(self, backend, as_index):
        """One line says it, with the units of the ratio."""
        df = month("assistantId", dtype_backend=backend, as_index=as_index).vapi.per_minute()
        assert list(df)[-4:] == [f"sumCostPerMinute{suffix}" for suffix in SIDES]
        assert [df.vapi.units[name] for name in list(df)[-4:]] == ["USD/min", "USD/min", "USD/min", "%"]
        assert len({str(df[name].dtype) for name in list(df)[-8:]}) == 1
        before = df["sumCostBefore"].astype(float) / df["sumDurationBefore"].astype(float).replace(0, np.nan)
        np.testing.assert_allclose(df["sumCostPerMinuteBefore"].to_numpy(float, na_value=np.nan), before)
        dearest = df.vapi.top(1, by="sumCostPerMinuteDelta", other=False)
        assert dearest["sumCostPerMinuteDelta"].item() == df["sumCostPerMinuteDelta"].max()

    def test_partial_buckets_are_compared(self):
        """A sum of half a day is not that of a day; a price per minute is."""
        calls = [
            {"id": at, "createdAt": at, "cost": cost, "startedAt": at, "endedAt": at.replace("00Z", "02Z")}
            for at, cost in (("2026-11-09T09:00Z", 2.0), ("2026-11-10T09:00Z", 3.0))
        ]
        query = (
            vf.local(calls, now="2026-11-10T12:00Z")
            .call()
            .sum("cost", "duration")
            .step("day")
            .between("2026-11-10", "2026-11-11")
        )
        df = query.compare("1d").fetch().vapi.per_minute()
        row = df.iloc[-1]
        if math.isnan(row["sumCostDelta"]):
            assert row["sumCostPerMinuteDelta"] == 0.5
        assert df["sumCostPerMinuteDelta"].tolist() == [0.5]
        assert df["sumCostPerMinutePercent"].tolist() == [50.0]

    def test_each_period_has_its_own_ratio(self):
        """The sums of the earlier period are sums; a difference is none, and an average neither."""
        df = month("type")
        ratio = df.vapi.ratio("sumCostBefore", "countIdBefore", name="x")
        np.testing.assert_allclose(ratio["x"], df["sumCostBefore"] / df["countIdBefore"])
        assert df.vapi.share("sumCostBefore")["sumCostBeforeShare"].sum() == pytest.approx(1)
        with pytest.raises(NonAdditiveError, match="'sumCostDelta' is a difference of two periods"):
            df.vapi.ratio("sumCostDelta", "countId")
        with pytest.raises(NonAdditiveError, match="avg of 'duration'"):
            df.vapi.ratio("avgDurationBefore", "countId")

    def test_a_name_that_is_taken_is_refused(self):
        """All four columns are new, or none is."""
        df = month("type").assign(sumCostPerMinuteDelta=1)
        with pytest.raises(QueryError, match="already has a column 'sumCostPerMinuteDelta'"):
            df.vapi.per_minute()

    def test_the_columns_of_one_period_give_its_ratio(self):
        """Without the earlier sums there is nothing to compare."""
        df = month("type")[["sumCost", "sumDuration"]].vapi.per_minute()
        assert list(df) == ["sumCost", "sumDuration", "sumCostPerMinute"]

    def test_each_column_is_explained(self):
        """By the columns of its own period."""
        df = month("type").vapi.per_minute()
        texts = {suffix: df.vapi.explain(f"sumCostPerMinute{suffix}") for suffix in SIDES}
        assert "= sumCostBefore / sumDurationBefore" in texts["Before"]
        assert "= sumCostPerMinute - sumCostPerMinuteBefore" in texts["Delta"]
        assert "= 100 * sumCostPerMinuteDelta / sumCostPerMinuteBefore" in texts["Percent"]


class TestRollup:
    """A comparison rolls up to one that a query would give, or is refused."""

    def test_averages_and_extremes_are_those_of_each_period(self):
        """Made again from the counts and the extremes of the same period."""
        found, wanted = month("type", step="day").vapi.rollup("all"), month("type")
        pd.testing.assert_frame_equal(found, wanted, rtol=1e-9)
        assert found.vapi.query == wanted.vapi.query

    def test_coarser_buckets_are_refused(self):
        """Days that face each other lie in weeks that do not."""
        with pytest.raises(NonAdditiveError, match="may begin on other days in the earlier period: roll up to 'all'"):
            month(step="day").vapi.rollup("week")

    def test_parts_that_are_gone_are_named(self):
        """A percentage does not add up."""
        df = month("type", step="day")
        with pytest.raises(
            NonAdditiveError, match="'sumCostPercent' cannot be re-aggregated: the frame has lost its parts"
        ):
            df[["sumCostPercent"]].vapi.rollup("all")
        with pytest.raises(NonAdditiveError, match="needs the counts of the same column"):
            df.drop(columns="countDurationBefore").vapi.rollup("all")

    def test_an_own_column_is_refused(self):
        """It is unknown how it adds up."""
        with pytest.raises(NonAdditiveError, match="column of your own"):
            month("type").assign(mine=1).vapi.rollup(by=[])

    def test_rows_of_the_earlier_period_alone_stay_apart(self):
        """They have no date, and dateBefore tells them from each other."""
        df = (
            vf.demo()
            .call()
            .sum("cost")
            .by("type")
            .step("day")
            .between("2026-10-01", "2026-10-31")
            .compare("1mo")
            .fetch()
        )
        longer = vf.demo().call().sum("cost").by("type").step("day").during("2026-09").compare("1mo").fetch()
        for one in (df, longer):
            rolled = one.vapi.rollup(by=[])
            assert rolled["sumCostBefore"].sum() == pytest.approx(one["sumCostBefore"].sum())
            assert rolled["dateBefore"].nunique() == one["dateBefore"].nunique()
        alone = longer[longer.index.get_level_values("date").isna()]
        if len(alone):
            with pytest.raises(ProvenanceError):
                longer.drop(columns="dateBefore").vapi.rollup(by=[])

    def test_chosen_rows_compare_what_may_be_compared(self):
        """A choice of days that has a partial one has no difference over all of them; the whole range has one."""
        calls = [
            {"id": at, "createdAt": at, "cost": 1.0}
            for at in ("2026-11-07T09:00Z", "2026-11-08T18:00Z", "2026-11-09T09:00Z", "2026-11-10T09:00Z")
        ]
        query = (
            vf.local(calls, now="2026-11-10T12:00Z").call().sum("cost").step("day").between("2026-11-09", "2026-11-11")
        )
        df = query.compare("2d").fetch()
        whole = df.vapi.rollup("all")
        assert whole["sumCostDelta"].notna().all()
        if df["sumCostDelta"].isna().any():
            part = df[df["sumCostDelta"].isna()].vapi.rollup("all")
            assert part["sumCostDelta"].isna().all()

    def test_families_of_ended_reasons_are_compared(self):
        """Each verb that puts rows together compares them again."""
        df = vf.demo().call().count().by("endedReason").between("2026-11-02", "2026-11-16").compare("previous").fetch()
        found = df.vapi.outcome("fault")
        reasons = df.reset_index()
        assert found["countIdDelta"].sum() == pytest.approx(reasons["countIdDelta"].sum())
        np.testing.assert_allclose(found["countIdDelta"], found["countId"] - found["countIdBefore"])
        top = df.vapi.top(2, by="countIdDelta")
        assert top["countIdDelta"].sum() == pytest.approx(reasons["countIdDelta"].sum())
        assert datetime.now(UTC) > top.vapi.meta.before[0]


def test_a_sum_of_calls_without_a_cost_stays_missing():
    """Hours that one period lacks have sums of 0, which do not make a missing cost 0."""
    now = datetime(2026, 10, 3, tzinfo=UTC)
    calls = [
        {"id": "1", "type": "a", "createdAt": "2026-10-02T10:00Z", "cost": 1.0},
        {"id": "2", "type": "a", "createdAt": "2026-10-01T12:00Z", "cost": None},
    ]
    query = vf.local(calls, now=now).call().sum("cost").last("1d", complete=True)
    coarser = query.compare("previous").fetch()
    found = query.step("hour").compare("previous").fetch().vapi.rollup("all")
    assert math.isnan(coarser["sumCostBefore"].item())
    pd.testing.assert_frame_equal(found, coarser, check_index_type=False)
