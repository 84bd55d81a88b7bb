"""Answers kept on disk: what is found is what was kept, of the same question, whole, whatever happened in between."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support import hammer
from tests.support.hammer import ASKED, SCOPE, at, edges, segment, table
from vapi_frames.calendar import buckets as timegrid
from vapi_frames.errors import ResponseWarning
from vapi_frames.query.query import Query
from vapi_frames.query.schema import build_schema
from vapi_frames.sources.api.pieces import Segment
from vapi_frames.sources.cache import cache, segments, shelf
from vapi_frames.sources.cache.cache import Store
from vapi_frames.sources.cache.segments import BrokenError

HOURLY = vf.vq.call().sum("cost").count().by("type").step("hour").tz("America/New_York")
WHOLE = vf.vq.call().sum("cost").by("type")
HOUR = 3600
DAY = 24 * HOUR
BEGIN = at("2026-11-01")  # the clock of New York goes back six hours later


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Return a store in an empty folder, on a disk that need not last."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(cache, "_OPENED", {})
    return Store(tmp_path, scope=SCOPE)


def files(place, pattern="*.parquet"):
    """Return the files in the folders of all questions."""
    return sorted(place.glob(f"*/{pattern}"))


def hours(first, last):
    """Return the begin and the end of the hours numbered *first* to *last*, exclusive."""
    return BEGIN + first * HOUR, BEGIN + last * HOUR


def spans(found, begin=BEGIN, unit=HOUR):
    """Return the ranges of segments, counted in hours."""
    return [((one.start - begin) / unit, (one.end - begin) / unit) for one in found]


def kept_apart(store, question, *parts):
    """Keep *parts* as one file each, as several processes may leave them."""
    for part in parts:
        folder = store.folder / shelf.key(shelf.canonical(question, store.scope))
        folder.mkdir(parents=True, exist_ok=True)
        segments.write(folder, part, question, shelf.canonical(question, store.scope))


# --- what is found ------------------------------------------------------------------------------------------------


def test_what_was_kept_is_found(store):
    """Rows, types and all that is known of them come back as they went in."""
    part = segment(HOURLY, *hours(0, 48))
    store.keep(HOURLY, part)
    assert store.find(HOURLY, *hours(0, 48)) == [part]
    (found,) = Store(store.folder, scope=SCOPE).find(HOURLY, *hours(0, 48))
    assert found.table.schema == build_schema(HOURLY)
    assert found.table.num_rows > 40
    assert found.asked.tzinfo is UTC


def test_nothing_is_found_where_nothing_was_kept(store):
    """Neither before anything was kept, nor of another range, nor of no range."""
    assert store.find(HOURLY, *hours(0, 48)) == []
    store.keep(HOURLY, segment(HOURLY, *hours(0, 48)))
    assert store.find(HOURLY, *hours(48, 60)) == []
    assert store.find(HOURLY, *hours(-9, 0)) == []
    assert store.find(HOURLY, *hours(7, 7)) == []
    assert not (store.folder / "elsewhere").exists()
    assert Store(store.folder / "elsewhere", scope=SCOPE).find(HOURLY, *hours(0, 1)) == []
    assert not (store.folder / "elsewhere").exists()


def test_a_part_of_a_segment_is_cut_on_edges(store):
    """A range within a segment, and one that reaches beyond it on both sides, find whole buckets."""
    store.keep(HOURLY, segment(HOURLY, *hours(0, 48)))
    for first, last, clipped in ((10, 20, (10, 20)), (-5, 3, (0, 3)), (40, 90, (40, 48)), (-5, 90, (0, 48))):
        (found,) = store.find(HOURLY, *hours(first, last))
        assert spans([found]) == [clipped]
        assert found.table.equals(table(HOURLY, *hours(*clipped)))


def test_buckets_are_cut_by_their_labels(store):
    """An hour that a clock begins anew after half is named by an instant before its first, and is cut there."""
    question = HOURLY.tz("Australia/Lord_Howe")
    change = at("2026-04-04T15:00")
    (label,) = timegrid.list_buckets(change, change + 1800, "hour", question.zone)
    assert label < change
    store.keep(question, segment(question, change - 5 * HOUR, change + 1800 + 5 * HOUR))
    for start, end in ((change, change + 1800), (change - HOUR, change), (change + 1800, change + 1800 + HOUR)):
        (found,) = store.find(question, start, end)
        assert found.table.num_rows
        assert found.table.equals(table(question, start, end))


def test_overlapping_segments_are_read_once(store):
    """Of segments that overlap, as two processes leave them, those that reach furthest are read, and none twice."""
    parts = [(0, 10), (2, 8), (5, 20), (9, 12), (15, 30), (40, 50), (38, 41)]
    kept_apart(store, HOURLY, *(segment(HOURLY, *hours(*part)) for part in parts))
    found = store.find(HOURLY, *hours(1, 60))
    assert spans(found) == [(1, 10), (10, 20), (20, 30), (38, 41), (41, 50)]
    assert hammer.wrong(HOURLY, *hours(1, 60), found) is None


def test_names_are_those_of_whoever_asks(store):
    """Aliases, the title and the range are not part of what is asked; the columns get the names asked for."""
    store.keep(HOURLY, segment(HOURLY, *hours(0, 9)))
    other = vf.vq.call().sum("cost", alias="spend").count(alias="n").by("type").step("hour").tz("America/New_York")
    (found,) = store.find(other.named("mine").last("9d"), *hours(0, 9))
    assert found.table.column_names == ["date", "type", "spend", "n"]
    assert found.table.schema == build_schema(other)
    assert found.table.rename_columns(table(HOURLY, *hours(0, 9)).column_names).equals(table(HOURLY, *hours(0, 9)))


def test_a_question_without_step_is_found_whole(store):
    """Only the very range that was asked is an answer; two ranges are kept side by side."""
    for start, end in ((0, 7), (0, 8), (7, 8)):
        store.keep(WHOLE, segment(WHOLE, *hours(start, end), reading=None))
    assert spans(store.find(WHOLE, *hours(0, 7))) == [(0, 7)]
    assert spans(store.find(WHOLE, *hours(7, 8))) == [(7, 8)]
    assert store.find(WHOLE, *hours(0, 8))[0].table.equals(table(WHOLE, *hours(0, 8)))
    assert store.find(WHOLE, *hours(1, 8)) == []
    assert len(files(store.folder)) == 3


def test_a_history_keeps_parts_of_seconds(store):
    """The instants of a history come back to the microsecond, and its range need not lie on any edge."""
    history = vf.vq.subscription().history("concurrency").tz("Asia/Kathmandu")
    instants = pa.array([BEGIN * 1_000_000 + 1, BEGIN * 1_000_000 + 999_999], pa.int64())
    rows = [instants.cast(pa.timestamp("us", tz="Asia/Kathmandu")), pa.array([1.0, 2.0])]
    part = Segment(BEGIN + 7, BEGIN + 11, pa.table(rows, schema=build_schema(history)), "instant", True, ASKED)
    store.keep(history, part)
    assert store.find(history, BEGIN + 7, BEGIN + 11) == [part]


def test_only_answers_are_kept(store):
    """What is no answer to the question, or not of whole buckets, is refused where it is to be kept."""
    good = segment(HOURLY, *hours(0, 12))
    wrong = {
        "empty": replace(good, end=good.start),
        "without a zone": replace(good, asked=datetime(2026, 11, 2)),
        "only the instant": replace(good, reading="wall", assumed=True),
        "the table has": replace(good, table=good.table.drop_columns(["type"])),
        "not an edge": replace(good, end=good.end - 1),
        "outside the buckets": replace(good, end=good.end - 4 * HOUR),
        "lies outside": replace(good, start=good.start + 4 * HOUR),
    }
    for said, part in wrong.items():
        with pytest.raises(ValueError, match=said):
            store.keep(HOURLY, part)
    dates = pa.array([None] * good.table.num_rows, good.table.schema.field("date").type)
    with pytest.raises(ValueError, match="outside"):
        store.keep(HOURLY, replace(good, table=good.table.set_column(0, "date", dates)))
    with pytest.raises(ValueError, match="not an edge between two buckets of a hour in America/New_York"):
        store.find(HOURLY, BEGIN, BEGIN + 1)
    assert not files(store.folder, "*")


def test_an_edge_is_where_no_bucket_is_under_way():
    """Where a clock runs back over midnight, two days interleave, and neither midnight parts them."""
    daily = HOURLY.step("day").tz("America/St_Johns")
    first, second = at("2006-10-29T02:30"), at("2006-10-29T03:30")
    for midnight in (first, second):
        with pytest.raises(ValueError, match="not an edge"):
            segments.check_edges(daily, midnight)
    segments.check_edges(daily, at("2006-10-28T02:30"), at("2006-10-30T03:30"))
    segments.check_edges(HOURLY.step("day").tz("Pacific/Apia"), at("2011-12-30T10:00"))  # a day that did not exist


# --- any order of keeping and finding -----------------------------------------------------------------------------

ZONES = {
    "America/New_York": "2026-11-01T06:00",
    "Pacific/Apia": "2011-12-30T10:00",
    "America/St_Johns": "2006-10-29T02:31",
    "Australia/Lord_Howe": "2026-04-04T15:00",
}
STEPS = {"hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 30 * DAY}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_found_is_what_a_dict_would_hold(zone, step, monkeypatch, data):
    """After any sequence of keeping, in any zone, each bucket that was kept is found once, and no other."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(shelf, "_TINY", 3)  # so that some neighbors stay apart
    question = HOURLY.step(step).tz(zone).by_variable("plan")
    around = at(ZONES[zone])
    instants = edges(question, around - 8 * STEPS[step], around + 8 * STEPS[step])
    pairs = st.tuples(*[st.integers(0, len(instants) - 1)] * 2).filter(lambda pair: pair[0] != pair[1])
    held = {}  # bucket, as a stretch between two edges → its rows
    readings = st.sampled_from([("instant", False), ("instant", True), (None, False)])
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder, scope=SCOPE)
        for keeps, pair in data.draw(st.lists(st.tuples(st.booleans(), pairs), max_size=12)):
            first, last = sorted(pair)
            cells = list(itertools.pairwise(instants[first : last + 1]))
            if keeps:
                reading, assumed = data.draw(readings)
                part = segment(question, instants[first], instants[last], reading=reading, assumed=assumed)
                store.keep(question, part)
                held |= {cell: table(question, *cell) for cell in cells}
                continue
            found = store.find(question, instants[first], instants[last])
            covered = []
            for one in found:
                within = [cell for cell in cells if one.start <= cell[0] and cell[1] <= one.end]
                assert (one.start, one.end) == (within[0][0], within[-1][1])
                assert one.table.equals(pa.concat_tables([held[cell] for cell in within]))
                assert one.table.schema == build_schema(question)
                covered += within
            assert covered == [cell for cell in cells if cell in held]


