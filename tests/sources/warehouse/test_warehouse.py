"""A table as a source, in DuckDB: where its columns are, what it refuses, and which statements it runs."""

from __future__ import annotations

import pickle
import threading

import duckdb
import pandas as pd
import pytest

import vapi_frames as vf
from tests.support.engines import cancel_running
from vapi_frames.errors import QueryError, RecordsError, RecordsWarning, SourceError, UnknownWordError

pytestmark = pytest.mark.extra("warehouse")

NOW = "2026-11-20T00:00Z"


@pytest.fixture
def connection():
    """Yield a DuckDB connection with a session in a zone other than UTC."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'America/Los_Angeles'")
        yield connection


def table(connection, columns, *rows, name="calls"):
    """Make a table of *rows*, and return a Vq over it."""
    connection.execute(f"CREATE OR REPLACE TABLE {name} ({columns})")
    for row in rows:
        connection.execute(f"INSERT INTO {name} VALUES ({row})")
    return vf.warehouse(connection, name, dialect="duckdb", now=NOW)


def october(vq):
    """Start a query of October."""
    return vq.call().during("2026-10")


def rows_of(query):
    """Fetch *query*, and return its rows as lists, the index first."""
    return query.fetch().reset_index(drop=not query.levels).astype(object).to_numpy().tolist()


TIME = '"createdAt" TIMESTAMPTZ'
AT = "'2026-10-01T12:00:00Z'"


def test_columns_are_found_where_records_have_them(connection):
    """Flat with dots, in structs, in maps and in JSON; of several places the first with a value."""
    vq = table(
        connection,
        f'id TEXT, {TIME}, type TEXT, analysis STRUCT("successEvaluation" TEXT), "costBreakdown.llm" DOUBLE, '
        '"costBreakdown" STRUCT(llm DOUBLE, stt DOUBLE, "analysisCostBreakdown" STRUCT(summary DOUBLE)), '
        '"variableValues" MAP(TEXT, TEXT), artifact JSON',
        f"""'1', {AT}, 'webCall', {{'successEvaluation': 'true'}}, NULL,
        {{'llm': 0.5, 'stt': 0.25, 'analysisCostBreakdown': {{'summary': 0.125}}}}, map {{'plan': 'pro'}},
        '{{"variableValues": {{"plan": "json", "seats": 3, "a.b/c~d": true, "nothing": null}}}}'""",
    )  # fmt: skip
    query = october(vq).sum("costBreakdown.llm", "costBreakdown.transcriber", "costBreakdown.analysisBreakdown.summary")
    query = query.by("type", "analysis.successEvaluation").by_variable("plan", "seats", "a.b/c~d")
    assert rows_of(query) == [["webCall", "true", "pro", "3", "true", 0.5, 0.25, 0.125]]
    assert pd.isna(october(vq).count().by_variable("nothing").fetch().index[0])


def test_columns_maps_the_apis_columns_to_the_tables(connection):
    """A name, or a path into a struct, a map or JSON; a mapped column is read from its place only."""
    table(
        connection,
        'call TEXT, made TIMESTAMP, usd DECIMAL(9, 4), cost DOUBLE, parts STRUCT(models STRUCT("L.L.M" FLOAT)), '
        'labels MAP(TEXT, TEXT), payload JSON, "costBreakdown.llm" DOUBLE',
        """'1', '2026-10-01 12:00', 0.25, 100, {'models': {'L.L.M': NULL}}, map {'plan': 'pro', 'a.b': 'x'},
        '{"call": {"type": "webCall", "stt": 0.5}}', 100""",
    )  # fmt: skip
    columns = {
        "id": "call", "createdAt": "made", "cost": "usd", "costBreakdown.llm": ("parts", "models", "L.L.M"),
        "type": ("payload", "call", "type"), "costBreakdown.stt": ["payload", "call", "stt"], "variableValues": "labels",
        "variableValues.size": ("labels", "a.b"),
    }  # fmt: skip
    vq = vf.warehouse(connection, "calls", dialect="duckdb", columns=columns)
    query = october(vq).sum("cost", "costBreakdown.transcriber").count("costBreakdown.llm").count()
    assert rows_of(query.by("type").by_variable("plan", "size")) == [["webCall", "pro", "x", 0.25, 0.5, 0, 1]]


@pytest.mark.parametrize(
    ("columns", "kind", "match"),
    [
        ({"costt": "a"}, UnknownWordError, "unknown column of call records 'costt'; did you mean 'cost'"),
        ({"duration": "a"}, UnknownWordError, "duration is computed from 'startedAt' and 'endedAt'"),
        ({"minutesUsed": "a"}, UnknownWordError, "minutesUsed is computed from"),
        ({"variableValues.": "a"}, UnknownWordError, "'variableValues.<key>' for a variable"),
        ({7: "a"}, UnknownWordError, "unknown column of call records 7"),
        ({"cost": 7}, QueryError, "columns\\['cost'\\] must be the name.*not 7"),
        ({"cost": ()}, QueryError, "columns\\['cost'\\] must be"),
        ({"cost": ("a", 1)}, QueryError, "columns\\['cost'\\] must be"),
        (["cost"], QueryError, "columns must be a dict"),
    ],
)
def test_columns_is_checked_before_any_statement_runs(connection, columns, kind, match):
    """An unknown column of the API, and a place of a wrong type."""
    with pytest.raises(kind, match=match):
        vf.warehouse(connection, "calls", dialect="duckdb", columns=columns)


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"cost": "COSTS"}, "no column 'COSTS', where columns= says that 'cost' is; did you mean 'cost'"),
        ({"cost": "zzz"}, "no column 'zzz'.*It has: id, createdAt, cost, parts"),
        ({"cost": ("parts", "lln")}, "the table's parts has no 'lln'.*did you mean 'llm'"),
        ({"cost": ("parts", "LLM")}, "'llm' where the query uses 'LLM'"),
        ({"cost": ("cost", "llm")}, "the table's 'cost' is double, which holds no 'llm'"),
        ({"cost": "id"}, "column 'cost' of the call records is varchar, not a number"),
        ({"createdAt": "parts"}, "column 'createdAt' of the table is struct, not a timestamp or ISO 8601 text"),
        ({"type": "parts"}, "column 'type' of the call records is struct, not text"),
        ({"type": "createdAt"}, "column 'type' of the call records is timestamp with time zone, not text"),
    ],
)
def test_a_mapped_column_of_a_wrong_type_is_named(connection, columns, match):
    """The error has the nearest column, or the type."""
    table(connection, f"id TEXT, {TIME}, cost DOUBLE, parts STRUCT(llm DOUBLE)")
    vq = vf.warehouse(connection, "calls", dialect="duckdb", columns=columns)
    with pytest.raises(RecordsError, match=match):
        october(vq).sum("cost").by("type").fetch()


def test_a_missing_column_is_named_only_where_it_is_used(connection):
    """A table may lack what a query does not use."""
    vq = table(connection, f"id TEXT, {TIME}, cost DOUBLE", f"'1', {AT}, 0.5")
    assert rows_of(october(vq).sum("cost").count()) == [[0.5, 1]]
    for query, column in [
        (october(vq).sum("duration"), "startedAt"),
        (october(vq).count().by("type"), "type"),
        (october(vq).count().by_variable("plan"), "plan"),
    ]:
        with pytest.raises(RecordsError, match=f"no (column|variable) '{column}'") as caught:
            query.fetch()
        assert caught.value.column == column


def test_names_that_the_engine_cannot_tell_apart_are_refused(connection):
    """DuckDB would read COST as cost: an error, never another column's numbers."""
    vq = table(connection, f'id TEXT, {TIME}, "COST" DOUBLE', f"'1', {AT}, 0.5")
    with pytest.raises(RecordsError, match="no column 'cost'.*did you mean 'COST'"):
        october(vq).sum("cost").fetch()
    assert rows_of(october(vq).count()) == [[1]]
    vq = vf.warehouse(connection, "calls", dialect="duckdb", columns={"cost": "COST"})
    assert rows_of(october(vq).sum("cost")) == [[0.5]]


