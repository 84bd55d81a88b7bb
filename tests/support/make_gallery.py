"""Draw the pictures of the pages, on white and on black: the gallery, each chart from the line that stands below it.

    python -m tests.support.make_gallery

It writes `notebooks/gallery.md`, `notebooks/pictures/` and the chart of the demo. `make notebooks` runs it, too. The
picture of the report is that of a browser: without Chromium on this machine it stays as it is.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import vapi_frames as vf

PAGES = Path(__file__).resolve().parents[2] / "notebooks"
STYLES = {"light": "default", "dark": "dark_background"}
PAPER = {"light": "white", "dark": "#1e2129"}  # the second is the site's


class Chart(NamedTuple):
    """A chart of the gallery: the name of its files, what it shows, and the expression that draws it."""

    name: str
    title: str
    text: str
    code: str


CHARTS = (
    Chart(
        "cost",
        "What do calls cost per day?",
        "A line for each type of call. A day that the range covers in part is dashed.",
        'query = vq.call().sum("cost").by("type").step("day").last("14d")\n'
        'query.tz("America/New_York").fetch().vapi.plot()',
    ),
    Chart(
        "parts",
        "What is the cost made of?",
        "Four parts, week by week, as a stack: language model, speech to text, text to speech, and Vapi's own fee.",
        'parts = [f"costBreakdown.{part}" for part in ("llm", "stt", "tts", "vapi")]\n'
        'df = vq.call().sum(*parts).step("week").between("2026-10-05", "2026-11-09").fetch()\n'
        'df.vapi.plot(kind="bar", stacked=True, rot=0)',
    ),
    Chart(
        "minutes",
        "What does a minute cost?",
        "The ratio of two sums, for each type of call: cost by minutes, never a mean of means.",
        'df = vq.call().sum("cost", "duration").by("type").during("2026-10").fetch()\n'
        'df.vapi.per_minute().vapi.plot("sumCostPerMinute")',
    ),
    Chart(
        "reasons",
        "Why did calls end?",
        "The most frequent ended reasons of a month, and the rest as one bar.",
        'vq.call().count().by("endedReason").during("2026-10").fetch().vapi.top(8).vapi.plot()',
    ),
    Chart(
        "outage",
        "When did the provider fail?",
        "Calls per hour by the side that caused their end, on the day of an outage. Its hours are marked.",
        'df = vq.call().count().by("endedReason").step("hour").during("2026-10-21").fetch()\n'
        'faults = df.vapi.outcome("fault").vapi.fill_gaps()\n'
        'faults.vapi.plot(mark={"outage": ("2026-10-21T18", "2026-10-21T21")})',
    ),
    Chart(
        "week",
        "When do people call?",
        "The mean number of calls for each weekday and hour.",
        'query = vq.call().count().step("hour").between("2026-10-05", "2026-11-09")\n'
        'query.tz("America/New_York").fetch().vapi.typical_week().vapi.plot()',
    ),
    Chart(
        "before",
        "Does this week cost more than the last?",
        "The same weekdays of the week before are dotted.",
        'query = vq.call().sum("cost").step("day").between("2026-11-09", "2026-11-16")\n'
        'query.compare("7d", align="weekday").fetch().vapi.plot()',
    ),
    Chart(
        "headroom",
        "How close to the limit?",
        "The most calls at once in each hour, below the limit of a plan.",
        'query = vq.subscription().max("concurrency").step("hour")\n'
        'df = query.between("2026-11-09", "2026-11-14").fetch()\n'
        'df.vapi.plot(reference={"limit": 10})',
    ),
)

REPORT = Chart(
    "report",
    "What happened in three weeks, on one page?",
    "The report of 21 days beside the 21 days before, one HTML file to hand on. The picture shows its beginning.",
    'report = vq.report("21d", title="Voice calls, the last 21 days")\nreport.save("report.html")',
)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_WINDOW, _COLORS = (900, 1240), 128  # of the picture of the report, which is to be a small file

_FACES = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
DEMO = CHARTS[0]._replace(
    name="spend",
    code='query = vq.call().sum("cost").by("type").step("day").last("14d", complete=True)\n'
    'query.tz("America/New_York").fetch().vapi.plot()',
)

_HEAD = """\
# Gallery

The lines below each chart draw it, from the sample organization. First run:

```python
import vapi_frames as vf

vq = vf.demo()
```

For calls of your own, start from another `vq`; the lines stay the same. `df.vapi.plot()` chooses the chart that fits the
frame, and writes title, unit and zone. [Verbs](guides/verbs.md) explains the calls before it.
"""


def gallery_page() -> str:
    """Return the text of gallery.md."""
    parts = [_HEAD]
    for one in (*CHARTS, REPORT):
        pictures = [f"![{one.title} {one.text}](pictures/{one.name}-{mode}.png#only-{mode})" for mode in STYLES]
        parts.append(f"## {one.title}\n\n{one.text}\n\n{pictures[0]}\n{pictures[1]}\n\n```python\n{one.code}\n```\n")
    return "\n".join(parts)


def draw(chart: Chart, path: Path, mode: str) -> None:
    """Run the lines of *chart*, and save what the last of them draws."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    *before, last = chart.code.split("\n")
    names = {"vq": vf.demo()}
    with plt.style.context(STYLES[mode]), mpl.rc_context(dict.fromkeys(_FACES, PAPER[mode])):
        exec("\n".join(before), names)
        eval(last, names)
        plt.gcf().savefig(path, dpi=110, bbox_inches="tight")
        plt.close("all")


def photograph(report: Path, path: Path, mode: str) -> None:
    """Save the beginning of the page *report* as a browser shows it, in a light or a dark *mode*."""
    from PIL import Image

    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        sys.stderr.write(f"no Chromium on this machine: {path.name} stays as it is\n")
        return
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--screenshot={path}"]
    scheme = f"--blink-settings=preferredColorScheme={0 if mode == 'dark' else 1}"
    size = f"--window-size={_WINDOW[0]},{_WINDOW[1]}"
    subprocess.run([browser, *options, scheme, size, report.as_uri()], check=True, capture_output=True, timeout=120)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def write() -> None:
    """Write the gallery and its pictures, and the two of the first page."""
    import matplotlib as mpl

    mpl.use("Agg")
    (PAGES / "gallery.md").write_text(gallery_page(), encoding="utf-8")
    (PAGES / "pictures").mkdir(exist_ok=True)
    for mode in STYLES:
        for chart in (DEMO, *CHARTS):
            draw(chart, PAGES / f"pictures/{chart.name}-{mode}.png", mode)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        exec(REPORT.code.replace('"report.html"', "page"), {"vq": vf.demo(), "page": page})
        for mode in STYLES:
            photograph(page, PAGES / f"pictures/{REPORT.name}-{mode}.png", mode)


if __name__ == "__main__":
    write()
