"""A frame as a table that is read: on a page, or in a spreadsheet."""

from __future__ import annotations

import html
import re
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd

from vapi_frames.analysis.describe import describe
from vapi_frames.errors import MissingExtraError, ProvenanceError, QueryError, format_value
from vapi_frames.frames.meta import Meta, read_meta
from vapi_frames.frames.partial import partial
from vapi_frames.frames.provenance import units

if TYPE_CHECKING:
    from collections.abc import Callable

    from pandas.io.formats.style import Styler

__all__ = ["for_excel", "style"]

_DAYS = ("day", "week", "month", "quarter", "year", "decade", "century", "millennium")
_NOTHING = "\N{EN DASH}"
_SMALL = 0.1  # shares that are all smaller have a digit more
_CSS: list[Any] = [
    {"selector": "caption", "props": "caption-side: top; text-align: left; max-width: 60em"},
    {"selector": "td", "props": "text-align: right; font-variant-numeric: tabular-nums"},
    {"selector": "th.row_heading", "props": "text-align: left; vertical-align: top; font-weight: normal"},
]

# What a sheet of Excel holds: https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3
_ROWS = 1_048_576
_COLUMNS = 16_384
_TEXT = 32_767
_WHOLE = 10**15  # Excel keeps fifteen digits
_FIRST = date(1900, 3, 1)  # before, Excel counts a day that was not
_FORMULA = re.compile("'*{?=")  # with a brace, of many cells: one of pandas' two writers runs that, too
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def style(frame: pd.DataFrame, caption: str | None = None) -> Styler:
    """Return *frame* as a table to be read: captioned, numbers by their unit, units and zone in the headers.

    It is a Styler of pandas, not a table of great_tables: it needs jinja2 alone, goes on with what its users know of
    pandas, and writes HTML. No color is used; what is missing is a dash, and a partial bucket says so in words.

    Args:
        frame: A result frame.
        caption: What stands above; what `describe` says of the frame, by default.

    Returns:
        A ``pandas.io.formats.style.Styler``, on which all of its own methods can be called. US dollars have ``$``, per
        cent and shares ``%``, whole numbers their thousands. Text is escaped.

    Raises:
        MissingExtraError: jinja2 is not installed.
        ProvenanceError: The values of a measure were changed, so that its unit may be another.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").count().by("type").during("2026-10").fetch()
        >>> text = df.vapi.style(caption="Spend in October").to_html()
        >>> "sumCost (USD)" in text, "$1,152.42" in text, "6,537" in text
        (True, True, True)
    """
    try:
        import jinja2  # noqa: F401 - what a Styler is made with
    except ImportError:
        raise MissingExtraError("style", "jinja2", "df.vapi.style()") from None
    meta = read_meta(frame)
    known = units(frame)
    cut = _cut(frame, meta)
    said = describe(frame) if caption is None else caption
    table = frame.set_axis(frame.index.set_names([name and html.escape(name) for name in _levels(frame)]), axis=0)
    table.columns = _flat(_headers(frame, known))
    styler = table.style.set_caption(html.escape(said)).set_table_styles(_CSS)
    for place, name in enumerate(frame.columns):
        styler = styler.format(
            _number(frame.iloc[:, place], known.get(name, ""), meta),
            subset=[table.columns[place]], na_rep=_NOTHING, escape="html",
        )  # fmt: skip
    styler = styler.format_index(escape="html", axis=1)
    if frame.index.names == [None]:
        return styler.hide(axis="index")
    for place, level in enumerate(frame.index.names):
        words = _dated(meta, cut) if level == "date" else _word
        styler = styler.format_index(words, level=place, na_rep="(none)", escape="html")
    return styler


def _cut(frame: pd.DataFrame, meta: Meta) -> frozenset[Any]:
    """Return the dates whose bucket is partial."""
    if "date" not in frame.index.names or meta.step is None:
        return frozenset()
    try:
        flags = partial(frame).fillna(value=False).to_numpy(dtype=bool)
    except ProvenanceError:  # the caption says that it is not known
        return frozenset()
    return frozenset(frame.index.get_level_values("date")[flags])


