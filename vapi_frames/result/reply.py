"""What a server replied, read column by column; no object is made per row.

Numbers may come as JSON numbers or as text, ``count`` usually as text; whatever the query says, not what the data look
like, decides names and types. What the dates mean, all replies to one question say together:
`vapi_frames.result.merge`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from vapi_frames.calendar import buckets
from vapi_frames.calendar.buckets import count_buckets
from vapi_frames.calendar.ranges import Instants, fill_defaults, format_iso
from vapi_frames.errors import ResponseError, ResponseWarning, format_value, warn
from vapi_frames.query.schema import build_schema, get_column_type
from vapi_frames.result.result import empty_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vapi_frames.contract.models import AnalyticsQueryResult, ReplyTimeRange
    from vapi_frames.query.aggregation import Aggregation
    from vapi_frames.query.query import Query

__all__ = ["LIMITS", "Rows", "match_replies", "plain", "read_rows"]

LIMITS = (100, 1_000, 5_000, 10_000, 50_000, 100_000)
"""Row counts at which servers cut: a reply of exactly so many may not be whole."""
_TEXTS = pa.dictionary(pa.int32(), pa.string())
_BLOCK = 2_000  # rows that are looked at twice before they leave the processor's cache
_ECHO = timedelta(milliseconds=1)  # an echoed range may have lost what is finer


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one reply, in the types of the frame, but their dates as text: what they mean, all replies say.

    Attributes:
        query: The question of the reply.
        table: The index levels, then the measures.
        start: Begin of the range it covers, in UTC; ``None`` where unknown.
        end: Its end, exclusive.
        root: Where in the reply the rows are, as JSON path.
        is_sound: Whether the range is the one that was asked for, and the number of rows no server's limit.
    """

    query: Query[Any]
    table: pa.Table
    start: datetime | None
    end: datetime | None
    root: str
    is_sound: bool = True


