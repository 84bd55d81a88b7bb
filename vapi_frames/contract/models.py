"""The wire models of ``POST /analytics``: requests closed, replies open.

Sources are the published reference (``docs.vapi.ai/api-reference/analytics/get``) and, beyond it, the vendor's full
OpenAPI document and SDKs: ``groupBy`` is an array, names and aliases have at most 40 characters, variable keys 100.
In a closed model an unknown field or word raises; an open one accepts new fields and values, with one warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import pydantic_core
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from vapi_frames.contract.json_size import MOST_PARTS, has_too_many_parts
from vapi_frames.contract.packed_rows import PackedRows, pack_rows, split_reply
from vapi_frames.contract.unique_keys import check_unique_keys
from vapi_frames.contract.vocabulary import (
    COLUMN_SYNONYMS,
    COLUMNS,
    GROUP_COLUMNS,
    GROUP_SYNONYMS,
    KEY_LIMIT,
    NAME_LIMIT,
    OPERATION_SYNONYMS,
    OPERATIONS,
    STEP_SYNONYMS,
    STEPS,
    TABLES,
    Column,
    GroupColumn,
    Operation,
    Step,
    Table,
)
from vapi_frames.errors import QueryError, ResponseError, ResponseWarning, UnknownWordError, format_value, warn

__all__ = [
    "AnalyticsOperation",
    "AnalyticsQuery",
    "AnalyticsQueryDTO",
    "AnalyticsQueryResult",
    "VariableValueGroupBy",
    "WireTimeRange",
    "parse_replies",
    "parse_request",
    "read_json",
]


def _as_list(value: object) -> object:
    """Return one string, as the reference shows ``groupBy``, as a list; anything else as it is."""
    return [value] if isinstance(value, str) else value


def _allow_scalar(schema: dict[str, Any]) -> None:
    """Add to the JSON schema of an optional list that one element may stand for it."""
    schema["anyOf"].insert(1, schema["anyOf"][0]["items"])


def _check_date_time(value: object) -> object:
    """Check that a date-time has an offset, and return its text."""
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise ValueError(f"{value!r} is not an ISO 8601 date-time with 'Z' or an offset, e.g. '2026-10-01T00:00:00Z'")
    return value


Text40 = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=NAME_LIMIT)]
DateTime = Annotated[str, BeforeValidator(_check_date_time), Field(json_schema_extra={"format": "date-time"})]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VariableValueGroupBy(_Closed):
    """A variable to group by: its key in the calls' variable values."""

    key: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=KEY_LIMIT)]


class WireTimeRange(_Closed):
    """The range and step of a query; a missing or null field takes the default."""

    step: Step | None = Field(None, description="The size of a bucket; one bucket for the whole range by default.")
    start: DateTime | None = Field(None, description="Inclusive; seven days ago by default.")
    end: DateTime | None = Field(None, description="Exclusive; now by default.")
    timezone: Annotated[str, StringConstraints(strict=True, min_length=1)] | None = Field(
        None, description="An IANA name; UTC by default."
    )


class AnalyticsOperation(_Closed):
    """One aggregation."""

    operation: Operation
    column: Column
    alias: Text40 | None = Field(None, description="The key in the rows; such as sumCost by default.")


class AnalyticsQuery(_Closed):
    """One query of a request."""

    table: Table
    name: Text40
    group_by: Annotated[list[GroupColumn], BeforeValidator(_as_list)] | None = Field(
        None, alias="groupBy", json_schema_extra=_allow_scalar
    )
    group_by_variable_value: list[VariableValueGroupBy] | None = Field(None, alias="groupByVariableValue")
    time_range: WireTimeRange | None = Field(None, alias="timeRange")
    operations: list[AnalyticsOperation]


class AnalyticsQueryDTO(_Closed):
    """The body of a request."""

    queries: list[AnalyticsQuery]

    def to_body(self) -> dict[str, Any]:
        """Return the JSON body, without optional fields that were not set.

        Examples:
            >>> AnalyticsQueryDTO.model_validate({"queries": []}).to_body()
            {'queries': []}
        """
        return self.model_dump(by_alias=True, exclude_none=True)


class ReplyTimeRange(BaseModel):
    """The echoed range; open."""

    model_config = ConfigDict(extra="allow")

    step: str | None = None
    start: str | None = None
    end: str | None = None
    timezone: str | None = None


