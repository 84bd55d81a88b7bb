"""Charts through pandas' plotting backend: the one that fits the shape of a result frame."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from vapi_frames.errors import MissingExtraError, QueryError, format_value, require
from vapi_frames.frames.layout import keep_layout
from vapi_frames.plotting.chart_data import prepare_charts
from vapi_frames.plotting.marks import read_marks, read_references
from vapi_frames.plotting.theme import PALETTE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vapi_frames.plotting.chart import ChartData
    from vapi_frames.plotting.marks import Mark

__all__ = ["PALETTE", "plot"]

_KINDS = ("line", "bar", "barh", "area", "heatmap")
_REFUSED = {
    "pie": "angles are hard to compare: kind='barh' shows the same parts, and .vapi.share(...) their per cent",
    "box": 'a box needs each call, and a row sums up many: ask for .quantile("duration", 0.95), or draw the calls of '
    ".vapi.drill()",
    "scatter": "a point needs two measures of one call: draw the calls of .vapi.drill() with DataFrame.plot",
}
_REFUSED |= dict.fromkeys(("hist", "kde", "density"), _REFUSED["box"].replace("a box", "a distribution"))
_REFUSED["hexbin"] = _REFUSED["scatter"]


@keep_layout
def plot(
    frame: pd.DataFrame,
    column: str | Sequence[str] | None = None,
    *,
    kind: str | None = None,
    subplots: bool | None = None,
    mark: Any = None,
    reference: Any = None,
    values: bool = False,
    **options: Any,
) -> Any:
    """Draw the chart that fits *frame*: lines over time, partial buckets dashed; bars by group; cards for one row.

    A typical week by weekday and hour is a heat map, of the mean per slot. Measures of one unit share an axis: parts of
    the cost stack by group, others stand side by side. Measures of several units, and several measures by group over
    time, have a chart each, one below the other.

    With more groups than colors, the largest are drawn. The rest is one more line where the measure adds up; where it
    does not, it is left out and the title says so. The other period of a comparison is dotted. Titles and legends say
    in words what the columns are.

    Args:
        frame: A result frame.
        column: The measure, by its own name or the API's column, or several; by default all.
        kind: ``line``, ``bar``, ``barh``, ``area``, or ``heatmap`` of two levels.
        subplots: ``True`` for a chart for each measure, or of one measure for each line. ``False`` refuses more than
            one.
        mark: A date, a pair of dates, or label → either, to mark on a chart over time.
        reference: A number, or label → number, to draw as a line to compare with.
        values: Whether to write the value of each bar or cell, and the total of a stack.
        options: Passed on to ``DataFrame.plot``, e.g. ``stacked=True``, ``title``, ``ax``.

    Returns:
        The matplotlib Axes, an array of them where there are several charts, or what another plotting backend returns.

    Raises:
        QueryError: The frame has no rows, or an option does not fit it.
        MissingExtraError: matplotlib is pandas' plotting backend and is not installed.
    """
    backend = pd.get_option("plotting.backend")
    if backend == "matplotlib":
        try:
            import matplotlib as mpl  # noqa: F401
        except ImportError:
            raise MissingExtraError("plot", "matplotlib", "df.vapi.plot()") from None
    _check_kind(kind)
    if subplots is not None and not isinstance(subplots, bool):
        raise QueryError(f"subplots is True or False, not {format_value(subplots)}: name the measures in column=[...]")
    charts = prepare_charts(frame, column, kind, subplots=subplots)
    marks, references = read_marks(mark, charts[0]), read_references(reference)
    if references and charts[0].kind in ("heat", "cards"):
        raise QueryError("reference is a line along an axis, and this chart has none: leave it out")
    if kind is not None and kind != "heatmap":
        options["kind"] = kind
    _check_values(values, charts, options)
    if backend != "matplotlib":
        from vapi_frames.plotting import other_backends

        return other_backends.draw(charts, backend, options, marks, references, has_values=values)
    from vapi_frames.plotting import panels

    draw = partial(_draw, marks=marks, references=references, has_values=values)
    return draw(charts[0], options) if len(charts) == 1 else panels.draw_panels(charts, options, draw)


def _check_kind(kind: str | None) -> None:
    """Raise `QueryError` for a kind that does not fit result frames."""
    if kind is None:
        return
    if isinstance(kind, str) and kind in _REFUSED:
        raise QueryError(f"kind={kind!r} is not drawn: {_REFUSED[kind]}")
    require(kind, _KINDS, "kind of chart", synonyms={"heat": "heatmap", "column": "bar", "lines": "line"})


def _check_values(values: Any, charts: list[ChartData], options: dict[str, Any]) -> None:
    """Raise `QueryError` where *values* is no flag, or the chart has no place for them."""
    if not isinstance(values, bool):
        raise QueryError(f"values is True or False, not {format_value(values)}")
    kind = options.get("kind", "line" if charts[0].kind == "time" else "")
    if values and kind in ("line", "area"):
        drawn = "areas" if kind == "area" else "lines"
        raise QueryError(
            f"values=True writes beside bars and into cells, and this chart has {drawn}: "
            'pass kind="bar", or leave values out'
        )


def _draw(
    chart: ChartData,
    options: dict[str, Any],
    *,
    marks: list[Mark],
    references: list[tuple[str, float]],
    has_values: bool,
) -> Any:
    """Draw one chart on matplotlib's axes."""
    from vapi_frames.plotting import axes, heat_map
    from vapi_frames.plotting.marks import draw_marks, draw_references, draw_values

    if chart.kind == "cards" and "kind" not in options:
        return axes.draw_cards(chart, options)
    if chart.kind == "heat" and "kind" not in options:
        return heat_map.draw_heat_map(chart, options, has_values=has_values)
    kind = options.get("kind", {"time": "line", "groups": "barh"}.get(chart.kind, "bar"))
    drawn = axes.draw_lines(chart, options) if chart.kind == "time" else axes.draw_bars(chart, options)
    if has_values:
        draw_values(drawn, chart, across=kind == "barh", is_stacked=bool(options.get("stacked")))
    draw_references(drawn, references, across=kind == "barh")
    draw_marks(drawn, marks, chart, is_bar=kind in ("bar", "barh"), across=kind == "barh")
    return drawn
