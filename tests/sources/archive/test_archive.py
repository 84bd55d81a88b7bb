"""The archive of calls: every call once, whatever order the API lists in, and whatever interrupts a run."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.servers import SAFETY, Server, answering, failing, reply, silent
from vapi_frames.cli.main import main
from vapi_frames.errors import (
    AuthenticationError,
    ConnectionFailedError,
    QueryError,
    RecordsError,
    RecordsWarning,
    ResponseError,
    ResponseWarning,
    StatusError,
)
from vapi_frames.interface.connect import Vq
from vapi_frames.sources import progress
from vapi_frames.sources.api.client import ApiClient
from vapi_frames.sources.api.source import ApiSource
from vapi_frames.sources.archive import day_files as dayfiles
from vapi_frames.sources.archive.archive import archive
from vapi_frames.sources.archive.day_files import DayFiles
from vapi_frames.sources.http.connection import Connection

KEY = "archive-test-key-4c1b77"
NOW = datetime(2026, 10, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def at(day, hour=12, **more):
    """Return an instant of October 2026."""
    return datetime(2026, 10, day, hour, **more, tzinfo=UTC)


def call(id_, created, **more):
    """Return a call that is over, as the API lists it; *created* is finer than its JSON shows."""
    text = created.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    record = {
        "id": id_, "orgId": "org-1", "type": "webCall", "status": "ended", "endedReason": "customer-ended-call",
        "createdAt": text, "startedAt": text, "endedAt": text.replace("Z", "0Z"), "cost": 0.25,
        "costBreakdown": {"llm": 0.05, "stt": 0.02, "analysisCostBreakdown": {"summary": 0.01}},
        "artifact": {"variableValues": {"plan": "pro"}},
    }  # fmt: skip
    return {**record, **more}, created


class Calls:
    """What the API does about its calls; it can change between two runs.

    Attributes:
        records: Pairs of a record and its exact instant.
        order: ``newest``, ``oldest``, or a number that shuffles.
        most: The limit that it has of its own.
        asked: The bounds of every request.
        broken: Number of a request → what is replied instead.
    """

    def __init__(self, *records, order="newest", most=1_000):
        self.records = list(records)
        self.order = order
        self.most = most
        self.asked = []
        self.broken = {}

    def __call__(self, request, connection):
        parts = urlsplit(request.target)
        asked = {name: value for name, [value] in parse_qs(parts.query).items()}
        self.asked.append(asked)
        if parts.path != "/call":
            return failing(404)(request, connection)
        if len(self.asked) in self.broken:
            return self.broken[len(self.asked)](request, connection)
        low, high = (datetime.fromisoformat(asked[name]) for name in ("createdAtGe", "createdAtLt"))
        found = [(record, created) for record, created in self.records if low <= created < high]
        if isinstance(self.order, int):
            random.Random(self.order + len(self.asked)).shuffle(found)
        else:
            found.sort(key=lambda pair: pair[1], reverse=self.order == "newest")
        return reply(200, [record for record, _ in found][: min(int(asked["limit"]), self.most)])(request, connection)

    def days(self):
        """Return the first and last day of each request since the last look."""
        asked, self.asked = self.asked, []
        ms = timedelta(milliseconds=1)
        sides = [
            (datetime.fromisoformat(one["createdAtGe"]) + ms, datetime.fromisoformat(one["createdAtLt"]) - 2 * ms)
            for one in asked
        ]
        return [(low.day, high.day) for low, high in sides]


def connect(server, **options):
    """Return a connection that waits for nothing."""
    options = {"sleep": lambda _: None, "attempts": 2, "timeout": 5, **options}
    return Connection(KEY, base_url=server.url, **options)


def ask(server, **options):
    """Return a vq that asks *server*."""
    source = ApiSource(ApiClient(connect(server, **options)))
    return Vq(lambda: source)


def keep(calls, folder, *, now=NOW, **options):
    """Archive *calls*; return what was done."""
    with Server(calls) as server:
        return archive(connect(server), folder, now=now, **options)


def ids(folder):
    """Return the ids of each day's file."""
    paths = sorted(Path(folder).glob("*.parquet"))
    return {path.stem: sorted(pq.read_table(path).column("id").to_pylist()) for path in paths}


def texts(folder):
    """Return all that is in the files of a folder, also what is compressed, as one text."""
    found = []
    for path in Path(folder).iterdir():
        found.append(path.read_bytes().decode("latin-1"))
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            found.append(f"{table.schema} {table.schema.metadata} {table.to_pylist()}")
    return " ".join(found)


# --- all calls, once ----------------------------------------------------------------------------------------------

_INSTANTS = st.one_of(
    st.sampled_from([at(1, 0), at(2, 0), at(2, 0) - timedelta(microseconds=1), at(2, 5), at(3, 23, minute=59)]),
    st.integers(0, 3 * 86_400_000_000 - 1).map(lambda micros: at(1, 0) + timedelta(microseconds=micros)),
    st.integers(0, 3_000).map(lambda micros: at(2, 9) + timedelta(microseconds=micros)),
)


