"""The builder: what a query compiles to, what it refuses, and that it is a value."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

import vapi_frames as vf
from tests.support.query_verbs import VERBS
from tests.support.strategies import queries
from vapi_frames import vq
from vapi_frames.contract.models import parse_request
from vapi_frames.errors import QueryError, UnknownWordError
from vapi_frames.query.query import Query
from vapi_frames.result.result import empty_result

NOW = datetime(2026, 11, 15, 17, 30, tzinfo=UTC)


def span(query, now=NOW):
    """Return the timeRange that is sent."""
    return query.body(now)["queries"][0].get("timeRange")


def test_the_promise():
    """The query of the README compiles to exactly the published contract."""
    body = vq.call().sum("cost").by("assistantId").step("day").body()
    name = body["queries"][0]["name"]
    assert body == {
        "queries": [
            {
                "table": "call",
                "name": name,
                "groupBy": ["assistantId"],
                "timeRange": {"step": "day"},
                "operations": [{"operation": "sum", "column": "cost", "alias": "sumCost"}],
            }
        ]
    }
    assert list(body["queries"][0]) == ["table", "name", "groupBy", "timeRange", "operations"]
    assert len(name) <= 40
    assert name.startswith("sumCost")


def test_nothing_is_sent_that_was_not_asked_for():
    """Without step, range and zone there is no timeRange; without groups no groupBy."""
    body = vq.call().count().body()["queries"][0]
    assert set(body) == {"table", "name", "operations"}
    assert body["operations"] == [{"operation": "count", "column": "id", "alias": "countId"}]
    assert span(vq.call().count().tz("Asia/Tokyo")) == {"timezone": "Asia/Tokyo"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_returns_a_new_query_and_leaves_the_old_one(verb):
    """Queries are values: no verb changes its query, and each result can be told from it."""
    before = vq.call().sum("cost")
    code, hashed = repr(before), hash(before)
    after = VERBS[verb](before)
    assert after is not before
    assert (repr(before), hash(before)) == (code, hashed)
    assert after != before
    assert VERBS[verb](vq.call().sum("cost")) == after
    assert hash(VERBS[verb](vq.call().sum("cost"))) == hash(after)


@pytest.mark.parametrize("verb", VERBS)
def test_repr_is_code_that_gives_the_query_again(verb):
    """A repr can be pasted back, and sends nothing; a pickle is the same value, too."""
    query = VERBS[verb](vq.call().sum("cost"))
    assert eval(repr(query), {"vq": vq}) == query
    assert pickle.loads(pickle.dumps(query)) == query


class Silent:
    """A source that has nothing."""

    kind = "calls"

    def now(self):
        return NOW

    def answer(self, queries, now):
        return [empty_result(query, *query.instants(now)) for query in queries]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")
def test_a_frame_has_its_query_whatever_verb_built_it(verb):
    """df.vapi.query is the query that was fetched, with the instants of its range."""
    query = VERBS[verb](vq.call().sum("cost"))
    [frame] = vf.Vq(Silent).fetch(query).values()
    known = frame.vapi.query
    assert known.instants(NOW) == query.instants(NOW)
    assert replace(known, time_range=query.time_range) == query


@given(queries())
def test_a_body_read_back_is_the_same_body(query):
    """from_body(q.body(now)).body() == q.body(now), for any query."""
    body = query.body(NOW)
    assert Query.from_body(body).body() == body
    assert Query.from_body(json.dumps(body)).body() == body
    dto = parse_request(body)
    assert Query.from_body(dto).body() == Query.from_body(dto.queries[0]).body() == body
    assert query.dto(NOW).to_body() == body


@given(queries(absolute=True))
def test_an_absolute_query_read_back_is_the_same_query(query):
    """Where the range is absolute, the queries themselves are equal; and so are their reprs' values and pickles."""
    assert Query.from_body(query.body(NOW)) == query
    assert eval(repr(query), {"vq": vq}) == query
    assert pickle.loads(pickle.dumps(query)) == query


@given(queries())
def test_an_automatic_name_fits_the_contract(query):
    """Every name is at most 40 characters long."""
    assert 1 <= len(query.body(NOW)["queries"][0]["name"]) <= 40


def test_the_order_of_verbs_does_not_matter():
    """Only measures and groups keep their order."""
    one = vq.call().step("day").tz("Asia/Tokyo").last("3d").by("type").with_counts().avg("cost")
    other = vq.call().avg("cost").with_counts().by("type").last("3d").tz("Asia/Tokyo").step("day")
    assert one == other
    assert one.body(NOW) == other.body(NOW)
    assert vq.call().by() == vq.call()


