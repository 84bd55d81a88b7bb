"""Fetching with a cache: the same frames, and requests only for what is new or may still change."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.cached import SECRET, count_parts, run_sql
from tests.support.examples import examples
from tests.support.shapes import same
from tests.support.wires import Calls, Wire, build_query, over, spans, status
from vapi_frames.errors import BucketAlignmentError, PartialResultError, QueryError, ResponseWarning
from vapi_frames.sources.cache.database import FILE_NAME
from vapi_frames.sources.cache.store import Store

pytestmark = pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")
NOW = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def cached(wire, folder, *, now=NOW, settle=timedelta(hours=1), **options):
    """Return a vq that sends its requests to *wire*, and has a cache in *folder*."""
    return over(wire, now=now, open_store=lambda: Store(folder, host="wire", secret=SECRET, settle=settle), **options)


def ranges(wire):
    """Return the ranges that were requested, in order, and forget them."""
    found = sorted(spans([one for body in wire.bodies for one in body]))
    wire.bodies.clear()
    return found


def test_a_second_run_requests_open_buckets_only(tmp_path):
    """First everything, in few pieces; then only what may still change."""
    wire = Wire(Calls())
    query = vf.vq.call().sum("cost").count().by("assistantId").step("hour").last("30d", complete=False)
    first = cached(wire, tmp_path).fetch(query)
    assert ranges(wire) == [
        ("2026-10-17T10:30:00Z", "2026-10-17T11:00:00Z"),
        ("2026-10-17T11:00:00Z", "2026-11-16T09:00:00Z"),
        ("2026-11-16T09:00:00Z", "2026-11-16T10:30:00Z"),
    ]
    second = cached(wire, tmp_path).fetch(query)
    assert ranges(wire) == [
        ("2026-10-17T10:30:00Z", "2026-10-17T11:00:00Z"),
        ("2026-11-16T09:00:00Z", "2026-11-16T10:30:00Z"),
    ]
    assert len(wire.answered) == 5
    for one, other in zip(first.values(), second.values(), strict=True):
        same(one, other)


def test_of_a_range_that_grows_or_rolls_the_new_buckets_are_requested(tmp_path):
    """Ten days later, and a month earlier: only the days that are not stored are requested."""
    wire = Wire(Calls())
    cached(wire, tmp_path).fetch(vf.vq.call().count().step("day").between("2026-10-01", "2026-11-01"))
    ranges(wire)
    cached(wire, tmp_path).fetch(vf.vq.call().count().step("day").between("2026-10-10", "2026-11-05"))
    assert ranges(wire) == [("2026-11-01T00:00:00Z", "2026-11-05T00:00:00Z")]
    cached(wire, tmp_path).fetch(vf.vq.call().count().step("day").between("2026-09-01", "2026-11-05"))
    assert ranges(wire) == [("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z")]
    cached(wire, tmp_path).fetch(vf.vq.call().count().step("day").between("2026-09-03", "2026-11-02"))
    assert ranges(wire) == []


def test_alias_and_title_do_not_matter(tmp_path):
    """The same query under other names is stored, and the frame has the names of the query that fetches."""
    wire = Wire(Calls())
    cached(wire, tmp_path).fetch(vf.vq.call().sum("cost").step("day").during("2026-10"))
    wire.bodies.clear()
    query = vf.vq.call().sum("cost", alias="spend").step("day").during("2026-10").named("mine")
    frame = cached(wire, tmp_path).fetch(query)["mine"]
    assert list(frame.columns) == ["spend"]
    assert wire.bodies == []


def test_a_query_with_filters_shares_the_results_of_its_rewrite(tmp_path):
    """The API knows no filters: the result of the query that is sent instead is what is stored."""
    wire = Wire(Calls())
    vq = cached(wire, tmp_path)
    query = vq.call().count().by("assistantId").step("day").during("2026-10")
    one = query.where(assistantId="a1").fetch()
    wire.bodies.clear()
    other = query.where(assistantId="a2").fetch()
    assert wire.bodies == []
    assert [set(frame.index.get_level_values("assistantId")) for frame in (one, other)] == [{"a1"}, {"a2"}]


def test_the_frame_says_what_came_from_the_cache(tmp_path):
    """Which part, and when it was fetched; a frame of requests alone says nothing."""
    wire = Wire(Calls())
    query = vf.vq.call().count().step("day").between("2026-10-01", "2026-11-16")
    [first] = cached(wire, tmp_path).fetch(query).values()
    [second] = cached(wire, tmp_path, now=NOW + DAY).fetch(query).values()
    assert vf.frame(first).meta.notes == ()
    [note] = vf.frame(second).meta.notes
    assert note == (
        "from the cache, as the api replied until 2026-11-16T10:30:00Z: 2026-10-01T00:00:00Z until 2026-11-16T00:00:00Z"
    )


def test_without_a_step_only_a_range_that_is_over_is_stored(tmp_path):
    """October as a whole is requested once; the last thirty days, and November, each time."""
    wire = Wire(Calls())
    for query, requests in (
        (vf.vq.call().sum("cost").during("2026-10"), 1),
        (vf.vq.call().sum("cost").last("30d"), 2),
        (vf.vq.call().sum("cost").between("2026-10-01T00:00:00.5", "2026-11-01"), 2),
        (vf.vq.call().sum("cost").between("2026-11-01", "2026-11-16T10:00"), 2),
        (vf.vq.call().sum("cost").since("2026-11-01"), 2),
        (vf.vq.call().sum("cost"), 2),
    ):
        frames = [next(iter(cached(wire, tmp_path).fetch(query).values())) for _ in range(2)]
        same(*frames)
        assert len(wire.bodies) == requests, query
        wire.bodies.clear()


def test_how_many_calls_there_were_at_once_is_not_stored_by_buckets(tmp_path):
    """It depends on calls from before the range."""
    wire = Wire(Calls())
    query = vf.vq.subscription().max("concurrency").step("day").during("2026-10")
    for _ in range(2):
        cached(wire, tmp_path).fetch(query)
    assert len(wire.bodies) == 2


def test_what_is_not_sure_to_be_whole_is_not_stored(tmp_path):
    """A suspicious number of rows, or another range than requested, is requested again."""
    rows = [{"assistantId": f"a{n}", "countId": "1", "date": "2026-10-01T00:00:00.000Z"} for n in range(1000)]
    other = {"start": "2026-10-10T00:00:00Z", "end": "2026-11-01T00:00:00Z", "step": "day"}
    for change in (lambda one: {**one, "result": rows}, lambda one: {**one, "timeRange": other, "result": []}):
        wire = Wire(Calls(), change=lambda found, change=change: [change(one) for one in found])
        for _ in range(2):
            with pytest.warns(ResponseWarning):
                cached(wire, tmp_path).fetch(vf.vq.call().count().by("assistantId").step("day").during("2026-10"))
        assert len(wire.bodies) == 2


def test_what_arrived_before_a_failure_is_stored(tmp_path):
    """The next run requests the rest only."""
    wire = Wire(Calls())
    wire.fails = lambda _: status(401) if len(wire.bodies) > 10 else None
    with pytest.raises(PartialResultError):
        cached(wire, tmp_path, buckets=24, max_queries=1, workers=1).fetch(build_query(vf.vq, 30))
    wire.fails = lambda _: None
    wire.bodies.clear()
    [frame] = cached(wire, tmp_path, buckets=24, max_queries=1).fetch(build_query(vf.vq, 30)).values()
    assert len(wire.bodies) == 20
    same(frame, build_query(over(Wire(Calls()), now=NOW), 30).fetch())


def test_offline_what_is_stored_is_there_and_the_rest_is_named(tmp_path):
    """Where no request succeeds, the part that is stored is in the error."""
    wire = Wire(Calls())
    query = vf.vq.call().count().step("day").since("2026-10-01")
    cached(wire, tmp_path).fetch(query)
    wire.fails = lambda _: status(401)
    with pytest.raises(PartialResultError) as caught:
        cached(wire, tmp_path).fetch(query)
    assert len(caught.value.frame) == 46
    assert caught.value.missing == ((datetime(2026, 11, 16, tzinfo=UTC), NOW),)


def test_a_damaged_file_is_set_aside_and_fetched_again(tmp_path):
    """What is damaged costs a warning and a request, not the result."""
    wire = Wire(Calls())
    query = vf.vq.call().sum("cost").step("day").during("2026-10")
    [first] = cached(wire, tmp_path).fetch(query).values()
    os.truncate(tmp_path / FILE_NAME, 9000)
    with pytest.warns(ResponseWarning, match="set aside"):
        [second] = cached(wire, tmp_path).fetch(query).values()
    same(first, second)
    assert len(wire.bodies) == 2
    cached(wire, tmp_path).fetch(query)
    assert len(wire.bodies) == 2


def test_an_altered_number_is_fetched_again(tmp_path):
    """A part that was altered costs a warning and a request, and never gives the altered number."""
    wire, other = Wire(Calls()), Wire(Calls(every=13))
    query = vf.vq.call().sum("cost").step("day").during("2026-10")
    [first] = cached(wire, tmp_path / "mine").fetch(query).values()
    cached(other, tmp_path / "planted").fetch(query)
    [(planted,)] = run_sql(tmp_path / "planted", "SELECT payload FROM parts")
    run_sql(tmp_path / "mine", "UPDATE parts SET payload = ?", planted)
    with pytest.warns(ResponseWarning, match="changed after they were written"):
        [second] = cached(wire, tmp_path / "mine").fetch(query).values()
    same(first, second)
    assert len(wire.bodies) == 2
    assert count_parts(tmp_path / "mine") == 1


def test_a_cache_that_cannot_be_used_breaks_no_fetch(tmp_path):
    """Where the folder is a file, or its file a link, every fetch is made of requests, with a warning."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / FILE_NAME).symlink_to(tmp_path / "file")
    query = vf.vq.call().sum("cost").step("day").during("2026-10")
    [plain] = over(Wire(Calls()), now=NOW).fetch(query).values()
    for folder in (tmp_path / "file", tmp_path / "linked"):
        with pytest.warns(ResponseWarning, match="fetched again"):
            [frame] = cached(Wire(Calls()), folder).fetch(query).values()
        same(frame, plain)
    assert (tmp_path / "file").read_text() == "mine"


