"""Pages are whole: generated tables are as they are made, and what a page must have by its kind it has."""

from __future__ import annotations

import importlib
import re

import pytest

import vapi_frames as vf
from tests.support.make_pages import PAGES
from tests.support.make_tables import code, reasons_page, types_page
from tests.support.site_links import broken, public_names
from vapi_frames import errors

pytestmark = pytest.mark.extra("test")


def test_types_page_is_generated():
    """The committed page of types is what tests/support/make_pages.py writes, on either pandas."""
    assert (PAGES / "reference/types.md").read_text(encoding="utf-8") == types_page()


def test_reasons_page_is_generated():
    """The committed page of ended reasons is what tests/support/make_pages.py writes."""
    assert (PAGES / "reference/reasons.md").read_text(encoding="utf-8") == reasons_page()


def test_a_pattern_in_a_table_is_not_markdown():
    """No character of a pattern ends its cell, or makes it bold."""
    assert code(r"(a|b)\.*_<x>") == "<code>(a&#124;b)&#92;.&#42;&#95;&lt;x&gt;</code>"


def test_each_error_has_cause_and_cure():
    """Each error and warning below the root says why it is raised, and what to do."""
    text = (PAGES / "reference/errors.md").read_text(encoding="utf-8")
    sections = re.split(r"^#{2,3} ", text, flags=re.MULTILINE)
    said = {section.split("\n")[0]: section for section in sections}
    for name in errors.__all__:
        if name != "VapiFramesError":
            assert re.search(r"^\*\*Cause\.\*\* \w.+?^\*\*Cure\.\*\* [\w`\[]", said[name], re.MULTILINE | re.DOTALL), (
                name
            )


def test_each_public_member_has_a_docstring():
    """The reference leaves out what has none, so each name, verb, function and error has one."""
    for name in public_names():
        owner, _, last = name.rpartition(".")
        holder = vf
        for part in owner.split(".")[1:]:
            holder = getattr(holder, part)
        found = (
            importlib.import_module("vapi_frames.sources.cache.cache")
            if name == "vapi_frames.cache"
            else getattr(holder, last)
        )
        assert (found.__doc__ or "").strip(), name


def test_the_names_of_the_reference_are_all_of_them():
    """The list that the built reference is checked against has the verbs, and no field or second name."""
    names = public_names()
    assert len(names) == len(set(names))
    wanted = {"Query.sum", "Query.from_body", "Query.levels", "Vq.archive", "VapiAccessor.partial", "analysis.rollup"}
    assert {f"vapi_frames.{name}" for name in wanted} <= set(names)
    assert not {"vapi_frames.Query.mean", "vapi_frames.Query.table", "vapi_frames.Vq.source.fget"} & set(names)


@pytest.mark.parametrize("page", sorted(str(path.relative_to(PAGES)) for path in PAGES.rglob("*.md")))
def test_tables_and_pictures_are_introduced(page):
    """Before a table stands a sentence, or the heading of the one thing it is about; a picture has a text."""
    text = (PAGES / page).read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^<!--.+-->\n", "", text, flags=re.MULTILINE)
    for before in re.findall(r"^(.*)\n+\|.+\n\| ?---", text, re.MULTILINE):
        assert before
        assert not re.match(r"##? ", before), f"the table below {before!r} has no sentence before it"
    for alt in re.findall(r"!\[(.*?)\]\(", text):
        assert len(alt.split()) > 4, alt


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ('<a href="b.html#x">', []),
        ('<a href="#here">', []),
        ('<a href="b/">', []),
        ('<a href="https://example.com/none">', []),
        ('<img src="p.png" alt="a picture">', []),
        ('<a href="c.html">', ["a.html: c.html is not there"]),
        ('<a href="b.html#y">', ["a.html: b.html#y has no such anchor"]),
        ('<a href="#there">', ["a.html: #there has no such anchor"]),
        ('<script src="q.js"></script>', ["a.html: q.js is not there"]),
        ('<img src="p.png">', ["a.html: a picture without alt text: p.png"]),
        ('<img src="p.png" alt="No description has been provided">', ["a.html: a picture without alt text: p.png"]),
    ],
)
def test_a_link_that_leads_nowhere_is_found(link, said, tmp_path):
    """What .ci/run asks of the built site: a page, an anchor, a file, and a text for each picture."""
    (tmp_path / "a.html").write_text(f'<h1 id="here">A</h1>{link}', encoding="utf-8")
    (tmp_path / "b.html").write_text('<h1 id="x">B</h1>', encoding="utf-8")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "index.html").write_text("<h1>B</h1>", encoding="utf-8")
    (tmp_path / "p.png").write_bytes(b"")
    assert broken(tmp_path) == said
