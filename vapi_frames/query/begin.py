"""Where the records begin after a range does, so that a part of the range is unknown rather than without calls."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from vapi_frames.calendar.buckets import to_local
from vapi_frames.calendar.ranges import RelativeRange
from vapi_frames.query.comparison import PREVIOUS

if TYPE_CHECKING:
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

    from vapi_frames.query.comparison import Comparison, Periods

__all__ = ["describe_begin", "find_late_begin"]

# Longer than a long weekend, and a tenth of the range: such a begin without calls shows that the records begin later.
_QUIET = 0.1
_QUIET_DAYS = timedelta(days=4)


def find_late_begin(
    start: datetime, end: datetime, tz: ZoneInfo, *, begin: datetime | None, first: datetime | None = None
) -> date | None:
    """Return the day on which the records of [start, end) begin, where that is after its first day.

    Args:
        start: Begin of the range.
        end: Its end.
        tz: The zone that days are of.
        begin: Since when the source has records, where it knows that.
        first: Else the first bucket of the range with any call. It says so only if four days, and a tenth of the range,
            are before it.
    """
    if begin is not None:
        day = to_local(begin, tz).date()
        return day if day > to_local(start, tz).date() else None
    if first is None or first - start < max(_QUIET * (end - start), _QUIET_DAYS):
        return None
    return to_local(first, tz).date()


def describe_begin(
    comparison: Comparison, periods: Periods, begin: datetime | None, first: datetime | None = None
) -> str:
    """Return that the records miss days of the earlier period, and what to type; else nothing.

    Args:
        comparison: The comparison.
        periods: Its ranges.
        begin: Since when the source has records, where it knows that.
        first: The first bucket of the earlier period with any call.
    """
    tz = comparison.query.zone
    if (day := find_late_begin(periods.before_start, periods.before_end, tz, begin=begin, first=first)) is None:
        return ""
    start, end = (to_local(at, tz).date() for at in (periods.before_start, periods.end))
    what = "the calls" if begin is None else "the records"
    text = f"{what} begin on {day}, and the earlier period on {start}: a change compares with what there is"
    days = (end - day).days // 2
    is_relative = comparison.to == PREVIOUS and isinstance(comparison.query.time_range, RelativeRange)
    return (
        f'{text}; .last("{days}d", complete=True) has {what[4:]} for both periods' if is_relative and days > 0 else text
    )
