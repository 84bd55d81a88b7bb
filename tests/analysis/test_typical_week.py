"""A typical week: the mean of a slot is over all hours of the range that there were, by the calendar."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.call_frames import check, frames
from tests.support.examples import examples
from tests.support.shapes import QUIET, fetch
from tests.support.verb_loops import divide
from vapi_frames.errors import FrameWarning, NonAdditiveError, ProvenanceError, QueryError, UnknownWordError

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
pytestmark = [pytest.mark.extra("local"), *QUIET]
SHORT = [day[:3] for day in WEEKDAYS]
HOURS = [("09:00", "17:00"), ("0:00", "24:00"), ("22:00", "06:00"), ("08:00", "09:00")]


def october(*groups, step="hour"):
    """Return the calls of the sample's October by hour."""
    return vf.demo().call().sum("cost").count().by(*groups).step(step).during("2026-10").fetch()


def slot_of(wall, by, hours, days):
    """Return the slot of a time of the wall clock; what opened yesterday evening may still be open."""
    begin, end = (int(one.split(":")[0]) for one in hours)
    is_open = False
    for day in (wall.date(), wall.date() - timedelta(days=1)):
        opened = datetime(day.year, day.month, day.day, begin)
        closes = opened + timedelta(hours=end - begin + 24 * (end < begin))
        is_open |= SHORT[day.weekday()] in days and opened <= wall < closes
    parts = {"weekday": wall.weekday(), "hour": wall.hour, "open": "open" if is_open else "closed"}
    return tuple(parts[name] for name in by)


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning")
@examples(15)
@given(frames(steps=("minute", "hour", "day")), st.data())
def test_the_slots_are_those_of_a_loop_over_the_wall_clock(drawn, data):
    """Any zone, range and groups: hours that came twice or never count as often as the clock showed them."""
    vq, query, model = drawn
    options = (
        [["weekday"]]
        if model.step == "day"
        else [["weekday", "hour"], ["hour"], ["weekday"], ["open"], ["open", "weekday"]]
    )
    by = data.draw(st.sampled_from(options))
    hours = data.draw(st.sampled_from(HOURS))
    days = data.draw(st.lists(st.sampled_from(SHORT), min_size=1, unique=True))
    opening = {"hours": hours, "days": days} if "open" in by else {}
    made = fetch(vq, query).vapi.typical_week(by, **opening)

    def slot(at):
        return slot_of(at.astimezone(query.zone).replace(tzinfo=None), by, hours, days)

    model = model.at("day" if by == ["weekday"] else "hour")
    is_whole = model.buckets()
    slots = {label: slot(at) for at, label in model.walk() if is_whole[label]}
    groups = {key[1:] for key, calls in model.cells.items() if is_whole[key[0]]} or (
        {()} if len(model.levels) == 1 else set()
    )
    expected = {}
    for one in set(slots.values()):
        for group in groups:
            calls = [
                call for key, calls in model.cells.items() if key[1:] == group and is_whole[key[0]]
                for call in calls if slot(call["createdAt"]) == one
            ]  # fmt: skip
            row = model.row(calls)
            row |= {name: 0 for name in row if name.startswith(("sum", "count")) and not calls}
            row["slots"] = list(slots.values()).count(one)
            row |= {
                f"{name}PerSlot": divide(row[name], row["slots"]) for name in row if name.startswith(("sum", "count"))
            }
            expected[(*one, *group)] = row
    if "weekday" in made.index.names:
        level = made.index.names.index("weekday")
        numbers = [made.index] if made.index.nlevels == 1 else made.index.levels
        assert list(pd.CategoricalIndex(numbers[level]).categories) == list(WEEKDAYS)
        codes = [WEEKDAYS.index(day) for day in made.index.get_level_values(level)]
        arrays = [codes if i == level else made.index.get_level_values(i) for i in range(made.index.nlevels)]
        names = made.index.names
        made = made.set_axis(
            pd.Index(codes, name="weekday") if len(names) == 1 else pd.MultiIndex.from_arrays(arrays, names=names)
        )
    check(made, expected, f"typical_week by {by}")


