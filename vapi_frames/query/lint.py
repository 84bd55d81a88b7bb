"""What looks wrong about a question, and its plan: advice that asks nobody.

Only what the contract forbids is an error; everything else is a warning. Ids are stable, so that they can be looked
up and silenced.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from vapi_frames.calendar.buckets import (
    APPROXIMATE_SECONDS,
    count_buckets,
    find_bounds,
    find_zone,
    floor_to_bucket,
    from_seconds,
    to_seconds,
)
from vapi_frames.calendar.ranges import AbsoluteRange, fill_defaults, format_iso
from vapi_frames.contract.vocabulary import SUBSCRIPTION_COLUMNS
from vapi_frames.errors import NonAdditiveError, QueryError, QueryWarning, warn
from vapi_frames.query import rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Literal

    from vapi_frames.query.spec import QuerySpec

__all__ = ["Finding", "Plan", "explain_query", "lint_query", "warn_once"]


_ABBREVIATIONS = {
    "CET": "Europe/Paris",
    "EET": "Europe/Athens",
    "MET": "Europe/Paris",
    "WET": "Europe/Lisbon",
}
MANY_BUCKETS = 1_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One piece of advice.

    Attributes:
        id: Stable, e.g. ``"VF202"``.
        level: ``error`` where the contract forbids it, else ``warning``.
        message: What, and what would be right.
    """

    id: str
    level: Literal["error", "warning"]
    message: str

    def __str__(self) -> str:
        return f"{self.id} {self.message}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What asking would do.

    Attributes:
        code: The question as code.
        start: Begin of the resolved range, in UTC; ``None`` where nothing says what time it is.
        end: Its end, exclusive.
        buckets: How many buckets of the step the range touches; about, above ten thousand; ``None`` without a step.
        levels: The index levels of the frame.
        columns: Its columns, with units.
        findings: What lint says.
        filters: What the calls are chosen by, and how whoever is asked does so; empty without filters.
    """

    code: str
    start: datetime | None
    end: datetime | None
    zone: str
    buckets: int | None
    levels: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    filters: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [self.code]
        if self.start and self.end:
            tz = find_zone(self.zone)
            start, end = (side.astimezone(tz).isoformat() for side in (self.start, self.end))
            lines.append(f"range    [{start}, {end}) in {self.zone}")
        if self.buckets is not None:
            lines.append(f"buckets  {self.buckets:,}")
        lines.append(f"index    {', '.join(self.levels) or 'one row'}")
        lines.append(f"columns  {', '.join(f'{name} ({unit})' if unit else name for name, unit in self.columns)}")
        lines.extend(f"{word:8} {said}" for word, said in zip(("filters", "answered"), self.filters, strict=False))
        lines.extend(f"{one.level:8} {one}" for one in self.findings)
        return "\n".join(lines)

    __repr__ = __str__


def _range(query: QuerySpec[Any], now: datetime | None) -> tuple[datetime | None, datetime | None]:
    """Return the range that would be asked, with the contract's defaults where *now* is known."""
    if now is None and not isinstance(query.time_range, AbsoluteRange):
        return None, None
    start, end = query.instants(now)
    return fill_defaults((start, end), now) if now else (start, end)


def explain_query(query: QuerySpec[Any], now: datetime | None) -> Plan:
    """Return what asking *query* would do."""
    found = tuple(lint_query(query, now))
    broken = any(one.level == "error" for one in found)
    start, end = (None, None) if broken else _range(query, now)
    buckets = count_buckets(start, end, query.time_step, query.zone) if query.time_step and start and end else None
    return Plan(
        code=repr(query),
        start=start,
        end=end,
        zone=query.zone.key,
        buckets=buckets,
        levels=query.levels,
        columns=tuple((one.name, one.measure.unit) for one in query.measures),
        findings=found,
        filters=rewrite.describe_rewrite(query) if query.filters else (),
    )


def lint_query(query: QuerySpec[Any], now: datetime | None) -> list[Finding]:
    """Return everything that looks wrong about *query*, errors first."""
    try:
        start, end = _range(query, now)
    except QueryError as error:
        return [Finding("VF002", "error", str(error)), *_about_measures(query)]
    found = [*_about_measures(query), *_about_words(query), *_about_range(query, start, end, now)]
    return sorted(found, key=lambda one: (one.level != "error", one.id))


def _warning(id_: str, message: str) -> Finding:
    return Finding(id_, "warning", message)


