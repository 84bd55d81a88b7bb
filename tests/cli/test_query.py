"""The command ``vapi-frames query``: what it writes where, its exit codes, and what it never does to a file."""

from __future__ import annotations

import argparse
import csv
import errno
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.engines import HOSTILE
from tests.support.make_pages import PAGES
from tests.support.servers import SAFETY, Server, answering, failing, silent
from tests.support.snippets import commands
from tests.support.wires import Calls, counting
from vapi_frames.cli import query as query_command
from vapi_frames.cli.export import to_csv_text, to_json_text
from vapi_frames.cli.main import main
from vapi_frames.errors import PartialResultError
from vapi_frames.frames.origin import add_note
from vapi_frames.interface.chain import parse_chain
from vapi_frames.interface.connect import Vq
from vapi_frames.query.parse import parse_query

pytestmark = pytest.mark.extra("local")

KEY = "query-command-test-key-0001"
SPEND = (
    'vq.call().sum("cost").count().by("type").step("day").between("2026-10-01", "2026-10-04").tz("America/New_York")'
)
COUNT = 'vq.call().count().between("2026-10-01", "2026-10-04")'


def body(*names, **more):
    """Return the JSON of a body with a query of each name."""
    count = {"operation": "count", "column": "id"}
    return json.dumps({"queries": [{"table": "call", "name": name, "operations": [count], **more} for name in names]})


def run(*arguments, **more):
    """Run the command in a process of its own; return exit code, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "vapi_frames.cli", "query", *map(str, arguments)],
        capture_output=True, check=False, timeout=SAFETY * 6, **more,
    )  # fmt: skip
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def invoke(capsys):
    """Run the command in the test's own process; return exit code, stdout and the lines of stderr."""

    def invoke(*arguments):
        try:
            code = main(["query", *map(str, arguments)])
        except SystemExit as ending:
            code = ending.code
        printed = capsys.readouterr()
        assert all(line.startswith("vapi-frames: ") for line in printed.err.splitlines())
        return code, printed.out, printed.err.splitlines()

    return invoke


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


# --- what happens to files ----------------------------------------------------------------------------------------


def check_unchanged(folder, path):
    """Check that a file is unchanged, and the only one in its folder."""
    assert path.read_text(encoding="utf-8") == "before"
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_a_run_that_fails_leaves_the_earlier_file(invoke, tmp_path, monkeypatch, suffix):
    """Whether the query, the records or the disk fails: the file is unchanged, and the only one."""
    path = tmp_path / f"spend.{suffix}"
    path.write_text("before", encoding="utf-8")
    assert invoke("vq.call()", "--source", "demo", "--out", path)[0] == 2
    check_unchanged(tmp_path, path)
    assert invoke(COUNT, "--source", "no-such-file.json", "--out", path)[0] == 2
    check_unchanged(tmp_path, path)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(os, "fsync", full)
    code, out, [line] = invoke(COUNT, "--source", "demo", "--out", path)
    assert (code, out) == (1, "")
    assert "No space left on device" in line
    check_unchanged(tmp_path, path)


def test_all_of_several_files_are_replaced_or_none(invoke, tmp_path, monkeypatch):
    """Where the second cannot be written, the first is still that of the run before."""
    path = tmp_path / "one.json"
    path.write_text("before", encoding="utf-8")
    frames = {"one": pd.DataFrame({"n": [1.0]}), "two": pd.DataFrame({"n": [np.inf]})}
    monkeypatch.setattr(Vq, "fetch", lambda *_, **__: frames)
    code, _, [line] = invoke(body("one", "two"), "--source", "demo", "--out", tmp_path / "{name}.json")
    assert code == 1
    assert "infinite" in line
    check_unchanged(tmp_path, path)


def test_a_file_is_replaced_when_it_is_whole(invoke, tmp_path, monkeypatch):
    """A reader sees the old result or the new one: the file is replaced in one step."""
    path = tmp_path / "spend.csv"
    path.write_text("before", encoding="utf-8")
    seen = []
    replace = Path.replace

    def watched(self, target):
        seen.append((path.read_text(encoding="utf-8"), self.read_text(encoding="utf-8")))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    assert invoke(COUNT, "--source", "demo", "--out", path) == (0, "", [])
    assert seen == [("before", path.read_text(encoding="utf-8"))]
    assert list(tmp_path.iterdir()) == [path]


