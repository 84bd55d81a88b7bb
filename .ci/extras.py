"""Do what the extra of the first argument is for, in an environment that has no other extra."""

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


def asked(vq: vf.Vq) -> pd.DataFrame:
    """Ask a query, and see that there are calls."""
    frame = vq.call().sum("cost").count().by("type").step("day").between(*NOVEMBER).fetch()
    assert frame["countId"].sum() > 0
    return frame


def local() -> None:
    """Answer from records."""
    asked(vf.demo())


def plot() -> None:
    """Draw a frame."""
    import matplotlib as mpl

    mpl.use("Agg")
    vf.to_frame(REPLY, vf.vq.call().count().by("type")).vapi.plot()


def polars() -> None:
    """Give the result as a polars frame."""
    from tests.support.wires import Calls, Wire, over

    frame = over(Wire(Calls())).call().count().step("day").between(*NOVEMBER).to_polars()
    assert frame.shape == (7, 2)


def progress() -> None:
    """Make the bar of a notebook."""
    from vapi_frames.sources.progress import Progress, _Bar

    bar = _Bar(Progress(0, 4, 0, 0.0, ""))
    bar.draw(Progress(2, 4, 1, 1.0, ""), "2 of 4 pieces")
    bar.close(leave=True)


def style() -> None:
    """Make a table for a report."""
    assert "<table" in vf.to_frame(REPLY, vf.vq.call().count().by("type")).vapi.style().to_html()


def excel() -> None:
    """Write a sheet."""
    with tempfile.TemporaryDirectory() as folder:
        vf.to_frame(REPLY, vf.vq.call().count().by("type")).vapi.for_excel().to_excel(f"{folder}/calls.xlsx")


def warehouse() -> None:
    """Write the SQL of another engine; its connection is the caller's."""
    vf.warehouse(SimpleNamespace(cursor=lambda: None), "calls", dialect="postgres")


def server() -> None:
    """Answer over HTTP."""
    from tests.support.endpoint import KEY, running
    from tests.support.wires import Calls, Wire, over

    with running(over(Wire(Calls())).source) as endpoint:
        asked = vf.connect(KEY, base_url=endpoint.url)
        assert asked.call().count().between(*NOVEMBER).fetch()["countId"].sum() > 0


def spark() -> None:
    """Ask a Spark session."""
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    with tempfile.TemporaryDirectory() as folder:
        vf.sample_calls(2_000).to_parquet(f"{folder}/calls.parquet", coerce_timestamps="us")
        session.read.parquet(f"{folder}/calls.parquet").createOrReplaceTempView("calls")
        asked(vf.warehouse(session, "calls"))
    session.stop()


def postgres() -> None:
    """Load the driver, and write the SQL; the server is another's."""
    import psycopg

    assert psycopg.pq.__impl__ == "binary"
    warehouse()


def clickhouse() -> None:
    """Ask ClickHouse in the process."""
    import chdb.dbapi

    connection = chdb.dbapi.connect()
    with tempfile.TemporaryDirectory() as folder:
        vf.sample_calls(2_000).to_parquet(f"{folder}/calls.parquet", coerce_timestamps="us")
        connection.cursor().execute(
            f"CREATE TABLE calls ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM file('{folder}/calls.parquet')"
        )
        asked(vf.warehouse(connection, "calls", dialect="clickhouse"))
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
    """Find the builder of the site and its parts."""
    import material
    import mkdocs_jupyter
    import mkdocstrings_handlers.python

    assert material
    assert mkdocs_jupyter
    assert mkdocstrings_handlers.python
    run("mkdocs", "--version")


def dev() -> None:
    """Find each tool."""
    for tool in ("ruff", "codespell", "mypy", "pyright", "coverage", "twine", "pytest", "mkdocs"):
        run(tool, "--version")
    run("pyproject-build", "--version")


def bench() -> None:
    """Find what the benchmarks measure with, and against."""
    import msgspec
    import orjson
    import pytest_benchmark

    assert msgspec.json.decode(orjson.dumps([1])) == [1]
    assert pytest_benchmark.__version__


assert "site-packages" in vf.__file__
globals()[sys.argv[1]]()
print(f"works, on pandas {pd.__version__}")
