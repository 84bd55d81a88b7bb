"""Call records: which of their columns holds what a question uses, and nested call JSON as flat columns.

Facts about a record are those of the API's own ``GET /call``: there is no ``duration`` (it is ``endedAt`` minus
``startedAt``), ``costBreakdown.transcriber`` answers to ``stt``, ``costBreakdown.analysisBreakdown`` to
``analysisCostBreakdown``, and variables lie in ``artifact.variableValues``, else in ``assistantOverrides``.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from vapi_frames.errors import RecordsError, shown, suggest
from vapi_frames.sources.sql import Columns, Interval, literal
from vapi_frames.vocabulary import CALL_COLUMNS, GROUP_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pyarrow as pa

    from vapi_frames.query import Query

__all__ = [
    "DUCKDB",
    "TIMES",
    "Held",
    "SqlType",
    "Words",
    "check_case",
    "columns_for",
    "flatten",
    "missing",
    "record_columns",
    "roots",
]


class SqlType(Protocol):
    """A column's type, as DuckDB describes it; the class itself moved between DuckDB's majors."""

    @property
    def id(self) -> str:
        """Its kind, e.g. ``varchar`` or ``struct``."""
        ...

    @property
    def children(self) -> list[tuple[str, Any]]:
        """What a struct or map is made of."""
        ...


Held: TypeAlias = tuple[str, SqlType | None]
"""A column's expression and type; no type where the question cannot use it, so that it was not looked at."""


_ELSEWHERE = {
    "costBreakdown.transcriber": ("costBreakdown.transcriber", "costBreakdown.stt"),
    "costBreakdown.analysisBreakdown.summary": (
        "costBreakdown.analysisBreakdown.summary",
        "costBreakdown.analysisCostBreakdown.summary",
    ),
}
_VARIABLE_ROOTS = ("variableValues", "artifact.variableValues", "assistantOverrides.variableValues")
TIMES = ("createdAt", "startedAt", "endedAt")
# A record of the API leaves these out where they do not apply; absent from every record, they are missing everywhere.
_OPTIONAL = (*GROUP_COLUMNS, "startedAt", "endedAt")
_NUMBERS = tuple(column for column in CALL_COLUMNS if column not in ("id", "duration"))
_NUMERIC = {
    "tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint",
    "float", "double", "decimal",
}  # fmt: skip
_NOTHING = {"null", "sqlnull", '"null"'}  # a column without a single value; the name moved between DuckDB's majors
_TEXTUAL = {"varchar", "enum", "uuid"}


_USED = {
    "duration": ("startedAt", "endedAt"),
    "minutesUsed": ("startedAt", "endedAt"),
    "concurrency": ("startedAt", "endedAt", "status", "endedReason"),
}
_OVER = ("ended", "not-found", "deletion-failed")  # the statuses of a call that is no longer in progress


def _paths(word: str) -> tuple[str, ...]:
    return _ELSEWHERE.get(word, (word,))


def _variable_paths(key: str) -> tuple[str, ...]:
    return tuple(f"{root}.{key}" for root in _VARIABLE_ROOTS)


def record_columns(query: Query[Any]) -> list[str]:
    """Return the record columns that *query* uses, ``createdAt`` first."""
    used = ["createdAt", *query.groups]
    for one in query.measures:
        used += _USED.get(one.column, (one.column,))
    return list(dict.fromkeys(used))


def roots(query: Query[Any], names: Iterable[str]) -> list[str]:
    """Return which of the records' columns, called *names*, may hold something that *query* uses."""
    paths = [path for word in record_columns(query) for path in _paths(word)]
    paths += [path for key in query.variables for path in _variable_paths(key)]
    return [name for name in names if any(path == name or path.startswith(f"{name}.") for path in paths)]


