"""The report: each number on the page is a query's, text from data is only text, and the page needs nothing else."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib import resources

import pytest

import vapi_frames as vf
from tests.support import servers
from tests.support.engines import HOSTILE
from vapi_frames.errors import MissingExtraError, QueryError

pytestmark = [
    pytest.mark.extra("local"),
    pytest.mark.extra("plot"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.RecordsWarning"),
    pytest.mark.filterwarnings("ignore::vapi_frames.errors.FrameWarning"),
]

RANGE = ("2026-11-02", "2026-11-16")
BEFORE = ("2026-10-19", "2026-11-02")
NOW = "2026-10-15T00:00:00Z"
RECEPTION = "3f0c6a52-8d1e-4b7a-9a64-1f5be07c2d10"
VOID = {"meta", "use", "path", "image", "br", "link", "rect", "line"}


class Page(HTMLParser):
    """The elements of a page: which there are, and the numbers of each row."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.ids, self.texts = [], [], [], []
        self.figures, self.tables = {}, {}
        self.open, self._label, self._caption = [], None, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.attributes.extend(found.items())
        if "id" in found:
            self.ids.append(found["id"])
        if tag not in VOID:
            self.open.append(tag)
        if tag == "data":
            numbers = self.tables[self._caption][self._label] if "table" in self.open else self.figures[self._label]
            numbers.append(float(found["value"]))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open[-1:] == ["caption"]:
            self._caption = data
            self.tables[data] = {}
        elif self.open[-1:] == ["th"] and "tbody" in self.open:
            self._label = data
            self.tables[self._caption][data] = []
        elif self.open[-1:] == ["dt"]:
            self._label = data
            self.figures.setdefault(data, [])


@pytest.fixture(scope="module")
def report():
    """Return the report of two weeks of the sample, with one name."""
    return vf.demo().report("14d", names={RECEPTION: "Reception"}, title="Two weeks")


@pytest.fixture(scope="module")
def page(report):
    """Return its page."""
    return Page(report.to_html())


def ask(query, span=RANGE):
    """Return the only row of a query."""
    [row] = query.between(*span).fetch().to_dict("records")
    return row


def test_the_figures_are_those_of_plain_queries(page):
    """What is on top, now and before, and the change."""
    vq = vf.demo()
    found = {}
    for name, span in (("now", RANGE), ("before", BEFORE)):
        row = ask(vq.call().count().sum("cost", "duration"), span)
        good = ask(vq.call().count().where({"analysis.successEvaluation": "true"}), span)["countId"]
        bad = ask(vq.call().count().where({"analysis.successEvaluation": "false"}), span)["countId"]
        found[name] = {
            "Calls": row["countId"], "Cost": row["sumCost"], "Minutes": row["sumDuration"],
            "Cost per call": row["sumCost"] / row["countId"], "Cost per minute": row["sumCost"] / row["sumDuration"],
            "Success": good / (good + bad),
            "Most calls at once": ask(vq.subscription().max("concurrency"), span)["maxConcurrency"],
        }  # fmt: skip
    for label, value in found["now"].items():
        before = found["before"][label]
        change = (value - before) * 100 if label == "Success" else (value - before) / before * 100
        assert page.figures[label] == pytest.approx([value, change, before]), label


def test_the_tables_are_those_of_plain_queries(page):
    """Parts, types, faults, reasons, assistants, success."""
    vq = vf.demo()
    parts = ask(vq.call().sum("costBreakdown.llm", "costBreakdown.vapi"))
    assert page.tables["Cost by part"]["LLM"][0] == pytest.approx(parts["sumCostBreakdownLlm"])
    assert page.tables["Cost by part"]["Vapi"][0] == pytest.approx(parts["sumCostBreakdownVapi"])
    assert sum(share for _, share in page.tables["Cost by part"].values()) == pytest.approx(1)
    web = ask(vq.call().count().where(type="webCall"))["countId"]
    calls = ask(vq.call().count())["countId"]
    assert page.tables["Calls by type"]["Web"] == pytest.approx([web, web / calls])
    faults = vq.call().count().by("endedReason").between(*RANGE).fetch().vapi.outcome("fault")["countId"]
    assert page.tables["Calls by the side of the failure"]["Telephony"][0] == faults["telephony"]
    assert sum(row[0] for row in page.tables["Calls by the side of the failure"].values()) == calls
    reason = "customer-did-not-give-microphone-permission"
    assert page.tables["Reasons of failed calls"][reason] == [
        ask(vq.call().count().where(endedReason=reason))["countId"]
    ]
    one = vq.call().count().sum("cost", "duration").where(assistantId=RECEPTION)
    now, before = ask(one), ask(one, BEFORE)
    rate, earlier = (row["sumCost"] / row["sumDuration"] for row in (now, before))
    assert page.tables["Assistants by cost"]["Reception"] == pytest.approx([
        now["countId"], now["sumDuration"], now["sumCost"], (now["sumCost"] / before["sumCost"] - 1) * 100,
        rate, (rate / earlier - 1) * 100,
    ])  # fmt: skip
    good = ask(one.where({"analysis.successEvaluation": "true"}))["countId"]
    bad = ask(one.where({"analysis.successEvaluation": "false"}))["countId"]
    assert page.tables["Success by assistant"]["Reception"] == pytest.approx([good + bad, good, good / (good + bad)])


