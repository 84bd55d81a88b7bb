"""A result as a reply of the contract: sparse flat rows, counts as text, instants in UTC."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vapi_frames.calendar.ranges import fill_defaults
from vapi_frames.cancellation import raise_if_cancelled
from vapi_frames.contract.vocabulary import default_name
from vapi_frames.errors import QueryError, ResponseError
from vapi_frames.result.ordering import sort_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from vapi_frames.contract.models import AnalyticsQuery
    from vapi_frames.query.query import Query
    from vapi_frames.result.result import Result

__all__ = ["row_keys", "write_replies", "write_reply"]

_ROWS = 10_000  # rows that are written at a time; between two lots, the work can be canceled


def row_keys(request: AnalyticsQuery, query: Query[Any], *, dated: bool) -> list[str]:
    """Return the keys of a row, in the order of the result's columns.

    An operation has its alias as key, else the API's own name; a group has its name; a variable has its key, or
    ``variable.<key>`` where something else has that key.

    Raises:
        QueryError: Two columns have the same key.
    """
    operations = [one.alias or default_name(one.operation, one.column) for one in request.operations]
    fixed = [*(["date"] if dated else []), *query.groups]
    variables = [f"variable.{key}" if key in (*fixed, *operations) else key for key in query.variables]
    keys = [*fixed, *variables, *operations]
    if len(set(keys)) < len(keys):
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise QueryError(f"two keys of a row would be {repeated!r}; give an operation another alias")
    return keys


def write_replies(
    results: Sequence[Result], requests: Sequence[AnalyticsQuery], queries: Sequence[Query[Any]], now: datetime
) -> bytes:
    """Return the body of a reply to several queries; the errors are those of `write_reply`."""
    written = (write_reply(*one, now) for one in zip(results, requests, queries, strict=True))
    parts = [part for one in written for part in (b",", *one)]
    return b"".join([b"[", *parts[1:], b"]"])


def write_reply(result: Result, request: AnalyticsQuery, query: Query[Any], now: datetime) -> Iterator[bytes]:
    """Yield the JSON of one element of a reply.

    Args:
        result: The result of *query*.
        request: The query as it was received.
        query: The same, as the source answered it.
        now: The time that relative ranges are relative to.

    Raises:
        ResponseError: A number is infinite, which JSON cannot hold.
    """
    start, end = fill_defaults(query.instants(now), now)
    span = {"start": result.start or start, "end": result.end or end}
    echo = {
        **({"step": query.time_step} if query.time_step else {}),
        **{name: _format_instants(pa.array([at], pa.timestamp("us", "UTC")))[0] for name, at in span.items()},
        "timezone": query.zone.key,
    }
    yield f'{{"name":{_dump(request.name)},"timeRange":{_dump(echo)},"result":['.encode()
    table = sort_table(result, query)
    dated = pa.types.is_timestamp(table.schema.field(0).type)
    heads = [f"{_dump(key)}:" for key in row_keys(request, query, dated=dated)]
    for place in range(0, len(table), _ROWS):
        raise_if_cancelled()
        lot = table.slice(place, _ROWS)
        columns = [_format_cells(column, head) for head, column in zip(heads, lot.columns, strict=True)]
        rows = ",".join(f"{{{','.join(row)}}}" for row in zip(*columns, strict=True))
        yield f"{',' if place else ''}{rows}".encode()
    yield b"]}"


def _format_cells(column: pa.ChunkedArray, head: str) -> list[str]:
    """Return the ``"key":value`` of each row; *head* is ``"key":``."""
    if pa.types.is_timestamp(column.type):
        return [f'{head}"{text}"' for text in _format_instants(column)]
    if pa.types.is_integer(column.type):
        return [f"{head}null" if value is None else f'{head}"{value}"' for value in column.to_pylist()]
    if pa.types.is_string(column.type):
        encoded = column.combine_chunks().dictionary_encode()
        texts = [*(head + _dump(text) for text in encoded.dictionary.to_pylist()), f"{head}null"]
        return [texts[code] for code in encoded.indices.fill_null(len(texts) - 1).to_pylist()]
    if pc.call_function("any", [pc.call_function("is_inf", [column])]).as_py():
        raise ResponseError(f"a value of {head[:-1]} is infinite, which JSON cannot hold")
    return [f"{head}null" if value is None or value != value else f"{head}{value!r}" for value in column.to_pylist()]  # noqa: PLR0124 - NaN


def _format_instants(column: pa.Array | pa.ChunkedArray) -> list[str]:
    """Return instants as ISO 8601 in UTC: with milliseconds, or with microseconds where any of them has some."""
    micros = column.cast(pa.int64()).to_numpy()
    unit: Literal["us", "ms"] = "us" if (micros % 1000).any() else "ms"
    texts = np.datetime_as_string(micros.astype("datetime64[us]"), unit=unit, casting="unsafe")
    return [f"{text}Z" for text in texts.tolist()]


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
