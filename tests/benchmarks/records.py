"""Queries to call records on this machine: files of Parquet, and a DataFrame."""

from __future__ import annotations

import functools
import math
import warnings
from pathlib import Path
from typing import NamedTuple

import duckdb
import pandas as pd
import polars as pl

import vapi_frames as vf
from tests.benchmarks.data import BEGIN, END, ZONE, calls, files
from tests.benchmarks.timing import OURS, Case, Row, format_seconds, interleaved, paired, peak

HAND = "DuckDB SQL by hand"
GROUPED = "pandas groupby, the zone done right"
_FLAT = 1_000_000
_QUANTILE = 5_000_000
HOUR = ("2026-01-14T15:00Z", "2026-01-14T16:00Z")


class Query(NamedTuple):
    """A typical query: as this package writes it, in SQL, and what pandas and polars need to compute the same."""

    ask: object
    select: str
    groups: tuple[str, ...] = ()
    step: str | None = None
    measures: tuple[tuple[str, str], ...] = (("cost", "sum"),)
    within: tuple[str, str] = (BEGIN.isoformat(), END.isoformat())

    @property
    def columns(self):
        """The columns of the records that it uses."""
        used = [column for column, _ in self.measures if column != "duration"]
        used += ["startedAt", "endedAt"] if ("duration", "mean") in self.measures else []
        return list(dict.fromkeys(["createdAt", *self.groups, *used]))

    def sql(self):
        """Return the SQL that an expert writes."""
        bucket = [f"date_trunc('{self.step}', \"createdAt\" AT TIME ZONE '{ZONE}') AS d"] if self.step else []
        keys = [*bucket, *(f'"{name}"' for name in self.groups)]
        low, high = (f"TIMESTAMPTZ '{side}'" for side in self.within)
        grouped = " GROUP BY ALL ORDER BY ALL" if keys else ""
        selected = ", ".join([*keys, self.select])
        return f'SELECT {selected} FROM calls WHERE "createdAt" >= {low} AND "createdAt" < {high}{grouped}'


QUERIES = {
    "day": Query(lambda q: q.sum("cost").by("assistantId").step("day"), "sum(cost)", ("assistantId",), "day"),
    "hour": Query(lambda q: q.count().step("hour"), "count(*)", (), "hour", (("id", "count"),)),
    "month": Query(
        lambda q: q.sum("cost").sum("costBreakdown.llm").step("month"), 'sum(cost), sum("costBreakdown.llm")', (), "month",
        (("cost", "sum"), ("costBreakdown.llm", "sum")),
    ),
    "week": Query(
        lambda q: q.avg("duration").step("week"),
        'avg((epoch_us("endedAt") - epoch_us("startedAt")) / 6e7)', (), "week", (("duration", "mean"),),
    ),
    "three groups": Query(
        lambda q: q.sum("cost").count().by("assistantId", "endedReason", "type"), "sum(cost), count(*)",
        ("assistantId", "endedReason", "type"), None, (("cost", "sum"), ("id", "count")),
    ),
    "a variable, by day": Query(
        lambda q: q.sum("cost").by_variable("plan").step("day"), "sum(cost)", ("variableValues.plan",), "day",
    ),
    "second, over an hour": Query(lambda q: q.count().step("second").between(*HOUR), "count(*)", (), "second", (("id", "count"),), HOUR),
    "no step": Query(
        lambda q: q.sum("cost").avg("cost").min("cost").max("cost").count(),
        "sum(cost), avg(cost), min(cost), max(cost), count(*)", (), None,
        (("cost", "sum"), ("cost", "mean"), ("cost", "min"), ("cost", "max"), ("id", "count")),
    ),
    "ended reasons, by day": Query(lambda q: q.count().by("endedReason").step("day"), "count(*)", ("endedReason",), "day", (("id", "count"),)),
    "quarter": Query(
        lambda q: q.sum("costBreakdown.llm").by("assistantId").step("quarter"), 'sum("costBreakdown.llm")', ("assistantId",), "quarter",
        (("costBreakdown.llm", "sum"),),
    ),
}  # fmt: skip
OTHERS = {
    "quantile": Query(
        lambda q: q.quantile("duration", 0.95).by("assistantId").step("day"),
        'quantile_cont((epoch_us("endedAt") - epoch_us("startedAt")) / 6e7, 0.95)', ("assistantId",), "day",
    ),
}  # fmt: skip
"""Queries beside the ten typical ones."""
_FLOORS = {"second": "s", "hour": "h", "day": "D"}
_PERIODS = {"week": "W-SUN", "month": "M", "quarter": "Q"}
_EVERY = {"second": "1s", "hour": "1h", "day": "1d", "week": "1w", "month": "1mo", "quarter": "1q"}


