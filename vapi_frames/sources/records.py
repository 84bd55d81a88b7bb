"""Call records: which of their columns holds what a question uses, and nested call JSON as flat columns.

Facts about a record are those of the API's own ``GET /call``: there is no ``duration`` (it is ``endedAt`` minus
``startedAt``), ``costBreakdown.transcriber`` answers to ``stt``, ``costBreakdown.analysisBreakdown`` to
``analysisCostBreakdown``, and variables lie in ``artifact.variableValues``, else in ``assistantOverrides``.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from vapi_frames.errors import RecordsError, suggest
from vapi_frames.sources.sql import Columns, literal
from vapi_frames.vocabulary import CALL_COLUMNS, GROUP_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from vapi_frames.query import Query

__all__ = ["Held", "SqlType", "columns_for", "flatten", "missing", "roots"]


class SqlType(Protocol):
    """A column's type, as DuckDB describes it; the class itself moved between DuckDB's majors."""

    @property
    def id(self) -> str:
        """Its kind, e.g. ``varchar`` or ``struct``."""
        ...

    @property
    def children(self) -> list[tuple[str, Any]]:
        """What a struct or map is made of."""
        ...


Held: TypeAlias = tuple[str, SqlType | None]
"""A column's expression and type; no type where the question cannot use it, so that it was not looked at."""


_ELSEWHERE = {
    "costBreakdown.transcriber": ("costBreakdown.transcriber", "costBreakdown.stt"),
    "costBreakdown.analysisBreakdown.summary": (
        "costBreakdown.analysisBreakdown.summary",
        "costBreakdown.analysisCostBreakdown.summary",
    ),
}
_VARIABLE_ROOTS = ("variableValues", "artifact.variableValues", "assistantOverrides.variableValues")
_TIMES = ("createdAt", "startedAt", "endedAt")
# A record of the API leaves these out where they do not apply; absent from every record, they are missing everywhere.
_OPTIONAL = (*GROUP_COLUMNS, "startedAt", "endedAt")
_NUMBERS = tuple(column for column in CALL_COLUMNS if column not in ("id", "duration"))
_NUMERIC = {
    "tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint",
    "float", "double", "decimal",
}  # fmt: skip
_NOTHING = {"null", "sqlnull", '"null"'}  # a column without a single value; the name moved between DuckDB's majors
_TEXTUAL = {"varchar", "enum", "uuid"}


def _paths(word: str) -> tuple[str, ...]:
    return _ELSEWHERE.get(word, (word,))


def _variable_paths(key: str) -> tuple[str, ...]:
    return tuple(f"{root}.{key}" for root in _VARIABLE_ROOTS)


def _used(query: Query[Any]) -> list[str]:
    """Return the record columns that *query* uses."""
    used = ["createdAt", *query.groups]
    for one in query.measures:
        used += ["startedAt", "endedAt"] if one.column == "duration" else [one.column]
    return list(dict.fromkeys(used))


def roots(query: Query[Any], names: Iterable[str]) -> list[str]:
    """Return which of the records' columns, called *names*, may hold something that *query* uses."""
    paths = [path for word in _used(query) for path in _paths(word)]
    paths += [path for key in query.variables for path in _variable_paths(key)]
    return [name for name in names if any(path == name or path.startswith(f"{name}.") for path in paths)]


def columns_for(query: Query[Any], held: Mapping[str, Held]) -> Columns:
    """Return how records that hold their columns as *held* have what *query* uses.

    Raises:
        RecordsError: A column that the query uses is missing or of a type that cannot be it.
    """
    created = _time("createdAt", held)
    values = {}
    for one in query.measures:
        if one.column == "duration":
            values["duration"] = _duration(held)
        elif one.column == "id":
            values["id"] = _find("id", _paths("id"), held)[0]
        else:
            values[one.column] = _number(one.column, held)
    return Columns(
        created=created,
        epoch=f"epoch_us({created}) // 1000000",
        groups={name: _text(name, _paths(name), held) for name in query.groups},
        variables={key: _text(key, _variable_paths(key), held, kind="variable") for key in query.variables},
        values=values,
    )


def _find(word: str, paths: Sequence[str], held: Mapping[str, Held], *, kind: str = "column") -> tuple[str, str]:
    """Return the expression that holds *word*, and the name of its type."""
    found = [place for path in paths for place in _places(path, held)]
    if kind == "variable" and len(found) > 1:
        # One record may keep a variable in its artifact and the next in its overrides: the first value counts.
        return f"coalesce({', '.join(f'CAST({place} AS VARCHAR)' for place, _ in found)})", "varchar"
    if found:
        return found[0]
    raise missing(word, list(held), kind=kind)


def missing(word: str, names: Sequence[str], *, kind: str = "column") -> RecordsError:
    """Return the error for a *word* that the question uses and records with columns called *names* lack."""
    near = suggest(word, [name.removeprefix("variableValues.") for name in names])
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
    shown = ", ".join(names[:30]) + (", ..." if len(names) > 30 else "")  # noqa: PLR2004
    return RecordsError(
        f"the call records have no {kind} {word!r}, which the question uses{hint} They have: {shown}",
        column=word,
    )


def _places(path: str, held: Mapping[str, Held]) -> list[tuple[str, str]]:
    """Return the expressions under which *path* can be reached: as a flat column, or inside structs and maps."""
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        root = ".".join(parts[:cut])
        expression, type_ = held.get(root, ("", None))
        place = _inside(expression, type_, parts[cut:]) if type_ is not None else None
        if place is not None:
            return [place]
    return []


