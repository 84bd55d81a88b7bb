"""The common text as the SQL of one engine: sqlglot writes what all engines have, `dialects` has the rest.

Text of the caller becomes SQL in two forms only: a quoted identifier, or a literal. A literal with any but plain
characters is written as the hexadecimal digits of its bytes, because the meaning of a backslash, a dollar or a percent
sign depends on the engine, on settings of the session and on the driver.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from vapi_frames.calendar.buckets import EPOCH
from vapi_frames.errors import MissingExtraError, RecordsError, SourceError
from vapi_frames.sources.warehouse.dialects import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vapi_frames.sources.warehouse.dialects import Dialect

__all__ = ["render", "write_name"]

_PLAIN = re.compile(r"[A-Za-z0-9 _.,:/@#+=()-]*")
_WORDS = {
    "quantile_of": "exact quantiles: fetch median and quantile from another engine, or from vf.local",
    "micros_of_number": "times that are numbers: use a view that casts them to timestamps",
    "micros_of_date": "times that are dates: use a view that casts them to timestamps",
}
_MOST_WORK = 50  # operations of one expression for one row, from which on an intermediate table costs less
_MOST_KEPT = 128  # statements: most queries of a table repeat those that look at it, and each takes 5 to 30 ms to write
_FUNCTIONS = frozenset(
    {"field_of", "path_of", "bin_to", *(name for one in DIALECTS.values() for name in one.functions)}
)


def render(text: str, dialect: Dialect) -> str:
    """Return the common *text* as the engine's SQL.

    Raises:
        SourceError: The engine has no function for something in it.
        RecordsError: A name cannot be written safely.
        MissingExtraError: sqlglot is not installed.
    """
    try:
        from sqlglot.errors import SqlglotError
    except ImportError:
        raise MissingExtraError("warehouse", "sqlglot", "a warehouse") from None
    try:
        return _render(text, dialect)
    except SqlglotError as error:
        raise SourceError(f"the query cannot be written for {dialect.name}: {error}") from error


@lru_cache(maxsize=_MOST_KEPT)
def _render(text: str, dialect: Dialect) -> str:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import ErrorLevel

    def write(node: Any) -> str:
        return str(node.sql(dialect=dialect.name, unsupported_level=ErrorLevel.RAISE))

    nulls_first = sqlglot.Dialect.get_or_raise(dialect.name).NULL_ORDERING == "nulls_are_small"
    tree = sqlglot.parse_one(text, dialect="duckdb")
    _simplify(tree, dialect)
    for node in reversed(list(tree.bfs())):  # children before their parents
        parent = node.parent.name if isinstance(node.parent, exp.Anonymous) else ""
        if isinstance(node, exp.Anonymous) and node.name in _FUNCTIONS:
            node.replace(_translate(node, dialect, write))
        elif isinstance(node, exp.Literal) and node.is_string:
            if parent == "raw_of":  # DuckDB's own expression, as `in_duckdb` wrote it
                node.replace(exp.Var(this=node.name))
            elif parent != "field_of" or "field_of" in dialect.functions:
                node.replace(exp.Var(this=_write_text(node.name, dialect)))
        elif isinstance(node, exp.Identifier):
            _check_name(node.name, dialect)
        elif isinstance(node, exp.Ordered):
            node.set("nulls_first", nulls_first)  # the engine's default, as no value in an ORDER BY is missing
    return _lay_out(tree, dialect, write)


def _simplify(tree: Any, dialect: Dialect) -> None:
    """Write what the engine of *dialect* computes faster in another way, and to the same result."""
    _bare_missing(tree)
    if "seconds_at" in dialect.functions:
        _bare_seconds(tree)
    if "elapsed_of" in dialect.functions:
        _join_differences(tree)
    if dialect.sums_exactly:
        _bare_sums(tree)
    if dialect.odd_functions is not None:
        _sum_unchecked(tree)
    if dialect.shares_sums:
        _average_by_sum(tree)
    if dialect.expands_dictionaries:
        _avoid_dictionaries(tree)


def _join_differences(tree: Any) -> None:
    """Write the difference of two instants as one function."""
    from sqlglot import exp

    for node in tree.find_all(exp.Sub):
        sides = [node.left, node.right]
        names = {side.name if isinstance(side, exp.Anonymous) else "" for side in sides}
        if names in ({"micros_of"}, {"micros_of_wall"}):
            node.replace(
                exp.Anonymous(this="elapsed_of", expressions=[one for side in sides for one in side.expressions])
            )


def _bare_seconds(tree: Any) -> None:
    """Write the seconds of an instant as one function."""
    from sqlglot import exp

    for node in list(tree.find_all(exp.Anonymous)):
        inner = node.expressions[0] if node.name == "seconds_of" else None
        if isinstance(inner, exp.Anonymous) and inner.name == "micros_of":
            node.replace(exp.Anonymous(this="seconds_at", expressions=inner.expressions))


def _bare_missing(tree: Any) -> None:
    """Write that the text of a column is missing as that the column is, for which an engine need not read values."""
    from sqlglot import exp

    for node in tree.find_all(exp.Is):
        if isinstance(node.this, exp.Anonymous) and node.this.name == "text_of":
            [inner] = node.this.expressions
            if isinstance(inner, exp.Column):
                node.set("this", inner)


def _bare_sums(tree: Any) -> None:
    """Write the sum of integers without a cast to a decimal."""
    from sqlglot import exp

    for total in tree.find_all(exp.Sum):
        if isinstance(total.this, exp.Cast) and total.this.is_type(exp.DataType.Type.DECIMAL):
            total.set("this", total.this.this)


def _sum_unchecked(tree: Any) -> None:
    """Write a number that is summed, or of which there is an average, without a look at each value.

    One that is infinite or NaN makes the result so, and then the source runs the odd functions, which look at each.
    """
    from sqlglot import exp

    sums = [total.this for column in tree.selects for total in column.find_all(exp.Sum, exp.Avg)]
    names = {value.name for value in sums if isinstance(value, exp.Column)}
    for node in list(tree.find_all(exp.Anonymous)):
        if node.name == "number_of" and node.parent.alias_or_name in names:
            node.replace(exp.Cast(this=node.expressions[0], to=exp.DataType.build("DOUBLE")))


def _average_by_sum(tree: Any) -> None:
    """Write the average of what is summed, too, as that sum by the count; all of these values are doubles."""
    from sqlglot import exp

    sums = [total.this for total in tree.find_all(exp.Sum)]
    for average in list(tree.find_all(exp.Avg)):
        if average.this in sums:
            count = exp.Count(this=average.this.copy())
            average.replace(exp.Div(this=exp.Sum(this=average.this), expression=count, typed=True, safe=False))


def _avoid_dictionaries(tree: Any) -> None:
    """Write that a column is on one side of an instant as that it is missing or so, and that it is not missing."""
    from sqlglot import exp

    for where in tree.find_all(exp.Where):
        conditions = list(where.this.flatten()) if isinstance(where.this, exp.And) else [where.this]
        present = {}
        for at, one in enumerate(conditions):
            column = one.this
            is_side = isinstance(one, exp.LT | exp.GTE) and one.expression.name in ("instant", "wall")
            if is_side and isinstance(column, exp.Column):
                missing = exp.Is(this=column, expression=exp.Null())
                conditions[at] = exp.or_(missing, one)
                present[column] = exp.not_(missing)
        if present:
            where.set("this", exp.and_(*conditions, *present.values()))


def _lay_out(tree: Any, dialect: Dialect, write: Callable[[Any], str]) -> str:
    """Return *tree* as SQL with a line for each clause."""
    from sqlglot import exp

    def write_clauses(node: Any) -> list[str]:
        if isinstance(node, exp.Union):
            return [*write_clauses(node.left), "UNION ALL", *write_clauses(node.right)]
        clauses = [one for one in node.args.values() if hasattr(one, "sql")]
        order = (exp.From, exp.Where, exp.Group, exp.Order, exp.Limit, exp.Offset)
        return [
            f"SELECT {', '.join(map(write, node.expressions))}",
            *(write(one).strip() for one in sorted(clauses, key=lambda clause: order.index(type(clause)))),
        ]

    ctes = tree.ctes
    if dialect.inlines_ctes:
        for name in _find_read_often(ctes, write):
            name.this.offset(0, copy=False)
    if ctes:
        ctes[0].parent.pop()
    inside = [f"{cte.alias} AS (\n  " + "\n  ".join(write_clauses(cte.this)) + "\n)" for cte in ctes]
    return "\n".join([*([f"WITH {', '.join(inside)}"] if ctes else []), *write_clauses(tree)])


def _find_read_often(ctes: Sequence[Any], write: Callable[[Any], str]) -> list[Any]:
    """Return the tables with expressions that an engine would compute too often if it copied them into each use.

    Elsewhere an intermediate table would only forbid the engine to share its work among several processes.
    """
    from sqlglot import exp

    found = []
    work: dict[str, int] = {}  # column of the table before → how many operations it takes
    for before, cte in zip([None, *ctes], ctes, strict=False):
        sides = [cte.this.left, cte.this.right] if isinstance(cte.this, exp.Union) else [cte.this]

        def count(one: Any) -> int:
            named = sum(work.get(column.name, 0) for column in one.find_all(exp.Column))  # noqa: B023 - called below
            return named + write(one).count("(")

        def count_all() -> dict[str, int]:
            each = zip(*(side.expressions for side in sides), strict=True)  # noqa: B023 - called below
            return {columns[0].alias_or_name: max(map(count, columns)) for columns in each}

        taken = count_all()
        if before is not None and max(taken.values()) > max(_MOST_WORK, *work.values()):
            found.append(before)
            work = {}
            taken = count_all()
        work = taken
    return found


def _translate(node: Any, dialect: Dialect, write: Callable[[Any], str]) -> Any:
    """Return the dialect's SQL for a function of the common text, as a node that sqlglot does not change."""
    from sqlglot import exp

    if node.name == "field_of" and "field_of" not in dialect.functions:
        struct, name = node.expressions
        _check_name(name.name, dialect)
        return exp.Dot(this=struct, expression=exp.to_identifier(name.name, quoted=True))
    if node.name == "known_of" and "known_of" not in dialect.functions:
        return node.expressions[0]
    if node.name not in dialect.functions and node.name != "path_of":
        raise SourceError(
            f"the query cannot be written for {dialect.name}, which has no {_WORDS.get(node.name, node.name)}"
        )
    arguments = [write(one) for one in node.expressions]
    if node.name == "path_of":
        return exp.Var(this=_write_path(dialect, *arguments))
    if node.name in ("instant", "wall"):
        at = EPOCH + timedelta(microseconds=int(arguments[0]))
        arguments.append(at.replace(tzinfo=None).isoformat(sep=" "))
    return exp.Var(this=dialect.functions[node.name].format(*arguments))


