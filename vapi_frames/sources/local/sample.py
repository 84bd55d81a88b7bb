"""Call records of one sample organization in New York, the same for the same seed.

They have what real records have and tidy examples lack: a working week in local time, a change of the
clock, an outage of a provider, an assistant launched late, unanswered calls, calls in progress.
Only whole numbers, ``+ - * /``, square roots and table look-ups touch the random numbers: they are exact on
every machine and in every numpy, where ``exp`` or ``Generator.lognormal`` may change the last digit.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from vapi_frames.errors import QueryError
from vapi_frames.sources.local.sample_draws import make_text, make_timestamps, make_uuids, pick
from vapi_frames.sources.local.sample_fields import (
    GROUPS,
    MEASURES,
    CallFacts,
    draw_costs,
    draw_groups,
    draw_measures,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from vapi_frames.sources.local.memory import KeptRecords

    Floats: TypeAlias = npt.NDArray[np.float64]
    Whole: TypeAlias = npt.NDArray[np.int64]
    Flags: TypeAlias = npt.NDArray[np.bool_]

ASSISTANTS: dict[str, str] = {
    "3f0c6a52-8d1e-4b7a-9a64-1f5be07c2d10": "Reception",
    "a91d2e7b-54c3-4f08-b6de-70c8f3a1e925": "Support",
    "c27e8f14-0b96-4d5d-8e31-d94a6b02f7c3": "Sales",
    "58b4d3c9-e7a2-4160-a05f-2c9e81d76b44": "Reminders",
    "e6107fa5-92bd-4c3e-9d78-4b3a5f60c8e1": "Concierge",
}
"""The sample organization's assistants: id → name, for labels."""

# Below, a text is its position in its list, and -1 where it is missing; a table by position ends in the row for -1.
_RECEPTION, _SUPPORT, _SALES, _REMINDERS, _CONCIERGE = range(5)
_TYPES = ("inboundPhoneCall", "outboundPhoneCall", "webCall")
_CAMPAIGNS = ("appointment-reminder", "autumn-renewal", "holiday-preview")
_HOME = ZoneInfo("America/New_York")
_WORKING_DAYS = 5
_SECOND = 1_000  # all times are whole milliseconds, as on real records
_HOUR = 3_600 * _SECOND
# By type, in the order of _TYPES; shares are per mille, and the rest is missing.
_WEEK_SHARES = np.array([480, 320, 200])
_RHYTHM = (  # calls in the 24 hours of a working day, then of a Saturday or Sunday, in local time
    "2 1 1 1 1 2 5 14 32 62 74 70 60 66 72 68 58 34 18 12 9 7 5 3",
    "2 1 1 1 1 1 3 5 9 14 17 18 16 15 14 12 10 8 7 6 5 4 3 2",
    "0 0 0 0 0 0 0 0 3 24 80 88 64 72 86 76 26 6 2 0 0 0 0 0",
    "0 0 0 0 0 0 0 0 0 1 4 4 3 2 2 1 0 0 0 0 0 0 0 0",
    "7 4 3 2 2 3 6 10 16 20 22 24 27 24 22 23 26 32 44 58 62 50 30 14",
    "9 5 3 2 2 3 5 9 15 21 25 27 28 27 26 27 30 35 45 54 56 46 28 15",
)
_ASSISTANT_SHARES = ((460, 290, 60, 0, 160), (0, 40, 380, 540, 0), (130, 370, 80, 0, 390))
_PLAN_SHARES = ((500, 310, 120), (480, 320, 120), (640, 220, 60))
_CAMPAIGN_SHARES = np.array([0.04, 0.93, 0])  # outbound calls are dialled for one; a few people call back
_RING = np.array([(300, 1_500), (3_000, 14_000), (400, 1_600)])  # milliseconds: the least, the spread
_LINE_PRICES = np.array([0.0085, 0.014, 0])  # dollars a minute of phone line
# By assistant: dollars a million tokens of prompt, of completion.
_TOKEN_PRICES = np.array([(2.5, 10), (2.5, 10), (10, 50), (0.15, 0.6), (0.8, 4), (2.5, 10)])

