"""How complete the call records behind a frame are, counted again by a plain loop."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.call_list import NOW, Calls, at, call, store, vq_of
from tests.support.examples import examples
from tests.support.servers import Server, answering
from vapi_frames.errors import ProvenanceError, QueryError
from vapi_frames.frames.levels import IS_PANDAS_3
from vapi_frames.interface.connect import Vq
from vapi_frames.query.query import Query
from vapi_frames.sources.local import source
from vapi_frames.sources.local.coverage import LACKING, PROBES, probe_query
from vapi_frames.sources.local.engine import open_cursor
from vapi_frames.sources.local.memory import TableRecords
from vapi_frames.sources.local.overview import make_overview
from vapi_frames.sources.local.source import LocalSource

pytestmark = pytest.mark.extra("local")

START, END = datetime(2026, 10, 5, tzinfo=UTC), datetime(2026, 10, 12, tzinfo=UTC)
NAMES = ["calls", "withoutEnd", "open", "withoutCost", "withoutId", "skipped", "missingDays", "expiredDays"]


@st.composite
def records(draw):
    """Draw call records in which anything but the time of creation may be missing."""
    found = []
    for number in range(draw(st.integers(1, 12))):
        created = START + timedelta(hours=draw(st.integers(-48, 9 * 24)))
        maybe = {
            "id": f"c{number}",
            "endedAt": (created + timedelta(minutes=3)).isoformat(),
            "status": draw(st.sampled_from(["ended", "in-progress", "queued"])),
            "endedReason": draw(st.sampled_from(["", "customer-ended-call"])),
            "cost": draw(st.sampled_from([0.0, 0.25])),
            "type": draw(st.sampled_from(["webCall", "inboundPhoneCall"])),
        }
        record = {name: value for name, value in maybe.items() if draw(st.booleans())}
        found.append({"createdAt": created.isoformat(), "startedAt": created.isoformat(), **record})
    return found


def count(calls, *, types=(None, "webCall", "inboundPhoneCall")):
    """Return the counts of calls, by a loop."""
    found = dict.fromkeys(NAMES, 0)
    for one in calls:
        if not START <= datetime.fromisoformat(one["createdAt"]) < END or one.get("type") not in types:
            continue
        found["calls"] += 1
        found["withoutCost"] += "cost" not in one
        found["withoutId"] += "id" not in one
        if "endedAt" not in one:
            found["withoutEnd"] += 1
            found["open"] += one.get("status") != "ended" and not one.get("endedReason")
    return found


def query(vq):
    """Return a query that uses none of the columns that are looked at."""
    return vq.call().count().between(START, END)


def table(calls):
    """Return all columns, also those that no call has."""
    names = ["id", "createdAt", "startedAt", "endedAt", "status", "endedReason", "cost", "type"]
    types = [pa.float64() if name == "cost" else pa.string() for name in names]
    columns = [pa.array([one.get(name) for one in calls], type_) for name, type_ in zip(names, types, strict=True)]
    return pa.table(columns, names=names)


@pytest.mark.filterwarnings("ignore:no call")
@pytest.mark.property
@examples(7)
@given(records(), st.sampled_from(["frame", "table", "list", "file"]))
def test_counts_are_those_of_a_loop_in_every_form(tmp_path_factory, calls, form):
    """A DataFrame, a table, a list and a file have the same counts, which are those of a plain loop."""
    path = tmp_path_factory.mktemp("calls") / "calls.parquet"
    pq.write_table(table(calls), path)
    forms = {"frame": table(calls).to_pandas(), "table": table(calls), "list": calls, "file": str(path)}
    vq = Vq(lambda: LocalSource(forms[form], now=NOW))
    assert query(vq).fetch().vapi.coverage.to_dict() == count(calls)
    chosen = query(vq).where(type="webCall").fetch(), query(vq).where(type=None).step("day").fetch()
    assert chosen[0].vapi.coverage.to_dict() == count(calls, types=("webCall",))
    assert chosen[1].vapi.coverage.to_dict() == count(calls, types=(None,))


@pytest.mark.property
@pytest.mark.parametrize("form", ["frame", "table"])
@examples(24)
@given(calls=records(), wanted=st.sets(st.sampled_from(LACKING), min_size=1))
def test_only_rows_that_lack_something_are_read_for_the_counts(calls, form, wanted):
    """A DataFrame and a table give DuckDB the rows that lack a column, and no others, as a plain loop finds them."""
    types = None if IS_PANDAS_3 else pd.ArrowDtype  # columns of objects are read as a whole
    data = table(calls).to_pandas(types_mapper=types) if form == "frame" else table(calls)
    records = TableRecords(data)
    with open_cursor([]) as connection:
        relation = records.register(
            connection,
            probe_query(Query(table="call"), PROBES),
            records.read(),
            with_rows=False,
            lacking=sorted(wanted),
        )
        found = connection.execute(f"SELECT {relation.columns['createdAt'].sql} FROM {relation.sql}").fetchall()
    assert [row[0] for row in found] == [one["createdAt"] for one in calls if not wanted <= one.keys()]


def test_a_query_of_a_frame_looks_once_at_its_times(monkeypatch):
    """A DataFrame may change between queries, but not within one, so one query takes one look."""
    looks = []
    monkeypatch.setattr(source, "make_overview", lambda *given: looks.append(given) or make_overview(*given))
    frame = pd.DataFrame({"createdAt": ["2026-10-06T00:00:00Z"], "id": ["a"], "cost": [1.0]})
    query(vf.local(frame)).fetch()
    assert len(looks) == 1


def test_it_is_a_series_of_counts():
    """Names in a fixed order, as int64."""
    found = vf.demo().call().sum("cost").by("type").during("2026-10").fetch().vapi.coverage
    assert (list(found.index), found.dtype, found.name) == (NAMES, "int64", "coverage")
    assert found["calls"] == vf.demo().call().count().during("2026-10").fetch()["countId"].item()


def test_a_table_without_the_columns_lacks_all_of_them():
    """A table that has none of the columns has as many calls without them, and the query runs all the same."""
    frame = pd.DataFrame({"createdAt": ["2026-10-06T00:00:00Z"] * 3, "cost": [None, float("nan"), None]})
    found = vf.local(frame).call().sum("cost").between(START, END).fetch().vapi.coverage
    assert found.to_dict() == {**dict.fromkeys(NAMES, 3), "skipped": 0, "missingDays": 0, "expiredDays": 0}


def test_a_value_that_cannot_be_read_breaks_no_query_that_does_not_use_it():
    """Such a value is there; a column of the frame that cannot be read at all has no count."""
    odd = {"createdAt": ["2026-10-06T00:00:00Z"] * 2, "id": ["a", "b"], "endedAt": ["soon", None]}
    found = query(vf.local(pd.DataFrame({**odd, "cost": ["much", None]}))).fetch().vapi.coverage
    assert found[["withoutEnd", "open", "withoutCost", "withoutId"]].tolist() == [1, 1, 1, 0]
    frame = pd.DataFrame({**odd, "cost": pd.Series([{"total": "much"}, 7], dtype=object)})
    found = query(vf.local(frame)).fetch().vapi.coverage
    assert list(found.index) == [name for name in NAMES if name != "withoutCost"]
    assert found[["calls", "withoutEnd", "withoutId"]].tolist() == [2, 1, 0]


def test_skipped_records_are_counted():
    """Records that cannot be read, and those without a time, are counted, and `describe` says so."""
    calls = [{"id": "a", "createdAt": "2026-10-06T00:00:00Z", "cost": 1}, {"id": "b", "createdAt": "soon"}, {"id": "c"}]
    with pytest.warns(vf.errors.RecordsWarning):
        frame = query(vf.local(calls, on_error="skip")).fetch()
    assert frame.vapi.coverage["skipped"] == 2
    assert "Not all is there: of 1 call, 1 still open; 2 records skipped." in frame.vapi.describe()


def test_duplicates_that_do_not_count_are_not_counted():
    """With `duplicates="first"` the counts are those of the calls that count, and one note is about the others."""
    calls = [{"id": "a", "createdAt": "2026-10-06T00:00:00Z", "cost": cost} for cost in (1, None)]
    with pytest.warns(vf.errors.RecordsWarning):
        frame = query(vf.local(calls, duplicates="first")).fetch()
    assert frame.vapi.coverage[["calls", "withoutCost"]].tolist() == [1, 0]
    assert len(frame.vapi.meta.notes) == 1


def test_describe_says_nothing_where_all_is_there():
    """A whole result has no sentence about it."""
    assert "Not all" not in vf.demo().call().count().during("2026-10").fetch().vapi.describe()


def test_it_survives_steps_of_pandas_and_files(tmp_path):
    """Rows may be chosen, rolled up, saved and loaded; a step that drops what the frame knows drops this, too."""
    frame = vf.demo().call().sum("cost").by("type").step("day").during("2026-10").fetch()
    expected = frame.vapi.coverage
    frame.vapi.save(tmp_path / "frame.parquet")
    steps = (frame.iloc[:5], frame.copy(), frame.vapi.rollup("month"), frame.vapi.top(1), frame.assign(x=1),
             vf.load(tmp_path / "frame.parquet"))  # fmt: skip
    for one in steps:
        pd.testing.assert_series_equal(one.vapi.coverage, expected)
    with pytest.raises(ProvenanceError):
        _ = vf.analysis.coverage(pd.DataFrame({"a": [1]}))


def test_other_sources_have_none():
    """A frame of the API says from where a frame with coverage is."""
    with Server(answering()) as server:
        frame = vq_of(server).call().count().last("7d").fetch()
    with pytest.raises(QueryError, match="this frame is from the API: fetch its query from"):
        _ = frame.vapi.coverage


def test_days_that_an_archive_lacks(tmp_path):
    """A day without a file, or fetched before it was over, is missing; one before what the API keeps is expired, too."""
    calls = Calls(*(call(f"c{day}", at(day)) for day in range(5, 16)))
    store(calls, tmp_path, now=NOW, since="2026-10-05", until="2026-10-14")
    (tmp_path / "2026-10-07.parquet").unlink()
    vq = Vq(lambda: LocalSource(str(tmp_path), now=NOW))

    def days(start, end):
        found = vq.call().count().between(start, end).fetch()
        return found.vapi.coverage[["missingDays", "expiredDays"]].tolist()

    assert days("2026-10-08", "2026-10-14") == [0, 0]
    assert days("2026-10-05", "2026-10-14") == [1, 0]
    assert days("2026-10-05", "2026-10-16") == [3, 0]
    assert days("2026-09-29", "2026-10-06") == [6, 3]
    later = Vq(lambda: LocalSource(str(tmp_path), now=NOW + timedelta(days=8)))
    frame = later.call().count().between("2026-10-05", "2026-10-14").fetch()
    assert frame.vapi.coverage[["missingDays", "expiredDays"]].tolist() == [1, 1]
    assert "1 day not all there, 1 of them past what the API keeps." in frame.vapi.describe()


def test_a_day_that_was_fetched_too_early_is_missing(tmp_path):
    """What was fetched at noon has all of the morning, and not the evening."""
    store(Calls(call("a", at(15, 3))), tmp_path, now=NOW, since="2026-10-15")
    for now, missing in ((NOW, 0), (NOW + timedelta(hours=1), 1)):
        vq = Vq(lambda now=now: LocalSource(str(tmp_path), now=now))
        frame = vq.call().count().between("2026-10-15", "2026-10-16").fetch()
        assert frame.vapi.coverage["missingDays"] == missing
