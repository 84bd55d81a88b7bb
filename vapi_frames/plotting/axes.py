"""Charts on matplotlib's axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vapi_frames.calendar import buckets
from vapi_frames.plotting.cells import format_dates
from vapi_frames.plotting.theme import OTHER, choose_colors, find_background, find_ink, format_figure, format_values
from vapi_frames.plotting.words import describe_measure

if TYPE_CHECKING:
    from vapi_frames.frames.meta import Meta
    from vapi_frames.plotting.chart import ChartData

__all__ = ["draw_bars", "draw_cards", "draw_lines"]

_FEW_POINTS = 60  # a line of no more points marks each
_CARDS_PER_ROW = 4
_ROOM = 0.05  # beyond the longest bar, as a share of it
_MAX_TICKS = 20  # dates along bars; more overlap


def draw_lines(chart: ChartData, options: dict[str, Any]) -> Any:
    """Draw lines, areas or bars over time."""
    table, meta = chart.table, chart.meta
    options.setdefault("title", chart.title)
    options.setdefault("legend", chart.legend is not None)
    options.setdefault("xlabel", f"date ({meta.zone})")
    options.setdefault("ylabel", chart.label)
    if "colormap" not in options:
        options.setdefault("color", choose_colors(table, neutral=chart.neutral))
    options.setdefault("figsize", None if "ax" in options else (9, 4.5))
    kind = options.get("kind", "line")
    if kind in ("bar", "barh"):
        axes = _time_bars(table, meta, options)
    else:
        if kind == "line" and any(one.operation == "history" for one in meta.aggregations if one.name in chart.names):
            options.setdefault("drawstyle", "steps-post")  # a level holds from its date until the next
        if len(table) <= _FEW_POINTS and kind == "line":
            options.setdefault("marker", ".")
        # The axis has instants, formatted in the zone: on a wall clock, two hours of every autumn would overlap.
        drawn = table[~chart.flags].reindex(table.index) if kind == "line" else table
        axes = drawn.plot(x_compat=True, **options)
        if kind == "line":
            _dash_partial(axes, table, chart.flags, options)
            _draw_before(axes, chart)
        else:
            _shade_partial(axes, chart)
        _date_axis(axes, table, meta)
    if options["legend"] or chart.before is not None:
        axes.legend(title=chart.legend, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    if kind in ("bar", "barh"):
        _hatch_partial(axes, chart.flags)  # after the legend, which copies the first bar
    format_values(axes.xaxis if kind == "barh" else axes.yaxis, chart.unit, table)
    _finish(axes)
    return axes


def _time_bars(table: pd.DataFrame, meta: Meta, options: dict[str, Any]) -> Any:
    """Draw a bar per bucket (and group)."""
    if options["kind"] == "bar":
        options.setdefault("rot", 45)
    else:
        options["xlabel"], options["ylabel"] = options["ylabel"], options["xlabel"]
    axes = table.set_axis(format_dates(table.index, meta), axis=0).plot(**options)
    _leave_room(axes, options)
    every = -(-len(table) // _MAX_TICKS)
    for place, text in enumerate((axes.xaxis if options["kind"] == "bar" else axes.yaxis).get_ticklabels()):
        text.set_visible(place % every == 0)
        if options["kind"] == "bar" and 0 < text.get_rotation() < 90:  # noqa: PLR2004 - it ends below its bar
            text.set(ha="right", rotation_mode="anchor")
    return axes


def _leave_room(axes: Any, options: dict[str, Any]) -> None:
    """Leave room beyond the longest bar: an empty bar of a stack would hold the end of the axis where it stands."""
    across = options["kind"] == "barh"
    if options.get("xlim" if across else "ylim") is not None:
        return
    bars = [bar for container in axes.containers for bar in container]
    ends = [bar.get_x() + bar.get_width() if across else bar.get_y() + bar.get_height() for bar in bars]
    longest = max((end for end in ends if np.isfinite(end)), default=0.0)
    low, high = axes.get_xlim() if across else axes.get_ylim()
    if longest > 0 and low < high <= longest * (1 + _ROOM / 2):
        set_limits = axes.set_xlim if across else axes.set_ylim
        set_limits(low, longest * (1 + _ROOM))


def _hatch_partial(axes: Any, flags: Any) -> None:
    """Hatch the bars of partial buckets."""
    for container in axes.containers:
        for bar, is_partial in zip(container, flags, strict=True):
            if is_partial:
                bar.set(hatch="///", alpha=0.5)


def _dash_partial(axes: Any, table: pd.DataFrame, flags: Any, options: dict[str, Any]) -> None:
    """Draw partial buckets dashed, connected with the whole one beside them."""
    if not flags.any():
        return
    from matplotlib.dates import date2num

    lines = axes.get_lines()[-table.shape[1] :]
    for line, (_, values) in zip(lines, table.items(), strict=True):
        present = values.notna().to_numpy()
        kept, is_partial = values[present], flags[present]
        for at in is_partial.nonzero()[0]:
            for neighbor in (at - 1, at + 1):
                if 0 <= neighbor < len(kept) and not (is_partial[neighbor] and neighbor > at):
                    pair = kept.iloc[sorted((at, neighbor))]
                    axes.plot(date2num(pair.index), pair.to_numpy(), color=line.get_color(), linestyle="--", alpha=0.7)
            axes.plot(
                date2num(kept.index[[at]]), [kept.iloc[at]], color=line.get_color(), linestyle="none", alpha=0.7,
                marker=options.get("marker", "."), markerfacecolor=find_background(),
            )  # fmt: skip
    axes.plot([], [], color=find_ink(), linestyle="--", label="partial bucket")


def _draw_before(axes: Any, chart: ChartData) -> None:
    """Draw the other period of a comparison dotted, in the same colors."""
    if chart.before is None:
        return
    from matplotlib.dates import date2num

    drawn = axes.get_lines()[: chart.table.shape[1]]
    for line, (_, values) in zip(drawn, chart.before.items(), strict=True):
        there = values.dropna()
        axes.plot(date2num(there.index), there.to_numpy(), color=line.get_color(), linestyle=":", alpha=0.8)
    if chart.legend is None:
        drawn[0].set_label(describe_measure(chart.names[0], chart.meta))
    axes.plot([], [], color=find_ink(), linestyle=":", label="before")


def _shade_partial(axes: Any, chart: ChartData) -> None:
    """Shade the partial buckets of an area chart."""
    from matplotlib.dates import date2num

    instants = date2num(chart.table.index)
    for i in chart.flags.nonzero()[0]:
        low, high = instants[max(i - 1, 0)], instants[min(i + 1, len(instants) - 1)]
        axes.axvspan((low + instants[i]) / 2, (high + instants[i]) / 2, color="0.5", alpha=0.3, linewidth=0, zorder=3)
    if chart.flags.any():
        axes.fill_between([], [], color="0.5", alpha=0.3, label="partial bucket")


def _date_axis(axes: Any, table: pd.DataFrame, meta: Meta) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    tz = buckets.find_zone(meta.zone)
    locator = AutoDateLocator(tz=tz, minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=tz))
    engine = axes.figure.get_layout_engine()
    if engine is None or engine.adjust_compatible:
        axes.figure.autofmt_xdate(rotation=0, ha="center")
    else:  # of several panels; matplotlib makes room itself
        for label in axes.get_xticklabels(which="both"):
            label.set(rotation=0, ha="center")
    axes.tick_params(axis="x", labelrotation=0)  # also labels that a resize of the figure adds
    if len(table) > 1:
        axes.margins(x=0.02)


def draw_bars(chart: ChartData, options: dict[str, Any]) -> Any:
    """Draw bars by group."""
    table = chart.table.T if chart.kind == "heat" else chart.table  # the hours are the axis
    if chart.is_stack:
        options.setdefault("stacked", options.get("kind", "bar") in ("bar", "barh", "area"))
    if chart.before is not None and table.shape[1] == 1:
        names = [describe_measure(chart.names[0], chart.meta), "before"]
        table = pd.concat([table, chart.before.reindex(table.index)], axis=1).set_axis(names, axis=1)
        options.setdefault("color", [choose_colors(table)[0], OTHER])
    if options.get("stacked") and len(chart.names) > 1 and chart.kind == "groups":
        table = table.loc[
            table.sum(axis=1).sort_values(ascending=False, kind="stable").index
        ]  # by the length of the bar
    many = table.shape[1] > 1
    options.setdefault("title", chart.title)
    options.setdefault("kind", "barh" if chart.kind == "groups" else "bar")
    options.setdefault("legend", many)
    across = options["kind"] == "barh"
    options.setdefault("xlabel" if across else "ylabel", chart.label)
    options.setdefault("ylabel" if across else "xlabel", table.index.name or "")
    if "colormap" not in options:
        options.setdefault("color", choose_colors(table, neutral=chart.neutral))
    thick = 1 + (many and not options.get("stacked"))
    height = max(2.0, 0.35 * len(table) * thick + 1.5)
    options.setdefault("figsize", None if "ax" in options else (9, height if across else 4.5))
    axes = table.plot(**options)
    if options["kind"] in ("bar", "barh"):
        _leave_room(axes, options)
    if many and across:
        axes.invert_yaxis()  # the first group is at the top, as in the frame
    if many and options["legend"]:
        axes.legend(title=chart.legend, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    format_values(axes.xaxis if across else axes.yaxis, chart.unit, table)
    _finish(axes)
    return axes


def draw_cards(chart: ChartData, options: dict[str, Any]) -> Any:
    """Draw the figures of one row, each with its unit."""
    units = chart.meta.all_units()
    axes = options.pop("ax", None)
    rows = -(-len(chart.names) // _CARDS_PER_ROW)
    across = min(len(chart.names), _CARDS_PER_ROW)
    if axes is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=options.pop("figsize", (2.6 * across, 1.5 * rows)))
        axes = figure.add_subplot()
    axes.set(xlim=(0, across), ylim=(rows, 0), title=options.pop("title", ""))
    axes.axis("off")
    [color] = choose_colors(chart.table.iloc[:, :1])
    for place, name in enumerate(chart.names):
        words, unit = describe_measure(name, chart.meta), units.get(name, "")
        x, y = place % _CARDS_PER_ROW + 0.5, place // _CARDS_PER_ROW
        value = chart.table[name].iloc[0]
        axes.text(x, y + 0.45, format_figure(value), ha="center", va="center", fontsize=22, color=color)
        axes.text(x, y + 0.75, words, ha="center", va="center", fontsize=9)
        axes.text(x, y + 0.9, "" if unit == words else unit, ha="center", va="center", fontsize=8, color=find_ink())
    return axes


def _finish(axes: Any) -> None:
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if axes.figure.axes == [axes] and axes.figure.get_layout_engine() is None:
        axes.figure.tight_layout()
