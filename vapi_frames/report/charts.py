"""Charts as inline SVG: drawn by matplotlib, colored by the page's styles, so that they are light or dark with it."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pandas as pd

from vapi_frames.analysis import describe
from vapi_frames.calendar.buckets import FIXED_STEPS
from vapi_frames.errors import MissingExtraError
from vapi_frames.frames.meta import read_meta
from vapi_frames.plotting import PALETTE, plot

if TYPE_CHECKING:
    from vapi_frames.report.content import Chart

__all__ = ["check_matplotlib", "draw_chart"]

_SIZE = (4.8, 2.8)  # inches: its letters are as large as the page's on a phone, and larger elsewhere
_INK, _LINES = "#123123", "#321321"  # stand for the page's colors of text and of lines
_NAMES_PER_ROW = 3
_DATES = 6  # below bars
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: small, selectable, in the page's font
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _LINES,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _LINES,
    "hatch.color": _LINES,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "text.parse_math": False,
}
_COLORS = {color.lower(): f"var(--series-{place})" for place, color in enumerate(PALETTE, 1)} | {
    _INK: "currentColor",
    _LINES: "var(--lines)",
    "#999999": "var(--series-other)",
    "#666666": "var(--muted)",  # matplotlib's 0.4
    "#ffffff": "var(--page)",
}
_COLOR = re.compile("#[0-9a-f]{6}")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def check_matplotlib() -> None:
    """Raise `MissingExtraError` where matplotlib is not installed."""
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError:
        raise MissingExtraError("plot", "matplotlib", "the charts of a report") from None


def draw_chart(chart: Chart, name: str) -> ET.Element:
    """Return *chart* as an ``svg`` element without a namespace, with its description as alternative text.

    Args:
        chart: What to draw.
        name: Distinguishes its ids from those of the page's other charts.
    """
    check_matplotlib()
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # The browser draws the text, with fonts that have the letters.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        # The legend moves, and the axes are laid out again.
        warnings.filterwarnings("ignore", message="Tight layout not applied", category=UserWarning)
        figure = Figure(figsize=_SIZE)
        FigureCanvasSVG(figure)
        with pd.option_context("plotting.backend", "matplotlib"):
            axes = plot(
                chart.frame, chart.column, ax=figure.add_subplot(), title="", xlabel="", **dict(chart.options)
            )  # fmt: skip
        figure.set_layout_engine("constrained")  # from here on: the plot lays out its axes in its own way
        _finish(axes, chart)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = ET.fromstring(_UNPRINTABLE.sub("\ufffd", buffer.getvalue()))  # noqa: S314 - matplotlib wrote it
    return _clean(svg, describe(chart.frame))


def _finish(axes: Any, chart: Chart) -> None:
    """Label *axes* in the words of the page, and put the legend above."""
    for image in axes.images:
        axes.figure.colorbar(image, ax=axes, label=chart.label)
        axes.set_xlabel("hour")
        axes.set_xticks(axes.get_xticks(), [_get_text(one).removesuffix(":00") for one in axes.get_xticklabels()])
        return
    if "date" not in chart.frame.index.names:
        axes.set(xlabel=chart.label, ylabel="")
        axes.set_yticks(axes.get_yticks(), [chart.names.get(t, t) for t in map(_get_text, axes.get_yticklabels())])
        return
    axes.set_ylabel(chart.label)
    axes.set_ylim(bottom=0)
    if chart.options.get("kind") == "bar":
        _space_dates(axes, chart)
    if axes.get_legend() is not None:
        _move_legend(axes, chart)


def _space_dates(axes: Any, chart: Chart) -> None:
    """Show as many dates below bars as there is room for."""
    dates = chart.frame.index.get_level_values("date").unique().sort_values()
    step = read_meta(chart.frame).step
    every = -(-len(dates) // _DATES)
    axes.set_xticks(range(0, len(dates), every), [_format_date(at, step) for at in dates[::every]])
    axes.tick_params(axis="x", labelrotation=0)
    for tick in axes.xaxis.get_major_ticks():  # also the labels that the plot hid
        tick.label1.set(visible=True, ha="center")


def _format_date(at: Any, step: str | None) -> str:
    if step in FIXED_STEPS:
        return f"{at:%H:%M}"
    return f"{at:%b} {at.day}" if step in ("day", "week") else f"{at:%b %Y}"


def _move_legend(axes: Any, chart: Chart) -> None:
    from matplotlib.container import BarContainer
    from matplotlib.patches import Patch

    handles, labels = axes.get_legend_handles_labels()
    axes.get_legend().remove()
    # The first bar may be hatched, as a partial bucket: it is not what the color means.
    colors = [
        one.patches[0].get_facecolor()[:3] if isinstance(one, BarContainer) else one.get_color()
        for one in handles
        if isinstance(one, BarContainer) or hasattr(one, "get_color")
    ]
    if len(colors) == len(handles):
        handles = [Patch(facecolor=color) for color in colors]
    axes.figure.legend(
        handles, [chart.names.get(label, label) for label in labels], loc="outside upper left",
        ncols=_NAMES_PER_ROW, frameon=False, handlelength=1.2, columnspacing=1.2,
    )  # fmt: skip


def _get_text(label: Any) -> str:
    return str(label.get_text())


def _clean(svg: ET.Element, text: str) -> ET.Element:
    """Return *svg* as a page embeds it: without namespaces and metadata, in the page's colors, *text* in its place."""
    used = {link[1:] for one in svg.iter() for key, link in one.items() if key.endswith("href")}
    for one in svg.iter():
        one.tag = one.tag.rpartition("}")[2]
        for key in list(one.keys()):
            value = one.attrib.pop(key)
            bare = key.rpartition("}")[2]
            if bare == "id" and one.tag != "clipPath" and value not in used:
                continue
            one.set(bare, _COLOR.sub(lambda found: _COLORS.get(found[0].lower(), found[0]), value))
        if one.tag == "text":
            one.set("style", re.sub(r"font: [^;]*?([\d.]+px)[^;]*;?", r"font-size: \1;", one.get("style", "")))
    for parent in [*svg.iter()]:
        for child in [one for one in parent if one.tag in ("metadata", "style")]:  # a style is the whole page's
            parent.remove(child)
    _, _, width, height = svg.get("viewBox", "0 0 0 0").split()
    drawn = {"viewBox": f"0 0 {width} {height}", "fill": "currentColor", "stroke-linejoin": "round"}
    svg.attrib.clear()
    svg.attrib.update({**drawn, "role": "img", "aria-label": text})
    title = ET.Element("title")
    title.text = text
    svg.insert(0, title)
    return svg
