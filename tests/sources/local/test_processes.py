"""A source of local records in threads, forks, and while Python shuts down."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading

import pandas as pd
import pytest

import vapi_frames as vf
from tests.support.local_calls import calls
from vapi_frames.errors import QueryError

pytestmark = pytest.mark.extra("local")


def test_threads_may_share_a_source():
    """Eight threads get the result that one gets."""
    vq = vf.demo()
    query = vq.call().sum("cost").by("assistantId").step("day").during("2026-10")
    wanted = query.fetch()
    found = []
    threads = [threading.Thread(target=lambda: found.append(query.fetch())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for frame in found:
        pd.testing.assert_frame_equal(frame, wanted)


def test_several_queries_share_one_now():
    """vq.fetch returns a dict by name; equal queries run once; two equal names are an error."""
    vq = vf.demo()
    one, other = vq.call().count().last("3d").named("a"), vq.call().sum("cost").last("1d")
    frames = vq.fetch(one, other, other)
    assert list(frames) == ["a", other.body()["queries"][0]["name"]]
    with pytest.raises(QueryError, match="two queries are named 'a'"):
        vq.fetch(one, other.named("a"))


def test_a_source_is_not_pickled():
    """A connection cannot be copied to another process."""
    vq = vf.local(calls())
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(vq.source)
    assert repr(vq) == "<vq of 3 calls in memory>"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_forked_process_starts_its_own_database():
    """The child of a fork runs queries, and does not wait for threads that only its parent has."""
    script = """
import os, vapi_frames as vf
calls = [{"id": "1", "createdAt": "2026-10-01T12:00:00Z"}]
count = lambda: int(vf.local(calls).call().count().between("2026-10-01", "2026-10-02").fetch().iloc[0, 0])
first = count()
child = os.fork()
if child == 0:
    os._exit(count())
print(first, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), count())
"""
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "1 1 1\n", done.stderr


FORKED = """
import os, sys, time, vapi_frames as vf
calls = vf.sample_calls(50_000)
count = lambda: len(vf.local(calls).call().count().by("type").during("2026-10").fetch())
assert count() == 3
child = os.fork()
if child == 0:
    if sys.argv[1] == "query":
        assert count() == 3
    sys.exit(7)
deadline = time.monotonic() + 30
while not (ended := os.waitpid(child, os.WNOHANG))[0]:
    if time.monotonic() > deadline:
        os.kill(child, 9)
    time.sleep(0.05)
print(os.waitstatus_to_exitcode(ended[1]), count())
"""


LATE = """
import atexit, sys, threading, vapi_frames as vf
query = vf.local(vf.sample_calls(50_000)).call().count().by("type").during("2026-10")
if sys.argv[1] == "atexit":
    atexit.register(lambda: print(len(query.fetch())))
else:
    threading.Thread(target=lambda: (threading.main_thread().join(), print(len(query.fetch())))).start()
"""


def run_script(script, *arguments):
    """Return what *script* prints in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.parametrize("what", ["nothing", "query"])
def test_the_child_of_a_fork_ends_normally(what):
    """It neither crashes nor waits for the parent's threads, and the parent runs queries afterwards."""
    assert run_script(FORKED, what) == "7 3\n"


@pytest.mark.long
@pytest.mark.parametrize("when", ["atexit", "thread"])
def test_a_query_may_run_while_python_shuts_down(when):
    """Python starts no threads then, so a frame is converted without them."""
    assert run_script(LATE, when) == "3\n"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_the_child_of_a_fork_converts_into_a_folder_of_its_own(tmp_path):
    """A file that changes after the fork is converted in both processes, and neither is in the other's way."""
    path = tmp_path / "calls.json"
    call = '{"id": "1", "createdAt": "2026-10-01T12:00:00Z"}\n'
    path.write_text(call, encoding="utf-8")
    vq = vf.local(path)
    query = vq.call().count().during("2026-10")
    assert query.fetch()["countId"].item() == 1
    path.write_text(call + call.replace('"1"', '"2"'), encoding="utf-8")
    child = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(int(query.fetch()["countId"].item())))
    child.start()
    child.join(60)
    assert child.exitcode == 2
    assert query.fetch()["countId"].item() == 2