def ask(vq, query):
    """Compute *query* with this package."""
    return query.ask(vq.call().between(BEGIN, END).tz(ZONE)).fetch()


def by_pandas(pattern, query):
    """Compute *query* with pandas: read the columns, choose the calls, group them by the buckets of the wall clock."""
    parts = []
    for path in sorted(Path(pattern).parent.glob("*.parquet")):
        part = pd.read_parquet(path, columns=query.columns)
        low, high = (pd.Timestamp(side) for side in query.within)
        part = part[(part["createdAt"] >= low) & (part["createdAt"] < high)]
        parts.append(part)
    frame = pd.concat(parts)
    frame["duration"] = (frame["endedAt"] - frame["startedAt"]).dt.total_seconds() / 60 if "endedAt" in frame else 0.0
    keys = [frame[name] for name in query.groups]
    if query.step:
        wall = frame["createdAt"].dt.tz_convert(ZONE).dt.tz_localize(None)
        floor = _FLOORS.get(query.step)
        keys.insert(0, wall.dt.floor(floor) if floor else wall.dt.to_period(_PERIODS[query.step]).dt.start_time)
    counted = {("createdAt" if column == "id" else column): [] for column, _ in query.measures}
    for column, how in query.measures:
        counted["createdAt" if column == "id" else column].append(how)
    return frame.groupby(keys, dropna=False).agg(counted) if keys else frame.agg(counted)


def by_polars(pattern, query):
    """Compute *query* with polars, lazily, so that it reads only what it needs."""
    low, high = (pl.lit(pd.Timestamp(side).to_pydatetime()).cast(pl.Datetime("us", "UTC")) for side in query.within)
    table = pl.scan_parquet(pattern).filter((pl.col("createdAt") >= low) & (pl.col("createdAt") < high))
    keys = [pl.col(name) for name in query.groups]
    if query.step:
        keys.insert(0, pl.col("createdAt").dt.convert_time_zone(ZONE).dt.truncate(_EVERY[query.step]).alias("date"))
    measures = [
        pl.len().alias("n") if column == "id" else getattr(_polars_column(column), how)().alias(f"{column} {how}")
        for column, how in query.measures
    ]
    found = table.group_by(keys).agg(measures) if keys else table.select(measures)
    return found.collect(engine="streaming").to_pandas()


def _polars_column(column):
    if column == "duration":
        return (pl.col("endedAt") - pl.col("startedAt")).dt.total_microseconds() / 60_000_000
    return pl.col(column)


def total(result):
    """Return the sum of the first numeric column, which is the first measure."""
    return float(result.select_dtypes("number").iloc[:, 0].sum())


def case(name, pattern, others):
    """Return the contenders for a query."""
    query = (QUERIES | OTHERS)[name]
    vq = vf.local(pattern)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"CREATE VIEW calls AS SELECT * FROM read_parquet('{pattern}')")
    contenders = {OURS: functools.partial(ask, vq, query), HAND: lambda: connection.sql(query.sql()).df()}
    contenders |= {tool: functools.partial(run, pattern, query) for tool, run in others.items()}
    return Case(name, contenders)


def _check(made):
    """Raise unless the sum of the first measure is the same for all."""
    results = {tool: run() for tool, run in made.contenders.items()}
    first = {tool: _first(result) for tool, result in results.items()}
    if not all(math.isclose(one, first[OURS], rel_tol=1e-9) for one in first.values()):
        raise AssertionError(f"{made.name}: {first}")


def _first(result):
    if isinstance(result.index, pd.Index) and list(result.index) == ["sum", "mean", "min", "max", "count"]:
        return float(result.loc["sum"].dropna().iloc[0])  # pandas puts several measures of one column in rows
    return float(result.select_dtypes("number").iloc[:, 0].sum())


def typical(pattern, said, rounds, marks):
    """Yield the rows of the ten queries together."""
    peers = {"pandas groupby": by_pandas, "polars": by_polars}
    ratios: dict[str, list[float]] = {}
    each = []
    for name in QUERIES:
        made = case(name, pattern, peers)
        _check(made)
        seconds = interleaved(made.contenders, rounds)
        for tool in made.contenders:
            if tool != OURS:
                ratios.setdefault(tool, []).append(paired(seconds[OURS], seconds[tool]))
        each.append(f"{name} {format_seconds(seconds[OURS])} ({ratios[HAND][-1]:.2f})")
    for tool, mark in marks.items():
        mean = math.exp(sum(map(math.log, ratios[tool])) / len(ratios[tool]))
        worst = f"{min(ratios[tool]):.2f} to {max(ratios[tool]):.2f}"
        yield Row(f"{said}, ten queries, geometric mean", tool, mean, mark, worst if tool != HAND else "; ".join(each))


