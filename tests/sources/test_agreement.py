"""Random questions about random calls: the oracle, every form in which records are held, and the endpoint agree."""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.endpoint import KEY, running
from tests.support.reference import answer
from vapi_frames.calendar.ranges import Absolute
from vapi_frames.contract.vocabulary import CALL_COLUMNS, GROUP_COLUMNS, STEPS
from vapi_frames.interface.vq import Vq
from vapi_frames.query.query import Query
from vapi_frames.sources.api.client import ApiClient
from vapi_frames.sources.api.source import ApiSource
from vapi_frames.sources.http.connection import Connection

if TYPE_CHECKING:
    from vapi_frames.sources.local.source import CallsSource

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
ZONES = ("UTC", "America/New_York", "America/Sao_Paulo", "America/Havana", "America/St_Johns", "Australia/Lord_Howe",
         "Asia/Kathmandu", "Africa/Cairo", "Pacific/Apia", "Europe/London")  # fmt: skip
# Around changes of the clock in these zones, so that buckets of 23, 25 and 24.5 hours are met.
MOMENTS = [
    datetime(2011, 12, 30, 10, tzinfo=UTC), datetime(2018, 11, 4, 3, tzinfo=UTC), datetime(2009, 11, 1, 2, 31, tzinfo=UTC),
    datetime(2024, 4, 25, 22, tzinfo=UTC), datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(1985, 12, 31, 18, 30, tzinfo=UTC), NOW,
]  # fmt: skip
TEXTS = st.sampled_from(["a", "b", "", "00000000-0000-0000-0000-000000000000", 'x"y', "Ünï ☎", None])
MONEY = st.none() | st.integers(0, 10**6).map(lambda n: n / 10_000)
KEYS = ("plan", "my key", "cost", "type")


@st.composite
def call_lists(draw):
    """Draw calls near one moment, as the flat records that `local` documents."""
    around = draw(st.sampled_from(MOMENTS))
    micros = st.integers(-4 * 86_400 * 10**6, 4 * 86_400 * 10**6).map(lambda us: timedelta(microseconds=us))
    seconds = micros | st.integers(-192, 192).map(lambda n: timedelta(minutes=30 * n))  # where buckets begin
    calls = []
    for number in range(draw(st.integers(0, 25))):
        created = around + draw(seconds)
        started = draw(st.sampled_from([None, created, created + timedelta(seconds=2)]))
        ended = started and started + timedelta(microseconds=draw(st.integers(0, 10**10) | st.just(3600 * 10**6)))
        calls.append(
            {
                "id": f"call-{number}",
                "createdAt": created,
                "startedAt": started,
                "endedAt": draw(st.sampled_from([ended, ended, ended, None])),
                **{name: draw(TEXTS) for name in GROUP_COLUMNS},
                "status": draw(st.sampled_from(["ended", "in-progress", "forwarding", "not-found", None])),
                **{name: draw(MONEY) for name in CALL_COLUMNS if name not in ("id", "duration")},
                **{f"variableValues.{key}": draw(TEXTS) for key in KEYS},
            }
        )
    return around, calls


@st.composite
def subscription_questions(draw, around):
    """Draw a question of table subscription that records can answer."""
    pairs = [("max", "concurrency"), ("min", "concurrency"), ("avg", "concurrency"),
             *((word, "minutesUsed") for word in ("sum", "avg", "min", "max", "count"))]  # fmt: skip
    asked = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=4, unique=True))
    query: Query = Query(table="subscription")
    for operation, column in draw(st.just(asked) | st.just([("history", "concurrency")])):
        query = getattr(query, operation)(column)
    step = draw(st.none() | st.sampled_from(STEPS))
    if step:
        query = query.step(step)
    if zone := draw(st.none() | st.sampled_from(ZONES)):
        query = query.tz(zone)
    start = around + timedelta(minutes=draw(st.integers(-6000, 3000)), microseconds=draw(st.sampled_from([0, 7])))
    if step == "second":
        return query.between(start, start + timedelta(minutes=10))
    day = (around - timedelta(days=draw(st.integers(0, 5)))).date()
    ranged = [query.between(start, start + timedelta(days=3)), query.between(day, day + timedelta(days=4))]
    return draw(st.sampled_from([*ranged, query.last("4d")]))