if TYPE_CHECKING:
    RowList = Sequence[Any]  # a list, or `PackedRows` in its place
else:
    RowList = list[Any]


class AnalyticsQueryResult(BaseModel):
    """One result of a reply; open. Its rows are not validated here, because the result reads them column by column."""

    model_config = ConfigDict(extra="allow")

    name: str
    time_range: ReplyTimeRange = Field(alias="timeRange")
    result: RowList


_ENUMS: dict[str, tuple[tuple[str, ...], str, Mapping[str, str]]] = {
    "table": (TABLES, "table", {"calls": "call", "subscriptions": "subscription"}),
    "groupBy": (GROUP_COLUMNS, "group column", GROUP_SYNONYMS),
    "step": (STEPS, "step", STEP_SYNONYMS),
    "operation": (OPERATIONS, "operation", OPERATION_SYNONYMS),
    "column": (COLUMNS, "column", COLUMN_SYNONYMS),
}
_MODELS: dict[str, type[BaseModel]] = {
    "": AnalyticsQueryDTO,
    "queries": AnalyticsQuery,
    "timeRange": WireTimeRange,
    "operations": AnalyticsOperation,
    "groupByVariableValue": VariableValueGroupBy,
}
_REPLIES = TypeAdapter(list[AnalyticsQueryResult])


def json_path(location: tuple[int | str, ...]) -> str:
    """Write a location as JSON path.

    Examples:
        >>> json_path((0, "result", 3, "date"))
        '$[0].result[3].date'
        >>> json_path(("a.b",))
        "$['a.b']"
    """
    parts = ["$"]
    for part in location:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        else:
            parts.append(f".{part}" if part.isidentifier() else f"[{part!r}]")
    return "".join(parts)


def parse_request(body: object) -> AnalyticsQueryDTO:
    """Read the body of a request: a mapping, or its JSON text.

    Raises:
        UnknownWordError: A word that the contract does not know, with its place and the nearest valid one.
        QueryError: Anything else that the contract forbids.

    Examples:
        >>> parse_request('{"queries": [{"table": "calls", "name": "n", "operations": []}]}')
        Traceback (most recent call last):
        ...
        vapi_frames.errors.UnknownWordError: unknown table 'calls' at $.queries[0].table; did you mean 'call'? \
Valid: call, subscription.
    """
    if isinstance(body, str | bytes):
        body = read_json(body)
    try:
        return AnalyticsQueryDTO.model_validate(body)
    except ValidationError as error:
        raise _request_error(error) from None


def read_json(body: str | bytes) -> Any:
    """Return the JSON text of a request as Python values, without validation.

    Raises:
        QueryError: It is not JSON.
    """
    try:
        return pydantic_core.from_json(body, allow_inf_nan=False)
    except (ValueError, RecursionError) as error:
        raise QueryError(f"the body is not JSON: {error}") from None


def _request_error(error: ValidationError) -> QueryError:
    first = error.errors(include_url=False)[0]
    location = first["loc"]
    path, value = json_path(location), first["input"]
    names = [part for part in location if isinstance(part, str)]
    if first["type"] == "literal_error":
        words, kind, synonyms = _ENUMS[names[-1]]
        return UnknownWordError(value, kind, words, synonyms=synonyms, where=path)
    if first["type"] == "extra_forbidden":
        model = _MODELS[names[-2] if len(names) > 1 else ""]
        fields = [field.alias or name for name, field in model.model_fields.items()]
        hint = "The API has no filters." if "filter" in names[-1].casefold() or names[-1] == "where" else ""
        return UnknownWordError(names[-1], "field", fields, where=path, hint=hint)
    if first["type"] == "missing":
        return QueryError(f"{path} is missing")
    if first["type"] == "string_too_long":
        limit = first.get("ctx", {}).get("max_length")
        return QueryError(f"{path} has {len(value)} characters, at most {limit} are allowed: {format_value(value)}")
    if first["type"] in ("model_type", "list_type"):
        kind = "a list" if first["type"] == "list_type" else "an object"
        return QueryError(f"{path} must be {kind}, not {format_value(value)}")
    return QueryError(f"{path}: {first['msg']}; got {format_value(value)}")


