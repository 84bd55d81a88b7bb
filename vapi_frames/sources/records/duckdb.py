"""DuckDB's SQL: the functions and types that this package uses of it, on this machine and in a warehouse alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vapi_frames.errors import RecordsError
from vapi_frames.sources.records.columns import SqlFunctions
from vapi_frames.sources.records.duckdb_lists import read_costs, read_numeral, read_output
from vapi_frames.sources.records.paths import COSTS
from vapi_frames.sources.records.values import (
    EPOCH_MILLISECONDS,
    EPOCH_SECONDS,
    TIME_GROUPS,
    TIME_PATTERN,
    WANTED,
    describe_repr,
    describe_wrong,
)
from vapi_frames.sources.sql.select import quote_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "DUCKDB",
    "INTEGER_TYPES",
    "IS_NUMBER",
    "LONGEST_CELL",
    "NANOSECOND_TYPES",
    "NULL_TYPES",
    "NUMBER_TYPES",
    "TEMPLATES",
    "TEXT_TYPES",
    "USUAL_TIME",
    "json_pointer",
    "read_error",
    "read_time",
    "write_problem",
]

_MARK = "\x1f"  # of ASCII, because DuckDB takes ten times as long to read a long statement that has any other character
_IS_ERROR = re.compile("{0}(.*?){0}(.*?){0}(.*?){0}".format(rf"(?:{_MARK}|\\x1f)"), re.DOTALL).search
"""ClickHouse writes the mark as an escape."""
LONGEST_CELL = 1 << 22
"""How many bytes a cell of JSON text may have."""
USUAL_TIME = r"\d\d\d\d-\d\d-\d\d[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)?"

TEMPLATES = {
    "micros_of": "epoch_us({0})",
    "micros_of_nanos": "epoch_ns({0}) // 1000",  # a cast would round up into the next bucket
    "seconds_of": "{0} // 1000000",
    "element_of": "{0}[{1}]",
    "field_of": "struct_extract({0}, {1})",
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
NUMBER_TYPES = INTEGER_TYPES | {"double", "float", "decimal"}
NANOSECOND_TYPES = frozenset({"timestamp_ns", "timestamptz_ns"})
NULL_TYPES = frozenset({"null", "sqlnull", '"null"'})
"""The type of a column without a single value; its name changed between DuckDB's major versions."""
TEXT_TYPES = frozenset({"varchar", "enum", "uuid"})


def json_pointer(*keys: str) -> str:
    """Return the JSON Pointer to what is at *keys*."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


def _wrong_type(column: str, type_: str, wanted: str) -> RecordsError:
    return RecordsError(f"column {column!r} of the call records is {type_}, not {wanted}", column=column)


def _write_error(column: str, expression: str, problem: str) -> str:
    """Return the expression that fails, with a message that `read_error` reads."""
    value = f"CAST({expression} AS VARCHAR)"
    return f"error({write_problem(column, problem)} || coalesce({value}, '') || {quote_text(_MARK)})"


def write_problem(column: str, problem: str) -> str:
    """Return the text with which an error begins that `read_error` reads, as SQL; the value and a mark follow."""
    return quote_text(f"{_MARK}{column}{_MARK}{problem}{_MARK}")


def read_error(text: str) -> RecordsError | None:
    """Return the error that DuckDB's message *text* holds, if it is of a value that a record cannot have."""
    found = _IS_ERROR(text)
    if found is None:
        return None
    column, problem, value = found.groups()
    if problem == "long":
        message = f"{column} is longer than {LONGEST_CELL:,} bytes, the most of a JSON cell"
    elif problem == "json":
        message = f"{column} is no number but the JSON {value}"
    else:
        message = describe_repr(column, value) if problem == "repr" else describe_wrong(column, value, WANTED[problem])
    return RecordsError(f"a value of the call records cannot be read: {message} (column {column!r})", column=column)


def _micros(instant: str) -> str:
    return TEMPLATES["micros_of"].format(instant)


def _from_micros(micros: str) -> str:
    return f"make_timestamptz(CAST({micros} AS BIGINT))"


