"""The house: a module imports only from a lower floor, and none grows too large."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import vapi_frames

PACKAGE = Path(vapi_frames.__path__[0])
FLOORS = {
    "errors": 0,
    "vocabulary": 0.5,
    "contract": 1,
    "timegrid": 1,
    "outcomes": 1,
    "dates": 1.5,  # the mezzanine: what the rooms of floor 2 share, and stands on the calendar
    "timerange": 1.5,
    "wire": 1.8,
    "additivity": 1.9,
    "filters": 1.9,
    "widening": 1.93,
    "lint": 1.95,
    "asker": 1.95,
    "comparison": 1.96,
    "builder": 1.97,
    "answer": 1.98,
    "query": 2,
    "parse": 2.1,  # between the question and its answer: floors 2 and below do no I/O
    "reply": 2.3,
    "gathering": 2.4,
    "meta": 2.5,
    "keys": 2.5,
    "narrowing": 2.7,
    "frames": 3,
    "sources": 3,
    "sources.sql": 3,
    "writing": 3.2,
    "sources.progress": 3.2,
    "sources.duplicates": 3.5,
    "sources.records": 3.5,
    "sources.sweep": 3.6,
    "sources.concurrency": 3.5,
    "sources.dialects": 3.6,
    "sources.nested": 3.6,
    "sources.engine": 3.7,
    "sources.jsonfiles": 3.7,
    "sources.rendering": 3.7,
    "sources.tables": 3.7,
    "sources.drivers": 3.8,
    "sources.files": 3.8,
    "sources.key": 3.3,
    "sources.waits": 3.3,
    "sources.pieces": 3.5,
    "sources.dayfiles": 3.7,
    "sources.scrub": 3.5,
    "sources.recording": 3.5,
    "sources.misses": 3.6,
    "sources.connection": 3.9,
    "sources.listing": 3.95,
    "sources.workers": 3.95,
    "sources.archive": 4,
    "sources.assistants": 4,
    "sources.fanout": 4,
    "sources.tape": 4,
    "sources.served": 4,
    "sources.segments": 3.8,
    "sources.shelf": 3.9,
    "sources.api": 4,
    "sources.cache": 4,
    "sources.calls": 4,
    "sources.warehouse": 4,
    "sample": 4,
    "analysis.trust": 4,
    "analysis.buckets": 4.1,
    "analysis.files": 4.1,
    "analysis.unitcheck": 4.1,
    "analysis.rollup": 4.2,
    "analysis.words": 4.2,
    "analysis.gaps": 4.3,
    "analysis.report": 4.3,
    "analysis.groups": 4.3,
    "analysis.ratios": 4.3,
    "analysis.change": 4.4,
    "analysis.compare": 4.5,
    "analysis": 4.5,
    "plotting.tables": 4.6,
    "plotting.axes": 4.7,
    "plotting.elsewhere": 4.7,
    "plotting": 4.8,
    "dashboard": 4.6,
    "asking": 4.9,
    "entry": 5,
    "verbs": 5.5,
    "accessor": 6,
    "completion": 6.5,
    "server.openapi": 7,
    "server.app": 7.2,
    "server": 7.4,
    "server.listen": 7.4,
    "exports": 7.5,
    "commands": 7.8,
    "cli": 8,
    "__init__": 8,
}
# What each floor may import of others' at module level; the rest is imported when it is first used.
STANDARD = {"pandas", "numpy"}
HEAVY = {
    "requests",
    "duckdb",
    "pydantic",
    "pydantic_core",
    "pyarrow",
    "polars",
    "matplotlib",
    "starlette",
    "uvicorn",
    "h11",
    "tqdm",
    "IPython",
    "ipywidgets",
    "jinja2",
    "openpyxl",
    "sqlglot",
    "pyspark",
    "pandas",
    "numpy",
}
OWNERS = {
    "contract": {"pydantic", "pydantic_core"},
    "answer": {"pyarrow"},
    "dates": {"numpy", "pyarrow"},
    "gathering": {"numpy", "pyarrow"},
    "reply": {"pyarrow"},
    "additivity": {"numpy"},
    "keys": {"pandas", "numpy"},
    "narrowing": {"numpy", "pyarrow"},
    "frames": {"pandas", "numpy", "pyarrow"},
    "analysis.trust": {"pandas", "numpy"},
    "analysis.buckets": {"pandas", "numpy"},
    "analysis.files": {"pandas"},
    "analysis.rollup": {"pandas", "numpy"},
    "analysis.gaps": {"pandas", "numpy"},
    "analysis.groups": {"pandas", "numpy"},
    "analysis.ratios": {"pandas", "numpy"},
    "analysis.report": {"pandas"},
    "analysis.change": {"numpy"},
    "analysis.compare": {"pandas", "numpy"},
    "plotting": {"pandas"},
    "plotting.tables": {"pandas", "numpy"},
    "plotting.axes": {"pandas"},
    "plotting.elsewhere": {"pandas"},
    "accessor": {"pandas"},
    "sample": {"pandas", "numpy"},
    "sources.connection": {"requests"},
    "sources.key": {"requests"},
    "sources.fanout": {"pyarrow"},
    "sources.sweep": {"numpy"},
    "sources.engine": {"pyarrow"},
    "sources.cache": {"pyarrow"},
    "sources.calls": {"pyarrow"},
    "sources.segments": {"pyarrow"},
    "sources.warehouse": {"pyarrow"},
    "writing": {"numpy", "pyarrow"},
}


def modules():
    """Return module name → path."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = path
    return found


