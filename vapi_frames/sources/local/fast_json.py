"""Large JSON files of plain calls, converted to Parquet by DuckDB in one pass.

It converts what is ordinary: UTF-8, an array or one call a line, the names of ``GET /call``. In any other file it finds
something odd and converts nothing, so that the decoder in Python reads the file and names line and reason. It looks
less closely at what no query reads: a key may be there twice, or a comma too many.
"""

from __future__ import annotations

import contextlib
import glob
import gzip
import json
import re
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vapi_frames.contract.json_size import MOST_PARTS
from vapi_frames.contract.record_words import COST_TYPES
from vapi_frames.contract.vocabulary import GROUP_COLUMNS
from vapi_frames.errors import RecordsError
from vapi_frames.sources.local.engine import open_cursor
from vapi_frames.sources.local.json_reader import longest_value
from vapi_frames.sources.records.duckdb import DUCKDB, USUAL_TIME
from vapi_frames.sources.records.flatten import (
    MOST_VARIABLES,
    VARIABLES_LENGTH,
    find_column_places,
    find_variable_places,
)
from vapi_frames.sources.records.paths import (
    COSTS,
    EXPORT_HEADERS,
    FLAT_COLUMNS,
    NUMBER_COLUMNS,
    OUTPUTS,
    SKIPPED_OUTPUTS,
    TIME_COLUMNS,
    VARIABLE_ROOTS,
    VARIABLES_MAP,
    column_paths,
    variable_roots,
)
from vapi_frames.sources.sql.select import quote_name, quote_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from duckdb import DuckDBPyConnection

__all__ = ["FastFile", "convert_fast"]

_SMALLEST = 1 << 20  # bytes; smaller files share one Parquet file
_SMALLEST_ZIPPED = 1 << 16
_MEMORY_LIMIT = "500MB"  # enough for the threads; where it is not, the decoder takes its constant memory
_MOST_THREADS = 4  # each takes some 100 MB
_LARGEST_CALL = MOST_PARTS // 2  # bytes
_LARGEST_READ = 1 << 25  # bytes of a call that DuckDB reads nevertheless: its buffer
_BLOCK = 1 << 20
_PATHS = (*FLAT_COLUMNS, *VARIABLE_ROOTS, COSTS)
_NAMES = tuple(dict.fromkeys(path.split(".")[0] for path in _PATHS if path != "duration"))
_SPELLED = r"[0-9][.eE]|[0-9]{16}|\\|NaN|Infinity|-0"
"""Where Python may spell what is in a nested variable in another way than the file does."""
_FLAT_NAME = re.compile(rb"(?:le(?:Values|_values)|ed(?:Outputs|_outputs))(?:[._\\]|, converted)")
"""A column of a single variable or output, as flat tables have it: DuckDB does not say which keys it did not read."""
_BEFORE = len("le")
_LONGEST_NAME = 32
_LETTERS = {letter: ord(letter) for letter in "delVO_"}
_ODD = "error('odd')"
_INTO_PARQUET = "(FORMAT parquet, USE_TMP_FILE false, "  # into the private file that is there
_STAGED = f"{_INTO_PARQUET} COMPRESSION uncompressed, ROW_GROUP_SIZE 8192)"  # a group is what one thread reads
_KEPT = f"{_INTO_PARQUET} COMPRESSION zstd)"


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
        with open_cursor([], memory_limit=_MEMORY_LIMIT, most_threads=_MOST_THREADS) as connection:
            return target, _convert(connection, path, form, staged, target)
    except (RecordsError, _OddFileError):  # the decoder finds the same, and where it is
        Path(target).unlink(missing_ok=True)
        return None
    finally:
        Path(staged).unlink(missing_ok=True)


def _find_form(path: str) -> str | None:
    """Return DuckDB's name of the form of a file that is large, UTF-8, and begins as a list or an object."""
    if longest_value() < _LARGEST_READ:  # the decoder refuses values that DuckDB would read
        return None
    with contextlib.suppress(OSError, EOFError, zlib.error):
        if Path(path).stat().st_size < (_SMALLEST_ZIPPED if _is_zipped(path) else _SMALLEST):
            return None
        with _open_file(path) as file:
            head: bytes = file.read(64)
        if json.detect_encoding(head[:4]) == "utf-8":
            return {b"[": "array", b"{": "newline_delimited"}.get(head.lstrip(b" \t\r\n")[:1])
    return None


def _is_zipped(path: str) -> bool:
    return path.lower().endswith(".gz")


def _open_file(path: str) -> Any:
    return gzip.open(path, "rb") if _is_zipped(path) else Path(path).open("rb")