def read_time(  # noqa: PLR0911 - one for each kind
    column: str, expression: str, type_: str, *, is_session_utc: bool = True
) -> str:
    """Return a timestamp with time zone; one without is UTC. A cast of a date or timestamp needs a session in UTC."""
    if type_ == "timestamp with time zone":
        return expression
    if type_ in NANOSECOND_TYPES:
        return f"CAST(make_timestamp({TEMPLATES['micros_of_nanos'].format(expression)}) AS TIMESTAMPTZ)"
    if type_ in NULL_TYPES:
        return "CAST(NULL AS TIMESTAMPTZ)"
    if type_.startswith("timestamp") or type_ == "date":
        return f"CAST({expression} AS TIMESTAMPTZ)"
    if type_ == "varchar":
        return _read_time_text(column, expression, is_session_utc=is_session_utc)
    if type_ == "cell":
        number = f"TRY_CAST({expression} AS DOUBLE)"
        text = _read_time_text(column, expression, is_session_utc=is_session_utc)
        return f"CASE WHEN {number} IS NULL THEN {text} ELSE {_read_epoch(column, number)} END"
    if type_ == "json":
        text = f"json_extract_string({expression}, '$')"
        text = _read_time_text(column, text, is_session_utc=is_session_utc)
        kind = f"json_type({expression})"
        number = _read_epoch(column, f"CAST({expression} AS DOUBLE)")
        return (
            f"CASE WHEN {kind} = 'NULL' THEN NULL WHEN {kind} IN ('BIGINT', 'UBIGINT', 'DOUBLE') THEN {number} "
            f"ELSE {text} END"
        )
    if type_ in NUMBER_TYPES:
        return _read_epoch(column, f"CAST({expression} AS DOUBLE)")
    raise _wrong_type(column, type_, "a timestamp or ISO 8601 text")


def _read_time_text(column: str, text: str, *, is_session_utc: bool) -> str:
    """Return the instant of *text*: the usual form by a cast, any other by the groups of its syntax.

    Args:
        column: The column, for an error.
        text: The expression.
        is_session_utc: Whether a cast reads text without an offset as UTC.
    """
    names = ", ".join(map(quote_text, TIME_GROUPS))
    parts = f"regexp_extract({text}, {quote_text(f'^{TIME_PATTERN}$')}, [{names}])"

    def part(*groups: str) -> str:
        values = ", ".join(f"nullif(struct_extract(parts, {quote_text(group)}), '')" for group in groups)
        return f"CAST(coalesce({values}, '0') AS BIGINT)"

    day = "nullif(struct_extract(parts, 'day'), '')"
    week = f"TRY_CAST(try_strptime(rpad({day}, 10, '-1'), '%G-W%V-%u') AS TIMESTAMP)"
    start = f"epoch_us(CASE WHEN {day}[6] = 'W' THEN {week} ELSE TRY_CAST({day} AS TIMESTAMP) END)"
    seconds = f"({part('midnight', 'hour')} * 3600 + {part('minute')} * 60 + {part('second')}) * 1000000"
    fraction = "CAST(rpad(struct_extract(parts, 'fraction'), 6, '0') AS BIGINT)"
    east = f"({part('long_hours', 'hours')} * 60 + {part('long_minutes', 'minutes')}) * 60000000"
    sign = "CASE WHEN struct_extract(parts, 'sign') = '-' THEN -1 ELSE 1 END"
    micros = _from_micros(f"{start} + {seconds} + {fraction} - {east} * {sign}")
    # The list names the groups: without it the expression would hold its pattern a dozen times, each one compiled.
    odd = f"list_transform([{parts}], lambda parts: {micros})[1]"
    wrong = _write_error(column, text, "time")
    usual = text if is_session_utc else f"regexp_replace({text}, '(:\\d\\d:\\d\\d(?:[.]\\d+)?)$', '\\1Z')"
    return (
        f"CASE WHEN {text} IS NULL THEN NULL WHEN regexp_full_match({text}, {quote_text(USUAL_TIME)}) "
        f"THEN coalesce(TRY_CAST({usual} AS TIMESTAMPTZ), {wrong}) ELSE coalesce({odd}, {wrong}) END"
    )


