"""A question and its reply as one JSON file: to be read and compared by people, and to give the very same answer."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vapi_frames.calendar.ranges import format_iso, parse_now
from vapi_frames.contract.models import parse_request
from vapi_frames.contract.vocabulary import check_units
from vapi_frames.errors import QueryError, ReplayMissError, format_value
from vapi_frames.result.reply import match_replies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

__all__ = ["Recording", "file_name", "flat", "identity", "read", "read_all", "replies_to", "unranged", "write"]

_FORMAT = 1
_HEAD = 60  # characters of a file's name that say what is asked
_DIGITS = 10  # of the hash in a file's name


@dataclass(frozen=True, slots=True)
class Recording:
    """A question, and the reply to it as it came.

    Attributes:
        question: One element of ``queries``, as it was sent.
        reply: One element of the reply, with all digits of its numbers.
        asked: As of when, in UTC.
        units: In which unit a column comes, where that was said.
        path: The file that it was read from.
    """

    question: dict[str, Any]
    reply: dict[str, Any]
    asked: datetime
    units: Mapping[str, str] = field(default_factory=dict)
    path: Path = Path()


@dataclass(frozen=True, slots=True)
class _Number:
    """A number as it was written, where Python would write it otherwise: ``1.50``, ``1E2``, or too many digits."""

    text: str


_DIGITS_OF_INT = 4_000  # beyond which Python does not read


def _loads(content: str | bytes) -> Any:
    """Return JSON with its numbers as they are written.

    Raises:
        ValueError: It is none.
        RecursionError: It is too deep.
    """
    return json.loads(content, parse_int=_int, parse_float=_float, parse_constant=_refuse)


def _int(text: str) -> int | _Number:
    return int(text) if len(text) < _DIGITS_OF_INT and text != "-0" else _Number(text)


def _float(text: str) -> float | _Number:
    return number if repr(number := float(text)) == text else _Number(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False)


def flat(value: Any) -> str:
    """Return *value* as JSON on one line; numbers that were read here keep their digits."""
    try:
        return _ENCODER.encode(value)
    except TypeError:  # somewhere in it is a number as it was written
        pass
    if isinstance(value, dict):
        return f"{{{', '.join([f'{flat(key)}: {flat(one)}' for key, one in value.items()])}}}"
    return f"[{', '.join([flat(one) for one in value])}]" if isinstance(value, list) else str(value.text)


# --- which question it is ---------------------------------------------------------------------------------------------


def identity(question: Mapping[str, Any]) -> str:
    """Return what two elements of ``queries`` have in common if they ask the same under whatever name."""
    asked = {word: value for word, value in question.items() if word != "name"}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def unranged(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return *question* without the range, of which only step and zone are left."""
    span = {word: value for word, value in question.get("timeRange", {}).items() if word not in ("start", "end")}
    return {**question, "timeRange": span}


def file_name(question: Mapping[str, Any]) -> str:
    """Return the name of the file for *question*: what it asks for, since when, and a hash that tells it from others.

    Examples:
        >>> from vapi_frames import vq
        >>> file_name(vq.call().sum("cost").by("type").step("day").during("2026-10").body()["queries"][0])
        'sumCost-type-day-2026-10-01-d4913110b4.json'
    """
    span = question.get("timeRange", {})
    words = [one["alias"] for one in question["operations"][:2]]
    words += [*question.get("groupBy", ()), *(one["key"] for one in question.get("groupByVariableValue", ()))]
    words += [span.get("step", ""), span.get("start", "")[:10]]
    head = re.sub(r"[^A-Za-z0-9.-]+", "_", "-".join(filter(None, words)))[:_HEAD].strip("._-")
    return f"{head or 'question'}-{identity(question)[:_DIGITS]}.json"


