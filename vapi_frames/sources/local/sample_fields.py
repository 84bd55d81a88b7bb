"""What the calls of the sample have beyond the contract: from lines and customers to outputs, latencies and costs.

Their random numbers are streams of their own, so that the calls are those that they would be without.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from vapi_frames.contract.record_words import RECORD_COLUMNS, RECORD_COST_PARTS, RECORD_GROUPS
from vapi_frames.sources.local.sample_draws import make_text, make_uuids, pick

if TYPE_CHECKING:
    from vapi_frames.sources.local.sample_draws import Flags, Floats, Whole

__all__ = [
    "CAMPAIGNS",
    "GROUPS",
    "MEASURES",
    "PHONE_NUMBERS",
    "SQUADS",
    "CallFacts",
    "draw_costs",
    "draw_groups",
    "draw_measures",
]

PHONE_NUMBERS: dict[str, str] = {
    "0b7d4c18-3e5f-4a92-8c61-d27f90ae5b34": "Front desk",
    "7ac9e052-16d8-4b3f-b0e4-58f13c6d9a27": "Front desk, toll-free",
    "d4f82b6e-90a7-4c15-9e3d-06b5c7e1f849": "Help line",
    "29e6a1f7-c83b-4d70-a5f2-e94b0d7c1683": "Sales desk",
    "95b03d7c-4f1e-4286-bd98-7e2ac05f61d3": "Concierge",
    "e81c57a4-2b96-4f0d-87ca-31d4f6be9025": "Reminders",
}
"""The sample organization's phone numbers: id → name, for labels."""
SQUADS: dict[str, str] = {
    "6d2f9b85-e7c0-4134-9ab6-f05c83e1d742": "Intake and booking",
    "b3a74e19-58d2-4c6f-8f07-1c9de6a2b560": "Triage and support",
}
"""The sample organization's squads: id → name, for labels."""
CAMPAIGNS: dict[str, str] = {
    "f1c86d30-7b4a-4e59-92d3-a85e0f7b2c16": "Appointment reminder",
    "48e5b2a9-d0f6-4378-b61c-97d3c4f8e05a": "Autumn renewal",
    "ac30f7d4-619e-4b82-8e5d-2f6b91c7d038": "Holiday preview",
}
"""The sample organization's campaigns: id → name, in the order of the variable ``campaign``."""
GROUPS = RECORD_GROUPS
"""The columns of `draw_groups`."""
MEASURES = (
    *(column for column in RECORD_COLUMNS if column not in RECORD_COST_PARTS),
    "artifact.structuredOutputs",
    "artifact.skippedStructuredOutputs",
)
"""The columns of `draw_measures`."""

