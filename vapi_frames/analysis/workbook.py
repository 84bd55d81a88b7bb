"""Frames as a workbook of Excel, with what a reader should know of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vapi_frames.analysis.describe import describe
from vapi_frames.analysis.sheets import SheetColumn, list_sheet_columns, to_cell
from vapi_frames.analysis.tables import WHOLE_DAYS, choose_format, make_unique
from vapi_frames.calendar.buckets import find_zone
from vapi_frames.errors import MissingExtraError, QueryError, format_value
from vapi_frames.files import atomic_write, expand_path
from vapi_frames.frames.layout import to_indexed
from vapi_frames.frames.meta import Meta, read_meta
from vapi_frames.frames.provenance import units
from vapi_frames.query.code import format_code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from os import PathLike

__all__ = ["to_excel"]

_ABOUT = "About"
_NAME_CHARS = 31  # of a sheet
_FORBIDDEN = re.compile(r"[\[\]:*?/\\\x00-\x1f\ud800-\udfff\ufffe\uffff]")
_MIN_WIDTH, _MAX_WIDTH = 10, 60  # of a column, in characters
_SAMPLE = 1_000  # rows that the width of a column is read from


def to_excel(path: str | PathLike[str], frames: pd.DataFrame | Mapping[str, pd.DataFrame]) -> None:
    """Write result frames as a workbook of Excel: a sheet each, and one that says what they are.

    Numbers are formatted by their unit and stored in full. The header and the levels stay in view. The sheet ``About``
    has the query, range, zone, units and notes of each frame. A value that a cell cannot hold is written as
    `for_excel` describes, so no text runs as a formula.

    Args:
        path: The file, ``.xlsx``. One that exists is replaced once the new one is whole.
        frames: A result frame, or name of the sheet → result frame.

    Raises:
        MissingExtraError: openpyxl is not installed.
        QueryError: A sheet cannot hold a frame, or a name or *path* is not one of Excel's.
        ProvenanceError: The values of a measure were changed, so its unit is uncertain.
        OSError: It cannot be written there.

    Examples:
        >>> import tempfile
        >>> import vapi_frames as vf
        >>> query = vf.demo().call().sum("cost").during("2026-10")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/spend.xlsx"
        ...     vf.to_excel(path, {"By type": query.by("type").fetch(), "Total": query.fetch()})
        ...     list(pd.read_excel(path, sheet_name=None))
        ['By type', 'Total', 'About']
    """
    try:
        from openpyxl import Workbook
    except ImportError:
        raise MissingExtraError("excel", "openpyxl", "to_excel()") from None
    target = expand_path(path)
    if target.suffix.lower() != ".xlsx":
        raise QueryError(f"to_excel() writes a workbook, and {target.name!r} does not end in .xlsx: name it so")
    sheets = {name: to_indexed(frame) for name, frame in _check_sheets(frames).items()}
    # What can be refused is, before openpyxl opens a temporary file for each sheet.
    columns = {name: list_sheet_columns(frame) for name, frame in sheets.items()}
    facts = {name: list(_list_facts(frame)) for name, frame in sheets.items()}
    with atomic_write(target) as file:
        book = Workbook(write_only=True)
        for name, frame in sheets.items():
            _write_frame(book.create_sheet(name), frame, columns[name])
        _write_about(book.create_sheet(_ABOUT), facts)
        book.save(file)


def _check_sheets(frames: Any) -> dict[str, pd.DataFrame]:
    """Return name of the sheet → frame.

    Raises:
        QueryError: There is none, or Excel does not allow its name.
    """
    sheets = {"Result": frames} if isinstance(frames, pd.DataFrame) else frames
    if not isinstance(sheets, Mapping) or not sheets:
        raise QueryError(
            f"to_excel() takes a frame, or name of a sheet → frame, not {format_value(frames)}: "
            'e.g. vf.to_excel("spend.xlsx", {"October": df})'
        )
    seen = {_ABOUT.lower(), "history"}
    for name, frame in sheets.items():
        if not isinstance(frame, pd.DataFrame):
            raise QueryError(f"sheet {format_value(name)} must be a result frame, not {format_value(frame)}")
        if not isinstance(name, str) or not name.strip() or len(name.encode("utf-16-le", "replace")) > 2 * _NAME_CHARS:
            raise QueryError(f"the name of a sheet has 1 to {_NAME_CHARS} characters, not {format_value(name)}")
        if _FORBIDDEN.search(name) or name.startswith("'") or name.endswith("'"):
            raise QueryError(
                f"Excel allows no [ ] : * ? / \\ in the name of a sheet, and no apostrophe around it: "
                f"{format_value(name)}"
            )
        if name.lower() in seen:
            raise QueryError(
                f"two sheets are named {name!r}: Excel does not tell upper and lower case apart, and has its own "
                "'History', as this workbook has 'About'"
            )
        seen.add(name.lower())
    return dict(sheets)


def _write_frame(sheet: Any, frame: pd.DataFrame, columns: list[SheetColumn]) -> None:
    """Write the header, which stays in view with the levels, and the rows."""
    meta, known = read_meta(frame), units(frame)
    headers = [str(header) for header in make_unique([one.header for one in columns])]
    formats = [_find_format(one, known, meta) for one in columns]
    levels = sum(one.is_level for one in columns)
    sheet.freeze_panes = f"{_letter(levels)}2"
    for place, (one, header) in enumerate(zip(columns, headers, strict=True)):
        sheet.column_dimensions[_letter(place)].width = _find_width(one, header)
    sheet.append([_make_cell(sheet, header, is_bold=True) for header in headers])
    cells = [[_to_plain(value) for value in one.cells.array] for one in columns]
    for row in zip(*cells, strict=True):
        sheet.append([_make_cell(sheet, value, form) for value, form in zip(row, formats, strict=True)])


def _write_about(sheet: Any, facts: dict[str, list[tuple[str, str]]]) -> None:
    """Write what a reader should know of each sheet."""
    from openpyxl.styles import Alignment

    sheet.freeze_panes = "A2"
    for letter, width in zip("ABC", (20, 24, 100), strict=True):
        sheet.column_dimensions[letter].width = width
    sheet.append([_make_cell(sheet, text, is_bold=True) for text in ("sheet", "what", "value")])
    for name, known in facts.items():
        for what, text in known:
            row = [_make_cell(sheet, value) for value in (name, what, text)]
            for cell in row:
                cell.alignment = Alignment(vertical="top", wrap_text=True)
            sheet.append(row)


def _list_facts(frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield what is known of *frame*, as (what, text)."""
    meta = read_meta(frame)
    zone = find_zone(meta.zone)

    def format_time(at: datetime | None) -> str:
        return "unknown" if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M}"

    start, end = meta.covered
    yield "description", to_cell(str(describe(frame)), "description")
    yield "query", to_cell(format_code(meta.result_query), "query")
    yield "from", format_time(start)
    yield "until", f"{format_time(end)} (exclusive)" if end else "unknown"
    yield "time zone", meta.zone
    for name, unit in units(frame).items():
        yield f"unit of {to_cell(name, name)}", unit or "none"
    yield "source", meta.source
    yield "fetched", format_time(meta.now)
    for note in meta.notes:
        yield "note", to_cell(note, "note")


