"""Ten thousand pieces of one query over real connections to a server that fails at random; run by hand as

    python -m tests.support.soak --pieces 10000 --faults 0.05

Nothing may be lost, no piece may be requested again after it succeeded, and memory must not grow with the pieces. A short form
is among the tests.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support import servers
from tests.support.servers import Server, failing, reply
from tests.support.wires import Calls, connected, counting

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
EVERY = 1_201  # seconds between two calls: about three an hour
FAULTS = {
    "500": failing(500),
    "502 with a page": reply(502, "<title>Bad gateway</title>"),
    "503": failing(503),
    "504": failing(504),
    "429": failing(429, retry_after_ms="50"),
    "a reset in the body": servers.reset,
    "a body cut short": servers.cut_short,
    "a hang-up": servers.hang_up,
    "silence": servers.silent,
}


def serve(faults, seed, pipe):
    """Serve until the other end of *pipe* says stop; then report the requests, the replies and the faults."""
    randomly, failed, answered = random.Random(seed), Counter(), Counter()

    def fault(request):
        if randomly.random() < faults:
            name = randomly.choice(list(FAULTS))
            failed[name] += 1
            return FAULTS[name]
        answered.update(one["timeRange"]["start"] for one in request.json()["queries"])
        return None

    class Requests(list):
        """Count the requests without keeping them."""

        def append(self, _):
            failed["requests"] += 1

        def __len__(self):
            return 1

    with Server(counting(Calls(every=EVERY), BEGIN, faults=fault)) as server:
        server.requests = Requests()
        pipe.send(server.url)
        pipe.recv()
        requests = failed.pop("requests")
        twice = sum(1 for times in answered.values() if times > 1)
        pipe.send({"requests": requests, "faults": dict(failed), "twice": twice, "answered": len(answered)})


@contextlib.contextmanager
def serving(faults, seed):
    """Serve in a process of its own; give the address, and what returns the server's account."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(faults, seed, theirs), daemon=True)
    process.start()

    def account():
        ours.send("stop")
        return ours.recv()

    try:
        yield ours.recv(), account
    finally:
        process.kill()
        process.join()


def resident():
    """Return the megabytes that this process holds, where the system says so."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
    return 0.0


def soak(pieces, faults, *, seed=1, workers=4, max_queries=1):
    """Ask one query in so many pieces; return what was seen."""
    memory = {}

    def seen(at):
        memory.setdefault(at.done * 10 // pieces, resident())

    with serving(faults, seed) as (url, account):
        vq = connected(
            url, attempts=6, sleep=lambda seconds: time.sleep(seconds / 50), timeout=(2.0, 0.5), workers=workers,
            buckets=1, max_queries=max_queries,
        )  # fmt: skip
        end = BEGIN + timedelta(hours=pieces)
        query = vq.call().sum("cost").count().by("assistantId").step("hour").between(BEGIN, end)
        began = time.monotonic()
        frame = query.fetch(progress=seen)
        seconds = time.monotonic() - began
        found = account()
    expected = Calls(every=EVERY).rows(int(BEGIN.timestamp()), int(end.timestamp()), "hour", "UTC", grouped=True)
    dates, names = frame.index.get_level_values("date"), frame.index.get_level_values("assistantId")
    got = {
        (int(date.timestamp()), name): [count, round(cost * 100)]
        for date, name, count, cost in zip(dates, names, frame["countId"], frame["sumCost"], strict=True)
    }
    return {
        **found, "pieces": pieces, "rows": len(frame), "wrong": sum(got.get(key) != value for key, value in expected.items()) + len(got.keys() - expected.keys()),
        "seconds": round(seconds, 1), "megabytes": [round(memory[tenth]) for tenth in sorted(memory)],
    }  # fmt: skip


def _main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pieces", type=int, default=10_000)
    parser.add_argument("--faults", type=float, default=0.05)
    parser.add_argument("--queries", type=int, default=1, help="pieces in a request at most")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    print(json.dumps(soak(**vars(parser.parse_args())), indent=2))  # noqa: T201 - this is a script


if __name__ == "__main__":
    _main()
