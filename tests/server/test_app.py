"""The endpoint over real connections: its replies, what it refuses, and how it cancels what takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import logging
import re
import socket
import threading
from datetime import UTC, datetime

import httpx
import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vapi_frames as vf
from tests.support.endpoint import KEY, SAFETY, link_files, running
from vapi_frames.cancellation import Stop, on_cancel
from vapi_frames.contract.models import AnalyticsQuery, AnalyticsQueryDTO, parse_request
from vapi_frames.contract.vocabulary import COLUMNS, GROUP_COLUMNS, OPERATIONS, STEPS, TABLES
from vapi_frames.errors import QueryError, QueryWarning, RecordsError
from vapi_frames.query.query import Query
from vapi_frames.result.result import Result
from vapi_frames.result.write import write_reply
from vapi_frames.server import create_app

pytestmark = pytest.mark.extra("server")

CALLS = [
    {"id": "1", "type": "webCall", "createdAt": "2026-03-08T06:59:59Z", "cost": 0.1, "assistantId": "a"},
    {"id": "2", "type": "webCall", "createdAt": "2026-03-08T07:00:00Z", "cost": 0.2, "assistantId": ""},
    {"id": "3", "type": "inboundPhoneCall", "createdAt": "2026-03-09T03:59:59.5Z", "cost": None},
    {"id": "4", "type": "inboundPhoneCall", "createdAt": "2026-03-09T04:00:00Z", "cost": 1e-7, "assistantId": "Ünï ☎"},
]
for call, plan in zip(CALLS, ("pro", None, "", "pro"), strict=True):
    call["variableValues"] = {"plan": plan, "type": "x", "sumCost": "y"}
NOW = "2026-03-10T12:00:00Z"
COUNT = {"operation": "count", "column": "id"}
SPEND = {"operation": "sum", "column": "cost"}


def one(**parts):
    """Return a body with one query."""
    return {"queries": [{"table": "call", "name": "q", "operations": [COUNT], **parts}]}


def busy(step, start, end, **parts):
    """Return a body with a query for concurrency."""
    span = {"start": f"{start}T00:00:00Z", "end": f"{end}T00:00:00Z", **({"step": step} if step else {})}
    peak = {"operation": "max", "column": "concurrency"}
    return one(table="subscription", operations=[peak], timeRange=span, **parts)


@pytest.fixture(scope="module")
def source():
    """Serve a few calls around a change of the clock."""
    return vf.local(CALLS, now=NOW).source


@pytest.fixture(scope="module")
def endpoint(source):
    """Serve them."""
    with running(source, body_limit=20_000, query_limit=20) as endpoint:
        yield endpoint


# --- what is on the wire ---------------------------------------------------------------------------------------------


def test_a_reply_is_exactly_what_the_service_writes(endpoint):
    """201; a list in the order of the queries; rows flat, sparse and sorted; counts as text; dates as UTC instants."""
    day = one(
        groupBy=["type"], operations=[SPEND, COUNT], timeRange={"step": "day", "timezone": "America/New_York"}, name="a"
    )
    status, headers, reply = endpoint.send({"queries": [*day["queries"], *one(name="b")["queries"]]})
    assert status == 201
    assert headers["Content-Type"] == "application/json"
    echo = {"start": "2026-03-03T12:00:00.000Z", "end": "2026-03-10T12:00:00.000Z"}
    assert reply == [
        {
            "name": "a",
            "timeRange": {"step": "day", **echo, "timezone": "America/New_York"},
            "result": [
                {"date": "2026-03-08T05:00:00.000Z", "type": "inboundPhoneCall", "sumCost": None, "countId": "1"},
                {"date": "2026-03-08T05:00:00.000Z", "type": "webCall", "sumCost": 0.1 + 0.2, "countId": "2"},
                {"date": "2026-03-09T04:00:00.000Z", "type": "inboundPhoneCall", "sumCost": 1e-7, "countId": "1"},
            ],
        },
        {"name": "b", "timeRange": {**echo, "timezone": "UTC"}, "result": [{"countId": "4"}]},
    ]
    assert [list(row) for row in reply[0]["result"]] == [["date", "type", "sumCost", "countId"]] * 3


def test_groups_and_variables_are_under_their_names_and_missing_is_null(endpoint):
    """A group's key is its column, a variable's its own; null and "" are two groups."""
    _, _, [reply] = endpoint.send(one(groupBy=["assistantId"], groupByVariableValue=[{"key": "plan"}]))
    assert reply["result"] == [
        {"assistantId": "", "plan": None, "countId": "1"},
        {"assistantId": "a", "plan": "pro", "countId": "1"},
        {"assistantId": "Ünï ☎", "plan": "pro", "countId": "1"},
        {"assistantId": None, "plan": "", "countId": "1"},
    ]


def test_a_variable_whose_key_is_taken_has_a_longer_one(endpoint):
    """``variable.<key>`` where a group or an operation has the key, and the client reads exactly that."""
    body = one(groupBy=["type"], groupByVariableValue=[{"key": "type"}, {"key": "sumCost"}], operations=[SPEND])
    _, _, [reply] = endpoint.send(body)
    assert reply["result"][1] == {
        "type": "webCall",
        "variable.type": "x",
        "variable.sumCost": "y",
        "sumCost": 0.1 + 0.2,
    }
    with pytest.warns(QueryWarning, match="VF106"):  # nothing is known of how the service itself does it
        frame = vf.connect(KEY, base_url=endpoint.url).fetch(Query.from_body(body))["q"]
    assert frame.index.names == ["type", "variable.type", "variable.sumCost"]
    assert frame.index[1] == ("webCall", "x", "y")


def test_a_key_that_only_the_frame_would_change_is_left_alone(endpoint):
    """A variable with the name of a column that is not in the row has its own key."""
    _, _, [reply] = endpoint.send(one(groupByVariableValue=[{"key": "type"}]))
    assert reply["result"] == [{"type": "x", "countId": "4"}]


def test_an_operation_is_under_its_alias_or_the_services_own_name(endpoint):
    """Verbatim, also where the service's own name is longer than an alias may be."""
    summary = "costBreakdown.analysisBreakdown.summary"
    operations = [
        {"operation": "count", "column": summary},
        {"operation": "count", "column": "cost", "alias": 'a "quoted".name; DROP TABLE calls'},
        {"operation": "avg", "column": "cost"},
    ]
    with running(vf.local([{**call, summary: 1} for call in CALLS], now=NOW).source) as other:
        _, _, [reply] = other.send(one(operations=operations))
    assert list(reply["result"][0]) == [
        "countCostBreakdownAnalysisBreakdownSummary", 'a "quoted".name; DROP TABLE calls', "avgCost",
    ]  # fmt: skip


