"""A query of an archive reads the files of its days only, and its result is that of all of them."""

from __future__ import annotations

import json
import random
import shutil
import warnings
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.benchmarks.archive_days import write_archive
from tests.support.call_list import DAY
from tests.support.examples import examples
from tests.support.reference import compute
from tests.support.shapes import check
from vapi_frames.errors import RecordsError, RecordsWarning
from vapi_frames.sources.archive.day_files import RECORDS, DayFiles, State
from vapi_frames.sources.archive.verify import verify_archive
from vapi_frames.sources.records.digests import DIGESTS_FILE

pytestmark = pytest.mark.extra("local")
FIRST = datetime(2026, 9, 25, tzinfo=UTC)
DAYS = [FIRST + number * DAY for number in range(14) if number not in (5, 6)]  # a gap, of two days that are not there
NOW = datetime(2026, 10, 20, 12, tzinfo=UTC)
CALL, SUBSCRIPTION = vf.vq.call(), vf.vq.subscription()
QUERIES = {
    "cost by day": CALL.sum("cost").count().step("day").tz("America/New_York"),
    "minutes by week and type": CALL.avg("duration").by("type").step("week"),
    "by a variable of some days": CALL.count().by_variable("plan"),
    "a filter": CALL.count().where(type="webCall"),
    "no step": CALL.count().max("cost"),
    "minutes of the subscription": SUBSCRIPTION.sum("minutesUsed").step("month"),
    "concurrency": SUBSCRIPTION.max("concurrency").min("concurrency").step("day"),
}


def _some_calls():
    """Return calls of the days; some last until another day, and only those from October on have a variable."""
    rng = random.Random(7)
    calls = []
    for number in range(150):
        created = rng.choice(DAYS) + timedelta(milliseconds=rng.choice([0, 86_399_999, rng.randrange(86_400_000)]))
        started = created + timedelta(seconds=3)
        plan = {"variableValues": {"plan": rng.choice(["pro", "free"])}} if created.month == 10 else {}
        calls.append(
            {
                "id": f"call-{number}", "createdAt": created, "startedAt": started,
                "endedAt": started + rng.choice([timedelta(minutes=5), timedelta(hours=30)]),
                "type": rng.choice(["webCall", "inboundPhoneCall"]), "status": "ended", "cost": rng.randrange(100) / 8,
                **plan,
            }
        )  # fmt: skip
    return calls


ROWS = _some_calls()
CALLS = [  # as the oracle reads them
    {name: value for name, value in row.items() if name != "variableValues"}
    | {f"variableValues.{key}": value for key, value in row.get("variableValues", {}).items()}
    for row in ROWS
]


def write(folder, rows=ROWS):
    """Write an archive of the days."""
    files = DayFiles(folder)
    for day in DAYS:
        kept = frozenset({RECORDS, "variables"})
        files.write(day.date(), [row for row in rows if day <= row["createdAt"] < day + DAY], State(NOW, kept=kept))
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return an archive of the days, and a source of it."""
    folder = write(tmp_path_factory.mktemp("written") / "calls")
    return folder, vf.local(folder, now=NOW)


@pytest.fixture
def folder(written, tmp_path):
    """Return a copy of the archive."""
    return shutil.copytree(written[0], tmp_path / "calls")


def fetch(vq, query):
    """Fetch without warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        [frame] = vq.fetch(query).values()
        return frame


def break_days(folder, is_broken):
    """Overwrite the files of some days."""
    for day in DAYS:
        if is_broken(day):
            (folder / f"{day.date()}.parquet").write_bytes(b"no Parquet")


hours = st.integers(-48, 24 * 18).map(lambda hour: FIRST + hour * timedelta(hours=1))
sides = st.tuples(hours, st.sampled_from([-1, 0, 1])).map(lambda at: at[0] + at[1] * timedelta(milliseconds=1))


@examples(36)
@given(st.sampled_from(sorted(QUERIES)), st.lists(sides, min_size=2, max_size=2, unique=True).map(sorted))
def test_a_range_has_the_result_of_a_loop_over_all_calls(written, name, span):
    """For each range, whether its ends are those of a day or not, in any order of the queries."""
    query = QUERIES[name].between(*span)
    frame = fetch(written[1], query)
    check(frame, query, compute(CALLS, query, NOW))


