"""A frame as a table to be read: on a page, or in a spreadsheet."""

from __future__ import annotations

import html
import math
import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from vapi_frames.analysis.describe import describe
from vapi_frames.errors import MissingExtraError, ProvenanceError, QueryError, format_value
from vapi_frames.frames.columns import to_numpy
from vapi_frames.frames.layout import keep_layout
from vapi_frames.frames.meta import Meta, read_meta
from vapi_frames.frames.partial import partial
from vapi_frames.frames.provenance import units

if TYPE_CHECKING:
    from collections.abc import Callable

    from pandas.io.formats.style import Styler

__all__ = ["for_excel", "style"]

_WHOLE_DAYS = ("day", "week", "month", "quarter", "year", "decade", "century", "millennium")
_MISSING = "\N{EN DASH}"
_SMALL_SHARE = 0.1  # shares below have one more digit, where all are
_CSS: list[Any] = [
    {"selector": "caption", "props": "caption-side: top; text-align: left; max-width: 60em"},
    {"selector": "td", "props": "text-align: right; font-variant-numeric: tabular-nums"},
    {"selector": "th.row_heading", "props": "text-align: left; vertical-align: top; font-weight: normal"},
]

# The limits of a sheet: https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3
_MAX_ROWS = 1_048_576
_MAX_COLUMNS = 16_384
_MAX_CHARS = 32_767
_MAX_WHOLE = 10**15  # Excel keeps fifteen digits
_COUNTS = ("calls", "calls at once")
_FIRST_DATE = date(1900, 3, 1)  # before, Excel counts a 29 February 1900, which did not exist
_FORMULA = re.compile("'*{?=")  # with a brace, a formula of many cells, which one of pandas' two writers runs, too
_ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")  # what Excel reads as the code of a character
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@keep_layout
def style(frame: pd.DataFrame, caption: str | None = None) -> Styler:
    """Return *frame* as a table to be read: captioned, numbers by their unit, units and zone in the headers.

    A pandas Styler, not a table of great_tables: it needs only jinja2, has the methods that pandas users know, and
    writes HTML. It uses no color. A missing value is a dash, and the date of a partial bucket says so.

    Args:
        frame: A result frame.
        caption: The text above the table; by default, the description of the frame.

    Returns:
        A ``pandas.io.formats.style.Styler``, on which all of its own methods can be called. US dollars have ``$``, per
        cent and shares ``%``, whole numbers their thousands. Text is escaped.

    Raises:
        MissingExtraError: jinja2 is not installed.
        QueryError: *caption* is no text.
        ProvenanceError: The values of a measure were changed, so its unit is uncertain.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").count().by("type").during("2026-10").fetch()
        >>> text = df.vapi.style(caption="Spend in October").to_html()
        >>> "sumCost (USD)" in text, "$1,152.42" in text, "6,537" in text
        (True, True, True)
    """
    try:
        import jinja2  # noqa: F401 - a Styler needs it
    except ImportError:
        raise MissingExtraError("style", "jinja2", "df.vapi.style()") from None
    if caption is not None and not isinstance(caption, str):
        raise QueryError(f"caption must be text, not {format_value(caption)}")
    meta = read_meta(frame)
    known = units(frame)
    partial_dates = _find_partial_dates(frame, meta)
    text = describe(frame) if caption is None else caption
    table = frame.set_axis(
        frame.index.set_names([name and html.escape(name) for name in _level_headers(frame)]), axis=0
    )
    table.columns = _make_unique(_column_headers(frame, known))
    styler = table.style.set_caption(html.escape(text)).set_table_styles(_CSS)
    for place, name in enumerate(frame.columns):
        styler = styler.format(
            number_formatter(frame.iloc[:, place], known.get(name, ""), meta),
            subset=[table.columns[place]], na_rep=_MISSING, escape="html",
        )  # fmt: skip
    styler = styler.format_index(escape="html", axis=1)
    if frame.index.names == [None]:
        return styler.hide(axis="index")
    for place, level in enumerate(frame.index.names):
        formatter = _date_formatter(meta, partial_dates) if level == "date" else _format_group
        styler = styler.format_index(formatter, level=place, na_rep="(none)", escape="html")
    return styler


