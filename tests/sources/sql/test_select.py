"""The SELECT of typical queries, as text to review: data/select.sql.

`PYTHONPATH=. python tests/sources/sql/test_select.py` writes the file anew; read what changed before committing it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import vapi_frames as vf
from vapi_frames.calendar.ranges import fill_defaults
from vapi_frames.sources.records.columns import ColumnExpr, find_columns
from vapi_frames.sources.records.duckdb import DUCKDB
from vapi_frames.sources.sql import concurrency
from vapi_frames.sources.sql.select import quote_name, write_select

pytestmark = pytest.mark.extra("local")

SNAPSHOTS = Path(__file__).parents[2] / "data" / "select.sql"
NOW = datetime(2026, 11, 16, tzinfo=UTC)
call, subscription = vf.vq.call(), vf.vq.subscription()
NEW_YORK = "America/New_York"
QUERIES = {
    "what did it cost": call.sum("cost").during("2026-10"),
    "how many calls a day": call.count().step("day").during("2026-10"),
    "cost and minutes by assistant": call.sum("cost", "duration").by("assistantId").during("2026-10"),
    "why did calls end": call.count().by("endedReason").last("7d"),
    "cost by day in New York, over a change of the clock": call.sum("cost").step("day").tz(NEW_YORK).during("2026-11"),
    "calls by hour in New York": call.count().step("hour").tz(NEW_YORK).during("2026-11-01"),
    "weeks in Kathmandu": call.avg("duration").with_counts().step("week").tz("Asia/Kathmandu").during("2026-10"),
    "months of a year by type": call.sum("cost").count().by("type").step("month").tz(NEW_YORK).during("2026"),
    "decades": call.count().step("decade").between("2015-01-01", "2026-01-01"),
    "the transcriber, by a variable": call.sum("costBreakdown.transcriber").by_variable("plan").during("2026-10"),
    "a variable and a group by minute": call.count().by("type").by_variable("plan").step("minute").last("2h"),
    "calls of an assistant that went wrong or were not judged, by plan": call.count()
    .sum("cost")
    .by_variable("plan")
    .where({"analysis.successEvaluation": ["false", "it's", None], "variable.campaign": "autumn"}, assistantId="a")
    .during("2026-10"),
    "minutes used": subscription.sum("minutesUsed").step("day").during("2026-W44"),
    "calls at once": subscription.max("concurrency").during("2026-10"),
    "calls at once by hour in New York": subscription.max("concurrency").step("hour").tz(NEW_YORK).during("2026-11-01"),
    "the history of calls at once": subscription.history("concurrency").during("2026-11-01"),
}


def record_columns():
    """Return the columns of the flat records of the sample → expression and type."""
    with duckdb.connect() as connection:
        connection.register("calls", pa.Table.from_pandas(vf.sample_calls(10), preserve_index=False))
        described = connection.sql("SELECT * FROM calls LIMIT 0")
        return {
            name: ColumnExpr(quote_name(name), type_)
            for name, type_ in zip(described.columns, described.types, strict=True)
        }


def statement(query, columns):
    """Return the SELECT that results *query* from the relation ``calls``."""
    start, end = fill_defaults(query.instants(NOW), NOW)
    if any(one.column == "concurrency" for one in query.measures):
        return concurrency.write_changes(query, columns.interval, "calls", concurrency.known_range(start, end, NOW))
    return write_select(query, columns, "calls", start, end)


def snapshot():
    """Return the text of the file."""
    columns = record_columns()
    parts = [
        f"-- {title}\n-- {query!r}\n{statement(query, find_columns(query, columns, DUCKDB))};\n"
        for title, query in QUERIES.items()
    ]
    return "\n".join(parts)


def test_the_select_of_typical_queries_is_the_reviewed_one():
    """A change of the text shows in the diff of the file, where a reviewer reads it."""
    assert snapshot() == SNAPSHOTS.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sample():
    """Return calls with all columns."""
    return pa.Table.from_pandas(vf.sample_calls(500), preserve_index=False)


@pytest.mark.parametrize("title", QUERIES)
def test_each_select_runs(sample, title):
    """The text is valid SQL."""
    query = QUERIES[title]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Australia/Lord_Howe'")
        connection.register("calls", sample)
        assert (
            connection.sql(statement(query, find_columns(query, record_columns(), DUCKDB))).to_arrow_table().num_columns
            > 0
        )


if __name__ == "__main__":
    SNAPSHOTS.write_text(snapshot(), encoding="utf-8")
