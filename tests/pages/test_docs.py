"""The pages say what the package does: their examples run, their lists are complete."""

from __future__ import annotations

import ast
import doctest
import re
import tomllib
from pathlib import Path

import pytest

import vapi_frames as vf
from tests.support.engines import LOAD
from tests.support.make_pages import PAGES, frame_page, measures_page, wire_page
from tests.support.site_links import public_names
from vapi_frames import analysis, errors
from vapi_frames.cli.main import main
from vapi_frames.query import lint
from vapi_frames.query.builder import VERBS
from vapi_frames.sources.warehouse.dialects import DIALECTS

pytestmark = pytest.mark.extra("test")

ROOT = PAGES.parent
README = ROOT / "README.md"
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
DOCUMENTS = sorted([*PAGES.rglob("*.md"), *ROOT.glob("*.md")])


@pytest.fixture(autouse=True)
def in_an_empty_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def headings(page):
    return re.findall(r"^#+ (.+)$", (PAGES / page).read_text(encoding="utf-8"), re.MULTILINE)


def fenced(language, document=README):
    return re.findall(rf"^```{language}\n(.+?)^```$", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", sorted(str(path.relative_to(PAGES)) for path in PAGES.rglob("*.md")))
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning")
def test_examples_of_a_page_give_what_it_shows(page):
    """Every example on a page, run in order, prints what stands below it."""
    text = (PAGES / page).read_text(encoding="utf-8")
    unfenced = re.sub(r"^```.*$", "", text, flags=re.MULTILINE)
    examples = doctest.DocTestParser().get_doctest(unfenced, {}, page, page, 0)
    report = []
    doctest.DocTestRunner(optionflags=FLAGS).run(examples, out=report.append)
    assert not report, "".join(report)
    if examples.examples:
        assert "import vapi_frames as vf" in text, "each page with examples says where vf comes from"


def test_readme_names_every_verb_of_a_query():
    """The table of verbs has each of them; another name for the same, such as mean, need not be there."""
    text = README.read_text(encoding="utf-8")
    assert [verb for verb in VERBS if getattr(vf.Query, verb).__name__ == verb and f"`.{verb}(" not in text] == []


def test_page_of_verbs_names_every_verb_of_a_frame():
    """Each function of analysis that returns a frame is said on the page of verbs."""
    text = (PAGES / "guides/verbs.md").read_text(encoding="utf-8")
    named = [name for name in analysis.__all__ if analysis.__dict__[name].__annotations__["return"] == "pd.DataFrame"]
    assert [name for name in named if not re.search(rf"`[\w.]*\b{name}\(", text)] == []


def test_page_of_warehouses_names_every_engine():
    """The table has each dialect, and says of those that tests/support/engines.py starts that the tests run them."""
    text = (PAGES / "guides/warehouse.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r'^\| [^|]+ \| `"(\w+)"`[^|]*\| [^|]+ \| (yes|no)\b', text, re.MULTILINE))
    assert rows == {name: "yes" if name in LOAD else "no" for name in DIALECTS}


def test_lint_page_names_every_finding():
    """The page of findings has a heading for each id of lint.py, in order, and no other."""
    ids = set(re.findall(r'"(VF\d{3})"', Path(lint.__file__).read_text(encoding="utf-8")))
    assert [heading for heading in headings("reference/lint.md") if heading.startswith("VF")] == sorted(ids)


def test_errors_page_names_every_error_and_warning():
    """The page of errors has a heading for each public name of errors.py, once, and draws the tree as it is."""
    named = [heading for heading in headings("reference/errors.md") if re.fullmatch(r"\w+(Error|Warning)", heading)]
    assert sorted(named) == sorted(errors.__all__)
    [tree] = fenced("text", PAGES / "reference/errors.md")
    parents = []
    for line in tree.splitlines():
        place, name, builtin = re.fullmatch(r"([ │├└─]*)(\w+)(?: \((\w+)\))?", line).groups()
        depth = len(place) // 3
        kind = getattr(errors, name)
        parents[depth:] = [kind]
        if depth:
            assert kind.__bases__[0] is parents[depth - 1], name
            assert [base.__name__ for base in kind.__bases__[1:]] == [builtin] * (builtin is not None), name
    drawn = set(re.findall(r"\w+Error", tree)) & set(errors.__all__)
    assert drawn == {name for name in errors.__all__ if name.endswith("Error")}


def test_measures_page_is_generated():
    """The committed page of measures is what tests/support/make_pages.py writes."""
    assert (PAGES / "reference/measures.md").read_text(encoding="utf-8") == measures_page()


def test_bad_days_are_as_they_are_tested():
    """The table of bad days is what tests/support/make_pages.py writes."""
    assert (PAGES / "guides/wire.md").read_text(encoding="utf-8") == wire_page()
    assert (PAGES / "guides/frame.md").read_text(encoding="utf-8") == frame_page()


def test_reference_names_every_public_name():
    """The pages of the reference have each public name and member once, and nothing else."""
    pages = [path.read_text(encoding="utf-8") for path in (PAGES / "reference/api").glob("*.md")]
    shown = [name for page in pages for name in re.findall(r"^::: (\S+)$", page, re.MULTILINE)]
    # Four functions have the names of their modules, so their page names them in full.
    shown = [re.sub(r"^(vapi_frames\.analysis\.(\w+))\.\2$", r"\1", name) for name in shown]
    assert sorted(shown) == sorted(public_names())


def test_each_page_of_the_reference_is_of_one_task():
    """No page is longer than a reader takes in, and the overview leads to each of the others."""
    overview = (PAGES / "reference/api/index.md").read_text(encoding="utf-8")
    for path in (PAGES / "reference/api").glob("*.md"):
        assert path.name == "index.md" or f"({path.name})" in overview
        assert path.read_text(encoding="utf-8").count("\n::: ") <= 30, path.name


def test_readme_shows_what_the_demo_prints(capsys, monkeypatch, tmp_path):
    """README's block of output is what the demo prints; only the folder of the chart differs."""
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    *printed, chart = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    *shown, shown_chart = fenced("text")[0].splitlines()
    assert shown == printed
    assert Path(shown_chart).name == Path(chart).name
    assert Path(chart).read_bytes().startswith(b"\x89PNG")


def test_readme_has_the_two_commands():
    """README's first two shell blocks are one line each: set up and demo, set up and test."""
    demo, tests = (block.strip() for block in fenced("sh")[:2])
    assert "\n" not in demo + tests
    assert re.fullmatch(r"python3 -m venv (\S+) && \1/bin/pip install .+ && \1/bin/vapi-frames demo", demo)
    assert re.fullmatch(
        r"python3 -m venv (\S+) && \1/bin/pip install .+ && \1/bin/python -m pytest -n auto --dist loadgroup", tests
    )


@pytest.mark.parametrize("page", [README, PAGES / "index.md"], ids=lambda path: path.name)
def test_each_extra_is_named(page):
    """Both first pages have a row for each extra that a user may want, and README names those for work on the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = set(re.findall(r"`(\w+)`", page.read_text(encoding="utf-8")))
    theirs = set(project["optional-dependencies"]) - {"test", "bench", "docs", "dev"}
    assert (theirs if page != README else {*project["optional-dependencies"]}) <= named


def test_readme_has_a_section_of_two_commands():
    """The section holds two shell blocks, the first two of the page."""
    [section] = re.findall(
        r"^## Two commands\n(.+?)(?=^## )", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert re.findall(r"^```sh\n(.+?)^```$", section, re.MULTILINE | re.DOTALL) == fenced("sh")[:2]


def test_pictures_of_readme_are_there_for_light_and_dark():
    """Each picture has a source for dark pages, a text for who cannot see it, and both files."""
    pictures = re.findall(r"<picture>(.+?)</picture>", README.read_text(encoding="utf-8"), re.DOTALL)
    assert pictures
    for picture in pictures:
        dark, alt, light = re.search(
            r'\(prefers-color-scheme: dark\)" srcset="(.+?)">.+<img alt="(.+?)" src="(.+?)">', picture, re.DOTALL
        ).groups()
        assert (ROOT / dark).exists()
        assert (ROOT / light).exists()
        assert dark != light
        assert len(alt.split()) > 4


def test_plain_python_blocks_are_python():
    """Blocks that are not run, because they need a network or files, are valid Python all the same."""
    blocks = [block for document in DOCUMENTS for block in fenced("python", document)]
    assert blocks
    for block in blocks:
        ast.parse(block)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    """Every relative link of a document leads to a file of the repository."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (document.parent / target).exists(), target


def test_every_page_is_in_the_navigation():
    """mkdocs.yml names every page of the site."""
    named = re.findall(r": (\S+\.(?:md|ipynb))$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(
        path.relative_to(PAGES).as_posix() for path in PAGES.rglob("*") if path.suffix in (".md", ".ipynb")
    )


@pytest.mark.parametrize("first", ["README.md", "notebooks/index.md"])
def test_first_pages_lead_to_every_page(first):
    """README and the first page of the site link each page; those of the reference have an overview of their own."""
    text = (ROOT / first).read_text(encoding="utf-8")
    pages = [path for path in PAGES.rglob("*") if path.suffix in (".md", ".ipynb") and path.name != "index.md"]
    others = [path.relative_to(PAGES).as_posix() for path in pages if path.parent.name != "api"]
    prefix = "notebooks/" if first == "README.md" else ""
    assert [path for path in others if not re.search(rf"\]\({prefix}{re.escape(path)}[)#]", text)] == []
    assert f"]({prefix}reference/api/index.md)" in text


@pytest.mark.parametrize("words", ["percentile", "invoice", "phone number"])
def test_search_finds_words_of_the_trade(words):
    """What people type is in the text of a guide, and not only the contract's words for it."""
    guides = [path.read_text(encoding="utf-8").lower() for path in (PAGES / "guides").glob("*.md")]
    assert any(words in guide for guide in guides)


def test_words_of_contributing_are_those_of_the_makefile():
    """The table has each word that `make` lists, and CI runs no other."""
    words = {*re.findall(r"^([a-z]+):.* ## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)} - {"help"}
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert {*re.findall(r"^\| `make (\w+)` \|", contributing, re.MULTILINE)} | {"setup"} == words
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    run = re.findall(r"\bmake (?:-\w+ )*((?:[a-z]+ ?)+)(?:ARGS=\S+)?$", script, re.MULTILINE)
    assert run
    assert {word for line in run for word in line.split()} <= words


def place_of(path):
    """Return where the repository's *path* is: the package may be an installed one."""
    return Path(vf.__path__[0]).parent if path.startswith("vapi_frames/") else ROOT


def test_recipes_name_what_is_there():
    """Each file of a recipe exists, and what a step names in backticks stands in one of that step's files."""
    text = (PAGES / "project/recipes.md").read_text(encoding="utf-8")
    steps = re.findall(r"^(?:\d+\. |`pytest ).+(?:\n(?!\d+\. |\n).+)*", text, re.MULTILINE)
    assert len(steps) > 30
    for step in steps:
        words = re.findall(r"`([^`]+)`", step)
        paths = [path for word in words for path in word.split() if re.search(r"/|\.(py|md|yml|toml)$", path)]
        assert paths, step
        places = [place_of(path) / path for path in paths]
        assert all(place.exists() for place in places), paths
        texts = "".join(place.read_text(encoding="utf-8") for place in places if place.is_file())
        for word in words:
            if re.fullmatch(r"[\w\[\]]+", word):
                assert re.search(rf"(?<!\w){re.escape(word)}(?!\w)", texts), (word, paths)


def test_changelog_begins_with_this_version():
    """The newest section of the change log is that of the package's version."""
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest[1] == vf.__version__