@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMP_MS", "TIMESTAMP_S", "TIMESTAMP_NS", "TIMESTAMPTZ"])
def test_a_time_without_a_zone_is_utc_whatever_the_sessions_zone(connection, kind):
    """02:30 on a day on which there is no 02:30 in the session's zone; the range compares in full."""
    zone = "Z" if kind == "TIMESTAMPTZ" else ""
    times = enumerate(["02:30:00", "01:59:59", "03:00:00"])
    rows = [f"'{n}', '2026-03-08T{at}{zone}', '2026-03-08T{at}{zone}', '2026-03-08T05:00:00{zone}'" for n, at in times]
    columns = f'id TEXT, "createdAt" {kind}, "startedAt" {kind}, "endedAt" {kind}'
    vq = table(connection, columns, *rows)
    frame = vq.call().count().sum("duration").step("hour").during("2026-03-08").fetch()
    assert [str(at)[11:16] for at in frame.index] == ["01:00", "02:00", "03:00"]
    assert frame["sumDuration"].round(6).tolist() == [180.016667, 150.0, 120.0]
    assert rows_of(vq.call().count().between("2026-03-08T02:30Z", "2026-03-08T03:00Z")) == [[1]]


def test_nanoseconds_are_cut_and_never_rounded(connection):
    """A call of the last nanosecond of a day stays in that day."""
    vq = table(connection, 'id TEXT, "createdAt" TIMESTAMP_NS', "'1', '2026-10-01 23:59:59.999999999'")
    frame = october(vq).count().step("day").fetch()
    assert [str(day)[:10] for day in frame.index] == ["2026-10-01"]


