"""What a request may query: lists of bounded length, queries with a meaning, and not too many buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vapi_frames.calendar.buckets import count_buckets
from vapi_frames.calendar.ranges import fill_defaults
from vapi_frames.errors import QueryError, RecordsError
from vapi_frames.query.query import Query
from vapi_frames.sources.records.columns import record_columns

if TYPE_CHECKING:
    from datetime import datetime

    from vapi_frames.contract.models import AnalyticsQuery

__all__ = ["PART_LIMIT", "RefusedError", "check_buckets", "check_lengths", "is_about_query", "read_queries"]

PART_LIMIT = 100  # operations, and variables, of a query: the time to read them grows with the square of their number
BUCKET_LIMIT = 1_000_000  # buckets of a request for concurrency, which has a row for each


class RefusedError(Exception):
    """The request gets an error with a message."""

    def __init__(self, message: str | list[str], status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def check_lengths(content: Any, query_limit: int) -> None:
    """Refuse long lists, before the validation, which takes long for them."""
    queries = content.get("queries") if isinstance(content, dict) else None
    lists = {"$.queries": (queries, query_limit)}
    for position, query in enumerate(queries[:query_limit] if isinstance(queries, list) else ()):
        for field in ("groupBy", "groupByVariableValue", "operations") if isinstance(query, dict) else ():
            lists[f"$.queries[{position}].{field}"] = (query.get(field), PART_LIMIT)
    for path, (elements, limit) in lists.items():
        if isinstance(elements, list) and len(elements) > limit:
            raise QueryError(f"{path} has {len(elements)} elements, at most {limit} are allowed")


def read_queries(models: list[AnalyticsQuery]) -> list[Query[Any]]:
    """Return the queries of *models*; refuse with a message for each wrong one."""
    queries, messages = [], []
    for position, model in enumerate(models):
        try:
            queries.append(Query.from_body(model))
        except QueryError as error:
            messages.append(f"$.queries[{position}]: {error}")
    if messages:
        raise RefusedError(messages)
    return queries


def check_buckets(queries: list[Query[Any]], now: datetime) -> None:
    """Refuse too many buckets of concurrency, which has a row for each bucket of the range, with calls or without."""
    dense = [q for q in queries if q.time_step and any(one.column == "concurrency" for one in q.measures)]
    count = sum(
        count_buckets(*fill_defaults(query.instants(now), now), query.time_step or "day", query.zone) for query in dense
    )
    if count > BUCKET_LIMIT:
        raise QueryError(
            f"concurrency has a row for each bucket of its range, here about {count:,}, and a request at most "
            f"{BUCKET_LIMIT:,}: send a longer step or a shorter range"
        )


def is_about_query(error: RecordsError, queries: list[Query[Any]]) -> bool:
    """Return whether the records lack a column of a query: the client can change that, and may read the message."""
    used = {name for query in queries for name in (*record_columns(query)[1:], *query.variables)}
    # An error of a value comes from the engine; its message has the value.
    is_of_value = error.file is not None or error.line is not None or error.__cause__ is not None
    return error.column in used and not is_of_value
