"""``vapi-frames``: the package from a shell."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vapi_frames.errors import VapiFramesError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0, or 1 with the reason on stderr."""
    from vapi_frames import __version__

    parser = argparse.ArgumentParser(prog="vapi-frames", description=sys.modules["vapi_frames"].__doc__)
    parser.add_argument("--version", action="version", version=f"vapi-frames {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="ask a sample organisation a question, and draw the answer")
    demo.add_argument("--png", default="vapi-frames-demo.png", help="the chart's file (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        return _demo(Path(options.png))
    except (VapiFramesError, OSError) as error:
        print(f"vapi-frames: {error}", file=sys.stderr)  # noqa: T201 - this is a command
        return 1


def _demo(png: Path) -> int:
    import vapi_frames as vf

    try:
        import matplotlib as mpl
    except ImportError:
        raise vf.errors.MissingExtraError("plot", "matplotlib", "the demo's chart") from None
    mpl.use("Agg")
    query = (
        vf.demo().call().sum("cost").avg("duration").count().by("type")
        .step("day").last("14d", complete=True).tz("America/New_York").named("spend")
    )  # fmt: skip
    frame = query.fetch()
    axes = vf.frame(frame).plot("sumCost")
    axes.figure.savefig(png, dpi=120, bbox_inches="tight")
    parts = {
        "The question": repr(query),
        "The body it compiles to (POST /analytics)": json.dumps(query.body(), indent=2),
        "The answer, a DataFrame": frame.round(4).to_string(max_rows=12),
        "Units": ", ".join(f"{name}: {unit}" for name, unit in vf.frame(frame).units.items()),
        "The chart": str(png.resolve()),
    }
    print("\n\n".join(f"{title}\n{'-' * len(title)}\n{text}" for title, text in parts.items()))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
