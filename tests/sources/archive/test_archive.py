"""The archive of calls: every call once, in whatever order the API lists, and however often it is run."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.call_list import DAY, NOW, Calls, at, call, connect, ids, store
from tests.support.examples import examples
from tests.support.servers import Server, failing
from vapi_frames.errors import (
    RecordsWarning,
    ResponseError,
    StatusError,
)
from vapi_frames.sources.archive.archive import archive

# --- all calls, once -------------------------------------------------------------------------------------------------

_INSTANTS = st.one_of(
    st.sampled_from([at(1, 0), at(2, 0), at(2, 0) - timedelta(microseconds=1), at(2, 5), at(3, 23, minute=59)]),
    st.integers(0, 3 * 86_400_000_000 - 1).map(lambda micros: at(1, 0) + timedelta(microseconds=micros)),
    st.integers(0, 3_000).map(lambda micros: at(2, 9) + timedelta(microseconds=micros)),
)


@pytest.mark.extra("local")
@examples(12)
@given(
    st.lists(_INSTANTS, max_size=40), st.integers(2, 7), st.sampled_from(["newest", "oldest", 1, 2]), st.data()
)  # fmt: skip
def test_every_call_is_archived_once_whatever_the_order(tmp_path_factory, instants, limit, order, data):
    """With many calls at one instant, and pages cut anywhere, each id is there once, and results are those of the list."""
    folder = tmp_path_factory.mktemp("calls")
    room = Counter()
    records = []
    for number, created in enumerate(instants):
        millis = created.replace(microsecond=created.microsecond // 1000 * 1000)
        room[millis] += 1
        if room[millis] < limit:  # more cannot be told apart
            plan = data.draw(st.sampled_from(["pro", "free"]))
            records.append(call(f"{number}", created, cost=number / 4, artifact={"variableValues": {"plan": plan}}))
    calls = Calls(*records, order=order)
    done = store(calls, folder, since="2026-10-01", until="2026-10-04", limit=limit)
    kept = ids(folder)
    assert sorted(kept) == ["2026-10-01", "2026-10-02", "2026-10-03"]
    assert sorted(one for some in kept.values() for one in some) == sorted(record["id"] for record, _ in records)
    for record, _ in records:
        assert record["id"] in kept[record["createdAt"][:10]]
    assert (done.days, done.calls, done.updated, done.open) == (3, len(records), 0, 0)
    assert done.requests == len(calls.requests)
    if not records:
        return
    frames = []
    for source in (str(folder), [record for record, _ in records]):
        vq = vf.local(source, now=NOW)
        query = vq.call().sum("cost", "costBreakdown.analysisBreakdown.summary").count().avg("duration")
        query = query.by("type").by_variable("plan").step("hour").between("2026-10-01", "2026-10-04")
        frames.append(query.fetch())
    pd.testing.assert_frame_equal(*frames)


@pytest.mark.long
@pytest.mark.parametrize("order", ["newest", "oldest", 7])
def test_a_long_day_takes_few_requests(order, tmp_path):
    """Nothing is concluded from the order, and still a page is requested at most about twice."""
    rng = random.Random(3)
    records = [call(f"{n}", at(2, 0) + timedelta(seconds=rng.uniform(0, 86_399))) for n in range(3_000)]
    done = store(Calls(*records, order=order), tmp_path, since="2026-10-02", until="2026-10-03", limit=101)
    assert done.calls == 3_000
    assert done.requests <= 3 * 30


def test_a_small_organization_is_archived_by_one_request(tmp_path):
    """Days with few calls share a request; each has its file, also one without any call."""
    done = store(Calls(call("a", at(3)), call("b", at(9)), call("c", at(15))), tmp_path)
    assert (done.days, done.requests, done.calls) == (15, 1, 3)
    assert {day: some for day, some in ids(tmp_path).items() if some} == {
        "2026-10-03": ["a"], "2026-10-09": ["b"], "2026-10-15": ["c"],
    }  # fmt: skip
    assert min(ids(tmp_path)) == "2026-10-01", "a new archive begins 14 days ago"


@pytest.mark.extra("local")
def test_an_empty_day_has_all_columns(tmp_path):
    """A query of an archive without any call has a result, and is not refused for want of a column."""
    store(Calls(), tmp_path, since="2026-10-14")
    with pytest.warns(RecordsWarning, match="none at all"):
        frame = vf.local(tmp_path).call().sum("cost").count().by("assistantId").during("2026-10").fetch()
    assert frame.empty


def test_a_call_of_midnight_is_in_one_file(tmp_path):
    """No call is duplicated or lost if both bounds of the API are inclusive, or if it rounds the times that it shows."""
    edge = at(3, 0)
    rounded = call("r", edge - timedelta(microseconds=300))
    rounded[0]["createdAt"] = "2026-10-03T00:00:00.000Z"
    calls = Calls(call("m", edge), rounded, call("l", edge - timedelta(milliseconds=1)))
    store(calls, tmp_path, since="2026-10-02", until="2026-10-03")
    store(calls, tmp_path, since="2026-10-03", until="2026-10-04")
    assert ids(tmp_path) == {"2026-10-02": ["l"], "2026-10-03": ["m", "r"]}


def test_more_calls_in_a_millisecond_than_a_page_has_are_an_error(tmp_path):
    """A page of them is stored, so are all others, and an error says what is missing; the day is fetched again."""
    crowd = [call(f"{n}", at(2)) for n in range(5)]
    calls = Calls(*crowd, call("x", at(1)), call("y", at(3)))
    with pytest.raises(ResponseError, match=r"5 or more calls .* one millisecond, .* from 2026-10-02T12:00:00.000Z"):
        store(calls, tmp_path, since="2026-10-01", until="2026-10-04", limit=5)
    assert ids(tmp_path) == {"2026-10-01": ["x"], "2026-10-02": list("01234"), "2026-10-03": ["y"]}
    calls.records.pop()
    with pytest.raises(ResponseError, match="millisecond"):
        store(calls, tmp_path, until="2026-10-04", limit=5)


def test_an_api_that_ignores_the_limit_gets_narrower_requests(tmp_path):
    """A hundred calls, the default page without a limit, may not be all."""
    records = [call(f"{n}", at(2, 0) + timedelta(minutes=n)) for n in range(250)]
    assert store(Calls(*records, most=100), tmp_path, since="2026-10-02", until="2026-10-03").calls == 250


def test_a_reply_that_is_too_large_is_requested_in_smaller_pages(tmp_path):
    """Records with long transcripts may be more than a reply can have; pages get smaller, and nothing is lost."""
    records = [call(f"{n}", at(2, 0) + timedelta(minutes=n), transcript="t" * 1_000) for n in range(200)]
    with Server(Calls(*records)) as server:
        connection = connect(server, largest=60_000)
        assert archive(connection, tmp_path, since="2026-10-02", until="2026-10-03", now=NOW).calls == 200
    with Server(Calls(*records)) as server, pytest.raises(ResponseError, match="more than 10 bytes"):
        archive(connect(server, largest=10), tmp_path / "other", since="2026-10-02", until="2026-10-03", now=NOW)


@pytest.mark.parametrize("cap", [20, 37, 50, 100, 233, 250])
@pytest.mark.parametrize("order", ["newest", "oldest", 3])
def test_an_api_with_a_limit_of_its_own_loses_no_call(cap, order, tmp_path):
    """Fewer calls than were requested do not look like all of them."""
    records = [call(f"{n}", at(2, 0) + timedelta(minutes=n)) for n in range(300)]
    done = store(Calls(*records, most=cap, order=order), tmp_path, since="2026-10-02", until="2026-10-03")
    assert done.calls == 300


@examples(18)
@given(
    cap=st.integers(10, 120),
    count=st.integers(0, 300),
    order=st.sampled_from(["newest", "oldest", 3]),
    data=st.data(),
)
def test_no_limit_of_an_api_looks_like_the_end(tmp_path_factory, cap, count, order, data):
    """Whatever the limit is, and however the calls lie in time, no call is lost, and few requests are sent."""
    room = st.integers(0, 86_399_999)
    instants = data.draw(st.lists(room, min_size=count, max_size=count, unique=True))
    if data.draw(st.booleans()):  # all in a few minutes
        instants = sorted({40_000_000 + at // 300 for at in instants})
    records = [call(f"{n}", at(2, 0) + timedelta(milliseconds=ms)) for n, ms in enumerate(instants)]
    folder = tmp_path_factory.mktemp("capped")
    done = store(Calls(*records, most=cap, order=order), folder, since="2026-10-02", until="2026-10-03")
    assert done.calls == len(records)
    # Calls within minutes of each other take some halvings of the day before a page can hold them.
    assert done.requests <= 60 + 8 * len(records) / cap


@pytest.mark.parametrize("size", [100, 10_000])
@pytest.mark.parametrize("limit", [7, 60, 100, 1_000])
def test_an_api_that_ignores_the_limit_loses_no_call(size, limit, tmp_path):
    """Pages of its own size, more or fewer calls than were requested, do not look like all of them."""
    records = [call(f"{n}", at(2, 0) + timedelta(minutes=n)) for n in range(300)]
    calls = Calls(*records)

    def ignoring(request, connection):
        target = request.target.replace(f"limit={limit}", f"limit={size}")
        return calls(type(request)(request.method, target, request.headers, request.body), connection)

    done = store(ignoring, tmp_path, since="2026-10-02", until="2026-10-03", limit=limit)
    assert done.calls == 300


def test_a_hundred_calls_of_one_millisecond_may_not_be_all(tmp_path):
    """An API that ignores the limit lists a hundred; that there are no more cannot be known."""
    calls = Calls(*(call(f"{n}", at(2)) for n in range(130)), most=100)
    with pytest.raises(ResponseError, match="100 or more calls were created in one millisecond"):
        store(calls, tmp_path, since="2026-10-02", until="2026-10-03")


@pytest.mark.long
def test_temporary_time_outs_cost_few_requests(tmp_path):
    """A 504 now and then repeats a request, and does not make all later pages smaller."""
    records = [call(f"{n}", at(2, 0) + timedelta(seconds=4 * n)) for n in range(6_000)]
    quiet, calls = Calls(*records), Calls(*records)
    usual = store(quiet, tmp_path / "quiet", since="2026-10-02", until="2026-10-03", limit=101).requests
    calls.broken = dict.fromkeys(range(3, 3 + 9 * 7, 7), failing(504))
    done = store(calls, tmp_path / "calls", since="2026-10-02", until="2026-10-03", limit=101)
    assert done.calls == 6_000
    assert done.requests == usual + 9
    assert {one["limit"] for one in calls.requests} == {"101"}


@pytest.mark.long
def test_pages_grow_again_after_a_time_of_failures(tmp_path):
    """While requests take too long pages are smaller; later they have their size again, and the requests are bounded."""
    records = [call(f"{n}", at(2, 0) + timedelta(seconds=4 * n)) for n in range(6_000)]
    calls = Calls(*records)
    usual = store(calls, tmp_path / "quiet", since="2026-10-02", until="2026-10-03", limit=101).requests
    calls.requests = []
    calls.broken = dict.fromkeys([*range(3, 6), *range(9, 12), *range(15, 17)], failing(504))
    done = store(calls, tmp_path / "calls", since="2026-10-02", until="2026-10-03", limit=101)
    assert done.calls == 6_000
    assert done.requests <= usual + 60
    limits = [int(one["limit"]) for one in calls.requests]
    assert min(limits) < 50
    assert limits[-1] == 101


def test_a_request_that_always_takes_too_long_is_an_error(tmp_path):
    """After some smaller pages; the run ends."""
    calls = Calls(call("a", at(2)))
    calls.broken = dict.fromkeys(range(1, 100), failing(504))
    with pytest.raises(StatusError, match="504"):
        store(calls, tmp_path, since="2026-10-02", until="2026-10-03")
    assert [int(one["limit"]) for one in calls.requests] == [1000, 1000, 500, 250, 125, 62, 31]


def test_a_folder_in_the_home_folder(monkeypatch, tmp_path):
    """The tilde means what it means in a shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store(Calls(), "~/calls", since="2026-10-14").folder == tmp_path / "calls"
    monkeypatch.chdir(tmp_path)
    unknown = store(Calls(), "~no-such-user/calls", since="2026-10-14")
    assert unknown.folder == tmp_path / "~no-such-user" / "calls"


