"""What a test needs from the machine: it is skipped without it, and fails where everything must be there."""

from __future__ import annotations

import os

import pytest


def require(condition, reason):
    """Skip the test unless *condition* holds; fail it with `VAPI_FRAMES_REQUIRE_ENGINES=1`, as in CI."""
    if condition:
        return
    if os.environ.get("VAPI_FRAMES_REQUIRE_ENGINES") == "1":
        pytest.fail(f"VAPI_FRAMES_REQUIRE_ENGINES=1, but {reason}")
    pytest.skip(reason)