def test_groups_are_compared_exactly(connection):
    """A column with a collation in which "a" equals "A" has two groups."""
    vq = table(connection, f"id TEXT, {TIME}, type TEXT COLLATE NOCASE", f"'1', {AT}, 'a'", f"'2', {AT}, 'A'")
    assert rows_of(october(vq).count().by("type")) == [["A", 1], ["a", 1]]


def test_numbers_among_variables_are_written_as_json_writes_them(connection):
    """7.0 and 7 are one group; NaN is missing."""
    vq = table(
        connection,
        f'id TEXT, {TIME}, "variableValues" STRUCT(seats DOUBLE, free BOOLEAN, n INTEGER)',
        f"'1', {AT}, {{'seats': 7, 'free': true, 'n': 3}}",
        f"'2', {AT}, {{'seats': 'nan', 'free': NULL, 'n': 3}}",
        f"'3', {AT}, {{'seats': 0.5, 'free': false, 'n': 3}}",
    )
    rows = rows_of(october(vq).count().by_variable("n", "seats", "free"))
    assert rows[:2] == [["3", "0.5", "false", 1], ["3", "7", "true", 1]]
    assert [pd.isna(value) for value in rows[2]] == [False, True, True, False]


@pytest.mark.parametrize(
    "name", ['"', "it's", "a;b", "\\", "`", "'; DROP TABLE calls; --", "${env:HOME}", "%s", "in_range", "☎\n"]
)
def test_a_table_may_have_any_name(connection, name):
    """Names are quoted, and none runs as SQL."""
    table(connection, f"id TEXT, {TIME}", f"'1', {AT}")
    quoted = '"' + name.replace('"', '""') + '"'
    connection.execute(f"CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.{quoted} AS FROM calls")
    vq = vf.warehouse(connection, (name, name), dialect="duckdb")
    assert rows_of(october(vq).count().step("day"))[0][1] == 1
    assert connection.sql("SELECT count(*) FROM calls").fetchall() == [(1,)]


def test_a_column_may_have_a_name_that_the_statement_uses(connection):
    """The statement's own names of tables and columns do not hide those of the table."""
    table(
        connection, f"calls TEXT, e TEXT, g0 TEXT, v0 DOUBLE, in_range TEXT, {TIME}", f"'1', 'b', 'c', 0.5, 'd', {AT}"
    )
    columns = {"id": "calls", "type": "e", "status": "g0", "cost": "v0", "endedReason": "in_range"}
    vq = vf.warehouse(connection, "calls", dialect="duckdb", columns=columns)
    query = october(vq).sum("cost").count().by("status", "type", "endedReason").step("day")
    assert rows_of(query)[0][1:] == ["c", "b", "d", 0.5, 1]


@pytest.mark.parametrize(
    ("time", "match"),
    [
        ("NULL", "2 calls of the table have no createdAt"),
        ("'1969-12-31T23:59:59Z'", "2 calls of the table were created before 1970-01-02"),
        ("'infinity'", "2 calls of the table were created after 9000-01-01"),
    ],
)
def test_calls_that_no_range_can_hold_are_named(connection, time, match):
    """No call is left out without a word: the first query looks for such calls, in one statement."""
    vq = table(connection, f"id TEXT, {TIME}", f"'1', {AT}", f"'2', {time}", f"'3', {time}")
    with pytest.raises(RecordsError, match=match) as caught:
        october(vq).count().fetch()
    assert caught.value.column == "createdAt"
    connection.execute("DELETE FROM calls WHERE id > '1'")
    assert rows_of(october(vq).count()) == [[1]]


def record_statements(vq):
    """Return a list that gets each statement that *vq* runs, and its rows."""
    driver = vq.source._driver
    run, seen = driver.run, []

    def watching(text):
        found = run(text)
        seen.append((text, found))
        return found

    driver.run = watching
    return seen