def test_the_sample_by_hand():
    """The Mondays of October at 9: four of them; the total, and a fourth of it."""
    calls = vf.sample_calls()
    at = calls["createdAt"]
    chosen = calls[(at >= "2026-10-01") & (at < "2026-11-01") & (at.dt.day_name() == "Monday") & (at.dt.hour == 9)]
    row = october().vapi.typical_week().loc[("Monday", 9)]
    assert row["countId"] == len(chosen) == row["countIdPerSlot"] * 4
    assert row["slots"] == 4
    assert row["sumCost"] == pytest.approx(chosen["cost"].sum())


def test_the_units_say_per_hour_or_per_day():
    """A mean is per slot: of hours, or by weekday alone of days."""
    frame = october()
    assert frame.vapi.typical_week().vapi.units == {
        "sumCost": "USD", "countId": "calls", "slots": "hours", "sumCostPerSlot": "USD/hour", "countIdPerSlot": "calls/hour",
    }  # fmt: skip
    week = frame.vapi.typical_week("weekday")
    assert week.vapi.units["countIdPerSlot"] == "calls/day"
    pd.testing.assert_frame_equal(week, october(step="day").vapi.typical_week("weekday"))
    assert "by weekday in UTC. From 2026-10-01 00:00 until 2026-10-31 24:00" in week.vapi.describe()


def test_averages_are_those_of_the_calls():
    """With counts, an average is made again; without, it is refused with the query to fetch; a ratio comes from its parts."""
    query = vf.demo().call().avg("duration").sum("cost").count().step("hour").during("2026-10")
    with pytest.raises(NonAdditiveError, match=r"with_counts\(\)"):
        query.fetch().vapi.typical_week()
    week = query.with_counts().fetch().vapi.per_call().vapi.typical_week("hour")
    calls = vf.sample_calls()
    at = calls["createdAt"]
    chosen = calls[(at >= "2026-10-01") & (at < "2026-11-01") & (at.dt.hour == 14)]
    minutes = (chosen["endedAt"] - chosen["startedAt"]) / pd.Timedelta("1min")
    assert week.loc[14, "avgDuration"] == pytest.approx(minutes.mean())
    assert week.loc[14, "sumCostPerCall"] == pytest.approx(chosen["cost"].sum() / len(chosen))


def test_partial_hours_are_left_out_with_a_warning():
    """The range cuts the first hour, and the time of the fetch the last."""
    query = vf.demo().call().count().step("hour").between("2026-10-05T00:30", "2026-10-06")
    with pytest.warns(FrameWarning, match=r"1 row of partial hours left out: the range, or the time of the fetch"):
        week = query.fetch().vapi.typical_week()
    assert ("Monday", 0) not in week.index
    assert len(week) == 23
    assert week.vapi.meta.notes == ("1 row of partial hours left out",)


def test_a_range_without_a_whole_hour_has_no_slot():
    """The result is empty, with all of its columns."""
    query = vf.demo().call().count().step("hour").between("2026-10-05T14:10", "2026-10-05T14:50")
    with pytest.warns(FrameWarning):
        week = query.fetch().vapi.typical_week()
    assert list(week) == ["countId", "slots", "countIdPerSlot"]
    assert len(week) == 0


@pytest.mark.parametrize("types", ["numpy_nullable", "pyarrow"])
def test_the_types_are_the_frames(types, tmp_path):
    """Also after the way over a file."""
    query = vf.demo().call().sum("cost").count().by("type").step("hour").during("2026-10")
    week = query.fetch(dtype_backend=types).vapi.typical_week()
    plain = query.fetch().vapi.typical_week()
    assert week["slots"].dtype == week["countId"].dtype
    assert week["countIdPerSlot"].astype(float).tolist() == plain["countIdPerSlot"].tolist()
    for one in (week, plain):
        one.vapi.save(tmp_path / "week.parquet")
        pd.testing.assert_frame_equal(vf.load(tmp_path / "week.parquet"), one)
        assert one.vapi.for_excel().shape == (504, 8)
        assert "<table" in one.vapi.style().to_html()