_WORKFLOW = "37f0c9e6-a5b1-4d28-9c74-e6082db5f1a3"
_SUPPORT, _CONCIERGE = 1, 4
_OUTBOUND, _WEB = 1, 2
# By phone number, a position in the list after it.
_PROVIDERS, _PROVIDER = ("twilio", "vonage", "vapi", "telnyx"), (0, 2, 3, 0, 1, 0, -1)
_TRANSPORTS, _TRANSPORT = ("pstn", "sip"), (0, 0, 1, 0, 0, 0, -1)
# By type, then by assistant and without one: the phone number; -1 on the web.
_LINES = np.array([(0, 2, 3, 5, 4, 0), (5, 5, 3, 5, 5, 5), (-1, -1, -1, -1, -1, -1)])
_TOLL_FREE = 0.22  # of the calls to the front desk
# Of the customers, plan by plan and then those without one: numbers reserved for fiction, in New York.
_AREAS = (
    "212", "315", "332", "347", "363", "516", "518", "585", "607", "631", "646", "680", "716", "718", "845", "914",
    "917", "929",
)  # fmt: skip
_CUSTOMERS = np.array([800, 500, 200, 300])
_WITHOUT_ID = 5  # each fifth customer is a number only
_HIDDEN, _SIGNED_IN = 0.02, 0.6  # of the inbound calls, of those from the web
_OUTCOMES = ('"resolved"', '"follow-up"', '"unresolved"', '"transferred"', '"voicemail"')
_TRANSFERRED, _VOICEMAIL = 3, 4
_TOPICS = ("appointment", "billing", "delivery", "product")
# Structured outputs: id, name, and the results as JSON; after the last one stands one that was skipped.
_OUTPUTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("50d7e2c1-8fa4-4b36-a1e9-c46b7f03d958", "Call Outcome", _OUTCOMES),
    ("8b16f4a3-c25d-4e97-80bf-37e9d1c60a42", "CSAT", ("1", "2", "3", "4", "5")),
    ("c9e3507b-1d48-4f6a-b7d0-82f5a6e41b9c", "Appointment Booked", ("true", "false")),
    (
        "1e85ac6d-f793-4c02-9b4e-60d1b8f72e35",
        "Request",
        tuple(f'{{"topic":"{topic}","urgent":{urgent}}}' for topic, urgent in product(_TOPICS, ("true", "false"))),
    ),
)
# By verdict: the first three outcomes, the five scores.
_OUTCOME_SHARES = ((880, 120, 0), (0, 300, 700), (0, 500, 500))
_CSAT_SHARES = ((20, 60, 220, 400, 300), (280, 310, 250, 120, 40), (150, 200, 350, 200, 100))
_BOOKED_SHARES = ((460, 540), (50, 950))  # of what was resolved, of the others
_URGENT = 0.15
_TOPIC_SHARES = (  # by assistant, in the order of _TOPICS
    (480, 180, 140, 200), (60, 420, 330, 190), (90, 140, 60, 710),
    (810, 90, 40, 60), (520, 120, 160, 200), (250, 250, 250, 250),
)  # fmt: skip
_BOOKING = np.array([1, 0, 0, 1, 1, 0], dtype=bool)  # the assistants that make appointments
_SHORT = 8  # seconds; of a shorter call nothing is extracted
_SURVEYED, _SCORED = 25, 0.62  # seconds, after which the customer is asked; those who tell
# Milliseconds: the usual latency of each assistant's model, then base and spread of the others.
_MODEL = np.array([480, 520, 790, 310, 430, 490])
_LATENCIES = {"voiceLatency": (160, 140), "transcriberLatency": (90, 110), "endpointingLatency": (280, 420)}
_TRANSPORT_LATENCY = np.array([(38, 60), (44, 70), (12, 35)])  # by type
_CHATS = 0.15  # of the calls from the web to the concierge
_LLM_SHARE = 0.6  # of the model's cost may be the other parts


class CallFacts(NamedTuple):
    """What is decided of the calls; texts are positions, -1 where they are missing.

    Attributes:
        kind: The type.
        assistant: The assistant.
        plan: The customer's plan.
        campaign: The campaign.
        seconds: How long they took, 0 where they never started or are not over.
        verdict: 0 for a success, 1 for none, 2 where it is open.
        is_forwarded: Whether the assistant forwarded them.
        is_voicemail: Whether a machine answered.
        is_failed: Whether a fault ended them.
        is_overloaded: Whether the model's provider was down.
    """

    kind: Whole
    assistant: Whole
    plan: Whole
    campaign: Whole
    seconds: Floats
    verdict: Whole
    is_forwarded: Flags
    is_voicemail: Flags
    is_failed: Flags
    is_overloaded: Flags


