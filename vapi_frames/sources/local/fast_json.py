"""Large JSON files of plain calls, converted to Parquet by DuckDB in one pass.

It converts what is ordinary: UTF-8, an array or one call a line, the names of ``GET /call``. In any other file it finds
something odd and converts nothing, so that the decoder in Python reads the file and names line and reason.
"""

from __future__ import annotations

import contextlib
import glob
import gzip
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from vapi_frames.contract.vocabulary import GROUP_COLUMNS
from vapi_frames.errors import RecordsError
from vapi_frames.sources.local.engine import open_cursor
from vapi_frames.sources.local.json_reader import longest_value
from vapi_frames.sources.records.duckdb import DUCKDB, USUAL_TIME, json_pointer
from vapi_frames.sources.records.flatten import find_column_places, find_variable_places
from vapi_frames.sources.records.paths import FLAT_COLUMNS, NUMBER_COLUMNS, TIME_COLUMNS, VARIABLE_ROOTS, VARIABLES_MAP
from vapi_frames.sources.sql.select import quote_name, quote_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from duckdb import DuckDBPyConnection

__all__ = ["FastFile", "convert_fast"]

_SMALLEST = 1 << 20  # bytes; smaller files share one Parquet file
_SMALLEST_ZIPPED = 1 << 16
_MEMORY_LIMIT = "1GB"  # some 500 MB on two threads; where more are not enough, the decoder takes its constant memory
_MOST_SHAPES = 10_000  # sets of keys that are looked at in Python
_NAMES = tuple(dict.fromkeys(path.split(".")[0] for path in (*FLAT_COLUMNS, *VARIABLE_ROOTS) if path != "duration"))
_SPELLED = r"[0-9][.eE]|[0-9]{16}|\\|NaN|Infinity|-0"
"""Where Python may spell what is in a nested variable in another way than the file does."""
_ODD = "error('odd')"
_INTO_PARQUET = "(FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)"  # into the private file that is there


class FastFile(NamedTuple):
    """A converted file.

    Attributes:
        calls: How many calls it holds.
        columns: The columns of the calls.
        variables: The keys of their variables.
    """

    calls: int
    columns: list[str]
    variables: list[str]


class _OddFileError(Exception):
    """The file has something that the decoder must look at."""


def convert_fast(path: str, new_path: Callable[[], str]) -> tuple[str, FastFile] | None:
    """Write the calls of a JSON file to Parquet.

    Args:
        path: The file.
        new_path: Returns the path of a new temporary file.

    Returns:
        The path of the Parquet file and what is in it; ``None`` where the decoder must read the file.
    """
    form = _find_form(path)
    if form is None:
        return None
    staged, target = new_path(), new_path()
    try:
        with open_cursor([], memory_limit=_MEMORY_LIMIT) as connection:
            return target, _convert(connection, path, form, staged, target)
    except (RecordsError, _OddFileError):  # the decoder finds the same, and where it is
        Path(target).unlink(missing_ok=True)
        return None
    finally:
        Path(staged).unlink(missing_ok=True)


def _find_form(path: str) -> str | None:
    """Return DuckDB's name of the form of a file that is large, UTF-8, and begins as a list or an object."""
    is_zipped = path.lower().endswith(".gz")
    opener = cast("Callable[..., Any]", gzip.open if is_zipped else open)
    with contextlib.suppress(OSError, EOFError, zlib.error):
        if Path(path).stat().st_size < (_SMALLEST_ZIPPED if is_zipped else _SMALLEST):
            return None
        with opener(path, "rb") as file:
            head: bytes = file.read(64)
        if json.detect_encoding(head[:4]) == "utf-8":
            return {b"[": "array", b"{": "newline_delimited"}.get(head.lstrip(b" \t\r\n")[:1])
    return None


def _find_leaves() -> dict[tuple[str, tuple[str, ...]], str]:
    """Return each place that is read → the name of its column in the staged file."""
    places = [place for _, paths in find_column_places(_NAMES, ()) for place in paths]
    places += [(name, keys) for name, keys, _ in find_variable_places(_NAMES)]
    return {place: f"c{number}" for number, place in enumerate(dict.fromkeys(places))}


def _convert(connection: DuckDBPyConnection, path: str, form: str, staged: str, target: str) -> FastFile:
    leaves = _find_leaves()
    structure: dict[str, Any] = {}
    containers: dict[tuple[str, ...], None] = {}
    for name, keys in leaves:
        inside, parts = structure, (name, *keys)
        for at, part in enumerate(parts[:-1], 1):
            containers[parts[:at]] = None
            inside = inside.setdefault(part, {})
        inside[parts[-1]] = "JSON"
    pointers = [json_pointer(*container) for container in containers]
    # A text or a list in place of an object has no keys either.
    checks = f"strlen(json) <= {longest_value()} AND " + " AND ".join(
        f"CASE WHEN len(k[{number}]) = 0 THEN json_type(json, {quote_text(pointer)}) IN ('OBJECT', 'NULL') "
        "ELSE true END"
        for number, pointer in enumerate(pointers, 2)
    )
    compression = "gzip" if path.lower().endswith(".gz") else "none"
    source = (
        f"read_json_objects({quote_text(glob.escape(path))}, format = {quote_text(form)}, "
        f"compression = {quote_text(compression)})"
    )
    fields = ", ".join(f"{_extract('r', (name, *keys))} AS {column}" for (name, keys), column in leaves.items())
    listed = ", ".join(map(quote_text, ["$", *pointers]))
    connection.execute(
        f"COPY (SELECT {fields}, k, {checks} AS is_usual FROM (SELECT json, json_keys(json, [{listed}]) AS k, "
        f"from_json(json, {quote_text(json.dumps(structure))}) AS r FROM {source})) "
        f"TO {quote_text(staged)} {_INTO_PARQUET}"
    )
    relation = f"read_parquet({quote_text(staged)})"
    names = _check_shapes(connection, relation)
    return _write(connection, relation, leaves, names, target)


