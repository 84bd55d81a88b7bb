"""``df.vapi``: a thin face on the verbs; it keeps no state, because pandas may make a new one at each access."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from vapi_frames.errors import ProvenanceError, QueryError

if TYPE_CHECKING:
    from vapi_frames.entry import Vq
    from vapi_frames.meta import Meta
    from vapi_frames.query import Query
    from vapi_frames.vocabulary import CallColumn, SubscriptionColumn

__all__ = ["VapiAccessor", "frame"]

_ATTRIBUTE = "vapi"


@pd.api.extensions.register_dataframe_accessor("vapi")
class VapiAccessor:
    """What a frame knows and can do, under ``df.vapi``.

    On a frame that was fetched: `meta`, `units`, `query`, `partial`, `elapsed`, `wide`, `plot`, `refresh`. On a frame
    of call records: `call` and `subscription` start a question that is answered from that very frame.

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

    def wide(self, column: str | None = None) -> pd.DataFrame:
        """Return one measure with the buckets as rows and the groups as columns.

        Args:
            column: The measure, by its own name or the API's column; may be left out where there is only one.
        """
        from vapi_frames import analysis

        return analysis.wide(self._frame, column)

    def plot(self, column: str | None = None, **options: Any) -> Any:
        """Draw the chart that fits the frame's shape, through pandas' plotting backend.

        With a step: a line per group, a partial bucket dashed. Without: a bar per group. The axes say unit and zone.

        Args:
            column: The measure, by its own name or the API's column; the first one by default.
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
                raise QueryError(
                    f"the frame was not answered by the API but from {meta.source!r}: say whom to ask, "
                    "e.g. df.vapi.refresh(vf.local(calls))"
                )
            from vapi_frames.entry import vq as api

            vq = api
        if not hasattr(vq, "fetch"):
            raise QueryError(f"refresh takes whom to ask, e.g. vf.local(calls), not {type(vq).__name__}")
        return next(iter(vq.fetch(meta.query).values()))

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
            f"measures     {', '.join(f'{n} ({u})' if u else n for n, u in meta.units.items())}",
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
