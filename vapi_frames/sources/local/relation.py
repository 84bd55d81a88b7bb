"""Call records that DuckDB can read: a snapshot of them, and the relation that a query reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from vapi_frames.sources.records.columns import ColumnExpr, variable_keys
from vapi_frames.sources.records.duckdb import DUCKDB
from vapi_frames.sources.records.flatten import SkippedRecords
from vapi_frames.sources.records.normalized import find_output_columns, write_outputs
from vapi_frames.sources.records.paths import VARIABLES_MAP
from vapi_frames.sources.records.places import find_places, split_places
from vapi_frames.sources.records.unlike import original_name
from vapi_frames.sources.sql.select import quote_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from duckdb import DuckDBPyConnection

    from vapi_frames.query.query import Query
    from vapi_frames.sources.local.duplicates import RowLocation
    from vapi_frames.sources.records.places import NamePath

_MOST_LISTED = 1_000

__all__ = [
    "ColumnKind",
    "Records",
    "RecordsSnapshot",
    "Relation",
    "add_outputs",
    "add_places",
    "describe_columns",
    "list_variables",
]


@dataclass
class RecordsSnapshot:
    """Call records at one time.

    Attributes:
        state: Equal in two snapshots between which nothing changed; ``None`` where that cannot be known.
        paths: Their Parquet files, in the order in which their calls count.
        files: The files that they come from, whether or not they were converted to Parquet.
        variables: The keys of the variables of calls that were JSON.
        skipped: The records that could not be read.
        warns_of_duplicates: Whether duplicates are counted but a warning names them: in JSON, and in several files.
        is_empty: Whether they were JSON, without a single call.
        is_nested: Whether any of them were JSON: their records lack the keys that do not apply.
        cells: Those of the Parquet files that have cells of CSV.
        converted: Those that were JSON.
        owners: Objects that remove their temporary files when they go.
        notes: What a reader of the result should know.
        days: From when until when an archive has days, where only those that a query needs are here.
    """

    state: object
    paths: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    skipped: SkippedRecords = field(default_factory=SkippedRecords)
    warns_of_duplicates: bool = False
    is_empty: bool = False
    is_nested: bool = False
    cells: frozenset[str] = frozenset()
    converted: frozenset[str] = frozenset()
    owners: tuple[object, ...] = ()
    notes: list[str] = field(default_factory=list)
    days: tuple[datetime, datetime] | None = None


class Relation(NamedTuple):
    """What a query reads.

    Attributes:
        sql: The relation, as it is written after FROM.
        columns: Its columns → expression and type.
        location: Where each of its rows is.
        names: The names of columns that are registered as ``c0``, ``c1``, ...
        overrides: Column of the API → the only place that has it, as the caller says.
        is_nested: Whether a column that the records lack is missing in each; else it is an error.
        complete: Columns that are known, without reading them, to have a value in each record.
    """

    sql: str
    columns: Mapping[str, ColumnExpr]
    location: RowLocation
    names: list[str]
    overrides: Mapping[str, ColumnExpr] = {}
    is_nested: bool = False
    complete: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """A type of a column that no engine describes: ``cell``, text of CSV; or ``json``.

    Attributes:
        id: Its kind.
        children: Nothing.
    """

    id: str
    children: list[tuple[str, Any]] = field(default_factory=list)


class Records(Protocol):
    """Call records in memory or in files."""

    def read(self) -> RecordsSnapshot:
        """Return the records as they are now."""
        ...

    def register(
        self,
        connection: DuckDBPyConnection,
        query: Query[Any],
        snapshot: RecordsSnapshot,
        *,
        with_rows: bool,
        lacking: Sequence[str] = (),
        also: Sequence[str] = (),
    ) -> Relation:
        """Return the relation of *snapshot*: the columns that *query* may use, and *with_rows* the id and row too.

        It may leave out records that have all the columns *lacking*. It also has the columns and paths of *also*.
        """
        ...

    def keep(self, paths: Sequence[str]) -> Records:
        """Return the same records with what they have at *paths*, which no query uses."""
        ...


def describe_columns(relation: Any, *, as_cells: bool = False) -> dict[str, ColumnExpr]:
    """Return the columns of DuckDB's *relation*, by name; *as_cells* where they are text of CSV."""
    found = zip(relation.columns, relation.types, strict=True)
    return {
        original_name(name): ColumnExpr(quote_name(name), ColumnKind("cell") if as_cells else type_)
        for name, type_ in found
    }


def add_places(
    columns: Mapping[str, ColumnExpr], places: Mapping[str, NamePath]
) -> tuple[dict[str, ColumnExpr], dict[str, ColumnExpr]]:
    """Return *columns* with those objects, and the columns, that the caller says are at *places*."""
    objects, overrides = split_places(find_places(places, columns, DUCKDB, ColumnKind))
    return {**columns, **objects}, overrides


def add_outputs(columns: Mapping[str, ColumnExpr]) -> dict[str, ColumnExpr]:
    """Return *columns* with those of structured outputs that a table has a column for each value of."""
    found = dict(columns)
    for column, parts in find_output_columns(tuple(columns)).items():
        if (written := write_outputs(parts, columns)) is not None:
            there = columns.get(column)
            sql = written if there is None or there.type is None else f"coalesce(CAST({there.sql} AS JSON), {written})"
            found[column] = ColumnExpr(sql, ColumnKind("json"))
    return found


def list_variables(column: ColumnExpr, keys: Sequence[str], query: Query[Any]) -> dict[str, ColumnExpr]:
    """Return a column for each of the variables in a map, because any key at all could be in one.

    Of very many, those that *query* uses, and some that messages can name.
    """
    listed = keys[:_MOST_LISTED]
    if len(keys) > _MOST_LISTED:
        listed = [*listed, *set(variable_keys(query)).intersection(keys)]
    type_ = column.type and column.type.children[1][1]
    return {f"{VARIABLES_MAP}.{key}": ColumnExpr(DUCKDB.element(column.sql, key), type_) for key in listed}
