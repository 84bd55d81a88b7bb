"""From a reply to the settled frame: index, columns, types, and what the frame knows of itself."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import vapi_frames as vf
from vapi_frames import vq
from vapi_frames.errors import BucketAlignmentError, ProvenanceError, ResponseError, ResponseWarning
from vapi_frames.frames.meta import read_meta

QUERY = (
    vq.call().sum("cost").count().avg("duration").by("assistantId", "endedReason").step("day")
    .between("2026-10-30", "2026-11-03").tz("America/New_York")
)  # fmt: skip
ROWS = [
    {"date": "2026-11-02T05:00:00.000Z", "assistantId": "b", "endedReason": None, "sumCost": "1.5", "countId": "3", "avgDuration": None},
    {"date": "2026-10-30T04:00:00.000Z", "endedReason": "x", "sumCost": 2, "countId": 4, "avgDuration": 0.5},
    {"date": "2026-10-30T04:00:00.000Z", "assistantId": "", "endedReason": "x", "sumCost": None, "countId": "4", "avgDuration": 1},
]  # fmt: skip


def reply(rows, name="n", **time_range):
    """Return a reply with one result."""
    return [{"name": name, "timeRange": time_range, "result": rows}]


STRINGS = "str" if pd.__version__ >= "3" else "object"


def test_the_settled_frame():
    """Sorted, typed by the query, missing kept as missing, nothing dropped."""
    frame = vf.to_frame(reply(ROWS), QUERY)
    assert list(frame.index.names) == ["date", "assistantId", "endedReason"]
    assert list(frame.columns) == ["sumCost", "countId", "avgDuration"]
    assert [str(t) for t in frame.dtypes] == ["float64", "int64", "float64"]
    assert str(frame.index.levels[0].dtype) == "datetime64[us, America/New_York]"
    assert [str(level.dtype) for level in frame.index.levels[1:]] == [STRINGS, STRINGS]
    assert frame.index.get_level_values(1).fillna("missing").tolist() == ["", "missing", "b"]
    assert frame["countId"].tolist() == [4, 4, 3]
    assert frame["sumCost"].isna().tolist() == [True, False, False]
    assert str(frame.index[0][0]) == "2026-10-30 00:00:00-04:00"
    assert frame.index.is_monotonic_increasing or frame.index.get_level_values(0).is_monotonic_increasing
    assert frame.loc["2026-11-02"].shape == (1, 3)
    assert frame.groupby("assistantId", dropna=False)["countId"].sum().sum() == 11


@pytest.mark.parametrize("form", ["bytes", "text", "dicts", "dict", "bytearray"])
def test_every_form_of_a_reply_gives_the_same_frame(form):
    """Bytes, text, what json.loads makes of it, or a single result."""
    forms = {
        "bytes": json.dumps(reply(ROWS)).encode(),
        "text": json.dumps(reply(ROWS)),
        "dicts": reply(ROWS),
        "dict": reply(ROWS)[0],
        "bytearray": bytearray(json.dumps(reply(ROWS)).encode()),
    }
    pd.testing.assert_frame_equal(vf.to_frame(forms[form], QUERY), vf.to_frame(reply(ROWS), QUERY))


@pytest.mark.extra("test")
def test_the_official_sdks_objects_give_the_same_frame():
    """The vendor's own result type is read as it is."""
    from vapi import AnalyticsQueryResult

    wanted = vf.to_frame(reply(ROWS, step="day", timezone="America/New_York", start="2026-10-30T04:00:00Z"), QUERY)
    span = {"step": "day", "timezone": "America/New_York", "start": datetime(2026, 10, 30, 4, tzinfo=UTC)}
    official = AnalyticsQueryResult(name="n", time_range=span, result=ROWS)
    pd.testing.assert_frame_equal(vf.to_frame([official], QUERY), wanted)
    pd.testing.assert_frame_equal(vf.to_frame(official, QUERY), wanted)
    assert vf.to_frame(official, QUERY).vapi.meta.start == datetime(2026, 10, 30, 4, tzinfo=UTC)


def test_any_object_with_the_three_names_is_an_answer():
    """name, result, and time_range or timeRange are enough."""
    for word in ("time_range", "timeRange"):
        one = SimpleNamespace(name="n", result=ROWS, **{word: SimpleNamespace(step="day")})
        pd.testing.assert_frame_equal(vf.to_frame(one, QUERY), vf.to_frame(reply(ROWS), QUERY))


