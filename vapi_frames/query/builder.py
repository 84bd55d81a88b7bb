"""The verbs that build a query: measures, groups, filters and time. `vapi_frames.query.query.Query` fetches it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar, cast

from vapi_frames.calendar import buckets, ranges
from vapi_frames.contract.vocabulary import NAME_LIMIT, STEP_SYNONYMS, STEPS
from vapi_frames.errors import require
from vapi_frames.query import aggregation, filters
from vapi_frames.query.spec import QuerySpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal, Self, Unpack

    from vapi_frames.contract.record_words import RecordColumn, RecordGroup
    from vapi_frames.contract.vocabulary import GroupColumn, Operation, RecordOperation, Step

__all__ = ["VERBS", "Builder"]


C = TypeVar("C", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Builder(QuerySpec[C]):
    """The verbs, each of which returns another query."""

    # --- measures -----------------------------------------------------------------------------------------------

    def sum(self, *columns: C | RecordColumn, alias: str | None = None) -> Self:
        """Add the sum of each of *columns*, in the column's unit, as float64.

        Raises:
            UnknownWordError: The table has no such column, or no sum of it.
            QueryError: A measure is repeated, or the alias is not allowed.

        Examples:
            >>> from vapi_frames import vq
            >>> [one.name for one in vq.call().sum("cost", "costBreakdown.llm").measures]
            ['sumCost', 'sumCostBreakdownLlm']
        """
        return self._measure("sum", columns, alias)

    def avg(self, *columns: C | RecordColumn, alias: str | None = None) -> Self:
        """Add the mean of each of *columns* over the calls that have a value, in the column's unit, as float64.

        Raises:
            UnknownWordError: The table has no such column, or no average of it.
            QueryError: A measure is repeated, or the alias is not allowed.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().avg("duration", alias="minutes")
            vq.call().avg("duration", alias="minutes")
        """
        return self._measure("avg", columns, alias)

    mean = avg

    def count(self, *columns: C | RecordColumn, alias: str | None = None) -> Self:
        """Add the number of calls that have a value in each of *columns*, as int64; without columns, of all calls.

        Raises:
            UnknownWordError: The table has no such column, or no count of it.
            QueryError: A measure is repeated, or the alias is not allowed.

        Examples:
            >>> from vapi_frames import vq
            >>> [one.name for one in vq.call().count().count("duration").measures]
            ['countId', 'countDuration']
        """
        return self._measure("count", columns or cast("tuple[C, ...]", ("id",)), alias)

    def min(self, *columns: C | RecordColumn, alias: str | None = None) -> Self:
        """Add the least value of each of *columns*, in the column's unit, as float64.

        Raises:
            UnknownWordError: The table has no such column, or no least value of it.
            QueryError: A measure is repeated, or the alias is not allowed.

        Examples:
            >>> from vapi_frames import vq
            >>> [one.name for one in vq.call().min("duration").measures]
            ['minDuration']
        """
        return self._measure("min", columns, alias)

    def max(self, *columns: C | RecordColumn, alias: str | None = None) -> Self:
        """Add the greatest value of each of *columns*, in the column's unit, as float64.

        Raises:
            UnknownWordError: The table has no such column, or no greatest value of it.
            QueryError: A measure is repeated, or the alias is not allowed.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.subscription().max("concurrency").step("hour").last("3d")
            vq.subscription().max("concurrency").step("hour").last("3d")
        """
        return self._measure("max", columns, alias)

    def median(self, *columns: C | RecordColumn, alias: str | None = None) -> Self:
        """Add the median of each of *columns* over the calls that have a value, in the column's unit, as float64.

        The API has no median: the query is for call records, `vapi_frames.local` or a warehouse. It is exact, and never
        re-aggregates.

        Raises:
            UnknownWordError: There is no such measured column.
            QueryError: A measure is repeated, or the alias is not allowed.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().median("duration").by("type").during("2026-10").fetch()
            >>> df["medianDuration"].round(2).tolist()
            [0.92, 0.68, 0.93]
        """
        return self._measure("median", columns, alias)

    def quantile(self, column: C | RecordColumn, q: float = 0.5, *, alias: str | None = None) -> Self:
        """Add a quantile of *column* over the calls that have a value, in the column's unit, as float64.

        Between two values it is linear, as in pandas. The API has no quantiles: the query is for call records,
        `vapi_frames.local` or a warehouse. It is exact, and never re-aggregates: the mean of hourly quantiles is
        another number.

        Args:
            column: The measured column.
            q: Which one, from 0 to 1; its name has it in percent: ``p95Duration``, ``p05Duration``, ``p999Duration``.
            alias: The name of the column, instead.

        Raises:
            UnknownWordError: There is no such measured column.
            QueryError: *q* is no number from 0 to 1, a measure is repeated, or the alias is not allowed.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().quantile("duration", 0.95).during("2026-10").fetch()
            >>> df["p95Duration"].round(2).tolist()
            [4.38]
        """
        return self._measure("quantile", (column,), alias, aggregation.check_quantile(q))

    def nunique(self, *words: str, alias: str | None = None) -> Self:
        """Add the number of distinct values of each of *words* that the calls have, as int64; missing is no value.

        The API cannot count them: the query is for call records, `vapi_frames.local` or a warehouse. The numbers never
        re-aggregate, because a value may be in several buckets.

        Args:
            words: Group columns, ``variable.<key>`` for a variable of the calls, ``output.<name>`` for a structured
                output.
            alias: The name of the column, of a single one.

        Raises:
            UnknownWordError: There is no such group.
            QueryError: A measure is repeated, or the alias is not allowed.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().call().nunique("assistantId").during("2026-10").fetch()["nuniqueAssistantId"].tolist()
            [5]
        """
        return self._measure("nunique", cast("tuple[C, ...]", words), alias)

    def history(self, *columns: C | RecordColumn, alias: str | None = None) -> Self:
        """Add the history of each of *columns*, as float64; only that of ``concurrency`` has a known meaning.

        The level ``date`` then has the instants of its changes.

        Raises:
            UnknownWordError: The table has no such column.
            QueryError: A measure is repeated, or the alias is not allowed.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.subscription().history("concurrency").during("2026-10-05").levels
            ('date',)
        """
        return self._measure("history", columns, alias)

    def agg(
        self,
        **named: tuple[C | RecordColumn, Operation | Literal["mean", "median"]]
        | tuple[str, Literal["nunique"]]
        | tuple[C | RecordColumn, Literal["quantile"], float],
    ) -> Self:
        """Add named measures as pandas does: ``agg(spend=("cost", "sum"), slow=("duration", "quantile", 0.95))``.

        Raises:
            QueryError: A value is not a pair of column and operation, or a measure is repeated.
            UnknownWordError: There is no such column or operation.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().agg(spend=("cost", "sum"), calls=("id", "count"))
            vq.call().sum("cost", alias="spend").count("id", alias="calls")
        """
        query = self
        for alias, pair in named.items():
            column, operation, q = aggregation.read_pair(alias, pair)
            query = query._measure(operation, (column,), alias, None if q is None else aggregation.check_quantile(q))
        return query

    def with_counts(self) -> Self:
        """Add, after each average, the count of the same column, which averages need to re-aggregate exactly.

        Examples:
            >>> from vapi_frames import vq
            >>> [one.name for one in vq.call().avg("duration").with_counts().measures]
            ['avgDuration', 'countDuration']
        """
        return replace(self, has_counts=True)

    def _measure(
        self,
        operation: Operation | RecordOperation,
        columns: tuple[C | RecordColumn, ...],
        alias: str | None,
        q: float | None = None,
    ) -> Self:
        measures = aggregation.with_measures(self.aggregations, operation, columns, alias, q)
        return replace(self, aggregations=measures)

    # --- groups -------------------------------------------------------------------------------------------------

    def by(self, *columns: GroupColumn | RecordGroup) -> Self:
        """Group by *columns*; they become index levels of strings under the API's own names, in this order.

        The API groups by five of them; by the others, such as ``phoneNumberId``, only call records can be grouped.

        Raises:
            UnknownWordError: There is no such group.
            QueryError: A group is repeated.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().count().by("assistantId", "endedReason").step("day").levels
            ('date', 'assistantId', 'endedReason')
        """
        aggregation.check_groups(columns, self.groups)
        return replace(self, groups=self.groups + columns) if columns else self

    def by_variable(self, *keys: str) -> Self:
        """Group by variables of the calls; they become index levels named by their *keys*, after the groups.

        A key that equals a column or an alias becomes the level ``variable.<key>``.

        Raises:
            QueryError: A key is not text, or is repeated.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().count().by("type").by_variable("plan", "cost").levels
            ('type', 'plan', 'variable.cost')
        """
        aggregation.check_variables(keys, self.variables)
        return replace(self, variables=self.variables + keys) if keys else self

    def by_output(self, *names: str) -> Self:
        """Group by structured outputs of the calls; they become index levels named by their *names*, after all others.

        The values are text, as those of variables are; a call without the output has a missing one. A name that is
        taken becomes the level ``output.<name>``. The API has no outputs: the query is for call records.

        Args:
            names: Names of outputs; or of an output, a dot and a field of its result, where no output has that name.

        Raises:
            QueryError: A name is not text, or is repeated.

        Examples:
            >>> from vapi_frames import vq
            >>> query = vq.call().count().by("type").by_output("Call Outcome", "Survey.score")
            >>> query.levels, query.beyond_contract
            (('type', 'Call Outcome', 'Survey.score'), ('output.Call Outcome', 'output.Survey.score'))
        """
        aggregation.check_outputs(names, self.outputs)
        return replace(self, outputs=self.outputs + names) if names else self

    def where(
        self, conditions: Mapping[str, filters.FilterValues] | None = None, /, **equals: Unpack[filters.KeywordFilters]
    ) -> Self:
        """Keep only the calls with these values of groups or variables; several filters must all match.

        Call records are filtered inside the SELECT. The API has no filters, so for it the query also groups by what
        they name; the matching rows are then selected and re-aggregated.

        Args:
            conditions: Group column, ``variable.<key>`` or ``output.<name>`` → a value: text, a bool, a whole number,
                ``None`` for calls without one, or a list of these.
            equals: The same as keyword arguments.

        Raises:
            QueryError: A value cannot be a group's, or a filter is repeated.
            UnknownWordError: There is no such group.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().count().where({"variable.plan": ["pro", None]}, type="webCall")
            vq.call().count().where({"variable.plan": ["pro", None]}, type="webCall")
        """
        return replace(self, filters=filters.with_filters(self.filters, conditions, equals))

    # --- time ---------------------------------------------------------------------------------------------------

    def step(self, step: Step) -> Self:
        """Split the range into buckets of one *step* of the calendar; they become the index level ``date``.

        Raises:
            UnknownWordError: There is no such step.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().count().step("week").by("type").levels
            ('date', 'type')
        """
        require(step, STEPS, "step", synonyms=STEP_SYNONYMS)
        return replace(self, time_step=step)

    def between(self, start: object, end: object = ...) -> Self:
        """Set the range to the half-open [start, end).

        Args:
            start: A date, datetime, ``pandas.Timestamp`` or ISO text; naive ones are wall-clock time in the zone of
                `tz`. ``None`` is the contract's default: 7 days ago.
            end: The same, exclusive; ``None`` is the contract's default: now.

        Raises:
            QueryError: A side is missing, is not a date or time, or is finer than a microsecond.

        Examples:
            >>> from vapi_frames import vq
            >>> query = vq.call().count().between("2026-10-01", "2026-10-08").tz("America/New_York")
            >>> [side.isoformat() for side in query.instants()]
            ['2026-10-01T04:00:00+00:00', '2026-10-08T04:00:00+00:00']
        """
        return replace(self, time_range=ranges.parse_range(start, end))

    def during(self, period: object) -> Self:
        """Set the range to a period: ``"2026"``, ``"2026Q4"``, ``"2026-10"``, ``"2026-W41"`` or ``"2026-10-05"``.

        Raises:
            QueryError: *period* is none of these.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().count().during("2026Q4")
            vq.call().count().between("2026-10-01", "2027-01-01")
        """
        return replace(self, time_range=ranges.parse_period(period))

    def since(self, start: object) -> Self:
        """Set the range to everything from *start* until now.

        Raises:
            QueryError: *start* is not a date or time.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().count().since("2026-10-01").instants()[1] is None
            True
        """
        return self.between(ranges.parse_time_point(start, "start"), None)

    def last(self, span: str, *, complete: bool = False) -> Self:
        """Set the range to the *span* before now: ``90s 15min 12h 30d 4w 3mo 1y``; days and longer are calendar units.

        Args:
            span: The length of the range.
            complete: Only whole buckets of the step (of the unit, without a step), so that none is partial.

        Raises:
            QueryError: *span* cannot be read.

        Examples:
            >>> from datetime import UTC, datetime
            >>> from vapi_frames import vq
            >>> query = vq.call().count().step("day").last("30d", complete=True)
            >>> [side.isoformat() for side in query.instants(datetime(2026, 11, 16, 12, tzinfo=UTC))]
            ['2026-10-17T00:00:00+00:00', '2026-11-16T00:00:00+00:00']
        """
        return replace(self, time_range=ranges.parse_last(span, complete))

    def tz(self, name: str) -> Self:
        """Set the time zone, an IANA *name*: naive times are read in it, and buckets follow its calendar.

        Raises:
            UnknownWordError: There is no such zone.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().count().tz("Europe/London").zone.key
            'Europe/London'
        """
        return replace(self, timezone=buckets.find_zone(name).key)

    def named(self, name: str) -> Self:
        """Name the query: the key of its frame when several are fetched; at most 40 characters.

        Raises:
            QueryError: *name* is not text, or is too long.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().count().named("calls").body()["queries"][0]["name"]
            'calls'
        """
        aggregation.check_text(name, "name", NAME_LIMIT)
        return replace(self, title=name)


VERBS = tuple(name for name in vars(Builder) if not name.startswith("_"))
"""The verbs that build a query; the parser, completion and "did you mean" take them from here."""