@pytest.mark.extra("local")
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(_INSTANTS, max_size=40), st.integers(2, 7), st.sampled_from(["newest", "oldest", 1, 2]), st.data()
)  # fmt: skip
def test_every_call_is_archived_once_whatever_the_order(tmp_path_factory, instants, limit, order, data):
    """With many calls at one instant, and pages cut anywhere, each id is there once, and answers are those of the list."""
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
    done = keep(calls, folder, since="2026-10-01", until="2026-10-04", limit=limit)
    kept = ids(folder)
    assert sorted(kept) == ["2026-10-01", "2026-10-02", "2026-10-03"]
    assert sorted(one for some in kept.values() for one in some) == sorted(record["id"] for record, _ in records)
    for record, _ in records:
        assert record["id"] in kept[record["createdAt"][:10]]
    assert (done.days, done.calls, done.updated, done.open) == (3, len(records), 0, 0)
    assert done.requests == len(calls.asked)
    if not records:
        return
    answers = []
    for source in (str(folder), [record for record, _ in records]):
        vq = vf.local(source, now=NOW)
        question = vq.call().sum("cost", "costBreakdown.analysisBreakdown.summary").count().avg("duration")
        question = question.by("type").by_variable("plan").step("hour").between("2026-10-01", "2026-10-04")
        answers.append(question.fetch())
    pd.testing.assert_frame_equal(*answers)


@pytest.mark.parametrize("order", ["newest", "oldest", 7])
def test_a_long_day_takes_few_requests(order, tmp_path):
    """Nothing is concluded from the order, and still a page is asked for at most about twice."""
    rng = random.Random(3)
    records = [call(f"{n}", at(2, 0) + timedelta(seconds=rng.uniform(0, 86_399))) for n in range(3_000)]
    done = keep(Calls(*records, order=order), tmp_path, since="2026-10-02", until="2026-10-03", limit=101)
    assert done.calls == 3_000
    assert done.requests <= 3 * 30


def test_a_small_organization_is_archived_by_one_request(tmp_path):
    """Days of which little came share a request; each has its file, also one without any call."""
    done = keep(Calls(call("a", at(3)), call("b", at(9)), call("c", at(15))), tmp_path)
    assert (done.days, done.requests, done.calls) == (15, 1, 3)
    assert {day: some for day, some in ids(tmp_path).items() if some} == {
        "2026-10-03": ["a"], "2026-10-09": ["b"], "2026-10-15": ["c"],
    }  # fmt: skip
    assert min(ids(tmp_path)) == "2026-10-01", "a new archive begins 14 days ago"


@pytest.mark.extra("local")
def test_an_empty_day_has_all_columns(tmp_path):
    """A question to an archive without any call is answered, and not refused for want of a column."""
    keep(Calls(), tmp_path, since="2026-10-14")
    with pytest.warns(RecordsWarning, match="none at all"):
        frame = vf.local(tmp_path).call().sum("cost").count().by("assistantId").during("2026-10").fetch()
    assert frame.empty


def test_a_call_of_midnight_is_in_one_file(tmp_path):
    """An API whose bounds are both inclusive, or that rounds what it shows, makes no call come twice, or get lost."""
    edge = at(3, 0)
    rounded = call("r", edge - timedelta(microseconds=300))
    rounded[0]["createdAt"] = "2026-10-03T00:00:00.000Z"
    calls = Calls(call("m", edge), rounded, call("l", edge - timedelta(milliseconds=1)))
    keep(calls, tmp_path, since="2026-10-02", until="2026-10-03")
    keep(calls, tmp_path, since="2026-10-03", until="2026-10-04")
    assert ids(tmp_path) == {"2026-10-02": ["l"], "2026-10-03": ["m", "r"]}


def test_more_calls_in_a_millisecond_than_a_page_has_are_said(tmp_path):
    """A page of them is kept, so are all others, and an error says what is missing; the day stays to be asked."""
    crowd = [call(f"{n}", at(2)) for n in range(5)]
    calls = Calls(*crowd, call("x", at(1)), call("y", at(3)))
    with pytest.raises(ResponseError, match=r"5 or more calls .* one millisecond, .* from 2026-10-02T12:00:00.000Z"):
        keep(calls, tmp_path, since="2026-10-01", until="2026-10-04", limit=5)
    assert ids(tmp_path) == {"2026-10-01": ["x"], "2026-10-02": list("01234"), "2026-10-03": ["y"]}
    calls.records.pop()
    with pytest.raises(ResponseError, match="millisecond"):
        keep(calls, tmp_path, until="2026-10-04", limit=5)


def test_an_api_that_does_not_hear_the_limit_is_asked_for_less(tmp_path):
    """A hundred calls, which is what comes where no limit is said, may not be all."""
    records = [call(f"{n}", at(2, 0) + timedelta(minutes=n)) for n in range(250)]
    assert keep(Calls(*records, most=100), tmp_path, since="2026-10-02", until="2026-10-03").calls == 250


def test_a_reply_that_is_too_large_is_asked_for_in_smaller_pages(tmp_path):
    """Records with long transcripts may be more than a reply can have; pages get smaller, and nothing is lost."""
    records = [call(f"{n}", at(2, 0) + timedelta(minutes=n), transcript="t" * 1_000) for n in range(200)]
    with Server(Calls(*records)) as server:
        connection = connect(server, largest=60_000)
        assert archive(connection, tmp_path, since="2026-10-02", until="2026-10-03", now=NOW).calls == 200
    with Server(Calls(*records)) as server, pytest.raises(ResponseError, match="more than 10 bytes"):
        archive(connect(server, largest=10), tmp_path / "other", since="2026-10-02", until="2026-10-03", now=NOW)


