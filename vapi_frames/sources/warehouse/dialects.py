"""The engines' dialects: one text, in DuckDB's words and those below, becomes the text of each engine.

Everything but a few words is the same everywhere, and sqlglot writes it as the engine wants it. The words are those
that engines do not share: instants and their microseconds whatever the session's zone, missing keys, numbers that are
none. In the common text they look like functions; here is what each engine says for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from vapi_frames.calendar.buckets import LAST_YEAR
from vapi_frames.errors import RecordsError, require
from vapi_frames.sources.records.columns import Words
from vapi_frames.sources.sql.select import literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["AWARE", "DIALECTS", "NAIVE", "NANOS", "UNKNOWN", "WORDS", "Dialect", "dialect_of", "micros"]

# The kinds of types that matter, as DuckDB calls them.
AWARE = "timestamp with time zone"
NAIVE = "timestamp"
NANOS = "timestamp_ns"
UNKNOWN = "unknown"  # the driver does not say: what is asked of such a column is taken to be right
_NUMERIC = {"double", "integer", "decimal"}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Dialect:
    """What one engine says for the words of the common text; ``{0}`` and ``{1}`` are what they are about.

    Attributes:
        name: Its name, here and in sqlglot.
        folds: Whether it takes names that differ by case for one.
        spelled: How it spells a name that was not quoted: ``str.lower``, ``str.upper``, or as it was written.
        key: How it wants the key of a JSON object.
        last: The first instant that is too late for it.
        repeats: Whether it puts what one step computes into every place of the next that names it, and computes it
            there again: hundreds of times for a month. A step with an offset, be it 0, is taken as it stands.
        words: Word → what the engine says.
    """

    name: str
    words: dict[str, str]
    folds: bool = True
    spelled: Callable[[str], str] = str
    key: Callable[[str], str] = str
    last: datetime = datetime(LAST_YEAR, 1, 1, tzinfo=UTC)
    repeats: bool = False


_SPARK = {
    "micros_of": "unix_micros({0})",
    # Between two wall clocks, which no zone comes into.
    "micros_of_wall": (
        "CAST(CAST(CAST({0} - CAST('1970-01-01' AS TIMESTAMP_NTZ) AS INTERVAL SECOND) AS DECIMAL(20, 6)) * 1000000 "
        "AS BIGINT)"
    ),
    "seconds_of": "{0} DIV 1000000",
    "instant": "timestamp_micros({0})",
    "wall": "CAST('{1}' AS TIMESTAMP_NTZ)",
    "text_of": "CAST({0} AS STRING)",
    "number_of": "nullif(CAST({0} AS DOUBLE), CAST('NaN' AS DOUBLE))",
    "element_of": "try_element_at({0}, {1})",
    # Text that is no JSON is an error, as it is elsewhere.
    "parsed_of": "nullif({0}, '')",
    "key_of": "try_element_at(from_json({0}, 'MAP<STRING, STRING>', map('mode', 'FAILFAST')), {1})",
    "json_of": "try_element_at(from_json({0}, 'MAP<STRING, STRING>', map('mode', 'FAILFAST')), {1})",
    "hex": "CAST(X'{0}' AS STRING)",
}


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


_ALL = (
    Dialect("spark", _SPARK),
    Dialect("databricks", _SPARK),
    Dialect(
        "postgres",
        {
            "micros_of": "CAST(extract(epoch FROM {0}) * 1000000 AS BIGINT)",
            "micros_of_wall": "CAST(extract(epoch FROM {0}) * 1000000 AS BIGINT)",
            "seconds_of": "{0} / 1000000",
            "instant": "CAST('{1}+00' AS TIMESTAMPTZ)",
            "wall": "CAST('{1}' AS TIMESTAMP)",
            # The collation of a column may take different texts for one.
            "text_of": 'CAST({0} AS TEXT) COLLATE "C"',
            "number_of": "nullif(CAST({0} AS DOUBLE PRECISION), 'NaN')",
            "parsed_of": "nullif({0}, '')",
            "key_of": "jsonb_extract_path(CAST({0} AS JSONB), {1})",
            "json_of": "jsonb_extract_path_text(CAST({0} AS JSONB), {1})",
            "hex": "convert_from(decode('{0}', 'hex'), 'UTF8')",
        },
        folds=False,
        spelled=str.lower,
        repeats=True,
    ),
    Dialect(
        "clickhouse",
        {
            "micros_of": "toUnixTimestamp64Micro(toDateTime64({0}, 6))",
            "seconds_of": "intDiv({0}, 1000000)",
            "instant": "fromUnixTimestamp64Micro({0}, 'UTC')",
            "text_of": "CAST({0} AS Nullable(String))",
            "number_of": "if(isNaN(CAST({0} AS Nullable(Float64))), NULL, CAST({0} AS Nullable(Float64)))",
            "element_of": "if(mapContains({0}, {1}), {0}[{1}], NULL)",
            "field_of": "tupleElement({0}, {1})",
            "parsed_of": (
                "if(throwIf(notEmpty(ifNull({0}, '')) AND NOT isValidJSON(ifNull({0}, '')), 'text that is no JSON') = 0"
                ", {0}, NULL)"
            ),
            "key_of": "JSONExtract({0}, {1}, 'Nullable(String)')",
            "json_of": "JSONExtract({0}, {1}, 'Nullable(String)')",
            "hex": "unhex('{0}')",
        },
        folds=False,
        last=datetime(2262, 1, 1, tzinfo=UTC),  # nanoseconds in 64 bits end in that year
    ),
    Dialect(
        "duckdb",
        {
            "micros_of": "epoch_us({0})",
            "micros_of_wall": "epoch_us({0})",
            "micros_of_nanos": "epoch_ns({0}) // 1000",  # the other would round
            "seconds_of": "{0} // 1000000",
            "instant": "CAST('{1}+00' AS TIMESTAMPTZ)",
            "wall": "CAST('{1}' AS TIMESTAMP)",
            "text_of": "CAST({0} AS VARCHAR) COLLATE C",
            # Not isnan, which the statistics of files would answer, and these leave NaN out.
            "number_of": "CASE WHEN isfinite(CAST({0} AS DOUBLE)) OR isinf(CAST({0} AS DOUBLE)) "
            "THEN CAST({0} AS DOUBLE) END",
            "element_of": "{0}[{1}]",
            "field_of": "struct_extract({0}, {1})",
            "parsed_of": "nullif({0}, '')",
            "key_of": "json_extract({0}, {1})",
            "json_of": "json_extract_string({0}, {1})",
            "hex": "decode(unhex('{0}'))",
        },
        key=_pointer,
    ),
    Dialect(
        "bigquery",
        {
            "micros_of": "UNIX_MICROS({0})",
            "micros_of_wall": "UNIX_MICROS(TIMESTAMP({0}, 'UTC'))",
            "seconds_of": "DIV({0}, 1000000)",
            "instant": "TIMESTAMP_MICROS({0})",
            "wall": "DATETIME(TIMESTAMP_MICROS({0}), 'UTC')",
            "text_of": "CAST({0} AS STRING)",
            "number_of": "IF(IS_NAN(CAST({0} AS FLOAT64)), NULL, CAST({0} AS FLOAT64))",
            "parsed_of": "PARSE_JSON(NULLIF({0}, ''))",
            "key_of": "{0}[{1}]",
            "json_of": "JSON_VALUE({0}[{1}])",
            "hex": "CAST(FROM_HEX('{0}') AS STRING)",
        },
    ),
    Dialect(
        "snowflake",
        {
            "micros_of": "DATE_PART(epoch_microsecond, {0})",
            "micros_of_wall": "DATE_PART(epoch_microsecond, {0})",
            "seconds_of": "FLOOR({0} / 1000000)",
            "instant": "TO_TIMESTAMP_LTZ({0}, 6)",
            "wall": "TO_TIMESTAMP_NTZ({0}, 6)",
            "text_of": "CAST({0} AS VARCHAR)",
            "number_of": "NULLIF(CAST({0} AS DOUBLE), CAST('NaN' AS DOUBLE))",
            "parsed_of": "PARSE_JSON(NULLIF({0}, ''))",
            "key_of": "{0}[{1}]",
            "json_of": "{0}[{1}]",
            "hex": "HEX_DECODE_STRING('{0}')",
        },
        folds=False,
        spelled=str.upper,
    ),
    Dialect(
        "trino",
        {
            "micros_of": "CAST(round(to_unixtime({0}) * 1000000) AS BIGINT)",
            "micros_of_wall": "CAST(round(to_unixtime(with_timezone({0}, 'UTC')) * 1000000) AS BIGINT)",
            "seconds_of": "{0} / 1000000",
            "instant": "CAST('{1} UTC' AS TIMESTAMP(6) WITH TIME ZONE)",
            "wall": "CAST('{1}' AS TIMESTAMP(6))",
            "text_of": "CAST({0} AS VARCHAR)",
            "number_of": "if(is_nan(CAST({0} AS DOUBLE)), NULL, CAST({0} AS DOUBLE))",
            "element_of": "element_at({0}, {1})",
            "parsed_of": "json_parse(nullif({0}, ''))",
            "key_of": "element_at(try_cast({0} AS MAP(VARCHAR, JSON)), {1})",
            "json_of": "json_extract_scalar(element_at(try_cast({0} AS MAP(VARCHAR, JSON)), {1}), '$')",
            "hex": "from_utf8(from_hex('{0}'))",
        },
        spelled=str.lower,
    ),
)

DIALECTS = {one.name: one for one in _ALL}
_SPOKEN = {
    "postgresql": "postgres", "psql": "postgres", "pg": "postgres", "psycopg": "postgres", "redshift": "postgres",
    "pyspark": "spark", "sparksql": "spark", "chdb": "clickhouse", "presto": "trino", "athena": "trino",
    "bq": "bigquery", "gbq": "bigquery",
}  # fmt: skip


def dialect_of(name: object) -> Dialect:
    """Return the dialect called *name*.

    Raises:
        UnknownWordError: There is none; the error names the nearest.
    """
    require(name, DIALECTS, "dialect", synonyms=_SPOKEN)
    return DIALECTS[str(name)]


# --- the words of the common text -------------------------------------------------------------------------------


def micros(at: datetime) -> int:
    """Return the whole microseconds since 1970 of the aware *at*."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def _time(word: str, expression: str, type_: str) -> str:
    """Return whole microseconds since 1970; a timestamp without a zone is UTC, whatever the session's zone."""
    if type_ in (AWARE, UNKNOWN):
        return f"micros_of({expression})"
    if type_ == NAIVE:
        return f"micros_of_wall({expression})"
    if type_ == NANOS:
        return f"micros_of_nanos({expression})"
    if type_ == "null":
        return "CAST(NULL AS BIGINT)"
    cure = ": ask a view of it that casts" if type_ in ("varchar", "json", "date", "integer") else ""
    raise _wrong(word, type_, f"a timestamp{cure}")


