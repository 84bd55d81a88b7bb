"""The forms of call records: nested, flat, reports, several files; duplicates; what cannot be read."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, date, datetime, timedelta, timezone

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

import vapi_frames as vf
from tests.support.record_files import DAY, call, october, total, write
from vapi_frames.errors import RecordsError, RecordsWarning, UnknownWordError

pytestmark = pytest.mark.extra("local")

NESTED = call(
    startedAt="2026-10-01T12:00:02.000Z",
    endedAt="2026-10-01T08:01:32-04:00",
    costBreakdown={"llm": 0.05, "stt": 0.02, "analysisCostBreakdown": {"summary": 0.01}},
    analysis={"successEvaluation": "true"},
    artifact={"variableValues": {"plan": "pro", "my_key": "x", "seats": 3, "tags": ["a"]}},
)


def fetch_all_forms_query(vq):
    """Return the result of the query that every form of the same call gets."""
    money = ("costBreakdown.llm", "costBreakdown.transcriber", "costBreakdown.analysisBreakdown.summary")
    query = vq.call().during("2026-10").sum("cost", *money).sum("duration").by("type", "analysis.successEvaluation")
    return query.by_variable("plan", "my_key", "seats").fetch()


def flat(separator):
    """Return the nested call flattened by ``pd.json_normalize``."""
    return pd.json_normalize(json.loads(json.dumps(NESTED)), sep=separator).to_dict("records")[0]


def texts():
    """Return the nested call with what is nested as JSON text, as a warehouse exports it."""
    return {name: json.dumps(value) if isinstance(value, dict) else value for name, value in NESTED.items()}


def report(message=(), **call_fields):
    """Return the body that the API posts when the nested call is over; the call in it is still ringing."""
    over = {name: NESTED[name] for name in ("startedAt", "endedAt", "cost", "costBreakdown", "analysis", "artifact")}
    before = {"id": "1", "type": "webCall", "createdAt": DAY, "status": "ringing", "cost": 0, **call_fields}
    message = {"type": "end-of-call-report", "timestamp": 1790856092000, **over, "call": before, **dict(message)}
    return {"message": message}


FORMS = {
    "nested": NESTED, "dots": flat("."), "underscores": flat("_"), "text": texts(), "report": report(),
    "report without envelope": report()["message"], "page": {"results": [NESTED], "metadata": {"currentPage": 1}},
}  # fmt: skip


TABLES = ("nested", "dots", "underscores", "text")  # reports and pages are JSON
PAIRS = [(form, holder) for form in FORMS for holder in ("list", "lines", "array")]


@pytest.mark.parametrize(("form", "holder"), [*PAIRS, *((f, h) for f in TABLES for h in ("frame", "parquet"))])
def test_every_form_of_a_call_gives_the_same_result(form, holder, tmp_path):
    """Nested, flat with dots or underscores, JSON text, a report, a page; in memory, in JSON or in Parquet."""
    record = FORMS[form]
    if holder in ("frame", "parquet"):
        source = pd.DataFrame([record])
        if holder == "parquet":
            source.to_parquet(tmp_path / "calls.parquet")
            source = tmp_path / "calls.parquet"
    elif holder == "list":
        source = [record]
    elif holder == "lines":
        source = write(tmp_path / "calls.jsonl", record)
    else:
        source = tmp_path / "calls.json"
        source.write_text(json.dumps([record], indent=2), encoding="utf-8")
    result = fetch_all_forms_query(vf.local(source))
    assert result.index.tolist() == [("webCall", "true", "pro", "x", "3")]
    assert result.iloc[0].tolist() == [0.25, 0.05, 0.02, 0.01, 1.5]


def test_the_fields_of_a_report_precede_those_of_its_call():
    """The call in a report is in its state before its end, so the message's values take precedence."""
    found = october([report({"endedReason": "customer-ended-call"}, endedReason="none yet", assistantId="a")])
    result = found.sum("cost").by("type", "status", "endedReason", "assistantId").fetch()
    assert result.index.tolist() == [("webCall", "ended", "customer-ended-call", "a")]
    assert result["sumCost"].tolist() == [0.25]


