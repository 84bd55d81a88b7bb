"""Rates of two periods side by side: those of a loop over the calls of each, also after a rollup."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from vapi_frames.contract.ended_reasons import classify_reason

pytestmark = [
    pytest.mark.extra("local"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning"),
]

REASONS = ["customer-ended-call", "voicemail", "silence-timed-out", "customer-busy", None]
CALLS = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3, 4]), st.sampled_from(["a", "b", None]),
        st.sampled_from(["true", "false", "", None]), st.sampled_from(REASONS),
    ),
    min_size=1, max_size=12,
)  # fmt: skip
FAILED = ("failed_to_start", "failed_mid_call")
ANSWERED = ("conversation", "transferred", "timeout", "failed_mid_call")
RATES = {  # name → whether a call is below the line, and whether it is above it
    "successPerEvaluated": (lambda call: bool(call[2]), lambda call: call[2] == "true"),
    "answeredPerEnded": (lambda call: call[3] is not None, lambda call: find_outcome(call) in ANSWERED),
    "containedPerAnswered": (
        lambda call: find_outcome(call) in ANSWERED,
        lambda call: find_outcome(call) == "conversation",
    ),
    "failedPerEnded": (lambda call: call[3] is not None, lambda call: find_outcome(call) in FAILED),
}


def find_outcome(call):
    """Return the outcome of a call that ended."""
    return call[3] and classify_reason(call[3]).outcome


def count_rate(calls, name):
    """Return the rate of *calls*, missing where none is below the line."""
    is_below, is_above = RATES[name]
    below = [call for call in calls if is_below(call)]
    return sum(map(is_above, below)) / len(below) if below else math.nan


def compare(calls, group, step):
    """Return the comparison of the 3rd and 4th with the 1st and 2nd of October."""
    records = [
        {
            "id": str(place), "createdAt": f"2026-10-0{day}T10:00:00Z", "assistantId": assistant,
            "analysis": {"successEvaluation": success}, "endedReason": reason,
        }
        for place, (day, assistant, success, reason) in enumerate(calls)
    ]  # fmt: skip
    query = vf.local(records, now="2026-10-10T00:00Z").call().count().by(group, "assistantId")
    query = query.step("day") if step else query
    return query.between("2026-10-03", "2026-10-05").compare("2d").fetch()


def check(frame, calls, name):
    """Check each row: its calls are those of its assistant, and of its day, if there is one."""
    rows = frame.reset_index()
    assert len(rows) or not calls
    for row in rows.to_dict("records"):
        of_row = [
            call
            for call in calls
            if "assistantId" not in row
            or call[1] == (row["assistantId"] if isinstance(row["assistantId"], str) else None)
        ]
        sides = []
        for days, key in (((3, 4), "date"), ((1, 2), "dateBefore")):
            chosen = {row[key].day} if key in row and row[key] == row[key] else set(days)
            sides.append(count_rate([call for call in of_row if call[0] in chosen], name))
        now, before = sides
        assert row[name] == pytest.approx(now, nan_ok=True)
        assert row[f"{name}Before"] == pytest.approx(before, nan_ok=True)
        assert row[f"{name}Delta"] == pytest.approx(now - before, nan_ok=True)
        percent = 100 * (now - before) / before if before else math.nan
        assert row[f"{name}Percent"] == pytest.approx(percent, nan_ok=True)


@pytest.mark.property
@pytest.mark.parametrize("step", [False, True])
@examples(15)
@given(st.data())
def test_rates_of_two_periods_are_those_of_a_loop(step, data):
    """By assistant, per day and in all, for each rate: this period, the one before, and their difference."""
    calls, name = data.draw(CALLS), data.draw(st.sampled_from(sorted(RATES)))
    if name.startswith("success"):
        rates = compare(calls, "analysis.successEvaluation", step).vapi.success_rate()
    else:
        rates = compare(calls, "endedReason", step).vapi.outcome_rate(name.partition("Per")[0])
    check(rates, calls, name)
    check(rates.vapi.rollup(by=[]), calls, name)
    check(rates.vapi.rollup("all", by=[]), calls, name)
    if step:
        check(rates.vapi.rollup("all"), calls, name)
    assert rates.vapi.units[f"{name}Percent"] == "%"
