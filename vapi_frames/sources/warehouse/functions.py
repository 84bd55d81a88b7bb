"""The functions of the common text over a table's columns, which `vapi_frames.sources.warehouse.render` makes SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vapi_frames.errors import RecordsError
from vapi_frames.sources.records.duckdb import write_problem
from vapi_frames.sources.records.functions import SqlFunctions
from vapi_frames.sources.sql.select import quote_text
from vapi_frames.sources.warehouse.types import AWARE, NAIVE, NANOS, NUMERIC, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMON"]


def _read_time(column: str, expression: str, type_: str) -> str:
    """Return whole microseconds since 1970; a time without a zone is UTC, whatever the session's zone."""
    problem = write_problem(column, "time")
    found = {
        **dict.fromkeys((AWARE, UNKNOWN), f"micros_of({expression})"),
        NAIVE: f"micros_of_wall({expression})",
        NANOS: f"micros_of_nanos({expression})",
        "date": f"micros_of_date({expression})",
        **dict.fromkeys(NUMERIC, f"micros_of_number({expression}, {problem})"),
        "varchar": f"micros_of_text(text_of({expression}), {problem})",
        "json": f"micros_of_json({expression}, {problem})",
        "null": "CAST(NULL AS BIGINT)",
    }.get(type_)
    if found is None:
        raise _wrong_type(column, type_, "a timestamp or ISO 8601 text")
    return found


def _read_number(column: str, expression: str, type_: str) -> str:
    if type_ == "json":
        return f"{'cost' if column == 'cost' else 'number'}_of_json({expression}, {write_problem(column, 'json')})"
    if type_ in {*NUMERIC, "null", UNKNOWN}:
        return f"number_of({expression}, {write_problem(column, 'number')})"
    raise _wrong_type(column, type_, "a number")


def _read_text(column: str, expression: str, type_: str) -> str:
    if type_ == "json":
        return f"text_of(text_of_json({expression}, {write_problem(column, 'text')}))"
    if type_ in ("double", "decimal"):
        return f"text_of(spelled_of({expression}, {write_problem(column, 'text')}))"
    if type_ in {"integer", "varchar", "boolean", "null", UNKNOWN}:
        return f"text_of({expression})"
    raise _wrong_type(column, type_, "text")


def _read_variable(key: str, expression: str, type_: str) -> str:
    """Return the text of a variable, which is compact JSON for objects and lists."""
    if type_ == "json":
        return f"text_of(variable_of_json({expression}, {write_problem(key, 'text')}))"
    if _is_nested(type_):
        return f"text_of(compact_of(to_json_of({expression})))"
    return _read_text(key, expression, type_)


def _wrong_type(column: str, type_: str, wanted: str) -> RecordsError:
    return RecordsError(f"column {column!r} of the table is {type_}, not {wanted}", column=column)


def _read_json(expression: str, kind: str, keys: Sequence[str], column: str) -> str:
    """Return what is at *keys* of an object; text may be JSON, and is absent where empty or null."""
    problem = write_problem(column, "object")
    if kind != "json":
        expression = f"json_of_text({expression}, {problem})"
    return f"path_of({', '.join((expression, problem, *map(quote_text, keys)))})"


def _is_nested(type_: str) -> bool:
    return type_ in ("struct", "map", "list") or type_.startswith("array")


def _read_whole_json(expression: str, kind: str) -> str:
    """Return a column that is an object or a list as JSON."""
    if _is_nested(kind):
        return f"to_json_of({expression})"
    if kind == "json":
        return f"whole_of({expression})"
    return expression if kind == UNKNOWN else f"parsed_of({expression})"


def _read_output(expression: str, kind: str, name: str, field: str | None) -> str:
    if kind == "null":
        return _read_text(name, expression, kind)
    objects = _read_whole_json(expression, kind)
    if field is None:
        return f"output_of({objects}, {quote_text(name)})"
    return f"output_field_of({objects}, {quote_text(name)}, {quote_text(field)})"


def _read_costs(expression: str, kind: str, type_: str, analysis: str) -> str:
    if kind == "null":
        return _read_number(type_, expression, kind)
    return f"costs_of({_read_whole_json(expression, kind)}, {quote_text(type_)}, {quote_text(analysis)})"


COMMON = SqlFunctions(
    time=_read_time,
    number=_read_number,
    text=_read_text,
    variable=_read_variable,
    micros=str,
    seconds="seconds_of({})".format,
    field=lambda expression, name: f"field_of({expression}, {quote_text(name)})",
    element=lambda expression, key: f"element_of({expression}, {quote_text(key)})",
    json=_read_json,
    output=_read_output,
    numeral="numeral_of({})".format,
    costs=_read_costs,
)
