"""The one table of measures: whole, and consistent with the contract's own examples."""

from __future__ import annotations

from vapi_frames.contract.vocabulary import COLUMNS, MEASURES, OPERATIONS, get_measure


def test_the_table_is_whole():
    """Each operation on each column has exactly one row."""
    assert [(m.operation, m.column) for m in MEASURES] == [(o, c) for c in COLUMNS for o in OPERATIONS]
    assert len({m.name for m in MEASURES}) == len(MEASURES)


def test_names_are_the_apis_own():
    """Camel case of operation and column with the dots dropped."""
    names = {m.name for m in MEASURES}
    assert {"sumCost", "countId", "avgDuration", "sumCostBreakdownLlm", "sumCostBreakdownTtsCharacters"} <= names
    assert "historyConcurrency" in names


def test_units():
    """Money is dollars, durations are minutes, the rest counts."""
    units = {m.name: m.unit for m in MEASURES}
    assert units["sumCost"] == units["avgCostBreakdownTts"] == "USD"
    assert units["sumDuration"] == units["sumMinutesUsed"] == "min"
    assert units["countId"] == units["countDuration"] == "calls"
    assert units["sumCostBreakdownLlmPromptTokens"] == "tokens"
    assert units["sumCostBreakdownTtsCharacters"] == "characters"
    assert units["maxConcurrency"] == "calls at once"
    assert units["sumId"] == ""


def test_additivity_and_fill():
    """Sums and counts add and fill with zero; an average needs its count; a peak nests in time only."""
    for m in MEASURES:
        assert m.fill == (
            "carry" if m.column == "concurrency" else "zero" if m.operation in ("sum", "count") else "missing"
        )
    assert (get_measure("sum", "cost").over_time, get_measure("sum", "cost").over_groups) == ("sum", "sum")
    assert get_measure("avg", "duration").over_groups == "weighted"
    assert (get_measure("max", "concurrency").over_time, get_measure("max", "concurrency").over_groups) == (
        "max",
        "none",
    )
    assert get_measure("avg", "concurrency").over_time == "none"
    assert get_measure("history", "concurrency").over_time == "none"
    assert get_measure("sum", "id").tables == ()
    assert get_measure("history", "cost").tables == ()
    assert get_measure("sum", "minutesUsed").tables == ("subscription",)
