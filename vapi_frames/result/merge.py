"""The replies to one question, each about another range of it: what all of them say, and how their dates are read.

Under a zone other than UTC, one reply may not tell whether its dates are instants or the wall clock; another may. So no
reply is read for good before all have come, and none otherwise than the others.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vapi_frames.errors import BucketAlignmentError, ResponseWarning, warn
from vapi_frames.query.schema import build_schema
from vapi_frames.result import dates
from vapi_frames.result.reply import Rows, read_rows
from vapi_frames.result.result import Result

if TYPE_CHECKING:
    import numpy.typing as npt

    from vapi_frames.contract.models import AnalyticsQueryResult
    from vapi_frames.query.query import Query
    from vapi_frames.result.result import Reading

__all__ = ["Gathered", "read_reply"]

_SMALL = 64  # tables that are made one: a table of few rows is mostly overhead


def read_reply(
    reply: AnalyticsQueryResult,
    query: Query[Any],
    now: datetime | None,
    *,
    place: int = 0,
    dated: bool | None = None,
) -> Result:
    """Read one answer of a reply; the arguments are those of `vapi_frames.result.reply.read_rows`.

    Raises:
        ResponseError: A row lacks a key, or holds a value that its type refuses.
        BucketAlignmentError: The dates fit no reading.
    """
    gathered = Gathered(query)
    gathered.add(read_rows(reply, query, now, place=place, dated=dated))
    return gathered.answer()


class Gathered:
    """What has come of the answer to one question; not safe for several threads at once.

    Attributes:
        query: The question.
        start: Begin of the earliest range that has come, in UTC.
        end: End of the latest.
    """

    def __init__(self, query: Query[Any]) -> None:
        self.query = query
        self.start: datetime | None = None
        self.end: datetime | None = None
        self._decided: set[Reading] = set()
        self._open: list[Rows] = []
        self._small: list[pa.Table] = []
        self._tables: list[pa.Table] = []

    def __bool__(self) -> bool:
        return bool(self._open or self._small or self._tables)

    def add(self, rows: Rows) -> None:
        """Take the rows of one more reply.

        Raises:
            BucketAlignmentError: Their dates fit no reading.
        """
        if not self or (rows.start and self.start and rows.start < self.start):
            self.start = rows.start
        if not self or (rows.end and self.end and rows.end > self.end):
            self.end = rows.end
        if "date" not in rows.table.column_names[:1]:
            self._keep(rows.table)
            return
        reading = _read(rows)
        if reading.assumed:
            self._open.append(rows)
            return
        if reading.how is not None:
            self._decided.add(reading.how)
        self._keep(_dated(rows.table, reading, self.query))

    def _keep(self, table: pa.Table) -> None:
        self._small.append(table)
        if len(self._small) == _SMALL:
            self._tables.append(pa.concat_tables(self._small).combine_chunks())
            self._small = []

    def reading(self, known: Reading | None = None) -> Reading | None:
        """Return how the dates have to be read, ``None`` where nothing tells.

        Args:
            known: How other replies to the question had to be read.

        Raises:
            BucketAlignmentError: One reply has to be read otherwise than another.
        """
        decided: list[Reading] = [*self._decided, *([known] if known and known not in self._decided else [])]
        if len(decided) == 2:  # noqa: PLR2004
            raise BucketAlignmentError("the dates of some replies are instants, and of others the wall clock")
        return decided[0] if decided else None

    def answer(self, known: Reading | None = None) -> Result:
        """Return the answer that has come; the argument and the error are those of `reading`."""
        reading = self.reading(known)
        notes: tuple[str, ...] = ()
        is_assumed = reading is None and bool(self._open)
        if is_assumed:
            reading, notes = "instant", ("date: taken for the instant of the bucket's start (assumed)",)
            warn(
                f"the reply's dates could be instants or wall clock in {self.query.zone.key}; they are taken for "
                "instants. A range that begins or ends on a bucket of a day or longer can tell them apart.",
                ResponseWarning,
            )
        rest = [_dated(rows.table, _read(rows, reading), self.query) for rows in self._open]
        tables = [*self._tables, *self._small, *rest]
        table = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
        return Result(table, self.start, self.end, notes, reading, is_assumed)


def _dated(table: pa.Table, reading: dates.Reading, query: Query[Any]) -> pa.Table:
    """Return *table* with its dates read."""
    field = build_schema(query, dated=True).field(0)
    encoded = table.column(0).combine_chunks()
    parts = [0]
    if not query.time_step:  # the instants of a history may lie between two seconds
        parts = [datetime.fromisoformat(text).microsecond for text in encoded.dictionary.to_pylist()]
    micros = reading.buckets * 1_000_000 + np.array(parts, np.int64)
    return table.set_column(0, field, pa.array(micros).cast(field.type).take(encoded.indices))


def _read(part: Rows, only: Reading | None = None) -> dates.Reading:
    """Say which buckets the dates of *part* are."""
    encoded = part.table.column(0).combine_chunks()
    codes = encoded.indices

    def is_unique(buckets: npt.NDArray[np.int64]) -> bool:
        levels = [part.table.column(name).to_pylist() for name in part.query.levels if name != "date"]
        return len(set(zip(buckets[codes.to_numpy()].tolist(), *levels, strict=True))) == len(codes)

    def path(text: str) -> str:
        code = pa.scalar(texts.index(text), codes.type)
        return f"{part.root}[{pc.call_function('index', [codes], pc.IndexOptions(code)).as_py()}].date"

    start, end = (None if side is None else side.timestamp() for side in (part.start, part.end))
    texts = encoded.dictionary.to_pylist()
    query = part.query
    return dates.read_dates(texts, query.time_step, query.zone, start, end, unique=is_unique, path=path, only=only)