# --- whose answer it is -------------------------------------------------------------------------------------------

A_DAY = hours(4, 29)  # of New York, in which an hour came twice
ASKING = HOURLY.by("status").by_variable("plan").where({"endedReason": ["a", None], "variable.lang": "en"})
OTHERS = {
    "table": replace(ASKING, table="subscription"),
    "operation": replace(
        ASKING, aggregations=(replace(ASKING.aggregations[0], operation="max"), *ASKING.aggregations[1:])
    ),
    "column": replace(
        ASKING, aggregations=(replace(ASKING.aggregations[0], column="duration"), *ASKING.aggregations[1:])
    ),
    "order of measures": replace(ASKING, aggregations=ASKING.aggregations[::-1]),
    "more measures": ASKING.avg("cost"),
    "counts": ASKING.avg("cost").with_counts(),
    "group": replace(ASKING, groups=("type", "assistantId")),
    "order of groups": replace(ASKING, groups=ASKING.groups[::-1]),
    "variable": replace(ASKING, variables=("lang",)),
    "variable for a group": replace(ASKING, groups=("type",), variables=("status", "plan")),
    "value": replace(ASKING, filters=(("endedReason", ("b", None)), ASKING.filters[1])),
    "missing value": replace(ASKING, filters=(("endedReason", ("a",)), ASKING.filters[1])),
    "filtered word": replace(ASKING, filters=(("type", ("a", None)), ASKING.filters[1])),
    "no filter": replace(ASKING, filters=()),
    "step": ASKING.step("day"),
    "no step": replace(ASKING, time_step=None),
    "zone": ASKING.tz("America/Toronto"),  # whose clocks agree
}


