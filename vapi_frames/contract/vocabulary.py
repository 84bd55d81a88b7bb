"""The words of the contract, and the table of measures.

The words are the enumerations of the published ``POST /analytics`` reference. The table of measures is the only place
that knows the unit of a measure, its name, its table, what an absent row means, and how it adds up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

from vapi_frames.contract.record_words import (
    LATENCIES,
    OUTPUT,
    PERSONAL_GROUPS,
    RECORD_COLUMN_SYNONYMS,
    RECORD_COLUMNS,
    RECORD_COST_PARTS,
    RECORD_GROUP_SYNONYMS,
    RECORD_GROUPS,
    get_record_unit,
    is_record_column,
)
from vapi_frames.errors import QueryError, format_value, require

if TYPE_CHECKING:
    from collections.abc import Container

Table: TypeAlias = Literal["call", "subscription"]
GroupColumn: TypeAlias = Literal["type", "assistantId", "endedReason", "analysis.successEvaluation", "status"]
Step: TypeAlias = Literal[
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "decade",
    "century",
    "millennium",
]
Operation: TypeAlias = Literal["sum", "avg", "count", "min", "max", "history"]
RecordOperation: TypeAlias = Literal["median", "quantile", "nunique"]  # beyond the contract: of call records only
CallColumn: TypeAlias = Literal[
    "id",
    "cost",
    "costBreakdown.llm",
    "costBreakdown.stt",
    "costBreakdown.tts",
    "costBreakdown.vapi",
    "costBreakdown.transport",
    "costBreakdown.analysisBreakdown.summary",
    "costBreakdown.transcriber",
    "costBreakdown.ttsCharacters",
    "costBreakdown.llmPromptTokens",
    "costBreakdown.llmCompletionTokens",
    "costBreakdown.llmCachedPromptTokens",
    "duration",
]
SubscriptionColumn: TypeAlias = Literal["concurrency", "minutesUsed"]
Column: TypeAlias = Literal[CallColumn, SubscriptionColumn]
Fill: TypeAlias = Literal["zero", "missing", "carry"]
Additivity: TypeAlias = Literal["sum", "min", "max", "weighted", "none"]
AnsweredBy: TypeAlias = Literal["contract", "records"]

TABLES: tuple[str, ...] = get_args(Table)
GROUP_COLUMNS: tuple[str, ...] = get_args(GroupColumn)
STEPS: tuple[str, ...] = get_args(Step)
OPERATIONS: tuple[str, ...] = get_args(Operation)
RECORD_OPERATIONS: tuple[str, ...] = get_args(RecordOperation)
CALL_COLUMNS: tuple[str, ...] = get_args(CallColumn)
SUBSCRIPTION_COLUMNS: tuple[str, ...] = get_args(SubscriptionColumn)
COLUMNS: tuple[str, ...] = CALL_COLUMNS + SUBSCRIPTION_COLUMNS

COST_PARTS: tuple[CallColumn, ...] = (
    "costBreakdown.llm",
    "costBreakdown.stt",
    "costBreakdown.tts",
    "costBreakdown.vapi",
    "costBreakdown.transport",
    "costBreakdown.analysisBreakdown.summary",
)
"""The columns that add up to ``cost``."""
_COST_PART_ALIASES: dict[CallColumn, CallColumn] = {"costBreakdown.stt": "costBreakdown.transcriber"}

NAME_LIMIT = 40  # characters of a query's name, and of an alias
KEY_LIMIT = 100  # characters of a variable's key

BASE_URL = "https://api.vapi.ai"

# Other words that people type, for "did you mean".
STEP_SYNONYMS = {
    "s": "second", "sec": "second", "1s": "second", "secondly": "second", "seconds": "second",
    "min": "minute", "1min": "minute", "minutes": "minute",
    "h": "hour", "1h": "hour", "hourly": "hour", "hours": "hour",
    "d": "day", "1d": "day", "daily": "day", "days": "day", "date": "day",
    "w": "week", "1w": "week", "w-mon": "week", "weekly": "week", "weeks": "week",
    "mo": "month", "ms": "month", "me": "month", "monthly": "month", "months": "month",
    "q": "quarter", "qs": "quarter", "quarterly": "quarter", "quarters": "quarter",
    "y": "year", "ys": "year", "annual": "year", "yearly": "year", "years": "year",
    "decades": "decade", "centuries": "century", "millennia": "millennium", "millenium": "millennium",
}  # fmt: skip
_COST_PART_WORDS = {
    **{part.rpartition(".")[2].casefold(): part for part in (*COST_PARTS, *RECORD_COST_PARTS)},
    "transcriber": "costBreakdown.transcriber",
    "model": "costBreakdown.llm", "languagemodel": "costBreakdown.llm",
    "voice": "costBreakdown.tts", "voices": "costBreakdown.tts", "texttospeech": "costBreakdown.tts",
    "synthesis": "costBreakdown.tts",
    "transcription": "costBreakdown.stt", "transcript": "costBreakdown.stt", "speech": "costBreakdown.stt",
    "speechtotext": "costBreakdown.stt", "asr": "costBreakdown.stt",
    "telephony": "costBreakdown.transport", "telephone": "costBreakdown.transport", "phone": "costBreakdown.transport",
    "twilio": "costBreakdown.transport", "carrier": "costBreakdown.transport",
    "platform": "costBreakdown.vapi", "voicemail": "costBreakdown.voicemailDetection",
    "summaries": "costBreakdown.analysisBreakdown.summary",
}  # fmt: skip
_COST_PART_FORMS = (
    "{}",
    "costbreakdown.{}",
    "cost.{}",
    "costbreakdown.{}cost",
    "costbreakdown{}",
    "cost{}",
    "{}cost",
    "{}costs",
)
COLUMN_SYNONYMS = {
    **{form.format(word): part for word, part in _COST_PART_WORDS.items() for form in _COST_PART_FORMS},
    "spend": "cost", "costs": "cost", "price": "cost", "total": "cost",
    "minutes": "duration", "seconds": "duration", "length": "duration",
    "call": "id", "calls": "id", "callid": "id",
    "characters": "costBreakdown.ttsCharacters", "concurrent": "concurrency",
    **RECORD_COLUMN_SYNONYMS,
}  # fmt: skip
GROUP_SYNONYMS = {
    "assistant": "assistantId", "assistants": "assistantId", "agent": "assistantId",
    "reason": "endedReason", "endreason": "endedReason", "ended": "endedReason",
    "success": "analysis.successEvaluation", "successevaluation": "analysis.successEvaluation",
    "calltype": "type", "direction": "type", "state": "status",
    **RECORD_GROUP_SYNONYMS,
}  # fmt: skip
OPERATION_SYNONYMS = {"mean": "avg", "average": "avg", "total": "sum", "size": "count"}


@dataclass(frozen=True, slots=True)
class Measure:
    """The facts about one operation on one column.

    Attributes:
        operation: The contract's operation, or one beyond it.
        column: The contract's column, or one of call records; of ``nunique``, a word to group by.
        name: The API's own default name of the result, e.g. ``sumCostBreakdownLlm``.
        unit: The unit of the result, ``""`` if it has no meaning.
        tables: The tables it has a known meaning on.
        fill: What an absent row means: ``zero``, ``missing``, or ``carry`` (missing, unless the user asks to carry the
            last value forward).
        over_time: How it re-aggregates to a coarser step; ``weighted`` is from average and count.
        over_groups: How it re-aggregates to fewer groups.
        answered_by: ``contract`` if the API and call records can answer it, ``records`` if call records alone can.
    """

    operation: Operation | RecordOperation
    column: Column
    name: str
    unit: str
    tables: tuple[Table, ...]
    fill: Fill
    over_time: Additivity
    over_groups: Additivity
    answered_by: AnsweredBy = "contract"


_MINUTES_PER = {"min": 1.0, "s": 1 / 60, "h": 60.0}
TIME_UNITS = tuple(_MINUTES_PER)
_TIME_COLUMNS = ("duration", "minutesUsed")


def check_units(units: Mapping[str, str] | None) -> dict[str, str]:
    """Return *units*, column → unit: the units of a source with times that are not in minutes.

    Raises:
        QueryError: *units* is not a mapping.
        UnknownWordError: There is no such column, or no such unit.
    """
    if units is not None and not isinstance(units, Mapping):
        raise QueryError(f"units must be a mapping such as {{'duration': 's'}}, not {format_value(units)}")
    for column, unit in (units or {}).items():
        require(column, _TIME_COLUMNS, "column with a unit of time", synonyms=COLUMN_SYNONYMS)
        require(unit, TIME_UNITS, "unit", synonyms={"seconds": "s", "sec": "s", "minutes": "min", "hours": "h"})
    return dict(units or {})


def minutes_per(unit: str) -> float:
    """Return the minutes of one *unit* of time, 1 for any other unit.

    Examples:
        >>> minutes_per("h"), minutes_per("min"), minutes_per("USD")
        (60.0, 1.0, 1.0)
    """
    return _MINUTES_PER.get(unit, 1.0)


def select_cost_parts(available: Container[str]) -> tuple[CallColumn, ...]:
    """Return the parts of ``cost``, with ``costBreakdown.transcriber`` for ``.stt`` if only it is *available*.

    Examples:
        >>> select_cost_parts({"costBreakdown.transcriber"})[:2]
        ('costBreakdown.llm', 'costBreakdown.transcriber')
    """
    aliases: dict[CallColumn, CallColumn] = {
        part: alias for part, alias in _COST_PART_ALIASES.items() if part not in available and alias in available
    }
    return tuple(aliases.get(part, part) for part in COST_PARTS)


def get_unit(column: str) -> str:
    """Return the unit of *column*'s own values.

    Examples:
        >>> get_unit("cost"), get_unit("duration"), get_unit("costBreakdown.ttsCharacters")
        ('USD', 'min', 'characters')
    """
    if column in _TIME_COLUMNS:
        return "min"
    if column == "id":
        return ""
    if column == "concurrency":
        return "calls at once"
    if is_record_column(column):
        return get_record_unit(column)
    if column.endswith("Tokens"):
        return "tokens"
    return "characters" if column.endswith("Characters") else "USD"


def is_public_group(name: str) -> bool:
    """Return whether *name* is a group column with values that may stand in a message: none tells who called.

    Examples:
        >>> is_public_group("assistantId"), is_public_group("customer.number"), is_public_group("variable.plan")
        (True, False, False)
    """
    return name in (*GROUP_COLUMNS, *RECORD_GROUPS) and name not in PERSONAL_GROUPS


@lru_cache(maxsize=1024)
def default_name(operation: str, column: str) -> str:
    """Return the API's own name of *operation* of *column*, which it uses without an alias.

    Examples:
        >>> default_name("sum", "costBreakdown.llm")
        'sumCostBreakdownLlm'
    """
    return operation + "".join(part[:1].upper() + part[1:] for part in column.split("."))


def format_quantile(q: float) -> str:
    """Return the first part of the name of a quantile: percent without the dot, with two digits at least.

    Examples:
        >>> [format_quantile(q) for q in (0.05, 0.5, 0.95, 0.999)]
        ['p05', 'p50', 'p95', 'p999']
    """
    whole, _, rest = f"{Decimal(repr(q)) * 100:f}".partition(".")
    return f"p{whole:0>2}{rest.rstrip('0')}"


def _get_record_measure(operation: RecordOperation, column: Column) -> Measure:
    """Return the row for an operation beyond the contract; none of them re-aggregates."""
    is_count = operation == "nunique"
    table: Table = "subscription" if column in SUBSCRIPTION_COLUMNS else "call"
    return Measure(
        operation=operation,
        column=column,
        name=default_name("p50" if operation == "quantile" else operation, column),
        unit="values" if is_count else get_unit(column),
        tables=() if column in ("id", "concurrency") else (table,),
        fill="zero" if is_count else "missing",
        over_time="none",
        over_groups="none",
        answered_by="records",
    )


@lru_cache(maxsize=1024)  # of the words of a caller's variables there may be many
def get_measure(operation: Operation | RecordOperation, column: Column) -> Measure:
    """Return the row of the table of measures for *operation* on *column*.

    Examples:
        >>> get_measure("avg", "duration").over_time
        'weighted'
        >>> get_measure("max", "concurrency").over_groups
        'none'
    """
    if operation in ("median", "quantile", "nunique"):
        return _get_record_measure(operation, column)
    table: Table = "subscription" if column in SUBSCRIPTION_COLUMNS else "call"
    has_meaning = operation == "count" if column == "id" else operation != "history" or column == "concurrency"
    if column == "concurrency" and operation in ("sum", "count"):
        has_meaning = False  # a level: its sum and the number of its samples mean nothing
    if operation == "sum" and (column in LATENCIES or column.startswith(OUTPUT)):
        has_meaning = False  # a latency is the average of a call already; scores do not add up
    fill: Fill = "zero" if operation in ("sum", "count") else "missing"
    over_time: Additivity = "none"
    if operation in ("sum", "count"):
        over_time = "sum"
    elif operation == "avg":
        over_time = "weighted"
    elif operation == "min":
        over_time = "min"
    elif operation == "max":
        over_time = "max"
    over_groups = over_time
    if column == "concurrency":
        # Peaks nest in time, but the peaks of two assistants need not coincide, and samples are not evenly spaced.
        fill, over_groups = "carry", "none"
        over_time = over_time if operation in ("min", "max") else "none"
    if not has_meaning:
        over_time = over_groups = "none"
    unit = "calls" if operation == "count" else get_unit(column)
    return Measure(
        operation=operation,
        column=column,
        name=default_name(operation, column),
        unit=unit if has_meaning else "",
        tables=(table,) if has_meaning else (),
        fill=fill,
        over_time=over_time,
        over_groups=over_groups,
        answered_by="records" if is_record_column(column) else "contract",
    )


MEASURES: tuple[Measure, ...] = tuple(
    get_measure(operation, column)
    for column in get_args(CallColumn) + get_args(SubscriptionColumn)
    for operation in get_args(Operation)
)
"""The measures that the contract has words for."""
RECORD_MEASURES: tuple[Measure, ...] = tuple(
    get_measure(operation, cast("Column", column))
    for column in RECORD_COLUMNS
    for operation in (*get_args(Operation), "median", "quantile")
    if operation != "history"
)
"""The measures of columns that only call records have."""