# --- again ----------------------------------------------------------------------------------------------------------


@pytest.mark.extra("local")
def test_a_second_run_asks_only_for_what_it_must(tmp_path):
    """Days that are over are not asked again; today is, and a day with a call that was open."""
    calls = Calls(
        call("a", at(3)), call("b", at(9), status="in-progress", endedReason=None, cost=None), call("c", at(15, 11))
    )
    first = keep(calls, tmp_path)
    assert (first.calls, first.open) == (3, 1)
    assert calls.days() == [(1, 15)]
    calls.records[1] = call("b", at(9), cost=2.0)
    calls.records.append(call("d", at(15, 12)))
    second = keep(calls, tmp_path, now=NOW + timedelta(hours=1))
    assert (second.days, second.calls, second.updated, second.open, second.requests) == (2, 1, 1, 0, 2)
    assert calls.days() == [(9, 9), (15, 15)]
    assert "2 days asked by 2 requests, 1 new call, 1 updated, 0 still open" in repr(second)
    assert vf.local(tmp_path).call().sum("cost").during("2026-10-09").fetch()["sumCost"].tolist() == [2.0]
    third = keep(calls, tmp_path, now=NOW + timedelta(hours=2))
    assert (third.days, third.calls, third.updated) == (1, 0, 0)
    assert calls.days() == [(15, 15)]


def test_a_day_is_over_an_hour_after_its_end(tmp_path):
    """Until then its last calls may lack what comes with the analysis."""
    calls = Calls(call("a", at(14)))
    keep(calls, tmp_path, since="2026-10-14", now=at(15, 0, minute=59))
    calls.days()
    keep(calls, tmp_path, now=at(15, 1))
    assert calls.days() == [(14, 15)]
    keep(calls, tmp_path, now=at(15, 1))
    assert calls.days() == [(15, 15)]


def test_a_gap_is_asked_for_and_what_is_there_is_not(tmp_path):
    """By default a run begins with the first day that is not done, also where later ones are."""
    calls = Calls(call("a", at(4)), call("b", at(9)))
    keep(calls, tmp_path, since="2026-10-03", until="2026-10-05")
    keep(calls, tmp_path, since="2026-10-08", until="2026-10-11")
    calls.days()
    assert keep(calls, tmp_path).days == 3 + 5
    assert calls.days() == [(5, 7), (11, 15)]


def test_what_the_api_forgets_the_archive_keeps(tmp_path):
    """Of a day that is asked again nothing is lost: not a call, not a value that the API does not give any more."""
    calls = Calls(call("a", at(15, 9)), call("b", at(15, 10), cost=1.0))
    keep(calls, tmp_path)
    calls.records = [call("b", at(15, 10), cost=3.0, artifact={})]
    done = keep(calls, tmp_path)
    assert (done.calls, done.updated) == (0, 1)
    rows = pq.read_table(tmp_path / "2026-10-15.parquet").to_pylist()
    assert [(row["id"], row["cost"], row["variableValues.plan"]) for row in rows] == [
        ("a", 0.25, "pro"), ("b", 3.0, "pro"),
    ]  # fmt: skip


def test_a_call_that_stayed_open_does_not_keep_its_day_for_ever(tmp_path):
    """Once it is older than what the API keeps, and not listed any more, its day is done."""
    calls = Calls(call("a", at(2), status="in-progress", endedReason=None))
    keep(calls, tmp_path, since="2026-10-02", until="2026-10-03")
    calls.records = []
    calls.days()
    assert keep(calls, tmp_path, now=at(16, 11), until="2026-10-03").open == 1
    assert keep(calls, tmp_path, now=at(16, 13), until="2026-10-03").open == 0
    assert calls.days() == [(2, 2), (2, 2)]
    assert keep(calls, tmp_path, now=at(16, 14), until="2026-10-03").days == 0
    assert ids(tmp_path) == {"2026-10-02": ["a"]}


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_runs_of_weeks_lose_nothing(tmp_path_factory, data):
    """Calls begin, end and are forgotten while runs come and break off: each is kept, and as it ended, if one saw that."""
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
            keep(calls, folder, now=now, limit=30, **({} if runs else {"since": "2026-10-01"}))
        except StatusError:
            continue
        except RecordsWarning:  # runs broke off for too long
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


def test_days_that_the_api_may_have_forgotten_are_said_once(tmp_path):
    """A warning names the days of which nothing is kept; once they were asked there is no more to say."""
    calls = Calls(call("a", at(9)))
    with pytest.warns(RecordsWarning, match=r"of 5 days from 2026-09-26 to 2026-09-30 nothing is archived"):
        keep(calls, tmp_path, since=date(2026, 9, 26))
    keep(calls, tmp_path, since=date(2026, 9, 26))
    assert len(ids(tmp_path)) == 20


# --- what breaks ------------------------------------------------------------------------------------------------------


