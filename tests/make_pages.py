"""Write what is generated under notebooks/: the page of measures, the table of bad days, the demo's chart, and the
tour's outputs.

Run it from the root of the repository after a change that they show. With notebooks as arguments it runs nothing, and
takes out of them what differs from machine to machine; the hooks of each commit do that:

    python tests/make_pages.py
    python tests/make_pages.py notebooks/tour.ipynb
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vapi_frames.vocabulary import CALL_COLUMNS, MEASURES, SUBSCRIPTION_COLUMNS

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from vapi_frames.vocabulary import Measure

PAGES = Path(__file__).resolve().parents[1] / "notebooks"
TOUR = PAGES / "tour.ipynb"

_MEASURES = """\
# Measures

A measure is an operation on a column. This page is generated from the one table that the package itself reads.

- **Name**: the column of the frame, unless you give an alias. It is also the API's own default name.
- **Unit**: the unit of the values, as in `df.vapi.units`.
- **No row**: what a bucket or group without a row means. `zero`: nothing happened. `missing`: there is no value.
  `carry`: a level that lasts until its next row.
- **Over time**, **over groups**: how the measure re-aggregates exactly, to a coarser step or to fewer groups. `sum`,
  `min`, `max`: by that operation. `weighted`: the averages weighted by the counts of the same column, which
  `.with_counts()` adds. `none`: not at all; ask the coarser question.

The unit of `duration` is minutes. The published reference of the API does not say so.
"""
_WITHOUT = """\
## Without a known meaning

The contract allows these, too. The API may answer them, call records do not, and [lint](lint.md#vf102) warns.

"""


def measures_page() -> str:
    """Return the text of measures.md."""
    parts = [_MEASURES]
    for table, columns in (("call", CALL_COLUMNS), ("subscription", SUBSCRIPTION_COLUMNS)):
        parts.append(f"## Table `{table}`\n")
        for column in columns:
            parts.append(f"### {column}\n\n{_table([one for one in MEASURES if one.column == column and one.tables])}")
    without: dict[str, list[str]] = {}
    for one in MEASURES:
        if not one.tables:
            without.setdefault(one.column, []).append(f"`{one.operation}`")
    rows = [f"| `{column}` | {', '.join(operations)} |" for column, operations in without.items()]
    parts.append(_WITHOUT + "\n".join(["| column | operations |", "| --- | --- |", *rows, ""]))
    return "\n".join(parts)


def wire_page() -> str:
    """Return the text of wire.md, with the table of bad days as they are tested."""
    from tests.bad_days import table

    before, _, rest = (PAGES / "wire.md").read_text(encoding="utf-8").partition("<!-- cases -->\n")
    _, _, after = rest.partition("<!-- end of cases -->\n")
    return f"{before}<!-- cases -->\n{table()}\n<!-- end of cases -->\n{after}"


def _table(measures: list[Measure]) -> str:
    rows = ["| operation | name | unit | no row | over time | over groups |", "| --- " * 6 + "|"]
    rows += [
        f"| `{one.operation}` | `{one.name}` | {one.unit} | {one.fill} | {one.over_time} | {one.over_groups} |"
        for one in measures
    ]
    return "\n".join([*rows, ""])


def run_tour() -> NotebookNode:
    """Run the tour from top to bottom and return it with its outputs, without what differs from run to run.

    Raises:
        CellExecutionError: A cell failed.
    """
    import nbformat
    from nbclient import NotebookClient

    tour = nbformat.read(TOUR, as_version=4)
    # A backend that the caller's environment names would draw to nowhere.
    environment = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    client = NotebookClient(tour, timeout=120, kernel_name="python3", record_timing=False)
    client.execute(cwd=str(PAGES), env=environment)
    return stripped(tour)


def stripped(notebook: NotebookNode) -> NotebookNode:
    """Return *notebook* without what differs from machine to machine: versions, times, widgets. Outputs are kept."""
    import nbformat

    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    return notebook


def _main(notebooks: list[str]) -> None:
    import nbformat

    from vapi_frames import cli

    for path in notebooks:
        nbformat.write(stripped(nbformat.read(path, as_version=4)), path)
    if notebooks:
        return
    (PAGES / "measures.md").write_text(measures_page(), encoding="utf-8")
    (PAGES / "wire.md").write_text(wire_page(), encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()):
        cli.main(["demo", "--png", str(PAGES / "spend.png")])
    nbformat.write(run_tour(), TOUR)


if __name__ == "__main__":
    _main(sys.argv[1:])