# Each reason: its share of inbound, outbound and web calls; its median seconds, 0 where such a call never
# started, and its least; how many of a thousand such calls are judged a success.
_REASONS: dict[str, tuple[int, int, int, int, int, int]] = {
    "customer-ended-call": (550, 300, 650, 58, 1, 640),
    "assistant-ended-call": (220, 150, 150, 70, 5, 890),
    "assistant-forwarded-call": (90, 30, 0, 62, 8, 720),
    "silence-timed-out": (80, 60, 100, 46, 30, 70),
    "voicemail": (0, 180, 0, 22, 5, 20),
    "customer-did-not-answer": (0, 200, 0, 0, 0, 0),
    "customer-busy": (0, 40, 0, 0, 0, 0),
    "customer-did-not-give-microphone-permission": (0, 0, 50, 0, 0, 0),
    "twilio-failed-to-connect-call": (0, 12, 0, 0, 0, 0),
    "call.start.error-subscription-concurrency-limit-reached": (14, 6, 12, 0, 0, 0),
    "call.in-progress.error-assistant-did-not-receive-customer-audio": (22, 6, 16, 24, 10, 0),
    "call.in-progress.error-providerfault-openai-llm-failed": (12, 6, 10, 20, 2, 90),
    "call.in-progress.error-providerfault-deepgram-returning-502-network-error": (6, 3, 6, 18, 2, 60),
    "pipeline-error-eleven-labs-500-server-error": (6, 3, 6, 16, 2, 60),
    "call.in-progress.error-providerfault-openai-503-server-overloaded-error": (0, 0, 0, 4, 2, 0),
    "call.in-progress.error-providerfault-openai-500-server-error": (0, 0, 0, 4, 2, 0),
    "exceeded-max-duration": (0, 0, 0, 1_200, 1_200, 450),
}
_IS_FAILED = np.array(["error" in reason for reason in _REASONS])
_FACTS = np.array(list(_REASONS.values()), dtype=np.int64)
_MEDIAN, _LEAST, _SUCCESS = _FACTS[:, 3:].T
_CUSTOMER_ENDED, _ASSISTANT_ENDED, _FORWARDED = range(3)
_VOICEMAIL, _NOT_ANSWERED = (list(_REASONS).index(reason) for reason in ("voicemail", "customer-did-not-answer"))
_OVERLOADED, _SERVER_ERROR, _TOO_LONG = range(len(_REASONS) - 3, len(_REASONS))
_LONGEST = 1_200 * _SECOND  # where the assistants hang up
_JUDGED = 0.97  # of the answered calls; the verdict on the others is empty
_KNOTS = 4_096
_LIVE_FROM = 1_000  # calls: of a smaller sample, four live ones would be too large a part


def sample_calls(n: int = 20_000, seed: int = 7, *, start: str = "2026-10-01", end: str = "2026-11-16") -> pd.DataFrame:
    """Return *n* realistic call records of a sample organization, the same for the same arguments.

    The default range holds the end of daylight saving time in New York (2026-11-01) and a three-hour outage
    of a model provider (2026-10-21, 14:00 to 17:00 there). In a range without that afternoon the outage moves
    to a working day at about the same share of the range; a range without room for it has none.

    Args:
        n: How many calls.
        seed: Another seed gives another sample.
        start: The first instant, ISO 8601; without an offset it is UTC.
        end: The instant after the last, likewise. Calls that would end later are in progress.

    Returns:
        One row a call, sorted by ``createdAt``. A call that never started has an end but no ``startedAt``,
        and costs nothing; one in progress has no ``endedAt`` and has cost nothing so far.

    Raises:
        QueryError: An argument has a wrong type or value.

    Examples:
        >>> sample_calls(1_000)["type"].nunique()
        3
    """
    drawn = _draw_sample(n, seed, start, end)
    return pd.DataFrame({**drawn.columns, **drawn.draw_groups(), **drawn.draw_measures()})