def _write_path(dialect: Dialect, json: str, problem: str, *keys: str) -> str:
    """Return what is at the *keys* of *json*, which has to be an object."""
    first = keys if dialect.joins_keys else keys[:1]
    found = dialect.functions["field_of_json"].format(json, ", ".join(first), problem)
    for key in keys[len(first) :]:
        found = dialect.functions["key_of"].format(found, key)
    return found


def _write_text(text: str, dialect: Dialect) -> str:
    if _PLAIN.fullmatch(text):
        return f"'{text}'"
    try:
        return dialect.functions["hex"].format(text.encode().hex())
    except UnicodeEncodeError:
        raise RecordsError(f"{text!r} is not text that a table can hold") from None


def write_name(parts: Sequence[str], dialect: Dialect) -> str:
    """Return the name with these *parts* in the engine's quotes."""
    from sqlglot import exp

    for part in parts:
        _check_name(part, dialect)
    return ".".join(exp.to_identifier(part, quoted=True).sql(dialect=dialect.name) for part in parts)


def _check_name(name: str, dialect: Dialect) -> None:
    if "${" in name and dialect.name in ("spark", "databricks"):
        raise RecordsError(
            f"the name {name!r} cannot be used: Spark replaces ${{...}} by its own settings, even in quotes; use a "
            "view that gives the column another name, or keep variables in a map",
            column=name,
        )
    if "\0" in name:
        raise RecordsError(f"the name {name!r} holds a zero byte, which no engine accepts", column=name)
