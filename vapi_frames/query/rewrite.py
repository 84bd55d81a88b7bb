"""A query with filters, rewritten for the API, which has none: it also groups by what the filters name.

`vapi_frames.result.post_filter` then selects the matching rows, and re-aggregates over the groups that were added.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from vapi_frames.errors import NonAdditiveError
from vapi_frames.query.aggregation import Aggregation, find_reaggregation
from vapi_frames.query.filters import format_filters, split_filters

if TYPE_CHECKING:
    from vapi_frames.query.spec import QuerySpec

    Q = TypeVar("Q", bound=QuerySpec[Any])

__all__ = ["describe_rewrite", "rewrite_filters"]


def rewrite_filters(query: Q) -> Q:
    """Return *query* without filters, grouped by what they name too, and with the counts that its averages then need.

    Groups, variables and measures of *query* come first, in their order. If it already groups by all that its filters
    name, nothing is added.

    Raises:
        NonAdditiveError: A measure cannot be re-aggregated over the groups that would be added.

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
    groups = (*query.groups, *(group for group in filtered if group not in query.groups))
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
            measures.append(_make_count(one, taken))
    for one in query.measures:
        try:
            find_reaggregation(one, measures, over_time=False, over_groups=True)
        except NonAdditiveError as error:
            raise NonAdditiveError(
                f"the API has no filters, and its result by {', '.join(_list_added(query, plain))} cannot be "
                f"re-aggregated: {error}. Group by them, and select rows of the frame: {plain!r}"
            ) from None
    return replace(plain, aggregations=tuple(measures), has_counts=False)


def _make_count(one: Aggregation, taken: set[str]) -> Aggregation:
    """Return the count of the column of *one*, under a name that is free."""
    count = Aggregation("count", one.column)
    number = 2
    while count.name in taken or count.wire_name in taken:
        count = Aggregation("count", one.column, f"count{number}")
        number += 1
    taken.update((count.name, count.wire_name))
    return count


def _list_added(query: QuerySpec[Any], wide: QuerySpec[Any]) -> list[str]:
    """Return the groups and variables that *wide* has and *query* does not."""
    variables = (f"variable.{key}" for key in wide.variables[len(query.variables) :])
    return [*wide.groups[len(query.groups) :], *variables]


def describe_rewrite(query: QuerySpec[Any]) -> tuple[str, str]:
    """Return the filters of *query* as text, and how a source applies them."""
    try:
        added = _list_added(query, rewrite_filters(query))
    except NonAdditiveError:
        api = "the API cannot answer this, because it has no filters"
    else:
        api = "for the API, matching rows are selected from the result"
        if added:
            api = (
                f"for the API, the query also groups by {', '.join(added)}, and matching rows are re-aggregated exactly"
            )
    return format_filters(query.filters), f"call records are filtered in the SELECT; {api}"
