"""JSON files of calls: their layouts, broken files, and what stays in memory and on disk."""

from __future__ import annotations

import codecs
import gc
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest

import vapi_frames as vf
from tests.support.record_files import call, october, total, write
from vapi_frames.cancellation import Stop
from vapi_frames.errors import RecordsError, RecordsWarning, SourceError
from vapi_frames.sources.local import files, json_reader, spool
from vapi_frames.sources.records.flatten import iter_calls

pytestmark = pytest.mark.extra("local")

CALLS = [call("1"), call("2", cost=0.5, transcript='quotes "\\ and Ünï ☎ \u2028, [{'), call("3", cost=None)]
COMPACT = [json.dumps(one) for one in CALLS]
PLAIN = [json.dumps(one, ensure_ascii=False) for one in CALLS]
LAYOUTS = {
    "array": "[" + ",".join(PLAIN) + "]",
    "array, one a line": "[\n" + ",\n".join(PLAIN) + "\n]\n",
    "array, indented": "\n\n " + json.dumps(CALLS, indent=4) + "\r\n",
    "arrays one after another": f"[{PLAIN[0]}]\n[]\n[{PLAIN[1]},{PLAIN[2]}]",
    "lines": "\n".join(PLAIN),
    "lines with gaps": "\r\n\r\n" + "\r\n\n".join(PLAIN) + "\r\n \r\n",
    "lines of arrays": f"{PLAIN[0]}\n[{PLAIN[1]},\t{PLAIN[2]}]\n",
    "objects on one line": "".join(PLAIN),
    "objects, indented": "\n".join(json.dumps(one, indent=1) for one in CALLS),
    "page": json.dumps({"results": CALLS, "metadata": {"totalItems": 3}}),
    "pages, indented": "\n".join(json.dumps({"metadata": {}, "results": [one]}, indent=1) for one in CALLS),
}


ENDINGS = [".json", ".jsonl", ".ndjson", ".JSON", ".json.gz", ".jsonl.gz"]


# The everyday form tries each layout with every third ending, which are others for the next.
@pytest.mark.parametrize(
    ("layout", "ending"),
    [
        pytest.param(layout, ending, marks=[] if (row + column) % 3 == 0 else pytest.mark.long)
        for row, layout in enumerate(LAYOUTS)
        for column, ending in enumerate(ENDINGS)
    ],
)
def test_a_file_is_read_however_its_calls_are_laid_out(layout, ending, tmp_path):
    """An array, lines, objects one after another, pages: the text decides, not the name of the file."""
    path = tmp_path / f"calls{ending}"
    data = LAYOUTS[layout].encode()
    path.write_bytes(gzip.compress(data, mtime=0) if ending.endswith(".gz") else data)
    assert total(path) == (3, 0.75)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_chunk_may_end_anywhere(layout, tmp_path, monkeypatch):
    """Where a chunk of text ends changes neither the values nor their lines."""
    path = tmp_path / "calls.json"
    path.write_text(LAYOUTS[layout], encoding="utf-8", newline="\n")
    decoder = json_reader.JsonDecoder()

    def read():
        return [(line, one) for line, value in json_reader.read_values(str(path), decoder) for one in iter_calls(value)]

    whole = read()
    assert [one for _, one in whole] == CALLS
    for size in range(1, 60):
        monkeypatch.setattr(json_reader, "_CHUNK", size)
        assert read() == whole, size


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("layout", ["array, one a line", "lines"])
def test_encodings_of_json_are_recognized(encoding, layout, tmp_path):
    """A byte order mark, and the encodings of other shells, are read."""
    (tmp_path / "calls.json").write_bytes(LAYOUTS[layout].encode(encoding))
    assert total(tmp_path / "calls.json") == (3, 0.75)


def test_numbers_are_read_exactly(tmp_path):
    """In every notation of JSON; NaN, which Python writes for a missing value, is missing."""
    texts = ["0.1", "1e-1", "100E-3", "1", "NaN", "null", "-0.0", "0.30000000000000004"]
    lines = [f'{{"id": "{i}", "createdAt": "2026-10-01T00:00Z", "cost": {text}}}' for i, text in enumerate(texts)]
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    frame = october(tmp_path / "c.jsonl").sum("cost").count("cost").max("cost").fetch()
    assert frame.iloc[0].tolist() == [0.1 + 0.1 + 0.1 + 1 + 0.30000000000000004, 6, 1.0]


