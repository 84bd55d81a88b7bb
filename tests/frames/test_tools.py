"""A flat frame in the tools that people use: each shows the dates and the groups, which an index would hide."""

from __future__ import annotations

import json

import pytest

import vapi_frames as vf
from tests.support.shapes import QUIET

pytestmark = [pytest.mark.extra("local"), pytest.mark.xdist_group("plot"), *QUIET]
TYPES = ["inboundPhoneCall", "outboundPhoneCall", "webCall"]
DAYS = ["2026-10-05", "2026-10-06"]


@pytest.fixture(scope="module", params=["query", "verb", "comparison"])
def df(request):
    """Return cost by day and type: as fetched, as a verb returns it, beside the days before."""
    query = vf.demo().call().sum("cost").count().by("type").step("day").between("2026-10-05", "2026-10-07")
    if request.param == "comparison":
        return query.compare("previous").fetch(as_index=False)
    fetched = query.fetch(as_index=False)
    return fetched.vapi.per_call() if request.param == "verb" else fetched


def check_page(page):
    """Check that the days and the types stand in a page."""
    assert all(text in page for text in ["date", "type", "sumCost", *DAYS, *TYPES])


def check_rows(dates, types):
    """Check the values of both levels, row by row."""
    assert [str(date)[:10] for date in dates] == [day for day in DAYS for _ in TYPES]
    assert list(types) == TYPES * len(DAYS)


def test_narwhals(df):
    """It has no index at all."""
    import narwhals as nw

    frame = nw.from_native(df)
    assert frame.columns[:2] == ["date", "type"]
    summed = frame.group_by("type").agg(nw.col("sumCost").sum()).sort("type")
    assert summed["type"].to_list() == TYPES
    check_rows(frame["date"].to_list(), frame["type"].to_list())


def test_polars(df):
    """`from_pandas` leaves out an index."""
    import polars as pl

    frame = pl.from_pandas(df)
    assert frame.schema["date"] == pl.Datetime("us", "UTC")
    check_rows(frame["date"], frame["type"])


def test_pyarrow(df):
    """A table has the levels first, as columns of their own."""
    import pyarrow as pa

    table = pa.Table.from_pandas(df)
    assert table.column_names == list(df.columns)
    check_rows(table["date"].to_pylist(), table["type"].to_pylist())


def test_duckdb(df):
    """`SELECT * FROM df` finds the variable, and every column of it."""
    import duckdb

    found = duckdb.sql("SELECT * FROM df ORDER BY date, type")
    assert found.columns == list(df.columns)
    rows = duckdb.sql("SELECT strftime(timezone('UTC', date), '%Y-%m-%d'), type FROM df ORDER BY date, type").fetchall()
    check_rows(*zip(*rows, strict=True))


def test_great_tables(df):
    """Its cells are the columns."""
    from great_tables import GT

    check_page(GT(df).as_raw_html())


def test_skrub(df):
    """Its report has a card for each column."""
    from skrub import TableReport

    check_page(TableReport(df, plot_distributions=False, compute_associations=False, verbose=0).html())


@pytest.mark.filterwarnings("ignore:Series.values returning:DeprecationWarning")  # of pandas 3.1, in itables
def test_itables(df):
    """The page holds the rows."""
    from itables import to_html_datatable

    check_page(to_html_datatable(df, connected=True))


def test_altair(df):
    """Its encodings name columns, and the chart holds their values."""
    import altair as alt

    chart = json.loads(alt.Chart(df).mark_line().encode(x="date:T", y="sumCost:Q", color="type:N").to_json())
    [rows] = chart["datasets"].values()
    check_rows([row["date"] for row in rows], [row["type"] for row in rows])


@pytest.mark.extra("plot")
def test_seaborn(df):
    """A line for each type, over the days."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    _, axes = plt.subplots()
    sns.lineplot(df, x="date", y="sumCost", hue="type", ax=axes)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == TYPES
    assert axes.get_xlabel() == "date"
    plt.close()


def test_plotly(df):
    """A trace for each type, over the days."""
    import plotly.express as px

    traces = px.line(df, x="date", y="sumCost", color="type").data
    assert [trace.name for trace in traces] == TYPES
    assert [str(date)[:10] for date in traces[0].x] == DAYS
