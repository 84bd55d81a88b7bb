"""Queries of call records on this machine: what is read, what is refused, and what is warned of."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import vapi_frames as vf
from tests.support.local_calls import NOW, TEXT, calls, october
from vapi_frames.errors import QueryError, RecordsError, RecordsWarning

pytestmark = pytest.mark.extra("local")


def test_a_missing_column_is_named_only_where_it_is_used():
    """Records may lack what a query does not use; the error for a missing column has the nearest."""
    vq = vf.local(calls(), now=NOW)
    assert october(vq).sum("cost").fetch()["sumCost"].tolist() == [0.75]
    with pytest.raises(RecordsError, match=r"no column 'costBreakdown.llm'.*They have: id, createdAt") as caught:
        october(vq).sum("costBreakdown.llm").fetch()
    assert caught.value.column == "costBreakdown.llm"
    with pytest.raises(RecordsError, match="no column 'startedAt'"):
        october(vq).sum("duration").fetch()
    with pytest.raises(RecordsError, match="no variable 'plam'.*did you mean 'plan'"):
        october(vf.local(calls(**{"variableValues.plan": ["x"] * 3}))).count().by_variable("plam").fetch()
    with pytest.raises(RecordsError, match="no column 'createdAt'"):
        october(vf.local(calls().drop(columns="createdAt"))).count().fetch()


def test_a_records_own_duration_is_ignored_with_a_warning():
    """Its unit is not documented: minutes are endedAt - startedAt, and one warning says so."""
    start = pd.to_datetime(["2026-10-01T03:00Z"] * 3)
    frame = calls(startedAt=start, endedAt=start + pd.Timedelta("90s"), duration=[9.0, 9.0, 9.0])
    vq = vf.local(frame, now=NOW)
    with pytest.warns(RecordsWarning, match="own 'duration' is not used"):
        assert october(vq).sum("duration").fetch()["sumDuration"].tolist() == [4.5]
    assert october(vq).avg("duration").fetch()["avgDuration"].tolist() == [1.5]
    with pytest.raises(RecordsError, match="nothing says its unit"):
        october(vf.local(calls(duration=[1.0, 2.0, 3.0]))).sum("duration").fetch()


def test_without_a_range_the_last_seven_days_apply_and_no_match_warns():
    """The contract's default range; a warning has the range of the records where none is in it."""
    vq = vf.local(calls(), now=NOW)
    with pytest.warns(
        RecordsWarning, match=r"no call was created in \[2026-11-13.*they hold 3 calls from 2026-10-01T03:00:00Z"
    ):
        frame = vq.call().count().by("assistantId").fetch()
    assert len(frame) == 0
    assert vf.local(calls(), now="2026-10-02T18:00Z").call().count().fetch()["countId"].tolist() == [3]
    with pytest.warns(RecordsWarning, match="there are none at all"):
        assert october(vf.local([])).count().sum("cost").fetch()["countId"].tolist() == [0]


def test_the_range_is_half_open_to_the_microsecond():
    """start <= createdAt < end, compared in full."""
    vq = vf.local(calls())
    query = vq.call().count()
    assert query.between("2026-10-01T03:00:00Z", "2026-10-01T05:00:00Z").fetch()["countId"].tolist() == [1]
    assert query.between("2026-10-01T03:00:00.000001Z", "2026-10-01T05:00:00.000001Z").fetch()["countId"].tolist() == [
        1
    ]


