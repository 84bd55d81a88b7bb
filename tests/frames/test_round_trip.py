"""A frame that is saved and loaded is the frame: levels, types and values, also where a whole level is missing."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples

pytestmark = [
    pytest.mark.extra("local"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning"),
]

GROUPS = ("assistantId", "endedReason", "analysis.successEvaluation", "type")


def write_calls(values):
    """Return a call record for each of *values*, which are one value of each group, or ``None``."""
    return [
        {
            "id": str(place), "createdAt": f"2026-10-0{1 + place % 5}T10:00:00Z", "cost": 1.0, "assistantId": assistant,
            "endedReason": reason, "analysis": {"successEvaluation": success}, "type": kind,
        }
        for place, (assistant, reason, success, kind) in enumerate(values)
    ]  # fmt: skip


# With pandas 2, text is a column of objects, in which what is missing is None here and NaN there.
@pytest.mark.filterwarnings("ignore:Mismatched null-like values:FutureWarning")
@pytest.mark.property
@examples(24)
@given(st.data())
def test_a_loaded_frame_is_the_saved_one(tmp_path_factory, data):
    """Whatever its levels, backend and layout, and whichever of its levels have no value at all."""
    is_there = [data.draw(st.booleans(), label=group) for group in GROUPS]
    one = st.tuples(*(st.sampled_from(["a", "b", None]) if there else st.none() for there in is_there))
    vq = vf.local(write_calls(data.draw(st.lists(one, min_size=1, max_size=4))), now="2026-10-10T00:00Z")
    groups = data.draw(st.lists(st.sampled_from(GROUPS), unique=True))
    query = vq.call().sum("cost").count().by(*groups) if groups else vq.call().sum("cost").count()
    query = query.step("day") if data.draw(st.booleans(), label="step") else query
    month = data.draw(st.sampled_from(["2026-10", "2026-09"]), label="month")  # the second has no calls
    frame = query.during(month).fetch(
        dtype_backend=data.draw(st.sampled_from([None, "pyarrow", "numpy_nullable"])),
        categorical=data.draw(st.booleans(), label="categorical"),
        as_index=data.draw(st.booleans(), label="as_index"),
    )
    path = tmp_path_factory.mktemp("saved") / "frame.parquet"
    frame.vapi.save(path)
    loaded = vf.load(path)
    pd.testing.assert_frame_equal(loaded, frame, check_column_type=True, check_index_type="exact")
    assert loaded.vapi.units == frame.vapi.units
