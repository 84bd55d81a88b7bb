"""Large JSON files: DuckDB gives exactly what the decoder gives, or the decoder reads the file."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import tempfile
from unittest import mock

import pandas as pd
import pytest

import vapi_frames as vf
from vapi_frames.errors import RecordsError
from vapi_frames.sources.local import fast_json

pytestmark = [pytest.mark.extra("local"), pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")]

CALL = {
    "id": "a", "createdAt": "2026-07-01T12:00:00.000Z", "startedAt": "2026-07-01T12:00:00Z", "cost": 0.5,
    "endedAt": "2026-07-01T12:02:00+00:00", "costBreakdown": {"llm": 0.25, "stt": 0.1}, "type": "webCall",
    "artifact": {"variableValues": {"plan": "pro", "n": 7.0, "o": {"a": [1, "ü"]}, "none": None}, "messages": [{}]},
    "assistantOverrides": {"variableValues": {"plan": "other", "none": "x"}}, "transcript": "variableValues.x",
}  # fmt: skip
LINE = json.dumps(CALL)
ODD = [
    {"variableValues.w": "flat"}, {"variableValues_w": "flat"}, {"costBreakdown.llm": 9}, {"cost_breakdown": {"llm": 9}},
    {"callId": "z", "id": None}, {"Call ID": "z", "Created At": "x", "Ended Reason": "y"}, {"createdAt": None},
    {"createdAt": 1782907200}, {"createdAt": "1970-01-01T12:00:00Z"}, {"createdAt": "9500-01-01T12:00:00Z"},
    {"createdAt": "2026-02-30T12:00:00Z"}, {"startedAt": "noon"}, {"startedAt": True}, {"cost": "2.5"}, {"cost": True},
    {"cost": 1e999}, {"cost": float("nan")}, {"cost": {"total": 3}}, {"cost": [1]}, {"costBreakdown": "text"},
    {"costBreakdown": '{"llm": 4}'}, {"costBreakdown": []}, {"costBreakdown": None}, {"costBreakdown": {}},
    {"costBreakdown": {"llm": "0.25"}}, {"artifact": []}, {"artifact": "x"}, {"artifact": {"variableValues": [1]}},
    {"artifact": {"variableValues": '{"plan": "text"}'}}, {"artifact": {"variableValues": {"o": {"a": 1.50}}}},
    {"artifact": {"variableValues": {"plan": {"a": 1e20}}}}, {"artifact": {"variableValues": {"plan": "\ud800"}}},
    {"artifact": {"variableValues": {"plan": {"a": "é\n"}}}}, {"id": 1e20}, {"id": 12345678901234567890123},
    {"id": {"a": 1}}, {"id": True}, {"type": 7.0}, {"duration": 3}, {"durationSeconds": 5, "endedAt": None},
    {"message": {"type": "end-of-call-report"}}, {"Cost": 9}, {"ID": "x"}, {"CreatedAt": "x"}, {"Artifact": {}},
    {"artifact": {"VariableValues": {}}}, {"artifact.variableValues.w": "flat"},
    {"artifact.structuredOutputs.o.name": "CSAT", "artifact.structuredOutputs.o.result": 4},
    {"artifact_skippedStructuredOutputs_o_name": "CSAT"}, {"variable_values": {"w": 1}},
    {"transcript": "the variableValues.plan: x"}, {"durationMs": "5"}, {"id": ""}, {"id": "x\u0000y"},
]  # fmt: skip
TEXTS = [
    LINE[:-1] + ', "cost": 9}', LINE.replace('"llm": 0.25', '"llm": 0.25, "llm": 9'), LINE + LINE, "null", "7", "{", "",
    LINE.replace('"n": 7.0', '"n": 7.0, "n": 8'), f"[{LINE}]", '{"results": [' + LINE + "]}", LINE[:-9],
    LINE.replace('"cost": 0.5', '"cost": NaN'), LINE.replace('"cost": 0.5', '"cost": 1e400'), "not JSON",
    LINE.replace('"cost"', '"\\u0063ost"'), LINE.replace('"webCall"', '"\\ud800"'), "{}", "[]",
    '{"message": {"type": "transcript"}}',
]  # fmt: skip


def ask(path, *, is_large):
    """Return what queries of the file give, or the text of the error; and how many files DuckDB converted."""
    smallest = 0 if is_large else 1 << 60
    converted = []

    def convert(*args):
        found = real(*args)
        converted.append(found is not None)
        return found

    real = fast_json.convert_fast
    with (
        mock.patch.multiple(fast_json, _SMALLEST=smallest, _SMALLEST_ZIPPED=smallest),
        mock.patch("vapi_frames.sources.local.spool.convert_fast", convert),
    ):
        calls = vf.local(path).call().between("1970-01-02", "3000-01-01")
        try:
            frames = [
                calls.count().sum("cost", "costBreakdown.llm", "costBreakdown.transcriber").avg("duration").fetch(),
                calls.count().by("type").by_variable("plan", "n", "o").by_output("CSAT").fetch(),
            ]
        except RecordsError as error:
            return str(error), sum(converted)
    found = [frame.reset_index().to_dict("list") for frame in frames]
    return [*found, frames[1].vapi.coverage.to_frame().to_dict("list")], sum(converted)


def is_same(one, other):
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return all(pd.DataFrame(a).equals(pd.DataFrame(b)) for a, b in itertools.zip_longest(one, other))


def choose_forms():
    """Yield (form, text): a third of the records and all texts, each in one form; the long form has all in both."""
    for number, text in enumerate([json.dumps({**CALL, **odd}) for odd in ODD] + TEXTS):
        for at, form in enumerate(("lines", "array")):
            usual = number % 6 == 3 * at if number < len(ODD) else number % 2 == at
            yield pytest.param(form, text, marks=[] if usual else pytest.mark.long)


@pytest.mark.parametrize(("form", "text"), [*choose_forms()])
def test_an_odd_record_says_the_same_in_a_large_file(tmp_path, text, form):
    path = tmp_path / "calls.jsonl"
    joined = f"{LINE}\n{text}\n{LINE}" if form == "lines" else f"[{LINE},\n{text},\n{LINE}]"
    path.write_text(joined, encoding="utf-8", newline="\n")
    wanted, _ = ask(path, is_large=False)
    found, _ = ask(path, is_large=True)
    assert is_same(found, wanted), (found, wanted)


@pytest.mark.parametrize("text", [f"{LINE}\n{LINE}\n", f" [{LINE},\n{LINE}]\n", f"{LINE}\n\n{LINE}"])
@pytest.mark.parametrize("is_zipped", [False, True])
def test_duckdb_converts_ordinary_files(tmp_path, text, is_zipped):
    path = tmp_path / ("calls.json.gz" if is_zipped else "calls.json")
    path.write_bytes(gzip.compress(text.encode()) if is_zipped else text.encode())
    wanted, slow = ask(path, is_large=False)
    found, fast = ask(path, is_large=True)
    assert (slow, fast) == (0, 1)
    assert is_same(found, wanted), (found, wanted)


@pytest.mark.parametrize("data", [
    b"[" + LINE.encode() + b"]\n[" + LINE.encode() + b"]", LINE.encode() + b"\n[" + LINE.encode() + b"]",
    LINE.encode("utf-16"), b"\xef\xbb\xbf" + LINE.encode(), LINE.encode().replace(b"webCall", b"\xff"), b"[]", b" ",
    b"[" + LINE.encode(), b"[" + LINE.encode() + b"] x", json.dumps(CALL, indent=1).encode(),
])  # fmt: skip
def test_an_odd_file_says_the_same_when_it_is_large(tmp_path, data):
    path = tmp_path / "calls.json"
    path.write_bytes(data)
    wanted, _ = ask(path, is_large=False)
    found, _ = ask(path, is_large=True)
    assert is_same(found, wanted), (found, wanted)


def test_a_file_that_needs_more_memory_is_left_to_the_decoder(tmp_path, monkeypatch):
    """The limit is one of the conversion alone, and what it stops has the same result."""
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(json.dumps({**CALL, "id": str(n), "transcript": "x" * 2_000}) + "\n" for n in range(2_000)))
    wanted, fast = ask(path, is_large=True)
    assert fast == 1
    monkeypatch.setattr(fast_json, "_MEMORY_LIMIT", "1MB")
    found, fast = ask(path, is_large=True)
    assert fast == 0
    assert is_same(found, wanted)


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_a_converted_file_is_private(tmp_path, monkeypatch):
    """DuckDB writes into the private file, not into one of its own that takes that name."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = tmp_path / "calls.jsonl"
    path.write_text(f"{LINE}\n{LINE}\n")
    before = os.umask(0)
    try:
        with mock.patch.multiple(fast_json, _SMALLEST=0, _SMALLEST_ZIPPED=0):
            vq = vf.local(path)
            vq.call().count().during("2026-07").fetch()
    finally:
        os.umask(before)
    [folder] = tmp_path.glob("vapi-frames-calls-*")
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    vq.close()
