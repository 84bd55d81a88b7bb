"""PostgreSQL only: transactions of the caller, rows of any form, two kinds of JSON, names without quotes."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.engines import CALLS, NOW, cancel_running, load_postgres
from tests.support.examples import examples
from tests.support.queries import ALL, CALL, QUERIES
from tests.support.reference import compute
from tests.support.requirements import require
from tests.support.shapes import check
from vapi_frames.contract.vocabulary import STEPS
from vapi_frames.errors import RecordsError, SourceError
from vapi_frames.sources.warehouse import source
from vapi_frames.sources.warehouse.dialects import DIALECTS, fit_postgres, to_micros
from vapi_frames.sources.warehouse.render import render

pytestmark = [
    pytest.mark.extra("warehouse"),
    pytest.mark.engine("postgres"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning"),
]
COUNT = CALL.count().between(*ALL)


@pytest.fixture(scope="module")
def address(postgres_address):
    """Return the address of a database of its own that has the calls."""
    import psycopg

    with psycopg.connect(postgres_address, autocommit=True) as connection:
        connection.execute("CREATE DATABASE own")
    address = postgres_address.replace("dbname=postgres", "dbname=own")
    with psycopg.connect(address) as connection:
        load_postgres(connection, CALLS)
        connection.execute("CREATE TABLE noted (note text)")
    return address


@pytest.fixture
def connection(address):
    """Yield a connection of psycopg, which begins a transaction by itself."""
    import psycopg

    with psycopg.connect(address) as connection:
        yield connection
        connection.rollback()


def state(connection):
    """Return the state of the connection: idle, in a transaction, or in a failed one."""
    return connection.info.transaction_status.name


def open_vq(connection, table="calls", **options):
    """Return a Vq over a table."""
    return vf.warehouse(connection, table, dialect="postgres", now=NOW, **options)


def test_a_transaction_of_the_caller_is_neither_ended_nor_aborted(connection):
    """It continues, also after a statement that failed; where there was none, none is left open."""
    assert open_vq(connection).fetch(COUNT)
    assert state(connection) == "IDLE"
    with pytest.raises(
        SourceError, match='postgres could not run the query: relation "nowhere" does not exist'
    ) as caught:
        open_vq(connection, "nowhere").fetch(COUNT)
    assert type(caught.value.__cause__).__name__ == "UndefinedTable"
    assert state(connection) == "IDLE"
    connection.execute("INSERT INTO noted VALUES ('mine')")
    assert open_vq(connection).fetch(COUNT)
    with pytest.raises(SourceError):
        open_vq(connection, "nowhere").fetch(COUNT)
    assert state(connection) == "INTRANS"
    assert connection.execute("SELECT count(*) FROM noted").fetchone() == (1,)
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM noted").fetchone() == (0,)


def test_a_connection_may_be_in_autocommit_mode(address):
    """It stays in it."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        with pytest.raises(SourceError):
            open_vq(connection, "nowhere").fetch(COUNT)
        assert open_vq(connection).fetch(COUNT)
        assert state(connection) == "IDLE"


class Plain:
    """A connection with the methods of PEP 249 that a query needs, and no others."""

    def __init__(self, connection):
        self.inner = connection
        self.cursors = []

    def cursor(self):
        self.cursors.append(self.inner.cursor())
        return self.cursors[-1]


def test_any_other_driver_gets_a_savepoint(connection):
    """A failed statement does not abort its transaction either, and each cursor is closed."""
    plain = Plain(connection)
    connection.execute("INSERT INTO noted VALUES ('mine')")
    with pytest.raises(SourceError, match="nowhere"):
        open_vq(plain, "nowhere").fetch(COUNT)
    query = QUERIES["by type"]
    [frame] = open_vq(plain).fetch(query).values()
    check(frame, query, compute(CALLS, query, NOW))
    assert state(connection) == "INTRANS"
    assert connection.execute("SELECT count(*) FROM noted").fetchone() == (1,)
    assert len(plain.cursors) > 5
    assert all(cursor.closed for cursor in plain.cursors)


