"""The week of `typical_week` as a heat map: weekdays down, hours across."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vapi_frames.analysis.weeks import WEEKDAYS

if TYPE_CHECKING:
    from vapi_frames.plotting.chart_data import ChartData

__all__ = ["draw_heat_map"]

_HOURS = range(24)
_ABSENT = "0.85"  # the gray of a slot that the range does not have
_EVERY = 3  # hours between two ticks
_COLORS = "YlGnBu"


def draw_heat_map(chart: ChartData, options: dict[str, Any]) -> Any:
    """Draw the hours of each weekday as cells, with a scale of colors that has the unit.

    Args:
        chart: Its table has a row per weekday, or per group and weekday, and a column per hour.
        options: ``ax``, ``figsize``, ``title``, ``xlabel``, ``ylabel``, ``colormap`` or ``cmap``, ``colorbar``, and
            what matplotlib's ``imshow`` takes.
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    table = chart.table
    given = options.pop("ax", None)
    size = options.pop("figsize", (9, max(3.0, 0.28 * len(table) + 1.4)))
    axes: Any = plt.figure(figsize=size).add_subplot() if given is None else given
    colors = mpl.colormaps[options.pop("colormap", None) or options.pop("cmap", _COLORS)].with_extremes(bad=_ABSENT)
    values = table.to_numpy(dtype=float, na_value=float("nan"))
    if not (values < 0).any():
        options.setdefault("vmin", 0)  # a slot without calls is the lightest, on every chart
    options.setdefault("aspect", "auto")
    axes.set(title=options.pop("title", chart.title), ylabel=options.pop("ylabel", ""))
    axes.set_xlabel(options.pop("xlabel", f"hour ({chart.meta.zone})"))
    has_scale = options.pop("colorbar", True)
    image = axes.imshow(values, cmap=colors, **options)
    axes.set_xticks([*_HOURS][::_EVERY], [f"{hour:02}:00" for hour in _HOURS][::_EVERY])
    axes.set_yticks(range(len(table)), list(table.index))
    axes.tick_params(length=0)
    for place in range(len(WEEKDAYS), len(table), len(WEEKDAYS)):
        axes.axhline(place - 0.5, color="white", linewidth=3)  # between two groups
    for side in axes.spines.values():
        side.set_visible(False)
    if has_scale:
        axes.figure.colorbar(image, ax=axes, label=chart.label)
    if len(axes.figure.axes) == 1 + has_scale:
        axes.figure.tight_layout()
    return axes
