"""A result of a thousand rows from the endpoint, against the same SQL in this process."""

from __future__ import annotations

import http.client
import json
import threading
import time
from statistics import median

import duckdb

from tests.benchmarks.data import ZONE, files
from tests.benchmarks.timing import Row, format_seconds
from tests.support.endpoint import SAFETY, command
from vapi_frames import vq

DAYS = ("2025-03-10T04:00:00.000Z", "2025-09-26T04:00:00.000Z")  # two hundred, by five assistants


def build_query():
    """Return the query."""
    return vq.call().sum("cost").count().by("assistantId").step("day").between(*DAYS).tz(ZONE)


def rows(seed, count, folder, rounds, clients=8):
    """Yield the rows of the table."""
    pattern = files(folder, count, seed)
    connection = duckdb.connect()
    sql = f"""
        SELECT date_trunc('day', "createdAt" AT TIME ZONE '{ZONE}') AS d, "assistantId", sum(cost), count(*)
        FROM read_parquet('{pattern}')
        WHERE "createdAt" >= TIMESTAMPTZ '{DAYS[0]}' AND "createdAt" < TIMESTAMPTZ '{DAYS[1]}' GROUP BY ALL ORDER BY ALL"""
    body = json.dumps(build_query().body())
    with command(pattern) as (endpoint, _, _):
        client = _Client(endpoint)
        [result] = client.ask(body)
        hand = connection.sql(sql).fetchall()
        assert len(result["result"]) == len(hand) >= 900
        ours, theirs = [], []
        for _ in range(20 * rounds):
            began = time.perf_counter()
            client.ask(body)
            between = time.perf_counter()
            connection.sql(sql).fetchall()
            ours.append(between - began)
            theirs.append(time.perf_counter() - between)
        said = f"{format_seconds([median(ours)])} / {format_seconds([median(theirs)])} of {count:,} calls"
        what = f"endpoint, {len(hand):,}-row result, p50"
        yield Row(what, "the same SQL in process", median(ours) / median(theirs), 3, said)
        yield Row(
            f"the same, {clients} clients at once",
            "",
            _busy(endpoint, body, clients, rounds),
            None,
            "requests per second",
            "/s",
        )


class _Client:
    def __init__(self, endpoint):
        self.connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=SAFETY)
        self.headers = {"Authorization": f"Bearer {endpoint.key}", "Content-Type": "application/json"}

    def ask(self, body):
        self.connection.request("POST", "/analytics", body, self.headers)
        reply = self.connection.getresponse()
        content = reply.read()
        assert reply.status == 201, content
        return json.loads(content)


def _busy(endpoint, body, clients, seconds):
    """Return how many replies a second come when *clients* ask as fast as they can."""
    counts, stop = [], threading.Event()

    def work():
        client, count = _Client(endpoint), 0
        while not stop.is_set():
            client.ask(body)
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join(SAFETY)
    return sum(counts) / seconds
