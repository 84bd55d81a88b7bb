"""Which reader reads what a caller passes as call records."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vapi_frames.errors import RecordsError, VapiFramesError
from vapi_frames.files import expand_path
from vapi_frames.sources.local.engine import first_line
from vapi_frames.sources.local.files import FileRecords
from vapi_frames.sources.local.memory import JsonRecords, TableRecords
from vapi_frames.sources.local.object_mirror import check_address, is_address
from vapi_frames.sources.records.flatten import iter_calls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vapi_frames.sources.local.relation import Records
    from vapi_frames.sources.records.places import NamePath

__all__ = ["open_records"]

_LONGEST_NAME = 255  # characters of a file's name
_JSON_TEXT = re.compile(r'\s*\[?\s*\{\s*["}]')


def open_records(calls: Any, *, skips: bool, places: Mapping[str, NamePath]) -> Records:
    """Return the records that *calls* are: a table, a list of call JSON or of its texts, or files.

    Args:
        calls: A DataFrame, an Arrow table, an object that hands out either, a sequence, or paths.
        skips: Whether records of JSON that cannot be read are skipped.
        places: Column of the API → where the caller says it is.

    Raises:
        RecordsError: *calls* is none of these.
    """
    try:
        return _open(calls, skips=skips, places=places)
    except (VapiFramesError, MemoryError):
        raise
    except Exception as error:  # the methods and attributes of any object may raise anything
        raise RecordsError(
            f"cannot read call records from {type(calls).__name__}: {type(error).__name__}: {first_line(error)}"
        ) from error


def _open(calls: Any, *, skips: bool, places: Mapping[str, NamePath]) -> Records:  # noqa: PLR0911 - one for each kind
    if isinstance(calls, TableRecords):
        return calls
    if isinstance(calls, str | os.PathLike):
        return FileRecords([_check_path(calls)], skips=skips, places=places)
    if isinstance(calls, Sequence) and not isinstance(calls, bytes):
        if calls and all(isinstance(one, str | os.PathLike) for one in calls) and not _are_texts(calls):
            return FileRecords([_check_path(one) for one in calls], skips=skips, places=places)
        return JsonRecords(calls, skips=skips, places=places)
    if isinstance(calls, dict) and list(iter_calls(calls)) != [calls]:
        return JsonRecords([calls], skips=skips, places=places)
    if isinstance(calls, pa.Table) or _has(calls, "to_parquet", "columns", "iloc"):
        return TableRecords(calls, places)
    other: Any = calls
    if isinstance(other, pa.Array | pa.ChunkedArray):
        return JsonRecords(other.to_pylist(), skips=skips, places=places)
    if _has(other, "to_list", "dtype"):  # a column of a frame
        return JsonRecords(other.to_list(), skips=skips, places=places)
    if (table := _read_arrow(calls)) is not None:
        return TableRecords(table, places)
    cure = "; call collect() on it first" if _has(calls, "collect") else ""
    raise RecordsError(
        f"cannot read call records from {type(calls).__name__}{cure}; pass a DataFrame, an Arrow table, a list of call "
        "JSON, or the path of files of Parquet, JSON, CSV or TSV"
    )


def _are_texts(calls: Sequence[Any]) -> bool:
    return isinstance(calls[0], str) and _JSON_TEXT.match(calls[0]) is not None


def _read_arrow(calls: Any) -> pa.Table | None:
    """Return the table of an object that hands out Arrow data, as polars, DuckDB and narwhals do."""
    try:
        if _has(calls, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(calls).read_all()
        if _has(calls, "__arrow_c_array__"):
            return pa.table(calls)
        if _has(calls, "to_arrow"):
            found = calls.to_arrow()
            return found if isinstance(found, pa.Table) else None
    except Exception as error:
        raise RecordsError(f"the Arrow data of {type(calls).__name__} cannot be read: {first_line(error)}") from error
    return None


def _has(calls: Any, *names: str) -> bool:
    try:
        return all(hasattr(calls, name) for name in names)
    except Exception:  # noqa: BLE001 - reading an attribute of any object may raise anything
        return False


def _check_path(path: str | os.PathLike[str]) -> str:
    """Return *path* as text; JSON text in its place is an error without the text, which may be personal."""
    text = os.fspath(path)
    if not isinstance(text, str):
        raise RecordsError(f"cannot read call records from a path of {type(text).__name__}; pass a path of text")
    if is_address(check_address(text)):
        return text
    is_too_long = any(len(part) > _LONGEST_NAME for part in Path(text).parts)
    if _JSON_TEXT.match(text) or is_too_long:
        raise RecordsError(
            "cannot read call records from text that is no path; pass JSON texts in a list: vf.local([text])"
        )
    return str(expand_path(text)) if text.strip("\0") else text
