"""The rows of a large reply as Arrow columns, where no Python object is made per value.

It reads only what has one meaning: compact JSON, rows that all have the keys of the first, a column that is all text or
all numbers. For anything else it returns nothing, and the strict reader reads the reply, or says what is wrong in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import pydantic_core

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SMALLEST", "PackedRows", "pack_rows", "split_reply"]

SMALLEST = 1 << 16
"""The bytes of a reply below which the strict reader is as fast."""
_HEAD = 1 << 16  # bytes in which the rows begin
_PIECE = 1 << 19  # bytes that are read while they are in the processor's cache
_THREADS = 2  # so that reading the rows takes about as long as making a frame of them
_MOST_KEYS = 64  # a row of `{}` takes two bytes, and the memory of all columns
_BEGIN = b'"result":['
_BETWEEN = b"},{"


class PackedRows(Sequence[Any]):
    """Rows as columns, which are decoded into objects only where an element is asked for.

    Args:
        table: The columns, text or float64, in the order of the keys.
        decode: Returns the same rows as the strict reader does.

    Attributes:
        table: The columns.
    """

    def __init__(self, table: pa.Table, decode: Callable[[], Sequence[Any]]) -> None:
        self.table = table
        self._decode = decode
        self._rows: Sequence[Any] | None = None

    def unpack(self) -> Sequence[Any]:
        """Return the rows as objects.

        Raises:
            ResponseError: The strict reader refuses them.
        """
        if self._rows is None:
            self._rows = self._decode()
        return self._rows

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, place: Any) -> Any:
        return self.unpack()[place]


def split_reply(content: bytes) -> tuple[bytes, int, int] | None:
    """Return a reply with ``[null]`` in place of its rows, and where the rows begin and end; ``None`` for other bytes.

    The parts prove nothing yet: the caller has to read the first as a reply of one result, and `pack_rows` the rows.
    """
    begin = content.find(_BEGIN, 0, _HEAD) + len(_BEGIN)
    end = content.rfind(b"}]", begin, len(content.rstrip()) - 2) + 1
    if len(content) < SMALLEST or begin < len(_BEGIN) or end <= begin:
        return None
    # Plain rows have no bracket, and one byte is found ten times as fast as a word.
    bracket = content.find(b"[", begin)
    if bracket >= 0 and content.find(_BEGIN, max(begin, bracket - len(_BEGIN))) >= 0:
        return None
    return content[:begin] + b"null" + content[end:], begin, end


def pack_rows(content: bytes, begin: int, end: int) -> pa.Table | None:
    """Return the objects of a JSON text between *begin* and *end* as a table, ``None`` where they are not plain."""
    import pyarrow as pa

    types = _find_types(content[begin : content.find(b"}", begin, end) + 1])
    if types is None:
        return None
    row = pa.struct([(key, pa.float64() if is_number else pa.string()) for key, is_number in types.items()])
    batches = []
    with _start_threads() if end - begin > _PIECE else nullcontext(map) as run:
        for batch in run(partial(_read_piece, row=row), _cut(content, begin, end)):
            if batch is None:
                return None
            batches.append(batch)
    return pa.Table.from_batches(batches)


def _cut(content: bytes, begin: int, end: int) -> Iterator[memoryview]:
    """Yield the rows in pieces, which are no copies."""
    view = memoryview(content)
    while begin < end:
        cut = content.find(_BETWEEN, min(begin + _PIECE, end), end) + 1 or end
        yield view[begin:cut]
        begin = cut + 1


@contextmanager
def _start_threads() -> Iterator[Callable[..., Iterator[Any]]]:
    """Yield what maps a function over values in two threads: Arrow reads a piece without Python's lock."""
    try:
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(_THREADS)
        pool.submit(bool).result()
    except RuntimeError:  # Python starts no threads once it shuts down
        yield map
        return
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)  # the pieces after one that is not plain


def _read_piece(rows: memoryview, row: pa.StructType) -> pa.RecordBatch | None:
    """Return the *rows* as columns, ``None`` where they are not plain."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.json

    piece = b"".join((b'{"rows":[', rows, b"]}"))
    schema = pa.schema([("rows", pa.list_(row))])
    options = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    read = pyarrow.json.ReadOptions(use_threads=False, block_size=len(piece) + 1)
    try:
        if not piece.isascii():
            piece.decode()
        found = pyarrow.json.read_json(pa.BufferReader(piece), read, options)
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None
    if found.num_rows != 1:  # the brackets do not match
        return None
    objects = found.column(0).chunk(0).flatten()
    # A cut within a text leaves two texts that do not end, so each piece is whole rows.
    batch = pa.RecordBatch.from_arrays(objects.flatten(), schema=pa.schema(list(row)))
    if objects.null_count or any(map(_has_lost, batch.columns, batch.schema.names, [piece] * len(batch.columns))):
        return None
    numbers = [column for column in batch.columns if column.type == pa.float64()]
    is_finite = (pc.call_function("all", [pc.call_function("is_finite", [one])]).as_py() for one in numbers)
    return None if False in is_finite else batch  # Arrow reads NaN, which is not JSON


def _find_types(first: bytes) -> dict[str, bool] | None:
    """Return, for each key of the *first* row, whether it has a number; ``None`` where it has anything but text too."""
    try:
        row = pydantic_core.from_json(first, allow_inf_nan=False)
    except ValueError:
        return None
    if not isinstance(row, dict) or not 0 < len(row) <= _MOST_KEYS:
        return None
    if not {type(value) for value in row.values()} <= {str, int, float, type(None)}:
        return None
    return {key: isinstance(value, int | float) for key, value in row.items()}


def _has_lost(column: pa.Array, key: str, piece: bytes) -> bool:
    """Return whether a row of *piece* may lack the *key*: Arrow makes no difference between that and a null."""
    return bool(column.null_count) and piece.count(f'"{key}":null'.encode()) != column.null_count
