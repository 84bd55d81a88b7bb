"""The engines' SQL of what a call record has in lists and objects of unknown keys: structured outputs, and costs.

Of several outputs of one name, the one of the first id counts. In the templates ``{0}`` is JSON, or text of it, ``{1}``
a name or a type, and ``{2}`` a field of the result or a type of analysis.
"""

from __future__ import annotations

from vapi_frames.sources.records.duckdb_lists import IS_NUMERAL

__all__ = ["CLICKHOUSE", "POSTGRES", "SPARK"]


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
SPARK = {
    "to_json_of": "to_json({0})",
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
_LIST = "CAST({0} AS JSONB)"
POSTGRES = {
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
