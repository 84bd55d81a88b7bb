"""What the verbs on frames return, by plain loops over the calls: no pandas, nothing of the package."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

from tests.support.reference import counted, fold, trunc, value

if TYPE_CHECKING:
    from collections.abc import Iterator

FILLED = {"filled": True}  # stands in a cell that fill_gaps added: its sums are 0
MINUTE, MICRO = timedelta(minutes=1), timedelta(microseconds=1)

# Ended reason → its outcome, its fault, and the counts that a call with it is in, by hand.
REASONS: dict[str | None, tuple[str, str, set[str]]] = {
    "customer-ended-call": ("conversation", "none", {"Ended", "Answered", "Contained"}),
    "assistant-ended-call": ("conversation", "none", {"Ended", "Answered", "Contained"}),
    "assistant-forwarded-call": ("transferred", "none", {"Ended", "Answered", "Transferred"}),
    "voicemail": ("voicemail", "none", {"Ended", "Voicemail"}),
    "call.in-progress.error-providerfault-openai-500-server-error": (
        "failed_mid_call", "provider", {"Ended", "Answered", "Failed"},
    ),
    "customer-vanished": ("unknown", "unknown", {"Ended"}),  # no rule matches it
}  # fmt: skip
_UNKNOWN = REASONS["customer-vanished"]  # and so are the others of a ranking, which have no reason in common
RATES = {
    "answeredPerEnded": ("Answered", "Ended"), "voicemailPerEnded": ("Voicemail", "Ended"),
    "transferredPerAnswered": ("Transferred", "Answered"), "containedPerAnswered": ("Contained", "Answered"),
    "failedPerEnded": ("Failed", "Ended"),
}  # fmt: skip
PARTS = ("llm", "stt", "tts", "vapi", "transport", "analysisBreakdown.summary")

Row = dict[str, float | None]


@dataclass(frozen=True)
class Model:
    """The cells of a frame: the key of each row, and the calls behind it.

    Attributes:
        query: The query, of which the measures and the zone are used.
        levels: The names of the key's parts.
        cells: Key → calls.
        step: The step of the buckets.
        start: Where the range starts.
        end: Where it ends.
        now: When it was asked.
        calls: All calls.
    """

    query: Any
    levels: tuple[str, ...]
    cells: dict[tuple[Any, ...], list[Any]]
    step: str | None
    start: datetime
    end: datetime
    now: datetime = field(repr=False)
    calls: list[Any] = field(repr=False, default_factory=list)

    def row(self, calls: list[Any]) -> Row:
        """Return the measures of some calls."""
        found: Row = {}
        for one in self.query.measures:
            values = [v for call in calls if call is not FILLED and (v := value(call, one.column)) is not None]
            filled = [0.0] if FILLED in calls and one.operation == "sum" else []
            found[one.name] = fold(one.operation, values + filled)
        return found

    def rows(self) -> dict[tuple[Any, ...], Row]:
        """Return the measures of each row."""
        return {key: self.row(calls) for key, calls in self.cells.items()}

    def place(self, level: str) -> int:
        """Return where *level* stands in a key."""
        return self.levels.index(level)

    def merge(self, levels: tuple[str, ...], key_of: Any, **other: Any) -> Model:
        """Return the rows put together under coarser keys."""
        cells: dict[tuple[Any, ...], list[Any]] = {} if levels else {(): []}
        for key, calls in self.cells.items():
            cells.setdefault(key_of(key), []).extend(calls)
        return replace(self, levels=levels, cells=cells, **other)

    def at(self, step: str) -> Model:
        """Return the rows by another step, each call in the bucket of its own time."""
        cells: dict[tuple[Any, ...], list[Any]] = {}
        for key, calls in self.cells.items():
            for call in calls:
                cells.setdefault((trunc(call["createdAt"], step, self.query.zone), *key[1:]), []).append(call)
        return replace(self, cells=cells, step=step)

    def buckets(self) -> dict[datetime, bool]:
        """Return the buckets of the range that had begun, in order, and whether each is whole."""
        found = {label: True for _, label in self.walk()}
        for at in (self.start - MICRO, min(self.end, self.now)):
            if (cut := trunc(at, self.step, self.query.zone)) in found:
                found[cut] = False
        return dict(sorted(found.items()))

    def walk(self) -> Iterator[tuple[datetime, datetime]]:
        """Yield each minute of the range that had begun, and its bucket."""
        at, stop = self.start, min(self.end, self.now)
        while at < stop:
            yield at, trunc(at, self.step, self.query.zone)
            at = at.replace(second=0, microsecond=0) + MINUTE


def base(calls: list[Any], query: Any, now: datetime) -> Model:
    """Return the frame of *query* itself."""
    start, end = (side.astimezone(UTC) for side in query.instants(now))

    class Ids:
        """The query without its measures; what no call matches has no key."""

        measures: tuple[Any, ...] = ()
        time_step, zone, levels = query.time_step, query.zone, True
        groups, variables, filters = query.groups, query.variables, query.filters

    cells: dict[tuple[Any, ...], list[Any]] = {} if query.levels else {(): []}
    for call in calls:
        for key in counted([call], Ids, start, end):
            cells.setdefault(key, []).append(call)
    return Model(query, tuple(query.levels), cells, query.time_step, start, end, now, calls)


# --- verbs that make other rows -------------------------------------------------------------------------------------


def rollup(model: Model, step: str | None, by: list[str]) -> Model:
    """Merge into buckets of *step*, ``None`` for no dates, and the groups *by*."""
    places = [model.place(name) for name in by]
    dated = "date" in model.levels and step is not None

    def key_of(key: tuple[Any, ...]) -> tuple[Any, ...]:
        date = (trunc(key[0], step, model.query.zone),) if dated else ()
        return (*date, *(key[place] for place in places))

    return model.merge((*(["date"] if dated else []), *by), key_of, step=step if dated else None)


def top(model: Model, n: int, of: str, by: str, same: tuple[str, ...], *, other: bool) -> tuple[Model, bool]:
    """Keep the *n* largest values of a group; also return whether the choice is clear to six decimals."""
    totals: dict[Any, list[Any]] = {}
    for key, calls in model.cells.items():
        totals.setdefault(key[model.place(of)], []).extend(calls)
    sizes = {text: model.row(calls)[by] for text, calls in totals.items()}

    def rank(text: str | None) -> tuple[Any, ...]:
        size = sizes[text]
        return (size is None, -round(size or 0, 6), text is None, text or "")

    order = sorted(sizes, key=rank)
    kept, rest = set(order[:n]), order[n:]
    is_clear = by == "countId" or not rest or rank(order[n - 1])[:2] != rank(rest[0])[:2]
    if not rest:
        return model, is_clear
    if not other:
        return replace(model, cells={k: v for k, v in model.cells.items() if k[model.place(of)] in kept}), is_clear
    names = {}
    for level in same:
        there = {key[model.place(level)] for key in model.cells if key[model.place(of)] in kept}
        names[level] = next(text for text in ("other", *map("other ({})".format, range(2, 9))) if text not in there)

    def key_of(key: tuple[Any, ...]) -> tuple[Any, ...]:
        is_kept = key[model.place(of)] in kept
        return tuple(
            part if is_kept or name not in same else names[name] for name, part in zip(model.levels, key, strict=True)
        )

    return model.merge(model.levels, key_of), is_clear


def outcome(model: Model, level: str) -> Model:
    """Merge ended reasons to families."""
    place, which = model.place("endedReason"), ("outcome", "fault").index(level)

    def key_of(key: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            part if i != place or part is None else REASONS.get(part, _UNKNOWN)[which] for i, part in enumerate(key)
        )  # a reason that is missing stays missing

    levels = tuple(level if name == "endedReason" else name for name in model.levels)
    return model.merge(levels, key_of)


def label(model: Model, names: dict[str, str], of: str) -> Model:
    """Put names before the ids; equal names get their id."""
    place = model.place(of)
    ids = {key[place] for key in model.cells} - {None}
    plain = {one: names.get(one, one) for one in ids}
    texts = {
        one: f"{name} ({one[:8]})" if list(plain.values()).count(name) > 1 else name for one, name in plain.items()
    }
    levels = (*model.levels[:place], f"{of.removesuffix('Id')}Name", *model.levels[place:])
    return model.merge(levels, lambda key: (*key[:place], texts.get(key[place]), *key[place:]))


def fill_gaps(model: Model) -> Model:
    """Add a row for each bucket and each group that there is."""
    place = model.place("date")
    groups = {(*key[:place], *key[place + 1 :]) for key in model.cells}
    keys = [(*group[:place], at, *group[place:]) for at, group in product(model.buckets(), groups)]
    if len(model.levels) == 1:
        keys = [(at,) for at in model.buckets()]
    return replace(model, cells={key: model.cells.get(key, [FILLED]) for key in keys})


def drop_partial(model: Model) -> Model:
    """Keep whole buckets; the range is that of these."""
    buckets = model.buckets()
    cells = {key: calls for key, calls in model.cells.items() if buckets[key[model.place("date")]]}
    minutes = [at for at, label in model.walk() if buckets[label]]
    start = min(minutes, default=model.start)
    end = model.start if not minutes else min(model.end, model.now)
    while minutes and not buckets[trunc(end - MICRO, model.step, model.query.zone)]:
        end = (end - MICRO).replace(second=0, microsecond=0)
    return replace(model, cells=cells, start=start, end=end)


# --- verbs that add columns -----------------------------------------------------------------------------------------


def divide(above: float | None, below: float | None) -> float | None:
    """Return a ratio, None where a part is missing or the lower one is 0."""
    return None if above is None or not below else above / below


def total(values: Any) -> float | None:
    """Return the sum of those that are there, None where none is."""
    return fold("sum", [one for one in values if one is not None])


def subtract(above: float | None, below: float | None) -> float | None:
    """Return a difference, None where a part is missing."""
    return None if above is None or below is None else above - below


def percent(now: float | None, before: float | None) -> float | None:
    """Return the change in per cent."""
    ratio = divide(subtract(now, before), before)
    return None if ratio is None else ratio * 100


def change(model: Model, periods: int) -> dict[tuple[Any, ...], Row]:
    """Return what is added: each measure beside the same group *periods* buckets earlier."""
    buckets, place = model.buckets(), model.place("date")
    order = list(buckets)
    found = {}
    for key, now in model.rows().items():
        at = order.index(key[place])
        earlier = order[at - periods] if at >= periods else None
        is_skipped = not buckets[key[place]] or (earlier is not None and not buckets[earlier])
        calls = None if earlier is None else model.cells.get((*key[:place], earlier, *key[place + 1 :]), [FILLED])
        before = dict.fromkeys(now) if calls is None or is_skipped else model.row(calls)
        found[key] = {f"{name}Delta": subtract(now[name], before[name]) for name in now}
        found[key] |= {f"{name}Percent": percent(now[name], before[name]) for name in now}
    return found


def counts_without(model: Model, group: str, chosen: Any) -> dict[tuple[Any, ...], Row]:
    """Return, without a group, the count of all calls and of those that ``chosen(value)`` names."""
    place = model.place(group)
    found: dict[tuple[Any, ...], Row] = (
        {} if len(model.levels) > 1 else {(): {"countId": 0, **dict.fromkeys(chosen(None), 0)}}
    )
    for key, calls in model.cells.items():
        row = found.setdefault((*key[:place], *key[place + 1 :]), {"countId": 0, **dict.fromkeys(chosen(None), 0)})
        number = sum(call is not FILLED for call in calls)
        row["countId"] += number
        for name, is_chosen in chosen(key[place]).items():
            row[name] += number * is_chosen
    return found


def success_rate(model: Model, of: str, success: set[str] | None) -> dict[tuple[Any, ...], Row]:
    """Count successes and evaluations; *success* is what counts, each as written, else in any case."""
    there = {key[model.place("analysis.successEvaluation")] for key in model.cells} - {None}
    chosen: set[str] = set()
    for one in success or ():
        chosen |= {one} & there or {text for text in there if text.strip().lower() == one.strip().lower()}

    def read(text: str | None) -> dict[str, bool]:
        plain = (text or "").strip().lower()
        is_success = plain in ("true", "pass") if success is None else text in chosen
        return {"countIdSuccess": is_success, "countIdEvaluated": plain != ""}

    found = counts_without(model, "analysis.successEvaluation", read)
    for row in found.values():
        name, below = (
            ("successPerEvaluated", "countIdEvaluated") if of == "evaluated" else ("successPerCall", "countId")
        )
        row[name] = divide(row["countIdSuccess"], row[below])
    return found


def outcome_rate(model: Model) -> dict[tuple[Any, ...], Row]:
    """Count how calls ended, and divide."""
    words = ("Ended", "Answered", "Voicemail", "Transferred", "Contained", "Failed")

    def read(reason: str | None) -> dict[str, bool]:
        return {f"countId{word}": reason is not None and word in REASONS.get(reason, _UNKNOWN)[2] for word in words}

    found = counts_without(model, "endedReason", read)
    for row in found.values():
        row |= {name: divide(row[f"countId{above}"], row[f"countId{below}"]) for name, (above, below) in RATES.items()}
    return found


def reconcile(model: Model) -> dict[tuple[Any, ...], Row]:
    """Return the cost without its parts."""
    sums = {part: next(o.name for o in model.query.measures if o.column == f"costBreakdown.{part}") for part in PARTS}
    return {
        key: {"sumCostResidual": subtract(row["sumCost"], total([0.0, *(row[name] for name in sums.values())]))}
        for key, row in model.rows().items()
    }


def compare(now: Model, before: Model) -> dict[tuple[Any, ...], tuple[Row, bool]]:
    """Return both periods side by side, bucket beside bucket, and for each row whether its buckets are whole."""
    dated = now.step is not None
    here = list(replace(now, now=now.end).buckets().items()) if dated else [(None, True)]
    there = list(replace(before, now=before.end).buckets().items()) if dated else [(None, True)]
    groups = {key[1:] if dated else key for model in (now, before) for key in model.cells}
    found = {}
    for place, group in product(range(max(len(here), len(there))), groups):
        row: Row = {}
        sides, is_whole, there_is_any = [], True, False
        for model, buckets in ((now, here), (before, there)):
            bucket, whole = buckets[place] if place < len(buckets) else (None, False)
            calls = model.cells.get((bucket, *group) if dated else group)
            is_known = place < len(buckets) and not (dated and bucket >= now.now)
            there_is_any |= calls is not None and place < len(buckets)
            is_whole &= whole and is_known
            sides.append(model.row([FILLED] if calls is None else calls) if is_known else dict.fromkeys(model.row([])))
        if not there_is_any:
            continue
        for name in sides[0]:
            value_now, value_before = sides[0][name], sides[1][name]
            row |= {name: value_now, f"{name}Before": value_before}
            row |= {
                f"{name}Delta": subtract(value_now, value_before),
                f"{name}Percent": percent(value_now, value_before),
            }
        date = (here[place][0] if place < len(here) else None,) if dated else ()
        found[(*date, *group) if dated else group] = (row, is_whole)
    return found
