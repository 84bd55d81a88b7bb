"""Many queries and long ranges as few requests: nothing depends on the pieces, and what is missing is said."""

from __future__ import annotations

import itertools
import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.servers import Server, failing
from tests.support.shapes import same, sources_and_queries
from tests.support.wires import Calls, Wire, build_query, connected, counting, over
from vapi_frames.calendar import buckets as timegrid
from vapi_frames.errors import (
    BucketAlignmentError,
    QueryError,
    ResponseError,
    ResponseWarning,
)
from vapi_frames.sources.api.pieces import batch_pieces, make_piece, split_in_half, split_range
from vapi_frames.sources.recordings.served import InProcessWire

NOW = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)
pytestmark = pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")


HARD = ("UTC", "America/New_York", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe", "Europe/London")


# --- pieces ----------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(("minute", "hour", "day", "week", "month")),
    st.sampled_from(HARD),
    st.integers(10**9, 2 * 10**9),
    st.integers(1, 400),
    st.integers(1, 60),
)
@examples(60)
def test_pieces_make_up_the_range_and_cut_no_bucket(step, zone, at, many, buckets):
    """Pieces follow each other from begin to end, none has a bucket of another, and halves are likewise."""
    start = datetime.fromtimestamp(at, UTC) + timedelta(microseconds=at % 1_000_000)
    end = start + timedelta(seconds=many * {"minute": 60, "hour": 3600, "day": 86_400}.get(step, 86_400))
    query = vf.vq.call().count().step(step).tz(zone).between(start, end)
    piece = make_piece(0, query, NOW)
    for parts in (list(split_range(piece, buckets)), split_in_half(piece) or [piece]):
        assert (parts[0].start, parts[-1].end) == (start, end)
        assert all(one.end == other.start for one, other in itertools.pairwise(parts))
        assert all(one.query.instants(NOW) == (one.start, one.end) for one in parts)
        held = [
            timegrid.list_buckets(
                timegrid.to_seconds(one.start),
                timegrid.to_seconds(one.end) + bool(one.end.microsecond),
                step,
                query.zone,
            )
            for one in parts
        ]
        assert len(set().union(*held)) == sum(map(len, held))
        assert max(map(len, held)) <= 2 * buckets + 2 or parts == (split_in_half(piece) or [piece])


def test_a_piece_of_one_bucket_is_not_halved():
    """There is nothing left to divide."""
    query = vf.vq.call().count().step("hour").between("2026-10-01T00:00", "2026-10-01T01:00")
    assert split_in_half(make_piece(0, query, NOW)) == []


@pytest.mark.parametrize(
    "query",
    [
        vf.vq.call().count().last("2y"),
        vf.vq.subscription().max("concurrency").step("hour").last("2y"),
        vf.vq.subscription().history("concurrency").last("2y"),
    ],
)
def test_what_does_not_add_up_over_ranges_is_not_cut(query):
    """Without a step, and of how many calls there were at once, the range is requested as it is."""
    piece = make_piece(0, query, NOW)
    assert list(split_range(piece, 1)) == [piece]
    assert split_in_half(piece) == []


def test_lots_hold_as_many_queries_and_buckets_as_may_be():
    """A year of days is one request; two years of hours are two, of a month's pieces."""
    days = list(split_range(make_piece(0, vf.vq.call().count().step("day").last("365d"), NOW), 1))
    assert [len(lot) for lot in batch_pieces(days, 1000)] == [len(days)]
    hours = list(split_range(make_piece(0, vf.vq.call().count().step("hour").last("2y"), NOW)))
    assert len(hours) == 24
    assert [len(lot) for lot in batch_pieces(hours)] == [13, 11]
    seconds = list(split_range(make_piece(0, vf.vq.call().count().step("second").last("90d"), NOW)))
    assert len(seconds) == 3


# --- the result does not depend on the pieces ------------------------------------------------------------------------


@given(st.data())
@examples(24)
@pytest.mark.filterwarnings("ignore:.*read as instants:vapi_frames.errors.ResponseWarning")
def test_an_answer_does_not_depend_on_how_it_was_split(data):
    """Index, order, types and values are those of the result in one piece, and what the calls themselves say."""
    zone, step = data.draw(st.sampled_from(HARD)), data.draw(st.sampled_from(("hour", "day", "week", "month")))
    dates = data.draw(st.sampled_from(("instant", "wall") if step != "hour" else ("instant",)))
    around = data.draw(st.sampled_from((1_289_106_000, 1_325_203_200, 1_772_953_200, 1_793_509_200)))
    start = datetime.fromtimestamp(around - data.draw(st.integers(0, 900_000)), UTC)
    end = start + timedelta(seconds=data.draw(st.integers(3_600, 2_000_000)))
    groups = data.draw(st.sampled_from(((), ("assistantId",))))
    calls = Calls(every=data.draw(st.sampled_from((997, 4001, 40_009))), dates=dates)
    query = vf.vq.call().sum("cost").count().by(*groups).step(step).tz(zone).between(start, end)
    [one] = over(Wire(calls), buckets=10**6).fetch(query).values()
    split = over(
        Wire(calls), buckets=data.draw(st.integers(1, 40)), max_queries=data.draw(st.integers(1, 9)),
        workers=data.draw(st.integers(1, 3)),
    )  # fmt: skip
    [many] = split.fetch(query).values()
    same(one, many)
    # More ranges tell more: what had to be assumed of one reply may be certain of several.
    assert replace(vf.frame(one).meta, notes=()) == replace(vf.frame(many).meta, notes=())
    found = calls.rows(int(start.timestamp()), int(end.timestamp()), step, zone, grouped=bool(groups))
    assert len(many) == len(found)
    assert many["countId"].sum() == sum(count for count, _ in found.values())


