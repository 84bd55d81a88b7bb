"""A warehouse's table: which columns it has and of what types, and which of them holds what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vapi_frames.contract.vocabulary import GROUP_COLUMNS
from vapi_frames.errors import QueryError, RecordsError, UnknownWordError, format_value, suggest
from vapi_frames.sources.records.columns import NUMBERS, TIMES, VARIABLE_ROOTS, check_case, heads, paths
from vapi_frames.sources.sql.select import quote
from vapi_frames.sources.warehouse.dialects import AWARE, NAIVE, NANOS, UNKNOWN, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    from vapi_frames.sources.records.columns import Held
    from vapi_frames.sources.warehouse.dialects import Dialect

    Path: TypeAlias = tuple[str, ...]
    """A column of the table, and the way on from there into what is nested in it."""

__all__ = [
    "Table",
    "Type",
    "check_columns",
    "check_table",
    "described_type",
    "duckdb_type",
    "postgres_type",
    "read_table",
    "read_type",
    "spark_type",
]

_ROOTS = ("variableValues", "costBreakdown", "analysis", "artifact", "assistantOverrides")
_WORDS = ("id", *TIMES, *GROUP_COLUMNS, *NUMBERS)
_PATHS = (*(path for word in _WORDS for path in paths(word)), *VARIABLE_ROOTS)
_NAMES = tuple(dict.fromkeys(name for path in _PATHS for name, _ in heads(path)))


@dataclass(frozen=True, slots=True)
class Type:
    """A column's type.

    Attributes:
        id: Its kind, as `vapi_frames.sources.warehouse.dialects` tells them apart, or what the engine calls it.
        children: Field → type of a struct; key and value of a map.
    """

    id: str
    children: list[tuple[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Table:
    """A table, as the common text speaks of it.

    Attributes:
        relation: What stands after FROM.
        held: Its columns → expression and type.
        given: What the caller said is where.
        names: Its columns' names, as the engine spells them.
    """

    relation: str
    held: Mapping[str, Held]
    given: Mapping[str, Held]
    names: tuple[str, ...]


def check_table(table: object) -> Path:
    """Return the parts of the name of a *table*.

    Raises:
        QueryError: It is none.
    """
    parts = tuple(table.split(".")) if isinstance(table, str) else table
    if not isinstance(parts, tuple | list) or not all(isinstance(part, str) and part for part in parts) or not parts:
        raise QueryError(
            f"table must be a name such as 'calls' or 'sales.calls', or its parts as a tuple, not {format_value(table)}"
        )
    return tuple(parts)


def check_columns(columns: object) -> dict[str, Path]:
    """Return which column of the API is said to be where.

    Raises:
        QueryError: *columns* is no such mapping.
        UnknownWordError: The API has no such column.
    """
    if columns is None:
        return {}
    if not isinstance(columns, dict):
        raise QueryError(f"columns must be a dict, column of the API: column of the table, not {format_value(columns)}")
    found = {}
    for word, place in columns.items():
        is_variable = isinstance(word, str) and word.startswith("variableValues.") and word != "variableValues."
        if not is_variable and word not in (*_WORDS, *_ROOTS):
            hint = "Or 'variableValues.<key>' for a variable."
            if word in ("duration", "minutesUsed", "concurrency"):
                hint = f"{word} comes from 'startedAt' and 'endedAt': say where these are."
            raise UnknownWordError(word, "column of call records", (*_WORDS, *_ROOTS), hint=hint)
        path = (place,) if isinstance(place, str) else place
        if not isinstance(path, tuple | list) or not all(isinstance(part, str) and part for part in path) or not path:
            raise QueryError(
                f"columns[{word!r}] must be the name of a column of the table, or a tuple of it and the way into what "
                f"is nested there, not {format_value(place)}"
            )
        found[word] = tuple(path)
    return found


def read_table(parts: Path, columns: Sequence[tuple[str, Type]], dialect: Dialect, places: Mapping[str, Path]) -> Table:
    """Return the table called *parts* that has *columns*.

    Args:
        parts: Its name.
        columns: Name and type of each.
        dialect: Whose it is.
        places: Which column of the API the caller says is where.

    Raises:
        RecordsError: It has no such column.
    """
    names = tuple(name for name, _ in columns)
    alias = "calls"
    while alias.casefold() in {name.casefold() for name in names}:  # or a column could be taken for the table
        alias += "_"
    own: dict[str, Held] = {name: (f"{quote(alias)}.{quote(name)}", type_) for name, type_ in columns}
    given = {word: _place(word, path, own) for word, path in places.items()}
    held = {**own, **{word: place for word, place in given.items() if word in _ROOTS}}
    for name in _NAMES:
        spelled = dialect.spelled(name)
        if name not in held and spelled in own:
            held[name] = own[spelled]
    relation = f"{'.'.join(map(quote, parts))} AS {quote(alias)}"
    return Table(relation, held, {word: place for word, place in given.items() if word not in _ROOTS}, names)


def _place(word: str, path: Path, own: Mapping[str, Held]) -> Held:
    """Return the expression and type of what lies at *path*."""
    expression, type_ = own.get(path[0], ("", None))
    if type_ is None:
        raise _absent(word, path[0], "the table has no column", own)
    at = 1
    while at < len(path):
        if type_.id == "map":
            expression, type_ = WORDS.element(expression, path[at]), _value_of(type_)
        elif type_.id in ("json", "varchar"):
            return WORDS.json(expression, type_.id, path[at:]), Type("json")
        elif type_.id in ("struct", UNKNOWN):
            children = dict(type_.children)
            check_case(path[at], children)
            if children and path[at] not in children:
                raise _absent(word, path[at], f"the table's {'.'.join(path[:at])} has no", children)
            expression, type_ = WORDS.field(expression, path[at]), children.get(path[at], Type(UNKNOWN))
        else:
            said = f"the table's {'.'.join(path[:at])!r} is {type_.id}, which holds no {path[at]!r}"
            raise RecordsError(f"{said}; columns= says that {word!r} is there", column=word)
        at += 1
    return expression, type_


def _absent(word: str, name: str, what: str, names: Iterable[str]) -> RecordsError:
    near = suggest(name, names)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else f". It has: {', '.join(names)}"
    return RecordsError(f"{what} {name!r}, where columns= says that {word!r} is{hint}", column=word)


def _value_of(type_: Any) -> Any:
    return dict(type_.children).get("value", Type(UNKNOWN))


# --- the engines' types -----------------------------------------------------------------------------------------


def spark_type(found: Any) -> Type:
    """Return a type of Spark's."""
    name = found.typeName()
    if name == "struct":
        return Type("struct", [(one.name, spark_type(one.dataType)) for one in found.fields])
    if name == "map":
        return Type("map", [("key", spark_type(found.keyType)), ("value", spark_type(found.valueType))])
    kinds = {
        "timestamp": AWARE, "timestamp_ntz": NAIVE, "string": "varchar", "char": "varchar", "float": "double",
        "byte": "integer", "short": "integer", "long": "integer", "void": "null",
    }  # fmt: skip
    return Type(str(kinds.get(name, name)))


