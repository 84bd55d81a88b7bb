"""The common text in the words of one engine: sqlglot writes what all engines have, `dialects` says the rest.

Text of the caller becomes SQL in two forms only: a quoted identifier, or a literal. A literal of anything but plain
characters is written as the hexadecimal digits of its bytes, because what a backslash, a dollar or a percent sign
means in one depends on the engine, on settings of the session and on the driver.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from vapi_frames.errors import MissingExtraError, RecordsError, SourceError
from vapi_frames.sources.warehouse.dialects import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vapi_frames.sources.warehouse.dialects import Dialect

__all__ = ["quoted", "render"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN = re.compile(r"[A-Za-z0-9 _.,:/@#+=()-]*")
_WORDS = frozenset({"field_of", *(word for one in DIALECTS.values() for word in one.words)})


def render(text: str, dialect: Dialect) -> str:
    """Return the common *text* as the engine's.

    Raises:
        SourceError: The engine has no word for something in it.
        RecordsError: A name cannot be written safely.
        MissingExtraError: sqlglot is not installed.
    """
    try:
        import sqlglot
        from sqlglot import exp
        from sqlglot.errors import ErrorLevel, SqlglotError
    except ImportError:
        raise MissingExtraError("warehouse", "sqlglot", "asking a warehouse") from None

    def said(node: Any) -> str:
        return str(node.sql(dialect=dialect.name, unsupported_level=ErrorLevel.RAISE))

    small = sqlglot.Dialect.get_or_raise(dialect.name).NULL_ORDERING == "nulls_are_small"
    try:
        tree = sqlglot.parse_one(text, dialect="duckdb")
        for node in reversed(list(tree.bfs())):  # what is inside first
            around = node.parent.name if isinstance(node.parent, exp.Anonymous) else ""
            if isinstance(node, exp.Anonymous) and node.name in _WORDS:
                node.replace(_said(node, dialect, said))
            elif isinstance(node, exp.Literal) and node.is_string:
                if around != "field_of" or "field_of" in dialect.words:
                    meant = dialect.key(node.name) if around in ("key_of", "json_of") else node.name
                    node.replace(exp.Var(this=_literal(meant, dialect)))
            elif isinstance(node, exp.Identifier):
                _check_name(node.name, dialect)
            elif isinstance(node, exp.Ordered):
                node.set("nulls_first", small)  # nothing that is ordered is ever missing: leave it to the engine
        return _laid_out(tree, dialect, said)
    except SqlglotError as error:
        raise SourceError(f"the question cannot be written for {dialect.name}: {error}") from error


def _laid_out(tree: Any, dialect: Dialect, said: Callable[[Any], str]) -> str:
    """Return *tree* with a line for each clause of each step."""
    from sqlglot import exp

    def clauses(node: Any) -> list[str]:
        if isinstance(node, exp.Union):
            return [*clauses(node.left), "UNION ALL", *clauses(node.right)]
        parts = [one for one in node.args.values() if hasattr(one, "sql")]
        order = (exp.From, exp.Where, exp.Group, exp.Limit, exp.Offset)
        return [
            f"SELECT {', '.join(map(said, node.expressions))}",
            *(said(one).strip() for one in sorted(parts, key=lambda part: order.index(type(part)))),
        ]

    steps = tree.ctes
    for step in steps:
        if dialect.repeats and isinstance(step.this, exp.Select):
            step.this.offset(0, copy=False)
    if steps:
        steps[0].parent.pop()
    inside = [f"{step.alias} AS (\n  " + "\n  ".join(clauses(step.this)) + "\n)" for step in steps]
    return "\n".join([*([f"WITH {', '.join(inside)}"] if steps else []), *clauses(tree)])


def _said(node: Any, dialect: Dialect, said: Callable[[Any], str]) -> Any:
    """Return what *dialect* says for a word, as text that sqlglot leaves alone."""
    from sqlglot import exp

    if node.name == "field_of" and "field_of" not in dialect.words:
        struct, name = node.expressions
        _check_name(name.name, dialect)
        return exp.Dot(this=struct, expression=exp.to_identifier(name.name, quoted=True))
    if node.name not in dialect.words:
        raise SourceError(f"the question cannot be written for {dialect.name}, which has no {node.name}")
    arguments = [said(one) for one in node.expressions]
    if node.name in ("instant", "wall"):
        at = _EPOCH + timedelta(microseconds=int(arguments[0]))
        arguments.append(at.replace(tzinfo=None).isoformat(sep=" "))
    return exp.Var(this=dialect.words[node.name].format(*arguments))


def _literal(text: str, dialect: Dialect) -> str:
    return f"'{text}'" if _PLAIN.fullmatch(text) else dialect.words["hex"].format(_hex(text))


def quoted(parts: Sequence[str], dialect: Dialect) -> str:
    """Return the name made of *parts* as the engine wants it."""
    from sqlglot import exp

    for part in parts:
        _check_name(part, dialect)
    return ".".join(exp.to_identifier(part, quoted=True).sql(dialect=dialect.name) for part in parts)


def _hex(text: str) -> str:
    try:
        return text.encode().hex()
    except UnicodeEncodeError:
        raise RecordsError(f"{text!r} is no text that a table can hold") from None


def _check_name(name: str, dialect: Dialect) -> None:
    if "${" in name and dialect.name in ("spark", "databricks"):
        raise RecordsError(
            f"the name {name!r} cannot be asked for: Spark puts its own settings in the place of ${{...}}, even in "
            "quotes; ask a view that gives the column another name, or keep variables in a map",
            column=name,
        )
    if "\0" in name:
        raise RecordsError(f"the name {name!r} holds a zero byte, which no engine takes", column=name)
