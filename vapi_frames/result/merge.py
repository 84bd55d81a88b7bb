"""Several replies to one query, each about a part of its range: merged into one result.

In a zone other than UTC, one reply may leave open whether its dates are instants or the wall clock, and another may
decide it. So no dates are read for good before all replies are there, and all are read by one convention.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vapi_frames.errors import BucketAlignmentError, ResponseWarning, warn
from vapi_frames.query.schema import build_schema
from vapi_frames.result.dates import DateReading, read_dates
from vapi_frames.result.reply import Rows, read_rows
from vapi_frames.result.result import Result

if TYPE_CHECKING:
    import numpy.typing as npt

    from vapi_frames.contract.models import AnalyticsQueryResult
    from vapi_frames.query.query import Query
    from vapi_frames.result.result import DateConvention

__all__ = ["ReplyCollector", "read_reply"]

_SMALL = 64  # tables that are concatenated at a time: a table of few rows is mostly overhead


def read_reply(
    reply: AnalyticsQueryResult,
    query: Query[Any],
    now: datetime | None,
    *,
    place: int = 0,
    dated: bool | None = None,
    check_range: bool = True,
) -> Result:
    """Return the result in one element of a reply; the arguments are those of `vapi_frames.result.reply.read_rows`.

    Raises:
        ResponseError: A row lacks a key, or holds a value that its type refuses.
        BucketAlignmentError: No convention fits the dates.
    """
    collector = ReplyCollector(query)
    collector.add(read_rows(reply, query, now, place=place, dated=dated, check_range=check_range))
    return collector.result()


class ReplyCollector:
    """The replies to one query that have arrived; not safe for several threads at a time.

    Attributes:
        query: The query.
        start: Begin of the earliest range that has arrived, in UTC.
        end: End of the latest.
    """

    def __init__(self, query: Query[Any]) -> None:
        self.query = query
        self.start: datetime | None = None
        self.end: datetime | None = None
        self._decided: set[DateConvention] = set()
        self._undecided: list[Rows] = []
        self._small: list[pa.Table] = []
        self._tables: list[pa.Table] = []

    def __bool__(self) -> bool:
        return bool(self._undecided or self._small or self._tables)

    def add(self, rows: Rows) -> None:
        """Add the rows of one more reply.

        Raises:
            BucketAlignmentError: No convention fits their dates.
        """
        if not self or (rows.start and self.start and rows.start < self.start):
            self.start = rows.start
        if not self or (rows.end and self.end and rows.end > self.end):
            self.end = rows.end
        if "date" not in rows.table.column_names[:1]:
            self._add_table(rows.table)
            return
        reading = _read(rows)
        if reading.is_assumed:
            self._undecided.append(rows)
            return
        if reading.convention is not None:
            self._decided.add(reading.convention)
        self._add_table(_with_dates(rows.table, reading, self.query))

    def _add_table(self, table: pa.Table) -> None:
        self._small.append(table)
        if len(self._small) == _SMALL:
            self._tables.append(pa.concat_tables(self._small).combine_chunks())
            self._small = []

    def convention(self, known: DateConvention | None = None) -> DateConvention | None:
        """Return how the dates have to be read, ``None`` where no reply decides it.

        Args:
            known: The convention that other replies to the query have decided.

        Raises:
            BucketAlignmentError: Two replies decide differently.
        """
        decided = self._decided.copy()
        if known:
            decided.add(known)
        if len(decided) > 1:
            raise BucketAlignmentError("the dates of some replies are instants, those of others the wall clock")
        return next(iter(decided), None)

    def result(self, known: DateConvention | None = None) -> Result:
        """Return the result of all that has arrived; the argument and the error are those of `convention`."""
        convention = self.convention(known)
        notes: tuple[str, ...] = ()
        is_assumed = convention is None and bool(self._undecided)
        if is_assumed:
            convention, notes = "instant", ("date: read as the instant of the bucket's start (assumed)",)
            warn(
                f"the dates of the reply could be instants or the wall clock in {self.query.zone.key}; they are read "
                "as instants. A range that begins or ends on a bucket of a day or longer decides it.",
                ResponseWarning,
            )
        rest = [_with_dates(rows.table, _read(rows, convention), self.query) for rows in self._undecided]
        tables = [*self._tables, *self._small, *rest]
        table = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
        return Result(table, self.start, self.end, notes, convention, is_assumed)


def _with_dates(table: pa.Table, reading: DateReading, query: Query[Any]) -> pa.Table:
    """Return *table* with the instants of *reading* in place of the dates as text."""
    field = build_schema(query, dated=True).field(0)
    encoded = table.column(0).combine_chunks()
    fractions = [0]
    if not query.time_step:  # the instants of a history may lie between two seconds
        fractions = [datetime.fromisoformat(text).microsecond for text in encoded.dictionary.to_pylist()]
    micros = reading.buckets * 1_000_000 + np.array(fractions, np.int64)
    return table.set_column(0, field, pa.array(micros).cast(field.type).take(encoded.indices))


def _read(rows: Rows, only: DateConvention | None = None) -> DateReading:
    """Return the buckets of the distinct dates of *rows*."""
    encoded = rows.table.column(0).combine_chunks()
    codes = encoded.indices
    texts = encoded.dictionary.to_pylist()
    query = rows.query

    def is_unique(buckets: npt.NDArray[np.int64]) -> bool:
        levels = [rows.table.column(name).to_pylist() for name in query.levels if name != "date"]
        return len(set(zip(buckets[codes.to_numpy()].tolist(), *levels, strict=True))) == len(codes)

    def path(text: str) -> str:
        code = pa.scalar(texts.index(text), codes.type)
        return f"{rows.root}[{pc.call_function('index', [codes], pc.IndexOptions(code)).as_py()}].date"

    start, end = (None if side is None else side.timestamp() for side in (rows.start, rows.end))
    return read_dates(texts, query.time_step, query.zone, start, end, unique=is_unique, path=path, only=only)
