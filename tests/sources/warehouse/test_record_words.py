"""Words beyond the contract on every engine, beside a plain-Python oracle, over JSON as warehouses keep it."""

from __future__ import annotations

import json
import random
from datetime import datetime

import pytest
from hypothesis import given

import vapi_frames as vf
from tests.support.engines import run_clickhouse
from tests.support.examples import examples
from tests.support.shapes import fetch
from tests.support.strategies import NOW
from tests.support.word_calls import GROUPS, WEEKS, WORDS, compute, is_same, make_calls, read_rows, word_queries

pytestmark = [
    pytest.mark.extra("warehouse"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning"),
]
TEXTS = [name for name in GROUPS if "." not in name]
NESTED = ["customer", "costBreakdown", "costs", "artifact"]
COLUMNS = ["id", "createdAt", *TEXTS, *NESTED]


def _make_rows():
    """Return calls, and their rows; engines write JSON objects each in its own way, as they do variables."""
    calls = [call for seed in range(40) for call in make_calls(random.Random(seed), 12, WEEKS)]
    rows = []
    for number, call in enumerate(calls):
        call["id"] = f"call-{number}"
        values = {**call, **{name: json.dumps(call[name]) for name in NESTED if name in call}}
        rows.append([values.get(name) for name in COLUMNS])
    return calls, rows


CALLS, ROWS = _make_rows()


def load(name, session):
    """Make the table, with JSON as the engine keeps it."""
    kinds = {
        "duckdb": ("VARCHAR", "TIMESTAMPTZ", "JSON"),
        "postgres": ("text", "timestamptz", "jsonb"),
        "clickhouse": ("Nullable(String)", "DateTime64(6, 'UTC')", "Nullable(String)"),
        "spark": ("STRING", "TIMESTAMP", "STRING"),
    }[name]
    types = [kinds[1] if one == "createdAt" else kinds[2] if one in NESTED else kinds[0] for one in COLUMNS]
    if name == "spark":
        from pyspark.sql.types import StringType, StructField, StructType, TimestampType

        fields = [StructField(one, TimestampType() if one == "createdAt" else StringType()) for one in COLUMNS]
        rows = [[row[0], datetime.fromisoformat(row[1]), *row[2:]] for row in ROWS]
        session.createDataFrame(rows, StructType(fields)).createOrReplaceTempView("words")
        return {"connection": session, "table": "words"}
    named = ", ".join(f'"{one}" {type_}' for one, type_ in zip(COLUMNS, types, strict=True))
    if name == "clickhouse":
        run_clickhouse(session, "DROP TABLE IF EXISTS words")
        run_clickhouse(session, f'CREATE TABLE words ({named}) ENGINE = MergeTree ORDER BY "createdAt"')
        values = ", ".join(
            "(" + ", ".join("NULL" if v is None else "'" + v.replace("\\", "\\\\").replace("'", "\\'") + "'" for v in row) + ")"
            for row in [[row[0], row[1].replace("T", " ").rstrip("Z"), *row[2:]] for row in ROWS]
        )  # fmt: skip
        run_clickhouse(session, f"INSERT INTO words VALUES {values}")
        return {"connection": session, "table": "words", "dialect": name}
    marks = ", ".join(["%s" if name == "postgres" else "?"] * len(COLUMNS))
    session.execute("DROP TABLE IF EXISTS words")
    session.execute(f"CREATE TABLE words ({named})")
    cursor = session.cursor()
    cursor.executemany(f"INSERT INTO words VALUES ({marks})", ROWS)
    if name == "postgres":
        session.commit()
    target = session if name == "postgres" else cursor
    return {"connection": target if name == "postgres" else session, "table": "words", "dialect": name}


@pytest.mark.long_on("spark")
def test_they_are_what_plain_loops_say(engine):
    """Random queries of groups, filters, parts of the cost, latencies and outputs."""
    name, session = engine
    where = load(name, session)
    warehouse = vf.warehouse(where.pop("connection"), where.pop("table"), **where, now=NOW)

    @examples(12)
    @given(word_queries([word for word in WORDS if word != "Survey"]))
    def check(query):
        frame = fetch(warehouse, query)
        expected = compute(CALLS, query)
        assert is_same(read_rows(frame, query), expected), (read_rows(frame, query), expected)

    check()