def test_a_run_that_breaks_off_keeps_the_days_it_finished(tmp_path):
    """Days are asked oldest first; the next run goes on where the page failed."""
    records = [call(f"{day}-{n}", at(day, n)) for day in range(4, 8) for n in range(10)]
    calls = Calls(*records)
    calls.broken = {12: failing(400, "no more")}
    with pytest.raises(StatusError, match="no more"):
        keep(calls, tmp_path, since="2026-10-04", until="2026-10-08", limit=8)
    finished = ids(tmp_path)
    assert 0 < len(finished) < 4
    assert min(finished) == "2026-10-04"
    calls.broken = {}
    calls.days()
    keep(calls, tmp_path, until="2026-10-08", limit=8)
    assert min(low for low, _ in calls.days()) == int(max(finished)[-2:]) + 1
    assert ids(tmp_path) == {f"2026-10-0{day}": sorted(f"{day}-{n}" for n in range(10)) for day in range(4, 8)}


@pytest.mark.parametrize(
    ("body", "path", "said"),
    [
        ({"message": "no such thing", "statusCode": 400}, r"\$", "it is an error: 'no such thing'"),
        ({"results": []}, r"\$", "it is an object with 'results'"),
        ("null", r"\$", "it is NoneType"),
        ("[{]", r"\$", "no array of records"),
        (b"[" * 100_000, r"\$", "RecursionError"),
        (b'["\xff"]', r"\$", "UnicodeDecodeError"),
        ([{**call("a", at(14))[0], "createdAt": "2026-09-30T00:00:00Z"}], r"\$\[0\].createdAt", "who does not choose"),
    ],
)
def test_a_reply_that_is_no_list_of_what_was_asked_is_an_error(body, path, said, tmp_path):
    """The error has the JSON path and the request, and nothing of that reply is kept."""
    with pytest.raises(ResponseError, match=f"^{path}: .*GET /call from 2026-10-13T23:59:59.999Z.*") as caught:
        keep(reply(200, body), tmp_path, since="2026-10-14")
    assert said in str(caught.value)
    assert ids(tmp_path) == {}


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        ({"id": None}, "$[1].id", "it has no id"),
        ({"id": ""}, "$[1].id", "it has no id"),
        ({"id": 7}, "$[1].id", "it has no id"),
        ({"createdAt": None}, "$[1].createdAt", "it has no createdAt"),
        ({"createdAt": 1_760_000_000}, "$[1].createdAt", "not an ISO 8601 date-time"),
        ({"cost": "free"}, "$[1].cost", "cost is 'free', not a number"),
    ],
)
def test_a_call_that_cannot_be_read_costs_no_other(change, path, said, tmp_path):
    """All others are kept before the error; the days stay to be asked, and are done when it can be read."""
    calls = Calls(call("a", at(13)), call("b", at(14, 9), **change), call("c", at(14)), order="oldest")
    with pytest.raises(ResponseError, match=re.escape(said)) as caught:
        keep(calls, tmp_path, since="2026-10-13", until="2026-10-15")
    assert caught.value.path == path
    assert "they will be asked" not in str(caught.value)
    assert ids(tmp_path) == {"2026-10-13": ["a"], "2026-10-14": ["c"]}
    calls.records[1] = call("b", at(14, 9))
    assert keep(calls, tmp_path, until="2026-10-15").calls == 1
    assert keep(calls, tmp_path, until="2026-10-15").days == 0


def test_an_element_that_is_no_object_is_named(tmp_path):
    """Whatever a list holds."""
    with pytest.raises(ResponseError, match=r"^\$\[0\]: it is int, not an object; GET /call .*, and 1 more like it"):
        keep(reply(200, [7, "x"]), tmp_path, since="2026-10-14")


def test_calls_of_two_organizations_are_not_mixed(tmp_path):
    """Another key in the environment is found at the first call that it brings."""
    keep(Calls(call("a", at(14))), tmp_path)
    with pytest.raises(QueryError, match="of the organization 'org-2', and .* has the calls of another"):
        keep(Calls(call("b", at(15), orgId="org-2")), tmp_path)
    assert ids(tmp_path)["2026-10-15"] == []


def test_a_damaged_file_is_set_aside_and_its_day_asked_again(tmp_path):
    """A warning names it; nothing is thrown away, also where there is a damaged one already."""
    calls = Calls(call("a", at(14)))
    path = tmp_path / "2026-10-14.parquet"
    for number, torn in enumerate([b"", b"PAR1 and no end"]):
        keep(calls, tmp_path, since="2026-10-13", until="2026-10-15")
        path.write_bytes(torn)
        with pytest.warns(RecordsWarning, match=r"2026-10-14.parquet' is damaged, was set aside as"):
            keep(calls, tmp_path, until="2026-10-15")
        assert (tmp_path / f"2026-10-14.parquet.broken{number or ''}").read_bytes() == torn
        assert ids(tmp_path)["2026-10-14"] == ["a"]


def test_a_file_whose_end_is_whole_and_whose_rows_are_not_is_set_aside(tmp_path):
    """Damage that shows only when the rows are read."""
    calls = Calls(*(call(f"{n}", at(15, n)) for n in range(12)))
    keep(calls, tmp_path, since="2026-10-15")
    path = tmp_path / "2026-10-15.parquet"
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(content)
    with pytest.warns(RecordsWarning, match="is damaged"):
        keep(calls, tmp_path)
    assert len(ids(tmp_path)["2026-10-15"]) == 12


