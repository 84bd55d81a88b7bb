"""Charts on matplotlib's axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from vapi_frames.calendar import buckets

if TYPE_CHECKING:
    from vapi_frames.frames.meta import Meta
    from vapi_frames.plotting.tables import Picture

__all__ = ["PALETTE", "bars", "cards", "lines"]

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#999933")
"""The colors of the charts, in order: Okabe and Ito's, which color-blind readers can tell apart."""
_OTHER = "#999999"
_FEW = 60  # points of a line up to which each is marked
_CARDS = 4  # in a row
_TICKS = 20  # dates that can be read below bars


def lines(shown: Picture, options: dict[str, Any]) -> Any:
    """Draw lines, areas or bars over time."""
    table, meta = shown.table, shown.meta
    options.setdefault("title", shown.title)
    options.setdefault("legend", shown.legend is not None)
    options.setdefault("xlabel", f"date ({meta.zone})")
    options.setdefault("ylabel", shown.label)
    if "colormap" not in options:
        options.setdefault("color", _colors(table))
    options.setdefault("figsize", None if "ax" in options else (9, 4.5))
    kind = options.get("kind", "line")
    if kind in ("bar", "barh"):
        axes = _time_bars(table, meta, options)
    else:
        if kind == "line" and any(one.operation == "history" for one in meta.aggregations if one.name in shown.names):
            options.setdefault("drawstyle", "steps-post")  # a level holds from its date until the next
        if len(table) <= _FEW and kind == "line":
            options.setdefault("marker", ".")
        # Real instants on the axis, formatted in the zone: local wall clock would fold an hour every autumn.
        drawn = table[~shown.flags].reindex(table.index) if kind == "line" else table
        axes = drawn.plot(x_compat=True, **options)
        if kind == "line":
            _dash(axes, table, shown.flags, options)
            _before(axes, shown)
        else:
            _shade(axes, shown)
        _date_axis(axes, table, meta)
    if options["legend"] or shown.before is not None:
        axes.legend(title=shown.legend, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    if kind in ("bar", "barh"):
        _hatch(axes, shown.flags)  # after the legend, which takes its colors from the first bar
    _finish(axes)
    return axes


def _colors(table: pd.DataFrame) -> list[str]:
    names = [str(name) for name in table.columns]
    return [_OTHER if name.startswith("other (") else PALETTE[i % len(PALETTE)] for i, name in enumerate(names)]


def _time_bars(table: pd.DataFrame, meta: Meta, options: dict[str, Any]) -> Any:
    """Draw a bar per bucket (and group)."""
    form = "%m-%d %H:%M:%S" if meta.step in buckets.FIXED_STEPS else "%Y-%m" if meta.step == "month" else "%Y-%m-%d"
    if options["kind"] == "barh":
        options["xlabel"], options["ylabel"] = options["ylabel"], options["xlabel"]
    axes = table.set_axis(pd.DatetimeIndex(table.index).strftime(form), axis=0).plot(**options)
    every = -(-len(table) // _TICKS)
    for place, text in enumerate((axes.xaxis if options["kind"] == "bar" else axes.yaxis).get_ticklabels()):
        text.set_visible(place % every == 0)
        if options["kind"] == "bar" and 0 < text.get_rotation() < 90:  # noqa: PLR2004 - it ends below its bar
            text.set(ha="right", rotation_mode="anchor")
    return axes


def _hatch(axes: Any, flags: Any) -> None:
    """Hatch the bars of partial buckets."""
    for container in axes.containers:
        for bar, is_partial in zip(container, flags, strict=True):
            if is_partial:
                bar.set(hatch="///", alpha=0.5)


def _dash(axes: Any, table: pd.DataFrame, flags: Any, options: dict[str, Any]) -> None:
    """Draw partial buckets dashed, joined to the whole one beside them."""
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
                marker=options.get("marker", "."), markerfacecolor="white",
            )  # fmt: skip
    axes.plot([], [], color="0.4", linestyle="--", label="partial bucket")


def _before(axes: Any, shown: Picture) -> None:
    """Draw the other period of a comparison dotted, in the same colors."""
    if shown.before is None:
        return
    from matplotlib.dates import date2num

    drawn = axes.get_lines()[: shown.table.shape[1]]
    for line, (_, values) in zip(drawn, shown.before.items(), strict=True):
        there = values.dropna()
        axes.plot(date2num(there.index), there.to_numpy(), color=line.get_color(), linestyle=":", alpha=0.8)
    if shown.legend is None:
        drawn[0].set_label(shown.names[0])
    axes.plot([], [], color="0.4", linestyle=":", label="before")


def _shade(axes: Any, shown: Picture) -> None:
    """Shade the partial buckets of an area, which has no line to dash."""
    from matplotlib.dates import date2num

    instants = date2num(shown.table.index)
    for i in shown.flags.nonzero()[0]:
        low, high = instants[max(i - 1, 0)], instants[min(i + 1, len(instants) - 1)]
        axes.axvspan((low + instants[i]) / 2, (high + instants[i]) / 2, color="0.5", alpha=0.3, linewidth=0, zorder=3)
    if shown.flags.any():
        axes.fill_between([], [], color="0.5", alpha=0.3, label="partial bucket")


def _date_axis(axes: Any, table: pd.DataFrame, meta: Meta) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    tz = buckets.find_zone(meta.zone)
    locator = AutoDateLocator(tz=tz, minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=tz))
    axes.figure.autofmt_xdate(rotation=0, ha="center")
    axes.tick_params(axis="x", labelrotation=0)  # also of labels that come with another size of the figure
    if len(table) > 1:
        axes.margins(x=0.02)


