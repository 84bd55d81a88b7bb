"""A query as the contract's body, read back from it, and as a shell command."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from vapi_frames.calendar.ranges import format_iso
from vapi_frames.contract.vocabulary import BASE_URL, NAME_LIMIT
from vapi_frames.errors import NotInContractError, QueryError
from vapi_frames.query import rewrite

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from vapi_frames.contract.models import AnalyticsQuery
    from vapi_frames.query.filters import Filter
    from vapi_frames.query.spec import QuerySpec

__all__ = ["check_in_contract", "compile_body", "compile_curl", "compile_query", "is_insight", "read_query"]

_CHARTS = ("bar", "line", "pie", "text")  # the kinds of insights


def compile_body(query: QuerySpec[Any], now: datetime | None) -> dict[str, Any]:
    """Return the body of a request for *query*; filters are rewritten as groups."""
    check_in_contract(query)
    if not query.filters:
        return {"queries": [compile_query(query, now)]}
    now = query._clock(now)  # noqa: SLF001
    name = compile_query(query, now)["name"]
    return {"queries": [compile_query(replace(rewrite.rewrite_filters(query), title=name), now)]}


def check_in_contract(query: QuerySpec[Any]) -> None:
    """Raise `NotInContractError` where the API cannot be asked *query*."""
    if words := query.beyond_contract:
        verb = "is" if len(words) == 1 else "are"
        raise NotInContractError(
            f"{', '.join(words)} {verb} beyond the API's contract, so only call records can answer the query: fetch it "
            'from vf.local("calls/"), from vf.connect().download("7d"), from an archive, or from a warehouse'
        )


def compile_query(query: QuerySpec[Any], now: datetime | None) -> dict[str, Any]:
    """Return *query* as one element of the body's ``queries``; its filters are part of the automatic name only."""
    if not query.aggregations:
        raise QueryError('the query has no measure: add one, e.g. .count() or .sum("cost")')
    _check_names(query)
    start, end = query.instants(now)
    parts: dict[str, Any] = {"table": query.table, "name": query.title}
    if query.groups:
        parts["groupBy"] = list(query.groups)
    if query.variables:
        parts["groupByVariableValue"] = [{"key": key} for key in query.variables]
    if query.outputs:  # no word of the contract: `check_in_contract` keeps it from the API
        parts["groupByOutput"] = list(query.outputs)
    span = {
        "step": query.time_step,
        "start": start and format_iso(start),
        "end": end and format_iso(end),
        "timezone": query.timezone,
    }
    if any(span.values()):
        parts["timeRange"] = {word: value for word, value in span.items() if value}
    parts["operations"] = [
        {"operation": one.operation, "column": one.column, "alias": one.wire_name}
        | ({} if one.q is None else {"q": one.q})
        for one in query.measures
    ]
    if query.title is None:
        parts["name"] = _automatic_name(parts, query.filters)
    return parts


def _check_names(query: QuerySpec[Any]) -> None:
    """Raise `QueryError` if two columns or levels of the frame, or two keys of the API's rows, share a name."""
    for names in ((*query.levels, *(one.name for one in query.measures)), [one.wire_name for one in query.measures]):
        if len(set(names)) < len(names):
            twice = next(name for name in names if list(names).count(name) > 1)
            raise QueryError(f"two columns of the result would be named {twice!r}; give one of them another alias")


def _automatic_name(parts: dict[str, Any], filters: tuple[Filter, ...]) -> str:
    """Name a query by its measures, groups and a hash, so that equal queries, and no others, have equal names."""
    hashable = {**parts, "name": "", **({"filters": filters} if filters else {})}
    hashed = hashlib.sha256(json.dumps(hashable, separators=(",", ":")).encode()).hexdigest()[:8]
    words = [one["alias"] for one in parts["operations"][:2]] + parts.get("groupBy", [])
    head = "-".join([*words, parts.get("timeRange", {}).get("step", "")]).strip("-")
    return f"{head[: NAME_LIMIT - 9]}-{hashed}"


def read_query(body: object, name: str | None) -> AnalyticsQuery:
    """Return the only query of *body*, or the one called *name*; a model of the contract is not validated again."""
    from vapi_frames.contract.models import AnalyticsQuery, AnalyticsQueryDTO, parse_request, read_json

    if isinstance(body, str | bytes):
        body = read_json(body)
    if isinstance(body, dict) and "queries" not in body and "table" in body:
        body = {"queries": [body]}
    if is_insight(body):
        raise QueryError(
            "the body is one of POST /reporting/insight, which has other keys (type, formulas, queries with one "
            "operation each). This package reads bodies of POST /analytics: {'queries': [{'table', 'name', "
            "'operations', …}]}. Its groups and columns are words of call records, so write the query with verbs, e.g. "
            'vq.call().median("turnLatency").by("phoneNumberId"), and fetch it from vf.local'
        )
    if isinstance(body, AnalyticsQuery):
        found = [body]
    else:
        found = (body if isinstance(body, AnalyticsQueryDTO) else parse_request(body)).queries
    queries = [one for one in found if name in (None, one.name)]
    if len(queries) != 1:
        called = "" if name is None else f" named {name!r}"
        raise QueryError(f"the body has {len(queries)} queries{called}; pass name= to choose exactly one")
    return queries[0]


def is_insight(body: object) -> bool:
    """Return whether *body* is one of ``POST /reporting/insight``: of a kind of chart, or with such queries.

    Examples:
        >>> is_insight({"type": "bar", "queries": [{"type": "vapiql-json", "table": "call"}]})
        True
    """
    if not isinstance(body, dict):
        return False
    queries = body.get("queries")
    listed = queries if isinstance(queries, list) else []
    inside = [one for one in listed if isinstance(one, dict)]
    if body.get("type") in _CHARTS and "operations" not in body and "table" not in body:
        return True
    return any("operations" not in one and {"operation", "queryString"} & set(one) for one in (body, *inside))


def compile_curl(body: dict[str, Any]) -> str:
    """Return a shell command that posts *body* to the API, with the key taken from the environment."""
    return (
        f'curl -sS {BASE_URL}/analytics \\\n  -H "Authorization: Bearer $VAPI_API_KEY" \\\n'
        f"  -H 'Content-Type: application/json' \\\n  --data {shlex.quote(json.dumps(body))}"
    )
