"""The notebooks among the pages: how they are run, and what of their outputs must be as it is committed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

PAGES = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(PAGES.rglob("*.ipynb"))
ON_SPARK = PAGES / "guides/archive-spark.ipynb"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def run(path: Path) -> NotebookNode:
    """Run a notebook from top to bottom and return it with its outputs, without what differs from run to run.

    What is printed right above or below a picture is also the picture's alternative text.

    Raises:
        CellExecutionError: A cell failed.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    # The package is that of this tree; a backend that the caller's environment names would draw to nowhere.
    paths = os.pathsep.join([str(PAGES.parent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = {**os.environ, "PYTHONPATH": paths, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,  # what is printed may come in one piece or in two
        # What programs that a cell starts write, such as Spark's, goes where it would go without a notebook.
        extra_arguments=["--IPKernelApp.capture_fd_output=False"],
    )
    client.execute(cwd=str(path.parent), env=environment)
    for place, cell in enumerate(notebook.cells):
        outputs = cell.get("outputs", [])
        for output in outputs:  # pandas draws the id of a styled table by chance
            if "text/html" in output.get("data", {}):
                output.data["text/html"] = re.sub(
                    r"\bT_[0-9a-f]{5}(?![0-9a-f])", f"T_{place:05}", output.data["text/html"]
                )
        for above, output, below in zip([{}, *outputs], outputs, [*outputs[1:], {}], strict=False):
            printed = next((one["text"] for one in (below, above) if one.get("name") == "stdout"), None)
            if "image/png" in output.get("data", {}) and printed:
                output.metadata = nbformat.from_dict({"image/png": {"alt": " ".join(printed.split())}})
    return stripped(notebook)


def stripped(notebook: NotebookNode) -> NotebookNode:
    """Return *notebook* without what differs from machine to machine: versions, times, widgets. Outputs are kept."""
    import nbformat

    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    return notebook


def check_run(path: Path) -> None:
    """Run a notebook: its committed outputs are those of the run."""
    import nbformat

    committed, executed = nbformat.read(path, as_version=4), run(path)
    for before, after in zip(committed.cells, executed.cells, strict=True):
        assert _texts(before) == _texts(after), f"run python -m tests.support.make_pages again: {before.source}"


def _texts(cell):
    """Return what a cell's outputs say: pictures and HTML differ between versions, blanks between pandas 2 and 3."""
    outputs = cell.get("outputs", [])
    said = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    kinds = [output.get("name", output.output_type) for output in outputs]
    pictures = ["image/png" in output.get("data", {}) for output in outputs]
    return kinds, [re.sub(r"\s+", " ", text).replace("NaN", "nan") for text in said], pictures
