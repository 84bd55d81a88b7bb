"""What a server replies, as typed columns, with dates that are still text.

What the dates mean is decided by all replies to one query together: `vapi_frames.result.merge`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vapi_frames.calendar import buckets
from vapi_frames.calendar.buckets import count_buckets, find_bounds, floor_to_bucket, from_seconds, to_seconds
from vapi_frames.calendar.ranges import Instants, fill_defaults, format_iso
from vapi_frames.contract.vocabulary import GROUP_COLUMNS, MEASURES
from vapi_frames.errors import ResponseError, ResponseWarning, format_value, warn
from vapi_frames.query.schema import build_schema
from vapi_frames.result.cells import Cells, read_date_texts, read_numbers, read_texts
from vapi_frames.result.result import empty_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vapi_frames.contract.models import AnalyticsQueryResult, ReplyTimeRange
    from vapi_frames.query.query import Query

__all__ = ["ROW_LIMITS", "Rows", "match_replies", "read_rows", "unwrap_sdk_objects"]

ROW_LIMITS = (100, 1_000, 5_000, 10_000, 50_000, 100_000)
"""Row counts at which servers cut: a reply of exactly so many rows may be incomplete."""
_GROUPS = frozenset(GROUP_COLUMNS)
_MEASURES = frozenset(one.name for one in MEASURES)
_DATE_TEXTS = pa.dictionary(pa.int32(), pa.string())
_ECHO_PRECISION = timedelta(milliseconds=1)  # what is finer may be lost in an echoed range
_ECHO_ROUNDING = timedelta(seconds=1)  # how far an echoed range may reach out of the query's, which has no step


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one reply, in the types of the frame, but with their dates as text.

    Attributes:
        query: The query that the reply is to.
        table: The index levels, then the measures.
        start: Begin of the range it covers, in UTC; ``None`` where unknown.
        end: Its end, exclusive.
        root: Where in the reply the rows are, as JSON path.
        is_sound: Whether the range is the query's, and the number of rows no server's limit.
    """

    query: Query[Any]
    table: pa.Table
    start: datetime | None
    end: datetime | None
    root: str
    is_sound: bool = True


