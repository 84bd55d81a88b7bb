"""From the bytes of a reply to a typed frame: this package, plain pandas, the official SDK, and the fastest parsers."""

from __future__ import annotations

import functools
import io
import json
import random
import tempfile
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

import vapi_frames as vf
from tests.benchmarks.timing import OURS, Case, Row, format_seconds, interleaved, paired, peak

BEGIN = datetime(2024, 11, 1, tzinfo=UTC)
KEYS = ["date", "assistantId", "endedReason"]
REASONS = ("customer-ended-call", "assistant-ended-call", "silence-timed-out", "voicemail", "assistant-forwarded-call")
ASSISTANTS = 40


@functools.lru_cache(1)
def reply(rows, seed):
    """Return the bytes of a reply by hour, assistant and ended reason, counts as text, as the API has them."""
    rng = random.Random(seed)
    names = [f"{rng.getrandbits(128):032x}" for _ in range(ASSISTANTS)]
    hours = rows // (ASSISTANTS * len(REASONS))
    made = [
        {
            "date": (BEGIN + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "assistantId": name,
            "endedReason": reason,
            "sumCost": round(rng.random() * 50, 4),
            "avgDuration": round(rng.random() * 9, 6),
            "countId": str(rng.randrange(1, 99)),
        }
        for hour in range(hours)
        for name in names
        for reason in REASONS
    ]
    span = {"step": "hour", "start": _iso(0), "end": _iso(hours), "timezone": "UTC"}
    return json.dumps([{"name": "q", "timeRange": span, "result": made}], separators=(",", ":")).encode()


def _iso(hours):
    return (BEGIN + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def build_query(rows):
    """Return the query that belongs to such a reply."""
    query = vf.vq.call().sum("cost").avg("duration").count().by("assistantId", "endedReason").step("hour")
    return query.between(BEGIN, BEGIN + timedelta(hours=rows // (ASSISTANTS * len(REASONS)))).named("q")


def ours(content, rows):
    """Read it with this package."""
    return vf.to_frame(content, _built(rows))


_built = functools.lru_cache(build_query)


def plain(content, rows):
    """Read it as a notebook does."""
    return _framed(pd.DataFrame(json.loads(content)[0]["result"]))


def _framed(frame):
    frame["date"] = pd.to_datetime(frame["date"])
    frame["countId"] = pd.to_numeric(frame["countId"])
    return frame.set_index(KEYS)


def sdk(content, rows):
    """Read it with the official SDK, over a transport that returns the bytes at once."""
    [result] = _client(content).analytics.get(queries=_built(rows).body()["queries"])
    return _framed(pd.DataFrame(result.result))


@functools.lru_cache(1)
def _client(content):
    import httpx
    from vapi import Vapi

    transport = httpx.MockTransport(lambda request: httpx.Response(201, content=content))
    return Vapi(token="benchmark", httpx_client=httpx.Client(transport=transport))


def _indexed(dates, assistants, reasons, **measures):
    """Return the same frame from Arrow arrays, as fast as possible: each distinct date and text is converted once."""
    levels, codes = [], []
    for column in (dates, assistants, reasons):
        encoded = column.dictionary_encode() if isinstance(column, pa.Array) else column.combine_chunks()
        encoded = encoded.dictionary_encode() if not isinstance(encoded, pa.DictionaryArray) else encoded
        values = encoded.dictionary
        order = np.argsort(values.to_numpy(zero_copy_only=False))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        levels.append(values.take(pa.array(order)).to_pandas())
        codes.append(place[encoded.indices.to_numpy()])
    levels[0] = pd.to_datetime(levels[0])
    index = pd.MultiIndex(levels=levels, codes=codes, names=KEYS, verify_integrity=False)
    frame = pd.DataFrame({name: np.asarray(values) for name, values in measures.items()}, index=index)
    return frame.astype({"countId": np.int64}, copy=False)


def _from_rows(rows):
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    arrays = [pa.array(columns[key]) for key in KEYS]
    counts = pa.array(columns["countId"]).cast(pa.int64())
    return _indexed(
        *arrays, sumCost=np.array(columns["sumCost"]), avgDuration=np.array(columns["avgDuration"]), countId=counts
    )


def with_orjson(content, rows):
    """Read it with orjson."""
    import orjson

    return _from_rows(orjson.loads(content)[0]["result"])


@functools.lru_cache(1)
def _decoder():
    import msgspec

    types = [*((key, str) for key in KEYS), ("sumCost", float), ("avgDuration", float), ("countId", str)]
    one = msgspec.defstruct("One", types)
    whole = msgspec.defstruct("Reply", [("result", list[one])])
    return msgspec.json.Decoder(list[whole])


def with_msgspec(content, rows):
    """Read it with msgspec, with the schema of a row given beforehand."""
    found = _decoder().decode(content)[0].result
    arrays = [pa.array([getattr(one, key) for one in found]) for key in KEYS]
    return _indexed(
        *arrays,
        sumCost=np.array([one.sumCost for one in found]),
        avgDuration=np.array([one.avgDuration for one in found]),
        countId=pa.array([one.countId for one in found]).cast(pa.int64()),
    )


def with_polars(content, rows):
    """Read it with polars."""
    import polars as pl

    table = pl.read_json(io.BytesIO(content), infer_schema_length=None).select("result").explode("result")
    table = table.unnest("result").with_columns(pl.col("countId").cast(pl.Int64)).to_arrow()
    arrays = [table.column(key).cast(pa.string()) for key in KEYS]
    return _indexed(*arrays, **{key: table.column(key) for key in ("sumCost", "avgDuration", "countId")})


def with_duckdb(content, rows):
    """Read it with DuckDB, which reads files only."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "reply.json")
        path.write_bytes(content)
        columns = (
            "date VARCHAR, assistantId VARCHAR, endedReason VARCHAR, sumCost DOUBLE, avgDuration DOUBLE, countId BIGINT"
        )
        struct = f"STRUCT({columns})[]"
        table = duckdb.sql(
            f"SELECT unnest(result, recursive := true) FROM read_json('{path}', columns = {{result: '{struct}'}}, "
            f"maximum_object_size = {len(content) + 1})"
        ).to_arrow_table()
    return _indexed(
        *(table.column(key) for key in KEYS),
        **{key: table.column(key) for key in ("sumCost", "avgDuration", "countId")},
    )


def with_arrow(content, rows):
    """Read it with Arrow, with the schema of a row given beforehand."""
    import pyarrow.json

    one = pa.struct(
        [
            *((key, pa.string()) for key in KEYS),
            ("sumCost", pa.float64()),
            ("avgDuration", pa.float64()),
            ("countId", pa.string()),
        ]
    )
    schema = pa.schema([("r", pa.list_(pa.struct([("result", pa.list_(one))])))])
    whole = b'{"r":' + content + b"}"
    table = pyarrow.json.read_json(
        io.BytesIO(whole),
        pyarrow.json.ReadOptions(block_size=len(whole) + 1),
        pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )
    found = table.column(0).combine_chunks().flatten().field("result").flatten()
    counts = found.field("countId").cast(pa.int64())
    numbers = {key: found.field(key) for key in ("sumCost", "avgDuration")}
    return _indexed(*(found.field(key) for key in KEYS), **numbers, countId=counts)


PARSERS = {
    "orjson": with_orjson,
    "msgspec": with_msgspec,
    "polars": with_polars,
    "DuckDB": with_duckdb,
    "pyarrow.json": with_arrow,
}
NOTEBOOK = "pd.DataFrame(json), to_datetime, to_numeric, set_index"


def name_sdk():
    """Return what the rows call the official SDK of this environment."""
    return f"the official SDK {version('vapi-server-sdk')}, `client.analytics.get`, and the same pandas"


def case(rows, seed, marks):
    """Return the contenders for a reply of *rows*."""
    content = reply(rows, seed)
    readers = {OURS: ours, NOTEBOOK: plain, name_sdk(): sdk, **PARSERS}
    wanted = {OURS, *marks}
    contenders = {name: functools.partial(read, content, rows) for name, read in readers.items() if name in wanted}
    return Case(
        f"reply of {rows:,} rows to a typed frame",
        contenders,
        marks,
        lambda frame: frame["sumCost"].sum() + frame["countId"].sum(),
    )


def rows(seed, large, rounds):
    """Yield the rows of the table; *large* is the number of rows of the largest reply."""
    medium = large // 10
    yield from case(1_000, seed, {name_sdk(): 0.2}).rows(5 * rounds)
    yield from case(medium, seed, {NOTEBOOK: 0.6, name_sdk(): 0.08}).rows(rounds)
    prepare = (
        "from tests.benchmarks import replies\ncontent = replies.reply({medium}, {seed})\n"
        "replies.{tool}(replies.reply(1_000, {seed}), 1_000)\nimport gc; gc.collect()"
    )
    memory = {
        tool: peak(prepare.format(tool=tool, seed=seed, medium=medium), f"result = replies.{tool}(content, {medium})")
        for tool in ("ours", "plain")
    }
    yield Row(
        f"the same {medium:,} rows, peak memory", NOTEBOOK, memory["ours"] / memory["plain"], 0.8,
        f"{memory['ours']:.0f} MB / {memory['plain']:.0f} MB",
    )  # fmt: skip
    largest = case(large, seed, dict.fromkeys(PARSERS, 1.1))
    largest.check()
    seconds = interleaved(largest.contenders, max(2, rounds // 2))
    best = min(PARSERS, key=lambda name: min(seconds[name]))
    others = ", ".join(f"{name} {format_seconds(seconds[name])}" for name in PARSERS)
    yield Row(
        largest.name, f"the fastest of orjson, msgspec, polars, DuckDB and pyarrow.json: {best}",
        paired(seconds[OURS], seconds[best]), 1.1, f"{format_seconds(seconds[OURS])} / {others}",
    )  # fmt: skip
