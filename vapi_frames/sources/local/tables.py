"""CSV and TSV files of call records, each read by DuckDB and written to Parquet with columns of text."""

from __future__ import annotations

import codecs
import gzip
import shutil
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from vapi_frames.errors import RecordsError
from vapi_frames.sources.local.engine import first_line, open_cursor
from vapi_frames.sources.local.long_cells import LEAST_ROWS, PIECE_BYTES, check_cells, split_batch
from vapi_frames.sources.records.unlike import mark_names
from vapi_frames.sources.sql.select import quote_text

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["convert_table", "is_table"]

_ENDINGS = (".csv", ".tsv")
_LONGEST_HEADER = 1 << 20  # bytes
_LONGEST_LINE = 1 << 22  # bytes; a cell may hold a transcript
_MOST_COLUMNS = 10_000
_ROWS = 2_048  # that DuckDB hands out together; its own pieces are as large
_BOMS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip


def is_table(path: str) -> bool:
    """Return whether *path* has the name of a CSV or TSV file; it may be compressed by gzip."""
    return path.lower().removesuffix(".gz").endswith(_ENDINGS)


def convert_table(path: str, target: str, scratch: str) -> None:
    """Write the rows of the CSV or TSV file at *path* to Parquet at *target*; an empty cell is missing.

    Args:
        path: The file. A byte order mark says its encoding; without one it is UTF-8.
        target: Where the Parquet file goes.
        scratch: Where the same text may go in UTF-8, if it is in another encoding.

    Raises:
        RecordsError: The file cannot be read, or is no such table.
    """
    try:
        with _open(path) as file:
            head = file.read(4)
        encoding = next((name for bom, name in _BOMS.items() if head.startswith(bom)), "utf-8")
        source = path
        if encoding not in ("utf-8", "utf-8-sig"):
            source = scratch
            with _open(path) as file, Path(scratch).open("wb") as to:
                shutil.copyfileobj(codecs.EncodedFile(file, "utf-8", encoding), to)
        with _open(source) as file:
            header = file.readline(_LONGEST_HEADER).decode("utf-8-sig")
    except UnicodeError as error:
        raise RecordsError(f"{path!r} is not text: {error}", file=path) from error
    except (OSError, EOFError, zlib.error) as error:
        raise RecordsError(f"{path!r} cannot be read: {error}", file=path) from error
    if not header.strip():
        raise RecordsError(f"{path!r} is empty: its first line must name the columns", file=path)
    compression = "gzip" if source.lower().endswith(".gz") else "none"
    options = (
        f"delim = {quote_text(_find_delimiter(header))}, header = true, all_varchar = true, auto_detect = false, "
        f"quote = '\"', escape = '\"', nullstr = '', compression = '{compression}', max_line_size = {_LONGEST_LINE}, "
        f"buffer_size = {2 * _LONGEST_LINE}, parallel = false, columns = {{{_write_columns(header, path)}}}"
    )
    text = f"SELECT * FROM read_csv({quote_text(_escape(source))}, {options})"
    try:
        with open_cursor([]) as connection:
            _write_groups(connection.sql(text).to_arrow_reader(_ROWS), target)
    except (RecordsError, OSError, pa.ArrowException) as error:  # DuckDB's own, too, once rows have been handed out
        reason = f"{first_line(error)} (a line may have {_LONGEST_LINE:,} bytes)"
        if "maximum line size" in f"{error} {error.__cause__}".casefold():
            reason = f"a line is longer than {_LONGEST_LINE:,} bytes: leave out what no query uses"
        raise RecordsError(f"{path!r} cannot be read as a table: {reason}", file=path) from error


def _write_groups(reader: pa.RecordBatchReader, target: str) -> None:
    """Write batches to Parquet, in row groups of a bounded size.

    DuckDB reads up to 2,048 rows of a row group at once, and parses JSON cells several times: where cells are long, a
    group must have fewer rows.
    """
    waiting: list[pa.RecordBatch] = []
    size = 0
    with ParquetWriter(target, reader.schema, compression="zstd") as writer:
        for batch in reader:
            check_cells(batch)
            for part in split_batch(batch):
                if size and size + part.nbytes > PIECE_BYTES and sum(map(len, waiting)) >= LEAST_ROWS:
                    writer.write_table(pa.Table.from_batches(waiting))
                    waiting, size = [], 0
                waiting.append(part)
                size += part.nbytes
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting))


def _open(path: str) -> BinaryIO:
    opener = cast("Callable[..., Any]", gzip.open if path.lower().endswith(".gz") else open)
    return cast("BinaryIO", opener(path, "rb"))


def _escape(path: str) -> str:
    import glob

    return glob.escape(path)  # DuckDB expands patterns


def _find_delimiter(header: str) -> str:
    """Return the delimiter that the *header* has most of, outside of quotes."""
    plain = "".join(header.split('"')[::2])
    return max("\t,;|", key=plain.count)


def _write_columns(header: str, path: str) -> str:
    import csv

    [names] = csv.reader([header.rstrip("\r\n")], delimiter=_find_delimiter(header))
    if len(names) > _MOST_COLUMNS:
        raise RecordsError(f"{path!r} has {len(names):,} columns, at most {_MOST_COLUMNS:,} are read", file=path)
    for number, name in enumerate(names):
        if not name or name in names[:number]:
            problem = f"has two columns named {name!r}" if name else "has a column without a name"
            raise RecordsError(f"{path!r} {problem}: give each column a name of its own", file=path, column=name)
    return ", ".join(f"{quote_text(name)}: 'VARCHAR'" for name in mark_names(names))
