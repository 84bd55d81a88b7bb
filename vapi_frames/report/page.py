"""A report as HTML. The page is a tree of elements, so that text from data is escaped wherever it stands."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib import resources
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from vapi_frames.calendar.buckets import find_zone
from vapi_frames.report.charts import draw_chart
from vapi_frames.report.content import MISSING, NO_EARLIER, format_change

if TYPE_CHECKING:
    from datetime import datetime

    from vapi_frames.report.content import Cell, Content, Figure, Section, Table

__all__ = ["build_article", "render_document", "render_fragment"]

_SOURCES = {"calls": "call records", "api": "the Vapi API", "warehouse": "a warehouse", "replay": "a recording"}
_COMMON = ("calls  ", "index  ", "zone  ", "source  ", "note  ")  # the lines of `explain` that are those of the query
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def render_document(report: Content, article: ET.Element) -> str:
    """Return the page as a whole document."""
    head = _make(
        "head",
        _make("meta", charset="utf-8"),
        _make("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _make("meta", name="color-scheme", content="light dark"),
        _make("meta", **{"http-equiv": "Content-Security-Policy"}, content=_POLICY),
        _make("title", report.title),
        _make("style", _read_styles()),
    )
    page = _make("html", head, _make("body", article, **{"class": "vapi-report-page"}), lang="en")
    return f"<!DOCTYPE html>\n{ET.tostring(page, encoding='unicode', method='html')}\n"


# Nothing is loaded and nothing runs, whatever a page holds.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render_fragment(article: ET.Element) -> str:
    """Return the page for a notebook: its styles and itself."""
    return ET.tostring(_make("div", _make("style", _read_styles()), article), encoding="unicode", method="html")


def build_article(report: Content) -> ET.Element:
    """Return the page as an ``article``, without its styles."""
    return _make(
        "article",
        _make("header", _make("h1", report.title), _make("p", _describe_range(report))),
        _make("dl", *map(_build_figure, report.figures), **{"class": "figures", "aria-label": "Figures"}),
        _make("div", *map(_build_section, report.sections), _build_gaps(report), **{"class": "sections"}),
        _build_formulas(report),
        **{"class": "vapi-report"},
    )


def _describe_range(report: Content) -> str:
    text = f"{_format_span(report.start, report.end, report.zone)}, {report.zone}. Source: "
    text += f"{_SOURCES.get(report.source, 'a reply')}, fetched {_format_time(report.now, report.zone)}."
    if report.before is not None:
        text += f" Compared with {_format_span(*report.before, report.zone)}."
    return " ".join([text, *(gap for gap in report.gaps if gap.startswith(NO_EARLIER))])


def _build_figure(figure: Figure) -> ET.Element:
    parts = [_make("dt", figure.label), _make("dd", _data(figure.text, figure.value), **{"class": "number"})]
    if figure.before is not None:
        before = _data(figure.text_before, figure.before)
        change = format_change(figure.change, is_rate=figure.is_rate)
        texts = ["before: "] if change.value is None else [_data(change.text, change.value), " from "]
        parts.append(_make("dd", *texts, before, **{"class": "change"}))
    return _make("div", *parts)


def _build_section(section: Section) -> ET.Element:
    parts: list[ET.Element] = [_make("h2", section.title)]
    if section.text:
        parts.append(_make("p", section.text))
    if section.frame.empty:
        parts.append(_make("p", "No calls in this range.", **{"class": "empty"}))
    elif section.chart is not None:
        parts.append(_make("figure", draw_chart(section.chart, section.name)))
    parts.extend(_build_table(table) for table in section.tables if table.rows)
    return _make("section", *parts, id=f"report-{section.name}")


def _build_table(table: Table) -> ET.Element:
    is_text = [_is_text(cell) for cell in table.rows[0]]
    head = _make(
        "tr",
        *(
            _make("th", heading, scope="col", **({} if text else {"class": "number"}))
            for heading, text in zip(table.headings, is_text, strict=True)
        ),
    )
    rows = [
        _make("tr", _make("th", row[0].text, scope="row"), *(_build_cell(cell) for cell in row[1:]))
        for row in table.rows
    ]
    whole = _make("table", _make("caption", table.caption), _make("thead", head), _make("tbody", *rows))
    return _make("div", whole, **{"class": "scroll", "tabindex": "0", "role": "group", "aria-label": table.caption})


def _build_cell(cell: Cell) -> ET.Element:
    parts: list[ET.Element | str] = []
    if cell.share is not None:
        width = f"width: {max(0.0, min(1.0, cell.share)):.1%}"
        parts.append(_make("span", _make("span", style=width), **{"class": "bar", "aria-hidden": "true"}))
    parts.append(_data(cell.text, cell.value))
    return _make("td", *parts, **({} if _is_text(cell) else {"class": "number"}))


def _is_text(cell: Cell) -> bool:
    return cell.value is None and cell.text != MISSING


def _build_gaps(report: Content) -> ET.Element:
    gaps = report.gaps or ("Nothing is known to be partial or missing.",)
    items = _make("ul", *(_make("li", gap) for gap in gaps))
    return _make("section", _make("h2", "What is partial or missing"), items, id="report-gaps")


def _build_formulas(report: Content) -> ET.Element:
    """Return how each number comes about: for each query its code, its formulas, and what all of them share."""
    texts: dict[str, list[tuple[str, str]]] = {}
    for figure in report.figures:
        texts.setdefault(figure.query, []).append((figure.label, figure.formula))
    blocks = [
        (", ".join(label for label, _ in found), query, [one for _, one in found]) for query, found in texts.items()
    ]
    blocks += [(section.title, section.query, [*section.formulas().values()]) for section in report.sections]
    parts = []
    for title, query, formulas in blocks:
        content = _make("pre", "\n".join(_join_formulas(formulas)))
        parts.append(_make("div", _make("dt", title), _make("dd", _make("code", query)), _make("dd", content)))
    return _make(
        "section", _make("h2", "How each number comes about"), _make("dl", *parts, **{"class": "formulas"}),
        id="report-formulas",
    )  # fmt: skip


def _join_formulas(texts: list[str]) -> list[str]:
    """Return the lines of explanations, each line that they have in common once, at the end."""
    own: list[str] = []
    common: dict[str, None] = {}
    for text in texts:
        is_common = False
        for line in text.splitlines():
            if not line.startswith(" "):  # a line that begins with spaces continues the one before
                is_common = line.startswith(_COMMON)
            if is_common:
                common[line] = None
            else:
                own.append(line)
    return [*own, *common]


def _data(text: str, value: float | None) -> ET.Element | str:
    """Return a number as a reader sees it, with all its digits for a program."""
    return text if value is None else _make("data", text, value=repr(value))


def _format_span(start: datetime, end: datetime, zone: str) -> str:
    return f"{_format_time(start, zone)} to {_format_time(end, zone, is_end=True)}"


def _format_time(at: datetime, zone: str, *, is_end: bool = False) -> str:
    wall = at.astimezone(find_zone(zone))
    if is_end and (wall.hour, wall.minute, wall.second, wall.microsecond) == (0, 0, 0, 0):
        day = wall - timedelta(days=1)
        return f"{day:%B} {day.day}, {day.year}, 24:00"
    return f"{wall:%B} {wall.day}, {wall.year}, {wall:%H:%M}"


def _make(tag: str, *children: ET.Element | str, **attributes: str) -> ET.Element:
    """Return an element with texts and elements in it."""
    element = ET.Element(tag, {name: _clean(value) for name, value in attributes.items()})
    for child in children:
        if isinstance(child, ET.Element):
            element.append(child)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + _clean(child)
        else:
            element.text = (element.text or "") + _clean(child)
    return element


def _clean(text: str) -> str:
    """Return *text* without what HTML cannot hold."""
    return _CONTROL.sub("\ufffd", text)


def _read_styles() -> str:
    return resources.files("vapi_frames.report").joinpath("page.css").read_text(encoding="utf-8")
