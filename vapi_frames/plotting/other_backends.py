"""Charts on another plotting backend of pandas, such as plotly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from vapi_frames.plotting.chart_data import ChartData

__all__ = ["draw"]

_KINDS = {"time": "line", "groups": "barh", "week": "bar", "heat": "line", "cards": "bar"}


def draw(chart: ChartData, backend: str, options: dict[str, Any]) -> Any:
    """Draw with *backend*, which takes a frame with a plain index; return its chart."""
    table, zone = chart.table, chart.meta.zone
    if chart.kind == "time":
        dates = pd.DatetimeIndex(table.index)
        wall = dates.tz_localize(None)
        if not wall.is_unique:  # one hour comes twice, and the line would run back
            wall, zone = dates.tz_convert("UTC").tz_localize(None), "UTC"
        table = table.set_axis(wall)
    if chart.kind == "cards":
        table = table.set_axis([""], axis=0)
    if chart.kind == "heat":  # pandas' backends have none: a line per weekday
        table = table.T
    if chart.before is not None:
        other = chart.before.set_axis([f"{name} before" for name in chart.before.columns], axis=1)
        table = table.join(other.set_axis(table.index))
    options.setdefault("kind", _KINDS[chart.kind])
    flags = chart.flags
    is_cut = flags is not None and flags.any()
    if chart.title:
        note = ", partial buckets included" if is_cut and backend != "plotly" else ""
        options.setdefault("title", chart.title + note)
    if backend != "plotly":
        return table.plot(**options)
    kind = options["kind"]
    stacked = options.pop("stacked", chart.kind == "time" and kind == "bar" and len(chart.names) > 1)
    if kind in ("bar", "barh"):
        options.setdefault("barmode", "relative" if stacked else "group")
    if kind == "line" and any(one.operation == "history" for one in chart.meta.aggregations if one.name in chart.names):
        options.setdefault("line_shape", "hv")  # a level holds from its date until the next
    index = f"date ({zone})" if chart.kind == "time" else str(table.index.name or "")
    labels = {"value": chart.label, "variable": chart.legend or "", table.index.name or "index": index}
    options.setdefault("labels", labels)
    figure = table.plot(**options)
    if is_cut:
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