def test_without_a_query_the_apis_own_words_are_recognized():
    """date, the five group columns and the default names need no query."""
    rows = [{"date": "2026-10-01T00:00:00.000Z", "type": "webCall", "sumCost": 1, "countId": "2"}]
    frame = vf.to_frame(reply(rows, step="day"))
    assert frame.index.names == ["date", "type"]
    assert frame["countId"].tolist() == [2]
    assert frame.vapi.units == {"sumCost": "USD", "countId": "calls"}
    frame = vf.to_frame(reply([{"maxConcurrency": 3}]))
    assert frame.vapi.query.table == "subscription"
    with pytest.raises(ResponseError, match="'spend'.*query="):
        vf.to_frame(reply([{"spend": 1}]))
    with pytest.raises(ResponseError, match="query="):
        vf.to_frame(reply([]))
    with pytest.raises(ResponseError, match="2 results .*'n', 'n'"):
        vf.to_frame(reply(ROWS) + reply(ROWS))


def test_with_several_answers_the_query_picks_its_own():
    """Names decide where there is more than one result."""
    query = vq.call().count().named("b")
    two = reply([{"countId": "1"}], "a") + reply([{"countId": "2"}], "b")
    assert vf.to_frame(two, query)["countId"].tolist() == [2]
    with pytest.raises(ResponseError, match="0 results named 'c'; its results are 'a', 'b'"):
        vf.to_frame(two, query.named("c"))


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (vq.call().count(), "RangeIndex"),
        (vq.call().count().step("day"), "DatetimeIndex"),
        (vq.call().count().by("type"), "Index"),
        (vq.call().count().by_variable("plan"), "Index"),
        (vq.call().count().by("type").step("day"), "MultiIndex"),
    ],
)
def test_an_empty_reply_has_the_same_shape(query, index):
    """The index is decided by the query, never by the data; without step and group there is one row."""
    frame = vf.to_frame(reply([]), query.sum("cost"))
    assert type(frame.index).__name__ == index
    assert [str(t) for t in frame.dtypes] == ["int64", "float64"]
    if query.levels:
        assert len(frame) == 0
        assert tuple(frame.index.names) == query.levels
    else:
        assert frame["countId"].tolist() == [0]
        assert frame["sumCost"].isna().all()


def test_a_row_of_nulls_is_the_answer_of_nothing():
    """Both forms in which a server may say that there was nothing give the same frame."""
    query = vq.call().count().sum("cost")
    pd.testing.assert_frame_equal(
        vf.to_frame(reply([{"countId": "0", "sumCost": None}]), query), vf.to_frame(reply([]), query)
    )


@pytest.mark.parametrize(
    ("change", "path", "match"),
    [
        ({"sumCost": "x"}, "$[0].result[1].sumCost", "not a number"),
        ({"sumCost": True}, "$[0].result[1].sumCost", "not a number"),
        ({"sumCost": [1]}, "$[0].result[1].sumCost", "not a number"),
        ({"sumCost": float("inf")}, "$[0].result[1].sumCost", "finite"),
        ({"sumCost": "NaN"}, "$[0].result[1].sumCost", "finite"),
        ({"sumCost": "1_000"}, "$[0].result[1].sumCost", "not a number"),
        ({"countId": "1.5"}, "$[0].result[1].countId", "whole number"),
        ({"countId": 1e30}, "$[0].result[1].countId", "whole number"),
        ({"date": None}, "$[0].result[1].date", "ISO 8601"),
        ({"date": 1790000000}, "$[0].result[1].date", "ISO 8601"),
        ({"date": "2026-10-30T04:00:01Z"}, "$[0].result[1].date", "start of a day"),
    ],
)
def test_a_value_that_its_type_refuses_is_named(change, path, match):
    """The error has the JSON path and the value."""
    rows = [ROWS[0], {**ROWS[1], **change}]
    with pytest.raises(ResponseError, match=match) as caught:
        vf.to_frame(reply(rows), QUERY)
    assert caught.value.path == path
    assert path in str(caught.value)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("2.50", 2.5),
        (3, 3.0),
        (10**30, 1e30),
        ("1e3", 1000.0),
        (Decimal("0.1"), 0.1),
        (np.float64(2), 2.0),
        (-0.5, -0.5),
        (2**60 + 1, float(2**60)),
    ],
)
def test_numbers_are_read_in_every_form(value, number):
    """Numbers, text of numbers, and numbers that no integer type holds; mixed in one column."""
    query = vq.call().sum("cost").by("type")
    rows = [{"type": "a", "sumCost": value}, {"type": "b", "sumCost": "7" if isinstance(value, str) else 7}]
    frame = vf.to_frame(reply(rows), query)
    assert frame["sumCost"].tolist()[1] == 7.0
    assert vf.to_frame(reply([rows[0], {"type": "b", "sumCost": "7"}]), query).equals(frame)
    assert frame["sumCost"].iloc[0] == number


