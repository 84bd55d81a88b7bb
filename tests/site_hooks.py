"""What mkdocs runs while it builds the site: the pictures of notebooks get the alternative texts they are stored with.

nbconvert's page of a notebook has no place for them.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

_NONE = 'alt="No description has been provided for this image"'


def on_page_content(content: str, *, page: Any, **_: Any) -> str:
    """Return the page with the alternative texts of its notebook, in the order of its pictures."""
    path = Path(page.file.abs_src_path)
    if path.suffix != ".ipynb":
        return content
    first, *rest = content.split(_NONE)
    texts = _alternative_texts(json.loads(path.read_text(encoding="utf-8")))
    if len(texts) != len(rest):
        raise ValueError(f"{path.name} has {len(texts)} pictures, its page {len(rest)} without a text")
    pairs = zip(texts, rest, strict=True)
    return first + "".join(f'alt="{html.escape(text)}"{after}' for text, after in pairs)


def _alternative_texts(notebook: dict[str, Any]) -> list[str]:
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return [one["metadata"]["image/png"]["alt"] for one in outputs if "image/png" in one.get("data", {})]