def test_pieces_with_ambiguous_dates_are_read_like_the_others():
    """A server writes the wall clock; of days with calls at noon only, no piece tells, but one with others does."""
    noon, always = Calls(every=997, dates="wall", between=(14, 18)), Calls(every=997, dates="wall")
    wire = Wire(noon)
    vq = over(wire, buckets=24, max_queries=1)
    query = build_query(vq, 6)
    changed = datetime(2026, 10, 4, tzinfo=UTC).isoformat()[:10]
    answer = noon.answer
    noon.answer = lambda one, now: (always.answer if one["timeRange"]["start"][:10] == changed else answer)(one, now)
    frame = query.fetch()
    hours = frame.index.get_level_values("date").tz_convert("UTC")
    assert set(hours[hours.day == 2].hour) <= {14, 15, 16, 17}
    assert vf.frame(frame).meta.notes == ()


def test_dates_that_nothing_tells_apart_are_assumed_once():
    """Where no piece tells, the instant is taken, with one warning and one note for the whole."""
    vq = over(Wire(Calls(between=(14, 18))), buckets=24, max_queries=1)
    with pytest.warns(ResponseWarning, match="read as instants") as shown:
        frame = build_query(vq, 3).fetch()
    assert len(shown) == 1
    assert len(vf.frame(frame).meta.notes) == 1


def test_pieces_that_contradict_each_other_are_an_error():
    """Instants in one reply and the wall clock in another are never merged."""
    calls = Calls()
    answer = calls.answer

    def mixed(query, now):
        calls.dates = "wall" if query["timeRange"]["start"] > "2026-10-03" else "instant"
        return answer(query, now)

    calls.answer = mixed
    with pytest.raises(BucketAlignmentError, match="instants"):
        build_query(over(Wire(calls), buckets=24, workers=1), 4).fetch()


def test_several_long_queries_share_requests_and_get_their_names_back():
    """Pieces of different queries go out together; each frame has the name and the body of its query."""
    wire = Wire(Calls())
    vq = over(wire, buckets=48, max_queries=10)
    frames = vq.fetch(
        build_query(vq, 8).named("mine"), build_query(vq, 8, tz="UTC", groups=()), vq.call().count().named("all")
    )
    assert len(wire.bodies) == 1
    assert len({one["name"] for one in wire.bodies[0]}) == len(wire.bodies[0]) == 9
    assert next(iter(frames)) == "mine"
    assert list(frames)[2] == "all"
    assert vf.frame(frames["mine"]).meta.body["name"] == "mine"
    assert frames["mine"].index.names == ["date", "assistantId"]


def test_a_year_of_days_in_pieces_of_one_is_few_requests():
    """What would be 365 requests is eight, and all days are there."""
    wire = Wire(Calls(every=9_973))
    vq = over(wire, buckets=1)
    frame = build_query(vq, 364, step="day", tz="UTC", groups=()).fetch()
    assert len(wire.bodies) == 8
    assert len(frame) == 365


def test_a_side_that_was_not_asked_for_is_left_to_the_server():
    """Seven days, the contract's default, go out in pieces; the first has no begin, the last no end."""
    wire = Wire(Calls(every=9_973), now=NOW)
    frame = over(wire, buckets=24).call().count().step("hour").fetch()
    found = [one["timeRange"] for body in wire.bodies for one in body]
    assert [(one.get("start"), one.get("end")) for one in found[:1] + found[-1:]] == [
        (None, "2026-11-10T10:00:00Z"),
        ("2026-11-16T10:00:00Z", None),
    ]
    assert frame["countId"].sum() == len(
        list(Calls(every=9_973).within(int((NOW - timedelta(days=7)).timestamp()), int(NOW.timestamp())))
    )


@pytest.mark.extra("local")
@given(st.data())
@examples(12)
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning", "ignore::vapi_frames.errors.ResponseWarning")
def test_any_query_in_pieces_has_the_answer_of_the_records(data):
    """Measures, groups, variables, zones and steps of every kind, in pieces of every size: what the records say."""
    vq, query = data.draw(sources_and_queries())
    [local] = vq.fetch(query).values()
    wire = InProcessWire(vq.source, vq.now())
    pieces = 400_000 // timegrid.APPROXIMATE_SECONDS[query.time_step or "day"] // data.draw(st.integers(1, 12))
    split = over(wire, now=vq.now(), buckets=max(1, pieces), workers=data.draw(st.integers(1, 3)))
    [merged] = split.fetch(query).values()
    same(local, merged)


