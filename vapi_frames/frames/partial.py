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
from vapi_frames.calendar.ranges import parse_time_point, resolve_time_point
from vapi_frames.errors import ProvenanceError, QueryError
from vapi_frames.frames.layout import keep_layout
from vapi_frames.frames.meta import Choice, Meta
from vapi_frames.frames.origin import attach_meta
from vapi_frames.frames.provenance import check_frame, read_choice

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
        ProvenanceError: One is not, so the dates are no longer the buckets of the query.
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
            "buckets of the query"
        )
    return found


@keep_layout
def elapsed(frame: pd.DataFrame, *, now: datetime | str | None = None) -> pd.Series:
    """Return, for each row, the share of its bucket that has passed and lies in the range that the rows cover.

    Args:
        frame: A result frame; without a step the whole range is its one bucket.
        now: As of when; when it was fetched, by default. A date, datetime, ``pandas.Timestamp`` or ISO text, else
            `QueryError`; a naive one is wall clock in the zone of the frame, as in `Query.between`.

    Returns:
        float64 from 0 to 1, on the frame's index; missing where the range is unknown, and after a rollup over time of
        rows that are no whole range.

    Raises:
        ProvenanceError: The rows are not as fetched.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().step("day").during("2026-10").fetch().vapi.rollup("week")
        >>> vf.analysis.elapsed(df).round(2).tolist()
        [0.57, 1.0, 1.0, 1.0, 0.86]
    """
    meta = read_choice(frame)
    at = meta.now if now is None else _read_now(now, find_zone(meta.zone))
    dates = _dates(frame)
    if dates is None:
        return pd.Series(_of_range(meta, at), index=frame.index, name="elapsed", dtype="float64")
    if meta.step is None or not meta.has_flags or meta.covered == (None, None):
        return pd.Series(np.nan, index=frame.index, name="elapsed", dtype="float64")
    codes, instants = pd.factorize(dates)
    tz = find_zone(meta.zone)
    found = bucket_seconds(pd.DatetimeIndex(instants) if len(instants) else dates[:0], meta.step, tz)
    # The last one is what a missing date's code, -1, points to.
    share = np.append(elapsed_shares(found, meta, tz, at), np.nan)
    return pd.Series(share[codes], index=frame.index, name="elapsed", dtype="float64")


def _read_now(now: object, tz: ZoneInfo) -> datetime:
    return resolve_time_point(parse_time_point(now, "now"), tz)


def _dates(frame: pd.DataFrame) -> pd.Index | None:
    """Return the date of each row, ``None`` where it has none."""
    if "date" in frame.index.names:
        return frame.index.get_level_values("date")
    return pd.Index(frame["date"]) if "date" in frame.columns else None


def _of_range(meta: Meta, now: datetime | None) -> float:
    """Return the share of the range that has passed, NaN where it is unknown."""
    start, end = meta.covered
    if start is None or end is None or start == end or not meta.has_flags or "date" in meta.lost:
        return np.nan
    low, high = start.timestamp(), end.timestamp()
    return max(0.0, (high if now is None else min(high, now.timestamp())) - low) / (high - low)


def elapsed_shares(buckets: Seconds, meta: Meta, tz: ZoneInfo, now: datetime | None = None) -> npt.NDArray[np.float64]:
    """Return the share of each of *buckets* that had passed and lies in the range that *meta* covers.

    Only those at an end of the range can be less than whole.
    """
    start, end = (None if side is None else side.timestamp() for side in meta.covered)
    if at := now or meta.now:
        end = at.timestamp() if end is None else min(end, at.timestamp())
    found = np.ones(len(buckets))
    order = np.argsort(buckets)
    low = 0 if start is None else int(np.searchsorted(buckets, start, sorter=order)) + 2
    high = len(buckets) if end is None else int(np.searchsorted(buckets, end, sorter=order)) - 2
    for i in {*range(min(low, len(buckets))), *range(max(high, 0), len(buckets))}:
        found[order[i]] = get_elapsed_share(int(buckets[order[i]]), meta.step or "", tz, start, end)
    return found


@keep_layout
def partial(frame: pd.DataFrame, *, now: datetime | str | None = None) -> pd.Series:
    """Return, for each row, whether its bucket is partial: the range cuts it, or it had not passed yet.

    Args:
        frame: A result frame; without a step the whole range is its one bucket.
        now: As of when; when it was fetched, by default. A naive one is wall clock in the zone of the frame.

    Returns:
        bool, on the frame's index; pandas' ``boolean`` with missing values where `elapsed` is missing.

    Raises:
        ProvenanceError: The rows are not as fetched.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().step("day").during("2026-10").fetch().vapi.rollup("week")
        >>> vf.analysis.partial(df).tolist()
        [True, False, False, False, True]
    """
    share = elapsed(frame, now=now)
    flags = (share < 1).rename("partial")
    return flags.astype("boolean").mask(share.isna()) if share.isna().any() else flags


@keep_layout
def drop_partial(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of whole buckets; the frame is then the result of the range of these alone.

    Returns:
        The same columns and types, fewer rows. ``df.vapi.query`` is the query of the shorter range; where no bucket is
        whole, there is none.

    Raises:
        QueryError: There is no step.
        ProvenanceError: The range is unknown, or the rows are not as fetched.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().count().step("day").during("2026-10").fetch().vapi.rollup("week")
        >>> df.pipe(vf.analysis.drop_partial)["countId"].tolist()
        [2960, 3013, 3147]
    """
    checked = check_frame(frame)
    meta = checked.meta
    is_dated = "date" in frame.index.names
    if meta.step is None and is_dated:
        raise QueryError("the frame has no step: its dates are those of changes, not of buckets")
    flags = partial(frame)
    if meta.start is None or meta.end is None or meta.now is None or flags.isna().any():
        raise ProvenanceError("the range that the rows cover is unknown, so no bucket is known to be whole")
    result = frame.loc[~flags.to_numpy(dtype=bool)].copy()
    tz = find_zone(meta.zone)
    whole = _whole(meta.start, meta.end, meta, tz) if meta.step and is_dated else (meta.start, meta.end)
    if whole is None or (not is_dated and len(result) < len(frame)):
        return attach_meta(result, meta.with_range(meta.start, meta.start))
    if whole != (meta.start, meta.end):
        meta = meta.with_range(*whole)
    if meta.choice and meta.step and is_dated:
        start, end = checked.meta.covered
        assert start and end  # noqa: S101, PT018 - those of the range, where the choice has none
        covered = _whole(start, end, meta, tz)
        choice = replace(meta.choice, start=covered[0], end=covered[1]) if covered else Choice()
        meta = replace(meta, choice=choice)
    return attach_meta(result, meta)


def _whole(start: datetime, end: datetime, meta: Meta, tz: ZoneInfo) -> tuple[datetime, datetime] | None:
    """Return the range of the whole buckets, ``None`` where there is none."""
    step = meta.step or ""
    first = find_bounds(floor_to_bucket(to_seconds(start), step, tz), step, tz)
    low = start if from_seconds(first.start) >= start else from_seconds(first.end)
    final = find_bounds(
        floor_to_bucket(to_seconds(end if meta.now is None else min(end, meta.now)), step, tz), step, tz
    )
    high = from_seconds(final.start)
    return (low, high) if low < high else None