def _extract(row: str, keys: Sequence[str]) -> str:
    for key in keys:
        row = DUCKDB.field(row, key)
    return row


def _check_shapes(connection: DuckDBPyConnection, relation: str) -> tuple[str, ...]:
    """Return the names of the calls' keys, none of which means what is not read here."""
    found = connection.sql(f"SELECT DISTINCT k, is_usual FROM {relation} LIMIT {_MOST_SHAPES + 1}").fetchall()
    if not 0 < len(found) <= _MOST_SHAPES:
        raise _OddFileError
    names: dict[str, None] = {}
    for lists, is_usual in found:
        if not is_usual or any(len(set(keys)) < len(keys) for keys in lists if keys):
            raise _OddFileError
        names.update(dict.fromkeys(lists[0] or ()))
    known = {*_NAMES, "duration"}
    read = tuple(names)
    if any(name not in known for _, paths in find_column_places(read, ()) for name, _ in paths):
        raise _OddFileError
    if any(key is not None or name not in known for name, _, key in find_variable_places(read)):
        raise _OddFileError
    return read


def _write(
    connection: DuckDBPyConnection,
    relation: str,
    leaves: dict[tuple[str, tuple[str, ...]], str],
    names: tuple[str, ...],
    target: str,
) -> FastFile:
    counted = ", ".join(["count(*)", *(f"count({column})" for column in leaves.values())])
    [counts] = connection.sql(f"SELECT {counted} FROM {relation}").fetchall()
    has_values = {place for place, count in zip(leaves, counts[1:], strict=True) if count}
    columns: dict[str, str] = {}
    for column, paths in find_column_places(names, ()):
        if column == "duration":
            columns[column] = "CAST(NULL AS VARCHAR)"
        elif column in names or has_values.intersection(paths):
            columns[column] = f"coalesce({', '.join(_read(column, leaves[place]) for place in paths)}, NULL)"
    for column in (*TIME_COLUMNS, *GROUP_COLUMNS):
        columns.setdefault(column, "CAST(NULL AS TIMESTAMPTZ)" if column in TIME_COLUMNS else "CAST(NULL AS VARCHAR)")
    created = leaves["createdAt", ()]
    # The text of the usual form sorts as its year does; years this early or late need the decoder's exact look.
    is_usual = f"json_extract_string({created}, '$') BETWEEN '1971' AND '8999'"
    columns["createdAt"] = f"CASE WHEN coalesce({is_usual}, false) THEN {columns['createdAt']} ELSE {_ODD} END"
    places = [(name, keys) for name, keys, _ in find_variable_places(names)]
    roots = [leaves[place] for place in places if place in has_values]
    maps = [_read_variables(root) for root in reversed(roots)]  # the last map counts
    written = (
        f"map_concat({', '.join(maps)})" if len(maps) > 1 else (maps or ["CAST(MAP() AS MAP(VARCHAR, VARCHAR))"])[0]
    )
    ordered = [name for name in FLAT_COLUMNS if name in columns]
    selected = ", ".join(f"{columns[name]} AS {quote_name(name)}" for name in ordered)
    connection.execute(
        f"COPY (SELECT {selected}, {written} AS {quote_name(VARIABLES_MAP)} FROM {relation}) TO {quote_text(target)} "
        f"{_INTO_PARQUET}"
    )
    keys: dict[str, None] = {}
    for root in roots:
        found = connection.sql(f"SELECT DISTINCT unnest(json_keys({root})) AS key FROM {relation} ORDER BY key")
        keys.update(dict.fromkeys(key for (key,) in found.fetchall()))
    return FastFile(counts[0], ordered, list(keys))


def _read(column: str, leaf: str) -> str:
    if column in TIME_COLUMNS:
        text = f"json_extract_string({leaf}, '$')"
        is_usual = f"json_type({leaf}) = 'VARCHAR' AND regexp_full_match({text}, {quote_text(USUAL_TIME)})"
        return f"CASE WHEN {leaf} IS NULL THEN NULL WHEN {is_usual} THEN CAST({text} AS TIMESTAMPTZ) ELSE {_ODD} END"
    return (DUCKDB.number if column in NUMBER_COLUMNS else DUCKDB.text)(column, leaf, "json")


def _read_variables(root: str) -> str:
    """Return the map of the variables that have values."""
    checked = f"CASE WHEN {root} IS NULL THEN '{{}}' WHEN json_type({root}) = 'OBJECT' THEN {root} ELSE {_ODD} END"
    value = "e['value']"
    nested = f"json_type({value}) IN ('OBJECT', 'ARRAY')"
    is_respelled = f"regexp_matches(CAST({value} AS VARCHAR), {quote_text(_SPELLED)})"
    text = f"CASE WHEN {nested} AND {is_respelled} THEN {_ODD} ELSE {DUCKDB.variable('variable', value, 'json')} END"
    entries = f"map_entries(CAST(CAST({checked} AS JSON) AS MAP(VARCHAR, JSON)))"
    texts = f"list_transform({entries}, lambda e: {{'k': e['key'], 'v': {text}}})"
    return f"map_from_entries(list_filter({texts}, lambda e: e['v'] IS NOT NULL))"
