"""The calls that the tests of the endpoint serve, and the bodies of their requests."""

from __future__ import annotations

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