def columns_for(
    query: Query[Any], held: Mapping[str, Held], words: Words | None = None, given: Mapping[str, Held] | None = None
) -> Columns:
    """Return how records that hold their columns as *held* have what *query* uses.

    Args:
        query: The question.
        held: Column of the records → its expression and type.
        words: What the engine says; DuckDB's own by default.
        given: Where the caller says that a column of the API is, which then counts alone.

    Raises:
        RecordsError: A column that the query uses is missing or of a type that cannot be it.
    """
    records = _Records(held, given or {}, words or DUCKDB)
    created = records.time("createdAt")
    values: dict[str, str] = {}
    interval = None
    for one in query.measures:
        if one.column in ("duration", "minutesUsed"):
            values[one.column] = records.minutes()
        elif one.column == "concurrency":
            interval = records.interval()
        else:
            values[one.column] = records.text("id") if one.column == "id" else records.number(one.column)
    return Columns(
        created=created,
        epoch=records.words.seconds(created),
        groups={name: records.text(name) for name in query.groups},
        variables={key: records.text(key, kind="variable") for key in query.variables},
        values=values,
        interval=interval,
    )


class Words(NamedTuple):
    """What an engine says where engines differ. Each gets and gives SQL expressions.

    Attributes:
        time: Of (word, expression, kind of type): an instant; refuses what is none.
        number: Of the same: a double, missing for NaN.
        text: Of the same: text.
        micros: Of an instant: the whole microseconds since 1970.
        seconds: Of an instant: the whole seconds since 1970.
        field: Of (struct, name): the field.
        element: Of (map, key): the value, missing where there is no such key.
        json: Of (JSON, keys): the value as text, likewise; ``None`` where there is no JSON.
    """

    time: Callable[[str, str, str], str]
    number: Callable[[str, str, str], str]
    text: Callable[[str, str, str], str]
    micros: Callable[[str], str]
    seconds: Callable[[str], str]
    field: Callable[[str, str], str]
    element: Callable[[str, str], str]
    json: Callable[[str, Sequence[str]], str] | None = None


class _Records(NamedTuple):
    """How records hold what a question uses."""

    held: Mapping[str, Held]
    given: Mapping[str, Held]
    words: Words

    def time(self, word: str) -> str:
        return self._held(word, self.words.time)

    def number(self, word: str) -> str:
        return self._held(word, self.words.number)

    def text(self, word: str, *, kind: str = "column") -> str:
        return self._held(word, self.words.text, kind=kind)

    def _held(self, word: str, convert: Callable[[str, str, str], str], *, kind: str = "column") -> str:
        """Return the expression that holds *word*: wherever a record keeps it, the first place that has a value."""
        paths = _variable_paths(word) if kind == "variable" else _paths(word)
        if paths[0] in self.given:
            paths = paths[:1]
        found = [convert(word, *place) for path in paths for place in self._places(path)]
        if not found:
            raise missing(word, list(self.held), kind=kind)
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    def _places(self, path: str) -> list[tuple[str, str]]:
        """Return the expressions under which *path* can be reached: flat, or inside structs, maps and JSON."""
        if path in self.given:
            expression, type_ = self.given[path]
            return [(expression, type_.id)] if type_ is not None else []
        parts = path.split(".")
        found = []
        for cut in range(len(parts), 0, -1):
            expression, type_ = self.held.get(".".join(parts[:cut]), ("", None))
            if type_ is not None:
                found += inside(self.words, expression, type_, parts[cut:])
        return found

    def minutes(self) -> str:
        try:
            started, ended = self.time("startedAt"), self.time("endedAt")
        except RecordsError as error:
            if "duration" not in self.held:
                raise
            raise RecordsError(
                f"{error}. Their own 'duration' is not used: nothing says its unit; minutes are endedAt - startedAt",
                column=error.column,
            ) from None
        return f"({self.words.micros(ended)} - {self.words.micros(started)}) / 60000000.0::DOUBLE"

    def interval(self) -> Interval:
        """Return when a call began and ended, in microseconds, and whether it is over by its status or its reason."""
        started, ended = (self.words.micros(self.time(word)) for word in ("startedAt", "endedAt"))
        said = []
        for word, condition in (("status", f"IN ({', '.join(map(literal, _OVER))})"), ("endedReason", "IS NOT NULL")):
            try:
                said.append(f"{self.text(word)} {condition}")
            except RecordsError:
                if word in self.held or word in self.given:
                    raise
        if not said:  # a call without an end could be in progress, or have lost its end
            raise missing("status", list(self.held))
        return Interval(started, ended, " OR ".join(said))


