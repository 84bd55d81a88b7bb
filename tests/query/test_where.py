"""Filters: how to write them, how they are rewritten for the API, and that every source gives the same result."""

from __future__ import annotations

import json
import math
import pickle
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.endpoint import absolute, serving
from tests.support.examples import examples
from tests.support.reference import compute
from tests.support.servers import Server, reply
from tests.support.shapes import as_frame, check
from tests.support.strategies import NOW, call_lists, call_queries, filters
from vapi_frames import vq
from vapi_frames.contract.record_words import RECORD_GROUPS
from vapi_frames.contract.vocabulary import GROUP_COLUMNS
from vapi_frames.errors import NonAdditiveError, QueryError, RecordsWarning, ResponseError, UnknownWordError
from vapi_frames.query.filters import KeywordFilters
from vapi_frames.query.query import Query
from vapi_frames.query.rewrite import rewrite_filters

KEY = "where-test-key-0001"
ZERO = "00000000-0000-0000-0000-000000000000"
OCTOBER = (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))


@pytest.mark.extra("local")
def test_the_promise():
    """A query of some calls is one line, and has the numbers of a query of only these calls."""
    calls = vf.sample_calls(2_000)
    query = calls.vapi.call().sum("cost").avg("duration").count().by("endedReason").during("2026-10")
    chosen = calls[(calls["type"] == "webCall") & calls["variableValues.plan"].isin(["pro", "free"])]
    assert 0 < len(chosen) < len(calls)
    found = query.where({"variable.plan": ["pro", "free"]}, type="webCall").fetch()
    wanted = chosen.vapi.call().sum("cost").avg("duration").count().by("endedReason").during("2026-10").fetch()
    pd.testing.assert_frame_equal(found, wanted, rtol=1e-9)


# --- the verb ---------------------------------------------------------------------------------------------------


class Kind(StrEnum):
    """Text of another type."""

    WEB = "webCall"


@pytest.mark.parametrize(
    ("given_", "values"),
    [
        ("webCall", ("webCall",)), ("", ("",)), (ZERO, (ZERO,)), (None, (None,)), (True, ("true",)), (False, ("false",)),
        (7, ("7",)), (-1, ("-1",)), (["b", "a", "b"], ("b", "a")), (("a", None), ("a", None)), ({"b", "a"}, ("a", "b")),
        (frozenset({"b", None, ""}), ("", "b", None)), ([True, "true"], ("true",)), (Kind.WEB, ("webCall",)),
        (np.str_("a"), ("a",)), (np.bool_(True), ("true",)), (np.int64(3), ("3",)), ("a\0b", ("a\0b",)),
    ],
)  # fmt: skip
def test_values_are_the_text_that_groups_have(given_, values):
    """Text, bools, whole numbers and what is missing are written as the API writes them; several keep their order."""
    query = vq.call().count().where(type=given_)
    assert query.filters == (("type", values),)
    assert all(type(value) in (str, type(None)) for value in query.filters[0][1])
    assert eval(repr(query), {"vq": vq}) == query


def test_filters_add_up_and_their_order_does_not_matter():
    """Words are filtered by together, in whatever order and form they are named."""
    one = vq.call().count().where(status="ended").where({"variableValues.plan": "pro"}, assistantId=["a", "b"])
    other = vq.call().where({"assistantId": ["a", "b"], "variable.plan": ["pro"]}).where(status=["ended"]).count()
    assert one == other
    assert hash(one) == hash(other)
    assert one.body(NOW) == other.body(NOW)
    assert one != vq.call().count().where(status="ended")
    assert vq.call().where() == vq.call().where({}) == vq.call()
    assert pickle.loads(pickle.dumps(one)) == one
    code = 'vq.call().count().where({"variable.plan": "pro"}, assistantId=["a", "b"], status="ended")'
    assert str(one) == code