def parse_replies(payload: object) -> list[AnalyticsQueryResult]:
    """Read a reply: its bytes or text, or the values that ``json.loads`` returns for it.

    Raises:
        ResponseError: It is not a JSON array of results; the error has the JSON path.
    """
    if isinstance(payload, str | bytes | bytearray | memoryview):
        packed = _read_packed(payload) if isinstance(payload, bytes) else None
        if packed is not None:
            return [packed]
        payload = _from_json(payload)
    if isinstance(payload, Mapping) and {"name", "result"} <= set(payload):
        payload = [payload]
    if isinstance(payload, Mapping) and "message" in payload:
        raise ResponseError(f"the reply is an error, not a result: {format_value(payload['message'])}")
    found = payload[0] if isinstance(payload, list) and payload else payload
    if isinstance(found, Mapping) and not {"result", "timeRange"} & set(found):
        path = "$" if found is payload else "$[0]"
        raise ResponseError(f"{_describe_other(found)}; expected: {_EXPECTED}", path=path)
    try:
        replies = _REPLIES.validate_python(payload)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        kinds = {"list_type": "a list", "model_type": "an object", "string_type": "text"}
        if first["type"] == "missing":
            message = "is missing"
        elif first["type"] in kinds:
            message = f"must be {kinds[first['type']]}, not {format_value(first['input'])}"
        else:
            message = f"{first['msg']}; got {format_value(first['input'])}"
        raise ResponseError(message, path=json_path(first["loc"])) from None
    extra = _list_unknown(replies)
    if extra:
        warn(f"the reply has fields or values that the contract does not name: {', '.join(extra)}", ResponseWarning)
    return replies


def _list_unknown(replies: list[AnalyticsQueryResult]) -> list[str]:
    """Return what *replies* have around their rows that the contract does not name."""
    extra = sorted({name for reply in replies for name in (reply.model_extra or {})})
    extra += sorted({f"timeRange.{name}" for reply in replies for name in (reply.time_range.model_extra or {})})
    extra += sorted(
        {f"step {span.step!r}" for span in (r.time_range for r in replies) if span.step not in (None, *STEPS)}
    )
    return extra


def _read_packed(content: bytes) -> AnalyticsQueryResult | None:
    """Return a large reply of one plain result with its rows as columns; ``None`` for any other."""
    parts = split_reply(content)
    if parts is None:
        return None
    try:
        around = _REPLIES.validate_python(_from_json(parts[0]))
    except (ResponseError, ValidationError):
        return None
    # Nothing else is in the reply, so the null can stand only where its rows do.
    if len(around) != 1 or around[0].result != [None] or _list_unknown(around):
        return None
    table = pack_rows(content, *parts[1:])
    if table is None:
        return None
    rows = PackedRows(table, lambda: _REPLIES.validate_python(_from_json(content))[0].result)
    return around[0].model_copy(update={"result": rows})


_EXPECTED = 'a list of results as POST /analytics returns it, [{"name": ..., "timeRange": ..., "result": [...]}]'


def _describe_other(found: Mapping[Any, Any]) -> str:
    """Return what an object that is no result looks like."""
    keys = {key for key in found if isinstance(key, str)}
    listed = ", ".join(map(str, found)) or "no key"
    wrapped = next((key for key in found if isinstance(found[key], list) and key in ("data", "results")), None)
    if wrapped is not None:
        return f"this is an object around a list: pass what is under {wrapped!r}"
    if "queries" in keys and "type" not in keys:
        return "this looks like the body of a request, which has 'queries', not like a reply"
    if keys & {"insightId", "formulas", "queries"} or (
        "type" in keys and found["type"] in ("bar", "line", "pie", "text")
    ):
        return f"this looks like a reply of /reporting/insight (it has {listed}), which has another form"
    if keys & {"createdAt", "startedAt", "endedReason"}:
        return f"this looks like a call record (it has {listed}): query call records with vf.local(calls)"
    return f"this is not a result: it has {listed}, and no 'result'"


def _from_json(payload: str | bytes | bytearray | memoryview) -> Any:
    text = bytes(payload) if isinstance(payload, memoryview) else payload
    if has_too_many_parts(text):
        raise ResponseError(f"the reply holds more than {MOST_PARTS:,} keys and values, more than is decoded at once")
    try:
        parsed = pydantic_core.from_json(text, allow_inf_nan=False, cache_strings="all")
    except ValueError as error:
        start = text[:60] if isinstance(text, str) else bytes(text[:60]).decode("utf-8", "replace")
        raise ResponseError(f"the reply is not JSON ({error}); it begins {start!r}") from None
    check_unique_keys(text, parsed)
    return parsed