@pytest.mark.parametrize("part", [*OTHERS, "scope", "format", "answers", "dated"])
def test_any_part_of_the_question_changes_its_key(part, monkeypatch, store):
    """An answer to another question, of another organization, or of another version is never found."""
    text = shelf.canonical(ASKING, SCOPE)
    store.keep(ASKING, segment(ASKING, *A_DAY))
    if part in ("format", "answers"):
        monkeypatch.setattr(shelf, f"_{part.upper()}", 99)
    if part == "dated":
        monkeypatch.setattr(Query, "is_dated", property(lambda _: False))
    if part == "scope":
        store = Store(store.folder, scope=SCOPE[:-1] + "e")
    other = OTHERS.get(part, ASKING)
    assert shelf.key(shelf.canonical(other, store.scope)) != shelf.key(text)
    assert store.find(other, *A_DAY) == []


@pytest.mark.parametrize("part", OTHERS)
def test_the_question_is_compared_not_its_key_alone(part, monkeypatch, store):
    """Should two questions have one key, neither gets the other's answer."""
    monkeypatch.setattr(shelf, "key", lambda _: "0" * 32)
    store.keep(ASKING, segment(ASKING, *A_DAY))
    with pytest.warns(ResponseWarning, match="another question"):
        assert store.find(OTHERS[part], *A_DAY) == []


@pytest.mark.extra("local")
def test_what_does_not_change_the_question_finds_its_answer():
    """The same question in other words has the same key."""
    text = shelf.canonical(ASKING, SCOPE)
    utc = replace(HOURLY, timezone=None)
    assert shelf.canonical(ASKING.named("x").during("2026"), SCOPE) == text
    assert shelf.canonical(replace(ASKING, filters=(("endedReason", (None, "a")), ASKING.filters[1])), SCOPE) == text
    assert shelf.canonical(vf.demo().call().sum("cost"), SCOPE) == shelf.canonical(vf.vq.call().sum("cost"), SCOPE)
    assert shelf.canonical(utc, SCOPE) == shelf.canonical(HOURLY.tz("UTC"), SCOPE)


def test_buckets_of_another_calendar_are_not_found(monkeypatch, store):
    """Where the data of a zone were corrected since, its buckets are not those that were kept."""
    store.keep(HOURLY, segment(HOURLY, *hours(0, 9)))
    known = segments.offsets
    monkeypatch.setattr(segments, "offsets", lambda *a: [[at, offset + HOUR] for at, offset in known(*a)])
    assert store.find(HOURLY, *hours(0, 9)) == []
    assert not files(store.folder)
    assert len(known(HOURLY, *hours(0, 9))) == 2


