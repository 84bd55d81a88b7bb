"""A query answered by an engine that runs SQL: the statements, and their rows as a result in the contract's types."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from vapi_frames.calendar.ranges import format_iso
from vapi_frames.contract.vocabulary import is_public_group
from vapi_frames.errors import CUTOFF, ID_CUTOFF, RecordsWarning, format_value, suggest, warn
from vapi_frames.query.schema import build_schema
from vapi_frames.result.result import Result
from vapi_frames.sources.sql import concurrency, concurrency_numpy
from vapi_frames.sources.sql.select import MINUTE_COLUMNS, counts_missing_ids, read_bucket, write_select

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from vapi_frames.query.query import Query
    from vapi_frames.sources.sql.concurrency import KnownRange
    from vapi_frames.sources.sql.select import CallInterval, QueryColumns

    Run: TypeAlias = Callable[[str, Sequence[pa.DataType]], list[Any]]
    """Runs a SELECT and returns its columns as Arrow arrays of the types that it gets."""

__all__ = ["CHANGE_TYPES", "find_near_values", "label_dates", "run_query", "warn_of_no_match"]

CHANGE_TYPES = (*[pa.int64()] * 6, pa.decimal128(38, 0), pa.int64())
"""The types of the columns of `concurrency.write_changes`."""


def run_query(
    query: Query[Any],
    columns: QueryColumns,
    relation: str,
    span: tuple[datetime, datetime],
    *,
    now: datetime,
    run: Run,
    records_range: tuple[datetime, datetime] | None = None,
    is_in_process: bool = False,
) -> tuple[Result, bool]:
    """Answer *query* from *relation* over the range *span*; also return whether any record matched.

    Args:
        query: A query that `vapi_frames.sources.sql.select.check_answerable` accepts.
        columns: The relation's expressions of what the query uses.
        relation: The table, as SQL.
        span: Start and end of the range, in UTC.
        now: Until when calls in progress count.
        run: What runs SQL.
        records_range: A range in which every record was created.
        is_in_process: Whether the engine is part of this process, so that to fetch rows costs little.
    """
    start, end = span
    if any(one.column == "concurrency" for one in query.measures):
        return _run_concurrency(query, columns, relation, span, now=now, run=run, is_in_process=is_in_process)
    wanted = build_schema(query)
    types = [pa.int64() if field.name == "date" else field.type for field in wanted]
    has_minutes = any(one.column in MINUTE_COLUMNS for one in query.measures)
    text = write_select(query, columns, relation, start, end, records_range=records_range)
    has_ids = counts_missing_ids(query, columns)
    found = run(text, [*types, *[pa.int64()] * (2 * has_minutes + has_ids + (not query.levels))])
    has_matched = len(found[0]) > 0 if query.levels else found.pop()[0].as_py() > 0
    notes = _note_missing(found.pop(), "calls without an id: {}; each is counted") if has_ids else ()
    if has_minutes:
        notes += _note_missing(found.pop(), "calls without a duration, which count in no sum or average of minutes: {}")
        notes += _note_negative_minutes(found.pop())
    if query.time_step:
        found[0] = label_dates(found[0], query)
    return Result(pa.table(found, schema=wanted), start, end, notes), has_matched


def label_dates(buckets: Any, query: Query[Any]) -> pa.Array:
    """Return the instants that name the *buckets* of a query with a step, as the SELECT has them."""
    dates = buckets.combine_chunks() if isinstance(buckets, pa.ChunkedArray) else buckets
    encoded = dates.dictionary_encode()
    step, tz = query.time_step or "", query.zone
    labels = [read_bucket(value, step, tz) * 1_000_000 for value in encoded.dictionary.to_pylist()]
    return _make_dates(labels, build_schema(query)).take(encoded.indices)


_UUID = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MOST_VALUES = 3
_MOST_KNOWN = 10_000  # values of a group among which the nearest one is looked for


def warn_of_no_match(
    query: Query[Any],
    span: tuple[datetime, datetime],
    records_range: tuple[datetime, datetime] | None,
    *,
    calls: int | None = None,
    near: Sequence[str] = (),
) -> None:
    """Warn that no record matched *query*, and which ones there are.

    Args:
        query: The query.
        span: Start and end of its range.
        records_range: When the first and the last record were created; ``None`` where there is none.
        calls: How many there are, if known.
        near: What `find_near_values` returns.
    """
    found = "there are none at all"
    if records_range:
        what = "they are" if calls is None else f"they hold {calls} call{'s' * (calls != 1)}"
        found = f"{what} from {format_iso(records_range[0])} to {format_iso(records_range[1])}"
    verb = "active" if any(one.column == "concurrency" for one in query.measures) else "created"
    filtered = "that matches the filters " if query.filters else ""
    within = f"[{format_iso(span[0])}, {format_iso(span[1])})"
    warn(f"no call {filtered}was {verb} in {within}: {found}{_describe_filters(query)}{''.join(near)}", RecordsWarning)


def find_near_values(query: Query[Any], columns: QueryColumns, relation: str, run: Run) -> list[str]:
    """Return of each filter of *query* which value the records do not have, and the nearest one that they have.

    It asks for the values of groups that name no person; each is one more statement.
    """
    told = []
    for name, wanted in query.filters:
        if not is_public_group(name):
            continue
        text = f"WITH texts AS (SELECT {columns.groups[name]} AS v FROM {relation})"
        [column] = run(f"{text}\nSELECT v AS v FROM texts GROUP BY v LIMIT {_MOST_KNOWN}", [pa.string()])
        known = sorted(value for value in column.to_pylist() if value)
        cutoff = ID_CUTOFF if name.endswith("Id") else CUTOFF
        told += [
            f"; {name} is never {format_value(value)}: did you mean {format_value(near[0])}?"
            for value in wanted
            if value and value not in known and (near := suggest(value, known, cutoff=cutoff))
        ]
    return told


def _describe_filters(query: Query[Any]) -> str:
    """Return which filters *query* has, and which of their values cannot be ids; no value that may name a person."""
    shown, wrong = [], []
    for name, values in query.filters:
        is_shown = is_public_group(name)
        listed = [format_value(value) for value in values[:_MOST_VALUES]] + ["..."] * (len(values) > _MOST_VALUES)
        shown.append(f"{name} {' or '.join(listed)}" if is_shown else name)
        no_ids = [value for value in values if value is not None and not _UUID.fullmatch(value)]
        if is_shown and name.endswith("Id") and no_ids:
            cure = ", which vq.assistants() lists" if name == "assistantId" else ""
            wrong.append(f"{name} takes ids{cure}, and {format_value(no_ids[0])} is none")
    return "".join(f"; {part}" for part in (*([f"the filters: {', '.join(shown)}"] if shown else []), *wrong))


def _note_negative_minutes(counts: Any) -> tuple[str, ...]:
    """Return a note on calls with negative minutes, and warn of them."""
    count = pc.call_function("sum", [counts]).as_py() or 0
    if not count:
        return ()
    note = f"minutes: {count} calls ended before they started; their minutes are negative, and were added as they are"
    warn(note, RecordsWarning)
    return (note,)


def _note_missing(counts: Any, note: str) -> tuple[str, ...]:
    """Return *note* with the sum of *counts*, if there are any. It is no warning: unanswered calls are usual."""
    count = pc.call_function("sum", [counts]).as_py() or 0
    return (note.format(f"{count:,}"),) if count else ()


def _make_dates(micros: list[int], wanted: pa.Schema) -> pa.Array:
    return pa.array(micros, pa.int64()).cast(wanted.field("date").type)


def _run_concurrency(
    query: Query[Any],
    columns: QueryColumns,
    relation: str,
    span: tuple[datetime, datetime],
    *,
    now: datetime,
    run: Run,
    is_in_process: bool,
) -> tuple[Result, bool]:
    start, end = span
    concurrency.check_size(query, start, end)
    known = concurrency.known_range(start, end, now)
    assert columns.interval is not None  # noqa: S101 - a query of concurrency has it
    notes = _note_skipped(run(concurrency.write_skipped(columns.interval, relation, known), [pa.int64()] * 2))
    wanted = build_schema(query)
    is_history = bool(query.levels) and not query.time_step
    sum_changes = _sum_changes_here if is_in_process else _sum_changes_in_engine
    rows = sum_changes(query, columns.interval, relation, known, run=run, is_history=is_history)
    has_matched = bool(rows)
    if is_history:
        steps = concurrency.compute_history(rows, known)
        dates = _make_dates([instant for instant, _ in steps], wanted)
        table = pa.table([dates, pa.array([float(active) for _, active in steps], pa.float64())], schema=wanted)
        return Result(table, start, end, notes), has_matched
    buckets, values = concurrency.compute_buckets(query, rows, known)
    minutes = tuple(one for one in query.measures if one.column != "concurrency")
    others: dict[str, Any] = {}
    if minutes:  # minutes count by creation; a bucket in which no call was created has a row all the same
        only_minutes = replace(query, aggregations=minutes, has_counts=False)
        result, _ = run_query(only_minutes, columns, relation, span, now=now, run=run)
        table = result.table
        at = [int(date.timestamp()) for date in table.column("date").to_pylist()] if query.time_step else [0]
        has_matched = has_matched or any(column.null_count < len(column) for column in table.columns[1:])
        for one in minutes:
            found = dict(zip(at, table.column(one.name).to_pylist(), strict=True))
            nothing = 0 if one.operation == "count" else None
            others[one.name] = [found.get(bucket, nothing) for bucket in buckets]
    measured = {one.name: others[one.name] if one in minutes else values[one.operation] for one in query.measures}
    arrays = [_make_dates([bucket * 1_000_000 for bucket in buckets], wanted)] if query.time_step else []
    arrays += [pa.array(measured[one.name], wanted.field(one.name).type) for one in query.measures]
    return Result(pa.table(arrays, schema=wanted), start, end, notes), has_matched


def _sum_changes_in_engine(
    query: Query[Any], interval: CallInterval, relation: str, span: KnownRange, *, run: Run, is_history: bool
) -> list[Any]:
    """Return the rows of the changes, summed by the engine."""
    types = [pa.int64()] * 2 if is_history else CHANGE_TYPES
    found = run(concurrency.write_changes(query, interval, relation, span), types)
    return list(zip(*(column.to_pylist() for column in found), strict=True))


def _sum_changes_here(
    query: Query[Any], interval: CallInterval, relation: str, span: KnownRange, *, run: Run, is_history: bool
) -> list[Any]:
    """Return the same rows, summed in this process."""
    intervals = run(concurrency.write_intervals(interval, relation, span), [pa.int64()] * 2)
    begins, ends = (column.to_numpy() for column in intervals)
    events = concurrency_numpy.sort_events(begins, ends, span.known)
    if is_history:
        return concurrency_numpy.list_changes(events)
    segments = list(concurrency.iter_segments(query, span))
    with_moments = any(one.operation == "avg" for one in query.measures)
    return concurrency_numpy.summarize_segments(events, segments, span.first, with_moments=with_moments)


def _note_skipped(counts: list[Any]) -> tuple[str, ...]:
    """Return notes on the calls without a usable interval, and warn of them."""
    endless, backward = (column[0].as_py() or 0 for column in counts)
    notes = []
    if endless:
        notes.append(f"concurrency: {endless} calls are over but have no endedAt; they are left out")
    if backward:
        notes.append(f"concurrency: {backward} calls ended before they started; they are left out")
    for note in notes:
        warn(note, RecordsWarning)
    return tuple(notes)