def test_with_counts_adds_what_averages_need_beside_them():
    """Each average gets the count of its own column once, and nothing is added that is there."""
    query = vq.call().avg("cost").sum("cost").avg("duration").count("duration", alias="n").with_counts()
    assert [one.name for one in query.measures] == ["avgCost", "countCost", "sumCost", "avgDuration", "n"]


def test_a_long_default_name_is_shortened_on_the_wire_only():
    """The contract allows 40 characters of an alias; the frame keeps the whole name."""
    query = vq.call().count("costBreakdown.analysisBreakdown.summary")
    [one] = query.body()["queries"][0]["operations"]
    assert len(one["alias"]) <= 40
    assert query.measures[0].name == "countCostBreakdownAnalysisBreakdownSummary"
    reply = [{"name": "x", "timeRange": {}, "result": [{one["alias"]: "3"}]}]
    assert list(vf.to_frame(reply, query).columns) == ["countCostBreakdownAnalysisBreakdownSummary"]
    assert Query.from_body(query.body()) == query


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: vq.call().sum("costs"), ["'costs'", "did you mean 'cost'"]),
        (lambda: vq.call().sum("llm"), ["'costBreakdown.llm'"]),
        (lambda: vq.call().sum(3), ["3", "column"]),
        (lambda: vq.call().by("assistant"), ["'assistantId'", "by_variable"]),
        (lambda: vq.call().by("successEvaluation"), ["'analysis.successEvaluation'"]),
        (lambda: vq.call().step("daily"), ["'daily'", "'day'"]),
        (lambda: vq.call().step("D"), ["'D'", "'day'"]),
        (lambda: vq.call().tz("America/NewYork"), ["'America/New_York'"]),
        (lambda: vq.call().agg(x=("cost", "total")), ["'total'", "'sum'"]),
        (lambda: Query(table="calls"), ["'calls'", "'call'"]),
    ],
)
def test_a_wrong_word_names_the_nearest_right_one(build, words):
    """A typo raises before any I/O, with the value and the nearest valid word."""
    with pytest.raises(UnknownWordError) as caught:
        build()
    for word in words:
        assert word in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert pickle.loads(pickle.dumps(caught.value)).suggestions == caught.value.suggestions


@pytest.mark.extra("local")
@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: vq.call().sum(), "needs a column"),
        (lambda: vq.call().sum("cost").sum("cost"), "already in the query"),
        (lambda: vq.call().sum("cost", "cost"), "already in the query"),
        (lambda: vq.call().sum("cost", alias="x").avg("cost", alias="x"), "two measures are named 'x'"),
        (lambda: vq.call().sum("cost", "duration", alias="x"), "cannot name 2 measures"),
        (lambda: vq.call().sum("cost", alias="date"), "index level"),
        (lambda: vq.call().sum("cost", alias=""), "alias must be non-empty text"),
        (lambda: vq.call().agg(x="cost"), "not a pair"),
        (lambda: vq.call().by("type").by("type"), "already groups by"),
        (lambda: vq.call().by_variable("a", "a"), "already groups by"),
        (lambda: vq.call().by_variable("k" * 101), "101 characters"),
        (lambda: vq.call().by_variable(""), "non-empty text"),
        (lambda: vq.call().named("n" * 41), "41 characters"),
        (lambda: vq.call().last("5m"), "minutes or months"),
        (lambda: vq.call().last("0d"), "positive number"),
        (lambda: vq.call().last("1.5h"), "cannot read the span"),
        (lambda: vq.call().last(30), "cannot read the span"),
        (lambda: vq.call().last("30d", complete="yes"), "True or False"),
        (lambda: vq.call().during("October"), "cannot read the period"),
        (lambda: vq.call().during("2026-13"), "cannot read the period"),
        (lambda: vq.call().during("2026-W60"), "cannot read the period"),
        (lambda: vq.call().between("2026-10", "2026-11"), "use .during"),
        (lambda: vq.call().between("30d", "2026-11-01"), "use .last"),
        (lambda: vq.call().between("2026-11-01", "2026-10-01"), "empty"),
        (lambda: vq.call().between("2026-11-01", "2026-11-01"), "empty"),
        (lambda: vq.call().between(None, None), "no range"),
        (lambda: vq.call().between(pd.NaT, "2026-10-01"), "start is NaT"),
        (lambda: vq.call().between(20261001, "2026-10-01"), "not 20261001"),
        (lambda: vq.call().since(None), "start is None"),
        (lambda: vq.call().since(pd.Timestamp("2026-10-01T00:00:00.000000001")), "finer than a microsecond"),
        (lambda: vq.call().since("2026-10-01T00:00:00.000000001"), "finer than a microsecond"),
        (lambda: vq.call().since("9999-01-01"), "years"),
        (lambda: vq.call().body(), "the query has no measure"),
        (lambda: vq.call().count().between("2026-10-01T12:00Z", "2026-10-01").body(), "empty"),
        (lambda: vq.call().count().last("3d").body("2026-10-01"), "has no zone"),
        (lambda: Query(table="call").count().last("3d").body(), "the query has no source"),
        (lambda: Query(table="call").count().fetch(), "the query has no source"),
        (lambda: vq.fetch(), "nothing to fetch"),
        (lambda: vq.fetch("cost"), "takes queries"),
        (lambda: Query.from_body("{"), "not JSON"),
        (lambda: Query.from_body({"queries": []}), "has 0 queries"),
        (lambda: vf.demo().call().count().fetch(dtype_backend="arrow"), "numpy_nullable"),
        (lambda: vf.demo().call().count().fetch(categorical="yes"), "True or False"),
        (lambda: Query.from_body(5), "object"),
        (lambda: Query.from_body("[" * 100_000), "not JSON"),
        (lambda: vq.call().since(pd.NA), "start is <NA>"),
        (lambda: vq.call().during(date(9999, 12, 31)), "cannot read the period"),
        (lambda: vq.call().named("\ud800"), "surrogate"),
        (
            lambda: vq.call().avg("cost").sum("cost", alias="countCost").with_counts().body(),
            "would be named 'countCost'",
        ),
        (lambda: vq.call().sum("cost", alias="variable.cost").by_variable("cost").body(), "named 'variable.cost'"),
        (lambda: vq.call().count().last("1d").body(5), "now must be a date"),
    ],
)
def test_bad_input_says_what_would_be_right(build, match):
    """Each wrong argument is a QueryError that names the value; nothing else gets out."""
    with pytest.raises(QueryError, match=match):
        build()


