"""The forms in which people have call records: the table of the page, each line with the right number."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

import vapi_frames as vf
from vapi_frames.errors import RecordsError, RecordsWarning

pytestmark = pytest.mark.extra("local")

PAGE = Path(__file__).parents[3] / "notebooks" / "guides" / "bring-your-calls.md"
CALLS = [
    {"id": "a", "createdAt": "2026-10-01T12:00:00Z", "startedAt": "2026-10-01T12:00:00Z",
     "endedAt": "2026-10-01T12:01:00Z", "cost": 0.25, "costBreakdown": {"llm": 0.1}},
    {"id": "b", "createdAt": "2026-10-02T12:00:00Z", "cost": 0.5, "durationSeconds": 120},
    {"id": "c", "createdAt": "2026-10-03T12:00:00Z", "cost": 0},
]  # fmt: skip
REPORTS = [
    {"message": {"type": "status-update", "status": "in-progress", "call": {"id": "a"}}},
    *({"message": {"type": "end-of-call-report", "call": {k: one[k] for k in ("id", "createdAt")},
                   **{k: v for k, v in one.items() if k not in ("id", "createdAt")}}} for one in CALLS),
]  # fmt: skip
SNAKE = [
    {"call_id": one["id"], "created_at": one["createdAt"], "started_at": one.get("startedAt"),
     "ended_at": one.get("endedAt"), "cost": one["cost"], "duration_seconds": one.get("durationSeconds"),
     "cost_breakdown": json.dumps(one["costBreakdown"]) if "costBreakdown" in one else None}
    for one in CALLS
]  # fmt: skip
EXPORT = [
    {"Call ID": one["id"], "Ended Reason": "", "Duration": {"a": "59", "b": "120"}.get(one["id"], ""),
     "Started At": one.get("startedAt", ""), "Ended At": one.get("endedAt", ""), "Cost": one["cost"],
     "Created At": one["createdAt"].replace("T", " ").replace("Z", " GMT+0")}
    for one in CALLS
]  # fmt: skip
THEIRS = [{"key": one["id"], "when": one["createdAt"], "usd": one["cost"], "s": 60} for one in CALLS]


def arrow(rows):
    """Return *rows* as a table of Arrow, which has the keys of all of them."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows])


