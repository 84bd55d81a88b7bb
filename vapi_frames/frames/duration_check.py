"""The unit of durations: the minutes of a frame beside those of call records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vapi_frames.contract.vocabulary import minutes_per
from vapi_frames.errors import ResponseWarning, UnknownWordError, warn
from vapi_frames.frames.meta import Meta, read_meta

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

__all__ = ["check_minutes", "duration_ratio"]

_LIKE = 1.5  # what is billed as minutes used may be rounded, but not by half


def check_minutes(frames: Iterable[pd.DataFrame]) -> None:
    """Warn where the durations of calls and the minutes used of one fetch cannot be of one unit.

    Args:
        frames: The results; compared are sums of ``duration`` and of ``minutesUsed`` over the same range.
    """
    known = [(frame, read_meta(frame)) for frame in frames]
    for frame, meta in known:
        own = _minutes(frame, meta, "duration")
        if own is None or meta.filters:
            continue
        for other, theirs in known:
            used = _minutes(other, theirs, "minutesUsed")
            if used is not None and (meta.start, meta.end) == (theirs.start, theirs.end):
                warn_if_unlike(own, used, "the minutes used of the subscription")
                return


def duration_ratio(frame: pd.DataFrame, reference: pd.DataFrame) -> float:
    """Return how many times the durations of *frame* are those of *reference*, and warn where that is far from 1.

    Args:
        frame: A result frame with a measure of ``duration`` in minutes, seconds or hours.
        reference: The result of the same query from call records.

    Raises:
        UnknownWordError: The frame has no sum or average of ``duration``.
    """
    meta, theirs = read_meta(frame), read_meta(reference)
    for one in meta.aggregations:
        if one.column == "duration" and one.operation != "count" and one.name in frame.columns:
            own = float(frame[one.name].sum()) * minutes_per(meta.units[one.name])
            other = float(reference[one.name].sum()) * minutes_per(theirs.units[one.name])
            return warn_if_unlike(own, other, "the call records")
    raise UnknownWordError("duration", "column", list(frame.columns), hint='Ask for it, e.g. .sum("duration").')


def _minutes(frame: pd.DataFrame, meta: Meta, column: str) -> float | None:
    for one in meta.aggregations:
        if (one.operation, one.column) == ("sum", column) and one.name in frame.columns:
            return float(frame[one.name].sum()) * minutes_per(meta.units[one.name])
    return None


def warn_if_unlike(own: float, other: float, what: str) -> float:
    """Return own / other, NaN where there is nothing to divide by, and warn where that is far from 1."""
    if not other > 0:
        return float("nan")
    times = own / other
    if not 1 / _LIKE < times < _LIKE:
        seconds = "; they look like seconds" if 60 / _LIKE < times < 60 * _LIKE else ""
        cure = ': vf.connect(units={"duration": "s"}) says so' if seconds else ""
        warn(f"the durations are {times:.3g} times {what}{seconds}{cure}", ResponseWarning)
    return times