def missing(word: str, names: Sequence[str], *, kind: str = "column") -> RecordsError:
    """Return the error for a *word* that the question uses and records with columns called *names* lack."""
    near = suggest(word, [name.removeprefix("variableValues.") for name in names])
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
    listed = ", ".join(names[:30]) + (", ..." if len(names) > 30 else "")  # noqa: PLR2004
    return RecordsError(
        f"the call records have no {kind} {word!r}, which the question uses{hint} They have: {listed}",
        column=word,
    )


def inside(words: Words, expression: str, type_: SqlType, parts: Sequence[str]) -> list[tuple[str, str]]:
    """Return the expressions, and kinds of type, of what lies at *parts* of something nested: none, or the one."""
    if not parts:
        return [(expression, type_.id)]
    if type_.id == "map":
        return [(words.element(expression, ".".join(parts)), type_.children[1][1].id)]
    if type_.id == "json" and words.json is not None:  # whether a dot is nesting or the key's own, JSON does not say
        keys = [[*parts[:cut], ".".join(parts[cut:])] for cut in range(len(parts))]
        return [(words.json(expression, path), "json") for path in keys]
    if type_.id != "struct":
        return []
    children = dict(type_.children)
    for cut in range(len(parts), 0, -1):  # a key may hold dots itself
        name = ".".join(parts[:cut])
        check_case(name, children)
        if name in children:
            return inside(words, words.field(expression, name), children[name], parts[cut:])
    return []


def check_case(used: str, names: Iterable[str]) -> None:
    """Raise `RecordsError` where the engine would take another of *names* for the *used* one."""
    twins = sorted({name for name in names if name.casefold() == used.casefold()} - {used})
    if twins:
        raise RecordsError(
            f"the call records have {twins[0]!r} where the question uses {used!r}; names that differ by case only "
            "cannot be told apart in files and structs: rename one",
            column=used,
        )


def _wrong(word: str, type_: str, wanted: str) -> RecordsError:
    return RecordsError(f"column {word!r} of the call records is {type_}, not {wanted}", column=word)


def _as_time(word: str, expression: str, type_: str) -> str:
    """Return a timestamp with time zone; one without is UTC, as the session's zone is."""
    if type_ == "timestamp with time zone":
        return expression
    if type_ in ("timestamp_ns", "timestamptz_ns"):  # a cast would round up into the next bucket
        return f"CAST(make_timestamp(epoch_ns({expression}) // 1000) AS TIMESTAMPTZ)"
    if type_.startswith("timestamp") or type_ in {"varchar", *_NOTHING}:
        return f"CAST({expression} AS TIMESTAMPTZ)"
    raise _wrong(word, type_, "a timestamp or ISO 8601 text")


def _as_number(word: str, expression: str, type_: str) -> str:
    if type_ in ("double", "float"):
        # A NaN in records means missing, and would make every sum it touches one.
        return f"nullif({expression if type_ == 'double' else f'CAST({expression} AS DOUBLE)'}, 'nan')"
    if type_ in _NUMERIC or type_ in _NOTHING:
        return f"CAST({expression} AS DOUBLE)"
    raise _wrong(word, type_, "a number")


def _as_text(word: str, expression: str, type_: str) -> str:
    """Return text as it is, and a number as JSON writes it: pandas makes 7 a float where its neighbour is missing."""
    if type_ == "varchar":
        return expression
    if type_ in ("double", "float"):
        is_whole = f"{expression} = trunc({expression}) AND abs({expression}) < 1e15"
        whole = f"WHEN {is_whole} THEN CAST(CAST({expression} AS BIGINT) AS VARCHAR)"
        return f"CASE WHEN isnan({expression}) THEN NULL {whole} ELSE CAST({expression} AS VARCHAR) END"
    if type_ in _TEXTUAL or type_ in _NUMERIC or type_ in {"boolean", *_NOTHING}:
        return f"CAST({expression} AS VARCHAR)"
    raise _wrong(word, type_, "text")


