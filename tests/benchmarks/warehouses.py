"""Queries to a table of call records in PostgreSQL, ClickHouse and Spark, beside SQL by hand on the same engine."""

from __future__ import annotations

import math
import tempfile
import warnings
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

import pandas as pd

import vapi_frames as vf
from tests.benchmarks.data import BEGIN, END, ZONE, files
from tests.benchmarks.timing import OURS, Row, format_seconds, interleaved, paired
from tests.support import engines

HAND = "SQL by hand"
COLUMNS = ("id", "createdAt", "startedAt", "endedAt", "assistantId", "endedReason", "type", "status", "cost")
_TIMES = ("createdAt", "startedAt", "endedAt")
_ROWS = {"PostgreSQL": 1_000_000, "ClickHouse": 6_000_000, "Spark": 6_000_000}
_MARKS = {"PostgreSQL": (0.85, 1.2), "ClickHouse": (1.05, 1.2), "Spark": (0.8, None)}
_MARKS_WITHOUT_STEP = {"PostgreSQL": 1.15}
_MARKS_OF_CORES = {"concurrency by the hour": 0.65}
_SPARK_ROUNDS = 3
"""A query takes seconds there, so that it runs fewer times."""
_GROWTH = 12
"""The mark of the time that ten times the calls take."""
_CUT = {
    "PostgreSQL": f"date_trunc('{{step}}', {{at}}, '{ZONE}')",
    "ClickHouse": f"dateTrunc('{{step}}', {{at}}, '{ZONE}')",
    "Spark": f"date_trunc('{{step}}', from_utc_timestamp({{at}}, '{ZONE}'))",
}
_MINUTES = {
    "PostgreSQL": 'extract(epoch FROM "endedAt" - "startedAt") / 60',
    "ClickHouse": 'dateDiff(\'microsecond\', "startedAt", "endedAt") / 6e7',
    "Spark": "(unix_micros(endedAt) - unix_micros(startedAt)) / 6e7",
}
_INSTANT = {
    "PostgreSQL": "TIMESTAMPTZ '{}'", "ClickHouse": "parseDateTime64BestEffort('{}', 6)", "Spark": "TIMESTAMP '{}'",
}  # fmt: skip
QUERIES = {
    "no step": (lambda q: q.count().sum("cost").avg("cost"), "count(*), sum(cost), avg(cost)", (), None),
    "three groups": (
        lambda q: q.count().sum("cost").by("type", "assistantId", "endedReason"), "count(*), sum(cost)",
        ("type", "assistantId", "endedReason"), None,
    ),
    "hour": (lambda q: q.count().step("hour"), "count(*)", (), "hour"),
    "day": (lambda q: q.sum("cost").count().by("assistantId").step("day"), "sum(cost), count(*)", ("assistantId",), "day"),
    "week": (lambda q: q.avg("duration").step("week"), "avg({minutes})", (), "week"),
    "month": (lambda q: q.sum("cost").step("month"), "sum(cost)", (), "month"),
}  # fmt: skip


# On Spark's wall clock the hour that is repeated in autumn would be one; an hour in UTC is an hour in this zone.
_CUT_HOUR = {**_CUT, "Spark": "date_trunc('{step}', {at})"}


def by_hand(engine, selected, groups, step):
    """Return the SQL of an expert."""
    cut = (_CUT_HOUR if step == "hour" else _CUT)[engine]
    keys = [cut.format(step=step, at='"createdAt"')] if step else []
    keys += [f'"{name}"' for name in groups]
    low, high = (_INSTANT[engine].format(side.isoformat()) for side in (BEGIN, END))
    columns = ", ".join([*keys, selected.format(minutes=_MINUTES[engine])])
    grouped = f" GROUP BY {', '.join(str(i + 1) for i in range(len(keys)))}" if keys else ""
    text = f'SELECT {columns} FROM calls WHERE "createdAt" >= {low} AND "createdAt" < {high}{grouped}'
    return text.replace('"', "`") if engine == "Spark" else text


