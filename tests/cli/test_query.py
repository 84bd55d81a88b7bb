"""The command ``vapi-frames query``: where a query comes from, what runs it, what it writes, and its exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
import urllib.parse

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.engines import HOSTILE
from tests.support.query_command import COUNT, KEY, SPEND, body, run
from tests.support.servers import Server, answering, failing
from vapi_frames.cli.export import to_csv_text, to_json_text
from vapi_frames.query.parse import parse_query

pytestmark = pytest.mark.extra("local")


@pytest.fixture
def records(tmp_path):
    """Write a file of call records with texts of every kind; return its path."""
    calls = [
        {"id": f"{at}", "createdAt": f"2026-10-0{1 + at % 3}T12:00:00.123456Z", "type": text, "cost": 0.1 * at}
        for at, text in enumerate([*HOSTILE, None, "", "plain"])
    ]
    path = tmp_path / "calls.json"
    path.write_text(json.dumps(calls), encoding="utf-8")
    return path


def rows_of(frame):
    """Return the rows of a frame as plain values, its index first."""
    table = frame.reset_index() if frame.index.names != [None] else frame
    return list(table.columns), [
        [None if pd.isna(value) else value for value in row] for row in table.itertuples(index=False)
    ]


# --- what is written ----------------------------------------------------------------------------------------------


def test_the_result_is_csv_on_stdout_and_nothing_else():
    """Stdout has the header and the rows; on success stderr is empty, and the exit code 0."""
    code, out, err = run(SPEND, "--source", "demo")
    assert (code, err) == (0, "")
    header, *rows = csv.reader(io.StringIO(out))
    frame = parse_query(SPEND)
    frame = next(iter(vf.demo().fetch(frame).values()))
    assert header == ["date", "type", "sumCost", "countId"]
    assert rows == [
        [date.isoformat(), kind, repr(float(f"{cost:.12g}")), str(count)]
        for (date, kind), cost, count in zip(frame.index, frame["sumCost"], frame["countId"], strict=True)
    ]
    assert rows[0][0] == "2026-10-01T00:00:00-04:00"


FORMULAS = [
    "=1+1", '=HYPERLINK("https://x.example","y")', "@SUM(A1)", "\t=1", "\r=1", "\n=1", "+cmd|' /C calc'!A0", "-1+2=3",
    "-", "+", "+-1", "-2+cmd|' /C'!A0", "+A1", "-SUM(1)", "--1", "+1 (555) x", "-1e", "+1=", "-1;2",
]  # fmt: skip


HARMLESS = [
    "a=1", "'=1", " =1", "1-2", "-1", "+1", "-1.5", "-1.5e-3", "+49 30 123456", "+1 (555) 010-9999", "+1-555-010-9999",
    "+15550109999", "", "x@y", "é",
]  # fmt: skip


@pytest.mark.parametrize("is_raw", [False, True])
def test_a_spreadsheet_runs_no_text_of_a_csv_file(invoke, tmp_path, is_raw):
    """Text that would be a formula has an apostrophe before it, in cells and in headers; numbers of phones have none."""
    texts = [*FORMULAS, *HARMLESS]
    calls = pd.DataFrame({
        "id": [str(i) for i in range(len(texts))], "createdAt": "2026-10-01T00:00Z", "cost": 0.5, "type": texts,
    })  # fmt: skip
    calls.to_parquet(tmp_path / "calls.parquet")
    query = 'vq.call().sum("cost", alias="=cost").by("type").during("2026-10")'
    out = tmp_path / "spend.csv"
    raw = ["--raw-text"] if is_raw else []
    assert invoke(query, "--source", tmp_path / "calls.parquet", "--out", out, *raw) == (0, "", [])
    header, *rows = csv.reader(io.StringIO(out.read_bytes().decode(), newline=""))
    guard = "" if is_raw else "'"
    assert header == ["type", f"{guard}=cost"]
    assert sorted(one for one, _ in rows) == sorted([*(f"{guard}{text}" for text in FORMULAS), *HARMLESS])
    code, printed, _ = invoke(query, "--source", tmp_path / "calls.parquet")
    assert code == 0
    assert sorted(one for one, _ in list(csv.reader(io.StringIO(printed, newline="")))[1:]) == sorted(texts)


def test_csv_has_every_text_and_digit(invoke, records, tmp_path):
    """Hostile texts come back from a reader of CSV as they were, numbers to the last digit."""
    query = 'vq.call().sum("cost").by("type").between("2026-10-01", "2026-10-05")'
    assert invoke(query, "--source", records, "--out", tmp_path / "spend.csv", "--raw-text") == (0, "", [])
    content = (tmp_path / "spend.csv").read_bytes().decode("utf-8")
    names, expected = rows_of(next(iter(vf.local(str(records)).fetch(parse_query(query)).values())))
    header, *rows = csv.reader(io.StringIO(content, newline=""))
    assert header == names
    assert rows == [["" if kind is None else kind, repr(cost)] for kind, cost in expected]
    assert {None, ""} <= {kind for kind, _ in expected}
    assert re.search(r'^"",', content, re.MULTILINE), "empty text is quoted"
    assert re.search(r"^,", content, re.MULTILINE), "missing is not"


def test_json_is_a_list_of_rows(invoke, records, tmp_path):
    """Missing is null, there is no NaN, dates have their offset, and numbers all their digits."""
    query = 'vq.call().sum("cost").avg("duration").by("type").step("day").tz("Asia/Kathmandu").since("2026-10-01")'
    assert invoke(query, "--source", records, "--out", tmp_path / "spend.json", "--now", "2026-11-01T00:00Z")[:2] == (
        0,
        "",
    )
    content = (tmp_path / "spend.json").read_bytes().decode("utf-8")
    found = json.loads(content, parse_constant=lambda word: pytest.fail(word))
    names, expected = rows_of(
        next(iter(vf.local(str(records), now="2026-11-01T00:00Z").fetch(parse_query(query)).values()))
    )
    assert [list(row) for row in found] == [names] * len(expected)
    assert [list(row.values()) for row in found] == [[date.isoformat(), *others] for date, *others in expected]
    assert found[0]["date"] == "2026-10-01T00:00:00+05:45"
    assert found[0]["avgDuration"] is None


def test_parquet_is_what_load_reads(invoke, tmp_path):
    """The frame comes back with its index, its types and its metadata."""
    assert invoke(SPEND, "--source", "demo", "--out", tmp_path / "spend.parquet") == (0, "", [])
    loaded = vf.load(tmp_path / "spend.parquet")
    fetched = next(iter(vf.demo().fetch(parse_query(SPEND)).values()))
    pd.testing.assert_frame_equal(loaded, fetched)
    assert vf.frame(loaded).query == vf.frame(fetched).query
    assert vf.frame(loaded).units == {"sumCost": "USD", "countId": "calls"}


@pytest.mark.parametrize(("suffix", "content"), [("csv", "type,sumCost\n"), ("json", "[]\n")])
def test_a_result_without_rows_is_a_file_without_rows(invoke, tmp_path, suffix, content):
    """An empty result is written, too."""
    query = 'vq.call().sum("cost").by("type").during("2020")'
    path = tmp_path / f"spend.{suffix}"
    code, out, [line] = invoke(query, "--source", "demo", "--out", path)
    assert (code, out) == (0, "")
    assert "warning: no call was created in" in line
    assert path.read_text(encoding="utf-8") == content


def test_one_row_has_no_index():
    """A result without groups is one row of measures; a lone missing one is not an empty line, which readers skip."""
    frame = pd.DataFrame({"avgCost": [np.nan]})
    assert to_csv_text(frame) == 'avgCost\n""\n'
    assert to_json_text(frame) == '[\n{"avgCost": null}\n]\n'
    assert to_csv_text(pd.DataFrame({"a": [np.nan], "b": [1]})) == "a,b\n,1\n"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(st.lists(st.tuples(TEXTS, st.floats(allow_infinity=False), st.integers(-(2**63), 2**63 - 1)), min_size=1))
def test_any_row_comes_back(rows):
    """CSV and JSON represent any text and any number exactly."""
    frame = pd.DataFrame(rows, columns=["a,b", "x", "n"]).set_index("a,b")
    expected = [[text, None if x != x else x, n] for text, x, n in rows]
    assert [list(row.values()) for row in json.loads(to_json_text(frame))] == expected
    header, *lines = csv.reader(io.StringIO(to_csv_text(frame), newline=""))
    assert header == ["a,b", "x", "n"]
    assert [[text, float(x) if x else None, int(n)] for text, x, n in lines] == expected


@pytest.mark.long
def test_text_is_utf_8_whatever_the_locale(tmp_path):
    """Cron has the poorest of locales."""
    path = tmp_path / "calls.json"
    path.write_text('[{"id": "1", "createdAt": "2026-10-01T12:00:00Z", "type": "Ünï ☎", "cost": 1}]', encoding="utf-8")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    query = 'vq.call().count().by("type").named("☎").during("2026-10")'
    code, out, err = run(query, "--source", path, "--verbose", env=environment)
    assert (code, out) == (0, "type,countId\nÜnï ☎,1\n")
    assert err.splitlines()[-1] == "vapi-frames: wrote 1 row to stdout"


# --- where the query comes from -----------------------------------------------------------------------------------


def test_the_query_comes_from_stdin(invoke, monkeypatch):
    """``-`` reads code or a body from stdin."""
    code, out, err = run("-", "--source", "demo", input=f"\n{COUNT}\n".encode())
    assert (code, err) == (0, "")
    span = {"start": "2026-10-01T00:00:00Z", "end": "2026-10-04T00:00:00Z"}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(body("n", timeRange=span).encode())))
    assert invoke("-", "--source", "demo") == (code, out, [])


def test_the_query_comes_from_a_file(invoke, tmp_path):
    """``@file`` reads it, with or without the mark that some editors put before text."""
    whole = invoke(COUNT, "--source", "demo")
    for mark in ("", "\ufeff"):
        (tmp_path / "query.txt").write_text(f"{mark}{COUNT}\n", encoding="utf-8")
        assert invoke(f"@{tmp_path / 'query.txt'}", "--source", "demo") == whole
    (tmp_path / "query.txt").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "query.txt", tmp_path / "none.txt", tmp_path):
        code, out, [line] = invoke(f"@{path}", "--source", "demo")
        assert (code, out) == (2, "")
        assert f"cannot read the query from {path}: " in line


def test_several_queries_go_to_files_of_their_names(invoke, tmp_path):
    """``{name}`` in --out is the name of each."""
    span = {"step": "day", "start": "2026-10-01T00:00:00Z", "end": "2026-10-04T00:00:00Z"}
    out = tmp_path / "{name}-daily.csv"
    assert invoke(body("one", "two", timeRange=span), "--source", "demo", "--out", out) == (0, "", [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one-daily.csv", "two-daily.csv"]
    single = 'vq.call().count().last("3d").named("mine")'
    assert invoke(single, "--source", "demo", "--out", out)[0] == 0
    assert (tmp_path / "mine-daily.csv").exists()


@pytest.fixture
def no_fetch(tmp_path, monkeypatch):
    """Fail where a source is queried; return the empty working folder."""
    monkeypatch.setattr(
        "vapi_frames.sources.local.source.LocalSource.answer", lambda *_: pytest.fail("the source was queried")
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("query", "out", "message"),
    [
        (body("a", "b"), None, "2 queries need a file each: pass --out with {name}, e.g. --out '{name}.csv'"),
        (body("a", "b"), "spend.csv", "2 queries need a file each"),
        (body("a", "a"), "{name}.csv", "two queries of the body are named 'a'"),
        (body("../a"), "{name}.csv", "the query's name '../a' cannot be part of a file's name"),
        (body(".a"), "{name}.csv", "the query's name '.a' cannot be"),
        (body("a\n"), "{name}.csv", "the query's name 'a\\n' cannot be"),
        ('vq.call().count().last("3d")', "{name}.csv", '--out has {name}, and this query has no name: add .named("...")'),
        (COUNT, "spend.xlsx", "'spend.xlsx' must end in one of .parquet, .csv, .json"),
        (COUNT, "spend", "'spend' must end in one of"),
        (COUNT, "no/such/spend.csv", "there is no folder 'no/such'"),
        (COUNT, "folder.csv", "'folder.csv' is a folder"),
        ("vq.call().sum(cost)", None, 'put text in quotes: "cost"'),
        ("{", None, "the body is not JSON"),
        ("", None, "the query is empty"),
        ("vq.call()", None, "the query has no measure"),
    ],
)  # fmt: skip
def test_a_wrong_query_or_path_ends_with_2(invoke, no_fetch, query, out, message):
    """The line says what would be right, and nothing is fetched."""
    (no_fetch / "folder.csv").mkdir()
    code, printed, [line] = invoke(query, "--source", "demo", *(("--out", out) if out else ()))
    assert (code, printed) == (2, "")
    assert message in line
    assert [path.name for path in no_fetch.iterdir()] == ["folder.csv"]


@pytest.mark.parametrize("out", ["~/{name}.csv", "~/sub/../{name}.csv"])
def test_paths_begin_in_the_home_folder_where_they_say_so(invoke, tmp_path, monkeypatch, out):
    """A shell leaves the ~ of ``--out=~/f`` and ``@~/f`` alone. A query's name that begins with ~ is only a name."""
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    (home / "query.txt").write_text(COUNT + '.named("~root")', encoding="utf-8")
    assert invoke("@~/query.txt", "--source", "demo", f"--out={out}")[0] == 0
    assert (home / "~root.csv").read_text(encoding="utf-8").startswith("countId\n")
    monkeypatch.chdir(tmp_path)
    assert invoke("@~/query.txt", "--source", "demo", "--out", "{name}.csv")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "~root.csv"]


