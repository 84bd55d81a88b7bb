"""Nested call JSON as flat columns: calls as ``GET /call`` returns them, pages of them, and end-of-call reports.

A report is the body that the API posts when a call is over. Its ``call`` is the call when the event was created, often
still ``ringing`` and without cost; the other fields of the message are what the call became, so these take precedence.
A log of such bodies has messages of other types, too, which are no calls.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from vapi_frames.contract.json_size import MOST_PARTS, has_too_many_parts
from vapi_frames.contract.record_words import RECORD_COLUMNS, RECORD_GROUPS
from vapi_frames.errors import RecordsError, format_value
from vapi_frames.sources.records.lists import find_word, read_outputs, read_skipped_outputs, sum_costs
from vapi_frames.sources.records.normalized import find_output_columns, gather_outputs
from vapi_frames.sources.records.paths import (
    COSTS,
    FLAT_COLUMNS,
    NUMBER_COLUMNS,
    OUTPUTS,
    SKIPPED_OUTPUTS,
    TIME_COLUMNS,
    VARIABLE_ROOTS,
    VARIABLES_MAP,
    column_paths,
    find_headers,
    is_mixed,
    name_json,
    variable_roots,
)
from vapi_frames.sources.records.values import (
    WANTED,
    check_text,
    describe_repr,
    describe_wrong,
    is_missing,
    read_text,
    read_value,
)
from vapi_frames.sources.records.wrappers import iter_calls

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from vapi_frames.sources.records.paths import CandidatePath

__all__ = [
    "FLAT_COLUMNS",
    "MOST_VARIABLES",
    "VARIABLES_LENGTH",
    "OtherMessageError",
    "SkippedRecords",
    "describe_variables",
    "find_column_places",
    "find_variable_places",
    "flat_type",
    "flatten_call",
    "flatten_calls",
    "is_created_by_number",
    "iter_calls",
]

_REPORT = "end-of-call-report"
_RECORD_WORDS = frozenset({*RECORD_GROUPS, *RECORD_COLUMNS, OUTPUTS, SKIPPED_OUTPUTS})
_MESSAGE_TYPES = frozenset(
    {
        "assistant-request", "assistant.started", "call.endpointing.request", "conversation-update", "function-call",
        "handoff-destination-request", "hang", "knowledge-base-request", "language-change-detected", "model-output",
        "phone-call-control", "speech-update", "status-update", "tool-calls", "tool-calls-result", "transcript",
        "transfer-destination-request", "transfer-update", "user-interrupted", "voice-input", "voice-request",
    }
)  # fmt: skip
"""The types of the API's messages that are no reports."""
MOST_VARIABLES = 1_000
"""How many variables of a call are read."""
VARIABLES_LENGTH = 1 << 20
"""How many characters they may have, with their keys."""


class OtherMessageError(RecordsError):
    """A message of the API that is no report, so that it is no call."""


@dataclass
class SkippedRecords:
    """Whether records that cannot be read are skipped, and those that were.

    Attributes:
        is_allowed: Whether they are skipped; otherwise the first one is an error.
        count: How many were skipped.
        first: What was wrong with the first of them.
        messages: How many messages of other types were left out; these are always.
        epochs: How many calls have numbers as times, which count seconds or milliseconds.
        variables: How many variables were left out, of calls that have more than are read.
    """

    is_allowed: bool = False
    count: int = 0
    first: str = ""
    messages: int = 0
    epochs: int = 0
    variables: int = 0

    def add(self, error: RecordsError, where: str = "", **place: Any) -> None:
        """Skip the record that *error* is about, or raise the error with *where* the record is."""
        if isinstance(error, OtherMessageError):
            self.messages += 1
            return
        error = RecordsError(f"{where}: {error}", column=error.column, **place)
        if not self.is_allowed:
            raise error
        self.first = self.first or str(error)
        self.count += 1

    def bound_variables(self, variables: dict[str, str | None]) -> tuple[dict[str, str | None], int]:
        """Return the first *variables* of a call that are read, and their characters; count the others.

        Callers choose variables, and a single call must not make all queries slow.
        """
        size = sum(len(key) + len(text or "") for key, text in variables.items())
        if size <= VARIABLES_LENGTH and len(variables) <= MOST_VARIABLES:
            return variables, size
        found: dict[str, str | None] = {}
        size = 0
        for key, text in variables.items():
            longer = size + len(key) + len(text or "")
            if len(found) < MOST_VARIABLES and longer <= VARIABLES_LENGTH:
                found[key], size = text, longer
        self.variables += len(variables) - len(found)
        return found, size