# --- a part -------------------------------------------------------------------------------------------------------


MISSING = [(datetime(2026, 10, 2, tzinfo=UTC), datetime(2026, 10, 3, tzinfo=UTC))]
LINES = [
    "vapi-frames: 1 of 2 pieces arrived",
    "vapi-frames: missing: [2026-10-02T00:00:00Z, 2026-10-03T00:00:00Z)",
    f"vapi-frames: still to fetch: {parse_query(COUNT)}",
]


@pytest.fixture
def broken(monkeypatch):
    """Let only a part of every result arrive; return it."""
    part = add_note(
        next(iter(vf.demo().fetch(parse_query(COUNT).named("two")).values())),
        "did not arrive: a day",
        is_incomplete=True,
    )

    def fetch(*_, **__):
        message = "1 of 2 pieces\n arrived"
        raise PartialResultError(message, frame=part, frames={"two": part}, missing=MISSING, rest=(parse_query(COUNT),))

    monkeypatch.setattr(Vq, "fetch", fetch)
    return part


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_a_part_is_written_next_to_the_file(invoke, tmp_path, broken, suffix):
    """Exit code 3: the part has its own file, the earlier file is unchanged, and stderr names what is missing."""
    path = tmp_path / f"spend.{suffix}"
    path.write_text("before", encoding="utf-8")
    code, out, lines = invoke(COUNT, "--source", "demo", "--out", path)
    part = tmp_path / f"spend.partial.{suffix}"
    assert (code, out) == (3, "")
    assert lines == [*LINES, f"vapi-frames: the part that arrived is in {part}"]
    assert path.read_text(encoding="utf-8") == "before"
    assert part.exists()
    if suffix == "csv":
        assert part.read_text(encoding="utf-8") == to_csv_text(broken)


@pytest.mark.usefixtures("broken")
def test_a_part_is_not_printed(invoke):
    """A program that reads stdout sees the exit code too late."""
    code, out, lines = invoke(COUNT, "--source", "demo")
    assert (code, out) == (3, "")
    assert lines == [*LINES, "vapi-frames: the part that arrived is not printed; pass --out to write it to a file"]


@pytest.mark.usefixtures("broken")
def test_a_part_of_several_results_goes_next_to_its_own_file(invoke, tmp_path):
    """The metadata of the frame names its query."""
    assert invoke(body("one", "two"), "--source", "demo", "--out", tmp_path / "{name}.csv")[0] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["two.partial.csv"]


