"""Fixtures for the tests that look for a key in everything that is shown, printed or logged, and for those of progress."""

from __future__ import annotations

import io
import logging
import os
from types import SimpleNamespace

import pytest

from tests.support.secret_checks import KEY
from tests.support.terminals import Clock, Stream
from vapi_frames.sources import progress


@pytest.fixture
def clean_environment(monkeypatch, tmp_path):
    """Remove every key, proxy, netrc and certificate bundle from the environment."""
    names = ["VAPI_API_KEY", "VAPI_TOKEN", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]
    names += [name for name in os.environ if name.lower().endswith("_proxy")]
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def nothing_printed(capfd):
    """Check after the test that neither stream and no log record at DEBUG has the key; yield the log."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)r"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)
    out, err = capfd.readouterr()
    assert KEY not in out + err + stream.getvalue()


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "_clock", clock)
    return clock


@pytest.fixture
def put(monkeypatch):
    """Return what puts a stream in the place of stderr; pytest puts its own there between a fixture and its test."""

    def put(stream, **modules):
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream, modules=modules))
        return stream

    return put


@pytest.fixture
def terminal(put):
    return put(Stream())


@pytest.fixture
def pipe(put):
    return put(Stream(is_terminal=False))