def test_dates_that_were_assumed_are_requested_again_once_another_reply_decides(tmp_path):
    """Days with calls at noon fit instants and the wall clock; the next month does not, and all is fetched anew."""
    calls = Calls(dates="wall", between=(14, 18))
    wire = Wire(calls)

    def days(number):
        return build_query(vf.vq, number)

    with pytest.warns(ResponseWarning, match="read as instants"):
        cached(wire, tmp_path).fetch(days(3))
    always = Calls(dates="wall")
    answer, changed = calls.answer, "2026-10-04T04:00:00Z"
    calls.answer = lambda one, now: (always.answer if one["timeRange"]["start"] == changed else answer)(one, now)
    [frame] = cached(wire, tmp_path, buckets=24).fetch(days(4)).values()
    hours = frame.index.get_level_values("date").tz_convert("UTC")
    assert set(hours[hours.day == 2].hour) <= {14, 15, 16, 17}
    wire.bodies.clear()
    [again] = cached(wire, tmp_path, buckets=24).fetch(days(4)).values()
    assert len(ranges(wire)) <= 1
    same(frame, again)


def test_a_server_that_writes_dates_in_two_ways_is_an_error_not_a_loop(tmp_path):
    """What is stored as instants, and comes as the wall clock, is fetched anew; what then contradicts is an error."""
    wire = Wire(Calls())
    cached(wire, tmp_path).fetch(build_query(vf.vq, 3))
    wire.calls = Calls(dates="wall")
    [frame] = cached(wire, tmp_path, buckets=24).fetch(build_query(vf.vq, 4)).values()
    same(frame, build_query(over(Wire(Calls()), now=NOW), 4).fetch())
    mixed = wire.calls.answer

    def answer(query, now):
        wire.calls.dates = "wall" if query["timeRange"]["start"] > "2026-10-07" else "instant"
        return mixed(query, now)

    wire.calls.answer = answer
    with pytest.raises(BucketAlignmentError):
        cached(wire, tmp_path / "other", buckets=24).fetch(build_query(vf.vq, 10))


