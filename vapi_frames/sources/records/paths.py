"""Where a record may have what the contract calls a column: other names, nested or flat, camelCase or snake_case.

The facts about a record are those of the API's ``GET /call``: it has no ``duration`` (minutes are ``endedAt`` minus
``startedAt``), it calls ``costBreakdown.transcriber`` also ``stt``, and ``costBreakdown.analysisBreakdown`` also
``analysisCostBreakdown``, and it has variables in ``artifact.variableValues``, else in the overrides of an assistant, a
squad or a workflow. What is nested may also be flat, with dots or underscores (``costBreakdown.llm``,
``costBreakdown_llm``), or JSON text. Tables of databases write these names in snake_case, and the vendor's dashboard
exports headers of its own.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from vapi_frames.contract.record_words import OUTPUT, RECORD_COLUMNS, RECORD_GROUPS, RECORD_PATHS
from vapi_frames.contract.vocabulary import CALL_COLUMNS, GROUP_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "CONTAINERS",
    "CONTRACT_COLUMNS",
    "COSTS",
    "DURATION_UNITS",
    "EXPORT_HEADERS",
    "FLAT_COLUMNS",
    "NUMBER_COLUMNS",
    "OUTPUTS",
    "SKIPPED_OUTPUTS",
    "TIME_COLUMNS",
    "VARIABLES_MAP",
    "VARIABLE_ROOTS",
    "CandidatePath",
    "alternate_paths",
    "candidate_paths",
    "column_paths",
    "find_headers",
    "has_creation",
    "is_mixed",
    "name_json",
    "variable_paths",
    "variable_roots",
]

CandidatePath: TypeAlias = tuple[str, tuple[str, ...]]
"""The name of a column that a record may have, and the keys from there into what is nested in it."""

VARIABLE_ROOTS = (
    "variableValues",
    "artifact.variableValues",
    "assistantOverrides.variableValues",
    "squadOverrides.variableValues",
    "workflowOverrides.variableValues",
)
VARIABLES_MAP = "variableValues, converted"
"""The column in which JSON converted to Parquet has a map of the variables; a comma is in no name of an export."""
TIME_COLUMNS = ("createdAt", "startedAt", "endedAt")
DURATION_UNITS = {"durationMs": 60_000.0, "durationSeconds": 60.0, "durationMinutes": 1.0}
"""The columns of a call's own duration, with the unit in the name → units in a minute; the first one there counts."""
OUTPUTS = "structuredOutputs, converted"
"""The flat column of structured outputs: id → name and result, as JSON text; no path of a record."""
SKIPPED_OUTPUTS = "skippedStructuredOutputs, converted"
"""The flat column of the outputs of which the condition was not met: id → name, as JSON text."""
COSTS = "costs"
"""The list of the costs of a call."""
_CONTRACT_NUMBERS = (*(column for column in CALL_COLUMNS if column not in ("id", "duration")), *DURATION_UNITS)
NUMBER_COLUMNS = (*_CONTRACT_NUMBERS, *RECORD_COLUMNS)
CONTRACT_COLUMNS = ("id", *GROUP_COLUMNS, *TIME_COLUMNS, *_CONTRACT_NUMBERS)
"""The columns of a flat record that the contract has words for."""
FLAT_COLUMNS = (*CONTRACT_COLUMNS, *RECORD_GROUPS, *RECORD_COLUMNS, OUTPUTS, SKIPPED_OUTPUTS, "duration")
"""The columns of a flat record. The values of ``duration`` are not used, only whether records have it."""
CONTAINERS = frozenset({"costBreakdown", "cost_breakdown", "artifact", "analysis"})
"""Columns that are objects in the API's records; a table in which one is an object is nested."""

_ALTERNATE_PATHS = {
    "id": ("id", "callId"),
    "costBreakdown.transcriber": ("costBreakdown.transcriber", "costBreakdown.stt"),
    "costBreakdown.analysisBreakdown.summary": (
        "costBreakdown.analysisBreakdown.summary",
        "costBreakdown.analysisCostBreakdown.summary",
    ),
    "durationSeconds": ("durationSeconds", "durationSec"),
    OUTPUTS: ("artifact.structuredOutputs", OUTPUTS),
    SKIPPED_OUTPUTS: ("artifact.skippedStructuredOutputs", SKIPPED_OUTPUTS),
    **RECORD_PATHS,
}
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
EXPORT_HEADERS = {
    "id": "Call ID", "assistantId": "Assistant ID", "squadId": "Squad ID", "customerId": "Customer ID",
    "phoneNumberId": "Phone Number ID", "endedReason": "Ended Reason", "type": "Type", "durationSeconds": "Duration",
    "startedAt": "Started At", "endedAt": "Ended At", "analysis.successEvaluation": "Success Evaluation",
    "cost": "Cost", "createdAt": "Created At", "updatedAt": "Updated At", "customer.number": "Customer Number",
    "phoneCallProvider": "Phone Call Provider",
}  # fmt: skip
_SNAKE_KEYS = frozenset({"variable_values", "success_evaluation", "performance_metrics", "structured_outputs"})
_SURE_HEADERS = frozenset({"Call ID", "Created At", "Ended Reason"})


