"""DuckDB's SQL of what a call record has in lists and objects of unknown keys: structured outputs, and costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vapi_frames.sources.sql.select import quote_text

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IS_NUMERAL", "read_costs", "read_numeral", "read_output"]

IS_NUMERAL = "-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9][0-9]?)?"
"""A number as JSON writes it, in what the regular expressions of all engines share; no exponent of three digits."""


def read_output(objects: str, name: str, field: str | None, write_text: Callable[[str, str, str], str]) -> str:
    """Return the text of the result of an output, or of a *field* of the result.

    Args:
        objects: The expression of the outputs as JSON: id → name and result.
        name: The name of the output; of several, the first id with a result counts.
        field: The field.
        write_text: Takes (column, JSON, ``json``) and returns its text.
    """
    value = "json_extract(o['value'], '/result')"
    if field is not None:
        # An archive has the results as text.
        text = f"json_extract_string({value}, '$')"
        inner = f"CASE WHEN json_type({value}) = 'VARCHAR' AND json_valid({text}) THEN CAST({text} AS JSON) "
        pointer = "/" + field.replace("~", "~0").replace("/", "~1")
        value = f"json_extract({inner}ELSE {value} END, {quote_text(pointer)})"
    is_named = f"json_extract_string(o['value'], '/name') = {quote_text(name)}"
    entries = f"map_entries(CAST(CASE WHEN json_type({objects}) = 'OBJECT' THEN {objects} END AS MAP(VARCHAR, JSON)))"
    named = f"list_filter({entries}, lambda o: {is_named} AND coalesce(json_type({value}), 'NULL') <> 'NULL')"
    first = f"list_sort(list_transform({named}, lambda o: {{'id': o['key'], 'result': {value}}}))[1]['result']"
    return f"list_transform([{first}], lambda r: {write_text(f'output {name}', 'r', 'json')})[1]"


def read_numeral(text: str) -> str:
    """Return the number that *text* is in JSON, missing for any other text."""
    return f"CASE WHEN regexp_full_match({text}, {quote_text(IS_NUMERAL)}) THEN CAST({text} AS DOUBLE) END"


def read_costs(costs: str, type_: str, analysis: str) -> str:
    """Return the sum of the entries of *costs*, a list as JSON, that are of a type and of a type of analysis."""
    conditions = [f"json_extract_string(o, '/type') = {quote_text(type_)}"]
    if analysis:
        conditions.append(f"json_extract_string(o, '/analysisType') = {quote_text(analysis)}")
    conditions.append("json_type(json_extract(o, '/cost')) IN ('BIGINT', 'UBIGINT', 'DOUBLE')")
    entries = f"CAST(CASE WHEN json_type({costs}) = 'ARRAY' THEN {costs} END AS JSON[])"
    chosen = f"list_filter({entries}, lambda o: {' AND '.join(conditions)})"
    return f"list_sum(list_transform({chosen}, lambda o: CAST(json_extract(o, '/cost') AS DOUBLE)))"
