"""`Vq`: starts questions and asks them, of whoever it was made for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, cast

from vapi_frames.calendar.ranges import AbsoluteRange
from vapi_frames.errors import PartialResultError, QueryError
from vapi_frames.query import lint
from vapi_frames.query.comparison import Comparison
from vapi_frames.query.compile import compile_query
from vapi_frames.query.query import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from os import PathLike

    import pandas as pd
    import pyarrow as pa

    from vapi_frames.contract.vocabulary import CallColumn, Step, SubscriptionColumn
    from vapi_frames.query.spec import DtypeBackend, ProgressOption
    from vapi_frames.result.result import Result
    from vapi_frames.sources import Source
    from vapi_frames.sources.archive.archive import ArchiveSummary
    from vapi_frames.sources.http.connection import Connection

__all__ = ["Vq"]


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
        self._assistants: dict[str, str] | None = None

    @property
    def source(self) -> Source:
        """Whom it asks."""
        if self._source is None:
            self._source = self._make_source()
        return self._source

    def call(self) -> Query[CallColumn]:
        """Start a question about calls.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().call().count()
            vq.call().count()
        """
        return Query(table="call", vq=self)

    def subscription(self) -> Query[SubscriptionColumn]:
        """Start a question about the subscription: concurrency and minutes used.

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
            >>> vf.demo().now().isoformat()  # that of the sample stands still
            '2026-11-16T00:00:00+00:00'
        """
        return self.source.now()

    def fetch(
        self,
        *queries: Query[Any],
        dtype_backend: DtypeBackend | None = None,
        categorical: bool = False,
        progress: ProgressOption = None,
    ) -> dict[str, pd.DataFrame]:
        """Ask several questions at once, as of one moment; of the API, by as few requests as are right.

        Args:
            queries: The questions; whomever they were started from, this one is asked.
            dtype_backend: ``"numpy_nullable"`` or ``"pyarrow"``, as in pandas.
            categorical: Group levels as categories of the values seen.
            progress: As in `Query.fetch`.

        Returns:
            Name → frame, in the order asked; equal questions without a name go out once.

        Raises:
            QueryError: A question is wrong, or two have one name.
            SourceError: Nobody answered.
            ResponseError: An answer breaks the contract.
            PartialResultError: Some of the answers did not arrive, or not whole.

        Examples:
            >>> import vapi_frames as vf
            >>> vq = vf.demo()
            >>> spend, calls = vq.call().sum("cost").named("spend"), vq.call().count().named("calls")
            >>> {name: frame.shape for name, frame in vq.fetch(spend, calls).items()}
            {'spend': (1, 1), 'calls': (1, 1)}
        """
        return self._fetch(
            queries, self.now(), queries, dtype_backend=dtype_backend, categorical=categorical, progress=progress
        )

    def _fetch(
        self,
        queries: Sequence[Query[Any]],
        now: datetime,
        advised: Sequence[Query[Any]],
        *,
        progress: ProgressOption = None,
        **options: Any,
    ) -> dict[str, pd.DataFrame]:
        from vapi_frames.frames.build import check_options

        check_options(**options)
        named = self._prepare(queries, now, advised)
        answers = self._answers(named, now, progress=progress, **options)
        frames = self._frames(named, answers, now, **options)
        asked = {(one.operation, one.column) for query in named.values() for one in query.measures}
        if asked >= {("sum", "duration"), ("sum", "minutesUsed")}:
            from vapi_frames.frames.unit_check import check_minutes

            check_minutes(frames.values())
        return frames

    def _answers(
        self, named: Mapping[str, Query[Any]], now: datetime, *, progress: ProgressOption = None, **options: Any
    ) -> list[Result]:
        """Return an answer to each question, or raise what did arrive."""
        from vapi_frames.frames.origin import add_note
        from vapi_frames.sources import IncompleteError, format_ranges
        from vapi_frames.sources.progress import showing

        try:
            with showing(progress):
                return self.source.answer(list(named.values()), now)
        except IncompleteError as error:
            incomplete, cause = error, error.__cause__
        some = {}
        for (name, query), answer, ranges in zip(named.items(), incomplete.results, incomplete.missing, strict=True):
            if answer is not None:
                note = f"did not arrive: {format_ranges(ranges)}" if ranges else ""
                frame = self._frames({name: query}, [answer], now, **options)[name]
                some[name] = add_note(frame, note, is_incomplete=True) if note else frame
        missing = [
            (name, query, span)
            for (name, query), spans in zip(named.items(), incomplete.missing, strict=True)
            for span in spans
        ]
        raise PartialResultError(
            str(incomplete),
            frames=some,
            frame=some.get(missing[0][0]),
            missing=[span for _, _, span in missing],
            rest=[replace(query, time_range=AbsoluteRange(*span), title=None, vq=self) for _, query, span in missing],
        ) from cause

    def _frames(
        self, named: Mapping[str, Query[Any]], answers: Sequence[Result], now: datetime, **options: Any
    ) -> dict[str, pd.DataFrame]:
        from vapi_frames.frames.build import build

        return {
            name: build(answer, query, source=self.source.kind, now=now, units=self._units, **options)
            for (name, query), answer in zip(named.items(), answers, strict=True)
        }

    def dashboard(
        self,
        last: str = "30d",
        *,
        step: Step = "day",
        tz: str | None = None,
        complete: bool = False,
        progress: ProgressOption = None,
    ) -> dict[str, pd.DataFrame]:
        """Ask the eleven questions of the vendor's own dashboard in one request.

        Args:
            last: How much before now, as in `Query.last`.
            step: The step of the frames over time.
            tz: The zone of the calendar; UTC by default.
            complete: Only whole buckets of the step.
            progress: As in `Query.fetch`.

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
        from vapi_frames.interface.dashboard import build_kpis, build_queries

        now = self.now()
        ranged = self.call() if tz is None else self.call().tz(tz)
        ranged = ranged.last(last, complete=complete)
        if complete:  # whole buckets of the step are the range of those without one, too
            ranged = ranged.between(*ranged.step(step).instants(now))
        asked = list(build_queries(ranged, step).values())
        frames = self._fetch(asked, now, asked, progress=progress)
        return {"kpis": build_kpis(frames), **frames}

    def compare(
        self,
        comparison: Comparison,
        *,
        dtype_backend: DtypeBackend | None = None,
        categorical: bool = False,
        progress: ProgressOption = None,
    ) -> pd.DataFrame:
        """Ask for both periods of *comparison* in one request; see `Comparison.fetch`.

        Returns:
            The frame of `Comparison.fetch`.

        Raises:
            QueryError: It is no comparison, or the question is wrong.
            SourceError: Nobody answered.

        Examples:
            >>> import vapi_frames as vf
            >>> vq = vf.demo()
            >>> comparison = vq.call().sum("cost").between("2026-11-09", "2026-11-16").compare("previous")
            >>> vq.compare(comparison).round(2)
               sumCost  sumCostBefore  sumCostDelta  sumCostPercent
            0   464.84         512.82        -47.98           -9.36
        """
        from vapi_frames.frames.side_by_side import compare_frames

        if not isinstance(comparison, Comparison):
            raise QueryError(f"compare takes a comparison, vq.call()....compare(...), not {type(comparison).__name__}")
        now = self.now()
        both = cast("tuple[Query[Any], Query[Any]]", comparison.queries(now))
        # What is said of the question need not be said of its other period.
        lint.warn_once(both[0], now)
        frames = self._fetch(both, now, (), dtype_backend=dtype_backend, categorical=categorical, progress=progress)
        present, before = frames.values()
        return compare_frames(present, before, comparison, comparison.periods(now))

    def assistants(self) -> pd.Series[str]:
        """Return the names of the organization's assistants by id, for ``df.vapi.label``; the API is asked once.

        Of a key that may not list them there are none, with a `ResponseWarning`. An assistant without a name, or one
        that was deleted, is not among them.

        Raises:
            QueryError: It is not the API that is asked.
            SourceError: Nobody answered.
            ResponseError: The reply is no list of assistants.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().assistants()
            Traceback (most recent call last):
            ...
            vapi_frames.errors.QueryError: only the API has names of assistants, and this vq asks ...
        """
        import pandas as pd

        from vapi_frames.sources.api.assistants import assistants

        hint = "give .label(...) names of your own, {id: name}, or those of vf.connect().assistants()"
        connection = self._connection("names of assistants", hint)
        if self._assistants is None:
            self._assistants = assistants(connection, now=self.now())
        names = self._assistants or {}
        index = pd.Index(list(names), dtype="str", name="assistantId")
        return pd.Series(list(names.values()), index=index, dtype="str", name="assistantName")

    def archive(
        self,
        folder: str | PathLike[str],
        *,
        since: object = None,
        until: object = None,
        transcripts: bool = False,
        recordings: bool = False,
        progress: ProgressOption = None,
    ) -> ArchiveSummary:
        """Keep call records of the API in *folder*, a Parquet file for each UTC day, for `vapi_frames.local`.

        Asked again, it asks only for the days that were not over, and adds what is new. What is kept are the columns
        that questions use: no transcript, no message, no number of a phone, unless a variable of yours holds one.

        Args:
            folder: Where the files are; it is made where there is none.
            since: A moment of the first day, as in `Query.since`, in UTC; by default the first day that is not done; in
                a new archive the day 14 days ago.
            until: The moment before which the last day begins; by default now.
            transcripts: Keep transcripts and summaries, too.
            recordings: Keep the addresses of recordings, too.
            progress: As in `Query.fetch`; the pieces are days.

        Raises:
            QueryError: It is not the API that is asked, or an argument cannot be it.
            SourceError: Nobody answered; the days before are kept.
            ResponseError: A reply is no list of calls; or a call could not be read, after all others were kept.
            RecordsError: Another run is at it, or a file with the name of a day is not of an archive.
            OSError: It cannot be written.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().archive("calls")
            Traceback (most recent call last):
            ...
            vapi_frames.errors.QueryError: only the API has calls to archive, and this vq asks ...
        """
        from vapi_frames.sources.archive.archive import archive
        from vapi_frames.sources.progress import showing

        connection = self._connection("calls to archive", "call records can be asked where they are")
        with showing(progress):
            return archive(
                connection, folder, since=since, until=until, now=self.now(), transcripts=transcripts,
                recordings=recordings,
            )  # fmt: skip

    def _connection(self, what: str, hint: str) -> Connection:
        """Return the connection to the API, or raise `QueryError` if this vq has none."""
        from vapi_frames.sources.api.source import ApiSource

        found = self.source.client.connection if isinstance(self.source, ApiSource) else None
        if found is None:
            raise QueryError(f"only the API has {what}, and this vq asks {self.source!r}: {hint}")
        return found

    def to_arrow(self, query: Query[Any]) -> pa.Table:
        """Ask one question, and return the answer as an Arrow table, sorted.

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
        named = self._prepare([query], now, [query])
        [answer] = self._answers(named, now)
        return sort_table(answer, query)

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
            name: str = compile_query(query, now)["name"]
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
