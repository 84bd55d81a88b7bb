"""One cache folder under several threads, processes and forks, some of which are killed."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
import threading
import time

import pytest

from tests.support import hammer
from tests.support.cached import HOURLY, count_parts, find_wrong, hours, open_store, run_sql, segment
from vapi_frames.sources.cache.database import FILE_NAME


@pytest.mark.long
def test_killed_writers_leave_nothing_wrong(tmp_path):
    """Writers that are killed at any instant, one in the middle of a transaction, leave whole results."""
    context = multiprocessing.get_context("spawn")
    events = [context.Event() for _ in range(10)]
    writers = [
        context.Process(target=hammer.write_on, args=(tmp_path, ready, seed), kwargs={"stuck": seed == len(events) - 1})
        for seed, ready in enumerate(events)
    ]
    for writer in writers[:-1]:
        writer.start()
    query, instants = hammer.queries()[0]
    store = open_store(tmp_path)
    for number, (writer, ready) in enumerate(zip(writers, events, strict=True)):
        if number == len(writers) - 1:
            before = count_parts(tmp_path)
            writer.start()
        assert ready.wait(hammer.SAFETY)
        time.sleep(0.001 * (writer.pid % 37))
        writer.kill()
        writer.join(hammer.SAFETY)
        found = store.find(query, instants[0], instants[-1])
        assert find_wrong(query, instants[0], instants[-1], found) is None
    assert count_parts(tmp_path) == before > 0  # what the last one deleted is there
    assert run_sql(tmp_path, "PRAGMA integrity_check") == [("ok",)]
    store.put(query, segment(query, instants[0], instants[5]))
    found = store.find(query, instants[0], instants[5])
    assert sum(one.end - one.start for one in found) == instants[5] - instants[0]
    assert find_wrong(query, instants[0], instants[5], found) is None
    assert {path.name.removeprefix(FILE_NAME) for path in tmp_path.iterdir()} <= {"", "-wal", "-shm"}


@pytest.mark.long
def test_processes_share_a_folder(tmp_path):
    """Two processes that store, find, clear, alter and damage at random never find a wrong row."""
    bad, done = hammer.run(2, 4, tmp_path)
    assert bad == []
    assert min(done["hits"], done["puts"], done["alterations"]) > 5


def test_threads_share_a_store(tmp_path):
    """Threads that store and find what adds up never find a wrong row, and lose none."""
    shared = open_store(tmp_path)
    bad = []
    query, instants = hammer.queries()[0]
    instants = instants[:120]

    def add(first):
        for one, after in list(itertools.pairwise(instants))[first::4]:
            shared.put(query, segment(query, one, after))
            found = shared.find(query, instants[0], instants[-1])
            bad.append(find_wrong(query, instants[0], instants[-1], found))

    threads = [threading.Thread(target=add, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(bad) == {None}
    assert len(bad) == len(instants) - 1
    found = shared.find(query, instants[0], instants[-1])
    assert sum(one.end - one.start for one in found) == instants[-1] - instants[0]


def in_child(work):
    """Run *work* in a fork of this process; return whether it came to its end."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forks_share_nothing_that_is_open(store, choose):
    """A fork in the middle of the work of threads: no connection crosses it, parent and child go on."""
    queries = [HOURLY.by_variable(f"v{n}") for n in range(4)]
    stop = threading.Event()
    bad = []

    def write_and_find(query):
        for n in itertools.count():
            if stop.is_set():
                return
            store.put(query, segment(query, *hours(n % 40, n % 40 + 3)))
            bad.append(find_wrong(query, *hours(0, 50), store.find(query, *hours(0, 50))))

    def child():
        for query in queries:
            store.put(query, segment(query, *hours(60, 62)))
            assert find_wrong(query, *hours(0, 70), store.find(query, *hours(0, 70))) is None
            assert store.find(query, *hours(60, 62))

    threads = [threading.Thread(target=write_and_find, args=(query,)) for query in queries[:2]]
    for thread in threads:
        thread.start()
    try:
        assert all(in_child(child) for _ in range(choose(8, 20)))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(bad) > 20
    assert set(bad) == {None}
    assert all(store.find(query, *hours(60, 62)) for query in queries)
    assert run_sql(store.folder, "PRAGMA integrity_check") == [("ok",)]
    assert not list(store.folder.glob("*.broken"))


def test_a_fork_waits_for_the_transaction_of_a_thread(store):
    """A fork does not happen while a thread is writing: its locks would be in no process."""
    inside, order = threading.Event(), []

    def slow(connection):
        inside.set()
        time.sleep(0.2)
        order.append("written")

    thread = threading.Thread(target=lambda: store._database.write(slow, create=True))
    thread.start()
    assert inside.wait(hammer.SAFETY)
    assert in_child(lambda: order.append("in the child") or os._exit(order != ["written", "in the child"]))
    thread.join()
    assert order == ["written"]
