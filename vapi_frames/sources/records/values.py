"""What a value of a call record means: instants, numbers and texts. `duckdb` says the same in SQL.

One grammar of instants holds everywhere: a date as ``2026-07-01`` or ``2026-W27-3``, alone or with a time of day after
``T`` or a space, and with ``Z``, ``UTC``, ``GMT`` or an offset; without a zone it is UTC. Other names of zones have
several meanings and are refused. A number counts seconds or milliseconds since 1970, which its size tells apart.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from vapi_frames.errors import RecordsError, format_value
from vapi_frames.sources.records.paths import NUMBER_COLUMNS, TIME_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "EPOCH_MILLISECONDS",
    "EPOCH_SECONDS",
    "TIME_GROUPS",
    "TIME_PATTERN",
    "WANTED",
    "check_text",
    "describe_repr",
    "describe_wrong",
    "is_missing",
    "read_text",
    "read_times",
    "read_value",
]

_TIME_OF_DAY = (
    r"(?:(24)(?::?00(?::?00(?:[.,]0+)?)?)?|([01]\d|2[0-3])(?::?([0-5]\d)(?::?([0-5]\d)(?:[.,](\d{1,6})\d*)?)?)?)"
)
_ZONE = r"(?:[Zz]|(?:UTC|GMT)?([+-])(?:([01]\d|2[0-3]):?([0-5]\d)|([01]?\d|2[0-3])(?::([0-5]\d))?)|UTC|GMT)?"
TIME_PATTERN = (
    r"[ \t\r\n]*(\d\d\d\d-\d\d-\d\d|\d\d\d\d-W\d\d(?:-[1-7])?)"
    rf"(?:(?:[Tt]| +){_TIME_OF_DAY} *{_ZONE})?[ \t\r\n]*"
)
"""An instant as text, in the syntax that Python and RE2 share."""
TIME_GROUPS = (
    "day", "midnight", "hour", "minute", "second", "fraction", "sign", "long_hours", "long_minutes", "hours", "minutes"
)  # fmt: skip
"""The names of its groups."""
EPOCH_SECONDS = (100_000_000, 100_000_000_000)
"""A number from the first to before the second counts seconds since 1970: from 1973 to 5138."""
EPOCH_MILLISECONDS = (100_000_000_000, 100_000_000_000_000)
WANTED = {
    "time": "an ISO 8601 date-time",
    "number": "a number",
    "text": "text",
    "object": "an object",
}
"""Kind of column → what its values are, for messages."""

_MATCH_TIME = re.compile(TIME_PATTERN, re.ASCII).fullmatch
_TIMES, _NUMBERS = frozenset(TIME_COLUMNS), frozenset(NUMBER_COLUMNS)
_EARLIEST, _LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_EXACT = 1 << 53  # from here on not every whole number is a double
_INTEGERS = range(-(1 << 63), 1 << 64)


def describe_wrong(column: str, value: object, wanted: str) -> str:
    """Return the message for a *value* of *column* that is not what is *wanted*."""
    return f"{column} is {format_value(value)}, not {wanted}"


def describe_repr(column: str, value: object) -> str:
    """Return the message for a *value* of *column* that Python's ``repr`` wrote in place of JSON."""
    return f"{column} is the repr of a Python object, {format_value(value)}, not JSON: write it with json.dumps"


def is_missing(value: Any) -> bool:
    """Return whether *value* is none: ``None``, NaN, or the missing value of pandas."""
    if value is None:
        return True
    if isinstance(value, float | datetime | Decimal):
        return bool(value != value)  # noqa: PLR0124 - NaN, NaT
    return type(value).__name__ == "NAType"


def _read_instant(value: Any) -> datetime | None:
    """Return the instant that *value* means, in UTC; ``None`` where it means none."""
    if isinstance(value, str):
        return _read_time_text(value)
    if isinstance(value, Real) and not isinstance(value, bool):
        return _read_epoch(value)
    if type(value) is date:
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        return None
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        return None


def _read_time_text(text: str) -> datetime | None:
    match = _MATCH_TIME(text)
    if match is None:
        return None
    day, midnight, hour, minute, second, fraction, sign, *offset = match.groups(default="")
    try:
        start = datetime.fromisoformat(day).replace(tzinfo=UTC)
        time = timedelta(
            hours=int(midnight or hour or 0),
            minutes=int(minute or 0),
            seconds=int(second or 0),
            microseconds=int(fraction.ljust(6, "0")),
        )
        east = timedelta(hours=int(offset[0] or offset[2] or 0), minutes=int(offset[1] or offset[3] or 0))
        return start + time + (east if sign == "-" else -east)
    except (ValueError, OverflowError):
        return None


