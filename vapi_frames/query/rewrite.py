"""A filtered question as the API can be asked it: without filters, by the filtered words as well.

The rows that match are chosen afterwards, and rolled up over the words that were added:
`vapi_frames.result.post_filter`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from vapi_frames.errors import NonAdditiveError
from vapi_frames.query.aggregation import Aggregation, find_reaggregation
from vapi_frames.query.filters import format_filters as _said
from vapi_frames.query.filters import split_filters

if TYPE_CHECKING:
    from vapi_frames.query.spec import QuerySpec

    Q = TypeVar("Q", bound=QuerySpec[Any])

__all__ = ["describe_rewrite", "rewrite_filters"]


def rewrite_filters(query: Q) -> Q:
    """Return *query* without filters, by the filtered words too, and with the counts that its averages then need.

    Its groups, its variables and its measures come first, in their order. Where every filtered word is among its
    groups, nothing is added.

    Raises:
        NonAdditiveError: A measure cannot be rolled up over the words that would be added.

    Examples:
        >>> from vapi_frames import vq
        >>> rewrite_filters(vq.call().avg("cost").by("type").where(status="ended"))
        vq.call().avg("cost").count("cost").by("type", "status")
        >>> rewrite_filters(vq.call().avg("cost").by("type").where(type="webCall"))
        vq.call().avg("cost").by("type")
    """
    if not query.filters:
        return query
    filtered, keys = split_filters(query.filters)
    groups = (*query.groups, *(word for word in filtered if word not in query.groups))
    variables = (*query.variables, *(key for key in keys if key not in query.variables))
    plain = replace(query, filters=(), groups=groups, variables=variables)
    if (groups, variables) == (query.groups, query.variables):
        return plain
    measures = list(query.measures)
    taken = {"date", *groups, *variables, *(one.name for one in measures), *(one.wire_name for one in measures)}
    counted = {one.column for one in measures if one.operation == "count"}
    for one in query.measures:
        if one.operation == "avg" and one.column not in counted:
            counted.add(one.column)
            measures.append(_count(one, taken))
    for one in query.measures:
        try:
            find_reaggregation(one, measures, over_time=False, over_groups=True)
        except NonAdditiveError as error:
            raise NonAdditiveError(
                f"the API has no filters, and what it says by {', '.join(_added(query, plain))} cannot be rolled up: "
                f"{error}. Ask for the groups, and choose rows of the frame: {plain!r}"
            ) from None
    return replace(plain, aggregations=tuple(measures), has_counts=False)


def _count(one: Aggregation, taken: set[str]) -> Aggregation:
    """Return the count of the column of *one*, under a name that nothing else has."""
    count = Aggregation("count", one.column)
    number = 2
    while count.name in taken or count.wire_name in taken:
        count = Aggregation("count", one.column, f"count{number}")
        number += 1
    taken.update((count.name, count.wire_name))
    return count


def _added(query: QuerySpec[Any], wide: QuerySpec[Any]) -> list[str]:
    """Return the words that *wide* has beyond the groups and variables of *query*."""
    variables = (f"variable.{key}" for key in wide.variables[len(query.variables) :])
    return [*wide.groups[len(query.groups) :], *variables]


def describe_rewrite(query: QuerySpec[Any]) -> tuple[str, str]:
    """Return what *query* is filtered by, and how it is answered."""
    try:
        more = _added(query, rewrite_filters(query))
    except NonAdditiveError:
        asked = "it cannot be asked of the API, which has no filters"
    else:
        asked = "the API has none: the matching rows are chosen"
        if more:
            asked = f"the API is asked by {', '.join(more)} as well, and the matching rows are rolled up exactly"
    return _said(query.filters), f"call records are filtered in the SELECT; {asked}"