GOOD = '{"id": "g", "createdAt": "2026-10-01T00:00Z", "cost": 0.5}'
BAD_RECORDS = {
    "no object": ("7", "it is int, not an object"),
    "null": ("null", "it is NoneType, not an object"),
    "wrong kind": (GOOD.replace("0.5", '"0.5"'), "cost is '0.5', not a number"),
    "infinite": (GOOD.replace("0.5", "Infinity"), "cost is inf, not a number"),
    "too large": (GOOD.replace("0.5", "1e999"), "cost is inf, not a number"),
    "key twice": (GOOD.replace("{", '{"cost": 1, '), "an object of it has the key 'cost' twice"),
    "key twice within": (GOOD.replace("0.5", '0.5, "analysis": {"a": [{"b": 1, "b": 2}]}'), "the key 'b' twice"),
    "half a pair": (GOOD.replace('"g"', '"\\ud800"'), r"'id' holds no Unicode text: '\\ud800'"),
    "no time": ('{"id": "g"}', "it has no createdAt; it has id"),
    "no UTF-8": (GOOD.replace("g", "g\udcff"), "it is not UTF-8 text"),
}


@pytest.mark.parametrize("layout", ["lines", "array"])
@pytest.mark.parametrize("bad", BAD_RECORDS)
def test_a_bad_record_is_an_error_with_file_and_line_or_left_out(bad, layout, tmp_path):
    """In each layout that shows where the next record begins."""
    text, match = BAD_RECORDS[bad]
    path = tmp_path / "calls.json"
    separator, around = (",\n", "[\n{}\n]") if layout == "array" else ("\n", "\n{}\n")
    data = around.replace("{}", separator.join([GOOD.replace("g", "1"), text, GOOD.replace("g", "2")]))
    path.write_bytes(data.encode(errors="surrogateescape"))
    with pytest.raises(RecordsError, match=rf"calls\.json', line 3 \(call 2\): .*{match}") as caught:
        total(path)
    assert (caught.value.file, caught.value.line) == (str(path), 3)
    with pytest.warns(RecordsWarning, match=rf"left out: 1 \('.*calls\.json', line 3 \(call 2\): .*{match}"):
        frame = october(path, on_error="skip").sum("cost").fetch()
    assert frame["sumCost"].tolist() == [1.0]
    assert frame.vapi.meta.notes == ("records that could not be read and were left out: 1",)


BAD_LINES = {
    "cut off": GOOD[:-9],
    "comma": GOOD[:-1] + ",}",
    "nul": "\0" * 10,
    "words": "Traceback (most recent call last):",
    "deep": '{"a":' * 100_000,
    "digits": GOOD.replace("0.5", "9" * 5000),
    "byte order mark": "\ufeff" + GOOD,
}


@pytest.mark.parametrize("bad", BAD_LINES)
def test_a_broken_line_does_not_affect_other_lines(bad, tmp_path):
    """In JSON lines each line is read by itself, so only the broken one is left out."""
    path = tmp_path / "calls.jsonl"
    path.write_text("\n".join([GOOD.replace("g", "1"), BAD_LINES[bad], GOOD.replace("g", "2")]), encoding="utf-8")
    with pytest.raises(RecordsError, match=r"line 2 \(call 2\): it is (not JSON|nested too deeply)") as caught:
        total(path)
    assert caught.value.line == 2
    with pytest.warns(RecordsWarning, match="left out: 1 "):
        assert total(path, on_error="skip") == (2, 1.0)


