"""The engines' SQL of what a call record has in objects and lists: what is at a key, structured outputs, and costs.

Of several outputs of one name, the one of the first id counts. In the templates ``{0}`` is JSON, or text of it, ``{1}``
a name or a type, and ``{2}`` a field of the result or a type of analysis.
"""

from __future__ import annotations

from vapi_frames.sources.records.duckdb_lists import IS_NUMERAL

__all__ = ["CLICKHOUSE", "CLICKHOUSE_ODD", "POSTGRES", "POSTGRES_ODD", "SPARK", "SPARK_ODD"]


def _write_spark_output(value: str) -> str:
    return (
        "try_element_at(array_sort(transform(filter(map_entries(from_json({0}, 'MAP<STRING, STRING>')), "
        f"o -> get_json_object(o.value, '$.name') = {{1}} AND {value} IS NOT NULL), "
        f"o -> struct(o.key AS id, {value} AS result))), 1).result"
    )


def _write_postgres_output(value: str) -> str:
    objects = "CAST({0} AS JSONB)"
    return (
        f"(SELECT {value} FROM jsonb_each(CASE WHEN jsonb_typeof({objects}) = 'object' THEN {objects} END) AS o "
        f"WHERE o.value ->> 'name' = {{1}} AND {value} IS NOT NULL ORDER BY o.key COLLATE \"C\" LIMIT 1)"
    )


def _write_clickhouse_output(value: str) -> str:
    return (
        "arrayElementOrNull(arrayMap(o -> o.2, arraySort(o -> o.1, arrayFilter(o -> isNotNull(o.2), "
        f"arrayMap(o -> (o.1, {value}), arrayFilter(o -> JSONExtractString(o.2, 'name') = {{1}}, "
        "JSONExtractKeysAndValuesRaw(ifNull({0}, ''))))))), 1)"
    )


def _spell_spark_number(text: str, number: str) -> str:
    """Return *text* without the zeros that end the fraction of a number; *number* is missing where it is none."""
    return f"if({number} IS NULL, {text}, regexp_replace({text}, '([.][0-9]*[1-9])0+$|[.]0+$', '$1'))"


def _spell_postgres_number(value: str, text: str) -> str:
    """Return *text* without the zeros that end the fraction, where *value* is a number."""
    return f"CASE WHEN jsonb_typeof({value}) = 'number' THEN trim_scale(CAST({text} AS NUMERIC))::TEXT ELSE {text} END"


