"""Records that the API still lists, downloaded and queried as `local` does."""

import gc
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.call_list import NOW, Calls, at, call, connect
from tests.support.examples import examples
from tests.support.servers import Server, cut_short, failing, reply
from vapi_frames.errors import QueryError, RecordsWarning, ResponseError, SourceError
from vapi_frames.interface.connect import Vq
from vapi_frames.sources.api.client import ApiClient
from vapi_frames.sources.api.source import ApiSource
from vapi_frames.sources.archive.download import download
from vapi_frames.sources.local.source import LocalSource

pytestmark = pytest.mark.extra("local")

WEEK = NOW - timedelta(days=7), NOW


@pytest.fixture(autouse=True)
def private(tmp_path, monkeypatch):
    """Return the folder that temporary files go to."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def vq_of(server, **options):
    """Return a vq of the API with a fixed clock."""
    source = ApiSource(ApiClient(connect(server, **options), now=NOW))
    return Vq(lambda: source)


def queries(vq):
    """Return queries of many kinds, over all there is."""
    calls, days = vq.call().last("7d"), vq.call().last("6d", complete=True)
    return (
        days.count().sum("cost").avg("duration").by("type", "endedReason").step("day"),
        calls.sum("cost").by_variable("plan"),
        calls.count().where(type="webCall"),
        vq.subscription().last("6d", complete=True).max("concurrency").step("day"),
    )


def compare(downloaded, records):
    """Check that the results are those of `local` of the same records."""
    local = Vq(lambda: LocalSource(records, now=NOW))
    for one, other in zip(queries(downloaded), queries(local), strict=True):
        pd.testing.assert_frame_equal(one.fetch(), other.fetch(), check_flags=False)


def make(count):
    """Return calls of three minutes, spread over six days, some at one instant."""
    found = []
    for i in range(count):
        created = at(9) + timedelta(minutes=i * 37 % 8_000)
        more = {
            "type": ("webCall", "inboundPhoneCall")[i % 2],
            "endedReason": ("customer-ended-call", "silence-timed-out")[i % 3 == 0],
            "endedAt": (created + timedelta(minutes=3)).isoformat(),
            "cost": 0.25 * (i % 5),
        }
        found.append(call(f"c{i}", created, **more))
    return found


@examples(20)
@pytest.mark.property
@given(
    count=st.integers(1, 150),
    most=st.sampled_from([10, 13, 100, 1_000]),
    order=st.sampled_from(["newest", "oldest", 7]),
)
def test_results_are_those_of_local(count, most, order):
    """Whatever the order and the limit of the API, each call counts once."""
    pairs = make(count)
    with Server(Calls(*pairs, order=order, most=most)) as server, vq_of(server).download("7d") as downloaded:
        compare(downloaded, [record for record, _ in pairs])
        frame = downloaded.call().count().last("7d").fetch()
        assert frame["countId"].item() == count
        assert frame.vapi.coverage[["calls", "missingDays", "expiredDays"]].tolist() == [count, 0, 0]


def test_queries_send_nothing_and_the_clock_stands_still():
    """After the download the server may be gone."""
    with Server(Calls(*make(50))) as server:
        downloaded = vq_of(server).download("7d")
    assert downloaded.now() == NOW
    assert downloaded.call().count().last("7d").fetch()["countId"].item() == 50


def test_no_call_is_a_result_too():
    """An organization without calls has zero of them."""
    with Server(Calls()) as server:
        downloaded = vq_of(server).download("7d")
    with pytest.warns(RecordsWarning, match="no call"):
        frame = downloaded.call().count().last("7d").fetch()
    assert frame["countId"].item() == 0


def test_calls_that_arrive_during_the_paging_are_of_later():
    """A call that is created while the pages arrive is after the clock, and in no result."""
    calls = Calls(*make(60), most=10)

    def serve(request, connection):
        calls.records.append(call(f"new{len(calls.records)}", NOW + timedelta(seconds=len(calls.records))))
        return calls(request, connection)

    with Server(serve) as server:
        downloaded = vq_of(server).download("7d")
    assert downloaded.call().count().last("7d").fetch()["countId"].item() == 60


def test_a_rate_limit_is_waited_for():
    """A reply of 429, a server error and a reply that is cut short are requested again."""
    calls = Calls(*make(60))
    calls.broken = {1: failing(429, **{"Retry-After": "0"}), 3: failing(503), 4: cut_short}
    with Server(calls) as server:
        downloaded = vq_of(server, attempts=4).download("7d")
    compare(downloaded, [record for record, _ in calls.records])


@pytest.mark.parametrize(
    ("broken", "error"), [(failing(401), SourceError), (reply(200, {"message": "no"}), ResponseError)]
)
def test_what_did_not_arrive_leaves_nothing(broken, error, private):
    """A download is whole or an error, and no file is left."""
    calls = Calls(*make(60))
    calls.broken = dict.fromkeys(range(1, 50), broken)
    with Server(calls) as server, pytest.raises(error):
        vq_of(server).download("7d")
    assert list(private.iterdir()) == []


def test_more_calls_in_a_millisecond_than_a_page_are_an_error(private):
    """What cannot be listed whole is said."""
    said = "all of one millisecond, and there may be more"
    calls = Calls(*(call(f"c{i}", at(10)) for i in range(20)))
    with Server(calls) as server, pytest.raises(ResponseError, match=said):
        download(connect(server), WEEK, NOW, limit=10)
    assert list(private.iterdir()) == []


def test_ctrl_c_leaves_nothing(private):
    """What a progress raises ends the download, and removes the file."""

    def stop(state):
        del state
        raise KeyboardInterrupt

    with Server(Calls(*make(60))) as server, pytest.raises(KeyboardInterrupt):
        vq_of(server).download("7d", progress=stop)
    assert list(private.iterdir()) == []


def test_progress_counts_parts():
    """The last state has all parts, and says how many requests there were."""
    states = []
    with Server(Calls(*make(60))) as server:
        vq_of(server).download("7d", progress=states.append)
    assert states[-1].done == states[-1].total == 4
    assert states[-1].requests >= 4


def test_parts_are_paged_at_the_same_time():
    """No request waits for the one before."""
    calls, together, numbers = Calls(*make(60)), threading.Barrier(4, timeout=10), itertools.count()

    def serve(request, connection):
        if next(numbers) < 4:
            together.wait()
        return calls(request, connection)

    with Server(serve) as server:
        vq_of(server).download("7d")


def test_the_file_is_private_and_removed(private):
    """Only its owner can read it; it goes with `close`, or with the vq."""
    with Server(Calls(*make(10))) as server:
        first, second = vq_of(server).download("7d"), vq_of(server).download("7d")
    for vq in (first, second):
        vq.call().count().last("7d").fetch()
    folders = list(private.iterdir())
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in private.rglob("*.jsonl")} == {0o600}
    first.close()
    assert len(list(private.rglob("*.jsonl"))) == 1
    del second, vq
    gc.collect()
    assert list(private.iterdir()) == []
    with pytest.raises(SourceError, match="closed"):
        first.call().count().fetch()


@pytest.mark.long
def test_the_file_is_removed_when_python_ends(private):
    """A program that does not close its download leaves nothing."""
    program = (
        "from tests.support.call_list import *\nfrom tests.sources.archive.test_download import make, vq_of\n"
        "import vapi_frames, tempfile\n"
        "with Server(Calls(*make(10))) as server:\n    vq = vq_of(server).download('7d')\n"
        "print(vq.call().count().last('7d').fetch()['countId'].item())\n"
    )
    environment = {**os.environ, "TMPDIR": str(private), "PYTHONPATH": str(Path(__file__).parents[3])}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert (found.stdout, list(private.iterdir())) == ("10\n", [])


@pytest.mark.parametrize("customers", [False, True])
def test_customers_stay_out_unless_asked_for(customers, private):
    """No transcript, message or recording is written, and a customer only on request."""
    built_in = {"plan": "pro", "customer": {"number": "+15550001"}, "phoneNumber": {"number": "+15550002"}}
    personal = {
        "customer": {"number": "+15550003"}, "transcript": "said", "messages": [{"message": "said"}],
        "artifact": {"variableValues": built_in, "transcript": "said", "messages": ["said"]},
        "analysis": {"summary": "said", "successEvaluation": "true"},
    }  # fmt: skip
    with Server(Calls(call("a", at(10), **personal))) as server:
        downloaded = vq_of(server).download("7d", customers=customers)
    text = "".join(path.read_text() for path in private.rglob("*.jsonl"))
    assert "said" not in text
    assert ("+1555" in text) == customers
    assert json.loads(text)["artifact"]["variableValues"]["plan"] == "pro"
    assert downloaded.call().count().by_variable("plan").last("7d").fetch().index.tolist() == ["pro"]


def test_a_call_that_cannot_be_read_is_said():
    """Such a call is left out and counted, as a skipped one."""
    with Server(Calls(*make(3), call("odd", at(10), cost="much"))) as server:
        downloaded = vq_of(server).download("7d")
    with pytest.warns(RecordsWarning, match="left out: 1"):
        frame = downloaded.call().count().last("7d").fetch()
    assert frame.vapi.coverage[["calls", "skipped"]].tolist() == [3, 1]


def test_a_range_past_what_the_api_keeps_is_said():
    """A warning says so, and the days are counted."""
    with Server(Calls(*make(20))) as server, pytest.warns(RecordsWarning, match="lists calls for 14 days"):
        downloaded = vq_of(server).download("20d")
    frame = downloaded.call().count().last("20d").fetch()
    assert frame.vapi.coverage[["calls", "missingDays", "expiredDays"]].tolist() == [20, 7, 7]
    assert "past what the API keeps" in frame.vapi.describe()
    longer = downloaded.call().count().last("12d").fetch()
    assert longer.vapi.coverage["missingDays"] == 0


@pytest.mark.parametrize("source", [lambda _: vf.demo(), lambda _: vf.local([]), lambda at: vf.record(at, vf.demo())])
def test_other_sources_refuse_by_name(source, tmp_path):
    """Only the API has records to download."""
    with pytest.raises(QueryError, match=r"only the API has calls to download, and this vq fetches from .*directly"):
        source(tmp_path).download("7d")


@pytest.mark.parametrize("arguments", [{"last": "soon"}, {"last": None}, {"customers": 1}, {"last": 7}])
def test_wrong_arguments_send_nothing(arguments):
    """An argument that is wrong is an error before any request."""
    calls = Calls()
    with Server(calls) as server, pytest.raises(QueryError):
        vq_of(server).download(**arguments)
    assert calls.requests == []
