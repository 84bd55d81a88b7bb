"""Several processes on one cache folder, by ``python -m tests.support.hammer --processes 4 --seconds 120``.

Each stores, finds, trims, deletes, clears and damages at random, and compares every row it finds with what the
bucket's rows are known to be. They are a function of the bucket's label, so that the processes need not communicate.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sqlite3
import sys
import tempfile
import time
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.support.cached import at, edges, find_wrong, open_store, run_sql, segment
from vapi_frames import vq
from vapi_frames.sources.cache import cache
from vapi_frames.sources.cache.database import FILE_NAME

SAFETY = 60.0  # seconds beyond its own after which a process is given up; none comes near
EXPECTED = ("is damaged", "changed after they were written", "no such table")


def queries():
    """Return the queries that are stored, each with the instants between which."""
    hourly = vq.call().sum("cost").count().by("type").step("hour").tz("America/New_York")
    daily = vq.call().avg("cost").by("type").by_variable("plan").step("day").tz("America/St_Johns")
    whole = vq.call().sum("cost").count().by("type")
    return [
        (hourly, edges(hourly, at("2026-10-25"), at("2026-11-05"))),
        (daily, edges(daily, at("2006-08-01"), at("2006-12-31"))),
        (whole, list(range(at("2026-10-01"), at("2026-10-06"), 86_400))),
    ]


def alter_row(folder, dice):
    """Change one column of one row, as someone who can write the file may."""
    column = dice.choice(("query", "begins", "ends", "head", "mac", "payload"))
    change = {"begins": "begins + 3600", "ends": "ends - 3600"}.get(column, f"substr({column}, 2) || x'00'")
    chosen = "(SELECT rowid FROM parts ORDER BY random() LIMIT 1)"
    other = "(SELECT rowid FROM parts ORDER BY random() LIMIT 1)"
    if dice.random() < 0.5:
        change = f"(SELECT {column} FROM parts WHERE rowid = {other})"
    with suppress(sqlite3.Error, FileNotFoundError):  # it is damaged, or being replaced
        run_sql(folder, f"UPDATE parts SET {column} = {change} WHERE rowid = {chosen}")


def flip_byte(folder, dice):
    """Change a byte of the file in place, as a disk that fails may."""
    with suppress(FileNotFoundError, ValueError), (folder / FILE_NAME).open("r+b") as file:  # none, or it is empty
        place = dice.randrange(os.fstat(file.fileno()).st_size)
        file.seek(place)
        before = file.read(1)
        file.seek(place)
        file.write(bytes([before[0] ^ 1 << dice.randrange(8)]))


def work(folder, seconds, seed):
    """Do one thing after another; return what was wrong, and how often each was done."""
    dice = random.Random(seed)
    store = open_store(folder)
    known = queries()
    bad, done = [], Counter()
    until = time.monotonic() + seconds
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        while time.monotonic() < until:
            query, instants = dice.choice(known)
            start, end = sorted(dice.sample(instants, 2))
            action = dice.random()
            if action < 0.5:
                found = store.find(query, start, end)
                done["finds"] += 1
                done["hits"] += bool(found)
                bad += filter(None, [find_wrong(query, start, end, found)])
            elif action < 0.9:
                if query.time_step is not None and dice.random() < 0.5:
                    end = instants[instants.index(start) + 1]
                open_store(folder, limit=dice.choice((2**16, 2**30))).put(query, segment(query, start, end))
                done["puts"] += 1
            elif action < 0.95:
                store.delete(query)
            elif action < 0.96:
                _inspect(folder)
            elif action < 0.99:
                alter_row(folder, dice)
                done["alterations"] += 1
            else:
                flip_byte(folder, dice)
                done["damages"] += 1
    bad += [str(one.message) for one in shown if not any(text in str(one.message) for text in EXPECTED)]
    return bad, done


def _inspect(folder):
    try:
        cache.clear(folder)
        cache.info(folder)
    except OSError as error:
        if not any(text in str(error) for text in EXPECTED):
            raise


def _put(queue, *arguments):
    try:
        queue.put(work(*arguments))
    except BaseException as error:
        queue.put(([repr(error)], Counter()))
        raise


def write_on(folder, ready, seed, *, stuck=False):
    """Store results until killed; *stuck*, in the middle of the first transaction."""
    dice = random.Random(seed)
    query, instants = queries()[0]
    store = open_store(folder)
    if stuck:

        def write(connection):
            connection.execute("DELETE FROM parts")
            ready.set()
            time.sleep(SAFETY)

        store._database.write(write)
    while True:
        start, end = sorted(dice.sample(instants, 2))
        store.put(query, segment(query, start, end))
        ready.set()


def run(processes, seconds, folder=None):
    """Let *processes* work on one folder; return what was wrong, and how often each thing was done."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    with tempfile.TemporaryDirectory() as own:
        place = Path(folder or own)
        workers = [context.Process(target=_put, args=(queue, place, seconds, seed)) for seed in range(processes)]
        for worker in workers:
            worker.start()
        bad, done = [], Counter()
        for _ in workers:
            wrong, counted = queue.get(timeout=seconds + SAFETY)
            bad += wrong
            done += counted
        for worker in workers:
            worker.join(SAFETY)
    queue.close()
    return bad, done


def main():
    """Run from a shell; 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60)
    chosen = parser.parse_args()
    bad, done = run(chosen.processes, chosen.seconds)
    print(f"{len(bad)} wrong;", ", ".join(f"{count} {what}" for what, count in sorted(done.items())))  # noqa: T201 - this is a script
    for line in bad[:20]:
        print(line)  # noqa: T201 - this is a script
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
