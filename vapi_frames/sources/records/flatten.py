"""Nested call JSON as flat columns: calls as ``GET /call`` returns them, pages of them, and end-of-call reports.

A report is the body that the API posts when a call is over. It keeps the call as it stood when the event was made,
often still ``ringing`` and without cost, and beside it, as fields of the message, what the call became; so the
message's values go first.
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
from vapi_frames.sources.records.columns import NUMBERS, OPTIONAL, TIMES, VARIABLE_ROOTS, heads, paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

__all__ = ["WORDS", "LeftOut", "calls_in", "column_type", "flat", "flatten", "read_times"]

WORDS = ("id", *GROUP_COLUMNS, *TIMES, *NUMBERS, "duration")
"""The columns of a flat record; of ``duration`` only that it is there is of interest."""

_PLACES = tuple(
    (word, tuple(head for path in paths(word) for head in heads(path))) for word in WORDS if word != "duration"
)
_ROOT_PLACES = tuple((root, heads(root)) for root in VARIABLE_ROOTS)
_FLAT_VARIABLE = re.compile(
    r"(variableValues)[._](.+)|(artifact|assistantOverrides)([._])variableValues\4(.+)", re.DOTALL
)
_REPORT = "end-of-call-report"
_TIMES, _NUMBERS = frozenset(TIMES), frozenset(NUMBERS)
_BOUNDS = (datetime(1970, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC))


@dataclass
class LeftOut:
    """What becomes of records that cannot be read: the first one is an error, or they are left out and counted.

    Attributes:
        skips: Whether they are left out.
        count: How many were.
        first: What was wrong with the first of them.
    """

    skips: bool = False
    count: int = 0
    first: str = ""

    def add(self, error: RecordsError) -> None:
        """Take the record that *error* is about."""
        if not self.skips:
            raise error
        self.first = self.first or str(error)
        self.count += 1


def flatten(calls: Sequence[Any], left_out: LeftOut) -> pa.Table:
    """Return nested call JSON as a table of flat columns, one column a variable.

    Raises:
        RecordsError: A record is no object, or holds a value of the wrong kind; it is named by its position.
    """
    import pyarrow as pa

    columns: dict[str, list[Any]] = {}
    rows = 0
    for position, call in enumerate((call for one in calls for call in calls_in(one)), 1):
        try:
            values, variables = flat(call)
        except RecordsError as error:
            left_out.add(RecordsError(f"call {position}: {error}", line=position, column=error.column))
            continue
        for name, value in (*values.items(), *((f"{VARIABLE_ROOTS[0]}.{key}", v) for key, v in variables.items())):
            column = columns.setdefault(name, [])
            column.extend([None] * (rows - len(column)))
            column.append(value)
        rows += 1
    for name in OPTIONAL if rows else (*OPTIONAL, *TIMES, *NUMBERS, "id"):
        columns.setdefault(name, [])
    return pa.table(
        {name: pa.array(held + [None] * (rows - len(held)), column_type(name)) for name, held in columns.items()}
    )


def column_type(name: str) -> pa.DataType:
    """Return the Arrow type of the flat column *name*."""
    import pyarrow as pa

    return pa.timestamp("us", "UTC") if name in TIMES else pa.float64() if name in NUMBERS else pa.string()


def calls_in(value: Any, depth: int = 2) -> Iterator[Any]:
    """Yield the calls that a JSON value holds: itself, or the elements of an array or of a page of results."""
    if isinstance(value, dict) and isinstance(value.get("results"), list) and "createdAt" not in value:
        value = value["results"]
    if depth and isinstance(value, list | tuple):
        for one in value:
            yield from calls_in(one, depth - 1)
    else:
        yield value


def flat(call: Any) -> tuple[dict[str, Any], dict[str, str | None]]:
    """Return a call's values under the words that it has, and its variables.

    Raises:
        RecordsError: It is no call, or holds a value of the wrong kind. The message does not say which call it is.
    """
    try:
        return _flat(_opened(call))
    except RecursionError:
        raise RecordsError("it is nested too deeply") from None


def _flat(call: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str | None]]:
    values: dict[str, Any] = {}
    for word, places in _PLACES:
        for name, rest in places:
            if name in call:
                is_there, value = _dig(call[name], rest, name) if rest else (True, call[name])
                if is_there and values.get(word) is None:
                    values[word] = None if value is None else _read(word, value)
    if "duration" in call:
        values["duration"] = None
    if values.get("createdAt") is None:
        has = "" if "createdAt" in call else f"; it has {', '.join(map(str, list(call)[:8])) or 'nothing'}"
        raise RecordsError(f"it has no createdAt{has}", column="createdAt")
    return values, _variables(call)


def _opened(call: Any) -> dict[str, Any]:
    """Return the record of a call, also out of the report of its end."""
    if not isinstance(call, dict):
        raise RecordsError(f"it is {type(call).__name__}, not an object")
    message = call if call.get("type") == _REPORT else call.get("message")
    if not isinstance(message, dict) or "createdAt" in call:
        return call
    if message.get("type") != _REPORT:
        raise RecordsError(
            f"it is a message of type {format_value(message.get('type'))}, not the report of a call's end"
        )
    inner = message.get("call")
    if not isinstance(inner, dict):
        raise RecordsError("it is a report without its call, so that nothing says when the call was created")
    record = dict(inner)
    for word in WORDS:
        name = word.split(".", 1)[0]
        if name in message and name not in ("id", "type", "createdAt"):  # a message has a type of its own
            record[name] = _over(message[name], inner.get(name))
    for root in VARIABLE_ROOTS:
        name = root.split(".", 1)[0]
        if name in message:
            record[name] = _over(message[name], inner.get(name))
    record["status"] = message.get("status") or "ended"
    return record


def _over(newer: Any, older: Any, depth: int = 2) -> Any:
    """Return *newer*, with what *older* has beyond it."""
    if newer is None:
        return older
    if depth and isinstance(newer, dict) and isinstance(older, dict):
        return {**older, **{name: _over(value, older.get(name), depth - 1) for name, value in newer.items()}}
    return newer


def _dig(value: Any, way: tuple[str, ...], name: str) -> tuple[bool, Any]:
    """Return whether there is something at the end of the *way* into *value*, and what."""
    for part in way:
        inside = value if type(value) is dict else _object(value, name)
        if inside is None or part not in inside:
            return False, None
        name, value = part, inside[part]
    return True, value


def _object(value: Any, name: str) -> dict[str, Any] | None:
    """Return *value* as an object, also out of JSON text, as warehouses export what is nested."""
    if isinstance(value, dict):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)) or (isinstance(value, str) and not value):
        return None  # NaN and "" are how pandas and exports say missing
    try:
        found = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RecordsError(f"{name} is {format_value(value)}, not an object", column=name)
    return found


def _variables(call: dict[str, Any]) -> dict[str, str | None]:
    found: list[dict[str, Any]] = []
    beside: dict[str, dict[str, Any]] = {root: {} for root in VARIABLE_ROOTS}
    for name, value in call.items():
        if isinstance(name, str) and name[:1] in "va" and (match := _FLAT_VARIABLE.fullmatch(name)):
            root = match[1] or f"{match[3]}.{VARIABLE_ROOTS[0]}"
            beside[root][match[2] or match[5]] = value
    for root, places in _ROOT_PLACES:
        found.append(beside[root])
        for name, rest in places:
            if name in call:
                is_there, value = _dig(call[name], rest, name)
                inside = _object(value, root) if is_there else None
                if inside:
                    found.append(inside)
    variables: dict[str, str | None] = {}
    for some in found:
        for key, value in some.items():
            if variables.get(key) is None:
                variables[_text(key, key)] = _variable(key, value)
    return variables


def _variable(key: object, value: Any) -> str | None:
    if isinstance(value, str):
        return _text(value, key)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        raise RecordsError(f"variable {key!r} is no JSON value", column=str(key)) from None


def _text(value: Any, name: object) -> str:
    """Return text that every engine can hold: half a surrogate pair is no character."""
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


def read_times(word: str, values: Iterable[Any]) -> list[datetime | None]:
    """Return the instants in a column *word* of Python objects.

    Raises:
        RecordsError: One is no date-time; it is named by its position.
    """
    found = []
    for position, value in enumerate(values, 1):
        try:
            found.append(None if value is None else _read(word, value))
        except RecordsError as error:
            raise RecordsError(f"call {position}: {error}", line=position, column=word) from None
    return found


def _read(word: str, value: Any) -> Any:
    """Return a record's *value* as the column *word* holds it."""
    kind = type(value)
    if word in _NUMBERS:
        if kind is float or (isinstance(value, Real | Decimal) and kind is not bool):
            try:
                number = float(value)
            except (OverflowError, ValueError):
                number = math.inf
            if not math.isinf(number):
                return None if math.isnan(number) else number
        wanted = "a number"
    elif word in _TIMES:
        if kind is not str and isinstance(value, datetime | float) and value != value:  # noqa: PLR0124 - NaT, NaN
            return None
        moment = _read_time(value)
        if moment is not None:
            if word == "createdAt" and not _BOUNDS[0] <= moment < _BOUNDS[1]:
                said = "before 1970-01-02" if moment < _BOUNDS[0] else "after the year 9000"
                raise RecordsError(f"it was created {said}, at {moment.isoformat()}", column=word)
            return moment
        wanted = "an ISO 8601 date-time"
    else:
        if kind is str or isinstance(value, str):
            return _text(value, word)
        if isinstance(value, float) and math.isnan(value):
            return None
        if isinstance(value, bool | int | float):
            return json.dumps(value)
        wanted = "text"
    raise RecordsError(f"{word} is {format_value(value)}, not {wanted}", column=word)
