"""The measures of a query, the checks of its words, and how a measure is re-aggregated."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

from vapi_frames.contract.record_words import (
    OUTPUT,
    RECORD_COLUMNS,
    RECORD_GROUPS,
    RECORD_SPELLINGS,
    OutputColumn,
    is_record_column,
)
from vapi_frames.contract.vocabulary import (
    COLUMN_SYNONYMS,
    COLUMNS,
    GROUP_COLUMNS,
    GROUP_SYNONYMS,
    KEY_LIMIT,
    NAME_LIMIT,
    OPERATION_SYNONYMS,
    OPERATIONS,
    RECORD_OPERATIONS,
    default_name,
    format_quantile,
    get_measure,
)
from vapi_frames.errors import NonAdditiveError, QueryError, UnknownWordError, format_value, require

if TYPE_CHECKING:
    from typing import Any, Literal

    from vapi_frames.contract.vocabulary import Column, Measure, Operation, RecordOperation

__all__ = [
    "VARIABLE",
    "Aggregation",
    "Reaggregation",
    "check_groups",
    "check_outputs",
    "check_quantile",
    "check_separate",
    "check_text",
    "check_unique",
    "check_variables",
    "find_reaggregation",
    "output",
    "read_pair",
    "with_counts",
    "with_measures",
]

_MOST_SHOWN = 8  # words that a message repeats as a line to type
_TOO_LARGE = 10**6  # for a quantile in percent, of whole numbers that no float holds
VARIABLE = "variable."  # before the key of a variable, where a group column may stand, too


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One measure of a query.

    Attributes:
        operation: The contract's operation, or one beyond it.
        column: The contract's column, or one of call records; of ``nunique``, a word to group by.
        alias: Its alias; ``None`` for the API's own name.
        q: Of a quantile, which one, from 0 to 1.
    """

    operation: Operation | RecordOperation
    column: Column
    alias: str | None = None
    q: float | None = None

    @property
    def name(self) -> str:
        """The name of its column on the frame."""
        return self.alias or default_name(self.operation if self.q is None else format_quantile(self.q), self.column)

    @property
    def code(self) -> str:
        """The call that adds it to a query, without an alias, e.g. ``quantile("duration", 0.95)``."""
        return f'{self.operation}("{self.column}"{"" if self.q is None else f", {self.q!r}"})'

    @property
    def beyond_contract(self) -> str | None:
        """The word or the call that the API's contract has no word for."""
        if self.operation in RECORD_OPERATIONS:
            return self.code
        return self.column if is_record_column(self.column) else None

    @property
    def wire_name(self) -> str:
        """The alias that the API receives: the name, shortened if it is longer than the contract allows."""
        name = self.name
        if len(name) <= NAME_LIMIT:
            return name
        return f"{name[:31]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"

    @property
    def measure(self) -> Measure:
        """Its row of the table of measures."""
        return get_measure(self.operation, self.column)


def check_text(value: object, what: str, limit: int | None) -> None:
    """Raise `QueryError` unless *value* is text that the contract allows."""
    if not isinstance(value, str) or not value:
        raise QueryError(f"{what} must be non-empty text, not {format_value(value)}")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise QueryError(f"{what} {format_value(value)} contains half of a surrogate pair, which JSON cannot carry")
    if limit is not None and len(value) > limit:
        raise QueryError(f"{what} {format_value(value)} has {len(value)} characters; the contract allows {limit}")


def check_unique(one: Aggregation, measures: tuple[Aggregation, ...]) -> None:
    """Raise `QueryError` if *one* repeats a measure, or if its name is taken."""
    if one in measures:
        raise QueryError(f"{one.code} is already in the query; add each measure once")
    if any(one.name == other.name for other in measures):
        raise QueryError(f"two measures are named {one.name!r}; give one of them another alias")
    if one.name in ("date", *GROUP_COLUMNS):
        raise QueryError(f"alias {one.name!r} is the name of an index level; choose another alias")


def read_pair(alias: str, pair: Any) -> tuple[Any, Operation | RecordOperation, float | None]:
    """Return the column, the operation and the quantile of *pair*, the argument called *alias*; ``mean`` is ``avg``."""
    match pair:
        case tuple((column, str("quantile" as word), q)):
            pass
        case tuple((column, str("quantile" as word))):
            q = 0.5
        case tuple((column, str("mean"))):
            word, q = "avg", None
        case tuple((column, word)):
            q = None
        case _:
            raise QueryError(
                f'{alias}={format_value(pair)} is not a pair (column, operation); e.g. {alias}=("cost", "sum"), or '
                f'{alias}=("duration", "quantile", 0.95)'
            )
    require(word, (*OPERATIONS, *RECORD_OPERATIONS), "operation", synonyms=OPERATION_SYNONYMS)
    return column, cast("Operation", word), q


