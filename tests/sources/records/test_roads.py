"""One reader: a call says the same by every road, or is the same kind of error."""

from __future__ import annotations

import gzip
import json
from unittest import mock

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.odd_values import COSTS, ERROR, TIMES, VARIABLES
from vapi_frames.errors import RecordsError
from vapi_frames.sources.local import fast_json

pytestmark = [pytest.mark.extra("local"), pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")]


def expect(time, cost, llm, variable):
    """Return what two calls with these values say: plain Python, which knows the table above and nothing else."""
    when, cost, llm, variable = TIMES[time], cost[1], llm[1], variable[1]
    if ERROR in (when, cost, llm):
        return ERROR
    return [(when, variable, 2, None if cost is None else 2 * cost, None if llm is None else 2 * llm)]


def ask(source):
    """Return what a query of *source* gives: rows of hour, variable, count and two sums; or that it is an error."""
    try:
        vq = source if isinstance(source, vf.Vq) else vf.local(source)
        frame = (
            vq.call().count().sum("cost", "costBreakdown.llm").by_variable("v").step("hour")
            .between("2026-06-30", "2026-07-03").fetch().reset_index()
        )  # fmt: skip
    except RecordsError:
        return ERROR
    frame = frame[frame["countId"] > 0]
    rows = [
        (at.strftime("%Y-%m-%d %H"), *(None if pd.isna(value) else value for value in row))
        for at, *row in frame[["date", "v", "countId", "sumCost", "sumCostBreakdownLlm"]].itertuples(index=False)
    ]
    return [row for row in rows if row[2] > 0]


def ask_warehouse(table):
    """Return what the same query of a table in a database gives."""
    with duckdb.connect() as connection:
        connection.register("found", table)
        connection.execute("SET TimeZone = 'Asia/Tokyo'; CREATE TABLE calls AS SELECT * FROM found")
        return ask(vf.warehouse(connection, "calls", dialect="duckdb"))


def make_calls(time, cost, llm, variable):
    """Return two calls that have the values."""
    return [
        {"id": id_, "createdAt": time, "cost": cost[0], "costBreakdown": {"llm": llm[0]},
         "assistantOverrides": {"variableValues": {"v": variable[0]}}}
        for id_ in "ab"
    ]  # fmt: skip


def flatten(calls, joint):
    return [
        {"id": one["id"], "createdAt": one["createdAt"], "cost": one["cost"],
         f"costBreakdown{joint}llm": one["costBreakdown"]["llm"],
         f"assistantOverrides{joint}variableValues{joint}v": one["assistantOverrides"]["variableValues"]["v"]}
        for one in calls
    ]  # fmt: skip


def as_json_text(calls):
    return [
        {**one, **{name: json.dumps(one[name]) for name in ("costBreakdown", "assistantOverrides")}} for one in calls
    ]


def to_snake_case(calls):
    return [
        {"call_id": one["id"], "created_at": one["createdAt"], "cost": one["cost"],
         "cost_breakdown": one["costBreakdown"], "assistant_overrides": {"variable_values": values}}
        for one in calls for values in one["assistantOverrides"].values()
    ]  # fmt: skip


def write_files(folder, calls):
    """Write *calls* to files of each form in *folder*, and return the paths."""
    texts = {
        "array.json": json.dumps(calls),
        "lines.jsonl": "\n".join(map(json.dumps, calls)),
        "page.json": json.dumps({"results": calls}),
        "data.json": json.dumps({"data": [{"output": one} for one in calls]}),
        "snake.json": json.dumps(to_snake_case(calls)),
        "nothing": json.dumps(calls),
    }
    paths = [folder / name for name in texts]
    for path in paths:
        path.write_text(texts[path.name], encoding="utf-8")
    zipped = folder / "zipped.jsonl.gz"
    zipped.write_bytes(gzip.compress(texts["lines.jsonl"].encode()))
    return [*paths, zipped]


def make_tables(calls):
    """Return tables of Arrow of each form that can hold *calls*: a type may have no place for them."""
    forms = {
        "nested": calls, "dots": flatten(calls, "."), "underscores": flatten(calls, "_"),
        "JSON text": as_json_text(calls), "snake_case": to_snake_case(calls),
    }  # fmt: skip
    return {name: pa.Table.from_pylist(rows) for name, rows in forms.items()}


@examples(3)
@given(
    time=st.sampled_from(list(TIMES)),
    cost=st.one_of(st.just(COSTS[0]), st.sampled_from(COSTS)),
    llm=st.one_of(st.just(COSTS[0]), st.sampled_from(COSTS)),
    variable=st.sampled_from(VARIABLES),
)
def test_a_call_says_the_same_by_every_road(tmp_path_factory, time, cost, llm, variable):
    """Lists, frames, Arrow, JSON and Parquet of each form, alone and beside an ordinary file: one result or error."""
    calls = make_calls(time, cost, llm, variable)
    wanted = expect(time, cost, llm, variable)
    folder = tmp_path_factory.mktemp("roads")
    tables = make_tables(calls)
    found = {"list": ask(calls), "texts": ask([json.dumps(one) for one in calls]), "frame": ask(pd.DataFrame(calls))}
    found["flat frame"] = ask(pd.DataFrame(flatten(calls, ".")))
    paths = write_files(folder, calls)
    found |= {path.name: ask(path) for path in paths}
    with mock.patch.multiple(fast_json, _SMALLEST=0, _SMALLEST_ZIPPED=0):
        found |= {f"{path.name}, as a large file": ask(path) for path in paths}
    ordinary = {"id": "o", "createdAt": "2026-07-02T09:00:00Z", "cost": 1.0, "costBreakdown": {"llm": 0.5},
                "assistantOverrides": {"variableValues": {"v": "ordinary"}}}  # fmt: skip
    for number, (name, table) in enumerate(tables.items()):
        found[f"Arrow, {name}"] = ask(table)
        found[f"warehouse, {name}"] = ask_warehouse(table)
        path = folder / f"{number}.parquet"
        pq.write_table(table, path)
        found[f"Parquet, {name}"] = ask(path)
        beside = folder / f"beside {number}.parquet"
        pq.write_table(pa.Table.from_pylist([ordinary]), beside)
        both = ask([path, beside])
        found[f"beside, {name}"] = both
        if both != ERROR:
            assert ("2026-07-02 09", "ordinary", 1, 1.0, 0.5) in both
            found[f"beside, {name}"] = [row for row in both if row[1] != "ordinary"]
    assert found == dict.fromkeys(found, wanted)
