"""The OpenAPI 3.1 document of the endpoint, generated from the models that validate a request.

Its components have the names of the published reference. It corrects the reference where the service differs: success
is 201; ``groupBy`` is an array; names, keys and lists have limits; objects of a request are closed; errors have a body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from vapi_frames.contract.models import AnalyticsQueryDTO, AnalyticsQueryResult
from vapi_frames.contract.vocabulary import COLUMNS, GROUP_COLUMNS, OPERATIONS, STEPS, TABLES

if TYPE_CHECKING:
    from pydantic_core import core_schema

__all__ = ["PHRASES", "make_document"]

PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Payload Too Large",
    415: "Unsupported Media Type",
    500: "Internal Server Error",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
_REASONS = {
    400: "The body is not JSON, breaks the contract, or has a query that the source cannot answer.",
    401: "The key is missing or wrong.",
    405: "Queries are sent with POST.",
    408: "The body did not arrive in time.",
    413: "The body is too large, or the reply would be.",
    415: "The body is not application/json in UTF-8, or is compressed.",
    500: "The source failed.",
    504: "The request took too long, and its queries were cancelled.",
}
_ENUMS = {
    "AnalyticsQueryTable": TABLES,
    "AnalyticsQueryGroupBy": GROUP_COLUMNS,
    "TimeRangeStep": STEPS,
    "AnalyticsOperationOperation": OPERATIONS,
    "AnalyticsOperationColumn": COLUMNS,
}
_ENUM_NAMES = {words: name for name, words in _ENUMS.items()}
_PREFIX = "#/components/schemas/"


def make_document(*, with_key: bool, query_limit: int, part_limit: int) -> dict[str, Any]:
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


class _Generator(GenerateJsonSchema):
    """Leaves out what the published reference does not have: titles of fields, and null as a default."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])


def _schemas(query_limit: int, part_limit: int) -> dict[str, dict[str, Any]]:
    """Return the components: those of the models under their published names, with the limits of this server."""
    _, generated = models_json_schema(
        [(AnalyticsQueryDTO, "validation"), (AnalyticsQueryResult, "validation")],
        ref_template=_PREFIX + "{model}", schema_generator=_Generator,
    )  # fmt: skip
    models = _use_published_names(generated["$defs"])
    models["TimeRange"] = models.pop("WireTimeRange")
    del models["ReplyTimeRange"]  # the server echoes exactly the fields of TimeRange
    models["AnalyticsQueryDTO"]["properties"]["queries"]["maxItems"] = query_limit
    query = models["AnalyticsQuery"]["properties"]
    query["groupBy"]["maxItems"] = len(GROUP_COLUMNS)
    query["groupByVariableValue"]["maxItems"] = part_limit
    query["operations"] |= {"minItems": 1, "maxItems": part_limit}
    result = models["AnalyticsQueryResult"]
    result["properties"]["result"]["items"] = _reference("AnalyticsQueryResultResultItems")
    result["additionalProperties"] = False
    enums = {name: {"type": "string", "enum": list(words)} for name, words in _ENUMS.items()}
    error = {
        "message": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "error": {"type": "string"},
        "statusCode": {"type": "integer"},
    }
    return {
        **enums,
        **models,
        "AnalyticsQueryResultResultItems": {"type": "object", "properties": {}},
        "ErrorBody": {"type": "object", "properties": error, "required": list(error), "additionalProperties": False},
    }


def _use_published_names(schema: Any) -> Any:
    """Return *schema* with references to the published components, for enumerations and for both time ranges."""
    if isinstance(schema, list):
        return [_use_published_names(one) for one in schema]
    if isinstance(schema, str):
        is_range = schema in (f"{_PREFIX}WireTimeRange", f"{_PREFIX}ReplyTimeRange")
        return f"{_PREFIX}TimeRange" if is_range else schema
    if not isinstance(schema, dict):
        return schema
    name = _ENUM_NAMES.get(tuple(schema.get("enum", ())))
    return _reference(name) if name else {key: _use_published_names(value) for key, value in schema.items()}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"{_PREFIX}{name}"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
