"""Frames of every shape for the verbs, random questions for their laws, and when two frames are the same."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import vapi_frames as vf
from tests.sources.test_agreement import NOW, ZONES, as_frame, call_lists
from vapi_frames.contract.vocabulary import GROUP_COLUMNS, STEPS
from vapi_frames.query.query import Query

QUIET = [
    pytest.mark.filterwarnings(f"ignore::vapi_frames.errors.{name}") for name in ("QueryWarning", "RecordsWarning")
]
# What whole buckets of one step make up, as the calendar has it.
COARSER = {
    **{step: STEPS[i + 1 :] for i, step in enumerate(STEPS[:4])},
    "week": (),
    "month": STEPS[6:],
    "quarter": STEPS[7:],
    "year": STEPS[8:],
    "decade": (),
    "century": STEPS[10:],
    "millennium": (),
}


def laws(examples):
    """Return the settings of a law, of as many examples as stay quick."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


def same(left, right, *, order=True):
    """Compare two frames: index, order, types and missing values exactly, floats to 1e-9."""
    if not order:
        left, right = left.sort_index(), right.sort_index()
    left, right = _used(left), _used(right)
    pd.testing.assert_frame_equal(left, right, rtol=1e-9, atol=1e-9)


def _used(frame):
    """Return *frame* with no value in its index that no row has: pandas 2.2.0 would compare these of an empty one."""
    if not isinstance(frame.index, pd.MultiIndex):
        return frame
    return frame.set_axis(frame.index.remove_unused_levels())


def source(calls):
    """Return whom to ask about random calls."""
    return vf.local(as_frame(calls), now=NOW)


def fetch(vq, query):
    """Ask *vq* one question."""
    return next(iter(vq.fetch(query).values()))


@st.composite
def ranges(draw, around, query):
    """Draw a range around a moment, cut anywhere."""
    start = around + timedelta(minutes=draw(st.integers(-6000, 3000)))
    day = (around - timedelta(days=draw(st.integers(0, 5)))).date()
    ranged = (query.between(start, start + timedelta(days=3)), query.between(day, day + timedelta(days=4)))
    return draw(st.sampled_from([*ranged, query.last("4d")]))


@st.composite
def asked(draw, *, steps=STEPS, groups=3, additive=False, averages=True):
    """Draw (source, question): measures of every rule, groups and variables, a zone, a range."""
    around, calls = draw(call_lists())
    query: Query = Query(table="call").sum("cost").count()
    if not additive:
        query = query.sum("duration").min("cost", "duration").max("costBreakdown.tts").count("costBreakdown.llm")
        query = query.avg("cost", "duration", "costBreakdown.stt").with_counts() if averages else query
    names = draw(st.lists(st.sampled_from([*GROUP_COLUMNS, 0, 1]), max_size=groups, unique=True))
    query = query.by(*(n for n in names if n in GROUP_COLUMNS))
    query = query.by_variable(*(("plan", "type")[n] for n in names if n in (0, 1)))  # the level "variable.type"
    if step := draw(st.sampled_from(steps)):
        query = query.step(step)
    if zone := draw(st.none() | st.sampled_from(ZONES)):
        query = query.tz(zone)
    return source(calls), draw(ranges(around, query))