DUCKDB = Words(
    time=_as_time,
    number=_as_number,
    text=_as_text,
    micros="epoch_us({})".format,
    seconds="epoch_us({}) // 1000000".format,
    field=lambda expression, name: f"struct_extract({expression}, {literal(name)})",
    element=lambda expression, key: f"{expression}[{literal(key)}]",
)


# --- nested call JSON -------------------------------------------------------------------------------------------


def flatten(calls: Sequence[Any]) -> pa.Table:
    """Return nested call JSON as a table of flat columns, one column a variable.

    Raises:
        RecordsError: A record is no object, or holds a value of the wrong kind; it is named by its position.
    """
    import pyarrow as pa

    columns: dict[str, list[Any]] = {}
    for position, call in enumerate(calls):
        if not isinstance(call, dict):
            raise RecordsError(f"call {position + 1} is {type(call).__name__}, not an object", line=position + 1)
        for name, value in _flat(call, position + 1):
            column = columns.setdefault(name, [])
            column.extend([None] * (position - len(column)))
            column.append(value)
    for name in _OPTIONAL if calls else (*_OPTIONAL, *TIMES, *_NUMBERS, "id"):
        columns.setdefault(name, [])
    arrays = {}
    for name, values in columns.items():
        type_ = pa.timestamp("us", "UTC") if name in TIMES else pa.float64() if name in _NUMBERS else pa.string()
        try:
            arrays[name] = pa.array(values + [None] * (len(calls) - len(values)), type_)
        except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError) as error:
            raise RecordsError(f"{name} of a call cannot be held: {error}", column=name) from None
    return pa.table(arrays)


def _flat(call: dict[str, Any], line: int) -> Iterable[tuple[str, Any]]:
    for word in ("id", *GROUP_COLUMNS, *TIMES, *_NUMBERS):
        there = [value for is_there, value in (_dig(call, path) for path in _paths(word)) if is_there]
        if there:
            yield word, _read(word, next((value for value in there if value is not None), None), line)
    if "duration" in call:
        yield "duration", None  # only that it is there is of interest
    variables: dict[str, str | None] = {}
    for root in _VARIABLE_ROOTS:
        is_there, found = _dig(call, root)
        inside = found if is_there and isinstance(found, dict) else {}
        dotted = {
            n.removeprefix(f"{root}."): v for n, v in call.items() if isinstance(n, str) and n.startswith(f"{root}.")
        }
        for key, value in {**dotted, **inside}.items():
            name = f"{_VARIABLE_ROOTS[0]}.{key}"
            if variables.get(name) is None:
                variables[name] = _variable(key, value, line)
    yield from variables.items()


def _variable(key: object, value: Any, line: int) -> str | None:
    if value is None or isinstance(value, str):
        return value
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        raise RecordsError(f"call {line}: variable {key!r} is no JSON value", line=line, column=str(key)) from None


def _dig(call: dict[str, Any], path: str) -> tuple[bool, Any]:
    if path in call:
        return True, call[path]
    value: Any = call
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return False, None
        value = value[part]
    return True, value


def _read(word: str, value: Any, line: int) -> Any:
    if value is None or (isinstance(value, datetime | float) and value != value):  # noqa: PLR0124 - NaT, NaN
        return None
    if word in _NUMBERS:
        if isinstance(value, Real | Decimal) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                pass
        wanted = "a number"
    elif word in TIMES:
        moment = value
        if isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                moment = None
        if isinstance(moment, datetime):
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        wanted = "an ISO 8601 date-time"
    else:
        if isinstance(value, str):
            return value
        if isinstance(value, bool | int | float):
            return json.dumps(value)
        wanted = "text"
    raise RecordsError(f"call {line}: {word} is {shown(value)}, not {wanted}", line=line, column=word)
