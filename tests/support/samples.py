"""The sample organization with enough calls for shares and distributions."""

from __future__ import annotations

from functools import cache

from vapi_frames.sources.local.sample import sample_calls


@cache
def large_sample():
    """Return a hundred thousand calls, which tests look at and do not change."""
    return sample_calls(100_000)