class _Sample(NamedTuple):
    """Columns of the sample, and what draws the others."""

    columns: dict[str, Any]
    draw_groups: Callable[[], dict[str, pd.Series[Any]]]
    draw_measures: Callable[[], dict[str, pd.Series[Any]]]


def _draw_sample(n: int, seed: int, start: str, end: str) -> _Sample:
    count, seed = _whole("n", n), _whole("seed", seed)
    rng = np.random.Generator(np.random.PCG64(seed))
    first, last = _milliseconds("start", start), _milliseconds("end", end)
    if not first < last <= first + 3_653 * 24 * _HOUR:
        raise QueryError(f"from {start!r} to {end!r}: end must be after start, by ten years at most")
    ids = make_uuids(rng, count)
    created, kind = _arrivals(rng, count, first, last)
    chance = rng.random((12, count))  # each row decides one thing; a new row at the end moves none of these
    late = created >= (first + last) // 2
    assistant = pick(chance[0], _ASSISTANT_SHARES, kind)
    assistant[(assistant == _CONCIERGE) & ~late] = _SUPPORT
    plan = pick(chance[1], _PLAN_SHARES, kind)
    down_from, down_to = _outage(first, last)
    down = (created >= down_from) & (created < down_to) & np.isin(assistant, (_RECEPTION, _SUPPORT))
    reason = _end_reasons(chance[2:5], kind, plan, down)
    ringing = np.floor(_RING[kind, 0] + chance[5] * _RING[kind, 1]).astype(np.int64)
    ringing[reason == _NOT_ANSWERED] += 20 * _SECOND
    talking = _talk_times(chance[6], plan, reason)
    reason[talking >= _LONGEST] = _TOO_LONG
    if count >= _LIVE_FROM:
        created[-4:] = np.maximum(created[-4:], last - np.array([130, 70, 31, 2]) * _SECOND)
        reason[-4:], ringing[-4:], talking[-4:] = _CUSTOMER_ENDED, 3 * _SECOND, 600 * _SECOND
    started, ended = created + ringing, created + ringing + talking
    over, queued = ended <= last, started > last
    answered = (_MEDIAN[reason] > 0) & ~queued
    rate = _SUCCESS[reason] / 1_000 + np.array([-0.02, 0, 0.05, 0])[plan] * (reason <= _FORWARDED)
    verdict = np.where(chance[7] < rate * _JUDGED, 0, np.where(chance[7] < _JUDGED, 1, 2))
    campaign = np.where(assistant == _REMINDERS, 0, np.where(late, 2, 1))
    campaign[chance[11] >= _CAMPAIGN_SHARES[kind]] = -1
    billed = np.where(answered & over, talking / _SECOND, 0.0)
    costs = _costs(chance[8:11], kind, assistant, billed)
    calls = CallFacts(
        kind, assistant, plan, campaign, billed, verdict, is_forwarded=reason == _FORWARDED,
        is_voicemail=reason == _VOICEMAIL, is_failed=_IS_FAILED[reason], is_overloaded=down & (reason == _OVERLOADED),
    )  # fmt: skip

    def stream(number: int) -> np.random.Generator:
        # One for each of those below, so that what one draws moves none of the others.
        return np.random.Generator(np.random.PCG64([seed, number]))

    columns = {
        "id": make_text(ids),
        "type": make_text(_TYPES, kind),
        "status": make_text(("ended", "in-progress", "queued"), np.where(over, 0, np.where(queued, 2, 1))),
        "assistantId": make_text(ASSISTANTS, assistant),
        "endedReason": make_text(_REASONS, np.where(over, reason, -1)),
        "analysis.successEvaluation": make_text(("true", "false", ""), np.where(answered & over, verdict, -1)),
        "createdAt": make_timestamps(created, created < last),
        "startedAt": make_timestamps(started, answered),
        "endedAt": make_timestamps(ended, over),
        **costs | draw_costs(stream(1), calls, costs["costBreakdown.llm"]),
        "variableValues.plan": make_text(("free", "pro", "enterprise"), plan),
        "variableValues.campaign": make_text(_CAMPAIGNS, campaign),
    }
    # Two threads may draw at once, and have to draw the same: the streams begin anew.
    return _Sample(
        columns, cache(lambda: draw_groups(stream(2), calls)), cache(lambda: draw_measures(stream(3), calls))
    )


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise QueryError(f"{name} is {value!r}; it must be a whole number, 0 or more")
    return int(value)