def _read_epoch(column: str, number: str) -> str:
    """Return the instant of a double that counts seconds or milliseconds."""
    arms = " ".join(
        f"WHEN {number} >= {low} AND {number} < {high} THEN {_from_micros(f'floor({number} * {scale})')}"
        for (low, high), scale in ((EPOCH_SECONDS, 1_000_000), (EPOCH_MILLISECONDS, 1_000))
    )
    return f"CASE {arms} WHEN {_is_number(number)} THEN {_write_error(column, number, 'time')} END"


def _is_number(expression: str) -> str:
    return f"({IS_NUMBER.format(expression)})"


def _read_number(column: str, expression: str, type_: str) -> str:
    if type_ in ("double", "float"):
        double = expression if type_ == "double" else f"CAST({expression} AS DOUBLE)"
        return _check_finite(column, double, "number")
    if type_ in NULL_TYPES:  # DuckDB cannot even read such a field of a struct
        return "CAST(NULL AS DOUBLE)"
    if type_ in INTEGER_TYPES or type_ == "decimal":
        return f"CAST({expression} AS DOUBLE)"
    if type_ == "cell":
        double = f"TRY_CAST({expression} AS DOUBLE)"
        wrong = _write_error(column, expression, "number")
        return (
            f"CASE WHEN {expression} IS NULL THEN NULL WHEN {double} IS NULL THEN {wrong} "
            f"ELSE {_check_finite(column, double, 'number')} END"
        )
    if type_ == "json":
        kind = f"json_type({expression})"
        double = _check_finite(column, f"CAST({expression} AS DOUBLE)", "number")
        total = ""
        if column == "cost":
            inside = _read_number("cost.total", f"json_extract({expression}, '/total')", "json")
            total = f"WHEN {kind} = 'OBJECT' THEN {inside} "
        return (
            f"CASE WHEN {kind} = 'NULL' THEN NULL WHEN {kind} IN ('BIGINT', 'UBIGINT', 'DOUBLE') THEN {double} {total}"
            f"WHEN {kind} IS NOT NULL THEN {_write_error(column, expression, 'json')} END"
        )
    raise _wrong_type(column, type_, "a number")


def _check_finite(column: str, double: str, wanted: str, then: str = "") -> str:
    """Return *then*, by default the *double* itself; NaN is missing, and an infinite one is an error."""
    wrong = _write_error(column, double, wanted)
    return f"CASE WHEN isfinite({double}) THEN {then or double} WHEN isinf({double}) THEN {wrong} END"


def _read_text(column: str, expression: str, type_: str) -> str:
    """Return text as it is, and a number as digits: pandas makes 7 a float where its neighbor is missing."""
    if type_ in ("varchar", "cell"):
        return expression
    if type_ == "json":
        return _read_json_text(column, expression, _write_error(column, expression, "text"))
    if type_ in ("double", "float", "decimal"):
        double = expression if type_ == "double" else f"CAST({expression} AS DOUBLE)"
        return _write_number(column, double)
    if type_ in NULL_TYPES:
        return "CAST(NULL AS VARCHAR)"
    if type_ in TEXT_TYPES or type_ in INTEGER_TYPES or type_ == "boolean":
        return f"CAST({expression} AS VARCHAR)"
    raise _wrong_type(column, type_, "text")


def _read_variable(key: str, expression: str, type_: str) -> str:
    """Return the text of a variable, which is compact JSON for objects and arrays."""
    if type_ == "json":
        return _read_json_text(key, expression, f"CAST({expression} AS VARCHAR)")
    if type_ in ("struct", "map", "list", "array"):
        return f"CAST(to_json({expression}) AS VARCHAR)"
    return _read_text(key, expression, type_)