@st.composite
def filters(draw):
    """Draw what calls are chosen by: a word or two, and one value or several."""
    words = [*GROUP_COLUMNS, *(f"variable.{key}" for key in KEYS)]
    values = TEXTS | st.lists(TEXTS, min_size=1, max_size=3) | st.just("never met")
    return draw(st.dictionaries(st.sampled_from(words), values, min_size=1, max_size=2))


@st.composite
def questions(draw, around):
    """Draw a question that records can answer."""
    if draw(st.integers(0, 2)) == 0:
        return draw(subscription_questions(around))
    query = draw(call_questions(around))
    return query.where(draw(filters())) if draw(st.integers(0, 2)) == 0 else query


@st.composite
def call_questions(draw, around):
    """Draw a question about all calls of a range."""
    query: Query = Query(table="call")
    numbers = [name for name in CALL_COLUMNS if name != "id"]
    pairs = st.tuples(st.sampled_from(["sum", "avg", "min", "max", "count"]), st.sampled_from(numbers))
    for operation, column in draw(st.lists(pairs, max_size=3, unique=True)):
        query = getattr(query, operation)(column)
    if draw(st.booleans()) or not query.aggregations:
        query = query.count()
    query = query.by(*draw(st.lists(st.sampled_from(GROUP_COLUMNS), max_size=2, unique=True)))
    query = query.by_variable(*draw(st.lists(st.sampled_from(KEYS), max_size=2, unique=True)))
    if step := draw(st.none() | st.sampled_from(STEPS)):
        query = query.step(step)
    if zone := draw(st.none() | st.sampled_from(ZONES)):
        query = query.tz(zone)
    if draw(st.booleans()):
        query = query.with_counts()
    start = around + timedelta(minutes=draw(st.integers(-6000, 3000)))
    day = (around - timedelta(days=draw(st.integers(0, 5)))).date()
    return draw(
        st.sampled_from(
            [
                query.between(start, start + timedelta(days=3)),
                query.between(day, day + timedelta(days=4)),
                query.between(datetime(day.year, day.month, day.day, 2, 30), None),
                query.last("4d"),
                query,
            ]
        )
    )


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
                assert got == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    for one in query.measures:
        assert frame[one.name].dtype == ("int64" if one.operation == "count" else "float64")
    if query.time_step:
        dates = index if isinstance(index, pd.DatetimeIndex) else index.levels[0]
        assert str(dates.dtype) == f"datetime64[us, {query.zone.key}]"


def absolute(query):
    """Return the question for whoever has another clock than `NOW`."""
    span = query.instants(NOW)
    return replace(query, time_range=None if span == (None, None) else Absolute(*span))


class Switch:
    """A source that passes the questions on, so that one server can serve the records of each example."""

    kind = "calls"
    inner: CallsSource

    def now(self):
        return NOW

    def answer(self, queries, now):
        return self.inner.answer(queries, now)


@pytest.fixture(scope="module")
def endpoint():
    """Serve whatever `Switch.inner` is, and return it with a Vq that asks over HTTP."""
    with serving() as served:
        yield served


@contextmanager
def serving():
    """Yield a `Switch`, and a Vq that asks the endpoint that serves it, and has the same clock."""
    switch = Switch()
    with running(switch) as served:
        source = ApiSource(ApiClient(Connection(KEY, base_url=served.url), now=NOW), buckets=10**9)
        yield switch, Vq(lambda: source)


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning")
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.ResponseWarning")  # an hour's date leaves two readings
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_every_form_of_the_records_gives_the_oracles_answer(tmp_path_factory, endpoint, data):
    """A number does not depend on how the call records are held, and is the one that loops over them give."""
    around, calls = data.draw(call_lists())
    query = data.draw(questions(around))
    expected = answer(calls, query, NOW)
    frame = as_frame(calls)
    folder = tmp_path_factory.mktemp("calls")
    half = len(frame) // 2
    frame.iloc[:half].to_parquet(folder / "1.parquet")
    frame.iloc[half:].to_parquet(folder / "2.parquet")
    forms = {
        "frame": frame,
        "arrow": pa.Table.from_pandas(frame, preserve_index=False),
        "files": str(folder / "*.parquet"),
        "json": calls,
    }
    if data.draw(st.booleans()):
        forms["underscores"] = frame.rename(columns=lambda name: name.replace(".", "_"))
    else:
        forms["json files"] = as_json_files(calls, tmp_path_factory.mktemp("json"))
    first = None
    for name, form in forms.items():
        answered = vf.local(form, now=NOW).fetch(query)[query.body(NOW)["queries"][0]["name"]]
        check(answered, query, expected)
        if first is None:
            first = answered
        pd.testing.assert_frame_equal(answered, first, rtol=1e-9, obj=name)
    switch, over_http = endpoint
    switch.inner = vf.local(frame, now=NOW).source
    frames = over_http.fetch(absolute(query))
    pd.testing.assert_frame_equal(next(iter(frames.values())), first, rtol=1e-9, obj="endpoint")


