"""A question answered by whoever runs SQL: the texts go in, an answer in the contract's types comes out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from vapi_frames.errors import RecordsWarning, warn
from vapi_frames.query.schema import build_schema
from vapi_frames.result.result import Result
from vapi_frames.sources.sql import concurrency, concurrency_numpy
from vapi_frames.sources.sql.select import MINUTES, bucket_label, select

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from vapi_frames.query.query import Query
    from vapi_frames.sources.sql.select import Columns

    Run: TypeAlias = Callable[[str, Sequence[pa.DataType]], list[Any]]
    """Runs a SELECT and returns its columns as Arrow arrays of the given types."""

__all__ = ["run_query"]


def run_query(
    query: Query[Any],
    columns: Columns,
    relation: str,
    span: tuple[datetime, datetime],
    *,
    now: datetime,
    run: Run,
    within: tuple[datetime, datetime] | None = None,
    is_here: bool = False,
) -> tuple[Result, bool]:
    """Answer *query* from *relation* over the range *span*; also say whether any record was met.

    Args:
        query: A question that `vapi_frames.sources.sql.select.check_answerable` lets pass.
        columns: How the relation holds what it uses.
        relation: The table, as SQL.
        span: Start and end of the range, in UTC.
        now: Until when calls in progress count.
        run: Whoever runs SQL.
        within: What is known to hold every record.
        is_here: Whether the engine is part of this process, so that rows cost nothing to fetch.
    """
    start, end = span
    if any(one.column == "concurrency" for one in query.measures):
        return _concurrency(query, columns, relation, span, now=now, run=run, is_here=is_here)
    types = [pa.int64() if name == "date" else query_type for name, query_type in _types(query)]
    text = select(query, columns, relation, start, end, within=within)
    is_timed = any(one.column in MINUTES for one in query.measures)
    found = run(text, [*types, *[pa.int64()] * (is_timed + (not query.levels))])
    is_met = len(found[0]) > 0 if query.levels else found.pop()[0].as_py() > 0
    notes = _backward(found.pop()) if is_timed else ()
    wanted = build_schema(query)
    if query.time_step:
        encoded = _combined(found[0]).dictionary_encode()
        step, zone = query.time_step, query.zone
        labels = [bucket_label(value, step, zone) for value in encoded.dictionary.to_pylist()]
        found[0] = _dates(labels, 1_000_000, wanted).take(encoded.indices)
    return Result(pa.table(found, schema=wanted), start, end, notes), is_met


def _backward(counts: Any) -> tuple[str, ...]:
    """Return what a reader should know of calls whose minutes are negative, and warn of it."""
    count = pc.call_function("sum", [counts]).as_py() or 0
    if not count:
        return ()
    note = f"minutes: {count} calls ended before they started; their minutes are negative, and were added as they are"
    warn(note, RecordsWarning)
    return (note,)


def _types(query: Query[Any]) -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in build_schema(query)]


def _combined(column: Any) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _dates(instants: list[int], unit: int, wanted: pa.Schema) -> pa.Array:
    return pa.array([instant * unit for instant in instants], pa.int64()).cast(wanted.field("date").type)


def _concurrency(
    query: Query[Any],
    columns: Columns,
    relation: str,
    span: tuple[datetime, datetime],
    *,
    now: datetime,
    run: Run,
    is_here: bool,
) -> tuple[Result, bool]:
    start, end = span
    concurrency.check_size(query, start, end)
    ranged = concurrency.span_of(start, end, now)
    notes = _said(run(concurrency.left_out(columns, relation, ranged), [pa.int64()] * 2))
    wanted = build_schema(query)
    is_plain = bool(query.levels) and not query.time_step
    changed = _swept if is_here else _windowed
    rows = changed(query, columns, relation, ranged, run=run, is_plain=is_plain)
    met = bool(rows)
    if is_plain:
        steps = concurrency.history(rows, ranged)
        dates = _dates([instant for instant, _ in steps], 1, wanted)
        table = pa.table([dates, pa.array([float(level) for _, level in steps], pa.float64())], schema=wanted)
        return Result(table, start, end, notes), met
    buckets, values = concurrency.levels(query, rows, ranged)
    minutes = tuple(one for one in query.measures if one.column != "concurrency")
    others: dict[str, Any] = {}
    if minutes:  # of calls by their creation: a bucket without one has a row of nothing
        only_minutes = replace(query, aggregations=minutes, has_counts=False)
        partly, _ = run_query(only_minutes, columns, relation, span, now=now, run=run)
        table = partly.table
        at = [int(date.timestamp()) for date in table.column("date").to_pylist()] if query.time_step else [0]
        met = met or any(column.null_count < len(column) for column in table.columns[1:])
        for one in minutes:
            there = dict(zip(at, table.column(one.name).to_pylist(), strict=True))
            nothing = 0 if one.operation == "count" else None
            others[one.name] = [there.get(bucket, nothing) for bucket in buckets]
    measured = {one.name: others[one.name] if one in minutes else values[one.operation] for one in query.measures}
    arrays = [_dates(buckets, 1_000_000, wanted)] if query.time_step else []
    arrays += [pa.array(measured[one.name], wanted.field(one.name).type) for one in query.measures]
    return Result(pa.table(arrays, schema=wanted), start, end, notes), met


def _windowed(
    query: Query[Any], columns: Columns, relation: str, span: concurrency.Span, *, run: Run, is_plain: bool
) -> list[Any]:
    """Return what changes, added up by the engine."""
    types = [pa.int64()] * 2 if is_plain else _CHANGES
    found = run(concurrency.changes(query, columns, relation, span), types)
    return list(zip(*(column.to_pylist() for column in found), strict=True))


def _swept(
    query: Query[Any], columns: Columns, relation: str, span: concurrency.Span, *, run: Run, is_plain: bool
) -> list[Any]:
    """Return the same, added up here."""
    begun, ended = (
        column.to_numpy() for column in run(concurrency.intervals(columns, relation, span), [pa.int64()] * 2)
    )
    found = concurrency_numpy.swept(begun, ended, span.known)
    if is_plain:
        return concurrency_numpy.history(found)
    moments = any(one.operation == "avg" for one in query.measures)
    return concurrency_numpy.stretched(found, list(concurrency.stretches_of(query, span)), span.first, moments=moments)


_CHANGES = (*[pa.int64()] * 6, pa.decimal128(38, 0), pa.int64())


def _said(counts: list[Any]) -> tuple[str, ...]:
    """Return what a reader should know of the calls that were left out, and warn of it."""
    endless, backward = (column[0].as_py() or 0 for column in counts)
    notes = []
    if endless:
        notes.append(f"concurrency: {endless} calls are over but have no endedAt; they are left out")
    if backward:
        notes.append(f"concurrency: {backward} calls ended before they started; they are left out")
    for note in notes:
        warn(note, RecordsWarning)
    return tuple(notes)
