"""How much a JSON text holds, counted without decoding it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from vapi_frames.contract.json_size import count_parts

pytestmark = pytest.mark.property

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(alphabet='a"\\[]{},:é😀 '),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='k"\\,{é', max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


def count(value):
    """Return the keys and values within *value*, and its own brackets."""
    if isinstance(value, dict):
        return 1 + len(value) + max(len(value) - 1, 0) + sum(map(count, value.values()))
    if isinstance(value, list):
        return 1 + max(len(value) - 1, 0) + sum(map(count, value))
    return 0


@examples(60)
@given(VALUES, VALUES, st.booleans(), st.booleans())
def test_the_count_is_that_of_the_decoded_value(value, after, is_ascii, is_bytes):
    """It is exact where it matters, for text and bytes, and ends where the value ends."""
    text = json.dumps(value, ensure_ascii=is_ascii)
    whole = f'"x", {text}, {json.dumps(after, ensure_ascii=is_ascii)}'
    expected = count(value)
    for most in {0, max(expected - 1, 0), expected, expected + 1}:
        counted = count_parts(whole.encode() if is_bytes else whole, len('"x", '), most=most)
        assert (counted > most) == (expected > most)


@pytest.mark.parametrize("rows", ["bytes", "text"])
def test_colons_of_times_do_not_lead_to_the_slow_count(rows, monkeypatch):
    """A reply of times has two colons a row within texts; the quick count does not take them for parts."""
    for name in ("_TEXT_TOKENS", "_BYTE_TOKENS"):
        monkeypatch.setattr(f"vapi_frames.contract.json_size.{name}", None)
    text = json.dumps([{"date": "2026-10-01T00:00:00.000Z", "sumCost": 1.5}] * 100)
    parts = 5 * 100
    assert count_parts(text.encode() if rows == "bytes" else text, most=parts) == parts
