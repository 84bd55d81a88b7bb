"""A result on stdout, to be read: CSV, JSON, a table of text or of Markdown, with numbers as a reader writes them.

A sum of binary fractions is ``464.8436000000003``, where its digits after the twelfth say nothing: they are left out.
Files of ``--out`` have all digits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vapi_frames.analysis.tables import to_text_columns
from vapi_frames.cli.export import to_csv_text, to_json_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DIGITS", "to_text"]

DIGITS = 12
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SPECIAL = re.compile(r"([\\`*_\[\]<>|])")


def to_text(frame: pd.DataFrame, form: str) -> str:
    """Return *frame* as text.

    Args:
        frame: A result frame.
        form: ``csv``, ``json``, ``table`` or ``markdown``.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").count().by("type").during("2026-10").fetch()
        >>> print(to_text(df, "table"), end="")
        type               sumCost (USD)  countId (calls)
        inboundPhoneCall       $1,152.42            6,537
        outboundPhoneCall        $576.42            4,265
        webCall                  $413.38            2,693
        >>> print(to_text(df, "csv"), end="")
        type,sumCost,countId
        inboundPhoneCall,1152.4152,6537
        outboundPhoneCall,576.4173,4265
        webCall,413.3844,2693
    """
    if form == "csv":
        return to_csv_text(frame, digits=DIGITS)
    if form == "json":
        return to_json_text(frame, digits=DIGITS)
    is_number = [False] * sum(name is not None for name in frame.index.names)
    is_number += [dtype.kind in "iuf" for dtype in frame.dtypes]
    columns = to_text_columns(frame)
    return _to_markdown(columns, is_number) if form == "markdown" else _to_table(columns, is_number)


def _to_table(columns: dict[str, list[str]], is_number: list[bool]) -> str:
    """Return columns of text side by side, numbers at the right."""
    whole = [[_UNPRINTABLE.sub("\ufffd", text) for text in (name, *texts)] for name, texts in columns.items()]
    widths = [max(map(len, texts)) for texts in whole]
    lines = []
    for row in zip(*whole, strict=True):
        cells = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, is_number, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "".join(f"{line}\n" for line in lines)


def _to_markdown(columns: dict[str, list[str]], is_number: list[bool]) -> str:
    """Return a table of Markdown; text is only text, whatever it holds."""
    whole = [
        [_SPECIAL.sub(r"\\\1", _UNPRINTABLE.sub("\ufffd", text)) for text in (name, *texts)]
        for name, texts in columns.items()
    ]
    head, *rows = zip(*whole, strict=True)
    rule = ["---:" if right else "---" for right in is_number]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *rows))