@pytest.mark.usefixtures("broken")
def test_a_part_that_cannot_be_written_is_still_a_part(invoke, tmp_path, monkeypatch):
    """The exit code stays, and stderr says that the part could not be written."""
    monkeypatch.setattr(os, "fsync", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    code, _, lines = invoke(COUNT, "--source", "demo", "--out", tmp_path / "spend.csv")
    assert code == 3
    assert lines[-1].startswith("vapi-frames: the part that arrived could not be written: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_cache_saves_the_second_run_its_request(tmp_path):
    """``--cache`` stores buckets that are over; the second run writes the same without a request."""
    environment = {**os.environ, "VAPI_API_KEY": KEY}
    query = 'vq.call().count().step("day").between("2025-10-01", "2025-10-08")'
    with Server(counting(Calls(), datetime(2026, 1, 1, tzinfo=UTC))) as server:
        arguments = (query, "--base-url", server.url, "--cache", tmp_path / "cache")
        first, second = (run(*arguments, env=environment) for _ in range(2))
        assert len(server.requests) == 1
    assert first == second
    assert first[0] == 0
    assert len(first[1].splitlines()) == 8


def test_a_minute_that_the_server_cannot_compute_leaves_a_part(tmp_path):
    """For real: the command ends with 3, names the minute, and the part has all others."""

    def faults(request):
        queries = request.json()["queries"]
        spans = [(one["timeRange"]["start"], one["timeRange"]["end"]) for one in queries]
        bad = any(start <= "2025-10-01T03:07:00Z" < end for start, end in spans)
        return failing(413) if bad or len(queries) > 1 else None

    query = 'vq.call().count().step("minute").between("2025-09-30T12:00", "2025-10-02T12:00")'
    environment = {**os.environ, "VAPI_API_KEY": KEY}
    path = tmp_path / "n.csv"
    with Server(counting(Calls(every=60), datetime(2026, 1, 1, tzinfo=UTC), faults=faults)) as server:
        code, out, err = run(query, "--base-url", server.url, "--out", path, env=environment)
    assert (code, out) == (3, "")
    assert "missing: [2025-10-01T03:07:00Z, 2025-10-01T03:08:00Z)" in err
    assert [one.name for one in tmp_path.iterdir()] == ["n.partial.csv"]
    assert len((tmp_path / "n.partial.csv").read_text().splitlines()) == 2 * 1440
    assert KEY not in err


# --- in a shell ---------------------------------------------------------------------------------------------------


def test_warnings_are_one_line_each(tmp_path):
    """Each is the message alone, without the line of source that Python shows."""
    query = 'vq.call().count().step("day").last("36h")'
    code, out, err = run(query, "--source", "demo", "--out", tmp_path / "n.csv")
    assert (code, out) == (0, "")
    assert [line[:28] for line in err.splitlines()] == ["vapi-frames: warning: VF205 "]


@pytest.mark.filterwarnings("default")
def test_warnings_of_others_are_one_line_each(invoke, monkeypatch):
    """So are those of other libraries; afterwards, warnings are shown as before."""
    show = warnings.showwarning

    def fetch(*_, **__):
        warnings.warn("old\n API", FutureWarning, stacklevel=1)
        return {"n": pd.DataFrame({"n": [1]})}

    monkeypatch.setattr(Vq, "fetch", fetch)
    assert invoke(COUNT, "--source", "demo") == (0, "n\n1\n", ["vapi-frames: warning: old API"])
    assert warnings.showwarning is show


def test_a_closed_pipe_ends_it_quietly():
    """``vapi-frames query ... | head -1``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vapi_frames.cli", "query", SPEND, "--source", "demo"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(SAFETY * 6), err) == (0, b"")


@pytest.mark.long
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_behind_stdout_is_a_failure():
    """An incomplete write is not a success."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "vapi_frames.cli", "query", COUNT, "--source", "demo"],
            stdout=full, stderr=subprocess.PIPE, check=False, timeout=SAFETY * 6,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == ["vapi-frames: [Errno 28] No space left on device"]


def test_a_query_is_shown_as_code_that_can_be_run_again(invoke):
    """Stderr shows the query's code, with every blank of its names."""
    query = 'vq.call().count().named("two  blanks\\n")'
    code, _, lines = invoke(query, "--source", "demo", "--verbose")
    assert code == 0
    assert parse_query(lines[0].split(": ", 2)[2]) == parse_query(query)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_with_130(tmp_path):
    """It interrupts also while the API is silent; no traceback, no file."""
    with Server(silent) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "vapi_frames.cli", "query", COUNT, "--base-url", server.url, "--out", "n.csv"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env={**os.environ, "VAPI_API_KEY": KEY},
        )  # fmt: skip
        until = time.monotonic() + SAFETY * 6
        while not server.requests and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=SAFETY) == (b"", b"")
    assert process.returncode == 130
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_keeps_the_part_and_ends_with_130(invoke, tmp_path, monkeypatch, broken):
    """What had arrived is written like any part, and the exit code says that Ctrl-C ended it."""

    def fetch(*_, **__):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            part = {"frame": broken, "frames": {"two": broken}, "missing": MISSING, "rest": (parse_query(COUNT),)}
            raise PartialResultError("1 of 2 pieces arrived", **part) from error

    monkeypatch.setattr(Vq, "fetch", fetch)
    code, out, lines = invoke(COUNT, "--source", "demo", "--out", tmp_path / "n.csv")
    assert (code, out) == (130, "")
    assert lines == [*LINES, f"vapi-frames: the part that arrived is in {tmp_path / 'n.partial.csv'}"]
    assert (tmp_path / "n.partial.csv").read_text(encoding="utf-8") == to_csv_text(broken)


