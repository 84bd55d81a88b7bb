"""A large reply is read as columns, and gives what the strict reader gives: the same frame, warnings or error."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from unittest import mock

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from vapi_frames.contract import packed_rows
from vapi_frames.contract.models import parse_replies
from vapi_frames.errors import VapiFramesError

SPAN = {"step": "day", "start": "2026-10-01T00:00:00.000Z", "end": "2026-10-31T00:00:00.000Z", "timezone": "UTC"}
QUERY = vf.vq.call().count().sum("cost").avg("duration").by("assistantId").step("day").named("q")
QUERY = QUERY.between(SPAN["start"], SPAN["end"])
TEXTS = st.one_of(
    st.sampled_from(["", "a", "},{", '"result":[', "null", "\u0000", "é", "😀", '"', "\\", "\n"]), st.text(max_size=3)
)
NUMBERS = st.one_of(
    st.floats(-1e6, 1e6), st.integers(-5, 5), st.sampled_from([2**53 + 1, 10**30, 1e300, -0.0, 5e-324, 0.1])
)
ODD = st.sampled_from(
    [None, True, "1.5", "0x10", "1_0", " 2", "-3", "nan", "", "é", [], {"a": 1}, 1.5, 42.0, 2**70, "9" * 20]
)
COSTS = st.one_of(NUMBERS, NUMBERS, NUMBERS, ODD)
COUNTS = st.one_of(st.integers(0, 99).map(str), st.integers(0, 2**54))
BROKEN = (
    b"", b"NaN", b"-Infinity", b"1e400", b"null", b",", b"{}", b"},{", b"}{", b"}\n{", b"]", b"[", b'"', b"\\", b"\x00", b"\xff",
    b"\\ud800", b" ", b"\n", b"0", b'"countId":"7",', b'"extra":1,', b'}],"x":[{', b']} {"rows":[', b"]},{", b'"result":[',
)  # fmt: skip


@st.composite
def rows(draw):
    """Return rows that are mostly alike: a number as text, a key less, one more or another order is rare."""
    count = draw(st.integers(1, 6))
    is_text = draw(st.booleans())
    made = []
    for place in range(count):
        row = {"date": f"2026-10-{place + 1:02}T00:00:00.000Z", "assistantId": draw(st.one_of(TEXTS, st.none()))}
        row["countId"] = str(place) if is_text else place
        row["sumCost"] = draw(NUMBERS)
        row["avgDuration"] = draw(st.one_of(st.floats(0, 9), st.none()))
        made.append(row)
    for change in draw(st.lists(st.sampled_from(["less", "more", "other", "order"]), max_size=1)):
        row = made[draw(st.integers(0, count - 1))]
        key = draw(st.sampled_from(sorted(row)))
        if change == "less":
            del row[key]
        elif change == "more":
            row["extra"] = draw(COSTS)
        elif change == "other":
            row[key] = draw(st.one_of(ODD, COUNTS, COSTS))
        else:
            row[key] = row.pop(key)
    return made


def write(made, *, spaced=False, ascii_only=True):
    """Return the bytes of a reply with these rows."""
    separators = (", ", ": ") if spaced else (",", ":")
    reply = [{"name": "q", "timeRange": SPAN, "result": made}]
    return json.dumps(reply, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def read(content, query, *, smallest, piece=40):
    """Return the frame, or the error, and the warnings."""
    with (
        mock.patch.object(packed_rows, "SMALLEST", smallest),
        mock.patch.object(packed_rows, "_PIECE", piece),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        try:
            found = vf.to_frame(content, query, now="2026-11-05T00:00:00Z")
        except VapiFramesError as error:
            found = (type(error), str(error))
        return found, [str(one.message) for one in caught]


def check_alike(content, query=QUERY):
    """Check that both readers give one frame or one error."""
    (packed, packed_said), (strict, strict_said) = (read(content, query, smallest=size) for size in (0, 1 << 60))
    assert packed_said == strict_said
    if isinstance(strict, tuple):
        assert packed == strict
    else:
        pd.testing.assert_frame_equal(packed, strict, check_exact=True)
        assert packed.vapi.meta == strict.vapi.meta


@given(rows(), st.booleans(), st.booleans())
@examples(90)
def test_both_readers_give_one_frame_or_one_error(made, spaced, ascii_only):
    """A key absent or null, a number as text, an extra column, another order: the strict reader decides."""
    content = write(made, spaced=spaced, ascii_only=ascii_only)
    check_alike(content)
    check_alike(content, None)


@given(rows(), st.sampled_from(BROKEN), st.integers(0, 9_999), st.integers(0, 3))
@examples(180)
def test_broken_bytes_are_refused_alike(made, inserted, at, left_out):
    """What Arrow accepts and JSON does not is never read."""
    content = write(made)
    at %= len(content)
    check_alike(content[:at] + inserted + content[at + left_out :])


@given(rows(), st.sampled_from(BROKEN), st.integers(0, 9_999))
@examples(120)
def test_a_broken_value_is_refused_alike(made, inserted, at):
    """In place of any number, or after any mark, too."""
    content = write(made)
    places = [place for place, letter in enumerate(content) if letter in b":,{}[]"]
    place = places[at % len(places)]
    end = next((i for i in range(place + 1, len(content)) if content[i] in b",}]"), len(content))
    check_alike(content[: place + 1] + inserted + content[end:])


@pytest.mark.parametrize("where", ["timeRange", "extra", 'foo\\"result'])
def test_rows_elsewhere_are_not_the_rows(where):
    """Rows under the same key in another object are not those of the result."""
    content = write(
        [{"date": "2026-10-01T00:00:00.000Z", "assistantId": "a", "countId": 1, "sumCost": 1, "avgDuration": 1}]
    )
    row = content[content.index(b'"result":[') : -2]
    span = json.dumps(SPAN)
    head = f'"timeRange":{span}' if where != "timeRange" else f'"timeRange":{span[:-1]},{row.decode()}}}'
    if where == "extra":
        head += f',"extra":{{{row.decode()}}}'
    elif where != "timeRange":
        head += f',"foo\\"{row.decode()[1:]}'
    check_alike(f'[{{"name":"q",{head},"result" : [ ]}}]'.encode())


def test_a_plain_reply_makes_no_object_per_value():
    """So the columns are what Python's own parser reads, and nothing is decoded a second time."""
    made = [
        {"date": f"2026-10-{day:02}T00:00:00.000Z", "assistantId": None if day % 7 == 0 else "é},{"[: day % 5],
         "countId": str(day), "sumCost": day / 3, "avgDuration": None if day % 3 == 0 else day * 1.5}
        for day in range(1, 31)
    ]  # fmt: skip
    with mock.patch.object(packed_rows, "SMALLEST", 0), mock.patch.object(packed_rows, "_PIECE", 4_000):
        content = write(made, ascii_only=False)
        [reply] = parse_replies(content)
        assert isinstance(reply.result, packed_rows.PackedRows)
        with mock.patch.object(packed_rows.PackedRows, "unpack", side_effect=AssertionError("decoded")):
            frame = vf.to_frame(content, QUERY)
    assert frame["countId"].tolist() == [int(row["countId"]) for row in made]
    assert frame["sumCost"].tolist() == [row["sumCost"] for row in made]
    assert frame["avgDuration"].isna().tolist() == [row["avgDuration"] is None for row in made]
    assert [*reply.result] == made
    assert len(reply.result) == len(made)


def test_empty_rows_take_no_memory():
    """A first row with many keys, and then rows without any, would be a column of nulls for each."""
    first = {"date": "2026-10-01T00:00:00.000Z", **{f"k{i}": 1 for i in range(60)}}
    check_alike(write([first] + [{}] * 50))
    check_alike(write([{f"k{i}": 1 for i in range(100)}] * 3))


def test_a_large_reply_is_read_while_python_shuts_down():
    """Python starts no threads any more by then, so one thread reads all pieces."""
    code = (
        "import atexit, json, pyarrow.pandas_compat, vapi_frames as vf\n"  # which old versions of pyarrow import too late
        "rows = [{'assistantId': f'{n:09}', 'countId': str(n)} for n in range(40_000)]\n"
        "reply = json.dumps([{'name': 'q', 'timeRange': {}, 'result': rows}], separators=(',', ':')).encode()\n"
        "assert len(reply) > 3 << 19\n"
        "atexit.register(lambda: print(vf.to_frame(reply)['countId'].sum()))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "799980000\n"