def test_missing_keys_are_errors_and_unknown_ones_are_said():
    """A row without a measure breaks the contract; a key that is not in the query passes with one warning."""
    with pytest.raises(ResponseError, match=r"\$\[0\]\.result\[1\]: the row has no 'countId'"):
        vf.to_frame(reply([ROWS[0], {k: v for k, v in ROWS[1].items() if k != "countId"}]), QUERY)
    with pytest.raises(ResponseError, match="no 'date'"):
        vf.to_frame(reply([{k: v for k, v in ROWS[0].items() if k != "date"}]), QUERY)
    with pytest.raises(ResponseError, match="must be an object"):
        vf.to_frame(reply([3]), QUERY)
    with pytest.warns(ResponseWarning, match="extra") as caught:
        vf.to_frame(reply([{**row, "extra": 1} for row in ROWS]), QUERY)
    assert len(caught) == 1


def test_a_row_that_stands_twice_is_an_error():
    """Two rows for one group and bucket would be counted twice."""
    with pytest.raises(ResponseError, match="two rows have the same keys"):
        vf.to_frame(reply([ROWS[0], ROWS[0]]), QUERY)
    with pytest.raises(ResponseError, match="has one row, and the reply has 2"):
        vf.to_frame(reply([{"countId": 1}, {"countId": 2}]), vq.call().count())


def test_the_row_key_of_a_variable_may_be_another_than_its_own():
    """No query was given: a single key that is nothing else is taken for the variable; two leave it open."""
    query = vq.call().count().by_variable("plan")
    for key in ("plan", "variableValues.plan", "groupByVariableValue"):
        assert vf.to_frame(reply([{key: "pro", "countId": "1"}]), query).index.tolist() == ["pro"]
    with pytest.raises(ResponseError, match="can be the variable 'plan'; unknown keys: a, b"):
        vf.to_frame(reply([{"a": "x", "b": "y", "countId": "1"}]), query)
    with pytest.raises(ResponseError, match="can be the variable 'type'"):
        vf.to_frame(reply([{"type": "webCall", "countId": "1"}]), vq.call().count().by("type").by_variable("type"))


def test_values_of_variables_that_are_no_text_become_their_json():
    """Group levels hold text only."""
    query = vq.call().count().by_variable("v")
    rows = [{"v": v, "countId": 1} for v in (True, 7, 7.5, {"a": 1}, "x", None)]
    assert vf.to_frame(reply(rows), query).index.dropna().tolist() == ["7", "7.5", "true", "x", '{"a": 1}']


@pytest.mark.extra("local")
@pytest.mark.parametrize(
    ("backend", "types"), [("numpy_nullable", ["Float64", "Int64"]), ("pyarrow", ["double[pyarrow]", "int64[pyarrow]"])]
)
def test_dtype_backends_are_pandas_own(backend, types):
    """The same words as in pandas give the same types; missing values stay missing."""
    calls = [
        {"id": "1", "createdAt": "2026-10-01T00:00Z", "cost": None, "type": "x"},
        {"id": "2", "createdAt": "2026-10-01T01:00Z", "cost": 1, "type": None},
    ]
    query = vf.local(calls).call().sum("cost").count().by("type").step("day").during("2026-10")
    frame = query.fetch(dtype_backend=backend)
    assert [str(t) for t in frame.dtypes] == types
    assert frame["sumCost"].isna().tolist() == [True, False]
    assert frame["countId"].sum() == 2
    assert frame.index.get_level_values("type").isna().tolist() == [False, True]
    assert str(frame.index.levels[1].dtype) == {"numpy_nullable": "string", "pyarrow": "string[pyarrow]"}[backend]


@pytest.mark.extra("local")
def test_categorical_levels_hold_the_values_seen():
    """Categories are opt-in and observed only."""
    frame = vf.demo().call().count().by("type").step("month").during("2026-10").fetch(categorical=True)
    assert str(frame.index.levels[1].dtype) == "category"
    frame = vf.demo().call().count().by("type").during("2026-10").fetch(categorical=True)
    assert sorted(frame.index.categories) == ["inboundPhoneCall", "outboundPhoneCall", "webCall"]


