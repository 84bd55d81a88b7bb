"""The error for a query that was not recorded: the nearest recording, and what differs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vapi_frames.calendar.ranges import format_iso
from vapi_frames.contract.vocabulary import default_name
from vapi_frames.errors import ReplayMissError, format_value
from vapi_frames.query.query import Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from vapi_frames.sources.recordings.file import Recording

__all__ = ["find_differences", "replay_miss_error"]

_RANGE = {"timeRange.start", "timeRange.end"}


def replay_miss_error(
    folder: Path, missing: Sequence[Mapping[str, Any]], recordings: Iterable[Recording], now: datetime
) -> ReplayMissError:
    """Return the error that names the first of *missing*, the recording nearest to it, and what differs.

    Args:
        folder: The folder of the recordings.
        missing: The queries that were not recorded, as elements of ``queries``.
        recordings: The recordings.
        now: The clock that relative ranges are resolved by.
    """
    query = missing[0]
    near = max(recordings, key=lambda one: (*_score_similarity(query, one.query), one.now, one.path.name))
    found = find_differences(query, near.query)
    sides = "; ".join(
        f"{word}: requested {_format_side(a)}, recorded {_format_side(b)}" for word, (a, b) in found.items()
    )
    others = f" (and {len(missing) - 1} more of the same fetch)" if len(missing) > 1 else ""
    parts = [
        f"no recording in {folder} answers {_format_code(query)}{others}",
        f"the nearest, {near.path.name}, answers {_format_code(near.query)}. {sides}",
        f"Fetch it with vf.record({str(folder)!r}) first",
    ]
    if near.now != now and _RANGE & found.keys():
        parts.append(
            f"That one was recorded as of {format_iso(near.now)}, and relative ranges resolve as of the newest "
            f"recording, {format_iso(now)}: record them in one go, or with the same now="
        )
    return ReplayMissError(f"{parts[0]}; {'. '.join(parts[1:])}", nearest=str(near.path), differences=found)


def find_differences(requested: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return name → (requested, recorded) of settings that differ in two elements of ``queries``; ``None`` is absent.

    Examples:
        >>> from vapi_frames import vq
        >>> october = vq.call().count().during("2026-10")
        >>> find_differences(october.by("type").body()["queries"][0], october.sum("cost").body()["queries"][0])
        {'groupBy': (['type'], None), 'operations': (['count(id)'], ['count(id)', 'sum(cost)'])}
    """
    here, there = _list_settings(requested), _list_settings(recorded)
    pairs = {word: (here.get(word), there.get(word)) for word in {**here, **there}}
    return {word: pair for word, pair in pairs.items() if pair[0] != pair[1]}


def _list_settings(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of *query* by name, without its title."""
    words = {word: value for word, value in query.items() if word not in ("name", "timeRange")}
    if "groupByVariableValue" in words:
        words["groupByVariableValue"] = [one["key"] for one in words["groupByVariableValue"]]
    words["operations"] = [_operation(one) for one in words["operations"]]
    return {**words, **{f"timeRange.{word}": value for word, value in query.get("timeRange", {}).items()}}


def _operation(one: Mapping[str, Any]) -> str:
    operation, column = one["operation"], one["column"]
    alias = one.get("alias", default_name(operation, column))
    return f"{operation}({column})" + ("" if alias == default_name(operation, column) else f" as {alias}")


def _score_similarity(requested: Mapping[str, Any], recorded: Mapping[str, Any]) -> tuple[float, int]:
    """Return how similar two queries are: the share of equal settings, then the number of equal sides of the range."""
    here, there = _list_facts(requested), _list_facts(recorded)
    ranged = {one for one in here | there if one[0] in _RANGE}
    return len((here & there) - ranged) / len((here | there) - ranged), len(here & there & ranged)


def _list_facts(query: Mapping[str, Any]) -> set[tuple[str, str]]:
    found = set()
    for word, value in _list_settings(query).items():
        found |= {(word, str(one)) for one in (value if isinstance(value, list) else [value])}
    return found


def _format_side(value: Any) -> str:
    return "none" if value is None else format_value(value)


def _format_code(query: Mapping[str, Any]) -> str:
    return str(replace(Query.from_body({**query, "name": "q"}), title=None))