@pytest.mark.long
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_after_a_reply_ends_with_130(tmp_path):
    """For real: after some replies the server is silent, and Ctrl-C comes."""
    single, stuck = [], threading.Event()

    def faults(request):
        if len(request.json()["queries"]) > 1:
            return failing(413)
        single.append(request)
        if len(single) <= 8:  # more than there are workers, so that some of them have a reply
            return None
        stuck.set()
        return silent

    query = 'vq.call().count().step("hour").between("2024-01-01", "2026-01-01")'
    with Server(counting(Calls(every=60), datetime(2026, 1, 1, tzinfo=UTC), faults=faults)) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "vapi_frames.cli", "query", query, "--base-url", server.url, "--out", "n.csv"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env={**os.environ, "VAPI_API_KEY": KEY},
        )  # fmt: skip
        assert stuck.wait(SAFETY * 6)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SAFETY * 6)
    assert (process.returncode, out) == (130, b"")
    assert b"it was interrupted" in err
    assert [path.name for path in tmp_path.iterdir()] == ["n.partial.csv"]


@pytest.mark.usefixtures("interruptible")
def test_an_engines_own_error_after_ctrl_c_ends_with_130(invoke, monkeypatch):
    """DuckDB raises a RuntimeError for Ctrl-C, which is 130, too; any other RuntimeError is raised."""
    before = signal.getsignal(signal.SIGINT)

    def fetch(*_, is_interrupted=True, **__):
        try:
            if is_interrupted:
                signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            pass
        raise RuntimeError("Query interrupted")

    monkeypatch.setattr(Vq, "fetch", fetch)
    assert invoke(COUNT, "--source", "demo") == (130, "", [])
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.setattr(Vq, "fetch", lambda *_, **__: fetch(is_interrupted=False))
    with pytest.raises(RuntimeError, match="Query interrupted"):
        main(["query", COUNT, "--source", "demo"])


def test_the_examples_of_the_help_are_valid(capsys):
    """The parser of the command accepts each example of --help, and its query can be parsed."""
    with pytest.raises(SystemExit):
        main(["query", "--help"])
    text = capsys.readouterr().out
    assert "VAPI_API_KEY" in text
    assert "--token" not in text
    lines = re.findall(r"^  vapi-frames (query .+)$", text, re.MULTILINE)
    assert len(lines) == 6
    parser = argparse.ArgumentParser()
    query_command.add_parser(parser.add_subparsers())
    queries = [parser.parse_args(shlex.split(line.split(" < ")[0])).query for line in lines]
    assert [query for query in queries if query[0] not in "@-" and parse_chain(query)] == queries[:4]


@pytest.mark.long
@pytest.mark.parametrize("page", ["start/howto.md", "guides/shell.md"])
def test_the_page_shows_what_the_commands_print(page, tmp_path):
    """Each command on the page, run by a shell in order, prints the text below it; sums differ in their last digits."""
    shown_commands = commands((PAGES / page).read_text(encoding="utf-8"))
    assert len(shown_commands) == {"start/howto.md": 4, "guides/shell.md": 7}[page]
    program = tmp_path / "bin" / "vapi-frames"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m vapi_frames.cli "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    folder = tmp_path / "cwd"
    folder.mkdir()
    for code, shown in shown_commands:
        done = subprocess.run(
            ["bash", "-c", code],
            cwd=folder,
            env={**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        rounded = [re.sub(r"\d+\.\d{5,}", lambda found: f"{float(found[0]):.6f}", one) for one in (done.stdout, shown)]
        assert rounded[0] == rounded[1]


def test_columns_of_other_names_are_said_in_the_shell(tmp_path, capsys):
    """--column takes ours=theirs, and may be repeated."""
    (tmp_path / "c.csv").write_text("when,usd\n2026-10-01T12:00Z,0.25\n")
    code = 'vq.call().sum("cost").during("2026-10")'
    names = ["--column", "createdAt=when", "--column", "cost=usd"]
    assert main(["query", code, "--source", str(tmp_path / "c.csv"), *names]) == 0
    assert "0.25" in capsys.readouterr().out
    assert main(["query", code, "--source", str(tmp_path / "c.csv"), "--column", "createdAt"]) == 2
    assert "it takes OURS=THEIRS, e.g. --column createdAt=when" in capsys.readouterr().err
