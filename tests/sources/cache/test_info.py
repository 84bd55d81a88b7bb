"""What `vf.cache.info` lists and `vf.cache.clear` deletes."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

import vapi_frames as vf
from tests.support.cached import (
    BEGIN,
    FETCHED,
    HOST,
    HOUR,
    HOURLY,
    WHOLE,
    count_parts,
    hours,
    open_store,
    run_sql,
    segment,
    table,
)
from vapi_frames.sources.cache import cache, parts
from vapi_frames.sources.cache.database import FILE_NAME

QUERY = HOURLY.by("status").by_variable("plan").where({"endedReason": ["a", None], "variable.lang": "en"})


def test_info_says_what_is_stored(store, tmp_path):
    """One row for each query, with what builds it, from when until when, how much, and how old."""
    empty = cache.info()
    assert len(empty) == 0
    early = FETCHED - timedelta(days=2)
    store.put(QUERY, segment(QUERY, *hours(0, 12)))
    store.put(QUERY, segment(QUERY, *hours(24, 36), fetched=early))
    utc = HOURLY.tz("UTC")
    store.put(utc, segment(utc, *hours(-5, 2)))
    found = cache.info().sort_values("parts", ascending=False, ignore_index=True)
    assert found.equals(cache.info(str(tmp_path)).sort_values("parts", ascending=False, ignore_index=True))
    assert list(found.columns) == list(empty.columns)
    assert list(found.dtypes) == list(empty.dtypes)
    dtypes = found.dtypes.astype(str)
    assert {dtypes[name] for name in ("start", "end", "fetched")} == {"datetime64[us, UTC]"}
    assert {dtypes[name] for name in ("rows", "parts", "bytes")} == {"int64"}
    first, second = found.to_dict("records")
    assert eval(first["query"], {"vq": vf.vq}) == QUERY
    assert second["query"] == 'vq.call().sum("cost").count().by("type").step("hour")'
    assert first["host"] == HOST
    assert [first[side].timestamp() for side in ("start", "end")] == [BEGIN, BEGIN + 36 * HOUR]
    whole = [table(QUERY, *hours(*part)).num_rows for part in ((0, 12), (24, 36))]
    assert (first["rows"], first["parts"], first["fetched"]) == (sum(whole), 2, early)
    assert 1000 < first["bytes"] + second["bytes"] < sum(path.stat().st_size for path in tmp_path.iterdir())
    assert first["folder"] == str(tmp_path)
    assert cache.info(tmp_path / "nowhere").equals(empty)
    assert not (tmp_path / "nowhere").exists()


def test_info_builds_a_measure_that_was_stored_twice(store):
    """The same measure under two names is in the code under two names."""
    query = vf.vq.call().sum("cost").count().sum("cost", alias="spend")
    store.put(query, segment(query, *hours(0, 12)))
    (code,) = cache.info()["query"]
    assert [one.column for one in eval(code, {"vq": vf.vq}).measures] == ["cost", "id", "cost"]


def test_info_leaves_out_what_another_version_stored(store, monkeypatch):
    """What this version does not find it does not list."""
    store.put(HOURLY, segment(HOURLY, *hours(0, 12)))
    monkeypatch.setattr(parts, "VERSION", 99)
    assert cache.info().empty
    assert cache.clear() == 1


@pytest.mark.parametrize(
    "head", [b"", b"{}", b"[]", b"null", b"\xff", b'{"query": 1}', "text", 5, b'{"query": "{}", "start": 1e400}']
)
def test_info_leaves_out_what_is_damaged(head, store):
    """A head that cannot be read is no error."""
    for query in (HOURLY, WHOLE):
        store.put(query, segment(query, *hours(0, 12)))
    run_sql(store.folder, "UPDATE parts SET head = ? WHERE rowid = 1", head)
    assert cache.info()["query"].tolist() == ['vq.call().sum("cost").by("type")']


def test_clear_deletes_what_was_stored_and_nothing_else(store, tmp_path):
    """Results and the file that was set aside go, also from the disk; other files stay."""
    for query in (HOURLY, WHOLE):
        store.put(query, segment(query, *hours(0, 12)))
    store.put(HOURLY, segment(HOURLY, *hours(20, 22)))
    broken = tmp_path / f"{FILE_NAME}.broken"
    mine = [tmp_path / "notes.txt", tmp_path / "other.sqlite", tmp_path / f"{FILE_NAME}.broken.txt"]
    for path in (broken, *mine):
        path.write_text("mine")
    assert cache.clear() == 3
    assert all(path.read_text() == "mine" for path in mine)
    assert not broken.exists()
    assert count_parts(tmp_path) == 0
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name != f"{FILE_NAME}-shm")
    assert b"measures" not in left
    assert len(left) < 50_000
    assert cache.info().empty
    assert cache.clear(tmp_path) == 0
    assert cache.clear(tmp_path / "nowhere") == 0
    store.put(HOURLY, segment(HOURLY, *hours(0, 12)))
    assert len(store.find(HOURLY, *hours(0, 12))) == 1


def test_a_folder_that_cannot_be_used_is_an_error_where_it_is_named(tmp_path):
    """Neither info nor clear says that there is nothing where it could not look."""
    (tmp_path / "file").write_text("mine")
    for function in (cache.info, cache.clear):
        with pytest.raises(OSError, match="file"):
            function(tmp_path / "file")
    with closing(sqlite3.connect(tmp_path / "elsewhere")) as connection:
        connection.execute("CREATE TABLE mine (a)")
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    for function in (cache.info, cache.clear):
        with pytest.raises(OSError, match="not a regular file"):
            function(tmp_path)


def test_every_folder_that_was_used_is_known(store, tmp_path):
    """Without a folder, info and clear are about all of this process's caches."""
    second = open_store(tmp_path / "second")
    for one in (store, second, open_store(os.fspath(tmp_path / "second"), host="other")):
        one.put(HOURLY, segment(HOURLY, *hours(0, 12)))
    assert sorted(cache.info()["folder"]) == [str(tmp_path), str(tmp_path / "second"), str(tmp_path / "second")]
    assert set(cache.info()["host"]) == {HOST, "other"}
    assert cache.clear() == 3
    assert repr(second) == f"<cache in {tmp_path / 'second'}>"
    assert second.settle == timedelta(hours=1)


def test_a_folder_in_the_home_folder(monkeypatch, tmp_path):
    """The tilde means what it means in a shell, for the cache and for what lists it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    open_store("~/cache").put(HOURLY, segment(HOURLY, *hours(0, 12)))
    assert cache.info("~/cache")["folder"].tolist() == [str(tmp_path / "cache")]
    assert cache.clear("~/cache") == 1
