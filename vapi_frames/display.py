"""How objects and errors look in a notebook."""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Prose",
    "UnknownAttributeError",
    "format_block",
    "format_html",
    "format_rows",
    "list_user_lines",
    "show_html",
]

_WIDTH = 88
_ROW = re.compile(r"(\w+) {2,}(.*)")
# No color of its own, so that the text is readable on a light and on a dark background.
_STYLE = "font-family: var(--jp-code-font-family, monospace); font-size: 0.9em; text-align: left; white-space: pre-wrap"


class Prose(str):
    """Text of a few sentences, one line of it; as the value of a cell it is shown in lines that fit the screen."""

    __slots__ = ()

    def __repr__(self) -> str:
        return textwrap.fill(self, _WIDTH)

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p>{escape(self)}</p>"


def format_html(text: str) -> str:
    """Return *text* as HTML: lines of a name and a value, as reprs have them, become rows of a table."""
    from html import escape  # its table of 2,000 entities costs a millisecond, and only a notebook shows HTML

    code, rows = [], []
    for line in text.splitlines():
        if (found := _ROW.fullmatch(line)) is not None:
            name, value = map(escape, found.groups())
            rows.append(f'<tr><th scope="row" style="{_STYLE}">{name}</th><td style="{_STYLE}">{value}</td></tr>')
        else:
            code.append(escape(line))
    pre = f'<pre style="{_STYLE}; margin: 0">' + "\n".join(code) + "</pre>" if code else ""
    return f"<div>{pre}<table>{''.join(rows)}</table></div>" if rows else f"<div>{pre}</div>"


def show_html(self: object) -> str:
    """Return the repr as HTML; a class has it as ``_repr_html_``."""
    return format_html(repr(self))


def format_rows(values: Mapping[str, object]) -> str:
    """Return the *values* that are not empty as lines of a name and a value."""
    shown = {name: value for name, value in values.items() if value not in (None, "", (), {})}
    width = max(map(len, shown), default=0)
    return "\n".join(f"{name:{width}}  {value}" for name, value in shown.items())


def format_block(verbs: list[str]) -> str:
    """Return a chain of calls, one line if it fits in 80 columns, else a verb a line, in parentheses."""
    line = "".join(verbs)
    if len(line) <= 80:  # noqa: PLR2004 - the width of a terminal
        return line
    return "\n    ".join(["(", *verbs]) + "\n)"


class UnknownAttributeError(AttributeError):
    """A name that an object of this package does not have; a notebook shows the user's line and the message."""

    def _render_traceback_(self) -> list[str]:
        return list_user_lines(self)


def list_user_lines(error: BaseException) -> list[str]:
    """Return the traceback of *error* as IPython shows one: the lines of the user alone, and the message."""
    import traceback

    import IPython

    hidden = tuple(f"{Path(module).parent}{os.sep}" for module in (__file__, IPython.__file__))
    shown = []
    for one in traceback.extract_tb(error.__traceback__):
        if not one.filename.startswith(hidden):
            function = "" if one.name.startswith("<") else f", in {one.name}"
            shown.append(f"{_name_place(one.filename)}, line {one.lineno}{function}\n----> {one.lineno} {one.line}\n")
    return [*shown, f"{type(error).__name__}: {error}"]


def _name_place(filename: str) -> str:
    """Return what IPython calls the code of *filename*: a cell by its number."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    name = shell.compile.format_code_name(filename) if shell else None
    return " ".join(name) if name else f"File {filename}"
