"""The engines' SQL of what a value of a call record means: instants, numbers and texts, as `records.values` reads them.

The usual form of a time is cast by the engine, which is fast. Where a table has met another, the odd functions take it
apart by the one grammar of times, and compute the instant: engines differ in what their casts read, and some depend on
the session. A value that means nothing is an error that holds the value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vapi_frames.sources.records.values import EPOCH_MILLISECONDS, EPOCH_SECONDS, TIME_GROUPS, TIME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "CLICKHOUSE",
    "CLICKHOUSE_ODD",
    "POSTGRES",
    "POSTGRES_ODD",
    "SPARK",
    "SPARK_ODD",
    "USUAL_OFFSET",
    "ValueSql",
    "write_templates",
]

_DAY = (
    "[0-9]{2}([0-9]{2}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    "|(0[48]|[2468][048]|[13579][26])-02-29)|([02468][048]|[13579][26])00-02-29"
)
"""A date that exists. No pattern here has a backslash, which means different things in the literals of engines."""
_WEEK = "[0-9]{4}-W(0[1-9]|[1-4][0-9]|5[0-3])(-[1-7])?"
_USUAL = f"^({_DAY})[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{{1,6}})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])?$"
"""A time as engines cast it; PostgreSQL and Spark know no offset of 16 or 18 hours."""
USUAL_OFFSET = "(Z|[+-][0-9][0-9]:[0-9][0-9])$"
_ANY = f"^{TIME_PATTERN}$".replace(r"\d", "[0-9]").replace(r"\t\r\n", "\t\r\n")
_WHOLE = "^(0|-?[1-9][0-9]{0,18})$"
_ARGUMENTS = {"ARGUMENT": "{0}", "PROBLEM": "{1}"}


class ValueSql(NamedTuple):
    """How one engine writes what its reading of values needs; each function takes and returns SQL.

    Attributes:
        like: Takes (text, pattern) and returns whether it is like the pattern.
        split: Takes (text, pattern) and returns a list of the pattern's groups in it.
        part: Takes (list, position from 1) and returns the entry, empty or missing where the group is not there.
        once: Takes (expression, function) and returns what the function makes of a name for the expression.
        days: Takes a date, or the text of one, and returns its days since 1970.
        micros: Takes text of the usual form, and returns its microseconds since 1970; without an offset it is UTC.
        fail: Takes (text, type: ``integer``, ``double`` or ``text``) and returns an expression that fails with it.
        either: Takes (value, alternative) and returns the alternative where there is no value, computed only there.
        end: The character that ends the value in an error.
        is_finite: Takes a double and returns whether it is neither NaN nor infinite; false or missing for none.
        is_infinite: Takes a double that is not finite and returns whether it is infinite.
        kind: Takes JSON and returns its kind.
        kinds: ``string``, ``number``, ``boolean``, ``null``, ``object`` and ``array`` → how that is written; no number
            where it is any other.
        is_whole: Takes (JSON number, its text) and returns whether it is an integer with few digits.
        scalar: Takes JSON and returns the text of what is no object or list.
        compact: Takes JSON and returns it as text without spaces.
        field: Takes (JSON, key) and returns what an object has there, as JSON.
        types: ``integer``, ``double`` and ``text`` → the engine's type.
        spell: Takes a double that is no integer below 1e16, and returns its text as Python writes it.
        tests_each: Whether CASE needs a condition for each branch: one that compares a value computes all of them.
        cast_number: Takes JSON and returns the double of a number, missing for null; of any other kind it is an error.
        spell_json: Takes the text of a JSON number with a fraction or an exponent, and returns it as Python writes it.
        reads_odd: Whether it reads times of any form; else a time of another than the usual form is an error.
    """

    like: Callable[[str, str], str]
    split: Callable[[str, str], str]
    part: Callable[[str, int], str]
    once: Callable[[str, Callable[[str], str]], str]
    days: Callable[[str], str]
    micros: Callable[[str], str]
    fail: Callable[[str, str], str]
    either: Callable[[str, str], str]
    end: str
    is_finite: Callable[[str], str]
    is_infinite: Callable[[str], str]
    kind: Callable[[str], str]
    kinds: dict[str, str]
    is_whole: Callable[[str, str], str]
    scalar: Callable[[str], str]
    compact: Callable[[str], str]
    field: Callable[[str, str], str]
    types: dict[str, str]
    spell: Callable[[str], str]
    tests_each: bool = False
    cast_number: Callable[[str], str] | None = None
    spell_json: Callable[[str], str] | None = None
    reads_odd: bool = False

    def cast(self, expression: str, type_: str) -> str:
        """Return a cast to ``integer``, ``double`` or ``text``."""
        return f"CAST({expression} AS {self.types[type_]})"

    def refuse(self, problem: str, value: str, type_: str) -> str:
        """Return the expression that fails, with a message that `records.duckdb.read_error` reads."""
        return self.fail(f"{problem} || {value} || {self.end}", type_)

    def read_time_text(self, text: str, problem: str) -> str:
        """Return microseconds since 1970 of text."""
        odd = self.refuse(problem, text, "integer")
        if self.reads_odd:
            added = self.once(self.split(text, _ANY), self._add_parts)
            odd = self.either(f"CASE WHEN {self.like(text, _ANY)} THEN {added} END", odd)
        usual = f"CASE WHEN {self.like(text, _USUAL)} THEN {self.micros(text)}"
        return f"{usual} WHEN {text} IS NOT NULL THEN {odd} END"

    def _add_parts(self, parts: str) -> str:
        """Return microseconds since 1970 of the parts of a time, missing where the day does not exist."""

        def part(name: str) -> str:
            return self.part(parts, TIME_GROUPS.index(name) + 1)

        def number(*names: str) -> str:
            return " + ".join(self.cast(f"coalesce(nullif({part(name)}, ''), '0')", "integer") for name in names)

        day = part("day")
        year, week = f"substring({day}, 1, 4)", self.cast(f"substring({day}, 7, 2)", "integer")
        weekday = self.cast(f"coalesce(nullif(substring({day}, 10, 1), ''), '1')", "integer")
        # The first week has January 4, and the last one December 28; 1970 began on a Thursday.
        fourth = self.days(f"{year} || '-01-04'")
        monday = f"{fourth} - ({fourth} + 7000003) % 7 + ({week} - 1) * 7"
        is_week = f"{self.like(day, f'^{_WEEK}$')} AND {self.days(f'''{year} || '-12-28' ''')} >= {monday}"
        days = (
            f"CASE WHEN {self.like(day, f'^({_DAY})$')} THEN {self.days(day)} "
            f"WHEN {is_week} THEN {monday} + {weekday} - 1 END"
        )
        seconds = f"({number('midnight', 'hour')}) * 3600 + ({number('minute')}) * 60 + {number('second')}"
        fraction = self.cast(f"substring(coalesce({part('fraction')}, '') || '000000', 1, 6)", "integer")
        east = f"({number('long_hours', 'hours')}) * 60 + {number('long_minutes', 'minutes')}"
        sign = f"CASE WHEN {part('sign')} = '-' THEN -1 ELSE 1 END"
        return f"(({days}) * 86400 + {seconds}) * 1000000 + {fraction} - ({east}) * ({sign}) * 60000000"

    def read_epoch(self, number: str, problem: str) -> str:
        """Return microseconds since 1970 of a number of seconds or milliseconds."""
        double = self.cast(number, "double")
        arms = " ".join(
            f"WHEN {double} >= {low} AND {double} < {high} THEN {self.cast(f'floor({double} * {scale})', 'integer')}"
            for (low, high), scale in ((EPOCH_SECONDS, 1_000_000), (EPOCH_MILLISECONDS, 1_000))
        )
        wrong = self.refuse(problem, self.cast(number, "text"), "integer")
        return f"CASE {arms} WHEN {self.is_finite(double)} OR {self.is_infinite(double)} THEN {wrong} END"

    def read_number(self, number: str, problem: str) -> str:
        """Return a finite double, missing for NaN."""
        double = self.cast(number, "double")
        wrong = self.refuse(problem, self.cast(double, "text"), "double")
        return f"CASE WHEN {self.is_finite(double)} THEN {double} WHEN {self.is_infinite(double)} THEN {wrong} END"

    def write_number(self, number: str, problem: str) -> str:
        """Return the text of a double: 7 for 7.0, and else as Python writes it."""
        double = self.cast(number, "double")
        whole = self.cast(self.cast(double, "integer"), "text")
        wrong = self.refuse(problem, self.cast(double, "text"), "text")
        return (
            f"CASE WHEN abs({double}) < 1e16 AND {double} = floor({double}) THEN "
            f"CASE WHEN abs({double}) < 9007199254740992 THEN {whole} ELSE {whole} || '.0' END "
            f"WHEN {self.is_finite(double)} THEN {self.spell(double)} WHEN {self.is_infinite(double)} THEN {wrong} END"
        )

    def read_json(self, json: str, problem: str, type_: str, **kinds: Callable[[str], str]) -> str:
        """Return what the function of its kind makes of JSON; any other kind, but null, is an error."""

        def read(found: str) -> str:
            wrong = self.refuse(problem, self.compact(found), type_)
            uses = {**dict.fromkeys(("string", "number", "boolean", "object", "array"), lambda _: wrong), **kinds}
            arms = {kind: use(found) for kind, use in uses.items()}
            case, test = ("CASE", f"{self.kind(found)} = ") if self.tests_each else (f"CASE {self.kind(found)}", "")
            named = [f"WHEN {test}{self.kinds[kind]} THEN {arm}" for kind, arm in arms.items() if kind in self.kinds]
            if "number" not in self.kinds:
                named.append(f"WHEN {test}{self.kinds['null']} THEN NULL ELSE {arms['number']}")
            return f"{case} {' '.join(named)} END"

        return self.once(json, read)

    def read_json_number(self, json: str, problem: str, **more: Callable[[str], str]) -> str:
        """Return a finite double."""
        if self.cast_number:
            return self.cast_number(json)
        return self.read_json(
            json, problem, "double", number=lambda found: self.read_number(self.scalar(found), problem), **more
        )

    def read_json_text(self, json: str, problem: str, **more: Callable[[str], str]) -> str:
        """Return the text of a scalar."""

        def write(found: str) -> str:
            text = self.scalar(found)
            other = self.spell_json(text) if self.spell_json else self.write_number(text, problem)
            return f"CASE WHEN {self.is_whole(found, text)} THEN {text} ELSE {other} END"

        return self.read_json(
            json, problem, "text", string=self.scalar, number=write, boolean=self.scalar, **more
        )  # fmt: skip


def write_templates(engine: ValueSql) -> dict[str, str]:
    """Return function of the common text → its SQL, in which ``{0}`` is a value, and ``{1}`` how its error begins."""
    json, problem = _ARGUMENTS

    def read_total(found: str) -> str:
        return engine.read_json_number(engine.field(found, "'total'"), problem)

    written = {
        "micros_of_text": engine.read_time_text(json, problem),
        "micros_of_number": engine.read_epoch(json, problem),
        "micros_of_date": f"{engine.days(json)} * 86400000000",
        "number_of": engine.read_number(json, problem),
        "spelled_of": engine.write_number(json, problem),
        "micros_of_json": engine.read_json(
            json, problem, "integer",
            string=lambda found: engine.read_time_text(engine.scalar(found), problem),
            number=lambda found: engine.read_epoch(engine.scalar(found), problem),
        ),
        "number_of_json": engine.read_json_number(json, problem),
        "cost_of_json": engine.read_json_number(json, problem, object=read_total),
        "text_of_json": engine.read_json_text(json, problem),
        "variable_of_json": engine.read_json_text(json, problem, object=engine.compact, array=engine.compact),
        "compact_of": engine.compact(json),
    }  # fmt: skip
    return {name: _escape(text) for name, text in written.items()}


def _escape(text: str) -> str:
    """Return *text* as a template."""
    text = text.replace("{", "{{").replace("}", "}}")
    for word, place in _ARGUMENTS.items():
        text = text.replace(word, place)
    return text


def _add_offset(text: str, like: Callable[[str, str], str]) -> str:
    """Return the *text* of a time with an offset."""
    return f"CASE WHEN {like(text, USUAL_OFFSET)} THEN {text} ELSE {text} || 'Z' END"


# --- PostgreSQL -------------------------------------------------------------------------------------------------


def _match_postgres(text: str, pattern: str) -> str:
    return f"{text} ~ '{pattern}'"


def _fail_in_postgres(text: str, type_: str) -> str:
    wrong = f"CAST({text} AS BIGINT)"
    return wrong if type_ == "integer" else f"CAST({wrong} AS {'TEXT' if type_ == 'text' else 'DOUBLE PRECISION'})"


def _compact_in_postgres(json: str) -> str:
    """Return JSONB as text without the space after each colon and comma: what is a string stays, other spaces go."""
    return rf"""regexp_replace(CAST(CAST({json} AS JSONB) AS TEXT), E'("([^"\\\\]|\\\\.)*")| ', E'\\1', 'g')"""


def _spell_json_in_postgres(text: str) -> str:
    # Its text of a double is Python's, but for an exponent from 1e15 on in place of 1e16, and -0.
    double = f"CAST({text} AS DOUBLE PRECISION)"
    digits = f"CASE WHEN abs({double}) < 9007199254740992 THEN split_part({text}, '.', 1) ELSE {text} END"
    return f"CASE WHEN {_match_postgres(text, '^-?[0-9]{16}[.]0+$')} THEN {digits} ELSE CAST({double} + 0 AS TEXT) END"


POSTGRES = ValueSql(
    like=_match_postgres,
    split="regexp_match({}, '{}')".format,
    part="{}[{}]".format,
    # A subquery would compute the expression once, but forbid that several processes share the work.
    once=lambda expression, use: use(expression),
    days="(CAST({} AS DATE) - DATE '1970-01-01')::BIGINT".format,
    micros=lambda text: (
        f"CAST(extract(epoch FROM CAST({_add_offset(text, _match_postgres)} AS TIMESTAMPTZ)) * 1000000 AS BIGINT)"
    ),
    fail=_fail_in_postgres,
    either="coalesce({}, {})".format,
    end="chr(31)",
    is_finite="abs({}) < 'Infinity'".format,
    is_infinite="abs({}) = 'Infinity'".format,
    kind="jsonb_typeof(CAST({} AS JSONB))".format,
    kinds={kind: f"'{kind}'" for kind in ("string", "number", "boolean", "null", "object", "array")},
    is_whole=lambda _, text: _match_postgres(text, _WHOLE),
    scalar="({} #>> '{{}}')".format,
    compact=_compact_in_postgres,
    field="({} -> {})".format,
    types={"integer": "BIGINT", "double": "DOUBLE PRECISION", "text": "TEXT"},
    spell="CAST({} AS TEXT)".format,
    cast_number="CAST(nullif(CAST({} AS JSONB), 'null') AS DOUBLE PRECISION)".format,
    spell_json=_spell_json_in_postgres,
)
POSTGRES_ODD = POSTGRES._replace(
    # Without OFFSET 0 the expression would be copied into each use.
    once=lambda expression, use: f"(SELECT {use('one.v')} FROM (SELECT {expression} AS v OFFSET 0) AS one)",
    cast_number=None,
    reads_odd=True,
)


# --- Spark ------------------------------------------------------------------------------------------------------


def _match_spark(text: str, pattern: str) -> str:
    return f"{text} RLIKE '{pattern}'"


def _split_in_spark(text: str, pattern: str) -> str:
    groups = "|".join(f"${number}" for number in range(1, len(TIME_GROUPS) + 1))
    return f"split(regexp_replace({text}, '{pattern}', '{groups}'), '[|]', -1)"


def _spell_in_spark(double: str) -> str:
    digits = f"regexp_replace(CAST(CAST({double} AS DECIMAL(38, 21)) AS STRING), '0+$', '')"
    power = f"regexp_replace(replace(CAST({double} AS STRING), '.0E', 'E'), 'E([0-9])', 'e+$1')"
    power = f"regexp_replace(replace({power}, 'E-', 'e-'), 'e([+-])([0-9])$', 'e$10$2')"
    return f"CASE WHEN abs({double}) >= 1e-4D AND abs({double}) < 1e16D THEN {digits} ELSE {power} END"


def _fail_in_spark(text: str, type_: str) -> str:
    return f"CAST(raise_error({text}) AS {SPARK.types[type_]})"


SPARK = ValueSql(
    like=_match_spark,
    split=_split_in_spark,
    part=lambda parts, position: f"get({parts}, {position - 1})",
    once=lambda expression, use: f"transform(array({expression}), v -> {use('v')})[0]",
    days="unix_date(CAST({} AS DATE))".format,
    micros=lambda text: f"unix_micros(CAST({_add_offset(text, _match_spark)} AS TIMESTAMP))",
    fail=_fail_in_spark,
    either="coalesce({}, {})".format,
    end="chr(31)",
    is_finite="abs({}) < CAST('Infinity' AS DOUBLE)".format,
    is_infinite="abs({}) = CAST('Infinity' AS DOUBLE)".format,
    kind="substring(schema_of_variant({}), 1, 3)".format,
    kinds={"string": "'STR'", "boolean": "'BOO'", "null": "'VOI'", "object": "'OBJ'", "array": "'ARR'"},
    is_whole=lambda _, text: _match_spark(text, _WHOLE),
    scalar="CAST({} AS STRING)".format,
    compact="to_json({})".format,
    field="try_element_at(try_cast({} AS MAP<STRING, VARIANT>), {})".format,
    types={"integer": "BIGINT", "double": "DOUBLE", "text": "STRING"},
    spell=_spell_in_spark,
)


# --- ClickHouse -------------------------------------------------------------------------------------------------


def _match_clickhouse(text: str, pattern: str) -> str:
    return f"match({text}, '{pattern}')"


def _spell_in_clickhouse(double: str) -> str:
    def replace(text: str, *changes: Sequence[str]) -> str:
        for pattern, new in changes:
            text = f"replaceRegexpOne({text}, '{pattern}', '{new}')"
        return text

    text = f"toString({double})"
    long = replace(text, ("^(-?[0-9])([0-9]*?)0*$", r"\\1.\\2"), ("[.]$", ""))
    small = replace(
        text,
        ("^(-?)0[.]0000([1-9])([0-9]*)$", r"\\1\\2.\\3e-05"),
        ("^(-?)0[.]00000([1-9])([0-9]*)$", r"\\1\\2.\\3e-06"),
        ("[.]e", "e"),
        ("e([0-9])", r"e+\\1"),
        ("e([+-])([0-9])$", r"e\\10\\2"),
    )
    return f"if(match({text}, '^-?[0-9]+$'), {long} || 'e+' || toString(length({text}) - 1 - ({double} < 0)), {small})"


def _fail_in_clickhouse(text: str, type_: str) -> str:
    wrong = f"toInt64(ifNull({text}, ''))"  # text that may be missing would give a missing number
    return {"integer": wrong, "double": f"toFloat64({wrong})", "text": f"toString({wrong})"}[type_]


CLICKHOUSE = ValueSql(
    like=_match_clickhouse,
    split="extractGroups(ifNull({}, ''), '{}')".format,
    part="{}[{}]".format,
    once=lambda expression, use: f"arrayMap(v -> {use('v')}, [{expression}])[1]",
    days="toInt64(toDate32OrNull(toString({})))".format,  # also of a date
    micros="toUnixTimestamp64Micro(parseDateTime64BestEffort({}, 6, 'UTC'))".format,
    fail=_fail_in_clickhouse,
    either=lambda value, other: f"CASE WHEN {value} IS NULL THEN {other} ELSE {value} END",
    end="char(31)",
    is_finite="isFinite({})".format,
    is_infinite="isInfinite({})".format,
    # How it begins, because JSONType takes a number of more than 64 bits for text; of Booleans the last letter.
    kind="if({0} IN ('true', 'false'), 'e', substring({0}, 1, 1))".format,
    kinds={"string": "'\"'", "boolean": "'e'", "null": "'n'", "object": "'{'", "array": "'['"},
    is_whole=lambda _, text: _match_clickhouse(text, _WHOLE),
    scalar=lambda json: f"if(startsWith({json}, '\"'), JSONExtract({json}, 'Nullable(String)'), {json})",
    compact=str,
    field="nullif(JSONExtractRaw({}, {}), '')".format,
    types={"integer": "Nullable(Int64)", "double": "Nullable(Float64)", "text": "Nullable(String)"},
    spell=_spell_in_clickhouse,
    tests_each=True,
)
SPARK_ODD = SPARK._replace(reads_odd=True)
CLICKHOUSE_ODD = CLICKHOUSE._replace(reads_odd=True)