@pytest.mark.parametrize(
    ("text", "line", "match"),
    [
        ("", None, "is empty"),
        (" \n ", None, "is empty"),
        ("<html>", 1, "it is not JSON from here on: Expecting value"),
        (f"[{GOOD},\n{GOOD}", 2, "ends within a value, as if it had been cut off"),
        (f"[{GOOD},\n{GOOD[:-20]}", 2, "as if it had been cut off"),
        (f'[{GOOD},\n{{"id": "', 2, "as if it had been cut off"),
        ("[", 1, "as if it had been cut off"),
        (f"[{GOOD},\n", 2, "as if it had been cut off"),
        (f"[{GOOD},\n\n]", 3, "a comma before the end of the array"),
        (f"[{GOOD}\n{GOOD}]", 2, "goes on without a comma"),
        (f"[{GOOD},\n{GOOD[:-1]} x}}, {GOOD}, {GOOD}]", 2, "Expecting ',' delimiter"),
        (f"[{GOOD}]\n]", 2, "Expecting value"),
        (f"[{GOOD},\n{'[' * 100_000}", 2, "nested too deeply"),
        (f"[{GOOD},\n{GOOD.replace('0.5', '9' * 5000)}]", 2, "too many digits"),
        ('{\n"id": 1,\n', 1, "as if it had been cut off"),
    ],
)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_broken_array_is_always_an_error(text, line, match, on_error, tmp_path):
    """Nothing shows where the next record begins, so an unknown number of records would be left out."""
    path = tmp_path / "calls.json"
    path.write_text(text)
    with pytest.raises(RecordsError, match=match) as caught:
        total(path, on_error=on_error)
    assert (caught.value.file, caught.value.line) == (str(path), line)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("name", "data"),
    [("c.json.gz", gzip.compress(GOOD.encode() * 99, mtime=0)[:-20]), ("c.json.gz", b"no gzip"),
     ("c.json.gz", gzip.compress(GOOD.encode(), mtime=0)[:12] + b"\xff" * 60), ("c.json", codecs.BOM_UTF16_LE + b"[\0\x00\xd8]\0")],
)  # fmt: skip
def test_bytes_that_are_no_text_are_an_error(name, data, tmp_path):
    """Broken compression and a broken encoding are errors with the file."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RecordsError, match=r"c\.json(\.gz)?' (cannot be read|is not text)") as caught:
        total(tmp_path / name)
    assert caught.value.file == str(tmp_path / name)


def test_lines_and_values_have_a_largest_length(tmp_path, monkeypatch):
    """A file without line ends does not fill the memory; a call of ten megabytes is read."""
    long = call("1", transcript="long " * 2_000_000)
    assert total(write(tmp_path / "a.jsonl", long, call("2"))) == (2, 0.5)
    (tmp_path / "a.json").write_text(json.dumps([long, call("2")]))
    assert total(tmp_path / "a.json") == (2, 0.5)
    monkeypatch.setattr(json_reader, "_LONGEST", 1 << 20)
    with pytest.raises(RecordsError, match=r"line 1 .*a value is longer than"):
        total(tmp_path / "a.jsonl")
    with pytest.warns(RecordsWarning, match="left out: 1 "):
        assert total(tmp_path / "a.jsonl", on_error="skip") == (1, 0.25)
    with pytest.raises(RecordsError, match="not JSON from here on: a value is longer than"):
        total(tmp_path / "a.json")


# --- files and folders ------------------------------------------------------------------------------------------


def test_a_folder_holds_parquet_and_json(tmp_path):
    """Both kinds are read, other and hidden files are not; a folder may have brackets, and links."""
    folder = tmp_path / "a[1] *"
    folder.mkdir()
    write(folder / "2026-10-01.jsonl", call("1"))
    pd.DataFrame([call("2")]).to_parquet(folder / "2026-10-02.PARQUET")
    (folder / "2026-10-03.json").write_text(json.dumps([call("3")]))
    (folder / "link.json").symlink_to(write(tmp_path / "elsewhere.json", call("4")))
    (folder / "notes.txt").write_text("no calls")
    (folder / "._2026-10-01.json").write_text("no calls")
    assert total(folder) == (4, 1.0)
    assert total(str(folder) + "/") == (4, 1.0)


def test_nothing_to_read_is_an_error(tmp_path):
    """A folder without calls, a pattern without a match, a file that was deleted."""
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(RecordsError, match="no Parquet, JSON, CSV or TSV file is in the folder"):
        vf.local(tmp_path)
    with pytest.raises(RecordsError, match="no file matches"):
        vf.local(str(tmp_path / "*.json"))
    vq = vf.local(write(tmp_path / "c.json", call()))
    (tmp_path / "c.json").unlink()
    with pytest.raises(RecordsError, match="no file matches"):
        vq.call().count().during("2026-10").fetch()


@pytest.mark.parametrize("text", ["[]", "[]\n[]", '{"results": []}'])
def test_files_without_a_call_are_like_an_empty_list(text, tmp_path):
    """Files without a call are no error, whatever the query uses."""
    (tmp_path / "c.json").write_text(text)
    (tmp_path / "d.jsonl").write_text("")
    with pytest.warns(RecordsWarning, match="there are none at all"):
        frame = october(tmp_path).count().sum("cost").by_variable("plan").fetch()
    assert frame.shape == (0, 2)
    active = vf.local(tmp_path).subscription().max("concurrency").step("day").between("2026-10-01", "2026-10-03")
    with pytest.warns(RecordsWarning, match="there are none at all"):
        assert active.fetch()["maxConcurrency"].tolist() == [0, 0]
    write(tmp_path / "e.jsonl", call())
    assert total(tmp_path) == (1, 0.25)


def test_a_column_may_come_late(tmp_path, monkeypatch):
    """A column of a later call is missing in those before it; a column of no call is an error."""
    monkeypatch.setattr(spool, "_BATCH_CALLS", 2)
    late = [call(str(i)) for i in range(5)]
    late[2]["costBreakdown"] = {"llm": 1.0}
    late[4] |= {"duration": 9, "artifact": {"variableValues": {"plan": "pro"}}, "startedAt": "2026-10-01T12:00Z"}
    path = write(tmp_path / "c.jsonl", *late)
    frame = october(path).sum("costBreakdown.llm").count().by_variable("plan").fetch()
    assert frame["countId"].tolist() == [1, 4]
    assert frame["sumCostBreakdownLlm"].sum() == 1.0
    with pytest.warns(RecordsWarning, match="own 'duration' is not used"):
        october(path).sum("duration").fetch()
    assert october(path).sum("costBreakdown.tts").fetch().isna().iloc[0, 0]


def converted(monkeypatch):
    """Return a list that gets the name of each JSON file that is read."""
    read = []
    original = spool.ParquetSpool.add_file

    def record(self, path, skipped):
        read.append(Path(path).name)
        original(self, path, skipped)

    monkeypatch.setattr(spool.ParquetSpool, "add_file", record)
    return read


def test_json_is_converted_once_and_again_where_it_changed(tmp_path, monkeypatch):
    """A second query reads no JSON; a changed, a new and a removed file show in the next result."""
    monkeypatch.setattr(files, "CALLS_PER_CHUNK", 2)
    read = converted(monkeypatch)
    for name in "abcde":
        write(tmp_path / f"{name}.jsonl", call(name))
    vq = vf.local(tmp_path)

    def count():
        read.clear()
        return vq.call().count().during("2026-10").fetch()["countId"].iloc[0], "".join(name[0] for name in read)

    assert count() == (5, "abcde")
    assert count() == (5, "")
    write(tmp_path / "c.jsonl", call("c"), call("c2"))
    assert count() == (6, "cd")
    assert count() == (6, "")
    write(tmp_path / "f.jsonl", call("f"))
    assert count() == (7, "ef")
    (tmp_path / "a.jsonl").unlink()
    assert count() == (6, "b")
    assert count() == (6, "")
    pd.DataFrame([call("p")]).to_parquet(tmp_path / "b2.parquet")
    assert count()[0] == 7
    write(tmp_path / "g.jsonl", call("f"))
    with pytest.warns(RecordsWarning, match="earlier record: 1"):
        assert count()[0] == 8


def test_a_conversion_is_finished_although_its_query_is_canceled(tmp_path, monkeypatch):
    """The next query needs it too: were it dropped, each query would begin it again, and it would never end."""
    read = converted(monkeypatch)
    for name in "abc":
        write(tmp_path / f"{name}.jsonl", call(name))
    vq = vf.local(tmp_path)
    stop = Stop()
    original = spool.flatten_call

    def last(one):
        if one["id"] == "b":
            stop.set()
        return original(one)

    monkeypatch.setattr(spool, "flatten_call", last)
    with stop.scope(), pytest.raises(SourceError, match="was cancelled"):
        vq.call().count().during("2026-10").fetch()
    assert read == ["a.jsonl", "b.jsonl", "c.jsonl"]
    read.clear()
    assert vq.call().count().during("2026-10").fetch()["countId"].tolist() == [3]
    assert read == []


def test_nothing_stays_on_disk(tmp_path, monkeypatch):
    """Temporary Parquet is removed with the source, when it is replaced, and after a conversion that failed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    path = write(tmp_path / "c.jsonl", call())
    vq = vf.local(path)
    query = vq.call().count().during("2026-10")
    query.fetch()
    [folder] = (tmp_path / "temporary").iterdir()
    assert len(list(folder.iterdir())) == 1
    write(path, call(), call("2"))
    assert query.fetch()["countId"].tolist() == [2]
    gc.collect()
    assert len(list(folder.iterdir())) == 1
    monkeypatch.setattr(spool, "_BATCH_CALLS", 1)
    path.write_text(GOOD + "\nbroken")
    with pytest.raises(RecordsError):
        query.fetch()
    del vq, query
    gc.collect()
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_removes_no_files(tmp_path):
    """The child of a fork leaves the temporary files of its parent."""
    vq = vf.local(write(tmp_path / "c.jsonl", call()))
    query = vq.call().count().during("2026-10")
    query.fetch()
    child = os.fork()
    if not child:
        try:
            vq.source._records._chunks.clear()
            vq.source._records = None
            gc.collect()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert query.fetch()["countId"].tolist() == [1]


