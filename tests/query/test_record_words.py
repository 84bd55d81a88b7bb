"""Words beyond the contract: as code, as text, in bodies, and in what is said of them."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from vapi_frames import Query, vq
from vapi_frames.contract.record_words import LATENCIES, RECORD_COLUMNS, RECORD_GROUPS, RECORD_SPELLINGS
from vapi_frames.contract.vocabulary import COLUMNS, GROUP_COLUMNS, RECORD_MEASURES, get_measure, get_unit
from vapi_frames.errors import NotInContractError, QueryError, UnknownWordError
from vapi_frames.query.parse import parse_query

OUTPUTS = st.text(min_size=1, max_size=12).filter(str.isprintable)
INSIGHT = {
    "type": "bar",
    "name": "n",
    "groupBy": "assistantId",
    "queries": [{"type": "vapiql-json", "table": "call", "operation": "average", "column": "cost"}],
}


@st.composite
def word_queries(draw):
    """Draw a query with at least one word that only call records have."""
    query: Query = Query(table="call").count()
    for number in range(draw(st.integers(0, 2))):
        column = draw(st.sampled_from(RECORD_COLUMNS) | OUTPUTS.map("output.{}".format))
        operation = draw(st.sampled_from(["avg", "min", "max", "count", "median", "quantile"]))
        more = (draw(st.floats(0, 1)),) if operation == "quantile" else ()
        query = getattr(query, operation)(column, *more, alias=f"m{number}")
    if draw(st.booleans()):
        query = query.nunique(draw(st.sampled_from(["squadId", "variable.plan"]) | OUTPUTS.map("output.{}".format)))
    query = query.by(*draw(st.lists(st.sampled_from([*RECORD_GROUPS, *GROUP_COLUMNS]), max_size=3, unique=True)))
    query = query.by_variable(*draw(st.lists(st.sampled_from(["plan", "name", "cost"]), max_size=2, unique=True)))
    query = query.by_output(*draw(st.lists(st.just("plan") | OUTPUTS, max_size=2, unique=True)))
    words = st.sampled_from(RECORD_GROUPS) | OUTPUTS.map("output.{}".format)
    query = query.where(draw(st.dictionaries(words, st.none() | st.text(min_size=1, max_size=4), max_size=2)))
    return query if query.beyond_contract else query.by("name")


@given(word_queries())
def test_the_text_of_a_query_is_read_as_the_query(query):
    """As a repr, by the parser, and in a pickle; no level shares its name with another."""
    assert eval(repr(query), {"vq": vq}) == parse_query(repr(query)) == pickle.loads(pickle.dumps(query)) == query
    used = {*query.groups, *(f"output.{name}" for name in query.outputs), *(word for word, _ in query.filters)}
    used |= {one.column for one in query.measures}
    for word in query.beyond_contract:
        assert word in used or "(" in word
    assert all(word in str(query.explain()) for word in query.beyond_contract if word.isidentifier())


@given(word_queries())
def test_the_api_is_never_asked(query):
    """Every road to the API names the words and the ways, and sends nothing."""
    for way in (query.body, query.dto, query.curl):
        with pytest.raises(NotInContractError, match="only call records can answer") as caught:
            way()
        assert query.beyond_contract[0] in str(caught.value)
        assert "vf.local" in str(caught.value)


@pytest.mark.extra("local")
def test_sources_of_the_contract_refuse(tmp_path):
    """Before anything is sent, read or written; also what plays recordings back, which are replies of the API."""
    vf.record(tmp_path, vf.demo()).fetch(vq.call().count().during("2026-10"))
    files = sorted(tmp_path.iterdir())
    ways = [vf.connect("key"), vf.connect("key", cache=tmp_path), vf.record(tmp_path, vf.demo()), vf.replay(tmp_path)]
    query = vq.call().count().by("phoneNumberId").during("2026-10")
    for way in (*(way.fetch for way in ways), lambda query: vf.to_frame([], query)):
        with pytest.raises(NotInContractError, match="phoneNumberId is beyond the API's contract"):
            way(query)
    assert sorted(tmp_path.iterdir()) == files


def test_each_word_has_its_facts():
    """Unit, fill, additivity and name of every measure of call records."""
    assert {one.answered_by for one in RECORD_MEASURES} == {"records"}
    assert get_measure("sum", "cost").answered_by == "contract"
    assert len({one.name for one in RECORD_MEASURES}) == len(RECORD_MEASURES)
    assert not {*RECORD_COLUMNS} & {*COLUMNS}
    for column in RECORD_COLUMNS:
        unit = "ms" if column in LATENCIES else "USD" if column.startswith("cost") else "interruptions"
        assert get_unit(column) == unit
        assert bool(get_measure("sum", column).tables) == (column not in LATENCIES)
        assert get_measure("avg", column).over_time == "weighted"
        assert get_measure("median", column).over_groups == "none"
        assert get_measure("count", column).unit == "calls"


@pytest.mark.parametrize(("spelling", "word"), RECORD_SPELLINGS.items())
def test_the_spelling_of_a_record_is_an_alias(spelling, word):
    """As it stands in the record."""
    assert vq.call().avg(spelling) == vq.call().avg(word)
    assert vq.call().median(spelling) == vq.call().median(word)


def test_levels_of_outputs():
    """An output is named by itself, or with its prefix where a column, a group or a variable has the name."""
    query = vq.call().count().by("name").by_variable("plan", "name").by_output("plan", "CSAT", "cost").step("day")
    assert query.levels == ("date", "name", "plan", "variable.name", "output.plan", "CSAT", "output.cost")
    assert vq.call().count().by_variable("name", "squadId").levels == ("name", "squadId")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: vq.call().sum("turnLatency"), r'sum\("turnLatency"\) has no meaning; of this column there are avg, count'),
        (lambda: vq.call().sum("output.CSAT"), "of this column there are avg, count, min, max, median, quantile"),
        (lambda: vq.call().history("costBreakdown.chat"), "has no meaning"),
        (lambda: vq.call().by_output(""), "output name must be non-empty text"),
        (lambda: vq.call().by_output("a").by_output("a"), "already groups by output 'a'"),
        (lambda: vq.call().avg("output."), "output name must be non-empty text"),
        (lambda: vq.call().where(turnLatency=3), "is a measured column"),
        (lambda: Query.from_body(INSIGHT), "one of POST /reporting/insight"),
        (lambda: Query.from_body({"queries": INSIGHT["queries"]}), "reads bodies of POST /analytics"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused(build, message):
    """In plain words, when the query is built."""
    with pytest.raises(QueryError, match=message):
        build()


@pytest.mark.parametrize(
    ("build", "near"),
    [
        (lambda: vq.call().by("phoneNumber"), "phoneNumberId"),
        (lambda: vq.call().avg("turnLatencys"), "turnLatency"),
        (lambda: vq.call().nunique("customerNumber"), "customer.number"),
        (lambda: vq.call().where(campaign="x"), "campaignId"),
    ],
)
def test_a_wrong_word_names_the_nearest(build, near):
    """Record words are among those that are meant."""
    with pytest.raises(UnknownWordError, match=near):
        build()
