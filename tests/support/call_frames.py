"""Random frames of every shape with the calls behind them, for the laws of the verbs."""

from __future__ import annotations

import math
from datetime import UTC, timedelta

import pandas as pd
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support import verb_loops as loops
from tests.support.shapes import as_frame
from tests.support.strategies import CLOCK_CHANGES, KEYS, MONEY, ZONES
from vapi_frames.contract.vocabulary import CALL_COLUMNS, GROUP_COLUMNS
from vapi_frames.query.query import Query

TEXTS = st.sampled_from(["a", "b", "", "other", "Ünï ☎", None])
EVALUATIONS = ("true", "True", "false", "pass", " Fail ", "", None)
WORDS = {
    "endedReason": st.sampled_from([*loops.REASONS, None]),
    "analysis.successEvaluation": st.sampled_from(EVALUATIONS),
}
GROUPS = ("type", "endedReason", "analysis.successEvaluation", "assistantId", "plan")


@st.composite
def call_lists(draw, around):
    """Draw calls around a moment."""
    calls = []
    for number in range(draw(st.integers(0, 14))):
        created = around + timedelta(
            minutes=30 * draw(st.integers(-192, 192)), seconds=draw(st.sampled_from([0, 1, 1799]))
        )
        started = draw(st.sampled_from([None, created, created]))
        minutes = timedelta(minutes=draw(st.integers(0, 90)))
        calls.append(
            {
                "id": f"call-{number}", "createdAt": created, "startedAt": started, "endedAt": started and started + minutes,
                **{name: draw(WORDS.get(name, TEXTS)) if name in GROUPS else None for name in GROUP_COLUMNS},
                **{name: draw(MONEY) for name in CALL_COLUMNS if name not in ("id", "duration")},
                **{f"variableValues.{key}": draw(TEXTS) if key == "plan" else None for key in KEYS},
            }
        )  # fmt: skip
    return calls


@st.composite
def frames(draw, *, steps=(None, "hour", "day", "week", "month")):
    """Draw (source, query, model): a range cut anywhere, asked before or after it is over."""
    around = draw(st.sampled_from(CLOCK_CHANGES))
    now = around + timedelta(minutes=draw(st.integers(-3000, 9000)))
    calls = [call for call in draw(call_lists(around)) if call["createdAt"] < now]
    query: Query = Query(table="call").sum("cost", "duration").count().min("cost").avg("duration").with_counts()
    query = query.sum(*(f"costBreakdown.{part}" for part in loops.PARTS))
    groups = draw(st.lists(st.sampled_from(GROUPS), max_size=2, unique=True))
    query = query.by(*(name for name in groups if name != "plan")).by_variable(
        *(name for name in groups if name == "plan")
    )
    if step := draw(st.sampled_from(steps)):
        query = query.step(step)
    query = query.tz(draw(st.sampled_from(ZONES)))
    start = around + timedelta(minutes=draw(st.integers(-6000, 1000)))
    day = start.date()
    options = [query.between(start, start + timedelta(days=3)), query.between(day, day + timedelta(days=4))]
    query = draw(st.sampled_from([one for one in options if one.instants(now)[0] < now] or [query.last("4d")]))
    if draw(st.booleans()):
        query = query.where(type=draw(st.lists(TEXTS, min_size=1, max_size=3)))
    return vf.local(as_frame(calls), now=now), query, loops.base(calls, query, now)


def plain(part):
    """Return a part of a key: a date in UTC, a text, or None."""
    return None if pd.isna(part) else part.to_pydatetime().astimezone(UTC) if hasattr(part, "year") else part


def read(frame):
    """Return {key: {column: value}}, dates in UTC, None for missing; the rows are in order, each once."""
    keys = [key if isinstance(key, tuple) else (key,) for key in frame.index] if frame.index.names != [None] else [()]
    keys = [tuple(map(plain, key)) for key in keys]
    lists = [[None if pd.isna(one) else float(one) for one in frame[name]] for name in frame.columns]
    found = {key: dict(zip(frame.columns, values, strict=True)) for key, *values in zip(keys, *lists, strict=True)}
    assert len(found) == len(frame)
    assert keys == sorted(keys, key=lambda key: [(one is None, one if one is not None else 0) for one in key])
    return found


def is_close(got, wanted):
    """Compare two values, of which each may be missing."""
    if got is None or wanted is None:
        return got is wanted
    return math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-8)


def check(frame, expected, verb, *, only=True):
    """Compare the rows and columns of a frame with what is expected of them."""
    found = read(frame)
    assert found.keys() == expected.keys(), verb
    for key, row in expected.items():
        assert not only or found[key].keys() == row.keys(), verb
        for name, wanted in row.items():
            got = found[key][name]
            assert is_close(got, wanted), (verb, key, name, got, wanted)
