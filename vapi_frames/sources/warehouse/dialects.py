"""The engines' dialects: the SQL of each engine for the functions of the common text.

Most of the common text is the same on every engine, and sqlglot writes it in the engine's syntax. What engines do not
share looks like a function in it: instants and their microseconds whatever the session's zone, missing keys, NaN. The
table below has the SQL of each engine for each function.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from vapi_frames.calendar.buckets import EPOCH, LAST_YEAR
from vapi_frames.errors import require
from vapi_frames.sources.records import duckdb
from vapi_frames.sources.records.duckdb_lists import read_numeral
from vapi_frames.sources.warehouse import lists, values
from vapi_frames.sources.warehouse.values import USUAL_OFFSET

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DIALECTS", "Dialect", "find_dialect", "fit_postgres", "to_micros"]


@dataclass(frozen=True, eq=False)
class Dialect:
    """One engine's SQL; there is one object of it for all sources, so that what was written in it is found again.

    Attributes:
        name: Its name, here and in sqlglot.
        functions: Function of the common text → the engine's SQL, in which ``{0}`` and ``{1}`` are the arguments.
        case_insensitive: Whether names that differ by case only are one name.
        fold_unquoted: What the engine makes of a name without quotes: ``str.lower``, ``str.upper``, or the same name.
        joins_keys: Whether a function of JSON takes several keys at once: what it returns of an object between them may
            be other numbers.
        max_timestamp: The first instant that is too late for it.
        inlines_ctes: Whether it copies the expressions of a common table expression to each place that names them, and
            computes them there anew: hundreds of times for a month. ``OFFSET 0`` prevents it, and reading by several
            processes, too, so that it stands only where much would be computed again.
        sums_exactly: Whether its sum of 64-bit integers is exact, however large.
        reads_twice: Whether it reads a table twice faster than it makes two rows of each of its rows.
        reads_whole_columns: Whether it reads all values of a column to see which are missing; but where none is, it
            knows that from the statistics of the files.
        shares_sums: Whether it computes a sum that two places name once, and an average of the same apart.
        expands_dictionaries: Whether it makes a set of all values in a file's dictionary of a column that is compared,
            to see whether it can skip a part of the file. It does not where a missing value would do, too, and then
            skips the same parts by their statistics.
        odd_functions: Functions that are slower and read also odd values, for a table in which the others have met one.
    """

    name: str
    functions: dict[str, str]
    case_insensitive: bool = True
    fold_unquoted: Callable[[str], str] = str
    joins_keys: bool = False
    max_timestamp: datetime = datetime(LAST_YEAR, 1, 1, tzinfo=UTC)
    inlines_ctes: bool = False
    sums_exactly: bool = False
    reads_twice: bool = True
    reads_whole_columns: bool = False
    shares_sums: bool = False
    expands_dictionaries: bool = False
    odd_functions: dict[str, str] | None = None

    def read_odd(self) -> Dialect:
        """Return the dialect with its functions that read also what is odd."""
        return _read_odd(self)


@cache
def _read_odd(dialect: Dialect) -> Dialect:
    functions = {**dialect.functions, **(dialect.odd_functions or {})}
    return replace(dialect, functions=functions, odd_functions=None)


_TIME = (
    "^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    "([.][0-9][0-9]?[0-9]?[0-9]?[0-9]?[0-9]?)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?$"
)
"""The usual form of a time as text, in what the regular expressions of all engines share."""
_WRONG = "'no ISO 8601 time: ' || {0}"


def _write_time_text(is_like: str, wrong: str) -> str:
    """Return a template of the text of a time with an offset: without one it is UTC.

    Args:
        is_like: The condition that a text is like a pattern, which is written as ``PATTERN``.
        wrong: What is written for a text of another form, and is an error where it becomes a time.
    """
    usual, has_offset = (is_like.replace("PATTERN", pattern) for pattern in (_TIME, USUAL_OFFSET))
    return (
        f"CASE WHEN {usual} THEN CASE WHEN {has_offset} THEN {{0}} ELSE {{0}} || 'Z' END "
        f"WHEN {{0}} IS NOT NULL THEN {wrong} END"
    )


def _read_scalars(templates: dict[str, str], scalar: str) -> dict[str, str]:
    """Return *templates* with those that read JSON, of which *scalar* writes the text, as they read text."""
    reading = {"micros_of_json": "micros_of_text", "number_of_json": "number_of", "cost_of_json": "number_of",
               "text_of_json": "text_of", "variable_of_json": "text_of"}  # fmt: skip
    return {
        **{name: templates[as_text].replace("{0}", scalar) for name, as_text in reading.items()},
        "spelled_of": templates["text_of"], "field_of_json": templates["key_of"], "whole_of": "{0}",
        "json_of_text": templates["parsed_of"], **templates,
    }  # fmt: skip


_SPARK = {
    "quantile_of": "percentile({0}, {1})",
    "micros_of": "unix_micros({0})",
    # The difference of two wall clocks, which does not depend on a zone.
    "micros_of_wall": (
        "CAST(CAST(CAST({0} - CAST('1970-01-01' AS TIMESTAMP_NTZ) AS INTERVAL SECOND) AS DECIMAL(20, 6)) * 1000000 "
        "AS BIGINT)"
    ),
    "seconds_of": "{0} DIV 1000000",
    "seconds_at": "unix_seconds({0})",
    "instant": "timestamp_micros({0})",
    "wall": "CAST('{1}' AS TIMESTAMP_NTZ)",
    "text_of": "CAST({0} AS STRING)",
    "element_of": "try_element_at({0}, {1})",
    "parsed_of": "nullif({0}, '')",
    "hex": "CAST(X'{0}' AS STRING)",
    **values.write_templates(values.SPARK),
    **lists.SPARK,
}


# `extract` gives a numeric, which is slow. A double is exact to the microsecond up to the year 2106.
_POSTGRES_MICROS = (
    "CASE WHEN {0} < TYPE '2100-01-01 00:00:00+00' AND {0} >= TYPE '1900-01-01 00:00:00+00' "
    "THEN CAST(round(date_part('epoch', {0}) * 1000000) AS BIGINT) "
    "ELSE CAST(extract(epoch FROM {0}) * 1000000 AS BIGINT) END"
)
_SPARK_ODD = {**values.write_templates(values.SPARK_ODD), **lists.SPARK_ODD}
_POSTGRES_ODD = {**values.write_templates(values.POSTGRES_ODD), **lists.POSTGRES_ODD}
_CLICKHOUSE_ODD = {**values.write_templates(values.CLICKHOUSE_ODD), **lists.CLICKHOUSE_ODD}
_DOUBLE = "CAST({0} AS DOUBLE)"
_ALL = (
    Dialect(
        "spark",
        _SPARK,
        odd_functions=_SPARK_ODD,
        reads_twice=False,
        reads_whole_columns=True,
        expands_dictionaries=True,
    ),
    Dialect("databricks", _SPARK, odd_functions=_SPARK_ODD, reads_twice=False, reads_whole_columns=True),
    Dialect(
        "postgres",
        {
            "micros_of": _POSTGRES_MICROS.replace("TYPE", "TIMESTAMPTZ"),
            "micros_of_wall": _POSTGRES_MICROS.replace("TYPE", "TIMESTAMP"),
            "elapsed_of": "round(date_part('epoch', {0} - {1}) * 1000000)",
            "utc_of": "({0} AT TIME ZONE 'UTC')",
            "moved_by": "({0} + INTERVAL '{1} seconds')",
            "cut_to": "date_trunc({0}, {1})",
            "seconds_of_clock": "CAST(extract(epoch FROM {0}) AS BIGINT)",
            "seconds_of": "{0} / 1000000",
            "instant": "CAST('{1}+00' AS TIMESTAMPTZ)",
            "wall": "CAST('{1}' AS TIMESTAMP)",
            # A column's collation may treat different texts as equal.
            "text_of": 'CAST({0} AS TEXT) COLLATE "C"',
            "parsed_of": "nullif({0}, '')",
            "quantile_of": "percentile_cont({1}) WITHIN GROUP (ORDER BY {0})",
            "hex": "convert_from(decode('{0}', 'hex'), 'UTF8')",
            **values.write_templates(values.POSTGRES),
            **lists.POSTGRES,
        },
        case_insensitive=False,
        fold_unquoted=str.lower,
        inlines_ctes=True,
        sums_exactly=True,
        shares_sums=True,
    ),
    Dialect(
        "clickhouse",
        {
            # The cast of a time in microseconds to its own type costs nothing.
            "micros_of": "toUnixTimestamp64Micro(CAST({0} AS Nullable(DateTime64(6))))",
            "known_of": "assumeNotNull({0})",  # it computes what may be missing in twice the steps
            "seconds_of": "intDiv({0}, 1000000)",
            "instant": "fromUnixTimestamp64Micro({0}, 'UTC')",
            "text_of": "CAST({0} AS Nullable(String))",
            "element_of": "if(mapContains({0}, {1}), {0}[{1}], NULL)",
            "field_of": "tupleElement({0}, {1})",
            "parsed_of": (
                "if(throwIf(notEmpty(ifNull({0}, '')) AND NOT isValidJSON(ifNull({0}, '')), 'text that is no JSON') = 0"
                ", {0}, NULL)"
            ),
            "quantile_of": "quantileExactInclusive({1})({0})",
            "hex": "unhex('{0}')",
            **values.write_templates(values.CLICKHOUSE),
            **lists.CLICKHOUSE,
        },
        case_insensitive=False,
        joins_keys=True,
        odd_functions=_CLICKHOUSE_ODD,
        max_timestamp=datetime(2262, 1, 1, tzinfo=UTC),  # nanoseconds in 64 bits end in that year
        reads_twice=False,
    ),
    Dialect(
        "duckdb",
        {
            **duckdb.TEMPLATES,
            "raw_of": "{0}",
            "micros_of_wall": duckdb.TEMPLATES["micros_of"],
            "instant": "CAST('{1}+00' AS TIMESTAMPTZ)",
            "wall": "CAST('{1}' AS TIMESTAMP)",
            "text_of": "CAST({0} AS VARCHAR) COLLATE C",
            "number_of": f"CASE WHEN {duckdb.IS_NUMBER.replace('{0}', _DOUBLE)} THEN {_DOUBLE} END",
            "quantile_of": "quantile_cont({0}, {1})",
            "hex": "decode(unhex('{0}'))",
            "numeral_of": read_numeral("{0}"),
        },
    ),
    Dialect(
        "bigquery",
        _read_scalars(
            {
                "micros_of": "UNIX_MICROS({0})",
                "micros_of_wall": "UNIX_MICROS(TIMESTAMP({0}, 'UTC'))",
                "micros_of_text": (
                    "UNIX_MICROS(CAST("
                    + _write_time_text("REGEXP_CONTAINS({0}, 'PATTERN')", f"ERROR({_WRONG})")
                    + " AS TIMESTAMP))"
                ),
                "seconds_of": "DIV({0}, 1000000)",
                "instant": "TIMESTAMP_MICROS({0})",
                "wall": "DATETIME(TIMESTAMP_MICROS({0}), 'UTC')",
                "text_of": "CAST({0} AS STRING)",
                "number_of": "IF(IS_NAN(CAST({0} AS FLOAT64)), NULL, CAST({0} AS FLOAT64))",
                "parsed_of": "PARSE_JSON(NULLIF({0}, ''))",
                "key_of": "{0}[{1}]",
                "hex": "CAST(FROM_HEX('{0}') AS STRING)",
            },
            "JSON_VALUE({0})",
        ),
    ),
    Dialect(
        "snowflake",
        _read_scalars(
            {
                "micros_of": "DATE_PART(epoch_microsecond, {0})",
                "micros_of_wall": "DATE_PART(epoch_microsecond, {0})",
                "micros_of_text": (
                    "DATE_PART(epoch_microsecond, TO_TIMESTAMP_TZ("
                    + _write_time_text("REGEXP_INSTR({0}, 'PATTERN') > 0", _WRONG)
                    + "))"
                ),
                "seconds_of": "FLOOR({0} / 1000000)",
                "instant": "TO_TIMESTAMP_LTZ({0}, 6)",
                "wall": "TO_TIMESTAMP_NTZ({0}, 6)",
                "text_of": "CAST({0} AS VARCHAR)",
                "number_of": "NULLIF(CAST({0} AS DOUBLE), CAST('NaN' AS DOUBLE))",
                "parsed_of": "PARSE_JSON(NULLIF({0}, ''))",
                "key_of": "{0}[{1}]",
                "quantile_of": "percentile_cont({1}) WITHIN GROUP (ORDER BY {0})",
                "hex": "HEX_DECODE_STRING('{0}')",
            },
            "{0}",
        ),
        case_insensitive=False,
        fold_unquoted=str.upper,
    ),
    Dialect(
        "trino",
        _read_scalars(
            {
                "micros_of": "CAST(round(to_unixtime({0}) * 1000000) AS BIGINT)",
                "micros_of_wall": "CAST(round(to_unixtime(with_timezone({0}, 'UTC')) * 1000000) AS BIGINT)",
                "micros_of_text": (
                    "CAST(round(to_unixtime(from_iso8601_timestamp_nanos(replace("
                    + _write_time_text("regexp_like({0}, 'PATTERN')", _WRONG)
                    + ", ' ', 'T'))) * 1000000) AS BIGINT)"
                ),
                "seconds_of": "{0} / 1000000",
                "instant": "CAST('{1} UTC' AS TIMESTAMP(6) WITH TIME ZONE)",
                "wall": "CAST('{1}' AS TIMESTAMP(6))",
                "text_of": "CAST({0} AS VARCHAR)",
                "number_of": "if(is_nan(CAST({0} AS DOUBLE)), NULL, CAST({0} AS DOUBLE))",
                "element_of": "element_at({0}, {1})",
                "parsed_of": "json_parse(nullif({0}, ''))",
                "key_of": "element_at(try_cast({0} AS MAP(VARCHAR, JSON)), {1})",
                "hex": "from_utf8(from_hex('{0}'))",
            },
            "json_extract_scalar({0}, '$')",
        ),
        fold_unquoted=str.lower,
    ),
)

_HAS_DATE_BIN = 14
"""The first PostgreSQL that has ``date_bin``, which takes half the time of ``date_trunc``; engines like it may not."""
_DATE_BIN = "date_bin({0}, {1}, '1900-01-01 00:00:00+00')"  # a Monday before any call; of the type of what is cut

DIALECTS = {one.name: one for one in _ALL}
_SYNONYMS = {
    "postgresql": "postgres", "psql": "postgres", "pg": "postgres", "psycopg": "postgres", "redshift": "postgres",
    "pyspark": "spark", "sparksql": "spark", "chdb": "clickhouse", "presto": "trino", "athena": "trino",
    "bq": "bigquery", "gbq": "bigquery",
}  # fmt: skip


def find_dialect(name: object) -> Dialect:
    """Return the dialect called *name*.

    Raises:
        UnknownWordError: There is none; the error has the nearest.
    """
    require(name, DIALECTS, "dialect", synonyms=_SYNONYMS)
    return DIALECTS[str(name)]


def fit_postgres(dialect: Dialect, version: str) -> Dialect:
    """Return the *dialect* with what a server has that says *version* of itself."""
    found = re.match(r"PostgreSQL (\d+)", version)
    if not found or int(found.group(1)) < _HAS_DATE_BIN:  # Redshift calls itself PostgreSQL 8
        return dialect
    return _bin_dates(dialect)


@cache
def _bin_dates(dialect: Dialect) -> Dialect:
    return replace(dialect, functions={**dialect.functions, "bin_to": _DATE_BIN}, odd_functions=_POSTGRES_ODD)


def to_micros(at: datetime) -> int:
    """Return the whole microseconds since 1970 of the aware *at*."""
    return (at - EPOCH) // timedelta(microseconds=1)
