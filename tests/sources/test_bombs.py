"""Small files and replies that are gigabytes once they are read: an error names the limit, and memory is bounded.

`pytest --long` tries every kind; the short form those that take the most.
"""

import contextlib
import gzip
import json
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pytest

import vapi_frames as vf
from tests.support import servers
from tests.support.peak import run_measured
from tests.support.shapes import same
from tests.support.wires import Calls, build_query, connected, counting
from vapi_frames import errors
from vapi_frames.contract import json_size

pytestmark = pytest.mark.extra("local")

NOW = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)
MOST_MEGABYTES = 750  # of which Python, pandas and DuckDB take some 150
CALL = b'"id": "a", "createdAt": "2026-10-01T00:00:00Z"'
MANY = "holds more than 4,000,000 keys and values"
LONG = "is longer than 67,108,864 characters"
FILES = {  # name -> head, what is repeated, how often, tail, and what the error says
    "lists.json.gz": (b'[{%s, "x": [', b"[],", 30_000_000, b"0]}]", MANY),
    "lists.jsonl.gz": (b'{%s, "x": [', b"[],", 30_000_000, b"0]}\n", LONG),
    "objects.jsonl.gz": (b'{%s, "x": [', b'{"a":0},', 7_000_000, b"0]}\n", MANY),
    "emoji.json.gz": (b'[{%s, "x": "\xf0\x9f\x98\x80', b"a", 120_000_000, b'"}]', LONG),
    "escapes.jsonl.gz": (b'{%s, "x": "', b"\\u0061", 20_000_000, b'"}\n', LONG),
    "digits.json.gz": (b'[{%s, "x": ', b"1", 90_000_000, b"}]", "too many digits"),
    "deep.json.gz": (b'[{%s, "x": ', b"[", 60_000_000, b"", "nested too deeply"),
    "deep-objects.json.gz": (b'[{%s, "x": ', b'{"a":', 12_000_000, b"", "nested too deeply"),
    "variables.jsonl.gz": (b'{%s, "artifact": {"variableValues": {"a": [', b"[],", 20_000_000, b"0]}}}\n", MANY),
}
TABLES = {
    "cell.csv.gz": (b'id,createdAt,x\na,2026-10-01,"', b"a", 300_000_000, b'"\n', "a line may have 4,194,304 bytes"),
    "line.csv.gz": (b'id,createdAt,x\na,2026-10-01,"', b"a", 6_000_000, b'"\n', "longer than 4,194,304 bytes"),
    "cells.csv.gz": (
        b'id,createdAt,artifact\na,2026-10-01,"{""x"": [',
        b"[],",
        1_000_000,
        b'0]}"\n',
        "more than 100,000",
    ),
    "rows.csv.gz": (b"id,createdAt\n", b",\n", 50_000_000, b"", "have no createdAt"),
    "columns.csv.gz": (b"id,createdAt", b",x", 200_000, b"\n", "200,002 columns, at most 10,000 are read"),
}
REPLIES = {  # what is repeated within the rows, how often, tail
    "lists": (b"[],", 20_000_000, b"0"),
    "text": (b"a", 250_000_000, b""),
    "codes": (b"&#97;%61", 3_000_000, b""),
    "objects": (b'{"a":0},', 7_000_000, b"{}"),
    "few-objects": (b'{"a":0},', 1_200_000, b"{}"),
    "deep": (b"[", 60_000_000, b""),
}
READ = """
import sys, warnings
import vapi_frames as vf
warnings.simplefilter("ignore")
for path in sys.argv[1:]:
    try:
        vf.local(path).call().count().during("2026-10").fetch()
    except vf.VapiFramesError as error:
        print(f"{type(error).__name__}: {error}")
"""
READ_CELLS = """
import sys, warnings
import pandas as pd
import vapi_frames as vf
warnings.simplefilter("ignore")
[path] = sys.argv[1:]
vq = vf.local(path if path.endswith("csv") else pd.read_pickle(path))
print(vq.call().count().by_variable("plan").during("2026-10").fetch()["countId"].to_dict())
"""
SEND = """
import sys
import vapi_frames as vf
for url in sys.argv[1:]:
    try:
        vf.connect("a-private-key", base_url=url).call().count().by("type").during("2026-10-01").fetch()
    except vf.VapiFramesError as error:
        print(f"{type(error).__name__}: {error}")
"""


def write_bomb(path, head, part, times, tail):
    """Write a compressed file in which *part* is repeated."""
    block = 1 + 2_000_000 // len(part)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(head)
        for at in range(0, times, block):
            file.write(part * min(block, times - at))
        file.write(tail)
    return path


@pytest.mark.long
def test_a_file_that_is_small_only_while_compressed_does_not_fill_the_memory(tmp_path):
    """Many empty lists, objects, long texts: the error names the limit, and the peak is bounded."""
    paths = [write_bomb(tmp_path / name, text % CALL, *more) for name, (text, *more, _) in FILES.items()]
    printed, peak = run_measured(READ, *paths)
    assert len(printed) == len(paths)
    for name, line in zip(FILES, printed, strict=True):
        assert line.startswith("RecordsError: ")
        assert FILES[name][4] in line
    assert peak < MOST_MEGABYTES


