"""Calls of JSON files, spooled to Parquet."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from vapi_frames.contract.vocabulary import GROUP_COLUMNS
from vapi_frames.errors import RecordsError
from vapi_frames.sources.local.fast_json import convert_fast
from vapi_frames.sources.local.json_reader import JsonDecoder, check_value, read_values
from vapi_frames.sources.records.flatten import FLAT_COLUMNS, flat_type, flatten_call, is_created_by_number, iter_calls
from vapi_frames.sources.records.paths import TIME_COLUMNS, VARIABLES_MAP, name_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vapi_frames.sources.records.flatten import Places, SkippedRecords

__all__ = ["ParquetSpool"]

_BATCH_CALLS = 20_000  # calls in memory as Python objects before they are written
_BATCH_CHARACTERS = 1 << 26  # of their variables


class ParquetSpool:
    """Calls written to Parquet: the flat columns that they have, and a map of their variables.

    A new file begins where a call has a column that no earlier one has, so that no file has a column without values.

    Attributes:
        paths: The Parquet files, in order.
        calls: How many calls they hold, once the spool is closed.
        variables: The keys of the variables, in order.
    """

    def __init__(self, new_path: Callable[[], str], places: Places = (), paths: Sequence[str] = ()) -> None:
        self._new_path = new_path
        self._paths = tuple(paths)
        self._options: dict[str, Any] = {"paths": self._paths} if paths else {}
        self._places = (places,) if places else ()
        self._rows: list[tuple[dict[str, Any], dict[str, str | None]]] = []
        self._size = 0
        self._writer: Any = None
        self._written_columns: list[str] = []
        self._seen_columns: set[str] = {*TIME_COLUMNS, *GROUP_COLUMNS}
        self.paths: list[str] = []
        self.calls = 0
        self.variables: dict[str, None] = {}

    def add_file(self, path: str, skipped: SkippedRecords) -> None:
        """Add the calls of a JSON file.

        Raises:
            RecordsError: A call cannot be read and is not skipped, or the file is not JSON.
        """
        if not self._places and not self._paths and (fast := convert_fast(path, self._new_path)) is not None:
            self._write()
            self._close_file()
            self._written_columns = []
            self.paths.append(fast[0])
            self.calls += fast[1].calls
            self._seen_columns.update(fast[1].columns)
            self.variables.update(dict.fromkeys(fast[1].variables))
            return
        decoder = JsonDecoder()
        number = 0
        try:
            for line, value in read_values(path, decoder):
                for call in iter_calls(value):
                    number += 1
                    try:
                        values, variables = flatten_call(check_value(call, decoder), *self._places, **self._options)
                        variables, size = skipped.bound_variables(variables)
                        self._rows.append((values, variables))
                        self._size += size + sum(len(values.get(name_json(path)) or "") for path in self._paths)
                        skipped.epochs += isinstance(call, dict) and is_created_by_number(call, *self._places)
                        self.calls += 1
                    except RecordsError as error:
                        skipped.add(error, f"{path!r}, line {line} (call {number})", file=path, line=line)
                if len(self._rows) >= _BATCH_CALLS or self._size > _BATCH_CHARACTERS:
                    self._write()
        except UnicodeDecodeError as error:
            raise RecordsError(f"{path!r} is not text: {error}", file=path) from error
        except (OSError, EOFError, zlib.error) as error:
            raise RecordsError(f"{path!r} cannot be read: {error}", file=path) from error

    def close(self) -> None:
        """Write the remaining calls."""
        self._write()
        self._close_file()

    def _close_file(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self) -> None:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        if not self._rows:
            return
        rows, self._rows, self._size = self._rows, [], 0
        self._seen_columns.update(*(values for values, _ in rows))
        self.variables.update(dict.fromkeys(key for _, variables in rows for key in variables))
        known = (*FLAT_COLUMNS, *map(name_json, self._paths))
        names = [column for column in known if column in self._seen_columns]
        schema = pa.schema([(name, flat_type(name)) for name in names])
        schema = schema.append(pa.field(VARIABLES_MAP, pa.map_(pa.string(), pa.string())))
        columns = [[values.get(name) for values, _ in rows] for name in names]
        columns.append([list(variables.items()) for _, variables in rows])
        arrays = [pa.array(column, type_) for column, type_ in zip(columns, schema.types, strict=True)]
        try:
            if names != self._written_columns:
                self._close_file()
                self.paths.append(self._new_path())
                self._writer = ParquetWriter(self.paths[-1], schema, compression="zstd")
                self._written_columns = names
            self._writer.write_table(pa.table(arrays, schema=schema))
        except (OSError, pa.ArrowException) as error:
            raise RecordsError(f"the calls cannot be written to {self.paths[-1]!r}: {error}") from error
