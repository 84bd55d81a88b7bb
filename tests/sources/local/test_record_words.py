"""Words beyond the contract, of records in memory and in files, beside a plain-Python oracle."""

from __future__ import annotations

import itertools
import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.shapes import fetch
from tests.support.word_calls import (
    EVERY,
    GROUPS,
    WORDS,
    compute,
    is_same,
    keep_one_kind,
    read_rows,
    word_queries,
    word_records,
)

pytestmark = [
    pytest.mark.extra("local"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning", "ignore::vapi_frames.errors.RecordsWarning"),
]
NOW = "2026-11-01T00:00Z"


@examples(15)
@given(word_records(), word_queries())
def test_they_are_what_plain_loops_say(tmp_path_factory, calls, query):
    """In call JSON, in frames of objects, of JSON text and of dotted columns, in CSV, and in JSON files."""
    expected = compute(calls, query)
    folder = tmp_path_factory.mktemp("calls")
    (folder / "calls.json").write_text(json.dumps(calls))
    (folder / "calls.jsonl").write_text("\n".join(map(json.dumps, calls)))
    text = pd.DataFrame([{k: v if isinstance(v, str) else json.dumps(v) for k, v in call.items()} for call in calls])
    text.to_csv(folder / "calls.csv", index=False)
    text.to_parquet(folder / "text.parquet")
    sources = [calls, pd.DataFrame(calls), text, folder / "calls.json", folder / "calls.jsonl"]
    sources += [folder / "text.parquet", folder / "calls.csv"] if not has_empty(calls) else []
    for number, source in enumerate(sources):
        if number in (1, 2, 5, 6) and not has_columns(calls, query):
            continue  # a flat table that lacks a group is an error, as for the groups of the contract
        frame = fetch(vf.local(source, now=NOW), query)
        assert is_same(read_rows(frame, query), expected), (number, read_rows(frame, query), expected)


@examples(4)
@given(word_records(), st.lists(word_queries([word for word in WORDS if word != "Survey"]), min_size=2, max_size=2))
def test_columns_of_json_normalize_have_the_results_of_what_is_nested(tmp_path_factory, calls, queries):
    """In a DataFrame with either separator, in JSON, and in Parquet and CSV, where an output has one kind of value."""
    folder = tmp_path_factory.mktemp("calls")
    calls = [*calls, EVERY]
    alike = keep_one_kind(calls)
    plain = [{name: value for name, value in call.items() if name != "costs"} for call in alike]
    pd.json_normalize(plain).to_parquet(folder / "calls.parquet")
    text = [call for call in json.loads(json.dumps(plain).replace('"7.0"', '"7"')) if '""' not in json.dumps(call)]
    pd.json_normalize(text).to_csv(folder / "calls.csv", index=False)
    pd.json_normalize(calls).to_json(folder / "calls.jsonl", orient="records", lines=True)
    sources = [
        (calls, folder / "calls.jsonl"), (calls, pd.json_normalize(calls)), (calls, pd.json_normalize(calls, sep="_")),
        (calls, pd.json_normalize(calls, max_level=2)), (plain, folder / "calls.parquet"), (text, folder / "calls.csv"),
    ]  # fmt: skip
    for (number, (records, source)), query in itertools.product(enumerate(sources), queries):
        frame, expected = fetch(vf.local(source, now=NOW), query), compute(records, query)
        assert is_same(read_rows(frame, query), expected), (number, read_rows(frame, query), expected)
        nested = fetch(vf.local(records, now=NOW), query)
        assert frame.vapi.coverage.to_dict() == nested.vapi.coverage.to_dict()


def has_empty(calls):
    """Return whether a text is empty, which CSV cannot tell from a missing one."""
    return any(value == "" for call in calls for value in call.values())


def has_columns(calls, query):
    """Return whether some call has each group that *query* names."""
    words = [*query.groups, *(word for word, _ in query.filters), *(one.column for one in query.measures)]
    names = {word.partition(".")[0] for word in words if word.partition(".")[0] in {*GROUPS, "customer"}}
    return all(any(name in call for call in calls) for name in names)
