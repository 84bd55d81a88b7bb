"""Write tests/data/sql.md: the statements of typical questions, as a person would read them.

Run it as ``python -m tests.make_sql`` where a statement was changed on purpose, and read what changed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from vapi_frames.query import Query
from vapi_frames.sources import engine
from vapi_frames.sources.dialects import AWARE, NAIVE, dialect_of
from vapi_frames.sources.records import columns_for
from vapi_frames.sources.rendering import render
from vapi_frames.sources.sql import quote
from vapi_frames.sources.tables import Type, read_table
from vapi_frames.sources.warehouse import WarehouseSource
from vapi_frames.timerange import effective
from vapi_frames.vocabulary import CALL_COLUMNS, GROUP_COLUMNS

PAGE = Path(__file__).parent / "data" / "sql.md"
NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
CALL, SUBSCRIPTION = Query(table="call"), Query(table="subscription")
HERE = "America/New_York"
TYPICAL = {
    "The month's bill": CALL.sum("cost").count().during("2026-10"),
    "Costs by assistant": CALL.sum("cost").avg("cost").by("assistantId").during("2026-10"),
    "Calls a day": CALL.count().step("day").tz(HERE).between("2026-10-28", "2026-11-05"),
    "Calls an hour by type": CALL.count().by("type").step("hour").tz(HERE).between("2026-11-01", "2026-11-02"),
    "Calls a week, in UTC": CALL.count().step("week").during("2026-10"),
    "Minutes a month": CALL.sum("duration").step("month").tz(HERE).during("2026"),
    "What the parts cost": CALL.sum("costBreakdown.llm", "costBreakdown.transcriber").during("2026-10"),
    "Successes by plan": CALL.count().by("analysis.successEvaluation").by_variable("plan").during("2026-10"),
    "Why calls ended": CALL.count().by("endedReason", "status").last("7d"),
    "Minutes used": SUBSCRIPTION.sum("minutesUsed").step("day").during("2026-10-31"),
    "Calls at once, an hour": SUBSCRIPTION.max("concurrency").step("hour").tz(HERE).during("2026-11-01"),
    "Calls at once, as they changed": SUBSCRIPTION.history("concurrency").during("2026-11-01"),
}
RENDERED = ("Calls a day", "Successes by plan", "Calls at once, as they changed")

_TEXT, _NUMBER = Type("varchar"), Type("double")
_MAP = Type("map", [("key", _TEXT), ("value", _TEXT)])
FLAT = [("id", _TEXT), ("createdAt", Type(AWARE)), ("startedAt", Type(AWARE)), ("endedAt", Type(AWARE)),
        *((name, _TEXT) for name in GROUP_COLUMNS), *((name, _NUMBER) for name in CALL_COLUMNS if name not in ("id", "duration"))]  # fmt: skip


def tables(dialect):
    """Return the forms that a table of *dialect* may have: flat, with wall clocks and what the engine can nest."""
    has = dialect_of(dialect).words
    variables = _MAP if "element_of" in has else Type("json")
    nested = [(name, type_) for name, type_ in FLAT if "." not in name]
    if "micros_of_wall" in has:
        nested = [(name, Type(NAIVE) if name.endswith("At") else type_) for name, type_ in nested]
    parts = [("llm", _NUMBER), ("stt", _NUMBER), ("tts", _NUMBER), ("vapi", _NUMBER), ("transport", Type("decimal"))]
    parts += [(name, Type("integer")) for name in ("ttsCharacters", "llmPromptTokens", "llmCompletionTokens")]
    parts += [
        ("llmCachedPromptTokens", Type("integer")),
        ("analysisCostBreakdown", Type("struct", [("summary", _NUMBER)])),
    ]
    is_struct = dialect not in ("postgres", "snowflake")
    nested += [("costBreakdown", Type("struct", parts) if is_struct else Type("json")), ("analysis", _TEXT),
               ("artifact", Type("struct", [("variableValues", variables)]) if is_struct else Type("json"))]  # fmt: skip
    return {"flat": [*FLAT, ("variableValues", variables)], "nested": nested}


def statements(query, columns, relation):
    """Return what is run to answer *query*."""
    texts = []
    at_once = any(one.column == "concurrency" for one in query.measures)

    def run(text, types):
        texts.append(text)
        is_one = not query.levels and len(types) != len(engine._CHANGES)
        rows = [0] if is_one or (at_once and len(texts) == 1) else []
        return [pa.array(rows, type_) for type_ in types]

    engine.answer(query, columns, relation, effective(query.instants(NOW), NOW), now=NOW, run=run)
    return texts


def rendered(query, dialect, columns):
    """Return what is run to answer *query* from a table of *columns* in a warehouse, without one."""
    kind = dialect_of(dialect)
    table = read_table(("calls",), columns, kind, {})
    source = WarehouseSource(_Unused(), "calls", dialect=dialect, now=NOW)
    return [render(text, kind) for text in statements(query, source._columns(query, table), table.relation)]


class _Unused:
    def cursor(self):
        raise AssertionError


def page():
    """Return the text of the page."""
    held = {name: (quote(name), type_) for name, type_ in [*FLAT, ("variableValues.plan", _TEXT)]}
    parts = [
        "# The statements of typical questions\n\nWritten by `python -m tests.make_sql`, and compared by a test.\n"
    ]
    for name, query in TYPICAL.items():
        parts.append(f"\n## {name}\n\n`{query!r}`\n")
        parts += [_block(text) for text in statements(query, columns_for(query, held), "calls")]
    for dialect in ("spark", "databricks", "postgres", "clickhouse", "bigquery", "snowflake", "trino"):
        parts.append(f"\n# In the words of {dialect}\n")
        for name in RENDERED:
            parts.append(f"\n## {name}, {dialect}\n")
            parts += [_block(text) for text in rendered(TYPICAL[name], dialect, tables(dialect)["flat"])]
    return "".join(parts)


def _block(text):
    return f"\n```sql\n{text}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
