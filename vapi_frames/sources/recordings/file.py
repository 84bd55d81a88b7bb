"""A query and its reply as one JSON file, which people can read and compare, and which replays the same result."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vapi_frames.calendar.ranges import format_iso, parse_now
from vapi_frames.contract.json_size import MOST_PARTS, has_too_many_parts
from vapi_frames.contract.models import parse_request
from vapi_frames.contract.vocabulary import check_units
from vapi_frames.errors import QueryError, ReplayMissError, format_value
from vapi_frames.files import atomic_write
from vapi_frames.result.reply import match_replies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

__all__ = [
    "Recording",
    "dump_json_line",
    "hash_query",
    "make_file_name",
    "read_recording",
    "read_recordings",
    "remove_range",
    "split_reply",
    "write_recording",
]

_FORMAT = 1
STEM_CHARS = 60  # characters of a file's name that describe the query
HASH_CHARS = 10  # of the hash in a file's name


@dataclass(frozen=True, slots=True)
class Recording:
    """A query and the reply to it, unchanged.

    Attributes:
        query: One element of ``queries``, as it was sent.
        reply: One element of the reply, with all digits of its numbers.
        now: The clock that relative ranges were resolved by, in UTC.
        units: The units that ``connect(units=)`` set.
        path: The file that it was read from.
    """

    query: dict[str, Any]
    reply: dict[str, Any]
    now: datetime
    units: Mapping[str, str] = field(default_factory=dict)
    path: Path = Path()


@dataclass(frozen=True, slots=True)
class _Number:
    """A number that Python would write differently, as text: ``1.50``, ``1E2``, or too many digits."""

    text: str


MAX_INT_DIGITS = 4_000  # beyond which Python does not read


def _parse_json(content: str | bytes) -> Any:
    """Return JSON with its numbers as they are written.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is too deep.
    """
    if has_too_many_parts(content):
        raise ValueError(f"it holds more than {MOST_PARTS:,} keys and values")
    return json.loads(content, parse_int=_parse_int, parse_float=_parse_float, parse_constant=_refuse_constant)


def _parse_int(text: str) -> int | _Number:
    return int(text) if len(text) < MAX_INT_DIGITS and text != "-0" else _Number(text)


def _parse_float(text: str) -> float | _Number:
    return number if repr(number := float(text)) == text else _Number(text)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


_ENCODER = json.JSONEncoder(ensure_ascii=False)


def dump_json_line(value: Any) -> str:
    """Return *value* as JSON on one line; numbers that this module read keep their digits."""
    try:
        return _ENCODER.encode(value)
    except TypeError:  # it contains a `_Number`
        pass
    if isinstance(value, dict):
        return f"{{{', '.join([f'{dump_json_line(key)}: {dump_json_line(one)}' for key, one in value.items()])}}}"
    return f"[{', '.join([dump_json_line(one) for one in value])}]" if isinstance(value, list) else str(value.text)


# --- which query it is ---------------------------------------------------------------------------------------------


def hash_query(query: Mapping[str, Any]) -> str:
    """Return a hash of an element of ``queries`` that does not depend on its name."""
    settings = {word: value for word, value in query.items() if word != "name"}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def remove_range(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return *query* without its range; step and zone stay."""
    span = {word: value for word, value in query.get("timeRange", {}).items() if word not in ("start", "end")}
    return {**query, "timeRange": span}


def make_file_name(query: Mapping[str, Any]) -> str:
    """Return the name of the file for *query*: measures, groups, start, and a hash that distinguishes it from others.

    Examples:
        >>> from vapi_frames import vq
        >>> make_file_name(vq.call().sum("cost").by("type").step("day").during("2026-10").body()["queries"][0])
        'sumCost-type-day-2026-10-01-d4913110b4.json'
    """
    span = query.get("timeRange", {})
    words = [one["alias"] for one in query["operations"][:2]]
    words += [*query.get("groupBy", ()), *(one["key"] for one in query.get("groupByVariableValue", ()))]
    words += [span.get("step", ""), span.get("start", "")[:10]]
    head = re.sub(r"[^A-Za-z0-9.-]+", "_", "-".join(filter(None, words)))[:STEM_CHARS].strip("._-")
    return f"{head or 'query'}-{hash_query(query)[:HASH_CHARS]}.json"


