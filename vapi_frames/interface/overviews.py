"""Many queries at once: the vendor's dashboard as frames, and a report as one page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    import pandas as pd

    from vapi_frames.contract.vocabulary import CallColumn, Step, SubscriptionColumn
    from vapi_frames.query.filters import FilterValues
    from vapi_frames.query.query import Query
    from vapi_frames.query.spec import ProgressOption
    from vapi_frames.report.report import Report
    from vapi_frames.sources import Source

__all__ = ["Overviews"]


class Overviews:
    """What a `Vq` fetches by many queries in one request."""

    if TYPE_CHECKING:  # what a Vq has
        _names: Mapping[str, str] | None

        @property
        def source(self) -> Source: ...  # noqa: D102
        def now(self) -> datetime: ...  # noqa: D102
        def call(self) -> Query[CallColumn]: ...  # noqa: D102
        def subscription(self) -> Query[SubscriptionColumn]: ...  # noqa: D102
        def _fetch(
            self, queries: Sequence[Query[Any]], now: datetime, linted: Sequence[Query[Any]], **options: Any
        ) -> dict[str, pd.DataFrame]: ...

    def dashboard(
        self,
        last: str = "30d",
        *,
        step: Step = "day",
        tz: str | None = None,
        complete: bool = False,
        as_index: bool = True,
        progress: ProgressOption = None,
    ) -> dict[str, pd.DataFrame]:
        """Fetch the eleven queries of the vendor's own dashboard in one request.

        Args:
            last: How much before now, as in `Query.last`.
            step: The step of the frames over time.
            tz: The zone of the calendar; UTC by default.
            complete: Only whole buckets of the step.
            as_index: As in `Query.fetch`.
            progress: As in `Query.fetch`.

        Returns:
            Name → frame, each ready for ``.vapi.plot()``: ``kpis`` (one row: minutes, calls, spend, cost per call,
            which are the totals of the others); over time ``costParts``, ``duration``, ``averageCost``, ``types``; over
            the whole range ``endedReasons``, ``assistants``, ``averageDuration``, ``minutes``, ``spend``, ``success``,
            ``costProviders``. The parts of the cost are those of the contract, from call records all that they have.

        Examples:
            >>> import vapi_frames as vf
            >>> dashboard = vf.demo().dashboard("30d")
            >>> dashboard["kpis"].round(2)
               sumDuration  countId  sumCost  sumCostPerCall
            0     16435.01    13042  2002.41            0.15
        """
        from vapi_frames.interface.dashboard import build_kpis, build_queries
        from vapi_frames.sources.api.source import ApiSource

        now = self.now()
        query = self.call() if tz is None else self.call().tz(tz)
        query = query.last(last, complete=complete)
        if complete:  # whole buckets of the step are the range of those without one, too
            query = query.between(*query.step(step).instants(now))
        queries = list(build_queries(query, step, has_records=not isinstance(self.source, ApiSource)).values())
        frames = self._fetch(queries, now, queries, as_index=as_index, progress=progress)
        return {"kpis": build_kpis(frames), **frames}

    def report(
        self,
        last: str = "30d",
        *,
        compare: str | None = "previous",
        names: Mapping[str, str] | pd.Series | None = None,
        title: str | None = None,
        tz: str | None = None,
        step: Step = "day",
        complete: bool = False,
        success: FilterValues | Iterable[str] = None,
        progress: ProgressOption = None,
    ) -> Report:
        """Return one page about a range of calls, to be looked at in a notebook, or saved and handed on.

        Args:
            last: How much before now, as in `Query.last`.
            compare: The earlier period, as in `Query.compare`; ``None`` for no comparison.
            names: The id of an assistant → its name, e.g. `assistants`; the sample has its own by default.
            title: The heading of the page.
            tz: The zone of the calendar; UTC by default.
            step: The step of the charts over time.
            complete: Only whole buckets of the step.
            success: The evaluations that are a success, as in ``df.vapi.success_rate``, for a rubric of your own.
            progress: As in `Query.fetch`.

        Raises:
            QueryError: An argument is wrong.
            SourceError: There was no reply, or the vq is closed.
            MissingExtraError: matplotlib is not installed.

        Examples:
            >>> import vapi_frames as vf
            >>> report = vf.demo().report("14d", title="Two weeks")
            >>> [section.title for section in report.sections][:3]
            ['Cost by part', 'Calls by type', 'Why calls ended, by fault']
            >>> report.save("report.html")  # doctest: +SKIP
        """
        from vapi_frames.report.build import build_report
        from vapi_frames.report.charts import check_matplotlib
        from vapi_frames.sources.api.source import ApiSource

        check_matplotlib()  # before anything is sent
        now = self.now()
        return build_report(
            self.call(), self.subscription(), lambda queries: self._fetch(queries, now, (), progress=progress), now,
            last=last, tz=tz, step=step, complete=complete, compare=compare, success=success, title=title,
            names=self._names if names is None else names,
            has_records=not isinstance(self.source, ApiSource),
        )  # fmt: skip