def _read_epoch(number: Any) -> datetime | None:
    try:
        if EPOCH_SECONDS[0] <= number < EPOCH_SECONDS[1]:
            return _EPOCH + timedelta(microseconds=math.floor(float(number) * 1_000_000))
        if EPOCH_MILLISECONDS[0] <= number < EPOCH_MILLISECONDS[1]:
            return _EPOCH + timedelta(microseconds=math.floor(float(number) * 1_000))
    except (OverflowError, ValueError):
        return None
    return None


def read_times(column: str, values: Iterable[Any]) -> list[datetime | None]:
    """Return the instants of a *column* of Python objects.

    Raises:
        RecordsError: One is no date-time; the message has its position.
    """
    found = []
    for position, value in enumerate(values, 1):
        try:
            found.append(None if value is None else read_value(column, value))
        except RecordsError as error:
            raise RecordsError(f"call {position}: {error}", line=position, column=column) from None
    return found


def read_value(column: str, value: Any) -> Any:
    """Return a record's *value* in the type of the flat *column*: a datetime, a float or text; ``None`` for none.

    Raises:
        RecordsError: It is of another kind.
    """
    if column in _NUMBERS:
        return _read_number(column, value)
    if column in _TIMES:
        return _read_time(column, value)
    return read_text(column, value)


def _read_number(column: str, value: Any) -> float | None:
    if type(value) is float or (isinstance(value, Real | Decimal) and not isinstance(value, bool)):
        try:
            number = float(value)
        except (OverflowError, ValueError):
            number = math.inf
        if not math.isinf(number):
            return None if math.isnan(number) else number
    elif column == "cost" and isinstance(value, dict):
        total = value.get("total")
        return None if isinstance(total, dict) or is_missing(total) else _read_number(column, total)
    elif is_missing(value):
        return None
    raise RecordsError(describe_wrong(column, value, WANTED["number"]), column=column)


def _read_time(column: str, value: Any) -> datetime | None:
    if is_missing(value):
        return None
    instant = _read_instant(value)
    if instant is None:
        raise RecordsError(describe_wrong(column, value, WANTED["time"]), column=column)
    if column == "createdAt" and not _EARLIEST <= instant < _LATEST:
        when = "before 1970-01-02" if instant < _EARLIEST else "after the year 9000"
        raise RecordsError(f"it was created {when}, at {instant.isoformat()}", column=column)
    return instant


def read_text(column: str, value: Any, *, allows_objects: bool = False) -> str | None:  # noqa: PLR0911 - one a kind
    """Return the text of *value*: a number as digits where a double holds it exactly, as 7 for 7.0; true and false.

    Args:
        column: The column, or the variable, for messages.
        value: The value.
        allows_objects: Whether objects and arrays are compact JSON, as in variables; else they are errors.
    """
    if isinstance(value, str):
        return check_text(value, column)
    if is_missing(value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Integral) and int(value) in _INTEGERS:
        return str(int(value))
    if isinstance(value, Real | Decimal) and type(value).__name__ != "bool_":
        return _write_number(column, value)
    if type(value).__name__ in ("bool", "bool_"):  # of numpy
        return "true" if value else "false"
    if allows_objects:
        try:
            return check_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")), column)
        except (TypeError, ValueError, RecursionError):
            raise RecordsError(f"variable {column!r} is no JSON value", column=column) from None
    raise RecordsError(describe_wrong(column, value, WANTED["text"]), column=column)


def _write_number(column: str, value: Any) -> str:
    try:
        number = float(value)
    except (OverflowError, ValueError):
        number = math.inf
    if math.isinf(number):
        raise RecordsError(describe_wrong(column, value, WANTED["text"]), column=column)
    return str(int(number)) if number == int(number) and abs(number) < _LARGEST_EXACT else repr(number)


def check_text(value: str, name: object) -> str:
    """Return text that every engine can hold: half of a surrogate pair is no character."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise RecordsError(f"{ascii(name)[:80]} holds no Unicode text: {ascii(value)[:80]}") from None
    return value
