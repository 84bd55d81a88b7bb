"""Which columns of call records hold what a query uses.

The facts about a record are those of the API's ``GET /call``: it has no ``duration`` (minutes are ``endedAt`` minus
``startedAt``), it calls ``costBreakdown.transcriber`` also ``stt``, and ``costBreakdown.analysisBreakdown`` also
``analysisCostBreakdown``, and it has variables in ``artifact.variableValues``, else in ``assistantOverrides``. What is
nested may also be flat, with dots or underscores (``costBreakdown.llm``, ``costBreakdown_llm``), or JSON text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from vapi_frames.contract.vocabulary import CALL_COLUMNS, GROUP_COLUMNS
from vapi_frames.errors import RecordsError, suggest
from vapi_frames.query.filters import split_filters
from vapi_frames.sources.sql.select import MINUTE_COLUMNS, CallInterval, QueryColumns, quote_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from vapi_frames.query.query import Query

__all__ = [
    "DURATION_WARNING",
    "ENDED_STATUSES",
    "NUMBER_COLUMNS",
    "OPTIONAL_COLUMNS",
    "TIME_COLUMNS",
    "VARIABLES_MAP",
    "VARIABLE_ROOTS",
    "ColumnExpr",
    "SqlFunctions",
    "SqlType",
    "alternate_paths",
    "candidate_paths",
    "check_case",
    "columns_used",
    "find_columns",
    "find_id",
    "missing_column",
    "record_columns",
]

VARIABLE_ROOTS = ("variableValues", "artifact.variableValues", "assistantOverrides.variableValues")
VARIABLES_MAP = "variableValues, converted"
"""The column in which JSON converted to Parquet has a map of the variables; a comma is in no name of an export."""
TIME_COLUMNS = ("createdAt", "startedAt", "endedAt")
NUMBER_COLUMNS = tuple(column for column in CALL_COLUMNS if column not in ("id", "duration"))
OPTIONAL_COLUMNS = (*GROUP_COLUMNS, "startedAt", "endedAt")
"""The API leaves these out of a record where they do not apply; a column that no record has is then missing in all."""
ENDED_STATUSES = ("ended", "not-found", "deletion-failed")
"""The statuses of a call that is no longer in progress."""
DURATION_WARNING = "the records' own 'duration' is not used: minutes are endedAt - startedAt"
ALTERNATE_PATHS = {
    "costBreakdown.transcriber": ("costBreakdown.transcriber", "costBreakdown.stt"),
    "costBreakdown.analysisBreakdown.summary": (
        "costBreakdown.analysisBreakdown.summary",
        "costBreakdown.analysisCostBreakdown.summary",
    ),
}
_MEASURED_FROM = {
    **dict.fromkeys(MINUTE_COLUMNS, ("startedAt", "endedAt")),
    "concurrency": ("startedAt", "endedAt", "status", "endedReason"),
}


class SqlType(Protocol):
    """The type of a column, described as DuckDB does; its own class has moved between DuckDB's major versions."""

    @property
    def id(self) -> str:
        """Its kind, e.g. ``varchar`` or ``struct``."""
        ...

    @property
    def children(self) -> list[tuple[str, Any]]:
        """Field → type of a struct; key and value of a map."""
        ...


class ColumnExpr(NamedTuple):
    """A column of the records.

    Attributes:
        sql: Its expression.
        type: Its type; ``None`` for a column that the query cannot use, and that was therefore not read.
    """

    sql: str
    type: SqlType | None


CandidatePath: TypeAlias = tuple[str, tuple[str, ...]]
"""The name of a column that a record may have, and the keys from there into what is nested in it."""


class SqlFunctions(NamedTuple):
    """SQL that differs between engines; each function takes and returns SQL expressions.

    Attributes:
        time: Takes (column, expression, kind of type) and returns an instant; raises for any other kind.
        number: Takes the same and returns a double, missing for NaN.
        text: Takes the same and returns text.
        micros: Takes an instant and returns its whole microseconds since 1970.
        seconds: Takes an instant and returns its whole seconds since 1970.
        field: Takes (struct, name) and returns the field.
        element: Takes (map, key) and returns the value, missing where the map has no such key.
        json: Takes (JSON or JSON text, kind of type, keys) and returns the value at the keys, missing where there is
            none; its kind is ``json``.
    """

    time: Callable[[str, str, str], str]
    number: Callable[[str, str, str], str]
    text: Callable[[str, str, str], str]
    micros: Callable[[str], str]
    seconds: Callable[[str], str]
    field: Callable[[str, str], str]
    element: Callable[[str, str], str]
    json: Callable[[str, str, Sequence[str]], str]


def alternate_paths(column: str) -> tuple[str, ...]:
    """Return the dotted paths at which a record may have what the contract calls *column*, the preferred one first."""
    return ALTERNATE_PATHS.get(column, (column,))


