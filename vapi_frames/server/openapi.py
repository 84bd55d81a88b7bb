"""The endpoint as OpenAPI 3.1: the published reference, corrected where the service itself differs from it.

The corrections: success is 201; ``groupBy`` is an array; names, keys and lists have limits; objects of a request are
closed; replies other than success have a body. Words come from the vocabulary, so that they cannot drift.
"""

from __future__ import annotations

from typing import Any

from vapi_frames.contract.vocabulary import COLUMNS, GROUP_COLUMNS, KEY_LIMIT, NAME_LIMIT, OPERATIONS, STEPS, TABLES

__all__ = ["PHRASES", "document"]

PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Payload Too Large",
    415: "Unsupported Media Type",
    500: "Internal Server Error",
    504: "Gateway Timeout",
}
_REASONS = {
    400: "The body is not JSON, breaks the contract, or asks what the source cannot answer.",
    401: "The key is missing or wrong.",
    405: "Questions are posted.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not application/json in UTF-8, or is compressed.",
    500: "The source failed.",
    504: "The answer took too long; its work was ended.",
}


def document(*, with_key: bool, query_limit: int, part_limit: int) -> dict[str, Any]:
    """Return the document.

    Args:
        with_key: Whether requests need the key.
        query_limit: How many queries a request may have.
        part_limit: How many operations, and how many variables, a query may have.
    """
    errors = {
        str(status): {"description": reason, "content": _json(_reference("ErrorBody"))}
        for status, reason in _REASONS.items()
    }
    post: dict[str, Any] = {
        "operationId": "get",
        "summary": "Create Analytics Queries",
        "tags": ["subpackage_analytics"],
        "requestBody": {"required": True, "content": _json(_reference("AnalyticsQueryDTO"))},
        "responses": {
            "201": {
                "description": "One result for each query, in the order of the queries.",
                "content": _json({"type": "array", "items": _reference("AnalyticsQueryResult")}),
            },
            **errors,
        },
    }
    if with_key:
        header = {"name": "Authorization", "in": "header", "required": True, "schema": {"type": "string"}}
        post |= {"parameters": [header], "security": [{"bearer": []}]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "api", "version": "1.0.0"},
        "paths": {"/analytics": {"post": post}},
        "components": {
            "schemas": {name: {**schema, "title": name} for name, schema in _schemas(query_limit, part_limit).items()},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(query_limit: int, part_limit: int) -> dict[str, dict[str, Any]]:
    name = {"type": "string", "minLength": 1, "maxLength": NAME_LIMIT}
    moment = {"type": "string", "format": "date-time"}
    return {
        "AnalyticsQueryTable": _words(TABLES),
        "AnalyticsQueryGroupBy": _words(GROUP_COLUMNS),
        "VariableValueGroupBy": _closed(
            {"key": {"type": "string", "minLength": 1, "maxLength": KEY_LIMIT}}, required=["key"]
        ),
        "TimeRangeStep": _words(STEPS),
        "TimeRange": _closed(
            {
                "step": _reference("TimeRangeStep"),
                "start": {**moment, "description": "Inclusive; seven days ago by default."},
                "end": {**moment, "description": "Exclusive; now by default."},
                "timezone": {"type": "string", "minLength": 1, "description": "An IANA name; UTC by default."},
            }
        ),
        "AnalyticsOperationOperation": _words(OPERATIONS),
        "AnalyticsOperationColumn": _words(COLUMNS),
        "AnalyticsOperation": _closed(
            {
                "operation": _reference("AnalyticsOperationOperation"),
                "column": _reference("AnalyticsOperationColumn"),
                "alias": {**name, "description": "The key in the rows; such as sumCost by default."},
            },
            required=["operation", "column"],
        ),
        "AnalyticsQuery": _closed(
            {
                "table": _reference("AnalyticsQueryTable"),
                "groupBy": _list(_reference("AnalyticsQueryGroupBy"), len(GROUP_COLUMNS)),
                "groupByVariableValue": _list(_reference("VariableValueGroupBy"), part_limit),
                "name": name,
                "timeRange": _reference("TimeRange"),
                "operations": _list(_reference("AnalyticsOperation"), part_limit, minItems=1),
            },
            required=["table", "name", "operations"],
        ),
        "AnalyticsQueryDTO": _closed(
            {"queries": _list(_reference("AnalyticsQuery"), query_limit)}, required=["queries"]
        ),
        "AnalyticsQueryResultResultItems": {"type": "object", "properties": {}},
        "AnalyticsQueryResult": _closed(
            {
                "name": name,
                "timeRange": _reference("TimeRange"),
                "result": {"type": "array", "items": _reference("AnalyticsQueryResultResultItems")},
            },
            required=["name", "timeRange", "result"],
        ),
        "ErrorBody": _closed(
            {
                "message": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
                "error": {"type": "string"},
                "statusCode": {"type": "integer"},
            },
            required=["message", "error", "statusCode"],
        ),
    }


def _words(words: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


def _closed(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    needed = {"required": required} if required else {}
    return {"type": "object", "properties": properties, **needed, "additionalProperties": False}


def _list(items: dict[str, Any], most: int, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, "maxItems": most, **more}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
