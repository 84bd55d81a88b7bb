"""Replies to `to_frame`: what is no reply is named, and any other gives the numbers that it holds."""

from __future__ import annotations

import json
import math
import warnings
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from vapi_frames import vq
from vapi_frames.errors import FrameWarning, ProvenanceError, QueryError, ResponseError, VapiFramesError

MONTHS = vq.call().sum("cost").step("month").between("2026-09-01T00:00Z", "2026-11-01T00:00Z")
COSTS = [{"date": "2026-09-01T00:00:00Z", "sumCost": 100}, {"date": "2026-10-01T00:00:00Z", "sumCost": 56}]


def reply(rows, **span):
    """Return a reply with one result."""
    return [{"name": "q", "timeRange": span, "result": rows}]


class TestWhenItWasReceived:
    """A reply does not say when it was received, and only that tells which buckets are partial."""

    def test_the_running_month_is_partial(self):
        """It is not compared, not filled beyond now, and can be dropped."""
        frame = vf.to_frame(reply(COSTS), MONTHS, now="2026-10-15T00:00Z")
        assert frame.vapi.partial.tolist() == [False, True]
        with pytest.warns(FrameWarning, match="1 row is not compared"):
            assert frame.vapi.change()["sumCostPercent"].isna().all()
        assert frame.vapi.drop_partial()["sumCost"].tolist() == [100.0]
        assert frame.vapi.meta.now == datetime(2026, 10, 15, tzinfo=UTC)
        assert frame.vapi.meta.notes == ()

    def test_no_bucket_of_the_future_is_filled(self):
        """A day that has not begun has no calls yet, and is not 0."""
        query = vq.call().count().step("day").between("2026-10-01T00:00Z", "2026-11-01T00:00Z")
        rows = [{"date": "2026-10-02T00:00:00Z", "countId": "1"}]
        frame = vf.to_frame(reply(rows), query, now=datetime(2026, 10, 3, 12, tzinfo=UTC))
        assert frame.vapi.fill_gaps()["countId"].tolist() == [0, 1, 0]

    @pytest.mark.extra("local")
    def test_by_default_it_is_the_clock_and_a_note_says_so(self):
        """That of the source where the query has one, else that of this machine."""
        bound = vf.demo().call().sum("cost").step("month").between("2026-11-01", "2027-01-01")
        rows = [{"date": "2026-11-01T00:00:00Z", "sumCost": 1}]
        frame = vf.to_frame(reply(rows), bound)
        assert frame.vapi.partial.tolist() == [True]
        assert frame.vapi.meta.now == datetime(2026, 11, 16, tzinfo=UTC)
        assert "pass now= to to_frame" in frame.vapi.describe()
        before = datetime.now(UTC)
        assert before <= vf.to_frame(reply(COSTS), MONTHS).vapi.meta.now <= datetime.now(UTC)

    def test_a_relative_range_is_that_of_the_reply(self):
        """Where it echoes one, an assumed clock is no reason for a warning."""
        span = {"start": "2026-10-01T00:00:00Z", "end": "2026-10-08T00:00:00Z"}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frame = vf.to_frame(reply([{"countId": 1}], **span), vq.call().count().last("7d"))
        assert frame.vapi.meta.start == datetime(2026, 10, 1, tzinfo=UTC)

    @pytest.mark.parametrize("now", ["2026-10-15", "soon", 5])
    def test_a_time_without_a_zone_is_refused(self, now):
        """It would be another instant on another machine."""
        with pytest.raises(QueryError, match="now"):
            vf.to_frame(reply(COSTS), MONTHS, now=now)

    def test_without_a_range_no_bucket_is_known_to_be_whole(self):
        """The error names what is missing."""
        frame = vf.to_frame(reply([{"date": "2026-10-01T00:00:00Z", "countId": 1}], step="day"))
        with pytest.raises(ProvenanceError, match="range .* is unknown"):
            frame.vapi.drop_partial()


@pytest.mark.parametrize(
    ("body", "query", "path", "match"),
    [
        (reply([{"countId": 1}]), vq.call().count().by("type"), "$[0].result[0]", "no row has the group 'type'"),
        (reply([{"date": "2026-10-01T00:00:00Z", "countId": 1}]), vq.call().count().by("type").step("day"),
         "$[0].result[0]", "no row has the group 'type'"),
        (reply([{"date": "2026-10-01T00:00:00Z", "countId": 1}]), vq.call().count(), "$[0].result[0].date",
         "the query has no step"),
        (reply([{"date": "2026-10-01T00:00:00Z", "type": "a", "countId": 1}]), vq.call().count().by("type"),
         "$[0].result[0].date", r"add the step .*\.step\(\"day\"\)"),
        ('[{"name":"q","timeRange":{},"result":[{"countId":1,"countId" : 2}]}]', None, "$[0].result[0]", "'countId' twice"),
        (b'[{"name":"q","timeRange":{},"result":[],"result":[{"countId":1}]}]', None, "$[0]", "'result' twice"),
        ('[{"name":"q","timeRange":{},"result":[{"countId":1}, 5]}]', None, "$[0].result[1]", "must be an object, not 5"),
        ({"data": reply([])}, None, "$", "pass what is under 'data'"),
        (json.dumps({"results": reply([])}), None, "$", "pass what is under 'results'"),
        ([{"id": "1", "insightId": "2", "createdAt": "2026-10-01T00:00:00Z"}], None, "$[0]", "/reporting/insight"),
        ({"type": "bar", "queries": [], "formulas": []}, None, "$", "/reporting/insight"),
        ({"queries": []}, None, "$", "body of a request"),
        ([{"id": "1", "createdAt": "2026-10-01T00:00:00Z", "cost": 1}], None, "$[0]", r"vf\.local\(calls\)"),
        ({}, None, "$", "a list of results"),
        (5, None, "$", "must be a list, not 5"),
    ],
)  # fmt: skip
def test_what_is_no_reply_to_the_query_is_named(body, query, path, match):
    """The error says what it looks like, where, and what is expected."""
    with pytest.raises(ResponseError, match=match) as caught:
        vf.to_frame(body, query)
    assert caught.value.path == path


