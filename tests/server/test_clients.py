"""Clients of the published API, pointed at the endpoint: ours, and the vendor's own. All get the numbers of `local`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import httpx
import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

import vapi_frames as vf
from tests.support.endpoint import KEY, SAFETY, running
from tests.support.requirements import require
from vapi_frames.contract.vocabulary import STEPS

pytestmark = pytest.mark.extra("server")

NOW = "2026-11-16T12:34:56.789012Z"
HOSTILE = [
    "'; DROP TABLE calls; --", 'say "hi"', "a.b", "a b", "Plan", "plan ", "💥 Ünï", "\\n\n\t\x00", "SELECT 1",
    "null", "", "0", "{}", "</script>", "k" * 100, "date",
]  # fmt: skip
LIMITED = [word for word in HOSTILE if 0 < len(word) <= 40 and word != "date"]


@pytest.fixture(scope="module")
def local():
    """Serve the sample, with hostile words among its groups and variables."""
    calls = vf.sample_calls(4_000)
    words = pd.Series(HOSTILE).take([at % len(HOSTILE) for at in range(len(calls))]).tolist()
    calls["assistantId"] = [None if at % 7 == 0 else word for at, word in enumerate(words)]
    for word in HOSTILE:
        if word:
            calls[f"variableValues.{word}"] = words
    return vf.local(pa.Table.from_pandas(calls, preserve_index=False), now=NOW)  # which stays as it is


@pytest.fixture(scope="module")
def endpoint(local):
    """Serve it."""
    with running(local.source) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def remote(endpoint):
    """Connect to it."""
    return vf.connect(KEY, base_url=endpoint.url)


@cache
def make_queries(vq):
    """Return the queries."""
    call = vq.call()
    every = call.sum("cost").avg("duration").count().min("cost").max("duration")
    peaks = vq.subscription().max("concurrency").avg("concurrency", alias="mean").min("concurrency")
    peaks = peaks.between("2026-10-31T04:00Z", "2026-11-02T05:00Z")
    within = ("2026-10-24T03:30Z", "2026-11-09T00:00:00.000001Z")
    return [
        every, every.by("type"), every.by("assistantId"), every.by("assistantId", "status", "type"),
        every.step("day"), every.step("day").by("endedReason").by_variable("plan"),
        every.between(*within).step("hour").by("type").tz("America/New_York"),
        every.between("2026-10-24", "2026-11-09").step("day").by("type").tz("Europe/London"),
        every.between("2026-10-01", "2026-10-08").step("hour").tz("Australia/Lord_Howe"),
        every.between(*within).step("second").by("assistantId"),
        every.between("1999-01-01", "2001-01-01"), every.between("1999-01-01", "2001-01-01").by("type"),
        every.since("2026-11-01T00:00Z").by_variable("campaign", "plan"),
        call.avg("duration").with_counts().during("2026-W44").by("status"),
        call.count(*(column for column in ("cost", "costBreakdown.analysisBreakdown.summary"))).by("type"),
        call.sum("costBreakdown.llmPromptTokens").max("costBreakdown.ttsCharacters").during("2026-10"),
        call.sum("cost", alias="a" * 80).count(alias="n").during("2026-10").by("type"),
        *(every.during("2026").step(step).tz("America/Sao_Paulo") for step in STEPS[2:]),
        *(peaks.step(step).tz("America/New_York") for step in STEPS[2:7]), peaks, peaks.min("minutesUsed"),
        vq.subscription().history("concurrency").during("2026-10-02"),
        vq.subscription().history("concurrency").step("hour").tz("Asia/Kathmandu").during("2026-10-02"),
        vq.subscription().sum("minutesUsed").count("minutesUsed").step("day").during("2026-10"),
        *(call.count(alias=word).named(word).during("2026-10").by("assistantId") for word in LIMITED),
        *(call.count().during("2026-10").by_variable(word) for word in HOSTILE if word),
    ]  # fmt: skip


@pytest.mark.filterwarnings(
    "ignore::vapi_frames.errors.QueryWarning",
    "ignore::vapi_frames.errors.RecordsWarning",
    "ignore::vapi_frames.errors.ResponseWarning",
)
@pytest.mark.parametrize("place", range(len(make_queries(vf.vq))))
def test_our_client_gets_the_very_frame_of_local(local, remote, place):
    """Index, order, types, missing values and every digit are those of the same query without a server."""
    expected = make_queries(local)[place].fetch()
    assert_frame_equal(make_queries(remote)[place].fetch(), expected, check_exact=True)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.ResponseWarning")
def test_our_client_gets_all_of_them_in_one_request(local, remote):
    """Fifty queries in one request come back each under its own name."""
    named = {f"{at}": query.named(f"{at}") for at, query in enumerate(make_queries(local)[12:])}
    expected = local.fetch(*named.values())
    found = remote.fetch(*named.values())
    assert list(found) == list(expected)
    for name, frame in expected.items():
        assert_frame_equal(found[name], frame, check_exact=True)


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
def test_our_client_gets_the_same_extension_types(local, remote, backend):
    """Also where a frame has missing values of its own kind."""
    options = {"dtype_backend": backend, "categorical": True}
    query = local.call().avg("duration").count().by("assistantId").during("2026-10")
    assert_frame_equal(remote.fetch(query.named("q"), **options)["q"], local.fetch(query.named("q"), **options)["q"])


def test_our_client_raises_the_message_of_the_endpoint(remote):
    """A refusal arrives as an error of ours, with the endpoint's own sentence and status."""
    with pytest.raises(vf.errors.StatusError, match="no variable 'nobody'") as caught:
        remote.call().count().by_variable("nobody").during("2026-10").fetch()
    assert caught.value.status == 400