def test_the_repr_is_code_whatever_the_word():
    """A name that is no Python identifier is in a dict; one value is itself, several are a list, missing is None."""
    query = vq.call().count()
    assert repr(query.where(assistantId="a")) == 'vq.call().count().where(assistantId="a")'
    assert repr(query.where(type=["a", None])) == 'vq.call().count().where(type=["a", None])'
    success = query.where({"analysis.successEvaluation": True}, type=None)
    assert repr(success) == 'vq.call().count().where({"analysis.successEvaluation": "true"}, type=None)'


@given(st.dictionaries(
    st.sampled_from(GROUP_COLUMNS) | st.text(min_size=1, max_size=90).map("variable.{}".format),
    st.none() | st.text() | st.booleans() | st.integers() | st.lists(st.none() | st.text(), min_size=1, max_size=3),
    min_size=1, max_size=4,
))  # fmt: skip
def test_any_filter_is_a_value(words):
    """Its repr and its pickle restore it, and its body can be read back."""
    query = vq.call().avg("cost").by("type").where(words).between(*OCTOBER)
    assert eval(repr(query), {"vq": vq}) == query
    assert pickle.loads(pickle.dumps(query)) == query
    assert Query.from_body(query.body()).body() == query.body()
    assert json.loads(json.dumps(query.body())) == query.body()


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda q: q.where(type=[]), "no values"),
        (lambda q: q.where(type=set()), "no values"),
        (lambda q: q.where(type=1.5), "as the API writes it, e.g. '1.5'"),
        (lambda q: q.where(type=math.nan), "pass None"),
        (lambda q: q.where(type=np.float64("nan")), "pass None"),
        (lambda q: q.where(type=pd.NA), "pass None"),
        (lambda q: q.where(type=["a", pd.NaT]), "pass None"),
        (lambda q: q.where(type=b"a"), "as a list"),
        (lambda q: q.where(type=pd.Series(["a"])), "as a list"),
        (lambda q: q.where(type=np.array(["a"])), "as a list"),
        (lambda q: q.where(type=[["a"]]), "as a list"),
        (lambda q: q.where(type=object), "pass text"),
        (lambda q: q.where(type=10**5000), "more digits"),
        (lambda q: q.where(type="\ud800"), "surrogate"),
        (lambda q: q.where("type = 'webCall'"), "takes names and their values"),
        (lambda q: q.where(type="a").where(type="b"), "all its values in one list"),
        (lambda q: q.where({"type": "a"}, type="b"), "all its values in one list"),
        (lambda q: q.where({"variable.plan": "a", "variableValues.plan": "b"}), "all its values in one list"),
        (lambda q: q.where({"variable.": "a"}), "variable key must be non-empty text"),
        (lambda q: q.where({"variable." + "k" * 101: "a"}), "101 characters"),
        (lambda q: q.where(cost=1), r'calls\[calls\["cost"\] > 1\]\.vapi\.call\(\), or select rows of the result, df\[df\["sumCost"'),
        (lambda q: q.where({"costBreakdown.llm": 1}), r'calls\["costBreakdown\.llm"\] > 1.*df\["sumCostBreakdownLlm"\]'),
        (lambda q: q.where(duration=1), r'calls\["endedAt"\] - calls\["startedAt"\] > .*df\["sumDuration"\]'),
        (lambda q: q.where(id="1"), r'calls\["id"\]\.isin'),
        (lambda q: q.where(concurrency=3), r'df\["maxConcurrency"\]'),
        (lambda q: q.where(createdAt="2026-10-01"), r"\.between\(start, end\), \.during\(period\) or \.last\(span\)"),
        (lambda q: q.where(date="2026-10-01"), r"\.during"),
    ],
)  # fmt: skip
def test_what_cannot_be_filtered_by_gets_the_recipe(build, match):
    """A wrong name or value has an error that says what would be right, before anything is sent."""
    with pytest.raises(QueryError, match=match):
        build(vq.call().count())


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("assistant_id", "did you mean 'assistantId'"), ("success", "'analysis.successEvaluation'"),
        ("endReason", "'endedReason'"), ("Type", "'type'"), ("variable", "'variable.<key>'"),
        ("orgId", 'calls[calls["orgId"]'), ("phoneNumber", "'phoneNumberId'"), (3, "unknown filter 3"),
    ],
)  # fmt: skip
def test_a_wrong_word_names_the_nearest_right_one(word, message):
    """A typo is told from a field of the records, of which calls are chosen first."""
    with pytest.raises(UnknownWordError) as caught:
        vq.call().where({word: "a"})
    assert message in str(caught.value)


