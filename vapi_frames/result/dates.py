"""Which bucket a server's date means.

Under a zone other than UTC nobody has shown whether ``date`` is the instant of the bucket's start, the wall clock
stamped ``Z``, an explicit offset or a bare date. So nothing is guessed: the asked step, zone and range say which
reading is possible.
"""

from __future__ import annotations

from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vapi_frames.calendar.buckets import (
    DAY,
    FIXED_STEPS,
    LAST_YEAR,
    find_bounds,
    find_wall_offsets,
    floor_local,
    floor_to_bucket,
    from_seconds,
    get_overlap,
    is_bucket_label,
    label_bucket,
    split_by_offset,
    to_seconds,
    to_wall_seconds,
)
from vapi_frames.errors import BucketAlignmentError, ResponseError, format_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from zoneinfo import ZoneInfo

    import numpy.typing as npt

__all__ = ["Reading", "read_dates"]


How: TypeAlias = Literal["instant", "wall"]


class Reading(NamedTuple):
    """How the dates of one reply were read.

    Attributes:
        buckets: For each text its bucket, in seconds since 1970, rounded down where there is no step.
        how: ``instant`` of the bucket's start, or ``wall`` clock of the zone, whatever suffix it carries; ``None``
            where both are the same.
        assumed: Both readings fit the reply and the instant was taken.
    """

    buckets: npt.NDArray[np.int64]
    how: How | None
    assumed: bool


def _parse(text: str, path: Callable[[str], str]) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ResponseError(f"{format_value(text)} is not an ISO 8601 date", path=path(text)) from None
    if not 1 < parsed.year <= LAST_YEAR:
        raise ResponseError(f"{text!r} is outside the years 2 to {LAST_YEAR}", path=path(text))
    return parsed


def _as_instant(parsed: datetime, step: str | None, tz: ZoneInfo) -> int | None:
    if parsed.tzinfo is None or (parsed.microsecond and step):
        return None
    instant = to_seconds(parsed)
    return instant if step is None or is_bucket_label(instant, step, tz) else None


def _as_wall(parsed: datetime, step: str | None, tz: ZoneInfo) -> int | None:
    if parsed.utcoffset() or (parsed.microsecond and step):  # an offset other than Z can only mean the instant
        return None
    local = to_wall_seconds(parsed.replace(tzinfo=None))
    if step is None:
        return label_bucket(local, tz)
    if step not in FIXED_STEPS and floor_local(local, step) == local:
        return label_bucket(local, tz)
    # What the clock shows at the bucket's start may be another time than the calendar's edge, where that was skipped.
    candidates = [local - offset for offset in find_wall_offsets(local, tz)]
    return next((c for c in candidates if is_bucket_label(c, step, tz)), None)