@lru_cache(4096)
def candidate_paths(path: str, key: str | None = None) -> tuple[CandidatePath, ...]:
    """Return where a record may have *path*, or the variable *key* below it: dotted or nested, else with underscores.

    Examples:
        >>> candidate_paths("costBreakdown.llm")
        (('costBreakdown.llm', ()), ('costBreakdown', ('llm',)), ('costBreakdown_llm', ()))
        >>> candidate_paths("variableValues", "my_key")
        (('variableValues.my_key', ()), ('variableValues', ('my_key',)), ('variableValues_my_key', ()))
    """
    parts = (path if key is None else f"{path}.{key}").split(".")
    dotted = [(".".join(parts[:cut]), tuple(parts[cut:])) for cut in range(len(parts), 0, -1)]
    parts = path.split(".")
    underscored = [("_".join(parts[:cut]), tuple(parts[cut:])) for cut in range(len(parts), 1, -1)]
    if key is not None:  # dots of a key may be nesting, but underscores are always part of it
        inside = [(name, (*rest, *key.split("."))) for name, rest in underscored]
        underscored = [("_".join((*parts, key)), ()), *inside]
    return (*dotted, *underscored)


def _column_paths(column: str) -> list[CandidatePath]:
    return [found for path in alternate_paths(column) for found in candidate_paths(path)]


def _variable_paths(key: str) -> list[CandidatePath]:
    return [found for root in (*VARIABLE_ROOTS, VARIABLES_MAP) for found in candidate_paths(root, key)]


def record_columns(query: Query[Any]) -> list[str]:
    """Return the record columns that *query* uses, ``createdAt`` first."""
    used = ["createdAt", *query.groups, *split_filters(query.filters)[0]]
    for one in query.measures:
        used += _MEASURED_FROM.get(one.column, (one.column,))
    return list(dict.fromkeys(used))


def _variable_keys(query: Query[Any]) -> Iterable[str]:
    """Return the keys of the variables that *query* groups or filters by."""
    return dict.fromkeys((*query.variables, *split_filters(query.filters)[1]))


def columns_used(query: Query[Any], names: Iterable[str], *, also: Sequence[str] = ()) -> list[str]:
    """Return the columns, of those called *names*, that may hold what *query* uses, or a column of *also*."""
    paths = [path for column in (*record_columns(query), *also) for path in _column_paths(column)]
    paths += [path for key in _variable_keys(query) for path in _variable_paths(key)]
    used = {name for name, _ in paths}
    return [name for name in names if name in used]


def find_columns(
    query: Query[Any],
    columns: Mapping[str, ColumnExpr],
    functions: SqlFunctions,
    overrides: Mapping[str, ColumnExpr] | None = None,
) -> QueryColumns:
    """Return the expressions for what *query* uses, over records that have *columns*.

    Args:
        query: The query.
        columns: Column of the records → its expression.
        functions: The SQL of the engine.
        overrides: Column of the API → the only place that has it, as the caller says.

    Raises:
        RecordsError: A column that the query uses is missing or of a type that cannot be it.
    """
    records = _Records(columns, functions, overrides or {})
    created = records.time("createdAt")
    values: dict[str, str] = {}
    interval = None
    for one in query.measures:
        if one.column in MINUTE_COLUMNS:
            values[one.column] = records.minutes()
        elif one.column == "concurrency":
            interval = records.interval()
        else:
            values[one.column] = records.text("id") if one.column == "id" else records.number(one.column)
    return QueryColumns(
        created=created,
        epoch=functions.seconds(created),
        groups={name: records.text(name) for name in (*query.groups, *split_filters(query.filters)[0])},
        variables={key: records.variable(key) for key in _variable_keys(query)},
        values=values,
        interval=interval,
    )


def find_id(columns: Mapping[str, ColumnExpr], functions: SqlFunctions) -> str:
    """Return the expression of the id of records that have *columns*."""
    return _Records(columns, functions, {}).text("id")


