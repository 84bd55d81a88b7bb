"""A warehouse's table: its name, its columns, and which of them hold the API's columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vapi_frames.contract.vocabulary import GROUP_COLUMNS
from vapi_frames.errors import QueryError, RecordsError, UnknownWordError, format_value, suggest
from vapi_frames.sources.records.columns import (
    NUMBER_COLUMNS,
    TIME_COLUMNS,
    VARIABLE_ROOTS,
    ColumnExpr,
    alternate_paths,
    candidate_paths,
    check_case,
)
from vapi_frames.sources.sql.select import MINUTE_COLUMNS, quote_name
from vapi_frames.sources.warehouse.dialects import COMMON
from vapi_frames.sources.warehouse.types import UNKNOWN, ColumnType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias, TypeGuard

    from vapi_frames.sources.warehouse.dialects import Dialect

    NamePath: TypeAlias = tuple[str, ...]
    """The parts of a table's name; or a column, and the keys from there into what is nested in it."""

__all__ = ["TableColumns", "check_columns", "check_table", "read_table"]

_COLUMNS = ("id", *TIME_COLUMNS, *GROUP_COLUMNS, *NUMBER_COLUMNS)
_OBJECTS = ("variableValues", "costBreakdown", "analysis", "artifact", "assistantOverrides")
_PATHS = (*(path for column in _COLUMNS for path in alternate_paths(column)), *VARIABLE_ROOTS)
_NAMES = tuple(dict.fromkeys(name for path in _PATHS for name, _ in candidate_paths(path)))


@dataclass(frozen=True, slots=True)
class TableColumns:
    """The columns of a table, as the common text writes them.

    Attributes:
        relation: The table, as it is written after FROM.
        columns: Its columns → expression and type.
        overrides: Column of the API → the place where the caller says it is.
        names: The names of its columns, in the engine's spelling.
    """

    relation: str
    columns: Mapping[str, ColumnExpr]
    overrides: Mapping[str, ColumnExpr]
    names: tuple[str, ...]


def _is_path(value: object) -> TypeGuard[Sequence[str]]:
    return isinstance(value, tuple | list) and bool(value) and all(isinstance(part, str) and part for part in value)


def check_table(table: object) -> NamePath:
    """Return the parts of the name of a *table*.

    Raises:
        QueryError: It is no name.
    """
    parts = tuple(table.split(".")) if isinstance(table, str) else table
    if not _is_path(parts):
        raise QueryError(
            f"table must be a name such as 'calls' or 'sales.calls', or its parts as a tuple, not {format_value(table)}"
        )
    return tuple(parts)


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
                hint = f"{name} is computed from 'startedAt' and 'endedAt': give the columns of these."
            raise UnknownWordError(name, "column of call records", (*_COLUMNS, *_OBJECTS), hint=hint)
        path = (place,) if isinstance(place, str) else place
        if not _is_path(path):
            raise QueryError(
                f"columns[{name!r}] must be the name of a column of the table, or a tuple of a column and the keys "
                f"into what is nested in it, not {format_value(place)}"
            )
        found[name] = tuple(path)
    return found


def read_table(
    parts: NamePath, columns: Sequence[tuple[str, ColumnType]], dialect: Dialect, places: Mapping[str, NamePath]
) -> TableColumns:
    """Return the columns of the table called *parts*.

    Args:
        parts: The parts of its name.
        columns: Name and type of each column.
        dialect: The dialect of its engine.
        places: Column of the API → where the caller says it is.

    Raises:
        RecordsError: The table has no such place.
    """
    names = tuple(name for name, _ in columns)
    folded = {name.casefold() for name in names}
    alias = "calls"
    while alias.casefold() in folded:  # an engine could take a column of that name for the table
        alias += "_"
    own = {name: ColumnExpr(f"{quote_name(alias)}.{quote_name(name)}", type_) for name, type_ in columns}
    placed = {name: _find_place(name, path, own) for name, path in places.items()}
    found = {**own, **{name: column for name, column in placed.items() if name in _OBJECTS}}
    for name in _NAMES:
        spelling = dialect.fold_unquoted(name)
        if name not in found and spelling in own:
            found[name] = own[spelling]
    relation = f"{'.'.join(map(quote_name, parts))} AS {quote_name(alias)}"
    overrides = {name: column for name, column in placed.items() if name not in _OBJECTS}
    return TableColumns(relation, found, overrides, names)


def _find_place(name: str, path: NamePath, columns: Mapping[str, ColumnExpr]) -> ColumnExpr:
    """Return the expression and type of what is at *path*, where the caller says that *name* is."""
    expression, type_ = columns.get(path[0], ("", None))
    if type_ is None:
        raise _missing_place(name, path[0], "the table has no column", columns)
    for at, key in enumerate(path[1:], 1):
        parent = ".".join(path[:at])
        if type_.id == "map":
            expression, type_ = COMMON.element(expression, key), dict(type_.children).get("value", ColumnType(UNKNOWN))
        elif type_.id in ("json", "varchar"):
            return ColumnExpr(COMMON.json(expression, type_.id, path[at:]), ColumnType("json"))
        elif type_.id in ("struct", UNKNOWN):
            fields = dict(type_.children)
            check_case(key, fields)
            if fields and key not in fields:
                raise _missing_place(name, key, f"the table's {parent} has no", fields)
            expression, type_ = COMMON.field(expression, key), fields.get(key, ColumnType(UNKNOWN))
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
