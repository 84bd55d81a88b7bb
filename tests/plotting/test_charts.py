"""Charts: the right one for the shape, unit and zone on the axes, partial buckets dashed."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

import vapi_frames as vf
from vapi_frames.errors import MissingExtraError, UnknownWordError

pytestmark = [pytest.mark.extra("plot"), pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")]


def ask(build):
    """Ask the sample organization."""
    return build(vf.demo().call().sum("cost").avg("duration")).fetch()


def labels(axes):
    """Return the legend's texts."""
    return [text.get_text() for text in axes.get_legend().get_texts()] if axes.get_legend() else []


def test_time_makes_a_line_with_unit_and_zone():
    """One measure over time is one line."""
    axes = ask(lambda q: q.step("day").during("2026-10").tz("America/New_York")).vapi.plot("cost")
    assert axes.get_ylabel() == "cost (USD)"
    assert axes.get_xlabel() == "date (America/New_York)"
    assert axes.get_title() == "Cost per day"
    assert len(axes.get_lines()) == 1
    assert labels(axes) == []
    assert ask(lambda q: q.step("day").during("2026-10")).vapi.plot("duration").get_ylabel() == "mean duration (min)"


def test_groups_over_time_make_a_line_each():
    """Ids are cut in the legend, a missing group is said and stands last."""
    axes = ask(lambda q: q.by("assistantId").step("week").between("2026-10-05", "2026-11-02")).vapi.plot("cost")
    assert labels(axes)[-1] == "(none)"
    assert all(text.endswith("…") and len(text) == 9 for text in labels(axes)[:-1])
    assert len(axes.get_lines()) == len(labels(axes))
    assert axes.get_title() == "Cost by assistant per week"


def test_partial_buckets_are_dashed():
    """The last day, still open, is joined by a dashed line and said in the legend."""
    frame = ask(lambda q: q.by("type").step("day").between("2026-11-10", "2026-11-16T12:00").tz("America/New_York"))
    assert frame.vapi.partial.any()
    axes = frame.vapi.plot("cost")
    dashed = [line for line in axes.get_lines() if line.get_linestyle() == "--" and len(line.get_xdata())]
    assert len(dashed) == 3
    assert labels(axes)[-1] == "partial bucket"
    solid = [line for line in axes.get_lines() if line.get_linestyle() == "-"]
    assert len(solid) == 3
    whole = ask(lambda q: q.step("day").during("2026-10")).vapi.plot("cost")
    assert all(line.get_linestyle() == "-" for line in whole.get_lines())


def test_an_hour_that_comes_twice_is_drawn_twice():
    """The axis holds instants, so the line never runs back in autumn."""
    frame = ask(lambda q: q.step("hour").between("2026-11-01", "2026-11-02").tz("America/New_York")).vapi.fill_gaps()
    assert len(frame) == 25
    [line] = frame.vapi.plot("cost").get_lines()
    at = list(line.get_xdata(orig=False))
    assert at == sorted(at)
    assert len(set(at)) == len(frame)


def test_the_legend_of_bars_names_the_groups_that_are_colored():
    """The first group stands along the axis of bars, and is not said twice; over time all of them are lines."""
    axes = ask(lambda q: q.by("assistantId", "type", "status").during("2026-10")).vapi.plot("cost")
    assert axes.get_ylabel() == "assistant"
    assert axes.get_legend().get_title().get_text() == "type, status"
    axes = ask(lambda q: q.by("assistantId", "type").step("week").during("2026-10")).vapi.plot("cost")
    assert axes.get_legend().get_title().get_text() == "assistant, type"


def test_groups_make_bars():
    """Without a step each group is a bar, the largest on top."""
    axes = ask(lambda q: q.by("endedReason").during("2026-10")).vapi.plot("cost")
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == sorted(widths)
    assert axes.get_xlabel() == "cost (USD)"
    assert axes.get_ylabel() == "ended reason"
    axes = ask(lambda q: q.by("assistantId", "type").during("2026-10")).vapi.plot("cost")
    assert (axes.get_ylabel(), axes.get_legend().get_title().get_text()) == ("assistant", "type")
    assert labels(axes) == ["inboundPhoneCall", "outboundPhoneCall", "webCall"]


@pytest.mark.parametrize(
    "build",
    [
        lambda q: q.during("2026-10"),
        lambda q: q.step("year").between("2026-10-01", "2026-11-01"),
        lambda q: q.by("type", "status").step("day").during("2026-10"),
        lambda q: q.by("type", "status", "endedReason").during("2026-10"),
        lambda q: q.step("second").between("2026-10-05T15:00Z", "2026-10-05T15:05Z"),
        lambda q: q.by_variable("plan").during("2026-10"),
    ],
)
def test_every_shape_is_drawn(build):
    """One row, one bucket, two and three groups, seconds, variables: each gives a chart with a label."""
    axes = ask(build).vapi.plot("cost")
    axes.figure.canvas.draw()
    assert "cost (USD)" in (axes.get_xlabel(), axes.get_ylabel())