@pytest.mark.long
def test_a_table_that_is_small_only_while_compressed_does_not_fill_the_memory(tmp_path):
    """Long cells and lines, cells of JSON that hold much, many rows and columns."""
    paths = [write_bomb(tmp_path / name, *parts) for name, (*parts, _) in TABLES.items()]
    printed, peak = run_measured(READ, *paths)
    assert len(printed) == len(paths)
    for name, line in zip(TABLES, printed, strict=True):
        assert line.startswith("RecordsError: ")
        assert TABLES[name][4] in line
    assert peak < MOST_MEGABYTES


@pytest.mark.long
@pytest.mark.parametrize("form", ["csv", "frame"])
def test_long_cells_of_json_are_parsed_a_few_at_a_time(form, tmp_path):
    """A table of long JSON cells takes a fraction of what all of its cells would take at once."""
    cell = json.dumps({"variableValues": {"plan": "pro"}, "x": [[]] * 30_000}, separators=(",", ":"))
    frame = pd.DataFrame({"id": range(1_000), "createdAt": "2026-10-01T00:00:00Z", "artifact": cell})
    path = tmp_path / f"a.{form}"
    frame.to_csv(path, index=False) if form == "csv" else frame.to_pickle(path)
    printed, peak = run_measured(READ_CELLS, path)
    assert printed == ["{'pro': 1000}"]
    assert peak < 2 * MOST_MEGABYTES


@pytest.mark.parametrize("form", ["frame", "table", "Parquet"])
def test_a_long_cell_of_json_is_refused(form, tmp_path):
    """A cell of more than 4 MB, or 100,000 keys and values where the table is in memory, is an error that says so."""
    dense, long = (
        "{" + f'"variableValues": {text}' + "}" for text in ("[" + "[]," * 60_000 + "0]", f'"{"a" * 5_000_000}"')
    )
    for cell, message in ((dense, "holds more than 100,000 keys and values"), (long, "longer than 4,194,304 bytes")):
        data = pd.DataFrame({"id": ["a"], "createdAt": "2026-10-01T00:00:00Z", "artifact": cell})
        if form == "table":
            data = pa.Table.from_pandas(data)
        elif form == "Parquet":
            data.to_parquet(tmp_path / "a.parquet")
            data = tmp_path / "a.parquet"
        if form != "Parquet" or cell is long:
            with pytest.raises(errors.RecordsError, match=f"artifact.* {message}"):
                vf.local(data).call().count().by_variable("plan").during("2026-10").fetch()


@pytest.mark.long
def test_a_reply_that_is_small_only_while_compressed_does_not_fill_the_memory(tmp_path):
    """A server's reply is bounded by its bytes, and by what it holds."""
    begin = b'[{"name": "q", "timeRange": {"start": "2026-10-01T00:00:00Z"}, "result": ['
    with contextlib.ExitStack() as stack:
        urls = []
        for name, (part, times, tail) in REPLIES.items():
            quote = b'"' if name in ("text", "codes") else b""
            content = write_bomb(tmp_path / name, begin + quote, part, times, tail + quote + b"]}]").read_bytes()
            assert len(content) < 2_000_000
            server = servers.Server(servers.reply(200, content, Content_Encoding="gzip"))
            urls.append(stack.enter_context(server).url)
        printed, peak = run_measured(SEND, *urls)
    assert len(printed) == len(urls)
    assert all("Error: " in line for line in printed)
    assert "holds more than 4,000,000 keys and values: fetch fewer buckets or groups" in printed[0]
    assert "more than 67,108,864 bytes: fetch fewer buckets or groups" in printed[1]
    assert peak < MOST_MEGABYTES


def test_a_reply_that_holds_too_much_is_requested_in_halves(monkeypatch):
    """As one with too many bytes: the parts together are the whole."""
    with servers.Server(counting(Calls(), NOW)) as server:
        whole = build_query(connected(server), 10).fetch()
        monkeypatch.setattr(json_size, "MOST_PARTS", 300)
        same(build_query(connected(server), 10).fetch(), whole)
        assert len(server.requests) > 3


@pytest.mark.parametrize("form", ["list", "texts", "frame", "lines"])
def test_each_form_of_records_has_the_limit(form, tmp_path, monkeypatch):
    """Text that is decoded as a whole: a line, a text of a list, a cell."""
    monkeypatch.setattr(json_size, "MOST_PARTS", 1_000)
    small, large = ({"id": one, "createdAt": "2026-10-01T00:00:00Z", "artifact": {"x": [[]] * count}}
                    for one, count in (("a", 400), ("b", 600)))  # fmt: skip
    calls = [small, large]
    if form == "texts":
        data = [json.dumps(one) for one in calls]
    elif form == "lines":
        (tmp_path / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in calls))
        data = tmp_path / "a.jsonl"
    else:
        data = [{**one, "artifact": json.dumps(one["artifact"])} for one in calls]
        data = pd.DataFrame(data).assign(cost=pd.Series([1, 2], dtype=object)) if form == "frame" else data
    with pytest.raises(errors.RecordsError, match=r"(text 2|call 2|line 2).* holds more than [0-9,]+ keys"):
        vf.local(data).call().sum("cost").by_variable("x").during("2026-10").fetch()
