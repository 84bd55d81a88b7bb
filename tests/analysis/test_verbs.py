"""Every verb on every shape of frame, after whatever pandas did to it: types are kept, the input is left alone."""

from __future__ import annotations

import pickle

import pandas as pd
import pytest

import vapi_frames as vf
from tests.support.shapes import QUIET, same
from tests.support.verb_shapes import (
    GROUPS,
    SHAPES,
    TYPES,
    VERBS,
    ask,
    is_refused,
)
from vapi_frames import analysis
from vapi_frames.analysis.success import SUCCESS
from vapi_frames.contract.vocabulary import CALL_COLUMNS
from vapi_frames.errors import NonAdditiveError, ProvenanceError, QueryError, UnknownWordError

pytestmark = [pytest.mark.extra("local"), *QUIET, pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning")]


@pytest.fixture(scope="module")
def fetched():
    """Return a frame as it was fetched, of which tests make others."""
    return ask()


@pytest.fixture(scope="module")
def broad():
    """Return a frame of ten measures, as it was fetched."""
    query = vf.demo().call().count().sum("cost", "duration", *CALL_COLUMNS[2:9])
    return query.by("endedReason", SUCCESS).step("day").tz("America/New_York").during("2026-11").fetch()


def level_types(frame):
    """Return the type of each level."""
    index = frame.index
    return index.dtypes.to_dict() if isinstance(index, pd.MultiIndex) else {index.name: index.dtype}


@pytest.mark.parametrize(("records", "step", "groups", "types"), SHAPES)
def test_each_verb_on_each_shape(records, step, groups, types):
    """The result is a plain frame that knows itself, of the same types; the input is as it was."""
    frame = ask(records, step, groups, types)
    before, attrs = frame.copy(deep=True), dict(frame.attrs)
    for name, verb in VERBS.items():
        if is_refused(name, step, groups):
            with pytest.raises((QueryError, ProvenanceError)):
                verb(frame)
            continue
        result = verb(frame)
        assert type(result) is pd.DataFrame
        pd.testing.assert_frame_equal(frame, before)
        assert frame.attrs == attrs
        assert result.attrs is not frame.attrs
        for column in result.columns if name != "wide" else ():
            if column in frame:
                assert result[column].dtype == frame[column].dtype, (name, column)
            elif column != "filled":
                like = frame["countId" if result[column].dtype.kind in "iu" else "sumCost"].dtype
                assert result[column].dtype == like, (name, column)
        for level, dtype in level_types(result).items() if result.index.names != [None] else ():
            old = level_types(frame).get(level, level_types(frame).get(frame.index.names[-1]))
            if level == "weekday":
                assert dtype.ordered, name
            elif level == "date" or isinstance(dtype, pd.CategoricalDtype) != isinstance(old, pd.CategoricalDtype):
                assert str(dtype) == str(old), (name, level)
            elif isinstance(dtype, pd.CategoricalDtype):
                assert dtype.categories.dtype == old.categories.dtype, (name, level)
            else:
                assert dtype == old, (name, level)
        if name not in ("wide", "drop_partial"):
            assert len(result) == result.vapi.meta.rows
            assert set(result.vapi.meta.levels) == set(result.index.names) - {None}
            assert result.vapi.units
            result.vapi.describe()
            repr(result.vapi)
        if name in VERBS and name != "wide":
            again = pickle.loads(pickle.dumps(result))
            pd.testing.assert_frame_equal(again, result)
            assert again.attrs == result.attrs


@pytest.mark.parametrize(("records", "step", "groups", "types"), SHAPES)
def test_each_shape_becomes_a_table_that_is_read(records, step, groups, types):
    """As a page and as a sheet, with the numbers of the frame, whatever their types are; the frame is as it was."""
    frame = ask(records, step, groups, types)
    before = frame.copy(deep=True)
    plain = ask(records, step, groups)
    table = frame.vapi.for_excel()
    levels = [name for name in frame.index.names if name is not None]
    assert table.shape == (len(frame), len(levels) + frame.shape[1])
    for place, name in enumerate(plain.columns, start=len(levels)):
        found = table.iloc[:, place].to_numpy(dtype=float, na_value=float("nan"))
        assert pd.Series(found).equals(plain[name].astype(float).reset_index(drop=True)), name
    assert frame.vapi.style("a").to_string() == plain.vapi.style("a").to_string()
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(("records", "step", "groups", "types"), SHAPES[::2])
def test_the_numbers_do_not_depend_on_the_types(records, step, groups, types):
    """Whatever the backend, the same values come out."""
    frame, plain = ask(records, step, groups, types), ask(records, step, groups)
    for name, verb in VERBS.items():
        if not is_refused(name, step, groups) and name != "wide":
            left, right = (verb(one).astype("float64").reset_index() for one in (frame, plain))
            for column in left.columns:
                a, b = ([None if pd.isna(v) else v for v in one[column].tolist()] for one in (left, right))
                assert a == (pytest.approx(b) if column in plain else b) or pd.Series(a).equals(pd.Series(b)), (
                    name,
                    column,
                )


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize(("records", "step", "groups"), [s[:3] for s in SHAPES[::3]])
def test_a_saved_frame_comes_back_whole(tmp_path, records, step, groups, types):
    """Index, types, missing values and knowledge, also of what verbs made."""
    frame = analysis.share(ask(records, step, groups, types), "countId")
    frame.vapi.save(tmp_path / "frame.parquet")
    again = vf.load(tmp_path / "frame.parquet")
    # Of a level of nothing but missing values, Parquet does not keep that it was categorical.
    if records == "one call" and types.endswith(("categorical", "categories")) and GROUPS[groups]:
        again.index, frame.index = (
            pd.MultiIndex.from_tuples(list(f.index), names=f.index.names) for f in (again, frame)
        )
    same(again, frame)
    assert again.attrs == frame.attrs
    assert again.vapi.units == frame.vapi.units
    total = frame.drop(columns="countIdShare").vapi.rollup(step="all")
    if records != "one call":
        same(again.drop(columns="countIdShare").vapi.rollup(step="all"), total)
    assert [path.name for path in tmp_path.iterdir()] == ["frame.parquet"]


def test_what_was_not_saved_is_not_loaded(tmp_path):
    """Each error says what the file is."""
    vf.sample_calls(10).to_parquet(tmp_path / "calls.parquet")
    with pytest.raises(ProvenanceError, match=r"use vf\.local"):
        vf.load(tmp_path / "calls.parquet")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(ProvenanceError, match="was not written by df.vapi.save"):
        vf.load(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(ProvenanceError, match="is not a frame that"):
        vf.load(tmp_path / "text.parquet")
    with pytest.raises(FileNotFoundError):
        vf.load(tmp_path / "none.parquet")
    with pytest.raises(ProvenanceError):
        analysis.save(pd.DataFrame({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(QueryError, match="cannot be written as Parquet"):
        ask().assign(odd=[object()] * len(ask())).vapi.save(tmp_path / "odd.parquet")
    with pytest.raises(OSError, match="none"):
        ask().vapi.save(tmp_path / "none" / "frame.parquet")
    assert not list(tmp_path.glob(".*"))


# What users do to a frame before a verb, and whether the values, or the rows, are still those that came.
MANGLINGS = {
    "head": lambda f: f.head(4),
    "no rows": lambda f: f.iloc[:0],
    "loc": lambda f: f.loc["2026-11-01":"2026-11-02"],
    "mask": lambda f: f[f["countId"] > 0],
    "query": lambda f: f.query("countId >= 1"),
    "xs": lambda f: f.xs("2026-11-01", level="date"),
    "xs group": lambda f: f.xs("voicemail", level="endedReason"),
    "sort_values": lambda f: f.sort_values("countId", ascending=False),
    "sort_index": lambda f: f.sort_index(ascending=False),
    "columns": lambda f: f[["countId", "sumCost", "sumDuration"]],
    "and back": lambda f: f.reset_index().set_index(list(f.index.names)),
    "reordered": lambda f: f.reorder_levels([2, 0, 3, 1]),
    "copy": lambda f: f.copy(),
    "own column": lambda f: f.assign(mine=range(len(f))),
    "round": lambda f: f.round(3),
    "pickle": lambda f: pickle.loads(pickle.dumps(f)),
}


@pytest.mark.parametrize("mangling", MANGLINGS)
def test_each_verb_after_what_pandas_does(mangling):
    """It works, or says in the package's own words what it needs."""
    frame = MANGLINGS[mangling](ask())
    before, attrs = frame.copy(deep=True), dict(frame.attrs)
    for name, verb in VERBS.items():
        try:
            result = verb(frame)
        except (NonAdditiveError, ProvenanceError, UnknownWordError, QueryError) as error:
            said = str(error)
            allowed = {
                "own column": "'mine' is a column of your own, and it is unknown how it adds up", "xs": "date", "xs group": "endedReason",
                "columns": "cannot happen", "no rows": "cannot happen",
            }  # fmt: skip
            is_expected = allowed.get(mangling, "cannot happen") in said or (name, mangling) in {
                ("top", "reordered"),
                ("top only", "reordered"),
                ("label", "reordered"),
            }
            assert is_expected, (name, said)
            continue
        pd.testing.assert_frame_equal(frame, before)
        assert frame.attrs == attrs
        assert type(result) is pd.DataFrame
        if name == "rollup":
            assert result["countId"].sum() == frame["countId"].sum()
        if name == "share":
            assert abs(result["countIdShare"].sum() - (len(frame) > 0)) < 1e-9


@pytest.mark.parametrize(
    "mangle",
    [lambda f: f * 2, lambda f: f.fillna(1.0), lambda f: f.assign(sumCost=f["sumCost"] + 1), lambda f: f.cumsum(),
     lambda f: f.assign(countId=0), lambda f: f.astype({"countId": float}).rank()],
)  # fmt: skip
@pytest.mark.parametrize("verb", VERBS)
def test_changed_values_are_refused(fetched, verb, mangle):
    """The same rows with other values are not what the frame says that they are."""
    frame = mangle(fetched)
    with pytest.raises(ProvenanceError, match="not those that were fetched"):
        VERBS[verb](frame)


@pytest.mark.parametrize("first", [None, *VERBS])
def test_knowledge_stays_small(broad, first, choose):
    """A frame of ten measures carries less than 2 KB, whatever two verbs did to it."""
    assert len(broad.columns) == 10
    frame = VERBS[first](broad) if first else broad
    half = slice([None, *VERBS].index(first) % 2, None, 2)
    for name, verb in [*VERBS.items()][choose(half, slice(None))]:
        try:
            result = verb(frame)
        except (NonAdditiveError, ProvenanceError, QueryError, TypeError):
            continue
        measures = max(10, len(result.vapi.meta.all_units()))  # change makes three of each
        assert len(result.attrs["vapi"].encode()) < 2048 * measures / 10, (first, name, len(result.attrs["vapi"]))


def test_each_verb_is_a_function_for_pipe():
    """What df.vapi has is a function of analysis, but for what asks, draws or starts a query; and the reverse."""
    faces = {name for name in dir(vf.VapiAccessor) if not name.startswith("_")}
    faces -= {"meta", "plot", "refresh", "check_units", "call", "subscription", "drill", "to_excel"}
    assert faces == set(analysis.__all__) - {"load"}
    frame = ask()
    same(frame.pipe(analysis.rollup, step="month", by="type"), frame.vapi.rollup("month", "type"))


def test_each_verb_is_tried_on_every_shape():
    """Whatever returns a frame is in VERBS above; others make tables to be read, or need all parts of the cost."""
    returning = {
        name for name in analysis.__all__ if getattr(analysis, name).__annotations__["return"] == "pd.DataFrame"
    }
    assert returning - {"load", "with_units", "for_excel", "reconcile"} == {name.split()[0] for name in VERBS}


def test_headers_can_say_the_units():
    """A table to be read; what has no unit keeps its name, and verbs say that the names are others."""
    df = vf.demo().call().sum("cost", "duration").count().by("type").during("2026-10").fetch().vapi.per_minute()
    read = df.vapi.with_units()
    assert list(read.columns) == ["sumCost (USD)", "sumDuration (min)", "countId (calls)", "sumCostPerMinute (USD/min)"]
    assert df.columns[0] == "sumCost"
    with pytest.raises(AttributeError, match="renamed"):
        read.vapi.share()