def draw_groups(rng: np.random.Generator, calls: CallFacts) -> dict[str, pd.Series[Any]]:
    """Return the columns to group by."""
    chance = rng.random((6, len(calls.kind)))
    line = _LINES[calls.kind, calls.assistant]
    line[(line == 0) & (chance[0] < _TOLL_FREE)] = 1
    # A call has an assistant, or a squad, or a workflow, or what its request brought along.
    other = np.where(calls.assistant < 0, pick(chance[1], [(380, 290, 150)], np.zeros_like(line)), -1)
    size, before = _CUSTOMERS[calls.plan], np.cumsum(_CUSTOMERS) - _CUSTOMERS
    customer = before[calls.plan] + np.floor(chance[2] * chance[2] * size).astype(np.int64)
    is_web = calls.kind == _WEB
    number = np.where(is_web | ((calls.kind == 0) & (chance[3] < _HIDDEN)), -1, customer)  # some hide their number
    signed_in = is_web & (chance[4] < _SIGNED_IN)
    ids, numbers = _list_customers()
    known = ((number >= 0) | signed_in) & (customer % _WITHOUT_ID > 0)
    dialled = np.where(calls.kind == _OUTBOUND, calls.campaign, -1)
    return {
        "squadId": make_text(SQUADS, np.where(other < len(SQUADS), other, -1)),
        "workflowId": make_text((_WORKFLOW,), np.where(other == len(SQUADS), 0, -1)),
        "phoneNumberId": make_text(PHONE_NUMBERS, line),
        "phoneCallProvider": make_text(_PROVIDERS, np.array(_PROVIDER)[line]),
        "phoneCallTransport": make_text(_TRANSPORTS, np.array(_TRANSPORT)[line]),
        "campaignId": make_text(CAMPAIGNS, dialled),
        "name": make_text(CAMPAIGNS.values(), dialled),
        "customerId": make_text(ids, np.where(known, customer, -1)),
        "customer.number": make_text(numbers, number),
    }


@cache
def _list_customers() -> tuple[list[str], list[str]]:
    """Return the ids and the phone numbers of the customers, the same for every seed."""
    count = int(_CUSTOMERS.sum())
    ids = make_uuids(np.random.Generator(np.random.PCG64(2_026)), count).to_pylist()
    mixed = [number * 601 % count for number in range(count)]  # neighbors live in different places
    return ids, [f"+1{_AREAS[one // 100]}55501{one % 100:02}" for one in mixed]


def draw_measures(rng: np.random.Generator, calls: CallFacts) -> dict[str, pd.Series[Any]]:
    """Return latencies in milliseconds, interruptions and structured outputs; of a call that cost nothing, none."""
    count = len(calls.kind)
    chance = rng.random((14, count))
    on = calls.seconds > 0

    def latency(base: Any, spread: Any, row: Floats) -> Floats:
        # Most are near the base, a few are several times as long.
        square = row * row
        fourth = square * square
        return np.where(on, np.rint((base + spread * (square + 4 * fourth * fourth)) * 10) / 10, np.nan)

    usual = _MODEL[calls.assistant] * np.where(calls.is_overloaded, 3, 1)
    columns: dict[str, Any] = {"modelLatency": latency(usual * 0.75, usual * 0.5, chance[0])}
    for row, (name, (base, spread)) in enumerate(_LATENCIES.items(), 1):
        columns[name] = latency(base, spread, chance[row])
    turn = sum((np.rint(column * 10) for column in columns.values()), np.zeros(count)) / 10
    columns["turnLatency"] = turn
    for row, name in ((4, "fromTransportLatency"), (5, "toTransportLatency")):
        base, spread = _TRANSPORT_LATENCY[calls.kind].T
        columns[name] = latency(base, spread, chance[row])
    turns = np.where(on, calls.seconds / 14, np.nan)
    columns["userInterruptions"] = np.floor(turns * chance[6] * chance[6] * 0.6)
    columns["assistantInterruptions"] = np.floor(turns * chance[7] * chance[7] * 0.3)
    position = _draw_outputs(chance[8:], calls)
    columns["artifact.structuredOutputs"] = make_text(_write_outputs(), position)
    columns["artifact.skippedStructuredOutputs"] = make_text(_write_skipped_outputs(), position)
    return {name: pd.Series(column) for name, column in columns.items()}


