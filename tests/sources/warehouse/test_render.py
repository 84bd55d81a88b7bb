"""The statements in the SQL of every engine, also of engines that no test runs: data/rendered.sql.

`PYTHONPATH=. python tests/sources/warehouse/test_render.py` writes the file anew; read what changed before committing it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from tests.support.engines import HOSTILE, NOW
from tests.support.queries import CALL, CHANGES, QUERIES, SUBSCRIPTION
from vapi_frames.calendar.ranges import fill_defaults
from vapi_frames.contract.vocabulary import CALL_COLUMNS, GROUP_COLUMNS
from vapi_frames.errors import RecordsError, SourceError
from vapi_frames.sources.records.paths import TIME_COLUMNS
from vapi_frames.sources.sql.run import CHANGE_TYPES, run_query
from vapi_frames.sources.sql.select import quote_name, quote_text
from vapi_frames.sources.warehouse.dialects import DIALECTS, find_dialect
from vapi_frames.sources.warehouse.render import render
from vapi_frames.sources.warehouse.source import WarehouseSource
from vapi_frames.sources.warehouse.table import read_table
from vapi_frames.sources.warehouse.types import AWARE, NAIVE, ColumnType

pytestmark = pytest.mark.extra("warehouse")

SNAPSHOTS = Path(__file__).parents[2] / "data" / "rendered.sql"
RENDERED = {
    "calls a day in New York": CALL.count().step("day").tz("America/New_York").between("2026-10-28", "2026-11-05"),
    "what parts cost, by plan": CALL.sum("costBreakdown.llm").avg("duration").by_variable("plan").during("2026-10"),
    "chosen calls": CALL.count().where({"variable.plan": ["pro", "it's", None]}, type="webCall").during("2026-10"),
    "the history of calls at once": SUBSCRIPTION.history("concurrency").during("2026-11-01"),
}

_TEXT, _NUMBER = ColumnType("varchar"), ColumnType("double")
_MAP = ColumnType("map", [("key", _TEXT), ("value", _TEXT)])
FLAT = [("id", _TEXT), ("createdAt", ColumnType(AWARE)), ("startedAt", ColumnType(AWARE)), ("endedAt", ColumnType(AWARE)),
        *((name, _TEXT) for name in GROUP_COLUMNS), *((name, _NUMBER) for name in CALL_COLUMNS if name not in ("id", "duration"))]  # fmt: skip


def tables(dialect):
    """Return the forms of a table of *dialect*: flat, nested with wall clocks, and flat with times as text."""
    has = find_dialect(dialect).functions
    variables = _MAP if "element_of" in has else ColumnType("json")
    nested = [(name, type_) for name, type_ in FLAT if "." not in name]
    if "micros_of_wall" in has:
        nested = [(name, ColumnType(NAIVE) if name in ("startedAt", "endedAt") else type_) for name, type_ in nested]
    parts = [
        ("llm", _NUMBER),
        ("stt", _NUMBER),
        ("tts", _NUMBER),
        ("vapi", _NUMBER),
        ("transport", ColumnType("decimal")),
    ]
    parts += [(name, ColumnType("integer")) for name in ("ttsCharacters", "llmPromptTokens", "llmCompletionTokens")]
    parts += [
        ("llmCachedPromptTokens", ColumnType("integer")),
        ("analysisCostBreakdown", ColumnType("struct", [("summary", _NUMBER)])),
    ]
    is_struct = dialect not in ("postgres", "snowflake")
    nested += [("costBreakdown", ColumnType("struct", parts) if is_struct else ColumnType("json")), ("analysis", _TEXT),
               ("artifact", ColumnType("struct", [("variableValues", variables)]) if is_struct else ColumnType("json"))]  # fmt: skip
    flat = [*FLAT, ("variableValues", variables)]
    texts = [(name, _TEXT if name in TIME_COLUMNS else type_) for name, type_ in flat]
    return {"flat": flat, "nested": nested, "texts": texts}


def statements(query, columns, relation):
    """Return the statements that *query* runs."""
    texts = []
    is_concurrency = any(one.column == "concurrency" for one in query.measures)

    def run(text, types):
        texts.append(text)
        is_one = not query.levels and len(types) != len(CHANGE_TYPES)
        rows = [0] if is_one or (is_concurrency and len(texts) == 1) else []
        return [pa.array(rows, type_) for type_ in types]

    run_query(query, columns, relation, fill_defaults(query.instants(NOW), NOW), now=NOW, run=run)
    return texts


def rendered(query, dialect, columns):
    """Return the statements that *query* runs on a table of *columns*, rendered without a warehouse."""
    kind = find_dialect(dialect)
    table = read_table(("calls",), columns, kind, {})
    source = WarehouseSource(_Unused(), "calls", dialect=dialect, now=NOW)
    return [render(text, kind) for text in statements(query, source._columns(query, table), table.relation)]


class _Unused:
    def cursor(self):
        raise AssertionError


# The texts for two zones differ in the name and the dates only.
SAME_TEXT = [f" in {zone}" for zone in list(CHANGES)[1:]]
FIXED = {name: query for name, query in QUERIES.items() if not name.endswith(tuple(SAME_TEXT))}


def snapshot():
    """Return the text of the file: the last statement of each query, which selects its result."""
    parts = []
    for dialect in DIALECTS:
        for title, query in RENDERED.items():
            texts = rendered(query, dialect, tables(dialect)["nested"])
            noted = repr(query).replace("\n", "\n-- ")
            parts.append(f"-- {dialect}: {title}\n-- {noted}\n{texts[-1]};\n")
    return "\n".join(parts)


def test_typical_statements_are_the_reviewed_ones():
    """A change of the text shows in the diff of the file, where a reviewer reads it."""
    assert snapshot() == SNAPSHOTS.read_text(encoding="utf-8")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_times_as_text_can_be_written_for_every_engine(dialect):
    """The text is valid SQL of the engine."""
    for text in rendered(CALL.sum("duration").step("day").during("2026-10"), dialect, tables(dialect)["texts"]):
        assert "micros_of_text(" not in text
        assert isinstance(sqlglot.parse_one(text, dialect=dialect), exp.Select)


@pytest.mark.parametrize("form", ["flat", "nested"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_fixed_query_can_be_written_for_every_engine(dialect, form, choose):
    """No function of the common text is left, and the text is valid SQL of the engine."""
    part = slice(([*DIALECTS].index(dialect) + 4 * (form == "nested")) % 8, None, 8)  # of another engine another part
    for name, query in list(FIXED.items())[choose(part, slice(None))]:
        for text in rendered(query, dialect, tables(dialect)[form]):
            assert not re.search(r"\b\w+_of\(|\b(instant|wall)\(", text), name
            tree = sqlglot.parse_one(text, dialect=dialect)
            assert isinstance(tree, exp.Select), name
            assert not list(tree.find_all(exp.Command, exp.Placeholder, exp.Parameter)), name
            if dialect == "bigquery":
                assert "%" not in text, "it has no such operator"


ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30) | st.sampled_from(HOSTILE)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(word=ANY)
def test_no_text_gets_out_of_its_literal(dialect, word):
    """Text of plain characters is written unchanged, and any other as the hexadecimal digits of its bytes."""
    kind = DIALECTS[dialect]
    shape, text = (render(f"SELECT text_of({quote_text(key)}) AS a FROM calls", kind) for key in ("plain", word))
    before, after = shape.split("'plain'")
    assert text.startswith(before)
    assert text.endswith(after)
    inside = text[len(before) : len(text) - len(after)]
    [written] = re.findall("'([^']*)'", inside.replace(", 'UTF8'", "").replace(", 'hex'", ""))
    if re.fullmatch(r"'[A-Za-z0-9 _.,:/@#+=()~-]*'", inside):
        assert written == word
    else:
        assert re.fullmatch(r"[A-Za-z_0-9( ]+(X?'[0-9a-f]*')[A-Za-z0-9,') ]*", inside)
        assert bytes.fromhex(written).decode() == word


@pytest.mark.parametrize("dialect", DIALECTS)
@given(word=ANY)
def test_no_name_gets_out_of_its_quotes(dialect, word):
    """A column's name is parsed as one name; a name that an engine would change is refused."""
    kind = DIALECTS[dialect]
    try:
        text = render(f"SELECT calls.{quote_name(word)} AS a FROM calls", kind)
    except RecordsError:
        assert "\0" in word or ("${" in word and dialect in ("spark", "databricks"))
        return
    tree = sqlglot.parse_one(text, dialect=dialect)
    assert len(tree.expressions) == 1
    if dialect != "bigquery" or "." not in word:  # where dots separate names, also inside quotes, and no column has one
        [column] = tree.find_all(exp.Column)
        assert column.name == word


