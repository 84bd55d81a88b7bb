"""Calls that stand in the records more than once, found by their id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from vapi_frames.errors import RecordsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

__all__ = ["PLACE_IN_FILES", "Place", "Repeats", "check_place", "find_repeats", "with_rows", "without"]


class Place(NamedTuple):
    """Where a record stands, as expressions: the number of its file, and of its row there."""

    file: str
    row: str


PLACE_IN_FILES = Place("file_index", "file_row_number")
"""What the engine itself knows of a row of Parquet files, unless they have columns of these names."""


class Repeats(NamedTuple):
    """The records whose id stood before.

    Attributes:
        total: How many there are.
        example: The first such id.
        places: Their files and rows.
    """

    total: int
    example: str
    places: pa.Table | None

    def __str__(self) -> str:
        return f"records with an id that stood before: {self.total:,}, the first {self.example!r}"


def check_place(place: Place, names: Iterable[str]) -> Place:
    """Return *place*, if it can be told in records with columns called *names*."""
    taken = {name for name in names if name.casefold() in place}
    if taken:
        raise RecordsError(f"their column {min(taken)!r} hides which row of which file a call is", column=min(taken))
    return place


def with_rows(table: pa.Table) -> pa.Table:
    """Return *table* with one more column, which numbers its rows."""
    import numpy as np
    import pyarrow as pa

    return table.append_column(" row", pa.array(np.arange(len(table))))


def find_repeats(connection: Any, relation: str, id_: str, place: Place, counted: str) -> Repeats:
    """Return which records of *relation* have an id that stood before; those without one, or an empty one, never do.

    Only records for which the condition *counted* holds are looked at: one that is left out leaves none of its id.

    Hashes narrow it down, so that not every id of ten million calls has to be held at once. They are sorted here: the
    engine would make a group of each, in twice the time and memory.
    """
    import numpy as np
    import pyarrow as pa

    seen = f"(SELECT nullif({id_}, '') AS id, {place.file} AS file, {place.row} AS row FROM {relation} WHERE {counted})"
    column = connection.sql(f"SELECT hash(id) FROM {seen} WHERE id IS NOT NULL").to_arrow_table().column(0)
    hashes = np.concatenate([np.empty(0, np.uint64), *(chunk.to_numpy() for chunk in column.chunks)])
    del column
    hashes.sort()
    twice = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not len(twice):
        return Repeats(0, "", None)
    connection.register("twice", pa.table({"h": twice}))
    found = connection.sql(
        f"WITH numbered AS (SELECT *, row_number() OVER (PARTITION BY id ORDER BY file, row) AS n FROM {seen}\n"
        "  WHERE id IS NOT NULL AND hash(id) IN (SELECT h FROM twice))\n"
        "SELECT file, row, id FROM numbered WHERE n > 1 ORDER BY file, row"
    ).to_arrow_table()
    if not len(found):
        return Repeats(0, "", None)
    return Repeats(len(found), found.column("id")[0].as_py(), found.select(["file", "row"]))


def without(connection: Any, relation: str, place: Place, repeats: Repeats) -> str:
    """Return the text of *relation* without *repeats*, as *connection* knows it from now on."""
    connection.register("repeats", repeats.places)
    return (
        f"(SELECT held.* FROM {relation} AS held WHERE NOT EXISTS "
        f"(SELECT 1 FROM repeats WHERE repeats.file = {place.file} AND repeats.row = {place.row}))"
    )
