"""Calls at regular instants, answered by a loop: what a server says of them, well or badly, and in which pieces."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from datetime import UTC, datetime, timedelta

from tests.support import servers
from vapi_frames.calendar import buckets as timegrid
from vapi_frames.errors import AuthenticationError, RateLimitError, StatusError
from vapi_frames.interface.connect import Vq
from vapi_frames.redact import Redactor
from vapi_frames.sources.api.client import ApiClient
from vapi_frames.sources.api.source import ApiSource
from vapi_frames.sources.http.connection import Connection

KEY = "sk-test-0001"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Calls:
    """A call every so many seconds since 1970, each of an assistant and with a cost that its number says.

    Args:
        every: Seconds between two calls.
        assistants: How many assistants take them in turn.
        dates: How the dates of buckets are written: as the ``instant``, or as the ``wall`` clock with ``Z``.
        between: The hours of the day, UTC, in which there are calls.
    """

    def __init__(self, *, every=997, assistants=5, dates="instant", between=(0, 24)):
        self.every, self.assistants, self.dates, self.between = every, assistants, dates, between

    def within(self, start, end):
        """Yield (instant, assistant, cost in cents) of the calls of [start, end), in seconds."""
        first = -(-start // self.every)
        for number in range(first, -(-end // self.every)):
            at = number * self.every
            if self.between[0] <= at // 3600 % 24 < self.between[1]:
                yield at, f"a{number % self.assistants}", number * 7919 % 1000

    def rows(self, start, end, step, zone, *, grouped):
        """Return (bucket, assistant) → [count, cents], for [start, end)."""
        tz, found, known = timegrid.find_zone(zone), defaultdict(lambda: [0, 0]), {}
        for at, assistant, cents in self.within(start, end):
            quarter = at // 900  # no offset of this century changes within a quarter of an hour
            bucket = step and (known.get((step, quarter)) if step not in ("second", "minute") else None)
            if step and bucket is None:
                bucket = known[step, quarter] = timegrid.floor_to_bucket(at, step, tz)
            entry = found[bucket, assistant if grouped else None]
            entry[0] += 1
            entry[1] += cents
        return dict(found)

    def answer(self, query, now):
        """Return the element of a reply to one query of a body."""
        span = query.get("timeRange", {})
        start = datetime.fromisoformat(span["start"]) if "start" in span else now - timedelta(days=7)
        end = datetime.fromisoformat(span["end"]) if "end" in span else now
        step, zone, groups = span.get("step"), span.get("timezone", "UTC"), query.get("groupBy", [])
        low, high = -((EPOCH - start) // timedelta(seconds=1)), -((EPOCH - end) // timedelta(seconds=1))
        rows = []
        for (bucket, assistant), (count, cents) in self.rows(low, high, step, zone, grouped=bool(groups)).items():
            row = {"date": self.date(bucket, zone)} if step else {}
            row |= dict.fromkeys(groups, assistant)
            for one in query["operations"]:
                row[one["alias"]] = str(count) if one["operation"] == "count" else cents / 100
            rows.append(row)
        echo = {**span, "start": start.isoformat(), "end": end.isoformat(), "timezone": zone}
        return {"name": query["name"], "timeRange": echo, "result": rows}

    def date(self, bucket, zone):
        """Return the date of a bucket as the server writes it."""
        at = timegrid.from_seconds(bucket)
        at = at if self.dates == "instant" else at.astimezone(timegrid.find_zone(zone))
        return at.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


class Wire:
    """Replaces the network: it replies from `Calls`, or fails as a test tells it, and keeps the requests.

    Args:
        calls: The call records from which it replies.
        fails: Of the queries of a body: the error that their request ends with, if any.

    Attributes:
        bodies: The queries of each request, in order.
        answered: The queries that it answered.
    """

    def __init__(self, calls, *, fails=lambda queries: None, change=lambda replies: replies, now=None):
        self.calls, self.fails, self.change = calls, fails, change
        self.now = now or datetime(2026, 11, 16, tzinfo=UTC)
        self.bodies, self.answered = [], []
        self._lock = threading.Lock()

    def post(self, path, body, *, attempts=None, divisible=False):
        """Reply to one request."""
        queries = json.loads(body)["queries"]
        with self._lock:
            self.bodies.append(queries)
            error = self.fails(queries)
        if error is not None:
            raise error
        found = self.change([self.calls.answer(query, self.now) for query in queries])
        with self._lock:
            self.answered += queries
        return json.dumps(found).encode()

    def scope(self):
        """Return the account of the requests: the host and the key's organization."""
        return "https://wire.test 0123456789abcdef"

    def redactor(self):
        """Return a redactor that knows no key."""
        return Redactor()


def over(wire, *, now=None, **options):
    """Return a vq that asks *wire*."""
    source = ApiSource(ApiClient(wire, now=now or getattr(wire, "now", None)), **options)
    return Vq(lambda: source)


def connected(server, *, now=None, attempts=4, sleep=None, timeout=5.0, largest=2**28, **options):
    """Return a vq that asks a `servers.Server`, and waits for nothing."""
    connection = Connection(
        KEY, base_url=server if isinstance(server, str) else server.url, attempts=attempts,
        sleep=sleep or (lambda _: None), timeout=timeout, largest=largest,
    )  # fmt: skip
    return over(connection, now=now, **options)


def counting(calls, now, *, faults=lambda request: None):
    """Return the behavior that replies from *calls*; *faults* may replace it for a request."""

    def behave(request, connection):
        other = faults(request)
        if other is not None:
            return other(request, connection)
        found = [calls.answer(query, now) for query in request.json()["queries"]]
        return servers.reply(201, found)(request, connection)

    return behave


def spans(queries):
    """Return the (start, end) of each query."""
    return [(one["timeRange"].get("start"), one["timeRange"].get("end")) for one in queries]


def build_query(vq, days=30, *, step="hour", tz="America/New_York", groups=("assistantId",)):
    """Return a query by the hour over some days."""
    query = vq.call().sum("cost").count().by(*groups).step(step).tz(tz)
    return query.between(
        datetime(2026, 10, 1, 4, tzinfo=UTC), datetime(2026, 10, 1, 4, tzinfo=UTC) + timedelta(days=days)
    )


def status(number, **options):
    """Return the error that a reply with this status becomes."""
    kind = {401: AuthenticationError, 429: RateLimitError}.get(number, StatusError)
    return kind(f"the API replied {number}", status=number, **options)