def _to_snake_case(name: str) -> str:
    return _CAPITAL.sub("_", name).lower()


@lru_cache(None)
def alternate_paths(column: str) -> tuple[str, ...]:
    """Return the dotted paths at which a record may have what the contract calls *column*, the preferred one first.

    Examples:
        >>> alternate_paths("costBreakdown.llmPromptTokens")
        ('costBreakdown.llmPromptTokens', 'cost_breakdown.llmPromptTokens', 'cost_breakdown.llm_prompt_tokens')
    """
    found: list[str] = []
    for path in _ALTERNATE_PATHS.get(column, (column,)):
        first, dot, rest = path.partition(".")
        found += [path, _to_snake_case(first) + dot + rest, _to_snake_case(path)]
    return tuple(dict.fromkeys(found))


@lru_cache(None)
def variable_roots() -> tuple[str, ...]:
    """Return the dotted paths of objects that hold variables, the preferred one first."""
    return (*(path for root in VARIABLE_ROOTS for path in alternate_paths(root)), VARIABLES_MAP)


@lru_cache(4096)
def candidate_paths(path: str, key: str | None = None) -> tuple[CandidatePath, ...]:
    """Return where a record may have *path*, or the variable *key* below it: dotted or nested, else with underscores.

    Examples:
        >>> candidate_paths("costBreakdown.llm")
        (('costBreakdown.llm', ()), ('costBreakdown', ('llm',)), ('costBreakdown_llm', ()))
        >>> candidate_paths("variableValues", "my.key")
        (('variableValues.my.key', ()), ('variableValues', ('my.key',)), ('variableValues_my.key', ()))
    """
    parts = (*path.split("."), *(() if key is None else (key,)))
    dotted = [(".".join(parts[:cut]), parts[cut:]) for cut in range(len(parts), 0, -1)]
    underscored = [("_".join(parts[:cut]), parts[cut:]) for cut in range(len(parts), 1, -1)]
    return (*dotted, *underscored)


def is_mixed(name: str, keys: Sequence[str]) -> bool:
    """Return whether a path has snake_case in an object with the same name in both spellings, as in no known table."""
    return name in ("artifact", "analysis") and bool(keys) and keys[0] in _SNAKE_KEYS


@lru_cache(None)
def column_paths(column: str) -> tuple[CandidatePath, ...]:
    """Return where a record may have *column*, the preferred place first; of an output, all the outputs."""
    column = OUTPUTS if column.startswith(OUTPUT) else column
    found = (one for path in alternate_paths(column) for one in candidate_paths(path) if not is_mixed(*one))
    return tuple(dict.fromkeys(found))


def variable_paths(key: str) -> tuple[CandidatePath, ...]:
    """Return where a record may have the variable *key*, the preferred place first."""
    found = (one for root in variable_roots() for one in candidate_paths(root, key) if not is_mixed(*one))
    return tuple(dict.fromkeys(found))


def find_headers(names: Sequence[str] | Iterable[str]) -> dict[str, str]:
    """Return column of the API → header, where *names* are the headers of the vendor's dashboard; else nothing.

    They are known by their set, because a single ``Duration`` or ``Cost`` says little.

    Examples:
        >>> find_headers(["Call ID", "Created At", "Ended Reason", "Duration"])["durationSeconds"]
        'Duration'
        >>> find_headers(["Duration", "Cost"])
        {}
    """
    present = frozenset(names)
    if not present >= _SURE_HEADERS:
        return {}
    return {column: header for column, header in EXPORT_HEADERS.items() if header in present}


def has_creation(names: Iterable[object]) -> bool:
    """Return whether columns of these *names* say when calls were created, under a name that is known.

    Examples:
        >>> has_creation(["id", "created_at"]), has_creation(["id", "when"])
        (True, False)
    """
    present = frozenset(name for name in names if isinstance(name, str))
    is_named = any(path in present for path, keys in column_paths("createdAt") if not keys)
    return is_named or "createdAt" in find_headers(present)


def name_json(path: str) -> str:
    """Return the column in which converted records have what is at *path*, as JSON text; a comma is in no name.

    Examples:
        >>> name_json("artifact.transcript")
        'artifact.transcript, JSON'
    """
    return f"{path}, JSON"
