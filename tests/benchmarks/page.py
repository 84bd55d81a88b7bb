"""The page of benchmarks."""

from __future__ import annotations

import os
import platform
import textwrap
from importlib.metadata import version

LIBRARIES = ("pandas", "pyarrow", "pydantic", "duckdb", "polars", "orjson", "msgspec", "vapi-server-sdk")
_HEAD = """\
# Benchmarks

How fast this package is, compared with other tools. Analysts wait for three things: the import, a reply to become a frame, and
a result from their own call records.

Everything below comes from one run of one command on one machine, {cores} cores, Python {python},
{libraries}:

```sh
make setup && make bench ARGS=--page
```

Absolute times are those of that machine, and mean little elsewhere. What counts is the **ratio**: ours divided by the
other's, the median of runs that took turns. Below 1 is faster. **Mark** is the limit that the project has set itself.
Before anything is timed, both sides must have given the same numbers. All data are made from a seed ({seed}).

"""
_TAIL = """
## How to read it

- **By hand** is SQL as an expert writes it, `date_trunc(step, ts AT TIME ZONE zone)`, on the same DuckDB. This package
  does not call the engine's zone-aware truncation: it spells out the zone's few offset changes within the range, and
  the rest is arithmetic on whole numbers. That is faster, and right where the other is not, see [time](../guides/time.md).
  Without a step there is nothing to gain, so that *no step* and *three groups* take what the engine takes.
- A query to call records costs some ten milliseconds before the engine starts, whatever their number: of small files
  it is the larger part.
- The first query to several files also looks for duplicate ids, and does so again only when a file changes. The ten
  queries run after it. Memory is that of a query to files with row groups of 122,880 rows, as DuckDB writes them.
  Larger row groups take more: pandas writes a million rows in one group, and two threads read two groups at a time.
- `pyarrow.json` gets the columns of a reply beforehand, and makes no object of a row. It fails on a reply with other
  columns, or with numbers that are text in some rows only. An absent key and one that is null are the same to it. This package reads a large reply with it, half a megabyte at a time, and takes the types from the first row. Each
  piece has to be JSON in which no row lacks a key; else the strict reader reads the reply, and says which value of which row
  is wrong.
- The *official SDK* is `client.analytics.get`, with its models, over a transport that has the bytes at once. The version
  that pip installs beside the newest pydantic runs in this environment. 3.0.0, which refuses that pydantic, runs in one of
  its own, beside this package with the same libraries.
- *rollup*, *fill_gaps* and the others check first that the frame is what came: a pass over its values and its index.
- The server of the last rows waits a tenth of a second with each reply. *Cold* asks everything; *warm* finds what is
  over in the [cache](../guides/wire.md#the-cache), and asks for the rest.
- *PostgreSQL* and SQL by hand run on the same table. Ours cuts the time by `date_bin`, which takes half the time of a zone-aware
  `date_trunc`; without a step there is nothing to gain. *Concurrency* also looks for calls that are open or have no usable
  end, which the window by hand does not, on every engine.
- *ClickHouse* computes ours on whole seconds. It reads which ids are missing, a bit each, to count the calls without one.
  Sums and averages look at no number: one that is infinite or NaN shows in the result.
- *Spark* spends most of either query on reading Parquet. Ours reads no ids to count calls, and skips row groups by their
  statistics only: a bare comparison, as by hand, makes Spark build a set of all times in the dictionary of a row group, for
  each side of the range. *Concurrency* by hand is one window in one task; ours has a shuffle by bucket.
- *Ten times the calls in Spark* take less than ten times as long, as long as the fixed cost of a query is a part of it. The
  second core reads the files and, after the one shuffle, the buckets together with the first.
- Ibis 12 is no peer here: it drops the zone of `cast("timestamp('America/New_York')").truncate("D")` on PostgreSQL, DuckDB and
  Spark, so that a call of 03:30 UTC on 8 March counts on the 8th. In New York it is the 7th.
- *An archive of ten years*: its 3,650 files are listed, and those of other days are not opened. *First* is a new process, which
  computes the digests of the month and looks for repeated ids in it; *next* is the same query once more, of which the list of
  the files is what an archive of that month alone does not need.

`pytest tests/benchmarks/bench_functions.py` shows the functions one by one. `make bench ARGS=--short` takes
a minute, and is part of CI, which looks at the numbers that come out and not at the time they take.
"""


def line(row):
    """Return a row as a line of text."""
    mark = "" if row.mark is None else f"(mark {row.mark:g}{row.unit}{'' if row.is_met else ', MISSED'})"
    return f"{row.what:62} {_number(row):>9} {mark:18} {row.against}: {row.said}"


def _number(row):
    return f"{row.ratio:.0f} {row.unit.strip()}" if row.unit != "x" else f"{row.ratio:.3f}x"


def text(rows, options):
    """Return the page."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    head = _HEAD.format(cores=os.cpu_count(), python=platform.python_version(), libraries=libraries, seed=options.seed)
    lines = ["| what | against | ratio | mark | ours / theirs |", "|---|---|---:|---:|---|"]
    for row in rows:
        mark = "" if row.mark is None else f"{row.mark:g}" if row.unit == "x" else f"{row.mark:g} {row.unit}"
        number = (
            f"{row.ratio:.2g}"
            if row.unit == "x" and row.ratio < 1
            else f"{row.ratio:.2f}"
            if row.unit == "x"
            else _number(row)
        )
        number = f"**{number}**" if row.is_met is False else number
        lines.append(f"| {row.what} | {row.against} | {number} | {mark} | {row.said} |")
    met = [row for row in rows if row.mark is not None]
    missed = [row.what for row in met if not row.is_met]
    said = f"{len(met) - len(missed)} of {len(met)} marks are reached."
    said += f" Those that are not are in bold: {'; '.join(missed)}." if missed else ""
    return head + "\n".join(lines) + "\n\n" + textwrap.fill(said, 120) + "\n" + _TAIL
