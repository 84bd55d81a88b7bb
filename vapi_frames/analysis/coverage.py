"""How complete the call records behind a frame are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from vapi_frames.calendar.buckets import find_zone, to_local
from vapi_frames.errors import QueryError
from vapi_frames.frames.meta import read_meta
from vapi_frames.query.begin import find_late_begin

if TYPE_CHECKING:
    from vapi_frames.frames.meta import Meta

__all__ = ["coverage", "describe_coverage", "describe_late_begin"]

_SAID = {
    "open": "{} still open",
    "withoutEnd": "{} over without an end",
    "withoutCost": "{} without a cost",
    "withoutId": "{} without an id",
    "skippedOutputs": "{} with an output that was skipped",
    "withoutOutputs": "{} without an output",
}
_SOURCES = {"api": "the API", "warehouse": "a warehouse"}


def coverage(frame: pd.DataFrame) -> pd.Series[int]:
    """Return how complete the call records behind *frame* are; see ``df.vapi.coverage``.

    Returns:
        int64 counts by name, ``calls`` first.

    Raises:
        ProvenanceError: The frame knows nothing of itself.
        QueryError: It is from no call records.

    Examples:
        >>> import vapi_frames as vf
        >>> int(vf.analysis.coverage(vf.demo().call().count().during("2026-10").fetch())["calls"])
        13495
    """
    meta = read_meta(frame)
    if not meta.coverage:
        source = _SOURCES.get(meta.source, f"a {meta.source}")
        raise QueryError(
            f"only frames from call records have coverage, and this frame is from {source}: fetch its query from "
            'vf.local(calls), or from an archive of the API\'s calls, vf.local("calls/")'
        )
    index = pd.Index(list(meta.coverage), dtype="str")
    return pd.Series(list(meta.coverage.values()), index=index, dtype="int64", name="coverage")


def describe_coverage(meta: Meta) -> str:
    """Return a sentence on what is missing, empty where all is there."""
    counts = dict(meta.coverage)
    if "withoutEnd" in counts:
        counts["withoutEnd"] -= counts["open"]
    lacks = [text.format(f"{counts[name]:,}") for name, text in _SAID.items() if counts.get(name)]
    parts = []
    if lacks:
        parts.append(f"of {_count(counts['calls'], 'call')}, {', '.join(lacks)}")
    if skipped := counts.get("skipped"):
        parts.append(f"{_count(skipped, 'record')} skipped")
    if missing := counts.get("missingDays"):
        expired = counts["expiredDays"]
        gone = f", {expired:,} of them past what the API keeps" if expired else ""
        parts.append(f"{_count(missing, 'day')} not all there{gone}")
    return f"Not all is there: {'; '.join(parts)}." if parts else ""


def describe_late_begin(meta: Meta) -> str:
    """Return a sentence on records that begin after the first day of the range, empty where they do not."""
    start, end = meta.covered
    if start is None or end is None or start == end:
        return ""
    tz = find_zone(meta.zone)
    day = find_late_begin(start, end, tz, begin=meta.records_begin)
    if day is None:
        return ""
    before = (day - to_local(start, tz).date()).days
    return (
        f"The records begin on {day}, so {_count(before, 'day')} of the range {'have' if before > 1 else 'has'} none."
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
