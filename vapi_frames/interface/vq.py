"""`Vq`: starts queries and fetches them from its source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Self

from vapi_frames.display import UnknownAttributeError, show_html
from vapi_frames.errors import QueryError, SourceError, format_value
from vapi_frames.interface.api_verbs import ApiVerbs
from vapi_frames.interface.fetch import fetch_frames, fetch_results, name_queries
from vapi_frames.interface.overviews import Overviews
from vapi_frames.query.attributes import call_frame_verb
from vapi_frames.query.query import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import pandas as pd
    import pyarrow as pa

    from vapi_frames.contract.vocabulary import CallColumn, SubscriptionColumn
    from vapi_frames.query.comparison import Comparison
    from vapi_frames.query.spec import DtypeBackend, ProgressOption
    from vapi_frames.sources import Source

__all__ = ["Vq"]


class Vq(ApiVerbs, Overviews):
    """Starts queries and fetches them: from the API, call records, a warehouse or a recording.

    Examples:
        >>> import vapi_frames as vf
        >>> vf.demo().call().sum("cost").count().during("2026-10").fetch().round(2)
           sumCost  countId
        0  2142.22    13495
    """

    def __init__(
        self,
        make_source: Callable[[], Source],
        *,
        units: Mapping[str, str] | None = None,
        on_close: Callable[[], object] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        # Made when it is first used: the sources import packages that `import vapi_frames` must not.
        self._make_source: Callable[[], Source] | None = make_source
        self._source: Source | None = None
        self._on_close = on_close
        self._names = names
        self.units = dict(units or {})

    @property
    def source(self) -> Source:
        """The source of its results.

        Raises:
            SourceError: The vq is closed.
        """
        if self._source is None:
            if self._make_source is None:
                raise SourceError("this vq is closed: make another one, e.g. with vf.connect()")
            self._source = self._make_source()
        return self._source

    def close(self) -> None:
        """Close the connections to the API, and release call records; a later fetch raises `SourceError`.

        A ``with`` statement does the same. A connection that you passed to `vapi_frames.warehouse` stays open. To
        close a vq twice does nothing.

        Examples:
            >>> import vapi_frames as vf
            >>> with vf.demo() as vq:
            ...     int(vq.call().count().during("2026-10").fetch()["countId"].item())
            13495
            >>> vq.call().count().fetch()
            Traceback (most recent call last):
            ...
            vapi_frames.errors.SourceError: this vq is closed: make another one, e.g. with vf.connect()
        """
        source, self._source, self._make_source = self._source, None, None
        on_close, self._on_close = self._on_close, None
        if source is not None:
            source.close()
        if on_close is not None:
            on_close()

    def __enter__(self) -> Self:
        if self._make_source is None:
            raise SourceError("this vq is closed: make another one, e.g. with vf.connect()")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self) -> Query[CallColumn]:
        """Start a query about calls.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().call().count()
            vq.call().count()
        """
        return Query(table="call", vq=self)

    def subscription(self) -> Query[SubscriptionColumn]:
        """Start a query about the subscription: concurrency and minutes used.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().subscription().max("concurrency").during("2026-10").fetch()["maxConcurrency"].tolist()
            [8.0]
        """
        return Query(table="subscription", vq=self)

    def now(self) -> datetime:
        """Return the clock by which relative ranges resolve, in UTC.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().now().isoformat()  # the clock of the sample is fixed
            '2026-11-16T00:00:00+00:00'
        """
        return self.source.now()

    def fetch(
        self,
        *queries: Query[Any],
        dtype_backend: DtypeBackend | None = None,
        categorical: bool = False,
        as_index: bool = True,
        progress: ProgressOption = None,
    ) -> dict[str, pd.DataFrame]:
        """Fetch several queries, relative to one instant; from the API, by as few requests as possible.

        Args:
            queries: The queries; they are fetched from this source, also if another vq started them.
            dtype_backend: ``"numpy_nullable"`` or ``"pyarrow"``, as in pandas.
            categorical: Group levels as categories of the values seen.
            as_index: Whether the levels are the index; ``False`` makes them the first columns, as in pandas.
            progress: As in `Query.fetch`.

        Returns:
            Name → frame, in the order of the queries; equal queries without a name are fetched once.

        Raises:
            QueryError: A query is wrong, or two have one name.
            SourceError: There was no reply, or the vq is closed.
            ResponseError: A reply breaks the contract.
            PartialResultError: Some of the results did not arrive, or not completely.

        Examples:
            >>> import vapi_frames as vf
            >>> vq = vf.demo()
            >>> spend, calls = vq.call().sum("cost").named("spend"), vq.call().count().named("calls")
            >>> {name: frame.shape for name, frame in vq.fetch(spend, calls).items()}
            {'spend': (1, 1), 'calls': (1, 1)}
        """
        options: dict[str, Any] = {"dtype_backend": dtype_backend, "categorical": categorical, "as_index": as_index}
        return self._fetch(queries, self.now(), queries, progress=progress, **options)

    def _fetch(
        self, queries: Sequence[Query[Any]], now: datetime, linted: Sequence[Query[Any]], **options: Any
    ) -> dict[str, pd.DataFrame]:
        return fetch_frames(self, name_queries(queries, now, linted), now, **options)

    def compare(
        self,
        comparison: Comparison,
        *,
        dtype_backend: DtypeBackend | None = None,
        categorical: bool = False,
        as_index: bool = True,
        progress: ProgressOption = None,
    ) -> pd.DataFrame:
        """Fetch both periods of *comparison* in one request; see `Comparison.fetch`.

        Returns:
            The frame of `Comparison.fetch`.

        Raises:
            QueryError: It is not a comparison, or the query is wrong.
            SourceError: There was no reply, or the vq is closed.

        Examples:
            >>> import vapi_frames as vf
            >>> vq = vf.demo()
            >>> comparison = vq.call().sum("cost").between("2026-11-09", "2026-11-16").compare("previous")
            >>> vq.compare(comparison).round(2)
               sumCost  sumCostBefore  sumCostDelta  sumCostPercent
            0   464.84         512.82        -47.98           -9.36
        """
        from vapi_frames.interface.fetch import fetch_comparison

        options: dict[str, Any] = {"dtype_backend": dtype_backend, "categorical": categorical, "progress": progress}
        return fetch_comparison(self, comparison, as_index=as_index, **options)

    def download(self, last: str = "7d", *, customers: bool = False, progress: ProgressOption = None) -> Vq:
        """Return a `Vq` of the call records that the API still lists, paged once, for as long as it is open.

        It has the results of `vapi_frames.local`: also what the API cannot compute, such as filters, from the records
        as they were. Its clock is fixed at the time of the download. They are in a temporary file that only you can
        read; closing the vq removes it, and so does the end of Python. For records that last, use `archive`.

        Args:
            last: How much before now, as in `Query.last`; on the pay-as-you-go plan the API lists 14 days.
            customers: Keep ``customer``, and the variables that the API itself makes of it, too.
            progress: As in `Query.fetch`; the pieces are parts of the range.

        Raises:
            QueryError: This vq does not fetch from the API, or an argument is wrong.
            SourceError: There was no reply; no record is kept.
            ResponseError: A reply is not a list of calls, or not the whole of it.
            MissingExtraError: DuckDB is not installed.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().download("7d")
            Traceback (most recent call last):
            ...
            vapi_frames.errors.QueryError: only the API has calls to download, and this vq fetches from ...
        """
        from vapi_frames.calendar.ranges import fill_defaults
        from vapi_frames.sources.archive.download import download
        from vapi_frames.sources.local.engine import start_database
        from vapi_frames.sources.progress import showing

        connection = self._connection("calls to download", "query its call records directly")
        if not isinstance(customers, bool):
            raise QueryError(f"customers must be True or False, not {format_value(customers)}")
        query, now = self.call().last(last), self.now()
        start_database()  # raises before anything is sent
        with showing(progress):
            source = download(connection, fill_defaults(query.instants(now), now), now, customers=customers)
        return Vq(lambda: source)

    def to_arrow(self, query: Query[Any]) -> pa.Table:
        """Fetch one query as a sorted Arrow table.

        Returns:
            The columns of `Query.to_arrow`; it raises what `fetch` does.

        Examples:
            >>> import vapi_frames as vf
            >>> vq = vf.demo()
            >>> vq.to_arrow(vq.call().count().by("type").during("2026-10")).column_names
            ['type', 'countId']
        """
        from vapi_frames.result.ordering import sort_table

        now = self.now()
        [result] = fetch_results(self, name_queries([query], now, [query]), now)
        return sort_table(result, query)

    def drill(
        self, query: Query[Any], columns: Sequence[str] | None = None, *, limit: int | None = 100_000
    ) -> pd.DataFrame:
        """Return the calls that *query* counts, from this source.

        Args:
            query: The query.
            columns: As in `Query.drill`.
            limit: As in `Query.drill`.

        Returns:
            The frame of `Query.drill`.

        Raises:
            QueryError: It is no query of calls, or an argument is wrong.
            RecordsError: The records have no such column, or a value cannot be read.
            SourceError: The source has no calls, or could not return them; or the vq is closed.

        Examples:
            >>> import vapi_frames as vf
            >>> vq = vf.demo()
            >>> len(vq.drill(vq.call().count().during("2026-10-05")))
            516
        """
        from vapi_frames.interface.drill import drill_query

        if not isinstance(query, Query):
            raise QueryError(f"drill takes a query, not {type(query).__name__}; start one with vq.call()")
        return drill_query(self, query, columns, limit)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            verb = not name.startswith("_") and hasattr(Query, name)
            hint = f"; start with .call() or .subscription(): vq.call().{name}(...)" if verb else ""
            if call := call_frame_verb(name):
                hint = f"; fetch a query first, then {call}"
            elif name == "query":
                hint = "; a query starts with vq.call() or vq.subscription()"
            raise UnknownAttributeError(f"a Vq has no {name!r}{hint}", name=name, obj=self)

    def __repr__(self) -> str:
        return "<vq, closed>" if self._make_source is None else f"<vq of {self.source!r}>"

    _repr_html_ = show_html

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Vq cannot be pickled, it may hold a key or a connection: make one in the other process")
