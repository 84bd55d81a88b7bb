"""A verb works on rows as they were fetched, and on nothing else."""

from __future__ import annotations

import copy
import json
import math
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.pandas_steps import STEPS
from tests.support.shapes import QUIET, fetch, same, sources_and_queries
from vapi_frames import analysis
from vapi_frames.errors import ProvenanceError, QueryError

pytestmark = [
    pytest.mark.extra("local"),
    *QUIET,
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning"),
]
NAMES = {"pd": pd, "np": np, "copy": copy, "pickle": pickle}


@pytest.fixture(scope="module")
def frame():
    """Return cost and calls by day and type."""
    return vf.demo().call().sum("cost").count().by("type").step("day").during("2026-10").fetch()


@pytest.mark.parametrize(("verdict", "step"), [(verdict, step) for verdict, steps in STEPS.items() for step in steps])
def test_what_pandas_may_do_between(frame, verdict, step):
    """Each step leaves rows as fetched, with or without a query of their own, or a refusal."""
    found = eval(step, {**NAMES, "df": frame})
    if verdict == "lost":
        assert not hasattr(found, "vapi")
        return
    if verdict == "changed":
        for verb in (lambda: found.vapi.units, lambda: found.vapi.share("countId"), lambda: found.vapi.query):
            with pytest.raises(ProvenanceError):
                verb()
        assert "These are not rows as fetched" in found.vapi.describe()
        repr(found.vapi)
        return
    shared = found.vapi.share("countId")
    assert abs(shared["countIdShare"].sum() - bool(len(found))) < 1e-9
    if verdict == "other rows":
        for one in (found, shared):
            with pytest.raises(ProvenanceError, match="no query gives"):
                _ = one.vapi.query
        return
    again = fetch(vf.demo(), found.vapi.query)
    assert set(again.columns) == {"sumCost", "countId"} & set(found.columns)
    with_all = replace(found.vapi.query, aggregations=frame.vapi.query.aggregations)
    assert (with_all == frame.vapi.query) == (verdict == "all rows")
    assert sorted(again["countId"]) == sorted(found["countId"])
    assert shared.vapi.query.time_range == found.vapi.query.time_range


class TestCases:
    """What once gave wrong numbers."""

    def test_a_part_of_a_month_is_a_partial_month(self, frame):
        """The rows from the 20th on are twelve days of October, for a rollup and in words."""
        part = frame.loc["2026-10-20":]
        month = part.vapi.rollup("month", by=[])
        assert month.vapi.partial.tolist() == [True]
        assert month.vapi.elapsed.tolist() == [pytest.approx(12 / 31)]
        assert "From 2026-10-20 00:00 until 2026-10-31 24:00" in part.vapi.describe()
        assert fetch(vf.demo(), month.vapi.query)["countId"].tolist() == month["countId"].tolist()
        odd = frame.iloc[::2].vapi.rollup("month", by=[])
        assert odd.vapi.elapsed.isna().all()

    def test_missing_values_that_were_filled(self):
        """A least duration of 0 is none that was fetched."""
        query = vf.demo().call().min("duration").by("type", "endedReason").step("day").during("2026-10")
        with pytest.raises(ProvenanceError, match="from missing to 0 .*as fillna does"):
            query.fetch().fillna(0).vapi.rollup("month", by=[])
        assert query.fetch().vapi.rollup("month", by=[])["minDuration"].round(4).tolist() == [0.0304]

    def test_values_that_were_rounded(self):
        """Sums of rounded values are others; the refusal says to round last."""
        query = vf.demo().call().sum("costBreakdown.analysisBreakdown.summary").by("type", "endedReason").step("hour")
        with pytest.raises(ProvenanceError, match=r"as round\(1\) does; round after the last verb"):
            query.during("2026-10").fetch().round(1).vapi.rollup("month", by=[])

    def test_rows_of_another_step(self):
        """Weeks that pandas made begin on days, too."""
        daily = vf.demo().call().count().step("day").during("2026-10").fetch()
        for other in (daily.resample("W").sum(), daily.set_axis((daily.index + pd.Timedelta("1D")).rename("date"))):
            with pytest.raises(ProvenanceError, match="not among those that were fetched"):
                other.vapi.rollup("month")
            assert "These are not rows as fetched" in other.vapi.describe()

    def test_values_that_were_written_in_place(self, frame):
        """The rows are remembered as copies, which nothing of the frame writes to."""
        other = frame.copy()
        other.iloc[:, 1] = other["countId"].to_numpy()[::-1].copy()
        with pytest.raises(ProvenanceError, match="another order of the values"):
            other.vapi.rollup("month")
        some = frame[frame.countId > 80].copy()
        some["sumCost"] *= 100
        with pytest.raises(ProvenanceError, match="68 of 68 changed.*a multiplication by 100"):
            some.vapi.per_call()

    def test_a_group_that_was_chosen_stays_chosen(self, frame):
        """The query of one group asks for that group, also after a rollup, and refresh gives it."""
        web = frame.xs("webCall", level="type").vapi.rollup("week")
        assert web.vapi.refresh(vf.demo())["sumCost"].sum() == pytest.approx(413.3844)
        assert len(frame.xs("webCall", level="type").vapi.fill_gaps()) == 31

    def test_measures_that_were_left_out_stay_out(self, frame):
        """The query of some columns asks for these; what a verb made needs what it was made of."""
        assert frame[["countId"]].vapi.query.measures == frame.vapi.query.measures[1:]
        assert list(frame[["countId"]].vapi.refresh(vf.demo())) == ["countId"]
        assert frame.vapi.wide("sumCost").vapi.query.measures == frame.vapi.query.measures[:1]
        rate = frame.vapi.per_call()
        assert rate[["sumCostPerCall"]].vapi.query == frame.vapi.query
        assert frame.assign(mine=1)[["mine"]].vapi.query == frame.vapi.query

    def test_one_row_names_itself(self):
        """The greatest of all days is the row of one of them, and says of which."""
        daily = vf.demo().call().count().step("day").during("2026-10").fetch()
        greatest = daily.groupby(lambda _: 0).max().reset_index(drop=True)
        day = daily["countId"].idxmax()
        assert f"From {day:%Y-%m-%d} 00:00 until {day:%Y-%m-%d} 24:00" in greatest.vapi.describe()