def test_a_file_of_somebody_else_is_not_touched(tmp_path):
    """A Parquet file with the name of a day may be anything; others do not matter."""
    path = tmp_path / "2026-10-14.parquet"
    vf.sample_calls(3).to_parquet(path)
    before = path.read_bytes()
    with pytest.raises(RecordsError, match=r"2026-10-14.parquet' was not written by an archive") as caught:
        keep(Calls(), tmp_path, since="2026-10-14")
    assert caught.value.file == str(path)
    assert path.read_bytes() == before
    path.rename(tmp_path / "2026-99-14.parquet")
    keep(Calls(), tmp_path, since="2026-10-14")


def test_two_runs_are_not_at_one_folder(tmp_path):
    """The second one says so; when the first is over, it may."""
    with DayFiles(tmp_path).alone(), pytest.raises(RecordsError, match="another run is archiving"):
        keep(Calls(), tmp_path, since="2026-10-14")
    keep(Calls(), tmp_path, since="2026-10-14")


_KILLED = """
import os, signal, sys
from datetime import datetime
import pyarrow.parquet
from pathlib import Path
from vapi_frames.sources.archive import day_files as dayfiles
from vapi_frames.sources.archive.archive import archive
from vapi_frames.sources.http.connection import Connection
url, folder, moment = sys.argv[1:]
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
write, replace = pyarrow.parquet.write_table, Path.replace
def torn(table, file, **more):
    if len(table) and table.column("id")[0].as_py().startswith("3"):
        file.write(b"PAR1 half"); file.flush(); die()
    write(table, file, **more)
def replaced(part, path):
    is_third = path.name == "2026-10-03.parquet"
    if is_third and moment == "before": die()
    replace(part, path)
    if is_third and moment == "after": die()
if moment == "within": pyarrow.parquet.write_table = torn
Path.replace = replaced
connection = Connection("archive-test-key-4c1b77", base_url=url)
archive(connection, folder, now=datetime.fromisoformat("2026-10-15T12:00Z"), since="2026-10-01", until="2026-10-06")
"""


@pytest.mark.extra("local")
@pytest.mark.parametrize("moment", ["within", "before", "after"])
def test_a_run_that_is_killed_leaves_the_old_file_or_the_new_one(moment, tmp_path):
    """Within a file, before it gets its name, after: what is there is whole, and the next run does the rest."""
    calls = Calls(*(call(f"{day}", at(day)) for day in range(1, 6)))
    old = Calls(call("3old", at(3), status="in-progress", endedReason=None))
    keep(old, tmp_path, since="2026-10-03", until="2026-10-04")
    with Server(calls) as server:
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, server.url, str(tmp_path), moment], check=False, capture_output=True
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    third = ["3", "3old"] if moment == "after" else ["3old"]
    assert ids(tmp_path) == {"2026-10-01": ["1"], "2026-10-02": ["2"], "2026-10-03": third}
    assert len(list(tmp_path.glob(".*.part"))) == (moment != "after")
    assert vf.local(tmp_path).call().count().during("2026-10").fetch()["countId"].tolist() == [2 + len(third)]
    keep(calls, tmp_path, until="2026-10-06")
    assert not list(tmp_path.glob(".*.part"))
    assert ids(tmp_path) == {f"2026-10-0{n}": ["3", "3old"] if n == 3 else [f"{n}"] for n in range(1, 6)}


def test_a_run_may_be_killed_at_any_moment(tmp_path):
    """Killed again and again after no time at all, and longer: every file is whole each time, and all comes in the end."""
    calls = Calls(*(call(f"{day}-{n}", at(day, n)) for day in range(1, 15) for n in range(20)))
    rng = random.Random(5)
    with Server(calls) as server:
        for _ in range(4):
            script = [sys.executable, "-c", _KILLED, server.url, str(tmp_path), "never"]
            run = subprocess.Popen(script, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.2, 1.5))
            run.kill()
            run.wait(SAFETY)
            assert all(len(some) == 20 for some in ids(tmp_path).values())
    keep(calls, tmp_path, since="2026-10-01", until="2026-10-15")
    assert {day: len(some) for day, some in ids(tmp_path).items()} == {f"2026-10-{n:02}": 20 for n in range(1, 15)}
    assert not list(tmp_path.glob(".*.part"))


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path, monkeypatch):
    """The error is the operating system's own; neither a part nor a torn file stays."""
    calls = Calls(call("a", at(15, 9)))
    keep(calls, tmp_path, since="2026-10-15")
    before = (tmp_path / "2026-10-15.parquet").read_bytes()

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dayfiles.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        keep(calls, tmp_path)
    assert (tmp_path / "2026-10-15.parquet").read_bytes() == before
    assert not list(tmp_path.glob(".*.part"))


# --- what is kept -----------------------------------------------------------------------------------------------------