def _find_format(one: SheetColumn, known: dict[str, str], meta: Meta) -> str | None:
    """Return the number format of a column, ``None`` for text and flags."""
    values = one.cells
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        if meta.step in WHOLE_DAYS:
            return "yyyy-mm-dd"
        return "yyyy-mm-dd hh:mm:ss" if meta.step in (None, "second") else "yyyy-mm-dd hh:mm"
    if not pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype) or one.is_level:
        return None
    kind, digits = choose_format(values.rename(one.name), known.get(one.name, ""))
    decimals = f".{'0' * digits}" if digits else ""
    if kind == "share":
        return f"0{decimals}%"
    number = f"#,##0{decimals}"
    if kind == "percent":
        return f'{number}"%"'
    return f'"$"{number};-"$"{number}' if kind == "dollars" else number


def _find_width(one: SheetColumn, header: str) -> float:
    """Return the width of a column in characters: that of its header, or of its texts."""
    width = len(header)
    if pd.api.types.is_datetime64_any_dtype(one.cells.dtype):
        width = max(width, len("2026-10-01 00:00:00"))
    elif not pd.api.types.is_numeric_dtype(one.cells.dtype):
        width = max([width, *(len(str(value)) for value in one.cells.head(_SAMPLE).dropna())])
    return float(min(max(width + 2, _MIN_WIDTH), _MAX_WIDTH))


def _letter(place: int) -> str:
    from openpyxl.utils import get_column_letter

    return str(get_column_letter(place + 1))


def _make_cell(sheet: Any, value: Any, form: str | None = None, *, is_bold: bool = False) -> Any:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    if isinstance(value, float):
        cell = WriteOnlyCell(sheet, value=repr(value))
        cell.data_type = "n"  # openpyxl writes 16 digits of a float, and some need 17
    else:
        cell = WriteOnlyCell(sheet, value=value)
    if isinstance(value, str):
        cell.data_type = "s"  # text that looks like an error of Excel, "#N/A", stays text
    if form is not None:
        cell.number_format = form
    if is_bold:
        cell.font = Font(bold=True)
    return cell


def _to_plain(value: Any) -> Any:
    """Return a value as openpyxl takes it: missing as ``None``, what is not finite as text."""
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime(warn=False)
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float | Decimal) and not math.isfinite(plain):
        return str(plain)
    return plain