def concurrency_by_hand(engine):
    """Return the SQL of an expert for the highest concurrency of each hour: one window over all changes."""
    cut = _CUT_HOUR[engine].format(step="hour", at="t")
    text = (
        f"SELECT {cut} AS d, max(n) AS highest FROM (SELECT t, sum(d) OVER (ORDER BY t) AS n FROM ("
        'SELECT "startedAt" AS t, 1 AS d FROM calls WHERE "startedAt" IS NOT NULL AND "endedAt" > "startedAt" '
        'UNION ALL SELECT "endedAt", -1 FROM calls WHERE "endedAt" > "startedAt") changes) levels GROUP BY 1'
    )
    return text.replace('"', "`") if engine == "Spark" else text


@contextmanager
def postgres(pattern):
    """Yield a connection to a server that has the calls, its dialect, and a function that runs SQL."""
    import psycopg

    kinds = dict.fromkeys(_TIMES, "timestamptz") | {"cost": "double precision"}
    named = ", ".join(f'"{name}" {kinds.get(name, "text")}' for name in COLUMNS)
    with engines.postgres_server() as address, psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE calls ({named})")
        with connection.cursor() as cursor, cursor.copy("COPY calls FROM STDIN (FORMAT csv)") as copy:
            copy.write(read_calls(pattern).to_csv(index=False, header=False))
        connection.execute('CREATE INDEX ON calls ("createdAt")')
        connection.execute("VACUUM ANALYZE calls")
        yield connection, "postgres", lambda text: connection.execute(text).fetchall()


def read_calls(pattern):
    """Return the calls of the files."""
    paths = sorted(Path(pattern).parent.glob("*.parquet"))
    return pd.concat([pd.read_parquet(path, columns=list(COLUMNS)) for path in paths])


@contextmanager
def clickhouse(pattern):
    """Yield the same of a ClickHouse in this process."""
    with engines.clickhouse_session() as connection:
        run = partial(engines.run_clickhouse, connection)
        run("SET session_timezone = 'UTC'")
        columns = ", ".join(f'"{name}"' for name in COLUMNS)
        run(
            'CREATE TABLE calls ENGINE = MergeTree ORDER BY "createdAt" SETTINGS allow_nullable_key = 1 AS '
            f"SELECT {columns} FROM file('{pattern}', Parquet)"
        )
        yield connection, "clickhouse", run


@contextmanager
def spark(pattern, cores=2):
    """Yield the same of a Spark session with so many cores."""
    from pyspark.sql import SparkSession

    with tempfile.TemporaryDirectory(prefix="spark") as folder:
        session = (
            SparkSession.builder.master(f"local[{cores}]").config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
            .config("spark.driver.memory", "4g").config("spark.local.dir", folder)
            .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.sql.session.timeZone", "UTC").getOrCreate()
        )  # fmt: skip
        session.sparkContext.setLogLevel("OFF")
        session.read.parquet(pattern).createOrReplaceTempView("calls")
        try:
            yield session, "spark", lambda text: [tuple(row) for row in session.sql(text).collect()]
        finally:
            session.stop()


_OPEN = {"PostgreSQL": postgres, "ClickHouse": clickhouse, "Spark": spark}


def _check(name, ours, theirs, first):
    """Raise unless both have as many rows and the same sum of each measure, of which *first* is the position of the first."""
    if len(ours) != len(theirs):
        raise AssertionError(f"{name}: {len(ours)} and {len(theirs)} rows")
    for at, measure in enumerate(ours):
        by_hand_values = (row[first + at] for row in theirs)
        values = ours[measure].sum(), math.fsum(float(value) for value in by_hand_values if value is not None)
        if not math.isclose(*values, rel_tol=1e-9):
            raise AssertionError(f"{name}: {measure} is {values[0]}, and by hand {values[1]}")


