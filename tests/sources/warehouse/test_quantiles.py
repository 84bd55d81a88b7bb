"""Quantiles of large groups are exact on every engine: some sample from some number of values on, if asked wrongly."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

import vapi_frames as vf
from tests.support.engines import CALLS, LOAD
from tests.support.queries import ALL, CALL
from tests.support.reference import compute
from tests.support.shapes import check, fetch
from tests.support.strategies import NOW

pytestmark = [
    pytest.mark.extra("warehouse"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning"),
]


@pytest.mark.long
def test_a_group_of_more_than_ten_thousand_values(engine):
    """Median, quantiles and number of values, all and by group, as plain loops find them."""
    rng = random.Random(7)
    start = NOW - timedelta(days=2)
    calls = [
        {**CALLS[0], "id": f"many-{number}", "createdAt": start, "startedAt": start, "type": "ab"[number % 10 == 0],
         "endedAt": start + timedelta(microseconds=rng.randint(0, 10**9)), "cost": rng.randint(0, 10**8) / 10_000,
         "assistantId": f"assistant {number % 11_000}"}
        for number in range(12_001)
    ]  # fmt: skip
    name, session = engine
    where = LOAD[name](session, calls)
    warehouse = vf.warehouse(where.pop("connection"), where.pop("table"), **where, now=NOW)
    query = CALL.median("cost", "duration").quantile("cost", 0.95).quantile("duration", 0.999).nunique("assistantId")
    for one in (query.between(*ALL), query.by("type").between(*ALL)):
        check(fetch(warehouse, one), one, compute(calls, one, NOW))
