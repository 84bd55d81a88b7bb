"""`explain`: how the numbers of a column come about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from vapi_frames.calendar.ranges import format_iso
from vapi_frames.errors import UnknownWordError, format_value
from vapi_frames.frames.layout import keep_layout
from vapi_frames.frames.provenance import find_column, read_choice
from vapi_frames.query.filters import format_filters, merge_filters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vapi_frames.frames.meta import Meta
    from vapi_frames.query.aggregation import Aggregation

__all__ = ["explain"]

_WIDTH = 9
_SOURCES = {"calls": "call records", "api": "the Vapi API", "warehouse": "a warehouse", "replay": "recorded replies"}
_OPERATIONS = {
    "sum": "sum", "avg": "average", "min": "minimum", "max": "maximum", "median": "median",
    "nunique": "number of different values",
}  # fmt: skip
_GAPS = {
    "zero": "0 in a bucket or group without calls",
    "missing": "missing in a bucket or group without calls",
    "carry": 'missing in a bucket without a row; fill_gaps(concurrency="carry") takes the last value before',
}


@keep_layout
def explain(frame: pd.DataFrame, column: Any = None) -> str:
    """Return how the numbers of *column* come about: its formula and parts, the calls behind it, gaps and source.

    Args:
        frame: A result frame, also after verbs and `wide`.
        column: A column or a level of the index, by its own name, or by the API's column that it aggregates; may be
            left out where there is one measure.

    Returns:
        Lines of text: the column with its unit and formula; ``parts``; ``calls``, the range of ``createdAt`` and the
        filters; ``index`` and ``zone``; ``gaps``, what it is where there are no calls; ``source``; ``note``.

    Raises:
        ProvenanceError: The rows are not as fetched.
        UnknownWordError: There is no such column.

    Examples:
        >>> import vapi_frames as vf
        >>> query = vf.demo().call().sum("cost", "duration").by("type").step("day").during("2026-10")
        >>> print(vf.analysis.explain(query.fetch().vapi.per_minute(), "sumCostPerMinute"))
        sumCostPerMinute (USD/min) = sumCost / sumDuration
        parts    sumCost (USD) = the sum of cost
                 sumDuration (min) = the sum of duration, which is endedAt - startedAt
        calls    createdAt in [2026-10-01T00:00:00Z, 2026-11-01T00:00:00Z)
        index    date (day), type
        zone     UTC
        gaps     missing where sumDuration is 0, as where there are no calls
        source   call records
        note     calls without a duration, which count in no sum or average of minutes: 1,301
    """
    meta = read_choice(frame)
    name, title = _find_column(frame, meta, column)
    parts = [*([name] if title else []), *_list_parts(name, meta)]
    lines = [title or _define(name, meta)]
    lines += _label("parts", [_define(part, meta) for part in parts])
    lines += _label("calls", [_describe_calls(meta)])
    lines += _label("index", [", ".join(_describe_level(level, meta) for level in meta.levels) or "one row"])
    lines += _label("zone", [meta.zone])
    gaps = "missing where there is no row" if title else _describe_gaps(name, meta)
    lines += _label("gaps", [gaps] if gaps else [])
    lines += _label("source", [_SOURCES.get(meta.source, "a reply")])
    lines += _label("note", list(meta.notes))
    return "\n".join(lines)


def _label(word: str, texts: list[str]) -> list[str]:
    """Return *texts* as lines, with *word* before the first."""
    return [f"{word if not place else '':<{_WIDTH}}{text}" for place, text in enumerate(texts)]


def _find_column(frame: pd.DataFrame, meta: Meta, column: Any) -> tuple[str, str]:
    """Return the measure or level that *column* means; of a column that `wide` made, also what it is."""
    across = [str(name) for name in frame.columns.names if name is not None]
    if across and set(across) <= {*meta.levels}:
        return _find_spread(frame, meta, column, across)
    with_units = {f"{name} ({unit})": name for name, unit in meta.all_units().items()}
    if isinstance(column, str):
        if column in with_units and column in frame.columns:
            return with_units[column], ""
        if column in meta.levels and column in frame.index.names:
            return column, ""
    return find_column(frame, column), ""


def _find_spread(frame: pd.DataFrame, meta: Meta, column: Any, across: list[str]) -> tuple[str, str]:
    """Return the measure that `wide` spread, and which rows of it *column* holds."""
    flags = {name for name, one in meta.derived.items() if one.rule == "flag"}
    [name] = [one for one in meta.hashes if one not in flags]
    if column is None or (isinstance(column, str) and column == name):
        return name, ""
    if isinstance(column, str) and column in frame.index.names:
        return column, ""
    places = [place for place, one in enumerate(frame.columns) if _is_same(one, column)]
    if not places:
        raise UnknownWordError(column, "column", [str(one) for one in frame.columns], hint=f"Each is a part of {name}.")
    values = column if isinstance(column, tuple) else (column,)
    texts = [f"{level} is {_format(value)}" for level, value in zip(across, values, strict=True)]
    shown = ", ".join(map(_format, values))
    return name, f"{shown} = {name} where {' and '.join(texts)}"


def _is_same(one: Any, column: Any) -> bool:
    """Say whether a column is the one that is meant; a missing value is equal to itself."""
    if isinstance(one, tuple):
        return isinstance(column, tuple) and len(one) == len(column) and all(map(_is_same, one, column))
    if not pd.api.types.is_scalar(column) and column is not None:
        return False
    return bool(pd.isna(one) and pd.isna(column)) or bool(one == column)


def _format(value: Any) -> str:
    return "missing" if pd.api.types.is_scalar(value) and pd.isna(value) else format_value(value)


# --- what a column is -----------------------------------------------------------------------------------------------


def _define(name: str, meta: Meta) -> str:
    """Return a column or level with its unit and its formula."""
    unit = meta.all_units().get(name, "")
    return f"{name} ({unit}) = {_formula(name, meta)}" if unit else f"{name} = {_formula(name, meta)}"


def _formula(name: str, meta: Meta) -> str:
    if name in meta.derived:
        return _words(name, meta)[1]
    for measure in meta.aggregations:
        if measure.name == name:
            return _formula_of(measure, meta)
    if name in meta.levels:
        return _formula_of_level(name, meta)
    return "a column of your own: neither the query nor a verb made it"


def _formula_of(measure: Aggregation, meta: Meta) -> str:
    """Return what a measure of the query is."""
    column, operation = measure.column, measure.operation
    if operation == "count":
        return "the number of calls" if column == "id" else f"the number of calls with {column}"
    if operation == "history":
        return f"the {column} from its date until the next"
    text = f"the {f'quantile {measure.q:g}' if measure.q is not None else _OPERATIONS[operation]} of {column}"
    if column in ("duration", "minutesUsed") and meta.source in ("calls", "warehouse"):
        text += ", which is endedAt - startedAt"
    return text


def _words(name: str, meta: Meta) -> tuple[tuple[str, ...], str, str]:
    """Return the parts, the formula, and the rule for gaps of a column that a verb made."""
    one = meta.derived[name]
    if one.rule == "ratio":
        above, below = one.parts
        scale = "" if one.scale == 1 else f" * {one.scale:.12g}"
        return one.parts, f"{above} / {below}{scale}", f"missing where {below} is 0, as where there are no calls"
    kind, *how = one.made or ("",)
    if kind in ("before", "delta", "percent"):
        return _words_of_difference(name.removesuffix(kind.capitalize()), kind, how, meta)
    if kind == "share":
        base = name.removesuffix("Share")
        of = f"each {', '.join(map(str, how))}" if how else "the frame"
        return (base,), f"{base} / the sum of {base} over the rows of {of}", "missing where the sum is 0"
    if kind == "slots":
        unit, *levels = how
        formula = f"how many {unit}s of the range have this {', '.join(map(str, levels))}"
        return (), formula, f"{unit}s without calls are among them"
    known = {
        "residual": (
            f"{one.parts[:1] and one.parts[0]} - ({' + '.join(one.parts[1:])})",
            "0 where there are no calls; a missing part counts as 0",
        ),
        "where": (f"{one.parts[:1] and one.parts[0]} where {how and how[0]}", _GAPS["zero"]),
        "mean": (" / ".join(one.parts), f"a {how and how[0]} without calls counts as 0"),
        "filled": ("whether fill_gaps added the row", ""),
        "beside": ("the bucket of the earlier period beside this one", ""),
    }
    return one.parts, *known.get(str(kind), ("what a verb made", ""))


def _words_of_difference(base: str, kind: str, how: list[Any], meta: Meta) -> tuple[tuple[str, ...], str, str]:
    """Return the words of the difference to an earlier bucket, or to an earlier period."""
    rules = {one.name: one.measure.fill for one in meta.aggregations}
    is_zero = rules[base] == "zero" if base in rules else base in meta.derived and meta.derived[base].rule == "sum"
    counts = f"counts as {'0' if is_zero else 'missing'}"
    if how:
        past = f"{base} {how[0]} {meta.step}{'s' * (how[0] != 1)} earlier"
        gaps = f"an earlier bucket without calls {counts}; missing where one is partial or out of the range"
    else:
        past = f"{base}Before"
        gaps = f"a bucket or group without calls {counts}"
    before = () if how else (past,)
    return {
        "before": ((base,), f"{base} of the earlier period", gaps),
        "delta": ((base, *before), f"{base} - {past}", gaps),
        "percent": ((f"{base}Delta", *(before or (base,))), f"100 * {base}Delta / {past}", gaps),
    }[kind]


def _formula_of_level(name: str, meta: Meta) -> str:
    if name == "date":
        return f"the start of the {meta.step}, in {meta.zone}" if meta.step else f"when it changes, in {meta.zone}"
    origin = meta.derived_levels.get(name, name)
    if origin == "date":
        return f"the {name if name != 'open' else 'opening'} of createdAt, in {meta.zone}"
    kind, word = meta.query_groups().get(name, ("group", origin))
    of = f"the {word} of the call" if kind == "group" else f"the {kind} {word!r} of the call"
    return of if origin == name else f"{name}, made of {of}"


def _list_parts(name: str, meta: Meta) -> Iterator[str]:
    """Yield the parts of a column, and theirs, each once."""
    waiting, seen = [name], {name}
    while waiting:
        one = waiting.pop(0)
        parts = _words(one, meta)[0] if one in meta.derived else ()
        for part in parts:
            if part not in seen:
                seen.add(part)
                waiting.append(part)
                yield part


# --- the calls behind it --------------------------------------------------------------------------------------------


def _describe_calls(meta: Meta) -> str:
    start, end = (None if side is None else format_iso(side) for side in meta.covered)
    text = f"createdAt in [{start or 'unknown'}, {end or 'unknown'})"
    if meta.before:
        text += f", and before in [{format_iso(meta.before[0])}, {format_iso(meta.before[1])})"
    if filters := merge_filters(meta.filters, meta.choice.filters if meta.choice else ()):
        text += f"; {format_filters(filters)}"
    if meta.choice and not meta.choice.is_query:
        text += "; of rows that were chosen, which no query selects"
    return text


def _describe_level(name: str, meta: Meta) -> str:
    if name == "date":
        return f"date ({meta.step})" if meta.step else "date"
    origin = meta.derived_levels.get(name, name)
    return name if origin == name else f"{name} (of {origin})"


def _describe_gaps(name: str, meta: Meta) -> str:
    """Return what a measure is where there are no calls, "" for what is no measure."""
    if name in meta.derived:
        return _words(name, meta)[2]
    return next((_GAPS[one.measure.fill] for one in meta.aggregations if one.name == name), "")
