"""Quick charts, through pandas' plotting backend: the right one for the shape of a result frame."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from vapi_frames import timegrid
from vapi_frames.analysis import partial, units, wide
from vapi_frames.analysis.trust import check_levels, column_of
from vapi_frames.errors import MissingExtraError, QueryError
from vapi_frames.meta import Meta, read_meta

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["plot"]

# Okabe and Ito's palette, which colour-blind readers can tell apart.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#999933")
_FEW = 60  # points of a line up to which each is marked
_WIDE = 44  # characters up to which a group's value is shown whole
_ID = 8  # characters of an id that are shown
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def plot(frame: pd.DataFrame, column: str | None = None, **options: Any) -> Any:
    """Draw the chart that fits *frame*: lines over time, one a group, partial buckets dashed; else bars.

    Args:
        frame: A result frame.
        column: The measure, by its own name or the API's column; the first one by default.
        options: Passed on to ``DataFrame.plot``.

    Returns:
        The matplotlib Axes, or what another plotting backend returns.

    Raises:
        QueryError: The frame has no rows.
        MissingExtraError: matplotlib is pandas' plotting backend and is not installed.
    """
    meta = read_meta(frame)
    backend = pd.get_option("plotting.backend")
    if backend == "matplotlib":
        try:
            import matplotlib as mpl  # noqa: F401
        except ImportError:
            raise MissingExtraError("plot", "matplotlib", "df.vapi.plot()") from None
    if frame.empty:
        raise QueryError(f"there are no rows to draw: nothing answered {meta.query!r}")
    measures = list(units(frame))  # which refuses where values were changed: the axis would say a wrong unit
    name = column_of(frame, column if column is not None else next(iter(measures), None))
    check_levels(frame, meta)
    options.setdefault("title", _title(name, meta, frame))
    if "date" in frame.index.names:
        return _lines(frame, name, meta, backend, options)
    return _bars(frame, name, meta, backend, options)


def _title(name: str, meta: Meta, frame: pd.DataFrame) -> str:
    groups = [str(level) for level in frame.index.names if level not in (None, "date")]
    by = f" by {', '.join(groups)}" if groups else ""
    return f"{name}{by}{f' per {meta.step}' if meta.step else ''}"


def _is_history(name: str, meta: Meta) -> bool:
    return any(one["operation"] == "history" and one["alias"] == name for one in meta.body["operations"])


def _measure_label(name: str, meta: Meta) -> str:
    unit = meta.units.get(name, "")
    return f"{name} ({unit})" if unit else name


def _short(values: Sequence[Any]) -> list[str]:
    """Return group values as legend texts: ids cut where they stay apart, missing and empty ones said."""
    texts = ["(none)" if pd.isna(v) else str(v) or '""' for v in values]
    cut = [f"{t[:_ID]}…" if _UUID.fullmatch(t) else t for t in texts]
    cut = [t if len(t) <= _WIDE else f"{t[: _WIDE // 2]}…{t[-_WIDE // 2 + 1 :]}" for t in cut]
    return cut if len(set(cut)) == len(set(texts)) else texts


def _column_labels(columns: pd.Index) -> list[str]:
    if isinstance(columns, pd.MultiIndex):
        parts = [_short(list(columns.get_level_values(i))) for i in range(columns.nlevels)]
        return [" · ".join(row) for row in zip(*parts, strict=True)]
    return _short(list(columns))


def _lines(frame: pd.DataFrame, name: str, meta: Meta, backend: str, options: dict[str, Any]) -> Any:
    table = wide(frame[[name]], name).sort_index()
    flags = partial(table).fillna(False).to_numpy(dtype=bool)
    if list(table.columns) != [name]:
        options.setdefault("legend", True)
        table = table.set_axis(_column_labels(table.columns), axis=1)
    else:
        options.setdefault("legend", False)
    options.setdefault("xlabel", f"date ({meta.zone})")
    options.setdefault("ylabel", _measure_label(name, meta))
    if backend != "matplotlib":
        local = table.set_axis(pd.DatetimeIndex(table.index).tz_localize(None))
        return local.plot(**{k: v for k, v in options.items() if k not in ("xlabel", "ylabel", "legend")})
    if "color" not in options:
        options["color"] = [_COLOURS[i % len(_COLOURS)] for i in range(table.shape[1])]
    options.setdefault("figsize", None if "ax" in options else (9, 4.5))
    if options.get("kind", "line") in ("bar", "barh"):
        axes = _time_bars(table, flags, meta, options)
    else:
        if options.get("kind", "line") == "line" and _is_history(name, meta):
            options.setdefault("drawstyle", "steps-post")  # a level holds from its date until the next
        if len(table) <= _FEW and options.get("kind", "line") == "line":
            options.setdefault("marker", ".")
        # Real instants on the axis, formatted in the zone: local wall clock would fold an hour every autumn.
        axes = table[~flags].reindex(table.index).plot(x_compat=True, **options)
        if options.get("kind", "line") == "line":
            _dash(axes, table, flags, options)
        _date_axis(axes, table, meta)
    if options["legend"]:
        axes.legend(title=_legend_title(frame), loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    _finish(axes)
    return axes


def _time_bars(table: pd.DataFrame, flags: Any, meta: Meta, options: dict[str, Any]) -> Any:
    """Draw a bar per bucket (and group), hatched where the bucket is partial."""
    form = "%Y-%m-%d" if meta.step not in timegrid.FIXED_STEPS else "%m-%d %H:%M:%S"
    if options["kind"] == "barh":
        options["xlabel"], options["ylabel"] = options["ylabel"], options["xlabel"]
    axes = table.set_axis(pd.DatetimeIndex(table.index).strftime(form), axis=0).plot(**options)
    for container in axes.containers:
        for bar, is_partial in zip(container, flags, strict=True):
            if is_partial:
                bar.set(hatch="///", alpha=0.5)
    return axes


def _legend_title(frame: pd.DataFrame) -> str:
    return ", ".join(str(level) for level in frame.index.names if level != "date")


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
            for neighbour in (at - 1, at + 1):
                if 0 <= neighbour < len(kept) and not (is_partial[neighbour] and neighbour > at):
                    pair = kept.iloc[sorted((at, neighbour))]
                    axes.plot(date2num(pair.index), pair.to_numpy(), color=line.get_color(), linestyle="--", alpha=0.7)
            axes.plot(
                date2num(kept.index[[at]]), [kept.iloc[at]], color=line.get_color(), linestyle="none", alpha=0.7,
                marker=options.get("marker", "."), markerfacecolor="white",
            )  # fmt: skip
    axes.plot([], [], color="0.4", linestyle="--", label="partial bucket")


def _date_axis(axes: Any, table: pd.DataFrame, meta: Meta) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    tz = timegrid.zone(meta.zone)
    locator = AutoDateLocator(tz=tz, minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=tz))
    axes.figure.autofmt_xdate(rotation=0, ha="center")
    axes.tick_params(axis="x", labelrotation=0)  # also of labels that come with another size of the figure
    if len(table) > 1:
        axes.margins(x=0.02)


def _bars(frame: pd.DataFrame, name: str, meta: Meta, backend: str, options: dict[str, Any]) -> Any:
    levels = [str(level) for level in frame.index.names if level is not None]
    table = wide(frame[[name]], name) if len(levels) > 1 else frame[[name]]
    label = _measure_label(name, meta)
    if len(levels) == 1:
        table = table.sort_values(name, na_position="first")
    if levels:
        table = table.set_axis(_column_labels(table.index), axis=0).rename_axis(str(levels[0]))
    else:
        table = table.set_axis([name], axis=0)
    options.setdefault("kind", "barh")
    if backend != "matplotlib":
        return table.plot(**options)
    many = table.shape[1] > 1
    if many:
        table = table.set_axis(_column_labels(table.columns), axis=1)
    options.setdefault("legend", many)
    options.setdefault("xlabel" if options["kind"] == "barh" else "ylabel", label)
    options.setdefault("ylabel" if options["kind"] == "barh" else "xlabel", levels[0] if levels else "")
    options.setdefault("color", [_COLOURS[i % len(_COLOURS)] for i in range(table.shape[1])])
    options.setdefault("figsize", None if "ax" in options else (9, max(2.0, 0.35 * len(table) * (1 + many) + 1.5)))
    axes = table.plot(**options)
    if many and options["kind"] == "barh":
        axes.invert_yaxis()  # the first group on top, as in the frame
    if many and options["legend"]:
        axes.legend(title=", ".join(levels[1:]), loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    _finish(axes)
    return axes


def _finish(axes: Any) -> None:
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if axes.figure.axes == [axes]:
        axes.figure.tight_layout()
