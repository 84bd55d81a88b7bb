"""Measure every row, print the table, and write the page.

python -m tests.benchmarks                        all of it, with 20 million calls: about a quarter of an hour
python -m tests.benchmarks --short                fewer calls and one round each: about a minute, as in CI
python -m tests.benchmarks --only replies,verbs   some of it
python -m tests.benchmarks --warehouses           PostgreSQL, ClickHouse and Spark as well, which take some minutes more
python -m tests.benchmarks --archive              an archive of ten years as well, which takes 7 GB and some minutes
python -m tests.benchmarks --page                 all of it, and notebooks/project/benchmarks.md
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

from tests.benchmarks import (
    archive_days,
    endpoint,
    growth,
    imports,
    json_files,
    page,
    records,
    replies,
    sdk,
    verbs,
    warehouses,
    wire,
)

PARTS = ("imports", "replies", "records", "json", "verbs", "endpoint", "wire", "growth")
PAGE = Path(__file__).resolve().parents[2] / "notebooks" / "project" / "benchmarks.md"


def measured(part, options, folder):
    """Yield the rows of a part."""
    short, seed = options.short, options.seed
    if part == "imports":
        yield from imports.rows(2 if short else 30)
    if part == "replies":
        yield from replies.rows(seed, 200_000 if short else 1_000_000, 1 if short else 9)
        if not short:
            yield from sdk.rows(seed, folder, 9)
    if part == "records":
        yield from records.rows(seed, 50_000 if short else options.calls, folder, 1 if short else 3)
    if part == "json":
        yield from json_files.rows(seed, 3_000 if short else 30_000, folder, 1 if short else 5)
    if part == "verbs":
        yield from verbs.rows(seed, 50_000 if short else 1_000_000, 1 if short else 9)
    if part == "endpoint":
        yield from endpoint.rows(seed, 50_000 if short else 1_000_000, folder, 1 if short else 5)
    if part == "wire":
        yield from wire.rows(60 if short else 730, 40)
    if part == "warehouses":
        yield from warehouses.rows(seed, folder, 5, options.size)
    if part == "archive":
        yield from archive_days.rows(seed, folder, 5)
    if part == "growth":
        yield from growth.rows(seed, folder, 100_000 if short else 1_000_000, 1 if short else 5)


def main():
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7, help="of all data")
    parser.add_argument("--calls", type=int, default=20_000_000, help="call records in Parquet")
    parser.add_argument("--short", action="store_true", help="fewer calls, smaller replies, one round each")
    parser.add_argument("--warehouses", action="store_true", help="PostgreSQL, ClickHouse and Spark as well")
    parser.add_argument("--size", type=float, default=1, help="share of the calls in the engines; the page has all")
    parser.add_argument("--archive", action="store_true", help="an archive of ten years, of 7 GB, as well")
    parser.add_argument("--only", default=",".join(PARTS), metavar="PARTS", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--folder", help="where the call records are kept; a temporary one by default")
    parser.add_argument("--page", action="store_true", help="write the page")
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else []
    if (options.warehouses or options.archive) and options.short:
        parser.error("engines and the archive are not part of --short: leave it out, or --warehouses and --archive")
    if wrong := set(chosen) - set(PARTS):
        parser.error(f"{', '.join(sorted(wrong))}: the parts are {', '.join(PARTS)}")
    if options.page and (options.short or options.size != 1 or set(chosen) != set(PARTS)):
        parser.error("the page shows all parts at full size: leave out --short, --size and --only")
    warnings.simplefilter("ignore")
    began, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory() as temporary:
        extra = [part for part in ("warehouses", "archive") if getattr(options, part)]
        for part in [*chosen, *extra]:
            for row in measured(part, options, options.folder or temporary):
                rows.append(replace(row, mark=None) if options.short else row)  # marks are for the full size
                print(page.line(rows[-1]), flush=True)
    missed = sum(row.is_met is False for row in rows)
    print(f"{len(rows)} rows, {missed} beyond their mark, {time.monotonic() - began:.0f} s")
    if options.page:
        PAGE.write_text(page.text(rows, options), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