def engine_rows(engine, count, pattern, rounds):
    """Yield the rows of one engine."""
    mark, mark_of_concurrency = _MARKS[engine]
    with _OPEN[engine](pattern) as (connection, dialect, run):
        vq = vf.warehouse(connection, "calls", dialect=dialect)
        ratios, each = {}, []
        for name, (ask, selected, groups, step) in QUERIES.items():
            query = ask(vq.call().between(BEGIN, END).tz(ZONE))
            text = by_hand(engine, selected, groups, step)
            contenders = {OURS: query.fetch, HAND: partial(run, text)}
            _check(f"{engine}, {name}", query.fetch(), run(text), len(groups) + bool(step))
            seconds = interleaved(contenders, rounds)
            ratios[name] = paired(seconds[OURS], seconds[HAND])
            each.append(f"{name} {format_seconds(seconds[OURS])} ({ratios[name]:.2f})")
            if step is None and not groups and engine in _MARKS_WITHOUT_STEP:
                mark_of_none = _MARKS_WITHOUT_STEP[engine]
                yield _compare(f"{count / 1e6:g} million calls in {engine}, {name}", mark_of_none, seconds)
        said = f"{count / 1e6:g} million calls in {engine}"
        mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
        yield Row(f"{said}, six queries, geometric mean", HAND, mean, mark, "; ".join(each))
        query = vq.subscription().max("concurrency").step("hour").between(BEGIN, END).tz(ZONE)
        text = concurrency_by_hand(engine)
        ours, theirs = query.fetch(), run(text)
        if ours.iloc[:, 0].max() != max(row[1] for row in theirs):
            raise AssertionError(f"{engine}, concurrency: {ours.iloc[:, 0].max()}, not {max(row[1] for row in theirs)}")
        seconds = interleaved({OURS: query.fetch, HAND: partial(run, text)}, rounds)
        yield _compare(f"{said}, concurrency by the hour", mark_of_concurrency, seconds)


def _compare(what, mark, seconds):
    """Return the row of the seconds of both."""
    said = f"{format_seconds(seconds[OURS])} / {format_seconds(seconds[HAND])}"
    return Row(what, HAND, paired(seconds[OURS], seconds[HAND]), mark, said)


def spark_rows(patterns, rounds):
    """Yield what ten times the calls cost on two cores, and what the second core brings.

    Args:
        patterns: Number of calls → their files; from few to many.
        rounds: How often each query runs.
    """
    seconds = {}
    for cores in (2, 1):
        chosen = patterns if cores == 2 else {max(patterns): patterns[max(patterns)]}
        for count, pattern in chosen.items():
            with spark(pattern, cores) as (session, dialect, _):
                vq = vf.warehouse(session, "calls", dialect=dialect)
                queries = {
                    "cost by assistant and day": vq.call().sum("cost").by("assistantId").step("day"),
                    "concurrency by the hour": vq.subscription().max("concurrency").step("hour"),
                }
                for name, query in queries.items():
                    asked = query.between(BEGIN, END).tz(ZONE)
                    found = asked.fetch()
                    timed = interleaved({OURS: asked.fetch}, rounds)[OURS]
                    seconds[name, cores, count] = timed, float(found.iloc[:, 0].sum())
    most = max(patterns)
    for name in queries:
        for small, large in pairwise(patterns):
            yield _divide(f"{large:,} calls in Spark, {name}", f"{small:,} calls", _GROWTH,
                          seconds[name, 2, large][0], seconds[name, 2, small][0])  # fmt: skip
        (two, total), (one, other) = (seconds[name, cores, most] for cores in (2, 1))
        if not math.isclose(total, other, rel_tol=1e-9):
            raise AssertionError(f"Spark, {name}: {total} on two cores, {other} on one")
        yield _divide(f"{most:,} calls in Spark, {name}, local[2]", "local[1]", _MARKS_OF_CORES.get(name), two, one)


def _divide(what, against, mark, ours, theirs):
    """Return the row of the best seconds of runs that cannot take turns."""
    said = f"{format_seconds(ours)} / {format_seconds(theirs)}"
    return Row(what, against, min(ours) / min(theirs), mark, said)


def rows(seed, folder, rounds, size):
    """Yield the rows of the table; *size* is the share of the usual number of calls."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        most = int(_ROWS["Spark"] * size)
        counts = {engine: int(usual * size) for engine, usual in _ROWS.items()}
        patterns = {count: files(folder, count, seed) for count in {most // 100, most // 10, *counts.values()}}
        for engine, count in counts.items():
            yield from engine_rows(engine, count, patterns[count], _SPARK_ROUNDS if engine == "Spark" else rounds)
        yield from spark_rows({count: patterns[count] for count in (most // 100, most // 10, most)}, _SPARK_ROUNDS)