# --- how dates were read ------------------------------------------------------------------------------------------


def test_one_way_of_reading_dates(store):
    """What was assumed goes once another answer decides otherwise; two that decide otherwise leave nothing."""
    store.keep(HOURLY, segment(HOURLY, *hours(0, 5), assumed=True))
    store.keep(HOURLY, segment(HOURLY, *hours(5, 9), reading=None))
    store.keep(HOURLY, segment(HOURLY, *hours(20, 24)))
    assert spans(store.find(HOURLY, *hours(0, 30))) == [(0, 9), (20, 24)]
    store.forget(HOURLY)
    store.keep(HOURLY, segment(HOURLY, *hours(0, 5), assumed=True))
    store.keep(HOURLY, segment(HOURLY, *hours(10, 12), reading=None))
    store.keep(HOURLY, segment(HOURLY, *hours(20, 24), reading="wall"))
    assert spans(store.find(HOURLY, *hours(0, 12))) == [(10, 12)]
    assert spans(store.find(HOURLY, *hours(0, 30))) == [(10, 12), (20, 24)]
    assert len(files(store.folder)) == 2
    store.keep(HOURLY, segment(HOURLY, *hours(24, 25)))
    assert len(files(store.folder)) == 3
    assert store.find(HOURLY, *hours(20, 24)) == []
    assert not files(store.folder)


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
def test_neighbors_of_one_reading_join(before, after, together, store):
    """Segments whose dates were read alike become one, that says how; others stay apart."""
    for part, (reading, assumed) in (((0, 3), before), ((3, 6), after)):
        store.keep(HOURLY, segment(HOURLY, *hours(*part), reading=reading, assumed=assumed))
    assert len(files(store.folder)) == (2 if together is None else 1)
    if together is not None:
        (found,) = store.find(HOURLY, *hours(0, 6))
        assert (found.reading, found.assumed) == together


def test_what_was_put_together_is_as_old_as_its_oldest_part(store):
    """Of several times of asking, the earliest is kept."""
    late = ASKED + timedelta(days=1)
    store.keep(HOURLY, segment(HOURLY, *hours(0, 3), asked=late))
    store.keep(HOURLY, segment(HOURLY, *hours(3, 6), asked=ASKED))
    store.keep(HOURLY, segment(HOURLY, *hours(6, 9), asked=late))
    (found,) = store.find(HOURLY, *hours(0, 9))
    assert found.asked == ASKED


# --- few files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [0, 1, 60])
def test_a_job_of_every_hour_leaves_few_files(width, store, monkeypatch):
    """However often an hour is added, files stay few, and each row is written again only a few times."""
    written, write = [], segments.write

    def counting(folder, part, question, text):
        written.append(part.table.num_rows)
        return write(folder, part, question, text)

    monkeypatch.setattr(segments, "write", counting)
    most = 0
    for n in range(300):
        store.keep(HOURLY, segment(HOURLY, *hours(n, n + 1), width=width))
        most = max(most, len(files(store.folder)))
    found = store.find(HOURLY, *hours(0, 300))
    whole = table(HOURLY, *hours(0, 300), width=width)
    assert pa.concat_tables([one.table for one in found]).equals(whole)
    assert len(found) == len(files(store.folder))
    assert most <= 6
    assert sum(written) <= 10 * whole.num_rows + 300 * shelf._TINY


def test_a_large_file_is_left_alone(store, monkeypatch):
    """Beyond a number of rows files are not put together."""
    monkeypatch.setattr(shelf, "_LARGE", 60)
    for n in range(0, 200, 20):
        store.keep(HOURLY, segment(HOURLY, *hours(n, n + 20)))
    assert all(pq.read_metadata(path).num_rows <= 60 for path in files(store.folder))
    assert len(files(store.folder)) > 3
    assert hammer.wrong(HOURLY, *hours(0, 200), store.find(HOURLY, *hours(0, 200))) is None


def test_what_lies_within_what_is_kept_goes(store):
    """A file that holds nothing more than the new one is deleted, unless its dates were read otherwise."""
    within = [segment(HOURLY, *hours(2, 4)), segment(HOURLY, *hours(5, 9)), segment(HOURLY, *hours(8, 20))]
    kept_apart(store, HOURLY, *within, segment(HOURLY, *hours(3, 5), assumed=True))
    store.keep(HOURLY, segment(HOURLY, *hours(0, 9)))
    held = [segments.range_of(path.name) for path in files(store.folder)]
    assert sorted(held) == [hours(0, 9), hours(3, 5), hours(8, 20)]


# --- what a disk does ---------------------------------------------------------------------------------------------


@pytest.fixture
def one_file(store):
    """Return a file that was kept, and the segment in it."""
    part = segment(HOURLY, *hours(0, 12))
    store.keep(HOURLY, part)
    (path,) = files(store.folder)
    return path, part


