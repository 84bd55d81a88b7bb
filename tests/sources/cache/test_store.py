"""The cache: what is found is what was stored, of the same query, whole buckets, whatever was stored in between."""

from __future__ import annotations

import itertools
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.cached import (
    BEGIN,
    FETCHED,
    HOUR,
    HOURLY,
    SECRET,
    WHOLE,
    at,
    count_parts,
    edges,
    find_wrong,
    hours,
    open_store,
    run_sql,
    segment,
    spans,
    table,
)
from tests.support.examples import examples
from vapi_frames.calendar import buckets
from vapi_frames.query.schema import build_schema
from vapi_frames.sources.api.pieces import Segment
from vapi_frames.sources.cache import parts
from vapi_frames.sources.cache import store as module
from vapi_frames.sources.cache.database import FILE_NAME

DAY = 24 * HOUR


def insert_apart(store, query, *segments):
    """Insert *segments* as one part each, as several processes may leave them."""
    text = parts.format_query(query, store.host)
    insert = "INSERT INTO parts (query, begins, ends, used, head, mac, payload) VALUES (?, ?, ?, ?, ?, ?, ?)"
    for one in segments:
        head, mac, payload = parts.encode(one, query, text, SECRET)
        row = (parts.query_key(SECRET, text), one.start, one.end, 0.0, head, mac, payload)
        store._database.write(lambda connection, row=row: connection.execute(insert, row), create=True)


# --- what is found ------------------------------------------------------------------------------------------------


def test_what_was_stored_is_found(store):
    """Rows, types and all that is known of them come back as they went in."""
    part = segment(HOURLY, *hours(0, 48))
    store.put(HOURLY, part)
    assert store.find(HOURLY, *hours(0, 48)) == [part]
    (found,) = open_store(store.folder).find(HOURLY, *hours(0, 48))
    assert found.table.schema == build_schema(HOURLY)
    assert found.table.num_rows > 40
    assert found.fetched.tzinfo is UTC


def test_nothing_is_found_where_nothing_was_stored(store):
    """Neither before anything was stored, nor of another range, nor of no range; a search creates no folder."""
    assert store.find(HOURLY, *hours(0, 48)) == []
    assert not list(store.folder.iterdir())
    store.put(HOURLY, segment(HOURLY, *hours(0, 48)))
    assert store.find(HOURLY, *hours(48, 60)) == []
    assert store.find(HOURLY, *hours(-9, 0)) == []
    assert store.find(HOURLY, *hours(7, 7)) == []
    assert open_store(store.folder / "elsewhere").find(HOURLY, *hours(0, 1)) == []
    assert not (store.folder / "elsewhere").exists()


def test_a_part_of_a_segment_is_cut_on_edges(store):
    """A range within a segment, and one that reaches beyond it on both sides, find whole buckets."""
    store.put(HOURLY, segment(HOURLY, *hours(0, 48)))
    for first, last, clipped in ((10, 20, (10, 20)), (-5, 3, (0, 3)), (40, 90, (40, 48)), (-5, 90, (0, 48))):
        (found,) = store.find(HOURLY, *hours(first, last))
        assert spans([found]) == [clipped]
        assert found.table.equals(table(HOURLY, *hours(*clipped)))


def test_buckets_are_cut_by_their_labels(store):
    """An hour that a clock begins anew after half is named by an instant before its first, and is cut there."""
    query = HOURLY.tz("Australia/Lord_Howe")
    change = at("2026-04-04T15:00")
    (label,) = buckets.list_buckets(change, change + 1800, "hour", query.zone)
    assert label < change
    store.put(query, segment(query, change - 5 * HOUR, change + 1800 + 5 * HOUR))
    for start, end in ((change, change + 1800), (change - HOUR, change), (change + 1800, change + 1800 + HOUR)):
        (found,) = store.find(query, start, end)
        assert found.table.num_rows
        assert found.table.equals(table(query, start, end))


def test_overlapping_segments_are_read_once(store):
    """Of parts that overlap, as two processes leave them, each bucket is read once."""
    ranges = [(0, 10), (2, 8), (5, 20), (9, 12), (15, 30), (40, 50), (38, 41)]
    insert_apart(store, HOURLY, *(segment(HOURLY, *hours(*one)) for one in ranges))
    found = store.find(HOURLY, *hours(1, 60))
    assert spans(found) == [(1, 10), (10, 20), (20, 30), (38, 41), (41, 50)]
    assert find_wrong(HOURLY, *hours(1, 60), found) is None


