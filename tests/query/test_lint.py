"""Advice: each finding by its id, and that warnings are shown once."""

from __future__ import annotations

import re
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest

import vapi_frames as vf
from vapi_frames import vq
from vapi_frames.errors import QueryError, QueryWarning
from vapi_frames.query import lint

NOW = datetime(2026, 11, 15, 17, 30, tzinfo=UTC)


def ids(query):
    """Return the ids that lint gives."""
    return [one.id for one in query.lint(NOW)]


CASES = {
    "VF001": lambda: vq.call(),
    "VF002": lambda: vq.call().count().between("2026-10-01T12:00Z", "2026-10-01"),
    "VF101": lambda: vq.call().sum("id"),
    "VF102": lambda: vq.subscription().sum("concurrency"),
    "VF103": lambda: vq.call().max("concurrency"),
    "VF104": lambda: vq.subscription().history("concurrency").max("concurrency"),
    "VF105": lambda: vq.subscription().max("concurrency").by("assistantId"),
    "VF106": lambda: vq.call().count().by("type").by_variable("type"),
    "VF107": lambda: vq.subscription().max("concurrency").where(assistantId="a"),
    "VF201": lambda: vq.call().count().between("2026-10-01T09:00", "2026-11-01"),
    "VF202": lambda: vq.call().count().between("2026-10-01", "2026-10-31"),
    "VF203": lambda: vq.call().count().between("2026-12-01", "2026-12-05"),
    "VF204": lambda: vq.call().count().step("second").between("2026-10-01", "2026-11-01"),
    "VF205": lambda: vq.call().count().step("day").between("2026-10-01T18:30Z", "2026-11-01"),
    "VF206": lambda: vq.call().count().step("month").between("2026-10-01", "2026-11-10"),
    "VF207": lambda: vq.call().count().step("day").between("2026-11-01", "2026-11-16"),
    "VF208": lambda: vq.call().count().tz("CET"),
}


def test_every_finding_has_a_case():
    """No id of lint.py is left untried."""
    assert set(CASES) == set(re.findall(r'"(VF\d{3})"', Path(lint.__file__).read_text(encoding="utf-8")))


@pytest.mark.parametrize("id_", CASES)
def test_each_finding_is_found(id_):
    """The id is stable, the level is an error only for a query that cannot be sent."""
    found = {one.id: one for one in CASES[id_]().lint(NOW)}
    assert id_ in found
    assert found[id_].level == ("error" if id_ in ("VF001", "VF002") else "warning")
    assert str(found[id_]).startswith(id_)


@pytest.mark.parametrize(
    "query",
    [
        lambda: vq.call().sum("cost").avg("duration").count().by("assistantId").by_variable("plan"),
        lambda: vq.call().sum("cost").step("day").during("2026-10").tz("America/New_York"),
        lambda: vq.call().sum("cost").step("week").last("8w", complete=True).tz("Australia/Lord_Howe"),
        lambda: vq.subscription().max("concurrency").sum("minutesUsed").step("day").last("7d", complete=True),
        lambda: vq.subscription().history("concurrency"),
        lambda: vq.call().count().step("second").between("2026-10-01", "2026-10-02"),
        lambda: vq.call().count().last("30d"),
        lambda: vq.call().count().between("2026-10-01T09:00", "2026-11-01").tz("America/New_York"),
    ],
)
def test_a_good_query_has_no_findings(query):
    """Advice is rare enough to be read."""
    assert ids(query()) == []


def test_a_relative_range_without_a_clock_is_not_judged():
    """Without a clock, lint checks what it can."""
    query = vf.Query(table="call").sum("id").step("hour").last("1d")
    assert [one.id for one in query.lint()] == ["VF101"]
    assert [one.id for one in query.lint("2026-11-15T17:30Z")] == ["VF101", "VF205", "VF206"]
    assert "inside an hour" in str(query.explain("2026-11-15T17:30Z"))


@pytest.mark.extra("local")
def test_warnings_are_shown_once_at_the_callers_line():
    """The first fetch shows a finding, the second does not repeat it; the line is the caller's own."""
    query = vf.demo().call().count().step("day").last("36h")
    with pytest.warns(QueryWarning, match="VF205") as caught:
        query.fetch()
    assert {one.filename for one in caught} == {__file__}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        query.fetch()


@pytest.mark.extra("local")
def test_an_error_carries_its_findings():
    """What stops a fetch can be looked at."""
    with pytest.raises(QueryError, match="the query has no measure") as caught:
        vf.demo().call().fetch()
    assert [one.id for one in caught.value.findings] == ["VF001"]
