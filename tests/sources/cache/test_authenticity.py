"""A part is used for the query, the range and the key that it was stored with, and only as it was written."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import warnings
from dataclasses import replace

import pyarrow as pa
import pytest

import vapi_frames as vf
from tests.support.cached import (
    HOST,
    HOUR,
    HOURLY,
    SECRET,
    WHOLE,
    count_parts,
    find_wrong,
    hours,
    open_store,
    run_sql,
    segment,
    spans,
)
from vapi_frames.errors import ResponseWarning
from vapi_frames.query.query import Query
from vapi_frames.sources.cache import parts
from vapi_frames.sources.cache.database import FILE_NAME

# --- the query ----------------------------------------------------------------------------------------------------

A_DAY = hours(4, 29)  # of New York, in which an hour came twice
QUERY = HOURLY.by("status").by_variable("plan").where({"endedReason": ["a", None], "variable.lang": "en"})
OTHERS = {
    "table": replace(QUERY, table="subscription"),
    "operation": replace(
        QUERY, aggregations=(replace(QUERY.aggregations[0], operation="max"), *QUERY.aggregations[1:])
    ),
    "column": replace(QUERY, aggregations=(replace(QUERY.aggregations[0], column="duration"), *QUERY.aggregations[1:])),
    "order of measures": replace(QUERY, aggregations=QUERY.aggregations[::-1]),
    "more measures": QUERY.avg("cost"),
    "counts": QUERY.avg("cost").with_counts(),
    "group": replace(QUERY, groups=("type", "assistantId")),
    "order of groups": replace(QUERY, groups=QUERY.groups[::-1]),
    "variable": replace(QUERY, variables=("lang",)),
    "variable for a group": replace(QUERY, groups=("type",), variables=("status", "plan")),
    "value": replace(QUERY, filters=(("endedReason", ("b", None)), QUERY.filters[1])),
    "missing value": replace(QUERY, filters=(("endedReason", ("a",)), QUERY.filters[1])),
    "filtered column": replace(QUERY, filters=(("type", ("a", None)), QUERY.filters[1])),
    "no filter": replace(QUERY, filters=()),
    "step": QUERY.step("day"),
    "no step": replace(QUERY, time_step=None),
    "zone": QUERY.tz("America/Toronto"),  # with the same clocks
}


@pytest.mark.parametrize("part", [*OTHERS, "host", "secret", "version", "dated"])
def test_any_part_of_the_query_tells_it_from_others(part, monkeypatch, store):
    """A result of another query, host, key, or of another version is not found, and is no reason for a warning."""
    store.put(QUERY, segment(QUERY, *A_DAY))
    text = parts.format_query(QUERY, HOST)
    if part == "version":
        monkeypatch.setattr(parts, "VERSION", 99)
    if part == "dated":
        monkeypatch.setattr(Query, "is_dated", property(lambda _: False))
    options = {"host": {"host": HOST + "/other"}, "secret": {"secret": SECRET[:-1] + "e"}}.get(part, {})
    other = OTHERS.get(part, QUERY)
    if part != "secret":
        assert parts.format_query(other, options.get("host", HOST)) != text
    assert open_store(store.folder, **options).find(other, *A_DAY) == []
    assert count_parts(store.folder) == 1


@pytest.mark.extra("local")
def test_what_does_not_change_the_query_finds_its_result():
    """The same query in other words is the same text."""
    text = parts.format_query(QUERY, HOST)
    utc = replace(HOURLY, timezone=None)
    assert parts.format_query(QUERY.named("x").during("2026"), HOST) == text
    assert parts.format_query(replace(QUERY, filters=(("endedReason", (None, "a")), QUERY.filters[1])), HOST) == text
    demo, api = vf.demo().call().sum("cost"), vf.vq.call().sum("cost")
    assert parts.format_query(demo, HOST) == parts.format_query(api, HOST)
    assert parts.format_query(utc, HOST) == parts.format_query(HOURLY.tz("UTC"), HOST)


def test_buckets_of_another_calendar_are_not_found(monkeypatch, store):
    """Where the data of a zone were corrected since, its buckets are not those that were stored."""
    store.put(HOURLY, segment(HOURLY, *hours(0, 9)))
    known = parts.list_offsets
    monkeypatch.setattr(parts, "list_offsets", lambda *a: [[at, offset + HOUR] for at, offset in known(*a)])
    assert store.find(HOURLY, *hours(0, 9)) == []
    assert count_parts(store.folder) == 0
    assert len(known(HOURLY, *hours(0, 9))) == 2


# --- the bytes ----------------------------------------------------------------------------------------------------


def changed(head, **values):
    """Return the JSON of a head with other values."""
    return json.dumps({**json.loads(head), **values}, separators=(",", ":")).encode()


def encode_other(factor):
    """Return the rows of the first twelve hours with other costs, encoded without the secret."""
    part = segment(HOURLY, *hours(0, 12))
    costs = pa.array([None if cost is None else cost * factor for cost in part.table["sumCost"].to_pylist()])
    table = part.table.set_column(part.table.column_names.index("sumCost"), "sumCost", costs)
    text = parts.format_query(HOURLY, HOST)
    return parts.encode(replace(part, table=table), HOURLY, text, "a guess")


ALTERATIONS = {
    "a cost, with a new digest": lambda head, mac, _: (
        changed(head, digest=hashlib.sha256(encode_other(1000)[2]).hexdigest()), mac, encode_other(1000)[2],
    ),
    "a cost": lambda head, mac, _: (head, mac, encode_other(1000)[2]),
    "a cost, signed with another secret": lambda *_: encode_other(1000),
    "a cost, signed without a secret": lambda *_: (
        encode_other(1000)[0], hashlib.sha256(encode_other(1000)[0]).digest(), encode_other(1000)[2],
    ),
    "a cost, signed with an empty secret": lambda *_: (
        encode_other(1000)[0], hmac.digest(b"", b"part\n" + encode_other(1000)[0], "sha256"), encode_other(1000)[2],
    ),
    "the range": lambda head, mac, rows: (
        changed(head, start=hours(12, 24)[0], end=hours(12, 24)[1]), mac, rows,
    ),
    "the time of the fetch": lambda head, mac, rows: (changed(head, fetched="2030-01-01T00:00:00+00:00"), mac, rows),
    "the convention": lambda head, mac, rows: (changed(head, convention="wall"), mac, rows),
    "the certainty": lambda head, mac, rows: (changed(head, is_assumed=True), mac, rows),
    "the number of rows": lambda head, mac, rows: (changed(head, rows=1), mac, rows),
    "the offsets": lambda head, mac, rows: (changed(head, offsets=[]), mac, rows),
    "no code": lambda head, _, rows: (head, b"", rows),
    "half of the code": lambda head, mac, rows: (head, mac[:16], rows),
    "no rows": lambda head, mac, _: (head, mac, b""),
    "no head": lambda _, mac, rows: (b"", mac, rows),
    "text": lambda head, mac, rows: (head.decode(), "mac", rows),
    "numbers": lambda *_: (1, 2, 3),
    "rows as text": lambda head, mac, _: (head, mac, "rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_altered_part_is_not_used(name, store):
    """Whatever is changed without the secret costs a warning and a request, and never gives a number."""
    part = segment(HOURLY, *hours(0, 12))
    store.put(HOURLY, part)
    store.put(HOURLY, segment(HOURLY, *hours(20, 22)))
    [row] = run_sql(store.folder, "SELECT head, mac, payload FROM parts ORDER BY begins LIMIT 1")
    altered = ALTERATIONS[name](*row)
    first = "(SELECT rowid FROM parts ORDER BY begins LIMIT 1)"
    run_sql(store.folder, f"UPDATE parts SET head = ?, mac = ?, payload = ? WHERE rowid = {first}", *altered)
    with pytest.warns(
        ResponseWarning, match="1 of the results in the cache in .* changed after they were written"
    ) as shown:
        assert spans(store.find(HOURLY, *hours(0, 30))) == [(20, 22)]
    assert len(shown) == 1
    assert shown[0].filename == __file__
    assert count_parts(store.folder) == 1
    store.put(HOURLY, part)
    assert spans(store.find(HOURLY, *hours(0, 30))) == [(0, 12), (20, 22)]


def test_an_altered_neighbor_does_not_join(store):
    """Storing what follows an altered part stores what follows only."""
    store.put(HOURLY, segment(HOURLY, *hours(0, 12)))
    run_sql(store.folder, "UPDATE parts SET payload = ?", encode_other(1000)[2])
    with pytest.warns(ResponseWarning, match="changed after they were written"):
        store.put(HOURLY, segment(HOURLY, *hours(12, 15)))
    assert spans(store.find(HOURLY, *hours(0, 30))) == [(12, 15)]


@pytest.mark.parametrize("query", [HOURLY, WHOLE], ids=["step", "whole"])
def test_a_part_that_is_moved_in_time_is_not_used(query, store):
    """The columns that a part is found by do not decide which range it is of."""
    store.put(query, segment(query, *hours(0, 12)))
    begin, end = hours(12, 24)
    run_sql(store.folder, "UPDATE parts SET begins = ?, ends = ?", begin, end)
    if query.time_step is not None:
        assert store.find(query, begin, end) == []
        assert spans(store.find(query, *hours(0, 24))) == [(0, 12)]
        return
    with pytest.warns(ResponseWarning, match="changed after they were written"):
        assert store.find(query, begin, end) == []


def test_a_part_of_another_query_is_not_used(store):
    """A part that is copied under another query, whole and well signed, is no part of its result."""
    other = HOURLY.by("status")
    for query in (HOURLY, other):
        store.put(query, segment(query, *hours(0, 12)))
    mine = parts.query_key(SECRET, parts.format_query(HOURLY, HOST))
    [stolen] = run_sql(store.folder, "SELECT head, mac, payload FROM parts WHERE query <> ?", mine)
    run_sql(store.folder, "UPDATE parts SET head = ?, mac = ?, payload = ? WHERE query = ?", *stolen, mine)
    with pytest.warns(ResponseWarning, match="changed after they were written"):
        assert store.find(HOURLY, *hours(0, 12)) == []
    assert len(store.find(other, *hours(0, 12))) == 1


def test_rows_of_another_part_are_not_used(store):
    """The rows of one range under the head of another are no result."""
    store.put(HOURLY, segment(HOURLY, *hours(0, 12)))
    store.put(HOURLY, segment(HOURLY, *hours(24, 36)))
    run_sql(store.folder, "UPDATE parts SET payload = (SELECT payload FROM parts ORDER BY begins DESC LIMIT 1)")
    with pytest.warns(ResponseWarning, match="changed after they were written"):
        assert spans(store.find(HOURLY, *hours(0, 36))) == [(24, 36)]


def test_an_authentic_head_alone_makes_no_result(store, monkeypatch):
    """Rows with other columns than the query's are no result, though they are as they were written."""
    store.put(HOURLY, segment(HOURLY, *hours(0, 12)))
    known = parts._stored_schema
    monkeypatch.setattr(parts, "_stored_schema", lambda query: known(query).remove(1))
    with pytest.warns(ResponseWarning, match="changed after they were written"):
        assert store.find(HOURLY, *hours(0, 12)) == []


