"""What every test starts from: no key in the environment, no warning counted as shown, no screen."""

from __future__ import annotations

import importlib.metadata
import os
import sys

import matplotlib as mpl
import pytest

from vapi_frames import lint

mpl.use("Agg")


def pytest_report_header():
    """Say which versions the run is about."""
    names = ["pandas", "pyarrow", "pydantic", "requests", "duckdb", "numpy", "matplotlib", "starlette", "uvicorn"]
    names.append("vapi-server-sdk")
    return "vapi-frames on " + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


@pytest.fixture(autouse=True)
def clean_start(monkeypatch):
    """Run each test as if it were the first of its process, on a machine that knows no key."""
    for name in ("VAPI_API_KEY", "VAPI_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    lint._shown.clear()
    yield
    plt = sys.modules.get("matplotlib.pyplot")
    if plt is not None:
        plt.close("all")


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
        from tests import engines

        with getattr(engines, f"{name}_session")() as session:
            yield session

    return pytest.fixture(scope="session", name=name)(session)


duckdb, postgres, clickhouse, spark = map(_session, ("duckdb", "postgres", "clickhouse", "spark"))
