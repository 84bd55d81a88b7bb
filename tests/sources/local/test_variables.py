"""Callers choose variables: however many, however long, and in any spelling."""

import json

import pandas as pd
import pytest

import vapi_frames as vf
from vapi_frames.errors import RecordsError, RecordsWarning
from vapi_frames.sources.records import flatten

pytestmark = pytest.mark.extra("local")

OVER = "variables that were left out"


def call(number, variables):
    """Return a call with variables."""
    return {"id": str(number), "createdAt": "2026-10-01T00:00:00Z", "artifact": {"variableValues": variables}}


def write(form, calls, folder):
    """Return *calls* in a form that `vf.local` takes."""
    if form == "json":
        (folder / "calls.json").write_text(json.dumps(calls))
    elif form == "lines":
        (folder / "calls.jsonl").write_text("".join(json.dumps(one) + "\n" for one in calls))
    else:
        return {"list": calls, "texts": [json.dumps(one) for one in calls], "frame": pd.DataFrame(calls)}[form]
    return folder


def count(vq, key):
    """Return how many calls have each value of a variable; a missing one is ''."""
    frame = vq.call().count().by_variable(key).during("2026-10").fetch()
    return {"" if pd.isna(value) else value: number for value, number in frame["countId"].items()}, frame


@pytest.mark.parametrize("form", ["list", "texts", "frame", "json", "lines"])
def test_many_variables_of_a_call_are_bounded_and_counted(form, tmp_path):
    """A call with 20,000 of them is read up to a limit, a note counts the others, and other calls are read whole."""
    calls = [call(one, {"plan": "pro", **{f"k{one}-{key}": "x" * 50 for key in range(200)}}) for one in range(100)]
    calls.append(call("many", {"plan": "free", **{f"m{key}": "x" for key in range(20_000)}}))
    vq = vf.local(write(form, calls, tmp_path))
    if form == "frame":
        found, frame = count(vq, "plan")
    else:
        with pytest.warns(RecordsWarning, match=rf"{OVER}: 19,001 \(a call may have 1,000, of 1,048,576 characters"):
            found, frame = count(vq, "plan")
    assert found == {"pro": 100, "free": 1}
    assert f"{OVER}: 19,001" in frame.attrs["vapi"]
    assert count(vq, "k99-199")[0] == {"x" * 50: 1, "": 100}
    assert count(vq, "m998")[0] == {"x": 1, "": 100}
    with pytest.raises(RecordsError, match="no variable 'm999'"):
        count(vq, "m999")


@pytest.mark.parametrize("form", ["list", "json", "lines"])
def test_long_variables_of_a_call_are_bounded_and_counted(form, tmp_path, monkeypatch):
    """What does not fit is left out; what comes after it and fits is read."""
    monkeypatch.setattr(flatten, "VARIABLES_LENGTH", 100)
    vq = vf.local(write(form, [call(1, {"a": "x" * 50, "long": "y" * 50, "plan": "pro"})], tmp_path))
    with pytest.warns(RecordsWarning, match=f"{OVER}: 1 "):
        assert count(vq, "plan")[0] == {"pro": 1}
    assert count(vq, "a")[0] == {"x" * 50: 1}
    with pytest.raises(RecordsError, match="no variable 'long'"):
        count(vq, "long")
