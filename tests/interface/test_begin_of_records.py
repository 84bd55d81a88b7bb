"""A comparison says where the records begin after the first day of the earlier period."""

from __future__ import annotations

import re
import warnings
from datetime import UTC, datetime, timedelta

import pytest

import vapi_frames as vf
from vapi_frames.errors import RecordsWarning

pytestmark = pytest.mark.extra("local")

_NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)


@pytest.mark.parametrize("length", [1, 7, 13, 14, 15, 20])
@pytest.mark.parametrize("hours", [600, 671, 672, 690])
def test_a_comparison_warns_exactly_if_records_begin_after_its_first_day(length: int, hours: int) -> None:
    """The note is there exactly if no record is of the first day of the earlier period or before; its line is right."""
    created = [_NOW - timedelta(hours=back) for back in range(hours, 0, -7)]
    calls = [{"id": str(i), "createdAt": at.isoformat(), "cost": 1.0} for i, at in enumerate(created)]
    vq = vf.local(calls, now=_NOW)
    first_day = (_NOW - timedelta(days=2 * length)).date()
    is_short = all(at.date() > first_day for at in created)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        df = vq.call().sum("cost").last(f"{length}d").compare("previous").fetch()
    notes = [note for note in df.vapi.meta.notes if "records begin" in note]
    assert len(notes) == is_short
    assert [str(one.message) for one in caught if one.category is RecordsWarning] == notes
    for note in notes:
        assert note in df.vapi.describe()
        days = re.search(r'\.last\("(\d+)d", complete=True\)', note)
        assert days
        vq.call().sum("cost").last(f"{days[1]}d", complete=True).compare("previous").fetch()  # a warning is an error


def test_the_sample_says_since_when_it_has_calls() -> None:
    """The sample's last 30 days reach back to before its first call, and the line to type is told."""
    query = vf.demo().call().sum("cost").last("30d").compare("previous")
    with pytest.warns(RecordsWarning, match=r'begin on 2026-10-01.*2026-09-17.*last\("23d", complete=True\)'):
        query.fetch()