def test_totals_roll_up_and_means_do_not():
    """Totals by weekday are those of the days; a mean, or a number of slots, is of its slots only."""
    week = october("type").vapi.typical_week()
    days = week[["sumCost", "countId"]].vapi.rollup(by="weekday")
    pd.testing.assert_frame_equal(days, october().vapi.typical_week("weekday")[["sumCost", "countId"]])
    with pytest.raises(NonAdditiveError, match="'slots' cannot be re-aggregated"):
        week.vapi.rollup(by="weekday")
    for verb in (lambda: week.vapi.top(2, of="weekday"), lambda: week.vapi.label({}, of="hour")):
        with pytest.raises(UnknownWordError, match="unknown group of the frame"):
            verb()


def test_no_query_gives_a_week():
    """Of weekdays and hours; the error has the query of the hours."""
    for by, step in (("weekday", "day"), (("weekday", "hour"), "hour"), ("open", "hour")):
        week = october("type").vapi.typical_week(by)
        for use in (lambda w=week: w.vapi.query, lambda w=week: w.vapi.refresh(vf.demo())):
            with pytest.raises(
                ProvenanceError, match=rf'no query gives rows by .*\.step\("{step}"\).*typical_week again'
            ):
                use()
        repr(week.vapi)


def test_rows_that_were_left_out_are_no_empty_slots():
    """A choice is refused, unless the caller says that the others had no calls."""
    frame = october("type")
    chosen = frame[frame["countId"] > 3]
    with pytest.raises(ProvenanceError, match=r"typical_week\(whole=True\)"):
        chosen.vapi.typical_week()
    assert chosen.vapi.typical_week("weekday", whole=True)["slots"].unique().tolist() == [4, 5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": []}, "by is empty"), ({"by": ["hour", "hour"]}, "'hour' is twice"), ({"by": "day"}, "did you mean 'weekday'"),
        ({"by": "open", "hours": ("09:30", "17:00")}, "'09:30' in hours is no whole hour"), ({"by": "open", "hours": "9-17"}, "two times"),
        ({"by": "open", "hours": ("09:00", "09:00")}, "all day is"), ({"by": "open", "days": ["Montag"]}, "unknown weekday 'Montag'; did you mean 'Monday'"),
        ({"by": "open", "days": []}, "days is empty"), ({"hours": ("09:00", "17:00")}, r'pass by=\["open"\]'),
        ({"days": "Mon"}, "days= says when"), ({"by": "open", "hours": ("09:00", "25:00")}, "'25:00'"),
    ],
)  # fmt: skip
def test_what_is_no_week_is_refused(options, message):
    """By name, with the value and what is right."""
    with pytest.raises(QueryError, match=message):
        october().vapi.typical_week(**options)


def test_what_the_frame_lacks_is_named():
    """A step, a step that is fine enough, and free names."""
    query = vf.demo().call().count().during("2026-10")
    with pytest.raises(QueryError, match=r"no step, so it has no hours: add \.step\('hour'\)"):
        query.fetch().vapi.typical_week()
    with pytest.raises(QueryError, match='by day, and the slots are hours.*or pass by="weekday"'):
        query.step("day").fetch().vapi.typical_week()
    with pytest.raises(NonAdditiveError, match="'mine' is a column of your own"):
        query.step("hour").fetch().assign(mine=1).vapi.typical_week()
    for alias in ("slots", "hour", "xPerSlot"):
        with pytest.raises(QueryError, match=f"already has a column.* '{alias}'"):
            query.sum("cost", alias=alias).sum("duration", alias="x").step("hour").fetch().vapi.typical_week()
