"""What people pass as a connection: URLs, engines and connections of SQLAlchemy, ADBC and native ones.

The law: whatever leads to the same table gives the same frames; what the caller opened stays as it was, what was opened
here is closed, and no password appears.
"""

from __future__ import annotations

import contextlib
import gc
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec

import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

import vapi_frames as vf
from tests.support.engines import CALLS, NOW, flat, load_duckdb, load_postgres
from tests.support.queries import ALL, CALL, QUERIES
from tests.support.reference import compute
from tests.support.requirements import require
from tests.support.shapes import check
from vapi_frames.errors import QueryError, SourceError, UnknownWordError, VapiFramesError

pytestmark = [
    pytest.mark.extra("sqlalchemy"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning"),
]
NAMES = ("by two", "hour in Europe/London", "history")
PASSWORD = "p@ss/w:rd?"
POSTGRES = (
    "url",
    "url object",
    "engine",
    "connection",
    "pooled",
    "psycopg",
    "psycopg2",
    "pg8000",
    "adbc",
    "adbc autocommit",
)
COUNT = CALL.count().between(*ALL)
SESSIONS = "SELECT state FROM pg_stat_activity WHERE usename = 'reader'"


@pytest.fixture(scope="module")
def place(postgres_address):
    """Return host, port, user and password of a database of its own that has the calls."""
    import psycopg

    with psycopg.connect(postgres_address, autocommit=True) as connection:
        connection.execute("CREATE DATABASE linked")
        connection.execute("CREATE USER reader PASSWORD 'p@ss/w:rd?'")
    address = postgres_address.replace("dbname=postgres", "dbname=linked")
    with psycopg.connect(address) as connection:
        load_postgres(connection, CALLS)
        connection.execute("GRANT SELECT ON calls TO reader")
        connection.execute("CREATE TABLE noted (note text); GRANT ALL ON noted TO reader")
    parts = dict(part.split("=") for part in address.split())
    return {
        "host": parts["host"],
        "port": int(parts["port"]),
        "database": "linked",
        "username": "reader",
        "password": PASSWORD,
    }


def make_url(place, driver="psycopg"):
    """Return the URL of the database, with its password."""
    return sqlalchemy.URL.create(f"postgresql+{driver}", **place)


def make_text(place, driver="psycopg"):
    return make_url(place, driver).render_as_string(hide_password=False)


@contextlib.contextmanager
def opened(kind, place):
    """Yield a connection of a *kind*, as a caller opens it."""
    native = {"host": place["host"], "port": place["port"], "user": place["username"], "password": PASSWORD}
    engine = sqlalchemy.create_engine(make_url(place, "pg8000" if kind == "connection" else "psycopg"))
    with contextlib.ExitStack() as stack:
        stack.callback(engine.dispose)
        if kind == "url":
            yield make_text(place)
        elif kind == "url object":
            yield make_url(place)
        elif kind == "engine":
            yield engine
        elif kind == "connection":
            yield stack.enter_context(engine.connect())
        elif kind == "pooled":
            yield stack.enter_context(contextlib.closing(engine.raw_connection()))
        elif kind.startswith("adbc"):
            from adbc_driver_postgresql import dbapi

            text = make_text(place).replace("+psycopg", "")
            yield stack.enter_context(dbapi.connect(text, autocommit="autocommit" in kind))
        elif kind == "pg8000":
            import pg8000

            yield stack.enter_context(contextlib.closing(pg8000.connect(database="linked", **native)))
        else:
            module = __import__(kind)
            yield stack.enter_context(contextlib.closing(module.connect(dbname="linked", **native)))


@cache
def expected(name):
    """Return what plain loops find, which is the same for every connection."""
    return compute(CALLS, QUERIES[name], NOW)


@pytest.mark.engine("postgres")
@pytest.mark.parametrize("kind", POSTGRES)
def test_whatever_leads_to_a_table_gives_the_same_frames(kind, place):
    """The dialect is known from each, and the frames are those of plain loops."""
    with opened(kind, place) as connection:
        vq = vf.warehouse(connection, "calls", now=NOW)
        assert repr(vq) == "<vq of the table calls in postgres>"
        for name in NAMES:
            check(*vq.fetch(QUERIES[name]).values(), QUERIES[name], expected(name))
        if kind.startswith("url"):
            vq.close()


@pytest.fixture
def states(postgres_address):
    """Return a function that returns the states of the server's sessions that are not the observer's."""
    import psycopg

    with psycopg.connect(postgres_address, autocommit=True) as observer:
        yield lambda: [state for (state,) in observer.execute(SESSIONS)]


def run(connection, text):
    """Run *text* on a connection of any kind, and return the rows."""
    if isinstance(connection, sqlalchemy.Connection):
        done = connection.exec_driver_sql(text)
        return done.fetchall() if done.returns_rows else []
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else []


@pytest.mark.engine("postgres")
@pytest.mark.parametrize("kind", [kind for kind in POSTGRES if "url" not in kind and kind != "engine"])
def test_a_transaction_stays_as_it_was(kind, place, states):
    """One that the caller began continues, also after a query that fails; where there was none, none is left open."""
    with opened(kind, place) as connection:
        vq, lost = vf.warehouse(connection, "calls", now=NOW), vf.warehouse(connection, "nowhere", now=NOW)
        before = states()
        for _ in range(2):
            assert vq.fetch(COUNT)
            with pytest.raises(SourceError, match="postgres could not run the query: .*nowhere"):
                lost.fetch(COUNT)
            assert states() == before
        begin = getattr(connection, "begin", None)
        if isinstance(connection, sqlalchemy.Connection):
            begin()
        elif kind == "adbc autocommit":
            run(connection, "BEGIN")
        run(connection, "INSERT INTO noted VALUES ('mine')")
        for _ in range(2):
            assert vq.fetch(COUNT)
            if kind != "adbc":  # which refuses to return to a savepoint
                with pytest.raises(SourceError):
                    lost.fetch(COUNT)
        assert run(connection, "SELECT count(*) FROM noted")[0][0] == 1
        run(connection, "ROLLBACK") if kind == "adbc autocommit" else connection.rollback()
        assert run(connection, "SELECT count(*) FROM noted")[0][0] == 0
        vq.close()
        assert run(connection, "SELECT 1")[0][0] == 1


@pytest.mark.engine("postgres")
def test_what_was_opened_here_is_closed_here(place, states):
    """The connections to a URL end with close(), with `with`, and with the last use; an engine's belong to it."""
    for end in ("close", "with", "forget"):
        vq = vf.warehouse(make_text(place), "calls", now=NOW)
        assert states() == []  # nothing connects before the first query
        with vq if end == "with" else contextlib.nullcontext():
            vq.fetch(COUNT)
            assert states() == ["idle"]
        if end == "close":
            vq.close()
        del vq
        gc.collect()
        wait_for(lambda: states() == [])
    engine = sqlalchemy.create_engine(make_url(place))
    with vf.warehouse(engine, "calls", now=NOW) as vq:
        vq.fetch(COUNT)
        with pytest.raises(SourceError):
            vf.warehouse(engine, "nowhere").fetch(COUNT)
    assert states() == ["idle"]
    assert engine.pool.checkedout() == 0
    engine.dispose()


def wait_for(condition):
    """Wait until *condition* holds: a server ends a session after its client."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.engine("postgres")
def test_a_url_outlives_a_server_that_ends_its_sessions(place, postgres_address):
    """The next query connects anew."""
    import psycopg

    with vf.warehouse(make_text(place), "calls", now=NOW) as vq:
        first = vq.fetch(COUNT)
        with psycopg.connect(postgres_address, autocommit=True) as observer:
            observer.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'")
        assert next(iter(vq.fetch(COUNT).values())).equals(next(iter(first.values())))


@pytest.mark.engine("postgres")
def test_threads_share_an_engine(place):
    """Each statement has a connection of the pool to itself."""
    engine = sqlalchemy.create_engine(make_url(place))
    vq = vf.warehouse(engine, "calls", now=NOW)
    with ThreadPoolExecutor(8) as pool:
        counts = [*pool.map(lambda _: vq.fetch(COUNT).popitem()[1]["countId"].item(), range(24))]
    assert counts == [len(CALLS)] * 24
    engine.dispose()


def test_the_dialect_is_known_where_it_is_plain():
    """By the driver, by the engine, by what ADBC says; `dialect=` overrides it."""
    import adbc_driver_duckdb.dbapi
    import duckdb

    with duckdb.connect() as connection:
        load_duckdb(connection, CALLS)
        assert "in duckdb" in repr(vf.warehouse(connection, "calls"))
        assert "in spark" in repr(vf.warehouse(connection, "calls", dialect="spark"))
        assert "in duckdb" in repr(vf.warehouse(connection.cursor(), "calls"))
    for url in ("postgresql+psycopg2://h/d", "postgresql+pg8000://h/d"):
        assert "in postgres" in repr(vf.warehouse(url, "calls"))
    assert "in trino" in repr(vf.warehouse("sqlite://", "calls", dialect="trino"))
    with pytest.raises(UnknownWordError, match="unknown dialect 'sqlite'"):
        vf.warehouse("sqlite://", "calls")
    with adbc_driver_duckdb.dbapi.connect() as connection:
        with connection.cursor() as cursor:
            cursor.adbc_ingest("calls", flat(CALLS, variables=True))
        vq = vf.warehouse(connection, "calls", now=NOW)
        assert "in duckdb" in repr(vq)
        for name in NAMES:
            check(*vq.fetch(QUERIES[name]).values(), QUERIES[name], expected(name))

    engine = sqlalchemy.create_engine("duckdb:///:memory:")
    with engine.connect() as connection:
        load_duckdb(connection.connection.driver_connection, CALLS)
        for one in (engine, connection):
            vq = vf.warehouse(one, "calls", now=NOW)
            check(*vq.fetch(QUERIES["by two"]).values(), QUERIES["by two"], compute(CALLS, QUERIES["by two"], NOW))
    engine.dispose()

    class Plain:
        def cursor(self):
            raise AssertionError

    with pytest.raises(QueryError, match="the SQL of Plain is not known: name it, e.g. dialect='postgres'"):
        vf.warehouse(Plain(), "calls")


@pytest.mark.parametrize(
    ("connection", "match"),
    [
        ("host=127.0.0.1 password=s3cret", "is text, but no URL of a database: .*such as 'postgresql"),
        ("postgresql://u:s3cret@host:port/d", "is text, but no URL of a database"),
        ("", "is text, but no URL"),
        ("postgres://u:s3cret@h/d", "has no 'postgres', .*: write 'postgresql'"),
        ("nothing://u:s3cret@h/d", "has no 'nothing', .*install the package that adds it"),
        ("postgresql+psycopg2cffi://u:s3cret@h/d", "needs the driver psycopg2cffi, which is not installed"),
        (7, "connection must be a Spark session, an engine, .* not int"),
        (None, "not NoneType"),
        (Session(), r"pass session.connection\(\)"),
    ],
)
def test_what_is_no_connection_is_refused(connection, match):
    """Each error says what it should be, and none shows a password."""
    with pytest.raises(QueryError, match=match) as caught:
        vf.warehouse(connection, "calls")
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@given(password=st.text(min_size=3).filter(lambda text: "\0" not in text and text.strip()), option=st.booleans())
def test_no_password_appears(password, option):
    """Not in a message, a cause, a repr or an explanation, also where the driver's error has it."""
    password = f"{password}-s3cret"
    url = sqlalchemy.make_url("postgresql+psycopg2://reader@127.0.0.1:1/d")
    url = url.update_query_dict({"sslpassword": password}) if option else url.set(password=password)

    def fail():
        raise OSError(f"cannot connect with {password}\nor {url.render_as_string(hide_password=False)}")

    engine = sqlalchemy.create_engine(url, creator=fail)
    vq = vf.warehouse(engine, "calls")
    with pytest.raises(SourceError, match="cannot connect with") as caught:
        vq.fetch(COUNT)
    shown = [*traceback.format_exception(caught.value), repr(vq), repr(vq.source), str(vq.call().count().explain())]
    shown += [repr(vf.warehouse(url, "calls"))]
    assert not any(password in text or "s3cret" in text for text in shown)


@pytest.mark.engine("postgres")
def test_a_wrong_password_is_a_source_error(place):
    """The error of the engine is told, and SQLAlchemy's is its cause."""
    url = make_url(place).set(database="nowhere")
    with pytest.raises(SourceError, match="postgres could not run the query: .*nowhere") as caught:
        vf.warehouse(url, "calls").fetch(COUNT)
    assert isinstance(caught.value, VapiFramesError)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


@pytest.mark.engine("postgres")
def test_an_asynchronous_engine_is_refused():
    """It would return awaitables for rows."""
    require(find_spec("psycopg"), "psycopg is not installed")
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine("postgresql+psycopg://h/d")
    with pytest.raises(QueryError, match="AsyncEngine is asynchronous"):
        vf.warehouse(engine, "calls")
    with pytest.raises(QueryError, match="is asynchronous"):
        vf.warehouse(engine.sync_engine, "calls")
    with pytest.raises(QueryError, match="is asynchronous; name a synchronous one") as caught:
        vf.warehouse("postgresql+psycopg_async://u:s3cret@h/d", "calls")
    assert "s3cret" not in str(caught.value)