def _word(value: Any) -> Any:
    return '""' if value == "" else value


def _dated(meta: Meta, cut: frozenset[Any]) -> Callable[[Any], str]:
    def write(at: Any) -> str:
        if meta.step in _DAYS:
            text = f"{at:%Y-%m-%d}"
        else:
            text = at.isoformat(sep=" ", timespec="auto" if meta.step in (None, "second") else "minutes")
        return f"{text} (partial)" if at in cut else text

    return write


def _number(values: pd.Series, unit: str, meta: Meta) -> Callable[[Any], str] | None:
    """Return how the values of a column are written; ``None`` for text and flags."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return _dated(meta, frozenset())
    if not pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype):
        return None
    form = _form(values, unit)
    return lambda value: f"{'-' if value < 0 else ''}{form.format(abs(value))}"


def _form(values: pd.Series, unit: str) -> str:
    """Return the form of numbers of a unit, with as many digits as the largest one asks for."""
    there = values.dropna().abs()
    most = float(there.max()) if len(there) else 0.0
    if unit == "%":
        return "{:,.1f}%"
    if unit == "share" or str(values.name).startswith("successPer"):
        return "{:.1%}" if most >= _SMALL else "{:.2%}"
    is_whole = pd.api.types.is_integer_dtype(values.dtype) or (unit == "calls" and bool((there % 1 == 0).all()))
    digits = 0 if is_whole else 2 if most >= 1 else 4
    return f"{'$' if unit == 'USD' or unit.startswith('USD/') else ''}{{:,.{digits}f}}"


def for_excel(frame: pd.DataFrame) -> pd.DataFrame:
    """Return *frame* as a spreadsheet can hold it: ``df.vapi.for_excel().to_excel("spend.xlsx", index=False)``.

    Excel knows no zones: dates become the wall clock of their own, which their header names. Where an hour may come
    twice, a column beside them has the offset, ``-04:00``, that tells the two apart. Excel reads a text that begins
    with ``=`` as a formula: it gets an apostrophe in front. An empty text is written ``""``, for an empty cell is a
    missing value.

    Args:
        frame: A result frame.

    Returns:
        The index levels, then the columns, under one row of headers that have unit or zone; a plain index from 0. Where
        a bucket is partial, a column ``partial`` after the dates says which.
        ``date`` is ``datetime64[us]``, of which Excel keeps milliseconds.

    Raises:
        QueryError: A sheet has no room for it: more than 1,048,575 rows, 16,384 columns, 32,767 characters of a text,
            or fifteen digits; or a date is before March 1900.
        ProvenanceError: The values of a measure were changed, so that its unit may be another.

    Examples:
        >>> import vapi_frames as vf
        >>> question = vf.demo().call().count().step("hour").tz("America/New_York")
        >>> df = question.between("2026-11-01T01:00", "2026-11-01T03:00").fetch()
        >>> df.vapi.fill_gaps().vapi.for_excel()
          date (America/New_York) date (UTC offset)  countId (calls)
        0     2026-11-01 01:00:00            -04:00                1
        1     2026-11-01 01:00:00            -05:00                0
        2     2026-11-01 02:00:00            -05:00                2
    """
    meta = read_meta(frame)
    known = units(frame)
    levels = _levels(frame)
    _check_room(len(frame), frame.shape[1] + sum(name is not None for name in levels))
    found: list[tuple[str, Any]] = []
    for place, level in enumerate(levels):
        if level is not None:
            values = frame.index.get_level_values(place).to_series(index=frame.index)
            found += _cells(level, str(frame.index.names[place]), values, meta)
            if frame.index.names[place] == "date" and (cut := _cut(frame, meta)):
                found.append(("partial", pd.Series(values.isin(cut).to_numpy())))
    for place, header in enumerate(_headers(frame, known)):
        found += _cells(header, str(frame.columns[place]), frame.iloc[:, place], meta)
    table = pd.DataFrame({place: values for place, (_, values) in enumerate(found)}, index=range(len(frame)))
    table.columns = _flat([_written(header, header) for header, _ in found])
    return table


def _check_room(rows: int, columns: int) -> None:
    if rows > _ROWS - 1:
        raise QueryError(
            f"the frame has {rows:,} rows, and a sheet of Excel room for {_ROWS - 1:,} below its header: roll up, "
            "choose rows, or .save() it as Parquet"
        )
    if columns > _COLUMNS:
        raise QueryError(f"the frame has {columns:,} columns, and a sheet of Excel room for {_COLUMNS:,}")


def _cells(header: str, name: str, values: pd.Series, meta: Meta) -> list[tuple[str, Any]]:
    """Return the columns of a sheet that *values* become."""
    dtype: Any = values.dtype
    if pd.api.types.is_datetime64_any_dtype(dtype):
        wall = values.dt.tz_localize(None).reset_index(drop=True)
        if len(wall) and (wall < pd.Timestamp(_FIRST)).any():
            raise QueryError(
                f"{name!r} has {wall.min():%Y-%m-%d}, and Excel no date before {_FIRST}: take a finer step"
            )
        is_clear = name in ("date", "dateBefore") and meta.step in _DAYS  # no two of whose buckets begin at one reading
        if str(values.dt.tz) in ("None", "UTC") or is_clear:
            return [(header, wall)]
        offsets = [None if pd.isna(at) else _offset(at) for at in values]
        return [(header, wall), (f"{name} (UTC offset)", pd.Series(offsets, dtype=object))]
    if pd.api.types.is_integer_dtype(dtype):
        if len(values) and (int(values.max()) > _WHOLE or int(values.min()) < -_WHOLE):
            raise QueryError(f"{name!r} has a number of more than fifteen digits, which Excel does not keep")
    elif not pd.api.types.is_numeric_dtype(dtype):
        written = [None if pd.isna(value) else _written(value, name) for value in values]
        return [(header, pd.Series(written, dtype=object))]
    return [(header, values.reset_index(drop=True))]


def _offset(at: pd.Timestamp) -> str:
    text = at.strftime("%z")
    return ":".join(part for part in (text[:3], text[3:5], text[5:]) if part)


def _written(value: Any, name: str) -> Any:
    """Return a value as a cell holds it: no formula, and nothing that is not there after it was written."""
    if not isinstance(value, str):
        return value
    if value == "":
        return '""'
    text = _UNWRITABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
    text = f"'{text}" if _FORMULA.match(text) else text
    if len(text) > _TEXT // 2 and (size := len(text.encode("utf-16-le")) // 2) > _TEXT:  # as Excel counts them
        raise QueryError(
            f"a text of {format_value(name)} has {size:,} characters, and a cell of Excel room for {_TEXT:,}"
        )
    return text


def _levels(frame: pd.DataFrame) -> list[str | None]:
    """Return one text a level of the index, with its zone; ``None`` where it has no name."""
    index = frame.index
    return [
        None if name is None else _zoned(str(name), index.get_level_values(place).dtype)
        for place, name in enumerate(index.names)
    ]


def _headers(frame: pd.DataFrame, known: dict[str, str]) -> list[str]:
    """Return one text a column, with its unit or zone."""
    found = []
    for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
        parts = name if isinstance(name, tuple) else (name,)
        text = " · ".join("(none)" if pd.isna(part) else str(part) or '""' for part in parts)
        if isinstance(name, str) and (unit := known.get(name)):
            text = f"{text} ({unit})"
        found.append(_zoned(text, dtype))
    return found


def _zoned(name: str, dtype: Any) -> str:
    zone = getattr(getattr(dtype, "pyarrow_dtype", dtype), "tz", None)
    return name if zone is None else f"{name} ({zone})"


def _flat(headers: list[str]) -> pd.Index:
    """Return headers that differ, as an index."""
    found: dict[str, None] = {}
    for header in headers:
        count, text = 1, header
        while text in found:
            count += 1
            text = f"{header} ({count})"
        found[text] = None
    return pd.Index(list(found), dtype=object)
