"""Groups: the top ones and the rest, families of ended reasons, names beside ids, groups as columns."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from tests.support.shapes import QUIET, fetch, same, sources_and_queries
from vapi_frames.contract.ended_reasons import REASON_LEVELS
from vapi_frames.errors import FrameWarning, NonAdditiveError, ProvenanceError, QueryError, UnknownWordError

pytestmark = [pytest.mark.extra("local"), *QUIET]
ROWS = list(csv.DictReader((Path(__file__).parents[1] / "data" / "outcomes.csv").read_text().splitlines()))
IDS = ("0b4a62e1-9f5b-4c1c-9d0a-000000000001", "0b4a62e1-9f5b-4c1c-9d0a-000000000002", "7777")


def plain(value):
    """Return a group's value, None for missing."""
    return None if pd.isna(value) else value


class TestTop:
    """The largest values of a group, and all others as one."""

    @examples(6)
    @given(sources_and_queries(steps=(None, "day", "month"), groups=2), st.integers(1, 4), st.data())
    def test_the_top_and_the_rest_are_the_whole(self, drawn, n, data):
        """Kept rows stay as they were, the rest adds up to the rest, by each measure's own rule."""
        vq, query = drawn
        frame = fetch(vq, query)
        groups = [name for name in frame.index.names if name not in (None, "date")]
        if not groups:
            with pytest.raises(QueryError, match=r"top\(\) ranks one group, and this frame has none: add \.by"):
                frame.vapi.top(n, by="sumCost")
            return
        of = data.draw(st.sampled_from(groups))
        top = frame.vapi.top(n, by="countId", of=of)
        counts = frame["countId"].groupby(level=of, dropna=False).sum()
        kept = {plain(v) for v in top.index.get_level_values(of)} - {"other"}
        assert (
            sorted(counts[[plain(v) in kept for v in counts.index]], reverse=True) == sorted(counts, reverse=True)[:n]
        )
        is_kept = [plain(v) in kept for v in frame.index.get_level_values(of)]
        is_left = [plain(v) in kept for v in top.index.get_level_values(of)]
        left = top[is_left]
        pd.testing.assert_frame_equal(left.reset_index(), frame[is_kept].reset_index(), rtol=1e-9)
        assert len(left) == len(top) or len(kept) == n
        others = [name for name in groups if name != of]
        same(top.vapi.rollup(by=others), frame.vapi.rollup(by=others))
        same(frame.vapi.top(n, by="countId", of=of, other=False), frame[is_kept] if len(kept) < len(counts) else frame)

    def test_the_rest_needs_what_a_rollup_needs(self):
        """An average of the others needs its counts; ranking, or leaving the others out, does not."""
        query = vf.demo().call().avg("duration").sum("cost").by("assistantId").during("2026-10")
        frame = query.fetch()
        with pytest.raises(NonAdditiveError, match=r"counts of the same column.*with_counts\(\)"):
            frame.vapi.top(2, by="cost")
        assert len(frame.vapi.top(2, by="cost", other=False)) == 2
        counted = query.with_counts().fetch()
        whole = vf.demo().call().avg("duration").during("2026-10").fetch()
        total = counted.vapi.top(2, by="avgDuration").vapi.rollup(by=[])
        assert math.isclose(total["avgDuration"].iloc[0], whole["avgDuration"].iloc[0])

    def test_a_group_that_is_called_other_stays_apart(self):
        """The word for the rest is not one of the values that are kept."""
        calls = [
            {"id": str(i), "createdAt": "2026-10-01T00:00Z", "type": t}
            for i, t in enumerate(["other", "other", "a", "b", None])
        ]
        frame = vf.local(calls).call().count().by("type").during("2026-10").fetch()
        assert frame.vapi.top(1)["countId"].to_dict() == {"other": 2, "other (2)": 3}

    def test_a_name_and_its_id_go_together(self):
        """The rest is one row, although names stand beside their ids."""
        frame = vf.demo().call().count().by("assistantId").during("2026-10").fetch()
        names = {value: f"Assistant {i}" for i, value in enumerate(frame.index.dropna())}
        named = frame.vapi.label(names)
        for of in ("assistantName", "assistantId"):
            top = named.vapi.top(2, of=of)
            assert len(top) == 3
            assert top.index[top.index.get_level_values("assistantName") == "other"].tolist() == [("other", "other")]
            assert top["countId"].sum() == frame["countId"].sum()

    @pytest.mark.parametrize(
        ("arguments", "error", "match"),
        [
            ({"n": 0}, QueryError, "n must be"),
            ({"n": True}, QueryError, "n must be"),
            ({"of": "Type"}, UnknownWordError, "did you mean 'type'"),
            ({"of": "type", "by": "sumcost"}, UnknownWordError, "did you mean 'sumCost'"),
            ({"of": "type"}, UnknownWordError, "Say which measure"),
            ({"by": "cost"}, QueryError, r"this frame has 2 \(type, status\): pass of='type'"),
            ({"of": "type", "by": "mine"}, UnknownWordError, "Rank by a sum or a count"),
        ],
    )
    def test_wrong_words(self, arguments, error, match):
        """Each error says what would be right."""
        frame = vf.demo().call().sum("cost").count().by("type", "status").during("2026-10").fetch()
        with pytest.raises(error, match=match):
            frame.assign(mine=1).vapi.top(**arguments)


