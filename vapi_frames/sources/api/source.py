"""Many questions and long ranges as few requests: cut on bucket edges, asked side by side, merged exactly.

What is held already is not asked for. What is too large is halved and asked again. What fails for good is said, and
what arrived is kept.
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
from vapi_frames.errors import QueryError, ReplayMissError, ResponseWarning, VapiFramesError, warn, warning_handler
from vapi_frames.query.compile import compile_query
from vapi_frames.query.rewrite import rewrite_filters
from vapi_frames.result.merge import ReplyCollector
from vapi_frames.result.post_filter import apply_filters
from vapi_frames.result.result import Result
from vapi_frames.sources import IncompleteError, progress, said
from vapi_frames.sources.api.pieces import QUESTIONS, Piece, Segment, batches, cut, is_divisible, whole
from vapi_frames.sources.api.request_pool import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime, timedelta

    from vapi_frames.query.query import Query
    from vapi_frames.result.reply import Rows
    from vapi_frames.result.result import DateConvention
    from vapi_frames.sources.http.connection import Connection

__all__ = ["ApiSource"]

_MOST = 64  # requests at once; a server would take more for an attack


class Asked(Protocol):
    """Whoever answers by requests."""

    kind: str

    def now(self) -> datetime:
        """Return its clock."""
        ...

    def ask(
        self, queries: Sequence[Query[Any]], now: datetime, *, attempts: int | None = None, divisible: bool = False
    ) -> list[Rows]:
        """Ask *queries* by one request."""
        ...


class Store(Protocol):
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
    """A source that asks another by as few requests as are right.

    Args:
        asked: Who is asked.
        workers: How many requests are under way at once.
        store: Makes the place where closed buckets are kept, when there is one; for each answer anew, since it
            depends on the key of that moment.
        buckets: About how many buckets a piece has at most; 750 by default, and never less than a month.
        questions: How many pieces a request has at most.
        divide: Says in which pieces a question is asked, where something else decides than the number of buckets.
    """

    def __init__(
        self,
        asked: Asked,
        *,
        workers: int = 4,
        store: Callable[[], Store] | None = None,
        buckets: int | None = None,
        questions: int = QUESTIONS,
        divide: Callable[[Piece], Iterable[Piece]] | None = None,
    ) -> None:
        if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= _MOST:
            raise QueryError(f"workers must be a whole number from 1 to {_MOST}, not {workers!r}")
        self.asked = asked
        self.kind = asked.kind
        self._workers = workers
        self._store = store
        self._divide = divide or partial(cut, buckets=buckets)
        self._questions = questions

    def asking(self, asked: Asked) -> ApiSource:
        """Return one that asks *asked* by the same pieces, and holds nothing."""
        other = copy(self)
        other.asked, other.kind = asked, asked.kind
        other._store = None  # noqa: SLF001 - its own kind
        return other

    def now(self) -> datetime:
        """Return the clock of whom it asks."""
        return self.asked.now()

    @property
    def connection(self) -> Connection | None:
        """By which whom it asks is asked for more than analytics, if there is one."""
        found: Connection | None = getattr(self.asked, "connection", None)
        return found

    def answer(self, queries: Sequence[Query[Any]], now: datetime) -> list[Result]:
        """Answer *queries*; of one with filters, the wider question is asked, and its rows are chosen.

        Raises:
            NonAdditiveError: A question with filters cannot be answered that way; nothing is sent.
            ReplayMissError: Who is asked has recordings, and none of something.
            IncompleteError: Some of it did not arrive.
            SourceError: Nothing arrived.
        """
        wide = [
            replace(rewrite_filters(query), title=compile_query(query, now)["name"]) if query.filters else query
            for query in queries
        ]
        store = self._store() if self._store else None
        asked, failed = self._ask(wide, now, store)
        contrary = [one.query for one in asked if one.is_contrary()] if store else []
        if store and contrary:  # what is held was read otherwise than what has come now shows
            for query in contrary:
                store.delete(query)
            asked, failed = self._ask(wide, now, store)
        missing = [one.missing() for one in asked]
        answers = [
            answer and apply_filters(answer, *pair)
            for answer, *pair in zip((one.answer(self.kind) for one in asked), queries, wide, strict=True)
        ]
        whole_ = [answer for answer in answers if answer is not None]
        if not any(missing):
            return whole_
        for error in failed:
            if isinstance(error, ReplayMissError):  # nothing is lost: what is recorded can be read again
                raise error
        if not whole_ or not isinstance(failed[0], VapiFramesError | KeyboardInterrupt):
            raise failed[0]
        raise IncompleteError(_message(missing, failed[0]), answers=answers, missing=missing) from failed[0]

    def _ask(
        self, queries: Sequence[Query[Any]], now: datetime, store: Store | None
    ) -> tuple[list[_Question], list[BaseException]]:
        """Ask for what is not held; return what there is of each question, and why something may be missing."""
        asked = [self._planned(whole(place, query, now), now, store) for place, query in enumerate(queries)]

        def ask(lot: list[Piece], attempts: int | None, divisible: bool) -> None:
            replies = self.asked.ask([one.query for one in lot], now, attempts=attempts, divisible=divisible)
            for piece, rows in zip(lot, replies, strict=True):
                question = asked[piece.of]
                question.add(piece, rows)
                if store is not None and piece.is_kept and rows.is_sound:
                    segment = _segment(piece, rows, now, question.known())
                    if segment.is_assumed:  # another piece may yet tell
                        question.unsure.append((piece, rows))
                    else:
                        store.put(question.query, segment)

        work = Work(ask, self._workers)
        progress.expect(sum(len(one.pieces) for one in asked))
        work.run(batches((piece for one in asked for piece in one.pieces), self._questions))
        if store is not None:
            for question in asked:
                for piece, rows in question.unsure:
                    store.put(question.query, _segment(piece, rows, now, question.reading()))
        for message in work.heard:
            warn(message, ResponseWarning)
        return asked, work.failed

    def _planned(self, piece: Piece, now: datetime, store: Store | None) -> _Question:
        """Say what of a question is held, and in which pieces the rest is asked for."""
        if store is None:
            return _Question(piece, [], list(self._divide(piece)))
        query, closed = piece.query, min(piece.end, now - store.settle)
        if query.time_step is None:
            span = query.time_range
            is_whole = isinstance(span, AbsoluteRange) and None not in (span.start, span.end) and closed >= piece.end
            if not is_whole or piece.start.microsecond or piece.end.microsecond:  # of which the key knows nothing
                return _Question(piece, [], [piece])
            held = store.find(query, *_seconds(piece))
            return _Question(piece, held, [] if held else [replace(piece, is_kept=True)])
        if not is_divisible(query):  # what came of one range says nothing of a part of it
            return _Question(piece, [], [piece])
        step = query.time_step or ""
        low, high = (
            find_edge_after(_seconds(piece)[0], step, query.zone),
            find_edge_before(to_seconds(closed), step, query.zone),
        )
        if low >= high:
            return _Question(piece, [], list(self._divide(piece)))
        held = store.find(query, low, high)
        gaps = [piece.between(piece.start, from_seconds(low))]
        at = low
        for start, end in (*((one.start, one.end) for one in held), (high, high)):
            gaps.append(piece.between(from_seconds(at), from_seconds(start), is_kept=True))
            at = end
        gaps.append(piece.between(from_seconds(high), piece.end))
        return _Question(piece, held, [part for gap in gaps if gap.start < gap.end for part in self._divide(gap)])

    def __repr__(self) -> str:
        return repr(self.asked)


class _Question:
    """A question on its way: what is held of it, what is asked for, what has arrived."""

    def __init__(self, piece: Piece, held: list[Segment], pieces: list[Piece]) -> None:
        self.query = piece.query
        self.start, self.end = piece.start, piece.end
        self.held = held
        self.pieces = pieces
        self.arrived: list[tuple[datetime, datetime]] = []
        self.unsure: list[tuple[Piece, Rows]] = []
        self._rows = ReplyCollector(self.query)
        self._lock = threading.Lock()

    def add(self, piece: Piece, rows: Rows) -> None:
        """Take what arrived for *piece*."""
        with self._lock:
            self._rows.add(rows)
            self.arrived.append((piece.start, piece.end))

    def known(self) -> DateConvention | None:
        """Return how the dates of what is held had to be read."""
        return next((one.convention for one in self.held if one.convention and not one.is_assumed), None)

    def reading(self) -> DateConvention | None:
        """Return how the dates of what arrived have to be read."""
        return self._rows.convention()

    def is_contrary(self) -> bool:
        """Say whether the dates of what is held and of what arrived are read differently."""
        found, known = self.reading(), self.known()
        assumed = any(one.is_assumed for one in self.held)
        return found is not None and ((known is not None and found != known) or (assumed and found == "wall"))

    def answer(self, kind: str) -> Result | None:
        """Return what there is of the answer."""
        with self._lock:
            if not self._rows and not self.held:
                return None
            start, end, reading, assumed = self.start, self.end, self.known(), any(one.is_assumed for one in self.held)
            notes, tables = _notes(self.held, kind), [one.table for one in self.held]
            if self._rows:
                fresh = self._rows.result(self.known())
                notes, reading, assumed = (*fresh.notes, *notes), fresh.convention, fresh.is_assumed or assumed
                tables.append(fresh.table)
                # What the reply says of its range goes before what was asked for.
                begins, ends = min(self.arrived)[0], max(end for _, end in self.arrived)
                start = fresh.start or start if begins == start else start
                end = fresh.end or end if ends == end else end
        table = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
        return Result(table, start, end, notes, reading, assumed)

    def missing(self) -> list[tuple[datetime, datetime]]:
        """Return the ranges that were asked for and did not arrive."""
        found = []
        arrived = _joined(self.arrived)
        for at, until in _joined([(piece.start, piece.end) for piece in self.pieces]):
            for start, end in (*arrived, (until, until)):
                if at < min(start, until):
                    found.append((at, min(start, until)))
                at = max(at, end)  # noqa: PLW2901 - what is left of the range
        return found


def _joined(ranges: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Return *ranges* in order; those that follow each other are one."""
    found: list[tuple[datetime, datetime]] = []
    for start, end in sorted(ranges):
        if found and found[-1][1] == start:
            start = found.pop()[0]  # noqa: PLW2901 - of what it follows
        found.append((start, end))
    return found


