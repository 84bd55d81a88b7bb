"""Without any extra: what needs none works from end to end, and what needs one says which."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import vapi_frames as vf
from tests.support.servers import Server
from tests.support.shapes import same
from tests.support.wires import KEY, Calls, connected, counting
from vapi_frames import plotting
from vapi_frames.cli import mcp
from vapi_frames.cli.main import main
from vapi_frames.errors import MissingExtraError, QueryWarning
from vapi_frames.server import create_app
from vapi_frames.server.listen import make_server

NOW = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)
# The packages of each extra. The other extras are clients of a warehouse; the caller makes the connection.
BRINGS = {
    "cloud": ["adlfs", "gcsfs", "s3fs"],
    "completion": ["shtab"],
    "excel": ["openpyxl"],
    "local": ["duckdb"],
    "plot": ["matplotlib"],
    "polars": ["polars"],
    "progress": ["ipywidgets", "tqdm"],
    "mcp": ["mcp"],
    "server": ["starlette", "uvicorn"],
    "sqlalchemy": ["sqlalchemy"],
    "style": ["jinja2"],
    "warehouse": ["sqlglot"],
}
CLIENTS = {"clickhouse", "postgres", "spark"}
TOOLS = {"bench", "dev", "docs", "test"}
CALLS = Calls(every=9_973)


@pytest.fixture(autouse=True)
def only_the_core(monkeypatch):
    """Let the test find no package of an extra, also where there is one."""
    for packages in BRINGS.values():
        for package in packages:
            for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
                monkeypatch.delitem(sys.modules, name)
            monkeypatch.setitem(sys.modules, package, None)


@pytest.fixture
def vq():
    """Return a vq that asks a server on this machine."""
    with Server(counting(CALLS, NOW)) as server:
        yield connected(server, now=NOW)


@pytest.fixture
def frame(vq):
    """Return the days of five weeks by assistant, across a change of the clock."""
    return build_query(vq).step("day").fetch()


def build_query(vq):
    return vq.call().sum("cost").count().by("assistantId").between("2026-10-12", "2026-11-16").tz("America/New_York")


# --- what says which extra it needs -------------------------------------------------------------------------------


def test_every_extra_is_known_here():
    """A new extra comes with the test of what its absence says."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["optional-dependencies"]) == {*BRINGS, *CLIENTS, *TOOLS}


CONNECTION = SimpleNamespace(cursor=lambda: None)
RECORDS = pd.DataFrame({"id": ["1"], "createdAt": ["2026-10-01T00:00Z"]})
REPLY = '[{"name":"n","timeRange":{},"result":[{"countId":"3"}]}]'


@pytest.mark.parametrize(
    ("extra", "package", "ask"),
    [
        ("local", "duckdb", vf.demo),
        ("local", "duckdb", lambda: vf.local([])),
        ("local", "duckdb", lambda: vf.local("calls/*.parquet")),
        ("local", "duckdb", lambda: RECORDS.vapi.call()),
        ("local", "duckdb", lambda: RECORDS.vapi.subscription()),
        ("warehouse", "sqlglot", lambda: vf.warehouse(CONNECTION, "calls", dialect="postgres")),
        ("warehouse", "sqlglot", lambda: vf.warehouse(CONNECTION, "calls", dialect="clickhouse")),
        ("warehouse", "sqlglot", lambda: vf.warehouse(SimpleNamespace(sql=0, createDataFrame=0), "calls")),
        ("sqlalchemy", "sqlalchemy", lambda: vf.warehouse("postgresql://reader@host/calls", "calls")),
        ("plot", "matplotlib", lambda: vf.to_frame(REPLY).vapi.plot()),
        ("plot", "matplotlib", lambda: plotting.plot(vf.to_frame(REPLY))),
        ("style", "jinja2", lambda: vf.to_frame(REPLY).vapi.style()),
        ("excel", "openpyxl", lambda: vf.to_frame(REPLY).vapi.to_excel("calls.xlsx")),
        ("server", "starlette", lambda: create_app(None, key=None)),
        ("server", "uvicorn", lambda: make_server(None, 1.0)),
        ("mcp", "mcp", lambda: mcp.make_server(None)),
    ],
)  # fmt: skip
def test_what_needs_an_extra_says_which(extra, package, ask):
    """MissingExtraError names the package, the extra and the line that installs it; it is an ImportError."""
    with pytest.raises(MissingExtraError, match=re.escape(f"pip install 'vapi-frames[{extra}]'")) as caught:
        ask()
    assert caught.value.extra == extra
    assert f" needs {package}: " in str(caught.value)
    assert isinstance(caught.value, ImportError)


