"""Write what is generated under notebooks/: the pages of measures, types and reasons, the table of bad days, the gallery
with all pictures, and the outputs of the notebooks.

Run it from the root of the repository after a change that they show. With notebooks as arguments it runs nothing, and
takes out of them what differs from machine to machine; the hooks of each commit do that:

    python -m tests.support.make_pages
    python -m tests.support.make_pages notebooks/start/tour.ipynb

`archive-spark.ipynb` needs pyspark and Java.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.support.notebooks import NOTEBOOKS, PAGES, run, stripped
from vapi_frames.contract.record_words import RECORD_COLUMNS, RECORD_GROUPS, RECORD_PATHS
from vapi_frames.contract.vocabulary import (
    CALL_COLUMNS,
    GROUP_COLUMNS,
    MEASURES,
    RECORD_MEASURES,
    SUBSCRIPTION_COLUMNS,
)

if TYPE_CHECKING:
    from vapi_frames.contract.vocabulary import Measure

_MEASURES = """\
# Measures

A measure is an operation on a column. This page is generated from the one table that the package itself reads.

- **Name**: the column of the frame, unless you give an alias. It is also the API's own default name.
- **Unit**: the unit of the values, as in `df.vapi.units`.
- **No row**: what a bucket or group without a row means. `zero`: nothing happened. `missing`: there is no value.
  `carry`: a level that lasts until its next row.
- **Over time**, **over groups**: how the measure re-aggregates exactly, to a coarser step or to fewer groups. `sum`,
  `min`, `max`: by that operation. `weighted`: the averages weighted by the counts of the same column, which
  `.with_counts()` adds. `none`: not at all; fetch the coarser query.

The unit of `duration` is minutes. The published reference of the API does not say so.
"""
_BEYOND = """\
## Beyond the contract: call records only

The API's contract does not have these, but call records do: those of [`vf.local`](../guides/sources.md), an archive or a
[warehouse](../guides/warehouse.md). The API source refuses them with `NotInContractError` before it sends anything, and
`q.beyond_contract` lists them.

`median`, `quantile` and `nunique` are beyond the contract for every column. None of the three re-aggregates.

### Groups

| answered by | `by`, `where` and `nunique` |
| --- | --- |
| API and call records | {contract}, `variable.<key>` |
| call records only | {records}, `output.<name>` |

`by_output("Call Outcome")` groups by a structured output; `where({{"output.Call Outcome": "resolved"}})` filters by it, and
`avg("output.CSAT")` measures it where it is a number. `"output.Survey.score"` is the output of that name, else the field
`score` of the output `Survey`.

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
    groups = (", ".join(f"`{one}`" for one in words) for words in (GROUP_COLUMNS, RECORD_GROUPS))
    parts.append(_BEYOND.format(**dict(zip(("contract", "records"), groups, strict=True))))
    for column in RECORD_COLUMNS:
        paths = ", ".join(f"`{path}`" for path in RECORD_PATHS[column])
        rows = _table([one for one in RECORD_MEASURES if one.column == column and one.tables])
        parts.append(f"### {column}\n\nIn a record: {paths}.\n\n{rows}")
    without: dict[str, list[str]] = {}
    for one in MEASURES:
        if not one.tables:
            without.setdefault(one.column, []).append(f"`{one.operation}`")
    rows = [f"| `{column}` | {', '.join(operations)} |" for column, operations in without.items()]
    parts.append(_WITHOUT + "\n".join(["| column | operations |", "| --- | --- |", *rows, ""]))
    return "\n".join(parts)


def wire_page() -> str:
    """Return the text of wire.md, with the table of bad days as they are tested."""
    from tests.support.bad_days import table

    before, _, rest = (PAGES / "guides/wire.md").read_text(encoding="utf-8").partition("<!-- cases -->\n")
    _, _, after = rest.partition("<!-- end of cases -->\n")
    return f"{before}<!-- cases -->\n{table()}\n<!-- end of cases -->\n{after}"


def frame_page() -> str:
    """Return the text of frame.md, with the table of steps as they are tested."""
    from tests.support.pandas_steps import table

    before, _, rest = (PAGES / "guides/frame.md").read_text(encoding="utf-8").partition("<!-- steps -->\n")
    _, _, after = rest.partition("<!-- end of steps -->\n")
    return f"{before}<!-- steps -->\n{table()}\n<!-- end of steps -->\n{after}"


def _table(measures: list[Measure]) -> str:
    rows = ["| operation | name | unit | no row | over time | over groups |", "| --- " * 6 + "|"]
    rows += [
        f"| `{one.operation}` | `{one.name}` | {one.unit} | {one.fill} | {one.over_time} | {one.over_groups} |"
        for one in measures
    ]
    return "\n".join([*rows, ""])


def _main(notebooks: list[str]) -> None:
    import nbformat

    from tests.support import make_gallery
    from tests.support.make_tables import reasons_page, types_page

    for path in notebooks:
        nbformat.write(stripped(nbformat.read(path, as_version=4)), path)
    if notebooks:
        return
    (PAGES / "reference/types.md").write_text(types_page(), encoding="utf-8")
    (PAGES / "reference/reasons.md").write_text(reasons_page(), encoding="utf-8")
    (PAGES / "reference/measures.md").write_text(measures_page(), encoding="utf-8")
    (PAGES / "guides/wire.md").write_text(wire_page(), encoding="utf-8")
    (PAGES / "guides/frame.md").write_text(frame_page(), encoding="utf-8")
    make_gallery.write()
    for path in NOTEBOOKS:
        nbformat.write(run(path), path)


if __name__ == "__main__":
    _main(sys.argv[1:])
