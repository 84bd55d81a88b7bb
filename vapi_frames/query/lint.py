"""Advice about a query, and its plan; neither sends anything.

Only what the contract forbids is an error; everything else is a warning. Ids are stable, so that users can look them up
and silence them.
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
from vapi_frames.display import show_html
from vapi_frames.errors import NonAdditiveError, QueryError, QueryWarning, warn
from vapi_frames.query import rewrite
from vapi_frames.query.code import format_code

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
    """One problem of a query.

    Attributes:
        id: A stable id, e.g. ``"VF202"``.
        level: ``error`` if the contract forbids the query, else ``warning``.
        message: The problem, and what would be right.
    """

    id: str
    level: Literal["error", "warning"]
    message: str

    def __str__(self) -> str:
        return f"{self.id} {self.message}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What fetching a query would do.

    Attributes:
        code: The query as code.
        start: The start of the resolved range, in UTC; ``None`` without a clock.
        end: Its end, exclusive.
        zone: The name of its time zone.
        buckets: The number of buckets in the range, approximate above ten thousand; ``None`` without a step.
        levels: The index levels of the frame.
        columns: Its columns, with units.
        findings: The findings of lint.
        filters: The filters, and how a source applies them; empty without filters.
        beyond: What of the query only call records can answer.
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
    beyond: tuple[str, ...] = ()

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
        lines.extend(f"{word:8} {text}" for word, text in zip(("filters", "applied"), self.filters, strict=False))
        if self.beyond:
            lines.append(
                f"beyond   {', '.join(self.beyond)}: from vf.local, a download, an archive or a warehouse only"
            )
        lines.extend(f"{one.level:8} {one}" for one in self.findings)
        return "\n".join(lines)

    __repr__ = __str__

    _repr_html_ = show_html


def _resolve_range(query: QuerySpec[Any], now: datetime | None) -> tuple[datetime | None, datetime | None]:
    """Return the resolved range, with the contract's defaults if *now* is known."""
    if now is None and not isinstance(query.time_range, AbsoluteRange):
        return None, None
    start, end = query.instants(now)
    return fill_defaults((start, end), now) if now else (start, end)


def explain_query(query: QuerySpec[Any], now: datetime | None) -> Plan:
    """Return the plan of *query*."""
    found = tuple(lint_query(query, now))
    broken = any(one.level == "error" for one in found)
    start, end = (None, None) if broken else _resolve_range(query, now)
    buckets = count_buckets(start, end, query.time_step, query.zone) if query.time_step and start and end else None
    return Plan(
        code=format_code(query),
        start=start,
        end=end,
        zone=query.zone.key,
        buckets=buckets,
        levels=query.levels,
        columns=tuple((one.name, one.measure.unit) for one in query.measures),
        findings=found,
        filters=rewrite.describe_rewrite(query) if query.filters else (),
        beyond=query.beyond_contract,
    )


def lint_query(query: QuerySpec[Any], now: datetime | None) -> list[Finding]:
    """Return the findings about *query*, errors first."""
    try:
        start, end = _resolve_range(query, now)
    except QueryError as error:
        return [Finding("VF002", "error", str(error)), *_check_measures(query)]
    found = [*_check_measures(query), *_check_names(query), *_check_range(query, start, end, now)]
    return sorted(found, key=lambda one: (one.level != "error", one.id))


def _warning(id_: str, message: str) -> Finding:
    return Finding(id_, "warning", message)