def replies_to(content: bytes, names: Sequence[str]) -> list[dict[str, Any]] | None:
    """Return the elements of a reply, in the order of the *names* that were asked.

    ``None`` where it is not what the contract says: whoever reads it will say why.
    """
    try:
        found = _loads(content)
        found = [found] if isinstance(found, dict) else found
        if not isinstance(found, list) or not all(map(_is_reply, found)):
            return None
        return [found[place] for place in match_replies([one["name"] for one in found], names)]
    except (ValueError, RecursionError):  # of ours, the answer to a question is missing
        return None


def _is_reply(one: Any) -> bool:
    kinds = {"name": str, "timeRange": dict, "result": list}
    return isinstance(one, dict) and all(type(one.get(word)) is kind for word, kind in kinds.items())


# --- the file ---------------------------------------------------------------------------------------------------------


def write(folder: Path, recording: Recording) -> Path:
    """Write *recording* into *folder*, in place of an earlier one of its question; return the file.

    Raises:
        OSError: It cannot be written there.
        UnicodeEncodeError: A text is none that a file can hold.
    """
    content = _document(recording).encode()
    target = folder / file_name(recording.question)
    part = folder / f".{target.name}.{os.getpid()}.{threading.get_ident()}.part"
    try:
        part.write_bytes(content)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _document(recording: Recording) -> str:
    parts = {
        "format": flat(_FORMAT),
        "asked": flat(format_iso(recording.asked)),
        **({"units": flat(dict(recording.units))} if recording.units else {}),
        "query": _block(recording.question),
        "reply": _block(recording.reply),
    }
    entries = ",\n".join(f'  "{name}": {text}' for name, text in parts.items())
    return f"{{\n{entries}\n}}\n"


def _block(value: dict[str, Any]) -> str:
    """Return an object with a line for each entry, and for each row."""
    entries = []
    for key, one in value.items():
        text = flat(one)
        if isinstance(one, list) and one and all(isinstance(row, dict) for row in one):
            rows = ",\n".join([f"      {flat(row)}" for row in one])
            text = f"[\n{rows}\n    ]"
        entries.append(f"    {flat(key)}: {text}")
    return "{\n" + ",\n".join(entries) + "\n  }"


def read_all(folder: Path) -> list[Recording]:
    """Return the recordings of *folder*, in the order of their files' names.

    Raises:
        ReplayMissError: There is none, or a JSON file in it is none that can be read.
    """
    if not folder.is_dir():
        what = "is a file, not a folder of recordings" if folder.exists() else "is not there"
        raise ReplayMissError(f"{folder} {what}; vf.record({str(folder)!r}) makes a folder, and answers to fill it")
    paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    if not paths:
        raise ReplayMissError(f"there is no recording in {folder}; vf.record({str(folder)!r}) answers, and makes them")
    return [read(path) for path in paths]


def read(path: Path) -> Recording:
    """Return the recording in the file at *path*.

    Raises:
        ReplayMissError: It is none, or not whole, or cannot be read.
    """
    try:
        found = _loads(path.read_bytes())
    except OSError as error:
        raise ReplayMissError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ReplayMissError(f"{path} is not whole JSON ({error}): record its question again, or remove it") from None
    if not isinstance(found, dict) or not {"format", "asked", "query", "reply"} <= found.keys():
        raise ReplayMissError(f"{path} is no recording; keep recordings in a folder of their own")
    if found["format"] != _FORMAT:
        said = f"{path} has the format {format_value(found['format'])}, and this version of vapi-frames reads {_FORMAT}"
        raise ReplayMissError(f"{said}: record its question again")
    try:
        parse_request({"queries": [found["query"]]})
        if not _is_reply(found["reply"]):
            raise ValueError("the reply lacks name, timeRange or result")  # noqa: TRY301 - handled alike
        asked = parse_now(found["asked"])
        units = check_units(found.get("units"))
    except (AttributeError, QueryError, TypeError, ValueError) as error:
        raise ReplayMissError(f"{path} was changed ({error}): record its question again, or remove it") from None
    return Recording(found["query"], found["reply"], asked, units, path)
