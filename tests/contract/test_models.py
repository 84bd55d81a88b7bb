"""The wire models: requests closed, replies open."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from vapi_frames.contract import vocabulary
from vapi_frames.contract.models import AnalyticsQueryDTO, parse_replies, parse_request
from vapi_frames.errors import QueryError, ResponseError, ResponseWarning, UnknownWordError
from vapi_frames.query.query import Query


def request(**changes):
    """Return a whole request with some of its query's fields changed."""
    query = {
        "table": "call",
        "name": "spend",
        "groupBy": ["assistantId", "endedReason"],
        "groupByVariableValue": [{"key": "plan"}],
        "timeRange": {
            "step": "day",
            "start": "2026-10-01T00:00:00Z",
            "end": "2026-11-01T00:00:00.000+05:30",
            "timezone": "Asia/Kolkata",
        },
        "operations": [
            {"operation": "sum", "column": "cost", "alias": "sumCost"},
            {"operation": "count", "column": "id"},
        ],
    }
    query.update(changes)
    return {"queries": [query]}


def test_the_whole_contract_is_read_and_written_back():
    """Every field of a request survives."""
    assert parse_request(request()).to_body() == request()
    assert parse_request(json.dumps(request())).to_body() == request()


def test_every_word_of_the_contract_is_accepted():
    """All tables, group columns, steps, operations and columns of the published reference."""
    counts = [len(words) for words in (vocabulary.TABLES, vocabulary.GROUP_COLUMNS, vocabulary.STEPS)]
    assert counts == [2, 5, 11]
    assert (len(vocabulary.OPERATIONS), len(vocabulary.COLUMNS)) == (6, 16)
    for table in vocabulary.TABLES:
        parse_request(request(table=table))
    parse_request(request(groupBy=list(vocabulary.GROUP_COLUMNS)))
    for step in vocabulary.STEPS:
        parse_request(request(timeRange={"step": step}))
    for operation in vocabulary.OPERATIONS:
        for column in vocabulary.COLUMNS:
            parse_request(request(operations=[{"operation": operation, "column": column}]))


def test_group_by_is_read_as_array_and_as_scalar():
    """The reference shows a scalar, the wire has an array: both are read, the array is written."""
    body = request(groupBy="type")
    assert parse_request(body).to_body()["queries"][0]["groupBy"] == ["type"]
    del body["queries"][0]["groupByVariableValue"]
    assert Query.from_body(body).groups == ("type",)


@pytest.mark.parametrize(
    ("changes", "path", "suggestion"),
    [
        ({"table": "calls"}, "$.queries[0].table", "call"),
        ({"groupBy": ["assistant"]}, "$.queries[0].groupBy[0]", "assistantId"),
        ({"timeRange": {"step": "daily"}}, "$.queries[0].timeRange.step", "day"),
        ({"operations": [{"operation": "mean", "column": "cost"}]}, "$.queries[0].operations[0].operation", "avg"),
        ({"operations": [{"operation": "sum", "column": "cots"}]}, "$.queries[0].operations[0].column", "cost"),
        ({"group_by": ["type"]}, "$.queries[0].group_by", "groupBy"),
        ({"timeRange": {"timeZone": "UTC"}}, "$.queries[0].timeRange.timeZone", "timezone"),
        (
            {"operations": [{"operation": "sum", "column": "cost", "aliass": "x"}]},
            "$.queries[0].operations[0].aliass",
            "alias",
        ),
    ],
)
def test_a_typo_in_a_request_names_its_place_and_the_nearest_word(changes, path, suggestion):
    """Requests are closed: an unknown word raises before any I/O."""
    with pytest.raises(UnknownWordError) as caught:
        parse_request(request(**changes))
    assert f"at {path}" in str(caught.value)
    assert caught.value.suggestions[0] == suggestion


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"name": "n" * 41}, "41 characters, at most 40"),
        ({"name": None}, r"\$\.queries\[0\]\.name"),
        ({"operations": [{"operation": "sum", "column": "cost", "alias": "a" * 41}]}, "at most 40"),
        ({"groupByVariableValue": [{"key": "k" * 101}]}, "at most 100"),
        ({"groupByVariableValue": [{}]}, r"key is missing"),
        ({"timeRange": {"start": "2026-10-01"}}, "'Z' or an offset"),
        ({"timeRange": {"start": "soon"}}, "'Z' or an offset"),
        ({"operations": "sum"}, "operations"),
    ],
)
def test_what_the_contract_forbids_is_a_query_error(changes, match):
    """Limits, missing fields and wrong types, each with its place and value."""
    with pytest.raises(QueryError, match=match):
        parse_request(request(**changes))


def test_filters_are_refused_with_an_explanation():
    """The thing people most try to send gets its own sentence."""
    with pytest.raises(UnknownWordError, match="no filters"):
        parse_request(request(filters=[{"column": "assistantId"}]))


def test_replies_are_open_with_one_warning():
    """New fields and values are accepted, with one warning."""
    reply = [{"name": "a", "timeRange": {"step": "fortnight", "calendar": "x"}, "result": [], "total": 3}]
    with pytest.warns(ResponseWarning, match="total, timeRange.calendar, step 'fortnight'") as caught:
        [one] = parse_replies(json.dumps(reply))
    assert len(caught) == 1
    assert one.time_range.step == "fortnight"


@pytest.mark.parametrize(
    ("reply", "path", "match"),
    [
        ("<html>", "$", "begins '<html>'"),
        ("", "$", "not JSON"),
        ('[{"name": "a", "timeRange": {}, "result": [{"x": NaN}]}]', "$", "not JSON"),
        ("{}", "$", "list"),
        ('{"message": "Unauthorized", "statusCode": 401}', "$", "Unauthorized"),
        ("[3]", "$[0]", "must be an object, not 3"),
        ('[{"timeRange": {}, "result": []}]', "$[0].name", "is missing"),
        ('[{"name": "a", "result": []}]', "$[0].timeRange", "is missing"),
        ('[{"name": "a", "timeRange": {}}]', "$[0].result", "is missing"),
        ('[{"name": 3, "timeRange": {}, "result": []}]', "$[0].name", "must be text, not 3"),
        ('[{"name": "a", "timeRange": {}, "result": {}}]', "$[0].result", "list"),
    ],
)
def test_a_reply_that_breaks_the_contract_names_the_place(reply, path, match):
    """A missing field or a value that its type refuses raises with the JSON path."""
    with pytest.raises(ResponseError, match=match) as caught:
        parse_replies(reply)
    assert caught.value.path == path
    assert isinstance(caught.value, ValueError)


def test_the_models_are_frozen_and_documented():
    """The public models are values with a docstring each."""
    dto = parse_request(request())
    with pytest.raises(ValueError, match="frozen"):
        dto.queries = []
    assert isinstance(dto, AnalyticsQueryDTO)
    source = Path(vocabulary.__file__).with_name("models.py").read_text()
    for name in re.findall(r"^class (\w+)\(", source, re.MULTILINE):
        assert re.search(rf'class {name}\(.*?\):\n    (""".|model_config)', source), name
