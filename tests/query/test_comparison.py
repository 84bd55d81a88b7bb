"""Which earlier period a comparison takes, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import vapi_frames as vf
from vapi_frames.errors import QueryError

CALLS = vf.vq.call().count()
LATER = datetime(2027, 1, 1, tzinfo=UTC)


def test_a_past_range_that_ends_inside_a_day_has_its_own_length():
    """The earlier period ends where the range starts; only a range until now has one more, partial day."""
    found = CALLS.between("2026-09-01", "2026-09-10T12:00").compare("previous").periods(LATER)
    assert found.before_end == found.start
    assert found.start - found.before_start == timedelta(days=9.5)
    until_now = CALLS.since("2026-09-01").compare("previous").periods(datetime(2026, 9, 10, 12, tzinfo=UTC))
    assert until_now[2:4] == (datetime(2026, 8, 22, tzinfo=UTC), datetime(2026, 8, 31, 12, tzinfo=UTC))


def test_whole_buckets_are_checked_like_any_range():
    """Two days before are less than half a week, so no weekday of theirs matches."""
    both = CALLS.step("day").last("2d", complete=True).compare("previous", align="weekday")
    with pytest.raises(QueryError, match="less than half a week"):
        both.periods(LATER)


@pytest.mark.parametrize("name", ["a" * 33 + "-before", "a" * 40, "short", "x-before", "a" * 32 + "-earlier"])
def test_the_two_queries_have_two_names(name):
    """Whatever the query is called, the earlier period's has another name of at most 40 characters."""
    names = [one["name"] for one in CALLS.during("2026-10").named(name).compare().body(LATER)["queries"]]
    assert names[0] == name
    assert names[1] != name
    assert len(names[1]) <= 40