def test_our_client_with_another_key_is_refused(endpoint):
    """A wrong key is an AuthenticationError."""
    with pytest.raises(vf.errors.AuthenticationError, match="401"):
        vf.connect("another-key", base_url=endpoint.url).call().count().fetch()


def vendors_query(vq):
    """Return a query for the vendor's clients: a step over a change of the clock, groups, all kinds of numbers."""
    query = vq.call().sum("cost").count().avg("duration").by("type", "assistantId").step("day")
    return query.between("2026-10-24", "2026-11-09").tz("Europe/London").named("spend")


def test_the_vendors_python_client_gets_the_numbers(local, endpoint):
    """`pip install vapi-server-sdk`: its own models go out, its own results become the frame of local."""
    from vapi import AnalyticsOperation, AnalyticsQuery, TimeRange, Vapi

    with httpx.Client(trust_env=False, timeout=SAFETY) as connection:
        client = Vapi(token=KEY, base_url=endpoint.url, httpx_client=connection)
        found = client.analytics.get(
            queries=[
                AnalyticsQuery(
                    table="call",
                    name="spend",
                    group_by=["type", "assistantId"],
                    operations=[
                        AnalyticsOperation(operation="sum", column="cost"),
                        AnalyticsOperation(operation="count", column="id", alias="countId"),
                        AnalyticsOperation(operation="avg", column="duration"),
                    ],
                    time_range=TimeRange(
                        step="day", timezone="Europe/London",
                        start=datetime(2026, 10, 23, 23, tzinfo=UTC), end=datetime(2026, 11, 9, tzinfo=UTC),
                    ),
                ),
                AnalyticsQuery(
                    table="call", name="all", operations=[AnalyticsOperation(operation="count", column="id")],
                    group_by_variable_value=[{"key": "plan"}],
                ),
            ],
        )  # fmt: skip
    assert [one.name for one in found] == ["spend", "all"]
    expected = vendors_query(local).fetch()
    assert len(expected) > 100
    assert_frame_equal(vf.to_frame(found, vendors_query(local)), expected, check_exact=True)
    counts = local.call().count().by_variable("plan").fetch()["countId"]
    assert [int(row["countId"]) for row in found[1].result] == counts.tolist()


VENDORS = {
    "one row": lambda q: q.sum("cost").count().avg("duration"),
    "groups": lambda q: q.sum("cost").min("duration").by("type", "status", "endedReason"),
    "a variable": lambda q: q.count().max("cost").by_variable("plan").by("type"),
    "buckets": lambda q: q.count().sum("duration").step("hour").between("2026-10-25", "2026-10-26").tz("Europe/London"),
    "months": lambda q: q.avg("cost").with_counts().by("type").step("month").between("2026-09-01", "2026-12-01"),
    "names of one's own": lambda q: q.sum("cost", alias="Spend (USD)").count(alias="n" * 60).by("type"),
    "nothing": lambda q: q.count().sum("cost").by("type").step("day").during("2019-01"),
    "nothing at all": lambda q: q.count().sum("cost").during("2019-01"),
    "filters": lambda q: q.count().sum("cost").by("type").where(status="ended", endedReason=["voicemail", None]),
}


