"""A comparison says where the records begin after the first day of the earlier period."""

from __future__ import annotations

import json
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import vapi_frames as vf
from tests.support.endpoint import running
from vapi_frames.cli.tools import Tools
from vapi_frames.errors import RecordsWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.extra("local")

_NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)


@pytest.mark.parametrize("length", [1, 7, 13, 14, 15, 20])
@pytest.mark.parametrize("hours", [600, 671, 672, 690])
def test_a_comparison_warns_exactly_if_records_begin_after_its_first_day(length: int, hours: int) -> None:
    """The note is there exactly if no record is of the first day of the earlier period or before; its line is right."""
    created = [_NOW - timedelta(hours=back) for back in range(hours, 0, -7)]
    calls = [{"id": str(i), "createdAt": at.isoformat(), "cost": 1.0} for i, at in enumerate(created)]
    vq = vf.local(calls, now=_NOW)
    first_day = (_NOW - timedelta(days=2 * length)).date()
    is_short = all(at.date() > first_day for at in created)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        df = vq.call().sum("cost").last(f"{length}d").compare("previous").fetch()
    notes = [note for note in df.vapi.meta.notes if "records begin" in note]
    assert len(notes) == is_short
    assert [str(one.message) for one in caught if one.category is RecordsWarning] == notes
    for note in notes:
        assert note in df.vapi.describe()
        days = re.search(r'\.last\("(\d+)d", complete=True\)', note)
        assert days
        vq.call().sum("cost").last(f"{days[1]}d", complete=True).compare("previous").fetch()  # a warning is an error


def test_the_sample_says_since_when_it_has_calls() -> None:
    """The sample's last 30 days reach back to before its first call, and the line to type is told."""
    query = vf.demo().call().sum("cost").last("30d").compare("previous")
    with pytest.warns(RecordsWarning, match=r'begin on 2026-10-01.*2026-09-17.*last\("23d", complete=True\)'):
        query.fetch()


def _make_calls(hours: int) -> list[dict[str, object]]:
    created = [_NOW - timedelta(hours=back) for back in range(hours, 0, -5)]
    return [{"id": str(i), "createdAt": f"{at:%Y-%m-%dT%H:%M:%S.000Z}", "cost": 1.0} for i, at in enumerate(created)]


@contextmanager
def _open_roads(calls: list[dict[str, object]], folder: Path) -> Iterator[dict[str, Any]]:
    """Yield name → the same calls by each road that knows when they begin."""
    import duckdb

    frame = pd.json_normalize(calls)
    frame["createdAt"] = pd.to_datetime(frame["createdAt"], utc=True)
    frame.to_parquet(folder / "calls.parquet")
    (folder / "calls.json").write_text(json.dumps(calls))
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE calls AS SELECT * FROM '{folder / 'calls.parquet'}'")
    yield {
        "list": vf.local(calls, now=_NOW),
        "DataFrame": vf.local(frame, now=_NOW),
        "Parquet": vf.local(folder / "calls.parquet", now=_NOW),
        "JSON": vf.local(folder / "calls.json", now=_NOW),
        "warehouse": vf.warehouse(connection, "calls", dialect="duckdb", now=_NOW),
    }
    connection.close()


