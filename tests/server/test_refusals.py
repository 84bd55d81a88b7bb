"""What the endpoint refuses, and how it says so."""

from __future__ import annotations

import json
import re
import socket

import pytest

from tests.support.endpoint import KEY, SAFETY
from tests.support.served_calls import COUNT, one, refusal
from vapi_frames.contract.models import AnalyticsQueryDTO

pytestmark = pytest.mark.extra("server")


def busy(step, start, end, **parts):
    """Return a body with a query for concurrency."""
    span = {"start": f"{start}T00:00:00Z", "end": f"{end}T00:00:00Z", **({"step": step} if step else {})}
    peak = {"operation": "max", "column": "concurrency"}
    return one(table="subscription", operations=[peak], timeRange=span, **parts)


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