# --- waiting together ------------------------------------------------------------------------------------------------


def test_one_limit_holds_back_everyone_with_the_same_key():
    """After one 429 no worker, and no other vq with this key, sends anything until the wait is over."""
    times, lock = [], threading.Lock()

    def faults(request):
        with lock:
            times.append(time.monotonic())
            return failing(429, Retry_After="1") if len(times) == 4 else None

    with Server(counting(Calls(every=50_021), NOW, faults=faults)) as server:
        first, second = (connected(server, buckets=24, max_queries=1, workers=3, sleep=time.sleep) for _ in range(2))
        threads = [threading.Thread(target=build_query(one, 20).fetch) for one in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    limited = times[3]
    quiet = [at for at in times if limited + 0.2 < at < limited + 0.95]
    assert len(times) == 41
    assert not quiet, [at - limited for at in times]


# --- never silence ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [100, 1_000, 5_000])
def test_a_suspicious_number_of_rows_is_said(rows):
    """Exactly as many rows as servers cut at is a warning with the number."""
    result = [{"assistantId": f"a{n}", "countId": "1"} for n in range(rows)]
    wire = Wire(Calls(), change=lambda found: [{**found[0], "result": result}])
    with pytest.warns(ResponseWarning, match=f"the reply has exactly {rows:,} rows"):
        assert len(over(wire).call().count().by("assistantId").fetch()) == rows


def test_a_round_number_of_buckets_is_not_suspicious():
    """A hundred days have a hundred rows."""
    assert len(build_query(over(Wire(Calls())), 99, step="day", tz="UTC", groups=()).fetch()) == 100


def test_another_range_than_asked_is_said():
    """A server that cuts the range off, for it has forgotten, is a warning with both, and the frame has the echoed one."""

    def forgetful(found):
        return [{**one, "timeRange": {**one["timeRange"], "start": "2026-10-20T00:00:00.000Z"}} for one in found]

    with pytest.warns(ResponseWarning, match="start 2026-10-20T00:00:00Z instead of 2026-10-01T04:00:00Z"):
        frame = build_query(over(Wire(Calls(), change=forgetful)), 30, step="month", tz="UTC").fetch()
    assert vf.frame(frame).meta.start == datetime(2026, 10, 20, tzinfo=UTC)


def test_another_step_than_asked_is_an_error():
    """Rows of other buckets are no result."""
    wire = Wire(Calls(), change=lambda found: [{**found[0], "timeRange": {**found[0]["timeRange"], "step": "day"}}])
    with pytest.raises(
        ResponseError, match=r"timeRange\.step: the step of the reply is 'day', that of the query is 'hour'"
    ):
        build_query(over(wire), 3).fetch()


def test_another_zone_than_asked_is_said():
    """The echoed zone is evidence."""
    wire = Wire(Calls(), change=lambda found: [{**found[0], "timeRange": {**found[0]["timeRange"], "timezone": "UTC"}}])
    with pytest.warns(ResponseWarning, match="zone of the reply is 'UTC', that of the query is 'America/New_York'"):
        build_query(over(wire), 3).fetch()


def test_a_row_that_stands_in_two_pieces_is_an_error():
    """A server that ignores the range, and says everything for each piece, is found out."""
    whole_ = Calls().answer(build_query(vf.vq, 4).body(NOW)["queries"][0], NOW)["result"]
    wire = Wire(Calls(), change=lambda found: [{**one, "result": whole_} for one in found])
    with pytest.raises(ResponseError):
        build_query(over(wire, buckets=24), 4).fetch()


def test_a_piece_that_is_missing_in_the_reply_is_an_error():
    """Fewer results than pieces: named, not merged."""
    wire = Wire(Calls(), change=lambda found: found[:-1])
    with pytest.raises(ResponseError, match="0 results named"):
        build_query(over(wire, buckets=24), 4).fetch()


def test_a_result_without_a_query_is_named():
    """More results than queries is a warning."""
    wire = Wire(Calls(), change=lambda found: [*found, {**found[0], "name": "other"}])
    with pytest.warns(ResponseWarning, match="'other'"):
        over(wire).fetch(vf.vq.call().count().named("a"), vf.vq.call().count().named("b"))


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "4", 65])
def test_what_is_no_number_of_workers_is_refused(workers):
    """Workers are a whole number from 1 to 64."""
    with pytest.raises(QueryError, match="workers"):
        vf.connect("sk-test-0001", workers=workers)


def test_a_body_keeps_what_was_sent_whole():
    """A query that needs no pieces goes out exactly as its body says, title and relative range included."""
    wire = Wire(Calls(), now=NOW)
    query = over(wire).call().count().step("hour").last("7d").named("mine")
    query.fetch()
    assert wire.bodies == [query.body(NOW)["queries"]]
    assert json.loads(json.dumps(wire.bodies[0])) == query.body(NOW)["queries"]