def test_a_report_is_completed_by_its_call():
    """A null or absent value of the message hides no value of the call, also inside an object."""
    sent = report(
        {"analysis": None, "artifact": {"variableValues": {"plan": None, "a": "new"}, "transcript": ""}},
        analysis={"successEvaluation": "7"},
        artifact={"variableValues": {"plan": "free", "a": "old", "b": "kept"}},
    )
    result = october([sent]).count().by("analysis.successEvaluation").by_variable("plan", "a", "b").fetch()
    assert result.index.tolist() == [("7", "free", "new", "kept")]


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ({"message": {"type": 7, "call": call()}}, "a message of type 7, not an end-of-call"),
        ({"message": {"type": "end-of-call-report"}}, "a report without its call"),
        (report(createdAt=None), "call 2: it has no createdAt"),
        ({"name": "an assistant"}, "call 2: it has no createdAt; it has name"),
        ([7], "call 2: it is int, not an object"),
        (call(createdAt=17908560), "createdAt is 17908560, not an ISO 8601 date-time"),
        (call(createdAt="1790856092000"), "createdAt is '1790856092000', not an ISO"),
        (call(createdAt="1969-12-31T00:00Z"), "created before 1970-01-02"),
        (call(endedAt="20261001T120000Z"), "endedAt is '20261001T120000Z', not an ISO"),
        (call(cost="0.12"), "cost is '0.12', not a number"),
        (call(cost=float("inf")), "cost is inf, not a number"),
        (call(costBreakdown=[1]), r"costBreakdown is \[1\], not an object"),
        (call(costBreakdown="free"), "costBreakdown is 'free', not an object"),
        (call(artifact={"variableValues": {"\ud800": 1}}), "holds no Unicode text"),
        (call(artifact={"variableValues": {"a": "\ud800"}}), "call 2: 'a' holds no Unicode text"),
    ],
)
def test_a_record_that_cannot_be_read_is_an_error_or_left_out(body, match):
    """By default an error has its position; with on_error="skip" the others count, and a warning names it."""
    calls = [call("1"), body, call("2")]
    with pytest.raises(RecordsError, match=match) as caught:
        vf.local(calls)
    assert caught.value.line == 2
    with pytest.warns(RecordsWarning, match=match):
        frame = october(calls, on_error="skip").count().fetch()
    assert frame["countId"].tolist() == [2]
    assert frame.vapi.meta.notes == ("records that could not be read and were left out: 1",)


def test_skipped_records_are_warned_of_once_and_always_noted():
    """The first query warns; the frame of every query has the count in its notes."""
    vq = vf.local([{}, 7, call()], on_error="skip")
    with pytest.warns(RecordsWarning, match="left out: 2 ") as caught:
        frames = [vq.call().during("2026-10").count().fetch() for _ in range(2)]
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert [frame.vapi.meta.notes for frame in frames] == [("records that could not be read and were left out: 2",)] * 2
    with pytest.warns(RecordsWarning, match="none at all"), pytest.warns(RecordsWarning, match="left out: 1 "):
        assert total([7], on_error="skip")[0] == 0


def test_calls_without_a_creation_time_may_be_left_out_of_tables():
    """Rows of a table without createdAt are an error, or left out and counted."""
    frame = pd.DataFrame({"id": ["1", "2"], "createdAt": [DAY, None], "cost": [0.25, 9.0]})
    with pytest.raises(RecordsError, match="1 of 2 calls have no createdAt"):
        total(frame)
    with pytest.warns(RecordsWarning, match=r"without createdAt that were left out: 1 \(of 2\)"):
        assert total(frame, on_error="skip") == (1, 0.25)
    frame["createdAt"] = [None, None]
    with pytest.warns(RecordsWarning):
        assert total(frame, on_error="skip")[0] == 0


@pytest.mark.parametrize("option", ["duplicates", "on_error"])
def test_options_are_checked(option):
    """An unknown word names the valid ones."""
    with pytest.raises(UnknownWordError, match=f"unknown {option} 'last'"):
        vf.local([call()], **{option: "last"})


# --- duplicates -------------------------------------------------------------------------------------------------

TWICE = [call("1"), call("2", cost=0.5), call("1", cost=9.0, createdAt="2026-11-01T00:00:00Z")]
TWICE += [call(None), call(""), call(None), call("")]


def store(calls, holder, folder):
    """Return calls in one of the forms that `local` accepts."""
    table = pa.Table.from_pylist([{"id": c["id"], "createdAt": c["createdAt"], "cost": c["cost"]} for c in calls])
    if holder == "list":
        return calls
    if holder == "frame":
        return table.to_pandas()
    if holder == "arrow":
        return table
    if holder == "json":
        return write(folder / "calls.jsonl", *calls)
    if holder == "parquet":
        pyarrow.parquet.write_table(table, folder / "calls.parquet")
        return folder / "calls.parquet"
    for number in range(len(table)):
        if holder == "mixed" and number % 2:
            write(folder / f"{number}.json", calls[number])
        else:
            pyarrow.parquet.write_table(table.slice(number, 1), folder / f"{number}.parquet")
    return folder


