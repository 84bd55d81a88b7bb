"""The shell as a person meets it: help, messages in its own words, formats on stdout, completion."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.engines import HOSTILE
from vapi_frames.cli.main import main
from vapi_frames.cli.printing import to_text

pytestmark = pytest.mark.extra("local")

COMMANDS = ("demo", "query", "report", "archive", "serve")
SPEND = 'vq.call().sum("cost").count().by("type").during("2026-10")'


def help_of(*arguments, capsys):
    """Return the text of --help."""
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", [(), *((one,) for one in COMMANDS)])
def test_each_help_is_one_line_with_examples_and_exit_codes(command, capsys):
    """No doctest, no paragraph: a line, the options, examples that the parser accepts, and what the codes mean."""
    text = help_of(*command, capsys=capsys)
    assert ">>>" not in text
    assert "\nexamples:\n  " in text
    assert re.search(r"\nexit codes:\n  0 ", text)
    described = text.split("\n\n")[1]
    assert described.endswith(".")
    assert len(described.splitlines()) == 1
    for line in re.findall(r"^  (?:\w+=\S+ )?vapi-frames (.+)$", text, re.MULTILINE):
        name = shlex.split(line)[0]
        assert name in (*COMMANDS, "--completion")


def test_the_help_names_each_command(capsys):
    """With what it does."""
    text = help_of(capsys=capsys)
    for command in COMMANDS:
        assert re.search(rf"^    {command} +[a-z]", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([SPEND], 1, "set VAPI_API_KEY to the organization's private key, or add --source demo"),
        (["--source", "demo", SPEND], 2, f"the query comes before --source: vapi-frames query '{SPEND}' --source demo"),
        (["--source", "demo", "@query.txt"], 2, "the query comes before --source"),
        ([], 2, "there is no query: vapi-frames query 'vq.call()"),
        (["--source", "demo"], 2, "there is no query"),
        (["select 1", "--source", "demo"], 2, "this is not a query: a query starts with vq.call()"),
        (["what did it cost?", "--source", "demo"], 2, "this is not a query: a query starts with vq.call()"),
        (["calls", "--source", "demo"], 2, "a query starts with vq.call()"),
        ([SPEND, "--source", "no-such.parquet"], 2, "no file matches"),
        ([SPEND, "--source", "demo", "--format", "table", "--out", "x.csv"], 2, "--format is for stdout"),
    ],
)
def test_messages_are_in_the_words_of_the_shell(arguments, code, message, *, capsys, monkeypatch, tmp_path):
    """What to type in a shell, not in Python."""
    monkeypatch.chdir(tmp_path)
    for name in ("VAPI_API_KEY", "VAPI_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert main(["query", *arguments]) == code
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert "vf." not in line


@pytest.mark.parametrize("command", ["query", "report", "serve"])
def test_a_source_file_that_is_missing_ends_with_2(command, capsys, tmp_path):
    """Whichever command reads it."""
    missing = str(tmp_path / "no-such.json")
    arguments = {
        "query": [SPEND, "--source", missing], "report": ["--source", missing, "--out", str(tmp_path / "r.html")],
        "serve": [missing, "--no-auth"],
    }  # fmt: skip
    assert main([command, *arguments[command]]) == 2
    assert "no file matches" in capsys.readouterr().err


def stdout_of(capfdbinary, *arguments):
    """Return what the command prints."""
    assert main(["query", *arguments]) == 0
    return capfdbinary.readouterr().out.decode()


@pytest.mark.parametrize("form", ["csv", "json", "table", "markdown"])
def test_stdout_has_no_noise(form, capfdbinary):
    """Numbers have at most 12 digits, and are those of the frame to that many."""
    text = stdout_of(capfdbinary, SPEND, "--source", "demo", "--format", form)
    assert not re.search(r"\d{13}|\.\d{11}", text)
    frame = vf.demo().call().sum("cost").count().by("type").during("2026-10").fetch()
    if form in ("csv", "json"):
        rows = list(csv.DictReader(io.StringIO(text))) if form == "csv" else json.loads(text)
        assert [float(row["sumCost"]) for row in rows] == pytest.approx(frame["sumCost"].tolist(), rel=1e-11)
    else:
        assert all(f"${value:,.2f}" in text for value in frame["sumCost"])
    assert all(f"{count:,}" in text or str(count) in text for count in frame["countId"])


@pytest.mark.property
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.none(), min_size=1, max_size=5))
def test_a_number_on_stdout_is_the_number_to_twelve_digits(values):
    """Of any size; what is missing stays missing."""
    calls = [
        {"id": str(place), "createdAt": "2026-10-01T00:00:00Z", "type": f"t{place}", "cost": value}
        for place, value in enumerate(values)
    ]
    frame = vf.local(calls).call().max("cost").by("type").during("2026-10").fetch()
    rows = json.loads(to_text(frame, "json"))
    for row, value in zip(rows, frame["maxCost"], strict=True):
        if value != value:
            assert row["maxCost"] is None
        else:
            assert row["maxCost"] == float(f"{value:.12g}")


def test_a_table_has_one_line_a_row_whatever_a_group_is_called():
    """Line breaks, control characters, pipes and markup of a group are text of its cell."""
    names = [*HOSTILE, "a|b", "a\nb", "\x1b[31mred", "[x](javascript:1)", "<b>", "\u2028"]
    calls = [{"id": str(n), "createdAt": "2026-10-01T00:00:00Z", "type": name} for n, name in enumerate(names)]
    frame = vf.local(calls).call().count().by("type").during("2026-10").fetch()
    for form, above in (("table", 1), ("markdown", 2)):
        text = to_text(frame, form)
        assert len(text.splitlines()) == len(frame) + above
        assert "\x1b" not in text
    cells = [re.split(r"(?<!\\)(?:\\\\)*\|", line) for line in to_text(frame, "markdown").splitlines()]
    assert {len(row) for row in cells} == {4}
    assert not re.search(r"(?<!\\)<b>|(?<!\\)\[x", to_text(frame, "markdown"))


def test_a_table_shows_units_zones_and_partial_buckets(capfdbinary):
    """As ``df.vapi.style`` does."""
    query = 'vq.call().avg("duration").step("day").between("2026-10-01T12:00", "2026-10-03").tz("America/New_York")'
    head, first, second = stdout_of(capfdbinary, query, "--source", "demo", "--format", "table").splitlines()
    assert head.split("  ")[0] == "date (America/New_York)"
    assert head.endswith("avgDuration (min)")
    assert first.startswith("2026-10-01 (partial)")
    assert re.fullmatch(r"2026-10-02 +\d\.\d\d", second)


@pytest.mark.extra("plot")
def test_the_demo_names_the_next_steps(tmp_path, monkeypatch, capsys):
    """Each line that it names runs as it stands."""
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    text = capsys.readouterr().out
    lines = re.findall(r"vapi-frames (.+)$", text[text.index("\nNext steps\n") :], re.MULTILINE)
    assert [shlex.split(line)[0] for line in lines] == ["query", "report"]
    for line in lines:
        assert main(shlex.split(line)) == 0
    assert (tmp_path / "report.html").exists()


def test_serve_says_which_range_the_sample_holds(monkeypatch, caplog):
    """With its clock, which stands."""
    monkeypatch.setattr("vapi_frames.server.listen.serve", lambda *_, **__: None)
    with caplog.at_level(logging.INFO, logger="vapi_frames.server"):
        monkeypatch.setattr("vapi_frames.server.log.configure_log", lambda _: None)
        assert main(["serve", "--demo", "--no-auth"]) == 0
    created = vf.sample_calls()["createdAt"]
    [line] = [one.getMessage() for one in caplog.records if "sample" in one.getMessage()]
    assert f"{len(created):,} calls, from {created.min():%Y-%m-%d} to {created.max():%Y-%m-%d}" in line
    assert "2026-11-16 00:00 UTC" in line


@pytest.mark.extra("completion")
def test_bash_completes_commands_and_options(tmp_path, capfdbinary):
    """The script that is printed, in a real bash."""
    with pytest.raises(SystemExit) as ended:
        main(["--completion", "bash"])
    assert ended.value.code == 0
    script = tmp_path / "complete.sh"
    script.write_bytes(capfdbinary.readouterr().out)
    ask = (
        f'source {shlex.quote(str(script))}; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); '
        '"$(complete -p vapi-frames | sed "s/.*-F \\([^ ]*\\).*/\\1/")" vapi-frames "${COMP_WORDS[COMP_CWORD]}"; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )

    def complete(*words):
        done = subprocess.run(
            ["bash", "-c", ask, "bash", "vapi-frames", *words], capture_output=True, text=True, check=False
        )
        return set(done.stdout.split())

    assert set(COMMANDS) <= complete("")
    assert complete("qu") == {"query"}
    assert {"--format", "--out", "--source"} <= complete("query", "--")
    assert complete("query", "--format", "") >= {"csv", "json", "table", "markdown"}


def test_completion_without_its_package_says_which_extra(monkeypatch, capsys):
    """One line, and 2."""
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as ended:
        main(["--completion", "zsh"])
    assert ended.value.code == 2
    assert "vapi-frames[completion]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quer"], "invalid choice: 'quer'; did you mean 'query'? Valid: demo, query, report, archive, serve, mcp"),
        (["query", "vq.call().count()", "--format", "CSV"], "invalid choice: 'CSV'; did you mean 'csv'?"),
        (["query", "vq.call().count()", "--format", "7"], "invalid choice: '7'. Valid: csv, table, markdown, json"),
        (["--completion", "zhs"], "did you mean 'zsh'?"),
        (
            ["query", "vq.call().count()", "--source", ".", "--now", "yesterday"],
            "--now 'yesterday' is not an ISO 8601 date",
        ),
        (
            ["query", "vq.call().count()", "--source", ".", "--now", "2026-10-01"],
            "write it with its zone, e.g. --now 2026-",
        ),
    ],
)
def test_a_wrong_word_leads_to_the_nearest(arguments, message, *, capsys):
    """Commands, formats and shells that are almost right are named; --now is told in the shell's words."""
    try:
        code = main(arguments)
    except SystemExit as error:
        code = error.code
    assert code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert "now=" not in line.replace("--now=", "")


def test_a_warning_is_printed_once(tmp_path, capsys):
    """A report asks for both periods, and says once what is odd in both."""
    arguments = ["report", "--source", "demo", "--last", "14d", "--success", "maybe", "--out", str(tmp_path / "r.json")]
    assert main(arguments) == 0
    lines = capsys.readouterr().err.splitlines()
    assert any("no call has the evaluation 'maybe'" in line for line in lines)
    assert len(lines) == len(set(lines))
