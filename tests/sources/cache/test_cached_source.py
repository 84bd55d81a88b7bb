"""Asking with a cache: the same frames, and only for what is new or may still change."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.shapes import laws, same
from tests.support.wires import Calls, Wire, over, question, spans, status
from vapi_frames.errors import BucketAlignmentError, PartialResultError, QueryError, ResponseWarning
from vapi_frames.sources.cache.cache import Store

pytestmark = pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")
NOW = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def kept(wire, folder, *, now=NOW, settle=timedelta(hours=1), **options):
    """Return a vq that asks *wire*, and keeps what is over in *folder*."""
    return over(wire, now=now, store=lambda: Store(folder, scope=wire.scope(), settle=settle), **options)


def ranges(wire):
    """Return the ranges that were asked for, in order, and forget them."""
    found = sorted(spans([one for body in wire.bodies for one in body]))
    wire.bodies.clear()
    return found


def test_a_second_run_asks_for_open_buckets_only(tmp_path):
    """First everything, in few pieces; then only what may still change."""
    wire = Wire(Calls())
    query = vf.vq.call().sum("cost").count().by("assistantId").step("hour").last("30d", complete=False)
    first = kept(wire, tmp_path).fetch(query)
    assert ranges(wire) == [
        ("2026-10-17T10:30:00Z", "2026-10-17T11:00:00Z"),
        ("2026-10-17T11:00:00Z", "2026-11-16T09:00:00Z"),
        ("2026-11-16T09:00:00Z", "2026-11-16T10:30:00Z"),
    ]
    second = kept(wire, tmp_path).fetch(query)
    assert ranges(wire) == [
        ("2026-10-17T10:30:00Z", "2026-10-17T11:00:00Z"),
        ("2026-11-16T09:00:00Z", "2026-11-16T10:30:00Z"),
    ]
    assert len(wire.answered) == 5
    for one, other in zip(first.values(), second.values(), strict=True):
        same(one, other)


def test_a_range_that_grows_or_rolls_asks_for_the_new_buckets(tmp_path):
    """Ten days later, and a month earlier: only the days that are not held go out."""
    wire = Wire(Calls())
    kept(wire, tmp_path).fetch(vf.vq.call().count().step("day").between("2026-10-01", "2026-11-01"))
    ranges(wire)
    kept(wire, tmp_path).fetch(vf.vq.call().count().step("day").between("2026-10-10", "2026-11-05"))
    assert ranges(wire) == [("2026-11-01T00:00:00Z", "2026-11-05T00:00:00Z")]
    kept(wire, tmp_path).fetch(vf.vq.call().count().step("day").between("2026-09-01", "2026-11-05"))
    assert ranges(wire) == [("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z")]
    kept(wire, tmp_path).fetch(vf.vq.call().count().step("day").between("2026-09-03", "2026-11-02"))
    assert ranges(wire) == []


def test_alias_and_title_do_not_matter(tmp_path):
    """The same question under other names is held, and the frame has the names of the one that asks."""
    wire = Wire(Calls())
    kept(wire, tmp_path).fetch(vf.vq.call().sum("cost").step("day").during("2026-10"))
    wire.bodies.clear()
    query = vf.vq.call().sum("cost", alias="spend").step("day").during("2026-10").named("mine")
    frame = kept(wire, tmp_path).fetch(query)["mine"]
    assert list(frame.columns) == ["spend"]
    assert wire.bodies == []


def test_a_question_with_filters_shares_what_is_held_of_the_wider_one(tmp_path):
    """The API knows no filters: what it was asked instead is what is kept."""
    wire = Wire(Calls())
    vq = kept(wire, tmp_path)
    query = vq.call().count().by("assistantId").step("day").during("2026-10")
    one = query.where(assistantId="a1").fetch()
    wire.bodies.clear()
    other = query.where(assistantId="a2").fetch()
    assert wire.bodies == []
    assert [set(frame.index.get_level_values("assistantId")) for frame in (one, other)] == [{"a1"}, {"a2"}]


def test_the_frame_says_what_came_from_the_cache(tmp_path):
    """Which part, and when the API said it; a frame that was only asked says nothing."""
    wire = Wire(Calls())
    query = vf.vq.call().count().step("day").between("2026-10-01", "2026-11-16")
    [first] = kept(wire, tmp_path).fetch(query).values()
    [second] = kept(wire, tmp_path, now=NOW + DAY).fetch(query).values()
    assert vf.frame(first).meta.notes == ()
    [note] = vf.frame(second).meta.notes
    assert note == (
        "from the cache, as the api said until 2026-11-16T10:30:00Z: 2026-10-01T00:00:00Z until 2026-11-16T00:00:00Z"
    )


def test_without_a_step_only_a_range_that_is_over_is_kept(tmp_path):
    """October as a whole is asked for once; the last thirty days, and November, each time."""
    wire = Wire(Calls())
    for query, requests in (
        (vf.vq.call().sum("cost").during("2026-10"), 1),
        (vf.vq.call().sum("cost").last("30d"), 2),
        (vf.vq.call().sum("cost").between("2026-10-01T00:00:00.5", "2026-11-01"), 2),
        (vf.vq.call().sum("cost").between("2026-11-01", "2026-11-16T10:00"), 2),
        (vf.vq.call().sum("cost").since("2026-11-01"), 2),
        (vf.vq.call().sum("cost"), 2),
    ):
        frames = [next(iter(kept(wire, tmp_path).fetch(query).values())) for _ in range(2)]
        same(*frames)
        assert len(wire.bodies) == requests, query
        wire.bodies.clear()


def test_how_many_calls_there_were_at_once_is_not_kept_by_buckets(tmp_path):
    """It depends on calls from before the range."""
    wire = Wire(Calls())
    query = vf.vq.subscription().max("concurrency").step("day").during("2026-10")
    for _ in range(2):
        kept(wire, tmp_path).fetch(query)
    assert len(wire.bodies) == 2


def test_what_is_not_sure_to_be_whole_is_not_kept(tmp_path):
    """A suspicious number of rows, or another range than asked for, is asked for again."""
    rows = [{"assistantId": f"a{n}", "countId": "1", "date": "2026-10-01T00:00:00.000Z"} for n in range(1000)]
    other = {"start": "2026-10-10T00:00:00Z", "end": "2026-11-01T00:00:00Z", "step": "day"}
    for change in (lambda one: {**one, "result": rows}, lambda one: {**one, "timeRange": other, "result": []}):
        wire = Wire(Calls(), change=lambda found, change=change: [change(one) for one in found])
        for _ in range(2):
            with pytest.warns(ResponseWarning):
                kept(wire, tmp_path).fetch(vf.vq.call().count().by("assistantId").step("day").during("2026-10"))
        assert len(wire.bodies) == 2


def test_what_arrived_before_a_failure_is_kept(tmp_path):
    """The next run asks for the rest only."""
    wire = Wire(Calls())
    wire.fails = lambda _: status(401) if len(wire.bodies) > 10 else None
    with pytest.raises(PartialResultError):
        kept(wire, tmp_path, buckets=24, questions=1, workers=1).fetch(question(vf.vq, 30))
    wire.fails = lambda _: None
    wire.bodies.clear()
    [frame] = kept(wire, tmp_path, buckets=24, questions=1).fetch(question(vf.vq, 30)).values()
    assert len(wire.bodies) == 20
    same(frame, question(over(Wire(Calls()), now=NOW), 30).fetch())


def test_offline_what_is_held_is_there_and_the_rest_is_said(tmp_path):
    """Where nobody can be asked, the part that is held is in the error."""
    wire = Wire(Calls())
    query = vf.vq.call().count().step("day").since("2026-10-01")
    kept(wire, tmp_path).fetch(query)
    wire.fails = lambda _: status(401)
    with pytest.raises(PartialResultError) as caught:
        kept(wire, tmp_path).fetch(query)
    assert len(caught.value.frame) == 46
    assert caught.value.missing == ((datetime(2026, 11, 16, tzinfo=UTC), NOW),)


@pytest.mark.parametrize("break_", [lambda path: path.write_bytes(b"PAR1"), lambda path: os.truncate(path, 900)])
def test_a_torn_file_is_asked_for_again(tmp_path, break_):
    """What is damaged costs a warning and a request, not the answer."""
    wire = Wire(Calls())
    query = vf.vq.call().sum("cost").step("day").during("2026-10")
    [first] = kept(wire, tmp_path).fetch(query).values()
    [path] = tmp_path.rglob("*.parquet")
    break_(path)
    with pytest.warns(ResponseWarning, match="set aside"):
        [second] = kept(wire, tmp_path).fetch(query).values()
    same(first, second)
    assert len(wire.bodies) == 2
    kept(wire, tmp_path).fetch(query)
    assert len(wire.bodies) == 2


def test_dates_that_were_assumed_are_asked_for_again_once_another_reply_tells(tmp_path):
    """Days with calls at noon did not tell instants from the wall clock; the next month does, and all is read anew."""
    calls = Calls(dates="wall", between=(14, 18))
    wire = Wire(calls)

    def days(number):
        return question(vf.vq, number)

    with pytest.warns(ResponseWarning, match="taken for instants"):
        kept(wire, tmp_path).fetch(days(3))
    always = Calls(dates="wall")
    answer, changed = calls.answer, "2026-10-04T04:00:00Z"
    calls.answer = lambda one, now: (always.answer if one["timeRange"]["start"] == changed else answer)(one, now)
    [frame] = kept(wire, tmp_path, buckets=24).fetch(days(4)).values()
    hours = frame.index.get_level_values("date").tz_convert("UTC")
    assert set(hours[hours.day == 2].hour) <= {14, 15, 16, 17}
    wire.bodies.clear()
    [again] = kept(wire, tmp_path, buckets=24).fetch(days(4)).values()
    assert len(ranges(wire)) <= 1
    same(frame, again)


def test_a_server_that_writes_dates_in_two_ways_is_an_error_not_a_loop(tmp_path):
    """What is held as instants, and comes as the wall clock now, is asked for anew; what then contradicts is an error."""
    wire = Wire(Calls())
    kept(wire, tmp_path).fetch(question(vf.vq, 3))
    wire.calls = Calls(dates="wall")
    [frame] = kept(wire, tmp_path, buckets=24).fetch(question(vf.vq, 4)).values()
    same(frame, question(over(Wire(Calls()), now=NOW), 4).fetch())
    mixed = wire.calls.answer

    def answer(query, now):
        wire.calls.dates = "wall" if query["timeRange"]["start"] > "2026-10-07" else "instant"
        return mixed(query, now)

    wire.calls.answer = answer
    with pytest.raises(BucketAlignmentError):
        kept(wire, tmp_path / "other", buckets=24).fetch(question(vf.vq, 10))


@given(data=st.data())
@laws(40)
@pytest.mark.filterwarnings("ignore:.*taken for instants:vapi_frames.errors.ResponseWarning")
@pytest.mark.filterwarnings("ignore:.*looks like a limit:vapi_frames.errors.ResponseWarning")
def test_with_a_cache_every_frame_is_the_same(data, tmp_path_factory):
    """Whatever was asked before, in whichever order and at whatever time, a frame is that of a vq without a cache."""
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
        [cached] = kept(wire, folder, now=now, buckets=data.draw(st.integers(1, 200))).fetch(query).values()
        [asked] = over(plain, now=now).fetch(query).values()
        same(cached, asked)
        assert vf.frame(cached).meta.start == vf.frame(asked).meta.start
        assert vf.frame(cached).meta.end == vf.frame(asked).meta.end


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
    """connect(cache=) keeps, the folder's info says what, clear() deletes it, and another key finds nothing."""
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
    assert found["question"].tolist() == ['vq.call().sum("cost").step("day")'] * 2
    assert found["host"].tolist() == [host] * 2
    assert found["rows"].tolist() == [len(frame)] * 2
    assert not [path for path in folder.rglob("*") if path.is_file() and b"sk-test" in path.read_bytes()]
    assert "sk-test" not in str(list(folder.rglob("*")))
    assert vf.cache.clear(folder) == 2
    assert vf.cache.info(folder).empty