def test_postgres_averages_what_it_sums_by_the_sum():
    """It would add up the same values twice; where nothing else sums them, the average is its own."""
    [text] = rendered(CALL.sum("cost").avg("cost", "duration").during("2026-10"), "postgres", FLAT)
    assert "SUM(v0) AS m0, SUM(v0) / COUNT(v0) AS m1, AVG(v1) AS m2" in text
    [text] = rendered(CALL.sum("cost").avg("cost").during("2026-10"), "clickhouse", FLAT)
    assert "AVG(v0)" in text


@pytest.mark.parametrize(
    "dialect", ["spark", "databricks", "postgres", "clickhouse", "duckdb", "bigquery", "snowflake", "trino"]
)
def test_a_quantile_is_exact_or_refused(dialect):
    """No engine approximates: what has no exact aggregate says so, and numbers of values are distinct everywhere."""
    query = CALL.median("cost").quantile("duration", 0.95).during("2026-10")
    if dialect in ("bigquery", "trino"):
        with pytest.raises(SourceError, match=rf"cannot be written for {dialect}, which has no exact quantiles: fetch"):
            rendered(query, dialect, FLAT)
    else:
        [text] = rendered(query, dialect, FLAT)
        assert re.search(
            r"(?i)percentile\(v|percentile_cont\(0\.5\) WITHIN|quantileExactInclusive\(0\.5\)|quantile_cont\(v", text
        )
        assert "approx" not in text.lower()
    [text] = rendered(CALL.nunique("type").during("2026-10"), dialect, FLAT)
    assert re.search(r"(?i)count\(DISTINCT v0\)", text)


if __name__ == "__main__":
    SNAPSHOTS.write_text(snapshot(), encoding="utf-8")
