"""A question that was not recorded: which recording is the nearest, and what differs."""

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

__all__ = ["differences", "miss"]

_RANGE = {"timeRange.start", "timeRange.end"}


def miss(
    folder: Path, asked: Sequence[Mapping[str, Any]], recordings: Iterable[Recording], now: datetime
) -> ReplayMissError:
    """Return the error that names the first of *asked*, the recording that is nearest to it, and what differs.

    Args:
        folder: Where the recordings are.
        asked: The questions that none of them answers, as elements of ``queries``.
        recordings: What there is.
        now: As of when relative ranges were resolved.
    """
    question = asked[0]
    near = max(recordings, key=lambda one: (*_likeness(question, one.question), one.asked, one.path.name))
    found = differences(question, near.question)
    said = "; ".join(f"{word}: asked {_said(a)}, recorded {_said(b)}" for word, (a, b) in found.items())
    others = f" (and {len(asked) - 1} more that were asked with it)" if len(asked) > 1 else ""
    parts = [
        f"no recording in {folder} answers {_code(question)}{others}",
        f"the nearest, {near.path.name}, answers {_code(near.question)}. {said}",
        f"Ask it of vf.record({str(folder)!r}) first",
    ]
    if near.asked != now and _RANGE & found.keys():
        parts.append(
            f"That one was recorded as of {format_iso(near.asked)}, and relative ranges resolve as of the newest "
            f"recording, {format_iso(now)}: record them in one go, or with the same now="
        )
    return ReplayMissError(f"{parts[0]}; {'. '.join(parts[1:])}", nearest=str(near.path), differences=found)


def differences(asked: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return word → (as asked, as recorded) where two elements of ``queries`` are not the same; ``None`` is not said.

    Examples:
        >>> from vapi_frames import vq
        >>> october = vq.call().count().during("2026-10")
        >>> differences(october.by("type").body()["queries"][0], october.sum("cost").body()["queries"][0])
        {'groupBy': (['type'], None), 'operations': (['count(id)'], ['count(id)', 'sum(cost)'])}
    """
    here, there = _words(asked), _words(recorded)
    pairs = {word: (here.get(word), there.get(word)) for word in {**here, **there}}
    return {word: pair for word, pair in pairs.items() if pair[0] != pair[1]}


def _words(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return what *question* says, word by word, but for its name."""
    words = {word: value for word, value in question.items() if word not in ("name", "timeRange")}
    if "groupByVariableValue" in words:
        words["groupByVariableValue"] = [one["key"] for one in words["groupByVariableValue"]]
    words["operations"] = [_operation(one) for one in words["operations"]]
    return {**words, **{f"timeRange.{word}": value for word, value in question.get("timeRange", {}).items()}}


def _operation(one: Mapping[str, Any]) -> str:
    operation, column = one["operation"], one["column"]
    alias = one.get("alias", default_name(operation, column))
    return f"{operation}({column})" + ("" if alias == default_name(operation, column) else f" as {alias}")


def _likeness(asked: Mapping[str, Any], recorded: Mapping[str, Any]) -> tuple[float, int]:
    """Return the share of words that two questions have in common: of what is asked, and then of the range."""
    here, there = _atoms(asked), _atoms(recorded)
    ranged = {one for one in here | there if one[0] in _RANGE}
    return len((here & there) - ranged) / len((here | there) - ranged), len(here & there & ranged)


def _atoms(question: Mapping[str, Any]) -> set[tuple[str, str]]:
    found = set()
    for word, value in _words(question).items():
        found |= {(word, str(one)) for one in (value if isinstance(value, list) else [value])}
    return found


def _said(value: Any) -> str:
    return "none" if value is None else format_value(value)


def _code(question: Mapping[str, Any]) -> str:
    return repr(replace(Query.from_body({**question, "name": "q"}), title=None))