SECRETS = {
    "transcript": "AI: planted-transcript", "summary": "planted-summary", "recordingUrl": "https://planted-recording",
    "messages": [{"role": "user", "message": "planted-message"}],
    "customer": {"number": "+1555planted-number", "name": "planted-name"},
    "assistant": {"model": {"messages": [{"content": "planted-prompt"}]}},
    "analysis": {"successEvaluation": "true", "summary": "planted-summary", "structuredData": {"a": "planted-data"}},
    "artifact": {
        "transcript": "AI: planted-transcript", "stereoRecordingUrl": "https://planted-stereo",
        "messages": [{"message": "planted-message"}],
        "variableValues": {
            "plan": "pro", "customer": {"number": "+1555planted-number"}, "list": ["planted-list"],
            "call": json.dumps({"a": "planted-text"}), "odd": "{planted, but no JSON",
        },
    },
}  # fmt: skip


@pytest.mark.extra("local")
def test_only_what_questions_use_gets_to_the_disk(tmp_path):
    """No transcript, no message, no number: a look into the files finds none of the planted texts."""
    calls = Calls(call("a", at(14), **SECRETS), call("b", at(15), **SECRETS))
    keep(calls, tmp_path)
    keep(calls, tmp_path)
    found = texts(tmp_path)
    assert "planted-" not in found
    assert KEY not in found
    frame = vf.local(tmp_path).call().count().by("analysis.successEvaluation").by_variable("odd").during("2026-10")
    assert frame.fetch().index.tolist() == [("true", "{planted, but no JSON")]


@pytest.mark.extra("local")
def test_transcripts_and_recordings_are_kept_where_asked_for(tmp_path):
    """As columns of text; questions are answered as before."""
    calls = Calls(call("a", at(14), **SECRETS), call("b", at(14), transcript="cut \ud83d"), call("c", at(13)))
    keep(calls, tmp_path, since="2026-10-13", transcripts=True, recordings=True)
    rows = {row["id"]: row for row in pq.read_table(tmp_path / "2026-10-14.parquet").to_pylist()}
    names = ("transcript", "analysis.summary", "recordingUrl", "stereoRecordingUrl")
    assert [rows["a"][name] for name in names] == [
        "AI: planted-transcript", "planted-summary", "https://planted-recording", "https://planted-stereo",
    ]  # fmt: skip
    assert [rows["b"][name] for name in names] == ["cut ?", None, None, None]
    assert "planted-message" not in texts(tmp_path)
    assert "planted-number" not in texts(tmp_path)
    question = vf.local(tmp_path).call().count().sum("cost").by("analysis.successEvaluation").during("2026-10")
    assert question.fetch()["countId"].tolist() == [1, 2]


def test_the_newer_place_of_a_recording_is_known(tmp_path):
    """The API has moved it more than once."""
    places = {"recording": {"stereoUrl": "https://s", "mono": {"combinedUrl": "https://m"}}}
    keep(Calls(call("a", at(15), artifact=places)), tmp_path, recordings=True)
    [row] = pq.read_table(tmp_path / "2026-10-15.parquet").to_pylist()
    assert (row["recordingUrl"], row["stereoRecordingUrl"]) == ("https://m", "https://s")


def test_transcripts_are_fetched_later_and_not_lost_again(tmp_path):
    """Done days are asked again for what they lack while the API has it; a run without does not take them away."""
    calls = Calls(call("a", at(14), transcript="hello"), call("b", at(1, 3), transcript="old"))
    keep(calls, tmp_path)
    calls.days()
    keep(calls, tmp_path, transcripts=True)
    assert calls.days() == [(1, 15)]
    keep(calls, tmp_path, transcripts=True)
    assert calls.days() == [(15, 15)]
    calls.records = [call("a", at(14)), call("c", at(15))]
    keep(calls, tmp_path, recordings=True)
    rows = pq.read_table(tmp_path / "2026-10-14.parquet").to_pylist()
    assert rows[0]["transcript"] == "hello"
    calls.days()
    with pytest.warns(RecordsWarning, match="16 to 2026-10-17"):
        keep(calls, tmp_path, transcripts=True, now=at(15) + timedelta(days=17))
    assert calls.days()[0][0] == 15, "what the API has forgotten is not asked for"


# --- whom and when -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        ("2026-10-14", None, 2),
        ("2026-10-14T23:59:59Z", None, 2),
        (date(2026, 10, 13), "2026-10-15", 2),
        (pd.Timestamp("2026-10-14T22:00-04:00"), None, 1),
        ("2026-10-13", "2026-10-14T00:00:00.000001", 2),
        ("2026-10-15", "2027-01-01", 1),
    ],
)
def test_days_are_whole_and_of_utc(since, until, days, tmp_path):
    """A moment stands for its day; the last day is the one before until, and at most today."""
    assert keep(Calls(), tmp_path, since=since, until=until).days == days


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"since": "yesterday"}, "since 'yesterday' is not an ISO 8601 date"),
        ({"since": "2026-10-05", "until": "2026-10-05"}, "the range is empty"),
        ({"since": "2026-10-16", "until": "2026-10-20"}, "is after now"),
        ({"since": "0202-10-01"}, "is before 2020-01-01"),
    ],
)
def test_wrong_ranges_are_refused_before_anybody_is_asked(arguments, said, tmp_path):
    """And nothing is made."""
    calls = Calls()
    with pytest.raises(QueryError, match=said):
        keep(calls, tmp_path / "new", **arguments)
    assert not calls.asked
    assert not (tmp_path / "new").exists()


