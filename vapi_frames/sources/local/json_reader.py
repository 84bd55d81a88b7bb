"""JSON files of call records, read a piece at a time and kept as Parquet.

A file is an array, one object a line, or objects one after another; each is a call, a page of calls, or the report of
a call's end. Only the part that is being decoded is in memory, so a file may be larger than it.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, cast

from vapi_frames.errors import RecordsError, format_value
from vapi_frames.sources.records.columns import KEPT_VARIABLES, OPTIONAL
from vapi_frames.sources.records.flatten import WORDS, calls_in, column_type, flat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vapi_frames.sources.records.flatten import LeftOut

__all__ = ["Kept", "is_json"]

_LINES = (".jsonl", ".ndjson")
_AT_ONCE = 1 << 20  # characters that are read at once
_LONGEST = 1 << 27  # characters of one value; the elements of an array count one by one
_TOKEN = 16  # no token but a string is longer, so a value that is cut off fails this near to the cut
_ROWS = 20_000  # calls that are held as Python objects before they are written
_CUT = "the file ends within a value, as if it had been cut off"
_TOO_DEEP = "it is nested too deeply"
_TOO_LONG = f"a value is longer than {_LONGEST:,} characters"
_BLANK = re.compile(r"[ \t\r\n]*")


def is_json(path: str, endings: tuple[str, ...] = (".json", *_LINES)) -> bool:
    """Say whether *path* is called like a JSON file; it may be compressed by gzip."""
    return path.lower().removesuffix(".gz").endswith(endings)


class Kept:
    """Calls kept as Parquet: the flat columns that were met, and a map of the variables.

    A further file is begun where a column is met for the first time, so that no file has a column for nothing.

    Attributes:
        paths: The Parquet files, in order.
        calls: How many calls they hold, once closed.
        keys: The variables that were met, in order.
    """

    def __init__(self, new_path: Callable[[], str]) -> None:
        self._new_path = new_path
        self._rows: list[tuple[dict[str, Any], dict[str, str | None]]] = []
        self._writer: Any = None
        self._columns: list[str] = []
        self._met: set[str] = {"createdAt", *OPTIONAL}
        self.paths: list[str] = []
        self.calls = 0
        self.keys: dict[str, None] = {}

    def read(self, path: str, left_out: LeftOut) -> None:
        """Add the calls of a JSON file.

        Raises:
            RecordsError: A call cannot be read and is not to be left out, or the file is not JSON.
        """
        decoder = _Decoder()
        number = 0
        try:
            for line, value in _values(path, decoder):
                for call in calls_in(value):
                    number += 1
                    try:
                        self._rows.append(flat(_sound(call, decoder)))
                        self.calls += 1
                    except RecordsError as error:
                        said = f"{path!r}, line {line} (call {number}): {error}"
                        left_out.add(RecordsError(said, file=path, line=line, column=error.column))
                if len(self._rows) >= _ROWS:
                    self._write()
        except UnicodeDecodeError as error:
            raise RecordsError(f"{path!r} is not text: {error}", file=path) from error
        except (OSError, EOFError, zlib.error) as error:
            raise RecordsError(f"{path!r} cannot be read: {error}", file=path) from error

    def close(self) -> None:
        """Write what is left."""
        self._write()
        self._end_file()

    def _end_file(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self) -> None:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        if not self._rows:
            return
        rows, self._rows = self._rows, []
        self._met.update(*(values for values, _ in rows))
        self.keys.update(dict.fromkeys(key for _, variables in rows for key in variables))
        columns = [word for word in WORDS if word in self._met]
        schema = pa.schema([(name, column_type(name)) for name in columns])
        schema = schema.append(pa.field(KEPT_VARIABLES, pa.map_(pa.string(), pa.string())))
        held = [[values.get(name) for values, _ in rows] for name in columns]
        held.append([list(variables.items()) for _, variables in rows])
        table = pa.table([pa.array(some, type_) for some, type_ in zip(held, schema.types, strict=True)], schema=schema)
        try:
            if columns != self._columns:
                self._end_file()
                self.paths.append(self._new_path())
                self._writer = ParquetWriter(self.paths[-1], schema, compression="zstd")
                self._columns = columns
            self._writer.write_table(table)
        except (OSError, pa.ArrowException) as error:
            raise RecordsError(f"the calls cannot be kept in {self.paths[-1]!r}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Broken:
    """Stands for a value that could not be decoded."""

    reason: str


class _Twins(dict[str, Any]):
    """An object in which a key stood twice; the last one is kept, as everywhere, but not in silence."""

    twin = ""


class _Decoder(json.JSONDecoder):
    """Decodes one value after another, and remembers whether any object had a key twice."""

    def __init__(self) -> None:
        self.has_met_twins = False
        super().__init__(object_pairs_hook=self._made)

    def _made(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            made = _Twins(made)
            names = [name for name, _ in pairs]
            made.twin = next(name for name in names if names.count(name) > 1)
            self.has_met_twins = True
        return made


def _sound(call: Any, decoder: _Decoder) -> Any:
    """Return *call* if nothing is wrong with its JSON."""
    if isinstance(call, _Broken):
        raise RecordsError(call.reason)
    if decoder.has_met_twins:
        _check_twins(call)
    return call


def _check_twins(value: Any) -> None:
    if isinstance(value, _Twins):
        raise RecordsError(f"an object of it has the key {format_value(value.twin)} twice")
    try:
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            _check_twins(one)
    except RecursionError:
        raise RecordsError(_TOO_DEEP) from None


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.colno}"
    return _TOO_DEEP if isinstance(error, RecursionError) else "a number has too many digits"


def _open(path: str) -> TextIO:
    """Open a file in the encoding that its first bytes tell; bytes that are no UTF-8 become what no text holds."""
    opener = cast("Callable[..., Any]", gzip.open if path.lower().endswith(".gz") else open)
    with opener(path, "rb") as file:
        encoding = json.detect_encoding(file.read(4))
    # Only "\n" ends a line: whatever else does so elsewhere may stand inside a string.
    return cast("TextIO", opener(path, "rt", encoding=encoding, errors="surrogateescape", newline="\n"))


def _is_text(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _values(path: str, decoder: _Decoder) -> Iterator[tuple[int, Any]]:
    """Yield the values of a file, each with the line on which it begins; a top-level array stands for its elements."""
    is_in_lines = is_json(path, _LINES)
    with _open(path) as file:
        line = 1
        while (first := file.read(1)) and first in " \t\r\n":
            line += first == "\n"
        if not first and not is_in_lines:
            raise RecordsError(f"{path!r} is empty, which is not JSON", file=path)
        head = first if first == "[" else first + file.readline(_LONGEST)
        if is_in_lines and head.strip() not in ("[", "{"):
            has_lines = True
        else:
            has_lines = first != "[" and not isinstance(next(_in_line(head, decoder), _Broken("")), _Broken)
        if has_lines:
            yield from _in_lines(file, head, line, decoder)
        else:
            yield from _Text(file, head, line, path, decoder).values()


def _in_lines(file: TextIO, head: str, line: int, decoder: _Decoder) -> Iterator[tuple[int, Any]]:
    """Yield what stands on each line, also where another line is broken."""
    text = head
    while text:
        if len(text) >= _LONGEST and not text.endswith("\n"):
            yield line, _Broken(_TOO_LONG)
            while text and not text.endswith("\n"):
                text = file.readline(_LONGEST)
        else:
            for value in _in_line(text, decoder):
                yield line, value
        text = file.readline(_LONGEST)
        line += 1


def _in_line(text: str, decoder: _Decoder) -> Iterator[Any]:
    if not _is_text(text):
        yield _Broken("it is not UTF-8 text")
        return
    at = _end_of_blank(text, 0)
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            yield _Broken(f"it is not JSON: {_reason(error)}")
            return
        yield value
        at = _end_of_blank(text, at)


def _end_of_blank(text: str, at: int) -> int:
    return cast("re.Match[str]", _BLANK.match(text, at)).end()


class _Text:
    """A file's text, of which only what is being decoded is in memory."""

    def __init__(self, file: TextIO, text: str, line: int, path: str, decoder: _Decoder) -> None:
        self._file = file
        self._text = text
        self._at = 0
        self._counted = 0
        self._line = line
        self._path = path
        self._decoder = decoder

    def values(self) -> Iterator[tuple[int, Any]]:
        """Yield each value, or each element of an array, with the line on which it begins.

        Raises:
            RecordsError: What comes is not JSON; nothing says where the next value would begin.
        """
        while first := self._next():
            if first != "[":
                yield self._here(), self._value()
                continue
            self._at += 1
            mark = self._next()
            while mark != "]":
                self._next()
                yield self._here(), self._value()
                mark = self._next()
                if mark == ",":
                    self._at += 1
                    if self._next() == "]":
                        raise self._broken("a comma before the end of the array")
                elif mark != "]":
                    raise self._broken("an array goes on without a comma" if mark else _CUT)
            self._at += 1

    def _value(self) -> Any:
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                is_in_text = self._text.startswith('"', error.pos)
                may_be_cut = is_in_text or error.pos >= len(self._text) - _TOKEN
                fails_at = error.pos - self._at  # reading on moves what is held
                if may_be_cut and len(self._text) - self._at >= _LONGEST:
                    raise self._broken(_TOO_LONG) from None
                if may_be_cut and self._read_on():
                    continue
                if is_in_text or not self._text[self._at + fails_at :].strip():
                    raise self._broken(_CUT) from None
                self._at += fails_at
                raise self._broken(error.msg) from None
            except (ValueError, RecursionError) as error:
                raise self._broken(_reason(error)) from None
            if end == len(self._text) and self._read_on():
                continue
            if not self._text.isascii() and not _is_text(self._text[self._at : end]):
                value = _Broken("it is not UTF-8 text")
            self._at = end
            return value

    def _next(self) -> str:
        """Go to the next character that is not blank, and return it; nothing at the end."""
        while True:
            self._at = _end_of_blank(self._text, self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def _read_on(self) -> bool:
        """Read more, twice as much where a value is long, and forget what was decoded."""
        self._here()
        more = self._file.read(max(_AT_ONCE, len(self._text) - self._at))
        self._text = self._text[self._at :] + more
        self._at = self._counted = 0
        return bool(more)

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _broken(self, reason: str) -> RecordsError:
        line = self._here()
        return RecordsError(
            f"{self._path!r}, line {line}: it is not JSON from here on: {reason}", file=self._path, line=line
        )
