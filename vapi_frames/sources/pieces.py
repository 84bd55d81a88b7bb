"""Pieces: a question whole, or a part of its range that cuts no bucket; and which of them travel together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from vapi_frames.lint import count_buckets
from vapi_frames.timegrid import LENGTHS, edge_after, edge_before, from_seconds, seconds
from vapi_frames.timerange import Absolute, effective

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    import pyarrow as pa

    from vapi_frames.query import Query

__all__ = ["BUCKETS", "QUESTIONS", "Piece", "Segment", "batches", "cut", "halves", "is_divisible", "whole"]

BUCKETS = 750
"""How many buckets a piece has at most: a month of hours."""
QUESTIONS = 50
"""How many questions a body has at most; the vendor's own dashboard sends eleven."""
_TOGETHER = 10_000  # buckets that a body asks for


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
        """Return the piece for another range; it has an automatic name, which tells it from its neighbours."""
        query = replace(self.query, time_range=Absolute(start, end), title=None)
        return Piece(self.of, query, start, end, self.is_kept if is_kept is None else is_kept)


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows of whole buckets of one question, as they were answered.

    Attributes:
        start: Where its first bucket begins, in seconds since 1970; without a step, where the range begins.
        end: Where its last bucket ends, exclusive.
        table: The rows, in `vapi_frames.answer.schema` of the question.
        reading: How the server's dates were read, ``None`` where either reading gives the same.
        assumed: Whether both fitted, and the instant was taken.
        asked: When it was asked, in UTC; of several that were put together, the oldest.
    """

    start: int
    end: int
    table: pa.Table
    reading: Literal["instant", "wall"] | None
    assumed: bool
    asked: datetime


def whole(of: int, query: Query[Any], now: datetime) -> Piece:
    """Return a question in one piece."""
    return Piece(of, query, *effective(query.instants(now), now))


def is_divisible(query: Query[Any]) -> bool:
    """Say whether *query* can be asked range by range: by buckets, each of which is about the calls created in it.

    How many calls there were at once depends on calls from before the range, too.
    """
    return query.time_step is not None and all(
        one.column != "concurrency" and one.operation != "history" for one in query.measures
    )


def cut(piece: Piece, buckets: int = BUCKETS) -> Iterator[Piece]:
    """Yield *piece* in parts of at most about so many buckets; one that is small enough, as it is."""
    step, zone = piece.query.time_step, piece.query.zone
    if step is None or not is_divisible(piece.query) or count_buckets(piece.query, piece.start, piece.end) <= buckets:
        yield piece
        return
    at, width = piece.start, buckets * LENGTHS[step]
    while True:
        edge = edge_before(seconds(at) + width, step, zone)
        following = edge if edge > seconds(at) else edge_after(seconds(at) + 1, step, zone)
        until = min(from_seconds(following), piece.end)
        yield piece.between(at, until)
        if until >= piece.end:
            return
        at = until


def halves(piece: Piece) -> list[Piece]:
    """Return *piece* in two, or nothing where it has but one bucket or cannot be divided."""
    step, zone = piece.query.time_step, piece.query.zone
    if step is None or not is_divisible(piece.query):
        return []
    middle = from_seconds(edge_before((seconds(piece.start) + seconds(piece.end)) // 2, step, zone))
    if middle <= piece.start:
        middle = from_seconds(edge_after(seconds(piece.start) + 1, step, zone))
    if middle >= piece.end:
        return []
    return [piece.between(piece.start, middle), piece.between(middle, piece.end)]


def batches(pieces: Iterable[Piece], questions: int = QUESTIONS) -> Iterator[list[Piece]]:
    """Yield *pieces* in lots, each of which is one request."""
    lot: list[Piece] = []
    size = 0
    for piece in pieces:
        many = count_buckets(piece.query, piece.start, piece.end) if piece.query.time_step else 1
        if lot and (len(lot) == questions or size + many > _TOGETHER):
            yield lot
            lot, size = [], 0
        lot.append(piece)
        size += many
    if lot:
        yield lot
