"""``df.vapi``: what it offers on each kind of frame, and what it says on any other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

import vapi_frames as vf
from vapi_frames import analysis
from vapi_frames.errors import ProvenanceError, QueryError, ResponseWarning, UnknownWordError

pytestmark = [pytest.mark.extra("local"), pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")]


def ask(build):
    """Ask the sample organization."""
    return build(vf.demo().call().sum("cost").count()).fetch()


def test_a_frame_of_call_records_starts_a_query_about_itself():
    """The result comes from that very frame, filtered as pandas users do."""
    calls = vf.sample_calls(2000)
    october = calls[calls["type"] == "webCall"].vapi.call().count().by("type").during("2026-10").fetch()
    assert october.index.tolist() == ["webCall"]
    october_ = calls["createdAt"].between(
        pd.Timestamp("2026-10-01", tz="UTC"), pd.Timestamp("2026-11-01", tz="UTC"), inclusive="left"
    )
    wanted = calls[october_ & (calls["type"] == "webCall")]
    assert october["countId"].tolist() == [len(wanted)]
    assert calls.vapi.subscription().max("concurrency").table == "subscription"
    assert repr(calls.vapi).startswith("2,000 call records")


def test_any_other_frame_is_told_both_kinds():
    """AttributeError, as pandas wants it of an accessor, so that hasattr tells the truth."""
    with pytest.raises(AttributeError, match="fetched with this package.*createdAt.*columns a, b"):
        _ = pd.DataFrame({"a": [1], "b": [2]}).vapi
    assert not hasattr(pd.DataFrame(), "vapi")
    with pytest.raises(ProvenanceError, match="not call records"):
        ask(lambda q: q.during("2026-10")).vapi.call()
    with pytest.raises(ProvenanceError, match="does not know"):
        _ = vf.sample_calls(10).vapi.units
    with pytest.raises(QueryError, match="not dict"):
        vf.frame({})


def test_a_read_frame_has_the_accessor(tmp_path):
    """Importing the package registers df.vapi; nothing else has to be called first."""
    vf.sample_calls(10).to_parquet(tmp_path / "calls.parquet")
    assert pd.read_parquet(tmp_path / "calls.parquet").vapi.call().count().table == "call"


class TestPartial:
    """Which buckets are partial, and how much of each has passed."""

    def test_both_ends_are_judged(self):
        """The range cuts the first bucket, now the last."""
        frame = ask(lambda q: q.step("day").between("2026-11-10T06:00Z", None))
        assert frame.index[-1].day == 15
        assert frame.vapi.partial.tolist() == [True] + [False] * 5
        assert frame.vapi.elapsed.tolist() == [0.75] + [1.0] * 5
        assert frame.vapi.partial.dtype == bool
        frame = ask(lambda q: q.step("month").between("2026-10-01", None))
        assert frame.vapi.partial.tolist() == [False, True]
        assert frame.vapi.elapsed.tolist() == [1.0, 0.5]

    def test_a_day_of_25_hours_is_whole_after_25_hours(self):
        """Elapsed shares are of the bucket's own length."""
        query = vf.demo().call().count().step("day").tz("America/New_York")
        frame = query.between("2026-11-01", "2026-11-01T12:00").fetch()
        assert frame.vapi.elapsed.tolist() == [13 / 25]
        assert not query.between("2026-11-01", "2026-11-02").fetch().vapi.partial.any()

    def test_rows_of_groups_share_their_buckets_flag(self):
        """One flag per row, on the frame's own index, also after choosing rows."""
        frame = ask(lambda q: q.by("type").step("week").last("3w"))
        flags = frame.vapi.partial
        assert flags.index.equals(frame.index)
        assert frame.head(2).vapi.partial.tolist() == flags.head(2).tolist()
        assert frame.reset_index().vapi.partial.tolist() == flags.tolist()

    def test_without_a_step_the_range_is_the_bucket(self):
        """A month that is not over is partial as a whole."""
        frame = ask(lambda q: q.between("2026-11-01", "2026-12-01"))
        assert frame.vapi.partial.tolist() == [True]
        assert frame.vapi.elapsed.tolist() == [0.5]
        assert ask(lambda q: q.during("2026-10")).vapi.partial.tolist() == [False]

    def test_where_the_range_is_unknown_it_is_missing(self):
        """Nothing is guessed about a reply without a range and without a query."""
        frame = vf.to_frame('[{"name":"n","timeRange":{"step":"day"},"result":[{"date":"2026-10-01","countId":1}]}]')
        assert frame.vapi.partial.isna().all()
        assert frame.vapi.elapsed.isna().all()

    def test_the_echoed_range_counts_before_the_asked_one(self):
        """The echoed range is what the rows are about; a warning says that it is not the query's."""
        reply = (
            '[{"name":"n","timeRange":{"step":"day","start":"2026-10-01T12:00:00Z","end":"2026-10-02T00:00:00Z"},'
            '"result":[{"date":"2026-10-01T00:00:00.000Z","countId":1}]}]'
        )
        with pytest.warns(ResponseWarning, match="range of the reply is not the query's: start 2026-10-01T12:00:00Z"):
            frame = vf.to_frame(reply, vf.vq.call().count().step("day").during("2026-10"))
        assert frame.vapi.elapsed.tolist() == [0.5]

    def test_an_empty_frame_has_no_flags(self):
        """Zero rows give zero flags of the same type."""
        frame = vf.to_frame(
            '[{"name":"n","timeRange":{},"result":[]}]', vf.vq.call().count().step("day").during("2026-10")
        )
        assert frame.vapi.partial.tolist() == []

    def test_another_now_may_be_asked_about(self):
        """The function takes a clock."""
        frame = ask(lambda q: q.step("month").between("2026-10-01", "2026-12-01"))
        assert analysis.partial(frame, now=datetime(2027, 1, 1, tzinfo=UTC)).tolist() == [False, False]


