"""Words beyond the contract, of an archive, beside a plain-Python oracle and the calls that it was made of."""

from __future__ import annotations

import itertools
import json
from datetime import datetime

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.call_list import NOW, Calls, at, call, store
from tests.support.examples import examples
from tests.support.shapes import fetch
from tests.support.word_calls import DAYS, RANGES, compute, is_same, read_rows, word_queries, word_records
from vapi_frames.errors import RecordsError

pytestmark = [
    pytest.mark.extra("local"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning"),
]
CSAT = {"structuredOutputs": {"a": {"name": "CSAT", "result": 4}}}
OTHER = {"structuredOutputs": {"b": {"name": "Outcome", "result": "sold"}}}
SKIPPED = {"skippedStructuredOutputs": {"a": {"name": "CSAT", "condition": "planted-condition"}}}
OPTIONS = {"since": "2026-10-04", "until": "2026-10-10", "customers": True}


@examples(3)
@given(word_records(hours=[DAYS]), st.lists(word_queries(ranges=RANGES[:1]), min_size=4, max_size=4))
def test_an_archive_has_the_results_and_the_coverage_of_its_calls(tmp_path_factory, calls, queries):
    """Whatever the query: the rows, and how many calls lack an output, or have one that was skipped.

    So has an archive of half of the calls beside a JSON file of the others.
    """
    whole, half = (tmp_path_factory.mktemp("calls") for _ in range(2))
    pairs = [(call, datetime.fromisoformat(call["createdAt"])) for call in calls]
    store(Calls(*pairs), whole, **OPTIONS)
    store(Calls(*pairs[::2]), half, **OPTIONS)
    (half / "others.jsonl").write_text("\n".join(map(json.dumps, calls[1::2])))
    listed = vf.local(calls, now=NOW)
    for archived, query in itertools.product([vf.local(whole, now=NOW), vf.local(half, now=NOW)], queries):
        frame, expected = fetch(archived, query), compute(calls, query)
        assert is_same(read_rows(frame, query), expected), (read_rows(frame, query), expected)
        assert frame.vapi.coverage.to_dict() == fetch(listed, query).vapi.coverage.to_dict()


def test_a_word_that_was_not_kept_names_the_option(tmp_path):
    """The numbers of customers need an option, and outputs may be left out."""
    store(Calls(call("a", at(14), artifact=CSAT)), tmp_path, outputs=False)
    query = vf.local(tmp_path, now=NOW).call().count().during("2026-10")
    match = r"no 'customer.number', which the query uses: vapi-frames archive --customers, or customers=True, keeps it"
    for one in (query.by("customer.number"), query.nunique("customer.number"), query.where({"customer.number": "1"})):
        with pytest.raises(RecordsError, match=match):
            one.fetch()
    for one in (query.by_output("CSAT"), query.avg("output.CSAT"), query.where({"output.CSAT": 4})):
        with pytest.raises(RecordsError, match=r"no 'output.CSAT', .* Leave out --no-outputs, or outputs=False, while"):
            one.fetch()


def test_an_archive_of_an_earlier_version_has_no_outputs_that_were_skipped(tmp_path):
    """It is read as it is: an output that a call lacks is absent."""
    store(Calls(call("a", at(14), artifact=CSAT), call("b", at(14), artifact={**SKIPPED, **OTHER})), tmp_path)
    path = tmp_path / "2026-10-14.parquet"
    table = pq.read_table(path)
    assert dict(table.column("artifact.skippedStructuredOutputs").to_pylist()[1]) == {"a": {"name": "CSAT"}}
    query = vf.local(tmp_path, now=NOW).call().count().by_output("CSAT").during("2026-10")
    assert query.fetch().vapi.coverage[["skippedOutputs", "withoutOutputs"]].tolist() == [1, 0]
    (tmp_path / "_SHA256SUMS").unlink()
    pq.write_table(table.drop_columns("artifact.skippedStructuredOutputs"), path)
    assert query.fetch().vapi.coverage[["skippedOutputs", "withoutOutputs"]].tolist() == [0, 1]
