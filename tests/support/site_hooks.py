"""What mkdocs does to the pages that are notebooks, besides: links lead to pages, pictures say what they are, set-up is folded.

A notebook links to files (`frame.md`), which is right where it is read as one, and wrong on the site. The alternative
texts that its pictures are stored with have no place in the page that nbconvert makes of it. Cells that only import and
define print nothing; a reader of the page comes for what the others show.
"""

from __future__ import annotations

import html
import json
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_LINK = re.compile(r'(?<=href=")([^":#?]+\.(?:md|ipynb))(?=[#"])')
_IMPORTS = ("import ", "from ")
_CELL = '<div class="jp-Cell '
_NONE = 'alt="No description has been provided for this image"'


def on_page_content(content: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the content of a page as it goes into the site."""
    del config
    if not page.file.src_uri.endswith(".ipynb"):
        return content

    def leading(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), found[1]))
        file = files.get_file_from_path(path)
        return file.url_relative_to(page.file) if file else found[1]

    notebook = json.loads(Path(str(page.file.abs_src_path)).read_text(encoding="utf-8"))
    texts = _alternative_texts(notebook)
    first, *rest = _fold(_LINK.sub(leading, content), notebook).split(_NONE)
    if len(texts) != len(rest):
        raise ValueError(f"{page.file.src_uri} has {len(texts)} pictures, its page {len(rest)} without a text")
    pairs = zip(texts, rest, strict=True)
    return first + "".join(f'alt="{html.escape(text)}"{after}' for text, after in pairs)


def _alternative_texts(notebook: dict[str, Any]) -> list[str]:
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return [one["metadata"]["image/png"]["alt"] for one in outputs if "image/png" in one.get("data", {})]


def _fold(content: str, notebook: dict[str, Any]) -> str:
    """Return *content* with the cells that only set up below a word that opens them."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and not cell["outputs"] and "".join(cell["source"]).startswith(_IMPORTS):
            # Each cell is a box in a box, which alone has the id.
            inner = content.index(f'id="cell-id={cell["id"]}"')
            begin = content.rindex(_CELL, 0, content.rindex(_CELL, 0, inner))
            end = content.index(_CELL, inner)
            folded = f"<details><summary>Set-up</summary>{content[begin:end]}</details>"
            content = content[:begin] + folded + content[end:]
    return content
