"""The calls behind a result of the API: those that its own list has, with what the query and the caller use."""

from __future__ import annotations

import json

import pytest

import vapi_frames as vf
from tests.support.call_list import NOW, Calls, at, call, connect
from tests.support.servers import Server, failing
from vapi_frames.errors import AuthenticationError, RecordsWarning, SourceError
from vapi_frames.interface.connect import Vq
from vapi_frames.sources.api.client import ApiClient
from vapi_frames.sources.api.source import ApiSource

pytestmark = pytest.mark.extra("local")
PERSONAL = {
    "artifact": {"transcript": "AI: Hello.", "variableValues": {"plan": "pro"}},
    "customer": {"number": "+15550100"},
    "messages": [{"role": "bot"}],
}
SOLD = [call(f"s{hour}", at(12, hour), assistantId="sales", cost=hour / 10, **PERSONAL) for hour in range(3)]
HELPED = [call(f"h{hour}", at(13, hour), assistantId="support", cost=hour) for hour in range(4)]


def vq_of(server):
    """Return a vq of *server* with the clock of the list."""
    return Vq(lambda: ApiSource(ApiClient(connect(server), now=NOW)))


def test_the_calls_come_from_the_list_of_the_api():
    """The range is listed, the filter that the list has is sent, and all others are applied to the records."""
    with Server(served := Calls(*SOLD, *HELPED)) as server:
        vq = vq_of(server)
        query = vq.call().sum("cost").by("assistantId").step("day").between("2026-10-12", "2026-10-14")
        calls = query.drill()
        assert calls["id"].tolist() == ["s0", "s1", "s2", "h0", "h1", "h2", "h3"]
        assert calls.groupby("assistantId")["cost"].sum().round(9).to_dict() == {"sales": 0.3, "support": 6.0}
        assert all("assistantId" not in sent for sent in served.requests)
        served.requests = []
        few = query.where(assistantId="sales").drill(["id"])
        assert few["id"].tolist() == ["s0", "s1", "s2"]
        assert {sent["assistantId"] for sent in served.requests} == {"sales"}
        served.requests = []
        both = query.where(assistantId=["sales", None]).drill(["id"])
        assert both["id"].tolist() == ["s0", "s1", "s2"]
        assert all("assistantId" not in sent for sent in served.requests)


def test_what_is_personal_is_kept_only_if_named():
    """A transcript, a message or a number is read from the reply if the caller names it."""
    with Server(Calls(*SOLD)) as server:
        vq = vq_of(server)
        query = vq.call().count().between("2026-10-12", "2026-10-13")
        assert not any(word in query.drill().to_csv() for word in ("Hello", "+1555", "bot"))
        named = query.drill(["artifact.transcript", "customer.number", "messages", "variable.plan"])
        assert named.iloc[0].tolist() == [
            "AI: Hello.",
            "+15550100",
            json.dumps([{"role": "bot"}]).replace(" ", ""),
            "pro",
        ]


def test_what_the_query_itself_uses_is_kept():
    """A query of records may group by a number, which then is its index; a whole object is whole."""
    with Server(Calls(*SOLD)) as server:
        query = vq_of(server).call().count().by("customer.number").between("2026-10-12", "2026-10-13")
        assert query.drill(["id"]).index.tolist() == ["+15550100"] * 3
        assert json.loads(query.drill(["artifact"])["artifact"].iloc[0]) == PERSONAL["artifact"]


def test_a_range_that_the_api_no_longer_lists_is_named():
    """The API lists 14 days, and a longer range says so."""
    with Server(Calls(*SOLD)) as server:
        query = vq_of(server).call().count().between("2026-09-01", "2026-10-14")
        with pytest.warns(
            RecordsWarning, match=r"the API lists calls for 14 days.*before 2026-10-01 12:00 UTC may be missing"
        ):
            assert len(query.drill()) == 3


def test_a_server_without_a_list_refuses_by_name():
    """A server with POST /analytics only has no calls; any other refusal stays what it is."""
    with Server(failing(404)) as server:
        query = vq_of(server).call().count().last("3d")
        with pytest.raises(SourceError, match=r"does not list calls: its GET /call replied 404\. Drill call records"):
            query.drill()
    with Server(failing(401)) as server, pytest.raises(AuthenticationError):
        vq_of(server).call().count().last("3d").drill()


def test_a_frame_of_the_api_is_drilled_by_its_own_source():
    """The rows of a frame are the choice, whatever gave the frame."""
    with Server(Calls(*SOLD, *HELPED)) as server:
        records = vf.local([record for record, _ in (*SOLD, *HELPED)], now=NOW)
        frame = records.call().sum("cost").by("assistantId").step("day").between("2026-10-12", "2026-10-14").fetch()
        calls = frame.nlargest(1, "sumCost").vapi.drill(vq_of(server), ["id", "cost"])
        assert calls["id"].tolist() == ["h0", "h1", "h2", "h3"]
