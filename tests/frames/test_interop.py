"""At home among its neighbors: whatever reads Arrow reads a query, and gets the numbers of the frame."""

from __future__ import annotations

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import vapi_frames as vf
from vapi_frames.errors import QueryError
from vapi_frames.query.query import Query

pytestmark = [
    pytest.mark.extra("local"),
    *(pytest.mark.filterwarnings(f"ignore::vapi_frames.errors.{name}") for name in ("QueryWarning", "RecordsWarning")),
]

SHAPES = {
    "one row": lambda vq: vq.call().sum("cost").count().during("2026-10"),
    "groups": lambda vq: vq.call().avg("duration").count().by("assistantId", "type").during("2026-10"),
    "variable": lambda vq: vq.call().count().by_variable("plan").during("2026-10"),
    "buckets": lambda vq: vq.call().sum("cost").step("day").during("2026-10").tz("America/New_York"),
    "both": lambda vq: vq.call().sum("cost").count().by("type").step("week").last("5w").tz("Europe/London"),
    "history": lambda vq: vq.subscription().history("concurrency").during("2026-10-05"),
    "nothing": lambda vq: vq.call().sum("cost").count().by("type").during("2026-01"),
    "nothing at all": lambda vq: vq.call().sum("cost").count().during("2026-01"),
    "filtered": lambda vq: vq.call().count().by("type").where(endedReason="voicemail").during("2026-10"),
}


class Counting:
    """Delegates to another source, and counts the calls of `answer`."""

    def __init__(self, source):
        self._source = source
        self.kind = source.kind
        self.times = 0

    def now(self):
        return self._source.now()

    def answer(self, queries, now):
        self.times += 1
        return self._source.answer(queries, now)


@pytest.fixture
def source():
    return Counting(vf.demo().source)


@pytest.fixture
def vq(source):
    return vf.Vq(lambda: source)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_query_is_read_as_its_result(vq, shape):
    """polars, pyarrow and DuckDB get the rows and types of to_arrow, and to_arrow those of the frame."""
    query = SHAPES[shape](vq)
    expected = query.to_arrow()
    assert pa.table(query).equals(expected)
    assert pl.DataFrame(query).equals(query.to_polars())
    found = duckdb.sql("FROM query").to_arrow_table() if len(expected) else pa.table(query)
    assert found.column_names == expected.column_names
    assert found.to_pylist() == expected.to_pylist()
    frame = query.fetch(dtype_backend="pyarrow")
    frame = frame.reset_index() if query.levels else frame
    assert pa.Table.from_pandas(frame, preserve_index=False).to_pylist() == expected.to_pylist()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_types_are_known_before_anyone_is_asked(vq, source, shape):
    """The schema of a query is that of its result, also of a query without a source."""
    query = SHAPES[shape](vq)
    schema = pa.schema(query)
    assert source.times == 0
    assert schema.equals(query.to_arrow().schema)
    if not query.filters and query.timezone is None:
        assert pa.schema(Query.from_body(query.body())).equals(schema)


def test_each_reading_asks_once(vq, source):
    """A result is not kept behind one's back: two readings are two queries."""
    query = vq.call().count().by("type").during("2026-10")
    for times, read in enumerate((pl.DataFrame, pa.table, lambda one: duckdb.sql("FROM one").fetchall()), start=1):
        read(query)
        assert source.times == times


def test_a_query_without_a_source_says_so():
    """The reader gets the error of fetch."""
    query = Query.from_body(vf.vq.call().count().during("2026-10").body())
    with pytest.raises(QueryError, match="the query has no source"):
        pa.table(query)


@pytest.mark.parametrize("shape", ["one row", "groups", "buckets", "both"])
def test_a_comparison_is_read_as_its_answer(vq, shape):
    """As the frame has it, index first: every value, and null where it is missing."""
    comparison = SHAPES[shape](vq).compare("previous")
    frame = comparison.fetch(dtype_backend="pyarrow")
    table = comparison.to_arrow()
    levels = list(comparison.query.levels)
    assert table.column_names == [*levels, *frame.columns]
    assert table.schema.metadata is None
    for name in frame.columns:
        assert table[name].to_pylist() == [
            None if value is None else value for value in pa.array(frame[name]).to_pylist()
        ]
    for name in levels:
        expected = pa.schema(comparison.query).field(name).type
        assert table.schema.field(name).type == expected
    assert pa.table(comparison).equals(table)
    assert pl.DataFrame(comparison).equals(comparison.to_polars())
    assert duckdb.sql("FROM comparison").to_arrow_table().to_pylist() == table.to_pylist()


def test_polars_goes_on_from_there(vq):
    """A polars user groups and joins without a pandas frame between."""
    daily = pl.DataFrame(vq.call().sum("cost").by("type").step("day").during("2026-10"))
    monthly = daily.group_by("type").agg(pl.col("sumCost").sum()).sort("type")
    expected = vq.call().sum("cost").by("type").during("2026-10").fetch()["sumCost"]
    assert monthly["sumCost"].to_list() == pytest.approx(expected.tolist())
    assert daily.schema["date"] == pl.Datetime("us", "UTC")