def match_replies(received: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return, for each of *names*, the position of its result; a single query takes a single result of any name.

    Args:
        received: The names of the results.
        names: Those of the queries.

    Raises:
        ResponseError: A result is missing.
    """
    if len(names) == len(received) == 1:
        return [0]
    found = []
    for place, name in enumerate(names):
        if place < len(received) and received[place] == name:
            found.append(place)
            continue
        places = [at for at, other in enumerate(received) if other == name]
        if len(places) != 1:
            others = ", ".join(map(repr, received)) or "none"
            raise ResponseError(f"the reply has {len(places)} results named {name!r}; its results are {others}")
        found.append(places[0])
    return found


def read_rows(
    reply: AnalyticsQueryResult,
    query: Query[Any],
    now: datetime | None,
    *,
    place: int = 0,
    dated: bool | None = None,
    check_range: bool = True,
) -> Rows:
    """Read one element of a reply, except for the meaning of its dates.

    Args:
        reply: The element as received.
        query: The query, which decides names, types and how dates are read.
        now: When it was sent; resolves what neither the echo nor the query says about the range.
        place: The place of the element in the reply, for errors.
        dated: Whether rows have a ``date``; by default, the query decides it.
        check_range: Whether to warn where the echoed range is not the query's.

    Raises:
        ResponseError: A row lacks a key, or holds a value that its type refuses; or the rows have dates, and the query
            has no step.
    """
    root = f"$[{place}].result"
    dated = query.is_dated if dated is None else dated
    start, end, is_same_range = _read_range(reply.time_range, query, now, f"$[{place}].timeRange", check_range)
    rows = reply.result
    names = build_schema(query, dated=dated)
    if dated:
        names = names.set(0, pa.field("date", _DATE_TEXTS))
    if not rows:
        table = empty_result(query, None, None).table if not query.levels and not dated else names.empty_table()
        return Rows(query, table, start, end, root, is_same_range)
    if not query.levels and not dated and len(rows) != 1:
        raise ResponseError(f"a query without a step and groups has one row, and the reply has {len(rows)}", path=root)
    is_limit = len(rows) in ROW_LIMITS and not (dated and _is_every_bucket(len(rows), query, start, end))
    if is_limit:
        warn(
            f"the reply has exactly {len(rows):,} rows, which looks like a server's limit: more rows may be missing. "
            "Query a shorter range or fewer groups, and check that the numbers add up",
            ResponseWarning,
        )
    cells = Cells(rows, root)
    keys = _match_keys(cells.keys, query, dated, root)
    if (step := reply.time_range.step) and not dated:
        message = f"the reply is to another query: its step is {format_value(step)}, and the query has none"
        raise ResponseError(message, path=f"$[{place}].timeRange.step")
    columns: dict[str, Any] = {"date": read_date_texts(cells)} if dated else {}
    for name in names.names[len(columns) : -len(query.measures)]:
        columns[name] = read_texts(cells, keys[name])
    for one in query.measures:
        columns[one.name] = read_numbers(cells, one)
    return Rows(query, pa.table(columns, schema=names), start, end, root, is_same_range and not is_limit)


def _is_every_bucket(rows: int, query: Query[Any], start: datetime | None, end: datetime | None) -> bool:
    """Return whether *rows* is the number of buckets of a query that has no groups, so that no row can be missing."""
    if query.groups or query.variables or query.time_step is None or start is None or end is None:
        return False
    return count_buckets(start, end, query.time_step, query.zone) == rows


def _read_range(
    echo: ReplyTimeRange, query: Query[Any], now: datetime | None, path: str, check_range: bool
) -> tuple[datetime | None, datetime | None, bool]:
    """Return the range of the reply, the echoed one or else the query's; and whether the two are the same."""
    wanted = query.instants(now)
    start, end = wanted if now is None else fill_defaults(wanted, now)
    echoed = (
        _read_side(echo.start, query, f"{path}.start"),
        _read_side(echo.end, query, f"{path}.end"),
    )
    is_same = _check_echo(echo, query, wanted if check_range else (None, None), echoed, path)
    return echoed[0] or start, echoed[1] or end, is_same


def _read_side(text: str | None, query: Query[Any], path: str) -> datetime | None:
    """Return one side of an echoed range; without an offset it is the wall clock of the query's zone."""
    try:
        at = datetime.fromisoformat(text) if text else None
        if at is not None and not 1 < at.year <= buckets.LAST_YEAR:
            raise ValueError  # noqa: TRY301 - handled alike
    except ValueError:
        message = f"{format_value(text)} is not an ISO 8601 date of the years 2 to {buckets.LAST_YEAR}"
        raise ResponseError(message, path=path) from None
    return at if at is None or at.tzinfo else buckets.resolve_wall(at, query.zone)


def _check_echo(echo: ReplyTimeRange, query: Query[Any], wanted: Instants, echoed: Instants, path: str) -> bool:
    """Warn where the echoed range is not *wanted*, the query's; return whether it is.

    Raises:
        ResponseError: The echoed step is another, or the echoed range reaches out of the query's: the rows are the
            result of another query.
    """
    if query.time_step and echo.step and echo.step != query.time_step:
        raise ResponseError(
            f"the step of the reply is {format_value(echo.step)}, that of the query is {query.time_step!r}",
            path=f"{path}.step",
        )
    if echo.timezone and query.timezone and echo.timezone != query.timezone:
        warn(
            f"the time zone of the reply is {format_value(echo.timezone)}, that of the query is {query.timezone!r}",
            ResponseWarning,
        )
    other = [
        f"{name} {format_iso(at)} instead of {format_iso(instant)}"
        for name, at, instant in zip(("start", "end"), echoed, wanted, strict=True)
        if at is not None and instant is not None and abs(at - instant) >= _ECHO_PRECISION
    ]
    if other and _reaches_out(query, wanted, echoed):
        raise ResponseError(
            f"the reply is to another query: its range has {', '.join(other)}, and is not within the query's", path=path
        )
    if other:
        warn(f"the range of the reply is not the query's: {', '.join(other)}", ResponseWarning)
    return not other


def _reaches_out(query: Query[Any], wanted: Instants, echoed: Instants) -> bool:
    """Return whether the *echoed* range has instants beyond the *wanted* one, rounded to whole buckets.

    A server that has forgotten old calls cuts its range off; a range that reaches out is that of another query.
    """
    start, end = wanted
    if query.time_step is not None:
        start = start and _bucket_of(query, start)[0]
        end = end and _bucket_of(query, end - timedelta.resolution)[1]
    low, high = (start and start - _ECHO_ROUNDING), (end and end + _ECHO_ROUNDING)
    begins, ends = echoed
    return any(
        (low is not None and at < low) or (high is not None and at > high) for at in (begins, ends) if at is not None
    )


def _bucket_of(query: Query[Any], at: datetime) -> tuple[datetime, datetime]:
    bounds = find_bounds(
        floor_to_bucket(to_seconds(at), query.time_step or "", query.zone), query.time_step or "", query.zone
    )
    return from_seconds(bounds.start), from_seconds(bounds.end)


def _match_keys(present: set[Any], query: Query[Any], dated: bool, root: str) -> dict[str, str]:
    """Return frame name → key in the rows, and warn of keys that the query does not explain.

    The contract does not say under which key a row has a variable. Its own key is expected, or ``variable.<key>`` where
    something else has that; else the one key that nothing else explains is taken for it.

    Raises:
        ResponseError: A key is no text, no row has a group, no key can be a variable's, or the rows have dates, and the
            query has no step.
    """
    if odd := [key for key in present if not isinstance(key, str)]:
        raise ResponseError(f"a row has the key {format_value(odd[0])}, which is not text", path=root)
    if "date" in present and not dated and "date" not in query.variables:
        raise ResponseError(
            "the rows have dates, and the query has no step, so one row could pass for the sum: add the step of the "
            'rows to the query, e.g. .step("day"), and roll up the frame, .vapi.rollup("all")',
            path=f"{root}[0].date",
        )
    for group in query.groups:
        if group not in present:
            has = ", ".join(sorted(present)) or "no key"
            raise ResponseError(f"no row has the group {group!r} of the query; the rows have {has}", path=f"{root}[0]")
    fixed = {"date"} if dated else set()
    fixed |= {*query.groups, *(one.wire_name for one in query.measures)}
    levels = query.levels[len(query.levels) - len(query.variables) :]
    variables = dict(zip(levels, query.variables, strict=True))
    keys = {name: name for name in (*fixed, *query.groups)}
    own = {level: f"variable.{key}" if key in fixed else key for level, key in variables.items()}
    unknown = present - fixed - set(own.values())
    if strange := sorted(unknown & _GROUPS):
        raise ResponseError(
            f"the reply is to another query: its rows have the group {strange[0]!r}, and the query does not",
            path=f"{root}[0].{strange[0]}",
        )
    for level, key in own.items():
        if key in present:
            keys[level] = key
            continue
        if len(unknown) != 1 or unknown & _MEASURES:
            others = f"; unknown keys: {', '.join(sorted(unknown))}" if unknown else ""
            raise ResponseError(
                f"no key of the rows can be the variable {variables[level]!r}{others}", path=f"{root}[0]"
            )
        keys[level] = unknown.pop()
    if unknown:
        warn(f"the rows have keys that are not in the query, ignored: {', '.join(sorted(unknown))}", ResponseWarning)
    return keys


def unwrap_sdk_objects(reply: Any) -> Any:
    """Return *reply* as ``json.loads`` makes it, where the official SDK's result objects are in it, too.

    Any object with ``name``, ``result`` and ``time_range`` or ``timeRange`` counts as a result.
    """
    if isinstance(reply, str | bytes | bytearray | memoryview):
        return reply
    if isinstance(reply, list | tuple):
        return [_unwrap_result(one) for one in reply]
    return _unwrap_result(reply)


def _unwrap_result(one: Any) -> Any:
    if isinstance(one, Mapping):
        return dict(one)
    if not (hasattr(one, "name") and hasattr(one, "result")):
        return one
    span = getattr(one, "time_range", None) or getattr(one, "timeRange", None) or {}
    fields = ("step", "start", "end", "timezone")
    found = {name: span.get(name) if isinstance(span, Mapping) else getattr(span, name, None) for name in fields}
    echo = {name: v.isoformat() if isinstance(v, datetime) else v for name, v in found.items() if v is not None}
    return {"name": one.name, "timeRange": echo, "result": [_unwrap_row(row) for row in one.result or []]}


def _unwrap_row(row: Any) -> Any:
    if isinstance(row, Mapping):
        return dict(row)
    dump = getattr(row, "model_dump", None) or getattr(row, "dict", None)
    return dump() if dump else row
