"""The same calls in DuckDB, PostgreSQL, Spark and ClickHouse give the results of plain loops over them."""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from functools import cache

import pytest

import vapi_frames as vf
from tests.support.engines import CALLS, HOSTILE, LOAD, NOW, load_flat, run_clickhouse
from tests.support.queries import ALL, CALL, FILTERS, QUERIES, RECORD_QUERIES, VARIABLES
from tests.support.reference import compute
from tests.support.shapes import check
from vapi_frames.errors import RecordsError

pytestmark = [
    pytest.mark.extra("warehouse"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning"),
]


@pytest.fixture(scope="module")
def vq(engine):
    """Return a Vq over the calls in the engine."""
    name, session = engine
    where = LOAD[name](session, CALLS)
    return vf.warehouse(where.pop("connection"), where.pop("table"), **where, now=NOW)


# What differs from other queries by a zone or a column only: the long form runs it.
ALIKE = re.compile(
    ".* in (Europe/London|America/Sao_Paulo|Pacific/Apia|Asia/Kathmandu|America/St_Johns)|by (assistantId|endedReason|status)"
)


def choose_form(at, name):
    """Return the query of that name, which Spark runs in the long form only, except for each third one."""
    if ALIKE.fullmatch(name):
        return pytest.param(name, marks=pytest.mark.long)
    return pytest.param(name, marks=pytest.mark.long_on("spark")) if at % 3 else name


@pytest.mark.parametrize("name", [choose_form(*one) for one in enumerate((*QUERIES, *RECORD_QUERIES))])
def test_every_engine_gives_the_reference_result(vq, name):
    """Rows, order, types and missing values are the same exactly, floats to 1e-9."""
    query = (QUERIES | RECORD_QUERIES)[name]
    check(first(vq, query), query, expected(query))


@cache
def expected(query):
    """Return what plain loops find, which is the same for every engine."""
    return compute(CALLS, query, NOW)


@pytest.mark.parametrize("keys", VARIABLES)
def test_hostile_text_comes_back_unchanged(vq, keys):
    """Keys and values of variables, aliases and names are text to every engine."""
    query = CALL.count(alias=keys[0][:40]).by("type").by_variable(*keys[:3]).between(*ALL).named(keys[-1][:40])
    frames = vq.fetch(query)
    assert list(frames) == [keys[-1][:40]]
    check(frames[keys[-1][:40]], query, expected(query))
    query = CALL.count().by_variable(*keys[3:]).between(*ALL)
    check(first(vq, query), query, expected(query))


@pytest.mark.long_on("spark")
def test_hostile_text_filters_the_calls_that_have_it(vq):
    """A filter compares any text exactly."""
    query = CALL.count().by("type").where(dict(FILTERS[:1])).between(*ALL)
    check(first(vq, query), query, expected(query))
    for at in range(1, len(FILTERS), 8):  # a text for each of them would take Spark long
        for one in (FILTERS[at : at + 1], FILTERS[at : at + 3]):
            query = CALL.count().sum("cost").where(dict(one)).between(*ALL)
            check(first(vq, query), query, expected(query))


# What is set together; the long form also sets each alone. In Spark, double quotes mean names in the ANSI mode only.
SETTINGS = {
    "duckdb": [["default_null_order = 'nulls_first'", "integer_division = true", "TimeZone = 'Africa/Cairo'"]],
    "postgres": [["standard_conforming_strings = off", "DateStyle = 'SQL, DMY'", "TimeZone = 'Africa/Cairo'"]],
    "spark": [
        [
            "spark.sql.ansi.enabled = false",
            "spark.sql.parser.escapedStringLiterals = true",
            "spark.sql.timestampType = TIMESTAMP_NTZ",
            "spark.sql.caseSensitive = true",
            "spark.sql.session.timeZone = Africa/Cairo",
        ],
        ["spark.sql.ansi.doubleQuotedIdentifiers = true"],
    ],
    "clickhouse": [
        [
            "cast_keep_nullable = 1",
            "prefer_column_name_to_alias = 1",
            "aggregate_functions_null_for_empty = 1",
            "transform_null_in = 1",
            "session_timezone = 'Africa/Cairo'",
        ]
    ],
}


def run(engine, text):
    """Run *text* on an engine, whatever it is, and return the rows."""
    name, session = engine
    if name == "clickhouse":
        return run_clickhouse(session, text)
    if name == "spark":
        return [tuple(row) for row in session.sql(text).collect()]
    found = session.execute(text)
    return found.fetchall() if name == "duckdb" or found.description else None


def setting(engine, name):
    """Return the value of a setting of the session."""
    how = {"duckdb": f"SELECT current_setting('{name}')", "postgres": f"SHOW {name}", "spark": f"SET {name}",
           "clickhouse": f"SELECT value FROM system.settings WHERE name = '{name}'"}  # fmt: skip
    return str(run(engine, how[engine[0]])[0][-1])


@contextmanager
def set_to(engine, text):
    """Set something in the session, and restore it."""
    name = text.split(" = ")[0]
    before = setting(engine, name)
    quote = "" if engine[0] == "spark" else "'"
    run(engine, f"SET {text}")
    try:
        yield
    finally:
        run(engine, f"SET {name} = {quote}{before}{quote}")


@pytest.mark.long_on("spark")
def test_settings_of_the_session_change_no_result(engine, vq, choose):
    """The result is the same under every setting, and a query changes no setting."""
    names = ["hour in Australia/Lord_Howe", "by type", "history", "concurrency in Pacific/Apia", "sum of the whole"]
    names += ["filtered by some of its groups", "filtered by what is missing"]
    queries = [QUERIES[one] for one in names] + [CALL.count().by_variable("\\", "it's", "${x}").between(*ALL)]
    together = SETTINGS[engine[0]]
    alone = [[text] for texts in together for text in texts]
    for texts in [*together, *choose([], alone)]:
        with ExitStack() as stack:
            for text in texts:
                stack.enter_context(set_to(engine, text))
            during = [setting(engine, text.split(" = ")[0]) for text in texts]
            for query in queries:
                check(first(vq, query), query, expected(query))
            assert [setting(engine, text.split(" = ")[0]) for text in texts] == during


def first(vq, query):
    """Return the frame of *query*."""
    [frame] = vq.fetch(query).values()
    return frame


# Per engine: a column's type, a value for it, and the text of the value; a time of each kind, without a zone in UTC.
KINDS = {
    "duckdb": [("UUID", "'00000000-0000-0000-0000-0000000000ab'", "00000000-0000-0000-0000-0000000000ab"),
               ("ENUM ('a', 'b')", "'b'", "b"), ("TEXT COLLATE NOCASE", "'A'", "A")],
    "postgres": [("uuid", "'00000000-0000-0000-0000-0000000000ab'", "00000000-0000-0000-0000-0000000000ab"),
                 ("mood", "'b'", "b"), ("char(5)", "'ab'", "ab"), ("varchar(9)", "'ab '", "ab "), ("name", "'ab'", "ab"),
                 ("text COLLATE alike", "'A'", "A"), ("plan", "'pro'", "pro"), ("boolean", "true", "true")],
    "spark": [("STRING", "'b'", "b"), ("STRING COLLATE UTF8_LCASE", "'A'", "A"), ("BOOLEAN", "true", "true"),
              ("DECIMAL(5, 2)", "1.5", "1.5"), ("CHAR(5)", "'ab'", "ab"), ("BIGINT", "7", "7")],
    "clickhouse": [("String", "'b'", "b"), ("LowCardinality(String)", "'b'", "b"), ("FixedString(5)", "'ab'", "ab"),
                   ("Enum8('a' = 1, 'b' = 2)", "'b'", "b"), ("LowCardinality(Nullable(String))", "'b'", "b"),
                   ("UUID", "'00000000-0000-0000-0000-0000000000ab'", "00000000-0000-0000-0000-0000000000ab"),
                   ("Nullable(Bool)", "true", "true"), ("UInt64", "18446744073709551615", "18446744073709551615")],
}  # fmt: skip
TIMES = {
    "duckdb": [("TIMESTAMP", "'2026-03-08 02:30:00.123456'"), ("TIMESTAMPTZ", "'2026-03-08 02:30:00.123456Z'"),
               ("TIMESTAMP_NS", "'2026-03-08 02:30:00.123456999'")],
    "postgres": [("timestamp", "'2026-03-08 02:30:00.123456'"), ("timestamptz", "'2026-03-08 02:30:00.123456Z'"),
                 ("moment", "'2026-03-08 02:30:00.123456'")],
    "spark": [("TIMESTAMP_NTZ", "TIMESTAMP_NTZ '2026-03-08 02:30:00.123456'"),
              ("TIMESTAMP", "TIMESTAMP '2026-03-08 02:30:00.123456Z'")],
    "clickhouse": [("DateTime64(6, 'Asia/Tokyo')", "'2026-03-08 11:30:00.123456'"),
                   ("Nullable(DateTime64(6, 'UTC'))", "'2026-03-08 02:30:00.123456'"),
                   ("DateTime64(9, 'UTC')", "'2026-03-08 02:30:00.123456999'")],
}  # fmt: skip
TEXTS = {"duckdb": "VARCHAR", "postgres": "text", "spark": "STRING", "clickhouse": "Nullable(String)"}
BEFORE = {
    "postgres": "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE DOMAIN plan AS text; CREATE DOMAIN moment AS timestamp; "
    "CREATE COLLATION alike (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
}


def made(engine, name, columns, values):
    """Make a table of one row, and return a Vq over it."""
    kind, session = engine
    run(engine, f"DROP TABLE IF EXISTS {name}" if kind != "spark" else f"DROP VIEW IF EXISTS {name}")
    if kind == "spark":  # a table of its own would need a catalog
        cast = ", ".join(
            f"CAST({value} AS {column[1]}) AS {column[0]}"
            if "COLLATE" not in column[1]
            else f"{value} {column[1][7:]} AS {column[0]}"
            for column, value in zip(columns, values, strict=True)
        )
        run(engine, f"CREATE TEMP VIEW {name} AS SELECT {cast}")
        return vf.warehouse(session, name, now=NOW)
    named = ", ".join(" ".join(column) for column in columns)
    run(engine, f"CREATE TABLE {name} ({named})" + (" ENGINE = Memory" if kind == "clickhouse" else ""))
    run(engine, f"INSERT INTO {name} VALUES ({', '.join(values)})")
    return vf.warehouse(session, name, dialect=kind, now=NOW)


@pytest.mark.long_on("spark")
def test_every_type_of_text_and_time_is_read(engine):
    """Every type of text is compared exactly; a time without a zone is UTC; nanoseconds are cut."""
    kind, _ = engine
    if kind in BEFORE:
        run(engine, BEFORE[kind])
    quote = "`" if kind == "spark" else '"'
    for type_, value, text in KINDS[kind]:
        time_type, time = TIMES[kind][0]
        columns = [
            (f"{quote}createdAt{quote}", time_type),
            ("status", type_),
            ("id", "Int" if kind != "clickhouse" else "Int32"),
        ]
        vq = made(engine, "kinds", columns, [time, value, "1"])
        frame = first(vq, CALL.count().by("status").during("2026-03-08"))
        assert frame.index.tolist() == [text], type_
        for values, count in (([text, "another"], 1), (text.swapcase() if text.isalpha() else "x", 0), (None, 0)):
            query = CALL.count().where(status=values).during("2026-03-08")
            assert first(vq, query)["countId"].tolist() == [count], type_
    for type_, value in TIMES[kind]:
        columns = [(f"{quote}{name}{quote}", type_) for name in ("createdAt", "startedAt", "endedAt")]
        vq = made(
            engine, "times", [*columns, ("id", "Int" if kind != "clickhouse" else "Int32")], [value, value, value, "1"]
        )
        at = "2026-03-08T02:30:00.123456Z"
        for start, end, count in [(at, "2026-03-09T00:00Z", 1), ("2026-03-08T00:00Z", at, 0)]:
            frame = first(vq, CALL.count().sum("duration").between(start, end))
            assert frame["countId"].tolist() == [count], type_
        frame = first(vq, CALL.count().sum("duration").step("hour").during("2026-03-08"))
        assert [str(hour) for hour in frame.index] == ["2026-03-08 02:00:00+00:00"], type_
        assert frame["sumDuration"].tolist() == [0.0]
    if kind == "postgres":
        engine[1].rollback()


@pytest.mark.long_on("spark")
def test_times_are_read_from_text(engine):
    """Text of ISO 8601 is an instant; without an offset it is UTC, whatever the zone of the session."""
    kind, _ = engine
    quote = "`" if kind == "spark" else '"'
    columns = [(f"{quote}{name}{quote}", TEXTS[kind]) for name in ("createdAt", "startedAt", "endedAt")]
    columns.append(("id", "Int" if kind != "clickhouse" else "Int32"))
    for text in ("2026-03-08T02:30:00.123456Z", "2026-03-08 02:30:00.123456", "2026-03-07T21:30:00.123456-05:00"):
        vq = made(engine, "times", columns, [f"'{text}'", f"'{text}'", "'2026-03-08T02:32:00.123456Z'", "1"])
        at = "2026-03-08T02:30:00.123456Z"
        for start, end, count in [(at, "2026-03-09T00:00Z", 1), ("2026-03-08T00:00Z", at, 0)]:
            assert first(vq, CALL.count().between(start, end))["countId"].tolist() == [count], text
        frame = first(vq, CALL.count().sum("duration").step("hour").during("2026-03-08"))
        assert [str(hour) for hour in frame.index] == ["2026-03-08 02:00:00+00:00"], text
        assert frame["sumDuration"].tolist() == [2.0]
    vq = made(engine, "times", columns, [f"'{text}'", "NULL", "NULL", "1"])
    assert first(vq, CALL.sum("duration").during("2026-03-08"))["sumDuration"].isna().all()
    for wrong in ("noon", "2026-02-30T12:00:00Z", "2026-03-08T02:30:00 BST", ""):
        vq = made(engine, "times", columns, [f"'{wrong}'", "NULL", "NULL", "1"])
        with pytest.raises(RecordsError, match=f"createdAt is '{wrong}', not an ISO 8601 date-time"):
            first(vq, CALL.count().during("2026-03-08"))
        if kind == "postgres":
            engine[1].rollback()


@pytest.mark.long_on("spark")
@pytest.mark.parametrize("name", ["'; DROP TABLE calls; --", 'a"b`c\\', "%s :x $1\n☎"])
def test_hostile_names_of_tables_and_columns_are_names(engine, name):
    """A table and its columns may have names that look like SQL: they are found, and no name runs as SQL."""
    keys, calls = load_flat(engine, name, HOSTILE)
    dialect = {"dialect": engine[0]} if engine[0] != "spark" else {}
    vq = vf.warehouse(engine[1], (name,), **dialect, now=NOW)
    for at in range(0, len(keys), 8):
        query = CALL.count().sum("cost").by_variable(*keys[at : at + 8]).between(*ALL)
        check(first(vq, query), query, compute(calls, query, NOW))
