"""``vapi-frames``: the package from a shell."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from vapi_frames.cli import archive, demo, query, serve
from vapi_frames.cli.console import FAILED, INTERRUPTED, WRONG, Parser, note_arguments, print_error
from vapi_frames.errors import QueryError, VapiFramesError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_COMMANDS = {"demo": demo.run, "query": query.run, "archive": archive.run, "serve": serve.run}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0, or another with the reason on stderr."""
    package = sys.modules["vapi_frames"]  # loaded before any of its modules; importing it from here would be a circle
    parser = Parser(prog="vapi-frames", description=package.__doc__)
    parser.add_argument("--version", action="version", version=f"vapi-frames {package.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for module in (demo, query, archive, serve):
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
