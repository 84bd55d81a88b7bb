"""The layers: a folder imports only from folders below it, and inside a folder no modules form a circle."""

from __future__ import annotations

import ast
import graphlib
import re
from functools import cache
from pathlib import Path

import pytest

import vapi_frames

PACKAGE = Path(vapi_frames.__path__[0])

# From the ground up. The modules of the first line are no folder, and may import each other.
LAYERS = [
    {"errors", "cancellation", "display", "files", "redact"},
    {"contract", "calendar"},
    {"query"},
    {"result"},
    {"frames", "sources"},
    {"analysis", "server"},
    {"plotting"},
    {"report"},
    {"interface"},
    {"cli", "vapi_frames"},
]
# Inside `sources`; its own modules are the protocol that all of them know.
SOURCES = [
    {"sources", "progress"},
    {"http"},
    {"sql"},
    {"records"},
    {"api", "local", "warehouse"},
    {"cache", "recordings", "archive"},
]
PURE_LAYERS = 4  # which do no I/O and read no clock, but for files.py
CLOCKS = {"now", "utcnow", "today", "time", "monotonic", "perf_counter", "time_ns", "sleep"}
PATH_IO = {"read_text", "read_bytes", "write_text", "write_bytes", "open", "unlink", "mkdir", "touch", "rename"}
OS_PATHS = {"fspath", "path", "PathLike", "sep", "fsdecode", "fsencode"}
HEAVY = {
    "IPython", "duckdb", "h11", "ipywidgets", "jinja2", "matplotlib", "mcp", "mcp_types", "openpyxl", "polars", "pyspark", "sqlglot",
    "sqlite3", "starlette", "tqdm", "uvicorn",
}  # fmt: skip


pytestmark = pytest.mark.xdist_group("architecture")  # one worker parses all modules


