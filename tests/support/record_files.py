"""A call record as ``GET /call`` returns it, files of such records, and what one October of them adds up to."""

from __future__ import annotations

import json

import vapi_frames as vf

DAY = "2026-10-01T12:00:00Z"


def call(id_="1", **fields):
    """Return a nested call as ``GET /call`` does."""
    return {"id": id_, "type": "webCall", "createdAt": DAY, "cost": 0.25, **fields}


def write(path, *calls):
    """Write calls one a line, and return the path."""
    path.write_text("".join(json.dumps(one) + "\n" for one in calls), encoding="utf-8")
    return path


def october(calls, **options):
    """Start a query about October of these calls."""
    return vf.local(calls, **options).call().during("2026-10")


def total(calls, **options):
    """Return the number of calls and their cost."""
    frame = october(calls, **options).count().sum("cost").fetch()
    return frame["countId"].iloc[0], frame["sumCost"].iloc[0]
