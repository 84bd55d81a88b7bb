"""The tables of coming-from.md: both sides of a row that are code give the same numbers, or ask the same query."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import duckdb
import numpy as np
import pandas as pd
import pytest

import vapi_frames as vf
from tests.support.make_pages import PAGES
from vapi_frames.interface.dashboard import build_queries

TEXT = (PAGES / "start/coming-from.md").read_text(encoding="utf-8")
# A month cuts a week, and its days in New York: the numbers are those of the records on either side.
pytestmark = [pytest.mark.extra("test"), pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")]
RANGE = ("2026-10-01T00:00Z", "2026-11-01T00:00Z")


def tables(section):
    """Return the tables of a section, each a list of rows, each the cells; a cell that is one piece of code is bare."""
    text = re.search(rf"^## {section}$(.+?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)[1]
    found = re.findall(r"^\| .+\n\| --- .+\n((?:\|.*\n?)+)", text, re.MULTILINE)
    return [
        [
            [re.sub("^`([^`]+)`$", r"\1", cell.strip()) for cell in line.strip("| ").split(" | ")]
            for line in one.splitlines()
        ]
        for one in found
    ]


PANDAS, FRAMES = tables("pandas")
SQL, AFTER = tables("SQL")
SDK, _ = tables("The official Python SDK")
DASHBOARD, _ = tables("The Vapi dashboard")


@pytest.fixture(scope="module")
def calls():
    sample = vf.sample_calls()
    return sample[sample["createdAt"].between(*map(pd.Timestamp, RANGE), inclusive="left")]


def fetch_query(code, calls):
    """Return the result to a query of a row, about the records' range where the row has none."""
    query = eval(code, {"vq": vf.local(calls)})
    return (query if query.time_range else query.between(*RANGE)).fetch()


def numbers(found):
    """Return the numbers of a frame, a series or a scalar by column, each in ascending order, without missing ones."""
    columns = found.T.to_numpy() if isinstance(found, pd.DataFrame) else [np.ravel(found)]
    return [np.sort(column[~np.isnan(column)]) for column in (np.asarray(one, dtype=float) for one in columns)]


def assert_same(mine, theirs):
    mine, theirs = numbers(mine), numbers(theirs)
    assert len(mine) == len(theirs)
    assert all(len(one) for one in mine)
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("theirs", "mine"), PANDAS)
def test_pandas_gives_the_same_numbers(theirs, mine, calls):
    """What pandas makes of the records is the result."""
    assert_same(fetch_query(mine, calls), eval(theirs, {"calls": calls}))


@pytest.mark.parametrize(("theirs", "mine"), [row[:2] for row in FRAMES])
def test_pandas_on_an_answer_gives_the_same_numbers(theirs, mine, calls):
    """What pandas makes of a whole result is what the verb makes."""
    types = fetch_query('vq.call().sum("cost").step("day").by("type")', calls)
    daily = fetch_query('vq.call().sum("cost", "duration").step("day")', calls)
    names = {"types": types, "daily": daily}
    assert_same(eval(mine, names), eval(theirs, names))


@pytest.mark.parametrize(("theirs", "mine"), SQL)
def test_sql_gives_the_same_numbers(theirs, mine, calls):
    """What an engine makes of the statement is the result."""
    naive = {name: calls[name].dt.tz_localize(None) for name in ("createdAt", "startedAt", "endedAt")}
    with duckdb.connect() as connection:
        connection.register("calls", calls.assign(**naive))
        table = connection.sql(theirs).df()
    theirs = table[[name for name in table if pd.api.types.is_numeric_dtype(table[name])]]
    assert_same(fetch_query(mine, calls), theirs)


@pytest.mark.parametrize(("theirs", "mine"), AFTER)
def test_what_sql_does_to_groups_runs(theirs, mine, calls):
    """Each row does something to a result with three groups, and keeps what it is."""
    df = fetch_query('vq.call().sum("cost").by("type")', calls)
    found = eval(mine, {"df": df})
    assert 1 <= len(found) <= len(df) == 3
    assert found.vapi.units["sumCost"] == "USD"


@pytest.mark.parametrize(("theirs", "mine"), SDK)
def test_the_sdk_asks_the_same_query(theirs, mine):
    """The vendor's model with the argument is the body of the query with the verb."""
    from vapi import AnalyticsOperation, AnalyticsQuery, TimeRange

    names = {"AnalyticsOperation": AnalyticsOperation, "AnalyticsQuery": AnalyticsQuery, "TimeRange": TimeRange}
    names |= {"datetime": datetime, "UTC": UTC}
    argument = theirs.split("=")[0]
    rest = {"table": "'call'", "name": "'q'", "operations": "[AnalyticsOperation(operation='count', column='id')]"}
    rest = ", ".join(f"{name}={code}" for name, code in rest.items() if name != argument)
    model = eval(f"AnalyticsQuery({rest}, {theirs})", names)
    begun = (
        "vf.vq.call()"
        + (".count()" if argument != "operations" else "")
        + (".named('q')" if argument != "name" else "")
    )
    assert vf.Query.from_body(model.json()).body() == eval(begun + mine, {"vf": vf}).body()


@pytest.mark.parametrize(("said", "name", "code"), DASHBOARD)
def test_the_dashboard_asks_these_queries(said, name, code):
    """Each row has the query that the dashboard asks under that name."""
    expected = build_queries(vf.vq.call(), "day")[name]
    assert eval(code, {"vq": vf.vq}).named(name) == expected


def test_the_dashboard_is_all_there():
    """No query of the dashboard is left out."""
    assert [name for _, name, _ in DASHBOARD] == list(build_queries(vf.vq.call(), "day"))
