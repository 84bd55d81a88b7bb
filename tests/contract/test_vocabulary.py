"""The one table of measures: whole, and consistent with the contract's own examples."""

from __future__ import annotations

import pytest

from vapi_frames import vq
from vapi_frames.contract.record_words import RECORD_COLUMNS, RECORD_GROUPS
from vapi_frames.contract.vocabulary import (
    COLUMN_SYNONYMS,
    COLUMNS,
    GROUP_COLUMNS,
    GROUP_SYNONYMS,
    MEASURES,
    OPERATIONS,
    get_measure,
)
from vapi_frames.errors import UnknownWordError, suggest


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


PEOPLES_WORDS = {
    "costBreakdown.tts": ["voice", "text_to_speech", "tts"],
    "costBreakdown.stt": ["transcription", "speech", "speech-to-text", "stt"],
    "costBreakdown.transcriber": ["transcriber"],
    "costBreakdown.llm": ["model", "llm"],
    "costBreakdown.transport": ["telephony", "phone", "twilio", "transport"],
    "costBreakdown.vapi": ["platform", "vapi"],
    "costBreakdown.knowledgeBase": ["knowledge_base"],
    "costBreakdown.voicemailDetection": ["voicemail"],
    "costBreakdown.analysisBreakdown.summary": ["summary"],
    "costBreakdown.analysisBreakdown.structuredData": ["structuredData"],
}


@pytest.mark.parametrize(
    ("column", "word"), [(column, word) for column, words in PEOPLES_WORDS.items() for word in words]
)
def test_peoples_words_of_a_part_of_the_cost_lead_to_it_alone(column, word):
    """A word that people use for a part of the cost has one suggestion, with and without what they put around it."""
    for typed in (word, word.upper(), f"costBreakdown.{word}", f"cost.{word}", f"{word}Cost", f"cost_{word}"):
        if typed == column:
            continue
        with pytest.raises(UnknownWordError) as error:
            vq.call().sum(typed)
        assert error.value.suggestions == [column], typed


@pytest.mark.parametrize("table", [COLUMN_SYNONYMS, GROUP_SYNONYMS])
def test_a_synonym_is_no_valid_word_and_leads_to_one(table):
    """Each synonym leads to a word of the contract or of records; one that is not valid in a place is not suggested."""
    words = {*COLUMNS, *RECORD_COLUMNS, *GROUP_COLUMNS, *RECORD_GROUPS}
    assert set(table.values()) <= words
    assert suggest("voice", ["duration"], synonyms=COLUMN_SYNONYMS) == []
