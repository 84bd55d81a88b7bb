"""Secrets are taken out of text, and nothing else is."""

from __future__ import annotations

import html
import json
import pickle
import re
import traceback
import urllib.parse
from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.examples import examples
from vapi_frames.redact import KEY_VARIABLES, SHORTEST_KEY, Redactor, Secret, environment_keys, replace_spelled

KEY = "b0c1d2e3-aaaa-bbbb-cccc-0123456789ab"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (KEY, "***"),
        (f"no key {KEY} here, {KEY}", "no key *** here, ***"),
        (f'{{"error": "invalid key \\"{KEY}\\""}}', '{"error": "invalid key \\"***\\""}'),
        (f"Authorization: Bearer {KEY}", "Authorization: Bearer ***"),
        ("Bearer another-token-0123456789", "Bearer ***"),
        ("bearer\tanother-token-0123456789==", "bearer\t***"),
        (f"token={TOKEN}&x=1", "token=***&x=1"),
        (f"Bearer {TOKEN}", "Bearer ***"),
    ],
)
def test_secrets_are_replaced(text, expected):
    """The keys that are known, bearer tokens and JSON Web Tokens; the words around them stay."""
    redact = Redactor([KEY])
    assert redact(text) == expected
    assert redact.found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "call",
        "b0c1d2e3-aaaa-bbbb-cccc-0123456789ac",
        "bearer of bad news",
        "bearer certificates",
        "eyJ.eyJ.",
        "+155",
    ],
)
def test_other_text_stays(text):
    """Ids, words and numbers are data."""
    redact = Redactor([KEY])
    assert redact(text) == text
    assert not redact.found


def test_short_keys_are_placeholders():
    """Their letters may be in any word."""
    assert Redactor(["call", "", "1234567"])("a call of 1234567") == "a call of 1234567"


def test_a_key_within_another_does_not_leave_the_rest():
    """The longest is replaced first."""
    longer = f"{KEY}-more"
    assert Redactor([KEY, longer])(longer) == "***"
    assert Redactor([longer, KEY])(f"{longer} {KEY}") == "*** ***"


def test_json_is_redacted_in_keys_and_values():
    """Two tokens that differ stay different; one that comes again is replaced alike."""
    redact = Redactor([KEY])
    one, two = "Bearer first-token-0123456789", "Bearer other-token-0123456789"
    value = {KEY: [one, two, {"a": one}], "rows": [1, 2.5, None, True, "call"]}
    expected = {"***": ["Bearer ***", "Bearer ***2", {"a": "Bearer ***"}], "rows": [1, 2.5, None, True, "call"]}
    assert redact(value) == expected


@given(JSON)
def test_json_without_secrets_stays(value):
    """Whatever its form."""
    redact = Redactor([KEY])
    assert redact(value) == value
    assert not redact.found


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_key_is_found_in_any_text(before, after):
    """Nothing around it hides it."""
    assert KEY not in Redactor([KEY])(before + KEY + after)


def test_keys_are_found_in_an_environment():
    """Both variables count, without the spaces around; an empty one holds no key."""
    assert environment_keys({}) == []
    assert environment_keys({KEY_VARIABLES[0]: "  ", "PATH": KEY}) == []
    found = environment_keys({KEY_VARIABLES[0]: f" {KEY}\n", KEY_VARIABLES[1]: "another-key"})
    assert found == [KEY, "another-key"]
    assert repr(found) == "['***', '***']"


def test_a_traceback_with_local_variables_shows_no_key():
    """Neither a secret nor a redactor shows what it holds."""
    redact, secret = Redactor([KEY]), Secret(KEY)

    def fail(redact, secret):
        raise ValueError(repr((redact, vars(redact), secret)))

    with pytest.raises(ValueError, match="Redactor") as caught:
        fail(redact, secret)
    traced = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "redact = " in "".join(traced.format())
    assert KEY not in "".join(traced.format()).replace(f"KEY = {KEY!r}", "")
    assert KEY not in f"{secret!r} {[secret]} {redact}"
    assert secret == KEY


def test_a_redactor_is_not_pickled():
    """It would take the keys along."""
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
        pickle.dumps(Redactor([KEY]))


