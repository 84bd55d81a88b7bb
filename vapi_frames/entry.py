"""Where a question starts: `vq` and the ways to say whom it asks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from vapi_frames import lint, timerange, wire
from vapi_frames.comparison import Comparison
from vapi_frames.errors import QueryError
from vapi_frames.query import Query
from vapi_frames.vocabulary import BASE_URL, CallColumn, Step, SubscriptionColumn, check_units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    import pandas as pd
    import pyarrow as pa

    from vapi_frames.asker import DtypeBackend
    from vapi_frames.sources import Source

__all__ = ["Vq", "connect", "demo", "local", "vq", "warehouse"]


class Vq:
    """Starts questions and asks them: of the API, or of whoever it was made for.

    Examples:
        >>> import vapi_frames as vf
        >>> vf.demo().call().sum("cost").count().during("2026-10").fetch().round(2)
           sumCost  countId
        0  2142.22    13495
    """

    def __init__(self, make_source: Callable[[], Source], *, units: Mapping[str, str] | None = None) -> None:
        # Made when first asked: the sources import what `import vapi_frames` must not.
        self._make_source = make_source
        self._source: Source | None = None
        self._units = dict(units or {})

    @property
    def source(self) -> Source:
        """Whom it asks."""
        if self._source is None:
            self._source = self._make_source()
        return self._source

    def call(self) -> Query[CallColumn]:
        """Start a question about calls."""
        return Query(table="call", asker=self)

    def subscription(self) -> Query[SubscriptionColumn]:
        """Start a question about the subscription: concurrency and minutes used."""
        return Query(table="subscription", asker=self)

    def now(self) -> datetime:
        """Return the clock by which relative ranges resolve, in UTC."""
        return self.source.now()

    def fetch(
        self, *queries: Query[Any], dtype_backend: DtypeBackend | None = None, categorical: bool = False
    ) -> dict[str, pd.DataFrame]:
        """Ask several questions at once, as of one moment.

        Args:
            queries: The questions; whomever they were started from, this one is asked.
            dtype_backend: ``"numpy_nullable"`` or ``"pyarrow"``, as in pandas.
            categorical: Group levels as categories of the values seen.

        Returns:
            Name → frame, in the order asked; equal questions without a name go out once.

        Raises:
            QueryError: A question is wrong, or two have one name.
        """
        now = self.now()
        return self._fetch(queries, now, dtype_backend=dtype_backend, categorical=categorical, advised=queries)

    def _fetch(
        self,
        queries: Sequence[Query[Any]],
        now: datetime,
        *,
        dtype_backend: DtypeBackend | None,
        categorical: bool,
        advised: Sequence[Query[Any]],
    ) -> dict[str, pd.DataFrame]:
        from vapi_frames.frames import build, check_options

        check_options(dtype_backend, categorical)
        named = self._prepare(queries, now, advised)
        answers = self.source.answer(list(named.values()), now)
        frames = {
            name: build(
                answer,
                query,
                source=self.source.kind,
                now=now,
                dtype_backend=dtype_backend,
                categorical=categorical,
                units=self._units,
            )
            for (name, query), answer in zip(named.items(), answers, strict=True)
        }
        asked = {(one.operation, one.column) for query in named.values() for one in query.measures}
        if asked >= {("sum", "duration"), ("sum", "minutesUsed")}:
            from vapi_frames.analysis.unitcheck import check_minutes

            check_minutes(frames.values())
        return frames

    def dashboard(
        self, last: str = "30d", *, step: Step = "day", tz: str | None = None, complete: bool = False
    ) -> dict[str, pd.DataFrame]:
        """Ask the eleven questions of the vendor's own dashboard in one request.

        Args:
            last: How much before now, as in `Query.last`.
            step: The step of the frames over time.
            tz: The zone of the calendar; UTC by default.
            complete: Only whole buckets of the step.

        Returns:
            Name → frame, each ready for ``.vapi.plot()``: ``kpis`` (one row: minutes, calls, spend, cost per call,
            which are the totals of the others); over time ``costParts``, ``duration``, ``averageCost``, ``types``; over
            the whole range ``endedReasons``, ``assistants``, ``averageDuration``, ``minutes``, ``spend``, ``success``,
            ``costProviders``.

        Examples:
            >>> import vapi_frames as vf
            >>> dashboard = vf.demo().dashboard("30d")
            >>> dashboard["kpis"].round(2)
               sumDuration  countId  sumCost  sumCostPerCall
            0     16435.01    13042  2002.41            0.15
        """
        from vapi_frames.dashboard import kpis, questions

        now = self.now()
        ranged = self.call() if tz is None else self.call().tz(tz)
        ranged = ranged.last(last, complete=complete)
        if complete:  # whole buckets of the step are the range of those without one, too
            ranged = ranged.between(*ranged.step(step).instants(now))
        asked = list(questions(ranged, step).values())
        frames = self._fetch(asked, now, dtype_backend=None, categorical=False, advised=asked)
        return {"kpis": kpis(frames), **frames}

    def compare(
        self, comparison: Comparison, *, dtype_backend: DtypeBackend | None = None, categorical: bool = False
    ) -> pd.DataFrame:
        """Ask for both periods of *comparison* in one request; see `Comparison.fetch`."""
        from vapi_frames.analysis.compare import side_by_side

        if not isinstance(comparison, Comparison):
            raise QueryError(f"compare takes a comparison, vq.call()....compare(...), not {type(comparison).__name__}")
        now = self.now()
        both = comparison.queries(now)
        # What is said of the question need not be said of its other period.
        lint.warn_once(both[0], now)
        frames = self._fetch(both, now, dtype_backend=dtype_backend, categorical=categorical, advised=())
        present, before = frames.values()
        return side_by_side(present, before, comparison, comparison.periods(now))

    def to_arrow(self, query: Query[Any]) -> pa.Table:
        """Ask one question, and return the answer as an Arrow table, sorted."""
        from vapi_frames.frames import sorted_table

        now = self.now()
        named = self._prepare([query], now, [query])
        [answer] = self.source.answer(list(named.values()), now)
        return sorted_table(answer, query)

    def _prepare(
        self, queries: Sequence[Query[Any]], now: datetime, advised: Sequence[Query[Any]]
    ) -> dict[str, Query[Any]]:
        if not queries:
            raise QueryError("nothing to fetch: pass at least one query, e.g. vq.call().count()")
        for query in queries:
            if not isinstance(query, Query):
                raise QueryError(f"fetch takes queries, not {type(query).__name__}; start one with vq.call()")
        named: dict[str, Query[Any]] = {}
        for query in queries:
            if query in advised:
                lint.warn_once(query, now)
            name: str = wire.compile_query(query, now)["name"]
            if name in named and query.title is not None:
                raise QueryError(f"two queries are named {name!r}; an answer is known by its name")
            named[name] = query
        return named

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            verb = not name.startswith("_") and hasattr(Query, name)
            hint = f"; start with .call() or .subscription(): vq.call().{name}(...)" if verb else ""
            raise AttributeError(f"a Vq has no {name!r}{hint}", name=name, obj=self)

    def __repr__(self) -> str:
        return f"<vq asking {self.source!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a vq is not pickled, for it may hold a key or a connection; make another where it is needed")


def connect(
    token: str | None = None,
    *,
    base_url: str = BASE_URL,
    timeout: float | tuple[float, float] = (5.0, 60.0),
    units: Mapping[str, str] | None = None,
) -> Vq:
    """Return a `Vq` that asks the Vapi API.

    Args:
        token: The organisation's private key; by default ``VAPI_API_KEY``, else ``VAPI_TOKEN``, read at each request.
        base_url: Where ``POST /analytics`` is served: https://, or http:// on this machine, which no proxy sees.
        timeout: Seconds to wait for a connection, and between two pieces of a reply; or one number for both.
        units: In which unit a column comes, where it is not the documented one: ``{"duration": "s"}``.

    Raises:
        QueryError: An argument cannot be it, or *base_url* would send the key in the clear.
    """
    from vapi_frames.sources.api import ApiSource, Hidden

    units = check_units(units)
    token = Hidden(token) if isinstance(token, str) else token  # should an argument be wrong, tracebacks hide it
    source = ApiSource(token, base_url=base_url, timeout=timeout)
    return Vq(lambda: source, units=units)


def _api() -> Source:
    from vapi_frames.sources.api import ApiSource

    return ApiSource()


vq = Vq(_api)
"""Asks the API, with the key of ``VAPI_API_KEY`` (or ``VAPI_TOKEN``), read when it fetches."""


def local(
    calls: pd.DataFrame | pa.Table | Sequence[dict[str, Any]] | str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    duplicates: Literal["keep", "first", "raise"] = "keep",
    on_error: Literal["raise", "skip"] = "raise",
    now: datetime | str | None = None,
) -> Vq:
    """Return a `Vq` that answers from call records on this machine, with an embedded DuckDB.

    Args:
        calls: A DataFrame or Arrow table of call records, a list of call JSON, or files of Parquet or JSON: a path, a
            folder, a glob, or several. Call JSON is what ``GET /call`` returns, pages of it, or the reports that are
            sent when a call is over. Columns are the API's, nested, or flat with dots or underscores
            (``costBreakdown.llm``, ``costBreakdown_llm``); a column that a question does not use may be missing.
        duplicates: What becomes of a record with the id of an earlier one: it is counted, too (``"keep"``), left out
            (``"first"``), or an error (``"raise"``).
        on_error: What becomes of call JSON that cannot be read: an error (``"raise"``), or left out and counted in
            ``df.vapi.meta.notes`` (``"skip"``).
        now: Its clock, for relative ranges; the wall clock by default.

    Raises:
        RecordsError: *calls* is none of these, no file matches, or a call in a list cannot be read.
        MissingExtraError: DuckDB is not installed.

    Examples:
        >>> import vapi_frames as vf
        >>> calls = [{"id": "1", "createdAt": "2026-10-01T12:00:00Z", "cost": 0.25}]
        >>> vf.local(calls).call().sum("cost").during("2026-10").fetch()
           sumCost
        0     0.25
    """
    from vapi_frames.sources.calls import CallsSource

    clock = None if now is None else timerange.clock(now)
    source = CallsSource(calls, duplicates=duplicates, on_error=on_error, now=clock)
    return Vq(lambda: source)


def warehouse(
    connection: Any,
    table: str | Sequence[str],
    *,
    dialect: str | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    now: datetime | str | None = None,
) -> Vq:
    """Return a `Vq` that answers from a table of call records in a warehouse; only aggregated rows travel.

    Args:
        connection: A Spark session, or any connection of Python's database API (PEP 249).
        table: The table's name, with dots between its parts (``"sales.calls"``), or the parts as a tuple where they
            hold dots themselves. It is always quoted: write it as the engine stores it.
        dialect: Whose SQL it is: ``"spark"``, ``"databricks"``, ``"postgres"``, ``"clickhouse"``, ``"duckdb"``,
            ``"bigquery"``, ``"snowflake"`` or ``"trino"``. A Spark session needs none.
        columns: Column of the API → column of the table, where the table calls it otherwise; or a tuple of the
            table's column and the way into what is nested there. ``"variableValues.<key>"`` names a variable.
        now: Its clock, for relative ranges; the wall clock by default.

    Raises:
        QueryError: An argument cannot be it.
        UnknownWordError: There is no such dialect, or the API has no such column.
        MissingExtraError: sqlglot is not installed.

    Examples:
        >>> import duckdb, vapi_frames as vf
        >>> connection = duckdb.connect()
        >>> _ = connection.execute("CREATE TABLE calls (id TEXT, created TIMESTAMP, usd DOUBLE)")
        >>> _ = connection.execute("INSERT INTO calls VALUES ('1', '2026-10-01 12:00:00', 0.25)")
        >>> names = {"createdAt": "created", "cost": "usd"}
        >>> vq = vf.warehouse(connection, "calls", dialect="duckdb", columns=names)
        >>> vq.call().sum("cost").during("2026-10").fetch()
           sumCost
        0     0.25
    """
    from vapi_frames.sources.warehouse import WarehouseSource

    clock = None if now is None else timerange.clock(now)
    source = WarehouseSource(connection, table, dialect=dialect, columns=columns, now=clock)
    return Vq(lambda: source)


def demo() -> Vq:
    """Return a `Vq` over a realistic sample organisation; no key, no network. Its clock stands at the end of its data.

    The records are those of `vapi_frames.sample_calls`: the same on every machine.
    """
    from vapi_frames.sample import sample_calls
    from vapi_frames.sources.calls import CallsSource

    source = CallsSource(sample_calls(), now=datetime(2026, 11, 16, tzinfo=UTC))
    return Vq(lambda: source)
