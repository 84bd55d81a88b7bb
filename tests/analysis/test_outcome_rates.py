"""The rates of how calls end are those of a plain loop over the calls, on any rollup."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.shapes import QUIET, same
from vapi_frames.analysis.outcome_rates import RATES
from vapi_frames.errors import FrameWarning, QueryError, UnknownWordError

pytestmark = [pytest.mark.extra("local"), *QUIET]

# Reason → the counts that a call with it is in, by hand.
COUNTED = {
    "customer-ended-call": {"Ended", "Answered", "Contained"},
    "assistant-ended-call": {"Ended", "Answered", "Contained"},
    "assistant-forwarded-call": {"Ended", "Answered", "Transferred"},
    "silence-timed-out": {"Ended", "Answered"},
    "exceeded-max-duration": {"Ended", "Answered"},
    "call.in-progress.error-providerfault-openai-500-server-error": {"Ended", "Answered", "Failed"},
    "assistant-not-found": {"Ended", "Failed"},
    "voicemail": {"Ended", "Voicemail"},
    "customer-busy": {"Ended"},
    "manually-canceled": {"Ended"},
    "customer-vanished": {"Ended"},  # no rule matches it
    None: set(),
}
NAMES = {
    "answeredPerEnded": ("Answered", "Ended"),
    "voicemailPerEnded": ("Voicemail", "Ended"),
    "transferredPerAnswered": ("Transferred", "Answered"),
    "containedPerAnswered": ("Contained", "Answered"),
    "failedPerEnded": ("Failed", "Ended"),
}
CALLS = st.lists(
    st.tuples(st.sampled_from(list(COUNTED)), st.integers(1, 12), st.sampled_from(["webCall", "inboundPhoneCall"])),
    max_size=25,
)


def count(calls):
    """Return a query's frame by day, type and ended reason."""
    records = [
        {"id": str(i), "createdAt": f"2026-10-{day:02}T12:00Z", "endedReason": reason, "type": kind}
        for i, (reason, day, kind) in enumerate(calls)
    ]
    query = vf.local(records, now="2026-11-01T00:00Z").call().count().by("type", "endedReason").step("day")
    return query.during("2026-10").fetch()


def expect(calls):
    """Return {column: value} of *calls*, counted one by one."""
    row = {"countId": float(len(calls))}
    for name in ("Ended", "Answered", "Voicemail", "Transferred", "Contained", "Failed"):
        row[f"countId{name}"] = float(sum(name in COUNTED[reason] for reason, _, _ in calls))
    for name, (above, below) in NAMES.items():
        under = row[f"countId{below}"]
        row[name] = row[f"countId{above}"] / under if under else None
    return row


def read(row):
    """Return {column: value} of a row, None where it is missing."""
    return {name: float(value) if value == value else None for name, value in row.items()}


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning")
@examples(9)
@given(CALLS)
def test_each_rate_is_a_loop_over_the_calls(calls):
    """Per day and type, and of any rollup: the rate of the rollup is the rollup of the rate."""
    frame = count(calls)
    rates = frame.vapi.outcome_rate()
    found = {(day.day, kind): read(row) for (day, kind), row in rates.iterrows()}
    keys = {(day, kind) for _, day, kind in calls}
    assert found == {key: expect([one for one in calls if one[1:] == key]) for key in keys}
    by_type = rates.vapi.rollup("all")
    assert {kind: read(row) for kind, row in by_type.iterrows()} == {
        kind: expect([one for one in calls if one[2] == kind]) for kind in {kind for _, kind in keys}
    }
    assert read(rates.vapi.rollup("all", by=[]).iloc[0]) == expect(calls) or not calls
    for step, by in (("week", ["type"]), ("month", []), ("all", ["type"])):
        same(rates.vapi.rollup(step, by=by), frame.vapi.rollup(step, by=[*by, "endedReason"]).vapi.outcome_rate())


def test_the_columns_are_those_of_the_rates_asked_for():
    """The name has the numerator and the denominator; each unit is known."""
    frame = vf.demo().call().count().by("endedReason").during("2026-10").fetch()
    assert list(frame.vapi.outcome_rate())[-5:] == list(NAMES)
    rate = frame.vapi.outcome_rate(["contained", "contained"])
    assert list(rate) == ["countId", "countIdAnswered", "countIdContained", "containedPerAnswered"]
    assert list(rate.vapi.units.values()) == ["calls", "calls", "calls", ""]
    assert len(RATES) == len(NAMES)


def test_calls_with_an_unknown_reason_are_counted_in_a_note():
    """They ended, and count in no other way; a warning says how many."""
    frame = count(
        [("customer-vanished", 1, "webCall"), ("customer-vanished", 2, "webCall"), ("voicemail", 1, "webCall")]
    )
    with pytest.warns(FrameWarning, match="2 calls ended for a reason that no rule matches.*'customer-vanished'"):
        rate = frame.vapi.outcome_rate()
    assert any("2 calls ended" in note for note in rate.vapi.meta.notes)
    assert rate["voicemailPerEnded"].tolist() == [0.5, 0.0]


def test_what_it_needs_is_said():
    """The errors have the word to add, the nearest rate, or the rates."""
    query = vf.demo().call().during("2026-10")
    with pytest.raises(UnknownWordError, match=r'\.by\("endedReason"\)'):
        query.count().fetch().vapi.outcome_rate()
    with pytest.raises(UnknownWordError, match=r"\.count\("):
        query.sum("cost").by("endedReason").fetch().vapi.outcome_rate()
    frame = query.count().by("endedReason").fetch()
    with pytest.raises(UnknownWordError, match="did you mean 'contained'"):
        frame.vapi.outcome_rate("containment")
    for nothing in ([], ()):
        with pytest.raises(QueryError, match="pass one or several of 'answered'"):
            frame.vapi.outcome_rate(nothing)
    with pytest.raises(QueryError, match="rates must be a name or a list of names, e.g. rates=.*, not 3"):
        frame.vapi.outcome_rate(3)
