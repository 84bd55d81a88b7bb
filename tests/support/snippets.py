"""The examples of README, pages and docstrings: where they are, and how many.

    python -m tests.support.snippets

says how many there are of each kind, by document.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from collections import Counter
from typing import TYPE_CHECKING

from tests.support.make_pages import PAGES

if TYPE_CHECKING:
    from pathlib import Path

ROOT = PAGES.parent
DOCUMENTS = sorted([*PAGES.rglob("*.md"), *ROOT.glob("*.md")])
ENGINES = {
    "psycopg": "postgres",
    "sqlalchemy": "postgres",
    "pyspark": "spark",
    "chdb": "clickhouse",
}  # import → the session of conftest
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def blocks(document: Path) -> list[tuple[str, str]]:
    """Return the fenced blocks of a document, each its language and its text."""
    return [(language, text) for _, language, text in _FENCE.findall(document.read_text(encoding="utf-8"))]


def imports(code: str) -> set[str]:
    """Return the packages that *code* imports at its top."""
    return {name.split(".")[0] for name in re.findall(r"^(?:from|import) (\S+)", code, re.MULTILINE)}


def commands(text: str) -> list[tuple[str, str]]:
    """Return the commands of a text's blocks of a shell, each with what it prints."""
    shown = "".join(re.findall(r"^```console\n(.+?)^```$", text, re.MULTILINE | re.DOTALL))
    found = re.findall(r"^\$ (.+\n(?:> .*\n)*)((?:(?![$]).*\n)*)", shown, re.MULTILINE)
    return [(re.sub("^> ", "", command, flags=re.MULTILINE), printed) for command, printed in found]


def counts() -> dict[str, Counter[str]]:
    """Return how many examples each document has, by kind; ``>>>`` counts by statement, blocks by block."""
    found: dict[str, Counter[str]] = {}
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        kinds = Counter({"console": len(commands(text))})
        kinds["pycon"] = len(doctest.DocTestParser().get_examples(re.sub(r"^```.*$", "", text, flags=re.MULTILINE)))
        kinds["python"] = sum(language == "python" for language, _ in blocks(document))
        found[document.relative_to(ROOT).as_posix()] = +kinds
    finder, docstrings = doctest.DocTestFinder(exclude_empty=True), Counter()
    package = importlib.import_module("vapi_frames")
    names = [one.name for one in pkgutil.walk_packages(package.__path__, "vapi_frames.")]
    for name in ("vapi_frames", *names):
        docstrings["pycon"] += sum(len(one.examples) for one in finder.find(importlib.import_module(name), name))
    return {**{name: kinds for name, kinds in found.items() if kinds}, "docstrings": docstrings}


def _main() -> None:
    found = counts()
    found["all"] = sum(found.values(), Counter())
    for name, kinds in found.items():
        said = " ".join(f"{kinds[kind]:4} {kind}" for kind in ("pycon", "python", "console"))
        print(f"{name:28} {said}")  # noqa: T201 - this is a command


if __name__ == "__main__":
    _main()
