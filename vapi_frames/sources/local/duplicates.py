"""Duplicates: records with the id of an earlier record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from vapi_frames.errors import RecordsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

__all__ = [
    "ROW_IN_FILES",
    "DuplicateIds",
    "RowLocation",
    "add_row_numbers",
    "check_row_location",
    "exclude_duplicates",
    "find_duplicates",
]


class RowLocation(NamedTuple):
    """Where a record is, as SQL expressions: the number of its file, and of its row in the file."""

    file: str
    row: str


ROW_IN_FILES = RowLocation("file_index", "file_row_number")
"""DuckDB's own columns of a row of Parquet files; a column of the files with one of these names hides it."""


class DuplicateIds(NamedTuple):
    """The records with the id of an earlier record.

    Attributes:
        total: How many there are.
        example: The first such id.
        rows: Their files and rows.
    """

    total: int
    example: str
    rows: pa.Table | None

    def __str__(self) -> str:
        return f"records with the id of an earlier record: {self.total:,}, the first {self.example!r}"


def check_row_location(location: RowLocation, names: Iterable[str]) -> RowLocation:
    """Return *location*, if records with columns called *names* do not hide it."""
    hiding = {name for name in names if name.casefold() in location}
    if hiding:
        name = min(hiding)
        raise RecordsError(f"their column {name!r} hides which row of which file a call is", column=name)
    return location


def add_row_numbers(table: pa.Table) -> pa.Table:
    """Return *table* with one more column, which numbers its rows."""
    import numpy as np
    import pyarrow as pa

    return table.append_column(" row", pa.array(np.arange(len(table))))


def find_duplicates(connection: Any, relation: str, id_: str, location: RowLocation, condition: str) -> DuplicateIds:
    """Return which records of *relation* have the id of an earlier one; a missing or an empty id has no duplicates.

    Records for which *condition* is false are ignored: a record that is left out hides no other.

    Hashes of 32 bits come first, so that the ids of twenty million calls are not all in memory together: four bytes a
    call are. They are sorted here, because DuckDB would group them, in twice the time and memory.
    """
    import numpy as np
    import pyarrow as pa

    ids = (
        f"(SELECT nullif({id_}, '') AS id, {location.file} AS file, {location.row} AS row FROM {relation} "
        f"WHERE {condition})"
    )
    hash_ = "CAST(hash(id) >> 32 AS UINTEGER)"
    hashes = connection.sql(f"SELECT {hash_} AS h FROM {ids} WHERE id IS NOT NULL").fetchnumpy()["h"]
    hashes.sort()
    repeated = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not len(repeated):
        return DuplicateIds(0, "", None)
    connection.register("repeated", pa.table({"h": repeated}))
    found = connection.sql(
        f"WITH numbered AS (SELECT *, row_number() OVER (PARTITION BY id ORDER BY file, row) AS n FROM {ids}\n"
        f"  WHERE id IS NOT NULL AND {hash_} IN (SELECT h FROM repeated))\n"
        "SELECT file, row, id FROM numbered WHERE n > 1 ORDER BY file, row"
    ).to_arrow_table()
    if not len(found):
        return DuplicateIds(0, "", None)
    return DuplicateIds(len(found), found.column("id")[0].as_py(), found.select(["file", "row"]))


def exclude_duplicates(connection: Any, relation: str, location: RowLocation, duplicates: DuplicateIds) -> str:
    """Return *relation* without *duplicates*, which it registers with *connection*."""
    connection.register("duplicates", duplicates.rows)
    return (
        f"(SELECT records.* FROM {relation} AS records WHERE NOT EXISTS "
        f"(SELECT 1 FROM duplicates WHERE duplicates.file = {location.file} AND duplicates.row = {location.row}))"
    )
