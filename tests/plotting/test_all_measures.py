"""No measure of a frame is left out of its chart, and no chart mixes two units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vapi_frames as vf
from tests.support.examples import examples
from vapi_frames.errors import QueryError, UnknownWordError
from vapi_frames.plotting.theme import PALETTE, format_figure

pytestmark = [pytest.mark.extra("plot"), pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")]

PARTS = ["costBreakdown.llm", "costBreakdown.stt", "costBreakdown.tts"]
UNITS = {"cost": "USD", "duration": "min", "costBreakdown.llm": "USD", "costBreakdown.tts": "USD"}
WORDS = {"cost": "cost", "duration": "duration", "costBreakdown.llm": "LLM", "costBreakdown.tts": "text to speech"}


@pytest.fixture(autouse=True)
def _close_figures():
    """Leave no figure open."""
    yield
    from matplotlib import pyplot as plt

    plt.close("all")


def texts(axes):
    """Return the legend's texts."""
    return [text.get_text() for text in axes.get_legend().get_texts()] if axes.get_legend() else []


def by_type(*columns):
    """Return sums of October by type of call."""
    return vf.demo().call().sum(*columns).by("type").during("2026-10").fetch()


def test_parts_of_the_cost_by_a_group_stack():
    """A bar is as long as the parts of its group together, the largest on top, and the legend says what is what."""
    frame = by_type(*PARTS)
    axes = frame.vapi.plot()
    assert texts(axes) == ["LLM", "speech to text", "text to speech"]
    assert (axes.get_title(), axes.get_xlabel()) == ("Cost by part and type", "USD")
    ends = [bar.get_x() + bar.get_width() for bar in axes.containers[-1]]
    assert ends == pytest.approx(sorted(frame.sum(axis=1), reverse=True))


def test_what_holds_the_other_does_not_stack():
    """The cost includes the cost of the LLM: stacked, that part would be counted twice."""
    axes = by_type("cost", "costBreakdown.llm").vapi.plot()
    assert {bar.get_x() for container in axes.containers for bar in container} == {0}
    assert axes.get_title() == "Cost and LLM cost by type"


@given(
    columns=st.lists(st.sampled_from([*UNITS]), min_size=1, unique=True),
    groups=st.sampled_from([(), ("type",), ("type", "status")]),
    step=st.sampled_from([None, "week"]),
)
@examples(15)
def test_each_measure_is_drawn_once_on_an_axis_of_its_unit(columns, groups, step):
    """The numbers on the charts are those of the frame, of every measure, and an axis has one unit."""
    from matplotlib import pyplot as plt

    query = vf.demo().call().sum(*columns).by(*groups).between("2026-10-05", "2026-10-26")
    frame = (query.step(step) if step else query).fetch()
    if len(frame) == 1:
        return  # figures, tested elsewhere
    charts = np.atleast_1d(frame.vapi.plot())
    found = 0.0
    for axes in charts:
        units = {unit for unit in ("USD", "min") if unit in axes.get_ylabel() + axes.get_xlabel()}
        assert len(units) == 1
        if step:
            found += sum(np.nansum(line.get_ydata()) for line in axes.get_lines() if len(line.get_xdata()) > 1)
        else:
            found += sum(bar.get_width() for box in axes.containers for bar in box if bar.get_width() > 0)
    assert found == pytest.approx(frame.sum().sum())
    plt.close("all")


def test_subplots_split_the_lines_of_one_measure():
    """A chart each, titled by its group."""
    frame = vf.demo().call().count().by("type").step("day").during("2026-10").fetch()
    assert [axes.get_title() for axes in frame.vapi.plot(subplots=True)] == [*frame.vapi.wide().columns]
    both = vf.demo().call().count().sum("cost").by("type").during("2026-10").fetch()
    assert [axes.get_title() for axes in both.vapi.plot(subplots=True)] == ["Calls by type", "Cost by type"]
    from matplotlib import pyplot as plt

    one = plt.figure().add_subplot()
    with pytest.raises(QueryError, match="need 2 axes, and ax has 1: name one measure"):
        both.vapi.plot(ax=one)
    assert [*both.vapi.plot(ax=plt.subplots(2)[1])] == plt.gcf().axes


def test_names_stand_for_ids_in_a_stack():
    """The id of a named group is left out, as in other charts."""
    frame = vf.demo().call().sum(*PARTS).by("assistantId").during("2026-10").fetch()
    axes = frame.vapi.label({"3f0c6a52-8d1e-4b7a-9a64-1f5be07c2d10": "Reception"}).vapi.plot()
    assert "Reception" in [tick.get_text() for tick in axes.get_yticklabels()]


