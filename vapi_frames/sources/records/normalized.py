"""Columns that ``pandas.json_normalize`` makes of structured outputs: one for each value, with the id in its name.

They are put together again: ``artifact.structuredOutputs.<id>.name``, ``….result``, and ``….result.<field>`` of a
result that is an object. Objects that were not taken apart, as with ``max_level=``, are found, too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from vapi_frames.sources.records.lists import parse_object
from vapi_frames.sources.records.paths import OUTPUTS, SKIPPED_OUTPUTS, alternate_paths
from vapi_frames.sources.records.values import is_missing
from vapi_frames.sources.sql.select import quote_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vapi_frames.sources.records.functions import ColumnExpr

__all__ = ["OutputColumns", "find_output_columns", "gather_outputs", "write_outputs"]

OutputColumns: TypeAlias = dict[str, dict[tuple[str, ...], str]]
"""Id of an output → the keys to a value in it, such as ``("result", "score")`` → the name of the column."""

_WHOLE_FLOAT = "^(-?[0-9]{1,15})[.]0$"


@lru_cache(1024)
def find_output_columns(names: tuple[str, ...]) -> dict[str, OutputColumns]:
    """Return which of *names* have parts of outputs, for the flat columns of outputs and of those that were skipped.

    Examples:
        >>> find_output_columns(("id", "artifact.structuredOutputs.o1.name", "artifact.structuredOutputs.o1.result"))
        ... # doctest: +NORMALIZE_WHITESPACE
        {'structuredOutputs, converted': {'o1': {('name',): 'artifact.structuredOutputs.o1.name',
                                                 ('result',): 'artifact.structuredOutputs.o1.result'}}}
    """
    found: dict[str, OutputColumns] = {}
    likely = [name for name in names if "outputs" in name.casefold()]  # of most records there is none
    for column in (OUTPUTS, SKIPPED_OUTPUTS) if likely else ():
        for root in alternate_paths(column):
            for joint in "._":
                prefix, dot = joint.join((*root.split("."), "")), re.escape(joint)
                inside = re.compile(rf"(?:(.+?){dot}(name|result(?:{dot}.+)?)|([^{dot}]+))")
                for name in likely:
                    if name.startswith(prefix) and (part := inside.fullmatch(name.removeprefix(prefix))):
                        keys = tuple((part[2] or "").split(joint)) if part[2] else ()
                        found.setdefault(column, {}).setdefault(part[1] or part[3], {}).setdefault(keys, name)
    return found


def gather_outputs(record: Mapping[str, Any], columns: OutputColumns) -> dict[str, Any]:
    """Return the outputs of a *record* that has these *columns*: id → name and result."""
    outputs: dict[str, Any] = {}
    for id_, places in columns.items():
        for keys, name in places.items():
            value = record[name]
            if is_missing(value):
                continue
            if not keys:
                outputs[id_] = parse_object(value)
                continue
            inside = outputs.setdefault(id_, {})
            for key in keys[:-1]:
                inside = inside.setdefault(key, {}) if isinstance(inside, dict) else None
            if isinstance(inside, dict):
                inside.setdefault(keys[-1], value)
    return outputs


def write_outputs(found: OutputColumns, columns: Mapping[str, ColumnExpr]) -> str | None:
    """Return DuckDB's SQL of the outputs as JSON, id → name and result; ``None`` where no column is read."""
    entries = []
    for id_, places in sorted(found.items()):
        tree: dict[str | None, Any] = {}
        whole = []
        for keys, name in places.items():
            column = columns.get(name)
            if column is None or column.type is None:
                continue
            if not keys:
                whole.append(_parse(column.sql, column.type.id))
                continue
            inside = tree
            for key in keys:
                inside = inside.setdefault(key, {})
            inside[None] = _write_value(column.sql, column.type.id, is_name=keys == ("name",))
        if tree:
            whole.append(f"json_object({_write_pairs(tree)})")
        if whole:
            entries.append(f"{quote_text(id_)}, {_coalesce(whole)}")
    return f"json_object({', '.join(entries)})" if entries else None


def _write_tree(tree: Mapping[str | None, Any]) -> str:
    """Return the SQL of a value, which is an object in some records; what an object lacks, it does not have as null."""
    ways = [tree[None]] if None in tree else []
    if pairs := _write_pairs(tree):
        compact = f"CAST(json_merge_patch('{{}}', json_object({pairs})) AS VARCHAR)"
        ways.append(f"CAST(nullif({compact}, '{{}}') AS JSON)")
    return _coalesce(ways)


def _write_pairs(tree: Mapping[str | None, Any]) -> str:
    return ", ".join(f"{quote_text(key)}, {_write_tree(one)}" for key, one in tree.items() if key is not None)


def _write_value(expression: str, kind: str, *, is_name: bool) -> str:
    """Return the SQL of a value as JSON. A cell of CSV has numbers and Booleans as Python writes them."""
    if kind in ("double", "float"):
        expression = f"CASE WHEN isfinite({expression}) THEN {expression} END"
    if kind == "cell" and not is_name:
        number = f"regexp_replace({expression}, {quote_text(_WHOLE_FLOAT)}, '\\1')"
        expression = f"CASE {expression} WHEN 'True' THEN 'true' WHEN 'False' THEN 'false' ELSE {number} END"
    return expression if kind == "json" else f"to_json({expression})"


def _parse(expression: str, kind: str) -> str:
    if kind in ("varchar", "cell"):
        return f"CASE WHEN json_valid({expression}) THEN CAST({expression} AS JSON) END"
    return _write_value(expression, kind, is_name=False)


def _coalesce(values: Iterable[str]) -> str:
    values = list(values)
    return values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"
