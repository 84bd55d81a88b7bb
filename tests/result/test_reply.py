"""A reply to another query is refused, as far as range, step, groups and measures show it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from vapi_frames.errors import ResponseError, ResponseWarning

BEGIN = datetime(2026, 10, 1, tzinfo=UTC)
DAYS = st.tuples(st.integers(0, 20), st.integers(1, 12))


def reply_to(start, days, *, step=None, **keys):
    """Return a reply with one row, which counts one call."""
    begin = BEGIN + timedelta(days=start)
    span = {"start": begin.isoformat(), "end": (begin + timedelta(days=days)).isoformat(), "timezone": "UTC"}
    row = {**keys, "countId": "1"}
    if step:
        span["step"], row["date"] = step, begin.isoformat()
    return json.dumps([{"name": "spend", "timeRange": span, "result": [row]}])


def query_of(start, days, *, step=None):
    """Return the query that `reply_to` replies to."""
    query = vf.vq.call().count().named("spend")
    begin = BEGIN + timedelta(days=start)
    query = query.between(begin.isoformat(), (begin + timedelta(days=days)).isoformat())
    return query.step(step) if step else query


@given(DAYS, DAYS, st.sampled_from([None, "day"]))
@examples(36)
def test_a_reply_of_another_range_is_refused(requested, replied, step):
    """A range that ends early, or begins late, is a warning; one with instants outside the range is refused."""
    query, reply = query_of(*requested, step=step), reply_to(*replied, step=step)
    is_within = requested[0] <= replied[0] and sum(replied) <= sum(requested)
    if requested == replied:
        assert vf.to_frame(reply, query)["countId"].sum() == 1
    elif is_within:
        with pytest.warns(ResponseWarning, match="range of the reply is not the query's"):
            vf.to_frame(reply, query)
    else:
        with pytest.raises(ResponseError, match="is to another query: its range has"):
            vf.to_frame(reply, query)


def test_a_range_rounded_to_whole_buckets_is_the_querys():
    """A server may count in whole buckets; the frame has the range of the reply."""
    query = vf.vq.call().count().step("day").between("2026-10-01T05:00:00Z", "2026-10-02T05:00:00Z")
    with pytest.warns(ResponseWarning, match="range of the reply"):
        vf.to_frame(reply_to(0, 2, step="day"), query)
    with pytest.raises(ResponseError, match="another query"):
        vf.to_frame(reply_to(0, 3, step="day"), query)


@pytest.mark.parametrize("group", ["type", "assistantId", "endedReason"])
def test_a_reply_with_a_group_that_was_not_asked_for_is_refused(group):
    """Its row is a part of the total, and would pass for it; nor is it the value of a variable."""
    for query in (query_of(0, 1), query_of(0, 1).by_variable("plan")):
        with pytest.raises(ResponseError, match=f"rows have the group '{group}', and the query does not"):
            vf.to_frame(reply_to(0, 1, **{group: "x"}), query)


def test_a_measure_is_no_variable():
    """A measure of another query is not taken for the value of a variable."""
    with pytest.raises(ResponseError, match="no key of the rows can be the variable 'plan'"):
        vf.to_frame(reply_to(0, 1, sumCost=2.5), query_of(0, 1).by_variable("plan"))


def test_a_reply_with_a_step_that_was_not_asked_for_is_refused():
    """Also where its rows have no date."""
    reply = json.loads(reply_to(0, 1))
    reply[0]["timeRange"]["step"] = "day"
    with pytest.raises(ResponseError, match="its step is 'day', and the query has none"):
        vf.to_frame(reply, query_of(0, 1))