@pytest.mark.parametrize("kind", ["pie", "box", "hist", "kde", "density", "scatter", "hexbin"])
def test_other_kinds_are_refused_with_what_to_do_instead(kind):
    """In our words, before matplotlib says its own."""
    with pytest.raises(QueryError, match=rf"kind='{kind}' is not drawn: "):
        by_type("cost").vapi.plot(kind=kind)


def test_a_kind_that_does_not_exist_is_unknown():
    """And the nearest one is named."""
    with pytest.raises(UnknownWordError, match="did you mean 'heatmap'"):
        by_type("cost").vapi.plot(kind="heatmp")
    with pytest.raises(QueryError, match="subplots is True or False, not"):
        by_type("cost").vapi.plot(subplots=[("a", "b")])


@pytest.mark.parametrize("kind", ["line", "bar", "barh", "area"])
def test_a_date_a_span_and_a_line_are_marked(kind):
    """With their labels, on every kind over time, in the zone of the query."""
    frame = vf.demo().call().count().step("day").tz("America/New_York").during("2026-10").fetch()
    options = {"mark": {"launch": "2026-10-10", "outage": ("2026-10-20", "2026-10-22")}, "reference": {"usual": 400}}
    axes = frame.vapi.plot(kind=kind, **options)
    assert [text.get_text() for text in axes.texts] == ["usual", "launch", "outage"]
    axes.figure.canvas.draw()


def test_a_marked_point_of_one_line_has_a_ring():
    """At its date and value."""
    from matplotlib.dates import date2num

    frame = vf.demo().call().count().step("day").tz("America/New_York").during("2026-10").fetch()
    axes = frame.vapi.plot(mark="2026-10-10")
    [ring] = [line for line in axes.get_lines() if line.get_marker() == "o"]
    at = pd.Timestamp("2026-10-10", tz="America/New_York")
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (date2num(at), frame.loc[at, "countId"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mark": "someday"}, "mark must be a date, a pair of dates"),
        ({"mark": 3}, "mark must be a date"),
        ({"mark": ("2026-10-03", "2026-10-02")}, "mark ends before it begins"),
        ({"reference": "ten"}, "reference must be a number"),
        ({"reference": True}, "reference must be a number"),
        ({"reference": {"limit": float("nan")}}, "reference must be a number"),
    ],
)
def test_marks_that_cannot_be_drawn_are_refused(options, message):
    """With what would be right."""
    frame = vf.demo().call().count().step("day").during("2026-10").fetch()
    with pytest.raises(QueryError, match=message):
        frame.vapi.plot(**options)


def test_a_mark_needs_dates():
    """Bars by group have none."""
    with pytest.raises(QueryError, match="this chart has no dates"):
        by_type("cost").vapi.plot(mark="2026-10-03")


def test_a_rate_is_in_per_cent():
    """On the axis, whichever way it lies."""
    calls = vf.demo().call().count().by("analysis.successEvaluation").step("week").during("2026-10").fetch()
    axes = calls.vapi.success_rate(success=["true"]).vapi.plot("successPerEvaluated")
    axes.figure.canvas.draw()
    assert all(text.get_text().endswith("%") for text in axes.get_yticklabels())
    assert axes.get_ylabel() == "success rate"