def test_a_full_disk_is_a_records_error(tmp_path, monkeypatch):
    """The error has the path that could not be written."""
    monkeypatch.setattr(tempfile, "mkdtemp", lambda prefix: str(tmp_path / "no folder"))
    with pytest.raises(RecordsError, match="the calls cannot be written to .*no folder"):
        total(write(tmp_path / "c.jsonl", call()))


def test_paths_that_are_no_file_are_errors(tmp_path):
    """A folder with the name of a file, and a link to itself."""
    (tmp_path / "a.json").mkdir()
    with pytest.raises(RecordsError, match="no Parquet, JSON, CSV or TSV file is in the folder"):
        vf.local(tmp_path / "a.json")
    (tmp_path / "b.json").symlink_to(tmp_path / "b.json")
    with pytest.raises(RecordsError, match="no file matches|link to nothing|cannot be read"):
        vf.local(tmp_path / "b.json")


def test_a_file_counts_once_however_many_paths_match_it(tmp_path):
    """A folder and a file in it, two globs, and a link to a file that counts already."""
    path = write(tmp_path / "a.jsonl", call("1"))
    write(tmp_path / "b.jsonl", call("2"))
    assert total([tmp_path, path]) == (2, 0.5)
    assert total([str(tmp_path / "a*"), str(tmp_path / "*.jsonl")]) == (2, 0.5)
    (tmp_path / "c.jsonl").symlink_to(path)
    assert total(tmp_path) == (2, 0.5)


