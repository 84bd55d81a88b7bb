"""NaN is missing and an infinite number is an error, whatever a query computes of a column, on every engine."""

from __future__ import annotations

import math
import random
import re
import statistics
from datetime import date

import pandas as pd
import pyarrow as pa
import pytest

import vapi_frames as vf
from tests.support.engine_tables import load_table
from vapi_frames.errors import RecordsError
from vapi_frames.sources.warehouse import source
from vapi_frames.sources.warehouse.render import render

pytestmark = [pytest.mark.extra("local"), pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")]

NAN, INFINITE = float("nan"), float("inf")
# The average of PostgreSQL squares its numbers, so that one beyond 1e154 is an error of the engine.
VALUES = (None, NAN, INFINITE, -INFINITE, 0.0, -0.0, 1.5, -2.25, 1e150)
COLUMNS = ("cost", "costBreakdown.llm")
ORACLES = {
    "sum": sum, "avg": statistics.fmean, "min": min, "max": max, "median": statistics.median, "count": len,
}  # fmt: skip
MEASURES = (
    ("sum",),
    ("avg",),
    ("min",),
    ("max",),
    ("median",),
    ("count",),
    ("sum", "min", "count"),
    ("avg", "sum", "max"),
)


def draw_groups(amount):
    """Return group → values of each of its calls in both columns; the first have each odd value alone, and two at once."""
    rng = random.Random(20260702)
    groups = [[(value, 1.5)] for value in VALUES] + [[(1.5, 1.5), (INFINITE, NAN), (-INFINITE, NAN)]]
    while len(groups) < amount:
        pool = rng.sample(VALUES, rng.randint(1, 4))
        groups.append([(rng.choice(pool), rng.choice(pool)) for _ in range(rng.randint(1, 5))])
    return {f"g{at}": group for at, group in enumerate(groups)}


def make_table(groups):
    """Return the calls of the groups as a table."""
    rows = [(name, values) for name, group in groups.items() for values in group]
    columns = {
        "id": [f"c{at}" for at in range(len(rows))],
        "assistantId": [name for name, _ in rows],
        "createdAt": [date(2026, 7, 1)] * len(rows),
    }
    columns |= {column: pa.array([values[at] for _, values in rows], pa.float64()) for at, column in enumerate(COLUMNS)}
    return pa.table(columns)


def compute(group, operations):
    """Return what a plain loop makes of the first column, and the maximum of the second; or the columns with an error."""
    each = [[row[at] for row in group if row[at] is not None and not math.isnan(row[at])] for at in range(len(COLUMNS))]
    if wrong := {column for column, values in zip(COLUMNS, each, strict=True) if any(map(math.isinf, values))}:
        return wrong
    measured = [(operation, each[0]) for operation in operations] + [("max", each[1])]
    return [
        pytest.approx(ORACLES[operation](values)) if values or operation == "count" else None
        for operation, values in measured
    ]


def make_query(engine, name, group, operations):
    """Return a query of a new source, as one that has met an odd value reads all with more care."""
    dialect = {} if engine[0] == "spark" else {"dialect": engine[0]}
    query = vf.warehouse(engine[1], name, **dialect).call().where(assistantId=group)
    for operation in operations:
        query = getattr(query, operation)(COLUMNS[0])
    return query.max(COLUMNS[1]).between("2026-06-30", "2026-07-03")


def ask(query):
    """Return the numbers of the query's one row; or the column that the error names, one of those that are wrong."""
    try:
        frame = query.fetch()
    except RecordsError as error:
        return {error.column}
    return [None if pd.isna(value) else value for value in frame.iloc[0]]


@pytest.mark.long_on("spark")
def test_odd_numbers_are_read_alike_by_every_measure(engine, choose):
    """Also where two infinite values cancel each other, and where a measure would not show the odd value."""
    is_slow = engine[0] == "spark"
    step = 3 if is_slow else choose(2, 1)
    groups = draw_groups(choose(6, 15 if is_slow else 30))
    name = load_table(engine, make_table(groups))
    for at, (group, rows) in enumerate(groups.items()):
        for operations in MEASURES[at % step :: step]:
            found, wanted = ask(make_query(engine, name, group, operations)), compute(rows, operations)
            same = found <= wanted if isinstance(found, set) and isinstance(wanted, set) else found == wanted
            assert same, (rows, operations, found, wanted)


def test_a_sum_costs_no_look_at_each_number(engine, monkeypatch):
    """What is summed shows in the sum that a number was odd; the minimum of a column does not."""
    if engine[0] == "duckdb":  # its statements read odd values at once
        return
    name = load_table(engine, make_table({"g": [(1.5, 1.5)]}))
    for operations, amount in ((("sum", "min"), 1), (("avg",), 1), (("min",), 2), (("median", "count"), 2)):
        texts = []
        with monkeypatch.context() as patched:
            patched.setattr(source, "render", lambda *args, texts=texts: texts.append(render(*args)) or texts[-1])
            assert isinstance(ask(make_query(engine, name, "g", operations)), list)
        looks = re.findall(r"isInfinite\(|= (?:CAST\()?'Infinity'", texts[-1])
        assert len(looks) == amount, texts[-1]
