"""Where the caller says that records have a column: ``columns={"createdAt": "when"}``, column of the API: theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from vapi_frames.contract.record_words import RECORD_GROUPS
from vapi_frames.contract.vocabulary import GROUP_COLUMNS
from vapi_frames.errors import QueryError, RecordsError, UnknownWordError, format_value, suggest
from vapi_frames.sources.records.columns import ColumnExpr
from vapi_frames.sources.records.missing import check_case
from vapi_frames.sources.records.paths import NUMBER_COLUMNS, TIME_COLUMNS
from vapi_frames.sources.records.unlike import find_field, original_name
from vapi_frames.sources.sql.select import MINUTE_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TypeGuard

    from vapi_frames.sources.records.columns import SqlFunctions, SqlType

__all__ = ["NamePath", "check_columns", "find_places", "is_name_path", "split_places"]

NamePath: TypeAlias = tuple[str, ...]
"""The parts of a table's name; or a column, and the keys from there into what is nested in it."""

_COLUMNS = ("id", *TIME_COLUMNS, *GROUP_COLUMNS, *RECORD_GROUPS, *NUMBER_COLUMNS)
_OBJECTS = (
    "variableValues", "costBreakdown", "analysis", "artifact", "assistantOverrides", "squadOverrides",
    "workflowOverrides", "customer", "costs",
)  # fmt: skip


def is_name_path(value: object) -> TypeGuard[Sequence[str]]:
    """Return whether *value* is a sequence of names, of which none is empty."""
    return isinstance(value, tuple | list) and bool(value) and all(isinstance(part, str) and part for part in value)


def check_columns(columns: object) -> dict[str, NamePath]:
    """Return column of the API → where the caller says it is.

    Raises:
        QueryError: *columns* is no such mapping.
        UnknownWordError: The API has no such column.
    """
    if columns is None:
        return {}
    if not isinstance(columns, dict):
        raise QueryError(f"columns must be a dict, column of the API: column of the table, not {format_value(columns)}")
    found: dict[str, NamePath] = {}
    for name, place in columns.items():
        is_variable = isinstance(name, str) and name.startswith("variableValues.") and name != "variableValues."
        if not is_variable and name not in (*_COLUMNS, *_OBJECTS):
            hint = "Or 'variableValues.<key>' for a variable."
            if name in (*MINUTE_COLUMNS, "concurrency"):
                hint = (
                    f"{name} is computed from 'startedAt' and 'endedAt': give the columns of these, or of "
                    "'durationSeconds', 'durationMinutes' or 'durationMs'."
                )
            raise UnknownWordError(name, "column of call records", (*_COLUMNS, *_OBJECTS), hint=hint)
        path = (place,) if isinstance(place, str) else place
        if not is_name_path(path):
            raise QueryError(
                f"columns[{name!r}] must be the name of a column of the table, or a tuple of a column and the keys "
                f"into what is nested in it, not {format_value(place)}"
            )
        found[name] = tuple(path)
    return found


def find_places(
    places: Mapping[str, NamePath],
    columns: Mapping[str, ColumnExpr],
    functions: SqlFunctions,
    make_type: Callable[[str], SqlType],
) -> dict[str, ColumnExpr]:
    """Return column of the API → the expression of what is at the place that the caller says.

    Args:
        places: Column of the API → the place.
        columns: Column of the records → its expression.
        functions: The SQL of the engine.
        make_type: Makes a type of a kind: ``json``, or ``unknown``.

    Raises:
        RecordsError: The records have no such place.
    """
    return {name: _find_place(name, path, columns, functions, make_type) for name, path in places.items()}


def split_places(found: Mapping[str, ColumnExpr]) -> tuple[dict[str, ColumnExpr], dict[str, ColumnExpr]]:
    """Return the places of objects, which other columns are in, and those of columns."""
    objects = {name: column for name, column in found.items() if name in _OBJECTS}
    return objects, {name: column for name, column in found.items() if name not in _OBJECTS}


def _find_place(
    name: str,
    path: NamePath,
    columns: Mapping[str, ColumnExpr],
    functions: SqlFunctions,
    make_type: Callable[[str], Any],
) -> ColumnExpr:
    expression, type_ = columns.get(path[0], ("", None))
    if type_ is None:
        raise _missing_place(name, path[0], "the table has no column", columns)
    for at, key in enumerate(path[1:], 1):
        parent = ".".join(path[:at])
        if type_.id == "map":
            children = dict(type_.children)
            expression, type_ = functions.element(expression, key), children.get("value", make_type("unknown"))
        elif type_.id in ("json", "varchar", "cell"):
            return ColumnExpr(functions.json(expression, type_.id, path[at:], parent), make_type("json"))
        elif type_.id in ("struct", "unknown"):
            fields = [original_name(field) for field, _ in type_.children]
            field, field_type = find_field(type_.children, key) or (key, make_type("unknown"))
            if field == key:
                check_case(key, fields)
            if fields and key not in fields:
                raise _missing_place(name, key, f"the table's {parent} has no", fields)
            expression, type_ = functions.field(expression, field), field_type
        else:
            raise RecordsError(
                f"the table's {parent!r} is {type_.id}, which holds no {key!r}; columns= says that {name!r} is there",
                column=name,
            )
    return ColumnExpr(expression, type_)


def _missing_place(name: str, place: str, problem: str, names: Iterable[str]) -> RecordsError:
    near = suggest(place, names)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else f". It has: {', '.join(names)}"
    return RecordsError(f"{problem} {place!r}, where columns= says that {name!r} is{hint}", column=name)
