"""A frame as a table to be read, on a page or as text."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import pandas as pd

from vapi_frames.analysis.describe import describe
from vapi_frames.analysis.totals import add_up, describe_total, to_total_row
from vapi_frames.errors import MissingExtraError, ProvenanceError, QueryError, format_value
from vapi_frames.frames.layout import keep_layout
from vapi_frames.frames.meta import Meta, read_meta
from vapi_frames.frames.partial import partial
from vapi_frames.frames.provenance import units

if TYPE_CHECKING:
    from collections.abc import Callable

    from pandas.io.formats.style import Styler

__all__ = [
    "COUNTS", "WHOLE_DAYS", "choose_format", "column_headers", "find_partial_dates", "level_headers", "make_unique",
    "number_formatter", "style", "to_text_columns",
]  # fmt: skip

WHOLE_DAYS = ("day", "week", "month", "quarter", "year", "decade", "century", "millennium")
COUNTS = ("calls", "calls at once")
_MISSING = "\N{EN DASH}"
_SMALL_SHARE = 0.1  # shares below have one more digit, where all are
_LINE = "1px solid rgb(128 128 128 / 45%)"
_CSS: list[Any] = [
    {"selector": "", "props": f"border-collapse: collapse; border-bottom: {_LINE}; font-family: system-ui, sans-serif"},
    {"selector": "caption", "props": "caption-side: top; text-align: left; max-width: 60em; padding: 0.5em 0"},
    {"selector": "th, td", "props": "padding: 0.3em 0.8em"},
    {"selector": "thead th", "props": "text-align: right; vertical-align: bottom"},
    {"selector": "thead tr:last-child th", "props": f"border-bottom: {_LINE}"},
    {"selector": "thead th.index_name, thead th.blank", "props": "text-align: left"},
    {"selector": "tbody tr", "props": f"border-top: {_LINE}"},
    {"selector": "td", "props": "text-align: right; font-variant-numeric: tabular-nums"},
    {"selector": "tbody th", "props": "text-align: left; vertical-align: top; font-weight: normal"},
]
_TOTAL_CSS: list[Any] = [
    {"selector": "tbody tr:last-child", "props": "border-top: 2px solid currentColor"},
    {"selector": "tbody tr:last-child th, tbody tr:last-child td", "props": "font-weight: bold"},
]


@keep_layout
def style(frame: pd.DataFrame, caption: str | None = None, *, total: bool = False) -> Styler:
    """Return *frame* as a table for readers: captioned, numbers by their unit, units and zone in the headers.

    A pandas Styler, not a table of great_tables: it needs only jinja2, has the methods that pandas users know, and
    writes HTML. It uses no color. A missing value is a dash, and the date of a partial bucket says so.

    Args:
        frame: A result frame.
        caption: The text above the table; by default, the description of the frame.
        total: Whether a last row has the total of each measure that adds up over the rows. The others are empty there,
            and the caption names them.

    Returns:
        A ``pandas.io.formats.style.Styler``, with all of its own methods. US dollars have ``$``, percentages and shares
        ``%``, whole numbers their thousands. Text is escaped. ``to_html()`` is a page that a browser can open;
        ``to_html(doctype_html=False)`` is the table for a page of yours.

    Raises:
        MissingExtraError: jinja2 is not installed.
        QueryError: *caption* is no text, or *total* is not True or False.
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
    if not isinstance(total, bool):
        raise QueryError(f"total is True or False, not {format_value(total)}")
    from vapi_frames.analysis.page_styler import PageStyler

    meta = read_meta(frame)
    known = units(frame)
    headers = make_unique(column_headers(frame, known))
    levels = [name and html.escape(name) for name in level_headers(frame)]
    text = describe(frame) if caption is None else caption
    sums = add_up(frame, meta) if total and frame.index.names != [None] else None
    if sums is not None:
        text = f"{text} {describe_total(frame, sums)}".strip()

    def lay_out(table: pd.DataFrame) -> PageStyler:
        shown = table.set_axis(table.index.set_names(levels), axis=0)
        shown.columns = headers
        styler = PageStyler(shown)
        for place, name in enumerate(frame.columns):
            styler.format(
                number_formatter(frame.iloc[:, place], known.get(name, ""), meta),
                subset=[headers[place]], na_rep=_MISSING if table is frame else "", escape="html",
            )  # fmt: skip
        styler.format_index(escape="html", axis=1)
        return styler

    styler = lay_out(frame).set_caption(html.escape(text)).set_table_styles(_CSS)
    if frame.index.names == [None]:
        return styler.hide(axis="index")
    partial_dates = find_partial_dates(frame, meta)
    for place, level in enumerate(frame.index.names):
        formatter = _date_formatter(meta, partial_dates) if level == "date" else _format_group
        styler.format_index(formatter, level=place, na_rep="(none)", escape="html")
    if sums is not None:
        styler.concat(lay_out(to_total_row(frame, sums))).set_table_styles(_TOTAL_CSS, overwrite=False)
    return styler


def to_text_columns(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return the levels and columns of *frame* as text, as `style` shows them: header → cells.

    Raises:
        ProvenanceError: The values of a measure were changed, so its unit is uncertain.
    """
    meta, known = read_meta(frame), units(frame)
    partial_dates = find_partial_dates(frame, meta)
    levels = [str(name) for name in frame.index.names if name is not None]
    headers = make_unique([*(name or "" for name in level_headers(frame) if levels), *column_headers(frame, known)])
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


def find_partial_dates(frame: pd.DataFrame, meta: Meta) -> frozenset[Any]:
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
        if meta.step in WHOLE_DAYS:
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
    kind, digits = choose_format(values, unit)
    if kind == "share":
        return f"{{:.{digits}%}}"
    return f"{'$' if kind == 'dollars' else ''}{{:,.{digits}f}}{'%' if kind == 'percent' else ''}"


def choose_format(values: pd.Series, unit: str) -> tuple[str, int]:
    """Return how numbers of *unit* are written, as ``share``, ``percent``, ``dollars`` or ``plain``, and the digits."""
    sizes = values.dropna().abs()
    largest = float(sizes.max()) if len(sizes) else 0.0
    if unit == "%":
        return "percent", 1
    if unit == "share" or str(values.name).startswith("successPer"):
        return "share", 1 if largest >= _SMALL_SHARE else 2
    is_whole = pd.api.types.is_integer_dtype(values.dtype) or (unit in COUNTS and bool((sizes % 1 == 0).all()))
    return "dollars" if unit == "USD" or unit.startswith(
        "USD/"
    ) else "plain", 0 if is_whole else 2 if largest >= 1 else 4


def level_headers(frame: pd.DataFrame) -> list[str | None]:
    """Return one header a level of the index, with its zone; ``None`` where it has no name."""
    index = frame.index
    return [
        None if name is None else _with_zone(str(name), index.get_level_values(place).dtype)
        for place, name in enumerate(index.names)
    ]


def column_headers(frame: pd.DataFrame, known: dict[str, str]) -> list[str]:
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


def make_unique(headers: list[str]) -> pd.Index:
    """Return *headers* as an index, with a number after a repeated one."""
    unique: dict[str, None] = {}
    for header in headers:
        count, text = 1, header
        while text in unique:
            count += 1
            text = f"{header} ({count})"
        unique[text] = None
    return pd.Index(list(unique), dtype=object)