def test_an_archive_is_a_folder(tmp_path):
    """A file is refused; a folder in a folder is made."""
    (tmp_path / "calls").write_text("")
    with pytest.raises(QueryError, match="is a file; an archive is a folder"):
        keep(Calls(), tmp_path / "calls")
    assert keep(Calls(), tmp_path / "a" / "b").folder == tmp_path / "a" / "b"


def test_a_vq_of_the_api_archives(tmp_path):
    """By its own clock; a progress that is asked for hears of days."""
    heard = []
    today = datetime.now(UTC)
    with Server(Calls(call("a", today - timedelta(seconds=1)))) as server:
        done = ask(server).archive(tmp_path, since=today.date(), progress=heard.append)
    assert done.calls == 1
    assert (heard[-1].done, heard[-1].total) == (done.days, done.days)
    assert any(re.fullmatch(r"\d{4}-\d\d-\d\d: 1 calls", one.message) for one in heard)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_what_a_progress_raises_ends_the_run(tmp_path):
    """As Ctrl-C does: between two pages, and the finished days are kept."""
    records = [call(f"{day}-{n}", at(day, n)) for day in range(4, 8) for n in range(10)]

    def stop(state):
        if state.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), progress.showing(stop):
        keep(Calls(*records), tmp_path, since="2026-10-04", until="2026-10-08", limit=8)
    assert {len(some) for some in ids(tmp_path).values()} == {10}


@pytest.mark.extra("local")
@pytest.mark.parametrize(
    "make", [lambda _: vf.demo(), lambda _: vf.local([]), lambda folder: vf.record(folder, vf.demo())]
)
def test_only_the_api_has_calls_and_names(make, tmp_path):
    """Other sources, and recordings, say what to use instead."""
    with pytest.raises(QueryError, match=r"only the API has calls to archive, and this vq asks .* can be asked where"):
        make(tmp_path).archive(tmp_path)
    with pytest.raises(QueryError, match=r"only the API has names of assistants.*\.label\(\.\.\.\) names of your own"):
        make(tmp_path).assistants()


# --- the names of assistants --------------------------------------------------------------------------------------------

ASSISTANTS = [
    {"id": "a1", "name": "Front desk", "createdAt": "2026-01-01T00:00:00.000Z"},
    {"id": "a2", "createdAt": "2026-01-02T00:00:00.000Z"},
    {"id": "a3", "name": "Billing", "createdAt": "2026-01-02T00:00:00.000Z"},
]


def analytics(request, connection):
    """Answer questions by assistant, and list assistants."""
    if request.method == "GET":
        return reply(200, ASSISTANTS)(request, connection)
    rows = [{"assistantId": id_, "sumCost": cost} for id_, cost in (("a1", 1.0), ("a2", 2.0), ("a3", 4.0))]
    return answering(change=lambda found: [{**one, "result": rows} for one in found])(request, connection)


def test_names_of_assistants_label_a_frame():
    """End to end: one more request, once, and names stand beside the ids; the one without a name is its id."""
    with Server(analytics) as server:
        vq = ask(server)
        df = vq.call().sum("cost").by("assistantId").during("2026-10").fetch()
        named = df.vapi.label(vq.assistants())
        assert vq.assistants().to_dict() == {"a1": "Front desk", "a3": "Billing"}
    assert named.index.tolist() == [("Billing", "a3"), ("Front desk", "a1"), ("a2", "a2")]
    assert named["sumCost"].tolist() == [4.0, 1.0, 2.0]
    assert [one.target for one in server.requests if one.method == "GET"] == ["/assistant?limit=1000"]
    names = vq.assistants()
    assert (names.name, names.index.name) == ("assistantName", "assistantId")
    assert names.dtype == names.index.dtype == pd.Series(["a"], dtype="str").dtype
    names["a1"] = "changed"
    assert vq.assistants()["a1"] == "Front desk"


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_not_list_assistants_costs_only_the_names(status):
    """A warning, no names, and the next time it is tried again."""
    with Server(failing(status, "not for this key"), failing(status), reply(200, ASSISTANTS)) as server:
        vq = ask(server)
        for _ in range(2):
            with pytest.warns(ResponseWarning, match="ids stay ids: the API replied"):
                assert vq.assistants().empty
        assert len(vq.assistants()) == 2


def test_without_any_key_there_is_nothing_to_ask():
    """That is an error, as for every question."""
    with pytest.raises(AuthenticationError, match="there is no key"):
        vf.vq.assistants()


def test_a_thousand_assistants_and_more_are_all_there():
    """A full page is not all; the others come by the time of their creation."""
    many = [
        ({"id": f"{n}", "name": f"n{n}", "createdAt": f"2025-{1 + n % 12:02}-01T00:{n // 60 % 60:02}:{n % 60:02}Z"}, n)
        for n in range(2_500)
    ]
    calls = Calls(*((one, datetime.fromisoformat(one["createdAt"])) for one, _ in many))

    def listing(request, connection):
        if "createdAtGe" not in request.target:
            return reply(200, [one for one, _ in many[:1_000]])(request, connection)
        return calls(type(request)("GET", request.target.replace("/assistant", "/call"), {}, b""), connection)

    with Server(listing) as server:
        assert ask(server).assistants().to_dict() == {f"{n}": f"n{n}" for n in range(2_500)}
    assert len(server.requests) < 30