@pytest.mark.parametrize(
    "times",
    [
        ["2026-10-01T03:00:00.000Z", "2026-10-01T01:00:00-04:00", "2026-10-02T12:00:00Z"],
        ["2026-10-01 03:00:00", "2026-10-01 05:00:00", "2026-10-02 12:00:00"],
        pd.to_datetime(["2026-10-01T03:00", "2026-10-01T05:00", "2026-10-02T12:00"]),
        pd.to_datetime(["2026-10-01T03:00", "2026-10-01T05:00", "2026-10-02T12:00"])
        .tz_localize("UTC")
        .tz_convert("Asia/Tokyo"),
        pd.to_datetime(["2026-10-01T03:00", "2026-10-01T05:00", "2026-10-02T12:00"]).as_unit("ns"),
    ],
)
def test_times_are_read_in_every_form_and_naive_ones_are_utc(times):
    """Text, naive and aware timestamps of any unit mean the same instants, on a machine in any zone."""
    frame = october(vf.local(calls(createdAt=times))).count().step("day").tz("America/New_York").fetch()
    assert [str(day) for day in frame.index] == ["2026-10-01 00:00:00-04:00", "2026-10-02 00:00:00-04:00"]
    assert october(vf.local(calls(createdAt=times))).count().step("hour").fetch().index[0].hour == 3


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: calls(createdAt=[None, None, None]), "3 of 3 calls have no createdAt"),
        (lambda: calls(createdAt=["soon", None, None]), "cannot be read.*soon.*column 'createdAt'"),
        (lambda: calls(createdAt=[1, 2, 3]), "createdAt is '1.0', not an ISO 8601 date-time"),
        (lambda: calls(createdAt=pd.to_datetime(["1969-12-31T23:00Z"] * 3)), "before 1970"),
        (lambda: calls(cost=["0.25", "0.5", "1"]), "'cost' of the call records is varchar, not a number"),
        (lambda: calls(cost=[True, False, True]), "'cost' of the call records is boolean, not a number"),
        (lambda: pd.concat([calls(), calls()[["cost"]]], axis=1), "two columns named 'cost'"),
        (lambda: [{"id": "1", "createdAt": "soon"}], "call 1: createdAt is 'soon'"),
        (lambda: [{"createdAt": "2026-10-01T00:00Z"}, {"cost": "1"}], "call 2: cost is '1', not a number"),
        (lambda: [{"createdAt": "2026-10-01T00:00Z"}, 7], "call 2: it is int, not an object"),
        (lambda: [{"createdAt": "2026-10-01T00:00Z", "endedReason": {}}], "call 1: endedReason"),
        (lambda: {"createdAt": []}, "cannot read call records from dict"),
        (lambda: 7, "cannot read call records from int"),
        (lambda: "nowhere/*.parquet", "no file matches '/.*/nowhere/"),
    ],
)
def test_records_that_cannot_be_read_are_named(make, match):
    """The error has the record or column, the value and what would be right; it is none of the engine's."""
    with pytest.raises(RecordsError, match=match):
        october(vf.local(make(), now=NOW)).sum("cost").count().fetch()


class Unreadable:
    """An object with attributes that raise."""

    def __getattr__(self, name):
        raise RuntimeError(name)


class Hostile:
    """An object with attributes and methods that raise, also those that Python looks for itself."""

    def __getattribute__(self, name):
        raise RuntimeError(name)


class BadPath:
    """A path that cannot be made text."""

    def __fspath__(self):
        raise RuntimeError("no")


class BadList(list):
    """A list that cannot be read."""

    def __iter__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (Unreadable, "cannot read call records from Unreadable"),
        (Hostile, "cannot read call records from Hostile: RuntimeError"),
        (BadPath, "cannot read call records from BadPath: RuntimeError: no"),
        (lambda: BadList("ab"), "cannot read call records from BadList: RuntimeError: no"),
        (lambda: [TEXT[:-3]], "text 1: it is not JSON"),
        (lambda: TEXT, r"text that is no path; pass JSON texts in a list: vf.local\(\[text\]\)"),
        (lambda: "Bob" * 3000, "text that is no path"),
    ],
)
def test_what_is_no_records_is_an_error_without_its_content(make, match):
    """Neither another kind of error, nor a transcript in the message."""
    with pytest.raises(RecordsError, match=match) as caught:
        vf.local(make())
    assert "Bob" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")
def test_hostile_text_comes_back_unchanged():
    """SQL in a variable's key, a value or an alias is text."""
    hostile = "\"'; DROP TABLE calls; -- ☎"
    frame = calls(**{f"variableValues.{hostile}": [hostile, "", None]})
    result = october(vf.local(frame)).count(alias=hostile).by_variable(hostile).fetch()
    assert result.index.name == f"variable.{hostile}"
    assert result.index.tolist()[:2] == ["", hostile]
    assert result[hostile].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "query",
    [
        vf.vq.subscription().max("concurrency").by("assistantId"),
        vf.vq.subscription().sum("minutesUsed").by_variable("plan"),
        vf.vq.subscription().history("concurrency").max("concurrency"),
        vf.vq.subscription().sum("concurrency"),
        vf.vq.subscription().history("minutesUsed"),
        vf.vq.subscription().sum("cost"),
        vf.vq.call().history("cost"),
        vf.vq.call().sum("id"),
        vf.vq.call().max("concurrency"),
    ],
)
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")
def test_what_records_give_no_meaning_is_refused(query):
    """One clear error, before anything is read; the body for the API has the query unchanged."""
    with pytest.raises(QueryError, match="call records"):
        vf.local(calls(), now=NOW).fetch(query.during("2026-10"))
    assert query.body()


