"""How many times as long everything takes with ten times the rows."""

from __future__ import annotations

import functools

import vapi_frames as vf
from tests.benchmarks import records, replies, verbs
from tests.benchmarks.data import files
from tests.benchmarks.timing import OURS, Row, format_seconds, interleaved

MARK = 12


def rows(seed, folder, large, rounds):
    """Yield a row for each function whose time grows with the rows."""
    small = large // 10
    for what, made in _things(seed, folder).items():
        less, more = made(small), made(large)
        less(), more()
        seconds = interleaved({"less": less, "more": more}, rounds)
        ratio = min(seconds["more"]) / min(seconds["less"])
        said = f"{format_seconds(seconds['more'])} / {format_seconds(seconds['less'])}"
        yield Row(f"{what}, {large:,} rows", f"{small:,} rows", ratio, MARK, said)


def _things(seed, folder):
    def read(count):
        return functools.partial(replies.ours, replies.reply(count, seed), count)

    def verb(case):
        return lambda count: case(count, seed).contenders[OURS]

    def frame(count):
        return records.in_memory(count, seed).contenders[OURS]

    def parquet(count):
        vq = vf.local(files(folder, count, seed))
        return lambda: [records.ask(vq, query) for query in records.QUERIES.values()]

    def concurrency(count):
        return records.at_once(files(folder, count, seed))[OURS]

    return {
        "reply to frame": read,
        "ten queries to Parquet": parquet,
        "concurrency by the hour": concurrency,
        "sum of a DataFrame": frame,
        **{name: verb(case) for name, case in verbs.CASES.items()},
    }
