"""The command ``vapi-frames report``: what it writes, and its exit codes."""

from __future__ import annotations

import json

import pytest

import vapi_frames as vf
from vapi_frames.cli.main import main

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
        (["--names", "api"], 2, "only the API has names of assistants"),
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