def test_a_folder_named_like_parquet_is_a_table(tmp_path):
    """Spark writes a table as a folder of Parquet files; other folders are not entered."""
    (tmp_path / "10.parquet").mkdir()
    pd.DataFrame([call("1")]).to_parquet(tmp_path / "10.parquet" / "part-0.parquet")
    pd.DataFrame([call("2")]).to_parquet(tmp_path / "10.parquet" / "part-1.parquet")
    (tmp_path / "10.parquet" / "_SUCCESS").touch()
    pd.DataFrame([call("3")]).to_parquet(tmp_path / "11.parquet")
    for form in (tmp_path, str(tmp_path / "*.parquet")):
        assert total(form) == (3, 0.75)
    assert total(tmp_path / "10.parquet") == (2, 0.5)


def test_a_partitioned_table_is_read_whole(tmp_path):
    """Spark writes a folder for each value of a column; their files count, also below two of them."""
    for day, number in (("2026-10-01", "1"), ("2026-10-02", "2")):
        folder = tmp_path / "calls" / f"day={day}" / "region=eu"
        folder.mkdir(parents=True)
        pd.DataFrame([call(number)]).to_parquet(folder / "part-0.parquet")
    write(tmp_path / "calls" / "a.jsonl", call("3"))
    (tmp_path / "calls" / "notes").mkdir()
    write(tmp_path / "calls" / "notes" / "b.jsonl", call("4"))
    assert total(tmp_path / "calls") == (3, 0.75)
    assert total(str(tmp_path / "calls" / "day=*")) == (2, 0.5)
    (tmp_path / "calls").rename(tmp_path / "10.parquet")
    assert total(tmp_path) == (3, 0.75)