@examples(12)
@given(sides, st.integers(1, 24 * 9))
def test_only_the_files_of_the_range_are_read(written, tmp_path_factory, start, hours):
    """All others may be damaged: not even their digests are computed. One of the range may not."""
    end = start + hours * timedelta(hours=1)
    within = [day for day in DAYS if day < end and day + DAY > start]
    if not within:
        return
    folder = shutil.copytree(written[0], tmp_path_factory.mktemp("broken") / "calls")
    break_days(folder, lambda day: day not in within)
    for name in ("cost by day", "minutes of the subscription"):
        query = QUERIES[name].between(start, end)
        check(fetch(vf.local(folder, now=NOW), query), query, compute(CALLS, query, NOW))
    calls = vf.local(folder, now=NOW).call().count().between(start, end).drill()
    assert sorted(calls["id"]) == sorted(call["id"] for call in CALLS if start <= call["createdAt"] < end)
    break_days(folder, lambda day: day == within[-1])
    with pytest.raises(RecordsError, match=rf"has a damaged day, {within[-1].date()}"):
        fetch(vf.local(folder, now=NOW), CALL.count().between(start, end))


def test_concurrency_reads_all_days(folder):
    """A call that was created long before may be active in the range."""
    break_days(folder, lambda day: day == FIRST)
    with pytest.raises(RecordsError, match="has a damaged day, 2026-09-25"):
        fetch(vf.local(folder, now=NOW), QUERIES["concurrency"].between("2026-10-05", "2026-10-06"))


def test_a_range_without_days_says_which_there_are(written):
    """It has no rows, but their columns; and reads one file."""
    folder, vq = written
    told = r"no call was created in \[2026-0[78]-.*: they are from 2026-09-25T00:00:00Z to 2026-10-09T00:00:00Z"
    for query in (QUERIES["cost by day"], QUERIES["by a variable of some days"]):
        with pytest.warns(RecordsWarning, match=told):
            [frame] = vq.fetch(query.during("2026-08")).values()
        assert frame.empty
    with pytest.warns(RecordsWarning, match=told):
        assert vf.local(folder, now=NOW).call().count().during("2026-08").fetch().loc[0, "countId"] == 0


def test_what_only_other_days_have_is_missing_in_the_range(written):
    """A variable of October is missing in September, and not unknown; one that no day has is unknown."""
    _, vq = written
    query = QUERIES["by a variable of some days"].during("2026-09")
    frame = fetch(vq, query)
    check(frame, query, compute(CALLS, query, NOW))
    assert frame.index.isna().all()
    with pytest.raises(RecordsError, match="no variable 'plam'"):
        fetch(vq, CALL.count().by_variable("plam").during("2026-09"))


def test_files_that_no_archive_wrote_are_read_beside_all_days(folder):
    """A record of another file may have the id of a call of any day, so the look for repeated ids is at all."""
    extra = {**CALLS[0], "createdAt": FIRST + 13 * DAY, "cost": 7.0}
    texts = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in extra.items()}
    source = [folder, folder.parent / "extra.jsonl"]
    source[1].write_text(json.dumps(texts))
    query = CALL.count().between(FIRST + 13 * DAY, FIRST + 14 * DAY)
    there = sum(call["createdAt"] >= FIRST + 13 * DAY for call in CALLS)
    assert fetch(vf.local(source, now=NOW, duplicates="first"), query).loc[0, "countId"] == there
    assert fetch(vf.local(source, now=NOW), query).loc[0, "countId"] == there + 1
    (folder / DIGESTS_FILE).unlink()
    break_days(folder, lambda day: day == FIRST)
    with pytest.raises(RecordsError, match="2026-09-25"):
        fetch(vf.local(folder, now=NOW), query)


def test_a_day_that_arrives_is_seen_by_the_next_query(folder):
    """What was found of the days of a range holds for as long as they do not change."""
    vq = vf.local(folder, now=NOW)
    query = CALL.count().between(DAYS[-1], DAYS[-1] + 2 * DAY)
    before = fetch(vq, query).loc[0, "countId"]
    added = [{**ROWS[0], "id": "new", "createdAt": DAYS[-1] + DAY}]
    DayFiles(folder).write((DAYS[-1] + DAY).date(), added, State(NOW, kept=frozenset({RECORDS})))
    assert fetch(vq, query).loc[0, "countId"] == before + 1


def test_the_archive_of_the_benchmark_is_one(tmp_path):
    """Its days are as an archive writes them: each is checked, and has as many calls as the first, with other ids."""
    folder = write_archive(tmp_path / "calls", 3, 40, 7)
    assert verify_archive(folder).endswith("3 days, all as they were written")
    vq = vf.local(folder, now=NOW, duplicates="raise")
    frame = vq.call().count().sum("cost").step("day").between("2016-01-01", "2016-01-04").fetch()
    assert frame["countId"].nunique() == frame["sumCost"].nunique() == 1
    assert len(frame) == 3