def test_nested_call_json_is_read_like_flat_records():
    """What GET /call returns needs no preparation: parts of the cost and variables are found where the API puts them."""
    nested = [
        {
            "id": "1", "type": "webCall", "createdAt": "2026-11-01T05:30:00.000Z", "startedAt": "2026-11-01T05:30:00Z",
            "endedAt": "2026-11-01T01:31:30-04:00", "cost": 1, "analysis": {"successEvaluation": "true"},
            "costBreakdown": {"stt": 0.25, "analysisCostBreakdown": {"summary": 0.5}},
            "artifact": {"variableValues": {"plan": "pro", "seats": 3}},
        },
        {"id": "2", "createdAt": "2026-11-01T06:30:00Z", "cost": 2.5, "costBreakdown": {"stt": 0.5},
         "assistantOverrides": {"variableValues": {"plan": "free"}}},
    ]  # fmt: skip
    vq = vf.local(json.loads(json.dumps(nested)), now="2026-12-02T00:00Z")
    frame = (
        vq.call().sum("cost", "costBreakdown.transcriber", "costBreakdown.analysisBreakdown.summary").avg("duration")
        .by("type").by_variable("plan", "seats").step("hour").tz("America/New_York").during("2026-11").fetch()
    )  # fmt: skip
    assert [str(date) for date in frame.index.get_level_values("date")] == [
        "2026-11-01 01:00:00-04:00",
        "2026-11-01 01:00:00-05:00",
    ]
    assert frame["sumCost"].tolist() == [1.0, 2.5]
    assert frame["sumCostBreakdownTranscriber"].tolist() == [0.25, 0.5]
    assert frame["avgDuration"].iloc[0] == 1.5
    assert np.isnan(frame["avgDuration"].iloc[1])
    assert frame.index.get_level_values("plan").tolist() == ["pro", "free"]
    assert frame.index.get_level_values("seats")[0] == "3"
    assert pd.isna(frame.index.get_level_values("type")[1])


def test_structs_and_maps_in_parquet_are_read_like_flat_columns(tmp_path):
    """Parquet written by other tools keeps parts of the cost in structs and variables in maps."""
    created = pa.array([datetime(2026, 11, 1, tzinfo=UTC)] * 2, pa.timestamp("ns", "UTC"))
    cost = pa.array(
        [{"llm": 0.5, "analysisCostBreakdown": {"summary": 1.0}}, {"llm": None, "analysisCostBreakdown": None}]
    )
    variables = pa.array([[("plan", "pro")], []], pa.map_(pa.string(), pa.string()))
    artifact = pa.StructArray.from_arrays([variables], ["variableValues"])
    table = pa.table({"id": ["1", "2"], "createdAt": created, "costBreakdown": cost, "artifact": artifact})
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, tmp_path / "calls.parquet")
    for form in (table, tmp_path / "calls.parquet", tmp_path):
        query = (
            vf.local(form, now="2026-12-02T00:00Z")
            .call()
            .sum("costBreakdown.llm", "costBreakdown.analysisBreakdown.summary")
            .by_variable("plan")
        )
        frame = query.during("2026-11").fetch()
        assert frame["sumCostBreakdownLlm"].tolist()[0] == 0.5
        assert np.isnan(frame["sumCostBreakdownLlm"].tolist()[1])
        assert frame["sumCostBreakdownAnalysisBreakdownSummary"].tolist()[0] == 1.0
        assert frame.index[0] == "pro"
        assert pd.isna(frame.index[1])