def match_replies(came: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return, for each of *names*, the position of its answer; a single question takes a single answer as it is.

    Args:
        came: The names of the answers.
        names: Those of the questions.

    Raises:
        ResponseError: An answer is missing.
    """
    if len(names) == len(came) == 1:
        return [0]
    found = []
    for place, name in enumerate(names):
        if place < len(came) and came[place] == name:
            found.append(place)
            continue
        places = [at for at, other in enumerate(came) if other == name]
        if len(places) != 1:
            others = ", ".join(map(repr, came)) or "none"
            raise ResponseError(f"the reply has {len(places)} answers named {name!r}; it has {others}")
        found.append(places[0])
    return found


def read_rows(
    reply: AnalyticsQueryResult,
    query: Query[Any],
    now: datetime | None,
    *,
    place: int = 0,
    dated: bool | None = None,
) -> Rows:
    """Read one answer of a reply, but for the meaning of its dates.

    Args:
        reply: The answer as it came.
        query: The question, which decides names, types and how dates are read.
        now: When it was asked; resolves what neither the echo nor the question says about the range.
        place: Its place in the reply, for errors.
        dated: Whether rows have a ``date``; by default, whether the query says so.

    Raises:
        ResponseError: A row lacks a key, or holds a value that its type refuses.
    """
    root = f"$[{place}].result"
    dated = query.is_dated if dated is None else dated
    start, end, as_asked = _range(reply, query, now, f"$[{place}].timeRange")
    rows = reply.result
    names = build_schema(query, dated=dated)
    if dated:
        names = names.set(0, pa.field("date", _TEXTS))
    if not rows:
        table = empty_result(query, None, None).table if not query.levels and not dated else names.empty_table()
        return Rows(query, table, start, end, root, as_asked)
    if not query.levels and not dated and len(rows) != 1:
        raise ResponseError(f"{len(rows)} rows came for a query without step and group, which has one", path=root)
    is_limit = len(rows) in LIMITS and not (dated and _is_all(len(rows), query, start, end))
    if is_limit:
        warn(
            f"exactly {len(rows):,} rows came: this looks like a limit, beyond which rows were left out. Ask for a "
            "shorter range or fewer groups, and see whether the numbers add up",
            ResponseWarning,
        )
    cells = _Cells(rows, root)
    keys = _keys(cells, query, dated, root)
    columns: dict[str, Any] = {"date": _instants(cells.column("date"), root)} if dated else {}
    for name in names.names[len(columns) : -len(query.measures)]:
        columns[name] = _texts(cells.column(keys[name], optional=True), root)
    for one in query.measures:
        columns[one.name] = _numbers(cells.column(one.wire_name), one, root)
    return Rows(query, pa.table(columns, schema=names), start, end, root, as_asked and not is_limit)


def _is_all(rows: int, query: Query[Any], start: datetime | None, end: datetime | None) -> bool:
    """Say whether *rows* is what a question by nothing but time has: a row for each bucket."""
    if query.groups or query.variables or query.time_step is None or start is None or end is None:
        return False
    return count_buckets(start, end, query.time_step or "day", query.zone) == rows


def _range(
    reply: AnalyticsQueryResult, query: Query[Any], now: datetime | None, path: str
) -> tuple[datetime | None, datetime | None, bool]:
    """Return the range that was answered, the echoed one, else the asked one; and whether they are the same."""
    start, end = _asked(query, now)
    echoed = []
    for name, side in (("start", reply.time_range.start), ("end", reply.time_range.end)):
        try:
            moment = datetime.fromisoformat(side) if side else None
            if moment is not None and not 1 < moment.year <= buckets.LAST_YEAR:
                raise ValueError  # noqa: TRY301 - handled alike
        except ValueError:
            said = f"{format_value(side)} is not an ISO 8601 date of the years 2 to {buckets.LAST_YEAR}"
            raise ResponseError(said, path=f"{path}.{name}") from None
        echoed.append(moment if moment is None or moment.tzinfo else buckets.resolve_wall(moment, query.zone))
    as_asked = _check_echo(reply.time_range, query, now, (echoed[0], echoed[1]), path)
    return echoed[0] or start, echoed[1] or end, as_asked


def _check_echo(echo: ReplyTimeRange, query: Query[Any], now: datetime | None, echoed: Instants, path: str) -> bool:
    """Warn where the echoed range is another than the asked one; return whether it is not.

    Raises:
        ResponseError: The echoed step is another: the rows are other buckets than those that were asked for.
    """
    if query.time_step and echo.step and echo.step != query.time_step:
        raise ResponseError(
            f"the reply is by {format_value(echo.step)}, asked for was {query.time_step!r}", path=f"{path}.step"
        )
    if echo.timezone and query.timezone and echo.timezone != query.timezone:
        warn(
            f"the reply is in the zone {format_value(echo.timezone)}, asked for was {query.timezone!r}", ResponseWarning
        )
    asked = (None, None) if query.time_range is None or now is None else query.instants(now)
    other = [
        f"{name} {format_iso(at)} instead of {format_iso(wanted)}"
        for name, at, wanted in zip(("start", "end"), echoed, asked, strict=True)
        if at is not None and wanted is not None and abs(at - wanted) >= _ECHO
    ]
    if other:
        warn(f"the reply is about another range than was asked for: {', '.join(other)}", ResponseWarning)
    return not other


def _asked(query: Query[Any], now: datetime | None) -> Instants:
    if now is not None:
        return fill_defaults(query.instants(now), now)
    return (None, None) if query.time_range is None else query.instants(None)


class _Cells:
    """The values of rows, by key.

    Attributes:
        keys: The keys that any of them has.

    Raises:
        ResponseError: One of them is no object.
    """

    def __init__(self, rows: list[Any], root: str) -> None:
        if set(map(type, rows)) != {dict}:
            position = next(i for i, row in enumerate(rows) if type(row) is not dict)
            raise ResponseError(
                f"a row must be an object, not {format_value(rows[position])}", path=f"{root}[{position}]"
            )
        self._rows, self._root = rows, root
        self._columns = _taken_apart(rows)
        self.keys: set[Any] = set(self._columns) if self._columns else set().union(*rows)

    def column(self, key: str, *, optional: bool = False) -> list[Any]:
        """Return the values of *key*; what is missing is ``None`` where it is optional.

        Raises:
            ResponseError: A row lacks it.
        """
        if key in self._columns:
            return self._columns[key]
        if optional:
            return [row.get(key) for row in self._rows]
        try:
            return list(map(itemgetter(key), self._rows))
        except KeyError:
            position = next(i for i, row in enumerate(self._rows) if key not in row)
            has = ", ".join(self._rows[position])
            raise ResponseError(f"the row has no {key!r}; it has {has}", path=f"{self._root}[{position}]") from None


def _taken_apart(rows: list[dict[Any, Any]]) -> dict[Any, list[Any]]:
    """Return the columns of rows that all have the same keys in the same order, as nearly always; else nothing.

    No row has a key twice, so that this is so where the keys of rows in a line are those of the first, over and over.
    """
    keys = list(rows[0])
    columns: list[list[Any]] = [[] for _ in keys]
    for begin in range(0, len(rows), _BLOCK):
        block = rows[begin : begin + _BLOCK]
        if list(chain.from_iterable(block)) != keys * len(block):
            return {}
        values = list(chain.from_iterable(map(dict.values, block)))
        for place, column in enumerate(columns):
            column.extend(values[place :: len(keys)])
    return dict(zip(keys, columns, strict=True))


def _keys(cells: _Cells, query: Query[Any], dated: bool, root: str) -> dict[str, str]:
    """Return frame name → key in the rows, and report keys that the question does not explain.

    The row key of a variable is not documented: its own key is expected, or ``variable.<key>`` where its own is taken
    by something else, and any single key that is nothing else is taken for it.
    """
    fixed = {"date"} if dated else set()
    fixed |= {*query.groups, *(one.wire_name for one in query.measures)}
    levels = query.levels[len(query.levels) - len(query.variables) :]
    variables = dict(zip(levels, query.variables, strict=True))
    keys = {name: name for name in (*fixed, *query.groups)}
    own = {level: f"variable.{key}" if key in fixed else key for level, key in variables.items()}
    expected = fixed | set(own.values())
    present = cells.keys
    if odd := [key for key in present if not isinstance(key, str)]:
        raise ResponseError(f"a row has the key {format_value(odd[0])}, which is no text", path=root)
    unknown = present - expected
    for level, key in own.items():
        if key not in present:
            if len(unknown) != 1:
                said = f"; unknown keys: {', '.join(sorted(unknown))}" if unknown else ""
                named = variables[level]
                raise ResponseError(f"no key of the rows can be the variable {named!r}{said}", path=f"{root}[0]")
            key = unknown.pop()  # noqa: PLW2901 - what the row calls it instead
        keys[level] = key
    if unknown:
        warn(f"rows have keys that were not asked for, left out: {', '.join(sorted(unknown))}", ResponseWarning)
    return keys


def _texts(values: list[Any], root: str) -> pa.Array:
    """Return group values as text, missing kept as missing; other JSON values as their JSON text."""
    try:
        try:
            return pa.array(values, pa.string())
        except pa.ArrowTypeError:  # not all are text
            return pa.array(
                [v if v is None or isinstance(v, str) else json.dumps(v, default=str) for v in values], pa.string()
            )
    except (UnicodeEncodeError, RecursionError, ValueError) as error:
        raise ResponseError(f"a group's value cannot be held as text: {error}", path=root) from None


def _instants(texts: list[Any], root: str) -> pa.Array:
    """Return dates as the texts that they are, each once."""
    if set(map(type, texts)) != {str}:
        place = next(i for i, text in enumerate(texts) if type(text) is not str)
        raise ResponseError(f"{format_value(texts[place])} is not an ISO 8601 date", path=f"{root}[{place}].date")
    return _texts(texts, root).dictionary_encode()


def _numbers(values: list[Any], one: Aggregation, root: str) -> pa.Array:
    """Return *values*, JSON numbers or text of numbers, in the measure's type."""
    type_ = get_column_type(one)
    numbers = None
    try:
        given = pa.array(values)  # of one kind; it takes true for no number
        # Arrow itself would cut 42.9 to 42 and read "0x10", so a count is taken as it is only where it is plain.
        if (
            given.type in (pa.int64(), pa.null())
            or (type_ != pa.int64() and given.type == pa.float64())
            or (given.type == pa.string() and (type_ != pa.int64() or _is_all_true("ascii_is_decimal", given)))
        ):
            numbers = given.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError):
        pass  # one value does not fit as it is: the careful way either reads it or names it
    if numbers is None:
        numbers = pa.array([_number(v, one, f"{root}[{i}]") for i, v in enumerate(values)], type_)
    if type_ == pa.int64():
        return numbers.fill_null(0)
    if not _is_all_true("is_finite", numbers):
        position = pc.call_function("is_finite", [numbers]).to_pylist().index(False)
        raise ResponseError(
            f"{format_value(values[position])} is not a finite number", path=f"{root}[{position}].{one.wire_name}"
        )
    return numbers


