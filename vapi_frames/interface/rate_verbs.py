"""The verbs of ``df.vapi`` that divide: shares, ratios, rates, and the cost that its parts leave open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from vapi_frames.interface.result_frame import as_result
from vapi_frames.interface.unknown_names import UnknownNames

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    import pandas as pd

    from vapi_frames.analysis.outcome_rates import OutcomeRate
    from vapi_frames.interface.result_frame import ResultFrame
    from vapi_frames.query.filters import FilterValues

__all__ = ["RateVerbs"]


class RateVerbs(UnknownNames):
    """What adds a ratio to a frame that was fetched; the frame is its only state."""

    _frame: pd.DataFrame

    def share(
        self, column: str | None = None, *more: str, within: str | Sequence[str] | None = None
    ) -> ResultFrame[Self]:
        """Return the frame with each row's share of a total as new last columns, e.g. ``sumCostShare``.

        Args:
            column: A sum or count; needed where there are several measures.
            more: Further ones.
            within: The levels; each slice of them adds up to 1, e.g. ``"date"``; the whole frame by default.

        Raises:
            NonAdditiveError: It is an average, a minimum or a maximum.
            UnknownWordError: There is no such level.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().sum("cost").by("type").during("2026-10").fetch()
            >>> df.vapi.share()["sumCostShare"].round(3).tolist()
            [0.538, 0.269, 0.193]
        """
        from vapi_frames import analysis

        return as_result(self, analysis.share(self._frame, column, *more, within=within))

    def ratio(self, num: str, den: str, *, name: str | None = None) -> ResultFrame[Self]:
        """Return the frame with the ratio of two sums or counts as a new last column, missing where *den* is 0.

        Args:
            num: The measure above the line.
            den: The measure below it.
            name: The new column, ``<num>Per<Den>`` by default.

        Raises:
            NonAdditiveError: One of them is an average, a minimum or a maximum.
            QueryError: *name* is that of another column or level.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().sum("cost", "costBreakdown.llm").during("2026-10").fetch()
            >>> df.vapi.ratio("costBreakdown.llm", "cost", name="llm")["llm"].round(3).tolist()
            [0.166]
        """
        from vapi_frames import analysis

        return as_result(self, analysis.ratio(self._frame, num, den, name=name))

    def per_minute(self, column: str | None = None, *more: str) -> ResultFrame[Self]:
        """Return the frame with each column (``cost`` by default) per minute of call, e.g. ``sumCostPerMinute``.

        Raises:
            NonAdditiveError: One is an average, a minimum or a maximum.
            UnknownWordError: A measure is missing; the error says what to add to the query.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().sum("cost", "duration").during("2026-10").fetch().vapi.per_minute()
            >>> df["sumCostPerMinute"].round(4).tolist(), df.vapi.units["sumCostPerMinute"]
            ([0.1238], 'USD/min')
        """
        from vapi_frames import analysis

        return as_result(self, analysis.per_minute(self._frame, column, *more))

    def per_call(self, column: str | None = None, *more: str) -> ResultFrame[Self]:
        """Return the frame with each column (``cost`` by default) per call, e.g. ``sumCostPerCall``.

        Raises:
            NonAdditiveError: One is an average, a minimum or a maximum.
            UnknownWordError: A measure is missing; the error says what to add to the query.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().sum("cost").count().during("2026-10").fetch().vapi.per_call()
            >>> df["sumCostPerCall"].round(4).tolist(), df.vapi.units["sumCostPerCall"]
            ([0.1587], 'USD/call')
        """
        from vapi_frames import analysis

        return as_result(self, analysis.per_call(self._frame, column, *more))

    def success_rate(
        self,
        *,
        of: Literal["evaluated", "calls"] = "evaluated",
        success: FilterValues | Iterable[str] = None,
    ) -> ResultFrame[Self]:
        """Return how many calls were evaluated as a success, and their rate, per remaining group and bucket.

        Args:
            of: The denominator.
            success: The values that count as a success, for a rubric other than true and false, or pass and fail; read
                as `Query.where` reads them.

        Raises:
            UnknownWordError: The group or the count is missing; the error says what to add to the query.
            QueryError: A value is of another rubric, and *success* does not say what it means.

        Warns:
            FrameWarning: No call has a value of *success*.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().count().by("analysis.successEvaluation").during("2026-10").fetch()
            >>> df.vapi.success_rate()["successPerEvaluated"].round(3).tolist()
            [0.574]
        """
        from vapi_frames import analysis

        return as_result(self, analysis.success_rate(self._frame, of=of, success=success))

    def outcome_rate(self, rates: OutcomeRate | Iterable[OutcomeRate] | None = None) -> ResultFrame[Self]:
        """Return how many calls ended in which way, and the *rates*, per remaining group and bucket.

        Args:
            rates: One or several of ``"answered"``, ``"voicemail"`` and ``"failed"``, per call that ended, and
                ``"transferred"`` and ``"contained"``, per call that was answered; all by default.

        Raises:
            UnknownWordError: There is no such rate; or the group or the count is missing, and the error says what to
                add to the query.
            QueryError: *rates* is empty.

        Warns:
            FrameWarning: Calls have a reason that no rule matches: they ended, and count in no other way.

        Examples:
            >>> import vapi_frames as vf
            >>> df = vf.demo().call().count().by("endedReason").during("2026-10").fetch()
            >>> df.vapi.outcome_rate("contained")["containedPerAnswered"].round(3).tolist()
            [0.794]
        """
        from vapi_frames import analysis

        return as_result(self, analysis.outcome_rate(self._frame, rates))

    def reconcile(self) -> ResultFrame[Self]:
        """Return the frame with the cost that its parts do not explain as a new last column ``sumCostResidual``.

        The API has no columns for some parts of the cost. Call records have all parts;
        see `vapi_frames.analysis.reconcile`.

        Raises:
            UnknownWordError: A sum is missing; the error says what to add to the query.

        Examples:
            >>> import vapi_frames as vf
            >>> parts = ["llm", "stt", "tts", "vapi", "transport", "analysisBreakdown.summary"]
            >>> query = vf.demo().call().sum("cost", *[f"costBreakdown.{part}" for part in parts])
            >>> query.during("2026-10").fetch().vapi.reconcile()["sumCostResidual"].round(2).tolist()
            [116.38]
        """
        from vapi_frames import analysis

        return as_result(self, analysis.reconcile(self._frame))
