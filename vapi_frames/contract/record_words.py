"""The words beyond the contract: what call records have, and ``POST /analytics`` has no word for.

A word is the path that ``GET /call`` writes, without the containers that hold it there. The record's own spelling is an
alias. Their units and how they add up are in the table of `vapi_frames.contract.vocabulary`.
"""

from __future__ import annotations

from typing import Literal, NewType, TypeAlias, get_args

__all__ = [
    "COST_TYPES",
    "LATENCIES",
    "OUTPUT",
    "PERSONAL_GROUPS",
    "RECORD_COLUMNS",
    "RECORD_COLUMN_SYNONYMS",
    "RECORD_COST_PARTS",
    "RECORD_GROUPS",
    "RECORD_GROUP_SYNONYMS",
    "RECORD_PATHS",
    "RECORD_SPELLINGS",
    "OutputColumn",
    "RecordColumn",
    "RecordGroup",
    "get_record_unit",
    "is_record_column",
]

RecordGroup: TypeAlias = Literal[
    "phoneNumberId",
    "squadId",
    "workflowId",
    "campaignId",
    "customerId",
    "customer.number",
    "phoneCallProvider",
    "phoneCallTransport",
    "name",
]
RecordCostPart: TypeAlias = Literal[
    "costBreakdown.chat",
    "costBreakdown.knowledgeBase",
    "costBreakdown.voicemailDetection",
    "costBreakdown.analysisBreakdown.structuredData",
    "costBreakdown.analysisBreakdown.successEvaluation",
    "costBreakdown.analysisBreakdown.structuredOutput",
]
Latency: TypeAlias = Literal[
    "modelLatency",
    "voiceLatency",
    "transcriberLatency",
    "endpointingLatency",
    "turnLatency",
    "fromTransportLatency",
    "toTransportLatency",
]
_ListedColumn: TypeAlias = Literal[RecordCostPart, Latency, "userInterruptions", "assistantInterruptions"]
OutputColumn = NewType("OutputColumn", str)
"""``output.<name>``, which type checkers take where a misspelled column is an error."""
RecordColumn: TypeAlias = _ListedColumn | OutputColumn

RECORD_GROUPS: tuple[str, ...] = get_args(RecordGroup)
PERSONAL_GROUPS = ("customer.number", "customerId", "name")
"""Those with values that tell who called."""
RECORD_COST_PARTS: tuple[RecordCostPart, ...] = get_args(RecordCostPart)
"""The parts of ``cost`` that the contract has no columns for."""
LATENCIES: tuple[str, ...] = get_args(Latency)
RECORD_COLUMNS: tuple[str, ...] = get_args(_ListedColumn)
OUTPUT = "output."
"""Before the name of a structured output, where a group or a column may stand, too."""

_METRICS = "artifact.performanceMetrics"
_INTERRUPTIONS = {"userInterruptions": "numUserInterrupted", "assistantInterruptions": "numAssistantInterrupted"}
_ANALYSIS = {
    f"costBreakdown.analysisBreakdown.{part}": f"costBreakdown.analysisCostBreakdown.{part}"
    for part in ("structuredData", "successEvaluation", "structuredOutput")
}
RECORD_PATHS: dict[str, tuple[str, ...]] = {
    **{f"costBreakdown.{part}": (f"costBreakdown.{part}", f"costBreakdown.{part}Cost")
       for part in ("chat", "knowledgeBase", "voicemailDetection")},
    **{word: (word, path, f"{word}Cost", f"{path}Cost") for word, path in _ANALYSIS.items()},
    **{word: (f"{_METRICS}.{word}Average", word) for word in LATENCIES},
    **{word: (f"{_METRICS}.{name}", word) for word, name in _INTERRUPTIONS.items()},
}  # fmt: skip
"""Column → the dotted paths at which a record may have it, the preferred one first."""
COST_TYPES: dict[str, tuple[str, str]] = {
    "costBreakdown.chat": ("chat", ""),
    "costBreakdown.knowledgeBase": ("knowledge-base", ""),
    "costBreakdown.voicemailDetection": ("voicemail-detection", ""),
    **{word: ("analysis", word.rpartition(".")[2]) for word in _ANALYSIS},
}
"""Part of the cost → the type, and the type of analysis, of its entries in ``costs``, where a record lacks the part."""
RECORD_SPELLINGS: dict[str, str] = {
    **{path: word for word, paths in RECORD_PATHS.items() for path in paths if path != word},
    "costBreakdown.analysisCostBreakdown.summary": "costBreakdown.analysisBreakdown.summary",
}
"""The record's own spelling of a column → the word for it."""

# Other words that people type, for "did you mean".
RECORD_GROUP_SYNONYMS = {
    "phonenumber": "phoneNumberId", "phone": "phoneNumberId", "squad": "squadId", "workflow": "workflowId",
    "campaign": "campaignId", "customer": "customerId", "customernumber": "customer.number",
    "number": "customer.number", "provider": "phoneCallProvider", "transport": "phoneCallTransport", "callname": "name",
}  # fmt: skip
RECORD_COLUMN_SYNONYMS = {
    "latency": "turnLatency", "modellatencyaverage": "modelLatency",
    "turnlatencyaverage": "turnLatency", "interruptions": "userInterruptions",
}  # fmt: skip


def is_record_column(column: str) -> bool:
    """Return whether *column* is measured in call records only; ``output.<name>`` is.

    Examples:
        >>> [is_record_column(word) for word in ("turnLatency", "output.CSAT", "cost")]
        [True, True, False]
    """
    return column in RECORD_COLUMNS or column.startswith(OUTPUT)


def get_record_unit(column: str) -> str:
    """Return the unit of a column of call records; the numbers of outputs have none that is known.

    Examples:
        >>> get_record_unit("turnLatency"), get_record_unit("costBreakdown.chat")
        ('ms', 'USD')
    """
    if column in RECORD_COST_PARTS:
        return "USD"
    if column in LATENCIES:
        return "ms"
    return "" if column.startswith(OUTPUT) else "interruptions"
