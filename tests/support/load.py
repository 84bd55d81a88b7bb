"""Many parallel clients, by ``python -m tests.support.load --clients 32 --seconds 120``: right results, flat memory, latency.

Each client sends its own mix of queries under names of its own, and compares every digit of each reply with the result
of the same query without a server. Some requests are wrong on purpose, and some clients disconnect before the reply.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import vapi_frames as vf
from tests.support.endpoint import SAFETY, command
from vapi_frames.errors import QueryWarning

ECHO = {"start": "2026-10-01T00:00:00.000Z", "end": "2026-11-01T00:00:00.000Z"}


class Load(NamedTuple):
    """What a run showed: replies that were not right, their number, seconds of each, MiB of the server."""

    wrong: list[str]
    replies: int
    seconds: list[float]
    warm: float
    end: float

    def quantile(self, share):
        """Return the seconds within which a *share* of the replies came."""
        return sorted(self.seconds)[int(share * (len(self.seconds) - 1))]

    def __str__(self):
        return (
            f"{self.replies} replies, {len(self.wrong)} wrong; median {1000 * self.quantile(0.5):.0f} ms, "
            f"p99 {1000 * self.quantile(0.99):.0f} ms; memory {self.warm:.0f} MiB after a third of the time, "
            f"{self.end:.0f} MiB at the end"
        )


def make_queries():
    """Return bodies, and the reply to each as plain Python reads it off the frame of local."""
    call = vf.demo().call()
    every = call.sum("cost").avg("duration").count().max("costBreakdown.llm")
    queries = [
        call.count(), every, every.by("type"), every.by("endedReason").by_variable("plan"), every.step("day"),
        every.by("assistantId", "type").step("day").tz("America/New_York"), call.count().step("hour").by("status"),
        call.min("cost").step("week").tz("Asia/Kathmandu").by("analysis.successEvaluation"),
    ]  # fmt: skip
    found = []
    for query in queries:
        ranged = query.between("2026-10-01T00:00Z", "2026-11-01T00:00Z")
        with warnings.catch_warnings(action="ignore", category=QueryWarning):
            frame = ranged.fetch()
        rows = (frame.reset_index() if query.levels else frame).to_dict("records")
        span = {**({"step": query.time_step} if query.time_step else {}), **ECHO, "timezone": query.zone.key}
        result = [{name: _plain(name, value) for name, value in row.items()} for row in rows]
        found.append((ranged.body()["queries"][0], {"timeRange": span, "result": result}))
    return found


def _plain(name, value):
    if name == "date":
        return value.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%S.000Z")
    if value is None or value != value:
        return None
    return str(value) if name.startswith("count") else value


def run(clients, seconds):
    """Put the server of the sample under load."""
    known = make_queries()
    with command("--demo") as (endpoint, process, _):
        wrong, times, stop = [], [], threading.Event()

        def client(number):
            dice = random.Random(number)
            connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=SAFETY)
            turn = 0
            while not stop.is_set():
                turn += 1
                chosen = [dice.choice(known) for _ in range(dice.randint(1, 4))]
                names = [f"client {number} turn {turn} query {place}" for place in range(len(chosen))]
                body = {"queries": [{**query, "name": name} for (query, _), name in zip(chosen, names, strict=True)]}
                expected = 201, [{"name": name, **reply} for (_, reply), name in zip(chosen, names, strict=True)]
                if dice.random() < 0.1:
                    body["queries"][-1]["table"] = names[-1]
                    expected = 400, names[-1]
                began = time.monotonic()
                connection.request("POST", "/analytics", json.dumps(body), {
                    "Authorization": f"Bearer {endpoint.key}", "Content-Type": "application/json",
                })  # fmt: skip
                if dice.random() < 0.02:
                    connection.close()  # without waiting for the reply; the next request opens another
                    continue
                reply = connection.getresponse()
                content = json.loads(reply.read())
                times.append(time.monotonic() - began)
                is_right = (reply.status, content) == expected
                if reply.status == 400:
                    is_right = expected[0] == 400 and expected[1] in content["message"][0]
                if not is_right:
                    wrong.append(f"{body} got {reply.status} {content}, not {expected}")
            connection.close()

        def careful(number):
            try:
                client(number)
            except Exception as error:  # noqa: BLE001 - whatever stops a client is a finding
                wrong.append(f"client {number}: {error!r}")

        threads = [threading.Thread(target=careful, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        time.sleep(seconds / 3)
        warm = resident(process.pid)
        time.sleep(2 * seconds / 3)
        stop.set()
        for thread in threads:
            thread.join(SAFETY)
        assert not any(thread.is_alive() for thread in threads), "a client still waits for its reply"
        return Load(wrong, len(times), times, warm, resident(process.pid))


def resident(pid):
    """Return the resident memory of a process in MiB; 0 where the system has no /proc."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def main():
    """Run it at length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=120.0)
    options = parser.parse_args()
    load = run(options.clients, options.seconds)
    print(f"{options.clients} clients, {options.seconds:g} s: {load}", *load.wrong[:3], sep="\n")  # noqa: T201 - a command
    return int(bool(load.wrong))


if __name__ == "__main__":
    sys.exit(main())
