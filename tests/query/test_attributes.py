"""What a verb in the wrong place says: where it stands, and the line to type."""

import datetime as dt
import inspect

import pandas as pd
import pytest

from vapi_frames import vq
from vapi_frames.errors import QueryError, UnknownWordError
from vapi_frames.interface.accessor import VapiAccessor
from vapi_frames.query.attributes import FRAME_VERBS
from vapi_frames.query.builder import VERBS
from vapi_frames.query.comparison import Comparison
from vapi_frames.query.query import Query

QUERY = vq.call().sum("cost").by("type").last("7d")
ON_RECORDS = {"call", "subscription", "coverage", "check_units", "query"}  # of frames of call records, or of both


def list_names(kind):
    """Return the public names of a class."""
    return {name for name in dir(kind) if not name.startswith("_")}


def test_each_verb_of_frames_is_known():
    """What df.vapi has and a query lacks is in the table of the hints, which cannot import it."""
    beyond = list_names(VapiAccessor) - list_names(Query) - ON_RECORDS
    assert beyond - {"describe", "plot"} == FRAME_VERBS  # those two are also pandas'


@pytest.mark.parametrize("name", sorted(FRAME_VERBS))
def test_a_verb_of_frames_on_a_query_says_to_fetch(name):
    """Each verb of df.vapi says the same on a query, on a comparison, and on a vq."""
    call = "" if isinstance(inspect.getattr_static(VapiAccessor, name), property) else r"\(\)"
    for thing in (QUERY, QUERY.compare("previous")):
        with pytest.raises(AttributeError, match=rf"call \.fetch\(\) first, then df\.vapi\.{name}{call}$"):
            getattr(thing, name)
    if name != "units":  # which a vq has, too
        with pytest.raises(AttributeError, match=rf"fetch a query first, then df\.vapi\.{name}"):
            getattr(vq, name)


@pytest.mark.parametrize("name", sorted(list_names(VapiAccessor)))
def test_each_name_of_df_vapi_says_what_to_type(name):
    """Each public name of df.vapi that a query, a comparison or a vq lacks has a line there, with () if it is called."""
    call = "" if isinstance(inspect.getattr_static(VapiAccessor, name), property) else "()"
    for thing in (QUERY, QUERY.compare("previous"), vq):
        if hasattr(thing, name):
            continue
        with pytest.raises(AttributeError) as error:
            getattr(thing, name)
        said = str(error.value)
        lines = [
            f"df.vapi.{name}{call}",
            f"the frame has .{name}",
            f"vq.{name}()",
            f".{name}(...)",
            f"vq.call().{name}(...)",
        ]
        if name == "query":  # pandas' query filters, and a vq starts one
            lines += ["did you mean .where()?", "vq.call() or vq.subscription()"]
        assert any(said.endswith(line) for line in lines), said


@pytest.mark.parametrize("name", sorted(list_names(pd.DataFrame)))
def test_each_name_of_pandas_says_what_to_type(name):
    """Each public name of a frame that a query lacks says to fetch first, or names the verb that does the same."""
    for thing in (QUERY, QUERY.compare("previous")):
        if not hasattr(thing, name):
            with pytest.raises(
                AttributeError,
                match=r"call \.fetch\(\) first|did you mean \.|stands before|verb of a query|the contract has",
            ):
                getattr(thing, name)


@pytest.mark.parametrize("name", sorted(list_names(Query) - list_names(Comparison)))
def test_a_verb_of_a_query_on_a_comparison_shows_the_line(name):
    """Each name of a query says on a comparison where it stands, and shows the user's query with it."""
    with pytest.raises(AttributeError) as error:
        getattr(QUERY.compare("1y"), name)
    line = f"{QUERY}.{name}(...)"
    if name in VERBS:
        assert str(error.value).endswith(f'.{name}() stands before .compare(): {line}.compare("1y")')
    else:
        assert str(error.value).endswith(line if callable(getattr(Query, name)) else f".query.{name}")


def test_other_words_on_a_comparison():
    """Words of pandas are read as on a query; what is private stays a plain AttributeError."""
    both = QUERY.compare("previous")
    for name, hint in {
        "groupby": r"\.by\(\) stands before",
        "fetsh": r"did you mean \.fetch\(\)",
        "head": "fetch",
    }.items():
        with pytest.raises(AttributeError, match=hint):
            getattr(both, name)
    assert not hasattr(both, "_private")
    assert not hasattr(Comparison.__new__(Comparison), "query")


@pytest.mark.parametrize(
    ("start", "lines"),
    [
        ("2026-10-01", ['.since("2026-10-01")', '.during("2026-10-01")']),
        ("2026-10", ['.during("2026-10")']),
        (dt.date(2026, 10, 1), ['.since("2026-10-01")']),
        (dt.datetime(2026, 10, 1, 9, tzinfo=dt.UTC), ['.since("2026-10-01T09:00:00+00:00")']),
        (None, ['.last("7d")']),
    ],
)
def test_a_range_without_an_end_shows_the_line(start, lines):
    """between() with a start alone names what is missing, and lines that are valid."""
    with pytest.raises(QueryError, match="takes a start and an end") as error:
        QUERY.between(start)
    assert all(line in str(error.value) for line in lines)
    for line in lines:
        assert isinstance(eval(f"QUERY{line}", {"QUERY": QUERY}), Query)


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("by", ["type", "assistantId"]), ("sum", ["cost", "duration"]), ("avg", ("cost",)), ("count", ["id"]),
        ("min", ["cost"]), ("max", ["cost"]), ("median", ["cost"]), ("nunique", ("assistantId", "type")),
        ("by_variable", ["plan", "tier"]), ("by_output", ("CSAT",)),
    ],
)  # fmt: skip
def test_a_list_of_words_is_answered_by_the_line_first(verb, words):
    """A verb that takes several words refuses a list of them with the line that is right, and no list of valid words."""
    with pytest.raises(UnknownWordError) as error:
        getattr(vq.call(), verb)(words)
    listed = ", ".join(f'"{word}"' for word in words)
    line = f".{verb}({listed})"
    assert str(error.value).endswith(f". Pass each as its own argument: {line}.")
    assert "Valid" not in str(error.value)
    getattr(vq.call(), verb)(*words)
