"""What the footers of Parquet files say of their columns, so that no values are read for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from vapi_frames.errors import RecordsError
from vapi_frames.sources.local.alike_names import has_alike_names
from vapi_frames.sources.local.engine import first_line
from vapi_frames.sources.records.days import read_day_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vapi_frames.sources.records.days import ArchivedDay

__all__ = ["Footer", "find_complete", "read_footer"]

_PLAIN = ("NONE", "STRING", "TIMESTAMP")  # not JSON, which may say null in a value
_FLOATS = ("DOUBLE", "FLOAT")  # of which NaN is missing, and is counted as a value


class Footer(NamedTuple):
    """The columns of a Parquet file.

    Attributes:
        types: Name → type.
        complete: Those that are known to have a value in each row.
        day: What it says of the day that it is, if an archive wrote it.
        has_alike_names: Whether names differ by case only, which DuckDB takes for one.
    """

    types: Mapping[str, str]
    complete: frozenset[str]
    day: ArchivedDay | None = None
    has_alike_names: bool = False


def read_footer(path: str) -> Footer:
    """Return what the footer of the file at *path* says.

    Raises:
        RecordsError: It is no Parquet file, or a damaged one.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import read_metadata

    try:
        found = read_metadata(path)
        schema = found.schema.to_arrow_schema()
        types = {field.name: str(field.type) for field in schema}
        complete = frozenset(_find_complete(found)).intersection(types)
        return Footer(types, complete, read_day_state(path, found.metadata), has_alike_names(schema))
    except (OSError, ArrowException) as error:
        raise RecordsError(
            f"{path!r} cannot be read: {first_line(error)}; files of Parquet, JSON, CSV and TSV can", file=path
        ) from error


def find_complete(footers: Sequence[Footer]) -> frozenset[str]:
    """Return the columns that have a value in each row of all files."""
    return frozenset.intersection(*(one.complete for one in footers)) if footers else frozenset()


def _find_complete(footer: Any) -> Iterator[str]:
    """Yield the paths of plain columns of which each group of rows counts no missing value."""
    for place in range(footer.num_columns):
        column = footer.schema.column(place)
        is_flat = column.max_repetition_level == 0 and column.max_definition_level <= 1
        if not is_flat or column.logical_type.type not in _PLAIN or column.physical_type in _FLOATS:
            continue
        chunks = [footer.row_group(group).column(place).statistics for group in range(footer.num_row_groups)]
        if all(one is not None and one.has_null_count and one.null_count == 0 for one in chunks):
            yield column.path
