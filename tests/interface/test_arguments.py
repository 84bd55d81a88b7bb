"""Whatever an argument of a public function is: no exception of another library leaves it."""

from __future__ import annotations

import datetime as dt
import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vapi_frames as vf
from vapi_frames.errors import QueryError, VapiFramesError

pytestmark = pytest.mark.extra("local")

CALLS = [{"id": "1", "createdAt": "2026-10-01T12:00:00Z"}]


class Odd:
    """An object with a repr that fails."""

    def __repr__(self):
        raise RuntimeError("no repr")


VALUES = [
    None, True, 0, -1, 7, 10**400, 1.5, float("nan"), float("inf"), -1e308, "", " ", "x" * 100_000, "999999999w",
    "999999w", "9" * 5000 + "d", "\0", "\ud800", b"x", [], [1], (), (1,), (1, 2, 3), {}, {"a": 1}, {1: 2},
    {"duration": "parsec"}, {"cost": []}, object(), Odd(), pd.DataFrame(), dt.datetime(1, 1, 1), dt.datetime.max,
    dt.date(2026, 1, 1), "0001-01-01", "9999-12-31T23:59:59Z", set(), range(3), lambda: 1, Path("\0"), Path("a"),
    pd.NA, pd.NaT, np.array([1, 2]), pd.Series(["a", "b"]), pd.DataFrame({"a": [1]}),
]  # fmt: skip
CONNECT = ("token", "base_url", "timeout", "cache", "settle", "cache_limit", "workers", "units")


def options(name, value, **others):
    """Return the arguments of a call with *value* for one of them."""
    return {**others, name: value}


def call_all(value):
    """Yield what calls each public function with *value* for one argument, and its name."""
    for name in CONNECT:
        yield f"connect({name}=)", lambda name=name: vf.connect(**options(name, value, token="argument-key-1"))
    for name in ("duplicates", "on_error", "now"):
        yield f"local({name}=)", lambda name=name: vf.local(CALLS, **{name: value})
    yield "local", lambda: vf.local(value)
    for name in ("folder", "source", "now"):
        yield (
            f"record({name}=)",
            lambda name=name: vf.record(**options(name, value, folder="r", source=vf.local(CALLS))),
        )
    for function in (vf.replay, vf.load, vf.cache.info, vf.cache.clear):
        yield function.__name__, lambda function=function: function(value)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_an_argument_of_any_kind_is_taken_or_refused(value, tmp_path, monkeypatch):
    """With an error of the package, or one of the operating system where that refuses a file."""
    monkeypatch.chdir(tmp_path)
    for name, use in call_all(value):
        try:
            use()
        except (VapiFramesError, OSError):
            continue
        except Exception as error:  # noqa: BLE001 - the test looks at any exception
            pytest.fail(f"{name} raises {error!r}")


@pytest.mark.extra("warehouse")
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_an_argument_of_warehouse_of_any_kind_is_taken_or_refused(value):
    """The same for a warehouse, where the connection may be anything."""
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    for name in ("connection", "table", "dialect", "columns", "now"):
        try:
            vf.warehouse(**options(name, value, connection=connection, table="calls", dialect="duckdb"))
        except VapiFramesError:
            continue
        except Exception as error:  # noqa: BLE001 - the test looks at any exception
            pytest.fail(f"warehouse({name}=) raises {error!r}")


@pytest.mark.parametrize("settle", ["999999999w", "36526d", "999999w"])
def test_a_settle_of_centuries_is_refused(settle):
    """It names the argument, the value and the limit."""
    with pytest.raises(QueryError, match=rf"settle must be at most 36,525 days, not '{settle}'"):
        vf.connect(settle=settle)


NO_VERBS = ("call", "subscription", "save", "to_excel", "plot")  # these take nothing, a path, or what pandas takes


