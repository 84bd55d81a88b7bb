"""Real engines, started by the tests: PostgreSQL on loopback, Spark and ClickHouse in process, DuckDB; and their calls.

Every session is in a zone that is not UTC, and every engine has the same calls in the form that is usual there.
"""

from __future__ import annotations

import json
import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.support.requirements import require
from vapi_frames.cancellation import Stop
from vapi_frames.contract.vocabulary import CALL_COLUMNS, GROUP_COLUMNS
from vapi_frames.errors import SourceError

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
TIMES = ("createdAt", "startedAt", "endedAt")
PARTS = tuple(name for name in CALL_COLUMNS if name.startswith("costBreakdown."))
# Around changes of the clock in the zones of the queries, and just before now.
INSTANTS = (
    datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC), datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC), datetime(2018, 11, 4, 3, tzinfo=UTC), datetime(2011, 12, 30, 10, tzinfo=UTC),
    datetime(2009, 11, 1, 2, 31, tzinfo=UTC), datetime(1985, 12, 31, 18, 30, tzinfo=UTC), NOW,
)  # fmt: skip
HOSTILE = (
    "it's", 'say "hi"', "`tick`", "back\\slash", "\\", "\\'", "'; DROP TABLE calls; --", "a;b", "a.b", "..", "☎ 🦆",
    "line\nbreak", "tab\there", "${env:HOME}", "${x}", "$1", ":name", "%s", "%(x)s", "%%", "?", "{{ x }}", "{0}", "/* x */",
    "-- x", "null", "NULL", "true", "1", "[0]", "$.a", "a/b~c", "Plan", "plan", "PLAN", "ß", "SS", "k" * 100, " ", " x ",
    "e\u0301", "\u00e9", "\u200b", "cost", "createdAt", "variableValues", "calls", "g0", "in_range",
)  # fmt: skip


def cancel_running(query):
    """Fetch *query*, cancel it while it runs, and wait for its end."""
    stop, ended = Stop(), []

    def fetch():
        with stop.scope(), pytest.raises(SourceError):
            query.fetch()
        ended.append(True)

    thread = threading.Thread(target=fetch)
    thread.start()
    thread.join(1)
    assert thread.is_alive(), "it should have run for hours"
    while thread.is_alive():
        stop.set()
        thread.join(0.05)
    assert ended


def _some_calls():
    rng = random.Random(20261120)
    texts = ["a", "b", "", "00000000-0000-0000-0000-000000000000", "Ünï ☎", "A", None]
    calls = []
    for number in range(700):
        created = rng.choice(INSTANTS) + timedelta(microseconds=rng.randint(-3 * 86_400 * 10**6, 3 * 86_400 * 10**6))
        started = created + timedelta(seconds=2) if rng.random() < 0.85 else None
        length = rng.choice([0, 30 * 10**6, 10**8, 10**9, 10**10, 2 * 10**11])
        ended = started + timedelta(microseconds=rng.randint(0, length)) if started and rng.random() < 0.93 else None
        status = rng.choice(["ended", "ended", "in-progress", "queued", None])
        if ended and rng.random() < 0.01:
            ended = started - timedelta(seconds=1)
        calls.append(
            {
                "id": f"call-{number}", "createdAt": created, "startedAt": started, "endedAt": ended,
                **{name: rng.choice([*texts, rng.choice(HOSTILE)]) for name in GROUP_COLUMNS},
                "status": status if ended is None else rng.choice(["ended", "ended", None]),
                "endedReason": None if ended is None and status != "ended" else rng.choice([*texts, "x"]),
                "cost": None if rng.random() < 0.1 else rng.randint(0, 10**6) / 10_000,
                **{name: None if rng.random() < 0.3 else rng.randint(0, 10**5) / 1000 for name in PARTS},
                "variables": {key: rng.choice([*texts[:-1], rng.choice(HOSTILE)]) for key in HOSTILE if rng.random() < 0.5},
            }
        )  # fmt: skip
    for call in calls:  # as the oracle reads them
        call.update({f"variableValues.{key}": value for key, value in call["variables"].items()})
    return calls