@examples(9)
@given(sources_and_queries(steps=("hour", "day", "week"), groups=2), st.data())
def test_the_query_of_a_choice_gives_the_choice(drawn, data):
    """A run of buckets, values of groups and some of the measures, fetched again; any other choice has no query."""
    vq, query = drawn
    whole = fetch(vq, query)
    if not len(whole):
        return
    chosen = whole
    for name in query.levels:
        values = whole.index.get_level_values(name)
        if name == "date":
            low, high = sorted(data.draw(st.integers(0, len(whole) - 1)) for _ in range(2))
            dates = chosen.index.get_level_values(name)
            chosen = chosen[(dates >= values[low]) & (dates <= values[high])]
        else:
            wanted = data.draw(st.sets(st.sampled_from([None if pd.isna(one) else one for one in values]), min_size=1))
            found = [None if pd.isna(one) else one for one in chosen.index.get_level_values(name)]
            chosen = chosen[np.fromiter((one in wanted for one in found), bool, len(found))]  # of no row, too
    columns = data.draw(st.sets(st.sampled_from(list(whole.columns)), min_size=1))
    chosen = chosen[[name for name in whole.columns if name in columns]]
    if len(chosen):
        try:
            own = chosen.vapi.query
        except ProvenanceError:  # where the clock was turned, buckets interleave
            assert query.timezone
            return
        same(fetch(vq, own), chosen)


def rows_of(frame, levels):
    """Return the rows as tuples (levels, values), missing ones as None."""
    names = [name for name in frame.columns if name not in levels]
    flat = frame.reset_index() if frame.index.names != [None] else frame
    plain = [None if pd.isna(one) else one for name in levels for one in flat[name]]
    keys = list(zip(*(plain[i * len(flat) : (i + 1) * len(flat)] for i in range(len(levels))), strict=True))
    values = [{n: float(flat[n].iloc[i]) for n in names} for i in range(len(flat))]
    return list(zip(keys, values, strict=True))


