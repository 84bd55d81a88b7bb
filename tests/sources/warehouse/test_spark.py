"""Spark only: names in quotes that it changes or cannot tell apart, cancellation, rows before Spark 4."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest

import vapi_frames as vf
from tests.support.engines import CALLS, JAVA_OPTIONS, NOW, cancel_running, flat, load_spark
from tests.support.notebooks import ON_SPARK, check_run
from tests.support.queries import ALL, CALL, QUERIES
from tests.support.reference import compute
from tests.support.requirements import require
from tests.support.shapes import check
from vapi_frames.errors import RecordsError, SourceError

pytestmark = [
    pytest.mark.extra("warehouse"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning"),
]
COUNT = CALL.count().between(*ALL)


def fetch(session, view, query, **options):
    """Return the frame of *query* over a view."""
    [frame] = vf.warehouse(session, view, now=NOW, **options).fetch(query).values()
    return frame


@pytest.fixture(scope="module")
def rows(spark):
    """Return three calls with flat columns."""
    return spark.createDataFrame(flat(CALLS[:3]).select(["id", "createdAt", "cost"]))


def test_names_that_spark_would_change_are_refused(spark, rows):
    """Spark replaces ${...} by its settings and the environment, even in quotes."""
    rows.withColumn("variableValues.${env:HOME}", rows.id).createOrReplaceTempView("odd")
    with pytest.raises(RecordsError, match="cannot be used: Spark replaces"):
        fetch(spark, "odd", CALL.count().by_variable("${env:HOME}").between(*ALL))
    with pytest.raises(RecordsError, match="cannot be used"):
        fetch(spark, ("${spark.app.name}",), COUNT)
    assert fetch(spark, "odd", COUNT)["countId"].tolist() == [3]


def test_names_that_spark_cannot_tell_apart_are_refused(spark, rows):
    """It cannot tell `cost` from `COST`, also in structs: an error, never another column."""
    rows.selectExpr("*", "cost + 1 AS COST").createOrReplaceTempView("odd")
    with pytest.raises(RecordsError, match="'COST' where the query uses 'cost'"):
        fetch(spark, "odd", CALL.sum("cost").between(*ALL))
    assert fetch(spark, "odd", COUNT)["countId"].tolist() == [3]
    parts = "struct(1.5D AS llm, 2.5D AS LLM) AS costBreakdown"
    spark.sql(f"SELECT {parts}, timestamp_micros(1) AS createdAt").createOrReplaceTempView("odd")
    with pytest.raises(RecordsError, match="'LLM' where the query uses 'llm'"):
        fetch(spark, "odd", CALL.sum("costBreakdown.llm").between(*ALL))


def test_json_text_is_read(spark):
    """Columns are found in JSON text; text that is no JSON is an error."""
    spark.sql(
        """SELECT '1' AS id, timestamp_micros(1790000000000000) AS createdAt,
        '{"llm": 0.5, "analysisCostBreakdown": {"summary": 0.25}}' AS costBreakdown,
        '{"variableValues": {"plan": "pro", "a.b": 7, "none": null}}' AS artifact
        UNION ALL SELECT '2', timestamp_micros(1790000000000000), NULL, ''"""
    ).createOrReplaceTempView("pieces")
    query = CALL.sum("costBreakdown.llm", "costBreakdown.analysisBreakdown.summary").by_variable("plan", "a.b", "none")
    frame = fetch(spark, "pieces", query.during("2026-09"))
    assert frame.index[0][:2] == ("pro", "7")
    assert frame.iloc[0].tolist() == [0.5, 0.25]
    assert frame.isna().sum().tolist() == [1, 1]
    spark.sql("SELECT id, createdAt, 'not JSON' AS artifact FROM pieces").createOrReplaceTempView("odd")
    with pytest.raises(RecordsError, match="artifact is 'not JSON', not an object"):
        fetch(spark, "odd", CALL.count().by_variable("plan").during("2026-09"))


def test_rows_are_read_where_spark_has_no_arrow_tables(spark):
    """Before Spark 4 a frame has no toArrow: its rows are collected."""
    load_spark(spark, CALLS)

    class Older:
        """A session of an older Spark."""

        def __init__(self):
            self.createDataFrame = spark.createDataFrame

        def sql(self, text):
            found = spark.sql(text)

            class Frame:
                schema = found.schema
                collect = found.collect

            return Frame()

    for name in ("by two", "hour in Europe/London", "history"):
        query = QUERIES[name]
        check(fetch(Older(), "calls", query), query, compute(CALLS, query, NOW))


@pytest.mark.long
@pytest.mark.engine("spark")
@pytest.mark.parametrize("mode", ["connect", "cluster"])
def test_other_modes_of_spark_give_the_same_frames(mode):
    """Spark Connect has no context in its session, and a cluster runs its workers as separate processes."""
    require(find_spec("pyspark"), "pyspark is not installed")
    require(shutil.which("java") or os.environ.get("JAVA_HOME"), "there is no Java for Spark")
    command = [sys.executable, "-m", "tests.support.spark_modes", mode]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert ("sql.connect." in done.stdout) == (mode == "connect")
    assert "3 queries on" in done.stdout


def test_a_canceled_query_ends(spark):
    """Its jobs are canceled and no others, and the session stays usable."""
    spark.sql(
        "SELECT CAST(a.id AS STRING) AS id, timestamp_micros(1790000000000000 + b.id) AS createdAt "
        "FROM range(10000000000) a CROSS JOIN range(1000) b"
    ).createOrReplaceTempView("endless")
    vq = vf.warehouse(spark, "endless", now=NOW)
    cancel_running(vq.call().count().during("2026-09"))
    assert not spark.sparkContext.getJobTags()
    assert spark.sql("SELECT 1").collect()[0][0] == 1


def test_a_path_is_no_table_of_spark(spark, tmp_path):
    """Spark would read the files of `parquet`.`/data`."""
    vf.sample_calls(10).to_parquet(tmp_path / "calls.parquet")
    with pytest.raises(SourceError, match=r"no table or view .* in its catalog; for files, use vf.local\(path\)"):
        fetch(spark, ("parquet", str(tmp_path / "calls.parquet")), COUNT)


def test_an_error_of_spark_is_a_source_error(spark):
    """The message has the first line of Spark's."""
    with pytest.raises(SourceError, match=r"spark could not run the query: \[TABLE_OR_VIEW_NOT_FOUND\]") as caught:
        fetch(spark, "nowhere", COUNT)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.long
def test_the_notebook_on_spark_runs_and_shows_its_outputs(spark, monkeypatch):
    """It runs from top to bottom in a session of its own, and its committed outputs are those of the run."""
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", f'--driver-java-options "{JAVA_OPTIONS}" pyspark-shell')
    check_run(ON_SPARK)
