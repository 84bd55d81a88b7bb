"""A part of the cache: rows of whole buckets of one query, and the authenticated head that says what they are.

The head names the query, the range, the time of the fetch and how dates were read, and has the digest of the rows. A
message authentication code of the head makes a part that was altered, or copied to another query, worth nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from vapi_frames.calendar import buckets
from vapi_frames.query import code as query_code
from vapi_frames.query.schema import build_schema
from vapi_frames.sources.api.pieces import Segment

if TYPE_CHECKING:
    from vapi_frames.query.aggregation import Aggregation
    from vapi_frames.query.query import Query

__all__ = [
    "VERSION",
    "Head",
    "check",
    "check_edges",
    "cut",
    "decode",
    "encode",
    "format_query",
    "join",
    "list_offsets",
    "query_key",
    "read_head",
]

VERSION = 2  # of the parts: raise it when replies are read differently, or when a part is encoded differently


# --- queries ------------------------------------------------------------------------------------------------------


def format_query(query: Query[Any], host: str) -> str:
    """Return all that a result depends on except the range, as JSON text.

    The title, the aliases of measures and the order of a filter's values are left out.
    """
    filters = [(column, sorted(values, key=lambda one: (one is None, one or ""))) for column, values in query.filters]
    parts = {
        "version": VERSION,
        "host": host,
        "table": query.table,
        "measures": [(one.operation, one.column) for one in query.measures],
        "groups": query.groups,
        "variables": query.variables,
        "outputs": query.outputs,
        "filters": filters,
        "step": query.time_step,
        "zone": query.zone.key,
        "dated": query.is_dated,
    }
    return json.dumps(parts, sort_keys=True, separators=(",", ":"))


def format_code(query: Query[Any]) -> str:
    """Return the code that builds *query* without its range, title and aliases."""
    measures: list[Aggregation] = []
    for one in query.measures:
        plain = replace(one, alias=None)
        # One measure may occur under several names.
        measures.append(plain if plain not in measures else replace(one, alias=f"{plain.name}{len(measures) + 1}"))
    return query_code.format_code(
        replace(
            query,
            aggregations=tuple(measures),
            time_range=None,
            title=None,
            has_counts=False,
            timezone=None if query.zone.key == "UTC" else query.zone.key,
        )
    )


def query_key(secret: str, text: str) -> bytes:
    """Return what identifies a query's parts in the file: under another secret it is different."""
    return _sign(secret, b"query", text.encode())


# --- parts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a part without its rows.

    Attributes:
        query: The query, as `format_query` writes it.
        code: The query, as `format_code` writes it.
        start: As in `Segment`.
        end: As in `Segment`.
        rows: How many there are.
        convention: As in `Segment`.
        is_assumed: As in `Segment`.
        fetched: When, in UTC, as ISO text.
        offsets: The zone's offsets in the range, see `list_offsets`.
        digest: SHA-256 of the encoded rows.
    """

    query: str
    code: str
    start: int
    end: int
    rows: int
    convention: Literal["instant", "wall"] | None
    is_assumed: bool
    fetched: str
    offsets: list[list[int]]
    digest: str

    def agrees_with(self, other: Head | Segment) -> bool:
        """Return whether the dates of both were read by one convention; where either fits, it does."""
        if self.convention is None or other.convention is None:
            return True
        return (self.convention, self.is_assumed) == (other.convention, other.is_assumed)


def encode(segment: Segment, query: Query[Any], text: str, secret: str) -> tuple[bytes, bytes, bytes]:
    """Return a segment as a part: its head, the head's authentication code, its rows."""
    sink = pa.BufferOutputStream()
    table = segment.table.rename_columns(_stored_schema(query).names).combine_chunks()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    payload = sink.getvalue().to_pybytes()
    head = {
        "query": text,
        "code": format_code(query),
        "start": segment.start,
        "end": segment.end,
        "rows": table.num_rows,
        "convention": segment.convention,
        "is_assumed": segment.is_assumed,
        "fetched": segment.fetched.astimezone(UTC).isoformat(),
        "offsets": list_offsets(query, segment.start, segment.end),
        "digest": hashlib.sha256(payload).hexdigest(),
    }
    line = json.dumps(head, separators=(",", ":")).encode()
    return line, _sign(secret, b"part", line), payload


def read_head(line: object, mac: object, text: str, secret: str) -> Head | None:
    """Return the head of a part, ``None`` unless it was written with this secret for this query."""
    if not isinstance(line, bytes) or not isinstance(mac, bytes):
        return None
    if not hmac.compare_digest(mac, _sign(secret, b"part", line)):
        return None
    head = Head(**json.loads(line))
    return head if head.query == text else None