@contextmanager
def older_connection(address, driver):
    """Yield a connection of psycopg2 or pg8000, which begin a transaction at the first statement."""
    require(find_spec(driver), f"{driver} is not installed")
    if driver == "psycopg2":
        import psycopg2

        connection = psycopg2.connect(address)
    else:
        import pg8000.dbapi

        port = int(dict(part.split("=") for part in address.split())["port"])
        connection = pg8000.dbapi.connect(user="tester", host="127.0.0.1", port=port, database="own")
    try:
        yield connection
    finally:
        connection.rollback()
        connection.close()


def run(connection, text):
    """Run *text*, and return its rows if it has any."""
    cursor = connection.cursor()
    cursor.execute(text)
    return [tuple(row) for row in cursor.fetchall()] if cursor.description else []


@pytest.mark.parametrize("driver", ["psycopg2", "pg8000"])
def test_other_drivers_leave_no_transaction_open(address, driver):
    """After a query, and after one that failed, nothing locks the table."""
    import psycopg

    query = QUERIES["by two"]
    with older_connection(address, driver) as connection, psycopg.connect(address, autocommit=True) as other:
        other.execute("SET lock_timeout = '2s'")
        [frame] = open_vq(connection).fetch(query).values()
        check(frame, query, compute(CALLS, query, NOW))
        other.execute("ALTER TABLE calls ADD COLUMN extra text")
        other.execute("ALTER TABLE calls DROP COLUMN extra")
        with pytest.raises(SourceError, match="nowhere"):
            open_vq(connection, "nowhere").fetch(COUNT)
        [(idle,)] = other.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        ).fetchall()
        assert idle == 0


@pytest.mark.parametrize("driver", ["psycopg2", "pg8000"])
def test_other_drivers_keep_the_callers_transaction(address, driver):
    """What the caller began continues, also after a query that failed, and is neither committed nor rolled back."""
    with older_connection(address, driver) as connection:
        run(connection, "INSERT INTO noted VALUES ('mine')")
        assert open_vq(connection).fetch(COUNT)
        with pytest.raises(SourceError, match="nowhere"):
            open_vq(connection, "nowhere").fetch(COUNT)
        assert run(connection, "SELECT count(*) FROM noted") == [(1,)]
        connection.rollback()
        assert run(connection, "SELECT count(*) FROM noted") == [(0,)]


def test_rows_may_come_in_any_form(address):
    """A driver can return tuples, dicts or named tuples."""
    import psycopg
    from psycopg.rows import dict_row, namedtuple_row

    query = QUERIES["by two"]
    for form in (dict_row, namedtuple_row):
        with psycopg.connect(address, row_factory=form) as connection:
            [frame] = open_vq(connection).fetch(query).values()
            check(frame, query, compute(CALLS, query, NOW))


def test_every_kind_of_json_is_read(connection):
    """jsonb, json, and text that is JSON; text that is no JSON is an error."""
    connection.execute(
        'CREATE TABLE pieces (id text, "createdAt" timestamptz, "costBreakdown" json, analysis jsonb, artifact text)'
    )
    row = ("1", "2026-10-01T12:00Z", '{"llm": 0.5}', '{"successEvaluation": true}', '{"variableValues": {"a.b": "x"}}')
    connection.execute("INSERT INTO pieces VALUES (%s, %s, %s, %s, %s), ('2', '2026-10-01Z', NULL, NULL, '')", row)
    query = CALL.sum("costBreakdown.llm").count().by("analysis.successEvaluation").by_variable("a.b")
    [frame] = open_vq(connection, "pieces").fetch(query.during("2026-10")).values()
    assert frame.index[0] == ("true", "x")
    assert frame.iloc[0].tolist() == [0.5, 1.0]
    assert len(frame) == 2
    connection.execute("INSERT INTO pieces VALUES ('3', '2026-10-01Z', NULL, NULL, 'not JSON')")
    with pytest.raises(RecordsError, match=r"JSON of the call records cannot be read: .*line 1: not"):
        open_vq(connection, "pieces").fetch(query.during("2026-10"))


