"""Queries as text: what a repr prints is read back, and nothing in it is ever evaluated."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.query_verbs import VERBS
from tests.support.strategies import NOW, queries
from tests.support.tricks import TRICKS
from vapi_frames import vq
from vapi_frames.contract.vocabulary import GROUP_COLUMNS
from vapi_frames.errors import QueryError, UnknownWordError
from vapi_frames.query.builder import VERBS as BUILDER_VERBS
from vapi_frames.query.parse import parse_queries, parse_query
from vapi_frames.query.query import Query

COUNT = {"operation": "count", "column": "id"}
NAMED = {"table": "call", "name": "n", "operations": [COUNT]}
FILTERS = st.dictionaries(
    st.sampled_from(GROUP_COLUMNS) | st.text(min_size=1, max_size=90).map("variable.{}".format),
    st.none() | st.text() | st.booleans() | st.integers() | st.lists(st.none() | st.text(), min_size=1, max_size=3),
    max_size=3,
)


def refused(text, kind=QueryError):
    """Return the message with which *text* is refused."""
    with pytest.raises(kind) as caught:
        parse_query(text)
    assert type(caught.value) is kind
    assert caught.value.__cause__ is None
    return str(caught.value)


@given(queries(), FILTERS)
def test_a_repr_is_read_as_the_query(query, filters):
    """parse_query(repr(q)) == q for any query with filters; and text with .fetch() is the same query."""
    query = query.where(filters)
    assert parse_query(repr(query)) == query
    assert repr(parse_query(repr(query))) == repr(query)
    assert parse_queries(f"\n  {query!r}.fetch()\n") == [query]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_read(verb):
    """Each verb, as its repr writes it."""
    query = VERBS[verb](vq.call().sum("cost"))
    assert parse_query(repr(query)) == query


def test_the_verbs_are_all_that_build_a_query():
    """Every public method that returns a query is a verb, and none other is."""
    built = {
        name for name in dir(Query)
        if not name.startswith("_") and getattr(getattr(Query, name), "__annotations__", {}).get("return") == "Self"
    }  # fmt: skip
    assert built == set(BUILDER_VERBS)
    assert built == set(VERBS), "tests/query/test_query.py tries each of them"


def test_what_is_read_has_no_source():
    """The text does not name a source."""
    assert parse_query("vq.call().count()").vq is None


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("call().count()", vq.call().count()),
        ("subscription().max('concurrency').last('3d', complete=True)",
         vq.subscription().max("concurrency").last("3d", complete=True)),
        ("vq.call().count().fetch()", vq.call().count()),
        ("  vq\n  .call()  # all of them\n  .sum('cost', 'duration')\r\n  .by(\n'type',)\n",
         vq.call().sum("cost", "duration").by("type")),
        ("(vq.call().count())", vq.call().count()),
        ("vq.call().agg(spend=('cost', 'mean'))", vq.call().avg("cost", alias="spend")),
        ("vq.call().count().where({'variable.age': -3, 'status': ('a', None)}, type=True)",
         vq.call().count().where({"variable.age": -3, "status": ["a", None], "type": "true"})),
        ("vq.call().count().during(2026)", vq.call().count().during("2026")),
        ("vq.call().count(alias='☎ ' \"n\")", vq.call().count(alias="☎ n")),
        ("vq.call()", vq.call()),
    ],
)  # fmt: skip
def test_text_of_a_person_is_read(text, query):
    """Other quotes, several lines, comments, a bare table, tuples, and spoken values."""
    assert parse_query(text) == query


@pytest.mark.parametrize("text", TRICKS)
def test_anything_but_verbs_and_literals_is_refused(text, monkeypatch):
    """Attributes, names, operators, comprehensions, f-strings, lambdas, assignments, stars: nothing runs."""
    monkeypatch.setattr("builtins.print", lambda *_: pytest.fail("it was evaluated"))
    monkeypatch.setattr("os.system", lambda *_: pytest.fail("it was evaluated"))
    with pytest.raises(QueryError):
        parse_query(text)


LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.sampled_from(["cost", "type", "day", "2026-10", "30d", "UTC", "sum"]),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)  # fmt: skip
ARGUMENTS = st.tuples(
    st.lists(LITERALS, max_size=2),
    st.dictionaries(st.sampled_from(["alias", "complete", "type", "x", "span"]), LITERALS, max_size=2),
)


@given(st.lists(st.tuples(st.sampled_from(BUILDER_VERBS), ARGUMENTS), max_size=3))
def test_any_literal_is_read_or_refused(verbs):
    """With any arguments of its verbs the text is a query, or a QueryError."""
    text = "vq.call()"
    for verb, (values, named) in verbs:
        arguments = [*map(repr, values), *(f"{name}={value!r}" for name, value in named.items())]
        text += f".{verb}({', '.join(arguments)})"
    with contextlib.suppress(QueryError):
        assert isinstance(parse_query(text), Query)


@given(st.text() | st.text(alphabet="vq.cal()sum'\"[]{}*=-1, \n#\\").map("vq.call().{}".format))
def test_any_text_is_read_or_refused(text):
    """No text makes another error, or a warning."""
    with contextlib.suppress(QueryError):
        assert parse_queries(text)


DEEP = {
    "minus": "vq.call().during(" + "-" * 90_000 + "1)", "chain": "vq.call()" + ".count()" * 12_000,
    "attributes": "vq" + ".a" * 45_000, "parentheses": "(" * 90_000, "lists": "vq.call().by(" + "[" * 190 + "]" * 190 + ")",
    "open braces": "{'a':" * 190, "operators": "1+" * 45_000 + "1", "lambdas": "lambda:" * 12_000 + "1",
    "digits": "vq.call().during(" + "9" * 5000 + ")", "long": "vq.call().count()" + " " * 100_000,
    "JSON": "[" * 50_000,
}  # fmt: skip


@pytest.mark.parametrize("name", DEEP)
def test_long_and_deep_text_is_refused(name):
    """Text that would break the parser of a language is a QueryError of one short line."""
    with pytest.raises(QueryError) as caught:
        parse_queries(DEEP[name])
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vq.call().sum(cost)", 'the name cost at column 15; put text in quotes: "cost"'),
        ("vq.call().named(f'n')", "an f-string at column 17"),
        ("vq.call().by('ä', *x)", "a starred argument at column 19"),
        ("vq.call()\n  .by('type')\n  .named(x)", "the name x at line 3, column 10"),
        ("vq.call().by", ".by without parentheses at column 11; call it: .by()"),
        ("vf.demo().call()", "the name vf at column 1; a query starts with vq.call()"),
        ("vq.count()", "as in vq.call().count(...)"),
        ("vq.call().count().compare('7d')", "found .compare at column 19"),
        ("vq.call().between('2026')", ".between() at column 11: missing a required argument: 'end'"),
        ("vq.call().by(type='a')", ".by() at column 11: got an unexpected keyword argument 'type'"),
        ("vq.call().count(", "ends before its brackets are closed"),
        ("vq.call()).count(", "a closing bracket without an opening one"),
        ("vq.call() count()", "cannot read the query at column"),
        ("vq.call().where({'a': 1, 'a': 2})", "the key 'a' is repeated at column 26"),
        ("vq.call(1)", "call() at column 4 takes no arguments"),
        ("", "the query is empty"),
    ],
)
def test_a_refusal_says_what_was_found_where_and_what_is_right(text, message):
    """The message has the column, and on several lines the line."""
    assert message in refused(text)


@pytest.mark.parametrize(
    ("text", "message", "suggestion"),
    [
        ("vq.call().groupby('type')", "unknown verb 'groupby' at column 11; did you mean 'by'?", "by"),
        ("vq.call().filter(type='a')", "unknown verb 'filter' at column 11; did you mean 'where'?", "where"),
        ("vq.call().counts()", "did you mean 'count'", "count"),
        ("vq.calls().count()", "unknown table 'calls' at column 4; did you mean 'call'?", "call"),
        ("calls().count()", "unknown table 'calls' at column 1; did you mean 'call'?", "call"),
        ("vq.call().sum('costs')", "unknown column 'costs'; did you mean 'cost'?", "cost"),
    ],
)
def test_an_unknown_word_gets_the_nearest_one(text, message, suggestion):
    """Verbs and tables are suggested like the words of verbs."""
    assert message in refused(text, UnknownWordError)
    with pytest.raises(UnknownWordError) as caught:
        parse_query(text)
    assert caught.value.suggestions[0] == suggestion


def test_a_query_is_text():
    """Nothing but text is read."""
    with pytest.raises(QueryError, match="a query must be text, not 5"):
        parse_query(5)
    with pytest.raises(QueryError, match="a query must be text, not"):
        parse_queries({"queries": []})


@given(st.lists(queries(absolute=True), min_size=1, max_size=3, unique_by=lambda q: q.body(NOW)["queries"][0]["name"]))
def test_each_query_of_a_body_is_read(written):
    """Each element of a body is the query that it was compiled from, in order."""
    parts = [query.body(NOW)["queries"][0] for query in written]
    assert parse_queries(json.dumps({"queries": parts})) == written
    assert parse_queries(json.dumps(parts)) == written
    assert parse_queries(f" \n{json.dumps(parts[0])}") == written[:1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the body is not JSON"),
        ("[NaN]", "the body is not JSON"),
        ("{}", "$.queries is missing"),
        ("[]", "has no query"),
        ("[1]", "$.queries[0] must be an object"),
        (json.dumps([NAMED, NAMED]), "two queries of the body are named 'n'"),
        (json.dumps([NAMED, {**NAMED, "name": "m", "groupBy": ["typ"]}]), "'typ' at $.queries[1].groupBy[0]"),
        (json.dumps({**NAMED, "operations": []}), "the query has no measure"),
    ],
)
def test_a_body_that_is_wrong_is_refused(text, message):
    """The message has the JSON path."""
    with pytest.raises(QueryError) as caught:
        parse_queries(text)
    assert message in str(caught.value)
