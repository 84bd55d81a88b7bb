"""The commands that ask for a shell or cron: ``query``, one answer, and ``archive``, the calls of the API as files.

Stdout carries data, or a line of what was done, and nothing else. What is wrong is a line on stderr, and the exit code
says whose turn it is: 1, whoever was asked; 2, the question; 3, somebody to ask for the rest; 130, it was interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vapi_frames.errors import NonAdditiveError, PartialResultError, QueryError, VapiFramesError, warning_handler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vapi_frames.interface.connect import Vq
    from vapi_frames.query.query import Query

__all__ = ["INTERRUPTED", "Parser", "add_archive", "add_query", "archive", "print_error", "query"]

FAILED, WRONG, PARTIAL, INTERRUPTED = 1, 2, 3, 130

_EXAMPLES = """\
examples:
  vapi-frames query 'vq.call().sum("cost").by("type").last("30d")' --source demo
  vapi-frames query 'vq.call().count().step("day").last("7d", complete=True)' --source calls/*.parquet --out calls.csv
  vapi-frames query @question.txt --out spend.parquet
  vapi-frames query - --out '{name}.json' < body.json

exit codes:
  0  the whole answer was written
  1  whoever was asked, or the writing, failed; a file that was there is as it was
  2  the question or an argument is wrong; asking again does not help
  3  only a part arrived: it is in the file's neighbor, e.g. spend.partial.csv
  130  it was interrupted by Ctrl-C

The key of the API is read from VAPI_API_KEY (or VAPI_TOKEN) only. There is no option for it: arguments show in ps and
in the history of the shell.
"""


_ARCHIVING = """\
examples:
  vapi-frames archive calls/ --since 2026-10-01
  vapi-frames archive calls/ && vapi-frames query @question.txt --source calls/ --out spend.parquet

exit codes:
  0  all calls are kept; stdout has one line that says how many are new
  1  the API, or the writing, failed; the days that were finished are kept
  2  an argument is wrong; trying again does not help
  130  it was interrupted by Ctrl-C

The key of the API is read from VAPI_API_KEY (or VAPI_TOKEN) only.
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """End with 2, as every parser of arguments does."""
        print_error(f"{message}; see {self.prog} --help")
        sys.exit(WRONG)


class _NoKey(argparse.Action):
    """Refuses a key among the arguments, and does not repeat it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser.error("the key is no argument, for ps and the shell's history show those: set VAPI_API_KEY")


def add_query(commands: Any) -> None:
    """Add the command to the *commands* of a parser."""
    parser = commands.add_parser(
        "query", help="ask a question, and write the answer as Parquet, CSV or JSON",
        description="Ask a question, and write the answer.", epilog=_EXAMPLES, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "question", help="code, as a query's repr has it, or the JSON body of a request; @FILE, or - for stdin"
    )
    parser.add_argument(
        "--out", metavar="PATH", help="a file .parquet (for vapi_frames.load), .csv or .json, which is replaced when "
        "the answer is whole; {name} is the question's name (default: CSV on stdout)",
    )  # fmt: skip
    parser.add_argument(
        "--source", action="extend", nargs="+", metavar="SOURCE",
        help="api, demo, or files, folders or globs of call records, after the question (default: api)",
    )  # fmt: skip
    parser.add_argument("--base-url", metavar="URL", help="where the API is served, if not at Vapi")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="to wait for the API (default: 60)")
    parser.add_argument("--cache", metavar="DIR", help="keep answers of the API about buckets that are over in DIR")
    parser.add_argument(
        "--duplicates", choices=("keep", "first", "raise"),
        help="what becomes of a record's id that stands twice (default: keep)",
    )  # fmt: skip
    parser.add_argument(
        "--on-error", choices=("raise", "skip"), help="what becomes of a record that cannot be read (default: raise)"
    )
    parser.add_argument("--now", metavar="TIME", help="what relative ranges of call records are relative to")
    parser.add_argument("--verbose", action="store_true", help="say on stderr what is asked and written")
    parser.add_argument("--token", "--key", "--api-key", nargs="?", action=_NoKey, help=argparse.SUPPRESS)


def add_archive(commands: Any) -> None:
    """Add the command to the *commands* of a parser."""
    parser = commands.add_parser(
        "archive", help="keep the API's calls in a folder, a Parquet file a day",
        description="Keep the calls of the API in a folder, a Parquet file for each UTC day.", epilog=_ARCHIVING,
        allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("folder", help="where the files are; made where there is none")
    parser.add_argument(
        "--since", metavar="TIME", help="the first day (default: the first that is not done, in a new archive the one "
        "14 days ago)",
    )  # fmt: skip
    parser.add_argument("--until", metavar="TIME", help="the day after the last (default: up to now)")
    parser.add_argument("--transcripts", action="store_true", help="keep transcripts and summaries, too")
    parser.add_argument("--recordings", action="store_true", help="keep the addresses of recordings, too")
    parser.add_argument("--base-url", metavar="URL", help="where the API is served, if not at Vapi")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="to wait for the API (default: 60)")
    parser.add_argument("--token", "--key", "--api-key", nargs="?", action=_NoKey, help=argparse.SUPPRESS)


def query(options: argparse.Namespace) -> int:
    """Ask, and write the answer; return the exit code."""
    return _ended(_run, options)


def archive(options: argparse.Namespace) -> int:
    """Keep what is new, and say what was done; return the exit code."""
    return _ended(_archive, options)


def _ended(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Return the exit code of *run*, with a line on stderr for whatever is wrong."""
    with _one_line_each(), _ctrl_c() as interrupts:
        try:
            return run(options)
        except Exception as error:
            if interrupts:  # of which an engine may have made an error of its own
                return INTERRUPTED
            if not isinstance(error, VapiFramesError | OSError):
                raise
            print_error(error)
            return WRONG if isinstance(error, QueryError | NonAdditiveError) else FAILED


def print_error(said: object, *, kind: str = "") -> None:
    """Say something on stderr, in one line."""
    text = " ".join(line.strip() for line in str(said).splitlines())
    line = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    print(f"vapi-frames: {kind}{line}", file=sys.stderr)  # noqa: T201 - this is a command


def _run(options: argparse.Namespace) -> int:
    from vapi_frames.cli.export import csv_text, write
    from vapi_frames.query.parse import parse_queries

    asked = parse_queries(_read(options.question))
    paths = _paths(options.out, asked)
    vq = _source(options)
    if options.verbose:
        for one in asked:
            print_error(f"asking {vq.source!r}: {one!r}")
    try:
        frames = list(vq.fetch(*asked).values())
    except PartialResultError as error:
        _keep_part(error, paths, options.out)
        return PARTIAL
    if paths:
        write(list(zip(frames, paths, strict=True)))
    else:
        _print(csv_text(frames[0]))
    if options.verbose:
        for frame, place in zip(frames, paths or [Path("stdout")], strict=True):
            print_error(f"wrote {len(frame):,} row{'s' * (len(frame) != 1)} to {place}")
    return 0


def _archive(options: argparse.Namespace) -> int:
    from vapi_frames.interface.connect import connect

    given = {"base_url": options.base_url, "timeout": options.timeout}
    vq = connect(**{name: value for name, value in given.items() if value is not None})
    done = vq.archive(
        options.folder, since=options.since, until=options.until, transcripts=options.transcripts,
        recordings=options.recordings,
    )  # fmt: skip
    _print(f"{done}\n")
    return 0


def _read(question: str) -> str:
    """Return the text of the question: of stdin, of a file, or as it was given."""
    place = "the arguments"
    try:
        if question == "-":
            place = "stdin"
            return sys.stdin.buffer.read().decode("utf-8-sig")
        if question.startswith("@"):
            place = question[1:]
            return Path(place).read_text(encoding="utf-8-sig")
        if any("\ud800" <= letter <= "\udfff" for letter in question):  # bytes that are no text in this locale
            return os.fsencode(question).decode()
    except (OSError, ValueError) as error:
        raise QueryError(f"the question cannot be read from {place}: {error}") from None
    return question


def _paths(out: str | None, asked: Sequence[Query[Any]]) -> list[Path]:
    """Return the path of each answer; none where the answer goes to stdout."""
    from vapi_frames.cli.export import NAME, check_path, named_path

    if len(asked) > 1 and NAME not in (out or ""):
        raise QueryError(f"{len(asked)} questions have {len(asked)} answers: give --out with {NAME}, e.g. '{NAME}.csv'")
    if out is None:
        return []
    return [check_path(named_path(out, _name(one)) if NAME in out else out) for one in asked]


def _name(one: Query[Any]) -> str:
    """Return the name of a question, which must be the same tomorrow."""
    from vapi_frames.calendar.ranges import RelativeRange
    from vapi_frames.query.compile import compile_query

    if one.title is not None:
        return one.title
    if isinstance(one.time_range, RelativeRange):
        raise QueryError('{name} in --out is the name of the question, and this one has none: add .named("...")')
    name: str = compile_query(one, None)["name"]
    return name


def _source(options: argparse.Namespace) -> Vq:
    """Return whom to ask; an option that another source would need is refused."""
    from vapi_frames.interface.connect import connect, demo, local

    sources: list[str] = options.source or ["api"]
    kind = sources[0] if sources[0] in ("api", "demo") else "records"
    if len(sources) > 1 and {"api", "demo"} & set(sources):
        raise QueryError("--source is api, demo, or files of call records: one of the three")
    given = {
        "api": {"base_url": options.base_url, "timeout": options.timeout, "cache": options.cache},
        "records": {"duplicates": options.duplicates, "on_error": options.on_error, "now": options.now},
    }
    for other, values in given.items():
        for name, value in values.items():
            if value is not None and other != kind:
                whom = "the API" if other == "api" else "call records"
                raise QueryError(f"--{name.replace('_', '-')} is for {whom}, and --source is {' '.join(sources)}")
    arguments: dict[str, Any] = {name: value for name, value in given.get(kind, {}).items() if value is not None}
    if kind == "demo":
        return demo()
    return connect(**arguments) if kind == "api" else local(sources, **arguments)


def _print(text: str) -> None:
    """Write *text* to stdout as UTF-8, whatever the locale; a reader that has enough ends it quietly."""
    try:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    except OSError as error:
        # What is left in the buffer is flushed at exit, which would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise


def _keep_part(error: PartialResultError, paths: Sequence[Path], out: str | None) -> None:
    """Write the part that arrived beside the file that the whole would be; say what is missing."""
    from vapi_frames.calendar.ranges import format_iso
    from vapi_frames.cli.export import check_path, named_path, write
    from vapi_frames.frames.meta import read_meta

    print_error(error)
    for start, end in error.missing:
        print_error(f"[{format_iso(start)}, {format_iso(end)})", kind="missing: ")
    for one in error.rest:
        print_error(repr(one), kind="left to ask: ")
    if out is None:
        print_error("the part that arrived is not printed; --out keeps it in a file")
        return
    try:
        parts = []
        for frame in error.frames.values():
            path = paths[0]
            if len(paths) > 1:  # the frame knows which question it answers
                meta = read_meta(frame)
                path = check_path(named_path(out, meta.title or meta.body["name"]))
            is_whole = not read_meta(frame).has_missing_rows
            parts.append((frame, path if is_whole else path.with_name(f"{path.stem}.partial{path.suffix}")))
        write(parts)
        print_error(f"the part that arrived is in {', '.join(str(path) for _, path in parts)}")
    except (VapiFramesError, OSError) as failure:
        print_error(failure, kind="the part that arrived is lost: ")


@contextmanager
def _one_line_each() -> Iterator[None]:
    """Show warnings as a line each, and not as the two that Python makes of them."""

    def show(message: object, *_: object, **__: object) -> None:
        print_error(message, kind="warning: ")

    heard = warning_handler.set(show)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            yield
    finally:
        warning_handler.reset(heard)


@contextmanager
def _ctrl_c() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt on Ctrl-C, and remember that it came."""
    came: list[int] = []

    def stop(number: int, _: object) -> NoReturn:
        came.append(number)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield came  # a background job that leaves it alone, or a program that has its own way
        return
    signal.signal(signal.SIGINT, stop)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)
