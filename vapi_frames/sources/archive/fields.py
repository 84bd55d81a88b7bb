"""What an archive keeps of a call: what queries use, ids, numbers, Booleans and short texts, variables and outputs.

Texts that callers or prompts said are kept only if requested. A column has the name of its path in the record. Callers
choose the names and values of variables, so a call has a bounded number and size of them.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from vapi_frames.errors import RecordsError
from vapi_frames.sources.records.days import ARCHIVE_OPTIONS
from vapi_frames.sources.records.flatten import flat_type, flatten_call, unwrap_report
from vapi_frames.sources.records.paths import CONTRACT_COLUMNS, alternate_paths
from vapi_frames.sources.records.values import read_text, read_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

__all__ = [
    "BUILT_IN",
    "FIXED_COLUMNS",
    "MAPS",
    "MOST_BYTES",
    "MOST_KEYS",
    "QUERY_COLUMNS",
    "VARIABLES",
    "Fields",
    "Row",
    "column_type",
    "merge_rows",
    "read_fields",
]

Row: TypeAlias = dict[str, Any]
"""The values of a call by column; missing values may be left out."""

VARIABLES, OUTPUTS, SCORECARDS = "variableValues", "artifact.structuredOutputs", "artifact.scorecards"
SKIPPED_OUTPUTS = "artifact.skippedStructuredOutputs"
MAPS = (VARIABLES, OUTPUTS, SKIPPED_OUTPUTS, SCORECARDS)
"""The columns that are maps: key of a variable → text; id of an output → its name and result, or its name where it was
skipped; id → scores as JSON."""
BUILT_IN = frozenset({"customer", "phoneNumber", "call", "transport"})
"""The objects that the API itself adds to the variables of a call."""
MOST_KEYS = 256
"""How many variables of a call are kept, and how many outputs."""
MOST_BYTES = 65_536
"""How many bytes in UTF-8 the variables of a call may have, with their keys; the same for outputs."""

_LONGEST = 64  # characters of a text that is kept without being requested
_TEXTS = (
    "orgId", "squadId", "workflowId", "campaignId", "phoneNumberId", "customerId", "name", "phoneCallProvider",
    "phoneCallTransport", "endedMessage",
)  # fmt: skip
_TIMES = ("updatedAt",)
_COSTS = "costs"
_NUMBERS_IN = ("", "costBreakdown", "artifact.performanceMetrics")  # the objects of which every number is kept
_MOST_NUMBERS = 200  # of a call: the API chooses their names
_KNOWN = frozenset(path.casefold() for column in (*CONTRACT_COLUMNS, "duration") for path in alternate_paths(column))
_is_plain = re.compile("[A-Za-z][A-Za-z0-9]*").fullmatch  # any other name could be the path of another column
QUERY_COLUMNS = CONTRACT_COLUMNS
"""The columns that queries of the contract use, and the only ones that each file of an earlier version has."""
FIXED_COLUMNS = (*QUERY_COLUMNS, *_TIMES, *_TEXTS, _COSTS)
"""The columns that each file has, also where no call has a value."""
_FIXED = frozenset(name.casefold() for name in FIXED_COLUMNS)


class Fields(NamedTuple):
    """What is kept of a call.

    Attributes:
        row: Its values.
        over: How many variables and outputs were left out, because the call has too many or too large ones.
    """

    row: Row
    over: int


def read_fields(record: Any, options: Iterable[str]) -> Fields:
    """Return what is kept of a call.

    Args:
        record: The call, as the API lists it.
        options: Which `ARCHIVE_OPTIONS` are kept.

    Raises:
        RecordsError: It is no call, or has a value of the wrong kind.
    """
    try:
        return _read_fields(record, options)
    except RecursionError:
        raise RecordsError("it is nested too deeply") from None


def _read_fields(record: Any, options: Iterable[str]) -> Fields:
    try:
        values, variables = flatten_call(record, with_words=False)
    except RecordsError:  # perhaps of a text that is cut within a character, which the call itself may cause
        record = json.loads(_mend(json.dumps(record, ensure_ascii=False)))
        values, variables = flatten_call(record, with_words=False)
    call = unwrap_report(record)
    # Under the names of the contract; what else is kept has the path that it has in the record.
    row = {name: value for name, value in values.items() if name in QUERY_COLUMNS and value is not None}
    row |= {name: value for name, value in _read_scalars(call) if name not in row}
    over = 0
    if "variables" in options:
        own = {key: text for key, text in variables.items() if text is not None and not _is_built_in(key, text)}
        row[VARIABLES], over = _bound(own)
    if "outputs" in options:
        for name in (OUTPUTS, SCORECARDS):
            texts, left_out = _bound(dict(_read_map(_find(call, name))))
            row[name] = {key: _read_output(text) for key, text in texts.items()} if name == OUTPUTS else texts
            over += left_out
        names, left_out = _bound(dict(_read_names(_find(call, SKIPPED_OUTPUTS))))
        row[SKIPPED_OUTPUTS] = {key: {"name": one} for key, one in names.items()}
        over += left_out
    for option in options:
        for name, paths in ARCHIVE_OPTIONS[option].items():
            if paths and (text := _find_text(call, paths)) is not None:
                row[name] = text
    return Fields({name: value for name, value in row.items() if value is not None and value != {}}, over)


def merge_rows(older: Row, newer: Row) -> Row:
    """Return *older* with the values of *newer*; what only one of them has stays, also in maps."""
    maps = {name: {**older.get(name, {}), **newer.get(name, {})} for name in MAPS if name in older or name in newer}
    return {**older, **newer, **maps}


def column_type(name: str, values: Iterable[Any]) -> pa.DataType:
    """Return the Arrow type of a column with *values*."""
    import pyarrow as pa

    if name == OUTPUTS:
        return pa.map_(pa.string(), pa.struct([("name", pa.string()), ("result", pa.string())]))
    if name == SKIPPED_OUTPUTS:
        return pa.map_(pa.string(), pa.struct([("name", pa.string())]))
    if name in MAPS:
        return pa.map_(pa.string(), pa.string())
    if name in _TIMES:
        return pa.timestamp("us", "UTC")
    types = {type(value) for value in values if value is not None}
    if name in FIXED_COLUMNS or not types <= {float, bool}:
        return flat_type(name)
    return pa.bool_() if types == {bool} else pa.float64()


def _read_scalars(call: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the ids, short texts, numbers and Booleans of a call that are no columns of queries."""
    for name, value in call.items():
        if isinstance(value, str) and (name in _TEXTS or (name.endswith("Id") and _is_new(name))):
            yield from _read_short(name, value)
    for name in _TIMES:
        try:
            yield name, read_value("startedAt", call.get(name))
        except RecordsError:  # no query uses it
            continue
    left = _MOST_NUMBERS
    for place in _NUMBERS_IN:
        for name, number in _read_numbers(_find(call, place) if place else call, place, depth=bool(place)):
            if left and _is_new(name):
                left -= 1
                yield name, number
    costs = call.get("costs")
    if isinstance(costs, list) and (entries := [_read_cost(one) for one in costs if isinstance(one, dict)]):
        yield _COSTS, json.dumps(entries, ensure_ascii=False, separators=(",", ":"))