def describe_variables(count: int) -> tuple[str, str]:
    """Return the note that *count* variables were left out, and why."""
    limits = f"a call may have {MOST_VARIABLES:,}, of {VARIABLES_LENGTH:,} characters together"
    return f"variables that were left out: {count:,}", limits


def flatten_calls(
    calls: Sequence[Any],
    skipped: SkippedRecords,
    places: Places = (),
    *,
    is_nested: bool = True,
    paths: Sequence[str] = (),
) -> tuple[pa.Table, list[str]]:
    """Return nested call JSON as a table of flat columns with a map of the variables, and the keys of the variables.

    Args:
        calls: The calls, or what `iter_calls` finds calls in.
        skipped: What becomes of records that cannot be read.
        places: Column of the API and the way to it, where the caller says it is elsewhere.
        is_nested: Whether a column that no call has is missing in all of them; else the table lacks it.
        paths: Paths of a record that become a column of JSON text each, by `name_json`.

    Raises:
        RecordsError: A record is no object, or has a value of the wrong kind; the message has its position.
    """
    import pyarrow as pa

    columns: dict[str, list[Any]] = {}
    maps: list[list[tuple[str, str | None]]] = []
    keys: dict[str, None] = {}
    for position, call in enumerate((call for one in calls for call in iter_calls(one)), 1):
        try:
            values, variables = flatten_call(call, places, needs_creation=is_nested, paths=paths)
        except RecordsError as error:
            skipped.add(error, f"call {position}", line=position)
            continue
        skipped.epochs += isinstance(call, dict) and is_created_by_number(call, places)
        for name, value in values.items():
            column = columns.setdefault(name, [])
            column.extend([None] * (len(maps) - len(column)))
            column.append(value)
        variables, _ = skipped.bound_variables(variables)
        keys.update(dict.fromkeys(variables))
        maps.append(list(variables.items()))
    if is_nested or not maps:
        for name in FLAT_COLUMNS:
            if name != "duration":
                columns.setdefault(name, [])
    arrays = {
        name: pa.array(found + [None] * (len(maps) - len(found)), flat_type(name)) for name, found in columns.items()
    }
    if keys:
        arrays[VARIABLES_MAP] = pa.array(maps, pa.map_(pa.string(), pa.string()))
    return pa.table(arrays), list(keys)


def flat_type(column: str) -> pa.DataType:
    """Return the Arrow type of a flat column."""
    import pyarrow as pa

    if column in TIME_COLUMNS:
        return pa.timestamp("us", "UTC")
    return pa.float64() if column in NUMBER_COLUMNS else pa.string()


Places = tuple[tuple[str, tuple[str, ...]], ...]
"""Column of the API and the keys to where the caller says it is, which is then its only place."""


def is_created_by_number(call: dict[str, Any], places: Places = ()) -> bool:
    """Return whether a number says when a call was created."""
    if not places and (usual := call.get("createdAt")) is not None:
        return type(usual) in (int, float)
    placed = dict(places).get("createdAt")
    paths = [tuple(placed)] if placed else [(name, *keys) for name, keys in column_paths("createdAt")]
    for path in paths:
        value: Any = call
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            return type(value) in (int, float)
    return False