# --- again -----------------------------------------------------------------------------------------------------------


@pytest.mark.extra("local")
def test_a_second_run_requests_only_what_it_must(tmp_path):
    """Complete days are not fetched again; today is, and a day with a call that was open."""
    calls = Calls(
        call("a", at(3)), call("b", at(9), status="in-progress", endedReason=None, cost=None), call("c", at(15, 11))
    )
    first = store(calls, tmp_path)
    assert (first.calls, first.open) == (3, 1)
    assert calls.days() == [(1, 15)]
    calls.records[1] = call("b", at(9), cost=2.0)
    calls.records.append(call("d", at(15, 12)))
    second = store(calls, tmp_path, now=NOW + timedelta(hours=1))
    assert (second.days, second.calls, second.updated, second.open, second.requests) == (2, 1, 1, 0, 3)
    assert calls.days() == [(9, 9), (15, 15)]
    assert "2 days fetched by 3 requests, 1 new call, 1 updated, 0 still open" in repr(second)
    assert vf.local(tmp_path).call().sum("cost").during("2026-10-09").fetch()["sumCost"].tolist() == [2.0]
    third = store(calls, tmp_path, now=NOW + timedelta(hours=2))
    assert (third.days, third.calls, third.updated) == (1, 0, 0)
    assert calls.days() == [(15, 15)]


