"""Which measures of a frame a chart draws, and which of them share an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vapi_frames.analysis.arguments import read_names
from vapi_frames.analysis.weeks import SLOTS
from vapi_frames.contract.record_words import RECORD_COST_PARTS
from vapi_frames.contract.vocabulary import COST_PARTS
from vapi_frames.errors import QueryError
from vapi_frames.frames.provenance import find_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from vapi_frames.frames.meta import Meta

__all__ = ["choose_measures", "find_unit", "is_additive", "is_whole", "split_by_axis"]

_PARTS: frozenset[str] = frozenset((*COST_PARTS, *RECORD_COST_PARTS))


def choose_measures(
    frame: pd.DataFrame, column: str | Sequence[str] | None, known: dict[str, str], meta: Meta
) -> list[str]:
    """Return the measures to draw: *column*, else all.

    Of a comparison those of the later period, because the other one is drawn with them; of a typical week the means,
    because a range may have five Mondays and four Tuesdays.

    Raises:
        QueryError: *column* names no measure, or is no name.
    """
    if column is not None:
        names = [find_column(frame, one) for one in read_names(column, "column", '["cost"]')]
        if not names:
            raise QueryError(f"column=[] names no measure: name one, e.g. .vapi.plot({next(iter(known), 'sumCost')!r})")
        return list(dict.fromkeys(names))
    if not known:
        return [find_column(frame, None)]  # raises, and names what is missing
    means = [name for name, one in meta.derived.items() if one.parts[1:] == (SLOTS,) and name in known]
    if means:
        return means
    if meta.before:
        return [name for name in known if f"{name}Before" in known] or [next(iter(known))]
    return list(known)


def split_by_axis(names: list[str], known: dict[str, str], *, is_single: bool) -> list[list[str]]:
    """Return *names* by the axis that they share: those of one unit, or each by itself if *is_single*."""
    if is_single:
        return [[name] for name in names]
    axes: dict[str, list[str]] = {}
    for name in names:
        axes.setdefault(find_unit(name, known), []).append(name)
    return list(axes.values())


def find_unit(name: str, known: dict[str, str]) -> str:
    """Return the unit of a measure; a rate of success is a share."""
    return "share" if name.startswith("successPer") else known.get(name, "")


def is_whole(names: list[str], meta: Meta) -> bool:
    """Return whether *names* are parts of one whole: of the cost, no two of which hold the same money."""
    columns = {one.name: one.column for one in meta.aggregations if one.operation == "sum"}
    return len(names) > 1 and all(columns.get(name) in _PARTS for name in names)


def is_additive(names: list[str], meta: Meta) -> bool:
    """Return whether the sum of all groups is the measure of all calls, for each of *names*."""
    rules = {one.name: one.measure.over_groups for one in meta.aggregations}
    rules |= {name: "sum" if one.rule == "sum" else "none" for name, one in meta.derived.items()}
    return all(rules.get(name) == "sum" for name in names)
