"""Requests and seconds of two years by the hour for forty assistants, from a server that takes 0.1 s for each request.

Compared are a loop of the official SDK over the days, this package, its second run, and a run one day later.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import tempfile
import time
from datetime import UTC, datetime, timedelta

import pandas as pd

import vapi_frames as vf
from tests.benchmarks.timing import Row
from tests.support import servers
from tests.support.servers import Server
from tests.support.wires import KEY, connected

HOUR = timedelta(hours=1)
BEGIN = datetime(2024, 11, 1, tzinfo=UTC)


def serve(latency, days, assistants, pipe):
    """Serve the rows of every hour until the other end of *pipe* says stop; any other message is replied to with the number of requests so far."""
    hours = [
        b",".join(
            b'{"date":"%s","assistantId":"assistant-%d","sumCost":%d.%02d,"countId":"%d"}'
            % (
                (BEGIN + n * HOUR).strftime("%Y-%m-%dT%H:%M:%S.000Z").encode(),
                a,
                (n + a) % 50,
                (n * a) % 100,
                n % 9 + 1,
            )
            for a in range(assistants)
        )
        for n in range((days + 10) * 24)
    ]

    def behave(request, connection):
        time.sleep(latency)
        parts = []
        for query in request.json()["queries"]:
            span = query["timeRange"]
            start, end = (datetime.fromisoformat(span[side]) for side in ("start", "end"))
            first, last = (start - BEGIN) // HOUR, -((BEGIN - end) // HOUR)
            parts.append(
                b'{"name":"%s","timeRange":{"step":"hour","start":"%s","end":"%s","timezone":"UTC"},"result":[%s]}'
                % (query["name"].encode(), span["start"].encode(), span["end"].encode(), b",".join(hours[first:last]))
            )
        return servers.reply(201, b"[" + b",".join(parts) + b"]")(request, connection)

    with Server(behave) as server:
        pipe.send(server.url)
        while pipe.recv() != "stop":
            pipe.send(len(server.requests))


@contextlib.contextmanager
def serving(latency, days, assistants):
    """Serve in a separate process; yield the address, and a function that returns the number of requests so far."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(latency, days, assistants, theirs), daemon=True)
    process.start()

    def count():
        ours.send("count")
        return ours.recv()

    try:
        yield ours.recv(), count
    finally:
        process.kill()
        process.join()


def loop(url, body, days):
    """Ask the official SDK day by day, and concatenate the days with plain pandas, as a notebook does without this package."""
    from vapi import Vapi

    frames = []
    [query] = body["queries"]
    client = Vapi(token=KEY, base_url=url, timeout=60)
    for day in range(days):
        start = BEGIN + timedelta(days=day)
        span = {**query["timeRange"], "start": start.isoformat(), "end": (start + timedelta(days=1)).isoformat()}
        [reply] = client.analytics.get(queries=[{**query, "timeRange": span}])
        frames.append(pd.DataFrame(reply.result))
    frame = pd.concat(frames)
    frame["date"] = pd.to_datetime(frame["date"])
    frame["countId"] = pd.to_numeric(frame["countId"])
    return frame.set_index(["date", "assistantId"]).sort_index()


def measure(latency=0.1, days=730, assistants=40):
    """Return a row for each way: requests, seconds, ratio to the loop, rows."""
    rows = []
    with serving(latency, days, assistants) as (url, count), tempfile.TemporaryDirectory() as folder:
        now = BEGIN + timedelta(days=days, minutes=30)

        def run(what, ask):
            before, began = count(), time.monotonic()
            frame = ask()
            rows.append(
                {"what": what, "requests": count() - before, "seconds": time.monotonic() - began, "rows": len(frame)}
            )
            return frame

        def ask(days, now, cache=None):
            vq = connected(url, now=now, timeout=60.0, **({"open_store": cache} if cache else {}))
            query = vq.call().sum("cost").count().by("assistantId").step("hour")
            return query.between(BEGIN, BEGIN + timedelta(days=days)).fetch()

        def store():
            from vapi_frames.sources.cache.store import Store

            return Store(folder, host="benchmark", secret="benchmark")

        query = vf.vq.call().sum("cost").count().by("assistantId").step("hour").between(BEGIN, BEGIN + HOUR)
        plain = run("cold, a loop of the official SDK over the days", lambda: loop(url, query.body(), days))
        cold = run("cold, this package", lambda: ask(days, now))
        run("cold, and kept", lambda: ask(days, now, store))
        run("warm", lambda: ask(days, now, store))
        run("warm, and a day more", lambda: ask(days + 1, now + timedelta(days=1), store))
        assert plain["sumCost"].sum().round(2) == cold["sumCost"].sum().round(2)
        assert len(plain) == len(cold)
    table = pd.DataFrame(rows).set_index("what")
    table.insert(2, "ratio", table["seconds"] / table["seconds"].iloc[0])
    return table


MARKS = {"cold, this package": 0.02, "warm": 0.005}


def rows(days, assistants):
    """Yield the rows of the table; *days* is the length of the range."""
    table = measure(days=days, assistants=assistants)
    first = table.iloc[0]
    said = f"{days} days by the hour, {assistants} assistants, 0.1 s a request"
    for what, row in table.iloc[1:].iterrows():
        times = f"{row['seconds']:.2f} s, {row['requests']:.0f} requests / {first['seconds']:.1f} s, {first['requests']:.0f}"
        yield Row(
            f"{said}: {what}", "a loop of the official SDK, a day at a time", row["ratio"], MARKS.get(what), times
        )