def test_nothing_is_one_row_without_step_and_group_and_none_with(endpoint):
    """A range without calls: counts "0" and the rest null, or no rows at all."""
    span = {"start": "2020-01-01T00:00:00Z", "end": "2020-02-01T00:00:00+02:00"}
    _, _, [reply] = endpoint.send(one(operations=[COUNT, SPEND], timeRange=span))
    assert reply["result"] == [{"countId": "0", "sumCost": None}]
    assert reply["timeRange"] == {
        "start": "2020-01-01T00:00:00.000Z", "end": "2020-01-31T22:00:00.000Z", "timezone": "UTC",
    }  # fmt: skip
    _, _, [reply] = endpoint.send(one(groupBy=["type"], timeRange=span))
    assert reply["result"] == []


@pytest.mark.parametrize("group", ["type", ["type"]])
def test_one_group_may_be_a_string(endpoint, group):
    """The reference shows a scalar, the vendor's clients send a list."""
    _, _, [reply] = endpoint.send(one(groupBy=group))
    assert [row["countId"] for row in reply["result"]] == ["2", "2"]


def test_results_are_in_the_order_of_the_queries_whatever_their_names(endpoint):
    """Names need not differ: a result belongs to the query at its position."""
    queries = [*one(operations=[SPEND])["queries"], *one()["queries"], *one(name="p")["queries"]]
    _, _, replies = endpoint.send({"queries": queries})
    assert [(reply["name"], *reply["result"][0]) for reply in replies] == [
        ("q", "sumCost"), ("q", "countId"), ("p", "countId"),
    ]  # fmt: skip


def test_a_request_without_queries_gets_an_empty_list(endpoint):
    """That is not an error."""
    assert endpoint.send({"queries": []})[::2] == (201, [])