def read_dates(
    texts: Sequence[str],
    step: str | None,
    tz: ZoneInfo,
    start: float | None,
    end: float | None,
    *,
    unique: Callable[[npt.NDArray[np.int64]], bool] | None = None,
    path: Callable[[str], str] = lambda _: "$",
    only: How | None = None,
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
    clock = _clock(texts) if len(texts) > _FEW and (step is None or step in FIXED_STEPS) else None
    parsed = [_parse(text, path) for text in texts] if clock is None else None
    fits: dict[How, npt.NDArray[np.int64]] = {}
    misfits: list[tuple[int, str]] = []
    for how in _WAYS:
        buckets = _one_by_one(parsed, step, tz, how) if clock is None else _all_at_once(texts, clock, step, tz, how)
        # Buckets between two that lie in the range do so themselves.
        ends = {int(buckets.argmin()): None, int(buckets.argmax()): None} if step and len(buckets) else {}
        outside = [
            texts[at] for at in ends if get_overlap(find_bounds(int(buckets[at]), step or "", tz), start, end) <= 0
        ]
        if len(buckets) == len(texts) and not outside:
            fits[how] = buckets
        else:
            misfits.append((len(buckets), outside[0] if outside else texts[len(buckets)]))
    if len(fits) == 2 and np.array_equal(fits["instant"], fits["wall"]):  # noqa: PLR2004
        return Reading(fits["instant"], None, assumed=False)
    if only is not None:
        fits = {how: buckets for how, buckets in fits.items() if how == only}
    if len(fits) == 2 and step is None:  # noqa: PLR2004
        low, high = (float("-inf") if start is None else start // 1), (float("inf") if end is None else end)
        fits = {how: b for how, b in fits.items() if ((low <= b) & (b < high)).all()} or fits
    if len(fits) == 2 and unique is not None:  # noqa: PLR2004
        fits = {how: buckets for how, buckets in fits.items() if unique(buckets)} or fits
    for how, buckets in fits.items():
        return Reading(buckets, how, assumed=len(fits) == 2)  # noqa: PLR2004
    text = max(misfits)[1]  # of the reading that went further
    what = f"{'an' if step == 'hour' else 'a'} {step} in {tz.key}"
    raise BucketAlignmentError(
        f"{format_value(text)} is not the start of {what} within the asked range, neither as an instant nor as the "
        f"wall clock there; the first {step} is {_show(start, step, tz)}",
        path=path(text),
    )


def _one_by_one(parsed: Sequence[datetime] | None, step: str | None, tz: ZoneInfo, how: How) -> npt.NDArray[np.int64]:
    """Return the buckets of dates, read as *how* says, until the first that is none."""
    found = (_READERS[how](moment, step, tz) for moment in parsed or ())
    return np.array(list(takewhile(lambda bucket: bucket is not None, found)), np.int64)


def _clock(texts: Sequence[str]) -> npt.NDArray[np.int64] | None:
    """Return what *texts* say in microseconds since 1970, where all have the form that the contract shows."""
    written = pa.array(texts, pa.string())
    is_published = pc.call_function("match_substring_regex", [written], pc.MatchSubstringOptions(_PUBLISHED))
    try:
        micros = written.cast(pa.timestamp("us", "UTC")) if pc.call_function("all", [is_published]).as_py() else None
    except pa.ArrowInvalid:  # such as the 30th of February, which the careful way names
        return None
    found = None if micros is None else micros.cast(pa.int64()).to_numpy()
    return found if found is not None and ((found > _FIRST) & (found < _LAST)).all() else None


def _all_at_once(
    texts: Sequence[str], clock: npt.NDArray[np.int64], step: str | None, tz: ZoneInfo, how: How
) -> npt.NDArray[np.int64]:
    """Return what `_one_by_one` does, of dates without a step or by one of the short ones.

    Far from any change of the zone's offset the calendar is nothing but arithmetic.
    """
    at, part = np.divmod(clock, 1_000_000)
    low, high = int(at.min()) - _FAR, int(at.max()) + _FAR
    segments = list(split_by_offset(low, high, tz))
    changes = np.array([begin for begin, _, _ in segments[1:]], np.int64)
    offsets = np.array([offset for _, _, offset in segments], np.int64)[np.searchsorted(changes, at, "right")]
    is_good = ((at if how == "wall" else at + offsets) % FIXED_STEPS.get(step or "", 1) == 0) & (
        (part == 0) | (not step)
    )
    buckets = at - offsets if how == "wall" else at
    near = np.flatnonzero(np.searchsorted(changes, at - _FAR) < np.searchsorted(changes, at + _FAR))
    for place in near.tolist():
        bucket = _READERS[how](datetime.fromisoformat(texts[place]), step, tz)
        is_good[place] = bucket is not None
        buckets[place] = bucket or 0
    return buckets if is_good.all() else buckets[: int(is_good.argmin())]


_WAYS: tuple[How, ...] = ("instant", "wall")
_READERS: dict[How, Callable[[datetime, str | None, ZoneInfo], int | None]] = {"instant": _as_instant, "wall": _as_wall}
_PUBLISHED = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"
_FIRST, _LAST = (at * 1_000_000 for at in (-62_104_060_800, 221_876_928_000))  # begin of the years 2 and 9001
_FEW = 32  # dates that are read sooner one by one
_FAR = DAY  # no clock is that far from UTC


def _show(start: float | None, step: str | None, tz: ZoneInfo) -> str:
    if start is None or step is None:
        return "unknown"
    return from_seconds(floor_to_bucket(int(start), step, tz)).astimezone(tz).isoformat()
