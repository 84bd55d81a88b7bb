"""The columns of a table in DuckDB: its own functions read them, exactly as those of records on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vapi_frames.sources.records.duckdb import DUCKDB, NUMBER_TYPES, read_time
from vapi_frames.sources.sql.select import quote_text
from vapi_frames.sources.warehouse.functions import COMMON
from vapi_frames.sources.warehouse.types import AWARE, NAIVE, NANOS, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from vapi_frames.sources.records.columns import SqlFunctions
    from vapi_frames.sources.warehouse.dialects import Dialect

__all__ = ["find_functions"]


def find_functions(dialect: Dialect) -> SqlFunctions:
    """Return the functions that read the columns of a table in the engine of *dialect*."""
    return _IN_DUCKDB if dialect.name == "duckdb" else COMMON


def _keep(expression: str) -> str:
    """Return the common text of an expression that is DuckDB's own."""
    return f"raw_of({quote_text(expression)})"


def _read_time(column: str, expression: str, type_: str) -> str:
    """Return whole microseconds since 1970, whatever the zone of the session."""
    if type_ in (AWARE, NAIVE, NANOS, UNKNOWN, "null"):
        return COMMON.time(column, _keep(expression), type_)
    if type_ == "date":
        return f"micros_of_wall({_keep(f'CAST({expression} AS TIMESTAMP)')})"
    if type_ not in ("varchar", "json", *NUMBER_TYPES):
        return COMMON.time(column, expression, type_)  # which raises
    instant = read_time(column, expression, type_, is_session_utc=False)
    return f"micros_of({_keep(instant)})"


def _read(own: Callable[[str, str, str], str], common: Callable[[str, str, str], str], after: str = "{}") -> Any:
    """Return the function that reads a value by DuckDB's own, except where nothing tells its type."""

    def read(column: str, expression: str, type_: str) -> str:
        if type_ == UNKNOWN:
            return common(column, _keep(expression), type_)
        return after.format(_keep(own(column, expression, type_)))

    return read


_IN_DUCKDB = DUCKDB._replace(
    time=_read_time,
    number=_read(DUCKDB.number, COMMON.number),
    text=_read(DUCKDB.text, COMMON.text, "text_of({})"),  # a collation may treat different texts as equal
    variable=_read(DUCKDB.variable, COMMON.variable, "text_of({})"),
    micros=COMMON.micros,
    seconds=COMMON.seconds,
    once=COMMON.once,
    output=lambda expression, kind, name, field: f"text_of({_keep(DUCKDB.output(expression, kind, name, field))})",
    numeral=COMMON.numeral,
    costs=lambda expression, kind, type_, analysis: _keep(DUCKDB.costs(expression, kind, type_, analysis)),
)
