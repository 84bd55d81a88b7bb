"""The names of assistants."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest

import vapi_frames as vf
from tests.support.call_list import Calls, at, vq_of
from tests.support.servers import Server, answering, failing, reply
from vapi_frames.errors import (
    AuthenticationError,
    ResponseError,
    ResponseWarning,
)

ASSISTANTS = [
    {"id": "a1", "name": "Front desk", "createdAt": "2026-01-01T00:00:00.000Z"},
    {"id": "a2", "createdAt": "2026-01-02T00:00:00.000Z"},
    {"id": "a3", "name": "Billing", "createdAt": "2026-01-02T00:00:00.000Z"},
]


def analytics(request, connection):
    """Reply to queries by assistant, and list assistants."""
    if request.method == "GET":
        return reply(200, ASSISTANTS)(request, connection)
    rows = [{"assistantId": id_, "sumCost": cost} for id_, cost in (("a1", 1.0), ("a2", 2.0), ("a3", 4.0))]
    return answering(change=lambda found: [{**one, "result": rows} for one in found])(request, connection)


def test_names_of_assistants_label_a_frame():
    """End to end: one more request, once, and names beside the ids; the assistant without a name has its id."""
    with Server(analytics) as server:
        vq = vq_of(server)
        df = vq.call().sum("cost").by("assistantId").during("2026-10").fetch()
        named = df.vapi.label(vq.assistants())
        assert vq.assistants().to_dict() == {"a1": "Front desk", "a3": "Billing"}
    assert named.index.tolist() == [("Billing", "a3"), ("Front desk", "a1"), ("a2", "a2")]
    assert named["sumCost"].tolist() == [4.0, 1.0, 2.0]
    assert [one.target for one in server.requests if one.method == "GET"] == ["/assistant?limit=1000"]
    names = vq.assistants()
    assert (names.name, names.index.name) == ("assistantName", "assistantId")
    assert names.dtype == names.index.dtype == pd.Series(["a"], dtype="str").dtype
    names["a1"] = "changed"
    assert vq.assistants()["a1"] == "Front desk"


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_not_list_assistants_costs_only_the_names(status):
    """A warning, no names, and the next time it is tried again."""
    with Server(failing(status, "not for this key"), failing(status), reply(200, ASSISTANTS)) as server:
        vq = vq_of(server)
        for _ in range(2):
            with pytest.warns(ResponseWarning, match="shown by id: the API replied"):
                assert vq.assistants().empty
        assert len(vq.assistants()) == 2


def test_that_there_are_no_assistants_is_remembered():
    """An empty list is a reply, too."""
    with Server(reply(200, [])) as server:
        vq = vq_of(server)
        assert vq.assistants().empty
        assert vq.assistants().empty
        assert len(server.requests) == 1


def test_without_any_key_there_is_no_request():
    """That is an error, as for every query."""
    with pytest.raises(AuthenticationError, match="there is no key"):
        vf.vq.assistants()


def test_more_than_a_thousand_assistants_are_all_listed():
    """A full page is not all; the others come by the time of their creation."""
    many = [
        ({"id": f"{n}", "name": f"n{n}", "createdAt": f"2025-{1 + n % 12:02}-01T00:{n // 60 % 60:02}:{n % 60:02}Z"}, n)
        for n in range(2_500)
    ]
    calls = Calls(*((one, datetime.fromisoformat(one["createdAt"])) for one, _ in many))

    def listing(request, connection):
        if "createdAtGe" not in request.target:
            return reply(200, [one for one, _ in many[:1_000]])(request, connection)
        return calls(type(request)("GET", request.target.replace("/assistant", "/call"), {}, b""), connection)

    with Server(listing) as server:
        assert vq_of(server).assistants().to_dict() == {f"{n}": f"n{n}" for n in range(2_500)}
    assert len(server.requests) < 30


def test_assistants_of_one_instant_beyond_a_page_are_an_error():
    """As many as a page has, all of one instant: there may be more."""
    many = [{"id": f"{n}", "name": "x", "createdAt": "2026-10-01T12:00:00.000Z"} for n in range(1_000)]
    calls = Calls(*((one, at(1)) for one in many))

    def listing(request, connection):
        if "createdAtGe" not in request.target:
            return reply(200, many)(request, connection)
        return calls(type(request)("GET", request.target.replace("/assistant", "/call"), {}, b""), connection)

    with Server(listing) as server, pytest.raises(ResponseError, match="returned a full page of records"):
        vq_of(server).assistants()


@pytest.mark.parametrize("body", [{"results": []}, [7], [{"name": "x"}]])
def test_a_list_that_is_not_of_assistants_is_an_error(body):
    """With the JSON path."""
    with Server(reply(200, body)) as server, pytest.raises(ResponseError, match=r"^\$"):
        vq_of(server).assistants()
