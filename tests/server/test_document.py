"""The document `/openapi.json` is what the endpoint does."""

from __future__ import annotations

import copy

import jsonschema
import pytest

from tests.support.endpoint import running
from tests.support.served_calls import COUNT, one
from vapi_frames.contract.models import AnalyticsQuery, AnalyticsQueryDTO
from vapi_frames.contract.vocabulary import COLUMNS, GROUP_COLUMNS, OPERATIONS, STEPS, TABLES

pytestmark = pytest.mark.extra("server")


def test_the_document_needs_no_key_and_is_the_published_one_corrected(endpoint):
    """Names, words and required properties are those of the reference and of the models; objects are closed."""
    status, headers, document = endpoint.send(None, method="GET", path="/openapi.json", key=None)
    assert (status, headers["Content-Type"], document["openapi"]) == (200, "application/json", "3.1.0")
    post = document["paths"]["/analytics"]["post"]
    assert post["operationId"] == "get"
    assert set(post["responses"]) == {"201", "400", "401", "405", "408", "413", "415", "500", "504"}
    assert post["security"] == [{"bearer": []}]
    parts = document["components"]
    assert parts["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    schemas = parts["schemas"]
    published = {
        "AnalyticsQueryTable", "AnalyticsQueryGroupBy", "VariableValueGroupBy", "TimeRangeStep", "TimeRange",
        "AnalyticsOperationOperation", "AnalyticsOperationColumn", "AnalyticsOperation", "AnalyticsQuery",
        "AnalyticsQueryDTO", "AnalyticsQueryResultResultItems", "AnalyticsQueryResult",
    }  # fmt: skip
    assert set(schemas) == published | {"ErrorBody"}
    words = {
        "AnalyticsQueryTable": TABLES, "AnalyticsQueryGroupBy": GROUP_COLUMNS, "TimeRangeStep": STEPS,
        "AnalyticsOperationOperation": OPERATIONS, "AnalyticsOperationColumn": COLUMNS,
    }  # fmt: skip
    for name, allowed in words.items():
        assert schemas[name]["enum"] == list(allowed)
    required = {name: set(schema.get("required", ())) for name, schema in schemas.items()}
    assert required["AnalyticsQuery"] == {"table", "name", "operations"}
    assert required["AnalyticsOperation"] == {"operation", "column"}
    assert required["VariableValueGroupBy"] == {"key"}
    assert required["AnalyticsQueryDTO"] == {"queries"}
    assert required["AnalyticsQueryResult"] == {"name", "timeRange", "result"}
    assert required["TimeRange"] == set()
    for model in (AnalyticsQueryDTO, AnalyticsQuery):
        fields = {field.alias or name for name, field in model.model_fields.items()}
        assert set(schemas[model.__name__]["properties"]) == fields
        assert schemas[model.__name__]["additionalProperties"] is False
    query = schemas["AnalyticsQuery"]["properties"]
    group = {"$ref": "#/components/schemas/AnalyticsQueryGroupBy"}
    assert query["groupBy"]["anyOf"] == [{"type": "array", "items": group}, group, {"type": "null"}]
    assert (query["name"]["maxLength"], schemas["VariableValueGroupBy"]["properties"]["key"]["maxLength"]) == (40, 100)
    assert schemas["AnalyticsQueryDTO"]["properties"]["queries"]["maxItems"] == 20


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("AnalyticsQueryDTO", []),
        ("AnalyticsQuery", ["queries", 0]),
        ("TimeRange", ["queries", 0, "timeRange"]),
        ("VariableValueGroupBy", ["queries", 0, "groupByVariableValue", 0]),
        ("AnalyticsOperation", ["queries", 0, "operations", 0]),
    ],
)
def test_the_document_allows_null_where_the_server_does(endpoint, name, path):
    """Each field of a request is null by turns: optional ones are valid in both, required ones in neither."""
    schemas = endpoint.send(None, method="GET", path="/openapi.json")[2]["components"]["schemas"]
    schema = {"$ref": "#/components/schemas/AnalyticsQueryDTO", "components": {"schemas": schemas}}
    validator = jsonschema.Draft202012Validator(schema)
    whole = one(groupBy=["type"], groupByVariableValue=[{"key": "plan"}], timeRange={
        "step": "day", "start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z", "timezone": "UTC",
    }, operations=[{**COUNT, "alias": "n"}])  # fmt: skip
    assert validator.is_valid(whole)
    for field in schemas[name]["properties"]:
        body = copy.deepcopy(whole)
        part = body
        for key in path:
            part = part[key]
        assert field in part
        part[field] = None
        is_optional = field not in schemas[name].get("required", ())
        assert validator.is_valid(body) == is_optional, field
        assert endpoint.send(body)[0] == (201 if is_optional else 400), field


@pytest.mark.parametrize(
    "change",
    [
        {"name": "x" * 41}, {"name": ""}, {"groupBy": "type"}, {"groupBy": ["assistant"]}, {"table": "calls"},
        {"operations": []}, {"operations": [{**COUNT, "alias": "x" * 41}]}, {"groupByVariableValue": [{"key": ""}]},
        {"groupByVariableValue": ["plan"]}, {"timeRange": {"step": "daily"}}, {"timeRange": {"timezone": ""}}, {"where": {}},
    ],
)  # fmt: skip
def test_the_document_and_the_server_agree_on_other_values(endpoint, change):
    """What one of them refuses the other refuses, too."""
    schemas = endpoint.send(None, method="GET", path="/openapi.json")[2]["components"]["schemas"]
    schema = {"$ref": "#/components/schemas/AnalyticsQueryDTO", "components": {"schemas": schemas}}
    is_valid = jsonschema.Draft202012Validator(schema).is_valid(one(**change))
    assert endpoint.send(one(**change))[0] == (201 if is_valid else 400)
    assert is_valid == (change == {"groupBy": "type"})


def test_the_document_requires_a_key_only_where_the_server_does(source):
    """The document of a server without a key requires none."""
    with running(source, key=None) as endpoint:
        _, _, document = endpoint.send(None, method="GET", path="/openapi.json")
    assert "security" not in document["paths"]["/analytics"]["post"]