def _check_measures(query: QuerySpec[Any]) -> Iterator[Finding]:
    if not query.aggregations:
        yield Finding("VF001", "error", 'the query has no measure: add one, e.g. .count() or .sum("cost")')
    for one in query.measures:
        is_subscription = one.column in SUBSCRIPTION_COLUMNS
        home = "subscription" if is_subscription else "call"
        what = one.code
        if one.column == "id" and one.operation != "count":
            yield _warning("VF101", f"{what} has no meaning, because ids can only be counted: use .count()")
        elif not one.measure.tables:
            better = 'use .max("concurrency")' if one.column == "concurrency" else "the API does not document it"
            yield _warning("VF102", f"{what} has no known meaning; {better}")
        if home != query.table:
            yield _warning("VF103", f"{one.column!r} is a column of the table {home}: start with vq.{home}()")
        if one.operation == "history" and len(query.measures) > 1:
            yield _warning(
                "VF104", f"{what} is in a query with other measures, but a history has rows of its own: query it alone"
            )
    words = (*query.groups, *query.variables, *query.outputs, *(word for word, _ in query.filters))
    if query.table == "subscription" and words:
        names = ", ".join(dict.fromkeys(words))
        yield _warning(
            "VF105",
            f"the subscription cannot be split by {names}: it covers all calls, and groups belong to the table call",
        )


def _check_names(query: QuerySpec[Any]) -> Iterator[Finding]:
    if query.timezone in _ABBREVIATIONS:
        yield _warning(
            "VF208",
            f"{query.timezone} has summer time as an IANA zone, but is a fixed offset in PostgreSQL, which the API "
            f"appears to use; write {_ABBREVIATIONS[query.timezone]!r}",
        )
    if query.beyond_contract:  # what follows is of the API's rows
        return
    try:
        query = rewrite.rewrite_filters(query)
    except NonAdditiveError as error:
        yield _warning("VF107", str(error))
    taken = {"date", *query.groups, *(one.wire_name for one in query.measures)}
    for key in query.variables:
        if key in taken:
            yield _warning(
                "VF106",
                f"the variable {key!r} shares its name with another key of the API's rows, which cannot hold both",
            )


def _check_range(
    query: QuerySpec[Any], start: datetime | None, end: datetime | None, now: datetime | None
) -> Iterator[Finding]:
    written = query.time_range
    if isinstance(written, AbsoluteRange):
        zone = query.zone.key
        for name, side in (("start", written.start), ("end", written.end)):
            if isinstance(side, str) and "T" in side and query.timezone is None:
                yield _warning(
                    "VF201",
                    f"{name} {side} has no zone, so it means wall-clock time in {zone}; name the zone with .tz(...)",
                )
        if isinstance(written.end, str) and "T" not in written.end:
            day = datetime.fromisoformat(written.end)
            if (day + timedelta(days=1)).day == 1:
                after = (day + timedelta(days=1)).date()
                yield _warning(
                    "VF202",
                    f"end {written.end} is the last day of a month, and the range excludes it; "
                    f"for the whole month end on {after}",
                )
    if now is not None and start is not None and start >= now:
        yield _warning("VF203", f"the range starts at {format_iso(start)}, in the future")
    step = query.time_step
    if step is None or start is None:
        return
    many = 0 if end is None else int((end - start).total_seconds() / APPROXIMATE_SECONDS[step])
    if many > MANY_BUCKETS:
        yield _warning(
            "VF204", f"the range has about {many:,} buckets of a {step}; use a coarser step or a shorter range"
        )
        return
    article = "an" if step == "hour" else "a"
    first = find_bounds(floor_to_bucket(to_seconds(start), step, query.zone), step, query.zone)
    if from_seconds(first.start) < start:
        yield _warning("VF205", f"the range starts inside {article} {step}, so the first bucket is partial; {_WHOLE}")
    if end is None:
        return
    final = find_bounds(floor_to_bucket(to_seconds(end), step, query.zone), step, query.zone)
    if from_seconds(final.start) < end:
        yield _warning("VF206", f"the range ends inside {article} {step}, so the last bucket is partial; {_WHOLE}")
    elif now is not None and now.astimezone(UTC) < end:
        yield _warning("VF207", f"the range ends after now, so the last {step} is still open; {_WHOLE}")


_WHOLE = "df.vapi.partial marks it, and .last(..., complete=True) has whole buckets only"
_warned: set[Finding] = set()


def warn_once(query: QuerySpec[Any], now: datetime) -> None:
    """Show the warnings about *query*, each once per process.

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
