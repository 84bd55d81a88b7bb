"""Charts on another plotting backend of pandas, such as plotly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from vapi_frames.errors import QueryError

if TYPE_CHECKING:
    from vapi_frames.plotting.chart import ChartData
    from vapi_frames.plotting.marks import Mark

__all__ = ["draw"]

_KINDS = {"time": "line", "groups": "barh", "week": "bar", "heat": "line", "cards": "bar"}
_COLOR = "#D55E00"


def draw(
    charts: list[ChartData],
    backend: str,
    options: dict[str, Any],
    marks: list[Mark],
    references: list[tuple[str, float]],
    *,
    has_values: bool = False,
) -> Any:
    """Draw *charts* with *backend*, which takes a frame with a plain index; return its chart.

    Raises:
        QueryError: It is not plotly, and there are several charts, marks, references or values as text.
    """
    if backend == "plotly":
        figures = [_draw_one(chart, backend, dict(options)) for chart in charts]
        for figure, chart in zip(figures, charts, strict=True):
            _mark(figure, chart, marks, references)
        if has_values:
            for figure in figures:
                figure.for_each_trace(_write_values)
        return figures[0] if len(charts) == 1 else _stack_figures(figures, charts, options)
    names = list(dict.fromkeys(name for chart in charts for name in chart.names))
    if len(charts) > 1:
        raise QueryError(
            f"{', '.join(names)} need {len(charts)} charts, and the plotting backend {backend!r} draws one: name one "
            f"measure, e.g. .vapi.plot({names[0]!r})"
        )
    if marks or references or has_values:
        raise QueryError(
            f"mark, reference and values are not drawn by the plotting backend {backend!r}: leave them out, or choose "
            'another, e.g. pd.options.plotting.backend = "matplotlib"'
        )
    return _draw_one(charts[0], backend, options)


def _draw_one(chart: ChartData, backend: str, options: dict[str, Any]) -> Any:
    table, zone = chart.table, chart.meta.zone
    if chart.kind == "time":
        dates, zone = _read_wall_clock(chart)
        table = table.set_axis(dates)
    if chart.kind == "cards":
        table = table.set_axis([""], axis=0)
    if chart.kind == "heat":  # pandas' backends have none: a line per row
        table = table.T
    if chart.before is not None:
        other = chart.before.set_axis([f"{name} before" for name in chart.before.columns], axis=1)
        table = table.join(other.set_axis(table.index))
    is_cells = chart.kind == "heat" and backend == "plotly" and "kind" not in options
    options.setdefault("kind", _KINDS[chart.kind])
    flags = chart.flags
    is_cut = flags is not None and flags.any()
    if chart.title:
        note = ", partial buckets included" if is_cut and backend != "plotly" else ""
        options.setdefault("title", chart.title + note)
    if backend != "plotly":
        return table.plot(**options)
    if is_cells:
        return _draw_cells(chart, options)
    kind = options["kind"]
    stacked = options.pop(
        "stacked", chart.is_stack or (chart.kind == "time" and kind == "bar" and len(chart.names) > 1)
    )
    if kind in ("bar", "barh"):
        options.setdefault("barmode", "relative" if stacked else "group")
    if kind == "line" and any(one.operation == "history" for one in chart.meta.aggregations if one.name in chart.names):
        options.setdefault("line_shape", "hv")  # a level holds from its date until the next
    index = f"date ({zone})" if chart.kind == "time" else str(table.index.name or "")
    labels = {"value": chart.label, "variable": chart.legend or "", table.index.name or "index": index}
    options.setdefault("labels", labels)
    figure = table.plot(**options)
    if chart.unit in ("share", "%"):
        axis = {"tickformat": ".0%"} if chart.unit == "share" else {"ticksuffix": "%"}
        figure.update_layout({"xaxis" if kind == "barh" else "yaxis": axis})
    if is_cut and chart.kind == "time":
        _mark_partial(figure, flags, kind)
    if chart.before is not None and kind == "line":
        figure.for_each_trace(
            lambda trace: trace.update(line={"dash": "dot"}) if str(trace.name).endswith(" before") else None
        )
    return figure


def _mark_partial(figure: Any, flags: Any, kind: str) -> None:
    """Mark the partial buckets of a plotly figure: bars hatched, lines dashed, areas shaded."""
    label = "partial bucket"
    drawn = list(figure.data)
    if kind in ("bar", "barh"):
        for trace in drawn:
            trace.marker.pattern.shape = ["/" if flag else "" for flag in flags]
        figure.add_bar(x=[None], y=[None], name=label, marker={"color": "gray", "pattern": {"shape": "/"}})
    elif kind == "line":
        dates = list(drawn[0].x)
        for trace in drawn:
            values = list(trace.y)
            trace.y = [None if flag else value for value, flag in zip(values, flags, strict=True)]
            near = [flags[max(at - 1, 0) : at + 2].any() for at in range(len(values))]
            figure.add_scatter(
                x=dates, y=[value if close else None for value, close in zip(values, near, strict=True)],
                mode="lines+markers", line={"dash": "dash", "color": trace.line.color}, opacity=0.7,
                marker={"symbol": "circle-open"}, name=trace.name, legendgroup=trace.legendgroup, showlegend=False,
            )  # fmt: skip
        figure.add_scatter(x=[None], y=[None], mode="lines", line={"dash": "dash", "color": "gray"}, name=label)
    else:
        edges = list(pd.DatetimeIndex(drawn[0].x))
        for at in map(int, flags.nonzero()[0]):
            here, low, high = edges[at], edges[max(at - 1, 0)], edges[min(at + 1, len(edges) - 1)]
            figure.add_vrect(
                x0=here - (here - low) / 2, x1=here + (high - here) / 2, fillcolor="gray", opacity=0.3, line_width=0
            )
        figure.add_scatter(
            x=[None], y=[None], mode="markers", marker={"color": "gray", "symbol": "square"}, opacity=0.5, name=label
        )


def _draw_cells(chart: ChartData, options: dict[str, Any]) -> Any:
    """Draw the table as cells, dated columns that are partial with an asterisk."""
    import plotly.express as px

    names = [f"{name}*" if flag else str(name) for name, flag in zip(chart.table.columns, chart.flags, strict=True)]
    table = chart.table.set_axis(names, axis=1)
    if chart.flags.any():
        options["title"] += ", * partial bucket"
    return px.imshow(
        table, title=options["title"], aspect="auto", color_continuous_scale="YlGnBu",
        labels={"x": str(chart.table.columns.name), "y": chart.legend or "", "color": chart.label},
    )  # fmt: skip


def _write_values(trace: Any) -> None:
    """Write the values of bars and cells of a plotly figure."""
    if trace.type == "bar":
        trace.update(texttemplate="%{value:.3s}")
    elif trace.type == "heatmap":
        trace.update(texttemplate="%{z:.3s}")


def _mark(figure: Any, chart: ChartData, marks: list[Mark], references: list[tuple[str, float]]) -> None:
    """Draw references as lines, dates as dotted lines and spans as shaded ones."""
    is_across = bool(figure.data) and getattr(figure.data[0], "orientation", None) == "h"
    at_value, at_date = (figure.add_vline, figure.add_hline) if is_across else (figure.add_hline, figure.add_vline)
    place = "x" if is_across else "y"
    for label, value in references:
        note = {"annotation_text": label, "annotation_font_color": _COLOR} if label else {}
        at_value(**{place: value}, line={"dash": "dash", "color": _COLOR, "width": 1}, **note)
    place = "y" if is_across else "x"
    zone = _read_wall_clock(chart)[1] if marks else ""
    for label, start, end in marks:
        low = start.tz_convert(zone).tz_localize(None)
        if end is not None:
            shade = figure.add_hrect if is_across else figure.add_vrect
            high = end.tz_convert(zone).tz_localize(None)
            shade(**{f"{place}0": low, f"{place}1": high}, fillcolor=_COLOR, opacity=0.15, line_width=0)
        else:
            at_date(**{place: low}, line={"dash": "dot", "color": _COLOR, "width": 1.2})
        if label:
            away = {"x": 1, "xref": "x domain", "y": low} if is_across else {"x": low, "y": 1, "yref": "y domain"}
            figure.add_annotation(**away, text=label, showarrow=False, font={"color": _COLOR}, xanchor="left")


def _read_wall_clock(chart: ChartData) -> tuple[pd.DatetimeIndex, str]:
    """Return the dates without their zone, and the zone: UTC where one hour comes twice and a line would run back."""
    dates, zone = pd.DatetimeIndex(chart.table.index), chart.meta.zone
    wall = dates.tz_localize(None)
    return (wall, zone) if wall.is_unique else (dates.tz_convert("UTC").tz_localize(None), "UTC")


def _stack_figures(figures: list[Any], charts: list[ChartData], options: dict[str, Any]) -> Any:
    """Return one figure with *figures* one below the other, and one entry of the legend for each name."""
    from plotly.subplots import make_subplots

    whole = make_subplots(rows=len(figures), cols=1, subplot_titles=[one.title for one in charts])
    seen: set[str] = set()
    for row, figure in enumerate(figures, 1):
        for trace in figure.data:
            is_new = trace.name not in seen
            seen |= {trace.name} if trace.showlegend is not False else set()
            whole.add_trace(trace.update(showlegend=is_new and trace.showlegend is not False), row=row, col=1)
        for name in ("x", "y"):
            axis = figure.layout[f"{name}axis"].to_plotly_json()
            axis = {key: value for key, value in axis.items() if key not in ("anchor", "domain")}
            whole.update_layout({f"{name}axis{row if row > 1 else ''}": axis})
        number = "" if row == 1 else str(row)
        for kind in ("shapes", "annotations"):
            add = whole.add_shape if kind == "shapes" else whole.add_annotation
            for each in figure.layout[kind]:
                drawn = each.to_plotly_json()
                for ref in ("xref", "yref"):
                    if drawn.get(ref):
                        drawn[ref] = drawn[ref][:1] + number + drawn[ref][1:]
                add(drawn)
    mode = figures[0].layout.barmode
    return whole.update_layout(barmode=mode, title=options.get("title"), height=320 * len(figures))
