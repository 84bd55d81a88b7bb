"""DuckDB's SQL: the functions and types that this package uses of it, on this machine and in a warehouse alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vapi_frames.errors import RecordsError
from vapi_frames.sources.records.columns import SqlFunctions
from vapi_frames.sources.sql.select import quote_text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "DUCKDB",
    "INTEGER_TYPES",
    "IS_NUMBER",
    "NANOSECOND_TYPES",
    "NULL_TYPES",
    "TEMPLATES",
    "TEXT_TYPES",
    "json_pointer",
]

TEMPLATES = {
    "micros_of": "epoch_us({0})",
    "micros_of_nanos": "epoch_ns({0}) // 1000",  # a cast would round up into the next bucket
    "seconds_of": "{0} // 1000000",
    "element_of": "{0}[{1}]",
    "field_of": "struct_extract({0}, {1})",
    "parsed_of": "nullif({0}, '')",
    "key_of": "json_extract({0}, {1})",
    "json_of": "json_extract_string({0}, {1})",
}
"""Function → its SQL, in which ``{0}`` and ``{1}`` are the arguments."""

IS_NUMBER = "isfinite({0}) OR isinf({0})"
"""The condition that a float is not NaN, which means missing, and would make every sum that includes it NaN.

It is no isnan and no comparison, because the statistics of Parquet files leave NaN out, and DuckDB concludes from them
that there is none.
"""

INTEGER_TYPES = frozenset(
    {"tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"}
)
NANOSECOND_TYPES = frozenset({"timestamp_ns", "timestamptz_ns"})
NULL_TYPES = frozenset({"null", "sqlnull", '"null"'})
"""The type of a column without a single value; its name changed between DuckDB's major versions."""
TEXT_TYPES = frozenset({"varchar", "enum", "uuid"})


def json_pointer(*keys: str) -> str:
    """Return the JSON Pointer to what is at *keys*."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


def _wrong_type(column: str, type_: str, wanted: str) -> RecordsError:
    return RecordsError(f"column {column!r} of the call records is {type_}, not {wanted}", column=column)


def _micros(instant: str) -> str:
    return TEMPLATES["micros_of"].format(instant)


def _read_time(column: str, expression: str, type_: str) -> str:
    """Return a timestamp with time zone; one without is UTC, because the session's zone is UTC."""
    if type_ == "timestamp with time zone":
        return expression
    if type_ in NANOSECOND_TYPES:
        return f"CAST(make_timestamp({TEMPLATES['micros_of_nanos'].format(expression)}) AS TIMESTAMPTZ)"
    if type_ in NULL_TYPES:
        return "CAST(NULL AS TIMESTAMPTZ)"
    if type_.startswith("timestamp") or type_ == "varchar":
        return f"CAST({expression} AS TIMESTAMPTZ)"
    raise _wrong_type(column, type_, "a timestamp or ISO 8601 text")


def _is_number(expression: str) -> str:
    return f"({IS_NUMBER.format(expression)})"


def _read_number(column: str, expression: str, type_: str) -> str:
    if type_ in ("double", "float"):
        double = expression if type_ == "double" else f"CAST({expression} AS DOUBLE)"
        return f"CASE WHEN {_is_number(expression)} THEN {double} END"
    if type_ in NULL_TYPES:  # DuckDB cannot even read such a field of a struct
        return "CAST(NULL AS DOUBLE)"
    if type_ in INTEGER_TYPES or type_ == "decimal":
        return f"CAST({expression} AS DOUBLE)"
    if type_ == "json":
        error = f"error({quote_text(f'{column} is no number but the JSON ')} || CAST({expression} AS VARCHAR))"
        kind = f"json_type({expression})"
        is_wrong = f"{kind} IN ('VARCHAR', 'BOOLEAN', 'OBJECT', 'ARRAY')"
        return f"CASE WHEN {is_wrong} THEN {error} WHEN {kind} <> 'NULL' THEN CAST({expression} AS DOUBLE) END"
    raise _wrong_type(column, type_, "a number")


def _read_text(column: str, expression: str, type_: str) -> str:
    """Return text as it is, and a number as JSON writes it: pandas makes 7 a float where its neighbor is missing."""
    if type_ == "varchar":
        return expression
    if type_ == "json":
        return TEMPLATES["json_of"].format(expression, "'$'")
    if type_ in ("double", "float"):
        is_whole = f"{expression} = trunc({expression}) AND abs({expression}) < 1e15"
        whole = f"WHEN {is_whole} THEN CAST(TRY_CAST({expression} AS BIGINT) AS VARCHAR)"
        missing = f"WHEN NOT {_is_number(expression)} THEN NULL"
        return f"CASE {missing} {whole} ELSE CAST({expression} AS VARCHAR) END"
    if type_ in NULL_TYPES:
        return "CAST(NULL AS VARCHAR)"
    if type_ in TEXT_TYPES or type_ in INTEGER_TYPES or type_ in ("decimal", "boolean"):
        return f"CAST({expression} AS VARCHAR)"
    raise _wrong_type(column, type_, "text")


def _read_json(expression: str, kind: str, keys: Sequence[str]) -> str:
    del kind  # DuckDB reads JSON and JSON text alike
    return TEMPLATES["key_of"].format(TEMPLATES["parsed_of"].format(expression), quote_text(json_pointer(*keys)))


DUCKDB = SqlFunctions(
    time=_read_time,
    number=_read_number,
    text=_read_text,
    micros=_micros,
    seconds=lambda instant: TEMPLATES["seconds_of"].format(_micros(instant)),
    field=lambda struct, name: TEMPLATES["field_of"].format(struct, quote_text(name)),
    element=lambda map_, key: TEMPLATES["element_of"].format(map_, quote_text(key)),
    json=_read_json,
)
"""Over tables in memory and Parquet files, in a session with UTC as its zone."""
