"""The verbs of ``df.vapi`` that ask a source again: for the same rows, and for the calls behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vapi_frames.errors import QueryError
from vapi_frames.interface.result_frame import as_result

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    import pandas as pd

    from vapi_frames.frames.meta import Meta
    from vapi_frames.interface.connect import Vq
    from vapi_frames.interface.result_frame import ResultFrame
    from vapi_frames.query.query import Query

__all__ = ["SourceVerbs"]


class SourceVerbs:
    """What asks a source about a frame that was fetched; the frame is its only state."""

    _frame: pd.DataFrame

    def refresh(self, vq: Vq | None = None) -> ResultFrame[Self]:
        """Fetch the frame's query again; a relative range moves on.

        Rows that were chosen are fetched by their own query, if there is one: a shorter range, fewer groups.

        Args:
            vq: What to fetch from; may be left out only where that was the API.

        Returns:
            A frame with the same levels, columns and types.

        Raises:
            QueryError: *vq* is left out and the frame is not from the API, or it cannot fetch; or the frame is a
                comparison, or holds columns, groups or rows that a verb made and no query gives.
            ProvenanceError: The rows are not as fetched, or no query gives them.
            SourceError: No result came.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().count().last("7d").fetch()
            >>> df.vapi.refresh(vf.demo()).equals(df)
            True
        """
        from vapi_frames.frames.layout import list_level_columns
        from vapi_frames.frames.provenance import read_choice

        meta = read_choice(self._frame)
        query = _refetched(meta, self._frame)
        as_index = not list_level_columns(self._frame)
        [frame] = _find_vq(meta, vq, "refresh").fetch(query, as_index=as_index).values()
        return as_result(self, frame)

    def drill(
        self, vq: Vq | None = None, columns: Sequence[str] | None = None, *, limit: int | None = 100_000
    ) -> ResultFrame[Self]:
        """Return the calls behind the rows of the frame: choose rows with pandas, and see what they count.

        Args:
            vq: What has the calls; may be left out only where the frame is from the API.
            columns: As in `Query.drill`.
            limit: As in `Query.drill`.

        Returns:
            The frame of `Query.drill`, with the calls of these rows only.

        Raises:
            QueryError: *vq* is left out and the frame is not from the API; the frame is a comparison, or a verb made
                its groups; or an argument is wrong.
            ProvenanceError: The rows are not as fetched; or a verb put rows together after others had been left out.
            RecordsError: The records have no such column.
            SourceError: The source has no calls.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().sum("cost").by("assistantId").step("day").during("2026-10").fetch()
            >>> dearest = df.nlargest(3, "sumCost")
            >>> calls = dearest.vapi.drill(vf.demo())
            >>> round(abs(calls["cost"].sum() - dearest["sumCost"].sum()), 9).item()
            0.0
        """
        from vapi_frames.frames.meta import read_meta
        from vapi_frames.interface.drill import drill_frame

        calls = drill_frame(self._frame, _find_vq(read_meta(self._frame), vq, "drill"), columns, limit)
        return as_result(self, calls)


def _refetched(meta: Meta, frame: pd.DataFrame) -> Query[Any]:
    """Return the query that gives *frame* again, with the levels and columns that it has.

    Raises:
        QueryError: There is none, because a verb made a part of it.
    """
    columns = [name for name in meta.derived if name in frame.columns]
    if meta.before:
        cure = "fetch the comparison again, query.compare(...).fetch()"
        raise QueryError(f"refresh fetches a query, and the frame is a comparison: {cure}")
    if "date" in meta.derived_levels.values():
        return meta.query  # raises, and names the query of the dates
    made = next(iter([*columns, *meta.derived_levels]), "a row for each empty bucket" if meta.is_filled else None)
    if made is not None:
        raise QueryError(
            f"refresh fetches df.vapi.query, which does not give {made!r}: a verb made that. Fetch the query, "
            "vq.fetch(df.vapi.query), and call the verb again"
        )
    return meta.query


def _find_vq(meta: Meta, vq: Vq | None, verb: str) -> Vq:
    """Return *vq*, or that of the API for a frame from the API.

    Raises:
        QueryError: The frame is from elsewhere, or *vq* is none.
    """
    if vq is None:
        if meta.source != "api":
            if meta.source in ("reply", "replay"):  # which have no calls
                example = "vf.replay(folder)" if meta.source == "replay" and verb == "refresh" else "vf.local(calls)"
                cure = f"pass what to fetch from, e.g. df.vapi.{verb}({example})"
            else:
                cure = f"pass the vq that fetched it, df.vapi.{verb}(vq), or records, df.vapi.{verb}(vf.local(calls))"
            raise QueryError(f"the frame is not from the API but from {meta.source!r}: {cure}")
        from vapi_frames.interface.connect import vq as api

        return api
    if not hasattr(vq, "fetch"):
        raise QueryError(f"{verb} takes what to fetch from, e.g. df.vapi.{verb}(vq), not {type(vq).__name__}")
    return vq
