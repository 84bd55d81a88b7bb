"""The calls that a query counts are the same from DuckDB, PostgreSQL, Spark and ClickHouse as from plain loops."""

from __future__ import annotations

import pytest

import vapi_frames as vf
from tests.support.drilled import check_calls, check_cells, find_calls
from tests.support.engines import CALLS, HOSTILE, LOAD, NOW, PARTS
from tests.support.queries import ALL, CALL, CHANGES
from tests.support.reference import compute
from vapi_frames.contract.vocabulary import GROUP_COLUMNS
from vapi_frames.errors import RecordsError, RecordsWarning

pytestmark = [
    pytest.mark.extra("warehouse"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning"),
]
MONEY = CALL.sum("cost", "duration").min("cost").max("cost", PARTS[0]).count()
DRILLED = {
    "hours around a change of the clock": MONEY.step("hour").tz("Australia/Lord_Howe").between(*CHANGES["Australia/Lord_Howe"]),
    "days by a group": MONEY.by("type").step("day").tz("America/Havana").between(*CHANGES["America/Havana"]),
    "by all groups": MONEY.by(*GROUP_COLUMNS).by_variable(HOSTILE[0], HOSTILE[6]).between(*ALL),
    "the whole": MONEY.between(*ALL),
    "filtered": MONEY.by("status").step("year").where(type=["a", "", None], status=None).between(*ALL),
    "no calls": MONEY.by("type").step("day").between("2020-01-01", "2020-02-01"),
    "no measure": CALL.by("type").last("3d"),
}  # fmt: skip


@pytest.fixture(scope="module")
def vq(engine):
    """Return a Vq over the calls in the engine."""
    name, session = engine
    where = LOAD[name](session, CALLS)
    return vf.warehouse(where.pop("connection"), where.pop("table"), **where, now=NOW)


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")
@pytest.mark.parametrize(
    "name",
    [
        "hours around a change of the clock",
        *(pytest.param(name, marks=pytest.mark.long_on("spark")) for name in list(DRILLED)[1:]),
    ],
)
def test_every_engine_gives_the_calls_of_plain_loops(vq, name):
    """Which calls, their order, index and columns are the same, and each cell is what its calls add up to."""
    query = DRILLED[name]
    drilled = vq.drill(query, limit=None)
    check_calls(drilled, query, CALLS, NOW)
    check_cells(drilled, query, compute(CALLS, query, NOW))


@pytest.mark.filterwarnings("ignore:the records' own 'duration':vapi_frames.errors.RecordsWarning")
def test_every_engine_cuts_after_the_same_calls(vq):
    """A limit leaves the first calls, in the order of the index, and a warning says so."""
    query = DRILLED["days by a group"]
    with pytest.warns(RecordsWarning, match="first 5 calls, and there are more"):
        cut = vq.drill(query, ["id", "cost"], limit=5)
    assert cut["id"].tolist() == [call["id"] for _, call in find_calls(CALLS, query, NOW)[:5]]


def test_every_engine_names_a_column_that_is_missing(vq):
    """A column that no table has is an error that says the nearest."""
    with pytest.raises(RecordsError, match=r"no call record has 'costt', which drill should show; did you mean 'cost'"):
        vq.drill(DRILLED["the whole"], ["costt"])