def test_variables_of_the_caller_are_not_read():
    """DuckDB would read a variable with the name of the relation."""
    calls_ = calls()
    vq = vf.local(pa.Table.from_pandas(calls_), now=NOW)
    frame = october(vq).count().step("day").fetch()
    assert [day.isoformat() for day in frame.index] == ["2026-10-01T00:00:00+00:00", "2026-10-02T00:00:00+00:00"]


def test_nan_is_missing_and_not_counted():
    """A NaN in records means that there is no value."""
    table = pa.table(
        {"id": ["1", "2"], "createdAt": pa.array([datetime(2026, 10, 1, tzinfo=UTC)] * 2), "cost": [1.0, float("nan")]}
    )
    frame = october(vf.local(table)).sum("cost").count("cost").avg("cost").fetch()
    assert frame.iloc[0].tolist() == [1.0, 1.0, 1.0]


def test_to_arrow_and_to_polars_give_the_frames_rows():
    """The same rows in the same order, with the index levels as columns."""
    query = vf.demo().call().sum("cost").count().by("type").step("week").between("2026-10-05", "2026-11-02")
    frame = query.fetch().reset_index()
    table = query.to_arrow()
    assert [str(t) for t in table.schema.types] == ["timestamp[us, tz=UTC]", "string", "double", "int64"]
    assert table.column("type").to_pylist() == frame["type"].tolist()
    polars = query.to_polars()
    assert polars["sumCost"].to_list() == frame["sumCost"].tolist()
    assert polars["countId"].to_list() == frame["countId"].tolist()


def test_now_must_be_an_instant():
    """A clock without a zone would be a guess."""
    with pytest.raises(QueryError, match="has no zone"):
        vf.local(calls(), now="2026-10-01")


def test_an_ordinary_query_warns_of_nothing():
    """Not one warning for a month of records."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        october(vf.local(calls(), now=NOW)).sum("cost").by("assistantId").step("day").fetch()


def test_columns_that_differ_by_case_only_stay_apart():
    """The contract's columns and variables' keys are case-sensitive, although DuckDB's names are not."""
    frame = calls(COST=[9.0] * 3, **{"variableValues.plan": ["a"] * 3, "variableValues.Plan": ["b"] * 3})
    result = october(vf.local(frame)).sum("cost").by_variable("plan", "Plan").fetch()
    assert result.index.tolist() == [("a", "b")]
    assert result["sumCost"].tolist() == [0.75]


def test_names_that_the_engine_cannot_tell_apart_are_refused(tmp_path):
    """In files and structs DuckDB cannot tell `cost` from `COST`: an error, never a sum of both."""
    calls().to_parquet(tmp_path / "1.parquet")
    calls(id=["4", "5", "6"]).rename(columns={"cost": "COST"}).to_parquet(tmp_path / "2.parquet")
    with pytest.raises(RecordsError, match="'COST' where the query uses 'cost'"):
        october(vf.local(tmp_path)).sum("cost").fetch()
    assert october(vf.local(tmp_path)).count().fetch()["countId"].tolist() == [6]
    table = pa.Table.from_pandas(calls(costBreakdown=[{"LLM": 50.0, "llm": 1.0}] * 3))
    with pytest.raises(RecordsError, match="'LLM' where the query uses 'llm'"):
        october(vf.local(table)).sum("costBreakdown.llm").fetch()


def test_nanoseconds_never_move_a_call_into_the_next_bucket(tmp_path):
    """Finer times are cut, not rounded: start <= createdAt < end."""
    times = pd.to_datetime(["2026-09-30T23:59:59.999999999"] * 3)
    for form in (calls(createdAt=times), calls(createdAt=times.tz_localize("UTC"))):
        form.to_parquet(tmp_path / "ns.parquet")
        for source in (form, pa.Table.from_pandas(form), tmp_path / "ns.parquet"):
            with pytest.warns(RecordsWarning, match="no call was created"):
                assert october(vf.local(source)).count().fetch()["countId"].tolist() == [0]