def test_to_polars_says_so_before_anyone_is_asked(vq):
    """The other forms of the same result are there."""
    with pytest.raises(MissingExtraError, match=r"vapi-frames\[polars\]") as caught:
        build_query(vq).to_polars()
    assert caught.value.extra == "polars"
    assert isinstance(build_query(vq).to_arrow(), pa.Table)


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["demo"], "plot"),
        (["query", "vq.call().count()", "--source", "demo"], "local"),
        (["query", "vq.call().count()", "--source", "calls.json"], "local"),
        (["serve", "calls.json", "--no-auth"], "local"),
    ],
)
def test_a_command_says_so_in_one_line(arguments, extra, capsys, monkeypatch, tmp_path):
    """The shell gets the line to run, no traceback, and an exit code that is not 0."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(rf"vapi-frames: .+ run pip install 'vapi-frames\[{extra}\]'\n", re.sub(" +", " ", said.err))


# --- what needs none ----------------------------------------------------------------------------------------------


def test_progress_is_a_line_without_its_bar(vq, capsys):
    """The extra brings a notebook's bar; without it nothing is lost but the bar."""
    assert len(build_query(vq).step("day").fetch(progress=True)) > 0
    assert "vapi-frames: 1 of 1 piece, 1 request, " in capsys.readouterr().err


def test_days_roll_up_to_the_weeks_that_the_server_would_say(vq, frame):
    """Coarser steps and fewer groups are exact."""
    same(frame.vapi.rollup("week"), build_query(vq).step("week").fetch())
    total = frame.vapi.rollup("all", by=[])
    assert total["countId"].tolist() == [sum(row[0] for row in rows_of(frame))]
    assert total["sumCost"].iloc[0] == pytest.approx(sum(row[1] for row in rows_of(frame)) / 100)


def rows_of(frame):
    """Return [count, cents] of the calls that *frame* is about, by a loop."""
    start, end = (int(at.timestamp()) for at in (frame.vapi.meta.start, frame.vapi.meta.end))
    return list(CALLS.rows(start, end, None, "UTC", grouped=True).values())


def test_gaps_changes_and_shares_of_a_frame(frame):
    """The verbs on the calendar and on groups need pandas alone."""
    full = frame.vapi.fill_gaps(mark=True)
    days, assistants = frame.index.get_level_values("date").nunique(), frame.index.get_level_values(1).nunique()
    assert (days, assistants) == (35, 5)
    assert len(full) == 175
    assert full["filled"].sum() == 175 - len(frame)
    assert full["countId"].sum() == frame["countId"].sum()
    share = frame.vapi.share("cost", within="date")["sumCostShare"].groupby("date").sum()
    np.testing.assert_allclose(share, 1)
    top = frame.vapi.top(2, by="cost", of="assistantId")
    assert top["countId"].sum() == frame["countId"].sum()
    per_call = frame.vapi.per_call("cost")
    np.testing.assert_allclose(per_call["sumCostPerCall"], frame["sumCost"] / frame["countId"])
    daily = frame.vapi.rollup(by=[])
    change = daily.vapi.change(7)
    assert list(change.index) == list(daily.index)
    named = frame.vapi.label({"a1": "Ada"})
    assert named.loc[named.index.get_level_values("assistantName") == "Ada", "countId"].sum() == (
        frame.xs("a1", level="assistantId")["countId"].sum()
    )
    assert list(frame.vapi.wide("countId").columns) == [f"a{i}" for i in range(5)]
    assert "sumCost" in frame.vapi.describe()


def test_a_frame_is_saved_and_loaded(frame, tmp_path):
    """Parquet is of the core."""
    frame.vapi.save(tmp_path / "spend.parquet")
    loaded = vf.load(tmp_path / "spend.parquet")
    same(loaded, frame)
    assert loaded.vapi.query == frame.vapi.query


