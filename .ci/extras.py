"""Use what the extra named by the first argument adds, in an environment without other extras."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pandas as pd

import vapi_frames as vf

NOVEMBER = ("2026-11-01", "2026-11-08")
REPLY = '[{"name":"n","timeRange":{},"result":[{"type":"webCall","countId":"3"},{"type":"sip","countId":"1"}]}]'


def run(*command: str) -> None:
    """Run a tool of the environment."""
    subprocess.run([Path(sys.executable).with_name(command[0]), *command[1:]], check=True, stdout=subprocess.DEVNULL)


def check_query(vq: vf.Vq) -> pd.DataFrame:
    """Fetch a query, and check that it finds calls."""
    frame = vq.call().sum("cost").count().by("type").step("day").between(*NOVEMBER).fetch()
    assert frame["countId"].sum() > 0
    return frame


def completion() -> None:
    """Print the completion of a shell."""
    run("vapi-frames", "--completion", "bash")


def local() -> None:
    """Query call records."""
    check_query(vf.demo())


def cloud() -> None:
    """Load the file systems, and DuckDB; no bucket is needed."""
    import fsspec

    assert [fsspec.get_filesystem_class(scheme).__name__ for scheme in ("s3", "gs", "az")]
    check_query(vf.demo())


def plot() -> None:
    """Draw a frame."""
    import matplotlib as mpl

    mpl.use("Agg")
    vf.to_frame(REPLY, vf.vq.call().count().by("type")).vapi.plot()


def polars() -> None:
    """Fetch a result as a polars frame."""
    from tests.support.wires import Calls, Wire, over

    frame = over(Wire(Calls())).call().count().step("day").between(*NOVEMBER).to_polars()
    assert frame.shape == (7, 2)


def progress() -> None:
    """Draw the progress bar of a notebook."""
    from vapi_frames.sources.progress import Progress, _Bar

    bar = _Bar(Progress(0, 4, 0, 0.0, ""))
    bar.draw(Progress(2, 4, 1, 1.0, ""), "2 of 4 pieces")
    bar.close(leave=True)


def style() -> None:
    """Make a table for a report."""
    assert "<table" in vf.to_frame(REPLY, vf.vq.call().count().by("type")).vapi.style().to_html()


def excel() -> None:
    """Write an Excel file."""
    with tempfile.TemporaryDirectory() as folder:
        vf.to_frame(REPLY, vf.vq.call().count().by("type")).vapi.to_excel(f"{folder}/calls.xlsx")


def warehouse() -> None:
    """Render SQL for another engine, with a connection of the caller."""
    vf.warehouse(SimpleNamespace(cursor=lambda: None), "calls", dialect="postgres")


def sqlalchemy() -> None:
    """Name a database by its URL; nothing connects before the first query."""
    vf.warehouse("sqlite://", "calls", dialect="postgres").close()


def server() -> None:
    """Query an endpoint over HTTP."""
    from tests.support.endpoint import KEY, running
    from tests.support.wires import Calls, Wire, over

    with running(over(Wire(Calls())).source) as endpoint:
        client = vf.connect(KEY, base_url=endpoint.url)
        assert client.call().count().between(*NOVEMBER).fetch()["countId"].sum() > 0


def mcp() -> None:
    """Make the server of an assistant's tools."""
    from vapi_frames.cli.mcp import make_server
    from vapi_frames.cli.tools import Tools

    assert make_server(Tools(vf.demo())).name == "vapi-frames"


def spark() -> None:
    """Query a Spark session."""
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    with tempfile.TemporaryDirectory() as folder:
        vf.sample_calls(2_000).to_parquet(f"{folder}/calls.parquet", coerce_timestamps="us")
        session.read.parquet(f"{folder}/calls.parquet").createOrReplaceTempView("calls")
        check_query(vf.warehouse(session, "calls"))
    session.stop()


def postgres() -> None:
    """Load the driver, and render the SQL; no server is needed."""
    import psycopg

    assert psycopg.pq.__impl__ == "binary"
    warehouse()


def clickhouse() -> None:
    """Query ClickHouse in this process."""
    import chdb.dbapi

    connection = chdb.dbapi.connect()
    with tempfile.TemporaryDirectory() as folder:
        vf.sample_calls(2_000).to_parquet(f"{folder}/calls.parquet", coerce_timestamps="us")
        connection.cursor().execute(
            f"CREATE TABLE calls ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM file('{folder}/calls.parquet')"
        )
        check_query(vf.warehouse(connection, "calls", dialect="clickhouse"))
    connection.close()


def test() -> None:
    """Collect the tests."""
    run(
        "pytest",
        "--collect-only",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        "--rootdir=.",
        "tests/query/test_query.py",
    )


def docs() -> None:
    """Import the tools that build the site."""
    import material
    import mkdocs_jupyter
    import mkdocstrings_handlers.python

    assert material
    assert mkdocs_jupyter
    assert mkdocstrings_handlers.python
    run("mkdocs", "--version")


def dev() -> None:
    """Run each tool."""
    for tool in ("ruff", "codespell", "mypy", "pyright", "coverage", "twine", "pytest", "mkdocs"):
        run(tool, "--version")
    run("pyproject-build", "--version")


def bench() -> None:
    """Import the packages that the benchmarks need."""
    import msgspec
    import orjson
    import pytest_benchmark

    assert msgspec.json.decode(orjson.dumps([1])) == [1]
    assert pytest_benchmark.__version__


assert "site-packages" in vf.__file__
globals()[sys.argv[1]]()
print(f"works, on pandas {pd.__version__}")