def test_a_table_that_is_partitioned_by_a_column_of_the_records_is_refused(tmp_path):
    """The calls would have no type, and a query by type would count them as missing."""
    (tmp_path / "type=webCall").mkdir()
    path = tmp_path / "type=webCall" / "part-0.parquet"
    pd.DataFrame([call("1")]).drop(columns="type", errors="ignore").to_parquet(path)
    with pytest.raises(RecordsError, match="partitioned by 'type'"):
        vf.local(tmp_path)
    pd.DataFrame([{**call("1"), "type": "webCall"}]).to_parquet(path)
    assert total(tmp_path) == (1, 0.25)


def test_a_link_to_nothing_is_an_error(tmp_path):
    """In a folder and where a glob matches it: its calls would be missing from every result."""
    write(tmp_path / "a.jsonl", call("1"))
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "gone.jsonl")
    for form in (tmp_path, str(tmp_path / "*.jsonl")):
        with pytest.raises(RecordsError, match=r"b\.jsonl' is a link to nothing"):
            vf.local(form)


def test_temporary_parquet_that_was_removed_is_made_again(tmp_path, monkeypatch):
    """A cleaner of temporary files removes the files, or their folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    query = october(write(tmp_path / "c.jsonl", call())).count()
    for remove in (lambda folder: [file.unlink() for file in folder.iterdir()], shutil.rmtree):
        assert query.fetch()["countId"].tolist() == [1]
        [folder] = (tmp_path / "temporary").iterdir()
        remove(folder)
    assert query.fetch()["countId"].tolist() == [1]


def test_relative_paths_are_those_of_the_folder_at_the_start(tmp_path, monkeypatch):
    """A later change of the working directory does not change which files are read."""
    (tmp_path / "other").mkdir()
    write(tmp_path / "c.jsonl", call())
    monkeypatch.chdir(tmp_path)
    query = october("*.jsonl").count()
    monkeypatch.chdir(tmp_path / "other")
    assert query.fetch()["countId"].tolist() == [1]


PEAK = """
import json, resource, sys
import vapi_frames as vf
one = json.dumps({"id": "%d", "createdAt": "2026-10-01T12:00:00Z", "cost": 0.25, "analysis": {"summary": "word " * 40},
                  "artifact": {"variableValues": {"plan": "pro"}}})
count, is_array = int(sys.argv[2]), sys.argv[3] == "array"
with open(sys.argv[1], "w") as file:
    file.write("[" if is_array else "")
    for number in range(count):
        file.write(("," if is_array and number else "") + one % number + ("" if is_array else "\\n"))
    file.write("]" if is_array else "")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
source = vf.local(sys.argv[1]).source
assert source._records.read().paths
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.long
@pytest.mark.parametrize("layout", ["lines", "array"])
def test_memory_does_not_grow_with_the_file(layout, tmp_path, choose):
    """Four times as many calls take about the same memory to convert."""
    pytest.importorskip("resource")
    grown = []
    for count in choose((10_000, 40_000), (25_000, 100_000)):
        command = [sys.executable, "-c", PEAK, str(tmp_path / "c.json"), str(count), layout]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=Path(vf.__file__).parents[1], env={**os.environ}
        )
        grown.append(int(done.stdout) / (1024 if sys.platform != "darwin" else 1024**2))
    assert grown[1] < grown[0] + 30, f"{grown} MB"