class TestOutcome:
    """Ended reasons as families."""

    @examples(5)
    @given(
        st.lists(
            st.tuples(st.sampled_from([row["reason"] for row in ROWS] + [None]), st.integers(0, 10**6)), max_size=40
        ),
        st.sampled_from(REASON_LEVELS),
        st.booleans(),
    )
    def test_it_is_a_grouping_by_the_table(self, drawn, level, dated):
        """Each family has the sums, counts and averages of its reasons; a call without a reason stays without."""
        means = {None: None, **{row["reason"]: row[level] for row in ROWS}}
        calls = [
            {"id": str(i), "createdAt": f"2026-10-{i % 3 + 1:02}T12:00Z", "endedReason": reason, "cost": micros / 10**4}
            for i, (reason, micros) in enumerate(drawn)
        ]
        query = (
            vf.local(calls, now="2026-11-20T00:00Z")
            .call()
            .sum("cost")
            .count()
            .avg("cost")
            .with_counts()
            .by("endedReason")
        )
        frame = (query.step("day") if dated else query).during("2026-10").fetch()
        result = frame.vapi.outcome(level)
        wanted = {}
        for call in calls:
            day = int(call["createdAt"][8:10]) if dated else None
            wanted.setdefault((day, means[call["endedReason"]]), []).append(call["cost"])
        found = {}
        for key, row in zip(result.index, result.to_dict("records"), strict=True):
            found[(key[0].day, plain(key[1])) if dated else (None, plain(key))] = row
        assert found.keys() == wanted.keys()
        for key, costs in wanted.items():
            assert math.isclose(found[key]["sumCost"], math.fsum(costs), abs_tol=1e-9)
            assert math.isclose(found[key]["avgCost"], math.fsum(costs) / len(costs), abs_tol=1e-9)
            assert found[key]["countId"] == found[key]["countCost"] == len(costs)
        assert result.index.names == (["date", level] if dated else [level])
        assert result.index.is_unique

    def test_an_unknown_reason_is_kept_and_said(self):
        """It counts as unknown, a warning lists it, and the frame notes it."""
        calls = [
            {"id": str(i), "createdAt": "2026-10-01T00:00Z", "endedReason": r}
            for i, r in enumerate(["moon", "voicemail", "moon", None])
        ]
        frame = vf.local(calls).call().count().by("endedReason").during("2026-10").fetch()
        with pytest.warns(FrameWarning, match="1 ended reason matches no rule and counts as 'unknown': 'moon'"):
            result = frame.vapi.outcome()
        assert result["countId"].sum() == 4
        assert result.loc["unknown", "countId"] == 2
        assert "moon" in result.vapi.meta.notes[-1]
        assert "moon" in result.vapi.describe()

    def test_the_query_behind_it(self):
        """What was requested is still by reason; a rollup without the level asks for no group."""
        frame = vf.demo().call().count().by("endedReason", "type").step("day").during("2026-10").fetch()
        result = frame.vapi.outcome("fault")
        assert result.vapi.query.groups == ("endedReason", "type")
        assert result.vapi.rollup(by="type").vapi.query.groups == ("type",)
        same(result.vapi.rollup(by="type"), frame.vapi.rollup(by="type"))
        same(
            result.vapi.rollup(step="month").vapi.top(2, of="fault"),
            frame.vapi.rollup(step="month").vapi.outcome("fault").vapi.top(2, of="fault"),
        )
        assert result.vapi.rollup(by="fault").vapi.wide().columns.name == "fault"
        assert result.vapi.wide().columns.names == ["fault", "type"]

    def test_wrong_words(self):
        """Levels are spoken; a frame without reasons says which to ask for; averages need counts."""
        frame = vf.demo().call().avg("cost").by("endedReason").during("2026-10").fetch()
        with pytest.raises(UnknownWordError, match="did you mean 'fault'"):
            frame.vapi.outcome("blame")
        with pytest.raises(NonAdditiveError, match="with_counts"):
            frame.vapi.outcome()
        with pytest.raises(UnknownWordError, match=r'\.by\("endedReason"\)'):
            vf.demo().call().count().by("type").during("2026-10").fetch().vapi.outcome()