CALLS = _some_calls()


def flat(calls, *, variables=False):
    """Return *calls* as a table of flat columns; *variables* adds those, as a map."""
    columns = {"id": pa.array([call["id"] for call in calls])}
    columns |= {name: pa.array([call[name] for call in calls], pa.timestamp("us", "UTC")) for name in TIMES}
    columns |= {name: pa.array([call[name] for call in calls], pa.string()) for name in GROUP_COLUMNS}
    columns |= {name: pa.array([call[name] for call in calls], pa.float64()) for name in ("cost", *PARTS)}
    if variables:
        pairs = [list(call["variables"].items()) for call in calls]
        columns["variableValues"] = pa.array(pairs, pa.map_(pa.string(), pa.string()))
    return pa.table(columns)


# --- DuckDB -----------------------------------------------------------------------------------------------------


@contextmanager
def duckdb_session():
    """Yield a DuckDB connection in another zone."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'Asia/Kathmandu'")
    yield connection
    connection.close()


def load_duckdb(connection, calls):
    """Make a table of flat columns, and a map; one timestamp has a zone and one has none."""
    connection.register("loaded", flat(calls, variables=True))
    # A cast would take the session's zone.
    connection.execute(
        'CREATE OR REPLACE TABLE calls AS SELECT * REPLACE (make_timestamp(epoch_us("startedAt")) AS "startedAt") FROM loaded'
    )
    connection.unregister("loaded")
    return {"connection": connection, "table": "calls", "dialect": "duckdb"}


# --- PostgreSQL -------------------------------------------------------------------------------------------------


def _postgres_programs():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    for folder in (*found, *([Path(on_path).parent] if on_path else [])):
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    return require(condition=False, reason="there is no PostgreSQL in /usr/lib/postgresql or on the path")


@contextmanager
def postgres_server():
    """Yield the address of a PostgreSQL server that is gone afterwards; it refuses to run as root."""
    require(find_spec("psycopg"), "psycopg is not installed")
    programs = _postgres_programs()
    home = Path(tempfile.mkdtemp(prefix="pg"))
    user: dict = {}
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(home, owner.pw_uid, owner.pw_gid)
        user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    def run(*command):
        # The output goes to a file: the server inherits it, and to read a pipe would wait for the server.
        with (home / "output").open("wb") as output:
            done = subprocess.run(command, stdout=output, stderr=output, cwd=home, check=False, timeout=120, **user)
        assert done.returncode == 0, (home / "output").read_text()

    try:
        run(programs / "initdb", "-D", home / "data", "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
        options = f"-p {port} -h 127.0.0.1 -k {home} -F"
        run(programs / "pg_ctl", "-D", home / "data", "-l", home / "log", "-w", "-o", options, "start")
        try:
            yield f"host=127.0.0.1 port={port} user=tester dbname=postgres"
        finally:
            run(programs / "pg_ctl", "-D", home / "data", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home)


@contextmanager
def postgres_session(address):
    """Yield a connection to the PostgreSQL server at *address*, in another zone."""
    import psycopg

    with psycopg.connect(address) as connection:
        connection.execute("SET TimeZone = 'Australia/Lord_Howe'")
        connection.commit()
        yield connection


def load_postgres(connection, calls):
    """Make a table of flat columns and JSON; one timestamp has a zone and one has none, money is exact."""
    kinds = {"createdAt": "timestamptz", "startedAt": "timestamp", "endedAt": "timestamptz", "cost": "numeric(14, 4)"}
    kinds |= dict.fromkeys(PARTS, "double precision")
    table = flat(calls)
    named = ", ".join(f'"{name}" {kinds.get(name, "text")}' for name in table.column_names)
    connection.execute(f"DROP TABLE IF EXISTS calls; CREATE TABLE calls ({named}, artifact jsonb)")
    with connection.cursor() as cursor, cursor.copy("COPY calls FROM STDIN") as copy:
        for call in calls:
            row = [call[name] for name in table.column_names]
            row = [
                v.replace(tzinfo=None) if v and n == "startedAt" else v
                for n, v in zip(table.column_names, row, strict=True)
            ]
            copy.write_row([*row, json.dumps({"variableValues": call["variables"]})])
    connection.commit()
    return {"connection": connection, "table": "calls", "dialect": "postgres"}


# --- Spark ------------------------------------------------------------------------------------------------------


JAVA_OPTIONS = (
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # for a process of a minute, optimizing costs more than it saves
)


@contextmanager
def spark_session():
    """Yield a Spark session in another zone."""
    require(find_spec("pyspark"), "pyspark is not installed")
    require(shutil.which("java") or os.environ.get("JAVA_HOME"), "there is no Java for Spark")
    from pyspark.sql import SparkSession

    with tempfile.TemporaryDirectory(prefix="spark") as folder:
        session = (
            SparkSession.builder.master("local[2]")
            .config("spark.driver.extraJavaOptions", JAVA_OPTIONS)
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "1")
            .config("spark.sql.adaptive.enabled", "false")
            .config("spark.sql.codegen.wholeStage", "false")  # compiling code takes longer than these few rows
            .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.local.dir", folder)
            .config("spark.sql.warehouse.dir", f"{folder}/warehouse")
            .config("spark.sql.session.timeZone", "America/Los_Angeles")
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("OFF")
        try:
            yield session
        finally:
            session.stop()


def nested(calls):
    """Return *calls* with what the API nests in structs, and variables in a map; one timestamp has no zone."""
    table = flat(calls, variables=True)

    def struct(prefix, names):
        return pa.StructArray.from_arrays(
            [table.column(name).combine_chunks() for name in names], [name.removeprefix(prefix) for name in names]
        )

    parts = [name for name in PARTS if name != "costBreakdown.analysisBreakdown.summary"]
    summary = struct("costBreakdown.analysisBreakdown.", ["costBreakdown.analysisBreakdown.summary"])
    cost = struct("costBreakdown.", parts)
    columns = {name: table.column(name) for name in table.column_names if "." not in name and name != "variableValues"}
    columns["startedAt"] = columns["startedAt"].cast(pa.timestamp("us"))
    columns["costBreakdown"] = pa.StructArray.from_arrays(
        [*cost.flatten(), summary], [*(field.name for field in cost.type), "analysisCostBreakdown"]
    )
    columns["analysis"] = struct("analysis.", ["analysis.successEvaluation"])
    columns["artifact"] = struct("", ["variableValues"])
    return pa.table(columns)


def load_spark(session, calls):
    """Make a view of nested columns."""
    with tempfile.TemporaryDirectory(prefix="calls") as folder:
        pyarrow.parquet.write_table(nested(calls), f"{folder}/calls.parquet")
        session.read.parquet(folder).cache().createOrReplaceTempView("calls")
        session.sql("SELECT count(*) FROM calls").collect()  # the cache holds it from here on
    return {"connection": session, "table": "calls"}


# --- ClickHouse -------------------------------------------------------------------------------------------------


@contextmanager
def clickhouse_session():
    """Yield a connection to a ClickHouse in process, in another zone."""
    require(find_spec("chdb"), "chdb is not installed")
    import chdb.dbapi

    connection = chdb.dbapi.connect()
    run_clickhouse(connection, "SET session_timezone = 'America/St_Johns'")
    yield connection
    connection.close()


def run_clickhouse(connection, text):
    """Run *text* and return the rows."""
    cursor = connection.cursor()
    try:
        cursor.execute(text)
        return cursor.fetchall()
    finally:
        cursor.close()


def load_clickhouse(connection, calls):
    """Make a table of columns with dots in their names, a map, and types that only this engine has."""
    table = flat(calls, variables=True)
    at = table.column_names.index("cost")
    table = table.set_column(
        at, "cost", table.column("cost").cast(pa.decimal128(14, 4))
    )  # the engine would truncate it
    kinds = {"id": "String", "createdAt": "DateTime64(6, 'Asia/Tokyo')", "type": "LowCardinality(Nullable(String))",
             "variableValues": "Map(LowCardinality(String), String)", "cost": "Nullable(Decimal(14, 4))"}  # fmt: skip
    kinds |= dict.fromkeys(("startedAt", "endedAt"), "Nullable(DateTime64(6))") | dict.fromkeys(
        PARTS, "Nullable(Float64)"
    )
    named = ", ".join(f'"{name}" {kinds.get(name, "Nullable(String)")}' for name in table.column_names)
    run_clickhouse(connection, "DROP TABLE IF EXISTS calls")
    run_clickhouse(connection, f'CREATE TABLE calls ({named}) ENGINE = MergeTree ORDER BY "createdAt"')
    with tempfile.TemporaryDirectory(prefix="calls") as folder:
        pyarrow.parquet.write_table(table, f"{folder}/calls.parquet")
        run_clickhouse(connection, f"INSERT INTO calls SELECT * FROM file('{folder}/calls.parquet')")
    return {"connection": connection, "table": "calls", "dialect": "clickhouse"}


LOAD = {"duckdb": load_duckdb, "postgres": load_postgres, "spark": load_spark, "clickhouse": load_clickhouse}


# --- any engine -------------------------------------------------------------------------------------------------


def load_flat(engine, name, keys):
    """Make a table called *name*, with a column for each variable of *keys* that the engine can hold; return these."""
    kind, session = engine
    if kind in ("duckdb", "spark"):  # which cannot tell names apart by case
        keys = list({key.casefold(): key for key in keys}.values())
    if kind == "spark":
        keys = [key for key in keys if "${" not in key]
    if kind == "postgres":  # which cuts longer names
        keys = [key for key in keys if len(key.encode()) < 45]
    calls = CALLS[:50]
    table = flat(calls).select(["id", "createdAt", "cost"])
    for key in keys:
        values = [call["variables"].get(key) for call in calls]
        table = table.append_column(f"variableValues.{key}", pa.array(values, pa.string()))
    quoted = '"' + name.replace('"', '""') + '"'
    with tempfile.TemporaryDirectory(prefix="calls") as folder:
        pyarrow.parquet.write_table(table, f"{folder}/calls.parquet")
        if kind == "duckdb":
            session.execute(f"CREATE OR REPLACE TABLE {quoted} AS FROM '{folder}/calls.parquet'")
        elif kind == "clickhouse":
            quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
            source = f"file('{folder}/calls.parquet', Parquet)"
            run_clickhouse(session, f"CREATE TABLE loading ENGINE = Memory AS SELECT * FROM {source}")
            run_clickhouse(session, f"RENAME TABLE loading TO {quoted}")
        elif kind == "spark":
            quoted = "`" + name.replace("`", "``") + "`"
            session.createDataFrame(table).createOrReplaceTempView("flat")
            session.sql(f"CREATE OR REPLACE TEMP VIEW {quoted} AS SELECT * FROM flat")
        else:
            import psycopg.sql

            names = [psycopg.sql.Identifier(column) for column in table.column_names]
            kinds = ["text", "timestamptz", "float8", *["text"] * len(keys)]
            defined = psycopg.sql.SQL(", ").join(
                psycopg.sql.SQL(" ").join([one, psycopg.sql.SQL(kind)]) for one, kind in zip(names, kinds, strict=True)
            )
            called = psycopg.sql.Identifier(name)
            session.execute(psycopg.sql.SQL("CREATE TABLE {} ({})").format(called, defined))
            with session.cursor() as cursor, cursor.copy(psycopg.sql.SQL("COPY {} FROM STDIN").format(called)) as copy:
                for row in zip(*table.to_pydict().values(), strict=True):
                    copy.write_row(row)
            session.commit()
    return keys, calls