def test_odd_columns_do_not_affect_a_query_that_does_not_use_them():
    """Only columns that the query may use are read; one without plain values is an error where it is used."""
    table = pa.Table.from_pandas(calls()).append_column("half", pa.array(np.array([1, 2, 3], "float16")))
    assert october(vf.local(table)).sum("cost").fetch().iloc[0, 0] == 0.75
    frame = calls(cost=pd.period_range("2026-10", periods=3, freq="M"))
    assert october(vf.local(frame)).count().fetch().iloc[0, 0] == 3
    with pytest.raises(RecordsError, match="no plain values"):
        october(vf.local(frame)).sum("cost").fetch()
    with pytest.raises(RecordsError, match="two columns named 'cost'"):
        october(vf.local(pa.Table.from_pandas(calls()).append_column("cost", pa.array([1.0] * 3)))).sum("cost").fetch()


def test_a_source_recovers_from_what_it_could_not_read():
    """After a fatal error the next query starts a new database."""
    frame = calls()
    frame["createdAt"] = frame["createdAt"].astype("datetime64[s, UTC]")
    vq = vf.local(frame)
    good = frame["createdAt"].copy()
    frame["createdAt"] = pd.Series([12_700_000_000_000] * 3).astype("datetime64[s]").dt.tz_localize("UTC")
    with pytest.raises(RecordsError):
        october(vq).count().fetch()
    frame["createdAt"] = good
    assert october(vq).count().fetch()["countId"].tolist() == [3]


def test_numbers_as_group_values_are_written_as_in_json():
    """pandas makes 7 a float where its neighbor is missing; the group is still "7"."""
    for seats in ([7, None, 7.5], pd.array([7, None, 8], "Int64")):
        result = october(vf.local(calls(**{"variableValues.seats": seats}))).count().by_variable("seats").fetch()
        assert result.index[0] == "7"
        assert pd.isna(result.index[-1])


def test_an_empty_frame_has_no_calls():
    """An export without rows has columns without types."""
    empty = pd.DataFrame(columns=["id", "createdAt", "cost", "assistantId"])
    with pytest.warns(RecordsWarning, match="none at all"):
        result = october(vf.local(empty)).count().sum("cost").by("assistantId").step("day").fetch()
    assert result.shape == (0, 2)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        ({"createdAt": "2026-10-01T00:00Z", "cost": 10**400}, "cost is 1000"),
        ({"createdAt": "2026-10-01T00:00Z", "id": "\ud800"}, "call 1: 'id' holds no Unicode text"),
        ({"createdAt": "2026-10-01T00:00Z", "variableValues": {"x": {1, 2}}}, "variable 'x' is no JSON value"),
        ({"createdAt": "0001-01-01T00:00:00+23:00"}, "createdAt is '0001-01-01T00:00:00.23:00', not an ISO"),
        ({"createdAt": "9999-12-31T23:00:00Z"}, "after the year 9000"),
        ({"createdAt": pd.NaT}, "call 1: it has no createdAt$"),
    ],
)
def test_odd_values_in_call_json_are_named(call, match):
    """Any Python object gives a short error of this package."""
    with pytest.raises(RecordsError, match=match) as caught:
        october(vf.local([{"id": "1", "cost": 1.0, **call}])).sum("cost").count().fetch()
    assert len(str(caught.value)) < 400


def test_numpy_and_decimal_costs_are_numbers():
    """Rows of other libraries have them."""
    from decimal import Decimal

    rows = [
        {"id": str(i), "createdAt": "2026-10-01T00:00Z", "cost": c} for i, c in enumerate([Decimal("0.25"), 1, 2.5])
    ]
    assert october(vf.local(rows)).sum("cost").fetch().iloc[0, 0] == 3.75


def test_a_range_of_centuries_is_cut_to_the_years_of_the_records():
    """The SELECT lists the bucket edges of these years only."""
    vq = vf.local(calls(), now=NOW)
    for step in ("month", "day"):
        query = vq.call().count().step(step).between("1600-01-01", "2500-01-01").tz("America/New_York")
        with pytest.warns(UserWarning, match="VF207"):
            assert query.fetch()["countId"].sum() == 3


@pytest.mark.parametrize("step", [None, "day"])
def test_calls_that_end_before_they_start_are_warned_of(step):
    """Their negative minutes are added, and a note says so."""
    times = pd.to_datetime(["2026-10-01T03:05Z", "2026-10-01T05:01Z", "2026-10-02T12:02Z"]).as_unit("us")
    records = calls(startedAt=times, endedAt=times + pd.to_timedelta([60, -60, 120], "s"))
    query = october(vf.local(records)).sum("duration").count()
    with pytest.warns(RecordsWarning, match="minutes: 1 calls ended before they started"):
        frame = (query.step(step) if step else query).fetch()
    assert frame["sumDuration"].sum() == 2
    assert len(frame.vapi.meta.notes) == 1
