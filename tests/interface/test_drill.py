"""``df.vapi.drill``: the calls behind the rows that were chosen with pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.drilled import find_calls, keys_of
from tests.support.examples import examples
from tests.support.shapes import fetch, source
from tests.support.strategies import NOW, call_lists, call_queries, filters
from vapi_frames.errors import ProvenanceError, QueryError, RecordsWarning

pytestmark = pytest.mark.extra("local")


@pytest.fixture(scope="module")
def demo():
    """Return the sample."""
    return vf.demo()


@pytest.fixture(scope="module")
def spend(demo):
    """Return spend and calls by assistant and day, in a zone."""
    query = demo.call().sum("cost").count().by("assistantId").step("day").tz("America/New_York")
    return query.during("2026-10").fetch()


def check(chosen, calls):
    """Check that the calls add up to the rows."""
    levels = list(chosen.index.names)
    grouped = calls.groupby(levels, dropna=False)["cost"].agg(["sum", "size"]) if any(levels) else None
    if grouped is None:
        assert calls["cost"].sum() == pytest.approx(chosen["sumCost"].sum())
        return
    wanted = chosen[chosen["countId"] > 0].reorder_levels(levels) if len(levels) > 1 else chosen[chosen["countId"] > 0]
    grouped = grouped.reindex(wanted.index)
    assert len(calls) == wanted["countId"].sum()
    assert grouped["sum"].tolist() == pytest.approx(wanted["sumCost"].tolist())
    assert grouped["size"].tolist() == wanted["countId"].tolist()


CHOICES = {
    "all": lambda df: df,
    "head": lambda df: df.head(7),
    "a mask": lambda df: df[df["sumCost"] > df["sumCost"].median()],
    "the largest": lambda df: df.nlargest(5, "sumCost"),
    "a day": lambda df: df.loc["2026-10-07"],
    "some days": lambda df: df.loc["2026-10-07":"2026-10-09"],
    "a slice of a level": lambda df: df.xs(df.index[0][1], level="assistantId"),
    "another order": lambda df: df.sort_values("countId").iloc[::3],
    "levels turned": lambda df: df.swaplevel().sample(9, random_state=1),
    "another zone": lambda df: df.tz_convert("Asia/Tokyo", level="date").iloc[[0, 5, 9]],
    "one row": lambda df: df.iloc[[11]],
    "no row": lambda df: df.iloc[:0],
    "rolled up": lambda df: df.vapi.rollup("month"),
    "rolled up and chosen": lambda df: df.vapi.rollup("week").iloc[[0, 4]],
    "a column of a verb": lambda df: df.vapi.ratio("sumCost", "countId").iloc[3:6] if hasattr(df.vapi, "ratio") else df,
    "a column of one's own": lambda df: df.assign(rank=df["sumCost"].rank()).query("rank < 9"),
    "gaps filled": lambda df: df.vapi.fill_gaps().iloc[:40],
}


@pytest.mark.parametrize("name", CHOICES)
def test_the_calls_are_those_of_the_rows_that_were_chosen(demo, spend, name):
    """However rows are chosen, their calls add up to them, under the same index."""
    chosen = CHOICES[name](spend)
    calls = chosen.vapi.drill(demo, ["id", "cost"], limit=None)
    if "date" in chosen.index.names and isinstance(chosen.index, pd.MultiIndex):
        chosen = chosen.tz_convert("America/New_York", level="date")
    assert calls["id"].is_unique
    assert set(calls.index.names) == set(chosen.index.names)
    if list(calls.index.names) != list(chosen.index.names):
        chosen = chosen.reorder_levels(calls.index.names)
    check(chosen, calls)


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning")
@examples(15)
@given(st.data())
def test_random_rows_have_the_calls_of_plain_loops(data):
    """Of a random frame, any choice of rows has exactly the calls that plain loops find under these rows."""
    around, calls = data.draw(call_lists())
    query = data.draw(call_queries(around))
    if data.draw(st.booleans()):
        query = query.where(data.draw(filters()))
    vq = source(calls)
    frame = fetch(vq, query)
    assume(len(frame))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(frame), max_size=len(frame))), dtype=bool)
    chosen = frame[mask]
    keys = set(keys_of(chosen, query))
    expected = [call["id"] for key, call in find_calls(calls, query, NOW) if key in keys]
    assert chosen.vapi.drill(vq, ["id"])["id"].tolist() == expected


CHAIN = {
    "mask": lambda df, random: df[random.random(len(df)) < 0.7],
    "range": lambda df, _: df[df.index.get_level_values("date") < "2026-10-12"] if "date" in df.index.names else df,
    "week": lambda df, _: df.vapi.rollup("week"),
    "all": lambda df, _: df.vapi.rollup("all"),
    "type": lambda df, _: df.vapi.rollup(by="type"),
    "ratio": lambda df, _: df.vapi.per_call(),
}


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")
@examples(15)
@given(st.lists(st.sampled_from(sorted(CHAIN)), min_size=1, max_size=4), st.integers(0, 99))
def test_after_any_verbs_each_row_has_its_calls_or_none_are_shown(demo, steps, seed):
    """Rows that were put together after others had been left out count calls that no index names: they are refused."""
    random = np.random.default_rng(seed)
    frame = demo.call().count().sum("cost").by("type", "assistantId").step("day").during("2026-10").fetch()
    rows = frame
    for step in steps:
        assume(not (step == "week" and "date" not in rows.index.names))
        assume(not (step == "type" and "type" not in rows.index.names))
        rows = CHAIN[step](rows, random)
    can_mix = "mask" in steps and {"week", "all", "type"}.intersection(steps[steps.index("mask") :])
    try:
        calls = rows.vapi.drill(demo, ["id", "cost"], limit=None)
    except ProvenanceError:
        assert can_mix
    else:
        check(rows, calls)


def test_a_limit_counts_the_calls_of_the_chosen_rows(demo, spend):
    """A choice that no query gives is cut as any other, in the order of the index."""
    chosen = spend.nlargest(3, "sumCost")
    whole = chosen.vapi.drill(demo, ["id"], limit=None)
    with pytest.warns(RecordsWarning, match="drill returns the first 10 calls"):
        cut = chosen.vapi.drill(demo, ["id"], limit=10)
    pd.testing.assert_frame_equal(cut, whole.iloc[:10])
    assert len(chosen.vapi.drill(demo, ["id"], limit=len(whole))) == len(whole)


def test_a_relative_range_stays_that_of_the_frame():
    """The calls are those that the rows count, also once the clock has moved on."""
    calls = vf.sample_calls(2_000)
    early, late = (vf.local(calls, now=at) for at in ("2026-10-20T00:00Z", "2026-11-01T00:00Z"))
    frame = early.call().count().last("7d").fetch()
    assert len(frame.vapi.drill(late, ["id"])) == frame["countId"].item()


def test_frames_without_calls_of_their_own_are_refused(demo, spend):
    """A changed value, a comparison, and a level that a verb made are refused, with what to do."""
    changed = spend.assign(sumCost=spend["sumCost"] * 2)
    with pytest.raises(ProvenanceError, match="sumCost"):
        changed.vapi.drill(demo)
    both = demo.call().sum("cost").between("2026-11-09", "2026-11-16").compare("previous").fetch()
    with pytest.raises(QueryError, match="the frame is a comparison, and each row counts calls of two periods"):
        both.vapi.drill(demo)
    reasons = demo.call().count().by("endedReason").during("2026-10").fetch().vapi.outcome()
    with pytest.raises(QueryError, match="a verb made the level 'outcome', which no call has"):
        reasons.vapi.drill(demo)
    with pytest.raises(QueryError, match=r"the frame is not from the API but from 'calls'.*df.vapi.drill\(vf.local"):
        spend.vapi.drill()
    with pytest.raises(QueryError, match="drill takes what to fetch from"):
        spend.vapi.drill("calls")
    unknown = vf.to_frame([{"name": "n", "timeRange": {}, "result": [{"countId": "1"}]}])
    with pytest.raises(ProvenanceError, match="the frame does not know which time it covers"):
        unknown.vapi.drill(demo)
    with pytest.raises(QueryError, match="limit must be"):
        spend.vapi.drill(demo, limit=0)


def test_the_calls_are_records_again(demo):
    """A drilled frame is call records, which a query of their own reads."""
    calls = demo.call().sum("cost").by("type").during("2026-10-05").drill().reset_index()
    again = calls.vapi.call().sum("cost").by("type").during("2026-10-05").fetch()
    pd.testing.assert_frame_equal(again, demo.call().sum("cost").by("type").during("2026-10-05").fetch())


@pytest.mark.extra("local")
def test_a_refusal_shows_the_line_of_the_user():
    """Without a vq the message names the one that fetched; of a comparison it shows the query of the user."""
    query = vf.demo().call().sum("cost").by("type").between("2026-10-08", "2026-10-15")
    for verb in ("drill", "refresh"):
        with pytest.raises(QueryError, match=rf"pass the vq that fetched it, df\.vapi\.{verb}\(vq\), or"):
            getattr(query.fetch().vapi, verb)()
    both = query.step("day").compare("previous").fetch()
    for frame in (both, both.vapi.top(1, by="cost"), both.vapi.rollup("all"), both.head(2)):
        with pytest.raises(QueryError, match="drill the query of one of them, ") as error:
            frame.vapi.drill(vf.demo())
        line = str(error.value).partition("one of them, ")[2]
        assert line.startswith('vq.call().sum("cost")')
        assert line.endswith('.between("2026-10-08T00:00:00Z", "2026-10-15T00:00:00Z").drill()')