def _number(word: str, expression: str, type_: str) -> str:
    if type_ in {*_NUMERIC, "json", "null", UNKNOWN}:
        return f"number_of({expression})"
    raise _wrong(word, type_, "a number")


def _text(word: str, expression: str, type_: str) -> str:
    if type_ == "double":  # as JSON writes it, where engines write 7, 7.0 and 7e0
        number = f"number_of({expression})"
        is_whole = f"{number} = floor({number}) AND abs({number}) < 1000000000000000"
        return f"CASE WHEN {is_whole} THEN text_of(CAST({number} AS BIGINT)) ELSE text_of({number}) END"
    if type_ in {*_NUMERIC, "varchar", "boolean", "json", "null", UNKNOWN}:
        return f"text_of({expression})"
    raise _wrong(word, type_, "text")


def _wrong(word: str, type_: str, wanted: str) -> RecordsError:
    return RecordsError(f"column {word!r} of the table is {type_}, not {wanted}", column=word)


def _json(expression: str, kind: str, keys: Sequence[str]) -> str:
    expression = expression if kind == "json" else f"parsed_of({expression})"
    for key in keys[:-1]:
        expression = f"key_of({expression}, {literal(key)})"
    return f"json_of({expression}, {literal(keys[-1])})"


WORDS = Words(
    time=_time,
    number=_number,
    text=_text,
    micros=str,
    seconds="seconds_of({})".format,
    field=lambda expression, name: f"field_of({expression}, {literal(name)})",
    element=lambda expression, key: f"element_of({expression}, {literal(key)})",
    json=_json,
)