def test_bars_of_months_are_labeled_by_month():
    """The first of the month is no day that anything is about."""
    axes = ask(lambda q: q.step("month").during("2026Q4")).vapi.plot("cost", kind="bar")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2026-10", "2026-11"]


def test_slanted_dates_end_below_their_bars():
    """Centred, half of each would stand below the next bar."""
    frame = ask(lambda q: q.step("day").during("2026-10"))
    for rot, place in ((45, "right"), (90, "center"), (0, "center")):
        axes = frame.vapi.plot("cost", kind="bar", rot=rot)
        assert {text.get_ha() for text in axes.get_xticklabels()} == {place}


def test_options_are_pandas_own():
    """What DataFrame.plot takes is taken, and wins."""
    import matplotlib.pyplot as plt

    _, (left, right) = plt.subplots(1, 2)
    frame = ask(lambda q: q.step("day").during("2026-10"))
    axes = frame.vapi.plot("cost", ax=right, title="Spend", color="red", ylabel="dollars")
    assert axes is right
    assert (axes.get_title(), axes.get_ylabel()) == ("Spend", "dollars")
    assert not left.get_lines()
    assert ask(lambda q: q.by("type").during("2026-10")).vapi.plot("cost", kind="bar").get_ylabel() == "cost (USD)"


@pytest.mark.parametrize("kind", ["bar", "barh", "area"])
def test_other_kinds_are_drawn_over_time(kind):
    """Bars carry local dates, and are hatched where the bucket is partial; areas show all."""
    frame = ask(lambda q: q.by("type").step("day").between("2026-11-12", None).tz("America/New_York"))
    axes = frame.vapi.plot("cost", kind=kind, stacked=True)
    axes.figure.canvas.draw()
    if kind != "area":
        assert sum(bar.get_hatch() == "///" for bar in axes.patches) == 3
        ticks = [tick.get_text() for tick in (axes.get_xticklabels() if kind == "bar" else axes.get_yticklabels())]
        assert ticks[0] == "2026-11-12"
    assert "cost (USD)" in (axes.get_xlabel(), axes.get_ylabel())


def test_all_measures_are_drawn_unless_one_is_named():
    """Each unit has its own axis; a wrong column names the measures."""
    frame = ask(lambda q: q.step("day").during("2026-10"))
    assert [axes.get_ylabel() for axes in frame.vapi.plot()] == ["cost (USD)", "mean duration (min)"]
    with pytest.raises(UnknownWordError, match="did you mean 'sumCost'"):
        frame.vapi.plot("sumcost")


