"""The command ``vapi-frames report``: what it writes, and its exit codes."""

from __future__ import annotations

import json
import sys

import pandas as pd
import pytest

import vapi_frames as vf
from vapi_frames.cli.main import main
from vapi_frames.errors import SourceError

pytestmark = [
    pytest.mark.extra("local"),
    pytest.mark.extra("plot"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning"),
]

RECEPTION = "3f0c6a52-8d1e-4b7a-9a64-1f5be07c2d10"


def test_it_writes_the_page_and_prints_nothing(tmp_path, capsys):
    """As cron likes it: the page of ``vq.report``, and silence."""
    (tmp_path / "names.json").write_text(json.dumps({RECEPTION: "Reception"}), encoding="utf-8")
    out = tmp_path / "report.html"
    arguments = ["report", "--source", "demo", "--last", "14d", "--title", "Two weeks", "--out", str(out)]
    assert main([*arguments, "--names", str(tmp_path / "names.json")]) == 0
    assert capsys.readouterr() == ("", "")
    expected = vf.demo().report("14d", names={RECEPTION: "Reception"}, title="Two weeks")
    assert out.read_text(encoding="utf-8") == expected.to_html()


def test_its_options_are_those_of_the_method(tmp_path):
    """Zone, step, whole buckets, no comparison, JSON."""
    out = tmp_path / "report.json"
    arguments = ["--compare", "none", "--tz", "America/New_York", "--step", "week", "--complete", "--success", "true"]
    assert main(["report", "--source", "demo", "--last", "4w", *arguments, "--out", str(out)]) == 0
    expected = vf.demo().report("4w", compare=None, tz="America/New_York", step="week", complete=True, success=["true"])
    assert json.loads(out.read_text(encoding="utf-8")) == json.loads(expected.to_json())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--out", "report.pdf"], 2, "must end in one of .html, .json"),
        (["--out", "no/report.html"], 2, "there is no folder 'no'"),
        (["--last", "often"], 2, "often"),
        (["--compare", "soon"], 2, "soon"),
        (["--step", "fortnight"], 2, "fortnight"),
        (["--names", "nowhere.json"], 2, "cannot read the names of assistants from nowhere.json"),
        (["--names", "list.json"], 2, "must hold a JSON object, id to name, not list"),
        (
            ["--names", "api"],
            2,
            "only the API has names of assistants to ask for, and the sample shows its own: leave out",
        ),
        (["--cache", "here"], 2, "--cache is for the API, and --source is demo"),
    ],
)
def test_what_is_wrong_is_one_line_and_a_code(arguments, code, message, *, tmp_path, monkeypatch, capsys):
    """Nothing is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    assert main(["report", "--source", "demo", *arguments]) == code
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("vapi-frames: ")
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ["list.json"]


def test_records_are_named_by_the_api(tmp_path, monkeypatch, capsys):
    """Call records have ids alone: --names api asks the API for the names, and without a key says what to give it."""
    calls, out = tmp_path / "calls.json", tmp_path / "report.html"
    call = {"id": "1", "createdAt": "2026-10-01T12:00:00Z", "assistantId": RECEPTION, "cost": 1.0}
    calls.write_text(json.dumps([call]), encoding="utf-8")
    arguments = ["report", "--source", str(calls), "--now", "2026-10-02T00:00:00Z", "--last", "2d", "--compare", "none"]
    arguments += ["--names", "api", "--out", str(out)]
    for name in ("VAPI_API_KEY", "VAPI_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert main(arguments) != 0
    assert "or give --names a JSON file, {id: name}" in capsys.readouterr().err
    assert not out.exists()
    monkeypatch.setenv("VAPI_API_KEY", "a-key-of-the-test")
    monkeypatch.setattr("vapi_frames.interface.connect.connect", vf.demo)
    assert main(arguments) == 0
    assert "Reception" in out.read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("command", [["report"], ["query", 'vq.call().count().by("type").during("2026-10")']])
def test_a_terminal_shows_what_was_written(command, *, tmp_path, monkeypatch, capsys):
    """A person sees the file on stderr; without a terminal, as in cron, there is no output, unless --verbose asks for it."""
    out = tmp_path / ("out.html" if command == ["report"] else "out.csv")
    arguments = [*command, "--source", "demo", "--out", str(out)]
    assert main(arguments) == 0
    assert capsys.readouterr() == ("", "")
    for option in ([], ["--verbose"]):
        monkeypatch.setattr(sys.stderr, "isatty", lambda option=option: not option)
        assert main([*arguments, *option]) == 0
        text, error = capsys.readouterr()
        assert text == ""
        assert f"{out}" in error.splitlines()[-1]
        assert command != ["report"] or f"wrote {out}, {out.stat().st_size / 1000:,.0f} kB" in error


@pytest.mark.long
def test_the_page_of_the_sample_names_its_assistants():
    """Without names given, the report of the sample shows its own; names that are given win."""
    names = vf.demo().assistants()
    assert names.index.name == "assistantId"
    assert (names.dtype, names.name) == (pd.Series(["a"], dtype="str").dtype, "assistantName")
    calls = vf.demo().call().count().by("assistantId").during("2026-10").fetch()
    assert calls.vapi.label(names).index.get_level_values("assistantName").dropna().isin(names).all()
    page = vf.demo().report("14d", compare=None).to_html()
    assert all(name in page for name in names)
    given = vf.demo().report("14d", compare=None, names={RECEPTION: "Front desk"}).to_html()
    assert "Front desk" in given
    assert "Concierge" not in given
    with vf.demo() as closed:
        pass
    with pytest.raises(SourceError, match="closed"):
        closed.assistants()
