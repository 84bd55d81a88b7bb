"""What the parts of a cost do not explain: over call records nothing, over the API what it has no column for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.shapes import QUIET
from vapi_frames.contract.record_words import COST_TYPES, RECORD_COST_PARTS, RECORD_PATHS
from vapi_frames.contract.vocabulary import default_name
from vapi_frames.errors import UnknownWordError

pytestmark = [pytest.mark.extra("local"), *QUIET]
PARTS = tuple(
    f"costBreakdown.{part}" for part in ("llm", "stt", "tts", "vapi", "transport", "analysisBreakdown.summary")
)


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


@examples(6)
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


@examples(6)
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
