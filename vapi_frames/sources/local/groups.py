"""Parquet files as one relation, also where a column has different types in them.

DuckDB would cast such a column to one type before anything looks at its values: true becomes 1.0. So files with
different types are read in groups, each in its own types, and give the columns of the API together.
"""

from __future__ import annotations

import glob
from typing import TYPE_CHECKING, Any, NamedTuple

from vapi_frames.sources.local.duplicates import ROW_IN_FILES
from vapi_frames.sources.local.footers import find_complete
from vapi_frames.sources.local.relation import (
    ColumnKind,
    Relation,
    add_outputs,
    add_places,
    describe_columns,
    list_variables,
)
from vapi_frames.sources.records.columns import ColumnExpr, columns_used, has_objects, write_columns
from vapi_frames.sources.records.duckdb import DUCKDB
from vapi_frames.sources.records.paths import NUMBER_COLUMNS, TIME_COLUMNS, VARIABLES_MAP
from vapi_frames.sources.records.unlike import original_name
from vapi_frames.sources.sql.select import quote_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from vapi_frames.query.query import Query
    from vapi_frames.sources.local.footers import Footer
    from vapi_frames.sources.local.relation import RecordsSnapshot
    from vapi_frames.sources.records.places import NamePath

__all__ = ["open_parquet"]


class _Group(NamedTuple):
    """Parquet files that have the same types.

    Attributes:
        sql: The relation.
        columns: Its columns → expression and type.
        overrides: Column of the API → the only place that has it.
    """

    sql: str
    columns: dict[str, ColumnExpr]
    overrides: dict[str, ColumnExpr]


def open_parquet(
    connection: DuckDBPyConnection,
    query: Query[Any],
    snapshot: RecordsSnapshot,
    footers: Mapping[str, Footer],
    places: Mapping[str, NamePath],
    *,
    also: Sequence[str] = (),
) -> Relation:
    """Return the Parquet files of *snapshot* as a relation; DuckDB reads only the columns that it needs.

    Args:
        connection: The cursor.
        query: What may use the relation.
        snapshot: The files.
        footers: Path → what the footer of the file says.
        places: Column of the API → where the caller says it is, in files that are no converted JSON.
        also: Columns and paths of records that are used beside those of *query*.
    """
    groups = _split_files(query, snapshot, footers, places, also)
    if len(groups) == 1:
        group = _open_group(connection, query, snapshot.paths, snapshot, places)
        complete = find_complete([footers[path] for path in snapshot.paths])
        return Relation(group.sql, group.columns, ROW_IN_FILES, [], group.overrides, snapshot.is_nested, complete)
    opened = [_open_group(connection, query, [snapshot.paths[at] for at in one], snapshot, places) for one in groups]
    found = [write_columns(query, group.columns, DUCKDB, group.overrides, also=also) for group in opened]
    names = list(dict.fromkeys(name for columns in found for name in columns))
    rows = []
    for numbers, group, columns in zip(groups, opened, found, strict=True):
        file = f"list_extract({list(numbers)}, CAST(file_index + 1 AS BIGINT)) AS file_index"
        values = [
            f"{columns.get(name, 'NULL')} AS c{number}" for number, name in enumerate(names)
        ]  # by number for case
        rows.append(f"SELECT {', '.join([*values, file, 'file_row_number'])} FROM {group.sql}")
    all_columns = dict.fromkeys((name for group in opened for name in group.columns), ColumnExpr("", None))
    all_columns |= {name: ColumnExpr(f"c{at}", ColumnKind(_kind_of(name))) for at, name in enumerate(names)}
    is_nested = snapshot.is_nested or any(has_objects(group.columns) for group in opened)
    return Relation(f"({' UNION ALL '.join(rows)})", all_columns, ROW_IN_FILES, [], {}, is_nested)


def _kind_of(column: str) -> str:
    if column in TIME_COLUMNS:
        return "timestamp with time zone"
    return "double" if column in NUMBER_COLUMNS else "varchar"


def _split_files(
    query: Query[Any],
    snapshot: RecordsSnapshot,
    footers: Mapping[str, Footer],
    places: Mapping[str, NamePath],
    also: Sequence[str],
) -> list[list[int]]:
    """Return the numbers of the files, in one group if a column that *query* may use has one name and type in all."""
    paths = snapshot.paths
    schemas = {path: {original_name(name): (name, type_) for name, type_ in footers[path].types.items()}
               for path in dict.fromkeys(paths)}  # fmt: skip
    also = ["id", *also]
    wanted = {
        name.casefold() for one in schemas.values() for name in columns_used(query, one, also=also, places=places)
    }
    used = {
        path: {
            name: ("cell", "") if path in snapshot.cells else one
            for name, one in schema.items()
            if name.casefold() in wanted
        }
        for path, schema in schemas.items()
    }
    types: dict[str, object] = {}
    is_same = all(
        types.setdefault(name.casefold(), (name, *one)) == (name, *one)
        for found in used.values()
        for name, one in found.items()
    )
    if is_same and len({path in snapshot.cells for path in paths}) == 1:
        return [list(range(len(paths)))]
    groups: dict[object, list[int]] = {}
    for number, path in enumerate(paths):
        groups.setdefault((path in snapshot.cells, frozenset(used[path].items())), []).append(number)
    return list(groups.values())


def _open_group(
    connection: DuckDBPyConnection,
    query: Query[Any],
    paths: Sequence[str],
    snapshot: RecordsSnapshot,
    places: Mapping[str, NamePath],
) -> _Group:
    # DuckDB expands patterns in paths, and these are the paths that patterns were expanded to.
    listed = ", ".join(quote_text(glob.escape(path)) for path in paths)
    relation = f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
    is_cells = paths[0] in snapshot.cells
    columns = describe_columns(connection.sql(f"SELECT * FROM {relation} LIMIT 0"), as_cells=is_cells)
    columns = add_outputs(columns)
    variables = columns.pop(VARIABLES_MAP, None)
    if variables is not None and variables.type is not None:
        columns |= list_variables(variables, snapshot.variables, query)
        if all(path in snapshot.converted for path in paths):  # the reader of JSON has used the places
            return _Group(relation, columns, {})
    return _Group(relation, *add_places(columns, places))