@pytest.mark.extra("local")
def test_a_file_is_parquet_that_every_reader_opens(one_file):
    """Other tools read the rows too, page checksums included."""
    import duckdb

    path, part = one_file
    named = part.table.rename_columns(["k0", "k1", "m0", "m1"])
    assert pq.ParquetFile(path, page_checksum_verification=True).read().equals(named)
    assert duckdb.sql(f"SELECT sum(m1) FROM '{path}'").fetchall() == [(sum(part.table["countId"].to_pylist()),)]


def test_a_file_cut_anywhere_is_noticed(one_file):
    """A file that ends early, at any byte, is no answer."""
    path, _ = one_file
    text = shelf.canonical(HOURLY, SCOPE)
    for length in reversed(range(path.stat().st_size)):
        os.truncate(path, length)
        with pytest.raises(BrokenError):
            segments.read(path, HOURLY, text)
        with pytest.raises(BrokenError):
            segments.peek(path)


def test_a_byte_changed_anywhere_is_noticed(one_file):
    """A file of which one byte changed, any, is no answer; nor one to which something was added."""
    path, part = one_file
    content, text = path.read_bytes(), shelf.canonical(HOURLY, SCOPE)
    with path.open("r+b", buffering=0) as file:
        for place, byte in enumerate(content):
            file.seek(place)
            file.write(bytes([byte ^ 1 << place % 8]))
            with pytest.raises(BrokenError):
                segments.read(path, HOURLY, text)
            file.seek(place)
            file.write(bytes([byte]))
    assert segments.read(path, HOURLY, text) == part
    for added in (content + b"\0", b"\0" + content, content + content):
        path.write_bytes(added)
        with pytest.raises(BrokenError):
            segments.read(path, HOURLY, text)
    path.write_bytes(content)
    assert segments.read(path, HOURLY, text) == part


