"""``df.vapi``: a thin face on the verbs; it keeps no state, because pandas may make a new one at each access."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from vapi_frames.display import show_html
from vapi_frames.errors import ProvenanceError, QueryError
from vapi_frames.interface.source_verbs import SourceVerbs
from vapi_frames.interface.verbs import Verbs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from vapi_frames.contract.vocabulary import CallColumn, SubscriptionColumn
    from vapi_frames.frames.meta import Meta
    from vapi_frames.interface.connect import Vq
    from vapi_frames.query.query import Query

__all__ = ["VapiAccessor", "frame"]

_ATTRIBUTE = "vapi"


@pd.api.extensions.register_dataframe_accessor("vapi")
class VapiAccessor(Verbs, SourceVerbs):
    """What a frame knows and can do, under ``df.vapi``.

    On a frame that was fetched, `meta`, `units`, `query`, `partial`, `elapsed`, `describe` and `explain` say what it
    is. `rollup`, `fill_gaps`, `drop_partial`, `top`, `share`, `ratio`, `per_minute`, `per_call`, `success_rate`,
    `change`, `outcome`, `outcome_rate`, `label`, `reconcile`, `typical_week` and `wide` return a new frame; each is
    also a function of `vapi_frames.analysis`, for ``df.pipe``. `with_units`, `style` and `for_excel` make tables for
    readers. `drill` shows the calls behind the rows. `plot` draws the frame, `save` writes it, and `refresh` fetches
    it again. On a frame of call records, `call` and `subscription` start a query of that frame.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").by("type").step("month").during("2026-10").fetch()
        >>> df.vapi.units
        {'sumCost': 'USD'}
        >>> df.vapi.wide("cost").round(2)
        type                       inboundPhoneCall  outboundPhoneCall  webCall
        date
        2026-10-01 00:00:00+00:00           1152.42             576.42   413.38
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        if _ATTRIBUTE not in frame.attrs and not _holds_calls(frame):
            raise ProvenanceError(
                ".vapi works on two kinds of frame: one that was fetched with this package (its df.attrs say so; "
                "concat, merge and pivot may drop them), and call records, which have a column 'createdAt' or "
                '\'created_at\'; where it has another name: vf.local(frame, columns={"createdAt": "<theirs>"}). '
                f"This one has the columns {', '.join(map(str, frame.columns[:8]))}"
            )
        self._frame = frame

    # --- a frame that was fetched -------------------------------------------------------------------------------

    @property
    def meta(self) -> Meta:
        """What the frame knows: source, body, range, zone, units, time of the fetch.

        Raises:
            ProvenanceError: It knows nothing: it was not fetched, or a step of pandas dropped ``df.attrs``.

        Examples:
            >>> import vapi_frames as vf
            >>> meta = vf.demo().call().count().step("day").during("2026-10").fetch().vapi.meta
            >>> meta.source, meta.step, meta.zone, meta.start.isoformat()
            ('calls', 'day', 'UTC', '2026-10-01T00:00:00+00:00')
        """
        from vapi_frames.frames.meta import read_meta

        return read_meta(self._frame)

    @property
    def units(self) -> dict[str, str]:
        """Column → unit, for the measures that the frame still has.

        Raises:
            ProvenanceError: The values of a measure were changed, so that its unit may be another.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().call().sum("cost").avg("duration").during("2026-10").fetch().vapi.units
            {'sumCost': 'USD', 'avgDuration': 'min'}
        """
        from vapi_frames import analysis

        return analysis.units(self._frame)

    @property
    def query(self) -> Query[Any]:
        """The query that has the frame as its result, ready to be fetched again.

        Raises:
            ProvenanceError: It knows nothing of itself.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().call().count().by("type").last("7d").fetch().vapi.query
            vq.call().count().by("type").last("7d")
        """
        from vapi_frames import analysis

        return analysis.query(self._frame)

    @property
    def partial(self) -> pd.Series:
        """For each row, whether its bucket is partial: the range cuts it, or it had not passed at the fetch.

        bool, on the frame's index; pandas' ``boolean``, all missing, where the range is unknown.

        Raises:
            ProvenanceError: The dates are no longer the buckets of the query.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().count().step("day").during("2026-10").fetch().vapi.rollup("week")
            >>> df.vapi.partial.tolist()
            [True, False, False, False, True]
        """
        from vapi_frames import analysis

        return analysis.partial(self._frame)

    @property
    def elapsed(self) -> pd.Series:
        """For each row, the share of its bucket, 0 to 1, that had passed and lies in the range.

        float64, on the frame's index; missing where the range is unknown.

        Raises:
            ProvenanceError: The dates are no longer the buckets of the query.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().count().step("day").during("2026-10").fetch().vapi.rollup("week")
            >>> df.vapi.elapsed.round(2).tolist()
            [0.57, 1.0, 1.0, 1.0, 0.86]
        """
        from vapi_frames import analysis

        return analysis.elapsed(self._frame)

    @property
    def coverage(self) -> pd.Series[int]:
        """Return how complete the call records behind the frame are: int64 counts, by name.

        ``calls``: the calls of the range that match the filters. Of these, ``withoutEnd``: those without ``endedAt``;
        ``open``: those without an end, and without a status or reason that says that they are over; ``withoutCost``;
        ``withoutId``. ``skipped``: records that no query counts, since they could not be read, or have no
        ``createdAt``. ``missingDays``: UTC days of the range, up to now, that the archive or the download lacks, whole
        or in part; ``expiredDays``: those of them that the API no longer lists. Both are 0 for other records.

        They are of the whole result, whichever rows were chosen or rolled up; of a comparison, of its later period. A
        count is absent where its column is of values that cannot be read.

        Raises:
            ProvenanceError: The frame knows nothing of itself.
            QueryError: It is from no call records.

        Examples:
            >>> import vapi_frames as vf
            >>> call = {"id": "a", "createdAt": "2026-10-01T09:00:00Z", "status": "in-progress"}
            >>> df = vf.local([call]).call().count().during("2026-10").fetch()
            >>> df.vapi.coverage[["calls", "withoutEnd", "open", "withoutCost"]].to_dict()
            {'calls': 1, 'withoutEnd': 1, 'open': 1, 'withoutCost': 1}
        """
        from vapi_frames import analysis

        return analysis.coverage(self._frame)

    def plot(
        self,
        column: str | Sequence[str] | None = None,
        *,
        kind: str | None = None,
        subplots: bool | None = None,
        mark: Any = None,
        reference: Any = None,
        values: bool = False,
        **options: Any,
    ) -> Any:
        """Draw the chart that fits the frame's shape, through pandas' plotting backend.

        With a step: a line per group, a partial bucket dashed. Without: a bar per group. One row: its figures. A
        typical week by weekday and hour: a heat map. The axes say unit and zone, titles and legends what the columns
        are, in words. Of many groups the largest are drawn, and the rest as one where it adds up. Measures of one unit
        share an axis, parts of the cost as a stack; those of several units have a chart each.

        Args:
            column: The measure, by its own name or the API's column, or several; by default all.
            kind: ``line``, ``bar``, ``barh``, ``area``, or ``heatmap`` of two levels.
            subplots: ``True`` for a chart for each measure, or of one measure for each line; ``False`` refuses more
                than one.
            mark: A date, a pair of dates, or label → either, e.g. ``{"outage": ("2026-10-21T14", "2026-10-21T17")}``.
            reference: A number, or label → number, to draw as a line to compare with, e.g. ``{"limit": 10}``.
            values: Whether to write the value of each bar or cell, and the total of a stack.
            options: Passed on to ``DataFrame.plot``, e.g. ``figsize``, ``ax``, ``title``, ``color``.

        Returns:
            The matplotlib Axes, an array of them where there are several charts, or what another plotting backend
            returns.

        Raises:
            QueryError: The frame has no rows, or an option does not fit it.
            MissingExtraError: matplotlib is pandas' plotting backend and is not installed.

        Examples:
            >>> import vapi_frames as vf
            >>> axes = vf.demo().call().sum("cost").by("type").step("day").during("2026-10").fetch().vapi.plot()
            >>> axes.get_title(), axes.get_ylabel()
            ('Cost by type per day', 'cost (USD)')
        """
        from vapi_frames import plotting

        options |= {"mark": mark, "reference": reference, "values": values}
        return plotting.plot(self._frame, column, kind=kind, subplots=subplots, **options)

    def check_units(self, calls: Any) -> float:
        """Return how many times the durations of the frame are those of call records; far from 1, warn.

        Args:
            calls: The call records of the range, as a frame, or a ``vq`` that has them, e.g. ``vf.local("calls/")``.

        Returns:
            About 1 where both are minutes, about 60 where the frame has seconds; NaN where there is nothing to compare.

        Raises:
            UnknownWordError: The frame has no sum or average of ``duration``.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().sum("duration").during("2026-10").fetch()
            >>> df.vapi.check_units(vf.demo())
            1.0
        """
        from vapi_frames.frames.duration_check import duration_ratio
        from vapi_frames.frames.provenance import read_choice

        meta = read_choice(self._frame)
        query = meta.query.between(*meta.covered)
        vq: Any = calls if hasattr(calls, "fetch") else frame(calls)._local()  # noqa: SLF001 - its own kind
        return duration_ratio(self._frame, next(iter(vq.fetch(query).values())))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the frame as Parquet with all that it knows; `vapi_frames.load` reads it back.

        Raises:
            ProvenanceError: The frame knows nothing of itself.
            QueryError: A column holds what Parquet cannot.
            OSError: It cannot be written there.

        Examples:
            >>> import vapi_frames as vf
            >>> import tempfile
            >>> df = vf.demo().call().sum("cost").during("2026-10").fetch()
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     df.vapi.save(f"{folder}/spend.parquet")
            ...     vf.load(f"{folder}/spend.parquet").equals(df)
            True
        """
        from vapi_frames import analysis

        analysis.save(self._frame, path)

    def to_excel(self, path: str | PathLike[str]) -> None:
        """Write the frame as a workbook of Excel; `vapi_frames.to_excel` writes several, a sheet each.

        Numbers are formatted by their unit, the header stays in view, and a sheet ``About`` has the query, range, zone,
        units and notes. No text is run as a formula.

        Args:
            path: The file, ``.xlsx``. One that exists is replaced once the new one is whole.

        Raises:
            MissingExtraError: openpyxl is not installed.
            QueryError: A sheet cannot hold the frame, or *path* does not end in ``.xlsx``.
            ProvenanceError: The values of a measure were changed, so its unit is uncertain.
            OSError: It cannot be written there.

        Examples:
            >>> import tempfile
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().sum("cost").by("type").during("2026-10").fetch()
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     df.vapi.to_excel(f"{folder}/spend.xlsx")
            ...     pd.read_excel(f"{folder}/spend.xlsx").columns.tolist()
            ['type', 'sumCost (USD)']
        """
        from vapi_frames.analysis.workbook import to_excel

        to_excel(path, self._frame)

    # --- a frame of call records --------------------------------------------------------------------------------

    def call(self) -> Query[CallColumn]:
        """Start a query of calls, of this frame of call records.

        Raises:
            ProvenanceError: The frame is a result, and no call records.
            MissingExtraError: DuckDB is not installed.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.sample_calls(2_000).vapi.call().count().by("type").during("2026-10").fetch()["countId"].to_dict()
            {'inboundPhoneCall': 698, 'outboundPhoneCall': 407, 'webCall': 274}
        """
        return self._local().call()

    def subscription(self) -> Query[SubscriptionColumn]:
        """Start a query of the subscription, of this frame of call records.

        Raises:
            ProvenanceError: The frame is a result, and no call records.
            MissingExtraError: DuckDB is not installed.

        Examples:
            >>> import vapi_frames as vf
            >>> query = vf.sample_calls(2_000).vapi.subscription().max("concurrency")
            >>> query.during("2026-10").fetch()["maxConcurrency"].tolist()
            [3.0]
        """
        return self._local().subscription()

    def _local(self) -> Vq:
        if not _holds_calls(self._frame):
            raise ProvenanceError("this frame is a result, not call records (no column 'createdAt'); use .query")
        from vapi_frames.interface.connect import local

        return local(self._frame)

    def __repr__(self) -> str:
        if _ATTRIBUTE not in self._frame.attrs:
            return f"{len(self._frame):,} call records; .call() starts a query of them"
        from vapi_frames.analysis.coverage import describe_late_begin
        from vapi_frames.frames.provenance import read_choice

        meta, problem = self.meta, ""
        try:
            meta = read_choice(self._frame)
            query = str(meta.query)
        except ProvenanceError as error:  # a repr does not raise; the verbs will
            problem, query = str(error), str(meta.result_query)
        start, end = meta.covered
        lines = [
            query,
            f"source       {meta.source}",
            f"range        {_show(start, meta)} until {_show(end, meta)} ({meta.zone})",
            f"index        {_describe_levels(self._frame, meta)}",
            f"measures     {', '.join(f'{n} ({u})' if u else n for n, u in meta.all_units().items())}",
        ]
        if problem:
            lines.append(f"beware       {problem}")
        if meta.step:
            try:
                lines.append(f"partial      {int(self.partial.fillna(False).sum())} of {len(self._frame)} rows")
            except ProvenanceError:
                lines.append("partial      unknown")
        lines.extend(f"note         {note}" for note in (describe_late_begin(meta), *meta.notes) if note)
        return "\n".join(lines)

    _repr_html_ = show_html


def _describe_levels(frame: pd.DataFrame, meta: Meta) -> str:
    from vapi_frames.frames.layout import list_level_columns

    if columns := list_level_columns(frame):
        return f"none; the levels {', '.join(columns)} are columns"
    return ", ".join(map(str, frame.index.names)) if meta.levels else "one row"


def _show(instant: Any, meta: Meta) -> str:
    from vapi_frames.calendar.buckets import find_zone

    return "unknown" if instant is None else instant.astimezone(find_zone(meta.zone)).isoformat()


def frame(df: pd.DataFrame) -> VapiAccessor:
    """Return ``df.vapi``, typed: type checkers and some editors do not see it on a plain DataFrame.

    A verb that gives a result frame gives one with a typed ``.vapi``, so a chain needs `frame` once:
    ``vf.frame(df).rollup("week").vapi.per_call()``. What pandas makes of a frame is plain again.

    Raises:
        QueryError: It is no DataFrame.
        ProvenanceError: The frame is neither a result nor call records.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").during("2026-10").fetch()
        >>> vf.frame(df).units
        {'sumCost': 'USD'}
    """
    if not isinstance(df, pd.DataFrame):
        raise QueryError(f"frame takes a DataFrame, not {type(df).__name__}")
    return VapiAccessor(df)


def _holds_calls(frame: pd.DataFrame) -> bool:
    """Return whether *frame* has call records, not a result."""
    # Imported here, because the words of records and the calendar cost half of what the package adds to an import.
    from vapi_frames.sources.records.paths import has_creation

    return has_creation(frame.columns)