def bars(shown: Picture, options: dict[str, Any]) -> Any:
    """Draw bars by group."""
    table = shown.table
    if shown.before is not None and table.shape[1] == 1:
        names = [shown.names[0], f"{shown.names[0]}Before"]
        table = pd.concat([table, shown.before.reindex(table.index)], axis=1).set_axis(names, axis=1)
        options.setdefault("color", [PALETTE[0], _OTHER])
    many = table.shape[1] > 1
    options.setdefault("title", shown.title)
    options.setdefault("kind", "barh")
    options.setdefault("legend", many)
    across = options["kind"] == "barh"
    options.setdefault("xlabel" if across else "ylabel", shown.label)
    options.setdefault("ylabel" if across else "xlabel", table.index.name or "")
    if "colormap" not in options:
        options.setdefault("color", _colors(table))
    height = max(2.0, 0.35 * len(table) * (1 + many) + 1.5)
    options.setdefault("figsize", None if "ax" in options else (9, height if across else 4.5))
    axes = table.plot(**options)
    if many and across:
        axes.invert_yaxis()  # the first group on top, as in the frame
    if many and options["legend"]:
        axes.legend(title=shown.legend, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    _finish(axes)
    return axes


def cards(shown: Picture, options: dict[str, Any]) -> Any:
    """Draw the figures of one row, each with its unit."""
    units = shown.meta.all_units()
    axes = options.pop("ax", None)
    rows = -(-len(shown.names) // _CARDS)
    across = min(len(shown.names), _CARDS)
    if axes is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=options.pop("figsize", (2.6 * across, 1.5 * rows)))
        axes = figure.add_subplot()
    axes.set(xlim=(0, across), ylim=(rows, 0), title=options.pop("title", ""))
    axes.axis("off")
    for place, name in enumerate(shown.names):
        x, y = place % _CARDS + 0.5, place // _CARDS
        value = shown.table[name].iloc[0]
        axes.text(x, y + 0.45, _figure(value), ha="center", va="center", fontsize=22, color=PALETTE[0])
        axes.text(x, y + 0.75, f"{name}", ha="center", va="center", fontsize=9)
        axes.text(x, y + 0.9, units.get(name, ""), ha="center", va="center", fontsize=8, color="0.4")
    return axes


def _figure(value: Any) -> str:
    """Return a number as a reader wants it: whole where it is large, with decimals where it is small."""
    if pd.isna(value):
        return "-"
    if float(value).is_integer() or abs(value) >= 1000:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:,.3g}"


def _finish(axes: Any) -> None:
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if axes.figure.axes == [axes]:
        axes.figure.tight_layout()
