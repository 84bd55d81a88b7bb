"""A flat frame is the same frame: its levels are columns, and each verb takes one and returns one."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.shapes import QUIET, fetch, sources_and_queries
from tests.support.verb_shapes import SHAPES, VERBS, ask, is_refused
from vapi_frames.errors import ProvenanceError, QueryError, VapiFramesError
from vapi_frames.frames import origin
from vapi_frames.frames.layout import to_flat

pytestmark = [
    pytest.mark.extra("local"),
    *QUIET,
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning"),
]


def flattened(frame):
    """Return what pandas makes of an indexed frame."""
    if frame.index.names == [None]:
        return frame
    if isinstance(frame.columns, pd.CategoricalIndex):
        frame = frame.set_axis(list(frame.columns), axis="columns")
    return frame.reset_index()


def same(found, wanted):
    """Compare values, types, order and missing values; not the name of the columns, which wide() gives an index."""
    pd.testing.assert_frame_equal(found.reset_index(drop=True), wanted.reset_index(drop=True), check_names=False)


def query(**options):
    """Return cost and calls by day and type."""
    made = vf.demo().call().sum("cost", "duration").count().by("type").step("day").during("2026-10")
    return made.fetch(**options)


@pytest.mark.parametrize(
    ("records", "step", "groups", "types"),
    [*SHAPES[::2], *(pytest.param(*shape, marks=pytest.mark.long) for shape in SHAPES[1::2])],
)
def test_each_verb_returns_the_layout_it_was_given(records, step, groups, types):
    """Of each shape, the result for a flat frame is that for an indexed one, with its levels as columns."""
    indexed = ask(records, step, groups, types)
    flat = to_flat(indexed)
    for name, verb in VERBS.items():
        if is_refused(name, step, groups):
            with pytest.raises((QueryError, ProvenanceError)):
                verb(flat)
            continue
        wanted, found = verb(indexed), verb(flat)
        same(found, flattened(wanted))
        assert found.attrs == wanted.attrs, name
        assert found.index.names == [None]
    assert flat.vapi.describe() == indexed.vapi.describe()
    assert flat.vapi.explain("cost") == indexed.vapi.explain("cost") if step == "none" else True
    assert flat.vapi.partial.tolist() == indexed.vapi.partial.tolist()
    assert flat.vapi.elapsed.index.equals(flat.index)
    pd.testing.assert_frame_equal(flat.vapi.for_excel(), indexed.vapi.for_excel())
    assert flat.vapi.style("a").to_string() == indexed.vapi.style("a").to_string()
    repr(flat.vapi)


@examples(12)
@given(sources_and_queries(steps=(None, "hour", "day"), additive=True), st.data())
def test_rows_are_as_fetched_in_either_layout(drawn, data):
    """Any choice of rows, in any order, gives the same result or the same refusal."""
    vq, asked = drawn
    indexed = fetch(vq, asked)
    flat = to_flat(indexed)
    rows = data.draw(st.lists(st.integers(0, max(0, len(flat) - 1)), unique=True, max_size=len(flat)))
    dropped = data.draw(st.sampled_from([None, *indexed.index.names])) if asked.levels else None
    if len(asked.levels) < 2:
        dropped = None
    left, right = indexed.iloc[rows], flat.iloc[rows]
    if dropped is not None:
        left, right = left.droplevel(dropped), right.drop(columns=dropped)
    for verb in (
        lambda one: one.vapi.share("countId"),
        lambda one: one.vapi.rollup(by=[]),
        lambda one: one.vapi.units,
        lambda one: one.vapi.query,
        lambda one: one.vapi.describe(),
    ):
        wanted, found = outcome(verb, left), outcome(verb, right)
        if isinstance(wanted, pd.DataFrame):
            same(found, flattened(wanted))
        elif isinstance(wanted, VapiFramesError):
            assert type(found) is type(wanted)
        else:
            assert found == wanted


def outcome(verb, frame):
    """Return the result of *verb*, or its refusal."""
    try:
        return verb(frame)
    except VapiFramesError as error:
        return error


UNCHANGED = [
    "df.copy()", "copy.deepcopy(df)", "pickle.loads(pickle.dumps(df))", "df.sort_values('sumCost')", "df.iloc[::-1]",
    "df.sample(frac=1, random_state=0)", "df.assign(mine=1)", "df[['countId', 'type', 'date']]", "df.reset_index(drop=True)",
    "df.drop(columns='sumCost')", "df.query('countId >= 0')", "df.set_index(['date', 'type'])", "df.convert_dtypes()",
    "df.assign(date=df['date'].dt.tz_convert('Asia/Tokyo'))", "df.astype({'type': 'category'})", "df.set_axis(range(9, 102))",
]  # fmt: skip
CHOSEN = [
    "df[df['type'] == 'webCall']",
    "df[df['date'] < '2026-10-20']",
    "df.head(6)",
    "df.query(\"type != 'webCall'\")",
]
CHANGED = [
    "df.assign(type=df['type'].str.upper())", "df.assign(date=df['date'] + pd.Timedelta('1h'))", "df.assign(type='webCall')",
    "df.assign(type=df['type'].to_numpy()[::-1])", "pd.concat([df, df])", "df.drop(columns='type')", "df.assign(date=1)",
    "df.drop(columns=['date', 'type'])", "df.assign(sumCost=df['sumCost'] * 2)",
    "df.assign(type=[[1]] * len(df))", "df.assign(date=df['date'].to_numpy()[::-1])", "df.round({'sumCost': 1})", "df.rename(columns={'type': 'kind'})",
    "df.assign(date=pd.NaT)",
]  # fmt: skip


class TestProvenance:
    """A level that stands as a column is checked like one that stands in the index."""

    @pytest.mark.parametrize("step", [*UNCHANGED, *CHOSEN])
    def test_rows_as_fetched_are_trusted(self, step):
        """The shares are of the rows that are left."""
        df = query(as_index=False)
        found = eval(step, {"df": df, "copy": copy, "pickle": pickle, "np": np, "pd": pd})
        assert found.vapi.share("countId")["countIdShare"].sum() == pytest.approx(1)
        again = next(iter(vf.demo().fetch(found.vapi.query).values()))
        assert sorted(again["countId"]) == sorted(found["countId"])

    @pytest.mark.parametrize("of", ["this process", "another process"])
    @pytest.mark.parametrize("step", CHANGED)
    def test_other_rows_are_refused(self, step, of, monkeypatch):
        """As is a level with other values, in the process that fetched the frame and elsewhere."""
        df = query(as_index=False)
        if of == "another process":
            df = elsewhere(df, monkeypatch)
            assert df.vapi.units  # recognized, so that the object of its index is known
        found = eval(step, {"df": df, "pd": pd})
        with pytest.raises(ProvenanceError):
            found.vapi.share("countId")
        assert "These are not rows as fetched" in found.vapi.describe()
        repr(found.vapi)

    def test_another_process_knows_a_whole_frame(self, monkeypatch):
        """In either layout, and whichever it was fetched in."""
        for frame in (query(), query(as_index=False)):
            for turned in (frame, to_flat(frame) if frame.index.names != [None] else frame.set_index(["date", "type"])):
                assert elsewhere(turned, monkeypatch).vapi.rollup("all", by=[])["countId"].tolist() == [13495]

    def test_the_index_object_proves_nothing_of_columns(self):
        """A level that is assigned in place is noticed, also after a verb has seen the frame."""
        df = query(as_index=False).vapi.per_call()
        df.vapi.share("countId")
        df["type"] = df["type"].to_numpy()[::-1]
        with pytest.raises(ProvenanceError):
            df.vapi.share("countId")


def elsewhere(frame, monkeypatch):
    """Return *frame* as another process gets it: the text of what it knows, without the rows."""
    monkeypatch.setattr(origin, "_origins", type(origin._origins)())
    return pickle.loads(pickle.dumps(frame))


# With pandas 2, what is missing is None in a frame that was read from a file, and NaN in one that was fetched.
@pytest.mark.filterwarnings("ignore:Mismatched null-like values:FutureWarning")
@pytest.mark.parametrize(
    "types", [{}, {"categorical": True}, {"dtype_backend": "pyarrow"}, {"dtype_backend": "numpy_nullable"}]
)
def test_each_way_to_a_frame_has_it(types, tmp_path):
    """Queries, several at once, comparisons, refresh, save and load: levels first, of the types of the index."""
    vq = vf.demo()
    asked = vq.call().sum("cost").count().by("type", "assistantId").step("day").last("4d").tz("Europe/London")
    flat = asked.fetch(as_index=False, **types)
    same(flat, asked.fetch(**types).reset_index())
    assert list(flat) == ["date", "type", "assistantId", "sumCost", "countId"]
    same(next(iter(vq.fetch(asked, as_index=False, **types).values())), flat)
    compared = asked.compare("previous")
    same(compared.fetch(as_index=False, **types), compared.fetch(**types).reset_index())
    assert "dateBefore" in compared.fetch(as_index=False).vapi.per_call()
    if not types:
        same(flat.vapi.refresh(vq), flat)
        assert list(flat.vapi.refresh(vq)) == list(flat)
    flat.vapi.save(tmp_path / "flat.parquet")
    loaded = vf.load(tmp_path / "flat.parquet")
    pd.testing.assert_frame_equal(loaded, flat)
    assert loaded.vapi.rollup("all", by=[])["countId"].tolist() == [flat["countId"].sum()]
    chosen = flat[flat["type"] == "webCall"]
    chosen.vapi.save(tmp_path / "chosen.parquet")
    same(vf.load(tmp_path / "chosen.parquet"), chosen)


def test_replies_and_the_dashboard_have_it():
    """A frame of one row has no levels, so both layouts are one."""
    reply = json.dumps(
        [{"name": "q", "timeRange": {"step": "day"}, "result": [{"date": "2026-10-01T00:00:00.000Z", "countId": "42"}]}]
    )
    assert list(vf.to_frame(reply, as_index=False)) == ["date", "countId"]
    frames = vf.demo().dashboard("7d", as_index=False)
    for name, indexed in vf.demo().dashboard("7d").items():
        same(frames[name], flattened(indexed))
        frames[name].vapi.describe()


@pytest.mark.parametrize("value", ["no", None, 0])
def test_anything_else_is_refused_before_a_fetch(value):
    """pandas takes what is truthy; a string is a mistake."""
    with pytest.raises(QueryError, match="as_index must be True or False"):
        query(as_index=value)
    with pytest.raises(QueryError, match="as_index must be True or False"):
        vf.to_frame("[]", as_index=value)


def test_the_calls_behind_flat_rows_are_found():
    """Those of the same rows of an indexed frame, under the index of the query."""
    flat, indexed = query(as_index=False), query()
    for rows in (slice(0, 6), [1, 40, 80]):
        wanted, found = (one.iloc[rows].vapi.drill(vf.demo(), ["id"]) for one in (indexed, flat))
        pd.testing.assert_frame_equal(found, wanted)


def test_rows_keep_their_labels():
    """A column that a verb adds is assigned to the rows that it was made of."""
    df = query(as_index=False)
    part = df[df["type"] == "webCall"]
    assert part.vapi.per_call().index.equals(part.index)
    assert part[part.vapi.elapsed == 1].equals(part)


@pytest.mark.extra("plot")
def test_a_chart_is_that_of_the_indexed_frame():
    """Lines by type over time, from either layout."""
    assert [line.get_label() for line in query(as_index=False).vapi.plot("cost").lines] == [
        line.get_label() for line in query().vapi.plot("cost").lines
    ]
