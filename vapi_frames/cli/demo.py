"""``vapi-frames demo``: a query, its body, its result and its chart, from the sample organization."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vapi_frames.cli.console import add_command
from vapi_frames.errors import MissingExtraError
from vapi_frames.files import expand_home

if TYPE_CHECKING:
    import argparse

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  vapi-frames demo
  vapi-frames demo --png chart.svg

exit codes:
  0    the query, its result and the chart are there
  1    the chart could not be written
  2    an argument is wrong; running it again does not help
"""
_NEXT = """\
a query of your own   vapi-frames query 'vq.call().count().by("endedReason").last("30d")' --source demo --format table
one page to hand on   vapi-frames report --source demo --last 21d --out report.html
from Python           import vapi_frames as vf; vq = vf.demo()
with your own calls   export VAPI_API_KEY=..., and leave out --source demo"""
_SUFFIXES = (".png", ".svg", ".pdf", ".jpg")


def add_parser(commands: Any) -> None:
    """Add the command to the *commands* of a parser."""
    parser = add_command(commands, "demo", "query a sample organization, and plot the result", _EPILOG)
    parser.add_argument(
        "--png",
        default="vapi-frames-demo.png",
        help="the chart's file, which is replaced: .png, .svg, .pdf or .jpg (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Print the query and its result, and save the chart; return the exit code."""
    from vapi_frames.cli.export import check_path
    from vapi_frames.interface.accessor import frame as accessor_of
    from vapi_frames.interface.connect import demo

    try:
        import matplotlib as mpl
    except ImportError:
        raise MissingExtraError("plot", "matplotlib", "the demo's chart") from None
    mpl.use("Agg")
    chart = check_path(expand_home(options.png), _SUFFIXES)
    query = (
        demo().call().sum("cost").avg("duration").count().by("type")
        .step("day").last("14d", complete=True).tz("America/New_York").named("spend")
    )  # fmt: skip
    frame = query.fetch()
    axes = accessor_of(frame).plot("sumCost")
    axes.figure.savefig(chart, dpi=120, bbox_inches="tight")
    parts = {
        "The query": str(query),
        "The body it compiles to (POST /analytics)": json.dumps(query.body(), indent=2),
        "The result, a DataFrame": frame.round(4).to_string(max_rows=12),
        "Units": ", ".join(f"{name}: {unit}" for name, unit in accessor_of(frame).units.items()),
        "Next steps": _NEXT,
        "The chart": str(chart.resolve()),
    }
    print("\n\n".join(f"{title}\n{'-' * len(title)}\n{text}" for title, text in parts.items()))  # noqa: T201 - a command
    return 0
