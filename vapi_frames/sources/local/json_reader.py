"""JSON files of call records, read in pieces.

A file is an array, one value a line, or values one after another; a value is a call, a page of calls, or the report of
a call's end. Only the value that is being decoded is in memory, so a file may be larger than memory.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, cast

from vapi_frames.contract.json_size import MOST_PARTS, has_too_many_parts
from vapi_frames.errors import RecordsError, format_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from vapi_frames.sources.records.flatten import SkippedRecords

__all__ = ["JsonDecoder", "begins_like_json", "check_value", "decode_texts", "is_json", "longest_value", "read_values"]

_LINES = (".jsonl", ".ndjson")
_CHUNK = 1 << 20  # characters that are read together
_LONGEST = 1 << 26  # characters of one value; each element of an array is a value
_TOKEN = 16  # a token that is no string is shorter, so where a value is cut off, decoding fails this near to its end
_CUT_OFF = "the file ends within a value, as if it had been cut off"
_TOO_DEEP = "it is nested too deeply"
_CURE = "write each call on a line of its own, and leave out what no query uses"
_TOO_LONG = f"a value is longer than {_LONGEST:,} characters: {_CURE}"
_TOO_MANY = f"a value holds more than {MOST_PARTS:,} keys and values: {_CURE}"
_BLANK = re.compile(r"[ \t\r\n]*")


def is_json(path: str, endings: tuple[str, ...] = (".json", *_LINES)) -> bool:
    """Return whether *path* has the name of a JSON file; it may be compressed by gzip."""
    return path.lower().removesuffix(".gz").endswith(endings)


def longest_value() -> int:
    """Return how many characters a value may have."""
    return _LONGEST


def begins_like_json(path: str) -> bool:
    """Return whether the first character of a file, in the encoding that its first bytes show, begins JSON."""
    try:
        with _open(path) as file:
            return file.read(64).lstrip("\ufeff \t\r\n")[:1] in ("{", "[")
    except (OSError, EOFError, UnicodeError, zlib.error):
        return False


@dataclass(frozen=True, slots=True)
class _InvalidValue:
    """Replaces a value that could not be decoded."""

    reason: str


class DuplicateKeyDict(dict[str, Any]):
    """A JSON object that has a key twice; it has the last value, as in other decoders, and remembers the key."""

    duplicate_key = ""


class JsonDecoder(json.JSONDecoder):
    """Decodes JSON, and remembers whether any object had a key twice."""

    def __init__(self) -> None:
        self.has_duplicate_keys = False
        super().__init__(object_pairs_hook=self._make_object)

    def _make_object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            made = DuplicateKeyDict(made)
            names = [name for name, _ in pairs]
            made.duplicate_key = next(name for name in names if names.count(name) > 1)
            self.has_duplicate_keys = True
        return made


def check_value(value: Any, decoder: JsonDecoder) -> Any:
    """Return *value*.

    Raises:
        RecordsError: It could not be decoded, or has an object with the same key twice.
    """
    if isinstance(value, _InvalidValue):
        raise RecordsError(value.reason)
    if decoder.has_duplicate_keys:
        _check_keys(value)
    return value


def _check_keys(value: Any) -> None:
    if isinstance(value, DuplicateKeyDict):
        raise RecordsError(f"an object of it has the key {format_value(value.duplicate_key)} twice")
    try:
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            _check_keys(one)
    except RecursionError:
        raise RecordsError(_TOO_DEEP) from None


def _describe(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.colno}"
    return _TOO_DEEP if isinstance(error, RecursionError) else "a number has too many digits"


def _open(path: str) -> TextIO:
    """Open a file in the encoding that its first bytes show; what is no UTF-8 becomes characters that no text has."""
    opener = cast("Callable[..., Any]", gzip.open if path.lower().endswith(".gz") else open)
    with opener(path, "rb") as file:
        encoding = json.detect_encoding(file.read(4))
    # Only "\n" ends a line: other line ends may be inside a string.
    return cast("TextIO", opener(path, "rt", encoding=encoding, errors="surrogateescape", newline="\n"))


def _is_text(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def read_values(path: str, decoder: JsonDecoder) -> Iterator[tuple[int, Any]]:
    """Yield the values of a file, each with the line on which it begins; of a top-level array, its elements."""
    is_named_lines = is_json(path, _LINES)
    with _open(path) as file:
        line = 1
        while (first := file.read(1)) and first in " \t\r\n":
            line += first == "\n"
        if not first and not is_named_lines:
            raise RecordsError(f"{path!r} is empty, which is not JSON", file=path)
        head = first if first == "[" else first + file.readline(_LONGEST)
        if is_named_lines and head.strip() not in ("[", "{"):
            has_lines = True
        else:
            has_lines = first != "[" and not isinstance(
                next(_decode_line(head, decoder), _InvalidValue("")), _InvalidValue
            )
        if has_lines:
            yield from _read_lines(file, head, line, decoder)
        else:
            yield from StreamingJsonReader(file, head, line, path, decoder).values()


def _read_lines(file: TextIO, head: str, line: int, decoder: JsonDecoder) -> Iterator[tuple[int, Any]]:
    """Yield the values of each line; an invalid line does not affect the others."""
    text = head
    while text:
        if len(text) >= _LONGEST and not text.endswith("\n"):
            yield line, _InvalidValue(_TOO_LONG)
            while text and not text.endswith("\n"):
                text = file.readline(_LONGEST)
        else:
            for value in _decode_line(text, decoder):
                yield line, value
        text = file.readline(_LONGEST)
        line += 1


def _decode_line(text: str, decoder: JsonDecoder) -> Iterator[Any]:
    if not _is_text(text):
        yield _InvalidValue("it is not UTF-8 text")
        return
    at = _skip_blank(text, 0)
    is_large = has_too_many_parts(text)
    while at < len(text):
        if is_large and has_too_many_parts(text, at):
            yield _InvalidValue(_TOO_MANY)
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            yield _InvalidValue(f"it is not JSON: {_describe(error)}")
            return
        yield value
        at = _skip_blank(text, at)


def decode_texts(texts: Iterable[Any], skipped: SkippedRecords) -> Iterator[Any]:
    """Yield the values of JSON *texts*; what is no text is a value already.

    Raises:
        RecordsError: A text is not JSON, and is not skipped.
    """
    decoder = JsonDecoder()
    for position, text in enumerate(texts, 1):
        for value in _decode_line(text, decoder) if isinstance(text, str) else [text]:
            try:
                yield check_value(value, decoder)
            except RecordsError as error:
                skipped.add(error, f"text {position}", line=position)


def _skip_blank(text: str, at: int) -> int:
    return cast("re.Match[str]", _BLANK.match(text, at)).end()


class StreamingJsonReader:
    """Decodes the values of a file one by one; only the value that is being decoded is in memory."""

    def __init__(self, file: TextIO, text: str, line: int, path: str, decoder: JsonDecoder) -> None:
        self._file = file
        self._text = text
        self._at = 0
        self._counted = 0
        self._line = line
        self._path = path
        self._decoder = decoder
        self._is_large = False  # whether the text that was read may hold too much for one value

    def values(self) -> Iterator[tuple[int, Any]]:
        """Yield each value, or each element of an array, with the line on which it begins.

        Raises:
            RecordsError: The text is not JSON; nothing shows where the next value begins.
        """
        while first := self._next():
            if first != "[":
                yield self._current_line(), self._decode()
                continue
            self._at += 1
            mark = self._next()
            while mark != "]":
                self._next()
                yield self._current_line(), self._decode()
                mark = self._next()
                if mark == ",":
                    self._at += 1
                    if self._next() == "]":
                        raise self._error("a comma before the end of the array")
                elif mark != "]":
                    raise self._error("an array goes on without a comma" if mark else _CUT_OFF)
            self._at += 1

    def _decode(self) -> Any:
        while True:
            if self._is_large and has_too_many_parts(self._text, self._at):
                raise self._error(_TOO_MANY)
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                is_in_string = self._text.startswith('"', error.pos)
                may_be_cut = is_in_string or error.pos >= len(self._text) - _TOKEN
                fails_at = error.pos - self._at  # reading more moves the text
                if may_be_cut and len(self._text) - self._at >= _LONGEST:
                    raise self._error(_TOO_LONG) from None
                if may_be_cut and self._read_more():
                    continue
                if is_in_string or not self._text[self._at + fails_at :].strip():
                    raise self._error(_CUT_OFF) from None
                self._at += fails_at
                raise self._error(error.msg) from None
            except (ValueError, RecursionError) as error:
                raise self._error(_describe(error)) from None
            if end == len(self._text) and self._read_more():
                continue
            if not self._text.isascii() and not _is_text(self._text[self._at : end]):
                value = _InvalidValue("it is not UTF-8 text")
            self._at = end
            return value

    def _next(self) -> str:
        """Move to the next character that is not blank, and return it; nothing at the end."""
        while True:
            self._at = _skip_blank(self._text, self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_more():
                return ""

    def _read_more(self) -> bool:
        """Read another chunk, of twice the size where a value is long, and drop what was decoded."""
        self._current_line()
        more = self._file.read(max(_CHUNK, len(self._text) - self._at))
        self._text = self._text[self._at :] + more
        self._at = self._counted = 0
        self._is_large = has_too_many_parts(self._text)
        return bool(more)

    def _current_line(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _error(self, reason: str) -> RecordsError:
        line = self._current_line()
        return RecordsError(
            f"{self._path!r}, line {line}: it is not JSON from here on: {reason}", file=self._path, line=line
        )