def check_quantile(q: object) -> float:
    """Return *q* as a number from 0 to 1.

    Raises:
        QueryError: It is none.
    """
    number = float(q) if isinstance(q, int | float) and not isinstance(q, bool) and abs(q) < _TOO_LARGE else math.nan
    if not 0 <= number <= 1:
        cure = f", e.g. {number / 100:g} for {number:g} percent" if 1 < number <= 100 else ""  # noqa: PLR2004 - a percentage
        raise QueryError(f"a quantile must be a number from 0 to 1, not {format_value(q)}{cure}")
    return number


def _check_column(operation: Operation | RecordOperation, column: object) -> Column:
    """Return the word for *column*, which may have the record's own spelling.

    Raises:
        QueryError: *operation* does not take it.
    """
    if isinstance(column, str) and operation != "nunique":
        column = RECORD_SPELLINGS.get(column, column)
    hint = ""
    if isinstance(column, str) and column[:1].isupper() and "." not in column:  # as no column does
        hint = f'The numbers of a structured output are "{OUTPUT}{column}".'
    if isinstance(column, str) and column.startswith(OUTPUT):
        check_text(column.removeprefix(OUTPUT), "output name", None)
    elif operation == "nunique":
        if isinstance(column, str) and column.startswith(VARIABLE):
            check_text(column.removeprefix(VARIABLE), "variable key", KEY_LIMIT)
        elif not isinstance(column, str) or column not in (*GROUP_COLUMNS, *RECORD_GROUPS):
            allowed = (*GROUP_COLUMNS, *RECORD_GROUPS, f"{VARIABLE}<key>", f"{OUTPUT}<name>")
            raise UnknownWordError(column, "group to count the values of", allowed, synonyms=GROUP_SYNONYMS)
    elif operation in RECORD_OPERATIONS:
        numbers = [one for one in (*COLUMNS, *RECORD_COLUMNS) if one not in ("id", "concurrency")]
        require(column, (*numbers, f"{OUTPUT}<name>"), "measured column", synonyms=COLUMN_SYNONYMS, hint=hint)
    else:
        require(column, (*COLUMNS, *RECORD_COLUMNS, f"{OUTPUT}<name>"), "column", synonyms=COLUMN_SYNONYMS, hint=hint)
    word = cast("Column", column)
    if is_record_column(word) and not get_measure(operation, word).tables:
        legal = [one for one in (*OPERATIONS, "median", "quantile") if get_measure(one, word).tables]
        raise QueryError(f'{operation}("{word}") has no meaning; of this column there are {", ".join(legal)}')
    return word


def with_measures(
    measures: tuple[Aggregation, ...], operation: Operation | RecordOperation, columns: Sequence[str],
    alias: str | None, q: float | None = None,
) -> tuple[Aggregation, ...]:  # fmt: skip
    """Return *measures* and *operation* of each of *columns*; an *alias* names a single one."""
    if not columns:
        words = (*GROUP_COLUMNS, *RECORD_GROUPS) if operation == "nunique" else (*COLUMNS, *RECORD_COLUMNS)
        example = "assistantId" if operation == "nunique" else "cost"
        raise QueryError(f'{operation}() needs a column, e.g. {operation}("{example}"); columns: {", ".join(words)}')
    if alias is not None:
        if len(columns) > 1:
            raise QueryError(f"alias {alias!r} cannot name {len(columns)} measures; call .{operation}() once for each")
        check_text(alias, "alias", None)
    for column in columns:
        check_separate(column, "column", operation)
        one = Aggregation(operation, _check_column(operation, column), alias, q)
        check_unique(one, measures)
        measures = (*measures, one)
    return measures


def output(name: str) -> OutputColumn:
    """Return the word for a structured output in measures and filters: ``output.`` and its *name*.

    The plain text does the same. A type checker does not take it for a column, because it knows no names of outputs;
    it takes this word, and still finds a misspelled column.

    Args:
        name: The name of an output; or of an output, a dot and a field of its result, where no output has that name.

    Raises:
        QueryError: *name* is not text.

    Examples:
        >>> import vapi_frames as vf
        >>> vf.vq.call().avg(vf.output("CSAT")).where({vf.output("Call Outcome"): "resolved"})
        vq.call().avg("output.CSAT").where({"output.Call Outcome": "resolved"})
    """
    check_text(name, "output name", None)
    return OutputColumn(f"{OUTPUT}{name}")