def test_only_aggregated_rows_are_fetched(connection):
    """Two groups of a hundred thousand calls are two rows; creation times are checked once."""
    table(connection, f"id TEXT, {TIME}, type TEXT")
    connection.execute(f"INSERT INTO calls SELECT n::TEXT, {AT}, 'type' || n % 2 FROM range(100000) t(n)")
    vq = vf.warehouse(connection, "calls", dialect="duckdb")
    seen = record_statements(vq)
    assert rows_of(october(vq).count().by("type")) == [["type0", 50_000], ["type1", 50_000]]
    assert [found.num_rows for _, found in seen] == [1, 2]
    october(vq).count().fetch()
    assert [found.num_rows for _, found in seen] == [1, 2, 1]


def test_no_match_warns_with_the_range_of_the_calls(connection):
    """The warning has the range of the calls of the table."""
    vq = table(connection, f"id TEXT, {TIME}, type TEXT", f"'1', {AT}, 'a'", f"'2', {AT}, 'b'")
    with pytest.warns(RecordsWarning, match=r"no call was created in \[2026-11-13.*from 2026-10-01T12:00:00Z"):
        assert rows_of(vq.call().count().by("type")) == []
    vq = table(connection, f"id TEXT, {TIME}")
    with pytest.warns(RecordsWarning, match="there are none at all"):
        assert rows_of(october(vq).count()) == [[0]]


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")
def test_a_range_of_centuries_is_cut_to_that_of_the_calls(connection):
    """The months of a thousand years would make a long statement."""
    vq = table(connection, f"id TEXT, {TIME}", f"'1', {AT}", "'2', '2026-11-02T12:00:00Z'")
    seen = record_statements(vq)
    frame = vq.call().count().step("month").tz("America/New_York").between("0900-01-01", "2026-11-20").fetch()
    assert [str(month)[:7] for month in frame.index] == ["2026-10", "2026-11"]
    assert max(len(text) for text, _ in seen) < 1000


def test_a_records_own_duration_is_ignored_with_a_warning(connection):
    """Minutes are endedAt - startedAt, and one warning says so."""
    columns = f'id TEXT, {TIME}, "startedAt" TIMESTAMPTZ, "endedAt" TIMESTAMPTZ, duration DOUBLE'
    vq = table(connection, columns, f"'1', {AT}, '2026-10-01T12:00:00Z', '2026-10-01T12:01:30Z', 9")
    with pytest.warns(RecordsWarning, match="own 'duration' is not used"):
        assert rows_of(october(vq).sum("duration")) == [[1.5]]
    assert rows_of(october(vq).avg("duration")) == [[1.5]]


def test_an_error_of_the_engine_is_a_source_error(connection):
    """With the first line of its message, and its error as the cause; the connection stays usable."""
    vq = vf.warehouse(connection, "nowhere.calls", dialect="duckdb")
    with pytest.raises(
        SourceError, match=r"duckdb could not run the query: Catalog Error: .*(nowhere|calls)"
    ) as caught:
        october(vq).count().fetch()
    assert isinstance(caught.value.__cause__, duckdb.Error)
    assert "\n" not in str(caught.value)
    vq = table(connection, f"id TEXT, {TIME}, artifact JSON", f"'1', {AT}, '{{\"variableValues\": 1}}'")
    assert pd.isna(october(vq).count().by_variable("x").fetch().index[0])


@pytest.mark.parametrize(
    ("make", "kind", "match"),
    [
        (lambda c: vf.warehouse(c, "calls", dialect="postgresql"), UnknownWordError, "did you mean 'postgres'"),
        (lambda c: vf.warehouse(c, "calls", dialect="pyspark"), UnknownWordError, "did you mean 'spark'"),
        (lambda c: vf.warehouse(c, "calls", dialect="Snowflake"), UnknownWordError, "did you mean 'snowflake'"),
        (lambda c: vf.warehouse(c, "calls", dialect="mysql"), UnknownWordError, "Valid: spark, databricks, postgres"),
        (lambda c: vf.warehouse(c, "calls", dialect=7), UnknownWordError, "unknown dialect 7"),
        (lambda c: vf.warehouse(c, "", dialect="duckdb"), QueryError, "table must be a name"),
        (lambda c: vf.warehouse(c, "a..b", dialect="duckdb"), QueryError, "table must be a name"),
        (lambda c: vf.warehouse(c, (), dialect="duckdb"), QueryError, "table must be a name"),
        (lambda c: vf.warehouse(c, ("a", 1), dialect="duckdb"), QueryError, "table must be a name"),
        (lambda c: vf.warehouse(c, 7, dialect="duckdb"), QueryError, "table must be a name"),
        (
            lambda c: vf.warehouse("host=...", "calls", dialect="postgres"),
            QueryError,
            "is text, but no URL of a database",
        ),
        (lambda c: vf.warehouse(c, "calls", dialect="duckdb", now="2026"), QueryError, "now"),
        (lambda c: october(vf.warehouse(c, "a\0b", dialect="duckdb")).count().fetch(), RecordsError, "zero byte"),
    ],
)
def test_wrong_arguments_are_refused(connection, make, kind, match):
    """Each error says what the argument must be."""
    with pytest.raises(kind, match=match):
        make(connection)


