"""Many queries and long ranges as few requests: divided at bucket edges, sent concurrently, merged exactly.

Stored results are not fetched again. A request that is too large is halved. After a failure, what arrived is returned
with an error that names what is missing.
"""

from __future__ import annotations

import threading
from copy import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from vapi_frames.calendar.buckets import find_edge_after, find_edge_before, from_seconds, to_seconds
from vapi_frames.calendar.ranges import AbsoluteRange, format_iso
from vapi_frames.errors import (
    QueryError,
    ReplayMissError,
    ResponseWarning,
    VapiFramesError,
    format_value,
    redirect_warnings,
    warn,
)
from vapi_frames.query.compile import check_in_contract, compile_query
from vapi_frames.query.rewrite import rewrite_filters
from vapi_frames.result.merge import ReplyCollector
from vapi_frames.result.post_filter import apply_filters
from vapi_frames.result.result import Result
from vapi_frames.sources import IncompleteError, format_ranges, progress
from vapi_frames.sources.api.pieces import (
    MAX_QUERIES,
    Piece,
    Segment,
    batch_pieces,
    is_divisible,
    make_piece,
    split_range,
)
from vapi_frames.sources.api.request_pool import RequestPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime, timedelta

    from vapi_frames.query.query import Query
    from vapi_frames.result.reply import Rows
    from vapi_frames.result.result import DateConvention
    from vapi_frames.sources.api.client import ApiClient

__all__ = ["ApiSource"]

_MAX_WORKERS = 64  # a server could take more for an attack


class SegmentStore(Protocol):
    """Where results of closed buckets are stored."""

    settle: timedelta

    def find(self, query: Query[Any], start: int, end: int) -> list[Segment]:
        """Return what is stored of [start, end), ascending."""
        ...

    def put(self, query: Query[Any], segment: Segment) -> None:
        """Store *segment*, a part of the result of *query*."""
        ...

    def delete(self, query: Query[Any]) -> None:
        """Delete what is stored of *query*."""
        ...