def test_a_day_is_over_an_hour_after_its_end(tmp_path):
    """Until then its last calls may lack what comes with the analysis."""
    calls = Calls(call("a", at(14)))
    store(calls, tmp_path, since="2026-10-14", now=at(15, 0, minute=59))
    calls.days()
    store(calls, tmp_path, now=at(15, 1))
    assert calls.days() == [(14, 15)]
    store(calls, tmp_path, now=at(15, 1))
    assert calls.days() == [(15, 15)]


def test_a_gap_is_fetched_and_what_is_there_is_not(tmp_path):
    """By default a run begins with the first incomplete day, also if later ones are complete."""
    calls = Calls(call("a", at(4)), call("b", at(9)))
    store(calls, tmp_path, since="2026-10-03", until="2026-10-05")
    store(calls, tmp_path, since="2026-10-08", until="2026-10-11")
    calls.days()
    assert store(calls, tmp_path).days == 3 + 5
    assert calls.days() == [(5, 7), (11, 15)]


def test_what_the_api_drops_the_archive_keeps(tmp_path):
    """Of a day that is fetched again nothing is lost: no call, and no value that the API no longer lists."""
    calls = Calls(call("a", at(15, 9)), call("b", at(15, 10), cost=1.0))
    store(calls, tmp_path)
    calls.records = [call("b", at(15, 10), cost=3.0, artifact={})]
    done = store(calls, tmp_path)
    assert (done.calls, done.updated) == (0, 1)
    rows = pq.read_table(tmp_path / "2026-10-15.parquet").to_pylist()
    assert [(row["id"], row["cost"], row["variableValues"]) for row in rows] == [
        ("a", 0.25, [("plan", "pro")]), ("b", 3.0, [("plan", "pro")]),
    ]  # fmt: skip