def written(table, query=None):
    """Return the reply for a result with *table*, as values and as text."""
    query = query or Query(table="call").max("cost")
    model = parse_request(query.named("q").body()).queries[0]
    text = b"".join(
        write_reply(Result(table, None, None), model, query, datetime(2026, 3, 1, 0, 0, 0, 250, tzinfo=UTC))
    )
    return json.loads(text), text


def test_instants_that_are_finer_than_a_millisecond_are_written_whole():
    """Milliseconds are the form, but nothing is cut off: neither of a date nor of the range."""
    micros = pa.array([1_772_323_200_000_001, 1_772_323_200_500_000], pa.timestamp("us", "Asia/Kathmandu"))
    reply, _ = written(pa.table({"date": micros, "maxCost": [1.0, 2.0]}))
    assert [row["date"] for row in reply["result"]] == ["2026-03-01T00:00:00.000001Z", "2026-03-01T00:00:00.500000Z"]
    assert reply["timeRange"]["end"] == "2026-03-01T00:00:00.000250Z"


@pytest.mark.parametrize("number", [0.1 + 0.2, 1e300, 5e-324, -0.0, 123456789.123456789, 2**53 + 2.0, 1e16, 1e-7])
def test_numbers_come_back_as_they_were(number):
    """What a reader makes of the text is the very number."""
    reply, _ = written(pa.table({"maxCost": [number]}))
    assert repr(reply["result"][0]["maxCost"]) == repr(number)


def test_what_json_cannot_say_is_never_written():
    """NaN is missing; an infinite number is an error."""
    assert written(pa.table({"maxCost": [float("nan")]}))[0]["result"] == [{"maxCost": None}]
    with pytest.raises(vf.errors.ResponseError, match="maxCost.* is infinite"):
        written(pa.table({"maxCost": [float("-inf")]}))


def test_rows_are_written_in_batches():
    """More rows than one batch has are all there, in order."""
    names = [f"{number:06}" for number in range(25_001)]
    query = Query(table="call").max("cost").by("assistantId")
    reply, _ = written(pa.table({"assistantId": names, "maxCost": np.arange(25_001.0)}), query)
    assert reply["result"] == [{"assistantId": name, "maxCost": float(at)} for at, name in enumerate(names)]


# --- what is refused -------------------------------------------------------------------------------------------------


def refusal(reply, status):
    """Check the form of an error's body, and return its message as one text."""
    found, headers, body = reply
    assert found == status
    assert headers["Content-Type"] == "application/json"
    assert set(body) == {"message", "error", "statusCode"}
    assert body["statusCode"] == status
    assert isinstance(body["error"], str)
    message = body["message"]
    assert isinstance(message, str) or (message and all(isinstance(sentence, str) for sentence in message))
    return message if isinstance(message, str) else "; ".join(message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ("{}".encode("utf-16"), "not JSON"),
        (b'{"queries": NaN}', "not JSON"),
        (b'{"queries": Infinity}', "not JSON"),
        (b'{"queries": [{"table": "call", "name": "\\ud800", "operations": []}]}', "not JSON"),
        (b"[" * 19_000, "not JSON"),
        (b'{"queries":' + b"[" * 100 + b"]" * 100 + b"}", "$.queries[0] must be an object"),
        (b'{"queries":' + b"9" * 19_000 + b"}", "not JSON"),
        (b'{"queries": 1e400}', "$.queries must be a list"),
        (b'{"queries":[' + b"0," * 9_000 + b"0]}", "$.queries has 9001 elements, at most 20"),
        (b'{"queries":[{"operations":[' + b"0," * 9_000 + b"0]}]}", "$.queries[0].operations has 9001 elements, at most 100"),
        (b'{"queries":[{"groupBy":[' + b"0," * 9_000 + b"0]}]}", "$.queries[0].groupBy has 9001 elements"),
        ([], "$ must be an object"),
        (None, "not JSON"),
        ({}, "$.queries is missing"),
        ({"queries": [], "filters": []}, "unknown field 'filters'"),
        (one(table="calls"), "did you mean 'call'"),
        (one(groupBy=["assistant"]), "did you mean 'assistantId'"),
        (one(operations=[{"operation": "mean", "column": "cost"}]), "did you mean 'avg'"),
        (one(operations=[{"operation": "sum", "column": "costs"}]), "did you mean 'cost'"),
        (one(operations=[]), "the query has no measure"),
        (one(operations=[COUNT, COUNT]), "is already in the query"),
        (one(operations=[{**COUNT, "alias": "type"}]), "alias 'type'"),
        (one(operations=[{**COUNT, "alias": "x" * 41}]), "at most 40"),
        (one(name="x" * 41), "at most 40"),
        (one(name=""), "$.queries[0].name"),
        (one(groupByVariableValue=[{"key": "k" * 101}]), "at most 100"),
        (one(groupByVariableValue=[{"key": "nobody"}]), "no variable 'nobody'"),
        (one(operations=[{"operation": "sum", "column": "id"}]), "no known meaning"),
        (one(timeRange={"step": "fortnight"}), "unknown step"),
        (one(timeRange={"timezone": "Mars/Olympus"}), "unknown time zone"),
        (one(timeRange={"timezone": "../../../etc/passwd"}), "unknown time zone"),
        (one(timeRange={"start": "2026-10-01"}), "not an ISO 8601 date-time"),
        (one(timeRange={"start": "2026-10-01T00:00:00Z", "end": "2026-10-01T00:00:00Z"}), "range is empty"),
        (one(timeRange={"start": "9999-12-31T23:59:59-14:00"}), "outside the years"),
        (one(timeRange={"step": "day", "filter": 1}), "no filters"),
        (one(where={"type": "webCall"}), "no filters"),
        (busy("second", "2026-01-01", "2027-01-01"), "about 31,536,000, and a request at most 1,000,000"),
        ({"queries": busy("minute", "2026-01-01", "2026-06-01")["queries"] * 5}, "about 1,087,200"),
        (busy(None, "2026-01-01", "2027-01-01", groupBy=["type"]), "cannot split it by type"),
    ],
)  # fmt: skip
def test_a_wrong_query_is_a_400_that_says_what_would_be_right(endpoint, body, message):
    """Not JSON, an unknown word, what the contract forbids, what the source cannot answer."""
    assert message in refusal(endpoint.send(body), 400)


