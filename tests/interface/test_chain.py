"""A query and the verbs of its frame, read from text: the text and the program give one frame."""

import inspect

import pandas as pd
import pytest

import vapi_frames as vf
from vapi_frames.errors import QueryError, UnknownWordError
from vapi_frames.interface.accessor import VapiAccessor
from vapi_frames.interface.chain import FRAME_VERBS, parse_chain
from vapi_frames.interface.verbs import Verbs

QUERY = 'vq.call().sum("cost").sum("duration").count().by("type").step("day").during("2026-10")'
CHAINS = {
    "": lambda df: df,
    '.vapi.rollup("week")': lambda df: df.vapi.rollup("week"),
    ".vapi.rollup(step='week').vapi.per_minute()": lambda df: df.vapi.rollup(step="week").vapi.per_minute(),
    "\n  .vapi.rollup('all')\n  .vapi.top(2, by='cost')": lambda df: df.vapi.rollup("all").vapi.top(2, by="cost"),
    ".fetch().vapi.drop_partial()": lambda df: df.vapi.drop_partial(),
    '.vapi.ratio("cost", "duration", name="c")': lambda df: df.vapi.ratio("cost", "duration", name="c"),
    ".vapi.change(7, whole=True)": lambda df: df.vapi.change(7, whole=True),
}
WRONG = {
    ".vapi": f"column {len(QUERY) + 2}: the verbs of a frame come last",
    ".vapi.rolup()": "did you mean 'rollup'",
    ".vapi.drill()": "unknown verb of .vapi 'drill'",
    ".vapi.save('x.parquet')": "unknown verb of .vapi 'save'",
    ".vapi.__class__()": "unknown verb of .vapi '__class__'",
    ".vapi.meta.source()": "found .meta without parentheses",
    ".vapi.rollup('week').by('type')": "verbs of a frame come last",
    ".vapi().rollup('week')": "unknown verb",
    ".vapi.rollup(week)": 'put text in quotes: "week"',
    ".vapi.rollup(open('/etc/passwd'))": "found a call",
    ".vapi.rollup(*['week'])": "a starred argument",
    ".vapi.rollup(**{'step': 'week'})": r"found \*\*",
    ".vapi.rollup('week', step='week')": "multiple values",
    ".vapi.rollup(n=1)": "unexpected keyword argument 'n'",
    ".to_pandas().vapi.rollup()": "unknown verb",
    ".vapi.rollup": "without parentheses",
}


@pytest.mark.extra("local")
@pytest.mark.parametrize("verbs", CHAINS)
def test_text_gives_the_frame_of_the_program(verbs):
    query, found = parse_chain(QUERY + verbs)
    frame = expected = vf.demo().fetch(query.named("q"))["q"]
    for verb in found:
        frame = verb.apply(frame)
    pd.testing.assert_frame_equal(frame, CHAINS[verbs](expected))


@pytest.mark.parametrize("verbs", CHAINS)
def test_the_repr_of_a_chain_is_read_back(verbs):
    query, found = parse_chain(QUERY + verbs)
    assert parse_chain(repr(query) + "".join(map(str, found))) == (query, found)


@pytest.mark.parametrize("verbs", WRONG)
def test_anything_else_is_refused_with_its_position(verbs):
    with pytest.raises((QueryError, UnknownWordError), match=WRONG[verbs]):
        parse_chain(QUERY + verbs)


def test_the_verbs_are_those_that_make_a_frame_of_a_frame():
    made = {
        name
        for name, verb in inspect.getmembers(Verbs, inspect.isfunction)
        if inspect.signature(verb).return_annotation in ("pd.DataFrame", "ResultFrame[Self]")
        and not name.startswith("_")
    }
    assert made - {"for_excel"} == set(FRAME_VERBS)


def test_each_name_of_df_vapi_in_text_says_where_it_goes():
    """One that makes rows comes after the query, with .vapi; any other is called in Python; and so for names of pandas."""
    public = {name for name in dir(VapiAccessor) if not name.startswith("_")}
    for name in sorted(public - {"call", "subscription", "query", "drill", "explain"}):
        is_value = isinstance(inspect.getattr_static(VapiAccessor, name), property)
        for before in ("", ".vapi"):
            if name in FRAME_VERBS and before:
                continue
            with pytest.raises(QueryError) as error:
                parse_chain(f"vq.call().count(){before}.{name}{'' if is_value else '()'}")
            told = str(error.value).rstrip(".")
            if name in FRAME_VERBS:
                assert told.endswith(f"comes after the query: .vapi.{name}(...)".rstrip("."))
            else:
                assert told.endswith(f"in Python, df.vapi.{name}{'' if is_value else '()'}")
    for name in ("head", "plot", "to_csv", "sort_values"):
        with pytest.raises(QueryError, match="in Python"):
            parse_chain(f"vq.call().count().{name}()")