@cache
def modules():
    """Return the dotted name of each module, without the package's, and its path; the package itself is vapi_frames."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "vapi_frames"] = path
    return found


@cache
def parse_all():
    """Return name → syntax tree of each module; tests ask for it, because each worker imports this file."""
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in modules().items()}


@cache
def statements(tree):
    """Return every import statement: of types and inside functions, too; none is inside an expression."""
    found, nodes = [], [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        elif not isinstance(node, ast.expr):
            nodes += ast.iter_child_nodes(node)
    return found


@cache
def own(name, tree):
    """Return the modules of the package that the module *name* imports, of which *tree* is the syntax tree."""
    found = set()
    for node in statements(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        else:
            assert node.level == 0, f"{name}: imports are absolute"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            targets = [target if target.removeprefix("vapi_frames.") in modules() else node.module for target in whole]
        for target in targets:
            if target.split(".")[0] == "vapi_frames":
                inner = target.removeprefix("vapi_frames.")
                assert inner in modules(), f"{name} imports {target}, which is no module"
                found.add(inner)
    return found - {name}


def place(name):
    """Return (layer, layer inside sources) of a module, and the folder that it is in."""
    top, _, rest = name.partition(".")
    [layer] = [number for number, folders in enumerate(LAYERS) if top in folders]
    if top != "sources":
        return (layer, 0), top if layer else "the ground"
    inner = rest.split(".")[0] or "sources"
    [room] = [number for number, folders in enumerate(SOURCES) if inner in folders]
    return (layer, room), "sources" if room == 0 else f"sources.{inner}"


def wrong_imports(trees):
    """Return the imports that do not lead to a folder below, as (module, imported module)."""
    found = []
    for name, tree in trees.items():
        at, folder = place(name)
        for other in own(name, tree):
            below, other_folder = place(other)
            if folder != other_folder and below >= at:
                found.append((name, other))
    return found


def test_each_module_is_in_a_folder_of_the_plan():
    """There is no module beside the folders, and no folder without a layer."""
    for name in modules():
        place(name)


def test_folders_import_only_folders_below():
    """Folders of one layer do not know each other, either; imports of types and inside functions count."""
    assert not wrong_imports(parse_all())


def test_modules_form_no_circle():
    """There are no circles, so a module can be read after the modules that it needs."""
    graphlib.TopologicalSorter({name: own(name, tree) for name, tree in parse_all().items()}).prepare()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("calendar.buckets", "from vapi_frames.query.query import Query"),
        ("contract.models", "from vapi_frames.calendar import buckets"),
        ("query.lint", "def f():\n    from vapi_frames.result import reply"),
        ("result.reply", "if TYPE_CHECKING:\n    from vapi_frames.sources import Source"),
        ("sources.sql.select", "from vapi_frames.sources.records.columns import Columns"),
        ("sources.local.source", "from vapi_frames.sources.warehouse import source"),
        ("frames.build", "import vapi_frames.sources.progress"),
    ],
)
def test_an_import_upwards_or_sideways_is_seen(name, code):
    """The check of the layers finds what it is there for."""
    assert wrong_imports({**parse_all(), name: ast.parse(code)})


def impure(tree):
    """Return what a module calls or imports that reads a clock, or reads or writes anything."""
    found = []
    for node in statements(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
        found += [name for name in names if name in ("socket", "time", "subprocess", "shutil", "tempfile")]
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            found += [alias.name for alias in node.names if alias.name not in OS_PATHS]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = node.value.id
            if owner == "os" and node.attr not in OS_PATHS:
                found.append(f"os.{node.attr}")
            if owner in ("datetime", "date", "time") and node.attr in CLOCKS:
                found.append(f"{owner}.{node.attr}")
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in ("open", "input", "print"):
                found.append(called.id)
            if isinstance(called, ast.Attribute) and called.attr in PATH_IO:
                found.append(f".{called.attr}()")
    return found


def test_the_lower_layers_do_no_io_and_read_no_clock():
    """Queries, calendars and results are values; only zone data may be read, which zoneinfo does."""
    lower = {name: tree for name, tree in parse_all().items() if place(name)[0][0] < PURE_LAYERS and name != "files"}
    assert {name: found for name, tree in lower.items() if (found := impure(tree))} == {}


@pytest.mark.parametrize(
    "code",
    [
        "open('x')", "Path('x').read_text()", "import socket", "datetime.now()", "import time", "from os import fork",
        "os.environ", "from time import sleep", "p.write_bytes(b'')", "date.today()",
    ],
)  # fmt: skip
def test_io_and_clocks_are_seen(code):
    """The check of the lower layers finds what it is there for."""
    assert impure(ast.parse(code))


def test_heavy_packages_are_imported_where_they_are_used():
    """At the top of a module stands nothing that an import of the package would not load anyway, save type imports."""
    for name, tree in parse_all().items():
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {alias.name.split(".")[0] for node in top if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module.split(".")[0] for node in top if isinstance(node, ast.ImportFrom)}
        assert not names & HEAVY, name


def test_no_module_grows_too_large():
    """About 400 lines, and no drawer for everything."""
    for name, path in modules().items():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 420, name
        assert name.rsplit(".", 1)[-1] not in ("utils", "core", "helpers", "common"), name


def test_every_public_thing_is_documented():
    """Each module, public class, method and function says what it is."""
    for name, tree in parse_all().items():
        assert ast.get_docstring(tree), name
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef) and not getattr(node, "name", "").startswith("_"):
                for inner in node.body:
                    if isinstance(inner, ast.ClassDef | ast.FunctionDef) and not inner.name.startswith("_"):
                        assert ast.get_docstring(inner), f"{name}.{inner.name}"


def test_no_test_module_imports_another():
    """What several test modules share is in tests/support, so that each file can be read and moved on its own."""
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if re.search(r"\bimport\b.*\btest_", text) is None and re.search(r"\bfrom\b.*\btest_", text) is None:
            continue
        for node in statements(ast.parse(text)):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
            assert not [name for name in names if name.rpartition(".")[2].startswith("test_")], path
