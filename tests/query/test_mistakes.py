"""What people get wrong with call analytics: the natural line of code gives the right number, or the error has the line that does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

import vapi_frames as vf
from tests.support.shapes import QUIET, same
from vapi_frames.errors import NonAdditiveError, ProvenanceError

pytestmark = [pytest.mark.extra("local"), *QUIET]
START, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def october():
    """Return the sample's calls of October as plain dicts, to count by hand."""
    calls = vf.sample_calls()
    calls = calls[(calls["createdAt"] >= START) & (calls["createdAt"] < END)]
    calls = calls.assign(minutes=(calls["endedAt"] - calls["startedAt"]) / pd.Timedelta("1min"))
    return calls.to_dict("records")


def call():
    """Start a query of the sample's calls of October."""
    return vf.demo().call().during("2026-10")


def test_1_the_first_row_is_not_the_total(october):
    """Without a step the result is one row, the total; with one, rollup computes the total."""
    spent = sum(one["cost"] for one in october)
    assert np.isclose(call().sum("cost").fetch()["sumCost"].item(), spent)
    daily = call().sum("cost").step("day").fetch()
    assert len(daily) == 31
    assert np.isclose(daily.vapi.rollup(step="all")["sumCost"].item(), spent)


def test_2_a_mean_of_daily_means_is_refused(october):
    """The error has the query to fetch; with counts the mean is that of the calls."""
    minutes = [one["minutes"] for one in october if one["minutes"] == one["minutes"]]
    daily = call().avg("duration").step("day").fetch()
    assert not np.isclose(daily["avgDuration"].mean(), np.mean(minutes), rtol=1e-4)  # what people do
    with pytest.raises(NonAdditiveError, match=r'fetch vq.call\(\).avg\("duration"\).between'):
        daily.vapi.rollup(step="all")
    counted = call().avg("duration").with_counts().step("day").fetch()
    assert np.isclose(counted.vapi.rollup(step="all")["avgDuration"].item(), np.mean(minutes))


def test_3_minutes_are_called_minutes(october):
    """Durations are minutes, and so is the unit, also under the line of a ratio."""
    frame = call().sum("duration", "cost").fetch()
    seconds = sum(
        (one["endedAt"] - one["startedAt"]).total_seconds() for one in october if one["minutes"] == one["minutes"]
    )
    assert np.isclose(frame["sumDuration"].item() * 60, seconds)
    assert frame.vapi.units["sumDuration"] == "min"
    rate = frame.vapi.per_minute()
    assert rate.vapi.units["sumCostPerMinute"] == "USD/min"
    assert np.isclose(rate["sumCostPerMinute"].item(), sum(one["cost"] for one in october) / seconds * 60)
    assert "(sumDuration, min)" in frame.vapi.describe()


def test_4_rows_are_not_calls(october):
    """A frame has a row per group; its calls are a measure, and every verb keeps their sum."""
    frame = call().count().by("type", "endedReason").fetch()
    assert len(frame) != frame["countId"].sum() == len(october)
    assert frame.vapi.outcome()["countId"].sum() == len(october)
    assert frame.vapi.top(2, of="endedReason")["countId"].sum() == len(october)
    assert "rows" in frame.vapi.describe()


def test_5_numbers_that_come_as_text_are_numbers():
    """Counts come as strings, money perhaps, too; on the frame they add up, with all their decimals."""
    rows = '{"type":"a","countId":"42","sumCost":"0.1234"},{"type":"b","countId":"8","sumCost":1.5}'
    reply = f'[{{"name":"n","timeRange":{{"start":"2026-10-01T00:00:00Z","end":"2026-11-01T00:00:00Z"}},"result":[{rows}]}}]'
    frame = vf.to_frame(reply, vf.vq.call().count().sum("cost").by("type").during("2026-10"))
    assert frame.dtypes.astype(str).tolist() == ["int64", "float64"]
    total = frame.vapi.rollup(by=[])
    assert total["countId"].item() == 50
    assert np.isclose(total["sumCost"].item(), 1.6234)


def test_6_a_day_is_a_day_of_the_zone(october):
    """The date on the index is the local one, however the clock was turned; its text is the day that was counted."""
    zone = ZoneInfo("America/New_York")
    local = [one["createdAt"].astimezone(zone).date() for one in vf.sample_calls().to_dict("records")]
    frame = vf.demo().call().count().step("day").tz(zone.key).between("2026-10-30", "2026-11-03").fetch()
    assert {str(at.date()): n for at, n in frame["countId"].items()} == {
        str(day): local.count(day) for day in sorted(set(local)) if "2026-10-30" <= str(day) < "2026-11-03"
    }
    same(
        frame,
        vf.demo()
        .call()
        .count()
        .step("hour")
        .tz(zone.key)
        .between("2026-10-30", "2026-11-03")
        .fetch()
        .vapi.rollup(step="day"),
    )
    filled = frame.vapi.fill_gaps()
    assert filled.index.is_unique
    assert [at.hour for at in filled.index] == [0] * 4


def test_7_a_period_is_compared_with_another(october):
    """The other period is named, lies before, and its numbers are its own; neither is filled with the other's."""
    calls = vf.sample_calls()
    df = vf.demo().call().sum("cost").between("2026-10-12", "2026-10-19").compare("previous").fetch()
    at = calls["createdAt"].dt.tz_convert("UTC")
    for column, start in (("sumCost", "2026-10-12"), ("sumCostBefore", "2026-10-05")):
        first = pd.Timestamp(start, tz="UTC")
        spent = calls.loc[(at >= first) & (at < first + pd.Timedelta("7D")), "cost"].sum()
        assert np.isclose(df[column].item(), spent)
    assert [side.isoformat() for side in df.vapi.meta.before] == [
        "2026-10-05T00:00:00+00:00",
        "2026-10-12T00:00:00+00:00",
    ]


