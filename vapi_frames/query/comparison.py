"""A query compared with an earlier period: the two ranges, and which buckets are compared with each other.

The earlier period is the query's own, shifted back by its length (``previous``) or by a span of the calendar. The part
that is still to come is cut off first, so that a month to date is compared with the same part of the month before.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

from vapi_frames.calendar.buckets import (
    find_bounds,
    floor_to_bucket,
    is_day_start,
    resolve_wall,
    to_local,
    to_seconds,
)
from vapi_frames.calendar.ranges import AbsoluteRange, RelativeRange, Span, fill_defaults, format_iso, parse_span
from vapi_frames.contract.vocabulary import NAME_LIMIT
from vapi_frames.display import UnknownAttributeError, format_block, show_html
from vapi_frames.errors import QueryError, require
from vapi_frames.query import code
from vapi_frames.query.attributes import VERB_SYNONYMS, suggest_attribute
from vapi_frames.query.builder import VERBS
from vapi_frames.query.compile import compile_body
from vapi_frames.query.schema import as_polars

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from vapi_frames.query.spec import DtypeBackend, ProgressOption, QuerySpec

__all__ = ["PREVIOUS", "Align", "Comparison", "Periods", "compare"]

Align: TypeAlias = Literal["ordinal", "weekday", "calendar"]
Shift: TypeAlias = Span | timedelta
PREVIOUS = "previous"
_DAY = timedelta(days=1)
_MONTHS = ("mo", "y")
_WEEKDAY_STEPS = ("second", "minute", "hour", "day", "week")
COMPARISON_SUFFIXES = ("Before", "Delta", "Percent")


class Periods(NamedTuple):
    """The two ranges of a comparison, in UTC; the earlier one is the other shifted back by *shift*."""

    start: datetime
    end: datetime
    before_start: datetime
    before_end: datetime
    shift: Shift


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """A query and the earlier period that it is compared with; made by `Query.compare`.

    Examples:
        >>> import vapi_frames as vf
        >>> query = vf.demo().call().sum("cost").step("week").between("2026-10-12", "2026-10-19")
        >>> df = query.compare("previous").fetch()
        >>> df["sumCostPercent"].round(2).tolist()
        [6.51]
    """

    query: QuerySpec[Any]
    to: str
    align: Align = "ordinal"
    fetcher: Callable[..., pd.DataFrame] = field(kw_only=True, compare=False)

    def periods(self, now: datetime | None = None) -> Periods:
        """Return the two ranges.

        Args:
            now: The end of a relative range; the clock of the source by default.

        Raises:
            QueryError: The range is empty or in the future, or the buckets of the two periods do not match.

        Examples:
            >>> from vapi_frames import vq
            >>> [side.isoformat() for side in vq.call().count().during("2026-10").compare("previous").periods()[2:4]]
            ['2026-09-01T00:00:00+00:00', '2026-10-01T00:00:00+00:00']
        """
        query = self.query
        at = query._now(now)  # noqa: SLF001 - a comparison is a part of its query
        start, end = fill_defaults(query.instants(at), at)
        if start >= at:
            raise QueryError(
                f"the range starts at {format_iso(start)}, in the future, so there is nothing to compare yet"
            )
        tz, written = query.zone, query.time_range
        if isinstance(written, AbsoluteRange):
            sides = written.local_sides(start, end, tz)
        else:
            sides = to_local(start, tz), to_local(end, tz)
        shift: Shift
        if self.to == PREVIOUS and isinstance(written, RelativeRange) and written.complete:
            earlier, _ = written.resolve(start, tz, query.time_step)
            assert earlier is not None  # noqa: S101 - a relative range has both sides
            length = _get_length(earlier, start, tz, sides=(to_local(earlier, tz), sides[0]))
            found = Periods(start, end, earlier, start, length)
        else:
            if self.to != PREVIOUS:
                shift = parse_span(self.to)
            elif isinstance(written, RelativeRange):
                shift = written.span
            else:
                until_now = isinstance(written, AbsoluteRange) and written.end is None
                shift = _get_length(start, end, tz, until_now=until_now, sides=sides)
            earlier_end = _shift_end(min(end, at), shift, tz, sides[1] if end <= at else to_local(at, tz))
            found = Periods(start, end, _shift_back(start, shift, tz, sides[0]), earlier_end, shift)
        if found.before_start >= found.before_end:  # less than an hour, where the clock goes back or forward
            raise QueryError(
                f"{self.to!r} before {format_iso(start)} to {format_iso(end)} is an empty range on the clock of "
                f"{tz.key}: it starts at {format_iso(found.before_start)}, and ends at {format_iso(found.before_end)}; "
                "use a longer range"
            )
        if query.time_step:
            self._check_edges(found, query.time_step, tz)
        if self.align == "weekday" and not _round_to_weeks(found, tz):
            raise QueryError(f"{self.to!r} is less than half a week, so no weekdays match: compare with '7d'")
        return found

    def _check_edges(self, found: Periods, step: str, tz: ZoneInfo) -> None:
        sides = (found.start, found.before_start)
        on_edge = [
            find_bounds(floor_to_bucket(to_seconds(side), step, tz), step, tz).start == side.timestamp()
            for side in sides
        ]
        if on_edge[0] and not on_edge[1]:
            weeks = " compare with '52w' for a year;" if step == "week" else ""
            raise QueryError(
                f"{self.to!r} before the start of a {step} is {format_iso(sides[1])}, in the middle of one, so the "
                f"buckets do not match:{weeks} use a span of whole {step}s, or another step"
            )

    def partner(self, wall: datetime, periods: Periods) -> datetime | None:
        """Return the wall-clock time to compare *wall* with; ``None`` if there is no such day.

        Args:
            wall: A naive wall-clock time of the query's period.
            periods: The two ranges.

        Examples:
            >>> from datetime import datetime
            >>> from vapi_frames import vq
            >>> comparison = vq.call().count().step("day").during("2026-03").compare("1y", align="calendar")
            >>> str(comparison.partner(datetime(2026, 3, 9), comparison.periods()))
            '2025-03-09 00:00:00'
        """
        if self.align == "weekday":
            return wall - _round_to_weeks(periods, self.query.zone)
        if isinstance(periods.shift, timedelta):
            return wall - periods.shift
        found = periods.shift.subtract_from(wall)
        return None if periods.shift.unit in _MONTHS and found.day != wall.day else found

    def queries(self, now: datetime | None = None) -> tuple[QuerySpec[Any], QuerySpec[Any]]:
        """Return the query itself, and the one of the earlier period.

        Raises:
            QueryError: The two periods cannot be compared, or there is no clock.

        Examples:
            >>> from vapi_frames import vq
            >>> vq.call().count().during("2026-10").compare("previous").queries()[1]
            vq.call().count().between("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z")
        """
        found = self.periods(now)
        earlier = AbsoluteRange(found.before_start, found.before_end)
        return self.query, replace(self.query, time_range=earlier, title=_name_earlier(self.query.title))

    def body(self, now: datetime | None = None) -> dict[str, Any]:
        """Return the body that is sent: both queries in one; no network.

        Raises:
            QueryError: The two periods cannot be compared, or there is no clock.

        Examples:
            >>> import vapi_frames as vf
            >>> len(vf.demo().call().count().last("7d").compare("previous").body()["queries"])
            2
        """
        at = self.query._now(now)  # noqa: SLF001
        return {"queries": [compile_body(one, at)["queries"][0] for one in self.queries(at)]}

    def fetch(
        self,
        *,
        dtype_backend: DtypeBackend | None = None,
        categorical: bool = False,
        as_index: bool = True,
        progress: ProgressOption = None,
    ) -> pd.DataFrame:
        """Fetch both periods in one request, and return them side by side.

        Args:
            dtype_backend: ``"numpy_nullable"`` or ``"pyarrow"``, as in pandas.
            categorical: Group levels as categories of the values seen.
            as_index: Whether the levels are the index; ``False`` makes them the first columns, as in pandas.
            progress: As in `Query.fetch`.

        Returns:
            One row per group and bucket of either period, on the index of the query's own. For each measure
            ``sumCost``, ``sumCostBefore``, ``sumCostDelta``, ``sumCostPercent``, all float64; with a step also
            ``dateBefore`` (``datetime64[us, zone]``), the bucket that the row is compared with. An absent row is filled
            as the measure says (a sum is 0). A bucket that the earlier period does not have is missing; one that
            the later period does not have has no ``date``. Partial buckets are compared if the same share of both has
            elapsed.

        Raises:
            QueryError: The query is wrong.
            SourceError: The source could not return a result.
            ResponseError: The reply breaks the contract.
            PartialResultError: A part of the result did not arrive.

        Examples:
            >>> import vapi_frames as vf
            >>> query = vf.demo().call().count().by("type").between("2026-11-09", "2026-11-16")
            >>> query.compare("previous").fetch()[["countId", "countIdBefore", "countIdDelta"]]
                               countId  countIdBefore  countIdDelta
            type
            inboundPhoneCall    1505.0         1572.0         -67.0
            outboundPhoneCall    991.0         1029.0         -38.0
            webCall              602.0          649.0         -47.0
        """
        return self.fetcher(
            self, dtype_backend=dtype_backend, categorical=categorical, as_index=as_index, progress=progress
        )

    def to_arrow(self) -> pa.Table:
        """Fetch both periods, and return an Arrow table; it raises what `fetch` does.

        Returns:
            The index levels, then the columns of `fetch`; all measures ``double``, missing ones null.

        Examples:
            >>> import vapi_frames as vf
            >>> query = vf.demo().call().count().by("type").between("2026-11-09", "2026-11-16")
            >>> query.compare("previous").to_arrow().column_names
            ['type', 'countId', 'countIdBefore', 'countIdDelta', 'countIdPercent']
        """
        import pyarrow as pa

        frame = self.fetch(dtype_backend="pyarrow")  # so missing values are null, and texts are Arrow's
        table = pa.Table.from_pandas(frame.reset_index() if self.query.levels else frame, preserve_index=False)
        return table.replace_schema_metadata()

    def to_polars(self) -> pl.DataFrame:
        """Fetch both periods, and return a polars frame with the columns of `to_arrow`; it raises what `fetch` does.

        Raises:
            MissingExtraError: polars is not installed.

        Examples:
            >>> import vapi_frames as vf
            >>> vf.demo().call().count().by("type").last("7d").compare("previous").to_polars().shape
            (3, 5)
        """
        return as_polars(self.to_arrow())

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Fetch both periods through Arrow's PyCapsule protocol; see `to_arrow`."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return format_block(self._list_verbs())

    def __str__(self) -> str:
        return "".join(self._list_verbs())

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            hint = "" if name in self.__slots__ else self._suggest(name)
            raise UnknownAttributeError(f"a Comparison has no {name!r}{hint}", name=name, obj=self)

    def _suggest(self, name: str) -> str:
        """Return what to type instead of the unknown attribute *name*."""
        *verbs, compared = self._list_verbs()
        is_known = not name.startswith("_") and hasattr(self.query, name)
        word = name if is_known else VERB_SYNONYMS.get(name, name)
        if word in VERBS:
            return f"; .{word}() stands before .compare(): {''.join([*verbs, f'.{word}(...)', compared])}"
        if is_known and callable(getattr(self.query, name)):
            return f"; it is a verb of a query, the later one or .queries()[1]: {''.join(verbs)}.{name}(...)"
        if is_known:
            return f"; the query has it: .query.{name}"
        return suggest_attribute(name, type(self))

    def _list_verbs(self) -> list[str]:
        align = "" if self.align == "ordinal" else f', align="{self.align}"'
        return [*code.list_verbs(self.query), f'.compare("{self.to}"{align})']

    _repr_html_ = show_html


def compare(query: QuerySpec[Any], to: object, align: Align, fetcher: Callable[..., pd.DataFrame]) -> Comparison:
    """Return the comparison of *query* with *to*.

    Raises:
        QueryError: *to* is no span, or the query cannot be compared in this way.
    """
    require(align, get_args(Align), "alignment")
    shift = None
    if not isinstance(to, str) or to != PREVIOUS:
        try:
            shift = parse_span(to)
        except QueryError as error:
            raise QueryError(f"{error}, or 'previous' for the period before") from None
    step = query.time_step
    if any(one.operation == "history" for one in query.measures):
        raise QueryError("a history cannot be compared, because each has rows at dates of its own")
    if align == "weekday" and step not in _WEEKDAY_STEPS:
        raise QueryError(f"a {step or 'range without a step'} has no weekday: use align='ordinal' or 'calendar'")
    if align == "calendar" and step == "week" and shift is not None and shift.unit in _MONTHS:
        raise QueryError("weeks do not start on the same dates in another month or year: compare with '4w' or '52w'")
    names = {one.name for one in query.measures}
    made = {f"{name}{word}" for name in names for word in COMPARISON_SUFFIXES} | {"dateBefore"}
    if names & made:
        raise QueryError(
            f"the alias {min(names & made)!r} is the name of a column that the comparison adds; use another alias"
        )
    return Comparison(query, str(to), align, fetcher=fetcher)


def _name_earlier(title: str | None) -> str | None:
    """Return the name of the earlier period's query; it differs from the query's own."""
    if title is None:
        return None
    name = f"{title[: NAME_LIMIT - 7]}-before"
    return name if name != title else f"{title[: NAME_LIMIT - 8]}-earlier"


def _round_to_weeks(periods: Periods, tz: ZoneInfo) -> timedelta:
    """Return the distance of the two periods, rounded to whole weeks."""
    days = (to_local(periods.start, tz).date() - to_local(periods.before_start, tz).date()).days
    return timedelta(days=7 * round(days / 7))


def _get_length(
    start: datetime, end: datetime, tz: ZoneInfo, *, sides: tuple[datetime, datetime], until_now: bool = False
) -> Shift:
    """Return the length of a range: in months or days of the calendar if it consists of whole ones, else in time."""
    if is_day_start(start, tz):
        low, high = sides
        if is_day_start(end, tz):
            months = (high.year - low.year) * 12 + high.month - low.month
            return Span(months, "mo") if low.day == high.day == 1 and months else Span((high - low).days, "d")
        if until_now:  # as many days; the last day of both periods is partial alike
            return Span((high - low).days + 1, "d")
    return end - start


def _shift_back(at: datetime, shift: Shift, tz: ZoneInfo, local: datetime) -> datetime:
    return at - shift if isinstance(shift, timedelta) else shift.shift_back(at, tz, local)


def _shift_end(end: datetime, shift: Shift, tz: ZoneInfo, local: datetime) -> datetime:
    """Return the end of the earlier period; a 31st without a counterpart is after the end of the shorter month."""
    found = _shift_back(end, shift, tz, local)
    if isinstance(shift, Span) and shift.unit in _MONTHS and to_local(found, tz).day != local.day:
        following = datetime.combine(to_local(found, tz).date() + _DAY, time())
        return resolve_wall(following, tz)
    return found
