"""A frame as a spreadsheet can hold it."""

from __future__ import annotations

import math
import re
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from vapi_frames.analysis.tables import WHOLE_DAYS, column_headers, find_partial_dates, level_headers, make_unique
from vapi_frames.errors import QueryError, format_value
from vapi_frames.frames.columns import to_numpy
from vapi_frames.frames.layout import keep_layout
from vapi_frames.frames.meta import Meta, read_meta
from vapi_frames.frames.provenance import units

__all__ = ["SheetColumn", "for_excel", "list_sheet_columns", "to_cell"]

# The limits of a sheet: https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3
_MAX_ROWS = 1_048_576
_MAX_COLUMNS = 16_384
_MAX_CHARS = 32_767
_MAX_WHOLE = 10**15  # Excel keeps fifteen digits
_FIRST_DATE = date(1900, 3, 1)  # before, Excel counts a 29 February 1900, which did not exist
_FORMULA = re.compile("'*{?=")  # with a brace, a formula of many cells, which one of pandas' two writers runs, too
_ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")  # what Excel reads as the code of a character
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@keep_layout
def for_excel(frame: pd.DataFrame) -> pd.DataFrame:
    """Return *frame* as a spreadsheet can hold it: ``df.vapi.for_excel().to_excel("spend.xlsx", index=False)``.

    Excel has no time zones: dates become the wall clock of theirs, which the header names. Where an hour can come
    twice, a column after them has the offset, ``-04:00``, which tells the two apart. Excel runs a text that begins with
    ``=`` as a formula, so an apostrophe comes before it. An empty cell is a missing value, so an empty text is ``""``.
    Excel reads ``_x0041_`` as the letter A, so it becomes ``_x005F_x0041_``, which Excel shows as it was; openpyxl
    writes it so (XlsxWriter would escape it again: pass ``engine="openpyxl"``).

    Args:
        frame: A result frame.

    Returns:
        The index levels, then the columns, under one row of headers that have unit or zone; a plain index from 0. Where
        a bucket is partial, a column ``partial`` after the dates says which.
        ``date`` is ``datetime64[us]``, of which Excel keeps milliseconds.

    Raises:
        QueryError: A sheet cannot hold it: more than 1,048,575 rows, 16,384 columns, 32,767 characters in a text, or
            fifteen digits of a whole number; or a date is before March 1900.
        ProvenanceError: The values of a measure were changed, so its unit is uncertain.

    Examples:
        >>> import vapi_frames as vf
        >>> query = vf.demo().call().count().step("hour").tz("America/New_York")
        >>> df = query.between("2026-11-01T01:00", "2026-11-01T03:00").fetch()
        >>> df.vapi.fill_gaps().vapi.for_excel()
          date (America/New_York) date (UTC offset)  countId (calls)
        0     2026-11-01 01:00:00            -04:00                1
        1     2026-11-01 01:00:00            -05:00                0
        2     2026-11-01 02:00:00            -05:00                2
    """
    columns = list_sheet_columns(frame)
    table = pd.DataFrame({place: one.cells for place, one in enumerate(columns)}, index=range(len(frame)))
    table.columns = make_unique([one.header for one in columns])
    return table


class SheetColumn(NamedTuple):
    """A column of a sheet.

    Attributes:
        header: Its header, with unit or zone.
        cells: Its cells, with an index from 0.
        name: The level or the column of the frame that it comes from.
        is_level: Whether it is one of the levels, or says more of one.
    """

    header: str
    cells: pd.Series
    name: str
    is_level: bool


def list_sheet_columns(frame: pd.DataFrame) -> list[SheetColumn]:
    """Return the columns of the sheet that holds *frame*, as `for_excel` describes them."""
    meta = read_meta(frame)
    known = units(frame)
    levels = level_headers(frame)
    _check_size(len(frame), frame.shape[1] + sum(name is not None for name in levels))
    columns: list[SheetColumn] = []

    def add(found: list[tuple[str, Any]], name: str, *, is_level: bool) -> None:
        columns.extend(
            SheetColumn(to_cell(header, header), values.reset_index(drop=True), name, is_level)
            for header, values in found
        )

    for place, header in enumerate(levels):
        if header is not None:
            name = str(frame.index.names[place])
            values = frame.index.get_level_values(place).to_series(index=frame.index)
            add(_sheet_columns(header, name, values, meta), name, is_level=True)
            if name == "date" and (partial_dates := find_partial_dates(frame, meta)):
                add([("partial", pd.Series(values.isin(partial_dates).to_numpy()))], "partial", is_level=True)
    for place, header in enumerate(column_headers(frame, known)):
        name = str(frame.columns[place])
        add(_sheet_columns(header, name, frame.iloc[:, place], meta), name, is_level=False)
    return columns