def test_assistants_that_cannot_be_told_apart_are_an_error():
    """As many as a page has, all of one instant: there may be more."""
    many = [{"id": f"{n}", "name": "x", "createdAt": "2026-10-01T12:00:00.000Z"} for n in range(1_000)]
    calls = Calls(*((one, at(1)) for one in many))

    def listing(request, connection):
        if "createdAtGe" not in request.target:
            return reply(200, many)(request, connection)
        return calls(type(request)("GET", request.target.replace("/assistant", "/call"), {}, b""), connection)

    with Server(listing) as server, pytest.raises(ResponseError, match="as many records as a page has"):
        ask(server).assistants()


@pytest.mark.parametrize("body", [{"results": []}, [7], [{"name": "x"}]])
def test_a_list_that_is_not_of_assistants_is_an_error(body):
    """With the JSON path."""
    with Server(reply(200, body)) as server, pytest.raises(ResponseError, match=r"^\$"):
        ask(server).assistants()


# --- from the shell -------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command in the test's own process; return exit code, stdout and the lines of stderr."""
    monkeypatch.setenv("VAPI_API_KEY", KEY)

    def run(*arguments):
        try:
            code = main(["archive", *map(str, arguments)])
        except SystemExit as ending:
            code = ending.code
        said = capsys.readouterr()
        assert KEY not in said.out + said.err
        return code, said.out, said.err.splitlines()

    return run


@pytest.mark.extra("local")
def test_the_command_says_what_was_done_and_nothing_else(run, tmp_path):
    """One line on stdout, none on stderr: cron sends no mail for it."""
    today = datetime.now(UTC)
    records = [call("a", today - timedelta(seconds=2)), call("b", today - timedelta(seconds=1))]
    with Server(Calls(*records)) as server:
        options = ("--since", today.date(), "--base-url", server.url, "--timeout", 5, "--transcripts", "--recordings")
        code, out, err = run(tmp_path, *options)
    assert (code, err) == (0, [])
    assert re.fullmatch(rf"{tmp_path}: \d days? asked by 1 request, 2 new calls, 0 updated, 0 still open\n", out)
    assert KEY not in texts(tmp_path)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert vf.local(tmp_path).call().count().last("2d").fetch()["countId"].tolist() == [2]


def test_the_exit_code_says_whose_turn_it_is(run, tmp_path):
    """1, the API; 2, the arguments; in one line of stderr."""
    with Server(failing(401, f"bad key {KEY}")) as server:
        code, out, err = run(tmp_path, "--base-url", server.url)
    assert (code, out, len(err)) == (1, "", 1)
    assert err[0].startswith("vapi-frames: the API replied 401")
    for arguments in (["--since", "soon"], ["--until", "2020-01-01"], ["--base-url", "http://example.org"], ["--tokn"]):
        code, out, err = run(tmp_path, *arguments, *(["--since", "2021-01-01"] if "--until" in arguments else []))
        assert (code, out, len(err)) == (2, "", 1)
    code, _, err = run(tmp_path, "--token", KEY)
    assert code == 2
    assert "set VAPI_API_KEY" in err[0]


def test_a_warning_is_a_line_of_stderr(run, tmp_path):
    """Such as that the API may have forgotten the first days."""
    with Server(Calls()) as server:
        first = datetime.now(UTC) - timedelta(days=17)
        code, out, err = run(tmp_path, "--base-url", server.url, "--since", first.date())
    assert (code, len(err)) == (0, 1)
    assert err[0].startswith("vapi-frames: warning: of ")
    assert " asked by 1 request, 0 new calls" in out


def test_ctrl_c_ends_it_with_130(tmp_path):
    """While it waits for the API, without a traceback."""
    with Server(silent) as server:
        command = [sys.executable, "-m", "vapi_frames.cli", "archive", str(tmp_path), "--base-url", server.url]
        environment = {**os.environ, "VAPI_API_KEY": KEY}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        until = time.monotonic() + SAFETY
        while not server.requests and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SAFETY)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_no_answer_is_an_error_of_the_source(tmp_path):
    """After the attempts; nothing was kept, and nothing is torn."""
    with Server(silent) as server, pytest.raises(ConnectionFailedError):
        archive(connect(server, timeout=0.05), tmp_path, now=NOW)
    assert ids(tmp_path) == {}


def test_a_disk_that_fails_is_no_damaged_file(tmp_path, monkeypatch):
    """What the system refuses to read stays where it is: what the API has forgotten is in no other place."""
    from vapi_frames.sources.archive.day_files import DayFiles

    files = DayFiles(tmp_path)
    path = tmp_path / "2026-10-01.parquet"
    path.write_bytes(b"PAR1")
    opened = Path.open

    def failing(self, *arguments, **options):
        if self == path:
            raise OSError(5, "Input/output error")
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", failing)
    for read in (files.states, lambda: files.rows(date(2026, 10, 1))):
        with pytest.raises(OSError, match="Input/output"):
            read()
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