def test_names_are_those_of_the_query_that_fetches(store):
    """Aliases, the title and the range are not part of what is stored; the columns get the names of the query."""
    store.put(HOURLY, segment(HOURLY, *hours(0, 9)))
    other = vf.vq.call().sum("cost", alias="spend").count(alias="n").by("type").step("hour").tz("America/New_York")
    (found,) = store.find(other.named("mine").last("9d"), *hours(0, 9))
    assert found.table.column_names == ["date", "type", "spend", "n"]
    assert found.table.schema == build_schema(other)
    assert found.table.rename_columns(table(HOURLY, *hours(0, 9)).column_names).equals(table(HOURLY, *hours(0, 9)))


def test_a_query_without_step_is_found_whole(store):
    """Only the very range that was fetched is a result; two ranges are stored side by side, one of a kind."""
    for start, end in ((0, 7), (0, 8), (7, 8), (0, 8)):
        store.put(WHOLE, segment(WHOLE, *hours(start, end), convention=None))
    assert spans(store.find(WHOLE, *hours(0, 7))) == [(0, 7)]
    assert spans(store.find(WHOLE, *hours(7, 8))) == [(7, 8)]
    assert store.find(WHOLE, *hours(0, 8))[0].table.equals(table(WHOLE, *hours(0, 8)))
    assert store.find(WHOLE, *hours(1, 8)) == []
    assert count_parts(store.folder) == 3


def test_a_history_keeps_parts_of_seconds(store):
    """The instants of a history come back to the microsecond, and its range need not lie on any edge."""
    history = vf.vq.subscription().history("concurrency").tz("Asia/Kathmandu")
    instants = pa.array([BEGIN * 1_000_000 + 1, BEGIN * 1_000_000 + 999_999], pa.int64())
    rows = [instants.cast(pa.timestamp("us", tz="Asia/Kathmandu")), pa.array([1.0, 2.0])]
    part = Segment(BEGIN + 7, BEGIN + 11, pa.table(rows, schema=build_schema(history)), "instant", True, FETCHED)
    store.put(history, part)
    assert store.find(history, BEGIN + 7, BEGIN + 11) == [part]


def test_only_results_are_stored(store):
    """What is no result of the query, or not of whole buckets, is refused where it is to be stored."""
    good = segment(HOURLY, *hours(0, 12))
    wrong = {
        "empty": replace(good, end=good.start),
        "without a zone": replace(good, fetched=datetime(2026, 11, 2)),
        "only the convention 'instant'": replace(good, convention="wall", is_assumed=True),
        "the table has": replace(good, table=good.table.drop_columns(["type"])),
        "not an edge": replace(good, end=good.end - 1),
        "outside the buckets": replace(good, end=good.end - 4 * HOUR),
        "lies outside": replace(good, start=good.start + 4 * HOUR),
    }
    for message, part in wrong.items():
        with pytest.raises(ValueError, match=message):
            store.put(HOURLY, part)
    dates = pa.array([None] * good.table.num_rows, good.table.schema.field("date").type)
    with pytest.raises(ValueError, match="outside"):
        store.put(HOURLY, replace(good, table=good.table.set_column(0, "date", dates)))
    with pytest.raises(ValueError, match=r"not an edge between two buckets \(step hour, zone America/New_York\)"):
        store.find(HOURLY, BEGIN, BEGIN + 1)
    assert not list(store.folder.iterdir())


def test_an_edge_is_where_no_bucket_is_under_way():
    """Where a clock runs back over midnight, two days interleave, and neither midnight parts them."""
    daily = HOURLY.step("day").tz("America/St_Johns")
    first, second = at("2006-10-29T02:30"), at("2006-10-29T03:30")
    for midnight in (first, second):
        with pytest.raises(ValueError, match="not an edge"):
            parts.check_edges(daily, midnight)
    parts.check_edges(daily, at("2006-10-28T02:30"), at("2006-10-30T03:30"))
    parts.check_edges(HOURLY.step("day").tz("Pacific/Apia"), at("2011-12-30T10:00"))  # a day that did not exist


# --- any order of storing and finding -----------------------------------------------------------------------------

