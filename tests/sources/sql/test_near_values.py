"""A filter that matches nothing: the warning names the nearest value of the records, and nothing personal."""

from __future__ import annotations

import warnings
from difflib import SequenceMatcher

import pytest

import vapi_frames as vf
from vapi_frames.errors import FrameWarning, RecordsWarning

pytestmark = pytest.mark.extra("local")

ID = "3f0c6a52-8d1e-4b7a-9a64-1f5be07c2d10"
CALLS = [
    {"id": str(at), "createdAt": "2026-10-05T12:00:00Z", "assistantId": ID, "type": kind, "status": "ended",
     "endedReason": reason, "customer": {"number": number}, "customerId": f"person-{at}", "name": f"Jane {at}"}
    for at, (kind, reason, number) in enumerate(
        [("webCall", "customer-ended-call", "+14155550100"), ("inboundPhoneCall", "silence-timed-out", "+14155550111")]
    )
]  # fmt: skip
KNOWN = {
    "assistantId": [ID],
    "type": ["webCall", "inboundPhoneCall"],
    "status": ["ended"],
    "endedReason": ["customer-ended-call", "silence-timed-out"],
}


def open_roads():
    """Return name → the same calls as a list, and as a table of a warehouse."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(
        'CREATE TABLE calls (id TEXT, "createdAt" TIMESTAMPTZ, "assistantId" TEXT, type TEXT, status TEXT, '
        '"endedReason" TEXT, "customerId" TEXT, name TEXT, customer STRUCT(number TEXT))'
    )
    for call in CALLS:
        values = [
            call[name]
            for name in ("id", "createdAt", "assistantId", "type", "status", "endedReason", "customerId", "name")
        ]
        connection.execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [*values, call["customer"]])
    return {"list": vf.local(CALLS), "warehouse": vf.warehouse(connection, "calls", dialect="duckdb")}


def read_warning(vq, word, value):
    """Return the one warning of a query with a filter that matches nothing."""
    with pytest.warns(RecordsWarning) as caught:
        vq.call().count().where(**{word: value}).during("2026-10").fetch()
    [said] = [str(one.message) for one in caught]
    return said


@pytest.mark.parametrize("road", ["list", "warehouse"])
def test_the_nearest_value_is_named(road):
    """Each value with a letter less, another case or another end leads to the value that is most like it; a far one to none."""
    vq = open_roads()[road]
    for word, known in KNOWN.items():
        for value in known:
            for typed in (value[:-1], value.upper(), f"{value}s", value[1:]):
                nearest = max(known, key=lambda one: SequenceMatcher(None, typed.casefold(), one.casefold()).ratio())
                assert f"{word} is never '{typed}': did you mean '{nearest}'?" in read_warning(vq, word, typed)
        assert "did you mean" not in read_warning(vq, word, "zzz")
    assert "did you mean" not in read_warning(vq, "assistantId", "11111111-8d1e-1111-9a64-1f5be0711111")


@pytest.mark.parametrize("road", ["list", "warehouse"])
@pytest.mark.parametrize(
    ("word", "typed"), [("customer.number", "+14155550101"), ("customerId", "person-7"), ("name", "Jane 7")]
)
def test_what_is_personal_is_never_named(road, word, typed):
    """The number, the id and the name of a customer stand in no warning, neither the typed one nor the nearest."""
    said = read_warning(open_roads()[road], word, typed)
    assert "did you mean" not in said
    assert not any(text in said for text in (typed, "+1415", "person-", "Jane"))


def test_label_names_the_nearest_id_and_no_person():
    """Names with keys that are almost the ids say which is which; those of numbers show none."""
    vq = vf.local(CALLS)
    ids = vq.call().count().by("assistantId").during("2026-10").fetch()
    with pytest.warns(FrameWarning, match=f"such as '{ID}', and the nearest is '{ID[:-1]}'"):
        ids.vapi.label({"x": "y", ID[:-1]: "Reception"})
    numbers = vq.call().count().by("customer.number").during("2026-10").fetch()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        numbers.vapi.label({"+14155550199": "Jane"}, of="customer.number")
    assert len(caught) == 1
    assert "+1415" not in str(caught[0].message)
