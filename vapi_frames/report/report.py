"""`Report`: one page about a range of calls, as HTML or JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vapi_frames.calendar.ranges import format_iso
from vapi_frames.errors import QueryError
from vapi_frames.files import atomic_write, expand_path
from vapi_frames.frames.plain import plain_columns
from vapi_frames.report.content import Content

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from vapi_frames.report.content import Section

__all__ = ["Report"]

_SUFFIXES = (".html", ".json")


@dataclass(frozen=True)
class Report(Content):
    """One page about a range of calls, made by `Vq.report`: shown in a notebook, or saved for someone else.

    Its figures and sections are those of `vapi_frames.report.content.Content`.

    Examples:
        >>> import vapi_frames as vf
        >>> report = vf.demo().report("14d", title="Two weeks")
        >>> report
        <Report 'Two weeks', 2026-11-02T00:00:00Z to 2026-11-16T00:00:00Z, 7 sections>
        >>> [(figure.label, round(figure.value, 2)) for figure in report.figures[:3]]
        [('Calls', 6348), ('Cost', 977.66), ('Minutes', 8030.92)]
    """

    def to_html(self) -> str:
        """Return the page as HTML: one document with its styles and charts, without scripts, that loads nothing.

        Raises:
            MissingExtraError: matplotlib is not installed.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().report("14d").to_html()[:15]
            '<!DOCTYPE html>'
        """
        from vapi_frames.report.page import render_document

        return render_document(self, self._article)

    def to_json(self) -> str:
        """Return the numbers of the page as JSON, with all rows of each section, units, formulas and queries.

        Examples:
            >>> import json
            >>> import vapi_frames as vf
            >>> found = json.loads(vf.demo().report("14d").to_json())
            >>> list(found)
            ['title', 'source', 'zone', 'step', 'start', 'end', 'before', 'now', 'figures', 'sections', 'gaps']
        """
        content = {
            "title": self.title,
            "source": self.source,
            "zone": self.zone,
            "step": self.step,
            "start": format_iso(self.start),
            "end": format_iso(self.end),
            "before": None if self.before is None else [format_iso(side) for side in self.before],
            "now": format_iso(self.now),
            "figures": [vars(figure) for figure in self.figures],
            "sections": {section.name: _to_plain(section) for section in self.sections},
            "gaps": list(self.gaps),
        }
        return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n"

    def save(self, path: str | PathLike[str]) -> None:
        """Write the page to a file, which is replaced when the new one is whole.

        Args:
            path: A file ``.html``, or ``.json`` for its numbers.

        Raises:
            QueryError: It ends in something else.
            MissingExtraError: matplotlib is not installed.
            OSError: It cannot be written.

        Examples:
            >>> import tempfile
            >>> import vapi_frames as vf
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     vf.demo().report("14d").save(f"{folder}/report.html")
        """
        target: Path = expand_path(path)
        if target.suffix.lower() not in _SUFFIXES:
            raise QueryError(f"{str(path)!r} must end in .html or .json, which decides the format")
        text = self.to_html() if target.suffix.lower() == ".html" else self.to_json()
        with atomic_write(target) as file:
            file.write(text.encode("utf-8", "replace"))

    def _repr_html_(self) -> str:
        from vapi_frames.report.page import render_fragment

        return render_fragment(self._article)

    @cached_property
    def _article(self) -> Any:
        from vapi_frames.report.page import build_article

        return build_article(self)

    def __repr__(self) -> str:
        span = f"{format_iso(self.start)} to {format_iso(self.end)}"
        return f"<Report {self.title!r}, {span}, {len(self.sections)} sections>"


def _to_plain(section: Section) -> dict[str, Any]:
    """Return a section as JSON has it."""
    columns = plain_columns(section.frame)
    return {
        "title": section.title,
        "text": section.text,
        "query": section.query,
        "units": section.units,
        "formulas": section.formulas(),
        "rows": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
    }