def test_every_wrong_query_of_a_request_is_named(endpoint):
    """The message is a list, with a sentence for each wrong query."""
    wrong = one(timeRange={"timezone": "Nowhere"})["queries"][0]
    _, _, body = endpoint.send({"queries": [wrong, *one()["queries"], {**wrong, "operations": [COUNT, COUNT]}]})
    assert [sentence.split(":")[0] for sentence in body["message"]] == ["$.queries[0]", "$.queries[2]"]


def test_a_request_is_validated_once(endpoint, monkeypatch):
    """The models that were validated become the queries; they are not written out and read again."""
    validate, seen = AnalyticsQueryDTO.model_validate, []

    def counted(body):
        seen.append(body)
        return validate(body)

    monkeypatch.setattr(AnalyticsQueryDTO, "model_validate", counted)
    body = {"queries": [*one(name="a")["queries"], *one(name="b")["queries"]]}
    assert endpoint.send(body)[0] == 201
    assert seen == [body]


def test_a_message_repeats_little_of_what_came(endpoint):
    """A long word does not come back whole."""
    assert len(refusal(endpoint.send({"k" * 19_000: 1}), 400)) <= 1_000


def test_two_keys_of_a_row_cannot_be_one(endpoint):
    """Where a row would lose a value, the query is refused."""
    body = one(operations=[{**COUNT, "alias": "plan"}], groupByVariableValue=[{"key": "plan"}])
    assert endpoint.send(body)[2][0]["result"][0] == {"variable.plan": "", "plan": "1"}
    body = one(
        operations=[{**COUNT, "alias": "variable.type"}], groupBy=["type"], groupByVariableValue=[{"key": "type"}]
    )
    assert "'variable.type'" in refusal(endpoint.send(body), 400)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("POST", "/", 404, None),
        ("POST", "/analytics/", 404, None),
        ("POST", "/Analytics", 404, None),
        ("POST", "/analytics/../etc", 404, None),
        ("GET", "/analytics", 405, "POST"),
        ("PUT", "/analytics", 405, "POST"),
        ("OPTIONS", "/analytics", 405, "POST"),
        ("POST", "/openapi.json", 405, "GET, HEAD"),
    ],
)
def test_other_paths_and_methods_are_refused_before_the_key_is_asked_for(endpoint, method, path, status, allow):
    """404 and 405, which says what is allowed."""
    reply = endpoint.send(b"{}", method=method, path=path, key=None)
    refusal(reply, status)
    assert reply[1]["Allow"] == allow or set(reply[1]["Allow"].split(", ")) == set(allow.split(", "))