def _seconds(piece: Piece) -> tuple[int, int]:
    """Return the range in whole seconds; a part of one at the beginning is left out."""
    return to_seconds(piece.start) + bool(piece.start.microsecond), to_seconds(piece.end)


def _segment(piece: Piece, rows: Rows, now: datetime, known: DateConvention | None) -> Segment:
    token = warning_handler.set(lambda _: None)  # what there is to say of the dates is said of all pieces together
    try:
        gathered = ReplyCollector(piece.query)
        gathered.add(rows)
        read = gathered.result(known)
    finally:
        warning_handler.reset(token)
    return Segment(*_seconds(piece), read.table, read.convention, read.is_assumed, now)


def _notes(held: list[Segment], kind: str) -> tuple[str, ...]:
    if not held:
        return ()
    ranges = said(_joined([(from_seconds(one.start), from_seconds(one.end)) for one in held]))
    return (f"from the cache, as the {kind} said until {format_iso(max(one.fetched for one in held))}: {ranges}",)


def _message(missing: Sequence[Sequence[tuple[datetime, datetime]]], cause: BaseException) -> str:
    why = "it was interrupted" if isinstance(cause, KeyboardInterrupt) else str(cause)
    ranges = said([one for ranges in missing for one in ranges])
    return f"only a part of the answer arrived; missing: {ranges}: {why}"
