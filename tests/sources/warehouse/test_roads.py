"""One reader: a call in a table of any engine says what it says in a list of records, or is the same kind of error."""

from __future__ import annotations

import json
import math
import random
import re
from datetime import date
from functools import cache

import pandas as pd
import pyarrow as pa
import pytest

import vapi_frames as vf
from tests.support.engine_tables import load_table
from tests.support.odd_values import COSTS, ERROR, TIMES, VARIABLES
from vapi_frames.errors import RecordsError
from vapi_frames.sources.records.values import read_times

pytestmark = [pytest.mark.extra("local"), pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")]

PLAIN = "2026-07-01T12:00:00.000Z"
GOOD_TIMES = [time for time, hour in TIMES.items() if hour != ERROR]
BAD_TIMES = [time for time, hour in TIMES.items() if hour == ERROR]
GOOD_COSTS = [value for value, wanted in COSTS if wanted != ERROR]
BAD_COSTS = [value for value, wanted in COSTS if wanted == ERROR]
SPELLED = [
    *VARIABLES, (1e16, "1e+16"), (12345678.5, "12345678.5"), (9007199254740994.0, "9007199254740994.0"),
    (1.2345e-5, "1.2345e-05"), (1.5e22, "1.5e+22"), (-1e-9, "-1e-09"), (-2.5, "-2.5"), (0.1, "0.1"), (1e300, "1e+300"),
    ({"a": [None, True, "x: y, z"]}, '{"a":[null,true,"x: y, z"]}'), ([], "[]"), ({}, "{}"), ('"', '"'),
    ([{"a": 'q" \\'}], '[{"a":"q\\" \\\\"}]'),
]  # fmt: skip
INTEGERS = (1e16, 9007199254740994.0)
"""Doubles that JSONB and Spark's variant keep as integers."""


def make_calls(times, costs, variables):
    """Return calls, of which each has a value of its own of one of the three, and plain ones of the others."""
    values = [(time, 1.0, "v") for time in times] + [(PLAIN, cost, "v") for cost in costs]
    values += [(PLAIN, 1.0, one) for one in variables]
    return [
        {"id": f"c{at}", "assistantId": f"c{at}", "createdAt": time, "cost": cost, "costBreakdown": {"llm": cost},
         "assistantOverrides": {"variableValues": {"v": variable}}}
        for at, (time, cost, variable) in enumerate(values)
    ]  # fmt: skip


def open_table(engine, *loaded, **options):
    """Return a Vq over a table made of the arguments of `load`."""
    dialect = {} if engine[0] == "spark" else {"dialect": engine[0]}
    return vf.warehouse(engine[1], load_table(engine, *loaded), **dialect, **options)


def ask(source):
    """Return call → hour, variable and sums, or that the query is an error."""
    try:
        vq = vf.local(source) if isinstance(source, list) else source
        frame = (
            vq.call().count().sum("cost", "costBreakdown.llm").by("assistantId").by_variable("v").step("hour")
            .between("2026-06-30", "2026-07-03").fetch().reset_index()
        )  # fmt: skip
    except RecordsError as error:
        return f"{ERROR} {error}"
    rows = frame[frame["countId"] > 0].itertuples(index=False)
    return {
        name: (at.strftime("%Y-%m-%d %H"), *(None if pd.isna(value) else value for value in (variable, cost, llm)))
        for at, name, variable, _, cost, llm in rows
    }


@cache
def ask_list():
    """Return what the good calls say as a list, which the tables of values confirm."""
    calls = make_calls(GOOD_TIMES, GOOD_COSTS, [value for value, _ in SPELLED])
    found = ask(calls)
    wanted = [TIMES[one["createdAt"]] for one in calls]
    assert [found[one["id"]][0] for one in calls] == wanted
    spelled = [wanted for _, wanted in SPELLED]
    assert [found[one["id"]][1] for one in calls][-len(SPELLED) :] == spelled
    return calls, found


def as_records(calls, *, as_text=False):
    """Return a table with the whole record as JSON, and where JSON keeps it."""
    columns = {name: pa.array([one[name] for one in calls]) for name in ("id", "assistantId")}
    columns["record"] = pa.array([json.dumps(one) if as_text else json.dumps(none_for_nan(one)) for one in calls])
    names = ("createdAt", "cost", "costBreakdown.llm")
    places = {name: ("record", *name.split(".")) for name in names}
    return pa.table(columns), {**places, "variableValues.v": ("record", "assistantOverrides", "variableValues", "v")}


def none_for_nan(value):
    if isinstance(value, dict):
        return {name: none_for_nan(one) for name, one in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


@pytest.mark.long_on("spark")
def test_json_says_in_every_engine_what_a_list_says(engine):
    """Every value of a record that is JSON: odd times, numbers, and variables of any type."""
    calls, wanted = ask_list()
    for json_columns in ((), ("record",)) if engine[0] == "postgres" else ((),):
        table, places = as_records(calls, as_text=not json_columns)
        found = ask(open_table(engine, table, json_columns, columns=places))
        keeps = engine[0] not in ("postgres", "spark")
        assert differences(found, wanted, [one for one in calls if keeps or pick(one, "v") not in INTEGERS]) == {}


def differences(found, wanted, calls):
    """Return the calls of which *found* is not what is *wanted*."""
    assert isinstance(found, dict), found
    return {
        str(one): (found.get(one["id"]), wanted[one["id"]])
        for one in calls
        if found.get(one["id"]) != wanted[one["id"]]
    }


@pytest.mark.long_on("spark")
def test_columns_say_in_every_engine_what_a_list_says(engine):
    """Every value in a column of its type: text, numbers, Booleans."""
    calls, wanted = ask_list()
    for type_ in (str, float, int, bool):
        for name in ("createdAt", "cost", "v"):
            chosen = [one for one in calls if type(pick(one, name)) is type_ and pick(one, "createdAt") is not None]
            if name != "v":
                chosen = [one for one in chosen if pick(one, "v") == "v"]
            chosen = [one for one in chosen if name == "createdAt" or one["createdAt"] == PLAIN]
            if not chosen:
                continue
            table = flatten(chosen)
            found = ask(open_table(engine, table))
            assert differences(found, wanted, chosen) == {}, (type_, name)


@pytest.mark.long
def test_dates_and_totals_are_read(engine):
    """A column of dates is the beginning of the days; a cost that is an object has its total."""
    [call] = make_calls([PLAIN], [], [])
    found = ask(open_table(engine, flatten([{**call, "createdAt": date(2026, 7, 1)}])))
    assert found == ask([{**call, "createdAt": "2026-07-01"}]) == {"c0": ("2026-07-01 00", "v", 1.0, 1.0)}
    for total, wanted in ((0.25, 0.25), (None, None)):
        table, places = as_records([{**call, "cost": {"total": total, "currency": "USD"}}])
        assert ask(open_table(engine, table, columns=places)) == {"c0": ("2026-07-01 12", "v", wanted, 1.0)}


@pytest.mark.long
def test_objects_and_lists_in_columns_are_compact_json(engine):
    """A variable that is a struct, a map or a list is what it is in a list of records."""
    values = [{"a": 1}, {"a": None, "b": "ü: /"}, {"a": {"b": [True]}}, [1, 2], ["a", "b, c"], [0.5]]
    for value in values:
        call = {**make_calls([PLAIN], [], [value])[0]}
        wanted = ask([call])
        is_flat = engine[0] == "postgres"
        if is_flat and isinstance(value, dict):
            continue
        table = flatten([call]) if is_flat else pa.Table.from_pylist([call])
        assert ask(open_table(engine, table)) == wanted, value


def pick(call, name):
    return call["assistantOverrides"]["variableValues"]["v"] if name == "v" else call[name]


def flatten(calls):
    """Return *calls* as a table with a column for each value."""
    columns = {name: pa.array([one[name] for one in calls]) for name in ("id", "assistantId", "createdAt", "cost")}
    columns["costBreakdown.llm"] = columns["cost"]
    columns["variableValues.v"] = pa.array([pick(one, "v") for one in calls])
    return pa.table(columns)


@pytest.mark.long
def test_what_a_list_refuses_is_refused_in_every_engine(engine, choose):
    """The same values are errors that name the column, in columns and in JSON."""
    every = {"postgres": 1, "duckdb": choose(3, 1), "clickhouse": choose(3, 2), "spark": choose(11, 4)}[engine[0]]
    calls = make_calls(BAD_TIMES, BAD_COSTS, [])[::every]
    for one in calls:
        wanted = ask([one])
        forms = [as_records([one], as_text=True)]
        forms += [] if isinstance(one["cost"], list) else [(flatten([one]), {})]
        for table, places in forms:
            found = ask(open_table(engine, table, columns=places))
            assert found.startswith(ERROR), (wanted, found)
            if "Infinity" not in json.dumps(one):  # which is no JSON to some engines
                assert get_column(found) == get_column(wanted), (wanted, found)


def get_column(error):
    """Return the column that an error names."""
    return next(filter(None, re.search(r"column '(\w+)' of|(\w+) is ", error).groups()))


def draw_times(amount):
    """Return texts that are times, and texts that are none: random parts of the grammar, with days that do not exist."""
    rng = random.Random(20260701)
    good, bad = [], []
    while len(good) < amount:
        year, month, day = rng.randint(1971, 2105), rng.randint(0, 13), rng.randint(0, 32)
        dates = [f"{year}-{month:02}-{day:02}", f"{year}-02-{rng.randint(28, 30)}", f"{year}-W{rng.randint(0, 54):02}"]
        dates += [f"{dates[2]}-{rng.randint(0, 8)}", f"{year}-12-31", f"{rng.randint(5, 10) * 400}-02-29"]
        hour, minute, second = rng.randint(0, 25), rng.randint(0, 61), rng.randint(0, 61)
        clocks = [f"{hour:02}:{minute:02}:{second:02}", f"{hour:02}{minute:02}", f"{hour:02}", "24:00", "24:00:00.0"]
        clock = rng.choice(clocks) + rng.choice(["", "", ",5", ".123456", ".1234567"])
        zones = [
            "",
            "Z",
            "z",
            " UTC",
            "GMT",
            f"+{hour:02}:{minute:02}",
            f"-{hour:02}{minute:02}",
            f" GMT-{hour}",
            " EST",
        ]
        text = rng.choice(["", " "]) + rng.choice(dates)
        text += rng.choice(["", *["T", "t", " ", "  "] * 5]) + clock + rng.choice(zones) + rng.choice(["", "\n"])
        try:
            read_times("endedAt", [text])
        except RecordsError:
            bad.append(text)
        else:
            good.append(text)
    return good, bad


@pytest.mark.long
def test_random_times_are_the_same_instants_in_every_engine(engine, choose):
    """A call ends in every engine at the microsecond at which it ends in a list."""
    good, bad = draw_times(choose(200, 2_000))
    calls = [{"id": f"c{at}", "assistantId": f"c{at}", "createdAt": PLAIN, "startedAt": PLAIN, "endedAt": time}
             for at, time in enumerate(good)]  # fmt: skip

    def measure(vq):
        return vq.call().sum("duration").by("assistantId").during("2026-07").fetch()["sumDuration"]

    table = pa.Table.from_pylist(calls)
    pd.testing.assert_series_equal(measure(open_table(engine, table)), measure(vf.local(calls)), rtol=1e-15)
    for text in bad[:: len(bad) // choose(4, 12 if engine[0] == "spark" else 40)]:
        odd = table.slice(0, 1).set_column(4, "endedAt", [[text]])
        with pytest.raises(RecordsError, match="endedAt is "):
            measure(open_table(engine, odd))