HOLDERS = ["list", "frame", "arrow", "json", "parquet", "folder", "mixed"]


@pytest.mark.parametrize("holder", HOLDERS)
def test_the_first_record_of_an_id_counts(holder, tmp_path):
    """It is the first of all records, also of those outside the range; each record without an id is a call."""
    vq = vf.local(store(TWICE, holder, tmp_path), duplicates="first")
    query = vq.call().count("cost").sum("cost").between("2026-01-01", "2026-12-01")
    note = "records with the id of an earlier record: 1, the first '1'; they were left out"
    with pytest.warns(RecordsWarning, match=note):
        frames = [query.fetch()]
    frames.append(query.fetch())  # without a warning
    for frame in frames:
        assert frame.iloc[0].tolist() == [6, 1.75]
        assert frame.vapi.meta.notes == (note,)
    with pytest.warns(RecordsWarning, match="no call was created in"):
        later = vq.call().count().during("2026-11").fetch()
    assert later["countId"].tolist() == [0]  # the record of November is not the first


@pytest.mark.parametrize("holder", HOLDERS)
def test_duplicates_may_be_an_error(holder, tmp_path):
    """The error has their number, and one id."""
    vq = vf.local(store(TWICE, holder, tmp_path), duplicates="raise")
    with pytest.raises(RecordsError, match=r"id of an earlier record: 1, the first '1'; duplicates='first'") as caught:
        vq.call().count().during("2026-10").fetch()
    assert caught.value.column == "id"


@pytest.mark.parametrize("holder", HOLDERS)
def test_by_default_duplicates_count_and_json_and_several_files_warn(holder, tmp_path):
    """Finding duplicates costs little there beside reading; a frame or one Parquet file is not searched."""
    vq = vf.local(store(TWICE, holder, tmp_path))
    query = vq.call().count("cost").between("2026-01-01", "2026-12-01")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = query.fetch()
        query.fetch()
    assert frame.iloc[0].tolist() == [7]
    messages = [str(one.message) for one in caught if one.category is RecordsWarning]
    if holder in ("frame", "arrow", "parquet"):
        assert not messages
        assert not frame.vapi.meta.notes
    else:
        assert len(messages) == 1
        assert "id of an earlier record: 1, the first '1'; each is counted" in messages[0]
        assert frame.vapi.meta.notes == ("records with the id of an earlier record: 1, the first '1'; each is counted",)


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("duplicates", ["first", "raise"])
def test_without_duplicates_there_is_no_warning(holder, duplicates, tmp_path):
    """Records with different ids all count."""
    source = store([call(str(i)) for i in range(6)], holder, tmp_path)
    assert total(source, duplicates=duplicates) == (6, 1.5)


def test_an_id_is_needed_where_duplicates_matter(tmp_path):
    """Records without ids cannot be told apart, and neither can rows where a column hides their numbers."""
    frame = pd.DataFrame({"createdAt": [DAY], "cost": [1.0]})
    with pytest.raises(
        RecordsError, match="duplicates='first' needs to tell records apart: the call records have no column 'id'"
    ):
        october(frame, duplicates="first").sum("cost").fetch()
    frame = pd.DataFrame({"id": ["1", "1"], "createdAt": [DAY] * 2, "cost": [1.0] * 2, "File_Index": [1, 2]})
    frame.to_parquet(tmp_path / "1.parquet")
    with pytest.raises(RecordsError, match="their column 'File_Index' hides"):
        total(tmp_path / "1.parquet", duplicates="first")
    assert total(tmp_path / "1.parquet") == (2, 2.0)
    frame.drop(columns="File_Index").rename(columns={"id": "ID"}).to_parquet(tmp_path / "2.parquet")
    frame.drop(columns="File_Index").to_parquet(tmp_path / "1.parquet")
    with pytest.warns(RecordsWarning), pytest.raises(RecordsError, match="'ID' where the query uses 'id'"):
        october(tmp_path, duplicates="first").sum("cost").fetch()


