"""What is Spark's own: names in quotes that it changes or mixes up, work that is called off, answers before Spark 4."""

from __future__ import annotations

import pytest

import vapi_frames as vf
from tests.support.engines import CALLS, NOW, called_off, flat, load_spark
from tests.support.notebooks import ON_SPARK, check_run
from tests.support.questions import ALL, CALL, QUESTIONS
from tests.support.reference import answer
from tests.support.shapes import check
from vapi_frames.errors import RecordsError, SourceError

pytestmark = pytest.mark.filterwarnings(
    "ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning"
)
COUNT = CALL.count().between(*ALL)


def ask(session, view, query, **options):
    """Return the frame that answers *query* from a view."""
    [frame] = vf.warehouse(session, view, now=NOW, **options).fetch(query).values()
    return frame


@pytest.fixture(scope="module")
def rows(spark):
    """Return three calls with flat columns."""
    return spark.createDataFrame(flat(CALLS[:3]).select(["id", "createdAt", "cost"]))


def test_names_that_spark_would_change_are_refused(spark, rows):
    """Spark puts its settings and the environment in the place of ${...}, even in quotes."""
    rows.withColumn("variableValues.${env:HOME}", rows.id).createOrReplaceTempView("odd")
    with pytest.raises(RecordsError, match="cannot be used: Spark replaces"):
        ask(spark, "odd", CALL.count().by_variable("${env:HOME}").between(*ALL))
    with pytest.raises(RecordsError, match="cannot be used"):
        ask(spark, ("${spark.app.name}",), COUNT)
    assert ask(spark, "odd", COUNT)["countId"].tolist() == [3]


def test_names_that_spark_would_mix_up_are_refused(spark, rows):
    """`cost` and `COST` are one name to it, in structs too: an error, never another column."""
    rows.selectExpr("*", "cost + 1 AS COST").createOrReplaceTempView("odd")
    with pytest.raises(RecordsError, match="'COST' where the query uses 'cost'"):
        ask(spark, "odd", CALL.sum("cost").between(*ALL))
    assert ask(spark, "odd", COUNT)["countId"].tolist() == [3]
    parts = "struct(1.5D AS llm, 2.5D AS LLM) AS costBreakdown"
    spark.sql(f"SELECT {parts}, timestamp_micros(1) AS createdAt").createOrReplaceTempView("odd")
    with pytest.raises(RecordsError, match="'LLM' where the query uses 'llm'"):
        ask(spark, "odd", CALL.sum("costBreakdown.llm").between(*ALL))


def test_json_text_is_read(spark):
    """What lies in text that is JSON is found; text that is none is an error that says so."""
    spark.sql(
        """SELECT '1' AS id, timestamp_micros(1790000000000000) AS createdAt,
        '{"llm": 0.5, "analysisCostBreakdown": {"summary": 0.25}}' AS costBreakdown,
        '{"variableValues": {"plan": "pro", "a.b": 7, "none": null}}' AS artifact
        UNION ALL SELECT '2', timestamp_micros(1790000000000000), NULL, ''"""
    ).createOrReplaceTempView("pieces")
    query = CALL.sum("costBreakdown.llm", "costBreakdown.analysisBreakdown.summary").by_variable("plan", "a.b", "none")
    frame = ask(spark, "pieces", query.during("2026-09"))
    assert frame.index[0][:2] == ("pro", "7")
    assert frame.iloc[0].tolist() == [0.5, 0.25]
    assert frame.isna().sum().tolist() == [1, 1]
    spark.sql("SELECT id, createdAt, 'not JSON' AS artifact FROM pieces").createOrReplaceTempView("odd")
    with pytest.raises(
        SourceError, match=r"spark could not answer: (?s:.*)(MALFORMED_RECORD_IN_PARSING|Unrecognized token)"
    ):
        ask(spark, "odd", CALL.count().by_variable("plan").during("2026-09"))


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
        query = QUESTIONS[name]
        check(ask(Older(), "calls", query), query, answer(CALLS, query, NOW))


def test_an_answer_that_nobody_waits_for_ends(spark):
    """Its jobs are cancelled and no others, and the session works on."""
    spark.sql(
        "SELECT CAST(a.id AS STRING) AS id, timestamp_micros(1790000000000000 + b.id) AS createdAt "
        "FROM range(10000000000) a CROSS JOIN range(1000) b"
    ).createOrReplaceTempView("endless")
    vq = vf.warehouse(spark, "endless", now=NOW)
    called_off(vq.call().count().during("2026-09"))
    assert not spark.sparkContext.getJobTags()
    assert spark.sql("SELECT 1").collect()[0][0] == 1


def test_what_spark_says_is_an_error_of_ours(spark):
    """A view that is not there, and the first line of what Spark says of it."""
    with pytest.raises(SourceError, match=r"spark could not answer: \[TABLE_OR_VIEW_NOT_FOUND\]") as caught:
        ask(spark, "nowhere", COUNT)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_the_notebook_on_spark_runs_and_shows_what_it_did(spark):
    """It runs a session of its own, from top to bottom, and its committed outputs are those of the run."""
    check_run(ON_SPARK)
