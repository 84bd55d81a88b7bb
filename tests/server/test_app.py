"""The endpoint over real connections: its replies, serving without a key, and what goes wrong inside."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime

import httpx
import numpy as np
import pyarrow as pa
import pytest

import vapi_frames as vf
from tests.support.endpoint import KEY, running
from tests.support.served_calls import CALLS, COUNT, NOW, SPEND, one, refusal
from vapi_frames.contract.models import parse_request
from vapi_frames.errors import QueryError, QueryWarning, RecordsError
from vapi_frames.query.query import Query
from vapi_frames.result.result import Result
from vapi_frames.result.write import write_reply
from vapi_frames.server import create_app

pytestmark = pytest.mark.extra("server")


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


def test_a_variable_with_a_taken_key_has_a_longer_one(endpoint):
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