def test_other_words_for_it_name_the_verb():
    """A verb of pandas or SQL raises an error that names the word used here."""
    for word in ("filter", "query", "filter_by"):
        with pytest.raises(AttributeError, match=r"did you mean \.where\(\)"):
            getattr(vq.call(), word)
    with pytest.raises(AttributeError, match=r"vq\.call\(\)\.where"):
        vq.where(type="webCall")


# --- on the wire ------------------------------------------------------------------------------------------------


def body(query):
    """Return what is sent."""
    [one] = query.body(NOW)["queries"]
    return one


def test_the_api_is_asked_by_the_filtered_words():
    """Filters are no part of the contract: their words become groups, and averages get the counts that they need."""
    own = vq.call().avg("cost", "duration").count("duration").by("type")
    one = body(own.where({"variable.plan": "pro"}, status="ended", type="webCall"))
    assert one["groupBy"] == ["type", "status"]
    assert one["groupByVariableValue"] == [{"key": "plan"}]
    assert [op["alias"] for op in one["operations"]] == ["avgCost", "avgDuration", "countDuration", "countCost"]
    assert set(one) == {"table", "name", "groupBy", "groupByVariableValue", "operations"}
    same = {**body(own), "name": ""}
    assert {**body(own.where(type="webCall")), "name": ""} == same, "nothing has to be rolled up"


def test_a_count_that_was_not_asked_for_takes_no_name():
    """The counts that are added cannot be mistaken for a measure, a group or a variable of the query."""
    query = vq.call().avg("cost").sum("cost", alias="countCost").max("cost", alias="count2").where(type="a")
    assert [op["alias"] for op in body(query)["operations"]] == ["avgCost", "countCost", "count2", "count3"]
    query = vq.call().avg("cost").by_variable("countCost").where(type="a")
    assert [op["alias"] for op in body(query)["operations"]] == ["avgCost", "count2"]


def test_differently_filtered_queries_have_different_names():
    """Each of a batch has its result, even if the requests are equal; without filters names do not change."""
    plain = vq.call().count()
    names = {
        body(one)["name"]
        for one in (plain, plain.by("type"), plain.where(type="a"), plain.where(type="b"), plain.where(type=["a", "b"]),
                    plain.where(type=None), plain.where(type=""), plain.by("type").where(type="a"))
    }  # fmt: skip
    assert len(names) == 8
    assert body(plain)["name"] == "countId-e2e92f49"
    assert body(plain.where(type="a").named("mine"))["name"] == "mine"
    assert all(len(name) <= 40 for name in names)


REFUSED = {
    "peaks": vq.subscription().max("concurrency").where(assistantId="a"),
    "history": vq.subscription().history("concurrency").where(assistantId="a"),
    "levels": vq.subscription().avg("concurrency").step("day").where(assistantId="a"),
    "nothing known": vq.call().sum("id").by("assistantId").where({"variable.plan": "a"}),
}


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_add_up_is_refused_before_anything_is_sent(name):
    """A number that the API's rows cannot give is an error, which has the query to fetch instead."""
    query = REFUSED[name].between(*OCTOBER)
    with Server(reply(201, [])) as server, pytest.raises(NonAdditiveError) as caught:
        vf.connect(KEY, base_url=server.url).fetch(vq.call().count(), query)
    assert server.requests == []
    code = str(caught.value).rsplit(": ", 1)[1]
    instead = eval(code, {"vq": vq})
    assert instead == rewrite_filters(instead)
    assert {word for word, _ in query.filters} <= {*instead.groups, *(f"variable.{key}" for key in instead.variables)}
    with pytest.raises(NonAdditiveError):
        query.body()
    with pytest.raises(NonAdditiveError):
        vf.to_frame([], query)
    assert "VF107" in [one.id for one in query.lint()]
    assert "the API cannot answer this" in str(query.explain())


