"""Rows of whole buckets as one file: it knows which question they answer, and any byte that changed is noticed.

The file is Parquet that every reader opens. Page checksums leave out page headers and the footer, so a seal of two
SHA-256 digests stands between the last page and the footer, where no reader looks: one of all before it, and one of
that digest and all after it. The second lets the footer alone be read and trusted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vapi_frames.calendar import buckets
from vapi_frames.query.schema import build_schema
from vapi_frames.sources.api.pieces import Segment

if TYPE_CHECKING:
    from pathlib import Path

    from vapi_frames.query.query import Query

__all__ = [
    "BrokenError",
    "Head",
    "check",
    "check_edges",
    "cut",
    "is_own",
    "is_part",
    "is_rubbish",
    "joined",
    "name_of",
    "offsets",
    "peek",
    "range_of",
    "read",
    "write",
]

_How: TypeAlias = Literal["instant", "wall"]

BROKEN = ".broken"
_MARK = b"vapi_frames.segment"
_DIGEST = 32
_ASIDE = 7 * buckets.DAY  # how long a file that was set aside is there for whoever wants to know why
_END = b"PAR1"
_TAIL = 65_536  # bytes that are read for the footer at first; few are longer
_NAME = re.compile(r"(-?\d{1,15})-(-?\d{1,15})\.parquet")
_PART = re.compile(r"\." + _NAME.pattern + r"\.([0-9a-f]{8})\.(\d{1,15})\.[0-9a-f]{16}\.part")
# A process id means something on one machine only, and the folder may be on a disk that several share.
_MACHINE = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


class BrokenError(Exception):
    """The file is not what was written there."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of itself.

    Attributes:
        question: The question, as text that differs between any two questions.
        start: As in `Segment`.
        end: As in `Segment`.
        rows: How many there are.
        reading: As in `Segment`.
        assumed: As in `Segment`.
        asked: As in `Segment`.
        offsets: The zone's offsets in the range, by which the buckets were cut; see `offsets`.
    """

    question: str
    start: int
    end: int
    rows: int
    reading: _How | None
    assumed: bool
    asked: datetime
    offsets: list[list[int]]

    def fits(self, other: Head | Segment) -> bool:
        """Say whether the dates of both were read in the same way."""
        if self.reading is None or other.reading is None:
            return True
        return (self.reading, self.assumed) == (other.reading, other.assumed)


# --- names --------------------------------------------------------------------------------------------------------


def name_of(start: int, end: int) -> str:
    """Return the name of the file that holds [start, end)."""
    return f"{start}-{end}.parquet"


def range_of(name: str) -> tuple[int, int] | None:
    """Return the range that a file called *name* holds, ``None`` for a file of another kind.

    Examples:
        >>> range_of("-3600-7200.parquet")
        (-3600, 7200)
    """
    found = _NAME.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def is_own(name: str) -> bool:
    """Say whether this package gives files names like *name*: answers, what was set aside, what is being written."""
    return range_of(name) is not None or _is_broken(name) or is_part(name)


def is_part(name: str) -> bool:
    """Say whether *name* is that of a file that is, or was, being written."""
    return _PART.fullmatch(name) is not None


def is_rubbish(path: Path, left_over: float) -> bool:
    """Say whether nobody needs the file *path*.

    Args:
        path: An answer never is rubbish; what was set aside is after a while, and what was to be written where its
            writer is gone.
        left_over: Seconds after which a writer counts as gone where it cannot be looked up.

    Raises:
        OSError: The file is gone.
    """
    age = time.time() - path.stat().st_mtime
    if _is_broken(path.name):
        return age > _ASIDE
    found = _PART.fullmatch(path.name)
    return found is not None and (age > left_over or (found[3] == _MACHINE and not _is_alive(int(found[4]))))


def _is_broken(name: str) -> bool:
    return name.endswith(BROKEN) and range_of(name.removesuffix(BROKEN)) is not None


def _is_alive(process: int) -> bool:
    if os.name != "posix":  # elsewhere there is no signal that does nothing
        return True
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


# --- files --------------------------------------------------------------------------------------------------------


def write(folder: Path, segment: Segment, question: Query[Any], text: str) -> int:
    """Write *segment* into *folder*, whole or not at all, and return how many bytes that took.

    Args:
        folder: A folder that is there.
        segment: The rows.
        question: Which they answer.
        text: The same, as text that differs between any two questions.

    Raises:
        OSError: It cannot be written there.
    """
    head = {
        "question": text,
        "start": segment.start,
        "end": segment.end,
        "rows": segment.table.num_rows,
        "reading": segment.reading,
        "assumed": segment.assumed,
        "asked": segment.asked.astimezone(UTC).isoformat(),
        "offsets": offsets(question, segment.start, segment.end),
    }
    # The names that a question gives its columns are not part of what is asked.
    stored = segment.table.rename_columns(_stored(question).names)
    stored = stored.replace_schema_metadata({_MARK: json.dumps(head)})
    sink = pa.BufferOutputStream()
    pq.write_table(stored, sink, compression="zstd", write_page_checksum=True)
    content = memoryview(sink.getvalue())
    at = len(content) - _footer_length(content[-8:])
    body, footer = content[:at], content[at:]
    path = folder / name_of(segment.start, segment.end)
    part = folder / f".{path.name}.{_MACHINE}.{os.getpid()}.{secrets.token_hex(8)}.part"
    try:
        with part.open("xb") as file:
            file.writelines((body, *_seal(hashlib.sha256(body).digest(), footer), footer))
            size = file.tell()
            file.flush()
            # Else the new name may reach the disk before the content does.
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return size


def peek(path: Path, text: str | None = None) -> Head:
    """Return what the file says of itself, without its rows.

    Args:
        path: The file.
        text: The question it should answer; ``None`` for any.

    Raises:
        BrokenError: It is no such file, its footer is not as it was written, or it answers another question.
        OSError: It cannot be opened or read.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
        missing = 2 * _DIGEST + _footer_length(tail[-8:]) - len(tail)
        if missing > 0 and len(tail) == _TAIL:
            file.seek(max(0, size - len(tail) - missing))
            tail = file.read()
    return _head(path, tail, text)