def _find_leaves() -> dict[tuple[str, tuple[str, ...]], str]:
    """Return each place that is read → the name of its column in the staged file."""
    places = [place for _, paths in find_column_places(_NAMES, ()) for place in paths if place[0] != "duration"]
    places += [(name, keys) for name, keys, _ in find_variable_places(_NAMES)] + [(COSTS, ())]
    return {place: f"c{number}" for number, place in enumerate(dict.fromkeys(places))}


def _find_other_names() -> list[str]:
    """Return the other names that a column may have in a call; a file with one of them is left to the decoder."""
    names = {name for column in FLAT_COLUMNS for name, _ in column_paths(column)}
    names |= {path.partition(".")[0] for path in variable_roots()}
    names.add(EXPORT_HEADERS["id"])  # no record is known by its headers without it
    return sorted(names - {*_NAMES, "duration"})


def _convert(connection: DuckDBPyConnection, path: str, form: str, staged: str, target: str) -> FastFile:
    leaves, others = _find_leaves(), _find_other_names()
    structure: dict[str, Any] = dict.fromkeys([*others, "duration"], "JSON")
    for name, keys in leaves:
        inside, parts = structure, (name, *keys)
        for part in parts[:-1]:
            inside = inside.setdefault(part, {})
        inside[parts[-1]] = "JSON"
    columns = ", ".join(f"{quote_text(name)}: {quote_text(_write_type(inside))}" for name, inside in structure.items())
    compression = "gzip" if _is_zipped(path) else "none"
    # DuckDB takes ten times as long for a single column, unless records are what it is told to expect.
    source = (
        f"read_json({quote_text(glob.escape(path))}, format = {quote_text(form)}, records = true, "
        f"compression = {quote_text(compression)}, maximum_object_size = {_LARGEST_CALL}, columns = {{{columns}}})"
    )
    fields = [f"{_extract(quote_name(name), keys)} AS {column}" for (name, keys), column in leaves.items()]
    fields.append("duration")
    fields.append(f"coalesce({', '.join(map(quote_name, others))}) IS NOT NULL AS is_odd")
    has_ended = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        has_flat = threads.submit(_has_flat_names, path, has_ended)  # while DuckDB reads
        try:
            text = f"COPY (SELECT {', '.join(fields)} FROM {source}) TO {quote_text(staged)} {_STAGED}"
            connection.execute(text)
        except BaseException:
            has_ended.set()
            raise
        if has_flat.result():
            raise _OddFileError
    relation = f"read_parquet({quote_text(staged)})"
    counted = ", ".join(f"count({column})" for column in leaves.values())
    [[calls, odd, durations, *counts]] = connection.execute(
        f"SELECT count(*), count(*) FILTER (is_odd), count(duration), {counted} FROM {relation}"
    ).fetchall()
    present = {place: column for (place, column), count in zip(leaves.items(), counts, strict=True) if count}
    if odd or ("createdAt", ()) not in present:
        raise _OddFileError
    used = {name for name, _ in present}
    names = (*(name for name in _NAMES if name in used), *(["duration"] if durations else []))
    return FastFile(calls, *_write(connection, relation, present, names, target))


def _write_type(inside: Any) -> str:
    """Return DuckDB's type of a place, or of an object with places in it."""
    if isinstance(inside, str):
        return inside
    return f"STRUCT({', '.join(f'{quote_name(name)} {_write_type(one)}' for name, one in inside.items())})"


def _has_flat_names(path: str, has_ended: threading.Event) -> bool:
    """Return whether a key may be the name of a flat column of a variable or output; stop where *has_ended* is."""
    text = b""
    with contextlib.suppress(OSError, EOFError, zlib.error), _open_file(path) as file:
        while not has_ended.is_set() and (block := file.read(_BLOCK)):
            text = text[-_LONGEST_NAME:] + block
            for found in _find_flat_names(text):
                end = text.find(b'"', found.end())
                if end < 0 or b"\\" in text[found.start() : end] or text[end + 1 : end + 64].lstrip()[:1] in b":":
                    return True
    return False


def _find_flat_names(text: bytes) -> Iterator[re.Match[bytes]]:
    """Yield each match of `_FLAT_NAME`, in a quarter of the time that it takes to search for it."""
    letters = np.frombuffer(text, np.uint8)
    at = np.flatnonzero((letters == _LETTERS["V"]) | (letters == _LETTERS["O"]) | (letters == _LETTERS["_"]))
    at = at[at >= _BEFORE]
    last, before = letters[at - 1], letters[at - 2]
    of_values = (before == _LETTERS["l"]) & (last == _LETTERS["e"])
    of_outputs = (before == _LETTERS["e"]) & (last == _LETTERS["d"])
    at = at[of_values | of_outputs]
    for place in at.tolist():
        if found := _FLAT_NAME.match(text, place - _BEFORE):
            yield found