def test_a_level_that_is_a_group_already_is_asked_and_its_rows_are_chosen():
    """Where nothing is rolled up, nothing has to add up."""
    query = vq.subscription().max("concurrency").by("assistantId").where(assistantId=["a", None]).between(*OCTOBER)
    rows = [{"assistantId": "a", "maxConcurrency": 3}, {"assistantId": "b", "maxConcurrency": 2}, {"maxConcurrency": 1}]
    frame = vf.to_frame([{"name": "q", "timeRange": {}, "result": rows}], query)
    assert frame["maxConcurrency"].tolist() == [3.0, 1.0]


def test_explain_says_what_is_chosen_and_how():
    """The plan has the filters in words, and what becomes of them."""
    plan = vq.call().count().where(type=["webCall", None], status="ended").explain(NOW)
    assert plan.filters[0] == "status is 'ended'; type is 'webCall' or missing"
    assert "the query also groups by status, type" in str(plan)
    assert "in the SELECT" in str(plan)
    assert "matching rows are selected" in str(vq.call().count().by("type").where(type="a").explain(NOW))
    assert vq.call().count().explain(NOW).filters == ()


# --- results ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def endpoint():
    """Serve whatever `Switch.inner` is, and return it with a Vq over HTTP."""
    with serving(NOW) as served:
        yield served


@pytest.mark.extra("local")
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning")
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.ResponseWarning")
@examples(12)
@given(st.data())
def test_the_api_gives_the_answer_of_the_records(endpoint, data):
    """Rewritten, sent over HTTP and re-aggregated, a filtered query has the result of the SELECT, and of loops over calls."""
    around, calls = data.draw(call_lists())
    batch = [data.draw(call_queries(around)).where(data.draw(filters())) for _ in range(2)]
    batch = [absolute(one, NOW).named(f"query {at}") for at, one in enumerate(batch)]
    switch, over_http = endpoint
    records = vf.local(as_frame(calls), now=NOW)
    switch.inner = records.source
    for query, over, local in zip(batch, over_http.fetch(*batch).values(), records.fetch(*batch).values(), strict=True):
        check(local, query, compute(calls, query, NOW))
        pd.testing.assert_frame_equal(over, local, rtol=1e-9)
        assert over.vapi.query == local.vapi.query == query
        assert over.vapi.meta.filters == query.filters
        assert over.vapi.meta.body == local.vapi.meta.body


CALLS = [
    {"id": str(at), "createdAt": f"2026-10-0{1 + at % 3}T12:00:00Z", "type": type_, "cost": cost, "artifact": {
        "variableValues": {} if plan is None else {"plan": plan}}, **({} if who is None else {"assistantId": who})}
    for at, (type_, who, plan, cost) in enumerate([
        ("webCall", None, "pro", 1.0), ("webCall", "", "pro", 2.0), ("webCall", ZERO, None, 4.0), ("webCall", "a", "", 8.0),
        ("inboundPhoneCall", "a", "pro", None), ("inboundPhoneCall", "b", "true", 16.0), ("webCall", "b", "1", 32.0),
    ])
]  # fmt: skip


@pytest.fixture
def sources(endpoint):
    """Return the seven calls as records, and the same over HTTP."""
    switch, over_http = endpoint
    records = vf.local(CALLS, now=NOW)
    switch.inner = records.source
    return [records, over_http]


def only(vq_, query):
    """Return the one frame of *query*."""
    [frame] = vq_.fetch(query.between(*OCTOBER)).values()
    return frame