def _fetch_notes(query: Any) -> tuple[list[str], list[str]]:
    """Return the notes on the begin of records, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        notes = query.fetch().vapi.meta.notes
    return [note for note in notes if " begin on " in note], [
        text for one in caught if " begin on " in (text := str(one.message))
    ]


@pytest.mark.parametrize("hours", [24 * 5, 24 * 23, 24 * 45])
def test_each_road_says_the_same_of_the_begin(hours: int, tmp_path: Path, choose: Callable[..., Any]) -> None:
    """The same calls have the same notes and warnings by list, DataFrame, file and warehouse, with and without a step."""
    with _open_roads(_make_calls(hours), tmp_path) as roads:
        for length in (2, 7, 14, 22):
            for step in choose(("day",) if length in (7, 22) else (None,), (None, "day")):
                told = {}
                for name, vq in roads.items():
                    query = vq.call().sum("cost").last(f"{length}d", complete=True)
                    query = query.step(step) if step else query
                    told[name] = _fetch_notes(query.compare("previous"))
                assert all(one == told["list"] for one in told.values()), (length, step, told)
                assert bool(told["list"][0]) == (hours < 24 * 2 * length)


def test_a_warehouse_looks_again_before_it_says_so() -> None:
    """Earlier calls that were added meanwhile are found: a note is never of a begin that is over."""
    import duckdb

    connection = duckdb.connect()
    connection.execute('CREATE TABLE calls (id TEXT, "createdAt" TIMESTAMPTZ, cost DOUBLE)')
    connection.execute("INSERT INTO calls VALUES ('1', '2026-11-12T00:00:00Z', 1.0)")
    query = vf.warehouse(connection, "calls", dialect="duckdb", now=_NOW).call().sum("cost").last("7d")
    notes, told = _fetch_notes(query.compare("previous"))
    assert notes == told
    assert len(notes) == 1
    connection.execute("INSERT INTO calls VALUES ('0', '2026-10-12T00:00:00Z', 1.0)")
    assert _fetch_notes(query.compare("previous")) == ([], [])
    connection.close()


@pytest.mark.parametrize("hours", [24 * 5, 24 * 23, 24 * 45])
def test_the_api_and_its_cache_say_what_their_buckets_show(hours: int, tmp_path: Path) -> None:
    """The API knows no begin: days of the earlier period without any call have the note, the first time and again."""
    local = vf.local(_make_calls(hours), now=_NOW)
    with running(local.source) as endpoint:
        source = vf.connect(endpoint.key, base_url=endpoint.url, cache=tmp_path)
        for length in (7, 14, 22):
            midnight = _NOW.replace(hour=0)
            days = source.call().sum("cost").step("day").between(midnight - timedelta(days=length), midnight)
            query = days.compare("previous")
            first, again = _fetch_notes(query), _fetch_notes(query)
            assert first[0] == again[0]
            begin = _NOW - timedelta(hours=hours)
            end = midnight - timedelta(days=length)
            quiet = begin.replace(hour=0) - (end - timedelta(days=length))
            is_late = quiet >= max(timedelta(days=length) / 10, timedelta(days=4)) and begin < end
            assert len(first[0]) == is_late
            assert all(note.startswith("the calls begin on") for note in first[0])
            assert not _fetch_notes(days.where(type="webCall").compare("previous"))[0]


def test_threads_do_not_share_a_begin(tmp_path: Path) -> None:
    """Two threads compare over one source, each with ranges of its own: each has the notes it has alone."""
    with _open_roads(_make_calls(24 * 23), tmp_path) as roads:
        queries = [roads["list"].call().sum("cost").last(f"{days}d").compare("previous") for days in (5, 20, 9, 15) * 6]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            alone = [query.fetch().vapi.meta.notes for query in queries]
            with ThreadPoolExecutor(4) as pool:
                together = list(pool.map(lambda query: query.fetch().vapi.meta.notes, queries))
    assert together == alone


@pytest.mark.parametrize("hours", [24 * 5, 24 * 23, 24 * 45])
def test_a_plain_query_describes_the_begin(hours: int, tmp_path: Path) -> None:
    """A range of 30 days over fewer days of records: no warning, a sentence, and a note where days count as 0."""
    with _open_roads(_make_calls(hours), tmp_path) as roads:
        for vq in roads.values():
            query = vq.call().count().step("day").last("30d", complete=True)
            df = query.fetch()  # a warning is an error
            is_late = hours < 24 * 30
            assert ("The records begin on" in df.vapi.describe()) == is_late
            assert ("note         The records begin on" in repr(df.vapi)) == is_late
            assert (df.vapi.meta.records_begin is not None) == is_late
            assert vf.load(_save(df, tmp_path)).vapi.meta.records_begin == df.vapi.meta.records_begin
            filled = df.vapi.fill_gaps()
            assert any("count as without calls" in note for note in filled.vapi.meta.notes) == is_late
            since = query.between((_NOW - timedelta(hours=hours)).replace(hour=0), _NOW.replace(hour=0)).fetch()
            assert "records begin" not in since.vapi.fill_gaps().vapi.describe()
            assert len(filled) == 30


def _save(df: pd.DataFrame, folder: Path) -> Path:
    df.vapi.save(folder / "saved.parquet")
    return folder / "saved.parquet"


def test_an_assistant_is_told_of_the_begin() -> None:
    """The tool of an assistant has the sentence among its notes, for a mean per day would be over too many days."""
    query = 'vq.call().count().step("day").last("30d", complete=True)'
    for hours, is_late in ((24 * 5, True), (24 * 45, False)):
        told = Tools(vf.local(_make_calls(hours), now=_NOW)).ask(query)
        assert ("The records begin on" in told) == is_late