def test_a_reply_that_leaves_its_dates_open_says_so_once():
    """Hours fit both readings: the instant is taken, meta says assumed, a warning says so."""
    query = vq.call().count().step("hour").between("2026-10-30", "2026-11-03").tz("America/New_York")
    with pytest.warns(ResponseWarning, match="read as instants"):
        frame = vf.to_frame(reply([{"date": "2026-10-31T12:00:00Z", "countId": "1"}]), query)
    assert "assumed" in frame.vapi.meta.notes[0]
    assert "assumed" in repr(frame.vapi)
    with pytest.raises(BucketAlignmentError):
        vf.to_frame(reply([{"date": "2026-10-31T12:30:00Z", "countId": "1"}]), query)


class TestMeta:
    """What a frame knows of itself, and how it travels."""

    def frame(self):
        """Return a frame with ten measures and three levels."""
        names = [
            "cost",
            "duration",
            *(
                f"costBreakdown.{n}"
                for n in ("llm", "stt", "tts", "vapi", "transport", "llmPromptTokens", "llmCachedPromptTokens")
            ),
        ]
        query = vf.demo().call().sum(*names).count().by("assistantId", "endedReason").by_variable("plan")
        return query.step("day").during("2026-10").tz("America/New_York").fetch()

    @pytest.mark.extra("local")
    def test_it_is_one_small_json_string(self):
        """Its size depends on the query, never on the data: under 2 KB for ten measures."""
        frame = self.frame()
        assert set(frame.attrs) == {"vapi"}
        assert isinstance(frame.attrs["vapi"], str)
        assert len(frame.columns) == 10
        assert len(frame) > 1000
        assert len(frame.attrs["vapi"].encode()) < 2048
        json.loads(frame.attrs["vapi"])

    @pytest.mark.extra("local")
    def test_it_holds_the_query_the_range_and_the_clock(self):
        """Enough to ask again and to judge what is partial."""
        meta = self.frame().vapi.meta
        assert (meta.source, meta.step, meta.zone) == ("calls", "day", "America/New_York")
        assert meta.start == datetime(2026, 10, 1, 4, tzinfo=UTC)
        assert meta.end == datetime(2026, 11, 1, 4, tzinfo=UTC)
        assert meta.now == datetime(2026, 11, 16, tzinfo=UTC)
        assert meta.levels == ("date", "assistantId", "endedReason", "plan")
        assert meta.units["sumDuration"] == "min"

    @pytest.mark.extra("local")
    def test_the_query_comes_back_equal(self):
        """Absolute ranges as instants, relative ones relative, long names whole."""
        vq = vf.demo()
        relative = vq.call().count("costBreakdown.analysisBreakdown.summary").step("day").last("3d", complete=True)
        assert relative.fetch().vapi.query == relative
        named = (
            vq.call()
            .sum("cost", alias="an alias that is a good deal longer than forty characters")
            .last("3d")
            .named("x")
        )
        assert named.fetch().vapi.query == named
        absolute = vq.call().sum("cost").between("2026-10-01T00:00Z", "2026-10-05T00:00Z")
        assert absolute.fetch().vapi.query == absolute

    @pytest.mark.extra("local")
    def test_it_survives_what_pandas_does(self, tmp_path):
        """Choosing rows and columns, sorting, pickling and Parquet keep it."""
        frame = self.frame()
        frame.to_parquet(tmp_path / "frame.parquet")
        for other in (
            frame.head(), frame[["sumCost"]], frame.sort_values("sumCost"), frame.loc["2026-10-05"],
            pickle.loads(pickle.dumps(frame)), frame.reset_index(), pd.read_parquet(tmp_path / "frame.parquet"),
        ):  # fmt: skip
            assert read_meta(other) == read_meta(frame)

    @pytest.mark.extra("local")
    def test_changed_values_are_noticed(self):
        """Arithmetic keeps attrs but not what they mean: units refuse, and name the likely step."""
        frame = self.frame()
        assert frame[["sumCost"]].vapi.units == {"sumCost": "USD"}
        with pytest.raises(ProvenanceError, match="as a multiplication by 2 does; put results into a new column"):
            _ = (frame * 2).vapi.units
        assert frame.sort_values("sumCost").vapi.units == frame.vapi.units

    @pytest.mark.extra("local")
    def test_rounding_is_a_change(self):
        """A sum of rounded values is another sum: round after the last verb. Another type of the same values is none."""
        frame = self.frame()
        for same in (frame.astype({"countId": "float64"}), frame.astype(object), frame.convert_dtypes()):
            assert same.vapi.units == frame.vapi.units
        with pytest.raises(ProvenanceError, match=r"as round\(2\) does; round after the last verb"):
            _ = frame.round(2).vapi.units
        with pytest.raises(ProvenanceError, match=r'as astype\("float32"\) does'):
            _ = frame.astype({"sumCost": "float32"}).vapi.units
        for other in (frame.round(4) * 1.001, frame + 0.01, frame.round(2) * 2, frame.cumsum()):
            with pytest.raises(ProvenanceError, match="not those that were fetched"):
                _ = other.vapi.units

    @pytest.mark.extra("local")
    def test_a_frame_without_it_says_what_lost_it(self):
        """concat of different frames drops attrs; the error says so."""
        with pytest.raises(ProvenanceError, match="concat, merge or pivot"):
            read_meta(pd.DataFrame())
        frame = self.frame()
        frame.attrs["vapi"] = "{"
        with pytest.raises(ProvenanceError, match="damaged"):
            _ = frame.vapi.meta


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"countId": 42.9}, "whole number"),
        ({"countId": "0x10"}, "whole number"),
        ({"countId": "9223372036854775808"}, "whole number"),
        ({"countId": "9" * 5000}, "whole number"),
        ({"countId": 1, 3: 4}, "which is not text"),
        ({"countId": "x" * 10_000_000}, "whole number"),
    ],
)
def test_odd_values_are_named_in_a_short_message(row, match):
    """No number is cut, no other exception gets out, and a long value is not repeated."""
    with pytest.raises(ResponseError, match=match) as caught:
        vf.to_frame(reply([row]), vq.call().count())
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("date", [{}, [], "0001-01-01T00:00:00+14:00", "9999-12-31T00:00:00Z", "x" * 1_000_000])
def test_odd_dates_are_named(date):
    """Whatever stands where a date should."""
    with pytest.raises(ResponseError, match=r"ISO 8601|outside the years") as caught:
        vf.to_frame(reply([{"date": date, "countId": 1}]), vq.call().count().step("day").tz("Asia/Tokyo"))
    assert len(str(caught.value)) < 300