def table(rows, delimiter=","):
    """Return *rows* as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_all(folder):
    """Write a file of each form."""
    texts = {
        "calls.json": json.dumps(CALLS),
        "calls.jsonl": "\n".join(map(json.dumps, CALLS)),
        "page.json": json.dumps({"results": CALLS, "metadata": {"totalItems": 3}}),
        "wrapped.json": json.dumps({"data": [{"output": one} for one in CALLS]}),
        "workflow.json": json.dumps({"nodes": [], "pinData": {"Vapi": [{"json": one} for one in CALLS]}}),
        "webhooks.log": "\n".join(map(json.dumps, REPORTS)),
        "calls.csv": table(SNAKE),
        "export.tsv": table(EXPORT, "\t"),
        "theirs.csv": table(THEIRS),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "windows.csv").write_text(table(SNAKE, ";"), encoding="utf-16")
    (folder / "calls.csv.gz").write_bytes(gzip.compress(table(SNAKE).encode("utf-8-sig")))
    (folder / "year").mkdir()
    pd.DataFrame(SNAKE[:1]).to_parquet(folder / "year" / "1.parquet")
    (folder / "year" / "2.csv").write_text(table(SNAKE[1:2]), encoding="utf-8")
    (folder / "year" / "3.json").write_text(json.dumps(CALLS[2:]), encoding="utf-8")


def read_page():
    """Return the lines of code in the table of the page."""
    return re.findall(r"^\| .*\| `(vf\.local\(.*)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")
@pytest.mark.parametrize("line", [one for one in read_page() if "://" not in one])  # see test_object_storage
def test_each_line_of_the_page_gives_the_right_number(line, tmp_path, monkeypatch):
    """Three calls of 0.75 USD and three minutes: one has both ends, one has only its own duration, one has none."""
    write_all(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = {"vf": vf, "pd": pd, "json": json, "calls": CALLS, "frame": pd.DataFrame(CALLS), "texts": pd.Series(
        [json.dumps(one) for one in CALLS]), "relation": duckdb.from_arrow(arrow(CALLS)),
        "batch": arrow(CALLS).to_batches()[0],
        "file": io.StringIO((tmp_path / "page.json").read_text())}  # fmt: skip
    frame = eval(line, names).call().count().sum("cost", "duration").during("2026-10").fetch()
    assert frame.iloc[0].tolist() == [3, 0.75, 3.0]


def test_the_page_has_every_form():
    """A form without its line would not be tested."""
    assert len(read_page()) == 19


def october(source, **options):
    """Return a query of October."""
    return vf.local(source, **options).call().during("2026-10")


def test_calls_without_a_duration_or_an_id_are_noted():
    """They count as calls, and the notes say how many lack what."""
    calls = [*CALLS, {"createdAt": "2026-10-03T12:00:00Z"}]
    frame = october(calls).count().sum("duration").fetch()
    assert frame.iloc[0].tolist() == [4, 3.0]
    assert frame.vapi.meta.notes == (
        "calls without an id: 1; each is counted",
        "calls without a duration, which count in no sum or average of minutes: 2",
    )


def test_other_messages_of_a_log_are_noted_and_no_defects(tmp_path):
    """They are no skipped records, so that on_error="raise" reads the log."""
    write_all(tmp_path)
    frame = october(tmp_path / "webhooks.log").count().fetch()
    assert frame.vapi.meta.notes == ("messages that are no end-of-call reports, and so no calls: 1",)


@pytest.mark.parametrize("scale", [1, 1000])
def test_numbers_as_times_are_noted(tmp_path, scale):
    """Their size says whether they count seconds or milliseconds."""
    rows = [{"id": "a", "createdAt": 1_790_856_000 * scale}]
    pd.DataFrame(rows).to_csv(tmp_path / "calls.csv", index=False)
    for source in (rows, pd.DataFrame(rows), pa.Table.from_pylist(rows), tmp_path / "calls.csv"):
        frame = october(source).count().step("hour").fetch()
        assert [at.isoformat() for at in frame.index] == ["2026-10-01T12:00:00+00:00"]
        assert "it counts seconds or milliseconds since 1970, as its size says" in frame.vapi.meta.notes[0]


def test_what_a_record_lacks_is_missing():
    """A web call has no transport, an unanswered call no cost breakdown: neither is an error."""
    table = arrow(CALLS)
    for source in (CALLS, pd.DataFrame(CALLS), table):
        frame = october(source).sum("costBreakdown.llm", "costBreakdown.transport").by("status").fetch()
        assert frame["sumCostBreakdownLlm"].tolist() == [0.1]
        assert frame["sumCostBreakdownTransport"].isna().all()
    with pytest.raises(RecordsError, match=r"no column 'costBreakdown\.llm'"):
        october(table.drop_columns("costBreakdown")).sum("costBreakdown.llm").fetch()


def test_true_beside_numbers_in_a_folder_is_no_dollar(tmp_path):
    """Each file is checked in its own types, before they become one."""
    for number, cost in enumerate((True, 0.25)):
        pd.DataFrame([{"id": "a", "createdAt": "2026-10-01T12:00Z", "cost": cost}]).to_parquet(
            tmp_path / f"{number}.parquet"
        )
    with pytest.raises(RecordsError, match="'cost' of the call records is boolean, not a number"):
        october(tmp_path).sum("cost").fetch()


def test_nan_in_json_text_is_missing():
    """One NaN makes no sum NaN, and is not counted."""
    rows = [{"id": str(i), "createdAt": "2026-10-01T12:00Z", "costBreakdown": text}
            for i, text in enumerate(('{"llm": NaN}', '{"llm": 0.25}'))]  # fmt: skip
    assert (
        october(pd.DataFrame(rows)).sum("costBreakdown.llm").avg("costBreakdown.llm").fetch().iloc[0].tolist()
        == [0.25] * 2
    )


def test_a_repr_in_a_cell_is_named(tmp_path):
    """It is no JSON, and the message says how to write some."""
    (tmp_path / "c.csv").write_text("id,createdAt,costBreakdown\na,2026-10-01T12:00Z,\"{'llm': 0.1}\"\n")
    for source in (tmp_path / "c.csv", [{"createdAt": "2026-10-01T12:00Z", "costBreakdown": "{'llm': 0.1}"}]):
        with pytest.raises(RecordsError, match=r"the repr of a Python object, .* write it with json\.dumps"):
            october(source).sum("costBreakdown.llm").fetch()


def test_an_object_under_cost_gives_its_total():
    """Lists, frames, Arrow and JSON text alike."""
    rows = [{"id": "a", "createdAt": "2026-10-01T12:00Z", "cost": {"total": 0.25, "llm": 0.1}}]
    for source in (rows, pd.DataFrame(rows), pa.Table.from_pylist(rows)):
        assert october(source).sum("cost").fetch().iloc[0, 0] == 0.25


def test_a_column_that_is_no_variable_is_named_as_that():
    """The message has the line to type, and does not suggest the same word."""
    table = pd.DataFrame([{"id": "a", "createdAt": "2026-10-01T12:00Z", "phoneNumberId": "p", "room": "r"}])
    with pytest.raises(RecordsError, match="is a column of the call records and no variable"):
        october(table).count().by_variable("phoneNumberId").fetch()
    frame = october(table, columns={"variableValues.room": "room"}).count().by_variable("room").fetch()
    assert frame.index.tolist() == ["r"]


@pytest.mark.parametrize("root", ["squadOverrides", "workflowOverrides"])
def test_variables_of_squads_and_workflows_count(root):
    """A squad call may have its variables in the overrides only."""
    rows = [{"id": "a", "createdAt": "2026-10-01T12:00Z", root: {"variableValues": {"plan": "pro"}}}]
    for source in (rows, pd.DataFrame(rows), pa.Table.from_pylist(rows)):
        assert october(source).count().by_variable("plan").fetch().index.tolist() == ["pro"]


@pytest.mark.parametrize("form", ["list", "frame", "Arrow", "csv", "json", "parquet"])
def test_columns_have_the_names_that_the_caller_says(form, tmp_path):
    """The same mapping as a warehouse's, by every road."""
    columns = {"createdAt": "when", "cost": "usd", "durationSeconds": "s", "id": "key"}
    frame = pd.DataFrame(THEIRS)
    (tmp_path / "c.json").write_text(json.dumps(THEIRS))
    frame.to_csv(tmp_path / "c.csv", index=False)
    frame.to_parquet(tmp_path / "c.parquet")
    source = {"list": THEIRS, "frame": frame, "Arrow": pa.Table.from_pandas(frame)}.get(form, tmp_path / f"c.{form}")
    found = october(source, columns=columns).count().sum("cost", "duration").fetch()
    assert found.iloc[0].tolist() == [3, 0.75, 3.0]


@pytest.mark.parametrize(
    ("text", "match"),
    [("", "is empty: its first line must name"), ("id,id\na,b\n", "two columns named 'id'"),
     ("id,createdAt\na,2026-10-01T12:00Z,0,0\n", "cannot be read as a table"),
     ("id,createdAt,cost\na,2026-10-01T12:00Z,free\n", "cost is 'free', not a number")],
)  # fmt: skip
def test_a_csv_that_cannot_be_read_is_named(text, match, tmp_path):
    """Empty, two columns of one name, a row that is too long, a cell of the wrong kind."""
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(RecordsError, match=match):
        october(tmp_path / "c.csv").sum("cost").fetch()


def test_repeated_ids_of_csv_are_found(tmp_path):
    """Its rows have places, as those of Parquet do."""
    (tmp_path / "c.csv").write_text(table([*SNAKE, SNAKE[0]]))
    with pytest.warns(RecordsWarning, match="were left out"):
        assert october(tmp_path / "c.csv", duplicates="first").count().fetch().iloc[0, 0] == 3