def read(path: Path, question: Query[Any], text: str) -> Segment:
    """Return the segment that `write` wrote to *path*, under the names that *question* gives.

    Raises:
        BrokenError: It is not as it was written, or answers something else.
        OSError: It cannot be opened or read.
    """
    # First all bytes, then what they mean: a disk that fails is no reason to set the file aside.
    content = path.read_bytes()
    head = _head(path, content, text)
    at = len(content) - _footer_length(content[-8:]) - 2 * _DIGEST
    if hashlib.sha256(memoryview(content)[:at]).digest() != content[at : at + _DIGEST]:
        raise BrokenError("its rows are not as they were written")
    try:
        table = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True).read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BrokenError(str(error)) from error
    if table.num_rows != head.rows or not table.schema.equals(_stored(question)):
        raise BrokenError("its columns are not those of the answer")
    table = table.rename_columns(build_schema(question).names).replace_schema_metadata(None)
    return Segment(head.start, head.end, table, head.reading, head.assumed, head.asked)


def _stored(question: Query[Any]) -> pa.Schema:
    """Return the schema of the answer to *question* with names that depend on the place only."""
    wanted = build_schema(question)
    levels = len(wanted) - len(question.measures)
    names = [f"k{at}" if at < levels else f"m{at - levels}" for at in range(len(wanted))]
    return pa.schema([field.with_name(name) for field, name in zip(wanted, names, strict=True)])


def _footer_length(end: bytes | memoryview) -> int:
    """Return how many bytes a Parquet file's footer has, with its length and the mark of the *end*."""
    if len(end) != 8 or bytes(end[4:]) != _END:  # noqa: PLR2004
        raise BrokenError("it does not end as a Parquet file does")
    return int.from_bytes(end[:4], "little") + 8


def _seal(body: bytes, footer: bytes | memoryview) -> tuple[bytes, bytes]:
    """Return the seal: the digest of the *body*, and one of that and the *footer*."""
    both = hashlib.sha256(body)
    both.update(footer)
    return body, both.digest()


