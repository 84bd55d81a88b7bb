"""``vapi-frames report``: one page about a range of calls, for someone else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vapi_frames.cli.console import add_command, check_key, is_watched, print_error, run_command
from vapi_frames.cli.source import add_source_options, open_source
from vapi_frames.errors import QueryError
from vapi_frames.files import expand_home

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from vapi_frames.interface.vq import Vq

__all__ = ["add_parser", "run"]

_SUFFIXES = (".html", ".json")
_EPILOG = """\
examples:
  vapi-frames report --source demo --out report.html
  vapi-frames report --last 30d --tz America/New_York --names api --out report.html
  vapi-frames report --last 7d --complete --source calls/ --title "Last week" --out week.html

exit codes:
  0    the page was written
  1    the source failed, or the file could not be written; an earlier file is unchanged
  2    an argument is wrong; running it again does not help
  130  Ctrl-C

The page is one file without scripts, and loads nothing. The key of the API is read from VAPI_API_KEY (or VAPI_TOKEN)
only.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the *commands* of a parser."""
    parser = add_command(commands, "report", "write one page about a range of calls, to be handed on", _EPILOG)
    parser.add_argument(
        "--out", default="report.html", metavar="PATH",
        help="a file .html, or .json for its numbers, which is replaced when it is whole (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--last", default="30d", metavar="SPAN", help="how much before now (default: %(default)s)")
    parser.add_argument(
        "--compare", default="previous", metavar="PERIOD",
        help="the earlier period: previous, a span such as 7d or 1mo, or none (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--tz", metavar="ZONE", help="the zone of the calendar, e.g. America/New_York (default: UTC)")
    parser.add_argument("--step", default="day", help="the step of the charts over time (default: %(default)s)")
    parser.add_argument("--complete", action="store_true", help="only whole buckets of the step")
    parser.add_argument(
        "--names",
        metavar="FILE",
        help="names of assistants: a JSON file {id: name}, or api to ask the API, for call records as well",
    )
    parser.add_argument("--title", help="the heading of the page")
    parser.add_argument(
        "--success", action="append", metavar="VALUE",
        help="an evaluation that is a success, for a rubric of your own; may be repeated",
    )  # fmt: skip
    add_source_options(parser)
    parser.add_argument("--verbose", action="store_true", help="report on stderr what was written")


def run(options: argparse.Namespace) -> int:
    """Write the page; return the exit code."""
    return run_command(_run, options)


def _run(options: argparse.Namespace) -> int:
    from vapi_frames.cli.export import check_path

    out = check_path(expand_home(options.out), _SUFFIXES)
    vq = open_source(options)
    names = _read_names(options.names, vq, (options.source or ["api"])[0])
    report = vq.report(
        options.last, compare=None if options.compare == "none" else options.compare,
        names=names, title=options.title, tz=options.tz, step=options.step,
        complete=options.complete, success=options.success,
    )  # fmt: skip
    report.save(out)
    if options.verbose or is_watched():
        print_error(f"wrote {out}, {out.stat().st_size / 1000:,.0f} kB: {report!r}")
    return 0


def _connect() -> Vq:
    """Return the API, to name the assistants of call records from elsewhere."""
    from vapi_frames.interface.connect import connect

    check_key("or give --names a JSON file, {id: name}")
    return connect()


def _read_names(path: str | None, vq: Vq, source: str) -> Mapping[str, str] | None:
    """Return id → name, from a file or from the API; ``None`` where neither is named."""
    if path is None:
        return None
    if path == "api":
        if source == "demo":
            raise QueryError(
                "only the API has names of assistants to ask for, and the sample shows its own: leave out --names api"
            )
        return dict(vq.assistants() if source == "api" else _connect().assistants())
    try:
        found = json.loads(Path(expand_home(path)).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise QueryError(f"cannot read the names of assistants from {path}: {error}") from None
    if not isinstance(found, dict):
        raise QueryError(f"{path} must hold a JSON object, id to name, not {type(found).__name__}")
    return found
