"""Blocks of the pages that ask an engine run on it: as they stand, but for where the engine and its files are."""

from __future__ import annotations

import pytest

import vapi_frames as vf
from tests.support.engines import CALLS, load_clickhouse, load_postgres
from tests.support.snippets import DOCUMENTS, ENGINES, blocks, imports

pytestmark = pytest.mark.extra("test")

BLOCKS = [
    pytest.param(name, text, id=f"{document.name}-{name}", marks=pytest.mark.engine(ENGINES[name]))
    for document in DOCUMENTS
    for language, text in blocks(document)
    if language == "python"
    for name in sorted(imports(text) & {*ENGINES})
]


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Let the names of the pages lead to the engines of the tests, each with calls in it."""

    def postgres(session):
        import psycopg
        import sqlalchemy

        with psycopg.connect(session.info.dsn, autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS voice")
            connection.execute("CREATE DATABASE voice")
        connect = psycopg.connect
        with connect(f"{session.info.dsn} dbname=voice") as connection:
            load_postgres(connection, CALLS)
        monkeypatch.setattr(
            psycopg, "connect", lambda said="", **more: connect(said and f"{session.info.dsn} {said}", **more)
        )
        make, info = sqlalchemy.create_engine, session.info
        there = f"postgresql+psycopg://{info.user}@{info.host}:{info.port}"
        monkeypatch.setattr(sqlalchemy, "create_engine", lambda said: make(there + said[said.rindex("/") :]))

    def spark(session):
        from pyspark.sql import SparkSession

        vf.sample_calls(2_000).to_parquet(tmp_path / "calls.parquet", coerce_timestamps="us")
        monkeypatch.setattr(SparkSession.Builder, "getOrCreate", lambda _: session.newSession())

    def clickhouse(session):
        from chdb import dbapi

        load_clickhouse(session, CALLS)
        monkeypatch.setattr(dbapi, "connect", lambda _: session)

    return {"postgres": postgres, "spark": spark, "clickhouse": clickhouse}


@pytest.mark.long
@pytest.mark.parametrize(("package", "code"), BLOCKS)
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning")
def test_blocks_of_engines_run(package, code, here, request, tmp_path):
    """The engine runs what a block sends to it."""
    name = ENGINES[package]
    here[name](request.getfixturevalue(name))
    names = {}
    exec(compile(code.replace("s3://calls/", f"{tmp_path}/"), package, "exec"), names)
    if package == "psycopg":
        names["connection"].close()
    if package == "sqlalchemy":
        names["engine"].dispose()
    df = names["df"]
    assert "sumCost" in df.vapi.units
    assert df.vapi.meta.source == "warehouse"
    if "2026-10" in code:  # of the others, which ask for the last days, it depends on the day
        assert len(df) > 1


def test_every_engine_is_on_a_page():
    """The pages show each of the engines that the tests start, apart from DuckDB, which they run as examples."""
    assert {block.values[0] for block in BLOCKS} == {*ENGINES}
