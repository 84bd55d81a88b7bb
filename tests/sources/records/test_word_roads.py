"""Words beyond the contract say the same by every road: native types in Parquet and tables, the shell, text and back."""

from __future__ import annotations

import json
from datetime import datetime

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.shapes import fetch
from tests.support.word_calls import (
    EVERY,
    WORDS,
    compute,
    is_same,
    keep_one_kind,
    read_rows,
    word_queries,
    word_records,
)
from vapi_frames.cli.main import main
from vapi_frames.query.parse import parse_query

pytestmark = [
    pytest.mark.extra("warehouse"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning"),
]
NOW = "2026-11-25T00:00Z"
MAPS = {
    "structuredOutputs": "MAP(VARCHAR, STRUCT(name VARCHAR, result JSON))",
    "skippedStructuredOutputs": "MAP(VARCHAR, STRUCT(name VARCHAR))", "performanceMetrics": "MAP(VARCHAR, DOUBLE)",
}  # fmt: skip
FIELDS = [word for word in WORDS if word != "Survey"]  # the text of a struct has a null for what the object lacks


@examples(4)
@given(word_records(), st.lists(word_queries(FIELDS), min_size=2, max_size=2))
def test_native_types_have_the_results_of_json(tmp_path_factory, calls, queries):
    """Structs of Arrow, and the structs, maps and JSON that DuckDB makes of the file; in Parquet and in tables."""
    folder = tmp_path_factory.mktemp("calls")
    calls = [EVERY, *calls]  # Arrow takes the columns from the first
    (folder / "calls.json").write_text(json.dumps(calls))
    alike = keep_one_kind(calls)
    pq.write_table(pa.Table.from_pylist(alike), folder / "structs.parquet")
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE calls AS SELECT * FROM read_json('{folder}/calls.json')")
        artifact = f"from_json(CAST(artifact AS JSON), '{json.dumps(MAPS)}')"
        connection.execute(f"CREATE TABLE maps AS SELECT * REPLACE ({artifact} AS artifact) FROM calls")
        for name in ("calls", "maps"):
            connection.execute(f"COPY {name} TO '{folder}/{name}.parquet'")
        sources = {
            "structs": (alike, vf.local(folder / "structs.parquet", now=NOW)),
            "Arrow": (alike, vf.local(pa.Table.from_pylist(alike), now=NOW)),
            **{name: (calls, vf.local(folder / f"{name}.parquet", now=NOW)) for name in ("calls", "maps")},
            **{
                f"table of {name}": (calls, vf.warehouse(connection, name, dialect="duckdb", now=NOW))
                for name in ("calls", "maps")
            },
        }
        for name, (records, source) in sources.items():
            for query in queries:
                frame, expected = fetch(source, query), compute(records, query)
                assert is_same(read_rows(frame, query), expected), (name, read_rows(frame, query), expected)


@examples(15)
@given(calls=word_records(), query=word_queries())
def test_the_shell_has_the_results_of_the_query(tmp_path_factory, capsys, calls, query):
    """The text of a query, which is its repr, is read as the query, and its rows are JSON."""
    path = tmp_path_factory.mktemp("calls") / "calls.json"
    path.write_text(json.dumps(calls))
    assert parse_query(repr(query)) == query
    assert main(["query", repr(query), "--source", str(path), "--now", NOW, "--format", "json"]) == 0
    found = {}
    for row in json.loads(capsys.readouterr().out):
        cells = [row[level] for level in query.levels]
        key = [
            datetime.fromisoformat(cell) if name == "date" else cell
            for name, cell in zip(query.levels, cells, strict=True)
        ]
        found[tuple(key)] = tuple(row[one.name] for one in query.measures)
    assert is_same(found, compute(calls, query)), (found, compute(calls, query))