def theirs(query):
    """Return *query* as the vendor's own model."""
    from vapi import AnalyticsOperation, AnalyticsQuery, TimeRange

    [body] = query.body()["queries"]
    span = {word: datetime.fromisoformat(v) if word in ("start", "end") else v for word, v in body["timeRange"].items()}
    groups = {"group_by": body["groupBy"]} if "groupBy" in body else {}
    if "groupByVariableValue" in body:
        groups["group_by_variable_value"] = body["groupByVariableValue"]
    return AnalyticsQuery(
        table=body["table"], name=body["name"], time_range=TimeRange(**span), **groups,
        operations=[AnalyticsOperation(**one) for one in body["operations"]],
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning")
@pytest.mark.parametrize("shape", VENDORS)
def test_the_vendors_results_become_the_frame(local, endpoint, shape):
    """A list of them, or one alone; where the names are the API's own, also without the query."""
    from vapi import Vapi

    query = VENDORS[shape](local.call().during("2026-10"))
    with httpx.Client(trust_env=False, timeout=SAFETY) as connection:
        found = Vapi(token=KEY, base_url=endpoint.url, httpx_client=connection).analytics.get(queries=[theirs(query)])
    assert not isinstance(found[0], dict)
    expected = query.fetch()
    assert_frame_equal(vf.to_frame(found, query), expected, check_exact=True)
    assert_frame_equal(vf.to_frame(found[0], query), expected, check_exact=True)
    assert vf.to_frame(found, query).vapi.units == expected.vapi.units
    if shape in ("groups", "buckets", "months"):
        alone = vf.to_frame(found)
        assert_frame_equal(alone[list(expected)], expected, check_exact=True)
        assert alone.vapi.units == expected.vapi.units


def test_the_vendors_python_client_sees_the_error(endpoint):
    """Its own exception carries status and body."""
    from vapi import AnalyticsOperation, AnalyticsQuery, Vapi
    from vapi.core.api_error import ApiError

    with httpx.Client(trust_env=False, timeout=SAFETY) as connection:
        client = Vapi(token=KEY, base_url=endpoint.url, httpx_client=connection)
        wrong = AnalyticsQuery(table="call", name="n", operations=[AnalyticsOperation(operation="sum", column="id")])
        with pytest.raises(ApiError) as caught:
            client.analytics.get(queries=[wrong])
    assert (caught.value.status_code, caught.value.body["error"]) == (400, "Bad Request")


SCRIPT = """
const { VapiClient, VapiError } = require("@vapi-ai/server-sdk");
const { baseUrl, token, body } = JSON.parse(require("fs").readFileSync(0, "utf8"));
new VapiClient({ baseUrl, token }).analytics.get(body).then(
  (found) => console.log(JSON.stringify(found)),
  (error) => console.log(JSON.stringify({ mine: error instanceof VapiError, status: error.statusCode, body: error.body })),
);
"""


def node(endpoint, body, token=KEY):
    """Ask by the vendor's TypeScript client; return what it gives."""
    folder = os.environ.get("VAPI_FRAMES_NODE_MODULES", "")
    require(shutil.which("node"), "node is not installed")
    is_there = bool(folder) and Path(folder, "@vapi-ai", "server-sdk").is_dir()
    require(is_there, "VAPI_FRAMES_NODE_MODULES names no node_modules with @vapi-ai/server-sdk")
    arguments = json.dumps({"baseUrl": endpoint.url, "token": token, "body": body})
    done = subprocess.run(
        [shutil.which("node"), "-e", SCRIPT], input=arguments, capture_output=True, text=True, check=False,
        encoding="utf-8", timeout=SAFETY, env={**os.environ, "NODE_PATH": folder},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_vendors_typescript_client_gets_the_numbers(local, endpoint):
    """`npm install @vapi-ai/server-sdk`: what it gives becomes the frame of local, hostile words included."""
    hostile = local.call().count(alias=HOSTILE[0]).named(HOSTILE[1]).during("2026-10").by_variable("💥 Ünï")
    queries = [vendors_query(local), hostile]
    found = node(endpoint, {"queries": [query.body()["queries"][0] for query in queries]})
    assert [one["name"] for one in found] == ["spend", HOSTILE[1]]
    for query in queries:
        assert_frame_equal(vf.to_frame(found, query), query.fetch(), check_exact=True)


def test_the_vendors_typescript_client_sees_the_error(endpoint):
    """Its own exception carries status and body."""
    error = node(endpoint, {"queries": []}, token="another-key")
    assert (error["mine"], error["status"], error["body"]["error"]) == (True, 401, "Unauthorized")


def test_the_bytes_of_a_go_client_are_answered(local, endpoint):
    """A request as Go's standard library sends it, with the bodies that the vendor's Go client makes."""
    body = (
        b'{"queries":[{"table":"call","name":"Total Call Duration","operations":[{"operation":"sum","column":"duration"}]},'
        b'{"table":"call","groupBy":["type"],"groupByVariableValue":[{"key":"plan"}],"name":"spend","timeRange":{"step":"day",'
        b'"timezone":"Europe/London","start":"2026-10-24T00:00:00+01:00","end":"2026-11-09T00:00:00Z"},"operations":'
        b'[{"operation":"sum","column":"cost"},{"operation":"count","column":"id"}]}]}'
    )
    head = (
        f"POST /analytics HTTP/1.1\r\nHost: 127.0.0.1:{endpoint.port}\r\nUser-Agent: Go-http-client/1.1\r\n"
        f"Content-Length: {len(body)}\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
        "X-Fern-Language: Go\r\nAccept-Encoding: gzip\r\n\r\n"
    )
    reply = endpoint.raw(head.encode() + body).partition(b"\r\n\r\n")[2]
    total = local.call().sum("duration").named("Total Call Duration")
    spend = (
        local.call().sum("cost").count().by("type").by_variable("plan").step("day").tz("Europe/London").named("spend")
    )
    spend = spend.between("2026-10-24", "2026-11-09")
    for query in (total, spend):
        assert_frame_equal(vf.to_frame(reply, query), query.fetch(), check_exact=True)


# --- a data source for JSON, as Grafana has ---------------------------------------------------------------------------


@pytest.mark.extra("local")
def test_a_panel_of_grafana_reads_what_the_page_says(local):
    """The body on the page, with the range of a dashboard filled in; its rows, and each thing said about them."""
    page = (Path(__file__).parents[2] / "notebooks/guides/grafana.md").read_text(encoding="utf-8")
    [text] = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    assert text.strip() in re.sub(r"(?m)^(?:\.\.\.|>>>) ", "", page.split("## The same without Grafana")[1])

    def fill(body):
        body = body.replace("${__from:date:iso}", "2026-10-01T00:00:00.000Z")
        body = body.replace("${__to:date:iso}", "2026-10-08T00:00:00.000Z")
        return body.encode()

    with running(local.source, row_limit=100) as endpoint:
        assert endpoint.send(None, method="GET", path="/ready", key=None)[0] == 200
        status, headers, [result] = endpoint.send(fill(text))
        counted = text.replace('"sum", "column": "cost"', '"count", "column": "id"').replace(
            '["type"]', '["assistantId"]'
        )
        by_second = endpoint.send(fill(text.replace('"day"', '"second"')))
        rows = endpoint.send(fill(counted.replace('"step": "day", ', "")))[2][0]["result"]
    assert (status, headers["Content-Type"]) == (201, "application/json")
    assert all(set(row) == {"date", "type", "cost"} for row in result["result"])
    assert {type(row["cost"]) for row in result["result"]} == {float}
    frame = local.call().sum("cost", alias="cost").by("type").step("day").between("2026-10-01", "2026-10-08").fetch()
    assert [row["cost"] for row in result["result"]] == frame["cost"].tolist()
    assert {type(row["cost"]) for row in rows} == {str}  # a count is text on the wire
    assert None in [row["assistantId"] for row in rows]
    assert by_second[0] == 413
    assert "send a coarser step" in by_second[2]["message"][0]
