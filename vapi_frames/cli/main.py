"""``vapi-frames``: the package from a shell."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from vapi_frames.cli import archive, demo, mcp, query, report, serve
from vapi_frames.cli.completion import SHELLS, PrintCompletion
from vapi_frames.cli.console import FAILED, INTERRUPTED, WRONG, Parser, note_arguments, print_error
from vapi_frames.errors import QueryError, VapiFramesError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_EPILOG = """\
examples:
  vapi-frames demo
  vapi-frames query 'vq.call().sum("cost").by("type").last("30d")' --source demo --format table
  vapi-frames report --source demo --out report.html
  vapi-frames --completion bash > ~/.local/share/bash-completion/completions/vapi-frames

exit codes:
  0    it is done
  1    the source failed, or a file could not be written; it may work later
  2    an argument is wrong; running it again does not help
  130  Ctrl-C

vapi-frames COMMAND --help shows the options of a command, with its examples and exit codes.
"""
_COMMANDS = {
    "demo": demo.run,
    "query": query.run,
    "report": report.run,
    "archive": archive.run,
    "serve": serve.run,
    "mcp": mcp.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0, or another with the reason on stderr."""
    package = sys.modules["vapi_frames"]  # loaded before any of its modules; importing it from here would be a circle
    parser = Parser(
        prog="vapi-frames", description=str(package.__doc__).partition("\n")[0], epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"vapi-frames {package.__version__}")
    parser.add_argument("--completion", choices=SHELLS, action=PrintCompletion, help="print the completion of a shell")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (demo, query, report, archive, serve, mcp):
        module.add_parser(commands)
    note_arguments(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(arguments)
    received = _end_on_signals()
    try:
        return _COMMANDS[options.command](options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if received:  # DuckDB and pydantic raise an error of their own where a signal ends what they do
            return 128 + received[0]
        if not isinstance(error, VapiFramesError | OSError):
            raise
        print_error(error)
        return WRONG if isinstance(error, QueryError) else FAILED


def _end_on_signals() -> list[int]:
    """End on SIGTERM and SIGHUP as on an error, so that no temporary file is left; return the signals that come."""
    received: list[int] = []

    def end(number: int, _: object) -> NoReturn:
        received.append(number)
        raise SystemExit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        is_main = threading.current_thread() is threading.main_thread()
        if number is not None and is_main and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)
    return received