class _Records(NamedTuple):
    """The columns of records, and the SQL of the engine that reads them."""

    columns: Mapping[str, ColumnExpr]
    functions: SqlFunctions
    overrides: Mapping[str, ColumnExpr]

    def time(self, column: str) -> str:
        return self._find(column, self.functions.time)

    def number(self, column: str) -> str:
        return self._find(column, self.functions.number)

    def text(self, column: str) -> str:
        return self._find(column, self.functions.text)

    def variable(self, key: str) -> str:
        return self._find(key, self.functions.text, is_variable=True)

    def _find(self, name: str, convert: Callable[[str, str, str], str], *, is_variable: bool = False) -> str:
        """Return the expression of *name*: of the places where a record may have it, the first that has a value."""
        key = name if is_variable else None
        roots = VARIABLE_ROOTS if is_variable else alternate_paths(name)
        found = self._override(roots, key)
        if not found:
            candidates = _variable_paths(name) if is_variable else _column_paths(name)
            found = [*self._in_columns(candidates), *self._in_json(roots, key)]
        if not found:
            raise missing_column(name, list(self.columns), kind="variable" if is_variable else "column")
        expressions = [convert(name, expression, kind) for expression, kind in found]
        return expressions[0] if len(expressions) == 1 else f"coalesce({', '.join(expressions)})"

    def _override(self, roots: Sequence[str], key: str | None) -> list[tuple[str, str]]:
        """Return the expression, and the kind of its type, of the place that the caller says, if there is one."""
        for path in roots:
            override = self.overrides.get(path if key is None else f"{path}.{key}")
            if override is not None and override.type is not None:
                return [(override.sql, override.type.id)]
        return []

    def _in_columns(self, candidates: Iterable[CandidatePath]) -> Iterator[tuple[str, str]]:
        """Yield the same for what is a column, or nested in one."""
        for name, keys in candidates:
            column = self.columns.get(name)
            if column is not None and (found := self._inside(column, keys)):
                yield found

    def _in_json(self, roots: Sequence[str], key: str | None) -> Iterator[tuple[str, str]]:
        """Yield the same for what is in a column of JSON, or of JSON text."""
        for path in roots:
            parts = (*path.split("."), *(() if key is None else (key,)))
            for cut in range(len(parts) - 1, 0, -1):
                for name in dict.fromkeys((".".join(parts[:cut]), "_".join(parts[:cut]))):
                    expression, type_ = self.columns.get(name, ("", None))
                    if type_ is not None and type_.id in ("varchar", "json"):
                        yield self.functions.json(expression, type_.id, parts[cut:]), "json"

    def _inside(self, column: ColumnExpr, keys: Sequence[str]) -> tuple[str, str] | None:
        """Return the expression of what is at *keys* of a struct or map, and the kind of its type."""
        expression, type_ = column
        if type_ is None or not keys:
            return None if type_ is None else (expression, type_.id)
        if type_.id == "map":
            return self.functions.element(expression, ".".join(keys)), type_.children[1][1].id
        fields = dict(type_.children) if type_.id == "struct" else {}
        for cut in range(len(keys), 0, -1):  # the name of a field may have dots
            name = ".".join(keys[:cut])
            check_case(name, fields)
            if name in fields:
                field, rest = self.functions.field(expression, name), keys[cut:]
                if fields[name].id == "json" and rest:
                    return self.functions.json(field, "json", [".".join(rest)]), "json"
                return self._inside(ColumnExpr(field, fields[name]), rest)
        return None

    def minutes(self) -> str:
        try:
            started, ended = self.time("startedAt"), self.time("endedAt")
        except RecordsError as error:
            if "duration" not in self.columns:
                raise
            raise RecordsError(
                f"{error}. Their own 'duration' is not used: nothing says its unit; minutes are endedAt - startedAt",
                column=error.column,
            ) from None
        return f"({self.functions.micros(ended)} - {self.functions.micros(started)}) / 60000000.0::DOUBLE"

    def interval(self) -> CallInterval:
        """Return a call's start and end in microseconds, and whether its status or reason says that it is over."""
        started, ended = (self.functions.micros(self.time(column)) for column in ("startedAt", "endedAt"))
        conditions = []
        statuses = ", ".join(map(quote_text, ENDED_STATUSES))
        for column, condition in (("status", f"IN ({statuses})"), ("endedReason", "<> ''")):
            try:
                conditions.append(f"{self.text(column)} {condition}")
            except RecordsError:
                if column in self.columns or column in self.overrides:
                    raise
        if not conditions:  # a call without an end could be in progress, or have lost its end
            raise missing_column("status", list(self.columns))
        return CallInterval(started, ended, " OR ".join(conditions))


def missing_column(name: str, names: Sequence[str], *, kind: str = "column") -> RecordsError:
    """Return the error for the column or variable *name*, which a query uses and records with columns *names* lack."""
    root = VARIABLE_ROOTS[0]
    names = list(dict.fromkeys(one.replace(f"{VARIABLES_MAP}.", f"{root}.") for one in names))
    near = suggest(name, [one.removeprefix(f"{root}.") for one in names])
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
    listed = ", ".join(names[:30]) + (", ..." if len(names) > 30 else "")  # noqa: PLR2004
    return RecordsError(
        f"the call records have no {kind} {name!r}, which the query uses{hint} They have: {listed}", column=name
    )


def check_case(used: str, names: Iterable[str]) -> None:
    """Raise `RecordsError` where one of *names* differs from the *used* one by case only."""
    others = sorted({name for name in names if name.casefold() == used.casefold()} - {used})
    if others:
        raise RecordsError(
            f"the call records have {others[0]!r} where the query uses {used!r}; files and structs cannot tell names "
            "apart that differ by case only: rename one",
            column=used,
        )
