"""Secrets are taken out of text, and nothing else is."""

from __future__ import annotations

import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vapi_frames.redact import KEY_VARIABLES, Redactor, Secret, environment_keys

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
