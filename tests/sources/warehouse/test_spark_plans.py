"""How Spark shares the work of a query: its plan has one shuffle, and only aggregated rows leave the engine."""

from __future__ import annotations

import re

import pyarrow.parquet
import pytest

import vapi_frames as vf
from tests.support.engines import CALLS, NOW, flat
from tests.support.queries import CALL
from vapi_frames.sources.warehouse import source
from vapi_frames.sources.warehouse.render import render

pytestmark = [
    pytest.mark.extra("warehouse"),
    pytest.mark.engine("spark"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning"),
]
NEW_YORK = "America/New_York"
YEAR = "2026-01-01", "2026-11-20"
SUBSCRIPTION = vf.vq.subscription()
SHARED = "hashpartitioning"
QUERIES = {
    "cost by day": CALL.sum("cost").step("day").tz(NEW_YORK),
    "minutes by week and type": CALL.avg("duration").by("type").step("week").tz(NEW_YORK),
    "count by month": CALL.count().step("month").tz(NEW_YORK),
    "count": CALL.count(),
    "reasons": CALL.count().by("endedReason"),
}
CONCURRENCY = {
    "by hour": SUBSCRIPTION.max("concurrency").step("hour").tz(NEW_YORK),
    "average by day": SUBSCRIPTION.avg("concurrency").step("day").tz(NEW_YORK),
    "by month": SUBSCRIPTION.max("concurrency").min("concurrency").step("month").tz(NEW_YORK),
    "of the whole range": SUBSCRIPTION.max("concurrency"),
    "history by hour": SUBSCRIPTION.history("concurrency").step("hour"),
    "history": SUBSCRIPTION.history("concurrency"),
}


@pytest.fixture(scope="module")
def files(spark, tmp_path_factory):
    """Make a view of a Parquet file, and one of files in a folder for each time of creation."""
    folder = tmp_path_factory.mktemp("plans")
    table = flat(CALLS)
    pyarrow.parquet.write_table(table, folder / "calls.parquet")
    spark.read.parquet(str(folder / "calls.parquet")).createOrReplaceTempView("in_one_file")
    few = spark.createDataFrame(table.slice(0, 4).select(["id", "createdAt", "cost"]))
    few.write.partitionBy("createdAt").parquet(str(folder / "few"))
    spark.read.schema(few.schema).parquet(str(folder / "few")).createOrReplaceTempView("in_folders")


@pytest.fixture
def explain(spark, files, monkeypatch):
    """Return a function that fetches a query, and returns the plan of its result and how many rows Spark returned."""

    def explain_query(query, view="in_one_file"):
        texts = []
        monkeypatch.setattr(source, "render", lambda *args: texts.append(render(*args)) or texts[-1])
        vq = vf.warehouse(spark, view, now=NOW)
        driver = vq.source._driver
        run, counts = driver.run, []

        def run_and_count(text):
            found = run(text)
            counts.append(len(found))
            return found

        driver.run = run_and_count
        [frame] = vq.fetch(query.between(*YEAR)).values()
        plan = spark.sql(f"EXPLAIN FORMATTED {texts[-1]}").collect()[0][0]
        return plan, counts, len(frame)

    return explain_query


def operators(plan):
    """Return the names of the operators of a plan, from the result down."""
    tree = plan.partition("\n\n")[0]
    return [name.strip() for name in re.findall(r"^[\s:+*|-]*([A-Z][A-Za-z ]+?)\s*\(\d+\)", tree, re.MULTILINE)]


@pytest.mark.parametrize("name", [name for name, query in QUERIES.items() if query.levels])
def test_what_is_aggregated_is_shuffled_once(explain, name):
    """Each task aggregates its part of the table before the one shuffle, and only the groups come back."""
    plan, counts, groups = explain(QUERIES[name])
    found = operators(plan)
    assert found[:3] == ["HashAggregate", "Exchange", "HashAggregate"]
    assert found.count("Exchange") == 1
    assert found[-1].startswith("Scan parquet")
    assert SHARED in plan
    assert "SinglePartition" not in plan
    assert max(counts) == groups


@pytest.mark.parametrize("name", CONCURRENCY)
def test_concurrency_is_shuffled_once_and_by_time(explain, name):
    """No task sorts the changes of all time: each has some buckets, or days, whatever the step."""
    plan, counts, _ = explain(CONCURRENCY[name])
    found = operators(plan)
    assert found.count("Exchange") == 1
    assert len([one for one in found if one.startswith("Scan parquet")]) == 1, "starts and ends are read together"
    assert "SinglePartition" not in plan
    shared = re.search(rf"{SHARED}\((.*?), \d+\)", plan).group(1)
    assert "g0" in shared or "g2" in shared or "t#" in shared
    if name != "history":  # the result of a history is all its rows
        assert max(counts) < len(CALLS)


@pytest.mark.parametrize("view", ["in_one_file", "in_folders"])
def test_only_the_files_of_the_range_are_read(explain, view):
    """The range stands on the bare column: Spark skips folders and, by their statistics, row groups."""
    plan, _, _ = explain(CALL.sum("cost").step("day").tz(NEW_YORK), view)
    word = "PushedFilters" if view == "in_one_file" else "PartitionFilters"
    [filters] = re.findall(rf"{word}: \[(.*)\]", plan)
    assert re.search(r"createdAt[^,]*(>=|,)\s*2025-12-31|createdAt,2026-01-01|createdAt#\d+ >= 2025-12-31", filters)


def count_read(spark, text):
    """Run *text* and return how many rows its one scan read."""
    found = spark.sql(text)
    found.collect()
    node = found._jdf.queryExecution().executedPlan()
    while not node.nodeName().startswith("Scan"):
        kind = node.getClass().getSimpleName()
        node = (
            node.executedPlan() if kind == "AdaptiveSparkPlanExec"
            else node.plan() if kind.endswith("QueryStageExec") else node.children().head()
        )  # fmt: skip
    return node.metrics().apply("numOutputRows").value()


def test_row_groups_of_other_times_are_not_read(spark, tmp_path):
    """Their statistics say that no value is missing, and none in the range."""
    times = sorted({one["createdAt"] for one in CALLS})
    size = len(times) // 8
    table = pyarrow.table({"id": [str(at) for at in range(len(times))], "createdAt": times, "cost": [1.0] * len(times)})
    pyarrow.parquet.write_table(table, tmp_path / "calls.parquet", row_group_size=size)
    spark.read.parquet(str(tmp_path / "calls.parquet")).createOrReplaceTempView("in_groups")
    texts = []
    vq = vf.warehouse(spark, "in_groups", now=NOW)
    run = vq.source._driver.run
    vq.source._driver.run = lambda text: texts.append(text) or run(text)
    found = vq.call().sum("cost").between(times[3 * size], times[4 * size]).fetch()
    assert found.iloc[0, 0] == size
    assert count_read(spark, texts[-1]) == size


@pytest.mark.parametrize("name", [*QUERIES, *CONCURRENCY])
def test_no_dictionary_is_expanded(explain, name):
    """To see whether a row group can be skipped, Spark makes a set of all values that a bare comparison may meet."""
    plan, _, _ = explain({**QUERIES, **CONCURRENCY}[name])
    [filters] = re.findall(r"PushedFilters: \[(.*)\]", plan)
    assert re.match(r"Or\(IsNull\((createdAt|startedAt)\),", filters)
    assert not re.search(r"^(Less|Greater)|\), (Less|Greater|And)", filters)


@pytest.mark.parametrize("name", ["count", "count by month", "reasons"])
def test_a_count_does_not_read_the_ids(explain, name):
    """Spark would read all of them to see that none is missing, which the statistics of the file say."""
    plan, _, _ = explain(QUERIES[name])
    [schema] = re.findall(r"ReadSchema: struct<(.*)>", plan)
    assert "id:" not in schema.split(",")[0]
    assert "createdAt" in schema


def test_calls_without_an_id_are_noted_in_each_query(spark):
    """Where the table has some, each query counts those among its own calls."""
    table = flat(CALLS)
    ids = [None if at % 3 == 0 else one for at, one in enumerate(table["id"].to_pylist())]
    spark.createDataFrame(table.set_column(0, "id", [ids])).createOrReplaceTempView("without_ids")
    vq = vf.warehouse(spark, "without_ids", now=NOW)
    for year in ("2026", "2018"):
        missing = sum(at % 3 == 0 and str(one["createdAt"].year) == year for at, one in enumerate(CALLS))
        frame = vq.call().count().by("type").during(year).fetch()
        assert f"calls without an id: {missing}; each is counted" in frame.vapi.meta.notes


def test_the_seconds_of_an_instant_are_one_function(explain):
    """Its microseconds, divided, take longer."""
    plan, _, _ = explain(QUERIES["cost by day"])
    assert "unix_seconds(createdAt" in plan
    assert "unix_micros(createdAt" not in plan