def test_a_path_may_be_percent_encoded_and_have_a_query(endpoint):
    """What the path means counts, not how it is spelled."""
    assert endpoint.send(one(), path="/%61nalytics?x=1")[0] == 201


def test_head_is_answered_without_a_body(endpoint):
    """HEAD is refused, and its reply has only a head."""
    came = endpoint.raw(b"HEAD /analytics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert came.startswith(b"HTTP/1.1 405 ")
    assert came.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "sent",
    [
        None, "", KEY, "Bearer", "Bearer ", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", f"Bearer {KEY} {KEY}", f"Basic {KEY}",
        f"Bearer,{KEY}", "Bearer Ünï", f"Bearer {KEY}, Bearer {KEY}", f"Bearer {KEY.upper()}",
    ],
)  # fmt: skip
def test_a_wrong_key_is_a_401(endpoint, sent):
    """Only the key itself is accepted, and the reply does not repeat what was sent."""
    header = sent if sent is None else sent.encode("utf-8")
    reply = endpoint.send(one(), headers={"Authorization": header})
    assert KEY not in refusal(reply, 401)
    assert reply[1]["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_the_scheme_is_read_as_http_says(endpoint, scheme):
    """Its case does not matter, nor do blanks."""
    assert endpoint.send(one(), headers={"Authorization": f"{scheme} {KEY}"})[0] == 201


def test_two_keys_are_none(endpoint):
    """A request with two Authorization headers is ambiguous, and refused."""
    body = json.dumps(one()).encode()
    head = f"POST /analytics HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    keys = f"Authorization: Bearer {KEY}\r\n"
    assert endpoint.raw((head + keys + "\r\n").encode() + body).startswith(b"HTTP/1.1 201 ")
    assert endpoint.raw((head + keys + keys + "\r\n").encode() + body).startswith(b"HTTP/1.1 401 ")


def test_the_key_is_checked_before_the_body_is_read(endpoint):
    """A request without the key is refused without waiting for its body."""
    head = b"POST /analytics HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\nContent-Type: text/plain\r\n"
    assert endpoint.raw(head + b"\r\n").startswith(b"HTTP/1.1 401 ")
    key = f"Authorization: Bearer {KEY}\r\n\r\n".encode()
    assert endpoint.raw(head + key).startswith(b"HTTP/1.1 415 ")
    key = key.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    assert endpoint.raw(head.replace(b"text/plain", b"application/json") + key).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json; charset=utf-8"}, 201),
        ({"Content-Type": 'Application/JSON;Charset="UTF-8"'}, 201),
        ({"Content-Encoding": "identity"}, 201),
        ({"Content-Type": None}, 415),
        ({"Content-Type": "text/json"}, 415),
        ({"Content-Type": "application/json, text/plain"}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
    ],
)
def test_only_plain_json_is_read(endpoint, headers, status):
    """Another type, another charset or a compressed body is a 415."""
    reply = endpoint.send(one(), headers=headers)
    assert reply[0] == status
    if status == 415:
        refusal(reply, 415)


def test_a_mark_before_the_text_is_no_fault(endpoint):
    """The byte order mark that some editors write is skipped."""
    assert endpoint.send(b"\xef\xbb\xbf" + json.dumps(one()).encode())[0] == 201