def call_verbs(df):
    """Yield each verb of ``df.vapi`` with the name of each of its arguments, and how to call it."""
    for name, verb in inspect.getmembers(type(df.vapi), inspect.isfunction):
        if name.startswith("_") or name in NO_VERBS:
            continue
        parameters = [one for one in inspect.signature(verb).parameters.values() if one.name != "self"]
        named = [one for one in parameters if one.kind is not one.VAR_POSITIONAL]
        if len(named) < len(parameters):  # *columns
            yield f"{name}(value)", lambda value, n=name: getattr(df.vapi, n)(value)
            yield f"{name}(cost, value)", lambda value, n=name: getattr(df.vapi, n)("cost", value)
        needed = {one.name: NEEDED[one.name] for one in named if one.default is one.empty}
        for one in named:
            yield (
                f"{name}({one.name}=)",
                lambda value, n=name, p=one.name, o=needed: getattr(df.vapi, n)(**{**o, p: value}),
            )


NEEDED = {"num": "cost", "den": "id", "names": {"a": "Ann"}, "calls": CALLS}


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning")
@pytest.mark.parametrize(
    "value", [*VALUES, [[1]], [["failed"]], {"a": ["x", "y"]}], ids=lambda value: type(value).__name__
)
def test_an_argument_of_a_verb_of_any_kind_is_taken_or_refused(value):
    """Each argument of each verb on a frame."""
    query = (
        vf.demo().call().sum("cost", "duration").count().by("endedReason", "analysis.successEvaluation", "assistantId")
    )
    df = query.step("day").during("2026-10-01").fetch()
    for name, use in call_verbs(df):
        try:
            use(value)
        except VapiFramesError:
            continue
        except Exception as error:  # noqa: BLE001 - the test looks at any exception
            pytest.fail(f"{name} raises {error!r}")


QUERIES = {
    "by": lambda query, value: query.by(value),
    "by_variable": lambda query, value: query.by_variable(value),
    "by_output": lambda query, value: query.by_output(value),
    "where": lambda query, value: query.where(value),
    "where(type=)": lambda query, value: query.where(type=value),
    "where(output)": lambda query, value: query.where({"output.Score": value}),
    "sum": lambda query, value: query.sum(value),
    "median": lambda query, value: query.median(value),
    "median(alias=)": lambda query, value: query.median("cost", alias=value),
    "quantile": lambda query, value: query.quantile(value),
    "quantile(q=)": lambda query, value: query.quantile("cost", value),
    "nunique": lambda query, value: query.nunique(value),
    "agg": lambda query, value: query.agg(x=value),
    "agg(column)": lambda query, value: query.agg(x=(value, "median")),
    "agg(operation)": lambda query, value: query.agg(x=("cost", value)),
    "agg(operation, q)": lambda query, value: query.agg(x=("cost", value, 0.5)),
    "agg(q)": lambda query, value: query.agg(x=("cost", "quantile", value)),
    "step": lambda query, value: query.step(value),
    "tz": lambda query, value: query.tz(value),
    "compare": lambda query, value: query.compare(value),
    "compare(align=)": lambda query, value: query.compare("7d", align=value),
    "drill": lambda query, value: query.drill(value),
    "drill(column)": lambda query, value: query.drill([value]),
    "drill(limit=)": lambda query, value: query.drill(limit=value),
    "fetch(as_index=)": lambda query, value: query.fetch(as_index=value),
}


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning", "ignore::vapi_frames.errors.RecordsWarning")
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_an_argument_of_a_query_of_any_kind_is_taken_or_refused(value):
    """Each argument of a query."""
    query = vf.local(CALLS, now="2026-10-03T00:00Z").call().count().during("2026-10-01")
    for name, use in QUERIES.items():
        try:
            use(query, value)
        except VapiFramesError:
            continue
        except Exception as error:  # noqa: BLE001 - the test looks at any exception
            pytest.fail(f"{name} raises {error!r}")


@pytest.mark.extra("plot")
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_column_of_a_plot_of_any_kind_is_taken_or_refused(value):
    """What is no name of a measure is refused by a word of the package."""
    df = vf.demo().call().count().by("type").during("2026-10-01").fetch()
    if value is not None:
        with pytest.raises(VapiFramesError):
            df.vapi.plot(value)
