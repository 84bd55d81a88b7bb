"""What the commands share: exit codes, one line on stderr for each error or warning, data on stdout, and Ctrl-C."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from vapi_frames.errors import NonAdditiveError, QueryError, VapiFramesError, redirect_warnings, suggest
from vapi_frames.redact import KEY_VARIABLES, Redactor, Secret, environment_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "PARTIAL",
    "WRONG",
    "Parser",
    "add_api_options",
    "add_column_option",
    "add_command",
    "api_options",
    "check_key",
    "make_redactor",
    "note_arguments",
    "print_data",
    "print_error",
    "read_columns",
    "refuse_key",
    "run_command",
]

_SUSPECTS: list[Secret] = []
_KEY_FORM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,}|[sp]k[-_][\w-]{16,}", re.IGNORECASE)
FAILED, WRONG, PARTIAL, INTERRUPTED = 1, 2, 3, 130


class Parser(argparse.ArgumentParser):
    """A parser that reports a wrong argument in one line, without the usage, and knows options by their whole names."""

    def __init__(self, **options: Any) -> None:
        # An abbreviation would make --no switch authentication off, and --key SECRET the name of a file.
        super().__init__(**{"allow_abbrev": False, **options})

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Name the nearest choice where *value* is none, which argparse does not."""
        if action.choices is not None and value not in action.choices:
            choices = [str(one) for one in action.choices]
            near = suggest(value, choices)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}{hint} Valid: {', '.join(choices)}")

    def error(self, message: str) -> NoReturn:
        """Print *message* and exit with 2, as argparse does."""
        print_error(f"{message}; see {self.prog} --help")
        sys.exit(WRONG)


class _RefuseKey(argparse.Action):
    """Refuses a key among the arguments, and does not repeat it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        variable = self.const
        parser.error(f"the key is not an argument, which ps and the shell's history would show: set {variable}")


def refuse_key(parser: argparse.ArgumentParser, variable: str) -> None:
    """Make *parser* refuse a key among the arguments, and name the *variable* for it."""
    names = ("--token", "--key", "--api-key")
    parser.add_argument(*names, nargs="?", action=_RefuseKey, const=variable, help=argparse.SUPPRESS)


def add_command(commands: Any, name: str, what: str, epilog: str) -> argparse.ArgumentParser:
    """Add a command to the *commands* of a parser.

    Args:
        commands: What ``add_subparsers`` returned.
        name: The name of the command.
        what: What it does, in one line.
        epilog: Its examples and exit codes, laid out as they are printed.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    return parser


def check_key(otherwise: str = "") -> None:
    """Raise `AuthenticationError` if there is no key of the API, and say in the shell's words where it comes from."""
    from vapi_frames.errors import AuthenticationError

    if not any(os.environ.get(name, "").strip() for name in KEY_VARIABLES):
        hint = f", {otherwise}" if otherwise else ""
        raise AuthenticationError(
            f"there is no key: set {KEY_VARIABLES[0]} to the organization's private key{hint}", status=401
        )


def add_api_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that sends requests to the API."""
    parser.add_argument("--base-url", metavar="URL", help="where the API is served, if not by Vapi")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="how long to wait for the API (default: 60)")
    refuse_key(parser, "VAPI_API_KEY")


def api_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the values of `add_api_options`, as ``connect`` takes them; ``None`` where one was not passed."""
    return {"base_url": options.base_url, "timeout": options.timeout}


def note_arguments(arguments: Sequence[str]) -> None:
    """Remember those of *arguments* that have the form of a key: no message repeats one that was passed by mistake."""
    values = (re.sub(r"^(?:--[a-z-]+=|@)", "", one) for one in arguments)
    _SUSPECTS[:] = [Secret(one) for one in values if _KEY_FORM.fullmatch(one)]


def make_redactor() -> Redactor:
    """Return a redactor of the keys in the environment, and of arguments that have the form of a key."""
    return Redactor([*environment_keys(os.environ), *_SUSPECTS])


def print_error(message: object, *, label: str = "") -> None:
    """Print *message* to stderr as one line, without control characters and without keys."""
    redact = make_redactor()
    text = " ".join(line.strip() for line in redact(f"{label}{message}").splitlines())
    line = redact("".join(letter if letter.isprintable() else "\ufffd" for letter in text))
    print(f"vapi-frames: {line}", file=sys.stderr)  # noqa: T201 - this is a command


def is_watched() -> bool:
    """Return whether a person reads stderr: a terminal shows what was written, and cron sends no mail of it."""
    return sys.stderr is not None and sys.stderr.isatty()


def print_data(text: str) -> None:
    """Write *text* to stdout as UTF-8, whatever the locale; a closed pipe, as after ``| head``, is no error."""
    try:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    except OSError as error:
        # Python flushes the rest of the buffer at exit, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise


def run_command(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Return the exit code of *run*; each error and warning is one line on stderr."""
    with _print_warnings(), _record_interrupts() as interrupts:
        try:
            code = run(options)
        except Exception as error:
            if interrupts:  # an engine may turn the interrupt into an error of its own
                return INTERRUPTED
            if not isinstance(error, VapiFramesError | OSError):
                raise
            print_error(error)
            return WRONG if isinstance(error, QueryError | NonAdditiveError) else FAILED
        return INTERRUPTED if interrupts and code else code


@contextmanager
def _print_warnings() -> Iterator[None]:
    """Print each warning as one line, where Python prints two, and once."""
    shown: set[str] = set()

    def show(message: object, *_: object, **__: object) -> None:
        if (text := str(message)) not in shown:  # a report asks for the same records several times
            shown.add(text)
            print_error(message, label="warning: ")

    with redirect_warnings(show), warnings.catch_warnings():
        warnings.showwarning = show
        yield


@contextmanager
def _record_interrupts() -> Iterator[list[int]]:
    """Yield a list that is empty until Ctrl-C raises KeyboardInterrupt."""
    interrupts: list[int] = []

    def interrupt(number: int, _: object) -> NoReturn:
        interrupts.append(number)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield interrupts  # SIGINT is ignored, as in a background job, or the caller handles it
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


def add_column_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says what call records call a column."""
    parser.add_argument(
        "--column", action="append", metavar="OURS=THEIRS",
        help="what call records call a column of the API, e.g. --column createdAt=when; may be repeated",
    )  # fmt: skip


def read_columns(options: Sequence[str] | None) -> dict[str, str] | None:
    """Return column of the API → column of the records, from the values of ``--column``."""
    if not options:
        return None
    found = {}
    for option in options:
        ours, equals, theirs = option.partition("=")
        if not (ours and equals and theirs):
            raise QueryError(f"--column is {option!r}; it takes OURS=THEIRS, e.g. --column createdAt=when")
        found[ours] = theirs
    return found