class TestLabel:
    """Names beside ids."""

    def frame(self):
        """Return calls of three assistants and of none, by two days."""
        calls = [
            {"id": str(i), "createdAt": f"2026-10-0{i % 2 + 1}T00:00Z", "assistantId": one}
            for i, one in enumerate([*IDS, None, *IDS, None, IDS[0]])
        ]
        return (
            vf.local(calls, now="2026-10-03T00:00Z")
            .call()
            .count()
            .by("assistantId")
            .step("day")
            .during("2026-10")
            .fetch()
        )

    @pytest.mark.parametrize(
        "names", [{IDS[0]: "Ann", IDS[1]: "Bob"}, dict.fromkeys(IDS, "Same"), {}, {IDS[2]: IDS[0]}]
    )
    @pytest.mark.parametrize("kind", [dict, pd.Series])
    def test_ids_are_recoverable_and_names_apart(self, names, kind):
        """The level of the names only comes beside; two ids never share a name, an id without one is its own."""
        frame = self.frame()
        named = frame.vapi.label(kind(names, dtype=object) if kind is pd.Series else names)
        assert named.index.names == ["date", "assistantName", "assistantId"]
        same(named.droplevel("assistantName").sort_index(), frame.sort_index())
        pairs = {(plain(a), plain(b)) for _, a, b in named.index}
        assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs) == 4
        assert (None, None) in pairs
        assert named.vapi.rollup(by="assistantName")["countId"].sum() == 9
        same(named.vapi.rollup(by="assistantId"), frame)
        assert named.vapi.wide().columns.name == "assistantName"
        assert len(named.vapi.fill_gaps()) == len(frame.vapi.fill_gaps())
        if names == {IDS[0]: "Ann", IDS[1]: "Bob"}:
            assert named.index.get_level_values("assistantName").unique().dropna().tolist() == ["7777", "Ann", "Bob"]

    def test_a_group_of_missing_values_alone_is_spread(self):
        """It is one column, without a warning of pandas 2."""
        calls = [{"id": str(day), "createdAt": f"2026-10-0{day}T12:00Z", "type": None} for day in (1, 2)]
        frame = vf.local(calls).call().count().by("type").step("day").during("2026-10").fetch()
        wide = frame.vapi.wide()
        assert wide.columns.isna().tolist() == [True]
        assert wide.iloc[:, 0].tolist() == [1, 1]

    def test_what_cannot_be_labeled(self):
        """No such group, no mapping, or labeled already."""
        with pytest.raises(UnknownWordError, match="did you mean 'assistantId'"):
            self.frame().vapi.label({}, of="assistant")
        with pytest.raises(QueryError, match="mapping id → name, not list"):
            self.frame().vapi.label(["Ann"])
        with pytest.raises(QueryError, match=r"already has a level 'assistantName'.*rollup\(by=\['assistantId"):
            self.frame().vapi.label({}).vapi.label({})
        with pytest.raises(QueryError, match="the name of 'a' must be text, not 5"):
            self.frame().vapi.label({"a": 5})

    @pytest.mark.parametrize("level", ["outcome", "fault"])
    def test_no_level_is_called_like_another_level_or_column(self, level):
        """A measure or a variable called outcome stays alone under its name."""
        calls = [
            {"id": "1", "createdAt": "2026-10-01T12:00Z", "endedReason": "voicemail", "variableValues": {level: "x"}}
        ]
        query = vf.local(calls).call().by("endedReason").during("2026-10-01")
        with pytest.raises(QueryError, match=f"already has a column '{level}'"):
            query.count(alias=level).fetch().vapi.outcome(level)
        frame = query.count().by_variable(level).fetch()
        with pytest.raises(QueryError, match=rf"already has a level '{level}'.*rollup\(by=\['endedReason'\]\)"):
            frame.vapi.outcome(level)
        assert frame.vapi.rollup(by=["endedReason"]).vapi.outcome(level)["countId"].tolist() == [1]

    def test_the_query_is_by_ids(self):
        """Names are not the API's; errors name a query that works."""
        named = vf.demo().call().avg("cost").by("assistantId", "type").during("2026-10").fetch().vapi.label({})
        assert named.vapi.query.groups == ("assistantId", "type")
        with pytest.raises(NonAdditiveError, match=r'\.by\("assistantId"\)\.between'):
            named.vapi.rollup(by=["assistantName", "assistantId"])