def is_type_checking(node):
    """Say whether *node* is ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree, *, top_only=False):
    """Yield (module, names) of every import that runs."""
    nodes = list(tree.body)
    while nodes:
        node = nodes.pop()
        if is_type_checking(node):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module, [alias.name for alias in node.names]
        if not (top_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            nodes.extend(ast.iter_child_nodes(node))


def own(name, tree):
    """Return the package's modules that *name* imports, also inside functions."""
    found = set()
    for module, names in imports(tree):
        if module == "vapi_frames":
            found |= {n for n in names if n in FLOORS} | ({"__init__"} if not set(names) <= set(FLOORS) else set())
        elif module.startswith("vapi_frames."):
            inner = module.removeprefix("vapi_frames.")
            nested = {f"{inner}.{n}" for n in names} & set(FLOORS)
            found |= nested or {inner}
    return found - {name}


TREES = {name: ast.parse(path.read_text()) for name, path in modules().items()}


def test_every_module_has_a_floor():
    """A new module is given its floor on purpose."""
    assert set(TREES) == set(FLOORS)


@pytest.mark.parametrize("name", [name for name in FLOORS if name not in ("__init__", "cli")])
def test_imports_go_down(name):
    """Each import, also one inside a function, is of a lower floor; so there are no cycles."""
    upward = {other for other in own(name, TREES[name]) if FLOORS[other] >= FLOORS[name]}
    assert not upward, f"{name} (floor {FLOORS[name]}) imports {upward}"


def test_the_rooms_of_floor_four_do_not_know_each_other():
    """Sources know the protocol, not their neighbours."""
    sources = {name for name in FLOORS if name.startswith("sources.") and FLOORS[name] == 4}
    for name in sources:
        assert not own(name, TREES[name]) & sources


@pytest.mark.parametrize("name", FLOORS)
def test_heavy_packages_are_imported_by_their_owners_only(name):
    """At module level a third party stands only where its floor owns it."""
    top = {module.split(".")[0] for module, _ in imports(TREES[name], top_only=True)}
    assert top & HEAVY <= OWNERS.get(name, set())


@pytest.mark.parametrize("name", FLOORS)
def test_no_module_outgrows_its_room(name):
    """About 400 lines; there is no utils and no core."""
    assert len(modules()[name].read_text().splitlines()) <= 420
    assert name.rsplit(".", 1)[-1] not in ("utils", "core", "helpers", "common")


def test_floors_zero_to_two_read_no_clock_and_do_no_io():
    """Questions and calendars are values."""
    for name, tree in TREES.items():
        if FLOORS[name] > 2.3:
            continue
        called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not called & {"open", "datetime.now", "datetime.utcnow", "time.time", "date.today", "datetime.today"}, (
            name
        )


def test_every_public_thing_is_documented():
    """Each module, public class, method and function says what it is."""
    for name, tree in TREES.items():
        assert ast.get_docstring(tree), name
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef) and not getattr(node, "name", "").startswith("_"):
                for inner in node.body:
                    if isinstance(inner, ast.ClassDef | ast.FunctionDef) and not inner.name.startswith("_"):
                        assert ast.get_docstring(inner), f"{name}.{inner.name}"
