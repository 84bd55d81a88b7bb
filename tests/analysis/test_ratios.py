"""Ratios and shares are of sums; a residual is what the parts do not explain."""

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
from vapi_frames.contract.record_words import COST_TYPES, RECORD_COST_PARTS, RECORD_PATHS
from vapi_frames.contract.vocabulary import STEPS, default_name
from vapi_frames.errors import FrameWarning, NonAdditiveError, ProvenanceError, QueryError, UnknownWordError

pytestmark = [pytest.mark.extra("local"), *QUIET]
PARTS = tuple(
    f"costBreakdown.{part}" for part in ("llm", "stt", "tts", "vapi", "transport", "analysisBreakdown.summary")
)


@examples(10)
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


@examples(10)
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


def test_a_residual_is_found_per_row():
    """Cost minus all its parts; what is left of binary fractions is 0; it adds up like a sum."""
    calls = [
        {"id": str(i), "createdAt": f"2026-10-0{i + 1}T00:00Z", "cost": 0.6 + extra, **dict.fromkeys(PARTS, 0.1)}
        for i, extra in enumerate([0.0, 0.25, 0.0])
    ]
    calls[2] |= {"cost": None}
    query = vf.local(calls, now="2026-10-09T00:00Z").call().sum("cost", *PARTS).step("day").during("2026-10")
    result = query.fetch().vapi.reconcile()
    assert result["sumCostResidual"].fillna(-1).round(9).tolist() == [0.0, 0.25, -1]
    assert result["sumCostResidual"].iloc[0] == 0
    assert result.vapi.units["sumCostResidual"] == "USD"
    assert math.isclose(result.vapi.rollup(step="month")["sumCostResidual"].iloc[0], 0.25)
    assert result.vapi.fill_gaps()["sumCostResidual"].iloc[-1] == 0
    with pytest.raises(UnknownWordError, match=r'"costBreakdown.tts"'):
        query.fetch().drop(columns="sumCostBreakdownTts").vapi.reconcile()
    demo = vf.demo().call().sum("cost", *PARTS, *RECORD_COST_PARTS).by("type").step("day").during("2026-10").fetch()
    assert demo.vapi.reconcile()["sumCostResidual"].eq(0).all()


@st.composite
def priced_records(draw):
    """Draw call records in the shapes of real ones, with the residual that each has in ten thousandths of a dollar."""
    records, residuals = [], []
    for number in range(draw(st.integers(1, 6))):
        record = {"id": str(number), "createdAt": f"2026-10-{number + 1:02}T00:00Z"}
        parts = draw(st.dictionaries(st.sampled_from((*PARTS, *RECORD_COST_PARTS)), st.integers(0, 9_000)))
        entries_only = draw(st.booleans())
        entries = []
        for part, amount in parts.items():
            if entries_only and part in COST_TYPES:
                kind, analysis = COST_TYPES[part]
                entry = {"type": kind, "cost": amount / 10_000}
                entries.append(entry | ({"analysisType": analysis} if analysis else {}))
                continue
            place, *keys = draw(st.sampled_from(RECORD_PATHS.get(part, (part,)))).split(".")
            inner = record.setdefault(place, {})
            for key in keys[:-1]:
                inner = inner.setdefault(key, {})
            inner[keys[-1]] = amount / 10_000
        record |= {"costs": entries} if entries else {}
        residuals.append(draw(st.sampled_from((0, 0, -3, 3, 1_200))))
        records.append(record | {"cost": (sum(parts.values()) + residuals[-1]) / 10_000})
    return records, residuals


@examples(10)
@given(priced_records())
def test_records_explain_their_cost(drawn):
    """With all the parts asked, what remains of each call is what its record does not name, wherever the parts stand."""
    records, residuals = drawn
    query = vf.local(records, now="2026-10-09T00:00Z").call().sum("cost", *PARTS, *RECORD_COST_PARTS).step("day")
    result = query.during("2026-10").fetch().vapi.reconcile()
    assert np.allclose(result["sumCostResidual"], [amount / 10_000 for amount in residuals], rtol=0, atol=1e-8)
    assert not any("residual" in note for note in result.vapi.meta.notes)


def test_what_was_not_asked_is_noted():
    """Over records the note is a line to type, which closes the gap; without a gap there is none."""
    record = {"id": "1", "createdAt": "2026-10-01T00:00Z", "cost": 0.8, **dict.fromkeys(PARTS, 0.1)}
    record |= {"costBreakdown.voicemailDetection": 0.2}
    base = vf.local([record], now="2026-10-09T00:00Z").call().sum("cost", *PARTS).during("2026-10")
    open_ = base.fetch().vapi.reconcile()
    assert open_["sumCostResidual"].round(9).tolist() == [0.2]
    (note,) = open_.vapi.meta.notes
    assert "costBreakdown.voicemailDetection" in note
    assert open_.vapi.reconcile().vapi.meta.notes == (note,)
    closed = base.sum(*RECORD_COST_PARTS).fetch().vapi.reconcile()
    assert closed["sumCostResidual"].tolist() == [0.0]
    assert closed.vapi.meta.notes == ()
    with pytest.raises(UnknownWordError, match=r"\.sum\(.*costBreakdown.chat"):
        base.fetch().drop(columns="sumCostBreakdownTts").vapi.reconcile()


