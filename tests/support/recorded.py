"""Recordings to replay, and what they are compared with."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from tests.support.wires import over
from vapi_frames.errors import (
    ReplayMissError,
)
from vapi_frames.sources.recordings.replay import RecordingWire

MOMENT = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)


def equal(played, recorded):
    """Check that two frames are the same, also in their metadata, except for the source."""
    pd.testing.assert_frame_equal(played, recorded, check_exact=True, check_flags=False)
    known = [json.loads(frame.attrs["vapi"]) for frame in (played, recorded)]
    assert known[0].pop("source") == "replay"
    assert known[1].pop("source") != "replay"
    assert known[0].pop("sum") != known[1].pop("sum")  # the checksum of all of it
    assert known[0] == known[1]


def recording(wire, folder, *, now=MOMENT, **options):
    """Return a vq that asks *wire* and records it in pieces as *options* say."""
    folder.mkdir(exist_ok=True)
    return over(RecordingWire(wire, folder, now), now=now, **options)


def names(folder):
    """Return what lies in *folder*."""
    return sorted(path.name for path in folder.iterdir())


def texts(folder):
    """Return the content of every file."""
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def missed(query):
    """Return the error of a replay that has no recording for *query*."""
    with pytest.raises(ReplayMissError) as caught:
        query.fetch()
    assert type(caught.value) is ReplayMissError
    return caught.value


def several(vq):
    """Return queries of every kind."""
    call = vq.call()
    return [
        call.sum("cost")
        .count()
        .by("type")
        .step("day")
        .last("14d", complete=True)
        .tz("America/New_York")
        .named("spend"),
        call.avg("duration").with_counts().by("assistantId", "endedReason").during("2026-10"),
        call.count().by_variable("plan"),
        call.min("cost").max("cost", alias="dearest").since("2026-10-15").step("week"),
        call.sum("cost").count().by("type").where(endedReason=["voicemail", "customer-ended-call"]).during("2026-10"),
        vq.subscription().max("concurrency").step("hour").last("2d").tz("Asia/Kathmandu"),
        vq.subscription().history("concurrency").last("6h"),
    ]