def _inside(expression: str, type_: SqlType, parts: list[str]) -> tuple[str, str] | None:
    if not parts:
        return expression, type_.id
    if type_.id == "map":
        return f"{expression}[{literal('.'.join(parts))}]", type_.children[1][1].id
    if type_.id != "struct":
        return None
    children = dict(type_.children)
    for cut in range(len(parts), 0, -1):  # a key may hold dots itself
        name = ".".join(parts[:cut])
        if name in children:
            return _inside(f"struct_extract({expression}, {literal(name)})", children[name], parts[cut:])
    return None


def _wrong(word: str, type_: str, wanted: str) -> RecordsError:
    return RecordsError(f"column {word!r} of the call records is {type_}, not {wanted}", column=word)


def _time(word: str, held: Mapping[str, Held]) -> str:
    """Return a timestamp with time zone; one without is UTC, as the session's zone is."""
    expression, type_ = _find(word, _paths(word), held)
    if type_ == "timestamp with time zone":
        return expression
    if type_.startswith("timestamp") or type_ in {"varchar", *_NOTHING}:
        return f"CAST({expression} AS TIMESTAMPTZ)"
    raise _wrong(word, type_, "a timestamp or ISO 8601 text")


def _duration(held: Mapping[str, Held]) -> str:
    try:
        started, ended = _time("startedAt", held), _time("endedAt", held)
    except RecordsError as error:
        if "duration" not in held:
            raise
        raise RecordsError(
            f"{error}. Their own 'duration' is not used: nothing says its unit; minutes are endedAt - startedAt",
            column=error.column,
        ) from None
    return f"(epoch_us({ended}) - epoch_us({started})) / 60000000.0::DOUBLE"


def _number(word: str, held: Mapping[str, Held]) -> str:
    expression, type_ = _find(word, _paths(word), held)
    if type_ in ("double", "float"):
        # A NaN in records means missing, and would make every sum it touches one.
        return f"nullif({expression}, 'nan')" if type_ == "double" else f"nullif(CAST({expression} AS DOUBLE), 'nan')"
    if type_ in _NUMERIC or type_ in _NOTHING:
        return f"CAST({expression} AS DOUBLE)"
    raise _wrong(word, type_, "a number")


def _text(word: str, paths: Sequence[str], held: Mapping[str, Held], *, kind: str = "column") -> str:
    expression, type_ = _find(word, paths, held, kind=kind)
    if type_ == "varchar":
        return expression
    if type_ in _TEXTUAL or type_ in _NUMERIC or type_ in {"boolean", *_NOTHING}:
        return f"CAST({expression} AS VARCHAR)"
    raise _wrong(word, type_, "text")


# --- nested call JSON -------------------------------------------------------------------------------------------


def flatten(calls: Sequence[Any]) -> pa.Table:
    """Return nested call JSON as a table of flat columns, one column a variable.

    Raises:
        RecordsError: A record is no object, or holds a value of the wrong kind; it is named by its position.
    """
    import pyarrow as pa

    columns: dict[str, list[Any]] = {}
    for position, call in enumerate(calls):
        if not isinstance(call, dict):
            raise RecordsError(f"call {position + 1} is {type(call).__name__}, not an object", line=position + 1)
        for name, value in _flat(call, position + 1):
            column = columns.setdefault(name, [])
            column.extend([None] * (position - len(column)))
            column.append(value)
    for name in _OPTIONAL if calls else (*_OPTIONAL, *_TIMES, *_NUMBERS, "id"):
        columns.setdefault(name, [])
    arrays = {}
    for name, values in columns.items():
        type_ = pa.timestamp("us", "UTC") if name in _TIMES else pa.float64() if name in _NUMBERS else pa.string()
        arrays[name] = pa.array(values + [None] * (len(calls) - len(values)), type_)
    return pa.table(arrays)


def _flat(call: dict[str, Any], line: int) -> Iterable[tuple[str, Any]]:
    for word in ("id", *GROUP_COLUMNS, *_TIMES, *_NUMBERS):
        for path in _paths(word):
            is_there, value = _dig(call, path)
            if is_there:
                yield word, _read(word, value, line)
                break
    if "duration" in call:
        yield "duration", json.dumps(call["duration"])
    variables: dict[str, str | None] = {}
    for root in _VARIABLE_ROOTS:
        is_there, found = _dig(call, root)
        inside = found if is_there and isinstance(found, dict) else {}
        for name, value in {
            **{name: call[name] for name in call if name.startswith(f"{root}.")},
            **{f"{root}.{key}": inside[key] for key in inside},
        }.items():
            flat = _VARIABLE_ROOTS[0] + name.removeprefix(root)
            if variables.get(flat) is None:
                variables[flat] = value if value is None or isinstance(value, str) else json.dumps(value)
    yield from variables.items()


def _dig(call: dict[str, Any], path: str) -> tuple[bool, Any]:
    if path in call:
        return True, call[path]
    value: Any = call
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return False, None
        value = value[part]
    return True, value


def _read(word: str, value: Any, line: int) -> Any:
    if value is None:
        return None
    if word in _NUMBERS:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        wanted = "a number"
    elif word in _TIMES:
        moment = value
        if isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                moment = None
        if isinstance(moment, datetime):
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        wanted = "an ISO 8601 date-time"
    else:
        if isinstance(value, str):
            return value
        if isinstance(value, bool | int | float):
            return json.dumps(value)
        wanted = "text"
    raise RecordsError(f"call {line}: {word} is {value!r}, not {wanted}", line=line, column=word)