@given(data=st.data())
@examples(12)
@pytest.mark.filterwarnings("ignore:.*read as instants:vapi_frames.errors.ResponseWarning")
@pytest.mark.filterwarnings("ignore:.*looks like a limit:vapi_frames.errors.ResponseWarning")
def test_with_a_cache_every_frame_is_the_same(data, tmp_path_factory):
    """Whatever was fetched before, in any order and at any time, a frame is that of a vq without a cache."""
    folder = tmp_path_factory.mktemp("cache")
    zone = data.draw(st.sampled_from(("UTC", "America/New_York", "Pacific/Apia", "America/St_Johns")))
    step = data.draw(st.sampled_from(("hour", "day", "week", "month")))
    begin = datetime(2026, 10, 20, tzinfo=UTC)
    wire, plain = Wire(Calls(every=4001)), Wire(Calls(every=4001))
    for _ in range(data.draw(st.integers(2, 5))):
        start = begin + timedelta(minutes=data.draw(st.integers(-60_000, 20_000)))
        end = start + timedelta(minutes=data.draw(st.integers(1, 60_000)))
        now = start + timedelta(minutes=data.draw(st.integers(10, 90_000)))
        query = vf.vq.call().sum("cost").count().by("assistantId").step(step).tz(zone).between(start, end)
        [second] = cached(wire, folder, now=now, buckets=data.draw(st.integers(1, 200))).fetch(query).values()
        [first] = over(plain, now=now).fetch(query).values()
        same(second, first)
        assert vf.frame(second).meta.start == vf.frame(first).meta.start
        assert vf.frame(second).meta.end == vf.frame(first).meta.end


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cache": 5}, "cache must be a folder"),
        ({"cache": ""}, "cache must be a folder"),
        ({"cache": True}, "cache must be a folder"),
        ({"settle": "1mo"}, "settle must be a span"),
        ({"settle": 3600}, "settle must be a span"),
        ({"settle": "an hour"}, "settle must be a span"),
        ({"cache_limit": 0}, "cache_limit must be"),
        ({"cache_limit": "1GB"}, "cache_limit must be"),
    ],
)
def test_what_is_no_cache_is_refused(options, said):
    """Wrong arguments are refused when connecting."""
    with pytest.raises(QueryError, match=said):
        vf.connect("sk-test-0001", **options)


def test_the_cache_of_a_connection(tmp_path, monkeypatch):
    """connect(cache=) stores, the folder's info lists it, clear() deletes it, and another key finds nothing."""
    from tests.support.servers import Server
    from tests.support.wires import counting

    folder = tmp_path / "cache"
    with Server(counting(Calls(), NOW)) as server:
        for key in ("sk-test-0001", "sk-test-0001", "sk-test-0002"):
            monkeypatch.setenv("VAPI_API_KEY", key)
            vq = vf.connect(base_url=server.url, cache=folder, settle="2h")
            frame = vq.call().sum("cost").step("day").during("2026-10").fetch()
        assert len(server.requests) == 2
        host = server.url
    found = vf.cache.info(folder)
    assert found["query"].tolist() == ['vq.call().sum("cost").step("day")'] * 2
    assert found["host"].tolist() == [host] * 2
    assert found["rows"].tolist() == [len(frame)] * 2
    assert not [path for path in folder.rglob("*") if path.is_file() and b"sk-test" in path.read_bytes()]
    assert "sk-test" not in str(list(folder.rglob("*")))
    assert vf.cache.clear(folder) == 2
    assert vf.cache.info(folder).empty