class ApiSource:
    """A source that fetches from an API by as few requests as possible.

    Args:
        client: The API.
        workers: How many requests run concurrently.
        open_store: Opens the store of closed buckets, if there is one; called for each fetch, since the store depends
            on the key, which may change.
        buckets: About how many buckets a piece has at most; 750 by default, and never less than a month.
        max_queries: How many pieces a request has at most.
        divide: Divides a query into pieces, where another rule than the number of buckets applies.
    """

    def __init__(
        self,
        client: ApiClient,
        *,
        workers: int = 4,
        open_store: Callable[[], SegmentStore] | None = None,
        buckets: int | None = None,
        max_queries: int = MAX_QUERIES,
        divide: Callable[[Piece], Iterable[Piece]] | None = None,
    ) -> None:
        if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= _MAX_WORKERS:
            raise QueryError(f"workers must be a whole number from 1 to {_MAX_WORKERS}, not {format_value(workers)}")
        self.client = client
        self.kind = client.kind
        self._workers = workers
        self._open_store = open_store
        self._divide = divide or partial(split_range, buckets=buckets)
        self._max_queries = max_queries

    def with_client(self, client: ApiClient) -> ApiSource:
        """Return a source of another client, with the same pieces and without a store."""
        other = copy(self)
        other.client, other.kind = client, client.kind
        other._open_store = None  # noqa: SLF001 - the same class
        return other

    def now(self) -> datetime:
        """Return the clock of the client."""
        return self.client.now()

    def close(self) -> None:
        """Close the client's connection, if it has one."""
        if self.client.connection is not None:
            self.client.connection.close()

    def answer(self, queries: Sequence[Query[Any]], now: datetime) -> list[Result]:
        """Return the result of each query; one with filters is rewritten without, and its rows are filtered.

        Raises:
            NotInContractError: The API cannot be asked a query; nothing is sent.
            NonAdditiveError: A query with filters cannot be rewritten; nothing is sent.
            ReplayMissError: The client has recordings, and none of a query.
            IncompleteError: Some of it did not arrive.
            SourceError: Nothing arrived.
        """
        for query in queries:
            check_in_contract(query)
        rewritten = [
            replace(rewrite_filters(query), title=compile_query(query, now)["name"]) if query.filters else query
            for query in queries
        ]
        store = self._open_store() if self._open_store else None
        fetches, errors = self._fetch(rewritten, now, store)
        conflicting = [one.query for one in fetches if one.has_conflict()] if store else []
        if store and conflicting:  # the new rows show that the stored dates were read by the wrong convention
            for query in conflicting:
                store.delete(query)
            fetches, errors = self._fetch(rewritten, now, store)
        missing = [one.missing() for one in fetches]
        results = [
            result and apply_filters(result, *pair)
            for result, *pair in zip((one.result(self.kind) for one in fetches), queries, rewritten, strict=True)
        ]
        arrived = [result for result in results if result is not None]
        if not any(missing):
            return arrived
        for error in errors:
            if isinstance(error, ReplayMissError):  # nothing is lost: recordings can be read again
                raise error
        if not arrived or not isinstance(errors[0], VapiFramesError | KeyboardInterrupt):
            raise errors[0]
        raise IncompleteError(_message(missing, errors[0]), results=results, missing=missing) from errors[0]

    def _fetch(
        self, queries: Sequence[Query[Any]], now: datetime, store: SegmentStore | None
    ) -> tuple[list[_Fetch], list[BaseException]]:
        """Fetch what is not stored; return the state of each query, and the errors."""
        fetches = [self._plan(make_piece(place, query, now), now, store) for place, query in enumerate(queries)]

        lock = threading.Lock()
        is_over = False

        def send(batch: list[Piece], attempts: int | None, divisible: bool) -> None:
            replies = self.client.fetch_rows([one.query for one in batch], now, attempts=attempts, divisible=divisible)
            with lock:
                if not is_over:  # else it comes too late: what is missing was counted without it
                    add(batch, replies)

        def add(batch: list[Piece], replies: Sequence[Rows]) -> None:
            for piece, rows in zip(batch, replies, strict=True):
                fetch = fetches[piece.query_index]
                fetch.add(piece, rows)
                if store is not None and piece.is_cacheable and rows.is_sound:
                    segment = _make_segment(piece, rows, now, fetch.stored_convention())
                    if segment.is_assumed:  # another piece may still decide the convention
                        fetch.undecided.append((piece, rows))
                    else:
                        store.put(fetch.query, segment)

        pool = RequestPool(send, self._workers)
        progress.expect(sum(len(one.pieces) for one in fetches))
        pool.run(batch_pieces((piece for one in fetches for piece in one.pieces), self._max_queries))
        with lock:
            is_over = True
        if store is not None:
            for fetch in fetches:
                for piece, rows in fetch.undecided:
                    store.put(fetch.query, _make_segment(piece, rows, now, fetch.fetched_convention()))
        for message in pool.warnings:
            warn(message, ResponseWarning)
        return fetches, pool.errors

    def _plan(self, piece: Piece, now: datetime, store: SegmentStore | None) -> _Fetch:
        """Return what is stored of a query, and the pieces that are to be fetched."""
        if store is None:
            return _Fetch(piece, [], list(self._divide(piece)))
        query, closed = piece.query, min(piece.end, now - store.settle)
        if query.time_step is None:
            span = query.time_range
            is_closed = isinstance(span, AbsoluteRange) and None not in (span.start, span.end) and closed >= piece.end
            if not is_closed or piece.start.microsecond or piece.end.microsecond:  # the store's keys are whole seconds
                return _Fetch(piece, [], [piece])
            stored = store.find(query, *_to_whole_seconds(piece))
            return _Fetch(piece, stored, [] if stored else [replace(piece, is_cacheable=True)])
        if not is_divisible(query):  # the result of one range does not contain that of a part of it
            return _Fetch(piece, [], [piece])
        low = find_edge_after(_to_whole_seconds(piece)[0], query.time_step, query.zone)
        high = find_edge_before(to_seconds(closed), query.time_step, query.zone)
        if low >= high:
            return _Fetch(piece, [], list(self._divide(piece)))
        stored = store.find(query, low, high)
        gaps = [piece.between(piece.start, from_seconds(low))]
        at = low
        for start, end in (*((one.start, one.end) for one in stored), (high, high)):
            gaps.append(piece.between(from_seconds(at), from_seconds(start), is_cacheable=True))
            at = end
        gaps.append(piece.between(from_seconds(high), piece.end))
        return _Fetch(piece, stored, [part for gap in gaps if gap.start < gap.end for part in self._divide(gap)])

    def __repr__(self) -> str:
        return repr(self.client)