@pytest.mark.extra("local")
@pytest.mark.parametrize(
    ("words", "sum_"),
    [
        ({"assistantId": None}, 1.0), ({"assistantId": ""}, 2.0), ({"assistantId": ZERO}, 4.0), ({"assistantId": "A"}, None),
        ({"assistantId": [None, ""]}, 3.0), ({"assistantId": [None, "", ZERO]}, 7.0), ({"variable.plan": None}, 4.0),
        ({"variable.plan": ""}, 8.0), ({"variable.plan": True}, 16.0), ({"variable.plan": 1}, 32.0),
        ({"variable.plan": "pro", "type": "webCall"}, 3.0), ({"variable.plan": "pro", "assistantId": "a"}, None),
        ({"variable.absent": None}, 63.0),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")
def test_missing_empty_and_zero_are_three_values(sources, words, sum_):
    """None is the missing group and nothing else; the empty text and the zero UUID are values of their own."""
    query = vq.call().sum("cost").where(words)
    if "variable.absent" in words:
        with pytest.raises(vf.errors.RecordsError, match="no variable 'absent'"):
            only(sources[0], query)
        return
    for source in sources:
        found = only(source, query)["sumCost"].tolist()
        assert found == [sum_] or (sum_ is None and np.isnan(found[0]))


@pytest.mark.extra("local")
def test_an_average_comes_back_from_its_counts(sources):
    """It is the mean over the calls, not over the groups, and calls without a value do not count."""
    query = vq.call().avg("cost").where(assistantId=["a", "b"])
    frames = [only(source, query) for source in sources]
    for frame in frames:
        assert list(frame.columns) == ["avgCost"]
        assert frame["avgCost"].tolist() == [(8.0 + 16.0 + 32.0) / 3]


@pytest.mark.extra("local")
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")
def test_nothing_that_matches_is_the_answer_of_an_empty_source(sources):
    """Without groups one empty row, with them none, in the query's own types."""
    query = vq.call().count().sum("cost").avg("cost").where(type="never met")
    for source in sources:
        frame = only(source, query)
        assert frame["countId"].tolist() == [0]
        assert frame[["sumCost", "avgCost"]].isna().all(axis=None)
        for grouped in (query.by("assistantId"), query.step("day"), query.by("type")):
            empty = only(source, grouped)
            assert len(empty) == 0
            assert empty.index.name == grouped.levels[0]
            assert empty.dtypes.astype(str).tolist() == ["int64", "float64", "float64"]


@pytest.mark.extra("local")
def test_records_say_that_the_filters_let_nothing_pass(sources):
    """That no call matches is another thing than that there are none."""
    with pytest.warns(RecordsWarning, match=r"no call that matches the filters was created .* they hold 7 calls"):
        only(sources[0], vq.call().count().where(type="never met"))


@pytest.mark.extra("local")
def test_queries_with_one_rewrite_have_their_own_results(sources):
    """One request for all of them, each with its rows."""
    both = [vq.call().count().where(type=one).between(*OCTOBER) for one in ("webCall", "inboundPhoneCall")]
    for source in sources:
        assert [frame["countId"].tolist() for frame in source.fetch(*both).values()] == [[5], [2]]


@pytest.mark.extra("local")
@pytest.mark.filterwarnings("ignore:VF106")
def test_a_variable_named_like_a_column_is_filtered_by():
    """Its level has another name, which does not matter."""
    calls = [
        {"id": "1", "createdAt": "2026-10-01T12:00Z", "cost": 1.0, "artifact": {"variableValues": {"cost": "x", "plan": "y"}}},
        {"id": "2", "createdAt": "2026-10-01T12:00Z", "cost": 2.0, "artifact": {"variableValues": {"cost": "z", "plan": "y"}}},
    ]  # fmt: skip
    records = vf.local(calls, now=NOW)
    query = vq.call().sum("cost", alias="plan").by_variable("plan").where({"variable.cost": "x", "variable.plan": "y"})
    with serving(NOW) as (switch, over_http):
        switch.inner = records.source
        for source in (records, over_http):
            frame = only(source, query)
            assert frame.index.name == "variable.plan"
            assert frame["plan"].tolist() == [1.0]


def test_a_reply_got_otherwise_is_narrowed_alike():
    """`to_frame` takes the reply to the widened body."""
    query = vq.call().avg("cost").by("type").where(status=["ended", None]).between(*OCTOBER).named("mine")
    rows = [
        {"type": "webCall", "status": "ended", "avgCost": 1.0, "countCost": "3"},
        {"type": "webCall", "status": None, "avgCost": 2.0, "countCost": "1"},
        {"type": "webCall", "status": "queued", "avgCost": 9.0, "countCost": "9"},
        {"type": None, "status": "queued", "avgCost": 9.0, "countCost": "9"},
        {"type": "inboundPhoneCall", "status": "ended", "avgCost": None, "countCost": "0"},
    ]
    frame = vf.to_frame([{"name": "mine", "timeRange": {}, "result": rows}], query)
    assert frame["avgCost"].iloc[1] == 1.25
    assert np.isnan(frame["avgCost"].iloc[0])
    assert frame.index.tolist() == ["inboundPhoneCall", "webCall"]
    assert frame.vapi.query == query
    with pytest.raises(ResponseError, match="two rows have the same keys"):
        vf.to_frame([{"name": "mine", "timeRange": {}, "result": [*rows, rows[0]]}], query)


@pytest.mark.extra("local")
def test_records_refuse_filters_of_the_subscription():
    """It is one for all calls."""
    query = vq.subscription().sum("minutesUsed").where(assistantId="a")
    with pytest.raises(QueryError, match="cannot split it by assistantId"), pytest.warns(vf.errors.QueryWarning):
        only(vf.local(CALLS, now=NOW), query)


@pytest.mark.extra("local")
def test_a_frame_of_filtered_calls_can_be_asked_again():
    """The metadata of the frame has the filters, next to the body of the query."""
    query = vf.demo().call().count().step("day").last("3d", complete=True).where(type="webCall")
    frame = query.fetch()
    assert frame.vapi.query == query
    assert "groupBy" not in frame.vapi.meta.body
    pd.testing.assert_frame_equal(frame.vapi.refresh(vf.demo()), frame)


def test_type_checkers_know_every_group_that_can_be_a_keyword():
    words = {one for one in (*GROUP_COLUMNS, *RECORD_GROUPS) if one.isidentifier()}
    assert set(KeywordFilters.__annotations__) == words


@pytest.mark.extra("local")
@pytest.mark.parametrize(
    ("filters", "shown", "hidden"),
    [
        ({"assistantId": "Sales"}, ["assistantId 'Sales'", "takes ids, which vq.assistants() lists, and 'Sales' is none"], []),
        ({"squadId": "Night"}, ["squadId 'Night'", "squadId takes ids, and 'Night' is none"], []),
        ({"type": "webcall"}, ["type 'webcall'"], ["takes ids"]),
        ({"assistantId": "00000000-0000-4000-8000-000000000000"}, ["assistantId '00000000"], ["takes ids"]),
        ({"type": "webcall", "customer.number": "+15550001"}, ["customer.number", "type 'webcall'"], ["+15550001"]),
        ({"variable.plan": "gold"}, ["variable.plan"], ["gold", "takes ids"]),
    ],
)  # fmt: skip
def test_a_filter_that_nothing_matches_is_named(filters, shown, hidden):
    """The warning names each filter, its value where that cannot name a person, and says where an id is needed."""
    with pytest.warns(RecordsWarning, match="no call that matches the filters") as warned:
        vf.demo().call().sum("cost").where(filters).last("7d").fetch()
    [message] = [str(one.message) for one in warned if "matches the filters" in str(one.message)]
    assert all(text in message for text in shown)
    assert not any(text in message for text in hidden)
