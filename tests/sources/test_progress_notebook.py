"""The progress of a fetch in a notebook."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.terminals import BAR

ROOT = Path(__file__).parents[2]


FETCH = """
import contextvars, threading
from vapi_frames.sources import progress
from vapi_frames.sources.progress import *

def fetch(wanted, last=2):
    now = [0.0]
    progress._clock = lambda: now[0]
    def work():
        requested()
        arrived(2)
    with showing(wanted):
        expect(3)
        requested()
        now[0] += 5
        tick()
        say("waiting <12> s")
        now[0] += 5
        tick()
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
        thread.join()
        now[0] += 5
        expect(1)
        tick()
        arrived(last)
"""


LAST = "4 of 4 pieces, 2 requests, 15.0 s"


def run_notebook(*cells):
    """Run *cells* in a kernel, and return the outputs of each, and the widgets' states."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(env={**os.environ, "PYTHONPATH": path})
    widgets = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    return [cell.outputs for cell in notebook.cells], {name: one["state"] for name, one in widgets.items()}


def widget_of(output, widgets):
    """Return what *output* shows."""
    return widgets[output.data["application/vnd.jupyter.widget-view+json"]["model_id"]]


def is_hidden(output, widgets):
    """Say whether the widget that *output* shows was taken away again."""
    layout = widget_of(output, widgets)["layout"].removeprefix("IPY_MODEL_")
    return widgets[layout]["visibility"] == "hidden"


def bar_of(output, widgets):
    """Return the bar of tqdm that *output* is: its words, value, maximum and color."""
    left, bar, right = (widgets[child.removeprefix("IPY_MODEL_")] for child in widget_of(output, widgets)["children"])
    words = (left["value"] + right["value"]).replace("\u2007", " ").split()
    return " ".join(words), bar["value"], bar["max"], bar["bar_style"]


def text_of(outputs):
    """Return what a cell wrote on stderr, and nothing else."""
    assert {output.get("name") for output in outputs} == {"stderr"}
    return BAR.sub("", "".join(output.text for output in outputs))


@pytest.mark.long
@pytest.mark.extra("test")
def test_a_notebook_has_a_bar():
    """In a notebook it is tqdm's bar, which stays where it was requested or broke off; without tqdm there are lines."""
    (_, wanted, quiet, broken, without), widgets = run_notebook(
        FETCH,
        "fetch(True)",
        "fetch(None)",
        "fetch(None, last=1)",
        "import sys; sys.modules['tqdm.auto'] = None\nfetch(True)",
    )
    assert bar_of(wanted[0], widgets) == (f"vapi-frames: {LAST}", 4.0, 4.0, "success")
    assert len(wanted) == 1
    assert is_hidden(quiet[0], widgets)
    assert not is_hidden(wanted[0], widgets)
    assert bar_of(broken[0], widgets)[1:] == (3.0, 4.0, "danger")
    assert text_of(without).endswith(f"\nvapi-frames: {LAST}\n")
    assert "\r" not in text_of(without)


@pytest.mark.long
@pytest.mark.extra("test")
def test_a_notebook_without_widgets_has_a_line():
    """Without ipywidgets it is the line of a terminal."""
    (*_, wanted, quiet), widgets = run_notebook(
        "import sys; sys.modules['ipywidgets'] = None", FETCH, "fetch(True)", "fetch(None)"
    )
    assert not widgets
    assert "\rvapi-frames: 0 of 3 pieces, 1 request, waiting <12> s" in text_of(wanted)
    assert text_of(wanted).endswith(f"{LAST}\n")
    assert "waiting <12> s" in text_of(quiet)
    assert text_of(quiet).rstrip(" ").endswith("\r")