def _about_measures(query: QuerySpec[Any]) -> Iterator[Finding]:
    if not query.aggregations:
        yield Finding("VF001", "error", 'nothing is asked for: add a measure, e.g. .count() or .sum("cost")')
    for one in query.measures:
        is_subscription = one.column in SUBSCRIPTION_COLUMNS
        home = "subscription" if is_subscription else "call"
        what = f'{one.operation}("{one.column}")'
        if one.column == "id" and one.operation != "count":
            yield _warning("VF101", f"{what} has no meaning: only ids can be counted; ask .count()")
        elif not one.measure.tables:
            better = 'ask .max("concurrency")' if one.column == "concurrency" else "its meaning is not documented"
            yield _warning("VF102", f"{what} has no known meaning; {better}")
        if home != query.table:
            yield _warning("VF103", f"{one.column!r} belongs to table {home}: start from vq.{home}()")
        if one.operation == "history" and len(query.measures) > 1:
            yield _warning("VF104", f"{what} stands beside other measures: a history has rows of its own; ask it alone")
    words = (*query.groups, *query.variables, *(word for word, _ in query.filters))
    if query.table == "subscription" and words:
        names = ", ".join(dict.fromkeys(words))
        yield _warning("VF105", f"{names}: the groups belong to table call; the subscription is one for all calls")


def _about_words(query: QuerySpec[Any]) -> Iterator[Finding]:
    if query.timezone in _ABBREVIATIONS:
        yield _warning(
            "VF208",
            f"{query.timezone} is a zone with summer time by its IANA name, and a fixed offset to PostgreSQL, which "
            f"the API appears to use; write {_ABBREVIATIONS[query.timezone]!r}",
        )
    try:
        query = rewrite.rewrite_filters(query)
    except NonAdditiveError as error:
        yield _warning("VF107", str(error))
    taken = {"date", *query.groups, *(one.wire_name for one in query.measures)}
    for key in query.variables:
        if key in taken:
            yield _warning(
                "VF106",
                f"the variable {key!r} has the name of another key of the API's rows, which cannot carry both",
            )


def _about_range(
    query: QuerySpec[Any], start: datetime | None, end: datetime | None, now: datetime | None
) -> Iterator[Finding]:
    asked = query.time_range
    if isinstance(asked, AbsoluteRange):
        zone = query.zone.key
        for name, side in (("start", asked.start), ("end", asked.end)):
            if isinstance(side, str) and "T" in side and query.timezone is None:
                yield _warning("VF201", f"{name} {side} has no zone: it is read as wall clock in {zone}; say .tz(...)")
        if isinstance(asked.end, str) and "T" not in asked.end:
            day = datetime.fromisoformat(asked.end)
            if (day + timedelta(days=1)).day == 1:
                after = (day + timedelta(days=1)).date()
                yield _warning(
                    "VF202",
                    f"end {asked.end} is the last day of a month and is left out: the range is half-open; "
                    f"for the whole month write {after}",
                )
    if now is not None and start is not None and start >= now:
        yield _warning("VF203", f"the range begins at {format_iso(start)}, in the future")
    step = query.time_step
    if step is None or start is None:
        return
    many = 0 if end is None else int((end - start).total_seconds() / APPROXIMATE_SECONDS[step])
    if many > MANY_BUCKETS:
        yield _warning("VF204", f"the range holds about {many:,} buckets of a {step}; take a coarser step or less")
        return
    article = "an" if step == "hour" else "a"
    first = find_bounds(floor_to_bucket(to_seconds(start), step, query.zone), step, query.zone)
    if from_seconds(first.start) < start:
        yield _warning("VF205", f"the range begins inside {article} {step}: the first bucket is partial; {_WHOLE}")
    if end is None:
        return
    final = find_bounds(floor_to_bucket(to_seconds(end), step, query.zone), step, query.zone)
    if from_seconds(final.start) < end:
        yield _warning("VF206", f"the range ends inside {article} {step}: the last bucket is partial; {_WHOLE}")
    elif now is not None and now.astimezone(UTC) < end:
        yield _warning("VF207", f"the range ends after now: the last {step} is still open; {_WHOLE}")


_WHOLE = "df.vapi.partial marks it, .last(..., complete=True) asks for whole buckets only"
_warned: set[Finding] = set()


def warn_once(query: QuerySpec[Any], now: datetime) -> None:
    """Show the warnings about *query* that this process has not shown yet.

    Raises:
        QueryError: A finding is an error.
    """
    found = lint_query(query, now)
    for one in found:
        if one.level == "error":
            raise QueryError(one.message, findings=found)
    for one in found:
        if one not in _warned:
            _warned.add(one)
            warn(str(one), QueryWarning)
