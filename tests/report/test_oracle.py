"""The report of any calls is what a plain loop over them finds."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.shapes import as_frame
from tests.support.strategies import ZONES, call_lists
from vapi_frames.contract.ended_reasons import classify_reason

pytestmark = [
    pytest.mark.extra("local"),
    pytest.mark.extra("plot"),
    pytest.mark.property,
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning"),
]


def minutes(call):
    """Return the minutes of a call, None where it has none."""
    if call["startedAt"] is None or call["endedAt"] is None:
        return None
    return (call["endedAt"] - call["startedAt"]).total_seconds() / 60


def total(values):
    """Return the sum of what is there."""
    return sum(value for value in values if value is not None)


@examples(7)
@given(st.data())
def test_any_report_is_that_of_a_plain_loop(data):
    """Figures of both periods, calls by type, faults, and assistants with their cost per minute."""
    around, calls = data.draw(call_lists())
    now = around + timedelta(hours=data.draw(st.integers(0, 96)))
    days = data.draw(st.integers(1, 4))
    report = vf.local(as_frame(calls), now=now).report(f"{days}d", tz=data.draw(st.sampled_from(ZONES)))
    assert report.end == now
    inside = [call for call in calls if report.start <= call["createdAt"] < report.end]
    earlier = [call for call in calls if report.before[0] <= call["createdAt"] < report.before[1]]
    figures = {figure.label: figure for figure in report.figures}
    for chosen, side in ((inside, "value"), (earlier, "before")):
        cost, spent = total(call["cost"] for call in chosen), total(map(minutes, chosen))
        expected = {"Calls": len(chosen), "Cost": cost, "Minutes": spent}
        expected["Cost per call"] = cost / len(chosen) if chosen else 0
        expected["Cost per minute"] = cost / spent if spent else 0
        for label, value in expected.items():
            assert (getattr(figures[label], side) or 0) == pytest.approx(value), label
    for label, figure in figures.items():
        if figure.change is not None and label != "Success":
            assert figure.change == pytest.approx((figure.value - figure.before) / figure.before * 100)
    found = json.loads(report.to_json())["sections"]
    types = Counter()
    for row in found["types"]["rows"]:
        types[row["type"]] += row["countId"]
    assert types == Counter(call["type"] for call in inside)
    reasons = Counter({row["endedReason"]: row["countId"] for row in found["endedReasons"]["rows"]})
    assert reasons == Counter(call["endedReason"] for call in inside)
    shown = {section.name: section for section in report.sections}["endedReasons"].tables[0]
    faults = Counter("no reason" if one is None else classify_reason(one).fault for one in reasons.elements())
    assert sorted(row[1].value for row in shown.rows) == sorted(faults.values())
    groups = defaultdict(list)
    for call in inside:
        groups[call["assistantId"]].append(call)
    assert len(found["assistants"]["rows"]) == len(groups)
    for row in found["assistants"]["rows"]:
        chosen = groups[row["assistantId"]]
        cost, spent = total(call["cost"] for call in chosen), total(map(minutes, chosen))
        assert row["countId"] == len(chosen)
        assert (row["sumCost"] or 0) == pytest.approx(cost)
        assert (row["sumCostPerMinute"] or 0) == pytest.approx(cost / spent if spent else 0)
