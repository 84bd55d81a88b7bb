"""The question: a frozen value whose verbs return a new one, and which compiles to the contract."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from vapi_frames import comparison, lint, timegrid, timerange, widening, wire
from vapi_frames import filters as chosen
from vapi_frames.errors import MissingExtraError, QueryError, require
from vapi_frames.vocabulary import (
    COLUMNS,
    GROUP_COLUMNS,
    NAME_LIMIT,
    SPOKEN_STEPS,
    STEPS,
    TABLES,
    GroupColumn,
    Operation,
    Step,
    Table,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from vapi_frames.asker import Asker, DtypeBackend, ProgressOption
    from vapi_frames.comparison import Align, Comparison
    from vapi_frames.contract import AnalyticsQueryDTO
    from vapi_frames.lint import Finding, Plan
    from vapi_frames.timerange import Instants, TimeRange

__all__ = ["Query"]

C = TypeVar("C", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Query(Generic[C]):
    """A question about calls or the subscription; every verb returns a new one and asks nobody.

    Start one with ``vq.call()`` or ``vq.subscription()``. The order of verbs never matters, except that measures and
    groups keep theirs; measures and groups add up, everything else replaces.

    Examples:
        >>> from vapi_frames import vq
        >>> q = vq.call().sum("cost").by("assistantId").step("day").during("2026-10")
        >>> q
        vq.call().sum("cost").by("assistantId").step("day").between("2026-10-01", "2026-11-01")
        >>> q.body()["queries"][0]["timeRange"]
        {'step': 'day', 'start': '2026-10-01T00:00:00Z', 'end': '2026-11-01T00:00:00Z'}
    """

    table: Table
    asked: tuple[wire.Aggregation, ...] = ()
    groups: tuple[GroupColumn, ...] = ()
    variables: tuple[str, ...] = ()
    time_step: Step | None = None
    time_range: TimeRange | None = None
    timezone: str | None = None
    title: str | None = None
    counted: bool = False
    filters: tuple[chosen.Filter, ...] = ()
    asker: Asker | None = None

    def __post_init__(self) -> None:
        require(self.table, TABLES, "table")

    # --- measures -----------------------------------------------------------------------------------------------

    def sum(self, *columns: C, alias: str | None = None) -> Query[C]:
        """Add the sum of each of *columns*, in the column's unit, as float64."""
        return self._measure("sum", columns, alias)

    def avg(self, *columns: C, alias: str | None = None) -> Query[C]:
        """Add the mean of each of *columns* over the calls that have a value, in the column's unit, as float64."""
        return self._measure("avg", columns, alias)

    mean = avg

    def count(self, *columns: C, alias: str | None = None) -> Query[C]:
        """Add the number of calls that have a value in each of *columns*, as int64; without columns, of all calls."""
        return self._measure("count", columns or cast("tuple[C, ...]", ("id",)), alias)

    def min(self, *columns: C, alias: str | None = None) -> Query[C]:
        """Add the least value of each of *columns*, in the column's unit, as float64."""
        return self._measure("min", columns, alias)

    def max(self, *columns: C, alias: str | None = None) -> Query[C]:
        """Add the greatest value of each of *columns*, in the column's unit, as float64."""
        return self._measure("max", columns, alias)

    def history(self, *columns: C, alias: str | None = None) -> Query[C]:
        """Add the history of each of *columns*; only that of ``concurrency`` has a known meaning."""
        return self._measure("history", columns, alias)

    def agg(self, **named: tuple[C, str]) -> Query[C]:
        """Add named measures as pandas does: ``agg(spend=("cost", "sum"))``.

        Raises:
            QueryError: A value is not a pair of column and operation.
        """
        query = self
        for alias, pair in named.items():
            column, operation = wire.read_pair(alias, pair)
            query = query._measure(operation, (column,), alias)
        return query

    def with_counts(self) -> Query[C]:
        """Add, beside each average, the count of the same column: what averages need to re-aggregate exactly."""
        return replace(self, counted=True)

    def _measure(self, operation: Operation, columns: tuple[C, ...], alias: str | None) -> Query[C]:
        return replace(self, asked=wire.added(self.asked, operation, columns, alias))

    # --- groups -------------------------------------------------------------------------------------------------

    def by(self, *columns: GroupColumn) -> Query[C]:
        """Group by *columns*; they become index levels under the API's own names, in this order."""
        wire.check_groups(columns, self.groups)
        return replace(self, groups=self.groups + columns) if columns else self

    def by_variable(self, *keys: str) -> Query[C]:
        """Group by variables of the calls; they become index levels named by their *keys*, after the groups.

        A key that equals a column or an alias becomes the level ``variable.<key>``.
        """
        wire.check_keys(keys, self.variables)
        return replace(self, variables=self.variables + keys) if keys else self

    def where(self, words: Mapping[str, chosen.Values] | None = None, /, **equals: chosen.Values) -> Query[C]:
        """Ask only about the calls whose groups or variables have the values given; filters add up.

        Call records are filtered where they lie. The API has no filters: it is asked by the filtered words as well,
        and its rows are chosen and rolled up.

        Args:
            words: Group column or ``variable.<key>`` → a value: text, a bool, a whole number, ``None`` for the calls
                without one, or a list of these.
            equals: The same, where the word is a name.

        Raises:
            QueryError: A value cannot be a group's, or a word stands twice.
            UnknownWordError: Calls cannot be chosen by a word.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().count().where({"variable.plan": ["pro", None]}, endedReason="voicemail")
            vq.call().count().where({"variable.plan": ["pro", None]}, endedReason="voicemail")
        """
        return replace(self, filters=chosen.added(self.filters, words, equals))

    # --- time ---------------------------------------------------------------------------------------------------

    def step(self, step: Step) -> Query[C]:
        """Split the range into buckets of one *step* of the calendar; they become the index level ``date``."""
        require(step, STEPS, "step", also=SPOKEN_STEPS)
        return replace(self, time_step=step)

    def between(self, start: object, end: object) -> Query[C]:
        """Ask for the half-open range [start, end).

        Args:
            start: A date, datetime, ``pandas.Timestamp`` or ISO text; naive ones are wall clock in the zone of
                `tz`. ``None`` leaves the contract's default: 7 days ago.
            end: The same, exclusive; ``None`` leaves the contract's default: now.
        """
        return replace(self, time_range=timerange.between(start, end))

    def during(self, period: object) -> Query[C]:
        """Ask for a calendar period: ``"2026"``, ``"2026Q4"``, ``"2026-10"``, ``"2026-W41"`` or ``"2026-10-05"``."""
        return replace(self, time_range=timerange.during(period))

    def since(self, start: object) -> Query[C]:
        """Ask for everything from *start* until now."""
        return self.between(timerange.moment(start, "start"), None)

    def last(self, span: str, *, complete: bool = False) -> Query[C]:
        """Ask for the *span* before now: ``90s 15min 12h 30d 4w 3mo 1y``; days and longer are calendar units.

        Args:
            span: How much.
            complete: Only whole buckets of the step (of the unit, without a step), so that none is partial.
        """
        return replace(self, time_range=timerange.last(span, complete))

    def tz(self, name: str) -> Query[C]:
        """Read naive times, and cut buckets, on the calendar of the IANA zone *name*."""
        return replace(self, timezone=timegrid.zone(name).key)

    def named(self, name: str) -> Query[C]:
        """Name the query: the key of its frame where several are fetched; at most 40 characters."""
        wire.check_text(name, "name", NAME_LIMIT)
        return replace(self, title=name)

    def compare(self, to: str = "previous", *, align: Align = "ordinal") -> Comparison:
        """Set the answer against that of another period, which is asked in the same request; ``.fetch()`` it.

        Args:
            to: ``"previous"``, the period before of the same length (months where the range is whole months, days where
                it is days), or how much earlier, as in `last`: ``"7d"``, ``"52w"``, ``"1y"``.
            align: Which buckets face each other: the first, the second, ... of both (``"ordinal"``), the same days of
                the week (``"weekday"``), or the same dates (``"calendar"``).
        """
        return comparison.compare(self, to, align)

    # --- what it asks for ---------------------------------------------------------------------------------------

    @property
    def measures(self) -> tuple[wire.Aggregation, ...]:
        """The measures, in the order of the frame's columns."""
        return wire.with_counts(self.asked) if self.counted else self.asked

    @property
    def levels(self) -> tuple[str, ...]:
        """The names of the frame's index levels: ``date``, the groups, the variables."""
        taken = {"date", *GROUP_COLUMNS, *COLUMNS, *(one.name for one in self.measures)}
        variables = (f"variable.{key}" if key in taken else key for key in self.variables)
        return (*(("date",) if self.is_dated else ()), *self.groups, *variables)

    @property
    def is_dated(self) -> bool:
        """Whether the answer's rows have a date: with a step its buckets, in a history the instants of change."""
        return self.time_step is not None or any(one.operation == "history" for one in self.asked)

    @property
    def zone(self) -> ZoneInfo:
        """The zone of its calendar; UTC unless said."""
        return timegrid.zone(self.timezone or "UTC")

    def instants(self, now: datetime | None = None) -> Instants:
        """Return the asked range in UTC; a side that was not asked for is ``None``.

        Raises:
            QueryError: The range is empty, or relative and nothing says what time it is.
        """
        if self.time_range is None:
            return None, None
        if isinstance(self.time_range, timerange.Absolute):
            return self.time_range.resolve(self.zone)
        return self.time_range.resolve(self._now(now), self.zone, self.time_step)

    def _now(self, now: datetime | None) -> datetime:
        clock = self._clock(now)
        if clock is None:
            raise QueryError("the range is relative and the query is bound to no source: pass now=, or ask through one")
        return clock

    def _clock(self, now: datetime | None) -> datetime | None:
        """Return *now*, else what the source says, else ``None``."""
        if now is None:
            return None if self.asker is None else self.asker.now()
        return timerange.clock(now)

    def body(self, now: datetime | None = None) -> dict[str, Any]:
        """Return exactly what goes on the wire, ``{"queries": [...]}``; no network.

        A question with filters goes out without them, by the filtered words as well.

        Args:
            now: What a relative range is relative to; the clock of the source by default.

        Raises:
            QueryError: There is nothing asked, or the range is empty.
            NonAdditiveError: The API cannot answer it, for it has no filters.
        """
        if not self.filters:
            return {"queries": [wire.compile_query(self, now)]}
        now = self._clock(now)
        name = wire.compile_query(self, now)["name"]
        return {"queries": [wire.compile_query(replace(widening.widened(self), title=name), now)]}

    def dto(self, now: datetime | None = None) -> AnalyticsQueryDTO:
        """Return the body as a validated model."""
        from vapi_frames.contract import AnalyticsQueryDTO

        return AnalyticsQueryDTO.model_validate(self.body(now))

    @classmethod
    def from_body(cls, body: Mapping[str, Any] | str | bytes, name: str | None = None) -> Query[str]:
        """Read a query from the body of a request; ``from_body(q.body(now)).body() == q.body(now)``.

        Args:
            body: ``{"queries": [...]}``, one of its queries, or the JSON text of either.
            name: Which query, where there are several.

        Raises:
            QueryError: The contract forbids it, or *name* does not pick exactly one.
        """
        one = wire.read_query(body, name)
        query: Query[str] = Query(table=one.table)
        for wanted in one.operations:
            default = wire.Aggregation(wanted.operation, wanted.column)
            alias = None if wanted.alias in (None, default.wire) else wanted.alias
            query = query._measure(wanted.operation, (wanted.column,), alias)
        query = query.by(*one.group_by or ()).by_variable(*(v.key for v in one.group_by_variable_value or ()))
        span = one.time_range
        if span and span.step:
            query = query.step(span.step)
        if span and span.timezone:
            query = query.tz(span.timezone)
        if span and (span.start or span.end):
            query = query.between(span.start, span.end)
        return query if wire.compile_query(query, None)["name"] == one.name else query.named(one.name)

    def lint(self, now: datetime | None = None) -> list[Finding]:
        """Return what looks wrong: errors that the contract forbids, and warnings. Ids are stable."""
        return lint.findings(self, self._clock(now))

    def explain(self, now: datetime | None = None) -> Plan:
        """Return the plan: the question in words, whom it asks, the resolved range, buckets and findings."""
        return lint.plan(self, self._clock(now))

    def curl(self, now: datetime | None = None) -> str:
        """Return a shell command that asks the API; the key stays ``$VAPI_API_KEY``."""
        return wire.curl(self.body(now))

    # --- asking -------------------------------------------------------------------------------------------------

    def fetch(
        self,
        *,
        dtype_backend: DtypeBackend | None = None,
        categorical: bool = False,
        progress: ProgressOption = None,
    ) -> pd.DataFrame:
        """Ask, and return the answer as a typed frame.

        Args:
            dtype_backend: ``"numpy_nullable"`` or ``"pyarrow"``, as in pandas.
            categorical: Group levels as categories of the values seen.
            progress: ``None`` shows one line, or a notebook's bar, once several requests take more than two seconds;
                ``True`` does at once, ``False`` never; a function is called with a `vapi_frames.Progress`.

        Returns:
            One row per group and bucket that the source has, sorted. Index: ``date`` (``datetime64[us, zone]``) with
            a step, then groups, then variables; one key gives a plain index, none a single row. Columns: the
            measures in the order asked; counts int64, all else float64. Units and range: ``df.vapi``.

        Raises:
            QueryError: The question is wrong.
            SourceError: Nobody answered.
            ResponseError: The answer breaks the contract.
            PartialResultError: A part of it did not arrive.
        """
        frames = self._bound().fetch(self, dtype_backend=dtype_backend, categorical=categorical, progress=progress)
        return next(iter(frames.values()))

    def to_arrow(self) -> pa.Table:
        """Ask, and return the answer as an Arrow table: the index levels, then the measures; sorted."""
        return self._bound().to_arrow(self)

    def to_polars(self) -> pl.DataFrame:
        """Ask, and return the answer as a polars frame: the index levels, then the measures; sorted."""
        try:
            import polars as pl
        except ImportError:
            raise MissingExtraError("polars", "polars", "to_polars()") from None
        return cast("pl.DataFrame", pl.from_arrow(self.to_arrow()))

    def _bound(self) -> Asker:
        if self.asker is None:
            raise QueryError(
                "the query is bound to no source; ask one: vq.fetch(query), or vf.local(calls).fetch(query)"
            )
        return self.asker

    # --- a value ------------------------------------------------------------------------------------------------

    def _key(self) -> tuple[Any, ...]:
        return (
            self.table, self.measures, self.groups, self.variables,
            self.time_step, self.time_range, self.timezone, self.title, self.filters,
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Query) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:
        # Whom it asks may hold a connection or a key, and stays behind.
        return _restore, (self.table, self.asked, *self._key()[2:], self.counted)

    def __repr__(self) -> str:
        return wire.code(self)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(f"a Query has no {name!r}{wire.hint(name, type(self))}", name=name, obj=self)


def _restore(table: Table, asked: tuple[wire.Aggregation, ...], *rest: Any) -> Query[Any]:
    names = ("groups", "variables", "time_step", "time_range", "timezone", "title", "filters", "counted")
    return Query(table=table, asked=asked, **dict(zip(names, rest, strict=True)))