_COST = "o.type = {1} AND ({2} = '' OR o.analysisType = {2}) AND o.cost IS NOT NULL"
_SPARK_KEY = "try_element_at(try_cast({0} AS MAP<STRING, VARIANT>), {1})"
SPARK = {
    "to_json_of": "to_json({0}, map('ignoreNullFields', 'false'))",
    "json_of_text": (
        "coalesce(try_parse_json(nullif(trim({0}), '')), "
        "CASE WHEN trim({0}) <> '' THEN raise_error({1} || {0} || chr(31)) END)"
    ),
    "field_of_json": (
        f"transform(array({{0}}), j -> coalesce({_SPARK_KEY.replace('{0}', 'j')}, "
        "CASE WHEN j IS NOT NULL AND NOT is_variant_null(j) AND try_cast(j AS MAP<STRING, VARIANT>) IS NULL "
        "THEN raise_error({2} || to_json(j) || chr(31)) END))[0]"
    ),
    "key_of": _SPARK_KEY,
    "whole_of": "to_json({0})",
    "output_of": _write_spark_output(
        _spell_spark_number(
            "get_json_object(o.value, '$.result')", "from_json(o.value, 'STRUCT<result: DOUBLE>').result"
        )
    ),
    "output_field_of": _write_spark_output(
        _spell_spark_number(
            "try_element_at(from_json(get_json_object(o.value, '$.result'), 'MAP<STRING, STRING>'), {2})",
            # No expression takes the field of a name: the struct has it, or is empty where it is no number.
            "nullif(to_json(from_json(get_json_object(o.value, '$.result'), "
            "concat('STRUCT<`', replace({2}, '`', '``'), '`: DOUBLE>'))), '{{}}')",
        )
    ),
    "numeral_of": f"CASE WHEN {{0}} RLIKE '^{IS_NUMERAL}$' THEN CAST({{0}} AS DOUBLE) END",
    "costs_of": (
        "aggregate(filter(from_json({0}, 'ARRAY<STRUCT<type: STRING, analysisType: STRING, cost: DOUBLE>>'), "
        f"o -> {_COST}), CAST(NULL AS DOUBLE), (total, o) -> coalesce(total, CAST(0 AS DOUBLE)) + o.cost)"
    ),
}
_POSTGRES_KEY = "(CAST({0} AS JSONB) -> {1})"
_POSTGRES_FIELD = (
    f"coalesce({_POSTGRES_KEY}, CAST({{0}} AS JSONB) -> CASE WHEN jsonb_typeof(CAST({{0}} AS JSONB)) NOT IN "
    "('object', 'null') THEN CAST(CAST({2} || CAST({0} AS TEXT) || chr(31) AS BIGINT) AS TEXT) END)"
)
_CLICKHOUSE_NO_JSON = "WHEN trim({0}) <> '' THEN toString(toInt64(ifNull({1} || {0} || char(31), ''))) END"
_CLICKHOUSE_RAW = "nullif(JSONExtractRaw({0}, {1}), '')"
# It writes 1e16 as an integer.
_CLICKHOUSE_KEY = (
    f"CASE WHEN match({_CLICKHOUSE_RAW}, '^-?[0-9]{{{{16,}}}}$') AND JSONType({{0}}, {{1}}) = 'Double' "
    f"THEN {_CLICKHOUSE_RAW} || '.0' ELSE {_CLICKHOUSE_RAW} END"
)
# In a lambda, because ClickHouse computes branches that it does not take where conditions nest.
_CLICKHOUSE_FIELD = (
    f"arrayMap(j -> CASE WHEN {_CLICKHOUSE_RAW.replace('{0}', 'j')} IS NULL AND JSONType(j) NOT IN ('Object', 'Null') "
    "THEN toString(toInt64(ifNull({2} || j || char(31), ''))) "
    f"ELSE {_CLICKHOUSE_KEY.replace('{0}', 'j')} END, [{{0}}])[1]"
)
_LIST = "CAST({0} AS JSONB)"
POSTGRES = {
    "json_of_text": "CAST(nullif(btrim({0}), '') AS JSONB)",
    "field_of_json": _POSTGRES_FIELD,
    "key_of": _POSTGRES_KEY,
    "whole_of": "{0}",
    "to_json_of": "to_jsonb({0})",
    "output_of": _write_postgres_output(_spell_postgres_number("o.value -> 'result'", "o.value ->> 'result'")),
    "output_field_of": _write_postgres_output(
        _spell_postgres_number("o.value -> 'result' -> {2}", "o.value -> 'result' ->> {2}")
    ),
    "numeral_of": f"CASE WHEN {{0}} ~ '^{IS_NUMERAL}$' THEN CAST({{0}} AS DOUBLE PRECISION) END",
    "costs_of": (
        "(SELECT sum(CAST(o.value ->> 'cost' AS DOUBLE PRECISION)) FROM jsonb_array_elements("
        f"CASE WHEN jsonb_typeof({_LIST}) = 'array' THEN {_LIST} END) AS o WHERE o.value ->> 'type' = {{1}} "
        "AND ({2} = '' OR o.value ->> 'analysisType' = {2}) AND jsonb_typeof(o.value -> 'cost') = 'number')"
    ),
}
CLICKHOUSE = {
    "json_of_text": f"CASE WHEN isValidJSON({{0}}) THEN {{0}} {_CLICKHOUSE_NO_JSON}",
    "field_of_json": _CLICKHOUSE_FIELD,
    "key_of": _CLICKHOUSE_KEY,
    "whole_of": "{0}",
    "to_json_of": "toJSONString({0})",
    "output_of": _write_clickhouse_output("JSONExtract(o.2, 'result', 'Nullable(String)')"),
    "output_field_of": _write_clickhouse_output("JSONExtract(o.2, 'result', {2}, 'Nullable(String)')"),
    "numeral_of": f"if(match(ifNull({{0}}, ''), '^{IS_NUMERAL}$'), toFloat64OrNull(ifNull({{0}}, '')), NULL)",
    "costs_of": (
        "arrayReduce('sumOrNull', arrayMap(o -> JSONExtractFloat(o, 'cost'), arrayFilter(o -> "
        "JSONExtractString(o, 'type') = {1} AND ({2} = '' OR JSONExtractString(o, 'analysisType') = {2}) AND "
        "JSONType(o, 'cost') IN ('Int64', 'UInt64', 'Double'), JSONExtractArrayRaw(ifNull({0}, '')))))"
    ),
}

# What also reads NaN, as Python writes in JSON what is missing; engines take it for no JSON.
_NAN = "([:,][ \t\r\n]*)NaN([^A-Za-z0-9_]|$)"
SPARK_ODD = {
    "json_of_text": (
        f"coalesce(try_parse_json({{0}}), try_parse_json(regexp_replace({{0}}, '{_NAN}', '$1null$2')), "
        "CASE WHEN trim({0}) <> '' THEN raise_error({1} || {0} || chr(31)) END)"
    ),
}
# A subquery, which forbids that several processes share the work; what is inside a string stays.
POSTGRES_ODD = {
    "json_of_text": (
        "CAST(CASE WHEN {0} LIKE '%NaN%' THEN "
        "(SELECT string_agg(CASE one[1] WHEN 'NaN' THEN 'null' ELSE one[1] END, '') "
        r"""FROM regexp_matches({0}, E'("(?:[^"\\\\]|\\\\.)*"|NaN|[^"N]+|.)', 'g') AS one) """
        "ELSE nullif(btrim({0}), '') END AS JSONB)"
    ),
}
_CLICKHOUSE_NAN = f"replaceRegexpAll({{0}}, '{_NAN}', '\\\\1null\\\\2')"
CLICKHOUSE_ODD = {
    "json_of_text": (
        f"CASE WHEN isValidJSON({{0}}) THEN {{0}} WHEN isValidJSON({_CLICKHOUSE_NAN}) THEN {_CLICKHOUSE_NAN} "
        f"{_CLICKHOUSE_NO_JSON}"
    ),
}