def test_a_large_body_is_a_413(endpoint):
    """By its announced length, and by what comes where none is announced."""
    large = json.dumps(one()).encode() + b" " * 20_000
    assert "20000 bytes" in refusal(endpoint.send(large), 413)
    head = f"POST /analytics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
    head += "Transfer-Encoding: chunked\r\n\r\n"
    pieces = b"".join(b"3e8\r\n" + large[at : at + 1000].ljust(1000) + b"\r\n" for at in range(0, len(large), 1000))
    assert endpoint.raw(head.encode() + pieces + b"0\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    small = json.dumps(one()).encode()
    whole = f"{len(small):x}\r\n".encode() + small + b"\r\n0\r\n\r\n"
    assert endpoint.raw(head.encode() + whole).startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize(
    "head",
    [
        b"POST /analytics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /analytics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /analytics HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000000000000000000\r\n\r\n",
        b"POST /analytics HTTP/1.1\r\n no: header\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_request_is_a_400_like_any_other(endpoint, head):
    """Bytes that are not HTTP get an error's body, too."""
    came = endpoint.raw(head, end=True)
    assert came.startswith(b"HTTP/1.1 400 ")
    assert json.loads(came.partition(b"\r\n\r\n")[2])["statusCode"] == 400
    assert endpoint.send(one())[0] == 201


def test_a_broken_chunk_ends_only_its_own_connection(endpoint):
    """A body that breaks HTTP in the middle is cut off, whether it was already answered or not."""
    head = f"POST /analytics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
    head += "Transfer-Encoding: chunked\r\n\r\n"
    assert endpoint.raw(head.encode() + b"2\r\n{}\r\nzz\r\n").startswith(b"HTTP/1.1 400 ")
    with socket.create_connection(("127.0.0.1", endpoint.port), SAFETY) as connection:
        connection.sendall(head.replace(KEY, "wrong").encode() + b"2\r\n{}\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")
        connection.sendall(b"zz\r\n")
        while connection.recv(65_536):
            pass
    assert endpoint.send(one())[0] == 201


def test_one_connection_serves_many_requests(endpoint):
    """Also after an error, and where requests come before they are answered."""
    body = json.dumps(one()).encode()
    head = f"POST /analytics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
    good = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    bad = f"{head}Content-Length: 1\r\n\r\n".encode() + b"{"
    with socket.create_connection(("127.0.0.1", endpoint.port), SAFETY) as connection:
        connection.sendall(good + bad + good)
        came = b""
        while came.count(b"HTTP/1.1 ") < 3 or not came.endswith((b"}", b"]")):
            came += connection.recv(65_536)
    assert re.findall(rb"HTTP/1.1 (\d+) ", came) == [b"201", b"400", b"201"]


# --- without a key ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 201), ("localhost:8484", 201), ("LOCALHOST", 201), ("[::1]:8484", 201), ("127.9.9.9:1", 201),
        ("evil.example", 401), ("localhost.evil.example", 401), ("10.0.0.1", 401), ("", 401), ("[::1", 401),
    ],
)  # fmt: skip
def test_without_a_key_only_this_machines_own_name_is_answered(source, host, status):
    """A web page under a name that resolves to this machine cannot send queries through its visitor's browser."""
    with running(source, key=None) as endpoint:
        reply = endpoint.send(one(), headers={"Host": host})
    assert reply[0] == status
    if status == 401:
        refusal(reply, 401)


@pytest.mark.parametrize("key", ["", " ", "two words", "line\nbreak", " padded", "Ünï", 7])
def test_what_no_header_can_carry_is_no_key(source, key):
    """A key that no client could send is refused when the app is made, and not repeated."""
    with pytest.raises(QueryError, match="the key must be text in ASCII") as caught:
        create_app(source, key=key)
    assert repr(key) not in str(caught.value)


@pytest.mark.parametrize(
    "limit",
    [
        {"timeout": 0},
        {"timeout": float("nan")},
        {"workers": 0},
        {"query_limit": 0},
        {"body_limit": -1},
        {"row_limit": 0},
        {"reply_limit": 0},
    ],
)
def test_limits_that_make_no_sense_are_refused(source, limit):
    """An app that could not answer any request is refused at once."""
    with pytest.raises(QueryError, match=next(iter(limit))):
        create_app(source, key=None, **limit)


def test_the_app_does_not_keep_the_key(source):
    """Nothing that the app refers to is the key, at any depth."""
    import gc

    secret = "a-key-that-is-only-here" + str(len(CALLS))
    app = create_app(source, key=secret)
    seen, left = set(), [app]
    while left:
        found = left.pop()
        if id(found) in seen or isinstance(found, type(pytest)):
            continue
        seen.add(id(found))
        assert not (isinstance(found, str | bytes) and str(secret) in str(found))
        if not isinstance(found, type):
            left += [
                other for other in gc.get_referents(found) if not (isinstance(other, dict) and "__builtins__" in other)
            ]
    assert len(seen) > 100


# --- what goes wrong inside ------------------------------------------------------------------------------------------


class Scripted:
    """A source with results that a test sets."""

    kind = "scripted"

    def __init__(self, act):
        self.act = act

    def now(self):
        return datetime(2026, 3, 10, 12, tzinfo=UTC)

    def answer(self, queries, now):
        return self.act(queries, now)


def raising(error):
    """Return a source that fails with *error*."""

    def act(queries, now):
        raise error

    return Scripted(act)


def deep(queries, now):
    """Call itself for ever."""
    return deep(queries, now)


@pytest.mark.parametrize(
    "source",
    [
        raising(RuntimeError("in /secret/path: cost 12.5")),
        raising(RecordsError("calls/secret/2026.parquet, line 3: cost is 'secret'", file="x", line=3, column="id")),
        raising(RecordsError("the call records in /secret cannot be read", column="createdAt")),
        raising(vf.errors.SourceError("secret")),
        raising(KeyboardInterrupt("secret")),
        raising(SystemExit("secret")),
        raising(StopIteration("secret")),
        raising(GeneratorExit("secret")),
        raising(MemoryError("secret")),
        raising(TimeoutError("secret")),
        Scripted(deep),
        Scripted(lambda queries, now: []),
        Scripted(lambda queries, now: [None]),
        Scripted(lambda queries, now: [Result(pa.table({"countId": [float("inf")]}), None, None)]),
    ],
)
def test_what_fails_inside_is_a_500_without_details(source, caplog):
    """Whatever a source raises, the reply is general, the log has the reason, and the next request is answered."""
    with caplog.at_level(logging.ERROR), running(source, workers=1) as endpoint:
        for _ in range(3):
            message = refusal(endpoint.send(one(name="my-own-name")), 500)
            assert "secret" not in message
            assert "cost" not in message
    assert [record.name for record in caplog.records] == ["vapi_frames.server"] * 3
    assert all(record.exc_info for record in caplog.records)
    assert "my-own-name" not in caplog.text
    assert KEY not in caplog.text


def test_an_app_after_its_shutdown_replies_with_an_error(source):
    """Where no worker is available, the reply is a 500 of the usual form."""
    app = create_app(source, key=None)

    async def ask():
        async with app.router.lifespan_context(app):
            pass
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post("/analytics", json=one())

    reply = asyncio.run(ask())
    assert (reply.status_code, reply.json()["statusCode"]) == (500, 500)
    assert "shutdown" not in reply.text


def test_a_warning_of_a_source_goes_to_the_log(endpoint, caplog):
    """What warns a caller in Python goes to the server's log; no warning is raised in a thread."""
    with caplog.at_level(logging.INFO, "vapi_frames.server"):
        endpoint.send(one(timeRange={"start": "2020-01-01T00:00:00Z", "end": "2020-02-01T00:00:00Z"}))
    assert any("no call was created in" in record.getMessage() for record in caplog.records)


# --- time ------------------------------------------------------------------------------------------------------------


class Both:
    """Two sources: queries named ``slow`` are for one of them; it remembers how they ended."""

    kind = "calls"

    def __init__(self, slow, fast):
        self.slow, self.fast, self.began, self.ended = slow, fast, threading.Semaphore(0), threading.Semaphore(0)
        self.errors = []

    def now(self):
        return datetime(2026, 10, 8, tzinfo=UTC)

    def answer(self, queries, now):
        if queries[0].title != "slow":
            return self.fast.answer(queries, now)
        self.began.release()
        try:
            return self.slow.answer(queries, now)
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            self.ended.release()


@pytest.fixture(scope="module")
def minutes_of_work(tmp_path_factory):
    """Make records that DuckDB needs far longer for than any test waits: times as text, in many files."""
    path = tmp_path_factory.mktemp("slow") / "calls.parquet"
    at = np.datetime64("2026-10-01T00:00:00") + np.arange(500_000).astype("timedelta64[s]")
    numbers = np.arange(500_000.0)
    pq.write_table(pa.table({"id": numbers.astype(str), "createdAt": np.datetime_as_string(at), "cost": numbers}), path)
    return list(map(str, link_files(path, 400)))


@pytest.fixture
def both(minutes_of_work):
    """Serve a query that takes minutes, and queries that take no time."""
    return Both(vf.local(minutes_of_work).source, vf.local(CALLS).source)


SLOW = one(name="slow", operations=[SPEND], timeRange={"step": "minute"})
LONG_AGO = {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"}
QUICK = one(name="quick", timeRange=LONG_AGO)


def test_a_slow_query_is_a_504_and_its_work_ends(both):
    """After the time-out the engine itself is interrupted: the only worker is free again for the next request."""
    with running(both, timeout=0.5, workers=1) as endpoint:
        assert endpoint.send(QUICK)[0] == 201  # the engine has started
        assert "more than 0.5 s" in refusal(endpoint.send(SLOW), 504)
        assert both.ended.acquire(timeout=SAFETY)
        assert type(both.errors[0].__cause__).__name__ == "InterruptException"
        assert endpoint.send(QUICK)[0] == 201


@contextlib.contextmanager
def waiting(endpoint, both):
    """Open a connection with a request that takes minutes, and wait until it has reached the source."""
    body = json.dumps(SLOW).encode()
    head = f"POST /analytics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", endpoint.port), SAFETY) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert both.began.acquire(timeout=SAFETY)
        yield connection


