"""What differs between engines in the SQL over call records: the functions, and the types of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ColumnExpr", "SqlFunctions", "SqlType"]


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


class SqlFunctions(NamedTuple):
    """SQL that differs between engines; each function takes and returns SQL expressions.

    Attributes:
        time: Takes (column, expression, kind of type) and returns an instant; raises for any other kind.
        number: Takes the same and returns a double, missing for NaN.
        text: Takes the same and returns text.
        variable: Takes the same and returns text; an object is compact JSON where the engine can write it.
        micros: Takes an instant and returns its whole microseconds since 1970.
        seconds: Takes an instant and returns its whole seconds since 1970.
        field: Takes (struct, name) and returns the field.
        element: Takes (map, key) and returns the value, missing where the map has no such key.
        json: Takes (JSON or JSON text, kind of type, keys, column) and returns the value at the keys, missing where
            there is none; its kind is ``json``.
        output: Takes (objects of outputs, kind of type, name, field) and returns the text of the result of the output
            called *name*, or of a *field* of it; of several of one name, of the first id that has a result.
        numeral: Takes text and returns the number that it is in JSON, missing for any other text.
        costs: Takes (list of costs, kind of type, type, type of analysis) and returns their sum.
        once: Takes (expression, a function of an expression) and returns what the function makes of the expression,
            which the engine computes once, however often it is used.
    """

    time: Callable[[str, str, str], str]
    number: Callable[[str, str, str], str]
    text: Callable[[str, str, str], str]
    variable: Callable[[str, str, str], str]
    micros: Callable[[str], str]
    seconds: Callable[[str], str]
    field: Callable[[str, str], str]
    element: Callable[[str, str], str]
    json: Callable[[str, str, Sequence[str], str], str]
    output: Callable[[str, str, str, str | None], str]
    numeral: Callable[[str], str]
    costs: Callable[[str, str, str, str], str]
    once: Callable[[str, Callable[[str], str]], str] = lambda expression, use: use(expression)
