"""What every test starts from: no key in the environment, no warning counted as shown, no screen."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
from contextlib import suppress
from importlib.util import find_spec

import pytest

import vapi_frames
from vapi_frames.query import lint

if find_spec("matplotlib"):
    import matplotlib as mpl

    mpl.use("Agg")


def pytest_report_header():
    """Say which package the run is about, and on which versions."""
    names = ["pandas", "pyarrow", "pydantic", "requests", "numpy", "duckdb", "matplotlib", "polars", "sqlglot"]
    names += ["starlette", "uvicorn", "tqdm", "vapi-server-sdk"]
    found = []
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return [f"vapi-frames {vapi_frames.__version__} of {vapi_frames.__path__[0]}", "on " + ", ".join(found)]


@pytest.fixture(autouse=True)
def clean_start(monkeypatch):
    """Run each test as if it were the first of its process, on a machine that knows no key."""
    for name in ("VAPI_API_KEY", "VAPI_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    lint._warned.clear()
    yield
    plt = sys.modules.get("matplotlib.pyplot")
    if plt is not None:
        plt.close("all")


@pytest.fixture
def interruptible():
    """Let Ctrl-C interrupt this process and those it starts, also where the parent ignores it: ``nohup make test &``."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def need(condition, reason):
    """Skip the test that needs what this machine does not have; where everything must be there, fail it."""
    if condition:
        return
    if os.environ.get("VAPI_FRAMES_REQUIRE_ENGINES") == "1":
        pytest.fail(f"VAPI_FRAMES_REQUIRE_ENGINES=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session", params=("duckdb", "postgres", "clickhouse", "spark"))
def engine(request):
    """Return the name of an engine, and a session of it, in a zone of its own, that lasts until the end."""
    return request.param, request.getfixturevalue(request.param)


def _session(name):
    def session():
        from tests.support import engines

        with getattr(engines, f"{name}_session")() as session:
            yield session

    return pytest.fixture(scope="session", name=name)(session)


duckdb, postgres, clickhouse, spark = map(_session, ("duckdb", "postgres", "clickhouse", "spark"))
