"""Pieces: a query, or the part of it for a range of whole buckets; and which of them one request sends."""

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

__all__ = [
    "MAX_QUERIES",
    "Piece",
    "Segment",
    "batch_pieces",
    "is_divisible",
    "make_piece",
    "split_in_half",
    "split_range",
]

MAX_QUERIES = 50
"""How many queries a request has at most; the vendor's own dashboard sends eleven."""
_BUCKETS = 750  # of a piece: a month of hours, two years of days
_SHORTEST_STEP = 3600  # seconds; a piece with a shorter step is a month, too: there are no more rows than calls
_FULL_PIECES = 13  # of a request: about ten thousand buckets for each group


@dataclass(frozen=True, slots=True)
class Piece:
    """A query, or a part of its range.

    Attributes:
        query_index: The position of the query among those that are fetched together.
        query: The query of this range.
        start: The start of the range, in UTC.
        end: Its end, exclusive.
        is_cacheable: Whether its buckets are closed, so that they may be stored.
    """

    query_index: int
    query: Query[Any]
    start: datetime
    end: datetime
    is_cacheable: bool = False

    def between(self, start: datetime, end: datetime, *, is_cacheable: bool | None = None) -> Piece:
        """Return the piece for another range, under an automatic name that differs from those of its neighbors.

        A side of the range that the query leaves to the server stays open, unless the piece is cacheable.
        """
        is_cacheable = self.is_cacheable if is_cacheable is None else is_cacheable
        was = self.query.time_range
        left, right = (
            (None, None) if was is None else (was.start, was.end) if isinstance(was, AbsoluteRange) else (start, end)
        )
        span = AbsoluteRange(
            None if left is None and start == self.start and not is_cacheable else start,
            None if right is None and end == self.end and not is_cacheable else end,
        )
        return Piece(self.query_index, replace(self.query, time_range=span, title=None), start, end, is_cacheable)


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


def make_piece(query_index: int, query: Query[Any], now: datetime) -> Piece:
    """Return a query as one piece."""
    return Piece(query_index, query, *fill_defaults(query.instants(now), now))


def is_divisible(query: Query[Any]) -> bool:
    """Return whether *query* can be fetched range by range: each bucket depends only on the calls created in it.

    Concurrency depends on calls from before the range, too.
    """
    return query.time_step is not None and all(
        one.column != "concurrency" and one.operation != "history" for one in query.measures
    )


def split_range(piece: Piece, buckets: int | None = None) -> Iterator[Piece]:
    """Yield *piece* in parts of at most about *buckets* buckets; a small one undivided."""
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
    """Return the seconds that a piece covers at most."""
    length = APPROXIMATE_SECONDS[step or "day"]
    return _BUCKETS * max(_SHORTEST_STEP, length) if buckets is None else buckets * length


def split_in_half(piece: Piece) -> list[Piece]:
    """Return the halves of *piece*, or nothing if it has a single bucket or cannot be divided."""
    step, zone = piece.query.time_step, piece.query.zone
    if step is None or not is_divisible(piece.query):
        return []
    middle = from_seconds(find_edge_before((to_seconds(piece.start) + to_seconds(piece.end)) // 2, step, zone))
    if middle <= piece.start:
        middle = from_seconds(find_edge_after(to_seconds(piece.start) + 1, step, zone))
    if middle >= piece.end:
        return []
    return [piece.between(piece.start, middle), piece.between(middle, piece.end)]


def batch_pieces(pieces: Iterable[Piece], max_queries: int = MAX_QUERIES) -> Iterator[list[Piece]]:
    """Yield *pieces* in batches, each of which is one request."""
    batch: list[Piece] = []
    size = 0.0
    for piece in pieces:
        full = (to_seconds(piece.end) - to_seconds(piece.start)) / _width(piece.query.time_step)
        share = min(1.0, full) if piece.query.time_step else 0.0
        if batch and (len(batch) == max_queries or size + share > _FULL_PIECES):
            yield batch
            batch, size = [], 0.0
        batch.append(piece)
        size += share
    if batch:
        yield batch
