"""Frames of every shape for the verbs, random queries for their laws, and when two frames are the same."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.reference import trunc
from tests.support.strategies import KEYS, NOW, ZONES, call_lists
from vapi_frames.contract.vocabulary import CALL_COLUMNS, GROUP_COLUMNS, STEPS
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
    """Return a source of random calls."""
    return vf.local(as_frame(calls), now=NOW)


def fetch(vq, query):
    """Ask *vq* one query."""
    return next(iter(vq.fetch(query).values()))


@st.composite
def ranges(draw, around, query):
    """Draw a range around a moment, cut anywhere."""
    start = around + timedelta(minutes=draw(st.integers(-6000, 3000)))
    day = (around - timedelta(days=draw(st.integers(0, 5)))).date()
    ranged = (query.between(start, start + timedelta(days=3)), query.between(day, day + timedelta(days=4)))
    return draw(st.sampled_from([*ranged, query.last("4d")]))


@st.composite
def sources_and_queries(draw, *, steps=STEPS, groups=3, additive=False, averages=True):
    """Draw (source, query): measures of every rule, groups and variables, a zone, a range."""
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


def as_frame(calls):
    """Return the calls as the frame of call records that the design names."""
    times = ("createdAt", "startedAt", "endedAt")
    names = ["id", *times, *GROUP_COLUMNS, *(n for n in CALL_COLUMNS if n not in ("id", "duration"))]
    names += [f"variableValues.{key}" for key in KEYS]
    data = {}
    for name in names:
        values = [call[name] for call in calls]
        if name in times:
            data[name] = pd.Series(values, dtype="datetime64[us, UTC]")
        elif name in CALL_COLUMNS and name != "id":
            data[name] = pd.Series(values, dtype="float64")
        else:
            data[name] = pd.Series(values, dtype=object if pd.__version__ < "3" else "str")
    return pd.DataFrame(data)


def as_nested(call):
    """Return the call as the API nests it."""
    nested = {}
    for name, value in call.items():
        *way, last = name.split(".") if not name.startswith("variableValues.") else ("artifact", *name.split(".", 1))
        inside = nested
        for part in way:
            inside = inside.setdefault(part, {})
        inside[last] = value.isoformat() if isinstance(value, datetime) else value
    return nested


def as_json_files(calls, folder):
    """Write the calls as JSON, the first half one flat object a line, the others as an array of nested ones."""
    half = len(calls) // 2
    lines = [json.dumps(call, default=datetime.isoformat) for call in calls[:half]]
    (folder / "1.jsonl").write_text("\n".join(lines), encoding="utf-8")
    nested = json.dumps([as_nested(call) for call in calls[half:]], ensure_ascii=False)
    (folder / "2.json").write_text(nested, encoding="utf-8")
    return folder


def check(frame, query, expected):
    """Compare a frame with the oracle: index, order, types and missing values exactly, floats to 1e-9."""
    assert list(frame.columns) == [one.name for one in query.measures]
    rows = {}
    index = frame.index
    keys = [()] if not query.levels else [key if isinstance(key, tuple) else (key,) for key in index]
    if query.levels:
        assert tuple(index.names) == query.levels
    for key, values in zip(keys, frame.itertuples(index=False), strict=True):
        plain = tuple(
            None if k is None or k != k else k.to_pydatetime().astimezone(UTC) if hasattr(k, "year") else k for k in key
        )
        rows[plain] = dict(zip(frame.columns, values, strict=True))
    assert len(rows) == len(frame)
    assert rows.keys() == expected.keys()
    order = list(rows)
    assert order == sorted(order, key=lambda key: [(k is None, k if k is not None else "") for k in key])
    for key, row in expected.items():
        for name, wanted in row.items():
            got = rows[key][name]
            if wanted is None:
                assert math.isnan(got)
            else:
                assert got == wanted or got == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    for one in query.measures:
        assert frame[one.name].dtype == ("int64" if one.operation in ("count", "nunique") else "float64")
    if query.time_step:
        dates = index if isinstance(index, pd.DatetimeIndex) else index.levels[0]
        assert str(dates.dtype) == f"datetime64[us, {query.zone.key}]"


def buckets_of(query, now=NOW):
    """Return the buckets of the query's range that had begun, by walking it minute by minute."""
    start, end = query.instants(NOW)
    at, end = start.astimezone(UTC), min(end, now).astimezone(UTC)
    found = set()
    while at < end:
        found.add(trunc(at, query.time_step, query.zone))
        at = at.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return sorted(found)


def rows_of(frame):
    """Return {(date in UTC, groups...): {column: value}} with None for missing, in the frame's order."""
    keys = [key if isinstance(key, tuple) else (key,) for key in frame.index]
    plain = [(key[0].to_pydatetime().astimezone(UTC), *(None if pd.isna(k) else k for k in key[1:])) for key in keys]
    values = [[None if math.isnan(v) else v for v in row] for row in frame.itertuples(index=False)]
    return {key: dict(zip(frame.columns, row, strict=True)) for key, row in zip(plain, values, strict=True)}
