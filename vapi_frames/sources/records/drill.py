"""The SQL of what is shown of a call: any column of a record, by its path, in the type that it has there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vapi_frames.contract.record_words import OUTPUT, RECORD_COLUMNS, RECORD_GROUPS
from vapi_frames.contract.vocabulary import GROUP_COLUMNS
from vapi_frames.errors import RecordsError, suggest
from vapi_frames.query.drill import find_variable
from vapi_frames.sources.records.days import ARCHIVE_OPTIONS, find_archive_option
from vapi_frames.sources.records.duckdb import NUMBER_TYPES, TEXT_TYPES
from vapi_frames.sources.records.paths import (
    DURATION_UNITS,
    FLAT_COLUMNS,
    NUMBER_COLUMNS,
    TIME_COLUMNS,
    name_json,
)
from vapi_frames.sources.sql.drill import DrilledColumn
from vapi_frames.sources.sql.select import MINUTE_COLUMNS

if TYPE_CHECKING:
    from typing import Any

    from vapi_frames.query.drill import Drill
    from vapi_frames.query.query import Query
    from vapi_frames.sources.records.columns import RecordReader
    from vapi_frames.sources.sql.drill import RecordKind
    from vapi_frames.sources.sql.select import QueryColumns

__all__ = ["find_drilled", "find_kind", "find_order", "list_other_paths", "list_sources", "widen_query"]

_LISTED = 30  # names that a message lists
_TIMES = (*TIME_COLUMNS, "updatedAt")
_TEXTS = ("id", *GROUP_COLUMNS, *RECORD_GROUPS)
_NUMBERS = (*NUMBER_COLUMNS, *RECORD_COLUMNS)
_PATHS = (
    *_TIMES, *_TEXTS, *_NUMBERS, "orgId", "customer", "customer.name", "customer.email", "customer.externalId",
    "customer.sipUri", "phoneCallProviderId", "endedMessage", "costs", "costBreakdown",
    "costBreakdown.total", "analysis", "analysis.summary", "analysis.structuredData", "artifact",
    "artifact.transcript", "artifact.messages", "artifact.recordingUrl", "artifact.stereoRecordingUrl",
    "artifact.structuredOutputs", "artifact.scorecards", "artifact.performanceMetrics", "artifact.variableValues",
    "artifact.performanceMetrics.modelLatencyAverage", "artifact.performanceMetrics.voiceLatencyAverage",
    "artifact.performanceMetrics.transcriberLatencyAverage", "artifact.performanceMetrics.turnLatencyAverage",
    "artifact.performanceMetrics.endpointingLatencyAverage", "artifact.performanceMetrics.numUserInterrupted",
    "artifact.performanceMetrics.numAssistantInterrupted", "assistant", "assistantOverrides", "transcript", "messages",
    "summary", "recordingUrl", "stereoRecordingUrl",
)  # fmt: skip
"""The paths that a record of the API may have, which a record without a value there just leaves out."""
_SAME: tuple[tuple[str, ...], ...] = tuple(
    tuple(dict.fromkeys((name, *paths))) for option in ARCHIVE_OPTIONS.values() for name, paths in option.items()
)
"""The paths of the same text: records have it here or there, and an archive under the first."""


def widen_query(drill: Drill) -> Query[Any]:
    """Return the query of *drill* that also uses the variables that it shows."""
    keys = [key for key in map(find_variable, drill.columns) if key is not None]
    return drill.query.by_variable(*(key for key in dict.fromkeys(keys) if key not in drill.query.variables))


def list_sources(drill: Drill) -> list[str]:
    """Return the columns and paths of records that *drill* shows, or that it sorts by."""
    found: list[str] = ["id"]
    for name in drill.columns:
        if name in MINUTE_COLUMNS:
            found += ["startedAt", "endedAt", *DURATION_UNITS]
        elif find_variable(name) is None:
            found += _alternates(name)
    return list(dict.fromkeys(found))


def list_other_paths(drill: Drill) -> tuple[str, ...]:
    """Return the paths that *drill* shows and that no query uses, so that converted records lack them."""
    sources = (path for path in list_sources(drill) if not path.startswith(OUTPUT))
    return tuple(path for path in sources if path not in FLAT_COLUMNS)


def find_order(reader: RecordReader) -> list[str]:
    """Return the expressions by which calls are sorted: when they were created, and their id."""
    functions = reader.functions
    id_ = reader.text("id") if reader.places("id") else functions.text("id", "NULL", "null")
    return [functions.micros(reader.time("createdAt")), id_]


def find_kind(name: str, drill: Drill) -> RecordKind:
    """Return what a column holds in records that lack it."""
    if name in _TIMES:
        return "time"
    is_measured = any(one.column == name and one.operation != "nunique" for one in drill.query.measures)
    is_number = name in _NUMBERS or name in MINUTE_COLUMNS or (is_measured and name != "id")
    return "number" if is_number else "text"


def find_drilled(
    drill: Drill, reader: RecordReader, columns: QueryColumns, *, reads_json: bool = False
) -> dict[str, DrilledColumn]:
    """Return column → what is shown of a call.

    Args:
        drill: What is asked for.
        reader: The columns of the records.
        columns: The expressions of what `widen_query` uses.
        reads_json: Whether the engine writes what is nested as JSON text, as the DuckDB of this machine does.

    Raises:
        RecordsError: The records have no column that was named, or one that cannot be shown.
    """
    return {name: _find(name, drill, reader, columns, reads_json=reads_json) for name in drill.columns}


def _find(name: str, drill: Drill, reader: RecordReader, columns: QueryColumns, *, reads_json: bool) -> DrilledColumn:
    kind = find_kind(name, drill)
    found = _find_used(name, kind, columns) or _find_stored(name, kind, reader, reads_json=reads_json)
    if found is not None:
        return found
    if drill.is_named and not (reader.is_nested and name in (*_PATHS, *MINUTE_COLUMNS)):
        raise _missing(name, reader)
    return _write_nothing(kind, reader)


def _find_used(name: str, kind: RecordKind, columns: QueryColumns) -> DrilledColumn | None:
    """Return a column that the query itself uses."""
    key = find_variable(name)
    if key is not None:
        return DrilledColumn(columns.variables[key], "text")
    used = columns.values if kind == "number" else columns.groups
    return DrilledColumn(used[name], kind) if name in used else None


def _find_stored(name: str, kind: RecordKind, reader: RecordReader, *, reads_json: bool) -> DrilledColumn | None:
    """Return a column that the query does not use."""
    if name in MINUTE_COLUMNS:
        has_ends = all(map(reader.places, ("startedAt", "endedAt")))
        if has_ends or any(map(reader.places, DURATION_UNITS)):
            return DrilledColumn(reader.minutes(), kind)
        return None
    if name in (*_TIMES, *_NUMBERS, *_TEXTS) or name.startswith(OUTPUT):
        return _find_known(name, kind, reader)
    return _find_path(name, reader, reads_json=reads_json)


def _find_known(name: str, kind: RecordKind, reader: RecordReader) -> DrilledColumn | None:
    """Return a column of which the type is known."""
    kept = reader.columns.get(name_json(name))
    functions = reader.functions
    if reader.places(name):
        read = {"time": reader.time, "number": reader.number}.get(kind, reader.text)(name)
    elif kept is not None and kept.type is not None:  # of JSON, and no query uses it
        convert = {"time": functions.time, "number": functions.number}.get(kind, functions.text)
        read = convert(name, kept.sql, "json")
    else:
        return None
    return DrilledColumn(functions.micros(read) if kind == "time" else read, kind)


def _find_path(name: str, reader: RecordReader, *, reads_json: bool) -> DrilledColumn | None:
    """Return a column in the type that the records have it in."""
    paths = _alternates(name)
    places = [place for path in paths for place in reader.places(path)]
    kept = [path for path in paths if name_json(path) in reader.columns]
    functions = reader.functions
    if len(places) == 1 and not kept:
        expression, kind = places[0]
        if kind in NUMBER_TYPES or kind == "integer":
            return DrilledColumn(functions.number(name, expression, kind), "number")
        if kind == "boolean":
            return DrilledColumn(functions.text(name, expression, kind), "boolean")
        if kind == "date" or kind.startswith("timestamp"):
            return DrilledColumn(functions.micros(functions.time(name, expression, kind)), "time")
        if kind in TEXT_TYPES or kind == "cell":
            return DrilledColumn(functions.text(name, expression, kind), "text")
    if reads_json:
        written = [one for path in paths if (one := reader.json(path)) is not None]
        return DrilledColumn(f"coalesce({', '.join([*written, 'NULL'])})", "json") if written else None
    texts = [functions.variable(name, expression, kind) for expression, kind in places]
    return DrilledColumn(f"coalesce({', '.join(texts)})" if len(texts) > 1 else texts[0], "text") if texts else None


def _write_nothing(kind: RecordKind, reader: RecordReader) -> DrilledColumn:
    functions = reader.functions
    if kind == "time":
        return DrilledColumn(functions.micros(functions.time("", "NULL", "null")), kind)
    convert = functions.number if kind == "number" else functions.text
    return DrilledColumn(convert("", "NULL", "null"), kind)


def _alternates(path: str) -> tuple[str, ...]:
    """Return the paths at which records may have what is at *path*, itself first."""
    others = (one for same in _SAME if path in same for one in same)
    return tuple(dict.fromkeys((path, *others)))


def _missing(name: str, reader: RecordReader) -> RecordsError:
    problem = f"no call record has {name!r}, which drill should show"
    options = [option for path in _alternates(name) if (option := find_archive_option(path))]
    if options:
        cure = f"{problem}; an archive keeps it with {options[0]}=True, while the API still lists the calls"
        return RecordsError(cure, column=name)
    names = [one for one in reader.columns if ", " not in one]
    near = suggest(name, [*names, *(_PATHS if reader.is_nested else ())])
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else f". They have: {', '.join(names[:_LISTED])}"
    return RecordsError(problem + hint, column=name)
