"""Every number of a verb, on any frame, is that of a plain loop over its rows; else the verb refuses."""

from __future__ import annotations

import math
import pickle

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.shapes import QUIET, fetch, sources_and_queries
from vapi_frames.errors import VapiFramesError

pytestmark = [pytest.mark.extra("local"), *QUIET, pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning")]

# What pandas may do to a frame before a verb; the last ones change values.
BETWEEN = {
    "nothing": lambda f: f, "reversed": lambda f: f.iloc[::-1], "some": lambda f: f.iloc[::2], "head": lambda f: f.head(3),
    "none": lambda f: f.iloc[:0], "shuffled": lambda f: f.sample(frac=1, random_state=0), "nullable": lambda f: f.convert_dtypes(),
    "pickled": lambda f: pickle.loads(pickle.dumps(f)), "own column": lambda f: f.assign(own=1.0),
    "columns": lambda f: f[["countId", "sumCost"]], "floats": lambda f: f.astype({"countId": "float64"}),
    "doubled": lambda f: f * 2, "rounded": lambda f: f.round(0), "filled": lambda f: f.fillna(0), "twice": lambda f: pd.concat([f, f]),
    "shifted": lambda f: f.shift(), "no index": lambda f: f.reset_index(drop=True),
}  # fmt: skip


def rows_of(frame):
    """Return {key: {column: value}} with None for missing, and whether each key stands once."""
    keys = [key if isinstance(key, tuple) else (key,) for key in frame.index] if frame.index.names != [None] else [()]
    plain = [tuple(None if pd.isna(part) else part for part in key) for key in keys]
    if frame.index.names == [None] and len(frame) != 1:
        plain = [(number,) for number in range(len(frame))]
    lists = [[None if pd.isna(one) else float(one) for one in frame[name]] for name in frame.columns]
    rows = [dict(zip(frame.columns, values, strict=True)) for values in zip(*lists, strict=True)]
    return dict(zip(plain, rows, strict=True)), len(set(plain)) == len(plain)


def divided(above, below):
    """Return a ratio, None where a part is missing or the lower one is 0."""
    return None if above is None or not below else above / below


def added(values):
    """Return the sum of those that are there, None where none is."""
    there = [one for one in values if one is not None]
    return math.fsum(there) if there else None


def of_total(rows, column, within=0):
    """Return each row's share of the sum of its slice."""

    def total(key):
        return added(row[column] for other, row in rows.items() if other[:within] == key[:within])

    return {key: divided(row[column], total(key)) for key, row in rows.items()}


def merged(rows, places):
    """Return the sums by some parts of the key."""
    found = {}
    for key, row in rows.items():
        found.setdefault(tuple(key[i] for i in places), []).append(row)
    return {
        key: {name: added(row[name] for row in some) for name in ("sumCost", "countId")} for key, some in found.items()
    }


VERBS = {
    "per_call": lambda f: f.vapi.per_call()["sumCostPerCall"],
    "ratio": lambda f: f.vapi.ratio("countId", "sumCost", name="rate")["rate"],
    "share": lambda f: f.vapi.share("countId")["countIdShare"],
    "share of cost": lambda f: f.vapi.share("sumCost")["sumCostShare"],
    "share within": lambda f: f.vapi.share("countId", within=f.index.names[0])["countIdShare"],
}
LOOPS = {
    "per_call": lambda rows: {key: divided(row["sumCost"], row["countId"]) for key, row in rows.items()},
    "ratio": lambda rows: {key: divided(row["countId"], row["sumCost"]) for key, row in rows.items()},
    "share": lambda rows: of_total(rows, "countId"),
    "share of cost": lambda rows: of_total(rows, "sumCost"),
    "share within": lambda rows: of_total(rows, "countId", within=1),
}


def is_equal(found, expected):
    """Compare two values, to 1e-9."""
    return (
        found is None
        if expected is None
        else found is not None and math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
    )


def is_choice(rows, fetched):
    """Say whether each row is one that was fetched, with its values."""
    return all(
        key in fetched and all(row[name] == fetched[key][name] for name in row if name in fetched[key])
        for key, row in rows.items()
    )


@examples(18)
@given(sources_and_queries(steps=(None, "hour", "day", "week", "month")), st.sampled_from(sorted(BETWEEN)), st.data())
def test_each_verb_is_a_loop_over_the_rows_or_refuses(drawn, between, data):
    """Whatever pandas did between: rows as fetched give the numbers of the loop, others none; the input stays as it is."""
    vq, query = drawn
    whole = fetch(vq, query)
    fetched, _ = rows_of(whole)
    frame = BETWEEN[between](whole)
    rows, is_unique = rows_of(frame)
    may_be_read = is_unique and is_choice(rows, fetched)
    before, attrs = frame.copy(deep=True), dict(frame.attrs)
    for name, verb in VERBS.items():
        try:
            made = verb(frame)
        except (VapiFramesError, AttributeError):  # without attrs there is no df.vapi
            assert between not in ("nothing", "reversed", "nullable", "columns", "floats") or name == "share within"
            continue
        assert may_be_read, (name, between)
        found = {key: row["made"] for key, row in rows_of(made.to_frame("made"))[0].items()}
        expected = LOOPS[name](rows)
        assert found.keys() == expected.keys()
        assert all(is_equal(found[key], expected[key]) for key in expected), (name, between)
    groups = [level for level in whole.index.names if level not in (None, "date")]
    by = data.draw(st.lists(st.sampled_from(groups), unique=True)) if groups else []
    try:
        made = frame[["sumCost", "countId"]].vapi.rollup(by=by)
    except (VapiFramesError, AttributeError):
        pass
    else:
        additive = {key: {name: row[name] for name in ("sumCost", "countId")} for key, row in rows.items()}
        assert is_unique, between
        assert is_choice(additive, fetched), between  # the other columns may have been changed
        levels = [name for name in made.index.names if name is not None]
        expected = merged(rows, [list(frame.index.names).index(name) for name in levels])
        found, _ = rows_of(made)
        if rows and (levels or len(made)):
            assert found.keys() == expected.keys()
            assert all(is_equal(found[key][name], row[name]) for key, row in expected.items() for name in row)
    pd.testing.assert_frame_equal(frame, before)
    assert frame.attrs == attrs
