"""What a result frame knows of itself.

It travels in ``df.attrs["vapi"]`` as one JSON string, because pandas copies attrs deeply at every step: its size
depends on the question, never on the data, and a key or a raw reply never goes there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from vapi_frames.calendar.ranges import format_iso, parse_last
from vapi_frames.contract.vocabulary import COLUMNS, GROUP_COLUMNS
from vapi_frames.errors import ProvenanceError
from vapi_frames.query.aggregation import Aggregation
from vapi_frames.query.query import Query

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import pandas as pd

__all__ = ["ATTRIBUTE", "DerivedColumn", "Meta", "attach_meta", "mark_incomplete", "read_meta", "sums"]

ATTRIBUTE = "vapi"
_VERSION = 2


@dataclass(frozen=True, slots=True)
class DerivedColumn:
    """What is known of a column that a verb added.

    Attributes:
        unit: Its unit, ``""`` where it has none.
        rule: How it re-aggregates: ``sum``; ``ratio``, from its parts again; ``none``; ``mark`` says something of the
            row, and is no measure.
        parts: For a ratio, the columns above and below the line.
        scale: For a ratio, what it is multiplied by.
        sum: The sum of its values when it was made.
    """

    unit: str
    rule: Literal["sum", "ratio", "none", "flag"]
    parts: tuple[str, ...] = ()
    scale: float = 1.0
    sum: float = 0.0


@dataclass(frozen=True, slots=True)
class Meta:
    """What a result frame knows of itself.

    Attributes:
        source: Who answered: ``api``, ``calls``, ``warehouse``, ``replay``, ``reply``.
        body: The question as it went on the wire, one element of ``queries``, without its filters.
        start: Begin of the answered range, in UTC; ``None`` where unknown.
        end: Its end, exclusive.
        now: When it was asked.
        units: Column → unit, for every measure that was asked for; ``""`` where it has none.
        levels: The names of the index levels.
        rows: How many rows the frame was made with.
        sums: The sum of each measure then, in the order of *units*.
        derived: Column → what is known of it, for those that verbs added.
        derived_levels: Level that a verb added → the group that it comes from, e.g. ``outcome`` → ``endedReason``.
        filters: What the calls were chosen by: group column or ``variable.<key>``, and its values.
        before: In a comparison, the range of the other period.
        has_missing_rows: Whether rows of the result are missing: only some were chosen before a verb, or some never
            arrived. An absent row then does not mean that there were no calls.
        title: The name that the question was given, ``None`` for an automatic one.
        relative_range: The relative range as written and whether it is of whole buckets, e.g. ``("30d", False)``.
        notes: What a reader should know, e.g. how dates were read.
    """

    source: str
    body: dict[str, Any]
    start: datetime | None
    end: datetime | None
    now: datetime | None
    units: dict[str, str]
    levels: tuple[str, ...]
    rows: int
    sums: tuple[float, ...]
    derived: dict[str, DerivedColumn] = field(default_factory=dict)
    derived_levels: dict[str, str] = field(default_factory=dict)
    filters: tuple[tuple[str, tuple[str | None, ...]], ...] = ()
    before: tuple[datetime, datetime] | None = None
    has_missing_rows: bool = False
    title: str | None = None
    relative_range: tuple[str, bool] | None = None
    notes: tuple[str, ...] = ()

    @property
    def step(self) -> str | None:
        """The step of the buckets."""
        step: str | None = self.body.get("timeRange", {}).get("step")
        return step

    @property
    def zone(self) -> str:
        """The zone of the calendar."""
        zone: str = self.body.get("timeRange", {}).get("timezone", "UTC")
        return zone

    @property
    def aggregations(self) -> tuple[Aggregation, ...]:
        """The measures, under the names that they have on the frame."""
        operations: list[dict[str, Any]] = self.body["operations"]
        return tuple(
            # An alias longer than the contract allows was shortened on the wire only; a default name is none.
            one if (one := Aggregation(each["operation"], each["column"])).name == name else replace(one, alias=name)
            for each, name in zip(operations, self.units, strict=True)
        )

    @property
    def query(self) -> Query[Any]:
        """The question, ready to be asked again; a relative range is relative again."""
        query = Query.from_body({"queries": [self.body]})
        span = query.time_range if self.relative_range is None else parse_last(*self.relative_range)
        return replace(query, aggregations=self.aggregations, time_range=span, title=self.title, filters=self.filters)

    def all_units(self) -> dict[str, str]:
        """Return column → unit, also of what verbs made of the measures."""
        return self.units | {name: one.unit for name, one in self.derived.items() if one.rule != "flag"}

    def query_groups(self) -> dict[str, tuple[str, str]]:
        """Return level → the ``group`` column or ``variable`` key that the question has for it."""
        groups: list[str] = self.body.get("groupBy", [])
        found = {name: ("group", name) for name in groups}
        taken = {"date", *GROUP_COLUMNS, *COLUMNS, *self.units}
        for each in self.body.get("groupByVariableValue", []):
            key = each["key"]
            found[f"variable.{key}" if key in taken else key] = ("variable", key)
        return {**found, **{level: found[origin] for level, origin in self.derived_levels.items() if origin in found}}

    def with_step(self, step: str | None) -> Meta:
        """Return it for buckets of another step; ``None`` has none."""
        body = {word: value for word, value in self.body.items() if word != "timeRange"}
        span = {word: value for word, value in self.body.get("timeRange", {}).items() if word != "step"}
        if step is not None:
            span = {"step": step, **span}
        return replace(self, body=body | ({"timeRange": span} if span else {}))

    def select(self, columns: Iterable[str], levels: Iterable[str]) -> Meta:
        """Return it for a frame that has only these *columns* and *levels* of those it had."""
        columns, levels = set(columns), tuple(levels)
        roots = self.query_groups()
        kept = dict.fromkeys(roots[level] for level in levels if level in roots)
        body = {word: value for word, value in self.body.items() if word not in ("groupBy", "groupByVariableValue")}
        if groups := [name for kind, name in kept if kind == "group"]:
            body["groupBy"] = groups
        if variables := [{"key": name} for kind, name in kept if kind == "variable"]:
            body["groupByVariableValue"] = variables
        names = [name for name in self.units if name in columns] or list(self.units)  # a question asks for something
        operations = dict(zip(self.units, self.body["operations"], strict=True))
        return replace(
            self,
            body=body | {"operations": [operations[name] for name in names]},
            units={name: self.units[name] for name in names},
            levels=levels,
            derived_levels={level: origin for level, origin in self.derived_levels.items() if level in levels},
            derived={name: one for name, one in self.derived.items() if name in columns},
        )

    def to_json(self) -> str:
        """Return it as the text that travels in ``attrs``."""
        parts = {
            "v": _VERSION,
            "source": self.source,
            "body": self.body,
            "range": [side and format_iso(side) for side in (self.start, self.end)],
            "now": self.now and format_iso(self.now),
            "units": self.units,
            "levels": self.levels,
            "rows": self.rows,
            "sums": [_short(total) for total in self.sums],
            "derived": {
                name: [one.unit, one.rule, _short(one.sum), *([one.parts, one.scale] if one.parts else [])]
                for name, one in self.derived.items()
            },
            "made": self.derived_levels,
            "filters": self.filters,
            "before": self.before and [format_iso(side) for side in self.before],
            "chosen": self.has_missing_rows or None,
            "title": self.title,
            "last": self.relative_range,
            "notes": self.notes,
        }
        kept = {name: value for name, value in parts.items() if value not in (None, (), [], {}, [None, None])}
        return json.dumps(kept, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Meta:
        """Read it back."""
        parts = json.loads(text)
        start, end = (side and datetime.fromisoformat(side) for side in parts.get("range", (None, None)))
        now, before = parts.get("now"), parts.get("before")
        return cls(
            source=parts["source"],
            body=parts["body"],
            start=start,
            end=end,
            now=now and datetime.fromisoformat(now),
            units=parts.get("units", {}),
            levels=tuple(parts.get("levels", ())),
            rows=parts["rows"],
            sums=tuple(parts.get("sums", ())),
            derived={
                name: DerivedColumn(unit, rule, tuple(of[0]) if of else (), of[1] if of else 1.0, total)
                for name, (unit, rule, total, *of) in parts.get("derived", {}).items()
            },
            derived_levels=parts.get("made", {}),
            filters=tuple((word, tuple(values)) for word, values in parts.get("filters", ())),
            before=before and (datetime.fromisoformat(before[0]), datetime.fromisoformat(before[1])),
            has_missing_rows=parts.get("chosen", False),
            title=parts.get("title"),
            relative_range=tuple(parts["last"]) if "last" in parts else None,
            notes=tuple(parts.get("notes", ())),
        )


def _short(total: float) -> float:
    """Return a sum with as many digits as tell one from another."""
    return float(f"{total:.9g}")


def read_meta(frame: pd.DataFrame) -> Meta:
    """Return what *frame* knows of itself.

    Raises:
        ProvenanceError: It knows nothing.
    """
    text = frame.attrs.get(ATTRIBUTE)
    if not isinstance(text, str):
        raise ProvenanceError(
            "the frame does not know which question it answers: it was not fetched with this package, or "
            "a step such as concat, merge or pivot dropped df.attrs"
        )
    try:
        return Meta.from_json(text)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ProvenanceError(f"df.attrs[{ATTRIBUTE!r}] is damaged: {error!r}") from error


def sums(frame: pd.DataFrame, names: Iterable[str]) -> tuple[float, ...]:
    """Return the sum of each of the columns *names*, 0 for one that is gone: the fingerprint of their values."""
    return tuple(float(frame[name].sum()) if name in frame.columns else 0.0 for name in names)


def attach_meta(frame: pd.DataFrame, meta: Meta, *, added: Collection[str] | None = None) -> pd.DataFrame:
    """Give *frame*, which a verb has just made, its knowledge: *meta*, for the columns, levels and rows that it has.

    Args:
        frame: The frame.
        meta: What it knows.
        added: The new columns, where all others are as they were and *meta* knows their sums.
    """
    before = {} if added is None else dict(zip(meta.units, meta.sums, strict=True))
    meta = meta.select(frame.columns, [str(name) for name in frame.index.names if name is not None])
    derived = dict(meta.derived)
    is_same = added is not None and len(frame) == meta.rows
    measured = [n for n, one in derived.items() if one.rule != "flag" and not (is_same and n not in (added or ()))]
    for name, total in zip(measured, sums(frame, measured), strict=True):
        derived[name] = replace(derived[name], sum=total)
    known = tuple(before[name] for name in meta.units) if is_same else sums(frame, meta.units)
    meta = replace(meta, rows=len(frame), sums=known, derived=derived)
    frame.attrs = {**frame.attrs, ATTRIBUTE: meta.to_json()}
    return frame


def mark_incomplete(frame: pd.DataFrame, note: str) -> pd.DataFrame:
    """Let *frame* know that some of its rows never arrived, and say so."""
    meta = read_meta(frame)
    frame.attrs[ATTRIBUTE] = replace(meta, has_missing_rows=True, notes=(*meta.notes, note)).to_json()
    return frame
