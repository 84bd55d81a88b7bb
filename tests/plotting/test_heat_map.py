"""A typical week as a chart: weekdays down, hours across, colors with a scale; other slots as bars in their order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import vapi_frames as vf
from vapi_frames.errors import QueryError

pytestmark = [pytest.mark.extra("plot")]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def week(*groups, by=("weekday", "hour"), zone="UTC"):
    """Return a typical week of the sample."""
    query = vf.demo().call().count().sum("cost").by(*groups).step("hour").tz(zone).during("2026-10")
    return query.fetch().vapi.typical_week(by)


def cells(axes):
    """Return what the heat map shows, missing as NaN."""
    [image] = axes.images
    return np.ma.filled(image.get_array().astype(float), np.nan)


def test_weekdays_and_hours_make_a_heat_map_of_the_mean():
    """Each cell is the mean of its slot; rows, columns, the scale and the zone are labeled."""
    frame = week(zone="America/New_York")
    axes = frame.vapi.plot("countIdPerSlot")
    assert np.allclose(cells(axes), frame["countIdPerSlot"].to_numpy().reshape(7, 24))
    assert [text.get_text() for text in axes.get_yticklabels()] == DAYS
    assert [text.get_text() for text in axes.get_xticklabels()][:3] == ["00:00", "03:00", "06:00"]
    assert axes.get_xlabel() == "hour (America/New_York)"
    assert axes.get_title() == "Calls per hour by weekday and hour"
    scale = axes.figure.axes[1]
    assert scale.get_ylabel() == "calls per hour"
    assert axes.images[0].get_clim()[0] == 0
    assert np.allclose(cells(frame[["countId", "slots", "countIdPerSlot"]].vapi.plot()), cells(axes))
    assert frame.vapi.plot("cost").get_title() == "Cost by weekday and hour"


def test_a_slot_that_the_range_lacks_is_empty():
    """A range of two days has no other weekdays: they are gray, not 0."""
    query = vf.demo().call().count().step("hour").between("2026-10-05T00:00Z", "2026-10-07T12:00Z")
    shown = cells(query.fetch().vapi.typical_week().vapi.plot())
    assert shown.shape == (7, 24)
    assert np.isnan(shown).sum() == 7 * 24 - 60
    assert np.isnan(shown[2, 12:]).all()


def test_each_group_has_its_own_week():
    """Under each other, on one scale; with names, the ids are left out; of many groups the largest stay."""
    frame = week("type")
    axes = frame.vapi.plot("countIdPerSlot")
    rows = [text.get_text() for text in axes.get_yticklabels()]
    assert rows[:1] + rows[7:8] + rows[-1:] == [
        "inboundPhoneCall · Monday",
        "outboundPhoneCall · Monday",
        "webCall · Sunday",
    ]
    web = frame.xs("webCall", level="type")["countIdPerSlot"].to_numpy().reshape(7, 24)
    assert np.allclose(cells(axes)[14:], web)
    ids = vf.demo().call().count().by("assistantId").step("hour").during("2026-10").fetch()
    named = ids.vapi.label({"3f0c6a52-8d1e-4b7a-9a64-1f5be07c2d10": "Reception"}).vapi.typical_week().vapi.plot()
    assert "Reception · Monday" in [text.get_text() for text in named.get_yticklabels()]
    many = week("endedReason").vapi.plot("countIdPerSlot")
    assert len(many.get_yticklabels()) == 8 * 7
    assert ", 8 of " in many.get_title()


@pytest.mark.parametrize("by", ["weekday", "hour", "open", ("weekday", "open")])
def test_other_slots_are_bars_in_their_order(by):
    """Monday first, midnight first, none left out."""
    frame = week(by=by)
    axes = frame.vapi.plot("countIdPerSlot")
    first = frame.index.get_level_values(0).unique()
    assert [text.get_text() for text in axes.get_xticklabels()] == [str(one) for one in first]
    assert axes.get_ylabel() == f"calls per {'day' if by == 'weekday' else 'hour'}"


def test_options_reach_the_heat_map():
    """Axes, size, title, colors and their limits; another kind is pandas' own, with the hours as its axis."""
    from matplotlib import pyplot as plt

    frame = week()
    _, axes = plt.subplots()
    drawn = frame.vapi.plot("countIdPerSlot", ax=axes, title="Calls", cmap="Greys", vmax=50, colorbar=False)
    assert drawn is axes
    assert len(axes.figure.axes) == 1
    assert axes.get_title() == "Calls"
    assert axes.images[0].get_clim() == (0, 50)
    assert axes.images[0].get_cmap().name == "Greys"
    assert frame.vapi.plot("countIdPerSlot", figsize=(5, 2)).figure.get_size_inches().tolist() == [5, 2]
    lines = frame.vapi.plot("countIdPerSlot", kind="line")
    assert [line.get_label() for line in lines.get_lines()] == DAYS
    assert lines.get_xlabel() == "hour (UTC)"


def test_another_backend_draws_cells_or_a_line_per_weekday():
    """plotly has heat maps, and lines where they are asked for."""
    pytest.importorskip("plotly")
    frame = week()
    with pd.option_context("plotting.backend", "plotly"):
        [cells_drawn] = frame.vapi.plot("countIdPerSlot").data
        lines = frame.vapi.plot("countIdPerSlot", kind="line")
    assert np.allclose(cells_drawn.z, frame["countIdPerSlot"].to_numpy().reshape(7, 24))
    assert [trace.name for trace in lines.data] == DAYS


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")
def test_two_levels_of_any_frame_make_a_heat_map():
    """Dates across and groups down, partial dates hatched; of two groups the last one across."""
    query = vf.demo().call().count().by("type").tz("America/New_York")
    frame = query.step("day").between("2026-11-10", "2026-11-16T12:00").fetch()
    axes = frame.vapi.plot(kind="heatmap")
    assert np.allclose(cells(axes), frame.vapi.wide("countId").T.to_numpy(dtype=float))
    assert axes.get_xticklabels()[0].get_text() == "2026-11-10"
    assert sum(patch.get_hatch() == "///" for patch in axes.patches) == 1
    assert axes.get_title() == "Calls by type per day"
    two = vf.demo().call().count().by("status", "type").during("2026-10").fetch()
    assert np.nansum(cells(two.vapi.plot(kind="heatmap"))) == two["countId"].sum()
    with pytest.raises(QueryError, match="kind='heatmap' needs two levels, and this frame has one group, 'type'"):
        query.during("2026-10").fetch().vapi.plot(kind="heatmap")
