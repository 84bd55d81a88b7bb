"""The days of an archive among files: those that a query needs, and what they lack.

They lack columns that an earlier version did not keep, or that need an option.
"""

from __future__ import annotations

import itertools
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vapi_frames.calendar.ranges import fill_defaults
from vapi_frames.contract.record_words import OUTPUT, RECORD_COLUMNS
from vapi_frames.errors import RecordsError
from vapi_frames.sources.records.columns import record_columns, variable_keys
from vapi_frames.sources.records.days import find_archive_option, find_day
from vapi_frames.sources.records.digests import list_written
from vapi_frames.sources.records.missing import missing_column
from vapi_frames.sources.records.paths import DURATION_UNITS, OUTPUTS, VARIABLE_ROOTS, alternate_paths, column_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence
    from datetime import datetime

    from vapi_frames.query.query import Query
    from vapi_frames.sources.local.footers import Footer
    from vapi_frames.sources.records.days import ArchivedDay
    from vapi_frames.sources.records.places import NamePath

__all__ = ["ArchivedFiles", "choose_days", "find_span"]

_ROOT = VARIABLE_ROOTS[0]
_PREFIX = f"{_ROOT}."
_OUTPUTS = alternate_paths(OUTPUTS)[0]
_DAY = timedelta(days=1)


def find_span(query: Query[Any], now: datetime) -> tuple[datetime, datetime] | None:
    """Return when the calls were created that *query* counts; ``None`` where calls of any day may be active."""
    if any(one.column == "concurrency" for one in query.measures):
        return None
    return fill_defaults(query.instants(now), now)


def choose_days(
    paths: Sequence[str], span: tuple[datetime, datetime]
) -> tuple[list[str], tuple[datetime, datetime] | None]:
    """Return the files of the days that may have calls created in [start, end), and from when until when days are.

    That is known by their names alone, so that what is read does not grow with the archive. Where no day is of the
    range, it is the last one, which shows the columns. All files are returned, and no time, where all are of the range
    or one is not a day that an archive wrote: a record in it could have the id of a call of the range.
    """
    begins = _find_days(paths)
    wanted = [begin < span[1] and begin + _DAY > span[0] for begin in begins]
    if all(wanted):
        return [*paths], None
    last = max(begins)
    if not any(wanted):
        wanted = [begin == last for begin in begins]
    return list(itertools.compress(paths, wanted)), (min(begins), last + _DAY)


def _find_days(paths: Sequence[str]) -> list[datetime]:
    """Return when the day of each file begins, by its name; nothing if a file is not one that an archive wrote."""
    written: dict[str, Container[str]] = {}
    begins = []
    for path in paths:
        folder, _, name = path.rpartition(os.sep)
        if (begin := find_day(name)) is None:
            return []
        if folder not in written:
            written[folder] = list_written(Path(folder))
        if name not in written[folder]:
            return []
        begins.append(begin)
    return begins


class ArchivedFiles:
    """The files of an archive among files of call records.

    Args:
        footers: What the footers of all files say.
    """

    def __init__(self, footers: Sequence[Footer]) -> None:
        found = [(one.day, one.types) for one in footers if one.day is not None]
        self._days = sorted(found, key=lambda one: one[0].begin)
        self._names = list(dict.fromkeys(name for _, types in self._days for name in types))
        self._is_alone = len(self._days) == len(footers)
        self._variables: frozenset[str] | None = None  # None where a file may have any
        if self._is_alone and all(day.variables is not None or _ROOT not in t for day, t in found):
            of_days = [day.variables or frozenset() for day, _ in found]
            columns = (name.removeprefix(_PREFIX) for name in self._names if name.startswith(_PREFIX))
            self._variables = frozenset().union(*of_days, columns)

    def find_gaps(
        self, query: Query[Any], places: Mapping[str, NamePath], span: tuple[datetime, datetime]
    ) -> list[str]:
        """Return messages about what *query* uses and only some days of [start, end) have.

        Args:
            query: The query.
            places: Column of the API → where the caller says it is.
            span: Start and end of its range.

        Raises:
            RecordsError: No day has it.
        """
        days = [one for one in self._days if one[0].begin < span[1] and one[0].begin + _DAY > span[0]]
        if not days:
            return []
        found: list[str] = []
        keys = [key for key in variable_keys(query) if {_ROOT, f"{_PREFIX}{key}"}.isdisjoint(places)]
        for key in keys:
            self._check_variable(key)
        if keys:
            found += _describe_gap("variables", days, lambda day, _: day.keeps_variables)
        for column in record_columns(query):
            if column in places or self._is_alone:
                self._check_option(column, places[column][0] if column in places else None)
            names = {places[column][0]} if column in places else {name for name, _ in column_paths(column)}
            if column not in (*DURATION_UNITS, *RECORD_COLUMNS):  # of which a record needs none
                shown = places[column][0] if column in places else column
                found += _describe_gap(repr(shown), days, lambda _, types, names=names: not names.isdisjoint(types))
        return found

    def _check_variable(self, key: str) -> None:
        if self._variables is None or key in self._variables:
            return
        if not all(day.keeps_variables for day, _ in self._days):
            raise RecordsError(
                f"the archive has no variable {key!r}, which the query uses: days were archived without variables. "
                "Leave out --no-variables, or variables=False, while the API still lists the calls",
                column=key,
            )
        names = [name for name in self._names if not name.startswith(_ROOT)]
        raise missing_column(key, [*names, *(f"{_PREFIX}{one}" for one in sorted(self._variables))], kind="variable")

    def _check_option(self, column: str, place: str | None) -> None:
        name = column if place is None else place
        if column.startswith(OUTPUT) and _OUTPUTS not in self._names:
            raise RecordsError(
                f"the archive has no {column!r}, which the query uses: days were archived without outputs. Leave out "
                "--no-outputs, or outputs=False, while the API still lists the calls",
                column=column,
            )
        option = find_archive_option(name)
        if option is not None and name not in self._names:
            why = "which the query uses" if place is None else f"where columns= says that {column!r} is"
            raise RecordsError(
                f"the archive has no {name!r}, {why}: vapi-frames archive --{option}, or {option}=True, keeps it, "
                "while the API still lists the calls",
                column=column,
            )


def _describe_gap(
    what: str, days: Sequence[tuple[ArchivedDay, Mapping[str, str]]], has: Callable[..., bool]
) -> Iterator[str]:
    """Yield a message if only some of *days*, which are in order, have *what*."""
    having = [one for one in days if has(*one)]
    if not having or len(having) == len(days):
        return
    if having == list(days[-len(having) :]):
        yield f"the archive has {what} from {having[0][0].begin.date()} on; earlier days have none"
    else:
        yield f"the archive has {what} of {len(having):,} of {len(days):,} days; the others have none"