def memory(pattern, said, mark):
    """Yield the peak memory of a query, above that of an idle process that has queried another source before."""
    prepare = (
        "import vapi_frames as vf\nfrom tests.benchmarks import records\n"
        "vf.local(vf.sample_calls(10)).call().count().last('1y').fetch()\n"
        f"vq = vf.local('{pattern}')\n"
    )
    asked = {name: f"records.ask(vq, records.QUERIES[{name!r}])" for name in QUERIES}
    first = next(iter(asked.values()))
    yield Row(
        f"{said}, peak memory of the first query",
        "the idle process",
        peak(prepare, first),
        None,
        "with the look for ids that stand twice",
        "MB",
    )
    peaks = {name: peak(prepare, run, before=first) for name, run in asked.items()}
    worst = max(peaks, key=peaks.__getitem__)
    yield Row(f"{said}, peak memory of a query", "the idle process", peaks[worst], mark, f"most for: {worst}", "MB")


def at_once(pattern):
    """Return the contenders for concurrency by the hour."""
    vq = vf.local(pattern)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"CREATE VIEW calls AS SELECT * FROM read_parquet('{pattern}')")
    sql = """
        WITH changes AS (
          SELECT "startedAt" AS t, 1 AS d FROM calls WHERE "startedAt" IS NOT NULL
          UNION ALL SELECT "endedAt", -1 FROM calls WHERE "startedAt" IS NOT NULL AND "endedAt" IS NOT NULL),
        levels AS (SELECT t, sum(d) OVER (ORDER BY t, d) AS n FROM changes)
        SELECT date_trunc('hour', t) AS d, max(n) FROM levels GROUP BY ALL ORDER BY ALL"""
    query = vq.subscription().max("concurrency").step("hour").between(BEGIN, END)
    return {OURS: query.fetch, HAND: lambda: connection.sql(sql).df()}


def concurrency(pattern, said, rounds, mark):
    """Yield the row of concurrency; by hand, hours without any change are left out."""
    contenders = at_once(pattern)
    ours, hand = (run() for run in contenders.values())
    assert ours.iloc[:, 0].max() == hand.iloc[:, 1].max()
    seconds = interleaved(contenders, rounds)
    ratio = paired(seconds[OURS], seconds[HAND])
    yield Row(
        f"{said}, concurrency by the hour",
        HAND,
        ratio,
        mark,
        f"{format_seconds(seconds[OURS])} / {format_seconds(seconds[HAND])}",
    )


def quantile(pattern, said, rounds, mark):
    """Yield the row of an exact quantile: an engine has to keep all values of a group to find it."""
    made = case("quantile", pattern, {})
    _check(made)
    seconds = interleaved(made.contenders, rounds)
    ratio = paired(seconds[OURS], seconds[HAND])
    shown = f"{format_seconds(seconds[OURS])} / {format_seconds(seconds[HAND])}"
    yield Row(f"{said}, the 95th percentile of minutes by assistant and day", HAND, ratio, mark, shown)


def in_memory(rows, seed, mark=0.7):
    """Return the case of a DataFrame of call records."""
    frame = calls(rows, seed)
    low, high = (pd.Timestamp(side) for side in (BEGIN, END))

    def ours():
        return frame.vapi.call().sum("cost").by("assistantId").step("day").between(BEGIN, END).tz(ZONE).fetch()

    def plain():
        chosen = frame[(frame["createdAt"] >= low) & (frame["createdAt"] < high)]
        day = chosen["createdAt"].dt.tz_convert(ZONE).dt.normalize().rename("date")
        return chosen.groupby([day, "assistantId"], dropna=False)["cost"].sum().to_frame("sumCost")

    name = f"a DataFrame of {rows:,} calls, sum by assistant and day"
    return Case(
        name,
        {OURS: ours, GROUPED: plain},
        {GROUPED: mark},
        total,
    )


def rows(seed, count, folder, rounds):
    """Yield the rows of the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pattern = files(folder, count, seed)
        said = f"{count / 1_000_000:g} million calls in Parquet"
        yield from typical(pattern, said, rounds, {HAND: 0.5, "pandas groupby": 0.2, "polars": 0.6})
        yield from memory(pattern, said, 150)
        if count > _FLAT:  # the same whatever their number
            yield from memory(files(folder, _FLAT, seed), "1 million calls in Parquet", 150)
        yield from concurrency(pattern, said, rounds + 2, 0.5)
        fewer = min(count, _QUANTILE)
        said = f"{fewer / 1_000_000:g} million calls in Parquet"
        yield from quantile(files(folder, fewer, seed), said, rounds + 2, 1.2)
        yield from in_memory(min(1_000_000, count), seed).rows(3 * rounds)
