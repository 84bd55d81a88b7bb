"""The verbs of ``df.vapi``: each calls the function of the same name in `vapi_frames.analysis`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from vapi_frames.interface.rate_verbs import RateVerbs
from vapi_frames.interface.result_frame import as_result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    import pandas as pd
    from pandas.io.formats.style import Styler

    from vapi_frames.analysis.weeks import WeekLevel
    from vapi_frames.contract.ended_reasons import ReasonLevel
    from vapi_frames.contract.vocabulary import Step
    from vapi_frames.interface.result_frame import ResultFrame

__all__ = ["Verbs"]


class Verbs(RateVerbs):
    """What can be made of a frame that was fetched; the frame is its only state."""

    def rollup(
        self, step: Step | Literal["all"] | None = None, by: str | Sequence[str] | None = None
    ) -> ResultFrame[Self]:
        """Return the frame at a coarser step, with fewer groups, or both; each number is exact.

        Args:
            step: The coarser step, or ``"all"`` for the whole range as one; by default, the frame's.
            by: The groups of the result, by the names of their levels; by default, the frame's, none for ``[]``.

        Raises:
            NonAdditiveError: A measure cannot be re-aggregated exactly; the error names the query to fetch instead.
            QueryError: The step is not coarser, or the buckets do not nest.
            UnknownWordError: There is no such step or group.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().sum("cost").by("type").step("day").during("2026-10").fetch()
            >>> df.vapi.rollup("month", by=[]).round(2)
                                       sumCost
            date
            2026-10-01 00:00:00+00:00  2142.22
        """
        from vapi_frames import analysis

        return as_result(self, analysis.rollup(self._frame, step, by))

    def fill_gaps(
        self, *, mark: bool = False, concurrency: Literal["carry"] | None = None, whole: bool = False
    ) -> ResultFrame[Self]:
        """Return the frame with a row for every bucket of the query's range, for each group that it has.

        Args:
            mark: Add the boolean column ``filled``: whether a row was added.
            concurrency: ``"carry"`` fills concurrency with the last value before; without it, it is missing.
            whole: Declare that the rows that are not in the frame, if any, had no calls.

        Raises:
            ProvenanceError: Rows were left out before, so an absent one may have calls; or a row lies off the grid.
            QueryError: There is no step, or there would be more than ten million rows.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().count().by("endedReason").step("hour").during("2026-10-04").fetch()
            >>> len(df), len(df.vapi.fill_gaps())
            (66, 240)
        """
        from vapi_frames import analysis

        return as_result(self, analysis.fill_gaps(self._frame, mark=mark, concurrency=concurrency, whole=whole))

    def drop_partial(self) -> ResultFrame[Self]:
        """Return the rows of whole buckets; the range of the frame becomes that of these alone.

        Raises:
            QueryError: There is no step.
            ProvenanceError: The range is unknown, or the rows are not as fetched.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().count().step("day").during("2026-10").fetch().vapi.rollup("week")
            >>> df.vapi.drop_partial()
                                       countId
            date
            2026-10-05 00:00:00+00:00     2960
            2026-10-12 00:00:00+00:00     3013
            2026-10-19 00:00:00+00:00     3147
        """
        from vapi_frames import analysis

        return as_result(self, analysis.drop_partial(self._frame))

    def top(
        self, n: int = 10, *, by: str | None = None, of: str | None = None, other: bool = True
    ) -> ResultFrame[Self]:
        """Return the frame with the *n* largest values of a group, and all others as ``other``.

        Args:
            n: How many values stay.
            by: The measure that ranks them; needed where there are several.
            of: The group; needed where there are several.
            other: Whether the rest becomes one value, each measure by its own rule; else it is left out.

        Raises:
            QueryError: *n* is less than 1, or the frame has several groups and *of* is missing.
            UnknownWordError: There is no such group, or no measure to rank by.
            NonAdditiveError: A measure of the others cannot be re-aggregated: pass ``other=False``, or drop it.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().count().by("endedReason").during("2026-10").fetch()
            >>> df.vapi.top(2)
                                  countId
            endedReason
            assistant-ended-call     2366
            customer-ended-call      6707
            other                    4422
        """
        from vapi_frames import analysis

        return as_result(self, analysis.top(self._frame, n, by=by, of=of, other=other))

    def change(
        self, periods: int = 1, *, columns: str | Sequence[str] | None = None, whole: bool = False
    ) -> ResultFrame[Self]:
        """Return the frame with each row's change since the bucket *periods* steps earlier on the calendar.

        Args:
            periods: How many steps of the calendar.
            columns: The measures; all by default.
            whole: Declare that the rows that are not in the frame, if any, had no calls.

        Raises:
            ProvenanceError: Rows were left out before, so an absent one may have calls.
            QueryError: There is no step.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().sum("cost").step("week").between("2026-10-05", "2026-10-19").fetch()
            >>> df.vapi.change()["sumCostPercent"].round(2).tolist()
            [nan, 6.51]
        """
        from vapi_frames import analysis

        return as_result(self, analysis.change(self._frame, periods, columns=columns, whole=whole))

    def outcome(self, level: ReasonLevel = "outcome") -> ResultFrame[Self]:
        """Return the frame with its ended reasons rolled up to families; the group ``endedReason`` becomes *level*.

        Args:
            level: ``"outcome"``, ``"fault"``, ``"component"`` or ``"provider"``.

        Raises:
            UnknownWordError: There is no such level, or the frame is not by ended reason.
            QueryError: The frame has a column or level of that name already.
            NonAdditiveError: A measure cannot be re-aggregated exactly.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().count().by("endedReason").during("2026-10").fetch()
            >>> df.vapi.outcome("fault")["countId"].to_dict()["none"]
            12641
        """
        from vapi_frames import analysis

        return as_result(self, analysis.outcome(self._frame, level))

    def label(self, names: Mapping[str, str] | pd.Series, *, of: str | None = None) -> ResultFrame[Self]:
        """Return the frame with names beside ids, as a level ``assistantName`` before ``assistantId``.

        Args:
            names: id → name.
            of: The group of the ids; ``"assistantId"`` by default.

        Raises:
            QueryError: *names* is no mapping, the frame has such a level already, or it has no assistants and *of* is
                left out.
            UnknownWordError: The frame has no group *of*.

        Warns:
            FrameWarning: *names* has none of the ids.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().count().by("assistantId").during("2026-10").fetch()
            >>> names = {"3f0c6a52-8d1e-4b7a-9a64-1f5be07c2d10": "Reception"}
            >>> df.vapi.label(names).loc["Reception"]["countId"].tolist()
            [3376]
        """
        from vapi_frames import analysis

        return as_result(self, analysis.label(self._frame, names, of=of))

    def typical_week(
        self,
        by: WeekLevel | Sequence[WeekLevel] = ("weekday", "hour"),
        *,
        hours: tuple[str, str] | None = None,
        days: str | Sequence[str] | None = None,
        whole: bool = False,
    ) -> ResultFrame[Self]:
        """Return the frame by the slots of a week: the mean over all slots of the range, their total and their number.

        A slot without calls has no row in the frame, and counts all the same; see `vapi_frames.analysis.typical_week`.

        Args:
            by: One or several of ``"weekday"``, ``"hour"`` and ``"open"``.
            hours: With ``"open"``: from when until when it is open; ``("09:00", "17:00")`` by default.
            days: With ``"open"``: the weekdays on which it opens; Monday to Friday by default.
            whole: Declare that the rows that are not in the frame, if any, had no calls.

        Raises:
            ProvenanceError: Rows were left out before, so an absent one may have calls; or the range is unknown.
            NonAdditiveError: A measure cannot be re-aggregated exactly.
            QueryError: There is no step, or a coarser one; or *by*, *hours* or *days* are not as described.

        Warns:
            FrameWarning: Rows of partial hours or days are left out.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().count().step("hour").during("2026-10").fetch()
            >>> df.vapi.typical_week(by="open").round(2)
                    countId  slots  countIdPerSlot
            open
            closed     8146    568           14.34
            open       5349    176           30.39
        """
        from vapi_frames import analysis

        return as_result(self, analysis.typical_week(self._frame, by, hours=hours, days=days, whole=whole))

    def wide(self, column: str | None = None) -> ResultFrame[Self]:
        """Return one measure with the buckets as rows and the groups as columns.

        Args:
            column: The measure, by its own name or the API's column; needed where there are several.

        Raises:
            UnknownWordError: There is no such measure, or more than one.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().count().by("type").step("week").between("2026-10-05", "2026-10-19").fetch()
            >>> df.vapi.wide()
            type                       inboundPhoneCall  outboundPhoneCall  webCall
            date
            2026-10-05 00:00:00+00:00              1466                886      608
            2026-10-12 00:00:00+00:00              1459                990      564
        """
        from vapi_frames import analysis

        return as_result(self, analysis.wide(self._frame, column))

    def describe(self) -> str:
        """Return in a few sentences what the frame is, fit for a caption; see `vapi_frames.analysis.describe`.

        Examples:
            >>> import vapi_frames as vf
            >>> print(vf.demo().call().count().during("2026-10").fetch().vapi.describe())
            The number of calls (countId, calls). From 2026-10-01 00:00 until 2026-10-31 24:00 UTC. 1 row.
            Source: call records.
        """
        from vapi_frames import analysis

        return analysis.describe(self._frame)

    def explain(self, column: str | tuple[str, ...] | None = None) -> str:
        """Return how the numbers of *column* come about: its formula and parts, the calls behind it, gaps and source.

        Args:
            column: A column or a level of the index, by its own name, or by the API's column that it aggregates; may be
                left out where there is one measure.

        Raises:
            ProvenanceError: The rows are not as fetched.
            UnknownWordError: There is no such column.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().sum("cost").count().where(type="webCall").during("2026-10").fetch()
            >>> print(df.vapi.per_call().vapi.explain("sumCostPerCall"))
            sumCostPerCall (USD/call) = sumCost / countId
            parts    sumCost (USD) = the sum of cost
                     countId (calls) = the number of calls
            calls    createdAt in [2026-10-01T00:00:00Z, 2026-11-01T00:00:00Z); type is 'webCall'
            index    one row
            zone     UTC
            gaps     missing where countId is 0, as where there are no calls
            source   call records
        """
        from vapi_frames import analysis

        return analysis.explain(self._frame, column)

    def with_units(self) -> pd.DataFrame:
        """Return the frame with the unit of each measure in its header, ``sumCost (USD)``: a table to be read.

        Raises:
            ProvenanceError: The values of a measure were changed, so its unit is uncertain.

        Examples:
            >>> import vapi_frames as vf
            >>> list(vf.demo().call().sum("cost").count().during("2026-10").fetch().vapi.with_units())
            ['sumCost (USD)', 'countId (calls)']
        """
        from vapi_frames import analysis

        return analysis.with_units(self._frame)

    def style(self, caption: str | None = None, *, total: bool = False) -> Styler:
        """Return the frame as a table for readers: captioned, numbers by their unit, units and zone in the headers.

        Args:
            caption: The text above the table; by default, the description of the frame.
            total: Whether a last row has the total of each measure that adds up over the rows; the caption names the
                others.

        Returns:
            A pandas ``Styler``, with all of its own methods: ``.to_html()`` is a page of its own,
            ``.to_html(doctype_html=False)`` a table for one of yours.

        Raises:
            MissingExtraError: jinja2 is not installed.
            QueryError: *caption* is no text, or *total* is not True or False.
            ProvenanceError: The values of a measure were changed, so its unit is uncertain.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().sum("cost").by("type").during("2026-10").fetch()
            >>> "$1,152.42" in df.vapi.style("Spend in October").to_html()
            True
        """
        from vapi_frames import analysis

        return analysis.style(self._frame, caption, total=total)

    def for_excel(self) -> pd.DataFrame:
        """Return the frame as a spreadsheet can hold it: ``df.vapi.for_excel().to_excel("spend.xlsx", index=False)``.

        Returns:
            The index levels, then the columns, with units in the headers; dates as wall clock, the zone in the header,
            and a column with the offset where an hour can come twice; no text is a formula.

        Raises:
            QueryError: A sheet cannot hold it.
            ProvenanceError: The values of a measure were changed, so its unit is uncertain.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().sum("cost").by("type").step("day").during("2026-10-05").fetch()
            >>> list(df.vapi.for_excel())
            ['date (UTC)', 'type', 'sumCost (USD)']
        """
        from vapi_frames import analysis

        return analysis.for_excel(self._frame)
