"""Ratios and shares are of sums."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.shapes import COARSER, QUIET, fetch, same, sources_and_queries
from vapi_frames.analysis.success import SUCCESS
from vapi_frames.contract.record_words import RECORD_COST_PARTS
from vapi_frames.contract.vocabulary import COST_PARTS, STEPS
from vapi_frames.errors import FrameWarning, NonAdditiveError, ProvenanceError, QueryError, UnknownWordError

pytestmark = [pytest.mark.extra("local"), *QUIET]
PARTS = tuple(
    f"costBreakdown.{part}" for part in ("llm", "stt", "tts", "vapi", "transport", "analysisBreakdown.summary")
)


@examples(6)
@given(sources_and_queries(steps=(None, *STEPS[3:])), st.data())
def test_the_ratio_of_a_rollup_is_the_rollup_of_the_ratio(drawn, data):
    """Whichever comes first, each row is the ratio of its own sums."""
    vq, query = drawn
    frame = fetch(vq, query)
    step = data.draw(st.sampled_from(["all", *COARSER.get(query.time_step, ())]))
    by = [name for name in query.levels if name != "date" and data.draw(st.booleans())]
    for verb in (
        lambda f: f.vapi.ratio("sumCost", "countCostBreakdownLlm"),
        lambda f: f.vapi.per_minute(),
        lambda f: f.vapi.per_call("duration"),
    ):
        made = verb(frame).vapi.rollup(step=step, by=by)
        same(made, verb(frame.vapi.rollup(step=step, by=by)))
        same(made.iloc[:, :-1], frame.vapi.rollup(step=step, by=by))
        numbers = made.itertuples(index=False)
        name = made.columns[-1]
        for row in numbers:
            above, below = {
                "sumCostPerCountCostBreakdownLlm": (row.sumCost, row.countCostBreakdownLlm),
                "sumCostPerMinute": (row.sumCost, row.sumDuration),
                "sumDurationPerCall": (row.sumDuration, row.countId),
            }[name]
            wanted = math.nan if below == 0 else above / below
            assert np.isclose(row[-1], wanted, equal_nan=True)


@examples(6)
@given(sources_and_queries(steps=(None, "hour", "day")), st.data())
def test_shares_add_up_to_one_in_each_slice(drawn, data):
    """Within whatever levels, unless there is nothing to share."""
    vq, query = drawn
    frame = fetch(vq, query)
    within = [name for name in query.levels if data.draw(st.booleans())]
    column = data.draw(st.sampled_from(["sumCost", "countId", "sumDuration"]))
    shared = frame.vapi.share(column, within=within or None)
    grouped = frame[column].groupby(level=within, dropna=False) if within else None
    total = frame[column].sum() if grouped is None else grouped.transform("sum")
    wanted = np.where(total == 0, np.nan, frame[column] / total)
    np.testing.assert_allclose(shared[f"{column}Share"], wanted, rtol=1e-9)
    slices = shared[f"{column}Share"].dropna()
    sums = (
        slices.groupby(level=within, dropna=False).sum() if within else pd.Series([slices.sum()] if len(slices) else [])
    )
    assert np.allclose(sums.to_numpy(dtype=float), 1)
    same(shared[frame.columns], frame)


def month(*measures, **options):
    """Return sums of a month of the sample, by type and day."""
    return vf.demo().call().sum(*measures).count().by("type").step("day").during("2026-10").fetch(**options)


def test_units_say_what_a_ratio_is_of():
    """The denominator stands in the name and in the unit."""
    frame = month("cost", "duration", "costBreakdown.llmPromptTokens")
    result = (
        frame.vapi.per_minute()
        .vapi.per_call()
        .vapi.ratio("costBreakdown.llmPromptTokens", "duration")
        .vapi.ratio("cost", "cost", name="one")
    )
    result = result.vapi.ratio("countId", "costBreakdown.llmPromptTokens").vapi.share("cost", within="date")
    units = {name: unit for name, unit in result.vapi.units.items() if name not in frame}
    assert units == {
        "sumCostPerMinute": "USD/min", "sumCostPerCall": "USD/call", "sumCostBreakdownLlmPromptTokensPerSumDuration": "tokens/min",
        "one": "", "countIdPerSumCostBreakdownLlmPromptTokens": "calls/token", "sumCostShare": "share",
    }  # fmt: skip
    assert list(result.columns[len(frame.columns) :]) == list(units)


def test_minutes_are_of_whichever_column_has_them():
    """The subscription's minutes serve per_minute as the calls' durations do."""
    frame = vf.demo().subscription().sum("minutesUsed").count("minutesUsed").step("day").during("2026-10").fetch()
    result = frame.vapi.per_minute("countMinutesUsed")
    assert np.allclose(result["countMinutesUsedPerMinute"], frame["countMinutesUsed"] / frame["sumMinutesUsed"])
    assert result.vapi.units["countMinutesUsedPerMinute"] == "calls/min"


class TestWhatIsNoSum:
    """A ratio of means is refused, and the error says what to ask for."""

    @pytest.mark.parametrize(
        ("verb", "error", "match"),
        [
            (lambda f: f.vapi.ratio("avgCost", "countId"), NonAdditiveError, r'avg of \'cost\': add \.sum\("cost"\)'),
            (lambda f: f.vapi.share("maxCost"), NonAdditiveError, r'max of \'cost\': add \.sum\("cost"\)'),
            (lambda f: f.vapi.per_minute(), UnknownWordError, r'\.sum\("cost"\)'),
            (lambda f: f.vapi.per_call("avgCost"), NonAdditiveError, "needs a sum or a count"),
            (lambda f: f.assign(mine=1).vapi.ratio("mine", "countId"), ProvenanceError, "a column of your own"),
            (lambda f: f.assign(mine=1).vapi.share("mine"), ProvenanceError, "a column of your own"),
            (lambda f: f.vapi.share("countId").vapi.share("countIdShare"), NonAdditiveError, "is neither"),
            (lambda f: f.vapi.share("countId", within="day"), UnknownWordError, "did you mean 'date'"),
            (lambda f: f.vapi.share("countId", within=["Type"]), UnknownWordError, "did you mean 'type'"),
            (lambda f: f.vapi.ratio("countid", "countId"), UnknownWordError, "did you mean 'countId'"),
            (lambda f: f.vapi.reconcile(), UnknownWordError, r'\.sum\("cost"\)'),
            (lambda f: f.vapi.success_rate(), UnknownWordError, r'\.by\("analysis.successEvaluation"\)'),
            (lambda f: f.vapi.success_rate(of="call"), UnknownWordError, "did you mean 'calls'"),
            (lambda f: f.vapi.ratio("countId", "countId", name="countId"), QueryError, "a part of the ratio"),
            (lambda f: f.vapi.ratio("countId", "countId", name="avgCost"), QueryError, "already"),
            (lambda f: f.vapi.ratio("countId", "countId", name="date"), QueryError, "already"),
        ],
    )
    def test_it_says_so(self, verb, error, match):
        """By name."""
        frame = vf.demo().call().avg("cost").max("cost").count().by("type").step("day").during("2026-10").fetch()
        with pytest.raises(error, match=match):
            verb(frame)

    def test_a_level_is_no_sum(self):
        """Concurrency has no sum to ask for."""
        frame = vf.demo().subscription().max("concurrency").sum("minutesUsed").step("day").during("2026-10").fetch()
        with pytest.raises(NonAdditiveError, match=r'\.sum\("minutesUsed"\)'):
            frame.vapi.share("maxConcurrency")


class TestSuccess:
    """The rate of success, of evaluated calls or of all."""

    def frame(self, values, days=("01",)):
        """Return counts by evaluation and day."""
        calls = [
            {
                "id": f"{d}-{i}",
                "createdAt": f"2026-10-{d}T12:00Z",
                "analysis.successEvaluation": v,
                "cost": 1.0,
                "type": "webCall",
            }
            for d in days
            for i, v in enumerate(values)
        ]
        query = vf.local(calls, now="2026-11-01T00:00Z").call().sum("cost").count().by("type", SUCCESS).step("day")
        return query.during("2026-10").fetch()

    def test_what_was_not_evaluated_is_no_failure(self):
        """Missing and empty evaluations count as calls and not as evaluated."""
        frame = self.frame(["true", "true", "True ", "false", "FAIL", "", None], days=("01", "02"))
        rate = frame.vapi.success_rate()
        assert rate.columns.tolist() == ["countId", "countIdSuccess", "countIdEvaluated", "successPerEvaluated"]
        assert rate.index.names == ["date", "type"]
        assert rate.iloc[0].tolist() == [7, 3, 5, 0.6]
        assert frame.vapi.success_rate(of="calls")["successPerCall"].tolist() == [3 / 7] * 2
        rolled = rate.vapi.rollup(step="all", by=[])
        assert rolled.iloc[0].tolist() == [14, 6, 10, 0.6]
        assert rolled.vapi.units == {
            "countId": "calls",
            "countIdSuccess": "calls",
            "countIdEvaluated": "calls",
            "successPerEvaluated": "",
        }
        assert rolled.vapi.query.groups == ()
        same(frame.vapi.rollup(step="all", by=SUCCESS).vapi.success_rate(), rolled)

    def test_another_rubric_has_to_be_explained(self):
        """Its values are listed; those that count are named by the user."""
        frame = self.frame(["7", "9", "Pass"])
        with pytest.raises(QueryError, match=r"'7', '9' are neither.*success=\['7'\]"):
            frame.vapi.success_rate()
        assert frame.vapi.success_rate(success=["9", "Pass"])["successPerEvaluated"].tolist() == [2 / 3]
        assert frame.vapi.success_rate(success="9")["successPerEvaluated"].tolist() == [1 / 3]

    def test_values_are_read_as_where_reads_them(self):
        """True is "true", and 7 is "7"; what does not occur as written may differ in case and spaces."""
        frame = vf.demo().call().count().by(SUCCESS).during("2026-10").fetch()
        for success in ([True], ["True"], "true", {"true"}, pd.Series(["TRUE "]), (one for one in ["true"])):
            assert frame.vapi.success_rate(success=success)["successPerEvaluated"].round(3).tolist() == [0.574]
        assert frame.vapi.success_rate(success=False)["countIdSuccess"].tolist() == [11823 - 6782]
        rubric = self.frame(["7", "9", "a", "A"])
        for success, count in ([7], 1), (np.int64(9), 1), ("a", 1), ([" A"], 2), ([7, "9", "A"], 3):
            assert rubric.vapi.success_rate(success=success)["countIdSuccess"].tolist() == [count]

    def test_a_value_that_no_call_has_is_said(self):
        """With the nearest one that occurs, or all of them."""
        frame = self.frame(["true", "false", None])
        for success, match in ("truee", "'truee'.*did you mean 'true'"), (["true", 7], "'7'.*are 'false', 'true'"):
            with pytest.warns(FrameWarning, match=match):
                rate = frame.vapi.success_rate(success=success)
            assert rate["countIdSuccess"].tolist() == [int(success != "truee")]

    @pytest.mark.parametrize(
        "success", [[None], [""], ["true", "  "], [], [0.5], [float("nan")], object(), {"true": 1}]
    )
    def test_what_is_no_evaluation_is_no_success(self, success):
        """The rate would have more above the line than below it."""
        frame = self.frame(["true", "", None])
        if isinstance(success, dict):  # its keys are the values
            assert frame.vapi.success_rate(success=success)["successPerEvaluated"].tolist() == [1.0]
            return
        with pytest.raises(QueryError):
            frame.vapi.success_rate(success=success)

    def test_no_evaluation_is_no_rate(self):
        """A denominator of 0 is missing, not 0 and not infinite."""
        assert self.frame([None, ""]).vapi.success_rate()["successPerEvaluated"].isna().all()
        assert len(self.frame([]).vapi.success_rate()) == 0


def test_what_was_dropped_before_is_not_missed_by_a_share():
    """A frame that has lost a measure still knows the hashes of the others."""
    df = vf.demo().call().sum("cost").count().by("type").during("2026-10").fetch()
    shared = df.drop(columns="sumCost").vapi.share("countId")
    assert shared.vapi.units == {"countId": "calls", "countIdShare": "share"}
    assert shared.vapi.meta.hashes.keys() == {"countId", "countIdShare"}
    assert shared.vapi.meta.hashes["countId"] == df.vapi.meta.hashes["countId"]


@pytest.mark.parametrize(("backend", "kind"), [("numpy_nullable", "Float64"), ("pyarrow", "double[pyarrow]")])
def test_the_residual_has_the_type_of_the_cost(backend, kind):
    """Of whatever backend, with the same numbers."""
    parts = ["llm", "stt", "tts", "vapi", "transport", "analysisBreakdown.summary"]
    query = vf.demo().call().sum("cost", *[f"costBreakdown.{part}" for part in parts]).by("type").during("2026-10")
    found = query.fetch(dtype_backend=backend).vapi.reconcile()["sumCostResidual"]
    assert str(found.dtype) == kind
    expected = query.fetch().vapi.reconcile()["sumCostResidual"]
    assert found.astype(float).tolist() == expected.tolist()


MADE = {
    "ratio": lambda f, name: f.vapi.ratio("sumCost", "countId", name=name),
    "per_call": lambda f, _: f.vapi.per_call(),
    "per_minute": lambda f, _: f.vapi.per_minute(),
    "share": lambda f, _: f.vapi.share("countId"),
    "share within": lambda f, _: f.vapi.share("countId", within="date"),
    "change": lambda f, _: f.vapi.change(columns="countId"),
    "reconcile": lambda f, _: f.vapi.reconcile(),
}


@pytest.mark.parametrize("verb", MADE)
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning")
def test_no_verb_replaces_a_column(verb):
    """A column that another verb, the query or the user made is refused by name; the same verb again changes nothing."""
    query = vf.demo().call().sum("cost", "duration", *PARTS).count().by("type").step("week").during("2026-10")
    frame = query.fetch()
    made = MADE[verb](frame, "mine")
    new = [name for name in made.columns if name not in frame.columns]
    before = made.copy(deep=True)
    if verb != "ratio":
        same(MADE[verb](made, "mine"), made)
    for name in new:
        with pytest.raises(QueryError, match="already has a column"):
            MADE["ratio"](made, name)
        own = frame.assign(**{name: 1.0})
        with pytest.raises(QueryError, match=f"already has a column '{name}'"):
            MADE[verb](own, name)
    pd.testing.assert_frame_equal(made, before)
    same(MADE[verb](made.drop(columns=new), "mine"), made)


@pytest.mark.parametrize("name", ["sumCost", "countId", "type", "date", "sumCostPerCall"])
def test_the_name_of_a_ratio_is_free(name):
    """Neither that of a measure, of a level, of a column that was left out, nor of what a verb made."""
    query = vf.demo().call().sum("cost", "duration").count().by("type").step("week").during("2026-10")
    frame = query.fetch().vapi.per_call()
    for one in (frame, frame.drop(columns="sumCost")):
        with pytest.raises(QueryError, match="already|a part of the ratio"):
            one.vapi.ratio("sumDuration", "countId", name=name)
    # What a ratio is made of keeps its meaning.
    rate = frame.vapi.ratio("sumCost", "countId", name="rate").drop(columns="sumCost")
    with pytest.raises(QueryError, match="of a measure or level"):
        rate.vapi.ratio("sumDuration", "countId", name="sumCost")


def test_peoples_words_of_a_part_name_its_measure():
    """A word that people use for a part names the measure that the frame has, or else what to add to the query."""
    df = vf.demo().call().sum("cost", "duration", "costBreakdown.tts").last("7d").fetch()
    for word in ("voice", "Voice", "costBreakdown.voice", "voice_cost"):
        with pytest.raises(UnknownWordError, match="did you mean 'sumCostBreakdownTts'"):
            df.vapi.per_minute(word)
    with pytest.raises(UnknownWordError, match=r'\.sum\("costBreakdown\.transport"\)'):
        df.vapi.per_minute("phone")


FIVE = ("cost", "costBreakdown.llm", "costBreakdown.stt", "costBreakdown.tts", "costBreakdown.vapi")


@pytest.mark.parametrize("verb", ["per_minute", "per_call", "share"])
@pytest.mark.parametrize("as_index", [True, False])
def test_several_columns_are_those_of_one_after_another(verb, as_index):
    """A verb with several columns gives what it gives of each of them, in their order; a list shows the line to type."""
    df = month(*FIVE, "duration", as_index=as_index)
    whole = getattr(df.vapi, verb)(*FIVE)
    stepwise = df
    for part in FIVE:
        stepwise = getattr(stepwise.vapi, verb)(part)
    same(whole, stepwise)
    assert getattr(whole.vapi, verb)(*FIVE).equals(whole)
    with pytest.raises(UnknownWordError, match=rf'own argument: \.{verb}\("cost", "costBreakdown\.llm"\)'):
        getattr(df.vapi, verb)(["cost", "costBreakdown.llm"])


def test_many_columns_raise_no_warning_of_pandas():
    """Verbs in a loop, also of a comparison, leave a frame that takes more columns without a warning of pandas."""
    query = vf.demo().call().sum("duration").count()
    parts = ["cost", *COST_PARTS, *RECORD_COST_PARTS]
    both = query.sum(*parts).by("type").last("7d").compare("previous").fetch()
    looped = both
    for part in parts:
        looped = looped.vapi.per_minute(part).vapi.per_call(part)
    at_once = both.vapi.per_minute(*parts).vapi.per_call(*parts)
    assert set(looped.columns) == set(at_once.columns)
    pd.testing.assert_frame_equal(looped[list(at_once.columns)], at_once)
    assert len(looped.columns) == len(both.columns) + 2 * 4 * len(parts)
    for frame in (looped, at_once):  # a warning is an error in these tests
        frame["mine"] = 1
        assert frame.index.equals(both.index)
        assert frame.index.names == both.index.names


@pytest.mark.parametrize(
    ("verb", "lead", "line"),
    [
        ("per_minute", r"per_minute\(\) needs the column 'duration'", r'\.sum\("duration"\)'),
        ("per_call", r"per_call\(\) needs the column 'id'", r'\.count\("id"\)'),
        (
            "reconcile",
            r"reconcile\(\) needs the column 'costBreakdown",
            r'query, before \.compare\(\): \.sum\("costBreakdown',
        ),
        ("outcome", r"outcome\(\) needs the group of the frame 'endedReason'", r'\.by\("endedReason"\)'),
        ("outcome_rate", r"outcome_rate\(\) needs the group of the frame 'endedReason'", r'\.by\("endedReason"\)'),
        ("success_rate", r"success_rate\(\) needs the group of the frame", r'\.by\("analysis\.successEvaluation"\)'),
    ],
)
def test_a_word_that_was_not_typed_is_no_unknown_word(verb, lead, line):
    """A verb that lacks a part says that it needs it, and what to add: the caller typed no such word."""
    both = vf.demo().call().sum("cost").by("type").last("7d").compare("previous").fetch()
    with pytest.raises(UnknownWordError, match=f"^{lead}.*{line}") as error:
        getattr(both.vapi, verb)()
    assert "unknown" not in str(error.value)