def test_names_that_were_never_quoted_are_found(connection):
    """CREATE TABLE without quotes makes createdAt createdat; a variable's key has its own case."""
    connection.execute(
        "CREATE SCHEMA sales CREATE TABLE Calls (id text, createdAt timestamp, assistantId text, cost money, "
        "costBreakdown_llm float4, variableValues_Plan text)"
    )
    connection.execute("INSERT INTO sales.calls VALUES ('1', '2026-10-01 12:00', 'a', 1, 0.5, 'pro')")
    vq = open_vq(connection, "sales.calls", columns={"variableValues.Plan": "variablevalues_plan"})
    query = CALL.sum("costBreakdown.llm").count().by("assistantId").by_variable("Plan").during("2026-10")
    [frame] = vq.fetch(query).values()
    assert frame.reset_index().to_numpy().tolist() == [["a", "pro", 0.5, 1]]
    with pytest.raises(RecordsError, match="no variable 'Plan'"):
        open_vq(connection, "sales.calls").fetch(query)
    with pytest.raises(RecordsError, match="column 'cost' of the table is money, not a number"):
        vq.fetch(CALL.sum("cost").during("2026-10"))


def test_an_index_on_the_time_of_creation_is_used(connection):
    """The bare column is compared with the range, so that the engine can use the index."""
    connection.execute(
        "CREATE TABLE much AS SELECT n::text AS id, timestamptz '2020-01-01Z' + n * interval '1 min' AS \"createdAt\" FROM generate_series(1, 200000) n"
    )
    connection.execute('CREATE INDEX at ON much ("createdAt")')
    connection.execute("ANALYZE much")
    vq = open_vq(connection, "much")
    driver = vq.source._driver
    run, texts = driver.run, []
    driver.run = lambda text: texts.append(text) or run(text)
    [frame] = vq.fetch(CALL.count().step("hour").during("2020-03-01")).values()
    assert frame["countId"].tolist() == [60] * 24
    plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {texts[-1]}").fetchall())
    assert "Index Scan using at" in plan
    assert "Seq Scan" not in plan


def test_a_canceled_query_ends(connection):
    """The server cancels the statement, and the connection stays usable."""
    connection.execute(
        "CREATE VIEW endless AS SELECT n::text || pg_sleep(0.1)::text AS id, timestamptz '2026-10-01Z' AS \"createdAt\" "
        "FROM generate_series(1, 1000000) n"
    )
    connection.commit()
    cancel_running(vf.warehouse(connection, "endless", dialect="postgres").call().count().during("2026-10"))
    assert state(connection) == "IDLE"
    assert open_vq(connection).fetch(COUNT)


ZONES = (
    "UTC",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
    "Asia/Kathmandu",
)


@given(
    st.sampled_from(STEPS),
    st.sampled_from(ZONES),
    st.datetimes(datetime(2009, 1, 1), datetime(2026, 11, 1)),
    st.tuples(st.integers(1, 900), st.sampled_from(["PostgreSQL 13.14", "PostgreSQL 15.3"])),
)
@examples(24)
def test_the_engine_cuts_off_the_clock_as_the_calendar_does(address, step, zone, begin, days_on):
    """On every step and zone, also where the offset is no whole number of steps, or a day is left out."""
    import psycopg

    days, version = days_on
    begin = begin.replace(tzinfo=UTC)
    end = begin + timedelta(days=days if step not in ("second", "minute") else 1)
    query = CALL.count().step(step).tz(zone).between(begin, end)
    with (
        psycopg.connect(address) as connection,
        warnings.catch_warnings(),
        mock.patch.object(source, "fit_postgres", lambda dialect, _: fit_postgres(dialect, version)),
    ):
        warnings.simplefilter("ignore")
        [frame] = open_vq(connection).fetch(query).values()
    check(frame, query, compute(CALLS, query, NOW))


