"""A Styler that is a page of its own where it is written as HTML."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

__all__ = ["PageStyler"]


class PageStyler(Styler):
    """A Styler that `to_html` writes as a page, which says that it is UTF-8; in a notebook it is the table alone."""

    def to_html(self, buf: Any = None, *, doctype_html: bool = True, **options: Any) -> Any:
        """Return the page, or write it to *buf*; with ``doctype_html=False`` the table alone."""
        return super().to_html(buf, doctype_html=doctype_html, **options)

    def _repr_html_(self) -> str | None:
        if pd.get_option("styler.render.repr") != "html":
            return None
        return str(self.to_html(doctype_html=False))

    def __repr__(self) -> str:
        """Return the frame as text, for where HTML is not shown."""
        return repr(vars(self)["data"])  # the stubs do not know the attribute