def test_a_call_that_stayed_open_does_not_leave_its_day_incomplete_for_ever(tmp_path):
    """Once it is older than what the API lists, its day is complete."""
    calls = Calls(call("a", at(2), status="in-progress", endedReason=None))
    store(calls, tmp_path, since="2026-10-02", until="2026-10-03")
    calls.records = []
    calls.days()
    assert store(calls, tmp_path, now=at(16, 11), until="2026-10-03").open == 1
    assert store(calls, tmp_path, now=at(16, 13), until="2026-10-03").open == 0
    assert calls.days() == [(2, 2), (2, 2)]
    assert store(calls, tmp_path, now=at(16, 14), until="2026-10-03").days == 0
    assert ids(tmp_path) == {"2026-10-02": ["a"]}


@examples(5)
@given(st.data())
def test_runs_of_weeks_lose_nothing(tmp_path_factory, data):
    """Calls begin, end and are dropped while runs succeed and fail: each is stored, as it ended if a run saw that."""
    folder = tmp_path_factory.mktemp("calls")
    hours = st.integers(0, 30 * 24)
    lives = data.draw(st.lists(st.tuples(hours, st.integers(0, 200)), max_size=25))
    lives = [(at(1, 0) + timedelta(hours=born), timedelta(hours=life / 10)) for born, life in lives]
    calls = Calls(order=data.draw(st.sampled_from(["newest", "oldest", 3])))
    calls.broken = dict.fromkeys(data.draw(st.sets(st.integers(1, 40), max_size=6)), failing(400))
    now, runs = at(1, 0), []
    while now < at(1, 0) + 32 * DAY:
        now += timedelta(hours=data.draw(st.integers(20, 6 * 24)))
        calls.records = [
            call(f"{n}", born, **({} if born + life <= now else {"status": "in-progress", "endedReason": None}))
            for n, (born, life) in enumerate(lives)
            if now - 14 * DAY <= born <= now
        ]
        try:
            store(calls, folder, now=now, limit=30, **({} if runs else {"since": "2026-10-01"}))
        except StatusError:
            continue
        except RecordsWarning:  # runs failed for too long
            return
        runs.append(now)
    kept = {}
    for path in folder.glob("*.parquet"):
        for row in pq.read_table(path).to_pylist():
            assert row["id"] not in kept
            kept[row["id"]] = row
    for n, (born, life) in enumerate(lives):
        seen = [when for when in runs if born <= when <= born + 14 * DAY]
        if seen:
            assert kept[f"{n}"]["createdAt"] == born
            is_over = any(when >= born + life for when in seen)
            assert kept[f"{n}"]["status"] == ("ended" if is_over else "in-progress")


def test_days_that_the_api_may_have_dropped_are_named_once(tmp_path):
    """A warning names the days of which nothing is stored; once they were fetched there is no other."""
    calls = Calls(call("a", at(9)))
    with pytest.warns(
        RecordsWarning,
        match=r"the archive has nothing of 5 days from 2026-09-26 to 2026-09-30, and the API lists calls",
    ):
        store(calls, tmp_path, since=date(2026, 9, 26))
    store(calls, tmp_path, since=date(2026, 9, 26))
    assert len(ids(tmp_path)) == 20