@pytest.mark.parametrize(
    ("version", "has_date_bin"),
    [
        ("PostgreSQL 14.0 on x86_64-pc-linux-gnu", True),
        ("PostgreSQL 17beta1 on aarch64-apple-darwin", True),
        ("PostgreSQL 13.14 on x86_64-pc-linux-gnu", False),
        ("PostgreSQL 9.4.26 (Greenplum Database 6.25)", False),
        ("PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2, Redshift 1.0.61395", False),
        ("CockroachDB CCL v23.1.11 (x86_64-pc-linux-gnu)", False),
    ],
)
def test_only_a_server_that_has_date_bin_is_asked_for_it(version, has_date_bin):
    """What a server says of itself decides; Redshift and others call themselves an old PostgreSQL."""
    assert ("bin_to" in fit_postgres(DIALECTS["postgres"], version).functions) == has_date_bin


@given(st.lists(st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1)), min_size=2, max_size=30))
@examples(12)
def test_every_microsecond_is_read(address, instants):
    """Whatever the year: a double has them up to 2106 only."""
    import psycopg

    has = DIALECTS["postgres"].functions
    for type_, name in (("timestamptz", "micros_of"), ("timestamp", "micros_of_wall")):
        texts = [f"{type_} '{one.isoformat(sep=' ')}{'+00' if name == 'micros_of' else ''}'" for one in instants]
        values = ", ".join(f"({text})" for text in texts)
        with psycopg.connect(address) as connection:
            found = connection.execute(f"SELECT {has[name].format('x')} FROM (VALUES {values}) v(x)").fetchall()
            near = f"{texts[0]} + interval '1 microsecond'"
            [[apart]] = connection.execute(f"SELECT {has['elapsed_of'].format(near, texts[0])}").fetchall()
        assert [row[0] for row in found] == [to_micros(one.replace(tzinfo=UTC)) for one in instants]
        assert apart == 1


PLANNED = {
    "a day": CALL.count().step("day").tz("America/New_York"),
    "a month": CALL.sum("cost").step("month").tz("Asia/Kolkata"),
    "groups": CALL.sum("cost").by("type"),
}


@pytest.fixture(scope="module")
def many(address):
    """Make a table of 50,000 calls, of which a range holds few, with an index on their creation."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE many AS SELECT 'call' || i AS id, timestamptz '2026-01-01 00:00+00' + i * interval '5 minutes' "
            "AS \"createdAt\", (ARRAY['webCall', 'inboundPhoneCall'])[1 + i % 2] AS type, i * 0.01::float8 AS cost "
            "FROM generate_series(1, 50000) i"
        )
        connection.execute('CREATE INDEX ON many ("createdAt")')
        connection.execute("VACUUM ANALYZE many")
    return address


@pytest.mark.parametrize("name", PLANNED)
def test_the_index_finds_a_range_and_processes_share_the_table(many, name, monkeypatch):
    """The range stands on the bare column, and nothing stands between the table and what aggregates it."""
    import psycopg

    texts = []
    monkeypatch.setattr(source, "render", lambda *args: texts.append(render(*args)) or texts[-1])
    with psycopg.connect(many) as connection:
        vq = open_vq(connection, "many")

        def explain(begin, end):
            vq.fetch(PLANNED[name].between(begin, end))
            return "\n".join(row[0] for row in connection.execute(f"EXPLAIN {texts[-1]}"))

        few = explain("2026-02-01", "2026-02-03")
        assert "Index Cond" in few
        assert "Seq Scan" not in few
        connection.execute(
            "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0"
        )
        whole = explain("2026-01-01", "2026-11-01")
        assert "Subquery Scan" not in whole  # which is a table that one process computes first
        if not PLANNED[name].time_step:  # the planner cannot know how few buckets there are
            gathered, _, below = whole.partition("Gather")
            assert "Finalize" in gathered
            assert "Partial" in below
            assert "Parallel Seq Scan" in below