def _head(path: Path, tail: bytes, text: str | None) -> Head:
    """Read the head from the last bytes of the file *path*."""
    at = len(tail) - _footer_length(tail[-8:])
    if at < 2 * _DIGEST:
        raise BrokenError("it is too short")
    footer, digest = tail[at:], tail[at - 2 * _DIGEST : at - _DIGEST]
    if b"".join(_seal(digest, footer)) != tail[at - 2 * _DIGEST : at]:
        raise BrokenError("its footer is not as it was written")
    try:
        said = json.loads(pq.read_metadata(pa.BufferReader(footer)).metadata[_MARK])
        head = Head(**{**said, "asked": datetime.fromisoformat(said["asked"])})
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenError(f"it says nothing of itself: {error}") from error
    if (head.start, head.end) != range_of(path.name):
        raise BrokenError(f"it holds {name_of(head.start, head.end)}")
    if text not in (None, head.question):
        raise BrokenError("it answers another question")
    return head


# --- ranges -------------------------------------------------------------------------------------------------------


def check(segment: Segment, question: Query[Any]) -> None:
    """Raise `ValueError` unless *segment* can be kept as an answer to *question*."""
    if not segment.start < segment.end:
        raise ValueError(f"the range is empty: {segment.start} to {segment.end}")
    if segment.asked.tzinfo is None:
        raise ValueError(f"asked is {segment.asked}, without a zone; give it in UTC")
    if segment.assumed and segment.reading != "instant":
        raise ValueError(f"only the instant is assumed, not {segment.reading!r}")
    if not segment.table.schema.equals(build_schema(question)):
        raise ValueError(
            f"the table has {segment.table.schema}; the answer to {question!r} has {build_schema(question)}"
        )
    if question.time_step is None:
        return
    check_edges(question, segment.start, segment.end)
    if segment.table.num_rows:
        dates = segment.table.column("date")
        held = pc.call_function("min_max", [dates.cast(pa.int64())]).as_py()
        first, after = _stamps(question, segment.start, segment.end)
        if dates.null_count or not first <= held["min"] <= held["max"] < after:
            raise ValueError(f"a row lies outside the buckets from {segment.start} to {segment.end}")


def check_edges(question: Query[Any], *instants: int) -> None:
    """Raise `ValueError` where a bucket is under way at one of *instants*; without a step none is."""
    step, tz = question.time_step, question.zone
    if step is None:
        return
    for at in instants:
        before, after = (
            buckets.find_bounds(buckets.floor_to_bucket(side, step, tz), step, tz) for side in (at - 1, at)
        )
        if not before.end == at == after.start:
            raise ValueError(f"{at} is not an edge between two buckets of a {step} in {tz.key}")


def _stamps(question: Query[Any], *instants: int) -> list[int]:
    """Return the dates of the buckets that hold *instants*, as the table has them: in microseconds since 1970."""
    step = question.time_step or ""
    return [1_000_000 * buckets.floor_to_bucket(at, step, question.zone) for at in instants]


def cut(segment: Segment, question: Query[Any], start: int, end: int) -> Segment:
    """Return the part of *segment* between two edges of buckets that it holds."""
    if (start, end) == (segment.start, segment.end):
        return segment
    # By labels, not by instants: a day whose midnight comes twice begins at the first, and is named by the second.
    low, high = _stamps(question, start, end)
    dates = segment.table.column("date").cast(pa.int64())
    from_low = pc.call_function("greater_equal", [dates, pa.scalar(low)])
    to_high = pc.call_function("less", [dates, pa.scalar(high)])
    table = segment.table.filter(pc.call_function("and", [from_low, to_high]))
    return replace(segment, start=start, end=end, table=table)


def joined(before: Segment, after: Segment) -> Segment:
    """Return two segments that touch as one; the dates of both were read in the same way, or of one in any."""
    decisive = after if before.reading is None else before
    return Segment(
        before.start,
        after.end,
        pa.concat_tables([before.table, after.table]),
        decisive.reading,
        decisive.assumed,
        min(before.asked, after.asked),
    )


def offsets(question: Query[Any], start: int, end: int) -> list[list[int]]:
    """Return the zone's offsets around [start, end), each with the instant from which it holds.

    The data of zones are corrected, also for times that have passed; buckets that were cut by other offsets are not
    those that are asked for.
    """
    if question.time_step is None:
        return []
    segments = buckets.split_by_offset(start - buckets.DAY, end + buckets.DAY, question.zone)
    return [[at, offset] for at, _, offset in segments]
