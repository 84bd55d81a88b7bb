"""``vapi-frames archive``: keep the calls of the API in a folder, a Parquet file for each UTC day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vapi_frames.cli.console import (
    add_api_options,
    add_command,
    api_options,
    check_key,
    make_redactor,
    print_data,
    run_command,
)
from vapi_frames.errors import QueryError

if TYPE_CHECKING:
    import argparse

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  vapi-frames archive calls/ --since 2026-10-01
  vapi-frames archive calls/ --verify
  vapi-frames archive calls/ && vapi-frames query @query.txt --source calls/ --out spend.parquet

exit codes:
  0    all calls are in the folder; stdout has one line with the number of new ones
  1    the API failed, a file could not be written, or a day is damaged; the days that were finished stay
  2    an argument is wrong; running it again does not help
  130  Ctrl-C

The key of the API is read from VAPI_API_KEY (or VAPI_TOKEN) only.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the *commands* of a parser."""
    parser = add_command(
        commands, "archive", "keep the calls of the API in a folder, a Parquet file for each UTC day", _EPILOG
    )
    parser.add_argument("folder", help="the folder of the files; it is created if it does not exist")
    parser.add_argument(
        "--since", metavar="TIME", help="the first day (default: the first unfinished one, or 14 days ago)"
    )
    parser.add_argument("--until", metavar="TIME", help="the day after the last (default: up to now)")
    parser.add_argument("--transcripts", action="store_true", help="keep transcripts, messages and summaries, too")
    parser.add_argument("--recordings", action="store_true", help="keep the addresses of recordings, too")
    parser.add_argument("--customers", action="store_true", help="keep numbers and names of customers, too")
    parser.add_argument("--no-variables", action="store_true", help="keep no variables")
    parser.add_argument("--no-outputs", action="store_true", help="keep no structured outputs and no scorecards")
    parser.add_argument(
        "--verify", action="store_true",
        help="fetch nothing, but read all files; exit code 1 and the list of days if any are damaged",
    )  # fmt: skip
    add_api_options(parser)


def run(options: argparse.Namespace) -> int:
    """Add the new calls to the archive, and print one line about them; return the exit code."""
    return run_command(_run, options)


def _run(options: argparse.Namespace) -> int:
    if options.verify:
        return _verify(options)
    from vapi_frames.interface.connect import connect

    vq = connect(**{name: value for name, value in api_options(options).items() if value is not None})
    check_key()
    report = vq.archive(
        options.folder, since=options.since, until=options.until, transcripts=options.transcripts,
        recordings=options.recordings, customers=options.customers, variables=not options.no_variables,
        outputs=not options.no_outputs,
    )  # fmt: skip
    print_data(make_redactor()(f"{report}\n"))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from vapi_frames.sources.archive.verify import verify_archive

    names = ("since", "until", "transcripts", "recordings", "customers", "no_variables", "no_outputs")
    given = [name for name in names if getattr(options, name)]
    if given:
        raise QueryError(f"--verify fetches nothing: leave out --{given[0].replace('_', '-')}")
    print_data(make_redactor()(f"{verify_archive(options.folder)}\n"))
    return 0
