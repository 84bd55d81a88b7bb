"""``vapi-frames query`` in a shell: warnings, pipes, signals, help, and the page about it."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from tests.support.make_pages import PAGES
from tests.support.query_command import COUNT, KEY, LINES, MISSING, SPEND, run
from tests.support.servers import SAFETY, Server, failing, silent
from tests.support.snippets import commands
from tests.support.wires import Calls, counting
from vapi_frames.cli import query as query_command
from vapi_frames.cli.export import to_csv_text
from vapi_frames.cli.main import main
from vapi_frames.errors import PartialResultError
from vapi_frames.interface.chain import parse_chain
from vapi_frames.interface.connect import Vq
from vapi_frames.query.parse import parse_query

pytestmark = pytest.mark.extra("local")


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
