"""The SQL of what a query uses of call records. A column may be at any of the `paths` of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from vapi_frames.contract.record_words import COST_TYPES, OUTPUT, RECORD_COLUMNS
from vapi_frames.errors import RecordsError
from vapi_frames.query.filters import get_variable_key, split_filters
from vapi_frames.sources.records.functions import ColumnExpr, SqlFunctions, SqlType
from vapi_frames.sources.records.missing import check_case, missing_column
from vapi_frames.sources.records.normalized import find_output_columns
from vapi_frames.sources.records.paths import (
    CONTAINERS,
    COSTS,
    DURATION_UNITS,
    FLAT_COLUMNS,
    NUMBER_COLUMNS,
    OUTPUTS,
    SKIPPED_OUTPUTS,
    TIME_COLUMNS,
    VARIABLE_ROOTS,
    alternate_paths,
    column_paths,
    find_headers,
    name_json,
    variable_paths,
    variable_roots,
)
from vapi_frames.sources.records.unlike import find_field, original_name
from vapi_frames.sources.sql.select import MINUTE_COLUMNS, CallInterval, QueryColumns, quote_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from vapi_frames.query.query import Query
    from vapi_frames.sources.records.paths import CandidatePath

__all__ = [
    "DURATION_WARNING",
    "ENDED_STATUSES",
    "ColumnExpr",
    "RecordReader",
    "SqlFunctions",
    "SqlType",
    "columns_used",
    "find_columns",
    "find_id",
    "has_objects",
    "open_reader",
    "record_columns",
    "variable_keys",
    "write_columns",
    "write_minutes",
]

ENDED_STATUSES = ("ended", "not-found", "deletion-failed")
"""The statuses of a call that is no longer in progress."""
DURATION_WARNING = "the records' own 'duration' is not used: minutes are endedAt - startedAt"
_MEASURED_FROM = {
    **dict.fromkeys(MINUTE_COLUMNS, ("startedAt", "endedAt", *DURATION_UNITS)),
    "concurrency": ("startedAt", "endedAt", "status", "endedReason"),
}


def record_columns(query: Query[Any]) -> list[str]:
    """Return the record columns that *query* uses, ``createdAt`` first."""
    outputs = [f"{OUTPUT}{name}" for name in query.outputs]
    used = ["createdAt", *query.groups, *outputs, *split_filters(query.filters)[0]]
    for one in query.measures:
        if one.operation != "nunique":
            used += _MEASURED_FROM.get(one.column, (one.column,))
        elif get_variable_key(one.column) is None:
            used.append(one.column)
    return list(dict.fromkeys(used))


def variable_keys(query: Query[Any]) -> Iterable[str]:
    """Return the keys of the variables that *query* groups or filters by, or counts the values of."""
    counted = [get_variable_key(one.column) for one in query.measures if one.operation == "nunique"]
    keys = [key for key in counted if key is not None]
    return dict.fromkeys((*query.variables, *split_filters(query.filters)[1], *keys))


def columns_used(
    query: Query[Any],
    names: Iterable[str],
    *,
    also: Sequence[str] = (),
    places: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """Return the columns, of those called *names*, that may hold what *query* uses, or a column of *also*."""
    names = list(names)
    places, headers = places or {}, find_headers(names)
    wanted = [*record_columns(query), *also]
    used = {name for column in wanted if column not in places for name, _ in column_paths(column)}
    used |= {headers[column] for column in wanted if column in headers}
    if any(column.startswith(OUTPUT) or column in (OUTPUTS, SKIPPED_OUTPUTS) for column in wanted):
        of_outputs = find_output_columns(tuple(names)).values()
        used |= {name for one in of_outputs for parts in one.values() for name in parts.values()}
    used |= {name_json(column) for column in also}
    used |= {name for key in variable_keys(query) for name, _ in variable_paths(key)}
    used |= {place[0] for place in places.values()}
    if not COST_TYPES.keys().isdisjoint(wanted):
        used.add(COSTS)
    if any(column in MINUTE_COLUMNS for column in (one.column for one in query.measures)):
        used.add("duration")
    return [name for name in names if name in used]


def has_objects(columns: Mapping[str, ColumnExpr]) -> bool:
    """Return whether records with *columns* are nested, so that they lack what none of them has."""
    types = (columns[name].type for name in CONTAINERS if name in columns)
    return any(type_ is not None and type_.id in ("struct", "map", "json") for type_ in types)


def open_reader(
    columns: Mapping[str, ColumnExpr],
    functions: SqlFunctions,
    overrides: Mapping[str, ColumnExpr] | None = None,
    *,
    is_nested: bool = False,
) -> RecordReader:
    """Return what reads records with *columns*; the arguments are those of `find_columns`."""
    return RecordReader(columns, functions, overrides or {}, is_nested or has_objects(columns), find_headers(columns))


def find_columns(
    query: Query[Any],
    columns: Mapping[str, ColumnExpr],
    functions: SqlFunctions,
    overrides: Mapping[str, ColumnExpr] | None = None,
    *,
    is_nested: bool = False,
) -> QueryColumns:
    """Return the expressions for what *query* uses, over records that have *columns*.

    Args:
        query: The query.
        columns: Column of the records → its expression.
        functions: The SQL of the engine.
        overrides: Column of the API → the only place that has it, as the caller says.
        is_nested: Whether a column that the records lack is missing in each; else it is an error.

    Raises:
        RecordsError: A column that the query uses is missing or of a type that cannot be it.
    """
    records = open_reader(columns, functions, overrides, is_nested=is_nested)
    created = records.time("createdAt")
    values: dict[str, str] = {}
    interval = None
    variables = {key: records.variable(key) for key in variable_keys(query)}
    for one in query.measures:
        if one.operation == "nunique":
            key = get_variable_key(one.column)
            values[one.column] = records.text(one.column) if key is None else variables[key]
        elif one.column in MINUTE_COLUMNS:
            values[one.column] = records.minutes()
        elif one.column == "concurrency":
            interval = records.interval()
        else:
            values[one.column] = records.text("id") if one.column == "id" else records.number(one.column)
    outputs = [f"{OUTPUT}{name}" for name in query.outputs]
    return QueryColumns(
        created=created,
        epoch=functions.seconds(created),
        groups={name: records.text(name) for name in (*query.groups, *outputs, *split_filters(query.filters)[0])},
        variables=variables,
        values=values,
        interval=interval,
    )


def write_minutes(started: str, ended: str) -> str:
    """Return the expression of the minutes between two instants in microseconds."""
    return f"({ended} - {started}) / 60000000.0::DOUBLE"


def find_id(
    columns: Mapping[str, ColumnExpr], functions: SqlFunctions, overrides: Mapping[str, ColumnExpr] | None = None
) -> str:
    """Return the expression of the id of records that have *columns*."""
    return RecordReader(columns, functions, overrides or {}, False, find_headers(columns)).text("id")


def write_columns(
    query: Query[Any],
    columns: Mapping[str, ColumnExpr],
    functions: SqlFunctions,
    overrides: Mapping[str, ColumnExpr] | None = None,
    *,
    also: Sequence[str] = (),
) -> dict[str, str]:
    """Return the expressions of the id and of what *query* uses, by name, as far as records with *columns* have it.

    Of *also*, the columns that no query uses are JSON text, by `name_json`.

    Raises:
        RecordsError: A column is of a type that cannot be it.
    """
    records = RecordReader(columns, functions, overrides or {}, False, find_headers(columns))
    found = {}
    others = (one for one in also if one in FLAT_COLUMNS)
    wanted = (OUTPUTS if name.startswith(OUTPUT) else name for name in (*record_columns(query), "id", *others))
    for name in dict.fromkeys(wanted):
        if name in (OUTPUTS, SKIPPED_OUTPUTS) and records.places(name):
            found[name] = records.objects(name)
        elif name in COST_TYPES:
            found[name] = records.number(name)
        elif records.places(name):
            is_time, is_number = name in TIME_COLUMNS, name in NUMBER_COLUMNS
            read = records.time if is_time else records.number if is_number else records.text
            found[name] = read(name)
    for key in variable_keys(query):
        if records.places(key, is_variable=True):
            found[f"{VARIABLE_ROOTS[0]}.{key}"] = records.variable(key)
    for path in also:
        if path not in FLAT_COLUMNS and (written := records.json(path)) is not None:
            found[name_json(path)] = written
    return found


class RecordReader(NamedTuple):
    """The columns of records, and the SQL of the engine that reads them."""

    columns: Mapping[str, ColumnExpr]
    functions: SqlFunctions
    overrides: Mapping[str, ColumnExpr]
    is_nested: bool
    headers: Mapping[str, str]

    def time(self, column: str) -> str:
        """Return the instant of *column*."""
        return self._find(column, self.functions.time)

    def number(self, column: str) -> str:
        """Return the double of *column*."""
        if column.startswith(OUTPUT):
            return self.functions.once(self._output(column), self.functions.numeral)
        costs = self._costs(column) if column in COST_TYPES else None
        if costs is None:
            return self._find(column, self.functions.number)
        return f"coalesce({self._find(column, self.functions.number)}, {costs})" if self.places(column) else costs

    def text(self, column: str) -> str:
        """Return the text of *column*."""
        return self._output(column) if column.startswith(OUTPUT) else self._find(column, self.functions.text)

    def objects(self, column: str) -> str:
        """Return objects as JSON text."""
        return self._find(column, self.functions.variable)

    def _costs(self, column: str) -> str | None:
        """Return the sum of the entries of `COSTS` that are a part of the cost."""
        found = self.overrides.get(COSTS) or self.columns.get(COSTS)
        if found is None or found.type is None:
            return None
        return self.functions.costs(found.sql, found.type.id, *COST_TYPES[column])

    def _output(self, word: str) -> str:
        """Return the text of an output: of the one with the whole name, else of a field of the one before a dot."""
        name = word.removeprefix(OUTPUT)
        cuts = [at for at, letter in enumerate(name) if letter == "." and 0 < at < len(name) - 1]
        ways = [(name, None), *((name[:at], name[at + 1 :]) for at in reversed(cuts))]

        def read(_: str, expression: str, kind: str) -> str:
            found = [self.functions.output(expression, kind, *way) for way in ways]
            return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

        return self._find(word, read)

    def variable(self, key: str) -> str:
        """Return the text of the variable *key*."""
        return self._find(key, self.functions.variable, is_variable=True)

    def json(self, path: str) -> str | None:
        """Return what is at *path* as JSON text, by functions of DuckDB's; ``None`` where there is no such place."""
        found = [f"CAST(to_json({expression}) AS VARCHAR)" for expression, _ in self.places(path)]
        if (kept := self.columns.get(name_json(path))) is not None and kept.type is not None:
            found.insert(0, kept.sql)
        if not found:
            return None
        values = [f"nullif({one}, 'null')" for one in found]
        return values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"

    def _find(self, name: str, convert: Callable[[str, str, str], str], *, is_variable: bool = False) -> str:
        """Return the expression of *name*: of the places where a record may have it, the first that has a value."""
        found = self.places(name, is_variable=is_variable)
        if not found:
            if (self.is_nested or name in RECORD_COLUMNS) and not is_variable and name != "createdAt":
                return convert(name, "NULL", "null")
            raise missing_column(name, list(self.columns), kind="variable" if is_variable else "column")
        expressions = [self._convert(name, expression, kind, convert) for expression, kind in found]
        return expressions[0] if len(expressions) == 1 else f"coalesce({', '.join(expressions)})"

    def _convert(self, name: str, expression: str, kind: str, convert: Callable[[str, str, str], str]) -> str:
        if kind != "json":
            return convert(name, expression, kind)
        return self.functions.once(expression, lambda found: convert(name, found, kind))

    def places(self, name: str, *, is_variable: bool = False) -> list[tuple[str, str]]:
        """Return the expression, and the kind of its type, of each place that may have *name*."""
        key = name if is_variable else None
        paths = alternate_paths(OUTPUTS if name.startswith(OUTPUT) else name)
        for path in variable_roots() if is_variable else paths:
            override = self.overrides.get(path if key is None else f"{path}.{key}")
            if override is not None and override.type is not None:
                return [(override.sql, override.type.id)]
        candidates: tuple[CandidatePath, ...] = variable_paths(name) if is_variable else column_paths(name)
        if not is_variable and name in self.headers:
            candidates = (*candidates, (self.headers[name], ()))
        return list(self._in_columns(name, candidates))

    def _in_columns(self, wanted: str, candidates: Iterable[CandidatePath]) -> Iterator[tuple[str, str]]:
        for name, keys in candidates:
            column = self.columns.get(name)
            if column is None or column.type is None:
                continue
            if wanted == "cost" and not keys and column.type.id == "struct":  # an object, which has the total
                keys = ("total",)  # noqa: PLW2901
            if found := self._inside(name, column, keys):
                yield found

    def _inside(self, path: str, column: ColumnExpr, keys: Sequence[str]) -> tuple[str, str] | None:
        """Return the expression of what is at *keys* of a struct, map or JSON, and the kind of its type."""
        expression, type_ = column
        if type_ is None or not keys:
            return None if type_ is None else (expression, type_.id)
        if type_.id in ("varchar", "json", "cell"):
            return self.functions.json(expression, type_.id, keys, path), "json"
        if type_.id == "map":
            return self.functions.element(expression, ".".join(keys)), type_.children[1][1].id
        if type_.id != "struct":
            return None
        for cut in range(len(keys), 0, -1):  # the name of a field may have dots
            name = ".".join(keys[:cut])
            found = find_field(type_.children, name)
            if found is None or found[0] == name:
                check_case(name, (original_name(field) for field, _ in type_.children))
            if found is not None:
                field = ColumnExpr(self.functions.field(expression, found[0]), found[1])
                return self._inside(f"{path}.{name}", field, keys[cut:])
        return None

    def minutes(self) -> str:
        """Return a call's minutes: between its two ends, else of a duration with its unit in its name."""
        found = []
        if self.places("startedAt") and self.places("endedAt"):
            found.append(self._between_ends())
        for column, per_minute in DURATION_UNITS.items():
            if self.places(column):
                found.append(f"{self.number(column)} / {per_minute!r}::DOUBLE")
        if found:
            return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"
        try:
            return self._between_ends()
        except RecordsError as error:
            if "duration" not in self.columns:
                raise
            raise RecordsError(
                f"{error}. Their own 'duration' is not used: nothing says its unit; minutes are endedAt - startedAt. "
                "If it counts seconds: columns={'durationSeconds': 'duration'}",
                column=error.column,
            ) from None

    def _between_ends(self) -> str:
        started, ended = (self.functions.micros(self.time(column)) for column in ("startedAt", "endedAt"))
        return write_minutes(started, ended)

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
