"""Structured outputs that a query uses: how many calls skipped or lack one, and whether it is one that no call has.

A name that is typed wrong gives missing values, so that a warning names the nearest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vapi_frames.contract.record_words import OUTPUT
from vapi_frames.errors import suggest
from vapi_frames.sources.records.columns import find_columns, open_reader
from vapi_frames.sources.records.duckdb import DUCKDB
from vapi_frames.sources.records.paths import OUTPUTS, SKIPPED_OUTPUTS
from vapi_frames.sources.sql.select import quote_text, write_condition

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from duckdb import DuckDBPyConnection

    from vapi_frames.query.query import Query
    from vapi_frames.sources.local.relation import Relation

__all__ = ["look_for_outputs"]

_MOST_NAMES = 1_000  # that are read
_LISTED = 10  # that a message lists


def look_for_outputs(
    query: Query[Any],
    span: tuple[datetime, datetime],
    open_relation: Callable[[], AbstractContextManager[tuple[DuckDBPyConnection, Relation]]],
    *,
    has_matched: bool,
) -> tuple[dict[str, int], list[str]]:
    """Return how many calls of the range skipped or lack an output of *query*, and notes on outputs that no call has.

    Args:
        query: The query.
        span: Start and end of its range.
        open_relation: Yields a cursor and the records, with the outputs that were skipped.
        has_matched: Whether any call matched the filters.
    """
    counts: dict[str, int] = {}
    filtered = [values for name, values in query.filters if name.startswith(OUTPUT)]
    is_unknown = any(None in values or not has_matched for values in filtered)
    used = _list_outputs(query)
    if not used and not is_unknown:
        return counts, []
    with open_relation() as (connection, relation):
        if used:
            counts, is_absent = _count(connection, relation, query, span)
            is_unknown = is_unknown or is_absent
        return counts, _note_unknown(connection, relation, query) if is_unknown else []


def _list_outputs(query: Query[Any]) -> list[str]:
    """Return the structured outputs that *query* groups by or measures, as ``output.<name>``."""
    words = [f"{OUTPUT}{name}" for name in query.outputs]
    words += [one.column for one in query.measures if one.column.startswith(OUTPUT)]
    return list(dict.fromkeys(words))


def _count(
    connection: DuckDBPyConnection, relation: Relation, query: Query[Any], span: tuple[datetime, datetime]
) -> tuple[dict[str, int], bool]:
    """Return in how many calls an output that *query* uses was skipped, and how many lack one that was not.

    Also return whether no call has one of them, nor skipped it.
    """
    columns = relation.columns, DUCKDB, relation.overrides
    found = find_columns(query, *columns, is_nested=relation.is_nested)
    reader = open_reader(*columns, is_nested=relation.is_nested)
    skipped = reader.objects(SKIPPED_OUTPUTS) if reader.places(SKIPPED_OUTPUTS) else None
    names = "NULL" if skipped is None else f"json_extract_string({skipped}, '$.*.name')"
    skips, lacks = [], []
    for word in _list_outputs(query):
        name = word.removeprefix(OUTPUT)
        ways = [name, *(name[:at] for at, letter in enumerate(name) if letter == "." and at)]
        is_skipped = " OR ".join(f"list_contains({names}, {quote_text(way)})" for way in ways)
        is_missing = f"{reader.text(word)} IS NULL"
        skips.append(f"{is_missing} AND coalesce({'false' if skipped is None else is_skipped}, false)")
        lacks.append(f"{is_missing} AND NOT coalesce({'false' if skipped is None else is_skipped}, false)")
    counts = ", ".join(f"count(*) FILTER ({' OR '.join(f'({one})' for one in parts)})" for parts in (skips, lacks))
    counts += f", {' OR '.join(f'coalesce(bool_and({one}), false)' for one in lacks)}"
    text = f"SELECT {counts} FROM {relation.sql} WHERE {write_condition(query, found, *span)}"
    [(skipped_count, lacking_count, is_unknown)] = connection.execute(text).fetchall()
    return {"skippedOutputs": skipped_count, "withoutOutputs": lacking_count}, is_unknown


def _note_unknown(connection: DuckDBPyConnection, relation: Relation, query: Query[Any]) -> list[str]:
    """Return a note for each output that *query* uses and no record has, or says was skipped."""
    filtered = [word for word, _ in query.filters if word.startswith(OUTPUT)]
    names = _find_names(connection, relation)
    notes = []
    for name in dict.fromkeys(word.removeprefix(OUTPUT) for word in (*_list_outputs(query), *filtered)):
        if name not in names:
            near = suggest(name, names)
            listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
            cure = f"did you mean {' or '.join(map(repr, near))}?" if near else f"the calls have: {listed or 'none'}"
            notes.append(f"no call of the range has the output {name!r}, which the query uses; {cure}")
    return notes


def _find_names(connection: DuckDBPyConnection, relation: Relation) -> list[str]:
    """Return the names of the outputs of all records, and those with a field of their results."""
    reader = open_reader(relation.columns, DUCKDB, relation.overrides, is_nested=relation.is_nested)
    parts = []
    for column in (OUTPUTS, SKIPPED_OUTPUTS):
        if reader.places(column):
            entries = f"map_entries(CAST(CAST({reader.objects(column)} AS JSON) AS MAP(VARCHAR, JSON)))"
            parts.append(f"SELECT unnest({entries})['value'] AS o FROM {relation.sql}")
    if not parts:
        return []
    result = "json_extract(o, '/result')"
    text = f"json_extract_string({result}, '$')"  # an archive has the results as text
    is_text = f"starts_with({text}, '{{') AND json_valid({text})"
    inner = f"CASE WHEN json_type({result}) = 'OBJECT' THEN {result} WHEN {is_text} THEN CAST({text} AS JSON) END"
    fields = f"unnest(list_prepend('', coalesce(json_keys({inner}), [])))"
    found = connection.execute(
        f"SELECT DISTINCT json_extract_string(o, '/name') AS name, {fields} AS field "
        f"FROM ({' UNION ALL '.join(parts)}) WHERE name IS NOT NULL ORDER BY ALL LIMIT {_MOST_NAMES}"
    ).fetchall()
    return [f"{name}.{field}" if field else name for name, field in found]
