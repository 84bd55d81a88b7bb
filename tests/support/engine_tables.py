"""Tables of any engine, made of a table of Arrow."""

from __future__ import annotations

import tempfile
from itertools import count

import pyarrow as pa
import pyarrow.parquet

from tests.support.engines import run_clickhouse

__all__ = ["load_table"]

NUMBER = count()


def load_table(engine, table, json_columns=()):
    """Make a table of the engine from a *table* of Arrow, and return its name."""
    kind, session = engine
    name = f"loaded_{next(NUMBER)}"
    if kind == "spark":
        session.createDataFrame(table).createOrReplaceTempView(name)
    elif kind == "duckdb":
        session.register("loaded", table)
        session.execute(f"CREATE TABLE {name} AS FROM loaded")
    elif kind == "clickhouse":
        with tempfile.TemporaryDirectory(prefix="calls") as folder:
            pyarrow.parquet.write_table(table, f"{folder}/calls.parquet")
            source = f"file('{folder}/calls.parquet', Parquet)"
            run_clickhouse(session, f"CREATE TABLE {name} ENGINE = Memory AS SELECT * FROM {source}")
    else:
        kinds = {
            pa.string(): "text",
            pa.float64(): "float8",
            pa.int64(): "int8",
            pa.bool_(): "bool",
            pa.date32(): "date",
        }
        types = {one.name: "jsonb" if one.name in json_columns else kinds[one.type] for one in table.schema}
        columns = ", ".join(f'"{column}" {type_}' for column, type_ in types.items())
        session.execute(f"CREATE TABLE {name} ({columns})")
        with session.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN") as copy:
            for row in zip(*table.to_pydict().values(), strict=True):
                copy.write_row(row)
        session.commit()
    return name