def test_bytes_that_are_no_text_are_refused(invoke):
    """An argument in another encoding than UTF-8 cannot be read as a query."""
    code, out, [err] = invoke(os.fsdecode(COUNT.encode() + b".named('\xff')"), "--source", "demo")
    assert (code, out) == (2, "")
    assert err.startswith("vapi-frames: cannot read the query from the arguments: ")


# --- the source ---------------------------------------------------------------------------------------------------


def test_files_are_queried_as_local_does(invoke, tmp_path):
    """Globs, several sources, a clock, and the options for unreadable records and repeated ids."""
    for at, ids in enumerate(("12", "23")):
        calls = [{"id": one, "createdAt": "2026-10-01T12:00:00Z"} for one in ids]
        (tmp_path / f"{at}.json").write_text(json.dumps(calls), encoding="utf-8")
    query = 'vq.call().count().last("1d")'
    now = ("--now", "2026-10-02T00:00Z")
    for sources in ([tmp_path / "*.json"], [tmp_path / "0.json", tmp_path / "1.json"], [tmp_path]):
        assert invoke(query, "--source", *sources, *now, "--duplicates", "first")[:2] == (0, "countId\n3\n")
    twice = ("--source", tmp_path / "0.json", "--source", tmp_path / "1.json")
    code, out, lines = invoke(query, *twice, *now)
    assert (code, out) == (0, "countId\n4\n")
    assert [line.startswith("vapi-frames: warning: ") for line in lines] == [True]
    assert invoke(query, *twice, *now, "--duplicates", "raise")[:2] == (1, "")
    (tmp_path / "1.json").write_text('[{"id": "4", "createdAt": "yesterday"}]', encoding="utf-8")
    assert invoke(query, *twice, *now)[:2] == (1, "")
    assert invoke(query, *twice, *now, "--on-error", "skip")[:2] == (0, "countId\n2\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--source", "no/such/*.parquet"), 2, "no file matches"),
        (("--source", "api", "calls"), 2, "--source takes api, demo, or files of call records, not api and calls together"),
        (("--source", "demo", "--source", "demo"), 2, "--source takes api, demo, or files"),
        (("--source", "demo", "--base-url", "http://127.0.0.1"), 2, "--base-url is for the API, and --source is demo"),
        (("--source", "a", "b", "--timeout", "3"), 2, "--timeout is for the API, and --source is a b"),
        (("--on-error", "skip"), 2, "--on-error is for call records, and --source is api"),
        (("--source", "demo", "--now", "2026-10-01T00:00Z"), 2, "--now is for call records"),
        (("--source", ".", "--now", "2026-10-01"), 2, "now='2026-10-01' has no zone"),
        (("--timeout", "0"), 2, "timeout must be seconds"),
        (("--base-url", "http://example.com"), 2, "would send the key in the clear"),
        (("--timeout", "soon"), 2, "invalid float value: 'soon'; see vapi-frames query --help"),
        (("--duplicates", "some"), 2, "invalid choice: 'some'"),
        (("--tim", "3"), 2, "unrecognized arguments: --tim"),
        ((), 1, "there is no key: set VAPI_API_KEY"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_a_code(invoke, arguments, code, message):
    """1 where the source failed, 2 where the arguments are wrong."""
    found, out, [line] = invoke(COUNT, *arguments)
    assert (found, out) == (code, "")
    assert message in line


def test_the_api_is_queried_with_the_key_of_the_environment(tmp_path, invoke, monkeypatch):
    """The body goes to --base-url, with the key of the environment, which is shown nowhere."""
    monkeypatch.setenv("VAPI_API_KEY", KEY)
    with Server(answering()) as server:
        code, out, err = invoke(COUNT, "--base-url", server.url, "--verbose")
        request = server.requests[0]
        filtered = 'vq.subscription().avg("concurrency").where(type="webCall")'
        assert invoke(filtered, "--base-url", server.url)[0] == 2
        assert len(server.requests) == 1
    assert (code, out) == (0, "countId\n1\n")
    assert request.json() == parse_query(COUNT).body()
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert err == [
        f"vapi-frames: fetching from the API at {server.url}: {COUNT}", "vapi-frames: wrote 1 row to stdout",
    ]  # fmt: skip
    path = tmp_path / "spend.csv"
    path.write_text("before", encoding="utf-8")
    for status, message in ((401, "the API replied 401"), (400, "the API replied 400")):
        with Server(failing(status, "no\n\x1b[2J no")) as server:
            code, out, [err] = invoke(COUNT, "--base-url", server.url, "--out", path)
        assert (code, out) == (1, "")
        assert err.startswith(f"vapi-frames: {message}")
        assert err.isprintable()
        assert KEY not in err
    assert path.read_text(encoding="utf-8") == "before"


@pytest.mark.parametrize(
    "arguments",
    [
        (KEY,), (f"@{KEY}",), (COUNT, "--source", KEY), (COUNT, "--source", f"{KEY}/*.json"), (COUNT, "--timeout", KEY),
        (COUNT, f"--timeout={KEY}"), (COUNT, "--base-url", KEY), (COUNT, "--base-url", f"https://{KEY}.invalid"),
        (COUNT, "--out", KEY), (COUNT, "--out", f"{KEY}/x.csv"), (COUNT, "--column", KEY, "--source", "x.json"),
        (COUNT, "--now", KEY, "--source", "x.json"), (COUNT, "--duplicates", KEY), (COUNT, "--cache", f"{KEY}\0"),
        (COUNT, KEY), (COUNT, f"--{KEY}"), (f'vq.call().sum("{KEY}")',), (f"vq.{KEY.replace('-', '_')}-{KEY}",),
        (f'{{"queries": ["{KEY}"]}}',), (f'vq.call().count().named("{"x" * 50} {KEY}")',), (KEY.upper(),),
        ("".join(f"%{ord(one):x}" for one in KEY),), (f"x{KEY[:5]}\\u{ord(KEY[5]):04x}{KEY[6:]}",),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", [KEY, "0f0e0d0c-aaaa-4bbb-8ccc-0123456789ab"])
def test_no_message_repeats_a_key_in_the_wrong_place(invoke, monkeypatch, tmp_path, arguments, key):
    """Whichever argument the key of the environment is, or is in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAPI_API_KEY", key)
    code, out, lines = invoke(
        *(one.replace(KEY, key) for one in arguments), *(("--timeout", "0.2") if "invalid" in str(arguments) else ())
    )
    assert code in (1, 2)
    assert lines
    shown = urllib.parse.unquote("\n".join([out, *lines])).lower()
    assert not any(key[at : at + 9].lower() in shown for at in range(len(key) - 8))


@pytest.mark.parametrize(
    "arguments", [("{}",), ("@{}",), (COUNT, "--source", "{}"), (COUNT, "--timeout={}"), (COUNT, "{}")]
)
def test_what_has_the_form_of_a_key_is_not_repeated(invoke, monkeypatch, arguments):
    """Also where it is not in the environment: it was pasted in the wrong place."""
    monkeypatch.delenv("VAPI_API_KEY", raising=False)
    code, _, lines = invoke(*(one.format("0f0e0d0c-aaaa-4bbb-8ccc-0123456789ab") for one in arguments))
    assert code in (1, 2)
    assert lines
    assert "0f0e0d0c" not in " ".join(lines)


@pytest.mark.parametrize("option", [("--token", KEY), (f"--key={KEY}",), ("--api-key", KEY), ("--token",)])
def test_a_key_among_the_arguments_is_refused_and_not_repeated(invoke, option):
    """Arguments show in ps and in the shell's history."""
    code, out, [line] = invoke(COUNT, *option)
    assert (code, out) == (2, "")
    assert "set VAPI_API_KEY" in line
    assert KEY not in line
