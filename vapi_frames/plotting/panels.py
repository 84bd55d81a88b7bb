"""Several charts in one figure, one below the other: a chart for each measure that needs an axis of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vapi_frames.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vapi_frames.plotting.chart import ChartData

__all__ = ["draw_panels"]


def draw_panels(charts: list[ChartData], options: dict[str, Any], draw: Callable[..., Any]) -> Any:
    """Draw *charts* with *draw*, and return an array of their axes, as ``DataFrame.plot(subplots=True)`` does.

    Raises:
        QueryError: ``ax`` is one of the options, and has not one axes a chart.
    """
    import matplotlib.pyplot as plt

    across = options.get("kind", "barh" if charts[0].kind == "groups" else None) == "barh"
    heights = [max(2.2, 0.35 * len(one.table) + 1.2) if across or one.kind == "heat" else 2.8 for one in charts]
    given, title = options.pop("ax", None), options.pop("title", None)
    share: Any = False
    if given is None:
        size = options.pop("figsize", None) or (9, sum(heights))
        share = "all" if charts[0].kind == "time" and not across else False
        figure, cells = plt.subplots(
            len(charts), 1, figsize=size, sharex=share, squeeze=False, height_ratios=heights, layout="constrained"
        )
        places = list(cells.flat)
        if title is not None:
            figure.suptitle(title)
    else:
        places = list(np.atleast_1d(np.asarray(given, dtype=object)).flat)
        if len(places) != len(charts):
            names = ", ".join(dict.fromkeys(name for one in charts for name in one.names))
            raise QueryError(
                f"{names} need {len(charts)} axes, and ax has {len(places)}: name one measure, "
                f"e.g. .vapi.plot({charts[0].names[0]!r}, ax=ax)"
            )
    drawn = [draw(chart, {**options, "ax": place}) for chart, place in zip(charts, places, strict=True)]
    if share:
        for axes in drawn[:-1]:
            axes.set_xlabel("")
        _keep_one_legend(drawn)
    return np.array(drawn, dtype=object)


def _keep_one_legend(drawn: list[Any]) -> None:
    """Remove the legends that repeat the one above them."""
    seen: tuple[str, ...] | None = None
    for axes in drawn:
        legend = axes.get_legend()
        texts = tuple(text.get_text() for text in legend.get_texts()) if legend else None
        if texts is not None and texts == seen:
            legend.remove()
        seen = texts or seen