@pytest.fixture
def _leaves_soon(monkeypatch):
    """A client that has gone is given little time to be one that has closed its half only."""
    monkeypatch.setattr("vapi_frames.server.protocol.HALF_CLOSED_SECONDS", 0.3)


@pytest.mark.usefixtures("_leaves_soon")
def test_a_slow_query_blocks_no_other_and_ends_when_its_client_disconnects(both):
    """While it runs, others are answered; after a disconnect the engine is interrupted."""
    with running(both, timeout=1_000, workers=2) as endpoint:
        with waiting(endpoint, both):
            for _ in range(20):
                assert endpoint.send(QUICK)[2][0]["result"] == [{"countId": "4"}]
            assert not both.ended.acquire(blocking=False)
        assert both.ended.acquire(timeout=SAFETY)
    assert len(both.errors) == 1


@pytest.mark.long
@pytest.mark.usefixtures("_leaves_soon")
def test_one_request_is_cut_off_alone(both):
    """Of two slow requests, the end of one does not touch the other."""
    with running(both, timeout=1_000, workers=2) as endpoint:
        with waiting(endpoint, both):
            with waiting(endpoint, both):
                pass
            assert both.ended.acquire(timeout=SAFETY)
            assert endpoint.send(QUICK)[0] == 201
            assert not both.ended.acquire(timeout=0.2)
        assert both.ended.acquire(timeout=SAFETY)