def _is_new(name: str) -> bool:
    """Return whether a column called *name* would be none of those that each file has, in any case of its letters."""
    return name.casefold() not in _KNOWN and name.casefold() not in _FIXED


def _read_numbers(value: Any, place: str, *, depth: int) -> Iterator[tuple[str, float | bool]]:
    """Yield the numbers and Booleans of an object, by path, and those of the objects in it."""
    for name, one in value.items() if isinstance(value, dict) else ():
        if not _is_plain(name):
            continue
        path = f"{place}.{name}" if place else name
        if isinstance(one, bool):
            yield path, one
        elif isinstance(one, int | float) and (number := _read_number(one)) is not None:
            yield path, number
        elif depth:
            yield from _read_numbers(one, path, depth=depth - 1)


def _read_number(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _read_short(name: str, value: str) -> Iterator[tuple[str, str]]:
    text = _mend(value)
    if len(text) <= _LONGEST:  # an empty text, too: it is a group of its own
        yield name, text


def _read_cost(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers and short texts of one of the ``costs``, with the provider and model that it is of."""
    found: dict[str, Any] = dict(_read_numbers(entry, "", depth=0))
    for name, value in entry.items():
        if isinstance(value, str):
            found |= _read_short(name, value)
        elif isinstance(value, dict):
            used = {key: text for key in ("provider", "model") for text in [value.get(key)] if isinstance(text, str)}
            inside = {key: short for key, text in used.items() for _, short in _read_short(key, text)}
            found |= {name: inside} if inside else {}
    return found


def _read_map(value: Any) -> Iterator[tuple[str, str]]:
    """Yield key → compact JSON of an object, by key."""
    for key, one in value.items() if isinstance(value, dict) else ():
        if one is not None:
            yield _mend(key), _mend(json.dumps(one, ensure_ascii=False, separators=(",", ":")))


def _read_names(value: Any) -> Iterator[tuple[str, str]]:
    """Yield id → name of the outputs that were skipped; their conditions, which are prompts, are left out."""
    for key, one in value.items() if isinstance(value, dict) else ():
        name = one.get("name") if isinstance(one, dict) else None
        if isinstance(name, str):
            yield _mend(key), _mend(name)


def _read_output(text: str) -> dict[str, str | None]:
    """Return the name and the result of an output; a result is text as a variable is."""
    output = json.loads(text)
    if not isinstance(output, dict):
        return {"name": None, "result": text}
    name = output.get("name")
    try:
        result = read_text("result", output.get("result"), allows_objects=True)
    except RecordsError:  # a number that is too large for a double
        result = json.dumps(output.get("result"))
    return {"name": name if isinstance(name, str) else None, "result": result}


def _bound(values: Mapping[str, str]) -> tuple[dict[str, str], int]:
    """Return the first *values* that a call may have, and how many are left out."""
    found: dict[str, str] = {}
    room = MOST_BYTES
    for key, text in values.items():
        size = len(key.encode()) + len(text.encode())
        if len(found) < MOST_KEYS and size <= room:
            found[key] = text
            room -= size
    return found, len(values) - len(found)


def _is_built_in(key: str, text: str) -> bool:
    """Return whether a variable is an object that the API adds to all calls: its customer, its numbers."""
    if key not in BUILT_IN or text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        return isinstance(json.loads(text), dict | list)
    except RecursionError:
        return True
    except ValueError:
        return False


def _find(record: Any, path: str) -> Any:
    value = record
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _find_text(record: Any, paths: Iterable[str]) -> str | None:
    """Return the text at the first of *paths* that has one; of a list its JSON."""
    for path in paths:
        value = _find(record, path)
        if isinstance(value, str):
            return _mend(value)
        if isinstance(value, list) and value:
            return _mend(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    return None


def _mend(text: str) -> str:
    """Return *text* as Unicode; it may be cut within a character."""
    return text.encode(errors="replace").decode()