def to_text_columns(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return the levels and columns of *frame* as text, as `style` shows them: header → cells.

    Raises:
        ProvenanceError: The values of a measure were changed, so its unit is uncertain.
    """
    meta, known = read_meta(frame), units(frame)
    partial_dates = _find_partial_dates(frame, meta)
    levels = [str(name) for name in frame.index.names if name is not None]
    headers = _make_unique([*(name or "" for name in _level_headers(frame) if levels), *_column_headers(frame, known)])
    formatters: list[tuple[Any, Callable[[Any], Any] | None, str]] = [
        (
            frame.index.get_level_values(name),
            _date_formatter(meta, partial_dates) if name == "date" else _format_group,
            "(none)",
        )
        for name in levels
    ]
    formatters += [
        (frame[name], number_formatter(frame[name], known.get(name, ""), meta), _MISSING) for name in frame.columns
    ]
    return {
        str(header): [missing if pd.isna(value) else str(form(value) if form else value) for value in values]
        for header, (values, form, missing) in zip(headers, formatters, strict=True)
    }


def _find_partial_dates(frame: pd.DataFrame, meta: Meta) -> frozenset[Any]:
    """Return the dates of partial buckets."""
    if "date" not in frame.index.names or meta.step is None:
        return frozenset()
    try:
        flags = partial(frame).fillna(value=False).to_numpy(dtype=bool)
    except ProvenanceError:  # the caption says so
        return frozenset()
    return frozenset(frame.index.get_level_values("date")[flags])


def _format_group(value: Any) -> Any:
    return '""' if value == "" else value


def _date_formatter(meta: Meta, partial_dates: frozenset[Any]) -> Callable[[Any], str]:
    """Return the function that formats dates, as precise as the step."""

    def format_date(at: Any) -> str:
        if meta.step in _WHOLE_DAYS:
            text = f"{at:%Y-%m-%d}"
        else:
            text = at.isoformat(sep=" ", timespec="auto" if meta.step in (None, "second") else "minutes")
        return f"{text} (partial)" if at in partial_dates else text

    return format_date


def number_formatter(values: pd.Series, unit: str, meta: Meta) -> Callable[[Any], str] | None:
    """Return the function that formats the values of a column; ``None`` for text and flags."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return _date_formatter(meta, frozenset())
    if not pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype):
        return None
    template = _number_template(values, unit)
    return lambda value: f"{'-' if value < 0 else ''}{template.format(abs(value))}"


def _number_template(values: pd.Series, unit: str) -> str:
    """Return the template for numbers of *unit*, with as many digits as the largest one needs."""
    sizes = values.dropna().abs()
    largest = float(sizes.max()) if len(sizes) else 0.0
    if unit == "%":
        return "{:,.1f}%"
    if unit == "share" or str(values.name).startswith("successPer"):
        return "{:.1%}" if largest >= _SMALL_SHARE else "{:.2%}"
    is_whole = pd.api.types.is_integer_dtype(values.dtype) or (unit in _COUNTS and bool((sizes % 1 == 0).all()))
    digits = 0 if is_whole else 2 if largest >= 1 else 4
    return f"{'$' if unit == 'USD' or unit.startswith('USD/') else ''}{{:,.{digits}f}}"


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
    meta = read_meta(frame)
    known = units(frame)
    levels = _level_headers(frame)
    _check_size(len(frame), frame.shape[1] + sum(name is not None for name in levels))
    columns: list[tuple[str, Any]] = []
    for place, header in enumerate(levels):
        if header is not None:
            values = frame.index.get_level_values(place).to_series(index=frame.index)
            columns += _sheet_columns(header, str(frame.index.names[place]), values, meta)
            if frame.index.names[place] == "date" and (partial_dates := _find_partial_dates(frame, meta)):
                columns.append(("partial", pd.Series(values.isin(partial_dates).to_numpy())))
    for place, header in enumerate(_column_headers(frame, known)):
        columns += _sheet_columns(header, str(frame.columns[place]), frame.iloc[:, place], meta)
    table = pd.DataFrame({place: values for place, (_, values) in enumerate(columns)}, index=range(len(frame)))
    table.columns = _make_unique([_to_cell(header, header) for header, _ in columns])
    return table


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
        is_unique = name in ("date", "dateBefore") and meta.step in _WHOLE_DAYS
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
        cells = [None if pd.isna(value) else _to_cell(value, name) for value in values]
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


def _to_cell(value: Any, name: str) -> Any:
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


def _level_headers(frame: pd.DataFrame) -> list[str | None]:
    """Return one header a level of the index, with its zone; ``None`` where it has no name."""
    index = frame.index
    return [
        None if name is None else _with_zone(str(name), index.get_level_values(place).dtype)
        for place, name in enumerate(index.names)
    ]


def _column_headers(frame: pd.DataFrame, known: dict[str, str]) -> list[str]:
    """Return one header a column, with its unit or zone."""
    headers = []
    for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
        parts = name if isinstance(name, tuple) else (name,)
        text = " · ".join("(none)" if pd.isna(part) else str(part) or '""' for part in parts)
        if isinstance(name, str) and (unit := known.get(name)):
            text = f"{text} ({unit})"
        headers.append(_with_zone(text, dtype))
    return headers


def _with_zone(name: str, dtype: Any) -> str:
    zone = getattr(getattr(dtype, "pyarrow_dtype", dtype), "tz", None)
    return name if zone is None else f"{name} ({zone})"


def _make_unique(headers: list[str]) -> pd.Index:
    """Return *headers* as an index, with a number after a repeated one."""
    unique: dict[str, None] = {}
    for header in headers:
        count, text = 1, header
        while text in unique:
            count += 1
            text = f"{header} ({count})"
        unique[text] = None
    return pd.Index(list(unique), dtype=object)
