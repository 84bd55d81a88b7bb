"""What ``vapi-frames query`` does to files: an earlier one stays until a new one is whole, and a part goes next to it."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.query_command import COUNT, KEY, LINES, body, run
from tests.support.servers import Server, failing
from tests.support.wires import Calls, counting
from vapi_frames.cli.export import to_csv_text
from vapi_frames.interface.connect import Vq

pytestmark = pytest.mark.extra("local")


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
