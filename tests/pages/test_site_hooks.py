"""What the site makes of a notebook: links lead to pages, pictures have their texts, set-up is folded."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from tests.support.site_hooks import on_page_content

pytestmark = pytest.mark.extra("test")


def build(tmp_path, cells, content):
    """Return what the site shows of a notebook of *cells*, which nbconvert made *content* of."""
    path = tmp_path / "page.ipynb"
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    file = SimpleNamespace(src_uri="guides/page.ipynb", abs_src_path=str(path))
    other = SimpleNamespace(url_relative_to=lambda _: "verbs.html")
    files = SimpleNamespace(get_file_from_path={"guides/verbs.md": other}.get)
    return on_page_content(content, page=SimpleNamespace(file=file), config=None, files=files)


def code(name, source, *outputs):
    return {"cell_type": "code", "id": name, "source": [source], "outputs": list(outputs)}


def box(name, text):
    return f'<div class="jp-Cell x"><div class="jp-Cell x" id="cell-id={name}">{text}</div></div>'


def test_only_cells_that_set_up_are_folded(tmp_path):
    """A cell that begins with an import and shows nothing is folded; one that shows something stays open."""
    shown = {"data": {"text/plain": "1"}}
    cells = [code("a", "import x"), code("b", "import y\ny", shown), code("c", "z = 1"), code("d", "z", shown)]
    boxes = [box(name, name) for name in "abcd"]
    folded = f"<details><summary>Set-up</summary>{boxes[0]}</details>"
    assert build(tmp_path, cells, "".join(boxes)) == folded + "".join(boxes[1:])


def test_links_and_pictures_of_a_notebook(tmp_path):
    """A link to a file leads to its page; a picture gets the text that it is stored with."""
    picture = {"data": {"image/png": ""}, "metadata": {"image/png": {"alt": "calls < 10"}}}
    content = '<a href="verbs.md#ratios"></a><img alt="No description has been provided for this image">'
    built = build(tmp_path, [code("a", "1", picture)], content)
    assert built == '<a href="verbs.html#ratios"></a><img alt="calls &lt; 10">'