def reply_frame(amounts):
    """Return the frame of the API's reply to a query for *amounts*, column → sum."""
    query = vf.vq.call().sum(*amounts).during("2026-10").named("costs")
    row = {default_name("sum", column): amount for column, amount in amounts.items()}
    span = {"start": "2026-10-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"}
    return vf.to_frame([{"name": "costs", "timeRange": span, "result": [row]}], query, now="2026-12-01T00:00Z")


def test_over_the_api_the_note_says_which_parts_it_lacks():
    """Of a reply no query could ask the rest: the note names the parts of call records, and no line to type."""
    amounts = {"cost": 6.0761, **dict.fromkeys(PARTS, 5.2151 / 6)}
    result = reply_frame(amounts).vapi.reconcile()
    assert result["sumCostResidual"].round(9).tolist() == [0.861]
    (note,) = result.vapi.meta.notes
    assert "the API has no column for" in note
    assert all(part in note for part in RECORD_COST_PARTS)
    assert ".sum(" not in note
    assert result.vapi.reconcile().vapi.meta.notes == (note,)
    closed = reply_frame({"cost": 0.6, **dict.fromkeys(PARTS, 0.1)}).vapi.reconcile()
    assert closed["sumCostResidual"].tolist() == [0.0]
    assert closed.vapi.meta.notes == ()


# Of 100 real calls, of which 12 were never answered, in ten-thousandths of a dollar.
REAL_COST, REAL_CONTRACT = 60_761, 52_151
REAL_OTHERS = {
    "costBreakdown.analysisBreakdown.structuredOutput": 7_597,
    "costBreakdown.analysisBreakdown.successEvaluation": 763,
    "costBreakdown.voicemailDetection": 267,
}


def spread(rng, total, calls):
    """Return whole numbers of about the same size, one a call, that add up to *total*."""
    weights = rng.random(calls) + 0.5
    amounts = np.floor(weights / weights.sum() * total).astype(int)
    amounts[: total - amounts.sum()] += 1
    return amounts.tolist()


@examples(10)
@given(st.integers(0, 2**32))
def test_a_hundred_calls_in_the_shape_of_real_ones(seed):
    """The contract's parts leave a seventh of the cost; with all parts each call is within the rounding of its parts."""
    rng = np.random.default_rng(seed)
    answered = 88
    shares = rng.multinomial(REAL_CONTRACT, np.ones(len(PARTS)) / len(PARTS))
    columns = {part: spread(rng, int(amount), answered) for part, amount in zip(PARTS, shares, strict=True)}
    columns |= {part: spread(rng, amount, answered) for part, amount in REAL_OTHERS.items()}
    # The parts of the list add up to 17 ten-thousandths more than its cost: each figure is rounded.
    rounding = np.zeros(answered, dtype=int)
    rounding[rng.choice(answered, 17, replace=False)] = -1
    up, down = rng.choice(answered, (2, 20), replace=False)
    rounding[up] += 2
    rounding[down] -= 2
    calls = [
        {"id": f"u{number}", "createdAt": f"2026-10-01T00:{number:02}:00Z", "status": "ended", "cost": 0}
        for number in range(12)
    ]
    for number in range(answered):
        record = {"id": f"a{number}", "createdAt": f"2026-10-02T{number // 60:02}:{number % 60:02}:00Z"}
        for part, amounts in columns.items():
            path = {"costBreakdown.voicemailDetection": "costBreakdown.voicemailDetectionCost"}.get(part, part)
            place, *keys = path.replace("analysisBreakdown", "analysisCostBreakdown").split(".")
            inner = record.setdefault(place, {})
            for key in keys[:-1]:
                inner = inner.setdefault(key, {})
            inner[keys[-1]] = amounts[number] / 10_000
        cost = sum(amounts[number] for amounts in columns.values()) + int(rounding[number])
        calls.append(record | {"cost": cost / 10_000})
    base = vf.local(calls, now="2026-10-09T00:00Z").call().sum("cost", *PARTS).during("2026-10")
    left = base.fetch().vapi.reconcile()
    assert left["sumCost"].round(4).tolist() == [REAL_COST / 10_000]
    assert left["sumCostResidual"].round(4).tolist() == [0.861]
    (note,) = left.vapi.meta.notes
    assert all(part in note for part in REAL_OTHERS)
    each = base.sum(*RECORD_COST_PARTS).step("minute").fetch().vapi.reconcile()
    assert len(each) == 100
    assert each["sumCostResidual"].abs().max() <= 0.0003 + 1e-9
    assert np.allclose(each["sumCostResidual"].iloc[12:], rounding / 10_000, rtol=0, atol=1e-8)


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