def test_duplicates_are_found_anew_after_a_frame_changes():
    """Nothing shows that a frame has changed, so each query finds duplicates anew."""
    frame = pd.DataFrame({"id": ["1", "2"], "createdAt": [DAY] * 2, "cost": [1.0, 2.0]})
    vq = vf.local(frame, duplicates="first")
    query = vq.call().sum("cost").during("2026-10")
    assert query.fetch()["sumCost"].tolist() == [3.0]
    frame.loc[1, "id"] = "1"
    with pytest.warns(RecordsWarning, match="left out"):
        assert query.fetch()["sumCost"].tolist() == [1.0]


# --- columns ----------------------------------------------------------------------------------------------------


def test_an_underscored_column_completes_the_dotted_one():
    """The dotted column takes precedence and the other fills its gaps; underscores of a key are part of it."""
    frame = pd.DataFrame(
        {
            "id": ["1", "2"], "createdAt": [DAY] * 2, "costBreakdown.llm": [1.0, None], "costBreakdown_llm": [50.0, 2.0],
            "variableValues_a_b": ["x", "x"],
        }
    )  # fmt: skip
    result = october(frame).sum("costBreakdown.llm").by_variable("a_b").fetch()
    assert result.iloc[0, 0] == 3.0
    assert result.index.tolist() == ["x"]
    with pytest.raises(RecordsError, match="no variable 'b'"):
        october(frame).count().by_variable("b").fetch()


@pytest.mark.parametrize(
    ("text", "match"),
    [('{"llm": "0.1"}', 'costBreakdown.llm is no number but the JSON "0.1"'), ("{'llm': 0.1}", "cannot be read"),
     ('{"llm": [1]}', r"is no number but the JSON \[1\]")],
)  # fmt: skip
def test_json_text_of_a_wrong_type_is_an_error(text, match):
    """A wrong value is never read as missing."""
    frame = pd.DataFrame({"id": ["1"], "createdAt": [DAY], "costBreakdown": [text]})
    with pytest.raises(RecordsError, match=match):
        october(frame).sum("costBreakdown.llm").fetch()


def test_keys_in_json_text_are_no_paths():
    """A key may have characters that mean something in a path; nulls and empty text are missing."""
    odd = "a/b~c.d\"'"
    texts_ = [json.dumps({odd: "x", "n": 7}), json.dumps({odd: None}), "", None]
    frame = pd.DataFrame({"id": list("1234"), "createdAt": [DAY] * 4, "variableValues": texts_})
    result = october(frame).count().by_variable(odd, "n").fetch()
    assert result.index[0] == ("x", "7")
    assert result["countId"].tolist() == [1, 3]


def test_variables_of_files_keep_their_exact_names(tmp_path):
    """Case, dots and quotes are part of a key; a key that no call has is an error with the nearest."""
    odd = "\"'; DROP TABLE calls; -- ☎.b"
    first = call(variableValues={"plan": "pro", "Plan": "other", "tags": ["a"]})
    vq = vf.local(write(tmp_path / "c.jsonl", first, call("2", variableValues={odd: "y", "later": 1})))
    result = vq.call().count().during("2026-10").by_variable("plan", "Plan", odd, "tags").fetch()
    found = [tuple(None if pd.isna(value) else value for value in key) for key in result.index]
    assert found == [("pro", "other", None, '["a"]'), (None, None, "y", None)]
    with pytest.raises(RecordsError, match=r"no variable 'plam', .*did you mean 'plan'.*variableValues\.plan, "):
        vq.call().count().during("2026-10").by_variable("plam").fetch()
    assert vq.call().count("id").sum("costBreakdown.tts").during("2026-10").fetch().isna().iloc[0].tolist() == [
        False, True,
    ]  # fmt: skip


