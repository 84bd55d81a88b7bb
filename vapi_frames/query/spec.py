"""The frozen value of a query. Verbs replace its fields; lint, compile, rewrite and comparison take it.

It imports none of them, so that the modules of this folder form no circle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from vapi_frames.calendar import buckets, ranges
from vapi_frames.contract.vocabulary import COLUMNS, GROUP_COLUMNS, RECORD_OPERATIONS, TABLES
from vapi_frames.errors import QueryError, require
from vapi_frames.query import aggregation

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Any, TypeAlias
    from zoneinfo import ZoneInfo

    from vapi_frames.calendar.ranges import Instants, TimeRange
    from vapi_frames.contract.vocabulary import GroupColumn, Step, Table
    from vapi_frames.query.filters import Filter

__all__ = ["Clock", "DtypeBackend", "ProgressOption", "QuerySpec"]


DtypeBackend: TypeAlias = Literal["numpy_nullable", "pyarrow"]
ProgressOption: TypeAlias = "bool | Callable[[Any], object] | None"
"""How to show the progress of a long fetch; a function receives a `vapi_frames.Progress`."""

C = TypeVar("C", bound=str)


class Clock(Protocol):
    """The part of a ``vq`` that a query needs before it is fetched."""

    def now(self) -> datetime:
        """Return the time that relative ranges are relative to."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class QuerySpec(Generic[C]):
    """The fields of a query, and what follows from them alone.

    Attributes:
        table: ``call`` or ``subscription``.
        aggregations: The measures, without the counts that `has_counts` adds.
        groups: The columns to group by.
        variables: The keys of the variables to group by.
        time_step: The step of its buckets.
        time_range: The range, not yet resolved to instants.
        timezone: The name of its time zone; ``None`` is the contract's default, UTC.
        title: Its name, set by `named`.
        has_counts: Whether each average comes with the count of its column.
        filters: The values that its calls must have.
        vq: The ``vq`` that it is fetched from; no part of its value.
    """

    table: Table
    aggregations: tuple[aggregation.Aggregation, ...] = ()
    groups: tuple[GroupColumn, ...] = ()
    variables: tuple[str, ...] = ()
    time_step: Step | None = None
    time_range: TimeRange | None = None
    timezone: str | None = None
    title: str | None = None
    has_counts: bool = False
    filters: tuple[Filter, ...] = ()
    vq: Clock | None = None

    def __post_init__(self) -> None:
        require(self.table, TABLES, "table")

    @property
    def measures(self) -> tuple[aggregation.Aggregation, ...]:
        """The measures, in the order of the frame's columns."""
        return aggregation.with_counts(self.aggregations) if self.has_counts else self.aggregations

    @property
    def beyond_contract(self) -> tuple[str, ...]:
        """What of the query the API's contract has no words for, so that call records alone can answer it.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().count().quantile("duration", 0.95).beyond_contract
            ('quantile("duration", 0.95)',)
        """
        return tuple(one.code for one in self.aggregations if one.operation in RECORD_OPERATIONS)

    @property
    def levels(self) -> tuple[str, ...]:
        """The names of the frame's index levels: ``date``, the groups, the variables."""
        taken = {"date", *GROUP_COLUMNS, *COLUMNS, *(one.name for one in self.measures)}
        variables = (f"variable.{key}" if key in taken else key for key in self.variables)
        return (*(("date",) if self.is_dated else ()), *self.groups, *variables)

    @property
    def is_dated(self) -> bool:
        """Whether the rows have a date: with a step the bucket, in a history the instant of the change."""
        return self.time_step is not None or any(one.operation == "history" for one in self.aggregations)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of its calendar; UTC by default."""
        return buckets.find_zone(self.timezone or "UTC")

    def _key(self) -> tuple[Any, ...]:
        return (
            self.table, self.measures, self.groups, self.variables,
            self.time_step, self.time_range, self.timezone, self.title, self.filters,
        )  # fmt: skip

    def instants(self, now: datetime | None = None) -> Instants:
        """Return the range in UTC; an open side is ``None``.

        Raises:
            QueryError: The range is empty, or it is relative and there is no clock.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().count().during("2026-10-05").instants()[1].isoformat()
            '2026-10-06T00:00:00+00:00'
        """
        if self.time_range is None:
            return None, None
        if isinstance(self.time_range, ranges.AbsoluteRange):
            return self.time_range.resolve(self.zone)
        return self.time_range.resolve(self._now(now), self.zone, self.time_step)

    def _now(self, now: datetime | None) -> datetime:
        clock = self._clock(now)
        if clock is None:
            raise QueryError("the range is relative, and the query has no source that tells the time: pass now=")
        return clock

    def _clock(self, now: datetime | None) -> datetime | None:
        """Return *now*, else the time of the source, else ``None``."""
        if now is None:
            return None if self.vq is None else self.vq.now()
        return ranges.parse_now(now)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, QuerySpec) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())
