"""Nested call JSON as flat columns: calls as ``GET /call`` returns them, pages of them, and end-of-call reports.

A report is the body that the API posts when a call is over. Its ``call`` is the call when the event was created, often
still ``ringing`` and without cost; the other fields of the message are what the call became, so these take precedence.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any

from vapi_frames.contract.vocabulary import GROUP_COLUMNS
from vapi_frames.errors import RecordsError, format_value
from vapi_frames.sources.records.columns import (
    NUMBER_COLUMNS,
    OPTIONAL_COLUMNS,
    TIME_COLUMNS,
    VARIABLE_ROOTS,
    alternate_paths,
    candidate_paths,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

__all__ = [
    "FLAT_COLUMNS",
    "SkippedRecords",
    "flat_type",
    "flatten_call",
    "flatten_calls",
    "iter_calls",
    "read_times",
]

FLAT_COLUMNS = ("id", *GROUP_COLUMNS, *TIME_COLUMNS, *NUMBER_COLUMNS, "duration")
"""The columns of a flat record. The values of ``duration`` are not used, only whether records have it."""

_COLUMN_PATHS = tuple(
    (column, tuple(found for path in alternate_paths(column) for found in candidate_paths(path)))
    for column in FLAT_COLUMNS
    if column != "duration"
)
_ROOT_PATHS = tuple((root, candidate_paths(root)) for root in VARIABLE_ROOTS)
_FLAT_VARIABLE = re.compile(
    r"(variableValues)[._](.+)|(artifact|assistantOverrides)([._])variableValues\4(.+)", re.DOTALL
)
_REPORT = "end-of-call-report"
_TIMES, _NUMBERS = frozenset(TIME_COLUMNS), frozenset(NUMBER_COLUMNS)
_EARLIEST, _LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


@dataclass
class SkippedRecords:
    """Whether records that cannot be read are skipped, and those that were.

    Attributes:
        is_allowed: Whether they are skipped; otherwise the first one is an error.
        count: How many were skipped.
        first: What was wrong with the first of them.
    """

    is_allowed: bool = False
    count: int = 0
    first: str = ""

    def add(self, error: RecordsError) -> None:
        """Skip the record that *error* is about, or raise the error."""
        if not self.is_allowed:
            raise error
        self.first = self.first or str(error)
        self.count += 1


def flatten_calls(calls: Sequence[Any], skipped: SkippedRecords) -> pa.Table:
    """Return nested call JSON as a table of flat columns, with a column for each variable.

    Raises:
        RecordsError: A record is no object, or has a value of the wrong kind; the message has its position.
    """
    import pyarrow as pa

    columns: dict[str, list[Any]] = {}
    rows = 0
    for position, call in enumerate((call for one in calls for call in iter_calls(one)), 1):
        try:
            values, variables = flatten_call(call)
        except RecordsError as error:
            skipped.add(RecordsError(f"call {position}: {error}", line=position, column=error.column))
            continue
        for name, value in (*values.items(), *((f"{VARIABLE_ROOTS[0]}.{key}", v) for key, v in variables.items())):
            column = columns.setdefault(name, [])
            column.extend([None] * (rows - len(column)))
            column.append(value)
        rows += 1
    for name in OPTIONAL_COLUMNS if rows else (*OPTIONAL_COLUMNS, *TIME_COLUMNS, *NUMBER_COLUMNS, "id"):
        columns.setdefault(name, [])
    return pa.table(
        {name: pa.array(found + [None] * (rows - len(found)), flat_type(name)) for name, found in columns.items()}
    )


def flat_type(column: str) -> pa.DataType:
    """Return the Arrow type of a flat column."""
    import pyarrow as pa

    if column in TIME_COLUMNS:
        return pa.timestamp("us", "UTC")
    return pa.float64() if column in NUMBER_COLUMNS else pa.string()


def iter_calls(value: Any, depth: int = 2) -> Iterator[Any]:
    """Yield the calls in a JSON value: the value itself, or the elements of an array or of a page of results."""
    if isinstance(value, dict) and isinstance(value.get("results"), list) and "createdAt" not in value:
        value = value["results"]
    if depth and isinstance(value, list | tuple):
        for one in value:
            yield from iter_calls(one, depth - 1)
    else:
        yield value


def flatten_call(call: Any) -> tuple[dict[str, Any], dict[str, str | None]]:
    """Return a call's values by flat column, for the columns that it has, and its variables.

    Raises:
        RecordsError: It is no call, or has a value of the wrong kind. The message does not say which call it is.
    """
    try:
        return _flatten(unwrap_report(call))
    except RecursionError:
        raise RecordsError("it is nested too deeply") from None


def _flatten(call: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str | None]]:
    values: dict[str, Any] = {}
    for column, paths in _COLUMN_PATHS:
        for name, keys in paths:
            if name in call:
                is_there, value = get_nested(call[name], keys, name) if keys else (True, call[name])
                if is_there and values.get(column) is None:
                    values[column] = None if value is None else _read_value(column, value)
    if "duration" in call:
        values["duration"] = None
    if values.get("createdAt") is None:
        has = "" if "createdAt" in call else f"; it has {', '.join(map(str, list(call)[:8])) or 'nothing'}"
        raise RecordsError(f"it has no createdAt{has}", column="createdAt")
    return values, _read_variables(call)


def unwrap_report(call: Any) -> dict[str, Any]:
    """Return the record of a call, which may be in an end-of-call report."""
    if not isinstance(call, dict):
        raise RecordsError(f"it is {type(call).__name__}, not an object")
    message = call if call.get("type") == _REPORT else call.get("message")
    if not isinstance(message, dict) or "createdAt" in call:
        return call
    if message.get("type") != _REPORT:
        raise RecordsError(f"it is a message of type {format_value(message.get('type'))}, not an end-of-call report")
    inner = message.get("call")
    if not isinstance(inner, dict):
        raise RecordsError("it is a report without its call, so that nothing says when the call was created")
    record = dict(inner)
    names = [path.split(".", 1)[0] for path in (*FLAT_COLUMNS, *VARIABLE_ROOTS)]
    for name in dict.fromkeys(names):
        if name in message and name not in ("id", "type", "createdAt"):  # a message has its own
            record[name] = merge_newer(message[name], inner.get(name))
    record["status"] = message.get("status") or "ended"
    return record


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
    if value is None or (isinstance(value, float) and math.isnan(value)) or (isinstance(value, str) and not value):
        return None  # pandas writes a missing value as NaN, and exports write it as ""
    try:
        found = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RecordsError(f"{name} is {format_value(value)}, not an object", column=name)
    return found


def _read_variables(call: dict[str, Any]) -> dict[str, str | None]:
    """Return the variables of a call; of the places that have one, the first with a value counts."""
    flat: dict[str, dict[str, Any]] = {root: {} for root in VARIABLE_ROOTS}
    for name, value in call.items():
        if isinstance(name, str) and name[:1] in "va" and (match := _FLAT_VARIABLE.fullmatch(name)):
            root = match[1] or f"{match[3]}.{VARIABLE_ROOTS[0]}"
            flat[root][match[2] or match[5]] = value
    found: list[dict[str, Any]] = []
    for root, paths in _ROOT_PATHS:
        found.append(flat[root])
        for name, keys in paths:
            if name in call:
                is_there, value = get_nested(call[name], keys, name)
                inside = _read_object(value, root) if is_there else None
                if inside:
                    found.append(inside)
    variables: dict[str, str | None] = {}
    for values in found:
        for key, value in values.items():
            if variables.get(key) is None:
                variables[_read_text(key, key)] = _read_variable(key, value)
    return variables


def _read_variable(key: object, value: Any) -> str | None:
    if isinstance(value, str):
        return _read_text(value, key)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        raise RecordsError(f"variable {key!r} is no JSON value", column=str(key)) from None


def _read_text(value: Any, name: object) -> str:
    """Return text that every engine can hold: half of a surrogate pair is no character."""
    if not isinstance(value, str):
        raise RecordsError(f"the variable's name {format_value(value)} is no text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise RecordsError(f"{ascii(name)[:80]} holds no Unicode text: {ascii(value)[:80]}") from None
    return value


def _read_time(value: Any) -> datetime | None:
    """Return the instant that a record's value means, in UTC; ``None`` for what is no ISO 8601 date-time.

    Without a zone it is UTC. A bare number, also as text, is no date-time: nothing says whether it counts seconds or
    milliseconds.
    """
    if isinstance(value, str):
        if value[4:5] != "-":
            return None
        try:
            value = datetime.fromisoformat(value.removesuffix(" UTC"))
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        return None


def read_times(column: str, values: Iterable[Any]) -> list[datetime | None]:
    """Return the instants of a *column* of Python objects.

    Raises:
        RecordsError: One is no date-time; the message has its position.
    """
    found = []
    for position, value in enumerate(values, 1):
        try:
            found.append(None if value is None else _read_value(column, value))
        except RecordsError as error:
            raise RecordsError(f"call {position}: {error}", line=position, column=column) from None
    return found


def _read_value(column: str, value: Any) -> Any:
    """Return a record's *value* in the type of the flat *column*."""
    kind = type(value)
    if column in _NUMBERS:
        if kind is float or (isinstance(value, Real | Decimal) and kind is not bool):
            try:
                number = float(value)
            except (OverflowError, ValueError):
                number = math.inf
            if not math.isinf(number):
                return None if math.isnan(number) else number
        wanted = "a number"
    elif column in _TIMES:
        if kind is not str and isinstance(value, datetime | float) and value != value:  # noqa: PLR0124 - NaT, NaN
            return None
        instant = _read_time(value)
        if instant is not None:
            if column == "createdAt" and not _EARLIEST <= instant < _LATEST:
                when = "before 1970-01-02" if instant < _EARLIEST else "after the year 9000"
                raise RecordsError(f"it was created {when}, at {instant.isoformat()}", column=column)
            return instant
        wanted = "an ISO 8601 date-time"
    else:
        if kind is str or isinstance(value, str):
            return _read_text(value, column)
        if isinstance(value, float) and math.isnan(value):
            return None
        if isinstance(value, bool | int | float):
            return json.dumps(value)
        wanted = "text"
    raise RecordsError(f"{column} is {format_value(value)}, not {wanted}", column=column)