def test_a_colon_in_a_text_is_no_key():
    """Text may look like a key, and a variable may be called date."""
    body = (
        r'[{"name":"q","timeRange":{},"result":[{"type":"a\":1","countId":1},{"type":"\"\"type\" :\"","countId":2}]}]'
    )
    assert vf.to_frame(body)["countId"].sum() == 3
    frame = vf.to_frame(reply([{"date": "friday", "countId": 1}]), vq.call().count().by_variable("date"))
    assert frame["countId"].tolist() == [1]


# --- any JSON -------------------------------------------------------------------------------------------------------

NUMBERS = st.integers(-5, 2**65) | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    ["7", "1.5", "1e3", " 4 ", "-0", "1_0", "0x1", "", "x", "9" * 25]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "result", "a"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def mostly(usual, odd=JSON):
    """Return a strategy that draws *usual* nine times out of ten."""
    return st.sampled_from([usual] * 9 + [odd]).flatmap(lambda drawn: drawn)


DATES = st.sampled_from(
    ["2026-10-01T00:00:00.000Z", "2026-10-02T00:00:00Z", "2026-10-02", "2026-10-02T00:00:00.5Z", "soon"]
)
VALUES = mostly(NUMBERS | st.none())
ROW = st.fixed_dictionaries(
    {"countId": mostly(st.integers(0, 9) | st.sampled_from(["7", "08"]), VALUES), "sumCost": VALUES},
    optional={"type": mostly(st.sampled_from(["a", "b", None])), "date": mostly(DATES), "odd": JSON},
)
SPANS = st.fixed_dictionaries(
    {},
    optional={
        "step": mostly(st.just("day")), "start": mostly(DATES), "end": mostly(DATES), "timezone": mostly(st.just("UTC")),
    },
)  # fmt: skip
RESULTS = st.fixed_dictionaries(
    {"name": mostly(st.just("q")), "timeRange": mostly(SPANS), "result": mostly(st.lists(mostly(ROW), max_size=3))}
)
REPLIES = mostly(RESULTS.map(lambda one: [one]), st.lists(RESULTS, max_size=2) | RESULTS | JSON)
QUERIES = st.sampled_from(
    [
        None, vq.call().count().sum("cost"), vq.call().count().sum("cost").by("type"),
        vq.call().count().sum("cost").step("day").between("2026-10-01T00:00Z", "2026-10-03T00:00Z"),
        vq.call().count().sum("cost").by("type").step("day"), vq.call().count().sum("cost").where(type="a"),
    ]
)  # fmt: skip


def read(rows):
    """Return {(date, type): (countId, sumCost)} by plain Python."""
    found = {}
    for row in rows:
        date = row.get("date")
        day = None if date is None else datetime.fromisoformat(date).replace(tzinfo=UTC)
        group = row.get("type")
        group = group if group is None or isinstance(group, str) else json.dumps(group)
        count, cost = row["countId"], row["sumCost"]
        whole = 0 if count is None else int(count) if isinstance(count, str) and count.strip().lstrip("+-").isdecimal() else int(float(count)) if not isinstance(count, int) else count  # fmt: skip
        found[day, group] = (whole, math.nan if cost is None else float(cost))
    return found


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.ResponseWarning")
@examples(120)
@given(REPLIES, QUERIES, st.booleans())
def test_any_json_is_refused_by_name_or_gives_its_numbers(body, query, as_text):
    """No other exception gets out, and no number is another."""
    try:
        frame = vf.to_frame(json.dumps(body) if as_text else body, query)
    except VapiFramesError:
        return
    [result] = [body] if isinstance(body, dict) else body
    rows = [row for row in result["result"] if not (query and query.filters) or row.get("type") == "a"]
    names = [name for name in frame.index.names if name]
    expected = read(rows) if query is None or rows or names else {(None, None): (0, math.nan)}
    if not names and not rows:
        expected = {(None, None): (0, math.nan)}
    flat = frame.reset_index()
    found = {}
    for _, row in flat.iterrows():
        date = row["date"].to_pydatetime().astimezone(UTC) if "date" in names else None
        group = row["type"] if "type" in names and isinstance(row["type"], str) else None
        found[date, group] = tuple(row[name] if name in flat else None for name in ("countId", "sumCost"))
    if query is not None and not query.groups:
        expected = {(date, None): value for (date, _), value in expected.items()}
    assert len(found) == len(expected) == len(flat)
    for key, (count, cost) in expected.items():
        assert found[key][0] == count
        assert found[key][1] == cost or (math.isnan(found[key][1]) and math.isnan(cost))