NAMED = {"/": "&sol;", "+": "&plus;", "=": "&equals;", "_": "&lowbar;", ".": "&period;", "&": "&amp;", "-": "&#45"}
ESCAPES = [
    lambda one: one,
    lambda one: f"\\{one}" if one == "/" else one,
    lambda one: f"\\u{ord(one):04x}",
    lambda one: f"\\u{ord(one):04X}",
    lambda one: f"\\\\u{ord(one):04x}",
    lambda one: f"%{ord(one):02x}",
    lambda one: f"%{ord(one):02X}",
    lambda one: f"%25{ord(one):02X}",
    lambda one: f"&#{ord(one)};",
    lambda one: f"&#0{ord(one)};",
    lambda one: f"&#x{ord(one):X};",
    lambda one: f"&amp;#X{ord(one):x};",
    lambda one: NAMED.get(one, one),
]
KEYS = st.text("abcXYZ0189-_./+=~&", min_size=SHORTEST_KEY, max_size=40)


@st.composite
def spelled(draw):
    """Return a key, and a text that has it with each character escaped in a way of its own."""
    key = draw(KEYS)
    return key, "".join(draw(st.sampled_from(ESCAPES))(one) for one in key)


def decoded(text):
    """Return the texts that *text* becomes when it is decoded again and again, in each order."""
    found = [text]
    for one in found:
        unescaped = re.sub(r"\\+u(00[0-9a-fA-F]{2})", lambda code: chr(int(code[1], 16)), one).replace("\\/", "/")
        found += [new for new in (unescaped, urllib.parse.unquote(one), html.unescape(one)) if new not in found]
    return found


@given(spelled(), st.text(" ab\"{}:,'", max_size=9), st.text(" ab\"{}:,'", max_size=9))
def test_no_spelling_of_a_key_is_left(found, before, after):
    """JSON, URLs and HTML may escape any of its characters, in any mix and more than once."""
    key, text = found
    whole = f"{before}{text}{after}"
    assert any(key in one for one in decoded(whole))
    assert not any(key in one for one in decoded(replace_spelled(whole.encode(), key).decode()))
    redact = Redactor([key])
    assert not any(key in one for one in decoded(redact(whole)))
    assert redact.found


def json_code(one):
    """Return *one* as JSON may escape it."""
    return f"\\u{ord(one):04x}"


LAYERS = {
    "JSON": lambda text: "".join(map(json_code, text)),
    "JSON text": lambda text: json.dumps(text)[1:-1],
    "URL": lambda text: "".join(f"%{ord(one):02x}" for one in text),
    "some of URL": lambda text: urllib.parse.quote(text, safe=""),
    "HTML": lambda text: "".join(f"&#{ord(one)};" for one in text),
    "some of HTML": html.escape,
    "slashes": lambda text: text.replace("/", "\\/"),
}


@given(KEYS, st.lists(st.sampled_from(sorted(LAYERS)), max_size=3), st.booleans())
@examples(36)
def test_codes_within_codes_are_decoded(key, layers, is_base64):
    """What one encoder wrote another may escape: the text is decoded until nothing is left to decode."""
    text = f"id {b64encode(key.encode()).decode() if is_base64 else key} 7"
    for layer in layers:
        text = LAYERS[layer](text)
    assert replace_spelled(text.encode(), key) != text.encode()
    left = Redactor([key])(text)
    assert "***" in left
    assert replace_spelled(left.encode(), key) == left.encode()


@given(KEYS, st.binary(max_size=9), st.binary(max_size=9), st.sampled_from([b64encode, urlsafe_b64encode]))
def test_a_key_in_base64_is_found(key, before, after, encode):
    """Whatever stands before it in the same text, so at each place in a group of three bytes."""
    whole = before + key.encode() + after
    text = encode(whole).decode()
    assert b"***" in replace_spelled(text.encode(), key)
    left = Redactor([key])(text)
    lost = len(text) - len(left.replace("***", ""))
    assert lost >= len(key) * 8 // 6 - 2  # all but the characters that also hold a part of a neighbor


@given(KEYS, st.text(max_size=60))
def test_text_without_the_key_stays(key, text):
    """Other escapes are no key."""
    assume(not any(key.lower() in one.lower() for one in decoded(text)))
    assert Redactor([key])(text) == text
    assert replace_spelled(text.encode(), key) == text.encode()
