"""The notebooks run, and are committed as they were run. The one that needs Spark runs among the tests of Spark."""

from __future__ import annotations

import ast
import re

import nbformat
import pytest

import vapi_frames
from tests.support.notebooks import METADATA, NOTEBOOKS, ON_SPARK, check_run, stripped

pytestmark = pytest.mark.extra("test")

LOCAL_PATH = re.compile(r"site-packages|/(?:home|root|tmp|Users|usr|opt|private|var)/|[A-Z]:\\\\")
OFFLINE = [path for path in NOTEBOOKS if path != ON_SPARK]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    """Return the path of each notebook in turn."""
    return request.param


@pytest.mark.long
@pytest.mark.parametrize("path", OFFLINE, ids=lambda path: path.stem)
def test_notebook_runs_and_shows_what_it_did(path):
    """A notebook runs offline from top to bottom, and its committed outputs are those of the run."""
    check_run(path)


def test_notebook_is_committed_clean(path):
    """It has run in order, without a warning, and holds nothing of the machine it ran on."""
    text = path.read_text(encoding="utf-8")
    assert not LOCAL_PATH.search(re.sub(r'"image/png": "[^"]*"', "", text))
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata == METADATA
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(cell.metadata == {} for cell in notebook.cells)
    assert not [output for cell in code for output in cell.outputs if output.get("name") == "stderr"]


def test_what_jupyter_adds_is_taken_out(path):
    """Saved in Jupyter, on any machine, it is stripped to what is committed; its outputs stay."""
    committed, saved = (nbformat.read(path, as_version=4) for _ in range(2))
    saved.metadata.kernelspec.display_name = "Python 3 (ipykernel)"
    saved.metadata.language_info.update({"version": "3.12.1", "file_extension": ".py"})
    saved.metadata.widgets = nbformat.from_dict({"application/vnd.jupyter.widget-state+json": {"state": {}}})
    for cell in saved.cells:
        cell.metadata.update({"execution": {"iopub.execute_input": "2026-11-16T00:00:00Z"}, "scrolled": True})
    assert saved != committed
    assert stripped(saved) == committed


def test_notebook_has_pictures_and_says_what_they_show(path):
    """A picture has an alternative text for readers who cannot see it; the text is also below it."""
    outputs = [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 3
    assert all(len(picture.metadata["image/png"]["alt"]) > 40 for picture in pictures)


def test_links_of_a_notebook_lead_somewhere(path):
    """Every relative link leads to a page."""
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    targets = [target for target in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in target]
    assert targets
    assert not [target for target in targets if not (path.parent / target).exists()]


def test_a_chart_takes_three_lines_and_no_matplotlib(path):
    """What a chart needs is a default or an option of `plot`, and no line is wider than the site shows."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        assert max(map(len, cell.source.splitlines())) <= 77
        for node in ast.walk(ast.parse(cell.source)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [one.name for one in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name.startswith("matplotlib")], cell.source
            assert not (isinstance(node, ast.Name) and node.id in ("ax", "axes", "plt", "figure")), cell.source
            if isinstance(node, ast.stmt) and ".plot" in ast.unparse(node):
                assert node.end_lineno - node.lineno < 3, cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_imports_public_names_only(path):
    """What a notebook shows, a reader may type: names of the package itself, and no module inside it."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code" or cell.source.startswith("%%"):
            continue
        for node in ast.walk(ast.parse(re.sub(r"^[%!].*$", "", cell.source, flags=re.MULTILINE))):
            if isinstance(node, ast.Import):
                assert not [one.name for one in node.names if one.name.startswith("vapi_frames.")]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vapi_frames"):
                assert node.module == "vapi_frames"
                assert {one.name for one in node.names} <= set(vapi_frames.__all__)
