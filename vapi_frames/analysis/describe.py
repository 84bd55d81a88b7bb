"""A frame in words: what a reader, or a screen reader, should know before the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vapi_frames.calendar.buckets import find_zone
from vapi_frames.errors import ProvenanceError
from vapi_frames.frames.meta import Meta, merge_filters, read_meta
from vapi_frames.frames.partial import partial
from vapi_frames.frames.provenance import read_choice, units

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

__all__ = ["describe", "with_units"]


def describe(frame: pd.DataFrame) -> str:
    """Return in a few sentences what *frame* is: measures with units, groups, range, zone, partial and chosen rows.

    Returns:
        Text, fit for a caption or the description of a chart.

    Examples:
        >>> import vapi_frames as vf
        >>> df = vf.demo().call().sum("cost").by("type").step("day").during("2026-10").fetch()
        >>> print(df.vapi.describe())
        The sum of cost (sumCost, USD), per day in UTC and by type. From 2026-10-01 00:00 until 2026-10-31 24:00 UTC.
        93 rows. Answered from call records.
    """
    meta = read_meta(frame)
    try:
        found = read_choice(frame)
    except ProvenanceError as error:  # which the verbs raise
        return f"These are not rows as fetched: {error}. Fetched was this: {_describe(frame, meta, is_fetched=False)}"
    return _describe(frame, found)


def _describe(frame: pd.DataFrame, meta: Meta, *, is_fetched: bool = True) -> str:
    parts = [f"{_capital(_measures(frame, meta))}{_split(meta)}.", _range(meta)]
    if meta.before:
        parts.append(f"Compared with {_side(meta.before[0], meta)} until {_side(meta.before[1], meta, ends=True)}.")
    filters = merge_filters(meta.filters, meta.choice.filters if meta.choice else ())
    parts += [f"Only calls whose {word} is {_values(values)}." for word, values in filters]
    parts.append(_rows(frame, meta) if is_fetched else f"{_counted(meta.rows)}.")
    source = {"calls": "from call records", "api": "by the Vapi API", "warehouse": "by a warehouse"}
    parts.append(f"Answered {source.get(meta.source, 'by a reply')}.")
    parts += [f"Note: {note}." for note in meta.notes]
    return " ".join(part for part in parts if part)


def with_units(frame: pd.DataFrame) -> pd.DataFrame:
    """Return *frame* with the unit of each measure in its header, ``sumCost (USD)``: a table to be read.

    Verbs take the frame from before, whose columns have the names that they know.

    Raises:
        ProvenanceError: The values of a measure were changed, so that its unit may be another.

    Examples:
        >>> import vapi_frames as vf
        >>> list(vf.analysis.with_units(vf.demo().call().sum("cost").count().during("2026-10").fetch()))
        ['sumCost (USD)', 'countId (calls)']
    """
    known = units(frame)
    return frame.rename(columns={name: f"{name} ({unit})" for name, unit in known.items() if unit})


def _measures(frame: pd.DataFrame, meta: Meta) -> str:
    words = {"sum": "sum", "avg": "average", "min": "least", "max": "greatest", "history": "history"}
    parts = []
    for one in meta.aggregations:
        if one.name not in frame.columns:
            continue
        named = ", ".join(part for part in (one.name, meta.units[one.name]) if part)
        if one.operation == "count":
            what = "number of calls" if one.column == "id" else f"number of calls with {one.column}"
        else:
            what = f"{words[one.operation]} of {one.column}"
        parts.append(f"the {what} ({named})")
    parts += [
        f"{name} ({one.unit})" if one.unit else name
        for name, one in meta.derived.items()
        if name in frame.columns and one.rule != "flag"
    ]
    return _listed(parts) or "no measure any more"


def _split(meta: Meta) -> str:
    groups = [name for name in meta.levels if name != "date"]
    by = f"by {_listed(groups)}" if groups else ""
    if "date" not in meta.levels:
        return f", {by}" if by else ""
    per = f"per {meta.step} in {meta.zone}" if meta.step else f"at each change, in {meta.zone}"
    return f", {per}" + (f" and {by}" if by else "")


def _range(meta: Meta) -> str:
    start, end = meta.covered
    if start is None or end is None:
        return "The range is unknown."
    if start == end:
        return "No bucket of the range is whole."
    return f"From {_side(start, meta)} until {_side(end, meta, ends=True)} {meta.zone}."


def _side(at: datetime, meta: Meta, *, ends: bool = False) -> str:
    from datetime import timedelta

    wall = at.astimezone(find_zone(meta.zone))
    if ends and (wall.hour, wall.minute, wall.second, wall.microsecond) == (0, 0, 0, 0):
        return f"{wall - timedelta(days=1):%Y-%m-%d} 24:00"  # as a reader ends a day
    return f"{wall:%Y-%m-%d %H:%M}"


def _rows(frame: pd.DataFrame, meta: Meta) -> str:
    count = len(frame)
    text = _counted(count)
    if count != meta.rows:
        text += f", chosen from {meta.rows:,}"
    elif meta.has_missing_rows:
        text += ", after rows were chosen"
    if meta.choice and not meta.choice.is_query and count:
        text += " such that no query gives them"
    try:
        flags = partial(frame)
    except ProvenanceError:  # which the caller has said, or the dates are none
        return f"{text}."
    if meta.step is not None and (some := int(flags.fillna(value=False).sum())):
        text += f", {some} of them of a partial {meta.step}"
    return f"{text}."


def _counted(rows: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def _values(values: tuple[str | None, ...]) -> str:
    texts = ["missing" if value is None else repr(value) for value in values]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def _capital(text: str) -> str:
    return text[0].upper() + text[1:] if text.startswith("the ") else text
