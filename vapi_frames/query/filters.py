"""Filters: the groups' and variables' values that the calls of a query must have.

The contract has no filters. Call records are filtered inside the SELECT; for the API see `vapi_frames.query.rewrite`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from vapi_frames.contract.record_words import OUTPUT, RECORD_COLUMNS, RECORD_GROUPS, RECORD_SPELLINGS
from vapi_frames.contract.vocabulary import (
    COLUMNS,
    GROUP_COLUMNS,
    GROUP_SYNONYMS,
    KEY_LIMIT,
    SUBSCRIPTION_COLUMNS,
    default_name,
)
from vapi_frames.errors import QueryError, UnknownWordError, format_value
from vapi_frames.query.aggregation import VARIABLE, check_text

if TYPE_CHECKING:
    from vapi_frames.contract.record_words import RecordGroup
    from vapi_frames.contract.vocabulary import GroupColumn

__all__ = [
    "Filter",
    "FilterValue",
    "FilterValues",
    "KeywordFilters",
    "format_filters",
    "get_variable_key",
    "merge_filters",
    "split_filters",
    "with_filters",
]

FilterValue: TypeAlias = str | int | None
"""A value of a group: text, a number or bool as the API writes it, or missing."""

FilterValues: TypeAlias = FilterValue | Sequence[FilterValue] | AbstractSet[FilterValue]


class KeywordFilters(TypedDict, total=False):
    """The groups that `Builder.where` takes as keyword arguments, for type checkers."""

    type: FilterValues
    assistantId: FilterValues
    endedReason: FilterValues
    status: FilterValues
    phoneNumberId: FilterValues
    squadId: FilterValues
    workflowId: FilterValues
    campaignId: FilterValues
    customerId: FilterValues
    phoneCallProvider: FilterValues
    phoneCallTransport: FilterValues
    name: FilterValues


Filter: TypeAlias = tuple[str, tuple[str | None, ...]]
"""A group column, ``variable.<key>`` or ``output.<name>``, and the values that match."""

_PREFIXES = (VARIABLE, "variableValues.")
_RECORDS_FIRST = "filter the call records first"


def with_filters(filters: tuple[Filter, ...], conditions: object, equals: Mapping[str, object]) -> tuple[Filter, ...]:
    """Return *filters*, *conditions* and *equals* as one tuple, sorted by name.

    Raises:
        QueryError: A value cannot be a group's, or a name is filtered twice.
        UnknownWordError: There is no filter by a name.

    Examples:
        >>> with_filters((), {"analysis.successEvaluation": True}, {"type": ["webCall", None]})
        (('analysis.successEvaluation', ('true',)), ('type', ('webCall', None)))
    """
    if conditions is not None and not isinstance(conditions, Mapping):
        raise QueryError(
            f'where() takes names and their values, e.g. where(type="webCall") or '
            f'where({{"analysis.successEvaluation": "true"}}), not {format_value(conditions)}'
        )
    found = dict(filters)
    for written, value in [*(conditions or {}).items(), *equals.items()]:
        name = _check_name(written)
        if name in found:
            raise QueryError(f"the query already filters by {name!r}; pass all its values in one list")
        found[name] = _read_values(name, value)
    return tuple(sorted(found.items(), key=lambda one: one[0]))


def get_variable_key(name: str) -> str | None:
    """Return the key of the variable called *name*, ``None`` for a group column or an output."""
    return name.removeprefix(VARIABLE) if name.startswith(VARIABLE) else None


def split_filters(filters: tuple[Filter, ...]) -> tuple[tuple[GroupColumn | RecordGroup, ...], tuple[str, ...]]:
    """Return the group columns and outputs, and the keys of the variables, of *filters*."""
    names: Any = [name for name, _ in filters]
    keys = [get_variable_key(name) for name in names]
    groups = tuple(name for name, key in zip(names, keys, strict=True) if key is None)
    return groups, tuple(key for key in keys if key is not None)


def format_filters(filters: tuple[Filter, ...]) -> str:
    """Return *filters* as text.

    Examples:
        >>> format_filters((("endedReason", ("a", "b", None)), ("type", ("webCall",))))
        "endedReason is 'a', 'b' or missing; type is 'webCall'"
    """
    lines = []
    for name, values in filters:
        *others, last = ["missing" if value is None else format_value(value) for value in values]
        lines.append(f"{name} is {', '.join(others)}{' or ' if others else ''}{last}")
    return "; ".join(lines)


def _check_name(written: object) -> str:
    """Return the group column or variable to filter by.

    Raises:
        QueryError: There is no filter by it; the message has the alternative.
    """
    if isinstance(written, str):
        name = str.__str__(written)
        for prefix in _PREFIXES:
            if name.startswith(prefix):
                key = name.removeprefix(prefix)
                check_text(key, "variable key", KEY_LIMIT)
                return f"{VARIABLE}{key}"
        if name.startswith(OUTPUT):
            check_text(name.removeprefix(OUTPUT), "output name", None)
            return name
        if name in GROUP_COLUMNS or name in RECORD_GROUPS:
            return name
        if name in ("createdAt", "date"):
            raise QueryError(
                f"where() does not filter by {name!r}: set the time range with .between(start, end), .during(period) "
                "or .last(span)"
            )
        name = RECORD_SPELLINGS.get(name, name)
        if name in COLUMNS or name in RECORD_COLUMNS:
            raise QueryError(f"where() filters by groups, and {name!r} is a measured column: {_suggest_filter(name)}")
    raise UnknownWordError(
        written, "filter", (*GROUP_COLUMNS, *RECORD_GROUPS, f"{VARIABLE}<key>", f"{OUTPUT}<name>"),
        synonyms=GROUP_SYNONYMS,
        hint=f'For another field of a record {_RECORDS_FIRST}: calls[calls["orgId"] == "..."].vapi.call().',
    )  # fmt: skip


def _suggest_filter(column: str) -> str:
    """Return how to select calls, or rows of the result, by a measured *column*."""
    if column == "id":
        return f'{_RECORDS_FIRST}, calls[calls["id"].isin([...])].vapi.call()'
    if column in SUBSCRIPTION_COLUMNS:
        name = default_name("max" if column == "concurrency" else "sum", column)
        return f'select rows of the result, df[df["{name}"] > 1]'
    condition = f'calls["{column}"] > 1'
    if column == "duration":  # a record has no duration, but its start and its end
        condition = 'calls["endedAt"] - calls["startedAt"] > pd.Timedelta("1min")'
    rows = f'df[df["{default_name("sum", column)}"] > 1]'
    return f"{_RECORDS_FIRST}, calls[{condition}].vapi.call(), or select rows of the result, {rows}"


def _read_values(name: str, written: object) -> tuple[str | None, ...]:
    is_set = isinstance(written, AbstractSet)
    if not is_set and not isinstance(written, list | tuple):
        return (_read_value(name, written),)
    values = [_read_value(name, one) for one in written]  # type: ignore[attr-defined]
    if not values:
        raise QueryError(
            f"the filter by {name!r} has no values, so no call can match; pass a value, or drop the filter"
        )
    if is_set:
        values.sort(key=lambda one: (one is None, one or ""))
    return tuple(dict.fromkeys(values))


def _read_value(name: str, written: object) -> str | None:
    """Return one value as the text that the API has for it."""
    value: Any = written
    if type(value).__module__ == "numpy" and hasattr(value, "item") and not getattr(value, "shape", ()):
        value = value.item()
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if value:
            check_text(value, f"the value of {name!r}", None)
        return str.__str__(value)
    if isinstance(value, int):
        try:
            return int.__repr__(value)
        except ValueError:
            raise QueryError(
                f"a value of {name!r} has more digits than Python converts to text; pass it as text"
            ) from None
    if isinstance(value, float) and value == value:  # noqa: PLR0124 - NaN is not equal to itself
        cure = f"groups are text, so pass it as the API writes it, e.g. {f'{value:g}'!r}"
    elif isinstance(value, float) or type(value).__name__ in ("NAType", "NaTType"):
        cure = "for calls without a value pass None"
    elif hasattr(value, "tolist") or hasattr(value, "__iter__"):
        cure = "pass several values as a list, a tuple or a set of text"
    else:
        cure = "pass text, a whole number, True, False, None, or a list of these"
    raise QueryError(f"the value of {name!r} cannot be {format_value(written)}: {cure}")


def merge_filters(filters: tuple[Filter, ...], narrower: tuple[Filter, ...]) -> tuple[Filter, ...]:
    """Return *filters* with the *narrower* ones in place of those of the same words."""
    return tuple(sorted((dict(filters) | dict(narrower)).items(), key=lambda one: one[0]))