def _check_size(rows: int, columns: int) -> None:
    if rows > _MAX_ROWS - 1:
        raise QueryError(
            f"the frame has {rows:,} rows, and a sheet of Excel holds {_MAX_ROWS - 1:,} below its header: roll up, "
            "select rows, or write Parquet with .vapi.save(path)"
        )
    if columns > _MAX_COLUMNS:
        raise QueryError(f"the frame has {columns:,} columns, and a sheet of Excel holds {_MAX_COLUMNS:,}")


def _sheet_columns(header: str, name: str, values: pd.Series, meta: Meta) -> list[tuple[str, Any]]:
    """Return the columns of a sheet that *values* become, as (header, values)."""
    dtype: Any = values.dtype
    if pd.api.types.is_datetime64_any_dtype(dtype):
        wall = values.dt.tz_localize(None).reset_index(drop=True)
        if len(wall) and (wall < pd.Timestamp(_FIRST_DATE)).any():
            raise QueryError(
                f"{name!r} has {wall.min():%Y-%m-%d}, and Excel has no date before {_FIRST_DATE}: take a finer step"
            )
        # Two buckets of a day or longer never begin at one time of the wall clock.
        is_unique = name in ("date", "dateBefore") and meta.step in WHOLE_DAYS
        if str(values.dt.tz) in ("None", "UTC") or is_unique:
            return [(header, wall)]
        offsets = [None if pd.isna(at) else _format_offset(at) for at in values]
        return [(header, wall), (f"{name} (UTC offset)", pd.Series(offsets, dtype=object))]
    if pd.api.types.is_integer_dtype(dtype):
        if len(values) and not values.isna().all():
            _check_digits(name, int(values.max()), int(values.min()))
    elif pd.api.types.is_float_dtype(dtype):
        plain = to_numpy(values).astype(np.float64)
        whole = plain[np.isfinite(plain) & (np.floor(plain) == plain)]
        if len(whole):
            _check_digits(name, int(whole.max()), int(whole.min()))
    elif not pd.api.types.is_numeric_dtype(dtype):
        cells = [None if pd.isna(value) else to_cell(value, name) for value in values]
        return [(header, pd.Series(cells, dtype=object))]
    return [(header, values.reset_index(drop=True))]


def _check_digits(name: str, *numbers: int) -> None:
    """Raise `QueryError` where one of *numbers* is larger than Excel keeps."""
    for number in numbers:
        if abs(number) > _MAX_WHOLE:
            raise QueryError(
                f"{name!r} has a number of more than fifteen digits, {number:,}, and Excel keeps no more: make it "
                f"text, df[{name!r}].map(str)"
            )


def _format_offset(at: pd.Timestamp) -> str:
    text = at.strftime("%z")
    return ":".join(part for part in (text[:3], text[3:5], text[5:]) if part)


def to_cell(value: Any, name: str) -> Any:
    """Return *value* so that a cell shows it as it is: not run as a formula, nothing lost in the file."""
    if not isinstance(value, str):
        number = cast("float", value) if isinstance(value, int | float | np.number | Decimal) else math.nan
        if (isinstance(value, int) or math.isfinite(number)) and number == number // 1:
            _check_digits(name, int(number))
        return value
    if value == "":
        return '""'
    text = _ESCAPE.sub("_x005F_", value)
    text = _UNWRITABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    text = f"'{text}" if _FORMULA.match(text) else text
    if len(text) > _MAX_CHARS // 2 and (size := len(text.encode("utf-16-le")) // 2) > _MAX_CHARS:  # as Excel counts
        raise QueryError(
            f"a text in {format_value(name)} has {size:,} characters, and a cell of Excel holds {_MAX_CHARS:,}"
        )
    return text
