"""The vendor's dashboard in one request, and the minutes checked against what else is known of them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import vapi_frames as vf
from tests.support import servers
from tests.support.endpoint import KEY, running
from vapi_frames.contract.record_words import RECORD_COST_PARTS
from vapi_frames.contract.vocabulary import COST_PARTS, default_name
from vapi_frames.errors import QueryError, ResponseWarning, UnknownWordError

pytestmark = [
    pytest.mark.extra("local"),
    pytest.mark.xdist_group("plot"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning"),
]


@pytest.fixture(scope="module")
def dashboard():
    """Return the dashboard of the sample organization."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return vf.demo().dashboard("30d", tz="America/New_York")


def test_it_is_one_request_of_eleven_queries():
    """All of it goes out in one POST, and each result is matched by its name."""
    nothing = servers.answering(change=lambda found: [one | {"result": []} for one in found])
    with servers.Server(nothing) as server:
        frames = vf.connect(KEY, base_url=server.url).dashboard("7d")
    [request] = server.requests
    names = [one["name"] for one in request.json()["queries"]]
    assert len(names) == 11
    assert list(frames) == ["kpis", *names]
    assert frames["kpis"]["countId"].tolist() == [0]


def test_its_figures_are_the_totals_of_its_frames(dashboard):
    """Minutes, calls, spend: over time, by group and on top they are the same."""
    [row] = dashboard["kpis"].to_dict("records")
    assert row["sumDuration"] == pytest.approx(dashboard["duration"]["sumDuration"].sum())
    assert row["countId"] == dashboard["types"]["countId"].sum() == dashboard["endedReasons"]["countId"].sum()
    assert row["countId"] == dashboard["success"]["countId"].sum() == dashboard["assistants"]["countId"].sum()
    assert row["sumCost"] == pytest.approx(dashboard["assistants"]["sumCost"].sum())
    assert row["sumCost"] == pytest.approx(dashboard["costParts"].sum().sum())
    assert row["sumCost"] == pytest.approx(dashboard["costProviders"].sum().sum())
    assert row["sumCostPerCall"] == pytest.approx(row["sumCost"] / row["countId"])
    averaged = dashboard["averageCost"]
    assert (averaged["avgCost"] * averaged["countCost"]).sum() == pytest.approx(row["sumCost"])
    assert dashboard["kpis"].vapi.units == {
        "sumDuration": "min", "countId": "calls", "sumCost": "USD", "sumCostPerCall": "USD/call",
    }  # fmt: skip
    with pytest.raises(QueryError, match="does not give 'sumCostPerCall'"):
        dashboard["kpis"].vapi.refresh(vf.demo())
    again = dashboard["kpis"].drop(columns="sumCostPerCall").vapi.refresh(vf.demo())
    assert again["sumCost"].tolist() == dashboard["kpis"]["sumCost"].tolist()


def test_it_has_the_parts_of_the_cost_that_its_source_has(dashboard):
    """Call records have more than the contract has words for; the API is asked for those of the contract."""
    with running(vf.demo().source) as served:
        asked = vf.connect(KEY, base_url=served.url).dashboard("7d")
    for name in ("costParts", "costProviders"):
        assert list(asked[name]) == [default_name("sum", part) for part in COST_PARTS]
        assert list(dashboard[name]) == [default_name("sum", part) for part in (*COST_PARTS, *RECORD_COST_PARTS)]


def test_whole_buckets_only_are_one_range_for_all():
    """Four whole weeks: the frames without a step cover the same ones."""
    frames = vf.demo().dashboard("4w", step="week", complete=True)
    assert len({(frame.vapi.meta.start, frame.vapi.meta.end) for frame in frames.values()}) == 1
    assert not frames["types"].vapi.partial.any()
    assert frames["types"]["countId"].sum() == frames["kpis"]["countId"].iloc[0]


def test_every_frame_of_it_is_drawn(dashboard):
    """One line each; measures of several units have a panel each."""
    for name, frame in dashboard.items():
        np.atleast_1d(frame.vapi.plot())[0].figure.canvas.draw()
        assert frame.vapi.describe(), name


class TestMinutes:
    """Whether durations are minutes is checked where something else knows."""

    def ask(self, scale, **options):
        """Query a server that gives durations of *scale* times the minutes, for both kinds of minutes."""

        def change(found):
            for result in found:
                for row in result["result"]:
                    row |= {name: 100.0 * (scale if "Duration" in name else 1) for name in row if name != "date"}
            return found

        with servers.Server(servers.answering(change=change)) as server:
            vq = vf.connect(KEY, base_url=server.url, **options)
            return vq.fetch(
                vq.call().sum("duration").during("2026-10").named("calls"),
                vq.subscription().sum("minutesUsed").during("2026-10").named("used"),
            )

    def test_seconds_are_noticed_with_the_factor(self):
        """Both in one fetch, and sixty times apart: the warning says how to say so."""
        with pytest.warns(ResponseWarning, match=r"60 times the minutes used.*look like seconds.*\"duration\": \"s\""):
            self.ask(60)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.ask(1.02)

    def test_a_unit_can_be_said(self):
        """It is carried on by the verbs, and what is per minute is."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frame = self.ask(60, units={"duration": "s"})["calls"]
        assert frame.vapi.units == {"sumDuration": "s"}
        for units, match in (({"cost": "EUR"}, "cost"), ({"duration": "seconds"}, "did you mean 's'")):
            with pytest.raises(UnknownWordError, match=match):
                vf.connect(KEY, units=units)

    def test_cost_per_minute_of_seconds(self):
        """Six dollars in 120 seconds are three dollars a minute."""
        calls = [{"id": "1", "createdAt": "2026-10-01T12:00Z", "startedAt": "2026-10-01T12:00Z",
                  "endedAt": "2026-10-01T14:00Z", "cost": 6.0}]  # fmt: skip
        with running(vf.local(calls).source) as served:
            vq = vf.connect(KEY, base_url=served.url, units={"duration": "s"})
            df = vq.call().sum("cost", "duration").during("2026-10").fetch().vapi.per_minute()
        assert df["sumCostPerMinute"].tolist() == [3.0]  # the endpoint's 120 minutes, taken for seconds
        assert df.vapi.units["sumCostPerMinute"] == "USD/min"
        assert df.vapi.rollup("all")["sumCostPerMinute"].tolist() == [3.0]

    def test_call_records_know_it_too(self):
        """Compares the API with the records: the ratios are about 1 where both agree."""
        calls = vf.sample_calls(500)
        df = vf.local(calls).call().sum("duration").by("type").during("2026-10").fetch()
        assert df.vapi.check_units(calls) == pytest.approx(1.0)
        assert df.vapi.check_units(vf.local(calls)) == pytest.approx(1.0)
        with pytest.raises(UnknownWordError, match="duration"):
            vf.local(calls).call().count().during("2026-10").fetch().vapi.check_units(calls)