def _read_json_text(column: str, expression: str, nested: str) -> str:
    number = _write_number(column, f"CAST({expression} AS DOUBLE)")
    return (
        f"CASE json_type({expression}) WHEN 'NULL' THEN NULL WHEN 'DOUBLE' THEN {number} "
        f"WHEN 'OBJECT' THEN {nested} WHEN 'ARRAY' THEN {nested} ELSE json_extract_string({expression}, '$') END"
    )


def _write_number(column: str, double: str) -> str:
    whole = f"CAST(TRY_CAST({double} AS BIGINT) AS VARCHAR)"
    is_whole = f"{double} = trunc({double}) AND abs({double}) < 9007199254740992"
    text = f"CASE WHEN {is_whole} THEN {whole} ELSE CAST({double} AS VARCHAR) END"
    return _check_finite(column, double, "text", text)


def _read_json(expression: str, kind: str, keys: Sequence[str], column: str) -> str:
    """Return what is at *keys* of an object; text may be JSON, and is absent where empty or null."""
    is_object = f"json_type({expression}) = 'OBJECT'"
    wrong = f"CASE WHEN json_type({expression}) <> 'NULL' THEN {_write_error(column, expression, 'object')} END"
    checked = f"CASE WHEN {is_object} THEN {expression} ELSE {wrong} END"
    if kind != "json":
        is_repr = f"starts_with(ltrim({expression}), {quote_text(chr(123) + chr(39))})"
        invalid = (
            f"CASE WHEN {is_repr} THEN {_write_error(column, expression, 'repr')} "
            f"WHEN trim({expression}) <> '' THEN {_write_error(column, expression, 'object')} END"
        )
        too_long = f"error({quote_text(f'{_MARK}{column}{_MARK}long{_MARK}{_MARK}')})"
        checked = (
            f"CASE WHEN strlen({expression}) > {LONGEST_CELL} THEN {too_long} "
            f"WHEN json_valid({expression}) THEN {checked} ELSE {invalid} END"
        )
    return f"json_extract({checked}, {quote_text(json_pointer(*keys))})"


def _read_whole_json(column: str, expression: str, kind: str, wanted: str) -> str:
    """Return a column that is an object or a list as JSON; text may be JSON, and is missing where empty."""
    if kind in NULL_TYPES:
        return "CAST(NULL AS JSON)"
    if kind in ("struct", "map", "list", "array"):
        return f"to_json({expression})"
    if kind == "json":
        return expression
    if kind not in ("varchar", "cell"):
        raise _wrong_type(column, kind, wanted)
    invalid = f"CASE WHEN trim({expression}) <> '' THEN {_write_error(column, expression, 'object')} END"
    return f"CASE WHEN json_valid({expression}) THEN CAST({expression} AS JSON) ELSE {invalid} END"


def _read_output(expression: str, kind: str, name: str, field: str | None) -> str:
    objects = _read_whole_json("artifact.structuredOutputs", expression, kind, "an object")
    return _compute_once(objects, lambda found: read_output(found, name, field, _read_variable))


def _read_costs(expression: str, kind: str, type_: str, analysis: str) -> str:
    costs = _read_whole_json(COSTS, expression, kind, "a list")
    return _compute_once(costs, lambda found: read_costs(found, type_, analysis))


def _compute_once(expression: str, use: Callable[[str], str]) -> str:
    """Return what *use* makes of an expression that parses JSON: each use would parse the text anew, in more memory."""
    return f"list_transform([{expression}], lambda found: {use('found')})[1]"


DUCKDB = SqlFunctions(
    time=read_time,
    number=_read_number,
    text=_read_text,
    variable=_read_variable,
    micros=_micros,
    seconds=lambda instant: TEMPLATES["seconds_of"].format(_micros(instant)),
    field=lambda struct, name: TEMPLATES["field_of"].format(struct, quote_text(name)),
    element=lambda map_, key: TEMPLATES["element_of"].format(map_, quote_text(key)),
    json=_read_json,
    output=_read_output,
    numeral=read_numeral,
    costs=_read_costs,
    once=_compute_once,
)
"""Over tables in memory and Parquet files, in a session with UTC as its zone."""