class _Fetch:
    """The state of one query: what is stored, what is requested, what has arrived.

    Attributes:
        stored: The stored parts of its result.
        pieces: The pieces that are requested.
        arrived: The ranges of those that have arrived.
        undecided: Pieces that are stored later, when the convention of their dates is known.
    """

    def __init__(self, piece: Piece, stored: list[Segment], pieces: list[Piece]) -> None:
        self.query = piece.query
        self.start, self.end = piece.start, piece.end
        self.stored = stored
        self.pieces = pieces
        self.arrived: list[tuple[datetime, datetime]] = []
        self.undecided: list[tuple[Piece, Rows]] = []
        self._rows = ReplyCollector(self.query)
        self._lock = threading.Lock()

    def add(self, piece: Piece, rows: Rows) -> None:
        """Add what arrived for *piece*."""
        with self._lock:
            self._rows.add(rows)
            self.arrived.append((piece.start, piece.end))

    def stored_convention(self) -> DateConvention | None:
        """Return the convention of the stored dates, if it is known."""
        return next((one.convention for one in self.stored if one.convention and not one.is_assumed), None)

    def fetched_convention(self) -> DateConvention | None:
        """Return the convention of the dates that arrived, if it is known."""
        return self._rows.convention()

    def has_conflict(self) -> bool:
        """Return whether the dates that arrived have another convention than the stored ones."""
        fetched, stored = self.fetched_convention(), self.stored_convention()
        is_assumed = any(one.is_assumed for one in self.stored)
        return fetched is not None and (
            (stored is not None and fetched != stored) or (is_assumed and fetched == "wall")
        )

    def result(self, kind: str) -> Result | None:
        """Return the result of what is stored and what arrived, ``None`` if there is neither."""
        with self._lock:
            if not self._rows and not self.stored:
                return None
            start, end, convention = self.start, self.end, self.stored_convention()
            is_assumed = any(one.is_assumed for one in self.stored)
            notes, tables = _notes(self.stored, kind), [one.table for one in self.stored]
            if self._rows:
                fetched = self._rows.result(convention)
                notes, convention = (*fetched.notes, *notes), fetched.convention
                is_assumed = fetched.is_assumed or is_assumed
                tables.append(fetched.table)
                # The range in the reply is more exact than the requested one.
                begins, ends = min(self.arrived)[0], max(end for _, end in self.arrived)
                start = fetched.start or start if begins == start else start
                end = fetched.end or end if ends == end else end
        table = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
        return Result(table, start, end, notes, convention, is_assumed)

    def missing(self) -> list[tuple[datetime, datetime]]:
        """Return the ranges that were requested and did not arrive."""
        found = []
        arrived = _join(self.arrived)
        for at, until in _join([(piece.start, piece.end) for piece in self.pieces]):
            for start, end in (*arrived, (until, until)):
                if at < min(start, until):
                    found.append((at, min(start, until)))
                at = max(at, end)  # noqa: PLW2901 - the rest of the range
        return found


def _join(ranges: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Return *ranges* in order, with adjacent ones joined."""
    found: list[tuple[datetime, datetime]] = []
    for start, end in sorted(ranges):
        if found and found[-1][1] == start:
            start = found.pop()[0]  # noqa: PLW2901 - that of the adjacent range
        found.append((start, end))
    return found


def _to_whole_seconds(piece: Piece) -> tuple[int, int]:
    """Return the whole seconds of the range, without a part of one at its start."""
    return to_seconds(piece.start) + bool(piece.start.microsecond), to_seconds(piece.end)


def _make_segment(piece: Piece, rows: Rows, now: datetime, convention: DateConvention | None) -> Segment:
    collector = ReplyCollector(piece.query)
    collector.add(rows)
    with redirect_warnings(lambda _: None):  # the result of all pieces together has the warnings
        read = collector.result(convention)
    return Segment(*_to_whole_seconds(piece), read.table, read.convention, read.is_assumed, now)


def _notes(stored: list[Segment], kind: str) -> tuple[str, ...]:
    if not stored:
        return ()
    ranges = format_ranges(_join([(from_seconds(one.start), from_seconds(one.end)) for one in stored]))
    fetched = format_iso(max(one.fetched for one in stored))
    return (f"from the cache, as the {kind} replied until {fetched}: {ranges}",)


def _message(missing: Sequence[Sequence[tuple[datetime, datetime]]], cause: BaseException) -> str:
    reason = "it was interrupted" if isinstance(cause, KeyboardInterrupt) else str(cause)
    ranges = format_ranges([one for ranges in missing for one in ranges])
    return f"only a part of the result arrived; missing: {ranges}: {reason}"
