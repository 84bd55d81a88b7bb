"""Colors that can be read on the reader's background, and how numbers stand on an axis."""

from __future__ import annotations

from typing import Any

import pandas as pd

__all__ = [
    "OTHER",
    "PALETTE",
    "choose_colors",
    "find_background",
    "find_brightness",
    "find_ink",
    "format_figure",
    "format_values",
    "is_dark",
]

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#999933")
"""The colors of the charts, in order: those of Okabe and Ito, which color-blind readers can distinguish."""
OTHER = "#999999"
_ON_DARK = {"#0072B2": "#4C7DFF", "#000000": "#FFFFFF"}  # at least 3:1 on black, the others are so as they are
_MANY = 10_000  # from here on thousands are separated
_DARK = 0.4  # the brightness below which a background is dark
_WHOLE_PERCENT, _WHOLE = 100, 1_000  # from here on a figure has no decimals


def is_dark() -> bool:
    """Return whether the style of matplotlib has a dark background."""
    import matplotlib as mpl
    from matplotlib.colors import to_rgba

    red, green, blue, opacity = to_rgba(mpl.rcParams["axes.facecolor"])
    if not opacity:  # the figure's, or the page's
        red, green, blue, opacity = to_rgba(mpl.rcParams["figure.facecolor"])
    return bool(opacity) and find_brightness(red, green, blue) < _DARK


def find_brightness(red: float, green: float, blue: float) -> float:
    """Return how bright a color is to the eye, from 0 to 1, of parts from 0 to 1."""
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def find_background() -> str:
    """Return the color of the paper; white where it shows what is behind it."""
    import matplotlib as mpl

    color = mpl.rcParams["axes.facecolor"]
    return "white" if color == "none" else str(color)


def find_ink() -> str:
    """Return the gray of remarks: darker or lighter than the lines of the grid, as the background wants."""
    return "0.7" if is_dark() else "0.4"


def choose_colors(table: pd.DataFrame, *, neutral: str | None = None) -> list[str]:
    """Return a color for each column of *table*, a gray one for *neutral* and for the rest of many groups."""
    palette = [_ON_DARK.get(color, color) for color in PALETTE] if is_dark() else PALETTE
    names = [str(name) for name in table.columns]
    colors = [OTHER if name.startswith("other (") else palette[i % len(palette)] for i, name in enumerate(names)]
    gray = "0.45" if is_dark() else "0.7"
    return [gray if name == neutral else color for name, color in zip(names, colors, strict=True)]


def format_figure(value: Any, unit: str = "") -> str:
    """Return a number as text: whole where it is large, with decimals where it is small, a share in per cent.

    Examples:
        >>> format_figure(2922.17), format_figure(0.12345), format_figure(0.301, "share"), format_figure(None)
        ('2,922', '0.123', '30.1%', '-')
    """
    if pd.isna(value):
        return "-"
    if unit in ("share", "%"):
        percent = 100 * value if unit == "share" else value
        return f"{percent:,.0f}%" if abs(percent) >= _WHOLE_PERCENT else f"{percent:.3g}%"
    if float(value).is_integer() or abs(value) >= _WHOLE:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:,.3g}"


def format_values(axis: Any, unit: str, table: pd.DataFrame) -> None:
    """Write the numbers of *axis* as a reader expects them: shares in per cent, thousands separated."""
    from matplotlib.ticker import PercentFormatter, StrMethodFormatter

    if unit == "share":
        axis.set_major_formatter(PercentFormatter(1.0))
    elif unit == "%":
        axis.set_major_formatter(PercentFormatter(100.0))
    elif (table.abs() >= _MANY).fillna(value=False).to_numpy(dtype=bool).any():
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
