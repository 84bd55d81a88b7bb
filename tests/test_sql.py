"""The statements: as a person would read them, and in the words of engines that are not here to run them."""

from __future__ import annotations

import re

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from tests.engines import HOSTILE
from tests.make_sql import PAGE, page, rendered, tables
from tests.questions import QUESTIONS
from vapi_frames.errors import RecordsError
from vapi_frames.sources.dialects import DIALECTS, WORDS
from vapi_frames.sources.rendering import render
from vapi_frames.sources.sql import quote


def test_typical_statements_are_as_they_were_read():
    """A dozen questions as DuckDB runs them, three of them for every other engine; a change is made on purpose."""
    assert PAGE.read_text(encoding="utf-8") == page(), "if it is meant: python -m tests.make_sql, and read what changed"


@pytest.mark.parametrize("form", ["flat", "nested"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_fixed_question_can_be_written_for_every_engine(dialect, form):
    """Nothing is left that the engine has no word for, and what is written is that engine's SQL."""
    for name, query in QUESTIONS.items():
        for text in rendered(query, dialect, tables(dialect)[form]):
            assert not re.search(r"\b\w+_of\(|\b(instant|wall)\(", text), name
            tree = sqlglot.parse_one(text, dialect=dialect)
            assert isinstance(tree, exp.Select), name
            assert not list(tree.find_all(exp.Command, exp.Placeholder, exp.Parameter)), name
            if dialect == "bigquery":
                assert "%" not in text, "it has no such operator"


ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30) | st.sampled_from(HOSTILE)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(word=ANY)
def test_no_text_gets_out_of_its_literal(dialect, word):
    """A key is written in plain characters as it is, and else in hexadecimal digits that are its bytes."""
    kind = DIALECTS[dialect]
    shape, said = (render(f"SELECT {WORDS.json('x', 'json', [key])} AS a FROM calls", kind) for key in ("plain", word))
    before, after = re.split("'/?plain'", shape)
    assert said.startswith(before)
    assert said.endswith(after)
    inside = said[len(before) : len(said) - len(after)]
    [written] = re.findall("'([^']*)'", inside.replace(", 'UTF8'", "").replace(", 'hex'", ""))
    if re.fullmatch(r"'[A-Za-z0-9 _.,:/@#+=()~-]*'", inside):
        assert written == kind.key(word)
    else:
        assert re.fullmatch(r"[A-Za-z_0-9( ]+(X?'[0-9a-f]*')[A-Za-z0-9,') ]*", inside)
        assert bytes.fromhex(written).decode() == kind.key(word)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(word=ANY)
def test_no_name_gets_out_of_its_quotes(dialect, word):
    """A column's name is read back as one name; what an engine would change in it is refused."""
    kind = DIALECTS[dialect]
    try:
        said = render(f"SELECT calls.{quote(word)} AS a FROM calls", kind)
    except RecordsError:
        assert "\0" in word or ("${" in word and dialect in ("spark", "databricks"))
        return
    tree = sqlglot.parse_one(said, dialect=dialect)
    assert len(tree.expressions) == 1
    if dialect != "bigquery" or "." not in word:  # where dots in quotes part names, and no column has any
        [column] = tree.find_all(exp.Column)
        assert column.name == word
