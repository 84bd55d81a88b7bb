"""An archive of ten years: 3,650 daily files with 100 million calls, which are those of one day, repeated."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import vapi_frames as vf
from vapi_frames.sources.archive.day_files import RECORDS, DayFiles, State
from vapi_frames.sources.archive.fields import FIXED_COLUMNS
from vapi_frames.sources.records.digests import DIGESTS_FILE, format_digests

FIRST = date(2016, 1, 1)
_DAY = timedelta(days=1)
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