def test_a_byte_changed_anywhere_gives_no_wrong_row(tmp_path):
    """Whichever byte of the file changes: what is found is right, or is fetched again."""
    store = open_store(tmp_path / "original")
    for query in (HOURLY, WHOLE):
        store.put(query, segment(query, *hours(0, 12)))
    content = (tmp_path / "original" / FILE_NAME).read_bytes()
    found = 0
    for place in range(0, len(content), len(content) // 100 + 7):
        folder = tmp_path / "copy"
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(
            content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResponseWarning)
            for query in (HOURLY, WHOLE):
                one = open_store(folder).find(query, *hours(0, 12))
                assert find_wrong(query, *hours(0, 12), one) is None, place
                found += len(one)
                open_store(folder).put(query, segment(query, *hours(0, 12)))
                assert find_wrong(query, *hours(0, 12), open_store(folder).find(query, *hours(0, 12))) is None
        shutil.rmtree(folder)
    assert found > 50  # most of the file is empty pages


def test_nothing_is_stored_that_leads_to_the_key(store):
    """Neither the secret nor a digest of it is in the file: only codes that were made with it."""
    store.put(HOURLY, segment(HOURLY, *hours(0, 12)))
    content = (store.folder / FILE_NAME).read_bytes()
    derived = [hashlib.new(name, SECRET.encode()) for name in ("md5", "sha1", "sha256", "sha512", "blake2b")]
    for one in (
        SECRET.encode(),
        *(each.digest()[:8] for each in derived),
        *(each.hexdigest()[:16].encode() for each in derived),
    ):
        assert one not in content
    assert SECRET not in f"{vars(store)} {store!r} {store._parts_of(HOURLY)!r}"
