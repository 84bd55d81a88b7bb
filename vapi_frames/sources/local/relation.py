"""Call records that DuckDB can read: a snapshot of them, and the relation that a query reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from vapi_frames.sources.records.columns import ColumnExpr
from vapi_frames.sources.records.flatten import SkippedRecords
from vapi_frames.sources.sql.select import quote_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from duckdb import DuckDBPyConnection

    from vapi_frames.query.query import Query
    from vapi_frames.sources.local.duplicates import RowLocation

__all__ = ["Records", "RecordsSnapshot", "Relation", "describe_columns"]


@dataclass
class RecordsSnapshot:
    """Call records at one time.

    Attributes:
        state: Equal in two snapshots between which nothing changed; ``None`` where that cannot be known.
        paths: Their Parquet files, in the order in which their calls count.
        variables: The keys of the variables of calls that were JSON.
        skipped: The records that could not be read.
        warns_of_duplicates: Whether duplicates are counted but a warning names them: in JSON, and in several files.
        is_empty: Whether they were JSON, without a single call.
        owners: Objects that remove their temporary files when they go.
        notes: What a reader of the result should know.
    """

    state: object
    paths: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    skipped: SkippedRecords = field(default_factory=SkippedRecords)
    warns_of_duplicates: bool = False
    is_empty: bool = False
    owners: tuple[object, ...] = ()
    notes: list[str] = field(default_factory=list)


class Relation(NamedTuple):
    """What a query reads.

    Attributes:
        sql: The relation, as it is written after FROM.
        columns: Its columns → expression and type.
        location: Where each of its rows is.
        names: The names of columns that are registered as ``c0``, ``c1``, ...
    """

    sql: str
    columns: Mapping[str, ColumnExpr]
    location: RowLocation
    names: list[str]


class Records(Protocol):
    """Call records in memory or in files."""

    def read(self) -> RecordsSnapshot:
        """Return the records as they are now."""
        ...

    def register(
        self, connection: DuckDBPyConnection, query: Query[Any], snapshot: RecordsSnapshot, *, with_rows: bool
    ) -> Relation:
        """Return the relation of *snapshot*: the columns that *query* may use, and *with_rows* the id and row too."""
        ...


def describe_columns(relation: Any) -> dict[str, ColumnExpr]:
    """Return the columns of DuckDB's *relation*, by name."""
    found = zip(relation.columns, relation.types, strict=True)
    return {name: ColumnExpr(quote_name(name), type_) for name, type_ in found}
