"""What a result frame knows of itself.

It travels in ``df.attrs["vapi"]`` as one JSON string. Its size depends on the query, never on the data, because pandas
copies attrs at every step. It never holds a key or a raw reply.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vapi_frames.calendar.ranges import format_iso, parse_last, parse_range
from vapi_frames.display import format_rows, show_html
from vapi_frames.errors import ProvenanceError
from vapi_frames.frames.derived import DerivedColumn
from vapi_frames.query.aggregation import Aggregation
from vapi_frames.query.filters import merge_filters
from vapi_frames.query.query import Query
from vapi_frames.query.spec import name_levels
from vapi_frames.result.result import COVERAGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from vapi_frames.contract.vocabulary import Step
    from vapi_frames.query.filters import Filter

__all__ = ["ATTRIBUTE", "Choice", "Meta", "read_meta"]

ATTRIBUTE = "vapi"
_GROUP_WORDS = ("groupBy", "groupByVariableValue", "groupByOutput")  # the contract has no word for the last
_VERSION = 3
_SUM, _END = ',"sum":"', '"}'  # around the checksum, with which the text ends


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows of a result a frame holds, where it does not hold all of them.

    Attributes:
        is_query: Whether they are exactly the rows of a range and of values of groups.
        start: Begin of that range, ``None`` where it is that of the result.
        end: Its end, exclusive.
        filters: The values of the groups, for those that the frame has not all values of.
    """

    is_query: bool = False
    start: datetime | None = None
    end: datetime | None = None
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Meta:
    """What a result frame knows of itself.

    Attributes:
        source: What it was fetched from: ``api``, ``calls``, ``warehouse``, ``replay``, ``reply``.
        body: The query as it went on the wire, one element of ``queries``, without its filters.
        start: Begin of the range that the result covers, in UTC; ``None`` where unknown.
        end: Its end, exclusive.
        now: When it was fetched.
        units: Column → unit, for every measure of the query; ``""`` where it has none.
        levels: The names of the index levels.
        rows: How many rows the frame was made with.
        hashes: Column → a hash of its values and their rows, for each measure and each derived column.
        derived: Column → what is known of it, for those that verbs added.
        derived_levels: Level with values that a verb made → the group that they come from, e.g. ``outcome`` →
            ``endedReason``.
        filters: What the calls were filtered by: group column or ``variable.<key>``, and its values.
        before: In a comparison, the range of the other period.
        choice: Which rows were chosen before a verb, ``None`` for all. An absent row then does not mean that there were
            no calls.
        lost: Levels that were dropped, and of which no filter describes the values that are left.
        is_incomplete: Whether some rows of the result never arrived.
        is_filled: Whether `fill_gaps` added rows.
        has_flags: Whether it is known which part of each bucket the rows cover.
        has_mixed_rows: Whether a verb put rows together of which others had been left out, so that a row may count a
            part of the calls of its buckets and groups only.
        title: The name of the query, ``None`` for an automatic one.
        relative_range: The relative range as written and whether it is of whole buckets, e.g. ``("30d", False)``.
        notes: What a reader should know, e.g. how dates were read.
        coverage: How complete the call records of the result were, e.g. ``withoutCost`` → how many; empty for other
            sources. Of a comparison, those of the later period.
        records_begin: Since when the source has records, where that is after the first day of the range; else ``None``.
    """

    source: str
    body: dict[str, Any]
    start: datetime | None
    end: datetime | None
    now: datetime | None
    units: dict[str, str]
    levels: tuple[str, ...]
    rows: int = 0
    hashes: dict[str, str] = field(default_factory=dict)
    derived: dict[str, DerivedColumn] = field(default_factory=dict)
    derived_levels: dict[str, str] = field(default_factory=dict)
    filters: tuple[Filter, ...] = ()
    before: tuple[datetime, datetime] | None = None
    choice: Choice | None = None
    lost: tuple[str, ...] = ()
    is_incomplete: bool = False
    is_filled: bool = False
    has_flags: bool = True
    has_mixed_rows: bool = False
    title: str | None = None
    relative_range: tuple[str, bool] | None = None
    notes: tuple[str, ...] = ()
    coverage: dict[str, int] = field(default_factory=dict)
    records_begin: datetime | None = None

    def __repr__(self) -> str:
        return format_rows({one.name: getattr(self, one.name) for one in fields(self)})

    _repr_html_ = show_html

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
    def variables(self) -> tuple[str, ...]:
        """The keys of the variables that the query groups by."""
        return tuple(each["key"] for each in self.body.get("groupByVariableValue", ()))

    @property
    def outputs(self) -> tuple[str, ...]:
        """The structured outputs that the query groups by."""
        return tuple(self.body.get("groupByOutput", ()))

    @property
    def keys(self) -> tuple[str, ...]:
        """What identifies a row: the levels, in a comparison also the bucket of the other period."""
        return (*self.levels, *(["dateBefore"] if "dateBefore" in self.derived else []))

    @property
    def covered(self) -> tuple[datetime | None, datetime | None]:
        """The range that the rows cover: that of the result, or of the rows that were chosen."""
        if self.choice is None:
            return self.start, self.end
        return self.choice.start or self.start, self.choice.end or self.end

    @property
    def has_missing_rows(self) -> bool:
        """Whether rows of the result are missing, so that an absent row does not mean that there were no calls."""
        return self.choice is not None or self.is_incomplete

    @property
    def aggregations(self) -> tuple[Aggregation, ...]:
        """The measures, under the names that they have on the frame."""
        operations: list[dict[str, Any]] = self.body["operations"]
        return tuple(
            # An alias longer than the contract allows was shortened on the wire only; a default name is none.
            one
            if (one := Aggregation(each["operation"], each["column"], q=each.get("q"))).name == name
            else replace(one, alias=name)
            for each, name in zip(operations, self.units, strict=True)
        )

    @property
    def query(self) -> Query[Any]:
        """The query with these rows as its result, ready to be fetched again; a relative range is relative again.

        Raises:
            ProvenanceError: The rows were chosen such that no query gives them.
        """
        if self.lost:
            listed = ", ".join(map(repr, self.lost))
            raise ProvenanceError(f"the level {listed} was dropped, so it is unknown which calls the rows are about")
        if made := [level for level, origin in self.derived_levels.items() if origin == "date"]:
            step: Step = "day" if made == ["weekday"] else "hour"
            raise ProvenanceError(
                f"no query gives rows by {' and '.join(made)}: fetch {replace(self.result_query, time_step=step)}, "
                "and call .vapi.typical_week again"
            )
        if self.start is not None and self.start == self.end:
            raise ProvenanceError("no bucket of the range is whole, so no query gives the rows of whole buckets")
        if self.choice is None:
            return self.result_query
        if not self.choice.is_query:
            raise ProvenanceError(
                "no query gives these rows: they are not all those of a range and of groups that .where(...) can name. "
                "Fetch the query of all rows, df.vapi.meta.result_query, and choose rows again"
            )
        query = replace(self.result_query, filters=merge_filters(self.filters, self.choice.filters), title=None)
        if self.choice.start or self.choice.end:
            query = replace(query, time_range=parse_range(*self.covered))
        return query

    @property
    def result_query(self) -> Query[Any]:
        """The query of the result that the rows were chosen from."""
        # The contract has no words for some measures and groups; those of the query are set below.
        plain = {word: value for word, value in self.body.items() if word not in _GROUP_WORDS}
        query = Query.from_body({"queries": [{**plain, "operations": [{"operation": "count", "column": "id"}]}]})
        span = query.time_range if self.relative_range is None else parse_last(*self.relative_range)
        step = query.time_step if "date" in self.levels else None  # a choice of one bucket has no date
        return replace(
            query, aggregations=self.aggregations, time_range=span, time_step=step, title=self.title,
            filters=self.filters, groups=tuple(self.body.get("groupBy", ())), outputs=self.outputs,
            variables=self.variables,
        )  # fmt: skip

    def all_units(self) -> dict[str, str]:
        """Return column → unit, also of the columns that verbs made of the measures."""
        return self.units | {name: one.unit for name, one in self.derived.items() if one.rule != "flag"}

    def query_groups(self) -> dict[str, tuple[str, str]]:
        """Return level → the ``group`` column, ``variable`` key or ``output`` name that the query has for it."""
        groups: list[str] = self.body.get("groupBy", [])
        words = [("group", name) for name in groups]
        words += [("variable", key) for key in self.variables] + [("output", name) for name in self.outputs]
        found = dict(zip(name_levels(groups, self.variables, self.outputs, self.units), words, strict=True))
        return {**found, **{level: found[origin] for level, origin in self.derived_levels.items() if origin in found}}

    def with_step(self, step: str | None) -> Meta:
        """Return it for buckets of another step; ``None`` has none."""
        body = {word: value for word, value in self.body.items() if word != "timeRange"}
        span = {word: value for word, value in self.body.get("timeRange", {}).items() if word != "step"}
        if step is not None:
            span = {"step": step, **span}
        relative = self.relative_range
        if relative and relative[1] and step != self.step:
            relative = None  # whole weeks before now are other days than whole days before now
        return replace(self, body=body | ({"timeRange": span} if span else {}), relative_range=relative)

    def with_range(self, start: datetime, end: datetime) -> Meta:
        """Return it for another range; an empty one is that of no query."""
        if start == end:
            return replace(self, start=start, end=end)
        span = {**self.body.get("timeRange", {}), "start": format_iso(start), "end": format_iso(end)}
        return replace(self, body={**self.body, "timeRange": span}, start=start, end=end, relative_range=None)

    def as_whole(self) -> Meta:
        """Return it for a frame in which absent rows had no calls; the filters of the rows that are there stay."""
        if self.choice is None:
            return replace(self, is_incomplete=False)
        return replace(
            self, choice=None, filters=merge_filters(self.filters, self.choice.filters), title=None, is_incomplete=False
        )

    def select(self, columns: Iterable[str], levels: Iterable[str]) -> Meta:
        """Return it for a frame that has only these *columns* and *levels* of those it had."""
        columns, levels = set(columns), tuple(levels)
        groups_of = self.query_groups()
        left = dict.fromkeys(groups_of[level] for level in levels if level in groups_of)
        body = {word: value for word, value in self.body.items() if word not in _GROUP_WORDS}
        if groups := [name for kind, name in left if kind == "group"]:
            body["groupBy"] = groups
        if variables := [{"key": name} for kind, name in left if kind == "variable"]:
            body["groupByVariableValue"] = variables
        if outputs := [name for kind, name in left if kind == "output"]:
            body["groupByOutput"] = outputs
        names = [name for name in self.units if name in columns] or list(self.units)  # a query has a measure
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
        choice = self.choice
        parts = {
            "v": _VERSION,
            "source": self.source,
            "body": self.body,
            "range": [side and format_iso(side) for side in (self.start, self.end)],
            "now": self.now and format_iso(self.now),
            "units": self.units,
            "levels": self.levels,
            "rows": self.rows,
            "hashes": [self.hashes.get(name, "") for name in (*self.units, *self.derived)],
            "derived": {name: one.to_list() for name, one in self.derived.items()},
            "derivedLevels": self.derived_levels,
            "filters": self.filters,
            "before": self.before and [format_iso(side) for side in self.before],
            "choice": choice
            and [choice.is_query, *(side and format_iso(side) for side in (choice.start, choice.end)), choice.filters],
            "lost": self.lost,
            "incomplete": self.is_incomplete or None,
            "filled": self.is_filled or None,
            "flagless": None if self.has_flags else True,
            "mixed": self.has_mixed_rows or None,
            "title": self.title,
            "last": self.relative_range,
            "notes": self.notes,
            "coverage": [self.coverage.get(name) for name in COVERAGE] if self.coverage else None,
            "since": self.records_begin and format_iso(self.records_begin),
        }
        known = {name: value for name, value in parts.items() if value not in (None, (), [], {}, [None, None])}
        text = json.dumps(known, separators=(",", ":"), ensure_ascii=False).removesuffix("}")
        return f"{text}{_SUM}{_checksum(text)}{_END}"

    @classmethod
    def from_json(cls, text: str) -> Meta:
        """Read it back.

        Raises:
            ValueError: The text is not as it was written.
        """
        content, _, tail = text.rpartition(_SUM)
        if tail != f"{_checksum(content)}{_END}":
            raise ValueError("it was changed")
        parts = json.loads(text)
        if parts["v"] != _VERSION:
            raise ValueError(f"its version is {parts['v']}, not {_VERSION}")
        start, end = map(_instant, parts.get("range", (None, None)))
        units = parts.get("units", {})
        derived = {name: DerivedColumn.from_list(values) for name, values in parts.get("derived", {}).items()}
        hashes = zip((*units, *derived), parts.get("hashes", ()), strict=True)
        choice = None
        if "choice" in parts:
            is_query, first, until, filters = parts["choice"]
            choice = Choice(is_query, _instant(first), _instant(until), _filters(filters))
        before = parts.get("before")
        return cls(
            source=parts["source"],
            body=parts["body"],
            start=start,
            end=end,
            now=_instant(parts.get("now")),
            units=units,
            levels=tuple(parts.get("levels", ())),
            rows=parts["rows"],
            hashes={name: one for name, one in hashes if one},
            derived=derived,
            derived_levels=parts.get("derivedLevels", {}),
            filters=_filters(parts.get("filters", ())),
            before=before and (datetime.fromisoformat(before[0]), datetime.fromisoformat(before[1])),
            choice=choice,
            lost=tuple(parts.get("lost", ())),
            is_incomplete=parts.get("incomplete", False),
            is_filled=parts.get("filled", False),
            has_flags=not parts.get("flagless", False),
            has_mixed_rows=parts.get("mixed", False),
            title=parts.get("title"),
            relative_range=tuple(parts["last"]) if "last" in parts else None,
            notes=tuple(parts.get("notes", ())),
            coverage={
                name: count
                for name, count in zip(COVERAGE, parts.get("coverage", ()), strict=False)
                if count is not None
            },
            records_begin=_instant(parts.get("since")),
        )


def _checksum(text: str) -> str:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return base64.urlsafe_b64encode(digest).decode()


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _filters(parts: Iterable[tuple[str, Iterable[str | None]]]) -> tuple[Filter, ...]:
    return tuple((word, tuple(values)) for word, values in parts)


def read_meta(frame: pd.DataFrame) -> Meta:
    """Return what *frame* knows of itself.

    Raises:
        ProvenanceError: It knows nothing.
    """
    text = frame.attrs.get(ATTRIBUTE)
    if not isinstance(text, str):
        raise ProvenanceError(
            "the frame does not know which query it is the result of: it was not fetched with this package, or a step "
            "such as concat, merge or pivot dropped df.attrs. Add columns of your own with df.assign(...) or "
            'df["name"] = ...'
        )
    try:
        return Meta.from_json(text)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ProvenanceError(f"df.attrs[{ATTRIBUTE!r}] is damaged: {error!r}") from error