def decode(head: Head, payload: object, query: Query[Any]) -> Segment | None:
    """Return the segment of an authenticated *head*, ``None`` unless *payload* is what was encoded with it."""
    if not isinstance(payload, bytes) or hashlib.sha256(payload).hexdigest() != head.digest:
        return None
    table = pa.ipc.open_stream(payload).read_all()
    if not table.schema.equals(_stored_schema(query)):
        return None
    table = table.rename_columns(build_schema(query).names)
    return Segment(head.start, head.end, table, head.convention, head.is_assumed, datetime.fromisoformat(head.fetched))


def _stored_schema(query: Query[Any]) -> pa.Schema:
    """Return the schema of the query's result with names by position: aliases do not matter."""
    wanted = build_schema(query)
    return pa.schema([field.with_name(f"c{at}") for at, field in enumerate(wanted)])


def _sign(secret: str, purpose: bytes, content: bytes) -> bytes:
    return hmac.digest(secret.encode(), purpose + b"\n" + content, "sha256")


# --- ranges -------------------------------------------------------------------------------------------------------


def check(segment: Segment, query: Query[Any]) -> None:
    """Raise `ValueError` unless *segment* can be a part of the result of *query*."""
    if not segment.start < segment.end:
        raise ValueError(f"the range is empty: {segment.start} to {segment.end}")
    if segment.fetched.tzinfo is None:
        raise ValueError(f"the time of the fetch is {segment.fetched}, without a zone: pass it in UTC")
    if segment.is_assumed and segment.convention != "instant":
        raise ValueError(f"only the convention 'instant' can be assumed, not {segment.convention!r}")
    if not segment.table.schema.equals(build_schema(query)):
        wanted = f"the result of {query_code.format_code(query)} has {build_schema(query)}"
        raise ValueError(f"the table has {segment.table.schema}; {wanted}")
    if query.time_step is None:
        return
    check_edges(query, segment.start, segment.end)
    if segment.table.num_rows:
        dates = segment.table.column("date")
        extent = pc.call_function("min_max", [dates.cast(pa.int64())]).as_py()
        first, after = _labels(query, segment.start, segment.end)
        if dates.null_count or not first <= extent["min"] <= extent["max"] < after:
            raise ValueError(f"a row lies outside the buckets from {segment.start} to {segment.end}")


def check_edges(query: Query[Any], *instants: int) -> None:
    """Raise `ValueError` if an instant is within a bucket; without a step there are no buckets."""
    step, tz = query.time_step, query.zone
    if step is None:
        return
    for at in instants:
        before, after = (
            buckets.find_bounds(buckets.floor_to_bucket(side, step, tz), step, tz) for side in (at - 1, at)
        )
        if not before.end == at == after.start:
            raise ValueError(f"{at} is not an edge between two buckets (step {step}, zone {tz.key})")


def cut(segment: Segment, query: Query[Any], start: int, end: int) -> Segment:
    """Return the part of *segment* from *start* to *end*, both edges between its buckets."""
    if (start, end) == (segment.start, segment.end):
        return segment
    # By labels, not by instants: a day on which midnight comes twice begins at the first, and is named by the second.
    low, high = _labels(query, start, end)
    dates = segment.table.column("date").cast(pa.int64())
    from_low = pc.call_function("greater_equal", [dates, pa.scalar(low)])
    to_high = pc.call_function("less", [dates, pa.scalar(high)])
    table = segment.table.filter(pc.call_function("and", [from_low, to_high]))
    return replace(segment, start=start, end=end, table=table)


def join(before: Segment, after: Segment) -> Segment:
    """Return two segments that touch, and that agree on their dates, as one; it is as old as the older of them."""
    decisive = after if before.convention is None else before
    table = pa.concat_tables([before.table, after.table])
    return replace(decisive, start=before.start, end=after.end, table=table, fetched=min(before.fetched, after.fetched))


def list_offsets(query: Query[Any], start: int, end: int) -> list[list[int]]:
    """Return the zone's offsets around [start, end), each with the instant from which it holds.

    Zone data is corrected from time to time, also for the past; then buckets that were cut by the old offsets are not
    those of the query.
    """
    if query.time_step is None:
        return []
    return [
        [at, offset] for at, _, offset in buckets.split_by_offset(start - buckets.DAY, end + buckets.DAY, query.zone)
    ]


def _labels(query: Query[Any], *instants: int) -> list[int]:
    """Return the dates of the buckets that hold *instants* as a table has them, in microseconds since 1970."""
    step = query.time_step or ""
    return [1_000_000 * buckets.floor_to_bucket(at, step, query.zone) for at in instants]
