"""The shell command."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

import vapi_frames as vf
from vapi_frames.cli.main import main

pytestmark = pytest.mark.extra("local")


def demo(folder):
    """Run the demo in a folder; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "vapi_frames.cli", "demo"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_demo_shows_query_body_frame_and_chart(tmp_path):
    """The printed query and body belong together, and the chart is in the printed file."""
    text = demo(tmp_path)
    code = re.search(r"^vq\.call\(\).*$", text, re.MULTILINE)[0]
    query = eval(code, {"vq": vf.demo()})
    body = json.loads(text[text.index("{") : text.rindex("]\n}") + 3])
    assert body == query.body()
    assert "sumCost" in text
    chart = tmp_path / "vapi-frames-demo.png"
    assert str(chart) in text
    assert chart.read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_the_demos_numbers_are_those_of_plain_loops(tmp_path):
    """Every number that the demo prints equals a loop over the same records."""
    spend, minutes, count = defaultdict(float), defaultdict(list), defaultdict(int)
    zone = ZoneInfo("America/New_York")
    start, end = (datetime(2026, 11, day, 5, tzinfo=UTC) for day in (1, 15))
    start = start.replace(hour=4)
    for call in vf.sample_calls().to_dict("records"):
        if start <= call["createdAt"] < end:
            key = (call["createdAt"].astimezone(zone).date().isoformat(), call["type"])
            spend[key] += call["cost"]
            count[key] += 1
            if call["startedAt"] == call["startedAt"] and call["endedAt"] == call["endedAt"]:
                minutes[key].append((call["endedAt"] - call["startedAt"]).total_seconds() / 60)
    text = demo(tmp_path)
    query = eval(re.search(r"^vq\.call\(\).*$", text, re.MULTILINE)[0], {"vq": vf.demo()})
    frame = query.fetch()
    assert len(frame) == len(spend)
    for (day, kind), row in zip(frame.index, frame.to_dict("records"), strict=True):
        key = (day.date().isoformat(), kind)
        assert row["sumCost"] == pytest.approx(spend[key], rel=1e-9)
        assert row["countId"] == count[key]
        assert row["avgDuration"] == pytest.approx(sum(minutes[key]) / len(minutes[key]), rel=1e-9)
    assert f"{frame['sumCost'].iloc[0]:.4f}".rstrip("0") in text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no/folder.png", "there is no folder "),
        ("chart.xyz", "must end in one of .png, .svg, .pdf, .jpg"),
        ("chart", "must end in one of "),
        ("", "must end in one of "),
        ("folder.png", "is a folder; name a file"),
    ],
)
def test_a_chart_that_cannot_be_a_file_ends_with_2(tmp_path, monkeypatch, capsys, name, message):
    """As with ``query``, a wrong path is one line on stderr, before the query runs."""
    (tmp_path / "folder.png").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vapi_frames.interface.connect.demo", lambda: pytest.fail("the query ran"))
    assert main(["demo", "--png", name]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("vapi-frames: ")
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_a_chart_that_cannot_be_written_ends_with_1(tmp_path, monkeypatch, capsys):
    """A full disk is one line on stderr; running it again may help."""

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    assert main(["demo", "--png", str(tmp_path / "chart.png")]) == 1
    assert capsys.readouterr().err == "vapi-frames: [Errno 28] No space left on device\n"


def test_the_demo_expands_the_home_folder(tmp_path, monkeypatch, capsys):
    """--png=~/chart.png, which a shell leaves alone, is a file in the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert main(["demo", "--png", "~/chart.png"]) == 0
    assert str(tmp_path / "chart.png") in capsys.readouterr().out
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_the_version_is_the_packages(capsys):
    """--version and the package agree."""
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == f"vapi-frames {vf.__version__}"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize(
    ("command", "number"),
    [
        ("query", signal.SIGTERM),
        ("serve", signal.SIGHUP),
        pytest.param("query", signal.SIGHUP, marks=pytest.mark.long),
        pytest.param("serve", signal.SIGTERM, marks=pytest.mark.long),
    ],
)
def test_a_signal_during_a_conversion_leaves_no_temporary_folder(tmp_path, command, number):
    """It ends with the signal's code, without a traceback, also where it meets DuckDB at work."""
    call = {"createdAt": "2026-10-01T00:00:00Z", "cost": 1.5, "artifact": {"variableValues": {"plan": "pro"}}}
    (tmp_path / "calls.json").write_text(json.dumps([{"id": str(one), **call} for one in range(100_000)]))
    arguments = {
        "query": ["query", "vq.call().count().during('2026-10')", "--source", "calls.json"],
        "serve": ["serve", "calls.json", "--port", "0"],
    }
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    before = signal.signal(number, signal.SIG_DFL)  # under nohup, the command would ignore the signal as well
    process = subprocess.Popen(
        [sys.executable, "-m", "vapi_frames.cli", *arguments[command]], cwd=tmp_path, text=True,
        env={**os.environ, "TMPDIR": str(temporary), "VAPI_FRAMES_KEY": "0123456789abcdef"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    signal.signal(number, before)
    until = time.monotonic() + 20
    while not list(temporary.glob("*/*.parquet")) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (128 + number, "", "")
    assert list(temporary.iterdir()) == []
