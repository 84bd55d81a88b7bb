"""The frozen value of a query. Verbs replace its fields; lint, compile, rewrite and comparison take it.

It imports none of them, so that the modules of this folder form no circle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from vapi_frames.calendar import buckets, ranges
from vapi_frames.contract.record_words import OUTPUT, RECORD_GROUPS
from vapi_frames.contract.vocabulary import COLUMNS, GROUP_COLUMNS, TABLES
from vapi_frames.errors import QueryError, require
from vapi_frames.query import aggregation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from typing import Any, TypeAlias
    from zoneinfo import ZoneInfo

    from vapi_frames.calendar.ranges import Instants, TimeRange
    from vapi_frames.contract.record_words import RecordGroup
    from vapi_frames.contract.vocabulary import GroupColumn, Step, Table
    from vapi_frames.query.filters import Filter

__all__ = ["Clock", "DtypeBackend", "ProgressOption", "QuerySpec", "name_levels"]


DtypeBackend: TypeAlias = Literal["numpy_nullable", "pyarrow"]
ProgressOption: TypeAlias = "bool | Callable[[Any], object] | None"
"""How to show the progress of a long fetch; a function receives a `vapi_frames.Progress`."""

C = TypeVar("C", bound=str)


class Clock(Protocol):
    """The part of a ``vq`` that a query needs before it is fetched."""

    def now(self) -> datetime:
        """Return the time that relative ranges are relative to."""
        ...


def name_levels(
    groups: Sequence[str], variables: Sequence[str], outputs: Sequence[str], measures: Iterable[str]
) -> list[str]:
    """Return the names of index levels: a variable or output is named by itself, or with a prefix where that is taken.

    Examples:
        >>> name_levels(["type"], ["plan", "cost"], ["plan", "CSAT"], ["sumCost"])
        ['type', 'plan', 'variable.cost', 'output.plan', 'CSAT']
    """
    taken = {"date", *GROUP_COLUMNS, *COLUMNS, *groups, *measures}
    named = [f"{aggregation.VARIABLE}{key}" if key in taken else key for key in variables]
    taken.update(named)
    return [*groups, *named, *(f"{OUTPUT}{name}" if name in taken else name for name in outputs)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class QuerySpec(Generic[C]):
    """The fields of a query, and what follows from them alone.

    Attributes:
        table: ``call`` or ``subscription``.
        aggregations: The measures, without the counts that `has_counts` adds.
        groups: The columns to group by.
        variables: The keys of the variables to group by.
        outputs: The names of the structured outputs to group by, or a name, a dot and a field.
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
    groups: tuple[GroupColumn | RecordGroup, ...] = ()
    variables: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
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
        """The parts of the query that the API's contract does not have, so that only call records can run it.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().count().quantile("duration", 0.95).beyond_contract
            ('quantile("duration", 0.95)',)
        """
        words = [one.beyond_contract for one in self.aggregations]
        words += [group for group in self.groups if group in RECORD_GROUPS]
        words += [f"{OUTPUT}{name}" for name in self.outputs]
        words += [word for word, _ in self.filters if word in RECORD_GROUPS or word.startswith(OUTPUT)]
        return tuple(dict.fromkeys(word for word in words if word is not None))

    @property
    def levels(self) -> tuple[str, ...]:
        """The names of the frame's index levels: ``date``, the groups, the variables, the outputs."""
        measures = (one.name for one in self.measures)
        names = name_levels(self.groups, self.variables, self.outputs, measures)
        return (*(("date",) if self.is_dated else ()), *names)

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
            self.table, self.measures, self.groups, self.variables, self.outputs,
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