CHAIN = [
    "df.iloc[::-1]", "df.head(9)", "df.sample(frac=0.5, random_state=1)", "df[['countId']]", "df.round(1)", "df.round(3)", "df * 2",
    "df * 1", "df.fillna(0)", "df.cumsum()", "df.iloc[::-1].set_axis(df.index)", "pd.concat([df, df.head(1)])", "df.clip(upper=3)",
    "df.convert_dtypes()", "pickle.loads(pickle.dumps(df))", "df.sort_values('countId')", "df[df['countId'] > 1]", "df.drop_duplicates()",
    "df.groupby(level=list(df.index.names), dropna=False).sum()", "df.groupby(level=list(df.index.names), dropna=False).max()",
    "df.astype('float32')", "df.rank()", "df.swaplevel()", "df.shift().dropna()",
]  # fmt: skip


@examples(18)
@given(st.lists(st.sampled_from(CHAIN), max_size=3))
def test_random_chains_get_the_verdict_of_a_plain_oracle(steps):
    """The oracle keeps the original rows in a dict; each row has to be one of them, once, with equal values."""
    query = vf.demo().call().min("duration").count().by("type", "assistantId").step("day")
    frame = whole = query.between("2026-10-05", "2026-10-12").fetch()  # which a choice is known by while it is alive
    before = dict(rows_of(whole, whole.index.names))
    for step in steps:
        frame = eval(step, {**NAMES, "df": frame})
    if "vapi" not in frame.attrs:
        return
    rows = rows_of(frame, ("date", "type", "assistantId"))
    is_right = len({key for key, _ in rows}) == len(rows) and all(
        key in before
        and all(v == before[key][n] or (math.isnan(v) and math.isnan(before[key][n])) for n, v in values.items())
        for key, values in rows
    )
    try:
        _ = frame.vapi.units
    except ProvenanceError:
        assert not is_right, steps
    else:
        assert is_right, steps


def test_in_another_process_a_whole_frame_is_known_and_a_choice_is_not(frame, tmp_path):
    """Unless the choice was saved, or made there."""
    frame.to_pickle(tmp_path / "whole")
    frame.head(4).to_pickle(tmp_path / "part")
    frame.round(1).to_pickle(tmp_path / "rounded")
    frame.iloc[::-1].set_axis(frame.index).to_pickle(tmp_path / "turned")
    frame.xs("webCall", level="type").vapi.save(tmp_path / "saved.parquet")
    script = """
import sys, pandas as pd, vapi_frames as vf
folder = sys.argv[1]
whole = pd.read_pickle(folder + "/whole")
for name in ("part", "rounded", "turned"):
    try:
        pd.read_pickle(folder + "/" + name).vapi.units
        print("accepted", name)
    except vf.errors.ProvenanceError as error:
        print("another process" in str(error))
whole.vapi.units
print(len(whole.head(4).vapi.share("cost")), vf.load(folder + "/saved.parquet").vapi.query)
"""
    found = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True).stdout
    lines = found.splitlines()
    assert lines[:3] == ["True"] * 3
    assert lines[3].startswith("4 vq.call()")
    assert '.where(type="webCall")' in lines[3]


def test_knowledge_is_copied_by_reference(frame):
    """A copy has the same text; a pickle holds a plain str, and no rows."""
    text = frame.attrs["vapi"]
    assert copy.deepcopy(text) is text
    assert type(pickle.loads(pickle.dumps(text))) is str
    assert len(pickle.dumps(text)) < 2 * len(text)


def test_other_formats_are_not_saved(frame, tmp_path):
    """Load reads what save wrote, so a name of another format is refused; many threads may save one path."""
    for name, cure in (("x.csv", "df.to_csv"), ("x.xlsx", "to_excel"), ("x.json", "to_csv")):
        with pytest.raises(QueryError, match=cure):
            frame.vapi.save(tmp_path / name)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: frame.vapi.save(tmp_path / "x.parquet"), range(12)))
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]
    assert vf.load(tmp_path / "x.parquet").equals(frame)


def test_now_is_read_in_the_zone_of_the_frame():
    """A naive one is wall clock there, whatever the machine's zone is; what is no moment is refused."""
    frame = vf.demo().call().count().step("month").tz("Asia/Tokyo").between("2026-10-01", "2026-12-01").fetch()
    wall = analysis.elapsed(frame, now="2026-10-16T12:00")
    assert wall.tolist() == analysis.elapsed(frame, now=pd.Timestamp("2026-10-16T12:00", tz="Asia/Tokyo")).tolist()
    assert wall.tolist()[0] == 0.5
    for now in ("soon", 3, object()):
        with pytest.raises(QueryError, match="now"):
            analysis.partial(frame, now=now)