def test_an_asynchronous_connection_is_refused():
    """It would return awaitables for rows."""

    class Promising:
        def cursor(self):
            raise AssertionError

        async def commit(self):
            raise AssertionError

    with pytest.raises(QueryError, match="Promising is asynchronous"):
        vf.warehouse(Promising(), "calls", dialect="postgres")


def test_threads_may_share_a_warehouse(connection):
    """Eight threads get the result that one gets."""
    vq = table(connection, f"id TEXT, {TIME}, type TEXT", *(f"'{n}', {AT}, 't{n % 3}'" for n in range(10)))
    query = october(vq).count().by("type")
    wanted, found = query.fetch(), []
    threads = [threading.Thread(target=lambda: found.append(query.fetch())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for frame in found:
        pd.testing.assert_frame_equal(frame, wanted)


@pytest.mark.long
def test_a_canceled_query_ends(connection):
    """A statement that would take hours is canceled, and the connection stays usable."""
    vq = table(connection, f"id TEXT, {TIME}", f"'1', {AT}")
    assert rows_of(october(vq).count()) == [[1]]
    connection.execute(
        f'CREATE VIEW endless AS SELECT a.range::TEXT AS id, {AT}::TIMESTAMPTZ AS "createdAt" '
        "FROM range(100000000) a, range(100000000) b"
    )
    cancel_running(october(vf.warehouse(connection, "endless", dialect="duckdb", now=NOW)).count())
    assert rows_of(october(vq).count()) == [[1]]


def test_a_warehouse_is_shown_but_not_pickled(connection):
    """A connection cannot be copied to another process."""
    vq = vf.warehouse(connection, "sales.calls", dialect="duckdb")
    assert repr(vq) == "<vq of the table sales.calls in duckdb>"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(vq.source)


def test_the_meta_of_a_frame_has_the_kind_of_source(connection):
    """It is a warehouse."""
    frame = october(table(connection, f"id TEXT, {TIME}", f"'1', {AT}")).count().fetch()
    assert frame.vapi.meta.source == "warehouse"


@pytest.mark.parametrize(
    "name", ["{folder}/calls.parquet", "https://example.invalid/calls.parquet", "frame", "s3://a/b"]
)
def test_what_is_no_table_is_not_read(connection, tmp_path, name):
    """DuckDB would take such a name for a file, an address or a variable, and install what reading it needs."""
    frame = vf.sample_calls(10)
    frame.to_parquet(tmp_path / "calls.parquet")
    name = (name.format(folder=tmp_path),)
    before = connection.execute("SELECT extension_name FROM duckdb_extensions() WHERE installed").fetchall()
    cure = r"; for files, use vf.local\(path\)" if "/" in name[0] else ""
    with pytest.raises(SourceError, match=rf"Catalog Error: Table with name .* does not exist.*{cure}$"):
        vf.warehouse(connection, name, dialect="duckdb").call().count().during("2026-10").fetch()
    assert connection.execute("SELECT extension_name FROM duckdb_extensions() WHERE installed").fetchall() == before


@pytest.mark.parametrize(
    "name", ["CALLS", "main.calls", "memory.main.calls", "memory.calls", "registered", "temp_calls"]
)
def test_what_the_catalog_has_is_read(connection, name):
    """Tables, views, temporary ones and registered frames, with the parts of their names in any case."""
    frame = vf.sample_calls(10)
    connection.execute("CREATE TABLE calls AS SELECT * FROM frame")
    connection.execute("CREATE TEMPORARY TABLE temp_calls AS SELECT * FROM frame")
    connection.register("registered", frame)
    assert (
        vf.warehouse(connection, name, dialect="duckdb")
        .call()
        .count()
        .between("2020-01-01", "2030-01-01")
        .fetch()
        .iloc[0, 0]
        == 10
    )
