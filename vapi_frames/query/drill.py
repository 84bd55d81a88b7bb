"""What a drill asks for: a query, and what to show of each call that it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vapi_frames.contract.record_words import OUTPUT
from vapi_frames.errors import QueryError, UnknownWordError, format_value
from vapi_frames.query.aggregation import VARIABLE

if TYPE_CHECKING:
    from vapi_frames.query.query import Query

__all__ = ["DRILL_COLUMNS", "Drill", "find_variable", "make_drill"]

DRILL_COLUMNS = (
    "id", "createdAt", "startedAt", "endedAt", "duration", "cost", "endedReason", "status", "type", "assistantId",
)  # fmt: skip
"""The columns of a call that are shown unless others are named; none is personal."""
_ROOT = "variableValues."
_MOST = 2**31 - 2  # the limit of a statement is a number of 32 bits in Spark


@dataclass(frozen=True, slots=True)
class Drill:
    """A query, and what to show of each call that it counts.

    Attributes:
        query: The query.
        columns: The columns of a call, without those that are levels of the query's index.
        is_named: Whether the caller named them; of the others, those that the records lack are missing.
        limit: How many calls at most; ``None`` for all.
    """

    query: Query[Any]
    columns: tuple[str, ...]
    is_named: bool = False
    limit: int | None = None


def make_drill(query: Query[Any], columns: object = None, limit: object = None) -> Drill:
    """Return the drill of *query*.

    Raises:
        QueryError: The query counts no calls, or an argument is wrong.
        UnknownWordError: The query measures concurrency.
    """
    if query.table != "call":
        raise QueryError(
            "drill shows the calls that a query counts, and a query of the subscription counts none: "
            'use vq.call(), e.g. vq.call().sum("duration").drill()'
        )
    for one in query.measures:
        if one.column == "concurrency":
            raise QueryError(
                f"drill cannot show the calls behind {one.code}: concurrency is of calls that were active "
                "together, whenever they were created. Drill a query of calls, e.g. vq.call().count().drill()"
            )
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise QueryError(
            f"limit must be a whole number from 1, or None for all calls, not {format_value(limit)}: "
            "e.g. drill(limit=100_000)"
        )
    if columns is None:
        # The values of a group that are counted may be personal, as numbers of customers are.
        measured = (one.column for one in query.measures if one.operation != "nunique")
        names = list(dict.fromkeys((*DRILL_COLUMNS, *measured)))
    else:
        names = _check_columns(columns)
    levels = {*query.levels, *(f"{OUTPUT}{name}" for name in query.outputs)}
    shown = [name for name in names if name not in levels and find_variable(name) not in query.variables]
    return Drill(query, tuple(shown), columns is not None, None if limit is None else min(limit, _MOST))


def find_variable(column: str) -> str | None:
    """Return the key of the variable that *column* names, ``None`` for any other column.

    Examples:
        >>> find_variable("variable.plan"), find_variable("variableValues.plan"), find_variable("cost")
        ('plan', 'plan', None)
    """
    for prefix in (VARIABLE, _ROOT):
        if column.startswith(prefix) and column != prefix:
            return column.removeprefix(prefix)
    return None


def _check_columns(columns: object) -> list[str]:
    if isinstance(columns, str):
        raise QueryError(f"columns must be a list of names, not text: columns=[{columns!r}]")
    if not isinstance(columns, list | tuple) or not columns:
        raise QueryError(
            f"columns must be a list of columns of a call record, not {format_value(columns)}: "
            'e.g. columns=["id", "cost", "artifact.transcript"]'
        )
    for at, name in enumerate(columns):
        if not isinstance(name, str) or not all(name.split(".")):
            raise QueryError(
                f'a column is a path in a call record, such as "artifact.transcript", not {format_value(name)}'
            )
        if name == "concurrency":
            raise UnknownWordError(name, "column of a call", DRILL_COLUMNS, hint="No single call has a concurrency.")
        if name in columns[:at]:
            raise QueryError(f"columns has {name!r} twice: name each column once")
    return list(columns)
