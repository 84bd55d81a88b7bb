"""The public query: the verbs of `Builder`, its other forms, and fetching it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from vapi_frames.display import UnknownAttributeError, format_block, show_html
from vapi_frames.errors import QueryError
from vapi_frames.query import aggregation, code, comparison, lint
from vapi_frames.query.attributes import suggest_attribute
from vapi_frames.query.builder import Builder
from vapi_frames.query.compile import compile_body, compile_curl, compile_query, read_query
from vapi_frames.query.schema import as_polars

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from vapi_frames.contract.models import AnalyticsQuery, AnalyticsQueryDTO
    from vapi_frames.query.comparison import Align, Comparison
    from vapi_frames.query.lint import Finding, Plan
    from vapi_frames.query.spec import DtypeBackend, ProgressOption

__all__ = ["Fetcher", "Query"]


C = TypeVar("C", bound=str)


class Fetcher(Protocol):
    """What fetches a query: the ``vq`` that `vapi_frames.connect` and its siblings return."""

    def now(self) -> datetime:
        """Return the time that relative ranges are relative to."""
        ...

    def fetch(
        self,
        *queries: Query[Any],
        dtype_backend: DtypeBackend | None = None,
        categorical: bool = False,
        as_index: bool = True,
        progress: ProgressOption = None,
    ) -> dict[str, pd.DataFrame]:
        """Return a frame for each query, by name."""
        ...

    def compare(
        self,
        comparison: Comparison,
        *,
        dtype_backend: DtypeBackend | None = None,
        categorical: bool = False,
        as_index: bool = True,
        progress: ProgressOption = None,
    ) -> pd.DataFrame:
        """Return both periods of a comparison as one frame."""
        ...

    def to_arrow(self, query: Query[Any]) -> pa.Table:
        """Return the result of one query as an Arrow table."""

    def drill(
        self, query: Query[Any], columns: Sequence[str] | None = None, *, limit: int | None = 100_000
    ) -> pd.DataFrame:
        """Return the calls that a query counts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Query(Builder[C]):
    """A query about calls or the subscription: a frozen value. Each verb returns a new one, and sends nothing.

    Start with ``vq.call()`` or ``vq.subscription()``. Measures, groups and filters add up, in the order of their verbs;
    every other verb replaces what was set. Otherwise the order of verbs does not matter.

    A query is also a lazy Arrow table: ``pl.DataFrame(q)``, ``pa.table(q)`` and narwhals fetch it, each time anew;
    ``pa.schema(q)`` does not.

    Examples:
        >>> from vapi_frames import vq
        >>> q = vq.call().sum("cost").by("assistantId").step("day").during("2026-10")
        >>> q
        (
            vq.call()
            .sum("cost")
            .by("assistantId")
            .step("day")
            .between("2026-10-01", "2026-11-01")
        )
        >>> q.body()["queries"][0]["timeRange"]
        {'step': 'day', 'start': '2026-10-01T00:00:00Z', 'end': '2026-11-01T00:00:00Z'}
    """

    def compare(self, to: str = "previous", *, align: Align = "ordinal") -> Comparison:
        """Compare with an earlier period, fetched in the same request; call ``.fetch()`` on the comparison.

        Args:
            to: ``"previous"``, the period before of the same length (months where the range is whole months, days where
                it is days), or how much earlier, as in `last`: ``"7d"``, ``"52w"``, ``"1y"``.
            align: Which buckets are compared: the first, the second, ... of both (``"ordinal"``), the same days of the
                week (``"weekday"``), or the same dates (``"calendar"``).

        Raises:
            QueryError: *to* is no span, or the query cannot be compared in this way.
            UnknownWordError: There is no such alignment.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().sum("cost").step("day").last("7d").compare("7d", align="weekday")
            vq.call().sum("cost").step("day").last("7d").compare("7d", align="weekday")
        """
        return comparison.compare(self, to, align, _fetch_comparison)

    def body(self, now: datetime | None = None) -> dict[str, Any]:
        """Return the body that is sent, ``{"queries": [...]}``; no network.

        Filters are rewritten as groups, because the API has none.

        Args:
            now: The end of a relative range; the clock of the source by default.

        Raises:
            QueryError: The query has no measure, or the range is empty.
            NonAdditiveError: The filters cannot be rewritten as groups.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().sum("cost").body()["queries"][0]["operations"]
            [{'operation': 'sum', 'column': 'cost', 'alias': 'sumCost'}]
        """
        return compile_body(self, now)

    def dto(self, now: datetime | None = None) -> AnalyticsQueryDTO:
        """Return the body as a validated model of the contract.

        Args:
            now: As in `body`.

        Raises:
            QueryError: The query has no measure, or the range is empty.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().count().step("day").dto().queries[0].time_range.step
            'day'
        """
        from vapi_frames.contract.models import AnalyticsQueryDTO

        return AnalyticsQueryDTO.model_validate(self.body(now))

    @classmethod
    def from_body(
        cls, body: Mapping[str, Any] | str | bytes | AnalyticsQueryDTO | AnalyticsQuery, name: str | None = None
    ) -> Query[str]:
        """Read a query from the body of a request; ``from_body(q.body(now)).body() == q.body(now)``.

        Args:
            body: ``{"queries": [...]}``, one of its queries, the JSON text of either, or their models, as from `dto`.
            name: The name of the query, if there are several.

        Raises:
            QueryError: The contract forbids it, or *name* does not pick exactly one.

        Examples:
            >>> from vapi_frames import Query
            >>> Query.from_body({"table": "call", "name": "n", "operations": [{"operation": "count", "column": "id"}]})
            vq.call().count().named("n")
        """
        one = read_query(body, name)
        query: Query[str] = Query(table=one.table)
        for wanted in one.operations:
            default = aggregation.Aggregation(wanted.operation, wanted.column)
            alias = None if wanted.alias in (None, default.wire_name) else wanted.alias
            query = query._measure(wanted.operation, (wanted.column,), alias)
        query = query.by(*one.group_by or ()).by_variable(*(v.key for v in one.group_by_variable_value or ()))
        span = one.time_range
        if span and span.step:
            query = query.step(span.step)
        if span and span.timezone:
            query = query.tz(span.timezone)
        if span and (span.start or span.end):
            query = query.between(span.start, span.end)
        return query if compile_query(query, None)["name"] == one.name else query.named(one.name)

    def lint(self, now: datetime | None = None) -> list[Finding]:
        """Return what looks wrong: errors that the contract forbids, and warnings. Ids are stable.

        Args:
            now: As in `body`; without it and a source, a relative range is not checked.

        Examples:
            >>> from vapi_frames import vq
            >>> [finding.id for finding in vq.call().count().step("day").between("2026-10-01", "2026-10-31").lint()]
            ['VF202']
        """
        return lint.lint_query(self, self._clock(now))

    def explain(self, now: datetime | None = None) -> Plan:
        """Return the plan: the query as code, its resolved range, buckets, columns, and the findings of lint.

        Args:
            now: As in `body`.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().count().step("day").during("2026-10").explain().buckets
            31
        """
        return lint.explain_query(self, self._clock(now))

    def curl(self, now: datetime | None = None) -> str:
        """Return a shell command that sends the query to the API; the key stays ``$VAPI_API_KEY``.

        Args:
            now: As in `body`.

        Raises:
            QueryError: The query has no measure, or the range is empty.

        Examples:
            >>> from vapi_frames import vq
            >>> "Authorization: Bearer $VAPI_API_KEY" in vq.call().count().curl()
            True
        """
        return compile_curl(self.body(now))

    # --- fetching -------------------------------------------------------------------------------------------------

    def fetch(
        self,
        *,
        dtype_backend: DtypeBackend | None = None,
        categorical: bool = False,
        as_index: bool = True,
        progress: ProgressOption = None,
    ) -> pd.DataFrame:
        """Fetch the query, and return the result as a typed frame.

        Args:
            dtype_backend: ``"numpy_nullable"`` or ``"pyarrow"``, as in pandas.
            categorical: Group levels as categories of the values seen.
            as_index: Whether the levels are the index; ``False`` makes them the first columns, as in pandas.
            progress: ``None`` shows one line, or a notebook's bar, if several requests take more than two seconds;
                ``True`` always, ``False`` never; a function receives a `vapi_frames.Progress`.

        Returns:
            One row per group and bucket that the source has, sorted. Index: ``date`` (``datetime64[us, zone]``) with
            a step, then groups, then variables; one key gives a plain index, none a single row. Columns: the
            measures in the order of the query; counts int64, all else float64. Units and range: ``df.vapi``.

        Raises:
            QueryError: The query is wrong.
            SourceError: The source could not return a result.
            ResponseError: The reply breaks the contract.
            PartialResultError: A part of the result did not arrive.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().call().sum("cost").count().by("type").during("2026-10").fetch().round(2)
                               sumCost  countId
            type
            inboundPhoneCall   1152.42     6537
            outboundPhoneCall   576.42     4265
            webCall             413.38     2693
        """
        frames = self._bound().fetch(
            self, dtype_backend=dtype_backend, categorical=categorical, as_index=as_index, progress=progress
        )
        return next(iter(frames.values()))

    def to_arrow(self) -> pa.Table:
        """Fetch the query, and return the result as a sorted Arrow table; it raises what `fetch` does.

        Returns:
            The index levels, then the measures, as columns: ``date`` ``timestamp[us, zone]``, groups ``string``, counts
            ``int64``, all else ``double``.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().call().count().by("type").during("2026-10").to_arrow().column_names
            ['type', 'countId']
        """
        return self._bound().to_arrow(self)

    def drill(self, columns: Sequence[str] | None = None, *, limit: int | None = 100_000) -> pd.DataFrame:
        """Return the calls that the query counts, one row each, under the query's own index.

        The sum, number, minimum, maximum or median of the calls of an index row is what `fetch` has there.

        Args:
            columns: The columns of a call record, by path: ``["cost", "artifact.transcript"]``. By default id, times,
                minutes, cost, status and reasons, and what the query measures. Personal columns, such as
                ``customer.number`` or a transcript, are shown only if you name them.
            limit: How many calls at most, with a warning if there are more; ``None`` for all.

        Returns:
            Sorted by the index, then ``createdAt``, then ``id``. Index: the levels that `fetch` has, not repeated as
            columns. Columns: times ``datetime64[us, zone]``, ``duration`` in minutes and all other numbers float64,
            Booleans ``boolean``, all else text, and what is nested as JSON text.

        Raises:
            QueryError: The query is of the subscription or of concurrency, or an argument is wrong.
            RecordsError: The records have no such column, or a value cannot be read.
            SourceError: The source has no calls, or could not return them.

        Examples:
            >>> import vapi_frames as vf
            >>> q = vf.demo().call().sum("cost").by("type").during("2026-10-05")
            >>> calls = q.drill(["createdAt", "duration", "cost"])
            >>> calls.groupby("type")["cost"].sum().round(2).to_dict() == q.fetch()["sumCost"].round(2).to_dict()
            True
        """
        return self._bound().drill(self, columns, limit=limit)

    def to_polars(self) -> pl.DataFrame:
        """Fetch the query, and return a polars frame with the columns of `to_arrow`; it raises what `fetch` does.

        Raises:
            MissingExtraError: polars is not installed.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().call().count().by("type").during("2026-10").to_polars().shape
            (3, 2)
        """
        return as_polars(self.to_arrow())

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Fetch the result through Arrow's PyCapsule protocol; the columns are those of `to_arrow`.

        Examples:
            >>> import pyarrow as pa, vapi_frames as vf
            >>> pa.table(vf.demo().call().count().during("2026-10")).to_pylist()
            [{'countId': 13495}]
        """
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        """Return the types of the result through Arrow's PyCapsule protocol, without fetching it.

        Examples:
            >>> import pyarrow as pa
            >>> from vapi_frames import vq
            >>> pa.schema(vq.call().sum("cost").by("type").step("day")).names
            ['date', 'type', 'sumCost']
        """
        from vapi_frames.query.schema import build_schema

        return build_schema(self).__arrow_c_schema__()

    def _bound(self) -> Fetcher:
        if self.vq is None:
            raise QueryError(
                "the query has no source; fetch it from one: vq.fetch(query), or vf.local(calls).fetch(query)"
            )
        return cast("Fetcher", self.vq)

    # --- a value ------------------------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        # Its vq is left out: it may have a connection or a key.
        return _restore, ({each.name: getattr(self, each.name) for each in fields(self) if each.name != "vq"},)

    def __repr__(self) -> str:
        return format_block(code.list_verbs(self))

    def __str__(self) -> str:
        return code.format_code(self)

    _repr_html_ = show_html

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise UnknownAttributeError(
                f"a Query has no {name!r}{suggest_attribute(name, type(self))}", name=name, obj=self
            )


def _fetch_comparison(both: Comparison, **options: Any) -> pd.DataFrame:
    return cast("Query[Any]", both.query)._bound().compare(both, **options)  # noqa: SLF001 - a query of this module


def _restore(values: dict[str, Any]) -> Query[Any]:
    return Query(**values)