def test_8_names_stand_beside_ids():
    """Names come from the user; two assistants of one name stay two, and the ids stay."""
    frame = call().sum("cost").by("assistantId").fetch()
    names = dict.fromkeys(frame.index.dropna(), "Front desk")
    named = frame.vapi.label(names)
    assert len(named) == len(frame)
    assert named.index.get_level_values("assistantName").is_unique
    assert all(str(one).startswith("Front desk") for one in named.index.get_level_values("assistantName").dropna())
    same(named.droplevel("assistantName").sort_index(), frame.sort_index())


def test_9_gaps_are_filled_by_the_measures_own_rule():
    """No calls are 0 calls and 0 dollars, but no average, and no concurrency of 0; a fill by hand is noticed."""
    at = datetime(2026, 10, 1, 12, tzinfo=UTC)
    calls = [{"id": str(i), "createdAt": at + timedelta(days=i), "cost": 1.0} for i in (0, 1, 4)]
    query = (
        vf.local(calls, now="2026-10-06T00:00Z")
        .call()
        .count()
        .sum("cost")
        .avg("cost")
        .step("day")
        .between("2026-10-01", "2026-10-06")
    )
    filled = query.fetch().vapi.fill_gaps()
    assert filled["countId"].tolist() == [1, 1, 0, 0, 1]
    assert filled["sumCost"].tolist() == [1, 1, 0, 0, 1]
    assert filled["avgCost"].isna().tolist() == [False, False, True, True, False]
    # The vendor's own example of a reply: a level that is told only where it changes.
    reply = (
        '[{"name":"n","timeRange":{"step":"day","start":"2025-11-05T00:00:00Z","end":"2025-11-20T00:00:00Z"},"result":['
        '{"date":"2025-11-05T00:00:00.000Z","maxConcurrency":0},{"date":"2025-11-10T00:00:00.000Z","maxConcurrency":1},'
        '{"date":"2025-11-17T00:00:00.000Z","maxConcurrency":1}]}]'
    )
    query = vf.vq.subscription().max("concurrency").step("day").between("2025-11-05T00:00Z", "2025-11-20T00:00Z")
    frame = vf.to_frame(reply, query)
    assert frame.vapi.fill_gaps()["maxConcurrency"].isna().sum() == 12
    assert frame.vapi.fill_gaps(concurrency="carry")["maxConcurrency"].tolist() == [0.0] * 5 + [1.0] * 10
    by_hand = frame.vapi.fill_gaps().fillna({"maxConcurrency": 2})
    with pytest.raises(ProvenanceError, match="fillna"):
        _ = by_hand.vapi.units


def test_10_a_filter_is_not_sent_but_answered(october):
    """The API gets no filter, because it has none; the result is that of the filter."""
    query = call().count().sum("cost").where(type="webCall", endedReason=["voicemail", "customer-ended-call"])
    wanted = [
        one
        for one in october
        if one["type"] == "webCall" and one["endedReason"] in ("voicemail", "customer-ended-call")
    ]
    assert query.fetch()["countId"].item() == len(wanted)
    assert np.isclose(query.fetch()["sumCost"].item(), sum(one["cost"] for one in wanted))
    [body] = query.body()["queries"]
    assert set(body) == {"table", "name", "groupBy", "timeRange", "operations"}
    with pytest.raises(AttributeError, match=r"did you mean \.where\(\)"):
        call().count().filter(type="webCall")
    with pytest.raises(ValueError, match="filter the call records first"):
        call().count().where(cost=1)


def test_11_the_mean_of_the_rows_is_no_typical_hour(october):
    """An hour without calls has no row, and counts; by hand: the outbound calls of each weekday and hour."""
    hourly = call().count().where(type="outboundPhoneCall").step("hour").fetch()
    week = hourly.vapi.typical_week()
    of_rows = hourly["countId"].groupby([hourly.index.day_name(), hourly.index.hour]).mean()  # what people do
    by_hand = {}
    at = START
    while at < END:
        by_hand.setdefault((at.strftime("%A"), at.hour), []).append(0)
        at += timedelta(hours=1)
    for one in october:
        if one["type"] == "outboundPhoneCall":
            at = one["createdAt"]
            by_hand[at.strftime("%A"), at.hour][(at - START) // timedelta(days=7)] += 1
    means = {slot: sum(hours) / len(hours) for slot, hours in by_hand.items()}
    assert len(week) == len(means) == 168
    assert all(np.isclose(week.loc[slot, "countIdPerSlot"], mean) for slot, mean in means.items())
    assert max(of_rows[slot] / means[slot] for slot in of_rows.index) == 5


def test_12_a_mean_of_percentiles_is_no_percentile():
    """The mean of hourly p95s is 21 % below that of the calls; rollup refuses, and names the query."""
    calls = vf.sample_calls()
    minutes = ((calls["endedAt"] - calls["startedAt"]) / pd.Timedelta("1min")).dropna().tolist()
    query = vf.demo().call().quantile("duration", 0.95).between("2026-10-01", "2026-11-16")
    right = query.fetch()["p95Duration"].item()
    assert np.isclose(right, np.quantile(minutes, 0.95), rtol=0, atol=1e-12)
    hourly = query.step("hour").fetch()
    assert round(hourly["p95Duration"].mean() / right, 2) == 0.79  # what people do
    with pytest.raises(NonAdditiveError, match=r'fetch vq\.call\(\)\.quantile\("duration", 0\.95\)\.between'):
        hourly.vapi.rollup("all")
