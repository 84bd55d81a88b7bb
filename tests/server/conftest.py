"""An endpoint that serves a few calls."""

from __future__ import annotations

import pytest

import vapi_frames as vf
from tests.support.endpoint import running
from tests.support.served_calls import CALLS, NOW


@pytest.fixture(scope="module")
def source():
    """Serve a few calls around a change of the clock."""
    return vf.local(CALLS, now=NOW).source


@pytest.fixture(scope="module")
def endpoint(source):
    """Serve them."""
    with running(source, body_limit=20_000, query_limit=20) as endpoint:
        yield endpoint
