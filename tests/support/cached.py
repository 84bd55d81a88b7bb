"""Segments of results that are a function of their buckets' labels, for the tests of the cache."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pyarrow as pa

from vapi_frames import vq
from vapi_frames.calendar import buckets
from vapi_frames.query.schema import build_schema
from vapi_frames.sources.api.pieces import Segment
from vapi_frames.sources.cache.database import FILE_NAME
from vapi_frames.sources.cache.store import Store

HOST = "https://api.vapi.ai"
SECRET = "0123456789abcdef"
FETCHED = datetime(2026, 11, 20, 12, 30, 15, 250_000, tzinfo=UTC)
GROUPS = ("webCall", None, "", "appel téléphonique 📞", "inboundPhoneCall")
HOUR = 3600
HOURLY = vq.call().sum("cost").count().by("type").step("hour").tz("America/New_York")
WHOLE = vq.call().sum("cost").by("type")


def at(text):
    """Return ISO text as seconds since 1970."""
    return buckets.to_seconds(datetime.fromisoformat(text).replace(tzinfo=UTC))


BEGIN = at("2026-11-01")  # the clock of New York goes back six hours later


def hours(first, last):
    """Return the begin and the end of the hours numbered *first* to *last*, exclusive."""
    return BEGIN + first * HOUR, BEGIN + last * HOUR


def spans(found):
    """Return the ranges of segments, counted in hours."""
    return [((one.start - BEGIN) / HOUR, (one.end - BEGIN) / HOUR) for one in found]


def table(query, start, end, *, width=1):
    """Return the rows of each whole bucket in [start, end): up to four times *width*, and none in some."""
    labels = [start]
    if query.time_step is not None:
        labels = buckets.list_buckets(start, end, query.time_step, query.zone)
    rows = [(label, n) for label in labels for n in range((label * 2_654_435_761 >> 13) % 5 * width)]
    columns = []
    for field in build_schema(query):
        if field.name == "date":
            columns.append(pa.array([label * 1_000_000 for label, _ in rows], pa.int64()).cast(field.type))
        elif field.type == pa.string():
            columns.append(pa.array([GROUPS[(label // 60 + n) % len(GROUPS)] for label, n in rows], field.type))
        elif field.type == pa.int64():
            columns.append(pa.array([label * 7 + n for label, n in rows], field.type))
        else:
            columns.append(pa.array([None if n == 1 else label / 3 + n for label, n in rows], field.type))
    return pa.table(columns, schema=build_schema(query))


def segment(query, start, end, *, convention="instant", is_assumed=False, fetched=FETCHED, width=1):
    """Return what a server would give back for [start, end)."""
    return Segment(start, end, table(query, start, end, width=width), convention, is_assumed, fetched)


def edges(query, start, end):
    """Return the instants of [start, end) at which one bucket ends, another begins, and none is under way."""
    step, zone = query.time_step, query.zone
    bounds = [buckets.find_bounds(label, step, zone) for label in buckets.list_buckets(start, end, step, zone)]
    return [after.start for before, after in itertools.pairwise(bounds) if before.end == after.start]


def open_store(folder, **options):
    """Return a store in *folder*."""
    return Store(folder, **{"host": HOST, "secret": SECRET, **options})


def run_sql(folder, statement, *values):
    """Run SQL on the cache file of *folder* by a connection of its own; return the rows."""
    with closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as connection:
        return connection.execute(statement, values).fetchall()


def count_parts(folder):
    """Return how many parts the cache in *folder* has."""
    return run_sql(folder, "SELECT count(*) FROM parts")[0][0]


def find_wrong(query, start, end, found):
    """Return what is wrong with the segments that were found of [start, end)."""
    last = start
    for one in found:
        if not last <= one.start < one.end <= end:
            return f"{query!r}: {one.start} to {one.end} after {last}, of {start} to {end}"
        if query.time_step is None and (one.start, one.end) != (start, end):
            return f"{query!r}: {one.start} to {one.end} is not {start} to {end}"
        if not one.table.equals(table(query, one.start, one.end)):
            return f"{query!r}: other rows from {one.start} to {one.end}"
        if (one.convention, one.is_assumed, one.fetched) != ("instant", False, FETCHED):
            return f"{query!r}: {one.convention}, {one.is_assumed}, {one.fetched}"
        last = one.end
    return None