def test_nothing_is_dark_on_a_dark_background():
    """Text, lines and remarks have a contrast of at least 3 to 1 with it."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt
    from matplotlib.colors import to_rgb

    def light(color):
        linear = [one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in to_rgb(color)]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    query = vf.demo().call().sum("cost").by("endedReason").step("day").between("2026-11-10", "2026-11-16T12:00")
    with plt.style.context("dark_background"):
        axes = query.fetch().vapi.plot(reference={"usual": 1})
        paper = light(mpl.rcParams["axes.facecolor"])
        colors = [line.get_color() for line in axes.get_lines()]
        colors += [text.get_color() for text in [axes.title, axes.xaxis.label, *axes.texts, *axes.get_legend().texts]]
    assert min((light(color) + 0.05) / (paper + 0.05) for color in colors) >= 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
class TestPlotly:
    """Several measures, marks and references on plotly."""

    def test_each_measure_is_drawn(self):
        """In one figure, one below the other, with titles, and one entry of the legend for each group."""
        frame = vf.demo().call().count().sum("cost").by("type").step("day").during("2026-10").fetch()
        with pd.option_context("plotting.backend", "plotly"):
            figure = frame.vapi.plot(mark={"launch": "2026-10-10"}, reference=3)
        assert [note.text for note in figure.layout.annotations if note.text != "launch"] == [
            "Calls by type per day",
            "Cost by type per day",
        ]
        drawn = sum(np.nansum(np.asarray(trace.y, dtype=float)) for trace in figure.data)
        assert drawn == pytest.approx(frame.sum().sum())
        assert sum(trace.showlegend for trace in figure.data) == frame.index.get_level_values("type").nunique()
        assert {shape.yref for shape in figure.layout.shapes} == {"y", "y2", "y domain", "y2 domain"}

    def test_another_backend_refuses_what_it_does_not_draw(self, monkeypatch):
        """Several charts, and marks."""
        frame = vf.demo().call().count().sum("cost").step("day").during("2026-10").fetch()
        monkeypatch.setattr("pandas.get_option", lambda name: "a_backend" if name == "plotting.backend" else None)
        with pytest.raises(QueryError, match="'a_backend' draws one: name one measure"):
            frame.vapi.plot()
        with pytest.raises(QueryError, match="mark, reference and values are not drawn"):
            frame.vapi.plot("cost", reference=1)


def test_values_stand_beside_bars_and_in_cells():
    """With `values=True` the text of a bar or a cell is its number, of a stack the total; lines refuse it."""
    frame = by_type("cost")
    drawn = {text.get_text() for text in frame.vapi.plot(values=True).texts}
    assert drawn == {format_figure(value) for value in frame["sumCost"]}
    days = vf.demo().call().sum("cost").by("type").step("day").between("2026-10-01", "2026-10-05").fetch()
    totals = [format_figure(value) for value in days["sumCost"].groupby("date").sum()]
    axes = days.vapi.plot(kind="bar", stacked=True, values=True)
    assert [text.get_text() for text in axes.texts] == totals
    cells = days.vapi.plot(kind="heatmap", values=True)
    assert sorted(text.get_text() for text in cells.texts) == sorted(map(format_figure, days["sumCost"]))
    with pytest.raises(QueryError, match='pass kind="bar"'):
        days.vapi.plot(values=True)
    with pytest.raises(QueryError, match="True or False"):
        days.vapi.plot(values="yes")


def test_calls_that_did_not_fail_are_gray_and_first():
    """Where the legend says what failed, the rest is no color of a failure."""
    query = vf.demo().call().count().by("endedReason").step("day").between("2026-10-01", "2026-10-05")
    axes = query.fetch().vapi.outcome("component").vapi.plot(kind="bar", stacked=True)
    assert axes.get_legend().get_texts()[0].get_text() == "none"
    red, green, blue, _ = axes.containers[0].patches[0].get_facecolor()
    assert red == green == blue


@pytest.mark.parametrize("kind", ["line", "area", "bar"])
def test_more_parts_than_colors_are_the_largest_and_the_rest(kind):
    """No two parts of the cost have one color, and no part is left out of the sum."""
    frame = vf.demo().dashboard("7d")["costParts"]
    assert frame.shape[1] > len(PALETTE)
    axes = frame.vapi.plot(kind=kind, **({} if kind == "line" else {"stacked": True}))
    shown = [text for text in axes.get_legend().get_texts() if text.get_text() != "partial bucket"]
    handles = axes.get_legend().legend_handles[: len(shown)]
    colors = [str(one.get_color() if kind == "line" else one.get_facecolor()) for one in handles]
    assert len(set(colors)) == len(shown) == len(PALETTE)
    if kind == "bar":
        tops = sum(np.nan_to_num(one.datavalues) for one in axes.containers)
        assert tops == pytest.approx(frame.sum(axis=1).to_numpy())


@pytest.mark.parametrize("kind", ["bar", "barh"])
def test_no_stack_touches_the_end_of_the_axis(kind):
    """Also where the last part of the highest stack is empty."""
    query = vf.demo().call().count().by("endedReason").step("hour").during("2026-10-21").tz("America/New_York")
    frame = query.fetch().vapi.outcome("component")
    axes = frame.vapi.plot(kind=kind, stacked=True)
    _, end = axes.get_ylim() if kind == "bar" else axes.get_xlim()
    assert end > 1.02 * frame["countId"].groupby("date").sum().max()
    [_, given] = frame.vapi.plot(kind="bar", stacked=True, ylim=(0, 50)).get_ylim()
    assert given == 50