@pytest.mark.parametrize("backend", [None, "numpy_nullable", "pyarrow"])
def test_a_frame_comes_in_each_type(vq, backend):
    """The types of pandas and Arrow are of the core, categories too."""
    frame = build_query(vq).fetch(dtype_backend=backend, categorical=True)
    assert frame["countId"].sum() == sum(row[0] for row in rows_of(frame))
    assert isinstance(frame.index, pd.CategoricalIndex)


def test_a_filter_is_asked_by_groups_and_rolled_up(vq):
    """The API has no filters; what stands for them is Arrow's work."""
    all_of_them = build_query(vq).fetch()
    one = vq.call().count().where(assistantId="a3").between("2026-10-12", "2026-11-16").tz("America/New_York").fetch()
    assert one["countId"].tolist() == [all_of_them.loc["a3", "countId"]]


def test_two_periods_are_compared(vq):
    """A comparison asks and pairs."""
    compared = vq.call().count().step("day").between("2026-10-19", "2026-10-26").compare("previous").fetch()
    assert len(compared) == 7
    assert compared["countId"].sum() == vq.call().count().between("2026-10-19", "2026-10-26").fetch()["countId"].sum()


def test_two_queries_are_one_request():
    """Several queries go out together, and come back by their names."""
    with Server(counting(CALLS, NOW)) as server:
        vq = connected(server, now=NOW)
        frames = vq.fetch(vq.call().count().last("7d").named("one"), vq.call().sum("cost").last("1d").named("two"))
        assert list(frames) == ["one", "two"]
        assert len(server.requests) == 1


def test_a_partial_bucket_is_known_and_dropped(vq):
    """The calendar is of the core."""
    with pytest.warns(QueryWarning, match="VF20[56]"):
        frame = vq.call().count().step("day").last("48h").fetch()
    assert frame.vapi.partial.tolist() == [True, False, True]
    assert frame.vapi.drop_partial().index.tolist() == [pd.Timestamp("2026-11-15", tz="UTC")]


def test_answers_are_kept_and_recorded(tmp_path):
    """A cache and a recording give the results again without a server."""
    with Server(counting(CALLS, NOW)) as server:
        kept = vf.connect(KEY, base_url=server.url, cache=tmp_path / "cache")
        first = build_query(kept).step("day").fetch()
        before = len(server.requests)
        same(build_query(kept).step("day").fetch(), first)
        assert len(server.requests) == before
        assert len(vf.cache.info(tmp_path / "cache")) > 0
        vq = vf.record(tmp_path / "tape", vf.connect(KEY, base_url=server.url))
        recorded = build_query(vq).fetch()
    same(build_query(vf.replay(tmp_path / "tape")).fetch(), recorded)


def test_a_query_from_the_shell_is_asked_of_the_api(monkeypatch, capsys, tmp_path):
    """The command asks, and writes each kind of file."""
    monkeypatch.setenv("VAPI_API_KEY", KEY)
    code = 'vq.call().count().by("assistantId").between("2026-10-12", "2026-10-19")'
    with Server(counting(CALLS, NOW)) as server:
        assert main(["query", code, "--base-url", server.url]) == 0
        header, *lines = capsys.readouterr().out.splitlines()
        for suffix in ("parquet", "csv", "json"):
            path = tmp_path / f"n.{suffix}"
            assert main(["query", code, "--base-url", server.url, "--out", str(path)]) == 0
    assert header == "assistantId,countId"
    counts = dict(line.split(",") for line in lines)
    assert {row["assistantId"]: str(row["countId"]) for row in json.loads((tmp_path / "n.json").read_text())} == counts
    assert (tmp_path / "n.csv").read_text().splitlines() == [header, *lines]
    assert vf.load(tmp_path / "n.parquet")["countId"].astype(str).to_dict() == counts


def test_a_query_says_what_it_is_without_being_asked():
    """Body, code, lint and plan of a query need the core only."""
    query = vf.vq.call().avg("cost").step("day").during("2026-10")
    assert query.body()["queries"][0]["operations"][0]["column"] == "cost"
    assert vf.Query.from_body(query.body()).body() == query.body()
    assert query.lint() is not None
    assert query.curl().startswith("curl -sS https://api.vapi.ai/analytics ")
    assert str(query.explain())


def test_sample_records_need_no_engine():
    """The sample is made by pandas and numpy."""
    assert len(vf.sample_calls(500)) == 500