def flatten_call(
    call: Any,
    places: Places = (),
    *,
    needs_creation: bool = True,
    paths: Sequence[str] = (),
    with_words: bool = True,
) -> tuple[dict[str, Any], dict[str, str | None]]:
    """Return a call's values by flat column, for the columns that it has, and its variables.

    Args:
        call: The call.
        places: Column of the API and the way to it, where the caller says it is elsewhere.
        needs_creation: Whether a call without a time of creation is an error.
        paths: Other paths in the record, of which the values are JSON text.
        with_words: Whether the columns beyond the contract are read, too.

    Raises:
        OtherMessageError: It is a message of the API that is no report.
        RecordsError: It is no call, or has a value of the wrong kind. The message does not say which call it is.
    """
    try:
        whole = record = unwrap_report(call, places, paths)
        for column, place in places:
            is_there, value = get_nested(whole, place, column)
            record = {**record, column: value if is_there else None}
        values, variables = _flatten(record, places, needs_creation=needs_creation, with_words=with_words)
        for path in paths:
            value = read_path(record, path)
            if value is not None:
                values[name_json(path)] = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except RecursionError:
        raise RecordsError("it is nested too deeply") from None
    return values, variables


@lru_cache(1024)
def find_column_places(names: tuple[str, ...], places: Places) -> tuple[tuple[str, tuple[CandidatePath, ...]], ...]:
    """Return, for each flat column that a record with keys called *names* may have, where."""
    headers = find_headers(names)
    said = dict(places)
    found = []
    for column in FLAT_COLUMNS:
        paths = column_paths(column)
        if column in said:
            paths = ((column, ()),)
        elif column in headers:
            paths = (*paths, (headers[column], ()))
        if paths := tuple(path for path in paths if path[0] in names):
            found.append((column, paths))
    return tuple(found)


@lru_cache(1024)
def find_variable_places(names: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...], str | None], ...]:
    """Return where a record with keys called *names* may have variables: a name, the keys, and the variable's key."""
    found: list[tuple[str, tuple[str, ...], str | None]] = []
    for root in variable_roots():
        parts = root.split(".")
        for joint in dict.fromkeys((".", "_")):
            prefix = joint.join(parts) + joint
            found += [(name, (), name[len(prefix) :]) for name in names if name.startswith(prefix) and name != prefix]
            for cut in range(len(parts), 0, -1):
                name = joint.join(parts[:cut])
                if name in names and not is_mixed(name, parts[cut:]):
                    found.append((name, tuple(parts[cut:]), None))
    return tuple(dict.fromkeys(found))


def _flatten(
    call: dict[str, Any], places: Places, *, needs_creation: bool, with_words: bool
) -> tuple[dict[str, Any], dict[str, str | None]]:
    values: dict[str, Any] = {}
    names = tuple(name for name in call if isinstance(name, str))
    for column, paths in find_column_places(names, places):
        if column == "duration":
            values[column] = None
            continue
        for name, keys in paths:
            if column in _RECORD_WORDS:
                is_there, value = with_words, find_word(call[name], keys) if with_words else None
            else:
                is_there, value = get_nested(call[name], keys, name) if keys else (True, call[name])
            if is_there and values.get(column) is None:
                values[column] = None if value is None else _read(column, value)
    for column, parts in find_output_columns(names).items() if with_words else ():
        values[column] = values.get(column) or _read(column, gather_outputs(call, parts))
    for column, cost in sum_costs(call[COSTS]).items() if with_words and COSTS in call else ():
        if values.get(column) is None:
            values[column] = cost
    if needs_creation and values.get("createdAt") is None:
        has = "" if "createdAt" in call else f"; it has {', '.join(map(str, list(call)[:8])) or 'nothing'}"
        raise RecordsError(f"it has no createdAt{has}", column="createdAt")
    return values, _read_variables(call, names)


def _read(column: str, value: Any) -> Any:
    if column == SKIPPED_OUTPUTS:
        return read_skipped_outputs(value)
    return read_outputs(value) if column == OUTPUTS else read_value(column, value)


