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

from vapi_frames.contract.packed_rows import PackedRows
from vapi_frames.errors import ResponseError, format_value
from vapi_frames.query.schema import get_column_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vapi_frames.query.aggregation import Aggregation

__all__ = ["Cells", "read_date_texts", "read_numbers", "read_texts"]

_BLOCK = 2_000  # rows that are compared and split while they are in the processor's cache


class Cells:
    """The values of rows, by key.

    Args:
        rows: The rows as received, at least one.
        root: Where in the reply they are, as JSON path.

    Attributes:
        root: Where in the reply they are.
        keys: The keys that any of them has.

    Raises:
        ResponseError: One of them is no object.
    """

    def __init__(self, rows: Sequence[Any], root: str) -> None:
        self.root = root
        self._rows = rows
        self._columns: dict[Any, list[Any]] = {}
        self.keys: set[Any] = set()
        if isinstance(rows, PackedRows):
            self.keys.update(rows.table.column_names)
        else:
            self._split(rows)

    def _split(self, rows: Sequence[Any]) -> None:
        if set(map(type, rows)) != {dict}:
            position = next(i for i, row in enumerate(rows) if type(row) is not dict)
            raise ResponseError(
                f"a row must be an object, not {format_value(rows[position])}", path=f"{self.root}[{position}]"
            )
        self._rows = rows
        self._columns = _split_columns(rows)
        self.keys = set(self._columns) if self._columns else set().union(*rows)

    def packed(self, key: str) -> pa.ChunkedArray | None:
        """Return the values of *key*, text or float64, where the rows came as columns."""
        return self._rows.table.column(key) if isinstance(self._rows, PackedRows) and key in self.keys else None

    def column(self, key: str, *, optional: bool = False) -> list[Any]:
        """Return the values of *key*; what is missing is ``None`` where it is optional.

        Raises:
            ResponseError: A row lacks it.
        """
        if isinstance(self._rows, PackedRows):
            self._split(self._rows.unpack())
        if key in self._columns:
            return self._columns[key]
        if optional:
            return [row.get(key) for row in self._rows]
        try:
            return list(map(itemgetter(key), self._rows))
        except KeyError:
            position = next(i for i, row in enumerate(self._rows) if key not in row)
            has = ", ".join(map(str, self._rows[position])) or "no key"
            raise ResponseError(f"the row has no {key!r}; it has {has}", path=f"{self.root}[{position}]") from None


def _split_columns(rows: Sequence[dict[Any, Any]]) -> dict[Any, list[Any]]:
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


def read_texts(cells: Cells, key: str) -> pa.Array | pa.ChunkedArray:
    """Return the values of a group as text: missing stays missing, any other JSON value becomes its JSON text.

    Raises:
        ResponseError: A value cannot be text, such as half of a surrogate pair.
    """
    packed = cells.packed(key)
    if packed is not None and packed.type == pa.string():
        return packed
    return _as_texts(cells.column(key, optional=True), cells.root)


def _as_texts(values: list[Any], root: str) -> pa.Array:
    try:
        try:
            return pa.array(values, pa.string())
        except pa.ArrowTypeError:  # not all are text
            texts = [v if v is None or isinstance(v, str) else json.dumps(v, default=str) for v in values]
            return pa.array(texts, pa.string())
    except (UnicodeEncodeError, RecursionError, ValueError) as error:
        raise ResponseError(f"the value of a group cannot be stored as text: {error}", path=root) from None


def read_date_texts(cells: Cells) -> pa.Array | pa.ChunkedArray:
    """Return dates as text, each distinct one once.

    Raises:
        ResponseError: A value is no text.
    """
    packed = cells.packed("date")
    if packed is not None and packed.type == pa.string() and not packed.null_count:
        return packed.dictionary_encode()
    values = cells.column("date")
    if set(map(type, values)) != {str}:
        place = next(i for i, text in enumerate(values) if type(text) is not str)
        path = f"{cells.root}[{place}].date"
        raise ResponseError(f"{format_value(values[place])} is not an ISO 8601 date", path=path)
    return _as_texts(values, cells.root).dictionary_encode()


def read_numbers(cells: Cells, one: Aggregation) -> pa.Array | pa.ChunkedArray:
    """Return the values of the measure *one*, JSON numbers or text of numbers, in its type; a missing count is 0.

    Raises:
        ResponseError: A value is no finite number, or a count is not whole.
    """
    type_ = get_column_type(one)
    packed = cells.packed(one.wire_name)
    if packed is not None:
        numbers = _cast_packed(packed, type_)
        if numbers is not None:
            return numbers.fill_null(0) if type_ == pa.int64() else numbers
    values = cells.column(one.wire_name)
    path = cells.root
    try:
        numbers = _cast(pa.array(values), type_)  # one type for all; Arrow does not take true for a number
    except _NOT_PLAIN:
        numbers = None  # one value is not as the others: _read_number reads it, or names it
    if numbers is None:
        numbers = pa.array([_read_number(v, one, f"{path}[{i}]") for i, v in enumerate(values)], type_)
    if type_ == pa.int64():
        return numbers.fill_null(0)
    if not _is_all_true("is_finite", numbers):
        position = pc.call_function("is_finite", [numbers]).to_pylist().index(False)
        raise ResponseError(
            f"{format_value(values[position])} is not a finite number", path=f"{path}[{position}].{one.wire_name}"
        )
    return numbers


_NOT_PLAIN = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError)
_LAST_WHOLE = 2**53 - 1  # above it, a float may stand for another whole number than the one that was sent


def _cast(raw: pa.Array, type_: pa.DataType) -> pa.Array | None:
    """Return *raw* in the type of a measure, ``None`` where Arrow reads more into its values than they say.

    Arrow would cut 42.9 to 42 and read "0x10", so it casts counts only where they are plain.
    """
    if (
        raw.type in (pa.int64(), pa.null())
        or (type_ != pa.int64() and raw.type == pa.float64())
        or (raw.type == pa.string() and (type_ != pa.int64() or _is_all_true("ascii_is_decimal", raw)))
    ):
        return raw.cast(type_)
    return None


def _cast_packed(raw: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray | None:
    """Return packed values in the type of a measure, ``None`` where each value has to be looked at."""
    try:
        if type_ == pa.int64() and raw.type == pa.float64():
            ends = pc.call_function("min_max", [raw]).as_py()
            is_exact = ends["min"] is None or max(-ends["min"], ends["max"]) <= _LAST_WHOLE
            return raw.cast(type_) if is_exact else None  # it refuses a fraction
        numbers = _cast(raw, type_)
    except _NOT_PLAIN:
        return None
    if numbers is None or (type_ != pa.int64() and not _is_all_true("is_finite", numbers)):
        return None
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
