"""Which bucket a server's date means.

Under a zone other than UTC nobody has shown whether ``date`` is the instant of the bucket's start, the wall clock
stamped ``Z``, an explicit offset or a bare date. So nothing is guessed: the asked step, zone and range say which
reading is possible.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from vapi_frames.errors import BucketAlignmentError, ResponseError, shown
from vapi_frames.timegrid import (
    FIXED_STEPS,
    LAST_YEAR,
    floor,
    from_seconds,
    is_bucket,
    label,
    local_floor,
    overlap,
    seconds,
    span,
    to_wall,
    wall_offsets,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from zoneinfo import ZoneInfo

__all__ = ["Reading", "read_dates"]


class Reading(NamedTuple):
    """How the dates of one reply were read.

    Attributes:
        buckets: Text → bucket, in seconds since 1970, rounded down where there is no step.
        how: ``instant`` of the bucket's start, or ``wall`` clock of the zone, whatever suffix it carries; ``None``
            where both are the same.
        assumed: Both readings fit the reply and the instant was taken.
    """

    buckets: dict[str, int]
    how: Literal["instant", "wall"] | None
    assumed: bool


def _parse(text: str, path: Callable[[str], str]) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ResponseError(f"{shown(text)} is not an ISO 8601 date", path=path(text)) from None
    if not 1 < parsed.year <= LAST_YEAR:
        raise ResponseError(f"{text!r} is outside the years 2 to {LAST_YEAR}", path=path(text))
    return parsed


def _as_instant(parsed: datetime, step: str | None, tz: ZoneInfo) -> int | None:
    if parsed.tzinfo is None or (parsed.microsecond and step):
        return None
    instant = seconds(parsed)
    return instant if step is None or is_bucket(instant, step, tz) else None


def _as_wall(parsed: datetime, step: str | None, tz: ZoneInfo) -> int | None:
    if parsed.utcoffset() or (parsed.microsecond and step):  # an offset other than Z can only mean the instant
        return None
    local = to_wall(parsed.replace(tzinfo=None))
    if step is None:
        return label(local, tz)
    if step not in FIXED_STEPS and local_floor(local, step) == local:
        return label(local, tz)
    # What the clock shows at the bucket's start may be another time than the calendar's edge, where that was skipped.
    candidates = [local - offset for offset in wall_offsets(local, tz)]
    return next((c for c in candidates if is_bucket(c, step, tz)), None)


def read_dates(
    texts: Iterable[str],
    step: str | None,
    tz: ZoneInfo,
    start: float | None,
    end: float | None,
    *,
    unique: Callable[[dict[str, int]], bool] | None = None,
    path: Callable[[str], str] = lambda _: "$",
    only: Literal["instant", "wall"] | None = None,
) -> Reading:
    """Say which buckets the *texts* of one reply name: the one reading under which all lie on the grid and in range.

    Args:
        texts: The distinct dates as they came.
        step: The asked step; ``None`` accepts any instant, in parts of a second too.
        tz: The asked zone.
        start: Begin of the range in seconds, ``None`` where unknown.
        end: End of the range in seconds, ``None`` where unknown.
        unique: Says whether a reading leaves every (date, group) row unique; asked only where two readings fit.
        path: Text → its place in the reply, for errors.
        only: The one reading that is possible, where something else has told.

    Raises:
        ResponseError: A text is no date.
        BucketAlignmentError: No reading fits.
    """
    parsed = {text: _parse(text, path) for text in texts}
    fits: dict[Literal["instant", "wall"], dict[str, int]] = {}
    misfits: list[tuple[int, str]] = []
    readings: Sequence[tuple[Literal["instant", "wall"], Callable[..., int | None]]] = (
        ("instant", _as_instant),
        ("wall", _as_wall),
    )
    for how, read in readings:
        buckets: dict[str, int] = {}
        for text, moment in parsed.items():
            bucket = read(moment, step, tz)
            if bucket is None:
                break
            buckets[text] = bucket
        # Buckets between two that lie in the range do so themselves.
        ends = sorted(buckets, key=buckets.__getitem__)[:: max(1, len(buckets) - 1)] if step else []
        outside = [text for text in ends if overlap(span(buckets[text], step or "", tz), start, end) <= 0]
        if len(buckets) == len(parsed) and not outside:
            fits[how] = buckets
        else:
            misfits.append((len(buckets), outside[0] if outside else list(parsed)[len(buckets)]))
    if len(fits) == 2 and fits["instant"] == fits["wall"]:  # noqa: PLR2004
        return Reading(fits["instant"], None, assumed=False)
    if only is not None:
        fits = {how: buckets for how, buckets in fits.items() if how == only}
    if len(fits) == 2 and step is None:  # noqa: PLR2004
        low, high = (float("-inf") if start is None else start // 1), (float("inf") if end is None else end)
        fits = {how: b for how, b in fits.items() if all(low <= at < high for at in b.values())} or fits
    if len(fits) == 2 and unique is not None:  # noqa: PLR2004
        fits = {how: buckets for how, buckets in fits.items() if unique(buckets)} or fits
    for how, buckets in fits.items():
        return Reading(buckets, how, assumed=len(fits) == 2)  # noqa: PLR2004
    text = max(misfits)[1]  # of the reading that went further
    what = f"{'an' if step == 'hour' else 'a'} {step} in {tz.key}"
    raise BucketAlignmentError(
        f"{shown(text)} is not the start of {what} within the asked range, neither as an instant nor as the wall clock "
        f"there; the first {step} is {_show(start, step, tz)}",
        path=path(text),
    )


def _show(start: float | None, step: str | None, tz: ZoneInfo) -> str:
    if start is None or step is None:
        return "unknown"
    return from_seconds(floor(int(start), step, tz)).astimezone(tz).isoformat()