class TestWide:
    """Buckets as rows, groups as columns."""

    def test_missing_groups_stay_apart_and_last(self):
        """A call without an assistant keeps its own column, an absent row is missing and not 0."""
        frame = ask(lambda q: q.by("assistantId").step("day").during("2026-10"))
        table = frame.vapi.wide("cost")
        assert table.shape[1] == frame.index.get_level_values("assistantId").nunique(dropna=False)
        assert pd.isna(table.columns[-1])
        assert table.columns[:-1].is_monotonic_increasing
        assert np.isclose(np.nansum(table.to_numpy()), frame["sumCost"].sum())
        assert int(table.notna().sum().sum()) == len(frame)
        assert table.index.name == "date"
        assert table.columns.name == "assistantId"

    def test_two_groups_make_column_pairs(self):
        """Three levels give a MultiIndex of columns."""
        frame = ask(lambda q: q.by("type", "status").step("month").during("2026-10"))
        assert frame.vapi.wide("countId").columns.names == ["type", "status"]
        assert ask(lambda q: q.by("type", "status").during("2026-10")).vapi.wide("countId").index.name == "type"

    def test_a_column_may_be_named_in_three_ways(self):
        """Its own name, the API's column where only one measure fits, or nothing where there is only one measure."""
        frame = ask(lambda q: q.by("type").step("month").during("2026-10"))
        pd.testing.assert_frame_equal(frame.vapi.wide("sumCost"), frame.vapi.wide("cost"))
        pd.testing.assert_frame_equal(frame[["sumCost"]].vapi.wide(), frame.vapi.wide("cost"))
        with pytest.raises(UnknownWordError, match="Say which measure"):
            frame.vapi.wide()
        with pytest.raises(UnknownWordError, match="did you mean 'sumCost'"):
            frame.vapi.wide("sumcost")
        with pytest.raises(UnknownWordError, match=r"Ask for it, e\.g\. \.sum\(\"duration\"\)"):
            frame.vapi.wide("duration")

    @pytest.mark.parametrize("groups", [(), ("type",)])
    def test_without_a_step_or_groups_it_is_a_column(self, groups):
        """There is nothing to spread."""
        frame = ask(lambda q: q.by(*groups).during("2026-10"))
        assert frame.vapi.wide("cost").shape == (len(frame), 1)


def test_verbs_leave_their_frame_alone():
    """No verb changes its input."""
    frame = ask(lambda q: q.by("type").step("day").last("5d"))
    before, attrs = frame.copy(deep=True), dict(frame.attrs)
    for verb in (lambda: frame.vapi.partial, lambda: frame.vapi.elapsed, lambda: frame.vapi.wide("cost"), lambda: frame.vapi.plot("cost"),
                 lambda: frame.vapi.units, lambda: frame.vapi.query, lambda: repr(frame.vapi)):  # fmt: skip
        verb()
    pd.testing.assert_frame_equal(frame, before)
    assert frame.attrs == attrs


def test_refresh_asks_again_and_a_relative_range_moves_on():
    """Records have to be passed; the window is resolved anew."""
    calls = vf.sample_calls()
    early, late = vf.local(calls, now="2026-11-10T00:00Z"), vf.local(calls, now="2026-11-12T00:00Z")
    frame = early.call().count().step("day").last("3d").fetch()
    again = frame.vapi.refresh(late)
    assert again.index[-1] - frame.index[-1] == timedelta(days=2)
    assert again.vapi.query == frame.vapi.query
    with pytest.raises(QueryError, match="not from the API but from 'calls'"):
        frame.vapi.refresh()
    with pytest.raises(QueryError, match="what to fetch from.*not str"):
        frame.vapi.refresh("api")


