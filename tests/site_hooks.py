"""What mkdocs does to the pages that are notebooks, besides: their links lead to pages, and pictures say what they are.

A notebook links to files (`frame.md`), which is right where it is read as one, and wrong on the site. A picture that a
cell draws comes without a text; the heading above it is what can be said without running anything.
"""

from __future__ import annotations

import html as escapes
import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_LINK = re.compile(r'(?<=href=")([^":#?]+\.(?:md|ipynb))(?=[#"])')
_HEADING_OR_PICTURE = re.compile(
    r"<h[1-4][^>]*>(.*?)</h[1-4]>|alt=\"No description has been provided[^\"]*\"", re.DOTALL
)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the content of a page as it goes into the site."""
    if not page.file.src_uri.endswith(".ipynb"):
        return html

    def leading(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), found[1]))
        file = files.get_file_from_path(path)
        return file.url_relative_to(page.file) if file else found[1]

    heading = page.title or ""

    def described(found: re.Match[str]) -> str:
        nonlocal heading
        if found[1] is None:
            return f'alt="Chart drawn by the code above it, about: {escapes.escape(heading)}"'
        heading = escapes.unescape(re.sub(r"<a class=\"anchor-link.*?</a>|<[^>]+>|¶", "", found[1])).strip()
        return found[0]

    return _HEADING_OR_PICTURE.sub(described, _LINK.sub(leading, html))