ZONES = {
    "America/New_York": "2026-11-01T06:00",
    "Pacific/Apia": "2011-12-30T10:00",
    "America/St_Johns": "2006-10-29T02:31",
    "Australia/Lord_Howe": "2026-04-04T15:00",
}
STEPS = {"hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 30 * DAY}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("zone", ZONES)
@examples(6)
@given(data=st.data())
def test_what_is_found_is_what_a_dict_would_hold(zone, step, monkeypatch, data):
    """After any sequence of storing, in any zone, each bucket that was stored is found once, and no other."""
    monkeypatch.setattr(module, "_SMALL", 3)  # so that some neighbors stay apart
    query = HOURLY.step(step).tz(zone).by_variable("plan")
    around = at(ZONES[zone])
    instants = edges(query, around - 8 * STEPS[step], around + 8 * STEPS[step])
    pairs = st.tuples(*[st.integers(0, len(instants) - 1)] * 2).filter(lambda pair: pair[0] != pair[1])
    held = {}  # bucket, as a stretch between two edges → its rows
    conventions = st.sampled_from([("instant", False), ("instant", True), (None, False)])
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        for puts, pair in data.draw(st.lists(st.tuples(st.booleans(), pairs), max_size=12)):
            first, last = sorted(pair)
            cells = list(itertools.pairwise(instants[first : last + 1]))
            if puts:
                convention, is_assumed = data.draw(conventions)
                part = segment(query, instants[first], instants[last], convention=convention, is_assumed=is_assumed)
                store.put(query, part)
                held |= {cell: table(query, *cell) for cell in cells}
                continue
            found = store.find(query, instants[first], instants[last])
            covered = []
            for one in found:
                within = [cell for cell in cells if one.start <= cell[0] and cell[1] <= one.end]
                assert (one.start, one.end) == (within[0][0], within[-1][1])
                assert one.table.equals(pa.concat_tables([held[cell] for cell in within]))
                assert one.table.schema == build_schema(query)
                covered += within
            assert covered == [cell for cell in cells if cell in held]


# --- what dates mean ----------------------------------------------------------------------------------------------


def test_one_convention_of_dates(store):
    """What was assumed goes once another result decides otherwise; two that decide otherwise leave nothing."""
    store.put(HOURLY, segment(HOURLY, *hours(0, 5), is_assumed=True))
    store.put(HOURLY, segment(HOURLY, *hours(5, 9), convention=None))
    store.put(HOURLY, segment(HOURLY, *hours(20, 24)))
    assert spans(store.find(HOURLY, *hours(0, 30))) == [(0, 9), (20, 24)]
    store.delete(HOURLY)
    store.put(HOURLY, segment(HOURLY, *hours(0, 5), is_assumed=True))
    store.put(HOURLY, segment(HOURLY, *hours(10, 12), convention=None))
    store.put(HOURLY, segment(HOURLY, *hours(20, 24), convention="wall"))
    assert spans(store.find(HOURLY, *hours(0, 12))) == [(10, 12)]
    assert spans(store.find(HOURLY, *hours(0, 30))) == [(10, 12), (20, 24)]
    assert count_parts(store.folder) == 2
    store.put(HOURLY, segment(HOURLY, *hours(24, 25)))
    assert count_parts(store.folder) == 3
    assert store.find(HOURLY, *hours(20, 24)) == []
    assert count_parts(store.folder) == 0


@pytest.mark.parametrize(
    ("before", "after", "together"),
    [
        (("instant", False), ("instant", False), ("instant", False)),
        (("instant", True), ("instant", True), ("instant", True)),
        (("wall", False), ("wall", False), ("wall", False)),
        ((None, False), ("wall", False), ("wall", False)),
        (("instant", True), (None, False), ("instant", True)),
        ((None, False), (None, False), (None, False)),
        (("instant", True), ("instant", False), None),
        (("instant", False), ("wall", False), None),
    ],
)
def test_neighbors_of_one_convention_join(before, after, together, store):
    """Segments with dates of the same meaning become one, which keeps that meaning; others stay apart."""
    for extent, (convention, is_assumed) in (((0, 3), before), ((3, 6), after)):
        store.put(HOURLY, segment(HOURLY, *hours(*extent), convention=convention, is_assumed=is_assumed))
    assert count_parts(store.folder) == (2 if together is None else 1)
    if together is not None:
        (found,) = store.find(HOURLY, *hours(0, 6))
        assert (found.convention, found.is_assumed) == together


def test_what_was_joined_is_as_old_as_its_oldest_part(store):
    """Of several times of fetching, the earliest counts."""
    late = FETCHED + timedelta(days=1)
    for extent, fetched in (((0, 3), late), ((3, 6), FETCHED), ((6, 9), late)):
        store.put(HOURLY, segment(HOURLY, *hours(*extent), fetched=fetched))
    (found,) = store.find(HOURLY, *hours(0, 9))
    assert found.fetched == FETCHED


# --- few parts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, *(pytest.param(one, marks=pytest.mark.long) for one in (0, 60))])
def test_a_job_of_every_hour_leaves_few_parts(width, store, monkeypatch):
    """However often an hour is added, parts stay few, and each row is written again only a few times."""
    written, encode = [], parts.encode

    def counting(part, *arguments):
        written.append(part.table.num_rows)
        return encode(part, *arguments)

    monkeypatch.setattr(parts, "encode", counting)
    most = 0
    for n in range(300):
        store.put(HOURLY, segment(HOURLY, *hours(n, n + 1), width=width))
        most = max(most, count_parts(store.folder))
    found = store.find(HOURLY, *hours(0, 300))
    whole = table(HOURLY, *hours(0, 300), width=width)
    assert pa.concat_tables([one.table for one in found]).equals(whole)
    assert len(found) == count_parts(store.folder)
    assert most <= 6
    assert sum(written) <= 10 * whole.num_rows + 300 * module._SMALL


def test_a_large_part_is_left_alone(store, monkeypatch):
    """Beyond a number of rows parts are not joined."""
    monkeypatch.setattr(module, "_LARGE", 60)
    for n in range(0, 200, 20):
        store.put(HOURLY, segment(HOURLY, *hours(n, n + 20)))
    found = store.find(HOURLY, *hours(0, 200))
    assert all(one.table.num_rows <= 60 for one in found)
    assert len(found) > 3
    assert find_wrong(HOURLY, *hours(0, 200), found) is None


def test_what_lies_within_what_is_stored_goes(store):
    """A part that holds nothing more than the new one is deleted, unless its dates mean something else."""
    within = [segment(HOURLY, *hours(2, 4)), segment(HOURLY, *hours(5, 9)), segment(HOURLY, *hours(8, 20))]
    insert_apart(store, HOURLY, *within, segment(HOURLY, *hours(3, 5), is_assumed=True))
    store.put(HOURLY, segment(HOURLY, *hours(0, 9)))
    held = run_sql(store.folder, "SELECT begins, ends FROM parts")
    assert sorted(held) == [hours(0, 9), hours(3, 5), hours(8, 20)]


# --- size ---------------------------------------------------------------------------------------------------------


def test_what_was_not_used_for_longest_goes_first(store, monkeypatch):
    """Above the limit parts are deleted, last those that were found or stored last; the file shrinks."""
    queries = [HOURLY.by("status"), HOURLY.by("assistantId"), HOURLY.by("endedReason")]
    clock = [time.time() - 7 * DAY]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    for query in queries:
        store.put(query, segment(query, *hours(0, 500)))
        clock[0] += DAY
    size = (store.folder / FILE_NAME).stat().st_size
    store.find(queries[0], *hours(3, 5))
    store.limit = size - 1
    clock[0] += DAY
    store.find(queries[0], *hours(3, 5))
    assert [len(store.find(query, *hours(0, 500))) for query in queries] == [1, 0, 1]
    assert (store.folder / FILE_NAME).stat().st_size < size
    store.limit = 1
    clock[0] += DAY
    store.find(queries[0], *hours(0, 500))
    assert count_parts(store.folder) == 0


def test_a_fetch_writes_nothing_where_the_use_is_known(store):
    """What was used within the hour is found without a write; a use that is of no time, or to come, is noted anew."""
    store.put(HOURLY, segment(HOURLY, *hours(0, 12)))
    [(noted,)] = run_sql(store.folder, "SELECT used FROM parts")
    before = (store.folder / FILE_NAME).read_bytes()
    assert len(store.find(HOURLY, *hours(0, 12))) == 1
    assert (store.folder / FILE_NAME).read_bytes() == before
    for used in (noted - 2 * HOUR, noted + DAY, "long ago", b""):
        run_sql(store.folder, "UPDATE parts SET used = ?", used)
        assert len(store.find(HOURLY, *hours(0, 12))) == 1
        [(again,)] = run_sql(store.folder, "SELECT used FROM parts")
        assert noted <= again < noted + HOUR


def test_the_file_stays_below_the_limit(tmp_path):
    """The limit holds after each result that is stored, and the newest one stays."""
    store = open_store(tmp_path, limit=100_000)
    for n in range(120):
        query = HOURLY.by_variable(f"v{n}")
        store.put(query, segment(query, *hours(0, 12)))
        assert store.find(query, *hours(0, 12))
        pages, size = (run_sql(tmp_path, f"PRAGMA {name}")[0][0] for name in ("page_count", "page_size"))
        assert pages * size <= 100_000
    assert pages * size > 50_000


def test_a_result_larger_than_the_limit_is_not_stored(tmp_path):
    """It would drive out all others, and then itself."""
    store = open_store(tmp_path, limit=100_000)
    store.put(WHOLE, segment(WHOLE, *hours(0, 12)))
    wide = HOURLY.by_variable("v")
    store.put(wide, segment(wide, *hours(0, 500), width=100))
    assert store.find(wide, *hours(0, 500)) == []
    assert len(store.find(WHOLE, *hours(0, 12))) == 1


def test_delete_is_about_one_query(store):
    """What is stored of other queries stays."""
    for query in (HOURLY, WHOLE):
        store.put(query, segment(query, *hours(0, 12)))
    store.delete(HOURLY.named("the same").last("3d"))
    assert store.find(HOURLY, *hours(0, 12)) == []
    assert len(store.find(WHOLE, *hours(0, 12))) == 1
    store.delete(HOURLY)
