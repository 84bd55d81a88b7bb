"""An API that lists calls, in any order and with any limit, for the tests of archives."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet as pq

from tests.support.servers import Server, failing, reply
from vapi_frames.interface.connect import Vq
from vapi_frames.sources.api.client import ApiClient
from vapi_frames.sources.api.source import ApiSource
from vapi_frames.sources.archive.archive import archive
from vapi_frames.sources.http.connection import Connection

KEY = "archive-test-key-4c1b77"
NOW = datetime(2026, 10, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
DATA = Path(__file__).parents[1] / "data"
EARLIER = DATA / "archive-2026-10"
"""An archive that an earlier version wrote on 6 October: three days with calls, and one without, without digests."""


def at(day, hour=12, **more):
    """Return a time in October 2026."""
    return datetime(2026, 10, day, hour, **more, tzinfo=UTC)


def call(id_, created, **more):
    """Return a call that is over, as the API lists it; *created* is finer than its JSON shows."""
    text = created.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    record = {
        "id": id_, "orgId": "org-1", "type": "webCall", "status": "ended", "endedReason": "customer-ended-call",
        "createdAt": text, "startedAt": text, "endedAt": text.replace("Z", "0Z"), "cost": 0.25,
        "costBreakdown": {"llm": 0.05, "stt": 0.02, "analysisCostBreakdown": {"summary": 0.01}},
        "artifact": {"variableValues": {"plan": "pro"}},
    }  # fmt: skip
    return {**record, **more}, created


class Calls:
    """An API that lists calls; it may change between two runs.

    Attributes:
        records: Pairs of a record and its exact instant.
        order: ``newest``, ``oldest``, or a number that shuffles.
        most: The limit of the API itself.
        requests: The parameters of every request.
        broken: Number of a request → the reply to it instead.
    """

    def __init__(self, *records, order="newest", most=1_000):
        self.records = list(records)
        self.order = order
        self.most = most
        self.requests = []
        self.broken = {}

    def __call__(self, request, connection):
        parts = urlsplit(request.target)
        sent = {name: value for name, [value] in parse_qs(parts.query).items()}
        self.requests.append(sent)
        if parts.path != "/call":
            return failing(404)(request, connection)
        if len(self.requests) in self.broken:
            return self.broken[len(self.requests)](request, connection)
        low, high = (datetime.fromisoformat(sent[name]) for name in ("createdAtGe", "createdAtLt"))
        found = [(record, created) for record, created in self.records if low <= created < high]
        if "updatedAtGt" in sent:
            after = datetime.fromisoformat(sent["updatedAtGt"])
            found = [
                one for one in found if datetime.fromisoformat(one[0].get("updatedAt", one[0]["createdAt"])) > after
            ]
        if isinstance(self.order, int):
            random.Random(self.order + len(self.requests)).shuffle(found)
        else:
            found.sort(key=lambda pair: pair[1], reverse=self.order == "newest")
        return reply(200, [record for record, _ in found][: min(int(sent["limit"]), self.most)])(request, connection)

    def days(self):
        """Return the first and last day of each request since the last time, but for those of what changed."""
        sent, self.requests = [one for one in self.requests if "updatedAtGt" not in one], []
        ms = timedelta(milliseconds=1)
        sides = [
            (datetime.fromisoformat(one["createdAtGe"]) + ms, datetime.fromisoformat(one["createdAtLt"]) - 2 * ms)
            for one in sent
        ]
        return [(low.day, high.day) for low, high in sides]


def connect(server, **options):
    """Return a connection that waits for nothing."""
    options = {"sleep": lambda _: None, "attempts": 2, "timeout": 5, **options}
    return Connection(KEY, base_url=server.url, **options)


def vq_of(server, **options):
    """Return a vq that asks *server*."""
    source = ApiSource(ApiClient(connect(server, **options)))
    return Vq(lambda: source)


def store(calls, folder, *, now=NOW, **options):
    """Archive *calls*; return what was done."""
    with Server(calls) as server:
        return archive(connect(server), folder, now=now, **options)


def ids(folder):
    """Return the ids of each day's file."""
    paths = sorted(Path(folder).glob("*.parquet"))
    return {path.stem: sorted(pq.read_table(path).column("id").to_pylist()) for path in paths}


def texts(folder):
    """Return all that is in the files of a folder, also what is compressed, as one text."""
    found = []
    for path in Path(folder).iterdir():
        found.append(path.read_bytes().decode("latin-1"))
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            found.append(f"{table.schema} {table.schema.metadata} {table.to_pylist()}")
    return " ".join(found)
