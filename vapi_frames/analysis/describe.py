"""A frame described in sentences: what a reader, or a screen reader, should know before the numbers."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from vapi_frames.analysis.coverage import describe_coverage, describe_late_begin
from vapi_frames.calendar.buckets import find_zone
from vapi_frames.display import Prose
from vapi_frames.errors import ProvenanceError
from vapi_frames.frames.layout import keep_layout
from vapi_frames.frames.meta import Meta, read_meta
from vapi_frames.frames.partial import partial
from vapi_frames.frames.provenance import read_choice, units
from vapi_frames.query.filters import merge_filters

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

__all__ = ["describe", "with_units"]


def describe(frame: pd.DataFrame) -> str:
    """Return in a few sentences what *frame* is: measures with units, groups, range, zone, partial and absent rows.

    Returns:
        Text, fit for a caption or the description of a chart.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").by("type").step("day").during("2026-10").fetch()
        >>> print(df.vapi.describe())
        The sum of cost (sumCost, USD), per day in UTC and by type. From 2026-10-01 00:00 until 2026-10-31 24:00 UTC.
        93 rows. Source: call records.
    """
    try:
        return Prose(_describe(frame, read_choice(frame)))
    except ProvenanceError as error:  # a description says what there is; the verbs refuse
        meta = read_meta(frame)
        return Prose(f"These are not rows as fetched: {error}. Fetched was: {_describe(frame, meta, is_fetched=False)}")


def _describe(frame: pd.DataFrame, meta: Meta, *, is_fetched: bool = True) -> str:
    measures = re.sub("^the ", "The ", _describe_measures(frame, meta))  # the name of a column stays as it is
    parts = [f"{measures}{_describe_index(meta)}.", _describe_range(meta)]
    if meta.before:
        start, end = meta.before
        parts.append(f"Compared with {_format_time(start, meta)} until {_format_time(end, meta, is_end=True)}.")
    filters = merge_filters(meta.filters, meta.choice.filters if meta.choice else ())
    parts += [f"Only calls with {name} {_describe_values(values)}." for name, values in filters]
    parts.append(_describe_rows(frame, meta) if is_fetched else f"{_count_rows(meta.rows)}.")
    parts.append(f"Source: {_SOURCES.get(meta.source, 'a reply')}.")
    parts += filter(None, [describe_late_begin(meta), describe_coverage(meta)])
    return " ".join([*parts, *(f"Note: {note}." for note in meta.notes)])


@keep_layout
def with_units(frame: pd.DataFrame) -> pd.DataFrame:
    """Return *frame* with the unit of each measure in its header, ``sumCost (USD)``: a table to be read.

    Verbs do not know these headers: call them on the frame before.

    Raises:
        ProvenanceError: The values of a measure were changed, so its unit is uncertain.

    Examples:
        >>> import vapi_frames as vf
        >>> list(vf.analysis.with_units(vf.demo().call().sum("cost").count().during("2026-10").fetch()))
        ['sumCost (USD)', 'countId (calls)']
    """
    return frame.rename(columns={name: f"{name} ({unit})" for name, unit in units(frame).items() if unit})


_SOURCES = {"calls": "call records", "api": "the Vapi API", "warehouse": "a warehouse"}
_OPERATIONS = {"nunique": "number of different values", "avg": "average", "min": "minimum", "max": "maximum"}


def _describe_measures(frame: pd.DataFrame, meta: Meta) -> str:
    parts = []
    for one in meta.aggregations:
        if one.name not in frame.columns:
            continue
        named = ", ".join(part for part in (one.name, meta.units[one.name]) if part)
        if one.operation == "count":
            what = "number of calls" if one.column == "id" else f"number of calls with {one.column}"
        else:
            operation = f"quantile {one.q:g}" if one.q is not None else _OPERATIONS.get(one.operation, one.operation)
            what = f"{operation} of {one.column}"
        parts.append(f"the {what} ({named})")
    parts += [
        f"{name} ({column.unit})" if column.unit else name
        for name, column in meta.derived.items()
        if name in frame.columns and column.rule != "flag"
    ]
    return _join(parts, "and") or "No measure"


def _describe_index(meta: Meta) -> str:
    groups = [name for name in meta.levels if name != "date"]
    parts = []
    if "date" in meta.levels:
        parts.append(f"per {meta.step} in {meta.zone}" if meta.step else f"at each change, in {meta.zone}")
    if groups:
        zone = f" in {meta.zone}" if "date" in meta.derived_levels.values() else ""
        parts.append(f"by {_join(groups, 'and')}{zone}")
    return f", {' and '.join(parts)}" if parts else ""


def _describe_range(meta: Meta) -> str:
    start, end = meta.covered
    if start is None or end is None:
        return "The range is unknown."
    if start == end:
        return "No bucket of the range is whole."
    return f"From {_format_time(start, meta)} until {_format_time(end, meta, is_end=True)} {meta.zone}."


def _format_time(at: datetime, meta: Meta, *, is_end: bool = False) -> str:
    wall = at.astimezone(find_zone(meta.zone))
    if is_end and (wall.hour, wall.minute, wall.second, wall.microsecond) == (0, 0, 0, 0):
        return f"{wall - timedelta(days=1):%Y-%m-%d} 24:00"  # the end of a day, not the begin of the next
    return f"{wall:%Y-%m-%d %H:%M}"


def _describe_rows(frame: pd.DataFrame, meta: Meta) -> str:
    text = _count_rows(len(frame))
    if len(frame) != meta.rows:
        text += f" of {meta.rows:,}"
    elif meta.has_missing_rows:
        text += "; others were left out"
    if meta.choice and not meta.choice.is_query and len(frame):
        text += ", which no query selects"
    try:
        flags = partial(frame)
    except ProvenanceError:  # the dates are none
        return f"{text}."
    if meta.step is not None and (cut := int(flags.fillna(value=False).sum())):
        text += f", {cut} of them in a partial {meta.step}"
    return f"{text}."


def _count_rows(rows: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def _describe_values(values: tuple[str | None, ...]) -> str:
    return _join(["missing" if value is None else repr(value) for value in values], "or")


def _join(parts: list[str], conjunction: str) -> str:
    """Return *parts* as text: ``a, b and c``."""
    return f" {conjunction} ".join([", ".join(parts[:-1]), *parts[-1:]] if len(parts) > 1 else parts)
