"""`to_frame`: a reply that was received in some other way, as the settled frame."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from vapi_frames.calendar.ranges import RelativeRange, parse_now
from vapi_frames.contract.models import parse_replies
from vapi_frames.contract.packed_rows import PackedRows
from vapi_frames.contract.vocabulary import GROUP_COLUMNS, MEASURES, STEPS, SUBSCRIPTION_COLUMNS
from vapi_frames.errors import QueryError, ResponseError, format_value
from vapi_frames.frames.build import build, check_options
from vapi_frames.query.aggregation import Aggregation
from vapi_frames.query.compile import check_in_contract
from vapi_frames.query.query import Query
from vapi_frames.query.rewrite import rewrite_filters
from vapi_frames.result.merge import read_reply
from vapi_frames.result.post_filter import apply_filters
from vapi_frames.result.reply import match_replies, unwrap_sdk_objects

if TYPE_CHECKING:
    from typing import Any

    import pandas as pd

    from vapi_frames.contract.models import AnalyticsQueryResult
    from vapi_frames.contract.vocabulary import Step, Table

__all__ = ["to_frame"]

_NOTE = "partial: as of when the reply was read, which it does not say; for an older reply pass now= to to_frame"


def to_frame(
    reply: Any, query: Query[Any] | None = None, *, now: datetime | str | None = None, as_index: bool = True
) -> pd.DataFrame:
    """Return a reply of ``POST /analytics``, however it was received, as the settled frame.

    Args:
        reply: Bytes or text, the values that ``json.loads`` returns for it, or the official SDK's result objects.
        query: The query. With it and a single result, names need not match. Of a query with filters, the reply
            is that to its body. Without it, ``date``, the five group columns and the API's default measure names are
            recognized.
        now: When the reply was received, which decides which buckets are partial. A reply does not say it; by default,
            it is the clock of the query's source or of this machine, and a note says so.
        as_index: Whether the levels are the index; ``False`` makes them the first columns, as in pandas.

    Raises:
        QueryError: *query* is not a query, or *now* not a time.
        ResponseError: The reply breaks the contract, or holds something that only the query explains.

    Examples:
        >>> to_frame('[{"name": "q", "timeRange": {"step": "day"}, "result":'
        ...          ' [{"date": "2026-10-01T00:00:00.000Z", "countId": "42"}]}]')
                                   countId
        date
        2026-10-01 00:00:00+00:00       42
    """
    if query is not None and not isinstance(query, Query):
        raise QueryError(f"query must be a Query, not {type(query).__name__}")
    check_options(as_index=as_index)
    known = None if now is None else parse_now(now)
    replies = parse_replies(unwrap_sdk_objects(reply))
    clock = known or (query.vq.now() if query is not None and query.vq else datetime.now(UTC))
    if query is None:
        if len(replies) != 1:
            named = ", ".join(repr(one.name) for one in replies) or "none"
            raise ResponseError(f"the reply has {len(replies)} results ({named}); pass query= to pick one")
        query = _infer(replies[0])
        dated = query.time_step is not None or "date" in _list_keys(replies[0])
        result = read_reply(replies[0], query, None, dated=dated)
    else:
        check_in_contract(query)
        is_relative = isinstance(query.time_range, RelativeRange)
        place = 0
        if len(replies) != 1:
            [place] = match_replies([one.name for one in replies], [query.body(clock)["queries"][0]["name"]])
        rewritten = rewrite_filters(query)
        # Without a range, the range depends on when the query was sent: an assumed clock does not decide it.
        read_at = clock if is_relative else known
        result = read_reply(
            replies[place], rewritten, read_at, place=place, check_range=not (is_relative and not known)
        )
        result = apply_filters(result, query, rewritten)
    if known is None and result.end is not None:
        result = replace(result, notes=(*result.notes, _NOTE))
    return build(result, query, source="reply", now=clock, as_index=as_index)


def _infer(reply: AnalyticsQueryResult) -> Query[Any]:
    """Return the query that the keys of a reply's rows imply.

    Raises:
        ResponseError: They do not, or a row is no object.
    """
    measures = {one.name: one for one in MEASURES}
    query: Query[Any] = Query(table="call")
    for key in _list_keys(reply):
        if key in measures:
            one = measures[key]
            table: Table = "subscription" if one.column in SUBSCRIPTION_COLUMNS else "call"
            aggregations = (*query.aggregations, Aggregation(one.operation, one.column))
            query = replace(query, table=table, aggregations=aggregations)
        elif key in GROUP_COLUMNS:
            query = query.by(key)
        elif key != "date":
            raise ResponseError(
                f"only the query explains the key {format_value(key)}: pass query=", path="$[0].result[0]"
            )
    if not query.aggregations:
        raise ResponseError(
            "no row has a measure, so the reply cannot be read without its query: pass query=", path="$[0].result"
        )
    span = reply.time_range
    if span.step in STEPS:
        query = query.step(cast("Step", span.step))
    return query.tz(span.timezone) if span.timezone else query


def _list_keys(reply: AnalyticsQueryResult) -> list[Any]:
    """Return the keys of the rows, in the order in which they come.

    Raises:
        ResponseError: A row is no object.
    """
    if isinstance(reply.result, PackedRows):
        return list(reply.result.table.column_names)
    for position, row in enumerate(reply.result):
        if not isinstance(row, dict):
            raise ResponseError(f"a row must be an object, not {format_value(row)}", path=f"$[0].result[{position}]")
    return list(dict.fromkeys(key for row in reply.result for key in row))