def test_an_unknown_verb_names_the_right_one():
    """A verb of pandas or SQL raises an error that names the word used here."""
    with pytest.raises(AttributeError, match=r"did you mean \.by\(\)"):
        vq.call().groupby("type")
    with pytest.raises(AttributeError, match=r"\.sum\(\)"):
        vq.call().summ("cost")
    with pytest.raises(AttributeError, match=r"\.by_variable\(\)"):
        vq.call().variable("plan")
    with pytest.raises(AttributeError, match=r"call \.fetch\(\) first"):
        vq.call().count().plot()
    with pytest.raises(AttributeError, match=r"\.where\(\)"):
        vq.call().filter(type="webCall")
    with pytest.raises(AttributeError, match="sum, avg, count"):
        vq.call().std("duration")
    with pytest.raises(AttributeError, match=r"vq\.call\(\)\.sum"):
        vq.sum("cost")


class TestTime:
    """Ranges: what is typed, and what it resolves to."""

    def test_aware_moments_become_utc_at_once(self):
        """The same instant, however it is written, gives the same query, without any pandas object."""
        instant = datetime(2026, 10, 1, 4, tzinfo=UTC)
        forms = [
            instant, "2026-10-01T04:00Z", "2026-10-01T00:00:00-04:00", pd.Timestamp("2026-10-01", tz="America/New_York"),
            pd.Timestamp("2026-10-01T04", tz="UTC"),
        ]  # fmt: skip
        made = {vq.call().count().since(form) for form in forms}
        assert len(made) == 1
        assert type(made.pop().time_range.start) is datetime

    def test_naive_moments_wait_for_the_zone(self):
        """A wall clock is read in the zone that is named last, whatever the order of verbs."""
        forms = ["2026-10-01", date(2026, 10, 1), np.datetime64("2026-10-01")]
        for form in forms:
            query = vq.call().count().since(form).tz("Asia/Tokyo").tz("America/New_York")
            assert span(query)["start"] == "2026-10-01T04:00:00Z"
        for form in (
            datetime(2026, 10, 1, 9),
            "2026-10-01 09:00",
            pd.Timestamp("2026-10-01T09"),
            np.datetime64("2026-10-01T09", "ns"),
        ):
            assert span(vq.call().count().since(form).tz("America/New_York"))["start"] == "2026-10-01T13:00:00Z"

    def test_since_leaves_the_end_to_the_contract(self):
        """The body has only what the query sets."""
        assert span(vq.call().count().since("2026-10-01")) == {"start": "2026-10-01T00:00:00Z"}

    @pytest.mark.parametrize(
        ("period", "start", "end"),
        [
            ("2026", "2026-01-01", "2027-01-01"),
            ("2026Q4", "2026-10-01", "2027-01-01"),
            ("2026-Q1", "2026-01-01", "2026-04-01"),
            ("2026-12", "2026-12-01", "2027-01-01"),
            ("2026-W01", "2025-12-29", "2026-01-05"),
            ("2024-02-29", "2024-02-29", "2024-03-01"),
            (pd.Period("2026-10", "M"), "2026-10-01", "2026-11-01"),
        ],
    )
    def test_during_is_the_whole_period(self, period, start, end):
        """A period has no off-by-one: its end is the first day after."""
        assert vq.call().count().during(period) == vq.call().count().between(start, end)

    @pytest.mark.parametrize(
        ("text", "start"),
        [
            ("90s", "2026-11-15T17:28:30Z"),
            ("15min", "2026-11-15T17:15:00Z"),
            ("12h", "2026-11-15T05:30:00Z"),
            ("30d", "2026-10-16T16:30:00Z"),  # across the change of the clock: the same wall time
            ("4w", "2026-10-18T16:30:00Z"),
            ("3mo", "2026-08-15T16:30:00Z"),
            ("1y", "2025-11-15T17:30:00Z"),
        ],
    )
    def test_last_counts_days_and_longer_on_the_calendar(self, text, start):
        """A relative range resolves against now, in the zone."""
        query = vq.call().count().last(text).tz("America/New_York")
        assert span(query) == {"start": start, "end": "2026-11-15T17:30:00Z", "timezone": "America/New_York"}

    def test_a_month_back_from_its_end_stays_in_the_calendar(self):
        """One month before March 31 is the last of February."""
        at = datetime(2026, 3, 31, 12, tzinfo=UTC)
        assert span(vq.call().count().last("1mo"), at)["start"] == "2026-02-28T12:00:00Z"

    @pytest.mark.parametrize(
        ("text", "step", "start", "end"),
        [
            ("7d", "day", "2026-11-08T05:00:00Z", "2026-11-15T05:00:00Z"),
            ("30d", "week", "2026-10-12T04:00:00Z", "2026-11-09T05:00:00Z"),
            ("7d", None, "2026-11-08T05:00:00Z", "2026-11-15T05:00:00Z"),
            ("2h", "hour", "2026-11-15T15:00:00Z", "2026-11-15T17:00:00Z"),
        ],
    )
    def test_complete_asks_for_whole_buckets_only(self, text, step, start, end):
        """Neither end of a complete range cuts a bucket."""
        query = vq.call().count().last(text, complete=True).tz("America/New_York")
        query = query.step(step) if step else query
        found = span(query)
        assert (found["start"], found["end"]) == (start, end)

    def test_no_whole_bucket_is_an_error(self):
        """A span shorter than its step contains no whole bucket, and the error says so."""
        with pytest.raises(QueryError, match="no whole month"):
            vq.call().count().step("month").last("30d", complete=True).body(NOW)

    def test_a_relative_range_stays_relative(self):
        """The query itself does not know what time it is."""
        query = vq.call().count().last("1d")
        assert query.body(NOW) != query.body(NOW + timedelta(days=1))


