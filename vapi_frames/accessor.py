"""``df.vapi``: a thin face on the verbs; it keeps no state, because pandas may make a new one at each access."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from vapi_frames.errors import ProvenanceError, QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike

    from vapi_frames.entry import Vq
    from vapi_frames.meta import Meta
    from vapi_frames.outcomes import Level
    from vapi_frames.query import Query
    from vapi_frames.vocabulary import CallColumn, Step, SubscriptionColumn

__all__ = ["VapiAccessor", "frame"]

_ATTRIBUTE = "vapi"


@pd.api.extensions.register_dataframe_accessor("vapi")
class VapiAccessor:
    """What a frame knows and can do, under ``df.vapi``.

    On a frame that was fetched, `meta`, `units`, `query`, `partial`, `elapsed` and `describe` say what it is. `rollup`,
    `fill_gaps`, `drop_partial`, `top`, `share`, `ratio`, `per_minute`, `per_call`, `success_rate`, `change`, `outcome`,
    `label`, `reconcile` and `wide` return a new frame; each is also a function of `vapi_frames.analysis`, for
    ``df.pipe``. `plot`, `save` and `refresh` do as they say. On a frame of call records, `call` and `subscription`
    start a question that is answered from that very frame.

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
        if _ATTRIBUTE not in frame.attrs and "createdAt" not in frame.columns:
            raise ProvenanceError(
                ".vapi works on two kinds of frame: one that was fetched with this package (its df.attrs say so; "
                "concat, merge and pivot may drop them), and call records, which have a column 'createdAt'. "
                f"This one has the columns {', '.join(map(str, frame.columns[:8]))}"
            )
        self._frame = frame

    # --- a frame that was fetched -------------------------------------------------------------------------------

    @property
    def meta(self) -> Meta:
        """What the frame knows of itself: source, body, range, zone, units, when it was asked."""
        from vapi_frames.meta import read_meta

        return read_meta(self._frame)

    @property
    def units(self) -> dict[str, str]:
        """Column → unit, for the measures that the frame still has."""
        from vapi_frames import analysis

        return analysis.units(self._frame)

    @property
    def query(self) -> Query[Any]:
        """The question that the frame answers, ready to be asked again."""
        from vapi_frames import analysis

        return analysis.query(self._frame)

    @property
    def partial(self) -> pd.Series:
        """For each row, whether its bucket is partial: the range cuts it, or it had not passed when asked."""
        from vapi_frames import analysis

        return analysis.partial(self._frame)

    @property
    def elapsed(self) -> pd.Series:
        """For each row, the share of its bucket, 0 to 1, that had passed and lies in the range."""
        from vapi_frames import analysis

        return analysis.elapsed(self._frame)

    def describe(self) -> str:
        """Return in a few sentences what the frame is, fit for a caption; see `vapi_frames.analysis.describe`."""
        from vapi_frames import analysis

        return analysis.describe(self._frame)

    def with_units(self) -> pd.DataFrame:
        """Return the frame with the unit of each measure in its header, ``sumCost (USD)``: a table to be read."""
        from vapi_frames import analysis

        return analysis.with_units(self._frame)

    # --- verbs ----------------------------------------------------------------------------------------------------

    def rollup(self, step: Step | Literal["all"] | None = None, by: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Return the frame at a coarser step, with fewer groups, or both; each number is exact.

        Args:
            step: The coarser step, or ``"all"`` for the whole range as one; as it is, by default.
            by: The groups to keep, by the names of their levels; all of them by default, none for ``[]``.

        Raises:
            NonAdditiveError: A measure cannot be made again exactly; the error names the question to ask instead.
        """
        from vapi_frames import analysis

        return analysis.rollup(self._frame, step, by)

    def fill_gaps(
        self, *, mark: bool = False, concurrency: Literal["carry"] | None = None, whole: bool = False
    ) -> pd.DataFrame:
        """Return the frame with a row for every bucket of the asked range, for each group that it has.

        Args:
            mark: Add the boolean column ``filled``.
            concurrency: ``"carry"`` fills calls at once with the last value before; they are missing without it.
            whole: The rows that were left out, if any, had no calls.

        Raises:
            ProvenanceError: Rows were chosen, or one lies off the grid.
        """
        from vapi_frames import analysis

        return analysis.fill_gaps(self._frame, mark=mark, concurrency=concurrency, whole=whole)

    def drop_partial(self) -> pd.DataFrame:
        """Return the rows of whole buckets; the frame then answers for the range of these alone."""
        from vapi_frames import analysis

        return analysis.drop_partial(self._frame)

    def top(self, n: int = 10, *, by: str | None = None, of: str | None = None, other: bool = True) -> pd.DataFrame:
        """Return the frame with the *n* largest values of a group, and all others as ``other``.

        Args:
            n: How many to keep.
            by: The measure that ranks; may be left out where there is only one.
            of: The group; may be left out where there is only one.
            other: Whether the rest becomes one value, each measure by its own rule; else it is left out.
        """
        from vapi_frames import analysis

        return analysis.top(self._frame, n, by=by, of=of, other=other)

    def share(self, column: str | None = None, *, within: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Return the frame with each row's share of a total as a new last column, e.g. ``sumCostShare``.

        Args:
            column: A sum or count; may be left out where there is only one measure.
            within: The levels whose slices each add up to 1, e.g. ``"date"``; the whole frame by default.
        """
        from vapi_frames import analysis

        return analysis.share(self._frame, column, within=within)

    def ratio(self, num: str, den: str, *, name: str | None = None) -> pd.DataFrame:
        """Return the frame with the ratio of two sums or counts as a new last column, missing where *den* is 0.

        Args:
            num: The measure above the line.
            den: The measure below it.
            name: The new column, ``<num>Per<Den>`` by default.
        """
        from vapi_frames import analysis

        return analysis.ratio(self._frame, num, den, name=name)

    def per_minute(self, column: str | None = None) -> pd.DataFrame:
        """Return the frame with *column* (``cost`` by default) per minute of call, e.g. ``sumCostPerMinute``."""
        from vapi_frames import analysis

        return analysis.per_minute(self._frame, column)

    def per_call(self, column: str | None = None) -> pd.DataFrame:
        """Return the frame with *column* (``cost`` by default) per call, e.g. ``sumCostPerCall``."""
        from vapi_frames import analysis

        return analysis.per_call(self._frame, column)

    def success_rate(
        self, *, of: Literal["evaluated", "calls"] = "evaluated", success: Iterable[str] | None = None
    ) -> pd.DataFrame:
        """Return how many calls were evaluated as a success, and their rate, per remaining group and bucket.

        Args:
            of: The denominator.
            success: The values that count as a success, for a rubric other than true and false, or pass and fail.
        """
        from vapi_frames import analysis

        return analysis.success_rate(self._frame, of=of, success=success)

    def change(
        self, periods: int = 1, *, columns: str | Sequence[str] | None = None, whole: bool = False
    ) -> pd.DataFrame:
        """Return the frame with each row's change since the bucket *periods* steps earlier on the calendar.

        Args:
            periods: How many steps.
            columns: The measures; all by default.
            whole: The rows that were left out, if any, had no calls.
        """
        from vapi_frames import analysis

        return analysis.change(self._frame, periods, columns=columns, whole=whole)

    def outcome(self, level: Level = "outcome") -> pd.DataFrame:
        """Return the frame with its ended reasons rolled up to families; the group ``endedReason`` becomes *level*.

        Args:
            level: ``"outcome"``, ``"fault"``, ``"component"`` or ``"provider"``.
        """
        from vapi_frames import analysis

        return analysis.outcome(self._frame, level)

    def label(self, names: Mapping[str, str] | pd.Series, *, of: str = "assistantId") -> pd.DataFrame:
        """Return the frame with names beside ids, as a level ``assistantName`` before ``assistantId``.

        Args:
            names: id → name.
            of: The group of the ids.
        """
        from vapi_frames import analysis

        return analysis.label(self._frame, names, of=of)

    def reconcile(self) -> pd.DataFrame:
        """Return the frame with the cost that its parts do not explain as a new last column ``sumCostResidual``."""
        from vapi_frames import analysis

        return analysis.reconcile(self._frame)

    def wide(self, column: str | None = None) -> pd.DataFrame:
        """Return one measure with the buckets as rows and the groups as columns.

        Args:
            column: The measure, by its own name or the API's column; may be left out where there is only one.
        """
        from vapi_frames import analysis

        return analysis.wide(self._frame, column)

    def plot(self, column: str | Sequence[str] | None = None, **options: Any) -> Any:
        """Draw the chart that fits the frame's shape, through pandas' plotting backend.

        With a step: a line per group, a partial bucket dashed. Without: a bar per group. One row: its figures. The axes
        say unit and zone. Of many groups the largest are drawn, and the rest as one where it adds up.

        Args:
            column: The measure, by its own name or the API's column, or several of one unit; by default the first, and
                without groups all of its unit.
            options: Passed on to ``DataFrame.plot``, e.g. ``figsize``, ``ax``, ``title``, ``color``.

        Returns:
            The matplotlib Axes, or what another plotting backend returns.
        """
        from vapi_frames import plotting

        return plotting.plot(self._frame, column, **options)

    def refresh(self, vq: Vq | None = None) -> pd.DataFrame:
        """Ask the frame's question again; a relative range moves on.

        Args:
            vq: Whom to ask; may be left out only where the API was asked.
        """
        meta = self.meta
        if vq is None:
            if meta.source != "api":
                example = "vf.replay(folder)" if meta.source == "replay" else "vf.local(calls)"
                raise QueryError(
                    f"the frame was not answered by the API but from {meta.source!r}: say whom to ask, "
                    f"e.g. df.vapi.refresh({example})"
                )
            from vapi_frames.entry import vq as api

            vq = api
        if not hasattr(vq, "fetch"):
            raise QueryError(f"refresh takes whom to ask, e.g. vf.local(calls), not {type(vq).__name__}")
        return next(iter(vq.fetch(meta.query).values()))

    def check_units(self, calls: Any) -> float:
        """Return how many times the durations of the frame are those of call records; far from 1, warn.

        Args:
            calls: The call records of the range, as a frame, or whom to ask for them, e.g. ``vf.local("calls/")``.

        Returns:
            About 1 where both are minutes, about 60 where the frame has seconds; NaN where there is nothing to compare.
        """
        from vapi_frames.analysis.unitcheck import factor

        meta = self.meta
        asked = meta.query.between(meta.start, meta.end)
        vq: Any = calls if hasattr(calls, "fetch") else frame(calls)._local()  # noqa: SLF001 - its own kind
        return factor(self._frame, next(iter(vq.fetch(asked).values())))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the frame as Parquet with all that it knows; `vapi_frames.load` reads it back."""
        from vapi_frames import analysis

        analysis.save(self._frame, path)

    # --- a frame of call records --------------------------------------------------------------------------------

    def call(self) -> Query[CallColumn]:
        """Start a question about calls, answered from this frame of call records."""
        return self._local().call()

    def subscription(self) -> Query[SubscriptionColumn]:
        """Start a question about the subscription, answered from this frame of call records."""
        return self._local().subscription()

    def _local(self) -> Vq:
        if "createdAt" not in self._frame.columns:
            raise ProvenanceError("this frame is an answer, not call records (no column 'createdAt'); use .query")
        from vapi_frames.entry import local

        return local(self._frame)

    def __repr__(self) -> str:
        if _ATTRIBUTE not in self._frame.attrs:
            return f"{len(self._frame):,} call records; .call() starts a question about them"
        meta = self.meta
        lines = [
            repr(meta.query),
            f"answered by  {meta.source}",
            f"range        {_show(meta.start, meta)} until {_show(meta.end, meta)} ({meta.zone})",
            f"index        {', '.join(map(str, self._frame.index.names)) if meta.levels else 'one row'}",
            f"measures     {', '.join(f'{n} ({u})' if u else n for n, u in meta.all_units().items())}",
        ]
        if meta.step:
            try:
                lines.append(f"partial      {int(self.partial.fillna(False).sum())} of {len(self._frame)} rows")
            except ProvenanceError as error:  # a repr does not raise; the verb itself will say the same
                lines.append(f"partial      unknown: {error}")
        lines.extend(f"note         {note}" for note in meta.notes)
        return "\n".join(lines)


def _show(instant: Any, meta: Meta) -> str:
    from vapi_frames.timegrid import zone

    return "unknown" if instant is None else instant.astimezone(zone(meta.zone)).isoformat()


def frame(df: pd.DataFrame) -> VapiAccessor:
    """Return ``df.vapi``, typed, for editors that cannot see accessors.

    Raises:
        ProvenanceError: The frame is neither an answer nor call records.
    """
    if not isinstance(df, pd.DataFrame):
        raise QueryError(f"frame takes a DataFrame, not {type(df).__name__}")
    return VapiAccessor(df)
