"""The tables that are generated whole: the types of a frame, and what an ended reason means.

`tests/support/make_pages.py` writes them; nothing here is known twice, for all of it is read from frames and from the rules.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vapi_frames.contract import ended_reasons as outcomes

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

REASONS = Path(__file__).parents[1] / "data" / "ended_reasons.txt"

_TYPES = """\
# Types

The types of a frame depend on the query alone, and on the arguments of `fetch`. This page is generated from frames that
were fetched. `str` is the text of pandas 3; on pandas 2.2 it is `object`. The zone of `date` is that of the query,
here UTC.

## The index

How the index looks, by what the query has. A level is found by its name, `df.index.get_level_values("type")`.
"""
_BY_BACKEND = """\
## Levels and measures

One row for each kind of level and measure, and how it comes: from `fetch()`, from `fetch(dtype_backend=...)`, from
`fetch(categorical=True)`, and from `to_arrow()` and `to_polars()`, where the levels are columns.
"""
_BY_VERB = """\
## What verbs add

The columns that verbs of `df.vapi` add, and the two series that have the frame's own index.
"""
_REASONS = """\
# Ended reasons

{intro}

`df.vapi.outcome(level)` rolls a frame by `endedReason` up to these words; [verbs](../guides/verbs.md#ended-reasons) shows it. This
page is generated from the rules that the package itself reads.

## Words

{words}

## Rules

The rules in the order in which they are tried; the first that matches the whole reason counts. Patterns are regular
expressions. The last column says how many of the contract's {count} values a rule explains. A new reason that follows a
pattern is read like the old ones; one that no rule explains is `unknown` at each level, and a warning names it.

The provider is the carrier that a reason names (`twilio`, `vonage`, `telnyx`), else `none`. Where a rule says *by the
rest*, component and provider are read from what stands in its last parentheses.
"""
_PROVIDERS = """\
## Providers

How the rest of a reason is read: `openai-llm-failed` names provider and part. A provider that is named without a part
counts for the one that it is known for:
"""
_CONTRACT = """\
## The contract's reasons

Each of the {count} values that the contract names, by what became of the call.
"""


def types_page() -> str:
    """Return the text of types.md."""
    import vapi_frames as vf

    vq = vf.demo()
    calls = vq.call().between("2026-10-01", "2026-10-03")
    levels = vq.subscription().between("2026-10-01", "2026-10-03")
    shapes = {
        "neither step nor group": calls.count(),
        '`.step("day")`': calls.count().step("day"),
        '`.by("type")`': calls.count().by("type"),
        '`.by_variable("plan")`': calls.count().by_variable("plan"),
        '`.by("type").by_variable("plan")`': calls.count().by("type").by_variable("plan"),
        '`.step("day").by("type")`': calls.count().step("day").by("type"),
        '`.history("concurrency")`': levels.history("concurrency"),
    }
    rows = []
    for said, query in shapes.items():
        index = query.fetch().index
        names = ", ".join(f"`{name}`" for name in index.names if name is not None)
        rows.append([said, f"`{type(index).__name__}`", names or "none: always exactly one row"])
    parts = [_TYPES, table(["query", "index", "names"], rows), _BY_BACKEND, _backends(calls, levels)]
    return "\n".join([*parts, _BY_VERB, _verbs(calls)])


def _backends(calls: Any, levels: Any) -> str:
    queries = [
        (calls.count().sum("cost").avg("duration").max("cost").by("type").by_variable("plan").step("day"), {
            "date": "`date`", "type": "group", "plan": "variable", "countId": "count", "sumCost": "sum",
            "avgDuration": "average", "maxCost": "least, greatest",
        }),
        (calls.median("duration").nunique("type"), {"medianDuration": "median, quantile", "nuniqueType": "number of values"}),
        (levels.max("concurrency").sum("minutesUsed").step("day"), {
            "maxConcurrency": "calls at once", "sumMinutesUsed": "minutes used",
        }),
        (levels.history("concurrency"), {"historyConcurrency": "history of calls at once"}),
    ]  # fmt: skip
    rows = []
    for query, kinds in queries:
        options: list[dict[str, Any]] = [{}, {"dtype_backend": "numpy_nullable"}, {"dtype_backend": "pyarrow"}]
        frames = [query.fetch(**one).reset_index() for one in [*options, {"categorical": True}]]
        schema, polars = query.to_arrow().schema, query.to_polars().schema
        for name, said in kinds.items():
            found = [*(_dtype(frame[name]) for frame in frames), str(schema.field(name).type), str(polars[name])]
            rows.append([said, *(f"`{one}`" for one in found)])
    return table(["what", "`fetch()`", "`numpy_nullable`", "`pyarrow`", "`categorical`", "Arrow", "polars"], rows)


def _verbs(calls: Any) -> str:
    days = calls.sum("cost", "duration").count().by("type").step("day").fetch()
    rated = calls.count().by("analysis.successEvaluation").fetch()
    week = calls.count().step("hour").fetch().vapi.typical_week()
    found = {
        "`df.vapi.partial`": days.vapi.partial,
        "`df.vapi.elapsed`": days.vapi.elapsed,
        "`filled` of `fill_gaps(mark=True)`": days.vapi.fill_gaps(mark=True)["filled"],
        "`sumCostDelta` of `change()`": days.vapi.change()["sumCostDelta"],
        "`countIdDelta` of `change()`": days.vapi.change()["countIdDelta"],
        "`sumCostPercent` of `change()`": days.vapi.change()["sumCostPercent"],
        '`sumCostShare` of `share("cost")`': days.vapi.share("cost")["sumCostShare"],
        "`sumCostPerMinute` of `per_minute()`": days.vapi.per_minute()["sumCostPerMinute"],
        "`countIdEvaluated` of `success_rate()`": rated.vapi.success_rate()["countIdEvaluated"],
        "`successPerEvaluated` of `success_rate()`": rated.vapi.success_rate()["successPerEvaluated"],
        "level `weekday` of `typical_week()`": week.index.levels[0],
        "level `hour` of `typical_week()`": week.index.levels[1],
        '`slots` of `typical_week("weekday")`': days.vapi.typical_week("weekday")["slots"],
        '`countIdPerSlot` of `typical_week("weekday")`': days.vapi.typical_week("weekday")["countIdPerSlot"],
    }
    return table(["column or series", "type"], [[said, f"`{_dtype(series)}`"] for said, series in found.items()])


def _dtype(series: pd.Series | pd.Index) -> str:
    """Return the type in the words of pandas 3, on either pandas."""
    import pandas as pd

    text = str(series.dtype)
    return "str" if text == str(pd.Series(["text"]).dtype) else text


def reasons_page() -> str:
    """Return the text of reasons.md."""
    reasons = REASONS.read_text(encoding="utf-8").split()
    intro, _, words = (outcomes.__doc__ or "").replace("``", "`").partition("\n\n")[2].partition("\n\n")
    head = _REASONS.format(intro=intro.strip(), words=words.strip(), count=len(reasons))
    counts = [0] * len(outcomes._RULES)
    for reason in reasons:
        counts[next(at for at, rule in enumerate(outcomes._COMPILED) if rule[0].fullmatch(reason))] += 1
    rules = [
        [
            code(pattern.replace("?P<rest>", "")), f"`{outcome}`", f"`{fault}`",
            f"`{component}`" if component else "*by the rest*", str(count),
        ]
        for (pattern, outcome, fault, component), count in zip(outcomes._RULES, counts, strict=True)
    ]  # fmt: skip
    parts = [head, table(["pattern", "outcome", "fault", "component", "values"], rules), _PROVIDERS]
    owners = {name: f" (fault `{fault}`)" for name, fault in outcomes._OWNERS.items()}
    known = [
        [f"`{component}`", ", ".join(f"`{name}`{owners.get(name, '')}" for name in names.split())]
        for component, names in outcomes._PROVIDERS.items()
    ]
    parts += [table(["component", "providers"], known), _CONTRACT.format(count=len(reasons))]
    families = {reason: outcomes.classify_reason(reason) for reason in reasons}
    for outcome in outcomes.OUTCOMES:
        found = [
            [f"`{reason}`", f"`{one.fault}`", f"`{one.component}`", f"`{one.provider}`"]
            for reason, one in families.items()
            if one.outcome == outcome
        ]
        if found:
            parts.append(f"### {outcome}\n\n{table(['reason', 'fault', 'component', 'provider'], found)}")
    return "\n".join(parts)


def code(pattern: str) -> str:
    """Return *pattern* as code in a table, with no character that Markdown or a table would take for its own."""
    escaped = html.escape(pattern, quote=False)
    for letter in "|*_[]\\":
        escaped = escaped.replace(letter, f"&#{ord(letter)};")
    return f"<code>{escaped}</code>"


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), ""])