def unwrap_report(call: Any, places: Places = (), paths: Sequence[str] = ()) -> dict[str, Any]:
    """Return the record of a call, which may be in an end-of-call report, with what the report has at *paths*."""
    if not isinstance(call, dict):
        raise RecordsError(f"it is {type(call).__name__}, not an object")
    if "createdAt" in call or any(column == "createdAt" for column, _ in places):
        return call
    is_bare = call.get("type") == _REPORT or (call.get("type") in _MESSAGE_TYPES and "created_at" not in call)
    message = call if is_bare else call.get("message")
    if not isinstance(message, dict):
        return call
    if message.get("type") != _REPORT:
        if isinstance(message.get("type"), str):
            raise OtherMessageError(f"it is a message of type {format_value(message.get('type'))}, not an {_REPORT}")
        raise RecordsError(f"it is a message of type {format_value(message.get('type'))}, not an {_REPORT}")
    inner = message.get("call")
    if not isinstance(inner, dict):
        raise RecordsError("it is a report without its call, so that nothing says when the call was created")
    record = dict(inner)
    names = [path.split(".", 1)[0] for path in (*FLAT_COLUMNS, *VARIABLE_ROOTS, COSTS, *paths)]
    for name in dict.fromkeys(names):
        if name in message and name not in ("id", "type", "createdAt"):  # a message has its own
            record[name] = merge_newer(message[name], inner.get(name))
    record["status"] = message.get("status") or "ended"
    return record


def read_path(record: dict[str, Any], path: str) -> Any:
    """Return what a record has at the dotted *path*, ``None`` where it has nothing there."""
    for name, keys in column_paths(path):
        if name in record:
            is_there, value = get_nested(record[name], keys, name) if keys else (True, record[name])
            if is_there and not is_missing(value):
                return value
    return None


def merge_newer(newer: Any, older: Any, depth: int = 2) -> Any:
    """Return *newer*, completed by what only *older* has."""
    if newer is None:
        return older
    if depth and isinstance(newer, dict) and isinstance(older, dict):
        return {**older, **{name: merge_newer(value, older.get(name), depth - 1) for name, value in newer.items()}}
    return newer


def get_nested(value: Any, keys: tuple[str, ...], name: str) -> tuple[bool, Any]:
    """Return whether *value*, which is called *name*, has something at *keys*, and what."""
    for key in keys:
        inside = value if type(value) is dict else _read_object(value, name)
        if inside is None or key not in inside:
            return False, None
        name, value = key, inside[key]
    return True, value


def _read_object(value: Any, name: str) -> dict[str, Any] | None:
    """Return *value* as an object; it may be JSON text, which is how warehouses export what is nested."""
    if isinstance(value, dict):
        return value
    if isinstance(value, str):
        if value.strip() in ("", "null"):
            return None
        if has_too_many_parts(value):
            raise RecordsError(f"{name} holds more than {MOST_PARTS:,} keys and values", column=name)
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return found
        if value.lstrip().startswith("{'"):
            raise RecordsError(describe_repr(name, value), column=name)
    elif is_missing(value):
        return None
    elif isinstance(value, list) and value and all(isinstance(one, tuple) for one in value):
        return dict(value)  # a map of Arrow
    raise RecordsError(describe_wrong(name, value, WANTED["object"]), column=name)


def _read_variables(call: dict[str, Any], names: tuple[str, ...]) -> dict[str, str | None]:
    """Return the variables of a call; of the places that have one, the first with a value counts."""
    variables: dict[str, str | None] = {}
    for name, keys, key in find_variable_places(names):
        if key is not None:
            inside: dict[str, Any] | None = {key: call[name]}
        else:
            is_there, value = get_nested(call[name], keys, name)
            inside = _read_object(value, name) if is_there else None
        for one, value in (inside or {}).items():
            if not isinstance(one, str):
                raise RecordsError(f"the variable's name {format_value(one)} is no text")
            if variables.get(one) is None:
                variables[check_text(one, one)] = read_text(one, value, allows_objects=True)
    return variables
