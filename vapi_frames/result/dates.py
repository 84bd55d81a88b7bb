"""What a server's date means: which bucket each date of a reply names.

The published contract does not say what ``date`` is in a zone other than UTC: the instant of the bucket's start, the
wall clock stamped ``Z``, an explicit offset, or a bare date. So nothing is guessed: the step, the zone and the range of
the query decide which convention is possible.
"""

from __future__ import annotations

from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

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

    from vapi_frames.result.result import DateConvention

__all__ = ["DateReading", "read_dates"]


class DateReading(NamedTuple):
    """How the dates of one reply were read.

    Attributes:
        buckets: For each text its bucket, in seconds since 1970, rounded down where there is no step.
        convention: ``instant`` of the bucket's start, or ``wall`` clock of the zone, whatever suffix it carries;
            ``None`` where both are the same.
        is_assumed: Whether both conventions fit the reply, and ``instant`` was assumed.
    """

    buckets: npt.NDArray[np.int64]
    convention: DateConvention | None
    is_assumed: bool


def read_dates(
    texts: Sequence[str],
    step: str | None,
    tz: ZoneInfo,
    start: float | None,
    end: float | None,
    *,
    unique: Callable[[npt.NDArray[np.int64]], bool] | None = None,
    path: Callable[[str], str] = lambda _: "$",
    only: DateConvention | None = None,
) -> DateReading:
    """Return the buckets that *texts* name, by the one convention under which all lie on the grid and in the range.

    Args:
        texts: The distinct dates of one reply, as received.
        step: The query's step; ``None`` accepts any instant, fractions of a second included.
        tz: The query's zone.
        start: Begin of the range in seconds, ``None`` where unknown.
        end: End of the range in seconds, ``None`` where unknown.
        unique: Whether every (date, group) row is unique with these buckets; called only where both conventions fit.
        path: Text → its place in the reply, for errors.
        only: The convention, where another reply has decided it.

    Raises:
        ResponseError: A text is no date.
        BucketAlignmentError: No convention fits.
    """
    micros = _read_published(texts) if len(texts) > _FEW and (step is None or step in FIXED_STEPS) else None
    parsed = [_parse(text, path) for text in texts] if micros is None else []
    fits: dict[DateConvention, npt.NDArray[np.int64]] = {}
    misfits: list[tuple[int, str]] = []
    for convention in _CONVENTIONS:
        if micros is None:
            buckets = _buckets(parsed, step, tz, convention)
        else:
            buckets = _buckets_of_many(texts, micros, step, tz, convention)
        # A bucket between two that lie in the range lies in it, too.
        ends = {int(buckets.argmin()): None, int(buckets.argmax()): None} if step and len(buckets) else {}
        outside = [
            texts[at] for at in ends if get_overlap(find_bounds(int(buckets[at]), step or "", tz), start, end) <= 0
        ]
        if len(buckets) == len(texts) and not outside:
            fits[convention] = buckets
        else:
            misfits.append((len(buckets), outside[0] if outside else texts[len(buckets)]))
    is_open = len(fits) == len(_CONVENTIONS)
    if is_open and np.array_equal(fits["instant"], fits["wall"]):
        return DateReading(fits["instant"], None, is_assumed=False)
    if only is not None:
        fits = {convention: buckets for convention, buckets in fits.items() if convention == only}
    elif is_open:
        if step is None:
            low, high = (float("-inf") if start is None else start // 1), (float("inf") if end is None else end)
            fits = {one: at for one, at in fits.items() if ((low <= at) & (at < high)).all()} or fits
        if len(fits) == len(_CONVENTIONS) and unique is not None:
            fits = {convention: buckets for convention, buckets in fits.items() if unique(buckets)} or fits
    for convention, buckets in fits.items():
        return DateReading(buckets, convention, is_assumed=len(fits) == len(_CONVENTIONS))
    text = max(misfits)[1]  # of the convention that fits more of the texts
    raise BucketAlignmentError(
        f"{format_value(text)} is not the start of {'an' if step == 'hour' else 'a'} {step} in {tz.key} within the "
        "range of the query, neither as an instant nor as the wall clock there; the first "
        f"{step} starts at {_first_bucket(start, step, tz)}",
        path=path(text),
    )


def _parse(text: str, path: Callable[[str], str]) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ResponseError(f"{format_value(text)} is not an ISO 8601 date", path=path(text)) from None
    if not 1 < parsed.year <= LAST_YEAR:
        raise ResponseError(f"{text!r} is outside the years 2 to {LAST_YEAR}", path=path(text))
    return parsed


def _instant_bucket(parsed: datetime, step: str | None, tz: ZoneInfo) -> int | None:
    """Return the bucket that *parsed* names as an instant; ``None`` where it is none."""
    if parsed.tzinfo is None or (parsed.microsecond and step):
        return None
    instant = to_seconds(parsed)
    return instant if step is None or is_bucket_label(instant, step, tz) else None


def _wall_bucket(parsed: datetime, step: str | None, tz: ZoneInfo) -> int | None:
    """Return the bucket that *parsed* names as the wall clock of *tz*; ``None`` where it is none."""
    if parsed.utcoffset() or (parsed.microsecond and step):  # an offset other than Z means an instant
        return None
    local = to_wall_seconds(parsed.replace(tzinfo=None))
    if step is None:
        return label_bucket(local, tz)
    if step not in FIXED_STEPS and floor_local(local, step) == local:
        return label_bucket(local, tz)
    # Where the clock skips the calendar's edge, it shows another time at the bucket's start.
    candidates = [local - offset for offset in find_wall_offsets(local, tz)]
    return next((at for at in candidates if is_bucket_label(at, step, tz)), None)


def _buckets(
    parsed: Sequence[datetime], step: str | None, tz: ZoneInfo, convention: DateConvention
) -> npt.NDArray[np.int64]:
    """Return the buckets of *parsed*, up to the first date that names none."""
    found = (_READERS[convention](date, step, tz) for date in parsed)
    return np.array(list(takewhile(lambda bucket: bucket is not None, found)), np.int64)


def _read_published(texts: Sequence[str]) -> npt.NDArray[np.int64] | None:
    """Return *texts* in microseconds since 1970, where all are dates in the form that the contract shows."""
    column = pa.array(texts, pa.string())
    is_published = pc.call_function("match_substring_regex", [column], pc.MatchSubstringOptions(_PUBLISHED))
    if not pc.call_function("all", [is_published]).as_py():
        return None
    try:
        micros = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:  # such as the 30th of February, which `_parse` names
        return None
    return micros if ((micros > _FIRST) & (micros < _LAST)).all() else None


def _buckets_of_many(
    texts: Sequence[str],
    micros: npt.NDArray[np.int64],
    step: str | None,
    tz: ZoneInfo,
    convention: DateConvention,
) -> npt.NDArray[np.int64]:
    """Return the same as `_buckets`, for many dates without a step or with one of a fixed length.

    Far from a change of the zone's offset, a bucket is plain arithmetic; `_READERS` read the dates near one.
    """
    at, fraction = np.divmod(micros, 1_000_000)
    low, high = int(at.min()) - _FAR, int(at.max()) + _FAR
    segments = list(split_by_offset(low, high, tz))
    changes = np.array([begin for begin, _, _ in segments[1:]], np.int64)
    offsets = np.array([offset for _, _, offset in segments], np.int64)[np.searchsorted(changes, at, "right")]
    wall, instant = (at, at - offsets) if convention == "wall" else (at + offsets, at)
    is_good = (wall % FIXED_STEPS.get(step or "", 1) == 0) & ((fraction == 0) | (not step))
    near = np.flatnonzero(np.searchsorted(changes, at - _FAR) < np.searchsorted(changes, at + _FAR))
    buckets = instant.copy()
    for place in near.tolist():
        bucket = _READERS[convention](datetime.fromisoformat(texts[place]), step, tz)
        is_good[place] = bucket is not None
        buckets[place] = bucket or 0
    return buckets if is_good.all() else buckets[: int(is_good.argmin())]


_CONVENTIONS: tuple[DateConvention, ...] = ("instant", "wall")
_READERS: dict[DateConvention, Callable[[datetime, str | None, ZoneInfo], int | None]] = {
    "instant": _instant_bucket,
    "wall": _wall_bucket,
}
_PUBLISHED = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"
_FIRST, _LAST = (at * 1_000_000 for at in (-62_104_060_800, 221_876_928_000))  # begin of the years 2 and 9001
_FEW = 32  # up to so many dates, reading them one by one is faster
_FAR = DAY  # no zone is that far from UTC


def _first_bucket(start: float | None, step: str | None, tz: ZoneInfo) -> str:
    if start is None or step is None:
        return "an unknown time"
    return from_seconds(floor_to_bucket(int(start), step, tz)).astimezone(tz).isoformat()
