"""The types of a warehouse's columns: what each engine or driver calls them, as the few kinds that matter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vapi_frames.sources.records.duckdb import INTEGER_TYPES, NANOSECOND_TYPES, NULL_TYPES, TEXT_TYPES

__all__ = [
    "AWARE",
    "NAIVE",
    "NANOS",
    "NUMERIC",
    "UNKNOWN",
    "ColumnType",
    "describe_type",
    "parse_type",
    "read_duckdb_type",
    "read_postgres_type",
    "read_spark_type",
]

# Kinds are called as in DuckDB.
AWARE = "timestamp with time zone"
NAIVE = "timestamp"
NANOS = "timestamp_ns"
NUMERIC = frozenset({"double", "integer", "decimal"})
UNKNOWN = "unknown"
"""The driver does not describe the type, so a query may use the column as any."""


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column's type.

    Attributes:
        id: Its kind: ``struct``, ``map``, ``json``, ``varchar``, ``boolean``, ``null``, one of the constants above, or
            else what the engine calls it.
        children: Field → type of a struct; key and value of a map.
    """

    id: str
    children: list[tuple[str, Any]] = field(default_factory=list)


def read_spark_type(found: Any) -> ColumnType:
    """Return the type that Spark describes by an object."""
    name = found.typeName()
    if name == "struct":
        return ColumnType("struct", [(one.name, read_spark_type(one.dataType)) for one in found.fields])
    if name == "map":
        children = [("key", read_spark_type(found.keyType)), ("value", read_spark_type(found.valueType))]
        return ColumnType("map", children)
    kinds = {
        "timestamp": AWARE, "timestamp_ntz": NAIVE, "string": "varchar", "char": "varchar", "float": "double",
        "byte": "integer", "short": "integer", "long": "integer", "void": "null",
    }  # fmt: skip
    return ColumnType(str(kinds.get(name, name)))


def read_duckdb_type(found: Any) -> ColumnType:
    """Return the type that DuckDB describes by an object."""
    if found.id in ("struct", "map"):
        return ColumnType(found.id, [(name, read_duckdb_type(one)) for name, one in found.children])
    if str(found) == "JSON":
        return ColumnType("json")
    kinds = {
        "float": "double", "timestamp_s": NAIVE, "timestamp_ms": NAIVE,
        **dict.fromkeys(INTEGER_TYPES, "integer"), **dict.fromkeys(TEXT_TYPES, "varchar"),
        **dict.fromkeys(NANOSECOND_TYPES, NANOS), **dict.fromkeys(NULL_TYPES, "null"),
    }  # fmt: skip
    return ColumnType(str(kinds.get(found.id, found.id)))


def read_postgres_type(name: str, category: str) -> ColumnType:
    """Return the type that pg_type has by *name* and *category*; a domain's is that of its base type."""
    kinds = {
        "timestamptz": AWARE, "timestamp": NAIVE, "json": "json", "jsonb": "json", "uuid": "varchar",
        "float4": "double", "float8": "double", "numeric": "decimal", "money": "money",
    }  # fmt: skip
    categories = {"N": "integer", "S": "varchar", "E": "varchar", "B": "boolean", "A": "list"}
    return ColumnType(kinds.get(name) or categories.get(category, name))


_SNOWFLAKE = {0: "decimal", 1: "double", 2: "varchar", 3: "date", 4: NAIVE, 5: "json", 6: AWARE, 7: AWARE, 8: NAIVE,
              9: "json", 10: "array", 13: "boolean"}  # fmt: skip


def describe_type(code: Any, dialect: str) -> ColumnType:
    """Return the type that a driver's description of a cursor gives as *code*, as far as it gives one."""
    if dialect == "snowflake" and isinstance(code, int):
        return ColumnType(_SNOWFLAKE.get(code, UNKNOWN))
    return parse_type(code, dialect) if isinstance(code, str) else ColumnType(UNKNOWN)


def parse_type(text: str, dialect: str) -> ColumnType:
    """Return the type that the engine of *dialect* writes as *text*."""
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        return _from_sqlglot(exp.DataType.build(text, dialect=dialect), dialect)
    except (SqlglotError, ValueError):
        return ColumnType(text.lower())


def _from_sqlglot(found: Any, dialect: str) -> ColumnType:
    from sqlglot import exp

    name = found.this.name
    inner = [_from_sqlglot(one, dialect) for one in found.expressions if isinstance(one, exp.DataType)]
    if name in ("LOWCARDINALITY", "SIMPLEAGGREGATEFUNCTION") and inner:
        return inner[-1]
    if name == "STRUCT":
        fields = [one for one in found.expressions if isinstance(one, exp.ColumnDef) and one.kind is not None]
        return ColumnType("struct", [(one.name, _from_sqlglot(one.kind, dialect)) for one in fields])
    if name == "MAP":
        children = inner or [ColumnType("varchar"), ColumnType(UNKNOWN)]
        return ColumnType("map", list(zip(("key", "value"), children, strict=True)))
    is_clickhouse = dialect == "clickhouse"  # where each timestamp is an instant, and JSON is no text
    kinds = {
        "TIMESTAMPTZ": AWARE, "TIMESTAMPLTZ": AWARE, "DATETIME64": AWARE, "DATETIME": AWARE if is_clickhouse else NAIVE,
        "TIMESTAMP": NAIVE, "TIMESTAMPNTZ": NAIVE, "DATE32": "date", "DATE": "date", "BOOLEAN": "boolean",
        "UUID": "varchar", "ENUM8": "varchar", "ENUM16": "varchar", "FIXEDSTRING": "varchar",
        "NOTHING": "null", "NULL": "null",
        **dict.fromkeys((one.name for one in exp.DataType.TEXT_TYPES), "varchar"),
        **dict.fromkeys((one.name for one in exp.DataType.INTEGER_TYPES), "integer"),
        **dict.fromkeys((one.name for one in exp.DataType.FLOAT_TYPES), "double"),
        **({} if is_clickhouse else {"JSON": "json"}),
    }  # fmt: skip
    return ColumnType(kinds.get(name) or ("decimal" if "DECIMAL" in name else found.sql(dialect=dialect).lower()))