def damages(path):
    """Return what a file may be instead of what was kept."""
    content = path.read_bytes()
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"k0": [1]}), sink)
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 8
    return {
        "empty": b"", "cut": content[:-1], "half": content[: len(content) // 2], "zeros": bytes(len(content)),
        "flipped": bytes(flipped), "foreign": sink.getvalue().to_pybytes(), "text": b"start,end\n1,2\n" * 99,
        "long footer": content[:-8] + b"\xff\xff\xff\x7fPAR1",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["empty", "cut", "half", "zeros", "flipped", "foreign", "text", "long footer"])
def test_a_damaged_file_is_set_aside(kind, one_file, store):
    """What is not as it was kept is not held, is there for whoever wants to know why, and makes room."""
    path, part = one_file
    content = damages(path)[kind]
    path.write_bytes(content)
    store.keep(HOURLY, segment(HOURLY, *hours(20, 22)))
    with pytest.warns(ResponseWarning, match="not an answer as it was kept") as said:
        assert spans(store.find(HOURLY, *hours(0, 30))) == [(20, 22)]
    assert len(said) == 1
    assert said[0].filename == __file__
    assert path.with_name(f"{path.name}.broken").read_bytes() == content
    store.keep(HOURLY, part)
    assert spans(store.find(HOURLY, *hours(0, 30))) == [(0, 12), (20, 22)]


def test_a_damaged_neighbor_does_not_join(one_file, store):
    """Keeping what follows a damaged file keeps what follows only."""
    path, _ = one_file
    path.write_bytes(damages(path)["flipped"])
    with pytest.warns(ResponseWarning, match="not an answer as it was kept"):
        store.keep(HOURLY, segment(HOURLY, *hours(12, 15)))
    assert spans(store.find(HOURLY, *hours(0, 30))) == [(12, 15)]


@pytest.mark.parametrize("question", [HOURLY, WHOLE], ids=["step", "whole"])
def test_a_renamed_file_is_not_held(question, store):
    """A file that says another range than its name is no answer to either."""
    store.keep(question, segment(question, *hours(0, 12)))
    (path,) = files(store.folder)
    path.rename(path.with_name(segments.name_of(*hours(12, 24))))
    with pytest.warns(ResponseWarning, match="it holds"):
        assert store.find(question, *hours(12, 24)) == []


def test_a_seal_alone_makes_no_answer(one_file, monkeypatch):
    """A whole file with other columns, other rows than it says, or nothing about itself is no answer."""
    path, part = one_file
    text = shelf.canonical(HOURLY, SCOPE)
    stored = segments._stored
    monkeypatch.setattr(segments, "_stored", lambda q: stored(q).remove(1) if len(stored(q)) == 4 else stored(q))
    with pytest.raises(BrokenError, match="columns"):
        segments.read(path, HOURLY, text)
    monkeypatch.undo()
    monkeypatch.setattr(segments, "_MARK", b"other")
    with pytest.raises(BrokenError, match="nothing of itself"):
        segments.peek(path)
    monkeypatch.undo()
    assert segments.read(path, HOURLY, text) == part


def test_a_file_that_goes_while_it_is_looked_at_is_not_held(one_file, store, monkeypatch):
    """Between listing and reading another process may trim; or put files together, and then that one is found."""
    path, part = one_file
    content, peek, read = path.read_bytes(), segments.peek, segments.read

    def gone(opened):
        def opening(path, *arguments):
            path.unlink(missing_ok=True)
            return opened(path, *arguments)

        return opening

    for name, opened in (("peek", peek), ("read", read)):
        monkeypatch.setattr(segments, name, gone(opened))
        assert store.find(HOURLY, *hours(0, 12)) == []
        monkeypatch.setattr(segments, name, opened)
        path.write_bytes(content)

    def merged(path, *arguments):
        monkeypatch.setattr(segments, "peek", peek)
        path.unlink()
        kept_apart(store, HOURLY, segment(HOURLY, *hours(0, 24)))
        return peek(path, *arguments)

    monkeypatch.setattr(segments, "peek", merged)
    assert store.find(HOURLY, *hours(0, 12)) == [part]


def test_a_full_disk_loses_no_answer(store):
    """What cannot be written whole is not kept, leaves nothing behind, and is said once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            store.keep(HOURLY, segment(HOURLY, *hours(0, 5)))
            store.keep(HOURLY, segment(HOURLY, *hours(9, 12)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (one,) = said
    refused = f"[Errno {errno.EFBIG}] {os.strerror(errno.EFBIG)}"
    assert str(one.message) == f"answers cannot be kept in {store.folder}, and will be asked for again: {refused}"
    assert one.category is ResponseWarning
    assert one.filename == __file__
    assert not files(store.folder, ".*") + files(store.folder, "*")
    store.keep(HOURLY, segment(HOURLY, *hours(0, 5)))
    assert len(store.find(HOURLY, *hours(0, 5))) == 1


def test_a_folder_that_cannot_be_used_is_said_once(tmp_path):
    """A folder that is none raises nothing: what is asked is not held, and is not kept."""
    (tmp_path / "file").write_text("mine")
    store = Store(tmp_path / "file", scope=SCOPE)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(2):
            assert store.find(HOURLY, *hours(0, 5)) == []
            store.keep(HOURLY, segment(HOURLY, *hours(0, 5)))
            store.keep(WHOLE, segment(WHOLE, *hours(0, 5)))
            store.forget(HOURLY)
            store.trim()
    assert sorted(str(one.message).split(str(tmp_path))[0] for one in said) == [
        "an answer kept in ", "answers cannot be kept in ", "answers kept in ", "the answers kept in ",
    ]  # fmt: skip
    assert (tmp_path / "file").read_text() == "mine"


def test_a_disk_that_cannot_be_read_is_no_reason_to_set_a_file_aside(one_file, store, monkeypatch):
    """Where opening fails, for rights or for want of handles, the file stays, and is found again later."""
    path, part = one_file

    def refuse(*_, **__):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        patch.setattr(Path, "read_bytes", refuse)
        with pytest.warns(ResponseWarning, match="cannot be read, and is asked for again: .Errno 24") as said:
            assert [store.find(HOURLY, *hours(0, 12)) for _ in range(2)] == [[], []]
    assert len(said) == 1
    assert files(store.folder, "*") == [path]
    assert store.find(HOURLY, *hours(0, 12)) == [part]
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.warns(ResponseWarning, match="answers kept in .* cannot be read"):
        assert store.find(HOURLY, *hours(0, 12)) == []


def test_a_folder_that_goes_is_made_again(store, monkeypatch):
    """Another process may remove the empty folder of a question just when a file is to be written."""
    write, missed = segments.write, []

    def late(folder, *arguments):
        if len(missed) < 2:
            missed.append(folder.rmdir())
        return write(folder, *arguments)

    monkeypatch.setattr(segments, "write", late)
    store.keep(HOURLY, segment(HOURLY, *hours(0, 5)))
    assert len(store.find(HOURLY, *hours(0, 5))) == 1
    missed.clear()
    monkeypatch.setattr(segments, "write", lambda folder, *a: folder.rmdir() or write(folder, *a))
    with pytest.warns(ResponseWarning, match="cannot be kept"):
        store.keep(WHOLE, segment(WHOLE, *hours(0, 5)))


def test_what_cannot_be_deleted_is_not_found_all_the_same(store, monkeypatch):
    """An answer that was found wrong, on a disk that is read only, is not given out."""
    kept_apart(
        store, HOURLY, segment(HOURLY, *hours(0, 5), assumed=True), segment(HOURLY, *hours(7, 9), reading="wall")
    )

    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(os, "utime", refuse)
    with pytest.warns(ResponseWarning, match="cannot be deleted"):
        assert spans(store.find(HOURLY, *hours(0, 9))) == [(7, 9)]


# --- writers that die, and others at the same time ----------------------------------------------------------------


def gone_process():
    """Return the id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_what_dead_writers_left_is_swept_out(one_file, store):
    """An unfinished file goes once its writer is gone, or after an hour where nobody here can know; not before."""
    path, part = one_file

    def unfinished(machine, process):
        left = path.with_name(f".{path.name}.{machine}.{process}.{'0' * 16}.part")
        left.write_bytes(b"PAR1")
        return left

    dead = unfinished(segments._MACHINE, gone_process())
    absurd = unfinished(segments._MACHINE, 10**14)
    alive = unfinished(segments._MACHINE, os.getppid())
    init = unfinished(segments._MACHINE, 1)
    far = unfinished("01234567", gone_process())
    hidden = path.with_name(".mine.part")
    hidden.touch()
    aside = path.with_name(f"{path.name}.broken")
    aside.touch()
    assert store.find(HOURLY, *hours(0, 12)) == [part]
    store.keep(HOURLY, segment(HOURLY, *hours(20, 22)))
    assert not dead.exists()
    assert not absurd.exists()
    left = [alive, init, far, hidden, aside]
    store.trim()
    assert all(path.exists() for path in left)
    store.left_over = timedelta(seconds=0)
    os.utime(aside, (0, 0))
    store.trim()
    assert [path.exists() for path in left] == [False, False, False, True, False]
    assert store.find(HOURLY, *hours(0, 12)) == [part]


def test_killed_writers_leave_nothing_wrong(tmp_path):
    """Writers that are killed at any moment leave whole files, and unfinished ones that are swept out."""
    context = multiprocessing.get_context("spawn")
    events = [context.Event() for _ in range(10)]
    writers = [
        context.Process(target=hammer.write_on, args=(tmp_path, ready, seed), kwargs={"stuck": seed == 9})
        for seed, ready in enumerate(events)
    ]
    for writer in writers:
        writer.start()
    question, instants = hammer.questions()[0]
    store = Store(tmp_path, scope=SCOPE)
    for writer, ready in zip(writers, events, strict=True):
        assert ready.wait(hammer.SAFETY)
        time.sleep(0.001 * (writer.pid % 37))
        writer.kill()
        writer.join(hammer.SAFETY)
        found = store.find(question, instants[0], instants[-1])
        assert hammer.wrong(question, instants[0], instants[-1], found) is None
    left = [path for path in tmp_path.rglob("*") if segments.is_part(path.name)]
    assert left  # of the last, which was killed in the middle; what others left may be swept out already
    store.keep(question, segment(question, instants[0], instants[5]))
    found = store.find(question, instants[0], instants[5])
    assert sum(one.end - one.start for one in found) == instants[5] - instants[0]
    assert hammer.wrong(question, instants[0], instants[5], found) is None
    store.trim()
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir() and not segments.range_of(path.name)]


