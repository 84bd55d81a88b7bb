"""The gallery: each chart stands above the lines that draw it."""

from __future__ import annotations

import pytest

from tests.support.make_gallery import CHARTS, DEMO, PAGES, REPORT, STYLES, draw, gallery_page

pytestmark = [pytest.mark.extra("test"), pytest.mark.xdist_group("plot")]


def test_gallery_is_generated():
    """The committed page is what tests/support/make_gallery.py writes, and each of its pictures is there."""
    assert (PAGES / "gallery.md").read_text(encoding="utf-8") == gallery_page()
    drawn = {f"{chart.name}-{mode}.png" for chart in (*CHARTS, REPORT) for mode in STYLES}
    first = {f"spend-{mode}.png" for mode in STYLES}
    assert {path.name for path in (PAGES / "pictures").iterdir()} == drawn | first
    assert all(path.stat().st_size < 150_000 for path in (PAGES / "pictures").iterdir())


@pytest.mark.filterwarnings("ignore::vapi_frames.errors.QueryWarning")
@pytest.mark.parametrize("chart", [DEMO, *CHARTS], ids=lambda chart: chart.name)
def test_the_lines_of_a_chart_draw_it(chart, tmp_path):
    """A reader who copies the lines gets a chart."""
    draw(chart, tmp_path / "chart.png", "dark")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("chart", [*CHARTS, REPORT], ids=lambda chart: chart.name)
def test_no_line_of_a_chart_is_cut(chart):
    """The column of a page has room for 88 letters."""
    assert max(map(len, chart.code.split("\n"))) <= 88