def test_refresh_refuses_what_a_query_does_not_give(frame):
    """Columns, groups and rows that verbs made, and comparisons."""
    by_reason = vf.demo().call().count().by("endedReason").during("2026-10")
    for made in (
        frame.vapi.per_call(), by_reason.fetch().vapi.outcome(), by_reason.fetch().vapi.top(2), frame.vapi.fill_gaps(),
        by_reason.compare().fetch(),
    ):  # fmt: skip
        with pytest.raises(QueryError, match="refresh fetches"):
            made.vapi.refresh(vf.demo())


VERBS = {
    "units": lambda f: f.vapi.units,
    "query": lambda f: repr(f.vapi.query),
    "partial": lambda f: f.vapi.partial.tolist(),
    "rollup": lambda f: f.vapi.rollup("month", by=[]).to_csv(),
    "per_call": lambda f: f.vapi.per_call().to_csv(),
    "share": lambda f: f.vapi.share("countId").to_csv(),
    "fill_gaps": lambda f: f.vapi.fill_gaps().to_csv(),
    "with_units": lambda f: list(f.vapi.with_units()),
}


@examples(48)
@given(st.data())
def test_what_the_frame_knows_is_read_as_it_was_written_or_refused(frame, data):
    """A text in df.attrs that was cut, changed or is of another frame gives no number; nor do values of other types."""
    text = str(frame.attrs["vapi"])
    parts = json.loads(text)
    kind = data.draw(st.sampled_from(["cut", "character", "value", "foreign", "other"]))
    if kind == "cut":
        found = text[: data.draw(st.integers(0, len(text) - 1))]
    elif kind == "character":
        at = data.draw(st.integers(0, len(text) - 1))
        found = text[:at] + data.draw(st.characters(min_codepoint=32, max_codepoint=126)) + text[at + 1 :]
    elif kind == "value":
        name = data.draw(st.sampled_from(sorted(parts)))
        value = data.draw(
            st.sampled_from([None, 0, 2**70, "", "x", [], {}, [None], {"sumCost": "EUR"}, {"a": []}, True])
        )
        found = json.dumps({**parts, name: value}, separators=(",", ":"))
    elif kind == "foreign":
        found = data.draw(
            st.sampled_from([None, 0, 1.5, b"", parts, [text], {"vapi": text}, object(), pd.NA, frame.shape])
        )
    else:
        query = vf.demo().call().sum("cost").count().by("type").step("day")
        others = (
            query.during("2026-11"),
            query.during("2026-10").where(type="webCall"),
            query.step("week").during("2026-10"),
        )
        found = str(data.draw(st.sampled_from([one.fetch().attrs["vapi"] for one in others])))
    is_same = isinstance(found, str) and found == text
    damaged = frame.copy()
    damaged.attrs["vapi"] = found
    before = damaged.copy()
    for name, verb in VERBS.items():
        try:
            result = verb(damaged)
        except ProvenanceError:
            assert not is_same
        else:
            assert result == verb(frame), (name, found)
            assert is_same
    if kind == "other":
        assert "These are not rows as fetched" in damaged.vapi.describe()
        repr(damaged.vapi)
    pd.testing.assert_frame_equal(damaged, before)


@pytest.mark.parametrize("first", [2**53, 2**62, 2**63 - 2])
def test_large_integers_are_told_apart(first):
    """Counts that are equal as floats are not equal, and neither is a key beyond 2**62 another one."""
    calls = [
        {"id": str(n), "createdAt": f"2026-10-0{n + 1}T12:00Z", "variableValues.account": str(first + n), "cost": n / 4}
        for n in range(2)
    ]
    whole = (
        vf.local(calls, now="2026-11-01T00:00Z")
        .call()
        .count()
        .sum("cost")
        .by_variable("account")
        .during("2026-10")
        .fetch()
    )
    assert list(whole.index) == [str(first), str(first + 1)]
    numbers = whole.set_axis(pd.Index([first, first + 1], name="account"))
    swapped = whole.set_axis(whole.index[::-1])
    for other in (numbers, swapped):
        for verb in ("share", "per_call"):
            with pytest.raises(ProvenanceError):
                getattr(other.vapi, verb)("cost")
    changed = whole.assign(countId=whole["countId"] + first)
    nearly = changed.assign(countId=changed["countId"] + 1)
    for other in (changed, nearly):
        with pytest.raises(ProvenanceError):
            _ = other.vapi.units