def test_a_variable_with_the_name_of_a_column_gets_its_own_level():
    """Index levels are unique, and decided by the query alone."""
    query = vq.call().sum("cost", alias="plan").by("type").by_variable("type", "cost", "plan", "tier").step("day")
    assert query.levels == ("date", "type", "variable.type", "variable.cost", "variable.plan", "tier")


@pytest.mark.extra("local")
def test_its_source_is_no_part_of_the_value():
    """The source is left out of equality, hash, repr and pickle."""
    demo = vf.demo().call().count()
    assert demo == vq.call().count()
    assert hash(demo) == hash(vq.call().count())
    assert pickle.loads(pickle.dumps(demo)).vq is None
    assert repr(demo) == "vq.call().count()"


def test_curl_leaves_the_key_in_the_environment():
    """The shell command can be shown to anyone."""
    text = vq.call().count().named("it's").curl()
    assert "$VAPI_API_KEY" in text
    assert "https://api.vapi.ai/analytics" in text


def test_explain_says_what_would_be_asked():
    """The plan resolves the range in the zone, and counts the buckets."""
    plan = vq.call().sum("cost").by("type").step("day").last("7d", complete=True).tz("America/New_York").explain(NOW)
    assert plan.buckets == 7
    assert plan.levels == ("date", "type")
    assert plan.columns == (("sumCost", "USD"),)
    assert "2026-11-08T00:00:00-05:00" in str(plan)


def test_text_of_other_types_becomes_plain_text():
    """Enumerations and numpy's strings are read as the text that they are."""
    from enum import StrEnum

    class Zone(StrEnum):
        NEW_YORK = "America/New_York"

    query = vq.call().count(alias=np.str_("n\n")).tz(Zone.NEW_YORK)
    assert query.timezone == "America/New_York"
    assert type(query.timezone) is str
    assert eval(repr(query), {"vq": vq}) == query