def test_processes_share_a_folder(tmp_path):
    """Two processes that keep, find, trim, clear and damage at random never find a wrong row."""
    bad, done = hammer.run(2, 4, tmp_path)
    assert bad == []
    assert min(done["hits"], done["keeps"], done["damages"]) > 5


def test_threads_share_a_store(tmp_path, monkeypatch):
    """Threads that keep and find what adds up never find a wrong row, and lose none."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    shared = Store(tmp_path, scope=SCOPE)
    bad = []
    question, instants = hammer.questions()[0]
    instants = instants[:120]

    def add(first):
        for one, after in list(itertools.pairwise(instants))[first::4]:
            shared.keep(question, segment(question, one, after))
            found = shared.find(question, instants[0], instants[-1])
            bad.append(hammer.wrong(question, instants[0], instants[-1], found))

    threads = [threading.Thread(target=add, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(bad) == {None}
    assert len(bad) == len(instants) - 1
    found = shared.find(question, instants[0], instants[-1])
    assert sum(one.end - one.start for one in found) == instants[-1] - instants[0]


# --- room ---------------------------------------------------------------------------------------------------------


def test_what_was_not_used_for_the_longest_time_goes_first(store):
    """Above the limit answers are deleted, those last which were found or kept last."""
    asked = [HOURLY.by("status"), HOURLY.by("assistantId"), HOURLY.by("endedReason")]
    for age, question in zip((30, 20, 10), asked, strict=True):
        store.keep(question, segment(question, *hours(0, 12)))
        (path,) = (store.folder / shelf.key(shelf.canonical(question, SCOPE))).iterdir()
        os.utime(path, (time.time() - age, time.time() - age))
    size = sum(path.stat().st_size for path in files(store.folder))
    store.trim()
    assert len(files(store.folder)) == 3
    store.find(asked[0], *hours(3, 5))
    store.limit = size - 1
    store.trim()
    assert [len(store.find(question, *hours(0, 12))) for question in asked] == [1, 0, 1]
    assert len(list(store.folder.iterdir())) == 2
    store.limit = 0
    store.trim()
    assert not list(store.folder.iterdir())


def test_keeping_trims_now_and_then(tmp_path):
    """The limit holds without anyone asking for it, give or take a tenth, and the newest answer stays."""
    store = Store(tmp_path, scope=SCOPE, limit=20_000)
    for n in range(40):
        question = HOURLY.by_variable(f"v{n}")
        store.keep(question, segment(question, *hours(0, 12)))
        assert store.find(question, *hours(0, 12))
    assert 10_000 < sum(path.stat().st_size for path in files(tmp_path)) <= 25_000


def test_forget_is_about_one_question(store):
    """What is held of other questions, and what is not this package's, stays."""
    for question in (HOURLY, WHOLE):
        store.keep(question, segment(question, *hours(0, 12)))
    mine = files(store.folder)[0].with_name("notes.txt")
    mine.touch()
    store.forget(HOURLY.named("the same").last("3d"))
    assert store.find(HOURLY, *hours(0, 12)) == []
    assert len(store.find(WHOLE, *hours(0, 12))) == 1
    assert mine.exists()
    store.forget(HOURLY)