def test_over_call_records_no_part_of_the_cost_is_left_out(page):
    """The parts of a report on records add up to its cost; a part that costs nothing has no row."""
    parts = page.tables["Cost by part"]
    assert sum(cost for cost, _ in parts.values()) == pytest.approx(page.figures["Cost"][0])
    outputs = ask(vf.demo().call().sum("costBreakdown.analysisBreakdown.structuredOutput"))
    assert parts["Structured outputs"][0] == pytest.approx(outputs["sumCostBreakdownAnalysisBreakdownStructuredOutput"])
    frame = vf.sample_calls().drop(columns="costBreakdown.chat").assign(**{"costBreakdown.knowledgeBase": 0.0})
    shown = {section.name: section for section in vf.local(frame, now="2026-11-16T00:00Z").report("14d").sections}
    (table,) = shown["costs"].tables
    labels = {row[0].text for row in table.rows}
    assert {"Structured outputs", "Voicemail detection"} < labels
    assert not labels & {"Chat", "Knowledge base"}


def test_over_the_api_the_parts_are_those_of_the_contract(tmp_path):
    """A source that has the contract's words only is asked no others, and the page says what is left of the cost."""
    report = vf.record(tmp_path, vf.demo()).report("14d")
    parts = {section.name: section for section in report.sections}["costs"]
    assert len(parts.tables[0].rows) == 6
    assert any("is in none of the parts" in gap for gap in report.gaps)


def test_each_section_has_the_rows_of_its_query(report):
    """In JSON, with all rows, units, and the text of explain."""
    vq, found = vf.demo(), json.loads(report.to_json())
    for name, section in found["sections"].items():
        frame = next(iter(vq.fetch(eval(section["query"], {"vq": vq})).values()))
        if name == "assistants":
            frame = frame.vapi.per_minute("cost")
        elif name == "success":
            frame = frame.vapi.success_rate()
        elif name == "week":
            frame = frame.vapi.typical_week()
        assert section["units"] == frame.vapi.units
        assert [[row[column] for row in section["rows"]] for column in frame] == [
            [None if value != value else value for value in frame[column]] for column in frame
        ]
        for column, text in section["formulas"].items():
            assert text == frame.vapi.explain(column)
    assert [figure["value"] for figure in found["figures"]] == [figure.value for figure in report.figures]


def test_a_page_needs_nothing_but_itself(report):
    """No script, no address that a browser loads, and at most 300 kB."""
    text = report.to_html()
    page = Page(text)
    assert len(text.encode()) <= 300_000
    assert not {"script", "iframe", "link", "object", "embed"} & set(page.tags)
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("href", "src", "data", "action", "srcset"):
            assert value.startswith(("#", "data:image/png;base64,"))
    assert not re.search(r"url\((?!#)|@import|https?://", text)
    assert page.tags.count("style") == 1
    assert len(page.ids) == len(set(page.ids))
    assert not page.open


def test_a_page_can_be_read_without_seeing_it(report):
    """Each chart has its description, each table a caption and headings, and the document a language."""
    text = report.to_html()
    charts = re.findall(r"<svg[^>]*>", text)
    assert len(charts) == 5
    assert all('role="img"' in one and re.search('aria-label="[^"]{40}', one) for one in charts)
    assert text.count("<table") == text.count("<caption>") == 6
    assert '<html lang="en">' in text
    assert text.count("<h1>") == 1


