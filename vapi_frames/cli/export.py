"""Write result frames as files: CSV or JSON, with the index as columns, or Parquet, for ``vapi_frames.load``.

Dates are ISO 8601 with the offset of their zone, and numbers have all their digits. A missing value is nothing between
two commas in CSV, where empty text is ``""``, and ``null`` in JSON.
"""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vapi_frames.errors import QueryError, ResponseError, format_value
from vapi_frames.files import atomic_write
from vapi_frames.frames.parquet import write_parquet
from vapi_frames.frames.plain import plain_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["check_path", "fill_name", "to_csv_text", "to_json_text", "write_files"]

SUFFIXES = (".parquet", ".csv", ".json")
NAME = "{name}"
# A spreadsheet runs text that begins so as a formula; a number or a phone number is none.
_FORMULA = re.compile(r"""[=@\t\r\n]|[+-](?!\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\Z|\(?\d[\d ()./-]*\Z)""", re.ASCII)
_NEEDS_QUOTES = re.compile(r'[",\r\n]|^\s|\s$|^$')


def to_csv_text(frame: pd.DataFrame, *, is_guarded: bool = False, digits: int | None = None) -> str:
    """Return *frame* as CSV.

    Args:
        frame: A result frame.
        is_guarded: Whether an apostrophe goes before text that a spreadsheet would run as a formula.
        digits: How many digits numbers have at most; all by default.

    Examples:
        >>> import vapi_frames as vf
        >>> calls = [{"id": "1", "createdAt": "2026-10-01T12:00:00Z", "type": "webCall", "cost": 0.25}]
        >>> query = vf.local(calls).call().sum("cost").by("type").step("day").tz("Asia/Tokyo").during("2026-10")
        >>> print(to_csv_text(query.fetch()), end="")
        date,type,sumCost
        2026-10-01T00:00:00+09:00,webCall,0.25
    """
    columns = _round(plain_columns(frame), digits)
    if is_guarded:
        columns = {_guard(name): [_guard(value) for value in values] for name, values in columns.items()}
    cells = [[_format_cell(value) for value in values] for values in columns.values()]
    lines = [",".join(map(_format_cell, columns)), *map(",".join, zip(*cells, strict=True))]
    return "".join((line or '""') + "\n" for line in lines)  # readers skip an empty line


def to_json_text(frame: pd.DataFrame, *, digits: int | None = None) -> str:
    """Return *frame* as JSON: a list with one object for each row.

    Args:
        frame: A result frame.
        digits: How many digits numbers have at most; all by default.

    Raises:
        ResponseError: A number is infinite, which JSON cannot represent.

    Examples:
        >>> import vapi_frames as vf
        >>> calls = [{"id": "1", "createdAt": "2026-10-01T12:00:00Z", "cost": 0.25}]
        >>> print(to_json_text(vf.local(calls).call().sum("cost").by("type").during("2026-10").fetch()), end="")
        [
        {"type": null, "sumCost": 0.25}
        ]
    """
    columns = _round(plain_columns(frame), digits)
    try:
        rows = [
            json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False, allow_nan=False)
            for row in zip(*columns.values(), strict=True)
        ]
    except ValueError:
        raise ResponseError("a number is infinite, which JSON cannot represent: write CSV or Parquet") from None
    return "[\n" + ",\n".join(rows) + "\n]\n" if rows else "[]\n"


def check_path(path: str, suffixes: Sequence[str] = SUFFIXES) -> Path:
    """Return *path* as a file that can be written.

    Raises:
        QueryError: Its suffix is not one of *suffixes*, its folder does not exist, or it is a folder.
    """
    target = Path(path)
    if target.suffix.lower() not in suffixes:
        raise QueryError(f"{path!r} must end in one of {', '.join(suffixes)}, which decides the format")
    if not target.parent.is_dir():
        raise QueryError(f"{path!r} cannot be written: there is no folder {str(target.parent)!r}")
    if target.is_dir():
        raise QueryError(f"{path!r} is a folder; name a file")
    return target


def fill_name(path: str, name: str) -> str:
    """Return *path* with the *name* of a query for ``{name}``.

    Raises:
        QueryError: The name cannot be part of a file's name.
    """
    if NAME in path and (not name.isprintable() or name.startswith(".") or re.search(r"[/\\:]", name)):
        raise QueryError(
            f"the query's name {format_value(name)} cannot be part of a file's name: choose another with .named()"
        )
    return path.replace(NAME, name)


def write_files(frames: Sequence[tuple[pd.DataFrame, Path]], *, is_guarded: bool = True) -> None:
    """Write each frame to its file; existing files are replaced once all new ones are whole.

    Args:
        frames: The frames, each with its file.
        is_guarded: Whether text in CSV is guarded, so that no spreadsheet runs it as a formula.

    Raises:
        QueryError: Parquet cannot represent a column.
        ResponseError: A number is infinite, which JSON cannot represent.
        OSError: A file cannot be written.
    """
    with ExitStack() as stack:
        for frame, target in frames:
            file = stack.enter_context(atomic_write(target))
            if target.suffix.lower() == ".parquet":
                write_parquet(frame, file)
            else:
                is_csv = target.suffix.lower() == ".csv"
                text = to_csv_text(frame, is_guarded=is_guarded) if is_csv else to_json_text(frame)
                file.write(text.encode())
            file.flush()  # a full disk is noticed before the first file is replaced


def _round(columns: dict[str, list[Any]], digits: int | None) -> dict[str, list[Any]]:
    """Return *columns* with floats of at most so many significant digits."""
    if digits is None:
        return columns
    return {
        name: [float(f"{value:.{digits}g}") if isinstance(value, float) else value for value in values]
        for name, values in columns.items()
    }


def _guard(value: Any) -> Any:
    """Return *value*, text with an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _format_cell(value: Any) -> str:
    """Return one value as CSV has it."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return repr(value)
    return '"' + value.replace('"', '""') + '"' if _NEEDS_QUOTES.search(value) else value
