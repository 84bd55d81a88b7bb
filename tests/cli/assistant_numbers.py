"""Numbers of the sample's calls, by plain loops: the oracle of the questions to an assistant."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from vapi_frames.contract.ended_reasons import classify_reason

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 11, 16, tzinfo=UTC)
_DAY = timedelta(days=1)


@cache
def load_calls() -> list[dict[str, Any]]:
    """Return the calls of the sample, each as a dictionary."""
    from vapi_frames.sources.local.sample import sample_calls

    table = sample_calls()
    return table.astype(object).where(table.notna(), None).to_dict("records")


def find(start: str = "2026-10-01", end: str = "2026-11-01", zone: str = "UTC", **equal: Any) -> list[dict[str, Any]]:
    """Return the calls created in [start, end) with these values."""
    first, last = (datetime.fromisoformat(side).replace(tzinfo=ZoneInfo(zone)) for side in (start, end))
    return [
        call
        for call in load_calls()
        if first <= call["createdAt"] < last and all(call[key] == value for key, value in equal.items())
    ]


def minutes(call: dict[str, Any]) -> float | None:
    """Return the minutes of a call, if it began and ended."""
    if call["startedAt"] is None or call["endedAt"] is None:
        return None
    return (call["endedAt"] - call["startedAt"]) / timedelta(minutes=1)


def durations(calls: list[dict[str, Any]]) -> list[float]:
    return [length for call in calls if (length := minutes(call)) is not None]


def costs(calls: list[dict[str, Any]]) -> list[float]:
    return [call["cost"] for call in calls if call["cost"] is not None]


def rate(calls: list[dict[str, Any]]) -> float:
    """Return the cost of a minute."""
    return sum(costs(calls)) / sum(durations(calls))


def split(calls: list[dict[str, Any]], key: Any) -> dict[Any, list[dict[str, Any]]]:
    """Return the calls by the value of a column, or of a function of a call, in order; missing comes last."""
    groups: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for call in calls:
        groups[key(call) if callable(key) else call[key]].append(call)
    return dict(sorted(groups.items(), key=lambda item: (item[0] is None, item[0])))


def each(calls: list[dict[str, Any]], key: Any, number: Callable[[Any], Any] = len) -> list[Any]:
    """Return a number of each group."""
    return [number(group) for group in split(calls, key).values()]


def shares(numbers: list[float]) -> list[float]:
    return [number / sum(numbers) for number in numbers]


def success_rate(calls: list[dict[str, Any]]) -> float:
    verdicts = [call["analysis.successEvaluation"] for call in calls]
    return verdicts.count("true") / (verdicts.count("true") + verdicts.count("false"))


def day(call: dict[str, Any], zone: str = "UTC") -> Any:
    return call["createdAt"].astimezone(ZoneInfo(zone)).date()


def weekday(call: dict[str, Any]) -> int:
    return day(call).weekday()


def week(call: dict[str, Any]) -> Any:
    return day(call) - day(call).weekday() * _DAY


def fault(call: dict[str, Any]) -> Any:
    return classify_reason(call["endedReason"]).fault


def outcome(call: dict[str, Any]) -> Any:
    return classify_reason(call["endedReason"]).outcome


def change(numbers: list[float]) -> list[float | None]:
    """Return by how many percent each number is above the one before."""
    return [None, *((new - old) / old * 100 for old, new in pairwise(numbers))]


def weeks_of(start: str, end: str) -> list[int]:
    return each(find(start, end), week)


def quantile(numbers: list[float], share: float) -> float:
    """Return the quantile between the two nearest numbers, as pandas does."""
    ordered = sorted(numbers)
    place = share * (len(ordered) - 1)
    low = int(place)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (place - low)


def top(numbers: list[int], groups: dict[Any, Any], count: int) -> list[int]:
    """Return the largest numbers and the sum of the others, in the order of their names."""
    named = dict(zip(groups, numbers, strict=True))
    best = sorted(named, key=lambda name: -named[name])[:count]
    kept = {name: named[name] for name in best} | {"other": sum(named[name] for name in named if name not in best)}
    return [kept[name] for name in sorted(kept)]


def find_peak() -> int:
    """Return the most calls at once in October, a call from its start to its end, those before it as well."""
    events = []
    for call in load_calls():
        if call["startedAt"] is not None:
            events += [(call["startedAt"], 1), (call["endedAt"] or NOW, -1)]
    running = peak = 0
    last = datetime(2026, 11, 1, tzinfo=UTC)
    for instant, step in sorted(events):
        if instant < last:
            running += step
            peak = max(peak, running)
    return peak
