"""What ClickHouse reads for a query: no ids where only their number counts, no status of calls that have an end."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pyarrow.parquet
import pytest

import vapi_frames as vf
from tests.support.engines import CALLS, NOW, flat, run_clickhouse
from tests.support.queries import ALL, CALL
from vapi_frames.sources.warehouse import source
from vapi_frames.sources.warehouse.render import render

pytestmark = [
    pytest.mark.extra("warehouse"),
    pytest.mark.engine("clickhouse"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning"),
]
COUNTED = {
    "all": CALL.count(),
    "by day": CALL.count().sum("cost").step("day").tz("America/New_York"),
    "by reason": CALL.count().by("endedReason"),
}


@pytest.fixture(scope="module")
def table(clickhouse):
    """Make a table in which every column may be missing, as tables that are loaded from files are."""
    with tempfile.TemporaryDirectory(prefix="calls") as folder:
        pyarrow.parquet.write_table(flat(CALLS), Path(folder, "calls.parquet"))
        run_clickhouse(
            clickhouse,
            'CREATE OR REPLACE TABLE plans ENGINE = MergeTree ORDER BY "createdAt" SETTINGS allow_nullable_key = 1 '
            f"AS SELECT * FROM file('{folder}/calls.parquet', Parquet)",
        )
    yield "plans"
    run_clickhouse(clickhouse, "DROP TABLE plans")


@pytest.fixture
def write(clickhouse, table, monkeypatch):
    """Return a function that fetches a query and returns its last statement."""

    def write_last(query):
        texts = []
        vq = vf.warehouse(clickhouse, table, dialect="clickhouse", now=NOW)
        monkeypatch.setattr(source, "render", lambda *args: texts.append(render(*args)) or texts[-1])
        vq.fetch(query)
        return texts[-1]

    return write_last


def read_columns(clickhouse, text):
    """Return the columns that *text* reads beside those of its condition."""
    plan = "\n".join(row[0] for row in run_clickhouse(clickhouse, f"EXPLAIN header = 1, actions = 1 {text}"))
    [listed] = re.findall(r"ReadFromMergeTree.*?Header: (.*?)Read type", plan, re.DOTALL)
    return {line.split()[0] for line in listed.splitlines() if line.strip()}


@pytest.mark.parametrize("name", COUNTED)
def test_a_count_does_not_read_the_ids(clickhouse, write, name):
    """It reads which of them are missing."""
    text = write(COUNTED[name].between(*ALL))
    columns = read_columns(clickhouse, text)
    assert "id.null" in columns
    assert "id" not in columns


@pytest.mark.long
def test_the_changes_of_concurrency_are_never_missing(clickhouse, write):
    """The engine takes twice as long to sort and add up what may be missing."""
    query = vf.vq.subscription().max("concurrency").step("hour").tz("America/New_York").between(*ALL)
    text = write(query)
    types = {row[0]: row[1] for row in run_clickhouse(clickhouse, f"DESCRIBE ({text})")}
    assert not [name for name, type_ in types.items() if "Nullable" in type_], types
    plan = "\n".join(row[0] for row in run_clickhouse(clickhouse, f"EXPLAIN {text}"))
    assert plan.count("ReadFromMergeTree") == 1, "starts and ends are read together"
