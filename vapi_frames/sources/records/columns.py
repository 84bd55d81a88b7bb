"""Call records: which of their columns holds what a question uses.

Facts about a record are those of the API's own ``GET /call``: there is no ``duration`` (it is ``endedAt`` minus
``startedAt``), ``costBreakdown.transcriber`` answers to ``stt``, ``costBreakdown.analysisBreakdown`` to
``analysisCostBreakdown``, and variables lie in ``artifact.variableValues``, else in ``assistantOverrides``. What is
nested there may also stand flat, with dots or with underscores (``costBreakdown.llm``, ``costBreakdown_llm``), or in
a column of JSON text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from vapi_frames.contract.vocabulary import CALL_COLUMNS, GROUP_COLUMNS
from vapi_frames.errors import RecordsError, suggest
from vapi_frames.query.filters import split_filters
from vapi_frames.sources.sql.select import Columns, Interval, literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from vapi_frames.query.query import Query

__all__ = [
    "DUCKDB",
    "KEPT_VARIABLES",
    "NUMBERS",
    "OPTIONAL",
    "OVER",
    "TIMES",
    "VARIABLE_ROOTS",
    "Held",
    "SqlType",
    "Words",
    "check_case",
    "columns_for",
    "heads",
    "id_of",
    "missing",
    "paths",
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
VARIABLE_ROOTS = ("variableValues", "artifact.variableValues", "assistantOverrides.variableValues")
KEPT_VARIABLES = "variableValues, kept"  # the map in which converted JSON keeps them; no export calls a column so
TIMES = ("createdAt", "startedAt", "endedAt")
# A record of the API leaves these out where they do not apply; absent from every record, they are missing everywhere.
OPTIONAL = (*GROUP_COLUMNS, "startedAt", "endedAt")
NUMBERS = tuple(column for column in CALL_COLUMNS if column not in ("id", "duration"))
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
OVER = ("ended", "not-found", "deletion-failed")
"""The statuses of a call that is no longer in progress."""


def paths(word: str) -> tuple[str, ...]:
    """Return where a record may keep what the contract calls *word*, as dotted paths, the first one preferred."""
    return _ELSEWHERE.get(word, (word,))


Head: TypeAlias = tuple[str, tuple[str, ...]]
"""A name that a record may have, and the way on from there into what is nested."""


@lru_cache(4096)
def heads(path: str, key: str | None = None) -> tuple[Head, ...]:
    """Return where *path*, or the variable *key* below it, may stand on a record: dotted or nested, else underscored.

    Examples:
        >>> heads("costBreakdown.llm")
        (('costBreakdown.llm', ()), ('costBreakdown', ('llm',)), ('costBreakdown_llm', ()))
        >>> heads("variableValues", "my_key")
        (('variableValues.my_key', ()), ('variableValues', ('my_key',)), ('variableValues_my_key', ()))
    """
    parts = (path if key is None else f"{path}.{key}").split(".")
    dotted = [(".".join(parts[:cut]), tuple(parts[cut:])) for cut in range(len(parts), 0, -1)]
    parts = path.split(".")
    flat = [("_".join(parts[:cut]), tuple(parts[cut:])) for cut in range(len(parts), 1, -1)]
    if key is not None:  # whose own dots may be nesting, but whose underscores are its own
        flat = [("_".join((*parts, key)), ()), *((name, (*rest, *key.split("."))) for name, rest in flat)]
    return (*dotted, *flat)


def _word_heads(word: str, *, kind: str = "column") -> list[Head]:
    if kind == "variable":
        return [head for root in (*VARIABLE_ROOTS, KEPT_VARIABLES) for head in heads(root, word)]
    return [head for path in paths(word) for head in heads(path)]


def record_columns(query: Query[Any]) -> list[str]:
    """Return the record columns that *query* uses, ``createdAt`` first."""
    used = ["createdAt", *query.groups, *split_filters(query.filters)[0]]
    for one in query.measures:
        used += _USED.get(one.column, (one.column,))
    return list(dict.fromkeys(used))


def _keys(query: Query[Any]) -> Iterable[str]:
    """Return the keys of the variables that *query* groups or filters by."""
    return dict.fromkeys((*query.variables, *split_filters(query.filters)[1]))


def roots(query: Query[Any], names: Iterable[str], *, also: Sequence[str] = ()) -> list[str]:
    """Return which of the records' columns, called *names*, may hold something that *query* uses, or *also*."""
    places = [head for word in (*record_columns(query), *also) for head in _word_heads(word)]
    places += [head for key in _keys(query) for head in _word_heads(key, kind="variable")]
    wanted = {name for name, _ in places}
    return [name for name in names if name in wanted]


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
        json: Of (JSON or JSON text, kind of type, keys): what lies there, likewise; its kind is ``json``.
    """

    time: Callable[[str, str, str], str]
    number: Callable[[str, str, str], str]
    text: Callable[[str, str, str], str]
    micros: Callable[[str], str]
    seconds: Callable[[str], str]
    field: Callable[[str, str], str]
    element: Callable[[str, str], str]
    json: Callable[[str, str, Sequence[str]], str]


def columns_for(
    query: Query[Any], held: Mapping[str, Held], words: Words | None = None, given: Mapping[str, Held] | None = None
) -> Columns:
    """Return how records that hold their columns as *held* have what *query* uses.

    Args:
        query: The question.
        held: Column of the records → its expression and type.
        words: What the engine says; DuckDB's own by default.
        given: Where the caller says that a column of the API is: that place, and no other, has it.

    Raises:
        RecordsError: A column that the query uses is missing or of a type that cannot be it.
    """
    records = _Records(held, words or DUCKDB, given or {})
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
        groups={name: records.text(name) for name in (*query.groups, *split_filters(query.filters)[0])},
        variables={key: records.text(key, kind="variable") for key in _keys(query)},
        values=values,
        interval=interval,
    )


def id_of(held: Mapping[str, Held]) -> str:
    """Return the expression for the id of records that hold their columns as *held*."""
    return _Records(held, DUCKDB, {}).text("id")


class _Records(NamedTuple):
    """Where records hold what a question uses, and how the engine says it."""

    held: Mapping[str, Held]
    words: Words
    given: Mapping[str, Held]

    def time(self, word: str) -> str:
        return self._held(word, self.words.time)

    def number(self, word: str) -> str:
        return self._held(word, self.words.number)

    def text(self, word: str, *, kind: str = "column") -> str:
        return self._held(word, self.words.text, kind=kind)

    def _held(self, word: str, convert: Callable[[str, str, str], str], *, kind: str = "column") -> str:
        """Return the expression that holds *word*: wherever a record keeps it, the first place that has a value."""
        found = [convert(word, *place) for place in self._places(word, kind)]
        if not found:
            raise missing(word, list(self.held), kind=kind)
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    def _places(self, word: str, kind: str) -> Iterable[tuple[str, str]]:
        """Yield where *word* lies, and the kind of its type: where the caller says, else flat, nested, in JSON."""
        key = word if kind == "variable" else None
        for path in VARIABLE_ROOTS if kind == "variable" else paths(word):
            expression, type_ = self.given.get(path if key is None else f"{path}.{key}", ("", None))
            if type_ is not None:
                yield expression, type_.id
                return
        for name, rest in _word_heads(word, kind=kind):
            place = self._inside(*self.held[name], rest) if name in self.held else None
            if place is not None:
                yield place
        keys = () if key is None else (key,)
        for path in VARIABLE_ROOTS if kind == "variable" else paths(word):
            parts = (*path.split("."), *keys)
            for cut in range(len(parts) - 1, 0, -1):
                for name in dict.fromkeys((".".join(parts[:cut]), "_".join(parts[:cut]))):
                    expression, type_ = self.held.get(name, ("", None))
                    if type_ is not None and type_.id in ("varchar", "json"):
                        yield self.words.json(expression, type_.id, parts[cut:]), "json"

    def _inside(self, expression: str, type_: SqlType | None, parts: Sequence[str]) -> tuple[str, str] | None:
        """Return the expression of what lies at *parts* of a struct or map, and the kind of its type."""
        if type_ is None or not parts:
            return None if type_ is None else (expression, type_.id)
        if type_.id == "map":
            return self.words.element(expression, ".".join(parts)), type_.children[1][1].id
        children = dict(type_.children) if type_.id == "struct" else {}
        for cut in range(len(parts), 0, -1):  # a key may hold dots itself
            name = ".".join(parts[:cut])
            check_case(name, children)
            if name in children:
                field, rest = self.words.field(expression, name), parts[cut:]
                if children[name].id == "json" and rest:
                    return self.words.json(field, "json", [".".join(rest)]), "json"
                return self._inside(field, children[name], rest)
        return None

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
        for word, condition in (("status", f"IN ({', '.join(map(literal, OVER))})"), ("endedReason", "<> ''")):
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
    names = list(dict.fromkeys(name.replace(f"{KEPT_VARIABLES}.", f"{VARIABLE_ROOTS[0]}.") for name in names))
    near = suggest(word, [name.removeprefix(f"{VARIABLE_ROOTS[0]}.") for name in names])
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
    listed = ", ".join(names[:30]) + (", ..." if len(names) > 30 else "")  # noqa: PLR2004
    return RecordsError(
        f"the call records have no {kind} {word!r}, which the question uses{hint} They have: {listed}",
        column=word,
    )


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
    if type_ in _NOTHING:
        return "CAST(NULL AS TIMESTAMPTZ)"
    if type_.startswith("timestamp") or type_ == "varchar":
        return f"CAST({expression} AS TIMESTAMPTZ)"
    raise _wrong(word, type_, "a timestamp or ISO 8601 text")


def _is_number(expression: str) -> str:
    """Return the condition that a float is none of NaN, which means missing, and would make every sum it touches one.

    It is not written as isnan or a comparison: the statistics of Parquet files leave NaN out, and the engine takes them
    to say that there is none.
    """
    return f"(isfinite({expression}) OR isinf({expression}))"


def _as_number(word: str, expression: str, type_: str) -> str:
    if type_ in ("double", "float"):
        double = expression if type_ == "double" else f"CAST({expression} AS DOUBLE)"
        return f"CASE WHEN {_is_number(expression)} THEN {double} END"
    if type_ in _NOTHING:  # of a struct, the engine cannot even read such a column
        return "CAST(NULL AS DOUBLE)"
    if type_ in _NUMERIC:
        return f"CAST({expression} AS DOUBLE)"
    if type_ == "json":
        wrong = f"error({literal(f'{word} is no number but the JSON ')} || CAST({expression} AS VARCHAR))"
        kind = f"json_type({expression})"
        wrongly = f"{kind} IN ('VARCHAR', 'BOOLEAN', 'OBJECT', 'ARRAY')"
        return f"CASE WHEN {wrongly} THEN {wrong} WHEN {kind} <> 'NULL' THEN CAST({expression} AS DOUBLE) END"
    raise _wrong(word, type_, "a number")


def _as_text(word: str, expression: str, type_: str) -> str:
    """Return text as it is, and a number as JSON writes it: pandas makes 7 a float where its neighbor is missing."""
    if type_ == "varchar":
        return expression
    if type_ == "json":
        return f"json_extract_string({expression}, '$')"
    if type_ in ("double", "float"):
        is_whole = f"{expression} = trunc({expression}) AND abs({expression}) < 1e15"
        whole = f"WHEN {is_whole} THEN CAST(TRY_CAST({expression} AS BIGINT) AS VARCHAR)"
        missing_ = f"WHEN NOT {_is_number(expression)} THEN NULL"
        return f"CASE {missing_} {whole} ELSE CAST({expression} AS VARCHAR) END"
    if type_ in _NOTHING:
        return "CAST(NULL AS VARCHAR)"
    if type_ in _TEXTUAL or type_ in _NUMERIC or type_ == "boolean":
        return f"CAST({expression} AS VARCHAR)"
    raise _wrong(word, type_, "text")


def _json(expression: str, kind: str, keys: Sequence[str]) -> str:
    del kind  # to DuckDB, JSON is text
    pointer = "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)
    return f"json_extract(nullif({expression}, ''), {literal(pointer)})"


DUCKDB = Words(
    time=_as_time,
    number=_as_number,
    text=_as_text,
    micros="epoch_us({})".format,
    seconds="epoch_us({}) // 1000000".format,
    field=lambda expression, name: f"struct_extract({expression}, {literal(name)})",
    element=lambda expression, key: f"{expression}[{literal(key)}]",
    json=_json,
)
