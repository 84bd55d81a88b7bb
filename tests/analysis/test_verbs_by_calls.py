"""Every verb, alone or after others, returns what plain loops over the calls return."""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import product

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support import verb_loops as loops
from tests.support.call_frames import call_lists, check, frames, is_close, plain, read
from tests.support.examples import examples
from tests.support.shapes import COARSER, QUIET, as_frame, fetch
from vapi_frames.errors import NonAdditiveError, ProvenanceError, QueryError

pytestmark = [pytest.mark.extra("local"), *QUIET, pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning")]

# --- verbs that make other rows, each (model, frame, draw) -> (model, frame) ----------------------------------------


def some_rows(model, frame, draw):
    """Choose the rows of some values of a group, with pandas."""
    level = draw(st.sampled_from([name for name in model.levels if name != "date"]))
    place = model.place(level)
    kept = set(draw(st.lists(st.sampled_from(sorted({key[place] for key in model.cells}, key=str)), min_size=1)))
    frame = frame[[(None if pd.isna(one) else one) in kept for one in frame.index.get_level_values(level)]]
    return loops.replace(model, cells={key: calls for key, calls in model.cells.items() if key[place] in kept}), frame


def rollup(model, frame, draw):
    """Roll up in time, over groups, or both."""
    groups = [name for name in model.levels if name != "date"]
    by = draw(st.lists(st.sampled_from(groups), unique=True)) if groups else []
    step = (
        draw(
            st.sampled_from(
                [model.step, *(one for one in COARSER[model.step] if one in ("day", "week", "month", "year")), "all"]
            )
        )
        if model.step
        else None
    )
    return loops.rollup(model, None if step == "all" else step, by), frame.vapi.rollup(step, by=by)


def top(model, frame, draw):
    """Keep the largest values of a group."""
    of = draw(st.sampled_from([name for name in model.levels if name != "date"]))
    n, by, other = (
        draw(st.integers(1, 4)),
        draw(st.sampled_from(["countId", "sumCost", "minCost"])),
        draw(st.booleans()),
    )
    same = {"assistantId", "assistantName"} if of in ("assistantId", "assistantName") else {of}
    made, is_clear = loops.top(model, n, of, by, tuple(same & set(model.levels)), other=other)
    assume(is_clear)
    return made, frame.vapi.top(n, of=of, by=by, other=other)


def outcome(model, frame, draw):
    """Roll ended reasons up to families."""
    level = draw(st.sampled_from(["outcome", "fault"]))
    return loops.outcome(model, level), frame.vapi.outcome(level)


def label(model, frame, draw):
    """Put names beside ids."""
    names = draw(st.dictionaries(st.sampled_from(["a", "b", "other", "z"]), st.sampled_from(["Ann", "b", "other"])))
    return loops.label(model, names, "assistantId"), frame.vapi.label(names)


def fill_gaps(model, frame, draw):
    """Fill all buckets, whichever rows were chosen."""
    return loops.fill_gaps(model), frame.vapi.fill_gaps(whole=True)


def drop_partial(model, frame, draw):
    """Keep whole buckets."""
    return loops.drop_partial(model), frame.vapi.drop_partial()


REWRITERS = {
    some_rows: lambda m: m.cells and set(m.levels) - {"date"}, rollup: lambda m: True, top: lambda m: set(m.levels) - {"date"},
    outcome: lambda m: "endedReason" in m.levels, label: lambda m: "assistantId" in m.levels and "assistantName" not in m.levels,
    fill_gaps: lambda m: m.step, drop_partial: lambda m: m.step,
}  # fmt: skip


@examples(15)
@given(frames(), st.data())
def test_verbs_after_verbs_are_loops_over_the_calls(drawn, data):
    """Up to three verbs that make other rows: each time index, order and numbers are the loop's, or it is refused."""
    vq, query, model = drawn
    frame = fetch(vq, query)
    check(frame, model.rows(), "fetch")
    for number in range(3):
        verb = data.draw(st.sampled_from([one for one, fits in REWRITERS.items() if fits(model)]))
        before, attrs = frame.copy(deep=True), dict(frame.attrs)
        try:
            model, made = verb(model, frame, data.draw)
        except NonAdditiveError:  # the clock changes within a bucket, or a verb before keeps this one from it
            assert verb is rollup or number
            return
        pd.testing.assert_frame_equal(frame, before)
        assert frame.attrs == attrs
        frame = made
        check(frame, model.rows(), verb.__name__)


# --- verbs that add columns, or give other ones ---------------------------------------------------------------------


def add(name, verb, loop, *, fits=lambda m: True):
    """Return a check of a verb that adds columns, called *name*."""

    def verify(model, frame, draw):
        added = loop(model)
        check(verb(frame), {key: row | added[key] for key, row in model.rows().items()}, name)

    return name, fits, verify


def check_change(model, frame, draw):
    """Compare with an earlier bucket."""
    periods = draw(st.integers(1, 3))
    added = loops.change(model, periods)
    expected = {key: row | added[key] for key, row in model.rows().items()}
    check(frame.vapi.change(periods, whole=True), expected, "change")


def check_success(model, frame, draw):
    """Count successes by any rubric."""
    of = draw(st.sampled_from(["evaluated", "calls"]))
    success = draw(st.none() | st.lists(st.sampled_from(["true", "True", "FAIL", "pass", True, "never"]), min_size=1))
    read_as = None if success is None else {"true" if one is True else one for one in success}
    expected = loops.success_rate(model, of, read_as)
    check(frame.vapi.success_rate(of=of, success=success), expected, "success_rate")


def check_outcome_rate(model, frame, draw):
    """Count how calls ended."""
    check(frame.vapi.outcome_rate(), loops.outcome_rate(model), "outcome_rate")


def check_wide(model, frame, draw):
    """Spread one measure; what has no row is missing."""
    name = draw(st.sampled_from(["sumCost", "countId", "avgDuration"]))
    made = frame.vapi.wide(name)
    levels = [one for one in model.levels if one != "assistantId" or "assistantName" not in model.levels]
    places = [model.place(one) for one in levels]
    cells = {tuple(key[place] for place in places): row[name] for key, row in model.rows().items()}
    found, values = {}, made.to_numpy()
    rows = [one if isinstance(one, tuple) else (one,) for one in made.index]
    columns = [one if isinstance(one, tuple) else (one,) for one in made.columns]
    across = made.columns.names != [None]
    for (i, row), (j, column) in product(enumerate(rows), enumerate(columns)):
        key = (*(row if levels else ()), *(column if across else ()))
        key = tuple(map(plain, key))
        if not pd.isna(values[i, j]):
            found[key] = float(values[i, j])
    names = [*(made.index.names if levels else []), *(made.columns.names if across else [])]
    assert names == levels
    there = {key: one for key, one in cells.items() if one is not None}
    assert found.keys() == there.keys()
    assert all(math.isclose(found[key], there[key], abs_tol=1e-8) for key in there)


def share_of(name, within):
    """Return the loop of a share within slices of the first levels."""

    def loop(model):
        rows = model.rows()
        slices = {key: [row[name] for other, row in rows.items() if other[:within] == key[:within]] for key in rows}
        return {key: {f"{name}Share": loops.divide(row[name], loops.total(slices[key]))} for key, row in rows.items()}

    return loop


def ratio_of(above, below, name):
    """Return the loop of a ratio."""
    return lambda model: {key: {name: loops.divide(row[above], row[below])} for key, row in model.rows().items()}


ADDING = [
    add("ratio", lambda f: f.vapi.ratio("countId", "sumCost", name="r"), ratio_of("countId", "sumCost", "r")),
    add("per_call", lambda f: f.vapi.per_call(), ratio_of("sumCost", "countId", "sumCostPerCall")),
    add("per_minute", lambda f: f.vapi.per_minute(), ratio_of("sumCost", "sumDuration", "sumCostPerMinute")),
    add("share", lambda f: f.vapi.share("countId"), share_of("countId", 0)),
    add("share within", lambda f: f.vapi.share("cost", within=f.index.names[0]), share_of("sumCost", 1), fits=lambda m: m.levels),
    add("reconcile", lambda f: f.vapi.reconcile(), loops.reconcile),
    ("change", lambda m: m.step, check_change),
    ("success_rate", lambda m: "analysis.successEvaluation" in m.levels, check_success),
    ("outcome_rate", lambda m: "endedReason" in m.levels, check_outcome_rate),
    ("wide", lambda m: True, check_wide),
]  # fmt: skip


@examples(12)
@given(frames(), st.data())
def test_added_columns_are_loops_over_the_calls(drawn, data):
    """Each verb that adds columns or counts otherwise, on a frame as fetched and after another verb."""
    vq, query, model = drawn
    frame = fetch(vq, query)
    for number in range(2):
        for _, fits, verify in ADDING:
            if fits(model):
                verify(model, frame, data.draw)
        if number:
            break
        verb = data.draw(st.sampled_from([one for one, fits in REWRITERS.items() if fits(model)]))
        try:
            model, frame = verb(model, frame, data.draw)
        except NonAdditiveError:
            return


@examples(9)
@given(frames(steps=(None, "hour", "day")), st.sampled_from(["previous", "1d", "7d"]))
def test_a_comparison_is_two_loops(drawn, to):
    """Each measure of both periods, bucket beside bucket; differences where both buckets are whole."""
    vq, query, model = drawn
    comparison = query.compare(to)
    try:
        frame = vq.compare(comparison)
    except QueryError as error:
        start, end = query.instants(model.now)
        if "empty range on the clock" in str(error) and end - start <= timedelta(hours=1):
            return  # the clock goes back or forward within the range
        raise
    found = read(frame.drop(columns="dateBefore", errors="ignore"))
    sides = [loops.base(model.calls, one, model.now) for one in comparison.queries(model.now)]
    expected = loops.compare(*sides)
    assert found.keys() == expected.keys()
    for key, (row, is_whole) in expected.items():
        assert found[key].keys() == row.keys()
        for name, wanted in row.items():
            if is_whole or not name.endswith(("Delta", "Percent")):
                assert is_close(found[key][name], wanted), (key, name)


@examples(7)
@given(frames(), st.data())
def test_a_refresh_is_a_loop_over_the_new_calls(drawn, data):
    """The same query of other calls at another time: of the frame, and of a choice of its groups."""
    vq, query, model = drawn
    frame = fetch(vq, query)
    later = model.now + timedelta(hours=data.draw(st.integers(0, 50)))
    calls = [call for call in data.draw(call_lists(model.start)) if call["createdAt"] < later]
    again = vf.local(as_frame(calls), now=later)
    check(frame.vapi.refresh(again), loops.base(calls, query, later).rows(), "refresh")
    groups = [name for name in model.levels if name != "date"]
    if not groups or not model.cells:
        return
    level = data.draw(st.sampled_from(groups))
    place = model.place(level)
    text = data.draw(st.sampled_from(sorted({key[place] for key in model.cells}, key=str)))
    chosen = frame[[(None if pd.isna(one) else one) == text for one in frame.index.get_level_values(level)]]
    try:
        made = chosen.vapi.refresh(again)
    except ProvenanceError:  # no query gives these rows
        assert query.filters
        return
    check(made, loops.base(calls, chosen.vapi.query, later).rows(), "refresh of a choice")