def _draw_outputs(chance: Floats, calls: CallFacts) -> Whole:
    """Return the position of the calls' outputs in `_write_outputs`."""
    is_read = (calls.seconds >= _SHORT) & ~calls.is_failed
    has_spoken = is_read & ~calls.is_voicemail
    outcome = pick(chance[0], _OUTCOME_SHARES, calls.verdict)
    outcome = np.where(calls.is_forwarded, _TRANSFERRED, np.where(calls.is_voicemail, _VOICEMAIL, outcome))
    score = pick(chance[1], _CSAT_SHARES, calls.verdict)
    score[~has_spoken | (calls.seconds < _SURVEYED) | (chance[2] >= _SCORED)] = -1
    booked = pick(chance[3], _BOOKED_SHARES, np.where(outcome == 0, 0, 1))
    booked[~has_spoken | ~_BOOKING[calls.assistant]] = -1
    topic = pick(chance[4], _TOPIC_SHARES, calls.assistant)
    topic = np.where(has_spoken & (calls.kind != _OUTBOUND), 2 * topic + (chance[5] >= _URGENT), -1)
    position = np.zeros(len(chance[0]), dtype=np.int64)
    for (_, _, results), result in zip(_OUTPUTS, (np.where(is_read, outcome, -1), score, booked, topic), strict=True):
        position = position * (len(results) + 1) + result % (len(results) + 1)
    return np.where(is_read, position, -1)


@cache
def _write_outputs() -> list[str]:
    """Return the structured outputs that a call may have as JSON, id → name and result; a skipped one is not there."""
    parts = [
        (*(f'"{key}":{{"name":"{name}","result":{result}}}' for result in results), "")
        for key, name, results in _OUTPUTS
    ]
    return ["{" + ",".join(filter(None, found)) + "}" for found in product(*parts)]


@cache
def _write_skipped_outputs() -> list[str]:
    """Return, for each of `_write_outputs`, the outputs that are not there as JSON: they were skipped."""
    parts = [(*("" for _ in results), f'"{key}":{{"name":"{name}"}}') for key, name, results in _OUTPUTS]
    return ["{" + ",".join(filter(None, found)) + "}" for found in product(*parts)]


def draw_costs(rng: np.random.Generator, calls: CallFacts, llm: Floats) -> dict[str, Floats]:
    """Return the parts of the cost that the contract has no columns for, and what they leave of *llm*, in USD.

    They are a part of what the model would cost, so that the cost stays what it is.
    """
    chance = rng.random((7, len(llm)))
    minutes, on = calls.seconds / 60, calls.seconds > 0
    is_read = (calls.seconds >= _SHORT) & ~calls.is_failed
    is_support, is_booking = calls.assistant == _SUPPORT, _BOOKING[calls.assistant]
    has_chat = (calls.kind == _WEB) & (calls.assistant == _CONCIERGE) & (chance[0] < _CHATS)
    wanted = {  # in ten-thousandths of a dollar
        "voicemailDetection": (1 + chance[1]) * (calls.kind == _OUTBOUND) * on,
        "knowledgeBase": (2 + 9 * minutes * chance[2]) * is_support * on,
        "chat": (3 + 20 * chance[3]) * has_chat * on,
        "analysisBreakdown.successEvaluation": (4 + 2 * chance[4] + 2 * minutes) * on,
        "analysisBreakdown.structuredData": (5 + 3 * chance[5]) * is_booking * is_read,
        "analysisBreakdown.structuredOutput": (60 + 40 * chance[6] + 30 * minutes) * is_read,
    }
    whole = np.rint(llm * 10_000)
    room = np.floor(whole * _LLM_SHARE)
    columns: dict[str, Floats] = {}
    for name, units in wanted.items():
        taken = np.minimum(np.rint(units), room)
        room, whole = room - taken, whole - taken
        columns[f"costBreakdown.{name}"] = taken / 10_000
    return columns | {"costBreakdown.llm": whole / 10_000}
