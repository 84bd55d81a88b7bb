"""An archive of ten years: 3,650 daily files with 100 million calls, which are those of one day, repeated."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import vapi_frames as vf
from tests.benchmarks.timing import Row, format_seconds, paired
from vapi_frames.sources.archive.day_files import RECORDS, DayFiles, State
from vapi_frames.sources.archive.fields import FIXED_COLUMNS
from vapi_frames.sources.records.digests import DIGESTS_FILE, format_digests

FIRST = date(2016, 1, 1)
_DAY = timedelta(days=1)
MONTH = "2021-06"
CALLS = 100_000_000
DAYS = 3_650
_BYTES = 65  # a call takes in a file
_TIMES = ("createdAt", "startedAt", "endedAt")


def write_archive(folder, days, calls, seed):
    """Write *days* daily files with so many *calls* each, as an archive does; return the folder.

    The calls of each day are those of the first, later by whole days and with ids of their own.
    """
    folder = Path(folder)
    files = DayFiles(folder)
    start = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
    frame = vf.sample_calls(calls, seed, start=start.isoformat(), end=(start + _DAY).isoformat())
    columns = [name for name in frame.columns if name in FIXED_COLUMNS]
    rows = [
        {name: value for name, value in row.items() if not pd.isna(value)}
        for row in frame[columns].astype(object).to_dict("records")
    ]
    state = State(start + timedelta(days=days + 1), kept=frozenset({RECORDS, "variables"}))
    files.write(FIRST, rows, state)
    first = folder / f"{FIRST}.parquet"
    table = pq.read_table(first)
    digests = {first.name: (hashlib.sha256(first.read_bytes()).hexdigest(),)}
    for number in range(1, days):
        later = shift_day(table, number)
        sink = pa.BufferOutputStream()
        pq.write_table(later, sink, compression="zstd", write_page_checksum=True)
        content = sink.getvalue().to_pybytes()
        path = folder / f"{FIRST + number * _DAY}.parquet"
        path.write_bytes(content)
        digests[path.name] = (hashlib.sha256(content).hexdigest(),)
    (folder / DIGESTS_FILE).write_bytes(format_digests(digests))
    return folder


def shift_day(table, number):
    """Return the calls of *table*, so many days later, with other ids."""
    for name in _TIMES:
        at = table.column_names.index(name)
        moved = pc.add(table.column(name), pa.scalar(number * _DAY, pa.duration("us")))
        table = table.set_column(at, table.schema.field(name), moved.cast(table.schema.field(name).type))
    at = table.column_names.index("id")
    ids = pc.binary_join_element_wise(pc.cast(pa.scalar(number), pa.string()), table.column("id"), "-")
    return table.set_column(at, "id", ids)


def copy_month(folder, copy):
    """Make an archive of `MONTH` alone, of the same files; return its folder."""
    copy = Path(copy)
    copy.mkdir(parents=True)
    for path in sorted(Path(folder).glob(f"{MONTH}-*.parquet")):
        os.link(path, copy / path.name)
    lines = (Path(folder) / DIGESTS_FILE).read_text().splitlines(keepends=True)
    (copy / DIGESTS_FILE).write_text("".join(line for line in lines if f"  {MONTH}-" in line))
    return copy


def time_results(folder):
    """Return the seconds of the first and the next result of a new process, and the sum of the cost."""
    code = (
        "import sys, time\n"
        "import vapi_frames as vf\n"
        'vf.demo().call().count().during("2026-10").fetch()  # what every process loads once\n'
        "began = time.perf_counter()\n"
        "query = vf.local(sys.argv[1]).call().sum('cost').count().step('day').during(sys.argv[2])\n"
        "frame = query.fetch()\n"
        "first = time.perf_counter()\n"
        "query.fetch()\n"
        "print(first - began, time.perf_counter() - first, frame['sumCost'].sum())\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(folder), MONTH]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not child.returncode, child.stderr
    return tuple(map(float, child.stdout.split()))


def rows(seed, folder, rounds):
    """Yield the rows of the table; where the disk is too small, of fewer calls."""
    room = int(shutil.disk_usage(folder).free / 1.5 / _BYTES)
    calls = min(CALLS, room) // DAYS
    archive = Path(folder, f"archive-{calls}-{seed}")
    if not (archive / DIGESTS_FILE).exists():
        write_archive(archive, DAYS, calls, seed)
        copy_month(archive, f"{archive}-month")
    whole, month = [], []
    for _ in range(rounds):
        whole.append(time_results(archive))
        month.append(time_results(f"{archive}-month"))
        if whole[-1][2] != month[-1][2]:
            raise AssertionError(f"a month of the archive: {whole[-1][2]}, not {month[-1][2]}")
    for number, name in enumerate(("first", "next")):
        ours, alone = ([one[number] for one in found] for found in (whole, month))
        yield Row(
            f"a month of {DAYS:,} daily files with {calls * DAYS / 1e6:.0f} million calls, {name} result",
            "an archive of that month alone", paired(ours, alone), 2, f"{format_seconds(ours)} / {format_seconds(alone)}",
        )  # fmt: skip