def test_the_repr_is_a_small_report():
    """Query, source, range in the zone, measures with units, partial rows."""
    text = repr(ask(lambda q: q.by("type").step("day").last("36h").tz("America/New_York")).vapi)
    assert (
        text.splitlines()[0]
        == 'vq.call().sum("cost").count().by("type").step("day").last("36h").tz("America/New_York")'
    )
    assert "2026-11-15T19:00:00-05:00 (America/New_York)" in text
    assert "sumCost (USD), countId (calls)" in text
    assert "rows" in text.splitlines()[-1]
    assert "one row" in repr(ask(lambda q: q.during("2026-10")).vapi)


def test_the_typed_accessor_is_the_same():
    """vf.frame(df) is df.vapi for editors."""
    frame = ask(lambda q: q.during("2026-10"))
    assert vf.frame(frame).units == frame.vapi.units


class TestMangledFrames:
    """What a verb cannot trust any more it refuses by name, never with pandas' own complaint."""

    def frame(self):
        """Return cost by type and day."""
        return ask(lambda q: q.by("type").step("day").during("2026-10"))

    @pytest.mark.parametrize(
        ("mangle", "match"),
        [
            (lambda f: f.reset_index(drop=True), "restore it with set_index"),
            (lambda f: pd.concat([f, f]), "the index has a row twice"),
            (lambda f: f.droplevel("type"), "the index has a row twice"),
            (lambda f: f.rename_axis(["day", "kind"]), "should have the levels date, type, and has day, kind"),
            (lambda f: f.rename(columns={"sumCost": "cost"})[["cost"]], "none of the measures"),
            (lambda f: f[["sumCost"]].unstack("type"), "none of the measures"),
        ],
    )
    def test_wide_and_plot_refuse(self, mangle, match):
        """Each says what is missing and how to get it back."""
        for verb in (lambda f: f.vapi.wide("cost"), lambda f: f.vapi.plot("cost")):
            with pytest.raises(ProvenanceError, match=match):
                verb(mangle(self.frame()))
        repr(mangle(self.frame()).vapi)

    def test_dates_that_are_no_buckets_any_more_are_noticed(self):
        """Regrouping by month keeps attrs, which still say day: such a row is none that was fetched."""
        monthly = self.frame().groupby(pd.Grouper(level="date", freq="MS")).sum()
        with pytest.raises(ProvenanceError, match="no level 'type' any more"):
            _ = monthly.vapi.partial  # the first of a month is a day, too
        shifted = self.frame().reset_index()
        shifted["date"] += pd.Timedelta("1h")
        with pytest.raises(ProvenanceError, match="not among those that were fetched"):
            _ = shifted.vapi.partial
        assert "partial      unknown" in repr(shifted.vapi)

    @pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning")
    def test_a_missing_date_has_no_share(self):
        """NaT belongs to no bucket: in a comparison, a bucket of the other period that faces none."""
        calls = [{"id": str(n), "createdAt": f"2026-10-{n:02}T12:00Z", "cost": 1.0} for n in range(1, 32)]
        query = vf.local(calls, now="2026-12-02T00:00Z").call().sum("cost").step("day")
        frame = query.during("2026-11").compare().fetch()
        dates = frame.index.get_level_values("date")
        assert dates.isna().any()
        assert frame.vapi.elapsed.isna().tolist() == dates.isna().tolist()
        frame = self.frame().reset_index()
        frame.loc[0, "date"] = pd.NaT
        with pytest.raises(ProvenanceError, match="not among those that were fetched"):
            _ = frame.vapi.elapsed

    def test_columns_that_are_no_numbers_any_more_are_named(self):
        """units has nothing to say of text, nor of two columns of one name."""
        for other in (self.frame().astype(str), pd.concat([self.frame()] * 2, axis=1)):
            if "vapi" in other.attrs:
                with pytest.raises(
                    ProvenanceError, match="no longer holds numbers|not those that were fetched|the same name"
                ):
                    _ = other.vapi.units

    def test_sums_that_cancel_are_not_taken_for_a_change(self):
        """Order changes the last bits of a sum; that is not a change of the values."""
        calls = [
            {"id": str(i), "createdAt": f"2026-10-0{i + 1}T00:00Z", "cost": c}
            for i, c in enumerate([1e16, 1, -1e16, 0.1])
        ]
        frame = vf.local(calls).call().sum("cost").step("day").during("2026-10").fetch()
        assert frame.sort_values("sumCost").vapi.units == {"sumCost": "USD"}

    @pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
    def test_a_missing_group_is_drawn_on_every_backend(self, backend):
        """pandas' NA in a level is the missing group."""
        query = vf.demo().call().sum("cost").by("assistantId").step("week").between("2026-10-05", "2026-11-02")
        axes = query.fetch(dtype_backend=backend).vapi.plot()
        assert "(none)" in [text.get_text() for text in axes.get_legend().get_texts()]
