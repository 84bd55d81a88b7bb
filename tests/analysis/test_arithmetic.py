"""`explain` says of every column that a query or a verb can make how its numbers come about."""

from __future__ import annotations

import re

import pandas as pd
import pytest

import vapi_frames as vf
from tests.support.shapes import QUIET
from vapi_frames import analysis
from vapi_frames.contract.vocabulary import COST_PARTS, MEASURES
from vapi_frames.errors import ProvenanceError, UnknownWordError

pytestmark = [pytest.mark.extra("local"), *QUIET, pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning")]

QUERY = vf.demo().call().sum("cost", "duration").count().avg("cost").by("type").step("day").during("2026-10")
REASONS = vf.demo().call().count().sum("cost").by("endedReason", "analysis.successEvaluation").during("2026-10")
HOURS = vf.demo().call().count().step("hour").during("2026-10")


def days():
    """Return cost, minutes and calls by day and type."""
    return QUERY.fetch()


MADE = {
    "query": days, "per_minute": lambda: days().vapi.per_minute(), "per_call": lambda: days().vapi.per_call(),
    "ratio": lambda: days().vapi.ratio("cost", "duration", name="r"), "share": lambda: days().vapi.share("cost"),
    "share within": lambda: days().vapi.share("cost", within=["date"]), "change": lambda: days().vapi.change(7),
    "fill_gaps": lambda: days().vapi.fill_gaps(mark=True), "drop_partial": lambda: days().vapi.drop_partial(),
    "rollup": lambda: days()[["sumCost"]].vapi.rollup("week", by=[]), "top": lambda: days()[["sumCost"]].vapi.top(1),
    "outcome": lambda: REASONS.fetch().vapi.outcome(), "label": lambda: days().vapi.label({"webCall": "web"}, of="type"),
    "success_rate": lambda: REASONS.fetch().vapi.success_rate(),
    "success of calls": lambda: REASONS.fetch().vapi.success_rate(of="calls", success="false"),
    "outcome_rate": lambda: REASONS.fetch().vapi.outcome_rate(),
    "reconcile": lambda: vf.demo().call().sum("cost", *COST_PARTS).during("2026-10").fetch().vapi.reconcile(),
    "comparison": lambda: QUERY.during("2026-11").compare("previous").fetch(),
    "typical_week": lambda: HOURS.fetch().vapi.typical_week(), "open": lambda: HOURS.fetch().vapi.typical_week("open"),
    "wide": lambda: days().vapi.wide("sumCost"), "wide of one": lambda: HOURS.fetch().vapi.wide(),
    "wide by two": lambda: REASONS.step("week").fetch().vapi.wide("cost"), "with_units": lambda: days().vapi.with_units(),
    "concurrency": lambda: vf.demo().subscription().max("concurrency").avg("concurrency").step("day").during("2026-10").fetch(),
    "history": lambda: vf.demo().subscription().history("concurrency").during("2026-10-01").fetch(),
    "minutes": lambda: vf.demo().subscription().sum("minutesUsed").during("2026-10").fetch().vapi.rollup(),
    "own": lambda: days().assign(mine=1.0), "chosen": lambda: days().iloc[::2], "flat": lambda: days().xs("webCall", level="type"),
}  # fmt: skip


@pytest.mark.parametrize("made", MADE)
def test_every_column_and_level_is_explained(made):
    """With its unit and formula, each part that the formula names, the calls, the zone, the gaps and the source."""
    frame = MADE[made]()
    known = {} if made.startswith("wide ") or made == "wide" else frame.vapi.meta.all_units()
    for column in [*frame.columns, *(name for name in frame.index.names if name is not None)]:
        text = frame.vapi.explain(column)
        assert text == analysis.explain(frame, column)
        first, *rest = text.split("\n")
        head, formula = first.split(" = ", 1)
        name = head.split(" (")[0]
        assert name == str(column) or made in ("wide", "wide by two", "with_units"), column
        if known.get(name):
            assert head == f"{name} ({known[name]})"
        assert formula
        assert "what a verb made" not in text
        labels = [line[:9].strip() for line in rest if line[:9].strip()]
        assert [one for one in labels if one not in ("parts", "gaps", "note")] == ["calls", "index", "zone", "source"]
        assert "gaps" in labels or column in (*frame.index.names, "filled", "dateBefore", "mine"), column
        parts = [line[9:].split(" ")[0] for line in rest if " = " in line and not line.startswith("calls")]
        named = {one for one in known if re.search(rf"\b{re.escape(one)}\b", formula) and one != name}
        assert named <= {*parts}, (column, formula)


def test_the_formula_computes_the_column():
    """What it says of two columns of numbers is what Python makes of it."""
    frames = [
        MADE[made]()
        for made in ("per_minute", "per_call", "ratio", "success_rate", "outcome_rate", "reconcile", "typical_week")
    ]
    count = 0
    for frame in (*frames, MADE["comparison"]().drop(columns="dateBefore")):
        for column in frame.columns:
            formula = frame.vapi.explain(column).split("\n")[0].split(" = ", 1)[1]
            if re.fullmatch(r"[\w +*/().-]+", formula) and set(re.findall(r"[A-Za-z]\w*", formula)) <= {*frame.columns}:
                pd.testing.assert_series_equal(
                    frame.eval(formula), frame[column], check_names=False, check_dtype=False, atol=1e-6
                )
                count += 1
    assert count >= 19


@pytest.mark.parametrize("measure", MEASURES, ids=lambda one: one.name)
def test_every_measure_of_the_contract_is_explained(measure):
    """By operation and column, whatever the source: here a reply of the API without rows."""
    for table in measure.tables:
        query = getattr(vf.vq, table)()
        query = (
            getattr(query, measure.operation)(measure.column)
            .step("day")
            .tz("Europe/Paris")
            .between("2026-10-01", "2026-10-02")
        )
        frame = vf.to_frame([{"name": "q", "timeRange": {"step": "day"}, "result": []}], query)
        text = frame.vapi.explain(measure.name)
        assert text.startswith(f"{measure.name} ({measure.unit}) = " if measure.unit else f"{measure.name} = ")
        assert measure.column in text or measure.column == "id"
        assert "zone     Europe/Paris" in text
        assert ("gaps     0 in" in text) == (measure.fill == "zero")


def test_filters_and_choices_are_part_of_it():
    """Those of the query, and those of the rows that were chosen; a choice that no query selects is named so."""
    frame = QUERY.where(endedReason=["voicemail", "customer-ended-call"]).fetch()
    assert "endedReason is 'voicemail' or 'customer-ended-call'" in frame.vapi.explain("sumCost")
    web = frame.loc["2026-10-20":].xs("webCall", level="type")
    text = web.vapi.explain("sumCost")
    assert "calls    createdAt in [2026-10-20T00:00:00Z, 2026-11-01T00:00:00Z); endedReason is" in text
    assert "type is 'webCall'" in text
    assert "which no query selects" in days().iloc[::2].vapi.explain("sumCost")


def test_what_cannot_be_explained():
    """Changed rows, and columns that are not there; one measure needs no name."""
    frame = days()
    with pytest.raises(ProvenanceError, match="'sumCost' are not those that were fetched"):
        (frame * 2).vapi.explain("sumCost")
    with pytest.raises(UnknownWordError, match="did you mean 'sumCost'"):
        frame.vapi.explain("sumcost")
    with pytest.raises(UnknownWordError, match="Say which measure"):
        frame.vapi.explain()
    assert HOURS.fetch().vapi.explain() == HOURS.fetch().vapi.explain("id")
    wide = frame.vapi.wide("sumCost")
    with pytest.raises(UnknownWordError, match="'webCall'"):
        wide.vapi.explain("webcall")
    assert wide.vapi.explain("webCall").startswith(
        "'webCall' = sumCost where type is 'webCall'\nparts    sumCost (USD)"
    )


def test_the_formula_travels_with_the_frame(tmp_path):
    """Over a file, and into a rollup."""
    frame = days()[["sumCost"]].vapi.change(7)
    frame.vapi.save(tmp_path / "change.parquet")
    loaded = vf.load(tmp_path / "change.parquet")
    for column in frame:
        assert loaded.vapi.explain(column) == frame.vapi.explain(column)
    rates = REASONS.fetch().vapi.outcome_rate("failed")
    assert (
        rates.vapi.rollup(by=[]).vapi.explain("countIdFailed").split("\n")[0]
        == rates.vapi.explain("countIdFailed").split("\n")[0]
    )
