"""Medians, quantiles and numbers of values: of call records, exact; the API has no words for them."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support import servers
from tests.support.examples import examples
from tests.support.reference import compute
from tests.support.shapes import QUIET, as_frame, as_json_files, check, fetch, ranges
from tests.support.strategies import KEYS, NOW, ZONES, call_lists, filters
from vapi_frames import vq
from vapi_frames.contract.vocabulary import CALL_COLUMNS, GROUP_COLUMNS, STEPS, format_quantile
from vapi_frames.errors import NonAdditiveError, NotInContractError, QueryError, UnknownWordError
from vapi_frames.query.parse import parse_query
from vapi_frames.query.query import Query

pytestmark = [pytest.mark.extra("local"), *QUIET]
NUMBERS = [name for name in CALL_COLUMNS if name != "id"]
QUANTILES = st.sampled_from([0, 0.05, 0.25, 0.5, 0.9, 0.95, 0.999, 1]) | st.floats(0, 1, allow_subnormal=False)


@st.composite
def record_queries(draw, around):
    """Draw a query with measures beyond the contract, and others."""
    query: Query = Query(table="call").count()
    for number in range(draw(st.integers(1, 3))):
        kind, alias = draw(st.sampled_from(["median", "quantile", "nunique"])), f"m{number}"
        if kind == "nunique":
            query = query.nunique(
                draw(st.sampled_from([*GROUP_COLUMNS, *(f"variable.{key}" for key in KEYS)])), alias=alias
            )
        elif kind == "median":
            query = query.median(draw(st.sampled_from(NUMBERS)), alias=alias)
        else:
            query = query.quantile(draw(st.sampled_from(NUMBERS)), draw(QUANTILES), alias=alias)
    query = query.by(*draw(st.lists(st.sampled_from(GROUP_COLUMNS), max_size=2, unique=True)))
    query = query.by_variable(*draw(st.lists(st.sampled_from(KEYS), max_size=1, unique=True)))
    if step := draw(st.sampled_from([None, *STEPS[2:7]])):
        query = query.step(step)
    query = query.tz(draw(st.sampled_from(ZONES)))
    return draw(ranges(around, query.where(draw(filters())) if draw(st.booleans()) else query))


@examples(15)
@given(st.data())
def test_they_are_what_plain_loops_say(tmp_path_factory, data):
    """Whatever the groups, steps, filters, zone and form of the records; the text of the query is read as the query."""
    around, calls = data.draw(call_lists())
    query = data.draw(record_queries(around))
    frame = fetch(vf.local(as_frame(calls), now=NOW), query)
    check(frame, query, compute(calls, query, NOW))
    folder = as_json_files(calls, tmp_path_factory.mktemp("json"))
    check(fetch(vf.local(folder, now=NOW), query) if calls else frame, query, compute(calls, query, NOW))
    assert parse_query(repr(query)) == query
    assert pickle.loads(pickle.dumps(query)) == query
    assert [one.name for one in frame.vapi.query.measures] == [one.name for one in query.measures]
    assert frame.vapi.refresh(vf.local(as_frame(calls), now=NOW)).equals(frame)


def test_a_quantile_is_that_of_pandas():
    """Linear between two values, to 1e-12."""
    calls = vf.sample_calls()
    minutes = (calls["endedAt"] - calls["startedAt"]) / pd.Timedelta("1min")
    wanted = [0, 0.001, 0.05, 0.25, 1 / 3, 0.5, 0.95, 0.999, 1]
    query = vf.demo().call().by("type").between("2026-10-01", "2026-11-16").median("duration")
    for place, q in enumerate(wanted):
        query = query.quantile("duration", q, alias=f"q{place}")
    frame = query.fetch()
    expected = minutes.groupby(calls["type"]).quantile(wanted).unstack()
    assert np.abs(frame[[f"q{place}" for place in range(len(wanted))]].to_numpy() - expected.to_numpy()).max() < 1e-12
    assert np.allclose(frame["medianDuration"], expected[0.5], rtol=0, atol=1e-12)
    names = calls.groupby("type")["assistantId"].nunique()
    counted = vf.demo().call().nunique("assistantId").by("type").between("2026-10-01", "2026-11-16").fetch()
    assert counted["nuniqueAssistantId"].tolist() == names.tolist()


def test_names_have_the_quantile_in_per_cent():
    """Without the dot, with two digits at least; each quantile has a name of its own."""
    names = {
        0.05: "p05",
        0.5: "p50",
        0.95: "p95",
        0.999: "p999",
        0.001: "p001",
        0: "p00",
        1: "p100",
        0.125: "p125",
        0.1: "p10",
        1e-7: "p0000001",
    }
    assert {q: format_quantile(float(q)) for q in names} == names
    query = (
        vq.call()
        .quantile("duration")
        .quantile("duration", 0.999)
        .median("cost")
        .nunique("variable.plan", "assistantId")
    )
    assert [one.name for one in query.measures] == [
        "p50Duration", "p999Duration", "medianCost", "nuniqueVariablePlan", "nuniqueAssistantId",
    ]  # fmt: skip
    same = vq.call().agg(slow=("duration", "quantile", 0.95), half=("cost", "median"), who=("assistantId", "nunique"))
    assert same == vq.call().quantile("duration", 0.95, alias="slow").median("cost", alias="half").nunique(
        "assistantId", alias="who"
    )
    units = (
        vf.demo().call().quantile("duration", 0.9).median("cost").nunique("type").during("2026-10").fetch().vapi.units
    )
    assert units == {"p90Duration": "min", "medianCost": "USD", "nuniqueType": "values"}


def test_the_api_cannot_be_asked():
    """Nothing is sent; the error has the words and the ways, and is an error of the query."""
    query = vq.call().count().quantile("duration", 0.95).nunique("type").during("2026-10")
    assert query.beyond_contract == ('quantile("duration", 0.95)', 'nunique("type")')
    assert vq.call().count().beyond_contract == ()
    message = (
        r'quantile\("duration", 0\.95\), nunique\("type"\) are beyond the API.*vf\.local.*download.*archive.*warehouse'
    )
    with servers.Server() as server:
        api = vf.connect("key", base_url=server.url)
        uses = [
            query.body, query.dto, query.curl, lambda: api.fetch(query), lambda: api.fetch(query.where(type="webCall")),
            lambda: query.compare("previous").body(), lambda: vf.to_frame([], query),
            lambda: api.compare(query.compare("previous")),
        ]  # fmt: skip
        for use in uses:
            with pytest.raises(NotInContractError, match=message):
                use()
        assert server.requests == []
    assert issubclass(NotInContractError, QueryError)


def test_explain_says_where_they_can_be_asked():
    """Of a query with words beyond the contract, and of no other."""
    query = vf.demo().call().count().quantile("duration", 0.95).last("7d")
    assert 'beyond   quantile("duration", 0.95): from vf.local, a download, an archive or a warehouse only' in str(
        query.explain()
    )
    assert "beyond" not in str(vf.demo().call().count().last("7d").explain())
    with pytest.raises(QueryError, match=r'nunique\("type"\) has no meaning on table subscription; use vq\.call\(\)$'):
        vf.demo().subscription().nunique("type").last("7d").fetch()
    with pytest.raises(
        QueryError, match=r'median\("minutesUsed"\) has no meaning on table call; use vq\.subscription\(\)$'
    ):
        vf.demo().call().median("minutesUsed").last("7d").fetch()


def test_groups_are_ranked_by_a_quantile_of_one_row():
    """Without a step each group has one row; with one, ranking would need the quantile of the whole."""
    query = vf.demo().call().count().quantile("duration", 0.95).by("endedReason").during("2026-10")
    frame = query.fetch()
    top = frame.vapi.top(3, by="p95Duration", other=False)
    assert set(top.index) == set(frame["p95Duration"].nlargest(3).index)
    with pytest.raises(NonAdditiveError, match=r"fetch vq\.call"):
        query.step("week").fetch().vapi.top(3, by="p95Duration")
    filled = query.step("week").fetch().vapi.fill_gaps(mark=True).vapi.top(2, by="countId")
    assert list(filled) == ["countId", "p95Duration"]


@pytest.mark.parametrize(("measure", "column"), [("quantile", "cost"), ("nunique", "assistantId")])
def test_the_others_are_missing_where_the_query_has_nothing_else(measure, column):
    """What stays is as it was; with a step, ranking would need the measure of the whole."""
    query = getattr(vf.demo().call(), measure)(column).by("endedReason").during("2026-10")
    frame = query.fetch()
    [name] = frame.columns
    top = frame.vapi.top(2)
    assert top[name].drop("other").to_dict() == frame[name].nlargest(2).to_dict()
    assert top[name].isna().tolist() == [False, False, True]
    assert top.vapi.units == frame.vapi.units
    with pytest.raises(NonAdditiveError, match=r"fetch vq\.call"):
        query.step("week").fetch().vapi.top(2)


def test_they_never_reaggregate():
    """A rollup is refused with the query; the others of `top` are missing, and what stays is as it was."""
    query = (
        vf.demo()
        .call()
        .count()
        .median("duration")
        .nunique("assistantId")
        .by("endedReason")
        .step("week")
        .during("2026-10")
    )
    frame = query.fetch()
    for verb in (lambda: frame.vapi.rollup("all"), lambda: frame.vapi.rollup(by=[]), lambda: frame.vapi.outcome()):
        with pytest.raises(NonAdditiveError, match=r"cannot be re-aggregated.*fetch vq\.call\(\)\.count\(\)\.median"):
            verb()
    top = frame.vapi.top(2, by="countId")
    assert list(top) == list(frame)
    kept = top.index.get_level_values("endedReason") != "other"
    assert top[~kept][["medianDuration", "nuniqueAssistantId"]].isna().all(axis=None)
    stays = frame[frame.index.get_level_values("endedReason").isin(top.index.get_level_values("endedReason"))]
    pd.testing.assert_frame_equal(top[kept].astype("float64"), stays.astype("float64"), check_index_type=False)
    assert top["countId"].sum() == frame["countId"].sum()
    assert top.vapi.units == frame.vapi.units
    with pytest.raises(NonAdditiveError, match="number of different values"):
        frame.vapi.share("nuniqueAssistantId")


def test_an_empty_bucket_has_no_values():
    """The number of values is 0 there, a median is missing; so it is in a range without calls."""
    query = vf.demo().call().median("duration").nunique("type").by("endedReason").step("day").during("2026-10")
    filled = query.fetch().vapi.fill_gaps(mark=True)
    assert (filled[filled["filled"]]["nuniqueType"] == 0).all()
    assert filled[filled["filled"]]["medianDuration"].isna().all()
    with pytest.warns(vf.errors.RecordsWarning):
        empty = vf.demo().call().median("duration").nunique("type").during("2020-01").fetch()
    assert empty["nuniqueType"].tolist() == [0]
    assert empty["medianDuration"].isna().all()


def test_two_periods_are_compared():
    """Both sides are of the calls of each, and the difference is that of the two."""
    query = vf.demo().call().quantile("duration", 0.9).by("type").between("2026-11-09", "2026-11-16")
    both, before = query.compare("previous").fetch(), query.between("2026-11-02", "2026-11-09").fetch()
    assert both["p90Duration"].tolist() == query.fetch()["p90Duration"].tolist()
    assert both["p90DurationBefore"].tolist() == before["p90Duration"].tolist()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda q: q.quantile("duration", 95), "from 0 to 1, not 95, e.g. 0.95 for 95 percent"),
        (lambda q: q.quantile("duration", -0.1), "not -0.1"), (lambda q: q.quantile("duration", True), "not True"),
        (lambda q: q.quantile("duration", "0.95"), "not '0.95'"), (lambda q: q.quantile("duration", float("nan")), "not nan"),
        (lambda q: q.quantile("duration", 10**400), "a quantile must be"), (lambda q: q.agg(x=("duration", "quantile", 2)), "not 2, e.g. 0.02"),
        (lambda q: q.median("duration").median("duration"), r'median\("duration"\) is already in the query'),
        (lambda q: q.quantile("cost", 0.5).quantile("cost"), r'quantile\("cost", 0.5\) is already'),
        (lambda q: q.median(), "needs a column"), (lambda q: q.nunique(), r'e.g. nunique\("assistantId"\)'),
        (lambda q: q.nunique("variable."), "variable key must be non-empty"), (lambda q: q.agg(x=("duration", "sum", 0.5)), "not a pair"),
    ],
)  # fmt: skip
def test_what_is_no_such_measure_is_refused(build, message):
    """By name, with the value."""
    with pytest.raises(QueryError, match=message):
        build(vq.call())


def test_words_of_another_kind_are_refused():
    """An id has no median, a duration no number of values; the nearest word is named."""
    for build in (lambda: vq.call().median("id"), lambda: vq.subscription().quantile("concurrency", 0.9)):
        with pytest.raises(UnknownWordError, match="unknown measured column"):
            build()
    with pytest.raises(UnknownWordError, match=r"did you mean 'assistantId'.*variable\.<key>"):
        vq.call().nunique("assistant")
    with pytest.raises(UnknownWordError, match="group to count the values of"):
        vq.call().nunique("duration")


@pytest.mark.parametrize("operation", ["avg", "median", "quantile", "max"])
@pytest.mark.parametrize("typed", ["outputt", "outpt", "outputs", "Output", "structuredOutputs"])
def test_an_output_that_is_typed_wrong_names_the_right_form(operation, typed):
    """With its own name, as a filter and a count of values do; a variable as well."""
    for build in (getattr(vf.vq.call(), operation), vf.vq.call().nunique, lambda word: vf.vq.call().where({word: "a"})):
        for name in ("CSAT", "Call Outcome.score"):
            with pytest.raises(UnknownWordError, match=rf"did you mean 'output\.{name}'"):
                build(f"{typed}.{name}")
    with pytest.raises(UnknownWordError, match=r"did you mean 'variable\.plan'"):
        vf.vq.call().where({"variables.plan": "a"})
    with pytest.raises(UnknownWordError, match=r'The numbers of a structured output are "output\.CSAT"\.'):
        getattr(vf.vq.call(), operation)("CSAT")
    with pytest.raises(UnknownWordError, match=r'Group by it with \.by_output\("CSAT"\)\.'):
        vf.vq.call().by("output.CSAT")