def _is_all_true(condition: str, values: pa.Array) -> bool:
    """Say whether the *condition*, a function of Arrow's, holds for each of *values* that is there."""
    return pc.call_function("all", [pc.call_function(condition, [values])]).as_py() is not False


def _number(value: Any, one: Aggregation, path: str) -> float | int | None:
    if value is None:
        return None
    try:
        if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
            raise ValueError  # noqa: TRY301 - Python reads both as numbers, JSON does not
        number = float(value)
        if one.operation != "count":
            return number
        whole = int(value) if isinstance(value, str) and value.strip().lstrip("+-").isdecimal() else int(number)
        if whole == number and abs(whole) < 2**63:
            return whole
    except (TypeError, ValueError, OverflowError):
        pass
    what = "a whole number" if one.operation == "count" else "a number"
    raise ResponseError(f"{format_value(value)} is not {what}", path=f"{path}.{one.wire_name}")


def plain(reply: Any) -> Any:
    """Return a reply as ``json.loads`` would make it, from the official SDK's result objects too.

    Any object with ``name``, ``result`` and ``time_range`` or ``timeRange`` counts as one answer.
    """
    if isinstance(reply, str | bytes | bytearray | memoryview):
        return reply
    if isinstance(reply, list | tuple):
        return [_plain_answer(one) for one in reply]
    return [_plain_answer(reply)]


def _plain_answer(one: Any) -> Any:
    if isinstance(one, Mapping):
        return dict(one)
    if not (hasattr(one, "name") and hasattr(one, "result")):
        return one
    span = getattr(one, "time_range", None) or getattr(one, "timeRange", None) or {}
    words = ("step", "start", "end", "timezone")
    found = {word: span.get(word) if isinstance(span, Mapping) else getattr(span, word, None) for word in words}
    echoed = {word: v.isoformat() if isinstance(v, datetime) else v for word, v in found.items() if v is not None}
    rows = [row if isinstance(row, dict) else _plain_row(row) for row in one.result or []]
    return {"name": one.name, "timeRange": echoed, "result": rows}


def _plain_row(row: Any) -> Any:
    if isinstance(row, Mapping):
        return dict(row)
    dump = getattr(row, "model_dump", None) or getattr(row, "dict", None)
    return dump() if dump else row
