"""Arrow tables and Parquet files in which names differ by case only, with marks: DuckDB would take them for one."""

from __future__ import annotations

import pyarrow as pa
from pyarrow.parquet import ParquetFile, ParquetWriter

from vapi_frames.errors import RecordsError
from vapi_frames.sources.local.engine import first_line
from vapi_frames.sources.records.paths import variable_roots
from vapi_frames.sources.records.unlike import mark_names

__all__ = ["has_alike_names", "mark_column", "write_marked"]

_ROOTS = tuple(f"{root}." for root in variable_roots())


def mark_column(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the *column* called *name* with marks on the names of variables in it, where it is a struct."""
    type_ = _mark_type(name, column.type)
    if type_ == column.type:
        return column
    return pa.chunked_array([_rename(chunk, type_) for chunk in column.chunks], type_)


def has_alike_names(schema: pa.Schema) -> bool:
    """Return whether columns, or variables in them, have names that differ by case only."""
    return mark_names(schema.names) != schema.names or any(
        _mark_type(field.name, field.type) != field.type for field in schema
    )


def write_marked(path: str, target: str) -> None:
    """Write the Parquet file at *path* to *target*, with marks.

    Raises:
        RecordsError: It cannot be read or written.
    """
    try:
        with ParquetFile(path) as file:
            names, marked = file.schema_arrow.names, mark_names(file.schema_arrow.names)
            types = [_mark_type(field.name, field.type) for field in file.schema_arrow]
            schema = pa.schema(list(zip(marked, types, strict=True)))
            with ParquetWriter(target, schema, compression="zstd") as writer:
                for number in range(file.num_row_groups):
                    group = file.read_row_group(number)
                    columns = [mark_column(name, column) for name, column in zip(names, group.columns, strict=True)]
                    writer.write_table(pa.table(columns, schema=schema))
    except (OSError, pa.ArrowException) as error:
        raise RecordsError(f"{path!r} cannot be read: {first_line(error)}", file=path) from error


def _mark_type(path: str, type_: pa.DataType) -> pa.DataType:
    if not pa.types.is_struct(type_) or not any(root.startswith(f"{path}.") for root in _ROOTS):
        return type_
    fields = [type_.field(number) for number in range(type_.num_fields)]
    names = mark_names([field.name for field in fields])
    types = [_mark_type(f"{path}.{field.name}", field.type) for field in fields]
    return pa.struct(
        [field.with_name(name).with_type(one) for field, name, one in zip(fields, names, types, strict=True)]
    )


def _rename(array: pa.Array, type_: pa.DataType) -> pa.Array:
    """Return *array* as of *type_*, which differs in names only."""
    if array.type == type_:
        return array
    fields = [type_.field(number) for number in range(type_.num_fields)]
    children = [_rename(array.field(number), field.type) for number, field in enumerate(fields)]
    return pa.StructArray.from_arrays(children, fields=fields, mask=array.is_null())
