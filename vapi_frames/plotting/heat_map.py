"""Heat maps: the week of `typical_week`, weekdays down and hours across, or two levels of any frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vapi_frames.analysis.weeks import WEEKDAYS
from vapi_frames.plotting.marks import draw_cell_values
from vapi_frames.plotting.theme import find_background, format_values, is_dark

if TYPE_CHECKING:
    from vapi_frames.plotting.chart import ChartData

__all__ = ["draw_heat_map"]

_ABSENT, _ABSENT_ON_DARK = "0.85", "0.25"  # the gray of a cell that the frame does not have
_MAX_TICKS = 8  # across
_COLORS = "YlGnBu"


def draw_heat_map(chart: ChartData, options: dict[str, Any], *, has_values: bool = False) -> Any:
    """Draw the table as cells, with a scale of colors that has the unit; a partial bucket is hatched.

    Args:
        chart: Its table has a row per weekday, or per group and weekday, and a column per hour; or a row per group and
            a column per date or value of another group.
        options: ``ax``, ``figsize``, ``title``, ``xlabel``, ``ylabel``, ``colormap`` or ``cmap``, ``colorbar``, and
            what matplotlib's ``imshow`` takes.
        has_values: Whether each cell has its value as text.
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    table = chart.table
    given = options.pop("ax", None)
    size = options.pop("figsize", (9, max(3.0, 0.28 * len(table) + 1.4)))
    axes: Any = plt.figure(figsize=size).add_subplot() if given is None else given
    colors = mpl.colormaps[options.pop("colormap", None) or options.pop("cmap", _COLORS)].with_extremes(
        bad=_ABSENT_ON_DARK if is_dark() else _ABSENT
    )
    values = table.to_numpy(dtype=float, na_value=float("nan"))
    if not (values < 0).any():
        options.setdefault("vmin", 0)  # a slot without calls is the lightest, on every chart
    options.setdefault("aspect", "auto")
    axes.set(title=options.pop("title", chart.title), ylabel=options.pop("ylabel", ""))
    axes.set_xlabel(options.pop("xlabel", table.columns.name))
    has_scale = options.pop("colorbar", True)
    image = axes.imshow(values, cmap=colors, **options)
    if has_values:
        draw_cell_values(axes, image, values, chart.unit)
    every = -(-table.shape[1] // _MAX_TICKS)
    axes.set_xticks(range(0, table.shape[1], every), list(table.columns)[::every])
    axes.set_yticks(range(len(table)), list(table.index))
    axes.tick_params(length=0)
    if {chart.meta.derived_levels.get(level) for level in ("weekday", "hour")} == {"date"}:
        for place in range(len(WEEKDAYS), len(table), len(WEEKDAYS)):
            axes.axhline(place - 0.5, color=find_background(), linewidth=3)  # between two groups
    for at in chart.flags.nonzero()[0]:
        axes.axvspan(at - 0.5, at + 0.5, facecolor="none", edgecolor="0.5", hatch="///", linewidth=0)
    for side in axes.spines.values():
        side.set_visible(False)
    if has_scale:
        bar = axes.figure.colorbar(image, ax=axes, label=chart.label)
        format_values(bar.ax.yaxis, chart.unit, table)
    if len(axes.figure.axes) == 1 + has_scale and axes.figure.get_layout_engine() is None:
        axes.figure.tight_layout()
    return axes