def split_reply(content: bytes, names: Sequence[str]) -> list[dict[str, Any]] | None:
    """Return the elements of a reply in the order of the *names* of the queries.

    ``None`` if the reply breaks the contract: the error is raised where it is read.
    """
    try:
        found = _parse_json(content)
        found = [found] if isinstance(found, dict) else found
        if not isinstance(found, list) or not all(map(_is_reply, found)):
            return None
        return [found[place] for place in match_replies([one["name"] for one in found], names)]
    except (ValueError, RecursionError):  # the reply to a query is missing
        return None


def _is_reply(one: Any) -> bool:
    kinds = {"name": str, "timeRange": dict, "result": list}
    return isinstance(one, dict) and all(type(one.get(word)) is kind for word, kind in kinds.items())


# --- the file ---------------------------------------------------------------------------------------------------------


def write_recording(folder: Path, recording: Recording) -> Path:
    """Write *recording* into *folder*, in place of an earlier one of its query; return the file.

    Raises:
        OSError: It cannot be written there.
        UnicodeEncodeError: A text cannot be encoded as UTF-8.
    """
    content = _format_document(recording).encode()
    target = folder / make_file_name(recording.query)
    with atomic_write(target, mode=0o600) as file:
        file.write(content)
    return target


def _format_document(recording: Recording) -> str:
    parts = {
        "format": dump_json_line(_FORMAT),
        "now": dump_json_line(format_iso(recording.now)),
        **({"units": dump_json_line(dict(recording.units))} if recording.units else {}),
        "query": _format_object(recording.query),
        "reply": _format_object(recording.reply),
    }
    entries = ",\n".join(f'  "{name}": {text}' for name, text in parts.items())
    return f"{{\n{entries}\n}}\n"


def _format_object(value: dict[str, Any]) -> str:
    """Return an object as JSON with a line for each entry, and for each row."""
    entries = []
    for key, one in value.items():
        text = dump_json_line(one)
        if isinstance(one, list) and one and all(isinstance(row, dict) for row in one):
            rows = ",\n".join([f"      {dump_json_line(row)}" for row in one])
            text = f"[\n{rows}\n    ]"
        entries.append(f"    {dump_json_line(key)}: {text}")
    return "{\n" + ",\n".join(entries) + "\n  }"


def read_recordings(folder: Path) -> list[Recording]:
    """Return the recordings of *folder*, in the order of their files' names.

    Raises:
        ReplayMissError: There is none, or a JSON file in the folder is not a recording.
    """
    if not folder.is_dir():
        what = "is a file, not a folder of recordings" if folder.exists() else "does not exist"
        raise ReplayMissError(f"{folder} {what}; vf.record({str(folder)!r}) creates and fills it")
    paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    if not paths:
        raise ReplayMissError(f"there is no recording in {folder}; vf.record({str(folder)!r}) makes them")
    return [read_recording(path) for path in paths]


def read_recording(path: Path) -> Recording:
    """Return the recording in the file at *path*.

    Raises:
        ReplayMissError: The file is not a recording, not complete, or cannot be read.
    """
    try:
        found = _parse_json(path.read_bytes())
    except OSError as error:
        raise ReplayMissError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ReplayMissError(f"{path} is not complete JSON ({error}): record its query again, or delete it") from None
    if not isinstance(found, dict) or not {"format", "now", "query", "reply"} <= found.keys():
        raise ReplayMissError(f"{path} is not a recording: use a folder of its own for recordings")
    if found["format"] != _FORMAT:
        message = (
            f"{path} has the format {format_value(found['format'])}, and this version of vapi-frames reads {_FORMAT}"
        )
        raise ReplayMissError(f"{message}: record its query again")
    try:
        parse_request({"queries": [found["query"]]})
        if not _is_reply(found["reply"]):
            raise ValueError("the reply lacks name, timeRange or result")  # noqa: TRY301 - the same handler
        now = parse_now(found["now"])
        units = check_units(found.get("units"))
    except (AttributeError, QueryError, TypeError, ValueError) as error:
        raise ReplayMissError(f"{path} was edited ({error}): record its query again, or delete it") from None
    return Recording(found["query"], found["reply"], now, units, path)
