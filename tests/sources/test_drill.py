"""The calls that a query counts: from every form of records they are those that plain loops find."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.drilled import check_calls, check_cells
from tests.support.examples import examples
from tests.support.reference import compute
from tests.support.shapes import as_frame, as_json_files
from tests.support.strategies import NOW, call_lists, call_queries, filters

pytestmark = [
    pytest.mark.extra("local"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning"),
]


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")
@examples(25)
@given(st.data())
def test_the_calls_of_each_cell_add_up_to_it(tmp_path_factory, data):
    """Over a random frame, sum, count, minimum, maximum and median of the drilled calls are the cell."""
    around, calls = data.draw(call_lists())
    query = data.draw(call_queries(around))
    if data.draw(st.booleans()):
        query = query.where(data.draw(filters()))
    if data.draw(st.booleans()):
        query = query.median("duration").median("costBreakdown.llm")
    expected = compute(calls, query, NOW)
    frame = as_frame(calls)
    folder = tmp_path_factory.mktemp("calls")
    frame.iloc[: len(frame) // 2].to_parquet(folder / "1.parquet")
    frame.iloc[len(frame) // 2 :].to_parquet(folder / "2.parquet")
    forms = [frame, pa.Table.from_pandas(frame, preserve_index=False), str(folder / "*.parquet"), calls]
    forms.append(as_json_files(calls, tmp_path_factory.mktemp("json")))
    form = data.draw(st.sampled_from(forms))
    drilled = vf.local(form, now=NOW).drill(query, limit=None)
    check_calls(drilled, query, calls, NOW)
    check_cells(drilled, query, expected)