@pytest.mark.parametrize("holder", ["list", "frame", "lines"])
def test_one_column_may_have_times_of_several_forms(holder, tmp_path):
    """Z, an offset, none (UTC), fractions, a day, and Python's own datetimes are all instants."""
    eastern = timezone(timedelta(hours=-4))
    times = [
        "2026-10-01T12:00:00Z", "2026-10-01T08:00:00-04:00", "2026-10-01 12:00:00", "2026-10-01T12:00:00.000",
        "2026-10-01T12:00:00.000999+0000", "2026-10-01 12:00:00 UTC", "2026-10-01T12:00:00.000000999Z",
    ]  # fmt: skip
    objects = [
        datetime(2026, 10, 1, 12),
        datetime(2026, 10, 1, 8, tzinfo=eastern),
        pd.Timestamp("2026-10-01T12:00:00Z"),
    ]
    calls = [call(str(i), createdAt=at) for i, at in enumerate([*times, *([] if holder == "lines" else objects)])]
    source = calls if holder == "list" else pd.DataFrame(calls)
    if holder == "lines":
        source = write(tmp_path / "c.jsonl", *calls)
    elif holder == "frame":
        assert source["createdAt"].dtype == object
    frame = october(source).count().step("hour").fetch()
    at = datetime(2026, 10, 1, 12, tzinfo=UTC)
    assert {date.to_pydatetime(): n for date, n in frame["countId"].items()} == {at: len(calls)}
    if holder == "frame":
        assert october(source[["createdAt"]].assign(cost=1.0)).sum("cost").fetch().iloc[0, 0] == len(calls)


def test_an_invalid_time_in_a_frame_is_named():
    """The error has the position of the value that is no date-time."""
    frame = pd.DataFrame({"id": ["1", "2"], "createdAt": [datetime(2026, 10, 1), "soon"]}, dtype=object)
    with pytest.raises(RecordsError, match="call 2: createdAt is 'soon'"):
        october(frame).count().fetch()
    frame = pd.DataFrame({"id": ["1", "2"], "createdAt": [datetime(2026, 10, 1), date(2026, 10, 1)]}, dtype=object)
    assert october(frame).count().step("hour").fetch()["countId"].tolist() == [2]


NAN = float("nan")


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
def test_a_nan_in_parquet_is_missing_whatever_the_files_statistics_say(tmp_path, kind):
    """Statistics leave NaN out, so an engine that relies on them would include it in every sum."""
    created = ["2026-10-01T00:00:00Z"] * 3
    values = pa.array([NAN, 1.0, 2.5], kind)
    flat_ = {"cost": values, "type": values, "variableValues.x": values}
    nested = pa.StructArray.from_arrays([values], ["llm"])
    table = pa.table({"id": ["a", "b", "c"], "createdAt": created, **flat_, "costBreakdown": nested})
    pyarrow.parquet.write_table(table, tmp_path / "calls.parquet")
    for form in (table, tmp_path / "calls.parquet"):
        query = vf.local(form, now="2026-11-01T00:00Z").call().during("2026-10")
        frame = query.sum("cost", "costBreakdown.llm").max("cost").avg("cost").count("cost").fetch()
        assert frame.iloc[0].tolist() == [3.5, 3.5, 2.5, 1.75, 2]
        for by in (query.by("type"), query.by_variable("x")):
            assert by.count().fetch().index.fillna("missing").tolist() == ["1", "2.5", "missing"]


def test_what_is_null_in_every_row_of_a_struct_is_missing(tmp_path):
    """A field without values is missing, and another place with a value is used."""
    record = {"id": "a", "createdAt": "2026-10-01T00:00:00Z", "analysis": {"successEvaluation": None}}
    record |= {"costBreakdown": {"transcriber": None, "stt": 3.0}, "artifact": {"variableValues": {"plan": None}}}
    pyarrow.parquet.write_table(pa.Table.from_pylist([record]), tmp_path / "calls.parquet")
    query = vf.local(tmp_path / "calls.parquet").call().count().sum("costBreakdown.transcriber")
    frame = query.by("analysis.successEvaluation").by_variable("plan").during("2026-10").fetch()
    assert frame["sumCostBreakdownTranscriber"].tolist() == [3.0]
    assert frame.index.to_frame().isna().all(axis=None)


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")
def test_a_skipped_row_affects_no_result(tmp_path):
    """A row without a creation time does not count as active, and is no earlier record of its id."""
    good = {"id": "a", "createdAt": "2026-10-01T12:00:00Z", "startedAt": "2026-10-01T12:00:00Z"}
    good |= {"endedAt": "2026-10-01T13:00:00Z", "status": "ended"}
    rows = [{**good, "createdAt": None}, good]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "calls.parquet")
    for form in (rows, pd.DataFrame(rows), tmp_path / "calls.parquet"):
        for duplicates in ("keep", "first"):
            vq = vf.local(form, on_error="skip", duplicates=duplicates, now="2026-11-01T00:00Z")
            assert vq.call().count().during("2026-10").fetch()["countId"].tolist() == [1]
            peak = vq.subscription().max("concurrency").during("2026-10").fetch()
            assert peak["maxConcurrency"].tolist() == [1]
