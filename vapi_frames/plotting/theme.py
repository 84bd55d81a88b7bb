"""Colors that can be read on the reader's background, and how numbers stand on an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["OTHER", "PALETTE", "choose_colors", "find_background", "find_ink", "format_values", "is_dark"]

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#999933")
"""The colors of the charts, in order: those of Okabe and Ito, which color-blind readers can distinguish."""
OTHER = "#999999"
_ON_DARK = {"#0072B2": "#4C7DFF", "#000000": "#FFFFFF"}  # at least 3:1 on black, the others are so as they are
_MANY = 10_000  # from here on thousands are separated


def is_dark() -> bool:
    """Return whether the style of matplotlib has a dark background."""
    import matplotlib as mpl
    from matplotlib.colors import to_rgba

    red, green, blue, opacity = to_rgba(mpl.rcParams["axes.facecolor"])
    if not opacity:  # the figure's, or the page's
        red, green, blue, opacity = to_rgba(mpl.rcParams["figure.facecolor"])
    return bool(opacity) and 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.4  # noqa: PLR2004 - as eyes weigh them


def find_background() -> str:
    """Return the color of the paper; white where it shows what is behind it."""
    import matplotlib as mpl

    color = mpl.rcParams["axes.facecolor"]
    return "white" if color == "none" else str(color)


def find_ink() -> str:
    """Return the gray of remarks: darker or lighter than the lines of the grid, as the background wants."""
    return "0.7" if is_dark() else "0.4"


def choose_colors(table: pd.DataFrame) -> list[str]:
    """Return a color for each column of *table*."""
    palette = [_ON_DARK.get(color, color) for color in PALETTE] if is_dark() else PALETTE
    names = [str(name) for name in table.columns]
    return [OTHER if name.startswith("other (") else palette[i % len(palette)] for i, name in enumerate(names)]


def format_values(axis: Any, unit: str, table: pd.DataFrame) -> None:
    """Write the numbers of *axis* as a reader expects them: shares in per cent, thousands separated."""
    from matplotlib.ticker import PercentFormatter, StrMethodFormatter

    if unit == "share":
        axis.set_major_formatter(PercentFormatter(1.0))
    elif unit == "%":
        axis.set_major_formatter(PercentFormatter(100.0))
    elif (table.abs() >= _MANY).fillna(value=False).to_numpy(dtype=bool).any():
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
