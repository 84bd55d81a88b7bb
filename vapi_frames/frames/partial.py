"""The buckets of a frame's rows: on which grid they lie, and which of them are partial."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vapi_frames.calendar.buckets import (
    FIXED_STEPS,
    find_bounds,
    find_zone,
    floor_to_bucket,
    from_seconds,
    get_elapsed_share,
    is_bucket_label,
    label_bucket,
    list_local_edges,
    split_by_offset,
    to_seconds,
)
from vapi_frames.calendar.ranges import format_iso
from vapi_frames.errors import ProvenanceError, QueryError
from vapi_frames.frames.meta import Meta, attach_meta, read_meta
from vapi_frames.frames.provenance import check_frame

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    import numpy.typing as npt

    Seconds = npt.NDArray[np.int64]

__all__ = ["bucket_seconds", "drop_partial", "elapsed", "elapsed_shares", "floor_to_step", "partial"]


def floor_to_step(instants: Seconds, step: str, tz: ZoneInfo) -> Seconds:
    """Return the bucket of each of *instants*, in seconds since 1970: the rule of `calendar.buckets.floor`."""
    if not len(instants):
        return instants
    low, high = int(instants.min()), int(instants.max()) + 1
    segments = list(split_by_offset(low, high, tz))
    begins = np.array([begin for begin, *_ in segments], np.int64)
    offsets = np.array([offset for *_, offset in segments], np.int64)
    local = instants + offsets[np.searchsorted(begins, instants, "right") - 1]
    if step in FIXED_STEPS:
        return instants - local % FIXED_STEPS[step]
    edges = list_local_edges(low, high, step, tz)
    labels = np.array([label_bucket(edge, tz) for edge in edges], np.int64)
    return labels[np.searchsorted(np.array(edges, np.int64), local, "right") - 1]


def bucket_seconds(dates: pd.Index, step: str, tz: ZoneInfo) -> Seconds:
    """Return the whole seconds since 1970 of *dates*, each of which must be the start of a bucket.

    Raises:
        ProvenanceError: One is not, so the dates are no longer the asked buckets.
    """
    if not isinstance(dates, pd.DatetimeIndex) or dates.tz is None:
        raise ProvenanceError("'date' no longer holds instants with a zone")
    micros = dates.tz_convert(UTC).tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    found = micros // 1_000_000
    odd = np.flatnonzero((micros % 1_000_000 != 0) | (floor_to_step(found, step, tz) != found))
    # A bucket may bear a name that lies outside of it, where the clock was turned.
    bad = next((i for i in odd.tolist() if micros[i] % 1_000_000 or not is_bucket_label(int(found[i]), step, tz)), None)
    if bad is not None:
        article = "an" if step == "hour" else "a"
        raise ProvenanceError(
            f"{dates[bad].isoformat()} is not the start of {article} {step} in {tz.key}: the dates are no longer the "
            "asked buckets"
        )
    return found


def _dates(frame: pd.DataFrame) -> pd.Index:
    """Return the date of each row."""
    if "date" in frame.index.names:
        return frame.index.get_level_values("date")
    if "date" in frame.columns:
        dates: pd.Index = pd.Index(frame["date"])
        return dates
    raise ProvenanceError("the frame has no level or column 'date', so no row belongs to a bucket")


def elapsed(frame: pd.DataFrame, *, now: datetime | None = None) -> pd.Series:
    """Return, for each row, the share of its bucket that has passed and lies in the answered range.

    Args:
        frame: A result frame; without a step the whole range is its one bucket.
        now: As of when; when it was asked, by default.

    Returns:
        float64 from 0 to 1, on the frame's index; missing where the range is unknown.

    Raises:
        ProvenanceError: The dates are no longer the asked buckets.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().step("day").during("2026-10").fetch().vapi.rollup("week")
        >>> vf.analysis.elapsed(df).round(2).tolist()
        [0.57, 1.0, 1.0, 1.0, 0.86]
    """
    meta = read_meta(frame)
    if meta.step is None and "date" not in (*frame.index.names, *frame.columns):
        return pd.Series(_of_range(meta, now or meta.now), index=frame.index, name="elapsed", dtype="float64")
    dates = _dates(frame)
    if meta.step is None or (meta.start is None and meta.end is None):
        return pd.Series(np.nan, index=frame.index, name="elapsed", dtype="float64")
    codes, instants = pd.factorize(dates)
    tz = find_zone(meta.zone)
    found = bucket_seconds(pd.DatetimeIndex(instants) if len(instants) else dates[:0], meta.step, tz)
    # The last one is what a missing date's code, -1, points to.
    share = np.append(elapsed_shares(found, meta, tz, now), np.nan)
    return pd.Series(share[codes], index=frame.index, name="elapsed", dtype="float64")


def _of_range(meta: Meta, now: datetime | None) -> float:
    """Return the share of the range that has passed, NaN where it is unknown."""
    if meta.start is None or meta.end is None:
        return np.nan
    start, end = meta.start.timestamp(), meta.end.timestamp()
    return max(0.0, (end if now is None else min(end, now.timestamp())) - start) / (end - start)


def elapsed_shares(buckets: Seconds, meta: Meta, tz: ZoneInfo, now: datetime | None = None) -> npt.NDArray[np.float64]:
    """Return the share of each of *buckets* that had passed and lies in the range of *meta*.

    Only those at an end of the range can be less than whole.
    """
    start = None if meta.start is None else meta.start.timestamp()
    ends = [side.timestamp() for side in (meta.end, now or meta.now) if side is not None]
    end = min(ends) if ends else None
    found = np.ones(len(buckets))
    order = np.argsort(buckets)
    low = 0 if start is None else int(np.searchsorted(buckets, start, sorter=order)) + 2
    high = len(buckets) if end is None else int(np.searchsorted(buckets, end, sorter=order)) - 2
    for i in {*range(min(low, len(buckets))), *range(max(high, 0), len(buckets))}:
        found[order[i]] = get_elapsed_share(int(buckets[order[i]]), meta.step or "", tz, start, end)
    return found


def partial(frame: pd.DataFrame, *, now: datetime | None = None) -> pd.Series:
    """Return, for each row, whether its bucket is partial: the range cuts it, or it had not passed yet.

    Args:
        frame: A result frame; without a step the whole range is its one bucket.
        now: As of when; when it was asked, by default.

    Returns:
        bool, on the frame's index; pandas' ``boolean`` with missing values where the range is unknown.

    Raises:
        ProvenanceError: The dates are no longer the asked buckets.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().step("day").during("2026-10").fetch().vapi.rollup("week")
        >>> vf.analysis.partial(df).tolist()
        [True, False, False, False, True]
    """
    share = elapsed(frame, now=now)
    flags = (share < 1).rename("partial")
    return flags.astype("boolean").mask(share.isna()) if share.isna().any() else flags


def drop_partial(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of whole buckets; the frame then answers for the range of these alone.

    Returns:
        The same columns and types, fewer rows. ``df.vapi.query`` asks for the shorter range.

    Raises:
        QueryError: There is no step.
        ProvenanceError: The range is unknown, or the dates are no longer the asked buckets.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().step("day").during("2026-10").fetch().vapi.rollup("week")
        >>> df.pipe(vf.analysis.drop_partial)["countId"].tolist()
        [2960, 3013, 3147]
    """
    checked = check_frame(frame)
    meta = checked.meta
    if meta.step is None and "date" in frame.index.names:
        raise QueryError("the frame has no step: its dates are those of changes, not of buckets")
    flags = partial(frame)
    if meta.start is None or meta.end is None or meta.now is None or flags.isna().any():
        raise ProvenanceError("the range that was answered is unknown, so no bucket is known to be whole")
    result = frame.loc[~flags.to_numpy(dtype=bool)].copy()
    whole = _whole(meta) if meta.step and "date" in frame.index.names else (meta.start, meta.end)
    if whole != (meta.start, meta.end):
        ranged = {**meta.body["timeRange"], "start": format_iso(whole[0]), "end": format_iso(whole[1])}
        meta = replace(meta, body={**meta.body, "timeRange": ranged}, start=whole[0], end=whole[1], relative_range=None)
    return attach_meta(result, replace(meta, has_missing_rows=not checked.is_whole))


def _whole(meta: Meta) -> tuple[datetime, datetime]:
    """Return the range of the whole buckets."""
    assert meta.step  # noqa: S101 - the caller has looked
    assert meta.start  # noqa: S101
    assert meta.end  # noqa: S101
    assert meta.now  # noqa: S101
    tz = find_zone(meta.zone)
    start, end = to_seconds(meta.start), min(meta.end, meta.now)
    first = find_bounds(floor_to_bucket(start, meta.step, tz), meta.step, tz)
    low = meta.start if from_seconds(first.start) >= meta.start else from_seconds(first.end)
    final = find_bounds(floor_to_bucket(to_seconds(end), meta.step, tz), meta.step, tz)
    high = from_seconds(final.start)
    # A range without any whole bucket keeps its begin, and no instant.
    return low, max(high, low)
