"""Several processes on one folder of kept answers, by ``python -m tests.support.hammer --processes 4 --seconds 120``.

Each keeps, finds, trims, forgets, clears and damages files at random, and compares every row it finds with what the
bucket's rows are known to be. What is known is made of the bucket's label alone, so that no process tells another.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from vapi_frames import vq
from vapi_frames.calendar import buckets as timegrid
from vapi_frames.query.schema import build_schema
from vapi_frames.sources.api.pieces import Segment
from vapi_frames.sources.cache import cache, segments
from vapi_frames.sources.cache.cache import Store

SCOPE = "https://api.vapi.ai 0123456789abcdef"
ASKED = datetime(2026, 11, 20, 12, 30, 15, 250_000, tzinfo=UTC)
GROUPS = ("webCall", None, "", "appel téléphonique 📞", "inboundPhoneCall")
SAFETY = 60.0  # seconds beyond its own after which a process is given up; none comes near


def at(text):
    """Return ISO text as seconds since 1970."""
    return timegrid.to_seconds(datetime.fromisoformat(text).replace(tzinfo=UTC))


def table(question, start, end, *, width=1):
    """Return the rows of each whole bucket in [start, end): up to four times *width*, and none in some."""
    labels = [start]
    if question.time_step is not None:
        labels = timegrid.list_buckets(start, end, question.time_step, question.zone)
    rows = [(label, n) for label in labels for n in range((label * 2_654_435_761 >> 13) % 5 * width)]
    columns = []
    for field in build_schema(question):
        if field.name == "date":
            columns.append(pa.array([label * 1_000_000 for label, _ in rows], pa.int64()).cast(field.type))
        elif field.type == pa.string():
            columns.append(pa.array([GROUPS[(label // 60 + n) % len(GROUPS)] for label, n in rows], field.type))
        elif field.type == pa.int64():
            columns.append(pa.array([label * 7 + n for label, n in rows], field.type))
        else:
            columns.append(pa.array([None if n == 1 else label / 3 + n for label, n in rows], field.type))
    return pa.table(columns, schema=build_schema(question))


def segment(question, start, end, *, reading="instant", assumed=False, asked=ASKED, width=1):
    """Return what a server would have answered of [start, end)."""
    return Segment(start, end, table(question, start, end, width=width), reading, assumed, asked)


def edges(question, start, end):
    """Return the instants of [start, end) at which one bucket ends, another begins, and none is under way."""
    step, zone = question.time_step, question.zone
    spans = [timegrid.find_bounds(label, step, zone) for label in timegrid.list_buckets(start, end, step, zone)]
    return [after.start for before, after in itertools.pairwise(spans) if before.end == after.start]


def questions():
    """Return the questions that are kept, each with the instants between which."""
    hourly = vq.call().sum("cost").count().by("type").step("hour").tz("America/New_York")
    daily = vq.call().avg("cost").by("type").by_variable("plan").step("day").tz("America/St_Johns")
    whole = vq.call().sum("cost").count().by("type")
    return [
        (hourly, edges(hourly, at("2026-10-25"), at("2026-11-05"))),
        (daily, edges(daily, at("2006-08-01"), at("2006-12-31"))),
        (whole, list(range(at("2026-10-01"), at("2026-10-06"), 86_400))),
    ]


def wrong(question, start, end, found):
    """Return what is wrong with the segments that were found of [start, end)."""
    last = start
    for one in found:
        if not last <= one.start < one.end <= end:
            return f"{question!r}: {one.start} to {one.end} after {last}, of {start} to {end}"
        if question.time_step is None and (one.start, one.end) != (start, end):
            return f"{question!r}: {one.start} to {one.end} is not {start} to {end}"
        if not one.table.equals(table(question, one.start, one.end)):
            return f"{question!r}: other rows from {one.start} to {one.end}"
        if (one.reading, one.assumed, one.asked) != ("instant", False, ASKED):
            return f"{question!r}: {one.reading}, {one.assumed}, {one.asked}"
        last = one.end
    return None


def damage(folder, dice):
    """Cut a file, or change a byte of it, in place, as a disk that fails may."""
    try:
        paths = sorted(folder.glob("*/*.parquet"))
        if not paths:
            return
        path = dice.choice(paths)
        size = path.stat().st_size
        with path.open("r+b") as file:
            place = dice.randrange(size)
            file.seek(place)
            if dice.random() < 0.5:
                file.truncate()
            else:
                before = file.read(1)
                file.seek(place)
                file.write(bytes([before[0] ^ 1 << dice.randrange(8)]))
    except FileNotFoundError:
        pass  # another process deleted it


def work(folder, seconds, seed, *, gently=False):
    """Do one thing after another; return what was wrong, and how often each was done.

    Args:
        folder: Of the answers.
        seconds: How long.
        seed: Of the dice.
        gently: Only keep and find.
    """
    dice = random.Random(seed)
    store = Store(folder, scope=SCOPE)
    asked = questions()
    bad, done = [], Counter()
    until = time.monotonic() + seconds
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        while time.monotonic() < until:
            question, instants = dice.choice(asked)
            start, end = sorted(dice.sample(instants, 2))
            what = dice.random()
            if what < 0.5:
                found = store.find(question, start, end)
                done["finds"] += 1
                done["hits"] += bool(found)
                bad += filter(None, [wrong(question, start, end, found)])
            elif what < 0.9 or gently:
                if question.time_step is not None and dice.random() < 0.5:
                    end = instants[instants.index(start) + 1]
                store.keep(question, segment(question, start, end))
                done["keeps"] += 1
            elif what < 0.93:
                Store(folder, scope=SCOPE, limit=dice.randrange(40_000)).trim()
                done["trims"] += 1
            elif what < 0.95:
                store.forget(question)
            elif what < 0.96:
                cache.clear(folder)
                cache.info(folder)
            else:
                damage(folder, dice)
                done["damages"] += 1
    bad += [str(one.message) for one in shown if "as it was kept" not in str(one.message)]
    if gently:
        bad += [str(one.message) for one in shown]
    return bad, done


def _put(queue, *arguments):
    try:
        queue.put(work(*arguments))
    except BaseException as error:
        queue.put(([repr(error)], Counter()))
        raise


def write_on(folder, ready, seed, *, stuck=False):
    """Keep answers until killed; *stuck*, in the middle of the first."""
    dice = random.Random(seed)
    question, instants = questions()[0]
    store = Store(folder, scope=SCOPE)
    if stuck:

        def wait(_):
            ready.set()
            time.sleep(SAFETY)

        segments.os.fsync = wait
    while True:
        start, end = sorted(dice.sample(instants, 2))
        store.keep(question, segment(question, start, end))
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
            said, counted = queue.get(timeout=seconds + SAFETY)
            bad += said
            done += counted
        for worker in workers:
            worker.join(SAFETY)
        left = [str(path) for path in place.rglob("*") if segments.is_part(path.name)]
    queue.close()
    return bad + left, done


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