def duckdb_type(found: Any) -> Type:
    """Return a type of DuckDB's."""
    if found.id in ("struct", "map"):
        return Type(found.id, [(name, duckdb_type(one)) for name, one in found.children])
    if str(found) == "JSON":
        return Type("json")
    kinds = {
        "enum": "varchar", "uuid": "varchar", "float": "double", '"null"': "null", "sqlnull": "null",
        "timestamp_s": NAIVE, "timestamp_ms": NAIVE, "timestamp_ns": NANOS, "timestamptz_ns": NANOS,
        **dict.fromkeys(("tinyint", "smallint", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint",
                         "uhugeint"), "integer"),
    }  # fmt: skip
    return Type(str(kinds.get(found.id, found.id)))


def postgres_type(name: str, category: str) -> Type:
    """Return the type that pg_type knows by *name* and *category*; a domain's is that of what it is over."""
    kinds = {
        "timestamptz": AWARE, "timestamp": NAIVE, "json": "json", "jsonb": "json", "uuid": "varchar",
        "float4": "double", "float8": "double", "numeric": "decimal", "money": "money",
    }  # fmt: skip
    of_category = {"N": "integer", "S": "varchar", "E": "varchar", "B": "boolean"}
    return Type(kinds.get(name) or of_category.get(category, name))


_SNOWFLAKE = {0: "decimal", 1: "double", 2: "varchar", 3: "date", 4: NAIVE, 5: "json", 6: AWARE, 7: AWARE, 8: NAIVE,
              9: "json", 10: "array", 13: "boolean"}  # fmt: skip


def described_type(code: Any, dialect: Dialect) -> Type:
    """Return the type that a driver's description gives as *code*, as far as it says one."""
    if dialect.name == "snowflake" and isinstance(code, int):
        return Type(_SNOWFLAKE.get(code, UNKNOWN))
    return read_type(code, dialect) if isinstance(code, str) else Type(UNKNOWN)


def read_type(text: str, dialect: Dialect) -> Type:
    """Return the type that the engine writes as *text*."""
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        return _type(exp.DataType.build(text, dialect=dialect.name), dialect)
    except (SqlglotError, ValueError):
        return Type(text.lower())


def _type(found: Any, dialect: Dialect) -> Type:
    from sqlglot import exp

    name = found.this.name
    inner = [_type(one, dialect) for one in found.expressions if isinstance(one, exp.DataType)]
    if name in ("LOWCARDINALITY", "SIMPLEAGGREGATEFUNCTION") and inner:
        return inner[-1]
    if name == "STRUCT":
        fields = [one for one in found.expressions if isinstance(one, exp.ColumnDef) and one.kind is not None]
        return Type("struct", [(one.name, _type(one.kind, dialect)) for one in fields])
    if name == "MAP":
        return Type("map", list(zip(("key", "value"), inner or [Type("varchar"), Type(UNKNOWN)], strict=True)))
    is_clickhouse = dialect.name == "clickhouse"  # where every timestamp is an instant, and JSON is another thing
    kinds = {
        "TIMESTAMPTZ": AWARE, "TIMESTAMPLTZ": AWARE, "DATETIME64": AWARE, "DATETIME": AWARE if is_clickhouse else NAIVE,
        "TIMESTAMP": NAIVE, "TIMESTAMPNTZ": NAIVE, "BOOLEAN": "boolean", "UUID": "varchar", "ENUM8": "varchar",
        "ENUM16": "varchar", "FIXEDSTRING": "varchar", "NOTHING": "null", "NULL": "null",
        **dict.fromkeys((one.name for one in exp.DataType.TEXT_TYPES), "varchar"),
        **dict.fromkeys((one.name for one in exp.DataType.INTEGER_TYPES), "integer"),
        **dict.fromkeys((one.name for one in exp.DataType.FLOAT_TYPES), "double"),
        **({} if is_clickhouse else {"JSON": "json"}),
    }  # fmt: skip
    return Type(kinds.get(name) or ("decimal" if "DECIMAL" in name else found.sql(dialect=dialect.name).lower()))
