"""Calls as people have them, and queries of them."""

from __future__ import annotations

import pandas as pd

NOW = "2026-11-20T00:00Z"


def calls(**columns):
    """Return three call records as a frame."""
    data = {
        "id": ["1", "2", "3"],
        "createdAt": pd.to_datetime(["2026-10-01T03:00Z", "2026-10-01T05:00Z", "2026-10-02T12:00Z"]).as_unit("us"),
        "assistantId": ["a", None, "a"],
        "cost": [0.25, 0.5, None],
    }
    return pd.DataFrame({**data, **columns})


def october(vq):
    """Start a query of October."""
    return vq.call().during("2026-10")


TEXT = '{"id": "1", "createdAt": "2026-10-01T00:00Z", "transcript": "my name is Bob"}'