def test_a_body_that_does_not_come_is_a_408(source):
    """The time-out also applies to a body that does not arrive."""
    head = f"POST /analytics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
    with running(source, timeout=0.3) as endpoint:
        came = endpoint.raw(f'{head}Content-Length: 100\r\n\r\n{{"queries"'.encode())
    assert came.startswith(b"HTTP/1.1 408 ")
    assert json.loads(came.partition(b"\r\n\r\n")[2])["statusCode"] == 408


@pytest.mark.parametrize(
    "begun", [b"", b"POST /ana", b"POST /analytics HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"]
)
def test_an_incomplete_request_is_closed(source, monkeypatch, begun):
    """A connection without a whole request is closed after a while, also where it already had a reply."""
    monkeypatch.setattr("vapi_frames.server.listen.TIMEOUT_MARGIN", 0.3)
    with running(source, timeout=2.0) as endpoint:  # in which the result at the end fits, on a busy machine, too
        with socket.create_connection(("127.0.0.1", endpoint.port), SAFETY) as connection:
            connection.sendall(begun)
            came = b""
            while piece := connection.recv(65_536):
                came += piece
        assert came == b"" or came.startswith(b"HTTP/1.1 401 ")
        assert endpoint.send(one())[0] == 201


def test_a_stop_reaches_only_its_own_work():
    """Only work inside the scope is cancelled, and not before; other threads and later work continue."""
    stop, called = Stop(), []
    with on_cancel(lambda: called.append("another's")), stop.scope():
        with on_cancel(lambda: called.append("before")):
            pass
        with on_cancel(lambda: called.append("outer")), on_cancel(lambda: called.append("inner")):
            stop.set()
            stop.set()
        with pytest.raises(vf.errors.SourceError, match="was cancelled"), on_cancel(lambda: called.append("after")):
            raise AssertionError("not reached")
    assert called == ["outer", "inner"] * 2
    with on_cancel(lambda: called.append("later")):
        assert len(called) == 4


# --- the document ----------------------------------------------------------------------------------------------------


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