def test_text_and_ground_differ_enough():
    """The colors of text, by the contrast ratio of WCAG, light and dark: at least 4.5."""
    styles = resources.files("vapi_frames.report").joinpath("page.css").read_text()
    blocks = [block for block in re.findall(r"\{([^{}]*)\}", styles) if "--ink" in block and "--page: #" in block]
    assert len(blocks) == 3
    for block in blocks:
        colors = dict(re.findall(r"--([a-z]+): (#[0-9a-f]+)", block))
        for ink in ("ink", "muted"):
            for ground in ("page", "panel"):
                light, dark = sorted((luminance(colors[ink]), luminance(colors[ground])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5


def luminance(color):
    """Return the relative luminance of a color, as WCAG defines it."""
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    levels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in levels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def hostile_calls():
    """Return calls with names that try to be something else than text."""
    names = [
        *HOSTILE, "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style><b>", "]]>", "&amp;", "$x^2$",
        "\x00\x1b[31m", "日本語", "a" * 500, "javascript:alert(1)", "\u202e", "other", "none",
    ]  # fmt: skip
    return names, [
        {
            "id": f"{place}-{day}", "createdAt": f"2026-10-{day:02}T09:00:00Z", "startedAt": f"2026-10-{day:02}T09:00:00Z",
            "endedAt": f"2026-10-{day:02}T09:03:00Z", "type": name, "assistantId": name, "endedReason": name, "cost": 1.0 + place,
            "analysis": {"successEvaluation": "true"},
        }
        for place, name in enumerate(names)
        for day in (3, 12)
    ]  # fmt: skip


def test_text_from_data_is_only_text(page):
    """Hostile groups, names and titles make no element and no attribute, and can be read."""
    names, calls = hostile_calls()
    vq = vf.local(calls, now=NOW)
    report = vq.report("7d", names={name: f"<i>{name}" for name in names}, title="<script>alert('title')</script>")
    plain, page = page, Page(report.to_html())
    assert set(page.tags) <= set(plain.tags)
    assert {name for name, _ in page.attributes} <= {name for name, _ in plain.attributes}
    assert "<script>alert('title')</script>" in page.texts
    assert "<script>alert(1)</script>" in page.tables[f"Reasons of failed calls, 15 of {len(set(names))}"] or any(
        "<script>" in text for text in page.texts
    )
    assert not page.open
    assert json.loads(report.to_json())["sections"]["assistants"]["rows"]


def test_many_groups_stay_one_page():
    """Hundreds of assistants and reasons: the tables say what they show, and JSON has all."""
    calls = [
        {"id": str(place), "createdAt": "2026-10-12T09:00:00Z", "assistantId": f"assistant-{place}", "cost": place, "endedReason": f"r-{place}"}
        for place in range(400)
    ]  # fmt: skip
    report = vf.local(calls, now=NOW).report("7d", compare=None)
    text = report.to_html()
    assert len(text.encode()) <= 300_000
    assert "Assistants by cost, 15 of 400" in Page(text).tables
    assert len(json.loads(report.to_json())["sections"]["assistants"]["rows"]) == 400


def test_a_range_without_calls_says_so():
    """No calls: no chart, no table, and figures that are 0 or missing."""
    calls = [{"id": "1", "createdAt": "2026-01-01T00:00:00Z"}]
    report = vf.local(calls, now=NOW).report("7d")
    text = report.to_html()
    assert text.count("No calls in this range.") >= 5
    assert "<svg" not in text
    assert any("The earlier period has no calls" in gap for gap in report.gaps)
    assert text.index("The earlier period has no calls") < text.index('class="figures"')  # beside the figures, too
    assert report.figures[0].value in (0, None)
    json.loads(report.to_json())


def test_assistants_of_one_name_are_told_apart():
    """By what begins their ids, or by the whole of them."""
    ids = [
        "11111111-8d1e-4b7a-9a64-1f5be07c2d10",
        "11111111-8d1e-4b7a-9a64-1f5be07c2d11",
        "22222222-8d1e-4b7a-9a64-1f5be07c2d10",
    ]
    calls = [{"id": one, "createdAt": "2026-10-12T09:00:00Z", "assistantId": one, "cost": 1.0} for one in ids]
    page = Page(vf.local(calls, now=NOW).report("7d", names={ids[0]: "Desk", ids[2]: "Desk"}).to_html())
    assert set(page.tables["Assistants by cost"]) == {f"Desk ({ids[0]})", ids[1], "Desk (22222222…)"}


@pytest.mark.parametrize(
    ("last", "step", "label"),
    [
        ("24h", "hour", "20:00"),
        pytest.param("45d", "day", "Oct 2", marks=pytest.mark.long),
        pytest.param("12w", "week", "Aug 24", marks=pytest.mark.long),
        pytest.param("1y", "month", "Aug 2026", marks=pytest.mark.long),
        ("1y", "day", ""),
    ],
)
def test_each_range_is_one_page_with_its_dates(last, step, label):
    """Bars of any step have readable dates; of many buckets areas are drawn, so that the page stays small."""
    text = vf.demo().report(last, step=step, compare=None).to_html()
    assert len(text.encode()) <= 300_000
    assert f">{label}" in text


def test_what_is_missing_is_said():
    """Open calls, calls without an assistant, costs outside the parts, partial days, an earlier period that begins late."""
    calls = [
        {"id": "a", "createdAt": "2026-10-09T09:00:00Z", "status": "in-progress"},
        {
            "id": "b",
            "createdAt": "2026-10-07T09:00:00Z",
            "assistantId": "x",
            "cost": 2.0,
            "costBreakdown": {"llm": 0.5},
        },
    ]
    gaps = "\n".join(vf.local(calls, now="2026-10-14T12:00:00Z").report("7d", compare="7d").gaps)
    assert "1 still open" in gaps
    assert "1 call has no assistant." in gaps
    partial = "\n".join(vf.demo().report("10d", tz="America/New_York", compare=None).gaps)
    assert "The days of 2026-11-05 and 2026-11-15 are partial" in partial
    late = "\n".join(vf.demo().report("45d").gaps)
    assert "The earlier period has no calls before" in late


def test_whole_buckets_only():
    """Complete: the range is cut to whole days, and nothing is partial."""
    report = vf.demo().report("10d", tz="America/New_York", complete=True)
    assert not [gap for gap in report.gaps if "partial" in gap]
    assert report.end.isoformat() == "2026-11-15T05:00:00+00:00"


def test_a_rubric_of_ones_own():
    """Evaluations that are neither true nor false: the section says what to pass, and passing it gives the rate."""
    calls = [
        {"id": str(place), "createdAt": "2026-10-12T09:00:00Z", "analysis": {"successEvaluation": value}}
        for place, value in enumerate(["Excellent", "Poor"])
    ]
    vq = vf.local(calls, now=NOW)
    report = vq.report("7d")
    assert "There is no rate of success" in report.to_html()
    assert "Success" not in [figure.label for figure in report.figures]
    rated = vq.report("7d", success="Excellent")
    assert {figure.label: figure.value for figure in rated.figures}["Success"] == 0.5


def test_it_is_one_request():
    """All queries of both periods go out in one POST."""
    nothing = servers.answering(change=lambda found: [one | {"result": []} for one in found])
    with servers.Server(nothing) as server:
        vf.connect("report-test-key-0001", base_url=server.url).report("7d")
    assert len(server.requests) == 1


def test_it_is_saved_whole_or_not_at_all(report, tmp_path):
    """HTML or JSON by the suffix; a wrong one, or a missing folder, leaves nothing behind."""
    report.save(tmp_path / "report.html")
    report.save(f"{tmp_path}/report.JSON")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == report.to_html()
    assert json.loads((tmp_path / "report.JSON").read_text(encoding="utf-8"))["title"] == "Two weeks"
    with pytest.raises(QueryError, match=r"must end in \.html or \.json"):
        report.save(tmp_path / "report.pdf")
    with pytest.raises(OSError):
        report.save(tmp_path / "none" / "report.html")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_notebook_shows_it(report):
    """The same article, with its styles, and no document around it."""
    text = report._repr_html_()
    assert text.startswith("<div><style>")
    assert "<html" not in text
    assert Page(text).figures == Page(report.to_html()).figures


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"title": 3}, "title must be text"),
        ({"title": " "}, "title must be text"),
        ({"names": ["a"]}, "names takes id → name"),
        ({"compare": "soon"}, "soon"),
        ({"last": "often"}, "often"),
        ({"step": "fortnight"}, "fortnight"),
    ],
)
def test_a_wrong_argument_is_refused(options, message):
    """Before anything is fetched."""
    with pytest.raises(QueryError, match=message):
        vf.demo().report(**options)


def test_without_matplotlib_it_says_which_extra(monkeypatch):
    """Before anything is fetched, too."""
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match="plot"):
        vf.demo().report("7d")


def test_charts_leave_no_figure_open(report):
    """Nothing of a page stays in pyplot, and its own settings do not change."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams), plt.get_fignums()
    vf.demo().report("14d", compare=None).to_html()
    assert (dict(mpl.rcParams), plt.get_fignums()) == before
