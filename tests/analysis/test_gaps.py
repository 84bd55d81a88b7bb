"""Filling gaps: every bucket of the query's range for every group in the frame, each measure by its own rule."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.shapes import QUIET, buckets_of, fetch, ranges, rows_of, same, source, sources_and_queries
from tests.support.strategies import NOW, ZONES, call_lists
from vapi_frames import analysis
from vapi_frames.contract.vocabulary import STEPS
from vapi_frames.errors import ProvenanceError, QueryError, UnknownWordError
from vapi_frames.query.query import Query

pytestmark = [pytest.mark.extra("local"), *QUIET]


@examples(5)
@given(sources_and_queries(steps=STEPS[1:], groups=2))
def test_gaps_are_what_plain_loops_say(drawn):
    """The walk over the range finds the same buckets; sums and counts of none are 0, all else is missing."""
    vq, query = drawn
    frame = fetch(vq, query)
    there = rows_of(frame)
    nothing = {one.name: 0 if one.operation in ("sum", "count") else None for one in query.measures}
    groups = sorted({key[1:] for key in there}, key=lambda key: [(k is None, k or "") for k in key])
    if len(frame.index.names) == 1:
        groups = [()]
    begun, last = set(buckets_of(query)), max((key[0] for key in there), default=NOW - timedelta(days=10**5))
    # A call of after now says that its bucket had begun all the same, and those before it.
    buckets = [at for at in buckets_of(query, NOW + timedelta(days=10**4)) if at in begun or at <= last]
    wanted = {(at, *group): there.get((at, *group), nothing) for at in buckets for group in groups}
    filled = frame.vapi.fill_gaps()
    assert rows_of(filled) == wanted
    assert list(rows_of(filled)) == list(wanted)
    pd.testing.assert_series_equal(filled.dtypes, frame.dtypes)
    assert filled.index.names == frame.index.names
    assert str(filled.index.dtype if len(frame.index.names) == 1 else filled.index.dtypes.tolist()) == str(
        frame.index.dtype if len(frame.index.names) == 1 else frame.index.dtypes.tolist()
    )
    # Nothing is filled twice, and what was filled can be told and dropped.
    same(filled.vapi.fill_gaps(), filled)
    marked = frame.vapi.fill_gaps(mark=True)
    assert marked["filled"].dtype == bool
    same(marked[~marked["filled"]].drop(columns="filled"), frame)
    same(marked.vapi.fill_gaps(mark=True), marked)
    same(marked.drop(columns="filled"), filled)
    same(filled.vapi.rollup(step="all")[["countId"]], frame.vapi.rollup(step="all")[["countId"]])


@examples(4)
@given(st.data())
def test_concurrency_is_carried_or_missing(data):
    """The last value is carried over rows that are absent, never over one that is there and missing; never 0."""
    around, calls = data.draw(call_lists())
    query: Query = (
        Query(table="subscription").max("concurrency").sum("minutesUsed").step(data.draw(st.sampled_from(STEPS[2:5])))
    )
    query = data.draw(ranges(around, query.tz(data.draw(st.sampled_from(ZONES)))))
    vq = source(calls)
    frame = fetch(vq, query)
    keep = data.draw(st.lists(st.booleans(), min_size=len(frame), max_size=len(frame)))
    sparse = frame[np.array(keep, dtype=bool)]
    last, wanted = None, []
    for at in frame.index:
        last = sparse["maxConcurrency"].get(at, last)
        wanted.append(np.nan if last is None else last)
    filled = sparse.vapi.fill_gaps(whole=True, concurrency="carry")
    # Buckets that had not begun at the time of the query are left out; the source has nothing for them either.
    begun = frame.index.isin(filled.index)
    assert frame["maxConcurrency"][~begun].isna().all()
    there = frame.index[begun]
    np.testing.assert_array_equal(filled["maxConcurrency"].reindex(there), np.array(wanted, dtype=float)[begun])
    assert (
        filled["sumMinutesUsed"].isna() == sparse["sumMinutesUsed"].isna().reindex(filled.index, fill_value=False)
    ).all()
    missing = sparse.vapi.fill_gaps(whole=True)["maxConcurrency"]
    assert missing[~missing.index.isin(sparse.index)].isna().all()


def few(**options):
    """Return a frame of two calls on two of four days, of two types."""
    calls = [
        {"id": "1", "createdAt": "2026-10-01T12:00Z", "cost": 0.5, "type": "webCall"},
        {"id": "2", "createdAt": "2026-10-03T12:00Z", "cost": 1.5, "type": None},
    ]
    query = vf.local(calls, now="2026-10-04T12:00Z").call().sum("cost").count().by("type").step("day")
    return query.between("2026-10-01", "2026-10-06").fetch(**options)


def test_buckets_that_had_not_begun_are_left_out():
    """The day of the query is there, the days after it are not, although they were requested."""
    filled = few().vapi.fill_gaps()
    assert filled.index.get_level_values("date").day.unique().tolist() == [1, 2, 3, 4]
    assert filled.vapi.partial.tolist() == [False] * 6 + [True] * 2
    assert filled["countId"].tolist() == [1, 0, 0, 0, 0, 1, 0, 0]
    assert filled["countId"].dtype == "int64"
    assert filled["sumCost"].sum() == 2.0


def test_absent_and_left_out_are_told_apart():
    """Rows that were chosen say nothing of those that are absent, unless the user does."""
    frame = few()
    for chosen in (frame.head(1), frame.query("countId > 5"), frame.vapi.top(1, by="cost", other=False)):
        with pytest.raises(ProvenanceError, match=r"fill_gaps\(whole=True\)"):
            chosen.vapi.fill_gaps()
    assert len(frame.head(1).vapi.fill_gaps(whole=True)) == 4
    # What a verb makes of chosen rows is not whole, either.
    with pytest.raises(ProvenanceError, match="rows of the frame were chosen"):
        frame.head(1).vapi.share("cost").drop(columns="sumCostShare").vapi.fill_gaps()


def test_a_row_off_the_grid_is_an_error():
    """A date that is no bucket of the range never becomes a row more."""
    frame = few()
    for date in ("2026-10-01T06:00Z", "2026-11-01T00:00Z", "2026-09-30T00:00Z", None):
        flat = frame.reset_index()
        flat.loc[0, "date"] = pd.Timestamp(date) if date else pd.NaT
        with pytest.raises(ProvenanceError, match="not among those that were fetched"):
            flat.set_index(["date", "type"]).vapi.fill_gaps()
    with pytest.raises(QueryError, match="no step"):
        vf.demo().call().count().during("2026-10").fetch().vapi.fill_gaps()
    with pytest.raises(ProvenanceError, match="lost its level 'date'"):
        frame.xs("2026-10-01", level="date").vapi.fill_gaps(whole=True)
    with pytest.raises(ProvenanceError, match="range of the result is unknown"):
        vf.to_frame(
            '[{"name":"n","timeRange":{"step":"day"},"result":[{"date":"2026-10-01","countId":1}]}]'
        ).vapi.fill_gaps()
    with pytest.raises(UnknownWordError, match="did you mean 'carry'"):
        frame.vapi.fill_gaps(concurrency="carried")


def test_columns_of_ones_own():
    """They are missing in the rows that were added; a column called filled is not written over."""
    frame = few().assign(mine=[1, 2], note=["x", "y"])
    filled = frame.vapi.fill_gaps()
    assert filled["mine"].tolist()[0] == 1.0
    assert filled["mine"].isna().sum() == filled["note"].isna().sum() == 6
    own = few().assign(filled=[7.0, 8.0])
    assert own.vapi.fill_gaps()["filled"].sum() == 15
    with pytest.raises(QueryError, match="already has a column or level 'filled'"):
        own.vapi.fill_gaps(mark=True)


def test_the_mark_replaces_no_measure_and_no_level():
    """A measure, a ratio or a variable called filled stays what it is; marked twice, the rows of both are marked."""
    calls = [{"id": "1", "createdAt": "2026-10-01T12:00Z", "cost": 0.5, "variableValues": {"filled": "x"}}]
    query = vf.local(calls).call().sum("cost").step("day").between("2026-10-01", "2026-10-03")
    frames = (
        query.count(alias="filled").fetch(), query.count().fetch().vapi.ratio("cost", "id", name="filled"),
        query.by_variable("filled").fetch(),
    )  # fmt: skip
    for frame in frames:
        with pytest.raises(QueryError, match="already has a column or level 'filled'"):
            frame.vapi.fill_gaps(mark=True)
    marked = query.fetch().vapi.fill_gaps(mark=True)
    assert marked.vapi.fill_gaps(mark=True)["filled"].tolist() == [False, True]


def test_what_holds_for_the_rows_that_there_are():
    """A ratio of nothing is missing, a residual of nothing is 0, a share has to be made after."""
    frame = few()
    assert frame.vapi.per_call().vapi.fill_gaps()["sumCostPerCall"].isna().sum() == 6
    with pytest.raises(ProvenanceError, match="'sumCostShare' was computed .* fill the gaps before"):
        frame.vapi.share("cost").vapi.fill_gaps()
    assert frame.vapi.fill_gaps().vapi.share("cost")["sumCostShare"].sum() == 1.0


def test_too_many_rows_stop_before_they_are_made():
    """The error names the group that makes them, and what to do."""
    calls = [
        {"id": str(i), "createdAt": "2026-10-01T00:00Z", "assistantId": str(i), "type": f"{i % 3}"} for i in range(200)
    ]
    query = vf.local(calls, now="2026-10-05T00:00Z").call().count().by("type", "assistantId")
    with pytest.raises(QueryError, match=r"51,840,000 rows.*'assistantId' alone has 200 values.*of='assistantId'"):
        query.step("second").between("2026-10-01", "2026-10-04").fetch().vapi.fill_gaps()
    with pytest.raises(QueryError, match="buckets of a second"):
        query.step("second").between("2020-10-01", "2026-10-04").fetch().vapi.fill_gaps()


@pytest.mark.parametrize("step", STEPS[2:])
def test_a_day_of_25_hours_has_25_rows(step):
    """The calendar of the zone decides, at every change of the clock."""
    query = vf.local([], now=NOW).call().count().step(step).tz("America/New_York").between("2026-10-31", "2026-11-03")
    filled = query.fetch().vapi.fill_gaps()
    assert len(filled) == {"hour": 73, "day": 3, "week": 2, "month": 2}.get(step, 1)
    assert filled.index.tz_convert("UTC").to_pydatetime().tolist() == buckets_of(query)
    assert (filled["countId"] == 0).all()


def test_whole_buckets_answer_for_their_own_range():
    """After drop_partial no row is partial, gaps are those of the shorter range, and the query asks for it."""
    query = vf.demo().call().sum("cost").by("type").step("week").tz("America/New_York").last("30d")
    whole = query.fetch().vapi.drop_partial()
    assert not whole.vapi.partial.any()
    assert whole.vapi.fill_gaps().index.get_level_values("date").nunique() == 3
    same(fetch(vf.demo(), whole.vapi.query), whole)


@examples(6)
@given(sources_and_queries(steps=STEPS[1:], groups=1, additive=True))
def test_dropping_partial_buckets_is_asking_for_whole_ones(drawn):
    """The query of the whole rows gives these very rows; where there is no whole bucket, there is no row, and no query."""
    vq, query = drawn
    whole = fetch(vq, query).vapi.drop_partial()
    assert not analysis.partial(whole).any()
    meta = whole.vapi.meta
    if meta.start == meta.end:
        assert len(whole) == 0
        with pytest.raises(ProvenanceError, match="no bucket of the range is whole"):
            _ = whole.vapi.query
        assert "no bucket of the range is whole" in repr(whole.vapi)
        assert "No bucket of the range is whole" in whole.vapi.describe()
    else:
        same(fetch(vq, whole.vapi.query), whole)
        assert not fetch(vq, whole.vapi.query).vapi.fill_gaps().vapi.partial.any()
    assert len(whole.vapi.fill_gaps()) >= len(whole)
