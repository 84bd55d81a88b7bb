"""The calls of an archive, with what it keeps of them and what it does not."""

from __future__ import annotations

import pytest

import vapi_frames as vf
from tests.support.call_list import NOW, Calls, at, call, store
from vapi_frames.errors import RecordsError

pytestmark = pytest.mark.extra("local")
CALLS = [
    call(
        f"c{day}",
        at(day),
        artifact={
            "transcript": f"AI: Day {day}.",
            "variableValues": {"plan": "pro"},
            "performanceMetrics": {"turnLatencyAverage": 100.5 * day},
        },
        customer={"number": f"+1555010{day}"},
        phoneNumberId="line",
    )
    for day in (12, 13)
]
PATHS = ["id", "artifact.transcript", "customer.number"]


def drill(folder, columns=None):
    """Return the calls of an archive."""
    return (
        vf.local(folder, now=NOW)
        .call()
        .sum("cost")
        .by_variable("plan")
        .between("2026-10-12", "2026-10-14")
        .drill(columns)
    )


def test_what_an_archive_keeps_is_shown_by_the_path_of_the_record(tmp_path):
    """A path of the record leads to the archive's own column, where it was kept; the default columns need no option."""
    store(Calls(*CALLS), tmp_path, transcripts=True, customers=True)
    assert drill(tmp_path, PATHS).to_numpy().tolist() == [
        ["c12", "AI: Day 12.", "+155501012"],
        ["c13", "AI: Day 13.", "+155501013"],
    ]
    assert drill(tmp_path, ["transcript"])["transcript"].tolist() == ["AI: Day 12.", "AI: Day 13."]
    more = drill(tmp_path, ["phoneNumberId", "artifact.performanceMetrics.turnLatencyAverage", "updatedAt"])
    assert more["artifact.performanceMetrics.turnLatencyAverage"].tolist() == [1206.0, 1306.5]
    assert more["phoneNumberId"].tolist() == ["line", "line"]
    shown = drill(tmp_path)
    assert shown["cost"].tolist() == [0.25, 0.25]
    assert "Day" not in shown.to_csv()
    assert "+1555" not in shown.to_csv()


@pytest.mark.parametrize(("path", "option"), [("artifact.transcript", "transcripts"), ("customer.number", "customers")])
def test_what_an_archive_does_not_keep_is_named_with_its_option(tmp_path, path, option):
    """A path that only an option keeps is an error that says which."""
    store(Calls(*CALLS), tmp_path)
    with pytest.raises(RecordsError, match=rf"no call record has '{path}'.*an archive keeps it with {option}=True"):
        drill(tmp_path, [path])