def test_odd_group_values_are_named():
    """Half a surrogate pair is no text; a list nested too deep is no group."""
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("\ud800", deep):
        with pytest.raises(ResponseError, match="cannot be stored as text"):
            vf.to_frame(reply([{"type": value, "countId": 1}]), vq.call().count().by("type"))


@pytest.mark.extra("local")
def test_a_thousand_years_ago_is_read_on_every_pandas():
    """A millennium's first bucket lies before what pytz knows; the interpreter survives it."""
    calls = [{"id": "1", "createdAt": "1999-05-01T00:00:00Z"}]
    query = vf.local(calls, now="2000-01-01T00:00Z").call().count().step("millennium").tz("Europe/Paris")
    with pytest.warns(UserWarning, match="VF20"):
        frame = query.since("1990-01-01").fetch()
    assert [day.year for day in frame.index] == [1001]
    assert "1001" in frame.reset_index().to_string()
    assert frame.vapi.elapsed.between(0.009, 0.011).all()


def test_a_history_has_dates_without_a_step():
    """Its rows are the instants of change, to the microsecond; the index is a DatetimeIndex as the query says."""
    query = vq.subscription().history("concurrency").between("2026-10-01", "2026-10-02").tz("America/New_York")
    rows = [
        {"date": "2026-10-02T03:10:00.123456Z", "historyConcurrency": 1},
        {"date": "2026-10-01T04:00:00.000Z", "historyConcurrency": 0},
    ]
    frame = vf.to_frame(reply(rows), query)
    assert [date.isoformat() for date in frame.index] == [
        "2026-10-01T00:00:00-04:00",
        "2026-10-01T23:10:00.123456-04:00",
    ]
    assert frame["historyConcurrency"].tolist() == [0.0, 1.0]
    empty = vf.to_frame(reply([]), query)
    assert isinstance(empty.index, pd.DatetimeIndex)
    assert len(empty) == 0
    with pytest.raises(ResponseError, match="no 'date'"), pytest.warns(ResponseWarning):
        vf.to_frame(reply([{"when": "2026-10-01T04:00:00Z", "historyConcurrency": 1}]), query)
