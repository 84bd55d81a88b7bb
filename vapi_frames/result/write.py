"""An answer as a reply of the contract: sparse flat rows, counts as text, instants in UTC."""

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
from vapi_frames.result.ordering import sorted_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from vapi_frames.contract.models import AnalyticsQuery
    from vapi_frames.query.query import Query
    from vapi_frames.result.result import Result

__all__ = ["row_keys", "write_replies", "write_reply"]

_ROWS = 10_000  # rows that are written at once: between two lots, an answer can be called off


def row_keys(asked: AnalyticsQuery, query: Query[Any], *, dated: bool) -> list[str]:
    """Return the keys of a row, in the order of the answer's columns.

    An operation stands under its alias, else under the API's own name; a group under its name; a variable under its
    key, or ``variable.<key>`` where something else has that key.

    Raises:
        QueryError: Two would stand under one key.
    """
    operations = [one.alias or default_name(one.operation, one.column) for one in asked.operations]
    fixed = [*(["date"] if dated else []), *query.groups]
    variables = [f"variable.{key}" if key in (*fixed, *operations) else key for key in query.variables]
    keys = [*fixed, *variables, *operations]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise QueryError(f"two of a row's keys would be {twice!r}; give an operation another alias")
    return keys


def write_replies(
    answers: Sequence[Result], asked: Sequence[AnalyticsQuery], queries: Sequence[Query[Any]], now: datetime
) -> bytes:
    """Return the body of a reply to several questions; the errors are those of `write_reply`."""
    written = (write_reply(*one, now) for one in zip(answers, asked, queries, strict=True))
    pieces = [piece for one in written for piece in (b",", *one)]
    return b"".join([b"[", *pieces[1:], b"]"])


def write_reply(answer: Result, asked: AnalyticsQuery, query: Query[Any], now: datetime) -> Iterator[bytes]:
    """Yield the JSON of one element of a reply.

    Args:
        answer: The source's.
        asked: The question as it came.
        query: The same, as the source was asked it.
        now: As of when.

    Raises:
        ResponseError: A number is infinite, which JSON cannot say.
    """
    start, end = fill_defaults(query.instants(now), now)
    span = {"start": answer.start or start, "end": answer.end or end}
    echo = {
        **({"step": query.time_step} if query.time_step else {}),
        **{name: _instants(pa.array([at], pa.timestamp("us", "UTC")))[0] for name, at in span.items()},
        "timezone": query.zone.key,
    }
    yield f'{{"name":{_json(asked.name)},"timeRange":{_json(echo)},"result":['.encode()
    table = sorted_table(answer, query)
    dated = pa.types.is_timestamp(table.schema.field(0).type)
    heads = [f"{_json(key)}:" for key in row_keys(asked, query, dated=dated)]
    for place in range(0, len(table), _ROWS):
        raise_if_cancelled()
        lot = table.slice(place, _ROWS)
        columns = [_values(column, head) for head, column in zip(heads, lot.columns, strict=True)]
        rows = ",".join(f"{{{','.join(row)}}}" for row in zip(*columns, strict=True))
        yield f"{',' if place else ''}{rows}".encode()
    yield b"]}"


def _values(column: pa.ChunkedArray, head: str) -> list[str]:
    """Return the ``"key":value`` of each row."""
    if pa.types.is_timestamp(column.type):
        return [f'{head}"{text}"' for text in _instants(column)]
    if pa.types.is_integer(column.type):
        return [f"{head}null" if value is None else f'{head}"{value}"' for value in column.to_pylist()]
    if pa.types.is_string(column.type):
        encoded = column.combine_chunks().dictionary_encode()
        texts = [*(head + _json(text) for text in encoded.dictionary.to_pylist()), f"{head}null"]
        return [texts[code] for code in encoded.indices.fill_null(len(texts) - 1).to_pylist()]
    if pc.call_function("any", [pc.call_function("is_inf", [column])]).as_py():
        raise ResponseError(f"{head[:-1]} is infinite, which JSON cannot say")
    return [f"{head}null" if value is None or value != value else f"{head}{value!r}" for value in column.to_pylist()]  # noqa: PLR0124 - NaN


def _instants(column: pa.Array | pa.ChunkedArray) -> list[str]:
    """Return instants as ISO 8601 in UTC: with milliseconds, or where that is not all, with microseconds."""
    micros = column.cast(pa.int64()).to_numpy()
    unit: Literal["us", "ms"] = "us" if (micros % 1000).any() else "ms"
    texts = np.datetime_as_string(micros.astype("datetime64[us]"), unit=unit, casting="unsafe")
    return [f"{text}Z" for text in texts.tolist()]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
