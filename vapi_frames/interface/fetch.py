"""Queries to frames: names them, fetches their results from a source, and returns what arrived if some did not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from vapi_frames.calendar.ranges import AbsoluteRange
from vapi_frames.errors import PartialResultError, QueryError, RecordsWarning, warn
from vapi_frames.query import lint
from vapi_frames.query.begin import describe_begin
from vapi_frames.query.comparison import Comparison
from vapi_frames.query.compile import compile_query
from vapi_frames.query.query import Query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import pandas as pd

    from vapi_frames.query.spec import ProgressOption
    from vapi_frames.result.result import Result
    from vapi_frames.sources import Source

__all__ = ["fetch_comparison", "fetch_frames", "fetch_results", "name_queries"]


def name_queries(queries: Sequence[Query[Any]], now: datetime, linted: Sequence[Query[Any]]) -> dict[str, Query[Any]]:
    """Return name → query; equal queries without a name are one. Those that are *linted* warn of their findings.

    Raises:
        QueryError: There is no query, one is not a query, or two have one name.
    """
    if not queries:
        raise QueryError("nothing to fetch: pass at least one query, e.g. vq.call().count()")
    for query in queries:
        if not isinstance(query, Query):
            raise QueryError(f"fetch takes queries, not {type(query).__name__}; start one with vq.call()")
    named: dict[str, Query[Any]] = {}
    for query in queries:
        if query in linted:
            lint.warn_once(query, now)
        name: str = compile_query(query, now)["name"]
        if name in named and query.title is not None:
            raise QueryError(f"two queries are named {name!r}: give each a name of its own with .named(...)")
        named[name] = query
    return named


def fetch_frames(
    vq: Any, named: Mapping[str, Query[Any]], now: datetime, *, progress: ProgressOption = None, **options: Any
) -> dict[str, pd.DataFrame]:
    """Return name → frame for *named* queries, fetched by *vq*; *options* are those of `build`."""
    return _fetch(vq, named, now, progress=progress, **options)[0]


def _fetch(
    vq: Any, named: Mapping[str, Query[Any]], now: datetime, *, progress: ProgressOption = None, **options: Any
) -> tuple[dict[str, pd.DataFrame], list[Result]]:
    """Return the frames of *named* queries, and their results."""
    from vapi_frames.frames.build import check_options

    check_options(**options)
    source = vq.source  # the vq may be closed before the result arrives
    results = fetch_results(vq, named, now, progress=progress, **options)
    frames = _build_frames(source, named, results, now, units=vq.units, **options)
    measured = {(one.operation, one.column) for query in named.values() for one in query.measures}
    if measured >= {("sum", "duration"), ("sum", "minutesUsed")}:
        from vapi_frames.frames.duration_check import check_minutes

        check_minutes(frames.values())
    return frames, results


def fetch_comparison(vq: Any, comparison: Comparison, *, as_index: bool = True, **options: Any) -> pd.DataFrame:
    """Return both periods of *comparison*, fetched by *vq* together; *options* are those of `fetch_frames`.

    Raises:
        QueryError: It is not a comparison, or the query is wrong.
    """
    from vapi_frames.frames.build import check_options
    from vapi_frames.frames.layout import to_flat
    from vapi_frames.frames.origin import add_note
    from vapi_frames.frames.side_by_side import compare_frames

    if not isinstance(comparison, Comparison):
        raise QueryError(f"compare takes a comparison, vq.call()....compare(...), not {type(comparison).__name__}")
    check_options(as_index=as_index)
    now = vq.now()
    both = cast("tuple[Query[Any], Query[Any]]", comparison.queries(now))
    lint.warn_once(both[0], now)  # one warning for both periods
    frames, results = _fetch(vq, name_queries(both, now, ()), now, **options)
    present, before = frames.values()
    periods = comparison.periods(now)
    compared = compare_frames(present, before, comparison, periods)
    if note := describe_begin(comparison, periods, results[1].records_begin, _find_first(before, both[1])):
        warn(note, RecordsWarning)
        compared = add_note(compared, note)
    return compared if as_index else to_flat(compared)


def _find_first(frame: pd.DataFrame, query: Query[Any]) -> datetime | None:
    """Return the first bucket with any call; ``None`` where a filter, or no row, leaves that open."""
    if not query.time_step or query.filters or frame.empty:
        return None
    first: datetime = frame.index.get_level_values("date").min()
    return first


def fetch_results(
    vq: Any, named: Mapping[str, Query[Any]], now: datetime, *, progress: ProgressOption = None, **options: Any
) -> list[Result]:
    """Return the result of each query.

    Raises:
        PartialResultError: Some did not arrive; it has the frames of those that did.
    """
    from vapi_frames.frames.origin import add_note
    from vapi_frames.sources import IncompleteError, format_ranges
    from vapi_frames.sources.progress import showing

    source = vq.source
    try:
        with showing(progress):
            results: list[Result] = source.answer(list(named.values()), now)
            return results
    except IncompleteError as error:
        incomplete, cause = error, error.__cause__
    frames = {}
    for (name, query), result, ranges in zip(named.items(), incomplete.results, incomplete.missing, strict=True):
        if result is not None:
            frame = _build_frames(source, {name: query}, [result], now, units=vq.units, **options)[name]
            note = f"did not arrive: {format_ranges(ranges)}"
            frames[name] = add_note(frame, note, is_incomplete=True) if ranges else frame
    missing = [
        (name, query, span)
        for (name, query), spans in zip(named.items(), incomplete.missing, strict=True)
        for span in spans
    ]
    raise PartialResultError(
        str(incomplete),
        frames=frames,
        frame=frames.get(missing[0][0]),
        missing=[span for _, _, span in missing],
        rest=[replace(query, time_range=AbsoluteRange(*span), title=None, vq=vq) for _, query, span in missing],
    ) from cause


def _build_frames(
    source: Source, named: Mapping[str, Query[Any]], results: Sequence[Result], now: datetime, **options: Any
) -> dict[str, pd.DataFrame]:
    from vapi_frames.frames.build import build

    return {
        name: build(result, query, source=source.kind, now=now, **options)
        for (name, query), result in zip(named.items(), results, strict=True)
    }