def check_separate(word: object, kind: str, verb: str) -> None:
    """Raise `UnknownWordError` where *word* is a collection: *verb* takes each word as its own argument."""
    if isinstance(word, Iterable) and not isinstance(word, str | bytes):
        words = list(word) if isinstance(word, Sequence) and len(word) <= _MOST_SHOWN else []
        is_text = bool(words) and all(isinstance(one, str) for one in words)
        line = ", ".join(json.dumps(one, ensure_ascii=False) for one in words) if is_text else "*words"
        raise UnknownWordError(word, kind, (), hint=f"Pass each as its own argument: .{verb}({line}).")


def check_groups(columns: Sequence[str], groups: Sequence[str]) -> None:
    """Raise `QueryError` unless all *columns* are group columns that are new and differ from each other."""
    for position, column in enumerate(columns):
        check_separate(column, "group column", "by")
        hint = (
            "Pass each as its own argument; for a variable of the calls use .by_variable(key), for a structured output "
            ".by_output(name)."
        )
        for prefix, verb in ((VARIABLE, "by_variable"), (OUTPUT, "by_output")):
            if isinstance(column, str) and column.startswith(prefix):
                hint = f'Group by it with .{verb}("{column.removeprefix(prefix)}").'
        require(column, (*GROUP_COLUMNS, *RECORD_GROUPS), "group column", synonyms=GROUP_SYNONYMS, hint=hint)
        if column in groups or column in columns[:position]:
            raise QueryError(f"the query already groups by {column!r}; add each group once")


def check_variables(keys: Sequence[str], variables: Sequence[str]) -> None:
    """Raise `QueryError` unless all *keys* are keys of variables that are new and differ from each other."""
    for position, key in enumerate(keys):
        check_separate(key, "variable key", "by_variable")
        check_text(key, "variable key", KEY_LIMIT)
        if key in variables or key in keys[:position]:
            raise QueryError(f"the query already groups by variable {key!r}; add each variable once")


def check_outputs(names: Sequence[str], outputs: Sequence[str]) -> None:
    """Raise `QueryError` unless all *names* are names of outputs that are new and differ from each other."""
    for position, name in enumerate(names):
        check_separate(name, "output name", "by_output")
        check_text(name, "output name", None)
        if name in outputs or name in names[:position]:
            raise QueryError(f"the query already groups by output {name!r}; add each output once")


def with_counts(measures: tuple[Aggregation, ...]) -> tuple[Aggregation, ...]:
    """Return *measures* and, after each average, the count of the same column, unless it is already there."""
    counts = {one.column for one in measures if one.operation == "count"}
    found: list[Aggregation] = []
    for one in measures:
        found.append(one)
        if one.operation == "avg" and one.column not in counts:
            counts.add(one.column)
            found.append(Aggregation("count", one.column))
    return tuple(found)


class Reaggregation(NamedTuple):
    """How a column of coarser rows is computed from finer rows.

    Attributes:
        name: The column.
        rule: ``weighted`` is an average: from the count, and the sum or else the finer averages.
        total: For an average, the column of its sum, if there is one.
        counts: For an average, the column of its count.
    """

    name: str
    rule: Literal["sum", "min", "max", "weighted"]
    total: str | None = None
    counts: str | None = None


def find_reaggregation(
    one: Aggregation, others: Iterable[Aggregation], *, over_time: bool, over_groups: bool
) -> Reaggregation:
    """Return how to compute *one* from finer rows that also have the measures *others*.

    Raises:
        NonAdditiveError: It cannot be computed exactly. The message says why; the caller adds what to do instead.

    Examples:
        >>> from vapi_frames.query.aggregation import Aggregation
        >>> avg, count = Aggregation("avg", "duration"), Aggregation("count", "duration")
        >>> find_reaggregation(avg, [avg, count], over_time=True, over_groups=False)
        Reaggregation(name='avgDuration', rule='weighted', total=None, counts='countDuration')
    """
    rules = {one.measure.over_time} if over_time else set()
    rules |= {one.measure.over_groups} if over_groups else set()
    what = f"{one.name!r} ({one.operation} of {one.column!r})"
    if "none" in rules:
        if one.column == "concurrency" and one.operation in ("min", "max"):
            raise NonAdditiveError(f"{what} does not add up over groups, because their peaks need not coincide")
        raise NonAdditiveError(f"{what} cannot be re-aggregated from finer rows")
    if rules <= {"weighted"}:
        there = {other.operation: other.name for other in others if other.column == one.column}
        if "count" not in there:
            raise NonAdditiveError(
                f"{what} needs the counts of the same column to be re-aggregated, because a mean of means is another "
                "number; .with_counts() adds them to the query"
            )
        return Reaggregation(one.name, "weighted", there.get("sum"), there["count"])
    (rule,) = rules
    assert rule in ("sum", "min", "max")  # noqa: S101 - "none" and "weighted" are handled above
    return Reaggregation(one.name, rule)