def _milliseconds(name: str, value: Any) -> int:
    """Return the ISO 8601 text *value* as milliseconds since 1970."""
    try:
        instant = datetime.fromisoformat(value)
        instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        since = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    except (TypeError, ValueError):
        since = -1
    if since < 0:
        raise QueryError(f"{name} is {value!r}; it must be an ISO 8601 time since 1970, such as '2026-10-01'")
    return since


def _arrivals(rng: np.random.Generator, count: int, first: int, last: int) -> tuple[Whole, Whole]:
    """Return when the calls come in, sorted, and the type of each."""
    hours = np.arange(first // _HOUR, -(-last // _HOUR), dtype=np.int64) * _HOUR
    opens, closes = np.maximum(hours, first), np.minimum(hours + _HOUR, last)
    local = pd.DatetimeIndex(hours.astype("datetime64[ms]")).tz_localize("UTC").tz_convert(_HOME)
    wall = local.tz_localize(None).to_numpy().astype("datetime64[ms]").astype(np.int64)
    day, hour = wall // (24 * _HOUR), wall // _HOUR % 24
    weekend = ((day + 3) % 7 >= _WORKING_DAYS).astype(np.int64)  # day 0 was a Thursday
    luck = 0.94 + 0.12 * rng.random(int(day[-1] - day[0]) + 1)[day - day[0]]  # some days are busier
    growth = 1 + 0.10 * (opens - first) / (last - first)
    rhythm = np.array(" ".join(_RHYTHM).split()).astype(np.int64).reshape(3, 2, 24)
    weight = 1_000 * _WEEK_SHARES / (rhythm.sum(axis=2) @ (_WORKING_DAYS, 2))
    rates = rhythm[:, weekend, hour] * weight[:, None] * ((closes - opens) * luck * growth)
    chance = rng.random((2, count))
    edges = np.cumsum(np.rint(rates).astype(np.int64))
    slot = np.searchsorted(edges, np.floor(chance[0] * edges[-1]), side="right")
    kind, place = np.divmod(np.minimum(slot, len(edges) - 1), len(hours))
    created = opens[place] + np.floor(chance[1] * (closes - opens)[place]).astype(np.int64)
    order = np.argsort(created, kind="stable")
    return created[order], kind[order]


def _outage(first: int, last: int) -> tuple[int, int]:
    """Return the three hours in which a provider is down; an empty range where there is no room."""
    about = datetime.fromtimestamp((first + (last - first) * 45 // 100) / _SECOND, _HOME).date()
    for day in (date(2026, 10, 21), *(about + timedelta(days=shift) for shift in (0, 1, -1, 2, -2))):
        begin = int(datetime.combine(day, time(14), _HOME).timestamp()) * _SECOND
        if day.weekday() < _WORKING_DAYS and first <= begin and begin + 3 * _HOUR <= last:
            return begin, begin + 3 * _HOUR
    return last, last


def _end_reasons(chance: Floats, kind: Whole, plan: Whole, down: Flags) -> Whole:
    """Return why the calls end: the type's mix, bent a little by the plan and broken by the outage."""
    reason = pick(chance[0], _FACTS[:, :3].T, kind)
    bent = pick(chance[1], ((80,), (0,), (100,), (0,)), plan) == 0
    reason[bent & (plan == 0) & (reason == _ASSISTANT_ENDED)] = _CUSTOMER_ENDED
    reason[bent & (plan > 0) & (kind == 0) & (reason == _CUSTOMER_ENDED)] = _FORWARDED
    fault = np.array([_OVERLOADED, _SERVER_ERROR, -1])[pick(chance[2], ((600, 280),), np.zeros_like(kind))]
    return np.where(down & (_MEDIAN[reason] > 0) & (fault >= 0), fault, reason)


def _talk_times(chance: Floats, plan: Whole, reason: Whole) -> Whole:
    """Return the milliseconds the calls last, log-normal around the reason's median."""
    quantile = NormalDist().inv_cdf
    # Rounded, because the last digit of an exponential is the machine's own.
    curve = [round(math.exp(0.95 * quantile((knot + 0.5) / (_KNOTS + 1))), 6) for knot in range(_KNOTS + 1)]
    table, knot = np.array(curve), np.floor(chance * _KNOTS).astype(np.int64)
    spread = table[knot] + (table[knot + 1] - table[knot]) * (chance * _KNOTS - knot)
    # The length of a conversation varies more than that of a call which a machine or a fault ends.
    spread = np.where(reason <= _FORWARDED, spread, np.sqrt(spread))
    pace = np.array([0.93, 1, 1.25, 1])[plan]
    talks = np.rint(np.maximum(_MEDIAN[reason] * spread * pace, _LEAST[reason]) * _SECOND).astype(np.int64)
    return np.where(talks < _LONGEST, talks, _LONGEST)


def _costs(chance: Floats, kind: Whole, assistant: Whole, seconds: Floats) -> dict[str, Floats]:
    """Return the cost columns; calls of 0 *seconds* cost nothing."""
    on, minutes = seconds > 0, seconds / 60
    turns = np.floor(seconds / 14) + on
    # Each turn sends the instructions and all earlier turns: a long call costs more per minute, too.
    prompt = turns * 1_500 + turns * (turns - on) / 2 * 80
    cached = np.floor((prompt - 1_500 * on) * (0.2 + 0.5 * chance[0]))
    characters = np.floor(seconds * (6 + 5 * chance[1]))
    completion = np.floor(characters * 0.26) + 12 * on
    price = _TOKEN_PRICES[assistant] / 1_000_000
    parts = {
        "transport": _LINE_PRICES[kind] * minutes,
        "stt": 0.011 / 60 * (seconds + 4 + chance[2]) * on,
        "llm": (prompt - cached / 2) * price[:, 0] + completion * price[:, 1],
        "tts": characters * 0.05 / 1_000,
        "vapi": 0.05 * minutes,
        "analysisBreakdown.summary": (0.0011 + 0.0007 * minutes) * on,
    }
    # As whole hundredths of a cent, so that the cost is exactly the sum of the parts.
    rounded = {name: np.rint(part * 10_000) for name, part in parts.items()}
    columns = {name: part / 10_000 for name, part in rounded.items()}
    columns |= {"transcriber": columns["stt"], "ttsCharacters": characters, "llmPromptTokens": prompt}
    columns |= {"llmCompletionTokens": completion, "llmCachedPromptTokens": cached}
    cost = sum(rounded.values(), np.zeros_like(seconds)) / 10_000
    return {"cost": cost} | {f"costBreakdown.{name}": column for name, column in columns.items()}


@cache
def keep_sample() -> KeptRecords:
    """Return the records of `sample_calls` for every `demo` of this process; few queries use all of their columns."""
    from vapi_frames.sources.local.memory import KeptRecords

    drawn = _draw_sample(20_000, 7, "2026-10-01", "2026-11-16")
    groups, measures = dict.fromkeys(GROUPS, drawn.draw_groups), dict.fromkeys(MEASURES, drawn.draw_measures)
    return KeptRecords(pd.DataFrame(drawn.columns), {**groups, **measures})
