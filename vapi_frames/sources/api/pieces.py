"""Pieces: a question whole, or a part of its range that cuts no bucket; and which of them travel together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from vapi_frames.calendar.buckets import (
    APPROXIMATE_SECONDS,
    find_edge_after,
    find_edge_before,
    from_seconds,
    to_seconds,
)
from vapi_frames.calendar.ranges import AbsoluteRange, fill_defaults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    import pyarrow as pa

    from vapi_frames.query.query import Query

__all__ = ["QUESTIONS", "Piece", "Segment", "batches", "cut", "halves", "is_divisible", "whole"]

QUESTIONS = 50
"""How many questions a body has at most; the vendor's own dashboard sends eleven."""
_BUCKETS = 750  # a piece: a month of hours, two years of days
_FINEST = 3600  # of finer steps a month, too: most buckets are empty, and there are no more rows than calls
_TOGETHER = 13  # full pieces that a body asks for: about ten thousand buckets for each group


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a question, or all of it.

    Attributes:
        of: Which question of those that were asked together.
        query: What is asked for it.
        start: Begin of its range, in UTC.
        end: Its end, exclusive.
        is_kept: Whether its buckets are closed, and may be kept.
    """

    of: int
    query: Query[Any]
    start: datetime
    end: datetime
    is_kept: bool = False

    def between(self, start: datetime, end: datetime, *, is_kept: bool | None = None) -> Piece:
        """Return the piece for another range; it has an automatic name, which tells it from its neighbors.

        A side of the range that the question leaves to the server stays open, unless the piece is to be kept.
        """
        is_kept = self.is_kept if is_kept is None else is_kept
        was = self.query.time_range
        left, right = (
            (None, None) if was is None else (was.start, was.end) if isinstance(was, AbsoluteRange) else (start, end)
        )
        span = AbsoluteRange(
            None if left is None and start == self.start and not is_kept else start,
            None if right is None and end == self.end and not is_kept else end,
        )
        return Piece(self.of, replace(self.query, time_range=span, title=None), start, end, is_kept)


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows of whole buckets of one query, as they were fetched.

    Attributes:
        start: Where its first bucket begins, in seconds since 1970; without a step, where the range begins.
        end: Where its last bucket ends, exclusive.
        table: The rows, in `vapi_frames.query.schema.build_schema` of the query.
        convention: What the server's dates mean, ``None`` where either convention gives the same.
        is_assumed: Whether either was possible, and the instant was taken.
        fetched: When, in UTC; of several that were joined, the oldest.
    """

    start: int
    end: int
    table: pa.Table
    convention: Literal["instant", "wall"] | None
    is_assumed: bool
    fetched: datetime


def whole(of: int, query: Query[Any], now: datetime) -> Piece:
    """Return a question in one piece."""
    return Piece(of, query, *fill_defaults(query.instants(now), now))


def is_divisible(query: Query[Any]) -> bool:
    """Say whether *query* can be asked range by range: by buckets, each of which is about the calls created in it.

    How many calls there were at once depends on calls from before the range, too.
    """
    return query.time_step is not None and all(
        one.column != "concurrency" and one.operation != "history" for one in query.measures
    )


def cut(piece: Piece, buckets: int | None = None) -> Iterator[Piece]:
    """Yield *piece* in parts that are small enough, by default or of about so many *buckets*; a small one as it is."""
    step, zone = piece.query.time_step, piece.query.zone
    width = _width(step, buckets)
    if step is None or not is_divisible(piece.query) or to_seconds(piece.end) - to_seconds(piece.start) <= width:
        yield piece
        return
    at = piece.start
    while True:
        edge = find_edge_before(to_seconds(at) + width, step, zone)
        following = edge if edge > to_seconds(at) else find_edge_after(to_seconds(at) + 1, step, zone)
        until = min(from_seconds(following), piece.end)
        yield piece.between(at, until)
        if until >= piece.end:
            return
        at = until


def _width(step: str | None, buckets: int | None = None) -> int:
    """Return how many seconds a piece has at most."""
    length = APPROXIMATE_SECONDS[step or "day"]
    return _BUCKETS * max(_FINEST, length) if buckets is None else buckets * length


def halves(piece: Piece) -> list[Piece]:
    """Return *piece* in two, or nothing where it has but one bucket or cannot be divided."""
    step, zone = piece.query.time_step, piece.query.zone
    if step is None or not is_divisible(piece.query):
        return []
    middle = from_seconds(find_edge_before((to_seconds(piece.start) + to_seconds(piece.end)) // 2, step, zone))
    if middle <= piece.start:
        middle = from_seconds(find_edge_after(to_seconds(piece.start) + 1, step, zone))
    if middle >= piece.end:
        return []
    return [piece.between(piece.start, middle), piece.between(middle, piece.end)]


def batches(pieces: Iterable[Piece], questions: int = QUESTIONS) -> Iterator[list[Piece]]:
    """Yield *pieces* in lots, each of which is one request."""
    lot: list[Piece] = []
    size = 0.0
    for piece in pieces:
        full = (to_seconds(piece.end) - to_seconds(piece.start)) / _width(piece.query.time_step)
        share = min(1.0, full) if piece.query.time_step else 0.0
        if lot and (len(lot) == questions or size + share > _TOGETHER):
            yield lot
            lot, size = [], 0.0
        lot.append(piece)
        size += share
    if lot:
        yield lot
