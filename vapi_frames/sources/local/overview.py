"""What one look at all call records shows: how many there are, from when until when, and what was odd."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from vapi_frames.calendar.buckets import EPOCH
from vapi_frames.errors import RecordsError
from vapi_frames.sources.records.duckdb import DUCKDB, NUMBER_TYPES
from vapi_frames.sources.records.paths import TIME_COLUMNS, column_paths
from vapi_frames.sources.records.unlike import original_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

    from vapi_frames.sources.local.relation import Relation
    from vapi_frames.sources.records.columns import ColumnExpr
    from vapi_frames.sources.sql.select import QueryColumns

__all__ = ["Overview", "describe_epochs", "make_overview", "note_numbers", "write_is_dated", "write_numbers"]

_NO_NUMBERS = "NULL"
"""What `write_numbers` returns where no time of creation is a number."""
_EPOCH_NOTE = "it counts seconds or milliseconds since 1970, as its size says"
_YEAR = timedelta(days=366)
_EARLIEST = 86_400_000_000  # microseconds: one day on, so that no wall clock reads before 1970
_LATEST = 221_845_392_000_000_000  # the year 9000


class Overview(NamedTuple):
    """What one look at all records shows.

    Attributes:
        calls: How many there are.
        undated: How many of them have no time of creation.
        numbers: How many of them have a number as such.
        range: When the first and the last were created; ``None`` where there are none.
        names: The names of the columns of files, in their spelling.
    """

    calls: int
    undated: int
    numbers: int
    range: tuple[datetime, datetime] | None
    names: frozenset[str]

    @property
    def dated(self) -> int:
        """How many have a time of creation."""
        return self.calls - self.undated

    @property
    def wide_range(self) -> tuple[datetime, datetime] | None:
        """The range with a year to spare, for files that grow between the look and the query."""
        return self.range and (self.range[0] - _YEAR, self.range[1] + _YEAR)

    def is_within(self, start: datetime, end: datetime) -> bool:
        """Return whether all that have a time of creation are of [start, end)."""
        return self.range is None or (start <= self.range[0] and self.range[1] < end)


def note_numbers(relation: Relation, overview: Overview) -> Iterator[str]:
    """Yield what a reader should know of times that are numbers."""
    if overview.numbers:
        yield describe_epochs(overview.numbers)
    elif any(_is_number(_find_column(relation, name)) for name in TIME_COLUMNS if name != "createdAt"):
        yield f"times of the calls are numbers; {_EPOCH_NOTE}"


def describe_epochs(count: int) -> str:
    """Return the note on calls with a number as their time of creation, which is the same for records of any form."""
    return f"calls with a number as createdAt: {count:,}; {_EPOCH_NOTE}"


def write_numbers(relation: Relation) -> str:
    """Return the expression of the time of creation where it is a number, or a text that may be one."""
    created = _find_column(relation, "createdAt")
    is_read = created is not None and (_is_number(created) or (created.type is not None and created.type.id == "cell"))
    return created.sql if created is not None and is_read else _NO_NUMBERS


def _find_column(relation: Relation, name: str) -> ColumnExpr | None:
    """Return where the records have a column of the API, in any of its spellings."""
    if name in relation.overrides:
        return relation.overrides[name]
    found = (relation.columns.get(place) for place, keys in column_paths(name) if not keys)
    return next((one for one in found if one is not None), None)


def _is_number(column: ColumnExpr | None) -> bool:
    return column is not None and column.type is not None and column.type.id in NUMBER_TYPES


def write_is_dated(columns: QueryColumns) -> str:
    """Return the condition that a call has a time of creation."""
    return f"isfinite({columns.created})"


def make_overview(
    connection: DuckDBPyConnection, relation: str, columns: QueryColumns, paths: list[str], numbers: str
) -> Overview:
    """Return the overview of a relation; *numbers* is what `write_numbers` returns."""
    read = replace(columns, created="created")
    is_dated = write_is_dated(read)
    first, last = (DUCKDB.micros(f"{one}({read.created}) FILTER ({is_dated})") for one in ("min", "max"))
    # A constant costs a million rows what a column does, so that times that are no numbers are not counted as numbers.
    epochs_count = "0" if numbers == _NO_NUMBERS else "count(*) FILTER (isfinite(number))"
    counts = f"count(*), count(*) FILTER ({is_dated}), {epochs_count}"
    # The inner statement reads each time once: what reads text of any form is long.
    rows = f"SELECT {columns.created} AS created, TRY_CAST({numbers} AS DOUBLE) AS number FROM {relation}"
    [(calls, dated, epochs, *ends)] = connection.execute(f"SELECT {counts}, {first}, {last} FROM ({rows})").fetchall()
    for micros in ends if dated else ():
        if not _EARLIEST <= micros < _LATEST:
            year = 1970 + micros // 31_556_952_000_000
            when = "before 1970-01-02" if micros < _EARLIEST else "after the year 9000"
            raise RecordsError(f"a call was created {when} (in about {year})", column="createdAt")
    begin, end = (EPOCH + micros * datetime.resolution for micros in ends) if dated else (None, None)
    return Overview(calls, calls - dated, epochs, (begin, end) if begin and end else None, _read_names(paths))


def _read_names(paths: list[str]) -> frozenset[str]:
    """Return the names of the columns of Parquet files; DuckDB itself cannot tell ``cost`` from ``COST``."""
    from pyarrow.parquet import read_schema

    return frozenset(original_name(name) for path in paths for name in read_schema(path).names)