def test_info_says_what_is_held(store, tmp_path):
    """One row for each question, with what builds it, from when until when, how much, and how old."""
    empty = cache.info()
    assert len(empty) == 0
    early = ASKED - timedelta(days=2)
    store.keep(ASKING, segment(ASKING, *hours(0, 12)))
    store.keep(ASKING, segment(ASKING, *hours(24, 36), asked=early))
    utc = HOURLY.tz("UTC")
    store.keep(utc, segment(utc, *hours(-5, 2)))
    broken = segments.name_of(*hours(50, 60))
    files(store.folder)[0].with_name(broken).write_text("broken")
    (tmp_path / "notes").mkdir()
    (tmp_path / ("0" * 32)).mkdir()
    found = cache.info().sort_values("files", ascending=False, ignore_index=True)
    assert found.equals(cache.info(str(tmp_path)).sort_values("files", ascending=False, ignore_index=True))
    assert list(found.columns) == list(empty.columns)
    assert list(found.dtypes) == list(empty.dtypes)
    dtypes = found.dtypes.astype(str)
    assert {dtypes[name] for name in ("start", "end", "asked")} == {"datetime64[us, UTC]"}
    assert {dtypes[name] for name in ("rows", "files", "bytes")} == {"int64"}
    first, second = found.to_dict("records")
    assert eval(first["question"], {"vq": vf.vq}) == ASKING
    assert second["question"] == 'vq.call().sum("cost").count().by("type").step("hour")'
    assert first["host"] == "https://api.vapi.ai"
    assert [first[side].timestamp() for side in ("start", "end")] == [BEGIN, BEGIN + 36 * HOUR]
    whole = [table(ASKING, *hours(*part)).num_rows for part in ((0, 12), (24, 36))]
    assert (first["rows"], first["files"], first["asked"]) == (sum(whole), 2, early)
    assert first["bytes"] + second["bytes"] == sum(p.stat().st_size for p in files(tmp_path) if p.name != broken)
    assert first["folder"] == str(tmp_path)
    assert cache.info(tmp_path / "nowhere").equals(empty)


def test_info_builds_a_measure_that_was_asked_for_twice(store):
    """The same measure under two names is in the code under two names."""
    question = vf.vq.call().sum("cost").count().sum("cost", alias="spend")
    store.keep(question, segment(question, *hours(0, 12)))
    (code,) = cache.info()["question"]
    assert [one.column for one in eval(code, {"vq": vf.vq}).measures] == ["cost", "id", "cost"]


def test_info_leaves_out_what_another_version_kept(store, monkeypatch):
    """What this version does not find it does not list."""
    store.keep(HOURLY, segment(HOURLY, *hours(0, 12)))
    monkeypatch.setattr(shelf, "_FORMAT", 99)
    assert cache.info().empty
    assert cache.clear() == 1


def test_clear_deletes_what_was_kept_and_nothing_else(store, tmp_path):
    """Answers, what was set aside and what dead writers left go; other files, and links to them, stay."""
    for question in (HOURLY, WHOLE):
        store.keep(question, segment(question, *hours(0, 12)))
    one, other = files(tmp_path)
    shutil.copy(one, one.with_name(f"{one.name}.broken"))
    left = one.with_name(f".{one.name}.{segments._MACHINE}.{gone_process()}.{'0' * 16}.part")
    writing = one.with_name(f".{one.name}.{segments._MACHINE}.{os.getppid()}.{'0' * 16}.part")
    outside = tmp_path / "outside"
    outside.mkdir()
    mine = [
        tmp_path / one.name, outside / one.name, one.with_name("x.parquet"), one.with_name("1-2.parquet.bak"), writing,
    ]  # fmt: skip
    for path in (left, *mine):
        path.write_text("mine")
    (tmp_path / ("a" * 32)).symlink_to(outside)
    link = one.with_name("7-8.parquet")
    link.symlink_to(outside / one.name)
    directory = one.with_name("8-9.parquet")
    directory.mkdir()
    assert cache.clear() == 4
    assert all(path.exists() for path in [*mine, link, directory])
    assert not other.parent.exists()
    assert cache.clear(tmp_path) == 0
    assert cache.clear(tmp_path / "nowhere") == 0


def test_every_folder_that_was_opened_is_known(store, tmp_path):
    """Without a folder, info and clear are about all of this process's stores."""
    second = Store(tmp_path / "second", scope=SCOPE)
    for one in (store, second, Store(os.fspath(tmp_path / "second"), scope="other")):
        one.keep(HOURLY, segment(HOURLY, *hours(0, 12)))
    assert sorted(cache.info()["folder"]) == [str(tmp_path), str(tmp_path / "second"), str(tmp_path / "second")]
    assert set(cache.info()["host"]) == {"https://api.vapi.ai", "other"}
    assert cache.clear() == 3
    assert repr(second) == f"<answers kept in {tmp_path / 'second'}>"
    assert second.settle == timedelta(hours=1)
