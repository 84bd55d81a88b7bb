"""Charts through pandas' plotting backend: the one that fits the shape of a result frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from vapi_frames.errors import MissingExtraError
from vapi_frames.frames.layout import keep_layout
from vapi_frames.plotting.axes import PALETTE
from vapi_frames.plotting.chart_data import prepare_chart

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PALETTE", "plot"]


@keep_layout
def plot(frame: pd.DataFrame, column: str | Sequence[str] | None = None, **options: Any) -> Any:
    """Draw the chart that fits *frame*: lines over time, partial buckets dashed; bars by group; cards for one row.

    A typical week by weekday and hour is a heat map, of the mean per slot.

    With more groups than colors, the largest are drawn. The rest is one more line where the measure adds up; where it
    does not, it is left out and the title says so. The other period of a comparison is dotted.

    Args:
        frame: A result frame.
        column: The measure, by its own name or the API's column, or several of one unit; by default the first, and
            without groups all of its unit.
        options: Passed on to ``DataFrame.plot``, e.g. ``kind="area"``, ``stacked=True``, ``ax``.

    Returns:
        The matplotlib Axes, or what another plotting backend returns.

    Raises:
        QueryError: The frame has no rows, or the measures do not fit on one axis.
        MissingExtraError: matplotlib is pandas' plotting backend and is not installed.
    """
    backend = pd.get_option("plotting.backend")
    if backend == "matplotlib":
        try:
            import matplotlib as mpl  # noqa: F401
        except ImportError:
            raise MissingExtraError("plot", "matplotlib", "df.vapi.plot()") from None
    chart = prepare_chart(frame, column)
    if backend != "matplotlib":
        from vapi_frames.plotting import other_backends

        return other_backends.draw(chart, backend, options)
    from vapi_frames.plotting import axes, heat_map

    if chart.kind == "cards" and "kind" not in options:
        return axes.draw_cards(chart, options)
    if chart.kind == "heat" and "kind" not in options:
        return heat_map.draw_heat_map(chart, options)
    return axes.draw_lines(chart, options) if chart.kind == "time" else axes.draw_bars(chart, options)
