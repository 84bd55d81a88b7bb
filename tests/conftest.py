"""What every test starts from, the engines that tests share, and how much a run tries.

`pytest --long -m "property or long"` runs the property tests with three times as many examples and the slow tests,
`pytest --brief` all tests with half of the examples: for runs in which only the installed versions differ.
"""

from __future__ import annotations

import gc
import importlib.metadata
import os
import re
import signal
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, settings

import vapi_frames
from tests.support.examples import FORMS, is_long
from vapi_frames.query import lint

# The processes that tests start read what the first one compiled, even where the environment says to keep nothing.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

if find_spec("matplotlib"):
    import matplotlib as mpl

    mpl.use("Agg")

MEMORY = "/dev/shm"
ENGINES = ("postgres", "clickhouse", "spark")
QUIET_CHECKS = {"deadline": None, "suppress_health_check": list(HealthCheck)}
# Each form tries the same examples in every run, so that a run that fails is one that changed something.
for form, number in FORMS.items():
    settings.register_profile(form, max_examples=number, derandomize=True, print_blob=True, **QUIET_CHECKS)


def _keep_files_in_memory():
    """Make the folder of temporary files one in memory, where there is room: caches wait until a disk has each row."""
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return
    found = os.statvfs(MEMORY)
    if found.f_bavail * found.f_frsize >= 4 * 2**30 and not found.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = tempfile.tempdir = MEMORY


_keep_files_in_memory()
gc.set_threshold(100_000, 50, 50)  # rarely: each collection looks through half a million objects of imports, which stay


def pytest_addoption(parser):
    """Add `--long` and `--brief`."""
    parser.addoption(
        "--long",
        action="store_true",
        help="give the property tests three times as many examples, and run the slow tests",
    )
    parser.addoption("--brief", action="store_true", help="give the property tests half of the examples")


def pytest_configure(config):
    """Choose how many examples property tests try, before the test modules are imported."""
    form = next((form for form in ("long", "brief") if config.getoption(f"--{form}")), "short")
    settings.load_profile(form)


def pytest_ignore_collect(collection_path, config):
    """Do not import a module of which `-m "not extra"` leaves out every test: it imports what is not installed."""
    if config.getoption("markexpr") == "not extra" and collection_path.name.startswith("test_"):
        text = collection_path.read_text(encoding="utf-8")
        return re.search(r"^pytestmark = (\[\s*)?pytest\.mark\.extra\(", text, re.MULTILINE) is not None or None
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Start a worker for each core and one more with `-n auto`, because many tests wait; more than eight would, too."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + 1, 8)


def pytest_report_header():
    """Name the package that the run tests, and the versions that it runs on."""
    names = ["pandas", "pyarrow", "pydantic", "requests", "numpy", "duckdb", "matplotlib", "polars", "sqlglot"]
    names += ["starlette", "uvicorn", "tqdm", "vapi-server-sdk"]
    found = []
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return [f"vapi-frames {vapi_frames.__version__} of {vapi_frames.__path__[0]}", "on " + ", ".join(found)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark the property tests, and each test of a database engine: those of one share a worker, which starts it once.

    Tests with the mark `long` are left out of the other forms, those of `assistant` unless they alone are chosen. Tests
    that `choose` how much they try are among the long ones, too.
    """
    for item in items:
        slow = {engine for mark in item.iter_markers("long_on") for engine in mark.args}
        if getattr(item, "callspec", None) and item.callspec.params.get("engine") in slow:
            item.add_marker(pytest.mark.long)
    if not config.getoption("--long"):
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    if config.getoption("markexpr") != "assistant":
        items[:] = [item for item in items if not item.get_closest_marker("assistant")]
    for item in items:
        if "choose" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.long)
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.property)
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        names = {parameters.get("engine"), *getattr(item, "fixturenames", ())} & {*ENGINES}
        names |= {mark.args[0] for mark in item.iter_markers("engine")}
        for name in names:
            item.add_marker(pytest.mark.engine(name))
            item.add_marker(pytest.mark.xdist_group(name))
        if item.get_closest_marker("xdist_group") is None and (shared := _find_shared(item)):
            item.add_marker(pytest.mark.xdist_group(shared))
    items.sort(
        key=lambda item: item.get_closest_marker("engine") is None
    )  # one worker runs all of an engine: the longest first


def _find_shared(item):
    """Return the name of what a test shares with others, so that one worker makes it once: charts, or its module."""
    if any("plot" in mark.args for mark in item.iter_markers("extra")) or {"plotting", "report"} & {*item.path.parts}:
        return "plot"  # to import matplotlib takes longer than most charts
    found = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    return item.nodeid.split("::")[0] if any(one.scope == "module" for all_ in found.values() for one in all_) else None


@pytest.fixture(autouse=True)
def clean_start(monkeypatch):
    """Remove every key from the environment and every shown warning from memory; close the charts afterwards."""
    for name in ("VAPI_API_KEY", "VAPI_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    lint._warned.clear()
    yield
    plt = sys.modules.get("matplotlib.pyplot")
    if plt is not None:
        plt.close("all")


@pytest.fixture
def choose():
    """Return a function that returns the first of two amounts, or the second in the long form."""
    return lambda short, long: long if is_long() else short


@pytest.fixture
def interruptible():
    """Let Ctrl-C interrupt this process and those it starts, also where the parent ignores it: ``nohup make test &``."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", params=("duckdb", *ENGINES))
def engine(request):
    """Return the name of an engine and a session of it, in a time zone of its own, which lasts until the end."""
    return request.param, request.getfixturevalue(request.param)


def _session_fixture(name):
    def session():
        from tests.support import engines

        with getattr(engines, f"{name}_session")() as session:
            yield session

    return pytest.fixture(scope="session", name=name)(session)


duckdb, clickhouse, spark = map(_session_fixture, ("duckdb", "clickhouse", "spark"))


@pytest.fixture(scope="session")
def postgres_address():
    """Start a PostgreSQL server on a free port, and return its address."""
    from tests.support import engines

    with engines.postgres_server() as address:
        yield address


@pytest.fixture(scope="session")
def postgres(postgres_address):
    """Return a connection to the PostgreSQL server."""
    from tests.support import engines

    with engines.postgres_session(postgres_address) as session:
        yield session
