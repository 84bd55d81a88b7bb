"""A warehouse's table: its name, its columns, and which of them hold the API's columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from vapi_frames.contract.record_words import RECORD_GROUPS
from vapi_frames.contract.vocabulary import GROUP_COLUMNS
from vapi_frames.errors import QueryError, format_value
from vapi_frames.sources.records.columns import ColumnExpr, write_minutes
from vapi_frames.sources.records.paths import (
    COSTS,
    NUMBER_COLUMNS,
    OUTPUTS,
    TIME_COLUMNS,
    alternate_paths,
    candidate_paths,
    column_paths,
    variable_roots,
)
from vapi_frames.sources.records.places import find_places, is_name_path, split_places
from vapi_frames.sources.sql.select import quote_name
from vapi_frames.sources.warehouse.in_duckdb import find_functions
from vapi_frames.sources.warehouse.types import AWARE, NAIVE, ColumnType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vapi_frames.sources.records.places import NamePath
    from vapi_frames.sources.warehouse.dialects import Dialect

__all__ = ["BareEnds", "TableColumns", "check_table", "find_bare", "find_ends", "read_table"]

_COLUMNS = ("id", *TIME_COLUMNS, *GROUP_COLUMNS, *RECORD_GROUPS, *NUMBER_COLUMNS)
_PATHS = (
    *(path for column in _COLUMNS for path in alternate_paths(column)),
    *alternate_paths(OUTPUTS),
    COSTS,
    *variable_roots(),
)
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


def check_table(table: object) -> NamePath:
    """Return the parts of the name of a *table*.

    Raises:
        QueryError: It is no name.
    """
    parts = tuple(table.split(".")) if isinstance(table, str) else table
    if not is_name_path(parts):
        raise QueryError(
            f"table must be a name such as 'calls' or 'sales.calls', or its parts as a tuple, not {format_value(table)}"
        )
    return tuple(parts)


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
    objects, overrides = split_places(find_places(places, own, find_functions(dialect), ColumnType))
    found = {**own, **objects}
    for name in _NAMES:
        spelling = dialect.fold_unquoted(name)
        if name not in found and spelling in own:
            found[name] = own[spelling]
    relation = f"{'.'.join(map(quote_name, parts))} AS {quote_name(alias)}"
    return TableColumns(relation, found, overrides, names)


def find_bare(table: TableColumns, column: str) -> tuple[str, str]:
    """Return the expression of a time that is a column of the table, and the function that writes a literal like it.

    Both are empty where it is none, or of a type that does not compare with a literal.
    """
    names = [name for name, keys in column_paths(column) if name in table.columns and not keys]
    found = table.overrides.get(column) or (table.columns[names[0]] if len(names) == 1 else ColumnExpr("", None))
    expression, type_ = found
    return expression, {AWARE: "instant", NAIVE: "wall"}.get(type_.id if type_ else "", "")


class BareEnds(NamedTuple):
    """Start and end of a call, where both are columns of one type; and the function that writes a literal like them."""

    started: str
    ended: str
    function: str

    def write_micros(self, expression: str) -> str:
        """Return the microseconds since 1970 of an expression of their type."""
        return f"{'micros_of' if self.function == 'instant' else 'micros_of_wall'}({expression})"

    def write_known_micros(self, expression: str) -> str:
        """Return the same of an expression that is never missing."""
        return f"known_of({self.write_micros(expression)})"

    @property
    def minutes(self) -> str:
        """The expression of the minutes between them."""
        return write_minutes(self.write_micros(self.started), self.write_micros(self.ended))


def find_ends(table: TableColumns) -> BareEnds | None:
    """Return the columns of a call's start and end, where they compare."""
    (started, function), (ended, other) = (find_bare(table, column) for column in ("startedAt", "endedAt"))
    return BareEnds(started, ended, function) if function and function == other else None
