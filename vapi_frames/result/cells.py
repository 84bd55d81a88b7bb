"""The values of a reply's rows, read column by column: no object is made per row.

The query decides the types, not the data: a number may come as a JSON number or as text.
"""

from __future__ import annotations

import json
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from vapi_frames.errors import ResponseError, format_value
from vapi_frames.query.schema import get_column_type

if TYPE_CHECKING:
    from vapi_frames.query.aggregation import Aggregation

__all__ = ["Cells", "read_date_texts", "read_numbers", "read_texts"]

_BLOCK = 2_000  # rows that are compared and split while they are in the processor's cache


class Cells:
    """The values of rows, by key.

    Args:
        rows: The rows as received, at least one.
        root: Where in the reply they are, as JSON path.

    Attributes:
        keys: The keys that any of them has.

    Raises:
        ResponseError: One of them is no object.
    """

    def __init__(self, rows: list[Any], root: str) -> None:
        if set(map(type, rows)) != {dict}:
            position = next(i for i, row in enumerate(rows) if type(row) is not dict)
            raise ResponseError(
                f"a row must be an object, not {format_value(rows[position])}", path=f"{root}[{position}]"
            )
        self._rows, self._root = rows, root
        self._columns = _split_columns(rows)
        self.keys: set[Any] = set(self._columns) if self._columns else set().union(*rows)

    def column(self, key: str, *, optional: bool = False) -> list[Any]:
        """Return the values of *key*; what is missing is ``None`` where it is optional.

        Raises:
            ResponseError: A row lacks it.
        """
        if key in self._columns:
            return self._columns[key]
        if optional:
            return [row.get(key) for row in self._rows]
        try:
            return list(map(itemgetter(key), self._rows))
        except KeyError:
            position = next(i for i, row in enumerate(self._rows) if key not in row)
            has = ", ".join(map(str, self._rows[position])) or "no key"
            raise ResponseError(f"the row has no {key!r}; it has {has}", path=f"{self._root}[{position}]") from None


def _split_columns(rows: list[dict[Any, Any]]) -> dict[Any, list[Any]]:
    """Return the columns of *rows* where all have the same keys in the same order, as nearly always; else nothing.

    No row has a key twice. So all rows have the keys of the first exactly where their keys, one row after the other,
    are the keys of the first, repeated.
    """
    keys = list(rows[0])
    columns: list[list[Any]] = [[] for _ in keys]
    for begin in range(0, len(rows), _BLOCK):
        block = rows[begin : begin + _BLOCK]
        if list(chain.from_iterable(block)) != keys * len(block):
            return {}
        values = list(chain.from_iterable(map(dict.values, block)))
        for place, column in enumerate(columns):
            column.extend(values[place :: len(keys)])
    return dict(zip(keys, columns, strict=True))


def read_texts(values: list[Any], root: str) -> pa.Array:
    """Return group values as text: missing stays missing, any other JSON value becomes its JSON text.

    Raises:
        ResponseError: A value cannot be text, such as half of a surrogate pair.
    """
    try:
        try:
            return pa.array(values, pa.string())
        except pa.ArrowTypeError:  # not all are text
            texts = [v if v is None or isinstance(v, str) else json.dumps(v, default=str) for v in values]
            return pa.array(texts, pa.string())
    except (UnicodeEncodeError, RecursionError, ValueError) as error:
        raise ResponseError(f"the value of a group cannot be stored as text: {error}", path=root) from None


def read_date_texts(values: list[Any], root: str) -> pa.Array:
    """Return dates as text, each distinct one once.

    Raises:
        ResponseError: A value is no text.
    """
    if set(map(type, values)) != {str}:
        place = next(i for i, text in enumerate(values) if type(text) is not str)
        raise ResponseError(f"{format_value(values[place])} is not an ISO 8601 date", path=f"{root}[{place}].date")
    return read_texts(values, root).dictionary_encode()


def read_numbers(values: list[Any], one: Aggregation, root: str) -> pa.Array:
    """Return *values*, JSON numbers or text of numbers, in the type of the measure *one*; a missing count is 0.

    Raises:
        ResponseError: A value is no finite number, or a count is not whole.
    """
    type_ = get_column_type(one)
    numbers = None
    try:
        raw = pa.array(values)  # one type for all; Arrow does not take true for a number
        # Arrow would cut 42.9 to 42 and read "0x10", so it casts counts only where they are plain.
        if (
            raw.type in (pa.int64(), pa.null())
            or (type_ != pa.int64() and raw.type == pa.float64())
            or (raw.type == pa.string() and (type_ != pa.int64() or _is_all_true("ascii_is_decimal", raw)))
        ):
            numbers = raw.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError):
        pass  # one value is not as the others: _read_number reads it, or names it
    if numbers is None:
        numbers = pa.array([_read_number(v, one, f"{root}[{i}]") for i, v in enumerate(values)], type_)
    if type_ == pa.int64():
        return numbers.fill_null(0)
    if not _is_all_true("is_finite", numbers):
        position = pc.call_function("is_finite", [numbers]).to_pylist().index(False)
        raise ResponseError(
            f"{format_value(values[position])} is not a finite number", path=f"{root}[{position}].{one.wire_name}"
        )
    return numbers


def _is_all_true(condition: str, values: pa.Array) -> bool:
    """Return whether the *condition*, a function of Arrow's, holds for all of *values* that are not missing."""
    return pc.call_function("all", [pc.call_function(condition, [values])]).as_py() is not False


def _read_number(value: Any, one: Aggregation, path: str) -> float | int | None:
    if value is None:
        return None
    try:
        if isinstance(value, bool) or (isinstance(value, str) and ("_" in value or not value.isascii())):
            raise ValueError  # noqa: TRY301 - Python reads them as numbers, JSON does not
        number = float(value)
        if one.operation != "count":
            return number
        whole = int(value) if isinstance(value, str) and value.strip().lstrip("+-").isdecimal() else int(number)
        if whole == number and abs(whole) < 2**63:
            return whole
    except (TypeError, ValueError, OverflowError):
        pass
    what = "a whole number" if one.operation == "count" else "a number"
    raise ResponseError(f"{format_value(value)} is not {what}", path=f"{path}.{one.wire_name}")