def _extract(row: str, keys: Sequence[str]) -> str:
    for key in keys:
        row = DUCKDB.field(row, key)
    return row


def _write(
    connection: DuckDBPyConnection,
    relation: str,
    leaves: dict[tuple[str, tuple[str, ...]], str],
    names: tuple[str, ...],
    target: str,
) -> tuple[list[str], list[str]]:
    """Write the calls, of which each of *leaves* has a value; return their columns and the keys of their variables."""
    columns: dict[str, str] = {}
    for column, paths in find_column_places(names, ()):
        if column == "duration":
            columns[column] = "CAST(NULL AS VARCHAR)"
        elif found := [leaves[place] for place in paths if place in leaves]:
            columns[column] = f"coalesce({', '.join(_read(column, leaf) for leaf in found)}, NULL)"
    if costs := leaves.get((COSTS, ())):
        for column, types in COST_TYPES.items():
            columns[column] = f"coalesce({columns.get(column, 'NULL')}, {DUCKDB.costs(costs, 'json', *types)})"
    for column in (*TIME_COLUMNS, *GROUP_COLUMNS):
        columns.setdefault(column, "CAST(NULL AS TIMESTAMPTZ)" if column in TIME_COLUMNS else "CAST(NULL AS VARCHAR)")
    created = leaves["createdAt", ()]
    # The text of the usual form sorts as its year does; years this early or late need the decoder's exact look.
    is_usual = f"json_extract_string({created}, '$') BETWEEN '1971' AND '8999'"
    columns["createdAt"] = f"CASE WHEN coalesce({is_usual}, false) THEN {columns['createdAt']} ELSE {_ODD} END"
    places = [(name, keys) for name, keys, _ in find_variable_places(names)]
    roots = [leaves[place] for place in places if place in leaves]
    _check_variables(connection, relation, roots)
    maps = [_read_variables(root) for root in reversed(roots)]  # the last map counts
    written = (
        f"map_concat({', '.join(maps)})" if len(maps) > 1 else (maps or ["CAST(MAP() AS MAP(VARCHAR, VARCHAR))"])[0]
    )
    ordered = [name for name in FLAT_COLUMNS if name in columns]
    selected = ", ".join(f"{columns[name]} AS {quote_name(name)}" for name in ordered)
    connection.execute(
        f"COPY (SELECT {selected}, {written} AS {quote_name(VARIABLES_MAP)} FROM {relation}) TO {quote_text(target)} "
        f"{_KEPT}"
    )
    keys: dict[str, None] = {}
    for root in roots:
        listed = connection.execute(f"SELECT DISTINCT unnest(json_keys({root})) AS key FROM {relation} ORDER BY key")
        keys.update(dict.fromkeys(key for (key,) in listed.fetchall()))
    return ordered, list(keys)


def _read(column: str, leaf: str) -> str:
    if column in TIME_COLUMNS:
        text = f"json_extract_string({leaf}, '$')"
        is_usual = f"json_type({leaf}) = 'VARCHAR' AND regexp_full_match({text}, {quote_text(USUAL_TIME)})"
        return f"CASE WHEN {leaf} IS NULL THEN NULL WHEN {is_usual} THEN CAST({text} AS TIMESTAMPTZ) ELSE {_ODD} END"
    if column == OUTPUTS:  # their results are spelled as the decoder spells nested variables
        text = f"CAST({leaf} AS VARCHAR)"
        is_respelled = f"regexp_matches({text}, {quote_text(_SPELLED)})"
        return f"CASE WHEN {is_respelled} THEN {_ODD} WHEN json_type({leaf}) = 'OBJECT' THEN {text} END"
    if column == SKIPPED_OUTPUTS:
        return f"CASE WHEN json_type({leaf}) = 'OBJECT' THEN CAST({leaf} AS VARCHAR) END"
    return (DUCKDB.number if column in NUMBER_COLUMNS else DUCKDB.text)(column, leaf, "json")


def _check_variables(connection: DuckDBPyConnection, relation: str, roots: Sequence[str]) -> None:
    """Leave calls with more variables than are read to the decoder, which bounds and counts them."""
    if not roots:
        return
    keys, length = (
        " + ".join(f"coalesce({one.format(root)}, 0)" for root in roots) for one in ("len(json_keys({}))", "strlen({})")
    )
    [(most, longest)] = connection.execute(f"SELECT max({keys}), max({length}) FROM {relation}").fetchall()
    if most > MOST_VARIABLES or longest > VARIABLES_LENGTH:
        raise _OddFileError


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
