"""The rates of how calls end: answered, voicemail, transferred, contained, failed; each a ratio of two counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from vapi_frames.analysis.arguments import read_names
from vapi_frames.analysis.ratios import add_ratio
from vapi_frames.analysis.success import count_chosen
from vapi_frames.contract.ended_reasons import OUTCOMES, classify_reason
from vapi_frames.errors import FrameWarning, QueryError, UnknownWordError, require, warn
from vapi_frames.frames.columns import to_numpy
from vapi_frames.frames.layout import keep_layout
from vapi_frames.frames.origin import add_note
from vapi_frames.frames.provenance import check_frame, find_column

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

__all__ = ["OutcomeRate", "outcome_rate"]

OutcomeRate: TypeAlias = Literal["answered", "voicemail", "transferred", "contained", "failed"]
RATES: tuple[str, ...] = get_args(OutcomeRate)
_SYNONYMS = {
    "answer": "answered", "pickup": "answered", "connected": "answered", "machine": "voicemail",
    "transfer": "transferred", "forwarded": "transferred", "containment": "contained", "handled": "contained",
    "failure": "failed", "error": "failed", "errors": "failed",
}  # fmt: skip

# What is counted → the outcomes that count. A call that ended has a reason, known or not.
_COUNTED: dict[str, tuple[str, ...]] = {
    "ended": OUTCOMES,
    "answered": ("conversation", "transferred", "timeout", "failed_mid_call"),
    "voicemail": ("voicemail",),
    "transferred": ("transferred",),
    "contained": ("conversation",),
    "failed": ("failed_to_start", "failed_mid_call"),
}
_BELOW = {
    "answered": "ended",
    "voicemail": "ended",
    "transferred": "answered",
    "contained": "answered",
    "failed": "ended",
}
_LISTED = 8  # unknown reasons that a message lists


@keep_layout
def outcome_rate(frame: pd.DataFrame, rates: OutcomeRate | Iterable[OutcomeRate] | None = None) -> pd.DataFrame:
    """Return how many calls ended in which way, and the *rates*, per remaining group and bucket.

    A call is answered if the parties talked: its outcome is ``conversation``, ``transferred``, ``timeout`` or
    ``failed_mid_call``. It is contained if the talk ended normally, without a transfer, and failed if something broke,
    before or after it was answered. A call without a reason, which may be in progress, has not ended.

    Args:
        frame: A result frame by ``endedReason`` with a count of calls.
        rates: One or several of ``"answered"``, ``"voicemail"`` and ``"failed"``, per call that ended, and
            ``"transferred"`` and ``"contained"``, per call that was answered; all by default.

    Returns:
        ``countId``, then the counts that the rates need, such as ``countIdEnded`` (calls), then the rates, named by
        what is divided by what: ``answeredPerEnded``, ``containedPerAnswered``; from 0 to 1, missing where the
        denominator is 0. A rollup makes the rates again from the counts. Of a comparison also ``…Before``, and of the
        rates ``…Delta`` and ``…Percent``.

    Raises:
        UnknownWordError: There is no such rate; or the group or the count is missing, and the error says what to add
            to the query.
        QueryError: *rates* is empty.

    Warns:
        FrameWarning: Calls have a reason that no rule matches: they ended, and count in no other way.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().by("endedReason", "type").during("2026-10").fetch()
        >>> df.pipe(vf.analysis.outcome_rate, "contained")["containedPerAnswered"].round(3).tolist()
        [0.77, 0.812, 0.841]
    """
    wanted = _read_rates(RATES if rates is None else rates)
    checked = check_frame(frame)
    levels = {level.name: level for level in checked.levels}
    if "endedReason" not in levels:
        hint = 'Add it to the query: .by("endedReason").'
        raise UnknownWordError("endedReason", "group of the frame", levels, hint=hint, needed_by="outcome_rate()")
    count = find_column(frame, "id", operation="count", needed_by="outcome_rate()")
    level = levels["endedReason"]
    reasons = [str(value) for value in level.uniques]
    outcomes = [classify_reason(reason).outcome for reason in reasons]
    needed = [one for one in _COUNTED if one in wanted or one in {_BELOW[rate] for rate in wanted}]
    chosen = {_name(count, one): [outcome in _COUNTED[one] for outcome in outcomes] for one in needed}
    rules = {_name(count, one): f"the outcome of endedReason is {', '.join(_COUNTED[one])}" for one in needed}
    rules[_name(count, "ended")] = "endedReason is not missing"
    result = count_chosen(frame, count, "endedReason", chosen, rules)
    for rate in wanted:
        below = _BELOW[rate]
        name = f"{rate}Per{below.capitalize()}"
        result = add_ratio(check_frame(result), _name(count, rate), _name(count, below), name, unit="")
    is_unknown = np.array([*(outcome == "unknown" for outcome in outcomes), False])[level.codes]
    if calls := int(np.nansum(to_numpy(frame[count])[is_unknown])):
        _note_unknown(result, calls, sorted({reasons[code] for code in level.codes[is_unknown]}))
    return result


def _read_rates(rates: object) -> list[str]:
    """Return the names of the rates, each once, in their order."""
    names = list(dict.fromkeys(read_names(rates, "rates", '["answered"]')))
    if not names:
        raise QueryError(f"rates is empty: pass one or several of {', '.join(map(repr, RATES))}")
    for name in names:
        require(name, RATES, "rate", synonyms=_SYNONYMS)
    return names


def _name(count: str, counted: str) -> str:
    return f"{count}{counted.capitalize()}"


def _note_unknown(result: pd.DataFrame, calls: int, reasons: list[str]) -> None:
    """Warn of *calls* that ended for *reasons* that no rule matches, and add a note to *result*."""
    listed = ", ".join(map(repr, reasons[:_LISTED])) + (", ..." if len(reasons) > _LISTED else "")
    ended = "1 call ended" if calls == 1 else f"{calls} calls ended"
    message = f"{ended} for a reason that no rule matches, and count{'s' if calls == 1 else ''} as ended only: {listed}"
    add_note(result, message)
    warn(message, FrameWarning)
