"""Filters: which calls a question is about, by the values of their groups and variables.

The contract has none. Call records are chosen inside the SELECT; for the API see `vapi_frames.query.rewrite`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, TypeAlias

from vapi_frames.contract.vocabulary import (
    COLUMNS,
    GROUP_COLUMNS,
    GROUP_SYNONYMS,
    KEY_LIMIT,
    SUBSCRIPTION_COLUMNS,
    default_name,
)
from vapi_frames.errors import QueryError, UnknownWordError, format_value
from vapi_frames.query.aggregation import check_text

if TYPE_CHECKING:
    from vapi_frames.contract.vocabulary import GroupColumn

__all__ = [
    "Filter",
    "FilterValue",
    "FilterValues",
    "format_filters",
    "get_variable_key",
    "split_filters",
    "with_filters",
]

FilterValue: TypeAlias = str | int | None
"""What a group may be: text, a number or bool as the API writes it, or missing."""

FilterValues: TypeAlias = FilterValue | Sequence[FilterValue] | AbstractSet[FilterValue]
Filter: TypeAlias = tuple[str, tuple[str | None, ...]]
"""A group column or ``variable.<key>``, and the values that are let pass."""

VARIABLE = "variable."
_PREFIXES = (VARIABLE, "variableValues.")
_FIRST = "choose call records before asking"


def with_filters(filters: tuple[Filter, ...], words: object, equals: Mapping[str, object]) -> tuple[Filter, ...]:
    """Return *filters* with those of *words* and *equals*, in the order of the words.

    Raises:
        QueryError: A value cannot be one of a group, or a word stands twice.
        UnknownWordError: Calls cannot be chosen by a word.

    Examples:
        >>> with_filters((), {"analysis.successEvaluation": True}, {"type": ["webCall", None]})
        (('analysis.successEvaluation', ('true',)), ('type', ('webCall', None)))
    """
    if words is not None and not isinstance(words, Mapping):
        raise QueryError(
            f'where() takes words and their values, e.g. where(type="webCall") or '
            f'where({{"analysis.successEvaluation": "true"}}), not {format_value(words)}'
        )
    found = dict(filters)
    for given, value in [*(words or {}).items(), *equals.items()]:
        word = _word(given)
        if word in found:
            raise QueryError(f"{word!r} is already filtered by; give all values in one list")
        found[word] = _values(word, value)
    return tuple(sorted(found.items(), key=lambda one: one[0]))


def get_variable_key(word: str) -> str | None:
    """Return the key of the variable that *word* stands for, ``None`` for a group column."""
    return word.removeprefix(VARIABLE) if word.startswith(VARIABLE) else None


def split_filters(filters: tuple[Filter, ...]) -> tuple[tuple[GroupColumn, ...], tuple[str, ...]]:
    """Return the group columns, and the keys of variables, that are filtered by."""
    words: Any = [word for word, _ in filters]
    keys = [get_variable_key(word) for word in words]
    groups = tuple(word for word, key in zip(words, keys, strict=True) if key is None)
    return groups, tuple(key for key in keys if key is not None)


def format_filters(filters: tuple[Filter, ...]) -> str:
    """Return *filters* in words.

    Examples:
        >>> format_filters((("endedReason", ("a", "b", None)), ("type", ("webCall",))))
        "endedReason is 'a', 'b' or missing; type is 'webCall'"
    """
    lines = []
    for word, values in filters:
        *others, last = ["missing" if value is None else format_value(value) for value in values]
        lines.append(f"{word} is {', '.join(others)}{' or ' if others else ''}{last}")
    return "; ".join(lines)


def _word(given: object) -> str:
    """Return the word that calls are chosen by, or say what to do where they are not."""
    if isinstance(given, str):
        word = str.__str__(given)
        for prefix in _PREFIXES:
            if word.startswith(prefix):
                key = word.removeprefix(prefix)
                check_text(key, "variable key", KEY_LIMIT)
                return f"{VARIABLE}{key}"
        if word in GROUP_COLUMNS:
            return word
        if word in ("createdAt", "date"):
            raise QueryError(
                f"{word!r} is not filtered by: say the range of time with .between(start, end), .during(period) or "
                ".last(span)"
            )
        if word in COLUMNS:
            raise QueryError(f"{word!r} is measured, and only groups are filtered by: {_recipe(word)}")
    raise UnknownWordError(
        given, "word to filter by", (*GROUP_COLUMNS, f"{VARIABLE}<key>"), synonyms=GROUP_SYNONYMS,
        hint=f'For another field of a record, {_FIRST}: calls[calls["phoneNumberId"] == "..."].vapi.call().',
    )  # fmt: skip


def _recipe(word: str) -> str:
    """Return how calls, or rows, are chosen by the measured column *word*."""
    if word == "id":
        return f'{_FIRST}, calls[calls["id"].isin([...])].vapi.call()'
    if word in SUBSCRIPTION_COLUMNS:
        name = default_name("max" if word == "concurrency" else "sum", word)
        return f'choose rows of the answer, df[df["{name}"] > 1]'
    held = f'calls["{word}"] > 1'
    if word == "duration":  # which no record holds
        held = 'calls["endedAt"] - calls["startedAt"] > pd.Timedelta("1min")'
    return f'{_FIRST}, calls[{held}].vapi.call(), or rows of the answer, df[df["{default_name("sum", word)}"] > 1]'


def _values(word: str, given: object) -> tuple[str | None, ...]:
    is_set = isinstance(given, AbstractSet)
    if not is_set and not isinstance(given, list | tuple):
        return (_value(word, given),)
    values = [_value(word, one) for one in given]  # type: ignore[attr-defined]
    if not values:
        raise QueryError(f"{word!r} is to be one of no values, which no call is; leave the filter out, or give a value")
    if is_set:
        values.sort(key=lambda one: (one is None, one or ""))
    return tuple(dict.fromkeys(values))


def _value(word: str, given: object) -> str | None:
    """Return one value as the text that a group of the API has."""
    value: Any = given
    if type(value).__module__ == "numpy" and hasattr(value, "item") and not getattr(value, "shape", ()):
        value = value.item()
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if value:
            check_text(value, f"the value of {word!r}", None)
        return str.__str__(value)
    if isinstance(value, int):
        try:
            return int.__repr__(value)
        except ValueError:
            raise QueryError(f"a value of {word!r} has more digits than a number may; give it as text") from None
    if isinstance(value, float) and value == value:  # noqa: PLR0124 - NaN is not equal to itself
        cure = f"groups are text: give it as the API writes it, e.g. {f'{value:g}'!r}"
    elif isinstance(value, float) or type(value).__name__ in ("NAType", "NaTType"):
        cure = "for the calls without a value give None"
    elif hasattr(value, "tolist") or hasattr(value, "__iter__"):
        cure = "give several values as a list, a tuple or a set of text"
    else:
        cure = "give text, a whole number, True, False, None, or a list of these"
    raise QueryError(f"{word!r} cannot be {format_value(given)}: {cure}")
