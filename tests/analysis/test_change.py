"""Change: against the bucket so many steps earlier on the calendar, never against the row before."""

from __future__ import annotations

import math
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.shapes import QUIET, buckets_of, fetch, rows_of, same, sources_and_queries
from tests.support.strategies import NOW
from vapi_frames.calendar.buckets import find_bounds, from_seconds, to_seconds
from vapi_frames.contract.vocabulary import STEPS
from vapi_frames.errors import FrameWarning, ProvenanceError, QueryError, UnknownWordError

pytestmark = [pytest.mark.extra("local"), *QUIET, pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning")]


def is_partial(at, query):
    """Say whether the range or now cuts the bucket."""
    start, end = query.instants(NOW)
    whole = find_bounds(to_seconds(at), query.time_step, query.zone)
    return from_seconds(whole.start) < start or from_seconds(whole.end) > min(end, NOW)


@examples(6)
@given(sources_and_queries(steps=STEPS[2:6], groups=2), st.integers(1, 26), st.data())
def test_changes_are_what_plain_loops_say(drawn, periods, data):
    """The earlier bucket is found by counting on the calendar; without a row it was 0, or is missing."""
    vq, query = drawn
    frame = fetch(vq, query)
    order = data.draw(st.permutations(range(len(frame))))
    changed = frame.iloc[list(order)].vapi.change(periods)
    there = rows_of(frame)
    buckets = sorted({*buckets_of(query), *(key[0] for key in there)})
    for key, row in rows_of(changed).items():
        place = buckets.index(key[0]) - periods
        for one in query.measures:
            now = there[key][one.name]
            before = None
            if place >= 0 and not is_partial(key[0], query) and not is_partial(buckets[place], query):
                nothing = {one.name: 0.0 if one.operation in ("sum", "count") else None}
                before = there.get((buckets[place], *key[1:]), nothing)[one.name]
            delta = None if now is None or before is None else now - before
            percent = None if delta is None or before == 0 else delta / before * 100
            for name, wanted in ((f"{one.name}Delta", delta), (f"{one.name}Percent", percent)):
                assert (row[name] is None) == (wanted is None), (key, name)
                assert wanted is None or math.isclose(row[name], wanted, rel_tol=1e-9, abs_tol=1e-9)
    same(changed[frame.columns], frame.iloc[list(order)])


def spend(now="2026-10-06T00:00Z", start="2026-10-01"):
    """Return spend on the 1st, 2nd and 4th of October."""
    calls = [
        {"id": str(day), "createdAt": f"2026-10-0{day}T12:00Z", "cost": cost}
        for day, cost in ((1, 1.0), (2, 3.0), (4, 6.0))
    ]
    return vf.local(calls, now=now).call().sum("cost").avg("cost").step("day").between(start, "2026-10-06").fetch()


def test_the_row_before_is_not_the_bucket_before():
    """The 4th is compared with the 3rd, which had no calls, and not with the 2nd."""
    changed = spend().vapi.change()
    assert changed["sumCostDelta"].fillna(-1).tolist() == [-1, 2, 6]
    assert changed["sumCostPercent"].fillna(-1).tolist() == [-1, 200, -1]
    assert changed["avgCostDelta"].fillna(-1).tolist() == [-1, 2, -1]
    assert changed.vapi.units == {
        "sumCost": "USD", "avgCost": "USD", "sumCostDelta": "USD", "sumCostPercent": "%", "avgCostDelta": "USD", "avgCostPercent": "%",
    }  # fmt: skip
    assert list(spend().vapi.change(columns="sumCost").columns) == [
        "sumCost",
        "avgCost",
        "sumCostDelta",
        "sumCostPercent",
    ]
    assert spend().vapi.change(2, columns=["sumCost"])["sumCostDelta"].fillna(-1).tolist() == [-1, -1, 3]


def test_a_partial_bucket_is_left_out_and_said():
    """Neither the day that the range cuts, nor the one after it, nor today has a change."""
    with pytest.warns(FrameWarning, match="2 rows are not compared: their bucket, or the earlier one, is partial"):
        changed = spend(start="2026-10-01T06:00").vapi.change()
    assert changed["sumCostDelta"].isna().tolist() == [True, True, False]
    with pytest.warns(FrameWarning, match="1 row is not compared: its bucket, or the earlier one, is partial"):
        changed = spend(now="2026-10-04T13:00Z").vapi.change()
    assert changed["sumCostDelta"].isna().tolist() == [True, False, True]


def test_it_can_be_asked_again():
    """A second change makes the same columns; what was computed from rows is not compared unless named."""
    frame = spend()
    same(frame.vapi.change().vapi.change(), frame.vapi.change())
    assert "sumCostShareDelta" not in frame.vapi.share("sumCost").vapi.change()
    filled = frame.vapi.fill_gaps().vapi.change()
    same(filled.loc[frame.index, ["sumCostDelta"]], frame.vapi.change()[["sumCostDelta"]])


@pytest.mark.parametrize("periods", [0, -1, 1.5, True, "1"])
def test_periods_are_counted_from_one(periods):
    """Nothing is compared with itself or with the future."""
    with pytest.raises(QueryError, match=re.escape(f"not {periods!r}")):
        spend().vapi.change(periods)


def test_what_cannot_be_compared():
    """Rows that were chosen, frames without a step, columns that are no measures."""
    frame = spend()
    with pytest.raises(ProvenanceError, match=r"change\(whole=True\)"):
        frame.iloc[[0, 2]].vapi.change()
    assert frame.iloc[[0, 2]].vapi.change(whole=True)["sumCostDelta"].tolist()[1] == 6
    with pytest.raises(QueryError, match="no step"):
        vf.demo().call().count().during("2026-10").fetch().vapi.change()
    with pytest.raises(UnknownWordError, match="unknown measure of the frame 'mine'"):
        frame.assign(mine=1.0).vapi.change(columns="mine")
    with pytest.raises(UnknownWordError, match="did you mean 'sumCost'"):
        frame.vapi.change(columns=["sumcost"])
    with pytest.raises(QueryError, match="already has a column 'sumCostDelta'"):
        frame.assign(sumCostDelta=1.0).vapi.change()
    flat = frame.reset_index()
    flat.loc[0, "date"] = pd.Timestamp("2026-09-01T00:00Z")
    with pytest.raises(
        ProvenanceError, match="1 of 3 rows are not among those that were fetched, e.g. date 2026-09-01"
    ):
        flat.set_index("date").vapi.change()
