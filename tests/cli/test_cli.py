"""The shell command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
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


def test_what_goes_wrong_is_one_line_on_stderr(tmp_path, capsys):
    """No traceback for a chart that cannot be written."""
    assert main(["demo", "--png", str(tmp_path / "no" / "folder.png")]) == 1
    assert capsys.readouterr().err.startswith("vapi-frames: ")


def test_the_version_is_the_packages(capsys):
    """--version and the package agree."""
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == f"vapi-frames {vf.__version__}"