def test_changed_values_are_not_spread():
    """A table of other numbers is made with pandas, not under a measure's name."""
    frame = vf.demo().call().sum("cost").by("type").step("month").during("2026-10").fetch()
    with pytest.raises(ProvenanceError, match="not those that were fetched"):
        (frame * 2).vapi.wide()
    assert np.isclose(frame.vapi.wide().to_numpy().sum(), frame["sumCost"].sum())


@pytest.mark.parametrize("many", [126, 127, 128, 129, 255, 256])
def test_the_rest_has_room_among_any_number_of_values(many):
    """An index holds its codes in the shortest whole numbers: one more value may need longer ones."""
    calls = [
        {"id": str(n), "createdAt": "2026-10-01T12:00Z", "cost": n, "assistantId": f"a{n:03}"} for n in range(many)
    ]
    calls.append({"id": "none", "createdAt": "2026-10-01T12:00Z", "cost": 0.5})
    df = vf.local(calls).call().sum("cost").by("assistantId", "type").last("1y").fetch()
    topped = df.vapi.top(many - 1, of="assistantId")
    assert len(topped) == many
    assert topped["sumCost"].sum() == df["sumCost"].sum()
    assert topped.loc["other", "sumCost"].tolist() == [0.5]


def test_names_of_other_ids_are_said():
    """A mapping the wrong way around, or of another organization, names nothing."""
    df = vf.demo().call().count().by("assistantId").during("2026-10").fetch()
    ids = [one for one in df.index if isinstance(one, str)]
    with pytest.warns(FrameWarning, match=r"names has none of the 5 ids of 'assistantId'.*the first is 'Reception'"):
        df.vapi.label({"Reception": ids[0]})
    assert df.vapi.label({ids[0]: "Reception"}).index.get_level_values("assistantName")[0]


@pytest.mark.extra("local")
@pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning")
@pytest.mark.parametrize("as_index", [True, False])
@pytest.mark.parametrize("step", [None, "day"])
@pytest.mark.parametrize("by", ["sumCost", "sumCostDelta"])
def test_a_median_of_a_comparison_stays_for_the_largest_groups(by, step, as_index):
    """As in any frame: each kept row has what was fetched for it, and that of the others is missing in both periods."""
    query = vf.demo().call().sum("cost").median("duration").nunique("endedReason").by("assistantId", "type")
    query = (query.step(step) if step else query).between("2026-10-08", "2026-10-11")
    both = query.compare("7d").fetch(as_index=as_index)
    largest = both.vapi.top(2, by=by, of="assistantId")
    assert list(largest.columns) == list(both.columns)
    keys = [*query.levels, *(["dateBefore"] if step else [])]
    rows = [one.reset_index() if as_index else one for one in (both, largest)]
    fetched, kept = (one.set_index(keys) for one in rows)
    is_other = kept.index.get_level_values("assistantId") == "other"
    assert is_other.any()
    alone = [name for name in kept.columns if name.startswith(("medianDuration", "nuniqueEndedReason"))]
    assert len(alone) == 8
    assert kept.loc[is_other, alone].isna().all(axis=None)
    same = kept[~is_other]
    pd.testing.assert_frame_equal(same, fetched.reindex(same.index), check_dtype=False)


@pytest.mark.parametrize(("groups", "words"), [(["type"], "or pass of='type'"), ([], r"add .by\('assistantId'\)")])
def test_label_without_of_names_assistants(groups, words):
    """Where the frame has none, the message is about the call as it was written."""
    query = vf.demo().call().count().during("2026-10")
    frame = query.by(*groups).fetch() if groups else query.fetch()
    with pytest.raises(QueryError, match=words) as error:
        frame.vapi.label({"a": "b"})
    assert "names assistants" in str(error.value)
    with pytest.raises(UnknownWordError, match="'assistantId'"):
        frame.vapi.label({"a": "b"}, of="assistantId")


def test_the_ids_that_top_kept_are_labeled():
    """The largest assistants, with names."""
    frame = vf.demo().call().count().by("assistantId").during("2026-10").fetch().vapi.top(1)
    [largest, _] = frame.index
    assert list(frame.vapi.label({largest: "Reception"}).index.get_level_values("assistantName")) == [
        "Reception",
        "other",
    ]