def test_without_matplotlib_the_install_line_is_given(monkeypatch):
    """A missing extra says how to get it."""
    frame = ask(lambda q: q.during("2026-10"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vapi-frames\[plot\]'"):
        frame.vapi.plot()


def test_an_empty_frame_is_refused_in_words():
    """There is nothing to draw, and pandas' own complaint does not get out."""
    frame = vf.to_frame('[{"name":"n","timeRange":{},"result":[]}]', vf.vq.call().count().by("type"))
    with pytest.raises(ValueError, match="no rows to draw"):
        frame.vapi.plot()
    assert isinstance(frame, pd.DataFrame)


def test_a_history_is_drawn_as_the_step_function_it_is():
    """Between two dates the earlier value holds, so no line slopes from one to the other."""
    query = vf.demo().subscription().history("concurrency").during("2026-11-10")
    [line] = query.fetch().vapi.plot().get_lines()
    assert line.get_drawstyle() == "steps-post"
    [line] = query.step("hour").fetch().vapi.plot().get_lines()
    assert line.get_drawstyle() == "steps-post"
    maximum = vf.demo().subscription().max("concurrency").step("hour").during("2026-11-10")
    assert maximum.fetch().vapi.plot().get_lines()[0].get_drawstyle() == "default"


def thirty():
    """Return cost and mean duration of thirty groups a day."""
    calls = vf.sample_calls(4_000)
    calls["endedReason"] = [f"reason-{i % 30:02}" for i in range(len(calls))]
    query = vf.local(calls).call().sum("cost").avg("duration").by("endedReason")
    return query, query.step("day").during("2026-10").fetch()


def test_thirty_groups_stay_legible():
    """Seven lines, and one with the sum of all others; of averages, which do not add up, eight lines."""
    query, frame = thirty()
    axes = frame.vapi.plot("cost")
    assert len(axes.get_lines()) == 8
    assert labels(axes)[-1] == "other (23)"
    drawn = sum(float(pd.Series(line.get_ydata()).sum()) for line in axes.get_lines())
    assert drawn == pytest.approx(frame["sumCost"].sum())
    averages = frame.vapi.plot("duration")
    assert len(averages.get_lines()) == 8
    assert averages.get_title().endswith(", 8 of 30")
    bars = query.during("2026-10").fetch().vapi.plot("cost")
    assert len(bars.patches) == 20
    assert sum(bar.get_width() for bar in bars.patches) == pytest.approx(frame["sumCost"].sum())


def test_measures_of_one_unit_share_an_axis():
    """Parts of the cost stack; of two units, each is drawn by itself."""
    query = vf.demo().call().sum("costBreakdown.llm", "costBreakdown.tts").count().step("day").during("2026-10")
    frame = query.fetch()
    axes = frame.vapi.plot(["costBreakdown.llm", "costBreakdown.tts"], kind="area", stacked=True)
    assert labels(axes) == ["LLM", "text to speech"]
    assert (axes.get_ylabel(), axes.get_title()) == ("USD", "Cost by part per day")
    with pytest.raises(ValueError, match="subplots=False wants one chart, and sumCostBreakdownLlm, countId need 2"):
        frame.vapi.plot(["costBreakdown.llm", "id"], subplots=False)
    assert len(frame.vapi.plot(["costBreakdown.llm", "id"])) == 2


def test_one_row_is_drawn_as_its_figures():
    """Each with its name and unit."""
    axes = ask(lambda q: q.count().during("2026-10")).vapi.plot()
    said = [text.get_text() for text in axes.texts]
    assert said == ["2,142", "cost", "USD", "1.42", "mean duration", "min", "13,495", "calls", ""]


def test_a_comparison_has_the_other_period_dotted():
    """In the same color, said in the legend; as bars, side by side."""
    query = vf.demo().call().sum("cost").between("2026-11-08", "2026-11-15")
    axes = query.step("day").compare("7d").fetch().vapi.plot()
    styles = [line.get_linestyle() for line in axes.get_lines() if len(line.get_xdata())]
    assert styles == ["-", ":"]
    assert labels(axes) == ["cost", "before"]
    assert len(query.by("type").compare("7d").fetch().vapi.plot().patches) == 6


def test_names_stand_for_ids():
    """A labeled frame is drawn by name, largest on top."""
    frame = ask(lambda q: q.by("assistantId").during("2026-10")).vapi.label(
        {"3f0c6a52-8d1e-4b7a-9a64-1f5be07c2d10": "Reception"}
    )
    axes = frame.vapi.plot("cost")
    assert "Reception" in [tick.get_text() for tick in axes.get_yticklabels()]
    assert axes.get_ylabel() == "assistant"


FIRST_TEN = {
    "figures": lambda d: d["kpis"],
    "calls a day": lambda d: d["types"],
    "minutes a day": lambda d: d["duration"],
    "ended reasons": lambda d: d["endedReasons"],
    "by assistant": lambda d: d["assistants"],
    "parts of the cost": lambda d: d["costParts"],
    "success": lambda d: d["success"].vapi.success_rate(success=["true"])[["successPerEvaluated"]],
    "by type": lambda d: d["types"].vapi.rollup("all"),
    "outcomes": lambda d: d["endedReasons"].vapi.outcome(),
    "calls at once": lambda d: vf.demo().subscription().max("concurrency").step("hour").last("3d").fetch(),
}


@pytest.fixture(scope="module")
def dashboard():
    """Return the dashboard of the sample organization."""
    return vf.demo().dashboard("30d")


@pytest.mark.parametrize("backend", ["matplotlib", "plotly"])
@pytest.mark.parametrize("chart", FIRST_TEN)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_first_charts_people_draw_are_one_line_on_either_backend(dashboard, chart, backend):
    """Each of them, from the dashboard's own frames."""
    frame = FIRST_TEN[chart](dashboard)
    with pd.option_context("plotting.backend", backend):
        drawn = frame.vapi.plot()
    if backend == "plotly":
        assert len(drawn.data) >= 1
        assert drawn.to_json()
    else:
        np.atleast_1d(drawn)[0].figure.canvas.draw()


def on_plotly(frame, **options):
    """Draw *frame* with plotly."""
    with pd.option_context("plotting.backend", "plotly"):
        figure = frame.vapi.plot(**options)
    assert figure.to_json()
    return figure


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
class TestPlotly:
    """What the chart says on matplotlib, it says on plotly."""

    def cut(self):
        """Return three groups by day, of which the last day is partial."""
        return ask(lambda q: q.by("type").step("day").between("2026-11-10", "2026-11-16T12:00").tz("America/New_York"))

    def test_partial_buckets_of_lines_are_dashed(self):
        """The solid line ends before, a dashed one goes on from its end, and the legend says what that means."""
        frame = self.cut()
        figure = on_plotly(frame, column="cost")
        solid = [trace for trace in figure.data if trace.line.dash == "solid"]
        dashed = [
            trace for trace in figure.data if trace.line.dash == "dash" and not trace.showlegend and trace.legendgroup
        ]
        assert len(solid) == len(dashed) == 3
        wide = frame.vapi.wide("cost")
        for trace, rest in zip(solid, dashed, strict=True):
            assert trace.y[-1] is None
            assert list(trace.y[:-1]) == wide[trace.name].tolist()[:-1]
            assert list(rest.y[-2:]) == wide[trace.name].tolist()[-2:]
            assert set(rest.y[:-2]) == {None}
            assert rest.line.color == trace.line.color
        assert figure.data[-1].name == "partial bucket"
        assert figure.layout.yaxis.title.text == "cost (USD)"
        assert figure.layout.xaxis.title.text == "date (America/New_York)"
        whole = on_plotly(ask(lambda q: q.step("day").during("2026-10")), column="cost")
        assert [trace.line.dash for trace in whole.data] == ["solid"]

    @pytest.mark.parametrize("kind", ["bar", "barh"])
    def test_partial_buckets_of_bars_are_hatched(self, kind):
        """Bar by bar."""
        figure = on_plotly(self.cut(), column="cost", kind=kind)
        for trace in figure.data[:-1]:
            assert list(trace.marker.pattern.shape) == [""] * 5 + ["/"]
        assert figure.data[-1].name == "partial bucket"

    def test_partial_buckets_of_areas_are_shaded(self):
        """And named."""
        figure = on_plotly(self.cut(), column="cost", kind="area")
        assert len(figure.layout.shapes) == 1
        assert figure.data[-1].name == "partial bucket"

    def test_groups_make_bars(self):
        """The largest on top, with the unit on the axis."""
        [trace] = on_plotly(ask(lambda q: q.by("endedReason").during("2026-10")), column="cost").data
        assert list(trace.x) == sorted(trace.x)
        assert trace.orientation == "h"

    def test_an_hour_that_comes_twice_is_drawn_twice(self):
        """plotly knows no zones: the axis is then in UTC, and says so."""
        frame = ask(lambda q: q.step("hour").between("2026-11-01", "2026-11-02").tz("America/New_York"))
        frame = frame.vapi.fill_gaps()
        figure = on_plotly(frame, column="cost")
        at = pd.DatetimeIndex(figure.data[0].x)
        assert at.is_unique
        assert at.is_monotonic_increasing
        assert at[0] == frame.index[0].tz_convert("UTC").tz_localize(None)
        assert figure.layout.xaxis.title.text == "date (UTC)"

    def test_a_history_is_drawn_as_the_step_function_it_is(self):
        """No line slopes from one level to the next."""
        [trace] = on_plotly(vf.demo().subscription().history("concurrency").during("2026-11-10").fetch()).data
        assert trace.line.shape == "hv"

    def test_a_comparison_has_the_other_period_dotted(self):
        """In the legend it is called before."""
        query = vf.demo().call().sum("cost").between("2026-11-08", "2026-11-15").step("day")
        figure = on_plotly(query.compare("7d").fetch())
        assert {trace.name: trace.line.dash for trace in figure.data} == {"cost": "solid", "cost before": "dot"}


def test_a_backend_that_is_not_known_is_told_in_the_title(monkeypatch):
    """It draws the table that it is given; that some buckets are partial stands above."""
    given = {}

    class Backend:
        """A module with the one function that pandas wants of a backend."""

        __name__ = "a_backend"

        def plot(self, data, kind, **options):
            given.update(options, kind=kind, data=data)
            return "drawn"

    monkeypatch.setitem(sys.modules, "a_backend", Backend())
    frame = ask(lambda q: q.step("day").between("2026-11-10", "2026-11-16T12:00").tz("America/New_York"))
    with pd.option_context("plotting.backend", "a_backend"):
        assert frame.vapi.plot("cost") == "drawn"
        assert (given["kind"], given["title"]) == ("line", "Cost per day, partial buckets included")
        assert given["data"].index.tz is None
        assert frame.iloc[:5].vapi.plot("cost") == "drawn"
        assert given["title"] == "Cost per day"
