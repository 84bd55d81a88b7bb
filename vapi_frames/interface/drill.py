"""From a query, or from the rows of a frame, to the calls that they count."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vapi_frames.errors import ProvenanceError, QueryError, RecordsWarning, SourceError, StatusError, warn
from vapi_frames.query.drill import make_drill

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import pandas as pd

    from vapi_frames.frames.meta import Meta
    from vapi_frames.query.drill import Drill
    from vapi_frames.query.query import Query
    from vapi_frames.result.drilled import DrilledCalls
    from vapi_frames.sources.api.source import ApiSource

__all__ = ["drill_frame", "drill_query"]

_NO_LIST = (404, 405, 501)
_MOST_FILTERED = 1_000  # values of a group that become a filter


def drill_query(vq: Any, query: Query[Any], columns: Sequence[str] | None, limit: int | None) -> pd.DataFrame:
    """Return the calls that *query* counts; see `Query.drill`."""
    from vapi_frames.frames.calls import build_calls

    drill = make_drill(query, columns, limit)
    drilled = _fetch(vq, drill)
    if drilled.is_cut:
        _warn_of_cut(limit)
    return build_calls(drilled, query.zone.key)


def drill_frame(frame: pd.DataFrame, vq: Any, columns: Sequence[str] | None, limit: int | None) -> pd.DataFrame:
    """Return the calls behind the rows of *frame*; see `VapiAccessor.drill`."""
    from vapi_frames.frames.calls import build_calls, find_calls_of
    from vapi_frames.frames.layout import to_indexed
    from vapi_frames.frames.provenance import check_frame

    frame = to_indexed(frame)
    checked = check_frame(frame)
    query, is_exact = _find_query(checked.meta, frame)
    drill = make_drill(query, columns, limit)
    if is_exact:
        return drill_query(vq, query, columns, limit)
    calls = build_calls(_fetch(vq, replace(drill, limit=None)), query.zone.key)
    calls = calls[find_calls_of(calls, frame.index)]
    if limit is not None and len(calls) > limit:
        _warn_of_cut(limit)
        calls = calls.iloc[:limit]
    return calls


def _warn_of_cut(limit: int | None) -> None:
    warn(
        f"drill returns the first {limit:,} calls, and there are more: pass limit=None for all of them, or choose a "
        "shorter range or fewer groups",
        RecordsWarning,
    )


def _fetch(vq: Any, drill: Drill) -> DrilledCalls:
    """Return the calls from the source of *vq*.

    Raises:
        SourceError: It has no calls.
    """
    from vapi_frames.sources.api.source import ApiSource
    from vapi_frames.sources.progress import showing

    source, now = vq.source, vq.now()
    with showing(None):
        if isinstance(source, ApiSource) and source.client.connection is not None:
            return _fetch_listed(source, drill, now)
        drill_records = getattr(source, "drill", None)
        if drill_records is None:
            raise SourceError(
                f"{source!r} has totals, and no calls to drill into: drill call records instead, "
                "e.g. vf.local(calls).drill(query)"
            )
        found: DrilledCalls = drill_records(drill, now)
        return found


def _fetch_listed(source: ApiSource, drill: Drill, now: datetime) -> DrilledCalls:
    """Return the calls that the API lists, which are paged into a temporary file."""
    from vapi_frames.calendar.ranges import fill_defaults
    from vapi_frames.sources.archive.download import download
    from vapi_frames.sources.local.engine import start_database
    from vapi_frames.sources.records.columns import record_columns
    from vapi_frames.sources.records.drill import list_sources

    start_database()  # raises before anything is sent
    connection: Any = source.client.connection
    assistants = dict(drill.query.filters).get("assistantId", ())
    only = {"assistantId": assistants[0]} if len(assistants) == 1 and assistants[0] is not None else {}
    span = fill_defaults(drill.query.instants(now), now)
    keep = [*list_sources(drill), *record_columns(drill.query)]
    try:
        records = download(connection, span, now, keep=keep, parameters=only)
    except StatusError as error:
        if error.status not in _NO_LIST:
            raise
        raise SourceError(
            f"{source!r} does not list calls: its GET /call replied {error.status}. Drill call records instead, "
            "e.g. vf.local(calls).drill(query)"
        ) from error
    try:
        return records.drill(drill, now)
    finally:
        records.close()


def _find_query(meta: Meta, frame: pd.DataFrame) -> tuple[Query[Any], bool]:
    """Return a query that counts the calls behind the rows of *frame*, and whether it counts no others.

    Raises:
        QueryError: The frame is a comparison, or a verb made its groups.
        ProvenanceError: It is unknown which calls the rows count.
    """
    if meta.before:
        raise QueryError(
            "the frame is a comparison, and each row counts calls of two periods: drill the query of one of them, "
            f"{meta.result_query}.drill()"
        )
    if meta.derived_levels:
        level = next(iter(meta.derived_levels))
        raise QueryError(
            f"a verb made the level {level!r}, which no call has: drill the frame as it was before that verb"
        )
    if meta.has_mixed_rows:
        raise ProvenanceError(
            "a verb such as rollup put rows together after others had been left out, so it is unknown which calls a "
            "row counts: drill the frame as it was before that verb"
        )
    choice = meta.choice
    is_exact = (choice is None or choice.is_query) and not meta.is_incomplete
    query = meta.query if is_exact else replace(meta, choice=None).query
    start, end = meta.covered
    if start is None or end is None:
        raise ProvenanceError(
            "the frame does not know which time it covers, and so not which calls its rows count: drill a query of a "
            "range, e.g. vq.drill(df.vapi.query.between(start, end))"
        )
    query = query.between(start, end)  # a relative range would move on with the clock
    words = meta.query_groups()
    # Of a level that is gone there is a filter.
    left: list[tuple[str, Any]] = [words[level] for level in meta.levels if level in words]
    query = replace(
        query,
        groups=tuple(name for kind, name in left if kind == "group"),
        variables=tuple(name for kind, name in left if kind == "variable"),
        outputs=tuple(name for kind, name in left if kind == "output"),
    )
    return (query, True) if is_exact else (_narrow(query, meta, frame, (start, end)), False)


def _narrow(query: Query[Any], meta: Meta, frame: pd.DataFrame, span: tuple[datetime, datetime]) -> Query[Any]:
    """Return *query* over the buckets and the groups that *frame* has rows of: fewer calls to choose from."""
    from vapi_frames.calendar.buckets import find_bounds, find_zone, from_seconds
    from vapi_frames.frames.levels import drop_unused, read_levels
    from vapi_frames.frames.origin import to_micros
    from vapi_frames.query.filters import merge_filters

    start, end = span
    if not len(frame):
        return query.between(start, start + start.resolution)
    for level in map(drop_unused, read_levels(frame.index)):
        if level.name == "date":
            if meta.step and len(level.uniques):
                seconds = to_micros(level.uniques) // 1_000_000
                zone = find_zone(meta.zone)
                first, last = (find_bounds(int(one), meta.step, zone) for one in (seconds.min(), seconds.max()))
                query = query.between(max(start, from_seconds(first.start)), min(end, from_seconds(last.end)))
        elif level.name in meta.query_groups() and len(level.uniques) <= _MOST_FILTERED:
            kind, name = meta.query_groups()[level.name]
            texts = [*map(str, level.uniques), *([None] if (level.codes < 0).any() else [])]
            word = name if kind == "group" else f"{kind}.{name}"
            query = replace(query, filters=merge_filters(query.filters, ((word, tuple(texts)),)))
    return query
